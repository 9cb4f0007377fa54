"""A real systemd as PID 1 of fresh namespaces over an overlay of this machine's root, with this project's own units in it.

As root, on a Debian with systemd; nothing to install. Everything is in private namespaces and in one folder, and nothing
outlives `SystemdRig.stop`, which a fixture calls whatever happened; a rig whose owner dies ends with it. `reboot` inside
ends the rig's PID 1 by SIGHUP, as the kernel does for a PID namespace: `ended_by` tells that from any other end.
"""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = Path(__file__).with_name("systemd_rig.sh")
COMMANDS = ("unshare", "nsenter", "pivot_root", "systemctl", "systemd-sysusers", "systemd-run", "findmnt")
START_LIMIT_S = 60
LOOK_S = 0.05

DEVICES = {
    "mem": 1, "/dev/tty": 5, "i2c": 89, "alsa": 116, "video4linux": 81, "rtc": 240, "media": 241, "gpiochip": 242,
    "dma_heap": 243, "tpm": 244, "drm": 226, "watchdog": 245, "hidraw": 246,
}  # fmt: skip
"""The character devices that the rig's /proc/devices names, as on a Pi. None of them has a driver here: to open one that is
allowed is ENXIO, and one that is not, EPERM."""

INSTALLED = {
    "bodycam.sysusers.conf": "usr/lib/sysusers.d/bodycam.conf",
    "bodycam.tmpfiles.conf": "usr/lib/tmpfiles.d/bodycam.conf",
    "bodycam.manager.conf": "usr/lib/systemd/system.conf.d/90-bodycam.conf",
}
"""Where the package puts what is not a unit; units go to usr/lib/systemd/system."""

_PROGRAM = """\
#!{interpreter}
import sys
sys.path[:0] = ["/opt/rig/tree", "/opt/rig/packages"]
from {module} import main
sys.exit(main())
"""
_TARGET = """\
[Unit]
Description=What the rig boots to
Requires=local-fs.target systemd-tmpfiles-setup.service systemd-journald.service
After=local-fs.target systemd-tmpfiles-setup.service systemd-journald.service
"""


class SystemdRig:
    """`work`: a new folder. `files`: more files for its root, by path."""

    def __init__(self, work: Path, files: dict[str, str]) -> None:
        self._work = work
        self._process: subprocess.Popen[bytes] | None = None
        self.pid = 0
        self._cursor = ""
        prefix = Path(sys.base_prefix)
        own = Path(sys.executable).resolve()
        self._python = "" if prefix == Path("/usr") else str(prefix)
        self.interpreter = f"/opt/rig/python/{own.relative_to(prefix)}" if self._python else str(own)
        self._lay_out(files)

    def _lay_out(self, files: dict[str, str]) -> None:
        units = {f"usr/lib/systemd/system/{path.name}": path for path in (ROOT / "systemd").glob("*.service")}
        others = {where: ROOT / "systemd" / name for name, where in INSTALLED.items()}
        programs = {
            f"usr/bin/{name}": _PROGRAM.format(interpreter=self.interpreter, module=module)
            for name, module in (("bodycam", "device.cli"), ("bodycam-sim", "hw_sim.cli"))
        }
        texts = {where: path.read_text("utf-8") for where, path in (units | others).items()}
        texts |= programs | {"etc/systemd/system/rig.target": _TARGET} | files
        for where, text in texts.items():
            self.add(where, text, 0o755 if where in programs else 0o644)
        devices = "".join(f"{number:3} {name}\n" for name, number in DEVICES.items())
        (self._work / "devices").write_text(devices + "\nBlock devices:\n  7 loop\n", "ascii")

    def add(self, where: str, text: str, mode: int = 0o644) -> None:
        """A file for its root; before it is started."""
        path = self._work / "files" / where
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        path.chmod(mode)

    def start(self) -> None:
        """It is up on return; `TimeoutError` or `ChildProcessError` with what was said otherwise."""
        with (self._work / "log").open("wb") as log:
            self._process = subprocess.Popen(
                ["unshare", "--mount", "--propagation", "private", str(SCRIPT), "outer", str(self._work)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                preexec_fn=_end_with_parent,  # noqa: PLW1509 - one system call, before any thread of the child's
                env={
                    "PATH": os.environ["PATH"],
                    "RIG_TREE": str(ROOT),
                    "RIG_PYTHON": self._python,
                    "RIG_PACKAGES": sysconfig.get_path("purelib"),
                },
            )
        self.until("systemd is PID 1", self._find)
        self.until("the rig has booted", lambda: self.show("rig.target", "ActiveState") == "active")

    def _find(self) -> bool:
        assert self._process is not None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text("ascii").split()
        self.pid = int(children[0]) if children else 0
        return self.pid > 0 and Path(f"/proc/{self.pid}/comm").read_text("ascii") == "systemd\n"

    def until(self, what: str, done: Callable[[], bool], limit_s: float = START_LIMIT_S) -> None:
        """Wait for something to be so; `TimeoutError` names it and shows the journal's end."""
        until = time.monotonic() + limit_s
        while not done():
            if time.monotonic() > until:
                raise TimeoutError(f"{what}: not within {limit_s} s\n{self._said()}")
            if self._process is None or self._process.poll() is not None:
                raise ChildProcessError(f"{what}: the rig has ended\n{self._said()}")
            time.sleep(LOOK_S)

    def _said(self) -> str:
        log = (self._work / "log").read_text("utf-8", "replace")
        return log + (self.run("journalctl", "-n", "60", "--no-pager", check=False).stdout if self.pid else "")

    def run(self, *command: str, check: bool = True, given: bytes = b"") -> subprocess.CompletedProcess[str]:
        """A command inside, as root."""
        inside = ["nsenter", f"--target={self.pid}", "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--"]
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
        raw = subprocess.run(
            inside + list(command), capture_output=True, check=False, input=given, env=environment,
            timeout=START_LIMIT_S, start_new_session=True,
        )  # fmt: skip
        said, complained = raw.stdout.decode("utf-8", "replace"), raw.stderr.decode("utf-8", "replace")
        done = subprocess.CompletedProcess(raw.args, raw.returncode, said, complained)
        assert done.returncode == 0 or not check, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def systemctl(self, *words: str) -> None:
        self.run("systemctl", *words)

    def show(self, unit: str, name: str) -> str:
        """A property of a unit's; "" while systemd does not answer yet."""
        return self.run("systemctl", "show", "--value", "-p", name, unit, check=False).stdout.strip()

    def journal(self, unit: str) -> str:
        """What was said of a unit, and by it, since `forget`."""
        after = ("--after-cursor", self._cursor) if self._cursor else ()
        return self.run("journalctl", "-u", unit, "-o", "cat", "--no-pager", *after).stdout

    def forget(self) -> None:
        """What the journal says until now."""
        self._cursor = (
            self.run("journalctl", "-n", "0", "--show-cursor", "-q").stdout.strip().removeprefix("-- cursor: ")
        )

    def path(self, inside: str) -> Path:
        """A file of the rig's, as this process reaches it."""
        return Path(f"/proc/{self.pid}/root{inside}")

    def ended_by(self, limit_s: float) -> signal.Signals | None:
        """What ended the rig's PID 1, within so long: SIGHUP for a reboot; None: it runs on."""
        assert self._process is not None
        try:
            status = self._process.wait(limit_s)
        except subprocess.TimeoutExpired:
            return None
        return signal.Signals(-status if status < 0 else status - 128)

    def stop(self) -> None:
        """End everything in it, and check that nothing is left."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        if (self._work / "cgroup-name").exists():
            self._clean()
        left = subprocess.run(["findmnt", "-rno", "TARGET"], capture_output=True, text=True, check=True).stdout
        assert str(self._work) not in left, "a mount of the rig's is left on the host"
        shutil.rmtree(self._work)

    def _clean(self) -> None:
        """The cgroup goes when the last process in it has gone."""
        clean = ["unshare", "--mount", "--propagation", "private", str(SCRIPT), "clean", str(self._work)]
        until = time.monotonic() + START_LIMIT_S
        while True:
            done = subprocess.run(clean, capture_output=True, text=True, check=False)
            if done.returncode == 0:
                return
            assert time.monotonic() < until, f"the rig's cgroup is left: {done.stderr}"
            time.sleep(LOOK_S)


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG

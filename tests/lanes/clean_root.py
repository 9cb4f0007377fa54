"""A clean distribution as a system of its own: a root by mmdebstrap, booted by systemd-nspawn, whose changes are forgotten.

The archive's address comes from this machine's apt. A booted root's writes go to memory (--volatile=overlay), it has no
network, and nothing of it is left when it ends. Debian 12's systemd as a guest: two seconds to a login.
"""

import os
import shlex
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

BOOT_S = 90
END_S = 60
STEP_S = 0.2
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}


def archive() -> str:
    """Where this machine gets its packages from."""
    asked = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Identifier: Packages"]
    said = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.split()
    found = [uri for uri in said if "security" not in uri]
    assert found, "apt knows of no archive: see /etc/apt/sources.list.d"
    return found[0]


def make_root(folder: Path, suite: str, packages: Sequence[str]) -> Path:
    """A root with a service manager and Python, and what else `packages` names; about a minute."""
    every = ["systemd", "systemd-sysv", "dbus", "init-system-helpers", "python3", *packages]
    command = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(every)}"]
    subprocess.run([*command, suite, str(folder), archive()], check=True)
    return folder


def in_root(root: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """A command in the root as it lies there: no service manager, and what it writes stays. No network."""
    spawn = ["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--private-network", f"--directory={root}"]
    return subprocess.run(
        [*spawn, "--pipe", *command], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )


class System:
    """A booted root. `binds`: folders of this machine's that it sees, read-only: {where in it: which}."""

    def __init__(self, root: Path, log: Path, binds: dict[str, Path]) -> None:
        self._root, self._log, self._binds = root, log, binds

    def __enter__(self) -> Self:
        name = f"bodycam-{os.getpid()}"
        command = ["systemd-nspawn", "--quiet", "--boot", "--volatile=overlay", "--register=no", "--keep-unit"]
        command += ["--private-network", f"--machine={name}", f"--directory={self._root}"]
        command += [f"--bind-ro={here}:{there}" for there, here in self._binds.items()]
        with self._log.open("wb") as log:
            self._spawn = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.until("the system runs", lambda: self._leader() and self._running(), BOOT_S)
        return self

    def __exit__(self, *_: object) -> None:
        self._spawn.terminate()  # nspawn asks its system to shut down
        try:
            self._spawn.wait(END_S)
        finally:
            self._spawn.kill()
            self._spawn.wait()
            left = Path("/run/systemd/nspawn/propagate") / f"bodycam-{os.getpid()}"
            if left.is_dir():
                left.rmdir()

    def run(self, *command: str, status: int | None = 0) -> str:
        """A command in the system: what it said on both outputs. `status`: what it must end with; None: anything."""
        done = subprocess.run(
            ["nsenter", f"--target={self._leader()}", "--all", "--wdns=/", "--", *command],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=ENVIRONMENT, check=False,
        )  # fmt: skip
        assert status is None or done.returncode == status, f"{shlex.join(command)}: {done.returncode}\n{done.stdout}"
        return done.stdout

    def until(self, what: str, true: Callable[[], object], most_s: float = END_S) -> None:
        """Ask again and again."""
        ends = time.monotonic() + most_s
        while not true():
            assert time.monotonic() < ends, (
                f"{what}: not within {most_s} s\n{self._log.read_text('utf-8', 'replace')[-2000:]}"
            )
            assert self._spawn.poll() is None, self._log.read_text("utf-8", "replace")[-4000:]
            time.sleep(STEP_S)

    def _leader(self) -> str:
        """The system's process 1, as this machine numbers it; "" while there is none."""
        task = Path(f"/proc/{self._spawn.pid}/task/{self._spawn.pid}/children")
        for child in task.read_text().split():
            if (Path("/proc") / child / "comm").read_text().strip() == "systemd":
                return child
        return ""

    def _running(self) -> bool:
        said = self.run("systemctl", "is-system-running", status=None).strip()
        return said in {"running", "degraded"}

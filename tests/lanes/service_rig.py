"""A device in the systemd rig: a bench of the demo agency's where the package puts one, the twin in the place of the Pi's
hardware, and what a person does to it. The units are those of systemd/, with the drop-ins below and nothing else changed.
"""

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from device.evidence.verdicts import CardVerdict
from hw_sim.agency import Agency, Bench
from tests.benches import CAMERA, make_bench, policy_document, verified
from tests.lanes.sandbox_table import UNITS
from tests.lanes.systemd_rig import DEVICES, ROOT, SystemdRig

CARD, STATE, IDENTITY = "/var/lib/bodycam", "/var/lib/bodycam-state", "/var/lib/bodycam-identity"
CONFIG, STORE = "/etc/bodycam/bodycam.toml", "/srv/store"
NODES = (
    ("video0", "video4linux", "video"), ("v4l-subdev0", "video4linux", "video"), ("media0", "media", "video"),
    ("dma_heap/linux,cma", "dma_heap", "video"), ("snd/pcmC0D0c", "alsa", "audio"), ("snd/controlC0", "alsa", "audio"),
    ("gpiochip0", "gpiochip", "gpio"), ("i2c-1", "i2c", "i2c"), ("tpmrm0", "tpm", "tss"),
    ("dri/card0", "drm", ""), ("hidraw0", "hidraw", ""), ("rtc0", "rtc", ""), ("watchdog", "watchdog", ""),
)  # fmt: skip
"""Device nodes as on a Pi: name, kind, and the group that may use it; "": everybody, so that the unit alone is in the way."""

RUN_DAEMON = f"daemon --config {CONFIG} --scene flat --real-disk"
_DROP_INS = {
    "bodycam": f"[Service]\nExecStart=\nStandardInput=file:/run/lines\nExecStart=/usr/bin/bodycam-sim {RUN_DAEMON}\n",
    "bodycam-fault": "[Service]\nEnvironment=GPIOZERO_PIN_FACTORY=mock\n",
    "bodycam-offload": f"[Service]\nReadWritePaths={STORE}\n",
}
"""The twin for the Pi's hardware; mock pins; a store that is a folder of this machine's."""
_FSTAB = "tmpfs /var/lib/bodycam tmpfs nodev,nosuid,noexec,mode=755 0 0\n"
"""The card is a file system of its own."""
_OVERRIDE = "/run/systemd/system/bodycam.service.d"
_OTHER = "[Service]\nUser=bodycam\nExecStart=/usr/bin/sleep infinity\n"
"""A process of the daemon's user, which off-load must not reach."""
_LIFE = {
    "Type", "ExecStart", "ExecCondition", "Restart", "RestartSec", "RestartPreventExitStatus", "WatchdogSec", "TimeoutStartSec",
    "TimeoutStopSec", "TimeoutAbortSec", "WorkingDirectory",
}  # fmt: skip
_PROBE = "/opt/rig/tree/tests/lanes/sandbox_probe.py"
MASKED = ("systemd-sysctl.service", "systemd-modules-load.service", "lvm2-monitor.service")
"""What would reach past the rig, to the kernel that it shares."""
_RIG_PATHS = {
    'path = "../card"': f'path = "{CARD}"',
    'certificate = "device.der"': f'certificate = "{IDENTITY}/device.der"',
    'key = "device.key"': f'key = "{IDENTITY}/device.key"',
    '"provisioning.jsonl"': f'"{IDENTITY}/provisioning.jsonl"',
    '"provisioner.der"': f'"{IDENTITY}/provisioner.der"',
    '"media.der"': f'"{IDENTITY}/media.der"',
    '"media.key"': f'"{IDENTITY}/media.key"',
    '"policy-kept.bundle"': f'"{STATE}/policy-kept.bundle"',
    '"status.json"': '"/run/bodycam/status.json"',
}


class ServiceRig(SystemdRig):
    """Call `start`, then `deliver`; `stop` whatever happened."""

    def __init__(self, work: Path) -> None:
        work.mkdir()
        files = {f"etc/systemd/system/{unit}.service.d/rig.conf": text for unit, text in _DROP_INS.items()}
        files |= {f"etc/systemd/system/{unit}": "" for unit in MASKED}
        files |= {"etc/fstab": _FSTAB}
        files |= {"etc/systemd/system/other.service": _OTHER}
        super().__init__(work, files)
        self.agency = Agency()
        self.bench: Bench
        self._lines = -1

    def deliver(self, root: Path) -> None:
        """Put a provisioned device's files into a rig that has started; `root`: a new folder for the agency's side."""
        self.bench = make_bench(root, agency=self.agency, pre_event_s=2, post_event_s=0, camera=CAMERA)
        end_points = policy_document(2, 0).replace(b"end_points = []", f'end_points = ["folder:{STORE}"]'.encode())
        self.bench.offered_policy.write_bytes(self.agency.bundle(end_points))
        text = self.bench.config.read_text("utf-8")
        for old, new in _RIG_PATHS.items():
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        self.configuration = text + '\n[offload]\nstate = "/var/lib/bodycam-offload"\nevery_s = 10\n'
        self.run("install", "-d", "/etc/bodycam", "/srv", "/dev/dma_heap", "/dev/snd", "/dev/dri")
        self.run("install", "-d", "-o", "bodycam-offload", STORE)
        self.run("mkfifo", "/run/lines")
        self._lines = os.open(self.path("/run/lines"), os.O_RDWR | os.O_CLOEXEC)
        self.path(CONFIG).write_text(self.configuration, "utf-8")
        for path in (self.bench.offered_policy, self.bench.anchor):
            shutil.copy(path, self.path("/etc/bodycam"))
        self._make_nodes()
        self.provision()

    def provision(self) -> None:
        """The device's own keys, and the agency's word on them, as a person with a computer of the agency's puts them."""
        self.forget_device()
        for name in ("device.der", "device.key", "media.der", "media.key", "provisioner.der", "provisioning.jsonl"):
            self.run("install", "-o", "bodycam", "-g", "bodycam", "-m", "600", "/dev/stdin", f"{IDENTITY}/{name}",
                     given=(self.bench.root / "device" / name).read_bytes())  # fmt: skip

    def forget_device(self) -> None:
        """No keys, and an empty card."""
        for kept in (*self.path(IDENTITY).iterdir(), *self.path(CARD).iterdir()):
            if kept.is_file():
                kept.unlink()
            elif kept.name != "spool":
                shutil.rmtree(kept)

    def _make_nodes(self) -> None:
        for name, kind, group in NODES:
            self.run("mknod", "-m", "660" if group else "666", f"/dev/{name}", "c", str(DEVICES[kind]), "0")
            self.run("chgrp", group or "root", f"/dev/{name}")
        self.run("mknod", "-m", "666", "/dev/mem", "c", "1", "1")
        self.run("mknod", "-m", "666", "/dev/sda", "b", "8", "0")
        self.path("/tmp/marker").touch()  # noqa: S108 - the rig's own
        self.path("/srv/private").touch(0o600)
        self.run("install", "-d", "/run/udev/data", "/run/systemd/timesync")
        self.run("install", "-d", "-m", "750", "/run/chrony")
        self.run("install", "-m", "644", "/dev/stdin", "/run/udev/data/c81:0", given=b"G:seat\n")
        self.path("/run/systemd/timesync/synchronized").touch()

    def stop(self) -> None:
        if self._lines >= 0:
            os.close(self._lines)
        super().stop()

    # -- the daemon -------------------------------------------------------------------------------------------------

    def fresh(self) -> None:
        """As after a first start: nothing runs, nothing has failed, the configuration is good. The card goes on."""
        self.run("systemctl", "stop", "bodycam", "bodycam-fault", "bodycam-offload", "bodycam-provision", check=False)
        self.run("systemctl", "reset-failed", check=False)
        self.path("/etc/bodycam/no-reboot").unlink(missing_ok=True)
        if self.path(_OVERRIDE).is_dir():
            shutil.rmtree(self.path(_OVERRIDE))
            self.systemctl("daemon-reload")
        self.path(CONFIG).write_text(self.configuration, "utf-8")
        self.forget()

    def status(self) -> dict[str, Any]:
        """What the daemon says of itself; nothing when it says nothing."""
        try:
            said: dict[str, Any] = json.loads(self.path("/run/bodycam/status.json").read_bytes())
        except OSError:
            return {}
        return said

    def state(self) -> str:
        """What the daemon says that it is doing; "" when it says nothing."""
        return str(self.status().get("state", ""))

    def is_ready(self) -> bool:
        """It says so itself; a press that comes sooner is refused."""
        status = self.status()
        return bool(status.get("ready")) and status["state"] == "idle"

    def play(self, line: str) -> None:
        """What a hand does to the twin: see `bodycam-sim daemon`."""
        os.write(self._lines, line.encode() + b"\n")

    def record(self) -> None:
        """A recording is open, and some seconds of it are on the card."""
        self.until("the daemon is ready", self.is_ready)
        before = len(list(self.path(CARD).glob("evidence/*/000001*.m4s.age")))
        self.play("double record")
        self.until("a recording is open", lambda: self.state() == "recording")
        self.until(
            "two of its segments are on the card",
            lambda: len(list(self.path(CARD).glob("evidence/*/000001*.m4s.age"))) > before,
        )

    def main_pid(self, unit: str = "bodycam") -> int:
        return int(self.show(unit, "MainPID"))

    def override(self, settings: str) -> None:
        """Other settings of [Service] for the daemon, until the next `fresh`."""
        self.path(_OVERRIDE).mkdir()
        self.path(f"{_OVERRIDE}/test.conf").write_text(f"[Service]\n{settings}\n", "ascii")
        self.systemctl("daemon-reload")

    def memory(self) -> dict[str, int]:
        """What the kernel says of the daemon's memory, in KiB."""
        lines = self.path(f"/proc/{self.main_pid()}/status").read_text("ascii").splitlines()
        return {line.split(":")[0]: int(line.split()[1]) for line in lines if line.startswith("Vm")}

    def kill(self) -> None:
        """As a power cut is to the daemon; on return it is another process, or the unit has failed."""
        self.signal("KILL")

    def signal(self, name: str) -> None:
        """One to the daemon's process, which ends it."""
        self.until("the daemon is ready", lambda: self.show("bodycam", "ActiveState") == "active")
        before = self.main_pid()
        self.systemctl("kill", "--kill-whom=main", f"--signal={name}", "bodycam")
        self.until(
            "systemd has seen it",
            lambda: self.main_pid() not in (0, before) or self.show("bodycam", "ActiveState") == "failed",
        )

    def verdict(self) -> CardVerdict:
        """What `verify` says of the card as it is now."""
        shutil.rmtree(self.bench.card)
        shutil.copytree(self.path(CARD), self.bench.card)
        return verified(self.bench, read=True)

    # -- the sandbox ------------------------------------------------------------------------------------------------

    def probed(self) -> dict[str, dict[str, str]]:
        """The probe's answers under each unit's settings, and without any."""
        answers = self._answers({unit: sandbox(unit) for unit in UNITS})
        plain = self.run(self.interpreter, _PROBE, *self._asked(), "").stdout
        return answers | {"nothing": json.loads(plain)}

    def probed_without(self, unit: str, lines: list[tuple[str, str]]) -> list[str]:
        """For each line, told by its beginning, and each probe: what that one answers under the unit's settings without it."""
        every = sandbox(unit)
        settings = {}
        for number, (line, _) in enumerate(lines):
            settings[f"{number:02}"] = [other for other in every if not other.startswith(line)]
            assert len(settings[f"{number:02}"]) == len(every) - 1, line
        answers = self._answers(settings, [probe for _, probe in lines])
        return [said[probe] for said, (_, probe) in zip(answers.values(), lines, strict=True)]

    def _asked(self) -> tuple[str, str]:
        """The probe's arguments: a process of the daemon's user, and systemd's own namespaces."""
        self.systemctl("start", "other")
        kinds = ("net", "ipc", "user", "uts", "mnt")
        return str(self.main_pid("other")), json.dumps(
            {kind: str(self.path(f"/proc/1/ns/{kind}").readlink()) for kind in kinds}
        )

    def _answers(self, settings: dict[str, list[str]], only: Sequence[str] = ()) -> dict[str, dict[str, str]]:
        """`only`: the one probe that is asked, for each of the settings."""
        other, ours = self._asked()
        for (name, lines), probe in zip(settings.items(), only or [""] * len(settings), strict=True):
            service = [
                "[Unit]", "After=var-lib-bodycam.mount", "[Service]", "Type=oneshot",
                f"StandardOutput=truncate:/run/probe-{name}", f"ExecStart={self.interpreter} {_PROBE} {other} '{ours}' \"{probe}\"",
                *lines,
            ]  # fmt: skip
            self.path(f"/run/systemd/system/probe-{name}.service").write_text("\n".join(service) + "\n", "utf-8")
        self.systemctl("daemon-reload")
        answers = {}
        for name in settings:  # one after the other: they write to the same folders
            started = self.run("systemctl", "start", f"probe-{name}.service", check=False).returncode == 0
            answers[name] = json.loads(self.path(f"/run/probe-{name}").read_bytes()) if started else {}
        return answers


def sandbox(unit: str) -> list[str]:
    """The lines of [Service] that say what its process may do: all but how it is started, watched and ended."""
    text = (ROOT / "systemd" / f"{unit}.service").read_text("utf-8")
    service = text.split("[Service]\n")[1].split("\n[")[0].splitlines()
    return [
        line for line in service if "=" in line and not line.startswith("#") and line.partition("=")[0] not in _LIFE
    ]

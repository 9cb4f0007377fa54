"""The text of what is in systemd/: systemd takes every line of it, its exposure stays low, and what is left is explained.

What the units do is shown by a real systemd in tests/lanes/test_service.py.
"""

import json
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
UNITS = sorted((ROOT / "systemd").glob("*.service"))
PAGE = ROOT / "docs" / "design" / "service.md"
MOST_EXPOSURE = 15
"""Tenths: 1.5 of 10."""
EVERYWHERE = {
    "PrivateTmp=yes", "PrivateMounts=yes", "PrivateIPC=yes", "ProtectSystem=strict", "ProtectHome=yes", "NoNewPrivileges=yes",
    "CapabilityBoundingSet=", "ProtectKernelTunables=yes", "ProtectKernelModules=yes", "ProtectKernelLogs=yes",
    "ProtectControlGroups=yes", "ProtectHostname=yes", "RestrictNamespaces=yes", "RestrictRealtime=yes",
    "RestrictSUIDSGID=yes", "LockPersonality=yes", "MemoryDenyWriteExecute=yes", "SystemCallArchitectures=native",
    "SystemCallFilter=@system-service", "SystemCallFilter=~@privileged @resources @keyring",
    "SystemCallErrorNumber=EPERM", "DevicePolicy=closed", "KeyringMode=private", "LimitCORE=0",
}  # fmt: skip


def lines(unit: str) -> list[str]:
    text = (ROOT / "systemd" / f"{unit}.service").read_text("utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def verified(folder: Path, spoil: tuple[str, str] = ("", "")) -> subprocess.CompletedProcess[str]:
    """`systemd-analyze verify` of the units, with a program that is there in the place of ours."""
    folder.mkdir()
    for unit in UNITS:
        text = unit.read_text("utf-8").replace("/usr/bin/bodycam ", "/usr/bin/true ")
        (folder / unit.name).write_text(text.replace(*spoil) if spoil[0] else text, "utf-8")
    every = [str(folder / unit.name) for unit in UNITS]
    command = ["systemd-analyze", "verify", "--recursive-errors=yes", "--man=no", *every]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.tools("systemd-analyze")
def test_systemd_takes_every_line(tmp_path: Path) -> None:
    assert len(UNITS) == 5
    done = verified(tmp_path / "units")
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.tools("systemd-analyze")
@pytest.mark.parametrize(
    ("good", "bad", "said"),
    [
        ("PrivateIPC=yes", "PrivateIPv=yes", "Unknown key 'PrivateIPv'"),
        ("WatchdogSec=10", "WatchdogSec=soon", "Failed to parse sec value, ignoring: soon"),
        ("UMask=0027", "UMask=0987", "Failed to parse mode value, ignoring: 0987"),
    ],
)
def test_it_would_be_seen_if_one_were_wrong(tmp_path: Path, good: str, bad: str, said: str) -> None:
    done = verified(tmp_path / "units", (good, bad))
    assert done.returncode != 0
    assert said in done.stderr


def exposed(unit: Path, folder: Path) -> set[str]:
    """What `systemd-analyze security` still charges for. It charges units of the early start less: as if this were none."""
    late = folder / unit.name
    late.write_text(unit.read_text("utf-8").replace("DefaultDependencies=no\n", ""), "utf-8")
    command = [
        "systemd-analyze",
        "security",
        "--offline=true",
        f"--threshold={MOST_EXPOSURE}",
        "--json=short",
        str(late),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{unit.name}: more than {MOST_EXPOSURE / 10}"
    return {each["name"] for each in json.loads(done.stdout) if each["exposure"] is not None}


def explained() -> dict[str, set[str]]:
    """The page's table of what is left: the setting, and the units that it is left in."""
    rows = re.findall(
        r"^\| `([^`]+)` \| ((?:`bodycam[a-z-]*`(?:, )?)+) \| [^|]{20,} \|$", PAGE.read_text("utf-8"), re.MULTILINE
    )
    return {setting.replace("\\|", "|"): set(re.findall(r"`([^`]+)`", units)) for setting, units in rows}


@pytest.mark.tools("systemd-analyze")
def test_exposure_is_low_and_each_point_that_is_left_is_explained(tmp_path: Path) -> None:
    left: dict[str, set[str]] = {}
    for unit in UNITS:
        for setting in exposed(unit, tmp_path):
            left.setdefault(setting, set()).add(unit.stem)
    assert left == explained()


@pytest.mark.parametrize("unit", [unit.stem for unit in UNITS])
def test_what_holds_for_all_of_them(unit: str) -> None:
    assert EVERYWHERE - set(lines(unit)) == set()


def test_the_daemon_waits_for_its_file_systems_alone() -> None:
    unit = lines("bodycam")
    assert "DefaultDependencies=no" in unit
    assert [line for line in unit if line.startswith(("After=", "Wants=", "Requires=", "BindsTo="))] == [
        "After=local-fs.target systemd-tmpfiles-setup.service"
    ]
    assert {"Conflicts=shutdown.target", "Before=shutdown.target"} <= set(unit), (
        "else a shutdown does not stop it first"
    )


def test_78_is_the_end_and_the_last_step_is_not_systemds_own() -> None:
    unit = lines("bodycam")
    assert {"Restart=always", "RestartPreventExitStatus=78", "StartLimitIntervalSec=600", "StartLimitBurst=5"} <= set(
        unit
    )
    assert [line for line in unit if "Action" in line] == []
    assert "OnFailure=bodycam-fault.service bodycam-reboot.service" in unit
    asked = [line for line in lines("bodycam-reboot") if line.startswith("ExecCondition=")]
    assert [line.split("-p ")[1] for line in asked] == [
        "ExecMainStatus bodycam.service)\" -ne 78'",
        "NRestarts bodycam.service)\" -ge 4'",
    ]


def test_no_camera_is_hidden() -> None:
    """Hazard 7: picamera2 that sees no /dev/video* takes another board's encoder."""
    assert [line for line in lines("bodycam") if "PrivateDevices" in line] == []
    assert [line for line in lines("bodycam") if line.startswith("DeviceAllow=")] == [
        f"DeviceAllow={node} rw"
        for node in (
            "char-video4linux", "char-media", "char-dma_heap", "char-alsa", "char-gpiochip", "char-i2c", "/dev/tpmrm0",
        )
    ]  # fmt: skip


def test_the_page_says_where_each_file_goes() -> None:
    said = dict(
        re.findall(r"^\| `systemd/([\w.-]+)` \| `(/usr/lib/[\w./-]+)` \|", PAGE.read_text("utf-8"), re.MULTILINE)
    )
    assert said.keys() == {path.name for path in (ROOT / "systemd").iterdir()}
    assert {path.name: said[path.name] for path in UNITS} == {
        path.name: f"/usr/lib/systemd/system/{path.name}" for path in UNITS
    }


def test_no_start_of_a_unit_changes_the_mode_of_a_folder() -> None:
    """systemd sets the mode of a StateDirectory at each start: 0755 where the unit says none."""
    spoken = (ROOT / "systemd" / "bodycam.tmpfiles.conf").read_text("utf-8")
    made = {line.split()[1]: line.split()[2] for line in spoken.splitlines() if line.startswith("d ")}
    kept = {}
    for unit in UNITS:
        said = dict(line.split("=", 1) for line in lines(unit.stem) if line.startswith("StateDirectory"))
        if said:
            kept["/var/lib/" + said["StateDirectory"]] = said.get("StateDirectoryMode", "0755")
    assert kept == {
        "/var/lib/bodycam-state": "0750",
        "/var/lib/bodycam-identity": "0700",
        "/var/lib/bodycam-offload": "0700",
    }
    assert {folder: made[folder] for folder in kept} == kept


@pytest.mark.tools("systemd-sysusers")
def test_the_users_and_folders_can_be_made(tmp_path: Path) -> None:
    """In a root of their own."""
    (tmp_path / "etc").mkdir()
    users = ["systemd-sysusers", f"--root={tmp_path}", "--dry-run", str(ROOT / "systemd" / "bodycam.sysusers.conf")]
    done = subprocess.run(users, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [
        name for name in ("gpio", "i2c", "tss", "bodycam", "bodycam-offload") if f"'{name}'" not in done.stderr
    ] == []
    spoken = (ROOT / "systemd" / "bodycam.tmpfiles.conf").read_text("utf-8")
    folders = {line.split()[1]: line.split()[2:5] for line in spoken.splitlines() if not line.startswith("#")}
    assert folders == {
        "/var/lib/bodycam": ["0750", "bodycam", "bodycam"],
        "/var/lib/bodycam/spool": ["2770", "bodycam", "bodycam"],
        "/var/lib/bodycam-state": ["0750", "bodycam", "bodycam"],
        "/var/lib/bodycam-identity": ["0700", "bodycam", "bodycam"],
        "/var/lib/bodycam-offload": ["0700", "bodycam-offload", "bodycam"],
    }

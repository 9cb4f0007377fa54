"""The Debian package in a clean distribution: installed, upgraded, rolled back, removed, purged; evidence and keys survive."""

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest

from deb import build
from hw_sim.agency import Bench
from tests.benches import make_bench
from tests.lanes.clean_root import System, in_root, make_root
from tests.lanes.twin_in_root import BUTTONS

pytestmark = [
    pytest.mark.lane,
    pytest.mark.tools("mmdebstrap", "systemd-nspawn", "dpkg-buildpackage", "dh", "lintian", "nsenter"),
    pytest.mark.skipif(os.geteuid() != 0 and os.environ.get("CI") != "true", reason="needs root"),
]
ROOT = Path(__file__).resolve().parents[2]
NOW, NEXT = build.version(), "99.0.0"
KEPT = ("/var/lib/bodycam", "/var/lib/bodycam-identity", "/var/lib/bodycam-state", "/etc/bodycam")
KEYS = "/var/lib/bodycam-identity"
MADE_AT_FIRST = {"device.key": 600, "ledger.csr": 644, "media.csr": 644, "media.key": 600}
LET_GO_S = 0.5
AARCH64, X86_64 = 0xB7, 0x3E
"""In the 19th byte of an ELF file."""
DROP_IN = "[Service]\nExecStart=\nExecStart=/usr/bin/python3 -I /opt/twin/twin_in_root.py\n"
LIST = """
import hashlib, os, sys
for top in sys.argv[1:]:
    for folder, _, files in os.walk(top):
        for path in [folder, *(os.path.join(folder, name) for name in files)]:
            said = os.lstat(path)
            what = hashlib.sha256(open(path, "rb").read()).hexdigest() if os.path.isfile(path) else "-"
            if not path.endswith(".example") and path != "/etc/bodycam":
                date = said.st_mtime_ns if what != "-" else 0
                print(path, said.st_uid, said.st_gid, oct(said.st_mode), date, what)
"""
IMPORTS = """
import sys
version = f"cp{sys.version_info.major}{sys.version_info.minor}"
sys.path[:0] = ["/usr/lib/bodycam/python", f"/usr/lib/bodycam/{version}"]
import av, botocore.session, cryptography.x509, gpiozero, msgspec, numpy, pkcs11, pyrage, rich.console
botocore.session.get_session().create_client("s3", region_name="us-east-1")
from device.media import looks, overlay
from device.pi import alsa
assert looks.look_at(bytes([16, 235]) * 80 * 90, 160, 90).level == 125.5
assert [len(overlay.read_glyphs(height)) for height in (16, 24, 32, 48)] == [9792, 21216, 39168, 88128]
alsa._library()
print(av.__file__, msgspec.__file__, numpy.__file__)
"""
SYSTEMS = {"bookworm": ["libasound2", "python3-numpy"], "trixie": ["libasound2t64", "python3-numpy"]}
"""What the package depends on, and a root does not have anyway."""
PICTURE = {"width": 480, "height": 360, "rate_hz": 10, "bitrate_bps": 300_000}
"""The smallest that bears text."""


class Made(msgspec.Struct, frozen=True):
    """Packages of this version and a later one for this machine, and the Pi's with what lintian said; roots by suite."""

    now: Path
    following: Path
    pi: Path
    lintian: str
    roots: dict[str, Path]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("package")


@pytest.fixture(scope="module")
def made(folder: Path) -> Iterator[Made]:
    """Side by side: most of it is waiting for an archive or compressing."""
    into = folder / "packages"
    with ThreadPoolExecutor(2) as pool:
        pi = pool.submit(_for_the_pi, into)
        own = pool.submit(lambda: [build.build(into, "amd64", wanted, compressed=False) for wanted in (NOW, NEXT)])
        roots = {suite: pool.submit(make_root, folder / suite, suite, packages) for suite, packages in SYSTEMS.items()}
        now, following = own.result()
        package, lintian = pi.result()
        made = Made(now, following, package, lintian, {suite: root.result() for suite, root in roots.items()})
    yield made
    for name in ("packages", *SYSTEMS):
        shutil.rmtree(folder / name)


def _for_the_pi(into: Path) -> tuple[Path, str]:
    package = build.build(into, "arm64", NOW)
    command = ["lintian", "--allow-root", "--fail-on", "error,warning", "--pedantic", str(package)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return package, f"{done.returncode} {done.stdout}{done.stderr}"


@pytest.fixture(scope="module")
def bench(folder: Path) -> Bench:
    return make_bench(folder / "bench", pre_event_s=2, post_event_s=1, camera=PICTURE)


@pytest.fixture(scope="module")
def system(folder: Path, made: Made, bench: Bench) -> Iterator[System]:
    twin = folder / "twin"
    twin.mkdir()
    shutil.copytree(ROOT / "hw_sim", twin / "hw_sim")
    shutil.copy(Path(__file__).with_name("twin_in_root.py"), twin)
    config = bench.config.read_text("utf-8")
    for old, new in {
        '"../card"': '"/var/lib/bodycam"',
        '"device.key"': f'"{KEYS}/device.key"',
        '"media.key"': f'"{KEYS}/media.key"',
        '"policy-kept.bundle"': '"/var/lib/bodycam-state/policy-kept.bundle"',
        '"status.json"': '"/run/bodycam/status.json"',
    }.items():
        assert old in config
        config = config.replace(old, new)
    bench.config.write_text(config, "utf-8")
    binds = {"/packages": made.now.parent, "/opt/twin": twin, "/opt/bench": bench.root}
    with System(made.roots["bookworm"], folder / "system.log", binds) as booted:
        yield booted


def _installed(system: System) -> str:
    return system.run("dpkg-query", "--show", "--showformat=${db:Status-Status} ${Version}", "bodycam")


def _kept(system: System) -> dict[str, str]:
    """What must survive: each file and folder with its mode, owner, date and hash."""
    lines = system.run("python3", "-I", "-c", LIST, *KEPT).splitlines()
    return dict(line.split(" ", 1) for line in lines)


def _grown(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """What was there before and is not the same now."""
    return sorted(path for path, said in before.items() if after.get(path) != said)


def _status(system: System, key: str) -> Any:
    said: dict[str, Any] = json.loads(system.run("cat", "/run/bodycam/status.json"))
    return said[key]


def _recording(system: System) -> str:
    return str(_status(system, "recording"))


def _press(system: System, line: str) -> None:
    system.run("sh", "-c", 'echo "$1" > "$2"', "sh", line, BUTTONS)


def _ready(system: System) -> bool:
    """It says so itself; a press that comes sooner is refused."""
    said = system.run("sh", "-c", "cat /run/bodycam/status.json || true")
    status = json.loads(said or '{"ready": false}')
    return bool(status["ready"]) and status["state"] == "idle"


def _record(system: System) -> str:
    """Begin a recording; its name."""
    system.until("the daemon is ready", lambda: _ready(system))
    _press(system, "double record")
    system.until("a recording is open", lambda: _recording(system))
    return _recording(system)


def _end(system: System) -> None:
    _press(system, "hold record 3200")
    system.until("the stop is asked for", lambda: _status(system, "state") == "stop-asked")
    time.sleep(LET_GO_S)
    _press(system, "press record")
    system.until("the recording is closed", lambda: not _recording(system))


def _provisioned(system: System) -> None:
    """As an agency leaves a device: configuration, certificates and policy, keys; and the twin in the place of the pins."""
    for name in (
        "bodycam.toml",
        "device.der",
        "media.der",
        "provisioner.der",
        "provisioning.jsonl",
        "policy.bundle",
        "agency-ca.pem",
    ):
        system.run("install", "-m", "0644", f"/opt/bench/device/{name}", f"/etc/bodycam/{name}")
    for name in ("device.key", "media.key"):
        system.run(
            "install", "-m", "0600", "-o", "bodycam", "-g", "bodycam", f"/opt/bench/device/{name}", f"{KEYS}/{name}"
        )
    system.run("mkfifo", "-m", "0666", BUTTONS)
    system.run("mkdir", "-p", "/etc/systemd/system/bodycam.service.d")
    system.run("sh", "-c", 'printf "$1" > /etc/systemd/system/bodycam.service.d/twin.conf', "sh", DROP_IN)
    system.run("systemctl", "daemon-reload")


def _as_installed(system: System, package: str) -> None:
    """Nothing runs yet; the units that must be are enabled, and all that is imported is the package's or the distribution's."""
    said = system.run("dpkg", "--install", package)
    assert "no /etc/bodycam/bodycam.toml yet" in said
    assert "no /boot/firmware/cmdline.txt" in said
    assert _installed(system) == f"installed {NOW}"
    assert system.run("bodycam", "--version") == f"bodycam {NOW}\n"
    for unit, state in {
        "bodycam": "enabled",
        "bodycam-provision": "enabled",
        "bodycam-offload": "disabled",
        "bodycam-fault": "static",
        "bodycam-reboot": "static",
    }.items():
        assert system.run("systemctl", "is-enabled", f"{unit}.service", status=None).strip() == state, unit
    assert system.run("systemctl", "is-active", "bodycam.service", status=None).strip() == "inactive"
    _imports_are_its_own(system.run("python3", "-I", "-c", IMPORTS), "cp311")
    groups = set(system.run("id", "--groups", "--name", "bodycam").split())
    assert groups == {"bodycam"}, "a unit names the groups that it needs"


def _first_start(system: System, config: str) -> None:
    """The example filled in as install-pi.md says: keys and requests, then 78 and no other start until the agency answered."""
    (recipient,) = set(re.findall(r'footage = \["(age1[0-9a-z]+)"\]', config))
    filled = ("sed", f"s/age1…/{recipient}/", "/etc/bodycam/bodycam.toml.example")
    system.run("sh", "-c", '"$@" > /etc/bodycam/bodycam.toml', "sh", *filled)
    system.run("systemctl", "start", "bodycam-provision.service")
    made = system.run("stat", "--format=%n %U %a", *(f"{KEYS}/{name}" for name in MADE_AT_FIRST)).split("\n")
    assert made == [*(f"{KEYS}/{name} bodycam {mode}" for name, mode in MADE_AT_FIRST.items()), ""]
    system.run("systemctl", "start", "bodycam.service", status=1)
    asked = ("systemctl", "show", "--value", "--property=ExecMainStatus,NRestarts,ActiveState", "bodycam.service")
    assert sorted(system.run(*asked).split()) == ["0", "78", "failed"]
    system.run("systemctl", "stop", "bodycam-fault.service")
    system.run("rm", *(f"{KEYS}/{name}" for name in MADE_AT_FIRST))


def _self_tested(system: System) -> None:
    """The line of install-pi.md, from root's own folder, with the groups that a Pi has. There is no Pi: parts fail, and what
    it writes is still the daemon's."""
    page = (ROOT / "docs" / "install-pi.md").read_text("utf-8")
    (line,) = re.findall(r"runuser -u bodycam .* bodycam selftest --config [\w./]+", page)
    for group in ("gpio", "i2c", "tss"):
        system.run("groupadd", "--force", "--system", group)
    asked = f"cd /root && chmod 0700 . && {line} --no-hands --json 2>/dev/null"
    heard = system.run("sh", "-c", asked, status=1)
    said = json.loads(heard)
    parts = {part["part"]: part["result"] for part in said["parts"]}
    assert {name: parts[name] for name in ("policy", "keys", "card", "record")} == dict.fromkeys(
        ("policy", "keys", "card", "record"), "pass"
    )
    assert (parts["camera"], parts["board"]) == ("fail", "fail")
    others = system.run(
        *(
            "find",
            "/var/lib/bodycam",
            "/var/lib/bodycam-state",
            "(",
            "!",
            "-user",
            "bodycam",
            "-o",
            "!",
            "-group",
            "bodycam",
            ")",
        )
    )
    assert others == ""


def _runs_again(system: System) -> None:
    unit = ("systemctl", "is-active", "bodycam.service")
    system.until("the daemon runs again", lambda: system.run(*unit, status=None) == "active\n")


def _verified(system: System) -> None:
    said = system.run("bodycam", "verify", "/var/lib/bodycam", "--trust", "/opt/bench/agency/ca.pem", status=None)
    assert "intact" in said, said


def test_installed_upgraded_rolled_back_removed_and_purged(system: System, made: Made, bench: Bench) -> None:
    now, following = f"/packages/{made.now.name}", f"/packages/{made.following.name}"

    _as_installed(system, now)
    _first_start(system, bench.config.read_text("utf-8"))

    _provisioned(system)
    system.run("systemctl", "start", "bodycam.service")
    first = _record(system)
    of_this_machine = {"clock", "memory", "swap"}  # whatever runs the lane; none of them is the package's
    assert set(_status(system, "faults")) - of_this_machine == set()
    _press(system, "lens frozen")
    system.until("the frozen lens is seen", lambda: "lens" in _status(system, "faults"))
    _press(system, "lens clear")

    # 1. never while a recording is open: nothing is changed, and the daemon is the same process
    process = system.run("systemctl", "show", "--property=MainPID", "bodycam.service")
    for command in (("--install", following), ("--remove", "bodycam")):
        said = system.run("dpkg", *command, status=1)
        assert f"recording {first} is open" in said
        assert (_installed(system), _recording(system)) == (f"installed {NOW}", first)
        assert system.run("systemctl", "show", "--property=MainPID", "bodycam.service") == process
    _end(system)

    # 2. an upgrade and a roll-back, with a recording before, between and after
    for package, version in ((following, NEXT), (now, NOW)):
        before = _kept(system)
        system.run("dpkg", "--install", package)
        assert system.run("bodycam", "--version") == f"bodycam {version}\n"
        _runs_again(system)
        changed = _grown(before, _kept(system))
        assert [path for path in changed if "/journal" not in path] == []
        _record(system)
        _end(system)
        _verified(system)

    # 3. the journal itself, to the byte: nothing writes while the daemon is off
    system.run("systemctl", "disable", "--now", "bodycam.service")
    before = _kept(system)
    assert sum("/evidence/" in path for path in before) > 9, sorted(before)
    for command in (("--install", following), ("--remove", "bodycam"), ("--purge", "bodycam")):
        said = system.run("dpkg", *command)
        assert _grown(before, _kept(system)) == [], command
    assert "kept, with their owner, the user bodycam" in said
    assert system.run("id", "--name", "--user", "bodycam") == "bodycam\n"
    assert system.run(
        "sh",
        "-c",
        "ls -d /usr/lib/bodycam /usr/bin/bodycam /etc/systemd/system/multi-user.target.wants/bodycam*",
        status=2,
    )

    # 4. installed again, the same device goes on where it was
    system.run("dpkg", "--install", now)
    _runs_again(system)
    assert (
        _grown(
            {path: said for path, said in before.items() if "/evidence/" in path and said.split()[-1] != "-"},
            _kept(system),
        )
        == []
    )
    _record(system)
    _end(system)
    system.run("systemctl", "stop", "bodycam.service")
    _self_tested(system)
    system.run("systemctl", "start", "bodycam.service")
    _record(system)
    _end(system)
    _verified(system)


def test_lintian_finds_nothing(made: Made) -> None:
    assert made.lintian == "0 "


def test_both_machines_get_the_same_and_each_its_own(made: Made, folder: Path) -> None:
    names, machines = {}, {}
    for package in (made.now, made.pi):
        into = folder / f"unpacked-{package.stem}"
        subprocess.run(["dpkg-deb", "--extract", str(package), str(into)], check=True)
        names[package] = {str(path.relative_to(into)) for path in into.rglob("*.dist-info")}
        assert list(into.rglob("direct_url.json")) == []
        machines[package] = {path.read_bytes()[18] for path in into.rglob("*.so*")}
        shutil.rmtree(into)
    assert len(names[made.now]) > 20
    assert names[made.now] == names[made.pi]
    assert machines == {made.now: {X86_64}, made.pi: {AARCH64}}


def test_installs_and_imports_under_the_other_python(made: Made) -> None:
    """The root as it lies there, with no service manager: as an image is made."""
    root = made.roots["trixie"]
    shutil.copy(made.now, root / "bodycam.deb")
    for command in (("dpkg", "--install", "/bodycam.deb"), ("bodycam", "--version"), ("bodycam", "verify", "--help")):
        done = in_root(root, *command)
        assert done.returncode == 0, done.stdout + done.stderr
    done = in_root(root, "python3", "-I", "-c", IMPORTS)
    assert done.returncode == 0, done.stderr
    _imports_are_its_own(done.stdout, "cp313")


def _imports_are_its_own(said: str, python: str) -> None:
    places = said.split()
    assert places[0].startswith("/usr/lib/bodycam/python/av/")
    assert places[1].startswith(f"/usr/lib/bodycam/{python}/msgspec/")
    assert places[2].startswith("/usr/lib/python3/dist-packages/numpy/")

"""A trixie root with the real libcamera and picamera2, and this tree installed in it: what the camera's lane runs in.

As root, on a Debian with mmdebstrap and systemd-container. The archive is the one that this machine's own apt uses.
libcamera comes from backports: trixie's own leaves the status of each picture unset, so that picamera2 drops them all.
Commands run in containers of their own, several at once, without a network and with the root read-only unless they
install; nothing is mounted on this machine.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from hw_sim.benchmarks.rig import ALLOCATOR

TREE = Path(__file__).resolve().parents[2]
SUITE = "trixie"
PICAMERA2 = "picamera2==0.3.38"
PACKAGES = (
    "ca-certificates",
    "gcc",  # picamera2 needs two packages that have no wheels
    "libc6-dev",
    "libcap-dev",
    "python3-dev",
    "python3-libcamera",
    "python3-venv",
)
BACKPORT = f"Package: src:libcamera\nPin: release n={SUITE}-backports\nPin-Priority: 900\n"
PIPELINE = "usr/share/libcamera/pipeline/virtual/virtual.yaml"
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
PYTHON = "/opt/venv/bin/python"
INSTALLED = ("device", "hw_sim", "tests", "pyproject.toml", "constraints.txt", "README.md", "LICENSE")
LEFT_BY_NSPAWN = Path("/run/systemd/nspawn/propagate")
TREE_THERE = "/opt/bodycam"
OUT_THERE = "/out"
AS_THE_UNIT = ("--read-only", "--private-network", "--capability=CAP_IPC_LOCK", "--rlimit=MEMLOCK=infinity")
"""What the unit gives: no network, nothing to write to but what is bound, and the right to lock memory."""


class CameraRoot:
    """`folder` must be new. `remove` it at the end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._machines: list[str] = []

    def build(self) -> None:
        """About two minutes; raises `CalledProcessError` with what the failing tool said."""
        pin = self.folder.with_name("backport")
        pin.write_text(BACKPORT, "ascii")
        sources = [f"deb {_archive()} {suite} main" for suite in (SUITE, f"{SUITE}-backports")]
        _run(
            *("unshare", "--mount"),  # what it mounts to install goes with it, however it ends
            *("mmdebstrap", "--quiet", "--mode=root", "--variant=apt", f"--include={','.join(PACKAGES)}"),
            f"--setup-hook=copy-in {pin} /etc/apt/preferences.d",
            *(SUITE, str(self.folder), *sources),
        )
        (self.folder / PIPELINE).parent.mkdir(parents=True)
        shutil.copy(TREE / "tests/lanes/simcam/virtual.yaml", self.folder / PIPELINE)
        shutil.copy(AUTHORITIES, self.folder / "opt/authorities.pem")
        self._install()

    def start(self, *command: str, out: Path, said: IO[str]) -> "subprocess.Popen[str]":
        """A command in the installed tree, which may write into `out` alone; what it says, on both streams, goes to `said`."""
        return self._start(command, out, said, AS_THE_UNIT)

    def run(self, *command: str, out: Path) -> tuple[int, str]:
        """The same, until it has ended: its status, and what it said."""
        return self._run(command, out, AS_THE_UNIT)

    def remove(self) -> None:
        """Nothing of it stays. A mount within it would be somebody else's files: then it is left as it is."""
        mounted = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
        assert not [place for place in mounted if Path(place).is_relative_to(self.folder)], "something is mounted in it"
        if self.folder.exists():
            shutil.rmtree(self.folder)
        for machine in self._machines:
            left = LEFT_BY_NSPAWN / machine
            if left.exists():
                left.rmdir()

    def _run(self, command: Sequence[str], out: Path, rights: Sequence[str]) -> tuple[int, str]:
        with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as said:
            status = self._start(command, out, said, rights).wait()
            said.seek(0)
            return status, said.read()

    def _start(
        self, command: Sequence[str], out: Path, said: IO[str], rights: Sequence[str]
    ) -> "subprocess.Popen[str]":
        machine = f"bodycam-camera-{os.getpid()}-{len(self._machines)}"
        self._machines.append(machine)
        return subprocess.Popen(
            [
                *("systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--as-pid2", f"--machine={machine}"),
                *(f"--directory={self.folder}", f"--bind={out}:{OUT_THERE}", f"--chdir={TREE_THERE}", *rights),
                *("--setenv=PYTHONDONTWRITEBYTECODE=1", "--setenv=PIP_CERT=/opt/authorities.pem"),
                *(f"--setenv={name}={value}" for name, value in ALLOCATOR.items()),
                *([f"--setenv=PIP_INDEX_URL={os.environ['PIP_INDEX_URL']}"] if "PIP_INDEX_URL" in os.environ else []),
                *command,
            ],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def _install(self) -> None:
        there = self.folder / TREE_THERE.removeprefix("/")
        there.mkdir()
        (self.folder / OUT_THERE.removeprefix("/")).mkdir()
        for name in INSTALLED:
            if (TREE / name).is_dir():
                shutil.copytree(TREE / name, there / name, ignore=shutil.ignore_patterns("__pycache__", "node_modules"))
            else:
                shutil.copy(TREE / name, there / name)
        constraints = f"{TREE_THERE}/constraints.txt"
        for command in (
            ("python3", "-m", "venv", "--system-site-packages", "/opt/venv"),
            (PYTHON, "-m", "pip", "install", "--quiet", "--constraint", constraints, PICAMERA2, "pytest", ".[pi]"),
        ):
            status, said = self._run(command, there, ["--resolv-conf=copy-host"])
            assert status == 0, f"{' '.join(command)}: {said}"


def _archive() -> str:
    """Where this machine's apt gets Debian from; not the security archive, which has no other suites."""
    listed = _run("apt-get", "indextargets", "--format", "$(SITE)")
    sites = [site for site in listed.splitlines() if "security" not in site]
    assert sites, "this machine's apt has a Debian archive"
    return sites[0]


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{_named(command)}: {done.stderr}"
    return done.stdout


def _named(command: Sequence[str]) -> str:
    return " ".join(command[:4])

"""The wheels that the package bundles: which, for which Pythons and machines, and their hashes.

`deb/wheels.txt` names each by version and SHA-256; `python -m deb.wheels` writes it anew from constraints.txt and the
extras of pyproject.toml, after a dependency was changed. A build takes what the file names and nothing else.
"""

import hashlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WHEELS = Path(__file__).with_name("wheels.txt")
EXTRAS = "pi,pkcs11,offload"
PYTHONS = {"311": "bookworm", "313": "trixie"}
MACHINES = {"arm64": "aarch64", "amd64": "x86_64"}
GLIBC_TO = 36
"""Bookworm's glibc is 2.36: wheels that want a later one are not taken."""
OF_THE_DISTRIBUTION = frozenset({"numpy", "lgpio", "picamera2"})
"""Compiled against the system's libraries, or against each other: the distribution's packages are used (debian/control)."""

OF_THE_BUILD = "setuptools-"
"""Builds this project's own wheel. colorzero names it for the same, and needs nothing of it afterwards."""


def fetch(machine: str, python: str, into: Path) -> list[Path]:
    """The wheels of wheels.txt for a machine and a Python, in the folder `into`. A hash that differs fails the build."""
    _download(machine, python, into, ["--require-hashes", "--no-deps", "--requirement", str(WHEELS)])
    return sorted(into.glob("*.whl"))


def fits_every_python(wheel: Path) -> bool:
    """Whether a wheel is pure, or uses the stable interface alone: then one copy serves every Python."""
    return wheel.stem.split("-")[-2] in {"none", "abi3"}


def unpack(wheels: Iterable[Path], into: Path, machine: str, python: str) -> None:
    """Install wheels from their files into a folder of their own: no network, nothing compiled, no commands; and of
    botocore's descriptions of 400 services (100 MB) the one that off-load speaks to."""
    names = [str(wheel) for wheel in wheels if not wheel.name.startswith(OF_THE_BUILD)]
    _pip("install", "--no-index", "--no-deps", "--no-compile", "--target", str(into), *_tags(machine, python), *names)
    shutil.rmtree(into / "bin", ignore_errors=True)
    for service in (into / "botocore" / "data").glob("*/"):
        if service.name != "s3":
            shutil.rmtree(service)
    forget_source(into)


def forget_source(into: Path) -> None:
    """pip notes the folder that each wheel lay in: it is the building machine's, and makes every build another package."""
    for note in into.glob("*.dist-info/direct_url.json"):
        note.unlink()
        record = note.with_name("RECORD")
        lines = record.read_text("utf-8").splitlines(keepends=True)
        record.write_text("".join(line for line in lines if "/direct_url.json," not in line), "utf-8")


def make_ours(tree: Path, wheels: Path, into: Path) -> Path:
    """The wheel of this project's own code, from the sources in `tree`, by the setuptools that is among `wheels`."""
    _pip("wheel", "--no-index", "--no-deps", "--find-links", str(wheels), "--wheel-dir", str(into), str(tree))
    (ours,) = into.glob("bodycam-*.whl")
    return ours


def _resolve(machine: str, python: str, into: Path) -> dict[str, set[str]]:
    """Requirement and hashes of what the extras need on a machine."""
    _download(machine, python, into, ["--constraint", str(ROOT / "constraints.txt"), *_requirements()])
    found: dict[str, set[str]] = {}
    for wheel in into.glob("*.whl"):
        name, version = wheel.name.split("-")[:2]
        name = name.lower().replace("_", "-")
        if name not in OF_THE_DISTRIBUTION:
            found.setdefault(f"{name}=={version}", set()).add(hashlib.sha256(wheel.read_bytes()).hexdigest())
    return found


def _requirements() -> list[str]:
    """What pyproject.toml asks for, the extras included; markers and all, as pip reads them."""
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    asked = list(project["dependencies"])
    for extra in EXTRAS.split(","):
        asked += project["optional-dependencies"][extra]
    return [line for line in asked if line.split(">")[0].split("=")[0] not in OF_THE_DISTRIBUTION]


def written(found: Mapping[str, set[str]]) -> str:
    """The text of wheels.txt."""
    head = (
        "# Made by `python -m deb.wheels` from constraints.txt; every wheel that the package bundles, by its SHA-256.\n"
    )
    lines = []
    for requirement, hashes in sorted(found.items()):
        lines += [requirement, *(f"--hash=sha256:{digest}" for digest in sorted(hashes))]
        lines[-len(hashes) - 1 :] = [" \\\n    ".join(lines[-len(hashes) - 1 :])]
    return head + "\n".join(lines) + "\n"


def _download(machine: str, python: str, into: Path, what: list[str]) -> None:
    _pip("download", *_tags(machine, python), "--dest", str(into), *what)


def _tags(machine: str, python: str) -> list[str]:
    platforms = [f"manylinux_2_{minor}_{MACHINES[machine]}" for minor in range(GLIBC_TO, 16, -1)]
    tags = ["--only-binary=:all:", "--implementation", "cp", "--python-version", python]
    return tags + [f"--platform={platform}" for platform in [*platforms, f"manylinux2014_{MACHINES[machine]}"]]


def _pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments]
    subprocess.run(command, check=True)


def main() -> int:
    found: dict[str, set[str]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for machine in MACHINES:
            for python in PYTHONS:
                into = Path(folder) / f"{machine}-{python}"
                for requirement, hashes in _resolve(machine, python, into).items():
                    found.setdefault(requirement, set()).update(hashes)
    WHEELS.write_text(written(found), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

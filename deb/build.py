"""`python -m deb.build`: the Debian package, from this tree and the wheels of wheels.txt, into build/deb.

The tree that dpkg-buildpackage sees is made here and holds what is to be installed, laid out as it will lie; debian/rules
only packs it. The wheels are fetched by hash; no step of the packing
needs a network or a compiler, and an arm64 package is made on any machine.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping, Sequence
from email.utils import parsedate_to_datetime
from pathlib import Path

from deb import wheels
from deb.manpage import manpage

ROOT = Path(__file__).resolve().parents[1]
HERE = Path(__file__).resolve().parent
HOME = "usr/lib/bodycam"
"""Where our code and the wheels lie: `python` for every Python, `cp311` and the like for one."""
PLACES = {
    ".service": "usr/lib/systemd/system/{name}.service",
    ".timer": "usr/lib/systemd/system/{name}.timer",
    ".path": "usr/lib/systemd/system/{name}.path",
    ".socket": "usr/lib/systemd/system/{name}.socket",
    ".target": "usr/lib/systemd/system/{name}.target",
    ".sysusers.conf": "usr/lib/sysusers.d/{name}.conf",
    ".tmpfiles.conf": "usr/lib/tmpfiles.d/{name}.conf",
    ".manager.conf": "usr/lib/systemd/system.conf.d/90-{name}.conf",
}
"""Where a file of systemd/ goes, by its ending."""
VERSION = re.compile(r"[0-9]+(\.[0-9]+){1,3}\Z")


def version() -> str:
    """The one place that says it."""
    return str(tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"])


def place(file: Path) -> str:
    """Where a file of systemd/ is installed; `ValueError` for one that this package would silently leave out."""
    for ending, where in PLACES.items():
        if file.name.endswith(ending):
            return where.format(name=file.name.removesuffix(ending))
    raise ValueError(f"{file}: PLACES does not say where such a file is installed")


def changelog(text: str, wanted: str) -> str:
    """debian/changelog, whose newest entry is of the version `wanted`: one for trying out an upgrade is put on top."""
    newest = re.match(r"bodycam \(([^)]+)\)", text)
    assert newest, "debian/changelog begins with an entry"
    if newest[1] == wanted:
        return text
    maintainer = text[text.index("\n -- ") + 1 :].split("\n", maxsplit=1)[0]
    return f"bodycam ({wanted}) unstable; urgency=medium\n\n  * Built for a test.\n\n{maintainer}\n\n{text}"


def date_of(text: str) -> int:
    """When the newest entry was written, in seconds since 1970: the date of every file in the package."""
    said = re.search(r"^ -- .*>  (.*)$", text, re.MULTILINE)
    assert said, "a changelog's entry ends with a date"
    return int(parsedate_to_datetime(said[1]).timestamp())


def lay_out(tree: Path, machine: str, wanted: str) -> None:
    """Everything that is installed, under `tree`/root, and debian/ beside it. `tree` must not be there yet."""
    root = tree / "root"
    for python in wheels.PYTHONS:
        found = wheels.fetch(machine, python, tree.parent / "wheels" / f"{machine}-{python}")
        own = [wheel for wheel in found if not wheels.fits_every_python(wheel)]
        wheels.unpack(own, root / HOME / f"cp{python}", machine, python)
    shared = [wheel for wheel in found if wheels.fits_every_python(wheel)]
    shared.append(_our_wheel(tree, found[0].parent, wanted))
    wheels.unpack(shared, root / HOME / "python", machine, python)
    for file in sorted((ROOT / "systemd").iterdir()):
        _copy(file, root / place(file))
    for file in sorted(path for path in (HERE / "files").rglob("*") if path.is_file()):
        _copy(file, root / file.relative_to(HERE / "files"))
    for name in ("boot_options", "upgrade_guard"):
        _copy(HERE / f"{name}.py", root / HOME / name.replace("_", "-"), executable=True)
    _copy(HERE / "launcher.py", root / "usr/bin/bodycam", executable=True)
    for file in root.rglob("*.so*"):
        file.chmod(0o644)
    shutil.copytree(HERE / "debian", tree / "debian")
    (tree / "debian" / "rules").chmod(0o755)
    log = tree / "debian" / "changelog"
    log.write_text(changelog(log.read_text("utf-8"), wanted), "utf-8")
    (tree / "bodycam.1").write_text(manpage(wanted, date_of(log.read_text("utf-8"))), "utf-8")


def _our_wheel(tree: Path, from_wheels: Path, wanted: str) -> Path:
    sources = tree.parent / f"{tree.name}-sources"
    for name in ("device", "LICENSE", "README.md", "pyproject.toml"):
        here = ROOT / name
        if here.is_dir():
            shutil.copytree(here, sources / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            _copy(here, sources / name)
    project = sources / "pyproject.toml"
    project.write_text(
        project.read_text("utf-8").replace(f'\nversion = "{version()}"\n', f'\nversion = "{wanted}"\n', 1), "utf-8"
    )
    return wheels.make_ours(sources, from_wheels, tree.parent / f"{tree.name}-wheel")


def _copy(file: Path, to: Path, *, executable: bool = False) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, to)
    to.chmod(0o755 if executable else 0o644)


def pack(tree: Path, machine: str, environment: Mapping[str, str]) -> Path:
    """Run dpkg-buildpackage; the package's file. BODYCAM_COMPRESSION in `environment`: dpkg-deb's, for debian/rules."""
    date = str(date_of((tree / "debian" / "changelog").read_text("utf-8")))
    # -d: what the packing needs is here or it fails, and for another machine there is nothing to compile
    subprocess.run(
        ["dpkg-buildpackage", "--build=binary", "--host-arch", machine, "--no-sign", "-d"],
        cwd=tree,
        env={**environment, "SOURCE_DATE_EPOCH": date},
        check=True,
        stdout=subprocess.PIPE,
    )
    (package,) = tree.parent.glob(f"{tree.name.removesuffix('-' + machine).replace('-', '_')}_{machine}.deb")
    return package


def build(into: Path, machine: str, wanted: str, *, compressed: bool = True) -> Path:
    """A package for a machine (`arm64` or `amd64`), of a version, in the folder `into`; a tree that was there is replaced.
    Not `compressed`: a test's, in a third of the time."""
    tree = into.resolve() / f"bodycam-{wanted}-{machine}"
    for old in (tree, tree.with_name(f"{tree.name}-sources"), tree.with_name(f"{tree.name}-wheel")):
        shutil.rmtree(old, ignore_errors=True)
    lay_out(tree, machine, wanted)
    return pack(tree, machine, {**os.environ, **({} if compressed else {"BODYCAM_COMPRESSION": "-Znone"})})


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m deb.build", description=__doc__)
    parser.add_argument("--machine", choices=sorted(wheels.MACHINES), default="arm64")
    parser.add_argument("--version", default=version(), help="another than pyproject.toml's, to try an upgrade")
    parser.add_argument("--into", type=Path, default=ROOT / "build" / "deb")
    options = parser.parse_args(arguments)
    if VERSION.match(options.version) is None:
        parser.error(f"--version {options.version}: want numbers with points, as 0.1.0")
    try:
        print(build(options.into, options.machine, options.version))
    except subprocess.CalledProcessError as failure:
        print(f"deb: {failure.cmd[0]} ended with {failure.returncode}; what it said is above", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

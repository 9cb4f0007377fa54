#!/usr/bin/python3 -I
"""`boot-options add|remove [FILE]`: the memory cgroup in the kernel's command line of Raspberry Pi OS.

Its firmware turns that cgroup off, and without it MemoryMax= of a unit means nothing. `add` puts two words at the end of
cmdline.txt and keeps the file as it was beside it; `remove` takes out what `add` put in and leaves what others changed
meanwhile. A command line without `root=`, or of more than one line, is not touched: a wrong one does not boot. Where there
is no such file nothing is done. Needs the standard library alone; called by the package's scripts, as root.
"""

import os
import sys
from pathlib import Path

CMDLINE = Path("/boot/firmware/cmdline.txt")
WORDS = ("cgroup_enable=memory", "cgroup_memory=1")
AS_IT_WAS = ".before-bodycam"
MAX_BYTES = 4096


class NotTouchedError(Exception):
    """A command line that is not what one looks like."""


def with_words(line: str) -> str:
    """The command line with the words, each once, at its end: a later word wins over the firmware's."""
    _check(line)
    missing = [word for word in WORDS if word not in line.split()]
    return " ".join([line.rstrip(), *missing]) + "\n" if missing else line


def without_words(line: str, before: str) -> str:
    """The command line without the words that were not in it `before`."""
    _check(line)
    ours = [word for word in WORDS if word not in before.split()]
    if not any(word in ours for word in line.split()):
        return line
    return " ".join(word for word in line.split() if word not in ours) + "\n"


def add(file: Path) -> str:
    """What to tell the person."""
    line = _read(file)
    wanted = with_words(line)
    if wanted == line:
        return f"{file}: the memory cgroup is on"
    backup = file.with_name(file.name + AS_IT_WAS)
    if not backup.exists():
        _replace(backup, line)
    _replace(file, wanted)
    return f"{file}: the memory cgroup is on from the next start of the system; the file as it was: {backup}"


def remove(file: Path) -> str:
    backup = file.with_name(file.name + AS_IT_WAS)
    if not backup.exists():
        return f"{file}: left as it is: nothing was put into it"
    line = _read(file)
    wanted = without_words(line, _read(backup))
    if wanted != line:
        _replace(file, wanted)
    backup.unlink()
    return f"{file}: what was put into it is out again"


def _check(line: str) -> None:
    if len(line.strip().splitlines()) != 1:
        raise NotTouchedError("it is not one line")
    if not any(word.startswith("root=") for word in line.split()):
        raise NotTouchedError("it names no root=")


def _read(file: Path) -> str:
    raw = file.read_bytes()
    if len(raw) > MAX_BYTES:
        raise NotTouchedError(f"it is longer than {MAX_BYTES} bytes")
    try:
        return raw.decode("ascii")
    except UnicodeDecodeError as failure:
        raise NotTouchedError("it is not ASCII text") from failure


def _replace(file: Path, text: str) -> None:
    """Whole or not at all, also when the power goes: the file system is FAT, so the bytes are synced before the name."""
    new = file.with_name(file.name + ".new")
    try:
        with new.open("wb") as written:
            written.write(text.encode("ascii"))
            written.flush()
            os.fsync(written.fileno())
        new.replace(file)
    except OSError:
        new.unlink(missing_ok=True)
        raise
    folder = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def main(arguments: list[str]) -> int:
    """0: done, or there is nothing to do; 1: not done, and why; 2: usage."""
    way = {"add": add, "remove": remove}.get(arguments[0]) if arguments else None
    if way is None or len(arguments) > 2:
        print(__doc__, file=sys.stderr)
        return 2
    file = Path(arguments[1]) if len(arguments) == 2 else CMDLINE
    try:
        print(f"bodycam: {way(file)}")
    except FileNotFoundError:
        print(f"bodycam: no {file}: this is no Raspberry Pi OS; the memory cgroup is left as it is")
    except (OSError, NotTouchedError) as failure:
        why = failure.strerror if isinstance(failure, OSError) else failure
        print(f"bodycam: {file} is not touched: {why}; see to `{' '.join(WORDS)}` by hand", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

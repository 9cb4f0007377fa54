"""What the commands of the readers share: standard output, JSON for programs, files that are written whole or not at all."""

import errno
import os
import stat
import sys
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import msgspec
from rich.console import Console

from device.errors import UsageError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EIO)
_WAY_OUT = "name a file in a folder that can be written"


class Output(Console):
    """Standard output. One that was closed early is the command's to report, not rich's."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def print_json(what: object) -> None:
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(what)).decode() + "\n")


def safe(text: str) -> str:
    """On one line, and with nothing in it that a terminal obeys."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def check_replaceable(output: Path, key: str, inputs: Iterable[Path] = ()) -> None:
    """`UsageError` (with the option `key`) when what is at `output` may not be replaced, whatever is forced: a folder, a
    link, a device or another special file, or one of the command's own `inputs`."""
    for given in inputs:
        with suppress(OSError):
            if output.samefile(given):
                raise UsageError(safe(f"{key} {output}: that is {given}, which the command reads; name another file"))
    try:
        mode = output.lstat().st_mode
    except FileNotFoundError:
        return
    except OSError as failure:
        raise UsageError(safe(f"{key} {output}: {failure.strerror}; {_WAY_OUT}")) from failure
    if stat.S_ISLNK(mode):
        raise UsageError(safe(f"{key} {output}: that is a link; name the file itself, or another"))
    if stat.S_ISDIR(mode):
        raise UsageError(safe(f"{key} {output}: that is a folder; name a file"))
    if not stat.S_ISREG(mode):
        raise UsageError(safe(f"{key} {output}: that is no regular file; name another"))


def check_output(output: Path, key: str, inputs: Iterable[Path] = (), *, force: bool) -> None:
    """The same; and without `force` nothing may be there."""
    check_replaceable(output, key, inputs)
    if os.path.lexists(output) and not force:
        raise UsageError(safe(f"{key} {output}: it is there already; name another file, or give --force"))


def write_whole(output: Path, content: str | bytes, key: str, inputs: Iterable[Path] = (), *, force: bool) -> None:
    """Write a file beside its place, under a random name, then put it there. `UsageError` when it can't be there;
    `OSError` when it can't be written: a full disk."""
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{output.name[:50]}.", dir=output.parent.resolve(strict=True))
    except OSError as failure:
        if failure.errno in _FULL:
            raise
        raise UsageError(safe(f"{key} {output}: {failure.strerror}; {_WAY_OUT}")) from failure
    beside = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        beside.chmod(0o644)
        check_output(output, key, inputs, force=force)  # once more: the work before this may have taken long
        beside.replace(output)
    except OSError as failure:
        raise OSError(safe(f"{key} {output}: {failure.strerror}; it was not written")) from failure
    finally:
        beside.unlink(missing_ok=True)

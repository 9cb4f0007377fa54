"""What the commands of the readers share: standard output, JSON for programs, files that are written whole or not at all."""

import os
import sys
import tempfile
from pathlib import Path

import msgspec
from rich.console import Console

from device.errors import UsageError


class Output(Console):
    """Standard output. One that was closed early is the command's to report, not rich's."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def print_json(what: object) -> None:
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(what)).decode() + "\n")


def write_whole(output: Path, text: str, key: str) -> None:
    """Write a text file beside its place, then put it there; `UsageError` (with the option `key`) when it can't be."""
    way_out = "name a file in a folder that can be written"
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{output.name[:100]}.", dir=output.parent)
    except OSError as failure:
        raise UsageError(f"{key} {output}: {failure.strerror}; {way_out}") from failure
    beside = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        beside.chmod(0o644)
        beside.replace(output)
    except OSError as failure:
        raise UsageError(f"{key} {output}: {failure.strerror}; {way_out}") from failure
    finally:
        beside.unlink(missing_ok=True)

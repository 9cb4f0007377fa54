"""The status file: what the device is doing now, for `bodycam status` and the fault light. On a file system in memory.

Replaced as a whole, so a reader never sees half of it. Control thread.
"""

import logging
import os
from pathlib import Path

import msgspec

from device.errors import UsageError

log = logging.getLogger("bodycam")

MAX_STATUS_BYTES = 64 * 1024


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """Times in boot µs; `held_us`: how much pre-event the ring has."""

    device: str
    policy: str
    state: str
    recording: str
    muted: bool
    ready: bool
    docked: bool
    faults: tuple[str, ...]
    held_us: int
    ring_bytes: int
    refused_frames: int
    boot_us: int
    boot: str


class StatusFile:
    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, status: Status) -> None:
        """Write it, for everybody on the device to read; one that can't be written is logged: it is only for show."""
        beside = self._path.with_suffix(".new")
        try:
            beside.write_bytes(msgspec.json.encode(status) + b"\n")
            beside.chmod(0o644)
            beside.replace(self._path)
        except OSError as failure:
            log.warning("status: %s", failure)

    def remove(self) -> None:
        self._path.unlink(missing_ok=True)


def read_status(path: Path) -> Status:
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:
            return msgspec.json.decode(file.read(MAX_STATUS_BYTES), type=Status)
    except OSError as failure:
        raise UsageError(f"{path}: {failure.strerror}; is the daemon running?") from failure
    except msgspec.DecodeError as failure:
        raise UsageError(f"{path}: not a status file ({failure})") from failure

"""The log of a block device, and what is left of it after a power cut.

qemu's `blklogwrites` writes what dm-log-writes does: a superblock of one sector, then for each request a header of one sector
and the data. A device with a volatile write cache keeps everything up to the last flush it completed; of what came later each
write may be there, be lost, or be torn: some of its 512-byte sectors are there and some are not, in any order.
"""

import random
import struct
from pathlib import Path

import msgspec

SECTOR_BYTES = 512
MAGIC, VERSION = 0x6A736677736872, 1
FLUSH, FUA, DISCARD, MARK = 1, 2, 4, 8
KNOWN = FLUSH | FUA | DISCARD | MARK
MAX_ENTRIES = 1_000_000
_HEADER = struct.Struct("<4Q")
_SUPER = struct.Struct("<3QI")
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""How much of what was not flushed survives, drawn for each cut."""
TORN = 0.2
"""Of the writes that are there or not, so many are torn instead."""


class CutLogError(Exception):
    """Not a log of this device's."""


class Entry(msgspec.Struct, frozen=True):
    """One request: where on the device, how many sectors, which kind; `at`: where its data begin in the log, in bytes."""

    sector: int
    sectors: int
    flags: int
    at: int


class CutLog:
    """A log that may still grow; `device_bytes`: how large the device is. Any bytes are read or refused (`CutLogError`)."""

    def __init__(self, path: Path, device_bytes: int) -> None:
        self._file = path.open("rb", buffering=0)
        self._device_sectors = device_bytes // SECTOR_BYTES
        self._next = SECTOR_BYTES
        self.entries: list[Entry] = []
        self.flushes: list[int] = []

    def close(self) -> None:
        self._file.close()

    def grow(self) -> int:
        """Read what has been added; how many requests there are now."""
        size = self._file.seek(0, 2)
        while self._next + SECTOR_BYTES <= size:
            self._file.seek(self._next)
            sector, sectors, flags, _ = header = _HEADER.unpack(self._file.read(_HEADER.size))
            if header == (0, 0, 0, 0):
                break
            self._check(header, size)
            self.entries.append(Entry(sector, sectors, flags, self._next + SECTOR_BYTES))
            if flags & FLUSH:
                self.flushes.append(len(self.entries))
            self._next += SECTOR_BYTES + (0 if flags & DISCARD else sectors * SECTOR_BYTES)
        return len(self.entries)

    def _check(self, header: tuple[int, ...], size: int) -> None:
        sector, sectors, flags, _ = header
        place = f"request {len(self.entries)} at byte {self._next}"
        if flags & ~KNOWN:
            raise CutLogError(f"{place}: unknown kind {flags:#x}")
        if sector + sectors > self._device_sectors:
            raise CutLogError(f"{place}: {sectors} sectors from {sector} on a device of {self._device_sectors}")
        if not flags & DISCARD and self._next + (1 + sectors) * SECTOR_BYTES > size:
            raise CutLogError(f"{place}: its data end past the log's {size} bytes")
        if len(self.entries) >= MAX_ENTRIES:
            raise CutLogError(f"{place}: more than {MAX_ENTRIES}")

    def check_super(self) -> None:
        """Once the device is closed the superblock says what the log is."""
        self._file.seek(0)
        data = self._file.read(_SUPER.size)
        if len(data) < _SUPER.size:
            raise CutLogError("no superblock")
        magic, version, count, sector_bytes = _SUPER.unpack(data)
        if (magic, version, sector_bytes) != (MAGIC, VERSION, SECTOR_BYTES):
            raise CutLogError(f"not a log of this kind: {magic:#x}, version {version}, sectors of {sector_bytes}")
        if count > len(self.entries):
            raise CutLogError(f"the superblock counts {count} requests, {len(self.entries)} are there")

    def data(self, entry: Entry) -> bytes:
        self._file.seek(entry.at)
        return b"" if entry.flags & DISCARD else self._file.read(entry.sectors * SECTOR_BYTES)


class Medium:
    """What the device holds, cut after cut in rising order. `image`: what it held when the log began."""

    def __init__(self, image: bytes, log: CutLog) -> None:
        self._stable = bytearray(image)
        self._log = log
        self._done = 0

    def cut(self, length: int, odds: random.Random) -> bytearray:
        """What survives when the power goes after `length` requests."""
        flushed = max((count for count in self._log.flushes if count <= length), default=0)
        assert flushed >= self._done, "cuts come in rising order"
        for entry in self._log.entries[self._done : flushed]:
            self._put(self._stable, entry, self._log.data(entry))
        self._done = flushed
        left = bytearray(self._stable)
        share = odds.choice(SHARES)
        for entry in self._log.entries[flushed:length]:
            self._survive(left, entry, share, odds)
        return left

    def _survive(self, left: bytearray, entry: Entry, share: float, odds: random.Random) -> None:
        data = self._log.data(entry)
        torn, there = odds.random() < TORN and 0 < share < 1, odds.random() < share
        if entry.flags & FUA or (there and not torn):
            self._put(left, entry, data)
        elif torn:
            for at in range(0, len(data), SECTOR_BYTES):
                if odds.random() < share:
                    start = entry.sector * SECTOR_BYTES + at
                    left[start : start + SECTOR_BYTES] = data[at : at + SECTOR_BYTES]

    @staticmethod
    def _put(image: bytearray, entry: Entry, data: bytes) -> None:
        start = entry.sector * SECTOR_BYTES
        image[start : start + len(data)] = data

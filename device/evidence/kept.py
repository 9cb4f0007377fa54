"""The journal's lines once they were checked: all of them for an audit; for `verify` their digests only, 40 bytes a line.

What was not kept is read again when it is asked for, and counts when it has the digest that it had. No judgement is made
here. `EvidenceError` when the file has changed since.
"""

from array import array
from collections.abc import Iterator
from pathlib import Path

import msgspec

from device.errors import EvidenceError
from device.evidence import records
from device.evidence.chain import ReadLine, Walk
from device.evidence.envelope import MAX_LINE_BYTES, open_line
from device.evidence.reading import read_part
from device.evidence.records import Boot, JournalRecord, Line, Provisioned, Stopped, Torn

_DIGEST_BYTES = 32


class KeptLines:
    """The good lines of one epoch's file. The first and the last are always at hand."""

    def __init__(self, path: Path, walk: Walk[JournalRecord], *, whole: bool) -> None:
        self._path = path
        self._whole: list[ReadLine[JournalRecord]] | None = [] if whole else None
        self._begins = array("Q")
        self._digests = bytearray()
        self._first: ReadLine[JournalRecord] | None = None
        self._last: ReadLine[JournalRecord] | None = None
        for line in walk:
            self._begins.append(walk.begins)
            self._digests += bytes.fromhex(line.sha256)
            self._first = self._first or line
            self._last = line
            if self._whole is not None:
                self._whole.append(line)

    def __len__(self) -> int:
        return len(self._begins)

    def __getitem__(self, n: int) -> ReadLine[JournalRecord]:
        n = n + len(self) if n < 0 else n
        if self._whole is not None:
            return self._whole[n]
        if n == 0 and self._first is not None:
            return self._first
        if n == len(self) - 1 and self._last is not None:
            return self._last
        return self._read(n)

    def __iter__(self) -> Iterator[ReadLine[JournalRecord]]:
        return iter(self._whole) if self._whole is not None else map(self._read, range(len(self)))

    def index(self, place: Line) -> int:
        """Where the line of this sequence number and digest is; -1 when it is not here."""
        n = place.seq - self[0].record.seq
        return n if 0 <= n < len(self) and self._digest(n) == place.sha256 else -1

    def find(self, sha256: str) -> int:
        """Where the line of this digest is; -1 when it is not here."""
        raw, at = bytes.fromhex(sha256), 0
        while (at := self._digests.find(raw, at)) >= 0:
            if at % _DIGEST_BYTES == 0:
                return at // _DIGEST_BYTES
            at += 1
        return -1

    def place(self, n: int) -> Line:
        first = self[0].record
        return Line(stream=first.stream, seq=first.seq + n, sha256=self._digest(n))

    def cut(self, count: int) -> None:
        """Keep only so many, at least one."""
        self._last = self[count - 1]
        del self._begins[count:]
        del self._digests[count * _DIGEST_BYTES :]
        if self._whole is not None:
            del self._whole[count:]

    def _digest(self, n: int) -> str:
        return self._digests[n * _DIGEST_BYTES : (n + 1) * _DIGEST_BYTES].hex()

    def _read(self, n: int) -> ReadLine[JournalRecord]:
        size = self._begins[n + 1] - self._begins[n] if n + 1 < len(self) else MAX_LINE_BYTES + 1
        signed = open_line(read_part(self._path, self._begins[n], size).partition(b"\n")[0])
        if signed.sha256 != self._digest(n):
            raise EvidenceError(f"{self._path.name}: it changed while it was read")
        return ReadLine(records.decode_journal(signed.payload), signed.payload, signed.sha256)


class Epoch(msgspec.Struct):
    """One journal file that can be believed. `chain` counts a card's journals; `lines` are those that still count."""

    name: str
    chain: int
    statement: Provisioned
    boot: Boot
    lines: KeptLines
    torn: Torn | None

    @property
    def stopped(self) -> bool:
        return self.torn is None and isinstance(self.lines[-1].record, Stopped)


class Place(msgspec.Struct, frozen=True):
    """Where a believed line stands."""

    line: Line
    epoch: Epoch


class Places(msgspec.Struct):
    """Every believed line of a history, by its digest."""

    epochs: list[Epoch] = msgspec.field(default_factory=list)

    def __len__(self) -> int:
        return sum(len(epoch.lines) for epoch in self.epochs)

    def __contains__(self, sha256: str) -> bool:
        return self.get(sha256) is not None

    def get(self, sha256: str) -> Place | None:
        for epoch in self.epochs:
            if (n := epoch.lines.find(sha256)) >= 0:
                return Place(epoch.lines.place(n), epoch)
        return None

    def at(self, line: Line) -> Place | None:
        """The same of a line whose epoch and number are known, at once. None when another line stands there."""
        for epoch in self.epochs:
            if epoch.name == line.stream:
                return Place(line, epoch) if epoch.lines.index(line) >= 0 else None
        return None

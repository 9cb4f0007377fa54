"""What a ledger names, as it stands in its records: for a page that lists it. `verify` has judged it before."""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from device.errors import EvidenceError
from device.evidence import layout, records
from device.evidence.envelope import open_line
from device.evidence.records import RecordingOpened, Segments, Stored
from device.evidence.recovery import ledger_lines


class Listed(msgspec.Struct, frozen=True):
    """A file's name, and its bytes and digests as they were signed."""

    name: str
    stored: Stored


def files_named(folder: Path, ledger_sha256: str, segments: int) -> list[Listed]:
    """The init and so many segments of a ledger that has this digest; `EvidenceError` when its file has another now."""
    pieces = ledger_lines(folder)
    listed = list(_named(iter(pieces), segments))
    if pieces.sha256() != ledger_sha256:
        raise EvidenceError(f"{layout.LEDGER}: it changed after it was verified")
    return listed


def _named(pieces: Iterator[bytes], segments: int) -> Iterator[Listed]:
    for piece in pieces:
        try:
            record = records.decode_ledger(open_line(piece.removesuffix(b"\n")).payload)
        except EvidenceError:
            continue
        if isinstance(record, RecordingOpened):
            yield Listed(layout.INIT, record.init)
        for segment in record.segments if isinstance(record, Segments) else ():
            if segments > 0:
                segments -= 1
                yield Listed(layout.segment_file(segment.n, segment.attempt), segment.file)

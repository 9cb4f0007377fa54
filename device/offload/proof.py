"""What the last signed record of a recording says of the whole: its totals and its tree root. For both ends of a receipt."""

from pathlib import Path

import msgspec

from device.errors import EvidenceError
from device.evidence import layout, records
from device.evidence.chain import ReadChain
from device.evidence.ending import MAX_RECOVERY_BYTES
from device.evidence.envelope import line_digest, open_line
from device.evidence.reading import read_file
from device.evidence.records import LedgerRecord, RecordingClosed, RecordingRecovered, Totals, Tree
from device.offload.pack import Ended


class End(msgspec.Struct, frozen=True):
    totals: Totals
    tree: Tree


def proven_end(ledger: ReadChain[LedgerRecord], card: Path, ended: Ended) -> End:
    """The record at the line that the journal names as the recording's last; `EvidenceError` when it is not there."""
    last = ledger.lines[-1] if ledger.lines else None
    if last is not None and last.place == ended.head and isinstance(last.record, RecordingClosed):
        return End(last.record.totals, last.record.tree)
    folder = card / layout.recording_folder(ended.recording)
    for n in range(layout.MAX_RECOVERIES):
        line = (read_file(folder / layout.recovery_file(n), MAX_RECOVERY_BYTES) or b"").split(b"\n", 1)[0]
        if line_digest(line) == ended.head.sha256:  # which a signed line of the journal vouches for
            record = records.decode_ledger(open_line(line).payload)
            if isinstance(record, RecordingRecovered):
                return End(record.totals, record.tree)
    raise EvidenceError(f"{ended.recording}: the line that ends it, by the journal, is not there")

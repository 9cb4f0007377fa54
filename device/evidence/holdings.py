"""What the agency holds of this card, as the daemon knows it: receipts that are journaled, and whether one proves that a
recording may go.

The spool's thread reads the card's durable files here, and only reads; whole journals and ledgers go by one line at a
time. Nothing is believed that this device's key did not sign; what is damaged is for `verify` to say.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from device.errors import EvidenceError
from device.evidence import layout, records
from device.evidence.documents import kept, read_identities
from device.evidence.envelope import SignedLine, line_digest, open_line, verify_line
from device.evidence.identity import Role, common_name, p256_key, why_not_trusted
from device.evidence.journal import MAX_EPOCH_BYTES
from device.evidence.reading import lines_in, names_in, read_file, real_folder, regular_size
from device.evidence.receipts import MAX_RECEIPT_BYTES, Receipt, read_receipt
from device.evidence.records import (
    Anchor,
    LedgerRecord,
    Line,
    Receipted,
    RecordingClosed,
    RecordingOpened,
    RecordingRecovered,
    Released,
    Segments,
    Tree,
)
from device.evidence.recovery import MAX_LEDGER_BYTES
from device.evidence.signed_file import Anchors
from device.evidence.tree import MerkleTree

_OF_CUSTODY = (
    b'{"payload":"eyJ0eXBlIjoicmVjZWlw',
    b'{"payload":"eyJ0eXBlIjoicmVsZWFz',
    b'{"payload":"eyJ0eXBlIjoiYW5jaG9y',
)
"""How lines begin whose type begins with `receip`, `releas` or `anchor`: the others are passed over unread."""
_MAX_RECOVERY_BYTES = 2 * records.MAX_PAYLOAD_BYTES


_End = TypeVar("_End", RecordingClosed, RecordingRecovered)


class Ours(msgspec.Struct, frozen=True):
    """A card, the device that writes it, its keys (more than one where a key was replaced), the agency's anchors."""

    card: Path
    device: str
    keys: tuple[ec.EllipticCurvePublicKey, ...]
    anchors: Anchors


class Proof(msgspec.Struct, frozen=True):
    """That the agency holds a recording: made by `prove` alone. `files` are what its receipt covers and is still here;
    `size` is their bytes."""

    recording: str
    receipt_sha256: str
    files: tuple[str, ...]
    size: int


class Holdings(msgspec.Struct):
    """Receipts by digest, as they were journaled; which receipt each released recording went under; the anchors that the
    journal holds, by digest; and why some of it could not be read, by place on the card."""

    receipts: dict[str, Receipt] = msgspec.field(default_factory=dict)
    released: dict[str, str] = msgspec.field(default_factory=dict)
    anchors: set[str] = msgspec.field(default_factory=set)
    unread: dict[str, str] = msgspec.field(default_factory=dict)

    @property
    def newest(self) -> tuple[str, Receipt] | None:
        """The receipt that reaches furthest into this card's journal; of several, the one that was taken last."""
        furthest: tuple[str, Receipt] | None = None
        for sha256, receipt in self.receipts.items():
            if furthest is None or _position(receipt.journal_head) >= _position(furthest[1].journal_head):
                furthest = (sha256, receipt)
        return furthest

    def after(self, sha256: str) -> Receipt | None:
        """The receipt that names this one as the one before it."""
        return next((receipt for receipt in self.receipts.values() if receipt.previous == sha256), None)


def whose(card: Path, device: str, own: ec.EllipticCurvePublicKey, anchors: Anchors) -> Ours:
    """The device's own key, and those of its certificates on the card that the agency issued."""
    certificates = read_identities(card).certificates.values()
    keys = [
        p256_key(certificate)
        for certificate in certificates
        if common_name(certificate) == device and not why_not_trusted(certificate, Role.LEDGER, anchors, None)
    ]
    return Ours(card, device, (own, *(key for key in keys if key != own)), anchors)


def read_holdings(ours: Ours) -> Holdings:
    """What the journal on the card says. What of it can't be read says nothing, and is told."""
    holdings = Holdings()
    for record in _journaled(ours, holdings):
        if isinstance(record, Receipted):
            _take_receipted(ours, holdings, record)
        elif isinstance(record, Released):
            holdings.released[record.recording] = record.receipt_sha256
        else:
            holdings.anchors.add(record.sha256)
    return holdings


def _take_receipted(ours: Ours, holdings: Holdings, record: Receipted) -> None:
    try:
        data = kept(ours.card, layout.receipt_file, record.receipt_sha256, MAX_RECEIPT_BYTES)
    except EvidenceError as failure:
        holdings.unread[layout.receipt_file(record.receipt_sha256)] = str(failure)
        return
    try:
        receipt, _ = read_receipt(data or b"", ours.anchors, None)
    except EvidenceError:
        return
    if receipt.recording == record.recording and receipt.device == ours.device:
        holdings.receipts[record.receipt_sha256] = receipt


def _journaled(ours: Ours, holdings: Holdings) -> Iterator[Receipted | Released | Anchor]:
    try:
        names = names_in(ours.card / layout.JOURNAL)
    except EvidenceError as failure:
        holdings.unread[layout.JOURNAL] = str(failure)
        return
    for name in names:
        if layout.epoch_number(name) is None:
            continue
        try:
            for line in lines_in(ours.card / layout.JOURNAL / name, MAX_EPOCH_BYTES):
                record = _of_custody(ours, line) if line.startswith(_OF_CUSTODY) else None
                if record is not None:
                    yield record
        except EvidenceError as failure:
            holdings.unread[f"{layout.JOURNAL}/{name}"] = str(failure)


def _of_custody(ours: Ours, line: bytes) -> Receipted | Released | Anchor | None:
    try:
        signed = open_line(line)
        record = records.decode_journal(signed.payload)
    except EvidenceError:
        return None
    if not isinstance(record, Receipted | Released | Anchor) or record.device != ours.device:
        return None
    return record if _signed(ours, signed) else None


def check_extends(ours: Ours, holdings: Holdings, sha256: str, receipt: Receipt) -> None:
    """`EvidenceError` says why a receipt has no place among those of this card.

    The agency's chain is one a device, and a device may have several cards: the receipt before it may be another card's.
    Then its journal head must be after that of the newest here. One that came late is taken where it was missing.
    """
    check_in_journal(ours, receipt.journal_head)
    here = _position(receipt.journal_head)
    after = holdings.after(sha256)
    if after is not None:
        if here > _position(after.journal_head):
            raise EvidenceError(
                f"its journal head, line {receipt.journal_head.seq}, is after that of the receipt after it, line "
                f"{after.journal_head.seq}"
            )
        return
    newest = holdings.newest
    if newest is None:
        return
    if receipt.previous is None or any(other.previous == receipt.previous for other in holdings.receipts.values()):
        raise EvidenceError(f"the receipt before it is {receipt.previous or 'none'}, another receipt follows already")
    least = _position(newest[1].journal_head)
    if here < least or (here == least and receipt.previous != newest[0]):
        raise EvidenceError(
            f"its journal head, line {receipt.journal_head.seq}, is not after that of the newest receipt here, line "
            f"{newest[1].journal_head.seq}"
        )


def check_in_journal(ours: Ours, head: Line) -> None:
    """`EvidenceError` unless this is a line of this device's journal on this card."""
    if layout.epoch_number(f"{head.stream}.jsonl") is not None:
        for line in lines_in(ours.card / layout.epoch_file(head.stream), MAX_EPOCH_BYTES):
            if line_digest(line) == head.sha256:
                signed = open_line(line)
                record = records.decode_journal(signed.payload)
                if (record.stream, record.seq) == (head.stream, head.seq) and _signed(ours, signed):
                    return
    raise EvidenceError(f"line {head.seq} of journal {head.stream}, which it names, is not in this journal")


def _position(head: Line) -> tuple[int, int]:
    return layout.epoch_number(f"{head.stream}.jsonl") or 0, head.seq


def prove(ours: Ours, sha256: str, receipt: Receipt) -> Proof:
    """The proof that a receipt is of what is on this card; `EvidenceError` says why it is not.

    The tree over the ledger's lines must have the root that the agency signed, and the last line must be this device's.
    """
    if receipt.device != ours.device:
        raise EvidenceError(f"it is for the device {receipt.device}, and this is {ours.device}")
    folder = ours.card / layout.recording_folder(receipt.recording)
    if not real_folder(folder):
        raise EvidenceError(f"it is of {receipt.recording}, which is not on this card")
    end: RecordingClosed | RecordingRecovered | None = _recovered(ours, receipt)
    limit = end.tree.size if end is not None else None
    tree = MerkleTree()
    names: list[tuple[str, int]] = []
    for line in lines_in(folder / layout.LEDGER, MAX_LEDGER_BYTES):
        if tree.size == limit:
            break
        signed = open_line(line)
        record = records.decode_ledger(signed.payload)
        if isinstance(record, RecordingClosed):
            end = _end(ours, receipt, signed, record)
            break
        tree.append(signed.payload)
        names += _named(record)
    if end is None:
        raise EvidenceError(f"its ledger head is not the last line of {receipt.recording}")
    said = (receipt.root, receipt.segments, receipt.size)
    if (
        end.tree != Tree(size=tree.size, root=tree.root())
        or (end.tree.root, end.totals.segments, end.totals.size) != said
    ):
        raise EvidenceError(f"its root or its counts are not those of {receipt.recording}")
    here = [(f"{layout.recording_folder(receipt.recording)}/{name}", size) for name, size in names]
    here = [(path, size) for path, size in here if regular_size(ours.card / path) is not None]
    return Proof(receipt.recording, sha256, tuple(path for path, _ in here), sum(size for _, size in here))


def _recovered(ours: Ours, receipt: Receipt) -> RecordingRecovered | None:
    """The recovery that the receipt names as the recording's last line."""
    for n in range(layout.MAX_RECOVERIES):
        path = ours.card / layout.recording_folder(receipt.recording) / layout.recovery_file(n)
        data = read_file(path, _MAX_RECOVERY_BYTES) or b""
        if data.endswith(b"\n") and line_digest(data[:-1]) == receipt.ledger_head.sha256:
            signed = open_line(data[:-1])
            record = records.decode_ledger(signed.payload)
            if isinstance(record, RecordingRecovered) and _end(ours, receipt, signed, record) is not None:
                return record
    return None


def _end(ours: Ours, receipt: Receipt, signed: SignedLine, record: _End) -> _End | None:
    """The record, when it is the very line of this device that the receipt names."""
    place = Line(stream=record.stream, seq=record.seq, sha256=signed.sha256)
    here = record.device == ours.device and record.stream == receipt.recording
    return record if here and place == receipt.ledger_head and _signed(ours, signed) else None


def _named(record: LedgerRecord) -> list[tuple[str, int]]:
    """The files that a record names, and their bytes."""
    if isinstance(record, RecordingOpened):
        return [(layout.INIT, record.init.size)]
    if isinstance(record, Segments):
        return [(layout.segment_file(s.n, s.attempt), s.file.size) for s in record.segments]
    return []


def _signed(ours: Ours, signed: SignedLine) -> bool:
    return signed.payload_type == records.RECORD_TYPE and any(verify_line(signed, key) for key in ours.keys)

"""When: what the agency's words say of a card's journal, and of the recordings that stand between its lines.

Three words count: a nonce (what is after it in the journal is not before its time), a signature over a line, and a
receipt (what is up to that line is not after its time). Each is the agency's, under the anchors of the person who asks.
Nothing found on a card raises.
"""

import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import msgspec

from device.errors import EvidenceError, UsageError
from device.evidence import layout
from device.evidence.history import History
from device.evidence.identity import Role, parse_utc, why_not_for
from device.evidence.kept import Place
from device.evidence.kept_receipts import Kept, read_receipt_then
from device.evidence.outside import CosignedHead, DockNonce, Outside, kind_of, read_outside, statement_of
from device.evidence.reading import read_file
from device.evidence.receipts import MAX_RECEIPT_BYTES
from device.evidence.records import Anchor, Line
from device.evidence.revocation import Revocations
from device.evidence.signed_file import Anchors
from device.evidence.verdicts import Finding, printable

KINDS = ("dock-nonce", "cosigned-head")
_HEAD = re.compile(r"[0-9a-fA-F]{64}")
_WANTED = "give the 64 hexadecimal digits of a journal line, or a file of the agency's: a receipt or a cosigned head"


class Seen(msgspec.Struct, frozen=True):
    """A place in a journal, and the agency's time: a nonce that stands there, or a line that it held then."""

    chain: int
    seq: int
    utc: str
    word: str


class Bounds(msgspec.Struct, frozen=True):
    """Between which of the agency's times something was signed; None where no word bounds it."""

    not_before: Seen | None = None
    not_after: Seen | None = None

    def words(self) -> Iterator[tuple[str, Seen]]:
        if self.not_before is not None:
            yield "before", self.not_before
        if self.not_after is not None:
            yield "after", self.not_after

    @property
    def proven_by(self) -> datetime | None:
        """By when, as the agency's word proves, it was signed."""
        return parse_utc(self.not_after.utc) if self.not_after is not None else None

    def nearest(self, claimed: datetime | None) -> datetime | None:
        """The moment within the bounds that is nearest to the claimed one; without a claim, the later bound."""
        first = parse_utc(self.not_before.utc) if self.not_before is not None else None
        last = parse_utc(self.not_after.utc) if self.not_after is not None else None
        if claimed is None:
            return last or first
        if first is not None and claimed < first:
            return first
        return last if last is not None and claimed > last else claimed


NO_BOUNDS = Bounds()


class Dating(msgspec.Struct):
    """Every word that counts. `findings`: lines that the agency saw and that are not here, and words that do not count."""

    nonces: list[Seen] = msgspec.field(default_factory=list)
    lines: list[Seen] = msgspec.field(default_factory=list)
    findings: list[Finding] = msgspec.field(default_factory=list)

    def bounds(self, begins: Place | None, ended: Place | None) -> Bounds:
        """Of what was signed after the journal's line `begins` and before its line `ended`."""
        before = [
            n for n in self.nonces if begins is not None and _at(begins)[0] == n.chain and n.seq <= _at(begins)[1]
        ]
        after = [s for s in self.lines if ended is not None and _at(ended)[0] == s.chain and s.seq >= _at(ended)[1]]
        return Bounds(
            max(before, key=lambda seen: seen.utc, default=None), min(after, key=lambda seen: seen.utc, default=None)
        )

    @property
    def newest(self) -> Seen | None:
        """The line furthest on that the agency held."""
        return max(self.lines, key=lambda seen: (seen.chain, seen.seq), default=None)


def dating(history: History, kept: Kept, anchors: Anchors, revoked: Revocations) -> Dating:
    """What the card's own anchors and receipts say."""
    found = Dating()
    for sha256, record in history.anchors:
        place = history.places.get(sha256)
        if place is not None and isinstance(record, Anchor) and record.kind in KINDS:
            _take(history, found, place, record, anchors, revoked)
    devices = {epoch.statement.device for epoch in history.epochs}
    for sha256, receipt in kept.good.items():
        if receipt.device in devices:
            where = layout.receipt_file(sha256)
            _take_line(history, found, receipt.journal_head, receipt.utc, "receipt", where)
    return found


def _take(
    history: History, found: Dating, place: Place, record: Anchor, anchors: Anchors, revoked: Revocations
) -> None:
    where = f"{layout.epoch_file(place.line.stream)}, line {place.line.seq}"
    try:
        said = _outside(statement_of(record), anchors, revoked)
        _check_fits(said, record, place.epoch.statement.device)
    except EvidenceError as failure:
        found.findings.append(Finding(question="note", place=where, what=f"an anchor that does not count: {failure}"))
        return
    if isinstance(said, DockNonce):
        found.nonces.append(Seen(*_at(place), said.utc, "nonce"))
    else:
        _take_line(history, found, said.head, said.utc, "cosignature", where)


def _check_fits(said: Outside, record: Anchor, device: str) -> None:
    about = said.head == record.head if isinstance(said, CosignedHead) else True
    if kind_of(said) != record.kind or said.device != device or not about:
        raise EvidenceError("it is of another kind, or about another device or line, than its record says")


def _take_line(history: History, found: Dating, head: Line, utc: str, word: str, where: str) -> None:
    place = history.places.get(head.sha256)
    if place is None or place.line != head:
        what = (
            f"the agency held line {head.seq} on {utc}, which is not in the journal: it was rolled back, forked or cut"
        )
        found.findings.append(Finding(question="content", place=where, what=what))
    else:
        found.lines.append(Seen(*_at(place), utc, word))


def _at(place: Place) -> tuple[int, int]:
    return place.epoch.chain, place.line.seq


def _outside(data: bytes, anchors: Anchors, revoked: Revocations) -> Outside:
    """A word whose signer's certificate was valid, and not revoked, when the agency says that it signed."""
    said, certificate = read_outside(data, anchors, None)
    at = parse_utc(said.utc)
    why = why_not_for(certificate, Role.RECEIPT, at) or revoked.judge(certificate, at)[0]
    if why:
        raise EvidenceError(why)
    return said


class KnownHead(msgspec.Struct, frozen=True):
    """A line of a journal that is known from outside a card, and by what."""

    sha256: str
    said: str


def known_head(given: str, anchors: Anchors, revoked: Revocations) -> KnownHead:
    """What `--head` names: 64 digits, or a file that the agency signed under the anchors. `UsageError` for all else."""
    if _HEAD.fullmatch(given):
        return KnownHead(given.lower(), "a line known from outside")
    try:
        data = read_file(Path(given).resolve(), MAX_RECEIPT_BYTES)
        return _head_of(data, anchors, revoked)
    except (EvidenceError, OSError, RuntimeError, ValueError) as failure:
        raise UsageError(f"--head {printable(given)}: {printable(str(failure))}; {_WANTED}") from failure


def _head_of(data: bytes | None, anchors: Anchors, revoked: Revocations) -> KnownHead:
    if data is None:
        raise EvidenceError("neither a SHA-256 nor a file")
    try:
        receipt = read_receipt_then(data, anchors, revoked)
    except EvidenceError as no_receipt:
        try:
            said = _outside(data, anchors, revoked)
        except EvidenceError:
            raise no_receipt from None
        if not isinstance(said, CosignedHead):
            raise EvidenceError("a nonce, which names no line of a journal") from None
        return KnownHead(said.head.sha256, f"the agency's cosignature of {said.utc}")
    return KnownHead(receipt.journal_head.sha256, f"the agency's receipt of {receipt.utc}")

"""One look at a card and at the store: what is over is sent, what was sent is compared, what the agency signed for is
handed to the daemon. Deletes nothing, on the card or in the store: only the daemon frees space, and only on a receipt.

The order is the journal's. A recording that can't be read is said and passed over; a store that fails ends the look, and
the next one goes on there. Off-load process, main thread.
"""

import hashlib
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from device.clock import Clock
from device.errors import EvidenceError, StoreError
from device.evidence import layout, records
from device.evidence.bundle import Anchors
from device.evidence.reading import read_file
from device.evidence.receipts import MAX_RECEIPT_BYTES, Receipt, file_sha256, read_receipt
from device.evidence.verdicts import printable
from device.offload.memory import Memory, Sent
from device.offload.naming import object_name, receipt_name
from device.offload.pack import CardReader, Ended, Packed
from device.offload.proof import proven_end
from device.offload.stores import Keeping, Store


class Outcome(msgspec.Struct, frozen=True):
    """What a look did about one recording: `sent`, `awaiting-receipt`, `handed-in`, `refused`, `left-alone`, `not-yet`."""

    recording: str
    what: str
    said: str = ""

    @property
    def good(self) -> bool:
        return self.what in ("sent", "awaiting-receipt", "handed-in", "not-yet")


class Errand(msgspec.Struct, frozen=True):
    """Whose card, under which anchors, to which end point (by digest), kept for how long."""

    device: str
    card: Path
    anchors: Anchors
    end_point_sha256: str
    retention_days: int
    read_back: bool


class Sender:
    def __init__(self, errand: Errand, store: Store, memory: Memory, clock: Clock) -> None:
        self._errand = errand
        self._store = store
        self._memory = memory
        self._clock = clock

    def look(self) -> Iterator[Outcome]:
        """Each outcome as it comes. `StoreError` ends the look."""
        card = CardReader(self._errand.card, self._errand.anchors)
        for ended in card.ended(self._errand.device):
            try:
                yield from self._one(card, ended)
            except EvidenceError as failure:
                yield Outcome(ended.recording, "left-alone", printable(str(failure)))

    def _one(self, card: CardReader, ended: Ended) -> Iterator[Outcome]:
        sent = self._memory.of(ended.recording)
        if sent is not None and sent.end_point_sha256 != self._errand.end_point_sha256:
            sent = None
        if sent is not None and sent.receipt is not None:
            return
        missing = card.missing(ended)
        if missing:
            raise EvidenceError(f"{len(missing)} of its files are not there, {missing[0]} first: released, or damaged")
        if not card.is_durable(ended):
            yield Outcome(ended.recording, "not-yet", "no later line of the journal says that its end is durable")
            return
        if sent is None:
            sent = self._send(card.pack(ended, self._errand.device))
            self._memory.keep(ended.recording, sent)
            yield Outcome(ended.recording, "sent", f"{sent.size} bytes, SHA-256 {sent.object_sha256}")
        yield self._receipt(card, ended, sent)

    # -- sending ----------------------------------------------------------------------------------------------------

    def _send(self, packed: Packed) -> Sent:
        name = object_name(self._errand.device, packed.ended.recording)
        keeping = self._keeping()
        digest = _digest(packed)
        there = self._store.size(name)
        if there is None or not self._reads_as(name, packed.size, digest, there):
            self._store.upload(name, packed.blocks, packed.size, keeping)
            if not self._reads_as(name, packed.size, digest, packed.size):
                raise StoreError(f"{name}: what the store gives back is not what was sent; the next run sends it again")
        self._store.hold(name, keeping)
        return Sent(end_point_sha256=self._errand.end_point_sha256, object_sha256=digest, size=packed.size)

    def _reads_as(self, name: str, size: int, sha256: str, there: int) -> bool:
        """Whether what the store gives back is what was to be sent; only its size is compared where that is all that is
        asked for."""
        return there == size and (not self._errand.read_back or self._read_back(name, size) == sha256)

    def _read_back(self, name: str, size: int) -> str:
        digest = hashlib.sha256()
        for block in self._store.blocks(name, size):
            digest.update(block)
        return digest.hexdigest()

    def _keeping(self) -> Keeping:
        until = self._now() + timedelta(days=self._errand.retention_days)
        return Keeping(days=self._errand.retention_days, until=until.replace(microsecond=0))

    def _now(self) -> datetime:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=self._clock.wall().utc_us)

    # -- receipts ---------------------------------------------------------------------------------------------------

    def _receipt(self, card: CardReader, ended: Ended, sent: Sent) -> Outcome:
        """The agency's receipt, when there is one: checked against the card once more, then handed in."""
        data = self._store.small(receipt_name(self._errand.device, ended.recording), MAX_RECEIPT_BYTES)
        if data is None:
            return Outcome(ended.recording, "awaiting-receipt")
        sha256 = file_sha256(data)
        if sent.refused == sha256:
            tell_refused(self._errand.card, ended.recording, sent.why)
            return Outcome(ended.recording, "refused", sent.why)
        try:
            at = self._now() if self._clock.wall().synchronised else None
            receipt, _ = read_receipt(data, self._errand.anchors, at)
            self._check(receipt, card, ended)
        except EvidenceError as failure:
            why = printable(str(failure))[:500]
            self._memory.keep(ended.recording, msgspec.structs.replace(sent, refused=sha256, why=why))
            tell_refused(self._errand.card, ended.recording, why)
            return Outcome(ended.recording, "refused", why)
        hand_in(self._errand.card, data)
        tell_good(self._errand.card, ended.recording)
        self._memory.keep(ended.recording, msgspec.structs.replace(sent, receipt=sha256, refused=None, why=""))
        return Outcome(ended.recording, "handed-in", f"receipt {sha256}")

    def _check(self, receipt: Receipt, card: CardReader, ended: Ended) -> None:
        """Every fact of the receipt is one of ours; `EvidenceError` names the first that is not. Nothing remembered is
        used: the object's digest is made from the card again."""
        packed = card.pack(ended, self._errand.device)
        end = proven_end(card.ledger(ended), self._errand.card, ended)
        ours: dict[str, object] = {
            "device": self._errand.device,
            "recording": ended.recording,
            "ledger_head": ended.head,
            "journal_head": ended.line,
            "root": end.tree.root,
            "segments": end.totals.segments,
            "size": end.totals.size,
            "object": object_name(self._errand.device, ended.recording),
            "object_sha256": _digest(packed),
        }
        for field, own in ours.items():
            said = getattr(receipt, field)
            if said != own:
                raise EvidenceError(f"the receipt's {field} is {_short(said)}; the card's is {_short(own)}")


def hand_in(card: Path, receipt: bytes) -> None:
    """Put a receipt into the card's spool: whole, durable, under its digest. `EvidenceError` when it can't be."""
    _put(card / layout.SPOOL / f"{file_sha256(receipt)}.receipt", receipt)


def tell_refused(card: Path, recording: str, why: str) -> None:
    """Tell the daemon that there is a receipt which is not handed in. One is told, the first, until a good one has come for
    that recording: a store that gives another bad one at every look fills neither the spool nor the journal."""
    if not read_file(card / layout.REFUSED, layout.MAX_REFUSED_BYTES):
        _put(card / layout.REFUSED, f"{recording}: {why[:200]}\n".encode())


def tell_good(card: Path, recording: str) -> None:
    """What was told of a recording no longer holds."""
    said = read_file(card / layout.REFUSED, layout.MAX_REFUSED_BYTES) or b""
    if said.startswith(f"{recording}: ".encode()):
        _put(card / layout.REFUSED, b"")


def _put(path: Path, data: bytes) -> None:
    beside = path.with_name(f".{path.name}.new")
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        with os.fdopen(os.open(beside, flags, 0o640), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.rename(path)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as failure:
        raise EvidenceError(f"{layout.SPOOL}: {failure.strerror}: nothing can be handed in") from failure


def _digest(packed: Packed) -> str:
    digest = hashlib.sha256()
    for block in packed.blocks():
        digest.update(block)
    return digest.hexdigest()


def _short(value: object) -> str:
    return (
        f"line {value.seq} ({value.sha256[:16]}…)" if isinstance(value, records.Line) else printable(str(value))[:100]
    )

"""The TPM's word in the journal: at the boot, at a recording's opening and its close. Recorder thread.

The counter is certified over the journal's last durable line, the `anchor` record is made durable, and only then the TPM
counts on. So a journal that is whole holds the number below the counter, or, where the power went in between, the number
itself; one that was put back to an older state, or is gone, holds less, and `history-lost` says so. Nothing waits for a
TPM but this thread: what it can't do is a fault, and recording goes on.
"""

import base64
import hashlib
import logging
from collections import deque
from collections.abc import Callable
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric import ec

from device.clock import Clock
from device.errors import BodycamError, CannotPersist, EvidenceError
from device.evidence import layout, records
from device.evidence.disk import Disk
from device.evidence.envelope import open_line
from device.evidence.journal import MAX_EPOCH_BYTES, Journal, read_epoch
from device.evidence.records import Anchor, Fault, HistoryLost
from device.evidence.tpm_words import read_certified
from device.policy.inputs import FaultChanged, Input

KIND = "tpm"
MOST_WAITING = 4
"""Moments that wait to be anchored; when the TPM is slower than that, older ones are passed over: the newest covers them."""

log = logging.getLogger("bodycam")


class Witness(Protocol):
    """A counter that only goes up, and what certifies it. Each call may be slow, and raises `BodycamError` when the TPM
    does not answer, or is not the one it should be."""

    def counter(self) -> int: ...

    def certify(self, qualifier: bytes) -> bytes:
        """The counter as it stands, over `qualifier`, signed: as `tpm_words.read_certified` reads it."""

    def increment(self) -> None: ...


class Anchoring:
    """`began`: where the agency's statement says that the counter began."""

    def __init__(
        self,
        disk: Disk,
        journal: Journal,
        witness: Witness,
        key: ec.EllipticCurvePublicKey,
        began: int,
        clock: Clock,
        tell: Callable[[Input], None],
    ) -> None:
        self._disk = disk
        self._journal = journal
        self._witness = witness
        self._key = key
        self._began = began
        self._clock = clock
        self._tell = tell
        self._moments: deque[str] = deque(["boot"], MOST_WAITING)
        self._compared = False
        self._last: int | None = None
        self._fault = False

    def ask(self, at: str) -> None:
        """An anchor is wanted; it is made when the recorder has time."""
        self._moments.append(at)

    @property
    def waits(self) -> bool:
        return bool(self._moments)

    def anchor(self, now_us: int, sync: Callable[[], None]) -> None:
        """Make the next one. `sync` makes the journal durable; what it raises is the card's, and what was taken stays
        taken."""
        sync()
        at = self._moments.popleft()
        head = self._journal.durable
        try:
            self._compare(now_us)
            if self._last is not None and self._witness.counter() <= self._last:
                self._witness.increment()  # the power went, or the TPM failed, after the last anchor was durable
            statement = self._witness.certify(bytes.fromhex(head.sha256))
            counter = read_certified(statement).counter
        except BodycamError as failure:
            self._failed(failure, now_us)
            return
        self._journal.add(
            Anchor(
                kind=KIND,
                at=at,
                head=head,
                statement=base64.b64encode(statement).decode("ascii"),
                sha256=hashlib.sha256(statement).hexdigest(),
            )
        )
        self._last = counter
        sync()
        try:
            self._witness.increment()
        except BodycamError as failure:
            self._failed(failure, now_us)
            return
        if self._fault:
            self._fault = False
            self._tell(FaultChanged(at_us=now_us, part=KIND, present=False))

    def _compare(self, now_us: int) -> None:
        """At the start: does the journal hold what the TPM counted?"""
        if self._compared:
            return
        counter = self._witness.counter()
        last = last_anchor(self._disk, self._journal.found.epoch, self._key)
        self._compared = True
        if last is None:
            expected = [self._began]
        else:
            self._last = last[1]
            expected = [self._last, self._last + 1]
        if counter in expected:
            return
        known = None if last is None else last[0].head
        log.warning("journal: the TPM counted to %d, the journal holds %s", counter, self._last)
        self._journal.add(HistoryLost(known=known, had=self._last, counter=counter))
        self._last = None
        self._tell(FaultChanged(at_us=now_us, part="history", present=True))

    def _failed(self, failure: BodycamError, now_us: int) -> None:
        """Shown once until it works again, and journaled each time: this moment is not anchored."""
        self._journal.add(Fault(part=KIND, present=True, at_us=now_us, detail=str(failure)[:200]))
        if not self._fault:
            self._fault = True
            log.warning("tpm: %s", failure)
            self._tell(FaultChanged(at_us=now_us, part=KIND, present=True))


def last_anchor(disk: Disk, before: int, key: ec.EllipticCurvePublicKey) -> tuple[Anchor, int] | None:
    """The newest of the TPM's anchors in the epochs before `before` that are of this journal, and its counter."""
    numbers = sorted(n for n in map(layout.epoch_number, disk.names(layout.JOURNAL)) if n is not None and n < before)
    for number in reversed(numbers):
        name = layout.epoch_name(number)
        try:
            size = disk.size(layout.epoch_file(name)) or 0
            data = disk.read(layout.epoch_file(name), MAX_EPOCH_BYTES) if size <= MAX_EPOCH_BYTES else b""
        except CannotPersist:
            return None
        for line in reversed(read_epoch(data, name, key, None).lines):
            if isinstance(line.record, Anchor) and line.record.kind == KIND:
                try:
                    return line.record, read_certified(base64.b64decode(line.record.statement)).counter
                except (EvidenceError, ValueError):
                    return None
        if _begins_a_journal(data):
            return None
    return None


def _begins_a_journal(data: bytes) -> bool:
    try:
        return open_line(data.partition(b"\n")[0]).payload_type == records.PROVISIONING_TYPE
    except EvidenceError:
        return False

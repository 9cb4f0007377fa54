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

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key

from device.clock import Clock
from device.errors import BodycamError, CannotPersist, EvidenceError
from device.evidence import layout
from device.evidence.disk import Disk
from device.evidence.journal import MAX_EPOCH_BYTES, Anchorage, Journal, read_epoch
from device.evidence.records import Anchor, Attestation, Boot, Fault, HistoryLost
from device.evidence.rotation import find_former, open_rotation, rotation_in
from device.evidence.statement import provisioning_line
from device.evidence.tpm_words import Certified, read_certified
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
    """`said`: the agency's statement's word on the TPM."""

    def __init__(
        self,
        disk: Disk,
        journal: Journal,
        witness: Witness,
        key: ec.EllipticCurvePublicKey,
        said: Attestation,
        clock: Clock,
        tell: Callable[[Input], None],
    ) -> None:
        self._disk = disk
        self._journal = journal
        self._witness = witness
        self._key = key
        self._said = said
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
        held = read_counted(self._disk, self._journal.found, self._key, self._said)
        self._compared = True
        self._last = held.counter
        if counter in ([held.began] if held.counter is None else [held.counter, held.counter + 1]):
            return
        known = None if held.anchor is None else held.anchor.head
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


class Counted(msgspec.Struct):
    """What a journal holds of a TPM: its newest anchor with the counter, and where the counter began by the first of the
    agency's statements that names it."""

    began: int
    anchor: Anchor | None = None
    counter: int | None = None


def read_counted(disk: Disk, found: Anchorage, key: ec.EllipticCurvePublicKey, said: Attestation) -> Counted:
    """What the journal that this boot goes on with holds of this TPM, also under the keys before: from file to file, as
    each boot says which one it follows. What can't be read ends it."""
    held, rotation, previous = Counted(said.began), found.rotation, found.previous
    tpm = attesting_key(said)
    number = found.epoch
    while previous is not None and (before := layout.epoch_number(f"{previous.epoch}.jsonl")) is not None:
        former = _former(disk, rotation, key)
        if former is None or before >= number:
            break
        key, number = former, before
        try:
            size = disk.size(layout.epoch_file(previous.epoch)) or 0
            data = disk.read(layout.epoch_file(previous.epoch), MAX_EPOCH_BYTES) if size <= MAX_EPOCH_BYTES else b""
        except CannotPersist:
            break
        lines = read_epoch(data, previous.epoch, key, None).lines
        for line in reversed(lines if held.anchor is None else []):
            if isinstance(line.record, Anchor) and (counter := _counter(line.record, said, tpm)) is not None:
                held.anchor, held.counter = line.record, counter
                break
        _, statement = provisioning_line(data.partition(b"\n")[0])
        named = statement.attestation if statement is not None else None
        if named is not None and is_same_tpm(named, said):
            held.began = named.began
        boot = lines[0].record if lines else None
        if held.anchor is not None or not isinstance(boot, Boot):
            break
        rotation, previous = rotation_in(boot), boot.previous
    return held


def _former(disk: Disk, rotation: bytes | None, key: ec.EllipticCurvePublicKey) -> ec.EllipticCurvePublicKey | None:
    """The key of the file before: the same, or the one that gave its journal on; None when that is not proven here."""
    if rotation is None:
        return key
    try:
        former = find_former(disk, open_rotation(rotation), key)
    except EvidenceError:
        return None
    return None if former is None else former.key


def _counter(anchor: Anchor, said: Attestation, tpm: ec.EllipticCurvePublicKey | None) -> int | None:
    """None for an anchor of another kind, or by another TPM."""
    if anchor.kind != KIND or tpm is None:
        return None
    try:
        return check_anchor(anchor, said, tpm).counter
    except EvidenceError:
        return None


# -- what a statement and an anchor say, for the readers too ----------------------------------------------------------


def attesting_key(said: Attestation) -> ec.EllipticCurvePublicKey | None:
    """None when it is not a key that a TPM of ours has."""
    try:
        key = load_der_public_key(base64.b64decode(said.key, validate=True))
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1) else None


def is_same_tpm(one: Attestation, other: Attestation) -> bool:
    """The same key and the same counter: then that goes on, whatever a statement says of where it began."""
    return one.counter == other.counter and attesting_key(one) == attesting_key(other)


def check_anchor(anchor: Anchor, said: Attestation, key: ec.EllipticCurvePublicKey) -> Certified:
    """What the TPM certified, by the agency's TPM, over the line that the anchor names; `EvidenceError` otherwise."""
    try:
        statement = base64.b64decode(anchor.statement, validate=True)
    except ValueError as failure:
        raise EvidenceError(f"its statement is not base64: {failure}") from failure
    if hashlib.sha256(statement).hexdigest() != anchor.sha256:
        raise EvidenceError("its digest is not that of its statement")
    certified = read_certified(statement)
    try:
        key.verify(certified.signature, certified.signed, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature as failure:
        raise EvidenceError("it is not signed by the TPM that the agency's statement names") from failure
    if certified.name != said.counter:
        raise EvidenceError("it is about something other than the counter that the agency's statement names")
    if certified.qualifier != bytes.fromhex(anchor.head.sha256):
        raise EvidenceError(f"the TPM certified another line than line {anchor.head.seq}")
    return certified

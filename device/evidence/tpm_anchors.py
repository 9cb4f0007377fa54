"""The TPM's anchors in a journal, judged: no TPM is needed, only the agency's statement, which names its key and counter.

The counter goes up by exactly one from anchor to anchor. A hole means that anchors were made which this journal does not
hold: it was put back to an older state, or the device recorded on another card meanwhile. Where the device itself found
that at a start (`history-lost`) it is not proven which; anywhere else no honest device leaves a hole.
"""

import base64
import hashlib
from collections.abc import Iterator

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key

from device.errors import EvidenceError
from device.evidence import layout
from device.evidence.anchoring import KIND
from device.evidence.history import Epoch, History
from device.evidence.records import Anchor, Attestation, HistoryLost, Line
from device.evidence.tpm_words import Certified, read_certified
from device.evidence.verdicts import Finding, Question


class Anchored(msgspec.Struct, frozen=True):
    """What the TPM's anchors say of a card's journals. `upto`: the last line anchored of each, with the counter."""

    findings: tuple[Finding, ...]
    upto: tuple[tuple[Line, int, str], ...]

    @property
    def said(self) -> str:
        """For a reader; "" when nothing is anchored."""
        return "; ".join(
            f"history anchored by the device's TPM up to line {line.seq} ({device}, counter {counter})"
            for line, counter, device in self.upto
        )


def judge_tpm_anchors(history: History) -> Anchored:
    """Check every anchor of every journal on a card."""
    findings: list[Finding] = []
    upto = []
    for chain in sorted({epoch.chain for epoch in history.epochs}):
        journal = _Journal([epoch for epoch in history.epochs if epoch.chain == chain], history)
        findings += journal.judge()
        if journal.last is not None:
            upto.append((journal.last, journal.counter, journal.device))
    return Anchored(tuple(findings), tuple(upto))


class _Journal:
    """One device's journal, followed from its first line."""

    def __init__(self, epochs: list[Epoch], history: History) -> None:
        self._chain = epochs[0].chain
        self._history = history
        self._said = epochs[0].statement.attestation
        self._key = _key(self._said)
        self._lost = False
        self._clock_ms = 0
        self.device = epochs[0].statement.device
        self.last: Line | None = None
        self.counter = -1 if self._said is None else self._said.began - 1

    def judge(self) -> Iterator[Finding]:
        for sha256, record in self._history.anchors:
            place = self._history.places.get(sha256)
            if place is None or place.epoch.chain != self._chain:
                continue
            if isinstance(record, HistoryLost):
                self._lost = True
                yield _finding("extent", place.epoch, record, _lost(record))
            elif record.kind == KIND:
                yield from self._anchor(place.epoch, record)

    def _anchor(self, epoch: Epoch, anchor: Anchor) -> Iterator[Finding]:
        if self._said is None or self._key is None:
            what = "an anchor by a TPM that the agency's statement does not name: not judged"
            yield _finding("extent", epoch, anchor, what)
            return
        try:
            certified = _checked(anchor, self._said, self._key)
        except EvidenceError as failure:
            yield _finding("content", epoch, anchor, f"the anchor does not hold: {failure}")
            return
        place = self._history.places.get(anchor.head.sha256)
        if place is None or place.line != anchor.head or place.epoch.chain != epoch.chain:
            what = "the TPM certified a line that is not in this journal: it was rolled back, forked or cut"
            yield _finding("content", epoch, anchor, what)
            return
        if anchor.head.seq >= anchor.seq:
            yield _finding("content", epoch, anchor, "the anchor is about a line that comes after it")
            return
        yield from self._counted(epoch, anchor, certified)
        self.last, self.counter, self._lost = anchor.head, certified.counter, False
        self._clock_ms = certified.clock_ms

    def _counted(self, epoch: Epoch, anchor: Anchor, certified: Certified) -> Iterator[Finding]:
        missing = certified.counter - self.counter - 1
        if certified.counter <= self.counter:
            what = f"the TPM's counter is {certified.counter} after {self.counter}: it never goes back"
            yield _finding("content", epoch, anchor, what)
        elif missing and not self._lost:
            what = f"{missing} of the TPM's anchors before it are missing: the journal was put back to an older state"
            yield _finding("content", epoch, anchor, what)
        if certified.safe and certified.clock_ms < self._clock_ms:
            yield _finding("content", epoch, anchor, "the TPM's clock went back between two anchors")


def _checked(anchor: Anchor, said: Attestation, key: ec.EllipticCurvePublicKey) -> Certified:
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


def _key(said: Attestation | None) -> ec.EllipticCurvePublicKey | None:
    if said is None:
        return None
    try:
        key = load_der_public_key(base64.b64decode(said.key, validate=True))
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1) else None


def _lost(record: HistoryLost) -> str:
    held = "no anchor" if record.had is None else f"anchor {record.had}"
    return (
        f"the device found at its start that its TPM counted to {record.counter} while the journal held {held}: another card "
        "was used in between, or this one was put back to an older state"
    )


def _finding(question: Question, epoch: Epoch, at: Anchor | HistoryLost, what: str) -> Finding:
    return Finding(question=question, place=f"{layout.epoch_file(epoch.name)}, line {at.seq}", what=what)

"""The TPM's anchors in a journal, judged: no TPM is needed, only the agency's statement, which names its key and counter.

The counter goes up by exactly one from anchor to anchor. A hole means that anchors were made which this journal does not
hold: it was put back to an older state, or the device recorded on another card meanwhile. Where the device itself found
that at a start (`history-lost`) it is not proven which; anywhere else no honest device leaves a hole.
"""

from collections.abc import Iterator

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from device.errors import EvidenceError
from device.evidence import layout
from device.evidence.anchoring import KIND, attesting_key, check_anchor, is_same_tpm
from device.evidence.history import Epoch, History
from device.evidence.records import Anchor, Attestation, HistoryLost, Line
from device.evidence.tpm_words import Certified
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


class _Tpm:
    """One that the agency's statements name, and the last that it certified. A rotation to another statement does not make
    it count anew: so no rotation hides what is missing."""

    def __init__(self, said: Attestation) -> None:
        self.said = said
        self.key: ec.EllipticCurvePublicKey | None = attesting_key(said)
        self.counter = said.began - 1
        self.clock_ms = 0


class _Journal:
    """One device's journal, followed from its first line."""

    def __init__(self, epochs: list[Epoch], history: History) -> None:
        self._chain = epochs[0].chain
        self._history = history
        self._tpms: list[_Tpm] = []
        for epoch in epochs:
            said = epoch.statement.attestation
            if said is not None and self._tpm(epoch) is None:
                self._tpms.append(_Tpm(said))
        self._newest: _Tpm | None = None
        self._lost = False
        self.device = epochs[0].statement.device
        self.last: Line | None = None
        self.counter = -1

    def _tpm(self, epoch: Epoch) -> _Tpm | None:
        said = epoch.statement.attestation
        return None if said is None else next((tpm for tpm in self._tpms if is_same_tpm(tpm.said, said)), None)

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
        tpm = self._tpm(epoch)
        if tpm is None or tpm.key is None:
            what = "an anchor by a TPM that the agency's statement does not name: not judged"
            yield _finding("extent", epoch, anchor, what)
            return
        try:
            certified = check_anchor(anchor, tpm.said, tpm.key)
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
        if self._newest not in (None, tpm):
            what = (
                "another TPM than before: that none of that one's later anchors are missing is not proven by this one"
            )
            yield _finding("note", epoch, anchor, what)
        yield from self._counted(tpm, epoch, anchor, certified)
        self._newest = tpm
        tpm.counter, tpm.clock_ms = certified.counter, certified.clock_ms
        self.last, self.counter, self._lost = anchor.head, certified.counter, False

    def _counted(self, tpm: _Tpm, epoch: Epoch, anchor: Anchor, certified: Certified) -> Iterator[Finding]:
        missing = certified.counter - tpm.counter - 1
        if certified.counter <= tpm.counter:
            what = f"the TPM's counter is {certified.counter} after {tpm.counter}: it never goes back"
            yield _finding("content", epoch, anchor, what)
        elif missing and not self._lost:
            what = f"{missing} of the TPM's anchors before it are missing: the journal was put back to an older state"
            yield _finding("content", epoch, anchor, what)
        if certified.safe and certified.clock_ms < tpm.clock_ms:
            yield _finding("content", epoch, anchor, "the TPM's clock went back between two anchors")


def _lost(record: HistoryLost) -> str:
    held = "no anchor" if record.had is None else f"anchor {record.had}"
    return (
        f"the device found at its start that its TPM counted to {record.counter} while the journal held {held}: another card "
        "was used in between, or this one was put back to an older state"
    )


def _finding(question: Question, epoch: Epoch, at: Anchor | HistoryLost, what: str) -> Finding:
    return Finding(question=question, place=f"{layout.epoch_file(epoch.name)}, line {at.seq}", what=what)

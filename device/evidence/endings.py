"""The recordings of one activation, together: each goes on where one before it ended, and the last has the decided end.

No I/O. What does not fit becomes a finding.
"""

from collections.abc import Iterator

import msgspec

from device.evidence import layout
from device.evidence.chain import ReadChain
from device.evidence.deeds import Activation, Deed
from device.evidence.judgements import AuditFinding, Kind
from device.evidence.records import LedgerRecord, RecordingClosed, RecordingOpened, Segment
from device.evidence.runs import RunEnd

BY_DECISION = ("stopped", "shutdown")
"""How a ledger closes when the machine decided it; all other ends are the recorder's own."""
CONTINUED = "continued"
NOTHING_CAME = "empty"
SAID_LATE_US = 15_000_000
"""So long after an end of the recorder's own, at most, the control loop hears of it; longer where the card refuses."""
LAG_US = 2_000_000
UNWRITTEN_US = 10_000_000
"""Before the power went: so much may have been decided and not be in the ledger."""
WITHOUT_A_BEGIN_US = 3_000_000
"""So soon before the power went, a recording may not have a first second that is durable."""


class Ledger(msgspec.Struct, frozen=True):
    """A recording whose first line can be believed, and that has an activation. `begun`: the journal says that it began;
    `given_up`: the journal says that it could not be written on."""

    name: str
    chain: ReadChain[LedgerRecord]
    opened: RecordingOpened
    closed: RecordingClosed | None
    segments: list[Segment]
    deeds: set[Deed]
    begun: bool
    given_up: bool

    @property
    def gives_way(self) -> bool:
        """Whether another may continue it."""
        return self.given_up or (self.closed is not None and self.closed.how == CONTINUED)


def finding(kind: Kind, name: str, what: str, utc: str = "") -> AuditFinding:
    return AuditFinding(kind=kind, place=f"{layout.recording_folder(name)}/{layout.LEDGER}", what=what, utc=utc)


def together(ledgers: list[Ledger], activation: Activation, run: RunEnd) -> Iterator[AuditFinding]:
    """What is wrong with the recordings of one activation."""
    following = _Following(ledgers, run)
    yield from following.findings
    for ledger in ledgers:
        if ledger.name not in following.continued:
            yield from _end(ledger, activation, run)
    yield from _deeds(ledgers, following, activation, run)


class _Following:
    """One begins, each other continues one before it, and none is continued twice."""

    def __init__(self, ledgers: list[Ledger], run: RunEnd) -> None:
        self.findings: list[AuditFinding] = []
        self.continued: set[str] = set()
        self._named = {ledger.name: ledger for ledger in ledgers}
        self._run = run
        firsts = [ledger for ledger in ledgers if ledger.opened.continues is None]
        for ledger in firsts[1:]:
            self._find(ledger, "a second recording of one activation")
        if not firsts:
            self._find(ledgers[0], "the recording with which its activation began is missing")
        for ledger in ledgers:
            if ledger.opened.continues is not None:
                self._continues(ledger, ledger.opened.continues)

    def _find(self, ledger: Ledger, what: str, kind: Kind = "recording") -> None:
        self.findings.append(finding(kind, ledger.name, what, ledger.opened.utc))

    def _continues(self, ledger: Ledger, name: str) -> None:
        before = self._named.get(name)
        if before is None or name >= ledger.name:
            self._find(ledger, f"it continues {name}, which is no recording of its activation before it")
            return
        if name in self.continued:
            self._find(ledger, f"it continues {name}, as another does")
        self.continued.add(name)
        if not before.gives_way:
            lost = not self._run.clean and before.closed is None and not ledger.begun
            what = f"it continues {name}, which the journal does not say was given up"
            self._find(ledger, what, "extent" if lost else "recording")
        spans = [s.video for s in before.segments if s.video], [s.video for s in ledger.segments if s.video]
        if all(spans) and spans[1][0].from_us <= max(span.last_us for span in spans[0]):
            self._find(ledger, f"it begins before {name}, which it continues, ends")


def _end(ledger: Ledger, activation: Activation, run: RunEnd) -> Iterator[AuditFinding]:
    """The last of an activation's recordings ends as was decided, or as the recorder said."""

    def found(what: str, kind: Kind = "recording") -> AuditFinding:
        return finding(kind, ledger.name, what, closed.utc if closed is not None else ledger.opened.utc)

    closed = ledger.closed
    if closed is None or ledger.gives_way:
        yield from map(found, _no_end(ledger, activation, run))
    elif closed.how not in BY_DECISION:
        yield from map(found, _own_end(closed, activation, run))
    else:
        yield from map(found, _decided_end(closed, activation))
        if activation.close is None:
            late = not run.clean and closed.boot_us > run.last_us
            yield found(f"it was closed ({closed.how}) without a decision", "extent" if late else "recording")


def _no_end(ledger: Ledger, activation: Activation, run: RunEnd) -> Iterator[str]:
    """The power went, or the recorder got nothing more for what it had to continue."""
    said = activation.recorder_said
    if ledger.gives_way and said != NOTHING_CAME and (said or run.clean):
        yield "it was to be continued, and nothing continues it"
    elif not ledger.gives_way and run.clean:
        yield "it has no end, and the daemon ended as it should"
    elif not ledger.gives_way and said and said != NOTHING_CAME:
        yield f"it has no end; the recorder said that it ended ({said})"


def _decided_end(closed: RecordingClosed, activation: Activation) -> Iterator[str]:
    decided, said = activation.close, activation.recorder_said
    if decided is not None and (closed.how, closed.end_us) != (decided.how, decided.to_us):
        is_so, wanted = f"{closed.how} at {closed.end_us} µs", f"{decided.how} at {decided.to_us} µs"
        yield f"its end is {is_so}; the journal decided {wanted}"
    if said and said != closed.how:
        yield f"it was closed ({closed.how}); the recorder said {said}"


def _own_end(closed: RecordingClosed, activation: Activation, run: RunEnd) -> Iterator[str]:
    """The recorder ended it: soon after that the control loop knew, or the power went."""
    said = activation.recorder_said
    if closed.how not in (said, run.reason) and (said or run.clean):
        yield f"it ended by itself ({closed.how}); the recorder said {said or 'nothing'}"
        return
    decided_us = activation.close.to_us if activation.close is not None else run.last_us
    known_us = activation.said_us if said else decided_us
    if "storage" not in activation.faults and known_us - closed.end_us > SAID_LATE_US:
        yield f"it ended by itself ({closed.how}) {known_us - closed.end_us} µs before the device knew of it"


def _deeds(ledgers: list[Ledger], following: _Following, activation: Activation, run: RunEnd) -> Iterator[AuditFinding]:
    """What was decided up to the real end of a recording is in it."""
    last = next((ledger for ledger in reversed(ledgers) if ledger.name not in following.continued), ledgers[-1])
    closed = last.closed
    if closed is not None and closed.how in BY_DECISION:
        until_us = closed.end_us
    elif closed is not None:
        until_us = closed.end_us - LAG_US
    else:
        until_us = last.chain.lines[-1].record.boot_us - (LAG_US if run.clean else UNWRITTEN_US)
    held = set[Deed]().union(*(ledger.deeds for ledger in ledgers))
    for deed, decided_us in sorted(activation.deeds.items()):
        if deed not in held and decided_us <= until_us:
            what = f"the journal decided {deed[0]} at {deed[1]} µs, which it does not hold"
            yield finding("recording", last.name, what, last.opened.utc)


def why_no_recording(activation: Activation, run: RunEnd, seen_us: int) -> tuple[str, Kind]:
    """Why an activation has no recording, and what kind of finding that is. `seen_us`: how long there was something to
    see, up to the end of its run."""
    said = activation.recorder_said
    held_up = "camera" in activation.faults or "storage" in activation.faults
    if said == NOTHING_CAME and ("camera" in activation.faults or not activation.had_us):
        return "no frame came from the camera", "extent"
    if not said and not run.clean and (seen_us <= WITHOUT_A_BEGIN_US or held_up):
        return "the power went before its first second was durable, or it has only just begun", "extent"
    return "its recording is not on the card, and nothing tells why", "recording"

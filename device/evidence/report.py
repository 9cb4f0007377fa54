"""The record without the pictures: what happened on each shift and day, from the journal alone. No footage is opened.

A watcher of the audit's replay counts what was recorded. Times are the device's own labels; lengths are by its boot
clock. A shift is the time of one assignment; the same shift of the same wearer across boots is one.
"""

from pathlib import Path

from cryptography import x509

from device.evidence.audit import audit
from device.evidence.bundle import Bundle
from device.evidence.chain import utc_text
from device.evidence.figures import Figures, Period, Tally
from device.evidence.identity import parse_utc
from device.evidence.judgements import Audit
from device.evidence.records import Record
from device.evidence.replay import Advancing, Era, Taken, unseen
from device.evidence.unsealing import ContextIdentity
from device.evidence.verdicts import Shown
from device.policy import commands as do
from device.policy.inputs import FaultChanged, Readiness, RecorderClosed, Tick
from device.policy.machine import next_deadline_us, step
from device.policy.model import Policy
from device.policy.state import KEEPING, PAUSED, RESTING, Phase, State, Wearer, capture
from device.policy.wording import command_words

DAY_US = 86_400_000_000
LAST_US = 253_402_300_799_000_000
"""The end of the year 9999: no label is later."""
MOST_DEADLINES = 1000
"""Between two lines of a journal a device passes a few: each that decides something is a line."""
POWER_LOST = "(no stop: power lost, or a crash)"
NOT_ENDED = "(no stop yet: recording, or power lost)"
BUFFERING, READY, RECORDING, POST_EVENT, ON_PAUSE, ASLEEP = (
    "buffering", "not buffering", "recording", "post-event", "paused", "asleep",
)  # fmt: skip


class Span(Shown, frozen=True, kw_only=True):
    """A time in which one thing held."""

    from_utc: str
    to_utc: str
    what: str


class Mark(Shown, frozen=True, kw_only=True):
    """A moment: `refused`, `override`, `fault` or `inaction`."""

    utc: str
    kind: str
    what: str


class Shift(Shown, frozen=True, kw_only=True):
    """The time of one wearer; nobody's has no officer and is one boot's. `clock_set`: whether its labels are to be
    believed throughout."""

    officer: str
    role: str
    unit: str
    shift: str
    from_utc: str
    to_utc: str
    clock_set: bool
    figures: Figures
    phases: tuple[Span, ...]
    zones: tuple[Span, ...]
    marks: tuple[Mark, ...]


class Report(Shown, frozen=True, kw_only=True):
    """`from_utc`, `to_utc`: what was asked for, "" where unbounded. `audit`: what the audit says of the same card."""

    from_utc: str
    to_utc: str
    audit: Audit
    total: Figures
    days: dict[str, Figures]
    shifts: tuple[Shift, ...]


def report(
    card: Path,
    anchors: tuple[x509.Certificate, ...],
    bundles: tuple[Bundle, ...],
    identity: ContextIdentity,
    period: Period,
    advance: Advancing = unseen,
) -> Report:
    """Audit a card, and count what its journal tells of a period."""
    counting = _Counting(period)
    audited = audit(card, anchors, bundles, identity, watchers=(counting,), advance=advance)
    counting.finish()
    return Report(
        from_utc="" if period.from_us is None else utc_text(period.from_us),
        to_utc="" if period.to_us is None else utc_text(period.to_us),
        audit=audited,
        total=counting.total.figures(),
        days={day: tally.figures() for day, tally in sorted(counting.days.items())},
        shifts=tuple(sorted((s.shift() for s in counting.shifts.values() if s.spans), key=lambda s: s.from_utc)),
    )


class _Bands:
    """One shift as it grows: `spans` of phases and zones in wall µs, those that touch joined; `clock_set` while it is."""

    def __init__(self, wearer: Wearer) -> None:
        self.wearer = wearer
        self.tally = Tally()
        self.spans: list[tuple[int, int, str]] = []
        self.zones: list[tuple[int, int, str]] = []
        self.marks: list[Mark] = []
        self.clock_set = True

    def shift(self) -> Shift:
        return Shift(
            officer=self.wearer.officer,
            role=self.wearer.role,
            unit=self.wearer.unit,
            shift=self.wearer.shift,
            from_utc=utc_text(min(span[0] for span in self.spans)),
            to_utc=utc_text(max(span[1] for span in self.spans)),
            clock_set=self.clock_set,
            figures=self.tally.figures(),
            phases=tuple(map(_span, self.spans)),
            zones=tuple(map(_span, self.zones)),
            marks=tuple(self.marks),
        )


class _Counting:
    """The watcher. `_cursor_us`: the boot time up to which this run has been counted."""

    def __init__(self, period: Period) -> None:
        self.total = Tally()
        self.days: dict[str, Tally] = {}
        self.shifts: dict[tuple[str, ...], _Bands] = {}
        self._period = period
        self._run = -1
        self._cursor_us = 0
        self._stops: dict[tuple[int, int], tuple[int, tuple[Tally, ...], str]] = {}
        self._last: tuple[Era, State] | None = None

    # -- the replay -------------------------------------------------------------------------------------------------

    def began(self, era: Era, state: State) -> None:
        if era.run != self._run:
            self._without_a_stop(POWER_LOST)
            self._run, self._cursor_us = era.run, state.now_us

    def took(self, taken: Taken) -> None:
        self._pass_time(taken.before, taken.era.policy, taken.record, taken.record.effective_us)
        bands = self._bands(taken.after.wearer)
        came = taken.came
        if isinstance(came, FaultChanged) and came.present:
            self._count(taken, bands, came.at_us, "fault", came.part)
            self._mark(taken, bands, came.at_us, "fault", f"fault: {came.part}")
        elif isinstance(came, Readiness) and not came.ready:
            self._count(taken, bands, came.at_us, "fault", came.reason)
            self._mark(taken, bands, came.at_us, "fault", f"fault: {came.reason}")
        elif isinstance(came, RecorderClosed) and _open(taken.before) == came.recording:
            self._stop(taken, bands, came.at_us, came.recording, f"(by the device: {came.how})")
        for decided in taken.recorded:
            self._decision(taken, bands, decided)

    def ended(self, era: Era, state: State) -> None:
        last = era.epoch.lines[-1].record
        self._pass_time(state, era.policy, last, last.boot_us)
        self._last = era, state

    def finish(self) -> None:
        self._without_a_stop(NOT_ENDED)
        for at_us, tallies, reason in self._stops.values():
            if self._period.holds(at_us):
                for tally in tallies:
                    tally.add("stop", reason)

    # -- time -------------------------------------------------------------------------------------------------------

    def _pass_time(self, state: State, policy: Policy, record: Record, to_us: int) -> None:
        """Count the time up to a step; deadlines on the way change the phase at their own time."""
        for _ in range(MOST_DEADLINES):
            due_us = next_deadline_us(state, policy)
            if due_us is None or due_us >= to_us:
                break
            self._held(state, policy, record, due_us)
            state, _ = step(state, Tick(at_us=due_us), policy)
        self._held(state, policy, record, to_us)

    def _held(self, state: State, policy: Policy, record: Record, to_us: int) -> None:
        if to_us <= self._cursor_us:
            return
        wall_us = _wall_us(record, 0)
        from_us, until_us = self._period.clipped(wall_us + self._cursor_us, wall_us + to_us)
        self._cursor_us = to_us
        if from_us >= until_us:
            return
        bands = self._bands(state.wearer)
        bands.clock_set = bands.clock_set and record.clock.synchronised
        phase = _phase(state, policy)
        _join(bands.spans, from_us, until_us, phase)
        _join(bands.zones, from_us, until_us, state.zone)
        said = (RECORDING if phase == POST_EVENT else phase, *(["muted"] if state.muted else []))
        while from_us < until_us:
            to_midnight_us = min(until_us, (from_us // DAY_US + 1) * DAY_US)
            for tally in (self.total, bands.tally, self._day(from_us)):
                for what in said:
                    tally.add_us(what, to_midnight_us - from_us)
            from_us = to_midnight_us

    # -- decisions --------------------------------------------------------------------------------------------------

    def _decision(self, taken: Taken, bands: _Bands, decided: do.Command) -> None:  # noqa: C901, PLR0912
        def count(table: str, entry: str) -> None:
            self._count(taken, bands, decided.at_us, table, entry)

        def mark(kind: str) -> None:
            self._mark(taken, bands, decided.at_us, kind, command_words(decided))

        match decided:
            case do.Open():
                count("category", decided.category)
                count("zone", decided.zone)
                count("category-and-zone", f"{decided.category} in {decided.zone}")
                count("trigger", decided.trigger)
                if decided.override:
                    count("override", f"start in {decided.zone}")
                    mark("override")
                if decided.late_us:
                    count("late", "start")
                    self._late(taken, bands, decided)
                    mark("inaction")
            case do.Justify():
                count("override", f"justified in {decided.zone}: {decided.category}")
                mark("override")
            case do.Refuse():
                count("refusal", f"{decided.reason} in {decided.zone}")
                mark("refused")
            case do.Deny():
                count("denial", f"{decided.what}: {decided.reason}")
            case do.Lapse():
                count("lapse", decided.about)
                mark("inaction")
            case do.Notice():
                count("notice", "given" if decided.given else f"not given: {decided.reason}")
            case do.Mute():
                count("mute", decided.reason)
            case do.Pause():
                count("pause", decided.reason)
            case do.Close():
                self._stop(taken, bands, decided.at_us, decided.recording, decided.reason)
            case do.Explain():
                known = self._stops.get((taken.era.run, decided.recording))
                if known is not None:
                    self._stops[taken.era.run, decided.recording] = (*known[:2], decided.reason)
            case _:
                pass

    def _count(self, taken: Taken, bands: _Bands, at_us: int, table: str, entry: str) -> None:
        wall_us = _wall_us(taken.record, at_us)
        if self._period.holds(wall_us):
            for tally in (self.total, bands.tally, self._day(wall_us)):
                tally.add(table, entry)

    def _late(self, taken: Taken, bands: _Bands, opened: do.Open) -> None:
        wall_us = _wall_us(taken.record, opened.at_us)
        if self._period.holds(wall_us):
            for tally in (self.total, bands.tally, self._day(wall_us)):
                tally.add_us("late", opened.late_us)

    def _mark(self, taken: Taken, bands: _Bands, at_us: int, kind: str, what: str) -> None:
        wall_us = _wall_us(taken.record, at_us)
        if self._period.holds(wall_us):
            bands.marks.append(Mark(utc=utc_text(wall_us), kind=kind, what=what))

    def _stop(self, taken: Taken, bands: _Bands, at_us: int, recording: int, reason: str) -> None:
        """Counted at the end: a reason may still be given."""
        wall_us = _wall_us(taken.record, at_us)
        tallies = (self.total, bands.tally, self._day(wall_us)) if self._period.holds(wall_us) else ()
        self._stops[taken.era.run, recording] = wall_us, tallies, reason

    def _without_a_stop(self, why: str) -> None:
        """The run before is over, and something was open in it."""
        if self._last is None:
            return
        era, state = self._last
        self._last = None
        if _open(state) and not era.epoch.stopped:
            last = era.epoch.lines[-1].record
            wall_us = _wall_us(last, last.boot_us)
            if self._period.holds(wall_us):
                tallies = (self.total, self._bands(state.wearer).tally, self._day(wall_us))
                self._stops[era.run, state.recording] = wall_us, tallies, why

    def _bands(self, wearer: Wearer) -> _Bands:
        apart = "" if wearer.shift else str(self._run)
        key = (wearer.officer, wearer.role, wearer.unit, wearer.shift, apart)
        return self.shifts.setdefault(key, _Bands(wearer))

    def _day(self, wall_us: int) -> Tally:
        return self.days.setdefault(utc_text(wall_us)[:10], Tally())


def _open(state: State) -> int:
    """The number of the open recording; 0 when nothing is open."""
    return 0 if state.phase in RESTING else state.recording


def _phase(state: State, policy: Policy) -> str:
    if state.phase in KEEPING:
        return POST_EVENT if state.phase is Phase.POST_EVENT else RECORDING
    if state.phase in PAUSED:
        return ON_PAUSE
    if state.phase is Phase.ASLEEP:
        return ASLEEP
    return BUFFERING if capture(state, policy).video else READY


def _wall_us(record: Record, at_us: int) -> int:
    """The wall time of a boot time, in µs since 1970, by a record's own label."""
    labelled = parse_utc(record.utc)
    assert labelled is not None, "a record whose label names no moment is not read"
    whole_s = round(labelled.replace(microsecond=0).timestamp())
    return min(max(0, whole_s * 1_000_000 + labelled.microsecond + at_us - record.boot_us), LAST_US)


def _join(spans: list[tuple[int, int, str]], from_us: int, to_us: int, what: str) -> None:
    if spans and spans[-1][1:] == (from_us, what):
        spans[-1] = (spans[-1][0], to_us, what)
    else:
        spans.append((from_us, to_us, what))


def _span(span: tuple[int, int, str]) -> Span:
    return Span(from_utc=utc_text(span[0]), to_utc=utc_text(span[1]), what=span[2])

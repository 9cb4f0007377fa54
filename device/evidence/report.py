"""The record without the pictures: what happened on each shift and day, from the journal alone. No footage is opened.

A watcher of the audit's replay counts what was recorded. Times are the device's own labels; lengths are by its boot
clock. A shift is the time of one assignment; the same shift of the same wearer across boots is one.
"""

from pathlib import Path

from cryptography import x509

from device.evidence.audit import audit
from device.evidence.begun import folders_by_start
from device.evidence.bundle import Bundle
from device.evidence.causes import FILES, OF_THE_DEVICE
from device.evidence.chain import utc_text
from device.evidence.figures import Figures, Period, Tally
from device.evidence.identity import parse_utc
from device.evidence.judgements import Audit
from device.evidence.records import Record
from device.evidence.replay import Advancing, Era, Taken, unseen
from device.evidence.revocation import NONE_REVOKED, Revocations
from device.evidence.shifts import Bands, Begun, InForce, Marked, PolicyUsed, Shift, Titles, join, titled, titles_of
from device.evidence.unsealing import ContextIdentity
from device.evidence.verdicts import Shown
from device.policy import commands as do
from device.policy.inputs import FaultChanged, PreEventHad, Readiness, RecorderClosed, Tick, ZoneEntered
from device.policy.machine import next_deadline_us, step
from device.policy.model import Policy
from device.policy.state import KEEPING, PAUSED, RESTING, Phase, State, Wearer, capture
from device.policy.wording import command_words

DAY_US = 86_400_000_000
LAST_US = 253_402_300_799_000_000
"""The end of the year 9999: no label is later."""
MOST_DEADLINES = 1000
"""Between two lines of a journal a device passes a few: each that decides something is a line."""
MOST_DAYS = 400
"""Days that are counted apart: a clock that was set wrong can't make a report of centuries."""
SAME_CLOCK_US = 1_000_000
"""Wall and boot clock drift apart by less between two lines; more is a clock that was set."""
POWER_LOST = "power lost, or a crash"
NOT_ENDED = "not ended yet, or power lost"
NOT_KNOWN = "not known"
START, JUSTIFY = "start", "justify-or-exit"
BUFFERING, READY, RECORDING, POST_EVENT, ON_PAUSE, ASLEEP = (
    "buffering", "not buffering", "recording", "post-event", "paused", "asleep",
)  # fmt: skip


class Report(Shown, frozen=True, kw_only=True):
    """`from_utc`, `to_utc`: what was asked for, "" where unbounded; `covers_from_utc`, `covers_to_utc`: what the journal
    tells of at all, "" where of nothing. `days_left_out`: days that are counted in the whole and not apart. `audit`:
    what the audit says of the same card."""

    from_utc: str
    to_utc: str
    covers_from_utc: str
    covers_to_utc: str
    audit: Audit
    policies: tuple[PolicyUsed, ...]
    titles: Titles
    total: Figures
    days: dict[str, Figures]
    days_left_out: int
    shifts: tuple[Shift, ...]


def report(
    card: Path,
    anchors: tuple[x509.Certificate, ...],
    bundles: tuple[Bundle, ...],
    identity: ContextIdentity,
    period: Period,
    advance: Advancing = unseen,
    revoked: Revocations = NONE_REVOKED,
) -> Report:
    """Audit a card, and count what its journal tells of a period."""
    counting = _Counting(period)
    audited = audit(card, anchors, bundles, identity, revoked=revoked, watchers=(counting,), advance=advance)
    counting.finish()
    names = folders_by_start(card.resolve(), counting.runs)
    shifts = (bands.shift(names) for bands in counting.shifts.values() if bands.spans)
    covers = counting.covers
    return Report(
        from_utc="" if period.from_us is None else utc_text(period.from_us),
        to_utc="" if period.to_us is None else utc_text(period.to_us),
        covers_from_utc=utc_text(min(begins for begins, _ in covers)) if covers else "",
        covers_to_utc=utc_text(max(ends for _, ends in covers)) if covers else "",
        audit=audited,
        policies=tuple(used for policy in counting.policies for used in policy.within(period)),
        titles=titles_of([used.policy for used in counting.policies]),
        total=counting.total.figures(),
        days={day: tally.figures() for day, tally in sorted(counting.days.items())},
        days_left_out=len(counting.days_left_out),
        shifts=tuple(sorted(shifts, key=lambda shift: shift.from_utc)),
    )


class _Counting:
    """The watcher. `_cursor_us`: the boot time up to which this run has been counted; `_wall_end_us`: the wall time that
    this was, so that the next span begins where the last ended: labels differ by some µs from line to line."""

    def __init__(self, period: Period) -> None:
        self.total = Tally()
        self.days: dict[str, Tally] = {}
        self.days_left_out: set[str] = set()
        self.shifts: dict[tuple[str, ...], Bands] = {}
        self.policies: list[InForce] = []
        self.covers: list[tuple[int, int]] = []
        self.runs: dict[str, int] = {}
        self._period = period
        self._run = -1
        self._cursor_us = 0
        self._wall_end_us: int | None = None
        self._stops: dict[tuple[int, int], tuple[tuple[Tally, ...], str, str]] = {}
        self._notices: dict[tuple[int, int], tuple[tuple[Tally, ...], str]] = {}
        self._begun: dict[tuple[int, int], Begun] = {}
        self._last: tuple[Era, State] | None = None

    # -- the replay -------------------------------------------------------------------------------------------------

    def began(self, era: Era, state: State) -> None:
        if era.run != self._run:
            self._run_over(POWER_LOST)
            self._run, self._cursor_us, self._wall_end_us = era.run, state.now_us, None
        self.runs[era.name] = era.run
        labels = [_wall_us(line.record, line.record.boot_us) for line in era.epoch.lines]
        labels.append(_wall_us(era.epoch.boot, state.now_us))
        from_us, to_us = min(labels), max(labels)
        self.covers.append((from_us, to_us))
        sha256 = era.epoch.boot.policy.sha256
        if self.policies and self.policies[-1].sha256 == sha256:
            self.policies[-1].to_us = max(self.policies[-1].to_us, to_us)
        else:
            self.policies.append(InForce(era.policy, sha256, from_us, to_us))

    def took(self, taken: Taken) -> None:
        self._pass_time(taken.before, taken.era.policy, taken.record, taken.record.effective_us)
        bands = self._bands(taken.after.wearer)
        came = taken.came
        if isinstance(came, FaultChanged) and came.present:
            self._fault(taken, bands, came)
        elif isinstance(came, Readiness) and not came.ready:
            self._count(taken, bands, came.at_us, "fault", came.reason)
            self._mark(taken, bands, came.at_us, "fault", f"fault: {came.reason}")
        elif isinstance(came, RecorderClosed) and _open(taken.before) == came.recording:
            self._stop(taken, bands, came.at_us, came.recording, f"(by the device: {came.how})")
        for decided in taken.recorded:
            self._decision(taken, bands, decided)
        if isinstance(came, PreEventHad):
            self._had(taken, bands, came)
        for about in _given_up(taken):
            self._count(taken, bands, taken.record.effective_us, "unanswered", about)
            self._mark(taken, bands, taken.record.effective_us, "inaction", _unanswered(about))

    def ended(self, era: Era, state: State) -> None:
        last = era.epoch.lines[-1].record
        self._pass_time(state, era.policy, last, last.boot_us)
        self._last = era, state

    def finish(self) -> None:
        self._run_over(NOT_ENDED)
        for tallies, table, reason in self._stops.values():
            for tally in tallies:
                tally.add(table, reason)
        for tallies, said in self._notices.values():
            for tally in tallies:
                tally.add("notice", said)

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
        from_us, until_us = self._period.clipped(*self._wall_span(record, to_us))
        self._cursor_us = to_us
        if from_us >= until_us:
            return
        bands = self._bands(state.wearer)
        bands.clock_set = bands.clock_set and record.clock.synchronised
        phase = _phase(state, policy)
        join(bands.spans, from_us, until_us, phase)
        join(bands.zones, from_us, until_us, state.zone)
        said = (RECORDING if phase == POST_EVENT else phase, *(["muted"] if state.muted else []))
        while from_us < until_us:
            to_midnight_us = min(until_us, (from_us // DAY_US + 1) * DAY_US)
            for tally in (self.total, bands.tally, self._day(from_us)):
                for what in said:
                    tally.add_us(what, to_midnight_us - from_us)
            from_us = to_midnight_us

    def _wall_span(self, record: Record, to_us: int) -> tuple[int, int]:
        """The wall times from the cursor to a boot time near a record. It begins where the last one ended, unless the
        clock was set meanwhile."""
        from_us, until_us = _wall_us(record, self._cursor_us), _wall_us(record, to_us)
        ended_us = self._wall_end_us
        if ended_us is not None and abs(from_us - ended_us) < SAME_CLOCK_US:
            from_us, until_us = ended_us, max(ended_us, until_us)
        self._wall_end_us = until_us
        return from_us, until_us

    # -- decisions --------------------------------------------------------------------------------------------------

    def _decision(self, taken: Taken, bands: Bands, decided: do.Command) -> None:  # noqa: C901, PLR0912, PLR0915
        def count(table: str, entry: str) -> None:
            self._count(taken, bands, decided.at_us, table, entry)

        def mark(kind: str) -> None:
            what = command_words(titled(decided, taken.era.policy))
            self._mark(taken, bands, decided.at_us, kind, what, getattr(decided, "recording", 0))

        match decided:
            case do.Open():
                count("category", decided.category)
                count("zone", decided.zone)
                count("category-and-zone", f"{decided.category} in {decided.zone}")
                count("trigger", decided.trigger)
                self._begin(taken, bands, decided)
                mark("start")
                if decided.override:
                    count("override", f"start in {decided.zone}")
                    mark("override")
                if decided.late_us:
                    count("late", "start")
                    self._count_us(taken, bands, decided.at_us, "late", decided.late_us)
                    mark("inaction")
            case do.Justify():
                count("override", f"justified in {decided.zone}: {decided.category}")
                mark("override")
            case do.Refuse():
                table = "device-refusal" if decided.clause in OF_THE_DEVICE else "refusal"
                count(table, f"{decided.reason} in {decided.zone}")
                mark("refused")
            case do.Deny():
                count("denial", f"{decided.what}: {decided.reason}")
                mark("denied")
            case do.Lapse():
                count("lapse", decided.about)
                mark("inaction")
            case do.Notice():
                known = self._notices.get((taken.era.run, decided.recording))
                said = "given" if decided.given else f"not given: {decided.reason}"
                if known is not None:
                    self._notices[taken.era.run, decided.recording] = (known[0], said)
                mark("notice")
            case do.Mute():
                count("mute", decided.reason)
                mark("mute")
            case do.Pause():
                count("pause", decided.reason)
                mark("pause")
            case do.Sleep():
                count("sleep", decided.reason)
                mark("sleep")
            case do.Unmute() | do.Resume() | do.Wake():
                mark({"Unmute": "mute", "Resume": "pause", "Wake": "sleep"}[type(decided).__name__])
            case do.Close():
                self._stop(taken, bands, decided.at_us, decided.recording, decided.reason)
            case do.Explain():
                stopped = self._stops.get((taken.era.run, decided.recording))
                if stopped is not None:
                    self._stops[taken.era.run, decided.recording] = (*stopped[:2], decided.reason)
            case _:
                pass

    def _begin(self, taken: Taken, bands: Bands, opened: do.Open) -> None:
        """An activation; what is said of its notice takes the place of `not known`."""
        run, policy = taken.era.run, taken.era.policy
        wall_us = _wall_us(taken.record, opened.at_us)
        key = run, opened.recording
        begun = Begun((run, opened.at_us), wall_us, opened, f"{policy.id} {policy.version}")
        self._begun[key] = begun
        said = NOT_KNOWN if policy.notice.prompt else "not asked for by the policy"
        self._notices[key] = self._tallies(bands, wall_us), said
        if self._period.holds(wall_us):
            bands.starts.append(begun)

    def _had(self, taken: Taken, bands: Bands, had: PreEventHad) -> None:
        begun = self._begun.get((taken.era.run, had.recording))
        if begun is not None and begun.had_us is None:
            begun.had_us = had.had_us
            self._count_us(taken, bands, begun.opened.at_us, "pre-event", had.had_us)

    def _fault(self, taken: Taken, bands: Bands, came: FaultChanged) -> None:
        if came.part in FILES:
            self._count(taken, bands, came.at_us, "file", came.part)
            self._mark(taken, bands, came.at_us, "file", f"a file handed in was refused: {came.part}")
        else:
            self._count(taken, bands, came.at_us, "fault", came.part)
            self._mark(taken, bands, came.at_us, "fault", f"fault: {came.part}")

    def _tallies(self, bands: Bands, wall_us: int) -> tuple[Tally, ...]:
        """Where something at a time counts."""
        return (self.total, bands.tally, self._day(wall_us)) if self._period.holds(wall_us) else ()

    def _count(self, taken: Taken, bands: Bands, at_us: int, table: str, entry: str) -> None:
        for tally in self._tallies(bands, _wall_us(taken.record, at_us)):
            tally.add(table, entry)

    def _count_us(self, taken: Taken, bands: Bands, at_us: int, what: str, micros: int) -> None:
        for tally in self._tallies(bands, _wall_us(taken.record, at_us)):
            tally.add_us(what, micros)

    def _mark(self, taken: Taken, bands: Bands, at_us: int, kind: str, what: str, recording: int = 0) -> None:
        wall_us = _wall_us(taken.record, at_us)
        if self._period.holds(wall_us):
            begun = self._begun.get((taken.era.run, recording))
            bands.marks.append(Marked(wall_us, kind, what, recording, begun.key if begun else None))

    def _stop(self, taken: Taken, bands: Bands, at_us: int, recording: int, reason: str) -> None:
        """Counted at the end: a reason may still be given."""
        tallies = self._tallies(bands, _wall_us(taken.record, at_us))
        self._stops[taken.era.run, recording] = tallies, "stop", reason

    def _run_over(self, why: str) -> None:
        """The run before is over; something may have been open or asked for in it."""
        if self._last is None:
            return
        era, state = self._last
        self._last = None
        last, bands = era.epoch.lines[-1].record, self._bands(state.wearer)
        wall_us = _wall_us(last, last.boot_us)
        tallies = self._tallies(bands, wall_us)
        for about in (about for about, by_us in _asked(state).items() if by_us is not None):
            for tally in tallies:
                tally.add("unanswered", about)
            if tallies:
                bands.marks.append(Marked(wall_us, "inaction", _unanswered(about), 0, None))
        if _open(state) and not era.epoch.stopped:
            key = era.run, state.recording
            self._stops[key] = tallies, "not-stopped", why
            asked_in, said = self._notices.get(key, ((), ""))
            if said == NOT_KNOWN:
                self._notices[key] = asked_in, f"{NOT_KNOWN} ({why})"

    def _bands(self, wearer: Wearer) -> Bands:
        apart = "" if wearer.shift else str(self._run)
        key = (wearer.officer, wearer.role, wearer.unit, wearer.shift, apart)
        return self.shifts.setdefault(key, Bands(wearer))

    def _day(self, wall_us: int) -> Tally:
        day = utc_text(wall_us)[:10]
        if day not in self.days and len(self.days) >= MOST_DAYS:
            self.days_left_out.add(day)
            return Tally()
        return self.days.setdefault(day, Tally())


def _asked(state: State) -> dict[str, int | None]:
    """By what the wearer is asked for, when the answer is due."""
    return {START: state.deadlines.prompt_by_us, JUSTIFY: state.deadlines.justify_by_us}


def _unanswered(about: str) -> str:
    return f"asked the wearer ({about}), and the asking ended before the answer was due"


def _given_up(taken: Taken) -> list[str]:
    """What the wearer was asked for before a step and is not after it, with no answer, though it was not due yet. A
    start answers, a justification, and leaving the zone."""
    before, after = _asked(taken.before), _asked(taken.after)
    said = [command for command in taken.recorded if isinstance(command, do.Open | do.Justify | do.Lapse)]
    left = isinstance(taken.came, ZoneEntered) and taken.before.zone != taken.after.zone
    gone = [about for about, by_us in before.items() if by_us is not None and after[about] is None]
    return [] if said else [about for about in gone if not (about == JUSTIFY and left)]


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

"""Why something was not recorded, as the journal tells it: a fault of the device, a refusal by the policy, or inaction of
the wearer, each in a list of its own (R27); and when there was no device in service at all. A watcher of the replay."""

import msgspec

from device.evidence.history import Epoch, History
from device.evidence.identity import parse_utc
from device.evidence.judgements import AuditFinding, Decision, Told
from device.evidence.records import Fault, Record
from device.evidence.replay import Era, Taken, place_of, utc_at
from device.policy import commands as do
from device.policy.clauses import cited, with_zones
from device.policy.inputs import FaultChanged, Readiness, RecorderClosed
from device.policy.state import RESTING, State
from device.policy.wording import command_words

OF_THE_DEVICE = ("readiness", "shutdown")
"""The clauses of a refusal that the device is the cause of: a full card, a device that ends."""
FILES = ("policy", "assignment")
"""Parts whose fault is a file that was handed in and refused: no fault of the hardware, and each is told by itself."""
AHEAD_US = 3_000_000
"""What a part says of its fault may be written so long before the policy machine is told of it."""
MOST_DETAILS = 8
_TOLD = (do.Refuse, do.Deny, do.Lapse, do.Open)


def decisions_in_words(
    taken: Taken, decided: tuple[do.Command, ...], kinds: tuple[type[do.Command], ...] = ()
) -> list[tuple[do.Command, Decision]]:
    """Decisions of a step, each with its clause; only those of `kinds` where any are given."""
    said = []
    for command, zone in with_zones(decided, taken.before, taken.after):
        if kinds and not isinstance(command, kinds):
            continue
        clause = cited(command, taken.came, zone, taken.era.policy)
        said.append((command, Decision(what=command_words(command), clause=clause.text, source=clause.source)))
    return said


class _Spell(msgspec.Struct):
    """A fault while it lasts: its place in the list, from when to when (None: it lasts), and what the part said of it."""

    index: int
    part: str
    since_us: int
    until_us: int | None = None
    details: dict[str, None] = {}

    def tells_of(self, record: Fault) -> bool:
        """Whether a part's own words are of this fault. The word of its end may come when it has long been over."""
        after_us = record.at_us - self.since_us
        if record.part != self.part or after_us < -AHEAD_US:
            return False
        if self.part in FILES:
            return after_us <= AHEAD_US
        return not record.present or self.until_us is None or record.at_us <= self.until_us

    def words(self) -> str:
        said = list(self.details)
        more = [f"{len(said) - MOST_DETAILS} more in the journal"] if len(said) > MOST_DETAILS else []
        return "; ".join([*said[:MOST_DETAILS], *more])


class Causes:
    """The three lists, in the order of the journal. A fault that lasts is one, whatever its part says of it meanwhile."""

    def __init__(self) -> None:
        self.device_faults: list[Told] = []
        self.policy_refusals: list[Told] = []
        self.wearer_inaction: list[Told] = []
        self._since: dict[str, _Spell] = {}
        self._spells: list[_Spell] = []
        self._last: Taken | None = None

    def began(self, era: Era, state: State) -> None:  # noqa: ARG002
        if era.epoch.boot.reason == "start":
            self._since.clear()
            self._spells.clear()

    def took(self, taken: Taken) -> None:
        came = taken.came
        if isinstance(came, FaultChanged):
            self._part(taken, f"fault of the {came.part}", came.part, present=came.present)
        elif isinstance(came, Readiness):
            self._part(taken, "no recording could be stored", "", present=not came.ready, why=came.reason)
        elif isinstance(came, RecorderClosed) and _by_itself(taken, came):
            what = f"the recorder ended recording {came.recording} by itself: {came.how}"
            self.device_faults.append(_told(taken, taken.record.effective_us, what))
        for command, said in decisions_in_words(taken, taken.recorded, _TOLD):
            self._decision(taken, command, said)

    def ended(self, era: Era, state: State) -> None:  # noqa: ARG002
        for line in era.epoch.lines:
            record = line.record
            if isinstance(record, Fault) and record.detail:
                self._detail(era, record)

    def _detail(self, era: Era, record: Fault) -> None:
        """What a part says is of the fault that it has; of one that nobody else told, it is the fault itself."""
        spell = next((spell for spell in reversed(self._spells) if spell.tells_of(record)), None)
        what = f"fault of the {record.part}: "
        if spell is not None:
            spell.details[record.detail] = None
            told = self.device_faults[spell.index]
            self.device_faults[spell.index] = msgspec.structs.replace(told, what=what + spell.words())
        elif record.present:
            self.device_faults.append(
                Told(
                    place=place_of(era.epoch, record),
                    utc=utc_at(record, record.at_us),
                    clock_set=record.clock.synchronised,
                    what=what + record.detail,
                )
            )

    def _part(self, taken: Taken, what: str, part: str, *, present: bool, why: str = "") -> None:
        """A fault has a start and an end; one that never ends lasts until its boot does."""
        at_us = taken.record.effective_us
        if present and what not in self._since:
            self._since[what] = _Spell(len(self.device_faults), part, at_us)
            self._spells.append(self._since[what])
            self.device_faults.append(_told(taken, at_us, f"{what}{f': {why}' if why else ''}"))
        elif not present and what in self._since:
            spell = self._since.pop(what)
            spell.until_us = at_us
            self.device_faults[spell.index] = msgspec.structs.replace(
                self.device_faults[spell.index],
                until_utc=utc_at(taken.record, at_us),
                seconds=(at_us - spell.since_us) / 1e6,
            )

    def _decision(self, taken: Taken, command: do.Command, said: Decision) -> None:
        told = _told(taken, command.at_us, said.what, said)
        if isinstance(command, do.Refuse) and command.clause in OF_THE_DEVICE:
            self.device_faults.append(told)
        elif isinstance(command, do.Refuse | do.Deny):
            self.policy_refusals.append(told)
        elif isinstance(command, do.Lapse):
            self.wearer_inaction.append(told)
        elif isinstance(command, do.Open) and command.late_us:
            what = f"late: {said.what}"
            late = msgspec.structs.replace(told, what=what, seconds=command.late_us / 1e6)
            self.wearer_inaction.append(late)


def _by_itself(taken: Taken, closed: RecorderClosed) -> bool:
    return taken.before.phase not in RESTING and closed.recording == taken.before.recording


def out_of_service(history: History, runs: dict[str, int]) -> list[Told]:
    """When no daemon ran: from the last line of one run to the first of the next, on the same device."""
    gaps = []
    for before, after in zip(history.epochs, history.epochs[1:], strict=False):
        if before.chain == after.chain and runs[before.name] != runs[after.name]:
            gaps.append(_gap(before, after))
    return gaps


def without_an_end(history: History, runs: dict[str, int]) -> list[AuditFinding]:
    """Runs before the last that a power loss, or a crash, ended: what happened after their last line is not known."""
    findings = []
    for before, after in zip(history.epochs, history.epochs[1:], strict=False):
        if before.chain == after.chain and runs[before.name] != runs[after.name] and not before.stopped:
            last = before.lines[-1].record
            what = "this boot has no end: a power loss, or a crash; what came after is not known"
            findings.append(AuditFinding(kind="extent", place=place_of(before, last), what=what, utc=last.utc))
    return findings


def _gap(before: Epoch, after: Epoch) -> Told:
    last, first = before.lines[-1].record, after.boot
    return Told(
        place=place_of(before, last),
        utc=last.utc,
        clock_set=last.clock.synchronised and first.clock.synchronised,
        what="out of service after a clean stop" if before.stopped else "out of service after a power loss or a crash",
        until_utc=first.utc,
        seconds=_seconds_between(last, first),
    )


def _seconds_between(last: Record, first: Record) -> float | None:
    """By the boot clock where the machine stayed on, else by the labels, where both clocks were set."""
    if last.boot == first.boot:
        return (first.boot_us - last.boot_us) / 1e6
    began, ended = parse_utc(last.utc), parse_utc(first.utc)
    if began is None or ended is None or not (last.clock.synchronised and first.clock.synchronised):
        return None
    seconds = (ended - began).total_seconds()
    return seconds if seconds >= 0 else None


def _told(taken: Taken, at_us: int, what: str, said: Decision | None = None) -> Told:
    return Told(
        place=taken.place,
        utc=utc_at(taken.record, at_us),
        clock_set=taken.record.clock.synchronised,
        what=what,
        clause=said.clause if said else "",
        source=said.source if said else "",
    )

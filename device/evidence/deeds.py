"""What the journal decided on each recording: a watcher of the replay. What was recorded counts, right or wrong; the
replay itself says what is wrong."""

import msgspec

from device.evidence.judgements import AuditFinding
from device.evidence.records import ClockStep, LedgerRecord, Marker, Muted, Noted, Paused, Resumed, Software, Unmuted
from device.evidence.replay import Era, Taken
from device.policy import commands as do
from device.policy.inputs import FaultChanged, PreEventHad, RecorderClosed
from device.policy.model import Policy
from device.policy.state import State, Wearer

CLOCK_STEPPED = "clock-stepped"
FROM_HEAT = (
    "shed-overlay",
    "shed-bitrate",
    "shed-rate",
    "restored-overlay",
    "restored-bitrate",
    "restored-rate",
)
"""What is noted in a ledger that no policy decided; the journal has the same note."""

Deed = tuple[str, int]
"""What was done, and its boot time in µs."""


class Activation(msgspec.Struct):
    """One decision to record, and all that was decided on that recording since. `seq`: the line that holds it. `deeds`:
    each with when it was decided. `recorder_said`, `said_us`: how and when the recorder says that it ended, "" while it
    has not. `faults`: the parts that had one while it was open."""

    run: int
    seq: int
    opened: do.Open
    wearer: Wearer
    policy: Policy
    software: Software
    place: str
    utc: str
    clock_set: bool
    deeds: dict[Deed, int] = msgspec.field(default_factory=dict)
    reasons: dict[Deed, str] = msgspec.field(default_factory=dict)
    faults: set[str] = msgspec.field(default_factory=set)
    had_us: int | None = None
    close: do.Close | None = None
    recorder_said: str = ""
    said_us: int = 0


class Activations:
    """By run and boot time of the activation; within a run also by the recording's number."""

    def __init__(self) -> None:
        self.by_time: dict[tuple[int, int], Activation] = {}
        self.epochs: set[str] = set()
        self.findings: list[AuditFinding] = []
        self._by_number: dict[tuple[int, int], Activation] = {}
        self._open: dict[tuple[int, int], Activation] = {}

    def began(self, era: Era, state: State) -> None:  # noqa: ARG002
        self.epochs.add(era.name)
        self._open = {key: activation for key, activation in self._open.items() if activation.run == era.run}

    def took(self, taken: Taken) -> None:
        for decided in taken.recorded:
            if isinstance(decided, do.Open):
                self._begin(taken, decided)
            else:
                self._more(taken.era.run, decided)
        came = taken.came
        if isinstance(came, FaultChanged):
            for activation in self._open.values():
                activation.faults |= {*taken.after.faults}
        elif isinstance(came, PreEventHad | RecorderClosed):
            self._recorder(taken.era.run, came)

    def ended(self, era: Era, state: State) -> None: ...

    def _recorder(self, run: int, came: PreEventHad | RecorderClosed) -> None:
        key = run, came.recording
        activation = self._by_number.get(key)
        if activation is None:
            return
        if isinstance(came, PreEventHad):
            activation.had_us = came.had_us
        elif not activation.recorder_said:
            activation.recorder_said, activation.said_us = came.how, came.at_us
            self._open.pop(key, None)

    def _begin(self, taken: Taken, opened: do.Open) -> None:
        run, record = taken.era.run, taken.record
        activation = Activation(
            run=run,
            seq=record.seq,
            opened=opened,
            wearer=taken.after.wearer,
            policy=taken.era.policy,
            software=taken.era.epoch.boot.software,
            place=taken.place,
            utc=record.utc,
            clock_set=record.clock.synchronised,
            faults={*taken.before.faults, *taken.after.faults},
        )
        if (run, opened.at_us) in self.by_time:
            what = f"two recordings were begun at {opened.at_us} µs of one boot"
            self.findings.append(AuditFinding(kind="recording", place=taken.place, what=what, utc=record.utc))
        self.by_time[run, opened.at_us] = activation
        self._by_number[run, opened.recording] = self._open[run, opened.recording] = activation

    def _more(self, run: int, decided: do.Command) -> None:
        activation = self._by_number.get((run, getattr(decided, "recording", 0)))
        if activation is None:
            return
        if isinstance(decided, do.Close):
            activation.close = decided
            return
        deed = _decided(decided)
        if deed is not None:
            activation.deeds[deed] = decided.at_us
            if isinstance(decided, do.Mute | do.Pause):
                activation.reasons[deed] = decided.reason


def _decided(decided: do.Command) -> Deed | None:
    """What a decision leaves in a ledger."""
    match decided:
        case do.Mark():
            return "marker", decided.marked_us
        case do.Mute():
            return "muted", decided.at_us
        case do.Unmute():
            return "unmuted", decided.at_us
        case do.Pause():
            return "paused", decided.at_us
        case do.Resume():
            return "resumed", decided.at_us
        case do.Notice():
            return "notice-given" if decided.given else "notice-not-given", decided.at_us
        case do.Note():
            stepped = decided.what == CLOCK_STEPPED
            return f"{CLOCK_STEPPED} by {decided.value} µs" if stepped else decided.what, decided.at_us
    return None


def done(record: LedgerRecord) -> Deed | None:
    """What a ledger's line says was done on a decision; None for all that the device writes by itself."""
    if isinstance(record, Noted):
        return None if record.what in FROM_HEAT else (record.what, record.at_us)
    if isinstance(record, ClockStep):
        return f"{CLOCK_STEPPED} by {record.step_us} µs", record.at_us
    if isinstance(record, Marker | Muted | Unmuted | Paused | Resumed):
        return str(record.__struct_config__.tag), record.at_us
    return None

"""What the journal decided on each recording: a watcher of the replay. What was recorded counts, right or wrong; the
replay itself says what is wrong."""

import msgspec

from device.evidence.replay import Era, Taken
from device.policy import commands as do
from device.policy.inputs import RecorderClosed
from device.policy.state import State, Wearer

DEED_KINDS = ("marker", "muted", "unmuted", "paused", "resumed")
"""The ledger's records that each have a decision."""


class Activation(msgspec.Struct):
    """One decision to record, and all that was decided on that recording since. `deeds`: kind → boot times in µs.
    `recorder_said`: how the recorder says that it ended, "" while it has not."""

    run: int
    opened: do.Open
    wearer: Wearer
    retention_days: int
    place: str
    utc: str
    clock_set: bool
    deeds: dict[str, set[int]] = msgspec.field(default_factory=lambda: {kind: set() for kind in DEED_KINDS})
    reasons: dict[tuple[str, int], str] = msgspec.field(default_factory=dict)
    close: do.Close | None = None
    recorder_said: str = ""


class Activations:
    """By run and boot time of the activation; within a run also by the recording's number."""

    def __init__(self) -> None:
        self.by_time: dict[tuple[int, int], Activation] = {}
        self.epochs: set[str] = set()
        self._by_number: dict[tuple[int, int], Activation] = {}

    def began(self, era: Era, state: State) -> None:  # noqa: ARG002
        self.epochs.add(era.name)

    def took(self, taken: Taken) -> None:
        for decided in taken.recorded:
            if isinstance(decided, do.Open):
                self._open(taken, decided)
            else:
                self._more(taken.era.run, decided)
        if isinstance(taken.came, RecorderClosed):
            activation = self._by_number.get((taken.era.run, taken.came.recording))
            if activation is not None:
                activation.recorder_said = taken.came.how

    def ended(self, era: Era, state: State) -> None: ...

    def _open(self, taken: Taken, opened: do.Open) -> None:
        run, record = taken.era.run, taken.record
        activation = Activation(
            run=run,
            opened=opened,
            wearer=taken.after.wearer,
            retention_days=taken.era.policy.retention.days,
            place=taken.place,
            utc=record.utc,
            clock_set=record.clock.synchronised,
        )
        self.by_time[run, opened.at_us] = activation
        self._by_number[run, opened.recording] = activation

    def _more(self, run: int, decided: do.Command) -> None:
        activation = self._by_number.get((run, getattr(decided, "recording", 0)))
        if activation is None:
            return
        match decided:
            case do.Mark():
                activation.deeds["marker"].add(decided.marked_us)
            case do.Mute():
                activation.deeds["muted"].add(decided.at_us)
                activation.reasons["muted", decided.at_us] = decided.reason
            case do.Unmute():
                activation.deeds["unmuted"].add(decided.at_us)
            case do.Pause():
                activation.deeds["paused"].add(decided.at_us)
                activation.reasons["paused", decided.at_us] = decided.reason
            case do.Resume():
                activation.deeds["resumed"].add(decided.at_us)
            case do.Close():
                activation.close = decided
            case _:
                pass

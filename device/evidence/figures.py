"""What a report counts of a shift, a day or all of it, and of what period."""

from collections import Counter

import msgspec

from device.evidence.verdicts import Shown
from device.policy.recording import UNEXPLAINED

Counts = dict[str, int]
_APART = ("late", "pre-event")


class Figures(Shown, frozen=True, kw_only=True):
    """What is counted of a shift, a day or all of it. The counts of a table are by category, zone, reason or part.

    `refusals`: starts that the policy refused; `device_refusals`: those that the device could not make (a full card);
    `denials`: anything else that was denied. `not_stopped`: recordings that no stop ended. `notices` are as many as
    activations. `unanswered`: what the wearer was asked for, where the asking ended before the answer was due.
    `files_refused`: files handed in (`policy`, `assignment`). `seconds`: buffering, recording (after the press), muted,
    paused, asleep, and idle without buffering; `pre_event_seconds`: recorded from before the presses."""

    activations: int
    by_category: Counts
    by_zone: Counts
    by_category_and_zone: Counts
    by_trigger: Counts
    refusals: Counts
    device_refusals: Counts
    denials: Counts
    overrides: Counts
    stops: Counts
    not_stopped: Counts
    unexplained: int
    mutes: Counts
    pauses: Counts
    sleeps: Counts
    notices: Counts
    late_starts: int
    late_seconds: float
    lapses: Counts
    unanswered: Counts
    faults: Counts
    files_refused: Counts
    pre_event_seconds: float
    seconds: dict[str, float]


class Period(msgspec.Struct, frozen=True):
    """From a moment up to another, in µs since 1970; None: unbounded."""

    from_us: int | None = None
    to_us: int | None = None

    def holds(self, at_us: int) -> bool:
        after = self.from_us is None or at_us >= self.from_us
        return after and (self.to_us is None or at_us < self.to_us)

    def clipped(self, from_us: int, to_us: int) -> tuple[int, int]:
        return (
            from_us if self.from_us is None else max(from_us, self.from_us),
            to_us if self.to_us is None else min(to_us, self.to_us),
        )


class Tally:
    """Counts by table and entry."""

    def __init__(self) -> None:
        self._counts: dict[str, Counter[str]] = {}
        self._seconds: Counter[str] = Counter()

    def add(self, table: str, entry: str) -> None:
        self._counts.setdefault(table, Counter())[entry] += 1

    def add_us(self, what: str, micros: int) -> None:
        self._seconds[what] += micros

    def figures(self) -> Figures:
        def table(name: str) -> Counts:
            return dict(sorted(self._counts.get(name, Counter()).items()))

        return Figures(
            activations=sum(table("category").values()),
            by_category=table("category"),
            by_zone=table("zone"),
            by_category_and_zone=table("category-and-zone"),
            by_trigger=table("trigger"),
            refusals=table("refusal"),
            device_refusals=table("device-refusal"),
            denials=table("denial"),
            overrides=table("override"),
            stops=table("stop"),
            not_stopped=table("not-stopped"),
            unexplained=table("stop").get(UNEXPLAINED, 0),
            mutes=table("mute"),
            pauses=table("pause"),
            sleeps=table("sleep"),
            notices=table("notice"),
            late_starts=sum(table("late").values()),
            late_seconds=self._seconds["late"] / 1e6,
            lapses=table("lapse"),
            unanswered=table("unanswered"),
            faults=table("fault"),
            files_refused=table("file"),
            pre_event_seconds=self._seconds["pre-event"] / 1e6,
            seconds={what: us / 1e6 for what, us in sorted(self._seconds.items()) if what not in _APART},
        )

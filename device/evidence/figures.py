"""What a report counts of a shift, a day or all of it, and of what period."""

from collections import Counter

import msgspec

from device.evidence.verdicts import Shown
from device.policy.recording import UNEXPLAINED

Counts = dict[str, int]


class Figures(Shown, frozen=True, kw_only=True):
    """What is counted of a shift, a day or all of it. The counts of a table are by category, zone, reason or part;
    `seconds`: buffering, recording, muted, paused, asleep, and idle without buffering."""

    activations: int
    by_category: Counts
    by_zone: Counts
    by_category_and_zone: Counts
    by_trigger: Counts
    refusals: Counts
    denials: Counts
    overrides: Counts
    stops: Counts
    unexplained: int
    mutes: Counts
    pauses: Counts
    notices: Counts
    late_starts: int
    late_seconds: float
    lapses: Counts
    faults: Counts
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
            denials=table("denial"),
            overrides=table("override"),
            stops=table("stop"),
            unexplained=table("stop").get(UNEXPLAINED, 0),
            mutes=table("mute"),
            pauses=table("pause"),
            notices=table("notice"),
            late_starts=sum(table("late").values()),
            late_seconds=self._seconds["late"] / 1e6,
            lapses=table("lapse"),
            faults=table("fault"),
            seconds={what: micros / 1e6 for what, micros in sorted(self._seconds.items()) if what != "late"},
        )

"""What is given up as it gets hot, and when it is taken back. PURE: temperatures and times in, a step out.

Each step has a temperature from which it is taken, and the same less `cooler_by_mc` at which it is taken back. One step at
a time, in order, back in the reverse order; none within `dwell_us` of the one before. So a temperature that swings by less
than `cooler_by_mc` never takes a step there and back, and nothing changes more often than the dwell. Recording is no step:
it goes on at any temperature.
"""

from enum import IntEnum

import msgspec


class Step(IntEnum):
    """Everything up to this is given up."""

    NONE = 0
    OVERLAY = 1
    BITRATE = 2
    RATE = 3


class Limits(msgspec.Struct, frozen=True):
    """`from_mc`: of each step in order, rising. Thousandths of a degree Celsius, µs."""

    from_mc: tuple[int, int, int]
    cooler_by_mc: int
    dwell_us: int


class Shedding:
    """`step`: what is given up now."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._rests_until_us = 0
        self.step = Step.NONE

    def look(self, temperature_mc: int, now_us: int) -> Step:
        """The step after this temperature: at most one away from that before."""
        if now_us < self._rests_until_us:
            return self.step
        from_mc, cooler_by_mc = self._limits.from_mc, self._limits.cooler_by_mc
        before = self.step
        if before < Step.RATE and temperature_mc >= from_mc[before]:
            self.step = Step(before + 1)
        elif before > Step.NONE and temperature_mc <= from_mc[before - 1] - cooler_by_mc:
            self.step = Step(before - 1)
        if self.step is not before:
            self._rests_until_us = now_us + self._limits.dwell_us
        return self.step

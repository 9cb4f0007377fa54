"""How full the battery is, from a fuel gauge that may say anything. PURE: readings and times in, a level and a fault out.

A reading counts when its per cent are possible; the median of the last five decides, so that a spike is nothing. What is
worse is told at once, what is better when it has been better for half a minute: a gauge that flaps does not flood. The
voltage may make the level worse than the per cent say, never better: a gauge that is stuck at 80 % is caught by it.
"""

import statistics
from collections import deque
from typing import Literal

import msgspec

LOOKED_AT = 5
LEAST = 3
"""So many good readings before anything is said."""
MISSING_US = 10_000_000
"""A gauge that has given no good reading for so long has failed."""
STUCK_US = 2 * 3600 * 1_000_000
"""Per cent and voltage that both stand still for so long: the voltage of a real cell moves within minutes."""
BETTER_US = 30_000_000
MOST_PERCENT = 110
"""The MAX17040's estimate may pass 100 by a little."""
CELL_MV = range(2_000, 20_001)
BETTER_BY_PERCENT = 3
BETTER_BY_MV = 100

Level = Literal["good", "low", "critical"]
_LEVELS: tuple[Level, ...] = ("good", "low", "critical")


class Gauge(msgspec.Struct, frozen=True):
    """What a fuel gauge says: per cent left, and the voltage in mV; None for what it does not say."""

    percent: int | None
    voltage_mv: int | None


class Limits(msgspec.Struct, frozen=True):
    """At or below which it is low, or critical. 0 mV: the voltage is not looked at."""

    low_percent: int
    critical_percent: int
    low_mv: int
    critical_mv: int


class Charge:
    """`level` is what it was while the gauge has failed; `fault` says why it has, "" while it has not."""

    def __init__(self, limits: Limits, now_us: int) -> None:
        self._limits = limits
        self._good: deque[tuple[int, int | None]] = deque(maxlen=LOOKED_AT)
        self._good_us = now_us
        self._moved_us = now_us
        self._better_since_us: int | None = None
        self._rank = 0
        self.fault = ""

    @property
    def level(self) -> Level:
        return _LEVELS[self._rank]

    def look(self, gauge: Gauge | None, now_us: int) -> None:
        """Take a reading; None: the gauge gave none. Once a second or so."""
        reading = _believed(gauge)
        if reading is not None:
            if not self._good or reading != self._good[-1]:
                self._moved_us = now_us
            self._good.append(reading)
            self._good_us = now_us
        self.fault = self._why_failed(now_us)
        if reading is not None and len(self._good) >= LEAST:
            self._settle(now_us)

    def _why_failed(self, now_us: int) -> str:
        if now_us - self._good_us >= MISSING_US:
            return f"the fuel gauge has said nothing of use for {MISSING_US // 1_000_000} s"
        if now_us - self._moved_us >= STUCK_US:
            percent, voltage_mv = self._good[-1]
            return f"the fuel gauge has said {percent} % and {voltage_mv} mV for {STUCK_US // 3_600_000_000} h"
        return ""

    def _settle(self, now_us: int) -> None:
        limits = self._limits
        rank = self._rank_of(
            statistics.median_low(percent for percent, _ in self._good),
            limits.low_percent,
            limits.critical_percent,
            BETTER_BY_PERCENT,
        )
        voltages = [voltage_mv for _, voltage_mv in self._good if voltage_mv is not None]
        if len(voltages) >= LEAST and limits.low_mv:
            voltage_mv = statistics.median_low(voltages)
            rank = max(rank, self._rank_of(voltage_mv, limits.low_mv, limits.critical_mv, BETTER_BY_MV))
        if rank >= self._rank:
            self._rank, self._better_since_us = rank, None
            return
        self._better_since_us = now_us if self._better_since_us is None else self._better_since_us
        if now_us - self._better_since_us >= BETTER_US:
            self._rank, self._better_since_us = rank, None

    def _rank_of(self, value: int, low: int, critical: int, better_by: int) -> int:
        """A level is left only when the value is above its limit by `better_by`."""
        if value <= critical + (better_by if self._rank >= 2 else 0):
            return 2
        return 1 if value <= low + (better_by if self._rank >= 1 else 0) else 0


def _believed(gauge: Gauge | None) -> tuple[int, int | None] | None:
    """A gauge whose bus fails says 255 %, or anything."""
    if gauge is None or gauge.percent is None or not 0 <= gauge.percent <= MOST_PERCENT:
        return None
    voltage_mv = gauge.voltage_mv
    return min(gauge.percent, 100), voltage_mv if voltage_mv in CELL_MV else None

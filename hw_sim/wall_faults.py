"""A clock whose wall time can be wrong. The boot clock under it never is. Any thread."""

import random
from typing import Literal

import msgspec

from device.clock import Clock, Wall

HOUR_US = 3_600_000_000
Goes = Literal["well", "stands", "jumps", "slowly"]


class BentClock:
    """Another clock, real or virtual, whose wall time is bent by what is wrong with it: `unset`: nothing bears it out;
    `step_us`: it was set that wrong; `stands`, `jumps` (at each look, by up to an hour) or goes `slowly`, by `slow_ppm`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.clear()

    def clear(self) -> None:
        self.unset = False
        self.step_us = 0
        self.goes: Goes = "well"
        self.slow_ppm = 0
        self._random = random.Random(1)
        self._since: Wall | None = None

    def bend(self, goes: Goes, slow_ppm: int = 0) -> None:
        """From now on."""
        self._since = self._clock.wall()
        self.goes, self.slow_ppm = goes, slow_ppm

    @property
    def boot_id(self) -> str:
        return self._clock.boot_id

    def now_us(self) -> int:
        return self._clock.now_us()

    def at_monotonic_us(self, monotonic_s: float) -> int:
        return self._clock.at_monotonic_us(monotonic_s)

    def look_at_source(self) -> None:
        self._clock.look_at_source()

    def wall(self) -> Wall:
        wall = self._clock.wall()
        utc_us = wall.utc_us + self.step_us
        if self._since is not None and self.goes != "well":
            passed_us = wall.utc_us - self._since.utc_us
            if self.goes == "stands":
                utc_us -= passed_us
            elif self.goes == "slowly":
                utc_us -= passed_us * self.slow_ppm // 1_000_000
            else:
                utc_us += self._random.randrange(-HOUR_US, HOUR_US)
        if self.unset:
            return Wall(utc_us=utc_us, synchronised=False, source="none", error_us=0)
        return msgspec.structs.replace(wall, utc_us=utc_us)

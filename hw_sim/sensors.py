"""The twin's sensors: each says what it was last set to. Set from any thread."""

import random
import re
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Generic, Literal, TypeVar

from device.charge import Gauge
from device.clock import Clock
from device.hardware import CardState, Memory

MIB = 1 << 20
FULL_MV = 4_200
"""A cell's voltage when it is full; the twin's falls by 10 mV a per cent."""
CARDS = {
    "good": CardState(life=1, spare=1, errors=0, read_only=False),
    "worn": CardState(life=10, spare=2, errors=0, read_only=False),
    "erring": CardState(life=1, spare=1, errors=3, read_only=False),
    "read-only": CardState(life=1, spare=1, errors=3, read_only=True),
}
_NUMBER = re.compile(r"-?[0-9]{1,4}\Z")
_COUNT = re.compile(r"[0-9]{1,4}\Z")


_Said = TypeVar("_Said")
Says = Literal["well", "nothing", "stuck", "garbage", "wrong", "late"]


class Bent(Generic[_Said]):
    """What is wrong with one sensor: it says `nothing`, always the same (`stuck`), anything (`garbage`), something `wrong`
    by a number, or what was so many seconds ago (`late`)."""

    def __init__(
        self, clock: Clock, garbage: Callable[[random.Random], _Said], wrong: Callable[[_Said, int], _Said]
    ) -> None:
        self._clock = clock
        self._garbage = garbage
        self._wrong = wrong
        self.says("well")

    def says(self, how: Says, number: int = 0) -> None:
        """From the next look on."""
        self._how: Says = how
        self._number = number
        self._random = random.Random(1)
        self._before: deque[tuple[int, _Said]] = deque()

    def of(self, true: _Said) -> _Said | None:
        """What it says while this is true."""
        if self._how == "nothing":
            return None
        if self._how == "garbage":
            return self._garbage(self._random)
        if self._how == "wrong":
            return self._wrong(true, self._number)
        if self._how == "well":
            return true
        now_us = self._clock.now_us()
        self._before.append((now_us, true))
        while self._how == "late" and len(self._before) > 1 and self._before[1][0] <= now_us - self._number * 1_000_000:
            self._before.popleft()
        return self._before[0][1]


def _any_gauge(odds: random.Random) -> Gauge:
    return Gauge(percent=odds.randrange(256), voltage_mv=odds.randrange(1 << 16))


class TwinSensors:
    """None: the board has no such sensor, or it has failed. `gauge`: its last millivolt wobbles, as a cell's does."""

    def __init__(self, clock: Clock) -> None:
        self.heat = Bent[int](clock, lambda odds: odds.randrange(-300_000, 1_000_000), lambda mc, by: mc + 1000 * by)
        self.charge = Bent[Gauge](clock, _any_gauge, lambda gauge, percent: Gauge(percent, gauge.voltage_mv))
        self.temperature: int | None = 45_000
        self.voltage_is_low: bool | None = False
        self.gauge: Gauge | None = Gauge(percent=90, voltage_mv=4_000)
        self.card_state = CARDS["good"]
        self.left_mib = 200
        self.swap_mib = 0
        self._reads = 0

    def play(self, line: str) -> bool:
        """Carry out one line of a bench's; False for one that is none."""
        match line.split():
            case ["heat", "none"]:
                self.temperature = None
            case ["heat", degrees] if _NUMBER.match(degrees):
                self.temperature = int(degrees) * 1000
            case ["battery", "none"]:
                self.gauge = None
            case ["battery", percent] if percent.endswith("%") and _COUNT.match(percent[:-1]):
                self.gauge = Gauge(int(percent[:-1]), FULL_MV - 10 * (100 - min(100, max(0, int(percent[:-1])))))
            case ["undervoltage", ("on" | "off") as way]:
                self.voltage_is_low = way == "on"
            case ["memory", mib] if _COUNT.match(mib):
                self.left_mib = int(mib)
            case ["card", state] if state in CARDS:
                self.card_state = CARDS[state]
            case _:
                return False
        return True

    def temperature_mc(self) -> int | None:
        return None if self.temperature is None else self.heat.of(self.temperature)

    def under_voltage(self) -> bool | None:
        return self.voltage_is_low

    def battery(self) -> Gauge | None:
        gauge = self.gauge
        if gauge is None:
            return None
        if gauge.voltage_mv is not None:
            self._reads += 1
            gauge = Gauge(gauge.percent, gauge.voltage_mv + self._reads % 2)
        return self.charge.of(gauge)

    def card(self, path: Path) -> CardState:  # noqa: ARG002 - the twin has one card
        return self.card_state

    def memory(self) -> Memory | None:
        return Memory(left_bytes=self.left_mib * MIB, swap_bytes=self.swap_mib * MIB)

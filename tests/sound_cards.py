"""A sound card for tests: it captures the twin's tone and clicks by a clock of its own, and can be unplugged or overrun."""

import random
from collections.abc import Callable

import numpy as np

from device.clock import Clock, Part, Wake
from device.errors import HardwareFailed
from device.pi.capture import Block
from hw_sim.clock import Scheduler, VirtualClock
from hw_sim.microphone import one_second

BLOCK = 2_400
"""Samples: 50 ms."""


class FakeCard:
    """`open` is what the driver is given. `odds`: when given, the thread that reads is late by a few ms, at times by 100 ms."""

    def __init__(
        self, clock: Clock, rate_hz: int = 48_000, drift_ppm: int = 0, odds: random.Random | None = None
    ) -> None:
        self.plugged = True
        self.mute = False
        self.opened: list[int] = []
        self.closed = 0
        self.clock, self.rate_hz, self.real_hz, self.odds = clock, rate_hz, rate_hz * (1 + drift_ppm / 1e6), odds
        self.zero_us = clock.now_us()
        self.sound = (np.tile(one_second(rate_hz, 440)[:rate_hz], 2) * 32_767).astype("<i2")

    def open(self) -> "FakeSource":
        self.opened.append(self.clock.now_us())
        if not self.plugged:
            raise HardwareFailed("no such card")
        return FakeSource(self)

    def break_off(self) -> None:
        """The run ends, as by an overrun: the card can be opened again at once."""
        self.broken = True

    broken = False


class FakeSource:
    def __init__(self, card: FakeCard) -> None:
        self._card = card
        self._opened_us = card.clock.now_us()
        self._taken = 0
        self.is_closed = False

    def read(self) -> Block | None:
        card = self._card
        assert not self.is_closed, "a closed card is not read"
        if not card.plugged or card.broken:
            card.broken = False
            raise HardwareFailed("the card is gone")
        now_us = card.clock.now_us()
        there = int((now_us - self._opened_us) * card.real_hz / 1e6) - self._taken
        if card.mute or there < BLOCK:
            return None
        first_us = self._opened_us + self._taken * 1e6 / card.real_hz
        self._taken += there
        begin = round((first_us - card.zero_us) * card.rate_hz / 1e6) % card.rate_hz
        late_us = 0.0
        if card.odds is not None:
            late_us = card.odds.uniform(0, 4_000) + (card.odds.random() < 0.02) * card.odds.uniform(0, 100_000)
        return Block(card.sound[begin : begin + there].tobytes(), int(first_us + late_us))

    def close(self) -> None:
        self._card.closed += not self.is_closed
        self.is_closed = True


class Looped:
    """Loops a part by a scheduler in virtual time, in a `Runner`'s place."""

    def __init__(self, part: Part, wake: Wake, clock: Clock, on_failure: Callable[[Part, Exception], None]) -> None:
        assert isinstance(clock, VirtualClock)
        self.running = False
        self._part, self._on_failure = part, on_failure
        self.name = part.name

    def start(self) -> None:
        self.running = True

    def stop(self, limit_s: float) -> bool:
        self.running = False
        return True

    def run_once(self, now_us: int) -> int:
        return self._part.run_once(now_us)


class Stage:
    """Runs what was started, in virtual time."""

    def __init__(self) -> None:
        self.clock = VirtualClock("test-boot")
        self.looped: list[Looped] = []

    def loop(self, part: Part, wake: Wake, clock: Clock, on_failure: Callable[[Part, Exception], None]) -> Looped:
        self.looped.append(Looped(part, wake, clock, on_failure))
        return self.looped[-1]

    def run(self, seconds: float) -> None:
        end_us = self.clock.now_us() + round(seconds * 1e6)
        parts: list[tuple[Part, Wake]] = [(looped, Wake()) for looped in self.looped if looped.running]
        Scheduler(self.clock, parts).run_until(end_us)

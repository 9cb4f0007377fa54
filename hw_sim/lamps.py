"""The two lights as an eye sees them: what the device drives its lines to, and what is wrong with the lamps. Any thread.

The device can't see its own lights: a lamp that is broken changes nothing in it.
"""

import random
from typing import Literal

from gpiozero.pins.mock import MockFactory

from device.clock import Clock
from device.tables import Wiring

LAMPS = ("recording", "ready")
FLICKER_US = 70_000
Shows = Literal["well", "nothing", "stuck", "garbage", "crossed"]


class Lamps:
    """`broken`: what is wrong with both of them."""

    def __init__(self, factory: MockFactory, wiring: Wiring, clock: Clock) -> None:
        board, lines = wiring.board, wiring.lines
        self._factory = factory
        self._clock = clock
        self._lines = {
            "recording": (board.recording_light, lines.recording_light.active == "high"),
            "ready": (board.ready_light, lines.ready_light.active == "high"),
        }
        self.broken: Shows = "well"
        self._stuck: dict[str, float] = {}

    def breaks(self, how: Shows) -> None:
        self._stuck = {lamp: self.driven(lamp) for lamp in LAMPS}
        self.broken = how

    def driven(self, lamp: str) -> float:
        """How bright the device wants it, from 0 to 1."""
        pin, active_high = self._lines[lamp]
        level = float(self._factory.pin(pin).state)
        return level if active_high else 1 - level

    def seen(self, lamp: str) -> float:
        """How bright it is, from 0 to 1."""
        if self.broken == "nothing":
            return 0.0
        if self.broken == "stuck":
            return self._stuck[lamp]
        if self.broken == "garbage":
            return float(random.Random(f"{lamp} {self._clock.now_us() // FLICKER_US}").randrange(2))
        if self.broken == "crossed":
            return self.driven(LAMPS[1 - LAMPS.index(lamp)])
        return self.driven(lamp)

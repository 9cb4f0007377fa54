"""The officer's thumb: presses, double presses and holds on mock pins, with contact bounce.

The board under it is the device's own code. A part: it drives the pins when their time has come, in real or virtual
time. Verbs may be called from any thread.
"""

import heapq
import random
import threading
from collections.abc import Iterator

from gpiozero.pins.mock import MockFactory

from device.clock import NEVER_US, Clock, Wake
from device.config import Board as Pins

PRESS_MS = 120
DOUBLE_GAP_MS = 150
BOUNCES = 3
BOUNCE_US = 1500
"""Contacts close and open a few times within some ms before they rest."""


class Thumb:
    """The part named `thumb`. `seed` draws the bounces."""

    name = "thumb"

    def __init__(self, factory: MockFactory, pins: Pins, clock: Clock, wake: Wake, seed: int = 1) -> None:
        self._clock = clock
        self._wake = wake
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self._due: list[tuple[int, int, str, bool]] = []
        self._order = 0
        self._pins = {"record": factory.pin(pins.record_button), "function": factory.pin(pins.function_button)}

    def press(self, button: str, at_us: int | None = None, length_ms: int = PRESS_MS) -> int:
        """Press and release; the boot time of the leading edge."""
        at_us = self._clock.now_us() if at_us is None else at_us
        self._contact(button, at_us, pressed=True)
        self._contact(button, at_us + length_ms * 1000, pressed=False)
        self._wake.ring()
        return at_us

    def double(self, button: str, at_us: int | None = None) -> int:
        """A double press; the boot time of its second leading edge."""
        first_us = self.press(button, at_us)
        return self.press(button, first_us + (PRESS_MS + DOUBLE_GAP_MS) * 1000)

    def hold(self, button: str, length_ms: int, at_us: int | None = None) -> int:
        return self.press(button, at_us, length_ms)

    def run_once(self, now_us: int) -> int:
        while self._due and self._due[0][0] <= now_us:
            with self._lock:
                _, _, button, pressed = heapq.heappop(self._due)
            pin = self._pins[button]
            if pressed:
                pin.drive_low()
            else:
                pin.drive_high()
        return self._due[0][0] if self._due else NEVER_US

    def _contact(self, button: str, at_us: int, *, pressed: bool) -> None:
        with self._lock:
            for offset_us, level in self._bounced(pressed):
                self._order += 1
                heapq.heappush(self._due, (at_us + offset_us, self._order, button, level))

    def _bounced(self, pressed: bool) -> Iterator[tuple[int, bool]]:
        offset_us = 0
        yield offset_us, pressed
        for _ in range(self._random.randrange(BOUNCES)):
            offset_us += self._random.randrange(200, BOUNCE_US)
            yield offset_us, not pressed
            offset_us += self._random.randrange(200, BOUNCE_US)
            yield offset_us, pressed

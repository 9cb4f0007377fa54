"""The officer's hand: presses, holds, switches and triggers on mock pins, with contact bounce, and contacts that break.

The board under it is the device's own code. A part: it drives the pins when their time has come, in real or virtual
time. Verbs may be called from any thread; those with `at_us` begin then, the others now.
"""

import heapq
import random
import threading
from collections.abc import Iterator
from typing import Literal

from gpiozero.pins.mock import MockFactory

from device.clock import NEVER_US, Clock, Wake
from device.controls.lines import wires
from device.tables import Wiring
from hw_sim.pins import TwinPin

PRESS_MS = 120
DOUBLE_GAP_MS = 150
TRIGGER_MS = 60
BOUNCES = 3
BOUNCE_US = 1500
"""Contacts close and open a few times within some ms before they rest."""
BUTTONS = ("record", "function")
FINGER_MS = 60
"""No finger turns round faster, and no debounce is longer: what comes faster was held up on its way and came in one heap."""
BETWEEN_POSITIONS_MS = 10
"""A rotary switch opens one line so long before it closes the next."""


class WiredPin(TwinPin):
    """A mock pin that what is wired to it drives: against that, a pull-up or pull-down does nothing. A change is stamped
    with when the contact moved, as a kernel does: a busy machine delays it but does not move it."""

    driven: bool | None = None
    _late_s = 0.0

    def drive(self, high: bool, late_us: int = 0) -> None:
        self.driven = high
        self._late_s = late_us / 1e6
        (self.drive_high if high else self.drive_low)()

    def _change_state(self, value: bool) -> bool:
        changed = bool(super()._change_state(value))
        if changed:
            self._last_change -= self._late_s
        return changed

    def _set_pull(self, value: str) -> None:
        super()._set_pull(value)
        if self.driven is not None:
            self.drive(self.driven)


class ContactFaults:
    """What is wrong with the two buttons. `dead`: no press comes through; `crossed`: which one's wire each drives;
    `late_us`: how much later a contact closes and opens; `bounce_us`: how long it may chatter at each, at most."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.dead = False
        self.crossed: dict[str, str] = {}
        self.late_us = 0
        self.bounce_us = BOUNCE_US


class Thumb:
    """The part named `thumb`. `seed` draws the bounces. `positions`: where its
    switches, and what is stuck, have been left; kept up to date, and it may outlive this board."""

    name = "thumb"

    def __init__(
        self,
        factory: MockFactory,
        wiring: Wiring,
        clock: Clock,
        wake: Wake,
        seed: int = 1,
        positions: dict[str, bool] | None = None,
    ) -> None:
        self._clock = clock
        self._wake = wake
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self.contacts = ContactFaults()
        self._due: list[tuple[int, int, str, bool]] = []
        self._order = 0
        self._driven_us = 0
        self._turned_us: dict[str, int] = {}
        self._wires = wires(wiring)
        self._pins = {name: factory.pin(wire.pin, pin_class=WiredPin) for name, wire in self._wires.items()}
        self._positions = {} if positions is None else positions
        for name, on in self._positions.items():
            if name in self._wires:
                self._drive(name, on)

    def has(self, line: str) -> bool:
        """Whether this board has a line of this name."""
        return line in self._wires

    def names(self, prefix: str) -> list[str]:
        """What follows the prefix in the names of the lines that begin with it."""
        return [line.removeprefix(prefix) for line in self._wires if line.startswith(prefix)]

    def press(self, button: str, at_us: int | None = None, length_ms: int = PRESS_MS) -> int:
        """Press and release; the boot time of the leading edge."""
        at_us = self._clock.now_us() if at_us is None else at_us
        self._contact(button, at_us, on=True)
        self._contact(button, at_us + length_ms * 1000, on=False)
        self._wake.ring()
        return at_us

    def double(self, button: str, at_us: int | None = None) -> int:
        """A double press; the boot time of its second leading edge."""
        first_us = self.press(button, at_us)
        return self.press(button, first_us + (PRESS_MS + DOUBLE_GAP_MS) * 1000)

    def hold(self, button: str, length_ms: int, at_us: int | None = None) -> int:
        return self.press(button, at_us, length_ms)

    def switch(self, name: str, on: bool, at_us: int | None = None) -> int:
        """Turn a switch, `sleep` or `dock`, on or off; one that is there already does not move. A button goes down or
        comes up no sooner than a finger can."""
        at_us = self._clock.now_us() if at_us is None else at_us
        if self._positions.get(name, False) != on:
            if name in BUTTONS:
                at_us = max(at_us, self._turned_us.get(name, 0))
                self._turned_us[name] = at_us + FINGER_MS * 1000
            self._contact(name, at_us, on=on)
            self._positions[name] = on
            self._wake.ring()
        return at_us

    def zone(self, name: str) -> int:
        """Turn the zone switch; to a zone without a line of its own: to where no line is closed."""
        at_us = self._clock.now_us()
        for line in self._wires:
            if line.startswith("zone-") and line != f"zone-{name}":
                self.switch(line, False, at_us)
        if f"zone-{name}" in self._wires:
            self.switch(f"zone-{name}", True, at_us + BETWEEN_POSITIONS_MS * 1000)
        return at_us

    def battery(self, level: Literal["good", "low", "critical"]) -> None:
        """What the power supply says of the battery."""
        for line, on in (("battery-low", level != "good"), ("battery-critical", level == "critical")):
            if self.has(line):
                self.switch(line, on)

    def trigger(self, name: str, length_ms: int = TRIGGER_MS) -> int:
        """A trigger is active for so long; the boot time at which it begins."""
        return self.press(f"trigger-{name}", length_ms=length_ms)

    def stick(self, name: str) -> int:
        """A button, or another line, is pressed and stays so."""
        return self.switch(name, True)

    def unstick(self, name: str) -> int:
        return self.switch(name, False)

    def chatter(self, name: str, length_ms: int, rate_hz: int) -> int:
        """A broken contact: closes and opens so many times a second, for so long, and is open at the end."""
        at_us = self._clock.now_us()
        half_us = 500_000 // rate_hz
        with self._lock:
            for n in range(2 * rate_hz * length_ms // 1000 // 2 * 2):
                self._at(at_us + n * half_us, name, on=n % 2 == 0)
        self._wake.ring()
        return at_us

    def run_once(self, now_us: int) -> int:
        while self._due and self._due[0][0] <= now_us:
            with self._lock:
                due_us, _, name, on = heapq.heappop(self._due)
            self._driven_us = max(self._driven_us, due_us)
            self._drive(name, on, self._clock.now_us() - self._driven_us)
        return self._due[0][0] if self._due else NEVER_US

    def _drive(self, name: str, on: bool, late_us: int = 0) -> None:
        self._pins[name].drive(on != self._wires[name].active_low, late_us)

    def _contact(self, name: str, at_us: int, *, on: bool) -> None:
        if name in BUTTONS:
            name, at_us = self.contacts.crossed.get(name, name), at_us + self.contacts.late_us
            if self.contacts.dead:
                return
        with self._lock:
            for offset_us, level in self._bounced(on):
                self._at(at_us + offset_us, name, on=level)

    def _at(self, at_us: int, name: str, *, on: bool) -> None:
        assert name in self._wires, f"no line of this name is configured: {name}"
        self._order += 1
        heapq.heappush(self._due, (at_us, self._order, name, on))

    def _bounced(self, on: bool) -> Iterator[tuple[int, bool]]:
        offset_us = 0
        yield offset_us, on
        for _ in range(self._random.randrange(BOUNCES)):
            offset_us += self._random.randrange(200, self.contacts.bounce_us)
            yield offset_us, not on
            offset_us += self._random.randrange(200, self.contacts.bounce_us)
            yield offset_us, on

"""GPIO lines by gpiozero, of a Pi or mock ones: an input whose edges have their boot time, and an output.

An edge is stamped where it is first seen: by the kernel, in its interrupt. lgpio asks the GPIO character device for edges
by the second version of its interface, which stamps with CLOCK_MONOTONIC, and gpiozero hands the stamp on as the `ticks` of
a pin's `when_changed`; `Clock.at_monotonic_us` makes boot time of it. So a busy processor delays an edge but does not move
it. No gpiozero event, hold, blink or beep: their threads wait on real time.
"""

from collections.abc import Callable
from typing import Protocol

from gpiozero import DigitalOutputDevice, GPIOZeroError, InputDevice, PWMOutputDevice

from device.clock import Clock
from device.controls.lines import Wire
from device.errors import HardwareFailed
from device.tables import OutputLine

DIMMING_HZ = 100
"""Fast enough for an eye; lgpio's thread switches the line twice a period."""
_PULL_UP = {"up": True, "down": False, "none": None}


class PinFactory(Protocol):
    """A gpiozero pin factory: lgpio's on a Pi, the mock one in the twin."""

    def close(self) -> None: ...


class InputPin:
    """`hear` gets the boot time of each raw edge and whether the line is active from then on. It is called by gpiozero's
    thread, which ends, and with it every line, when it raises."""

    def __init__(self, wire: Wire, factory: PinFactory, clock: Clock, hear: Callable[[int, bool], None]) -> None:
        """`HardwareFailed` where the line is not to be had."""
        self._active_low = wire.active_low
        self._clock = clock
        self._hear = hear
        active = True if wire.pull == "none" else None
        try:
            self._device = InputDevice(wire.pin, pull_up=_PULL_UP[wire.pull], active_state=active, pin_factory=factory)
        except GPIOZeroError as failure:
            raise HardwareFailed(f"GPIO {wire.pin}: {failure}") from failure
        self._device.pin.edges = "both"
        self._device.pin.when_changed = self._changed

    @property
    def on(self) -> bool:
        """Whether it is active now."""
        return bool(self._device.pin.state) != self._active_low

    def close(self) -> None:
        """May be called twice."""
        self._device.close()

    def _changed(self, ticks: float, level: int) -> None:
        self._hear(self._clock.at_monotonic_us(ticks), bool(level) != self._active_low)


class OutputPin:
    """On or off, and how bright while on, in percent. Only a change is written to the line."""

    def __init__(self, pin: int, line: OutputLine, factory: PinFactory, *, dims: bool = False) -> None:
        """`HardwareFailed` where the line is not to be had."""
        kind = PWMOutputDevice if dims else DigitalOutputDevice
        settings = {"frequency": DIMMING_HZ} if dims else {}
        try:
            self._device = kind(pin, active_high=line.active == "high", pin_factory=factory, **settings)
        except GPIOZeroError as failure:
            raise HardwareFailed(f"GPIO {pin}: {failure}") from failure
        self.percent = 100
        self._on = False
        self._written = 0.0

    @property
    def value(self) -> bool:
        return self._on

    @value.setter
    def value(self, on: bool) -> None:
        self._on = on
        wanted = self.percent / 100 if on else 0.0
        if wanted != self._written:
            self._written = self._device.value = wanted

    def close(self) -> None:
        """May be called twice."""
        self._device.close()

"""Buttons, lights, buzzer and vibration on GPIO lines, by gpiozero: the same code on a Pi and on mock pins.

gpiozero's threads only put raw edges with their boot time into a queue and wake the control loop; debouncing is done
here, on that loop, and outputs are set from it. No gpiozero hold, blink or beep: their threads wait on real time.
"""

from collections import deque
from collections.abc import Callable
from typing import Protocol

from gpiozero import DigitalInputDevice, DigitalOutputDevice

from device.clock import NEVER_US, Clock
from device.config import Board as Pins
from device.controls.indicators import CUES, Lights, pulse_edges_us
from device.policy.inputs import Edge


class PinFactory(Protocol):
    """A gpiozero pin factory: lgpio's on a Pi, the mock one in the twin."""

    def close(self) -> None: ...


class Debouncer:
    """One button. The first edge counts at once; what follows within `debounce_us` is bounce, and the level that is
    left after it counts then, if it is another."""

    def __init__(self, name: str, debounce_us: int) -> None:
        self._name = name
        self._debounce_us = debounce_us
        self._told = False
        self._level = False
        self._quiet_at_us = 0

    def edge(self, at_us: int, pressed: bool) -> list[Edge]:
        """A raw edge. Times of one button never go back."""
        settled = self.settle(at_us)
        self._level = pressed
        if at_us < self._quiet_at_us or pressed == self._told:
            return settled
        return [*settled, self._tell(at_us)]

    def settle(self, now_us: int) -> list[Edge]:
        """The bounce is over: tell the level if it is another."""
        if now_us < self._quiet_at_us or self._level == self._told:
            return []
        return [self._tell(max(self._quiet_at_us, 0))]

    @property
    def next_wake_us(self) -> int:
        return self._quiet_at_us if self._level != self._told else NEVER_US

    def _tell(self, at_us: int) -> Edge:
        self._told = self._level
        self._quiet_at_us = at_us + self._debounce_us
        return Edge(at_us=at_us, button=self._name, pressed=self._told)


class Board:
    """`take` and `show` are called by the control loop only."""

    def __init__(self, pins: Pins, factory: PinFactory, clock: Clock, wake: Callable[[], None]) -> None:
        self._clock = clock
        self._wake = wake
        self._raw: deque[tuple[str, int, bool]] = deque()
        self._cue_edges: deque[tuple[int, bool]] = deque()
        self._debouncers = {name: Debouncer(name, pins.debounce_ms * 1000) for name in ("record", "function")}
        self._buttons = {
            "record": DigitalInputDevice(pins.record_button, pull_up=True, pin_factory=factory),
            "function": DigitalInputDevice(pins.function_button, pull_up=True, pin_factory=factory),
        }
        for name, button in self._buttons.items():
            button.when_activated = self._listener(name, pressed=True)
            button.when_deactivated = self._listener(name, pressed=False)
        self._recording = DigitalOutputDevice(pins.recording_light, pin_factory=factory)
        self._ready = DigitalOutputDevice(pins.ready_light, pin_factory=factory)
        self._pulsed = (
            DigitalOutputDevice(pins.buzzer, pin_factory=factory),
            DigitalOutputDevice(pins.vibration, pin_factory=factory),
        )

    def take(self, now_us: int) -> list[Edge]:
        """The debounced edges since the last call, oldest first."""
        edges: list[Edge] = []
        while self._raw:
            name, at_us, pressed = self._raw.popleft()
            edges += self._debouncers[name].edge(at_us, pressed)
        for debouncer in self._debouncers.values():
            edges += debouncer.settle(now_us)
        return sorted(edges, key=lambda edge: edge.at_us)

    def show(self, lights: Lights) -> None:
        self._recording.value = lights.recording
        self._ready.value = lights.ready

    def cue(self, name: str, now_us: int) -> None:
        """Begin a cue; it takes the place of one that is still playing."""
        self._cue_edges = deque(pulse_edges_us(CUES[name], now_us))

    def play(self, now_us: int) -> int:
        """Switch buzzer and vibration as the cue says; the boot time at which to call again."""
        while self._cue_edges and self._cue_edges[0][0] <= now_us:
            _, on = self._cue_edges.popleft()
            for output in self._pulsed:
                output.value = on
        waiting = min(debouncer.next_wake_us for debouncer in self._debouncers.values())
        return min(waiting, self._cue_edges[0][0] if self._cue_edges else NEVER_US)

    def close(self) -> None:
        for device in (*self._buttons.values(), self._recording, self._ready, *self._pulsed):
            device.close()

    def _listener(self, name: str, *, pressed: bool) -> Callable[[], None]:
        def listen() -> None:
            self._raw.append((name, self._clock.now_us(), pressed))
            self._wake()

        return listen

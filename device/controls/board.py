"""Buttons, switches, triggers, lights, buzzer and vibration on GPIO lines, by gpiozero: the same code on a Pi and on
mock pins.

gpiozero's threads only put raw edges with their boot time into a queue and wake the control loop; what they mean is
worked out here, on that loop, and outputs are set from it. No gpiozero hold, blink or beep: their threads wait on real
time.
"""

from collections import deque
from collections.abc import Callable
from typing import Protocol

from gpiozero import DigitalInputDevice, DigitalOutputDevice

from device.clock import Clock
from device.controls.contacts import Battery, Contact, SleepSwitch, ZoneSwitch, make_button, make_trigger
from device.controls.indicators import CuePlayer, Light
from device.controls.lines import Reading, make_lines, wires
from device.policy.inputs import Input
from device.policy.signals import Lights
from device.tables import Wiring


class PinFactory(Protocol):
    """A gpiozero pin factory: lgpio's on a Pi, the mock one in the twin."""

    def close(self) -> None: ...


class Board:
    """`take`, `show`, `cue`, `play` and `say_zone_again` are called by the control loop only. `initial_zone`: where the
    wearer is while the zone switch closes no line."""

    def __init__(
        self, wiring: Wiring, initial_zone: str, factory: PinFactory, clock: Clock, wake: Callable[[], None]
    ) -> None:
        self._clock = clock
        self._wake = wake
        self._raw: deque[tuple[str, int, bool]] = deque()
        self._inputs = {
            name: DigitalInputDevice(wire.pin, pull_up=wire.active_low, pin_factory=factory)
            for name, wire in wires(wiring).items()
        }
        for name, device in self._inputs.items():
            device.when_activated = self._listener(name, on=True)
            device.when_deactivated = self._listener(name, on=False)
        levels = {name: bool(device.is_active) for name, device in self._inputs.items()}
        now_us = clock.now_us()
        self._lines = make_lines(wiring, levels)
        self._zone_switch = ZoneSwitch(
            tuple(wiring.switches.zones), initial_zone, _starts(levels, "zone-", now_us), now_us
        )
        self._contacts = _contacts(wiring, levels, now_us, self._zone_switch)
        board = wiring.board
        outputs = (board.recording_light, board.ready_light, board.vibration, board.buzzer)
        self._outputs = [DigitalOutputDevice(pin, pin_factory=factory) for pin in outputs]
        recording, ready, vibration, buzzer = self._outputs
        self._recording, self._ready = Light(recording), Light(ready)
        self._player = CuePlayer(vibration, buzzer)

    def take(self, now_us: int) -> list[Input]:
        """What buttons, switches, triggers and battery have said since the last call, oldest first; at the first call,
        where the switches are, if not where a camera begins."""
        readings: list[tuple[str, Reading]] = []
        while self._raw:
            name, at_us, on = self._raw.popleft()
            readings += [(name, reading) for reading in self._lines[name].edge(at_us, on)]
        for name, line in self._lines.items():
            readings += [(name, reading) for reading in line.settle(now_us)]
        said: list[Input] = []
        for name, reading in sorted(readings, key=lambda each: each[1].at_us):
            said += self._contacts[name].read(name, reading)
        for contact in (*self._contacts.values(), self._zone_switch):
            said += contact.settle(now_us)
        return sorted(said, key=lambda each: each.at_us)

    def say_zone_again(self, initial_zone: str) -> None:
        """With the next `take`: another policy is in force, with this initial zone."""
        self._zone_switch.again(initial_zone, self._clock.now_us())

    def show(self, lights: Lights) -> None:
        """What the lights show from the next `play` on."""
        self._recording.show(lights.recording)
        self._ready.show(lights.ready)

    def cue(self, name: str, now_us: int, *, silent: bool) -> None:
        """Begin a cue, by its priority; `silent`: vibration only."""
        self._player.cue(name, now_us, silent=silent)

    def play(self, now_us: int) -> int:
        """Switch lights, buzzer and vibration; the boot time at which to call `take` and this again."""
        due_us = [self._recording.play(now_us), self._ready.play(now_us), self._player.play(now_us)]
        due_us += [line.next_wake_us for line in self._lines.values()]
        return min(due_us + [contact.next_wake_us for contact in (*self._contacts.values(), self._zone_switch)])

    def close(self) -> None:
        for device in (*self._inputs.values(), *self._outputs):
            device.close()

    def _listener(self, name: str, *, on: bool) -> Callable[[], None]:
        def listen() -> None:
            self._raw.append((name, self._clock.now_us(), on))
            self._wake()

        return listen


def _starts(levels: dict[str, bool], prefix: str, now_us: int) -> dict[str, Reading]:
    return {name: Reading(now_us, on) for name, on in levels.items() if name.startswith(prefix)}


def _contacts(wiring: Wiring, levels: dict[str, bool], now_us: int, zone_switch: ZoneSwitch) -> dict[str, Contact]:
    """What reads each line, by the line's name."""
    stuck_us = wiring.board.stuck_after_s * 1_000_000
    contacts: dict[str, Contact] = {
        name: make_button(name, stuck_us, Reading(now_us, levels[name])) for name in ("record", "function")
    }
    if "sleep" in levels:
        contacts["sleep"] = SleepSwitch(Reading(now_us, levels["sleep"]))
    contacts |= dict.fromkeys(_starts(levels, "zone-", now_us), zone_switch)
    battery = _starts(levels, "battery-", now_us)
    if battery:
        contacts |= dict.fromkeys(battery, Battery(battery))
    for name, trigger in wiring.triggers.items():
        line = f"trigger-{name}"
        contacts[line] = make_trigger(
            name, trigger.category, momentary=trigger.momentary, stuck_after_us=stuck_us,
            start=Reading(now_us, levels[line]),
        )  # fmt: skip
    return contacts

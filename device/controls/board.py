"""Buttons, switches, triggers, lights, buzzer and vibration on GPIO lines, by gpiozero: the same code on a Pi and on
mock pins.

gpiozero's thread only puts raw edges with their boot time into a queue and wakes the control loop; what they mean is
worked out here, on that loop, and outputs are set from it.
"""

from collections import deque
from collections.abc import Callable

from device.clock import Clock
from device.controls.brightness import percent
from device.controls.contacts import (
    Battery,
    Contact,
    ZoneSwitch,
    make_button,
    make_dock,
    make_sleep_switch,
    make_trigger,
)
from device.controls.indicators import CuePlayer, Light
from device.controls.lines import Reading, make_lines, wires
from device.controls.pins import InputPin, OutputPin, PinFactory
from device.policy.inputs import Input
from device.policy.signals import Lights
from device.tables import Wiring


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
            name: InputPin(wire, factory, clock, self._listener(name)) for name, wire in wires(wiring).items()
        }
        levels = {name: pin.on for name, pin in self._inputs.items()}
        now_us = clock.now_us()
        self._lines = make_lines(wiring, levels)
        self._zone_switch = ZoneSwitch(
            tuple(wiring.switches.zones), initial_zone, _starts(levels, "zone-", now_us), now_us
        )
        self._contacts = _contacts(wiring, levels, now_us, self._zone_switch)
        board, lines, self._levels = wiring.board, wiring.lines, wiring.lights
        dims = min(self._levels.day_percent, self._levels.night_percent) < 100
        self._lamps = (
            OutputPin(board.recording_light, lines.recording_light, factory, dims=dims),
            OutputPin(board.ready_light, lines.ready_light, factory, dims=dims),
        )
        self._recording, self._ready = (Light(lamp) for lamp in self._lamps)
        self._motors = (
            OutputPin(board.vibration, lines.vibration, factory),
            OutputPin(board.buzzer, lines.buzzer, factory),
        )
        self._player = CuePlayer(*self._motors)

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
        for lamp in self._lamps:
            lamp.percent = percent(self._levels, self._clock.wall())
        due_us = [self._recording.play(now_us), self._ready.play(now_us), self._player.play(now_us)]
        due_us += [line.next_wake_us for line in self._lines.values()]
        return min(due_us + [contact.next_wake_us for contact in (*self._contacts.values(), self._zone_switch)])

    def close(self) -> None:
        for pin in self._inputs.values():
            pin.close()
        for output in (*self._lamps, *self._motors):
            output.close()

    def _listener(self, name: str) -> Callable[[int, bool], None]:
        def listen(at_us: int, on: bool) -> None:
            self._raw.append((name, at_us, on))
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
        contacts["sleep"] = make_sleep_switch(Reading(now_us, levels["sleep"]))
    if "dock" in levels:
        contacts["dock"] = make_dock(Reading(now_us, levels["dock"]))
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

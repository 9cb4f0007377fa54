"""What lines mean: buttons, switches, triggers and the battery, as inputs of the policy's. No I/O; times are boot µs.

Each takes the readings of its lines in the order of their times, and `settle` says what time alone decides. A part's
fault is told when it begins and when it is over.
"""

from collections.abc import Callable, Sequence
from typing import Literal, Protocol

from device.clock import NEVER_US
from device.controls.lines import Reading
from device.policy.inputs import (
    Docked,
    Edge,
    FaultChanged,
    Input,
    LevelChanged,
    SleepSwitched,
    Triggered,
    ZoneEntered,
)

BETWEEN_POSITIONS_US = 50_000
"""A rotary switch closes none or two of its lines for so long on its way from one position to the next."""


class Contact(Protocol):
    """What reads one or more lines."""

    def read(self, line: str, reading: Reading) -> list[Input]: ...

    def settle(self, now_us: int) -> list[Input]: ...

    @property
    def next_wake_us(self) -> int: ...


class Fault:
    """A part's fault, told when it changes."""

    def __init__(self, part: str) -> None:
        self._part = part
        self.present = False

    def becomes(self, present: bool, at_us: int) -> list[Input]:
        if present == self.present:
            return []
        self.present = present
        return [FaultChanged(at_us=at_us, part=self._part, present=present)]


class Pressed:
    """A contact that is pressed and let go: a button, or a trigger. `say` makes its inputs. It says nothing more while
    it chatters, or while it has been held since before it was last believed; held for longer than `stuck_after_us` it
    is stuck, a fault until it is let go."""

    def __init__(
        self, part: str, say: Callable[[int, bool], list[Input]], stuck_after_us: int, start: Reading, *, at_start: bool
    ) -> None:
        """`at_start`: whether one that is held at the start counts."""
        self._say = say
        self._stuck_after_us = stuck_after_us
        self._fault = Fault(part)
        self._said = False
        self._last = start
        self._unsaid_at_us = start.at_us if start.on and at_start else NEVER_US

    def read(self, line: str, reading: Reading) -> list[Input]:  # noqa: ARG002 - it has one line
        said = self.settle(reading.at_us)
        before, self._last = self._last, reading
        said += self._becomes(reading.on and not reading.chattering and not before.chattering, reading.at_us)
        return said + self._fault.becomes(reading.chattering, reading.at_us)

    def settle(self, now_us: int) -> list[Input]:
        said: list[Input] = []
        if now_us >= self._unsaid_at_us:
            said += self._becomes(True, self._unsaid_at_us)
        if now_us >= self._stuck_at_us:
            said += self._fault.becomes(True, self._stuck_at_us)
        return said

    @property
    def next_wake_us(self) -> int:
        return min(self._unsaid_at_us, NEVER_US if self._fault.present else self._stuck_at_us)

    @property
    def _stuck_at_us(self) -> int:
        held = self._last.on and not self._last.chattering
        return self._last.at_us + self._stuck_after_us if held else NEVER_US

    def _becomes(self, pressed: bool, at_us: int) -> list[Input]:
        self._unsaid_at_us = NEVER_US
        if pressed == self._said:
            return []
        self._said = pressed
        return self._say(at_us, pressed)


def make_button(name: str, stuck_after_us: int, start: Reading) -> Pressed:
    """One that is held at the start gives no gesture until it has been let go."""

    def say(at_us: int, pressed: bool) -> list[Input]:
        return [Edge(at_us=at_us, button=name, pressed=pressed)]

    return Pressed(f"button-{name}", say, stuck_after_us, start, at_start=False)


def make_trigger(name: str, category: str, *, momentary: bool, stuck_after_us: int, start: Reading) -> Pressed:
    """Only its activation is told. One that is not momentary may stay active; active at the start, it counts: the
    camera may have lost power in the middle of what it stands for."""

    def say(at_us: int, pressed: bool) -> list[Input]:
        return [Triggered(at_us=at_us, trigger=name, category=category)] if pressed else []

    stuck_us = stuck_after_us if momentary else NEVER_US
    return Pressed(f"trigger-{name}", say, stuck_us, start, at_start=not momentary)


class Switch:
    """One line that stays as it is put. On from the start is told; off is where a camera begins."""

    def __init__(self, part: str, say: Callable[[int, bool], Input], start: Reading) -> None:
        self._say = say
        self._said = False
        self._last = start
        self._fault = Fault(part)

    def read(self, line: str, reading: Reading) -> list[Input]:  # noqa: ARG002 - it has one line
        said = self.settle(reading.at_us)
        self._last = reading
        return said + self._fault.becomes(reading.chattering, reading.at_us) + self.settle(reading.at_us)

    def settle(self, now_us: int) -> list[Input]:  # noqa: ARG002 - time decides nothing here
        if self._last.chattering or self._last.on == self._said:
            return []
        self._said = self._last.on
        return [self._say(self._last.at_us, self._said)]

    next_wake_us = NEVER_US


def make_sleep_switch(start: Reading) -> Switch:
    return Switch("sleep-switch", lambda at_us, on: SleepSwitched(at_us=at_us, on=on), start)


def make_dock(start: Reading) -> Switch:
    return Switch("dock", lambda at_us, on: Docked(at_us=at_us, on=on), start)


class ZoneSwitch:
    """One line a zone, the strictest first: of two that are closed the first counts, and it is a fault while it lasts.
    With none closed the wearer is in the initial zone; a line that chatters does not lead out of a zone."""

    def __init__(self, zones: Sequence[str], initial_zone: str, start: dict[str, Reading], at_us: int) -> None:
        """`start`: the reading of each zone's line."""
        self._zones = zones
        self._initial = initial_zone
        self._said = initial_zone
        self._lines = dict(start)
        self._changed_us = at_us
        self._fault = Fault("zone-switch")

    def read(self, line: str, reading: Reading) -> list[Input]:
        """A line that chatters keeps the level that it had."""
        said = self.settle(reading.at_us)
        before = self._lines[line]
        on = before.on if reading.chattering else reading.on
        self._lines[line] = Reading(reading.at_us, on, reading.chattering)
        self._changed_us = reading.at_us
        return said + self.settle(reading.at_us)

    def settle(self, now_us: int) -> list[Input]:
        closed, chattering = self._closed(), self._chattering()
        rested_us = self._changed_us + BETWEEN_POSITIONS_US
        said: list[Input] = []
        if closed:
            said += self._enter(closed[0], self._changed_us)
        elif now_us >= rested_us and not chattering:
            said += self._enter(self._initial, rested_us)
        if chattering or len(closed) <= 1:
            said += self._fault.becomes(chattering, self._changed_us)
        elif now_us >= rested_us:
            said += self._fault.becomes(True, rested_us)
        return said

    def again(self, initial_zone: str, now_us: int) -> None:
        """Say the zone once more: another policy is in force, with this initial zone."""
        self._initial = initial_zone
        self._said = ""
        self._changed_us = now_us

    @property
    def next_wake_us(self) -> int:
        closed = self._closed()
        leaving = not closed and not self._chattering() and self._said != self._initial
        doubling = len(closed) > 1 and not self._fault.present
        return self._changed_us + BETWEEN_POSITIONS_US if leaving or doubling else NEVER_US

    def _chattering(self) -> bool:
        return any(reading.chattering for reading in self._lines.values())

    def _closed(self) -> list[str]:
        return [zone for zone in self._zones if self._lines[f"zone-{zone}"].on]

    def _enter(self, zone: str, at_us: int) -> list[Input]:
        if zone == self._said:
            return []
        self._said = zone
        return [ZoneEntered(at_us=at_us, zone=zone)]


class Battery:
    """Two lines of the power supply's: low, and critical. A good battery is where a camera begins."""

    def __init__(self, start: dict[str, Reading]) -> None:
        self._said: Literal["good", "low", "critical"] = "good"
        self._lines = dict(start)
        self._changed_us = max(reading.at_us for reading in start.values())

    def read(self, line: str, reading: Reading) -> list[Input]:
        said = self.settle(reading.at_us)
        self._lines[line] = reading
        self._changed_us = reading.at_us
        return said + self.settle(reading.at_us)

    def settle(self, now_us: int) -> list[Input]:  # noqa: ARG002 - time decides nothing here
        on = [name for name, reading in self._lines.items() if reading.on]
        level: Literal["good", "low", "critical"] = "good"
        if on:
            level = "critical" if "battery-critical" in on else "low"
        if level == self._said:
            return []
        self._said = level
        return [LevelChanged(at_us=self._changed_us, part="battery", level=level)]

    next_wake_us = NEVER_US

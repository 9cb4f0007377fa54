"""One GPIO line: bounce taken out, and a broken contact told from a hand. No I/O; times are boot µs.

Raw edges in, readings out. A reading says what a line is from its time on: its level, and whether it chatters.
"""

from collections import deque
from collections.abc import Mapping
from typing import Literal

import msgspec

from device.clock import NEVER_US
from device.tables import ContactLine, InputLine, Wiring

CHATTER_WITHIN_US = 1_000_000
QUIET_AFTER_US = 2_000_000
"""A line that chattered is believed again when it has not changed for so long."""
BATTERY_BOUNCE_US = 10_000_000
"""A battery at its threshold goes to and fro with the load: told at once, and again not sooner than this."""


class Wire(msgspec.Struct, frozen=True):
    """Where an input line is, which level is its active one, how it is pulled while nothing drives it, and how long a
    change of it bounces."""

    pin: int
    active_low: bool = True
    pull: Literal["up", "down", "none"] = "up"
    bounce_us: int = 20_000


_NAMES = {
    "board.record_button": "record",
    "board.function_button": "function",
    "board.sleep_switch": "sleep",
    "board.dock": "dock",
    "board.battery_low": "battery-low",
    "board.battery_critical": "battery-critical",
}


def wires(wiring: Wiring) -> dict[str, Wire]:
    """Every input line by its name: `record`, `function`, `sleep`, `dock`, `battery-low`, `battery-critical`, `zone-NAME`
    and `trigger-NAME`; of the optional ones those that are configured."""
    debounce_ms = wiring.board.debounce_ms
    return {_name(key): _wire(pin, line, debounce_ms) for key, (pin, line) in wiring.inputs().items()}


def _name(key: str) -> str:
    table, *names = key.split(".")
    if table == "board":
        return _NAMES[key]
    return f"trigger-{names[0]}" if table == "triggers" else f"zone-{names[1]}"


def _wire(pin: int, line: InputLine, debounce_ms: int) -> Wire:
    bounce_us = BATTERY_BOUNCE_US
    if isinstance(line, ContactLine):
        bounce_us = (line.debounce_ms or debounce_ms) * 1000
    return Wire(pin, line.active == "low", line.pulled, bounce_us)


class Reading(msgspec.Struct, frozen=True):
    """What a line is from `at_us` on. `on`: active. While it chatters its level says nothing, and no reading follows."""

    at_us: int
    on: bool
    chattering: bool = False


class Debouncer:
    """The first edge counts at once; what follows within `bounce_us` is bounce, and the level that is left after it
    counts then, if it is another."""

    def __init__(self, bounce_us: int, *, on: bool = False) -> None:
        self._bounce_us = bounce_us
        self._told = on
        self._level = on
        self._quiet_at_us = 0

    def edge(self, at_us: int, on: bool) -> list[Reading]:
        """A raw edge. Times of one line never go back."""
        settled = self.settle(at_us)
        self._level = on
        if at_us < self._quiet_at_us or on == self._told:
            return settled
        return [*settled, self._tell(at_us)]

    def settle(self, now_us: int) -> list[Reading]:
        """The bounce is over: tell the level if it is another."""
        if now_us < self._quiet_at_us or self._level == self._told:
            return []
        return [self._tell(self._quiet_at_us)]

    @property
    def next_wake_us(self) -> int:
        return self._quiet_at_us if self._level != self._told else NEVER_US

    def _tell(self, at_us: int) -> Reading:
        self._told = self._level
        self._quiet_at_us = at_us + self._bounce_us
        return Reading(at_us, self._told)


class Line:
    """A debounced line that is watched for chatter: after `most_changes` within a second it is broken, and what it does
    is withheld until it has been quiet. `on`: its level at the start."""

    def __init__(self, bounce_us: int, most_changes: int, *, on: bool = False) -> None:
        self._debouncer = Debouncer(bounce_us, on=on)
        self._recent: deque[int] = deque(maxlen=most_changes)
        self._chattering = False
        self._last = Reading(0, on)

    def edge(self, at_us: int, on: bool) -> list[Reading]:
        return self._watch(self._debouncer.edge(at_us, on))

    def settle(self, now_us: int) -> list[Reading]:
        return self._watch(self._debouncer.settle(now_us)) + self._calm(now_us)

    @property
    def next_wake_us(self) -> int:
        return min(self._debouncer.next_wake_us, self._quiet_at_us)

    @property
    def _quiet_at_us(self) -> int:
        return self._last.at_us + QUIET_AFTER_US if self._chattering else NEVER_US

    def _watch(self, changes: list[Reading]) -> list[Reading]:
        said = []
        for change in changes:
            said += self._calm(change.at_us)
            if not self._chattering:
                self._chattering = self._too_many(change.at_us)
                said.append(msgspec.structs.replace(change, chattering=self._chattering))
            self._recent.append(change.at_us)
            self._last = change
        return said

    def _too_many(self, at_us: int) -> bool:
        return len(self._recent) == self._recent.maxlen and at_us - self._recent[0] < CHATTER_WITHIN_US

    def _calm(self, now_us: int) -> list[Reading]:
        """It has been quiet for long enough: its level counts again."""
        quiet_at_us = self._quiet_at_us
        if now_us < quiet_at_us:
            return []
        self._chattering = False
        return [Reading(quiet_at_us, self._last.on)]


def make_lines(wiring: Wiring, levels: Mapping[str, bool]) -> dict[str, Line]:
    """A line for each name in `levels`, which has its level at the start."""
    wired, most_changes = wires(wiring), wiring.board.chatter_edges
    return {name: Line(wired[name].bounce_us, most_changes, on=on) for name, on in levels.items()}

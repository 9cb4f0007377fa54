"""When lights and cues switch: the timing of `policy.signals`, on any output. No thread; times are boot µs."""

from collections import deque
from typing import Protocol

import msgspec

from device.clock import NEVER_US
from device.policy.signals import CUES, OFF, Cue, Pattern, pulses_ms


class Output(Protocol):
    """Something that is on or off."""

    @property
    def value(self) -> bool: ...

    @value.setter
    def value(self, on: bool) -> None: ...


def level(pattern: Pattern, since_us: int, now_us: int) -> tuple[bool, int]:
    """Whether a pattern that began at `since_us` is on now, and when it next changes."""
    if not pattern.times_ms:
        return pattern.on, NEVER_US
    period_us = sum(pattern.times_ms) * 1000
    end_us = since_us + (now_us - since_us) // period_us * period_us
    on = False
    for time_ms in pattern.times_ms:
        on = not on
        end_us += time_ms * 1000
        if now_us < end_us:
            break
    return on, end_us


class Light:
    """A light that shows one pattern until it is given another. A new pattern begins at once."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._pattern = self._wanted = OFF
        self._since_us = 0

    def show(self, pattern: Pattern) -> None:
        self._wanted = pattern

    def play(self, now_us: int) -> int:
        """Switch it as its pattern says; the boot time at which to call again."""
        if self._wanted != self._pattern:
            self._pattern, self._since_us = self._wanted, now_us
        self._output.value, next_us = level(self._pattern, self._since_us, now_us)
        return next_us


class _Playing(msgspec.Struct, frozen=True):
    cue: Cue
    silent: bool


class CuePlayer:
    """Plays one cue on the vibration motor and the buzzer. One of equal or higher priority takes the place of the one
    that is playing; one of lower priority waits for its end, and of those that wait only the highest, latest one."""

    def __init__(self, vibration: Output, buzzer: Output) -> None:
        self._vibration = vibration
        self._buzzer = buzzer
        self._edges: deque[tuple[int, Output, bool]] = deque()
        self._playing: _Playing | None = None
        self._waiting: _Playing | None = None

    def cue(self, name: str, now_us: int, *, silent: bool) -> None:
        """`silent`: vibration only."""
        self._finish(now_us)
        new = _Playing(CUES[name], silent)
        if self._playing is None or new.cue.priority >= self._playing.cue.priority:
            self._begin(new, now_us)
        elif self._waiting is None or new.cue.priority >= self._waiting.cue.priority:
            self._waiting = new

    def play(self, now_us: int) -> int:
        """Switch both as the cue says; the boot time at which to call again."""
        self._finish(now_us)
        return self._edges[0][0] if self._edges else NEVER_US

    def _finish(self, now_us: int) -> None:
        """Do what has come; when the cue has ended, begin the one that waits."""
        while self._edges and self._edges[0][0] <= now_us:
            at_us, output, on = self._edges.popleft()
            output.value = on
            if not self._edges:
                self._playing = None
                if self._waiting is not None:
                    waiting, self._waiting = self._waiting, None
                    self._begin(waiting, max(at_us + PAUSE_BETWEEN_US, now_us))

    def _begin(self, new: _Playing, at_us: int) -> None:
        self._vibration.value = self._buzzer.value = False
        self._playing = new
        felt = pulse_edges(self._vibration, new.cue.vibration, at_us)
        heard = [] if new.silent else pulse_edges(self._buzzer, new.cue.buzzer, at_us)
        self._edges = deque(sorted(felt + heard, key=lambda edge: edge[0]))


PAUSE_BETWEEN_US = 500_000
"""Between the end of a cue and one that waited for it, so that the two are not felt as one."""


def pulse_edges(output: Output, beats: str, from_us: int) -> list[tuple[int, Output, bool]]:
    """When beats switch an output on and off, in boot µs."""
    edges: list[tuple[int, Output, bool]] = []
    for on_ms, off_ms in pulses_ms(beats):
        edges += [(from_us + on_ms * 1000, output, True), (from_us + off_ms * 1000, output, False)]
    return edges

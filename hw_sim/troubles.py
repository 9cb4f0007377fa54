"""Which faults are in, and those that come and go: a part of the twin's, in real and in virtual time alike.

`hw_sim.faults` says what a fault does; here belongs only when.
"""

import threading
from collections.abc import Callable

import msgspec

from device.clock import NEVER_US, Clock, Wake

SECOND_US = 1_000_000


class _Due(msgspec.Struct):
    part: str
    at_us: int
    every_us: int
    do: Callable[[], object]


class Troubles:
    """The part named `troubles`. `present`: the word of each part that is broken now. Any thread may call the verbs."""

    name = "troubles"

    def __init__(self, clock: Clock) -> None:
        self.present: dict[str, str] = {}
        self.wake = Wake()
        self._clock = clock
        self._lock = threading.Lock()
        self._due: list[_Due] = []

    def alternate(self, part: str, break_it: Callable[[], object], mend: Callable[[], object], seconds: int) -> None:
        """What is broken now is mended after so long, broken again after as long, and so on."""
        half_us = seconds * SECOND_US
        self.later(part, half_us, mend, 2 * half_us)
        self.later(part, 2 * half_us, break_it, 2 * half_us)

    def later(self, part: str, delay_us: int, do: Callable[[], object], every_us: int = 0) -> None:
        """Do something for a part's fault after so long, once, or again and again."""
        with self._lock:
            self._due.append(_Due(part, self._clock.now_us() + delay_us, every_us, do))
        self.wake.ring()

    def forget(self, part: str) -> None:
        with self._lock:
            self._due = [due for due in self._due if due.part != part]

    def run_once(self, now_us: int) -> int:
        with self._lock:
            due = [one for one in self._due if one.at_us <= now_us]
            for one in due:
                one.at_us += one.every_us
            self._due = [one for one in self._due if one.every_us or one not in due]
            next_us = min((one.at_us for one in self._due), default=NEVER_US)
        for one in due:
            one.do()
        return next_us

"""A part without which recording goes on: what it fails of is told as a fault, and it is tried again.

Only parts that write no evidence and give none are run so. Each has a thread of its own, which calls this.
"""

import logging
from collections.abc import Callable

from device.clock import Part
from device.policy.inputs import FaultChanged, Input

AGAIN_US = 10_000_000
DETAIL_LIMIT = 200

log = logging.getLogger("bodycam")


class Spared:
    """`tell`: the way to the control loop, with what a fault's record says. The fault is named `<part>-part`: what the part
    itself tells bears its own name."""

    def __init__(self, part: Part, tell: Callable[[Input, str], None]) -> None:
        self.name = part.name
        self.part = part
        self._tell = tell
        self._failed = False

    def run_once(self, now_us: int) -> int:
        """In boot µs when to be called next: `AGAIN_US` later after any failure."""
        try:
            next_us = self.part.run_once(now_us)
        except Exception as failure:  # noqa: BLE001 - no failure of this part ends a recording
            self._say(True, f"{type(failure).__name__}: {failure}"[:DETAIL_LIMIT], now_us, failure)
            return now_us + AGAIN_US
        self._say(False, "", now_us, None)
        return next_us

    def _say(self, failed: bool, why: str, now_us: int, failure: Exception | None) -> None:
        if failed != self._failed:
            self._failed = failed
            log.error("%s: %s", self.name, why or "works again", exc_info=failure)
            self._tell(FaultChanged(at_us=now_us, part=f"{self.name}-part", present=failed), why)

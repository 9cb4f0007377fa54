"""Which frame period was asked of the camera, and when: what a gap in time is judged by. Any thread.

The rate is set here before the camera is told, so no frame of the new rate is ever read without it. The camera follows at
its next keyframe; until then, and for frames that are delivered late, the longer of the two periods counts: a lowered
rate is never taken for frames that the camera lost.
"""

from collections import deque

SETTLE_US = 3_000_000
"""How long after a change frames may still come at the rate before it."""
MOST_CHANGES = 64
"""More than come within the time that the ring holds."""


class Rates:
    """`period_us`: from the start on."""

    def __init__(self, period_us: int) -> None:
        self._changes: deque[tuple[int, int]] = deque([(0, period_us)], MOST_CHANGES)

    def set(self, period_us: int, from_us: int) -> None:
        """From this boot time on the camera is asked for this period, in µs. Changes come in the order of their times."""
        self._changes.append((from_us, period_us))

    def longest_us(self, from_us: int, to_us: int) -> int:
        """The longest period that may have been in force between two boot times."""
        changes = tuple(self._changes)
        if len(changes) == 1:
            return changes[0][1]
        ends_us = [at_us for at_us, _ in changes[1:]]
        in_force = [
            period_us
            for (at_us, period_us), end_us in zip(changes, [*ends_us, None], strict=True)
            if at_us <= to_us and (end_us is None or end_us + SETTLE_US > from_us)
        ]
        return max(in_force, default=changes[0][1])

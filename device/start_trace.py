"""Where the time of a start goes: `bodycam daemon --trace-start`. Nothing of this is at work without that option.

The kernel says when the process was executed; every step after that says its name once it has been done.
"""

import sys

from device.clock import Clock, process_began_us

FIRST_FRAME = "first frame in the ring"
READY = "READY"


class Trace:
    """`mark` may be called from any thread. With `READY` the table goes to standard error."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began_us = process_began_us()
        self._steps: list[tuple[str, int]] = []

    def mark(self, step: str) -> None:
        self._steps.append((step, self._clock.now_us()))
        if step == READY:
            sys.stderr.write(f"{table(self._began_us, self._steps)}\n")  # at once: others write there too

    def first_frame(self) -> None:
        self.mark(FIRST_FRAME)


def traced(clock: Clock) -> Trace:
    """A trace that begins here: the interpreter and the command have been loaded."""
    trace = Trace(clock)
    trace.mark("interpreter and command")
    return trace


def table(began_us: int, steps: list[tuple[str, int]]) -> str:
    """Milliseconds since exec, and since the step before; the camera's own steps come when they come."""
    lines = [f"{'start':<32}{'at ms':>8}{'took ms':>10}", f"{'exec':<32}{0:>8}"]
    before_us = began_us
    for step, at_us in sorted(steps, key=lambda each: each[1]):
        lines.append(f"{step:<32}{(at_us - began_us) // 1000:>8}{(at_us - before_us) // 1000:>10}")
        before_us = at_us
    if FIRST_FRAME not in dict(steps):
        lines.append(f"{FIRST_FRAME:<32}{'none':>8}")
    return "\n".join(lines)

"""Virtual time: a clock that moves when told to, and one scheduler that calls every part in a fixed order.

The same parts that threads loop on a device run here as fast as the machine allows, and give the same answer every
time: at each instant all parts that are due, or that were woken, run in the order in which they were given, until none
is due; then time moves to the next wake.
"""

from collections.abc import Callable, Iterable, Sequence

from device.clock import NEVER_US, Part, Wake, Wall

MAX_ROUNDS_AT_ONE_INSTANT = 10_000
"""Parts that keep waking each other without time moving are a fault of ours, not a load."""


class VirtualClock:
    """Boot time and wall time that the simulator sets. `wall_offset_us` may be stepped to simulate a clock step; `chip`: a
    clock chip bears wall time out when nothing synchronises it."""

    def __init__(self, boot_id: str, now_us: int = 5_000_000, wall_offset_us: int = 1_790_000_000_000_000) -> None:
        self.boot_id = boot_id
        self._now_us = now_us
        self.wall_offset_us = wall_offset_us
        self.synchronised = True
        self.chip = False

    def now_us(self) -> int:
        return self._now_us

    def at_monotonic_us(self, monotonic_s: float) -> int:  # noqa: ARG002 - of this machine's clock, which is not this one
        return self._now_us

    def wall(self) -> Wall:
        return Wall(
            utc_us=self._now_us + self.wall_offset_us,
            synchronised=self.synchronised,
            source="simulated" if self.synchronised else "rtc" if self.chip else "none",
            error_us=1000 if self.synchronised else 0,
        )

    def look_at_source(self) -> None:
        """It is always looked at."""

    def move_to(self, now_us: int) -> None:
        assert now_us >= self._now_us, "boot time never goes back"
        self._now_us = now_us


class Scheduler:
    """Runs parts in virtual time on the calling thread."""

    def __init__(self, clock: VirtualClock, parts: Sequence[tuple[Part, Wake]]) -> None:
        self._clock = clock
        self._parts = list(parts)
        self._due_us = [clock.now_us()] * len(self._parts)
        self._looked_at = [(index, wake.is_rung) for index, (_, wake) in enumerate(self._parts)]
        self._running: set[int] = set()

    def run_until(self, end_us: int, done: Callable[[], bool] = lambda: False) -> None:
        """Run every part up to and including `end_us`, or until `done()` after some instant."""
        while not done():
            self._run_instant()
            next_us = max(self._next_us(), self._clock.now_us())
            if next_us > end_us:
                self._clock.move_to(max(end_us, self._clock.now_us()))
                return
            self._clock.move_to(next_us)

    def let_pass(self, delay_us: int) -> None:
        """From within a part: so much time passes while it works, in which all others run, as threads would."""
        self.run_until(self._clock.now_us() + delay_us)

    def _next_us(self) -> int:
        """When the next part is due that is not at work."""
        if not self._running:
            return min(self._due_us, default=NEVER_US)
        return min([NEVER_US, *(due for index, due in enumerate(self._due_us) if index not in self._running)])

    def _run_instant(self) -> None:
        """Hours of virtual time are spent here: what is neither due nor rung costs two comparisons."""
        due_us, began_us = self._due_us, self._clock.now_us()
        for _ in range(MAX_ROUNDS_AT_ONE_INSTANT):
            ran, now_us = False, self._clock.now_us()
            for index, is_rung in self._looked_at:
                if (due_us[index] <= now_us or is_rung()) and index not in self._running:
                    self._run(index, now_us)
                    ran, now_us = True, self._clock.now_us()
            if not ran or now_us != began_us:
                return
        raise AssertionError(f"parts keep waking each other at {self._clock.now_us()} µs")

    def _run(self, index: int, now_us: int) -> None:
        part, wake = self._parts[index]
        wake.take()
        self._running.add(index)
        self._due_us[index] = part.run_once(now_us)
        self._running.remove(index)


class VirtualTime:
    """What a command needs in the place of threads and of waiting: the parts run while it pauses."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self._scheduler = Scheduler(clock, [])

    def start(self, parts: Iterable[tuple[Part, Wake]]) -> None:
        self._scheduler = Scheduler(self._clock, list(parts))

    def stop(self, limit_s: float) -> bool:  # noqa: ARG002 - nothing runs by itself
        return True

    def pause(self, delay_us: int) -> None:
        self._scheduler.run_until(self._clock.now_us() + delay_us)

"""What camera and microphone gave in a shift, to the last frame, as the twin knows it: runs of numbers with their times.

The other side of the account (`hw_sim.shift_account`): nothing here comes from the device. A run is what came evenly, so
that a day of pictures takes a few hundred of them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

_EVEN_US = 2_000
"""A run goes on when the next is so much off at most."""


@dataclass
class Run:
    """So many, one after the other. `arrival`: how many of its boot had been given before its first, as the device
    numbers them."""

    number: int
    at_us: int
    arrival: int
    distance_us: float
    count: int = 1

    def at(self, number: int) -> int:
        """When the one of this number was captured, to a few µs."""
        return self.at_us + round((number - self.number) * self.distance_us)

    @property
    def after(self) -> int:
        """The number that would come next."""
        return self.number + self.count


@dataclass
class Track:
    """The runs of one boot, pictures or packets, in order. Numbers and times only go up."""

    runs: list[Run] = field(default_factory=list)
    count: int = 0

    def add(self, number: int, at_us: int, distance_us: float) -> None:
        last = self.runs[-1] if self.runs else None
        follows = last is not None and last.after == number and last.distance_us == distance_us
        if last is not None and follows and abs(last.at(number) - at_us) <= _EVEN_US:
            last.count += 1
        else:
            self.runs.append(Run(number, at_us, self.count, distance_us))
        self.count += 1

    def __iter__(self) -> Iterator[tuple[int, int, int]]:
        """Each one: number, capture time, arrival."""
        for run in self.runs:
            for n in range(run.count):
                yield run.number + n, run.at(run.number + n), run.arrival + n


class Given:
    """One boot's pictures and sound. Called by the twin's parts, on the scheduler's thread."""

    def __init__(self) -> None:
        self.pictures = Track()
        self.packets = Track()

    def picture(self, number: int, at_us: int, rate_hz: int) -> None:
        self.pictures.add(number, at_us, 1_000_000 / rate_hz)

    def packet(self, number: int, at_us: int, distance_us: float) -> None:
        self.packets.add(number, at_us, distance_us)

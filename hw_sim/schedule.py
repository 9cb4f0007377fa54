"""Capture instants: which number is when. Pure; whoever owns a schedule locks it."""


class Schedule:
    """Capture instants from one of them on: the time of each number, in µs."""

    def __init__(self, number: int, at_us: int, rate_hz: int) -> None:
        self.number = number
        self.at_us = at_us
        self.rate_hz = rate_hz

    def instant_us(self, number: int) -> int:
        return self.at_us + instant_us(number - self.number, self.rate_hz)

    def following(self, now_us: int) -> int:
        """The number of the first instant at or after `now_us`."""
        number = self.number + (now_us - self.at_us) * self.rate_hz // 1_000_000
        while self.instant_us(number) < now_us:
            number += 1
        return number


def instant_us(index: int, rate_hz: int) -> int:
    """When the frame of this index is captured, in µs since the frame of index 0, to the nearest."""
    return (index * 2_000_000 + rate_hz) // (2 * rate_hz)

"""How many segments go under one record and one sync when many wait. Recorder thread; one for each recording.

The ring lets none of a group go before all of it is durable: a large one is written fastest, and on a slow card it holds the
ring too long. So the first is small, and from how long a group took follows how many the next may have.
"""

GROUP_LIMIT = 64
"""Segments under one record; its line stays below half of what a reader accepts."""
FIRST = 4
"""The first group's, and the least."""
GROUP_US = 2_000_000
"""How long a group may take."""


class Grouping:
    """`limit`: how many segments the next group may have, from `FIRST` to `GROUP_LIMIT`."""

    def __init__(self) -> None:
        self.limit = FIRST

    def wrote(self, segments: int, shown_us: int, took_us: int) -> None:
        """A group that shows so much became durable in so much time. One that was not full says nothing of one that is.

        One that took longer than what it shows did not keep pace: what a group costs by itself, signatures and syncs, must be
        shared by more. One that took half as long leaves room to go by the time alone.
        """
        if segments < self.limit:
            return
        if took_us > shown_us:
            self.limit = min(GROUP_LIMIT, 2 * self.limit)
        elif 2 * took_us <= shown_us:
            in_time = segments * GROUP_US // max(1, took_us)
            self.limit = min(GROUP_LIMIT, max(FIRST, self.limit // 2, in_time))

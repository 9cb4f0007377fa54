"""When a group of pictures begins, and from which picture on a new load is in force. Pure arithmetic on boot µs.

One a run of an encoder. `aim` may be called by any thread; `came` by the thread that delivers; the rest by the camera's.
Each sets one value whole, so that no lock is needed.
"""

from device.hardware import Load

SECOND_US = 1_000_000


class Gop:
    """`load` is the one in force; the one aimed at takes its place at a keyframe. `slowest_hz`: the lowest rate that pictures
    may have come at since that keyframe, because the sensor follows some pictures later."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self._aimed = load
        self._ready = load
        self.slowest_hz = load.rate_hz
        self._keyframe_us: int | None = None
        self._asked_us = 0

    def aim(self, load: Load) -> None:
        self._aimed = load

    # -- an encoder that is told which picture is a keyframe --------------------------------------------------------

    def begins(self, at_us: int, asked: bool) -> bool:
        """Whether this picture is to be a keyframe: it was asked for, or a second has passed, to the nearest picture."""
        half_period_us = SECOND_US // (2 * self.load.rate_hz)
        within = self._keyframe_us is not None and 0 <= at_us - self._keyframe_us < SECOND_US - half_period_us
        if within and not asked:
            return False
        self._keyframe_us = at_us
        self._take(self._aimed)
        return True

    # -- an encoder that counts for itself --------------------------------------------------------------------------

    def came(self, at_us: int) -> None:
        """A keyframe came out of the encoder."""
        self._keyframe_us, self._ready = at_us, self._aimed
        self.slowest_hz = self.load.rate_hz

    def take_new(self) -> Load | None:
        """A load that is to be set now, because a keyframe has come since it was aimed at."""
        if self._ready == self.load:
            return None
        self._take(self._ready)
        return self.load

    def overdue(self, at_us: int) -> bool:
        """Whether a keyframe is to be asked for: none has come for more than a second and a half and what an encoder
        holds. True once in so long."""
        limit_us = SECOND_US * 3 // 2 + 3 * SECOND_US // self.load.rate_hz
        since_us = max(self._keyframe_us or 0, self._asked_us)
        if at_us - since_us <= limit_us:
            return False
        self._asked_us = at_us
        return True

    def _take(self, load: Load) -> None:
        self.slowest_hz = min(self.load.rate_hz, load.rate_hz)
        self.load = load

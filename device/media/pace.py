"""When a sample of sound was captured: a count of samples into boot time. PURE; whoever captures sound calls it.

A sound card counts samples by a clock of its own, which drifts against the boot clock, and what is read of it arrives when a
thread gets round to it. So an observation says *no later than*: lateness only ever adds. The earliest observations of a
while are the truth, and a late one says nothing. A line through them (a time and a rate) is corrected every 2 s, without
a step and never backwards: the rate is bent a little until the line is where it should be. An observation *before* the line
proves that the line is late: it counts at once.

Sound that was lost without a word shows as lateness that stays. The line then jumps forward: a hole in time, which
whoever reads the times sees.
"""

SETTLE_US = 250_000
"""So much sound is listened to before a first time is given: the first observations may be late."""
WINDOW_US = 2_000_000
LEAST_OBSERVATIONS = 8
EARLY_US = 1_000
"""An observation so much before the line corrects it at once."""
STEP_US = 30_000
"""Lateness of a whole window by so much: that sound was lost."""
MOST_OFF = 0.01
"""How far a card's clock is followed, as a part of its rate: fifty times what a cheap crystal is off."""
_DEAD_US = 50
_FAST_FROM_US = 5_000
_SLOW, _FAST = 0.001, 0.05
_PHASE, _FREQUENCY = 0.7, 0.25


class Pace:
    """One run of a sound card: sample 0 is the first of the run."""

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._nominal_us = 1_000_000 / rate_hz
        self._off = 0.0
        self._bent = 0.0
        self._base: tuple[int, float] | None = None
        self._newest = 0
        self._observations = 0
        self._window_from = 0
        self._late_us = float("inf")
        self._last_us = -1

    @property
    def settled(self) -> bool:
        """Whether enough was heard to give times."""
        return self._newest >= SETTLE_US * self._rate_hz // 1_000_000

    def heard(self, sample: int, at_us: int) -> None:
        """`sample` had been captured by `at_us` (boot clock), and it may have been earlier. Samples only go up."""
        begins = self._base is None
        if self._base is None:
            self._base = sample, float(at_us)
        late_us = at_us - self._line_us(sample)
        was_settled = self.settled or begins
        self._newest = sample
        if not was_settled:
            self._base = (sample, float(at_us)) if late_us < -_DEAD_US else self._base
            self._begin_window(sample)
            return
        self._observations += 1
        self._late_us = min(self._late_us, late_us)
        if self._late_us < -EARLY_US or self._window_is_full(sample):
            self._correct(sample)

    def at_us(self, sample: int) -> int:
        """The boot time of a sample. Asked for in order: each is later than the one before."""
        self._last_us = max(round(self._line_us(sample)), self._last_us + 1)
        return self._last_us

    def _window_is_full(self, sample: int) -> bool:
        long_enough = (sample - self._window_from) * self._nominal_us >= WINDOW_US
        return long_enough and self._observations >= LEAST_OBSERVATIONS

    def _begin_window(self, sample: int) -> None:
        self._window_from, self._observations, self._late_us = sample, 0, float("inf")

    def _correct(self, sample: int) -> None:
        late_us, here_us = self._late_us, self._line_us(sample)
        part = min(1.0, (sample - self._window_from) * self._nominal_us / WINDOW_US)
        self._begin_window(sample)
        self._bent = 0.0
        if late_us >= STEP_US:
            self._base = sample, here_us + late_us
            return
        self._base = sample, here_us
        if abs(late_us) <= _DEAD_US:
            return
        learnt = _FREQUENCY * part * _within(late_us, _FAST_FROM_US) / WINDOW_US
        self._off = _within(self._off + learnt, MOST_OFF)
        most = _SLOW if abs(late_us) < _FAST_FROM_US else _FAST
        self._bent = _within(_PHASE * late_us / WINDOW_US, most)

    def _line_us(self, sample: int) -> float:
        assert self._base is not None, "something was heard before times are asked for"
        from_sample, from_us = self._base
        return from_us + (sample - from_sample) * self._nominal_us * (1 + self._off + self._bent)


def _within(value: float, most: float) -> float:
    return max(-most, min(most, value))

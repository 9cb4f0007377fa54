"""A lens that sees nothing of use is told within five seconds: covered, dark, blurred, or a picture that stands still.

The part named `lens`. Twice a second it takes the camera's small sample; what is judged is light and sharpness, never what
is in the picture. It gives a cue and a record, and stops nothing. Its own thread; numpy is imported there, with the first
sample. What was captured while pictures may not be held (a private pause, sleep, a zone) it does not look at, nor does it
keep what it saw before.

Each threshold is a constant here, with its reason; docs/design/picture.md has the figures they were taken from.
"""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from device.hardware import Sample
from device.policy.inputs import FaultChanged, Input

if TYPE_CHECKING:
    from device.media.looks import Look

LOOK_EVERY_US = 500_000
BEGINS_US = 3_000_000
"""It has looked wrong for so long without a break before it is told: an arm that passes is not told. With a sample of up
to a second and a pace of half a second it is told within five."""
ENDS_US = 2_000_000
DARK_ENDS_US = 300_000_000
"""Between street lamps it is not light. So the cue of darkness comes once in five minutes at most."""
BROKEN_US = 2_500_000
"""Two samples further apart say nothing of what was between them."""

DARK_LEVEL, LIGHT_LEVEL = 36, 44
"""Black is 16. Footage taken down to a sixth of its light is at 30 to 33, where edges drown in noise."""
UNIFORM_SPREAD, UNIFORM_SPREAD_DARK = 16, 1
"""Streets and rooms spread over 39 and more, a hand on the lens over 2 to 5. In the dark footage at a twelfth of its light
still spreads over 3 to 8, noise alone over 0.2."""
UNIFORM_EDGES = 8
"""Noise alone gives 2 to 7, up to a deviation of 5; footage 23 and more."""
STILL_SHARE = 0.002
"""Noise changes a large part of all pixels; the overlay's clock, where it is in the sample, some twenty of 14,400."""
BLURRED_SHARE = 0.4
"""Of the sharpness that is usual. Smeared so that nobody is recognised it falls to 0.1 to 0.37 of it; slightly out of focus
it is at 0.25 to 0.55, which is told of what was very sharp before."""
LEAST_SHARP = 0.1
"""Edges over spread of any footage are 0.37 and more; where the usual is less there is nothing to compare with."""
LEAST_KNOWN = 20
"""Sharp samples that make what is usual: ten seconds."""
_LEARN_UP, _LEARN_DOWN = 0.02, 0.002
"""How much of a new sharpness goes into the usual one: a lens that gets dirty slowly must not become usual."""
LEAVE = 1.5
"""What has been told ends when it is so much better than what began it."""

SENSITIVITIES = {"low": 0.7, "normal": 1.0, "high": 1.4}
WORDS = {
    "covered": "covered: the picture is the same all over",
    "dark": "dark: hardly any light",
    "blurred": "blurred: much less sharp than it was",
    "frozen": "frozen: the picture stands still, noise and all",
}

log = logging.getLogger("bodycam")


def at_a_glance(sample: Sample, sensitivity: str) -> str:
    """What is wrong with a picture by itself: `covered`, `dark`, or ""; nothing of one too small to say."""
    from device.media.looks import LEAST_HEIGHT, LEAST_WIDTH, look_at

    if sample.width < LEAST_WIDTH or sample.height < LEAST_HEIGHT:
        return ""
    seen = look_at(sample.luma, sample.width, sample.height)
    dark = seen.level < DARK_LEVEL
    if _uniform(seen, dark=dark, factor=SENSITIVITIES[sensitivity]):
        return "covered"
    return "dark" if dark else ""


def _uniform(seen: "Look", *, dark: bool, factor: float) -> bool:
    spread = UNIFORM_SPREAD_DARK if dark else UNIFORM_SPREAD
    return seen.spread < spread * factor and seen.edges < UNIFORM_EDGES * factor


class Camera(Protocol):
    def sampled(self) -> Sample | None: ...


class _Told:
    """One fault: what is told of it, which follows what is seen as soon as that has lasted."""

    def __init__(self, part: str, ends_us: int) -> None:
        self.part = part
        self.kind = ""
        self._ends_us = ends_us
        self._seen = ""
        self._since_us = 0

    def see(self, kind: str, at_us: int) -> bool:
        """Whether what is to be told has changed."""
        if kind != self._seen:
            self._seen, self._since_us = kind, at_us
        lasted = at_us - self._since_us >= (BEGINS_US if kind else self._ends_us)
        if kind == self.kind or not lasted:
            return False
        self.kind = kind
        return True

    def forget(self) -> None:
        """What is seen next has only begun; what was told stands."""
        self._seen = "?"


class Lens:
    """`tell`: the way to the control loop, with what a fault's record says. `may_be_held`: whether pictures may be held now,
    and might be at the boot time given."""

    name = "lens"

    def __init__(
        self, camera: Camera, sensitivity: str, may_be_held: Callable[[int], bool], tell: Callable[[Input, str], None]
    ) -> None:
        self._camera = camera
        self._factor = SENSITIVITIES[sensitivity]
        self._may_be_held = may_be_held
        self._tell = tell
        self._before: Sample | None = None
        self._usual = 0.0
        self._known = 0
        self._lens = _Told("lens", ENDS_US)
        self._dark = _Told("dark", DARK_ENDS_US)

    def run_once(self, now_us: int) -> int:
        sample = self._camera.sampled()
        if not self._may_be_held(now_us if sample is None else sample.at_us):
            self._before = None
        elif sample is not None and (self._before is None or sample.at_us > self._before.at_us):
            self._see(sample)
        return now_us + LOOK_EVERY_US

    def _see(self, sample: Sample) -> None:
        from device.media.looks import LEAST_HEIGHT, LEAST_WIDTH, changed, look_at

        if sample.width < LEAST_WIDTH or sample.height < LEAST_HEIGHT:
            return
        before, self._before = self._before, sample
        if before is None or sample.at_us - before.at_us > BROKEN_US:
            self._lens.forget()
            self._dark.forget()
        comparable = before is not None and len(before.luma) == len(sample.luma)
        still = before is not None and comparable and changed(before.luma, sample.luma) < STILL_SHARE
        kind = self._kind(look_at(sample.luma, sample.width, sample.height), still=still)
        self._say(self._lens, "" if kind == "dark" else kind, sample.at_us)
        if kind != "covered":
            self._say(self._dark, kind if kind == "dark" else "", sample.at_us)

    def _say(self, told: _Told, kind: str, at_us: int) -> None:
        if told.see(kind, at_us):
            log.warning("%s: %s", told.part, WORDS.get(kind, "over"))
            self._tell(FaultChanged(at_us=at_us, part=told.part, present=bool(kind)), WORDS.get(kind, ""))

    def _kind(self, seen: "Look", *, still: bool) -> str:
        """What is wrong with a picture, by the worst of it; "": nothing."""
        dark = seen.level < (LIGHT_LEVEL if self._dark.kind else DARK_LEVEL)
        leave = LEAVE if self._lens.kind == "covered" else 1
        if _uniform(seen, dark=seen.level < DARK_LEVEL, factor=self._factor * leave):
            return "covered"
        if still:
            return "frozen"
        if dark:
            return "dark"
        return "blurred" if self._blurred(seen) else ""

    def _blurred(self, seen: "Look") -> bool:
        """Against its own past, which learns from what is not blurred alone."""
        sharp = seen.edges / max(seen.spread, 1)
        leave = LEAVE if self._lens.kind == "blurred" else 1
        known = self._known >= LEAST_KNOWN and self._usual >= LEAST_SHARP
        if known and sharp < min(BLURRED_SHARE * self._factor * leave, 0.9) * self._usual:
            return True
        self._known += 1
        learn = _LEARN_UP if sharp > self._usual else _LEARN_DOWN
        self._usual += (sharp - self._usual) * max(learn, 1 / self._known if self._known <= LEAST_KNOWN else 0)
        return False

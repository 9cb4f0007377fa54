"""A drawn day carried out on the real daemon, in virtual time, and what is to be known of it afterwards from outside.

The officer is a part like any other: lines are played when their time has come, also while the card takes its time. Beside
it a looker notes every few seconds when nothing may be held, and when no sound: from where the switches stand and what
the lights say, so that what is on the card can be held against it (E1).
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from device.clock import NEVER_US, Part, Wake
from device.evidence.disk import CardDisk
from device.policy.model import Policy
from device.policy.state import KEEPING, PAUSED, Phase
from device.tables import Camera, Microphone
from hw_sim.agency import Bench
from hw_sim.disk import OPERATIONS
from hw_sim.encoders import encode_clip
from hw_sim.given import Given
from hw_sim.lines import NO_LINE, play
from hw_sim.scenes import FlatScene
from hw_sim.shift import FAULT, OWN, REASON_GIVEN, Happening, Plan
from hw_sim.slow_disk import SlowDisk, Speed
from hw_sim.tagged import TaggedCamera, TaggedClip, TaggedMicrophone, encoded_sound
from hw_sim.virtual import SECOND_US, VirtualDevice
from hw_sim.vitals import Vital, resident_bytes, sample

CLIP_S = 4
LOOK_EVERY_US = 5 * SECOND_US
SETTLED_US = 700_000
"""A press, its bounce, and the time within which a second one would count."""
CURVE_EVERY_US = 60 * SECOND_US
VITALS_EVERY_US = 900 * SECOND_US
LAST_S = 60
"""What is left of a day after its last line: recordings end."""

Span = tuple[int, int]
"""Boot times, in µs: from, to."""


@dataclass
class Boot:
    """One boot: what was given in it, when nothing might be held (`barred`) or no sound (`silenced`), and when its power
    was cut. `touched_us`: when something was done to the card; `cleared_us`: when
    a reason was given that may clear what no recording claims."""

    given: Given
    barred: list[Span] = field(default_factory=list)
    silenced: list[Span] = field(default_factory=list)
    cut_us: int | None = None
    touched_us: list[int] = field(default_factory=list)
    cleared_us: list[int] = field(default_factory=list)


@dataclass
class Played:
    """A shift that is over. `curve`: virtual seconds and resident bytes."""

    bench: Bench
    policy: Policy
    boots: list[Boot] = field(default_factory=list)
    curve: list[tuple[float, int]] = field(default_factory=list)
    vitals: list[Vital] = field(default_factory=list)
    faults: dict[str, int] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)


class Shift:
    """One day on one bench. `real_disk`: the device's own; then a plan can have no cuts and no faults of the card."""

    def __init__(
        self,
        bench: Bench,
        policy: Policy,
        plan: Plan,
        tables: "tuple[Camera, Microphone]",
        *,
        real_disk: bool = False,
        vitals_every_us: int = 0,
    ) -> None:
        self.played = Played(bench, policy)
        self._plan = plan
        self._odds = random.Random(f"{plan.seed} cuts")
        self._speed = Speed()
        self.vitals_every_us = vitals_every_us
        self._policy = policy
        self._zone = policy.activation.initial_zone
        self._asleep = False
        camera, microphone = tables
        scene = FlatScene(camera.width, camera.height)
        clip = TaggedClip(encode_clip(CLIP_S, width=camera.width, height=camera.height, rate_hz=camera.rate_hz,
                                      bitrate_bps=camera.bitrate_bps, scene=scene))  # fmt: skip
        sound = encoded_sound(microphone) if microphone.enabled else []
        self._real_disk = real_disk
        self.device = VirtualDevice(
            bench,
            make_camera=lambda clock, settings: TaggedCamera(
                clock, clip=clip, boot=self._boot, given=self._given, settings=settings
            ),
            make_microphone=lambda clock, settings: TaggedMicrophone(
                clock, sound=sound, boot=self._boot, given=self._given, settings=settings
            ),
            make_disk=CardDisk if real_disk else lambda root: SlowDisk(root, self.device.let_pass, self._speed),
        )
        self._given = Given()
        self._began_us = self.device.clock.now_us()
        self.officer = Officer(self)
        self._looker = Looker(self)
        self.end_us = self._began_us + plan.length_us + LAST_S * SECOND_US

    @property
    def _boot(self) -> int:
        return self.device.boots

    @property
    def boot(self) -> Boot:
        return self.played.boots[-1]

    @property
    def now_s(self) -> float:
        return (self.device.clock.now_us() - self._began_us) / SECOND_US

    def run(self, advance: Callable[[float], None] = lambda _: None) -> Played:
        """The whole day; `advance` is told the virtual seconds that have passed."""
        self._power_on()
        while self.device.clock.now_us() < self.end_us:
            self.device.run(
                min(60, (self.end_us - self.device.clock.now_us()) / SECOND_US + 0.001), self.officer.cut_due
            )
            advance(self.now_s)
            if self.officer.off_s is not None:
                self._cut(self.officer.off_s)
        self.device.until_idle()
        self.device.stop()
        if isinstance(self.device.hardware.the_disk, CardDisk):
            self.device.hardware.the_disk.close()
        advance(self.now_s)
        return self.played

    def _power_on(self) -> None:
        self._given = Given()
        self.played.boots.append(Boot(self._given))
        self._looker = Looker(self)
        parts: list[tuple[Part, Wake]] = [
            (self.officer, Wake()),
            (self._looker, self._looker.wake),
            (Sampler(self), Wake()),
        ]
        self.device.boot(extra=parts)

    def _cut(self, off_s: int) -> None:
        boot = self.boot
        boot.cut_us = self.device.clock.now_us()
        self.device.cut(self._odds)
        self.device.clock.move_to(boot.cut_us + off_s * SECOND_US)
        self.officer.off_s = None
        self._power_on()

    # -- one line ---------------------------------------------------------------------------------------------------

    def carry_out(self, happening: Happening) -> None:
        word, *arguments = happening.line.split()
        self._looker.acted(self.device.clock.now_us())
        if happening.why == REASON_GIVEN:
            self.boot.cleared_us.append(self.device.clock.now_us() + self._policy.gestures.count_gap_ms * 1000)
        if happening.why == FAULT or word == "cut":
            kind = " ".join(happening.line.split()[:2]) if word == "card" else word
            self.played.faults[kind] = self.played.faults.get(kind, 0) + 1
        match [word, *arguments]:
            case ["cut", seconds]:
                self.officer.off_s = int(seconds)
            case ["clock", seconds]:
                self.device.clock.wall_offset_us += int(seconds) * SECOND_US
            case ["card", "stall", milliseconds]:
                self._speed.stall(int(milliseconds) * 1000)
                self.boot.touched_us.append(self.device.clock.now_us())
            case ["card", "fails", operation]:
                named = next(known for known in OPERATIONS if known == operation)
                assert isinstance(self.device.hardware.the_disk, SlowDisk), OWN
                self.device.hardware.the_disk.fail_next(named)
                self.boot.touched_us.append(self.device.clock.now_us())
            case _:
                self._zone = self._zone_of(arguments[0]) if word == "zone" else self._zone
                self._asleep = arguments == ["on"] if word == "sleep" else self._asleep
                said = play(self.device.hardware, happening.line)
                if said:
                    self.played.refused.append(f"{happening.line}: {said}")

    def may_not_be_held(self) -> tuple[bool, bool]:
        """Whether pictures, and whether sound, captured now may on no account be kept, by where the switches stand and by
        what the lights show."""
        state = self.device.daemon.control.state
        mode = self._policy.pre_event_mode(self._zone)
        idle = state.phase is Phase.IDLE
        asleep = self._asleep and state.phase is Phase.ASLEEP
        barred = state.phase in PAUSED or asleep or (idle and mode == "off")
        return barred, barred or (idle and mode != "video+audio") or (state.phase in KEEPING and state.muted)

    def _zone_of(self, switch: str) -> str:
        return self._policy.activation.initial_zone if switch == NO_LINE else switch

    def due_us(self, happening: Happening) -> int:
        return self._began_us + happening.at_us

    @property
    def happenings(self) -> tuple[Happening, ...]:
        return self._plan.happenings


class Officer:
    """The part that plays the lines. It outlives the boots: what falls due while the power is off is done at the next."""

    name = "officer"

    def __init__(self, shift: Shift) -> None:
        self._shift = shift
        self._next = 0
        self.off_s: int | None = None

    def cut_due(self) -> bool:
        return self.off_s is not None

    def run_once(self, now_us: int) -> int:
        happenings = self._shift.happenings
        while self.off_s is None and self._next < len(happenings):
            happening = happenings[self._next]
            due_us = self._shift.due_us(happening)
            if due_us > now_us:
                return due_us
            self._next += 1
            self._shift.carry_out(happening)
        return NEVER_US


class Looker:
    """The part that notes when nothing, or no sound, might be held: from one look to the next when it was so at both and
    nothing was done in between. It errs on the device's side: what it notes is certain."""

    name = "looker"

    def __init__(self, shift: Shift) -> None:
        self._shift = shift
        self._barred_us: int | None = None
        self._silenced_us: int | None = None
        self._settles_us = 0
        self.wake = Wake()

    def acted(self, now_us: int) -> None:
        """Something is about to be done: what was so until now ends here."""
        self._look(now_us)
        self._barred_us = self._silenced_us = None
        self._settles_us = now_us + SETTLED_US
        self.wake.ring()

    def run_once(self, now_us: int) -> int:
        if now_us < self._settles_us:
            return self._settles_us
        self._look(now_us)
        return now_us + LOOK_EVERY_US

    def _look(self, now_us: int) -> None:
        if now_us < self._settles_us:
            return
        boot, (barred, silenced) = self._shift.boot, self._shift.may_not_be_held()
        self._barred_us = _noted(boot.barred, self._barred_us, now_us, barred)
        self._silenced_us = _noted(boot.silenced, self._silenced_us, now_us, silenced)


def _noted(spans: list[Span], since_us: int | None, now_us: int, so: bool) -> int | None:
    """Since when it is so."""
    if not so:
        return None
    if since_us is None:
        return now_us
    if spans and spans[-1][1] == since_us:
        spans[-1] = (spans[-1][0], now_us)
    else:
        spans.append((since_us, now_us))
    return now_us


class Sampler:
    """The part that samples memory, and with `vitals` the rest."""

    name = "sampler"

    def __init__(self, shift: Shift) -> None:
        self._shift = shift
        self._vitals_us = 0

    def run_once(self, now_us: int) -> int:
        self._shift.played.curve.append((self._shift.now_s, resident_bytes()))
        if self._shift.vitals_every_us and now_us >= self._vitals_us:
            self._shift.played.vitals.append(sample(self._shift.now_s))
            self._vitals_us = now_us + self._shift.vitals_every_us
        return now_us + CURVE_EVERY_US

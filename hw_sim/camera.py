"""The twin's camera: real H.264 on a schedule of capture instants, delivered as picamera2 delivers it.

The sensor counts capture instants from the first start on and never stops counting: the number of an instant is the
number in the picture (`hw_sim.pattern`), so what never came is seen by anyone who reads the pictures. The encoder has
runs: each start or restart begins one, whose timestamps count from the capture time of its first frame. Where the rate is
changed, the instants go on from the one before at the new distance and the numbers without a jump; what the scene shows
goes by time.

Two behaviours, as picamera2 has. `v4l2`: an encoder part of its own encodes and delivers, without a packet, a view
onto a buffer that is used again as soon as `outputframe` returns. `libav`: the camera part itself delivers, with bytes
and the packet. Parts are run by one thread each, or by the scheduler. The verbs may be called from any thread but not
from within `outputframe`; `stop` and `restart` wait at most for the frame in hand, and nothing is delivered after them.

PyAV and numpy are imported by what encodes, not by this module: a `PreEncodedCamera` needs neither.
"""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from device.clock import NEVER_US, Clock, Part, Wake
from device.errors import HardwareFailed, HardwareHung
from device.hardware import Load, Sample, Stamp
from device.media.luma import EVERY_US, LASTS_US, shrunk
from hw_sim.encoder_runs import Behaviour, EncoderFaults, EncoderPart, Run, Sink
from hw_sim.encoders import X264, EncodedFrame, Encoder, Profile, Replay
from hw_sim.schedule import Schedule

if TYPE_CHECKING:
    from hw_sim.pattern import Picture
    from hw_sim.scenes import Scene

MOST_FRAMES_BEHIND = 2
"""A camera part that runs late makes up for this many frames; the older ones never come."""


class _Camera(ABC):
    """What both cameras share: the capture instants, the runs of the encoder, the faults. It is the camera part."""

    name = "camera"

    def __init__(self, clock: Clock, load: Load, behaviour: Behaviour) -> None:
        self.log: list[str] = []
        self._clock = clock
        self._load = load
        self._behaviour: Behaviour = behaviour
        self._wake = Wake()
        self.encoder_faults = EncoderFaults()
        self._encoder_part = EncoderPart(self.encoder_faults) if behaviour == "v4l2" else None
        self._lock = threading.Lock()
        self._run: Run | None = None
        self._first_timestamp_us = 0
        self._schedule: Schedule | None = None
        self._next_number = 0
        self._sample: Sample | None = None
        self._frames_to_drop = 0
        self._stalled = False
        self._dead = False
        self._starts_to_fail = 0
        self._hung = False
        self._late_us = 0
        self._one_in = 1

    @property
    def encodes_apart(self) -> bool:
        """Whether the encoder has a thread of its own, which can be slow."""
        return self._encoder_part is not None

    @property
    def parts(self) -> list[tuple[Part, Wake]]:
        own: list[tuple[Part, Wake]] = [(self, self._wake)]
        return own if self._encoder_part is None else [*own, (self._encoder_part, self._encoder_part.wake)]

    def first_timestamp_us(self) -> int:
        """Boot time at which the current run of the encoder counts zero: the capture time of its first frame."""
        return self._first_timestamp_us

    # -- the port that the daemon drives --------------------------------------------------------------------------

    def start(self, sink: Sink, zero_us: int | None = None) -> None:
        """Begin a run at the next capture instant. Instants count from `zero_us`, else from the first start."""
        with self._lock:
            assert self._run is None, "the camera is already started"
            if self._starts_to_fail:
                self._starts_to_fail -= 1
                self._note("start failed")
                raise HardwareFailed("the camera does not answer")
            self._dead = False
            if zero_us is not None or self._schedule is None:
                self._count_from(self._clock.now_us() if zero_us is None else zero_us)
            self._note("start")
            self._begin(sink)
        self._wake.ring()

    def stop(self) -> None:
        """Deliver nothing more. Capture instants go on being counted. May be called twice."""
        with self._lock:
            if self._hung:
                raise HardwareHung("the camera does not let go")
            if self._run is not None:
                self._run.close()
                self._run = None
                self._note("stop")

    def force_keyframe(self) -> None:
        """The next frame encoded is a keyframe (IDR), and the next one after it is a second of frames later."""
        with self._lock:
            if self._run is not None:
                self._run.keyframe_wanted = True
                self._note("force keyframe")

    def set_load(self, load: Load) -> None:
        """Rate, bitrate and with them the GOP, from the next keyframe on, and of every later run."""
        with self._lock:
            self._note(f"load {load.rate_hz} Hz, {load.bitrate_bps} bit/s")
            self._load = load
            if self._run is not None:
                self._run.encoder.aim(load)

    def sampled(self) -> Sample | None:
        """None of a clip: its pictures are encoded already."""
        sample = self._sample
        return sample if sample is not None and self._clock.now_us() - sample.at_us < LASTS_US else None

    # -- faults ---------------------------------------------------------------------------------------------------

    def drop(self, frames: int) -> None:
        """The next so many captures never come."""
        with self._lock:
            self._frames_to_drop += frames
            self._note(f"drop {frames}")

    def stall(self) -> None:
        """Silence until `resume`, whatever is restarted: capture instants pass and nothing comes."""
        with self._lock:
            self._stalled = True
            self._note("stall")

    def resume(self) -> None:
        with self._lock:
            self._stalled = False
            self._note("resume")

    def die(self) -> None:
        """Silence until it is started anew."""
        with self._lock:
            self._dead = True
            self._note("die")

    def fail_starts(self, starts: int) -> None:
        """The next so many starts fail: no camera answers."""
        with self._lock:
            self._starts_to_fail = starts
            self._note(f"fail the next {starts} starts")

    def hang(self) -> None:
        """Silence, and from now on `stop` does not get it to let go."""
        with self._lock:
            self._dead = self._hung = True
            self._note("hang")

    def late(self, late_us: int) -> None:
        """Pictures come this much later from now on; their time stamps stay those of capture."""
        with self._lock:
            self._late_us = late_us
            self._note(f"late {late_us} µs")
        self._wake.ring()

    def one_in(self, captures: int) -> None:
        """Only one in so many captures comes; 1 for all."""
        with self._lock:
            self._one_in = captures
            self._note(f"one in {captures}")

    # -- the camera part ------------------------------------------------------------------------------------------

    def run_once(self, now_us: int) -> int:
        """Capture every frame whose time has come; the time of the next one."""
        with self._lock:
            run = self._run
            if run is None:
                return NEVER_US
            numbers = self._due(run, now_us)
        for number in numbers:
            timestamp_us = run.timestamp_us(number)
            picture = run.encoder.capture(number, timestamp_us)
            if self._encoder_part is None:
                run.deliver(picture, timestamp_us)
            elif not self._encoder_part.take(run, picture, timestamp_us):
                self._note(f"skipped 1 from #{number}: the encoder is behind")
        with self._lock:
            self._follow_rate(run)
            return run.schedule.instant_us(self._next_number) + self._late_us

    # -- with the lock held ---------------------------------------------------------------------------------------

    @abstractmethod
    def _new_encoder(self) -> Encoder: ...

    def _count_from(self, zero_us: int) -> None:
        """Number 0 is at this time."""
        self._schedule = Schedule(0, zero_us, self._load.rate_hz)
        self._next_number = 0

    def _begin(self, sink: Sink) -> None:
        """A new run whose first frame is at the next capture instant that has not been and was not yet used."""
        assert self._schedule is not None
        number = max(self._next_number, self._schedule.following(self._clock.now_us()))
        first_us = self._schedule.instant_us(number)
        if self._schedule.rate_hz != self._load.rate_hz:
            self._schedule = Schedule(number, first_us, self._load.rate_hz)
        self._next_number = number
        self._first_timestamp_us = first_us
        self._sample = None
        schedule = Schedule(number, first_us, self._schedule.rate_hz)
        self._run = Run(self._new_encoder(), sink, self._behaviour, schedule, self.encoder_faults)

    def _follow_rate(self, run: Run) -> None:
        """The sensor's rate is that of the load in force: from the last instant on, the next are at the new distance."""
        rate_hz = run.encoder.load.rate_hz
        if rate_hz != run.schedule.rate_hz:
            number = self._next_number - 1
            run.schedule = self._schedule = Schedule(number, run.schedule.instant_us(number), rate_hz)

    def _begin_again(self, described: str, change: Callable[[], None]) -> None:
        """A camera that is not started only takes the change."""
        run = self._run
        if run is not None:
            run.close()
        change()
        self._note(described)
        if run is not None:
            self._begin(run.sink)

    def _due(self, run: Run, now_us: int) -> list[int]:
        self._follow_rate(run)
        due = []
        while run.schedule.instant_us(self._next_number) + self._late_us <= now_us:
            due.append(self._next_number)
            self._next_number += 1
        due = [number for number in due if number % self._one_in == 0]
        if self._stalled or self._dead:
            return []
        dropped = min(self._frames_to_drop, len(due))
        self._frames_to_drop -= dropped
        due = due[dropped:]
        if len(due) > MOST_FRAMES_BEHIND:
            self._note(f"skipped {len(due) - MOST_FRAMES_BEHIND} from #{due[0]}: the camera is behind")
        return due[-MOST_FRAMES_BEHIND:]

    def _note(self, what: str) -> None:
        self.log.append(f"{self._clock.now_us()} camera {what}")


class TwinCamera(_Camera):
    """A camera that looks at a scene and encodes it with libx264."""

    def __init__(
        self,
        clock: Clock,
        *,
        width: int,
        height: int,
        rate_hz: int,
        bitrate_bps: int,
        scene: "Scene",
        behaviour: Behaviour,
        profile: Profile = "baseline",
        stamp: Stamp | None = None,
        on_picture: "Callable[[Picture], None] | None" = None,
    ) -> None:
        super().__init__(clock, Load(rate_hz, bitrate_bps), behaviour)
        self.width = width
        self.height = height
        self._most_bps = bitrate_bps
        self._scene_rate_hz = rate_hz
        self._scene_zero_us = 0
        self._profile: Profile = profile
        self._scene = scene
        self._stamp = stamp
        self._on_picture = on_picture

    def restart(self, *, width: int | None = None, height: int | None = None, profile: Profile | None = None) -> None:
        """End the run and begin another, as it was or with changed parameter sets, for the same sink."""

        def change() -> None:
            self._profile = profile or self._profile
            if (width or self.width, height or self.height) != (self.width, self.height):
                self.width, self.height = width or self.width, height or self.height
                self._scene = self._scene.resized(self.width, self.height)

        with self._lock:
            self._begin_again(
                f"restart {width or self.width}x{height or self.height} {profile or self._profile}", change
            )
        self._wake.ring()

    def _count_from(self, zero_us: int) -> None:
        super()._count_from(zero_us)
        self._scene_zero_us = zero_us

    def _new_encoder(self) -> Encoder:
        zero_us = self._first_timestamp_us
        return X264(
            lambda number, timestamp_us: self._see(number, zero_us + timestamp_us),
            width=self.width,
            height=self.height,
            load=self._load,
            most_bps=self._most_bps,
            profile=self._profile,
        )

    def _see(self, number: int, at_us: int) -> "Picture":
        """The picture of an instant: of the scene at that time, with the instant's number, sampled and then stamped."""
        from hw_sim import pattern

        shown = ((at_us - self._scene_zero_us) * self._scene_rate_hz + 500_000) // 1_000_000
        picture = self._scene.picture(shown)
        if shown != number:
            pattern.stamp(picture, number)
        luma = picture.reshape(-1).data[: self.width * self.height]
        if self._sample is None or at_us - self._sample.at_us >= EVERY_US:
            self._sample = Sample(*shrunk(luma, self.width, self.width, self.height), at_us=at_us)
        if self._stamp is not None:
            self._stamp.burn(luma, self.width, at_us)
        if self._on_picture is not None:
            self._on_picture(picture)
        return picture


class PreEncodedCamera(_Camera):
    """A camera that replays a clip of whole GOPs in a loop, at no encoding cost: for measuring everything else.

    A dropped capture takes no frame from the clip, so that what comes always decodes; the numbers in its pictures are
    therefore the clip's, not those of the capture instants.
    """

    def __init__(
        self, clock: Clock, *, clip: Sequence[EncodedFrame], rate_hz: int, behaviour: Behaviour = "v4l2"
    ) -> None:
        assert clip[0].keyframe, "a clip begins with a keyframe"
        super().__init__(clock, Load(rate_hz, 0), behaviour)
        self._clip = clip

    def set_load(self, load: Load) -> None:
        """Only noted."""
        with self._lock:
            self._note(f"load {load.rate_hz} Hz, {load.bitrate_bps} bit/s: a clip stays as it was made")

    def restart(self, clip: Sequence[EncodedFrame] | None = None) -> None:
        """End the run and begin another for the same sink, from the start of the clip or with another one."""

        def change() -> None:
            self._clip = clip or self._clip

        with self._lock:
            self._begin_again("restart", change)
        self._wake.ring()

    def _new_encoder(self) -> Encoder:
        return Replay(self._clip, with_packets=self._behaviour == "libav", load=self._load)

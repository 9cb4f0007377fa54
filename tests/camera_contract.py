"""What the daemon may rely on of any camera: one suite, run on the twin by `test_camera_contract.py` and on the real
picamera2 and libcamera by the lane.

A subject is a `Rig`; the fixture `open_rig` makes one, with a stamp or without. Nothing here looks at a wall clock: a busy
machine gives pictures late, and what is said of them holds then too.
"""

import statistics
from collections.abc import Callable
from itertools import pairwise
from typing import Protocol

import av
import numpy as np
import pytest
from av.video.frame import PictureType

from device.clock import Clock
from device.hardware import CameraDriver, Load, Stamp
from device.media.frames import CaptureFlags, Frame, parameter_sets
from device.media.luma import WIDEST
from device.media.ring import Ring
from device.media.sink import EncoderSink
from device.tables import Camera

WIDTH, HEIGHT, RATE_HZ, BITRATE_BPS = 320, 180, 30, 800_000
SETTINGS = Camera(width=WIDTH, height=HEIGHT, rate_hz=RATE_HZ, bitrate_bps=BITRATE_BPS)
SHED = Load(rate_hz=15, bitrate_bps=200_000)
SECOND_US = 1_000_000
BLACK, WHITE = 16, 235


class Rig(Protocol):
    """A camera that a test may let run."""

    @property
    def camera(self) -> CameraDriver: ...

    @property
    def clock(self) -> Clock: ...

    def run(self, seconds: float) -> None: ...

    def silence(self) -> None:
        """No picture comes any more."""


OpenRig = Callable[[Stamp | None], Rig]


class Recorded:
    """A camera's frames, by the device's own sink, in a ring that holds them all."""

    def __init__(self, rig: Rig) -> None:
        self.ring = Ring(600 * SECOND_US, 1 << 28, CaptureFlags(zone="street"), lambda: None)
        self.sink = EncoderSink(self.ring, rig.camera.first_timestamp_us)
        self._claim = self.ring.claim(0, 0)

    @property
    def frames(self) -> list[Frame]:
        assert (self.ring.refused_frames, self.sink.unusable) == (0, 0)
        return [frame for _, frames in self.ring.gops(self._claim, 0) for frame in frames]

    @property
    def keyframes(self) -> list[int]:
        return [index for index, frame in enumerate(self.frames) if frame.keyframe]


class Flashing:
    """A stamp that makes each picture wholly black or white, by turns of 7: the hardest change of scene there is."""

    def __init__(self) -> None:
        self.times: list[int] = []
        self.levels: list[int] = []

    def burn(self, luma: memoryview, stride: int, at_us: int) -> None:
        level = (BLACK, WHITE)[len(self.times) // 7 % 2]
        luma[:] = bytes([level]) * len(luma)
        assert len(luma) >= stride * (HEIGHT - 1) + WIDTH
        self.times.append(at_us)
        self.levels.append(level)

    def failed(self, why: str) -> None:
        raise AssertionError(why)


class Noise:
    """A stamp that no encoder can foresee, so that any bitrate is reached."""

    def __init__(self) -> None:
        self._noise = np.random.default_rng(1).integers(40, 200, 1 << 20, dtype=np.uint8).tobytes()
        self._begin = 0

    def burn(self, luma: memoryview, stride: int, at_us: int) -> None:
        self._begin = (self._begin + 7919) % 500_000
        luma[:] = self._noise[self._begin : self._begin + len(luma)]

    def failed(self, why: str) -> None:
        raise AssertionError(why)


def recorded(rig: Rig, seconds: float) -> Recorded:
    """The camera started, run and stopped."""
    taken = Recorded(rig)
    rig.camera.start(taken.sink)
    rig.run(seconds)
    rig.camera.stop()
    return taken


def decoded(frames: list[Frame]) -> list[tuple[str, np.typing.NDArray[np.uint8]]]:
    """The type and the luma of each picture; damage fails the test."""
    decoder = av.CodecContext.create("h264", "r", None)
    decoder.options = {"err_detect": "explode"}
    pictures = [picture for frame in frames for picture in decoder.decode(av.Packet(frame.data))]
    pictures += decoder.decode(None)
    assert len(pictures) == len(frames)
    assert not any(picture.is_corrupt for picture in pictures)
    return [
        (PictureType(picture.pict_type).name, np.asarray(picture.to_ndarray(), np.uint8)[: picture.height])
        for picture in pictures
    ]


def assert_second_gops(frames: list[Frame], rate_hz: int) -> None:
    """Each keyframe is the first picture a second after the one before, to the nearest."""
    keys = [index for index, frame in enumerate(frames) if frame.keyframe]
    least_us = SECOND_US - SECOND_US // (2 * rate_hz)
    for key, following in pairwise(keys):
        assert frames[following].at_us - frames[key].at_us >= least_us
        assert frames[following - 1].at_us - frames[key].at_us < least_us


def assert_few_gaps(frames: list[Frame], rate_hz: int) -> None:
    """By the lowest rate asked for, hardly a picture is missing. A busy machine may give some late."""
    longest_us = 1.5 * SECOND_US / rate_hz
    gaps = [1 for before, after in pairwise(frames) if after.at_us - before.at_us >= longest_us]
    assert len(gaps) <= len(frames) // 10


# -- what comes ---------------------------------------------------------------------------------------------------------


def test_a_start_begins_with_a_keyframe_and_there_is_one_each_second(open_rig: OpenRig) -> None:
    taken = recorded(open_rig(None), 3.5)
    assert taken.keyframes[0] == 0
    assert len(taken.keyframes) >= 3
    assert_second_gops(taken.frames, RATE_HZ)


def test_each_keyframe_has_the_same_parameter_sets_and_anyone_can_begin_there(open_rig: OpenRig) -> None:
    taken = recorded(open_rig(None), 2.5)
    sets = [parameter_sets(taken.frames[index].data) for index in taken.keyframes]
    assert None not in sets
    assert len({found.annex_b() for found in sets if found}) == 1
    assert [parameter_sets(frame.data) for frame in taken.frames if not frame.keyframe].count(None) == (
        len(taken.frames) - len(sets)
    )
    from_second_gop = taken.frames[taken.keyframes[1] :]
    assert len(decoded(from_second_gop)) == len(from_second_gop)


def test_no_picture_leans_on_a_later_one_and_no_change_of_scene_makes_a_keyframe(open_rig: OpenRig) -> None:
    taken = recorded(open_rig(Flashing()), 3.2)
    types = [kind for kind, _ in decoded(taken.frames)]
    assert set(types) == {"I", "P"}
    assert [index for index, kind in enumerate(types) if kind == "I"] == taken.keyframes
    assert_second_gops(taken.frames, RATE_HZ)


def test_times_are_boot_times_within_the_run_at_the_rate(open_rig: OpenRig) -> None:
    rig = open_rig(None)
    begun_us = rig.clock.now_us()
    taken = recorded(rig, 2.0)
    times = [frame.at_us for frame in taken.frames]
    assert begun_us <= times[0]
    assert times[-1] <= rig.clock.now_us()
    assert times == sorted(set(times))
    assert times[0] == rig.camera.first_timestamp_us()
    steps = [after - before for before, after in pairwise(times)]
    assert statistics.median(steps) == pytest.approx(SECOND_US / RATE_HZ, rel=0.1)


def test_the_bitrate_is_about_the_configured_one(open_rig: OpenRig) -> None:
    taken = recorded(open_rig(Noise()), 4.2)
    first, last = taken.keyframes[1], taken.keyframes[-1]
    span_us = taken.frames[last].at_us - taken.frames[first].at_us
    bits = 8 * sum(len(frame.data) for frame in taken.frames[first:last])
    assert bits * SECOND_US / span_us == pytest.approx(BITRATE_BPS, rel=0.4)


# -- what is asked for --------------------------------------------------------------------------------------------------


def test_a_keyframe_comes_when_asked_for_and_the_second_counts_from_it(open_rig: OpenRig) -> None:
    rig = open_rig(None)
    taken = Recorded(rig)
    rig.camera.start(taken.sink)
    rig.run(1.4)
    had = len(taken.frames)
    rig.camera.force_keyframe()
    rig.run(1.7)
    rig.camera.stop()
    asked = next(index for index in taken.keyframes if index >= had)
    assert asked - had <= 2
    assert len([index for index in taken.keyframes if index > asked]) == 1
    assert_second_gops(taken.frames[asked:], RATE_HZ)
    assert len(decoded(taken.frames[asked:])) == len(taken.frames) - asked


def test_a_keyframe_asked_for_while_stopped_does_nothing(open_rig: OpenRig) -> None:
    rig = open_rig(None)
    rig.camera.force_keyframe()
    taken = recorded(rig, 0.8)
    assert taken.keyframes == [0]


def test_a_load_is_in_force_from_a_keyframe_on_without_a_restart(open_rig: OpenRig) -> None:
    rig = open_rig(Noise())
    taken = Recorded(rig)
    rig.camera.start(taken.sink)
    rig.run(2.5)
    zero_us, had = rig.camera.first_timestamp_us(), len(taken.frames)
    rig.camera.set_load(SHED)
    rig.run(5.6)
    rig.camera.stop()
    assert rig.camera.first_timestamp_us() == zero_us
    keys = [index for index in taken.keyframes if index >= had]
    assert_second_gops(taken.frames[: keys[0] + 1], RATE_HZ)
    shed = taken.frames[keys[1] :]
    assert_second_gops(shed, SHED.rate_hz)
    steps = [after.at_us - before.at_us for before, after in pairwise(shed)]
    assert statistics.median(steps) == pytest.approx(SECOND_US / SHED.rate_hz, rel=0.1)
    settled, last = keys[2], keys[-1]
    bits = 8 * sum(len(frame.data) for frame in taken.frames[settled:last])
    measured_bps = bits * SECOND_US / (taken.frames[last].at_us - taken.frames[settled].at_us)
    assert measured_bps == pytest.approx(SHED.bitrate_bps, rel=0.4)
    assert len(decoded(taken.frames)) == len(taken.frames)
    assert_few_gaps(taken.frames, SHED.rate_hz)


def test_a_load_may_be_taken_back(open_rig: OpenRig) -> None:
    rig = open_rig(None)
    taken = Recorded(rig)
    rig.camera.set_load(SHED)
    rig.camera.start(taken.sink)
    rig.run(1.4)
    rig.camera.set_load(Load(RATE_HZ, BITRATE_BPS))
    rig.run(2.6)
    rig.camera.stop()
    frames = taken.frames
    slow = [b.at_us - a.at_us for a, b in pairwise(frames[:11])]
    fast = [b.at_us - a.at_us for a, b in pairwise(frames[-11:])]
    assert statistics.median(slow) == pytest.approx(SECOND_US / SHED.rate_hz, rel=0.1)
    assert statistics.median(fast) == pytest.approx(SECOND_US / RATE_HZ, rel=0.1)
    assert_few_gaps(frames, SHED.rate_hz)


def test_a_load_is_kept_over_a_restart(open_rig: OpenRig) -> None:
    rig = open_rig(None)
    recorded(rig, 0.5)
    rig.camera.set_load(SHED)
    taken = recorded(rig, 2.5)
    steps = [b.at_us - a.at_us for a, b in pairwise(taken.frames)]
    assert statistics.median(steps) == pytest.approx(SECOND_US / SHED.rate_hz, rel=0.1)
    assert_second_gops(taken.frames, SHED.rate_hz)


# -- stopped and started ------------------------------------------------------------------------------------------------


def test_nothing_comes_after_a_stop_which_may_be_asked_for_twice(open_rig: OpenRig) -> None:
    rig = open_rig(None)
    rig.camera.stop()
    taken = recorded(rig, 0.5)
    count = len(taken.frames)
    assert count > 0
    rig.run(0.5)
    rig.camera.stop()
    assert len(taken.frames) == count


def test_each_start_has_a_zero_of_its_own_and_the_ring_goes_on_with_a_gap_in_time(open_rig: OpenRig) -> None:
    rig = open_rig(None)
    taken = Recorded(rig)
    rig.camera.start(taken.sink)
    rig.run(0.5)
    rig.camera.stop()
    before, count = rig.camera.first_timestamp_us(), len(taken.frames)
    rig.run(0.5)
    rig.camera.start(taken.sink)
    rig.run(0.5)
    rig.camera.stop()
    assert rig.camera.first_timestamp_us() > before + SECOND_US // 2
    assert taken.frames[count].keyframe
    assert parameter_sets(taken.frames[count].data)
    assert taken.frames[count].at_us == rig.camera.first_timestamp_us()
    assert taken.frames[count].at_us - taken.frames[count - 1].at_us > 10 * SECOND_US // RATE_HZ


def test_a_silent_camera_raises_nothing_and_can_be_stopped(open_rig: OpenRig) -> None:
    rig = open_rig(None)
    taken = Recorded(rig)
    rig.camera.start(taken.sink)
    rig.run(0.5)
    rig.silence()
    rig.run(0.3)
    count = len(taken.frames)
    rig.run(0.5)
    assert len(taken.frames) == count
    rig.camera.stop()


# -- the stamp and the sample ---------------------------------------------------------------------------------------------


def test_each_picture_is_stamped_before_it_is_encoded_with_its_own_time(open_rig: OpenRig) -> None:
    stamp = Flashing()
    taken = recorded(open_rig(stamp), 1.2)
    shown = [round(float(luma.mean())) for _, luma in decoded(taken.frames)]
    count = len(taken.frames)
    assert count > 15
    assert [BLACK if level < 128 else WHITE for level in shown] == stamp.levels[:count]
    assert all(abs(frame.at_us - at) <= 2 for frame, at in zip(taken.frames, stamp.times, strict=False))


def test_a_sample_is_small_recent_and_of_what_the_lens_saw(open_rig: OpenRig) -> None:
    rig = open_rig(Flashing())
    assert rig.camera.sampled() is None
    rig.camera.start(Recorded(rig).sink)
    rig.run(0.4)
    first = rig.camera.sampled()
    rig.run(1.0)
    later = rig.camera.sampled()
    assert first is not None
    assert later is not None
    assert (first.width, first.height) == (WIDEST, HEIGHT * WIDEST // WIDTH)
    assert len(first.luma) == first.width * first.height
    assert len(set(later.luma)) > 2, "the lens, not the stamp"
    assert later.at_us - first.at_us >= 400_000
    assert later.at_us <= rig.clock.now_us()
    rig.silence()
    rig.run(2.6)
    assert rig.camera.sampled() is None
    rig.camera.stop()
    assert rig.camera.sampled() is None

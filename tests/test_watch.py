"""What the control loop learns by looking: storage at the start of a shift, a clock that is not set."""

from pathlib import Path

import pytest

from device.media.frames import CaptureFlags
from device.media.ring import Ring
from device.policy.inputs import ClockStepped, FaultChanged, LevelChanged
from device.watch import Watch
from hw_sim.clock import VirtualClock
from hw_sim.virtual import VirtualDevice
from tests.benches import make_bench
from tests.clips import data_of

HOUR_BYTES = 8_000_000 // 8 * 3600


class Recorder:
    """A recorder that only says how much room there is."""

    def __init__(self) -> None:
        self.busy = False
        self.turned_us = 0
        self.durable_ticket = 0
        self.free_bytes: int | None = None


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def watch(recorder: Recorder) -> Watch:
    clock = VirtualClock("boot-1")
    ring = Ring(window_us=0, cap_bytes=1000, flags=CaptureFlags("street"), on_keyframe=lambda: None)
    return Watch(clock, ring, recorder, has_microphone=False, recording_bps=8_000_000)


def _levels(watch: Watch) -> list[str]:
    return [came.level for came in watch.look(0) if isinstance(came, LevelChanged)]


def test_r3_a_shift_begins_with_room_for_the_hours_of_the_policy(watch: Watch, recorder: Recorder) -> None:
    watch.shift_begins(10)
    assert _levels(watch) == [], "nobody has looked at the card yet"
    recorder.free_bytes = 10 * HOUR_BYTES - 1
    assert _levels(watch) == ["low"]
    assert _levels(watch) == [], "said once"
    recorder.free_bytes = 10 * HOUR_BYTES
    assert _levels(watch) == ["good"]
    recorder.free_bytes = 2 * HOUR_BYTES
    assert _levels(watch) == [], "in the middle of a shift two hours are enough"
    recorder.free_bytes = HOUR_BYTES - 1
    assert _levels(watch) == ["low"]
    recorder.free_bytes = 2 * HOUR_BYTES
    assert _levels(watch) == ["good"]
    watch.shift_begins(10)
    assert _levels(watch) == ["low"], "the next shift asks for ten again"


def test_a_clock_that_is_not_set_is_a_fault_and_starts_are_not_refused(tmp_path: Path) -> None:
    device = VirtualDevice(make_bench(tmp_path / "bench"))
    device.clock.synchronised = False
    device.boot()
    device.run(6)
    assert "clock" in device.daemon.control.state.faults
    device.double()
    assert device.daemon.control.state.phase.value == "recording"
    device.clock.synchronised = True
    device.run(1)
    assert "clock" not in device.daemon.control.state.faults
    device.stop()


def test_a_silent_camera_is_a_fault_while_it_lasts(tmp_path: Path) -> None:
    device = VirtualDevice(make_bench(tmp_path / "bench"))
    device.boot()
    device.run(3)
    device.hardware.the_camera.stall()
    device.run(3)
    assert "camera" in device.daemon.control.state.faults
    device.hardware.the_camera.resume()
    device.run(2)
    assert "camera" not in device.daemon.control.state.faults
    device.stop()


def test_a_clock_that_is_set_little_by_little_is_told(recorder: Recorder) -> None:
    """E8: 0.2 s at a time is no step by itself; what has come together since it was last told is."""
    clock = VirtualClock("boot-1")
    ring = Ring(window_us=0, cap_bytes=1000, flags=CaptureFlags("street"), on_keyframe=lambda: None)
    watch = Watch(clock, ring, recorder, has_microphone=False, recording_bps=8_000_000)
    told: list[int] = []
    for _ in range(6):
        clock.wall_offset_us += 200_000
        told += [came.step_us for came in watch.look(clock.now_us()) if isinstance(came, ClockStepped)]
    assert told == [600_000, 600_000]


def test_a_picture_dated_after_now_is_a_fault_until_now_has_come_there(recorder: Recorder) -> None:
    clock = VirtualClock("boot-1")
    ring = Ring(window_us=0, cap_bytes=1000, flags=CaptureFlags("street"), on_keyframe=lambda: None)
    watch = Watch(clock, ring, recorder, has_microphone=False, recording_bps=8_000_000)
    ring.append_video(data_of("I"), clock.now_us() + 2_000_000, True)
    told: list[tuple[int, bool]] = []
    for tenths in range(20):
        at_us = clock.now_us() + tenths * 100_000
        told += [(tenths, c.present) for c in watch.look(at_us) if isinstance(c, FaultChanged) and c.part == "camera"]
    assert told == [(0, True), (15, False)]


def test_frames_that_are_refused_for_their_date_are_a_fault_while_they_come(recorder: Recorder) -> None:
    clock = VirtualClock("boot-1")
    ring = Ring(0, 1000, CaptureFlags("street"), lambda: None, clock.now_us)
    watch = Watch(clock, ring, recorder, has_microphone=True, recording_bps=8_000_000)
    began_us = clock.now_us()
    told: list[tuple[int, str, bool]] = []
    for tenths in range(40):
        clock.move_to(began_us + tenths * 100_000)
        ahead_us = 3_600_000_000 if tenths == 1 else 0
        ring.append_video(data_of("I"), clock.now_us() + ahead_us, True)
        ring.append_audio(b"sound", clock.now_us() + ahead_us)
        told += [(tenths, c.part, c.present) for c in watch.look(clock.now_us()) if isinstance(c, FaultChanged)]
    camera = [(tenths, present) for tenths, part, present in told if part == "camera"]
    microphone = [(tenths, present) for tenths, part, present in told if part == "microphone"]
    assert camera == [(1, True), (17, False)]
    assert microphone == [(1, True), (32, False)]

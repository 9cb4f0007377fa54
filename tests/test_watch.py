"""What the control loop learns by looking: storage at the start of a shift, a clock that is not set."""

from pathlib import Path

import pytest

from device.media.frames import CaptureFlags
from device.media.ring import Ring
from device.policy.inputs import LevelChanged
from device.watch import Watch
from hw_sim.clock import VirtualClock
from hw_sim.virtual import VirtualDevice
from tests.benches import make_bench

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

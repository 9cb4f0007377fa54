"""The camera contract and the named hazards on the real picamera2 and libcamera. Run by pytest within the root that
`tests/lanes/pi_camera_root.py` builds; pytest does not gather it elsewhere.
"""

from collections.abc import Iterator
from itertools import pairwise

import pytest

from tests.lanes import simcam

simcam.install()

import fcntl  # noqa: E402 - nothing may import picamera2 before it is stood in for
import threading  # noqa: E402
from typing import Any  # noqa: E402

import av  # noqa: E402
from picamera2.encoders.libav_h264_encoder import LibavH264Encoder  # noqa: E402
from picamera2.encoders.v4l2_encoder import V4L2Encoder  # noqa: E402
from picamera2.outputs import PyavOutput  # noqa: E402
from picamera2.platform import Platform, get_platform  # noqa: E402

from device.clock import BootClock, Latch  # noqa: E402
from device.errors import HardwareFailed, HardwareHung  # noqa: E402
from device.hardware import Load, Stamp  # noqa: E402
from device.pi import camera as pi_camera  # noqa: E402
from device.pi.camera import PiCamera  # noqa: E402
from device.pi.encoders import LibavEncoder, V4l2Encoder  # noqa: E402
from device.pi.machine import encoder_kind  # noqa: E402
from device.tables import Camera  # noqa: E402
from tests.camera_contract import *  # noqa: E402, F403 - the suite
from tests.camera_contract import RATE_HZ, SETTINGS, OpenRig, Recorded, recorded  # noqa: E402


class RealRig:
    """The Pi's driver, in real time."""

    def __init__(self, stamp: Stamp | None, settings: Camera = SETTINGS) -> None:
        self.clock = BootClock()
        self.camera = PiCamera(settings, stamp, self.clock)
        self._never = Latch()

    def run(self, seconds: float) -> None:
        self._never.wait(seconds)

    def silence(self) -> None:
        simcam.FAULTS.silent = True


@pytest.fixture
def open_rig() -> Iterator[OpenRig]:
    opened: list[RealRig] = []

    def open_one(stamp: Stamp | None) -> RealRig:
        opened.append(RealRig(stamp))
        return opened[-1]

    simcam.FAULTS.heal()
    yield open_one
    simcam.FAULTS.heal()
    for rig in opened:
        rig.camera.stop()


# -- the hazards of picamera2, by their numbers ---------------------------------------------------------------------------


def test_hazard_1_a_keyframe_asked_for_of_picamera2_itself_ends_its_event_loop() -> None:
    """The control: why the encoder here sets the picture's type itself."""
    picture = av.VideoFrame(16, 16, "yuv420p")
    with pytest.raises(TypeError):
        picture.pict_type = "I"  # type: ignore[assignment] # as picamera2 does
    assert LibavEncoder._encode is not LibavH264Encoder._encode


def test_hazard_1_a_keyframe_asked_for_of_ours_comes_and_the_event_loop_lives(open_rig: OpenRig) -> None:
    rig = open_rig(None)
    taken = Recorded(rig)
    rig.camera.start(taken.sink)
    for _ in range(3):
        rig.run(0.3)
        rig.camera.force_keyframe()
    rig.run(0.3)
    rig.camera.stop()
    assert len(taken.keyframes) == 4
    assert len(taken.frames) > 20


def test_hazard_2_a_sink_that_raises_is_silence_and_the_camera_can_be_started_anew(
    open_rig: OpenRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = open_rig(None)
    taken = Recorded(rig)
    with monkeypatch.context() as broken:
        broken.setattr(taken.sink, "outputframe", _raise)
        rig.camera.start(taken.sink)
        rig.run(0.5)
        assert _event_loop(rig).is_alive()
        rig.camera.stop()
    assert taken.frames == []
    assert len(recorded(rig, 0.5).frames) > 5


def test_hazard_2_a_stamp_that_raises_costs_the_stamp_and_no_picture(open_rig: OpenRig) -> None:
    told: list[str] = []

    class Broken:
        def burn(self, luma: memoryview, stride: int, at_us: int) -> None:
            raise RuntimeError("no ink")

        def failed(self, why: str) -> None:
            told.append(why)

    rig = open_rig(Broken())
    taken = Recorded(rig)
    rig.camera.start(taken.sink)
    rig.run(0.5)
    assert _event_loop(rig).is_alive()
    rig.camera.stop()
    assert len(taken.frames) > 5
    assert told == ["the camera's pictures can't be written to: no ink"]


def test_hazard_3_a_stop_that_hangs_is_told_within_its_limit_and_nothing_comes_after(
    open_rig: OpenRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pi_camera, "STOP_LIMIT_S", 0.5)
    rig = RealRig(None)
    taken = Recorded(rig)
    rig.camera.start(taken.sink)
    rig.run(0.5)
    session: Any = rig.camera._session
    simcam.FAULTS.hang()
    with pytest.raises(HardwareHung, match=r"does not let go: camera-stop has not come back within 0\.5 s"):
        rig.camera.stop()
    count = len(taken.frames)
    rig.run(0.3)
    session.output.outputframe(b"what the encoder still held", True, 1_000_000)
    assert len(taken.frames) == count
    rig.camera.stop()
    with pytest.raises(HardwareHung, match="start it in a new one"):
        rig.camera.start(taken.sink)
    simcam.FAULTS.let_go()
    _until(lambda: not session._camera.is_open)


def test_hazard_3_a_start_that_hangs_is_told_within_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pi_camera, "START_LIMIT_S", 0.3)
    rig = RealRig(None)
    may_go, gone = Latch(), Latch()

    def hang() -> str:
        may_go.wait(10)
        gone.set()
        return "libav"

    monkeypatch.setattr(pi_camera, "encoder_kind", hang)
    with pytest.raises(HardwareHung, match=r"does not start: camera-start has not come back within 0\.3 s"):
        rig.camera.start(Recorded(rig).sink)
    may_go.set()
    assert gone.wait(10)
    _until(lambda: "camera-start" not in {thread.name for thread in threading.enumerate()})


def test_hazard_4_no_output_of_ours_muxes_and_a_frame_that_is_none_stops_nothing(open_rig: OpenRig) -> None:
    rig = open_rig(None)
    taken = Recorded(rig)
    rig.camera.start(taken.sink)
    output = _session(rig).output
    assert not isinstance(output, PyavOutput)
    rig.run(0.3)
    output.outputframe(None, True, None)
    count = len(taken.frames)
    rig.run(0.4)
    rig.camera.stop()
    assert len(taken.frames) > count
    assert type(_session_parts(output)).__name__ == "EncoderSink"


def test_hazard_5_each_start_has_an_encoder_and_an_output_of_its_own_and_the_ring_keeps_what_it_held(
    open_rig: OpenRig,
) -> None:
    rig = open_rig(None)
    taken = Recorded(rig)
    rig.camera.start(taken.sink)
    first = _session(rig)
    rig.run(0.5)
    rig.camera.stop()
    held = [frame.data for frame in taken.frames]
    rig.camera.start(taken.sink)
    second = _session(rig)
    rig.run(0.5)
    rig.camera.stop()
    assert (first.output is second.output, first.encoder is second.encoder) == (False, False)
    assert [frame.data for frame in taken.frames][: len(held)] == held
    assert len(taken.frames) > len(held)


def test_hazard_6_after_a_failed_encoder_the_next_start_has_a_new_one(
    open_rig: OpenRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = open_rig(None)
    failed: list[Any] = []

    def fail(self: Any) -> None:
        failed.append((self, self.running))
        raise OSError(16, "Device or resource busy")

    with monkeypatch.context() as broken:
        broken.setattr(LibavEncoder, "_start", fail)
        with pytest.raises(HardwareFailed, match=r"can't be started: .*busy"):
            rig.camera.start(Recorded(rig).sink)
    assert failed[0][1], "picamera2 believes that it runs"
    assert not failed[0][0].running
    assert len(recorded(rig, 0.5).frames) > 5


def test_hazard_7_picamera2_guesses_where_this_asks_the_kernel() -> None:
    """Here no /dev/video* is seen: picamera2 takes this machine for a board with the hardware encoder."""
    assert get_platform() == Platform.VC4
    assert encoder_kind() == "libav"


# -- what else makes a start fail -----------------------------------------------------------------------------------------


def test_a_camera_that_another_process_has_is_told_and_may_be_tried_again(open_rig: OpenRig) -> None:
    rig = open_rig(None)
    simcam.FAULTS.busy = True
    with pytest.raises(HardwareFailed, match="can't be started"):
        rig.camera.start(Recorded(rig).sink)
    simcam.FAULTS.busy = False
    assert len(recorded(rig, 0.5).frames) > 5


def test_no_camera_is_told(open_rig: OpenRig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("picamera2.Picamera2.global_camera_info", list)
    rig = open_rig(None)
    with pytest.raises(HardwareFailed, match="no camera is found: check its cable"):
        rig.camera.start(Recorded(rig).sink)


def test_a_size_that_the_camera_does_not_give_is_told() -> None:
    rig = RealRig(None, Camera(width=500, height=300, rate_hz=RATE_HZ))
    with pytest.raises(HardwareFailed, match=r"gives \d+x\d+ \w+, not 500x300 YUV420: change camera\.width"):
        rig.camera.start(Recorded(rig).sink)


def test_a_picture_that_was_missed_is_a_jump_in_time(open_rig: OpenRig) -> None:
    rig = open_rig(None)
    taken = Recorded(rig)
    rig.camera.start(taken.sink)
    rig.run(0.5)
    simcam.FAULTS.missed = 10
    rig.run(0.9)
    rig.camera.stop()
    times = [frame.at_us for frame in taken.frames]
    assert max(b - a for a, b in pairwise(times)) > 8 * 1_000_000 // RATE_HZ


# -- the hardware encoder, without its hardware: picamera2's own class, and what it would ask of the device -------------------


def test_the_hardware_encoder_is_set_up_for_a_keyframe_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(V4L2Encoder, "_start", lambda self: None)
    encoder = V4l2Encoder(Load(25, 6_000_000))
    encoder.width, encoder.height = 1920, 1080
    encoder._start()
    h264_profile, high, i_period, repeat_headers = 0x990A6B, 4, 0x990A66, 0x9909E2
    assert encoder._controls == [(h264_profile, high), (i_period, 25), (repeat_headers, 1)]
    assert encoder.bitrate == 6_000_000


def test_the_hardware_encoder_is_asked_for_bitrate_and_period_at_the_next_keyframe(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[tuple[int, int, int]] = []
    monkeypatch.setattr(fcntl, "ioctl", lambda fd, request, it: asked.append((request & 0xFFFFFFFF, it.id, it.value)))
    monkeypatch.setattr(V4L2Encoder, "_encode", lambda self, stream, request: None)
    encoder = V4l2Encoder(Load(30, 8_000_000))
    encoder.gop.aim(Load(15, 2_000_000))
    encoder._encode("main", None)
    assert asked == []
    encoder.outputframe(b"", True, 1_000_000)
    encoder._encode("main", None)
    encoder._encode("main", None)
    s_ctrl, bitrate, i_period = 0xC008561C, 0x9909CF, 0x990A66
    assert asked == [(s_ctrl, bitrate, 2_000_000), (s_ctrl, i_period, 15)]
    assert encoder.gop.load == Load(15, 2_000_000)


def test_a_control_that_the_hardware_encoder_refuses_costs_the_control_and_no_picture(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(fd: object, request: int, control: object) -> None:
        raise OSError(22, "Invalid argument")

    encoded: list[str] = []
    monkeypatch.setattr(fcntl, "ioctl", refuse)
    monkeypatch.setattr(V4L2Encoder, "_encode", lambda self, stream, request: encoded.append(stream))
    encoder = V4l2Encoder(Load(30, 8_000_000))
    encoder.gop.aim(Load(15, 2_000_000))
    encoder.outputframe(b"", True, 0)
    encoder._encode("main", None)
    assert encoded == ["main"]


def _raise(*given: object, **named: object) -> None:
    raise RuntimeError("no room")


def _session(rig: Any) -> Any:
    return rig.camera._session


def _session_parts(output: Any) -> Any:
    return output._sink


def _event_loop(rig: Any) -> threading.Thread:
    thread: threading.Thread = _session(rig)._camera._preview.thread
    return thread


def _until(done: Any) -> None:
    never = Latch()
    for _ in range(100):
        if done():
            return
        never.wait(0.1)
    raise AssertionError("it did not come")

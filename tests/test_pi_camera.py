"""What can be shown of the Pi's camera without picamera2: the choice of the encoder, the dating of pictures, GOPs, the cap on
exposure, and what a start says where there is no camera stack. The rest is the camera's lane.
"""

import importlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest

from device.clock import BootClock, Latch, suspended_us, within
from device.errors import HardwareFailed
from device.hardware import Load
from device.media.frames import CaptureFlags
from device.media.luma import shrunk
from device.media.ring import Ring
from device.media.sink import EncoderSink
from device.pi import machine
from device.pi.camera import PiCamera
from device.pi.dating import Dating
from device.pi.exposure import capped
from device.pi.gop import Gop
from device.pi.machine import encoder_kind
from device.tables import Camera
from hw_sim.clock import VirtualClock

START_US = 5_000_000
PERIOD_US = 33_333


# -- each picture, on picamera2's thread ------------------------------------------------------------------------------


class Written:
    """A stamp that can't be burned."""

    def __init__(self) -> None:
        self.burned = 0
        self.told: list[str] = []

    def burn(self, luma: memoryview, stride: int, at_us: int) -> None:
        self.burned += 1
        raise ValueError("the plane is gone")

    def failed(self, why: str) -> None:
        self.told.append(why)


def session_of(monkeypatch: pytest.MonkeyPatch, stamp: Written) -> Any:
    """A `Session` in the midst of a run, of a picamera2 that is nothing but names."""
    names = [
        "libcamera", "picamera2", "picamera2.outputs", "picamera2.request", "picamera2.encoders",
        "picamera2.encoders.h264_encoder", "picamera2.encoders.libav_h264_encoder", "videodev2",
    ]  # fmt: skip
    for name in names:
        monkeypatch.setitem(sys.modules, name, MagicMock(Output=object, H264Encoder=object, LibavH264Encoder=object))
    for ours in ("device.pi.session", "device.pi.encoders"):
        monkeypatch.delitem(sys.modules, ours, raising=False)
    module = importlib.import_module("device.pi.session")
    for ours in ("device.pi.session", "device.pi.encoders"):
        monkeypatch.delitem(sys.modules, ours)
    settings = Camera(width=640, height=360, rate_hz=30)
    picture = MagicMock()
    picture.__enter__.return_value.array.data = memoryview(bytearray(640 * 360))
    monkeypatch.setattr(module, "MappedArray", lambda *_args, **_named: picture)
    session = module.Session.__new__(module.Session)
    session.sample = None
    session._sees = True
    session._settings = settings
    session._stamp = stamp
    session._stride = 640
    session._rate_hz = 30
    session._dating = MagicMock()
    session._dating.of_sensor.return_value = START_US
    session.encoder = MagicMock()
    session.encoder.gop.load.rate_hz = 30
    session.encoder.gop.slowest_hz = 30
    session._camera = MagicMock()
    return session


def test_a_stamp_that_fails_is_told_once_and_pictures_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    stamp = Written()
    session = session_of(monkeypatch, stamp)
    for _ in range(3):
        session._before_encoding(MagicMock())
    assert (stamp.burned, stamp.told) == (1, ["the camera's pictures can't be written to: the plane is gone"])


def test_a_rate_that_is_refused_costs_no_stamp(monkeypatch: pytest.MonkeyPatch) -> None:
    stamp = Written()
    monkeypatch.setattr(stamp, "burn", lambda *_: None)
    session = session_of(monkeypatch, stamp)
    session.encoder.gop.load.rate_hz = 15
    session._camera.set_controls.side_effect = RuntimeError("no such control")
    for _ in range(3):
        session._before_encoding(MagicMock())
    assert session._camera.set_controls.call_count == 1
    assert (session._sees, stamp.told) == (True, [])


# -- which encoder ----------------------------------------------------------------------------------------------------


def board(root: Path, *, model: str = "", codec: str = "", node: bool = False) -> Path:
    """What the kernel of a board says, under a folder."""
    for path, text in ((machine.MODEL, f"{model}\0" if model else ""), (machine.CODEC_SYSFS, f"{codec}\n")):
        if text.strip():
            (root / path).parent.mkdir(parents=True)
            (root / path).write_text(text)
    if node:
        (root / "dev").mkdir()
        (root / machine.CODEC_NODE).touch()
    return root


@pytest.mark.parametrize("model", ["Raspberry Pi Zero 2 W Rev 1.0", "Raspberry Pi 4 Model B Rev 1.4"])
def test_a_board_with_the_codec_uses_it(tmp_path: Path, model: str) -> None:
    assert encoder_kind(board(tmp_path, model=model, codec="bcm2835-codec-encode", node=True)) == "v4l2"


@pytest.mark.parametrize(
    "model", ["Raspberry Pi 5 Model B Rev 1.0", "Raspberry Pi 500 Rev 1.0", "Compute Module 5", ""]
)
def test_a_board_without_the_codec_uses_libx264(tmp_path: Path, model: str) -> None:
    assert encoder_kind(board(tmp_path, model=model)) == "libav"


def test_another_device_with_the_codecs_number_is_not_the_codec(tmp_path: Path) -> None:
    pi_5 = board(tmp_path, model="Raspberry Pi 5 Model B Rev 1.0", codec="pispbe-output0", node=True)
    assert encoder_kind(pi_5) == "libav"


def test_hazard_7_a_sandbox_that_hides_the_codec_is_told_and_never_taken_for_another_board(tmp_path: Path) -> None:
    hidden = board(tmp_path, model="Raspberry Pi Zero 2 W Rev 1.0", codec="bcm2835-codec-encode", node=False)
    with pytest.raises(HardwareFailed, match=r"bcm2835-codec-encode, and /dev/video11 can't be opened"):
        encoder_kind(hidden)


@pytest.mark.parametrize(
    "model", ["Raspberry Pi Zero 2 W Rev 1.0", "Raspberry Pi 400 Rev 1.0", "Raspberry Pi 3 Model B+"]
)
def test_a_board_that_should_have_the_codec_and_has_not_is_told(tmp_path: Path, model: str) -> None:
    with pytest.raises(HardwareFailed, match=r"load the module bcm2835-codec"):
        encoder_kind(board(tmp_path, model=model))


# -- when a picture was taken -----------------------------------------------------------------------------------------


def dating(slept_us: int = 0) -> tuple[VirtualClock, Dating]:
    clock = VirtualClock("boot", START_US)
    return clock, Dating(clock, PERIOD_US, lambda: slept_us)


def test_frames_are_dated_from_the_first_ones_sensor_time() -> None:
    clock, dates = dating()
    assert dates.zero_us == START_US
    clock.move_to(START_US + 400_000)
    assert dates.of_frame(0, START_US + 300_000) == START_US + 300_000
    assert dates.of_frame(33_000, START_US + 300_000) == START_US + 333_000
    assert (dates.zero_us, dates.mended) == (START_US + 300_000, 0)


@pytest.mark.parametrize("stamped_us", [START_US + 300_000, START_US + 300_000 - 7_000_000], ids=["boot", "monotonic"])
def test_a_sensor_may_stamp_with_either_clock_of_a_machine_that_slept(stamped_us: int) -> None:
    clock, dates = dating(slept_us=7_000_000)
    clock.move_to(START_US + 400_000)
    assert dates.of_sensor(stamped_us) == START_US + 300_000


def test_a_far_future_frame_is_bounded_and_the_ring_takes_those_after_it() -> None:
    clock, dates = dating()
    ring = Ring(60_000_000, 1 << 20, CaptureFlags(zone="street"), lambda: None)
    sink = EncoderSink(ring, lambda: dates.zero_us)
    first_us = START_US + 10_000
    for index, timestamp_us in enumerate([0, 33_000, 1 << 50, 99_000, 132_000]):
        clock.move_to(first_us + index * 33_000 + 20_000)
        at_us = dates.of_frame(timestamp_us, first_us)
        sink.outputframe(b"\x00\x00\x00\x01\x65picture", index == 0, at_us - dates.zero_us)
    assert dates.mended == 1
    assert ring.refused_frames == 0
    assert ring.newest_video_us == first_us + 132_000


def test_a_frame_from_before_the_start_is_put_after_the_one_before() -> None:
    clock, dates = dating()
    clock.move_to(START_US + 200_000)
    assert dates.of_frame(0, START_US + 100_000) == START_US + 100_000
    assert dates.of_frame(-5_000_000, START_US + 100_000) == START_US + 100_000 + PERIOD_US
    assert dates.mended == 1


@pytest.mark.parametrize("first_sensor_us", [1 << 55, 0, -1], ids=["far future", "zero", "negative"])
def test_a_first_sensor_time_out_of_the_run_is_bounded_by_it(first_sensor_us: int) -> None:
    clock, dates = dating()
    clock.move_to(START_US + 200_000)
    assert START_US <= dates.of_frame(0, first_sensor_us) <= clock.now_us()
    assert dates.zero_us == dates.of_frame(0, first_sensor_us)


def test_how_long_this_machine_slept_is_never_negative() -> None:
    assert suspended_us() >= 0


# -- groups of pictures -----------------------------------------------------------------------------------------------


def keyframes(gop: Gop, times: list[int]) -> list[int]:
    return [index for index, at_us in enumerate(times) if gop.begins(at_us, asked=False)]


def test_a_group_is_a_second_to_the_nearest_picture_whatever_the_rate() -> None:
    assert keyframes(Gop(Load(30, 1)), [n * 33_332 for n in range(91)]) == [0, 30, 60, 90]
    assert keyframes(Gop(Load(30, 1)), [n * 33_367 for n in range(91)]) == [0, 30, 60, 90]
    assert keyframes(Gop(Load(7, 1)), [n * 142_857 for n in range(22)]) == [0, 7, 14, 21]


def test_a_group_is_a_second_though_pictures_are_missing() -> None:
    assert keyframes(Gop(Load(30, 1)), [n * 33_333 for n in range(0, 91, 2)]) == [0, 15, 30, 45]


def test_a_time_that_goes_back_begins_a_group() -> None:
    assert keyframes(Gop(Load(30, 1)), [0, 33_333, -5]) == [0, 2]


def test_a_load_is_in_force_from_the_keyframe_on() -> None:
    gop = Gop(Load(30, 8))
    assert gop.begins(0, asked=False)
    gop.aim(Load(15, 4))
    assert not gop.begins(500_000, asked=False)
    assert gop.load == Load(30, 8)
    assert gop.begins(600_000, asked=True)
    assert gop.load == Load(15, 4)


def test_while_the_rate_rises_pictures_may_come_at_the_old_one_until_the_next_keyframe() -> None:
    gop = Gop(Load(15, 4))
    gop.aim(Load(30, 8))
    assert gop.begins(0, asked=False)
    assert (gop.load.rate_hz, gop.slowest_hz) == (30, 15)
    assert gop.begins(1_000_000, asked=False)
    assert gop.slowest_hz == 30


def test_an_encoder_that_counts_is_told_after_a_keyframe_and_once() -> None:
    gop = Gop(Load(30, 8))
    gop.came(0)
    gop.aim(Load(15, 4))
    assert gop.take_new() is None
    gop.came(1_000_000)
    assert gop.take_new() == Load(15, 4)
    assert gop.take_new() is None


def test_a_keyframe_that_is_overdue_is_asked_for_once_in_so_long() -> None:
    gop = Gop(Load(30, 8))
    gop.came(1_000_000)
    asked = [at_us for at_us in range(1_000_000, 5_000_000, 100_000) if gop.overdue(at_us)]
    assert asked == [2_700_000, 4_400_000]


# -- exposure ---------------------------------------------------------------------------------------------------------


def test_exposure_is_capped_in_both_forms_of_a_tuning_and_nothing_else_is_changed() -> None:
    def tables(most_us: int) -> dict[str, object]:
        return {"speed": 0.2, "exposure_modes": {"short": {"shutter": [100, min(60_000, most_us)], "gain": [1.0, 8.0]}}}

    def tuning(most_us: int) -> dict[str, object]:
        flat, channels = {"rpi.agc": tables(most_us)}, {"rpi.agc": {"channels": [tables(most_us)], "base": 1}}
        return {"version": 2.0, "algorithms": [{"rpi.noise": {"slope": 3}}, flat, channels]}

    before = tuning(60_000)
    assert capped(before, 20_000) == tuning(20_000)
    assert before == tuning(60_000)
    assert capped({"version": 2.0}, 20_000) == {"version": 2.0, "algorithms": []}


# -- a small picture --------------------------------------------------------------------------------------------------


def test_a_small_picture_is_of_means_without_the_padding() -> None:
    width, height, stride = 320, 4, 384
    rows = [bytes([10 * row, 10 * row + 4] * 160) for row in range(height)]
    padded = (b"\xff" * (stride - width)).join(rows)
    assert shrunk(memoryview(padded), stride, width, height) == (160, 2, bytes([7] * 160 + [27] * 160))


@pytest.mark.parametrize(
    ("size", "small"), [((1920, 1080), (160, 90)), ((160, 90), (160, 90)), ((1366, 768), (151, 85))]
)
def test_a_small_picture_is_at_most_so_wide(size: tuple[int, int], small: tuple[int, int]) -> None:
    width, height = size
    given = shrunk(memoryview(bytes(width * height)), width, width, height)
    assert (given[0], given[1], len(given[2])) == (*small, small[0] * small[1])


# -- a start without the stack ----------------------------------------------------------------------------------------


def test_a_machine_without_picamera2_is_told_and_may_be_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "device.pi.session", None)
    camera = PiCamera(Camera(), None, BootClock())
    ring = Ring(1_000_000, 1 << 20, CaptureFlags(zone="street"), lambda: None)
    for _ in range(2):
        with pytest.raises(HardwareFailed, match=r"picamera2 can't be used: .*; install python3-picamera2"):
            camera.start(EncoderSink(ring, camera.first_timestamp_us))
    camera.force_keyframe()
    camera.set_load(Load(15, 1_000_000))
    assert camera.sampled() is None
    camera.stop()


class StubbedStack:
    """In place of every module of the camera stack: whatever is asked of it is a class of its own."""

    def __getattr__(self, name: str) -> type:
        return type(name, (), {})


class LostCamera:
    """picamera2 with a camera that was pulled out: what it is told is in `told`, and a part of it fails."""

    def __init__(self, failing: str) -> None:
        self.told: list[str] = []
        self._failing = failing

    def __getattr__(self, name: str) -> Callable[[], None]:
        def told() -> None:
            self.told.append(name)
            if name == self._failing:
                raise OSError(19, "No such device")

        return told


@pytest.mark.parametrize("failing", ["stop", "stop_encoder", "close"])
def test_what_fails_at_a_stop_keeps_neither_camera_nor_codec(monkeypatch: pytest.MonkeyPatch, failing: str) -> None:
    for module in ("libcamera", "picamera2", "picamera2.outputs", "picamera2.request", "picamera2.encoders",
                   "picamera2.encoders.h264_encoder", "picamera2.encoders.libav_h264_encoder", "videodev2"):  # fmt: skip
        monkeypatch.setitem(sys.modules, module, StubbedStack())
    for module in ("device.pi.session", "device.pi.encoders"):
        monkeypatch.setitem(sys.modules, module, None)  # so that it is forgotten at the end
        del sys.modules[module]
    session = object.__new__(importlib.import_module("device.pi.session").Session)
    lost = LostCamera(failing)
    session._camera = session.encoder = lost
    with pytest.raises(OSError, match="No such device"):
        session.close()
    assert lost.told == ["stop", "stop_encoder", "close", "abandon"]


def test_the_pis_camera_is_lean_until_it_is_started() -> None:
    program = (
        "import sys, device.pi.camera; print(*({'picamera2', 'libcamera', 'numpy', 'av', 'cv2'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


# -- work that may hang -------------------------------------------------------------------------------------------------


def test_work_within_a_limit_gives_what_it_gives_or_raises_what_it_raises() -> None:
    assert within(10, "sum", lambda: 1 + 1) == 2
    with pytest.raises(HardwareFailed, match="no camera"):
        within(10, "start", _fail)


def test_work_that_hangs_is_left_to_itself() -> None:
    may_go, gone = Latch(), Latch()

    def hang() -> None:
        may_go.wait(30)
        gone.set()

    with pytest.raises(TimeoutError, match=r"stop has not come back within 0\.05 s"):
        within(0.05, "stop", hang)
    may_go.set()
    assert gone.wait(10)


def _fail() -> None:
    raise HardwareFailed("no camera")

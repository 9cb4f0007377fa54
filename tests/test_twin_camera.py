"""The twin's camera, run in virtual time through the device's own sink into its ring."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from device.clock import BootClock, Latch, Runner
from device.errors import HardwareFailed, HardwareHung, UsageError
from device.media.frames import CaptureFlags, Frame, ParameterSets, parameter_sets
from device.media.ring import Ring
from device.media.sink import EncodedPacket, EncoderSink
from hw_sim import pattern
from hw_sim.camera import MOST_FRAMES_BEHIND, PreEncodedCamera, TwinCamera
from hw_sim.clock import Scheduler, VirtualClock
from hw_sim.encoder_runs import ENCODER_QUEUE_FRAMES, Behaviour
from hw_sim.encoders import EncodedFrame, encode_clip
from hw_sim.scenes import DrawnScene, FlatScene, Scene, VideoScene, flash_seen, flashes

WIDTH, HEIGHT, RATE_HZ = 160, 90, 30
FOOTAGE = Path(__file__).resolve().parents[2] / "shared" / "footage" / "pedestrians.avi"
BEHAVIOURS: list[Behaviour] = ["v4l2", "libav"]


def instant_us(index: int) -> int:
    return round(index * 1_000_000 / RATE_HZ)


class Bench:
    """A camera, a ring big enough for everything, and virtual time."""

    def __init__(self, behaviour: Behaviour = "v4l2", scene: Scene | None = None) -> None:
        self.clock = VirtualClock("test-boot")
        self.ring = Ring(600_000_000, 1 << 28, CaptureFlags(zone="street"), lambda: None)
        self.claim = self.ring.claim(0, 0)
        self.camera = TwinCamera(
            self.clock,
            width=WIDTH,
            height=HEIGHT,
            rate_hz=RATE_HZ,
            bitrate_bps=150_000,
            scene=scene or FlatScene(WIDTH, HEIGHT),
            behaviour=behaviour,
        )
        self.sink = EncoderSink(self.ring, self.camera.first_timestamp_us)
        self.scheduler = Scheduler(self.clock, self.camera.parts)
        self.zero_us = self.clock.now_us()

    def start(self) -> "Bench":
        self.camera.start(self.sink)
        return self

    def run(self, until_frame: float) -> "Bench":
        """Up to just before the capture of frame `until_frame`, counted from the bench's beginning."""
        self.scheduler.run_until(self.zero_us + int(until_frame * 1_000_000 / RATE_HZ) - 1)
        return self

    @property
    def frames(self) -> list[Frame]:
        return [frame for _, frames in self.ring.gops(self.claim, 0) for frame in frames]

    @property
    def sets(self) -> list[ParameterSets | None]:
        return [sets for sets, _ in self.ring.gops(self.claim, 0)]

    @property
    def times(self) -> list[int]:
        return [frame.at_us - self.zero_us for frame in self.frames]

    @property
    def numbers(self) -> list[int | None]:
        return numbers_in([frame.data for frame in self.frames])

    @property
    def keyframes(self) -> list[int]:
        return [index for index, frame in enumerate(self.frames) if frame.keyframe]


def pictures_in(access_units: list[bytes]) -> list[pattern.Picture]:
    """The luma of every picture. One that doesn't decode, or decodes with damage, fails the test."""
    decoder = av.CodecContext.create("h264", "r", None)
    decoder.options = {"err_detect": "explode"}
    decoded = [picture for data in access_units for picture in decoder.decode(av.Packet(data))]
    decoded += decoder.decode(None)
    assert len(decoded) == len(access_units)
    assert not any(picture.is_corrupt for picture in decoded)
    return [np.asarray(picture.to_ndarray(), np.uint8)[: picture.height] for picture in decoded]


def numbers_in(access_units: list[bytes]) -> list[int | None]:
    return [pattern.read(luma) for luma in pictures_in(access_units)]


def nal_kinds(access_unit: bytes) -> list[int]:
    return [piece[0] & 0x1F for piece in access_unit.split(b"\x00\x00\x01")[1:]]


# -- what comes, and when -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
def test_every_instant_comes_once_at_its_time_with_its_number(behaviour: Behaviour) -> None:
    bench = Bench(behaviour).start().run(95)
    assert bench.numbers == list(range(95))
    assert bench.times == [instant_us(index) for index in range(95)]
    assert bench.sink.unusable == 0
    assert bench.ring.refused_frames == 0


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
def test_a_keyframe_each_second_with_its_parameter_sets(behaviour: Behaviour) -> None:
    bench = Bench(behaviour).start().run(95)
    assert bench.keyframes == [0, 30, 60, 90]
    assert None not in bench.sets
    assert len(set(map(bytes, (sets.annex_b() for sets in bench.sets if sets)))) == 1
    for frame in bench.frames:
        kinds = nal_kinds(frame.data)
        assert frame.data.startswith(b"\x00\x00\x00\x01")
        assert ([kind for kind in kinds if kind != 6] == [7, 8, 5]) if frame.keyframe else (kinds == [1])


def test_there_are_no_b_frames() -> None:
    bench = Bench("libav")
    seen: list[av.Packet] = []  # type: ignore[type-arg]
    bench.camera.start(Listener(lambda _, packet: seen.append(packet)))
    bench.run(70)
    assert [packet.pts for packet in seen] == [instant_us(index) for index in range(70)]
    assert [packet.dts for packet in seen] == [packet.pts for packet in seen]
    decoder = av.CodecContext.create("h264", "r")
    kinds = [picture.pict_type for packet in seen for picture in decoder.decode(av.Packet(bytes(packet)))]
    assert av.video.frame.PictureType.B not in kinds


def test_the_same_run_twice_gives_the_same_bytes() -> None:
    once, again = (Bench(behaviour).start().run(40).frames for behaviour in BEHAVIOURS)
    assert [frame.data for frame in once] == [frame.data for frame in again]


class Listener:
    """A sink that hands on exactly what it is given."""

    def __init__(self, take: Callable[..., object]) -> None:
        self._take = take

    def outputframe(
        self,
        frame: bytes | memoryview | None,
        keyframe: bool = True,
        timestamp: int | None = None,
        packet: EncodedPacket | None = None,
        audio: bool = False,
    ) -> None:
        assert isinstance(timestamp, int)
        assert not audio
        self._take(frame, packet)


def test_v4l2_lends_a_buffer_that_is_used_again() -> None:
    """What a sink keeps without copying is destroyed, so that a missing copy can't pass a test."""
    bench = Bench("v4l2")
    lent: list[memoryview] = []
    copied: list[bytes] = []

    def take(frame: memoryview, packet: object) -> None:
        assert packet is None
        lent.append(frame)
        copied.append(bytes(frame))

    bench.camera.start(Listener(take))
    bench.run(10)
    assert len(lent) == 10
    assert all(bytes(view) != copy for view, copy in zip(lent, copied, strict=True))
    assert numbers_in(copied) == list(range(10))


def test_libav_gives_bytes_and_the_packet() -> None:
    bench = Bench("libav")
    given: list[tuple[bytes, av.Packet]] = []  # type: ignore[type-arg]
    bench.camera.start(Listener(lambda frame, packet: given.append((frame, packet))))
    bench.run(31)
    assert all(type(frame) is bytes and bytes(packet) == frame for frame, packet in given)
    assert [index for index, (_, packet) in enumerate(given) if packet.is_keyframe] == [0, 30]


def test_the_parts_and_their_names() -> None:
    assert [part.name for part, _ in Bench("v4l2").camera.parts] == ["camera", "encoder"]
    assert [part.name for part, _ in Bench("libav").camera.parts] == ["camera"]


# -- faults -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
def test_a_drop_is_a_jump_in_time_and_in_number(behaviour: Behaviour) -> None:
    bench = Bench(behaviour).start().run(40)
    bench.camera.drop(7)
    bench.run(80)
    came = [*range(40), *range(47, 80)]
    assert bench.numbers == came
    assert bench.times == [instant_us(index) for index in came]
    assert [frame.number for frame in bench.frames] == list(range(73))
    assert [line.split(maxsplit=1)[1] for line in bench.camera.log] == ["camera start", "camera drop 7"]


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
def test_a_stall_is_silence_until_it_resumes(behaviour: Behaviour) -> None:
    bench = Bench(behaviour).start().run(20)
    bench.camera.stall()
    bench.run(50)
    assert len(bench.frames) == 20
    bench.camera.resume()
    bench.run(60)
    assert bench.numbers == [*range(20), *range(50, 60)]
    assert bench.times[20] == instant_us(50)


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
def test_a_restart_counts_time_anew_and_begins_with_a_keyframe(behaviour: Behaviour) -> None:
    bench = Bench(behaviour).start().run(40.5)
    timestamps: list[int] = []
    deliver = bench.sink.outputframe

    def note(frame: object, keyframe: bool, timestamp: int, **rest: object) -> None:
        timestamps.append(timestamp)
        deliver(frame, keyframe, timestamp, **rest)  # type: ignore[arg-type]

    bench.sink.outputframe = note  # type: ignore[assignment,method-assign]
    bench.camera.restart()
    assert bench.camera.first_timestamp_us() == bench.zero_us + instant_us(41)
    bench.run(80)
    assert timestamps[:3] == [0, 33333, 66667]
    assert bench.numbers == list(range(80))
    assert bench.keyframes == [0, 30, 41, 71]
    assert all(abs(at - instant_us(index)) <= 1 for index, at in enumerate(bench.times))


def test_a_restart_at_an_instant_that_was_captured_begins_at_the_next() -> None:
    bench = Bench().start()
    bench.scheduler.run_until(bench.zero_us + instant_us(40))
    bench.camera.restart()
    bench.run(50)
    assert bench.numbers == list(range(50))
    assert bench.times[41] == instant_us(41)


@pytest.mark.parametrize("change", [{"width": 320, "height": 180}, {"profile": "main"}], ids=["size", "profile"])
def test_a_restart_may_change_the_parameter_sets(change: dict[str, object]) -> None:
    bench = Bench().start().run(35)
    bench.camera.restart(**change)  # type: ignore[arg-type]
    bench.run(70)
    before, after = bench.sets[0], bench.sets[-1]
    assert before
    assert after
    assert before.sps != after.sps
    cut = bench.keyframes[2]
    assert cut == 35
    assert numbers_in([frame.data for frame in bench.frames[cut:]]) == list(range(35, 70))
    if "width" in change:
        assert pictures_in([bench.frames[cut].data])[0].shape == (180, 320)


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
def test_a_forced_keyframe_comes_next_and_the_cadence_goes_on_from_it(behaviour: Behaviour) -> None:
    bench = Bench(behaviour).start().run(45)
    bench.camera.force_keyframe()
    bench.run(110)
    assert bench.keyframes == [0, 30, 45, 75, 105]
    assert all(parameter_sets(bench.frames[index].data) for index in bench.keyframes)
    assert nal_kinds(bench.frames[45].data) == [7, 8, 5]
    # Nobody needs what came before it.
    assert numbers_in([frame.data for frame in bench.frames[45:]]) == list(range(45, 110))


def test_a_stopped_camera_is_silent_and_goes_on_at_its_instants() -> None:
    bench = Bench().start().run(10)
    bench.camera.stop()
    bench.camera.stop()
    bench.run(20.4)
    assert len(bench.frames) == 10
    bench.camera.start(bench.sink)
    assert bench.camera.first_timestamp_us() == bench.zero_us + instant_us(21)
    bench.run(30)
    assert bench.numbers == [*range(10), *range(21, 30)]
    assert bench.keyframes == [0, 10]


def test_a_stopped_camera_that_is_restarted_stays_stopped_and_changes() -> None:
    bench = Bench()
    bench.camera.restart(width=320, height=180)
    assert bench.run(5).frames == []
    bench.camera.start(bench.sink)
    bench.run(10)
    assert pictures_in([bench.frames[0].data])[0].shape == (180, 320)


def test_a_stop_keeps_a_picture_that_waits_for_the_encoder() -> None:
    bench = Bench()
    bench.camera.start(bench.sink)
    (camera, _), (encoder, _) = bench.camera.parts
    camera.run_once(bench.zero_us)
    bench.camera.stop()
    encoder.run_once(bench.zero_us)
    assert bench.frames == []


def test_a_late_camera_part_skips_what_it_could_not_make() -> None:
    bench = Bench("libav")
    bench.camera.start(bench.sink)
    part = bench.camera.parts[0][0]
    part.run_once(bench.zero_us)
    next_us = part.run_once(bench.zero_us + instant_us(10))
    assert next_us == bench.zero_us + instant_us(11)
    assert bench.numbers == [0, *range(11 - MOST_FRAMES_BEHIND, 11)]
    assert "skipped 8 from #1" in bench.camera.log[-1]


def test_a_late_encoder_part_makes_the_camera_skip() -> None:
    bench = Bench("v4l2")
    bench.camera.start(bench.sink)
    (camera, _), (encoder, _) = bench.camera.parts
    for index in range(ENCODER_QUEUE_FRAMES + 3):
        camera.run_once(bench.zero_us + instant_us(index))
    encoder.run_once(bench.zero_us + instant_us(index))
    camera.run_once(bench.zero_us + instant_us(index + 1))
    encoder.run_once(bench.zero_us + instant_us(index + 1))
    assert bench.numbers == [*range(ENCODER_QUEUE_FRAMES), ENCODER_QUEUE_FRAMES + 3]


def test_a_zero_time_in_the_past_or_the_future() -> None:
    past, future = Bench(), Bench()
    past.camera.start(past.sink, zero_us=past.zero_us - 500_000)
    future.camera.start(future.sink, zero_us=future.zero_us + 500_000)
    assert past.run(5).numbers == [15, 16, 17, 18, 19]
    assert future.run(20).numbers == [0, 1, 2, 3, 4]
    assert future.times[0] == 500_000


def test_a_new_zero_time_numbers_anew() -> None:
    bench = Bench().start().run(10)
    bench.camera.stop()
    bench.camera.start(bench.sink, zero_us=bench.clock.now_us() + 1)
    assert bench.run(15).numbers == [*range(10), *range(5)]


# -- a clip, replayed ---------------------------------------------------------------------------------------------


def clip_of(seconds: int) -> list[EncodedFrame]:
    return encode_clip(
        seconds, width=WIDTH, height=HEIGHT, rate_hz=RATE_HZ, bitrate_bps=100_000, scene=FlatScene(WIDTH, HEIGHT)
    )


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
def test_a_clip_goes_round_and_always_decodes(behaviour: Behaviour) -> None:
    bench = Bench()
    camera = PreEncodedCamera(bench.clock, clip=clip_of(2), rate_hz=RATE_HZ, behaviour=behaviour)
    bench.scheduler = Scheduler(bench.clock, camera.parts)
    camera.start(EncoderSink(bench.ring, camera.first_timestamp_us))
    bench.run(70)
    assert bench.numbers == [*range(60), *range(10)]
    assert bench.times == [instant_us(index) for index in range(70)]
    camera.drop(3)
    bench.run(80)
    assert bench.numbers[70:] == [*range(10, 17)]
    camera.force_keyframe()
    bench.run(90)
    assert bench.numbers[77:] == [*range(30, 40)]
    camera.restart()
    bench.run(100)
    assert bench.numbers[87:] == [*range(10)]
    assert bench.keyframes == [0, 30, 60, 77, 87]
    assert bench.times[87] == instant_us(90)


def test_a_clip_may_be_changed_at_a_restart() -> None:
    bench = Bench()
    other = encode_clip(1, width=320, height=180, rate_hz=RATE_HZ, bitrate_bps=100_000, scene=FlatScene(320, 180))
    camera = PreEncodedCamera(bench.clock, clip=clip_of(1), rate_hz=RATE_HZ)
    bench.scheduler = Scheduler(bench.clock, camera.parts)
    camera.start(EncoderSink(bench.ring, camera.first_timestamp_us))
    bench.run(5)
    camera.restart(other)
    bench.run(10)
    assert [frame.data for frame in bench.frames[5:]] == [frame.data for frame in other[:5]]


def test_a_clip_is_whole_gops_at_exact_times() -> None:
    clip = clip_of(2)
    assert [frame.at_offset_us for frame in clip] == [instant_us(index) for index in range(60)]
    assert [index for index, frame in enumerate(clip) if frame.keyframe] == [0, 30]


def test_a_ready_clip_is_replayed_without_pyav_or_numpy() -> None:
    program = """
import sys
from hw_sim.camera import PreEncodedCamera
from hw_sim.encoders import EncodedFrame
from hw_sim.clock import Scheduler, VirtualClock
class Sink:
    got = 0
    def outputframe(self, frame, keyframe=True, timestamp=None, packet=None, audio=False):
        self.got += 1
clock = VirtualClock("test-boot")
camera = PreEncodedCamera(clock, clip=[EncodedFrame(b"I", 0, True), EncodedFrame(b"P", 33333, False)], rate_hz=30)
camera.start(Sink())
Scheduler(clock, camera.parts).run_until(clock.now_us() + 999_999)
print(Sink.got, camera._run.sink.got, *({"av", "cv2", "numpy"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", "30"]


# -- scenes -------------------------------------------------------------------------------------------------------


def test_the_drawn_scene_flashes_for_the_first_tenth_of_each_second() -> None:
    bench = Bench(scene=DrawnScene(WIDTH, HEIGHT, RATE_HZ)).start().run(65)
    seen = [index for index, luma in enumerate(pictures_in([f.data for f in bench.frames])) if flash_seen(luma)]
    assert seen == [0, 1, 2, 30, 31, 32, 60, 61, 62]
    assert [number for number in range(30) if flashes(number, 15)] == [0, 1, 15, 16]


@pytest.mark.parametrize("scene", [FlatScene(320, 180), DrawnScene(320, 180, 30)], ids=["flat", "drawn"])
def test_a_scene_moves_is_repeatable_and_gives_its_pictures_away(scene: Scene) -> None:
    first = scene.picture(10)
    assert first.shape == (270, 320)
    assert first.dtype == np.uint8
    assert np.any(first[20:180] != scene.picture(11)[20:180])
    first[:] = 0
    assert pattern.read(scene.picture(10)[:180]) == 10
    assert np.array_equal(scene.picture(10), scene.picture(10))
    assert scene.resized(640, 360).picture(0).shape == (540, 640)


@pytest.mark.shared
def test_footage_keeps_its_own_rate_and_goes_round() -> None:
    scene = VideoScene(FOOTAGE, 320, 240, RATE_HZ)
    pictures = [scene.picture(number) for number in range(60)]
    assert [pattern.read(picture[:240]) for picture in pictures] == list(range(60))
    below = [picture[20:].tobytes() for picture in pictures]
    changes = [number for number in range(1, 60) if below[number] != below[number - 1]]
    assert changes == list(range(3, 60, 3)), "10 pictures a second, shown at 30"
    assert scene.picture(0)[20:].tobytes() == below[0], "a step back begins again"
    # 795 pictures at 10 Hz last 79.5 s, which is 2385 frames of ours.
    assert scene.picture(2385)[20:].tobytes() == below[0]
    assert scene.picture(2384)[20:].tobytes() != below[0]


@pytest.mark.shared
def test_footage_goes_through_camera_and_ring_and_a_change_of_size() -> None:
    bench = Bench(scene=VideoScene(FOOTAGE, WIDTH, HEIGHT, RATE_HZ)).start().run(40)
    bench.camera.restart(width=320, height=240)
    bench.run(75)
    data = [frame.data for frame in bench.frames]
    assert numbers_in(data[:40]) + numbers_in(data[40:]) == list(range(75))


def test_a_missing_file_says_which_and_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"walk\.mp4: .*No such file.*\. Name a video file"):
        VideoScene(tmp_path / "walk.mp4", WIDTH, HEIGHT, RATE_HZ)


def test_a_file_that_is_no_video_says_so(tmp_path: Path) -> None:
    file = tmp_path / "walk.mp4"
    file.write_bytes(b"this is no video " * 100)
    with pytest.raises(UsageError, match=r"walk\.mp4: .*Invalid data.*\. Name a video file"):
        VideoScene(file, WIDTH, HEIGHT, RATE_HZ)


def test_a_file_of_sound_alone_says_so(tmp_path: Path) -> None:
    file = tmp_path / "walk.wav"
    with av.open(str(file), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        silence.sample_rate = 8000
        container.mux(stream.encode(silence))
    with pytest.raises(UsageError, match="it holds no video stream"):
        VideoScene(file, WIDTH, HEIGHT, RATE_HZ)


# -- real time ----------------------------------------------------------------------------------------------------


def test_it_runs_on_threads_as_on_the_device() -> None:
    """The one test in real time: a fifth of a second of frames, delivered on the encoder's own thread."""
    clock = BootClock()
    enough, failed = Latch(), []
    camera = TwinCamera(
        clock,
        width=WIDTH,
        height=HEIGHT,
        rate_hz=100,
        bitrate_bps=100_000,
        scene=FlatScene(WIDTH, HEIGHT),
        behaviour="v4l2",
    )
    got: list[bytes] = []

    def take(frame: memoryview, packet: object) -> None:
        got.append(bytes(frame))
        if len(got) == 20:
            enough.set()

    runners = [Runner(part, wake, clock, lambda _, failure: failed.append(failure)) for part, wake in camera.parts]
    for runner in runners:
        runner.start()
    camera.start(Listener(take))
    assert enough.wait(10)
    camera.stop()
    count = len(got)
    assert all(runner.stop(5) for runner in runners)
    assert len(got) == count
    assert failed == []
    numbers = numbers_in(got)
    assert numbers == sorted(set(numbers), key=lambda number: number or 0)


# -- faults that only a start anew cures, or nothing does -------------------------------------------------------------


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
def test_a_dead_camera_is_silent_until_it_is_started_anew(behaviour: Behaviour) -> None:
    bench = Bench(behaviour).start().run(10)
    bench.camera.die()
    bench.run(20)
    assert bench.numbers == list(range(10))
    bench.camera.stop()
    bench.camera.start(bench.sink)
    bench.run(25)
    assert bench.numbers == [*range(10), *range(20, 25)], "instants went on being counted"
    assert bench.frames[10].keyframe
    assert bench.sets[1] == bench.sets[0]


def test_starts_that_fail_can_be_tried_again() -> None:
    bench = Bench()
    bench.camera.fail_starts(2)
    for _ in range(2):
        with pytest.raises(HardwareFailed, match="does not answer"):
            bench.camera.start(bench.sink)
    bench.camera.start(bench.sink)
    assert bench.run(3).numbers == [0, 1, 2]


def test_a_camera_that_hangs_is_silent_and_does_not_let_go() -> None:
    bench = Bench().start().run(3)
    bench.camera.hang()
    assert bench.run(9).numbers == [0, 1, 2]
    with pytest.raises(HardwareHung, match="does not let go"):
        bench.camera.stop()

"""A lens that sees nothing: told within five seconds, once, and never of a lens that sees."""

import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from device.evidence.records import Fault, Step
from device.hardware import Sample
from device.lens import WORDS, Lens
from device.media import looks
from device.media.frames import CaptureFlags
from device.media.looks import look_at
from device.media.luma import shrunk
from device.media.ring import Ring
from device.policy.inputs import FaultChanged, Input
from device.spared import Spared
from hw_sim.lines import play
from hw_sim.pattern import Picture
from hw_sim.scenes import DrawnScene, FlatScene, LensScene, Scene
from hw_sim.virtual import VirtualDevice
from tests.benches import journal, ledger, make_bench, recordings, verified
from tests.conftest import SHARED

WIDTH, HEIGHT = 640, 360
SECOND_US = 1_000_000
KINDS = ["covered", "dark", "blurred", "frozen"]
VIDEOS = [SHARED / "footage" / "pedestrians.avi", SHARED / "onvif" / "test_h264.mp4"]
SHARED_VIDEOS = [pytest.param(path, marks=pytest.mark.shared, id=path.stem) for path in VIDEOS]


def _pause(device: VirtualDevice) -> None:
    device.double("record")
    device.double("function")


Films = Callable[[Path], list[Picture]]
Act = Callable[[VirtualDevice], object]
UNHELD: dict[str, tuple[Act, Act]] = {
    "private zone": (lambda device: device.zone("private"), lambda device: device.zone("street")),
    "asleep": (lambda device: device.sleep(True), lambda device: device.sleep(False)),
    "paused": (_pause, lambda device: device.double("record")),
}


@pytest.fixture(scope="module")
def films() -> Films:
    """Each film is decoded once: every fifth picture, five to a half second."""
    return cache(_decoded)


def _decoded(path: Path) -> list[Picture]:
    with av.open(str(path)) as container:
        frames = [frame for number, frame in enumerate(container.decode(video=0)) if number % 5 == 0]
        return [np.asarray(f.reformat(WIDTH, HEIGHT, format="gray").to_ndarray(), np.uint8) for f in frames]


class Stand:
    """A lens in front of pictures, two a second; what it told, with the time since the last change of pictures."""

    def __init__(self, sensitivity: str = "normal") -> None:
        self.sample: Sample | None = None
        self.held = True
        self.at_us = 7_000_000
        self.told: list[tuple[str, bool, str]] = []
        self.after_us: list[int] = []
        self._changed_us = 0
        self.lens = Lens(self, sensitivity, lambda _: self.held, self._tell)

    def sampled(self) -> Sample | None:
        return self.sample

    def _tell(self, came: Input, detail: str) -> None:
        assert isinstance(came, FaultChanged)
        self.told.append((came.part, came.present, detail))
        self.after_us.append(self.at_us - self._changed_us)

    def see(self, luma: Picture) -> None:
        height, width = luma.shape
        self.sample = Sample(*shrunk(luma.reshape(-1).data, width, width, height), at_us=self.at_us)
        self.run()

    def run(self) -> None:
        assert self.lens.run_once(self.at_us) == self.at_us + 500_000
        self.at_us += 500_000

    def watch(self, scene: LensScene, looks: str, seconds: float, first: int = 0) -> int:
        """Pictures of a scene at 30 Hz, every fifteenth sampled; the number that comes next."""
        scene.looks, self._changed_us = looks, self.at_us
        for number in range(first, first + round(seconds * 30), 15):
            picture = scene.picture(number)
            self.see(picture[: picture.shape[0] * 2 // 3])
        return first + round(seconds * 30)


def scene_of(path: Path | None, films: Films) -> Scene:
    return DrawnScene(WIDTH, HEIGHT, 30) if path is None else FilmScene(films(path))


# -- what is told -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [None, *SHARED_VIDEOS])
@pytest.mark.parametrize("kind", KINDS)
def test_it_is_told_within_five_seconds_once_and_ends(path: Path | None, kind: str, films: Films) -> None:
    stand, scene = Stand(), LensScene(scene_of(path, films))
    number = stand.watch(scene, "clear", 15)
    assert stand.told == []
    number = stand.watch(scene, kind, 10, number)
    part = {"dark": "dark"}.get(kind, "lens")
    assert stand.told == [(part, True, WORDS[kind])]
    assert stand.after_us[0] <= 5_000_000
    stand.watch(scene, "clear", 10, number)
    ended = {"dark": []}.get(kind, [("lens", False, "")])
    assert stand.told[1:] == ended


@pytest.mark.parametrize("level", [16, 60, 128, 235])
@pytest.mark.parametrize("noise", [1, 5])
def test_a_uniform_picture_is_covered_whatever_its_light(level: int, noise: int) -> None:
    stand, chance = Stand(), np.random.default_rng(1)
    for _ in range(20):
        stand.see(np.clip(chance.normal(level, noise, (HEIGHT, WIDTH)), 0, 255).astype(np.uint8))
    assert stand.told == [("lens", True, WORDS["covered"])]


def test_a_picture_without_any_noise_is_covered_and_not_frozen() -> None:
    stand = Stand()
    for _ in range(20):
        stand.see(np.full((HEIGHT, WIDTH), 16, np.uint8))
    assert stand.told == [("lens", True, WORDS["covered"])]


def test_one_fault_gives_way_to_another_without_an_end_between() -> None:
    stand, scene = Stand(), LensScene(DrawnScene(WIDTH, HEIGHT, 30))
    number = stand.watch(scene, "clear", 12)
    number = stand.watch(scene, "frozen", 6, number)
    stand.watch(scene, "covered", 6, number)
    assert stand.told == [("lens", True, WORDS["frozen"]), ("lens", True, WORDS["covered"])]


# -- what is not ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", VIDEOS, ids=lambda path: path.stem)
@pytest.mark.parametrize("sensitivity", ["low", "normal", "high"])
@pytest.mark.shared
def test_real_footage_raises_no_alarm(path: Path, sensitivity: str, films: Films) -> None:
    stand, noise = Stand(sensitivity), Noise()
    for number, luma in enumerate(films(path)):
        stand.see(noise.on(luma, number))
    for number, luma in enumerate(films(path)):  # moved and turned, as on a chest: another part each time
        stand.see(noise.on(np.roll(luma, (number * 37 % 50, number * 37), axis=(0, 1)), number))
    assert stand.told == []


@pytest.mark.shared
def test_a_still_film_is_frozen_only_without_the_noise_of_a_sensor(films: Films) -> None:
    still, noise = films(VIDEOS[1])[0], Noise()
    with_noise, without = Stand(), Stand()
    for number in range(40):
        with_noise.see(noise.on(still, number))
        without.see(still)
    assert with_noise.told == []
    assert without.told == [("lens", True, WORDS["frozen"])]


def test_a_minute_of_the_drawn_street_raises_no_alarm() -> None:
    stand = Stand("high")
    stand.watch(LensScene(DrawnScene(WIDTH, HEIGHT, 30)), "clear", 60)
    assert stand.told == []


def test_the_flat_scene_raises_no_alarm_at_any_size() -> None:
    for width, height in ((160, 90), (640, 360)):
        stand = Stand("high")
        stand.watch(LensScene(FlatScene(width, height)), "clear", 30)
        assert stand.told == []


@pytest.mark.parametrize("kind", ["covered", "blurred"])
def test_what_passes_is_not_told_and_what_flickers_is_told_once(kind: str) -> None:
    stand, scene = Stand(), LensScene(DrawnScene(WIDTH, HEIGHT, 30))
    number = stand.watch(scene, "clear", 15)
    for _ in range(5):
        number = stand.watch(scene, kind, 2, number)
        number = stand.watch(scene, "clear", 2, number)
    assert stand.told == []
    number = stand.watch(scene, kind, 6, number)
    for _ in range(10):
        number = stand.watch(scene, "clear", 1, number)
        number = stand.watch(scene, kind, 1, number)
    assert len(stand.told) == 1


def test_a_night_is_told_once_however_many_lamps_there_are() -> None:
    stand, scene = Stand(), LensScene(DrawnScene(WIDTH, HEIGHT, 30))
    number = stand.watch(scene, "clear", 5)
    for _ in range(6):
        number = stand.watch(scene, "dark", 30, number)
        number = stand.watch(scene, "clear", 20, number)
    assert stand.told == [("dark", True, WORDS["dark"])]
    stand.watch(scene, "clear", 300, number)
    assert stand.told[1:] == [("dark", False, "")]


def test_the_same_sample_twice_is_no_frozen_picture() -> None:
    stand = Stand()
    stand.see(DrawnScene(WIDTH, HEIGHT, 30).picture(0)[:HEIGHT])
    for _ in range(40):
        stand.run()
    assert stand.told == []


def test_what_comes_after_a_silence_has_only_begun() -> None:
    stand, scene = Stand(), LensScene(DrawnScene(WIDTH, HEIGHT, 30))
    number = stand.watch(scene, "clear", 15)
    for _ in range(5):
        number = stand.watch(scene, "covered", 1, number)
        stand.at_us += 5_000_000
    assert stand.told == []


def test_it_does_not_look_while_nothing_may_be_held() -> None:
    stand, scene = Stand(), LensScene(DrawnScene(WIDTH, HEIGHT, 30))
    stand.held = False
    stand.watch(scene, "covered", 20)
    assert stand.told == []


# -- the numbers ----------------------------------------------------------------------------------------------------------


def test_the_numbers_are_those_that_opencv_gives() -> None:
    luma = DrawnScene(160, 90, 30).picture(7)[:90]
    ours = look_at(luma.tobytes(), 160, 90)
    edges = np.abs(cv2.Laplacian(luma, cv2.CV_16S)).astype(np.float32)
    edges[0], edges[-1], edges[:, 0], edges[:, -1] = 0, 0, 0, 0
    blocks, edged = (cv2.resize(p, (16, 9), interpolation=cv2.INTER_AREA) for p in (luma.astype(np.float32), edges))
    assert ours.level == pytest.approx(float(np.median(blocks)), abs=0.01)
    assert ours.edges == pytest.approx(float(np.percentile(edged, 75)), abs=0.01)


def test_nothing_heavy_is_imported_before_the_first_sample() -> None:
    code = "import sys, device.lens; print(sorted({'numpy', 'cv2'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"


# -- on the device --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_recording_goes_on_with_a_cue_and_one_record_that_says_which(tmp_path: Path, kind: str) -> None:
    camera = {"width": 640, "height": 360, "rate_hz": 5, "bitrate_bps": 400_000}
    bench = make_bench(tmp_path / "bench", audio=False, camera=camera)
    device = VirtualDevice(bench, scene=lambda _: DrawnScene(640, 360, 5))
    device.boot()
    device.run(13)
    device.double()
    assert play(device.hardware, f"lens {kind}") == ""
    spoiled_us = device.clock.now_us()
    device.run(6)
    state = device.daemon.control.state
    part = {"dark": "dark"}.get(kind, "lens")
    assert (state.phase.value, state.faults) == ("recording", (part,))
    device.confirmed_stop()
    device.until_idle()
    device.stop()
    in_journal = [record for record in journal(bench) if isinstance(record, Fault)]
    assert [(fault.part, fault.present, fault.detail) for fault in in_journal] == [(part, True, WORDS[kind])]
    assert in_journal[0].at_us - spoiled_us <= 5_000_000
    lines = [line.record for line in ledger(bench, recordings(bench)[0]).lines]
    in_ledger = [record for record in lines if isinstance(record, Fault)]
    assert [(fault.part, fault.present, fault.detail) for fault in in_ledger] == [(part, True, WORDS[kind])]
    steps = [record for record in journal(bench) if isinstance(record, Step)]
    cues = [c for step in steps if isinstance(step.input, FaultChanged) for c in step.decisions]
    assert [getattr(command, "cue", "") for command in cues] == [part]
    assert verified(bench).recordings[0].answers.content == "matches"


@pytest.mark.parametrize("unheld", UNHELD)
def test_e1_it_does_not_look_on_a_device_that_may_hold_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unheld: str
) -> None:
    looked: list[int] = []
    told = looks.look_at

    def look_at(grey: bytes, width: int, height: int) -> looks.Look:
        looked.append(device.clock.now_us())
        return told(grey, width, height)

    monkeypatch.setattr(looks, "look_at", look_at)
    camera = {"width": 640, "height": 360, "rate_hz": 5, "bitrate_bps": 400_000}
    device = VirtualDevice(make_bench(tmp_path / "bench", audio=False, camera=camera))
    device.boot()
    device.run(2)
    assert len(looked) == 4
    begin, end = UNHELD[unheld]
    begin(device)
    device.run(0.6)
    before = len(looked)
    spared = [part.part for part, _ in device.daemon.parts if isinstance(part, Spared)]
    lens = next(part for part in spared if isinstance(part, Lens))
    assert lens._before is None, "what it saw before is let go"
    assert play(device.hardware, "lens covered") == ""
    device.run(8)
    assert len(looked) == before
    assert list(device.daemon.control.state.faults) == []
    left_us = device.clock.now_us()
    end(device)
    device.run(8)
    assert [at_us for at_us in looked if at_us > left_us], "it looks again"
    assert list(device.daemon.control.state.faults) == ["lens"]
    device.stop()
    lenses = [record.at_us for record in journal(device.bench) if isinstance(record, Fault)]
    assert len(lenses) == 1
    assert lenses[0] >= left_us + 3_000_000, "what was seen in between counts for nothing"


def test_e1_a_picture_from_within_is_not_looked_at_from_without() -> None:
    ring = Ring(60_000_000, 1 << 20, CaptureFlags("street"), lambda: None)
    ring.set_capture(CaptureFlags("private", video=False), 2_000_000)
    assert [ring.takes_video(at_us) for at_us in (1_000_000, 3_000_000)] == [False, False], "now it may not"
    ring.set_capture(CaptureFlags("street"), 4_000_000)
    assert [ring.takes_video(at_us) for at_us in (1_000_000, 3_000_000, 5_000_000)] == [True, False, True]


class Noise:
    """What a sensor adds to a picture, another for each, of three steps' spread; an encoder takes it away."""

    def __init__(self) -> None:
        self._field = np.rint(np.random.default_rng(1).normal(0, 3, (2 * HEIGHT, WIDTH))).astype(np.int16)

    def on(self, luma: Picture, number: int) -> Picture:
        top = number * 37 % HEIGHT
        return np.asarray(np.clip(luma + self._field[top : top + HEIGHT], 0, 255), np.uint8)


class FilmScene:
    """Pictures of a film, half a second apart, as a sensor would give them."""

    def __init__(self, film: list[Picture]) -> None:
        self._film = film
        self._noise = Noise()

    def picture(self, number: int) -> Picture:
        luma = self._noise.on(self._film[number // 15 % len(self._film)], number)
        return np.concatenate((luma, np.full((HEIGHT // 2, WIDTH), 128, np.uint8)))

    def resized(self, width: int, height: int) -> "FilmScene":
        raise NotImplementedError

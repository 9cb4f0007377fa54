"""The number in the picture: it survives the encoder at any size, and is never read from what is not one."""

import subprocess
import sys

import av
import numpy as np
import pytest

from hw_sim import pattern
from hw_sim.encoders import EncodedFrame, encode_clip
from hw_sim.scenes import DrawnScene, FlatScene, NoiseScene, Scene

SIZES = [(160, 90), (320, 180), (640, 360), (854, 480), (1280, 720), (1920, 1080)]
NUMBERS = [0, 1, 255, 256, 0x555555, 0xAAAAAA, 0xFFFFFE, 0xFFFFFF]


class LaterOn:
    """A scene whose numbers begin elsewhere, so that high bits are drawn too."""

    def __init__(self, scene: Scene, by: int) -> None:
        self._scene = scene
        self._by = by

    def picture(self, number: int) -> pattern.Picture:
        return self._scene.picture(number + self._by)

    def resized(self, width: int, height: int) -> "LaterOn":
        return LaterOn(self._scene.resized(width, height), self._by)


def decoded_numbers(clip: list[EncodedFrame], height: int) -> list[int | None]:
    decoder = av.CodecContext.create("h264", "r")
    pictures = [picture for frame in clip for picture in decoder.decode(av.Packet(frame.data))]
    pictures += decoder.decode(None)
    return [pattern.read(np.asarray(picture.to_ndarray(), np.uint8)[:height]) for picture in pictures]


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("rows_per_height", [1, 1.5], ids=["luma", "I420"])
def test_a_number_is_read_back_from_any_size(width: int, height: int, rows_per_height: float) -> None:
    picture = np.full((int(height * rows_per_height), width), 77, np.uint8)
    for number in NUMBERS:
        pattern.stamp(picture, number)
        assert pattern.read(picture[:height]) == number


def test_a_number_past_the_last_begins_again() -> None:
    picture = np.zeros((90, 160), np.uint8)
    pattern.stamp(picture, pattern.NUMBERS + 5)
    assert pattern.read(picture) == 5


def test_the_stamp_stays_in_its_strip() -> None:
    picture = np.full((540, 640), 77, np.uint8)
    pattern.stamp(picture, 0xFFFFFF)
    side = pattern.block_pixels(640)
    assert np.all(picture[pattern.ROWS * side :] == 77)
    assert np.all(picture[:, pattern.COLUMNS * side :] == 77)


@pytest.mark.parametrize("level", [0, 16, 77, 128, 235, 255])
def test_a_picture_of_one_level_bears_no_number(level: int) -> None:
    assert pattern.read(np.full((180, 320), level, np.uint8)) is None


def test_a_picture_too_small_bears_no_number() -> None:
    assert pattern.read(np.zeros((90, 120), np.uint8)) is None
    assert pattern.read(np.zeros((10, 160), np.uint8)) is None


def test_one_flipped_block_is_noticed_wherever_it_is() -> None:
    for block in range(pattern.ROWS * pattern.COLUMNS):
        picture = np.zeros((90, 160), np.uint8)
        pattern.stamp(picture, 0x123456)
        row, column = divmod(block, pattern.COLUMNS)
        area = picture[row * 8 : row * 8 + 8, column * 8 : column * 8 + 8]
        area[:] = 16 if area[0, 0] > 128 else 235
        assert pattern.read(picture) is None


def test_a_block_neither_black_nor_white_is_noticed() -> None:
    picture = np.zeros((90, 160), np.uint8)
    pattern.stamp(picture, 0x123456)
    picture[:8, :8] = 128
    assert pattern.read(picture) is None


@pytest.mark.parametrize(
    ("width", "height", "bitrate_bps"),
    [(160, 90, 40_000), (320, 180, 150_000), (640, 360, 300_000), (1280, 720, 800_000), (1920, 1080, 1_500_000)],
)
@pytest.mark.parametrize("kind", ["flat", "noise", "drawn"])
def test_it_survives_a_starved_encoder(width: int, height: int, bitrate_bps: int, kind: str) -> None:
    scenes: dict[str, Scene] = {
        "flat": FlatScene(width, height),
        "noise": NoiseScene(width, height),
        "drawn": DrawnScene(width, height, 15),
    }
    first = 0x5A5A00 - 7
    clip = encode_clip(
        2, width=width, height=height, rate_hz=15, bitrate_bps=bitrate_bps, scene=LaterOn(scenes[kind], first)
    )
    assert decoded_numbers(clip, height) == list(range(first, first + 30))


def test_noise_reaches_the_bitrate_that_is_asked() -> None:
    clip = encode_clip(3, width=640, height=360, rate_hz=30, bitrate_bps=2_000_000, scene=NoiseScene(640, 360))
    assert 1_900_000 < sum(len(frame.data) for frame in clip) * 8 / 3 < 2_500_000


def test_the_modules_import_no_opencv_and_the_camera_nothing_heavy() -> None:
    program = """
import sys, hw_sim.camera
print(*sorted({"av", "cv2", "numpy"} & set(sys.modules)))
import hw_sim.pattern, hw_sim.scenes, hw_sim.microphone
hw_sim.scenes.FlatScene(160, 90).picture(0)
print(*sorted({"cv2"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "\n\n"

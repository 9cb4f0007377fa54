"""What the twin's camera looks at: one picture for each frame number.

Every picture is I420 as one uint8 array of `height * 3 // 2` rows of `width`: luma, then the two chroma planes. It is
the caller's own: no scene touches it again. Every picture bears its number (`hw_sim.pattern`). Scene time in
seconds is number / rate; the first 100 ms of each whole second flash in the drawn scene, in step with the
microphone's click. A scene is used by one thread at a time.

OpenCV is imported when a `DrawnScene` is made, not before: the other scenes need numpy alone, or PyAV.
"""

import itertools
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from device.errors import UsageError
from hw_sim import pattern
from hw_sim.pattern import Picture

if TYPE_CHECKING:
    import av

FLASH_MS = 100
"""How long the flash at the start of each whole second of scene time lasts."""

_FLASH_LUMA = 235
_DARK_LUMA = 40
_NEUTRAL_CHROMA = 128
_BLACK_LUMA = 16
_NOISE = 3
LENSES = ("covered", "dark", "blurred")
SENSORS = ("noise", "mirrored")
"""What a lens may do to a picture, beside letting none come after it."""
_RATE_OF_UNTIMED_HZ = 25


_Bgr = tuple[int, int, int]


class Scene(Protocol):
    """Pictures by number, all of one size and rate."""

    def picture(self, number: int) -> Picture: ...

    def resized(self, width: int, height: int) -> "Scene":
        """The same scene at another size, for a camera that restarts with one."""


class FlatScene:
    """A grey gradient with a bar that moves a little each picture. Costs next to nothing: for fast virtual time."""

    def __init__(self, width: int, height: int) -> None:
        self._width = width
        self._height = height
        self._empty = _grey(width, height)
        self._empty[:height] = np.linspace(60, 180, width, dtype=np.uint8)

    def picture(self, number: int) -> Picture:
        picture = self._empty.copy()
        left = number * 2 % (self._width - 8)
        picture[self._height // 2 : self._height // 2 + 8, left : left + 8] = 210
        pattern.stamp(picture, number)
        return picture

    def resized(self, width: int, height: int) -> "FlatScene":
        return FlatScene(width, height)


class NoiseScene:
    """Grey noise that no encoder can foresee: it makes any bitrate be reached. For clips that measure throughput."""

    def __init__(self, width: int, height: int, seed: int = 1) -> None:
        self._width = width
        self._height = height
        self._seed = seed
        self._noise = np.random.default_rng(seed).integers(98, 158, (2 * height, width), dtype=np.uint8)

    def picture(self, number: int) -> Picture:
        picture = _grey(self._width, self._height)
        top = number * 37 % self._height
        picture[: self._height] = self._noise[top : top + self._height]
        pattern.stamp(picture, number)
        return picture

    def resized(self, width: int, height: int) -> "NoiseScene":
        return NoiseScene(width, height, self._seed)


class DrawnScene:
    """A street drawn with OpenCV: figures and a car of plain shapes pass; scene time and number are written below."""

    def __init__(self, width: int, height: int, rate_hz: int) -> None:
        import cv2

        self._cv2 = cv2
        self._width = width
        self._height = height
        self._rate_hz = rate_hz
        self._street = self._draw_street()
        self._flash = flash_area(width, height)

    def picture(self, number: int) -> Picture:
        drawn = self._street.copy()
        seconds = number / self._rate_hz
        self._draw_car(drawn, seconds)
        for figure in range(4):
            self._draw_figure(drawn, figure, seconds)
        self._write(drawn, number)
        picture: Picture = np.asarray(self._cv2.cvtColor(drawn, self._cv2.COLOR_BGR2YUV_I420), np.uint8)
        picture[: self._height][self._flash] = _FLASH_LUMA if flashes(number, self._rate_hz) else _DARK_LUMA
        pattern.stamp(picture, number)
        return picture

    def resized(self, width: int, height: int) -> "DrawnScene":
        return DrawnScene(width, height, self._rate_hz)

    def _draw_street(self) -> Picture:
        width, height = self._width, self._height
        street = np.empty((height, width, 3), np.uint8)
        sky = np.linspace((225, 190, 150), (235, 225, 215), height // 2).astype(np.uint8)
        street[: height // 2] = sky[:, None]
        street[height // 2 :] = (110, 112, 115)
        for house in range(6):
            left, right = house * width // 6, (house + 1) * width // 6 - 3
            top = height // 8 + house * 7 % 5 * height // 20
            grey = 95 + house * 31 % 70
            self._box(street, (left, top), (right, height * 11 // 20), (grey - 15, grey, grey + 20))
            for floor, column in itertools.product(range(3), range(3)):
                x, y = left + (right - left) * (1 + 4 * column) // 13, top + height * (1 + 2 * floor) // 20
                self._box(street, (x, y), (x + width // 36, y + height // 18), (190, 205, 175))
        street[height * 11 // 20 : height * 13 // 20] = (150, 152, 155)
        line = height * 16 // 20
        for left in range(0, width, max(1, width // 8)):
            self._box(street, (left, line), (left + width // 16, line + height // 90), (215, 215, 215))
        return street

    def _draw_car(self, drawn: Picture, seconds: float) -> None:
        length, deep, top = self._width // 5, self._height // 10, self._height * 13 // 20
        left = int(seconds * 0.23 * self._width) % (self._width + length) - length
        self._box(drawn, (left + length // 5, top - deep // 2), (left + length * 4 // 5, top), (120, 60, 40))
        self._box(drawn, (left, top), (left + length, top + deep), (150, 70, 45))
        for wheel in (length // 5, length * 4 // 5):
            self._disc(drawn, (left + wheel, top + deep), deep // 3, (30, 30, 30))

    def _draw_figure(self, drawn: Picture, figure: int, seconds: float) -> None:
        tall = self._height * (5 + figure) // 24
        way = seconds * (0.05 + 0.02 * figure) * self._width * (-1 if figure % 2 else 1)
        x = int(way + figure * self._width * 0.27) % (self._width + tall) - tall // 2
        feet = self._height * (13 + figure) // 20
        hips, shoulders = feet - tall // 3, feet - tall * 4 // 5
        step = tall // 8 if seconds * (2 + figure) % 1 < 0.5 else -tall // 8
        self._box(drawn, (x - tall // 10 + step, hips), (x - tall // 30 + step, feet), (50, 45, 40))
        self._box(drawn, (x + tall // 30 - step, hips), (x + tall // 10 - step, feet), (50, 45, 40))
        coat = (40 + 45 * figure, 160 - 30 * figure, 70 + 25 * figure)
        self._box(drawn, (x - tall // 7, shoulders), (x + tall // 7, hips), coat)
        self._disc(drawn, (x, feet - tall * 9 // 10), tall // 10, (150, 170, 205))

    def _write(self, drawn: Picture, number: int) -> None:
        ms = number * 1000 // self._rate_hz
        clock = f"{ms // 3_600_000:02}:{ms // 60_000 % 60:02}:{ms // 1000 % 60:02}.{ms % 1000:03}  #{number}"
        size = self._height / 480
        at = (self._width // 40, self._height * 43 // 50)  # above the overlay
        font, thick = self._cv2.FONT_HERSHEY_SIMPLEX, max(1, self._height // 240)
        self._cv2.putText(drawn, clock, at, font, size, (0, 0, 0), thick * 3)
        self._cv2.putText(drawn, clock, at, font, size, (255, 255, 255), thick)

    def _box(self, drawn: Picture, left_top: tuple[int, int], right_bottom: tuple[int, int], bgr: _Bgr) -> None:
        self._cv2.rectangle(drawn, left_top, right_bottom, bgr, -1)

    def _disc(self, drawn: Picture, middle: tuple[int, int], radius: int, bgr: _Bgr) -> None:
        self._cv2.circle(drawn, middle, radius, bgr, -1)


class VideoScene:
    """Any video file, looped and stretched to the size, at its own pace: a slower source repeats its pictures."""

    def __init__(self, path: Path, width: int, height: int, rate_hz: int, *, footage: "_Footage | None" = None) -> None:
        self._path = path
        self._footage = footage or _Footage(path)
        self._width = width
        self._height = height
        self._rate_hz = rate_hz
        self._scaled_from: av.VideoFrame | None = None
        self._scaled = _grey(width, height)

    def picture(self, number: int) -> Picture:
        shown = self._footage.shown_at(Fraction(number, self._rate_hz))
        if shown is not self._scaled_from:
            self._scaled_from = shown
            scaled = shown.reformat(self._width, self._height, format="yuv420p")
            self._scaled = np.asarray(scaled.to_ndarray(), np.uint8)
        picture = self._scaled.copy()
        pattern.stamp(picture, number)
        return picture

    def resized(self, width: int, height: int) -> "VideoScene":
        """The footage goes on from where it is: the scene it came from must not be used any more."""
        return VideoScene(self._path, width, height, self._rate_hz, footage=self._footage)


class _Footage:
    """A video file as an endless film: the picture at time t is the last one that began at or before t.

    Times are the file's own, from its first picture. A damaged stretch ends the file early, and the loop begins again.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._film = self._looped()
        self._shown = next(self._film)
        self._following = next(self._film)

    def shown_at(self, seconds: Fraction) -> "av.VideoFrame":
        if seconds < self._shown[0]:
            self._film = self._looped()
            self._shown, self._following = next(self._film), next(self._film)
        while self._following[0] <= seconds:
            self._shown, self._following = self._following, next(self._film)
        return self._shown[1]

    def _looped(self) -> "Iterator[tuple[Fraction, av.VideoFrame]]":
        """The file's pictures for ever, each with the time at which it begins."""
        loop_at = Fraction(0)
        while True:
            ends_at = loop_at
            for begins_at, lasts, frame in self._once():
                yield loop_at + begins_at, frame
                ends_at = max(ends_at, loop_at + begins_at + lasts)
            if ends_at == loop_at:
                raise self._unusable("it holds no picture that can be decoded")
            loop_at = ends_at

    def _once(self) -> "Iterator[tuple[Fraction, Fraction, av.VideoFrame]]":
        """The file once: each picture with the time at which it begins and how long one lasts, in seconds."""
        import av

        try:
            container = av.open(str(self._path))
        except (av.error.FFmpegError, OSError) as reason:
            raise self._unusable(reason.strerror or str(reason)) from reason
        with container:
            if not container.streams.video:
                raise self._unusable("it holds no video stream")
            stream = container.streams.video[0]
            lasts = 1 / Fraction(stream.average_rate or _RATE_OF_UNTIMED_HZ)
            first: Fraction | None = None
            try:
                for index, frame in enumerate(container.decode(stream)):
                    at = _time_of(frame, index * lasts)
                    first = at if first is None else first
                    yield at - first, lasts, frame
            except av.error.FFmpegError:
                return

    def _unusable(self, reason: str) -> UsageError:
        return UsageError(
            f"{self._path}: can't be shown as a scene: {reason}. Name a video file that ffmpeg plays, or leave the file "
            "out for the drawn street."
        )


class LensScene:
    """A scene through a lens that may be `covered`, `dark`, `blurred` or `frozen`; `clear` otherwise. `noise` and `mirrored`
    are a sensor's: snow, and the scene the wrong way round. The number is drawn over what the lens does, but for a frozen
    picture, which is the one before with all that is in it."""

    def __init__(self, scene: Scene, looks: str = "clear") -> None:
        self._scene = scene
        self.looks = looks
        self._last: Picture | None = None
        self._noise = np.zeros((0, 0), np.int16)

    def picture(self, number: int) -> Picture:
        looks = self.looks
        if looks == "frozen" and self._last is not None:
            return self._last.copy()
        picture = self._scene.picture(number)
        if looks in LENSES + SENSORS:
            self._spoil(picture, looks, number)
            pattern.stamp(picture, number)
        self._last = picture.copy() if looks == "frozen" else None
        return picture

    def resized(self, width: int, height: int) -> "LensScene":
        return LensScene(self._scene.resized(width, height), self.looks)

    def _spoil(self, picture: Picture, looks: str, number: int) -> None:
        import cv2

        height, width = picture.shape[0] * 2 // 3, picture.shape[1]
        luma = picture[:height]
        if looks == "covered":  # a hand: what light comes through it, without any shape
            through = cv2.resize(luma, (16, 9), interpolation=cv2.INTER_AREA)
            seen = 50 + 0.05 * cv2.resize(through, (width, height)).astype(np.float32)
        elif looks == "dark":
            seen = _BLACK_LUMA + (luma.astype(np.float32) - _BLACK_LUMA) * 0.08
        elif looks == "noise":
            seen = np.random.default_rng(number).integers(16, 236, luma.shape).astype(np.float32)
        elif looks == "mirrored":
            seen = luma[:, ::-1].astype(np.float32)
        else:
            seen = cv2.GaussianBlur(luma, (0, 0), width / 80).astype(np.float32)
        luma[:] = np.clip(seen + self._sensor_noise(height, width, number), 0, 255).astype(np.uint8)

    def _sensor_noise(self, height: int, width: int, number: int) -> npt.NDArray[np.int16]:
        """Another one for each picture, from a field drawn once."""
        if self._noise.shape != (2 * height, width):
            drawn = np.random.default_rng(1).normal(0, _NOISE, (2 * height, width))
            self._noise = np.rint(drawn).astype(np.int16)
        top = number * 37 % height
        return self._noise[top : top + height]


def flashes(number: int, rate_hz: int) -> bool:
    """Whether a picture falls in the first 100 ms of a whole second of scene time."""
    return number % rate_hz * 1000 < FLASH_MS * rate_hz


def flash_area(width: int, height: int) -> tuple[slice, slice]:
    """Rows and columns of the luma plane that flash: a block at the lower right."""
    return slice(height * 3 // 4, height * 19 // 20), slice(width * 4 // 5, width * 19 // 20)


def flash_seen(luma: Picture) -> bool:
    """Whether the flash is on in a picture that may have been through an encoder. Takes the luma plane alone."""
    height, width = luma.shape
    return float(luma[flash_area(width, height)].mean()) > (_FLASH_LUMA + _DARK_LUMA) / 2


def _time_of(frame: "av.VideoFrame", untimed: Fraction) -> Fraction:
    if frame.pts is None or frame.time_base is None:
        return untimed
    return frame.pts * frame.time_base


def _grey(width: int, height: int) -> Picture:
    return np.full((height * 3 // 2, width), _NEUTRAL_CHROMA, np.uint8)

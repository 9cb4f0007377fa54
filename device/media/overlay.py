"""The text that is burned into every picture: when it was taken, by which device, in which state of recording.

Here belong the words, their place, and the copying of their rows into a picture's Y plane. The letters were drawn
beforehand (`hw_sim.glyphs`) and lie beside this module; neither OpenCV nor numpy is needed. A letter is copied into the
text's bitmap when it changes, a digit or two a second; a picture costs as many copies as the box has rows.

`burn` is called by the camera's thread, which alone touches the bitmap. `show`, `on` and `off` may be called by any other:
each sets one reference.
"""

import logging
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec

from device.clock import Clock
from device.tables import Overlay as Settings

GLYPHS = Path(__file__).parent / "glyphs"
LETTERS = " -.:?_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
CELL_HEIGHTS = (16, 24, 32, 48)
"""The sizes that there are, in pixels; each has its file."""
DARK, LIGHT = 16, 235
"""Black and white of the Y plane: white letters in a black box are read on any ground."""

LEAST_WIDTH, LEAST_HEIGHT = 480, 360
"""A smaller picture bears no text: its box would take more than a tenth of it."""

LINES_A_PICTURE: Mapping[str, int] = {"small": 45, "normal": 30, "large": 20}
"""The picture's height over the text's, at most; the smallest size that there is, at least."""

_MOMENT = "2026-01-01 00:00:00 UTC NOT SYNCED"
_LAST_SECOND = 253_402_300_799
"""Of the year 9999: a wall clock beyond it is not written with more digits than there is room for."""
STARTING = "START"
"""The state's word until the policy is known. `device.media.caption` has the others."""
LONGEST_WORD = len("STOP ASKED MUTE")

log = logging.getLogger("bodycam")


class _Said(msgspec.Struct, frozen=True):
    """What the control loop said last: the state's word, and how far wall time is from the boot clock."""

    word: str
    wall_minus_boot_us: int
    synchronised: bool


class Overlay:
    """`width`, `height`: of the picture, in pixels.
    `why_not`: why there is no text though the picture is large enough; "" when there is. Any thread reads it."""

    def __init__(self, *, width: int, height: int, settings: Settings, device: str, clock: Clock) -> None:
        self._clock = clock
        self._device = device
        self._width, self._height = width, height
        self.columns = max(len(_MOMENT), len(device) + 2 + LONGEST_WORD)
        self.why_not = ""
        self._on = self._drawable = False
        self._said = _Said(STARTING, 0, synchronised=False)
        self._written: tuple[_Said, int] | None = None
        self._lines = [" " * self.columns] * 2
        self._form: tuple[int, int, int, str, bool] | None = None
        self._rows: list[tuple[slice, memoryview]] = []
        self.show(STARTING)
        if not settings.enabled or width < LEAST_WIDTH or height < LEAST_HEIGHT:
            return
        self.cell_height = self._fitting(settings.size)
        try:
            self._glyphs = read_glyphs(self.cell_height)
        except OSError as failure:
            self.why_not = f"{failure.filename}: {failure.strerror}"
        except ValueError as failure:
            self.why_not = str(failure)
        if self.why_not:
            log.error("overlay: no text is drawn: %s", self.why_not)
            return
        self._edge = self.cell_height // 4
        self.box_width, self.box_height = self._box(self.cell_height)
        self.left = self._edge if "left" in settings.position else width - self.box_width - self._edge
        self.top = self._edge if "top" in settings.position else height - self.box_height - self._edge
        self._bitmap = memoryview(bytearray([DARK]) * (self.box_width * self.box_height))
        self._on = self._drawable = True

    # -- other threads -----------------------------------------------------------------------------------------------

    def show(self, word: str) -> None:
        """What the machine's state is from now on. Control thread, several times a second: it brings the clock, too."""
        wall = self._clock.wall()
        self._said = _Said(word, wall.utc_us - self._clock.now_us(), wall.synchronised)

    def off(self) -> None:
        """Draw nothing more, to save what it costs."""
        self._on = False

    def on(self) -> None:
        """Draw again, where there is anything to draw."""
        self._on = self._drawable

    def failed(self, why: str) -> None:
        """Nothing is drawn any more until the next start of the daemon. Any thread."""
        self.why_not = self.why_not or why
        self._on = self._drawable = False

    # -- the camera's thread -----------------------------------------------------------------------------------------

    def burn(self, luma: memoryview, stride: int, at_us: int) -> None:
        """Draw into a picture that was taken at boot time `at_us`. One copy a row of the box; never raises."""
        if not self._on:
            return
        form = (stride, len(luma), luma.ndim, luma.format, luma.readonly)
        if form != self._form:
            self._form = form
            self._place(*form)
        said = self._said
        written = (said, (at_us + said.wall_minus_boot_us) // 1_000_000)
        if written != self._written:
            self._written = written
            self._write(0, moment(written[1], synchronised=said.synchronised))
            self._write(1, f"{self._device}  {said.word}")
        for place, row in self._rows:
            luma[place] = row

    def _place(self, stride: int, length: int, dimensions: int, kind: str, readonly: bool) -> None:
        """Where the rows go in planes of this form; nowhere when it is not the picture's."""
        self._rows = []
        fits = stride >= self._width and length >= stride * (self._height - 1) + self._width
        if dimensions != 1 or kind != "B" or readonly or not fits:
            log.error("overlay: no text is drawn: the camera's pictures are not %d × %d", self._width, self._height)
            return
        for row in range(self.box_height):
            begin = (self.top + row) * stride + self.left
            copied = self._bitmap[row * self.box_width : (row + 1) * self.box_width]
            self._rows.append((slice(begin, begin + self.box_width), copied))

    def _write(self, line: int, text: str) -> None:
        """Copy the letters that differ from those that stand there."""
        text = text.ljust(self.columns)
        height, width = self.cell_height, cell_width(self.cell_height)
        for column, (before, letter) in enumerate(zip(self._lines[line], text, strict=True)):
            if letter != before:
                source = max(LETTERS.find(letter), 0) * width
                target = (self._edge + line * height) * self.box_width + self._edge + column * width
                for _ in range(height):
                    self._bitmap[target : target + width] = self._glyphs[source : source + width]
                    source += len(LETTERS) * width
                    target += self.box_width
        self._lines[line] = text

    # -- sizes -------------------------------------------------------------------------------------------------------

    def _fitting(self, size: str) -> int:
        """The largest letters that are asked for and whose box fits."""
        most = self._height // LINES_A_PICTURE[size]
        fitting = [h for h in CELL_HEIGHTS if h <= most and self._box(h)[0] + h // 2 <= self._width]
        return fitting[-1] if fitting else CELL_HEIGHTS[0]

    def _box(self, cell_height: int) -> tuple[int, int]:
        edges = 2 * (cell_height // 4)
        return self.columns * cell_width(cell_height) + edges, 2 * cell_height + edges


def moment(utc_s: int, *, synchronised: bool) -> str:
    """A second of wall time, in UTC, and whether it may be believed."""
    shown = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(min(max(utc_s, 0), _LAST_SECOND)))
    return f"{shown} UTC {'SYNCED' if synchronised else 'NOT SYNCED'}"


# -- the letters ------------------------------------------------------------------------------------------------------


def cell_width(cell_height: int) -> int:
    return cell_height * 9 // 16


def glyphs_header(cell_height: int) -> bytes:
    """How the file of a size begins: a portable grey map of all letters side by side."""
    return f"P5\n{len(LETTERS) * cell_width(cell_height)} {cell_height}\n255\n".encode()


def read_glyphs(cell_height: int) -> memoryview:
    """The letters of one size, row by row. `OSError` where there is no file, `ValueError` where it is another."""
    path = GLYPHS / f"{cell_height}.pgm"
    data, header = path.read_bytes(), glyphs_header(cell_height)
    if not data.startswith(header) or len(data) != len(header) + len(LETTERS) * cell_width(cell_height) * cell_height:
        raise ValueError(f"{path}: not the letters of this version; install the package anew")
    return memoryview(data)[len(header) :]

"""The overlay's letters, drawn with OpenCV and packed for the device: `python -m hw_sim.glyphs`.

The shapes are our own, strokes on a small grid, so that the files hold no part of anybody's font. One file a size, a
portable grey map: all letters side by side, light on dark, as `device.media.overlay` reads them. Run it when a shape or
a size has changed; a test draws them again and compares.
"""

import sys
from pathlib import Path

import numpy as np

from device.media import overlay
from hw_sim.pattern import Picture

# fmt: off
STROKES = {
    " ": "", "-": "1333", ".": "2626", ":": "2222 2626", "_": "0747", "?": "01103041422324 2626",
    "0": "103041453616050110 1432", "1": "112026 1636", "2": "01103041420646", "3": "011030414233 13334445361605",
    "4": "36300444", "5": "400002324345361605", "6": "4130100105163645443303", "7": "004016",
    "8": "103041423313020110 1304051636454433", "9": "0516364541301001021343",
    "A": "0602204246 0444", "B": "06003041423303 3344453606", "C": "4130100105163645", "D": "06003041453606",
    "E": "40000646 0333", "F": "400006 0333", "G": "41301001051636454323", "H": "0006 4046 0343",
    "I": "1030 2026 1636", "J": "4045361605", "K": "0006 400346", "L": "000646", "M": "0600234046",
    "N": "06004640", "O": "103041453616050110", "P": "06003041423303", "Q": "103041453616050110 2446",
    "R": "06003041423303 2346", "S": "413010010213334445361605", "T": "0040 2026", "U": "000516364540",
    "V": "002640", "W": "0016233640", "X": "0046 4006", "Y": "002340 2326", "Z": "00400646",
    "a": "12324346 4414051646", "b": "0006 0312324345361605", "c": "4332120305163645",
    "d": "4046 4332120305163645", "e": "044443321203051646", "f": "40302126 1343",
    "g": "4332120305163645 4247381807", "h": "0006 0312324346", "i": "122226 1636 2020", "j": "32372818 3030",
    "k": "0006 420446", "l": "102026 1636", "m": "0602 03122326 23324346", "n": "0602 0312324346",
    "o": "123243453616050312", "p": "0802 0312324345361605", "q": "4842 4332120305163645", "r": "0602 03123243",
    "s": "43321203143445361605", "t": "20253646 1242", "u": "0205163645 4246", "v": "022642", "w": "0216243642",
    "x": "0246 4206", "y": "0205163645 4247381807", "z": "02420646",
}
# fmt: on
"""Each letter's strokes, parted by spaces: points as two digits, across 0 to 4 and down 0 to 8; 6 is the base line."""

_FINER = 8
"""Drawn so many times as large, and brought down, for even edges."""
_ACROSS = 6
_DOWN = 10
"""The grid's units in a cell, margins included."""


def draw(cell_height: int) -> Picture:
    """All letters of one size, side by side."""
    import cv2

    width, height = overlay.cell_width(cell_height) * _FINER, cell_height * _FINER
    cells = []
    for letter in overlay.LETTERS:
        large = np.full((height, width), overlay.DARK, np.uint8)
        for stroke in STROKES[letter].split():
            grid = np.array([int(digit) for digit in stroke]).reshape(-1, 2)
            points = np.rint((grid + 1) * (width / _ACROSS, height / _DOWN)).astype(np.int32)
            cv2.polylines(large, [points], False, overlay.LIGHT, round(height / _DOWN))
        size = (width // _FINER, cell_height)
        cells.append(np.asarray(cv2.resize(large, size, interpolation=cv2.INTER_AREA), np.uint8))
    return np.hstack(cells)


def packed(cell_height: int) -> bytes:
    """The file of one size."""
    drawn = draw(cell_height)
    return overlay.glyphs_header(cell_height) + drawn.tobytes()


def main() -> int:
    """Write every size into a folder, the device's own when none is named."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else overlay.GLYPHS
    for cell_height in overlay.CELL_HEIGHTS:
        path = folder / f"{cell_height}.pgm"
        path.write_bytes(packed(cell_height))
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())

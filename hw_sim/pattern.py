"""The frame-number pattern: a number in the picture that survives the encoder.

A 24-bit number and its 8-bit check stand as black and white blocks in a strip at the top left corner, two rows of
sixteen, most significant bit first. Blocks are whole transform blocks of H.264, at least 8 × 8 pixels, so that even
a starved encoder keeps each one black or white. Who reads the number back knows which capture instant a picture is
from, and so which pictures are missing, repeated or out of order. Pure functions on arrays, for any thread.
"""

import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]

NUMBER_BITS = 24
NUMBERS = 1 << NUMBER_BITS
"""A number is stamped modulo this: 6 days at 30 pictures a second."""

ROWS = 2
COLUMNS = 16
LEAST_WIDTH = 8 * COLUMNS

_CHECK_BITS = 8
_CHECK_POLYNOMIAL = 0x07
_BLACK = 16
_WHITE = 235
_DARKEST_WHITE = 160
_LIGHTEST_BLACK = 96


def block_pixels(width: int) -> int:
    """The side of one block in a picture this wide, a multiple of 8."""
    return 8 * max(1, width // 320)


def stamp(luma_or_yuv: Picture, number: int) -> None:
    """Draw `number` into the picture, in place: the luma plane alone, or I420, whose luma rows come first."""
    width = luma_or_yuv.shape[1]
    assert width >= LEAST_WIDTH, f"a picture {width} pixels wide has no room for the pattern, which needs {LEAST_WIDTH}"
    side = block_pixels(width)
    number %= NUMBERS
    word = number << _CHECK_BITS | _check(number)
    bits = np.unpackbits(np.frombuffer(word.to_bytes(4, "big"), np.uint8)).reshape(ROWS, COLUMNS)
    blocks = np.where(bits == 1, np.uint8(_WHITE), np.uint8(_BLACK))
    luma_or_yuv[: ROWS * side, : COLUMNS * side] = blocks.repeat(side, axis=0).repeat(side, axis=1)


def read(luma: Picture) -> int | None:
    """The number in the picture; None when a block is neither black nor white, or the check fails."""
    height, width = luma.shape
    side = block_pixels(width)
    if width < LEAST_WIDTH or height < ROWS * side:
        return None
    blocks = luma[: ROWS * side, : COLUMNS * side].reshape(ROWS, side, COLUMNS, side)
    margin = side // 4
    levels = blocks[:, margin:-margin, :, margin:-margin].mean(axis=(1, 3))
    if np.any((levels > _LIGHTEST_BLACK) & (levels < _DARKEST_WHITE)):
        return None
    word = int.from_bytes(np.packbits(levels >= _DARKEST_WHITE).tobytes(), "big")
    number = word >> _CHECK_BITS
    return number if word & 0xFF == _check(number) else None


def _check(number: int) -> int:
    """CRC-8 that starts from ones, so that an all-black strip is no number."""
    remainder = 0xFF
    for byte in number.to_bytes(NUMBER_BITS // 8, "big"):
        remainder ^= byte
        for _ in range(8):
            remainder = (remainder << 1 ^ (_CHECK_POLYNOMIAL if remainder & 0x80 else 0)) & 0xFF
    return remainder

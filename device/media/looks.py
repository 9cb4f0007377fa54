"""How a small grey picture looks, in three numbers. Pure; numpy alone, imported by who asks first.

No number says what is in the picture: they are of light, of shade and of edges. The picture is taken in 16 × 9 blocks and
the numbers are ranks among these, so that neither the overlay nor a lamp in a corner decides.
"""

import msgspec
import numpy as np

_ACROSS, _DOWN = 16, 9
LEAST_WIDTH, LEAST_HEIGHT = 4 * _ACROSS, 4 * _DOWN


class Look(msgspec.Struct, frozen=True):
    """`level`: the light of the middle block, 16 to 235. `spread`: between a light and a dark block (the eighth from
    either end of a hundred and forty-four, as shares). `edges`: of a block that has more of them than three in four, the
    mean of how far a pixel is from its neighbours."""

    level: float
    spread: float
    edges: float


def changed(before: bytes, after: bytes) -> float:
    """The share of pixels that are not what they were, of two pictures of one size."""
    return float(np.mean(np.frombuffer(before, np.uint8) != np.frombuffer(after, np.uint8)))


def look_at(grey: bytes, width: int, height: int) -> Look:
    """A picture of at least 64 × 36 pixels, row by row; what is beyond whole blocks is left out."""
    across, down = width // _ACROSS, height // _DOWN
    luma = np.frombuffer(grey, np.uint8).reshape(height, width)
    luma = luma[: down * _DOWN, : across * _ACROSS].astype(np.int16)
    edges = np.zeros_like(luma)
    inner = 4 * luma[1:-1, 1:-1] - luma[:-2, 1:-1] - luma[2:, 1:-1] - luma[1:-1, :-2] - luma[1:-1, 2:]
    edges[1:-1, 1:-1] = np.abs(inner)
    blocks, edged = (plane.reshape(_DOWN, down, _ACROSS, across).mean(axis=(1, 3)) for plane in (luma, edges))
    dark, middle, light = np.percentile(blocks, (12.5, 50, 87.5))
    return Look(level=float(middle), spread=float(light - dark), edges=float(np.percentile(edged, 75)))

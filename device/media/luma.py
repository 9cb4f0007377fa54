"""A small grey picture out of a large one, for whatever looks at the lens. Pure; any thread.

numpy is imported with the first picture: by then picamera2 has it loaded.
"""

WIDEST = 160
"""A small picture has at most so many columns."""
EVERY_US = 500_000
"""How often a camera makes one."""
LASTS_US = 2_000_000
"""An older one is of what the camera saw once: nobody is given it."""


def shrunk(luma: memoryview, stride: int, width: int, height: int) -> tuple[int, int, bytes]:
    """Of a Y plane with `stride` bytes a row: width, height and the bytes of a picture at most `WIDEST` wide, without
    padding. A pixel is the mean of a step's columns in two of its rows: single pixels would bear the sensor's noise, which
    looks like edges in a picture that has none. What is beyond whole steps is left out."""
    import numpy as np

    step = -(-width // WIDEST)
    across, down = width // step, height // step
    plane: np.ndarray[tuple[int, int], np.dtype[np.uint8]] = np.ndarray(
        (down * step, across * step), np.uint8, luma, strides=(stride, 1)
    )
    pairs = plane[::step].astype(np.uint16) + plane[step // 2 :: step]
    summed = pairs.reshape(down, across, step).sum(axis=2, dtype=np.uint16)
    return across, down, (summed // (2 * step)).astype(np.uint8).tobytes()

"""A small grey picture out of a large one, for whatever looks at the lens. Pure; any thread."""

WIDEST = 160
"""A small picture has at most so many columns."""
EVERY_US = 500_000
"""How often a camera makes one."""
LASTS_US = 2_000_000
"""An older one is of what the camera saw once: nobody is given it."""


def shrunk(luma: memoryview, stride: int, width: int, height: int) -> tuple[int, int, bytes]:
    """Every n-th pixel of every n-th row of a Y plane with `stride` bytes a row: width, height and the bytes, at most
    `WIDEST` wide and without padding. Nothing is averaged: a blurred picture stays blurred and a sharp one sharp."""
    step = -(-width // WIDEST)
    rows = range(0, height, step)
    picked = b"".join(bytes(luma[row * stride : row * stride + width : step]) for row in rows)
    return -(-width // step), len(rows), picked

"""The twin's picture as it goes into the encoder, small and as JPEG, for the page alone.

A real device has no such picture: nothing there leaves the encoder but what is encrypted. It stays in memory (E6). The
camera's thread hands pictures in; the panel's takes the newest one, when somebody looks.
"""

from fractions import Fraction
from typing import TYPE_CHECKING

import av

if TYPE_CHECKING:
    from hw_sim.pattern import Picture

WIDTH = 640
"""At the most, and an even number."""
QUALITY = 5
"""ffmpeg's scale for MJPEG: 2 is the best, 31 the worst."""


class LastPicture:
    """`number` counts the pictures that came."""

    def __init__(self) -> None:
        self.number = 0
        self._newest: tuple[int, Picture] | None = None
        self._encoded: tuple[int, bytes] = (0, b"")

    def take(self, picture: "Picture") -> None:
        """Nobody changes it any more. Camera thread."""
        self.number += 1
        self._newest = (self.number, picture)

    def jpeg(self) -> tuple[int, bytes]:
        """The newest picture's number and its JPEG; (0, b"") before there is one. One thread at a time."""
        newest = self._newest
        if newest is not None and newest[0] != self._encoded[0]:
            self._encoded = (newest[0], _jpeg(newest[1]))
        return self._encoded


def _jpeg(picture: "Picture") -> bytes:
    frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
    width = min(WIDTH, frame.width // 2 * 2)
    height = frame.height * width // frame.width // 2 * 2
    codec = av.CodecContext.create("mjpeg", "w")
    codec.width, codec.height, codec.pix_fmt = width, height, "yuvj420p"
    codec.time_base = Fraction(1, 25)
    codec.options = {"qmin": str(QUALITY), "qmax": str(QUALITY)}
    small = frame.reformat(width, height, format="yuvj420p")
    small.pts = 0
    return b"".join(bytes(packet) for packet in [*codec.encode(small), *codec.encode(None)])

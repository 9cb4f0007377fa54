"""Streams written as strings: `clip("IPPPIPPP").into(ring)`.

One letter a capture instant, four a second: `I` a keyframe with its parameter sets, `J` one with others, `K` one with
none, `P` a frame that leans on those before, `.` an instant at which the camera gave nothing.
"""

import msgspec

from device.evidence.segmenter import Cut, Missing
from device.media.frames import CaptureFlags, Frame, ParameterSets
from device.media.ring import Ring

PERIOD_US = 250_000
FRAME_BYTES = 100
STREET = CaptureFlags(zone="street")
SETS = ParameterSets(sps=b"\x67sps", pps=b"\x68pps")
OTHER_SETS = ParameterSets(sps=b"\x67other", pps=b"\x68pps")
_HEAD = {
    "I": SETS.annex_b() + b"\x00\x00\x01\x65",
    "J": OTHER_SETS.annex_b() + b"\x00\x00\x01\x65",
    "K": b"\x00\x00\x01\x65",
    "P": b"\x00\x00\x01\x41",
}


class Given(msgspec.Struct, frozen=True):
    """A frame as an encoder gives it."""

    data: bytes
    at_us: int
    keyframe: bool


class Clip(msgspec.Struct, frozen=True):
    frames: tuple[Given, ...]

    def drop(self, *indices: int) -> "Clip":
        """Without the frames at these places: the camera never gave them."""
        return Clip(tuple(frame for n, frame in enumerate(self.frames) if n not in indices))

    def into(self, ring: Ring) -> None:
        for frame in self.frames:
            ring.append_video(frame.data, frame.at_us, frame.keyframe)


def data_of(letter: str, size: int = FRAME_BYTES) -> bytes:
    return _HEAD[letter].ljust(size, b"\xaa")


def clip(letters: str, from_s: float = 0, size: int = FRAME_BYTES) -> Clip:
    first_us = round(from_s * 1_000_000)
    return Clip(
        tuple(
            Given(data_of(letter, size), first_us + n * PERIOD_US, letter in "IJK")
            for n, letter in enumerate(letters)
            if letter != "."
        )
    )


def ring_of(window_s: float = 600, cap_bytes: int = 1 << 20, flags: CaptureFlags = STREET) -> Ring:
    return Ring(round(window_s * 1_000_000), cap_bytes, flags, lambda: None)


def held(ring: Ring) -> list[list[int]]:
    """The numbers of the video frames held, by GOP."""
    return [[frame.number for frame in gop.frames] for gop in ring._gops]


def held_audio(ring: Ring) -> list[int]:
    return numbers(ring._audio)


def held_bytes(ring: Ring) -> int:
    """What `payload_bytes` must be, as must each GOP's own."""
    for gop in ring._gops:
        assert gop.payload_bytes == sum(len(frame.data) for frame in gop.frames)
    return sum(len(f.data) for gop in ring._gops for f in gop.frames) + sum(len(packet.data) for packet in ring._audio)


def numbers(frames: "list[Frame] | object") -> list[int]:
    assert hasattr(frames, "__iter__")
    return [frame.number for frame in frames]


def said(cut: Cut | None) -> tuple[list[int], list[int], list[tuple[str, int, int, int]]] | None:
    """A cut as the numbers of its video and audio, and what is missing."""
    return None if cut is None else (numbers(cut.video), numbers(cut.audio), [spelt(gap) for gap in cut.missing])


def spelt(gap: Missing) -> tuple[str, int, int, int]:
    return gap.cause, gap.frames, gap.first, gap.last

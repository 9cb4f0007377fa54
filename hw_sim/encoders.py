"""The twin's encoders: x264 for pictures that are drawn, and a replay of what was encoded before.

Both give Annex B access units with parameter sets on every keyframe, a keyframe a second, and no B-frames. PyAV and
numpy are imported by what encodes, not by this module.
"""

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Literal, Protocol

import msgspec

from device.hardware import Load
from device.media.sink import EncodedPacket
from hw_sim.schedule import instant_us

if TYPE_CHECKING:
    import av

    from hw_sim.pattern import Picture
    from hw_sim.scenes import Scene

Profile = Literal["baseline", "main"]


class EncodedFrame(msgspec.Struct, frozen=True, gc=False):
    """One access unit of a clip, Annex B; `at_offset_us` counts from the clip's first frame."""

    data: bytes
    at_offset_us: int
    keyframe: bool


class Unit(msgspec.Struct, frozen=True):
    """One access unit as an encoder gives it."""

    data: bytes
    keyframe: bool
    packet: EncodedPacket | None


class Encoder(Protocol):
    """One run's way from a capture instant to an access unit, in two steps that may be on two threads. `load` is the one in
    force; the one aimed at takes its place at a keyframe."""

    load: Load

    def aim(self, load: Load) -> None: ...

    def capture(self, number: int, timestamp_us: int) -> "av.VideoFrame | None": ...

    def encode(self, picture: "av.VideoFrame | None", keyframe: bool) -> Unit: ...


class X264:
    """libx264 as a hardware encoder would behave: no B-frames, no scene cuts, a keyframe a second, no look-ahead.
    `picture`: what the camera sees at an instant of this number and timestamp. A picture never gets more than its share of
    `most_bps`."""

    def __init__(
        self,
        picture: "Callable[[int, int], Picture]",
        *,
        width: int,
        height: int,
        load: Load,
        most_bps: int,
        profile: Profile,
    ) -> None:
        import av

        self.load = load
        self._nominal_hz = load.rate_hz
        self._most_bps = max(most_bps, load.bitrate_bps)
        self._aimed = load
        self._since_keyframe = load.rate_hz
        self._picture = picture
        self._frame = av.VideoFrame.from_ndarray
        codec = av.CodecContext.create("libx264", "w")
        codec.width, codec.height, codec.pix_fmt = width, height, "yuv420p"
        codec.time_base = Fraction(1, 1_000_000)
        codec.framerate = Fraction(load.rate_hz)
        codec.bit_rate = load.bitrate_bps
        own = {
            "keyint": "infinite",  # each keyframe is asked for: their distance follows the rate
            "scenecut": 0,
            "bframes": 0,
            "open-gop": 0,  # with no B-frames either, a picture asked to be of type I is an IDR: anyone can begin there
            "repeat-headers": 1,
            "annexb": 1,
            "threads": 1,
            "cabac": 1 if profile == "main" else 0,
        }
        codec.options = {
            "preset": "ultrafast",
            "tune": "zerolatency",
            "maxrate": str(self._most_bps),
            "bufsize": str(self._most_bps),
            "x264-params": ":".join(f"{name}={value}" for name, value in own.items()),
        }
        self._codec = codec

    def aim(self, load: Load) -> None:
        self._aimed = load

    def capture(self, number: int, timestamp_us: int) -> "av.VideoFrame":
        frame = self._frame(self._picture(number, timestamp_us), format="yuv420p")
        frame.pts = timestamp_us
        return frame

    def encode(self, picture: "av.VideoFrame | None", keyframe: bool) -> Unit:
        from av.video.frame import PictureType

        assert picture is not None
        begins = keyframe or self._since_keyframe >= self.load.rate_hz
        if begins:
            self._since_keyframe, self.load = 0, self._aimed
            shared_bps = (
                self.load.bitrate_bps * self._nominal_hz // self.load.rate_hz
            )  # x264 goes by the rate at its start
            self._codec.bit_rate = min(shared_bps, self._most_bps)
        self._since_keyframe += 1
        picture.pict_type = PictureType.I if begins else PictureType.NONE
        packets = self._codec.encode(picture)
        assert len(packets) == 1, "without look-ahead one picture gives one packet"
        return Unit(bytes(packets[0]), packets[0].is_keyframe, packets[0])


class Replay:
    """The frames of a clip in turn, round and round. A keyframe asked for is the clip's next one. Whatever is aimed at, a
    clip stays as it was made."""

    def __init__(self, clip: Sequence[EncodedFrame], with_packets: bool, load: Load) -> None:
        self.load = load
        self._clip = clip
        self._with_packets = with_packets
        self._next = 0

    def aim(self, load: Load) -> None: ...

    def capture(self, number: int, timestamp_us: int) -> None:  # noqa: ARG002 - a clip has its pictures already
        return None

    def encode(self, picture: "av.VideoFrame | None", keyframe: bool) -> Unit:  # noqa: ARG002
        while keyframe and not self._clip[self._next].keyframe:
            self._next = (self._next + 1) % len(self._clip)
        frame = self._clip[self._next]
        self._next = (self._next + 1) % len(self._clip)
        return Unit(frame.data, frame.keyframe, _packet(frame) if self._with_packets else None)


def encode_clip(
    seconds: int, *, width: int, height: int, rate_hz: int, bitrate_bps: int, scene: "Scene"
) -> list[EncodedFrame]:
    """Whole GOPs of a scene from its number 0 on, for a `PreEncodedCamera`."""
    encoder = X264(
        lambda number, _: scene.picture(number),
        width=width,
        height=height,
        load=Load(rate_hz, bitrate_bps),
        most_bps=bitrate_bps,
        profile="baseline",
    )
    clip = []
    for number in range(seconds * rate_hz):
        at_offset_us = instant_us(number, rate_hz)
        unit = encoder.encode(encoder.capture(number, at_offset_us), keyframe=False)
        clip.append(EncodedFrame(unit.data, at_offset_us, unit.keyframe))
    return clip


def _packet(frame: EncodedFrame) -> EncodedPacket:
    import av

    packet = av.Packet(frame.data)
    packet.is_keyframe = frame.keyframe
    return packet

"""Pictures and packets of sound that carry their own number: encoded once, then replayed, at nearly no cost.

A picture's number stands in an SEI message of its own, a packet's in a data stream element, where decoders pass over it.
So whoever opens a recording reads in plain bytes which of all that camera and microphone gave is there, without trust in
ledger or container. A number is of a boot (`boot`, from 1) and counts capture instants, or packets, within it. What was given
is told to a `Given` (`hw_sim.given`).
"""

import re
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from device.clock import Clock
from device.hardware import Load
from device.media.frames import PACKET_SAMPLES
from device.media.sink import EncodedPacket
from device.tables import Camera, Microphone
from hw_sim.camera import PreEncodedCamera
from hw_sim.clock import VirtualClock
from hw_sim.encoders import EncodedFrame, Unit
from hw_sim.given import Given
from hw_sim.microphone import TwinMicrophone

if TYPE_CHECKING:
    import av

_PICTURE = bytes.fromhex("8d1fb7c2e54a4c6f9b3ad86ef1a7c495")
"""The UUID of the SEI message (user data, unregistered); nothing in it needs emulation prevention."""
_SOUND = bytes.fromhex("d3a9f17bc86e52b4")
_NUMBER = re.compile(rb"([0-9a-f]{2})([0-9a-f]{8})")
_SLICE = re.compile(rb"\x00?\x00\x00\x01[\x01\x21\x41\x61\x05\x25\x45\x65]")
_SEI, _USER_DATA, _END = 6, 5, b"\x80"
_DATA_STREAM_ELEMENT = 0x80
_BYTES = 10

Number = tuple[int, int]
"""Boot, and number within it."""


class Found(msgspec.Struct, frozen=True):
    """The numbers in an opened segment, in its order."""

    pictures: list[Number]
    packets: list[Number]


def found(plain: bytes) -> Found:
    return Found(_numbers(plain, _PICTURE), _numbers(plain, _SOUND))


def _numbers(plain: bytes, mark: bytes) -> list[Number]:
    numbers, at = [], plain.find(mark)
    while at >= 0:
        told = _NUMBER.match(plain, at + len(mark))
        assert told is not None, "a mark is followed by its number"
        numbers.append((int(told[1], 16), int(told[2], 16)))
        at = plain.find(mark, at + 1)
    return numbers


def _said(boot: int, number: int) -> bytes:
    return b"%02x%08x" % (boot, number)


class _Halves(msgspec.Struct, frozen=True):
    """An access unit, cut where its SEI goes."""

    head: bytes
    tail: bytes
    keyframe: bool


class TaggedClip:
    """A clip ready to bear numbers. Whole GOPs of one second at its rate."""

    def __init__(self, clip: Sequence[EncodedFrame]) -> None:
        self.frames = [_halves(frame) for frame in clip]


def _halves(frame: EncodedFrame) -> _Halves:
    first = _SLICE.search(frame.data)
    assert first is not None, "an access unit has a slice"
    return _Halves(frame.data[: first.start()], frame.data[first.start() :], frame.keyframe)


class _TaggedEncoder:
    """Replays a clip, each picture with its number. A lowered rate makes its GOPs shorter, so that they last a second."""

    def __init__(self, clip: TaggedClip, boot: int, load: Load, zero_us: int, given: Given) -> None:
        self.load = load
        self._aimed = load
        self._clip = clip.frames
        self._boot = boot
        self._zero_us = zero_us
        self._given = given
        self._captured: deque[tuple[int, int]] = deque()
        self._next = 0
        self._since_keyframe = 0

    def aim(self, load: Load) -> None:
        self._aimed = load

    def capture(self, number: int, timestamp_us: int) -> None:
        self._captured.append((number, timestamp_us))

    def encode(self, picture: "av.VideoFrame | None", keyframe: bool) -> Unit:  # noqa: ARG002 - it is encoded already
        number, timestamp_us = self._captured.popleft()
        if keyframe or self._since_keyframe >= self.load.rate_hz:
            while not self._clip[self._next].keyframe:
                self._next = (self._next + 1) % len(self._clip)
        half = self._clip[self._next]
        self._next = (self._next + 1) % len(self._clip)
        if half.keyframe:
            self._since_keyframe, self.load = 0, self._aimed
        self._since_keyframe += 1
        body = bytes((_SEI, _USER_DATA, len(_PICTURE) + _BYTES)) + _PICTURE + _said(self._boot, number) + _END
        self._given.picture(number, self._zero_us + timestamp_us, self.load.rate_hz)
        return Unit(half.head + b"\0\0\0\1" + body + half.tail, half.keyframe, None)


class TaggedCamera(PreEncodedCamera):
    """A camera that replays a clip whose pictures bear the numbers of their capture instants. Its rate follows the load."""

    def __init__(self, clock: Clock, *, clip: TaggedClip, boot: int, given: Given, settings: Camera) -> None:
        whole = [EncodedFrame(half.head + half.tail, 0, half.keyframe) for half in clip.frames]
        super().__init__(clock, clip=whole, rate_hz=settings.rate_hz)
        self._tagged = clip
        self._boot = boot
        self._given = given

    def set_load(self, load: Load) -> None:
        super(PreEncodedCamera, self).set_load(load)

    def _new_encoder(self) -> _TaggedEncoder:
        return _TaggedEncoder(self._tagged, self._boot, self._load, self._first_timestamp_us, self._given)


class _Packet(bytes):
    """As little of a packet as the device asks for."""

    is_keyframe = True


class TaggedMicrophone(TwinMicrophone):
    """A microphone that replays a second of sound, encoded once, each packet with its number. One packet of silence at the
    beginning of a run stands for the encoder's priming."""

    def __init__(self, clock: Clock, *, sound: Sequence[bytes], boot: int, given: Given, settings: Microphone) -> None:
        super().__init__(clock, rate_hz=settings.rate_hz, bitrate_bps=settings.bitrate_bps)
        self._encoded = sound
        self._boot = boot
        self._given = given
        self._number = 0

    def _encode(self, number: int) -> None:
        captured_us = self._captured_at_us(number)
        self._pace.heard((number + 1) * PACKET_SAMPLES, captured_us)
        behind = number - 2
        if behind < 0:
            return
        at_us = self._pace.at_us(behind * PACKET_SAMPLES)
        tag = bytes((_DATA_STREAM_ELEMENT, len(_SOUND) + _BYTES)) + _SOUND + _said(self._boot, self._number)
        packet = _Packet(tag + self._encoded[behind % len(self._encoded)])
        self._given.packet(self._number, at_us, PACKET_SAMPLES * 1_000_000 / self.sample_rate_hz)
        self._number += 1
        self._outgoing.append((captured_us + self._late_us, self._run_us, at_us, packet))


class Ear:
    """Where a microphone delivers, for who wants its packets alone."""

    def __init__(self) -> None:
        self.packets: list[bytes] = []

    def outputframe(
        self,
        frame: bytes | memoryview | None,  # noqa: ARG002 - sound comes as a packet
        keyframe: bool = True,  # noqa: ARG002
        timestamp: int | None = None,  # noqa: ARG002
        packet: EncodedPacket | None = None,
        audio: bool = False,  # noqa: ARG002
    ) -> None:
        assert packet is not None, "sound comes as a packet"
        self.packets.append(bytes(packet))

    def hear(self, clock: VirtualClock, microphone: TwinMicrophone, packets: int) -> list[bytes]:
        """So many of its first packets."""
        microphone.start(self)
        while len(self.packets) < packets:
            clock.move_to(microphone.run_once(clock.now_us()))
        return self.packets[:packets]


def encoded_sound(settings: Microphone, packets: int = 32) -> list[bytes]:
    """What the twin's microphone gives in its first moments, encoded as it does."""
    clock = VirtualClock("sound")
    microphone = TwinMicrophone(clock, rate_hz=settings.rate_hz, bitrate_bps=settings.bitrate_bps)
    return Ear().hear(clock, microphone, packets)

"""Where encoders deliver: the `outputframe` that picamera2 calls, turned into `ring.append_*`.

Called on an encoder's own thread (V4L2: no packet; audio: a packet and no frame) or on the camera's event-loop thread
(libav: frame and packet). An exception here would end that thread without a word, so it copies, enqueues, and
counts what it can't use; it never raises and never blocks.
"""

from collections.abc import Callable
from typing import Protocol

from device.media.nal import begins_access_unit
from device.media.ring import Ring


class EncodedPacket(Protocol):
    """The little that is used of a `av.Packet`."""

    @property
    def is_keyframe(self) -> bool: ...

    def __buffer__(self, flags: int, /) -> memoryview: ...


class EncoderSink:
    """One encoder's way into the ring. `first_timestamp_us` is the boot time at which that encoder counts zero; when it
    becomes another, the encoder has begun anew, and nothing leans on what came before."""

    def __init__(self, ring: Ring, first_timestamp_us: Callable[[], int]) -> None:
        self._ring = ring
        self._first_timestamp_us = first_timestamp_us
        self._zero_us: int | None = None
        self.unusable = 0

    def outputframe(
        self,
        frame: bytes | memoryview | None,
        keyframe: bool = True,
        timestamp: int | None = None,
        packet: EncodedPacket | None = None,
        audio: bool = False,
    ) -> None:
        """Take one encoded frame. `timestamp` is µs since the encoder's start. The bytes are copied before return. What can't
        be a picture counts as none: an encoder that gives nothing else is silent."""
        payload = frame if frame is not None else packet
        data = b"" if payload is None else bytes(payload)
        if not data or timestamp is None or not (audio or begins_access_unit(data)):
            self.unusable += 1
            return
        zero_us = self._first_timestamp_us()
        anew, self._zero_us = self._zero_us not in (None, zero_us), zero_us
        if audio:
            self._ring.append_audio(data, zero_us + timestamp, anew=anew)
            return
        if anew:
            self._ring.restart_video()
        self._ring.append_video(data, zero_us + timestamp, keyframe)

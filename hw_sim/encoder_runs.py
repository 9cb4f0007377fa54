"""One run of the twin's encoder, and the part that encodes where the encoder has a thread of its own.

Here belong how pictures become frames at a sink, and nothing of when they are taken (`hw_sim.camera`).
"""

import random
import threading
from collections import deque
from typing import TYPE_CHECKING, Literal, Protocol

from device.clock import NEVER_US, Wake
from device.media.sink import EncodedPacket
from hw_sim.encoders import Encoder, Unit
from hw_sim.schedule import Schedule

if TYPE_CHECKING:
    import av

Behaviour = Literal["v4l2", "libav"]

ENCODER_QUEUE_FRAMES = 4
"""Pictures that may wait for the encoder part; a picture that finds no place never comes."""

_USED_AGAIN = b"\xa5"


class Sink(Protocol):
    """What an encoder delivers to: picamera2's `Output.outputframe`. `timestamp` is µs since the encoder's start."""

    def outputframe(
        self,
        frame: bytes | memoryview | None,
        keyframe: bool = True,
        timestamp: int | None = None,
        packet: EncodedPacket | None = None,
        audio: bool = False,
    ) -> None: ...


class EncoderFaults:
    """What is wrong with the encoder, whichever run it is in. `takes_us`: how long a frame takes it, where it has a thread
    of its own; `ahead_us`: how far its time stamps are ahead; `garbage`: it gives random bytes of the right length."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.garbage = False
        self.ahead_us = 0
        self.takes_us = 0
        self._random = random.Random(1)

    def spoilt(self, unit: Unit) -> Unit:
        if not self.garbage:
            return unit
        data = self._random.randbytes(len(unit.data))
        return Unit(data, unit.keyframe, None if unit.packet is None else GarbagePacket(data, unit.keyframe))


class GarbagePacket:
    """What a broken encoder puts in the place of a packet."""

    def __init__(self, data: bytes, keyframe: bool) -> None:
        self._data = data
        self.is_keyframe = keyframe

    def __buffer__(self, flags: int, /) -> memoryview:
        return memoryview(self._data)


class Run:
    """One run of the encoder, from a start to a stop: its zero of time, its sink, and whether it still delivers."""

    def __init__(
        self, encoder: Encoder, sink: Sink, behaviour: Behaviour, schedule: Schedule, faults: EncoderFaults
    ) -> None:
        self._faults = faults
        self.encoder = encoder
        self.sink = sink
        self.first_us = schedule.at_us
        self.schedule = schedule
        self.keyframe_wanted = False
        self._behaviour = behaviour
        self._delivering = threading.Lock()
        self._closed = False
        self._buffer = bytearray(1 << 16)

    def timestamp_us(self, number: int) -> int:
        return self.schedule.instant_us(number) - self.first_us

    def deliver(self, picture: "av.VideoFrame | None", timestamp_us: int) -> None:
        with self._delivering:
            if self._closed:
                return
            wanted, self.keyframe_wanted = self.keyframe_wanted, False
            unit = self._faults.spoilt(self.encoder.encode(picture, wanted))
            timestamp_us += self._faults.ahead_us
            if self._behaviour == "libav":
                self.sink.outputframe(unit.data, unit.keyframe, timestamp_us, packet=unit.packet)
            else:
                self._deliver_from_buffer(unit, timestamp_us)

    def close(self) -> None:
        with self._delivering:
            self._closed = True

    def _deliver_from_buffer(self, unit: Unit, timestamp_us: int) -> None:
        size = len(unit.data)
        if size > len(self._buffer):
            self._buffer = bytearray(2 * size)
        self._buffer[:size] = unit.data
        self.sink.outputframe(memoryview(self._buffer)[:size], unit.keyframe, timestamp_us)
        self._buffer[:size] = _USED_AGAIN * size


class EncoderPart:
    """The encoder of the `v4l2` behaviour: takes pictures from the camera part, encodes and delivers them."""

    name = "encoder"

    def __init__(self, faults: EncoderFaults) -> None:
        self.wake = Wake()
        self._faults = faults
        self._free_at_us = 0
        self._waiting: deque[tuple[Run, av.VideoFrame | None, int]] = deque()

    def take(self, run: Run, picture: "av.VideoFrame | None", timestamp_us: int) -> bool:
        """Called by the camera part; False when there is no place."""
        if len(self._waiting) >= ENCODER_QUEUE_FRAMES:
            return False
        self._waiting.append((run, picture, timestamp_us))
        self.wake.ring()
        return True

    def run_once(self, now_us: int) -> int:
        while self._waiting and now_us >= self._free_at_us:
            run, picture, timestamp_us = self._waiting.popleft()
            run.deliver(picture, timestamp_us)
            self._free_at_us = now_us + self._faults.takes_us
        return self._free_at_us if self._waiting else NEVER_US

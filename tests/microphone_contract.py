"""What the daemon may count on of a microphone, for both subjects: the twin's, and the Pi's on a card made for tests.

A subject plays in virtual time. `tests/test_microphones.py` runs this with each.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Protocol

import av
import msgspec
import numpy as np

from device.hardware import MicrophoneDriver
from device.media.aac import audio_specific_config
from device.media.frames import PACKET_SAMPLES
from device.media.sink import EncodedPacket

STEP_US = 20_000
"""Sound and picture may be 40 ms apart; of that the microphone's times may take half."""


class Subject(Protocol):
    @property
    def microphone(self) -> MicrophoneDriver: ...

    zero_us: int
    """The scene's time: there is a click at each whole second since."""

    def unplug(self) -> None: ...

    def replug(self) -> None: ...

    def run(self, seconds: float) -> None: ...


Make = Callable[[int], Subject]
"""A subject whose card is so many ppm fast."""


class Heard(msgspec.Struct, frozen=True):
    at_us: int
    zero_us: int
    data: bytes


class Recording:
    """A sink that keeps what comes, as `EncoderSink` reads it."""

    def __init__(self, microphone: MicrophoneDriver) -> None:
        self._microphone = microphone
        self.packets: list[Heard] = []

    def outputframe(
        self,
        frame: bytes | memoryview | None,
        keyframe: bool = True,
        timestamp: int | None = None,
        packet: EncodedPacket | None = None,
        audio: bool = False,
    ) -> None:
        assert frame is None
        assert (keyframe, audio) == (True, True)
        assert timestamp is not None
        assert packet is not None
        zero_us = self._microphone.first_timestamp_us()
        self.packets.append(Heard(zero_us + timestamp, zero_us, bytes(packet)))

    @property
    def runs(self) -> list[list[Heard]]:
        """The packets of each run."""
        zeros = sorted({packet.zero_us for packet in self.packets})
        return [[packet for packet in self.packets if packet.zero_us == zero_us] for zero_us in zeros]


def begun(subject: Subject) -> Recording:
    sink = Recording(subject.microphone)
    subject.microphone.start(sink)  # type: ignore[arg-type] # it has what is used of an `EncoderSink`
    return sink


def clicks_us(subject: Subject, packets: list[Heard]) -> list[float]:
    """When each click begins, by the packets' own times."""
    decoder = av.CodecContext.create("aac", "r")
    decoder.extradata = subject.microphone.extradata
    found: list[float] = []
    for packet in packets:
        for frame in decoder.decode(av.Packet(packet.data)):
            loud = np.flatnonzero(np.abs(np.asarray(frame.to_ndarray(), np.float32)[0]) > 0.45)
            at_us = packet.at_us + (int(loud[0]) if loud.size else 0) * 1e6 / subject.microphone.sample_rate_hz
            if loud.size and (not found or at_us - found[-1] > 100_000):
                found.append(at_us)
    return found


def off_us(subject: Subject, packets: list[Heard]) -> list[float]:
    """How far each click but the first is from its second: the first may be one that had begun before the run."""
    since = [at_us - subject.zero_us for at_us in clicks_us(subject, packets)[1:]]
    return [at_us - round(at_us / 1e6) * 1e6 for at_us in since]


def it_says_what_it_gives_before_it_is_started(make: Make) -> None:
    microphone = make(0).microphone
    assert (microphone.sample_rate_hz, microphone.channels) == (48_000, 1)
    assert microphone.extradata == audio_specific_config(48_000, 1) == bytes.fromhex("118856e500")


def packets_follow_one_another_from_the_zero_on(make: Make) -> None:
    subject = make(0)
    began_us = subject.zero_us
    sink = begun(subject)
    subject.run(5)
    packets = sink.packets
    assert len(sink.runs) == 1
    assert len(packets) > 225
    assert packets[0].at_us == packets[0].zero_us
    assert abs(packets[0].at_us - began_us) <= 1_000
    steps = [after.at_us - before.at_us for before, after in pairwise(packets)]
    assert all(abs(step - PACKET_SAMPLES * 1e6 / 48_000) < 1_100 for step in steps)


def sound_arrives_soon(make: Make) -> None:
    subject = make(0)
    sink = begun(subject)
    subject.run(1)
    assert len(sink.packets) >= 35


def clicks_are_where_they_were_captured(make: Make) -> None:
    subject = make(0)
    sink = begun(subject)
    subject.run(6.5)
    off = off_us(subject, sink.packets)
    assert len(off) == 6
    assert max(map(abs, off)) < 5_000


def drift_is_followed(make: Make, drift_ppm: int) -> None:
    """Twenty times what a crystal is off."""
    subject = make(drift_ppm)
    sink = begun(subject)
    subject.run(45)
    for part in (sink.packets[:1_000], sink.packets[-1_000:]):
        off = off_us(subject, part)
        assert len(off) >= 19
        assert max(map(abs, off)) < STEP_US
    assert all(before.at_us < after.at_us for before, after in pairwise(sink.packets))


def unplugged_is_silence_and_replugged_a_new_run(make: Make) -> None:
    subject = make(0)
    sink = begun(subject)
    subject.run(3)
    subject.unplug()
    subject.run(0.5)
    before = len(sink.packets)
    subject.run(4)
    assert len(sink.packets) == before
    replugged_us = subject.zero_us + 7_500_000
    subject.replug()
    subject.run(9 + 4)
    first, second = sink.runs
    assert first[-1].at_us < subject.zero_us + 3_000_000
    assert replugged_us <= second[0].at_us <= replugged_us + 8_100_000
    assert max(map(abs, off_us(subject, second))) < 5_000


def absent_at_the_start_it_comes_when_it_is_there(make: Make) -> None:
    subject = make(0)
    subject.unplug()
    sink = begun(subject)
    subject.run(20)
    assert sink.packets == []
    subject.replug()
    subject.run(9)
    assert len(sink.runs) == 1
    assert sink.packets[0].at_us >= subject.zero_us + 20_000_000


def stopped_it_gives_nothing_and_started_again_a_new_run(make: Make) -> None:
    subject = make(0)
    sink = begun(subject)
    subject.run(2)
    subject.microphone.stop()
    subject.microphone.stop()
    before = len(sink.packets)
    subject.run(2)
    assert len(sink.packets) == before
    subject.microphone.start(sink)  # type: ignore[arg-type]
    subject.run(2)
    assert [run[0].at_us >= subject.zero_us + 4_000_000 for run in sink.runs] == [False, True]


EVERY: list[Callable[[Make], None]] = [
    it_says_what_it_gives_before_it_is_started,
    packets_follow_one_another_from_the_zero_on,
    sound_arrives_soon,
    clicks_are_where_they_were_captured,
    unplugged_is_silence_and_replugged_a_new_run,
    absent_at_the_start_it_comes_when_it_is_there,
    stopped_it_gives_nothing_and_started_again_a_new_run,
]

"""Where encoders deliver: copied, timed on the boot clock, and told apart from one run of the encoder to the next."""

import pytest

from device.media.sink import EncoderSink
from tests.clips import data_of, ring_of

SECOND_US = 1_000_000


class Encoder:
    """What counts zero at each of its starts."""

    def __init__(self) -> None:
        self.zero_us = 5 * SECOND_US

    def first_timestamp_us(self) -> int:
        return self.zero_us


def test_times_are_the_encoders_zero_and_its_count() -> None:
    ring, encoder = ring_of(), Encoder()
    EncoderSink(ring, encoder.first_timestamp_us).outputframe(data_of("I"), True, 250_000)
    assert ring.newest_video_us == 5_250_000


def test_after_a_restart_nothing_is_taken_until_a_keyframe() -> None:
    ring, encoder = ring_of(), Encoder()
    sink = EncoderSink(ring, encoder.first_timestamp_us)
    sink.outputframe(data_of("I"), True, 0)
    sink.outputframe(data_of("P"), False, 250_000)
    encoder.zero_us = 9 * SECOND_US
    sink.outputframe(data_of("P"), False, 0)
    sink.outputframe(data_of("I"), True, 250_000)
    claim = ring.claim(0, 0)
    held = [frame.number for _, frames in ring.gops(claim, 0) for frame in frames]
    assert held == [0, 1, 3]
    assert [(r.cause, r.first_number, r.last_number) for r in ring.refusals(0, 9)] == [("keyframe-awaited", 2, 2)]


def test_the_bytes_are_copied_before_it_returns() -> None:
    ring, encoder = ring_of(), Encoder()
    buffer = bytearray(data_of("I"))
    EncoderSink(ring, encoder.first_timestamp_us).outputframe(memoryview(buffer), True, 0)
    buffer[:] = b"\xa5" * len(buffer)
    ((_, (frame,)),) = ring.gops(ring.claim(0, 0), 0)
    assert frame.data == data_of("I")


def test_what_can_not_be_used_is_counted() -> None:
    ring, encoder = ring_of(), Encoder()
    sink = EncoderSink(ring, encoder.first_timestamp_us)
    sink.outputframe(None, True, 0)
    sink.outputframe(b"x", True, None)
    assert (sink.unusable, ring.newest_video_us) == (2, None)


@pytest.mark.parametrize(
    "spoilt",
    [b"\x5c" * 400, b"\0\0\1", b"\0\0\0\1", b"\0\0\1\xe5", b"\0\0\1\x60", b"\0\0\1\x6a"],
    ids=["random", "no unit", "no unit, long", "the forbidden bit", "type 0", "type 10"],
)
def test_what_can_not_be_a_picture_counts_as_none(spoilt: bytes) -> None:
    """An encoder that gives nothing else is silent, and is told and started anew as that."""
    ring, encoder = ring_of(), Encoder()
    sink = EncoderSink(ring, encoder.first_timestamp_us)
    sink.outputframe(spoilt, True, 0)
    assert (sink.unusable, ring.newest_video_us, ring.next_video_number) == (1, None, 0)
    sink.outputframe(b"\0\0\1\x65" + spoilt, True, 0)
    assert (sink.unusable, ring.next_video_number) == (1, 1)

"""A fragment is, byte for byte, what libavformat makes of the same frames."""

import io
import random
from fractions import Fraction

import av
import pytest

from device.errors import EvidenceError
from device.media.boxes import top_level_boxes
from device.media.fmp4 import AudioFormat, Muxer
from device.media.frames import CaptureFlags, Frame, parameter_sets
from device.media.nal import START_CODE
from device.media.picture import picture_of
from device.media.trial import BLACK

CASES = 40
BASE_US = 5_000_000
RATE_HZ = 48_000
AAC_LC_MONO = bytes.fromhex("1188")
OPTIONS = {
    "movflags": "frag_custom+empty_moov+default_base_moof+frag_discont+skip_trailer",
    "use_editlist": "0",
    "avoid_negative_ts": "disabled",
    "video_track_timescale": "1000000",
    "fflags": "+bitexact",
}
FLAGS = CaptureFlags(zone="street")
FIRST = Frame(BLACK, BASE_US, 0, keyframe=True, flags=FLAGS)


def muxer(*, sound: bool) -> Muxer:
    sets = parameter_sets(BLACK)
    assert sets is not None
    return Muxer(FIRST, sets, AudioFormat(RATE_HZ, 1, AAC_LC_MONO) if sound else None)


def by_libavformat(number: int, video: list[Frame], sound: list[Frame], end_us: int) -> bytes:
    """Init and fragment. The sound's times must rise by a sample or more."""
    buffer = io.BytesIO()
    template = av.open(io.BytesIO(BLACK), format="h264")
    sets = parameter_sets(BLACK)
    assert sets is not None
    template.streams.video[0].codec_context.extradata = sets.annex_b()
    container = av.open(buffer, "w", format="mp4", options=OPTIONS | {"fragment_index": str(number)})
    video_stream = container.add_stream_from_template(template.streams.video[0], opaque=True)
    video_stream.time_base = Fraction(1, 1_000_000)
    sound_stream = container.add_stream("aac", rate=RATE_HZ)
    sound_stream.codec_context.layout = "mono"
    sound_stream.codec_context.extradata = AAC_LC_MONO
    sound_stream.time_base = Fraction(1, RATE_HZ)
    for frame, next_us in zip(video, [*[each.at_us for each in video[1:]], end_us], strict=False):
        packet = av.Packet(frame.data)
        packet.stream, packet.time_base = video_stream, Fraction(1, 1_000_000)
        packet.pts = packet.dts = frame.at_us - BASE_US
        packet.duration = max(1, next_us - frame.at_us)
        packet.is_keyframe = frame.keyframe
        container.mux_one(packet)
    for frame in sound:
        packet = av.Packet(frame.data)
        packet.stream, packet.time_base = sound_stream, Fraction(1, RATE_HZ)
        packet.pts = packet.dts = round((frame.at_us - BASE_US) * RATE_HZ / 1_000_000)
        packet.duration = 1024
        packet.is_keyframe = True
        container.mux_one(packet)
    container.close()
    return buffer.getvalue()


def picture_bytes(odds: random.Random) -> bytes:
    """One to four units behind start codes of three or four bytes; none ends in zero, none has a start code within."""
    data = b""
    for _ in range(odds.choice([1, 1, 1, 2, 4])):
        body = odds.randbytes(odds.choice([1, 2, 7, 300])).replace(b"\0", b"\1")
        data += odds.choice([START_CODE, START_CODE[1:]]) + bytes([odds.choice([0x41, 0x65, 0x06, 0x09])]) + body
    return data


def drawn(odds: random.Random, count: int, step_us: int, *, even: bool, alike: bool) -> list[Frame]:
    at_us = BASE_US + odds.choice([0, 1, 1_000_000, 40_000_000_000])
    data = picture_bytes(odds)
    frames = []
    for number in range(count):
        data = data if alike else picture_bytes(odds)
        frames.append(Frame(data, at_us, number, keyframe=odds.random() < 0.2, flags=FLAGS))
        at_us += step_us if even else odds.randrange(30, 3 * step_us)
    return frames


@pytest.mark.parametrize("seed", range(3))
def test_a_fragment_is_what_libavformat_makes_of_the_same_frames(seed: int) -> None:
    odds = random.Random(seed)
    ours = muxer(sound=True)
    kinds = set()
    for _ in range(CASES):
        even, alike = odds.random() < 0.5, odds.random() < 0.3
        video = drawn(odds, odds.choice([0, 1, 2, 30]), 33_333, even=even, alike=alike)
        sound = drawn(odds, odds.choice([0, 0, 1, 47]), 21_333, even=even, alike=alike)
        if not video and not sound:
            continue
        end_us = video[-1].at_us + odds.choice([1, 33_333, 1_500_000]) if video else 0
        number = odds.choice([1, 2, 100_000])
        theirs = by_libavformat(number, video, sound, end_us)
        assert theirs == b"".join([ours.init, *ours.fragment(number, list(map(picture_of, video)), sound, end_us)])
        kinds.add((bool(video), bool(sound), even, alike))
    assert len(kinds) > 8, "all kinds were drawn"


def test_two_packets_of_sound_that_began_in_one_sample_follow_each_other() -> None:
    sound = [Frame(b"one", BASE_US, 0, True, FLAGS), Frame(b"two", BASE_US + 1, 1, True, FLAGS)]
    pair = [sound[0], Frame(b"two", BASE_US + 21, 1, True, FLAGS)]
    assert muxer(sound=True).fragment(1, [], sound, 0) == muxer(sound=True).fragment(1, [], pair, 0)


def test_zeros_behind_a_unit_are_not_the_pictures_and_bytes_without_a_start_code_are_an_empty_sample() -> None:
    frame = Frame(START_CODE + b"\x41abc\0\0\0\0", BASE_US + 1, 1, False, FLAGS)
    lost = Frame(b"no picture", BASE_US + 2, 2, False, FLAGS)
    data = b"".join(muxer(sound=False).fragment(1, [picture_of(frame), picture_of(lost)], [], BASE_US + 3))
    boxes = list(top_level_boxes(data))
    assert [box.kind for box in boxes] == [b"moof", b"mdat"]
    assert data[boxes[1].offset + 8 :] == b"\0\0\0\x04\x41abc"


def test_what_has_no_room_in_a_fragment_is_refused() -> None:
    with pytest.raises(EvidenceError, match="can't be put into one segment"):
        muxer(sound=False).fragment(1, [picture_of(FIRST)], [], BASE_US + (1 << 32))


@pytest.mark.parametrize("spoilt", [BLACK + b"\x00\x00\x01", b"\x00\x00\x01" + BLACK, BLACK + b"\x00\x00\x00\x01" * 3])
def test_between_start_codes_that_touch_there_is_no_unit(spoilt: bytes) -> None:
    """A unit of no length is none that a reader takes."""
    frame = Frame(spoilt, BASE_US, 0, keyframe=True, flags=FLAGS)
    assert picture_of(frame).units == picture_of(FIRST).units

"""A record's payload has one spelling, known types and fields, bounded numbers; everything else is refused."""

import json
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.errors import EvidenceError
from device.evidence import layout, records
from device.evidence.records import (
    ClockQuality,
    Gap,
    Line,
    Noted,
    Provisioned,
    RecordingHead,
    Segment,
    Segments,
    Stored,
    VideoSpan,
)

NAME = "000001-0123456789abcdef"
HEADER: dict[str, object] = {"device": "BC-1", "stream": NAME, "seq": 1, "prev": "0" * 64, "boot": "b", "boot_us": 5}
NOTED = Noted(what="stop-asked", at_us=1, value=-3, **HEADER)  # type: ignore[arg-type]
GAP = Gap(cause="camera", frames=1, first=1, last=1, from_us=1, to_us=2, **HEADER)  # type: ignore[arg-type]
SEGMENTS = Segments(
    segments=(
        Segment(
            n=0,
            attempt=0,
            stage="pre",
            file=Stored(size=1, plain="0" * 64, sealed="1" * 64),
            video=VideoSpan(first=0, last=29, frames=30, from_us=0, last_us=966_666, to_us=1_000_000, period_us=33_333),
            audio=None,
        ),
    ),
    **HEADER,  # type: ignore[arg-type]
)
GOOD = records.encode(NOTED)
HEAD = RecordingHead(recording=NAME, head=Line(stream=NAME, seq=0, sha256="0" * 64), **HEADER)  # type: ignore[arg-type]
STATEMENT = Provisioned(
    format=records.FORMAT,
    device="BC-1",
    agency="A",
    certificate_sha256="0" * 64,
    key_protection="file",
    utc="2026-01-01T00:00:00.000000Z",
)


def test_good_records_are_read_as_they_were_written() -> None:
    assert records.decode_ledger(GOOD) == NOTED
    assert records.decode_ledger(records.encode(GAP)) == GAP
    assert records.decode_ledger(records.encode(SEGMENTS)) == SEGMENTS
    assert records.decode_journal(records.encode(HEAD)) == HEAD
    assert records.decode_provisioned(records.encode(STATEMENT)) == STATEMENT


@pytest.mark.parametrize("attempt", [0, 1, 99, 100, 999_999])
def test_a_segments_name_has_room_for_every_attempt_that_a_record_says(attempt: int) -> None:
    assert layout.segment_numbers(layout.segment_file(7, attempt)) == (7, attempt)


def _put(old: bytes, new: bytes, of: bytes = GOOD) -> bytes:
    assert of.count(old) == 1, (old, of)
    return of.replace(old, new)


def _reordered() -> bytes:
    content = json.loads(GOOD)
    return json.dumps(dict(reversed(content.items())), separators=(",", ":")).encode()


REFUSED = {
    "blanks": GOOD.replace(b":", b": "),
    "a blank after": GOOD + b" ",
    "a newline after": GOOD + b"\n",
    "CRLF after": GOOD + b"\r\n",
    "a byte order mark": b"\xef\xbb\xbf" + GOOD,
    "NUL after": GOOD + b"\0",
    "keys in another order": _reordered(),
    "a key twice": GOOD[:-1] + b',"value":-3}',
    "a key twice, the first one wrong": _put(b'"value":-3', b'"value":9,"value":-3'),
    "a field more": GOOD[:-1] + b',"note":""}',
    "a field less": _put(b',"value":-3', b""),
    "a field that may be left out, left out": _put(b'"device":"BC-1",', b""),
    "an unknown type": _put(b'"type":"noted"', b'"type":"noticed"'),
    "a journal's type": records.encode(HEAD),
    "no type": _put(b'"type":"noted",', b""),
    "an unknown format": _put(b"bodycam/1", b"bodycam/2"),
    "a float": _put(b'"value":-3', b'"value":-3.0'),
    "an exponent": _put(b'"value":-3', b'"value":-3e0'),
    "minus zero": _put(b'"value":-3', b'"value":-0'),
    "a leading zero": _put(b'"at_us":1', b'"at_us":01'),
    "a plus": _put(b'"at_us":1', b'"at_us":+1'),
    "2^53": _put(b'"value":-3', b'"value":%d' % 2**53),
    "-2^53": _put(b'"value":-3', b'"value":-%d' % 2**53),
    "2^53 µs": _put(b'"at_us":1', b'"at_us":%d' % 2**53),
    "a negative count": _put(b'"seq":1', b'"seq":-1'),
    "durable below -1": _put(b'"durable":-1', b'"durable":-2'),
    "a number of thousands of digits": _put(b'"value":-3', b'"value":' + b"9" * 6000),
    "a number as text": _put(b'"at_us":1', b'"at_us":"1"'),
    "true for a number": _put(b'"at_us":1', b'"at_us":true'),
    "null for a number": _put(b'"at_us":1', b'"at_us":null'),
    "NaN": _put(b'"value":-3', b'"value":NaN'),
    "an escape for a letter": _put(b'"what":"stop-asked"', b'"what":"stop-aske\\u0064"'),
    "half a surrogate pair": _put(b'"what":"stop-asked"', b'"what":"\\ud800"'),
    "not UTF-8": _put(b'"what":"stop-asked"', b'"what":"\xff"'),
    "a capital in a word": _put(b"stop-asked", b"Stop-asked"),
    "a word of 64 letters": _put(b"stop-asked", b"a" * 64),
    "a digest in capitals": _put(b"0" * 64, b"A" * 64),
    "a digest of 63": _put(b"0" * 64, b"0" * 63),
    "a line break after a digest": _put(b"0" * 64, b"0" * 64 + b"\\n"),
    "a line break after a stream": _put(NAME.encode(), NAME.encode() + b"\\n"),
    "a path for a stream": _put(NAME.encode(), b"../evidence"),
    "a line break after a time": _put(b"00.000000Z", b"00.000000Z\\n"),
    "a month that is none": _put(b"1970-01-01", b"1970-13-01"),
    "an hour that is none": _put(b"T00:", b"T25:"),
    "a name with a slash before": _put(b'"device":"BC-1"', b'"device":"/BC-1"'),
    "an escape sequence in a name": _put(b'"device":"BC-1"', b'"device":"BC\\u001b[31m"'),
    "a payload past the limit": _put(b"stop-asked", b"a" * records.MAX_PAYLOAD_BYTES),
    "deep nesting": b'{"type":"noted","what":' + b"[" * 30_000,
    "deep and closed": b'{"a":' * 6000 + b"1" + b"}" * 6000,
    "an array": b"[" + GOOD + b"]",
    "two payloads": GOOD + GOOD,
    "nothing": b"",
    "null": b"null",
    "a segment number past six digits": _put(b'"n":0', b'"n":1000000', records.encode(SEGMENTS)),
    "an attempt past six digits": _put(b'"attempt":0', b'"attempt":1000000', records.encode(SEGMENTS)),
    "a field more within": _put(b'"n":0,', b'"n":0,"m":0,', records.encode(SEGMENTS)),
    "keys in another order within": _put(b'"n":0,"attempt":0', b'"attempt":0,"n":0', records.encode(SEGMENTS)),
    "no segment": _put(
        records.encode(SEGMENTS)[records.encode(SEGMENTS).index(b'"segments":[') + 12 : -2],
        b"",
        records.encode(SEGMENTS),
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_second_spelling_is_refused(case: str) -> None:
    with pytest.raises(EvidenceError):
        records.decode_ledger(REFUSED[case])


def test_a_journal_takes_no_ledgers_record_and_no_statement() -> None:
    for payload in (records.encode(SEGMENTS), records.encode(STATEMENT)):
        with pytest.raises(EvidenceError):
            records.decode_journal(payload)
    for payload in (GOOD, records.encode(HEAD)):
        with pytest.raises(EvidenceError):
            records.decode_provisioned(payload)


@pytest.mark.parametrize("quality", [ClockQuality(synchronised=False, source="none", error_us=0)])
def test_every_payload_says_how_far_its_time_is_to_be_believed(quality: ClockQuality) -> None:
    assert json.loads(GOOD)["clock"] == msgspec.to_builtins(quality)


DECODERS: list[Callable[[bytes], object]] = [
    records.decode_ledger,
    records.decode_journal,
    records.decode_provisioned,
]


def _decodes_or_refuses(payload: bytes) -> None:
    for decode in DECODERS:
        try:
            record = decode(payload)
        except EvidenceError:
            continue
        assert msgspec.json.encode(record) == payload


@given(st.binary(max_size=300))
def test_any_bytes_are_a_record_or_refused(payload: bytes) -> None:
    _decodes_or_refuses(payload)


@given(
    st.sampled_from([GOOD, records.encode(SEGMENTS), records.encode(HEAD), records.encode(STATEMENT)]),
    st.integers(0, 10_000),
    st.binary(max_size=6),
    st.integers(0, 6),
)
def test_a_record_with_other_bytes_in_it_is_a_record_or_refused(good: bytes, at: int, put: bytes, taken: int) -> None:
    at %= len(good)
    _decodes_or_refuses(good[:at] + put + good[at + taken :])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from(sorted(json.loads(GOOD))), JSON)
def test_any_value_in_any_field_is_a_record_or_refused(field: str, value: object) -> None:
    content = json.loads(GOOD) | {field: value}
    _decodes_or_refuses(json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass"))

"""Access units are taken apart and escaped as the standard has it; any bytes give units or our error."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.errors import EvidenceError
from device.media.nal import (
    MAX_UNITS,
    annex_b_units,
    begins_gop,
    begins_picture,
    escape,
    is_slice,
    length_prefixed_units,
    unescape,
    unit_type,
)

SMALL = st.binary(max_size=60) | st.lists(st.sampled_from([0, 0, 0, 1, 2, 3, 4, 0x65, 0x80]), max_size=60).map(bytes)


def escaped_byte_by_byte(data: bytes) -> bytes:
    """As clause 7.4.1 of H.264 says it."""
    out = bytearray()
    zeros = 0
    for byte in data:
        if zeros == 2 and byte <= 3:
            out.append(3)
            zeros = 0
        out.append(byte)
        zeros = zeros + 1 if byte == 0 else 0
    return bytes(out)


@given(SMALL)
def test_escaping_is_the_standards_and_comes_undone(data: bytes) -> None:
    assert escape(data) == escaped_byte_by_byte(data)
    assert unescape(escape(data)) == data


@given(SMALL, SMALL)
def test_what_is_escaped_of_a_beginning_begins_the_whole(first: bytes, rest: bytes) -> None:
    assert escape(first + rest).startswith(escape(first))


def test_units_stand_between_start_codes_without_trailing_zeros() -> None:
    data = b"\x00\x00\x00\x01\x67ab\x00\x00\x01\x68c\x00\x00\x00\x00\x01\x65\x80d"
    assert list(map(bytes, annex_b_units(data))) == [b"\x67ab", b"\x68c", b"\x65\x80d"]
    assert list(annex_b_units(b"no start code")) == []


def test_units_stand_behind_their_lengths() -> None:
    sample = b"\x00\x00\x00\x02\x67a\x00\x00\x00\x03\x65\x80\x00"
    assert list(map(bytes, length_prefixed_units(sample, 4))) == [b"\x67a", b"\x65\x80"]
    assert list(map(bytes, length_prefixed_units(b"\x02\x67a", 1))) == [b"\x67a"]


@pytest.mark.parametrize(
    "sample", [b"\x00\x00\x00\x03\x67a", b"\x00\x00\x00\x00", b"\x00\x00\x00", b"\xff\xff\xff\xff\x65"]
)
def test_lengths_that_do_not_add_up_are_refused(sample: bytes) -> None:
    with pytest.raises(EvidenceError, match="NAL unit at byte 0"):
        list(length_prefixed_units(sample, 4))


def test_more_units_than_a_picture_can_have_are_refused() -> None:
    with pytest.raises(EvidenceError, match="4096"):
        list(annex_b_units(b"\x00\x00\x01\x65" * (MAX_UNITS + 1)))
    with pytest.raises(EvidenceError, match="4096"):
        list(length_prefixed_units(b"\x01\x65" * (MAX_UNITS + 1), 1))


def test_what_a_unit_is() -> None:
    first, other, inter, sets, empty = b"\x65\x88", b"\x65\x40", b"\x41\x9a", b"\x67\xff", b""
    assert [unit_type(unit) for unit in (first, other, inter, sets, empty)] == [5, 5, 1, 7, 0]
    assert [is_slice(unit) for unit in (first, other, inter, sets, empty)] == [True, True, True, False, False]
    assert [begins_picture(unit) for unit in (first, other, inter, sets, empty)] == [True, False, True, False, False]
    assert [begins_gop(unit) for unit in (first, other, inter, sets, empty)] == [True, False, False, False, False]


def test_any_bytes_give_units_or_our_error() -> None:
    chosen = random.Random(20261122)
    for _ in range(3000):
        data = chosen.randbytes(chosen.randrange(40)).replace(b"\x77", b"\x00\x00\x01")
        assert all(unit[-1:] != b"\x00" for unit in map(bytes, annex_b_units(data)))
        try:
            units = list(map(bytes, length_prefixed_units(data, chosen.randrange(1, 5))))
        except EvidenceError:
            continue
        assert sum(map(len, units)) <= len(data)

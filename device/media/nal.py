"""H.264 NAL units: taking access units apart, and emulation prevention. Pure and bounded; any thread.

A unit is everything from its header to its last byte that is not zero (the stop bit's), without start code or length.
Given any bytes, this returns or raises `EvidenceError`.
"""

import re
from collections.abc import Iterator

from device.errors import EvidenceError

START_CODE = b"\x00\x00\x00\x01"
IDR = 5
SEI = 6
SPS = 7
PPS = 8
DELIMITER = 9
MAX_UNITS = 4096
"""In one access unit: far more slices than any level of H.264 allows."""

_SHORT_START_CODE = b"\x00\x00\x01"
_SLICES = range(1, 6)
_BEGINNINGS = range(1, DELIMITER + 1)
_FORBIDDEN = 0x80
"""The first bit of a unit is 0."""
_EMULATED = re.compile(rb"\x00\x00(?=[\x00-\x03])")
_PREVENTED = re.compile(rb"\x00\x00\x03")


def unit_type(unit: bytes | memoryview) -> int:
    """`nal_unit_type`, 0 to 31; 0 (unspecified) for no bytes at all."""
    return unit[0] & 0x1F if len(unit) else 0


def is_slice(unit: bytes | memoryview) -> bool:
    """Whether it is a picture's: a VCL NAL unit."""
    return len(unit) > 0 and unit[0] & 0x1F in _SLICES


def begins_access_unit(data: bytes) -> bool:
    """Whether it begins as an access unit does: with a start code, and a unit of a picture or of what stands before one.
    Bytes that an encoder has spoilt don't."""
    at = next((len(code) for code in (START_CODE, _SHORT_START_CODE) if data.startswith(code)), 0)
    return 0 < at < len(data) and data[at] < _FORBIDDEN and data[at] & 0x1F in _BEGINNINGS


def begins_picture(unit: bytes | memoryview) -> bool:
    """Whether it is a picture's first slice: `first_mb_in_slice` is 0, one bit in Exp-Golomb."""
    return is_slice(unit) and len(unit) > 1 and bool(unit[1] & 0x80)


def begins_gop(unit: bytes | memoryview) -> bool:
    """Whether it is the first slice of an IDR picture."""
    return len(unit) > 1 and unit[0] & 0x1F == IDR and unit[1] & 0x80 != 0


def annex_b_units(access_unit: bytes) -> list[memoryview]:
    """The units between start codes, not copied. `EvidenceError` when there are more than `MAX_UNITS`."""
    view = memoryview(access_unit)
    units: list[memoryview] = []
    begin = access_unit.find(_SHORT_START_CODE)
    while begin >= 0:
        _check_count(len(units))
        begin += len(_SHORT_START_CODE)
        following = access_unit.find(_SHORT_START_CODE, begin)
        units.append(_without_trailing_zeros(view[begin:] if following < 0 else view[begin:following]))
        begin = following
    return units


def length_prefixed_units(sample: bytes, length_bytes: int) -> Iterator[memoryview]:
    """The units of an MP4 sample, not copied, each after its length in `length_bytes` (1 to 4) bytes.

    `EvidenceError` when the lengths do not add up to the sample, and for more than `MAX_UNITS`.
    """
    view = memoryview(sample)
    at = 0
    count = 0
    while at < len(view):
        end = at + length_bytes + int.from_bytes(view[at : at + length_bytes], "big")
        if end > len(view) or end == at + length_bytes:
            raise EvidenceError(
                f"a NAL unit at byte {at} of a sample says it ends at {end}; the sample has {len(view)}"
            )
        _check_count(count)
        count += 1
        yield _without_trailing_zeros(view[at + length_bytes : end])
        at = end


def escape(data: bytes) -> bytes:
    """With emulation prevention: a 3 after two zeros that a byte from 0 to 3 follows. What is escaped of a beginning is
    the beginning of what is escaped of the whole."""
    parts = []
    begin = 0
    found = _EMULATED.search(data)
    while found is not None:
        parts += [data[begin : found.end()], b"\x03"]
        begin = found.end()
        found = _EMULATED.search(data, begin)
    return b"".join([*parts, data[begin:]])


def unescape(data: bytes) -> bytes:
    """Without emulation prevention."""
    return _PREVENTED.sub(b"\x00\x00", data)


def _check_count(before: int) -> None:
    if before == MAX_UNITS:
        raise EvidenceError(f"more than {MAX_UNITS} NAL units in one access unit")


def _without_trailing_zeros(unit: memoryview) -> memoryview:
    if not unit or unit[-1]:
        return unit
    end = len(unit) - 1
    while end and unit[end - 1] == 0:
        end -= 1
    return unit[:end]

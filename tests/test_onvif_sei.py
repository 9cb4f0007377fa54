"""The SEI of ONVIF Media Signing: the specification's own sample is read, ours is read back, any bytes give our error."""

import random
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.errors import EvidenceError
from device.media.nal import SEI, escape, unescape
from device.media.onvif_check import StreamChecker
from device.media.onvif_sei import General, Vendor, document, finished, parse
from tests.media import SAMPLE, parsed, samples_of, seis_of

GENERAL = General(
    counter=7, partial=False, start_us=1_790_000_000_000_000, end_us=1_790_000_001_000_000, units=2,
    gop_hash=bytes(32), linked=bytes(range(32)),
)  # fmt: skip
VENDOR = Vendor(firmware="bodycam 1", serial="BC-1", manufacturer="An agency")
HASHES = (bytes(32), b"\x00\x00\x01" * 10 + b"\x00\x00")


@pytest.mark.shared
def test_the_samples_seis_are_read() -> None:
    seis = parsed(samples_of(SAMPLE))
    generals = [sei.general for sei in seis if sei.general is not None]
    assert [(g.counter, g.units, g.partial, g.first) for g in generals] == [
        (1, 62, False, True),
        (2, 62, False, False),
        (3, 62, False, False),
        (4, 62, False, False),
    ]
    assert {(sei.certificate, sei.hash_name, len(sei.hashes)) for sei in seis} == {(False, "sha256", 62)}
    assert {sei.vendor for sei in seis} == {Vendor("v0.0.4", "N/A", "Signed Media Framework")}
    assert {sei.chain[:27] for sei in seis} == {b"-----BEGIN CERTIFICATE-----"}
    assert [len(sei.signature) for sei in seis] == [71, 71, 71, 70]
    assert {len(sei.signed) for sei in seis} == {2716}


def test_ours_is_read_back() -> None:
    written = document(GENERAL, HASHES, VENDOR, b"chain", signed=True)
    unit = finished(written, b"\x30" * 70)
    sei = parse(unit)
    assert sei is not None
    assert (sei.general, sei.hashes, sei.vendor, sei.chain) == (GENERAL, HASHES, VENDOR, b"chain")
    assert (sei.signed, sei.signature, sei.certificate) == (written, b"\x30" * 70, False)


def test_emulation_prevention_comes_before_hashing_and_says_so() -> None:
    """The document is full of zeros; what is signed is what stands in the stream."""
    written = document(GENERAL, HASHES, VENDOR, b"", signed=True)
    unit = finished(written, b"\x00" * 70)
    plain = unescape(unit)
    assert plain[plain.index(bytes.fromhex("90877a6f")) + 4] == 0x40
    assert len(plain) + 20 < len(unit)
    assert escape(plain) == unit
    assert unit.startswith(written)


def test_one_without_signature_says_nothing_is_signed() -> None:
    sei = parse(finished(document(GENERAL, HASHES, None, b"", signed=False), b""))
    assert sei is not None
    assert (sei.general, sei.hashes, sei.signed, sei.signature, sei.vendor, sei.chain) == (
        GENERAL,
        HASHES,
        b"",
        b"",
        None,
        b"",
    )


def test_times_and_counters_are_big_endian_as_the_sample_has_them() -> None:
    plain = unescape(document(GENERAL, (), None, b"", signed=False))
    at = plain.index(bytes([2, 26, 6, 0, 0])) + 5
    assert int.from_bytes(plain[at : at + 8], "big") == 134_344_736_000_000_000
    assert plain[at + 16 : at + 22] == b"\x00\x00\x00\x07\x00\x02"


def test_a_list_that_is_too_long_for_its_tag_is_left_out() -> None:
    assert parse(finished(document(GENERAL, (b"h" * 32,) * 2046, None, b"", signed=False), b"")).hashes != ()  # type: ignore[union-attr]
    assert parse(finished(document(GENERAL, (b"h" * 32,) * 2047, None, b"", signed=False), b"")).hashes == ()  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "unit", [b"", b"\x06", b"\x06\x05", b"\x06\x05\xff", b"\x41\x9a", b"\x06\x05\x11" + b"x" * 17 + b"\x80"]
)
def test_other_units_are_none_of_ours(unit: bytes) -> None:
    assert parse(unit) is None


def _damaged() -> list[tuple[str, bytes]]:
    whole = unescape(finished(document(GENERAL, HASHES[:1], VENDOR, b"chain", signed=True), b"\x30" * 70))
    uuid = whole.index(bytes.fromhex("005bc93f")) + 16
    tag = whole.index(b"\x01\x00\x5b\x02\x1a\x06\x00")  # the general tag
    return [
        ("as long as it says", whole[:-1]),
        ("as long as it says", whole[:-1] + b"\x81"),
        ("reserved byte", whole[:uuid] + b"\x01" + whole[uuid + 1 :]),
        ("general tag", whole[: tag + 3] + b"\x07" + whole[tag + 4 :]),
        ("tag 9", whole[:tag] + b"\x09" + whole[tag + 1 :]),
        ("tag 4", whole[:tag] + b"\x04" + whole[tag + 1 :]),
        ("arbitrary data", whole[:tag] + b"\x07" + whole[tag + 1 :]),
    ]


@pytest.mark.parametrize(("what", "unit"), _damaged())
def test_one_that_is_not_well_formed_is_our_error(what: str, unit: bytes) -> None:
    with pytest.raises(EvidenceError, match=what):
        parse(unit)


@given(st.binary(max_size=300))
def test_any_payload_under_our_identifier_is_read_or_our_error(payload: bytes) -> None:
    size = 16 + len(payload)
    unit = (
        bytes([SEI, 5])
        + b"\xff" * (size // 255)
        + bytes([size % 255])
        + bytes.fromhex("005bc93f2d715e95ada4796f90877a6f")
    )
    with suppress(EvidenceError):
        parse(unit + payload + b"\x80")


@pytest.mark.shared
def test_damaged_seis_of_the_sample_give_our_error_and_no_stream_stops_the_reader() -> None:
    samples = samples_of(SAMPLE)
    place = seis_of(samples)[0]
    whole = samples[place[0]][place[1]]
    chosen = random.Random(20261122)
    for _ in range(2000):
        unit = bytearray(whole)
        for _ in range(chosen.randrange(1, 6)):
            unit[chosen.randrange(len(unit))] = chosen.choice((0, 1, 3, 7, 255, chosen.randrange(256)))
        del unit[chosen.choice((len(unit), chosen.randrange(len(unit)))) :]
        checker = StreamChecker(lambda _: "")
        checker.take([b"\x65\x88\x80", bytes(unit), b"\x41\x9a\x80", bytes(unit)], 0)
        checker.end()
        assert checker.received == 4

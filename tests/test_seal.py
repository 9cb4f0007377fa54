"""For whom a file was encrypted is read from its header without opening it; boxes are walked to the last byte."""

import base64

import pyrage
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.errors import ConfigurationError, EvidenceError
from device.evidence.age_file import STANZA
from device.evidence.seal import Sealer, stanza_types
from device.media.boxes import top_level_boxes

FIRST, SECOND = pyrage.x25519.Identity.generate(), pyrage.x25519.Identity.generate()
BODY = base64.b64encode(bytes(32)).rstrip(b"=")
MAC = b"--- " + base64.b64encode(bytes(32)).rstrip(b"=")
X25519 = b"-> X25519 " + BODY + b"\n" + BODY + b"\n"


def _header(*stanzas: bytes, version: bytes = b"age-encryption.org/v1", mac: bytes = MAC) -> bytes:
    return version + b"\n" + b"".join(stanzas) + mac + b"\n" + b"payload"


@pytest.mark.parametrize("count", [1, 2, 5])
def test_every_recipient_is_counted_however_much_grease_there_is(count: int) -> None:
    """Other writers add a grease stanza at random: a hundred files of rage's, and never another answer; ours have none."""
    recipients = [pyrage.x25519.Identity.generate().to_public() for _ in range(count)]
    for _ in range(100):
        assert stanza_types(pyrage.encrypt(b"plain", recipients)) == (STANZA,) * count
    data = Sealer(tuple(map(str, recipients)), "recipients").seal(b"plain").data
    assert stanza_types(data) == (STANZA,) * count
    assert data.split(b"\n--- ")[0].count(b"\n-> ") == count


def test_what_was_sealed_opens_for_each_recipient_and_no_other() -> None:
    sealed = Sealer((str(FIRST.to_public()), str(SECOND.to_public())), "recipients").seal(b"plain")
    assert pyrage.decrypt(sealed.data, [FIRST]) == pyrage.decrypt(sealed.data, [SECOND]) == b"plain"
    with pytest.raises(pyrage.DecryptError):
        pyrage.decrypt(sealed.data, [pyrage.x25519.Identity.generate()])
    assert sealed.stored.size == len(sealed.data)


def test_a_recipient_that_is_none() -> None:
    with pytest.raises(ConfigurationError, match="age1"):
        Sealer(("age1nonsense",), "recipients.footage")


def test_the_context_is_salted() -> None:
    sealer = Sealer((str(FIRST.to_public()),), "recipients")
    same: dict[str, str | bool] = {"zone": "street"}
    assert sealer.seal_context(same, b"a" * 16).sha256 != sealer.seal_context(same, b"b" * 16).sha256


def test_stanzas_of_other_kinds_are_named() -> None:
    other = b"-> scrypt " + BODY + b" 18\n" + BODY + b"\n"
    assert stanza_types(_header(X25519, other)) == ("X25519", "scrypt")


def test_one_grease_stanza_is_passed_over_and_a_second_is_not() -> None:
    grease = b"-> x-grease a b\n" + BODY + b"\n"
    assert stanza_types(_header(X25519, grease)) == ("X25519",)
    assert stanza_types(_header(X25519, grease, grease)) == ("X25519", "x-grease")


NOT_AGE = {
    "nothing": b"",
    "text": b"hello",
    "another version": _header(X25519, version=b"age-encryption.org/v2"),
    "CRLF": _header(X25519).replace(b"\n", b"\r\n"),
    "a body before the first stanza": _header(BODY + b"\n", X25519),
    "no end": _header(X25519)[: -len(MAC) - 8],
    "a long body line": _header(b"-> X25519 a\n" + b"A" * 65 + b"\n"),
    "a stanza without a type": _header(b"->\n" + BODY + b"\n"),
    "a stanza with two blanks": _header(b"->  X25519\n" + BODY + b"\n"),
    "a byte that is no letter": _header(b"-> X25519 \xff\n" + BODY + b"\n"),
    "an end that is too short": _header(X25519, mac=MAC[:-1]),
    "an end past 16 KiB": _header(X25519 * 200),
    "armoured": b"-----BEGIN AGE ENCRYPTED FILE-----\n",
}


@pytest.mark.parametrize("case", NOT_AGE)
def test_what_is_no_age_file_is_refused(case: str) -> None:
    with pytest.raises(EvidenceError):
        stanza_types(NOT_AGE[case])


@given(st.binary(max_size=300))
def test_any_bytes_have_stanzas_or_are_refused(data: bytes) -> None:
    for beginning in (data, b"age-encryption.org/v1\n" + data, b"age-encryption.org/v1\n" + X25519 + data):
        try:
            assert isinstance(stanza_types(beginning), tuple)
        except EvidenceError:
            continue


@given(st.integers(0, len(_header(X25519)) - 1), st.binary(max_size=3), st.integers(0, 3))
def test_a_header_with_other_bytes_in_it(at: int, put: bytes, taken: int) -> None:
    good = _header(X25519)
    try:
        assert len(stanza_types(good[:at] + put + good[at + taken :])) <= 2
    except EvidenceError:
        return


# -- boxes ----------------------------------------------------------------------------------------------------------


def _box(kind: bytes, content: bytes) -> bytes:
    return (8 + len(content)).to_bytes(4, "big") + kind + content


def test_every_byte_of_the_boxes_is_accounted_for() -> None:
    data = _box(b"moof", b"abc") + _box(b"mdat", b"")
    assert [(box.offset, box.length, box.kind) for box in top_level_boxes(data)] == [(0, 11, b"moof"), (11, 8, b"mdat")]
    assert list(top_level_boxes(b"")) == []


NO_BOXES = {
    "a box to the end of the file": b"\0\0\0\0mdatxx",
    "a length of 64 bits past the end": b"\0\0\0\1mdat" + (19).to_bytes(8, "big") + b"xx",
    "a length of 64 bits below its header": b"\0\0\0\1mdat" + (15).to_bytes(8, "big") + b"xx",
    "a length of 64 bits cut short": b"\0\0\0\1mdat" + b"\0\0\0",
    "a user type cut short": b"\0\0\0\x10uuid" + b"\0" * 8,
    "a length below its header": b"\0\0\0\7mdat",
    "a length past the end": b"\0\0\0\x10mdat",
    "a byte after": _box(b"moof", b"") + b"\0",
    "seven bytes": b"\0\0\0\7mda",
}


@pytest.mark.parametrize("case", NO_BOXES)
def test_what_are_no_boxes_is_refused(case: str) -> None:
    with pytest.raises(EvidenceError):
        list(top_level_boxes(NO_BOXES[case]))


@given(st.binary(max_size=200))
def test_any_bytes_are_boxes_or_refused(data: bytes) -> None:
    try:
        boxes = list(top_level_boxes(data))
    except EvidenceError:
        return
    assert sum(box.length for box in boxes) == len(data)

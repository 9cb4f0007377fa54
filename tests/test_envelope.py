"""A signed line has one spelling; everything else is refused with `EvidenceError`, whatever the bytes are."""

import base64
import json
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from hypothesis import given
from hypothesis import strategies as st

from device.errors import EvidenceError
from device.evidence import envelope, records
from device.evidence.chain import never_whole, read_chain
from device.evidence.envelope import open_line, pre_authentication_encoding, sign_line, verify_line
from hw_sim.agency import KeySigner

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
KEY = ec.derive_private_key(0x1234567890ABCDEF, ec.SECP256R1())
SIGNER = KeySigner(KEY, b"")
PAYLOAD = '{"a":1,"b":"é"}'.encode()
KIND = "application/x-test+json"
LINE = sign_line(SIGNER, KIND, PAYLOAD)


def _spelled(payload: str, kind: str, signature: str) -> bytes:
    return b'{"payload":"%b","payloadType":"%b","signatures":[{"sig":"%b"}]}' % (
        payload.encode(),
        kind.encode(),
        signature.encode(),
    )


def _parts() -> tuple[str, str]:
    taken = json.loads(LINE)
    return taken["payload"], taken["signatures"][0]["sig"]


B64, SIG = _parts()


def test_a_line_is_taken_apart_and_put_together_the_same() -> None:
    line = open_line(LINE)
    assert (line.payload, line.payload_type) == (PAYLOAD, KIND)
    assert verify_line(line, KEY.public_key())
    assert not verify_line(line, ec.generate_private_key(ec.SECP256R1()).public_key())
    assert _spelled(B64, KIND, SIG) == LINE


def test_the_pre_authentication_encoding_of_the_specification() -> None:
    """The example of secure-systems-lab/dsse, protocol.md."""
    encoded = pre_authentication_encoding("http://example.com/HelloWorld", b"hello world")
    assert encoded == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"


@pytest.mark.tools("openssl")
def test_openssl_checks_a_line(tmp_path: Path) -> None:
    (tmp_path / "signed").write_bytes(pre_authentication_encoding(KIND, PAYLOAD))
    (tmp_path / "sig").write_bytes(base64.b64decode(SIG))
    public = KEY.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "key.pem").write_bytes(public)
    openssl = shutil.which("openssl")
    assert openssl is not None
    command = [openssl, "dgst", "-sha256", "-verify", "key.pem", "-signature", "sig", "signed"]
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    assert said.stdout == b"Verified OK\n", said.stderr


def _unpadded(text: str) -> str:
    assert text.endswith("=")
    return text.rstrip("=")


def _other_trailing_bits(text: str) -> str:
    """The same bytes with other unused bits in the last letter."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    at = len(text.rstrip("=")) - 1
    other = text[:at] + letters[letters.index(text[at]) ^ 1] + text[at + 1 :]
    assert base64.b64decode(other) == base64.b64decode(text)
    return other


PADDED = base64.b64encode(b"four").decode()
WIDE = base64.b64encode(b"\xfb\xef\xff").decode()

SECOND_SPELLINGS = {
    "a blank after the colon": LINE.replace(b'"payload":', b'"payload": '),
    "a blank before": b" " + LINE,
    "a blank after": LINE + b" ",
    "a tab inside": LINE.replace(b",", b",\t", 1),
    "a carriage return after": LINE + b"\r",
    "a newline after": LINE + b"\n",
    "a byte order mark": b"\xef\xbb\xbf" + LINE,
    "NUL after": LINE + b"\0",
    "NUL inside the payload": _spelled(B64[:4] + "\\u0000" + B64[4:], KIND, SIG),
    "keys in another order": b'{"payloadType":"%b",' % KIND.encode()
    + b'"payload":"%b",' % B64.encode()
    + LINE[LINE.index(b'"signatures') :],
    "a key twice": LINE[:-1] + b',"payload":"%b"}' % B64.encode(),
    "a key more": LINE[:-1] + b',"keyid":""}',
    "a key less": b'{"payload":"%b","signatures":[{"sig":"%b"}]}' % (B64.encode(), SIG.encode()),
    "a key id beside the signature": LINE.replace(b'{"sig"', b'{"keyid":"","sig"'),
    "two signatures": LINE.replace(b"}]}", b'},{"sig":"%b"}]}' % SIG.encode()),
    "no signature": b'{"payload":"%b","payloadType":"%b","signatures":[]}' % (B64.encode(), KIND.encode()),
    "an escape for a letter": LINE.replace(b'"payloadType":"a', b'"payloadType":"\\u0061'),
    "an escaped slash": LINE.replace(b"application/x", b"application\\/x"),
    "half a surrogate pair": _spelled(B64, "\\ud800", SIG),
    "not UTF-8": _spelled(B64, "kind", SIG).replace(b"kind", b"\xff\xfe"),
    "unpadded base64": _spelled(_unpadded(PADDED), KIND, SIG),
    "base64 with other unused bits": _spelled(_other_trailing_bits(PADDED), KIND, SIG),
    "url-safe base64": _spelled(WIDE.replace("+", "-").replace("/", "_"), KIND, SIG),
    "base64 with a line break": _spelled(B64[:8] + "\\n" + B64[8:], KIND, SIG),
    "base64 with a blank": _spelled(B64[:8] + " " + B64[8:], KIND, SIG),
    "base64 with one letter too many": _spelled(B64 + "A", KIND, SIG),
    "unpadded base64 of the signature": _spelled(B64, KIND, _unpadded(base64.b64encode(b"sign").decode())),
    "a number for the payload": b'{"payload":1,"payloadType":"a","signatures":[{"sig":""}]}',
    "null": b"null",
    "an array": b"[" + LINE + b"]",
    "nothing": b"",
    "deep nesting": b'{"payload":' + b"[" * 40_000,
    "a line past the limit": _spelled("A" * 4 * (envelope.MAX_LINE_BYTES // 4), KIND, SIG),
    "two lines": LINE + b"\n" + LINE,
}


@pytest.mark.parametrize("case", SECOND_SPELLINGS)
def test_a_second_spelling_is_refused(case: str) -> None:
    with pytest.raises(EvidenceError):
        open_line(SECOND_SPELLINGS[case])


def _with_signature(signature: bytes) -> bytes:
    return _spelled(B64, KIND, base64.b64encode(signature).decode())


def _der(r: int, s: int) -> bytes:
    return encode_dss_signature(r, s)


R, S = decode_dss_signature(base64.b64decode(SIG))
GOOD = base64.b64decode(SIG)
SECOND_SIGNATURES = {
    "the other s": _der(R, ORDER - S),
    "r past the order": _der(R + ORDER, S),
    "s past the order": _der(R, S + ORDER),
    "zero": _der(0, 0),
    "a long form of the length": b"\x30\x81" + GOOD[1:],
    "a zero more before r": b"\x30" + bytes([GOOD[1] + 1]) + b"\x02" + bytes([GOOD[3] + 1]) + b"\x00" + GOOD[4:],
    "a byte after": GOOD + b"\x00",
    "a byte after, counted": b"\x30" + bytes([GOOD[1] + 1]) + GOOD[2:] + b"\x00",
    "raw, 64 bytes": R.to_bytes(32, "big") + S.to_bytes(32, "big"),
    "negative": b"\x30\x06\x02\x01\xff\x02\x01\xff",
    "nothing": b"",
    "not DER": b"\xff" * 70,
}


@pytest.mark.parametrize("case", SECOND_SIGNATURES)
def test_a_second_form_of_a_signature_is_refused(case: str) -> None:
    line = open_line(_with_signature(SECOND_SIGNATURES[case]))
    assert not verify_line(line, KEY.public_key())


def test_the_other_s_would_be_a_signature_too() -> None:
    """A control: without the rule two lines with different hashes would say the same."""
    KEY.public_key().verify(_der(R, ORDER - S), pre_authentication_encoding(KIND, PAYLOAD), ec.ECDSA(hashes.SHA256()))
    assert S <= ORDER // 2


@pytest.mark.parametrize("kind", ["", KIND + "x", KIND.upper()])
def test_the_payload_type_is_signed(kind: str) -> None:
    assert not verify_line(open_line(_spelled(B64, kind, SIG)), KEY.public_key())


# -- any bytes ------------------------------------------------------------------------------------------------------


def _opens_or_refuses(data: bytes) -> None:
    try:
        line = open_line(data)
    except EvidenceError:
        return
    verify_line(line, KEY.public_key())
    assert envelope.line_digest(data) == line.sha256


@given(st.binary(max_size=400))
def test_any_bytes_are_a_line_or_refused(data: bytes) -> None:
    _opens_or_refuses(data)


@given(st.integers(0, len(LINE) - 1), st.binary(max_size=4), st.integers(0, 4))
def test_a_line_with_other_bytes_in_it_is_another_line_or_refused(at: int, put: bytes, taken: int) -> None:
    data = LINE[:at] + put + LINE[at + taken :]
    _opens_or_refuses(data)
    if data != LINE:
        try:
            assert not verify_line(open_line(data), KEY.public_key())
        except EvidenceError:
            return


@given(st.text(max_size=80), st.text(max_size=40), st.text(max_size=80))
def test_any_texts_in_an_envelope(payload: str, kind: str, signature: str) -> None:
    parts = [
        json.dumps(text, ensure_ascii=False).encode("utf-8", "surrogatepass") for text in (payload, kind, signature)
    ]
    _opens_or_refuses(b'{"payload":%b,"payloadType":%b,"signatures":[{"sig":%b}]}' % tuple(parts))


@given(st.binary(max_size=600))
def test_any_bytes_are_read_as_a_chain(data: bytes) -> None:
    """What is not a good line is the rest, to the last byte."""
    for content in (data, LINE + b"\n" + data):
        read = read_chain(content, 0, KEY.public_key(), records.decode_ledger, "000001-0123456789abcdef", 0, None)
        assert read.lines == []
        assert (read.torn.size if read.torn is not None else 0) == len(content)
        assert not read.provably_altered


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", True),
        (b"abc", True),
        (b"\0\0\0", True),
        (b"abc\n", False),
        (b"ab\0c\n", True),
        (b"abc\n\0\0", False),
        (b"\0\nabc\n", True),
    ],
)
def test_what_a_power_cut_leaves_of_a_first_write(data: bytes, expected: bool) -> None:
    assert never_whole(data) is expected


def test_a_rest_of_millions_of_empty_lines_is_read_quickly() -> None:
    read = read_chain(b"\n" * 20_000_000, 0, KEY.public_key(), records.decode_ledger, "000000", 0, None)
    assert read.torn is not None
    assert read.torn.size == 20_000_000

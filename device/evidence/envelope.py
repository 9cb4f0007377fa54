"""One line of evidence: a compact DSSE envelope around a payload, one signature, exactly one accepted spelling.

The signature is ECDSA P-256 with SHA-256 in DER with a low s, over DSSE's pre-authentication encoding, so that
`openssl dgst -verify` checks it. No I/O, no clock.
"""

import base64
import binascii
import hashlib
from typing import Protocol

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from device.errors import EvidenceError, KeyUnreachable

MAX_LINE_BYTES = 96 * 1024
"""A payload of 64 KiB in base64 with its envelope stays below this."""

_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_ECDSA = ec.ECDSA(hashes.SHA256())


class Signer(Protocol):
    """A role's private key, wherever it lives. May be slow. Only the recorder thread signs."""

    @property
    def certificate_sha256(self) -> str: ...

    def sign(self, message: bytes) -> bytes:
        """The DER signature with a low s."""


class _Signature(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    sig: str


class Envelope(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    payload: str
    payload_type: str
    signatures: tuple[_Signature]


_ENVELOPE = msgspec.json.Decoder(Envelope)


class SignedLine(msgspec.Struct, frozen=True):
    """A line taken apart: the payload's bytes, its type, the signature, and the SHA-256 of the line."""

    payload: bytes
    payload_type: str
    signature: bytes
    sha256: str


def line_digest(line: bytes) -> str:
    """What the next record's `prev` says of this line, given without its newline."""
    return hashlib.sha256(line).hexdigest()


def pre_authentication_encoding(payload_type: str, payload: bytes) -> bytes:
    """DSSE v1: what is signed."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def low_s(signature: bytes) -> bytes:
    """The same DER signature with the smaller of its two possible s."""
    r, s = decode_dss_signature(signature)
    return encode_dss_signature(r, min(s, _P256_ORDER - s))


def sign_line(signer: Signer, payload_type: str, payload: bytes) -> bytes:
    """The line, without its newline."""
    signature = signer.sign(pre_authentication_encoding(payload_type, payload))
    return _spell(payload, payload_type, signature)


def open_line(line: bytes) -> SignedLine:
    """Take a line apart; `EvidenceError` unless it is spelled in the one accepted way. Checks no signature."""
    if len(line) > MAX_LINE_BYTES:
        raise EvidenceError(f"a line of {len(line)} bytes; the limit is {MAX_LINE_BYTES}")
    try:
        envelope = _ENVELOPE.decode(line)
        payload = base64.b64decode(envelope.payload, validate=True)
        signature = base64.b64decode(envelope.signatures[0].sig, validate=True)
    except (msgspec.DecodeError, binascii.Error, ValueError, RecursionError) as failure:
        raise EvidenceError(f"not a signed line: {failure}") from failure
    if _spell(payload, envelope.payload_type, signature) != line:
        raise EvidenceError("a second spelling of a signed line")
    return SignedLine(payload, envelope.payload_type, signature, line_digest(line))


def verify_line(line: SignedLine, key: ec.EllipticCurvePublicKey) -> bool:
    """Whether the line's signature is by this key, in the one accepted form."""
    return _is_by(key, line.signature, pre_authentication_encoding(line.payload_type, line.payload))


class CheckedSigner:
    """A key that is not believed: what it gives is checked before anything is written with it. A token that gives anything
    but this key's signature is one that does not sign: `KeyUnreachable`, and the evidence waits in memory."""

    def __init__(self, signer: Signer, key: ec.EllipticCurvePublicKey) -> None:
        self._signer = signer
        self._key = key

    @property
    def certificate_sha256(self) -> str:
        return self._signer.certificate_sha256

    def sign(self, message: bytes) -> bytes:
        signature = self._signer.sign(message)
        if not _is_by(self._key, signature, message):
            raise KeyUnreachable("the key gave a signature that its certificate does not bear out; look at the token")
        return signature


def _is_by(key: ec.EllipticCurvePublicKey, signature: bytes, message: bytes) -> bool:
    """In the one accepted form."""
    try:
        r, s = decode_dss_signature(signature)
        if s > _P256_ORDER // 2 or encode_dss_signature(r, s) != signature:
            return False
        key.verify(signature, message, _ECDSA)
    except (InvalidSignature, ValueError):
        return False
    return True


def _spell(payload: bytes, payload_type: str, signature: bytes) -> bytes:
    return msgspec.json.encode(
        Envelope(
            payload=base64.b64encode(payload).decode(),
            payload_type=payload_type,
            signatures=(_Signature(base64.b64encode(signature).decode()),),
        )
    )

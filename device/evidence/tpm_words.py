"""The words of a TPM 2.0 (TCG library specification, parts 2 and 3) that this project says and reads. No I/O.

Commands are made here, and structures taken apart: by the device, and by readers that have no TPM.
"""

import hashlib
import struct

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from device.errors import BodycamError, EvidenceError

OWNER = 0x40000001
NULL_HIERARCHY = 0x40000007
_PASSWORD = 0x40000009
ALG_NULL, ALG_SHA256, ALG_ECC, ALG_ECDSA, ALG_AES, ALG_CFB = 0x0010, 0x000B, 0x0023, 0x0018, 0x0006, 0x0043
P256 = 0x0003
_GENERATED = 0xFF544347
_ATTEST_NV = 0x8014

FIXED_TPM, FIXED_PARENT, DATA_ORIGIN, USER_WITH_AUTH = 1 << 1, 1 << 4, 1 << 5, 1 << 6
NO_LOCKOUT, RESTRICTED, DECRYPT, SIGN = 1 << 10, 1 << 16, 1 << 17, 1 << 18
KEPT_IN_TPM = FIXED_TPM | FIXED_PARENT | DATA_ORIGIN
"""What a key has that was made in this TPM and never leaves it."""
SIGNING = KEPT_IN_TPM | USER_WITH_AUTH | NO_LOCKOUT | SIGN
ATTESTING = SIGNING | RESTRICTED
"""A restricted key signs only what the TPM itself says."""
STORAGE = KEPT_IN_TPM | USER_WITH_AUTH | NO_LOCKOUT | RESTRICTED | DECRYPT

NV_WRITTEN = 1 << 29
COUNTER_ATTRIBUTES = (1 << 1) | (1 << 2) | (1 << 4) | (1 << 17) | (1 << 18) | (1 << 25)
"""Of the NV index: a counter; owner and holder of its (empty) authorisation may increment and read it."""
COUNTER_BYTES = 8

_NO_AUTHORISATION = struct.pack(">IHBH", _PASSWORD, 0, 0, 0)


def command(code: int, handles: tuple[int, ...], parameters: bytes, *, authorised: int = 0) -> bytes:
    """A whole command; `authorised`: how many of its handles are used under their (empty) authorisation."""
    sessions = _NO_AUTHORISATION * authorised
    body = struct.pack(f">{len(handles)}I", *handles)
    body += struct.pack(">I", len(sessions)) + sessions if authorised else b""
    return (
        struct.pack(">HII", 0x8002 if authorised else 0x8001, 10 + len(body) + len(parameters), code)
        + body
        + parameters
    )


def sized(data: bytes) -> bytes:
    """A TPM2B."""
    return struct.pack(">H", len(data)) + data


def ecc_template(attributes: int) -> bytes:
    """A TPM2B_PUBLIC for a new P-256 key: ECDSA with SHA-256, or a storage key."""
    if attributes & SIGN:
        schemes = struct.pack(">HHHHH", ALG_NULL, ALG_ECDSA, ALG_SHA256, P256, ALG_NULL)
    else:
        schemes = struct.pack(">HHHHHH", ALG_AES, 128, ALG_CFB, ALG_NULL, P256, ALG_NULL)
    return sized(struct.pack(">HHIH", ALG_ECC, ALG_SHA256, attributes, 0) + schemes + sized(b"") + sized(b""))


def nv_public(index: int, attributes: int) -> bytes:
    """A TPMS_NV_PUBLIC of the counter."""
    return struct.pack(">IHIHH", index, ALG_SHA256, attributes, 0, COUNTER_BYTES)


def counter_name(index: int) -> str:
    """SHA-256 of what the counter is, once it has been written to: its number, and that it only goes up."""
    return hashlib.sha256(nv_public(index, COUNTER_ATTRIBUTES | NV_WRITTEN)).hexdigest()


class Reading:
    """Takes bytes apart, in order; `EvidenceError`, or the given `wrong`, when there are too few."""

    def __init__(self, data: bytes, wrong: type[BodycamError] = EvidenceError) -> None:
        self._data = data
        self._wrong = wrong
        self._at = 0

    def take(self, count: int) -> bytes:
        if self._at + count > len(self._data):
            raise self._wrong("a TPM's structure ends too early")
        self._at += count
        return self._data[self._at - count : self._at]

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def sized(self) -> bytes:
        return self.take(self.number(2))

    def end(self) -> None:
        if self._at != len(self._data):
            raise self._wrong(f"{len(self._data) - self._at} bytes follow a TPM's structure")


class PublicArea(msgspec.Struct, frozen=True):
    """A key's public area, as far as it matters."""

    attributes: int
    x: int
    y: int

    def key(self) -> ec.EllipticCurvePublicKey:
        try:
            return ec.EllipticCurvePublicNumbers(self.x, self.y, ec.SECP256R1()).public_key()
        except ValueError as failure:
            raise EvidenceError(f"a TPM's public key is no point of P-256: {failure}") from failure


def read_public(area: bytes) -> PublicArea:
    """A TPMT_PUBLIC of a P-256 key that signs with ECDSA and SHA-256; `EvidenceError` for any other."""
    reading = Reading(area)
    kind, name_hash, attributes = reading.number(2), reading.number(2), reading.number(4)
    reading.sized()
    schemes = tuple(reading.number(2) for _ in range(5)) if (kind, name_hash) == (ALG_ECC, ALG_SHA256) else ()
    if schemes != (ALG_NULL, ALG_ECDSA, ALG_SHA256, P256, ALG_NULL):
        raise EvidenceError("not a key on P-256 that signs with ECDSA and SHA-256")
    public = PublicArea(attributes, int.from_bytes(reading.sized(), "big"), int.from_bytes(reading.sized(), "big"))
    reading.end()
    return public


def read_signature(reading: Reading) -> bytes:
    """A TPMT_SIGNATURE by ECDSA with SHA-256, in DER."""
    if (reading.number(2), reading.number(2)) != (ALG_ECDSA, ALG_SHA256):
        raise EvidenceError("not a signature by ECDSA with SHA-256")
    return encode_dss_signature(int.from_bytes(reading.sized(), "big"), int.from_bytes(reading.sized(), "big"))


class Certified(msgspec.Struct, frozen=True):
    """What a TPM certified of its counter. `clock_ms`: milliseconds that the TPM has been powered since it was cleared, and
    `safe` whether that can't have gone back. `signed`: the bytes under `signature` (DER)."""

    qualifier: bytes
    clock_ms: int
    resets: int
    restarts: int
    safe: bool
    name: str
    counter: int
    signed: bytes
    signature: bytes


def read_certified(statement: bytes) -> Certified:
    """Take an answer to TPM2_NV_Certify apart: a TPM2B_ATTEST and a TPMT_SIGNATURE, as the TPM gave them; `EvidenceError`
    for anything else. Checks no signature."""
    outer = Reading(statement)
    signed = outer.sized()
    signature = read_signature(outer)
    outer.end()
    reading = Reading(signed)
    if (reading.number(4), reading.number(2)) != (_GENERATED, _ATTEST_NV):
        raise EvidenceError("a TPM did not say this of a counter")
    reading.sized()
    qualifier = reading.sized()
    clock_ms, resets, restarts, safe = reading.number(8), reading.number(4), reading.number(4), reading.number(1)
    reading.number(8)
    name, offset, content = reading.sized(), reading.number(2), reading.sized()
    reading.end()
    if offset or len(content) != COUNTER_BYTES or len(name) != 34 or name[:2] != struct.pack(">H", ALG_SHA256):
        raise EvidenceError("a TPM said this of something other than a counter")
    counter = int.from_bytes(content, "big")
    return Certified(qualifier, clock_ms, resets, restarts, safe == 1, name[2:].hex(), counter, signed, signature)

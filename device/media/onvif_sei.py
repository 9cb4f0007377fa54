"""ONVIF Media Signing 26.06: the SEI that carries a signature, to bytes and back. Pure; any thread.

A SEI of type *user data unregistered*: UUID, a reserved byte, then tags, each with a length in two bytes; the signature's
is the last. What is signed is the unit from its header up to that tag, as it stands in the stream, emulation prevention
included. Given any bytes, `parse` returns or raises `EvidenceError`.

The specification says that numbers are little endian; its reference implementation and its sample are big endian, and so
is this. Hashes are SHA-256 here; SHA-384 and SHA-512 are read as well.
"""

from typing import Literal

import msgspec

from device.errors import EvidenceError
from device.media.nal import SEI, escape, unescape, unit_type

UUID = bytes.fromhex("005bc93f2d715e95ada4796f90877a6f")
SPECIFICATION = bytes([26, 6, 0])
HashName = Literal["sha256", "sha384", "sha512"]
HASH_BYTES = 32
SIGNATURE_BYTES = 72
"""The longest that an ECDSA signature on P-256 is in DER."""
MAX_UNIT_BYTES = 256 * 1024
MAX_HASHES = 2046
"""As many of 32 bytes as the length of a tag can say."""

_HEADER = bytes([SEI, 5])
_CERTIFICATE_BIT = 0x80
_ESCAPED_BIT = 0x40
_STOP = b"\x80"
_GENERAL, _HASHES, _SIGNATURE, _CRYPTO, _VENDOR, _CHAIN, _ARBITRARY = range(1, 8)
_USER_CHAIN = 0x100 + _CHAIN
"""Of a key that the user brought; it signs everything but certificate SEIs."""
_KINDS = (*range(1, 8), _USER_CHAIN)
_OIDS: dict[bytes, HashName] = {
    bytes.fromhex("0609608648016503040201"): "sha256",
    bytes.fromhex("0609608648016503040202"): "sha384",
    bytes.fromhex("0609608648016503040203"): "sha512",
}
_SHA256_OID = next(iter(_OIDS))
_TICKS_TO_1970 = 116_444_736_000_000_000
"""Of 100 ns, from 1601 to 1970."""


class General(msgspec.Struct, frozen=True):
    """What a SEI says of its GOP, or part of one. Times in µs since 1970, the end exclusive; `units` is how many NAL
    units are hashed into `gop_hash`; `linked` is the first hash of the part before, zeros where there is none."""

    counter: int
    partial: bool
    start_us: int
    end_us: int
    units: int
    gop_hash: bytes
    linked: bytes

    @property
    def first(self) -> bool:
        """Whether it says that nothing was signed before."""
        return not any(self.linked)


class Vendor(msgspec.Struct, frozen=True):
    """Each at most 255 bytes of UTF-8."""

    firmware: str
    serial: str
    manufacturer: str


class SigningSei(msgspec.Struct, frozen=True):
    """A SEI taken apart. `chain` is PEM, the leaf first: that of the key which signs here. `signed` are the bytes that
    `signature` is over; both are empty in a SEI without signature."""

    certificate: bool
    general: General | None
    hashes: tuple[bytes, ...]
    hash_name: HashName | None
    vendor: Vendor | None
    chain: bytes
    signed: bytes
    signature: bytes


def utc_ticks(utc_us: int) -> int:
    """100 ns since 1601."""
    return utc_us * 10 + _TICKS_TO_1970


# -- writing --------------------------------------------------------------------------------------------------------


def document(
    general: General, hashes: tuple[bytes, ...], vendor: Vendor | None, chain: bytes, *, signed: bool
) -> bytes:
    """The unit from its header up to where the signature's tag or the stop bit goes, escaped. `chain` may be empty; more
    than `MAX_HASHES` hashes are left out, as the specification allows."""
    tags = _tag(_CRYPTO, b"\x01" + _sized(_SHA256_OID) + b"\x00" + b"\x00\x00")
    if vendor is not None:
        words = (vendor.firmware, vendor.serial, vendor.manufacturer)
        tags += _tag(_VENDOR, b"\x01" + b"".join(_sized(_cut(word)) for word in words))
    if chain:
        tags += _tag(_CHAIN, b"\x01\x00" + chain)
    tags += _tag(_GENERAL, _general(general))
    if 0 < len(hashes) <= MAX_HASHES:
        tags += _tag(_HASHES, b"\x01" + b"".join(hashes))
    size = len(UUID) + 1 + len(tags) + (_SIGNATURE_TAG_BYTES if signed else 0)
    return escape(_HEADER + b"\xff" * (size // 255) + bytes([size % 255]) + UUID + bytes([_ESCAPED_BIT]) + tags)


def finished(written: bytes, signature: bytes) -> bytes:
    """The whole unit: `document`'s bytes, the signature (empty: none) and the stop bit."""
    if not signature:
        return written + _STOP
    padded = signature.ljust(SIGNATURE_BYTES, b"\x01")
    tag = _tag(_SIGNATURE, b"\x01" + len(signature).to_bytes(2, "big") + padded)
    return escape(unescape(written) + tag) + _STOP


def _general(general: General) -> bytes:
    return b"".join(
        (
            b"\x02",
            SPECIFICATION,
            bytes([general.partial]),
            utc_ticks(general.start_us).to_bytes(8, "big"),
            utc_ticks(general.end_us).to_bytes(8, "big"),
            (general.counter % 2**32).to_bytes(4, "big"),
            general.units.to_bytes(2, "big"),
            general.gop_hash,
            general.linked,
        )
    )


def _tag(kind: int, value: bytes) -> bytes:
    return bytes([kind]) + len(value).to_bytes(2, "big") + value


def _sized(value: bytes) -> bytes:
    return bytes([len(value)]) + value


def _cut(word: str) -> bytes:
    return word.encode()[:255]


_SIGNATURE_TAG_BYTES = 3 + 1 + 2 + SIGNATURE_BYTES


# -- reading --------------------------------------------------------------------------------------------------------


def parse(unit: bytes | memoryview) -> SigningSei | None:
    """A media signing SEI taken apart; None for any other unit. `EvidenceError` when it is one and not well formed."""
    if unit_type(unit) != SEI or len(unit) < 3 or unit[1] != _HEADER[1]:
        return None
    raw = bytes(unit[:MAX_UNIT_BYTES])
    at, size = 2, 0
    while at < len(raw) and raw[at] == 0xFF:
        size += 255
        at += 1
    size += raw[at] if at < len(raw) else 0
    at += 1
    if raw[at : at + len(UUID)] != UUID:
        return None
    if len(unit) > MAX_UNIT_BYTES:
        raise EvidenceError(f"a signature SEI of {len(unit)} bytes; the limit is {MAX_UNIT_BYTES}")
    whole = at + size + 1
    plain = raw if len(raw) == whole else unescape(raw)
    if len(plain) != whole or plain[-1:] != _STOP or size < len(UUID) + 1:
        raise EvidenceError("a signature SEI is not as long as it says")
    return _taken_apart(raw, plain, at + len(UUID))


def _taken_apart(raw: bytes, plain: bytes, at: int) -> SigningSei:
    reserved = plain[at]
    if reserved & ~(_CERTIFICATE_BIT | _ESCAPED_BIT):
        raise EvidenceError(f"a signature SEI with the reserved byte {reserved:#04x}")
    values: dict[int, bytes] = {}
    end = len(plain) - 1
    at += 1
    signature_at = end
    while at < end:
        kind, size = int(plain[at]), int.from_bytes(plain[at + 1 : at + 3], "big")
        if kind == _CHAIN and plain[at + 4 : at + 5] == b"\x01":
            kind = _USER_CHAIN
        if at + 3 + size > end or kind in values or kind not in _KINDS or _SIGNATURE in values:
            raise EvidenceError(f"a signature SEI with tag {kind} of {size} bytes at byte {at}")
        if kind == _SIGNATURE:
            signature_at = at
        values[kind] = plain[at + 3 : at + 3 + size]
        at += 3 + size
    if _ARBITRARY in values and len(values) > 1:
        raise EvidenceError("a signature SEI with arbitrary data beside other tags")
    signed = b""
    if _SIGNATURE in values:
        signed = plain[:signature_at]
        if reserved & _ESCAPED_BIT and raw != plain:
            signed = escape(signed)
            if not raw.startswith(signed):
                raise EvidenceError("a signature SEI whose emulation prevention is not as the standard has it")
    general = _read_general(values[_GENERAL]) if _GENERAL in values else None
    chain_kind = _USER_CHAIN if _USER_CHAIN in values and not reserved & _CERTIFICATE_BIT else _CHAIN
    return SigningSei(
        certificate=bool(reserved & _CERTIFICATE_BIT),
        general=general,
        hashes=_read_hashes(values.get(_HASHES), general),
        hash_name=_read_crypto(values[_CRYPTO]) if _CRYPTO in values else None,
        vendor=_read_vendor(values[_VENDOR]) if _VENDOR in values else None,
        chain=_read_chain(values[chain_kind]) if chain_kind in values else b"",
        signed=signed,
        signature=_read_signature(values[_SIGNATURE]) if _SIGNATURE in values else b"",
    )


def _read_general(value: bytes) -> General:
    fixed = {1: 19, 2: 27}.get(value[0] if value else 0)
    if fixed is None or len(value) <= fixed or (len(value) - fixed) % 2:
        raise EvidenceError(f"the general tag of a signature SEI: version {value[:1].hex()}, {len(value)} bytes")
    at = 5
    start_us = _read_time(value[at : at + 8])
    if value[0] == 2:
        at += 8
    end_us = _read_time(value[at : at + 8])
    half = (len(value) - fixed) // 2
    return General(
        counter=int.from_bytes(value[at + 8 : at + 12], "big"),
        partial=value[4] == 1,
        start_us=start_us,
        end_us=end_us,
        units=int.from_bytes(value[at + 12 : at + 14], "big"),
        gop_hash=value[fixed : fixed + half],
        linked=value[fixed + half :],
    )


def _read_time(ticks: bytes) -> int:
    return (int.from_bytes(ticks, "big", signed=True) - _TICKS_TO_1970) // 10


def _read_hashes(value: bytes | None, general: General | None) -> tuple[bytes, ...]:
    if value is None:
        return ()
    size = len(general.gop_hash) if general is not None else 0
    if value[:1] != b"\x01" or not size or (len(value) - 1) % size:
        raise EvidenceError(f"the hash list of a signature SEI: version {value[:1].hex()}, {len(value)} bytes")
    return tuple(value[at : at + size] for at in range(1, len(value), size))


def _read_crypto(value: bytes) -> HashName:
    name = _OIDS.get(value[2 : 2 + value[1]]) if value[:1] == b"\x01" and len(value) > 2 else None
    if name is None:
        raise EvidenceError(f"a signature SEI names a hash that this reader does not know: {value[2:20].hex()}")
    return name


def _read_vendor(value: bytes) -> Vendor:
    words = []
    at = 1
    for _ in range(3):
        size = value[at] if at < len(value) else 0
        words.append(value[at + 1 : at + 1 + size].decode("utf-8", "replace"))
        at += 1 + size
    if value[:1] != b"\x01" or at != len(value):
        raise EvidenceError(f"the vendor information of a signature SEI: version {value[:1].hex()}, {len(value)} bytes")
    return Vendor(*words)


def _read_chain(value: bytes) -> bytes:
    if value[:1] != b"\x01" or len(value) < 3:
        raise EvidenceError(f"the certificates of a signature SEI: version {value[:1].hex()}, {len(value)} bytes")
    return value[2:]


def _read_signature(value: bytes) -> bytes:
    size = int.from_bytes(value[1:3], "big")
    if value[:1] != b"\x01" or not 0 < size <= len(value) - 3:
        raise EvidenceError(f"the signature of a signature SEI: version {value[:1].hex()}, {size} bytes")
    return value[3 : 3 + size]

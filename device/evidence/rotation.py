"""A rotation: the device goes on under another key, and both keys say so.

The document is two lines, the old key's and the new key's, around the same payload; nothing follows. It proves that whoever
held the old key gave the journal on to the new one. Whether the new key is one of the agency's is another question, which
its own provisioning statement and certificate answer. No I/O and no clock, but for what the daemon reads of the card.
"""

import base64
import binascii
import hashlib

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from device.errors import CannotPersist, EvidenceError, UsageError
from device.evidence import layout, records
from device.evidence.disk import Disk
from device.evidence.envelope import SignedLine, Signer, open_line, sign_line, verify_line
from device.evidence.identity import Role, common_name, load_certificate, p256_key, why_not_for
from device.evidence.records import Boot, Provisioned, Rotation

MAX_ROTATION_BYTES = 8 * 1024
MAX_CERTIFICATE_BYTES = 64 * 1024


class RotationDocument(msgspec.Struct, frozen=True):
    """A document taken apart; whose signatures they are has yet to be asked."""

    data: bytes
    said: Rotation
    old: SignedLine
    new: SignedLine


class Former(msgspec.Struct, frozen=True):
    """The key before, found on the card, and the document by which it gave its journal on."""

    certificate_sha256: str
    key: ec.EllipticCurvePublicKey
    document: bytes


class Rotations:
    """Which certificate went on with whose journal, as a card's journals prove it."""

    def __init__(self) -> None:
        self._from: dict[str, str] = {}

    def add(self, old_sha256: str, new_sha256: str) -> None:
        self._from.setdefault(new_sha256, old_sha256)

    def up_to(self, sha256: str) -> list[str]:
        """This certificate, and those from which rotations led to it, newest first; none comes twice. The last stands for
        the device, whatever its key."""
        line = [sha256]
        while (before := self._from.get(line[-1])) is not None and before not in line:
            line.append(before)
        return line

    def heirs(self, sha256: str) -> list[str]:
        """This certificate, and those to which rotations led from it."""
        return [sha256, *(later for later in self._from if sha256 in self.up_to(later)[1:])]


def make_rotation(old: Signer, old_certificate: bytes, new: Signer, new_certificate: bytes, utc: str) -> bytes:
    """The document, signed by both. Certificates in DER. `UsageError` unless both are for the ledger of one device and
    each is its signer's; another certificate for the same key will do."""
    names = []
    for what, der, signer in (("old", old_certificate, old), ("new", new_certificate, new)):
        certificate = load_certificate(der)
        why = why_not_for(certificate, Role.LEDGER, None)
        if not why and hashlib.sha256(der).hexdigest() != signer.certificate_sha256:
            why = "it is not the certificate of the key that signs"
        if why:
            raise UsageError(f"the {what} certificate: {why}; give the device's own for its ledger")
        names.append(common_name(certificate))
    if names[0] != names[1]:
        raise UsageError(f"the old certificate names {names[0]}, the new one {names[1]}; a rotation is of one device")
    if old.certificate_sha256 == new.certificate_sha256:
        raise UsageError("the old and the new certificate are the same; give the one that the agency issued anew")
    said = Rotation(
        format=records.FORMAT,
        device=names[0],
        old_certificate_sha256=old.certificate_sha256,
        new_certificate_sha256=new.certificate_sha256,
        utc=utc,
    )
    payload = records.encode(said)
    data = b"".join(sign_line(signer, records.ROTATION_TYPE, payload) + b"\n" for signer in (old, new))
    document = open_rotation(data)
    keys = [p256_key(load_certificate(der)) for der in (old_certificate, new_certificate)]
    if why_not_signed_by_both(document, keys[0], keys[1]):
        raise UsageError("a key that signed is not the key of its certificate; name the two that belong together")
    return data


def open_rotation(data: bytes) -> RotationDocument:
    """Take a document apart; `EvidenceError` unless it is two whole lines of the same payload. Checks no signature."""
    if len(data) > MAX_ROTATION_BYTES:
        raise EvidenceError(f"more than {MAX_ROTATION_BYTES} bytes, the limit of a rotation")
    lines = data.split(b"\n")
    if len(lines) != 3 or lines[2]:
        raise EvidenceError("not a rotation: it must be two whole lines, signed by the old key and by the new one")
    old, new = open_line(lines[0]), open_line(lines[1])
    if {old.payload_type, new.payload_type} != {records.ROTATION_TYPE}:
        raise EvidenceError(f"its lines are not both {records.ROTATION_TYPE!r}")
    if old.payload != new.payload:
        raise EvidenceError("the old key and the new one signed different statements")
    return RotationDocument(data, records.decode_rotation(old.payload), old, new)


def rotation_in(boot: Boot) -> bytes | None:
    """The document that a boot holds, "" when it is none; None for a boot without."""
    if boot.rotation is None:
        return None
    try:
        return base64.b64decode(boot.rotation, validate=True)
    except (binascii.Error, ValueError):
        return b""


def why_not_signed_by_both(
    document: RotationDocument, old: ec.EllipticCurvePublicKey, new: ec.EllipticCurvePublicKey
) -> str:
    """Why the document is not both keys' word; "" when it is."""
    if not verify_line(document.old, old):
        return "the old key did not sign the rotation"
    return "" if verify_line(document.new, new) else "the new key did not sign the rotation"


def why_not_taken_over(
    boot: Boot,
    before: tuple[Provisioned, ec.EllipticCurvePublicKey] | None,
    after: tuple[Provisioned, ec.EllipticCurvePublicKey] | None,
) -> str:
    """Why this boot does not go on with the journal before it under another key; "" when it does.

    `before`, `after`: the agency's statement about each key, and the key.
    """
    if boot.rotation is None or boot.previous is None:
        return "no rotation says so"
    if before is None or after is None:
        return "the journal of the key before is missing"
    try:
        document = open_rotation(rotation_in(boot) or b"")
    except EvidenceError as failure:
        return f"its rotation can't be read: {failure}"
    said = document.said
    if {said.device, before[0].device, after[0].device} != {boot.device}:
        return f"its rotation is of the device {said.device}, the journal before it of {before[0].device}"
    if said.old_certificate_sha256 != before[0].certificate_sha256:
        return "its rotation is from another key than that of the journal before it"
    if said.new_certificate_sha256 != after[0].certificate_sha256:
        return "its rotation is to another key than its own"
    return why_not_signed_by_both(document, before[1], after[1])


def find_former(disk: Disk, document: RotationDocument, own: ec.EllipticCurvePublicKey) -> Former | None:
    """The key before, by its certificate on this card; None when there is none: then it has no journal here.
    `EvidenceError` when the document is not both keys' word."""
    for certificate in certificates_on(disk, document.said.old_certificate_sha256):
        key = p256_key(load_certificate(certificate))
        why = why_not_signed_by_both(document, key, own)
        if why:
            raise EvidenceError(why)
        return Former(document.said.old_certificate_sha256, key, document.data)
    return None


def certificates_on(disk: Disk, sha256: str) -> list[bytes]:
    """The certificate of this digest, when it can be read; nothing that is on a card raises."""
    for attempt in range(layout.DOCUMENT_ATTEMPTS):
        path = layout.certificate_file(sha256, attempt)
        try:
            size = disk.size(path)
            if size is None:
                return []
            der = disk.read(path, MAX_CERTIFICATE_BYTES + 1)
            if hashlib.sha256(der).hexdigest() == sha256:
                load_certificate(der)
                return [der]
        except (CannotPersist, EvidenceError):
            continue
    return []

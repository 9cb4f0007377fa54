"""Keys and certificates: one key, one certificate and one extended-key-usage OID per role.

Anchors come only from the person who verifies. A certificate counts for a role when it names the role, was issued by
an anchor, and was valid at the time asked about. Readers and the recorder use this; private keys are read only here.
"""

import hashlib
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from device.errors import ConfigurationError, EvidenceError, UsageError
from device.evidence.envelope import low_s

# Object identifiers under 2.25, which needs no registration (ITU-T X.667): the number is a random UUID's.
_ARC = "2.25.187305437622463283520264083462110937601"
MAX_PEM_BYTES = 256 * 1024
PROTECTIONS = {"file": "file (development only)", "token": "token", "tpm": "tpm"}
"""Where a device's key may be, and how a reader says it."""
_PROTECTION = "key protection: "

_NOT_READABLE = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.ExtensionNotFound,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)
"""What the library raises for a certificate that is one in form only."""


class Role(Enum):
    LEDGER = f"{_ARC}.1"
    MEDIA = f"{_ARC}.2"
    POLICY = f"{_ARC}.3"
    RECEIPT = f"{_ARC}.4"
    EXPORT = f"{_ARC}.5"
    PROVISIONING = f"{_ARC}.6"

    @property
    def oid(self) -> x509.ObjectIdentifier:
        return x509.ObjectIdentifier(self.value)


class FileSigner:
    """A private key in a PEM file. For a device: development only; its certificate says so."""

    def __init__(self, key_path: Path, certificate: bytes) -> None:
        key = private_key(key_path)
        if key.public_key() != p256_key(load_certificate(certificate)):
            raise ConfigurationError(
                f"{key_path}: this is not the key of the certificate; name the two that belong together"
            )
        self._key = key
        self.certificate_sha256 = hashlib.sha256(certificate).hexdigest()

    def sign(self, message: bytes) -> bytes:
        return low_s(self._key.sign(message, ec.ECDSA(hashes.SHA256())))


def load_certificate(der: bytes) -> x509.Certificate:
    """A certificate on P-256 all of whose parts that are asked about later can be read; `EvidenceError` otherwise."""
    try:
        certificate = x509.load_der_x509_certificate(der)
        _ = (certificate.version, certificate.subject, certificate.extensions, certificate.signature_hash_algorithm)
        _ = (certificate.not_valid_before_utc, certificate.not_valid_after_utc)
    except _NOT_READABLE as failure:
        raise EvidenceError(f"not a certificate: {failure}") from failure
    p256_key(certificate)
    return certificate


def p256_key(certificate: x509.Certificate) -> ec.EllipticCurvePublicKey:
    """The certificate's public key; `EvidenceError` unless it is on P-256."""
    try:
        key = certificate.public_key()
    except _NOT_READABLE as failure:
        raise EvidenceError(f"the certificate's key can't be read: {failure}") from failure
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise EvidenceError("the certificate's key is not on the curve P-256")
    return key


def load_anchors(path: Path, option: str = "--trust") -> tuple[x509.Certificate, ...]:
    """The certificates in a PEM file; `UsageError` when there is none that may issue others. `option` names the file."""
    try:
        with path.open("rb") as file:
            pem = file.read(MAX_PEM_BYTES + 1)
    except OSError as failure:
        raise UsageError(f"{option} {path}: {failure.strerror}; give the agency's CA certificate in PEM") from failure
    if len(pem) > MAX_PEM_BYTES:
        raise UsageError(f"{option} {path}: more than {MAX_PEM_BYTES} bytes; give the agency's CA certificate in PEM")
    try:
        certificates = tuple(x509.load_pem_x509_certificates(pem))
    except ValueError as failure:
        raise UsageError(
            f"{option} {path}: it holds no certificate in PEM; give the agency's CA certificate in PEM"
        ) from failure
    if not any(map(_may_issue, certificates)):
        raise UsageError(f"{option} {path}: no certificate in it is a CA's; give the agency's CA certificate in PEM")
    return certificates


def why_not_trusted(
    certificate: x509.Certificate, role: Role, anchors: tuple[x509.Certificate, ...], at: datetime | None
) -> str:
    """Why a certificate does not count for a role at a time; "" when it does. `at` None: validity is not judged."""
    if not any(issued_by(certificate, anchor) for anchor in anchors):
        return f"its certificate was not issued under the given trust anchor ({common_name(certificate)})"
    return why_not_for(certificate, role, at)


def why_not_for(certificate: x509.Certificate, role: Role, at: datetime | None) -> str:
    """The same, whoever issued the certificate."""
    try:
        usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except _NOT_READABLE:
        return "its certificate names no role"
    if list(usages) != [role.oid]:
        return f"its certificate is not for the role {role.name.lower()}"
    if _may_issue(certificate):
        return "its certificate is a CA's, which is for no role"
    if at is not None and not certificate.not_valid_before_utc <= at <= certificate.not_valid_after_utc:
        return (
            f"its certificate was not valid at {at.date().isoformat()}"  # a reason that does not change at every look
        )
    return ""


def why_not_chained(
    chain: tuple[x509.Certificate, ...], role: Role, anchors: tuple[x509.Certificate, ...], at: datetime
) -> str:
    """The same for a chain that came with what it signed: the leaf first, each issued by the next, the last by an anchor.

    A leaf that names no use at all may count: another maker's, whose CA the person who verifies gave.
    """
    leaf = chain[0]
    for certificate, issuers in zip(chain, [*((issuer,) for issuer in chain[1:]), anchors], strict=True):
        if not any(issued_by(certificate, issuer) for issuer in issuers):
            return f"its certificate was not issued under the given trust anchor ({common_name(leaf)})"
        if not certificate.not_valid_before_utc <= at <= certificate.not_valid_after_utc:
            return f"its certificate was not valid at the time that it claims, {at.isoformat()}"
    try:
        leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    except x509.ExtensionNotFound:
        return ""
    except _NOT_READABLE:
        return "its certificate can't be read"
    return why_not_for(leaf, role, None)


def common_name(certificate: x509.Certificate) -> str:
    names = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return str(names[0].value) if names else "(no name)"


def device_subject(device: str, protection: str) -> x509.Name:
    """Of a device's certificate: its name, and how its key is protected."""
    return x509.Name(
        [
            x509.NameAttribute(x509.NameOID.ORGANIZATIONAL_UNIT_NAME, f"{_PROTECTION}{protection}"),
            x509.NameAttribute(x509.NameOID.COMMON_NAME, device),
        ]
    )


def key_protection(certificate: x509.Certificate) -> str:
    """How the certificate says that the key is protected: file, token, tpm; "" when it doesn't say it."""
    units = certificate.subject.get_attributes_for_oid(x509.NameOID.ORGANIZATIONAL_UNIT_NAME)
    said = [str(unit.value) for unit in units if str(unit.value).startswith(_PROTECTION)]
    word = said[0].removeprefix(_PROTECTION) if len(said) == 1 else ""
    return word if word in PROTECTIONS else ""


def protection_said(protection: str) -> str:
    return "key protected by: " + PROTECTIONS.get(protection, "not known; neither certificate nor statement says it")


def issuer_name(certificate: x509.Certificate) -> str:
    """The common name of who issued it."""
    names = certificate.issuer.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return str(names[0].value) if names else "(no name)"


def parse_utc(text: str) -> datetime | None:
    """A record's `utc`; None when it names no moment (month 13)."""
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        return None


def issued_by(certificate: x509.Certificate, anchor: x509.Certificate) -> bool:
    """Whether this CA issued the certificate, with no other between them."""
    try:
        certificate.verify_directly_issued_by(anchor)
    except (InvalidSignature, *_NOT_READABLE):
        return False
    return _may_issue(anchor)


def _may_issue(anchor: x509.Certificate) -> bool:
    try:
        return anchor.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except _NOT_READABLE:
        return False


def private_key(path: Path) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(path.read_bytes()[:MAX_PEM_BYTES], password=None)
    except OSError as failure:
        raise ConfigurationError(
            f"{path}: {failure.strerror}; name the key that the certificate was issued for"
        ) from failure
    except (ValueError, TypeError) as failure:
        raise ConfigurationError(f"{path}: not an unencrypted private key in PEM") from failure
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ConfigurationError(f"{path}: the key is not on the curve P-256")
    return key

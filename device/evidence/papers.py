"""What says who this device is: its certificate and key, and the agency's statement about it. Main thread, at the start.

Nothing is recorded under papers that a reader would not believe: each is checked here as `verify` will check it, but for
dates, which a clock that isn't set can't judge.
"""

import hashlib
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from device.config import Configuration
from device.errors import ConfigurationError, EvidenceError
from device.evidence import records
from device.evidence.envelope import SignedLine, open_line, verify_line
from device.evidence.identity import FileSigner, Role, load_anchors, load_certificate, p256_key, why_not_trusted
from device.evidence.rotation import RotationDocument, open_rotation

MAX_PAPER_BYTES = 256 * 1024


class Papers(msgspec.Struct, frozen=True):
    """Certificates in DER; `provisioning` is the agency's signed line, without its newline. `rotation`: what this key and
    the one before signed, if there was one; the old key's half is checked against the card, which has its certificate."""

    certificate: bytes
    provisioner: bytes
    provisioning: bytes
    key: ec.EllipticCurvePublicKey
    signer: FileSigner
    rotation: RotationDocument | None


def read_papers(configuration: Configuration) -> Papers:
    """Read and check them; `ConfigurationError` names the file and what it should have been."""
    files = configuration.tables.identity
    anchors = load_anchors(configuration.at(configuration.tables.policy.anchor))
    certificate = _read(configuration.at(files.certificate), "the device's certificate (DER)")
    provisioner = _read(configuration.at(files.provisioner), "the provisioner's certificate (DER)")
    own = _certificate(configuration.at(files.certificate), certificate, Role.LEDGER, anchors)
    agency = _certificate(configuration.at(files.provisioner), provisioner, Role.PROVISIONING, anchors)
    provisioning = _read(configuration.at(files.provisioning), "the agency's provisioning statement").rstrip(b"\n")
    _check_statement(configuration, provisioning, certificate, agency)
    signer = FileSigner(configuration.at(files.key), certificate)
    rotation = _rotation(configuration, own, certificate)
    return Papers(certificate, provisioner, provisioning, p256_key(own), signer, rotation)


def _certificate(path: Path, der: bytes, role: Role, anchors: tuple[x509.Certificate, ...]) -> x509.Certificate:
    try:
        certificate = load_certificate(der)
    except EvidenceError as failure:
        raise ConfigurationError(f"{path}: {failure}; give the certificate in DER") from failure
    why = why_not_trusted(certificate, role, anchors, None)
    if why:
        raise ConfigurationError(f"{path}: {why}; give the certificate for {role.name.lower()} that the agency issued")
    return certificate


def _check_statement(
    configuration: Configuration, line: bytes, certificate: bytes, provisioner: x509.Certificate
) -> None:
    path = configuration.at(configuration.tables.identity.provisioning)
    try:
        signed = open_line(line)
        statement = records.decode_provisioned(signed.payload)
    except EvidenceError as failure:
        raise ConfigurationError(f"{path}: {failure}; ask the agency for a new statement") from failure
    if not _signed_by(signed, provisioner):
        raise ConfigurationError(
            f"{path}: it is not signed by {configuration.tables.identity.provisioner}; ask the agency for the "
            "certificate of the provisioner who signed it"
        )
    device = configuration.tables.device.id
    if statement.device != device or statement.certificate_sha256 != hashlib.sha256(certificate).hexdigest():
        raise ConfigurationError(
            f"{path}: it is about the device {statement.device} and another certificate than that of {device}; "
            "ask the agency for this device's statement"
        )


def _rotation(configuration: Configuration, own: x509.Certificate, certificate: bytes) -> RotationDocument | None:
    name = configuration.tables.identity.rotation
    if name is None:
        return None
    path, device = configuration.at(name), configuration.tables.device.id
    try:
        document = open_rotation(_read(path, "the statement that the old key and the new one signed"))
    except EvidenceError as failure:
        raise ConfigurationError(f"{path}: {failure}; make it anew with `bodycam rotate`") from failure
    said = document.said
    if said.device != device or said.new_certificate_sha256 != hashlib.sha256(certificate).hexdigest():
        raise ConfigurationError(
            f"{path}: it is about the device {said.device} and another certificate than that of {device}; "
            "give this device's rotation, or take [identity] rotation out"
        )
    if not verify_line(document.new, p256_key(own)):
        raise ConfigurationError(f"{path}: the new key did not sign it; make it anew with `bodycam rotate`")
    return document


def _signed_by(signed: SignedLine, provisioner: x509.Certificate) -> bool:
    return signed.payload_type == records.PROVISIONING_TYPE and verify_line(signed, p256_key(provisioner))


def _read(path: Path, what: str) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_PAPER_BYTES)
    except OSError as failure:
        raise ConfigurationError(f"{path}: {failure.strerror}; it must hold {what}") from failure

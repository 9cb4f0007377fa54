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
from device.evidence.identity import (
    Role,
    common_name,
    key_protection,
    load_anchors,
    load_certificate,
    p256_key,
    why_not_trusted,
)
from device.evidence.keys import Key, KeySigner, Named, named_key, open_key
from device.evidence.rotation import RotationDocument, open_rotation

MAX_PAPER_BYTES = 256 * 1024


class MediaPapers(msgspec.Struct, frozen=True):
    """The certificate (DER) and the key that sign within the video; `key`: its public half."""

    certificate: bytes
    key: ec.EllipticCurvePublicKey
    signer: KeySigner


class Papers(msgspec.Struct, frozen=True):
    """Certificates in DER; `provisioning` is the agency's signed line, without its newline; `statement` what it says.
    `key`: the public half of the ledger's. `media`: None where the configuration names no key for it. `rotation`: what
    this key and the one before signed, if there was one; the old key's half is checked against the card, which has its
    certificate."""

    certificate: bytes
    provisioner: bytes
    provisioning: bytes
    statement: records.Provisioned
    key: ec.EllipticCurvePublicKey
    signer: KeySigner
    media: MediaPapers | None
    rotation: RotationDocument | None

    @property
    def signers(self) -> tuple[KeySigner, ...]:
        """Every key that was opened."""
        return (self.signer,) if self.media is None else (self.signer, self.media.signer)


def read_papers(configuration: Configuration) -> Papers:
    """Read and check them; `ConfigurationError` names the file and what it should have been; `CannotPersist`: a token or a
    TPM can't be reached now."""
    files = configuration.tables.identity
    anchors = load_anchors(configuration.at(configuration.tables.policy.anchor))
    certificate = _read(configuration.at(files.certificate), "the device's certificate (DER)")
    provisioner = _read(configuration.at(files.provisioner), "the provisioner's certificate (DER)")
    provisioning = _read(configuration.at(files.provisioning), "the agency's provisioning statement").rstrip(b"\n")
    names = PaperFiles(*(configuration.at(name) for name in (files.certificate, files.provisioner, files.provisioning)))
    statement = check_papers(names, configuration.tables.device.id, anchors, (certificate, provisioner, provisioning))
    own = load_certificate(certificate)
    rotation = _rotation(configuration, own, certificate)
    signer = open_signer(configuration, Role.LEDGER, certificate)
    check_protection(names.provisioning, statement, signer.protection)
    return Papers(
        certificate=certificate,
        provisioner=provisioner,
        provisioning=provisioning,
        statement=statement,
        key=p256_key(own),
        signer=signer,
        media=_read_media(configuration, anchors),
        rotation=rotation,
    )


class PaperFiles(msgspec.Struct, frozen=True):
    """Where they were read, for messages."""

    certificate: Path
    provisioner: Path
    provisioning: Path


def check_papers(
    files: PaperFiles, device: str, anchors: tuple[x509.Certificate, ...], papers: tuple[bytes, bytes, bytes]
) -> records.Provisioned:
    """Check the device's certificate, the provisioner's and the statement, as far as the key is not needed; what the
    statement says. `ConfigurationError` as above."""
    certificate, provisioner, provisioning = papers
    own = check_certificate(files.certificate, certificate, Role.LEDGER, anchors)
    if common_name(own) != device:
        raise ConfigurationError(
            f"{files.certificate}: it names {common_name(own)}, device.id is {device}; give this device's certificate"
        )
    agency = check_certificate(files.provisioner, provisioner, Role.PROVISIONING, anchors)
    return _check_statement(files, device, provisioning, certificate, agency)


def open_signer(configuration: Configuration, role: Role, certificate: bytes) -> KeySigner:
    """Open a role's key; `ConfigurationError` when it is not the certificate's, or not where that says it is."""
    named = named_key(configuration, role)
    key = open_key(configuration, role)
    try:
        check_key(configuration, named, load_certificate(certificate), key)
    except ConfigurationError:
        key.close()
        raise
    return KeySigner(key, role, certificate)


def _read_media(configuration: Configuration, anchors: tuple[x509.Certificate, ...]) -> MediaPapers | None:
    files = configuration.tables.identity
    if files.media_key is None and files.media_certificate is None:
        return None
    path = configuration.at(named_key(configuration, Role.MEDIA).certificate)
    certificate = _read(path, "the certificate for signing the stream (DER)")
    own = check_certificate(path, certificate, Role.MEDIA, anchors)
    named_device = common_name(own)
    if named_device != configuration.tables.device.id:
        raise ConfigurationError(
            f"{path}: it is for the device {named_device}; ask the agency for the one of {configuration.tables.device.id}"
        )
    return MediaPapers(certificate, p256_key(own), open_signer(configuration, Role.MEDIA, certificate))


def check_key(configuration: Configuration, named: Named, certificate: x509.Certificate, key: Key) -> None:
    """`ConfigurationError` unless the key is the certificate's, and protected as that says."""
    if key.public != p256_key(certificate):
        raise ConfigurationError(
            f"{configuration.path}: {named.setting} is {named.text!r}: this is not the key of the certificate "
            f"{named.certificate}; name the two that belong together"
        )
    said = key_protection(certificate)
    if said != key.protection:
        raise ConfigurationError(
            f"{configuration.at(named.certificate)}: it says that its key is protected by: {said or 'nothing'}; the key is in: "
            f"{key.protection}; ask the agency for a certificate from the request of `bodycam provision key`"
        )


def check_protection(path: Path, statement: records.Provisioned, protection: str) -> None:
    """`ConfigurationError` unless the agency's statement says where the key is."""
    if statement.key_protection != protection:
        raise ConfigurationError(
            f"{path}: it says that the key is protected by: {statement.key_protection}; the key is in: {protection}; ask the "
            "agency for a new statement"
        )


def check_certificate(path: Path, der: bytes, role: Role, anchors: tuple[x509.Certificate, ...]) -> x509.Certificate:
    """A certificate for a role under the agency's anchor, whatever its dates; `ConfigurationError` otherwise."""
    try:
        certificate = load_certificate(der)
    except EvidenceError as failure:
        raise ConfigurationError(f"{path}: {failure}; give the certificate in DER") from failure
    why = why_not_trusted(certificate, role, anchors, None)
    if why:
        raise ConfigurationError(f"{path}: {why}; give the certificate for {role.name.lower()} that the agency issued")
    return certificate


def _check_statement(
    files: PaperFiles, device: str, line: bytes, certificate: bytes, provisioner: x509.Certificate
) -> records.Provisioned:
    path = files.provisioning
    try:
        signed = open_line(line)
        statement = records.decode_provisioned(signed.payload)
    except EvidenceError as failure:
        raise ConfigurationError(f"{path}: {failure}; ask the agency for a new statement") from failure
    if not _signed_by(signed, provisioner):
        raise ConfigurationError(
            f"{path}: it is not signed by {files.provisioner.name}; ask the agency for the certificate of the provisioner "
            "who signed it"
        )
    if statement.device != device or statement.certificate_sha256 != hashlib.sha256(certificate).hexdigest():
        raise ConfigurationError(
            f"{path}: it is about the device {statement.device} and another certificate than that of {device}; "
            "ask the agency for this device's statement"
        )
    return statement


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


def keys_opened(papers: Papers) -> list[records.KeyOpened]:
    """What the journal says of every key that this boot opened."""
    return [
        records.KeyOpened(
            role=signer.role.name.lower(),
            certificate_sha256=signer.certificate_sha256,
            protection=signer.protection,
            where=signer.where,
        )
        for signer in papers.signers
    ]

"""Provisioning: a device's key is made where it is to be, the agency certifies it, and what the agency gave is installed.

On the device: `make_request`, `install`, `state`. On the agency's own computer: `make_statement`, with its key in a file.
Everything is checked before anything is written, and written whole or not at all. Called by `bodycam provision`.
"""

import hashlib
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from device.config import Configuration
from device.errors import BodycamError, EvidenceError, UsageError
from device.evidence import records
from device.evidence.envelope import sign_line
from device.evidence.identity import (
    FileSigner,
    Role,
    common_name,
    device_subject,
    key_protection,
    load_anchors,
    load_certificate,
    why_not_for,
)
from device.evidence.keys import Key, make_key, named_key, open_key, protection_of
from device.evidence.papers import PaperFiles, check_certificate, check_key, check_papers, check_protection
from device.evidence.records import Attestation, Provisioned
from device.terminal import check_output, safe, write_whole

MAX_PAPER_BYTES = 256 * 1024
ROLES = {"ledger": Role.LEDGER, "media": Role.MEDIA}
"""The roles that a device has keys for."""


class _Held(ec.EllipticCurvePrivateKey):
    """A key as the library that writes requests wants it: it asks for signatures, and never has the secret."""

    def __init__(self, key: Key) -> None:
        self._key = key

    def sign(self, data: Any, signature_algorithm: ec.EllipticCurveSignatureAlgorithm) -> bytes:  # noqa: ARG002 - the only one
        return self._key.sign(bytes(data))

    def public_key(self) -> ec.EllipticCurvePublicKey:
        return self._key.public

    @property
    def curve(self) -> ec.EllipticCurve:
        return self._key.public.curve

    @property
    def key_size(self) -> int:
        return self._key.public.key_size

    def exchange(self, algorithm: ec.ECDH, peer_public_key: ec.EllipticCurvePublicKey) -> bytes:
        raise NotImplementedError

    def private_numbers(self) -> ec.EllipticCurvePrivateNumbers:
        raise NotImplementedError

    def private_bytes(
        self,
        encoding: serialization.Encoding,
        format: serialization.PrivateFormat,  # noqa: A002 - the library's name
        encryption_algorithm: serialization.KeySerializationEncryption,
    ) -> bytes:
        raise NotImplementedError

    def __copy__(self) -> "_Held":
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> "_Held":
        return self


class Made(msgspec.Struct, frozen=True):
    """What `make_request` did: `new`: the key was made now."""

    device: str
    role: str
    new: bool
    protection: str
    public_sha256: str


def make_request(
    configuration: Configuration,
    role: str,
    output: Path,
    attestation: Path | None,
    *,
    existing: bool,
    force: bool,
) -> Made:
    """Make a role's key where the configuration says, unless it is `existing`; write the request for its certificate
    (PEM), and with a TPM that anchors what the agency must know of it (JSON). Raises as `make_key` does."""
    _check_attestation_asked(configuration, role, attestation)
    check_output(output, "-o", force=force)
    if attestation is not None:
        check_output(attestation, "--attestation", (output,), force=force)
    key = open_key(configuration, ROLES[role]) if existing else make_key(configuration, ROLES[role])
    try:
        write_whole(output, _request(configuration.tables.device.id, ROLES[role], key), "-o", force=force)
        if attestation is not None:
            said = msgspec.json.format(msgspec.json.encode(_attestation(configuration))) + b"\n"
            write_whole(attestation, said, "--attestation", force=force)
        return Made(configuration.tables.device.id, role, not existing, key.protection, _fingerprint(key.public))
    finally:
        key.close()


def _check_attestation_asked(configuration: Configuration, role: str, attestation: Path | None) -> None:
    tpm = configuration.tables.identity.tpm
    anchors = role == "ledger" and tpm is not None and tpm.attestation_key is not None
    if anchors and attestation is None:
        raise UsageError(
            f"{configuration.path}: identity.tpm.attestation_key is set; name with --attestation FILE.json where to write "
            "what the agency must know of the TPM"
        )
    if attestation is not None and not anchors:
        raise UsageError(
            "--attestation: it is for the role ledger, with identity.tpm.attestation_key set; leave it out"
        )


def _attestation(configuration: Configuration) -> Attestation:
    from device.evidence.tpm_witness import provide_attestation

    return provide_attestation(configuration)


def _request(device: str, role: Role, key: Key) -> bytes:
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(device_subject(device, key.protection))
        .add_extension(x509.ExtendedKeyUsage([role.oid]), critical=True)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(_Held(key), hashes.SHA256())
    )
    return request.public_bytes(serialization.Encoding.PEM)


# -- the agency -----------------------------------------------------------------------------------------------------


def make_statement(
    *,
    device: str,
    agency: str,
    certificate: Path,
    protection: str,
    key: Path,
    signer: Path,
    attestation: Path | None,
    output: Path,
    force: bool,
) -> Provisioned:
    """The agency's word on a device: written whole; `UsageError` for what contradicts the device's certificate."""
    inputs = tuple(path for path in (certificate, key, signer, attestation) if path is not None)
    check_output(output, "-o", inputs, force=force)
    der, own = read_certificate(certificate)
    if common_name(own) != device:
        raise UsageError(
            safe(f"--device {device}: {certificate} names {common_name(own)}; give that device's certificate")
        )
    said = key_protection(own)
    if said != protection:
        raise UsageError(
            safe(f"--protection {protection}: {certificate} says {said or 'nothing'}; the two must say the same")
        )
    why = why_not_for(own, Role.LEDGER, None)
    if why:
        raise UsageError(safe(f"--certificate {certificate}: {why}; give the device's certificate for the role ledger"))
    signer_der, provisioner = read_certificate(signer)
    why = why_not_for(provisioner, Role.PROVISIONING, datetime.now(UTC))
    if why:
        raise UsageError(safe(f"--signer {signer}: {why}; give the provisioner's certificate"))
    statement = Provisioned(
        format=records.FORMAT,
        device=device,
        agency=agency,
        certificate_sha256=sha256_of(der),
        key_protection=protection,
        utc=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        attestation=_read_attestation(attestation) if attestation is not None else None,
    )
    payload = records.encode(statement)
    try:
        records.decode_provisioned(payload)
    except EvidenceError as failure:
        raise UsageError(safe(f"--device or --agency: {failure}; letters, digits and ._:+/@()- are taken")) from failure
    line = sign_line(FileSigner(key, signer_der), records.PROVISIONING_TYPE, payload)
    write_whole(output, line + b"\n", "-o", inputs, force=force)
    return statement


def _read_attestation(path: Path) -> Attestation:
    try:
        return msgspec.json.decode(_read(path, "--attestation"), type=Attestation)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as failure:
        raise UsageError(
            safe(f"--attestation {path}: {failure}; give the file that `bodycam provision key` wrote")
        ) from failure


# -- installing -----------------------------------------------------------------------------------------------------


class Given(msgspec.Struct, frozen=True):
    """What the agency gave. For the role media only the certificate is new."""

    certificate: Path
    statement: Path | None
    provisioner: Path | None
    anchor: Path | None


def install(configuration: Configuration, role: str, given: Given, *, force: bool) -> list[Path]:
    """Check everything as the daemon will, and that the key is there; then write all of it, or nothing. What was written."""
    files = configuration.tables.identity
    at = configuration.at
    named = named_key(configuration, ROLES[role])
    anchor = given.anchor or at(configuration.tables.policy.anchor)
    anchors = load_anchors(anchor, "--anchor")
    der, own = read_certificate(given.certificate)
    outputs = {at(named.certificate): der}
    statement = None
    if role == "media":
        check_certificate(given.certificate, der, Role.MEDIA, anchors)
    else:
        if given.statement is None or given.provisioner is None:
            raise UsageError("--statement and --provisioner: the role ledger needs both, as the agency gave them")
        provisioner, _ = read_certificate(given.provisioner)
        line = _read(given.statement, "--statement").rstrip(b"\n")
        names = PaperFiles(given.certificate, given.provisioner, given.statement)
        statement = check_papers(names, configuration.tables.device.id, anchors, (der, provisioner, line))
        outputs |= {at(files.provisioner): provisioner, at(files.provisioning): line + b"\n"}
        check_protection(given.statement, statement, protection_of(named.text))
    if given.anchor is not None:
        outputs[at(configuration.tables.policy.anchor)] = _read(given.anchor, "--anchor")
    key = open_key(configuration, ROLES[role])
    try:
        check_key(configuration, named, own, key)
    finally:
        key.close()
    _write_all(outputs, force=force)
    return list(outputs)


def _write_all(outputs: dict[Path, bytes], *, force: bool) -> None:
    """Each file whole; when one can't be written, those before it are as they were."""
    before: dict[Path, bytes | None] = {}
    same = {path for path, content in outputs.items() if _content(path) == content}
    for path in outputs.keys() - same:
        check_output(path, "the configured file", force=force)
    try:
        for path, content in outputs.items():
            if path not in same:
                old = _content(path)
                write_whole(path, content, "the configured file", force=force)
                before[path] = old
    except (BodycamError, OSError):
        for path, old in before.items():
            if old is None:
                path.unlink(missing_ok=True)
            else:
                write_whole(path, old, "the configured file", force=True)
        raise


def _content(path: Path) -> bytes | None:
    with suppress(OSError):
        return path.read_bytes() if path.is_file() else None
    return None


# -- showing --------------------------------------------------------------------------------------------------------


class KeyState(msgspec.Struct, frozen=True):
    """One role's key and certificate; texts are "" for what is not known. `problem`: why the daemon would not start."""

    role: str
    place: str
    protection: str
    public_sha256: str
    certificate: str
    certificate_sha256: str
    subject: str
    not_before: str
    not_after: str
    problem: str


class State(msgspec.Struct, frozen=True):
    device: str
    keys: list[KeyState]
    agency: str
    statement_utc: str
    anchored_by_tpm: bool
    problem: str


def state(configuration: Configuration) -> State:
    """What there is, and what is wrong with it. Raises nothing for what it finds."""
    from device.evidence.papers import read_papers

    problem, agency, utc, anchored = "", "", "", False
    try:
        papers = read_papers(configuration)
        agency, utc = papers.statement.agency, papers.statement.utc
        anchored = papers.statement.attestation is not None
        for signer in papers.signers:
            signer.close()
    except BodycamError as failure:
        problem = str(failure)
    roles = ["ledger"] if configuration.tables.identity.media_key is None else ["ledger", "media"]
    keys = [_key_state(configuration, role) for role in roles]
    return State(configuration.tables.device.id, keys, agency, utc, anchored, problem)


def _key_state(configuration: Configuration, role: str) -> KeyState:
    """Of a URI only its kind is said: a URI may hold more than a word."""
    public, problem, sha256 = "", "", ""
    subject, not_before, not_after, path = "", "", "", ""
    text = ""
    try:
        named = named_key(configuration, ROLES[role])
        text, path = named.text, named.certificate
        key = open_key(configuration, ROLES[role])
        public = _fingerprint(key.public)
        key.close()
    except BodycamError as failure:
        problem = str(failure)
    try:
        der, certificate = read_certificate(configuration.at(path))
        sha256, subject = sha256_of(der), certificate.subject.rfc4514_string()
        not_before = certificate.not_valid_before_utc.isoformat()
        not_after = certificate.not_valid_after_utc.isoformat()
    except BodycamError as failure:
        problem = problem or str(failure)
    return KeyState(
        role=role,
        place=text,
        protection=protection_of(text),
        public_sha256=public,
        certificate=path,
        certificate_sha256=sha256,
        subject=subject,
        not_before=not_before,
        not_after=not_after,
        problem=problem,
    )


# -- shared ---------------------------------------------------------------------------------------------------------


def read_certificate(path: Path) -> tuple[bytes, x509.Certificate]:
    """A certificate's DER, from PEM or DER; `UsageError` for anything else."""
    data = _read(path, "the certificate")
    try:
        if data.lstrip().startswith(b"-----"):
            data = x509.load_pem_x509_certificate(data).public_bytes(serialization.Encoding.DER)
        return data, load_certificate(data)
    except (EvidenceError, ValueError) as failure:
        raise UsageError(safe(f"{path}: {failure}; give a certificate in PEM or DER")) from failure


def sha256_of(der: bytes) -> str:
    return hashlib.sha256(der).hexdigest()


def _fingerprint(key: ec.EllipticCurvePublicKey) -> str:
    """SHA-256 of the public key in DER, as `openssl pkey -pubin -outform DER | sha256sum` says it."""
    info = serialization.PublicFormat.SubjectPublicKeyInfo
    return sha256_of(key.public_bytes(serialization.Encoding.DER, info))


def _read(path: Path, option: str) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_PAPER_BYTES + 1)
    except OSError as failure:
        raise UsageError(safe(f"{option} {path}: {failure.strerror}; name the file that the agency gave")) from failure
    if len(data) > MAX_PAPER_BYTES:
        raise UsageError(safe(f"{option} {path}: more than {MAX_PAPER_BYTES} bytes"))
    return data

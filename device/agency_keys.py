"""The agency's own keys, as its commands are given them: a private key and its certificate, each in a file.

Read here and nowhere else, on the agency's own computer. No camera reads them.
"""

from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization

from device.errors import ConfigurationError, EvidenceError, UsageError
from device.evidence.identity import MAX_PEM_BYTES, FileSigner, Role, load_certificate, why_not_for
from device.evidence.signed_file import MAX_CERTIFICATE_BYTES
from device.terminal import safe

_DER = serialization.Encoding.DER


def signer_of(path: Path, certificate: bytes, whose: str) -> FileSigner:
    """The key of the one who `whose` says; `UsageError` with a way out for every other."""
    wanted = f"give the private key that {whose}: P-256, in PEM, without a passphrase"
    if b"ENCRYPTED" in _read(path, MAX_PEM_BYTES, wanted):
        plain = "`openssl pkey -in KEY.pem -out PLAIN.pem` takes the passphrase off"
        raise UsageError(safe(f"{path}: the key is encrypted; {plain}; {wanted}"))
    try:
        return FileSigner(path, certificate)
    except ConfigurationError as failure:
        raise UsageError(safe(f"{failure}; {wanted}")) from failure


def certificate_of(path: Path, role: Role, whose: str) -> bytes:
    """A certificate's DER; `UsageError` unless cameras would take it for the role, today."""
    data = _read(path, MAX_CERTIFICATE_BYTES, f"give the certificate of the one who {whose}")
    try:
        if data.lstrip().startswith(b"-----"):
            data = x509.load_pem_x509_certificate(data).public_bytes(_DER)
        certificate = load_certificate(data)
    except (EvidenceError, ValueError) as failure:
        raise UsageError(safe(f"{path}: {failure}; give a certificate in PEM or DER")) from failure
    why = _authority(certificate) or why_not_for(certificate, role, datetime.now(UTC))
    if why:
        wanted = f"give one that the agency's CA issued for the one who {whose}, and that is valid"
        raise UsageError(safe(f"{path}: {why}; {wanted}"))
    return data


def chain_of(path: Path, option: str) -> tuple[bytes, ...]:
    """A certificate (DER) and those above it, each issued by the next and valid today; an anchor at the end is left out.
    `UsageError` for anything else. Of its purposes nothing is asked here."""
    wanted = "give the signer's certificate, then those between it and the CA, in PEM"
    data = _read(path, MAX_PEM_BYTES, wanted)
    try:
        if data.lstrip().startswith(b"-----"):
            chain = [load_certificate(c.public_bytes(_DER)) for c in x509.load_pem_x509_certificates(data)]
        else:
            chain = [load_certificate(data)]
        for certificate, issuer in pairwise(chain):
            certificate.verify_directly_issued_by(issuer)
    except InvalidSignature as failure:
        raise UsageError(safe(f"{option} {path}: each must be issued by the next; {wanted}")) from failure
    except (EvidenceError, ValueError, TypeError) as failure:
        raise UsageError(safe(f"{option} {path}: {failure}; {wanted}")) from failure
    now = datetime.now(UTC)
    if not all(c.not_valid_before_utc <= now <= c.not_valid_after_utc for c in chain):
        raise UsageError(safe(f"{option} {path}: a certificate in it is not valid today; {wanted}"))
    if len(chain) > 1 and chain[-1].subject == chain[-1].issuer:
        chain.pop()
    return tuple(certificate.public_bytes(_DER) for certificate in chain)


def _authority(certificate: x509.Certificate) -> str:
    """Why a certificate that may issue others has no role; "" when it may not."""
    try:
        issues = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        issues = False
    return "its certificate is a CA's, which has no other role" if issues else ""


def _read(path: Path, limit: int, way_out: str) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as failure:
        raise UsageError(safe(f"{path}: {failure.strerror}; {way_out}")) from failure
    if len(data) > limit:
        raise UsageError(safe(f"{path}: more than {limit} bytes; {way_out}"))
    return data

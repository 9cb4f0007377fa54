"""Certificates that the agency's CA took back: a list (CRL) that the person who verifies gives, like the anchors.

A certificate that was taken back because it is no longer needed counts for what was signed before. One whose key is lost
counts for nothing of which only that key says when it was signed: whoever has the key writes any time. Then a proof from
outside is needed that the signature was there before. No clock: how old the list is, is said and not judged.
"""

from datetime import UTC, datetime
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from device.errors import UsageError
from device.evidence.identity import issued_by

MAX_LIST_BYTES = 16 * 1024 * 1024
_WANTED = "give a revocation list (CRL, PEM or DER) that a CA of --trust signed"
_HARMLESS = {
    x509.ReasonFlags.superseded,
    x509.ReasonFlags.cessation_of_operation,
    x509.ReasonFlags.affiliation_changed,
}
"""The key was in nobody else's hands. Every other reason, and none given, may mean that it was."""
_NOT_READABLE = (ValueError, TypeError, UnsupportedAlgorithm, x509.DuplicateExtension, x509.UnsupportedGeneralNameType)


class Revoked(msgspec.Struct, frozen=True):
    """`since`: from when on the key is not to be believed, which may be before the day of the revocation."""

    since: datetime
    reason: str
    key_lost: bool


class _List(msgspec.Struct, frozen=True):
    content: x509.CertificateRevocationList
    anchor: x509.Certificate


class Revocations:
    """What the lists say; without any, nothing is revoked."""

    def __init__(self, lists: tuple[_List, ...] = ()) -> None:
        self._lists = lists

    @property
    def said(self) -> list[str]:
        """Whose lists these are, and of when: what was revoked later is not in them."""
        return [
            f"revoked certificates as of {at.content.last_update_utc.isoformat()}: what was revoked later is not known"
            for at in self._lists
        ]

    def of(self, certificate: x509.Certificate) -> Revoked | None:
        """The earliest word that any list has against this certificate."""
        found = [
            _read_entry(entry)
            for at in self._lists
            if issued_by(certificate, at.anchor)
            and (entry := at.content.get_revoked_certificate_by_serial_number(certificate.serial_number)) is not None
        ]
        return min(found, key=lambda revoked: (not revoked.key_lost, revoked.since), default=None)

    def judge(
        self, certificate: x509.Certificate, claimed: datetime | None, proven_by: datetime | None = None
    ) -> tuple[str, str]:
        """Why what this certificate's key signed does not count, "" when it does; and what is to be said if it counts.

        `claimed`: when the signer says that it signed, None when its clock was not set. `proven_by`: a moment by which,
        as somebody else's word proves, it was signed.
        """
        revoked = self.of(certificate)
        if revoked is None:
            return "", ""
        what = f"its certificate was revoked from {revoked.since.isoformat()} on ({revoked.reason})"
        if proven_by is not None and proven_by < revoked.since:
            return "", f"{what}, after it signed: proven from outside by {proven_by.isoformat()}"
        if revoked.key_lost:
            why = "whoever has the key can claim any time, and nothing from outside proves that it signed before"
            return f"{what}: {why}", ""
        if claimed is None:
            return f"{what}, and its clock was not set: whether it signed before is not known", ""
        if claimed < revoked.since:
            return "", f"{what}, after it signed (claimed time)"
        return f"{what}, before it signed", ""


NONE_REVOKED = Revocations()


def load_revocations(path: Path, anchors: tuple[x509.Certificate, ...]) -> Revocations:
    """The lists in a file; `UsageError` unless each is whole, signed by one of the anchors, and of all its certificates."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_LIST_BYTES + 1)
    except OSError as failure:
        raise UsageError(f"--revoked {path}: {failure.strerror}; {_WANTED}") from failure
    if len(data) > MAX_LIST_BYTES:
        raise UsageError(f"--revoked {path}: more than {MAX_LIST_BYTES} bytes; {_WANTED}")
    try:
        lists = tuple(_signed(content, anchors) for content in _lists(data))
    except _NOT_READABLE as failure:
        raise UsageError(f"--revoked {path}: {failure}; {_WANTED}") from failure
    if not lists:
        raise UsageError(f"--revoked {path}: it holds no revocation list; {_WANTED}")
    return Revocations(lists)


def _lists(data: bytes) -> list[x509.CertificateRevocationList]:
    if not data.lstrip().startswith(b"-----"):
        return [x509.load_der_x509_crl(data)]
    end = b"-----END X509 CRL-----"
    *parts, rest = data.split(end)
    if rest.strip():
        raise ValueError("something that is no revocation list follows")
    return [x509.load_pem_x509_crl(part + end + b"\n") for part in parts]


def _signed(content: x509.CertificateRevocationList, anchors: tuple[x509.Certificate, ...]) -> _List:
    """`ValueError` unless an anchor signed it, and it is a list of all that this anchor revoked."""
    for extension in content.extensions:
        partly = isinstance(extension.value, x509.DeltaCRLIndicator | x509.IssuingDistributionPoint)
        if partly or extension.critical:
            raise ValueError("it is not a whole list of one CA")
    anchor = next((a for a in anchors if content.issuer == a.subject and _is_signed_by(content, a)), None)
    if anchor is None:
        raise ValueError("no CA of --trust signed it")
    for entry in content:
        _read_entry(entry)
    return _List(content, anchor)


def _is_signed_by(content: x509.CertificateRevocationList, anchor: x509.Certificate) -> bool:
    try:
        return content.is_signature_valid(anchor.public_key())  # type: ignore[arg-type]
    except (InvalidSignature, *_NOT_READABLE):
        return False


def _read_entry(entry: x509.RevokedCertificate) -> Revoked:
    """`ValueError` for an entry that can't be read as what it must be."""
    since, reason = entry.revocation_date_utc, x509.ReasonFlags.unspecified
    for extension in entry.extensions:
        if isinstance(extension.value, x509.CRLReason):
            reason = extension.value.reason
        elif isinstance(extension.value, x509.InvalidityDate):
            since = min(since, extension.value.invalidity_date_utc)
        elif extension.critical:
            raise ValueError(f"an entry says what this reader does not know ({extension.oid.dotted_string})")
    words = "".join(f" {c.lower()}" if c.isupper() else c for c in reason.value)
    return Revoked(since.astimezone(UTC), words, reason not in _HARMLESS)

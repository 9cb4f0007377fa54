"""A file of one signed statement, with the certificate of the one who signed: policy bundles, receipts, words from outside.

Two lines: a compact DSSE envelope around the document, and the signer's certificate, DER in padded base64. One spelling
is accepted and nothing follows. Nothing of the document is looked at before its signature is found good under an anchor.
The daemon and the readers use this; no clock, no I/O.
"""

import base64
import binascii
from datetime import datetime

import msgspec
from cryptography import x509

from device.errors import EvidenceError
from device.evidence.envelope import Signer, open_line, sign_line, verify_line
from device.evidence.identity import Role, load_certificate, p256_key, why_not_trusted

MAX_CERTIFICATE_BYTES = 8 * 1024

Anchors = tuple[x509.Certificate, ...]


class Kind(msgspec.Struct, frozen=True):
    """What such a file holds: its payload type, who may sign it, the words for the file and for what is signed, and the
    most bytes of the whole file and of the document."""

    payload_type: str
    role: Role
    file: str
    document: str
    max_file_bytes: int
    max_document_bytes: int


def make_signed(kind: Kind, document: bytes, signer: Signer, certificate: bytes) -> bytes:
    """The file. `certificate` (DER) is the signer's. The document is not looked at."""
    return sign_line(signer, kind.payload_type, document) + b"\n" + base64.b64encode(certificate) + b"\n"


def open_signed(
    kind: Kind, data: bytes, anchors: Anchors, at: datetime | None
) -> tuple[bytes, x509.Certificate, bytes]:
    """The signed line, the signer's certificate, the document; `EvidenceError` unless it counts under an anchor.

    `at`: when the certificate must have been valid; None: its dates are not judged.
    """
    line, der = _lines(kind, data)
    certificate = load_certificate(der)
    signed = open_line(line)
    if signed.payload_type != kind.payload_type:
        raise EvidenceError(f"it holds {signed.payload_type!r}, not {kind.payload_type!r}")
    if len(signed.payload) > kind.max_document_bytes:
        raise EvidenceError(f"{kind.document} of {len(signed.payload)} bytes; the limit is {kind.max_document_bytes}")
    if not verify_line(signed, p256_key(certificate)):
        raise EvidenceError("its signature is not by the key of its certificate")
    why = why_not_trusted(certificate, kind.role, anchors, at)
    if why:
        raise EvidenceError(why)
    return line, certificate, signed.payload


def _lines(kind: Kind, data: bytes) -> tuple[bytes, bytes]:
    """The envelope and the certificate's DER, each spelled in the one accepted way."""
    if len(data) > kind.max_file_bytes:
        raise EvidenceError(f"more than {kind.max_file_bytes} bytes, the limit of {kind.file}")
    lines = data.split(b"\n")
    if len(lines) != 3 or lines[2]:
        what = f"it must be two whole lines, a signed {kind.document.removeprefix('a ')} and a certificate"
        raise EvidenceError(f"not {kind.file}: {what}")
    try:
        der = base64.b64decode(lines[1], validate=True)
    except (binascii.Error, ValueError) as failure:
        raise EvidenceError(f"its second line is not base64: {failure}") from failure
    if len(der) > MAX_CERTIFICATE_BYTES:
        raise EvidenceError(f"a certificate of {len(der)} bytes; the limit is {MAX_CERTIFICATE_BYTES}")
    if base64.b64encode(der) != lines[1]:
        raise EvidenceError("a second spelling of its certificate")
    return lines[0], der

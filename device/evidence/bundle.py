"""A policy bundle: the policy's exact bytes, signed by the agency, with the certificate of the one who signed.

Two lines: a compact DSSE envelope around the TOML document, and the signer's certificate, DER in padded base64. One
spelling is accepted and nothing follows. A bundle counts only under an anchor: nothing of the document is looked at
before its signature is found good. The daemon and the readers use this; no clock, no I/O.
"""

import base64
import binascii
import hashlib
from datetime import datetime

import msgspec
from cryptography import x509

from device.errors import EvidenceError
from device.evidence.envelope import MAX_LINE_BYTES, Signer, open_line, sign_line, verify_line
from device.evidence.identity import Role, load_certificate, p256_key, why_not_trusted
from device.evidence.records import PolicyName
from device.policy.document import DocumentError
from device.policy.model import Policy, parse_policy

POLICY_TYPE = "application/vnd.bodycam.policy+toml"
MAX_POLICY_BYTES = 64 * 1024
MAX_CERTIFICATE_BYTES = 8 * 1024
MAX_BUNDLE_BYTES = MAX_LINE_BYTES + 2 * MAX_CERTIFICATE_BYTES

Anchors = tuple[x509.Certificate, ...]


class Bundle(msgspec.Struct, frozen=True):
    """A bundle whose signature is good under an anchor. `line` is its first, without the newline; `data` the whole
    file; `sha256` is of the document."""

    data: bytes
    line: bytes
    certificate: x509.Certificate
    document: bytes
    sha256: str
    policy: Policy

    @property
    def file_sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()

    @property
    def name(self) -> PolicyName:
        """What records say of this policy."""
        return PolicyName(id=self.policy.id, version=self.policy.version, sha256=self.sha256)


def make_bundle(document: bytes, signer: Signer, certificate: bytes) -> bytes:
    """Sign a policy document. `certificate` (DER) is the signer's. The document is not looked at."""
    return sign_line(signer, POLICY_TYPE, document) + b"\n" + base64.b64encode(certificate) + b"\n"


def read_bundle(data: bytes, anchors: Anchors, at: datetime | None) -> Bundle:
    """Take a bundle apart; `EvidenceError` unless it counts under an anchor and holds a policy.

    `at`: when the certificate must have been valid; None: its dates are not judged.
    """
    line, certificate, document = open_bundle(data, anchors, at)
    try:
        policy = parse_policy(document)
    except DocumentError as failure:
        raise EvidenceError(str(failure)) from failure
    sha256 = hashlib.sha256(document).hexdigest()
    return Bundle(data=data, line=line, certificate=certificate, document=document, sha256=sha256, policy=policy)


def open_bundle(data: bytes, anchors: Anchors, at: datetime | None) -> tuple[bytes, x509.Certificate, bytes]:
    """The same, with no look at the document: the signed line, the signer's certificate, the document."""
    line, der = _lines(data)
    certificate = load_certificate(der)
    signed = open_line(line)
    if signed.payload_type != POLICY_TYPE:
        raise EvidenceError(f"it holds {signed.payload_type!r}, not {POLICY_TYPE!r}")
    if len(signed.payload) > MAX_POLICY_BYTES:
        raise EvidenceError(f"a policy of {len(signed.payload)} bytes; the limit is {MAX_POLICY_BYTES}")
    if not verify_line(signed, p256_key(certificate)):
        raise EvidenceError("its signature is not by the key of its certificate")
    why = why_not_trusted(certificate, Role.POLICY, anchors, at)
    if why:
        raise EvidenceError(why)
    return line, certificate, signed.payload


def _lines(data: bytes) -> tuple[bytes, bytes]:
    """The envelope and the certificate's DER, each spelled in the one accepted way."""
    if len(data) > MAX_BUNDLE_BYTES:
        raise EvidenceError(f"more than {MAX_BUNDLE_BYTES} bytes, the limit of a policy bundle")
    lines = data.split(b"\n")
    if len(lines) != 3 or lines[2]:
        raise EvidenceError("not a policy bundle: it must be two whole lines, a signed policy and a certificate")
    try:
        der = base64.b64decode(lines[1], validate=True)
    except (binascii.Error, ValueError) as failure:
        raise EvidenceError(f"its second line is not base64: {failure}") from failure
    if len(der) > MAX_CERTIFICATE_BYTES:
        raise EvidenceError(f"a certificate of {len(der)} bytes; the limit is {MAX_CERTIFICATE_BYTES}")
    if base64.b64encode(der) != lines[1]:
        raise EvidenceError("a second spelling of its certificate")
    return lines[0], der

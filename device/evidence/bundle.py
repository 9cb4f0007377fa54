"""A policy bundle: the policy's exact bytes, signed by the agency, with the certificate of the one who signed.

A signed file around the TOML document; it counts only under an anchor. The daemon and the readers use this; no clock,
no I/O.
"""

import hashlib
from datetime import datetime

import msgspec
from cryptography import x509

from device.errors import EvidenceError
from device.evidence.envelope import MAX_LINE_BYTES, Signer
from device.evidence.identity import Role
from device.evidence.records import PolicyName
from device.evidence.signed_file import MAX_CERTIFICATE_BYTES, Anchors, Kind, make_signed, open_signed
from device.policy.document import DocumentError
from device.policy.model import Policy, parse_policy

__all__ = [
    "MAX_BUNDLE_BYTES", "MAX_CERTIFICATE_BYTES", "MAX_POLICY_BYTES", "POLICY_TYPE", "Anchors", "Bundle", "make_bundle",
    "open_bundle", "read_bundle",
]  # fmt: skip

POLICY_TYPE = "application/vnd.bodycam.policy+toml"
MAX_POLICY_BYTES = 64 * 1024
MAX_BUNDLE_BYTES = MAX_LINE_BYTES + 2 * MAX_CERTIFICATE_BYTES

_BUNDLE = Kind(POLICY_TYPE, Role.POLICY, "a policy bundle", "a policy", MAX_BUNDLE_BYTES, MAX_POLICY_BYTES)


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
    return make_signed(_BUNDLE, document, signer, certificate)


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
    return open_signed(_BUNDLE, data, anchors, at)

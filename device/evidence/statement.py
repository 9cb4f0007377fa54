"""The agency's statement about a device, line 0 of a journal: who signed it, and whether that counts. No I/O."""

from cryptography import x509

from device.errors import EvidenceError
from device.evidence import records
from device.evidence.envelope import SignedLine, open_line, verify_line
from device.evidence.identity import Role, p256_key, parse_utc, why_not_trusted
from device.evidence.records import Provisioned
from device.evidence.revocation import Revocations


def provisioners(signed: SignedLine, certificates: dict[str, x509.Certificate]) -> dict[str, x509.Certificate]:
    """The certificates, by digest, whose key signed the statement."""
    return {sha256: c for sha256, c in certificates.items() if verify_line(signed, p256_key(c))}


def why_not_agency(
    signed: SignedLine,
    statement: Provisioned,
    certificates: dict[str, x509.Certificate],
    anchors: tuple[x509.Certificate, ...],
    revoked: Revocations,
) -> str:
    """Several certificates may be of the key that signed; one that counts is enough."""
    at = parse_utc(statement.utc)
    whys = [
        why_not_trusted(c, Role.PROVISIONING, anchors, at) or revoked.judge(c, at)[0]
        for c in provisioners(signed, certificates).values()
    ]
    if not whys:
        return "the agency's statement is not signed by any provisioner whose certificate is here"
    return "" if "" in whys else whys[0]


def provisioning_line(first: bytes) -> tuple[SignedLine | None, Provisioned | None]:
    """A first line, taken apart, and what it says; nothing where it is no statement."""
    try:
        signed = open_line(first)
        if signed.payload_type != records.PROVISIONING_TYPE:
            return None, None
        return signed, records.decode_provisioned(signed.payload)
    except EvidenceError:
        return None, None

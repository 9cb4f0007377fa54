"""The documents that records name by digest: certificates and policies, as they lie on a card. For the readers.

They prove nothing by being here: a document counts when its bytes have the digest that a signed record names, and a
certificate when it was issued under an anchor, which comes only from the person who verifies.
"""

import hashlib
import tomllib
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import msgspec
from cryptography import x509

from device.errors import EvidenceError
from device.evidence import layout
from device.evidence.bundle import MAX_BUNDLE_BYTES, Anchors, open_bundle
from device.evidence.identity import load_certificate
from device.evidence.reading import names_in, read_file
from device.evidence.records import PolicyName
from device.evidence.revocation import NONE_REVOKED, Revocations
from device.evidence.verdicts import Finding

MAX_CERTIFICATE_BYTES = 64 * 1024
MAX_POLICY_BYTES = 256 * 1024


class Identities(msgspec.Struct, frozen=True):
    """The certificates on the card, by digest. `damaged`: files that are not what their names say, and nothing else is."""

    certificates: dict[str, x509.Certificate]
    notes: list[Finding]
    damaged: list[Finding]


def read_identities(card: Path) -> Identities:
    identities = Identities({}, [], [])
    wrong: dict[str, Finding] = {}
    for name in _names(card, identities):
        place = f"{layout.IDENTITY}/{name}"
        digest = layout.document_digest(name)
        if digest is None or not name.endswith(".der"):
            continue
        try:
            der = read_file(card / layout.IDENTITY / name, MAX_CERTIFICATE_BYTES)
        except EvidenceError as failure:
            wrong[digest] = Finding(question="content", place=place, what=str(failure))
            continue
        if der is None or hashlib.sha256(der).hexdigest() != digest:
            wrong[digest] = Finding(question="content", place=place, what="its bytes are not those that its name says")
            continue
        try:
            identities.certificates[digest] = load_certificate(der)
        except EvidenceError as failure:
            identities.notes.append(Finding(question="note", place=place, what=str(failure)))
    for digest, finding in wrong.items():
        if digest in identities.certificates:
            what = "left from a write that was cut short; not believed"
            identities.notes.append(Finding(question="note", place=finding.place, what=what))
        else:
            identities.damaged.append(finding)
    return identities


def why_not_policy(card: Path, named: PolicyName) -> str:
    """Why the policy on the card is not the one that a record names; "" when it is."""
    try:
        document = kept(card, layout.policy_file, named.sha256, MAX_POLICY_BYTES)
    except EvidenceError as failure:
        return str(failure)
    if document is None:
        return "the policy that was in force is missing"
    return why_not_named(document, named)


def why_not_named(document: bytes, named: PolicyName) -> str:
    """The same of a document whose digest is the one that the record names."""
    try:
        content = tomllib.loads(document.decode("utf-8"))
    except (ValueError, RecursionError):
        return "the policy that was in force is not a TOML document"
    said = content.get("id"), content.get("version")
    if said != (named.id, named.version):
        return f"the policy is {said[0]} {said[1]}; the record names {named.id} {named.version}"
    return ""


def why_not_signed(
    card: Path,
    bundle_sha256: str,
    named: PolicyName,
    anchors: Anchors,
    revoked: Revocations = NONE_REVOKED,
    at: datetime | None = None,
) -> Finding | None:
    """Why the bundle that a boot names does not have the agency sign the policy that it names; None when it does. `at`:
    when it was in force, as far as that is known; it was signed before."""
    place = layout.bundle_file(bundle_sha256)
    try:
        data = kept(card, layout.bundle_file, bundle_sha256, MAX_BUNDLE_BYTES)
    except EvidenceError as failure:
        return Finding(question="content", place=place, what=str(failure))
    if data is None:
        return Finding(question="content", place=place, what="the bundle of the policy that was in force is missing")
    return why_not_bundle(data, named, anchors, place, revoked, at)


def why_not_bundle(
    data: bytes,
    named: PolicyName,
    anchors: Anchors,
    place: str,
    revoked: Revocations = NONE_REVOKED,
    at: datetime | None = None,
) -> Finding | None:
    """The same of a bundle whose digest is the one that the boot names."""
    try:
        _, certificate, document = open_bundle(data, anchors, None)
    except EvidenceError as failure:
        return Finding(question="signer", place=place, what=f"the policy that was in force: {failure}")
    if hashlib.sha256(document).hexdigest() != named.sha256:
        return Finding(question="signer", place=place, what="the agency signed another policy than the one in force")
    why, _ = revoked.judge(certificate, at)
    if why:
        return Finding(question="signer", place=place, what=f"the policy that was in force: {why}")
    return None


def kept(card: Path, path_of: Callable[[str, int], str], sha256: str, limit: int) -> bytes | None:
    """A document of this digest; None when there is no file of its name, `EvidenceError` when none of them is it."""
    problem = ""
    for attempt in range(layout.DOCUMENT_ATTEMPTS):
        path = card / path_of(sha256, attempt)
        try:
            document = read_file(path, limit)
        except EvidenceError as failure:
            problem = problem or str(failure)
            continue
        if document is not None and hashlib.sha256(document).hexdigest() == sha256:
            return document
        if document is not None:
            problem = problem or f"{path.name}: it is not the one that was in force"
    if problem:
        raise EvidenceError(problem)
    return None


def _names(card: Path, identities: Identities) -> list[str]:
    try:
        return names_in(card / layout.IDENTITY)
    except EvidenceError as failure:
        identities.damaged.append(Finding(question="content", place=layout.IDENTITY, what=str(failure)))
        return []

"""The agency's receipts as they lie on a card. For the readers; nothing found there raises."""

import hashlib
from pathlib import Path

import msgspec

from device.errors import EvidenceError
from device.evidence import layout
from device.evidence.identity import Role, parse_utc, why_not_for
from device.evidence.reading import names_in, read_file
from device.evidence.receipts import MAX_RECEIPT_BYTES, Receipt, read_receipt
from device.evidence.revocation import Revocations
from device.evidence.signed_file import Anchors


class Kept(msgspec.Struct, frozen=True):
    """A card's receipts by digest: those that count under the anchors, and why others do not."""

    good: dict[str, Receipt]
    refused: dict[str, str]


def read_kept(card: Path, anchors: Anchors, revoked: Revocations) -> Kept:
    kept = Kept({}, {})
    try:
        names = names_in(card / layout.RECEIPTS)
    except EvidenceError:
        return kept  # the verification of the card's folders says so
    for name in names:
        sha256 = layout.document_digest(name)
        if sha256 is None or not name.endswith(".receipt") or sha256 in kept.good:
            continue
        try:
            data = read_file(card / layout.RECEIPTS / name, MAX_RECEIPT_BYTES) or b""
            kept.good[sha256] = _of_its_name(data, sha256, anchors, revoked)
        except EvidenceError as failure:
            kept.refused[sha256] = str(failure)
    return kept


def _of_its_name(data: bytes, sha256: str, anchors: Anchors, revoked: Revocations) -> Receipt:
    if hashlib.sha256(data).hexdigest() != sha256:
        raise EvidenceError("its bytes are not those that its name says")
    return read_receipt_then(data, anchors, revoked)


def read_receipt_then(data: bytes, anchors: Anchors, revoked: Revocations) -> Receipt:
    """A receipt whose signer's certificate was valid, and not revoked, when the agency says that it signed."""
    receipt, certificate = read_receipt(data, anchors, None)
    at = parse_utc(receipt.utc)
    why = why_not_for(certificate, Role.RECEIPT, at) or revoked.judge(certificate, at)[0]
    if why:
        raise EvidenceError(why)
    return receipt

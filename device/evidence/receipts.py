"""A receipt: the agency's signed word that it holds a recording, whole, and how far it holds the device's journal.

Made by the agency's store when a recording has arrived and was verified there; handed to the device as a spool file.
Each receipt of a device names the one before. Only a receipt lets space be freed (E7). No clock, no I/O.
"""

import hashlib
from datetime import datetime
from typing import TypeVar

import msgspec
from cryptography import x509

from device.errors import EvidenceError
from device.evidence.envelope import Signer
from device.evidence.identity import Role, parse_utc
from device.evidence.records import FORMAT, Digest, Line, Name, RecordingName, Utc
from device.evidence.signed_file import Anchors, Kind, make_signed, open_signed
from device.policy.inputs import Count

RECEIPT_TYPE = "application/vnd.bodycam.receipt+json"
MAX_STATEMENT_BYTES = 2 * 1024
MAX_RECEIPT_BYTES = 16 * 1024
"""A statement and a certificate in base64; a file of this size in base64 fits into a record."""

_S = TypeVar("_S", bound="Statement")
_RECEIPT = Kind(RECEIPT_TYPE, Role.RECEIPT, "a receipt", "a statement", MAX_RECEIPT_BYTES, MAX_STATEMENT_BYTES)


class Statement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type"):
    """What the agency says of a device, and when by its own clock."""

    format: str = FORMAT
    agency: Name
    device: Name
    utc: Utc


class Receipt(Statement, frozen=True, tag="receipt"):
    """The agency holds this recording.

    `ledger_head`: the last line of its ledger, or of its recovery file; `root`: the tree root that this line says;
    `segments`, `size`: how many segments, and their sealed bytes. `journal_head`: the last line of the device's journal
    that the agency holds. `object`: its name in the agency's store. `previous`: SHA-256 of the agency's receipt file
    before this one for this device, None for the first.
    """

    recording: RecordingName
    ledger_head: Line
    root: Digest
    segments: Count
    size: Count
    journal_head: Line
    object: Name
    object_sha256: Digest
    previous: Digest | None


def make_receipt(receipt: Receipt, signer: Signer, certificate_der: bytes) -> bytes:
    """The receipt's file. `certificate_der` is the signer's, for the role `receipt`."""
    return make_signed(_RECEIPT, msgspec.json.encode(receipt), signer, certificate_der)


def read_receipt(data: bytes, anchors: Anchors, at: datetime | None) -> tuple[Receipt, x509.Certificate]:
    """A receipt and its signer's certificate; `EvidenceError` unless it counts under an anchor, for the role `receipt`.

    `at`: when the certificate must have been valid; None: its dates are not judged.
    """
    _, certificate, document = open_signed(_RECEIPT, data, anchors, at)
    return decode_statement(msgspec.json.Decoder(Receipt), document), certificate


def file_sha256(data: bytes) -> str:
    """What the next receipt's `previous` says of this file, and its name on the card."""
    return hashlib.sha256(data).hexdigest()


def decode_statement(decoder: "msgspec.json.Decoder[_S]", document: bytes) -> _S:
    """A statement in its one spelling; `EvidenceError` otherwise."""
    try:
        statement = decoder.decode(document)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as failure:
        raise EvidenceError(f"not such a statement: {failure}") from failure
    if statement.format != FORMAT:
        raise EvidenceError(f"format {statement.format!r}; this reader knows {FORMAT!r}")
    if msgspec.json.encode(statement) != document:
        raise EvidenceError("a second spelling of a statement (key order, blanks, duplicates or numbers)")
    if parse_utc(statement.utc) is None:
        raise EvidenceError(f"utc {statement.utc} names no moment")
    return statement

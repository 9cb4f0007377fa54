"""Words from outside that date a journal: an agency's fresh nonce, and its signature over a line of the journal.

A nonce that stands in the journal was not known before the agency gave it out: nothing after that line could be earlier.
A line that the agency signed was there when it did: nothing up to that line could be later. Handed to the device as
spool files, in the form of policy bundles. No clock, no I/O.
"""

import base64
import hashlib
from datetime import datetime

import msgspec
from cryptography import x509

from device.errors import EvidenceError
from device.evidence.envelope import Signer
from device.evidence.identity import Role
from device.evidence.receipts import MAX_RECEIPT_BYTES, MAX_STATEMENT_BYTES, Statement, decode_statement
from device.evidence.records import Anchor, Digest, Line
from device.evidence.signed_file import Anchors, Kind, make_signed, open_signed

OUTSIDE_TYPE = "application/vnd.bodycam.anchor+json"
MAX_OUTSIDE_BYTES = MAX_RECEIPT_BYTES

_OUTSIDE = Kind(OUTSIDE_TYPE, Role.RECEIPT, "an anchor", "a statement", MAX_OUTSIDE_BYTES, MAX_STATEMENT_BYTES)


class DockNonce(Statement, frozen=True, tag="dock-nonce"):
    """Random bits that nobody knew before `utc`, for one device."""

    nonce: Digest


class CosignedHead(Statement, frozen=True, tag="cosigned-head"):
    """The agency saw this line of the device's journal at `utc`."""

    head: Line


Outside = DockNonce | CosignedHead
_DECODER: "msgspec.json.Decoder[DockNonce | CosignedHead]" = msgspec.json.Decoder(Outside)


def make_outside(statement: Outside, signer: Signer, certificate_der: bytes) -> bytes:
    """The file. `certificate_der` is the signer's, for the role `receipt`."""
    return make_signed(_OUTSIDE, msgspec.json.encode(statement), signer, certificate_der)


def read_outside(data: bytes, anchors: Anchors, at: datetime | None) -> tuple[Outside, x509.Certificate]:
    """The statement and its signer's certificate; `EvidenceError` unless it counts under an anchor, for `receipt`.

    `at`: when the certificate must have been valid; None: its dates are not judged.
    """
    _, certificate, document = open_signed(_OUTSIDE, data, anchors, at)
    return decode_statement(_DECODER, document), certificate


def kind_of(statement: Outside) -> str:
    """What the journal's record calls it."""
    return str(type(statement).__struct_config__.tag)


def as_record(data: bytes, statement: Outside, durable: Line) -> Anchor:
    """The journal's record of it. A nonce is about the line that was last when it came: `durable`."""
    return Anchor(
        kind=kind_of(statement),
        at="dock",
        head=statement.head if isinstance(statement, CosignedHead) else durable,
        statement=base64.b64encode(data).decode(),
        sha256=hashlib.sha256(data).hexdigest(),
    )


def statement_of(record: Anchor) -> bytes:
    """The bytes that a record holds; `EvidenceError` when they are not those of its digest."""
    try:
        data = base64.b64decode(record.statement, validate=True)
    except ValueError as failure:
        raise EvidenceError(f"its statement is not base64: {failure}") from failure
    if hashlib.sha256(data).hexdigest() != record.sha256:
        raise EvidenceError("its statement is not the one that its digest names")
    return data

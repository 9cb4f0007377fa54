"""The bytes of receipts and of words from outside: one spelling, the agency's, for their role; anything else is refused."""

import base64
import hashlib
import json
import random
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device.errors import EvidenceError
from device.evidence.envelope import sign_line
from device.evidence.identity import load_certificate
from device.evidence.outside import CosignedHead, DockNonce, as_record, make_outside, read_outside, statement_of
from device.evidence.receipts import (
    MAX_RECEIPT_BYTES,
    MAX_STATEMENT_BYTES,
    RECEIPT_TYPE,
    Receipt,
    make_receipt,
    read_receipt,
)
from device.evidence.records import Line
from hw_sim.agency import Agency, Issued

AGENCY = Agency("Agency")
ANCHORS = (AGENCY.ca,)
UTC_TEXT = "2026-11-22T10:00:00.000000Z"
NAME = "000001-0123456789abcdef"
RECEIPT = Receipt(
    agency="Agency",
    device="BC-000001",
    utc=UTC_TEXT,
    recording=NAME,
    ledger_head=Line(stream=NAME, seq=12, sha256="a" * 64),
    root="b" * 64,
    segments=10,
    size=12345,
    journal_head=Line(stream="000003", seq=99, sha256="c" * 64),
    object=f"BC-000001/{NAME}",
    object_sha256="d" * 64,
    previous=None,
)
NONCE = DockNonce(agency="Agency", device="BC-000001", utc=UTC_TEXT, nonce="e" * 64)
HEAD = CosignedHead(agency="Agency", device="BC-000001", utc=UTC_TEXT, head=RECEIPT.journal_head)


def signed(receipt: Receipt = RECEIPT, by: Issued = AGENCY.receiver) -> bytes:
    return make_receipt(receipt, by.signer, by.certificate)


def of_payload(payload: bytes, kind: str = RECEIPT_TYPE) -> bytes:
    by = AGENCY.receiver
    return sign_line(by.signer, kind, payload) + b"\n" + base64.b64encode(by.certificate) + b"\n"


GOOD = signed()


def test_a_receipt_reads_back_as_it_was_made() -> None:
    receipt, certificate = read_receipt(GOOD, ANCHORS, datetime.now(UTC))
    assert receipt == RECEIPT
    assert certificate == load_certificate(AGENCY.receiver.certificate)
    assert len(GOOD) < MAX_RECEIPT_BYTES
    payload = json.loads(base64.b64decode(json.loads(GOOD.split(b"\n")[0])["payload"]))
    assert set(payload) == {"type", *Receipt.__struct_fields__}
    assert (payload["type"], payload["format"]) == ("receipt", "bodycam/1")


def test_the_longest_receipt_is_within_the_limits_and_fits_a_record() -> None:
    longest = msgspec.structs.replace(
        RECEIPT, agency="A" * 100, device="B" * 100, object="C" * 100, previous="f" * 64, size=2**53 - 1
    )
    assert len(msgspec.json.encode(longest)) <= MAX_STATEMENT_BYTES
    assert read_receipt(signed(longest), ANCHORS, None)[0] == longest
    assert len(base64.b64encode(b"x" * MAX_RECEIPT_BYTES)) <= 24_000


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        (msgspec.json.encode(RECEIPT).replace(b'"type":"receipt",', b""), "a second spelling"),
        (msgspec.json.encode(RECEIPT).replace(b'"type":"receipt"', b'"type":"anchor"'), "not such a statement"),
        (msgspec.json.encode(RECEIPT).replace(b"bodycam/1", b"bodycam/2"), "format 'bodycam/2'"),
        (msgspec.json.encode(RECEIPT) + b" ", "a second spelling"),
        (msgspec.json.encode(RECEIPT).replace(b'"segments":10', b'"segments":10.0'), "not such a statement"),
        (msgspec.json.encode(RECEIPT).replace(b'"segments":10', b'"segments":-1'), "not such a statement"),
        (msgspec.json.encode(RECEIPT).replace(b'"root":', b'"extra":1,"root":'), "not such a statement"),
        (msgspec.json.encode(RECEIPT).replace(b"-11-22T", b"-13-22T"), "names no moment"),
        (msgspec.json.encode(RECEIPT).replace(NAME.encode(), b"../../etc/passwd"), "not such a statement"),
        (b"[" * 1500, "not such a statement"),
        (b" " * (MAX_STATEMENT_BYTES + 1), "the limit is"),
        (b"\xff", "not such a statement"),
    ],
)
def test_another_spelling_is_refused(payload: bytes, why: str) -> None:
    with pytest.raises(EvidenceError, match=why):
        read_receipt(of_payload(payload), ANCHORS, None)


Forged = Callable[[], bytes]


@pytest.mark.parametrize(
    ("forge", "why"),
    [
        (lambda: signed(by=AGENCY.policy_signer), "not for the role receipt"),
        (lambda: signed(by=AGENCY.exporter), "not for the role receipt"),
        (lambda: signed(by=Agency("Agency").receiver), "not issued under the given trust anchor"),
        (lambda: of_payload(msgspec.json.encode(RECEIPT), "application/json"), "it holds 'application/json'"),
        (lambda: make_outside(HEAD, AGENCY.receiver.signer, AGENCY.receiver.certificate), "it holds"),
        (lambda: make_receipt(RECEIPT, AGENCY.exporter.signer, AGENCY.receiver.certificate), "not by the key"),
        (lambda: GOOD + GOOD, "two whole lines"),
        (lambda: GOOD[:-1], "two whole lines"),
        (lambda: GOOD.replace(b"\n", b"\r\n"), "not base64|not a signed line|a second spelling"),
    ],
)
def test_a_receipt_of_anyone_else_is_refused(forge: Forged, why: str) -> None:
    with pytest.raises(EvidenceError, match=why):
        read_receipt(forge(), ANCHORS, None)


def test_the_certificates_dates_are_judged_when_a_time_is_given() -> None:
    with pytest.raises(EvidenceError, match="was not valid at 2090"):
        read_receipt(GOOD, ANCHORS, datetime(2090, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize("statement", [NONCE, HEAD])
def test_a_word_reads_back_and_stands_in_a_record(statement: DockNonce | CosignedHead) -> None:
    by = AGENCY.receiver
    data = make_outside(statement, by.signer, by.certificate)
    assert read_outside(data, ANCHORS, None)[0] == statement
    durable = Line(stream="000003", seq=5, sha256="1" * 64)
    record = as_record(data, statement, durable)
    assert statement_of(record) == data
    assert record.sha256 == hashlib.sha256(data).hexdigest()
    assert record.head == {"dock-nonce": durable, "cosigned-head": RECEIPT.journal_head}[record.kind]
    with pytest.raises(EvidenceError, match="it holds"):
        read_receipt(data, ANCHORS, None)
    with pytest.raises(EvidenceError, match="not the one that its digest names"):
        statement_of(msgspec.structs.replace(record, sha256="2" * 64))


# -- any bytes ------------------------------------------------------------------------------------------------------


def refused_or_good(data: bytes) -> None:
    for read in (read_receipt, read_outside):
        with suppress(EvidenceError):
            read(data, ANCHORS, None)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=600))
def test_any_bytes_give_our_error(data: bytes) -> None:
    refused_or_good(data)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300), st.binary(max_size=300))
def test_any_signed_payload_and_any_certificate_give_our_error(payload: bytes, certificate: bytes) -> None:
    refused_or_good(of_payload(payload))
    refused_or_good(
        sign_line(AGENCY.receiver.signer, RECEIPT_TYPE, payload) + b"\n" + base64.b64encode(certificate) + b"\n"
    )


def test_no_changed_byte_is_taken_for_the_same_receipt() -> None:
    """Seeded edits of a good file: flips, cuts, insertions, repeats. None of them counts."""
    draw = random.Random("receipts 1")
    for n in range(600):
        data = bytearray(GOOD)
        at = draw.randrange(len(data))
        what = n % 4
        if what == 0:
            data[at] ^= 1 << draw.randrange(8)
        elif what == 1:
            del data[at : at + draw.randrange(1, 50)]
        elif what == 2:
            data[at:at] = draw.randbytes(draw.randrange(1, 5))
        else:
            data[at:at] = data[at - 5 : at] or b"A"
        if bytes(data) == GOOD:
            continue
        with pytest.raises(EvidenceError):
            read_receipt(bytes(data), ANCHORS, None)

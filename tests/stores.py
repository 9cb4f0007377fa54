"""An agency's store as tests need it: it looks at a card, gives a receipt for a recording, and hands it in."""

import hashlib
from pathlib import Path

import msgspec

from device.evidence import layout, records
from device.evidence.envelope import line_digest, open_line
from device.evidence.outside import CosignedHead, DockNonce, Outside, make_outside
from device.evidence.receipts import Receipt, make_receipt
from device.evidence.records import Line, RecordingClosed, RecordingRecovered
from hw_sim.agency import Agency, Issued

AGENCY_TIME = "2027-03-01T12:00:00.000000Z"


class Store:
    """Receipts of one device, each after the other."""

    def __init__(self, agency: Agency, card: Path, device: str = "BC-000001", utc: str = AGENCY_TIME) -> None:
        self.agency = agency
        self.card = card
        self.device = device
        self.utc = utc
        self.last: str | None = None

    def receipt(self, name: str, **fields: object) -> Receipt:
        """The receipt that is due for a recording; `fields` are what it says otherwise."""
        line, ended = last_line(self.card / layout.EVIDENCE / name)
        receipt = Receipt(
            agency=self.agency.name,
            device=self.device,
            utc=self.utc,
            recording=name,
            ledger_head=line,
            root=ended.tree.root,
            segments=ended.totals.segments,
            size=ended.totals.size,
            journal_head=journal_head(self.card),
            object=f"{self.device}/{name}",
            object_sha256=hashlib.sha256(name.encode()).hexdigest(),
            previous=self.last,
        )
        return msgspec.structs.replace(receipt, **fields)

    def give(self, name: str, *, signer: Issued | None = None, **fields: object) -> Path:
        """Sign it and hand it in."""
        signer = signer or self.agency.receiver
        data = make_receipt(self.receipt(name, **fields), signer.signer, signer.certificate)
        self.last = hashlib.sha256(data).hexdigest()
        return hand_in(self.card, data, "receipt")

    def nonce(self, nonce: str = "ab" * 32, **fields: object) -> Path:
        said = DockNonce(agency=self.agency.name, device=self.device, utc=self.utc, nonce=nonce)
        return self.say(msgspec.structs.replace(said, **fields))

    def cosign(self, head: Line | None = None, **fields: object) -> Path:
        where = head or journal_head(self.card)
        said = CosignedHead(agency=self.agency.name, device=self.device, utc=self.utc, head=where)
        return self.say(msgspec.structs.replace(said, **fields))

    def say(self, statement: Outside, signer: Issued | None = None) -> Path:
        signer = signer or self.agency.receiver
        return hand_in(self.card, make_outside(statement, signer.signer, signer.certificate), "anchor")


def hand_in(card: Path, data: bytes, kind: str) -> Path:
    """Put it into the spool as other units do: under a name of its own, then renamed."""
    path = card / layout.SPOOL / f"{hashlib.sha256(data).hexdigest()}.{kind}"
    beside = path.with_suffix(".part")
    beside.write_bytes(data)
    beside.rename(path)
    return path


def last_line(folder: Path) -> tuple[Line, RecordingClosed | RecordingRecovered]:
    recoveries = sorted(folder.glob("recovery-*.jsonl"))
    text = (recoveries[-1] if recoveries else folder / layout.LEDGER).read_bytes().splitlines()[-1]
    record = records.decode_ledger(open_line(text).payload)
    assert isinstance(record, RecordingClosed | RecordingRecovered), "the recording has ended"
    return Line(stream=record.stream, seq=record.seq, sha256=line_digest(text)), record


def journal_head(card: Path) -> Line:
    text = sorted((card / layout.JOURNAL).iterdir())[-1].read_bytes().splitlines()[-1]
    record = records.decode_journal(open_line(text).payload)
    return Line(stream=record.stream, seq=record.seq, sha256=line_digest(text))

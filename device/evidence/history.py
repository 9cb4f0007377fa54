"""A card's journal, read as one history: epochs linked to each other, and what they say of each recording.

Checks what can be checked without the recordings: the agency's statement, signatures, sequence, links between epochs,
torn tails and who named them. Collects findings; raises only for an unreadable card.
"""

import hashlib
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from device.errors import EvidenceError
from device.evidence import layout, records
from device.evidence.chain import ReadChain
from device.evidence.envelope import SignedLine, open_line, verify_line
from device.evidence.identity import Role, common_name, load_certificate, p256_key, parse_utc, why_not_trusted
from device.evidence.journal import MAX_EPOCH_BYTES, read_epoch
from device.evidence.reading import names_in, read_file
from device.evidence.records import (
    Boot,
    JournalRecord,
    Line,
    Provisioned,
    RecordingBegun,
    RecordingEnded,
    RecordingHead,
)
from device.evidence.verdicts import Finding

MAX_CERTIFICATE_BYTES = 64 * 1024


class Identities(msgspec.Struct):
    """The certificates on the card, by digest. They prove nothing by being here: anchors come from `--trust`."""

    certificates: dict[str, x509.Certificate]
    findings: list[Finding]


class Told(msgspec.Struct):
    """What the journal says of one recording."""

    begun: Line | None = None
    heads: list[Line] = msgspec.field(default_factory=list)
    ended: Line | None = None
    how: str = ""
    last_epoch: str = ""


class Epoch(msgspec.Struct, frozen=True):
    """One journal file. `device` and `chain` name the history that it belongs to; `chain` counts from 0 on a card."""

    name: str
    device: str
    chain: int
    read: ReadChain[JournalRecord]


class History(msgspec.Struct):
    """All journal files of a card. `lines`: digest of every believed line → its place."""

    epochs: list[Epoch]
    lines: dict[str, Line]
    told: dict[str, Told]
    findings: list[Finding]
    untrusted: list[Finding]
    present: bool

    def is_over(self, epoch: str) -> bool:
        """Whether the boot of this epoch is known to have ended: another followed, or its daemon said that it stopped."""
        mine = next(e for e in self.epochs if e.name == epoch)
        later = any(e.chain == mine.chain and e.name > epoch for e in self.epochs)
        return later or isinstance(mine.read.lines[-1].record, records.Stopped)


def read_identities(card: Path) -> Identities:
    identities = Identities({}, [])
    for name in names_in(card / layout.IDENTITY):
        place = f"{layout.IDENTITY}/{name}"
        try:
            der = read_file(card / layout.IDENTITY / name, MAX_CERTIFICATE_BYTES)
            if der is None:
                continue
            sha256 = hashlib.sha256(der).hexdigest()
            if layout.certificate_file(sha256) != place:
                identities.findings.append(
                    Finding(question="content", place=place, what="its bytes are not those that its name says")
                )
                continue
            identities.certificates[sha256] = load_certificate(der)
        except EvidenceError as failure:
            identities.findings.append(Finding(question="content", place=place, what=str(failure)))
    return identities


def read_history(card: Path, identities: Identities, anchors: tuple[x509.Certificate, ...]) -> History:
    history = History([], {}, {}, [], [], present=False)
    numbers = sorted(n for n in map(layout.epoch_number, names_in(card / layout.JOURNAL)) if n is not None)
    reader = _Reader(history, identities, anchors)
    for number in numbers:
        name = layout.epoch_name(number)
        history.present = True
        try:
            data = read_file(card / layout.epoch_file(name), MAX_EPOCH_BYTES)
        except EvidenceError as failure:
            reader.altered(name, str(failure))
            continue
        if data is not None and data.strip(b"\0"):
            reader.take(name, data)
    reader.end()
    return history


class _Reader:
    """Follows the links from epoch to epoch."""

    def __init__(self, history: History, identities: Identities, anchors: tuple[x509.Certificate, ...]) -> None:
        self._history = history
        self._identities = identities
        self._anchors = anchors
        self._key: ec.EllipticCurvePublicKey | None = None
        self._device = ""
        self._chain = -1
        self._last: Epoch | None = None

    def altered(self, epoch: str, what: str, seq: int | None = None) -> None:
        place = f"{layout.JOURNAL}/{epoch}.jsonl" + (f", line {seq}" if seq is not None else "")
        self._history.findings.append(Finding(question="content", place=place, what=what))

    def take(self, name: str, data: bytes) -> None:
        provisioned = _provisioning_line(data)
        if provisioned is not None:
            self._begin_chain(name, *provisioned)
        if self._key is None:
            self.altered(name, "the beginning of the journal, the agency's statement about the device, is missing")
            return
        read = read_epoch(data, name, self._key, None)
        if not read.lines:
            self.altered(name, f"no line of it can be believed: {read.fault}")
            return
        if read.provably_altered:
            self.altered(name, f"lines that were durable are missing or changed: {read.fault}", _next_seq(read))
        boot = read.lines[0].record
        if not isinstance(boot, Boot) or boot.epoch != name:
            self.altered(name, "it does not begin with the record of its boot", read.lines[0].record.seq)
            return
        if boot.device != self._device:
            self.altered(name, f"it is of the device {boot.device}, its history of {self._device}", boot.seq)
        read = self._linked(name, boot, read, begins=provisioned is not None)
        self._last = Epoch(name, boot.device, self._chain, read)
        self._history.epochs.append(self._last)
        self._believe(self._last)

    def end(self) -> None:
        """The last epoch's torn tail is what a power cut, or a write in progress, leaves."""
        torn = self._last.read.torn if self._last is not None else None
        if self._last is not None and torn is not None:
            place = f"{layout.JOURNAL}/{self._last.name}.jsonl"
            what = f"{torn.size} bytes after the last whole line: being written, or cut by a power loss; not believed"
            self._history.findings.append(Finding(question="extent", place=place, what=what))

    def _begin_chain(self, name: str, signed: SignedLine, statement: Provisioned) -> None:
        self._key, self._device, self._last = None, statement.device, None
        self._chain += 1
        place = f"{layout.JOURNAL}/{name}.jsonl, line 0"
        certificate = self._identities.certificates.get(statement.certificate_sha256)
        if certificate is None:
            what = f"the certificate of {statement.device} is not among those on the card"
            self._history.untrusted.append(Finding(question="signer", place=place, what=what))
            return
        self._key = p256_key(certificate)
        why = self._why_not_agency(signed, statement) or self._why_not_device(certificate, statement)
        if why:
            self._history.untrusted.append(Finding(question="signer", place=place, what=why))

    def _why_not_agency(self, signed: SignedLine, statement: Provisioned) -> str:
        at = parse_utc(statement.utc)
        signers = [c for c in self._identities.certificates.values() if verify_line(signed, p256_key(c))]
        if not signers:
            return "the agency's statement is not signed by any provisioner whose certificate is here"
        return why_not_trusted(signers[0], Role.PROVISIONING, self._anchors, at)

    def _why_not_device(self, certificate: x509.Certificate, statement: Provisioned) -> str:
        if common_name(certificate) != statement.device:
            return f"the certificate names {common_name(certificate)}, the agency's statement {statement.device}"
        return ""

    def _linked(
        self, name: str, boot: Boot, read: ReadChain[JournalRecord], *, begins: bool
    ) -> ReadChain[JournalRecord]:
        """Check the link to the epoch before, and end that one where this one says."""
        previous, last = boot.previous, self._last
        if begins and previous is None:
            return read
        if previous is None or last is None:
            self.altered(name, "the epoch that it should follow is missing", boot.seq)
            return read
        if previous.epoch != last.name:
            self.altered(name, f"it follows epoch {previous.epoch}, which is missing or not believed", boot.seq)
            return read
        places = [line.place for line in last.read.lines]
        if previous.last not in places:
            self.altered(
                previous.epoch, f"its line {previous.last.seq}, which epoch {name} follows, is missing or changed"
            )
            return read
        if (boot.prev, boot.seq) != (previous.last.sha256, previous.last.seq + 1):
            self.altered(name, "it does not hold the hash of the line that it says it follows", boot.seq)
        if boot.reason != "write-failed" and (previous.last != places[-1] or previous.torn != last.read.torn):
            self.altered(
                previous.epoch, f"what follows its line {previous.last.seq} is not what epoch {name} found there"
            )
        return read

    def _believe(self, epoch: Epoch) -> None:
        for line in epoch.read.lines:
            self._history.lines[line.sha256] = line.place
            record = line.record
            if isinstance(record, RecordingBegun | RecordingHead | RecordingEnded):
                told = self._history.told.setdefault(record.recording, Told())
                told.last_epoch = epoch.name
                if isinstance(record, RecordingBegun):
                    told.begun = record.first
                elif isinstance(record, RecordingHead):
                    told.heads.append(record.head)
                else:
                    told.ended, told.how = record.head, record.how


def _provisioning_line(data: bytes) -> tuple[SignedLine, Provisioned] | None:
    try:
        signed = open_line(data.split(b"\n", 1)[0])
        if signed.payload_type != records.PROVISIONING_TYPE:
            return None
        return signed, records.decode_provisioned(signed.payload)
    except EvidenceError:
        return None


def _next_seq(read: ReadChain[JournalRecord]) -> int:
    return read.lines[-1].record.seq + 1 if read.lines else 0

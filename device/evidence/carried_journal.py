"""The few lines of the journal that an exported file carries, judged one by one.

They are: the agency's statement about the device, the boot under which the recording began, the line that its ledger
starts from (unless that is the boot), the line that took the recording's beginning, and the one that took its end. Each
is signed for itself. What stands between them is on the card and not here: so they prove what the device's journal says
of this recording, and not that it says nothing else.
"""

import msgspec
from cryptography import x509

from device.errors import EvidenceError
from device.evidence import records
from device.evidence.case import Given
from device.evidence.chain import ReadLine, checked
from device.evidence.envelope import open_line
from device.evidence.identity import p256_key
from device.evidence.records import Boot, JournalRecord, Line, RecordingBegun, RecordingEnded, RecordingOpened
from device.evidence.statement import provisioners, why_not_agency

MAX_LINES = 5


class JournalLines(msgspec.Struct):
    """What these lines say. `ended` None: not that it ended. `certificates`: those that the statement needs; `untrusted`: why it does not
    count ("": it does)."""

    boot: Boot
    begun: bool
    ended: RecordingEnded | None
    certificates: set[str]
    untrusted: str


def read_journal_lines(
    lines: list[bytes],
    opened: RecordingOpened,
    first: Line,
    end: Line | None,
    certificate: x509.Certificate,
    given: Given,
) -> JournalLines:
    """`first` and `end`: the ledger's lines that open and end the recording. `EvidenceError` when the lines are not what
    they must be."""
    if not 2 <= len(lines) <= MAX_LINES:
        raise EvidenceError(f"{len(lines)} lines; 2 to {MAX_LINES} are needed")
    told = [_line(line, certificate) for line in lines[1:]]
    boot = told[0].record
    if not isinstance(boot, Boot) or not boot.epoch == boot.stream == opened.journal.stream:
        raise EvidenceError(f"its second line is not the boot of epoch {opened.journal.stream}")
    if (boot.policy, boot.boot) != (opened.policy, opened.boot):
        raise EvidenceError("its boot names another policy, or another boot, than the recording")
    if any(line.record.device != opened.device for line in told):
        raise EvidenceError("a line of another device's journal")
    read = JournalLines(boot, begun=False, ended=None, certificates=set(), untrusted="")
    if told[0].place != opened.journal:
        if len(told) < 2 or told[1].place != opened.journal:
            raise EvidenceError("the line that the ledger starts from is not in it")
        del told[1]
    _told(read, [line.record for line in told[1:]], opened.stream, first, end)
    _statement(read, lines[0], opened, given)
    return read


def _told(read: JournalLines, told: list[JournalRecord], name: str, first: Line, end: Line | None) -> None:
    """What the lines after those of the boot say: the recording's beginning, then its end."""
    for record in told:
        if isinstance(record, RecordingBegun) and record.recording == name and not read.begun and read.ended is None:
            read.begun = True
            if record.first != first:
                raise EvidenceError("it holds another first line of this recording's ledger")
        elif isinstance(record, RecordingEnded) and record.recording == name and read.ended is None:
            read.ended = record
            if record.how in ("closed", "recovered") and record.head != end:
                raise EvidenceError(f"it holds line {record.head.seq} of the ledger as its end")
        else:
            raise EvidenceError(f"line {record.seq} does not bear on this recording: it was added")


def _statement(read: JournalLines, line: bytes, opened: RecordingOpened, given: Given) -> None:
    signed = open_line(line)
    if signed.payload_type != records.PROVISIONING_TYPE:
        raise EvidenceError("its first line is not the agency's statement about the device")
    statement = records.decode_provisioned(signed.payload)
    said = statement.device, statement.certificate_sha256, read.boot.certificate_sha256
    if said != (opened.device, opened.certificate_sha256, opened.certificate_sha256):
        raise EvidenceError(f"the agency's statement is about {statement.device}, or another key")
    certificates = given.identities.certificates
    read.certificates = set(provisioners(signed, certificates))
    read.untrusted = why_not_agency(signed, statement, certificates, given.anchors, given.revoked)


def _line(line: bytes, certificate: x509.Certificate) -> ReadLine[JournalRecord]:
    signed = open_line(line)
    return ReadLine(checked(signed, p256_key(certificate), records.decode_journal), signed.payload, signed.sha256)

"""What an exported file carries beside its pictures, judged without the card: ledger, journal lines, documents.

The ledger is there whole, or, for a part of a recording, as single lines each with an RFC 6962 proof against the root
that the device signed as the recording ended. Everything in the box must be something that a signed line names, or be
signed itself; what is not makes the file altered. What is wrong becomes findings; `EvidenceError` only where nothing of
the box can be believed.
"""

import hashlib
from pathlib import Path

import msgspec
from cryptography import x509

from device.errors import EvidenceError
from device.evidence import container, records
from device.evidence.bundle import Anchors
from device.evidence.carried_journal import JournalLines, read_journal_lines
from device.evidence.case import Found, Given
from device.evidence.chain import ReadChain, ReadLine, checked, read_chain
from device.evidence.container import Contents, Part
from device.evidence.dating import Dating
from device.evidence.documents import Identities, why_not_bundle, why_not_named
from device.evidence.ending import check_totals
from device.evidence.envelope import SignedLine, open_line
from device.evidence.examine import judge_signer
from device.evidence.history import History
from device.evidence.identity import load_certificate, p256_key, parse_utc
from device.evidence.kept_receipts import Kept
from device.evidence.records import (
    ClockStep,
    Digest,
    LedgerRecord,
    RecordingClosed,
    RecordingOpened,
    RecordingRecovered,
    Segments,
)
from device.evidence.recovery import read_ledger
from device.evidence.revocation import Revocations
from device.evidence.tally import Tally
from device.evidence.tree import MAX_PATH, root_by_path
from device.evidence.verdicts import Finding, Signed
from device.evidence.workers import Workers

End = RecordingClosed | RecordingRecovered
Lines = list[ReadLine[LedgerRecord]]
_PATH = msgspec.json.Decoder(tuple[Digest, ...])


class Carried(msgspec.Struct):
    """The box, read. `lines`: of the ledger without the line that ends it; `end` that line, None where there is none.
    `found` gathers what is wrong; its `opened` is the first line. `journal` None: the file carries none."""

    found: Found
    given: Given
    lines: Lines
    end: ReadLine[LedgerRecord] | None
    part: Part | None
    signer: tuple[Signed, str]
    journal: JournalLines | None

    @property
    def opened(self) -> RecordingOpened:
        assert self.found.opened is not None, "nothing is carried without the line that opens it"
        return self.found.opened

    @property
    def records(self) -> list[LedgerRecord]:
        return [line.record for line in self.lines]


def read_carried(contents: Contents, anchors: Anchors, revoked: Revocations) -> Carried:
    """Judge the box. `EvidenceError` when its ledger does not begin with a line that can be believed."""
    certificates = {sha256: _certificate(sha256, der) for sha256, der in contents.certificates.items()}
    data = contents.members.get(container.LEDGER, b"")
    opened = records.decode_ledger(open_line(data.split(b"\n", 1)[0]).payload)
    if not isinstance(opened, RecordingOpened):
        raise EvidenceError(f"{container.LEDGER}: its first line does not open a recording")
    if opened.certificate_sha256 not in certificates:
        raise EvidenceError(f"the certificate that its first line names, {opened.certificate_sha256}, is not in it")
    found = Found(opened.stream, Path())
    given = Given(
        card=Path(),
        anchors=anchors,
        identities=Identities(certificates, [], []),
        history=History(),
        kept=Kept({}, {}),
        dating=Dating(),
        opener=None,
        progress=lambda _: None,
        workers=Workers(1),  # no file is looked at: none ever starts
        revoked=revoked,
    )
    carried = Carried(found, given, [], None, contents.part, ("nothing-signed", ""), None)
    certificate = certificates[opened.certificate_sha256]
    if contents.part is None:
        _whole_ledger(carried, contents, certificate)
    else:
        _lines_with_proofs(carried, contents, certificate)
    carried.signer = judge_signer(given, found, opened)
    if opened.prev != opened.journal.sha256:
        found.altered(f"{container.LEDGER}, line 0", "it does not start from the journal line that it names")
    used = {opened.certificate_sha256, opened.media_certificate_sha256} | _journal(carried, contents, certificate)
    _policy(carried, contents)
    for sha256 in sorted(set(certificates) - used):
        found.altered(sha256, "a certificate that nothing in the file needs: it was added")
    return carried


# -- the ledger -------------------------------------------------------------------------------------------------------


def _whole_ledger(carried: Carried, contents: Contents, certificate: x509.Certificate) -> None:
    found, key = carried.found, p256_key(certificate)
    chain = read_ledger(contents.members[container.LEDGER], found.name, key)
    _begin(found, chain)
    if chain.torn is not None:
        _altered_from(found, chain, container.LEDGER)
    if container.PROOFS in contents.members:
        found.altered(container.PROOFS, "a whole ledger has no proofs: they were added")
    _order_of_records(found, chain)
    carried.lines = chain.lines
    if isinstance(chain.lines[-1].record, RecordingClosed):
        carried.lines, carried.end = chain.lines[:-1], chain.lines[-1]
    recovery = contents.members.get(container.RECOVERY)
    if recovery is not None and carried.end is not None:
        found.altered(container.RECOVERY, "the recording is closed, so nothing recovered it: it was added")
    elif recovery is not None:
        last = chain.lines[-1]
        read = read_chain(recovery, 0, key, records.decode_ledger, found.name, last.record.seq + 1, last.sha256)
        carried.end = _recovery(found, read)
    if carried.end is not None and isinstance(carried.end.record, End):
        tally = Tally()
        for line in carried.lines:
            tally.take(line.record, line.payload)
        check_totals(found, tally, carried.end.record, f"{container.LEDGER}, line {carried.end.record.seq}", None)


def _order_of_records(found: Found, chain: ReadChain[LedgerRecord]) -> None:
    """One record opens, one closes, and nothing follows that."""
    last = len(chain.lines) - 1
    for n, line in enumerate(chain.lines):
        misplaced = n > 0 and isinstance(line.record, RecordingOpened)
        if misplaced or isinstance(line.record, RecordingRecovered):
            found.altered(f"{container.LEDGER}, line {n}", "a record that does not belong in the middle of a ledger")
        if isinstance(line.record, RecordingClosed) and (n < last or chain.torn is not None):
            what = "something follows the record that closes the recording"
            found.altered(f"{container.LEDGER}, line {n + 1}", what)
        if isinstance(line.record, ClockStep):
            found.clock_steps += 1


def _lines_with_proofs(carried: Carried, contents: Contents, certificate: x509.Certificate) -> None:
    """Single lines: each signed, each at its place under the root of the line that ends the recording."""
    found, key = carried.found, p256_key(certificate)
    lines = [_line(line, certificate) for line in _split(contents, container.LEDGER)]
    recovery = contents.members.get(container.RECOVERY)
    if recovery is None:
        carried.end = lines.pop() if isinstance(lines[-1].record, RecordingClosed) else None
    else:
        carried.end = _recovery(
            found, read_chain(recovery, 0, key, records.decode_ledger, found.name, _seq(recovery), None)
        )
    if carried.end is None or not isinstance(carried.end.record, End):
        raise EvidenceError("a part of a recording without the signed line that ends it: nothing proves its place")
    if not lines or lines[0].record.seq != 0 or not isinstance(lines[0].record, RecordingOpened):
        raise EvidenceError(f"{container.LEDGER}: its first line does not open a recording")
    found.opened = lines[0].record
    paths = [_path(line) for line in _split(contents, container.PROOFS)]
    if len(paths) != len(lines):
        raise EvidenceError(f"{len(paths)} proofs for {len(lines)} lines")
    tree = carried.end.record.tree
    before: ReadLine[LedgerRecord] | None = None
    for line, path in zip(lines, paths, strict=True):
        why = _why_not_in_tree(line, path, tree) or _why_not_after(line, before, lines[0], found.name)
        if why:
            found.altered(f"{container.LEDGER}, line {line.record.seq}", why)
        before = line
    end = carried.end.record
    if tree.size != end.seq or _why_not_after(carried.end, before, lines[0], found.name):
        found.altered(f"{container.LEDGER}, line {end.seq}", "it does not end the recording that these lines are of")
    carried.lines = lines


def _why_not_in_tree(line: ReadLine[LedgerRecord], path: tuple[str, ...], tree: records.Tree) -> str:
    try:
        good = root_by_path(line.payload, line.record.seq, tree.size, path) == tree.root
    except EvidenceError as failure:
        return str(failure)
    return "" if good else "its proof does not lead to the root that the device signed"


def _why_not_after(
    line: ReadLine[LedgerRecord], before: ReadLine[LedgerRecord] | None, first: ReadLine[LedgerRecord], name: str
) -> str:
    """Why a line is none of this recording's, after the one before it that is here."""
    record, opened = line.record, first.record
    if record.device != opened.device or record.stream != name:
        return f"a line of the recording {record.stream} of {record.device}"
    if before is None:
        return ""
    if isinstance(record, RecordingOpened) or isinstance(before.record, End):
        return "a record that does not belong in the middle of a ledger"
    if record.seq <= before.record.seq:
        return "its lines are not in order"
    if record.seq == before.record.seq + 1 and record.prev != before.sha256:
        return "it does not hold the hash of the line before it"
    if not isinstance(record, RecordingRecovered) and (
        record.boot != opened.boot or record.boot_us < before.record.boot_us
    ):
        return "it was not signed after the line before it"
    return ""


def _begin(found: Found, chain: ReadChain[LedgerRecord]) -> None:
    if not chain.lines:
        raise EvidenceError(f"{container.LEDGER}, line 0: {chain.fault}")
    first = chain.lines[0].record
    assert isinstance(first, RecordingOpened), "`read_ledger` lets no other record be the first"
    found.opened = first


def _altered_from(found: Found, chain: ReadChain[LedgerRecord], name: str) -> None:
    """What follows the last good line, and the end of the last segment that is proven."""
    at_us: int | None = None
    for line in chain.lines:
        if isinstance(line.record, Segments):
            at_us = next((s.video.to_us for s in reversed(line.record.segments) if s.video is not None), at_us)
    found.altered(f"{name}, line {len(chain.lines)}", chain.fault, at_us)


def _recovery(found: Found, read: ReadChain[LedgerRecord]) -> ReadLine[LedgerRecord] | None:
    line = read.lines[0] if len(read.lines) == 1 and read.torn is None else None
    if line is None or not isinstance(line.record, RecordingRecovered) or line.record.last.seq != line.record.seq - 1:
        found.altered(container.RECOVERY, f"it does not follow the ledger: {read.fault or 'it is no recovery'}")
        return None
    return line


def _seq(recovery: bytes) -> int:
    return records.decode_ledger(open_line(recovery.split(b"\n", 1)[0]).payload).seq


def _line(line: bytes, certificate: x509.Certificate) -> ReadLine[LedgerRecord]:
    signed: SignedLine = open_line(line)
    return ReadLine(checked(signed, p256_key(certificate), records.decode_ledger), signed.payload, signed.sha256)


def _path(line: bytes) -> tuple[str, ...]:
    try:
        path = _PATH.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as failure:
        raise EvidenceError(f"{container.PROOFS}: not a proof: {failure}") from failure
    if len(path) > MAX_PATH or msgspec.json.encode(path) != line:
        raise EvidenceError(f"{container.PROOFS}: a second spelling of a proof")
    return path


def _split(contents: Contents, name: str) -> list[bytes]:
    data = contents.members.get(name, b"")
    if not data.endswith(b"\n"):
        raise EvidenceError(f"{name}: its last line is not complete, or it is missing")
    return data[:-1].split(b"\n")


# -- the journal and the documents ------------------------------------------------------------------------------------


def _journal(carried: Carried, contents: Contents, certificate: x509.Certificate) -> set[Digest]:
    """Judge the journal's lines; the certificates that these need."""
    found, opened, given = carried.found, carried.opened, carried.given
    used: set[Digest] = set()
    if container.JOURNAL in contents.members:
        first, end = carried.lines[0].place, carried.end.place if carried.end is not None else None
        try:
            lines = _split(contents, container.JOURNAL)
            carried.journal = read_journal_lines(lines, opened, first, end, certificate, given)
        except EvidenceError as failure:
            found.altered(container.JOURNAL, str(failure))
            return set(given.identities.certificates)
        used = carried.journal.certificates
        if carried.journal.untrusted:
            _not_trusted(carried, container.JOURNAL, carried.journal.untrusted)
    return used


def _policy(carried: Carried, contents: Contents) -> None:
    """The policy that the opening names is here, and, where the boot is, the bundle in which the agency signed it."""
    found, opened = carried.found, carried.opened
    boot = carried.journal.boot if carried.journal is not None else None
    document, bundle = contents.members.get(container.POLICY), contents.members.get(container.BUNDLE)
    if document is not None and _digest(document) != opened.policy.sha256:
        found.altered(container.POLICY, "it is not the one that was in force")
    elif document is not None and (why := why_not_named(document, opened.policy)):
        found.altered(container.POLICY, why)
    elif document is None and boot is not None:
        found.altered(container.POLICY, "the policy that was in force is missing")
    elif document is None:
        found.note(container.POLICY, "the policy that was in force is not in the file")
    if boot is None and bundle is not None and container.JOURNAL not in contents.members:
        found.altered(container.BUNDLE, "no line of the journal names it: it was added")
    elif boot is not None and (bundle is None or _digest(bundle) != boot.bundle_sha256):
        found.altered(container.BUNDLE, "the bundle of the policy that was in force is missing or changed")
    elif boot is not None and bundle is not None:
        at = parse_utc(boot.utc) if boot.clock.synchronised else None
        given = carried.given
        unsigned = why_not_bundle(bundle, opened.policy, given.anchors, container.BUNDLE, given.revoked, at)
        if unsigned is not None:
            _not_trusted(carried, container.BUNDLE, unsigned.what)


def _not_trusted(carried: Carried, place: str, why: str) -> None:
    carried.found.findings.append(Finding(question="signer", place=place, what=why))
    carried.signer = ("not-trusted", why)


def _certificate(sha256: str, der: bytes) -> x509.Certificate:
    if _digest(der) != sha256:
        raise EvidenceError(f"the certificate {sha256}: its bytes are not those that its name says")
    return load_certificate(der)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()

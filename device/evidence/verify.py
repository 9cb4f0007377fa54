"""Is this what the device recorded, all of it, and only it? Five questions, answered apart, for each recording.

Verification needs no key that opens anything, no clock and no network: the card, and anchors from the person who asks.
The order: the journal is read first, then each ledger, then the files that it names; a card that is being written can
only have grown in between, so what the journal promised must be there. Findings are collected; nothing found on a card
raises.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
from cryptography import x509

from device.errors import EvidenceError, UsageError
from device.evidence import layout, records
from device.evidence.chain import ReadChain, ReadLine, read_chain
from device.evidence.envelope import open_line
from device.evidence.history import History, Identities, Told, read_history, read_identities
from device.evidence.identity import Role, common_name, p256_key, parse_utc, why_not_trusted
from device.evidence.reading import digest_file, names_in, read_file, regular_size
from device.evidence.records import (
    Gap,
    LedgerRecord,
    RecordingClosed,
    RecordingOpened,
    RecordingRecovered,
    Segment,
    Segments,
    Stored,
)
from device.evidence.recovery import MAX_LEDGER_BYTES, MAX_SEGMENT_BYTES, merkle_tree, read_ledger, totals
from device.evidence.seal import stanza_types
from device.evidence.verdicts import Answers, CardVerdict, Content, Extent, Finding, Read, RecordingVerdict, worst
from device.evidence.writer import GROUP_LIMIT

MAX_INIT_BYTES = 1024 * 1024
MAX_POLICY_BYTES = 256 * 1024
Progressing = Callable[[int], None]
"""Called with the number of bytes verified since the last call."""


class Opener(msgspec.Struct, frozen=True):
    """Opens a recording's plaintext and checks it: given by the caller when an identity was given."""

    check: "Callable[[Path, RecordingOpened, list[Segment], Progressing], list[Finding]]"


class Found(msgspec.Struct):
    """What one recording's examination gathers."""

    name: str
    folder: Path
    findings: list[Finding]
    opened: RecordingOpened | None = None
    segments: list[Segment] = msgspec.field(default_factory=list)
    verified: int = 0
    unproven: int = 0
    missing: dict[str, int] = msgspec.field(default_factory=dict)

    def altered(self, place: str, what: str, at_us: int | None = None) -> None:
        self._add("content", place, what, at_us)

    def note(self, place: str, what: str) -> None:
        self._add("note", place, what, None)

    def _add(self, question: str, place: str, what: str, at_us: int | None) -> None:
        utc, offset_s = self._when(at_us)
        self.findings.append(
            msgspec.convert(
                {"question": question, "place": place, "what": what, "utc": utc, "offset_s": offset_s}, Finding
            )
        )

    def _when(self, at_us: int | None) -> tuple[str | None, float | None]:
        """Wall time by the opening's own label, and seconds from the first frame."""
        opened = self.opened
        at = parse_utc(opened.utc) if opened is not None else None
        if at_us is None or opened is None or at is None:
            return None, None
        from datetime import timedelta

        moment = at + timedelta(microseconds=at_us - opened.boot_us)
        return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ"), round((at_us - opened.video.base_us) / 1e6, 3)


def is_card(path: Path) -> bool:
    return (path / layout.JOURNAL).is_dir() or (path / layout.EVIDENCE).is_dir()


def is_recording(path: Path) -> bool:
    return layout.recording_counter(path.name) is not None and path.is_dir()


def total_bytes(path: Path) -> int:
    """How many bytes of segments a verification will read: for a progress bar."""
    folders = [path] if is_recording(path) else [path / layout.EVIDENCE / n for n in names_in(path / layout.EVIDENCE)]
    return sum(
        status.st_size
        for folder in folders
        if folder.is_dir() and not folder.is_symlink()
        for name in names_in(folder)
        if layout.segment_numbers(name) is not None and (status := (folder / name).lstat())
    )


def verify(
    path: Path,
    anchors: tuple[x509.Certificate, ...],
    *,
    opener: Opener | None = None,
    head: str | None = None,
    progress: Progressing = lambda _: None,
) -> CardVerdict:
    """Verify a card, or one recording's folder. `UsageError` when the path is neither."""
    if is_recording(path):
        card, names = path.resolve().parent.parent, [path.name]
        folder_of = {path.name: path}
    elif is_card(path):
        card, names = path, [n for n in names_in(path / layout.EVIDENCE) if layout.recording_counter(n) is not None]
        folder_of = {name: path / layout.EVIDENCE / name for name in names}
    else:
        raise UsageError(
            f"{path}: neither a card (a folder with {layout.EVIDENCE}/ and {layout.JOURNAL}/) nor a recording "
            "(a folder such as 000001-0123456789abcdef); give one of these"
        )
    verifier = _Verifier(card, anchors, opener, progress)
    recordings = [verifier.recording(name, folder_of[name]) for name in names]
    findings = [*verifier.identities.findings, *verifier.history.findings, *verifier.history.untrusted]
    whole_card = not is_recording(path)
    if whole_card:
        findings += verifier.missing_recordings(set(names))
    findings += verifier.against_head(head)
    statuses = [recording.exit_status for recording in recordings] + [_status_of(finding) for finding in findings]
    status = worst(statuses)
    return CardVerdict(
        path=str(path),
        verdict={0: "intact", 1: "ALTERED", 3: "signer not trusted", 4: "unchanged; extent unproven"}[status],
        exit_status=status,
        journal_said=verifier.journal_said(head),
        findings=tuple(findings),
        recordings=tuple(recordings),
        foreign=tuple(_foreign(card)) if whole_card else (),
    )


def _status_of(finding: Finding) -> int:
    return {"content": 1, "read": 1, "signer": 3, "extent": 4, "note": 0}[finding.question]


class _Verifier:
    def __init__(
        self, card: Path, anchors: tuple[x509.Certificate, ...], opener: Opener | None, progress: Progressing
    ) -> None:
        self._card = card
        self._anchors = anchors
        self._opener = opener
        self._progress = progress
        self.identities: Identities = read_identities(card)
        self.history: History = read_history(card, self.identities, anchors)
        self._read_again = False

    def recording(self, name: str, folder: Path) -> RecordingVerdict:
        """Judge one recording; when it is newer than the journal as read, read the journal once more."""
        verdict, newer = self._judge(name, folder)
        if newer and not self._read_again:
            self._read_again = True
            self.history = read_history(self._card, self.identities, self._anchors)
            verdict, _ = self._judge(name, folder)
        return verdict

    def missing_recordings(self, present: set[str]) -> Iterator[Finding]:
        for name, told in self.history.told.items():
            if name not in present:
                what = "the journal holds this recording; its folder is missing"
                place = layout.recording_folder(name)
                if told.begun is not None or told.ended is not None:
                    yield Finding(question="content", place=place, what=what)

    def against_head(self, head: str | None) -> Iterator[Finding]:
        if head is not None and head not in self.history.lines:
            what = f"the line {head}, known from outside, is not in it: it was rolled back, forked or cut"
            yield Finding(question="content", place=layout.JOURNAL, what=what)

    def journal_said(self, head: str | None) -> str:
        if not self.history.present:
            return "no journal was given: whether recordings are missing can't be told"
        anchored = head is not None and head in self.history.lines
        return "history anchored by a line known from outside" if anchored else "history not anchored"

    # -- one recording ------------------------------------------------------------------------------------------------

    def _judge(self, name: str, folder: Path) -> tuple[RecordingVerdict, bool]:
        found = Found(name, folder, [])
        told = self.history.told.get(name, Told())
        chain = self._ledger(found)
        signer, signer_said = self._signer(found)
        extent: Extent = "unknown"
        extent_said = "no line of the ledger can be believed"
        newer = False
        if chain is not None and chain.lines and found.opened is not None:
            self._beginning(found, chain)
            self._init(found, found.opened.init)
            self._segments(found, chain, found.opened)
            extent, extent_said = self._extent(found, chain, told)
            self._against_journal(found, chain, told)
            newer = self._is_newer(chain, told, found.opened)
        elif chain is not None and told.begun is None and not chain.provably_altered:
            extent_said = "no line of its ledger became durable: a power loss as it began"
            if folder.is_dir() and not any(f.question == "content" for f in found.findings):
                extent = "power-loss"
        read, read_said = self._read(found)
        content: Content = "altered" if any(f.question == "content" for f in found.findings) else "matches"
        answers = Answers(
            content=content,
            content_said=_content_said(found),
            signer="trusted" if signer or (extent == "power-loss" and found.opened is None) else "not-trusted",
            signer_said=signer_said,
            extent=extent,
            extent_said=extent_said,
            time_said=_time_said(found),
            read=read,
            read_said=read_said,
        )
        return _verdict(found, answers), newer

    def _ledger(self, found: Found) -> ReadChain[LedgerRecord] | None:
        """The good lines of the ledger; what is wrong with the rest becomes findings where it proves anything."""
        try:
            data = read_file(found.folder / layout.LEDGER, MAX_LEDGER_BYTES)
        except EvidenceError as failure:
            found.altered(layout.LEDGER, str(failure))
            return None
        if data is None or not data.strip(b"\0"):
            if self.history.told.get(found.name) is not None:
                found.altered(
                    layout.LEDGER, "the journal holds this recording's first line; the ledger is empty or missing"
                )
            return ReadChain([], None, "the ledger is empty or missing", provably_altered=False)
        certificate = self._certificate_of(data)
        if certificate is None:
            if b"\n" in data:
                found.altered(
                    layout.LEDGER, "its first line is not one that opens a recording with a known certificate"
                )
            return ReadChain([], None, "the first line is not whole", provably_altered=False)
        chain = read_ledger(data, found.name, p256_key(certificate))
        if chain.lines and isinstance(chain.lines[0].record, RecordingOpened):
            found.opened = chain.lines[0].record
        elif b"\n" in data:
            found.altered(f"{layout.LEDGER}, line 0", chain.fault)
        if chain.provably_altered:
            found.altered(
                f"{layout.LEDGER}, line {len(chain.lines)}",
                f"a line that was durable is missing or changed: {chain.fault}",
                _time_after(chain),
            )
        return chain

    def _certificate_of(self, ledger: bytes) -> x509.Certificate | None:
        try:
            opened = records.decode_ledger(open_line(ledger.split(b"\n", 1)[0]).payload)
        except EvidenceError:
            return None
        if not isinstance(opened, RecordingOpened):
            return None
        return self.identities.certificates.get(opened.certificate_sha256)

    def _signer(self, found: Found) -> tuple[bool, str]:
        if found.opened is None:
            return False, "no line that opens the recording"
        certificate = self.identities.certificates[found.opened.certificate_sha256]
        why = why_not_trusted(certificate, Role.LEDGER, self._anchors, None)
        if not why and common_name(certificate) != found.opened.device:
            why = f"its certificate names {common_name(certificate)}, its records {found.opened.device}"
        at = parse_utc(found.opened.utc)
        if not why and found.opened.clock.synchronised:
            why = why_not_trusted(certificate, Role.LEDGER, self._anchors, at)
        if why:
            found.findings.append(Finding(question="signer", place=layout.LEDGER, what=why))
            return False, why
        judged = (
            "judged at the claimed time" if found.opened.clock.synchronised else "not judged: the clock was not set"
        )
        return True, f"{found.opened.device}, under the given anchor; validity {judged}"

    def _beginning(self, found: Found, chain: ReadChain[LedgerRecord]) -> None:
        """The opening's own links: the journal's line that it starts from, and the policy that it names."""
        opened = found.opened
        assert opened is not None, "a ledger with good lines is opened"
        if opened.prev != opened.journal.sha256:
            found.altered(f"{layout.LEDGER}, line 0", "it does not start from the journal line that it names")
        path = self._card / layout.policy_file(opened.policy.sha256)
        try:
            document = read_file(path, MAX_POLICY_BYTES)
        except EvidenceError as failure:
            found.altered(layout.policy_file(opened.policy.sha256), str(failure))
            return
        if document is None and self.history.present:
            found.altered(layout.policy_file(opened.policy.sha256), "the policy that was in force is missing")
        elif document is not None and records_sha256(document) != opened.policy.sha256:
            found.altered(layout.policy_file(opened.policy.sha256), "the policy is not the one that was in force")
        self._after_closing(found, chain)

    def _after_closing(self, found: Found, chain: ReadChain[LedgerRecord]) -> None:
        closing = [n for n, line in enumerate(chain.lines) if isinstance(line.record, RecordingClosed)]
        for n, line in enumerate(chain.lines):
            if (n > 0 and isinstance(line.record, RecordingOpened)) or isinstance(line.record, RecordingRecovered):
                found.altered(f"{layout.LEDGER}, line {n}", "a record that does not belong in the middle of a ledger")
        if closing and (closing[0] != len(chain.lines) - 1 or chain.torn is not None):
            found.altered(
                f"{layout.LEDGER}, line {closing[0] + 1}", "something follows the record that closes the recording"
            )

    # -- files --------------------------------------------------------------------------------------------------------

    def _init(self, found: Found, init: Stored) -> None:
        assert found.opened is not None, "a ledger with good lines is opened"
        if init.size > MAX_INIT_BYTES:
            found.altered(layout.INIT, f"its record says {init.size} bytes; the limit is {MAX_INIT_BYTES}")
        else:
            self._file(found, layout.INIT, init, found.opened, found.opened.video.base_us)

    def _segments(self, found: Found, chain: ReadChain[LedgerRecord], opened: RecordingOpened) -> None:
        gaps: list[Gap] = []
        named: set[str] = set()
        for line in chain.lines:
            if isinstance(line.record, Gap):
                gaps.append(line.record)
                found.missing[line.record.cause] = found.missing.get(line.record.cause, 0) + line.record.frames
            elif isinstance(line.record, Segments):
                for segment in line.record.segments:
                    self._sequence(found, segment, gaps, line.record.seq)
                    name = layout.segment_file(segment.n, segment.attempt)
                    named.add(name)
                    found.segments.append(segment)
                    at_us = segment.video.from_us if segment.video else segment.audio.from_us if segment.audio else None
                    if self._file(found, name, segment.file, opened, at_us):
                        found.verified += 1
        self._unnamed(found, chain, named)

    def _sequence(self, found: Found, segment: Segment, gaps: list[Gap], seq: int) -> None:
        """Segments are numbered without a hole; every frame between them is in a gap that ours covers (E5)."""
        place = f"{layout.LEDGER}, line {seq}"
        if segment.n != len(found.segments):
            found.altered(place, f"segment {segment.n} where segment {len(found.segments)} belongs")
        video = segment.video
        before = next((s.video for s in reversed(found.segments) if s.video is not None), None)
        if video is None:
            return
        expected = video.first if before is None else before.last + 1
        missing = video.first - expected + (video.last - video.first + 1 - video.frames)
        covered = sum(
            min(g.last, video.last) - max(g.first, expected) + 1
            for g in gaps
            if g.cause != "camera" and g.first <= video.last and g.last >= expected
        )
        if video.first < expected or (before is not None and video.from_us <= before.last_us):
            found.altered(place, f"segment {segment.n} repeats or goes back in time", video.from_us)
        elif missing != covered:
            found.altered(
                place, f"{missing} frames before or in segment {segment.n}; {covered} are accounted for", video.from_us
            )

    def _file(self, found: Found, name: str, stored: Stored, opened: RecordingOpened, at_us: int | None) -> bool:
        """Size first, then the digest, then for whom it was encrypted."""
        path = found.folder / name
        try:
            size = regular_size(path)
            if size is None:
                found.altered(name, "the ledger names it; it is missing", at_us)
                return False
            if size != stored.size:
                found.altered(name, f"{size} bytes; the ledger says {stored.size}", at_us)
                return False
            sha256, beginning = digest_file(path, size)
            self._progress(size)
            if sha256 != stored.sealed:
                found.altered(name, "its bytes are not those that the ledger signed", at_us)
                return False
            stanzas = tuple(stanza.lower() for stanza in stanza_types(beginning))
        except EvidenceError as failure:
            found.altered(name, str(failure), at_us)
            return False
        if stanzas != opened.recipients:
            said = f"encrypted for {len(stanzas)} ({', '.join(stanzas)}); the ledger says {len(opened.recipients)}"
            found.altered(name, said, at_us)
            return False
        return True

    def _unnamed(self, found: Found, chain: ReadChain[LedgerRecord], named: set[str]) -> None:
        """Files of ours that no record names: a write that failed, one in progress, one after a power loss, or added."""
        closed = isinstance(chain.lines[-1].record, RecordingClosed)
        attempts = {segment.n: segment.attempt for segment in found.segments}
        for name in names_in(found.folder):
            numbers = layout.segment_numbers(name)
            if numbers is None or name in named:
                continue
            n, attempt = numbers
            if attempt < attempts.get(n, 0):
                found.note(name, "left from a write that failed; not believed")
            elif n in attempts or closed or n >= len(found.segments) + GROUP_LIMIT:
                found.altered(name, "no record names it: it was added")
            else:
                found.unproven += 1

    # -- extent -------------------------------------------------------------------------------------------------------

    def _extent(self, found: Found, chain: ReadChain[LedgerRecord], told: Told) -> tuple[Extent, str]:
        last = chain.lines[-1].record
        if isinstance(last, RecordingClosed):
            self._totals(found, chain.lines[:-1], last, f"{layout.LEDGER}, line {last.seq}")
            return self._closed_extent(told, last)
        recovered = self._recovery(found, chain)
        if recovered is not None:
            found.unproven = len(recovered.found) + recovered.found_beyond
            return "power-loss", f"ended by power loss; {found.unproven} files past the last durable record, not proven"
        if chain.torn is not None:
            found.note(layout.LEDGER, f"{chain.torn.size} bytes after the last whole line; not believed")
        if told.how == "failed":
            return "power-loss", "its ledger could not be written on; another recording continues it"
        if told.last_epoch and self.history.is_over(told.last_epoch):
            return "power-loss", "it has no end: a power loss, not yet recovered"
        return "open", "still recording, or ended by a power loss that is not yet recovered"

    def _closed_extent(self, told: Told, last: RecordingClosed) -> tuple[Extent, str]:
        if not self.history.present:
            return "not-journaled", f"closed ({last.how}); no journal was given"
        if told.ended is None:
            return "unknown", f"closed ({last.how}); its end is not in the journal"
        return "closed", f"closed ({last.how}) and journaled"

    def _totals(
        self,
        found: Found,
        before: list[ReadLine[LedgerRecord]],
        last: RecordingClosed | RecordingRecovered,
        place: str,
    ) -> None:
        if last.totals != totals(before):
            found.altered(place, "its totals are not those of the ledger")
        if last.tree != merkle_tree(before):
            found.altered(place, "its tree root is not that of the ledger")

    def _recovery(self, found: Found, chain: ReadChain[LedgerRecord]) -> RecordingRecovered | None:
        """The record that a later start wrote; checks that it speaks of exactly what is here."""
        last = chain.lines[-1]
        certificate = self._certificate_of_opened(found)
        for name in names_in(found.folder):
            if not name.startswith("recovery-") or name not in map(layout.recovery_file, range(layout.MAX_RECOVERIES)):
                continue
            try:
                data = read_file(found.folder / name, records.MAX_PAYLOAD_BYTES * 2) or b""
            except EvidenceError as failure:
                found.altered(name, str(failure))
                continue
            key = p256_key(certificate)
            read = read_chain(data, 0, key, records.decode_ledger, found.name, last.record.seq + 1, last.sha256)
            if not read.lines or not isinstance(record := read.lines[0].record, RecordingRecovered):
                if b"\n" in data:
                    found.altered(name, f"it does not follow the ledger: {read.fault}")
                else:
                    found.note(name, "a recovery that was itself cut short; not believed")
                continue
            if len(read.lines) > 1 or read.torn is not None:
                found.altered(name, "something follows the record that ends the recording")
            self._recovered(found, chain, record, name)
            return record
        return None

    def _certificate_of_opened(self, found: Found) -> x509.Certificate:
        assert found.opened is not None, "a ledger with good lines is opened"
        return self.identities.certificates[found.opened.certificate_sha256]

    def _recovered(self, found: Found, chain: ReadChain[LedgerRecord], record: RecordingRecovered, name: str) -> None:
        self._totals(found, chain.lines, record, name)
        if record.torn != chain.torn:
            found.altered(layout.LEDGER, "what follows its last whole line is not what was found at the recovery")
        listed = {layout.segment_file(file.n, file.attempt) for file in record.found}
        for file in record.found:
            path = found.folder / layout.segment_file(file.n, file.attempt)
            try:
                size = regular_size(path)
                sha256 = digest_file(path, size)[0] if size else records_sha256(b"")
            except EvidenceError as failure:
                found.altered(path.name, str(failure))
                continue
            if size != file.size or (size <= MAX_SEGMENT_BYTES and sha256 != file.sha256):
                found.altered(path.name, "it is not what was found at the recovery")
        named = {layout.segment_file(s.n, s.attempt) for s in found.segments}
        for file_name in names_in(found.folder):
            if (
                layout.segment_numbers(file_name) is not None
                and file_name not in listed | named
                and not record.found_beyond
            ):
                found.altered(file_name, "it was not there at the recovery: it was added")

    # -- against the journal ------------------------------------------------------------------------------------------

    def _against_journal(self, found: Found, chain: ReadChain[LedgerRecord], told: Told) -> None:
        if not self.history.present:
            return
        opened = found.opened
        assert opened is not None, "a ledger with good lines is opened"
        place = f"{layout.LEDGER}, line 0"
        if self.history.lines.get(opened.journal.sha256) != opened.journal:
            found.altered(place, "the journal line that it starts from is not in the journal")
        if told.begun is not None and told.begun != chain.lines[0].place:
            found.altered(place, "it is not the first line that the journal holds for this recording")
        places = {line.place for line in chain.lines}
        ends = [line.place for line in self._recovery_lines(found, chain)]
        for head in [*told.heads, *([told.ended] if told.ended is not None else [])]:
            if head not in places and head not in ends:
                what = f"the journal holds line {head.seq} of this ledger, which is missing or changed"
                found.altered(f"{layout.LEDGER}, line {head.seq}", what, _time_after(chain))
        closed = isinstance(chain.lines[-1].record, RecordingClosed)
        if closed and told.begun is None and told.ended is None:
            found.altered(place, "the journal does not hold this recording")
        if told.how == "closed" and told.ended is not None and not closed:
            found.altered(layout.LEDGER, "the journal says that it was closed; its closing record is missing")

    def _recovery_lines(self, found: Found, chain: ReadChain[LedgerRecord]) -> list[ReadLine[LedgerRecord]]:
        last = chain.lines[-1]
        key = p256_key(self._certificate_of_opened(found))
        lines: list[ReadLine[LedgerRecord]] = []
        for n in range(layout.MAX_RECOVERIES):
            try:
                data = read_file(found.folder / layout.recovery_file(n), records.MAX_PAYLOAD_BYTES * 2)
            except EvidenceError:
                continue
            if data is not None:
                seq = last.record.seq + 1
                lines += read_chain(data, 0, key, records.decode_ledger, found.name, seq, last.sha256).lines
        return lines

    def _is_newer(self, chain: ReadChain[LedgerRecord], told: Told, opened: RecordingOpened) -> bool:
        """Whether the ledger shows that the journal has grown since it was read."""
        closed = isinstance(chain.lines[-1].record, RecordingClosed)
        return opened.journal.sha256 not in self.history.lines or told.begun is None or (closed and told.ended is None)

    # -- reading ------------------------------------------------------------------------------------------------------

    def _read(self, found: Found) -> tuple[Read, str]:
        if self._opener is None or found.opened is None:
            return "sealed", "sealed: no identity was given"
        problems = self._opener.check(found.folder, found.opened, found.segments, self._progress)
        found.findings += problems
        if problems:
            return "not-opened", problems[0].what
        return "opened", "opened and decoded: every frame that the ledger counts is there, at its time"


def records_sha256(data: bytes) -> str:
    import hashlib

    return hashlib.sha256(data).hexdigest()


def _time_after(chain: ReadChain[LedgerRecord]) -> int | None:
    """The boot time after which nothing can be believed: the end of the last good segment."""
    spans = [
        s.video.to_us
        for line in chain.lines
        if isinstance(line.record, Segments)
        for s in line.record.segments
        if s.video
    ]
    return spans[-1] if spans else None


def _content_said(found: Found) -> str:
    bad = [f for f in found.findings if f.question == "content"]
    if not bad:
        return f"all {found.verified} segments are as they were signed"
    first = min(bad, key=lambda f: float("inf") if f.offset_s is None else f.offset_s)
    when = f" (first at {first.utc}, {first.offset_s} s into the recording)" if first.utc else ""
    return (
        f"{first.place}: {first.what}{when}; {found.verified} of {len(found.segments)} segments are as they were signed"
    )


def _time_said(found: Found) -> str:
    if found.opened is None:
        return "unknown"
    clock = found.opened.clock
    quality = f"synchronised by {clock.source}, within {clock.error_us} µs" if clock.synchronised else "NOT set"
    return f"claimed by the device: {found.opened.utc}; its clock was {quality}"


def _verdict(found: Found, answers: Answers) -> RecordingVerdict:
    opened = found.opened
    videos = [s.video for s in found.segments if s.video is not None]
    return RecordingVerdict(
        recording=found.name,
        device=opened.device if opened else "",
        verdict=answers.verdict,
        exit_status=answers.exit_status,
        answers=answers,
        findings=tuple(found.findings),
        trigger=opened.trigger if opened else "",
        opened_utc=opened.utc if opened else "",
        pre_event_mode=opened.pre_event.mode if opened else "",
        pre_event_asked_us=opened.pre_event.asked_us if opened else 0,
        pre_event_had_us=opened.pre_event.had_us if opened else 0,
        seconds=round((videos[-1].to_us - videos[0].from_us) / 1e6, 3) if videos else 0.0,
        frames=sum(v.frames for v in videos),
        packets=sum(s.audio.packets for s in found.segments if s.audio is not None),
        segments=len(found.segments),
        verified_segments=found.verified,
        unproven_files=found.unproven,
        missing=found.missing,
        continues=opened.continues if opened else None,
    )


def _foreign(card: Path) -> Iterator[str]:
    """Files that are none of ours: listed, so that nobody wonders, and not judged."""
    known = {*layout.TOP_FOLDERS, layout.RESERVE, "lost+found"}
    yield from (name for name in names_in(card) if name not in known)
    for name in names_in(card / layout.JOURNAL):
        if layout.epoch_number(name) is None:
            yield f"{layout.JOURNAL}/{name}"
    ours = {layout.INIT, layout.LEDGER, *map(layout.recovery_file, range(layout.MAX_RECOVERIES))}
    for folder in names_in(card / layout.EVIDENCE):
        if layout.recording_counter(folder) is None:
            yield f"{layout.EVIDENCE}/{folder}"
            continue
        for name in names_in(card / layout.EVIDENCE / folder):
            if name not in ours and layout.segment_numbers(name) is None:
                yield f"{layout.EVIDENCE}/{folder}/{name}"

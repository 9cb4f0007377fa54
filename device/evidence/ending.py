"""How one recording ended, and whether that is all of it: its last record, a recovery, and the journal's word.

*Closed* is said only when the ledger's last line closes it, that line speaks of exactly the lines before it, and the
journal of the same device holds that very line as its end.
"""

from pathlib import Path

from device.errors import EvidenceError
from device.evidence import layout, records
from device.evidence.case import Found, Given
from device.evidence.chain import ReadChain, ReadLine, never_whole, read_chain
from device.evidence.history import Told
from device.evidence.identity import p256_key
from device.evidence.reading import digest_file, read_file, regular_size
from device.evidence.records import (
    LedgerRecord,
    Line,
    RecordingClosed,
    RecordingOpened,
    RecordingRecovered,
    Segments,
)
from device.evidence.recovery import MAX_SEGMENT_BYTES, merkle_tree, totals
from device.evidence.verdicts import Extent

MAX_RECOVERY_BYTES = 2 * records.MAX_PAYLOAD_BYTES


def judge(given: Given, found: Found, chain: ReadChain[LedgerRecord], opened: RecordingOpened) -> tuple[Extent, str]:
    """Check the ledger's end; what does not fit becomes a finding. How far the recording is proven to reach."""
    told = given.history.told(opened.certificate_sha256, found.name)
    last = chain.lines[-1]
    recovery = _recovery(given, found, chain, opened)
    if given.history.present:
        _against_journal(given, found, chain, opened, told, recovery)
    if isinstance(last.record, RecordingClosed):
        _totals(found, chain.lines[:-1], last.record, f"{layout.LEDGER}, line {last.record.seq}")
        return _closed(given, told, last.place, last.record.how)
    if recovery is not None:
        past = f"{found.unproven} files past the last durable record, not proven"
        return "power-loss", f"ended by a power loss, or a failed write, and recovered; {past}"
    if chain.torn is not None:
        found.note(layout.LEDGER, f"{chain.torn.size} bytes after the last whole line; not believed")
    if told.how == "failed":
        return "power-loss", "its ledger could not be written on; another recording continues it"
    place = given.history.places.get(opened.journal.sha256)
    if place is not None and given.history.is_over(place.epoch):
        return "power-loss", "it has no end: a power loss, not yet recovered"
    return "open", "still recording, or ended by a power loss that is not yet recovered"


def shows_newer_journal(given: Given, chain: ReadChain[LedgerRecord], opened: RecordingOpened) -> bool:
    """Whether the ledger shows that the journal has grown since it was read: a card that is being recorded on."""
    told = given.history.told(opened.certificate_sha256, chain.lines[0].record.stream)
    closed = isinstance(chain.lines[-1].record, RecordingClosed)
    return opened.journal.sha256 not in given.history.places or not told.begun or (closed and told.ended is None)


def time_after(chain: ReadChain[LedgerRecord]) -> int | None:
    """The boot time from which on nothing can be believed: the end of the last good segment."""
    opened = chain.lines[0].record
    time_us = opened.video.base_us if isinstance(opened, RecordingOpened) else None
    for line in chain.lines:
        if isinstance(line.record, Segments):
            for segment in line.record.segments:
                time_us = segment.video.to_us if segment.video is not None else time_us
    return time_us


def _closed(given: Given, told: Told, last: Line, how: str) -> tuple[Extent, str]:
    if not given.history.present:
        return "not-journaled", f"closed ({how}); no journal was given"
    if told.ended is None:
        return (
            "unknown",
            f"closed ({how}); its end is not in the journal: a power loss just then, or the journal is cut",
        )
    if told.ended != last:
        return "unknown", f"closed ({how}); the journal holds another end ({told.how}, line {told.ended.seq})"
    return "closed", f"closed ({how}) and journaled"


def _totals(
    found: Found, before: list[ReadLine[LedgerRecord]], last: RecordingClosed | RecordingRecovered, place: str
) -> None:
    if last.totals != totals(before):
        found.altered(place, "its totals are not those of the ledger")
    if last.tree != merkle_tree(before):
        found.altered(place, "its tree root is not that of the ledger")


# -- recovery -------------------------------------------------------------------------------------------------------


def _recovery(given: Given, found: Found, chain: ReadChain[LedgerRecord], opened: RecordingOpened) -> Line | None:
    """The line that a later start wrote after a power loss; checks that it speaks of exactly what is here."""
    good: Line | None = None
    for n in range(layout.MAX_RECOVERIES):
        name = layout.recovery_file(n)
        try:
            data = read_file(found.folder / name, MAX_RECOVERY_BYTES)
        except EvidenceError as failure:
            found.altered(name, str(failure))
            continue
        if data is None:
            continue
        if isinstance(chain.lines[-1].record, RecordingClosed):
            found.altered(name, "the recording is closed, so nothing recovered it: it was added")
            continue
        last = chain.lines[-1]
        key = p256_key(given.identities.certificates[opened.certificate_sha256])
        read = read_chain(data, 0, key, records.decode_ledger, found.name, last.record.seq + 1, last.sha256)
        record = read.lines[0].record if read.lines else None
        if record is None and never_whole(data):
            found.note(name, "a recovery that was itself cut short; not believed")
        elif not isinstance(record, RecordingRecovered) or record.last != last.place:
            found.altered(
                name, f"it does not follow the ledger: {read.fault or 'it is no recovery'}", time_after(chain)
            )
        elif good is not None or len(read.lines) > 1 or read.torn is not None:
            found.altered(name, "something follows the record that ends the recording")
        else:
            good = read.lines[0].place
            _recovered(found, chain, record, name)
    return good


def _recovered(found: Found, chain: ReadChain[LedgerRecord], record: RecordingRecovered, name: str) -> None:
    _totals(found, chain.lines, record, name)
    if record.torn != chain.torn:
        what = "what follows its last whole line is not what was found at the recovery"
        found.altered(layout.LEDGER, what, time_after(chain))
    for file in record.found:
        file_name = layout.segment_file(file.n, file.attempt)
        why = _why_not_found(found.folder / file_name, file.size, file.sha256)
        if why:
            found.altered(file_name, why)
    known = {layout.segment_file(file.n, file.attempt) for file in record.found}
    known |= {layout.segment_file(s.n, s.attempt) for s in found.segments}
    for other in found.names():
        if layout.segment_numbers(other) is not None and other not in known and not record.found_beyond:
            found.altered(other, "it was not there at the recovery: it was added")
    found.unproven = len(record.found) + record.found_beyond


def _why_not_found(path: Path, size: int, sha256: str) -> str:
    """A file past the last durable record is not proven, but it must be what the recovery found."""
    try:
        is_now = regular_size(path)
        if is_now is None:
            return "it was there at the recovery; it is missing"
        if is_now != size or (size <= MAX_SEGMENT_BYTES and digest_file(path, size)[0] != sha256):
            return "it is not what was found at the recovery"
    except EvidenceError as failure:
        return str(failure)
    return ""


# -- the journal ----------------------------------------------------------------------------------------------------


def _against_journal(
    given: Given,
    found: Found,
    chain: ReadChain[LedgerRecord],
    opened: RecordingOpened,
    told: Told,
    recovery: Line | None,
) -> None:
    """It starts from a line of its own device's journal, and holds every line that this journal holds of it."""
    first = f"{layout.LEDGER}, line 0"
    place = given.history.places.get(opened.journal.sha256)
    if place is None or place.line != opened.journal:
        found.altered(first, "the journal line that it starts from is not in the journal")
    elif place.epoch.statement.certificate_sha256 != opened.certificate_sha256:
        found.altered(first, f"it starts from the journal of another key, that of {place.epoch.boot.device}")
    elif place.epoch.boot.policy != opened.policy:
        found.altered(first, "the policy that it names is not the one that its boot names in the journal")
    elif not told.begun and told.ended is None:
        found.note(first, "the journal does not hold this recording")
    if given.history.told_by_another(opened.certificate_sha256, found.name):
        found.altered(first, "the journal of another key holds a recording of this name: it was put in its place")
    here = {line.place for line in chain.lines} | ({recovery} if recovery is not None else set())
    for line in told.lines:
        if line not in here:
            what = f"the journal holds line {line.seq} of this ledger, which is missing or changed"
            found.altered(f"{layout.LEDGER}, line {line.seq}", what, time_after(chain))

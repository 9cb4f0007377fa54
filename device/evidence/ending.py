"""How one recording ended, and whether that is all of it: its last record, a recovery, and the journal's word.

*Closed* is said only when the ledger's last line closes it, that line speaks of exactly the lines before it, and the
journal of the same device holds that very line as its end.
"""

import heapq
from pathlib import Path

from device.errors import EvidenceError
from device.evidence import layout, records
from device.evidence.case import MOST_FINDINGS, Found, Given, Ledger
from device.evidence.chain import ReadChain, ReadLine, never_whole, read_chain
from device.evidence.dating import Bounds
from device.evidence.history import Told
from device.evidence.reading import digest_file, read_file, regular_size
from device.evidence.records import LedgerRecord, Line, RecordingClosed, RecordingOpened, RecordingRecovered
from device.evidence.recovery import MAX_SEGMENT_BYTES
from device.evidence.tally import Tally
from device.evidence.verdicts import Extent

MAX_RECOVERY_BYTES = 2 * records.MAX_PAYLOAD_BYTES


def judge(given: Given, found: Found, ledger: Ledger, opened: RecordingOpened) -> tuple[Extent, str]:
    """Check the ledger's end; what does not fit becomes a finding. How far the recording is proven to reach."""
    told, last, torn = ledger.told, ledger.last, ledger.walk.torn
    recovery = _recovery(given, found, ledger, opened)
    if given.history.present:
        _against_journal(given, found, ledger, opened, recovery)
    if isinstance(last.record, RecordingClosed):
        check_totals(
            found, ledger.before_last, last.record, f"{layout.LEDGER}, line {last.record.seq}", ledger.until_us
        )
        return _closed(given, told, last.place, last.record.how)
    if recovery is not None:
        past = f"{found.unproven} files past the last durable record, not proven"
        return "power-loss", f"ended by a power loss, or a failed write, and recovered; {past}"
    if torn is not None:
        found.note(layout.LEDGER, f"{torn.size} bytes after the last whole line; not believed")
    if told.how == "failed":
        return "power-loss", "its ledger could not be written on; another recording continues it"
    place = given.history.places.at(opened.journal)
    if place is not None and given.history.is_over(place.epoch):
        return "power-loss", "it has no end: a power loss, not yet recovered"
    return "open", "still recording, or ended by a power loss that is not yet recovered"


def bounds(given: Given, told: Told, opened: RecordingOpened) -> Bounds:
    """Between which of the agency's times it was signed: after the journal line that it starts from, and before the one
    that holds its end."""
    places = given.history.places
    ended = places.get(told.ended_in) if told.ended_in else None
    return given.dating.bounds(places.get(opened.journal.sha256), ended)


def shows_newer_journal(given: Given, ledger: Ledger, opened: RecordingOpened) -> bool:
    """Whether the ledger shows that the journal has grown since it was read: a card that is being recorded on."""
    told, closed = ledger.told, isinstance(ledger.last.record, RecordingClosed)
    return given.history.places.at(opened.journal) is None or not told.begun or (closed and told.ended is None)


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


def check_totals(
    found: Found, before: Tally, last: RecordingClosed | RecordingRecovered, place: str, at_us: int | None
) -> None:
    """`before` is of the lines before the last one; `at_us`: where the last good segment ends."""
    found.tree_root = last.tree.root
    if last.totals != before.totals:
        found.altered(place, "its totals are not those of the ledger", at_us)
    if last.tree != before.tree:
        found.altered(place, "its tree root is not that of the ledger", at_us)


# -- recovery -------------------------------------------------------------------------------------------------------


def _recovery(given: Given, found: Found, ledger: Ledger, opened: RecordingOpened) -> Line | None:
    """The line that a later start wrote after a power loss; checks that it speaks of exactly what is here."""
    good: Line | None = None
    for n in range(layout.MAX_RECOVERIES):
        name = layout.recovery_file(n)
        try:
            data = read_file(found.folder / name, MAX_RECOVERY_BYTES)
        except EvidenceError as failure:
            found.altered(name, str(failure), ledger.until_us)
            continue
        if data is None:
            continue
        last = ledger.last
        if isinstance(last.record, RecordingClosed):
            found.altered(name, "the recording is closed, so nothing recovered it: it was added", ledger.until_us)
            continue
        read = _by_an_heir(given, data, last, opened.certificate_sha256)
        record = read.lines[0].record if read.lines else None
        if record is None and never_whole(data):
            found.note(name, "a recovery that was itself cut short; not believed")
        elif not isinstance(record, RecordingRecovered) or record.last != last.place:
            what = f"it does not follow the ledger: {read.fault or 'it is no recovery'}"
            found.altered(name, what, ledger.until_us)
        elif good is not None or len(read.lines) > 1 or read.torn is not None:
            found.altered(name, "something follows the record that ends the recording", ledger.until_us)
        else:
            good = read.lines[0].place
            _recovered(found, ledger, record, name)
    return good


def _by_an_heir(
    given: Given, data: bytes, last: ReadLine[LedgerRecord], certificate_sha256: str
) -> ReadChain[LedgerRecord]:
    """A recovery is signed by the ledger's key, or by one to which a rotation led from it."""
    reads = [
        read_chain(data, 0, key, records.decode_ledger, last.record.stream, last.record.seq + 1, last.sha256)
        for key in given.keys_of(certificate_sha256)
    ]
    return next((read for read in reads if read.lines), reads[0])


def _recovered(found: Found, ledger: Ledger, record: RecordingRecovered, name: str) -> None:
    ledger.end()
    check_totals(found, ledger.before_last, record, name, ledger.until_us)
    if record.torn != ledger.walk.torn:
        what = "what follows its last whole line is not what was found at the recovery"
        found.altered(layout.LEDGER, what, ledger.until_us)
    for file in record.found:
        file_name = layout.segment_file(file.n, file.attempt)
        why = _why_not_found(found.folder / file_name, file.size, file.sha256)
        if why:
            found.altered(file_name, why, ledger.until_us)
    if not record.found_beyond:
        known = {(file.n, file.attempt) for file in record.found}
        for other in heapq.nsmallest(MOST_FINDINGS, (other for other in found.names() if _is_new(found, known, other))):
            found.altered(other, "it was not there at the recovery: it was added", ledger.until_us)
    found.unproven = len(record.found) + record.found_beyond


def _is_new(found: Found, known: set[tuple[int, int]], name: str) -> bool:
    numbers = layout.segment_numbers(name)
    return numbers is not None and numbers not in known and found.attempt_of(numbers[0]) != numbers[1]


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
    given: Given, found: Found, ledger: Ledger, opened: RecordingOpened, recovery: Line | None
) -> None:
    """It starts from a line of its own device's journal, and holds every line that this journal holds of it."""
    first, told, from_us = f"{layout.LEDGER}, line 0", ledger.told, opened.video.base_us
    place = given.history.places.at(opened.journal)
    if place is None:
        found.altered(first, "the journal line that it starts from is not in the journal", from_us)
    elif place.epoch.statement.certificate_sha256 != opened.certificate_sha256:
        what = f"it starts from the journal of another key, that of {place.epoch.boot.device}"
        found.altered(first, what, from_us)
    elif place.epoch.boot.policy != opened.policy:
        found.altered(first, "the policy that it names is not the one that its boot names in the journal", from_us)
    elif not told.begun and told.ended is None:
        found.note(first, "the journal does not hold this recording")
    if given.history.told_by_another(opened.certificate_sha256, found.name):
        what = "the journal of another key holds a recording of this name: it was put in its place"
        found.altered(first, what, from_us)
    for line, at_us in ledger.missing(recovery):
        what = f"the journal holds line {line.seq} of this ledger, which is missing or changed"
        found.altered(f"{layout.LEDGER}, line {line.seq}", what, at_us)

"""The files of one recording: those that its records name, looked at by workers, and those that no record names."""

import heapq
from pathlib import Path

from device.errors import EvidenceError
from device.evidence import layout
from device.evidence.case import AskedFile, Found, Given, Ledger, Release
from device.evidence.grouping import GROUP_LIMIT
from device.evidence.reading import digest_file, regular_size
from device.evidence.records import Stored
from device.evidence.seal import stanza_types

MOST_UNNAMED = 10_000
"""Files that no record names are looked at in the order of their names, up to so many."""


def look_at(given: Given, found: Found, name: str, stored: Stored, limit: int, at_us: int | None) -> None:
    """Have a file looked at by a worker; the answer comes in its turn."""
    assert found.opened is not None, "a ledger with good lines is opened"
    path, recipients = found.folder / name, found.opened.recipients
    if found.release is not None and _is_missing(path):
        _not_here(found, found.release, name, at_us)
        return
    asked = given.workers.ask(lambda: _why_not_stored(path, stored, limit, recipients), stored.size)
    found.ask(given, AskedFile(name, at_us, name != layout.INIT, asked))


def _is_missing(path: Path) -> bool:
    """Whether there is nothing of this name. What can't be looked at is for the worker to say."""
    try:
        return regular_size(path) is None
    except EvidenceError:
        return False


def _not_here(found: Found, release: Release, name: str, at_us: int | None) -> None:
    """A missing file of a recording that was released: an alarm unless its receipt accounts for it (E7)."""
    if release.why_not:
        what = f"it is missing; the journal says that it was released, which is not proven: {release.why_not}"
        found.altered(name, what, at_us)
    else:
        found.released += 1


def _why_not_stored(path: Path, stored: Stored, limit: int, recipients: tuple[str, ...]) -> tuple[str, int]:
    """Size first, then the digest, then for whom it was encrypted; "" when all is as it was signed. And the bytes read."""
    try:
        size = regular_size(path)
        if size is None:
            return "the ledger names it; it is missing", 0
        if size != stored.size:
            return f"{size} bytes; the ledger says {stored.size}", 0
        if size > limit:
            return f"{size} bytes; the limit is {limit}", 0
        sha256, beginning = digest_file(path, size)
        if sha256 != stored.sealed:
            return "its bytes are not those that the ledger signed", size
        stanzas = tuple(stanza.lower() for stanza in stanza_types(beginning))
    except EvidenceError as failure:
        return str(failure), 0
    if stanzas != recipients:
        return f"encrypted for {len(stanzas)} ({', '.join(stanzas)}); the ledger says {len(recipients)}", size
    return "", size


def look_at_unnamed(found: Found, ledger: Ledger, *, closed: bool) -> None:
    """Files of ours that no record names: a write that failed, one in progress, one after a power loss, or added."""
    unnamed = heapq.nsmallest(MOST_UNNAMED, (name for name in found.names() if _is_unnamed(found, name)))
    for name in unnamed:
        n, attempt = layout.segment_numbers(name) or (0, 0)
        named = found.attempt_of(n)
        if (named is not None and attempt < named) or (n, attempt) in found.left_over:
            found.note(name, "left from a write that failed; not believed")
        elif named is not None or closed or n >= found.segments + GROUP_LIMIT:
            found.altered(name, "no record names it: it was added", ledger.until_us if named is None else None)
        else:
            found.unproven += 1


def _is_unnamed(found: Found, name: str) -> bool:
    numbers = layout.segment_numbers(name)
    return numbers is not None and found.attempt_of(numbers[0]) != numbers[1]

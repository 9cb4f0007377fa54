"""Files on a card that are none of ours: listed, so that nobody wonders, and not judged."""

import heapq
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from device.errors import EvidenceError
from device.evidence import layout
from device.evidence.reading import each_name
from device.evidence.verdicts import printable

MOST_FOREIGN = 1000
"""As many as are listed; the others are counted."""
_SUFFIXES = {layout.IDENTITY: (".der",), layout.POLICY: (".toml", ".bundle"), layout.RECEIPTS: (".receipt",)}
_AT_THE_TOP = {*layout.TOP_FOLDERS, layout.RESERVE, "lost+found"}
_IN_A_RECORDING = {layout.INIT, layout.LEDGER, *map(layout.recovery_file, range(layout.MAX_RECOVERIES))}


def foreign_files(card: Path) -> tuple[list[str], int]:
    """The first of them by name, printable, and how many more there are."""
    count = 0

    def counted() -> Iterator[str]:
        nonlocal count
        for name in _foreign(card):
            count += 1
            yield name

    listed = heapq.nsmallest(MOST_FOREIGN, counted())
    return list(map(printable, listed)), count - len(listed)


def names_there(folder: Path) -> Iterator[str]:
    """The names in a folder, in no order, for what is only listed or counted: one that can't be read is judged elsewhere."""
    with suppress(EvidenceError):
        yield from each_name(folder)


def _foreign(card: Path) -> Iterator[str]:
    yield from (name for name in names_there(card) if name not in _AT_THE_TOP)
    for folder in (layout.JOURNAL, layout.IDENTITY, layout.POLICY, layout.RECEIPTS):
        yield from (f"{folder}/{name}" for name in names_there(card / folder) if not _is_ours(folder, name))
    for recording in names_there(card / layout.EVIDENCE):
        place = f"{layout.EVIDENCE}/{recording}"
        if layout.recording_counter(recording) is None:
            yield place
            continue
        for name in names_there(card / place):
            if name not in _IN_A_RECORDING and layout.segment_numbers(name) is None:
                yield f"{place}/{name}"


def _is_ours(folder: str, name: str) -> bool:
    if folder == layout.JOURNAL:
        return layout.epoch_number(name) is not None
    return layout.document_digest(name) is not None and name.endswith(_SUFFIXES[folder])

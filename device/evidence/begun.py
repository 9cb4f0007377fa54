"""Which recording's folder belongs to which activation: by the first line of its ledger. What is said there is for the
audit to judge."""

from pathlib import Path

from device.errors import EvidenceError
from device.evidence import layout, records
from device.evidence.envelope import open_line
from device.evidence.reading import names_in, read_file, real_folder
from device.evidence.records import RecordingOpened
from device.evidence.recovery import MAX_LEDGER_BYTES


def first_line(folder: Path) -> RecordingOpened:
    """The first line of a ledger; `EvidenceError` where it can't be read, or opens no recording."""
    data = read_file(folder / layout.LEDGER, MAX_LEDGER_BYTES) if real_folder(folder) else None
    first = records.decode_ledger(open_line((data or b"").split(b"\n", 1)[0]).payload)
    if not isinstance(first, RecordingOpened):
        raise EvidenceError("it does not open a recording")
    return first


def folders_by_start(card: Path, runs: dict[str, int]) -> dict[tuple[int, int], list[str]]:
    """The recordings' folders on a card, in their order, by run and boot time of their activation. `runs`: the run of
    each journal file. One whose ledger can't be read is in none: the audit says so."""
    folders: dict[tuple[int, int], list[str]] = {}
    try:
        names = [name for name in names_in(card / layout.EVIDENCE) if layout.recording_counter(name) is not None]
    except EvidenceError:
        return {}
    for name in names:
        try:
            opened = first_line(card / layout.recording_folder(name))
        except EvidenceError:
            continue
        run = runs.get(opened.journal.stream)
        if run is not None:
            folders.setdefault((run, opened.trigger_us), []).append(name)
    return folders

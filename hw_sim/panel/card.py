"""The card as it grows: the journal's lines, and of each recording what its timeline shows. By the readers' own code.

What is durable is in the twin's real folder, so this reads along without touching the daemon. Each line's signature is
checked with the device's certificate; the chain, the files and what the journal says of them are `bodycam verify`'s to judge.
Each viewer has readers of its own. The panel's own thread.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from device.errors import EvidenceError
from device.evidence import layout, records
from device.evidence.chain import checked
from device.evidence.envelope import open_line
from device.evidence.identity import load_certificate, p256_key
from device.evidence.reading import names_in, read_part, regular_size
from device.evidence.records import JournalRecord, LedgerRecord, Record
from device.evidence.unsealing import ContextIdentity
from hw_sim.agency import Bench
from hw_sim.panel.timeline import Timeline
from hw_sim.panel.words import in_words

AT_ONCE_BYTES = 256 * 1024
"""Read of one file at a time, so that an old card does not hold the page up."""
MOST_RECORDINGS = 24
"""Shown, the newest of them."""
MOST_EPOCHS = 8

_R = TypeVar("_R", bound=Record)


class JournalLine(msgspec.Struct, frozen=True):
    """`sealed`: something private is in the record, opened here with the demo agency's key for context."""

    epoch: str
    seq: int
    type: str
    at_us: int
    utc: str
    said: str
    sealed: bool


class Grown(msgspec.Struct, frozen=True, tag="journal", tag_field="kind"):
    lines: list[JournalLine]


class _Growing(Generic[_R]):
    """A file of signed lines that is being written: each call gives the records that are new."""

    def __init__(self, path: Path, bench: Bench, decode: Callable[[bytes], _R]) -> None:
        self._path = path
        self._key = p256_key(load_certificate((bench.root / "device" / "device.der").read_bytes()))
        self._decode = decode
        self._offset = 0

    @property
    def offset(self) -> int:
        """How far it was read."""
        return self._offset

    def more(self) -> Iterator[_R]:
        size = regular_size(self._path)
        if size is None or size <= self._offset:
            return
        data = read_part(self._path, self._offset, AT_ONCE_BYTES)
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        for line in whole.splitlines():
            try:
                signed = open_line(line)
                if signed.payload_type == records.RECORD_TYPE:
                    yield checked(signed, self._key, self._decode)
            except EvidenceError:
                continue  # what is wrong with it is the verifier's to say


class JournalReader:
    """The journal's lines, from its newest files on."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._context = ContextIdentity(bench.context_identity)
        self._epochs: dict[str, _Growing[JournalRecord]] = {}

    def more(self) -> list[JournalLine]:
        names = names_in(self._bench.card / layout.JOURNAL)
        for name in [name for name in names if layout.epoch_number(name) is not None][-MOST_EPOCHS:]:
            path = self._bench.card / layout.JOURNAL / name
            self._epochs.setdefault(name, _Growing(path, self._bench, records.decode_journal))
        return [self._line(record) for epoch in self._epochs.values() for record in epoch.more()]

    def _line(self, record: JournalRecord) -> JournalLine:
        context = getattr(record, "context", None)
        facts = None
        if context is not None:
            try:
                facts = self._context.facts(context)
            except EvidenceError:
                facts = None
        return JournalLine(
            epoch=record.stream,
            seq=record.seq,
            type=str(record.__struct_config__.tag),
            at_us=record.boot_us,
            utc=record.utc,
            said=in_words(record, facts),
            sealed=context is not None,
        )


class RecordingsReader:
    """The newest recordings' timelines; `more` gives those that have changed."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._ledgers: dict[str, tuple[_Growing[LedgerRecord], Timeline]] = {}

    def more(self) -> list[Timeline]:
        evidence = self._bench.card / layout.EVIDENCE
        names = [name for name in names_in(evidence) if layout.recording_counter(name) is not None]
        changed = []
        for name in names[-MOST_RECORDINGS:]:
            if name not in self._ledgers:
                growing = _Growing(evidence / name / layout.LEDGER, self._bench, records.decode_ledger)
                self._ledgers[name] = growing, Timeline(name)
            growing, timeline = self._ledgers[name]
            new = list(growing.more())
            recovered = not timeline.ended and regular_size(evidence / name / layout.recovery_file(0)) is not None
            for record in new:
                timeline.take(record)
            if recovered:
                timeline.recovered()
            if new or recovered:
                timeline.ledger_bytes = growing.offset
                changed.append(timeline)
        return changed

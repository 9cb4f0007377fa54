"""A device that lies: whoever holds its key can write any journal, sign it anew, and let the ledgers follow.

Records are sealed to public recipients, so that such a journal is as well sealed and signed as an honest one; `verify`
finds nothing wrong with it. Only the agency's policies can't be made.
"""

import os
from collections.abc import Callable

import msgspec
import pyrage

from device.evidence import layout, records
from device.evidence.envelope import line_digest, open_line, sign_line
from device.evidence.records import (
    Boot,
    JournalRecord,
    Line,
    PolicyName,
    RecordingBegun,
    RecordingClosed,
    RecordingEnded,
    RecordingHead,
    RecordingOpened,
    Step,
)
from device.evidence.seal import Sealer
from device.evidence.steps import public_step, whole_step
from device.policy import commands as do
from device.policy import inputs as on
from hw_sim.agency import Bench
from tests.benches import unsealed
from tests.cards import chained, changed, device_signer, lines_of, signed_anew, write_lines

Facts = dict[str, object]


class Said(msgspec.Struct):
    """A line of the journal as the liar sees it: the record, and what is sealed beside it, opened. `sealed`: what is
    written instead of the facts, sealed for whomever the liar likes."""

    record: JournalRecord
    facts: Facts | None = None
    was: str = ""
    sealed: records.SealedContext | None = None


Lie = Callable[[list[Said]], list[Said]]


def came_and_decided(said: Said) -> tuple[on.Input | None, tuple[do.Command, ...]]:
    """What a step was about, whole; nothing for any other record."""
    if not isinstance(said.record, Step):
        return None, ()
    return whole_step(said.record, said.facts)


def step_said(like: Said, came: on.Input | None, decided: tuple[do.Command, ...]) -> Said:
    """Another step in the place of one, its effective time kept."""
    assert isinstance(like.record, Step)
    step, facts = public_step(came, like.record.effective_us, decided)
    header = {name: getattr(like.record, name) for name in records.Record.__struct_fields__}
    return Said(msgspec.structs.replace(step, **header), None if facts is None else dict(facts), like.was)


def lie(bench: Bench, tell: Lie) -> None:
    """Rewrite the whole card with another journal. What was recovered after a power cut is not followed."""
    _Liar(bench).rewrite(tell)


def sealed_for(bench: Bench, facts: Facts) -> records.SealedContext:
    """Facts sealed to the bench's own context recipient."""
    identity = pyrage.x25519.Identity.from_str(bench.context_identity.read_text("ascii").strip())
    sealer = Sealer((str(identity.to_public()),), "recipients.context")
    plain = {key: value for key, value in facts.items() if key != "salt"}
    return sealer.seal_context(plain, os.urandom(16))  # type: ignore[arg-type]


class _Liar:
    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._signer = device_signer(bench)
        self._certificate = (bench.root / "device" / "device.der").read_bytes()
        self._moved: dict[str, Line] = {}
        self._last: Line | None = None
        self._policy: PolicyName | None = None
        self._ledgers: dict[str, list[Line]] = {}

    def rewrite(self, tell: Lie) -> None:
        for path in sorted((self._bench.card / layout.JOURNAL).iterdir()):
            lines = lines_of(path)
            statement = [line for line in lines[:1] if open_line(line).payload_type == records.PROVISIONING_TYPE]
            said = tell([self._said(line) for line in lines[len(statement) :]])
            prev = line_digest(statement[0]) if statement else ""
            if statement:
                self._last = None
            write_lines(path, statement + [self._line(one, path.stem, prev) for one in said])

    def _said(self, line: bytes) -> Said:
        record = records.decode_journal(open_line(line).payload)
        context = getattr(record, "context", None)
        return Said(record, None if context is None else unsealed(self._bench, context), line_digest(line))

    def _line(self, said: Said, stream: str, first_prev: str) -> bytes:
        """The next line, and where the one that it replaces has gone."""
        record = said.record
        seq, prev = (1, first_prev) if self._last is None else (self._last.seq + 1, self._last.sha256)
        fields: dict[str, object] = {"seq": seq, "prev": prev, "durable": min(record.durable, seq - 1)}
        if said.sealed is not None:
            fields["context"] = said.sealed
        elif isinstance(record, Boot | Step):
            fields["context"] = None if said.facts is None else sealed_for(self._bench, said.facts)
        if isinstance(record, Boot):
            self._policy = record.policy
        if isinstance(record, Boot) and record.previous is not None:
            assert self._last is not None
            fields["previous"] = msgspec.structs.replace(record.previous, last=self._last)
        elif isinstance(record, RecordingBegun):
            fields["first"] = self._ledger(record.recording)[0]
        elif isinstance(record, RecordingHead | RecordingEnded):
            fields["head"] = self._ledger(record.recording)[record.head.seq]
        payload = msgspec.json.encode(msgspec.structs.replace(record, **fields))
        line = sign_line(self._signer, records.RECORD_TYPE, payload)
        self._last = Line(stream=stream, seq=seq, sha256=line_digest(line))
        self._moved[said.was] = self._last
        return line

    def _ledger(self, name: str) -> list[Line]:
        """Sign a ledger anew, from the journal line that it starts from."""
        if name not in self._ledgers:
            path = self._bench.card / layout.recording_folder(name) / layout.LEDGER
            if not path.exists():
                return [Line(stream=name, seq=n, sha256=records.NO_DIGEST) for n in range(100_000)]
            lines = lines_of(path)
            opened = records.decode_ledger(open_line(lines[0]).payload)
            assert isinstance(opened, RecordingOpened)
            starts = self._moved.get(opened.journal.sha256, self._last)
            assert starts is not None
            lines[0] = changed(
                lines[0], self._signer, journal=starts, prev=starts.sha256, policy=self._policy or opened.policy
            )
            closes = isinstance(records.decode_ledger(open_line(lines[-1]).payload), RecordingClosed)
            if closes:
                lines = signed_anew(lines, self._signer, self._certificate, name)
            else:
                lines = chained(lines, self._signer, 1)
            write_lines(path, lines)
            self._ledgers[name] = [Line(stream=name, seq=n, sha256=line_digest(x)) for n, x in enumerate(lines)]
        return self._ledgers[name]

"""Auditing a bench's card, and finding one's way in a journal that is lied in."""

import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec

from device.evidence import layout, records
from device.evidence.audit import audit
from device.evidence.envelope import open_line
from device.evidence.identity import load_anchors
from device.evidence.judgements import Audit, AuditFinding
from device.evidence.records import (
    LedgerRecord,
    RecordingBegun,
    RecordingEnded,
    RecordingHead,
    RecordingOpened,
    Segment,
    Segments,
)
from device.evidence.unsealing import ContextIdentity
from device.evidence.verdicts import EXIT_ALTERED, EXIT_INTACT
from device.policy import commands as do
from device.policy import inputs as on
from hw_sim.agency import Agency, Bench
from hw_sim.scribe import Scribe
from hw_sim.virtual import VirtualDevice
from tests.benches import make_bench
from tests.cards import changed, device_signer, edit_lines, lines_of, write_lines
from tests.liars import Said, came_and_decided, lie

AGENCY = Agency("Agency")
HEADS = RecordingBegun | RecordingHead | RecordingEnded
Lines = list[Said]


def audited(bench: Bench, *, every_step: bool = False) -> Audit:
    identity = ContextIdentity(bench.context_identity)
    return audit(bench.card, load_anchors(bench.trust), (), identity, every_step=every_step)


def said(verdict: Audit) -> str:
    return msgspec.json.format(msgspec.json.encode(verdict)).decode()


def of_kind(verdict: Audit, kind: str) -> list[AuditFinding]:
    return [finding for finding in verdict.findings if finding.kind == kind]


def the_nth(lines: list[Said], n: int, is_one: Callable[[Said], bool]) -> int:
    return [index for index, line in enumerate(lines) if is_one(line)][n]


def decides(kind: type[do.Command]) -> Callable[[Said], bool]:
    return lambda line: any(isinstance(decided, kind) for decided in came_and_decided(line)[1])


def comes(came: on.Input) -> Callable[[Said], bool]:
    """An input that is this one but for its time."""

    def is_one(line: Said) -> bool:
        here = came_and_decided(line)[0]
        return here is not None and msgspec.structs.replace(here, at_us=0) == came

    return is_one


def record_two(root: Path) -> Bench:
    """Two recordings with pre-event pictures and sound, the first with a private pause and a mute."""
    bench = make_bench(root, agency=AGENCY, pre_event_s=2, post_event_s=1)
    device = VirtualDevice(bench)
    device.boot()
    device.run(3)
    device.double()
    device.run(2)
    device.double("function")
    device.run(4)
    device.double()
    device.run(2)
    device.hold("function")
    device.run(3)
    device.confirmed_stop()
    device.until_idle()
    device.run(3)
    device.record(2)
    device.stop()
    verdict = audited(bench)
    assert verdict.exit_status == EXIT_INTACT, said(verdict)
    return bench


def scribed(tmp_path: Path) -> tuple[Bench, Scribe]:
    bench = make_bench(tmp_path / "bench", agency=AGENCY)
    return bench, Scribe(bench, segments=False)


def decoded(folder: Path) -> list[LedgerRecord]:
    return [records.decode_ledger(open_line(line).payload) for line in lines_of(folder / layout.LEDGER)]


def opened_of(folder: Path) -> RecordingOpened:
    opened = decoded(folder)[0]
    assert isinstance(opened, RecordingOpened)
    return opened


def reopened(bench: Bench, folder: Path, **fields: object) -> None:
    """Another first line of a ledger."""
    signer = device_signer(bench)
    edit_lines(folder / layout.LEDGER, lambda lines: [changed(lines[0], signer, **fields), *lines[1:]])
    lie(bench, lambda lines: lines)


def respanned(bench: Bench, folder: Path, change: Callable[[Segment], Segment]) -> None:
    """A ledger whose segments say something else of themselves."""

    def edit(line: bytes) -> bytes:
        record = records.decode_ledger(open_line(line).payload)
        if not isinstance(record, Segments):
            return line
        return changed(line, device_signer(bench), segments=tuple(map(change, record.segments)))

    edit_lines(folder / layout.LEDGER, lambda lines: [edit(line) for line in lines])
    lie(bench, lambda lines: lines)


def rewritten(bench: Bench, folder: Path, lines: list[bytes]) -> None:
    """Another ledger; the journal's word on its end follows."""
    write_lines(folder / layout.LEDGER, lines)

    def follow(journal: Lines) -> Lines:
        kept = []
        for line in journal:
            record = line.record
            if isinstance(record, RecordingHead) and record.recording == folder.name:
                continue
            if isinstance(record, RecordingEnded) and record.recording == folder.name:
                line.record = msgspec.structs.replace(
                    record, head=msgspec.structs.replace(record.head, seq=len(lines) - 1)
                )
            kept.append(line)
        return kept

    lie(bench, follow)


def forgotten(bench: Bench, folder: Path, edit: Callable[[Lines], Lines] = lambda lines: lines) -> None:
    """A recording taken away, with what the journal held of its ledger."""
    shutil.rmtree(folder)
    lie(
        bench,
        lambda ls: edit([x for x in ls if not (isinstance(x.record, HEADS) and x.record.recording == folder.name)]),
    )


def tells(bench: Bench, *words: str, status: int = EXIT_ALTERED) -> None:
    """The audit has this status, and a finding of that status for each of these words."""
    verdict = audited(bench)
    assert verdict.exit_status == status, said(verdict)
    found = [finding.what for finding in verdict.findings if finding.exit_status == status]
    for word in words:
        assert any(word in what for what in found), said(verdict)

"""What a scenario's device left on its card, as plain facts: the records of journal and ledgers, opened with the auditor's key of
the demo agency, and the verdicts of `verify` and `audit`."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from device.errors import EvidenceError
from device.evidence import layout
from device.evidence.audit import audit
from device.evidence.identity import load_anchors, load_certificate, p256_key
from device.evidence.journal import read_epoch
from device.evidence.judgements import Audit
from device.evidence.opening import Identity, check_plaintext
from device.evidence.records import RecordingOpened, Segment, Step
from device.evidence.recovery import read_ledger
from device.evidence.steps import whole_step
from device.evidence.unsealing import ContextIdentity
from device.evidence.verdicts import CardVerdict, Finding
from device.evidence.verify import Opener, Progressing, verify
from hw_sim.agency import Bench
from hw_sim.scenario import SEALED

Facts = dict[str, Any]
Told = tuple[int, Facts]
"""When, in boot µs, and what."""


class Written(msgspec.Struct):
    """Each in its order. `openings`: the private facts of each recording's first line, by its name."""

    inputs: list[Told] = []
    decisions: list[Told] = []
    journal: list[Told] = []
    ledger: list[Told] = []
    openings: dict[str, Facts] = {}


class Judged(msgspec.Struct, frozen=True):
    written: Written
    verdict: CardVerdict
    audited: Audit


def read_card(bench: Bench) -> Judged:
    """Everything, read and opened."""
    anchors = load_anchors(bench.trust)
    footage = Identity(bench.footage_identity)

    def check(
        folder: Path, opened: RecordingOpened, segments: Iterable[Segment], progress: Progressing
    ) -> list[Finding]:
        return check_plaintext(folder, opened, segments, footage, progress)

    verdict = verify(bench.card, anchors, opener=Opener(check), jobs=1)
    audited = audit(bench.card, anchors, (), ContextIdentity(bench.context_identity))
    return Judged(_written(bench), verdict, audited)


def _written(bench: Bench) -> Written:
    key = p256_key(load_certificate((bench.root / "device" / "device.der").read_bytes()))
    identity = ContextIdentity(bench.context_identity)
    written = Written()
    for path in sorted((bench.card / layout.JOURNAL).iterdir()):
        for line in read_epoch(path.read_bytes(), path.stem, key, None).lines:
            if isinstance(line.record, Step):
                _take_step(written, line.record, identity)
            written.journal.append((line.record.boot_us, _facts(line.record, identity)))
    for folder in sorted((bench.card / layout.EVIDENCE).iterdir()):
        path = folder / layout.LEDGER
        for entry in read_ledger(path.read_bytes() if path.exists() else b"", folder.name, key).lines:
            facts = _facts(entry.record, identity)
            written.ledger.append((entry.record.boot_us, facts))
            if isinstance(entry.record, RecordingOpened):
                written.openings[folder.name] = facts.get(SEALED, {})
    return written


def _take_step(written: Written, step: Step, identity: ContextIdentity) -> None:
    came, decisions = whole_step(step, identity.facts(step.context) if step.context is not None else None)
    if came is not None:
        written.inputs.append((step.effective_us, msgspec.to_builtins(came)))
    written.decisions += [(decision.at_us, msgspec.to_builtins(decision)) for decision in decisions]


def _facts(record: msgspec.Struct, identity: ContextIdentity) -> Facts:
    facts: Facts = msgspec.to_builtins(record)
    context = getattr(record, "context", None)
    if context is not None:
        try:
            facts[SEALED] = identity.facts(context)
        except EvidenceError as failure:
            facts[SEALED] = {"why-not": str(failure)}
    return facts

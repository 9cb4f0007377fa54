"""Did the device follow its policy? The journal is checked, replayed, and held against the recordings.

Needs the card, the agency's anchor, the policies under it, and the auditor's key, which opens names and places and no
footage. Someone who holds the device's key can sign any journal; what contradicts the policy is still found, since the
policy is the agency's, and the machine is this release's own. Nothing found on a card raises.
"""

from pathlib import Path

import msgspec
from cryptography import x509

from device.errors import EvidenceError, UsageError
from device.evidence import layout
from device.evidence.bundle import Bundle
from device.evidence.causes import Causes, decisions_in_words, out_of_service, without_an_end
from device.evidence.dating import dating
from device.evidence.deeds import Activations
from device.evidence.documents import read_identities
from device.evidence.history import read_history
from device.evidence.judgements import VERDICTS, Audit, AuditFinding, Kind, StepJudged, worst_of
from device.evidence.kept_receipts import read_kept
from device.evidence.matching import Sources, match
from device.evidence.policies import policies_on
from device.evidence.reading import names_in
from device.evidence.replay import Advancing, Era, Taken, Watcher, replay, unseen, utc_at
from device.evidence.revocation import NONE_REVOKED, Revocations
from device.evidence.runs import Order
from device.evidence.spans import WhatIsHeld
from device.evidence.unsealing import ContextIdentity
from device.evidence.verdicts import Finding, printable
from device.evidence.verify import is_card, of_revocation
from device.policy import commands as do
from device.policy.state import Commands, State
from device.policy.wording import command_words, deadline_words, input_words


def audit(
    card: Path,
    anchors: tuple[x509.Certificate, ...],
    bundles: tuple[Bundle, ...],
    identity: ContextIdentity,
    *,
    revoked: Revocations = NONE_REVOKED,
    every_step: bool = False,
    watchers: tuple[Watcher, ...] = (),
    advance: Advancing = unseen,
) -> Audit:
    """Audit a card. `every_step`: keep each step that decided something, not only those that do not conform.

    `UsageError` when there is no card, and when the identity opens nothing on it.
    """
    if not is_card(card):
        raise UsageError(
            f"{printable(str(card))}: not a card (a folder with {layout.EVIDENCE}/ and {layout.JOURNAL}/); give one"
        )
    where = card.resolve()
    findings: list[AuditFinding] = []
    names = _recordings(where, findings)
    identities = read_identities(where)
    history = read_history(where, identities, anchors, revoked)
    dated = dating(history, read_kept(where, anchors, revoked), anchors, revoked)
    taken_back = of_revocation(history, identities, dated, revoked)
    judge, causes, activations = _Judge(every_step=every_step), Causes(), Activations()
    held = WhatIsHeld()
    policies = policies_on(where, anchors, bundles)
    order = Order(where, history, policies, anchors)
    replayed = replay(history, policies, identity, (judge, causes, activations, held, *watchers), advance)
    matched = match(Sources(where, identities, history, replayed, activations, held, identity), names)
    findings += map(_of_verify, (*history.findings, *taken_back, *order.of_documents))
    findings += [*order.findings, *replayed.findings, *judge.findings, *activations.findings, *matched.findings]
    findings += without_an_end(history, replayed.runs)
    if history.recorded:
        findings += map(_of_verify, identities.damaged)
    if not history.present:
        what = "there is no journal that can be believed: nothing can be audited"
        findings.append(AuditFinding(kind="extent", place=layout.JOURNAL, what=what))
    status = worst_of(findings)
    return Audit(
        path=str(card),
        verdict=VERDICTS[status],
        exit_status=status,
        devices=tuple(dict.fromkeys(epoch.boot.device for epoch in history.epochs)),
        epochs=len(history.epochs),
        epochs_audited=replayed.epochs,
        steps=judge.steps,
        steps_conforming=judge.steps - len(judge.not_conforming),
        findings=tuple(findings),
        not_conforming=tuple(judge.not_conforming),
        judged=tuple(judge.judged),
        recordings_without_activation=tuple(matched.without_activation),
        activations_without_recording=tuple(matched.without_recording),
        out_of_service=tuple(out_of_service(history, replayed.runs)),
        device_faults=tuple(causes.device_faults),
        policy_refusals=tuple(causes.policy_refusals),
        wearer_inaction=tuple(causes.wearer_inaction),
    )


class _Judge:
    """Every step that decided something, or that should have: conforming or not."""

    def __init__(self, *, every_step: bool) -> None:
        self.steps = 0
        self.judged: list[StepJudged] = []
        self.not_conforming: list[StepJudged] = []
        self._every_step = every_step

    @property
    def findings(self) -> list[AuditFinding]:
        return [
            AuditFinding(kind="step", place=f"{layout.epoch_file(j.epoch)}, line {j.seq}", what=_said(j), utc=j.utc)
            for j in self.not_conforming
        ]

    def began(self, era: Era, state: State) -> None: ...

    def took(self, taken: Taken) -> None:
        if not (taken.recorded or taken.expected or taken.problem):
            return
        self.steps += 1
        if taken.problem:
            self.not_conforming.append(judged(taken))
        if self._every_step:
            self.judged.append(judged(taken))

    def ended(self, era: Era, state: State) -> None: ...


def judged(taken: Taken) -> StepJudged:
    """A step in words, with its clauses; of one that does not conform, only the decisions that differ."""
    expected, recorded = _differing(taken)
    decided = taken.recorded if not taken.problem else (*expected, *recorded)
    alike = {command_words(command) for command in expected} & {command_words(command) for command in recorded}

    def words(command: do.Command) -> str:
        said = command_words(command)
        return f"{said} {msgspec.json.encode(command).decode()}" if said in alike else said

    return StepJudged(
        epoch=taken.era.name,
        seq=taken.record.seq,
        utc=utc_at(taken.record, taken.record.effective_us),
        clock_set=taken.record.clock.synchronised,
        at_us=taken.record.effective_us,
        happened=_happened(taken),
        conforms=not taken.problem,
        decisions=tuple(said for _, said in decisions_in_words(taken, decided)),
        problem=taken.problem,
        expected=tuple(map(words, expected)),
        recorded=tuple(map(words, recorded)),
    )


def _happened(taken: Taken) -> str:
    """The input, or the deadline that fired alone."""
    if taken.came is None and not taken.sealed:
        return deadline_words(taken.before, taken.era.policy)
    return input_words(taken.came)


def _differing(taken: Taken) -> tuple[Commands, Commands]:
    """The decisions that only the policy gives, and those that only the record has; all of both when just their order
    differs. A step that can't be opened has no decisions to compare."""
    if not taken.problem or taken.expected == taken.recorded or taken.sealed:
        return (), ()
    expected = tuple(command for command in taken.expected if command not in taken.recorded)
    recorded = tuple(command for command in taken.recorded if command not in taken.expected)
    return (expected, recorded) if expected or recorded else (taken.expected, taken.recorded)


def _said(step: StepJudged) -> str:
    """A step that does not conform, in one line."""
    said = f"{step.problem}, when {step.happened}"
    if step.expected or step.recorded:
        expected, recorded = "; ".join(step.expected) or "nothing", "; ".join(step.recorded) or "nothing"
        said += f". Expected: {expected}. Recorded: {recorded}"
    clauses = dict.fromkeys(f"{decided.clause} ({decided.source})" for decided in step.decisions)
    return f"{said}. Clauses: {'; '.join(clauses)}" if clauses else said


def _recordings(card: Path, findings: list[AuditFinding]) -> list[str]:
    """The recordings' folders, listed before the journal is read: a card that is being written can only grow."""
    try:
        names = names_in(card / layout.EVIDENCE)
    except EvidenceError as failure:
        findings.append(AuditFinding(kind="content", place=layout.EVIDENCE, what=str(failure)))
        return []
    return [name for name in names if layout.recording_counter(name) is not None]


def _of_verify(finding: Finding) -> AuditFinding:
    """What `verify` too would say of the journal."""
    kinds: dict[str, Kind] = {"content": "content", "signer": "signer", "extent": "extent"}
    kind = kinds.get(finding.question, "note")
    return AuditFinding(kind=kind, place=finding.place, what=finding.what, utc=finding.utc or "")

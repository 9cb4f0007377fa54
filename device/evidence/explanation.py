"""One recording, step by step: what happened, what was decided, and by which clause. A watcher of the audit's replay.

The steps of a recording are its start with the refusals right before it, everything while it was open, and what was said
of it afterwards: the reason of its stop, and the recorder's word that it is closed.
"""

from pathlib import Path

import msgspec
from cryptography import x509

from device.errors import EvidenceError, UsageError
from device.evidence import layout
from device.evidence.audit import audit, judged
from device.evidence.begun import first_line
from device.evidence.bundle import Bundle
from device.evidence.judgements import AuditFinding, StepJudged
from device.evidence.records import PolicyName, RecordingOpened
from device.evidence.replay import Advancing, Era, Taken, unseen
from device.evidence.revocation import NONE_REVOKED, Revocations
from device.evidence.unsealing import ContextIdentity
from device.evidence.verdicts import EXIT_EXTENT, EXIT_INTACT, Shown, printable
from device.evidence.verify import is_recording
from device.policy import commands as do
from device.policy.inputs import RecorderClosed
from device.policy.state import State, Wearer

MOST_REFUSALS = 10
REFUSED_BEFORE_US = 120_000_000
"""Refusals right before a start that an explanation repeats: at most so many, so long before it."""


class ExplainedStep(Shown, frozen=True, kw_only=True):
    """A step; `offset_s`: seconds from the start, negative before it."""

    offset_s: float
    step: StepJudged


class Explanation(Shown, frozen=True, kw_only=True):
    """`number`: what its run calls this recording, as the steps do; 0 where `steps` is empty, since the journal has no
    activation of it. `exit_status` is the audit's, which also
    reads the rest of the journal; that the journal's own end is unproven does not bear on it."""

    recording: str
    number: int
    device: str
    opened_utc: str
    policy: PolicyName
    trigger: str
    steps: tuple[ExplainedStep, ...]
    findings: tuple[AuditFinding, ...]
    verdict: str
    exit_status: int


def explain(
    folder: Path,
    anchors: tuple[x509.Certificate, ...],
    bundles: tuple[Bundle, ...],
    identity: ContextIdentity,
    advance: Advancing = unseen,
    revoked: Revocations = NONE_REVOKED,
) -> Explanation:
    """Explain a recording by its folder on a card. `UsageError` when it is none, or nothing tells when it began."""
    if not is_recording(folder):
        raise UsageError(
            f"{printable(str(folder))}: not a recording's folder; give one of those in a card's {layout.EVIDENCE} folder"
        )
    where = folder.resolve()
    opened = _opened(where)
    story = _Story(opened)
    audited = audit(
        where.parent.parent, anchors, bundles, identity, revoked=revoked, watchers=(story,), advance=advance
    )
    place = layout.recording_folder(where.name)
    lines = {(taken.epoch, taken.seq) for taken in story.steps}
    told = {f"{layout.epoch_file(epoch)}, line {seq}" for epoch, seq in lines}
    findings = tuple(f for f in audited.findings if f.place.startswith(place) or f.place in told)
    bad = [f for f in audited.findings if f.exit_status not in (EXIT_INTACT, EXIT_EXTENT)]
    others = len([f for f in bad if f not in findings])
    status = EXIT_INTACT if audited.exit_status == EXIT_EXTENT else audited.exit_status
    return Explanation(
        recording=where.name,
        number=story.number,
        device=opened.device,
        opened_utc=opened.utc,
        policy=opened.policy,
        trigger=opened.trigger,
        steps=tuple(
            ExplainedStep(offset_s=(taken.at_us - opened.trigger_us) / 1e6, step=taken) for taken in story.steps
        ),
        findings=findings,
        verdict=_verdict(status, others, audited.verdict),
        exit_status=status,
    )


def _verdict(status: int, others: int, said: str) -> str:
    if status == EXIT_INTACT:
        return "conforming"
    return f"{said} ({others} more findings on this card: see `bodycam audit`)" if others > 0 else said


def _opened(folder: Path) -> RecordingOpened:
    """The first line of a ledger, to know which recording it is; whether it can be believed is the audit's to say."""
    try:
        return first_line(folder)
    except EvidenceError as failure:
        raise UsageError(f"{folder.name}: its first line can't be read: {failure}; see `bodycam audit`") from failure


class _Told(msgspec.Struct):
    """A start that may be the one: `epochs` are the journal files of its run since."""

    number: int
    steps: list[StepJudged]
    epochs: set[str]
    over: bool = False


class _Story:
    """The watcher. More than one start may be at the same boot time, in different runs: the ledger names a journal
    file of the right one."""

    def __init__(self, opened: RecordingOpened) -> None:
        self._opened = opened
        self._run = -1
        self._epochs: set[str] = set()
        self._refused: list[tuple[Wearer, StepJudged]] = []
        self._current: _Told | None = None
        self._all: list[_Told] = []

    @property
    def steps(self) -> list[StepJudged]:
        return [] if self._told is None else self._told.steps

    @property
    def number(self) -> int:
        return 0 if self._told is None else self._told.number

    @property
    def _told(self) -> _Told | None:
        journal = self._opened.journal.stream
        return next((told for told in self._all if journal in told.epochs), None)

    def began(self, era: Era, state: State) -> None:  # noqa: ARG002
        if era.run != self._run:
            self._run, self._epochs, self._refused, self._current = era.run, set(), [], None
        self._epochs.add(era.name)

    def took(self, taken: Taken) -> None:
        starts = next((command for command in taken.recorded if isinstance(command, do.Open)), None)
        if starts is not None and starts.at_us == self._opened.trigger_us:
            self._current = _Told(starts.recording, [*self._right_before(taken), judged(taken)], self._epochs)
            self._all.append(self._current)
        elif self._current is not None and _concerns(taken, self._current):
            self._current.steps.append(judged(taken))
        if any(isinstance(command, do.Refuse) for command in taken.recorded):
            self._refused = [*self._refused, (taken.after.wearer, judged(taken))][-MOST_REFUSALS:]
        if starts is not None:
            self._refused = []
        if self._current is not None and _ends(taken, self._current.number):
            self._current.over = True

    def ended(self, era: Era, state: State) -> None: ...

    def _right_before(self, start: Taken) -> list[StepJudged]:
        """The refusals that a start may have followed: of the same wearer, and not long before."""
        since_us, wearer = start.record.effective_us - REFUSED_BEFORE_US, start.after.wearer
        return [refused for whose, refused in self._refused if whose == wearer and refused.at_us >= since_us]


def _ends(taken: Taken, recording: int) -> bool:
    """Whether a recording is over with this step, by a decision or because the recorder could not go on."""
    if isinstance(taken.came, RecorderClosed) and taken.came.recording == recording:
        return True
    return any(isinstance(command, do.Close) and command.recording == recording for command in taken.recorded)


def _concerns(taken: Taken, told: _Told) -> bool:
    """Whether a step belongs to a recording: any while it is open, and later only what is said of it."""
    if isinstance(taken.came, RecorderClosed) and taken.came.recording == told.number:
        return True
    if not taken.recorded and not taken.problem:
        return False
    if not told.over:
        return taken.after.recording == told.number
    explaining = taken.before.explaining
    asked = explaining is not None and explaining.recording == told.number
    return any(
        getattr(command, "recording", 0) == told.number or (asked and command.clause == "reasons")
        for command in taken.recorded
    )

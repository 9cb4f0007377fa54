"""The words of an audit: findings, steps with their clauses, and what the journal tells of device, policy and wearer.

All of it becomes JSON as it is. No I/O and no judgement but of the exit status.
"""

from typing import Literal

from device.evidence.verdicts import (
    EXIT_ALTERED,
    EXIT_EXTENT,
    EXIT_INTACT,
    EXIT_NOT_TRUSTED,
    EXIT_WRONG_KEY,
    Shown,
)

EXIT_NO_POLICY = EXIT_WRONG_KEY
"""2: something that the person who asks must give is missing."""
CANNOT_SEE = (
    "An input that was never recorded cannot be seen: the audit proves that every recorded input was answered as the "
    "policy says, not that every press, trigger or zone was recorded."
)
SEGMENTS_NOT_READ = "Pictures and sound were neither opened nor read: `bodycam verify` checks their bytes."
VERDICTS = {
    EXIT_INTACT: "conforming",
    EXIT_ALTERED: "DOES NOT CONFORM",
    EXIT_NO_POLICY: "not audited in full: a policy or a key is missing",
    EXIT_NOT_TRUSTED: "signer not trusted",
    EXIT_EXTENT: "conforming; extent unproven",
}
_ORDER = (EXIT_ALTERED, EXIT_NOT_TRUSTED, EXIT_NO_POLICY, EXIT_EXTENT)

Kind = Literal["content", "signer", "extent", "note", "machine", "policy", "key", "state", "step", "recording"]
"""What a finding bears on. `content`, `signer`, `extent`, `note`: as `verify` says them. `machine`: decided by a machine
that this audit does not know. `policy`: a policy that is not at hand. `key`: sealed for others, as the policy says. `state`: a boot, or a change of the policy, does
not begin or end where it must, or its lines are out of order. `step`: a decision that the policy does not give. `recording`: a ledger that does not fit the
decisions."""
_EXITS: dict[Kind, int] = {
    "content": EXIT_ALTERED,
    "signer": EXIT_NOT_TRUSTED,
    "extent": EXIT_EXTENT,
    "note": EXIT_INTACT,
    "machine": EXIT_ALTERED,
    "policy": EXIT_NO_POLICY,
    "key": EXIT_NO_POLICY,
    "state": EXIT_ALTERED,
    "step": EXIT_ALTERED,
    "recording": EXIT_ALTERED,
}


class AuditFinding(Shown, frozen=True, kw_only=True):
    """One thing that is not as it should be, or that a reader should know. `utc`: its label, "" where it has none."""

    kind: Kind
    place: str
    what: str
    utc: str = ""

    @property
    def exit_status(self) -> int:
        return _EXITS[self.kind]


def worst_of(findings: list[AuditFinding]) -> int:
    """The exit status that stands for several findings."""
    statuses = {finding.exit_status for finding in findings}
    return next((status for status in _ORDER if status in statuses), EXIT_INTACT)


class Decision(Shown, frozen=True, kw_only=True):
    """One decision in words, and the clause that it rests on: table and keys as the policy spells them, and source."""

    what: str
    clause: str
    source: str


class StepJudged(Shown, frozen=True, kw_only=True):
    """One step of the machine. `utc` is the device's label, as good as its clock (`clock_set`); `at_us` its effective
    boot time. `problem`: why it does not conform; then `expected` is what the policy gives, and `recorded` what is
    there."""

    epoch: str
    seq: int
    utc: str
    clock_set: bool
    at_us: int
    happened: str
    conforms: bool
    decisions: tuple[Decision, ...]
    problem: str = ""
    expected: tuple[str, ...] = ()
    recorded: tuple[str, ...] = ()


class Told(Shown, frozen=True, kw_only=True):
    """Something that the journal tells, at a place of it. `until_utc`: when it ended, "" where it did not or has no
    length; `seconds`: how long, by the boot clock where it can tell, else by the labels; None where neither can."""

    place: str
    utc: str
    clock_set: bool
    what: str
    clause: str = ""
    source: str = ""
    until_utc: str = ""
    seconds: float | None = None


class Audit(Shown, frozen=True, kw_only=True):
    """Everything that `bodycam audit` says of a card. The lists of device, policy and wearer are apart (R27)."""

    path: str
    verdict: str
    exit_status: int
    devices: tuple[str, ...]
    epochs: int
    epochs_audited: int
    steps: int
    steps_conforming: int
    findings: tuple[AuditFinding, ...]
    not_conforming: tuple[StepJudged, ...]
    judged: tuple[StepJudged, ...]
    recordings_without_activation: tuple[str, ...]
    activations_without_recording: tuple[Told, ...]
    out_of_service: tuple[Told, ...]
    device_faults: tuple[Told, ...]
    policy_refusals: tuple[Told, ...]
    wearer_inaction: tuple[Told, ...]
    cannot_see: str = CANNOT_SEE
    not_read: str = SEGMENTS_NOT_READ

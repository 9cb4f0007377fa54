"""Every recorded input through the policy machine once more, with the policy that was in force (E10).

A card's history is replayed boot by boot. Whoever wants to know what happened is a watcher: the audit, a report, an
explanation. What was recorded is never trusted: after a step that does not conform, the replay goes on with its own
state. Nothing found on a card raises.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Protocol

import msgspec

from device.errors import EvidenceError
from device.evidence import layout
from device.evidence.history import Epoch, History
from device.evidence.identity import parse_utc
from device.evidence.judgements import AuditFinding, Kind
from device.evidence.policies import Policies
from device.evidence.records import Boot, Record, Step
from device.evidence.steps import PRIVATE_WORDS, public_step, whole_step
from device.evidence.unsealing import ContextIdentity
from device.policy.inputs import Input, Tick
from device.policy.machine import MACHINE_VERSION, next_deadline_us, step
from device.policy.model import Policy
from device.policy.state import Commands, State, at_rest, initial_state, under

Advancing = Callable[[int, int], None]
"""Called with how many lines are done, and of how many."""


def unseen(done: int, of: int) -> None:
    """Nobody wants to know how far it is."""


class Era(msgspec.Struct, frozen=True):
    """A journal file that is replayed: its policy, and `run`, which counts the starts of a daemon on this card."""

    epoch: Epoch
    run: int
    policy: Policy

    @property
    def name(self) -> str:
        return self.epoch.name


class Taken(msgspec.Struct, frozen=True):
    """One step: its line, input and decisions as recorded, and what the replay gives. `problem`: why these differ.
    `sealed`: it could not be opened, so that input and decisions are only what its line says in public."""

    era: Era
    record: Step
    came: Input | None
    recorded: Commands
    before: State
    after: State
    expected: Commands
    problem: str
    sealed: bool

    @property
    def place(self) -> str:
        return place_of(self.era.epoch, self.record)


class Watcher(Protocol):
    """What a replay tells, in the order of the journal."""

    def began(self, era: Era, state: State) -> None: ...

    def took(self, taken: Taken) -> None: ...

    def ended(self, era: Era, state: State) -> None: ...


class Replayed(msgspec.Struct):
    """What came of it. `runs`: of every journal file, the run that it belongs to."""

    findings: list[AuditFinding] = msgspec.field(default_factory=list)
    runs: dict[str, int] = msgspec.field(default_factory=dict)
    epochs: int = 0


def replay(
    history: History,
    policies: Policies,
    identity: ContextIdentity,
    watchers: tuple[Watcher, ...],
    advance: Advancing = unseen,
) -> Replayed:
    """Replay a card's whole history; `UsageError` when the identity opens nothing of it."""
    replayer = _Replayer(policies, identity, watchers)
    total, done = sum(len(epoch.lines) for epoch in history.epochs), 0
    for epoch in history.epochs:
        replayer.begin(epoch)
        for line in epoch.lines:
            if isinstance(line.record, Step):
                replayer.take(line.record)
            done += 1
            advance(done, total)
        replayer.end()
    identity.check()
    return replayer.result


def place_of(epoch: Epoch, record: Record) -> str:
    """A line of the journal, as findings name it."""
    return f"{layout.epoch_file(epoch.name)}, line {record.seq}"


class _Replayer:
    """`_state` is the machine's, None while it is not known; `_era` None while an epoch can't be replayed."""

    def __init__(self, policies: Policies, identity: ContextIdentity, watchers: tuple[Watcher, ...]) -> None:
        self.result = Replayed()
        self._policies = policies
        self._identity = identity
        self._watchers = watchers
        self._run = -1
        self._before: Epoch | None = None
        self._epoch: Epoch
        self._era: Era | None = None
        self._state: State | None = None

    def _find(self, kind: Kind, what: str, record: Record | None = None) -> None:
        record = record or self._epoch.boot
        finding = AuditFinding(kind=kind, place=place_of(self._epoch, record), what=what, utc=record.utc)
        self.result.findings.append(finding)

    # -- an epoch ---------------------------------------------------------------------------------------------------

    def begin(self, epoch: Epoch) -> None:
        self._epoch, boot = epoch, epoch.boot
        anew = boot.reason == "start" or self._before is None or self._before.chain != epoch.chain
        if anew:
            self._run += 1
            self._state = None
        self.result.runs[epoch.name] = self._run
        self._check_policy_order(boot)
        self._era = self._era_of(epoch)
        if self._era is None:
            self._state = None
        else:
            self._state = self._first_state(boot, self._era.policy)
        self._before = epoch
        if self._era is not None and self._state is not None:
            self.result.epochs += 1
            for watcher in self._watchers:
                watcher.began(self._era, self._state)

    def end(self) -> None:
        if self._era is not None and self._state is not None:
            for watcher in self._watchers:
                watcher.ended(self._era, self._state)

    def _era_of(self, epoch: Epoch) -> Era | None:
        """What is needed to replay an epoch, if it is at hand. One in which nothing was decided needs nothing."""
        boot = epoch.boot
        decides = any(isinstance(line.record, Step) for line in epoch.lines)
        if boot.software.machine != MACHINE_VERSION:
            what = (
                f"not audited: {boot.software.machine} decided here, and this release knows {MACHINE_VERSION}; "
                "audit with the release that knows it"
            )
            self._find("machine", what)
            return None
        bundle = self._policies.find(boot.policy)
        if bundle is None:
            if decides:
                self._find("policy", f"not audited: {self._policies.why_missing(boot.policy)}")
            return None
        sealed_for = bundle.policy.recipients.context
        if sealed_for and not self._identity.is_one_of(sealed_for):
            what = (
                f"not audited: {boot.policy.id} {boot.policy.version} has names and places sealed for other recipients; "
                "give the --context-identity of one of those that it names"
            )
            self._find("key", what)
            return None
        return Era(epoch, self._run, bundle.policy)

    def _check_policy_order(self, boot: Boot) -> None:
        """A policy changes only where the journal says so, and only to a newer one."""
        before = self._before
        if before is None or before.chain != self._epoch.chain:
            return
        was, is_now = before.boot.policy, boot.policy
        if boot.reason == "write-failed" and is_now != was:
            self._find("state", f"the policy changed from {was.id} {was.version} without a record of the change")
        elif boot.reason == "policy-changed" and is_now.version <= was.version:
            self._find(
                "state", f"the policy changed from version {was.version} to {is_now.version}, which is not newer"
            )
        elif is_now.version < was.version:
            self._find("note", f"an older policy than before: version {is_now.version} after {was.version}")

    def _first_state(self, boot: Boot, policy: Policy) -> State | None:
        said = self._said_state(boot)
        if boot.reason == "start":
            state = initial_state(policy, _time(said, boot))
            if said is not None and said != state:
                self._find("state", f"it begins in another state than a start does: {_changes(state, said)}")
            return state
        if boot.reason == "policy-changed":
            return self._changed_state(said, policy)
        if boot.reason != "write-failed" or self._state is None:
            self._find("state", f"not audited: in what state it begins is not known ({boot.reason})")
            return None
        if self._before is not None and boot.context != self._before.boot.context:
            self._find("state", "after a failed write it says another beginning than before it")
        return self._state

    def _changed_state(self, said: State | None, policy: Policy) -> State | None:
        """Where a changed policy begins: nothing may be open, and what was known must still hold."""
        known = self._state
        if known is None:
            if said is None or said.zone not in policy.zones or not at_rest(said) or under(said, policy) != said:
                self._find("state", "not audited: in what state the new policy begins is not known")
                return None
            return said
        known = _silently(known, self._old_policy(policy), _time(said, self._epoch.boot))
        if not at_rest(known):
            self._find("state", "the policy changed while something was open or asked for")
            return initial_state(policy, known.now_us)
        state = under(known, policy)
        if said is not None and said != state:
            self._find("state", f"the new policy begins in another state than it must: {_changes(state, said)}")
        return state

    def _old_policy(self, policy: Policy) -> Policy:
        bundle = None if self._before is None else self._policies.find(self._before.boot.policy)
        return policy if bundle is None else bundle.policy

    def _said_state(self, boot: Boot) -> State | None:
        """The state that a boot's record seals; None, and a finding, when it can't be had."""
        if boot.context is None:
            self._find("state", "it does not say in what state it begins")
            return None
        try:
            return msgspec.json.decode(str(self._identity.facts(boot.context).get("state")), type=State)
        except (EvidenceError, msgspec.MsgspecError, ValueError, RecursionError) as failure:
            self._find("state", f"in what state it begins can't be read: {failure}")
            return None

    # -- a step -----------------------------------------------------------------------------------------------------

    def take(self, record: Step) -> None:
        era, state = self._era, self._state
        if era is None or state is None:
            return
        came, recorded, problem = self._whole(record)
        sealed = bool(problem)
        at_us = record.effective_us
        known = Tick(at_us=at_us) if came is None else came
        if at_us > max(known.at_us, state.now_us):
            state = _silently(state, era.policy, at_us)
        after, expected = step(state, known, era.policy)
        if not problem:
            problem = _difference(record, after, expected, recorded)
        self._state = after
        taken = Taken(era, record, came, recorded, state, after, expected, problem, sealed)
        for watcher in self._watchers:
            watcher.took(taken)

    def _whole(self, record: Step) -> tuple[Input | None, Commands, str]:
        """Input and decisions as they were; where they can't be opened, what is public of them, and why."""
        try:
            facts = None if record.context is None else self._identity.facts(record.context)
            came, recorded = whole_step(record, facts)
        except (EvidenceError, msgspec.MsgspecError, ValueError, RecursionError) as failure:
            came = record.input
            if came is not None and any(hasattr(came, word) for word in PRIVATE_WORDS):
                came = None
            return came, record.decisions, f"it can't be judged: {failure}"
        return came, recorded, ""


def utc_at(record: Record, at_us: int) -> str:
    """The wall time of a boot time near a record, by that record's own label."""
    labelled = parse_utc(record.utc)
    assert labelled is not None, "a record whose label names no moment is not read"
    try:
        moment = labelled + timedelta(microseconds=at_us - record.boot_us)
    except OverflowError:
        return record.utc
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _silently(state: State, policy: Policy, at_us: int) -> State:
    """Time alone is not journaled where it decides nothing: the state in which such a deadline leaves the machine."""
    due_us = next_deadline_us(state, policy)
    if due_us is None or due_us > at_us:
        return state
    later, decided = step(state, Tick(at_us=at_us), policy)
    return state if decided else later


def _time(said: State | None, boot: Boot) -> int:
    """When a boot's state is of: never after its record was written."""
    return 0 if said is None or not 0 <= said.now_us <= boot.boot_us else said.now_us


def _difference(record: Step, after: State, expected: Commands, recorded: Commands) -> str:
    if recorded != expected:
        return "the policy gives other decisions than those recorded"
    if after.now_us != record.effective_us:
        return f"it took effect at {after.now_us} µs; the record says {record.effective_us} µs"
    _, private = public_step(record.input, record.effective_us, expected)
    if record.context is None and private is not None:
        return "it says in public what must be sealed"
    return ""


def _changes(is_right: State, said: State) -> str:
    """The parts of a state that are not as they must be."""
    names = [name for name in State.__struct_fields__ if getattr(is_right, name) != getattr(said, name)]
    return ", ".join(names)

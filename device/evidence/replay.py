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
from device.evidence.journal import SELF_TEST
from device.evidence.judgements import AuditFinding, Kind
from device.evidence.policies import Policies
from device.evidence.records import Boot, Record, RecordingBegun, SealedContext, Step, Stopped
from device.evidence.runs import CLEAN, untrusted
from device.evidence.steps import PRIVATE_WORDS, public_step, whole_step
from device.evidence.unsealing import ContextIdentity, SealedFor
from device.policy.inputs import Input, Tick
from device.policy.machine import MACHINE_VERSION, next_deadline_us, step
from device.policy.model import Policy
from device.policy.state import Commands, State, at_rest, initial_state, under

OVERDUE_US = 2_000_000
"""So long after a deadline, at most, its line is there."""
HELD_BACK_US = 60_000_000
"""So long, at most, a card that answers holds up what is to become durable."""

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
    """What came of it. `runs`: of every journal file, the run that it belongs to. `not_replayed`: of those that could not
    be replayed, the kind of what is missing."""

    findings: list[AuditFinding] = msgspec.field(default_factory=list)
    runs: dict[str, int] = msgspec.field(default_factory=dict)
    not_replayed: dict[str, Kind] = msgspec.field(default_factory=dict)
    sealed_for: SealedFor = msgspec.field(default_factory=SealedFor)
    epochs: int = 0


def replay(
    history: History,
    policies: Policies,
    identity: ContextIdentity,
    watchers: tuple[Watcher, ...],
    advance: Advancing = unseen,
) -> Replayed:
    """Replay a card's whole history; `UsageError` when the identity opens nothing of it."""
    replayer = _Replayer(policies, identity, watchers, untrusted(history))
    total, done = sum(len(epoch.lines) for epoch in history.epochs), 0
    for epoch in history.epochs:
        replayer.begin(epoch)
        for line in epoch.lines:
            if isinstance(line.record, Step):
                replayer.take(line.record)
            done += 1
            advance(done, total)
        replayer.end()
    replayer.run_over()
    identity.check()
    return replayer.result


def place_of(epoch: Epoch, record: Record) -> str:
    """A line of the journal, as findings name it."""
    return f"{layout.epoch_file(epoch.name)}, line {record.seq}"


class _Replayer:
    """`_state` is the machine's, None while it is not known; `_era` None while an epoch can't be replayed."""

    def __init__(
        self, policies: Policies, identity: ContextIdentity, watchers: tuple[Watcher, ...], untrusted: set[int]
    ) -> None:
        self.result = Replayed()
        self._untrusted = untrusted
        self._sealed_otherwise: set[str] = set()
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
        boot, before = epoch.boot, self._before
        same = before is not None and before.chain == epoch.chain and before.boot.boot == boot.boot
        if boot.reason in ("start", SELF_TEST) or not same:
            self.run_over()
            self._run += 1
            self._state = None
        self._epoch = epoch
        self.result.runs[epoch.name] = self._run
        self._era = None if boot.reason == SELF_TEST else self._era_of(epoch)
        if boot.reason == SELF_TEST:
            self._check_self_test(epoch)  # it decides and records nothing: there is nothing to replay
        elif self._era is None:
            self._state = None
        else:
            self._check_change(boot, same=same)
            self._state = self._first_state(boot, self._era.policy)
            if self._state is None:
                self.result.not_replayed[epoch.name] = "state"
        self._before = epoch
        if self._era is not None and self._state is not None:
            self.result.epochs += 1
            for watcher in self._watchers:
                watcher.began(self._era, self._state)

    def _check_self_test(self, epoch: Epoch) -> None:
        for record in (line.record for line in epoch.lines if isinstance(line.record, Step | RecordingBegun)):
            self._find("state", "a decision or a recording in a self-test", record)

    def end(self) -> None:
        """An epoch's last line. What says that it ended as asked needs a machine that has finished."""
        if self._era is None or self._state is None:
            return
        last = self._epoch.lines[-1].record
        if isinstance(last, Stopped) and last.reason == CLEAN and not self._state.finished:
            self._find("state", "it ends as if shutdown had been asked for and all were closed; that is not so", last)
        for watcher in self._watchers:
            watcher.ended(self._era, self._state)

    def run_over(self) -> None:
        """At the end of a run: what time alone had decided well before its last line must have its own. Of the lines that
        became durable together as the power went, the last may be lost; they were not held back for long."""
        if self._era is None or self._state is None:
            return
        lines = self._epoch.lines
        last = lines[-1].record
        durable = next((line.record for line in reversed(lines) if line.record.seq <= last.durable), None)
        if isinstance(last, Stopped):
            self._overdue(last, OVERDUE_US)
        elif durable is None or not self._overdue(durable, OVERDUE_US):
            self._overdue(last, HELD_BACK_US)

    def _overdue(self, line: Record, slack_us: int) -> bool:
        assert self._era is not None, "asked of what is replayed"
        assert self._state is not None, "asked of what is replayed"
        due_us = next_deadline_us(self._state, self._era.policy)
        if due_us is None or due_us + slack_us >= line.boot_us:
            return False
        if slack_us == HELD_BACK_US and "storage" in self._state.faults:
            return False
        _, decided = step(self._state, Tick(at_us=line.boot_us - slack_us), self._era.policy)
        if decided:
            self._find("state", f"what was due at {due_us} µs has no line, and the boot went on", line)
        return bool(decided)

    def _skip(self, kind: Kind, what: str) -> None:
        """This epoch can't be replayed; no recording that starts from it counts as audited."""
        self.result.not_replayed[self._epoch.name] = kind
        if what:
            self._find(kind, f"not audited: {what}")

    def _era_of(self, epoch: Epoch) -> Era | None:
        """What is needed to replay an epoch, if it is at hand."""
        boot = epoch.boot
        if epoch.chain in self._untrusted:
            self._skip("signer", "")
            return None
        if boot.software.machine != MACHINE_VERSION:
            what = f"{boot.software.machine} decided here, and this release knows {MACHINE_VERSION}"
            self._skip("machine", f"{what}; audit with the release that knows it")
            return None
        bundle = self._policies.find(boot.policy)
        if bundle is None:
            self._skip("policy", self._policies.why_missing(boot.policy))
            return None
        sealed_for = bundle.policy.recipients.context
        if sealed_for and not self._identity.is_one_of(sealed_for):
            what = f"{boot.policy.id} {boot.policy.version} has names and places sealed for other recipients"
            self._skip("key", f"{what}; give the --context-identity of one of those that it names")
            return None
        if not sealed_for and self._is_for_others(epoch):
            what = "names and places are sealed for other recipients throughout this epoch"
            self._skip("key", f"{what}; give the --context-identity of one whom the device's configuration names")
            return None
        return Era(epoch, self._run, bundle.policy)

    def _is_for_others(self, epoch: Epoch) -> bool:
        """Whether all that is sealed here is for others. The configuration of a device says for whom, and devices of one
        agency may have several auditors."""
        contexts = [getattr(line.record, "context", None) for line in epoch.lines]
        sealed = [context for context in contexts if context is not None]
        return bool(sealed) and all(self._identity.is_for_others(context) for context in sealed)

    def _check_change(self, boot: Boot, *, same: bool) -> None:
        """A policy changes only within a boot, where the journal says so, and only to a newer one."""
        before = self._before
        if boot.reason == "start":
            return
        if before is None or not same:
            self._find("state", f"it goes on ({boot.reason}) where no epoch of the same boot is before it")
            return
        was, is_now = before.boot.policy, boot.policy
        if boot.reason == "write-failed" and is_now != was:
            self._find("state", f"the policy changed from {was.id} {was.version} without a record of the change")
        elif boot.reason == "policy-changed" and is_now.version <= was.version:
            what = f"the policy changed from version {was.version} to {is_now.version}, which is not newer"
            self._find("state", what)

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
            if self._before is not None and self._before.name in self.result.not_replayed:
                kind = self.result.not_replayed[self._before.name]
                self._find(kind, "in what state it must begin is not known: the epoch before it was not audited")
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
        self._check_sealed(boot.context, boot)
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
        if record.context is not None:
            self._check_sealed(record.context, record)
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

    def _check_sealed(self, context: SealedContext, record: Record) -> None:
        """Once an epoch, what is sealed for more or for fewer than it should be."""
        assert self._era is not None, "only what is replayed is opened"
        why = self.result.sealed_for.why_not(self._run, self._era.policy, context)
        if why and self._epoch.name not in self._sealed_otherwise:
            self._sealed_otherwise.add(self._epoch.name)
            self._find("step", why, record)

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

"""The policy machine under any sequence of inputs, over every profile that is shipped and policies drawn at random.

`make policy-million` runs a million inputs; BODYCAM_INPUTS and BODYCAM_SEED say how many, and which.
"""

import itertools
import os
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device.evidence.steps import public_step
from device.policy import commands as do
from device.policy import inputs as on
from device.policy import machine, signals
from device.policy.machine import next_deadline_us, step, take_policy
from device.policy.model import Policy
from device.policy.recording import BY_DOUBLE_PRESS, BY_HOLD
from device.policy.state import (
    KEEPING,
    PAUSED,
    RESTING,
    Capture,
    Commands,
    Phase,
    State,
    at_rest,
    capture,
    initial_state,
)
from tests.policies import FIRST, PROFILES

EXAMPLES = 100
"""A property's share of about a second; raise it for a long search."""
INPUTS = int(os.environ.get("BODYCAM_INPUTS", "60000"))
SEED = int(os.environ.get("BODYCAM_SEED", "1"))
EPISODE = 150
"""Gestures and other inputs between two boots."""
MOST_DECISIONS = 64
"""As many as a record holds."""
MOST_SEALED_BYTES = 24_000 // 4 * 3 - 1024
"""What fits into a record's 24,000 characters of base64, less age's header and the salt."""
START_US = 1_000_000_000
_STATE = msgspec.json.Decoder(State)
_SAID = msgspec.json.Decoder(tuple[on.Input | None, tuple[do.Command, ...]])

pytestmark = pytest.mark.usefixtures("no_endless_step")
modest = settings(max_examples=EXAMPLES, derandomize=True, deadline=None, database=None)


# -- what is drawn --------------------------------------------------------------------------------------------------

Pick = Callable[[Sequence[Any]], Any]
Drawn = list[tuple[int, int]]
"""Which input, and how long after the one before, in µs."""

ZONES = ("street", "school", "private", "moon")
CATEGORIES = ("officer-discretion", "imminent-threat", "use-of-force", "pursuit", "unknown")
ROLES = ("officer", "sworn-officer", "school-unit-officer", "school-resource-officer", "clerk")
WAITS_US = (0, 1, 499_999, 500_000, 500_001, 999_999, 1_000_000, 2_999_999, 3_000_000, 3_000_001)
LONG_WAITS_US = (60_000_000, 120_000_000, 600_000_000, 900_000_000)


def policy_of(pick: Pick) -> Policy:
    """Any policy that the document's bounds allow, small lengths more often."""
    flag = (True, False)
    double_ms = pick((200, 500, 599, 1000))
    tables: dict[str, dict[str, object]] = {
        "activation": {
            "enabled": pick((True, True, True, False)),
            "initial_zone": pick(ZONES[:3]),
            "late_after_s": pick((5, 60)),
        }
        | {"default_category": CATEGORIES[0], "override_category": CATEGORIES[1]},
        "gestures": {
            "double_press_ms": double_ms,
            "stop_hold_ms": pick((1000, 3000, 10_000)),
            "emergency_hold_ms": max(double_ms + 1, pick((600, 1000, 5000))),
            "mute_hold_ms": pick((1000, 3000)),
            "count_gap_ms": pick((600, 1500, 5000)),
        },
        "pre_event": {"length_s": pick((0, 30, 120))},
        "stop": {
            "confirm_s": pick((2, 5, 30)),
            "reason_window_s": pick((0, 1, 10, 120)),
            "default_reason": "unexplained",
        },
        "post_event": {"length_s": pick((0, 1, 10, 120)), "resume_on_trigger": pick(flag)},
        "reminder": {"every_s": pick((10, 120, 3600))},
        "mute": {"allowed": pick(flag), "limit_s": pick((10, 7200)), "reason": "unexplained"},
        "pause": {"allowed": pick(flag), "reason": "private-request"},
        "sleep": {"allowed": pick(flag), "remind_every_s": pick((60, 900)), "reason": "unexplained"},
        "notice": {"prompt": pick(flag), "window_s": pick((5, 60))},
        "stealth": {"allowed": pick(flag)},
        "assignment": {"roles": pick(((), ("officer",))), "unassigned": pick(("allow", "deny"))},
    }
    categories = {
        name: {"on_trigger": pick(("start", "prompt", "ignore")), "resumes_pause": pick(flag)}
        for name in CATEGORIES[:4]
    }
    zones = {
        name: {
            "start": pick(("allow", "deny")),
            "allowed": pick(((), CATEGORIES[:1], CATEGORIES[2:3])),
            "denied": pick(((), CATEGORIES[3:4], CATEGORIES[1:2])),
            "pre_event": pick(("off", "video", "video+audio")),
            "override": pick(flag),
            "category": pick(("", CATEGORIES[2])),
            "override_category": pick(("", CATEGORIES[3])),
            "entry": pick(("go-on", "prompt", "pause")),
            "justify_s": pick((5, 20)),
            "unjustified": pick(("go-on", "pause")),
        }
        for name in ZONES[:3]
    }
    reasons = pick(({}, {"concluded": (1, False), "privacy": (2, True), "other": (4, False)}))
    document = msgspec.to_builtins(FIRST)
    for name, changes in tables.items():
        document[name] |= changes
    for name, changes in categories.items():
        document["categories"][name] |= changes
    for name, changes in zones.items():
        document["zones"][name] |= changes
    document["reasons"] = {
        name: {"presses": presses, "private": private, "title": name, "source": "drawn"}
        for name, (presses, private) in reasons.items()
    }
    return msgspec.convert(document, Policy)


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    return policy_of(lambda choices: draw(st.sampled_from(choices)))


def single(which: int, at_us: int, state: State) -> on.Input:
    """One input, by number: edges half of the time, a shutdown seldom. The recorder speaks of recent recordings."""
    flag, recent = which % 2 == 0, max(0, state.recording - which // 2 % 3)
    if which < 400:
        return on.Edge(at_us=at_us, button=("record", "function", "function", "third")[which // 2 % 4], pressed=flag)
    others: list[on.Input] = [
        on.ZoneEntered(at_us=at_us, zone=ZONES[which % 4]),
        on.ZoneEntered(at_us=at_us, zone=ZONES[which % 3]),
        on.Triggered(at_us=at_us, trigger="holster", category=CATEGORIES[which % 5]),
        on.Triggered(at_us=at_us, trigger="light-bar", category=CATEGORIES[which % 3]),
        on.SleepSwitched(at_us=at_us, on=flag),
        on.Docked(at_us=at_us, on=flag),
        on.Assigned(at_us=at_us, officer="b-1" if which % 7 else "", role=ROLES[which % 5], unit="u", shift="day"),
        on.LevelChanged(at_us=at_us, part=("battery", "storage")[which // 2 % 2], level=("good", "low", "critical")[which % 3]),
        on.Readiness(at_us=at_us, ready=which % 9 > 0, reason="" if which % 9 else "storage-full"),
        on.FaultChanged(at_us=at_us, part=("camera", "clock", "card")[which % 3], present=flag),
        on.PreEventHad(at_us=at_us, recording=recent, had_us=which),
        on.RecorderClosed(at_us=at_us, recording=recent, how="failed"),
        on.ClockStepped(at_us=at_us, step_us=which - 500),
        on.Tick(at_us=at_us),
        on.ShutdownAsked(at_us=at_us) if which % 16 == 0 else on.Tick(at_us=at_us),
    ]  # fmt: skip
    return others[which // 6 % len(others)]


def edges(button: str, *at_ms: int) -> list[tuple[int, str, bool]]:
    """Waits and edges: pressed, released, pressed, …"""
    waits = [after - before for before, after in itertools.pairwise((0, *at_ms))]
    return [(wait_ms * 1000, button, n % 2 == 0) for n, wait_ms in enumerate(waits)]


GESTURES = [
    edges("record", 600, 700, 900, 1000),
    edges("record", 600, 700, 900, 1000),
    edges("record", 600, 700, 900, 1000),
    edges("record", 600, 700),
    edges("record", 600, 4000),
    edges("record", 600, 4000, 5000, 5100),
    edges("record", 600, 4000, 5000, 5100),
    edges("function", 600, 700, 900, 1000),
    edges("function", 600, 700),
    edges("function", 600, 4000),
    edges("function", 600, 700, 1500, 1600, 2400, 2500),
    edges("function", 600, 700, 900, 1000) + edges("record", 600, 700, 900, 1000),
    edges("function", 600, 700, 900, 1000) + edges("record", 600, 4000),
]


def inputs_for(which: int, wait_us: int, state: State) -> list[on.Input]:
    """A single input, or a whole gesture, so that every phase is reached."""
    at_us = state.now_us
    if which < 800:
        return [single(which, max(0, at_us + wait_us) if at_us + wait_us < 2**52 else at_us, state)]
    gesture: list[on.Input] = []
    for edge_wait_us, button, pressed in GESTURES[which % len(GESTURES)]:
        at_us += edge_wait_us
        gesture.append(on.Edge(at_us=at_us, button=button, pressed=pressed))
    return gesture


waits_us = st.one_of(
    st.integers(0, 400_000),
    st.sampled_from(WAITS_US),
    st.integers(0, 12_000_000),
    st.sampled_from([*LONG_WAITS_US, 2**50]),
    st.integers(-5_000_000, 0),
)
drawn = st.lists(st.tuples(st.integers(0, 1599), waits_us), min_size=1, max_size=24)


def episode(source: random.Random) -> Drawn:
    """As `drawn`, without hypothesis, and longer."""

    def wait_us() -> int:
        kind = source.random()
        if kind < 0.4:
            return source.randrange(400_000)
        if kind < 0.6:
            return source.choice(WAITS_US)
        if kind < 0.93:
            return source.randrange(12_000_000)
        if kind < 0.96:
            return source.choice(LONG_WAITS_US)
        return -source.randrange(5_000_000) if kind < 0.999 else 2**50

    return [(source.randrange(1600), wait_us()) for _ in range(EPISODE)]


# -- what holds -----------------------------------------------------------------------------------------------------


class Watch:
    """Follows the commands alone, as the recorder and the ring would, and asserts what must hold of them."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.state = initial_state(policy, START_US)
        self.inputs: list[on.Input] = []
        self.open: do.Open | None = None
        self.opened = 0
        self.asleep = self.awoke = self.paused = self.muted = self.stealth = self.finished = False
        self.overridden = False
        self.lapsed = False
        """Nobody justified the open recording in this zone, and the zone lets it go on."""
        self.at_us = 0
        self.capture = capture(self.state, policy)
        self.held = self.capture.video or self.capture.audio
        """There may be something in the ring that no recording claims."""
        self.keyframe_due_us: int | None = None
        self.seen: Counter[str] = Counter()

    def play(self, which: int, wait_us: int) -> None:
        for came in inputs_for(which, wait_us, self.state):
            self.give(came)

    def change_policy(self, policy: Policy) -> None:
        """Another one comes into force, if nothing is recorded or asked for."""
        if not at_rest(self.state):
            return
        before, old, self.policy = self.state, self.policy, policy
        self.state, commands = take_policy(before, old, policy, before.now_us)
        assert self.state.recording == before.recording
        self.stealth, self.asleep = False, self.state.phase is Phase.ASLEEP
        for command in commands:
            self.take(command, before)
        self.seen["policy-changed"] += 1
        self.agrees(self.state)
        self.what_is_kept(self.state)

    def shut_down(self) -> None:
        """As the daemon ends: the recorder says of each recording that it has closed."""
        self.give(on.ShutdownAsked(at_us=self.state.now_us))
        for recording in self.state.closing:
            self.give(on.RecorderClosed(at_us=self.state.now_us, recording=recording, how="shutdown"))
        assert self.state.finished

    def give(self, came: on.Input) -> None:
        before = self.state
        state, commands = step(before, came, self.policy)
        self.state = state
        self.inputs.append(came)
        self.awoke = False
        self.seen.update((f"{type(came).__name__} in {before.phase.value}", before.phase.value))
        for command in commands:
            assert self.at_us <= command.at_us <= state.now_us
            self.at_us = command.at_us
            self.seen[str(type(command).__struct_config__.tag)] += 1
            self.take(command, before)
        if state.zone != before.zone:
            self.lapsed = self.overridden = False
        self.agrees(state)
        self.clock(before, came, state)
        self.gesture(before, came, commands)
        self.what_is_kept(state)
        self.is_written(came, state, commands)

    def take(self, command: do.Command, before: State) -> None:  # noqa: C901, PLR0912, PLR0915 - one branch a command
        match command:
            case do.Open():
                self.opens(command, before)
            case do.Close():
                assert self.open is not None
                assert command.recording == self.open.recording
                assert command.reason
                assert command.how in ("stopped", "shutdown")
                assert command.to_us == command.at_us
                self.ends()
            case do.Mark() | do.Notice() | do.EnterStage() | do.Justify():
                assert self.open is not None
                assert command.recording == self.open.recording
                assert not isinstance(command, do.Mark) or command.marked_us <= command.at_us
                assert not isinstance(command, do.Mark) or not self.paused
                assert not isinstance(command, do.Notice) or command.given or command.reason
                if isinstance(command, do.Justify):
                    assert self.may_override(command.zone, command.category)
                    self.overridden = True
            case do.Mute() | do.Unmute():
                assert self.open is not None
                assert command.recording == self.open.recording
                assert not isinstance(command, do.Mute) or (command.reason and self.policy.mute.allowed)
                assert self.muted == isinstance(command, do.Unmute)
                self.muted = isinstance(command, do.Mute)
            case do.Pause() | do.Resume():
                assert self.open is not None
                assert command.recording == self.open.recording
                assert not isinstance(command, do.Pause) or command.reason
                assert self.paused == isinstance(command, do.Resume)
                self.paused = isinstance(command, do.Pause)
                self.overridden = self.overridden and not self.paused
            case do.SetCapture():
                self.capture = Capture(**{name: getattr(command, name) for name in Capture.__struct_fields__})
                self.held = self.held or self.capture.video or self.capture.audio
                mode = self.policy.pre_event_mode(command.zone)
                assert command.pre_video == (mode != "off")
                assert command.pre_audio == (mode == "video+audio")
                assert command.paused == self.paused
                assert not (self.paused and (command.video or command.audio))
                assert not (command.audio and self.muted)
            case do.ClearRing():
                self.held = self.held and (command.sound_only or self.capture.video or self.capture.audio)
            case do.ForceKeyframe():
                if self.keyframe_due_us == command.at_us:
                    self.keyframe_due_us = None
            case do.Sleep():
                assert command.reason
                assert self.open is None
                assert self.policy.sleep.allowed
                self.asleep = True
            case do.Wake():
                assert self.asleep
                assert not self.held
                self.asleep, self.awoke = False, True
            case do.Stealth():
                assert self.policy.stealth.allowed
                self.stealth = command.on
            case do.Lapse():
                if command.about == "justify-or-exit":
                    assert self.open is not None
                    self.lapsed = True
            case do.Explain():
                assert self.open is None or command.recording <= self.open.recording
                assert command.recording <= self.opened
                assert command.reason in self.policy.reasons
            case do.Refuse() | do.Deny():
                assert command.reason
            case do.Assign():
                assert (
                    not command.officer
                    or not self.policy.assignment.roles
                    or command.role in self.policy.assignment.roles
                )
            case do.Prompt():
                assert command.about in ("start", "justify-or-exit")
            case do.Cue():
                assert command.cue in signals.CUES
                if command.cue == "failed":  # the recorder closed by itself what was open
                    self.ends()
            case do.Finish():
                assert not self.finished
                assert self.open is None
                self.finished = True
            case do.Note():
                assert command.what
        assert command.clause

    def opens(self, command: do.Open, before: State) -> None:
        policy, at_us = self.policy, command.at_us
        assert policy.activation.enabled
        assert self.open is None
        assert not self.finished
        assert before.ready
        assert command.recording == self.opened + 1
        assert command.zone == self.capture.zone
        denied = not policy.allows(command.zone, command.category)
        nobody = policy.assignment.unassigned == "deny" and not before.wearer.officer
        assert command.override == (denied or nobody)
        assert not denied or self.may_override(command.zone, command.category)
        emergencies = (policy.override_category(command.zone), policy.activation.override_category)
        assert not nobody or command.category in emergencies
        mode = "off" if self.awoke else policy.pre_event_mode(command.zone)
        assert command.pre_event == mode.replace("+", "-and-")
        assert 0 <= command.video_from_us <= at_us
        assert 0 <= command.audio_from_us <= at_us
        assert mode != "off" or command.video_from_us == at_us
        assert mode == "video+audio" or command.audio_from_us == at_us
        assert command.late_us == 0 or command.late_us >= policy.activation.late_after_s * 1_000_000
        self.overridden, self.lapsed = bool(command.override), False
        self.open, self.opened = command, command.recording
        if not self.capture.video:
            self.keyframe_due_us = at_us

    def may_override(self, zone: str, category: str) -> bool:
        return self.policy.allows(zone, category) or self.policy.overrides(zone, category)

    def ends(self) -> None:
        assert self.open is not None
        self.open = None
        self.paused = self.muted = self.overridden = self.lapsed = False

    def agrees(self, state: State) -> None:
        """The state is what the commands say."""
        assert self.capture == capture(state, self.policy)
        assert (state.phase not in RESTING) == (self.open is not None)
        assert (state.phase is Phase.ASLEEP) == self.asleep
        assert (state.phase in PAUSED) == self.paused
        assert (state.muted, state.stealth, state.finished) == (self.muted, self.stealth, self.finished)
        assert state.overridden == self.overridden
        assert not state.shutting_down or state.phase in RESTING
        assert not state.finished or (state.shutting_down and not state.closing)

    def clock(self, before: State, came: on.Input, state: State) -> None:
        """Time, and the deadlines, only move forward."""
        assert state.now_us == max(before.now_us, came.at_us)
        due_us = next_deadline_us(state, self.policy)
        assert due_us is None or due_us > state.now_us
        waiting = msgspec.structs.asdict(state.deadlines)
        if state.record.waiting_us is not None:
            del waiting["confirm_by_us"]  # what waits may be the confirmation
        assert all(at_us is None or at_us > state.now_us for at_us in waiting.values())

    def gesture(self, before: State, came: on.Input, commands: Commands) -> None:
        """A start is never later than its gesture."""
        at_us = max(before.now_us, came.at_us)
        for command in commands:
            if isinstance(command, do.Open) and command.trigger == BY_DOUBLE_PRESS:
                assert isinstance(came, on.Edge)
                assert came.pressed
                assert command.at_us == at_us
            elif isinstance(command, do.Open) and command.trigger == BY_HOLD:
                assert before.record.down_us is not None
                assert command.at_us == before.record.down_us + before.record.hold_us
            elif isinstance(command, do.Open):
                assert isinstance(came, on.Triggered)
                assert command.at_us == at_us
        assert self.keyframe_due_us is None, "nothing was held, and no keyframe begins the recording"
        due_us = next_deadline_us(before, self.policy)
        first_us = before.record.waiting_us
        if (
            isinstance(came, on.Edge)
            and (came.button, came.pressed, before.record.down_us) == ("record", True, None)
            and before.phase in RESTING
            and first_us is not None
            and (due_us is None or due_us > at_us)
        ):
            assert any(isinstance(command, do.Open | do.Refuse) for command in commands)

    def what_is_kept(self, state: State) -> None:
        policy = self.policy
        keeping = state.phase in KEEPING
        assert self.capture.video == (
            keeping or (state.phase is Phase.IDLE and policy.pre_event_mode(state.zone) != "off")
        )
        assert policy.activation.enabled or not (self.capture.video or self.capture.audio or self.open)
        assert self.held == (self.capture.video or self.capture.audio), "something is left of what may not be held"
        zone = policy.zones[state.zone]
        if keeping:
            assert self.open is not None
            assert (
                policy.allows(state.zone, self.open.category)
                or self.overridden
                or state.deadlines.justify_by_us is not None
                or zone.entry == "go-on"
                or (self.lapsed and zone.unjustified == "go-on")
            )
        assert policy.stealth.allowed or not state.stealth
        assert signals.shown(state, policy).recording.on == (keeping and not state.stealth)

    def is_written(self, came: on.Input, state: State, commands: Commands) -> None:
        """What is decided fits in a record, and is read back as it was."""
        assert len(commands) <= MOST_DECISIONS
        assert _STATE.decode(msgspec.json.encode(state)) == state
        journaled = None if isinstance(came, on.Tick) else came
        public, private = public_step(journaled, state.now_us, commands)
        encoded = msgspec.json.encode((public.input, public.decisions))
        assert _SAID.decode(encoded) == (public.input, public.decisions)
        assert len(msgspec.json.encode(private)) <= MOST_SEALED_BYTES


def check(steps: Drawn, policy: Policy) -> Watch:
    watch = Watch(policy)
    for which, wait_us in steps:
        watch.play(which, wait_us)
    return watch


@modest
@given(drawn)
def test_any_sequence_under_the_first_profile(steps: Drawn) -> None:
    check(steps, FIRST)


@modest
@given(drawn, st.sampled_from(sorted(PROFILES)))
def test_any_sequence_under_any_profile(steps: Drawn, name: str) -> None:
    check(steps, PROFILES[name])


@modest
@given(drawn, policies())
def test_any_sequence_under_any_policy(steps: Drawn, policy: Policy) -> None:
    check(steps, policy)


def test_many_inputs_under_every_profile_and_under_policies_drawn() -> None:
    """As many as BODYCAM_INPUTS says; every phase, and every command, is seen."""
    source = random.Random(SEED)
    given_inputs, seen = 0, Counter[str]()
    for policy in every_policy(source):
        watch = Watch(policy)
        for which, wait_us in episode(source):
            try:
                watch.play(which, wait_us)
                if source.random() < 0.05:
                    watch.change_policy(source.choice([*PROFILES.values()]))
            except AssertionError as broken:
                broken.add_note(f"policy {policy.id}, seed {SEED}, the last of: {watch.inputs[-12:]}")
                raise
        watch.shut_down()
        given_inputs += len(watch.inputs)
        seen += watch.seen
        if given_inputs >= INPUTS:
            break
    assert seen["policy-changed"] > INPUTS // 2000
    kinds = {str(kind.__struct_config__.tag) for kind in do.Command.__args__}
    assert kinds - set(seen) == set()
    pairs = {f"{kind.__name__} in {phase.value}" for kind in on.Input.__args__ for phase in Phase}
    assert pairs - set(seen) == set()
    assert all(seen[phase.value] > INPUTS // 200 for phase in Phase)
    print(f"seed {SEED}: {given_inputs} inputs; {dict(seen.most_common())}")


def every_policy(source: random.Random) -> Iterator[Policy]:
    """Those that are shipped, then some that are drawn, and again."""
    while True:
        yield from PROFILES.values()
        yield from (policy_of(source.choice) for _ in PROFILES)


def bounded(steps: Drawn) -> Drawn:
    """Within what a control loop may stand still: no jump of more reminders than are said one by one."""
    return [(which, min(wait_us, 12_000_000)) for which, wait_us in steps]


@modest
@given(drawn, policies(), st.lists(st.integers(0, 200_000_000), max_size=20))
def test_ticks_in_between_change_nothing_but_when_things_are_said(
    steps: Drawn, policy: Policy, ticks_us: list[int]
) -> None:
    inputs = check(bounded(steps), policy).inputs
    ticks = [on.Tick(at_us=START_US + tick_us) for tick_us in ticks_us]
    plain, plain_said = concluded(inputs, policy)
    mixed, mixed_said = concluded(with_ticks(inputs, ticks), policy)
    assert mixed_said == plain_said
    assert mixed == plain


def with_ticks(inputs: Sequence[on.Input], ticks: Sequence[on.Input]) -> Iterator[on.Input]:
    """Each tick as soon as no input with an earlier effective time is to come: ticks delay nothing here."""
    effective_us = START_US
    waiting = sorted(ticks, key=lambda tick: tick.at_us)
    for each in inputs:
        effective_us = max(effective_us, each.at_us)
        while waiting and waiting[0].at_us < effective_us:
            yield waiting.pop(0)
        yield each


def concluded(inputs: Sequence[on.Input] | Iterator[on.Input], policy: Policy) -> tuple[State, Commands]:
    state, said = initial_state(policy, START_US), Commands()
    for each in inputs:
        state, commands = machine.step(state, each, policy)
        said = (*said, *commands)
    return state, said


def test_the_same_step_twice_gives_the_same() -> None:
    """A state is a value: a step changes nothing of it."""
    state = initial_state(FIRST, START_US)
    before = msgspec.json.encode(state)
    first = machine.step(state, on.ShutdownAsked(at_us=START_US), FIRST)
    assert machine.step(state, on.ShutdownAsked(at_us=START_US), FIRST) == first
    assert msgspec.json.encode(state) == before

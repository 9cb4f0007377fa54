"""The policy machine under any sequence of inputs, over the first profile and over policies drawn at random."""

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

import device.policy
from device.controls.indicators import CUES, lights
from device.policy import commands as do
from device.policy import inputs as on
from device.policy import machine
from device.policy.machine import Capture, Commands, Phase, State, capture, initial_state, next_deadline_us, step
from device.policy.model import Policy, parse_policy

EXAMPLES = 150
"""A property's share of about a second; raise it for a long search."""
START_US = 1_000_000_000
FIRST = parse_policy((Path(device.policy.__file__).parent / "profiles/first.toml").read_bytes())
OPEN = (Phase.RECORDING, Phase.STOP_ASKED, Phase.PAUSED, Phase.PAUSED_STOP_ASKED, Phase.POST_EVENT)

modest = settings(max_examples=EXAMPLES, derandomize=True, deadline=None, database=None)


# -- what is drawn --------------------------------------------------------------------------------------------------

ZONES = ("street", "school", "private", "moon")
waits_us = st.one_of(
    st.integers(0, 400_000),
    st.sampled_from([0, 1, 499_999, 500_000, 500_001, 999_999, 1_000_000, 2_999_999, 3_000_000, 3_000_001]),
    st.integers(0, 12_000_000),
    st.sampled_from([120_000_000, 600_000_000, 2**50]),
    st.integers(-5_000_000, 0),
)


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    """Any policy that the document's bounds allow, small lengths more often."""
    double_ms = draw(st.sampled_from([200, 500, 599, 1000]))
    made = {
        "id": "drawn",
        "version": 1,
        "title": "drawn",
        "initial_zone": draw(st.sampled_from(ZONES[:3])),
        "default_category": "a",
        "override_category": "b",
        "gestures": {
            "double_press_ms": double_ms,
            "stop_hold_ms": draw(st.sampled_from([1000, 3000, 10_000])),
            "emergency_hold_ms": draw(st.sampled_from([double_ms + 1, 1000, 5000]).map(lambda n: max(600, n))),
            "mute_hold_ms": draw(st.sampled_from([1000, 3000])),
        },
        "pre_event": {"length_s": draw(st.sampled_from([0, 30, 120]))},
        "stop": {"confirm_s": draw(st.sampled_from([2, 5, 30])), "default_reason": "unexplained"},
        "post_event": {"length_s": draw(st.sampled_from([0, 1, 10, 120]))},
        "reminder": {"every_s": draw(st.sampled_from([10, 120, 3600]))},
        "mute": {"allowed": draw(st.booleans()), "limit_s": draw(st.sampled_from([10, 7200])), "reason": "c"},
        "pause": {"allowed": draw(st.booleans()), "reason": "d"},
        "zones": {
            name: {
                "start": draw(st.sampled_from(["allow", "deny"])),
                "pre_event": draw(st.sampled_from(["off", "video", "video+audio"])),
                "override": draw(st.booleans()),
                "source": "drawn",
            }
            for name in ZONES[:3]
        },
    }
    made["gestures"]["emergency_hold_ms"] = max(made["gestures"]["emergency_hold_ms"], double_ms + 1)
    for table in ("gestures", "pre_event", "stop", "post_event", "reminder", "mute", "pause"):
        made[table]["source"] = "drawn"
    return msgspec.convert(made, Policy)


def single(which: int, at_us: int) -> on.Input:
    """One input, by number: edges half of the time, a shutdown seldom."""
    recording, flag = which % 4, which % 2 == 0
    others: list[on.Input] = [
        on.ZoneEntered(at_us=at_us, zone=ZONES[which % 4]),
        on.Readiness(at_us=at_us, ready=flag, reason=("", "storage-full", "", "card-missing")[which % 4]),
        on.FaultChanged(at_us=at_us, part=("camera", "storage")[which // 2 % 2], present=flag),
        on.PreEventHad(at_us=at_us, recording=recording, had_us=which),
        on.RecorderClosed(at_us=at_us, recording=recording, how="failed"),
        on.ClockStepped(at_us=at_us, step_us=which - 500),
        on.Tick(at_us=at_us),
        on.ShutdownAsked(at_us=at_us) if flag else on.Tick(at_us=at_us),
    ]
    if which < 400:
        return on.Edge(at_us=at_us, button=("record", "function")[which // 2 % 2], pressed=flag)
    return others[which // 4 % len(others)]


def edges(button: str, *at_ms: int) -> list[tuple[int, on.Input]]:
    """Waits and edges: pressed, released, pressed, …"""
    waits = [after - before for before, after in itertools.pairwise((0, *at_ms))]
    return [(wait_ms * 1000, on.Edge(at_us=0, button=button, pressed=n % 2 == 0)) for n, wait_ms in enumerate(waits)]


GESTURES = [
    edges("record", 600, 700, 900, 1000),
    edges("record", 600, 700),
    edges("record", 600, 4000),
    edges("record", 600, 4000, 5000, 5100),
    edges("function", 600, 700, 900, 1000),
    edges("function", 600, 700),
    edges("function", 600, 4000),
    edges("function", 600, 700, 900, 1000) + edges("record", 600, 700, 900, 1000),
    edges("function", 600, 700, 900, 1000) + edges("record", 600, 4000),
]


def sequence(drawn: list[tuple[int, int]]) -> list[on.Input]:
    """Whole gestures, so that every phase is reached, between single inputs at any distance."""
    at_us = START_US
    inputs: list[on.Input] = []
    for which, wait_us in drawn:
        if which < 800:
            stamp_us = max(0, at_us + wait_us)
            at_us = max(at_us, stamp_us) if stamp_us < 2**52 else at_us
            inputs.append(single(which, stamp_us))
            continue
        for edge_wait_us, edge in GESTURES[which % len(GESTURES)]:
            at_us += edge_wait_us
            inputs.append(msgspec.structs.replace(edge, at_us=at_us))
    return inputs


sequences = st.lists(st.tuples(st.integers(0, 1599), waits_us), min_size=1, max_size=24).map(sequence)


# -- what holds -----------------------------------------------------------------------------------------------------


def steps(inputs: Sequence[on.Input], policy: Policy) -> Iterator[tuple[State, on.Input, State, Commands]]:
    state = initial_state(policy, START_US)
    for each in inputs:
        before = state
        state, commands = step(before, each, policy)
        yield before, each, state, commands


class Ledger:
    """Follows the commands alone, as the recorder and the ring would, and asserts what must hold of them."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.open: int | None = None
        self.opened = 0
        self.paused = False
        self.muted = False
        self.finished = False
        self.at_us = 0
        self.capture = capture(initial_state(policy, START_US), policy)
        self.zone = policy.initial_zone

    def follow(self, state: State, commands: Commands) -> None:
        for command in commands:
            assert self.at_us <= command.at_us <= state.now_us
            self.at_us = command.at_us
            self.take(command)
        assert self.capture == capture(state, self.policy)
        assert (state.phase in OPEN) == (self.open is not None)
        assert (state.phase in (Phase.PAUSED, Phase.PAUSED_STOP_ASKED)) == self.paused
        assert state.muted == self.muted

    def take(self, command: do.Command) -> None:  # noqa: C901, PLR0915 - one branch a command
        match command:
            case do.Open():
                assert self.open is None
                assert not self.finished
                assert command.recording == self.opened + 1
                zone = self.policy.zones[command.zone]
                assert command.zone == self.capture.zone
                assert command.override == (zone.start == "deny")
                assert zone.override or not command.override
                assert 0 <= command.video_from_us <= command.at_us
                assert 0 <= command.audio_from_us <= command.at_us
                assert zone.pre_event == "video+audio" or command.audio_from_us == command.at_us
                assert zone.pre_event != "off" or command.video_from_us == command.at_us
                self.open = self.opened = command.recording
            case do.Close():
                assert command.recording == self.open
                assert command.reason
                assert command.how in ("stopped", "shutdown")
                assert command.to_us == command.at_us
                self.open, self.paused, self.muted = None, False, False
            case do.Mark():
                assert command.recording == self.open
                assert not self.paused
                assert command.marked_us <= command.at_us
            case do.EnterStage():
                assert command.recording == self.open
            case do.Mute() | do.Unmute():
                assert command.recording == self.open
                assert not isinstance(command, do.Mute) or command.reason
                self.muted = isinstance(command, do.Mute)
            case do.Pause() | do.Resume():
                assert command.recording == self.open
                assert not isinstance(command, do.Pause) or command.reason
                assert self.paused == isinstance(command, do.Resume)
                self.paused = isinstance(command, do.Pause)
            case do.SetCapture():
                told = {name: getattr(command, name) for name in Capture.__struct_fields__}
                self.capture = Capture(**told)
                assert not (self.paused and (command.video or command.audio))
                assert command.paused == self.paused
            case do.Refuse():
                assert command.reason
            case do.Cue():
                assert command.cue in CUES
                if command.cue == "failed":  # the recorder closed by itself what was open
                    self.open, self.paused, self.muted = None, False, False
            case do.Finish():
                assert not self.finished
                self.finished = True
            case do.Note() | do.ClearRing() | do.ForceKeyframe():
                assert command.clause


def check(inputs: Sequence[on.Input], policy: Policy) -> None:
    ledger = Ledger(policy)
    for before, each, state, commands in steps(inputs, policy):
        assert state.now_us == max(before.now_us, each.at_us)
        ledger.follow(state, commands)
        due_us = next_deadline_us(state, policy)
        assert due_us is None or due_us > state.now_us
        assert state.finished == ledger.finished
        assert not state.finished or (state.shutting_down and not state.closing and state.phase is Phase.IDLE)
        assert not state.shutting_down or state.phase is Phase.IDLE
        assert msgspec.json.decode(msgspec.json.encode(state), type=State) == state
        again = msgspec.json.decode(msgspec.json.encode(commands), type=tuple[do.Command, ...])
        assert again == commands
        assert lights(state).recording == (state.phase in (Phase.RECORDING, Phase.STOP_ASKED, Phase.POST_EVENT))


@modest
@given(sequences)
def test_any_sequence_under_the_first_profile(inputs: list[on.Input]) -> None:
    check(inputs, FIRST)


@modest
@given(sequences, policies())
def test_any_sequence_under_any_policy(inputs: list[on.Input], policy: Policy) -> None:
    check(inputs, policy)


@modest
@given(sequences, policies(), st.lists(st.integers(0, 200_000_000), max_size=20))
def test_ticks_in_between_change_nothing_but_when_things_are_said(
    inputs: list[on.Input], policy: Policy, ticks_us: list[int]
) -> None:
    """Within what a control loop may stand still: no jump of more reminders than are said one by one."""
    bounded = [each for each in inputs if each.at_us < START_US + 100 * 10_000_000]
    ticks = [on.Tick(at_us=START_US + tick_us) for tick_us in ticks_us]
    plain, plain_said = concluded(bounded, policy)
    mixed, mixed_said = concluded(with_ticks(bounded, ticks), policy)
    assert mixed_said == plain_said
    assert mixed == plain


def with_ticks(inputs: Sequence[on.Input], ticks: Sequence[on.Input]) -> list[on.Input]:
    """Each tick as soon as no input with an earlier effective time is to come: ticks delay nothing here."""
    mixed: list[on.Input] = []
    waiting = sorted(ticks, key=lambda tick: tick.at_us)
    effective_us = START_US
    for each in inputs:
        effective_us = max(effective_us, each.at_us)
        while waiting and waiting[0].at_us < effective_us:
            mixed.append(waiting.pop(0))
        mixed.append(each)
    return mixed


def concluded(inputs: Sequence[on.Input], policy: Policy) -> tuple[State, Commands]:
    state, said = initial_state(policy, START_US), Commands()
    for _, _, after, commands in steps(inputs, policy):
        state, said = after, (*said, *commands)
    return state, said


def test_the_sequences_drawn_reach_every_phase_and_command() -> None:
    """Otherwise the properties above say nothing."""
    phases: set[Phase] = set()
    kinds: set[type] = set()

    @settings(modest, max_examples=4 * EXAMPLES)
    @given(sequences)
    def look(inputs: list[on.Input]) -> None:
        for _, _, state, commands in steps(inputs, FIRST):
            phases.add(state.phase)
            kinds.update(type(command) for command in commands)

    look()
    assert phases == set(Phase)
    assert kinds == set(do.Command.__args__)


def test_the_same_step_twice_gives_the_same() -> None:
    """A state is a value: a step changes nothing of it."""
    state = initial_state(FIRST, START_US)
    before = msgspec.json.encode(state)
    first = machine.step(state, on.ShutdownAsked(at_us=START_US), FIRST)
    assert machine.step(state, on.ShutdownAsked(at_us=START_US), FIRST) == first
    assert msgspec.json.encode(state) == before

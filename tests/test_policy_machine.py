"""The policy machine: the whole table, each default of the design, and that the same inputs give the same decisions."""

from collections.abc import Iterable
from pathlib import Path

import msgspec
import pytest

import device.policy
from device.policy import commands as do
from device.policy import inputs as on
from device.policy import machine
from device.policy.gestures import Told
from device.policy.machine import Commands, Deadlines, Event, Moment, Phase, State, initial_state, step
from device.policy.model import Policy, parse_policy

START_US = 1_000_000_000
"""Stories are told in ms from here."""
FIRST = parse_policy((Path(device.policy.__file__).parent / "profiles/first.toml").read_bytes())


def us(ms: float) -> int:
    return START_US + round(ms * 1000)


def ms(at_us: int) -> str:
    return f"{(at_us - START_US) / 1000:.3f}".rstrip("0").rstrip(".")


def changed(policy: Policy, table: str, **changes: object) -> Policy:
    return msgspec.structs.replace(policy, **{table: msgspec.structs.replace(getattr(policy, table), **changes)})


def rezoned(policy: Policy, name: str, **changes: object) -> Policy:
    zones = policy.zones | {name: msgspec.structs.replace(policy.zones[name], **changes)}
    return msgspec.structs.replace(policy, zones=zones)


def spelt(command: do.Command) -> str:  # noqa: C901 - one branch a command
    """A command in words, with what the stories are about."""
    match command:
        case do.Open():
            override = " override" if command.override else ""
            reach = f"{command.pre_event} from {ms(command.video_from_us)}, sound from {ms(command.audio_from_us)}"
            words = f"open {command.recording} by {command.trigger} for {command.category}{override}, {reach}"
        case do.Refuse():
            words = f"refuse {command.trigger}: {command.reason}"
        case do.EnterStage():
            words = f"stage {command.recording} {command.stage}"
        case do.Close():
            words = f"close {command.recording} to {ms(command.to_us)} {command.how}: {command.reason}"
        case do.Mark():
            words = f"mark {command.recording} at {ms(command.marked_us)}"
        case do.Mute() | do.Pause():
            words = f"{kind(command)} {command.recording}: {command.reason}"
        case do.Unmute() | do.Resume():
            words = f"{kind(command)} {command.recording}"
        case do.SetCapture():
            flags = [name for name in ("video", "audio", "muted", "paused") if getattr(command, name)]
            words = f"capture {command.zone}: {' '.join(flags) or 'nothing'}"
        case do.Cue():
            words = f"cue {command.cue}"
        case do.Note():
            words = f"note {command.recording} {command.what} {command.value}"
        case do.ClearRing() | do.ForceKeyframe() | do.Finish():
            words = kind(command)
    return f"{ms(command.at_us)} {words}"


def kind(command: do.Command) -> str:
    return str(type(command).__struct_config__.tag)


class Story:
    """What a wearer does, in ms, and what the machine said. Each verb returns the story."""

    def __init__(self, policy: Policy = FIRST) -> None:
        self.policy = policy
        self.state = initial_state(policy, START_US)
        self.said: list[str] = []

    def give(self, came: on.Input) -> "Story":
        self.state, commands = step(self.state, came, self.policy)
        self.said += [spelt(command) for command in commands]
        return self

    def down(self, at_ms: float, button: str = "record") -> "Story":
        return self.give(on.Edge(at_us=us(at_ms), button=button, pressed=True))

    def up(self, at_ms: float, button: str = "record") -> "Story":
        return self.give(on.Edge(at_us=us(at_ms), button=button, pressed=False))

    def press(self, at_ms: float, button: str = "record", length_ms: float = 100) -> "Story":
        return self.down(at_ms, button).up(at_ms + length_ms, button)

    def double(self, at_ms: float, button: str = "record") -> "Story":
        """Acts at its second leading edge, at `at_ms`."""
        return self.press(at_ms - 300, button).press(at_ms, button)

    def tick(self, at_ms: float) -> "Story":
        return self.give(on.Tick(at_us=us(at_ms)))

    def enter(self, at_ms: float, zone: str) -> "Story":
        return self.give(on.ZoneEntered(at_us=us(at_ms), zone=zone))

    def shutdown(self, at_ms: float) -> "Story":
        return self.give(on.ShutdownAsked(at_us=us(at_ms)))

    def closed(self, at_ms: float, recording: int, how: str = "stopped") -> "Story":
        return self.give(on.RecorderClosed(at_us=us(at_ms), recording=recording, how=how))

    def readiness(self, at_ms: float, reason: str) -> "Story":
        return self.give(on.Readiness(at_us=us(at_ms), ready=not reason, reason=reason))

    def then(self) -> "Story":
        """Forget what was said so far."""
        self.said = []
        return self

    def recording(self) -> "Story":
        """Recording since 1000 ms."""
        return self.double(1000).then()

    def stop_asked(self) -> "Story":
        """Recording since 1000 ms, a stop asked for at 13 000 ms, the button up again at 13 200 ms."""
        return self.recording().press(10_000, length_ms=3200).then()

    def post_event(self) -> "Story":
        """The stop confirmed at 14 500.001 ms: post-event time until 24 500.001 ms."""
        return self.stop_asked().press(14_000).tick(14_600).then()

    def paused(self) -> "Story":
        """Recording since 1000 ms, paused at 5000 ms."""
        return self.recording().double(5000, "function").then()


# -- the table ------------------------------------------------------------------------------------------------------

AT_US = us(60_000)
STATES = {
    Phase.IDLE: State(now_us=us(0), zone="street"),
    Phase.RECORDING: State(
        now_us=us(0), zone="street", phase=Phase.RECORDING, recording=1, deadlines=Deadlines(remind_at_us=us(99_000))
    ),
    Phase.STOP_ASKED: State(
        now_us=us(0), zone="street", phase=Phase.STOP_ASKED, recording=1, deadlines=Deadlines(confirm_by_us=us(61_000))
    ),
    Phase.PAUSED: State(
        now_us=us(0), zone="street", phase=Phase.PAUSED, recording=1, deadlines=Deadlines(remind_at_us=us(99_000))
    ),
    Phase.PAUSED_STOP_ASKED: State(
        now_us=us(0),
        zone="street",
        phase=Phase.PAUSED_STOP_ASKED,
        recording=1,
        deadlines=Deadlines(confirm_by_us=us(61_000)),
    ),
    Phase.POST_EVENT: State(
        now_us=us(0),
        zone="street",
        phase=Phase.POST_EVENT,
        recording=1,
        deadlines=Deadlines(post_event_until_us=us(62_000)),
    ),
}
CAME: dict[Event, on.Input | Told | None] = {
    Event.RECORD_PRESS: Told("press", us(59_000)),
    Event.RECORD_DOUBLE: Told("double", AT_US),
    Event.EMERGENCY_HOLD: Told("emergency-hold", us(59_000)),
    Event.STOP_HOLD: Told("stop-hold", us(57_000)),
    Event.FUNCTION_PRESS: Told("press", us(59_000)),
    Event.FUNCTION_DOUBLE: Told("double", AT_US),
    Event.FUNCTION_HOLD: Told("function-hold", us(57_000)),
    Event.CONFIRM_LAPSED: None,
    Event.POST_EVENT_OVER: None,
    Event.REMINDER_DUE: None,
    Event.MUTE_OVER: None,
    Event.ZONE_ENTERED: on.ZoneEntered(at_us=AT_US, zone="private"),
    Event.READINESS: on.Readiness(at_us=AT_US, ready=False, reason="storage-full"),
    Event.FAULT_CHANGED: on.FaultChanged(at_us=AT_US, part="camera", present=True),
    Event.PRE_EVENT_HAD: on.PreEventHad(at_us=AT_US, recording=1, had_us=29_000_000),
    Event.RECORDER_CLOSED: on.RecorderClosed(at_us=AT_US, recording=1, how="failed"),
    Event.CLOCK_STEPPED: on.ClockStepped(at_us=AT_US, step_us=-7_000_000),
    Event.SHUTDOWN_ASKED: on.ShutdownAsked(at_us=AT_US),
}
# Idle, recording, stop asked, paused, paused with stop asked, post-event: the next phase, and the kinds of commands.
EXPECTED: dict[Event, tuple[str, str, str, str, str, str]] = {
    Event.RECORD_PRESS: (
        "idle: status",
        "recording: status",
        "post-event: enter-stage post-event",
        "paused: status",
        "idle: close stopped set-capture force-keyframe",
        "post-event: status",
    ),
    Event.RECORD_DOUBLE: (
        "recording: open recording set-capture",
        "recording: recording",
        "recording: recording note",
        "recording: resume recording set-capture force-keyframe",
        "recording: resume recording set-capture force-keyframe",
        "recording: enter-stage recording",
    ),
    Event.EMERGENCY_HOLD: (
        "recording: open recording set-capture",
        "recording: recording",
        "recording: recording note",
        "paused:",
        "paused-stop-asked:",
        "recording: enter-stage recording",
    ),
    Event.STOP_HOLD: (
        "idle:",
        "stop-asked: stop-asked note",
        "stop-asked: stop-asked note",
        "paused-stop-asked: stop-asked note",
        "paused-stop-asked: stop-asked note",
        "post-event:",
    ),
    Event.FUNCTION_PRESS: (
        "idle: status",
        "recording: mark marker",
        "stop-asked: mark marker",
        "paused: refused",
        "paused-stop-asked: refused",
        "post-event: mark marker",
    ),
    Event.FUNCTION_DOUBLE: (
        "idle: refused",
        "paused: mark pause paused set-capture clear-ring",
        "paused: mark pause paused set-capture clear-ring",
        "paused: refused",
        "paused-stop-asked: refused",
        "idle: close stopped set-capture",
    ),
    Event.FUNCTION_HOLD: (
        "idle: refused",
        "recording: mute muted set-capture",
        "stop-asked: mute muted set-capture",
        "paused: refused",
        "paused-stop-asked: refused",
        "post-event: mute muted set-capture",
    ),
    Event.CONFIRM_LAPSED: (
        "idle:",
        "recording:",
        "recording: recording note",
        "paused:",
        "paused: paused note",
        "post-event:",
    ),
    Event.POST_EVENT_OVER: (
        "idle:",
        "recording:",
        "stop-asked:",
        "paused:",
        "paused-stop-asked:",
        "idle: close stopped set-capture",
    ),
    Event.REMINDER_DUE: (
        "idle:",
        "recording: remind-recording",
        "stop-asked: remind-recording",
        "paused: remind-paused",
        "paused-stop-asked: remind-paused",
        "post-event: remind-recording",
    ),
    Event.MUTE_OVER: (
        "idle:",
        "recording: unmute unmuted",
        "stop-asked: unmute unmuted",
        "paused: unmute unmuted",
        "paused-stop-asked: unmute unmuted",
        "post-event: unmute unmuted",
    ),
    Event.ZONE_ENTERED: (
        "idle: zone set-capture clear-ring",
        "recording: zone set-capture clear-ring force-keyframe",
        "stop-asked: zone set-capture clear-ring force-keyframe",
        "paused: zone set-capture clear-ring",
        "paused-stop-asked: zone set-capture clear-ring",
        "post-event: zone set-capture clear-ring force-keyframe",
    ),
    Event.READINESS: (
        "idle: storage-full",
        "recording: storage-full",
        "stop-asked: storage-full",
        "paused: storage-full",
        "paused-stop-asked: storage-full",
        "post-event: storage-full",
    ),
    Event.FAULT_CHANGED: (
        "idle: fault",
        "recording: fault",
        "stop-asked: fault",
        "paused: fault",
        "paused-stop-asked: fault",
        "post-event: fault",
    ),
    Event.PRE_EVENT_HAD: (
        "idle:",
        "recording:",
        "stop-asked:",
        "paused:",
        "paused-stop-asked:",
        "post-event:",
    ),
    Event.RECORDER_CLOSED: (
        "idle:",
        "idle: failed set-capture",
        "idle: failed set-capture",
        "idle: failed set-capture force-keyframe",
        "idle: failed set-capture force-keyframe",
        "idle: failed set-capture",
    ),
    Event.CLOCK_STEPPED: (
        "idle: note",
        "recording: note",
        "stop-asked: note",
        "paused: note",
        "paused-stop-asked: note",
        "post-event: note",
    ),
    Event.SHUTDOWN_ASKED: (
        "idle: finish",
        "idle: close stopped set-capture",
        "idle: close stopped set-capture",
        "idle: close stopped set-capture force-keyframe",
        "idle: close stopped set-capture force-keyframe",
        "idle: close stopped set-capture",
    ),
}
CASES = [(event, phase, row[n]) for event, row in EXPECTED.items() for n, phase in enumerate(STATES)]


def outcome(event: Event, phase: Phase) -> str:
    """The next phase, and the kinds of the commands; a cue with its name."""
    came = CAME[event]

    def act(moment: Moment) -> machine.Result:
        told = came if isinstance(came, Told) else None
        arrived = None if isinstance(came, Told) else came
        return machine.TABLE[event][phase](msgspec.structs.replace(moment, told=told, came=arrived))

    state, commands = machine._followed(STATES[phase], FIRST, AT_US, AT_US, act)
    return " ".join([f"{state.phase.value}:", *(c.cue if isinstance(c, do.Cue) else kind(c) for c in commands)])


def test_every_event_and_phase_has_a_row_and_an_expectation() -> None:
    assert list(EXPECTED) == list(Event)
    assert list(machine.TABLE) == list(Event)
    assert list(STATES) == list(Phase)
    assert {event: list(row) for event, row in machine.TABLE.items()} == {event: list(Phase) for event in Event}
    assert len(CASES) == 18 * 6


def test_every_input_but_edges_and_ticks_is_an_event() -> None:
    assert set(machine._EVENT_OF) | {on.Edge, on.Tick} == set(on.Input.__args__)


@pytest.mark.parametrize(("event", "phase", "expected"), CASES, ids=[f"{e.value}-{p.value}" for e, p, _ in CASES])
def test_table(event: Event, phase: Phase, expected: str) -> None:
    assert outcome(event, phase) == expected


# -- the record button ----------------------------------------------------------------------------------------------

STARTED = [
    "open 1 by record-double-press for officer-discretion, video from -29000, sound from 1000",
    "cue recording",
    "capture street: video audio",
]


def at(at_ms: str, words: Iterable[str]) -> list[str]:
    return [f"{at_ms} {said}" for said in words]


def test_a_double_press_starts_on_its_second_leading_edge() -> None:
    story = Story().press(700)
    assert story.said == []
    assert story.down(1000).said == at("1000", STARTED)
    assert story.up(1100).tick(9000).said == at("1000", STARTED)


@pytest.mark.parametrize(
    ("second_ms", "said"),
    [
        (999, [*at("999", [STARTED[0].replace("-29000", "-29001").replace("1000", "999"), *STARTED[1:]])]),
        (1000, [*at("1000", STARTED)]),
        (1000.001, ["1000.001 cue status", "1500.002 cue status"]),
        (1001, ["1000.001 cue status", "1501.001 cue status"]),
    ],
)
def test_the_second_edge_counts_up_to_500_ms_after_the_first(second_ms: float, said: list[str]) -> None:
    assert Story().press(500).press(second_ms).tick(5000).said == said


def test_a_press_alone_tells_the_status_once_its_window_has_passed() -> None:
    story = Story().press(500).tick(1000)
    assert story.said == []
    assert story.tick(1000.001).said == ["1000.001 cue status"]


def test_a_press_longer_than_the_window_is_told_when_it_is_released() -> None:
    story = Story().recording().down(5000).tick(6000)
    assert story.said == []
    assert story.up(7000).said == ["7000 cue status"]


def test_a_third_press_begins_anew() -> None:
    story = Story().press(800).press(1000).then().press(1200)
    assert story.tick(3000).said == ["1700.001 cue status"]


def test_a_double_press_while_recording_changes_nothing() -> None:
    story = Story().recording().double(5000)
    assert (story.said, story.state.phase, story.state.recording) == (["5000 cue recording"], Phase.RECORDING, 1)


def test_a_hold_of_3_s_asks_for_a_stop() -> None:
    story = Story().recording().down(10_000).tick(12_999)
    assert story.said == []
    assert story.tick(13_000).said == ["13000 cue stop-asked", "13000 note 1 stop-asked 0"]
    assert story.state.phase is Phase.STOP_ASKED


def test_a_hold_of_less_than_3_s_is_a_press() -> None:
    assert Story().recording().press(10_000, length_ms=2999.999).said == ["12999.999 cue status"]


def test_one_press_confirms_once_its_window_has_passed_without_a_second() -> None:
    story = Story().stop_asked().press(14_000).tick(14_500)
    assert story.said == []
    assert story.tick(14_500.001).said == ["14500.001 stage 1 post", "14500.001 cue post-event"]
    assert story.state.phase is Phase.POST_EVENT


def test_no_press_within_5_s_and_recording_goes_on() -> None:
    story = Story().stop_asked().tick(17_999.999)
    assert story.said == []
    assert story.tick(18_000).said == ["18000 cue recording", "18000 note 1 stop-lapsed 0"]
    assert story.state.phase is Phase.RECORDING


def test_a_press_that_begins_at_4_9_s_still_confirms() -> None:
    story = Story().stop_asked().press(17_900).tick(30_000)
    assert story.said[:2] == ["18400.001 stage 1 post", "18400.001 cue post-event"]


def test_a_press_that_begins_at_4_9_s_and_is_held_for_2_s_still_confirms() -> None:
    story = Story().stop_asked().press(17_900, length_ms=2000)
    assert story.said == ["19900 stage 1 post", "19900 cue post-event"]


def test_a_press_that_begins_at_5_s_does_not_confirm() -> None:
    story = Story().stop_asked().press(18_000).tick(30_000)
    assert story.said == ["18000 cue recording", "18000 note 1 stop-lapsed 0", "18500.001 cue status"]


def test_a_double_press_whose_first_edge_was_at_4_9_s_cancels_the_stop() -> None:
    story = Story().stop_asked().press(17_900).press(18_300).tick(30_000)
    assert story.said == ["18300 cue recording", "18300 note 1 stop-cancelled 0"]


def test_a_double_press_cancels_the_stop() -> None:
    story = Story().stop_asked().double(15_000).tick(60_000)
    assert story.said == ["15000 cue recording", "15000 note 1 stop-cancelled 0"]
    assert story.state.phase is Phase.RECORDING


def test_holding_again_asks_again() -> None:
    story = Story().stop_asked().press(14_000, length_ms=3500).tick(21_999)
    assert story.said == ["17000 cue stop-asked", "17000 note 1 stop-asked 0"]
    assert story.tick(22_000).said[2:] == ["22000 cue recording", "22000 note 1 stop-lapsed 0"]


def test_a_hold_begun_before_5_s_asks_again_and_does_not_lapse_between() -> None:
    story = Story().stop_asked().press(17_900, length_ms=3500)
    assert story.said == ["20900 cue stop-asked", "20900 note 1 stop-asked 0"]


def test_a_hold_of_1_s_while_idle_is_the_emergency_start() -> None:
    story = Story().down(1000).tick(1999.999)
    assert story.said == []
    assert story.tick(2000).said == [
        "2000 open 1 by record-hold for imminent-threat, video from -28000, sound from 2000",
        "2000 cue recording",
        "2000 capture street: video audio",
    ]


def test_an_emergency_start_held_on_does_not_ask_for_a_stop() -> None:
    story = Story().down(1000).tick(2000).then().tick(30_000).up(30_500).tick(40_000)
    assert (story.said, story.state.phase) == ([], Phase.RECORDING)


def test_a_held_second_press_of_a_double_does_not_ask_for_a_stop() -> None:
    story = Story().press(800).down(1000).then().tick(30_000).up(30_500).tick(40_000)
    assert (story.said, story.state.phase) == ([], Phase.RECORDING)


def test_a_stop_hold_held_on_does_not_confirm_itself() -> None:
    story = Story().recording().down(10_000).tick(13_000).then().tick(17_500).up(17_600).tick(17_999)
    assert (story.said, story.state.phase) == ([], Phase.STOP_ASKED)


def test_a_hold_begun_in_post_event_does_not_become_an_emergency_start() -> None:
    story = Story().post_event().down(24_000).tick(24_600).then().tick(40_000).up(40_100).tick(50_000)
    assert (story.said, story.state.phase) == ([], Phase.IDLE)


def test_post_event_time_then_close() -> None:
    story = Story().post_event().tick(24_500)
    assert story.said == []
    assert story.tick(24_500.001).said == [
        "24500.001 close 1 to 24500.001 stopped: unexplained",
        "24500.001 cue stopped",
        "24500.001 capture street: video",
    ]
    assert (story.state.phase, story.state.closing) == (Phase.IDLE, (1,))


def test_without_post_event_time_the_confirmation_closes() -> None:
    story = Story(changed(FIRST, "post_event", length_s=0)).stop_asked().press(14_000).tick(14_600)
    assert story.said[0] == "14500.001 close 1 to 14500.001 stopped: unexplained"


def test_a_double_press_in_post_event_resumes_the_same_recording() -> None:
    story = Story().post_event().double(20_000)
    assert story.said == ["20000 stage 1 live", "20000 cue recording"]
    assert story.then().tick(139_999).said == []
    assert story.tick(140_000).said == ["140000 cue remind-recording"]
    assert (story.state.phase, story.state.recording) == (Phase.RECORDING, 1)


def test_a_second_recording_has_the_next_number() -> None:
    story = Story().post_event().tick(25_000).closed(25_500, 1).then().double(60_000)
    assert story.said[0] == (
        "60000 open 2 by record-double-press for officer-discretion, video from 30000, sound from 60000"
    )


# -- the function button --------------------------------------------------------------------------------------------


def test_a_function_press_is_a_marker_with_the_time_of_its_press_edge() -> None:
    story = Story().recording().press(5000, "function").tick(5500)
    assert story.said == []
    assert story.tick(5600).said == ["5500.001 mark 1 at 5000", "5500.001 cue marker"]


def test_a_long_function_press_is_a_marker_too() -> None:
    assert Story().recording().press(5000, "function", 2000).said == ["7000 mark 1 at 5000", "7000 cue marker"]


def test_a_marker_whose_window_the_end_cuts_short_is_not_lost() -> None:
    story = Story().post_event().press(24_400, "function").tick(30_000)
    assert story.said == [
        "24500.001 mark 1 at 24400",
        "24500.001 close 1 to 24500.001 stopped: unexplained",
        "24500.001 cue stopped",
        "24500.001 capture street: video",
    ]


def test_a_function_double_press_is_a_private_pause() -> None:
    story = Story().recording().double(5000, "function")
    assert story.said == [
        "5000 mark 1 at 5000",
        "5000 pause 1: private-request",
        "5000 cue paused",
        "5000 capture street: paused",
        "5000 clear-ring",
    ]
    assert story.state.phase is Phase.PAUSED


def test_a_pause_is_reminded_of_and_ends_with_a_double_press_on_record() -> None:
    story = Story().paused().tick(124_999)
    assert story.said == []
    assert story.tick(246_000).double(250_000).tick(370_000).said == [
        "125000 cue remind-paused",
        "245000 cue remind-paused",
        "250000 resume 1",
        "250000 cue recording",
        "250000 capture street: video audio",
        "250000 force-keyframe",
        "370000 cue remind-recording",
    ]


def test_a_pause_that_is_stopped_has_no_post_event_time() -> None:
    story = Story().paused().press(10_000, length_ms=3200).press(14_000).tick(14_600)
    assert story.said == [
        "13000 cue stop-asked",
        "13000 note 1 stop-asked 0",
        "14500.001 close 1 to 14500.001 stopped: private-request",
        "14500.001 cue stopped",
        "14500.001 capture street: video",
        "14500.001 force-keyframe",
    ]


def test_a_stop_asked_in_a_pause_lapses_into_the_pause() -> None:
    story = Story().paused().press(10_000, length_ms=3200).then().tick(18_000)
    assert story.said == ["18000 cue paused", "18000 note 1 stop-lapsed 0"]
    assert story.state.phase is Phase.PAUSED


def test_a_pause_in_post_event_closes() -> None:
    story = Story().post_event().double(20_000, "function")
    assert story.said == [
        "20000 close 1 to 20000 stopped: private-request",
        "20000 cue stopped",
        "20000 capture street: video",
    ]


def test_a_pause_that_the_policy_does_not_allow_is_refused() -> None:
    story = Story(changed(FIRST, "pause", allowed=False)).recording().double(5000, "function")
    assert (story.said, story.state.phase) == (["5000 cue refused"], Phase.RECORDING)


def test_a_function_hold_of_3_s_mutes_and_unmutes() -> None:
    story = Story().recording().press(5000, "function", 3200)
    assert story.said == ["8000 mute 1: unexplained", "8000 cue muted", "8000 capture street: video muted"]
    story.then().press(20_000, "function", 3200).tick(100_000)
    assert story.said == ["23000 unmute 1", "23000 cue unmuted", "23000 capture street: video audio"]


def test_a_mute_ends_at_its_limit() -> None:
    story = Story().recording().press(5000, "function", 3200).then().tick(607_999)
    assert story.said == [f"{n}000 cue remind-muted" for n in (121, 241, 361, 481, 601)]
    assert story.then().tick(608_000).said == [
        "608000 unmute 1",
        "608000 cue unmuted",
        "608000 capture street: video audio",
    ]


def test_a_mute_runs_on_through_a_pause() -> None:
    story = Story().recording().press(5000, "function", 3200).double(10_000, "function").then().double(20_000)
    assert story.said == [
        "20000 resume 1",
        "20000 cue recording",
        "20000 capture street: video muted",
        "20000 force-keyframe",
    ]


def test_a_new_recording_is_not_muted() -> None:
    story = Story().stop_asked().press(14_000, "function", 3000).press(17_600).tick(30_000).then().double(40_000)
    assert story.said[-1] == "40000 capture street: video audio"


def test_a_mute_that_the_policy_does_not_allow_is_refused() -> None:
    story = Story(changed(FIRST, "mute", allowed=False)).recording().press(5000, "function", 3200)
    assert (story.said, story.state.muted) == (["8000 cue refused"], False)


# -- reminders, shutdown, readiness, zones, the recorder ------------------------------------------------------------


def test_reminders_come_every_2_min_while_recording() -> None:
    story = Story().recording().tick(120_999)
    assert story.said == []
    assert story.tick(121_000).tick(361_000).said == [
        "121000 cue remind-recording",
        "241000 cue remind-recording",
        "361000 cue remind-recording",
    ]


def test_no_reminder_in_post_event_time() -> None:
    story = Story(changed(FIRST, "reminder", every_s=10)).post_event().tick(24_500)
    assert story.said == []


def test_shutdown_closes_at_once_and_finishes_when_the_recorder_has_closed() -> None:
    story = Story().recording().shutdown(5000)
    assert story.said == [
        "5000 close 1 to 5000 shutdown: unexplained",
        "5000 cue stopped",
        "5000 capture street: video",
    ]
    assert story.then().double(6000).said == ["6000 refuse record-double-press: shutting-down", "6000 cue refused"]
    assert story.then().down(7000).up(8500).said == ["8000 refuse record-hold: shutting-down", "8000 cue refused"]
    assert story.then().shutdown(9000).said == []
    assert story.closed(9500, 1).said == ["9500 finish"]
    assert story.then().shutdown(9600).closed(9700, 1).tick(99_000).said == []
    assert story.state.finished


def test_shutdown_while_idle_finishes_at_once() -> None:
    assert Story().shutdown(5000).said == ["5000 finish"]


def test_shutdown_waits_for_a_recording_that_is_still_being_closed() -> None:
    story = Story().post_event().tick(25_000).then().shutdown(25_100)
    assert story.said == []
    assert story.closed(25_200, 1).said == ["25200 finish"]


def test_shutdown_waits_for_every_recording_that_is_being_closed() -> None:
    story = Story().post_event().tick(25_000).double(26_000).then().shutdown(27_000).closed(27_100, 2)
    assert story.said == [
        "27000 close 2 to 27000 shutdown: unexplained",
        "27000 cue stopped",
        "27000 capture street: video",
    ]
    assert story.then().closed(27_200, 1).said == ["27200 finish"]


def test_readiness_refuses_a_start_and_allows_it_again() -> None:
    story = Story().readiness(500, "storage-full").double(1000)
    assert story.said == [
        "500 cue storage-full",
        "1000 refuse record-double-press: storage-full",
        "1000 cue refused",
    ]
    assert story.then().readiness(2000, "").double(3000).said[:2] == [
        "2000 cue ready",
        "3000 open 1 by record-double-press for officer-discretion, video from -27000, sound from 3000",
    ]


def test_readiness_for_another_reason_has_the_cue_of_a_fault() -> None:
    assert Story().readiness(500, "card-missing").double(1000).said == [
        "500 cue fault",
        "1000 refuse record-double-press: card-missing",
        "1000 cue refused",
    ]


def test_an_unready_store_never_closes_what_is_open() -> None:
    story = Story().recording().readiness(5000, "storage-full").tick(10_000)
    assert (story.said, story.state.phase) == (["5000 cue storage-full"], Phase.RECORDING)


def test_a_denying_zone_refuses_and_the_emergency_hold_overrides() -> None:
    story = Story().enter(500, "private").double(1000)
    assert story.said == [
        "500 cue zone",
        "500 capture private: nothing",
        "500 clear-ring",
        "1000 refuse record-double-press: zone-denies",
        "1000 cue refused",
    ]
    assert story.then().down(2000).tick(3000).said == [
        "3000 open 1 by record-hold for imminent-threat override, off from 3000, sound from 3000",
        "3000 cue override",
        "3000 capture private: video audio",
        "3000 force-keyframe",
    ]


def test_the_emergency_hold_is_refused_where_the_policy_allows_no_override() -> None:
    story = Story(rezoned(FIRST, "private", override=False)).enter(500, "private").then().down(2000).tick(3000)
    assert story.said == ["3000 refuse record-hold: zone-denies", "3000 cue refused"]


def test_a_zone_never_stops_a_recording() -> None:
    story = Story().recording().enter(5000, "private").enter(6000, "street")
    assert story.state.phase is Phase.RECORDING
    assert story.said == [
        "5000 cue zone",
        "5000 capture private: video audio",
        "5000 clear-ring",
        "5000 force-keyframe",
        "6000 cue zone",
        "6000 capture street: video audio",
    ]


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("video", "off", ["capture school: nothing", "clear-ring"]),
        ("video+audio", "off", ["capture school: nothing", "clear-ring"]),
        ("video+audio", "video", ["capture school: video", "clear-ring", "force-keyframe"]),
        ("video", "video+audio", ["capture school: video audio"]),
        ("off", "video", ["capture school: video", "force-keyframe"]),
        ("video", "video", ["capture school: video"]),
    ],
)
def test_entering_a_stricter_zone_clears_the_ring(before: str, after: str, said: list[str]) -> None:
    policy = rezoned(rezoned(FIRST, "street", pre_event=before), "school", pre_event=after)
    assert Story(policy).enter(500, "school").said == at("500", ["cue zone", *said])


def test_closing_in_a_zone_without_pre_event_clears_the_ring() -> None:
    story = Story().post_event().enter(20_000, "private").then().tick(25_000)
    assert story.said[2:] == ["24500.001 capture private: nothing", "24500.001 clear-ring"]


def test_a_zone_that_the_policy_does_not_know_is_a_fault_and_changes_nothing() -> None:
    story = Story().enter(500, "moon").enter(600, "street")
    assert (story.said, story.state.zone) == (["500 cue fault"], "street")


def test_sound_before_the_press_where_the_zone_wants_it() -> None:
    story = Story(rezoned(FIRST, "street", pre_event="video+audio")).double(1000)
    assert story.said == [
        "1000 open 1 by record-double-press for officer-discretion, video-and-audio from -29000, sound from -29000",
        "1000 cue recording",
    ]


def test_pre_event_never_reaches_back_before_the_boot() -> None:
    state = initial_state(FIRST, 4_000_000)
    for at_us, pressed in ((5_000_000, True), (5_100_000, False), (5_200_000, True)):
        state, commands = step(state, on.Edge(at_us=at_us, button="record", pressed=pressed), FIRST)
    assert isinstance(commands[0], do.Open)
    assert (commands[0].video_from_us, commands[0].pre_event_asked_us) == (0, 5_200_000)


def test_a_recording_that_the_recorder_closed_by_itself_returns_to_idle_with_a_cue() -> None:
    story = Story().recording().closed(5000, 1, "failed").tick(200_000)
    assert story.said == ["5000 cue failed", "5000 capture street: video"]
    assert (story.state.phase, story.state.closing) == (Phase.IDLE, ())


def test_the_end_of_an_earlier_recording_is_not_that_of_the_open_one() -> None:
    story = Story().post_event().tick(25_000).double(26_000).then().closed(26_500, 1)
    assert (story.said, story.state.phase, story.state.closing) == ([], Phase.RECORDING, ())


def test_a_fault_is_said_when_it_begins_and_when_it_ends() -> None:
    story = Story()
    for at_ms, part, present in (
        (1, "camera", True),
        (2, "camera", True),
        (3, "board", True),
        (4, "camera", False),
        (5, "x", False),
    ):
        story.give(on.FaultChanged(at_us=us(at_ms), part=part, present=present))
    assert story.said == ["1 cue fault", "3 cue fault", "4 cue fault-over"]
    assert story.state.faults == ("board",)


def test_a_clock_step_is_noted() -> None:
    assert Story().recording().give(on.ClockStepped(at_us=us(5000), step_us=-7)).said == [
        "5000 note 1 clock-stepped -7"
    ]


def test_an_edge_of_a_button_that_is_not_there_changes_nothing() -> None:
    story = Story().down(1000, "third").up(2000, "third")
    assert (story.said, story.state.now_us) == ([], us(2000))


# -- E10: the same inputs give the same decisions -------------------------------------------------------------------


def a_day() -> list[on.Input]:
    """Every gesture, and what else may come, in one sequence."""
    edges = [
        *((at_ms, "record", pressed) for at_ms, pressed in ((700, True), (800, False), (1000, True), (1100, False))),
        (20_000, "function", True),
        (20_100, "function", False),
        (30_000, "function", True),
        (33_500, "function", False),
        (400_000, "function", True),
        (400_100, "function", False),
        (400_300, "function", True),
        (400_400, "function", False),
        (700_000, "record", True),
        (700_100, "record", False),
        (700_200, "record", True),
        (700_300, "record", False),
        (800_000, "record", True),
        (803_100, "record", False),
        (804_000, "record", True),
        (804_100, "record", False),
        (900_000, "record", True),
        (905_000, "record", False),
    ]
    inputs: list[on.Input] = [on.Edge(at_us=us(t), button=button, pressed=pressed) for t, button, pressed in edges]
    inputs += [
        on.ZoneEntered(at_us=us(500_000), zone="private"),
        on.PreEventHad(at_us=us(1000), recording=1, had_us=29_000_000),
        on.RecorderClosed(at_us=us(815_000), recording=1, how="stopped"),
        on.ClockStepped(at_us=us(600_000), step_us=3),
        on.ShutdownAsked(at_us=us(3_000_000)),
        on.RecorderClosed(at_us=us(3_001_000), recording=2, how="shutdown"),
    ]
    return sorted(inputs, key=lambda came: came.at_us)


def run(inputs: Iterable[on.Input], policy: Policy = FIRST) -> tuple[State, Commands]:
    state, said = initial_state(policy, START_US), Commands()
    for came in inputs:
        state, commands = step(state, came, policy)
        said = (*said, *commands)
    return state, said


def test_the_same_inputs_give_the_same_decisions() -> None:
    state, said = run(a_day())
    assert run(a_day()) == (state, said)
    assert state.finished
    assert [kind(c) for c in said if isinstance(c, do.Open | do.Close | do.Mark | do.Pause | do.Mute | do.Finish)] == [
        "open",
        "mark",
        "mute",
        "mark",
        "pause",
        "close",
        "open",
        "close",
        "finish",
    ]


def test_ticks_in_between_change_nothing_but_when_things_are_said() -> None:
    ticks: list[on.Input] = [on.Tick(at_us=us(at_ms)) for at_ms in range(0, 3_100_000, 777)]
    with_ticks = sorted([*ticks, *a_day()], key=lambda came: came.at_us)
    assert run(with_ticks)[1] == run(a_day())[1]


def test_a_tick_at_every_deadline_changes_nothing_but_when_things_are_said() -> None:
    state, said = initial_state(FIRST, START_US), Commands()
    for came in a_day():
        while (due_us := machine.next_deadline_us(state, FIRST)) is not None and due_us < came.at_us:
            state, commands = step(state, on.Tick(at_us=due_us), FIRST)
            said = (*said, *commands)
        state, commands = step(state, came, FIRST)
        said = (*said, *commands)
    assert said == run(a_day())[1]


def test_an_input_stamped_earlier_is_taken_at_the_last_effective_time() -> None:
    story = Story().tick(5000).down(4000).up(4100).down(4900)
    assert story.said == at("5000", [STARTED[0].replace("-29000", "-25000").replace("1000", "5000"), *STARTED[1:]])
    assert story.state.now_us == us(5000)


def test_a_deadline_fires_at_its_own_time_before_the_input_at_that_time() -> None:
    story = Story().post_event().enter(24_500.001, "private")
    assert story.said == [
        "24500.001 close 1 to 24500.001 stopped: unexplained",
        "24500.001 cue stopped",
        "24500.001 capture street: video",
        "24500.001 cue zone",
        "24500.001 capture private: nothing",
        "24500.001 clear-ring",
    ]


def test_deadlines_fire_in_the_order_of_their_times_however_late_they_are_seen() -> None:
    story = Story().stop_asked().press(14_000, "function").press(17_000).tick(500_000)
    assert [said.split(" ", 1) for said in story.said] == [
        ["14500.001", "mark 1 at 14000"],
        ["14500.001", "cue marker"],
        ["17500.001", "stage 1 post"],
        ["17500.001", "cue post-event"],
        ["27500.001", "close 1 to 27500.001 stopped: unexplained"],
        ["27500.001", "cue stopped"],
        ["27500.001", "capture street: video"],
    ]


@pytest.mark.parametrize("every_s", [10, 120])
def test_a_jump_of_many_years_returns_at_once(every_s: int) -> None:
    story = Story(changed(FIRST, "reminder", every_s=every_s)).recording()
    state, commands = step(story.state, on.Tick(at_us=START_US + 2**50), story.policy)
    assert [kind(c) for c in commands] == ["cue", "cue"]
    assert state.now_us == START_US + 2**50
    due_us = machine.next_deadline_us(state, story.policy)
    assert due_us is not None
    assert 0 < due_us - state.now_us <= every_s * 1_000_000


def test_a_hundred_reminders_unseen_are_each_said() -> None:
    story = Story().recording().tick(1000 + 100 * 120_000)
    assert story.said == [f"{1000 + n * 120_000} cue remind-recording" for n in range(1, 101)]

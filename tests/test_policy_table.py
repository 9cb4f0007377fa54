"""The policy machine's table: for every event in every phase the next phase and the commands, one by one."""

from typing import NamedTuple

import msgspec
import pytest

from device.policy import commands as do
from device.policy import inputs as on
from device.policy import machine
from device.policy.gestures import Told
from device.policy.state import RESTING, Deadlines, Event, Explaining, Moment, Phase, Result, State, Wearer
from tests.policies import FIRST

AT_US = 1_060_000_000
LATER_US = AT_US + 30_000_000


class Row(NamedTuple):
    """An event as it comes, what is different in the state before it, and what follows: idle, recording, stop asked,
    paused, paused with stop asked, post-event, asleep."""

    name: str
    event: Event
    came: on.Input | Told | None
    before: dict[str, object]
    expected: tuple[str, str, str, str, str, str, str]


ROWS = [
    Row(
        "record-press",
        Event.RECORD_PRESS,
        Told("press", AT_US - 600_000),
        {},
        (
            "idle: cue=status",
            "recording: cue=status",
            "post-event: stage=post cue=post-event",
            "paused: cue=status",
            "idle: close cue=stopped set-capture force-keyframe",
            "post-event: cue=status",
            "asleep: cue=status",
        ),
    ),
    Row(
        "record-double",
        Event.RECORD_DOUBLE,
        Told("double", AT_US),
        {},
        (
            "recording: open cue=recording set-capture",
            "recording: cue=recording",
            "recording: cue=recording note=stop-cancelled",
            "recording: resume cue=recording set-capture force-keyframe",
            "recording: note=stop-cancelled resume cue=recording set-capture force-keyframe",
            "recording: stage=live cue=recording",
            "recording: wake open cue=recording set-capture force-keyframe",
        ),
    ),
    Row(
        "emergency-hold",
        Event.EMERGENCY_HOLD,
        Told("emergency-hold", AT_US - 1_000_000),
        {},
        (
            "recording: open cue=recording set-capture",
            "recording: cue=recording",
            "recording: cue=recording note=stop-cancelled",
            "paused:",
            "paused-stop-asked:",
            "recording: stage=live cue=recording",
            "recording: wake open cue=recording set-capture force-keyframe",
        ),
    ),
    Row(
        "stop-hold",
        Event.STOP_HOLD,
        Told("stop-hold", AT_US - 3_000_000),
        {},
        (
            "idle:",
            "stop-asked: cue=stop-asked note=stop-asked",
            "stop-asked: cue=stop-asked note=stop-asked",
            "paused-stop-asked: cue=stop-asked note=stop-asked",
            "paused-stop-asked: cue=stop-asked note=stop-asked",
            "post-event:",
            "asleep:",
        ),
    ),
    Row(
        "function-press",
        Event.FUNCTION_PRESS,
        Told("press", AT_US - 600_000),
        {},
        (
            "idle: cue=status",
            "recording: mark cue=marker",
            "stop-asked: mark cue=marker",
            "paused: cue=refused",
            "paused-stop-asked: cue=refused",
            "post-event: mark cue=marker",
            "asleep: cue=status",
        ),
    ),
    Row(
        "function-press-while-a-notice-is-asked-for",
        Event.FUNCTION_PRESS,
        Told("press", AT_US - 600_000),
        {"deadlines": {"notice_by_us": LATER_US}},
        (
            "idle: cue=status",
            "recording: notice mark cue=notice-given",
            "stop-asked: notice mark cue=notice-given",
            "paused: cue=refused",
            "paused-stop-asked: cue=refused",
            "post-event: notice mark cue=notice-given",
            "asleep: cue=status",
        ),
    ),
    Row(
        "function-double",
        Event.FUNCTION_DOUBLE,
        Told("double", AT_US),
        {},
        (
            "idle: cue=refused",
            "paused: mark pause cue=paused set-capture clear-ring",
            "paused: note=stop-cancelled mark pause cue=paused set-capture clear-ring",
            "paused: cue=refused",
            "paused-stop-asked: cue=refused",
            "idle: close cue=stopped clear-ring force-keyframe set-capture",
            "asleep: cue=refused",
        ),
    ),
    Row(
        "function-hold",
        Event.FUNCTION_HOLD,
        Told("function-hold", AT_US - 3_000_000),
        {},
        (
            "idle: deny=stealth cue=refused",
            "recording: mute cue=muted set-capture",
            "stop-asked: mute cue=muted set-capture",
            "paused: cue=refused",
            "paused-stop-asked: cue=refused",
            "post-event: mute cue=muted set-capture",
            "asleep: cue=refused",
        ),
    ),
    Row(
        "function-hold-while-muted",
        Event.FUNCTION_HOLD,
        Told("function-hold", AT_US - 3_000_000),
        {"muted": True},
        (
            "idle: deny=stealth cue=refused",
            "recording: unmute cue=unmuted set-capture",
            "stop-asked: unmute cue=unmuted set-capture",
            "paused: cue=refused",
            "paused-stop-asked: cue=refused",
            "post-event: unmute cue=unmuted set-capture",
            "asleep: cue=refused",
        ),
    ),
    Row(
        "confirm-lapsed",
        Event.CONFIRM_LAPSED,
        None,
        {},
        (
            "idle:",
            "recording:",
            "recording: cue=recording note=stop-lapsed",
            "paused:",
            "paused: cue=paused note=stop-lapsed",
            "post-event:",
            "asleep:",
        ),
    ),
    Row(
        "post-event-over",
        Event.POST_EVENT_OVER,
        None,
        {},
        (
            "idle:",
            "recording:",
            "stop-asked:",
            "paused:",
            "paused-stop-asked:",
            "idle: close cue=stopped set-capture",
            "asleep:",
        ),
    ),
    Row(
        "reminder-due",
        Event.REMINDER_DUE,
        None,
        {},
        (
            "idle:",
            "recording: cue=remind-recording",
            "stop-asked: cue=remind-recording",
            "paused: cue=remind-paused",
            "paused-stop-asked: cue=remind-paused",
            "post-event: cue=remind-recording",
            "asleep: cue=remind-asleep",
        ),
    ),
    Row(
        "mute-over",
        Event.MUTE_OVER,
        None,
        {"muted": True, "deadlines": {"unmute_at_us": AT_US}},
        (
            "idle:",
            "recording: unmute cue=unmuted set-capture",
            "stop-asked: unmute cue=unmuted set-capture",
            "paused: unmute cue=unmuted set-capture",
            "paused-stop-asked: unmute cue=unmuted set-capture",
            "post-event: unmute cue=unmuted set-capture",
            "asleep:",
        ),
    ),
    Row(
        "notice-due",
        Event.NOTICE_DUE,
        None,
        {"deadlines": {"notice_due_us": AT_US, "notice_by_us": LATER_US}},
        (
            "idle:",
            "recording: cue=notice-prompt",
            "stop-asked: cue=notice-prompt",
            "paused: cue=notice-prompt",
            "paused-stop-asked: cue=notice-prompt",
            "post-event: cue=notice-prompt",
            "asleep:",
        ),
    ),
    Row(
        "notice-over",
        Event.NOTICE_OVER,
        None,
        {"deadlines": {"notice_by_us": AT_US}},
        (
            "idle:",
            "recording: notice",
            "stop-asked: notice",
            "paused: notice",
            "paused-stop-asked: notice",
            "post-event: notice",
            "asleep:",
        ),
    ),
    Row(
        "justify-over",
        Event.JUSTIFY_OVER,
        None,
        {"zone": "private", "deadlines": {"justify_by_us": AT_US}},
        (
            "idle:",
            "paused: lapse=justify-or-exit mark pause cue=paused set-capture clear-ring",
            "paused: lapse=justify-or-exit note=stop-cancelled mark pause cue=paused set-capture clear-ring",
            "paused:",
            "paused-stop-asked:",
            "idle: lapse=justify-or-exit close cue=stopped set-capture clear-ring",
            "asleep:",
        ),
    ),
    Row(
        "justify-over-where-it-goes-on",
        Event.JUSTIFY_OVER,
        None,
        {"zone": "school", "deadlines": {"justify_by_us": AT_US}},
        (
            "idle:",
            "recording: lapse=justify-or-exit cue=zone-prompt",
            "stop-asked: lapse=justify-or-exit cue=zone-prompt",
            "paused:",
            "paused-stop-asked:",
            "post-event: lapse=justify-or-exit cue=zone-prompt",
            "asleep:",
        ),
    ),
    Row(
        "prompt-over",
        Event.PROMPT_OVER,
        None,
        {"prompted_us": AT_US - 60_000_000, "deadlines": {"prompt_by_us": AT_US}},
        (
            "idle: lapse=start cue=start-prompt",
            "recording:",
            "stop-asked:",
            "paused:",
            "paused-stop-asked:",
            "post-event:",
            "asleep:",
        ),
    ),
    Row(
        "counted",
        Event.COUNTED,
        on.Edge(at_us=AT_US, button="function", pressed=True),
        {"presses": 1},
        (
            "idle:",
            "recording:",
            "stop-asked:",
            "paused:",
            "paused-stop-asked:",
            "post-event:",
            "asleep:",
        ),
    ),
    Row(
        "count-over",
        Event.COUNT_OVER,
        None,
        {"presses": 1, "deadlines": {"count_by_us": AT_US, "reason_by_us": LATER_US}},
        (
            "idle: explain cue=count-1",
            "recording:",
            "stop-asked:",
            "paused:",
            "paused-stop-asked:",
            "post-event: cue=count-1",
            "asleep: explain cue=count-1",
        ),
    ),
    Row(
        "count-over-of-a-private-reason",
        Event.COUNT_OVER,
        None,
        {"presses": 2, "deadlines": {"count_by_us": AT_US, "reason_by_us": LATER_US}},
        (
            "idle: explain cue=count-2 clear-ring force-keyframe",
            "recording:",
            "stop-asked:",
            "paused:",
            "paused-stop-asked:",
            "post-event: cue=count-2 clear-ring",
            "asleep: explain cue=count-2 clear-ring",
        ),
    ),
    Row(
        "count-over-of-no-reason",
        Event.COUNT_OVER,
        None,
        {"presses": 9, "deadlines": {"count_by_us": AT_US, "reason_by_us": LATER_US}},
        (
            "idle: cue=refused",
            "recording:",
            "stop-asked:",
            "paused:",
            "paused-stop-asked:",
            "post-event: cue=refused",
            "asleep: cue=refused",
        ),
    ),
    Row(
        "reason-over",
        Event.REASON_OVER,
        None,
        {"presses": 0, "deadlines": {"reason_by_us": AT_US}},
        (
            "idle:",
            "recording:",
            "stop-asked:",
            "paused:",
            "paused-stop-asked:",
            "post-event:",
            "asleep:",
        ),
    ),
    Row(
        "zone-entered-that-pauses",
        Event.ZONE_ENTERED,
        on.ZoneEntered(at_us=AT_US, zone="private"),
        {},
        (
            "idle: cue=zone set-capture clear-ring",
            "paused: cue=zone mark pause cue=paused set-capture clear-ring",
            "paused: cue=zone note=stop-cancelled mark pause cue=paused set-capture clear-ring",
            "paused: cue=zone set-capture clear-ring",
            "paused-stop-asked: cue=zone set-capture clear-ring",
            "idle: cue=zone close cue=stopped set-capture clear-ring",
            "asleep: cue=zone set-capture clear-ring",
        ),
    ),
    Row(
        "zone-entered-that-allows",
        Event.ZONE_ENTERED,
        on.ZoneEntered(at_us=AT_US, zone="school"),
        {},
        (
            "idle: cue=zone set-capture",
            "recording: cue=zone set-capture",
            "stop-asked: cue=zone set-capture",
            "paused: cue=zone set-capture",
            "paused-stop-asked: cue=zone set-capture",
            "post-event: cue=zone set-capture",
            "asleep: cue=zone set-capture",
        ),
    ),
    Row(
        "zone-left-that-paused",
        Event.ZONE_ENTERED,
        on.ZoneEntered(at_us=AT_US, zone="street"),
        {"zone": "private", "paused_by_zone": True},
        (
            "idle: cue=zone set-capture force-keyframe",
            "recording: cue=zone set-capture",
            "stop-asked: cue=zone set-capture",
            "recording: cue=zone resume cue=recording set-capture force-keyframe",
            "recording: cue=zone note=stop-cancelled resume cue=recording set-capture force-keyframe",
            "post-event: cue=zone set-capture",
            "asleep: cue=zone set-capture",
        ),
    ),
    Row(
        "zone-unknown",
        Event.ZONE_ENTERED,
        on.ZoneEntered(at_us=AT_US, zone="moon"),
        {},
        (
            "idle: cue=fault",
            "recording: cue=fault",
            "stop-asked: cue=fault",
            "paused: cue=fault",
            "paused-stop-asked: cue=fault",
            "post-event: cue=fault",
            "asleep: cue=fault",
        ),
    ),
    Row(
        "triggered-to-start",
        Event.TRIGGERED,
        on.Triggered(at_us=AT_US, trigger="holster", category="use-of-force"),
        {},
        (
            "recording: open cue=recording set-capture",
            "recording: note=trigger-holster",
            "recording: note=trigger-holster cue=recording note=stop-cancelled",
            "recording: note=trigger-holster resume cue=recording set-capture force-keyframe",
            "recording: note=trigger-holster note=stop-cancelled resume cue=recording set-capture force-keyframe",
            "recording: note=trigger-holster stage=live cue=recording",
            "asleep: deny=trigger cue=refused",
        ),
    ),
    Row(
        "triggered-to-start-but-not-out-of-a-pause",
        Event.TRIGGERED,
        on.Triggered(at_us=AT_US, trigger="light-bar", category="pursuit"),
        {},
        (
            "recording: open cue=recording set-capture",
            "recording: note=trigger-light-bar",
            "recording: note=trigger-light-bar cue=recording note=stop-cancelled",
            "paused: note=trigger-light-bar",
            "paused-stop-asked: note=trigger-light-bar",
            "recording: note=trigger-light-bar stage=live cue=recording",
            "asleep: deny=trigger cue=refused",
        ),
    ),
    Row(
        "triggered-to-prompt",
        Event.TRIGGERED,
        on.Triggered(at_us=AT_US, trigger="door", category="officer-discretion"),
        {},
        (
            "idle: prompt=start cue=start-prompt",
            "recording: note=trigger-door",
            "stop-asked: note=trigger-door",
            "paused: note=trigger-door",
            "paused-stop-asked: note=trigger-door",
            "post-event: note=trigger-door",
            "asleep: deny=trigger cue=refused",
        ),
    ),
    Row(
        "triggered-for-what-is-not-known",
        Event.TRIGGERED,
        on.Triggered(at_us=AT_US, trigger="door", category="unknown"),
        {},
        (
            "idle: deny=trigger cue=refused",
            "recording: note=trigger-door",
            "stop-asked: note=trigger-door",
            "paused: note=trigger-door",
            "paused-stop-asked: note=trigger-door",
            "post-event: note=trigger-door",
            "asleep: deny=trigger cue=refused",
        ),
    ),
    Row(
        "sleep-switched-on",
        Event.SLEEP_SWITCHED,
        on.SleepSwitched(at_us=AT_US, on=True),
        {},
        (
            "asleep: sleep cue=asleep set-capture clear-ring",
            "recording: deny=sleep cue=refused",
            "stop-asked: deny=sleep cue=refused",
            "paused: deny=sleep cue=refused",
            "paused-stop-asked: deny=sleep cue=refused",
            "post-event: deny=sleep cue=refused",
            "asleep:",
        ),
    ),
    Row(
        "sleep-switched-off",
        Event.SLEEP_SWITCHED,
        on.SleepSwitched(at_us=AT_US, on=False),
        {"sleep_wanted": True},
        (
            "idle:",
            "recording:",
            "stop-asked:",
            "paused:",
            "paused-stop-asked:",
            "post-event:",
            "idle: wake cue=awake set-capture force-keyframe",
        ),
    ),
    Row(
        "docked",
        Event.DOCKED,
        on.Docked(at_us=AT_US, on=True),
        {},
        (
            "idle:",
            "recording:",
            "stop-asked:",
            "paused:",
            "paused-stop-asked:",
            "post-event:",
            "asleep:",
        ),
    ),
    Row(
        "assigned",
        Event.ASSIGNED,
        on.Assigned(at_us=AT_US, officer="b1", role="patrol", unit="u", shift="day"),
        {},
        (
            "idle: assign cue=assigned",
            "recording: assign cue=assigned",
            "stop-asked: assign cue=assigned",
            "paused: assign cue=assigned",
            "paused-stop-asked: assign cue=assigned",
            "post-event: assign cue=assigned",
            "asleep: assign cue=assigned",
        ),
    ),
    Row(
        "assigned-to-nobody",
        Event.ASSIGNED,
        on.Assigned(at_us=AT_US, officer="", role="", unit="", shift=""),
        {"wearer": Wearer("b1")},
        (
            "idle: assign cue=assigned",
            "recording: assign cue=assigned",
            "stop-asked: assign cue=assigned",
            "paused: assign cue=assigned",
            "paused-stop-asked: assign cue=assigned",
            "post-event: assign cue=assigned",
            "asleep: assign cue=assigned",
        ),
    ),
    Row(
        "level-changed",
        Event.LEVEL_CHANGED,
        on.LevelChanged(at_us=AT_US, part="battery", level="low"),
        {},
        (
            "idle: cue=battery-low",
            "recording: cue=battery-low",
            "stop-asked: cue=battery-low",
            "paused: cue=battery-low",
            "paused-stop-asked: cue=battery-low",
            "post-event: cue=battery-low",
            "asleep: cue=battery-low",
        ),
    ),
    Row(
        "readiness",
        Event.READINESS,
        on.Readiness(at_us=AT_US, ready=False, reason="storage-full"),
        {},
        (
            "idle: cue=storage-full",
            "recording: cue=storage-full",
            "stop-asked: cue=storage-full",
            "paused: cue=storage-full",
            "paused-stop-asked: cue=storage-full",
            "post-event: cue=storage-full",
            "asleep: cue=storage-full",
        ),
    ),
    Row(
        "fault-changed",
        Event.FAULT_CHANGED,
        on.FaultChanged(at_us=AT_US, part="camera", present=True),
        {},
        (
            "idle: cue=camera-fault",
            "recording: cue=camera-fault",
            "stop-asked: cue=camera-fault",
            "paused: cue=camera-fault",
            "paused-stop-asked: cue=camera-fault",
            "post-event: cue=camera-fault",
            "asleep: cue=camera-fault",
        ),
    ),
    Row(
        "pre-event-had",
        Event.PRE_EVENT_HAD,
        on.PreEventHad(at_us=AT_US, recording=1, had_us=29_000_000),
        {},
        (
            "idle:",
            "recording:",
            "stop-asked:",
            "paused:",
            "paused-stop-asked:",
            "post-event:",
            "asleep:",
        ),
    ),
    Row(
        "recorder-closed",
        Event.RECORDER_CLOSED,
        on.RecorderClosed(at_us=AT_US, recording=1, how="failed"),
        {},
        (
            "idle:",
            "idle: cue=failed set-capture",
            "idle: cue=failed set-capture",
            "idle: cue=failed set-capture force-keyframe",
            "idle: cue=failed set-capture force-keyframe",
            "idle: cue=failed set-capture",
            "asleep:",
        ),
    ),
    Row(
        "clock-stepped",
        Event.CLOCK_STEPPED,
        on.ClockStepped(at_us=AT_US, step_us=-7_000_000),
        {},
        (
            "idle: note=clock-stepped",
            "recording: note=clock-stepped",
            "stop-asked: note=clock-stepped",
            "paused: note=clock-stepped",
            "paused-stop-asked: note=clock-stepped",
            "post-event: note=clock-stepped",
            "asleep: note=clock-stepped",
        ),
    ),
    Row(
        "shutdown-asked",
        Event.SHUTDOWN_ASKED,
        on.ShutdownAsked(at_us=AT_US),
        {},
        (
            "idle: finish",
            "idle: close cue=stopped set-capture",
            "idle: close cue=stopped set-capture",
            "idle: close cue=stopped set-capture force-keyframe",
            "idle: close cue=stopped set-capture force-keyframe",
            "idle: close cue=stopped set-capture",
            "asleep: finish",
        ),
    ),
    Row(
        "shutdown-asked-with-a-reason-half-given",
        Event.SHUTDOWN_ASKED,
        on.ShutdownAsked(at_us=AT_US),
        {"presses": 2},
        (
            "idle: explain finish",
            "idle: close cue=stopped clear-ring force-keyframe set-capture",
            "idle: close cue=stopped clear-ring force-keyframe set-capture",
            "idle: close cue=stopped clear-ring force-keyframe set-capture force-keyframe",
            "idle: close cue=stopped clear-ring force-keyframe set-capture force-keyframe",
            "idle: close cue=stopped clear-ring force-keyframe set-capture",
            "asleep: explain finish",
        ),
    ),
]
CASES = [(row, phase, row.expected[n]) for row in ROWS for n, phase in enumerate(Phase)]
_DEADLINES = {
    Phase.IDLE: Deadlines(),
    Phase.RECORDING: Deadlines(remind_at_us=LATER_US),
    Phase.STOP_ASKED: Deadlines(remind_at_us=LATER_US, confirm_by_us=LATER_US),
    Phase.PAUSED: Deadlines(remind_at_us=LATER_US),
    Phase.PAUSED_STOP_ASKED: Deadlines(remind_at_us=LATER_US, confirm_by_us=LATER_US),
    Phase.POST_EVENT: Deadlines(post_event_until_us=LATER_US),
    Phase.ASLEEP: Deadlines(remind_at_us=LATER_US),
}


def state_before(phase: Phase, before: dict[str, object]) -> State:
    state = State(
        now_us=AT_US,
        phase=phase,
        recording=1,
        category="" if phase in RESTING else "officer-discretion",
        zone="street",
        sleep_wanted=phase is Phase.ASLEEP,
        deadlines=_DEADLINES[phase],
    )
    changes = dict(before)
    if isinstance(deadlines := changes.pop("deadlines", None), dict):
        changes["deadlines"] = msgspec.structs.replace(state.deadlines, **deadlines)
    if isinstance(presses := changes.pop("presses", None), int):
        changes["explaining"] = Explaining(1, presses, closed=phase in RESTING)
    return msgspec.structs.replace(state, **changes)


def outcome(row: Row, phase: Phase) -> str:
    """The next phase, and the kinds of the commands; a cue and a note with their names."""
    told = row.came if isinstance(row.came, Told) else None
    came = None if isinstance(row.came, Told) else row.came
    moment = Moment(state_before(phase, row.before), FIRST, AT_US, AT_US, told, came)

    def act(moment: Moment) -> Result:
        return machine.TABLE[row.event][phase](moment)

    state, commands = machine._followed(moment, act)
    return " ".join([f"{state.phase.value}:", *map(short, commands)])


def short(command: do.Command) -> str:
    match command:
        case do.Cue():
            return f"cue={command.cue}"
        case do.Note():
            return f"note={command.what}"
        case do.Prompt() | do.Lapse():
            return f"{kind(command)}={command.about}"
        case do.Deny():
            return f"deny={command.what}"
        case do.EnterStage():
            return f"stage={command.stage}"
        case _:
            return kind(command)


def kind(command: do.Command) -> str:
    return str(type(command).__struct_config__.tag)


def test_every_event_and_phase_has_a_row_and_an_expectation() -> None:
    assert list(machine.TABLE) == list(Event)
    assert {event: list(row) for event, row in machine.TABLE.items()} == {event: list(Phase) for event in Event}
    assert {row.event for row in ROWS} == set(Event)
    assert len(ROWS) == len({row.name for row in ROWS})
    assert len(list(Phase)) == 7


def test_every_input_but_edges_and_ticks_is_an_event() -> None:
    assert set(machine._EVENT_OF) | {on.Edge, on.Tick} == set(on.Input.__args__)


def test_every_deadline_of_the_state_has_its_event() -> None:
    events = [event for event in machine._DUE if isinstance(event, Event)]
    assert len(events) == len(set(events)) == len(Deadlines.__struct_fields__)


@pytest.mark.parametrize(
    ("row", "phase", "expected"), CASES, ids=[f"{row.name}-{phase.value}" for row, phase, _ in CASES]
)
def test_table(row: Row, phase: Phase, expected: str) -> None:
    assert outcome(row, phase) == expected

"""The policy machine: `step(state, input, policy) -> state, commands`. PURE and total.

The rules:
1. Effective time is the later of the input's stamp and the last effective time. Deadlines up to it fire first, each at
   its own time (E10). An input that means nothing in a phase changes nothing.
2. `TABLE` has a row for every event and an action for every phase; there is no other place where a phase changes.
3. What may be held of what is captured is a function of the state (`state.capture`); whenever it changes, the commands
   that make it so are added in one place (`_follow_capture`).
"""

from collections.abc import Mapping

import msgspec

from device.policy import commands as do
from device.policy import conditions, explaining, gestures, pausing, recording
from device.policy import inputs as on
from device.policy.gestures import Told
from device.policy.model import Policy
from device.policy.recording import Action, nothing
from device.policy.state import RESTING, Capture, Commands, Event, Moment, Phase, Result, State, capture, under

MACHINE_VERSION = "machine-4"


def step(state: State, came: on.Input, policy: Policy) -> Result:
    """Everything the device decides. Never raises for any state that it returned and any input."""
    at_us = max(came.at_us, state.now_us)
    decided: Commands = ()
    while (due := _next_deadline(state, policy)) is not None and due[0] <= at_us:
        state, commands = _fire(state, policy, due[0], due[1], at_us)
        decided += commands
    if isinstance(came, on.Tick):
        return msgspec.structs.replace(state, now_us=at_us), decided
    moment = Moment(msgspec.structs.replace(state, now_us=at_us), policy, at_us, at_us, None, came)
    state, commands = _followed(moment, _take)
    return state, decided + commands


def take_policy(state: State, old: Policy, new: Policy, now_us: int) -> Result:
    """Another policy takes the place of one, while nothing is recorded (`at_rest`): the state that it begins with, which
    the journal's record of the change holds, and what follows for what may be held."""
    begun = under(state, new)
    return begun, _follow_capture(capture(state, old), capture(begun, new), now_us)


def next_deadline_us(state: State, policy: Policy) -> int | None:
    """When `step` wants a `Tick` if nothing else comes."""
    due = _next_deadline(state, policy)
    return None if due is None else due[0]


# -- time and inputs ------------------------------------------------------------------------------------------------


def _next_deadline(state: State, policy: Policy) -> tuple[int, Event | str] | None:
    """The earliest deadline, and the event that it is or the button whose time has come; of equal ones the first."""
    double_us = policy.gestures.double_press_ms * 1000
    confirm_by_us, *others = msgspec.structs.astuple(state.deadlines)
    pressed_us = state.record.waiting_us
    if confirm_by_us is not None and pressed_us is not None and pressed_us <= confirm_by_us:
        confirm_by_us = None  # that press may be the confirmation
    times_us = (
        gestures.deadline_us(state.record, double_us),
        gestures.deadline_us(state.function, double_us),
        confirm_by_us,
        *others,
    )
    waiting = [at_us for at_us in times_us if at_us is not None]
    if not waiting:
        return None
    first_us = min(waiting)
    return first_us, _DUE[times_us.index(first_us)]


def _fire(state: State, policy: Policy, due_us: int, due: Event | str, until_us: int) -> Result:
    moment = Moment(msgspec.structs.replace(state, now_us=due_us), policy, due_us, until_us)
    return _followed(moment, lambda moment: _fall_due(moment, due))


def _fall_due(moment: Moment, due: Event | str) -> Result:
    state = moment.state
    if isinstance(due, Event):
        return TABLE[due][state.phase](moment)
    button, told = gestures.elapsed(state.record if due == "record" else state.function)
    return _gesture(moment.changed(**{due: button}), due, told)


def _take(moment: Moment) -> Result:
    came = moment.came
    if isinstance(came, on.Edge):
        return _edge(moment, came)
    return TABLE[_EVENT_OF[type(came)]][moment.state.phase](moment)


def _edge(moment: Moment, edge: on.Edge) -> Result:
    if edge.button not in ("record", "function"):
        return moment.state, ()
    if edge.button == "function" and edge.pressed and moment.state.explaining is not None:
        return TABLE[Event.COUNTED][moment.state.phase](moment)
    double_us = moment.policy.gestures.double_press_ms * 1000
    button = moment.state.record if edge.button == "record" else moment.state.function
    if edge.pressed:
        hold, hold_us = _hold(moment, edge.button)
        button, told = gestures.pressed(button, moment.at_us, double_us, hold, hold_us)
    else:
        button, told = gestures.released(button, moment.at_us, double_us)
    state = msgspec.structs.replace(moment.state, **{edge.button: button})
    return (state, ()) if told is None else _gesture(moment.after(state), edge.button, told)


def _hold(moment: Moment, button: str) -> tuple[str, int]:
    """What a hold that begins now means, and its length in µs."""
    timings = moment.policy.gestures
    if button == "function":
        return "function-hold", timings.mute_hold_ms * 1000
    if moment.state.phase in RESTING:
        return "emergency-hold", timings.emergency_hold_ms * 1000
    return "stop-hold", timings.stop_hold_ms * 1000


def _gesture(moment: Moment, button: str, told: Told) -> Result:
    event = _GESTURES[button, told.gesture]
    return TABLE[event][moment.state.phase](msgspec.structs.replace(moment, told=told))


def _followed(moment: Moment, act: Action) -> Result:
    """Act, then make what may be held follow the new state."""
    before, (state, commands) = moment.state, act(moment)
    if (before.phase, before.zone, before.muted) == (state.phase, state.zone, state.muted):
        return state, commands
    follow = _follow_capture(capture(before, moment.policy), capture(state, moment.policy), moment.at_us)
    return state, commands + follow


def _follow_capture(before: Capture, after: Capture, at_us: int) -> Commands:
    if before == after:
        return ()
    follow: list[do.Command] = [_set_capture(after, at_us)]
    lost_pictures = before.pre_video and not after.pre_video
    lost_sound = before.pre_audio and not after.pre_audio
    everything = lost_pictures or (before.video and not after.video)
    if everything or lost_sound:
        follow.append(do.ClearRing(at_us=at_us, clause="zones", sound_only=not everything))
    if after.video and (everything or not before.video):
        follow.append(do.ForceKeyframe(at_us=at_us, clause="zones"))
    return tuple(follow)


def _set_capture(after: Capture, at_us: int) -> do.SetCapture:
    return do.SetCapture(
        at_us=at_us,
        clause="zones",
        zone=after.zone,
        muted=after.muted,
        paused=after.paused,
        video=after.video,
        audio=after.audio,
        pre_video=after.pre_video,
        pre_audio=after.pre_audio,
    )


# -- the table ------------------------------------------------------------------------------------------------------

_EVENT_OF: Mapping[type, Event] = {
    on.ZoneEntered: Event.ZONE_ENTERED,
    on.Triggered: Event.TRIGGERED,
    on.SleepSwitched: Event.SLEEP_SWITCHED,
    on.Docked: Event.DOCKED,
    on.Assigned: Event.ASSIGNED,
    on.LevelChanged: Event.LEVEL_CHANGED,
    on.Readiness: Event.READINESS,
    on.FaultChanged: Event.FAULT_CHANGED,
    on.PreEventHad: Event.PRE_EVENT_HAD,
    on.RecorderClosed: Event.RECORDER_CLOSED,
    on.ClockStepped: Event.CLOCK_STEPPED,
    on.ShutdownAsked: Event.SHUTDOWN_ASKED,
}
# The buttons, and the deadlines in the order of `Deadlines`.
_DUE: tuple[Event | str, ...] = (
    "record",
    "function",
    Event.CONFIRM_LAPSED,
    Event.POST_EVENT_OVER,
    Event.MUTE_OVER,
    Event.REMINDER_DUE,
    Event.NOTICE_DUE,
    Event.NOTICE_OVER,
    Event.JUSTIFY_OVER,
    Event.PROMPT_OVER,
    Event.COUNT_OVER,
    Event.REASON_OVER,
)
_GESTURES: Mapping[tuple[str, str], Event] = {
    ("record", "press"): Event.RECORD_PRESS,
    ("record", "double"): Event.RECORD_DOUBLE,
    ("record", "emergency-hold"): Event.EMERGENCY_HOLD,
    ("record", "stop-hold"): Event.STOP_HOLD,
    ("function", "press"): Event.FUNCTION_PRESS,
    ("function", "double"): Event.FUNCTION_DOUBLE,
    ("function", "function-hold"): Event.FUNCTION_HOLD,
}


def _row(*actions: Action) -> Mapping[Phase, Action]:
    """One action a phase, in the order of `Phase`."""
    return dict(zip(Phase, actions, strict=True))


def _everywhere(action: Action) -> Mapping[Phase, Action]:
    return dict.fromkeys(Phase, action)


def _open_or_not(resting: Action, opened: Action) -> Mapping[Phase, Action]:
    """One action while nothing is open, another while something is."""
    return {phase: resting if phase in RESTING else opened for phase in Phase}


_ = nothing
_status, _not_now, _mark, _mute = recording.status, recording.not_now, recording.mark, pausing.toggle_mute
_start, _resume, _live = recording.start, pausing.resume, recording.resume_live
_emergency, _record_on, _take_back = recording.emergency_start, recording.record_on, recording.take_back
_ask = recording.ask_stop(Phase.STOP_ASKED)
_ask_paused = recording.ask_stop(Phase.PAUSED_STOP_ASKED)
_on_record = recording.go_on(Phase.RECORDING, "stop-lapsed")
_on_pause = recording.go_on(Phase.PAUSED, "stop-lapsed")
_confirm, _stop_paused = recording.confirm_stop, recording.stop_while_paused
_pause, _pause_post = pausing.pause, pausing.pause_in_post_event
_over, _unmute = recording.post_event_over, pausing.unmute
_count, _counted, _window_over = explaining.count, explaining.count_over, explaining.window_over
_stealth, _no_start, _unjustified = (
    conditions.toggle_stealth,
    conditions.start_not_made,
    conditions.not_justified,
)

# Each row: idle, recording, stop asked, paused, paused with stop asked, post-event, asleep.
TABLE: Mapping[Event, Mapping[Phase, Action]] = {
    Event.RECORD_PRESS: _row(_status, _status, _confirm, _status, _stop_paused, _status, _status),
    Event.RECORD_DOUBLE: _row(_start, _record_on, _take_back, _resume, _resume, _live, _start),
    Event.EMERGENCY_HOLD: _row(_emergency, _record_on, _take_back, _, _, _live, _emergency),
    Event.STOP_HOLD: _row(_, _ask, _ask, _ask_paused, _ask_paused, _, _),
    Event.FUNCTION_PRESS: _row(_status, _mark, _mark, _not_now, _not_now, _mark, _status),
    Event.FUNCTION_DOUBLE: _row(_not_now, _pause, _pause, _not_now, _not_now, _pause_post, _not_now),
    Event.FUNCTION_HOLD: _row(_stealth, _mute, _mute, _not_now, _not_now, _mute, _not_now),
    Event.CONFIRM_LAPSED: _row(_, _, _on_record, _, _on_pause, _, _),
    Event.POST_EVENT_OVER: _row(_, _, _, _, _, _over, _),
    Event.REMINDER_DUE: _row(_, *[pausing.remind] * 6),
    Event.MUTE_OVER: _open_or_not(_, _unmute),
    Event.NOTICE_DUE: _open_or_not(_, recording.ask_notice),
    Event.NOTICE_OVER: _open_or_not(_, recording.notice_over),
    Event.JUSTIFY_OVER: _row(_, _unjustified, _unjustified, _, _, _unjustified, _),
    Event.PROMPT_OVER: _row(_no_start, _, _, _, _, _, _),
    Event.COUNTED: _row(_count, _, _, _, _, _count, _count),
    Event.COUNT_OVER: _row(_counted, _, _, _, _, _counted, _counted),
    Event.REASON_OVER: _row(_window_over, _, _, _, _, _window_over, _window_over),
    Event.ZONE_ENTERED: _everywhere(conditions.enter_zone),
    Event.TRIGGERED: _row(
        conditions.trigger_idle,
        conditions.trigger_recording,
        conditions.trigger_stop_asked,
        conditions.trigger_paused,
        conditions.trigger_paused,
        conditions.trigger_post_event,
        conditions.trigger_asleep,
    ),
    Event.SLEEP_SWITCHED: _row(conditions.sleep_idle, *[conditions.sleep_recording] * 5, conditions.sleep_asleep),
    Event.DOCKED: _everywhere(_),
    Event.ASSIGNED: _everywhere(conditions.assign),
    Event.LEVEL_CHANGED: _everywhere(conditions.note_level),
    Event.READINESS: _everywhere(conditions.note_readiness),
    Event.FAULT_CHANGED: _everywhere(conditions.note_fault),
    Event.PRE_EVENT_HAD: _everywhere(conditions.note_had),
    Event.RECORDER_CLOSED: _open_or_not(conditions.note_closed_at_rest, conditions.note_closed),
    Event.CLOCK_STEPPED: _everywhere(conditions.note_step),
    Event.SHUTDOWN_ASKED: _open_or_not(conditions.shut_down_at_rest, conditions.shut_down_open),
}

"""The policy machine: `step(state, input, policy) -> state, commands`. PURE and total.

The rules:
1. Effective time is the later of the input's stamp and the last effective time. Deadlines up to it fire first, each at
   its own time (E10). An input that means nothing in a phase changes nothing.
2. `TABLE` has a row for every event and an action for every phase; there is no other place where a phase changes.
3. What may be held of what is captured is a function of the state (`capture`); whenever it changes, the commands that
   make it so are added in one place (`_follow_capture`).
"""

from collections.abc import Callable, Mapping
from enum import Enum

import msgspec

from device.policy import commands as do
from device.policy import gestures
from device.policy import inputs as on
from device.policy.gestures import Button, Told
from device.policy.model import Policy, Zone

MACHINE_VERSION = "machine-1"
MOST_REMINDERS_UNSEEN = 100
"""So many reminders at once still fit in one journal line; only a loop that stood still for longer asks for more."""


class Phase(Enum):
    IDLE = "idle"
    RECORDING = "recording"
    STOP_ASKED = "stop-asked"
    PAUSED = "paused"
    PAUSED_STOP_ASKED = "paused-stop-asked"
    POST_EVENT = "post-event"


class Event(Enum):
    """What an action answers: gestures, deadlines and inputs."""

    RECORD_PRESS = "record-press"
    RECORD_DOUBLE = "record-double-press"
    EMERGENCY_HOLD = "record-hold-while-idle"
    STOP_HOLD = "record-hold"
    FUNCTION_PRESS = "function-press"
    FUNCTION_DOUBLE = "function-double-press"
    FUNCTION_HOLD = "function-hold"
    CONFIRM_LAPSED = "confirm-lapsed"
    POST_EVENT_OVER = "post-event-over"
    REMINDER_DUE = "reminder-due"
    MUTE_OVER = "mute-over"
    ZONE_ENTERED = "zone-entered"
    READINESS = "readiness"
    FAULT_CHANGED = "fault-changed"
    PRE_EVENT_HAD = "pre-event-had"
    RECORDER_CLOSED = "recorder-closed"
    CLOCK_STEPPED = "clock-stepped"
    SHUTDOWN_ASKED = "shutdown-asked"


class Deadlines(msgspec.Struct, frozen=True):
    """Boot times in µs at which time alone decides; None where nothing waits."""

    confirm_by_us: int | None = None
    post_event_until_us: int | None = None
    remind_at_us: int | None = None
    unmute_at_us: int | None = None


class State(msgspec.Struct, frozen=True, kw_only=True):
    """All that the machine remembers. `recording` counts recordings begun; the open one has this number.
    `closing`: recordings told to close of which the recorder has not said that they are."""

    now_us: int
    phase: Phase = Phase.IDLE
    recording: int = 0
    had_us: int = 0
    zone: str
    muted: bool = False
    ready: bool = True
    not_ready: str = ""
    faults: tuple[str, ...] = ()
    shutting_down: bool = False
    finished: bool = False
    closing: tuple[int, ...] = ()
    record: Button = Button()
    function: Button = Button()
    deadlines: Deadlines = Deadlines()


class Capture(msgspec.Struct, frozen=True):
    """What may be held of what is captured in a state, and what of it a later press may reach back to (E1)."""

    zone: str
    muted: bool
    paused: bool
    video: bool
    audio: bool
    pre_video: bool
    pre_audio: bool


Commands = tuple[do.Command, ...]
Result = tuple[State, Commands]
Action = Callable[["Moment"], Result]

_PAUSED = (Phase.PAUSED, Phase.PAUSED_STOP_ASKED)
_KEEPING = (Phase.RECORDING, Phase.STOP_ASKED, Phase.POST_EVENT)


class Moment(msgspec.Struct, frozen=True):
    """What an action sees: the state, the policy, the effective time, what came (a gesture or an input), and the
    effective time of the input that brought this step about, up to which deadlines are being fired."""

    state: State
    policy: Policy
    at_us: int
    until_us: int
    told: Told | None = None
    came: on.Input | None = None

    @property
    def zone(self) -> Zone:
        return self.policy.zones[self.state.zone]

    def becomes(self, *commands: do.Command, **changes: object) -> Result:
        return msgspec.structs.replace(self.state, **changes), commands

    def cue(self, cue: str, clause: str) -> do.Cue:
        return do.Cue(at_us=self.at_us, clause=clause, cue=cue)


def initial_state(policy: Policy, now_us: int) -> State:
    """Where a boot begins; the journal's boot record holds it."""
    return State(now_us=now_us, zone=policy.initial_zone)


def step(state: State, came: on.Input, policy: Policy) -> Result:
    """Everything the device decides. Never raises for any state that it returned and any input."""
    at_us = max(came.at_us, state.now_us)
    decided: list[do.Command] = []
    while (due := _next_deadline(state, policy)) is not None and due[0] <= at_us:
        state, commands = _fire(state, policy, due[0], due[1], at_us)
        decided += commands
    state, commands = _followed(state, policy, at_us, at_us, lambda moment: _take(moment, came))
    return state, (*decided, *commands)


def next_deadline_us(state: State, policy: Policy) -> int | None:
    """When `step` wants a `Tick` if nothing else comes."""
    due = _next_deadline(state, policy)
    return None if due is None else due[0]


def capture(state: State, policy: Policy) -> Capture:
    """What may be held now: while recording, pictures, and sound unless muted; while idle, what the zone's pre-event
    mode says; while paused, nothing."""
    keeping, idle = state.phase in _KEEPING, state.phase is Phase.IDLE
    mode = policy.pre_event_mode(state.zone)
    return Capture(
        zone=state.zone,
        muted=state.muted,
        paused=state.phase in _PAUSED,
        video=keeping or (idle and mode != "off"),
        audio=(keeping and not state.muted) or (idle and mode == "video+audio"),
        pre_video=mode != "off",
        pre_audio=mode == "video+audio",
    )


# -- time and inputs ------------------------------------------------------------------------------------------------


def _next_deadline(state: State, policy: Policy) -> tuple[int, str] | None:
    """The earliest deadline and its name; of equal ones the first of this list."""
    double_us = policy.gestures.double_press_ms * 1000
    waiting_us, confirm_by_us = state.record.waiting_us, state.deadlines.confirm_by_us
    press_may_confirm = waiting_us is not None and confirm_by_us is not None and waiting_us <= confirm_by_us
    candidates = (
        (gestures.deadline_us(state.record, double_us), "record"),
        (gestures.deadline_us(state.function, double_us), "function"),
        (None if press_may_confirm else confirm_by_us, "confirm"),
        (state.deadlines.post_event_until_us, "post-event"),
        (state.deadlines.unmute_at_us, "unmute"),
        (state.deadlines.remind_at_us, "remind"),
    )
    return min(((at, name) for at, name in candidates if at is not None), key=lambda due: due[0], default=None)


def _fire(state: State, policy: Policy, due_us: int, deadline: str, until_us: int) -> Result:
    return _followed(state, policy, due_us, until_us, lambda moment: _fall_due(moment, deadline))


def _fall_due(moment: Moment, deadline: str) -> Result:
    state = moment.state
    if deadline == "record":
        button, told = gestures.elapsed(state.record)
        return _gesture(_with_state(moment, record=button), "record", told)
    if deadline == "function":
        button, told = gestures.elapsed(state.function)
        return _gesture(_with_state(moment, function=button), "function", told)
    event = {
        "confirm": Event.CONFIRM_LAPSED,
        "post-event": Event.POST_EVENT_OVER,
        "unmute": Event.MUTE_OVER,
        "remind": Event.REMINDER_DUE,
    }[deadline]
    return TABLE[event][state.phase](moment)


def _take(moment: Moment, came: on.Input) -> Result:
    moment = msgspec.structs.replace(moment, came=came)
    if isinstance(came, on.Tick):
        return moment.state, ()
    if isinstance(came, on.Edge):
        return _edge(moment, came)
    return TABLE[_EVENT_OF[type(came)]][moment.state.phase](moment)


def _edge(moment: Moment, edge: on.Edge) -> Result:
    if edge.button not in ("record", "function"):
        return moment.state, ()
    timings = moment.policy.gestures
    double_us = timings.double_press_ms * 1000
    button = moment.state.record if edge.button == "record" else moment.state.function
    if edge.pressed:
        hold, hold_us = _hold(moment, edge.button)
        button, told = gestures.pressed(button, moment.at_us, double_us, hold, hold_us)
    else:
        button, told = gestures.released(button, moment.at_us, double_us)
    moment = _with_state(moment, **{edge.button: button})
    return (moment.state, ()) if told is None else _gesture(moment, edge.button, told)


def _hold(moment: Moment, button: str) -> tuple[str, int]:
    """What a hold that begins now means, and its length in µs."""
    timings = moment.policy.gestures
    if button == "function":
        return "function-hold", timings.mute_hold_ms * 1000
    if moment.state.phase is Phase.IDLE:
        return "emergency-hold", timings.emergency_hold_ms * 1000
    return "stop-hold", timings.stop_hold_ms * 1000


def _gesture(moment: Moment, button: str, told: Told) -> Result:
    event = {
        ("record", "press"): Event.RECORD_PRESS,
        ("record", "double"): Event.RECORD_DOUBLE,
        ("record", "emergency-hold"): Event.EMERGENCY_HOLD,
        ("record", "stop-hold"): Event.STOP_HOLD,
        ("function", "press"): Event.FUNCTION_PRESS,
        ("function", "double"): Event.FUNCTION_DOUBLE,
        ("function", "function-hold"): Event.FUNCTION_HOLD,
    }[button, told.gesture]
    return TABLE[event][moment.state.phase](msgspec.structs.replace(moment, told=told))


def _with_state(moment: Moment, **changes: object) -> Moment:
    return msgspec.structs.replace(moment, state=msgspec.structs.replace(moment.state, **changes))


def _followed(state: State, policy: Policy, at_us: int, until_us: int, act: Action) -> Result:
    """Act at `at_us`, then make what may be held follow the new state."""
    before = capture(state, policy)
    state, commands = act(Moment(msgspec.structs.replace(state, now_us=at_us), policy, at_us, until_us))
    return state, (*commands, *_follow_capture(before, capture(state, policy), policy, at_us))


def _follow_capture(before: Capture, after: Capture, policy: Policy, at_us: int) -> Commands:
    if before == after:
        return ()
    follow: list[do.Command] = [
        do.SetCapture(
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
    ]
    modes = ("off", "video", "video+audio")
    stricter = modes.index(policy.pre_event_mode(after.zone)) < modes.index(policy.pre_event_mode(before.zone))
    if (before.video and not after.video) or stricter:
        follow.append(do.ClearRing(at_us=at_us, clause="zones"))
    if after.video and (stricter or not before.video):
        follow.append(do.ForceKeyframe(at_us=at_us, clause="zones"))
    return tuple(follow)


# -- actions --------------------------------------------------------------------------------------------------------


def _nothing(moment: Moment) -> Result:
    return moment.state, ()


def _status(moment: Moment) -> Result:
    return moment.becomes(moment.cue("status", "gestures"))


def _not_now(moment: Moment) -> Result:
    return moment.becomes(moment.cue("refused", "gestures"))


def _start(moment: Moment) -> Result:
    if moment.zone.start == "deny":
        return _refuse(moment, "record-double-press", "zone-denies")
    return _open(moment, "record-double-press", moment.policy.default_category, override=False)


def _emergency_start(moment: Moment) -> Result:
    if moment.zone.start == "deny" and not moment.zone.override:
        return _refuse(moment, "record-hold", "zone-denies")
    denied = moment.zone.start == "deny"
    return _open(moment, "record-hold", moment.policy.override_category, override=denied)


def _refuse(moment: Moment, trigger: str, reason: str) -> Result:
    return moment.becomes(
        do.Refuse(at_us=moment.at_us, clause="zones", trigger=trigger, zone=moment.state.zone, reason=reason),
        moment.cue("refused", "zones"),
    )


def _open(moment: Moment, trigger: str, category: str, *, override: bool) -> Result:
    state, at_us = moment.state, moment.at_us
    if state.shutting_down or not state.ready:
        return _refuse(moment, trigger, "shutting-down" if state.shutting_down else state.not_ready or "not-ready")
    mode = moment.policy.pre_event_mode(state.zone)
    back_us = min(at_us, moment.policy.pre_event.length_s * 1_000_000)
    return moment.becomes(
        do.Open(
            at_us=at_us,
            clause="zones",
            recording=state.recording + 1,
            trigger=trigger,
            category=category,
            zone=state.zone,
            override=override,
            pre_event=mode.replace("+", "-and-"),
            pre_event_asked_us=0 if mode == "off" else back_us,
            video_from_us=at_us if mode == "off" else at_us - back_us,
            audio_from_us=at_us - back_us if mode == "video+audio" else at_us,
        ),
        moment.cue("override" if override else "recording", "zones"),
        phase=Phase.RECORDING,
        recording=state.recording + 1,
        had_us=0,
        muted=False,
        deadlines=Deadlines(remind_at_us=_next_reminder(moment)),
    )


def _affirm(moment: Moment) -> Result:
    return moment.becomes(moment.cue("recording", "gestures"))


def _ask_stop(phase: Phase) -> Action:
    def ask(moment: Moment) -> Result:
        state = moment.state
        by_us = moment.at_us + moment.policy.stop.confirm_s * 1_000_000
        return moment.becomes(
            moment.cue("stop-asked", "stop"),
            _note(moment, "stop-asked", "stop"),
            phase=phase,
            deadlines=msgspec.structs.replace(state.deadlines, confirm_by_us=by_us),
        )

    return ask


def _go_on(phase: Phase, why: str) -> Action:
    """A stop that was asked for does not come: nobody confirmed it, or it was taken back."""

    def go_on(moment: Moment) -> Result:
        return moment.becomes(
            moment.cue("recording" if phase is Phase.RECORDING else "paused", "stop"),
            _note(moment, why, "stop"),
            phase=phase,
            deadlines=msgspec.structs.replace(moment.state.deadlines, confirm_by_us=None),
        )

    return go_on


def _confirm_stop(moment: Moment) -> Result:
    """The stop is confirmed by a press within the window: post-event time follows."""
    length_us = moment.policy.post_event.length_s * 1_000_000
    if length_us == 0:
        return _close(moment, "stopped", moment.policy.stop.default_reason, "stop")
    return moment.becomes(
        do.EnterStage(at_us=moment.at_us, clause="post-event", recording=moment.state.recording, stage="post"),
        moment.cue("post-event", "post-event"),
        phase=Phase.POST_EVENT,
        deadlines=msgspec.structs.replace(
            moment.state.deadlines,
            confirm_by_us=None,
            remind_at_us=None,
            post_event_until_us=moment.at_us + length_us,
        ),
    )


def _stop_while_paused(moment: Moment) -> Result:
    return _close(moment, "stopped", moment.policy.pause.reason, "pause")


def _post_event_over(moment: Moment) -> Result:
    return _close(moment, "stopped", moment.policy.stop.default_reason, "post-event")


def _close(moment: Moment, how: str, reason: str, clause: str) -> Result:
    state = moment.state
    marks = _unsaid_mark(moment)
    return moment.becomes(
        *marks,
        do.Close(
            at_us=moment.at_us, clause=clause, recording=state.recording, to_us=moment.at_us, how=how, reason=reason
        ),
        moment.cue("stopped", clause),
        function=Button() if marks else state.function,
        phase=Phase.IDLE,
        muted=False,
        closing=(*state.closing, state.recording),
        deadlines=Deadlines(),
    )


def _unsaid_mark(moment: Moment) -> Commands:
    """A press for a marker that still waits for its window to pass is not lost with the recording that it marks."""
    button = moment.state.function
    if button.waiting_us is None or button.down_us is not None or moment.state.phase in _PAUSED:
        return ()
    return (_marker(moment, button.waiting_us),)


def _resume_live(moment: Moment) -> Result:
    """A double press in the post-event time: the same recording goes on."""
    return moment.becomes(
        do.EnterStage(at_us=moment.at_us, clause="post-event", recording=moment.state.recording, stage="live"),
        moment.cue("recording", "post-event"),
        phase=Phase.RECORDING,
        deadlines=msgspec.structs.replace(
            moment.state.deadlines, post_event_until_us=None, remind_at_us=_next_reminder(moment)
        ),
    )


def _mark(moment: Moment) -> Result:
    assert moment.told is not None, "a marker comes from a press"
    return moment.becomes(_marker(moment, moment.told.pressed_us), moment.cue("marker", "gestures"))


def _marker(moment: Moment, marked_us: int) -> do.Mark:
    return do.Mark(at_us=moment.at_us, clause="gestures", recording=moment.state.recording, marked_us=marked_us)


def _pause(moment: Moment) -> Result:
    """A private pause: a marker, then nothing more is recorded or held until a double press on record."""
    if not moment.policy.pause.allowed:
        return _not_now(moment)
    state, at_us = moment.state, moment.at_us
    return moment.becomes(
        do.Mark(at_us=at_us, clause="pause", recording=state.recording, marked_us=at_us),
        do.Pause(at_us=at_us, clause="pause", recording=state.recording, reason=moment.policy.pause.reason),
        moment.cue("paused", "pause"),
        phase=Phase.PAUSED,
        deadlines=msgspec.structs.replace(state.deadlines, confirm_by_us=None, remind_at_us=_next_reminder(moment)),
    )


def _pause_in_post_event(moment: Moment) -> Result:
    """A private pause has no post-event time: what was asked to stop stops now."""
    if not moment.policy.pause.allowed:
        return _not_now(moment)
    return _close(moment, "stopped", moment.policy.pause.reason, "pause")


def _resume_from_pause(moment: Moment) -> Result:
    return moment.becomes(
        do.Resume(at_us=moment.at_us, clause="pause", recording=moment.state.recording),
        moment.cue("recording", "pause"),
        phase=Phase.RECORDING,
        deadlines=msgspec.structs.replace(
            moment.state.deadlines, confirm_by_us=None, remind_at_us=_next_reminder(moment)
        ),
    )


def _toggle_mute(moment: Moment) -> Result:
    if moment.state.muted:
        return _unmute(moment)
    if not moment.policy.mute.allowed:
        return _not_now(moment)
    state = moment.state
    return moment.becomes(
        do.Mute(at_us=moment.at_us, clause="mute", recording=state.recording, reason=moment.policy.mute.reason),
        moment.cue("muted", "mute"),
        muted=True,
        deadlines=msgspec.structs.replace(
            state.deadlines, unmute_at_us=moment.at_us + moment.policy.mute.limit_s * 1_000_000
        ),
    )


def _unmute(moment: Moment) -> Result:
    return moment.becomes(
        do.Unmute(at_us=moment.at_us, clause="mute", recording=moment.state.recording),
        moment.cue("unmuted", "mute"),
        muted=False,
        deadlines=msgspec.structs.replace(moment.state.deadlines, unmute_at_us=None),
    )


def _remind(moment: Moment) -> Result:
    state = moment.state
    cue = "remind-paused" if state.phase in _PAUSED else "remind-muted" if state.muted else "remind-recording"
    return moment.becomes(
        moment.cue(cue, "reminder"),
        deadlines=msgspec.structs.replace(state.deadlines, remind_at_us=_next_reminder(moment)),
    )


def _next_reminder(moment: Moment) -> int:
    """One period on; where too many periods passed unseen to say each (E10), one reminder stands for them."""
    every_us = moment.policy.reminder.every_s * 1_000_000
    unseen = (moment.until_us - moment.at_us) // every_us
    return moment.at_us + every_us * (unseen if unseen > MOST_REMINDERS_UNSEEN else 1)


def _enter_zone(moment: Moment) -> Result:
    assert isinstance(moment.came, on.ZoneEntered)
    if moment.came.zone not in moment.policy.zones:
        return moment.becomes(moment.cue("fault", "zones"))
    if moment.came.zone == moment.state.zone:
        return _nothing(moment)
    return moment.becomes(moment.cue("zone", "zones"), zone=moment.came.zone)


def _note_readiness(moment: Moment) -> Result:
    assert isinstance(moment.came, on.Readiness)
    cues = () if moment.came.ready == moment.state.ready else (moment.cue(_readiness_cue(moment.came), "readiness"),)
    return moment.becomes(*cues, ready=moment.came.ready, not_ready="" if moment.came.ready else moment.came.reason)


def _readiness_cue(came: on.Readiness) -> str:
    """Storage that is full has a cue of its own; any other reason is a fault."""
    if came.ready:
        return "ready"
    return "storage-full" if came.reason == "storage-full" else "fault"


def _note_fault(moment: Moment) -> Result:
    assert isinstance(moment.came, on.FaultChanged)
    others = {part for part in moment.state.faults if part != moment.came.part}
    faults = tuple(sorted(others | {moment.came.part} if moment.came.present else others))
    if faults == moment.state.faults:
        return _nothing(moment)
    return moment.becomes(moment.cue("fault" if moment.came.present else "fault-over", "readiness"), faults=faults)


def _note_had(moment: Moment) -> Result:
    assert isinstance(moment.came, on.PreEventHad)
    current = moment.came.recording == moment.state.recording
    return moment.becomes(had_us=moment.came.had_us) if current else _nothing(moment)


def _note_closed_idle(moment: Moment) -> Result:
    assert isinstance(moment.came, on.RecorderClosed)
    closing = tuple(r for r in moment.state.closing if r != moment.came.recording)
    return _finished(*moment.becomes(closing=closing), moment.at_us)


def _note_closed(moment: Moment) -> Result:
    """The recorder ended a recording; when it is the open one, it could not go on."""
    assert isinstance(moment.came, on.RecorderClosed)
    if moment.came.recording != moment.state.recording:
        return _note_closed_idle(moment)
    return _finished(
        *moment.becomes(moment.cue("failed", "readiness"), phase=Phase.IDLE, muted=False, deadlines=Deadlines()),
        moment.at_us,
    )


def _note_step(moment: Moment) -> Result:
    assert isinstance(moment.came, on.ClockStepped)
    return moment.becomes(
        do.Note(
            at_us=moment.at_us,
            clause="clock",
            recording=moment.state.recording,
            what="clock-stepped",
            value=moment.came.step_us,
        )
    )


def _shut_down_idle(moment: Moment) -> Result:
    return _finished(*moment.becomes(shutting_down=True), moment.at_us)


def _shut_down_open(moment: Moment) -> Result:
    """Shutdown closes what is open, now: there may be no power for a post-event time."""
    closed, commands = _close(moment, "shutdown", moment.policy.stop.default_reason, "shutdown")
    return msgspec.structs.replace(closed, shutting_down=True), commands


def _finished(state: State, commands: Commands, at_us: int) -> Result:
    if not state.shutting_down or state.closing or state.finished:
        return state, commands
    return msgspec.structs.replace(state, finished=True), (*commands, do.Finish(at_us=at_us, clause="shutdown"))


def _note(moment: Moment, what: str, clause: str) -> do.Note:
    return do.Note(at_us=moment.at_us, clause=clause, recording=moment.state.recording, what=what, value=0)


# -- the table ------------------------------------------------------------------------------------------------------

_EVENT_OF: Mapping[type, Event] = {
    on.ZoneEntered: Event.ZONE_ENTERED,
    on.Readiness: Event.READINESS,
    on.FaultChanged: Event.FAULT_CHANGED,
    on.PreEventHad: Event.PRE_EVENT_HAD,
    on.RecorderClosed: Event.RECORDER_CLOSED,
    on.ClockStepped: Event.CLOCK_STEPPED,
    on.ShutdownAsked: Event.SHUTDOWN_ASKED,
}


def _row(*actions: Action) -> Mapping[Phase, Action]:
    """One action a phase, in the order of `Phase`."""
    return dict(zip(Phase, actions, strict=True))


def _everywhere(action: Action) -> Mapping[Phase, Action]:
    return dict.fromkeys(Phase, action)


_taken_back = _go_on(Phase.RECORDING, "stop-cancelled")
_on_record = _go_on(Phase.RECORDING, "stop-lapsed")
_on_pause = _go_on(Phase.PAUSED, "stop-lapsed")
_ask = _ask_stop(Phase.STOP_ASKED)
_ask_paused = _ask_stop(Phase.PAUSED_STOP_ASKED)

# Each row: idle, recording, stop asked, paused, paused with stop asked, post-event.
TABLE: Mapping[Event, Mapping[Phase, Action]] = {
    Event.RECORD_PRESS: _row(_status, _status, _confirm_stop, _status, _stop_while_paused, _status),
    Event.RECORD_DOUBLE: _row(_start, _affirm, _taken_back, _resume_from_pause, _resume_from_pause, _resume_live),
    Event.EMERGENCY_HOLD: _row(_emergency_start, _affirm, _taken_back, _nothing, _nothing, _resume_live),
    Event.STOP_HOLD: _row(_nothing, _ask, _ask, _ask_paused, _ask_paused, _nothing),
    Event.FUNCTION_PRESS: _row(_status, _mark, _mark, _not_now, _not_now, _mark),
    Event.FUNCTION_DOUBLE: _row(_not_now, _pause, _pause, _not_now, _not_now, _pause_in_post_event),
    Event.FUNCTION_HOLD: _row(_not_now, _toggle_mute, _toggle_mute, _not_now, _not_now, _toggle_mute),
    Event.CONFIRM_LAPSED: _row(_nothing, _nothing, _on_record, _nothing, _on_pause, _nothing),
    Event.POST_EVENT_OVER: _row(_nothing, _nothing, _nothing, _nothing, _nothing, _post_event_over),
    Event.REMINDER_DUE: _row(_nothing, _remind, _remind, _remind, _remind, _remind),
    Event.MUTE_OVER: _row(_nothing, _unmute, _unmute, _unmute, _unmute, _unmute),
    Event.ZONE_ENTERED: _everywhere(_enter_zone),
    Event.READINESS: _everywhere(_note_readiness),
    Event.FAULT_CHANGED: _everywhere(_note_fault),
    Event.PRE_EVENT_HAD: _everywhere(_note_had),
    Event.RECORDER_CLOSED: _row(
        _note_closed_idle, _note_closed, _note_closed, _note_closed, _note_closed, _note_closed
    ),
    Event.CLOCK_STEPPED: _everywhere(_note_step),
    Event.SHUTDOWN_ASKED: _row(
        _shut_down_idle, _shut_down_open, _shut_down_open, _shut_down_open, _shut_down_open, _shut_down_open
    ),
}

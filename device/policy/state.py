"""All that the policy machine remembers, what may be held in a state, and the moment that an action sees. PURE."""

from enum import Enum

import msgspec

from device.policy import commands as do
from device.policy import inputs as on
from device.policy.gestures import Button, Told
from device.policy.model import Policy, Zone


class Phase(Enum):
    IDLE = "idle"
    RECORDING = "recording"
    STOP_ASKED = "stop-asked"
    PAUSED = "paused"
    PAUSED_STOP_ASKED = "paused-stop-asked"
    POST_EVENT = "post-event"
    ASLEEP = "asleep"


RESTING = (Phase.IDLE, Phase.ASLEEP)
PAUSED = (Phase.PAUSED, Phase.PAUSED_STOP_ASKED)
KEEPING = (Phase.RECORDING, Phase.STOP_ASKED, Phase.POST_EVENT)


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
    NOTICE_DUE = "notice-due"
    NOTICE_OVER = "notice-over"
    JUSTIFY_OVER = "justify-over"
    PROMPT_OVER = "prompt-over"
    COUNTED = "function-press-after-a-stop"
    COUNT_OVER = "count-over"
    REASON_OVER = "reason-over"
    ZONE_ENTERED = "zone-entered"
    TRIGGERED = "triggered"
    SLEEP_SWITCHED = "sleep-switched"
    DOCKED = "docked"
    ASSIGNED = "assigned"
    LEVEL_CHANGED = "level-changed"
    READINESS = "readiness"
    FAULT_CHANGED = "fault-changed"
    PRE_EVENT_HAD = "pre-event-had"
    RECORDER_CLOSED = "recorder-closed"
    CLOCK_STEPPED = "clock-stepped"
    SHUTDOWN_ASKED = "shutdown-asked"


class Deadlines(msgspec.Struct, frozen=True):
    """Boot times in µs at which time alone decides; None where nothing waits. Of equal ones the first decides first."""

    confirm_by_us: int | None = None
    post_event_until_us: int | None = None
    unmute_at_us: int | None = None
    remind_at_us: int | None = None
    notice_due_us: int | None = None
    notice_by_us: int | None = None
    justify_by_us: int | None = None
    prompt_by_us: int | None = None
    count_by_us: int | None = None
    reason_by_us: int | None = None


class Wearer(msgspec.Struct, frozen=True):
    """Who the camera is assigned to; nobody when `officer` is empty."""

    officer: str = ""
    role: str = ""
    unit: str = ""
    shift: str = ""


class Explaining(msgspec.Struct, frozen=True):
    """The time after a stop in which presses of the function button give its reason. `closed`: the recording has
    closed meanwhile."""

    recording: int
    presses: int = 0
    closed: bool = False


class State(msgspec.Struct, frozen=True, kw_only=True):
    """`recording` counts recordings begun; the open one has this number, and `category` and `reason` (of its stop).
    `overridden`: it may go on in this zone though the zone denies it. `paused_by_zone`: it goes on when the wearer
    leaves. `prompted_us`: when a start was asked of the wearer that has not come. `warnings`: levels that are not good,
    such as `battery-low`. `closing`: recordings told to close of which the recorder has not said that they are."""

    now_us: int
    phase: Phase = Phase.IDLE
    recording: int = 0
    category: str = ""
    reason: str = ""
    overridden: bool = False
    paused_by_zone: bool = False
    had_us: int = 0
    zone: str
    muted: bool = False
    stealth: bool = False
    sleep_wanted: bool = False
    wearer: Wearer = Wearer()
    prompted_us: int | None = None
    explaining: Explaining | None = None
    ready: bool = True
    not_ready: str = ""
    warnings: tuple[str, ...] = ()
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

    def changed(self, **changes: object) -> "Moment":
        """The same moment in another state."""
        return msgspec.structs.replace(self, state=msgspec.structs.replace(self.state, **changes))

    def after(self, state: State) -> "Moment":
        """The same moment, after an action."""
        return msgspec.structs.replace(self, state=state)

    def cue(self, cue: str, clause: str) -> do.Cue:
        return do.Cue(at_us=self.at_us, clause=clause, cue=cue)

    def note(self, what: str, clause: str, value: int = 0) -> do.Note:
        return do.Note(at_us=self.at_us, clause=clause, recording=self.state.recording, what=what, value=value)

    def until(self, **deadlines: int | None) -> Deadlines:
        """The state's deadlines with these changed."""
        return msgspec.structs.replace(self.state.deadlines, **deadlines)


def initial_state(policy: Policy, now_us: int) -> State:
    """Where a boot begins; the journal's boot record holds it."""
    return State(now_us=now_us, zone=policy.activation.initial_zone)


def at_rest(state: State) -> bool:
    """Nothing is open, closing, asked for or half pressed: a policy may change."""
    return (
        state.phase in RESTING
        and not state.closing
        and not state.shutting_down
        and state.explaining is None
        and state.deadlines.prompt_by_us is None
        and all(button.spent or button == Button() for button in (state.record, state.function))
    )


def under(state: State, policy: Policy) -> State:
    """Where a policy that takes the place of another begins: nothing is recorded, and what the switches, the card and
    the parts said still holds. The journal's record of the change holds it."""
    assert at_rest(state), "a policy changes between recordings"
    zone = state.zone if state.zone in policy.zones else policy.activation.initial_zone
    asleep = state.phase is Phase.ASLEEP and policy.sleep.allowed
    return State(
        now_us=state.now_us,
        phase=Phase.ASLEEP if asleep else Phase.IDLE,
        recording=state.recording,
        zone=zone,
        sleep_wanted=state.sleep_wanted,
        wearer=state.wearer if role_allowed(policy, state.wearer.role) else Wearer(),
        ready=state.ready,
        not_ready=state.not_ready,
        warnings=state.warnings,
        faults=state.faults,
        record=state.record,
        function=state.function,
        deadlines=Deadlines(remind_at_us=state.deadlines.remind_at_us if asleep else None),
    )


def role_allowed(policy: Policy, role: str) -> bool:
    return not policy.assignment.roles or role in policy.assignment.roles


def capture(state: State, policy: Policy) -> Capture:
    """What may be held now: while recording, pictures, and sound unless muted; while idle, what the zone's pre-event
    mode says; while paused or asleep, nothing."""
    keeping, idle = state.phase in KEEPING, state.phase is Phase.IDLE
    mode = policy.pre_event_mode(state.zone)
    return Capture(
        zone=state.zone,
        muted=state.muted,
        paused=state.phase in PAUSED,
        video=keeping or (idle and mode != "off"),
        audio=(keeping and not state.muted) or (idle and mode == "video+audio"),
        pre_video=mode != "off",
        pre_audio=mode == "video+audio",
    )

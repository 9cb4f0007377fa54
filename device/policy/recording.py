"""Actions on recordings: start, notice, mark, stop, go on. Each is `Moment -> state, commands`. PURE."""

from collections.abc import Callable

import msgspec

from device.policy import commands as do
from device.policy.explaining import asked_why, counted, forgotten_if_private, settled
from device.policy.gestures import Button
from device.policy.model import Policy
from device.policy.state import PAUSED, Commands, Deadlines, Moment, Phase, Result, State

MOST_REMINDERS_UNSEEN = 20
"""So many reminders at once still fit in one journal line; only a loop that stood still for longer asks for more."""
NOTICE_AFTER_US = 2_000_000
"""The prompt for the notice comes when the start's own cue has been felt."""
UNEXPLAINED = "unexplained"
ZONE_ENTERED = "zone-entered"
BY_DOUBLE_PRESS, BY_HOLD = "record-double-press", "record-hold"

Action = Callable[[Moment], Result]


def nothing(moment: Moment) -> Result:
    return moment.state, ()


def status(moment: Moment) -> Result:
    return moment.becomes(moment.cue("status", "gestures"))


def not_now(moment: Moment) -> Result:
    return moment.becomes(moment.cue("refused", "gestures"))


def denied(moment: Moment, what: str, reason: str, clause: str) -> Result:
    """Something other than a start that may not be now: said, and written down."""
    return moment.becomes(
        do.Deny(at_us=moment.at_us, clause=clause, what=what, reason=reason), moment.cue("refused", clause)
    )


# -- start ----------------------------------------------------------------------------------------------------------


def start(moment: Moment) -> Result:
    return begin(moment, BY_DOUBLE_PRESS, moment.policy.category(moment.state.zone))


def emergency_start(moment: Moment) -> Result:
    return begin(moment, BY_HOLD, moment.policy.override_category(moment.state.zone))


def begin(moment: Moment, trigger: str, category: str) -> Result:
    """A start, by a gesture or a trigger, for what its category says."""
    refused = why_refused(moment.state, moment.policy, category)
    if refused is None:
        return _open(moment, trigger, category)
    clause, reason = refused
    return moment.becomes(
        do.Refuse(at_us=moment.at_us, clause=clause, trigger=trigger, zone=moment.state.zone, reason=reason),
        moment.cue("refused", clause),
    )


def why_refused(state: State, policy: Policy, category: str) -> tuple[str, str] | None:
    """The clause that refuses a start now, and the reason; None when it may begin."""
    if not policy.activation.enabled:
        return "activation", "disabled"
    if state.shutting_down:
        return "shutdown", "shutting-down"
    if not state.ready:
        return "readiness", state.not_ready or "not-ready"
    if _unassigned(state, policy) and not policy.emergency(state.zone, category):
        return "assignment", "unassigned"
    if not policy.allows(state.zone, category) and not policy.overrides(state.zone, category):
        return "zones", "zone-denies"
    return None


def _unassigned(state: State, policy: Policy) -> bool:
    """Nobody wears the camera, and then only an emergency may be recorded."""
    return policy.assignment.unassigned == "deny" and not state.wearer.officer


def _open(moment: Moment, trigger: str, category: str) -> Result:
    state, policy, at_us = moment.state, moment.policy, moment.at_us
    asleep = state.phase is Phase.ASLEEP
    mode = "off" if asleep else policy.pre_event_mode(state.zone)
    back_us = min(at_us, policy.pre_event.length_s * 1_000_000)
    override = _unassigned(state, policy) or not policy.allows(state.zone, category)
    notice = policy.notice
    return moment.becomes(
        *settled(moment),
        *forgotten_if_private(moment, counted(moment)),
        *([do.Wake(at_us=at_us, clause="sleep")] if asleep else []),
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
            late_us=_late_us(moment),
        ),
        moment.cue("override" if override else "recording", "zones"),
        phase=Phase.RECORDING,
        recording=state.recording + 1,
        category=category,
        reason="",
        overridden=override,
        had_us=0,
        prompted_us=None,
        explaining=None,
        function=Button(),
        deadlines=Deadlines(
            remind_at_us=next_reminder(moment),
            notice_due_us=at_us + NOTICE_AFTER_US if notice.prompt else None,
            notice_by_us=at_us + notice.window_s * 1_000_000 if notice.prompt else None,
        ),
    )


def _late_us(moment: Moment) -> int:
    """How long after the wearer was first asked, where that is longer than the policy gives."""
    asked_us = moment.state.prompted_us
    waited_us = 0 if asked_us is None else moment.at_us - asked_us
    return waited_us if waited_us >= moment.policy.activation.late_after_s * 1_000_000 else 0


# -- notice and markers ---------------------------------------------------------------------------------------------


def ask_notice(moment: Moment) -> Result:
    return moment.becomes(moment.cue("notice-prompt", "notice"), deadlines=moment.until(notice_due_us=None))


def notice_over(moment: Moment) -> Result:
    return moment.becomes(*no_notice(moment), deadlines=moment.until(notice_due_us=None, notice_by_us=None))


def no_notice(moment: Moment) -> Commands:
    """The notice that a start asked for was not given; an emergency is why, or nothing is."""
    state = moment.state
    if state.deadlines.notice_by_us is None:
        return ()
    emergency = moment.policy.emergency(state.zone, state.category)
    reason = state.category if emergency else UNEXPLAINED
    return (do.Notice(at_us=moment.at_us, clause="notice", recording=state.recording, given=False, reason=reason),)


def mark(moment: Moment) -> Result:
    """A marker at the time of its press; while a notice is asked for, the press also says that it was given."""
    assert moment.told is not None, "a marker comes from a press"
    asked = moment.state.deadlines.notice_by_us is not None
    moment, marks = _marked(moment, moment.told.pressed_us)
    return moment.becomes(*marks, moment.cue("notice-given", "notice") if asked else moment.cue("marker", "gestures"))


def _marked(moment: Moment, marked_us: int) -> tuple[Moment, Commands]:
    at_us, recording = moment.at_us, moment.state.recording
    marker = do.Mark(at_us=at_us, clause="gestures", recording=recording, marked_us=marked_us)
    if moment.state.deadlines.notice_by_us is None:
        return moment, (marker,)
    given = do.Notice(at_us=at_us, clause="notice", recording=recording, given=True, reason="")
    return moment.changed(deadlines=moment.until(notice_due_us=None, notice_by_us=None)), (given, marker)


def unsaid_mark(moment: Moment) -> tuple[Moment, Commands]:
    """A press that still waits for its window to pass is not lost with what it marks: a marker, whatever else it could
    have become. The function button begins anew."""
    pressed_us = moment.state.function.waiting_us
    moment = moment.changed(function=Button())
    if pressed_us is None or moment.state.phase in PAUSED:
        return moment, ()
    return _marked(moment, pressed_us)


# -- stop -----------------------------------------------------------------------------------------------------------


def ask_stop(phase: Phase) -> Action:
    def ask(moment: Moment) -> Result:
        by_us = moment.at_us + moment.policy.stop.confirm_s * 1_000_000
        return moment.becomes(
            moment.cue("stop-asked", "stop"),
            moment.note("stop-asked", "stop"),
            phase=phase,
            deadlines=moment.until(confirm_by_us=by_us),
        )

    return ask


def go_on(phase: Phase, why: str) -> Action:
    """A stop that was asked for does not come: nobody confirmed it, or it was taken back."""

    def on(moment: Moment) -> Result:
        return moment.becomes(
            moment.cue("recording" if phase is Phase.RECORDING else "paused", "stop"),
            moment.note(why, "stop"),
            phase=phase,
            deadlines=moment.until(confirm_by_us=None),
        )

    return on


def confirm_stop(moment: Moment) -> Result:
    """The stop is confirmed by a press within the window: post-event time follows, and time to say why."""
    moment, marks = unsaid_mark(moment)
    moment = asked_why(moment)
    length_us = moment.policy.post_event.length_s * 1_000_000
    if length_us == 0:
        state, commands = close(moment, "stopped", moment.policy.stop.default_reason, "stop")
        return state, (*marks, *commands)
    return moment.becomes(
        *marks,
        do.EnterStage(at_us=moment.at_us, clause="post-event", recording=moment.state.recording, stage="post"),
        moment.cue("post-event", "post-event"),
        phase=Phase.POST_EVENT,
        deadlines=moment.until(confirm_by_us=None, remind_at_us=None, post_event_until_us=moment.at_us + length_us),
    )


def stop_while_paused(moment: Moment) -> Result:
    reason = ZONE_ENTERED if moment.state.paused_by_zone else moment.policy.pause.reason
    return close(moment, "stopped", reason, "pause")


def post_event_over(moment: Moment) -> Result:
    return close(moment, "stopped", moment.state.reason or moment.policy.stop.default_reason, "post-event")


def close(moment: Moment, how: str, reason: str, clause: str) -> Result:
    """End the open recording now; the camera rests, or sleeps where the switch asked for it meanwhile."""
    moment, marks = unsaid_mark(moment)
    state = moment.state
    close_it = do.Close(
        at_us=moment.at_us, clause=clause, recording=state.recording, to_us=moment.at_us, how=how, reason=reason
    )
    resting, asleep = rest(moment)
    return resting.becomes(
        *marks,
        *no_notice(moment),
        close_it,
        moment.cue("stopped", clause),
        *asleep,
        *forgotten_if_private(resting, reason),
        closing=(*state.closing, state.recording),
    )


def rest(moment: Moment) -> tuple[Moment, Commands]:
    """Nothing is open any more: idle, or asleep where the switch asked for it. A stop's reason can still be given."""
    state, policy = moment.state, moment.policy
    asleep = state.sleep_wanted and policy.sleep.allowed
    explaining = None if state.explaining is None else msgspec.structs.replace(state.explaining, closed=True)
    rested = moment.changed(
        phase=Phase.ASLEEP if asleep else Phase.IDLE,
        muted=False,
        overridden=False,
        paused_by_zone=False,
        function=Button(),
        explaining=explaining,
        deadlines=Deadlines(
            remind_at_us=next_reminder(moment, policy.sleep.remind_every_s) if asleep else None,
            count_by_us=state.deadlines.count_by_us if explaining else None,
            reason_by_us=state.deadlines.reason_by_us if explaining else None,
        ),
    )
    return rested, (fall_asleep(moment),) if asleep else ()


def fall_asleep(moment: Moment) -> do.Sleep:
    return do.Sleep(at_us=moment.at_us, clause="sleep", reason=moment.policy.sleep.reason)


# -- record means record --------------------------------------------------------------------------------------------


def record_on(moment: Moment) -> Result:
    """A double press while recording: it is; where a zone asks for it, that is also the justification, if it allows one."""
    moment, stated = justified(moment, stated_by_press(moment))
    refused = moment.state.deadlines.justify_by_us is not None
    return moment.becomes(*stated, moment.cue("zone-prompt" if refused else "recording", "gestures"))


def take_back(moment: Moment) -> Result:
    """A double press while a stop was asked for: there is none."""
    moment, stated = justified(moment, stated_by_press(moment))
    state, commands = go_on(Phase.RECORDING, "stop-cancelled")(moment)
    return state, (*stated, *commands)


def resume_live(moment: Moment) -> Result:
    """A double press in the post-event time: the same recording goes on."""
    moment, stated = justified(moment, stated_by_press(moment))
    state, commands = live_again(moment)
    return state, (*stated, *commands)


def live_again(moment: Moment) -> Result:
    return moment.becomes(
        do.EnterStage(at_us=moment.at_us, clause="post-event", recording=moment.state.recording, stage="live"),
        moment.cue("recording", "post-event"),
        phase=Phase.RECORDING,
        reason="",
        explaining=None,
        deadlines=moment.until(
            post_event_until_us=None, count_by_us=None, reason_by_us=None, remind_at_us=next_reminder(moment)
        ),
    )


def justified(moment: Moment, stated: str) -> tuple[Moment, Commands]:
    """Where a zone waits for a justification, the one that is stated ("": none)."""
    if moment.state.deadlines.justify_by_us is None or not stated:
        return moment, ()
    return moment.changed(overridden=True, deadlines=moment.until(justify_by_us=None)), (justify(moment, stated),)


def justify(moment: Moment, category: str) -> do.Justify:
    state = moment.state
    return do.Justify(at_us=moment.at_us, clause="zones", recording=state.recording, category=category, zone=state.zone)


def stated_by_press(moment: Moment) -> str:
    """What a double press states in this zone: a category that it allows, or the one that overrides; "" where neither."""
    policy, zone = moment.policy, moment.state.zone
    if policy.allows(zone, policy.category(zone)):
        return policy.category(zone)
    return policy.override_category(zone) if moment.zone.override else ""


def next_reminder(moment: Moment, every_s: int | None = None) -> int:
    """One period on; where too many periods passed unseen to say each (E10), one reminder stands for them."""
    every_us = (moment.policy.reminder.every_s if every_s is None else every_s) * 1_000_000
    unseen = (moment.until_us - moment.at_us) // every_us
    return moment.at_us + every_us * (unseen if unseen > MOST_REMINDERS_UNSEEN else 1)

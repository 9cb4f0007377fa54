"""Actions that hide something of a recording and bring it back: private pause, mute, their reminders. PURE."""

from device.policy import commands as do
from device.policy.explaining import forgotten
from device.policy.recording import close, denied, justify, next_reminder, stated_by_press, unsaid_mark
from device.policy.state import PAUSED, Commands, Moment, Phase, Result

# -- pause ----------------------------------------------------------------------------------------------------------


def pause(moment: Moment) -> Result:
    """A private pause: a marker, then nothing more is recorded or held until a double press on record."""
    if not moment.policy.pause.allowed:
        return denied(moment, "pause", "not-allowed", "pause")
    return pause_for(moment, moment.policy.pause.reason, "pause", by_zone=False)


def pause_for(moment: Moment, reason: str, clause: str, *, by_zone: bool) -> Result:
    moment, marks = unsaid_mark(moment)
    state, at_us = moment.state, moment.at_us
    return moment.becomes(
        *marks,
        *cancelled_stop(moment),
        do.Mark(at_us=at_us, clause=clause, recording=state.recording, marked_us=at_us),
        do.Pause(at_us=at_us, clause=clause, recording=state.recording, reason=reason),
        moment.cue("paused", clause),
        phase=Phase.PAUSED,
        overridden=False,
        paused_by_zone=by_zone,
        deadlines=moment.until(confirm_by_us=None, justify_by_us=None, remind_at_us=next_reminder(moment)),
    )


def cancelled_stop(moment: Moment) -> Commands:
    """A stop that was asked for ends with the pause that comes, or the one that ends."""
    asked = moment.state.phase in (Phase.STOP_ASKED, Phase.PAUSED_STOP_ASKED)
    return (moment.note("stop-cancelled", "stop"),) if asked else ()


def pause_in_post_event(moment: Moment) -> Result:
    """A private pause has no post-event time: what was asked to stop stops now."""
    if not moment.policy.pause.allowed:
        return denied(moment, "pause", "not-allowed", "pause")
    state, commands = close(moment.changed(explaining=None), "stopped", moment.policy.pause.reason, "pause")
    return state, (*commands, *forgotten(moment.after(state), "pause"))


def resume(moment: Moment) -> Result:
    """A double press while paused: recording goes on, where the zone allows it or lets it be overridden. A stop that was
    asked for is taken back either way."""
    asked = moment.state.phase is Phase.PAUSED_STOP_ASKED
    taken_back = [moment.note("stop-cancelled", "stop")] if asked else []
    moment = moment.changed(phase=Phase.PAUSED, deadlines=moment.until(confirm_by_us=None))
    state, commands = resume_for(moment, stated_by_press(moment))
    return state, (*taken_back, *commands)


def resume_for(moment: Moment, stated: str) -> Result:
    """Go on after a pause; `stated`: the category that would justify it in a zone that denies the recording's own."""
    state, policy = moment.state, moment.policy
    allowed = policy.allows(state.zone, state.category)
    if not allowed and not stated:
        return denied(moment, "resume", "zone-denies", "zones")
    return moment.becomes(
        *cancelled_stop(moment),
        *([] if allowed else [justify(moment, stated)]),
        do.Resume(at_us=moment.at_us, clause="pause", recording=state.recording),
        moment.cue("recording" if allowed else "override", "pause"),
        phase=Phase.RECORDING,
        overridden=not allowed,
        paused_by_zone=False,
        deadlines=moment.until(confirm_by_us=None, remind_at_us=next_reminder(moment)),
    )


# -- mute and reminders ---------------------------------------------------------------------------------------------


def toggle_mute(moment: Moment) -> Result:
    if moment.state.muted:
        return unmute(moment)
    mute = moment.policy.mute
    if not mute.allowed:
        return denied(moment, "mute", "not-allowed", "mute")
    return moment.becomes(
        do.Mute(at_us=moment.at_us, clause="mute", recording=moment.state.recording, reason=mute.reason),
        moment.cue("muted", "mute"),
        muted=True,
        deadlines=moment.until(unmute_at_us=moment.at_us + mute.limit_s * 1_000_000),
    )


def unmute(moment: Moment) -> Result:
    return moment.becomes(
        do.Unmute(at_us=moment.at_us, clause="mute", recording=moment.state.recording),
        moment.cue("unmuted", "mute"),
        muted=False,
        deadlines=moment.until(unmute_at_us=None),
    )


def remind(moment: Moment) -> Result:
    state, policy = moment.state, moment.policy
    if state.phase is Phase.ASLEEP:
        clause, cue, every_s = "sleep", "remind-asleep", policy.sleep.remind_every_s
    else:
        clause = "reminder"
        cue = "remind-paused" if state.phase in PAUSED else "remind-muted" if state.muted else "remind-recording"
        every_s = policy.reminder.every_s
    return moment.becomes(moment.cue(cue, clause), deadlines=moment.until(remind_at_us=next_reminder(moment, every_s)))

"""Actions on what is not a gesture: zones, triggers, the sleep switch, assignment, faults, the recorder. PURE."""

import msgspec

from device.policy import commands as do
from device.policy import inputs as on
from device.policy.explaining import explain, forgotten_if_private, reason_so_far, settled
from device.policy.pausing import cancelled_stop, pause_for, resume_for
from device.policy.recording import (
    ZONE_ENTERED,
    begin,
    close,
    denied,
    fall_asleep,
    go_on,
    justified,
    live_again,
    next_reminder,
    no_notice,
    nothing,
    rest,
    unsaid_mark,
    why_refused,
)
from device.policy.state import PAUSED, RESTING, Moment, Phase, Result, Wearer, role_allowed

JUSTIFY, START = "justify-or-exit", "start"
_FAULT_CUES = {"camera": "camera-fault", "clock": "clock-unset", "lens": "lens", "dark": "dark"}
_ENDS_UNSAID = ("dark",)
"""Nobody need be told that it is light again."""
_LEVEL_CUES = ("battery-low", "battery-critical", "storage-low")


# -- zones ----------------------------------------------------------------------------------------------------------


def enter_zone(moment: Moment) -> Result:
    came = moment.came
    assert isinstance(came, on.ZoneEntered)
    zone, policy = came.zone, moment.policy
    if zone not in policy.zones:
        return moment.becomes(moment.cue("fault", "zones"))
    if zone == moment.state.zone:
        return nothing(moment)
    cue = moment.cue("zone", "zones")
    moment = moment.changed(zone=zone, overridden=False, deadlines=moment.until(justify_by_us=None))
    state, commands = _carried_in(moment)
    return state, (cue, *commands)


def _carried_in(moment: Moment) -> Result:
    """What becomes of what is being recorded, in the zone that was just entered."""
    state, entry = moment.state, moment.zone.entry
    if state.phase in RESTING:
        return nothing(moment)
    allowed = moment.policy.allows(state.zone, state.category)
    if state.phase in PAUSED:
        left = state.paused_by_zone and (allowed or entry != "pause")
        return _left_zone(moment, allowed=allowed) if left else nothing(moment)
    if allowed or entry == "go-on":
        return nothing(moment)
    return _ask_justification(moment) if entry == "prompt" else pause_in_zone(moment)


def _left_zone(moment: Moment, *, allowed: bool) -> Result:
    """A zone that paused a recording was left: it goes on, and where the next one asks, it asks."""
    resumed = moment.becomes(
        *cancelled_stop(moment),
        do.Resume(at_us=moment.at_us, clause="zones", recording=moment.state.recording),
        moment.cue("recording", "zones"),
        phase=Phase.RECORDING,
        paused_by_zone=False,
        deadlines=moment.until(confirm_by_us=None, remind_at_us=next_reminder(moment)),
    )
    if allowed or moment.zone.entry == "go-on":
        return resumed
    state, commands = resumed
    state, asked = _ask_justification(moment.after(state))
    return state, (*commands, *asked)


def _ask_justification(moment: Moment) -> Result:
    """The wearer is asked to leave or to justify (R14); recording goes on until then."""
    return moment.becomes(
        do.Prompt(at_us=moment.at_us, clause="zones", about=JUSTIFY),
        moment.cue("zone-prompt", "zones"),
        deadlines=moment.until(justify_by_us=moment.at_us + moment.zone.justify_s * 1_000_000),
    )


def not_justified(moment: Moment) -> Result:
    """Nobody justified it and nobody left: the zone says what follows."""
    lapse = do.Lapse(at_us=moment.at_us, clause="zones", about=JUSTIFY)
    moment = moment.changed(deadlines=moment.until(justify_by_us=None))
    if moment.zone.unjustified == "go-on":
        return moment.becomes(lapse, moment.cue("zone-prompt", "zones"))
    state, commands = pause_in_zone(moment)
    return state, (lapse, *commands)


def pause_in_zone(moment: Moment) -> Result:
    """Nothing more is recorded until the zone is left, or overridden; what was stopping stops now."""
    if moment.state.phase is Phase.POST_EVENT:
        return close(moment, "stopped", moment.state.reason or ZONE_ENTERED, "zones")
    return pause_for(moment, ZONE_ENTERED, "zones", by_zone=True)


# -- triggers -------------------------------------------------------------------------------------------------------


def _trigger_name(moment: Moment) -> str:
    assert isinstance(moment.came, on.Triggered)
    return f"trigger-{moment.came.trigger}"


def _on_trigger(moment: Moment) -> str:
    """What the policy says of the trigger's category: `start`, `prompt`, `ignore`, or "" for one that it does not know."""
    came = moment.came
    assert isinstance(came, on.Triggered)
    category = moment.policy.categories.get(came.category)
    return "" if category is None else category.on_trigger


def trigger_idle(moment: Moment) -> Result:
    came = moment.came
    assert isinstance(came, on.Triggered)
    asked = _on_trigger(moment)
    if asked == "start":
        return begin(moment, _trigger_name(moment), came.category)
    if asked == "prompt" and why_refused(moment.state, moment.policy, came.category) is None:
        return _ask_start(moment)
    return nothing(moment) if asked else denied(moment, "trigger", "unknown-category", "categories")


def _ask_start(moment: Moment) -> Result:
    """The wearer is asked to start; the first time that nobody answered counts."""
    asked_us = moment.state.prompted_us
    by_us = moment.at_us + moment.policy.activation.late_after_s * 1_000_000
    return moment.becomes(
        do.Prompt(at_us=moment.at_us, clause="activation", about=START),
        moment.cue("start-prompt", "activation"),
        prompted_us=moment.at_us if asked_us is None else asked_us,
        deadlines=moment.until(prompt_by_us=moment.state.deadlines.prompt_by_us or by_us),
    )


def start_not_made(moment: Moment) -> Result:
    return moment.becomes(
        _not_started(moment),
        moment.cue("start-prompt", "activation"),
        deadlines=moment.until(prompt_by_us=None),
    )


def _not_started(moment: Moment) -> do.Lapse:
    return do.Lapse(at_us=moment.at_us, clause="activation", about=START)


def _stated(moment: Moment) -> str:
    """What a trigger states in this zone: its category, if it allows that or lets it override; "" otherwise."""
    assert isinstance(moment.came, on.Triggered)
    policy, zone, category = moment.policy, moment.state.zone, moment.came.category
    return category if policy.allows(zone, category) or policy.overrides(zone, category) else ""


def _noted(moment: Moment) -> do.Note:
    return moment.note(_trigger_name(moment), "categories")


def trigger_recording(moment: Moment) -> Result:
    """Noted; and where a zone asks for a justification, a trigger that would start is one, if its category is."""
    note = _noted(moment)
    if _on_trigger(moment) != "start":
        return moment.becomes(note)
    moment, stated = justified(moment, _stated(moment))
    return moment.becomes(note, *stated)


def trigger_stop_asked(moment: Moment) -> Result:
    """A struggle: the stop that was asked for is taken back."""
    state, commands = trigger_recording(moment)
    if _on_trigger(moment) != "start":
        return state, commands
    state, more = go_on(Phase.RECORDING, "stop-cancelled")(moment.after(state))
    return state, (*commands, *more)


def trigger_paused(moment: Moment) -> Result:
    assert isinstance(moment.came, on.Triggered)
    category = moment.policy.categories.get(moment.came.category)
    if category is None or not category.resumes_pause:
        return moment.becomes(_noted(moment))
    state, commands = resume_for(moment, _stated(moment))
    return state, (_noted(moment), *commands)


def trigger_post_event(moment: Moment) -> Result:
    state, commands = trigger_recording(moment)
    if _on_trigger(moment) != "start" or not moment.policy.post_event.resume_on_trigger:
        return state, commands
    state, more = live_again(moment.after(state))
    return state, (*commands, *more)


def trigger_asleep(moment: Moment) -> Result:
    return denied(moment, "trigger", "asleep", "sleep")


# -- sleep, stealth, assignment -------------------------------------------------------------------------------------


def sleep_idle(moment: Moment) -> Result:
    came = moment.came
    assert isinstance(came, on.SleepSwitched)
    moment = moment.changed(sleep_wanted=came.on)
    if not came.on:
        return nothing(moment)
    if not moment.policy.sleep.allowed:
        return denied(moment, "sleep", "not-allowed", "sleep")
    every_s = moment.policy.sleep.remind_every_s
    unanswered = moment.state.deadlines.prompt_by_us is not None
    return moment.becomes(
        *([_not_started(moment)] if unanswered else []),
        fall_asleep(moment),
        moment.cue("asleep", "sleep"),
        phase=Phase.ASLEEP,
        prompted_us=None,
        deadlines=moment.until(remind_at_us=next_reminder(moment, every_s), prompt_by_us=None),
    )


def sleep_recording(moment: Moment) -> Result:
    """The switch ends no recording: the camera sleeps when it has ended, if the switch is still on then."""
    came = moment.came
    assert isinstance(came, on.SleepSwitched)
    changed = came.on != moment.state.sleep_wanted
    moment = moment.changed(sleep_wanted=came.on)
    return denied(moment, "sleep", "recording", "sleep") if came.on and changed else nothing(moment)


def sleep_asleep(moment: Moment) -> Result:
    came = moment.came
    assert isinstance(came, on.SleepSwitched)
    moment = moment.changed(sleep_wanted=came.on)
    if came.on:
        return nothing(moment)
    return moment.becomes(
        do.Wake(at_us=moment.at_us, clause="sleep"),
        moment.cue("awake", "sleep"),
        phase=Phase.IDLE,
        deadlines=moment.until(remind_at_us=None),
    )


def toggle_stealth(moment: Moment) -> Result:
    """Lights and buzzer off; where the policy forbids it the attempt is written down (R12)."""
    if not moment.policy.stealth.allowed:
        return denied(moment, "stealth", "not-allowed", "stealth")
    hidden = not moment.state.stealth
    return moment.becomes(
        do.Stealth(at_us=moment.at_us, clause="stealth", on=hidden),
        moment.cue("stealth-on" if hidden else "stealth-off", "stealth"),
        stealth=hidden,
    )


def assign(moment: Moment) -> Result:
    """Who wears the camera; a role that the policy does not name leaves it with nobody (R28)."""
    came = moment.came
    assert isinstance(came, on.Assigned)
    wearer = Wearer(came.officer, came.role, came.unit, came.shift) if came.officer else Wearer()
    if wearer.officer and not role_allowed(moment.policy, wearer.role):
        return denied(moment.changed(wearer=Wearer()), "assignment", "role", "assignment")
    if wearer == moment.state.wearer:
        return nothing(moment)
    moment = moment.changed(
        prompted_us=None if moment.state.deadlines.prompt_by_us is None else moment.state.prompted_us
    )
    assigned = do.Assign(
        at_us=moment.at_us,
        clause="assignment",
        officer=wearer.officer,
        role=wearer.role,
        unit=wearer.unit,
        shift=wearer.shift,
    )
    return moment.becomes(assigned, moment.cue("assigned", "assignment"), wearer=wearer)


# -- the parts ------------------------------------------------------------------------------------------------------


def note_level(moment: Moment) -> Result:
    came = moment.came
    assert isinstance(came, on.LevelChanged)
    others = {warning for warning in moment.state.warnings if warning.rpartition("-")[0] != came.part}
    here = set() if came.level == "good" else {f"{came.part}-{came.level}"}
    warnings = tuple(sorted(others | here))
    if warnings == moment.state.warnings:
        return nothing(moment)
    warning = f"{came.part}-{came.level}"
    cue = "level-good" if came.level == "good" else warning if warning in _LEVEL_CUES else "fault"
    return moment.becomes(moment.cue(cue, "readiness"), warnings=warnings)


def note_readiness(moment: Moment) -> Result:
    came = moment.came
    assert isinstance(came, on.Readiness)
    cues = () if came.ready == moment.state.ready else (moment.cue(_readiness_cue(came), "readiness"),)
    return moment.becomes(*cues, ready=came.ready, not_ready="" if came.ready else came.reason)


def _readiness_cue(came: on.Readiness) -> str:
    """Storage that is full has a cue of its own; any other reason is a fault."""
    if came.ready:
        return "ready"
    return "storage-full" if came.reason == "storage-full" else "fault"


def note_fault(moment: Moment) -> Result:
    came = moment.came
    assert isinstance(came, on.FaultChanged)
    others = {part for part in moment.state.faults if part != came.part}
    faults = tuple(sorted(others | {came.part} if came.present else others))
    if faults == moment.state.faults:
        return nothing(moment)
    if not came.present and came.part in _ENDS_UNSAID:
        return moment.becomes(faults=faults)
    cue = _FAULT_CUES.get(came.part, "fault") if came.present else "fault-over"
    return moment.becomes(moment.cue(cue, "readiness"), faults=faults)


def note_had(moment: Moment) -> Result:
    assert isinstance(moment.came, on.PreEventHad)
    current = moment.came.recording == moment.state.recording
    return moment.becomes(had_us=moment.came.had_us) if current else nothing(moment)


def note_closed_at_rest(moment: Moment) -> Result:
    assert isinstance(moment.came, on.RecorderClosed)
    closing = tuple(r for r in moment.state.closing if r != moment.came.recording)
    return finished(moment.becomes(closing=closing), moment.at_us)


def note_closed(moment: Moment) -> Result:
    """The recorder ended a recording; when it is the open one, it could not go on. Where the card is full that is what the
    wearer is told: of two cues that matter as much the last is the one that is felt."""
    assert isinstance(moment.came, on.RecorderClosed)
    if moment.came.recording != moment.state.recording:
        return note_closed_at_rest(moment)
    moment, marks = unsaid_mark(moment)
    recording, reason = moment.state.recording, moment.state.reason
    resting, asleep = rest(moment)
    return resting.becomes(
        *marks,
        *no_notice(moment),
        *([explain(moment, recording, reason)] if reason else []),
        moment.cue(moment.state.not_ready if moment.state.not_ready == "storage-full" else "failed", "readiness"),
        *asleep,
        *forgotten_if_private(resting, reason),
    )


def note_step(moment: Moment) -> Result:
    assert isinstance(moment.came, on.ClockStepped)
    return moment.becomes(moment.note("clock-stepped", "clock", moment.came.step_us))


def shut_down_at_rest(moment: Moment) -> Result:
    """A reason that is half given is taken as far as it goes."""
    ended = moment.becomes(
        *settled(moment),
        shutting_down=True,
        explaining=None,
        deadlines=moment.until(count_by_us=None, reason_by_us=None),
    )
    return finished(ended, moment.at_us)


def shut_down_open(moment: Moment) -> Result:
    """Shutdown closes what is open, now: there may be no power for a post-event time."""
    reason = reason_so_far(moment)
    return close(moment.changed(shutting_down=True, explaining=None), "shutdown", reason, "shutdown")


def finished(result: Result, at_us: int) -> Result:
    state, commands = result
    if not state.shutting_down or state.closing or state.finished:
        return state, commands
    return msgspec.structs.replace(state, finished=True), (*commands, do.Finish(at_us=at_us, clause="shutdown"))

"""What happened, and what was decided, in the words of people. PURE. For the readers of a journal."""

from device.policy import commands as do
from device.policy import gestures
from device.policy import inputs as on
from device.policy.machine import next_deadline_us
from device.policy.model import Policy
from device.policy.state import State


def input_words(came: on.Input | None) -> str:  # noqa: C901, PLR0912 - one sentence an input
    """One input as a clause of a sentence; None: a deadline passed and nothing else happened."""
    match came:
        case None | on.Tick():
            return "time passed"
        case on.Edge():
            return f"the {came.button} button was {'pressed' if came.pressed else 'let go'}"
        case on.ZoneEntered():
            return f"the wearer came into the zone {came.zone}"
        case on.Triggered():
            return f"the trigger {came.trigger} became active (category {came.category})"
        case on.SleepSwitched():
            return f"the sleep switch was turned {_on(came.on)}"
        case on.Docked():
            return "the camera was put into its dock" if came.on else "the camera was taken out of its dock"
        case on.Assigned():
            return f"the camera was assigned to {_wearer(came.officer, came.role, came.unit, came.shift)}"
        case on.LevelChanged():
            return f"the {came.part} is {came.level}"
        case on.Readiness():
            return "a recording can be stored" if came.ready else f"no recording can be stored: {came.reason}"
        case on.FaultChanged():
            return f"the fault of the {came.part} {'began' if came.present else 'ended'}"
        case on.PreEventHad():
            return f"recording {came.recording} got {_seconds(came.had_us)} from before the press"
        case on.RecorderClosed():
            return f"the recorder closed recording {came.recording} ({came.how})"
        case on.ClockStepped():
            return f"the wall clock was set by {came.step_us / 1e6:+.3f} s"
        case on.ShutdownAsked():
            return "the device was asked to shut down"


_DEADLINES = {
    "confirm_by_us": "the time to confirm the stop was over",
    "post_event_until_us": "the post-event time was over",
    "unmute_at_us": "the longest time without sound was over",
    "remind_at_us": "a reminder was due",
    "notice_due_us": "the notice was due",
    "notice_by_us": "the time to give notice was over",
    "justify_by_us": "the time to justify or to leave was over",
    "prompt_by_us": "the time to start was over",
    "count_by_us": "the count of presses was complete",
    "reason_by_us": "the time to give a reason was over",
}


def deadline_words(state: State, policy: Policy) -> str:
    """What time alone brings next in a state."""
    due_us = next_deadline_us(state, policy)
    double_us = policy.gestures.double_press_ms * 1000
    for name, button in (("record", state.record), ("function", state.function)):
        if due_us is not None and gestures.deadline_us(button, double_us) == due_us:
            held = button.down_us is not None
            return f"the {name} button {'had been held long enough' if held else 'was pressed once'}"
    fired = (words for name, words in _DEADLINES.items() if due_us == getattr(state.deadlines, name))
    return "time passed" if due_us is None else next(fired, "time passed")


def command_words(decided: do.Command) -> str:  # noqa: C901, PLR0912 - one sentence a command
    """One decision as a clause of a sentence."""
    match decided:
        case do.Open():
            return _open_words(decided)
        case do.Refuse():
            return f"refused the start by {decided.trigger} in the zone {decided.zone}: {decided.reason}"
        case do.EnterStage():
            what = "the post-event time began" if decided.stage == "post" else "it goes on live"
            return f"recording {decided.recording}: {what}"
        case do.Close():
            return f"ended recording {decided.recording} ({decided.how}): {decided.reason}"
        case do.Explain():
            return f"wrote down the reason of the stop of recording {decided.recording}: {decided.reason}"
        case do.Notice():
            told = "people were told" if decided.given else f"people were not told ({decided.reason})"
            return f"recording {decided.recording}: {told} that they are recorded"
        case do.Prompt():
            return f"asked the wearer to {_asked(decided.about)}"
        case do.Justify():
            return f"went on with recording {decided.recording} in the zone {decided.zone} for {decided.category}"
        case do.Lapse():
            return f"wrote down that the wearer, asked to {_asked(decided.about)}, did not"
        case do.Deny():
            return f"did not allow: {decided.what} ({decided.reason})"
        case do.Assign():
            return f"took as wearer {_wearer(decided.officer, decided.role, decided.unit, decided.shift)}"
        case do.Sleep():
            return f"went to sleep ({decided.reason})"
        case do.Wake():
            return "woke"
        case do.Stealth():
            return f"turned lights and buzzer {_on(not decided.on)}"
        case do.Mark():
            return f"put a marker into recording {decided.recording}"
        case do.Mute():
            return f"turned the sound of recording {decided.recording} off ({decided.reason})"
        case do.Unmute():
            return f"turned the sound of recording {decided.recording} on"
        case do.Pause():
            return f"paused recording {decided.recording} ({decided.reason})"
        case do.Resume():
            return f"went on with recording {decided.recording} after its pause"
        case do.SetCapture():
            return f"holds from now on: {_held(decided)}"
        case do.ClearRing():
            return f"dropped what no recording claims: {'the sound' if decided.sound_only else 'every frame'}"
        case do.ForceKeyframe():
            return "asked the encoder for a keyframe"
        case do.Cue():
            return f"signalled: {decided.cue}"
        case do.Note():
            return f"noted in recording {decided.recording}: {decided.what}"
        case do.Finish():
            return "ended"


def _open_words(opened: do.Open) -> str:
    before = opened.pre_event_asked_us
    held = f"with {_seconds(before)} from before ({opened.pre_event})" if before else "with nothing from before"
    override = ", overriding the zone" if opened.override else ""
    late = f", {_seconds(opened.late_us)} after it was asked for" if opened.late_us else ""
    where = f"for {opened.category} in the zone {opened.zone}{override}"
    return f"started recording {opened.recording} by {opened.trigger}, {where}, {held}{late}"


def _asked(about: str) -> str:
    return {"start": "start", "justify-or-exit": "justify the recording or leave the zone"}.get(about, about)


def _wearer(officer: str, role: str, unit: str, shift: str) -> str:
    if not officer:
        return "nobody"
    facts = [word for word in (role, unit, shift and f"shift {shift}") if word]
    return f"{officer} ({', '.join(facts)})" if facts else officer


def _held(decided: do.SetCapture) -> str:
    if decided.video:
        return "pictures and sound" if decided.audio else "pictures without sound"
    return "sound" if decided.audio else "nothing"


def _on(on: bool) -> str:
    return "on" if on else "off"


def _seconds(micros: int) -> str:
    return f"{micros / 1e6:g} s"

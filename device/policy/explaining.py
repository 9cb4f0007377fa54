"""The reason of a stop, given after it by short presses of the function button. PURE.

The window is open from the confirmed stop on; the recording closes when its post-event time is over, whether a reason
came or not. One that comes later is a decision of its own.
"""

import msgspec

from device.policy import commands as do
from device.policy.state import Commands, Explaining, Moment, Phase, Result

MOST_PRESSES = 10
"""One more than any reason has: further presses change nothing."""


def asked_why(moment: Moment) -> Moment:
    """The same moment with the window open, where the policy has one."""
    stop = moment.policy.stop
    if stop.reason_window_s == 0 or not moment.policy.reasons:
        return moment
    return moment.changed(
        explaining=Explaining(moment.state.recording),
        deadlines=moment.until(reason_by_us=moment.at_us + stop.reason_window_s * 1_000_000),
    )


def count(moment: Moment) -> Result:
    """A press of the function button while the window is open. The window waits for the count to be complete."""
    explaining, deadlines = moment.state.explaining, moment.state.deadlines
    if explaining is None:
        return moment.state, ()
    one_more = msgspec.structs.replace(explaining, presses=min(explaining.presses + 1, MOST_PRESSES))
    complete_us = moment.at_us + moment.policy.gestures.count_gap_ms * 1000
    return moment.becomes(
        explaining=one_more,
        deadlines=moment.until(
            count_by_us=complete_us, reason_by_us=max(complete_us, deadlines.reason_by_us or complete_us)
        ),
    )


def count_over(moment: Moment) -> Result:
    """The count is complete: it is a reason, or one that is not known, and then the window stays open."""
    explaining = moment.state.explaining
    if explaining is None:
        return moment.becomes(deadlines=moment.until(count_by_us=None))
    reason = counted(moment)
    if not reason:
        return moment.becomes(
            moment.cue("refused", "reasons"),
            explaining=msgspec.structs.replace(explaining, presses=0),
            deadlines=moment.until(count_by_us=None),
        )
    return moment.becomes(
        *settled(moment),
        moment.cue(f"count-{explaining.presses}", "reasons"),
        *forgotten_if_private(moment, reason),
        reason=reason,
        explaining=None,
        deadlines=moment.until(count_by_us=None, reason_by_us=None),
    )


def window_over(moment: Moment) -> Result:
    return moment.becomes(explaining=None, deadlines=moment.until(count_by_us=None, reason_by_us=None))


def reason_so_far(moment: Moment) -> str:
    """The reason of a stop as far as it was given."""
    return moment.state.reason or counted(moment) or moment.policy.stop.default_reason


def settled(moment: Moment) -> Commands:
    """What the presses so far say of a recording that has closed."""
    explaining, reason = moment.state.explaining, counted(moment)
    if explaining is None or not explaining.closed or not reason:
        return ()
    return (explain(moment, explaining.recording, reason),)


def explain(moment: Moment, recording: int, reason: str) -> do.Explain:
    return do.Explain(at_us=moment.at_us, clause="reasons", recording=recording, reason=reason)


def counted(moment: Moment) -> str:
    """The reason that has as many presses as were counted so far; "" where none has."""
    explaining = moment.state.explaining
    presses = 0 if explaining is None else explaining.presses
    return next((name for name, reason in moment.policy.reasons.items() if reason.presses == presses), "")


def forgotten_if_private(moment: Moment, reason: str) -> Commands:
    """A private reason also clears what no recording claims: when it is given, and when what it stops has ended."""
    given = moment.policy.reasons.get(reason)
    return () if given is None or not given.private else forgotten(moment, "reasons")


def forgotten(moment: Moment, clause: str) -> Commands:
    """What no recording claims is cleared; where something may be held, that begins anew."""
    clear = do.ClearRing(at_us=moment.at_us, clause=clause, sound_only=False)
    holding = moment.state.phase is Phase.IDLE and moment.policy.pre_event_mode(moment.state.zone) != "off"
    return (clear, do.ForceKeyframe(at_us=moment.at_us, clause=clause)) if holding else (clear,)

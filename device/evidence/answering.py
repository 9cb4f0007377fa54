"""The five answers in words, once everything of a recording was looked at. No judgement is made here, and no I/O."""

from device.evidence.case import Found
from device.evidence.dating import NO_BOUNDS, Bounds
from device.evidence.verdicts import (
    Answers,
    Content,
    Extent,
    Read,
    RecordingVerdict,
    Signed,
    first_bad_of,
    when_said,
)


def _content_said(found: Found) -> str:
    if found.first_bad is None and found.released:
        here = f"{found.verified} of {found.segments} segments are still here, as they were signed"
        here = here if found.verified else "none of its segments is here"
        return f"released: {here}; the ledger is whole, and is the one that the agency's receipt names"
    if found.first_bad is None:
        return f"all {found.verified} segments are as they were signed" if found.segments else "there is no segment"
    first = found.first_bad
    when = when_said(first.utc, first.offset_s)
    when = f" (first at {when})" if when else ""
    good = f"{found.verified} of {found.segments} segments are as they were signed"
    return f"{first.place}: {first.what}{when}; {good}"


def _time_said(found: Found, bounds: Bounds) -> str:
    if found.opened is None:
        return "unknown"
    clock = found.opened.clock
    quality = f"synchronised by {clock.source}, within {clock.error_us} µs" if clock.synchronised else "NOT set"
    stepped = f", and was set {found.clock_steps} times while it recorded" if found.clock_steps else ""
    claimed = f"{found.opened.utc}; its clock was {quality}{stepped}"
    anchored = [f"not {when} {seen.utc} ({seen.word})" for when, seen in bounds.words()]
    if not anchored:
        return f"claimed by the device, not anchored: {claimed}"
    return f"anchored by the agency: {', '.join(anchored)}; claimed by the device: {claimed}"


def _content(found: Found) -> Content:
    if found.altered_at_all:
        return "altered"
    return "released" if found.released else "matches"


def conclude(
    found: Found,
    signer: tuple[Signed, str],
    extent: tuple[Extent, str],
    read: tuple[Read, str],
    bounds: Bounds = NO_BOUNDS,
) -> RecordingVerdict:
    """The answers, and the facts of the ledger, once everything was looked at."""
    opened, first = found.opened, found.first_video
    answers = Answers(
        content=_content(found),
        content_said=_content_said(found),
        signer=signer[0],
        signer_said=signer[1],
        extent=extent[0],
        extent_said=extent[1],
        time_said=_time_said(found, bounds),
        read=read[0],
        read_said=read[1],
    )
    return RecordingVerdict(
        recording=found.name,
        device=opened.device if opened else "",
        verdict=answers.verdict,
        exit_status=answers.exit_status,
        answers=answers,
        findings=tuple(found.findings),
        trigger=opened.trigger if opened else "",
        opened_utc=opened.utc if opened else "",
        pre_event_mode=opened.pre_event.mode if opened else "",
        pre_event_asked_us=opened.pre_event.asked_us if opened else 0,
        pre_event_had_us=opened.pre_event.had_us if opened else 0,
        seconds=round(found.video_us() / 1e6, 3),
        first_frame=first.first if first else 0,
        frames=found.frames,
        packets=found.packets,
        segments=found.segments,
        verified_segments=found.verified,
        unproven_files=found.unproven,
        missing=found.missing,
        missing_sound_us=found.heard.missing_us,
        continues=opened.continues if opened else None,
        findings_beyond=found.beyond,
        first_bad=first_bad_of(found.name, found.first_bad),
        ledger_sha256=found.ledger_sha256,
        tree_root=found.tree_root,
        size=found.size,
    )

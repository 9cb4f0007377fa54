"""What to do about it: the decisions of `machine.step`, as data. PURE.

Each carries the boot time of the decision and the policy clause that it rests on. The daemon carries them out; the
journal takes them as they are here, but for the private words, which travel sealed.
"""

from typing import Annotated

import msgspec

from device.policy.inputs import Count, Micros, PrivateWord, Word


class CommandBase(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"):
    at_us: Micros
    clause: Word


class Open(CommandBase, frozen=True, tag="open"):
    """Begin a recording: video from `video_from_us`, sound from `audio_from_us`. `override` is null in what is public."""

    recording: Count
    trigger: Word
    category: PrivateWord
    zone: PrivateWord
    override: bool | None
    pre_event: Word
    pre_event_asked_us: Micros
    video_from_us: Micros
    audio_from_us: Micros


class Refuse(CommandBase, frozen=True, tag="refuse"):
    """A start that the policy, or the store, does not allow now."""

    trigger: Word
    zone: PrivateWord
    reason: PrivateWord


class EnterStage(CommandBase, frozen=True, tag="enter-stage"):
    """From here on the recording's segments are `live` or `post`."""

    recording: Count
    stage: Word


class Close(CommandBase, frozen=True, tag="close"):
    """End the recording with the last frame captured before `to_us`."""

    recording: Count
    to_us: Micros
    how: Word
    reason: PrivateWord


class Mark(CommandBase, frozen=True, tag="mark"):
    """A marker at the time of its press."""

    recording: Count
    marked_us: Micros


class Mute(CommandBase, frozen=True, tag="mute"):
    recording: Count
    reason: PrivateWord


class Unmute(CommandBase, frozen=True, tag="unmute"):
    recording: Count


class Pause(CommandBase, frozen=True, tag="pause"):
    recording: Count
    reason: PrivateWord


class Resume(CommandBase, frozen=True, tag="resume"):
    recording: Count


class SetCapture(CommandBase, frozen=True, tag="set-capture"):
    """What may be held of what is captured from now on, and what of it a later press may reach back to (E1)."""

    zone: PrivateWord
    muted: bool
    paused: bool
    video: bool
    audio: bool
    pre_video: bool
    pre_audio: bool


class ClearRing(CommandBase, frozen=True, tag="clear-ring"):
    """Drop every frame that no recording claims."""


class ForceKeyframe(CommandBase, frozen=True, tag="force-keyframe"):
    """Ask the encoder for a keyframe now, so that what may be kept begins now."""


class Cue(CommandBase, frozen=True, tag="cue"):
    """A signal to the wearer: see `controls.indicators` for what each looks, sounds and feels like."""

    cue: Word


class Note(CommandBase, frozen=True, tag="note"):
    """A fact for the open recording's ledger: a fault, a clock step, a stop asked for and lapsed."""

    recording: Count
    what: Word
    value: Annotated[int, msgspec.Meta(gt=-(2**53), lt=2**53)]


class Finish(CommandBase, frozen=True, tag="finish"):
    """Nothing is open and shutdown was asked: the daemon may end."""


Command = (
    Open
    | Refuse
    | EnterStage
    | Close
    | Mark
    | Mute
    | Unmute
    | Pause
    | Resume
    | SetCapture
    | ClearRing
    | ForceKeyframe
    | Cue
    | Note
    | Finish
)

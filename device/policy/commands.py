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
    """Begin a recording: video from `video_from_us`, sound from `audio_from_us`. `override` is null in what is public.
    `late_us`: how long after the wearer was asked to start; 0 when it was in time or nobody asked."""

    recording: Count
    trigger: Word
    category: PrivateWord
    zone: PrivateWord
    override: bool | None
    pre_event: Word
    pre_event_asked_us: Micros
    video_from_us: Micros
    audio_from_us: Micros
    late_us: Micros


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


class Explain(CommandBase, frozen=True, tag="explain"):
    """The reason of a stop, given after the recording had closed."""

    recording: Count
    reason: PrivateWord


class Notice(CommandBase, frozen=True, tag="notice"):
    """Whether people were told that they are recorded, and if not, why."""

    recording: Count
    given: bool
    reason: PrivateWord


class Prompt(CommandBase, frozen=True, tag="prompt"):
    """The wearer is asked for something: to `start`, or to `justify-or-exit`."""

    about: PrivateWord


class Justify(CommandBase, frozen=True, tag="justify"):
    """The wearer states a category under which a recording may go on in a zone that it was carried into."""

    recording: Count
    category: PrivateWord
    zone: PrivateWord


class Lapse(CommandBase, frozen=True, tag="lapse"):
    """What the wearer was asked for did not come: `start`, `justify-or-exit`."""

    about: PrivateWord


class Deny(CommandBase, frozen=True, tag="deny"):
    """Something other than a start that is not allowed now: `stealth`, `sleep`, `mute`, `pause`, `resume`,
    `assignment`, `trigger`."""

    what: Word
    reason: PrivateWord


class Assign(CommandBase, frozen=True, tag="assign"):
    """The camera is this officer's from now on; an empty one: nobody's."""

    officer: PrivateWord
    role: PrivateWord
    unit: PrivateWord
    shift: PrivateWord


class Sleep(CommandBase, frozen=True, tag="sleep"):
    reason: PrivateWord


class Wake(CommandBase, frozen=True, tag="wake"):
    """The end of a sleep: by the switch, or by a start."""


class Stealth(CommandBase, frozen=True, tag="stealth"):
    """Lights and buzzer off, or on again."""

    on: bool


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
    """Drop what no recording claims: every frame, or only the sound."""

    sound_only: bool


class ForceKeyframe(CommandBase, frozen=True, tag="force-keyframe"):
    """Ask the encoder for a keyframe now, so that what may be kept begins now."""


class Cue(CommandBase, frozen=True, tag="cue"):
    """A signal to the wearer: see `signals` for what each looks, sounds and feels like."""

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
    | Explain
    | Notice
    | Prompt
    | Justify
    | Lapse
    | Deny
    | Assign
    | Sleep
    | Wake
    | Stealth
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

"""The policy document: TOML into one frozen, bounded object. PURE.

Every table is a clause and carries its `source`. Unknown keys and values out of bounds are refused with the key, the
value and the limit; the caller adds the file's name.
"""

from typing import Annotated, Literal

import msgspec

from device.policy.document import DocumentError, parse_document
from device.policy.inputs import Word

PreEventMode = Literal["off", "video", "video+audio"]
Source = Annotated[str, msgspec.Meta(min_length=1, max_length=400)]


class Clause(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table of the document, and where it comes from."""

    source: Source


class Gestures(Clause, frozen=True):
    """Button timings in ms. A double press acts on its second leading edge; one hold is one gesture."""

    double_press_ms: Annotated[int, msgspec.Meta(ge=200, le=1000)]
    stop_hold_ms: Annotated[int, msgspec.Meta(ge=1000, le=10_000)]
    emergency_hold_ms: Annotated[int, msgspec.Meta(ge=600, le=5000)]
    mute_hold_ms: Annotated[int, msgspec.Meta(ge=1000, le=10_000)]


class PreEvent(Clause, frozen=True):
    """How far back a recording reaches, in s."""

    length_s: Annotated[int, msgspec.Meta(ge=0, le=120)]


class Stop(Clause, frozen=True):
    """A stop must be confirmed within `confirm_s`, or recording goes on."""

    confirm_s: Annotated[int, msgspec.Meta(ge=2, le=30)]
    default_reason: Word


class PostEvent(Clause, frozen=True):
    """How long recording goes on after a confirmed stop, in s."""

    length_s: Annotated[int, msgspec.Meta(ge=0, le=120)]


class Reminder(Clause, frozen=True):
    """While recording, muted or paused: a cue every so many s."""

    every_s: Annotated[int, msgspec.Meta(ge=10, le=3600)]


class Mute(Clause, frozen=True):
    """Sound off while recording, at most this long, in s."""

    allowed: bool
    limit_s: Annotated[int, msgspec.Meta(ge=10, le=7200)]
    reason: Word


class Pause(Clause, frozen=True):
    """A private pause on request: nothing is recorded or held, and no post-event time follows."""

    allowed: bool
    reason: Word


class Zone(Clause, frozen=True):
    """What a zone allows: whether a start is allowed or denied, what is held before one, whether the emergency hold
    overrides a denial."""

    start: Literal["allow", "deny"]
    pre_event: PreEventMode
    override: bool


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    id: Word
    version: Annotated[int, msgspec.Meta(ge=1, lt=2**31)]
    title: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    initial_zone: Word
    default_category: Word
    override_category: Word
    gestures: Gestures
    pre_event: PreEvent
    stop: Stop
    post_event: PostEvent
    reminder: Reminder
    mute: Mute
    pause: Pause
    zones: Annotated[dict[Word, Zone], msgspec.Meta(min_length=1, max_length=32)]

    def pre_event_mode(self, zone: str) -> PreEventMode:
        """What is held before a press in a zone: nothing anywhere, when the pre-event time is 0 s."""
        return "off" if self.pre_event.length_s == 0 else self.zones[zone].pre_event


def parse_policy(document: bytes) -> Policy:
    """The policy that a TOML document states; `DocumentError` otherwise."""
    policy = parse_document(document, Policy)
    if policy.initial_zone not in policy.zones:
        raise DocumentError("initial_zone", policy.initial_zone, f"one of: {', '.join(policy.zones)}")
    gestures = policy.gestures
    if gestures.emergency_hold_ms <= gestures.double_press_ms:
        limit = f"more than gestures.double_press_ms ({gestures.double_press_ms})"
        raise DocumentError("gestures.emergency_hold_ms", gestures.emergency_hold_ms, limit)
    return policy

"""The policy document: TOML into one frozen, bounded object. PURE.

Every table is a clause and carries its `source`. Unknown keys and values out of bounds are refused with the key, the
value and the limit; the caller adds the file's name.
"""

from collections.abc import Iterable
from typing import Annotated, Literal

import msgspec

from device.policy.document import DocumentError, parse_document
from device.policy.inputs import PrivateWord, Word
from device.policy.limits import END_POINT

PreEventMode = Literal["off", "video", "video+audio"]
Enhancement = Literal["face-recognition", "biometric-identification", "night-vision", "infrared-illumination"]
Source = Annotated[str, msgspec.Meta(min_length=1, max_length=600)]
Title = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Recipient = Annotated[str, msgspec.Meta(pattern=r"^age1[0-9a-z]{50,70}\Z")]
EndPoint = Annotated[str, msgspec.Meta(pattern=END_POINT)]
Words = Annotated[tuple[Word, ...], msgspec.Meta(max_length=64)]

IDENTIFYING = "identify"
"""No category may begin so: cameras do not record assemblies to identify who is there (R22)."""


class Clause(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table of the document, and where it comes from."""

    source: Source


class Conflict(Clause, frozen=True):
    """Two sources ask for different things: which one this policy took, and why."""

    between: Title
    took: Title
    why: Annotated[str, msgspec.Meta(min_length=1, max_length=600)]


class Activation(Clause, frozen=True):
    """`enabled` false: this camera never records and holds nothing. A start that a trigger asked the wearer for and
    that has not come within `late_after_s` is written down as inaction, and one that comes later as late."""

    enabled: bool
    initial_zone: Word
    default_category: Word
    override_category: Word
    late_after_s: Annotated[int, msgspec.Meta(ge=5, le=600)]


class Category(Clause, frozen=True):
    """Why something is recorded. `on_trigger`: what a trigger that is mapped to it does; `resumes_pause`: whether
    such a trigger also ends a private pause."""

    title: Title
    on_trigger: Literal["start", "prompt", "ignore"]
    resumes_pause: bool


class Gestures(Clause, frozen=True):
    """Button timings in ms. A double press acts on its second leading edge; one hold is one gesture. A count of
    presses is complete when `count_gap_ms` pass without another."""

    double_press_ms: Annotated[int, msgspec.Meta(ge=200, le=1000)]
    stop_hold_ms: Annotated[int, msgspec.Meta(ge=1000, le=10_000)]
    emergency_hold_ms: Annotated[int, msgspec.Meta(ge=600, le=5000)]
    mute_hold_ms: Annotated[int, msgspec.Meta(ge=1000, le=10_000)]
    count_gap_ms: Annotated[int, msgspec.Meta(ge=600, le=5000)]


class PreEvent(Clause, frozen=True):
    """How far back a recording reaches, in s."""

    length_s: Annotated[int, msgspec.Meta(ge=0, le=120)]


class Stop(Clause, frozen=True):
    """A stop must be confirmed within `confirm_s`, or recording goes on. For `reason_window_s` after it short presses
    of the function button give one of `reasons`; without them it is `default_reason`."""

    confirm_s: Annotated[int, msgspec.Meta(ge=2, le=30)]
    reason_window_s: Annotated[int, msgspec.Meta(ge=0, le=120)]
    default_reason: Word


class Reason(Clause, frozen=True):
    """A reason for a stop, given by so many presses. A private one also clears what no recording claims."""

    presses: Annotated[int, msgspec.Meta(ge=1, le=9)]
    title: Title
    private: bool


class PostEvent(Clause, frozen=True):
    """How long recording goes on after a confirmed stop, in s, and whether a trigger in that time resumes it."""

    length_s: Annotated[int, msgspec.Meta(ge=0, le=120)]
    resume_on_trigger: bool


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


class Sleep(Clause, frozen=True):
    """The sleep switch: nothing is held and triggers are not heard, with a cue every so many s. A press still starts."""

    allowed: bool
    remind_every_s: Annotated[int, msgspec.Meta(ge=60, le=7200)]
    reason: Word


class Notice(Clause, frozen=True):
    """Whether a start prompts the wearer to tell people that they are recorded. A press of the function button within
    `window_s` says that they were told."""

    prompt: bool
    window_s: Annotated[int, msgspec.Meta(ge=5, le=300)]


class Stealth(Clause, frozen=True):
    """Whether the wearer may turn the lights and the buzzer off."""

    allowed: bool


class Assignment(Clause, frozen=True):
    """Who may wear it: an assignment of any other role is refused; no `roles`: any. `unassigned`: whether a camera
    that is assigned to nobody records more than an emergency."""

    roles: Words
    unassigned: Literal["allow", "deny"]


class ReadinessRule(Clause, frozen=True):
    """Ready is shown only while there is room for so many hours; a start is refused only by a full card."""

    storage_hours: Annotated[int, msgspec.Meta(ge=0, le=48)]


class Forbidden(Clause, frozen=True):
    """What this camera must not be able to do."""

    enhancements: Annotated[tuple[Enhancement, ...], msgspec.Meta(max_length=4)]


class Disclosure(Clause, frozen=True):
    """What the custodian's tools are held to: whether the wearer may see footage before the report is written, who
    gets none without a court, and the only places that footage may be sent to: buckets of an S3 store (in the clear on this machine only), folders."""

    review_before_report: bool
    withheld_from: Words
    end_points: Annotated[tuple[EndPoint, ...], msgspec.Meta(max_length=8)]


class Recipients(Clause, frozen=True):
    """Who can open footage, and names and places: age recipients. None: those that the device was provisioned with."""

    footage: Annotated[tuple[Recipient, ...], msgspec.Meta(max_length=8)]
    context: Annotated[tuple[Recipient, ...], msgspec.Meta(max_length=8)]


class Retention(Clause, frozen=True):
    """A hint that travels in each recording; the device deletes nothing by it."""

    days: Annotated[int, msgspec.Meta(ge=1, le=36_500)]


class Zone(Clause, frozen=True):
    """What a place allows. `start` decides for every category that is in neither `allowed` nor `denied`. `category` and
    `override_category`: what a double press and an emergency hold state here ("": the policy's own). `override`:
    whether the emergency hold starts where it would be denied. `entry`: what happens when a recording that is not
    allowed here is carried in: it goes on, or the wearer has `justify_s` to justify it or to leave, or it is paused at
    once. `unjustified`: what follows when neither came."""

    title: Title
    start: Literal["allow", "deny"]
    allowed: Words
    denied: Words
    pre_event: PreEventMode
    override: bool
    category: PrivateWord
    override_category: PrivateWord
    entry: Literal["go-on", "prompt", "pause"]
    justify_s: Annotated[int, msgspec.Meta(ge=5, le=300)]
    unjustified: Literal["go-on", "pause"]


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole document. `not_opened`: sources that it names and whose text its authors have not read."""

    id: Word
    version: Annotated[int, msgspec.Meta(ge=1, lt=2**31)]
    title: Title
    not_opened: Annotated[tuple[Title, ...], msgspec.Meta(max_length=32)]
    conflicts: Annotated[tuple[Conflict, ...], msgspec.Meta(max_length=32)]
    activation: Activation
    gestures: Gestures
    pre_event: PreEvent
    stop: Stop
    post_event: PostEvent
    reminder: Reminder
    mute: Mute
    pause: Pause
    sleep: Sleep
    notice: Notice
    stealth: Stealth
    assignment: Assignment
    readiness: ReadinessRule
    forbidden: Forbidden
    disclosure: Disclosure
    recipients: Recipients
    retention: Retention
    categories: Annotated[dict[Word, Category], msgspec.Meta(min_length=1, max_length=64)]
    reasons: Annotated[dict[Word, Reason], msgspec.Meta(max_length=9)]
    zones: Annotated[dict[Word, Zone], msgspec.Meta(min_length=1, max_length=32)]

    def pre_event_mode(self, zone: str) -> PreEventMode:
        """What is held before a press in a zone: nothing anywhere, when the camera is disabled or the time is 0 s."""
        if not self.activation.enabled or self.pre_event.length_s == 0:
            return "off"
        return self.zones[zone].pre_event

    def category(self, zone: str) -> str:
        """What a double press states in a zone."""
        return self.zones[zone].category or self.activation.default_category

    def override_category(self, zone: str) -> str:
        """What an emergency hold states in a zone."""
        return self.zones[zone].override_category or self.activation.override_category

    def allows(self, zone: str, category: str) -> bool:
        """Whether a zone lets something of this category be recorded without an override."""
        here = self.zones[zone]
        if category in here.allowed or category in here.denied:
            return category in here.allowed
        return here.start == "allow"

    def overrides(self, zone: str, category: str) -> bool:
        """Whether a category that is denied in a zone is one that overrides the denial there."""
        return self.zones[zone].override and self.emergency(zone, category)

    def emergency(self, zone: str, category: str) -> bool:
        """Whether a category is what an emergency hold states, in this zone or anywhere."""
        return category in (self.override_category(zone), self.activation.override_category)


def parse_policy(document: bytes) -> Policy:
    """The policy that a TOML document states; `DocumentError` otherwise."""
    policy = parse_document(document, Policy)
    _check_names(policy)
    _check_presses(policy)
    gestures = policy.gestures
    if gestures.emergency_hold_ms <= gestures.double_press_ms:
        limit = f"more than gestures.double_press_ms ({gestures.double_press_ms})"
        raise DocumentError("gestures.emergency_hold_ms", gestures.emergency_hold_ms, limit)
    return policy


def _check_names(policy: Policy) -> None:
    """Every name that is used is one that is defined."""
    activation, categories = policy.activation, policy.categories
    _check("activation.initial_zone", activation.initial_zone, policy.zones)
    _check("activation.default_category", activation.default_category, categories)
    _check("activation.override_category", activation.override_category, categories)
    for name in categories:
        if name.startswith(IDENTIFYING):
            limit = "no category may be for identifying people (R22); take it out"
            raise DocumentError(f"categories.{name}", None, limit)
    for name, zone in policy.zones.items():
        for key, category in (("category", zone.category), ("override_category", zone.override_category)):
            if category:
                _check(f"zones.{name}.{key}", category, categories)
        for category in (*zone.allowed, *zone.denied):
            _check(f"zones.{name}.{'allowed' if category in zone.allowed else 'denied'}", category, categories)
        if both := set(zone.allowed) & set(zone.denied):
            raise DocumentError(f"zones.{name}.denied", min(both), "not in allowed too; take it out of one")


def _check_presses(policy: Policy) -> None:
    """A count of presses means one reason."""
    taken: dict[int, str] = {}
    for name, reason in policy.reasons.items():
        if reason.presses in taken:
            limit = f"another number than reasons.{taken[reason.presses]} has"
            raise DocumentError(f"reasons.{name}.presses", reason.presses, limit)
        taken[reason.presses] = name


def _check(key: str, name: str, defined: Iterable[str]) -> None:
    if name not in defined:
        raise DocumentError(key, name, f"one of: {', '.join(defined)}")

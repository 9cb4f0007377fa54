"""What two policies ask for differently, in words. PURE.

Every key has its words here, so that no change goes unsaid: two policies have no difference exactly when they are equal.
"""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from device.policy.model import Conflict, Policy

Words = Callable[[Any], str]
Path = tuple[str, ...]
KINDS = {"categories": "category", "reasons": "reason", "zones": "zone"}
"""The tables whose entries have free names."""


class Difference(msgspec.Struct, frozen=True):
    """One changed key, and the change as a sentence, with the source of what holds now. Of an entry that is new or gone
    the sentence with its source comes first, then one for each of its keys."""

    key: str
    text: str


def differences(before: Policy, after: Policy) -> tuple[Difference, ...]:
    """What changes from one policy to another, in the order of the document."""
    old, new = msgspec.to_builtins(before), msgspec.to_builtins(after)
    rules = (difference for path in _changed(old, new, ()) for difference in _told(path, before, after))
    return (*rules, *_conflicts(before.conflicts, after.conflicts))


def _changed(old: dict[str, Any], new: dict[str, Any], path: Path) -> Iterator[Path]:
    for key in [*new, *(key for key in old if key not in new)]:
        here = (*path, key)
        if here == ("conflicts",):
            continue
        if isinstance(old.get(key), dict) and isinstance(new.get(key), dict):
            yield from _changed(old[key], new[key], here)
        elif key not in old or key not in new or old[key] != new[key]:
            yield here


def _told(path: Path, before: Policy, after: Policy) -> Iterator[Difference]:
    """A changed key; or an entry that came or went, and then each of its keys."""
    if len(path) != 2 or path[0] not in KINDS:
        yield Difference(".".join(path), _sentence(path, before, after))
        return
    table, name = path
    gone = name not in getattr(after, table)
    policy = before if gone else after
    entry = getattr(policy, table)[name]
    came = "gone" if gone else "new"
    yield Difference(".".join(path), f"The {KINDS[table]} {name} is {came}: {entry.title} ({entry.source}).")
    for key in entry.__struct_fields__:
        if key not in ("title", "source"):
            here = (*path, key)
            subject, words = _words_of(here, policy)
            yield Difference(".".join(here), f"{subject} {'was' if gone else 'is'} {words}.")


def _sentence(path: Path, before: Policy, after: Policy) -> str:
    subject, was = _words_of(path, before)
    return f"{subject} was {was}; now it is {_words_of(path, after)[1]}{_source(after, path)}."


def _words_of(path: Path, policy: Policy) -> tuple[str, str]:
    """What a key is about, and what it says."""
    subject, words = _wording(path)
    return subject, start_words(policy, path[1]) if path[-1] == "start" else words(_value(policy, path))


def start_words(policy: Policy, zone: str) -> str:
    """Whether a start is allowed in a zone, with what is excepted."""
    here = policy.zones[zone]
    if here.start == "allow":
        return "allowed" + (f", except for {_listed(here.denied)}" if here.denied else "")
    unless = dict.fromkeys((*here.allowed, *([policy.override_category(zone)] if here.override else [])))
    return "denied" + (f", unless {_listed(unless, 'or')}" if unless else "")


def _conflicts(before: tuple[Conflict, ...], after: tuple[Conflict, ...]) -> Iterator[Difference]:
    for conflict in before:
        if conflict not in after:
            yield Difference("conflicts", f"No longer recorded as a conflict: {_conflict_words(conflict)}")
    for conflict in after:
        if conflict not in before:
            yield Difference("conflicts", f"Now recorded as a conflict: {_conflict_words(conflict)}")
    if before != after and set(before) == set(after):
        yield Difference("conflicts", "The conflicts are the same, in another order.")


def _conflict_words(conflict: Conflict) -> str:
    return f"{conflict.between}. Taken: {conflict.took}. {conflict.why} ({conflict.source})."


def _value(policy: Policy, path: Path) -> Any:
    value: Any = policy
    for part in path:
        value = value[part] if isinstance(value, dict) else getattr(value, part)
    return value


def _source(policy: Policy, path: Path) -> str:
    if len(path) == 1 or path[-1] == "source":
        return ""
    return f" ({_value(policy, (*path[:-1], 'source'))})"


def _wording(path: Path) -> tuple[str, Words]:
    if path[-1] == "source":
        return f"The source of {'.'.join(path[:-1])}", _quoted
    named = len(path) == 3
    subject, words = KEYS[f"{path[0]}.*.{path[2]}" if named else ".".join(path)]
    return subject.format(name=path[1] if named else ""), words


def _listed(names: Any, joint: str = "and") -> str:
    *head, last = names
    return f"{', '.join(head)} {joint} {last}" if head else str(last)


def _quoted(value: str) -> str:
    return f"“{value}”"


def _seconds(value: int) -> str:
    return f"{value} s"


def _milliseconds(value: int) -> str:
    return f"{value} ms"


def _either(yes: str, no: str) -> Words:
    return lambda value: yes if value else no


def _one_of(**words: str) -> Words:
    return lambda value: words[value.replace("-", "_").replace("+", "_")]


def _list_or(nothing: str) -> Words:
    return lambda names: _listed(names) if names else nothing


def _word_or(nothing: str) -> Words:
    return lambda word: word or nothing


ALLOWED = _either("allowed", "not allowed")
OWN = _word_or("what the policy says for every zone")

KEYS: dict[str, tuple[str, Words]] = {
    "id": ("The policy's name", str),
    "version": ("The version", str),
    "title": ("The title", _quoted),
    "not_opened": ("The list of sources whose text was not read", lambda names: _quoted("; ".join(names))),
    "activation.enabled": ("Recording", _either("possible", "disabled: nothing is recorded or held")),
    "activation.initial_zone": ("The zone that a camera begins in", str),
    "activation.default_category": ("What a double press states", str),
    "activation.override_category": ("What an emergency hold states", str),
    "activation.late_after_s": ("The time after which a start that was asked for is late", _seconds),
    "gestures.double_press_ms": ("The most time between the two presses of a double press", _milliseconds),
    "gestures.stop_hold_ms": ("The hold that asks for a stop", _milliseconds),
    "gestures.emergency_hold_ms": ("The emergency hold", _milliseconds),
    "gestures.mute_hold_ms": ("The hold that mutes", _milliseconds),
    "gestures.count_gap_ms": ("The pause that ends a count of presses", _milliseconds),
    "pre_event.length_s": ("How far a recording reaches back before its start", _seconds),
    "stop.confirm_s": ("The time to confirm a stop", _seconds),
    "stop.reason_window_s": ("The time to give the reason of a stop", _seconds),
    "stop.default_reason": ("The reason of a stop for which none was given", str),
    "post_event.length_s": ("How long recording goes on after a stop", _seconds),
    "post_event.resume_on_trigger": ("A trigger in the time after a stop", _either("one that resumes", "not heard")),
    "reminder.every_s": ("The time between two reminders", _seconds),
    "mute.allowed": ("Muting the sound", ALLOWED),
    "mute.limit_s": ("The longest mute", _seconds),
    "mute.reason": ("The reason written for a mute", str),
    "pause.allowed": ("A private pause", ALLOWED),
    "pause.reason": ("The reason written for a private pause", str),
    "sleep.allowed": ("Sleep", ALLOWED),
    "sleep.remind_every_s": ("The time between two reminders of sleep", _seconds),
    "sleep.reason": ("The reason written for sleep", str),
    "notice.prompt": ("The prompt, at a start, to tell people that they are recorded", _either("given", "not given")),
    "notice.window_s": ("The time to confirm that people were told", _seconds),
    "stealth.allowed": ("Turning the lights and the buzzer off", ALLOWED),
    "assignment.roles": ("Who may wear the camera", _list_or("any role")),
    "assignment.unassigned": ("A start while nobody wears the camera", _one_of(allow="allowed", deny="denied")),
    "readiness.storage_hours": ("The room without which the camera is not ready", "{} h of recording".format),
    "forbidden.enhancements": ("What the camera must not be able to do", _list_or("nothing")),
    "disclosure.review_before_report": ("The wearer's review of footage before the report", ALLOWED),
    "disclosure.withheld_from": ("Who gets no footage without a court", _list_or("nobody")),
    "disclosure.end_points": ("Where footage may be sent", _list_or("nowhere")),
    "recipients.footage": ("Who can open footage", _list_or("whom the camera was provisioned for")),
    "recipients.context": ("Who can open names and places", _list_or("whom the camera was provisioned for")),
    "retention.days": ("How long footage is to be kept", "{} days".format),
    "categories.*.title": ("The title of the category {name}", _quoted),
    "categories.*.on_trigger": (
        "What a trigger for {name} does",
        _one_of(start="to start a recording", prompt="to ask the wearer for a start", ignore="nothing"),
    ),
    "categories.*.resumes_pause": ("A private pause, at a trigger for {name},", _either("ended", "kept")),
    "reasons.*.presses": ("The number of presses for the reason {name}", str),
    "reasons.*.title": ("The title of the reason {name}", _quoted),
    "reasons.*.private": (
        "What is held in memory, at a stop for {name},",
        _either("cleared, but for what a recording needs", "kept"),
    ),
    "zones.*.title": ("The title of the zone {name}", _quoted),
    "zones.*.start": ("In {name} a start", str),
    "zones.*.allowed": ("What may always be recorded in {name}", _list_or("nothing")),
    "zones.*.denied": ("What may never be recorded in {name}", _list_or("nothing")),
    "zones.*.pre_event": (
        "What is held in {name} before a start",
        _one_of(off="nothing", video="pictures", video_audio="pictures and sound"),
    ),
    "zones.*.override": (
        "A denied start in {name}",
        _either("one that the emergency hold overrides", "one that nothing overrides"),
    ),
    "zones.*.category": ("What a double press states in {name}", OWN),
    "zones.*.override_category": ("What an emergency hold states in {name}", OWN),
    "zones.*.entry": (
        "A recording that is not allowed in {name} and is carried in",
        _one_of(go_on="one that goes on", prompt="one to justify or to take out", pause="paused at once"),
    ),
    "zones.*.justify_s": ("The time to justify a recording in {name}, or to leave", _seconds),
    "zones.*.unjustified": (
        "A recording that was not justified in {name} in time",
        _one_of(go_on="one that goes on", pause="paused"),
    ),
}

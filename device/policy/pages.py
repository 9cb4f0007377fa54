"""A policy as a page that an officer or a parent can read: sections of plain sentences, each with its source. PURE."""

import re
from collections.abc import Iterable, Iterator

import msgspec

from device.policy import annex
from device.policy.model import Clause, Policy, Zone
from device.policy.summary import in_short

BUILT = "how the camera is built"
"""The source of a line that no policy can change."""
HELD = {"video": "pictures, without sound,", "video+audio": "pictures and sound"}
LEGEND = {
    r"\bG[0-9]": "G and a number: a clause of the Boston Globe's article on the school unit's body cameras, 22 January 2020.",
    r"\bA[0-9]": "A and a number: a clause of the ACLU's page on body cameras and police in schools.",
    r"\bR[0-9]": "R and a number: a requirement that this project drew from the law or model policy named beside it.",
    r"\bfield failure [0-9]": (
        "Field failure and a number: a way in which body cameras have failed in service, in this project's list of them."
    ),
}
"""What the sources are called, told where a page has such a one."""


class Line(msgspec.Struct, frozen=True):
    text: str
    source: str


class Section(msgspec.Struct, frozen=True):
    """`annex`: it comes after the sources."""

    title: str
    lines: tuple[Line, ...]
    annex: bool = False


def page(policy: Policy) -> tuple[Section, ...]:
    enabled = policy.activation.enabled
    rules: list[tuple[str, Iterable[Line]]] = [
        ("In short", (Line(text, "") for text in in_short(policy))),
        ("What this is", _identity(policy)),
        ("What starts a recording", _starts(policy)),
        ("What refuses a start", _refusals(policy)),
        ("What stops a recording", _stops(policy)),
        ("Pause, mute and sleep", _breaks(policy)),
        ("What is held before a start", _held(policy)),
        ("What people are told", _told(policy)),
        ("Who wears it", _wearers(policy)),
        ("Who can see what it recorded", _viewers(policy)),
        ("How long it is kept", _kept(policy)),
        ("What the camera may never do", _never(policy)),
    ]
    if enabled:
        rules += [(f"In this place: {zone.title} ({name})", _zone(policy, name)) for name, zone in policy.zones.items()]
    rules.append(("Where sources disagree", _conflicts(policy)))
    sections = [Section(title, told) for title, lines in rules if (told := tuple(lines))]
    return (
        *sections,
        Section("Sources", tuple(_sources(policy, sections))),
        Section("Annex: what the lights mean", tuple(Line(text, BUILT) for text in annex.lights(policy)), annex=True),
        Section(
            "Annex: what sounds and vibrations mean",
            tuple(Line(text, BUILT) for text in annex.cues(policy)),
            annex=True,
        ),
    )


def _identity(policy: Policy) -> Iterator[Line]:
    yield Line(f"{policy.title}: the policy {policy.id}, version {policy.version}.", "")
    if not policy.activation.enabled:
        yield Line("This camera is disabled: it never records, and holds nothing.", policy.activation.source)


def _starts(policy: Policy) -> Iterator[Line]:
    activation, gestures = policy.activation, policy.gestures
    if not activation.enabled:
        yield Line("Nothing: a press, a hold and a trigger are all refused.", activation.source)
        return
    own = any(zone.category or zone.override_category for zone in policy.zones.values())
    places = " Some places have it write down something else: see “In this place” below." if own else ""
    yield Line(
        f"Two presses of the record button within {_seconds(gestures.double_press_ms)}. What is then written down as the "
        f"occasion: {_called(policy, activation.default_category)}.{places}",
        f"{activation.source}; {gestures.source}",
    )
    yield Line(
        f"Holding the record button for {_seconds(gestures.emergency_hold_ms)}: the emergency start. What is written down: "
        f"{_called(policy, activation.override_category)}.{places} It starts also where a place refuses other starts and "
        "lets an emergency override that.",
        f"{activation.source}; {gestures.source}",
    )
    yield from _triggers(policy, "start", "A trigger (a sensor that the agency wired to it) starts one by itself, for")
    yield from _triggers(policy, "prompt", "A trigger asks the wearer to start one, for")
    yield Line(
        f"A start that was asked for and has not come after {activation.late_after_s} s is written down, and one that "
        "comes later as late.",
        activation.source,
    )


def _triggers(policy: Policy, does: str, said: str) -> Iterator[Line]:
    found = [each for each in policy.categories.values() if each.on_trigger == does]
    if found:
        yield Line(f"{said}: {'; '.join(each.title for each in found)}.", _sources_of(found))


def _sources_of(clauses: Iterable[Clause]) -> str:
    return "; ".join(dict.fromkeys(clause.source for clause in clauses))


def _refusals(policy: Policy) -> Iterator[Line]:
    if not policy.activation.enabled:
        return
    for name, zone in policy.zones.items():
        if zone.start == "deny" or zone.denied:
            yield Line(f"{zone.title} ({name}): {_start_rule(policy, zone)} {_emergency(policy, name)}", zone.source)
    if policy.assignment.unassigned == "deny":
        yield Line("A camera that is assigned to nobody refuses all but an emergency.", policy.assignment.source)
    yield Line("A full card refuses every start. Every refusal is signalled and written down.", BUILT)


def _emergency(policy: Policy, name: str) -> str:
    category = policy.override_category(name)
    if policy.allows(name, category):
        return f"The emergency hold still starts, for: {_called(policy, category)}."
    if policy.overrides(name, category):
        return f"The emergency hold still starts, for: {_called(policy, category)}; it is written down as an override."
    return "The emergency hold is refused too."


def _start_rule(policy: Policy, zone: Zone) -> str:
    if zone.start == "allow":
        return (
            f"a start is allowed, but not for: {_titles(policy, zone.denied)}."
            if zone.denied
            else "a start is allowed."
        )
    return f"a start is refused, but for: {_titles(policy, zone.allowed)}." if zone.allowed else "a start is refused."


def _stops(policy: Policy) -> Iterator[Line]:
    if not policy.activation.enabled:
        return
    stop, after = policy.stop, policy.post_event
    yield Line(
        f"Holding the record button for {_seconds(policy.gestures.stop_hold_ms)} asks for a stop; one press within "
        f"{stop.confirm_s} s confirms it. Otherwise it goes on recording.",
        stop.source,
    )
    goes_on = (
        f"For {after.length_s} s after a stop it still records" if after.length_s else "After a stop it records nothing"
    )
    resumes = "; a trigger in that time resumes it" if after.length_s and after.resume_on_trigger else ""
    yield Line(f"{goes_on}{resumes}.", after.source)
    yield Line(
        f"The wearer has {stop.reason_window_s} s to give the reason by presses of the function button. A stop without "
        f"one is written as {_reason(policy, stop.default_reason)}.",
        stop.source,
    )
    for reason in sorted(policy.reasons.values(), key=lambda each: each.presses):
        presses = "1 press" if reason.presses == 1 else f"{reason.presses} presses"
        clears = " What is held in memory and belongs to no recording is cleared." if reason.private else ""
        yield Line(f"{presses}: {reason.title}.{clears}", reason.source)


def _breaks(policy: Policy) -> Iterator[Line]:
    pause, mute, sleep = policy.pause, policy.mute, policy.sleep
    awake = ", but a start by hand still works" if policy.activation.enabled else ""
    if policy.activation.enabled:
        yield Line(
            f"Two presses of the function button begin a private pause: nothing is recorded or held until the wearer "
            f"resumes. It is written as {_reason(policy, pause.reason)}." if pause.allowed else "A private pause is not allowed.",
            pause.source,
        )  # fmt: skip
        ending = [each for each in policy.categories.values() if pause.allowed and each.resumes_pause]
        if ending:
            titles = "; ".join(each.title for each in ending)
            yield Line(f"A trigger ends a private pause, for: {titles}.", _sources_of(ending))
        yield Line(
            f"Holding the function button for {_seconds(policy.gestures.mute_hold_ms)} mutes the sound for at most "
            f"{mute.limit_s} s. It is written as {_reason(policy, mute.reason)}." if mute.allowed else "The sound can't be muted.",
            mute.source,
        )  # fmt: skip
        yield Line(f"While it records, is muted or paused, it reminds the wearer every {policy.reminder.every_s} s.", policy.reminder.source)  # fmt: skip
    yield Line(
        f"The sleep switch is allowed: asleep, the camera holds nothing and hears no trigger{awake}, and reminds the wearer every "
        f"{sleep.remind_every_s} s. It is written as {_reason(policy, sleep.reason)}." if sleep.allowed
        else "The sleep switch does nothing but be written down.",
        sleep.source,
    )  # fmt: skip


def _held(policy: Policy) -> Iterator[Line]:
    if not policy.activation.enabled:
        yield Line("Nothing.", policy.activation.source)
        return
    for name, zone in policy.zones.items():
        yield Line(f"{zone.title} ({name}): {_held_rule(policy, name)}", _held_source(policy, zone))


def _held_rule(policy: Policy, name: str) -> str:
    mode = policy.pre_event_mode(name)
    if mode == "off":
        return "nothing is held before a start."
    return f"{HELD[mode]} of the last {policy.pre_event.length_s} s are held in memory, and kept only if a recording starts."


def _held_source(policy: Policy, zone: Zone) -> str:
    return f"{policy.pre_event.source}; {zone.source}"


def _told(policy: Policy) -> Iterator[Line]:
    notice, stealth = policy.notice, policy.stealth
    if notice.prompt and policy.activation.enabled:
        yield Line(
            "At a start the camera prompts the wearer to tell people that they are recorded; a press of the function "
            f"button within {notice.window_s} s says that they were told. The prompt never delays a start.",
            notice.source,
        )
    elif policy.activation.enabled:
        yield Line("The camera does not prompt the wearer to tell people.", notice.source)
    lights = "may turn the lights and the buzzer off" if stealth.allowed else "can't turn the recording light off"
    yield Line(f"The wearer {lights}; every attempt is written down.", stealth.source)


def _wearers(policy: Policy) -> Iterator[Line]:
    roles = policy.assignment.roles
    who = f"Only these roles: {', '.join(roles)}." if roles else "Any role."
    if not policy.activation.enabled:
        yield Line(who, policy.assignment.source)
        return
    nobody = "records all the same" if policy.assignment.unassigned == "allow" else "records nothing but an emergency"
    yield Line(f"{who} A camera that is assigned to nobody {nobody}.", policy.assignment.source)
    hours = policy.readiness.storage_hours
    room = f"only with room for {hours} h of recording" if hours else "however little room there is on its card"
    yield Line(f"It shows ready {room}.", policy.readiness.source)


def _viewers(policy: Policy) -> Iterator[Line]:
    recipients, disclosure = policy.recipients, policy.disclosure
    if not policy.activation.enabled:
        yield Line("It records nothing, so there is nothing of this policy's to see.", policy.activation.source)
        return
    for what, keys in (("footage", recipients.footage), ("names and places", recipients.context)):
        whom = f"the holders of these keys: {', '.join(keys)}" if keys else "those whose keys the camera was given"
        yield Line(f"Only {whom} can open {what}.", recipients.source)
    review = "may" if disclosure.review_before_report else "may not"
    yield Line(f"The wearer {review} see footage before the report is written.", disclosure.source)
    if disclosure.withheld_from:
        yield Line(f"No footage without a court for: {', '.join(disclosure.withheld_from)}.", disclosure.source)
    where = ", ".join(disclosure.end_points) or "nowhere, until the agency names the place"
    yield Line(f"Footage may be sent to: {where}.", disclosure.source)


def _kept(policy: Policy) -> Iterator[Line]:
    if policy.activation.enabled:
        yield Line(
            f"{policy.retention.days} days, unless a longer term applies to what it shows. "
            "The camera itself deletes nothing by this term.",
            policy.retention.source,
        )


def _never(policy: Policy) -> Iterator[Line]:
    for enhancement in policy.forbidden.enhancements:
        yield Line(f"{enhancement.replace('-', ' ').capitalize()}.", policy.forbidden.source)
    yield Line("Record in order to identify the people at an assembly: no category may be for it.", "R22: DC 24-3900.6")
    yield Line("Play or show live what it recorded, or decrypt it: it holds no key for that.", BUILT)
    yield Line("Delete a recording at the wearer's wish.", BUILT)


def _zone(policy: Policy, name: str) -> Iterator[Line]:
    zone = policy.zones[name]
    yield Line(_sentence(_start_rule(policy, zone)), zone.source)
    for gesture, category in (
        ("A double press", policy.category(name)),
        ("An emergency hold", policy.override_category(name)),
    ):
        outcome = _outcome(policy, name, category)
        yield Line(f"{gesture} states: {_called(policy, category)}. {outcome}", zone.source)
    yield Line(_sentence(_held_rule(policy, name)), _held_source(policy, zone))
    if zone.start == "deny" or zone.denied:
        yield Line(f"A recording that is not allowed here and is carried in {_entry(policy, name)}.", zone.source)


def _outcome(policy: Policy, zone: str, category: str) -> str:
    if policy.allows(zone, category):
        return "It starts."
    if policy.overrides(zone, category):
        return "It starts all the same, and is written down as an override."
    return "It is refused."


def _entry(policy: Policy, name: str) -> str:
    zone = policy.zones[name]
    if zone.entry == "go-on":
        return "goes on"
    stated = policy.category(name) if policy.allows(name, policy.category(name)) else policy.override_category(name)
    can = policy.allows(name, stated) or policy.overrides(name, stated)
    press = f"; a double press lets it go on, stating: {_called(policy, stated)}" if can else ""
    if zone.entry == "pause":
        return f"is paused at once, until the wearer leaves{press}"
    then = "it is paused until the wearer leaves" if zone.unjustified == "pause" else "it goes on all the same"
    return (
        f"makes the camera ask the wearer to leave within {zone.justify_s} s, or to justify it{press}; otherwise {then}"
    )


def _conflicts(policy: Policy) -> Iterator[Line]:
    for conflict in policy.conflicts:
        yield Line(f"{conflict.between}. Taken: {conflict.took}. {conflict.why}", conflict.source)


def _sources(policy: Policy, sections: Iterable[Section]) -> Iterator[Line]:
    """The legend comes last: right before the numbered sources."""
    for title in policy.not_opened:
        yield Line(f"Named here, and not read by the authors of this policy: {title}.", "")
    named = "\n".join(f"{line.text} {line.source}" for section in sections for line in section.lines)
    yield from (Line(text, "") for pattern, text in LEGEND.items() if re.search(pattern, named))


def _reason(policy: Policy, name: str) -> str:
    return f"“{policy.reasons[name].title}” ({name})" if name in policy.reasons else name


def _seconds(milliseconds: int) -> str:
    return f"{milliseconds / 1000:g} s"


def _called(policy: Policy, category: str) -> str:
    return f"{policy.categories[category].title} ({category})"


def _titles(policy: Policy, categories: Iterable[str]) -> str:
    return "; ".join(_called(policy, category) for category in categories)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]

"""A policy in a handful of plain sentences, for a parent; each is said once more on the page, with its source. PURE."""

from collections.abc import Iterable, Iterator

from device.policy.model import Policy

ASK = "Whom to ask: the agency whose officer wears the camera. It put this policy into force, and it answers for it."
SCHOOL = "school"
"""What the name or the title of a zone has in it where children are."""
_SOUND = {"off": "nothing", "video": "pictures without sound", "video+audio": "pictures with sound"}


def in_short(policy: Policy) -> Iterator[str]:
    """When it records, what, from when on, in a school, where not, who sees it, and whom to ask."""
    if not policy.activation.enabled:
        yield "This camera records nothing: no picture and no sound, at no time and in no place, in schools or elsewhere."
        yield "It holds nothing in memory either."
        yield ASK
        return
    yield _when(policy)
    yield _what(policy)
    yield _before(policy)
    schools = [name for name, zone in policy.zones.items() if SCHOOL in f"{name} {zone.title}".lower()]
    yield " ".join(_school(policy, name) for name in schools) or (
        "It has no rule of its own for schools, where children are: there it records as in any other place."
    )
    yield _elsewhere(policy, [name for name in policy.zones if name not in schools])
    yield _seen(policy)
    yield ASK


def _when(policy: Policy) -> str:
    by_itself = any(category.on_trigger == "start" for category in policy.categories.values())
    sensor = ", or by itself when a sensor reports one of the events listed below" if by_itself else ""
    return (
        "It does not record all the time: it records after the officer presses a button twice, or holds it in an "
        f"emergency{sensor}; and only where the place allows it."
    )


def _what(policy: Policy) -> str:
    mute = policy.mute
    muted = f" The officer may turn the sound off, for at most {_time(mute.limit_s)} at a time; that is written down."
    return f"A recording has picture and sound.{muted if mute.allowed else ' The sound can not be turned off.'}"


def _before(policy: Policy) -> str:
    modes: dict[str, list[str]] = {}
    for name in policy.zones:
        modes.setdefault(policy.pre_event_mode(name), []).append(_place(policy, name))
    if set(modes) == {"off"}:
        return "Nothing from before a start is kept, in any place."
    told = "; ".join(f"{_SOUND[mode]} in {_listed(places)}" for mode, places in modes.items())
    length = _time(policy.pre_event.length_s)
    return f"When a recording starts, the {length} before the start are kept with it: {told}. Otherwise they are lost."


def _school(policy: Policy, name: str) -> str:
    zone = policy.zones[name]
    if zone.start == "allow":
        never = _never(policy, name)
        but = f", but not for: {never}. {_carried_in(policy, name)}" if never else "."
        return f"In {_place(policy, name)} it may record as elsewhere, children too{but}"
    return f"In {_place(policy, name)} it {_only(policy, name, 'records, children too, only')}"


def _elsewhere(policy: Policy, names: Iterable[str]) -> str:
    told = []
    for name in names:
        if policy.zones[name].start == "deny":
            told.append(f"In {_place(policy, name)} it {_only(policy, name, 'records only')}")
        elif never := _never(policy, name):
            told.append(f"In {_place(policy, name)} it starts no recording for: {never}. {_carried_in(policy, name)}")
    if not told:
        told.append("No other place is named in which it may not record.")
    if policy.pause.allowed:
        told.append("In a private pause, which the officer can begin, it records nothing.")
    return " ".join(told)


def _only(policy: Policy, name: str, records: str) -> str:
    """What can be recorded where a start is refused."""
    allowed = [each.title for key, each in policy.categories.items() if policy.allows(name, key)]
    forced = [
        each.title
        for key, each in policy.categories.items()
        if policy.overrides(name, key) and not policy.allows(name, key)
    ]
    emergency = f"when the officer holds the button, or an alarm comes, for: {'; '.join(forced)}" if forced else ""
    cases = [f"for: {'; '.join(allowed)}" if allowed else "", emergency]
    told = f"{records} {', and '.join(filter(None, cases))}." if any(cases) else "starts no recording."
    stated = policy.category(name)
    press = f" There two presses state: {policy.categories[stated].title}." if policy.allows(name, stated) else ""
    return f"{told}{press} {_carried_in(policy, name)}"


def _carried_in(policy: Policy, name: str) -> str:
    """What becomes, where something may not be recorded, of a recording of it that began elsewhere."""
    zone, stated, forced = policy.zones[name], policy.category(name), policy.override_category(name)
    can = policy.allows(name, stated) or policy.allows(name, forced) or policy.overrides(name, forced)
    unless = ", unless the officer justifies it" if can else ""
    if zone.entry == "prompt" and zone.unjustified == "pause":
        after = f"is paused there {_time(zone.justify_s)} after the officer came in{unless}"
    elif zone.entry == "prompt":
        after = "goes on there, and the officer is asked to leave or to justify it"
    else:
        after = "goes on there" if zone.entry == "go-on" else f"is paused there{unless}"
    return f"Another recording, begun elsewhere, {after}."


def _never(policy: Policy, name: str) -> str:
    """What can't be recorded where a start is allowed."""
    return "; ".join(
        each.title
        for key, each in policy.categories.items()
        if not policy.allows(name, key) and not policy.overrides(name, key)
    )


def _seen(policy: Policy) -> str:
    who = (
        "the key holders that this policy names" if policy.recipients.footage else "those whose keys the agency gave it"
    )
    review = "may" if policy.disclosure.review_before_report else "may not"
    withheld = policy.disclosure.withheld_from
    court = f" Without a court nothing of it goes to: {', '.join(map(_words, withheld))}." if withheld else ""
    return (
        f"Only {who} can open a recording, and the officer {review} see it before the report is written.{court} "
        f"It is to be kept for {policy.retention.days} days, or longer where the law asks for it."
    )


def _place(policy: Policy, name: str) -> str:
    return f"“{policy.zones[name].title}”"


def _listed(names: list[str]) -> str:
    *head, last = names
    return f"{', '.join(head)} and {last}" if head else last


def _words(name: str) -> str:
    return name.replace("-", " ")


def _time(seconds: int) -> str:
    return f"{seconds // 60} min" if seconds % 60 == 0 else f"{seconds} s"

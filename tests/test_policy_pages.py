"""What people read of a policy: the page, and what changes from one policy to another."""

import re
from typing import Any

import msgspec
import pytest

from device.policy.differences import KEYS, differences
from device.policy.model import Policy
from device.policy.pages import Section, page
from tests.documents import NAMES, KeyPath, at, changed, content, paths, policy, without

KEY = f"age1{'q' * 58}"
CANDIDATES: list[Any] = [
    *(False, True, 5, 7, 700, 1500, 4000, "other", "allow", "deny", "off", "video", "video+audio", "start", "prompt"),
    *(
        "ignore",
        "go-on",
        "pause",
        [],
        ["other"],
        "arrest",
        ["arrest"],
        ["night-vision"],
        [KEY],
        ["https://agency.example"],
    ),
]
MOST_TRIED = 3
NAMED = ("categories", "reasons", "zones")


def said(sections: tuple[Section, ...], title: str) -> str:
    return "\n".join(f"{line.text} [{line.source}]" for line in next(s for s in sections if s.title == title).lines)


def other_values(document: dict[str, Any], path: KeyPath) -> list[Policy]:
    """The policy with one key changed to the first values that the model takes there."""
    found: list[Policy] = []
    for value in CANDIDATES:
        if value != at(document, path) and len(found) < MOST_TRIED:
            try:
                found.append(msgspec.convert(changed(document, path, value), Policy))
            except msgspec.ValidationError:
                continue
    return found


def leaves(document: dict[str, Any]) -> list[KeyPath]:
    """Keys with a value of their own; a list is one value."""
    every = paths(document)
    return [
        p
        for p in every
        if "conflicts" not in p and not isinstance(p[-1], int) and not isinstance(at(document, p), dict)
    ]


def decisions(profile: Policy) -> list[bool]:
    """Every start that there may be, by place and category: allowed, or overridden."""
    every = [(zone, category) for zone in profile.zones for category in profile.categories]
    return [profile.allows(*each) or profile.overrides(*each) for each in every]


# -- the page -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_every_line_of_a_page_is_a_sentence_with_its_source(name: str) -> None:
    sections = page(policy(name), [("red light", "steady", "recording")])
    assert [section.title for section in sections if not section.lines] == []
    for section in sections:
        for line in section.lines:
            assert re.match(r"[A-Z0-9]", line.text) or section.title == "What the lights and sounds mean", line.text
            assert not re.search(r"\b(None|True|False)\b|\(\)|  |\.\.", line.text), line.text
            if section.title not in ("What this is", "Sources"):
                assert line.source, line.text


def test_a_page_answers_what_an_officer_and_a_parent_ask() -> None:
    titles = [section.title for section in page(policy("boston-school-unit"), [("a", "b", "c")])]
    assert titles == [
        "What this is",
        "What starts a recording",
        "What refuses a start",
        "What stops a recording",
        "Pause, mute and sleep",
        "What is held before a start",
        "What people are told",
        "Who wears it",
        "Who can see what it recorded",
        "How long it is kept",
        "What the camera may never do",
        "In this place: Street and public places (street)",
        "In this place: School (school)",
        "In this place: Restroom, locker room, break, union business (private)",
        "What the lights and sounds mean",
        "Where sources disagree",
        "Sources",
    ]


def test_the_page_of_the_strict_school_rule_says_what_happens_in_a_school() -> None:
    school = said(page(policy("aclu-model")), "In this place: School (school)")
    source = policy("aclu-model").zones["school"].source
    starts, press, emergency, held, carried = school.splitlines()
    assert starts == f"A start is refused. [{source}]"
    assert press.startswith(
        "A double press states: What the officer judges should be recorded (officer-discretion). It is "
    )
    assert press.endswith(f"It is refused. [{source}]")
    assert emergency.startswith(
        "An emergency hold states: Imminent threat to life or health (imminent-threat). It starts "
    )
    assert emergency.endswith(f"It starts all the same, and is written down as an override. [{source}]")
    assert held.startswith("Nothing is held before a start. [R1: ")
    assert carried.endswith(
        "makes the camera ask the wearer to leave within 20 s, or to justify it; a double press lets it go on, stating: "
        f"Imminent threat to life or health (imminent-threat); otherwise it is paused until the wearer leaves. [{source}]"
    )


def test_the_page_of_a_disabled_camera_says_that_nothing_starts_it() -> None:
    sections = page(policy("disabled"))
    assert "never records" in said(sections, "What this is")
    assert said(sections, "What starts a recording").startswith("Nothing: ")
    assert said(sections, "What is held before a start").startswith("Nothing. ")
    assert not [section for section in sections if section.title.startswith("In this place")]


def test_a_page_holds_the_signals_that_it_is_given_and_none_otherwise() -> None:
    sections = page(policy("first"), [("Red light", "blinks", "Recording.")])
    assert said(sections, "What the lights and sounds mean").startswith("Red light: blinks. Recording. [")
    assert "What the lights and sounds mean" not in [section.title for section in page(policy("first"))]


UNSAID = {
    "gestures.count_gap_ms": "how a count of presses is told apart: for the manual, not for the page",
    "activation.initial_zone": "where a camera begins: for the manual, not for the page",
    "zones.entry": "only where something is denied",
    "zones.justify_s": "only where a zone asks",
    "zones.unjustified": "only where a zone asks",
    "sleep.remind_every_s": "only where sleep is allowed",
    "sleep.reason": "only where sleep is allowed",
    "gestures.mute_hold_ms": "only where muting is allowed",
    "mute.limit_s": "only where muting is allowed",
    "mute.reason": "only where muting is allowed",
}


@pytest.mark.parametrize("name", ["new-jersey", "boston-school-unit"])
def test_no_rule_is_missing_from_the_page(name: str) -> None:
    """A change of any key changes the page, but for those that say nothing where they stand."""
    document, before = content(name), page(policy(name))
    silent = set()
    for path in leaves(document):
        for other in other_values(document, path):
            try:
                same = page(other) == before
            except KeyError:
                continue  # a word that is defined nowhere: no policy that was parsed has one
            if same and decisions(other) == decisions(policy(name)) and path[-1] in ("allowed", "denied", "override"):
                continue  # it decides nothing where it stands
            if same:
                silent.add(".".join(str(key) for key in (path[0], path[-1])))
    assert silent <= set(UNSAID), silent - set(UNSAID)


# -- differences --------------------------------------------------------------------------------------------------------


def test_a_policy_does_not_differ_from_itself() -> None:
    for name in NAMES:
        assert differences(policy(name), policy(name)) == ()


def test_every_key_of_the_model_has_its_words() -> None:
    document = content("aclu-model")
    keys = {".".join((str(p[0]), "*", str(p[2])) if p[0] in NAMED else map(str, p)) for p in leaves(document)}
    assert {key for key in keys if not key.endswith(".source")} == set(KEYS)


@pytest.mark.parametrize("name", ["aclu-model", "school-agreement"])
def test_a_change_of_any_key_is_said_in_words_that_name_it(name: str) -> None:
    document, before = content(name), policy(name)
    seen = 0
    for path in leaves(document):
        others = other_values(document, path)
        assert others, f"no other value was tried for {path}"
        for other in others:
            found = [
                difference for difference in differences(before, other) if difference.key == ".".join(map(str, path))
            ]
            assert len(found) == 1, path
            assert " was " in found[0].text
            assert "; now it is " in found[0].text
            was, now = found[0].text.split(" was ", 1)[1].split("; now it is ", 1)
            assert was != now.removesuffix(f" ({at(document, path[:-1]).get('source')}).").removesuffix("."), path
            seen += 1
    assert seen > 200


@pytest.mark.parametrize("table", NAMED)
def test_an_entry_that_comes_or_goes_is_said(table: str) -> None:
    document, before = content("aclu-model"), policy("aclu-model")
    name = list(document[table])[-1]
    fewer = msgspec.convert(without(document, (table, name)), Policy)
    kind = {"categories": "category", "reasons": "reason", "zones": "zone"}[table]
    assert [difference.key for difference in differences(before, fewer)] == [f"{table}.{name}"]
    assert differences(before, fewer)[0].text.startswith(f"The {kind} {name} is gone: ")
    assert differences(fewer, before)[0].text.startswith(f"The {kind} {name} is new: ")


def test_a_conflict_that_comes_goes_changes_or_moves_is_said() -> None:
    document, before = content("aclu-model"), policy("aclu-model")
    fewer = msgspec.convert(without(document, ("conflicts", 0)), Policy)
    assert "No longer recorded as a conflict: " in differences(before, fewer)[0].text
    assert "Now recorded as a conflict: " in differences(fewer, before)[0].text
    for key in ("between", "took", "why", "source"):
        other = msgspec.convert(changed(document, ("conflicts", 1, key), "other"), Policy)
        assert len(differences(before, other)) == 2, key
    moved = msgspec.structs.replace(before, conflicts=before.conflicts[::-1])
    assert [difference.text for difference in differences(before, moved)] == [
        "The conflicts are the same, in another order."
    ]


def test_the_strict_school_rule_against_the_default_reads_so() -> None:
    found = {difference.key: difference.text for difference in differences(policy("first"), policy("aclu-model"))}
    source = policy("aclu-model").zones["school"].source
    assert found["zones.school.start"] == (
        f"In school a start was allowed; now it is denied, unless imminent-threat ({source})."
    )
    assert found["mute.allowed"].startswith(
        "Muting the sound was allowed; now it is not allowed (ACLU model act 1(b)(1)"
    )


@pytest.mark.parametrize("before", NAMES)
def test_two_profiles_differ_and_every_sentence_ends(before: str) -> None:
    for after in NAMES:
        found = differences(policy(before), policy(after))
        assert bool(found) == (before != after)
        assert all(difference.text.endswith(".") for difference in found)

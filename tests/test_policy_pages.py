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
        ["s3+https://agency.example/store"],
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
    sections = page(policy(name))
    assert [section.title for section in sections if not section.lines] == []
    for section in sections:
        for line in section.lines:
            assert re.match(r"[A-Z0-9]", line.text), line.text
            assert not re.search(r"\b(None|True|False)\b|\(\)|  |\.\.", line.text), line.text
            if section.title not in ("In short", "What this is", "Sources"):
                assert line.source, line.text


def test_a_page_answers_what_an_officer_and_a_parent_ask() -> None:
    titles = [section.title for section in page(policy("boston-school-unit"))]
    assert titles == [
        "In short",
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
        "Where sources disagree",
        "Sources",
        "Annex: what the lights mean",
        "Annex: what sounds and vibrations mean",
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


@pytest.mark.parametrize("document", ["disabled", "boston-school-unit", "aclu-model"])
def test_of_a_disabled_policy_only_what_is_true_is_said(document: str) -> None:
    """Whatever else it says: a policy that is disabled promises no recording, and asks for no room."""
    off = msgspec.convert(changed(content(document), ("activation", "enabled"), False), Policy)
    sections = [section for section in page(off) if section.title not in ("Where sources disagree", "Sources")]
    text = "\n".join(line.text for section in sections for line in section.lines)
    for untrue in ("emergency", "room for", "days", "still records", "recording works", "can open", "resume", "muted"):
        assert untrue not in text, untrue
    assert "This camera records nothing" in said(page(off), "In short")
    assert "the agency" in said(page(off), "In short")


IN_SHORT = [
    (
        "It does not record all the time: it records after the officer presses a button twice, or holds it in an emergency, "
        "or by itself when a sensor reports one of the events listed below; and only where the place allows it."
    ),
    (
        "A recording has picture and sound. The officer may turn the sound off, for at most 10 min at a time; that is written "
        "down."
    ),
    (
        "When a recording starts, the 30 s before the start are kept with it: pictures without sound in “Street and public "
        "places” and “School”; nothing in “Restroom, locker room, break, union business”. Otherwise they are lost."
    ),
    "In “School” it may record as elsewhere, children too.",
    (
        "In “Restroom, locker room, break, union business” it records only when the officer holds the button, or an alarm "
        "comes, for: Imminent threat to life or health; Investigation of a crime. Another recording, begun elsewhere, is paused "
        "there, unless the officer justifies it. In a private pause, which the officer can begin, it records nothing."
    ),
    (
        "Only those whose keys the agency gave it can open a recording, and the officer may not see it before the report is "
        "written. Without a court nothing of it goes to: schools, immigration enforcement. It is to be kept for 180 days, or "
        "longer where the law asks for it."
    ),
    "Whom to ask: the agency whose officer wears the camera. It put this policy into force, and it answers for it.",
]


def in_short(profile: Policy) -> str:
    return "\n".join(line.text for line in page(profile)[0].lines)


def test_a_parent_reads_the_policy_in_short_first() -> None:
    assert in_short(policy("boston-school-unit")).splitlines() == IN_SHORT


@pytest.mark.parametrize("name", NAMES)
def test_in_short_says_of_every_school_what_the_policy_decides_there(name: str) -> None:
    profile = policy(name)
    if not profile.activation.enabled:
        return
    told = next(line for line in in_short(profile).splitlines() if "children" in line)
    for key, category in profile.categories.items():
        can = profile.allows("school", key) or profile.overrides("school", key)
        named = re.search(rf"{re.escape(category.title)}[;.]", told) is not None
        assert named == (not can if profile.zones["school"].start == "allow" else can), (key, told)


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("zones", "street", "pre_event"), "video+audio", "pictures with sound in “Street and public places”"),
        (("pre_event", "length_s"), 0, "Nothing from before a start is kept, in any place."),
        (("mute", "allowed"), False, "The sound can not be turned off."),
        (("zones", "private", "override"), False, "union business” it starts no recording."),
        (("zones", "school", "start"), "deny", "In “School” it records, children too, only when the officer holds"),
        (("zones", "school", "title"), "Gym", "“Gym” it may record as elsewhere, children too."),
        (("disclosure", "review_before_report"), True, "the officer may see it before"),
        (("retention", "days"), 7, "kept for 7 days"),
        (("recipients", "footage"), [KEY], "the key holders that this policy names"),
    ],
)
def test_in_short_follows_the_policy(path: KeyPath, value: Any, words: str) -> None:
    assert words in in_short(msgspec.convert(changed(content("boston-school-unit"), path, value), Policy))


def test_where_no_zone_is_a_school_in_short_says_so() -> None:
    fewer = msgspec.convert(without(content("boston-school-unit"), ("zones", "school")), Policy)
    assert "no rule of its own for schools" in in_short(fewer)


def test_what_refuses_says_whether_the_emergency_hold_still_starts() -> None:
    document = content("new-jersey")
    refuses = said(page(policy("new-jersey")), "What refuses a start")
    school, private, *_ = refuses.splitlines()
    assert "The emergency hold still starts, for: Imminent threat to life or health (imminent-threat). [" in school
    assert "Investigation of a crime (crime-investigation); it is written down as an override. [" in private
    never = msgspec.convert(changed(document, ("zones", "private", "override"), False), Policy)
    assert "The emergency hold is refused too." in said(page(never), "What refuses a start")


def test_triggers_that_do_the_same_are_one_list_with_every_source() -> None:
    lines = [line for line in page(policy("aclu-model"))[2].lines if "starts one by itself" in line.text]
    starting = [each for each in policy("aclu-model").categories.values() if each.on_trigger == "start"]
    assert len(lines) == 1
    assert all(each.title in lines[0].text and each.source in lines[0].source for each in starting)


def annexes(profile: Policy) -> list[str]:
    return [line.text for section in page(profile) if section.annex for line in section.lines]


def test_the_annexes_come_last_and_tell_only_what_can_come() -> None:
    document = content("first")
    first = annexes(policy("first"))
    assert [section.annex for section in page(policy("first"))][-3:] == [False, True, True]
    assert first[0] == "For each of the two lights the first line that holds and names it decides."
    assert "Pictures and sound are kept. Recording light: steady." in first
    assert "4 presses counted. Vibration: 4 counted; buzzer: silent." in first
    assert not [text for text in first if "5 presses counted" in text or "stealth" in text.lower()]
    assert "Lights and buzzer are off. Vibration: 1 very long, 2 short; buzzer: silent." not in first
    stealthy = annexes(msgspec.convert(changed(document, ("stealth", "allowed"), True), Policy))
    assert len(stealthy) == len(first) + 3
    for table, gone in (("mute", 4), ("sleep", 4), ("notice", 2)):
        key = "prompt" if table == "notice" else "allowed"
        less = annexes(msgspec.convert(changed(document, (table, key), False), Policy))
        assert len(less) == len(first) - gone, table


def test_the_legend_is_the_last_before_the_numbered_sources_and_has_only_what_is_used() -> None:
    boston = [line.text for line in page(policy("boston-school-unit"))[-3].lines]
    assert [text[:5] for text in boston[-4:]] == ["G and", "A and", "R and", "Field"]
    disabled = [line.text for line in page(policy("disabled"))[-3].lines]
    assert not [text for text in disabled if text.startswith(("A and", "Field"))]


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
    for found, came, verb in (
        (differences(before, fewer), "gone", " was "),
        (differences(fewer, before), "new", " is "),
    ):
        entry = document[table][name]
        assert found[0].key == f"{table}.{name}"
        assert found[0].text == f"The {kind} {name} is {came}: {entry['title']} ({entry['source']})."
        told = {each.key: each.text for each in found[1:]}
        assert set(told) == {f"{table}.{name}.{key}" for key in entry if key not in ("title", "source")}
        assert all(verb in text and name in text for text in told.values()), told


@pytest.mark.parametrize("table", NAMED)
def test_what_a_new_entry_does_is_said_whatever_it_is(table: str) -> None:
    """Two entries that differ in any key read differently when they come and when they go."""
    document = content("aclu-model")
    name = list(document[table])[-1]
    fewer = msgspec.convert(without(document, (table, name)), Policy)
    before = policy("aclu-model")
    for path in leaves(document):
        if path[:2] == (table, name):
            for other in other_values(document, path):
                assert differences(fewer, other) != differences(fewer, before), path
                assert differences(other, fewer) != differences(before, fewer), path


def test_a_new_zone_with_sound_before_a_start_says_so() -> None:
    document = content("boston-school-unit")
    gym = {**document["zones"]["school"], "title": "Gym", "pre_event": "video+audio", "entry": "go-on"}
    after = msgspec.convert(changed(document, ("zones", "gym"), gym), Policy)
    found = {each.key: each.text for each in differences(policy("boston-school-unit"), after)}
    assert found["zones.gym.pre_event"] == "What is held in gym before a start is pictures and sound."
    assert found["zones.gym.start"] == "In gym a start is allowed."
    assert found["zones.gym.override"] == "A denied start in gym is one that the emergency hold overrides."


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

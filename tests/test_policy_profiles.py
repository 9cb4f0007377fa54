"""The profiles that are shipped: each says what its sources ask for, and where those disagree."""

import re

import pytest

from device.policy import commands as do
from device.policy import inputs as on
from device.policy.machine import step
from device.policy.model import Policy, parse_policy
from device.policy.state import State, initial_state
from tests.documents import FOLDER, NAMES, R5, R7, policy, text

ENABLED = [name for name in NAMES if name != "disabled"]
FORBIDDEN = {"face-recognition", "biometric-identification", "night-vision", "infrared-illumination"}


def outcome(profile: Policy, zone: str, category: str) -> str:
    if not profile.activation.enabled:
        return "refused"
    if profile.allows(zone, category):
        return "starts"
    return "overrides" if profile.overrides(zone, category) else "refused"


def outcomes(profile: Policy, zone: str) -> dict[str, set[str]]:
    """What becomes of a start in a zone, for every category."""
    found: dict[str, set[str]] = {"starts": set(), "overrides": set(), "refused": set()}
    for category in profile.categories:
        found[outcome(profile, zone, category)].add(category)
    return found


def assigned(profile: Policy) -> State:
    role = (profile.assignment.roles or ("officer",))[0]
    came = on.Assigned(at_us=1, officer="4711", role=role, unit="u", shift="s")
    return step(initial_state(profile, 0), came, profile)[0]


def double_press(profile: Policy, zone: str) -> do.Command:
    """What a double press in a zone comes to: an `Open` or a `Refuse`."""
    state, _ = step(assigned(profile), on.ZoneEntered(at_us=100_000_000, zone=zone), profile)
    for at_us, pressed in ((100_100_000, True), (100_200_000, False), (100_300_000, True)):
        state, commands = step(state, on.Edge(at_us=at_us, button="record", pressed=pressed), profile)
    return next(command for command in commands if isinstance(command, do.Open | do.Refuse))


def hold(profile: Policy, zone: str) -> do.Command:
    """What an emergency hold in a zone comes to."""
    state, _ = step(assigned(profile), on.ZoneEntered(at_us=100_000_000, zone=zone), profile)
    state, _ = step(state, on.Edge(at_us=100_100_000, button="record", pressed=True), profile)
    _, commands = step(state, on.Tick(at_us=102_000_000), profile)
    return next(command for command in commands if isinstance(command, do.Open | do.Refuse))


# -- all of them --------------------------------------------------------------------------------------------------------


def test_these_profiles_are_shipped() -> None:
    named = "aclu-model boston-school-unit dc disabled first illinois new-jersey school-agreement"
    assert " ".join(NAMES) == named


@pytest.mark.parametrize("name", NAMES)
def test_a_profile_is_a_policy_under_its_own_name(name: str) -> None:
    assert policy(name).id == name
    assert policy(name).version == 1


@pytest.mark.parametrize("name", NAMES)
def test_every_category_of_r5_and_every_zone_is_there(name: str) -> None:
    profile = policy(name)
    assert set(R5) <= set(profile.categories)
    assert {"imminent-threat", "crime-investigation", "emergency", "force-expected"} <= set(profile.categories)
    assert {"street", "school", "private"} <= set(profile.zones)
    assert profile.activation.initial_zone == "street"


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_stealthy_identifying_or_sent_to_a_place_that_no_agency_named(name: str) -> None:
    profile = policy(name)
    assert set(profile.forbidden.enhancements) == FORBIDDEN, "R21"
    assert not profile.stealth.allowed, "R12"
    assert not [category for category in profile.categories if "identify" in category], "R22"
    assert profile.disclosure.end_points == (), "R19"
    assert not profile.disclosure.review_before_report, "G5"
    assert "immigration-enforcement" in profile.disclosure.withheld_from, "G5"
    assert 90 <= profile.retention.days <= 913, "R23: 90 days to 30 months"


@pytest.mark.parametrize("name", NAMES)
def test_a_stop_without_a_reason_is_unexplained(name: str) -> None:
    profile = policy(name)
    assert profile.stop.default_reason == "unexplained", "R10"
    assert profile.reasons, "R6: a closed list"
    assert sorted(reason.presses for reason in profile.reasons.values()) == list(range(1, len(profile.reasons) + 1))


@pytest.mark.parametrize("name", ENABLED)
def test_a_private_place_holds_nothing_and_is_recorded_only_by_override(name: str) -> None:
    """R18."""
    profile = policy(name)
    assert profile.pre_event_mode("private") == "off"
    found = outcomes(profile, "private")
    assert found["starts"] == set()
    investigation = set() if name == "first" else {"crime-investigation"}
    assert found["overrides"] == {"imminent-threat"} | investigation
    assert profile.zones["private"].entry == "pause"
    assert isinstance(double_press(profile, "private"), do.Refuse)
    held = hold(profile, "private")
    assert isinstance(held, do.Open)
    assert (held.override, held.pre_event_asked_us) == (True, 0)


@pytest.mark.parametrize("name", ENABLED)
def test_on_the_street_everything_may_be_recorded_with_thirty_seconds_before_it(name: str) -> None:
    profile = policy(name)
    assert outcomes(profile, "street")["starts"] == set(profile.categories)
    assert profile.pre_event.length_s == 30, "R1"
    assert profile.pre_event_mode("street") == ("video+audio" if name == "aclu-model" else "video"), "R2"
    started = double_press(profile, "street")
    assert isinstance(started, do.Open)
    assert (started.override, started.pre_event_asked_us) == (False, 30_000_000)


@pytest.mark.parametrize("name", ENABLED)
def test_people_are_told_and_room_for_ten_hours_is_asked_for(name: str) -> None:
    profile = policy(name)
    assert profile.notice.prompt, "R11"
    assert profile.readiness.storage_hours == 10, "R3"


@pytest.mark.parametrize("name", NAMES)
def test_force_and_threats_start_by_themselves_and_end_a_pause_but_what_is_denied_never_does(name: str) -> None:
    profile = policy(name)
    grave = {category for category, each in profile.categories.items() if each.resumes_pause}
    enabled = {"use-of-force", "imminent-threat", "emergency", "force-expected"}
    assert grave == (enabled if name != "disabled" else set())
    denied = {category for zone in profile.zones.values() for category in zone.denied}
    assert {profile.categories[category].on_trigger for category in denied} <= {"ignore"}


@pytest.mark.parametrize("name", NAMES)
def test_a_profile_says_which_source_it_did_not_read(name: str) -> None:
    assert policy(name).not_opened
    first_lines = text(name).split("\nid = ")[0]
    assert all(line.startswith("# ") for line in first_lines.splitlines())
    if name != "first":
        assert "Opened: " in first_lines


@pytest.mark.parametrize("name", NAMES)
def test_no_profile_names_a_machine_or_carries_a_key(name: str) -> None:
    assert not re.search(r"/(home|root|work|tmp|etc|usr)\b|age1|https?://", text(name))


def test_only_these_decide_a_conflict_for_nobody() -> None:
    """The neutral default settles nothing; every other profile says what it took, and why."""
    assert [name for name in NAMES if not policy(name).conflicts] == ["first"]


# -- one by one ---------------------------------------------------------------------------------------------------------


def test_boston_records_the_units_duties_in_school_too_without_sound_before_a_start() -> None:
    profile = policy("boston-school-unit")
    assert outcomes(profile, "school")["starts"] == set(profile.categories), "G1"
    assert profile.pre_event_mode("school") == "video", "R2: Massachusetts"
    private = {name for name, reason in profile.reasons.items() if reason.private}
    assert private == {"sensitive-information", "privacy-of-individuals", "confidentiality"}, "G2"
    assert "schools" in profile.disclosure.withheld_from, "G4"
    assert (profile.assignment.roles, profile.assignment.unassigned) == (("school-unit-officer",), "deny"), "G6"
    assert "sound" in profile.conflicts[0].between


def test_boston_refuses_the_schools_own_police() -> None:
    """G6."""
    profile = policy("boston-school-unit")
    came = on.Assigned(at_us=1, officer="1", role="school-police", unit="u", shift="s")
    _, commands = step(initial_state(profile, 0), came, profile)
    assert [command.reason for command in commands if isinstance(command, do.Deny)] == ["role"]


def test_aclu_records_in_school_only_an_imminent_threat_and_holds_nothing_there() -> None:
    """A1, R13."""
    profile = policy("aclu-model")
    found = outcomes(profile, "school")
    assert (found["starts"], found["overrides"]) == (set(), {"imminent-threat"})
    school = profile.zones["school"]
    assert (school.pre_event, school.entry, school.unjustified) == ("off", "prompt", "pause")
    assert isinstance(double_press(profile, "school"), do.Refuse)
    held = hold(profile, "school")
    assert isinstance(held, do.Open)
    assert (held.override, held.category, held.pre_event_asked_us) == (True, "imminent-threat", 0)


def test_aclu_keeps_sound_and_the_buffer_on_and_settles_the_conflict_about_sound() -> None:
    profile = policy("aclu-model")
    assert not profile.mute.allowed
    assert not profile.sleep.allowed
    assert profile.assignment.unassigned == "deny", "R28"
    assert any("c.272" in conflict.between for conflict in profile.conflicts)
    assert "school-discipline" in profile.disclosure.withheld_from, "A2"
    assert next(iter(profile.reasons)) == "concluded-left-scene", "R6"


def test_new_jersey_records_in_school_a_crime_an_emergency_or_force_and_asks_who_walks_in_recording() -> None:
    """R14."""
    profile = policy("new-jersey")
    found = outcomes(profile, "school")
    assert found["starts"] == {"crime-investigation", "emergency", "force-expected", "imminent-threat"}
    school = profile.zones["school"]
    assert (school.entry, school.unjustified, school.pre_event) == ("prompt", "pause", "off")
    started = double_press(profile, "school")
    assert isinstance(started, do.Open)
    assert (started.category, started.override) == ("crime-investigation", False)


def test_new_jersey_has_the_nine_reasons() -> None:
    """R7."""
    assert list(policy("new-jersey").reasons) == R7


def test_dc_refuses_in_school_non_critical_contacts_and_minor_incidents_only() -> None:
    """R15."""
    profile = policy("dc")
    assert outcomes(profile, "school")["refused"] == {"non-critical-student-contact", "minor-incident-mediation"}
    assert outcomes(profile, "street")["refused"] == set()
    assert profile.zones["school"].entry == "prompt"
    assert profile.retention.days == 90, "24-3901.1"


def test_illinois_has_no_rule_for_schools_and_the_agreement_adds_one() -> None:
    """R16."""
    law, agreement = policy("illinois"), policy("school-agreement")
    assert outcomes(law, "school")["starts"] == set(law.categories)
    found = outcomes(agreement, "school")
    assert set(agreement.zones["school"].denied) == {"informal-talk", "behaviour-meeting", "instruction"}
    assert set(agreement.zones["school"].denied) <= found["refused"]
    assert {"dispatched-call", "crime-investigation", "arrest", "adversarial-contact", "legal-duty"} <= found["starts"]
    assert agreement.pre_event_mode("school") == "off"
    assert isinstance(double_press(agreement, "school"), do.Open)


@pytest.mark.parametrize("zone", ["street", "school", "private"])
def test_disabled_never_records_and_holds_nothing(zone: str) -> None:
    """R17."""
    profile = policy("disabled")
    assert profile.pre_event_mode(zone) == "off"
    assert outcomes(profile, zone)["refused"] == set(profile.categories)
    for refused in (double_press(profile, zone), hold(profile, zone)):
        assert isinstance(refused, do.Refuse)
        assert (refused.clause, refused.reason) == ("activation", "disabled")
    assert {category.on_trigger for category in profile.categories.values()} == {"ignore"}


def test_the_demonstration_is_the_first_profile_with_shorter_times() -> None:
    demo = parse_policy((FOLDER.parents[2] / "hw_sim/demo-policy.toml").read_bytes())
    first = policy("first")
    assert (demo.pre_event.length_s, demo.post_event.length_s) == (15, 5)
    assert demo.zones == first.zones
    assert demo.categories == first.categories
    assert demo.gestures == first.gestures

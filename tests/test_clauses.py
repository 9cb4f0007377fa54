"""Every clause of law, model policy and the Boston documents that the machine or a profile holds, as a short story.

docs/clauses.md says for each clause where it is held and which test shows it; tests/test_docs.py keeps that table whole.
"""

import subprocess
import sys

import msgspec
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from device.evidence.envelope import low_s, open_line, sign_line, verify_line
from device.evidence.records import RecordingOpened
from device.policy import commands as do
from device.policy import inputs as on
from device.policy.document import DocumentError
from device.policy.model import Policy, parse_policy
from device.policy.signals import shown
from device.policy.state import Phase
from hw_sim.agency import Bench
from hw_sim.virtual import VirtualDevice
from tests.benches import ledger, make_bench, recordings, unsealed
from tests.documents import NAMES, R5, R7, policy, text
from tests.officers import SECOND_US, Officer

RECORDING = [name for name in NAMES if name != "disabled"]
GRAVE = {"face-recognition", "biometric-identification", "night-vision", "infrared-illumination"}


# -- Boston -------------------------------------------------------------------------------------------------------------


def test_g1_every_duty_on_the_list_may_be_recorded_on_the_street_and_in_a_school() -> None:
    for zone in ("street", "school"):
        for category in R5:
            officer = Officer("boston-school-unit", zone=zone)
            officer.triggers("radio", category)
            if officer.policy.categories[category].on_trigger == "prompt":
                officer.starts()
            assert officer.records(), (zone, category)
            assert not officer.last(do.Open).override


@pytest.mark.parametrize("reason", ["sensitive-information", "privacy-of-individuals", "confidentiality"])
def test_g2_it_goes_off_for_sensitive_information_privacy_and_confidentiality(reason: str) -> None:
    officer = Officer("boston-school-unit")
    officer.starts()
    officer.stops()
    officer.gives_reason(reason)
    officer.waits(30)
    assert officer.last(do.Close).reason == reason
    assert any(not clear.sound_only for clear in officer.all(do.ClearRing)), "what no recording claims is let go"


@pytest.mark.parametrize("name", NAMES)
def test_g3_r21_every_profile_forbids_enhancements(name: str) -> None:
    assert set(policy(name).forbidden.enhancements) == GRAVE


def test_g4_schools_keep_no_footage() -> None:
    assert "schools" in policy("boston-school-unit").disclosure.withheld_from


@pytest.mark.parametrize("name", NAMES)
def test_g5_no_review_before_the_report_and_no_sharing_with_immigration_enforcement(name: str) -> None:
    disclosure = policy(name).disclosure
    assert not disclosure.review_before_report
    assert "immigration-enforcement" in disclosure.withheld_from


def test_g6_r28_only_officers_of_the_unit_wear_it() -> None:
    officer = Officer("boston-school-unit", role="school-police")
    assert officer.last(do.Deny).what == "assignment"
    officer.starts()
    assert not officer.records()
    assert officer.last(do.Refuse).reason == "unassigned"
    officer.is_assigned("school-unit-officer")
    officer.starts()
    assert officer.records()


def test_g6_nobody_assigned_never_loses_an_emergency() -> None:
    officer = Officer("boston-school-unit", role=None)
    officer.starts_in_an_emergency()
    assert officer.records()
    assert officer.last(do.Open).override


# -- ACLU ---------------------------------------------------------------------------------------------------------------


def test_a1_r13_in_a_school_only_for_an_imminent_threat() -> None:
    officer = Officer("aclu-model", zone="school")
    officer.starts()
    assert not officer.records()
    assert officer.last(do.Refuse).reason == "zone-denies"
    assert officer.cues[-1] == "refused"
    officer.starts_in_an_emergency()
    assert officer.records()
    opened = officer.last(do.Open)
    assert (opened.category, opened.override, opened.zone) == ("imminent-threat", True, "school")


def test_a1_nothing_is_held_day_in_day_out_in_a_school() -> None:
    officer = Officer("aclu-model")
    assert officer.holds_before() == "pictures and sound"
    officer.enters("school")
    assert officer.holds_before() == "nothing"
    assert not officer.last(do.ClearRing).sound_only


def test_a2_no_camera_for_petty_rules() -> None:
    for category in ("informal-talk", "behaviour-meeting", "instruction"):
        officer = Officer("school-agreement", zone="school")
        officer.triggers("radio", category)
        assert not officer.records(), category
    assert "school-discipline" in policy("aclu-model").disclosure.withheld_from


# -- law and model policies -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RECORDING)
def test_r1_thirty_seconds_before_the_press_are_always_attached(name: str) -> None:
    officer = Officer(name)
    at_us = officer.starts()
    opened = officer.last(do.Open)
    assert opened.at_us == at_us
    assert opened.pre_event_asked_us == 30 * SECOND_US
    assert opened.video_from_us == at_us - 30 * SECOND_US


def test_r2_sound_before_the_press_is_what_the_profile_says_and_the_record_says_which() -> None:
    boston, aclu = Officer("boston-school-unit"), Officer("aclu-model")
    for officer, mode in ((boston, "video"), (aclu, "video-and-audio")):
        at_us = officer.starts()
        opened = officer.last(do.Open)
        assert opened.pre_event == mode
        assert opened.audio_from_us == (at_us if mode == "video" else at_us - 30 * SECOND_US)


def test_r2_a_zone_must_say_whether_sound_is_held() -> None:
    first = text("first")
    assert 'pre_event = "video"\n' in first
    with pytest.raises(DocumentError, match=r"zones.street.pre_event: missing"):
        parse_policy(first.replace('pre_event = "video"\n', "", 1).encode())


def test_r3_no_ready_without_room_for_ten_hours() -> None:
    assert policy("illinois").readiness.storage_hours == 10
    officer = Officer("illinois")
    officer.hears(on.LevelChanged(at_us=officer.now_us, part="storage", level="low"))
    assert officer.cues[-1] == "storage-low"
    assert officer.state.warnings == ("storage-low",)
    officer.hears(on.LevelChanged(at_us=officer.now_us, part="battery", level="low"))
    assert officer.cues[-1] == "battery-low"
    officer.starts()
    assert officer.records(), "a warning never delays a start"


def test_r4_a_start_that_was_asked_for_and_came_late_says_so() -> None:
    officer = Officer("aclu-model")
    officer.triggers("radio", "officer-discretion")
    assert officer.cues[-1] == "start-prompt"
    asked_us = officer.now_us
    officer.waits(officer.policy.activation.late_after_s + 5)
    assert officer.last(do.Lapse).about == "start"
    at_us = officer.starts()
    assert officer.last(do.Open).late_us == at_us - asked_us


def test_r4_late_for_an_immediate_threat_bears_that_reason() -> None:
    officer = Officer("aclu-model")
    officer.triggers("radio", "officer-discretion")
    officer.waits(officer.policy.activation.late_after_s + 5)
    officer.starts_in_an_emergency()
    opened = officer.last(do.Open)
    assert opened.late_us > 0
    assert opened.category == "imminent-threat"


@pytest.mark.parametrize("name", RECORDING)
def test_r5_the_categories_are_there(name: str) -> None:
    assert set(R5) <= set(policy(name).categories)


def test_r6_a_stop_has_a_reason_from_a_closed_list() -> None:
    officer = Officer("aclu-model")
    officer.starts()
    officer.stops()
    for _ in range(9):
        officer.presses("function")
        officer.waits(0.2)
    officer.waits(3)
    assert officer.cues[-1] == "refused", "nine presses mean nothing here"
    officer.gives_reason("concluded-left-scene")
    officer.waits(30)
    assert "count-1" in officer.cues, "the count is felt"
    last = officer.all(do.Explain)[-1].reason if officer.all(do.Explain) else officer.last(do.Close).reason
    assert last == "concluded-left-scene"


def test_r7_new_jersey_names_its_stops() -> None:
    assert list(policy("new-jersey").reasons) == R7


def test_r8_each_profile_has_its_own_stop_reasons() -> None:
    boston = policy("boston-school-unit").reasons
    assert {"sensitive-information", "privacy-of-individuals", "confidentiality"} <= set(boston)
    assert set(boston) != set(policy("new-jersey").reasons)


def test_r9_a_victims_request_is_a_marker_and_then_a_pause() -> None:
    officer = Officer("aclu-model")
    officer.starts()
    officer.waits(20)
    officer.double_presses("function")
    paused = officer.last(do.Pause)
    assert officer.last(do.Mark).marked_us == paused.at_us
    assert paused.reason == "occupant-or-victim-request"
    assert officer.holds_before() == "nothing"
    officer.waits(250)
    assert officer.cues.count("remind-paused") == 2
    officer.starts()
    assert officer.records(), "a double press means record"


@pytest.mark.parametrize("name", RECORDING)
def test_r10_whatever_ends_or_hides_something_has_a_time_and_a_reason(name: str) -> None:
    officer = Officer(name)
    officer.starts()
    officer.waits(5)
    officer.holds("function", 3.2)
    officer.waits(5)
    officer.stops()
    officer.waits(30)
    officer.switches_sleep(on_=True)
    officer.waits(5)
    officer.hears(on.ShutdownAsked(at_us=officer.now_us))
    for command in officer.said:
        if isinstance(command, do.Close | do.Mute | do.Pause | do.Sleep):
            assert command.reason, command
    assert officer.last(do.Close).reason == "unexplained"


@pytest.mark.parametrize("name", RECORDING)
def test_r10_no_prompt_ever_delays_a_start(name: str) -> None:
    officer = Officer(name)
    officer.triggers("radio", "officer-discretion")
    at_us = officer.starts()
    assert officer.last(do.Open).at_us <= at_us
    officer.stops()
    officer.presses("function")
    again_us = officer.starts()
    assert officer.records()
    assert officer.last(do.EnterStage).at_us == again_us


def test_r11_notice_is_asked_for_and_what_came_is_written() -> None:
    told, untold, threatened = (Officer("new-jersey") for _ in range(3))
    told.starts()
    told.waits(3)
    assert "notice-prompt" in told.cues
    told.presses_once("function")
    assert told.last(do.Notice).given
    untold.starts()
    untold.waits(90)
    assert (untold.last(do.Notice).given, untold.last(do.Notice).reason) == (False, "unexplained")
    threatened.starts_in_an_emergency()
    threatened.waits(90)
    assert (threatened.last(do.Notice).given, threatened.last(do.Notice).reason) == (False, "imminent-threat")


@pytest.mark.parametrize("name", NAMES)
def test_r12_the_light_can_not_be_turned_off_and_the_attempt_is_written(name: str) -> None:
    officer = Officer(name)
    officer.holds("function", 3.2)
    assert not officer.state.stealth
    assert officer.last(do.Deny).what == "stealth"


def test_r14_entering_a_school_while_recording_asks_to_leave_or_to_justify() -> None:
    officer = Officer("new-jersey")
    officer.starts()
    officer.enters("school")
    assert officer.last(do.Prompt).about == "justify-or-exit"
    assert officer.cues[-1] == "zone-prompt"
    officer.waits(5)
    officer.double_presses("record")
    assert officer.last(do.Justify).category == "crime-investigation"
    officer.waits(60)
    assert officer.records()


def test_r14_who_neither_leaves_nor_justifies_is_paused_and_leaving_restores() -> None:
    officer = Officer("new-jersey")
    officer.starts()
    officer.enters("school")
    officer.waits(officer.policy.zones["school"].justify_s + 1)
    assert officer.last(do.Lapse).about == "justify-or-exit"
    assert officer.phase() is Phase.PAUSED
    officer.enters("street")
    assert officer.records()


@pytest.mark.parametrize("category", ["crime-investigation", "emergency", "force-expected"])
def test_r14_in_a_school_a_crime_an_emergency_or_force_may_be_recorded(category: str) -> None:
    officer = Officer("new-jersey", zone="school")
    officer.triggers("radio", category)
    assert officer.records()
    assert not officer.last(do.Open).override


@pytest.mark.parametrize("category", ["non-critical-student-contact", "minor-incident-mediation"])
def test_r15_dc_denies_non_critical_contact_with_students(category: str) -> None:
    officer = Officer("dc", zone="school")
    officer.triggers("radio", category)
    assert not officer.records()
    officer.starts()
    assert officer.records()


@pytest.mark.parametrize("category", ["dispatched-call", "arrest", "adversarial-contact", "legal-duty"])
def test_r16_the_school_agreement_allows_calls_arrests_and_adversarial_contact(category: str) -> None:
    officer = Officer("school-agreement", zone="school")
    officer.triggers("radio", category)
    assert officer.records()


def test_r17_a_disabled_camera_never_records() -> None:
    officer = Officer("disabled")
    officer.starts()
    officer.starts_in_an_emergency()
    officer.triggers("panic", "imminent-threat")
    assert officer.all(do.Open) == []
    assert {refusal.reason for refusal in officer.all(do.Refuse)} == {"disabled"}
    assert officer.holds_before() == "nothing"


@pytest.mark.parametrize("name", RECORDING)
def test_r18_a_private_zone_clears_memory_on_entry_and_denies_a_start(name: str) -> None:
    officer = Officer(name)
    officer.enters("private")
    assert not officer.last(do.ClearRing).sound_only
    assert officer.holds_before() == "nothing"
    officer.starts()
    assert not officer.records()
    assert officer.last(do.Refuse).zone == "private"


@pytest.mark.parametrize("name", RECORDING)
def test_r18_a_recording_carried_into_a_private_zone_is_paused_and_goes_on_outside(name: str) -> None:
    officer = Officer(name)
    officer.starts()
    officer.enters("private")
    assert officer.phase() is Phase.PAUSED
    assert officer.last(do.Pause).reason == "zone-entered"
    officer.enters("street")
    assert officer.records()


def test_r18_in_a_private_zone_only_an_investigation_overrides() -> None:
    officer = Officer("new-jersey", zone="private")
    officer.starts_in_an_emergency()
    opened = officer.last(do.Open)
    assert (opened.category, opened.override, opened.pre_event) == ("crime-investigation", True, "off")


@pytest.mark.parametrize("name", RECORDING)
def test_r18_a_panic_button_is_heard_in_a_private_zone_and_written_as_an_override(name: str) -> None:
    officer = Officer(name, zone="private")
    officer.triggers("panic", "imminent-threat")
    assert officer.records()
    assert officer.last(do.Open).override


def test_r19_the_policy_names_recipients_and_end_points() -> None:
    first = policy("first")
    key = "age1" + "q" * 58
    changed = msgspec.structs.replace(
        first,
        recipients=msgspec.structs.replace(first.recipients, footage=(key,)),
        disclosure=msgspec.structs.replace(first.disclosure, end_points=("s3+https://evidence.example.org/bodycam",)),
    )
    assert msgspec.convert(msgspec.to_builtins(changed), Policy) == changed


def test_r22_no_category_is_for_identifying_who_is_there() -> None:
    first = text("first").replace("\nvehicle-stop = {", "\nidentify-participants = {")
    with pytest.raises(DocumentError, match=r"categories.identify-participants: .*R22"):
        parse_policy(first.encode())


def test_r26_a_fault_has_a_start_and_an_end() -> None:
    officer = Officer("dc")
    for present in (True, False):
        officer.hears(on.FaultChanged(at_us=officer.now_us, part="camera", present=present))
    assert officer.cues[-2:] == ["camera-fault", "fault-over"]


def test_r27_device_fault_policy_refusal_and_inaction_are_different_words() -> None:
    fault, refused, idle = Officer("first"), Officer("first", zone="private"), Officer("first")
    fault.hears(on.Readiness(at_us=fault.now_us, ready=False, reason="storage-full"))
    fault.starts()
    refused.starts()
    idle.triggers("radio", "officer-discretion")
    idle.waits(600)
    assert fault.last(do.Refuse).reason == "storage-full"
    assert refused.last(do.Refuse).reason == "zone-denies"
    assert idle.last(do.Lapse).about == "start"


@pytest.mark.parametrize(
    ("name", "role", "zone", "ready"),
    [
        ("boston-school-unit", "", "school", True),
        ("boston-school-unit", None, "street", False),
        ("boston-school-unit", "school-police", "street", False),
        ("boston-school-unit", "", "private", False),
        ("aclu-model", "", "school", False),
        ("new-jersey", "", "school", True),
        ("disabled", "", "street", False),
    ],
)
def test_field_2_the_ready_light_is_dark_where_a_start_would_be_refused(
    name: str, role: str | None, zone: str, ready: bool
) -> None:
    officer = Officer(name, role=role, zone=zone)
    assert shown(officer.state, officer.policy).ready.on == ready


# -- how they fail in the field ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RECORDING)
def test_field_4_a_stop_in_a_struggle_is_confirmed_and_a_trigger_resumes(name: str) -> None:
    officer = Officer(name)
    officer.starts()
    officer.holds("record", 4)
    assert officer.phase() is Phase.STOP_ASKED
    officer.waits(10)
    assert officer.phase() is Phase.RECORDING, "nobody confirmed it"
    officer.stops()
    officer.triggers("holster", "use-of-force")
    officer.waits(60)
    assert officer.records()
    assert officer.all(do.Close) == []


@pytest.mark.parametrize("name", RECORDING)
def test_field_5_a_double_press_on_record_means_record_in_every_state(name: str) -> None:
    def asleep(officer: Officer) -> None:
        officer.switches_sleep(on_=True)

    def stop_asked(officer: Officer) -> None:
        officer.starts()
        officer.holds("record", 3.2)

    def post_event(officer: Officer) -> None:
        officer.starts()
        officer.stops()

    def paused(officer: Officer) -> None:
        officer.starts()
        officer.double_presses("function")

    for before in (lambda _: None, asleep, stop_asked, post_event, paused):
        officer = Officer(name)
        before(officer)
        officer.starts()
        assert officer.records(), before


def test_field_6_a_mute_ends_by_itself_and_is_reminded() -> None:
    officer = Officer("first")
    officer.starts()
    officer.holds("function", 3.2)
    assert not officer.held().audio
    assert officer.held().video
    officer.waits(officer.policy.mute.limit_s + 1)
    assert officer.held().audio
    assert "remind-muted" in officer.cues
    assert len(officer.all(do.Unmute)) == 1


# -- the whole device -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    bench = make_bench(tmp_path_factory.mktemp("clauses") / "bench")
    (bench.root / "device" / "assignment.toml").write_text(
        'officer = "badge-4711"\nrole = "officer"\nunit = "school-unit"\nshift = "day-1"\n', "utf-8"
    )
    device = VirtualDevice(bench)
    device.boot()
    device.run(6)
    device.record(2)
    device.stop()
    return bench


def test_r20_the_device_can_not_open_what_it_wrote(recorded: Bench) -> None:
    """Nothing on the device or the card opens a segment, and the daemon does not even load the code that would."""
    for path in [p for folder in ("device", "card") for p in (recorded.root / folder).rglob("*") if p.is_file()]:
        assert b"AGE-SECRET-KEY" not in path.read_bytes(), path
    loaded = "import sys, device.daemon; sys.exit('device.evidence.opening' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", loaded], check=False).returncode == 0


def test_r23_a_retention_hint_travels_sealed_in_the_record(recorded: Bench) -> None:
    opened = ledger(recorded, recordings(recorded)[0]).lines[0].record
    assert isinstance(opened, RecordingOpened)
    facts = unsealed(recorded, opened.context)
    assert facts["retention_days"] == str(policy("first").retention.days)
    assert (facts["officer"], facts["unit"], facts["zone"]) == ("badge-4711", "school-unit", "street")
    for path in (recorded.card / "journal").iterdir():
        assert b"badge-4711" not in b"".join(open_line(line).payload for line in path.read_bytes().splitlines())


def test_r29_any_signer_signs() -> None:
    """What signs is asked for a signature and its certificate's digest, and for nothing else."""
    key = ec.generate_private_key(ec.SECP256R1())

    class Token:
        certificate_sha256 = "0" * 64

        def sign(self, message: bytes) -> bytes:
            return low_s(key.sign(message, ec.ECDSA(hashes.SHA256())))

    assert verify_line(open_line(sign_line(Token(), "application/test", b"{}")), key.public_key())

"""Did the device follow its policy? Honest cards conform; a device that lies is caught where it contradicts the policy."""

import hashlib
import shutil
from pathlib import Path

import msgspec
import pyrage
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from device.errors import UsageError
from device.evidence import layout, records
from device.evidence.audit import audit
from device.evidence.bundle import read_bundle
from device.evidence.chain import Chain
from device.evidence.envelope import open_line
from device.evidence.identity import load_anchors
from device.evidence.judgements import EXIT_NO_POLICY, Audit, AuditFinding
from device.evidence.records import Boot, Marker, RecordingBegun, RecordingEnded, RecordingHead, Step
from device.evidence.unsealing import ContextIdentity
from device.evidence.verdicts import EXIT_ALTERED, EXIT_EXTENT, EXIT_INTACT, EXIT_NOT_TRUSTED
from device.policy import commands as do
from device.policy import inputs as on
from device.policy.machine import next_deadline_us
from hw_sim.agency import Agency, Bench
from hw_sim.clock import VirtualClock
from hw_sim.long_shift import write_shift
from hw_sim.scribe import Scribe
from hw_sim.virtual import VirtualDevice
from tests.auditors import AGENCY, audited, comes, decides, of_kind, said, the_nth
from tests.benches import make_bench, policy_document, recordings, verified
from tests.cards import changed, copy_of, device_signer, edit_lines
from tests.liars import Said, came_and_decided, lie, sealed_for, step_said


def only_step(verdict: Audit) -> AuditFinding:
    """The one step that does not conform, and nothing else is wrong."""
    assert verdict.exit_status == EXIT_ALTERED
    (finding,) = [finding for finding in verdict.findings if finding.kind != "note"]
    assert finding.kind == "step"
    return finding


# -- a shift of ten hours, and one thing in it changed --------------------------------------------------------------


@pytest.fixture(scope="module")
def ten_hours(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """Sixty activations, written down without a camera (`hw_sim.scribe`)."""
    bench = make_bench(tmp_path_factory.mktemp("shift") / "bench", agency=AGENCY)
    return write_shift(bench, segments=False)


@pytest.fixture
def shift(ten_hours: Bench, tmp_path: Path) -> Bench:
    return copy_of(ten_hours, tmp_path / "bench")


def test_a_shift_of_ten_hours_with_sixty_activations_conforms(shift: Bench) -> None:
    verdict = audited(shift, every_step=True)
    assert verdict.exit_status == EXIT_INTACT, said(verdict)
    assert (verdict.verdict, verdict.findings, verdict.not_conforming) == ("conforming", (), ())
    assert verdict.steps == verdict.steps_conforming == len(verdict.judged)
    starts = [d for step in verdict.judged for d in step.decisions if d.what.startswith("started recording")]
    assert len(starts) == 60
    assert {d.clause for d in starts} == {
        '[zones.street] start = "allow"',
        '[zones.private] start = "deny" and override = true',
    }
    assert all(d.source for step in verdict.judged for d in step.decisions)
    assert "never recorded cannot be seen" in verdict.cannot_see


def place_of(line: Said, moved: int = 0) -> str:
    return f"journal/000000.jsonl, line {line.record.seq + moved}"


def test_one_decision_changed_is_named(shift: Bench) -> None:
    """A stop's reason, after the fact."""
    places = []

    def change(lines: list[Said]) -> list[Said]:
        n = the_nth(lines, 30, decides(do.Close))
        came, decided = came_and_decided(lines[n])
        better = tuple(
            msgspec.structs.replace(d, reason="encounter-concluded") if isinstance(d, do.Close) else d for d in decided
        )
        places.append(place_of(lines[n]))
        lines[n] = step_said(lines[n], came, better)
        return lines

    lie(shift, change)
    verdict = audited(shift)
    (finding,) = of_kind(verdict, "step")
    assert finding.place == places[0]
    assert "Expected: ended recording 31 (stopped): unexplained" in finding.what
    assert "Recorded: ended recording 31 (stopped): encounter-concluded" in finding.what
    assert "[post_event]" in finding.what
    (ledger,) = of_kind(verdict, "recording")  # it still says what was so
    assert ledger.place.startswith("evidence/000030-")
    assert verdict.exit_status == EXIT_ALTERED


def test_one_decision_left_out_is_named(shift: Bench) -> None:
    """The officer was asked to start, and did not: nobody likes to read that."""
    places = []

    def leave_out(lines: list[Said]) -> list[Said]:
        n = the_nth(lines, 2, decides(do.Lapse))
        came, decided = came_and_decided(lines[n])
        places.append(place_of(lines[n]))
        lines[n] = step_said(lines[n], came, tuple(d for d in decided if not isinstance(d, do.Lapse)))
        return lines

    lie(shift, leave_out)
    finding = only_step(audited(shift))
    assert finding.place == places[0]
    assert "asked to start, did not. Recorded: nothing. Clauses: [activation] late_after_s = 60" in finding.what


def test_one_input_changed_is_named(shift: Bench) -> None:
    """A start in a private zone that was refused is moved out of it: what the machine answered then does not fit."""
    places = []

    def change(lines: list[Said]) -> list[Said]:
        n = the_nth(lines, 1, comes(on.ZoneEntered(at_us=0, zone="private")))
        came, decided = came_and_decided(lines[n])
        assert isinstance(came, on.ZoneEntered)
        places.append(place_of(lines[n]))
        lines[n] = step_said(lines[n], msgspec.structs.replace(came, zone="school"), decided)
        return lines

    lie(shift, change)
    verdict = audited(shift)
    assert verdict.exit_status == EXIT_ALTERED
    assert of_kind(verdict, "step")[0].place == places[0]
    assert "when the wearer came into the zone school" in of_kind(verdict, "step")[0].what


def test_one_input_left_out_is_named_where_it_was_answered(shift: Bench) -> None:
    """The wearer was in a private zone when the start was refused; without that the policy allows it."""
    places = []

    def leave_out(lines: list[Said]) -> list[Said]:
        n = the_nth(lines, 1, comes(on.ZoneEntered(at_us=0, zone="private")))
        places.append(place_of(lines[the_nth(lines, 1, decides(do.Refuse))], -1))
        return lines[:n] + lines[n + 1 :]

    lie(shift, leave_out)
    verdict = audited(shift)
    assert verdict.exit_status == EXIT_ALTERED
    first = of_kind(verdict, "step")[0]
    assert first.place == places[0]
    assert "Expected: started recording 14 by record-double-press" in first.what
    assert "refused the start by record-double-press in the zone private: zone-denies; " in first.what
    assert '[zones.private] start = "deny"' in first.what


def test_one_input_added_is_named(shift: Bench) -> None:
    """An excuse: the sleep switch, on just before something that was not recorded."""
    places = []

    def add(lines: list[Said]) -> list[Said]:
        n = the_nth(lines, 5, decides(do.Explain))
        like = lines[n].record
        assert isinstance(like, Step)
        at_us = like.effective_us + 60_000_000
        switched = step_said(lines[n], on.SleepSwitched(at_us=at_us, on=True), ())
        switched.record = msgspec.structs.replace(switched.record, effective_us=at_us)
        places.append(place_of(lines[n], 1))
        return [*lines[: n + 1], switched, *lines[n + 1 :]]

    lie(shift, add)
    verdict = audited(shift)
    first = of_kind(verdict, "step")[0]
    assert first.place == places[0]
    assert "when the sleep switch was turned on. Expected: went to sleep" in first.what
    assert "Recorded: nothing" in first.what
    assert verdict.exit_status == EXIT_ALTERED


def with_policy(bench: Bench, document: bytes, signer: Agency) -> None:
    """Rewrite the card as if another policy had been in force, which `signer` signed."""
    data = signer.bundle(document)
    sha256, file_sha256 = hashlib.sha256(document).hexdigest(), hashlib.sha256(data).hexdigest()
    (bench.card / layout.policy_file(sha256)).write_bytes(document)
    (bench.card / layout.bundle_file(file_sha256)).write_bytes(data)

    def rename(lines: list[Said]) -> list[Said]:
        for line in lines:
            if isinstance(boot := line.record, Boot):
                policy = msgspec.structs.replace(boot.policy, sha256=sha256)
                line.record = msgspec.structs.replace(boot, policy=policy, bundle_sha256=file_sha256)
        return lines

    lie(bench, rename)


def test_one_clause_changed_is_named_by_whoever_signed_it(shift: Bench) -> None:
    """A policy that the wearer's friends made: it would allow everything."""
    document = policy_document().replace(b'start = "deny"', b'start = "allow"')
    with_policy(shift, document, Agency("Agency"))
    verdict = audited(shift)
    assert verdict.exit_status == EXIT_NOT_TRUSTED
    (signer,) = of_kind(verdict, "signer")
    assert "was not issued under the given trust anchor" in signer.what
    policy, ledgers = of_kind(verdict, "policy")
    assert "60 recordings that start from it" in ledgers.what
    assert "the policy first 1 (sha256 " in policy.what
    assert "--policy BUNDLE" in policy.what
    assert (verdict.steps, verdict.epochs_audited) == (0, 0)


def test_one_clause_changed_is_named_where_the_decisions_contradict_it(shift: Bench) -> None:
    """Another policy that the agency did sign is put in the place of the one in force: its mutes are shorter."""
    document = policy_document().replace(b"limit_s = 600", b"limit_s = 30")
    with_policy(shift, document, AGENCY)
    verdict = audited(shift)
    assert verdict.exit_status == EXIT_ALTERED
    first = of_kind(verdict, "step")[0]
    assert "Expected: turned the sound of recording 6 on" in first.what
    assert "[mute] limit_s = 30" in first.what


def test_a_policy_document_swapped_on_the_card_is_named(shift: Bench) -> None:
    (path,) = (shift.card / layout.POLICY).glob("*.toml")
    path.write_bytes(path.read_bytes().replace(b'start = "deny"', b'start = "allow"'))
    verdict = audited(shift)
    assert verdict.exit_status == EXIT_ALTERED
    assert [f.place for f in of_kind(verdict, "content")] == [f"policy/{path.name}"]


def test_a_machine_that_this_release_does_not_know_is_not_audited(shift: Bench) -> None:
    def bump(lines: list[Said]) -> list[Said]:
        for line in lines:
            if isinstance(boot := line.record, Boot):
                line.record = msgspec.structs.replace(
                    boot, software=msgspec.structs.replace(boot.software, machine="machine-9")
                )
        return lines

    lie(shift, bump)
    verdict = audited(shift)
    assert verdict.exit_status == EXIT_ALTERED
    finding, ledgers = verdict.findings
    assert (finding.kind, ledgers.kind) == ("machine", "machine")
    assert "60 recordings that start from it" in ledgers.what
    assert "machine-9 decided here" in finding.what
    assert verdict.epochs_audited == 0


def test_a_boot_that_begins_in_another_state_is_named(shift: Bench) -> None:
    """As if the camera had been asleep from the start."""

    def asleep(lines: list[Said]) -> list[Said]:
        facts = lines[0].facts
        assert facts is not None
        facts["state"] = str(facts["state"]).replace('"phase":"idle"', '"phase":"asleep"')
        return lines

    lie(shift, asleep)
    verdict = audited(shift)
    assert verdict.exit_status == EXIT_ALTERED
    assert [(f.kind, f.what) for f in verdict.findings] == [
        ("state", "it begins in another state than a start does: phase")
    ]


# -- recordings and activations -------------------------------------------------------------------------------------


def test_a_recording_with_no_activation_is_named(shift: Bench) -> None:
    """Everything that the journal decided on the last recording is left out; the rest fits together."""
    name = recordings(shift)[-1].name

    def leave_out(lines: list[Said]) -> list[Said]:
        last = the_nth(lines, -1, decides(do.Open))
        ended = the_nth(lines, -1, decides(do.Lapse))
        before = the_nth(lines, -2, decides(do.Close))
        assert before < ended < last
        kept = [line for line in lines[before + 3 :] if not isinstance(line.record, Step)]
        shutdown = the_nth(lines, 0, comes(on.ShutdownAsked(at_us=0)))
        return [*lines[: before + 3], *kept[:-1], lines[shutdown], kept[-1]]

    lie(shift, leave_out)
    verdict = audited(shift)
    assert verdict.exit_status == EXIT_ALTERED
    assert verdict.recordings_without_activation == (name,)
    assert any(name in finding.place and "no activation" in finding.what for finding in of_kind(verdict, "recording"))


def test_an_activation_whose_recording_was_taken_away_is_named(shift: Bench) -> None:
    folder = recordings(shift)[20]
    shutil.rmtree(folder)

    def forget(lines: list[Said]) -> list[Said]:
        kinds = RecordingBegun | RecordingHead | RecordingEnded
        return [x for x in lines if not (isinstance(x.record, kinds) and x.record.recording == folder.name)]

    lie(shift, forget)
    verdict = audited(shift)
    assert verdict.exit_status == EXIT_ALTERED
    (gone,) = verdict.activations_without_recording
    assert gone.what.startswith("recording 21 by record-double-press")
    assert [f.kind for f in verdict.findings] == ["recording"]


def test_a_folder_that_the_journal_holds_and_the_card_does_not_is_named(shift: Bench) -> None:
    folder = recordings(shift)[20]
    shutil.rmtree(folder)
    verdict = audited(shift)
    assert any(folder.name in f.place and f.what.endswith("its folder is missing") for f in of_kind(verdict, "content"))


@pytest.mark.parametrize(
    ("field", "lie_told", "what"),
    [
        ("trigger", {"trigger": "record-hold"}, "its trigger is record-hold"),
        ("pre_event", {}, "its pre-event mode is video-and-audio"),
    ],
)
def test_a_ledger_that_opens_otherwise_than_decided_is_named(
    shift: Bench, field: str, lie_told: dict[str, object], what: str
) -> None:
    folder = recordings(shift)[10]

    def edit(lines: list[bytes]) -> list[bytes]:
        opened = records.decode_ledger(open_line(lines[0]).payload)
        fields = lie_told or {"pre_event": msgspec.structs.replace(getattr(opened, field), mode="video-and-audio")}
        return [changed(lines[0], device_signer(shift), **fields), *lines[1:]]

    edit_lines(folder / layout.LEDGER, edit)
    lie(shift, lambda lines: lines)
    verdict = audited(shift)
    (finding,) = verdict.findings
    assert (finding.kind, folder.name in finding.place) == ("recording", True)
    assert what in finding.what


def test_what_is_sealed_in_a_ledger_is_held_against_the_decision(shift: Bench) -> None:
    """The recording claims to be of the street; it was begun in a private zone, by an override."""
    folder = recordings(shift)[3]
    facts: dict[str, object] = {
        "category": "imminent-threat", "zone": "street", "override": False, "officer": "officer-7", "role": "patrol",
        "unit": "unit-3", "shift": "2026-09-21-late", "retention_days": "90",
    }  # fmt: skip
    edit_lines(
        folder / layout.LEDGER,
        lambda lines: [changed(lines[0], device_signer(shift), context=sealed_for(shift, facts)), *lines[1:]],
    )
    lie(shift, lambda lines: lines)
    what = [finding.what for finding in of_kind(audited(shift), "recording")]
    assert "its override is False; the journal decided True" in what
    assert "its zone is 'street'; the journal decided 'private'" in what


def test_a_marker_that_was_never_decided_and_one_that_is_missing_are_named(shift: Bench) -> None:
    added, missing = recordings(shift)[11], recordings(shift)[12]
    clock = VirtualClock("boot-1")
    chain = Chain(device_signer(shift), clock, "BC-000001", added.name, 1, records.NO_DIGEST)
    marker = chain.next_line(Marker(at_us=clock.now_us()))[:-1]
    edit_lines(added / layout.LEDGER, lambda lines: [lines[0], marker, *lines[1:]])

    def forget(lines: list[bytes]) -> list[bytes]:
        return [x for x in lines if not isinstance(records.decode_ledger(open_line(x).payload), Marker)]

    edit_lines(missing / layout.LEDGER, forget)

    def follow(lines: list[Said]) -> list[Said]:
        for line in lines:
            if isinstance(record := line.record, RecordingEnded) and record.recording in (added.name, missing.name):
                by = 1 if record.recording == added.name else -1
                head = msgspec.structs.replace(record.head, seq=record.head.seq + by)
                line.record = msgspec.structs.replace(record, head=head)
        return lines

    lie(shift, follow)
    found = {f.place.split("/")[1]: f.what for f in of_kind(audited(shift), "recording")}
    assert set(found) == {added.name, missing.name}
    assert "marker at 5000000 µs, which the journal does not decide" in found[added.name]
    assert "the journal decided marker at" in found[missing.name]


# -- keys and files -------------------------------------------------------------------------------------------------


def test_a_step_that_the_auditor_cannot_open_does_not_conform(shift: Bench) -> None:
    """Sealed to somebody else, so that nobody can say what it was."""
    stranger = Bench(shift.root.parent / "stranger")
    stranger.context_identity.parent.mkdir(parents=True)
    stranger.context_identity.write_text(f"{Agency('Stranger').context}\n", "ascii")
    places = []

    def hide(lines: list[Said]) -> list[Said]:
        hidden = lines[the_nth(lines, 30, decides(do.Close))]
        assert hidden.facts is not None
        hidden.sealed = sealed_for(stranger, hidden.facts)
        places.append(place_of(hidden))
        return lines

    lie(shift, hide)
    verdict = audited(shift)
    (step,) = of_kind(verdict, "step")
    assert step.place == places[0]
    assert "not encrypted for this identity" in step.what
    assert verdict.exit_status == EXIT_ALTERED


def test_the_key_for_footage_opens_nothing_of_it(shift: Bench) -> None:
    with pytest.raises(UsageError, match="it opens nothing on this card"):
        audit(shift.card, load_anchors(shift.trust), (), ContextIdentity(shift.footage_identity))


def test_a_time_whose_policy_has_it_sealed_for_others_is_not_audited_and_no_lie(tmp_path: Path) -> None:
    """The agency changed the auditor with the policy: the old one can judge his own time only."""
    bench = make_bench(tmp_path / "bench", agency=AGENCY)
    scribe = Scribe(bench, segments=False)
    scribe.record(5)
    scribe.stop()
    document = policy_document(version=2)
    assert document.count(b"\ncontext = []\n") == 1
    recipient = Agency("Other").context_recipient.encode()
    document = document.replace(b"\ncontext = []\n", b'\ncontext = ["' + recipient + b'"]\n')
    bench.offered_policy.write_bytes(AGENCY.bundle(document))
    again = Scribe(bench, scribe.clock, segments=False)
    again.record(5)
    again.stop()
    verdict = audited(bench)
    assert verdict.exit_status == EXIT_NO_POLICY
    finding, ledgers = verdict.findings
    assert (finding.kind, ledgers.kind) == ("key", "key")
    assert "first 2 has names and places sealed for other recipients" in finding.what
    assert (verdict.epochs, verdict.epochs_audited) == (2, 1)
    assert verdict.steps == verdict.steps_conforming > 5


def test_another_agencys_anchor_trusts_nothing(shift: Bench) -> None:
    shift.trust.write_bytes(Agency().ca_pem())
    verdict = audited(shift)
    assert verdict.exit_status == EXIT_NOT_TRUSTED
    assert verdict.steps == 0


def test_a_flipped_bit_in_the_journal_is_an_alteration(shift: Bench) -> None:
    path = shift.card / layout.epoch_file("000000")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    verdict = audited(shift)
    assert verdict.exit_status == EXIT_ALTERED
    assert of_kind(verdict, "content")


def test_a_bundle_given_by_hand_is_as_good_as_one_on_the_card(shift: Bench) -> None:
    anchors = load_anchors(shift.trust)
    bundle = read_bundle(shift.offered_policy.read_bytes(), anchors, None)
    (path,) = (shift.card / layout.POLICY).glob("*.bundle")
    path.unlink()
    verdict = audit(shift.card, anchors, (bundle,), ContextIdentity(shift.context_identity))
    assert verdict.steps == verdict.steps_conforming > 400
    assert [f.kind for f in verdict.findings] == ["content"], "that it is missing from the card is still said"


# -- the whole device, in virtual time ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def two_boots(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """A clean stop; then a boot that the power ends; then one that is stopped."""
    bench = make_bench(tmp_path_factory.mktemp("boots") / "bench", agency=AGENCY, pre_event_s=2, post_event_s=1)
    device = VirtualDevice(bench)
    device.boot()
    device.run(3)
    device.record(1)
    device.zone("private")
    device.double()
    device.hold("record", 1.4)
    device.zone("street")
    device.press()
    device.hold("function")
    device.double("function")
    device.run(1)
    device.double()
    device.confirmed_stop()
    for _ in range(2):
        device.press()
    device.until_idle()
    device.run(12)
    device.bench.offered_policy.write_bytes(AGENCY.bundle(policy_document(2, 1, 2)))
    device.run(5)
    device.record(1)
    device.stop()
    device.boot()
    device.run(3)
    device.double()
    device.run(2.5)
    device.cut()
    device.boot()
    device.run(2)
    device.stop()
    return bench


def test_the_whole_device_conforms_through_a_new_policy_a_power_cut_and_three_boots(two_boots: Bench) -> None:
    verdict = audited(two_boots)
    assert of_kind(verdict, "step") + of_kind(verdict, "state") + of_kind(verdict, "recording") == []
    assert verdict.exit_status == EXIT_EXTENT, "the power went once"
    assert verdict.verdict == "conforming; extent unproven"
    assert verdict.epochs == verdict.epochs_audited == 4
    assert [(t.what, t.until_utc != "") for t in verdict.out_of_service] == [
        ("out of service after a clean stop", True),
        ("out of service after a power loss or a crash", True),
    ]


def test_an_input_that_is_seen_after_a_deadline_that_decided_nothing_conforms(tmp_path: Path) -> None:
    """An edge is seen when its contact has settled. The time to give a reason, which ends without a line, has ended in
    between: the edge takes effect after it."""
    bench = make_bench(tmp_path / "bench", agency=AGENCY)
    scribe = Scribe(bench, segments=False)
    scribe.double()
    scribe.pass_time(5)
    scribe.confirmed_stop()
    scribe.pass_time(scribe.policy.post_event.length_s)
    due_us = next_deadline_us(scribe.state, scribe.policy)
    assert due_us is not None
    assert due_us == scribe.state.deadlines.reason_by_us
    scribe.pass_time((due_us - scribe.clock.now_us()) / 1e6)
    scribe.tell(on.Edge(at_us=due_us - 10_000, button="record", pressed=True))
    assert scribe.state.now_us == due_us
    scribe.stop()
    assert audited(bench).exit_status == EXIT_INTACT


def test_a_fault_of_the_camera_is_one_whatever_its_keeper_says_of_it(tmp_path: Path) -> None:
    bench = make_bench(tmp_path / "bench", audio=False)
    device = VirtualDevice(bench)
    device.boot()
    for _ in range(2):
        device.run(3)
        device.hardware.the_camera.stall()
        device.run(4)
        device.hardware.the_camera.resume()
        device.run(12)
    device.stop()
    told = audited(bench).device_faults
    assert [one.what for one in told] == [
        "fault of the camera: restart 1: no pictures; restart 2: no pictures; restart 2 brought the pictures back",
        "fault of the camera: restart 1: no pictures; restart 2: no pictures; restart 2 brought the pictures back",
    ]
    assert [one.until_utc != "" for one in told] == [True, True]


def test_each_file_that_was_refused_is_told_by_itself(tmp_path: Path) -> None:
    bench = make_bench(tmp_path / "bench", audio=False)
    device = VirtualDevice(bench)
    device.boot()
    good = bench.offered_policy.read_bytes()
    altered = good.replace(b"IyBU", b"IyBV", 1)
    assert altered != good
    for spoilt in (b"no bundle", altered):
        device.run(5)
        bench.offered_policy.write_bytes(spoilt)
    device.run(5)
    device.stop()
    told = audited(bench).device_faults
    assert [one.what.split(": ")[0] for one in told] == ["fault of the policy"] * 2


def test_device_faults_policy_refusals_and_inaction_are_apart(shift: Bench) -> None:
    verdict = audited(shift)
    assert {t.what for t in verdict.device_faults} == {"fault of the microphone"}
    assert {t.seconds for t in verdict.device_faults} == {25.0}
    assert {t.what for t in verdict.policy_refusals} == {
        "refused the start by record-double-press in the zone private: zone-denies"
    }
    assert {t.clause for t in verdict.policy_refusals} == {'[zones.private] start = "deny"'}
    late = [t for t in verdict.wearer_inaction if t.what.startswith("late: ")]
    assert len(late) == len(verdict.wearer_inaction) - len(late) == 6
    assert {t.seconds for t in late} == {90.27}


def test_a_liars_card_is_one_that_verify_finds_nothing_wrong_with(two_boots: Bench, tmp_path: Path) -> None:
    """What the tests above rest on: only the audit tells such a card from an honest one."""
    bench = make_bench(tmp_path / "bench", agency=AGENCY, pre_event_s=1, post_event_s=1)
    device = VirtualDevice(bench)
    device.boot()
    device.run(2)
    device.record(1)
    device.stop()

    def unexplain(lines: list[Said]) -> list[Said]:
        n = the_nth(lines, 0, decides(do.Notice))
        came, decided = came_and_decided(lines[n])
        told = tuple(
            msgspec.structs.replace(d, given=True, reason="") if isinstance(d, do.Notice) else d for d in decided
        )
        lines[n] = step_said(lines[n], came, told)
        return lines

    lie(bench, unexplain)
    assert verified(bench).exit_status == EXIT_INTACT
    verdict = audited(bench)
    (finding,) = of_kind(verdict, "step")
    assert "people were told that they are recorded" in finding.what
    assert {f.what.split(" at ")[0] for f in of_kind(verdict, "recording")} == {
        "the journal decided notice-given",
        next(f.what.split(" at ")[0] for f in of_kind(verdict, "recording") if "notice-not-given" in f.what),
    }
    assert "[notice] prompt = true" in finding.what


def only_two_epochs(two_boots: Bench, root: Path) -> Bench:
    """The first boot alone, with its change of the policy."""
    bench = copy_of(two_boots, root)
    for name in ("000002", "000003"):
        (bench.card / layout.epoch_file(name)).unlink()
    shutil.rmtree(recordings(bench)[-1])
    assert audited(bench).exit_status == EXIT_INTACT
    return bench


def test_a_policy_that_changes_to_one_that_is_not_newer_is_named(two_boots: Bench, tmp_path: Path) -> None:
    bench = only_two_epochs(two_boots, tmp_path / "bench")
    first: list[Boot] = []

    def back(lines: list[Said]) -> list[Said]:
        for line in lines:
            if isinstance(boot := line.record, Boot):
                first.append(boot)
                old = first[0]
                line.record = msgspec.structs.replace(boot, policy=old.policy, bundle_sha256=old.bundle_sha256)
        return lines

    lie(bench, back)
    assert [f.what for f in of_kind(audited(bench), "state")] == [
        "the policy changed from version 1 to 1, which is not newer"
    ]


def test_a_new_policy_begins_in_the_state_that_the_old_one_left(two_boots: Bench, tmp_path: Path) -> None:
    """A change of the policy is no way into another zone."""
    bench = only_two_epochs(two_boots, tmp_path / "bench")

    def move(lines: list[Said]) -> list[Said]:
        boot, facts = lines[0].record, lines[0].facts
        assert isinstance(boot, Boot)
        assert facts is not None
        if boot.reason == "policy-changed":
            facts["state"] = str(facts["state"]).replace('"zone":"street"', '"zone":"school"')
        return lines

    lie(bench, move)
    assert [f.what for f in of_kind(audited(bench), "state")] == [
        "the new policy begins in another state than it must: zone"
    ]


def test_an_effective_time_that_nothing_explains_is_named(shift: Bench) -> None:
    places = []

    def delay(lines: list[Said]) -> list[Said]:
        n = the_nth(lines, 4, comes(on.FaultChanged(at_us=0, part="microphone", present=True)))
        record = lines[n].record
        assert isinstance(record, Step)
        lines[n].record = msgspec.structs.replace(record, effective_us=record.effective_us + 1000)
        places.append(place_of(lines[n]))
        return lines

    lie(shift, delay)
    finding = only_step(audited(shift))
    assert finding.place == places[0]
    assert "it took effect at" in finding.what


def test_a_policy_that_changes_without_a_record_of_it_is_named(two_boots: Bench, tmp_path: Path) -> None:
    bench = only_two_epochs(two_boots, tmp_path / "bench")

    def old(lines: list[Said]) -> list[Said]:
        for line in lines:
            if isinstance(boot := line.record, Boot) and boot.reason == "policy-changed":
                line.record = msgspec.structs.replace(boot, reason="write-failed")
        return lines

    lie(bench, old)
    what = [f.what for f in of_kind(audited(bench), "state")]
    assert what[0] == "the policy changed from first 1 without a record of the change"


# -- whatever is sealed ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    bench = make_bench(tmp_path_factory.mktemp("short") / "bench", agency=AGENCY)
    scribe = Scribe(bench, segments=False)
    scribe.assign("officer-7", "shift-1")
    scribe.record(10, presses=1)
    scribe.zone("private")
    scribe.double()
    scribe.stop()
    return bench


FACTS = ("input", "decisions", "state", "salt")


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    line=st.integers(0, 60),
    key=st.sampled_from(FACTS),
    edit=st.one_of(
        st.tuples(st.just("put"), st.one_of(st.text(max_size=40), st.booleans(), st.just("null"), st.just("[]"))),
        st.tuples(st.just("cut"), st.integers(0, 400)),
        st.tuples(st.just("flip"), st.integers(0, 400)),
        st.tuples(st.just("number"), st.integers(-(2**64), 2**64)),
        st.tuples(st.just("nest"), st.integers(1, 3000)),
        st.tuples(st.just("forget"), st.none()),
    ),
)
def test_whatever_is_sealed_gives_findings_and_never_a_traceback(
    short: Bench, tmp_path_factory: pytest.TempPathFactory, line: int, key: str, edit: tuple[str, object]
) -> None:
    bench = copy_of(short, tmp_path_factory.mktemp("fuzz") / "bench")
    changed_any = []

    def mutate(lines: list[Said]) -> list[Said]:
        facts = lines[line % len(lines)].facts
        if facts is not None and key in facts:
            before = dict(facts)
            _mutate(facts, key, *edit)
            changed_any.append(facts != before and key != "salt")
        return lines

    lie(bench, mutate)
    verdict = audited(bench)
    shutil.rmtree(bench.root)
    assert verdict.exit_status in (EXIT_INTACT, EXIT_ALTERED)
    if not any(changed_any):
        assert verdict.exit_status == EXIT_INTACT, said(verdict)


def _mutate(facts: dict[str, object], key: str, how: str, what: object) -> None:
    text = str(facts[key])
    if how == "put":
        facts[key] = what
    elif how == "forget":
        del facts[key]
    elif how == "nest":
        assert isinstance(what, int)
        facts[key] = "[" * what + "]" * what
    elif how == "number":
        head, _, tail = text.partition('_us":')
        facts[key] = f'{head}_us":{what}{tail.lstrip("0123456789")}' if tail else text
    else:
        assert isinstance(what, int)
        at = what % max(len(text), 1)
        facts[key] = text[:at] + ("" if how == "cut" else chr(ord(text[at]) ^ 1)) + text[at + 1 :] if text else text


def test_the_identity_that_seals_is_the_agencys(short: Bench) -> None:
    """The bench's own files fit together: else the tests above prove nothing."""
    identity = pyrage.x25519.Identity.from_str(short.context_identity.read_text("ascii").strip())
    assert str(identity.to_public()) == AGENCY.context_recipient

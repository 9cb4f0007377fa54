"""A journal that lies, with the device's own key, so that `verify` believes it: what it hides is found by the audit."""

import os
from pathlib import Path

import msgspec
import pyrage
import pytest

from device.evidence import layout, records
from device.evidence.bundle import make_bundle
from device.evidence.envelope import open_line
from device.evidence.identity import Role
from device.evidence.records import (
    Boot,
    Step,
    Stopped,
)
from device.evidence.seal import Sealer
from device.evidence.verdicts import EXIT_EXTENT, EXIT_INTACT
from device.policy import inputs as on
from hw_sim.agency import Agency, Bench
from hw_sim.scribe import Scribe
from hw_sim.virtual import VirtualDevice
from tests.auditors import (
    AGENCY,
    Lines,
    audited,
    forgotten,
    record_two,
    reopened,
    said,
    scribed,
    tells,
)
from tests.benches import make_bench, policy_document, recordings
from tests.cards import copy_of, lines_of
from tests.liars import Said, lie

HOURS_US = 3600 * 10**6


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return record_two(tmp_path_factory.mktemp("card") / "bench")


@pytest.fixture
def card(recorded: Bench, tmp_path: Path) -> Bench:
    return copy_of(recorded, tmp_path / "bench")


# -- what was not replayed ------------------------------------------------------------------------------------------


def test_a_recording_of_an_epoch_without_steps_is_not_passed_over(card: Bench) -> None:
    lie(card, lambda lines: [line for line in lines if not isinstance(line.record, Step)])
    tells(card, "a recording with no activation")


def test_an_epoch_without_steps_needs_its_policy_too(card: Bench) -> None:
    def ghost(lines: Lines) -> Lines:
        for line in lines:
            if isinstance(boot := line.record, Boot):
                name = records.PolicyName(id="ghost", version=1, sha256="ab" * 32)
                line.record = msgspec.structs.replace(boot, policy=name, bundle_sha256="cd" * 32)
        return [line for line in lines if not isinstance(line.record, Step)]

    lie(card, ghost)
    tells(card, "the policy that was in force is missing")
    assert any("2 recordings that start from it" in finding.what for finding in audited(card).findings)


# -- the end of a run -----------------------------------------------------------------------------------------------


def test_a_run_that_says_it_ended_while_it_recorded(tmp_path: Path) -> None:
    bench, scribe = scribed(tmp_path)
    scribe.double()
    scribe.pass_time(5)
    scribe._journal.add(Stopped(reason="shutdown"))
    scribe.cut()
    tells(bench, "it ends as if shutdown had been asked for", "it has no end")


@pytest.mark.parametrize("ends", [True, False])
def test_a_lapse_that_was_due_long_before_the_end(tmp_path: Path, ends: bool) -> None:
    """The officer was asked to start, did not, and the journal goes on for an hour."""
    bench, scribe = scribed(tmp_path)
    scribe.trigger("door", "officer-discretion")
    scribe.clock.move_to(scribe.clock.now_us() + HOURS_US)
    if ends:
        scribe._journal.add(Stopped(reason="shutdown"))
    scribe.cut()
    tells(bench, "µs has no line, and the boot went on")


def test_a_daemon_that_could_not_go_on_is_no_clean_end(tmp_path: Path) -> None:
    bench, scribe = scribed(tmp_path)
    scribe.record(5)
    scribe._journal.add(Stopped(reason="failed"))
    scribe.cut()
    tells(bench, "the daemon could not go on (failed)", status=EXIT_EXTENT)


# -- recipients -----------------------------------------------------------------------------------------------------


def test_footage_sealed_to_others_than_the_policy_names(tmp_path: Path) -> None:
    bench = make_bench(tmp_path / "bench", agency=AGENCY)
    recipient = Agency("Records").footage_recipient.encode()
    document = policy_document().replace(b"\nfootage = []\n", b'\nfootage = ["' + recipient + b'"]\n')
    bench.offered_policy.write_bytes(AGENCY.bundle(document))
    scribe = Scribe(bench, segments=False)
    scribe.record(5)
    scribe.stop()
    assert audited(bench).exit_status == EXIT_INTACT
    reopened(bench, recordings(bench)[0], recipients_sha256="ee" * 32)
    tells(bench, "its recipients is ('eeee")


@pytest.mark.parametrize("named", [True, False])
def test_names_and_places_sealed_to_a_stranger_as_well(tmp_path: Path, named: bool) -> None:
    bench = make_bench(tmp_path / "bench", agency=AGENCY)
    ours, stranger = AGENCY.context_recipient, Agency("Stranger").context_recipient
    if named:
        document = policy_document().replace(b"\ncontext = []\n", f'\ncontext = ["{ours}"]\n'.encode())
        bench.offered_policy.write_bytes(AGENCY.bundle(document))
    scribe = Scribe(bench, segments=False)
    scribe.record(5)
    scribe.stop()
    assert audited(bench).exit_status == EXIT_INTACT
    assert str(pyrage.x25519.Recipient.from_str(ours)) == ours
    sealer = Sealer((ours, stranger), "recipients.context")

    def seal(lines: Lines) -> Lines:
        sealed = [line for line in lines if line.facts is not None]
        for line in sealed if named else sealed[-1:]:
            assert line.facts is not None
            facts = {key: value for key, value in line.facts.items() if key != "salt"}
            line.sealed = sealer.seal_context(facts, os.urandom(16))  # type: ignore[arg-type]
        return lines

    lie(bench, seal)
    tells(bench, "is for 2 recipients; " + ("the policy names 1" if named else "before in this run it was for 1"))


def test_two_devices_with_an_auditor_each_are_no_lie(tmp_path: Path) -> None:
    """A card in two devices of one agency: of the second's time this auditor can say nothing."""
    bench = make_bench(tmp_path / "one", agency=AGENCY)
    other = make_bench(tmp_path / "two", agency=AGENCY, device="BC-000002")
    text = other.config.read_text("utf-8").replace('path = "../card"', f'path = "{bench.card}"')
    other.config.write_text(text.replace(AGENCY.context_recipient, Agency("Z").context_recipient), "utf-8")
    for one in (bench, other):
        device = VirtualDevice(one)
        device.boot()
        device.run(3)
        device.record(1)
        device.stop()
    verdict = audited(bench)
    assert verdict.exit_status == 2, said(verdict)
    assert {finding.kind for finding in verdict.findings} == {"key"}
    assert verdict.epochs_audited == 1


def test_another_agencys_time_on_a_card_is_not_trusted_and_no_more(tmp_path: Path) -> None:
    bench = make_bench(tmp_path / "one", agency=AGENCY)
    other = make_bench(tmp_path / "two", agency=Agency("Other"), device="BC-000002")
    other.config.write_text(
        other.config.read_text("utf-8").replace('path = "../card"', f'path = "{bench.card}"'), "utf-8"
    )
    for one in (bench, other):
        scribe = VirtualDevice(one)
        scribe.boot()
        scribe.run(3)
        scribe.record(1)
        scribe.stop()
    assert audited(bench).exit_status == 3, said(audited(bench))


# -- order ----------------------------------------------------------------------------------------------------------


def two_boots(tmp_path: Path, first: int, second: int, *, cut: bool = False) -> Bench:
    """Two boots under two versions of a policy."""
    bench = make_bench(tmp_path / "bench", agency=AGENCY)
    bench.offered_policy.write_bytes(AGENCY.bundle(policy_document(version=first)))
    scribe = Scribe(bench, segments=False)
    scribe.record(5)
    scribe.cut() if cut else scribe.stop()
    bench.offered_policy.write_bytes(AGENCY.bundle(policy_document(version=second)))
    clock = scribe.clock
    clock.boot_id = "boot-2"
    again = Scribe(bench, clock, segments=False)
    again.record(5)
    again.stop()
    return bench


def test_an_older_policy_at_the_next_boot(tmp_path: Path) -> None:
    tells(two_boots(tmp_path, 5, 2), "an older policy than before: version 2 after 5")


@pytest.mark.parametrize("reason", ["write-failed", "policy-changed"])
def test_a_boot_that_says_it_only_goes_on(tmp_path: Path, reason: str) -> None:
    """So that the power loss, and the time without power, are not seen."""
    bench = two_boots(tmp_path, 1, 1, cut=True)
    assert audited(bench).exit_status == EXIT_EXTENT

    contexts: list[records.SealedContext | None] = []

    def go_on(lines: Lines) -> Lines:
        boot = lines[0].record
        assert isinstance(boot, Boot)
        contexts.append(boot.context)
        lines[0].sealed = contexts[0]
        if boot.previous is not None:
            lines[0].record = msgspec.structs.replace(boot, reason=reason)
        return lines

    lie(bench, go_on)
    tells(bench, f"it goes on ({reason}) where no epoch of the same boot is before it")
    assert len(audited(bench).out_of_service) == 1


def test_a_ledger_that_starts_from_before_its_activation(card: Bench) -> None:
    folder = recordings(card)[0]
    boot = lines_of(card.card / layout.epoch_file("000000"))[1]
    line = records.decode_journal(open_line(boot).payload)
    place = records.Line(stream="000000", seq=line.seq, sha256=open_line(boot).sha256)
    reopened(card, folder, journal=place, prev=place.sha256)
    tells(card, "before its activation was there")


def test_inputs_of_a_time_that_had_not_come(tmp_path: Path) -> None:
    """One input far ahead, and no deadline ever fires again."""
    bench, scribe = scribed(tmp_path)
    scribe._step(on.Edge(at_us=2**52, button="other", pressed=True))
    scribe.double()
    scribe.pass_time(1)
    scribe.cut()
    tells(bench, "after it was written down")


def test_time_that_goes_back(card: Bench) -> None:
    def back(lines: Lines) -> Lines:
        last = lines[-1].record
        lines[-1].record = msgspec.structs.replace(last, boot_us=1)
        return lines

    lie(card, back)
    tells(card, "its boot time is before that of the line before it")


def test_a_line_after_the_last_and_a_second_boot(card: Bench) -> None:
    def more(lines: Lines) -> Lines:
        return [*lines, Said(lines[-2].record, lines[-2].facts), Said(lines[0].record, lines[0].facts)]

    lie(card, more)
    tells(card, "a line after the one that ends its boot", "a second boot inside an epoch")


def test_two_recordings_of_one_moment(tmp_path: Path) -> None:
    """The second would stand for both, and the first could be taken away."""
    bench, scribe = scribed(tmp_path)
    ahead_us = scribe.clock.now_us() + 500_000
    scribe._step(on.Edge(at_us=ahead_us, button="other", pressed=True))
    for recording in (1, 2):
        for pressed in (True, False, True, False):
            scribe._take(on.Edge(at_us=1, button="record", pressed=pressed))
        if recording == 1:
            scribe._step(on.RecorderClosed(at_us=1, recording=1, how="failed"))
    scribe.cut()
    forgotten(bench, recordings(bench)[0])
    tells(bench, "two recordings were begun at")


@pytest.mark.parametrize(("days", "kind"), [(-100, "note"), (3650, "")])
def test_a_policy_first_seen_after_its_signers_time(tmp_path: Path, days: int, kind: str) -> None:
    """It may have been kept from before: said, and no more than that."""
    bench = make_bench(tmp_path / "bench", agency=AGENCY)
    policies = AGENCY.issue("policies of then", Role.POLICY, valid_days=days)
    bench.offered_policy.write_bytes(make_bundle(policy_document(version=3), policies.signer, policies.certificate))
    scribe = Scribe(bench, segments=False)
    scribe.record(5)
    scribe.stop()
    verdict = audited(bench)
    assert verdict.exit_status == EXIT_INTACT
    assert [finding.kind for finding in verdict.findings] == ([kind] if kind else [])

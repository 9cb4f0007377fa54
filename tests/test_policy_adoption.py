"""Which policy is in force: what is taken at the start and while the device runs, what is refused, what a cut leaves."""

import hashlib
import os
import random
import shutil
import signal
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pyrage
import pytest

from device.config import read_configuration
from device.errors import CannotPersist, ConfigurationError, EvidenceError
from device.evidence import layout
from device.evidence.adoption import Adoption, InForce
from device.evidence.bundle import Bundle, make_bundle, read_bundle
from device.evidence.envelope import open_line
from device.evidence.identity import Role, load_anchors
from device.evidence.orders import FaultOrder, PolicyOrder
from device.evidence.records import Boot, Fault, RecordingOpened, Step
from device.hand_ins import LOOK_EVERY_US, HandIns, read_assignment
from device.policy.inputs import Assigned, FaultChanged, Input
from device.policy.state import Wearer
from device.start import run_daemon
from device.tables import Camera
from hw_sim.agency import Agency, Bench
from hw_sim.camera import PreEncodedCamera
from hw_sim.clock import VirtualClock
from hw_sim.disk import Operation, PowerCut, TwinDisk
from hw_sim.encoders import EncodedFrame, encode_clip
from hw_sim.hardware import TwinHardware
from hw_sim.scenes import FlatScene
from hw_sim.virtual import VirtualDevice
from tests.benches import (
    CAMERA,
    Cutter,
    journal,
    ledger,
    make_bench,
    policy_document,
    recordings,
    shown,
    unsealed,
    verified,
)

SEED = int(os.environ.get("BODYCAM_SEED", "1"))
AGENCY = Agency("Agency")
OTHER = Agency("Other")
REASON_S = 15
"""After a stop its reason may still be given for ten seconds: a policy changes when that is over."""
LONG = policy_document(pre_event_s=60)


def bundle_of(version: int, pre_event_s: int = 5, agency: Agency = AGENCY) -> bytes:
    return agency.bundle(policy_document(pre_event_s, 1, version))


def named(version: int, policy: str) -> bytes:
    document = policy_document(5, 1, version)
    assert document.count(b'\nid = "first"\n') == 1
    return AGENCY.bundle(document.replace(b'\nid = "first"\n', f'\nid = "{policy}"\n'.encode()))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """It offers version 5."""
    made = make_bench(tmp_path / "bench", agency=AGENCY, audio=False, pre_event_s=5, post_event_s=1, ring_mib=2)
    made.offered_policy.write_bytes(bundle_of(5))
    return made


def adoption_of(bench: Bench, clock: VirtualClock | None = None) -> Adoption:
    return Adoption(read_configuration(bench.config), clock or VirtualClock("boot-1"))


def version_in_force(bench: Bench) -> int:
    return adoption_of(bench).in_force.policy.version


def kept_version(bench: Bench) -> int:
    return read_bundle(bench.kept_policy.read_bytes(), load_anchors(bench.anchor), None).policy.version


def no_policy(bench: Bench) -> str:
    with pytest.raises(ConfigurationError) as raised:
        adoption_of(bench)
    said = str(raised.value)
    assert "\n" not in said
    return said


# -- at the start -----------------------------------------------------------------------------------------------------


def test_the_first_bundle_is_taken_and_kept(bench: Bench) -> None:
    assert not bench.kept_policy.exists()
    assert version_in_force(bench) == 5
    assert bench.kept_policy.read_bytes() == bench.offered_policy.read_bytes()
    assert [path.name for path in bench.kept_policy.parent.iterdir() if path.suffix == ".new"] == []


def instead(path: Path, make: Callable[[Path], None]) -> None:
    path.unlink()
    make(path)


BAD: dict[str, Callable[[Bench], object]] = {
    "older": lambda b: b.offered_policy.write_bytes(bundle_of(4)),
    "older, of another name": lambda b: b.offered_policy.write_bytes(named(4, "zz-newest")),
    "of the same version, with other bytes": lambda b: b.offered_policy.write_bytes(bundle_of(5, pre_event_s=4)),
    "of the same version, of another name": lambda b: b.offered_policy.write_bytes(named(5, "other")),
    "another agency's": lambda b: b.offered_policy.write_bytes(bundle_of(6, agency=OTHER)),
    "damaged": lambda b: b.offered_policy.write_bytes(bundle_of(6)[:-9]),
    "empty": lambda b: b.offered_policy.write_bytes(b""),
    "a plain document": lambda b: b.offered_policy.write_bytes(policy_document(version=6)),
    "missing": lambda b: b.offered_policy.unlink(),
    "a folder": lambda b: instead(b.offered_policy, Path.mkdir),
    "a pipe": lambda b: instead(b.offered_policy, os.mkfifo),
    "too long before the press for the ring": lambda b: b.offered_policy.write_bytes(bundle_of(6, pre_event_s=120)),
    "of unknown recipients": lambda b: b.offered_policy.write_bytes(AGENCY.bundle(for_recipients("age1" + "q" * 58))),
}
SAID = {
    "older": "first 4 is older than the policy in force, first 5",
    "older, of another name": "zz-newest 4 is older than the policy in force, first 5",
    "of the same version, with other bytes": "first 5 has the version of the policy in force, first 5, and other bytes",
    "of the same version, of another name": "other 5 has the version of the policy in force, first 5, and other bytes",
    "another agency's": "not issued under the given trust anchor",
    "damaged": "not a policy bundle",
    "empty": "not a policy bundle",
    "a plain document": "not a policy bundle",
    "missing": "no such file",
    "a folder": "not a regular file",
    "a pipe": "not a regular file",
    "too long before the press for the ring": "ring.cap_mib is 2: 131 s at 150000 bit/s",
    "of unknown recipients": "recipients.footage: ",
}


def for_recipients(footage: str, context: str = "", version: int = 6) -> bytes:
    """A policy that names who can open what is recorded under it."""
    text = policy_document(5, 1, version).decode()
    place = text.index("[recipients]")
    table = text[place : text.index("\n\n", place)]
    assert "footage = []" in table
    other = table.replace("footage = []", f'footage = ["{footage}"]')
    if context:
        other = other.replace("context = []", f'context = ["{context}"]')
    return text.replace(table, other).encode()


@pytest.mark.parametrize("what", BAD)
def test_what_is_not_taken_leaves_the_last_good_one_in_force(bench: Bench, what: str) -> None:
    assert version_in_force(bench) == 5
    kept = bench.kept_policy.read_bytes()
    BAD[what](bench)
    adoption = adoption_of(bench)
    assert adoption.in_force.policy.version == 5
    assert adoption.lost == ""
    assert bench.kept_policy.read_bytes() == kept
    with pytest.raises(EvidenceError) as raised:
        adoption.take()
    assert SAID[what] in str(raised.value)
    assert adoption.in_force.policy.version == 5


@pytest.mark.parametrize(
    "what", [w for w in BAD if not w.startswith(("older", "of the same"))]
)  # what is old is good where nothing newer was
def test_without_a_kept_one_a_bad_one_is_a_configuration_error(bench: Bench, what: str) -> None:
    BAD[what](bench)
    said = no_policy(bench)
    assert said.startswith(f"{bench.offered_policy}: ")
    assert SAID[what] in said
    assert said.endswith("; hand in a bundle that the agency signed, in [policy] bundle")
    assert not bench.kept_policy.exists()


@pytest.mark.parametrize("offer", [bundle_of(6), bundle_of(900), named(6, "aa"), bundle_of(6, pre_event_s=1)])
def test_a_greater_version_is_taken_whatever_its_name(bench: Bench, offer: bytes) -> None:
    adoption = adoption_of(bench)
    bench.offered_policy.write_bytes(offer)
    taken = adoption.take()
    assert taken is not None
    assert taken is adoption.in_force
    assert taken.policy.version > 5
    assert bench.kept_policy.read_bytes() == offer
    assert adoption.take() is None
    assert version_in_force(bench) == taken.policy.version


def test_the_same_document_is_the_one_in_force_whoever_signed_it_anew(bench: Bench) -> None:
    adoption = adoption_of(bench)
    kept = bench.kept_policy.read_bytes()
    assert adoption.take() is None
    again = bundle_of(5)
    assert again != kept, "a signature is never the same twice"
    bench.offered_policy.write_bytes(again)
    assert adoption.take() is None
    bench.offered_policy.write_bytes(bundle_of(5, agency=OTHER))
    with pytest.raises(EvidenceError, match="trust anchor"):
        adoption.take()
    assert bench.kept_policy.read_bytes() == kept


def test_a_damaged_kept_one_is_said_and_a_good_offer_takes_its_place(bench: Bench) -> None:
    version_in_force(bench)
    bench.kept_policy.write_bytes(b"x")
    adoption = adoption_of(bench)
    assert adoption.lost.startswith("policy-kept.bundle, the last good policy, can't be used: not a policy bundle")
    assert kept_version(bench) == 5
    bench.kept_policy.write_bytes(b"x")
    bench.offered_policy.unlink()
    assert "no such file; policy-kept.bundle, the last good policy, can't be used: " in no_policy(bench)


def test_a_kept_one_that_no_longer_fits_the_device_is_a_configuration_error(bench: Bench) -> None:
    bench.offered_policy.write_bytes(AGENCY.bundle(LONG))
    version_in_force(bench)
    text = bench.config.read_text()
    bench.config.write_text(text.replace("cap_mib = 2", "cap_mib = 1"))
    assert "ring.cap_mib is 1: 71 s at 150000 bit/s" in no_policy(bench)


@pytest.mark.parametrize("anchor", [b"", b"no PEM", OTHER.ca_pem()])
def test_an_anchor_that_is_none_or_anothers_is_a_configuration_error(bench: Bench, anchor: bytes) -> None:
    bench.anchor.write_bytes(anchor)
    said = no_policy(bench)
    assert "trust anchor" in said if anchor.startswith(b"-") else "policy.anchor is 'agency-ca.pem': " in said


def test_a_clock_that_is_not_set_refuses_no_dates_and_one_that_is_does(bench: Bench) -> None:
    over = Agency("Agency", now=datetime(2026, 2, 1, tzinfo=UTC))
    signer = over.issue("brief", Role.POLICY, valid_days=1)
    bench.anchor.write_bytes(over.ca_pem())
    bench.offered_policy.write_bytes(make_bundle(policy_document(5, 1, 7), signer.signer, signer.certificate))
    clock = VirtualClock("boot-1")
    with pytest.raises(ConfigurationError, match="was not valid at"):
        adoption_of(bench, clock)
    clock.synchronised = False
    assert adoption_of(bench, clock).in_force.policy.version == 7
    clock.synchronised = True
    assert adoption_of(bench, clock).in_force.policy.version == 7, "what was kept, or is the same, is not judged again"
    assert adoption_of(bench, clock).take() is None


def test_a_switch_or_trigger_that_the_policy_does_not_know_refuses_it(bench: Bench) -> None:
    text = bench.config.read_text()
    assert text.count("school = 5\n") == text.count('category = "use-of-force"') == 1
    bench.config.write_text(text.replace("school = 5\n", "moon = 5\n"))
    assert "switches.zones.moon: a zone of the policy's is wanted: street, " in no_policy(bench)
    bench.config.write_text(text.replace("use-of-force", "moonlight"))
    assert "triggers.holster.category is 'moonlight': a category of the policy's is wanted: " in no_policy(bench)


def test_a_place_that_can_not_be_written_is_said(bench: Bench) -> None:
    text = bench.config.read_text()
    bench.config.write_text(text.replace('kept = "policy-kept.bundle"', 'kept = "absent/kept.bundle"'))
    assert "it can't be kept in " in no_policy(bench)
    assert "name a file that can be written in [policy] kept" in no_policy(bench)


def test_a_file_is_replaced_whole_or_not_at_all(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    adoption = adoption_of(bench)
    bench.offered_policy.write_bytes(bundle_of(6))

    def fails(_: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(EvidenceError, match=r"it can't be kept in .*: Input/output error"):
        adoption.take()
    assert adoption.in_force.policy.version == 5
    assert kept_version(bench) == 5
    monkeypatch.undo()
    taken = adoption.take()
    assert taken is not None
    assert kept_version(bench) == 6


def test_no_policy_at_the_start_ends_with_78_and_one_line(bench: Bench, capfd: pytest.CaptureFixture[str]) -> None:
    bench.offered_policy.unlink()
    clock = VirtualClock("boot-1")
    hardware = TwinHardware(clock)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        assert run_daemon(bench.config, hardware) == 78
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    said = capfd.readouterr().err
    assert said.count("\n") == 1
    assert said.startswith(f"bodycam: {bench.offered_policy}: no such file; ")
    assert list(bench.card.iterdir()) == []


# -- what is handed in ------------------------------------------------------------------------------------------------


class Heard:
    """A control loop and a recorder that only listen."""

    def __init__(self, bench: Bench) -> None:
        self.told: list[Input] = []
        self.offered: list[InForce] = []
        self.posted: list[Fault] = []
        configuration = read_configuration(bench.config)
        adoption = Adoption(configuration, VirtualClock("boot-1"))
        self.part = HandIns(configuration, adoption, self, self.post)
        self.now_us = 7_000_000

    def tell(self, came: Input) -> None:
        self.told.append(came)

    def offer_policy(self, offered: InForce) -> None:
        self.offered.append(offered)

    def post(self, order: FaultOrder) -> None:
        self.posted.append(order.fault)

    def look(self) -> list[Input]:
        """What is told at the next look."""
        before = len(self.told)
        self.now_us += LOOK_EVERY_US
        assert self.part.run_once(self.now_us) == self.now_us + LOOK_EVERY_US
        assert all(came.at_us == self.now_us for came in self.told[before:])
        return self.told[before:]

    def faults(self) -> list[tuple[str, bool]]:
        return [(came.part, came.present) for came in self.look() if isinstance(came, FaultChanged)]


def test_a_new_policy_is_offered_once(bench: Bench) -> None:
    heard = Heard(bench)
    assert heard.look() == []
    assert heard.offered == []
    bench.offered_policy.write_bytes(bundle_of(6))
    assert heard.look() == []
    assert heard.look() == []
    assert [offered.policy.version for offered in heard.offered] == [6]
    assert heard.posted == []


def test_a_bad_policy_is_one_fault_with_its_reason_until_a_good_one_comes(bench: Bench) -> None:
    heard = Heard(bench)
    heard.look()
    bench.offered_policy.write_bytes(bundle_of(4))
    assert heard.faults() == [("policy", True)]
    assert heard.faults() == []
    bench.offered_policy.unlink()
    assert heard.faults() == [], "another reason for the same fault"
    assert [(f.part, f.present, f.detail.split(",")[0].split(";")[0]) for f in heard.posted] == [
        ("policy", True, "first 4 is older than the policy in force"),
        ("policy", True, "no such file"),
    ]
    assert all(len(fault.detail) <= 200 for fault in heard.posted)
    bench.offered_policy.write_bytes(bundle_of(6))
    assert heard.faults() == [("policy", False)]
    assert [offered.policy.version for offered in heard.offered] == [6]
    bench.offered_policy.write_bytes(b"x")
    assert heard.faults() == [("policy", True)]
    bench.offered_policy.write_bytes(bundle_of(6)[:0] + bench.kept_policy.read_bytes())
    assert heard.faults() == [("policy", False)], "what is in force is offered again"
    assert len(heard.offered) == 1


def test_a_policy_that_could_not_be_kept_is_tried_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    heard = Heard(bench)
    heard.look()
    bench.offered_policy.write_bytes(bundle_of(6))

    def fails(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fails)
    assert heard.faults() == [("policy", True)]
    assert heard.offered == []
    monkeypatch.undo()
    assert heard.faults() == [("policy", False)]
    assert [offered.policy.version for offered in heard.offered] == [6]


ASSIGNMENT = 'officer = "o-4711"\nrole = "school-resource-officer"\nunit = "u-2"\nshift = "s-2026-03-01"\n'


def test_who_wears_it_is_told_at_the_start_and_at_each_change(bench: Bench) -> None:
    bench.assignment.write_text(ASSIGNMENT)
    heard = Heard(bench)
    told = heard.look()
    assert told == [
        Assigned(at_us=heard.now_us, officer="o-4711", role="school-resource-officer", unit="u-2", shift="s-2026-03-01")
    ]
    assert heard.look() == []
    bench.assignment.write_text(ASSIGNMENT.replace("4711", "4712"))
    assert [came.officer for came in heard.look() if isinstance(came, Assigned)] == ["o-4712"]
    bench.assignment.write_text("# again\n" + ASSIGNMENT.replace("4711", "4712"))
    assert heard.look() == [], "the same wearer"
    bench.assignment.unlink()
    assert heard.look() == [Assigned(at_us=heard.now_us, officer="", role="", unit="", shift="")]


def test_without_an_assignment_nobody_is_assigned(bench: Bench) -> None:
    assert Heard(bench).look() == []
    assert read_assignment(bench.assignment) == Wearer()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("officer = ", "not TOML"),
        ("\udcff", "not TOML"),
        (ASSIGNMENT.replace("o-4711", "Müller, Anna"), "officer: it must be a word"),
        (ASSIGNMENT.replace('"o-4711"', "4711"), "officer: it must be a word"),
        (ASSIGNMENT.replace("u-2", "u-" + "2" * 62), "unit: it must be a word"),
        (ASSIGNMENT.replace("u-2", "u-2\\n"), "unit: it must be a word"),
        (ASSIGNMENT.split("shift", maxsplit=1)[0], "shift: it must be a word"),
        (ASSIGNMENT + 'mueller = "x"\n', "it has keys other than officer, role, unit, shift"),
        ("# " + "x" * 5000, "5002 bytes; the limit is 4096"),
    ],
)
def test_a_bad_assignment_is_a_fault_and_nothing_private_is_said(
    bench: Bench, text: str, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    bench.assignment.write_text(ASSIGNMENT)
    heard = Heard(bench)
    heard.look()
    bench.assignment.write_bytes(text.encode("utf-8", "surrogateescape"))
    assert heard.faults() == [("assignment", True)], "and the last good one stays"
    assert [fault.part for fault in heard.posted] == ["assignment"]
    assert said in heard.posted[0].detail
    everything = heard.posted[0].detail + caplog.text
    assert not any(word in everything for word in ("4711", "ller", "u-2", "s-2026"))
    bench.assignment.write_text(ASSIGNMENT)
    assert heard.faults() == [("assignment", False)]


# -- the whole device -------------------------------------------------------------------------------------------------


def boots(bench: Bench) -> list[tuple[str, int]]:
    return [(r.reason, r.policy.version) for r in journal(bench) if isinstance(r, Boot)]


def opened_under(bench: Bench) -> list[int]:
    """The versions of the policies that recordings name, oldest first."""
    versions = []
    for folder in recordings(bench):
        for line in ledger(bench, folder).lines[:1]:
            assert isinstance(line.record, RecordingOpened)
            versions.append(line.record.policy.version)
    return versions


def test_a_live_change_begins_an_epoch_and_the_card_has_both_bundles(bench: Bench) -> None:
    device = VirtualDevice(bench)
    device.boot()
    device.run(5)
    device.record(1)
    first = bench.offered_policy.read_bytes()
    second = bundle_of(6, pre_event_s=3)
    bench.offered_policy.write_bytes(second)
    device.run(REASON_S)
    assert device.daemon.control.state.phase.value == "idle"
    device.record(1)
    device.stop()
    assert boots(bench) == [("start", 5), ("policy-changed", 6)]
    assert opened_under(bench) == [5, 6]
    anchors = load_anchors(bench.trust)
    on_card = sorted(
        read_bundle(path.read_bytes(), anchors, None).policy.version
        for path in (bench.card / "policy").iterdir()
        if path.suffix == ".bundle"
    )
    assert on_card == [5, 6]
    names = {path.name for path in (bench.card / "policy").iterdir()}
    assert {Path(layout.bundle_file(hashlib.sha256(data).hexdigest())).name for data in (first, second)} <= names
    verdict = verified(bench, read=True)
    assert verdict.exit_status == 0, shown(verdict)
    assert verdict.foreign == ()
    assert [r.pre_event_asked_us for r in verdict.recordings] == [5_000_000, 3_000_000]


def test_the_boot_records_seal_the_state_that_they_begin_with(bench: Bench) -> None:
    bench.assignment.write_text(ASSIGNMENT)
    device = VirtualDevice(bench)
    device.boot()
    device.run(4)
    bench.offered_policy.write_bytes(bundle_of(6))
    device.run(4)
    device.stop()
    epochs = sorted((bench.card / "journal").iterdir())
    payloads = [open_line(line).payload for path in epochs for line in path.read_bytes().splitlines()]
    assert len(payloads) > 5
    assert not any(b"o-4711" in payload for payload in payloads)
    records = [record for record in journal(bench) if isinstance(record, Boot)]
    states = [str(unsealed(bench, record.context)["state"]) for record in records]
    assert ["o-4711" in state for state in states] == [False, True]
    assert all('"zone":"street"' in state for state in states)


def test_a_policy_never_changes_inside_a_recording(bench: Bench) -> None:
    device = VirtualDevice(bench)
    device.boot()
    device.run(5)
    device.double()
    bench.offered_policy.write_bytes(bundle_of(6))
    device.run(6)
    assert boots(bench) == [("start", 5)], "offered and kept, and not in force"
    assert kept_version(bench) == 6
    device.hold()
    device.press("record")
    device.until_idle()
    assert boots(bench) == [("start", 5)]
    device.run(REASON_S)
    assert boots(bench) == [("start", 5), ("policy-changed", 6)]
    device.record(1)
    device.stop()
    assert opened_under(bench) == [5, 6]
    verdict = verified(bench, read=True)
    assert verdict.exit_status == 0, shown(verdict)


def test_a_bad_bundle_is_a_fault_in_journal_and_status_and_the_last_good_one_records(bench: Bench) -> None:
    device = VirtualDevice(bench)
    device.boot()
    device.run(5)
    bench.offered_policy.write_bytes(bundle_of(6, agency=OTHER))
    device.run(5)
    assert "policy" in device.daemon.control.state.faults
    device.record(1)
    device.stop()
    device.boot()
    device.run(5)
    assert "policy" in device.daemon.control.state.faults, "it is said at the next start, too"
    bench.offered_policy.write_bytes(bundle_of(6))
    device.run(5)
    assert "policy" not in device.daemon.control.state.faults
    device.stop()
    assert boots(bench) == [("start", 5), ("start", 5), ("policy-changed", 6)]
    assert opened_under(bench) == [5]
    faults = [r for r in journal(bench) if isinstance(r, Fault) and r.part == "policy"]
    assert ["trust anchor" in fault.detail for fault in faults] == [True, True]
    told = [
        r.input.present
        for r in journal(bench)
        if isinstance(r, Step) and isinstance(r.input, FaultChanged) and r.input.part == "policy"
    ]
    assert told == [True, True, False]
    assert verified(bench).exit_status == 0


def opens(folder: Path, identity: pyrage.x25519.Identity) -> bool:
    try:
        pyrage.decrypt((folder / layout.INIT).read_bytes(), [identity])
    except pyrage.DecryptError:
        return False
    return True


def test_recipients_change_only_with_the_policy(bench: Bench) -> None:
    """What is recorded under a policy that names recipients opens with their keys, and no longer with the old ones."""
    device = VirtualDevice(bench)
    device.boot()
    device.run(5)
    device.record(1)
    footage, context = pyrage.x25519.Identity.generate(), pyrage.x25519.Identity.generate()
    document = for_recipients(str(footage.to_public()), str(context.to_public()))
    bench.offered_policy.write_bytes(AGENCY.bundle(document))
    device.run(REASON_S)
    device.record(1)
    device.stop()
    old = pyrage.x25519.Identity.from_str(bench.footage_identity.read_text().strip())
    assert [opens(folder, old) for folder in recordings(bench)] == [True, False]
    assert [opens(folder, footage) for folder in recordings(bench)] == [False, True]
    last = [record for record in journal(bench) if isinstance(record, Boot)][-1]
    bench.context_identity.write_text(str(context))
    assert '"zone":"street"' in str(unsealed(bench, last.context)["state"])
    verdict = verified(bench)
    assert verdict.exit_status == 0, shown(verdict)


@pytest.mark.parametrize(
    ("alter", "said"),
    [
        (lambda path: path.unlink(), "the bundle of the policy that was in force is missing"),
        (lambda path: path.write_bytes(path.read_bytes() + b"\n"), ".bundle: it is not the one that was in force"),
    ],
)
def test_a_bundle_that_is_missing_or_changed_on_a_card_is_seen(
    bench: Bench, alter: Callable[[Path], object], said: str
) -> None:
    device = VirtualDevice(bench)
    device.boot()
    device.run(5)
    device.record(1)
    device.stop()
    (path,) = (bench.card / "policy").glob("*.bundle")
    alter(path)
    verdict = verified(bench)
    assert verdict.exit_status == 1
    assert said in shown(verdict)


@pytest.mark.parametrize(
    ("carried", "said"),
    [(bundle_of(5, agency=OTHER), "trust anchor"), (bundle_of(7), "the agency signed another policy than the one in")],
)
def test_a_policy_that_the_agency_did_not_sign_is_seen_on_a_card(
    bench: Bench, carried: bytes, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A device that lies could journal any policy: what the agency signed says otherwise."""
    device = VirtualDevice(bench)
    real = Bundle.file_sha256
    monkeypatch.setattr(Bundle, "file_sha256", property(lambda _: hashlib.sha256(carried).hexdigest()))
    device.boot()
    device.run(5)
    device.record(1)
    device.stop()
    monkeypatch.setattr(Bundle, "file_sha256", real)
    (path,) = (bench.card / "policy").glob("*.bundle")
    path.unlink()
    (bench.card / layout.bundle_file(hashlib.sha256(carried).hexdigest())).write_bytes(carried)
    verdict = verified(bench)
    assert verdict.exit_status == 3, shown(verdict)
    assert said in shown(verdict)


class Counting(Cutter):
    """A cutter that counts only while it is on."""

    on = False

    def __call__(self, operation: str, path: str) -> None:
        if self.on:
            super().__call__(operation, path)


NEXT = bundle_of(6)
"""Signed once, so that each run is the same."""


# -- a card that fails, and power cuts ----------------------------------------------------------------------------------


def changing(
    bench: Bench, cutter: Callable[[str, str], None] | None = None, clip: list[EncodedFrame] | None = None
) -> VirtualDevice:
    """A device that is idle, with a policy offered that it has not looked at."""

    def make_disk(root: Path) -> TwinDisk:
        disk = TwinDisk(root)
        disk.before = cutter
        return disk

    def make_camera(clock: VirtualClock, settings: Camera) -> PreEncodedCamera:
        assert clip is not None
        return PreEncodedCamera(clock, clip=clip, rate_hz=settings.rate_hz)

    device = VirtualDevice(bench, make_disk=make_disk, make_camera=None if clip is None else make_camera)
    device.boot()
    device.run(5)
    bench.offered_policy.write_bytes(NEXT)
    return device


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("operation", ["create", "append", "sync_file", "sync_folder"])
@pytest.mark.parametrize("where", ["policy", "journal"])
def test_a_change_that_the_card_refuses_is_tried_again_and_no_recording_begins_before(
    bench: Bench, operation: Operation, where: str, count: int
) -> None:
    device = changing(bench)
    disk = device.hardware.the_disk
    assert isinstance(disk, TwinDisk)
    disk.fail_next(operation, CannotPersist, count=count, path_contains=where)
    device.run(2.2)
    device.record(2)
    device.run(3)
    device.stop()
    assert opened_under(bench) == [6]
    said = boots(bench)
    assert said[0] == ("start", 5)
    assert said[-1][1] == 6
    assert [version for _, version in said] == sorted(version for _, version in said)
    verdict = verified(bench, read=True)
    assert verdict.exit_status == 0, shown(verdict)


def test_nothing_is_recorded_under_a_policy_that_the_card_does_not_know(bench: Bench) -> None:
    device = changing(bench)
    disk = device.hardware.the_disk
    assert isinstance(disk, TwinDisk)
    disk.fail_next("create", CannotPersist, count=30, path_contains="policy/")
    device.run(2.2)
    device.double()
    device.run(10)
    assert recordings(bench) == []
    assert boots(bench) == [("start", 5)]
    device.run(40)
    assert boots(bench) == [("start", 5), ("policy-changed", 6)]
    device.confirmed_stop()
    device.until_idle()
    device.stop()
    assert opened_under(bench) == [6]
    verdict = verified(bench, read=True)
    assert verdict.exit_status in (0, 4), shown(verdict)
    assert [r.answers.content for r in verdict.recordings] == ["matches"]


class Cut:
    """A live change on a fresh copy of a bench, and a recording after it; the power goes at an operation of that."""

    def __init__(self, bench: Bench, root: Path, clip: list[EncodedFrame], at: int | None) -> None:
        shutil.copytree(bench.root, root)
        self.bench = Bench(root)
        self.cutter = Counting(at)
        self.device = changing(self.bench, self.cutter, clip)
        self.changed = 0
        self.cutter.on = True
        try:
            self.device.run(2.5)
            self.changed = self.cutter.count
            self.device.record(0.5)
        except PowerCut:
            pass
        self.cutter.on = False

    def instants(self) -> list[int]:
        """Every operation of the change, and a few of the recording's."""
        after = range(self.changed + 1, self.cutter.count + 1)
        if os.environ.get("BODYCAM_CUTS") != "all":
            return [*range(1, self.changed + 1), *sorted(random.Random(SEED).sample(after, 6))]
        return [*range(1, self.cutter.count + 1)]


@pytest.mark.parametrize("operation", ["append", "sync_file", "sync_folder"])
def test_what_is_journaled_after_a_change_failed_stands_under_the_old_policy(
    bench: Bench, operation: Operation
) -> None:
    """The file that failed may be on the card, and follow the old one: nothing more is written to that."""
    device = changing(bench)
    disk, recorder = device.hardware.the_disk, device.daemon.recorder
    assert isinstance(disk, TwinDisk)
    disk.fail_next(operation, CannotPersist, path_contains="journal")
    device.run(3, lambda: recorder._policy_retry_us > 0)
    before = {path.name: path.read_bytes() for path in (bench.card / "journal").iterdir()}
    assert boots(bench)[0] == ("start", 5)
    recorder._journal.add(Fault(part="test", present=True, at_us=device.clock.now_us(), detail=""))
    recorder._journal.sync()
    assert all((bench.card / "journal" / name).read_bytes() == content for name, content in before.items())
    assert boots(bench)[-1] == ("write-failed", 5)
    device.run(3)
    assert boots(bench)[-1] == ("policy-changed", 6)
    device.record(1)
    device.stop()
    verdict = verified(bench, read=True)
    assert verdict.exit_status == 0, shown(verdict)


def test_what_was_journaled_before_a_change_stands_in_the_file_before(bench: Bench) -> None:
    device = changing(bench)
    recorder = device.daemon.recorder
    recorder._journal.add(Fault(part="before", present=True, at_us=device.clock.now_us(), detail=""))
    recorder.post(PolicyOrder(adoption_of(bench).in_force, device.daemon.control.state))
    recorder.post(FaultOrder(Fault(part="after", present=True, at_us=device.clock.now_us(), detail="")))
    device.run(0.1)
    device.cut()
    assert [(r.part, r.stream) for r in journal(bench) if isinstance(r, Fault)] == [("before", "000000")]
    assert boots(bench) == [("start", 5), ("policy-changed", 6)]
    assert verified(bench).exit_status == 4


def test_the_recorder_changes_no_policy_while_a_recording_is_open(bench: Bench) -> None:
    device = VirtualDevice(bench)
    device.boot()
    device.run(5)
    device.double()
    device.run(2)
    device.daemon.recorder.post(PolicyOrder(adoption_of(bench).in_force, device.daemon.control.state))
    with pytest.raises(AssertionError, match="a policy changes between recordings"):
        device.run(1)
    device.daemon.close()
    assert boots(bench) == [("start", 5)]


@pytest.mark.parametrize("odds", ["none-survives", "some-survives"])
def test_a_power_cut_at_any_operation_of_a_live_change(tmp_path: Path, bench: Bench, odds: str) -> None:
    """Restart, record, verify: the policy in force is the newer one, and every recording names one that was."""
    clip = encode_clip(2, **CAMERA, scene=FlatScene(CAMERA["width"], CAMERA["height"]))
    baseline = Cut(bench, tmp_path / "baseline", clip, None)
    assert baseline.changed >= 12, "two documents and an epoch"
    assert opened_under(baseline.bench) == [6]
    for instant in baseline.instants():
        said = f"seed {SEED}, operation {instant}, {odds}"
        cut = Cut(bench, tmp_path / f"cut-{instant}", clip, instant)
        assert cut.cutter.count == instant, said
        disk = cut.device.hardware.the_disk
        assert isinstance(disk, TwinDisk)
        disk.cut(None if odds == "none-survives" else random.Random(f"{SEED} {instant}"))
        assert opened_under(cut.bench) in ([], [6]), said
        cut.device.boot()
        cut.device.run(3)
        cut.device.record(0.5)
        cut.device.stop()
        assert kept_version(cut.bench) == 6
        assert opened_under(cut.bench)[-1] == 6
        assert boots(cut.bench)[-1] == ("start", 6), said
        verdict = verified(cut.bench, read=True)
        assert verdict.exit_status in (0, 4), (said, shown(verdict))
        assert {r.answers.content for r in verdict.recordings} == {"matches"}, said
        assert verdict.recordings[-1].verdict == "intact", (said, shown(verdict))
        shutil.rmtree(cut.bench.root)


def test_who_was_refused_by_one_policy_is_assigned_by_the_next_that_names_the_role(bench: Bench) -> None:
    def only_for(role: str, version: int) -> bytes:
        document = policy_document(5, 1, version)
        assert document.count(b"\nroles = []\n") == 1
        return AGENCY.bundle(document.replace(b"\nroles = []\n", f'\nroles = ["{role}"]\n'.encode()))

    bench.assignment.write_text('officer = "4711"\nrole = "officer"\nunit = "u"\nshift = "s"\n', "utf-8")
    device = VirtualDevice(bench)
    device.boot()
    device.run(3)
    assert device.daemon.control.state.wearer.officer == "4711"
    bench.offered_policy.write_bytes(only_for("sergeant", 6))
    device.run(5)
    assert device.daemon.control.state.wearer == Wearer()
    bench.offered_policy.write_bytes(only_for("officer", 7))
    device.run(5)
    assert device.daemon.control.state.wearer.officer == "4711"
    device.stop()
    assert verified(bench).exit_status == 0


def test_a_change_that_forbids_nothing_more_keeps_what_is_held(bench: Bench) -> None:
    device = VirtualDevice(bench)
    device.boot()
    device.run(7)
    bench.offered_policy.write_bytes(bundle_of(6))
    device.run(3)
    assert device.daemon.ring.held_us() > 4_000_000
    device.record(1)
    device.stop()
    verdict = verified(bench, read=True)
    assert verdict.exit_status == 0, shown(verdict)
    assert verdict.recordings[0].pre_event_had_us >= 5_000_000
    assert opened_under(bench) == [6]


def test_a_change_that_holds_nothing_lets_go_of_what_is_held(bench: Bench) -> None:
    device = VirtualDevice(bench)
    device.boot()
    device.run(7)
    bench.offered_policy.write_bytes(bundle_of(6, pre_event_s=0))
    device.run(3)
    assert device.daemon.ring.payload_bytes == 0


def test_without_a_zone_switch_a_new_initial_zone_is_where_the_wearer_is(bench: Bench) -> None:
    text = bench.config.read_text("utf-8")
    head, _, tail = text.partition("[switches.zones]")
    bench.config.write_text(head + tail.partition("\n\n")[2], "utf-8")

    def beginning_in(zone: str, version: int) -> bytes:
        document = policy_document(5, 1, version)
        assert document.count(b'initial_zone = "street"') == 1
        return AGENCY.bundle(document.replace(b'initial_zone = "street"', f'initial_zone = "{zone}"'.encode()))

    bench.offered_policy.write_bytes(beginning_in("private", 6))
    device = VirtualDevice(bench)
    device.boot()
    device.run(3)
    assert device.daemon.control.state.zone == "private"
    bench.offered_policy.write_bytes(beginning_in("street", 7))
    device.run(4)
    assert device.daemon.control.state.zone == "street"
    device.stop()


@pytest.mark.parametrize("which", ["offered_policy", "assignment"])
def test_a_link_that_leads_nowhere_is_a_fault_and_the_camera_records(bench: Bench, which: str) -> None:
    device = VirtualDevice(bench)
    device.boot()
    device.run(3)
    path: Path = getattr(bench, which)
    path.unlink(missing_ok=True)
    path.symlink_to(path.name)
    device.run(5)
    assert ("policy" if which == "offered_policy" else "assignment") in device.daemon.control.state.faults
    device.record(1)
    device.stop()
    device.boot()
    device.run(3)
    device.record(1)
    device.stop()
    assert len(recordings(bench)) == 2


def test_an_older_policy_after_the_kept_one_was_lost_is_a_fault(bench: Bench) -> None:
    """The daemon can't know why it was lost; the card's own journal still says which version was in force."""
    device = VirtualDevice(bench)
    device.boot()
    device.run(3)
    device.stop()
    bench.kept_policy.unlink()
    bench.offered_policy.write_bytes(bundle_of(4))
    device.boot()
    device.run(3)
    assert "policy" in device.daemon.control.state.faults
    device.stop()
    details = [record.detail for record in journal(bench) if isinstance(record, Fault) and record.part == "policy"]
    assert details == ["version 4 is older than 5, under which the journal on this card was written"]


def _wrong_provisioner(bench: Bench) -> None:
    path = bench.root / "device" / "provisioner.der"
    path.write_bytes((bench.root / "device" / "device.der").read_bytes())


def _strange_provisioner(bench: Bench) -> None:
    (bench.root / "device" / "provisioner.der").write_bytes(OTHER.provisioner.certificate)


def _second_provisioner(bench: Bench) -> None:
    another = AGENCY.issue("another provisioner", Role.PROVISIONING)
    (bench.root / "device" / "provisioner.der").write_bytes(another.certificate)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_wrong_provisioner, "is not for the role provisioning"),
        (_strange_provisioner, "not issued under the given trust anchor"),
        (_second_provisioner, "it is not signed by provisioner.der"),
    ],
)
def test_papers_that_no_reader_would_believe_are_refused_at_the_start(
    bench: Bench, spoil: Callable[[Bench], None], said: str
) -> None:
    """Else everything that is recorded would be of a signer who is not trusted."""
    spoil(bench)
    with pytest.raises(ConfigurationError, match=said):
        VirtualDevice(bench).boot()
    assert list((bench.card / "journal").iterdir() if (bench.card / "journal").exists() else []) == []

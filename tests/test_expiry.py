"""A certificate is a fault from 30 days before its end: shown, journaled, and no reason not to start or to record."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from device.evidence.bundle import make_bundle
from device.evidence.documents import read_identities
from device.evidence.history import read_history
from device.evidence.identity import Role, load_anchors, load_certificate
from device.evidence.records import Fault, Step
from device.expiry import soon_over
from device.policy.inputs import FaultChanged
from hw_sim.agency import Agency, Bench
from hw_sim.virtual import VirtualDevice
from tests.benches import journal, make_bench, policy_document, recordings, shown
from tests.cards import judged
from tests.rotations import give_key, rotate

TODAY = datetime(2026, 9, 21, tzinfo=UTC)
"""The day on which simulated time begins."""


@pytest.fixture
def agency() -> Agency:
    return Agency(now=TODAY)


@pytest.fixture
def bench(tmp_path: Path, agency: Agency) -> Bench:
    return make_bench(tmp_path / "bench", agency=agency, pre_event_s=1, post_event_s=1, audio=False)


def _device_for(bench: Bench, agency: Agency, days: int) -> None:
    give_key(bench, agency, agency.issue("BC-000001", Role.LEDGER, days))


def _policy_for(bench: Bench, agency: Agency, days: int, version: int = 2) -> None:
    signer = agency.issue("Demo Agency policies", Role.POLICY, days)
    bench.offered_policy.write_bytes(make_bundle(policy_document(1, 1, version), signer.signer, signer.certificate))


def _provisioner_for(bench: Bench, agency: Agency, days: int) -> None:
    agency.provisioner = agency.issue("Demo Agency provisioner", Role.PROVISIONING, days)
    (bench.root / "device" / "provisioner.der").write_bytes(agency.provisioner.certificate)
    certificate = (bench.root / "device" / "device.der").read_bytes()
    (bench.root / "device" / "provisioning.jsonl").write_bytes(agency.provision("BC-000001", certificate) + b"\n")


def _media_for(bench: Bench, agency: Agency, days: int) -> None:
    """The key that signs within the video; a rotation of the ledger's has no part in it."""
    issued = agency.issue("BC-000001", Role.MEDIA, days)
    (bench.root / "device" / "media.key").write_bytes(issued.key_pem)
    (bench.root / "device" / "media.der").write_bytes(issued.certificate)


MAKE = {"device": _device_for, "media": _media_for, "policy": _policy_for, "provisioner": _provisioner_for}


def _details(bench: Bench) -> list[str]:
    return [r.detail for r in journal(bench) if isinstance(r, Fault) and r.part == "certificate"]


def _faults(device: VirtualDevice) -> list[str]:
    return list(device.daemon.control.state.faults)


def _edges(bench: Bench) -> list[bool]:
    steps = [r.input for r in journal(bench) if isinstance(r, Step)]
    return [came.present for came in steps if isinstance(came, FaultChanged) and came.part == "certificate"]


@pytest.mark.parametrize("whose", MAKE)
@pytest.mark.parametrize(("days", "says"), [(31, None), (29, "expires on 2026-10-20"), (1, "expires on 2026-09-22")])
def test_it_is_a_fault_from_30_days_before(
    bench: Bench, agency: Agency, whose: str, days: int, says: str | None
) -> None:
    MAKE[whose](bench, agency, days)
    device = VirtualDevice(bench)
    device.boot()
    device.run(2)
    shows = _faults(device)
    device.record(1)
    device.stop()
    expected = [] if says is None else [f"{whose}: {says}"]
    assert (_details(bench), _edges(bench)) == (expected, [True] * len(expected))
    assert shows == ["certificate"] * len(expected)
    verdict = judged(bench)
    assert verdict.exit_status == 0, shown(verdict)
    assert len(verdict.recordings) == 1


def test_an_expired_one_never_refuses_a_start(bench: Bench, agency: Agency) -> None:
    """It records, and the reader says that the signer is not trusted, and why."""
    _device_for(bench, agency, -2)
    _provisioner_for(bench, agency, -2)
    device = VirtualDevice(bench)
    device.boot()
    device.run(2)
    device.record(1)
    device.stop()
    assert _details(bench) == ["device: expired on 2026-09-19; provisioner: expired on 2026-09-19"]
    assert len(recordings(bench)) == 1
    verdict = judged(bench)
    assert verdict.exit_status == 3
    assert "its certificate was not valid at 2026-09-21" in verdict.recordings[0].answers.signer_said


def test_a_clock_that_is_not_set_says_nothing_of_dates(bench: Bench, agency: Agency) -> None:
    _device_for(bench, agency, -2)
    device = VirtualDevice(bench)
    device.clock.synchronised = False
    device.boot()
    device.run(61)
    assert "certificate" not in _faults(device)
    device.clock.synchronised = True
    device.run(61)
    assert "certificate" in _faults(device)
    device.stop()
    assert _details(bench) == ["device: expired on 2026-09-19"]


def test_it_becomes_one_while_the_daemon_runs_and_ends_with_a_new_policy(bench: Bench, agency: Agency) -> None:
    _policy_for(bench, agency, 31)
    device = VirtualDevice(bench)
    device.boot()
    device.run(2)
    assert _faults(device) == []
    device.clock.wall_offset_us += 3 * 86_400_000_000
    device.run(61)
    assert _faults(device) == ["certificate"]
    _policy_for(bench, agency, 365, version=3)
    device.run(65)
    assert _faults(device) == []
    device.stop()
    assert _details(bench) == ["policy: expires on 2026-10-22"]
    assert _edges(bench) == [True, False]


def test_a_renewed_certificate_ends_it(bench: Bench, agency: Agency) -> None:
    _device_for(bench, agency, 10)
    device = VirtualDevice(bench)
    device.boot()
    device.run(2)
    device.stop()
    rotate(bench, agency)
    device.boot()
    device.run(2)
    assert _faults(device) == []
    device.stop()
    assert judged(bench).exit_status == 0


def test_a_rotation_of_the_ledgers_key_leaves_that_of_the_media(bench: Bench, agency: Agency) -> None:
    """Recordings of both keys are signed within by the same media key, which is watched on."""
    _media_for(bench, agency, 10)
    device = VirtualDevice(bench)
    for _ in range(2):
        device.boot()
        device.run(2)
        device.record(1)
        device.stop()
        rotate(bench, agency)
    verdict = judged(bench, read=True)
    assert [r.verdict for r in verdict.recordings] == ["intact", "intact"], shown(verdict)
    history = read_history(bench.card, read_identities(bench.card), load_anchors(bench.trust))
    told = [line.record for epoch in history.epochs for line in epoch.lines]
    details = [r.detail for r in told if isinstance(r, Fault) and r.part == "certificate"]
    assert details == ["media: expires on 2026-10-01"] * 2


def test_the_days_themselves(agency: Agency) -> None:
    certificate = load_certificate(agency.issue("BC-000001", Role.LEDGER, 40).certificate)
    ends, begins = certificate.not_valid_after_utc, certificate.not_valid_before_utc
    second = timedelta(seconds=1)
    said = {
        at: list(soon_over({"device": certificate}, at))
        for at in (
            begins - second,
            begins,
            ends - timedelta(days=30),
            ends - timedelta(days=30) + second,
            ends,
            ends + second,
        )
    }
    assert list(said.values()) == [
        ["device: not valid before 2026-01-01"],
        [],
        [],
        ["device: expires on 2026-10-31"],
        ["device: expires on 2026-10-31"],
        ["device: expired on 2026-10-31"],
    ]

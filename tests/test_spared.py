"""A part that fails and is spared: told, tried again, and no recording ends."""

from pathlib import Path

import pytest

from device.evidence.records import Fault, RecordingClosed
from device.policy.inputs import FaultChanged, Input
from device.spared import AGAIN_US, Spared
from hw_sim.virtual import VirtualDevice
from tests.benches import ledger, make_bench, recordings, shown, verified


class Failing:
    name = "lens"

    def __init__(self) -> None:
        self.fails = False

    def run_once(self, now_us: int) -> int:
        if self.fails:
            raise RuntimeError("out of ink")
        return now_us + 5


def test_a_failure_is_told_once_and_so_is_its_end() -> None:
    told: list[tuple[Input, str]] = []
    failing = Failing()
    spared = Spared(failing, lambda came, why: told.append((came, why)))
    assert spared.run_once(1) == 6
    failing.fails = True
    assert [spared.run_once(now_us) for now_us in (10, 20)] == [10 + AGAIN_US, 20 + AGAIN_US]
    failing.fails = False
    assert spared.run_once(30) == 35
    assert told == [
        (FaultChanged(at_us=10, part="lens-part", present=True), "RuntimeError: out of ink"),
        (FaultChanged(at_us=30, part="lens-part", present=False), ""),
    ]


def test_neither_the_lens_nor_health_ends_a_recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    device = VirtualDevice(make_bench(tmp_path / "bench", audio=False, post_event_s=0))
    device.boot()
    device.run(3)
    device.double()
    device.run(1)

    def broken(*_: object) -> int:
        raise RuntimeError("out of ink")

    monkeypatch.setattr("device.health.Health.run_once", broken)
    monkeypatch.setattr("device.lens.Lens.run_once", broken)
    device.run(3)
    assert device.daemon.control.state.phase.value == "recording"
    assert set(device.daemon.control.state.faults) == {"health-part", "lens-part"}
    device.confirmed_stop()
    device.until_idle()
    device.stop()
    (folder,) = recordings(device.bench)
    records = [line.record for line in ledger(device.bench, folder).lines]
    assert isinstance(records[-1], RecordingClosed)
    assert {(r.part, r.present) for r in records if isinstance(r, Fault)} == {
        ("health-part", True),
        ("lens-part", True),
    }
    verdict = verified(device.bench)
    assert verdict.exit_status == 0, shown(verdict)

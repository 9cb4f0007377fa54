"""The power goes at every write and every sync of the first start under a new key: the next start goes on all the same."""

import random
from pathlib import Path

import pytest

from device.evidence import layout
from device.evidence.documents import read_identities
from device.evidence.history import Epoch, read_history
from device.evidence.identity import load_anchors
from hw_sim.agency import Agency, Bench
from hw_sim.disk import PowerCut, TwinDisk
from hw_sim.virtual import VirtualDevice
from tests.benches import Cutter, make_bench, shown
from tests.cards import copy_of, judged
from tests.rotations import rotate


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """The old key left a closed recording and one that a power loss cut; the new key has not started yet."""
    agency = Agency()
    root = tmp_path_factory.mktemp("rotation") / "bench"
    bench = make_bench(root, agency=agency, pre_event_s=1, post_event_s=1, audio=False)
    device = VirtualDevice(bench)
    device.boot()
    device.run(2)
    device.record(1)
    device.double()
    device.run(3)
    device.cut()
    rotate(bench, agency)
    return bench


def _start(bench: Bench, cut_at: int | None) -> tuple[VirtualDevice, Cutter, bool]:
    """The first start under the new key, until it has recovered what the old one left; whether the power went."""
    cutter = Cutter(cut_at)

    def make_disk(root: Path) -> TwinDisk:
        disk = TwinDisk(root)
        disk.before = cutter
        return disk

    device = VirtualDevice(bench, make_disk=make_disk)
    device.boots = 1
    try:
        device.boot()
        device.run(1.5)
    except PowerCut:
        return device, cutter, True
    return device, cutter, False


@pytest.mark.parametrize("survives", ["nothing", "some"])
def test_a_cut_at_any_operation_of_a_start_under_a_new_key(tmp_path: Path, template: Bench, survives: str) -> None:
    device, cutter, went = _start(copy_of(template, tmp_path / "whole"), None)
    operations = cutter.count
    device.stop()
    assert not went
    assert operations > 15, "it writes documents, the journal and a recovery"
    assert _chains(device.bench) == [0, 0]
    for instant in range(1, operations + 1):
        bench = copy_of(template, tmp_path / f"cut-{instant}")
        device, cutting, went = _start(bench, instant)
        assert went, instant
        disk = device.hardware.the_disk
        assert isinstance(disk, TwinDisk)
        disk.cut(None if survives == "nothing" else random.Random(instant))
        cutting.at = None
        device.boot()
        device.run(2)
        device.record(1)
        device.stop()
        _check(bench, f"operation {instant}, {survives} survives")


def _check(bench: Bench, said: str) -> None:
    verdict = judged(bench, read=True)
    assert verdict.exit_status == 4, (said, shown(verdict))
    assert [r.verdict for r in verdict.recordings] == ["intact", "unchanged; ended by power loss", "intact"], said
    bad = [f.what for f in verdict.findings if f.question not in ("note", "extent")]
    assert bad == [], said
    assert set(_chains(bench)) == {0}, f"{said}: one history"
    rotations = [epoch.boot.rotation for epoch in _epochs(bench) if epoch.boot.rotation is not None]
    assert len(rotations) == 1, f"{said}: the journal is given on once"


def _epochs(bench: Bench) -> list[Epoch]:
    return read_history(bench.card, read_identities(bench.card), load_anchors(bench.trust)).epochs


def _chains(bench: Bench) -> list[int]:
    assert (bench.card / layout.JOURNAL).is_dir()
    return [epoch.chain for epoch in _epochs(bench)]

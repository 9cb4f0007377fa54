"""The power goes at any write and any sync of a scripted recording: restart, recover, verify. E1 to E5 hold.

CI takes a seeded sample of the instants; `make power-cuts` takes all of them.
"""

import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from device.evidence import layout
from device.evidence.disk import File
from device.evidence.writer import RecordingWriter
from hw_sim.agency import Bench
from hw_sim.disk import PowerCut, TwinDisk
from hw_sim.encoders import EncodedFrame
from hw_sim.virtual import VirtualDevice
from tests.benches import Cutter, recordings, shown, verified
from tests.rigs.story import LOST_US, last_durable_us, make_clip, make_device, make_story_bench, not_activated, tell

SAMPLE = 40
SEED = int(os.environ.get("BODYCAM_SEED", "1"))


class Scripted:
    """The story on a fresh copy of a bench."""

    def __init__(self, bench: Bench, clip: list[EncodedFrame], cut_at: int | None) -> None:
        self.cutter = Cutter(cut_at)
        self.bench = bench

        def make_disk(root: Path) -> TwinDisk:
            disk = TwinDisk(root)
            disk.before = self.cutter
            return disk

        self.device = make_device(bench, clip, make_disk)

    def run(self) -> bool:
        """True when the power was cut on the way."""
        device = self.device
        try:
            device.boot()
            tell(device)
        except PowerCut:
            return True
        return False


@pytest.fixture(scope="module")
def clip() -> list[EncodedFrame]:
    return make_clip()


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return make_story_bench(tmp_path_factory.mktemp("power") / "bench")


def _copy(template: Bench, root: Path) -> Bench:
    shutil.copytree(template.root, root)
    return Bench(root)


def _instants(template: Bench, clip: list[EncodedFrame], root: Path) -> list[int]:
    baseline = Scripted(_copy(template, root), clip, None)
    assert not baseline.run()
    count = baseline.cutter.count
    assert verified(baseline.bench).exit_status == 0
    assert count > 80, "the script writes and syncs"
    every = list(range(1, count + 1))
    if os.environ.get("BODYCAM_CUTS") == "all":
        return every
    return sorted(random.Random(SEED).sample(every, SAMPLE))


def _durable_bytes(card: Path) -> dict[str, bytes]:
    files = (path for path in card.rglob("*") if path.is_file() and path.name != layout.RESERVE)
    return {str(path.relative_to(card)): path.read_bytes() for path in files}


def _losses(device: VirtualDevice, bench: Bench, cut_us: int) -> Iterator[tuple[str, int]]:
    """For each recording that had begun to be durable and was not stopped: how much before the cut is not durable."""
    open_names = device.daemon.recorder.open_names
    for folder in recordings(bench):
        last_us = last_durable_us(bench, folder)
        if folder.name in open_names and last_us is not None and device.daemon.control.state.phase.value == "recording":
            yield folder.name, cut_us - last_us


@pytest.mark.parametrize("odds", ["none-survives", "some-survives"])
def test_a_cut_at_any_operation_is_recovered(
    tmp_path: Path, template: Bench, clip: list[EncodedFrame], odds: str
) -> None:
    instants = _instants(template, clip, tmp_path / "baseline")
    for instant in instants:
        bench = _copy(template, tmp_path / f"cut-{instant}")
        scripted = Scripted(bench, clip, instant)
        said = f"seed {SEED}, operation {instant}, {odds}"
        assert scripted.run(), said
        device = scripted.device
        cut_us = device.clock.now_us()
        disk = device.hardware.the_disk
        assert isinstance(disk, TwinDisk)
        _cut_and_check(
            scripted, disk, said, None if odds == "none-survives" else random.Random(f"{SEED} {instant}"), cut_us
        )
        shutil.rmtree(bench.root)
    print(f"seed {SEED}, {odds}: {instants[-1]} is the last operation; cuts recovered and verified: {len(instants)}")


def _cut_and_check(scripted: Scripted, disk: TwinDisk, said: str, odds: random.Random | None, cut_us: int) -> None:
    bench, device = scripted.bench, scripted.device
    before = _durable_bytes(bench.card)
    disk.cut(odds)
    if hasattr(device, "daemon"):
        losses = dict(_losses(device, bench, cut_us))
        assert all(lost_us <= LOST_US for lost_us in losses.values()), (said, losses)
    survived = _durable_bytes(bench.card)
    _assert_kept(before, survived, said)
    scripted.cutter.at = None
    device.boot()
    device.run(3.5)
    device.record(1)
    device.stop()
    _assert_kept(survived, _durable_bytes(bench.card), said)
    verdict = verified(bench, read=True)
    assert verdict.exit_status in (0, 4), (said, shown(verdict))
    assert [r.answers.content for r in verdict.recordings] == ["matches"] * len(verdict.recordings), said
    assert verdict.recordings[-1].verdict == "intact", (said, shown(verdict))
    assert not_activated(bench) == [], said


def _assert_kept(before: dict[str, bytes], after: dict[str, bytes], said: str) -> None:
    """What was durable is there, byte for byte; files only grow, and only the journal's and the ledgers' (E4)."""
    for name, content in before.items():
        assert after.get(name, b"")[: len(content)] == content, f"{said}: {name} changed"
        grows = name.endswith(".jsonl")
        assert grows or len(content) in (0, len(after[name])) or name.endswith((".age", ".der", ".toml")), name


def test_the_check_sees_segments_that_were_not_made_durable(
    tmp_path: Path, template: Bench, clip: list[EncodedFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A control: with the segments' syncs taken out of the writer, records name what a cut takes away, and it is seen."""

    def only_close(_: RecordingWriter, files: list[File], *, everything: bool) -> None:
        assert isinstance(everything, bool)
        for file in files:
            file.close()

    monkeypatch.setattr(RecordingWriter, "_make_durable", only_close)
    statuses = []
    for instant in (45, 55, 65, 75):
        scripted = Scripted(_copy(template, tmp_path / f"cut-{instant}"), clip, instant)
        assert scripted.run()
        scripted.device.cut()
        statuses.append(verified(scripted.bench).exit_status)
    assert 1 in statuses


def test_the_script_is_the_same_every_time(tmp_path: Path, template: Bench, clip: list[EncodedFrame]) -> None:
    """The n-th operation is the same one in every run: or a cut would not be where its number says."""
    counts = []
    for n in range(2):
        scripted = Scripted(_copy(template, tmp_path / str(n)), clip, None)
        assert not scripted.run()
        disk = scripted.device.hardware.the_disk
        assert isinstance(disk, TwinDisk)
        counts.append((scripted.cutter.count, msgspec.json.encode(disk.operations)))
    assert counts[0] == counts[1]

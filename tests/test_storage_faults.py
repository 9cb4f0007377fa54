"""A card that fails, fills, or is not ours: each has a policy, a sign, a record, and loses nothing it need not."""

import shutil
from pathlib import Path

import pytest

from device.errors import CannotPersist, CardFull
from device.evidence import layout
from device.evidence.records import (
    Boot,
    ClockStep,
    Fault,
    ForeignCard,
    Gap,
    RecordingClosed,
    RecordingEnded,
    RecordingOpened,
    Step,
)
from device.policy.commands import Refuse
from hw_sim.agency import Agency, Bench
from hw_sim.demo import frame_numbers
from hw_sim.disk import TwinDisk
from hw_sim.scenes import NoiseScene
from hw_sim.virtual import VirtualDevice
from tests.benches import export, journal, ledger, make_bench, recordings, segments_of, shown, verified


def _device(root: Path, **options: int) -> VirtualDevice:
    return VirtualDevice(make_bench(root, audio=False, **options))  # type: ignore[arg-type]


def _disk(device: VirtualDevice) -> TwinDisk:
    disk = device.hardware.the_disk
    assert isinstance(disk, TwinDisk)
    return disk


def _recording(device: VirtualDevice, seconds: float = 3) -> None:
    device.boot()
    device.run(7)
    device.double()
    device.run(seconds)


def _end(device: VirtualDevice) -> None:
    device.confirmed_stop()
    device.until_idle()
    device.stop()


def _faults(bench: Bench, part: str) -> list[bool]:
    return [r.input.present for r in journal(bench) if isinstance(r, Step) and _is_fault(r, part)]  # type: ignore[union-attr]


def _is_fault(step: Step, part: str) -> bool:
    return getattr(step.input, "part", "") == part


@pytest.mark.parametrize("operation", ["append", "sync_file", "sync_folder", "create"])
def test_a_segment_that_could_not_be_made_durable_goes_to_a_new_name(tmp_path: Path, operation: str) -> None:
    device = _device(tmp_path / "bench")
    _recording(device)
    where = "evidence" if operation == "sync_folder" else ".m4s.age"
    _disk(device).fail_next(operation, CannotPersist, path_contains=where)  # type: ignore[arg-type]
    device.run(4)
    _end(device)
    verdict = verified(device.bench, read=True)
    assert verdict.exit_status == 0, shown(verdict)
    folder = recordings(device.bench)[0]
    again = [segment for segment in segments_of(device.bench, folder) if segment.attempt]
    assert [segment.attempt for segment in again] == [1]
    assert verdict.recordings[0].missing == {}
    numbers = frame_numbers(export(device.bench, folder, tmp_path / "out.mp4"))
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert _faults(device.bench, "storage") == [True, False]


@pytest.mark.parametrize("operation", ["append", "sync_file"])
def test_a_ledger_that_could_not_be_written_on_ends_and_another_recording_continues(
    tmp_path: Path, operation: str
) -> None:
    device = _device(tmp_path / "bench")
    _recording(device)
    _disk(device).fail_next(operation, CannotPersist, path_contains=layout.LEDGER)  # type: ignore[arg-type]
    device.run(4)
    _end(device)
    first, second = recordings(device.bench)
    opened = ledger(device.bench, second).lines[0].record
    assert isinstance(opened, RecordingOpened)
    assert opened.continues == first.name
    ended = [r.how for r in journal(device.bench) if isinstance(r, RecordingEnded)]
    assert ended == ["failed", "closed"]
    verdict = verified(device.bench, read=True)
    assert verdict.exit_status == 4, shown(verdict)
    assert [r.answers.content for r in verdict.recordings] == ["matches", "matches"]
    numbers = [frame_numbers(export(device.bench, f, tmp_path / f"{f.name}.mp4")) for f in (first, second)]
    joined = sorted(set(numbers[0]) | set(numbers[1]))
    assert joined == list(range(numbers[0][0], numbers[1][-1] + 1)), "no frame is lost between the two"


def test_an_opening_that_could_not_be_made_durable_is_made_in_another_folder(tmp_path: Path) -> None:
    device = _device(tmp_path / "bench")
    device.boot()
    device.run(7)
    _disk(device).fail_next("sync_all", CannotPersist)
    device.double()
    device.run(4)
    _end(device)
    verdict = verified(device.bench, read=True)
    assert verdict.exit_status in (0, 4), shown(verdict)
    assert verdict.recordings[-1].verdict == "intact", shown(verdict)
    numbers = frame_numbers(export(device.bench, recordings(device.bench)[-1], tmp_path / "out.mp4"))
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


@pytest.mark.parametrize("operation", ["append", "sync_file"])
def test_a_journal_that_could_not_be_written_on_goes_on_in_a_new_epoch(tmp_path: Path, operation: str) -> None:
    device = _device(tmp_path / "bench")
    _recording(device)
    _disk(device).fail_next(operation, CannotPersist, path_contains="journal")  # type: ignore[arg-type]
    device.press("function")
    device.run(3)
    _end(device)
    boots = [record.reason for record in journal(device.bench) if isinstance(record, Boot)]
    assert boots == ["start", "write-failed"]
    verdict = verified(device.bench, read=True)
    assert verdict.exit_status == 0, shown(verdict)
    device.boot()
    device.run(1)
    device.stop()
    assert verified(device.bench).exit_status == 0


def test_a_card_that_refuses_for_long_costs_whole_gops_and_says_which(tmp_path: Path) -> None:
    """Past the ring's cap incoming GOPs are refused until space returns, as one signed gap."""
    camera = {"width": 160, "height": 90, "rate_hz": 30, "bitrate_bps": 500_000}
    bench = make_bench(tmp_path / "bench", audio=False, camera=camera, ring_mib=1)
    device = VirtualDevice(bench, scene=lambda settings: NoiseScene(settings.width, settings.height))
    _recording(device)
    _disk(device).fail_next("sync_file", CannotPersist, count=90, path_contains=".m4s.age")
    _disk(device).fail_next("sync_all", CannotPersist, count=90)
    device.run(120)
    _end(device)
    verdict = verified(bench, read=True)
    assert verdict.exit_status == 0, shown(verdict)
    folder = recordings(bench)[0]
    gaps = [line.record for line in ledger(bench, folder).lines if isinstance(line.record, Gap)]
    assert [gap.cause for gap in gaps] == ["full"]
    numbers = frame_numbers(export(bench, folder, tmp_path / "out.mp4"))
    missing = sorted(set(range(numbers[0], numbers[-1] + 1)) - set(numbers))
    assert len(missing) == gaps[0].frames
    assert missing == list(range(missing[0], missing[0] + len(missing)))
    assert missing[0] - numbers[0] == gaps[0].first - segments_of(bench, folder)[0].video.first  # type: ignore[union-attr]


def test_a_card_that_fills_closes_cleanly_and_refuses_the_next(tmp_path: Path) -> None:
    device = _device(tmp_path / "bench")
    _recording(device)
    disk = _disk(device)
    disk.full_at(disk.capacity_bytes - disk.free_bytes() + 3 * 1024 * 1024)
    device.run(4)
    assert device.daemon.control.state.phase.value == "idle"
    device.double()
    device.run(1)
    assert device.daemon.control.state.phase.value == "idle"
    device.stop()
    verdict = verified(device.bench, read=True)
    assert verdict.exit_status == 0, shown(verdict)
    closed = ledger(device.bench, recordings(device.bench)[0]).lines[-1].record
    assert isinstance(closed, RecordingClosed)
    assert closed.how == "storage-full"
    refused = [d for r in journal(device.bench) if isinstance(r, Step) for d in r.decisions if isinstance(d, Refuse)]
    assert len(refused) == 1


def test_a_card_without_any_room_is_closed_on_the_reserve(tmp_path: Path) -> None:
    """Not one byte is left but the reserve: the open recording still closes, signs, and is journaled (E7)."""
    device = _device(tmp_path / "bench")
    _recording(device)
    disk = _disk(device)
    disk.full_at(disk.capacity_bytes - disk.free_bytes())
    device.run(6)
    device.stop()
    verdict = verified(device.bench, read=True)
    assert verdict.exit_status in (0, 4), shown(verdict)
    assert {r.answers.content for r in verdict.recordings} == {"matches"}
    assert verdict.recordings[-1].answers.extent == "closed"


def test_a_full_card_at_the_start_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    bench = make_bench(tmp_path / "bench")

    def full(root: Path) -> TwinDisk:
        disk = TwinDisk(root)
        disk.full_at(4096)
        return disk

    device = VirtualDevice(bench, make_disk=full)
    with pytest.raises(CardFull, match="off-load"):
        device.boot()
    assert list(bench.card.iterdir()) == []


def test_a_card_of_another_device_is_kept_and_a_new_journal_begun(tmp_path: Path) -> None:
    agency = Agency()
    mine = make_bench(tmp_path / "mine", agency=agency, device="BC-MINE", audio=False)
    other = make_bench(tmp_path / "other", agency=agency, device="BC-OTHER", audio=False)
    theirs = VirtualDevice(other)
    theirs.boot()
    theirs.run(7)
    theirs.double()
    theirs.run(3)
    theirs.cut()
    shutil.rmtree(mine.card)
    shutil.copytree(other.card, mine.card)
    before = {path: path.read_bytes() for path in mine.card.rglob("*.*") if path.is_file()}
    device = VirtualDevice(mine)
    device.boot()
    device.run(7)
    device.record(2)
    device.stop()
    assert all(path.read_bytes() == content for path, content in before.items()), "nothing of theirs is touched"
    assert not list((mine.card / "evidence").glob("*/recovery-*")), "another device's recording is never recovered"
    verdict = verified(mine)
    assert [r.device for r in verdict.recordings] == ["BC-OTHER", "BC-MINE"]
    assert verdict.recordings[-1].verdict == "intact", shown(verdict)
    assert verdict.exit_status == 4
    assert "ForeignCard" in [type(record).__name__ for record in journal(mine)]
    assert [r.found_device for r in journal(mine) if isinstance(r, ForeignCard)] == ["BC-OTHER"]


def test_a_broken_journal_never_blocks_a_start(tmp_path: Path) -> None:
    device = _device(tmp_path / "bench")
    device.boot()
    device.run(7)
    device.record(2)
    device.stop()
    path = device.bench.card / "journal" / "000000.jsonl"
    path.write_bytes(b"x" + path.read_bytes()[1:])
    device.boot()
    device.run(7)
    device.record(2)
    device.stop()
    verdict = verified(device.bench)
    assert verdict.exit_status == 1, "the break is shown"
    assert recordings(device.bench)[1].name in [r.recording for r in verdict.recordings if r.exit_status == 0]
    assert "journal" in [record.part for record in journal(device.bench) if isinstance(record, Fault)]


def test_a_stepped_clock_is_written_in_ledger_and_journal(tmp_path: Path) -> None:
    device = _device(tmp_path / "bench")
    _recording(device)
    device.clock.wall_offset_us += 3_600_000_000
    device.run(3)
    _end(device)
    verdict = verified(device.bench, read=True)
    assert verdict.exit_status == 0, shown(verdict)
    folder = recordings(device.bench)[0]
    steps = [line.record.step_us for line in ledger(device.bench, folder).lines if isinstance(line.record, ClockStep)]
    assert steps == [3_600_000_000]
    inputs = [getattr(r.input, "step_us", None) for r in journal(device.bench) if isinstance(r, Step)]
    assert 3_600_000_000 in inputs

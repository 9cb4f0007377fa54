"""A card that fails, fills, or is not ours: each has a policy, a sign, a record, and loses nothing it need not."""

import shutil
from collections import Counter
from pathlib import Path

import pytest

from device.clock import NEVER_US
from device.errors import CannotPersist, CardFull, KeyUnreachable
from device.evidence import layout
from device.evidence.envelope import Signer
from device.evidence.orders import CloseAllOrder
from device.evidence.records import (
    Boot,
    ClockStep,
    Fault,
    FileNumber,
    ForeignCard,
    Gap,
    LeftOver,
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
from tests.benches import export, journal, ledger, make_bench, recordings, segments_of, shown, verified, without_media


def _device(root: Path, **options: object) -> VirtualDevice:
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


def _left_over(bench: Bench, folder: Path) -> list[FileNumber]:
    """Every file of a failed write that a recording's ledger names."""
    lines = [line.record for line in ledger(bench, folder).lines]
    return [file for record in lines if isinstance(record, LeftOver) for file in record.files]


class KeyThatGoes:
    """A signer that can be taken away."""

    def __init__(self, signer: Signer) -> None:
        self._signer = signer
        self.certificate_sha256 = signer.certificate_sha256
        self.gone = False

    def sign(self, message: bytes) -> bytes:
        if self.gone:
            raise KeyUnreachable("the key does not answer")
        return self._signer.sign(message)


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


def test_a_segment_that_fails_in_the_middle_of_its_bytes_goes_to_a_new_name(tmp_path: Path) -> None:
    """A segment is written piece by piece while it is encrypted: what was written before the failure is left over."""
    camera = {"width": 320, "height": 180, "rate_hz": 30, "bitrate_bps": 2_000_000}
    device = VirtualDevice(
        make_bench(tmp_path / "bench", audio=False, camera=camera),
        scene=lambda settings: NoiseScene(settings.width, settings.height),
    )
    _recording(device)
    disk, pieces = _disk(device), Counter[str]()

    def fail_third(operation: str, path: str) -> None:
        pieces[path] += operation == "append" and path.endswith(".m4s.age")
        if pieces[path] == 3:
            pieces[path] += 1
            disk.fail_next("append", CannotPersist, path_contains=path)
            disk.before = None

    disk.before = fail_third
    device.run(4)
    _end(device)
    verdict = verified(device.bench, read=True)
    assert verdict.exit_status == 0, shown(verdict)
    folder = recordings(device.bench)[0]
    assert [segment.attempt for segment in segments_of(device.bench, folder) if segment.attempt] == [1]
    assert len(_left_over(device.bench, folder)) == 1
    assert verdict.recordings[0].missing == {}


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
    _disk(device).fail_next("sync_file", CannotPersist, count=14, path_contains=".m4s.age")
    _disk(device).fail_next("sync_all", CannotPersist, count=14)
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


@pytest.mark.parametrize("audio", [True, False])
def test_leftovers_of_failed_writes_are_named_and_raise_no_alarm(tmp_path: Path, audio: bool) -> None:
    """A card that refuses a dozen times in the middle of a recording leaves files that no segment is: the ledger says
    which, and an honest card is not called altered."""
    bench = make_bench(tmp_path / "bench", audio=audio)
    device = VirtualDevice(bench)
    _recording(device)
    _disk(device).fail_next("sync_file", CannotPersist, count=6, path_contains=".m4s.age")
    device.run(40)
    _end(device)
    verdict = verified(bench, read=True)
    assert verdict.exit_status == 0, shown(verdict)
    assert len(_left_over(bench, recordings(bench)[0])) == 6
    numbers = frame_numbers(export(bench, recordings(bench)[0], tmp_path / "out.mp4"))
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def test_a_key_that_is_gone_for_long_takes_more_than_a_hundred_attempts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The segment is written and its record can't be signed, again and again: what is left is numbered, and the record
    that names it all can be read."""
    monkeypatch.setattr("device.evidence.recorder.RETRY_US", 40_000)
    device = _device(tmp_path / "bench", camera={"width": 160, "height": 90, "rate_hz": 5, "bitrate_bps": 50_000})
    without_media(device.bench)
    _recording(device)
    key = KeyThatGoes(device.daemon._signer._signer)
    device.daemon._signer._signer = key
    key.gone = True
    device.run(45)
    key.gone = False
    device.run(3)
    _end(device)
    (folder,) = recordings(device.bench)
    left = [file.attempt for file in _left_over(device.bench, folder)]
    assert len(left) > 101
    again = [segment.attempt for segment in segments_of(device.bench, folder) if segment.attempt]
    assert max(again) == max(left) + 1
    verdict = verified(device.bench, read=True)
    assert verdict.exit_status == 0, shown(verdict)
    assert verdict.recordings[0].missing == {}
    numbers = frame_numbers(export(device.bench, folder, tmp_path / "out.mp4"))
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def test_a_crash_whose_page_cache_is_lost_later_is_no_alarm(tmp_path: Path) -> None:
    """The process dies with the power on: what it had not synced reads well at the next start, is made durable before
    it is believed, and survives the power cut that follows."""
    bench = make_bench(tmp_path / "bench", audio=False)
    for path_contains in (layout.LEDGER, "journal"):
        device = VirtualDevice(bench)
        device.boot()
        disk = _disk(device)
        device.run(7)
        device.double()
        device.run(3)

        def crash(operation: str, path: str, wanted: str = path_contains) -> None:
            if operation == "sync_file" and wanted in path:
                raise Crashed

        disk.before = crash
        with pytest.raises(Crashed):
            device.run(12)
        disk.before = None
        device.daemon.close()
        again = VirtualDevice(bench, make_disk=lambda _, kept=disk: kept)  # type: ignore[misc]
        again.clock = device.clock
        again.boot()
        again.run(3)
        again.cut()
        last = VirtualDevice(bench)
        last.clock = device.clock
        last.boot()
        last.run(3)
        last.stop()
        verdict = verified(bench)
        assert verdict.exit_status == 4, (path_contains, shown(verdict))
        assert {r.answers.content for r in verdict.recordings} == {"matches"}


def test_sound_without_any_picture_ends(tmp_path: Path) -> None:
    device = VirtualDevice(make_bench(tmp_path / "bench"))
    device.boot()
    device.hardware.the_camera.stall()
    device.run(20)
    device.double()
    device.run(5)
    device.confirmed_stop()
    device.until_idle()
    assert not device.daemon.recorder.busy
    device.stop()
    assert verified(device.bench).exit_status == 0


def test_a_recovery_that_the_card_refuses_is_left_to_the_next_start(tmp_path: Path) -> None:
    device = _device(tmp_path / "bench")
    _recording(device)
    device.cut()
    device.boot()
    _disk(device).fail_next("sync_file", CannotPersist, path_contains="recovery-0")
    device.run(5)
    device.cut()
    device.boot()
    device.run(5)
    device.stop()
    verdict = verified(device.bench)
    assert verdict.exit_status == 4, shown(verdict)
    assert [r.answers.extent for r in verdict.recordings] == ["power-loss"]
    assert [r.answers.content for r in verdict.recordings] == ["matches"]


def test_a_part_that_fails_closes_what_is_open(tmp_path: Path) -> None:
    device = _device(tmp_path / "bench")
    _recording(device)
    device.daemon.control.run_once = lambda _: NEVER_US  # type: ignore[method-assign,assignment]
    device.daemon.recorder.post(CloseAllOrder("failed", device.clock.now_us()))
    device.run(5, device.daemon.recorder.ended_latch.is_set)
    assert device.daemon.recorder.ended_latch.is_set()
    device.daemon.close()
    verdict = verified(device.bench, read=True)
    assert verdict.exit_status == 0, shown(verdict)


class Crashed(BaseException):
    """The process is killed, the power stays on."""


def test_a_document_that_can_not_be_read_at_the_start_is_told_and_kept_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = make_bench(tmp_path / "bench", audio=False)
    device = VirtualDevice(bench)
    device.boot()
    device.stop()
    read = TwinDisk.read
    failures = [1]

    def fails(disk: TwinDisk, path: str, limit: int) -> bytes:
        if failures[0] and path.startswith(layout.IDENTITY):
            failures[0] -= 1
            raise CannotPersist(f"{path}: Input/output error")
        return read(disk, path, limit)

    monkeypatch.setattr(TwinDisk, "read", fails)
    kept = len(list((bench.card / layout.IDENTITY).iterdir()))
    device.boot()
    device.run(3)
    device.stop()
    told = [fault.detail for fault in journal(bench) if isinstance(fault, Fault) and fault.part == "evidence"]
    assert [detail.partition(": ")[0] for detail in told] == ["a document can't be read"]
    assert "Input/output error" in told[0]
    assert len(list((bench.card / layout.IDENTITY).iterdir())) == kept + 1
    assert verified(bench).exit_status == 0

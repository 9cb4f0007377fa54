"""A token that takes its time: the recorder keeps real time, and what waits goes under one signature."""

from pathlib import Path

import pytest

from device.clock import Wake
from device.evidence import layout, records
from device.evidence.records import KeyOpened, RecordingOpened, Segments
from hw_sim.clock import Scheduler, VirtualClock
from hw_sim.virtual import SECOND_US, VirtualDevice
from tests.benches import CAMERA, journal, ledger, make_bench, recordings, segments_of, shown, verified

LIVE_S = 60


def record_slowly(root: Path, signer_ms: int, live_s: int = LIVE_S) -> tuple[VirtualDevice, list[int]]:
    """One recording of a minute, and how many whole segments waited at each tenth of a second of it."""
    bench = make_bench(root, pre_event_s=5, post_event_s=2, camera=CAMERA)
    device = VirtualDevice(bench, signer_ms=signer_ms)
    looker = Looker(device)
    device.boot(extra=[(looker, Wake())])
    device.run(8)
    device.double()
    device.run(live_s)
    device.confirmed_stop()
    device.until_idle()
    device.stop()
    return device, looker.waiting


class Looker:
    """Looks every tenth of a second, whatever the recorder is doing, how many whole segments are not yet durable."""

    name = "looker"

    def __init__(self, device: VirtualDevice) -> None:
        self._device = device
        self.waiting: list[int] = []

    def run_once(self, now_us: int) -> int:
        for recording in self._device.daemon.recorder._recordings:
            last = recording.segmenter.last_durable
            since_us = recording.order.claim.from_us if last is None else last.at_us
            self.waiting.append((now_us - since_us) // SECOND_US)
        return now_us + SECOND_US // 10


@pytest.mark.parametrize(("signer_ms", "most_steady", "most_at_all"), [(100, 1, 6), (400, 3, 9)])
def test_the_recorder_keeps_real_time(tmp_path: Path, signer_ms: int, most_steady: int, most_at_all: int) -> None:
    device, waiting = record_slowly(tmp_path / "bench", signer_ms)
    assert max(waiting) <= most_at_all, "the pre-event seconds, and those that pass while its opening is signed"
    assert max(waiting[100:600]) <= most_steady, (
        "caught up after ten seconds, and not behind again until the stop's own lines"
    )
    (folder,) = recordings(device.bench)
    lines = [line.record for line in ledger(device.bench, folder).lines]
    groups = [len(record.segments) for record in lines if isinstance(record, Segments)]
    assert groups[0] == 4, "the pre-event seconds share signatures"
    assert groups.count(1) > LIVE_S // 2, "then one a second"
    assert not [record for record in lines if isinstance(record, records.Gap)]
    verdict = verified(device.bench, read=True)
    assert verdict.exit_status == 0, shown(verdict)
    (one,) = verdict.recordings
    assert one.missing == {}
    assert one.frames == round(one.seconds * 30)
    assert one.seconds >= LIVE_S + 5
    assert not [r for r in journal(device.bench) if isinstance(r, records.Fault)]
    skipped = [line for line in device.hardware.the_camera.log if "skipped" in line]
    assert skipped == [], "the camera starts with the threads, when all that can wait has been made"


def test_what_is_behind_goes_under_one_signature(tmp_path: Path) -> None:
    """At 1.5 s a signature, with two keys, no second's segment can have one of its own: they share it, and none is lost."""
    device, waiting = record_slowly(tmp_path / "bench", 1500, live_s=20)
    (folder,) = recordings(device.bench)
    lines = [line.record for line in ledger(device.bench, folder).lines]
    groups = [len(record.segments) for record in lines if isinstance(record, Segments)]
    assert isinstance(lines[0], RecordingOpened)
    assert sum(1 for group in groups if group >= 2) > len(groups) // 2
    assert max(waiting) <= 30
    verdict = verified(device.bench, read=True)
    assert verdict.recordings[0].missing == {}
    assert verdict.exit_status == 0, shown(verdict)


def test_a_signature_takes_virtual_time_and_the_other_parts_run_meanwhile() -> None:
    clock = VirtualClock("boot")
    ran: list[tuple[str, int]] = []

    class Ticks:
        name = "ticks"

        def run_once(self, now_us: int) -> int:
            ran.append(("tick", now_us - 5_000_000))
            return now_us + 10_000

    class Signs:
        name = "signs"

        def run_once(self, now_us: int) -> int:
            ran.append(("begins", now_us - 5_000_000))
            scheduler.let_pass(25_000)
            ran.append(("ends", clock.now_us() - 5_000_000))
            return now_us + 1_000_000

    scheduler = Scheduler(clock, [(Signs(), Wake()), (Ticks(), Wake())])
    scheduler.run_until(5_030_000)
    assert ran == [("begins", 0), ("tick", 0), ("tick", 10_000), ("tick", 20_000), ("ends", 25_000), ("tick", 30_000)]


def test_every_signature_of_the_daemon_goes_through_the_hardware(tmp_path: Path) -> None:
    """As many as there are lines of its own: none is by a way around."""
    bench = make_bench(tmp_path / "bench", pre_event_s=1, post_event_s=1)
    device = VirtualDevice(bench, signer_ms=1)
    device.boot()
    device.run(2)
    device.record(2)
    device.stop()
    lines = len((bench.card / layout.epoch_file("000000")).read_bytes().splitlines()) - 1
    lines += sum(len((folder / layout.LEDGER).read_bytes().splitlines()) for folder in recordings(bench))
    (recording,) = recordings(bench)
    assert device.daemon._signer._signer.signatures == lines  # type: ignore[attr-defined]
    assert device.daemon._media_key._signer.signatures == len(segments_of(bench, recording))  # type: ignore[union-attr]
    assert [r.role for r in journal(bench) if isinstance(r, KeyOpened)] == ["ledger", "media"]

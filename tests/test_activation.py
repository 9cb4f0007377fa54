"""The past at once: thirty seconds at 8 Mbit/s are sealed with the press, in few device flushes, and nothing is lost."""

from pathlib import Path

import pytest

from device.evidence.records import Segments
from device.tables import Camera
from hw_sim.camera import PreEncodedCamera
from hw_sim.clock import VirtualClock
from hw_sim.disk import TwinDisk
from hw_sim.encoders import EncodedFrame, encode_clip
from hw_sim.scenes import NoiseScene
from hw_sim.virtual import VirtualDevice
from tests.benches import ledger, make_bench, recordings, segments_of, shown, verified

FULL_HD = {"width": 1920, "height": 1080, "rate_hz": 30, "bitrate_bps": 8_000_000}
PRE_EVENT_US = 30_000_000
FLUSHES_BOTH = 6
"""Four of the group that opens the folder, two of the next: no group may have more than four."""


@pytest.fixture(scope="module")
def clip() -> list[EncodedFrame]:
    return encode_clip(2, **FULL_HD, scene=NoiseScene(FULL_HD["width"], FULL_HD["height"]))


def test_thirty_seconds_are_durable_with_the_press_in_two_groups_of_at_most_four_flushes(
    tmp_path: Path, clip: list[EncodedFrame]
) -> None:
    bench = make_bench(tmp_path / "bench", camera=FULL_HD, ring_mib=64, pre_event_s=30, post_event_s=10, audio=False)

    def camera(clock: VirtualClock, settings: Camera) -> PreEncodedCamera:
        return PreEncodedCamera(clock, clip=clip, rate_hz=settings.rate_hz)

    device = VirtualDevice(bench, make_camera=camera)
    device.boot()
    device.run(40)
    disk = device.hardware.the_disk
    assert isinstance(disk, TwinDisk)
    flushes_before = disk.flushes
    second_press_us = device.hardware.thumb.double("record")
    device.run(1, lambda: bool(device.daemon.recorder.open_names) and bool(recordings(bench)))
    folder = recordings(bench)[0]
    groups = [line.record for line in ledger(bench, folder).lines if isinstance(line.record, Segments)]
    assert len(groups) == 2
    assert disk.flushes - flushes_before <= FLUSHES_BOTH
    spans = [segment.video for segment in segments_of(bench, folder) if segment.video is not None]
    assert spans[0].from_us <= second_press_us - PRE_EVENT_US
    assert second_press_us - spans[-1].to_us < 1_100_000, "only the open GOP is not yet written"
    assert sum(segment.file.size for segment in segments_of(bench, folder)) > 25_000_000, "the bitrate is really there"

    device.run(3)
    device.confirmed_stop()
    stop_us = device.daemon.control.state.now_us
    device.until_idle()
    device.stop()
    verdict = verified(bench)
    assert verdict.exit_status == 0, shown(verdict)
    assert verdict.recordings[0].missing == {}
    videos = [segment.video for segment in segments_of(bench, folder) if segment.video is not None]
    assert any(video.from_us <= second_press_us < video.to_us for video in videos), "the press is in the file"
    assert videos[-1].to_us >= stop_us + 9_400_000, "to the end of the post-event time"
    assert sum(video.frames for video in videos) == videos[-1].last - videos[0].first + 1

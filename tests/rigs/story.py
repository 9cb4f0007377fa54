"""What is played on a device whose power goes, and what must be so whenever it does."""

from collections.abc import Callable
from pathlib import Path

from device.evidence.disk import Disk
from device.evidence.records import RecordingOpened, Segments, Step
from device.policy.commands import Open
from device.tables import Camera
from hw_sim.agency import Agency, Bench
from hw_sim.camera import PreEncodedCamera
from hw_sim.clock import VirtualClock
from hw_sim.encoders import EncodedFrame, encode_clip
from hw_sim.scenes import FlatScene
from hw_sim.virtual import VirtualDevice
from tests.benches import CAMERA, journal, ledger, make_bench, recordings

LOST_US = 2_100_000
"""The segment in capture and the one being sealed, with the time to notice that a segment can be closed."""


def make_story_bench(root: Path, agency: Agency | None = None) -> Bench:
    return make_bench(root, agency=agency, pre_event_s=3, post_event_s=1, audio=False)


def make_clip() -> list[EncodedFrame]:
    return encode_clip(2, **CAMERA, scene=FlatScene(CAMERA["width"], CAMERA["height"]))


def make_device(bench: Bench, clip: list[EncodedFrame], make_disk: Callable[[Path], Disk]) -> VirtualDevice:
    def make_camera(clock: VirtualClock, settings: Camera) -> PreEncodedCamera:
        return PreEncodedCamera(clock, clip=clip, rate_hz=settings.rate_hz)

    return VirtualDevice(bench, make_camera=make_camera, make_disk=make_disk)


def tell(device: VirtualDevice) -> None:
    """Two recordings, a marker, and a clean stop, of a device that has booted; its bench is `make_story_bench`'s."""
    device.run(4)
    device.double()
    device.run(3)
    device.press("function")
    device.run(1)
    device.confirmed_stop()
    device.until_idle()
    device.run(0.7)
    device.double()
    device.run(1.5)
    device.stop()


def last_durable_us(bench: Bench, folder: Path) -> int | None:
    """Where the last segment ends that a durable record names."""
    spans = [
        s.video.to_us
        for line in ledger(bench, folder).lines
        if isinstance(line.record, Segments)
        for s in line.record.segments
        if s.video is not None
    ]
    return spans[-1] if spans else None


def not_activated(bench: Bench) -> list[str]:
    """E1: the recordings on the card before whose first line the journal holds no activation."""
    steps = [record for record in journal(bench) if isinstance(record, Step)]
    opens = {record.seq for record in steps for decision in record.decisions if isinstance(decision, Open)}
    return [folder.name for folder in recordings(bench) if not _activated(bench, folder, opens)]


def _activated(bench: Bench, folder: Path, opens: set[int]) -> bool:
    lines = ledger(bench, folder).lines
    if not lines:
        return bool(opens)
    opened = lines[0].record
    assert isinstance(opened, RecordingOpened)
    return any(seq <= opened.journal.seq for seq in opens)

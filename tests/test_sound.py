"""An absent, late or silent microphone never delays video becoming durable, nor shifts its own times."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import av
import msgspec
import numpy as np
import pytest

from device.evidence.records import Segments
from hw_sim.microphone import TwinMicrophone
from hw_sim.scenes import DrawnScene, flash_seen
from hw_sim.virtual import VirtualDevice
from tests.benches import export, ledger, make_bench, recordings, segments_of, shown, verified

PACKET_US = 1024 * 1_000_000 / 48_000


class Durable(msgspec.Struct, frozen=True):
    """A segment's video, by the camera's own numbers, and how long after its end its record was signed."""

    first: int
    last: int
    delay_us: int


def _record(root: Path, trouble: Callable[[TwinMicrophone], None] | None, *, audio: bool = True) -> VirtualDevice:
    bench = make_bench(root, audio=audio)
    device = VirtualDevice(bench)
    device.boot()
    device.run(7)
    device.double()
    device.run(3)
    if trouble is not None:
        assert device.hardware.the_microphone is not None
        trouble(device.hardware.the_microphone)
    device.run(6)
    device.confirmed_stop()
    device.until_idle()
    device.stop()
    verdict = verified(bench, read=True)
    assert verdict.exit_status == 0, shown(verdict)
    return device


def _durable(device: VirtualDevice) -> list[Durable]:
    folder = recordings(device.bench)[0]
    return [
        Durable(segment.video.first, segment.video.last, line.record.boot_us - segment.video.to_us)
        for line in ledger(device.bench, folder).lines
        if isinstance(line.record, Segments)
        for segment in line.record.segments
        if segment.video is not None
    ]


def _sound_times(device: VirtualDevice) -> list[tuple[int, int, int]]:
    """Packets, first and last time of each segment that has sound."""
    spans = [segment.audio for segment in segments_of(device.bench, recordings(device.bench)[0])]
    return [(span.packets, span.from_us, span.last_us) for span in spans if span is not None]


@pytest.fixture(scope="module")
def silent_film(tmp_path_factory: pytest.TempPathFactory) -> list[Durable]:
    """What becomes durable, and when, on a device without a microphone."""
    return _durable(_record(tmp_path_factory.mktemp("film") / "bench", None, audio=False))


def _late(microphone: TwinMicrophone) -> None:
    microphone.late(2_500_000)


@pytest.mark.parametrize(
    "trouble",
    [None, TwinMicrophone.unplug, _late],
    ids=["well", "silent-from-the-middle-on", "late-from-the-middle-on"],
)
def test_a_microphone_in_trouble_never_delays_video(
    tmp_path: Path, silent_film: list[Durable], trouble: Callable[[TwinMicrophone], None] | None
) -> None:
    assert len(silent_film) > 10
    assert _durable(_record(tmp_path / "bench", trouble)) == silent_film


def test_an_absent_microphone_never_delays_video(tmp_path: Path, silent_film: list[Durable]) -> None:
    bench = make_bench(tmp_path / "bench")
    device = VirtualDevice(bench)
    device.boot()
    assert device.hardware.the_microphone is not None
    device.hardware.the_microphone.unplug()
    device.run(7)
    device.double()
    device.run(9)
    device.confirmed_stop()
    device.until_idle()
    device.stop()
    verdict = verified(bench, read=True)
    assert verdict.exit_status == 0, shown(verdict)
    assert _durable(device) == silent_film
    assert _sound_times(device) == []


def test_late_sound_keeps_its_own_times(tmp_path: Path) -> None:
    """Late packets join a later segment with the times at which they were captured; the last second may be cut off."""
    on_time = _record(tmp_path / "on-time", None)
    late = _record(tmp_path / "late", _late)
    expected = _times_of_each(on_time)
    had = _times_of_each(late)
    assert had == [at for at in expected if at in set(had)]
    assert len(had) > 0.6 * len(expected)
    steps = [after - before for before, after in pairwise(had)]
    assert all(abs(step - PACKET_US) < 2 for step in steps)


def test_sound_begins_with_the_first_packet_wholly_after_the_press(tmp_path: Path) -> None:
    device = _record(tmp_path / "bench", None)
    opened = ledger(device.bench, recordings(device.bench)[0]).lines[0].record
    trigger_us = getattr(opened, "trigger_us", None)
    assert isinstance(trigger_us, int)
    assert 0 <= _sound_times(device)[0][1] - trigger_us <= PACKET_US + 1


def test_sound_without_pictures_is_kept(tmp_path: Path) -> None:
    """While the camera is silent, sound alone makes segments; the pictures then go on with a signed gap."""
    bench = make_bench(tmp_path / "bench")
    device = VirtualDevice(bench)
    device.boot()
    device.run(7)
    device.double()
    device.run(3)
    device.hardware.the_camera.stall()
    device.run(6)
    device.hardware.the_camera.resume()
    device.run(3)
    device.confirmed_stop()
    device.until_idle()
    device.stop()
    verdict = verified(bench, read=True)
    assert verdict.exit_status == 0, shown(verdict)
    alone = [s for s in segments_of(bench, recordings(bench)[0]) if s.video is None]
    assert 3 <= len(alone) <= 6
    steps = [after - before for before, after in pairwise(_times_of_each(device))]
    assert all(abs(step - PACKET_US) < 2 for step in steps), "no sound was lost while the camera was silent"
    camera_us = verdict.recordings[0].missing["camera"] * 33_333
    assert 5_800_000 < camera_us < 6_200_000


def _times_of_each(device: VirtualDevice) -> list[int]:
    """Every packet's time, read from the decrypted segments by ffmpeg's own demuxer."""
    folder = recordings(device.bench)[0]
    file = export(device.bench, folder, device.bench.root / "out.mp4")
    with av.open(str(file)) as container:
        packets = container.demux(audio=0)
        return [round(packet.dts * 1_000_000 / 48_000) for packet in packets if packet.dts is not None]


def test_flash_and_click_stay_in_step(tmp_path: Path) -> None:
    """In the exported file, each second's flash and its click begin within one frame of each other."""
    bench = make_bench(tmp_path / "bench")
    device = VirtualDevice(bench, scene=lambda settings: DrawnScene(settings.width, settings.height, settings.rate_hz))
    device.boot()
    device.run(7)
    device.record(6)
    device.stop()
    file = export(bench, recordings(bench)[0], tmp_path / "out.mp4")
    flashes = _flashes_s(file)
    clicks = _clicks_s(file)
    assert len(clicks) >= 10
    assert all(min(abs(click - flash) for flash in flashes) <= 1 / 30 for click in clicks)


def _flashes_s(file: Path) -> list[float]:
    """When the flash goes on, by the pictures' own times."""
    times, before = [], False
    with av.open(str(file)) as container:
        for frame in container.decode(video=0):
            luma = frame.to_ndarray(format="gray")[: frame.height, : frame.width].astype(np.uint8)
            seen = flash_seen(luma)
            if seen and not before:
                times.append(float(frame.time or 0))
            before = seen
    return times


def _clicks_s(file: Path) -> list[float]:
    """When a loud stretch begins, by the packets' own times."""
    times: list[float] = []
    with av.open(str(file)) as container:
        for frame in container.decode(audio=0):
            loud = np.flatnonzero(np.abs(frame.to_ndarray()[0]) > 0.45)
            if loud.size:
                at = float(frame.time or 0) + int(loud[0]) / frame.sample_rate
                if not times or at - times[-1] > 0.5:
                    times.append(at)
    return times

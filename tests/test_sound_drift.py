"""Sound and picture in one exported file, as the sound card's clock drifts by what an hour at 200 ppm adds up to.

The whole device in virtual time: its recorder, segments, ledger and export. Each picture carries its number, so each whole second
of the scene is known in the file; the twin's sound clicks there.
"""

from pathlib import Path

import av
import numpy as np
import pytest

from hw_sim.demo import frame_numbers
from hw_sim.scenes import DrawnScene
from hw_sim.virtual import VirtualDevice
from tests.benches import export, make_bench, recordings, shown, verified

RATE_HZ = 5
HOUR_AT_200_PPM_S = 0.720
LIMIT_S = 0.040


def device_of(root: Path, drift_ppm: int) -> VirtualDevice:
    bench = make_bench(root, camera={"width": 160, "height": 90, "rate_hz": RATE_HZ, "bitrate_bps": 60_000})
    device = VirtualDevice(bench, drift_ppm=drift_ppm, scene=lambda s: DrawnScene(s.width, s.height, s.rate_hz))
    device.boot()
    return device


def whole_seconds_s(file: Path) -> list[float]:
    """When, in the file, the pictures stand that were captured at a whole second of the scene."""
    with av.open(str(file)) as container:
        times = [float(packet.dts * packet.time_base) for packet in container.demux(video=0) if packet.dts is not None]
    numbers = frame_numbers(file)
    assert len(numbers) == len(times)
    return [at_s for number, at_s in zip(numbers, times, strict=True) if number % RATE_HZ == 0]


def clicks_s(file: Path) -> list[float]:
    """When, in the file, a loud stretch begins, by the packets' own times."""
    found: list[float] = []
    with av.open(str(file)) as container:
        for frame in container.decode(audio=0):
            loud = np.flatnonzero(np.abs(frame.to_ndarray()[0]) > 0.45)
            at_s = float(frame.time or 0) + (int(loud[0]) if loud.size else 0) / frame.sample_rate
            if loud.size and (not found or at_s - found[-1] > 0.5):
                found.append(at_s)
    return found


def apart_s(file: Path) -> list[float]:
    """How far each click is from the picture of its second."""
    seconds = whole_seconds_s(file)
    return [min(abs(at_s - second_s) for second_s in seconds) for at_s in clicks_s(file)]


@pytest.mark.parametrize("drift_ppm", [6_000, -6_000])
def test_sound_stays_with_the_picture_over_an_hour_of_drift(tmp_path: Path, drift_ppm: int) -> None:
    device = device_of(tmp_path / "bench", drift_ppm)
    device.run(7)
    device.record(HOUR_AT_200_PPM_S * 1e6 / abs(drift_ppm))
    device.stop()
    verdict = verified(device.bench, read=True)
    assert verdict.exit_status == 0, shown(verdict)
    assert verdict.recordings[0].missing_sound_us == {}, "drift is no gap"
    apart = apart_s(export(device.bench, recordings(device.bench)[0], tmp_path / "out.mp4"))
    assert len(apart) >= 120
    assert max(apart) <= LIMIT_S

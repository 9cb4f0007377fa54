"""From a press to verified segments, on the whole device in virtual time."""

from pathlib import Path

import pytest

from hw_sim.demo import frame_numbers
from hw_sim.hardware import Behaviour
from hw_sim.virtual import VirtualDevice
from tests.benches import export, make_bench, recordings, shown, verified


@pytest.mark.parametrize("behaviour", ["v4l2", "libav"])
@pytest.mark.parametrize("audio", [True, False])
def test_a_press_gives_an_intact_recording_with_every_frame(tmp_path: Path, behaviour: Behaviour, audio: bool) -> None:
    bench = make_bench(tmp_path / "bench", audio=audio)
    device = VirtualDevice(bench, behaviour=behaviour)
    device.boot()
    device.run(8)
    device.record(3)
    device.stop()
    verdict = verified(bench, read=True)
    assert verdict.exit_status == 0, shown(verdict)
    assert [r.answers.read for r in verdict.recordings] == ["opened"]
    numbers = frame_numbers(export(bench, recordings(bench)[0], tmp_path / "out.mp4"))
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def test_a_power_cut_is_recovered_and_the_next_recording_is_intact(tmp_path: Path) -> None:
    bench = make_bench(tmp_path / "bench")
    device = VirtualDevice(bench)
    device.boot()
    device.run(6)
    device.double()
    device.run(4.2)
    device.cut()
    device.boot()
    device.run(6)
    device.record(2)
    device.stop()
    verdict = verified(bench, read=True)
    assert verdict.exit_status == 4, shown(verdict)
    assert [r.answers.extent for r in verdict.recordings] == ["power-loss", "closed"]
    assert [r.answers.content for r in verdict.recordings] == ["matches", "matches"]


def test_one_picture_dated_an_hour_ahead_costs_its_gop_and_is_told(tmp_path: Path) -> None:
    bench = make_bench(tmp_path / "bench", audio=False)
    device = VirtualDevice(bench)
    device.boot()
    device.run(6)
    device.double()
    device.run(3)
    device.hardware.the_camera.encoder_faults.ahead_us = 3_600_000_000
    device.run(0.1)
    device.hardware.the_camera.encoder_faults.ahead_us = 0
    device.run(0.6)
    assert "camera" in device.daemon.control.state.faults
    device.run(3)
    assert "camera" not in device.daemon.control.state.faults
    device.confirmed_stop()
    device.until_idle()
    device.stop()
    verdict = verified(bench, read=True)
    assert verdict.exit_status == 0, shown(verdict)
    (one,) = verdict.recordings
    assert list(one.missing) == ["time-ahead"]
    assert 0 < one.missing["time-ahead"] <= 30, "no more than a GOP"

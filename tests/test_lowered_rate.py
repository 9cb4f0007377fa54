"""A rate that is lowered and raised while the whole device records: nothing is said to be missing, and what is, is."""

from pathlib import Path

import pytest

from device.hardware import Load
from hw_sim.encoder_runs import Behaviour
from hw_sim.virtual import VirtualDevice
from tests.benches import make_bench, verified


def aim(device: VirtualDevice, load: Load) -> None:
    """As the health part does: what gaps are judged by first, then the camera."""
    device.daemon.rates.set(1_000_000 // load.rate_hz, device.clock.now_us())
    device.hardware.the_camera.set_load(load)


@pytest.mark.parametrize("behaviour", ["v4l2", "libav"])
def test_a_lower_rate_is_no_gap_and_a_lost_picture_at_it_is(tmp_path: Path, behaviour: Behaviour) -> None:
    bench = make_bench(tmp_path / "bench", audio=False)
    device = VirtualDevice(bench, behaviour=behaviour)
    device.boot()
    device.run(6)
    device.double()
    device.run(3.3)
    aim(device, Load(15, 75_000))
    device.run(4)
    device.hardware.the_camera.drop(2)
    device.run(2)
    aim(device, Load(30, 150_000))
    device.run(3)
    device.confirmed_stop()
    device.until_idle()
    device.stop()
    (recording,) = verified(bench, read=True).recordings
    assert (recording.verdict, recording.answers.read) == ("intact", "opened")
    assert recording.missing == {"camera": 2}

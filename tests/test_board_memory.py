"""Whether daemon, ring and system fit the memory of a board is told before anything is started."""

from pathlib import Path

import pytest

from device.config import MIB, check_memory, read_configuration
from device.errors import ConfigurationError
from hw_sim.agency import Bench
from tests.benches import make_bench

ZERO_2W_MIB = 415
"""What the kernel of a Zero 2 W has to give, of 512 MB."""
FULL_HD = {"width": 1920, "height": 1080, "rate_hz": 30, "bitrate_bps": 8_000_000}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """With the ring and the bit rate that a configuration has where it says nothing of them."""
    return make_bench(tmp_path / "bench", camera=FULL_HD, ring_mib=64)


def test_the_defaults_fit_a_zero_2w(bench: Bench) -> None:
    configuration = read_configuration(bench.config)
    assert configuration.tables.ring.cap_mib == type(configuration.tables.ring)().cap_mib
    assert configuration.tables.camera.bitrate_bps == type(configuration.tables.camera)().bitrate_bps
    check_memory(configuration, ZERO_2W_MIB * MIB)


def test_a_ring_that_does_not_fit_is_told_with_what_is_needed(bench: Bench) -> None:
    with pytest.raises(ConfigurationError) as refused:
        check_memory(read_configuration(bench.config), 389 * MIB)
    assert str(refused.value) == (
        f"{bench.config}: ring.cap_mib is 64: with it the daemon and the system need 390 MiB and this board has 389 MiB; "
        "lower ring.cap_mib, or camera.bitrate_bps or the policy's pre_event.length_s with it"
    )

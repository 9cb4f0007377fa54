"""Nothing grows: the test of growth itself, and half an hour of the real daemon on its own disk."""

from pathlib import Path

import pytest

from device.config import read_configuration
from device.policy.model import parse_policy
from device.policy_files import shipped_profiles
from hw_sim.shift import draw
from hw_sim.shift_command import shift_bench
from hw_sim.shift_run import Shift
from hw_sim.virtual import SECOND_US
from hw_sim.vitals import Growth, Vital, growths

MOST_OBJECTS, MOST_BLOCKS = 150, 1_500
"""What may come and go between two times without a recording, or with one."""


def test_what_holds_does_not_grow() -> None:
    vitals = [Vital(float(n), 100_000_000 + n % 2 * 1000, 3, 20, 50_000, 200_000) for n in range(8)]
    assert [growth.grows for growth in growths(vitals)] == [False] * 5
    assert growths(vitals)[1] == Growth("threads", 3, 3, 3)


@pytest.mark.parametrize(
    ("what", "vitals"),
    [
        ("resident_bytes", [Vital(float(n), 100 + 2 * n, 3, 20, 50, 200) for n in range(8)]),
        ("threads", [Vital(float(n), 100, 3 + n // 6, 20, 50, 200) for n in range(8)]),
        ("files", [Vital(float(n), 100, 3, 20 + n // 6, 50, 200) for n in range(8)]),
        ("objects", [Vital(float(n), 100, 3, 20, 50 + n, 200) for n in range(8)]),
        ("blocks", [Vital(float(n), 100, 3, 20, 50, 200 + 4 * n) for n in range(8)]),
    ],
)
def test_what_grows_is_seen(what: str, vitals: list[Vital]) -> None:
    assert [growth.what for growth in growths(vitals) if growth.grows] == [what]


def test_half_an_hour_leaves_nothing_behind(tmp_path: Path) -> None:
    document = shipped_profiles()["first"]
    policy = parse_policy(document)
    bench = shift_bench(tmp_path / "bench", document, tmp_path, 5, sound=False)
    tables = read_configuration(bench.config).tables
    day = Shift(
        bench,
        policy,
        draw("1", 0.4, policy, cuts=False, sound=False),
        (tables.camera, tables.microphone),
        real_disk=True,
        vitals_every_us=60 * SECOND_US,
    )
    grown = {growth.what: growth.last - growth.second for growth in growths(day.run().vitals)}
    assert grown["threads"] == 0
    assert grown["files"] <= 2, "a recording has a file or two open"
    assert grown["objects"] <= MOST_OBJECTS
    assert grown["blocks"] <= MOST_BLOCKS

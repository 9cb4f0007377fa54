"""How many segments go together: few while that is slow, many when it is fast or must be shared."""

from pathlib import Path

import pytest

from device.evidence.grouping import Grouping
from device.evidence.records import Segments
from hw_sim.virtual import VirtualDevice
from tests.benches import ledger, make_bench, recordings

SECOND_US = 1_000_000


def limits(*groups: tuple[int, float]) -> list[int]:
    """The limits that follow groups of so many segments of a second, each durable after so many seconds."""
    grouping = Grouping()
    told = [grouping.limit]
    for segments, took_s in groups:
        grouping.wrote(segments, segments * SECOND_US, round(took_s * SECOND_US))
        told.append(grouping.limit)
    return told


@pytest.mark.parametrize(
    ("groups", "told"),
    [
        ([(4, 0), (26, 0.1)], [4, 64, 64]),
        ([(4, 0.5), (16, 0.8)], [4, 16, 40]),
        ([(4, 2.0), (4, 2.0)], [4, 4, 4]),
        ([(4, 22.0), (8, 4.0), (4, 2.0)], [4, 8, 4, 4]),
        ([(4, 0.1), (64, 30.0), (32, 15.0)], [4, 64, 32, 16]),
        ([(4, 6.0), (8, 6.0), (8, 6.0)], [4, 8, 8, 8]),
        ([(4, 40.0), (8, 40.0), (16, 40.0), (32, 40.0), (64, 70.0)], [4, 8, 16, 32, 64, 64]),
        ([(1, 20.0), (3, 0.0)], [4, 4, 4]),
    ],
    ids=["fast", "a slow key", "2 MB/s", "a stall", "it became slow", "each costs 6 s", "hopeless", "not full"],
)
def test_how_many_go_together_follows_from_how_long_the_last_took(
    groups: list[tuple[int, float]], told: list[int]
) -> None:
    assert limits(*groups) == told


def test_on_a_fast_card_the_time_before_the_press_is_two_groups(tmp_path: Path) -> None:
    """A group costs one flush, one sync of the ledger and one signature of its record; one more than all at once."""
    bench = make_bench(tmp_path / "bench", pre_event_s=30, audio=False)
    device = VirtualDevice(bench)
    device.boot()
    device.run(40)
    device.record(3)
    device.stop()
    lines = [line.record for line in ledger(bench, recordings(bench)[0]).lines]
    groups = [len(record.segments) for record in lines if isinstance(record, Segments)]
    assert groups[:3] == [4, 26, 1]

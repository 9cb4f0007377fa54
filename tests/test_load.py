"""A card of 2 MB/s that stalls for 20 s: nothing is lost while the ring holds, and every picture is counted when it can't."""

from pathlib import Path
from typing import Literal

import pytest

from hw_sim.load import CARD_BYTES_PER_S, CASES, LEAST_RING_S, ROOMY_RING_S, Case, measure, table_of
from hw_sim.slow_disk import SlowDisk, Speed

MBIT_4 = 4_000_000


def test_a_ring_with_room_for_the_stall_loses_nothing(tmp_path: Path) -> None:
    said = measure(Case(MBIT_4, CARD_BYTES_PER_S, stalls=1, ring_s=ROOMY_RING_S, live_s=20), tmp_path / "bench")
    assert said.exact
    assert said.verdict == "intact"
    assert (said.refused, said.missing) == (0, {})
    assert said.most_held_mib > 23, "the window and the stall"


def test_what_the_least_ring_can_not_hold_is_counted_to_the_picture(tmp_path: Path) -> None:
    said = measure(Case(MBIT_4, CARD_BYTES_PER_S, stalls=1, ring_s=LEAST_RING_S, live_s=20), tmp_path / "bench")
    assert said.exact
    assert said.verdict == "intact"
    assert said.missing == {"full": said.refused}
    assert 200 < said.refused < 900, "about ten seconds at 30 Hz, whole seconds of them, or twenty"
    assert said.stored + said.refused == said.given
    assert said.most_held_mib <= said.case.ring_mib


@pytest.mark.parametrize(
    ("stalls", "relief_s", "bound_s"),
    [(1, 10, 20 - 11 + 2), (2, 10, 20 - 11 + 2), (2, 0, 40 - 11 + 2)],
    ids=["one", "a second when the first is made good", "two without a breath between"],
)
def test_no_more_is_refused_than_the_stall_lacked_room_for(
    tmp_path: Path, stalls: Literal[1, 2], relief_s: int, bound_s: int
) -> None:
    """A ring of 41 s that holds 30 s has room for 11 s; two seconds more are the group in hand, and whole GOPs."""
    said = measure(Case(MBIT_4, CARD_BYTES_PER_S, stalls, relief_s=relief_s), tmp_path / "bench")
    assert said.exact
    assert said.verdict == "intact"
    assert 0 < said.refused <= bound_s * 30


def test_a_write_takes_its_time_in_the_part_that_writes(tmp_path: Path) -> None:
    passed: list[int] = []
    speed = Speed(bytes_per_s=1_000_000, sync_us=300)
    disk = SlowDisk(tmp_path, passed.append, speed)
    file = disk.create("file")
    file.append(b"x" * 50_000)
    file.sync()
    speed.stall(20_000_000)
    disk.sync_folder("")
    disk.sync_folder("")
    assert passed == [50_000, 300, 20_000_300, 300]
    assert (tmp_path / "file").read_bytes() == b"x" * 50_000


def test_the_table_has_every_rate_on_both_cards() -> None:
    cases = [(case.bitrate_bps // 1_000_000, case.card_bytes_per_s, case.stalls, case.ring_s) for case in CASES]
    assert cases[:4] == [(mbit, 0, 0, 41) for mbit in (4, 8, 16, 25)]
    assert cases[4:8] == [(mbit, 2_000_000, 2, 41) for mbit in (4, 8, 16, 25)]
    assert cases[8:] == [(mbit, 2_000_000, 2, 75) for mbit in (4, 8, 16)]
    assert table_of([]).columns[0].header == "Mbit/s"

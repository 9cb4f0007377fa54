"""The log of a block device: read as it grows, refused when it is none, and what a cut leaves of it."""

import random
import struct
from pathlib import Path

import pytest

from tests.rigs.cut_log import DISCARD, FLUSH, FUA, MAGIC, SECTOR_BYTES, SHARES, CutLog, CutLogError, Medium

DEVICE_BYTES = 64 * SECTOR_BYTES


def entry(sector: int, data: bytes, flags: int = 0, sectors: int | None = None) -> bytes:
    head = struct.pack("<4Q", sector, len(data) // SECTOR_BYTES if sectors is None else sectors, flags, 0)
    return head.ljust(SECTOR_BYTES, b"\0") + data


def filled(*sectors: int) -> bytes:
    return b"".join(bytes([value]) * SECTOR_BYTES for value in sectors)


def make_log(path: Path, *entries: bytes) -> CutLog:
    first = struct.pack("<3QI", MAGIC, 1, len(entries), SECTOR_BYTES).ljust(SECTOR_BYTES, b"\0")
    path.write_bytes(first + b"".join(entries) + bytes(4 * SECTOR_BYTES))
    return CutLog(path, DEVICE_BYTES)


def left(log: CutLog, length: int) -> set[bytes]:
    """Everything that may survive a cut after so many requests: the first three sectors, one byte of each."""
    log.grow()
    image = bytes(DEVICE_BYTES)
    cuts = [Medium(image, log).cut(length, random.Random(seed)) for seed in range(400)]
    return {bytes(cut[at] for at in (0, SECTOR_BYTES, 2 * SECTOR_BYTES)) for cut in cuts}


def test_it_is_read_as_it_grows(tmp_path: Path) -> None:
    log = make_log(tmp_path / "log", entry(3, filled(1, 2)), entry(0, b"", FLUSH), entry(5, b"", DISCARD, sectors=9))
    assert log.grow() == 3
    assert [(e.sector, e.sectors, e.flags) for e in log.entries] == [(3, 2, 0), (0, 0, 1), (5, 9, 4)]
    assert log.flushes == [2]
    assert log.data(log.entries[0]) == filled(1, 2)
    assert log.data(log.entries[2]) == b""
    with (tmp_path / "log").open("r+b") as file:
        file.seek(6 * SECTOR_BYTES)
        file.write(entry(1, filled(7)))
    assert log.grow() == 4
    log.check_super()
    log.close()


def test_what_was_flushed_is_there_and_the_rest_is_there_lost_or_torn(tmp_path: Path) -> None:
    log = make_log(tmp_path / "log", entry(0, filled(1)), entry(0, b"", FLUSH), entry(1, filled(2, 3)))
    assert left(log, 1) == {b"\0\0\0", b"\1\0\0"}
    assert left(log, 2) == {b"\1\0\0"}
    assert left(log, 3) == {b"\1\0\0", b"\1\2\0", b"\1\0\3", b"\1\2\3"}
    log.close()


def test_a_write_with_fua_is_there_whatever_else_is_lost(tmp_path: Path) -> None:
    log = make_log(tmp_path / "log", entry(0, filled(1)), entry(1, filled(2), FUA))
    assert left(log, 2) == {b"\0\2\0", b"\1\2\0"}
    log.close()


def test_cuts_are_taken_in_rising_order(tmp_path: Path) -> None:
    log = make_log(tmp_path / "log", entry(0, filled(1)), entry(0, b"", FLUSH), entry(0, filled(2)))
    log.grow()
    medium = Medium(bytes(DEVICE_BYTES), log)
    medium.cut(3, random.Random(1))
    with pytest.raises(AssertionError, match="rising order"):
        medium.cut(1, random.Random(1))
    log.close()


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (entry(0, b"", 16), "unknown kind 0x10"),
        (entry(63, filled(1, 2)), "2 sectors from 63 on a device of 64"),
        (entry(2**60, b"", sectors=2**60), "on a device of 64"),
        (entry(0, b"", sectors=30), "past the log's"),
    ],
)
def test_what_is_no_log_of_this_device_is_refused(tmp_path: Path, bad: bytes, said: str) -> None:
    log = make_log(tmp_path / "log", entry(0, filled(1)), bad)
    with pytest.raises(CutLogError, match=said):
        log.grow()
    log.close()


def test_a_superblock_that_is_none_is_refused(tmp_path: Path) -> None:
    log = make_log(tmp_path / "log", entry(0, filled(1)))
    with pytest.raises(CutLogError, match="counts 1 requests, 0 are there"):
        log.check_super()
    log.close()
    (tmp_path / "log").write_bytes(b"x" * SECTOR_BYTES)
    log = CutLog(tmp_path / "log", DEVICE_BYTES)
    with pytest.raises(CutLogError, match="not a log of this kind"):
        log.check_super()
    log.close()


def test_any_bytes_are_read_or_refused(tmp_path: Path) -> None:
    odds = random.Random(1)
    outcomes = set()
    for _ in range(300):
        (tmp_path / "log").write_bytes(odds.randbytes(odds.randint(0, 4096)))
        log = CutLog(tmp_path / "log", DEVICE_BYTES)
        try:
            outcomes.add(log.grow() >= 0)
        except CutLogError:
            outcomes.add(False)
        log.close()
    assert outcomes == {True, False}
    assert SHARES[0] == 0.0

"""Verify on large cards: flat memory, the same verdict whatever the number of workers, and nothing lost with a worker.

`BODYCAM_LARGE=1` (`make verify-large`) takes 36,000 segments, ten hours; the slice takes 3,600. The limit is the same.
"""

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import msgspec
import pytest

from device.errors import EvidenceError
from device.evidence import layout
from device.evidence.case import MOST_FINDINGS
from device.evidence.foreign import MOST_FOREIGN
from device.evidence.identity import load_anchors
from device.evidence.reading import LinesOf, digest_file
from device.evidence.verdicts import CardVerdict
from device.evidence.verify import total_bytes, verify
from device.evidence.workers import Workers
from hw_sim.agency import Agency, Bench
from hw_sim.large_card import write_large_card
from tests.benches import recordings, shown, verified
from tests.cards import copy_of, record_card

LARGE = os.environ.get("BODYCAM_LARGE", "") == "1"
SECONDS = 36_000 if LARGE else 3_600
LIMIT_MB = 100
PER_1000_SEGMENTS_MB = 0.5
"""As much as memory may grow with the length, from a tenth of it to the whole."""
BIG = 200_000
"""Bytes of a segment that is a worker's."""


def _peak_mb(bench: Bench) -> float:
    """Of a whole `bodycam verify`, in a process of its own, that finds the card intact. Not by `ru_maxrss`: that of a
    child counts what its parent had when it was made."""
    program = (
        "import pathlib, sys; from device.cli import main; status = main(sys.argv[1:]); "
        "print(pathlib.Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0], file=sys.stderr); "
        "sys.exit(status)"
    )
    command = [sys.executable, "-c", program, "verify", str(bench.card), "--trust", str(bench.trust), "--json"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    return int(done.stderr.split()[-1]) * 1024 / 1e6


@pytest.mark.parametrize("recordings", [1, SECONDS // 60])
def test_memory_is_flat(tmp_path: Path, recordings: int) -> None:
    """One long recording; and many of a minute. A card of a tenth takes as much, give or take."""
    seconds = SECONDS // recordings - 33  # with the pre-event time
    few = max(1, recordings // 10)
    small = _peak_mb(write_large_card(tmp_path / "small", few, seconds if few < recordings else seconds // 10))
    large = _peak_mb(write_large_card(tmp_path / "large", recordings, seconds))
    print(f"{recordings} recordings of {seconds} s: {large:.1f} MB; a tenth: {small:.1f} MB")
    assert large <= LIMIT_MB
    assert large - small <= 5 + PER_1000_SEGMENTS_MB * SECONDS / 1000


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """Segments that are each a worker's."""
    return write_large_card(tmp_path_factory.mktemp("big") / "bench", 3, 5, plain_bytes=BIG)


def _alter(bench: Bench) -> None:
    """Things wrong in many places of two recordings: all of it must come in the same order."""
    first, _, last = recordings(bench)
    for n in (3, 4, 17, 30):
        path = first / layout.segment_file(n, 0)
        data = path.read_bytes()
        path.unlink()
        path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    (last / layout.segment_file(2, 0)).unlink()
    ledger = last / layout.LEDGER
    lines = ledger.read_bytes().splitlines(keepends=True)
    ledger.write_bytes(b"".join([*lines[:20], *lines[21:]]))


def test_the_verdict_does_not_depend_on_the_number_of_workers(big: Bench, tmp_path: Path) -> None:
    bench = copy_of(big, tmp_path / "bench")
    _alter(bench)
    one = verified(bench, jobs=1)
    assert one.exit_status == 1
    places = [f.place for f in one.recordings[0].findings]
    assert places == ["000003.m4s.age", "000004.m4s.age", "000017.m4s.age", "000030.m4s.age"]
    for jobs in (2, 7, 32):
        assert verified(bench, jobs=jobs) == one
    assert one.first_bad is not None
    assert (one.first_bad.place, one.first_bad.offset_s) == ("000003.m4s.age", 3.0)


def test_progress_is_told_of_every_byte_by_one_thread(big: Bench) -> None:
    told: list[tuple[int, str]] = []
    verify(
        big.card,
        load_anchors(big.trust),
        jobs=3,
        progress=lambda count: told.append((count, threading.current_thread().name)),
    )
    init = len(recordings(big)) * (recordings(big)[0] / layout.INIT).stat().st_size
    assert sum(count for count, _ in told) == total_bytes(big.card) + init
    assert {thread for _, thread in told} == {threading.current_thread().name}


@pytest.mark.parametrize("jobs", [1, 4])
def test_what_a_worker_raises_is_not_swallowed(big: Bench, monkeypatch: pytest.MonkeyPatch, jobs: int) -> None:
    """A fault of ours in the middle of the work ends the command; it is never taken for a file that is as it was."""

    def faulty(path: Path, size: int) -> tuple[str, bytes]:
        if path.name == "000020.m4s.age":
            raise ZeroDivisionError(path.name)
        return digest_file(path, size)

    monkeypatch.setattr("device.evidence.files.digest_file", faulty)
    with pytest.raises(ZeroDivisionError):
        verified(big, jobs=jobs)


@pytest.mark.parametrize("jobs", [1, 4])
def test_a_file_that_can_not_be_read_is_one_finding(big: Bench, monkeypatch: pytest.MonkeyPatch, jobs: int) -> None:
    def unreadable(path: Path, size: int) -> tuple[str, bytes]:
        if path.name == "000020.m4s.age":
            raise EvidenceError(f"{path.name}: Input/output error")
        return digest_file(path, size)

    monkeypatch.setattr("device.evidence.files.digest_file", unreadable)
    verdict = verified(big, jobs=jobs)
    assert [(f.place, f.what) for f in verdict.recordings[1].findings] == [
        ("000020.m4s.age", "000020.m4s.age: Input/output error")
    ]
    assert verdict.recordings[1].verified_segments == verdict.recordings[1].segments - 1


def test_a_file_that_changes_while_it_is_read(big: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was of the right size when it was looked at, and is cut before it was read."""
    bench = copy_of(big, tmp_path / "bench")

    def cut_first(path: Path, size: int) -> tuple[str, bytes]:
        if path.name == "000020.m4s.age":
            os.truncate(path, size // 2)
        return digest_file(path, size)

    monkeypatch.setattr("device.evidence.files.digest_file", cut_first)
    verdict = verified(bench)
    assert verdict.exit_status == 1
    assert {f.what for r in verdict.recordings for f in r.findings} == {
        "000020.m4s.age: its size changed while it was read"
    }


def test_a_ledger_that_can_not_be_read_on(big: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was read of it still stands; the place is named."""
    bench = copy_of(big, tmp_path / "bench")
    whole = LinesOf.__iter__

    def broken(self: LinesOf) -> Iterator[bytes]:
        for n, piece in enumerate(whole(self)):
            if n == 10 and isinstance(self, _Ledger):
                raise EvidenceError("ledger.jsonl: Input/output error")
            yield piece

    monkeypatch.setattr(LinesOf, "__iter__", broken)
    monkeypatch.setattr("device.evidence.recovery.LinesOf", _Ledger)
    verdict = verified(bench)
    assert verdict.exit_status == 1
    first = verdict.recordings[0]
    assert ("ledger.jsonl, line 10", "ledger.jsonl: Input/output error", 9.0) in [
        (f.place, f.what, f.offset_s) for f in first.findings
    ], shown(verdict)
    assert first.verified_segments == 9


class _Ledger(LinesOf):
    """Told apart from the journal's."""


# -- many names --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return record_card(tmp_path_factory.mktemp("small") / "bench", Agency(), seconds=(1,))


def _links(folder: Path, names: range, name: str) -> None:
    one = folder / "one"
    one.write_bytes(b"x")
    for n in names:
        (folder / name.format(n)).hardlink_to(one)
    one.unlink()


def test_more_foreign_files_than_are_listed(small: Bench, tmp_path: Path) -> None:
    bench = copy_of(small, tmp_path / "bench")
    _links(recordings(bench)[0], range(MOST_FOREIGN + 500), "foreign-{:06d}")
    verdict = verified(bench)
    assert (verdict.exit_status, len(verdict.foreign), verdict.foreign_beyond) == (0, 1000, 500)
    assert verdict.foreign[0].endswith("/foreign-000000")


def test_more_findings_than_are_listed(small: Bench, tmp_path: Path) -> None:
    """All are counted, and the first bad second is the first of them all."""
    bench = copy_of(small, tmp_path / "bench")
    folder = recordings(bench)[0]
    _links(folder, range(100, 100 + MOST_FINDINGS + 500), "{:06d}.m4s.age")
    verdict = verified(bench)
    judged = verdict.recordings[0]
    assert (verdict.exit_status, len(judged.findings), judged.findings_beyond) == (1, 1000, 500)
    assert judged.findings[0].place == "000100.m4s.age"


# -- the command --------------------------------------------------------------------------------------------------------


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "device.cli", *arguments], check=False, capture_output=True, text=True)


@pytest.mark.parametrize("jobs", ["0", "-1", "257", "1000000000000000000000"])
def test_a_number_of_jobs_that_is_none_gives_2(small: Bench, jobs: str) -> None:
    done = _run("verify", str(small.card), "--trust", str(small.trust), "--jobs", jobs)
    assert done.returncode == 2
    assert done.stderr == f"bodycam: --jobs {jobs}: give a number from 1 to 256, or leave it out for all cores\n"


def test_the_first_bad_second_is_one_line_and_in_the_json(small: Bench, tmp_path: Path) -> None:
    bench = copy_of(small, tmp_path / "bench")
    folder = recordings(bench)[0]
    (folder / "000002.m4s.age").unlink()
    done = _run("verify", str(bench.card), "--trust", str(bench.trust))
    assert done.returncode == 1
    utc = "2026-09-21T14:13:28.000000Z"
    assert f"first bad: recording {folder.name}, 2.0 s into it, {utc}, 000002.m4s.age\n" in done.stdout
    assert not re.search("\x1b|\r", done.stdout + done.stderr), "no bar and no colour without a terminal"
    told = _run("verify", str(bench.card), "--trust", str(bench.trust), "--json", "--jobs", "1")
    verdict = msgspec.json.decode(told.stdout, type=list[CardVerdict])[0]
    assert verdict.first_bad is not None
    assert (verdict.first_bad.recording, verdict.first_bad.utc, verdict.first_bad.offset_s) == (folder.name, utc, 2.0)
    assert verdict.recordings[0].first_bad == verdict.first_bad


def test_an_intact_card_has_no_first_bad_second(small: Bench) -> None:
    done = _run("verify", str(small.card), "--trust", str(small.trust))
    assert (done.returncode, "first bad" in done.stdout) == (0, False)


def test_workers_end_with_what_they_were_for() -> None:
    before = threading.active_count()
    with Workers(4) as workers:
        asked = [workers.ask(partial(pow, n, 2), BIG) for n in range(20)]
        assert [one.answer() for one in asked] == [n * n for n in range(20)]
    assert threading.active_count() == before

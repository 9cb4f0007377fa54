"""A part of a recording: the recipient knows that it is from the signed recording, where in it, and that no record of
these seconds is withheld.

The attacker holds the whole recording and makes any part of it that he likes, with true proofs; only signing is the
device's alone.
"""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from device.errors import EvidenceError, UsageError
from device.evidence import container, records
from device.evidence.carried import read_carried
from device.evidence.chain import ReadLine
from device.evidence.container import Contents, Part
from device.evidence.envelope import open_line
from device.evidence.identity import load_anchors
from device.evidence.part import LATE_US, lines_with, run_around, why_withheld
from device.evidence.records import Gap, LedgerRecord, Marker, Muted, Noted, Segments, Unmuted
from device.evidence.revocation import NONE_REVOKED
from device.evidence.tree import Paths
from device.evidence.verdicts import RecordingVerdict
from hw_sim.agency import Agency, Bench
from tests.benches import ledger, recordings
from tests.cards import lines_of, record_card
from tests.exports import (
    Pieces,
    content_findings,
    exported,
    judged_export,
    record_story,
    said,
    seconds,
    take_apart,
)


@pytest.fixture(scope="module")
def agency() -> Agency:
    return Agency()


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, agency: Agency) -> Bench:
    return record_story(tmp_path_factory.mktemp("disclosed") / "bench", agency)


@pytest.fixture(scope="module")
def lines(bench: Bench) -> list[ReadLine[LedgerRecord]]:
    return ledger(bench, recordings(bench)[0]).lines


@pytest.fixture
def part(bench: Bench, tmp_path: Path) -> Callable[[float, float], Pieces]:
    """The pieces of an honest export of some seconds."""
    return lambda begin, end: take_apart(
        exported(bench, recordings(bench)[0], tmp_path / "honest.mp4", seconds(begin, end))
    )


def judged(bench: Bench, tmp_path: Path, pieces: Pieces) -> RecordingVerdict:
    return judged_export(bench, tmp_path / "out.mp4", pieces.whole())


def told(pieces: Pieces) -> list[LedgerRecord]:
    return [records.decode_ledger(open_line(line).payload) for line in pieces.lines("ledger.jsonl")]


def without(pieces: Pieces, *numbers: int) -> None:
    """Without these lines of the ledger, and without their proofs."""
    kept = [n for n, record in enumerate(told(pieces)) if record.seq not in numbers]
    assert len(kept) == len(told(pieces)) - len(numbers)
    lines, proofs = pieces.lines("ledger.jsonl"), pieces.lines("proofs.jsonl")
    pieces.set_lines("ledger.jsonl", [lines[n] for n in kept])
    pieces.set_lines("proofs.jsonl", [proofs[n] for n in kept if n < len(proofs)])


def with_lines(bench: Bench, pieces: Pieces, numbers: list[int]) -> None:
    """With exactly these lines of the true ledger, and true proofs."""
    raw = lines_of(recordings(bench)[0] / "ledger.jsonl")
    paths = Paths(open_line(line).payload for line in raw[:-1])
    pieces.set_lines("ledger.jsonl", [raw[n] for n in numbers] + raw[-1:])
    pieces.set_lines("proofs.jsonl", [msgspec.json.encode(paths.path(n)) for n in numbers])


# -- honest parts -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "place", "count"),
    [
        ((0, 0.5), "seconds 0.000–1.000 of 48.733", 1),
        ((3.5, 6.1), "seconds 3.000–7.000 of 48.733", 4),
        ((12.5, 13.5), "seconds 12.000–14.000 of 48.733", 2),
        ((18, 30), "seconds 18.000–30.700 of 48.733", 10),
        ((24.3, 28), "seconds 27.700–28.700 of 48.733", 1),
        ((40, 90), "seconds 39.700–48.733 of 48.733", 10),
        ((0, 2**20), "seconds 0.000–48.733 of 48.733", 47),
    ],
)
def test_a_part_says_where_it_belongs(
    asked: tuple[float, float], place: str, count: int, bench: Bench, part: Callable[..., Pieces], tmp_path: Path
) -> None:
    pieces = part(*asked)
    assert len(pieces.segments) == count
    verdict = judged(bench, tmp_path, pieces)
    assert (verdict.verdict, verdict.exit_status) == ("intact part", 0), said(verdict)
    assert verdict.answers.extent_said.startswith(f"{place} of the recording, which was closed (stopped) and journaled")
    assert verdict.segments == verdict.verified_segments == count


def test_every_record_of_the_interval_goes_with_it(part: Callable[..., Pieces]) -> None:
    """Seconds 18 to 30: a marker, frames that never came, a pause and its end, with every line between."""
    found = told(part(18, 30))
    kinds = [type(record).__name__ for record in found]
    for kind in ("RecordingOpened", "Noted", "Marker", "Gap", "Paused", "Resumed", "RecordingClosed"):
        assert kind in kinds
    numbers = [record.seq for record in found[1:-2]]
    assert numbers == list(range(numbers[0], numbers[-1] + 1))
    assert [record.seq for record in found[-2:]] == [57, 58]


def test_a_mute_that_began_before_goes_with_it(part: Callable[..., Pieces]) -> None:
    assert [record.seq for record in told(part(14, 15)) if isinstance(record, Muted)] == [9]


def test_the_rest_does_not_go_with_it(part: Callable[..., Pieces]) -> None:
    found = told(part(3, 4))
    assert [record.seq for record in found] == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 57, 58]
    assert [segment.n for segment in [s for r in found if isinstance(r, Segments) for s in r.segments]][-2:] == [14, 46]


def test_a_part_of_a_part_is_a_part(bench: Bench, part: Callable[..., Pieces], tmp_path: Path) -> None:
    """Who has seconds 3 to 7 may show 4 to 6 alone, and that is what it says."""
    pieces = part(3, 7)
    pieces.segments = pieces.segments[1:-1]
    pieces.contents = msgspec.structs.replace(pieces.contents, part=Part(first=4, last=5))
    verdict = judged(bench, tmp_path, pieces)
    assert verdict.answers.extent_said.startswith("seconds 4.000–6.000 of 48.733"), said(verdict)
    assert verdict.exit_status == 0


# -- withheld ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Muted, Unmuted, Gap, Marker, Noted, Segments])
def test_a_record_of_the_interval_can_not_be_withheld(
    kind: type[LedgerRecord], bench: Bench, part: Callable[..., Pieces], tmp_path: Path
) -> None:
    pieces = part(8, 22)
    inside = [record for record in told(pieces)[1:-2] if isinstance(record, kind)]
    assert inside
    without(pieces, inside[-1].seq if kind is not Segments else 12)
    verdict = judged(bench, tmp_path, pieces)
    assert verdict.exit_status == 1, said(verdict)


def test_lines_can_not_be_withheld_at_the_ends_either(
    bench: Bench, lines: list[ReadLine[LedgerRecord]], part: Callable[..., Pieces], tmp_path: Path
) -> None:
    """Every shorter run of lines around the same seconds, with true proofs: only one that covers them passes."""
    pieces = part(17, 20)
    passed = []
    for first in range(1, 20):
        for end in range(23, 40, 4):
            with_lines(bench, pieces, [0, *range(first, end + 1), 57])
            if judged(bench, tmp_path, pieces).exit_status == 0:
                passed.append((first, end))
    # Segment 17 begins at 17.0: line 16 was signed at 16.8, before it, line 17 at 17.0. Segment 19 ends at 20.167, and
    # segment 29 is the first that begins 10 s after: line 36 does not name it, line 39 does.
    assert {first for first, _ in passed} == set(range(1, 17))
    assert {end for _, end in passed} == {39}


def test_a_mute_that_began_before_can_not_be_withheld(
    bench: Bench, part: Callable[..., Pieces], tmp_path: Path
) -> None:
    """Nobody can prove that there is no earlier mute; but seconds without sound need a reason."""
    pieces = part(14, 15)
    run = [record.seq for record in told(pieces)]
    assert 9 in run
    assert judged(bench, tmp_path, pieces).exit_status == 0
    without(pieces, 9)
    verdict = judged(bench, tmp_path, pieces)
    assert verdict.exit_status == 4, said(verdict)
    assert "segment 14 has no sound, and no line here tells why" in verdict.answers.extent_said


@pytest.mark.parametrize("gone", [0, 57, 58])
def test_the_opening_the_end_and_the_length_can_not_be_withheld(
    gone: int, bench: Bench, part: Callable[..., Pieces], tmp_path: Path
) -> None:
    pieces = part(3, 4)
    kept = [n for n, record in enumerate(told(pieces)) if record.seq != gone]
    lines, proofs = pieces.lines("ledger.jsonl"), pieces.lines("proofs.jsonl")
    pieces.set_lines("ledger.jsonl", [lines[n] for n in kept])
    pieces.set_lines("proofs.jsonl", [proofs[n] for n in kept if n < len(proofs)])
    assert judged(bench, tmp_path, pieces).exit_status == 1


# -- false ------------------------------------------------------------------------------------------------------------


def test_a_proof_of_another_tree_proves_nothing(
    bench: Bench, part: Callable[..., Pieces], agency: Agency, tmp_path: Path
) -> None:
    other = record_card(tmp_path / "other", agency, device="BC-000002", seconds=(8,))
    theirs = take_apart(exported(other, recordings(other)[0], tmp_path / "theirs.mp4", seconds(3, 4)))
    pieces = part(3, 4)
    proofs = theirs.lines("proofs.jsonl")[: len(pieces.lines("proofs.jsonl"))]
    pieces.set_lines("proofs.jsonl", proofs + pieces.lines("proofs.jsonl")[len(proofs) :])
    assert judged(bench, tmp_path, pieces).exit_status == 1
    mixed = part(3, 4)
    mixed.set_lines("ledger.jsonl", theirs.lines("ledger.jsonl"))
    assert judged(bench, tmp_path, mixed).exit_status == 1


ATTACKS: dict[str, Callable[[Pieces], None]] = {
    "proofs swapped": lambda p: p.set_lines("proofs.jsonl", [*p.lines("proofs.jsonl")[::-1]]),
    "a proof shorter": lambda p: p.set_lines("proofs.jsonl", [b"[]", *p.lines("proofs.jsonl")[1:]]),
    "a proof less": lambda p: p.set_lines("proofs.jsonl", p.lines("proofs.jsonl")[1:]),
    "a proof that is none": lambda p: p.set_lines("proofs.jsonl", [b'"x"', *p.lines("proofs.jsonl")[1:]]),
    "a proof with blanks": lambda p: p.member("proofs.jsonl", p.contents.members["proofs.jsonl"].replace(b",", b", ")),
    "no proofs": lambda p: p.member("proofs.jsonl", None),
    "a line twice": lambda p: p.set_lines("ledger.jsonl", [*p.lines("ledger.jsonl")[:2], *p.lines("ledger.jsonl")[1:]]),
    "the place moved": lambda p: setattr(
        p, "contents", msgspec.structs.replace(p.contents, part=Part(first=4, last=5))
    ),
    "more than is there": lambda p: setattr(
        p, "contents", msgspec.structs.replace(p.contents, part=Part(first=3, last=9))
    ),
    "the other end": lambda p: setattr(p, "contents", msgspec.structs.replace(p.contents, part=Part(first=3, last=46))),
    "called whole": lambda p: setattr(p, "contents", msgspec.structs.replace(p.contents, part=None)),
    "a segment dropped": lambda p: p.segments.__delitem__(0),
    "segments swapped": lambda p: p.segments.reverse(),
    "nowhere": lambda p: setattr(p, "contents", msgspec.structs.replace(p.contents, part=Part(first=900, last=900))),
}


@pytest.mark.parametrize("case", ATTACKS)
def test_a_false_part_is_found(case: str, bench: Bench, part: Callable[..., Pieces], tmp_path: Path) -> None:
    pieces = part(3, 5)
    assert judged(bench, tmp_path, pieces).exit_status == 0
    ATTACKS[case](pieces)
    verdict = judged(bench, tmp_path, pieces)
    assert verdict.exit_status == 1, said(verdict)
    assert content_findings(verdict)


# -- the rule itself --------------------------------------------------------------------------------------------------


@given(st.floats(0, 50), st.floats(0.01, 30))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_what_goes_with_an_interval_always_covers_it(
    lines: list[ReadLine[LedgerRecord]], begin: float, length: float
) -> None:
    found = [line.record for line in lines[:-1]]
    asked = seconds(begin, begin + length)(lines[0].record)  # type: ignore[arg-type]
    inside = [s for r in found if isinstance(r, Segments) for s in r.segments]
    chosen = [s for s in inside if s.video and s.video.from_us < asked.to_us and s.video.to_us > asked.from_us]
    if not chosen:
        return
    spans = [s.video for s in chosen if s.video]
    from_us, to_us = min(asked.from_us, spans[0].from_us), max(asked.to_us, spans[-1].to_us)
    numbers = lines_with(found, from_us, to_us)
    run = run_around([found[n] for n in numbers], chosen[0].n)
    assert why_withheld(run, len(found), spans[0].from_us, spans[-1].to_us) == ""
    here = {record.seq for record in run}
    for record in found[1:]:
        at_us = getattr(record, "at_us", None)
        assert at_us is None or not from_us <= at_us < to_us or record.seq in here


def test_nothing_of_a_device_that_writes_late_is_missed(lines: list[ReadLine[LedgerRecord]]) -> None:
    """The maker of an export sees all lines: one that stands later than the rule asks goes with it all the same."""
    found = [line.record for line in lines[:-1]]
    base_us = lines[0].record.video.base_us  # type: ignore[union-attr]
    late = msgspec.structs.replace(found[54], at_us=base_us + 4_000_000)
    assert 54 in lines_with([*found[:54], late, *found[55:]], base_us + 3_000_000, base_us + 5_000_000)
    assert 54 not in lines_with(found, base_us + 3_000_000, base_us + 5_000_000)
    assert LATE_US == 10_000_000


def test_what_can_not_be_a_part_is_said(bench: Bench, tmp_path: Path) -> None:
    for begin, end in ((60, 70), (24.5, 27)):
        with pytest.raises(UsageError, match=r"nothing was recorded in seconds .* the recording has seconds 0–48.733"):
            exported(bench, recordings(bench)[0], tmp_path / "out.mp4", seconds(begin, end))


@given(data=st.data())
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_box_of_a_part_is_judged_or_refused(
    bench: Bench, data: st.DataObject, lines: list[ReadLine[LedgerRecord]]
) -> None:
    """Members with bytes changed, cut or repeated: findings or our error."""
    raw = lines_of(recordings(bench)[0] / "ledger.jsonl")
    paths = Paths(open_line(line).payload for line in raw[:-1])
    numbers = [0, 3, 4, 5, 55]
    members = {
        container.LEDGER: b"".join(raw[n] + b"\n" for n in [*numbers, 56]),
        container.PROOFS: b"".join(msgspec.json.encode(paths.path(n)) + b"\n" for n in numbers),
    }
    name = data.draw(st.sampled_from(sorted(members)))
    at = data.draw(st.integers(0, len(members[name])))
    put, gone = data.draw(st.binary(max_size=5)), data.draw(st.integers(0, 5))
    members[name] = members[name][:at] + put + members[name][at + gone :]
    opened = lines[0].record
    certificate = (bench.root / "device" / "device.der").read_bytes()
    contents = Contents(Part(first=3, last=4), members, {opened.certificate_sha256: certificate})  # type: ignore[union-attr]
    try:
        read_carried(contents, load_anchors(bench.trust), NONE_REVOKED)
    except EvidenceError:
        return

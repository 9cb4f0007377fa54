"""The journal's lines, kept as digests: the same answers as with every line at hand, and no belief in what changed since."""

from pathlib import Path

import pytest

from device.errors import EvidenceError
from device.evidence import layout
from device.evidence.documents import read_identities
from device.evidence.history import History, read_history
from device.evidence.identity import load_anchors
from device.evidence.reading import SHORTEST_LINE_BYTES, LinesOf
from device.evidence.records import Line
from hw_sim.agency import Agency, Bench
from hw_sim.virtual import VirtualDevice
from tests.cards import copy_of, edited_line, lines_of, record_card


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """Two boots."""
    bench = record_card(tmp_path_factory.mktemp("kept") / "bench", Agency(), seconds=(1,))
    device = VirtualDevice(bench)
    device.boot()
    device.run(1)
    device.stop()
    return bench


def _history(bench: Bench, *, whole: bool) -> History:
    return read_history(bench.card, read_identities(bench.card), load_anchors(bench.trust), whole=whole)


def test_lines_read_again_are_those_that_were_at_hand(recorded: Bench) -> None:
    whole, lean = _history(recorded, whole=True), _history(recorded, whole=False)
    assert len(whole.epochs) == len(lean.epochs) == 2
    for one, other in zip(whole.epochs, lean.epochs, strict=True):
        assert list(one.lines) == list(other.lines)
        assert [one.lines[n] for n in range(len(one.lines))] == [other.lines[n] for n in range(len(one.lines))]
        assert (one.lines[-1], one.stopped) == (other.lines[-1], other.stopped)
    assert whole.findings == lean.findings == []
    assert whole.by_certificate == lean.by_certificate
    assert len(whole.places) == len(lean.places) > 20
    assert whole.recorded
    assert lean.recorded


def test_every_line_is_found_by_its_digest_and_by_its_place(recorded: Bench) -> None:
    history = _history(recorded, whole=False)
    for epoch in history.epochs:
        for line in epoch.lines:
            place = history.places.get(line.sha256)
            assert place is not None
            assert (place.line, place.epoch.name) == (line.place, epoch.name)
            assert history.places.at(line.place) is not None
            moved = Line(stream=epoch.name, seq=line.record.seq + 1, sha256=line.sha256)
            assert history.places.at(moved) is None
            elsewhere = Line(stream="000007", seq=line.record.seq, sha256=line.sha256)
            assert history.places.at(elsewhere) is None
    assert "0" * 64 not in history.places


def test_a_digest_across_two_others_is_not_found(recorded: Bench) -> None:
    """Bytes that begin in one line's digest and end in the next one's are no line's."""
    history = _history(recorded, whole=False)
    first, second = (line.sha256 for line in list(history.epochs[0].lines)[3:5])
    assert (first + second)[10:74] not in history.places


def test_a_line_that_changed_since_is_not_believed(recorded: Bench, tmp_path: Path) -> None:
    """Even when it is still a good record of the same length."""
    bench = copy_of(recorded, tmp_path / "bench")
    lines = _history(bench, whole=False).epochs[0].lines
    path = bench.card / layout.epoch_file("000000")
    assert lines[4].record.seq == 5
    path.write_bytes(path.read_bytes().replace(lines_of(path)[5], edited_line(lines_of(path)[5])))
    with pytest.raises(EvidenceError, match=r"000000\.jsonl: it changed while it was read"):
        _ = lines[4]


@pytest.mark.parametrize("block", [1, 7, 64, 1 << 20])
def test_lines_of_a_file_are_its_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    """However the blocks fall. What is too long comes in pieces."""
    monkeypatch.setattr("device.evidence.reading.BLOCK_BYTES", block)
    path = tmp_path / "lines"
    for content in (b"", b"\n", b"a", b"a\nb\n", b"a\n\n\nb", b"x" * 1000 + b"\n" + b"y" * 30, b"\0" * 50):
        path.write_bytes(content)
        pieces = list(LinesOf(path, 10_000, 100))
        assert b"".join(pieces) == content
        assert all(piece.endswith(b"\n") or b"\n" not in piece for piece in pieces), "whole lines, or none"
        long = [piece for piece in pieces if len(piece) >= SHORTEST_LINE_BYTES]
        assert all(max(map(len, piece.splitlines())) < SHORTEST_LINE_BYTES or piece.count(b"\n") <= 1 for piece in long)

"""The agency's receipts are one chain a device; a device may have several cards. Each card takes its part of the chain, in
whatever order it comes, and nothing old twice."""

import itertools
import shutil
from pathlib import Path
from typing import Any

import pytest

from device.evidence import layout, records
from device.evidence.envelope import open_line
from device.evidence.receipts import file_sha256
from device.evidence.records import Line, Receipted, RecordingEnded, Released
from device.offload.stores import FolderStore
from hw_sim.agency import Agency, Bench
from hw_sim.virtual import VirtualDevice
from tests.benches import journal, make_bench, recordings, shown, verified
from tests.docks import SOON_S, Dock, Template
from tests.senders import desk, look, words
from tests.stores import hand_in

NOT_HERE = "4" * 64
"""The digest of a receipt that another card got."""


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    return Template(tmp_path_factory.mktemp("chains") / "bench", recordings=4)


@pytest.fixture
def dock(tmp_path: Path, template: Template) -> Dock:
    return template.dock(tmp_path / "bench")


def due(dock: Dock, n: int) -> dict[str, Line]:
    """What the agency's desk says: the journal as far as the line that ends the recording."""
    for path in sorted((dock.bench.card / layout.JOURNAL).iterdir()):
        for line in path.read_bytes().splitlines():
            signed = open_line(line)
            if signed.payload_type == records.RECORD_TYPE:
                record = records.decode_journal(signed.payload)
                if isinstance(record, RecordingEnded) and record.recording == dock.names[n]:
                    return {"journal_head": Line(stream=record.stream, seq=record.seq, sha256=signed.sha256)}
    raise AssertionError("the recording has ended")


def give(dock: Dock, n: int, **fields: Any) -> Path:
    return dock.store.give(dock.names[n], **{**due(dock, n), **fields})


def test_a_receipt_that_follows_another_cards_is_taken(dock: Dock) -> None:
    """Card A, card B, card A again: the second on A names one that only B ever got."""
    first, second = dock.names[:2]
    give(dock, 0)
    dock.soon()
    give(dock, 1, previous=NOT_HERE)
    dock.soon()
    assert [said.recording for said in dock.said(Receipted)] == [first, second]
    give(dock, 2)
    dock.soon()
    assert [said.recording for said in dock.said(Receipted)] == [first, second, dock.names[2]]
    assert dock.faults("receipt") == []
    dock.room(1_000_000)
    dock.soon()
    dock.soon()
    assert [said.recording for said in dock.said(Released)] == [first, second, dock.names[2]]
    dock.device.stop()
    assert verified(dock.bench).exit_status == 0


def test_a_receipt_that_comes_after_the_next_is_taken(dock: Dock) -> None:
    """The one before it is named in the next, so it is taken where it was missing."""
    first, second, third, _ = dock.names
    give(dock, 0)
    dock.soon()
    late = give(dock, 1)
    withheld = late.read_bytes()
    give(dock, 2)
    late.unlink()
    dock.soon()
    assert [said.recording for said in dock.said(Receipted)] == [first, third]
    hand_in(dock.bench.card, withheld, "receipt")
    dock.soon()
    assert [said.recording for said in dock.said(Receipted)] == [first, third, second]
    assert dock.spool() == []
    assert dock.faults("receipt") == []


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_receipts_are_all_taken_in_any_order(dock: Dock, order: tuple[int, ...]) -> None:
    """Each at a look of its own, the device switched off and on in between: none is refused for good."""
    give(dock, 0)
    dock.soon()
    dock.device.run(1)
    data = []
    for n in (1, 2, 3):
        path = give(dock, n)
        data.append(path.read_bytes())
        path.unlink()
    for n in order:
        hand_in(dock.bench.card, data[n], "receipt")
        dock.soon()
        dock.device.stop()
        dock.device.boot()
    dock.soon()
    assert {said.recording for said in dock.said(Receipted)} == set(dock.names)
    assert len(dock.said(Receipted)) == 4
    assert dock.spool() == []


def test_an_older_receipt_replayed_changes_nothing(dock: Dock) -> None:
    """Each that was taken, and one that the agency signed with an older head and another predecessor."""
    given = [give(dock, 0).read_bytes()]
    dock.soon()
    given.append(give(dock, 1).read_bytes())
    dock.soon()
    given.append(give(dock, 3).read_bytes())
    dock.soon()
    before = len(dock.said(Receipted))
    for data in given:
        hand_in(dock.bench.card, data, "receipt")
        dock.soon()
    assert dock.spool() == []
    assert len(dock.said(Receipted)) == before == 3
    path = give(dock, 2, previous=NOT_HERE)
    dock.soon()
    assert dock.spool() == [path.name]
    assert "is not after that of the newest receipt here" in dock.whys("receipt")[-1]
    assert len(dock.said(Receipted)) == before


def test_the_chain_may_not_fork(dock: Dock) -> None:
    give(dock, 0)
    dock.soon()
    first = dock.store.last
    give(dock, 1)
    dock.soon()
    give(dock, 2, previous=first)
    dock.soon()
    assert "another receipt follows already" in dock.whys("receipt")[-1]
    assert len(dock.said(Receipted)) == 2


def test_a_receipt_waits_for_none_that_is_not_good(dock: Dock) -> None:
    """The one that it names lies in the spool, and is refused there: for a recording of another card."""
    give(dock, 0)
    dock.soon()
    bad = give(dock, 1, recording=f"000009-{'0' * 16}")
    good = give(dock, 2)
    dock.soon()
    assert dock.spool() == [bad.name]
    assert not good.exists()
    assert [said.recording for said in dock.said(Receipted)] == [dock.names[0], dock.names[2]]


# -- two cards, through the agency's desk -----------------------------------------------------------------------------


class Pocket:
    """A camera and two cards, of which one is in it."""

    def __init__(self, root: Path, agency: Agency, store: FolderStore) -> None:
        self.agency, self.store = agency, store
        self.bench = make_bench(root / "bench", agency=agency, pre_event_s=1)
        self.other = root / "other-card"
        self.other.mkdir()
        self.work = root / "work"
        self.work.mkdir()
        self.device = VirtualDevice(self.bench)

    def change_card(self) -> None:
        aside = self.other.with_name("aside")
        self.bench.card.rename(aside)
        self.other.rename(self.bench.card)
        aside.rename(self.other)

    def day(self) -> list[str]:
        """Switched on, one recording, off-loaded, signed for, handed in, taken, switched off. What the second look said."""
        self.device.boot()
        self.device.run(3)
        self.device.record(1)
        self.device.run(3)
        look(self.bench, self.store)
        told = list(desk(self.agency, self.bench, self.store, "BC-000001").receive(self.work))
        assert words(told) == ["received"], told
        said = words(look(self.bench, self.store))
        self.device.run(SOON_S)
        self.device.stop()
        return said


def test_cards_changed_and_changed_back_are_both_freed(tmp_path: Path) -> None:
    (tmp_path / "dock").mkdir()
    pocket = Pocket(tmp_path, Agency(), FolderStore(tmp_path / "dock"))
    for _ in range(2):
        for _card in range(2):
            assert pocket.day() == ["handed-in"]
            pocket.change_card()
    for _card in range(2):
        card = Bench(pocket.bench.root)
        taken = [said.recording for said in journal(card) if isinstance(said, Receipted)]
        assert taken == [folder.name for folder in recordings(card)]
        assert len(taken) == 2
        assert list((card.card / layout.SPOOL).iterdir()) == []
        kept = [path.read_bytes() for path in (card.card / layout.RECEIPTS).iterdir()]
        assert {file_sha256(data) for data in kept} == {path.stem for path in (card.card / layout.RECEIPTS).iterdir()}
        verdict = verified(card)
        assert verdict.exit_status == 0, shown(verdict)
        pocket.change_card()
    shutil.rmtree(pocket.other)

"""Each class of alteration is caught, and its row of the table is as it stands on the page; the edits are what they say."""

import io
from pathlib import Path

import av
import pyrage
import pytest

from device.evidence import layout
from tests.alterations import CLASSES, Alteration, Cards, expected, found, sei_removed, track_added
from tests.benches import shown, verified
from tests.cards import folder_of
from tests.media import samples_of, seis_of, without_seis


@pytest.fixture(scope="module")
def cards(tmp_path_factory: pytest.TempPathFactory) -> Cards:
    return Cards.made(tmp_path_factory.mktemp("cards"))


@pytest.mark.parametrize("alteration", CLASSES, ids=lambda alteration: alteration.kind)
def test_a_class_is_caught_and_its_first_bad_second_named(cards: Cards, alteration: Alteration) -> None:
    verdict = cards.judge(alteration)
    assert found(alteration, verdict) == expected(alteration), shown(verdict)


def test_every_class_has_a_name_of_its_own() -> None:
    assert len({alteration.kind for alteration in CLASSES}) == len(CLASSES) == 41


def test_the_cards_are_intact_before(cards: Cards) -> None:
    scene = cards.scene
    for bench in (scene.bench, scene.before, scene.forked, scene.other):
        assert verified(bench, read=True).verdict == "intact"
    assert verified(scene.bench, head=cards.head).verdict == "intact"


def _opened(cards: Cards, name: str) -> bytes:
    path = folder_of(cards.scene.bench, 0) / name
    return bytes(pyrage.decrypt(path.read_bytes(), [cards.scene.agency.footage]))


def test_the_added_track_is_one(cards: Cards) -> None:
    """A player sees it: the boxes around it have grown with it."""
    init, segment = _opened(cards, layout.INIT), _opened(cards, "000000.m4s.age")
    with av.open(io.BytesIO(track_added(init) + segment), "r", format="mp4") as container:
        assert [stream.type for stream in container.streams] == ["video", "audio", "audio"]


def test_the_signature_is_gone_and_every_picture_is_there(cards: Cards, tmp_path: Path) -> None:
    init, segment = _opened(cards, layout.INIT), _opened(cards, "000000.m4s.age")
    played = []
    for name, data in (("before.mp4", segment), ("after.mp4", sei_removed(segment))):
        (tmp_path / name).write_bytes(init + data)
        with av.open(str(tmp_path / name)) as container:
            played.append([(packet.stream.type, packet.pts) for packet in container.demux() if packet.size])
    before, after = samples_of(tmp_path / "before.mp4"), samples_of(tmp_path / "after.mp4")
    assert (len(seis_of(before)), len(seis_of(after))) == (1, 0)
    assert after == without_seis(before)
    assert played[0] == played[1]


def test_an_edit_that_changes_nothing_is_refused(cards: Cards, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="the edit changes something"):
        cards.scene.remade(cards.scene.segment(3), lambda plain: plain)

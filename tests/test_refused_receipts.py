"""A store that gives receipts which are none: off-load hands none of them in, the wearer and the journal learn of it, and
neither the card's spool nor its journal fills, however many it gives."""

import hashlib
from pathlib import Path

import msgspec
import pytest

from device.evidence import layout
from device.evidence.identity import load_anchors
from device.evidence.receipts import make_receipt, read_receipt
from device.evidence.records import Receipted
from device.offload.naming import receipt_name
from device.offload.stores import FolderStore
from tests.benches import DEVICE
from tests.docks import Dock, Template
from tests.senders import desk, look, spooled, words

LOOKS = 8


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    return Template(tmp_path_factory.mktemp("refused") / "bench", recordings=3)


@pytest.fixture
def dock(tmp_path: Path, template: Template) -> Dock:
    return template.dock(tmp_path / "bench")


class BadStore(FolderStore):
    """Keeps what it is given, and answers with other receipts than it has, each time others, while `bad`."""

    bad = True
    asked = 0

    def small(self, name: str, limit: int) -> bytes | None:
        if not self.bad or not name.startswith("receipts/"):
            return super().small(name, limit)
        self.asked += 1
        return hashlib.sha256(f"{self.asked}".encode()).digest() * 500


def test_the_wearer_learns_of_it_and_nothing_fills(dock: Dock, tmp_path: Path) -> None:
    (tmp_path / "dock").mkdir()
    store = BadStore(tmp_path / "dock")
    look(dock.bench, store)
    assert (
        words(list(desk(dock.agency, dock.bench, FolderStore(tmp_path / "dock")).receive(tmp_path))) == ["received"] * 3
    )
    for _ in range(LOOKS):
        assert words(look(dock.bench, store)) == ["refused"] * 3
        dock.soon()
    assert store.asked == 3 * (LOOKS + 1)
    assert dock.spool() == ["offload.refused"]
    assert (dock.bench.card / layout.REFUSED).stat().st_size < layout.MAX_REFUSED_BYTES
    (said,) = dock.whys("receipt")
    assert said.startswith(f"offload.refused: {dock.names[0]}: not a receipt: ")
    assert dock.faults("receipt") == [True]
    assert "fault" in dock.cues()
    assert dock.said(Receipted) == []

    store.bad = False
    assert words(look(dock.bench, store)) == ["handed-in"] * 3
    dock.soon()
    assert [said.recording for said in dock.said(Receipted)] == dock.names
    assert dock.faults("receipt") == [True, False]
    assert dock.spool() == ["offload.refused"]
    assert (dock.bench.card / layout.REFUSED).read_bytes() == b""


def test_a_receipt_for_another_object_is_not_handed_in_but_told(dock: Dock, tmp_path: Path) -> None:
    """The agency's own signature, and every fact of the card's right: only the object is not what was sent."""
    (tmp_path / "dock").mkdir()
    store = FolderStore(tmp_path / "dock")
    look(dock.bench, store)
    list(desk(dock.agency, dock.bench, store).receive(tmp_path))
    path = tmp_path / "dock" / receipt_name(DEVICE, dock.names[0])
    receipt, _ = read_receipt(path.read_bytes(), load_anchors(dock.bench.trust), None)
    signer = dock.agency.receiver
    path.chmod(0o640)
    other = msgspec.structs.replace(receipt, object_sha256="5" * 64)
    path.write_bytes(make_receipt(other, signer.signer, signer.certificate))
    assert words(look(dock.bench, store)) == ["refused", "handed-in", "handed-in"]
    assert len(spooled(dock.bench)) == 2
    dock.soon()
    assert [said.recording for said in dock.said(Receipted)] == dock.names[1:]
    (said,) = dock.whys("receipt")
    assert said.startswith(f"offload.refused: {dock.names[0]}: the receipt's object_sha256 is 5555")
    assert dock.faults("receipt") == [True]


@pytest.mark.parametrize("data", [b"\x00\x1b[31m\xff\n", b"x" * (layout.MAX_REFUSED_BYTES + 1)])
def test_whatever_stands_there_is_told_once_and_printable(dock: Dock, data: bytes) -> None:
    path = dock.bench.card / layout.REFUSED
    path.write_bytes(data)
    dock.soon()
    dock.soon()
    (said,) = dock.whys("receipt")
    assert said.isprintable()
    assert dock.faults("receipt") == [True]
    path.unlink()
    dock.soon()
    assert dock.faults("receipt") == [True, False]

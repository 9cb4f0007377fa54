"""The power goes at any write, sync or removal of custody; and any sequence of recordings, receipts, fillings and cuts:
what is missing has its receipt (E7)."""

import os
import random
import shutil
from pathlib import Path

import pytest

from device.errors import CannotPersist
from device.evidence import layout
from device.evidence.identity import load_anchors
from device.evidence.receipts import Receipt, read_receipt
from device.evidence.records import Anchor, Receipted, Released
from hw_sim.agency import Bench
from hw_sim.disk import Operation, PowerCut
from tests.benches import Cutter, segments_of, shown, verified
from tests.docks import Dock, Template
from tests.stores import hand_in

SEED = int(os.environ.get("BODYCAM_SEED", "1"))
SAMPLE = 20
SEQUENCES = 4
DEEDS = ("record", "receipt", "receipt", "bad", "fill", "fill", "run", "cut", "refuse", "receipt-while-recording")
SMALL = 1_000_000
REFUSABLE: tuple[Operation, ...] = ("append", "sync_file", "sync_folder", "create", "remove")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    return Template(tmp_path_factory.mktemp("custody") / "bench")


def custody(dock: Dock, cutter: Cutter) -> bool:
    """Two receipts and a nonce come in, and then both recordings must go. True when the power was cut on the way."""
    dock.disk.before = cutter
    try:
        for name in dock.names:
            dock.store.give(name)
        dock.store.nonce()
        dock.soon()
        dock.room(SMALL)
        dock.soon()
        dock.soon()
        dock.device.stop()
    except PowerCut:
        return True
    return False


def missing_and_why(bench: Bench) -> dict[str, Receipt | None]:
    """Each recording that lacks a file which its ledger names, with a good receipt of its own that the card keeps."""
    kept = [_read(bench, path) for path in (bench.card / layout.RECEIPTS).iterdir()]
    receipts = {receipt.recording: receipt for receipt in kept if receipt is not None}
    found: dict[str, Receipt | None] = {}
    for folder in sorted((bench.card / layout.EVIDENCE).iterdir()):
        named = [layout.INIT, *(layout.segment_file(s.n, s.attempt) for s in segments_of(bench, folder))]
        if len(named) > 1 and not all((folder / name).exists() for name in named):
            found[folder.name] = receipts.get(folder.name)
    return found


def _read(bench: Bench, path: Path) -> Receipt | None:
    """A write that was cut short left what is no receipt."""
    data = path.read_bytes()
    return read_receipt(data, load_anchors(bench.trust), None)[0] if data.endswith(b"\n") else None


def assert_accounted_for(dock: Dock, said: str) -> None:
    for name, receipt in missing_and_why(dock.bench).items():
        assert receipt is not None, f"{said}: {name} lacks files and has no receipt"
        assert receipt.recording == name, said
    verdict = verified(dock.bench)
    assert [r.answers.content for r in verdict.recordings if r.answers.content == "altered"] == [], (
        said,
        shown(verdict),
    )
    assert verdict.exit_status in (0, 4), (said, shown(verdict))


@pytest.mark.parametrize("odds", ["none-survives", "some-survives"])
def test_a_cut_at_any_operation_of_custody_is_made_good(tmp_path: Path, template: Template, odds: str) -> None:
    baseline = Cutter(None)
    assert not custody(template.dock(tmp_path / "baseline"), baseline)
    every = range(1, baseline.count + 1)
    assert len(every) > 40
    chosen = every if os.environ.get("BODYCAM_CUTS") == "all" else random.Random(SEED).sample(every, SAMPLE)
    for instant in sorted(chosen):
        said = f"seed {SEED}, operation {instant}, {odds}"
        dock = template.dock(tmp_path / f"cut-{instant}")
        assert custody(dock, Cutter(instant)), said
        dock.disk.cut(None if odds == "none-survives" else random.Random(f"{SEED} {instant}"))
        assert_accounted_for(dock, said)
        _go_on(dock, said)
        shutil.rmtree(dock.bench.root)


def _go_on(dock: Dock, said: str) -> None:
    """The next start takes what is left in the spool, and completes what was begun."""
    handed = set(dock.spool())
    dock.device.boot()
    dock.room(SMALL)
    for _ in range(3):
        dock.soon()
    dock.device.stop()
    assert dock.spool() == [], (said, dock.whys("receipt"))
    assert dock.faults("receipt") == dock.faults("anchor") == [], (said, dock.whys("receipt"))
    receipted = {record.recording for record in dock.said(Receipted)}
    released = [record.recording for record in dock.said(Released)]
    assert set(released) == receipted, said
    assert len(released) == len(set(released)), f"{said}: released once"
    assert len({record.receipt_sha256 for record in dock.said(Receipted)}) == len(dock.said(Receipted)), said
    assert len(dock.said(Anchor)) == len({a.sha256 for a in dock.said(Anchor)}), said
    assert len(receipted) == 2 or not handed, said
    for name in receipted:
        assert dock.files(name) == [layout.LEDGER], said
    assert_accounted_for(dock, said)


@pytest.mark.parametrize("n", range(SEQUENCES))
def test_whatever_happens_what_is_missing_has_a_receipt(tmp_path: Path, template: Template, n: int) -> None:
    """Recordings, good and bad receipts, a card that fills or refuses, cuts at any operation: in any order."""
    draw = random.Random(f"custody {SEED} {n}")
    dock = template.dock(tmp_path / "bench")
    done: list[str] = []
    receipted: set[str] = set()
    for _ in range(14):
        done.append(draw.choice(DEEDS))
        try:
            _do(dock, done[-1], draw, receipted)
        except PowerCut:
            dock.disk.cut(draw.choice([None, draw]))
            assert_accounted_for(dock, f"seed {SEED}, sequence {n}: {done}")
            dock.device.boot()
            dock.soon()
        assert_accounted_for(dock, f"seed {SEED}, sequence {n}: {done}")
        assert set(missing_and_why(dock.bench)) <= receipted, done
    dock.device.stop()
    assert_accounted_for(dock, f"seed {SEED}, sequence {n}: {done}")


def _do(dock: Dock, what: str, draw: random.Random, receipted: set[str]) -> None:
    dock.disk.before = Cutter(draw.randrange(1, 40)) if what == "cut" else None
    if what == "record":
        dock.room(100_000_000)
        dock.device.run(1)
        dock.device.record(1)
    elif what == "receipt":
        _give(dock, draw, receipted)
    elif what == "bad":
        hand_in(dock.bench.card, draw.randbytes(draw.randrange(300)), draw.choice(["receipt", "anchor"]))
    elif what == "refuse":
        operation = draw.choice(REFUSABLE)
        dock.disk.fail_next(operation, CannotPersist, count=draw.randrange(1, 12))
    elif what == "receipt-while-recording":
        dock.room(100_000_000)
        dock.device.run(1)
        dock.device.double()
        _give(dock, draw, receipted)
        dock.room(24_000_000)
        dock.device.run(4)
        dock.device.confirmed_stop()
        dock.device.until_idle()
    elif what in ("fill", "cut"):
        if what == "cut":
            _give(dock, draw, receipted)
        dock.room(SMALL)
    dock.soon()


def _give(dock: Dock, draw: random.Random, receipted: set[str]) -> None:
    """For a recording that has ended and has none; one that is being recovered just now waits."""
    due = [name for name in dock.names if name not in receipted and _ended(dock, name)]
    if due:
        name = draw.choice(due)
        receipted.add(name)
        dock.store.give(name)


def _ended(dock: Dock, name: str) -> bool:
    folder = dock.bench.card / layout.recording_folder(name)
    lines = (folder / layout.LEDGER).read_bytes().splitlines() if (folder / layout.LEDGER).exists() else []
    return bool(lines) and (b"recovery" in b" ".join(p.name.encode() for p in folder.iterdir()) or _closes(lines[-1]))


def _closes(line: bytes) -> bool:
    return b'"payload":"eyJ0eXBlIjoicmVjb3JkaW5nLWNsb3NlZCI' in line

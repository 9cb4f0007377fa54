"""Receipts and words from outside, handed in on the card: taken, refused, journaled; and room made under receipts (E7)."""

import ast
import base64
import hashlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from device.errors import CannotPersist, EvidenceError
from device.evidence import holdings, layout
from device.evidence.identity import Role, load_anchors
from device.evidence.reading import lines_in
from device.evidence.receipts import MAX_RECEIPT_BYTES, make_receipt, read_receipt
from device.evidence.records import NO_DIGEST, Anchor, Line, Receipted, RecordingEnded, Released
from hw_sim.agency import VIRTUAL_TIME_BEGINS, Agency
from tests.benches import shown, verified
from tests.docks import Dock, Template
from tests.stores import hand_in, journal_head, last_line

ROOT = Path(__file__).resolve().parents[1]
SMALL = 1_000_000
"""Room that is less than any readiness wants."""


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    return Template(tmp_path_factory.mktemp("custody") / "bench")


@pytest.fixture
def dock(tmp_path: Path, template: Template) -> Dock:
    return template.dock(tmp_path / "bench")


# -- taken ----------------------------------------------------------------------------------------------------------


def test_a_good_receipt_is_kept_then_journaled_then_taken_out_of_the_spool(dock: Dock) -> None:
    path = dock.store.give(dock.names[0])
    data = path.read_bytes()
    dock.soon()
    assert dock.spool() == []
    assert dock.kept() == [path.name]
    assert (dock.bench.card / layout.RECEIPTS / path.name).read_bytes() == data
    (said,) = dock.said(Receipted)
    assert said.recording == dock.names[0]
    assert said.head == last_line(dock.bench.card / layout.EVIDENCE / dock.names[0])[0]
    assert said.receipt_sha256 == hashlib.sha256(data).hexdigest()
    assert dock.whys("receipt") == []
    written = [path for kind, path in dock.disk.log if kind in ("create", "append", "remove")]
    order = [layout.RECEIPTS, layout.JOURNAL, layout.SPOOL]
    assert [folder for folder in (p.split("/")[0] for p in written[-4:]) if folder in order][-3:] == order


def test_a_receipt_that_comes_again_changes_nothing(dock: Dock) -> None:
    path = dock.store.give(dock.names[0])
    data = path.read_bytes()
    dock.soon()
    for boots in range(2):
        hand_in(dock.bench.card, data, "receipt")
        dock.soon()
        assert dock.spool() == [], boots
        dock.device.stop()
        dock.device.boot()
    assert len(dock.said(Receipted)) == 1
    assert dock.faults("receipt") == []


def test_receipts_are_taken_in_their_order_whatever_their_names(dock: Dock) -> None:
    first, second = dock.names
    dock.store.give(first)
    dock.store.give(second)
    dock.soon()
    assert [said.recording for said in dock.said(Receipted)] == [first, second]
    assert dock.faults("receipt") == []


def test_what_is_handed_in_waits_until_nothing_is_recorded(dock: Dock) -> None:
    dock.device.run(2)
    dock.device.double()
    dock.device.run(2)
    path = dock.store.give(dock.names[0])
    nonce = dock.store.nonce()
    dock.device.run(10)
    assert dock.spool() == sorted([path.name, nonce.name])
    assert dock.kept() == []
    dock.device.confirmed_stop()
    dock.device.until_idle()
    dock.soon()
    assert dock.spool() == []
    ended = [said.seq for said in dock.said(RecordingEnded)]
    assert dock.said(Receipted)[0].seq > ended[-1]
    assert dock.said(Anchor)[0].seq > ended[-1]


def test_a_recovered_recording_is_receipted_by_its_recovery(tmp_path: Path, template: Template) -> None:
    dock = template.dock(tmp_path / "bench")
    dock.device.run(2)
    dock.device.double()
    dock.device.run(4)
    dock.device.cut()
    dock.device.boot()
    dock.soon()
    name = dock.names[-1]
    assert "recovery-0.jsonl" in dock.files(name)
    dock.store.give(name)
    dock.soon()
    assert [said.recording for said in dock.said(Receipted)] == [name]
    dock.room(SMALL)
    dock.soon()
    assert dock.files(name) == ["ledger.jsonl", "recovery-0.jsonl"]
    dock.device.stop()
    verdict = verified(dock.bench)
    assert verdict.recordings[-1].verdict == "released; ended by power loss", shown(verdict)
    assert verdict.exit_status == 4


# -- refused --------------------------------------------------------------------------------------------------------

Case = Callable[[Dock, Template], object]


def _other_line(dock: Dock) -> Line:
    return Line(stream=dock.names[0], seq=1, sha256="1" * 64)


def _earlier_head(dock: Dock) -> Line:
    return Line(stream="000000", seq=1, sha256=_digest_of_line(dock, 1))


def _newest_head(dock: Dock) -> Line:
    """The journal head of the receipt that is there."""
    (path,) = (dock.bench.card / layout.RECEIPTS).iterdir()
    return read_receipt(path.read_bytes(), load_anchors(dock.bench.trust), None)[0].journal_head


def _digest_of_line(dock: Dock, n: int) -> str:
    lines = (dock.bench.card / layout.epoch_file("000000")).read_bytes().splitlines()
    return hashlib.sha256(lines[n]).hexdigest()


def _after_another(dock: Dock, previous: str | None = "", journal_head: Callable[[Dock], Line] | None = None) -> object:
    """`previous` "": as it is due."""
    dock.store.give(dock.names[1])
    dock.soon()
    due = dock.store.receipt(dock.names[0])
    return dock.store.give(
        dock.names[0],
        previous=due.previous if previous == "" else previous,
        journal_head=journal_head(dock) if journal_head is not None else due.journal_head,
    )


def _of_another_agency(dock: Dock) -> object:
    return dock.store.give(dock.names[0], signer=Agency("Other").receiver)


def _expired(dock: Dock, template: Template) -> object:
    days = (VIRTUAL_TIME_BEGINS - datetime.now(UTC)).days + 2
    stale = template.agency.issue("stale", Role.RECEIPT, valid_days=days)
    return dock.store.give(dock.names[0], signer=stale)


def _edited(dock: Dock, edit: Callable[[bytes], bytes]) -> object:
    path = dock.store.give(dock.names[0])
    data = edit(path.read_bytes())
    path.unlink()
    return hand_in(dock.bench.card, data, "receipt")


def _bad_signature(data: bytes) -> bytes:
    line, certificate, _ = data.split(b"\n")
    other = Agency("Demo Agency").receiver
    assert base64.b64decode(certificate) != other.certificate
    return line + b"\n" + base64.b64encode(other.certificate) + b"\n"


def _anchor_as_receipt(dock: Dock) -> object:
    path = dock.store.nonce()
    return path.rename(path.with_suffix(".receipt"))


def _misnamed(dock: Dock) -> object:
    path = dock.store.give(dock.names[0])
    return path.rename(path.with_name(f"{'2' * 64}.receipt"))


def _link(dock: Dock) -> object:
    path = dock.store.give(dock.names[0])
    elsewhere = path.rename(dock.bench.root / "elsewhere")
    path.symlink_to(elsewhere)
    return path


def _open_recording(dock: Dock) -> object:
    """As a store would say of a recording that goes on: its newest line, and a root that nobody signed."""
    dock.device.run(2)
    dock.device.double()
    dock.device.run(3)
    name = dock.names[-1]
    lines = (dock.bench.card / layout.recording_folder(name) / layout.LEDGER).read_bytes().splitlines()
    head = Line(stream=name, seq=len(lines) - 1, sha256=hashlib.sha256(lines[-1]).hexdigest())
    receipt = dock.store.receipt(dock.names[0], recording=name, ledger_head=head)
    signer = dock.agency.receiver
    return hand_in(dock.bench.card, make_receipt(receipt, signer.signer, signer.certificate), "receipt")


REFUSED: dict[str, tuple[Case, str]] = {
    "another device": (lambda d, _: d.store.give(d.names[0], device="BC-000002"), "for the device BC-000002"),
    "no such recording": (lambda d, _: d.store.give(d.names[0], recording=f"000009-{'0' * 16}"), "not on this card"),
    "another recording's": (lambda d, _: d.store.give(d.names[0], recording=d.names[1]), "not the last line of"),
    "another ledger head": (lambda d, _: d.store.give(d.names[0], ledger_head=_other_line(d)), "not the last line of"),
    "another root": (lambda d, _: d.store.give(d.names[0], root=NO_DIGEST), "its root or its counts"),
    "other segments": (lambda d, _: d.store.give(d.names[0], segments=1), "its root or its counts"),
    "another size": (lambda d, _: d.store.give(d.names[0], size=1), "its root or its counts"),
    "an open recording": (lambda d, _: _open_recording(d), "not the last line of"),
    "an unknown journal head": (
        lambda d, _: d.store.give(d.names[0], journal_head=Line(stream="000000", seq=3, sha256="3" * 64)),
        "is not in this journal",
    ),
    "a journal head of another place": (
        lambda d, _: d.store.give(d.names[0], journal_head=Line(stream="000000", seq=3, sha256=_digest_of_line(d, 2))),
        "is not in this journal",
    ),
    "the agency's line 0 as its head": (
        lambda d, _: d.store.give(d.names[0], journal_head=Line(stream="000000", seq=0, sha256=_digest_of_line(d, 0))),
        "not a record",
    ),
    "a journal head before the last": (
        lambda d, _: _after_another(d, journal_head=_earlier_head),
        "is not after that of the newest receipt here",
    ),
    "a second first receipt": (lambda d, _: _after_another(d, previous=None), "another receipt follows already"),
    "a predecessor that is not here, and no later head": (
        lambda d, _: _after_another(d, previous="4" * 64, journal_head=_newest_head),
        "is not after that of the newest receipt here",
    ),
    "another role": (
        lambda d, t: d.store.give(d.names[0], signer=t.agency.policy_signer),
        "not for the role receipt",
    ),
    "another agency": (lambda d, _: _of_another_agency(d), "not issued under the given trust anchor"),
    "an expired certificate": (_expired, "was not valid at"),
    "another's certificate": (lambda d, _: _edited(d, _bad_signature), "not by the key of its certificate"),
    "a policy's type": (
        lambda d, t: hand_in(d.bench.card, t.agency.bundle(b"x"), "receipt"),
        "not 'application/vnd.bodycam.receipt+json'",
    ),
    "garbage": (lambda d, _: hand_in(d.bench.card, b"\x00\xff\x1b[31m", "receipt"), "not a receipt"),
    "empty": (lambda d, _: hand_in(d.bench.card, b"", "receipt"), "not a receipt"),
    "too large": (lambda d, _: hand_in(d.bench.card, b"x" * (MAX_RECEIPT_BYTES + 1), "receipt"), "the limit is"),
    "cut": (lambda d, _: _edited(d, lambda data: data[:-1]), "not a receipt"),
    "an anchor's bytes": (lambda d, _: _anchor_as_receipt(d), "not 'application/vnd.bodycam.receipt+json'"),
    "under another name": (lambda d, _: _misnamed(d), "not those that its name says"),
    "a link": (lambda d, _: _link(d), "not a regular file"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_receipt_that_does_not_fit_is_refused_and_never_acted_on(dock: Dock, template: Template, case: str) -> None:
    make, why = REFUSED[case]
    make(dock, template)
    before = len(dock.kept())
    dock.soon()
    (said,) = dock.whys("receipt")
    assert why in said, said
    assert said.isprintable()
    dock.soon()
    assert len(dock.whys("receipt")) == 1, "it is said once"
    assert dock.faults("receipt") == [True]
    assert "fault" in dock.cues()
    assert len(dock.spool()) == 1
    assert len(dock.kept()) == before
    dock.device.run(1)
    assert len(dock.said(Receipted)) == before
    here = dock.files(dock.names[0])
    dock.room(SMALL)
    dock.soon()
    assert dock.files(dock.names[0]) == here, "nothing goes under it"
    (dock.bench.card / layout.SPOOL / dock.spool()[0]).unlink()
    dock.soon()
    assert dock.faults("receipt") == [True, False]


def test_other_names_in_the_spool_are_left_alone(dock: Dock) -> None:
    for name in ("x.receipt", f"{'A' * 64}.receipt", f"{'a' * 64}.receipt.part", "..receipt", f"{'a' * 64}.txt"):
        (dock.bench.card / layout.SPOOL / name).write_bytes(b"x")
    before = dock.spool()
    dock.soon()
    assert dock.spool() == before
    assert dock.faults("receipt") == []


@pytest.mark.parametrize(
    ("failing", "faults", "known"), [(1, [True, False], 1), (100, [True], 0)], ids=["once", "for good"]
)
def test_a_journal_that_can_not_be_read_at_the_start_is_told_and_read_again(
    dock: Dock, monkeypatch: pytest.MonkeyPatch, failing: int, faults: list[bool], known: int
) -> None:
    """Nothing is lost: what it holds of receipts is learned at a later look; only where it stays unread it is done without."""
    dock.store.give(dock.names[0])
    dock.soon()
    epoch = max(path.name for path in (dock.bench.card / layout.JOURNAL).iterdir())
    dock.device.stop()
    failures = [failing]
    read = lines_in

    def fails(path: Path, limit: int) -> Iterator[bytes]:
        if failures[0] and path.name == epoch:
            failures[0] -= 1
            raise EvidenceError(f"{path.name}: Input/output error")
        yield from read(path, limit)

    monkeypatch.setattr(holdings, "lines_in", fails)
    dock.device.boot()
    dock.device.run(20)
    (said,) = dock.whys("receipt")
    assert f"{epoch}: Input/output error" in said
    assert dock.faults("receipt") == faults
    assert len(dock.device.daemon._custody.durable) == known


# -- words from outside ---------------------------------------------------------------------------------------------


def test_a_nonce_and_a_cosigned_head_are_journaled(dock: Dock) -> None:
    dock.soon()
    last = journal_head(dock.bench.card)
    nonce = dock.store.nonce()
    data = nonce.read_bytes()
    dock.soon()
    head = journal_head(dock.bench.card)
    cosigned = dock.store.cosign(head)
    dock.soon()
    first, second = dock.said(Anchor)
    assert (first.kind, first.at, first.head) == ("dock-nonce", "dock", last)
    assert base64.b64decode(first.statement) == data
    assert first.sha256 == hashlib.sha256(data).hexdigest()
    assert (second.kind, second.at, second.head) == ("cosigned-head", "dock", head)
    assert f"{second.sha256}.anchor" == cosigned.name
    assert dock.spool() == []
    hand_in(dock.bench.card, data, "anchor")
    dock.soon()
    assert dock.spool() == []
    assert len(dock.said(Anchor)) == 2


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda d: d.store.nonce(device="BC-000002"), "for the device BC-000002"),
        (lambda d: d.store.cosign(Line(stream="000000", seq=3, sha256="3" * 64)), "is not in this journal"),
        (lambda d: d.store.say(_nonce(d), d.agency.exporter), "not for the role receipt"),
        (lambda d: d.store.say(_nonce(d), Agency("Other").receiver), "not issued under the given trust anchor"),
        (lambda d: hand_in(d.bench.card, b"\n\n", "anchor"), "not a certificate"),
        (lambda d: hand_in(d.bench.card, b"\n", "anchor"), "not an anchor: it must be two whole lines"),
    ],
)
def test_a_word_that_does_not_fit_is_refused(dock: Dock, make: Callable[[Dock], object], why: str) -> None:
    make(dock)
    dock.soon()
    (said,) = dock.whys("anchor")
    assert why in said, said
    assert dock.said(Anchor) == []
    assert len(dock.spool()) == 1
    assert dock.faults("anchor") == [True]


def _nonce(dock: Dock):  # type: ignore[no-untyped-def]
    from device.evidence.outside import DockNonce

    return DockNonce(agency="Demo Agency", device="BC-000001", utc=dock.store.utc, nonce="5" * 64)


# -- room -----------------------------------------------------------------------------------------------------------


def test_room_is_made_only_when_it_is_wanted_and_the_oldest_receipt_goes_first(dock: Dock) -> None:
    first, second = dock.names
    dock.store.give(second)
    dock.store.give(first)
    dock.soon()
    dock.soon()
    assert dock.said(Released) == [], "there is room"
    size = sum((dock.bench.card / layout.recording_folder(second) / name).stat().st_size for name in dock.files(second))
    files = len(dock.files(second)) - 1
    dock.room(SMALL)
    dock.device.run(1.9)
    dock.device.run(2)
    one, *_ = dock.said(Released)
    assert one.recording == second, "its receipt came first"
    assert one.files == files
    assert one.size < size
    dock.soon()
    assert [said.recording for said in dock.said(Released)] == [second, first]
    assert dock.files(first) == dock.files(second) == [layout.LEDGER]


def test_room_for_the_policys_hours_is_made_before_a_shift(dock: Dock) -> None:
    """Ten hours of 150 000 bit/s are 675 000 000 bytes."""
    dock.store.give(dock.names[0])
    dock.soon()
    dock.room(676_000_000)
    dock.soon()
    assert dock.said(Released) == []
    dock.room(674_000_000)
    dock.soon()
    assert [said.recording for said in dock.said(Released)] == [dock.names[0]]


def test_the_journal_says_it_before_the_first_file_goes(dock: Dock) -> None:
    dock.store.give(dock.names[0])
    dock.soon()
    said: list[list[str]] = []

    def look(operation: str, path: str) -> None:
        if operation == "remove" and path.startswith(layout.EVIDENCE):
            said.append([record.recording for record in dock.said(Released)])

    dock.disk.before = look
    dock.room(SMALL)
    dock.soon()
    assert said == [[dock.names[0]]] * dock.said(Released)[0].files


def test_a_card_that_refuses_a_receipts_line_hides_no_release(dock: Dock) -> None:
    """The line waits in the journal; a recording begins, and room is wanted: that release is said all the same."""
    dock.store.give(dock.names[0])
    dock.soon()
    dock.store.give(dock.names[1])
    dock.disk.fail_next("append", CannotPersist, count=1000, path_contains=layout.JOURNAL)
    dock.device.run(3)
    dock.device.double()
    dock.disk._failures.clear()
    dock.room(24_000_000)
    dock.soon()
    assert dock.files(dock.names[0]) == [layout.LEDGER]
    assert [record.recording for record in dock.said(Released)] == dock.names[:1]
    dock.device.confirmed_stop()
    dock.device.until_idle()
    dock.soon()
    dock.device.stop()
    assert [record.recording for record in dock.said(Receipted)] == dock.names[:2]
    verdict = verified(dock.bench)
    assert verdict.exit_status == 0, shown(verdict)


def test_an_open_recording_goes_on_over_room_that_is_made_meanwhile(dock: Dock) -> None:
    dock.store.give(dock.names[0])
    dock.store.give(dock.names[1])
    dock.soon()
    dock.device.run(2)
    dock.device.double()
    dock.device.run(2)
    dock.room(2 * (4 + 4 + 4) * 1024 * 1024 - 1)
    dock.device.run(8)
    assert [said.recording for said in dock.said(Released)] == dock.names[:1], "no more than is wanted"
    assert dock.device.daemon.control.state.phase.value == "recording"
    dock.device.confirmed_stop()
    dock.device.until_idle()
    dock.device.stop()
    verdict = verified(dock.bench, read=True)
    assert verdict.exit_status == 0, shown(verdict)
    assert verdict.recordings[-1].verdict == "intact"
    assert verdict.recordings[-1].missing == {}


def test_a_receipt_whose_recording_was_changed_since_frees_nothing(dock: Dock) -> None:
    dock.store.give(dock.names[0])
    dock.store.give(dock.names[1])
    dock.soon()
    ledger = dock.bench.card / layout.recording_folder(dock.names[0]) / layout.LEDGER
    lines = ledger.read_bytes().splitlines(keepends=True)
    ledger.write_bytes(b"".join([*lines[:2], *lines[3:]]))
    before = dock.files(dock.names[0])
    dock.room(SMALL)
    dock.soon()
    assert dock.files(dock.names[0]) == before
    assert "its root or its counts" in dock.whys("receipt")[0]
    assert [said.recording for said in dock.said(Released)] == [dock.names[1]]
    dock.soon()
    assert len(dock.whys("receipt")) == 1


def test_a_card_that_fills_over_and_over_never_refuses_while_receipts_come(tmp_path: Path, template: Template) -> None:
    dock = template.dock(tmp_path / "bench")
    for name in dock.names:
        dock.store.give(name)
    dock.soon()
    dock.room(26_000_000)
    for _ in range(12):
        dock.device.run(1)
        dock.device.record(1)
        _fill(dock)
        dock.store.give(dock.names[-1])
        dock.soon()
    dock.device.stop()
    assert len(dock.names) == 14
    assert dock.refusals() == 0
    assert dock.readiness() == []
    assert len(dock.said(Released)) >= 8
    verdict = verified(dock.bench)
    assert verdict.exit_status == 0, shown(verdict)


def _fill(dock: Dock) -> None:
    """So that what the newest recording took is wanted back."""
    dock.room(min(dock.disk.free_bytes(), 25_000_000))


def test_without_receipts_a_full_card_refuses_loudly_and_nothing_is_deleted(dock: Dock) -> None:
    before = {name: dock.files(name) for name in dock.names}
    dock.store.give(dock.names[0])
    dock.soon()
    dock.room(SMALL)
    dock.soon()
    dock.device.double()
    dock.soon()
    assert dock.refusals() == 1
    assert dock.readiness() == [False]
    assert "storage-low" in dock.cues()
    assert dock.files(dock.names[0]) == [layout.LEDGER]
    assert dock.files(dock.names[1]) == before[dock.names[1]]


# -- one place removes ----------------------------------------------------------------------------------------------


def test_evidence_is_removed_in_one_place_which_takes_a_proof() -> None:
    callers = {
        (path.relative_to(ROOT).as_posix(), function.name, ast.unparse(function.args))
        for path in sorted((ROOT / "device").rglob("*.py"))
        for function in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Attribute) and node.attr == "remove" and "disk" in ast.unparse(node.value).lower()
    }
    assert callers == {
        ("device/evidence/store.py", "release", "self"),  # the reserve
        ("device/selftest.py", "_write_and_read", "self, disk: Disk"),  # its own probe
        ("device/evidence/custody.py", "remove_handed_in", "disk: Disk, name: str"),  # the spool
        ("device/evidence/custody.py", "remove_released", "disk: Disk, proof: Proof, limit: int"),
    }
    made = [
        path.name
        for path in sorted((ROOT / "device").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "Proof"
    ]
    assert made == ["holdings.py"], "a proof is made in one place"


def test_nothing_else_of_the_daemons_takes_a_file_off_a_disk() -> None:
    """What else unlinks on the device: files of its own that are no evidence, and what a command had begun to write."""
    found = {
        path.relative_to(ROOT).as_posix()
        for path in sorted((ROOT / "device").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in ("unlink", "rmtree", "rmdir", "truncate", "removedirs")
    }
    assert found == {
        "device/evidence/adoption.py",
        "device/evidence/c2pa_manifest.py",
        "device/evidence/disk.py",
        "device/evidence/keys.py",
        "device/export_writing.py",
        "device/provisioning.py",
        "device/service/status.py",
        "device/terminal.py",
    }

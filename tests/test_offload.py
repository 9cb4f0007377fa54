"""Off-load to a folder, and the agency's side: what is sent, what is signed, what is refused, and that nothing is deleted."""

import random
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from device.cli import main
from device.errors import StoreError
from device.evidence import layout, records
from device.evidence.envelope import open_line
from device.evidence.identity import Role, load_anchors
from device.evidence.receipts import Receipt, file_sha256, make_receipt, read_receipt
from device.offload.naming import object_name, object_of, receipt_name
from device.offload.sending import Outcome
from device.offload.stores import Blocks, FolderStore, Keeping
from hw_sim.agency import Agency, Bench, Issued
from hw_sim.virtual import VirtualDevice
from tests.benches import DEVICE, journal, make_bench, recordings
from tests.cards import copy_of, lines_of, record_card, write_lines
from tests.senders import allow, contents, desk, look, spooled, words

SENT_BOTH = ["sent", "awaiting-receipt", "sent", "awaiting-receipt"]


@pytest.fixture(scope="module")
def agency() -> Agency:
    return Agency()


@pytest.fixture(scope="module")
def made(agency: Agency, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return record_card(tmp_path_factory.mktemp("offload") / "bench", agency)


@pytest.fixture
def bench(made: Bench, tmp_path: Path) -> Bench:
    return copy_of(made, tmp_path / "bench")


@pytest.fixture
def dock(tmp_path: Path) -> FolderStore:
    (tmp_path / "dock").mkdir()
    return FolderStore(tmp_path / "dock")


def received(agency: Agency, bench: Bench, store: FolderStore, work: Path, *several: str) -> list[str]:
    return [f"{one.what} {one.said}".rstrip() for one in desk(agency, bench, store, *several).receive(work)]


def receipt_file(dock: Path, recording: str) -> Path:
    return dock / receipt_name(DEVICE, recording)


# -- the way through ------------------------------------------------------------------------------------------------


def test_sent_signed_for_and_handed_in(bench: Bench, agency: Agency, dock: FolderStore, tmp_path: Path) -> None:
    before = contents(bench.card)
    assert words(look(bench, dock)) == SENT_BOTH
    assert words(look(bench, dock)) == ["awaiting-receipt"] * 2
    assert contents(bench.card) == before
    judged = list(desk(agency, bench, dock).receive(tmp_path))
    assert words(judged) == ["received", "received"]
    assert [one.recording for one in judged] == [folder.name for folder in recordings(bench)]
    assert words(look(bench, dock)) == ["handed-in", "handed-in"]
    assert look(bench, dock) == []
    for path in spooled(bench):
        assert path.name == f"{file_sha256(path.read_bytes())}.receipt"
    assert {k: v for k, v in contents(bench.card).items() if not k.startswith("spool/")} == before
    assert len(spooled(bench)) == 2


def test_a_receipt_says_what_the_agency_holds(bench: Bench, agency: Agency, dock: FolderStore, tmp_path: Path) -> None:
    look(bench, dock)
    list(desk(agency, bench, dock).receive(tmp_path))
    ends = [record for record in journal(bench) if type(record).__name__ == "RecordingEnded"]
    before = None
    for folder, end in zip(recordings(bench), ends, strict=True):
        data = receipt_file(tmp_path / "dock", folder.name).read_bytes()
        receipt, _ = read_receipt(data, load_anchors(bench.trust), None)
        stored = tmp_path / "dock" / object_name(DEVICE, folder.name)
        assert (receipt.device, receipt.recording, receipt.agency) == (DEVICE, folder.name, "Demo Agency")
        assert receipt.object == f"recordings/BC-000001/{folder.name}.tar"
        assert receipt.object_sha256 == file_sha256(stored.read_bytes())
        assert receipt.ledger_head == end.head  # type: ignore[union-attr]
        assert receipt.journal_head.seq == end.seq
        assert receipt.segments == len(list(folder.glob("*.m4s.age")))
        assert receipt.size == sum(path.stat().st_size for path in folder.glob("*.m4s.age"))
        assert receipt.previous == before
        before = file_sha256(data)


def test_what_was_recovered_is_sent_and_signed_for(agency: Agency, dock: FolderStore, tmp_path: Path) -> None:
    bench = make_bench(tmp_path / "bench", agency=agency, pre_event_s=2)
    device = VirtualDevice(bench)
    device.boot()
    device.run(3)
    device.double()
    device.run(3)
    device.cut(random.Random(1))
    device.boot()
    device.run(2)
    assert words(look(bench, dock)) == ["not-yet"], "no line of the journal says yet that the recovery's is durable"
    device.press("function")
    device.run(2)
    assert words(look(bench, dock)) == ["sent", "awaiting-receipt"]
    assert words(list(desk(agency, bench, dock).receive(tmp_path))) == ["received"]
    assert words(look(bench, dock)) == ["handed-in"]
    device.stop()


def test_a_card_that_is_recorded_on_meanwhile(agency: Agency, dock: FolderStore, tmp_path: Path) -> None:
    bench = make_bench(tmp_path / "bench", agency=agency, pre_event_s=2)
    device = VirtualDevice(bench)
    device.boot()
    device.run(3)
    device.record(1)
    device.double()
    device.run(2)
    assert words(look(bench, dock)) == ["sent", "awaiting-receipt"]
    device.confirmed_stop()
    device.until_idle()
    device.run(3)
    assert words(look(bench, dock)) == ["awaiting-receipt", "sent", "awaiting-receipt"]
    assert words(list(desk(agency, bench, dock).receive(tmp_path))) == ["received", "received"]
    device.stop()


# -- cut, killed, forgotten -----------------------------------------------------------------------------------------


class Cut(FolderStore):
    """A folder whose link is cut after so many bytes."""

    def __init__(self, root: Path, after: int) -> None:
        super().__init__(root)
        self._after = after

    def upload(self, name: str, blocks: Callable[[], Blocks], size: int, keeping: Keeping) -> None:
        def until_cut() -> Blocks:
            left = self._after
            for block in blocks():
                yield block[:left]
                left -= len(block)
                if left <= 0:
                    raise StoreError("the link was cut")

        super().upload(name, until_cut, size, keeping)


def test_a_copy_that_was_cut_goes_on(bench: Bench, dock: FolderStore, tmp_path: Path) -> None:
    before = contents(bench.card)
    name = recordings(bench)[0].name
    part = tmp_path / "dock" / f"{object_name(DEVICE, name)}.part"
    for after in (1, 511, 70_000, 120_000):
        with pytest.raises(StoreError, match="the link was cut"):
            look(bench, Cut(tmp_path / "dock", after))
        assert part.stat().st_size == after
        assert dock.names("recordings/") == [f"{object_name(DEVICE, name)}.part"]
    assert words(look(bench, dock)) == SENT_BOTH
    assert not part.exists()
    assert contents(bench.card) == before


def test_a_copy_that_was_damaged_meanwhile_is_mended(bench: Bench, dock: FolderStore, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="the link was cut"):
        look(bench, Cut(tmp_path / "dock", 120_000))
    part = tmp_path / "dock" / f"{object_name(DEVICE, recordings(bench)[0].name)}.part"
    part.chmod(0o640)
    part.write_bytes(b"\0" * 300_000)
    assert words(look(bench, dock)) == SENT_BOTH


def test_nothing_remembered_costs_work_only(bench: Bench, agency: Agency, dock: FolderStore, tmp_path: Path) -> None:
    look(bench, dock)
    there = contents(tmp_path / "dock")
    shutil.rmtree(bench.root / "device" / "offload")
    assert words(look(bench, dock)) == SENT_BOTH
    assert contents(tmp_path / "dock") == there
    list(desk(agency, bench, dock).receive(tmp_path))
    for path in (bench.root / "device" / "offload").iterdir():
        path.write_bytes(b"{")
    assert words(look(bench, dock)) == ["sent", "handed-in", "sent", "handed-in"]
    assert len(spooled(bench)) == 2


def test_other_bytes_under_the_name_are_never_replaced(bench: Bench, dock: FolderStore, tmp_path: Path) -> None:
    stored = tmp_path / "dock" / object_name(DEVICE, recordings(bench)[0].name)
    stored.parent.mkdir(parents=True)
    stored.write_bytes(b"not ours")
    with pytest.raises(StoreError, match="something else is there under this name; move it away"):
        look(bench, dock)
    assert stored.read_bytes() == b"not ours"


def test_what_the_store_gives_back_otherwise_is_not_sent(bench: Bench, dock: FolderStore, tmp_path: Path) -> None:
    class Liar(FolderStore):
        def blocks(self, name: str, limit: int):  # type: ignore[no-untyped-def]
            data = b"".join(super().blocks(name, limit))
            yield data[:-2000] + bytes([data[-2000] ^ 1]) + data[-1999:]

    with pytest.raises(StoreError, match="what the store gives back is not what was sent"):
        look(bench, Liar(tmp_path / "dock"))
    assert not list((bench.root / "device" / "offload").iterdir())


def test_a_recording_whose_files_are_gone_is_left_alone(bench: Bench, dock: FolderStore, tmp_path: Path) -> None:
    first, second = recordings(bench)
    (first / "000003.m4s.age").unlink()
    told = look(bench, dock)
    assert [(one.recording, one.what) for one in told] == [
        (first.name, "left-alone"),
        (second.name, "sent"),
        (second.name, "awaiting-receipt"),
    ]
    assert told[0].said == "1 of its files are not there, 000003.m4s.age first: released, or damaged"
    assert dock.names("recordings/") == [object_name(DEVICE, second.name)]


# -- receipts that are refused --------------------------------------------------------------------------------------

Forge = Callable[[Receipt], Receipt]


def signed(receipt: Receipt, signer: Issued) -> bytes:
    return make_receipt(receipt, signer.signer, signer.certificate)


@pytest.mark.parametrize(
    ("forge", "said"),
    [
        (lambda r: msgspec.structs.replace(r, device="BC-000002"), "the receipt's device is BC-000002; the card's is "),
        (lambda r: msgspec.structs.replace(r, root="0" * 64), "the receipt's root is 0000"),
        (lambda r: msgspec.structs.replace(r, size=1), "the receipt's size is 1; the card's is "),
        (lambda r: msgspec.structs.replace(r, segments=1), "the receipt's segments is 1; the card's is "),
        (lambda r: msgspec.structs.replace(r, object_sha256="1" * 64), "the receipt's object_sha256 is 1111"),
        (lambda r: msgspec.structs.replace(r, object="../../etc/passwd"), "not such a statement"),
        (lambda r: msgspec.structs.replace(r, object="recordings/x/y.tar"), "the receipt's object is recordings/x/y"),
        (lambda r: msgspec.structs.replace(r, ledger_head=r.journal_head), "the receipt's ledger_head is line "),
        (lambda r: msgspec.structs.replace(r, journal_head=r.ledger_head), "the receipt's journal_head is line "),
    ],
)
def test_a_receipt_that_does_not_match_is_refused(
    bench: Bench, agency: Agency, dock: FolderStore, tmp_path: Path, forge: Forge, said: str
) -> None:
    told = _with_receipt(bench, agency, dock, tmp_path, lambda r: signed(forge(r), agency.receiver))
    assert told[0].what == "refused"
    assert told[0].said.startswith(said)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (lambda agency: agency.exporter, "its certificate is not for the role receipt"),
        (lambda _: Agency("Demo Agency").receiver, "its certificate was not issued under the given trust anchor"),
        (lambda agency: msgspec.structs.replace(agency.receiver, key=agency.exporter.key), "its signature is not by "),
    ],
)
def test_a_receipt_by_another_key_is_refused(
    bench: Bench, agency: Agency, dock: FolderStore, tmp_path: Path, other: Callable[[Agency], Issued], said: str
) -> None:
    told = _with_receipt(bench, agency, dock, tmp_path, lambda r: signed(r, other(agency)))
    assert told[0].what == "refused"
    assert told[0].said.startswith(said)


@pytest.mark.parametrize("data", [b"", b"\n\n", b"garbage", b"{}\n{}\n", b"\xff" * 16_000])
def test_a_receipt_that_is_none_is_refused(
    bench: Bench, agency: Agency, dock: FolderStore, tmp_path: Path, data: bytes
) -> None:
    assert words(_with_receipt(bench, agency, dock, tmp_path, lambda _: data)) == ["refused", "handed-in"]


def test_the_receipt_of_another_recording_is_refused(
    bench: Bench, agency: Agency, dock: FolderStore, tmp_path: Path
) -> None:
    """Replayed under another name."""
    second = recordings(bench)[1].name
    told = _with_receipt(
        bench, agency, dock, tmp_path, lambda _: receipt_file(tmp_path / "dock", second).read_bytes()
    )  # fmt: skip
    assert told[0].said.startswith(f"the receipt's recording is {second}; the card's is ")


def _with_receipt(
    bench: Bench, agency: Agency, dock: FolderStore, tmp_path: Path, forge: Callable[[Receipt], bytes]
) -> list[Outcome]:
    """Sent, signed for, the first receipt forged: refused once and again, said each time, and nothing handed in for it."""
    look(bench, dock)
    list(desk(agency, bench, dock).receive(tmp_path))
    path = receipt_file(tmp_path / "dock", recordings(bench)[0].name)
    receipt, _ = read_receipt(path.read_bytes(), load_anchors(bench.trust), None)
    good = path.read_bytes()
    path.chmod(0o640)
    path.write_bytes(forge(receipt))
    before = contents(bench.card)
    told = look(bench, dock)
    assert words(told) == ["refused", "handed-in"]
    assert words(look(bench, dock)) == ["refused"]
    assert {k: v for k, v in contents(bench.card).items() if not k.startswith("spool/")} == before
    assert [path.stem for path in spooled(bench)] == [told[1].said.removeprefix("receipt ")]
    path.write_bytes(good)
    assert words(look(bench, dock)) == ["handed-in"]
    return told


# -- the agency's desk ----------------------------------------------------------------------------------------------


def test_an_object_that_is_altered_gets_no_receipt(
    bench: Bench, agency: Agency, dock: FolderStore, tmp_path: Path
) -> None:
    look(bench, dock)
    stored = tmp_path / "dock" / object_name(DEVICE, recordings(bench)[0].name)
    data = bytearray(stored.read_bytes())
    data[-5000] ^= 1
    stored.chmod(0o640)
    stored.write_bytes(data)
    told = received(agency, bench, dock, tmp_path)
    assert told[0].startswith("refused ALTERED: 0000")
    assert told[1].startswith("received receipt ")
    assert not receipt_file(tmp_path / "dock", recordings(bench)[0].name).exists()


def test_an_object_under_another_agency_gets_no_receipt(bench: Bench, dock: FolderStore, tmp_path: Path) -> None:
    look(bench, dock)
    other = Agency()
    (tmp_path / "ca.pem").write_bytes(other.ca_pem())
    strange = msgspec.structs.replace(bench, root=tmp_path / "strange")
    strange.trust.parent.mkdir(parents=True)
    strange.trust.write_bytes(other.ca_pem())
    told = received(other, strange, dock, tmp_path)
    assert [one.split(":")[0] for one in told] == ["refused signer not trusted"] * 2


def test_an_object_under_another_name_gets_no_receipt(
    bench: Bench, agency: Agency, dock: FolderStore, tmp_path: Path
) -> None:
    look(bench, dock)
    first, second = (tmp_path / "dock" / object_name(DEVICE, folder.name) for folder in recordings(bench))
    first.chmod(0o640)
    first.write_bytes(second.read_bytes())
    elsewhere = tmp_path / "dock" / object_name("BC-000009", recordings(bench)[0].name)
    elsewhere.parent.mkdir()
    elsewhere.write_bytes(second.read_bytes())
    told = received(agency, bench, dock, tmp_path)
    assert [one.split(":")[0] for one in told] == [
        f"refused it is the recording {recordings(bench)[1].name} of {DEVICE}, under the name of another",
        f"received receipt {told[1][-64:]}",
        f"refused it is the recording {recordings(bench)[1].name} of {DEVICE}, under the name of another",
    ]


def test_names_that_are_not_ours_are_passed_over(
    bench: Bench, agency: Agency, dock: FolderStore, tmp_path: Path
) -> None:
    for name in ("recordings/BC-000001/../../x.tar", "recordings/x/y/000001-0123456789abcdef.tar", "recordings/.tar",
                 "recordings/-x/000001-0123456789abcdef.tar", "recordings/a/000001-0123456789abcdef.tar.part"):  # fmt: skip
        assert object_of(name) is None
    (tmp_path / "dock" / "recordings" / DEVICE).mkdir(parents=True)
    (tmp_path / "dock" / "recordings" / DEVICE / "000001-0123456789abcdef.tar.part").write_bytes(b"x")
    (tmp_path / "dock" / "recordings" / "notes.txt").write_bytes(b"x")
    (tmp_path / "dock" / "recordings" / DEVICE / "a").symlink_to("/etc")
    assert received(agency, bench, dock, tmp_path) == []


def rolled_back(bench: Bench, root: Path) -> Bench:
    """The card as it was before its second recording, from where the device went on otherwise."""
    other = copy_of(bench, root)
    shutil.rmtree(recordings(other)[1])
    path = other.card / layout.JOURNAL / "000000.jsonl"
    ends = next(n for n, record in enumerate(journal(other)) if type(record).__name__ == "RecordingEnded")
    write_lines(path, lines_of(path)[: ends + 2])
    device = VirtualDevice(other)
    device.boot()
    device.run(3)
    device.record(1)
    device.stop()
    assert len(recordings(other)) == 2
    return other


def test_a_journal_that_was_rolled_back_is_refused_loudly(
    bench: Bench, agency: Agency, dock: FolderStore, tmp_path: Path
) -> None:
    """A whole card swapped for an older copy, on which the device then went on: honestly signed, and a fork."""
    look(bench, dock)
    list(desk(agency, bench, dock).receive(tmp_path))
    older = rolled_back(bench, tmp_path / "older")
    shutil.rmtree(older.root / "device" / "offload")
    look(older, dock)
    for several in ((), (DEVICE,)):
        told = received(agency, older, dock, tmp_path, *several)
        assert len(told) == 1
        assert told[0].startswith(f"refused ROLLED BACK OR FORKED: the journal of {DEVICE} does not hold line ")
        assert told[0].endswith(f"--card-of {DEVICE}")


def test_an_end_that_a_power_cut_takes_back_was_never_sent(
    bench: Bench, agency: Agency, dock: FolderStore, tmp_path: Path
) -> None:
    """The journal as off-load sees it while its line that ends a recording is being written, and as the cut leaves it."""
    path = bench.card / layout.JOURNAL / "000000.jsonl"
    ends = [n for n, line in enumerate(lines_of(path)) if _ends_a_recording(line)]
    write_lines(path, lines_of(path)[: ends[-1] + 1])
    assert words(look(bench, dock)) == ["sent", "awaiting-receipt", "not-yet"]
    assert [one.split()[0] for one in received(agency, bench, dock, tmp_path)] == ["received"]
    write_lines(path, lines_of(path)[: ends[-1]])
    device = VirtualDevice(bench)
    device.boots = 1
    device.boot()
    device.run(3)
    device.record(1)
    device.stop()
    assert words(look(bench, dock)) == ["handed-in"] + ["sent", "awaiting-receipt"] * 2
    assert [one.split()[0] for one in received(agency, bench, dock, tmp_path)] == ["received", "received"]
    assert words(look(bench, dock)) == ["handed-in", "handed-in"]


def _ends_a_recording(line: bytes) -> bool:
    signed = open_line(line)
    if signed.payload_type != records.RECORD_TYPE:
        return False
    return isinstance(records.decode_journal(signed.payload), records.RecordingEnded)


def test_a_second_card_is_taken_when_a_person_says_so(
    bench: Bench, agency: Agency, dock: FolderStore, tmp_path: Path
) -> None:
    look(bench, dock)
    assert len(received(agency, bench, dock, tmp_path)) == 2
    fresh = copy_of(bench, tmp_path / "fresh")
    shutil.rmtree(fresh.card)
    fresh.card.mkdir()
    device = VirtualDevice(fresh)
    device.boot()
    device.run(3)
    device.record(1)
    device.run(3)
    look(fresh, dock)
    assert received(agency, fresh, dock, tmp_path)[0].startswith("refused ROLLED BACK OR FORKED: ")
    assert received(agency, fresh, dock, tmp_path, DEVICE)[0].startswith("received receipt ")
    device.record(1)
    device.stop()
    look(fresh, dock)
    assert received(agency, fresh, dock, tmp_path, DEVICE)[0].startswith("received receipt ")


def test_receipts_that_are_no_chain_stop_the_desk(
    bench: Bench, agency: Agency, dock: FolderStore, tmp_path: Path
) -> None:
    """A receipt that was taken away, or put there twice, is noticed before another is signed."""
    first, second = recordings(bench)
    look(bench, dock)
    list(desk(agency, bench, dock).receive(tmp_path))
    path = receipt_file(tmp_path / "dock", first.name)
    data = path.read_bytes()
    path.unlink()
    assert "1 receipts follow none that is there" in received(agency, bench, dock, tmp_path)[0]
    path.write_bytes(receipt_file(tmp_path / "dock", second.name).read_bytes())
    (tmp_path / "dock" / object_name(DEVICE, "000003-0123456789abcdef")).write_bytes(b"new")
    assert "it has no place in the chain of receipts" in received(agency, bench, dock, tmp_path)[0]
    path.write_bytes(data)
    assert received(agency, bench, dock, tmp_path) == ["refused the object ends before its end"]


# -- end points and commands ----------------------------------------------------------------------------------------


def offload(bench: Bench, *options: str) -> int:
    return main(["offload", "--config", str(bench.config), *options])


def test_the_commands_go_the_whole_way(
    bench: Bench, agency: Agency, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "dock").mkdir()
    end_point = f"folder:{tmp_path}/dock"
    allow(bench, agency, end_point)
    assert offload(bench) == 0
    desk_of = ["--trust", str(bench.trust), "--key", str(bench.receipt_key), "--certificate"]
    assert main(["receive", end_point, *desk_of, str(bench.receipt_certificate)]) == 0
    assert offload(bench, "--once", "--json") == 0
    assert offload(bench) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert said.out.count(": sent: ") == 2
    assert said.out.count('"handed-in"') == 2
    assert said.out.endswith("nothing to send: no recording is over that has no receipt\n")
    stored = tmp_path / "dock" / object_name(DEVICE, recordings(bench)[0].name)
    assert main(["unpack", str(stored), "-o", str(tmp_path / "out")]) == 0
    assert (
        main(["verify", str(tmp_path / "out" / "evidence" / recordings(bench)[0].name), "--trust", str(bench.trust)])
        == 0
    )
    assert main(["unpack", str(stored), "-o", str(tmp_path / "out")]) == 2
    (tmp_path / "cut.tar").write_bytes(stored.read_bytes()[:-2000])
    for damaged in (bench.trust, tmp_path / "cut.tar"):
        assert main(["unpack", str(damaged), "-o", str(tmp_path / "out2")]) == 1
        assert [path.name for path in tmp_path.iterdir() if "out2" in path.name] == [], "nothing half unpacked"
    assert main(["receive", end_point, *desk_of, str(bench.policy_certificate)]) == 2


@pytest.mark.parametrize(
    ("named", "wanted", "said"),
    [
        ((), "", "names none; sign a policy whose disclosure.end_points has it"),
        ((), "folder:/srv/mine", "offload.end_point is 'folder:/srv/mine': the policy in force, first 9, names none"),
        (("folder:/srv/a", "folder:/srv/b"), "", "names folder:/srv/a, folder:/srv/b; choose one of these"),
        (("folder:/srv/a",), "folder:/srv/b", "names folder:/srv/a; choose one of these"),
        (("folder:/srv/a",), "FOLDER:/srv/a", "names folder:/srv/a; choose one of these"),
        (("s3+https://a.example.org/store",), "s3+https://a.example.org.evil.example/store", "choose one of these"),
    ],
)
def test_an_end_point_that_the_policy_does_not_name_is_refused(
    bench: Bench, agency: Agency, capsys: pytest.CaptureFixture[str], named: tuple[str, ...], wanted: str, said: str
) -> None:
    allow(bench, agency, *named)
    bench.config.write_text(bench.config.read_text("utf-8") + f'\n[offload]\nend_point = "{wanted}"\n', "utf-8")
    assert offload(bench) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert said in told


def test_a_policy_that_is_only_offered_opens_no_way(
    bench: Bench, agency: Agency, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nor one that another agency signed."""
    (tmp_path / "dock").mkdir()
    end_point = f"folder:{tmp_path}/dock"
    kept = bench.kept_policy.read_bytes()
    allow(bench, agency, end_point)
    bench.offered_policy.write_bytes(bench.kept_policy.read_bytes())
    bench.kept_policy.write_bytes(kept)
    assert offload(bench) == 2
    allow(bench, Agency(), end_point)
    assert offload(bench) == 2
    assert "not issued under the given trust anchor" in capsys.readouterr().err
    bench.kept_policy.unlink()
    assert offload(bench) == 2
    assert "no policy is in force yet" in capsys.readouterr().err
    assert contents(tmp_path / "dock") == {}


@pytest.mark.parametrize(
    "end_point",
    ["https://evidence.example.org/bucket", "s3+http://evidence.example.org/bucket", "s3+https://Evidence.example.org/b",
     "s3+https://user@evidence.example.org/bucket", "s3+https://evidence.example.org/bucket?x", "folder:relative",
     "s3+https://evidence.example.org/a/b", "s3+http://127.0.0.1.evil.example/bucket", "folder:/a b", ""],
)  # fmt: skip
def test_what_is_no_end_point_is_refused(end_point: str, bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [
        "--trust",
        str(bench.trust),
        "--key",
        str(bench.receipt_key),
        "--certificate",
        str(bench.receipt_certificate),
    ]
    assert main(["receive", end_point, *arguments]) == 2
    assert capsys.readouterr().err == (
        f"bodycam: {end_point!r}: no end point; give s3+https://host/bucket (s3+http:// for localhost only) or folder:/path\n"
    )


@pytest.mark.parametrize(
    ("content", "mode", "said"),
    [
        ('access_key = "AAAA"\nsecret_key = "SSSS"\n', 0o640, "nobody else can read: chmod 600"),
        ('access_key = "AAAA"\nsecret_key = "SSSS"\n', 0o604, "nobody else can read: chmod 600"),
        ('access_key = "AAAA"\nsecret = "SSSS"\n', 0o600, "give access_key and secret_key, each a text"),
        ("SSSS", 0o600, "give access_key and secret_key, each a text"),
        (None, 0o600, "No such file or directory; give the store's access key and secret key"),
    ],
)
def test_credentials_are_the_owners_alone_and_in_no_message(
    bench: Bench, agency: Agency, capsys: pytest.CaptureFixture[str], content: str | None, mode: int, said: str
) -> None:
    allow(bench, agency, "s3+http://127.0.0.1:9/bucket")
    bench.config.write_text(bench.config.read_text("utf-8") + '\n[offload]\ncredentials = "store.toml"\n', "utf-8")
    path = bench.root / "device" / "store.toml"
    if content is not None:
        path.write_text(content)
        path.chmod(mode)
    assert offload(bench) == 2
    told = capsys.readouterr().err
    assert said in told
    assert "SSSS" not in told


def test_a_folder_that_is_not_there(bench: Bench, agency: Agency, capsys: pytest.CaptureFixture[str]) -> None:
    allow(bench, agency, "folder:/nowhere/at/all")
    assert offload(bench) == 75
    assert capsys.readouterr().err == "bodycam: folder:/nowhere/at/all: no such folder; is it mounted?\n"


def test_a_receipt_whose_signer_has_expired_is_refused(
    bench: Bench, agency: Agency, dock: FolderStore, tmp_path: Path
) -> None:
    """By the device's clock, when that is set."""
    days = (datetime.now(UTC) - datetime(2026, 2, 1, tzinfo=UTC)).days
    expired = agency.issue("expired", Role.RECEIPT, valid_days=-days)
    told = _with_receipt(bench, agency, dock, tmp_path, lambda r: signed(r, expired))
    assert told[0].what == "refused"

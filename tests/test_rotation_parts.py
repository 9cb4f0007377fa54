"""A key takes the place of another, and the parts that must not lose their way: TPM anchors, custody, exports, revocation."""

import base64
import shutil
from pathlib import Path

import msgspec
import pytest

from device.errors import UsageError
from device.evidence import layout, records
from device.evidence.documents import read_identities
from device.evidence.envelope import line_digest, open_line, sign_line
from device.evidence.history import read_history
from device.evidence.identity import load_anchors
from device.evidence.records import Anchor, HistoryLost, RecordingEnded
from device.evidence.tpm_words import read_certified
from docs.refresh import anchor_by
from hw_sim.agency import Agency, Bench
from hw_sim.tpm import TwinTpm
from hw_sim.virtual import VirtualDevice
from tests.benches import DEVICE, make_bench, recordings, shown
from tests.cards import copy_of, device_signer, judged, lines_of, write_lines
from tests.docks import Dock, Template
from tests.exports import exported, judged_export, said, seconds, take_apart
from tests.rotations import rotate

# -- the TPM's anchors ----------------------------------------------------------------------------------------------


class Anchored:
    """A bench whose device has a TPM, and may get another key, with another statement about a TPM."""

    def __init__(self, root: Path) -> None:
        self.tpm = TwinTpm()
        self.agency = Agency()
        self.bench = make_bench(root, agency=self.agency, pre_event_s=1, post_event_s=1, audio=False)
        anchor_by(self.bench, self.agency, self.tpm)

    def shift(self) -> None:
        """A boot, a recording, a clean end: three anchors."""
        device = VirtualDevice(self.bench, make_witness=lambda _: self.tpm)
        device.boots = len(list((self.bench.card / layout.JOURNAL).glob("*")))
        device.boot()
        device.run(2)
        device.record(1.2)
        device.stop()

    def rotate(self, *, began: int | None = None) -> None:
        """`began`: as the statement about the new key says it, of whatever TPM the device has."""
        issued = rotate(self.bench, self.agency)
        said = self.tpm.attestation
        if began is not None:
            said = msgspec.structs.replace(said, began=began)
        line = self.agency.provision(DEVICE, issued.certificate, attestation=said)
        (self.bench.root / "device" / "provisioning.jsonl").write_bytes(line + b"\n")

    def put_back(self, older: Path) -> None:
        shutil.rmtree(self.bench.card)
        shutil.copytree(older, self.bench.card)

    def counters(self) -> list[int]:
        return [
            read_certified(base64.b64decode(record.statement)).counter
            for record in self._journal()
            if isinstance(record, Anchor)
        ]

    def lost(self) -> list[tuple[int | None, int]]:
        return [(record.had, record.counter) for record in self._journal() if isinstance(record, HistoryLost)]

    def _journal(self) -> list[records.JournalRecord]:
        """Under whatever key."""
        history = read_history(self.bench.card, read_identities(self.bench.card), load_anchors(self.bench.trust))
        return [line.record for epoch in history.epochs for line in epoch.lines]


@pytest.fixture
def anchored(tmp_path: Path) -> Anchored:
    return Anchored(tmp_path / "bench")


@pytest.mark.parametrize("began", [7, 10])
def test_a_tpm_counts_on_across_a_rotation(anchored: Anchored, began: int) -> None:
    """Whatever the new statement says of where the counter began: it has been counting."""
    anchored.shift()
    anchored.rotate(began=began)
    anchored.shift()
    anchored.shift()
    assert (anchored.counters(), anchored.lost()) == ([*range(7, 16)], [])
    verdict = judged(anchored.bench)
    assert (verdict.exit_status, verdict.findings) == (0, ()), shown(verdict)
    assert verdict.journal_said.endswith("(BC-000001, counter 15)")


def test_two_rotations_and_no_anchor_between_them(anchored: Anchored) -> None:
    anchored.shift()
    for _ in range(2):
        anchored.rotate()
        anchored.tpm.broken = True
        anchored.shift()
        anchored.tpm.broken = False
    text = anchored.bench.config.read_text("utf-8")
    anchored.bench.config.write_text(text.replace('rotation = "rotation.jsonl"\n', ""), "utf-8")
    anchored.shift()
    assert (anchored.counters(), anchored.lost()) == ([*range(7, 13)], [])
    assert judged(anchored.bench).exit_status == 0


def test_a_journal_put_back_before_a_rotation_is_found_at_the_start(anchored: Anchored, tmp_path: Path) -> None:
    anchored.shift()
    shutil.copytree(anchored.bench.card, tmp_path / "older")
    anchored.shift()
    anchored.put_back(tmp_path / "older")
    anchored.rotate(began=13)
    anchored.shift()
    assert (anchored.counters(), anchored.lost()) == ([7, 8, 9, 13, 14, 15], [(9, 13)])
    assert judged(anchored.bench).exit_status == 4


def test_a_first_anchor_after_a_rotation_is_where_the_first_statement_says(anchored: Anchored) -> None:
    """The old key's anchors are all gone, and the new statement says that the counter began behind them."""
    anchored.tpm.broken = True
    anchored.shift()
    anchored.tpm.broken = False
    for _ in range(3):
        anchored.tpm.increment()
    anchored.rotate(began=10)
    anchored.shift()
    assert (anchored.counters(), anchored.lost()) == ([10, 11, 12], [(None, 10)])
    assert judged(anchored.bench).exit_status == 4


def test_a_hole_is_not_hidden_by_a_rotation(anchored: Anchored, tmp_path: Path) -> None:
    """The journal was put back, and the device lies: its new key signs no word of what was lost."""
    anchored.shift()
    shutil.copytree(anchored.bench.card, tmp_path / "older")
    anchored.shift()
    anchored.put_back(tmp_path / "older")
    anchored.rotate(began=13)
    device = VirtualDevice(anchored.bench, make_witness=lambda _: anchored.tpm)
    device.boots = 1
    device.boot()
    device.run(2)
    device.stop()
    _without_history_lost(anchored)
    found = [f.what for f in judged(anchored.bench).findings if f.question == "content"]
    assert found == ["3 of the TPM's anchors before it are missing: the journal was put back to an older state"]


def _without_history_lost(anchored: Anchored) -> None:
    """The newest epoch signed anew without it, each anchor certified anew over the line before it."""
    path = max((anchored.bench.card / layout.JOURNAL).iterdir())
    statement, *lines = lines_of(path)
    told = [records.decode_journal(open_line(line).payload) for line in lines]
    seq, prev, written, head = told[0].seq, told[0].prev, [statement], None
    for record in told:
        if isinstance(record, HistoryLost):
            continue
        new = record
        if isinstance(record, Anchor):
            assert head is not None
            counter = read_certified(base64.b64decode(record.statement)).counter
            anchored.tpm._counter = counter
            certified = anchored.tpm.certify(bytes.fromhex(head.sha256))
            new = msgspec.structs.replace(
                record, head=head, statement=base64.b64encode(certified).decode(), sha256=line_digest(certified)
            )
        line = sign_line(
            device_signer(anchored.bench),
            records.RECORD_TYPE,
            msgspec.json.encode(msgspec.structs.replace(new, seq=seq, prev=prev, durable=-1)),
        )
        written.append(line)
        head = records.Line(stream=path.stem, seq=seq, sha256=line_digest(line))
        seq, prev = seq + 1, line_digest(line)
    write_lines(path, written)


def test_another_tpm_counts_from_where_its_statement_says(anchored: Anchored) -> None:
    """And the one before, when it comes back, from where it was."""
    first = anchored.tpm
    anchored.shift()
    anchored.tpm = TwinTpm(began=40)
    anchored.rotate()
    anchored.shift()
    anchored.shift()
    assert (anchored.counters(), anchored.lost()) == ([7, 8, 9, *range(40, 46)], [])
    verdict = judged(anchored.bench)
    assert verdict.exit_status == 0, shown(verdict)
    assert [(f.question, f.what.split(":")[0]) for f in verdict.findings] == [("note", "another TPM than before")]
    anchored.tpm = first
    anchored.rotate()
    anchored.shift()
    assert (anchored.counters()[-3:], anchored.lost()) == ([10, 11, 12], [])
    verdict = judged(anchored.bench)
    assert verdict.exit_status == 0, shown(verdict)


def test_anchors_of_another_tpm_are_missing_where_it_began(anchored: Anchored) -> None:
    anchored.shift()
    anchored.tpm = TwinTpm(began=40)
    anchored.rotate()
    anchored.tpm.increment()
    anchored.shift()
    assert anchored.lost() == [(None, 41)]
    assert judged(anchored.bench).exit_status == 4


def test_a_power_cut_as_the_new_key_begins_is_no_loss(anchored: Anchored, tmp_path: Path) -> None:
    """The new key's first file holds its statement and half of its boot; the next start makes it anew."""
    anchored.shift()
    anchored.rotate()
    before = copy_of(anchored.bench, tmp_path / "before")
    anchored.tpm.broken = True
    anchored.shift()
    anchored.tpm.broken = False
    begun = (anchored.bench.card / layout.epoch_file("000001")).read_bytes()
    anchored.put_back(before.card)
    cut = begun[: begun.index(b"\n") + 200]
    (anchored.bench.card / layout.epoch_file("000001")).write_bytes(cut)
    anchored.shift()
    anchored.shift()
    assert (anchored.counters(), anchored.lost()) == ([*range(7, 16)], [])
    assert judged(anchored.bench).exit_status == 0


# -- custody --------------------------------------------------------------------------------------------------------


def test_the_new_key_releases_what_the_old_one_recorded(tmp_path: Path) -> None:
    """One recording that the old key closed, one that the new key recovered."""
    template = Template(tmp_path / "template", recordings=1)
    old = template.dock(tmp_path / "bench")
    old.device.run(1)
    old.device.double()
    old.device.run(3)
    old.device.cut()
    rotate(old.bench, template.agency)
    dock = Dock(old.bench, template.agency, template.clip, boots=2)
    dock.device.run(1)
    closed, recovered = dock.names
    for name in (closed, recovered):
        dock.store.give(name)
        dock.soon()
    assert (dock.spool(), len(dock.kept())) == ([], 2)
    for _ in range(2):
        dock.room(1_000_000)
        dock.soon()
    dock.room(1_000_000_000)
    dock.soon()
    dock.device.stop()
    assert dock.files(closed) == [layout.LEDGER]
    assert dock.files(recovered)[:2] == [layout.LEDGER, layout.recovery_file(0)]
    verdict = judged(dock.bench)
    answers = [(r.answers.content, r.exit_status) for r in verdict.recordings]
    assert answers == [("released", 0), ("released", 4)], shown(verdict)
    assert [f.what for f in verdict.findings if f.question == "content"] == []


def test_a_release_that_the_old_key_began_is_gone_on_with_by_the_new_one(tmp_path: Path) -> None:
    """The power went when the journal said that it goes, and before any of it was gone."""
    template = Template(tmp_path / "template", recordings=1)
    old = template.dock(tmp_path / "bench")
    (name,) = old.names
    before = tmp_path / "before"
    shutil.copytree(old.bench.card / layout.EVIDENCE / name, before)
    old.store.give(name)
    old.soon()
    old.room(1_000_000)
    old.soon()
    old.device.stop()
    assert old.files(name) == [layout.LEDGER]
    shutil.copytree(before, old.bench.card / layout.EVIDENCE / name, dirs_exist_ok=True)
    rotate(old.bench, template.agency)
    dock = Dock(old.bench, template.agency, template.clip, boots=2)
    dock.soon()
    dock.device.stop()
    assert dock.files(name) == [layout.LEDGER]
    verdict = judged(dock.bench)
    assert [r.answers.content for r in verdict.recordings] == ["released"], shown(verdict)


# -- exports --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def recovered(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """One recording of the old key, cut by a power loss; the new key recovered it, and recorded one of its own."""
    agency = Agency()
    bench = make_bench(tmp_path_factory.mktemp("exports") / "bench", agency=agency, pre_event_s=1, post_event_s=1)
    device = VirtualDevice(bench)
    device.boot()
    device.run(2)
    device.double()
    device.run(4)
    device.cut()
    rotate(bench, agency)
    device.boot()
    device.run(2)
    device.record(2)
    device.stop()
    return bench


def test_an_export_of_what_a_later_key_recovered(recovered: Bench, tmp_path: Path) -> None:
    """The file does not carry the later key's word: it says less than the card, and nothing wrong."""
    data = exported(recovered, recordings(recovered)[0], tmp_path / "out.mp4")
    verdict = judged_export(recovered, tmp_path / "out.mp4")
    assert verdict.answers.content == "matches", said(verdict)
    assert (verdict.answers.extent, verdict.exit_status) == ("open", 4), said(verdict)
    assert verdict.answers.extent_said == (
        "it has no end here: it was still recording, or a power loss ended it that was not yet recovered, or that a later "
        "key recovered"
    )
    assert take_apart(data).contents.members.keys() >= {"ledger.jsonl", "journal.jsonl"}
    assert "recovery.jsonl" not in take_apart(data).contents.members


def test_no_part_of_what_a_later_key_recovered(recovered: Bench, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="a later key of the device recovered it"):
        exported(recovered, recordings(recovered)[0], tmp_path / "out.mp4", seconds(0, 1))


def test_exports_of_the_new_keys_own_recording(recovered: Bench, tmp_path: Path) -> None:
    """Its journal begins with another key's; the statement that the file carries is its own key's."""
    for choose, extent in ((lambda _: None, "closed"), (seconds(0, 1), "part")):
        exported(recovered, recordings(recovered)[1], tmp_path / "out.mp4", choose)
        verdict = judged_export(recovered, tmp_path / "out.mp4")
        assert (verdict.answers.signer, verdict.answers.content) == ("trusted", "matches"), said(verdict)
        assert (verdict.answers.extent, verdict.exit_status) == (extent, 0), said(verdict)


def test_an_export_whose_end_a_later_key_journaled(recovered: Bench, tmp_path: Path) -> None:
    """Closed by the old key, and the power went before its journal said so."""
    agency = Agency()
    bench = make_bench(tmp_path / "bench", agency=agency, pre_event_s=1, post_event_s=1)
    device = VirtualDevice(bench)
    device.boot()
    device.run(2)
    device.record(2)
    device.stop()
    path = bench.card / layout.epoch_file("000000")
    told = [records.decode_journal(open_line(line).payload) for line in lines_of(path)[1:]]
    cut = next(n for n, record in enumerate(told) if isinstance(record, RecordingEnded))
    write_lines(path, lines_of(path)[: cut + 1])
    rotate(bench, agency)
    device.boot()
    device.run(2)
    device.stop()
    assert [r.verdict for r in judged(bench).recordings] == ["intact"]
    exported(bench, recordings(bench)[0], tmp_path / "out.mp4")
    verdict = judged_export(bench, tmp_path / "out.mp4")
    assert (verdict.answers.content, verdict.answers.extent) == ("matches", "not-journaled"), said(verdict)

"""What the readers say of released recordings, of a journal that the agency dated, and of a card put back (E7)."""

import hashlib
import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from device import cli
from device.errors import UsageError
from device.evidence import layout, records
from device.evidence.envelope import open_line, sign_line
from device.evidence.identity import Role, load_anchors, load_certificate
from device.evidence.outside import DockNonce
from device.evidence.receipts import make_receipt
from device.evidence.records import Anchor, Line, Receipted, Released
from device.evidence.revocation import load_revocations
from device.evidence.verdicts import CardVerdict
from device.evidence.verify import verify
from hw_sim.agency import Agency, Bench
from tests.auditors import audited
from tests.benches import shown, verified
from tests.cards import device_signer, edit_lines
from tests.docks import Dock, Template
from tests.rotations import rotate
from tests.stores import Store, journal_head

T1 = "2026-02-01T08:00:00.000000Z"
T2 = "2027-03-01T12:00:00.000000Z"


class ReleasedCard:
    """A card with a nonce, one released recording, one receipted, one of neither; and the card before that."""

    def __init__(self, template: Template, root: Path) -> None:
        dock = template.dock(root / "bench")
        self.agency = template.agency
        self.first, self.second = dock.names
        dock.store.nonce(utc=T1)
        dock.soon()
        self.early_receipt = dock.store.give(self.first).read_bytes()
        dock.soon()
        dock.device.run(1)
        dock.device.record(1)
        dock.device.run(1)
        self.third = dock.names[-1]
        dock.device.stop()
        self.older = root / "older"
        shutil.copytree(dock.bench.root, self.older)
        dock.device.boot()
        dock.room(1_000_000)
        dock.soon()
        assert dock.files(self.first) == [layout.LEDGER]
        self.cosigned = dock.store.cosign(utc=T2).read_bytes()
        self.receipt = dock.store.give(self.second).read_bytes()
        dock.device.run(0.1)
        dock.room(1_000_000_000)
        dock.soon()
        dock.device.stop()
        self.bench = dock.bench


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> ReleasedCard:
    root = tmp_path_factory.mktemp("released")
    return ReleasedCard(Template(root / "template"), root)


@pytest.fixture
def bench(made: ReleasedCard, tmp_path: Path) -> Bench:
    shutil.copytree(made.bench.root, tmp_path / "bench")
    return Bench(tmp_path / "bench")


def of(verdict: CardVerdict, name: str):  # type: ignore[no-untyped-def]
    return next(recording for recording in verdict.recordings if recording.recording == name)


def kept(bench: Bench, data: bytes) -> Path:
    return bench.card / layout.RECEIPTS / f"{hashlib.sha256(data).hexdigest()}.receipt"


# -- released -------------------------------------------------------------------------------------------------------


def test_a_released_recording_is_no_alarm_and_is_not_said_to_match(made: ReleasedCard, bench: Bench) -> None:
    verdict = verified(bench, read=True)
    assert verdict.exit_status == 0, shown(verdict)
    assert verdict.verdict == "intact, of what is here; 1 of 3 recordings released under receipt"
    recording = of(verdict, made.first)
    assert recording.verdict == "released under receipt"
    assert (recording.answers.content, recording.answers.extent) == ("released", "released")
    assert recording.answers.content_said == (
        "released: none of its segments is here; the ledger is whole, and is the one that the agency's receipt names"
    )
    sha256 = hashlib.sha256(made.early_receipt).hexdigest()
    assert recording.answers.extent_said.startswith(
        f"closed (stopped) and journaled; released to Demo Agency on {T2} under the receipt {sha256[:16]}…: 9 files are not here"
    )
    assert recording.answers.read_said == "not here to be opened: it was released"
    assert recording.verified_segments == 0
    assert [of(verdict, name).verdict for name in (made.second, made.third)] == ["intact", "intact"]
    assert not verdict.foreign


def test_the_audit_goes_over_it(bench: Bench) -> None:
    report = audited(bench)
    assert report.exit_status == 0, report.findings


def test_what_is_still_there_of_a_released_recording_is_checked(made: ReleasedCard, bench: Bench) -> None:
    source = made.older / "card" / layout.EVIDENCE / made.first
    for name in (layout.INIT, "000001.m4s.age"):
        shutil.copy(source / name, bench.card / layout.EVIDENCE / made.first / name)
    recording = of(verified(bench), made.first)
    assert recording.verdict == "released under receipt"
    assert "1 of 8 segments are still here, as they were signed" in recording.answers.content_said
    path = bench.card / layout.EVIDENCE / made.first / "000001.m4s.age"
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    recording = of(verified(bench), made.first)
    assert recording.verdict == "ALTERED"
    assert "000001.m4s.age" in recording.answers.content_said


def test_a_released_recording_is_not_exported(
    made: ReleasedCard, bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = bench.card / layout.recording_folder(made.first)
    arguments = ["--identity", str(bench.footage_identity), "--trust", str(bench.trust), "-o", str(tmp_path / "x.mp4")]
    exporter = ["--export-key", str(bench.export_key), "--export-certificate", str(bench.export_certificate)]
    who = ["--recipient", "a court", "--reason", "case 26-1", "--report-filed", "2026-12-01T10:00Z"]
    assert cli.main(["export", str(folder), *arguments, *exporter, *who]) == 2
    assert "export it from the agency's store" in capsys.readouterr().err
    assert not (tmp_path / "x.mp4").exists()


def _without_the_receipt(made: ReleasedCard, bench: Bench) -> None:
    kept(bench, made.early_receipt).unlink()


def _another_recordings(made: ReleasedCard, bench: Bench) -> None:
    kept(bench, made.early_receipt).write_bytes(kept(bench, made.receipt).read_bytes())


def _another_agencys(made: ReleasedCard, bench: Bench) -> None:
    """The journal too is the device's lie: it names the forged receipt."""
    other = Agency("Demo Agency").receiver
    receipt = Store(made.agency, made.older / "card").receipt(made.first, journal_head=_line_two(bench))
    _lie(bench, make_receipt(receipt, other.signer, other.certificate))


def _of_another_ledger(made: ReleasedCard, bench: Bench) -> None:
    signer = made.agency.receiver
    receipt = Store(made.agency, made.older / "card").receipt(made.third, journal_head=_line_two(bench))
    said = msgspec.structs.replace(receipt, recording=made.first)
    _lie(bench, make_receipt(said, signer.signer, signer.certificate))


def _of_another_root(made: ReleasedCard, bench: Bench) -> None:
    signer = made.agency.receiver
    receipt = Store(made.agency, made.older / "card").receipt(made.first, root="6" * 64, journal_head=_line_two(bench))
    _lie(bench, make_receipt(receipt, signer.signer, signer.certificate))


def _of_another_device(made: ReleasedCard, bench: Bench) -> None:
    signer = made.agency.receiver
    receipt = Store(made.agency, made.older / "card").receipt(made.first, device="BC-000009")
    _lie(bench, make_receipt(receipt, signer.signer, signer.certificate))


def _another_roles(made: ReleasedCard, bench: Bench) -> None:
    signer = made.agency.exporter
    receipt = Store(made.agency, made.older / "card").receipt(made.first, journal_head=_line_two(bench))
    _lie(bench, make_receipt(receipt, signer.signer, signer.certificate))


def _line_two(bench: Bench) -> Line:
    text = (bench.card / layout.epoch_file("000000")).read_bytes().splitlines()[2]
    return Line(stream="000000", seq=2, sha256=hashlib.sha256(text).hexdigest())


def _lie(bench: Bench, data: bytes) -> None:
    """A device that lies puts another receipt in the place of the one that it had, and signs its journal anew."""
    sha256 = hashlib.sha256(data).hexdigest()
    (bench.card / layout.receipt_file(sha256)).write_bytes(data)
    _rewrite(bench, lambda record: {"receipt_sha256": sha256} if isinstance(record, Receipted | Released) else {})


def _rewrite(bench: Bench, change: Callable[[records.JournalRecord], dict[str, object]]) -> None:
    """The whole journal signed anew by the device's key, with some records changed; the first file stays."""
    signer = device_signer(bench)
    prev: str | None = None
    for path in sorted((bench.card / layout.JOURNAL).iterdir()):
        lines = path.read_bytes().splitlines()
        for n, line in enumerate(lines):
            signed = open_line(line)
            if signed.payload_type != records.RECORD_TYPE:
                continue
            record = records.decode_journal(signed.payload)
            fields = change(record)
            if prev is not None:
                fields |= {"prev": prev}
            if prev is not None and isinstance(record, records.Boot) and record.previous is not None:
                last = msgspec.structs.replace(record.previous.last, sha256=prev)
                fields |= {"previous": msgspec.structs.replace(record.previous, last=last)}
            if fields:
                payload = msgspec.json.encode(msgspec.structs.replace(record, **fields))
                lines[n] = sign_line(signer, records.RECORD_TYPE, payload)
                prev = hashlib.sha256(lines[n]).hexdigest()
        path.write_bytes(b"".join(line + b"\n" for line in lines))


UNPROVEN: dict[str, tuple[Callable[[ReleasedCard, Bench], None], str]] = {
    "no receipt": (_without_the_receipt, "it is missing"),
    "another recording's bytes": (_another_recordings, "not those that its name says"),
    "another agency's": (_another_agencys, "not issued under the given trust anchor"),
    "another ledger's": (_of_another_ledger, "not the last line of"),
    "another root": (_of_another_root, "its root or its counts"),
    "another device's": (_of_another_device, "it is for the device BC-000009"),
    "another role's": (_another_roles, "not for the role receipt"),
}


@pytest.mark.parametrize("case", UNPROVEN)
def test_a_release_that_is_not_proven_is_altered(made: ReleasedCard, bench: Bench, case: str) -> None:
    change, why = UNPROVEN[case]
    change(made, bench)
    verdict = verified(bench)
    assert verdict.exit_status == 1, shown(verdict)
    recording = of(verdict, made.first)
    assert recording.answers.content == "altered"
    assert recording.answers.extent == "closed"
    assert "the journal says that it was released, which is not proven" in recording.findings[0].what
    assert why in recording.findings[0].what, recording.findings[0].what


def test_files_that_go_without_a_release_are_altered_receipted_or_not(made: ReleasedCard, bench: Bench) -> None:
    for name in (made.second, made.third):
        (bench.card / layout.EVIDENCE / name / "000003.m4s.age").unlink()
    verdict = verified(bench)
    assert verdict.exit_status == 1
    for name in (made.second, made.third):
        recording = of(verdict, name)
        assert recording.verdict == "ALTERED"
        assert "000003.m4s.age: the ledger names it; it is missing" in recording.answers.content_said


def test_a_released_ledger_that_is_changed_or_gone_is_altered(made: ReleasedCard, bench: Bench) -> None:
    ledger = bench.card / layout.EVIDENCE / made.first / layout.LEDGER
    whole = ledger.read_bytes()
    edit_lines(ledger, lambda lines: [*lines[:2], *lines[3:]])
    assert of(verified(bench), made.first).verdict == "ALTERED"
    ledger.write_bytes(whole)
    shutil.rmtree(ledger.parent)
    verdict = verified(bench)
    assert verdict.exit_status == 1
    assert "the journal holds this recording; its folder is missing" in [f.what for f in verdict.findings]


def test_a_release_without_a_journal_is_not_believed(made: ReleasedCard, bench: Bench) -> None:
    shutil.rmtree(bench.card / layout.JOURNAL)
    assert of(verified(bench), made.first).verdict == "ALTERED"


# -- when -----------------------------------------------------------------------------------------------------------


def test_the_agencys_words_bound_what_stands_between_them(made: ReleasedCard, bench: Bench) -> None:
    verdict = verified(bench)
    times = {name: of(verdict, name).answers.time_said for name in (made.first, made.second, made.third)}
    assert times[made.third].startswith(f"anchored by the agency: not before {T1} (nonce), not after {T2} (")
    assert times[made.first].startswith(
        f"anchored by the agency: not after {T2} (cosignature); claimed by the device: 2026-"
    )
    assert "not before" not in times[made.second]
    newest = max(_cosigned_head(made).seq, _receipt_head(made).seq)
    assert f"up to line {newest} by the agency's" in verdict.journal_said


def _cosigned_head(made: ReleasedCard) -> Line:
    payload = json.loads(open_line(made.cosigned.split(b"\n")[0]).payload)
    return msgspec.convert(payload["head"], Line)


def _receipt_head(made: ReleasedCard) -> Line:
    payload = json.loads(open_line(made.receipt.split(b"\n")[0]).payload)
    return msgspec.convert(payload["journal_head"], Line)


def test_a_certificate_is_judged_at_the_anchored_time(made: ReleasedCard, tmp_path: Path) -> None:
    """The device claims a time in which its certificate was valid; the agency's nonce came after that."""
    from datetime import UTC, datetime

    from device.evidence.dating import Bounds, Seen

    bounds = Bounds(Seen(0, 1, T1, "nonce"), Seen(0, 9, T2, "receipt"))
    early, late = datetime(2020, 1, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC)
    within = datetime(2026, 9, 21, tzinfo=UTC)
    assert bounds.nearest(early) == datetime(2026, 2, 1, 8, tzinfo=UTC)
    assert bounds.nearest(late) == datetime(2027, 3, 1, 12, tzinfo=UTC)
    assert bounds.nearest(within) == within
    assert bounds.nearest(None) == datetime(2027, 3, 1, 12, tzinfo=UTC)
    assert Bounds().nearest(within) == within
    assert Bounds().nearest(None) is None
    assert Bounds(not_before=bounds.not_before).nearest(early) == datetime(2026, 2, 1, 8, tzinfo=UTC)


def test_a_claimed_time_that_the_agency_contradicts_is_said_and_the_signer_judged_at_its_time(
    tmp_path: Path, template_late: Template
) -> None:
    """A nonce of 2060 stands in the journal before a recording that claims 2026, and its key is valid for ten years."""
    dock = template_late.dock(tmp_path / "bench")
    store = template_late.agency.issue("a store for long", Role.RECEIPT, valid_days=50 * 365)
    said = DockNonce(agency="Demo Agency", device="BC-000001", utc="2060-01-01T00:00:00.000000Z", nonce="8" * 64)
    dock.store.say(said, store)
    dock.soon()
    dock.device.run(1)
    dock.device.record(1)
    dock.device.stop()
    last = verified(dock.bench).recordings[-1]
    assert last.answers.signer == "not-trusted"
    assert "was not valid at 2060-01-01" in last.answers.signer_said


@pytest.fixture(scope="module")
def template_late(tmp_path_factory: pytest.TempPathFactory) -> Template:
    return Template(tmp_path_factory.mktemp("late") / "bench", recordings=1)


def test_an_anchor_that_does_not_count_is_noted_and_dates_nothing(made: ReleasedCard, bench: Bench) -> None:
    other = Agency("Other")
    shutil.copy(bench.trust, bench.root / "ca.pem")
    bench.trust.write_bytes(other.ca_pem())
    notes = [f for f in verified(bench).findings if "an anchor that does not count" in f.what]
    assert len(notes) == 2
    assert {f.question for f in notes} == {"note"}
    assert verified(bench).journal_said == "history not anchored"


def test_an_edited_anchor_does_not_count(made: ReleasedCard, bench: Bench) -> None:
    _rewrite(bench, lambda record: {"sha256": "7" * 64} if isinstance(record, Anchor) else {})
    notes = [f.what for f in verified(bench).findings if "an anchor that does not count" in f.what]
    assert "its statement is not the one that its digest names" in notes[0]


# -- a card put back --------------------------------------------------------------------------------------------------


def _rolled_back(made: ReleasedCard, bench: Bench) -> None:
    """The whole card swapped for an older copy."""
    shutil.rmtree(bench.card)
    shutil.copytree(made.older / "card", bench.card)


@pytest.mark.parametrize("word", ["receipt", "cosigned"])
def test_an_older_card_is_found_with_the_newest_word_of_the_agency(
    made: ReleasedCard, bench: Bench, tmp_path: Path, word: str
) -> None:
    path = tmp_path / "newest"
    path.write_bytes({"receipt": made.receipt, "cosigned": made.cosigned}[word])
    good = verified(bench, head=str(path))
    assert good.exit_status == 0, shown(good)
    said = {"receipt": "receipt", "cosigned": "cosignature"}[word]
    assert f"by the agency's {said} of {T2}" in good.journal_said
    _rolled_back(made, bench)
    assert verified(bench).exit_status == 0, "by itself it looks well"
    verdict = verified(bench, head=str(path))
    assert verdict.exit_status == 1
    assert verdict.findings[-1].what.endswith("is not in it: it was rolled back, forked or cut")
    assert verdict.journal_said == "history not anchored"


def test_a_journal_put_back_beside_its_receipts_is_found(made: ReleasedCard, bench: Bench) -> None:
    shutil.rmtree(bench.card / layout.JOURNAL)
    shutil.copytree(made.older / "card" / layout.JOURNAL, bench.card / layout.JOURNAL)
    what = [f.what for f in verified(bench).findings if f.question == "content"]
    assert any("which is not in the journal: it was rolled back, forked or cut" in said for said in what), what


def test_a_head_file_that_is_not_the_agencys_is_refused(made: ReleasedCard, bench: Bench, tmp_path: Path) -> None:
    other = Agency("Other").receiver
    receipt = Store(made.agency, bench.card).receipt(made.second)
    cases = {
        "forged": (make_receipt(receipt, other.signer, other.certificate), "not issued under the given trust anchor"),
        "garbage": (b"x", "not a receipt"),
        "nonce": (_nonce(made, tmp_path), "a nonce, which names no line"),
    }
    for name, (data, why) in cases.items():
        path = tmp_path / name
        path.write_bytes(data)
        with pytest.raises(UsageError, match=why):
            verified(bench, head=str(path))
    with pytest.raises(UsageError, match="neither a SHA-256 nor a file"):
        verified(bench, head=str(tmp_path / "absent"))


def _nonce(made: ReleasedCard, root: Path) -> bytes:
    (root / layout.SPOOL).mkdir()
    return Store(made.agency, root).nonce().read_bytes()


# -- bodycam anchor ---------------------------------------------------------------------------------------------------


def _anchor(bench: Bench, *words: str) -> int:
    keys = ["--key", str(bench.receipt_key), "--certificate", str(bench.receipt_certificate)]
    return cli.main(["anchor", *words, *keys, "-o", str(bench.card / layout.SPOOL)])


def test_the_agencys_commands_make_what_the_device_takes(made: ReleasedCard, tmp_path: Path) -> None:
    template = Template(tmp_path / "template", recordings=1)
    dock = template.dock(tmp_path / "bench")
    dock.soon()
    head = journal_head(dock.bench.card)
    assert _anchor(dock.bench, "nonce", "--device", "BC-000001", "--agency", "Demo Agency") == 0
    assert _anchor(dock.bench, "cosign", str(dock.bench.card), "--trust", str(dock.bench.trust)) == 0
    assert len(dock.spool()) == 2
    dock.soon()
    assert dock.spool() == []
    anchors = {said.kind: said for said in dock.said(Anchor)}
    assert set(anchors) == {"dock-nonce", "cosigned-head"}
    assert anchors["cosigned-head"].head == head
    dock.device.stop()
    assert verified(dock.bench).exit_status == 0


def test_nothing_is_cosigned_over_a_journal_in_which_something_is_wrong(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    edit_lines(bench.card / layout.epoch_file("000000"), lambda lines: [*lines[:5], *lines[6:]])
    assert _anchor(bench, "cosign", str(bench.card), "--trust", str(bench.trust)) == 2
    assert "nothing is signed over such a journal" in capsys.readouterr().err
    assert list((bench.card / layout.SPOOL).iterdir()) == []


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("nonce", "--device", "BC 1\n", "--agency", "A"), "--device BC 1\\n: not a name"),
        (("cosign", "/nowhere", "--trust", "x"), "/nowhere: not a card"),
    ],
)
def test_what_an_anchor_can_not_be_made_of_is_said(
    bench: Bench, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], why: str
) -> None:
    assert _anchor(bench, *words) == 2
    assert why in capsys.readouterr().err


def test_the_wrong_key_makes_no_anchor(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["anchor", "nonce", "--device", "BC-000001", "--agency", "A", "-o", str(bench.root)]
    keys = ["--key", str(bench.policy_key), "--certificate", str(bench.policy_certificate)]
    assert cli.main([*arguments, *keys]) == 2
    assert "not for the role receipt" in capsys.readouterr().err


# -- the store's key was lost ---------------------------------------------------------------------------------------


def _revoked(made: ReleasedCard, folder: Path, reason: x509.ReasonFlags) -> Path:
    """The CA takes the store's certificate back, from after its words on."""
    serial = load_certificate(made.agency.receiver.certificate).serial_number
    since = datetime(2027, 6, 1, tzinfo=UTC)
    entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(since)
    entry = entry.add_extension(x509.CRLReason(reason), critical=False)
    crl = x509.CertificateRevocationListBuilder().issuer_name(made.agency.ca.subject)
    crl = crl.last_update(since).next_update(since.replace(month=7)).add_revoked_certificate(entry.build())
    path = folder / "crl"
    path.write_bytes(crl.sign(made.agency._ca_key, hashes.SHA256()).public_bytes(Encoding.PEM))
    return path


def _judged(bench: Bench, crl: Path) -> CardVerdict:
    anchors = load_anchors(bench.trust)
    return verify(bench.card, anchors, revoked=load_revocations(crl, anchors))


def test_words_of_a_lost_key_release_nothing_and_date_nothing(made: ReleasedCard, bench: Bench, tmp_path: Path) -> None:
    """Whoever has that key writes a receipt for what was deleted, and dates a journal as they like."""
    verdict = _judged(bench, _revoked(made, tmp_path, x509.ReasonFlags.key_compromise))
    recording = of(verdict, made.first)
    assert (verdict.exit_status, recording.answers.content) == (1, "altered"), shown(verdict)
    assert (
        "its certificate was revoked from 2027-06-01T00:00:00+00:00 on (key compromise)" in recording.findings[0].what
    )
    assert verdict.journal_said == "history not anchored"
    assert sum("an anchor that does not count: its certificate was revoked" in f.what for f in verdict.findings) == 2


def test_words_of_a_key_that_is_no_longer_needed_count_on(made: ReleasedCard, bench: Bench, tmp_path: Path) -> None:
    verdict = _judged(bench, _revoked(made, tmp_path, x509.ReasonFlags.superseded))
    assert verdict.exit_status == verified(bench).exit_status == 0, shown(verdict)
    assert of(verdict, made.first).answers.content == "released"


def test_a_head_that_a_lost_key_signed_is_refused(made: ReleasedCard, bench: Bench, tmp_path: Path) -> None:
    anchors = load_anchors(bench.trust)
    revoked = load_revocations(_revoked(made, tmp_path, x509.ReasonFlags.key_compromise), anchors)
    head = tmp_path / "head"
    for word in (made.receipt, made.cosigned):
        head.write_bytes(word)
        assert verify(bench.card, anchors, head=str(head)).exit_status == 0
        with pytest.raises(UsageError, match="give the 64 hexadecimal digits of a journal line, or a file"):
            verify(bench.card, anchors, head=str(head), revoked=revoked)


def test_what_the_next_key_recovered_is_released_under_its_receipt(tmp_path: Path) -> None:
    """The line that ends it is not signed by the key that began it, but by one to which a rotation led."""
    template = Template(tmp_path / "template", recordings=1)
    first = template.dock(tmp_path / "bench")
    first.device.double()
    first.device.run(3)
    first.device.cut()
    cut = first.names[-1]
    rotate(first.bench, template.agency)
    dock = Dock(first.bench, template.agency, template.clip, boots=2)
    dock.soon()
    dock.store.give(cut)
    dock.soon()
    dock.room(1_000_000)
    dock.soon()
    assert dock.files(cut) == [layout.LEDGER, layout.recovery_file(0)]
    dock.device.stop()
    verdict = verified(dock.bench)
    recording = of(verdict, cut)
    assert (recording.answers.content, recording.answers.extent) == ("released", "power-loss"), shown(verdict)
    assert verdict.exit_status == 4, shown(verdict)

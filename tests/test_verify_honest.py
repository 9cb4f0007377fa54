"""No false alarm: what happens to honest people's cards is never "altered" and never "signer not trusted"."""

import os
import random
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from device.errors import CannotPersist
from device.evidence import layout, records
from device.evidence.case import Found
from device.evidence.chain import Chain
from device.evidence.envelope import line_digest, open_line
from device.evidence.history import read_history
from device.evidence.identity import Role, load_anchors, load_certificate
from device.evidence.records import (
    Boot,
    ForeignCard,
    Gap,
    Line,
    RecordingBegun,
    RecordingOpened,
    Segment,
    Stored,
    VideoSpan,
)
from device.evidence.verdicts import CardVerdict
from device.evidence.verify import verify
from hw_sim.agency import Agency, Bench
from hw_sim.disk import Operation, PowerCut, TwinDisk
from hw_sim.virtual import VirtualDevice
from tests.benches import journal, ledger, make_bench, recordings, segments_of, shown
from tests.cards import all_findings, copy_of, device_signer, folder_of, judged, lines_of, named, record_card

SEED = int(os.environ.get("BODYCAM_SEED", "1"))


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return record_card(tmp_path_factory.mktemp("honest") / "bench", Agency(), seconds=(1,))


def _device(root: Path, agency: Agency | None = None) -> VirtualDevice:
    return VirtualDevice(make_bench(root, agency=agency, pre_event_s=1, post_event_s=1, audio=False))


def _disk(device: VirtualDevice) -> TwinDisk:
    disk = device.hardware.the_disk
    assert isinstance(disk, TwinDisk)
    return disk


def _one_recording(device: VirtualDevice) -> None:
    device.boot()
    device.run(2)
    device.record(1)
    device.stop()


def _assert_no_alarm(verdict: CardVerdict, status: int) -> None:
    assert verdict.exit_status == status, shown(verdict)
    assert named(verdict, "content") == [], shown(verdict)
    assert named(verdict, "signer") == [], shown(verdict)


# -- time and dates -------------------------------------------------------------------------------------------------


def test_a_clock_that_was_never_set(tmp_path: Path) -> None:
    """Validity is then not judged, and the answer says so; no finding carries a wall time that nobody vouches for."""
    device = _device(tmp_path / "bench")
    device.clock.synchronised = False
    device.clock.wall_offset_us = 0
    _one_recording(device)
    verdict = judged(device.bench, read=True)
    _assert_no_alarm(verdict, 0)
    answers = verdict.recordings[0].answers
    assert "validity not judged, as the clock was not set" in answers.signer_said
    assert "its clock was NOT set" in answers.time_said
    assert "1970-01-01" in answers.time_said
    (folder_of(device.bench, 0) / "000001.m4s.age").unlink()
    found = [f for f in all_findings(judged(device.bench)) if f.question == "content"]
    assert [(f.utc, f.offset_s) for f in found] == [(None, 1.0)]


def test_a_clock_that_was_set_while_it_recorded(tmp_path: Path) -> None:
    device = _device(tmp_path / "bench")
    device.boot()
    device.run(2)
    device.double()
    device.run(1)
    device.clock.wall_offset_us += 3_600_000_000
    device.run(2)
    device.confirmed_stop()
    device.until_idle()
    device.stop()
    verdict = judged(device.bench)
    _assert_no_alarm(verdict, 0)
    assert "was set 1 times while it recorded" in verdict.recordings[0].answers.time_said


def test_a_certificate_that_has_expired_since(tmp_path: Path) -> None:
    """Simulated time is the end of September 2026; the certificate ends a few days later. Verification has no clock."""
    agency = Agency(now=datetime(2026, 9, 1, tzinfo=UTC))
    device = _with_certificate(tmp_path / "bench", agency, valid_days=30)
    _one_recording(device)
    der = (device.bench.root / "device" / "device.der").read_bytes()
    assert load_certificate(der).not_valid_after_utc == datetime(2026, 10, 1, tzinfo=UTC)
    verdict = judged(device.bench)
    _assert_no_alarm(verdict, 0)
    assert "validity judged at the claimed time" in verdict.recordings[0].answers.signer_said


def test_a_certificate_that_had_expired_before(tmp_path: Path) -> None:
    """The control: a recording that claims a time after the end of its certificate."""
    agency = Agency(now=datetime(2026, 9, 1, tzinfo=UTC))
    device = _with_certificate(tmp_path / "bench", agency, valid_days=10)
    _one_recording(device)
    verdict = judged(device.bench)
    assert verdict.exit_status == 3, shown(verdict)
    assert "was not valid at 2026-09-21" in verdict.recordings[0].answers.signer_said


def _with_certificate(root: Path, agency: Agency, valid_days: int) -> VirtualDevice:
    class ShortLived(Agency):
        def __init__(self) -> None:
            self.__dict__.update(agency.__dict__)

        def issue(self, common_name: str, role: Role, valid_days: int = valid_days) -> object:  # type: ignore[override]
            return agency.issue(common_name, role, valid_days)

    return _device(root, ShortLived())


def test_changed_file_times_and_rights(recorded: Bench, tmp_path: Path) -> None:
    bench = copy_of(recorded, tmp_path / "bench")
    for path in bench.card.rglob("*"):
        os.utime(path, (0, 0))
        path.chmod(0o700)
    _assert_no_alarm(judged(bench), 0)


def test_foreign_files_are_listed_and_not_judged(recorded: Bench, tmp_path: Path) -> None:
    """What a laptop leaves behind, everywhere; with names that a terminal would obey, and such as are not text."""
    bench = copy_of(recorded, tmp_path / "bench")
    folder = folder_of(bench, 0)
    places = ["", "evidence/", "journal/", "identity/", "policy/", f"evidence/{folder.name}/"]
    for place in places:
        (bench.card / place / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    os.mkfifo(bench.card / "journal" / "pipe")
    (bench.card / "evidence" / "\x1b[2J\x1b[31mINTACT").mkdir()
    (bench.card / os.fsdecode(b"\xff\xfe")).write_bytes(b"")
    (bench.card / "identity" / "000.der").symlink_to("/etc/passwd")
    verdict = judged(bench)
    _assert_no_alarm(verdict, 0)
    listed = {f"{place}.DS_Store" for place in places} | {
        "journal/pipe",
        "evidence/\\x1b[2J\\x1b[31mINTACT",
        "\\udcff\\udcfe",
        "identity/000.der",
    }
    assert set(verdict.foreign) == listed
    assert shown(verdict).isascii() or "µ" in shown(verdict), "it can be written as JSON"


# -- power ----------------------------------------------------------------------------------------------------------


def test_a_power_cut_before_and_after_its_recovery(tmp_path: Path) -> None:
    device = _device(tmp_path / "bench")
    device.boot()
    device.run(2)
    device.double()
    device.run(2.4)
    device.cut()
    before = judged(device.bench)
    _assert_no_alarm(before, 4)
    assert before.recordings[0].answers.extent == "open"
    device.boot()
    device.run(2)
    device.stop()
    after = judged(device.bench, read=True)
    _assert_no_alarm(after, 4)
    assert after.recordings[0].answers.extent == "power-loss"
    assert "recovered" in after.recordings[0].answers.extent_said


def test_a_power_cut_while_nothing_was_recorded(tmp_path: Path) -> None:
    """The battery is taken out of an idle camera: the recording is intact, the journal's end is not known; then it is."""
    device = _device(tmp_path / "bench")
    device.boot()
    device.run(2)
    device.record(1)
    device.cut()
    verdict = judged(device.bench)
    _assert_no_alarm(verdict, 4)
    assert verdict.recordings[0].verdict == "intact"
    assert "its last boot has no end" in verdict.findings[-1].what
    _one_recording(device)
    _assert_no_alarm(judged(device.bench), 0)


CUTS = range(1, 25, 2)
ALLOWED = {"the first boot": {3, 4}, "a later boot": {0, 4}}
"""Until the certificates are on the card, nobody can say who signed."""


def _cut_at(device: VirtualDevice, at: int, odds: random.Random) -> bool:
    """The power goes before the n-th operation on the card of a boot; False when there are not so many."""
    count = 0
    disks: list[TwinDisk] = []

    def cut(operation: Operation, path: str) -> None:
        nonlocal count
        count += 1
        if count == at:
            raise PowerCut(f"{operation} {path}")

    def make(root: Path) -> TwinDisk:
        disks.append(TwinDisk(root, before=cut))
        return disks[-1]

    device._make_disk = make
    try:
        device.boot()
        device.run(1.5)
    except PowerCut:
        disks[-1].cut(odds)
        return True
    finally:
        device._make_disk = TwinDisk
    return False


@pytest.mark.parametrize("moment", ["the first boot", "a later boot"])
def test_a_power_cut_at_any_write_of_a_boot(tmp_path: Path, recorded: Bench, moment: str) -> None:
    """Read as it is then, and after the next boot; sectors survive as they like."""
    fresh = make_bench(tmp_path / "fresh", audio=False)
    source = {"the first boot": fresh, "a later boot": recorded}[moment]
    cuts = 0
    for at in CUTS:
        for chance in range(2):
            bench = copy_of(source, tmp_path / f"cut-{at}-{chance}")
            device = VirtualDevice(bench)
            odds = random.Random(f"{SEED} {moment} {at} {chance}")
            if _cut_at(device, at, odds):
                cuts += 1
                verdict = judged(bench) if (bench.card / layout.JOURNAL).is_dir() else None
                assert verdict is None or verdict.exit_status in ALLOWED[moment], (at, shown(verdict))
                device.boot()
                device.run(1)
                device.stop()
                _assert_no_alarm(judged(bench), 0)
                _assert_no_alarm(judged(bench), 0)
            shutil.rmtree(bench.root)
    assert cuts > 8, "a boot writes and syncs"


def test_a_card_read_while_it_is_recorded_on(tmp_path: Path) -> None:
    """At every moment of a recording, and of the next: never an alarm, and the closed one is intact."""
    device = _device(tmp_path / "bench")
    device.boot()
    device.run(2)
    statuses = set()
    device.double()
    for _ in range(12):
        device.run(0.37)
        verdict = judged(device.bench)
        _assert_no_alarm(verdict, 4)
        statuses |= {r.answers.extent for r in verdict.recordings}
    device.confirmed_stop()
    device.until_idle()
    device.double()
    device.run(2)
    verdict = judged(device.bench)
    _assert_no_alarm(verdict, 4)
    assert [r.answers.extent for r in verdict.recordings] == ["closed", "open"]
    assert statuses == {"open"}
    device.confirmed_stop()
    device.until_idle()
    device.stop()


def test_a_card_that_grows_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two recordings become newer than the journal as it was read first: it is read again, for both."""
    device = _device(tmp_path / "bench")
    device.boot()
    device.run(2)
    device.record(1)
    early = copy_of(device.bench, tmp_path / "early")
    device.record(1)
    device.record(1)
    device.stop()
    cards = [early.card]

    def first_an_early_one(card: Path, *rest: object, whole: bool) -> object:
        return read_history(cards.pop() if cards else card, *rest, whole=whole)  # type: ignore[arg-type]

    monkeypatch.setattr("device.evidence.verify.read_history", first_an_early_one)
    _assert_no_alarm(judged(device.bench), 0)
    assert cards == []


# -- a card that fails ----------------------------------------------------------------------------------------------


def test_a_segment_written_twice(tmp_path: Path) -> None:
    """A failed write, and a second attempt under another name: what was left of the first is listed, not judged."""
    device = _device(tmp_path / "bench")
    device.boot()
    device.run(2)
    device.double()
    device.run(1.5)
    _disk(device).fail_next("sync_file", CannotPersist, path_contains=".m4s.age")
    device.run(2)
    device.confirmed_stop()
    device.until_idle()
    device.stop()
    folder = folder_of(device.bench, 0)
    again = [s for s in segments_of(device.bench, folder) if s.attempt]
    assert len(again) == 1
    verdict = judged(device.bench)
    _assert_no_alarm(verdict, 0)
    left = layout.segment_file(again[0].n, 0)
    expected = [left] if (folder / left).exists() else []
    assert [f.place for f in all_findings(verdict)] == expected


def test_an_abandoned_recording_that_another_continues(tmp_path: Path) -> None:
    device = _device(tmp_path / "bench")
    device.boot()
    device.run(2)
    device.double()
    device.run(1.5)
    _disk(device).fail_next("sync_file", CannotPersist, path_contains=layout.LEDGER)
    device.run(3)
    device.confirmed_stop()
    device.until_idle()
    device.stop()
    verdict = judged(device.bench, read=True)
    _assert_no_alarm(verdict, 4)
    assert [r.answers.extent for r in verdict.recordings] == ["power-loss", "closed"]
    assert "another recording continues it" in verdict.recordings[0].answers.extent_said
    opened = ledger(device.bench, recordings(device.bench)[1]).lines[0].record
    assert isinstance(opened, RecordingOpened)
    assert opened.continues == recordings(device.bench)[0].name
    _one_recording(device)
    after = judged(device.bench)
    _assert_no_alarm(after, 4)
    assert [r.answers.extent for r in after.recordings] == ["power-loss", "closed", "closed"]


@pytest.mark.parametrize("operation", ["append", "sync_file"])
@pytest.mark.parametrize("failures", [1, 2, 3])
def test_a_journal_whose_writes_fail(tmp_path: Path, operation: Operation, failures: int) -> None:
    """Each failure begins a new epoch; files of those that failed as well are passed over."""
    device = _device(tmp_path / "bench")
    device.boot()
    device.run(2)
    device.double()
    device.run(1.5)
    _disk(device).fail_next(operation, CannotPersist, count=failures, path_contains=layout.JOURNAL)
    device.press("function")
    device.run(5)
    device.confirmed_stop()
    device.until_idle()
    device.stop()
    assert [r.reason for r in journal(device.bench) if isinstance(r, Boot)][-1] == "write-failed"
    verdict = judged(device.bench)
    _assert_no_alarm(verdict, 0)
    _one_recording(device)
    _assert_no_alarm(judged(device.bench), 0)


def test_lines_that_survived_a_write_that_was_said_to_have_failed(tmp_path: Path) -> None:
    """They are signed once more in the next epoch; what is left of them in the old one is listed and not believed."""
    device = _device(tmp_path / "bench")
    device.boot()
    device.run(2)
    _disk(device).fail_next("append", CannotPersist, path_contains="000000.jsonl")
    device.press("function")
    device.run(5)
    device.record(1)
    device.stop()
    path = device.bench.card / layout.epoch_file("000000")
    lines = lines_of(path)
    last = records.decode_journal(open_line(lines[-1]).payload)
    chain = Chain(
        device_signer(device.bench), device.clock, last.device, last.stream, len(lines), line_digest(lines[-1])
    )
    name = "000009-0123456789abcdef"
    begun = RecordingBegun(recording=name, first=Line(stream=name, seq=0, sha256="0" * 64))
    for left in (chain.next_line(begun), b"\0" * 100):
        path.write_bytes(path.read_bytes() + left)
        verdict = judged(device.bench)
        _assert_no_alarm(verdict, 0)
        assert [f.place for f in verdict.findings] == [f"{layout.epoch_file('000000')}, line {len(lines)}"]


def test_an_epoch_that_was_abandoned_and_yet_survived(tmp_path: Path) -> None:
    """Its sync was said to have failed, and all of it is on the card: the one that took its place says where it ends."""
    device = _device(tmp_path / "bench")
    device.boot()
    device.run(2)
    disk = _disk(device)
    disk.fail_next("append", CannotPersist, path_contains="000000.jsonl")
    disk.fail_next("sync_folder", CannotPersist, path_contains=layout.JOURNAL)
    device.press("function")
    device.run(5)
    device.record(1)
    device.stop()
    assert len(list((device.bench.card / layout.JOURNAL).iterdir())) == 3
    verdict = judged(device.bench)
    _assert_no_alarm(verdict, 0)
    assert [f.place for f in verdict.findings] == ["journal/000001.jsonl"], shown(verdict)
    assert "took its place" in verdict.findings[0].what


# -- other keys -----------------------------------------------------------------------------------------------------


def _on_the_same_card(first: Bench, second: Bench) -> VirtualDevice:
    shutil.rmtree(second.card)
    shutil.copytree(first.card, second.card)
    device = VirtualDevice(second)
    _one_recording(device)
    return device


def test_a_device_that_was_given_new_keys(recorded: Bench, tmp_path: Path) -> None:
    """The same name, another key and another statement of the agency: a new journal, and the old one stays proven."""
    agency = Agency()
    first = record_card(tmp_path / "first", agency, seconds=(1,))
    second = make_bench(tmp_path / "second", agency=agency, pre_event_s=1, post_event_s=1, audio=False)
    device = _on_the_same_card(first, second)
    assert len([r for r in journal(device.bench) if isinstance(r, ForeignCard)]) == 1
    verdict = judged(second)
    _assert_no_alarm(verdict, 0)
    assert [r.verdict for r in verdict.recordings] == ["intact", "intact"]
    path = second.card / layout.epoch_file("000000")
    path.write_bytes(path.read_bytes()[:-1])
    assert judged(second).exit_status == 1, "what the new journal found is not to be touched"


def test_a_card_that_went_to_another_device_and_back(tmp_path: Path) -> None:
    agency = Agency()
    mine = record_card(tmp_path / "mine", agency, seconds=(1,))
    theirs = make_bench(tmp_path / "theirs", agency=agency, device="BC-000002", pre_event_s=1, audio=False)
    _on_the_same_card(mine, theirs)
    device = _on_the_same_card(theirs, mine)
    verdict = judged(device.bench)
    _assert_no_alarm(verdict, 0)
    assert [r.device for r in verdict.recordings] == ["BC-000001", "BC-000002", "BC-000001"]
    assert [r.verdict for r in verdict.recordings] == ["intact"] * 3


def test_one_recording_of_a_card_whose_journal_has_no_end(recorded: Bench, tmp_path: Path) -> None:
    """The journal's own end does not bear on a recording whose end it holds."""
    bench = copy_of(recorded, tmp_path / "bench")
    path = bench.card / layout.epoch_file("000000")
    path.write_bytes(path.read_bytes()[:-1])
    assert judged(bench).exit_status == 4
    verdict = verify(folder_of(bench, 0), load_anchors(bench.trust))
    _assert_no_alarm(verdict, 0)
    assert [f.question for f in verdict.findings] == ["note"]
    inside = Path.cwd()
    os.chdir(folder_of(bench, 0))
    try:
        assert verify(Path(), load_anchors(bench.trust)).exit_status == 0
    finally:
        os.chdir(inside)


@pytest.mark.parametrize(
    ("pauses", "seconds"),
    [
        ([], 9.0),
        ([(1_900_000, 6_000_000)], 5.0),
        ([(1_900_000, 4_000_000), (3_900_000, 6_000_000)], 5.0),
        ([(1_900_000, 6_000_000)] * 5, 5.0),
        ([(10_000_000, 14_000_000)], 9.0),
        ([(0, 99_000_000)], 0.0),
        ([(6_000_000, 1_900_000)], 9.0),
    ],
    ids=["none", "one", "two", "told five times", "after the last frame", "longer than the recording", "backwards"],
)
def test_a_private_pause_is_no_second_of_a_recording(pauses: list[tuple[int, int]], seconds: float) -> None:
    """Ten frames a second from 1 s to 2 s and from 6 s to 10 s, as the ledger's lines have them."""
    found = Found("recording", Path())
    for n, (from_us, to_us) in enumerate([(1_000_000, 2_000_000), (6_000_000, 10_000_000)]):
        video = VideoSpan(
            first=n, last=n, frames=1, from_us=from_us, last_us=to_us - 100_000, to_us=to_us, period_us=100_000
        )
        found.count(Segment(n=n, attempt=0, stage="live", file=Stored(1, "0" * 64, "0" * 64), video=video, audio=None))
    for from_us, to_us in pauses:
        found.gap(Gap(cause="policy", frames=1, first=1, last=1, from_us=from_us, to_us=to_us))
        found.gap(Gap(cause="camera", frames=1, first=1, last=1, from_us=from_us, to_us=to_us))
    assert found.video_us() / 1e6 == seconds

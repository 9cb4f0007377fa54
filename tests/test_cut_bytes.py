"""Files cut short: a closing line at every byte, a recovery at every fifth (`BODYCAM_CUT_STEP=1`: at every one), the
rest at line boundaries and a seeded sample.

What each class of cut must give is written here as it is; never a traceback, and never intact.
"""

import os
import random
from pathlib import Path

import pytest

from device.evidence import layout, records
from device.evidence.case import Given
from device.evidence.dating import dating
from device.evidence.documents import read_identities
from device.evidence.envelope import open_line
from device.evidence.examine import examine
from device.evidence.history import read_history
from device.evidence.identity import load_anchors
from device.evidence.kept_receipts import read_kept
from device.evidence.records import RecordingBegun, RecordingEnded, RecordingOpened
from device.evidence.revocation import NONE_REVOKED
from device.evidence.verdicts import CardVerdict, RecordingVerdict
from device.evidence.workers import Workers
from hw_sim.agency import Agency, Bench
from hw_sim.disk import PowerCut, TwinDisk
from hw_sim.virtual import VirtualDevice
from tests.benches import make_bench, segments_of, shown
from tests.cards import all_findings, copy_of, folder_of, judged, lines_of, named

SEED = 1
SAMPLE = 30
STEP = int(os.environ.get("BODYCAM_CUT_STEP", "5"))
EPOCH = layout.epoch_file("000000")


def _recording_device(root: Path) -> VirtualDevice:
    bench = make_bench(root, agency=Agency(), pre_event_s=1, post_event_s=1, audio=False)
    device = VirtualDevice(bench)
    device.boot()
    device.run(2)
    device.double()
    device.run(1.5)
    return device


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """A card with one closed recording; altered and mended again by the tests."""
    device = _recording_device(tmp_path_factory.mktemp("closed") / "bench")
    device.confirmed_stop()
    device.until_idle()
    device.stop()
    assert judged(device.bench).exit_status == 0
    return device.bench


@pytest.fixture(scope="module")
def recovered(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """A card with one recording that a power cut ended and the next start recovered and journaled."""
    device = _recording_device(tmp_path_factory.mktemp("recovered") / "bench")
    device.cut()
    device.boot()
    device.run(2)
    device.stop()
    assert judged(device.bench).recordings[0].answers.extent == "power-loss"
    return device.bench


@pytest.fixture(scope="module")
def cut_in_recovery(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """The power went a second time, after the recovery was durable and before the journal said so."""
    device = _recording_device(tmp_path_factory.mktemp("twice") / "bench")
    device.cut()
    device.boot()
    disk = device.hardware.the_disk
    assert isinstance(disk, TwinDisk)

    def cut(operation: str, path: str) -> None:
        if (
            disk.operations["sync_folder"]
            and disk.log[-1] == ("sync_folder", f"evidence/{name}")
            and operation == "append"
        ):
            raise PowerCut(path)

    name = folder_of(device.bench, 0).name
    disk.before = cut
    with pytest.raises(PowerCut):
        device.run(5)
    device.cut()
    assert (folder_of(device.bench, 0) / "recovery-0.jsonl").is_file()
    assert judged(device.bench).exit_status == 4
    return device.bench


class Judge:
    """One recording on a card whose journal was read once."""

    def __init__(self, bench: Bench) -> None:
        identities = read_identities(bench.card)
        anchors = load_anchors(bench.trust)
        history = read_history(bench.card, identities, anchors)
        kept = read_kept(bench.card, anchors, NONE_REVOKED)
        self._given = Given(
            card=bench.card,
            anchors=anchors,
            identities=identities,
            history=history,
            kept=kept,
            dating=dating(history, kept, anchors, NONE_REVOKED),
            opener=None,
            progress=lambda _: None,
            workers=Workers(1),
        )
        self.folder = folder_of(bench, 0)

    def with_file(self, name: str, content: bytes) -> RecordingVerdict:
        """The verdict while a file holds this."""
        path = self.folder / name
        whole = path.read_bytes()
        path.write_bytes(content)
        try:
            return examine(self._given, self.folder.name, self.folder)[0]
        finally:
            path.write_bytes(whole)


def _boundaries(lines: list[bytes]) -> set[int]:
    """Every line's end, and two bytes to either side."""
    ends = [sum(len(line) + 1 for line in lines[: n + 1]) for n in range(len(lines))]
    return {end + step for end in [0, *ends] for step in (-2, -1, 0, 1, 2)}


def _cuts(path: Path, step: int) -> list[int]:
    """The last line byte by byte or in steps, every line's end and what is beside it, and a sample of the rest."""
    lines = lines_of(path)
    size = path.stat().st_size
    drawn = random.Random(SEED).sample(range(size), SAMPLE)
    return sorted(
        at for at in {*range(size - len(lines[-1]) - 1, size, step), *_boundaries(lines), *drawn} if 0 <= at < size
    )


def _assert_altered(verdict: RecordingVerdict, name: str, said: str) -> None:
    assert verdict.exit_status == 1, (said, shown_recording(verdict))
    places = [f.place for f in verdict.findings if f.question == "content"]
    assert any(place.startswith(name) for place in places), (said, shown_recording(verdict))


def shown_recording(verdict: RecordingVerdict) -> str:
    return shown(
        CardVerdict(path="", verdict="", exit_status=0, journal_said="", findings=(), recordings=(verdict,), foreign=())
    )


# -- a closed recording: the journal holds its end ------------------------------------------------------------------


def test_a_closed_ledger_cut_anywhere_is_altered(closed: Bench) -> None:
    judge = Judge(closed)
    data = (judge.folder / layout.LEDGER).read_bytes()
    cuts = _cuts(judge.folder / layout.LEDGER, 1)
    assert len(cuts) > 1000
    for at in cuts:
        _assert_altered(judge.with_file(layout.LEDGER, data[:at]), layout.LEDGER, f"cut at {at}")


@pytest.mark.parametrize("name", [layout.INIT, "000001.m4s.age"])
def test_an_init_and_a_segment_cut_anywhere_are_altered(closed: Bench, name: str) -> None:
    judge = Judge(closed)
    data = (judge.folder / name).read_bytes()
    cuts = {0, 1, 2, len(data) - 2, len(data) - 1, *random.Random(SEED).sample(range(len(data)), SAMPLE)}
    for at in sorted(cuts):
        verdict = judge.with_file(name, data[:at])
        _assert_altered(verdict, name, f"cut at {at}")
        at_s = {layout.INIT: 0.0, "000001.m4s.age": 1.0}[name]
        assert [f.offset_s for f in verdict.findings] == [at_s]


def test_a_ledger_that_is_zeros_is_altered(closed: Bench) -> None:
    judge = Judge(closed)
    data = (judge.folder / layout.LEDGER).read_bytes()
    for content in (b"\0" * len(data), b"\0" * 512 + data[512:], data[:-512] + b"\0" * 512, data + b"\0", b"\n" + data):
        _assert_altered(judge.with_file(layout.LEDGER, content), layout.LEDGER, "zeros")


# -- the journal ----------------------------------------------------------------------------------------------------


def test_a_journal_cut_anywhere_is_never_intact(closed: Bench, tmp_path: Path) -> None:
    """Cut before the line that the recording starts from: altered. After it: nothing is, and the end is not proven.
    Cut before the boot is whole: as if no journal were there."""
    bench = copy_of(closed, tmp_path / "bench")
    path = bench.card / EPOCH
    data, lines = path.read_bytes(), lines_of(path)
    ends = [sum(len(line) + 1 for line in lines[: n + 1]) for n in range(len(lines))]
    told = [records.decode_journal(open_line(line).payload) for line in lines[1:]]
    opened = records.decode_ledger(open_line(lines_of(folder_of(bench, 0) / layout.LEDGER)[0]).payload)
    assert isinstance(opened, RecordingOpened)
    ended = next(n for n, record in enumerate(told, 1) if isinstance(record, RecordingEnded))
    assert any(isinstance(record, RecordingBegun) for record in told)
    draw = random.Random(SEED)
    classes = {
        "no boot": (range(2), 4, "not-journaled"),
        "the start is gone": (range(2, opened.journal.seq + 1), 1, "unknown"),
        "the end is gone": (range(opened.journal.seq + 1, ended + 1), 4, "unknown"),
        "after the end": (range(ended + 1, len(lines)), 4, "closed"),
    }
    cuts = {*range(ends[-2], ends[-1], STEP), *_boundaries(lines), *draw.sample(range(len(data)), SAMPLE)}
    seen = set()
    for at in sorted(at for at in cuts if 0 <= at < len(data)):
        path.write_bytes(data[:at])
        verdict = judged(bench)
        whole = sum(end <= at for end in ends)
        name, status, extent = next((n, s, e) for n, (lines_left, s, e) in classes.items() if whole in lines_left)
        seen.add(name)
        said = f"cut at {at}, {whole} lines are whole, {name}: {shown(verdict)}"
        assert (verdict.exit_status, verdict.recordings[0].answers.extent) == (status, extent), said
        assert any(EPOCH in f.place for f in verdict.findings), said
    assert seen == set(classes)
    path.write_bytes(data)
    assert judged(bench).exit_status == 0


# -- a recovered recording ------------------------------------------------------------------------------------------


def test_a_recovered_ledger_cut_anywhere_is_altered(recovered: Bench) -> None:
    judge = Judge(recovered)
    data = (judge.folder / layout.LEDGER).read_bytes()
    for at in _cuts(judge.folder / layout.LEDGER, STEP):
        verdict = judge.with_file(layout.LEDGER, data[:at])
        assert verdict.exit_status == 1, (at, shown_recording(verdict))


def test_a_journaled_recovery_cut_anywhere_is_altered(recovered: Bench) -> None:
    judge = Judge(recovered)
    data = (judge.folder / "recovery-0.jsonl").read_bytes()
    for at in _cuts(judge.folder / "recovery-0.jsonl", STEP):
        verdict = judge.with_file("recovery-0.jsonl", data[:at])
        assert verdict.exit_status == 1, (at, shown_recording(verdict))
        assert "recovery-0.jsonl" in [f.place for f in verdict.findings], (at, shown_recording(verdict))


def test_a_recovery_that_was_itself_cut_short_is_no_alarm(cut_in_recovery: Bench) -> None:
    """Nobody holds its line yet: at every byte it is what a power cut leaves."""
    judge = Judge(cut_in_recovery)
    data = (judge.folder / "recovery-0.jsonl").read_bytes()
    for at in _cuts(judge.folder / "recovery-0.jsonl", STEP):
        verdict = judge.with_file("recovery-0.jsonl", data[:at])
        assert verdict.exit_status == 4, (at, shown_recording(verdict))
        assert verdict.answers.content == "matches"
        notes = [f.what for f in verdict.findings if f.place == "recovery-0.jsonl"]
        assert notes == ["a recovery that was itself cut short; not believed"], at
    holes = judge.with_file("recovery-0.jsonl", b"\0" * 512 + data[512:])
    assert (holes.exit_status, holes.answers.content) == (4, "matches")
    changed = judge.with_file("recovery-0.jsonl", data[:600] + b"A" + data[601:])
    assert changed.exit_status == 1, "a whole line that is wrong is no power cut"


@pytest.mark.parametrize("at", [0, 1, 300])
def test_an_epoch_cut_as_it_began_at_the_end_of_the_journal_is_named(recovered: Bench, tmp_path: Path, at: int) -> None:
    """What a power cut in a boot leaves, and what someone leaves who cuts the last epoch away: never intact."""
    bench = copy_of(recovered, tmp_path / "bench")
    name = layout.epoch_file("000001")
    (bench.card / name).write_bytes((bench.card / name).read_bytes()[:at])
    verdict = judged(bench)
    assert verdict.exit_status == 4, shown(verdict)
    assert name in named(verdict, "extent"), shown(verdict)


# -- an open recording: only what some line proves durable is missed -----------------------------------------------


@pytest.fixture(scope="module")
def unrecovered(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    device = _recording_device(tmp_path_factory.mktemp("open") / "bench")
    device.cut()
    assert judged(device.bench).exit_status == 4
    return device.bench


def test_an_open_ledger_cut_after_what_the_journal_holds_is_no_alarm(unrecovered: Bench) -> None:
    """The journal holds its first line only. Cut inside that: altered. After it: a power cut, as far as anyone can say."""
    judge = Judge(unrecovered)
    path = judge.folder / layout.LEDGER
    data, first = path.read_bytes(), len(lines_of(path)[0]) + 1
    cuts = {*range(first - 3, first + 3), *_cuts(path, STEP)}
    for at in sorted(at for at in cuts if at < first):
        _assert_altered(judge.with_file(layout.LEDGER, data[:at]), layout.LEDGER, f"cut at {at}")
    for at in sorted(at for at in cuts if at >= first):
        verdict = judge.with_file(layout.LEDGER, data[:at])
        assert (verdict.exit_status, verdict.answers.content) == (4, "matches"), (at, shown_recording(verdict))


def test_a_hole_in_an_open_ledger_before_a_line_that_proves_it_is_altered(unrecovered: Bench) -> None:
    judge = Judge(unrecovered)
    path = judge.folder / layout.LEDGER
    lines = lines_of(path)
    holed = b"\n".join([*lines[:2], b"\0" * len(lines[2]), *lines[3:]]) + b"\n"
    assert records.decode_ledger(open_line(lines[-1]).payload).durable >= 2
    _assert_altered(judge.with_file(layout.LEDGER, holed), f"{layout.LEDGER}, line 2", "a hole")


def test_segments_missing_from_a_card_that_lost_power_are_named(unrecovered: Bench, tmp_path: Path) -> None:
    """A record names a segment only after it is durable (E2): so it is never the power cut that took it."""
    bench = copy_of(unrecovered, tmp_path / "bench")
    segment = segments_of(bench, folder_of(bench, 0))[-1]
    name = layout.segment_file(segment.n, segment.attempt)
    (folder_of(bench, 0) / name).unlink()
    verdict = judged(bench)
    assert verdict.exit_status == 1
    assert name in named(verdict), [f.what for f in all_findings(verdict)]

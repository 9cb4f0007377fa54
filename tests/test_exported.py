"""An exported file proves itself: every way to alter it is found, with the first bad second; and random edits.

The attacker holds the file, and whatever anyone can make; what only a device that lies could sign is in
test_disclosure.py. `BODYCAM_EDITS` says how many random edits are made, `BODYCAM_SEED` draws them.
"""

import os
import random
import subprocess
import tracemalloc
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from device.cli import main
from device.errors import EvidenceError, UsageError
from device.evidence import records
from device.evidence.container import Contents, Part, pack, unpack
from device.evidence.envelope import open_line
from device.evidence.exported import MANIFEST_BOX, read_export
from device.evidence.identity import load_anchors
from device.evidence.records import RecordingOpened
from device.evidence.revocation import NONE_REVOKED
from device.evidence.verdicts import WORDS
from device.export_reader import is_proof, verify_proof
from device.media.boxes import boxes, inner_boxes, top_level_boxes
from hw_sim.agency import Agency, Bench
from hw_sim.virtual import VirtualDevice
from tests.benches import make_bench, recordings
from tests.cards import copy_of, record_card
from tests.export_edits import ALTERED, IN_THE_BOX, after_ftyp
from tests.exports import (
    Pieces,
    box,
    content_findings,
    evidence_box,
    exported,
    first_bad_s,
    judged_export,
    record_story,
    said,
    seconds,
    take_apart,
    wide_box,
)

EDITS = int(os.environ.get("BODYCAM_EDITS", "200"))
SEED = int(os.environ.get("BODYCAM_SEED", "1"))


@pytest.fixture(scope="module")
def agency() -> Agency:
    return Agency()


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, agency: Agency) -> Bench:
    return record_story(tmp_path_factory.mktemp("exported") / "bench", agency)


@pytest.fixture(scope="module")
def whole(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return exported(bench, recordings(bench)[0], tmp_path_factory.mktemp("whole") / "out.mp4")


@pytest.fixture(scope="module")
def part(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return exported(bench, recordings(bench)[0], tmp_path_factory.mktemp("part") / "out.mp4", seconds(12.5, 20))


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory, agency: Agency) -> bytes:
    """A recording of another device of the same agency, exported."""
    root = tmp_path_factory.mktemp("other")
    other = record_card(root / "bench", agency, device="BC-000002", seconds=(2,))
    return exported(other, recordings(other)[0], root / "out.mp4")


def test_a_whole_export_gives_the_answers_of_its_folder(bench: Bench, whole: bytes, tmp_path: Path) -> None:
    verdict = judged_export(bench, tmp_path / "out.mp4", whole)
    assert (verdict.verdict, verdict.exit_status) == ("intact", 0), said(verdict)
    assert verdict.recording == recordings(bench)[0].name
    answers = verdict.answers
    assert (answers.content, answers.signer, answers.extent) == ("matches", "trusted", "closed")
    assert answers.content_said == "all 47 segments are as they were signed"
    assert "its other lines are not" in answers.extent_said
    assert "can't be checked" in answers.read_said
    assert verdict.missing == {"camera": 5, "policy": 105}
    assert (verdict.segments, verdict.verified_segments, verdict.frames) == (47, 47, 1352)


def test_the_file_is_init_segments_and_one_box(whole: bytes) -> None:
    kinds = [b.kind for b in top_level_boxes(whole)]
    assert kinds == [b"ftyp", b"moov"] + [b"moof", b"mdat"] * 47 + [b"uuid"]
    pieces = take_apart(whole)
    assert pieces.whole() == whole
    assert list(pieces.contents.members) == ["ledger.jsonl", "journal.jsonl", "policy.toml", "policy.bundle"]
    assert len(pieces.lines("ledger.jsonl")) == 59
    assert len(pieces.lines("journal.jsonl")) == 5
    assert len(pieces.contents.certificates) == 3, "the device's two, and the provisioner's"


def test_under_another_ca_the_signer_is_not_trusted(bench: Bench, whole: bytes, tmp_path: Path) -> None:
    (tmp_path / "other.pem").write_bytes(Agency("Other").ca_pem())
    (tmp_path / "out.mp4").write_bytes(whole)
    verdict = verify_proof(tmp_path / "out.mp4", load_anchors(tmp_path / "other.pem"), NONE_REVOKED, lambda _: None)
    assert verdict.exit_status == 3
    assert verdict.recordings[0].answers.content == "matches"


@pytest.mark.tools("ffmpeg")
def test_ffmpeg_plays_it_without_a_word(whole: bytes, part: bytes, tmp_path: Path) -> None:
    for name, data in (("whole", whole), ("part", part)):
        path = tmp_path / f"{name}.mp4"
        path.write_bytes(data)
        played = subprocess.run(
            ["ffmpeg", "-nostdin", "-hide_banner", "-v", "warning", "-xerror", "-i", str(path), "-f", "null", "-"],
            check=False, capture_output=True,
        )  # fmt: skip
        assert (played.returncode, played.stdout, played.stderr) == (0, b"", b"")


# -- alterations ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", ALTERED)
def test_every_alteration_of_the_file_is_found(case: str, bench: Bench, whole: bytes, tmp_path: Path) -> None:
    alter, first_bad = ALTERED[case]
    altered = alter(whole)
    assert altered != whole
    verdict = judged_export(bench, tmp_path / "out.mp4", altered)
    assert verdict.exit_status == 1, said(verdict)
    assert content_findings(verdict)
    assert first_bad is None or first_bad_s(verdict) == pytest.approx(first_bad, abs=0.04), said(verdict)
    assert is_proof(tmp_path / "out.mp4")


def test_the_first_bad_second_has_a_wall_time(bench: Bench, whole: bytes, tmp_path: Path) -> None:
    verdict = judged_export(bench, tmp_path / "out.mp4", ALTERED["a byte of the picture"][0](whole))
    (finding,) = [f for f in verdict.findings if f.question == "content"]
    assert (finding.offset_s, finding.utc) == (7.0, "2026-09-21T14:13:34.000000Z")
    assert "segment 7: its bytes are not those that the ledger signed" in finding.what
    assert verdict.verified_segments == 46


def test_an_edit_list_is_named(bench: Bench, whole: bytes, tmp_path: Path) -> None:
    """Even if a device that lies had signed it: the digest is not what finds it."""
    verdict = judged_export(bench, tmp_path / "out.mp4", ALTERED["an edit list"][0](whole))
    assert any("it has an edit list" in finding for finding in content_findings(verdict))


def test_a_manifest_right_after_ftyp_is_accounted_for(bench: Bench, whole: bytes, tmp_path: Path) -> None:
    for manifest in (box(b"uuid", MANIFEST_BOX + b"m" * 99), wide_box(b"uuid", MANIFEST_BOX + b"m" * 99)):
        verdict = judged_export(bench, tmp_path / "out.mp4", after_ftyp(whole, manifest))
        assert verdict.verdict == "intact", said(verdict)
        (note,) = verdict.findings
        assert note.question == "note"
        assert f"a C2PA manifest of {len(manifest)} bytes: the exporter's, not the device's" in note.what


@pytest.mark.parametrize("case", IN_THE_BOX)
def test_every_alteration_of_the_evidence_is_found(
    case: str, bench: Bench, whole: bytes, other: bytes, tmp_path: Path
) -> None:
    pieces = take_apart(whole)
    IN_THE_BOX[case](pieces, take_apart(other))
    altered = pieces.whole()
    assert altered != whole
    verdict = judged_export(bench, tmp_path / "out.mp4", altered)
    assert verdict.exit_status == 1, said(verdict)


def test_without_the_line_that_closes_it_is_still_open(bench: Bench, whole: bytes, tmp_path: Path) -> None:
    """What the whole ledger minus its end shows is what a recording in progress shows; never intact."""
    pieces = take_apart(whole)
    pieces.set_lines("ledger.jsonl", pieces.lines("ledger.jsonl")[:-1])
    pieces.set_lines("journal.jsonl", pieces.lines("journal.jsonl")[:-1])
    verdict = judged_export(bench, tmp_path / "out.mp4", pieces.whole())
    assert (verdict.exit_status, verdict.answers.extent) == (4, "open"), said(verdict)


def test_the_journal_tells_of_an_end_that_was_cut_off(bench: Bench, whole: bytes, tmp_path: Path) -> None:
    """The last lines and the segments that they name are gone together; the journal's line on the end is not."""
    pieces = take_apart(whole)
    pieces.set_lines("ledger.jsonl", pieces.lines("ledger.jsonl")[:-3])
    pieces.segments = pieces.segments[:-2]
    verdict = judged_export(bench, tmp_path / "out.mp4", pieces.whole())
    assert verdict.exit_status == 1, said(verdict)
    assert content_findings(verdict) == ["journal.jsonl: it holds line 58 of the ledger as its end"]


@pytest.mark.parametrize("kept", [None, 3, 4])
def test_without_the_journals_word_the_end_is_not_proven(
    kept: int | None, bench: Bench, whole: bytes, tmp_path: Path
) -> None:
    pieces = take_apart(whole)
    if kept is None:
        pieces.member("journal.jsonl", None)
        pieces.member("policy.bundle", None)
        certificate_gone_provisioner(pieces)
    else:
        pieces.set_lines("journal.jsonl", pieces.lines("journal.jsonl")[:kept])
    verdict = judged_export(bench, tmp_path / "out.mp4", pieces.whole())
    assert (verdict.exit_status, verdict.answers.extent) == (4, "not-journaled"), said(verdict)


def certificate_gone_provisioner(pieces: Pieces) -> None:
    """Without the journal nothing needs the provisioner's certificate."""
    opened = records.decode_ledger(open_line(pieces.lines("ledger.jsonl")[0]).payload)
    assert isinstance(opened, RecordingOpened)
    device = (opened.certificate_sha256, opened.media_certificate_sha256)
    certificates = {key: der for key, der in pieces.contents.certificates.items() if key in device}
    pieces.contents = msgspec.structs.replace(pieces.contents, certificates=certificates)


# -- random edits -----------------------------------------------------------------------------------------------------


def edited(data: bytes, other: bytes, chance: random.Random) -> bytes:
    """One edit of a kind drawn: a byte, a run of bytes, a cut, a copy, an insertion, or a box's own size."""
    at = chance.randrange(len(data))
    run = min(chance.choice((1, 4, 50, 4000)), len(data) - at)
    kind = chance.randrange(7)
    match kind:
        case 0 | 1:
            return data[:at] + bytes([data[at] ^ (1 << chance.randrange(8))]) + data[at + 1 :]
        case 2:
            return data[:at] + chance.randbytes(run) + data[at + run :]
        case 3:
            return data[:at] + data[at + run :]
        case 4:
            return data[:at] + data[at : at + run] + data[at:]
        case 5:
            other_at = chance.randrange(len(other))
            return data[:at] + other[other_at : other_at + run] + data[at + run :]
        case _:
            found = chance.choice(list(top_level_boxes(data)))
            put = chance.choice((0, 1, 7, 8, found.length + 1, 2**32 - 1)).to_bytes(4, "big")
            return data[: found.offset] + put + data[found.offset + 4 :]


def test_no_random_edit_is_called_intact(bench: Bench, whole: bytes, part: bytes, other: bytes, tmp_path: Path) -> None:
    """None but one that changes nothing; and never anything but our own errors."""
    chance = random.Random(SEED)
    anchors = load_anchors(bench.trust)
    path = tmp_path / "out.mp4"
    changed = 0
    statuses: Counter[str] = Counter()
    for n in range(EDITS):
        source = (whole, part)[n % 2]
        data = edited(source, other, chance)
        path.write_bytes(data)
        changed += data != source
        status = 1
        if is_proof(path):
            status = verify_proof(path, anchors, NONE_REVOKED, lambda _: None).exit_status
        assert (status == 0) == (data == source), f"edit {n} of seed {SEED}: {status}"
        statuses[WORDS[status] if data != source else "changed nothing: intact"] += 1
    print(f"export, seed {SEED}: {EDITS} random edits: {dict(statuses)}")
    assert changed > EDITS * 0.9


def test_each_byte_of_a_small_part_counts(bench: Bench, part: bytes, tmp_path: Path) -> None:
    """Of everything but pictures and ledger text: any byte of the boxes' headers, of the init and of the head; by `make export-edits` each."""
    found = list(top_level_boxes(part))
    places = {n for b in found for n in range(b.offset, b.offset + b.header)} | set(range(found[1].end))
    places |= set(range(found[-1].offset, found[-1].offset + 400))
    anchors = load_anchors(bench.trust)
    path = tmp_path / "out.mp4"
    chosen = random.Random(SEED).sample(sorted(places), min(EDITS, len(places)))
    for at in chosen:
        path.write_bytes(part[:at] + bytes([part[at] ^ 0x20]) + part[at + 1 :])
        assert is_proof(path)
        assert verify_proof(path, anchors, NONE_REVOKED, lambda _: None).exit_status != 0, at
    print(
        f"export, seed {SEED}: {len(chosen)} of {len(places)} bytes changed, one at a time: none of these files is called intact"
    )


# -- what is no export ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["empty", "text", "pipe", "folder", "link to nothing"])
def test_a_file_that_is_no_export_is_said_to_be_none(
    kind: str, bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "file"
    make: dict[str, Callable[[], object]] = {
        "empty": lambda: path.write_bytes(b""),
        "text": lambda: path.write_bytes(b"hello"),
        "pipe": lambda: os.mkfifo(path),
        "folder": path.mkdir,
        "link to nothing": lambda: path.symlink_to("nothing"),
    }
    make[kind]()
    assert main(["verify", str(path), "--trust", str(bench.trust)]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert err.startswith("bodycam: ")


def test_without_its_box_it_is_a_clip(
    bench: Bench, whole: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Judged by the signatures within the pictures alone, and that is what it says."""
    path = tmp_path / "file"
    path.write_bytes(whole[: list(top_level_boxes(whole))[-1].offset])
    assert main(["verify", str(path), "--trust", str(bench.trust)]) == 0
    assert "can't tell whether a recording's beginning or end was cut off" in capsys.readouterr().out


def test_the_command_prints_the_five_answers(
    bench: Bench, whole: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out.mp4").write_bytes(whole)
    assert main(["verify", str(tmp_path / "out.mp4"), "--trust", str(bench.trust)]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "all 47 segments are as they were signed" in shown
    assert "closed (stopped) and journaled" in shown
    assert "intact; an exported file" in shown


# -- recordings that did not close ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cut(tmp_path_factory: pytest.TempPathFactory, agency: Agency) -> Bench:
    """A recording that the power cut, not recovered."""
    bench = make_bench(tmp_path_factory.mktemp("cut") / "bench", agency=agency, pre_event_s=2, post_event_s=1)
    twin = VirtualDevice(bench)
    twin.boot()
    twin.run(3)
    twin.double()
    twin.run(5.2)
    twin.cut()
    return bench


@pytest.fixture(scope="module")
def recovered(cut: Bench, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    bench = copy_of(cut, tmp_path_factory.mktemp("recovered") / "bench")
    twin = VirtualDevice(bench)
    twin.boot()
    twin.run(3)
    twin.stop()
    return bench


def test_an_open_recording_is_exported_whole_and_is_open(cut: Bench, tmp_path: Path) -> None:
    exported(cut, recordings(cut)[0], tmp_path / "out.mp4")
    verdict = judged_export(cut, tmp_path / "out.mp4")
    assert (verdict.exit_status, verdict.answers.extent, verdict.answers.content) == (4, "open", "matches"), said(
        verdict
    )
    with pytest.raises(UsageError, match="no signed end"):
        exported(cut, recordings(cut)[0], tmp_path / "part.mp4", seconds(1, 2))


def test_nothing_may_follow_the_lines_of_an_open_recording(cut: Bench, tmp_path: Path) -> None:
    pieces = take_apart(exported(cut, recordings(cut)[0], tmp_path / "out.mp4"))
    pieces.member("ledger.jsonl", pieces.contents.members["ledger.jsonl"] + b"more")
    verdict = judged_export(cut, tmp_path / "out.mp4", pieces.whole())
    assert verdict.exit_status == 1, said(verdict)


def test_a_recovered_recording_carries_its_recovery(recovered: Bench, tmp_path: Path) -> None:
    data = exported(recovered, recordings(recovered)[0], tmp_path / "out.mp4")
    verdict = judged_export(recovered, tmp_path / "out.mp4")
    assert (verdict.exit_status, verdict.answers.extent) == (4, "power-loss"), said(verdict)
    assert content_findings(verdict) == []
    pieces = take_apart(data)
    assert len(pieces.lines("recovery.jsonl")) == 1
    pieces.set_lines("ledger.jsonl", pieces.lines("ledger.jsonl")[:-1])
    assert judged_export(recovered, tmp_path / "out.mp4", pieces.whole()).exit_status == 1
    exported(recovered, recordings(recovered)[0], tmp_path / "part.mp4", seconds(1.5, 3))
    part = judged_export(recovered, tmp_path / "part.mp4")
    assert (part.exit_status, part.answers.extent) == (4, "power-loss"), said(part)
    assert part.answers.extent_said.startswith("seconds 1.000–3.000 of ")


# -- any bytes --------------------------------------------------------------------------------------------------------


@given(st.binary(max_size=300))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_bytes_are_boxes_or_our_error(data: bytes) -> None:
    def read(offset: int, count: int) -> bytes:
        return data[offset : offset + count]

    read_export(read, len(data))
    try:
        for found in boxes(read, 0, len(data)):
            list(inner_boxes(read, found))
    except EvidenceError:
        pass


def test_boxes_within_boxes_have_a_limit() -> None:
    data = b""
    for _ in range(200):
        data = box(b"trak", data)
    (outer,) = top_level_boxes(data)
    with pytest.raises(EvidenceError, match="deep"):
        list(inner_boxes(lambda offset, count: data[offset : offset + count], outer))


def test_sizes_of_64_bits_are_read() -> None:
    data = wide_box(b"mdat", b"abc") + wide_box(b"uuid", b"u" * 16 + b"x")
    first, second = top_level_boxes(data)
    assert (first.length, first.header, first.wide) == (19, 16, True)
    assert (second.user, second.header, second.wide) == (b"u" * 16, 32, True)


MEMBER = st.binary(max_size=40)
CONTENTS = st.builds(
    Contents,
    part=st.none()
    | st.builds(lambda first, more: Part(first=first, last=first + more), st.integers(0, 9), st.integers(0, 9)),
    members=st.dictionaries(
        st.sampled_from(["ledger.jsonl", "proofs.jsonl", "journal.jsonl", "policy.toml"]), MEMBER, min_size=1
    ),
    certificates=st.dictionaries(st.integers(0, 2**256 - 1).map(lambda n: f"{n:064x}"), MEMBER, max_size=3),
)


@given(CONTENTS)
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_box_is_unpacked_as_it_was_packed(contents: Contents) -> None:
    assert unpack(pack(contents)) == contents


@given(CONTENTS, st.data())
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_box_has_one_spelling_or_is_refused(contents: Contents, data: st.DataObject) -> None:
    packed = pack(contents)
    at = data.draw(st.integers(0, len(packed) - 1))
    put = data.draw(st.binary(max_size=4))
    changed = packed[:at] + put + packed[at + data.draw(st.integers(0, 4)) :]
    try:
        unpacked = unpack(changed)
    except EvidenceError:
        return
    assert pack(unpacked) == changed


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        b"{}\n",
        b"[" * 9000 + b"\n",
        b"\xff\n",
        b"x" * 20_000,
        b'{"format": "bodycam-export/1","part":null,"members":[{"name":"ledger.jsonl","size":0}]}\n',
        b'{"format":"other/1","part":null,"members":[{"name":"ledger.jsonl","size":0}]}\n',
        b'{"format":"bodycam-export/1","part":null,"members":[{"name":"other","size":0}]}\n',
        b'{"format":"bodycam-export/1","part":null,"members":[{"name":"ledger.jsonl","size":9007199254740991}]}\n',
    ],
)
def test_what_is_no_evidence_box_is_refused(data: bytes) -> None:
    with pytest.raises(EvidenceError):
        unpack(data)


def test_memory_is_flat_however_large_the_file(bench: Bench, whole: bytes, tmp_path: Path) -> None:
    """A file of 300 MB that claims to be an export: no block of it is kept."""
    path = tmp_path / "large.mp4"
    path.write_bytes(whole[: next(top_level_boxes(whole)).end] + take_apart(whole).moov)
    with path.open("ab") as file:
        file.write(box(b"moof", b"") + (8 + 300_000_000).to_bytes(4, "big") + b"mdat")
        file.truncate(file.tell() + 300_000_000)
        file.seek(0, os.SEEK_END)
        file.write(evidence_box(pack(take_apart(whole).contents)))
    tracemalloc.start()
    verdict = judged_export(bench, path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert verdict.exit_status == 1
    assert peak < 20_000_000

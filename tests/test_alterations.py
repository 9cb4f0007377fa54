"""Every way to alter evidence that DESIGN.md lists is caught, and the verdict names the place and the first bad second.

One test a class, then random byte flips over every file of a card: `BODYCAM_FLIPS` says how many.
"""

import os
import random
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pyrage
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from device.evidence import layout, records
from device.evidence.age_file import Recipient
from device.evidence.envelope import line_digest, open_line, sign_line
from device.evidence.identity import Role
from device.evidence.records import (
    ForeignCard,
    Line,
    PolicyName,
    RecordingEnded,
    RecordingOpened,
    Segments,
    Stopped,
)
from device.evidence.seal import Sealer
from device.evidence.verdicts import CardVerdict
from hw_sim.agency import Agency, Bench, Issued
from hw_sim.disk import PowerCut, TwinDisk
from hw_sim.virtual import VirtualDevice
from tests.benches import make_bench, segments_of, shown
from tests.cards import (
    all_findings,
    chained,
    changed,
    copy_of,
    device_signer,
    edit_lines,
    first_offset_s,
    folder_of,
    judged,
    lie_in_ledger,
    lines_of,
    named,
    put_certificate,
    put_epoch,
    record_card,
    signed_anew,
    write_lines,
)

FLIPS = int(os.environ.get("BODYCAM_FLIPS", "100"))
"""Random byte flips over all files of two cards, one at a time."""
SEED = int(os.environ.get("BODYCAM_SEED", "1"))
EPOCH = "000000"


@pytest.fixture(scope="module")
def agency() -> Agency:
    return Agency()


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory, agency: Agency) -> Bench:
    return record_card(tmp_path_factory.mktemp("altered") / "bench", agency)


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory, agency: Agency) -> Bench:
    """Another device of the same agency, and all its keys."""
    return record_card(tmp_path_factory.mktemp("other") / "bench", agency, device="BC-000002", seconds=(2,))


@pytest.fixture(scope="module")
def recovered(tmp_path_factory: pytest.TempPathFactory, agency: Agency) -> Bench:
    """The power went as a ledger's line was to be written: segments are durable that no record names. Then recovered."""
    bench = make_bench(tmp_path_factory.mktemp("recovered") / "bench", agency=agency, pre_event_s=2, post_event_s=1)
    device = VirtualDevice(bench)
    device.boot()
    device.run(3)
    device.double()
    device.run(2)
    disk = device.hardware.the_disk
    assert isinstance(disk, TwinDisk)

    def cut(operation: str, path: str) -> None:
        if operation == "append" and path.endswith(layout.LEDGER):
            raise PowerCut(path)

    disk.before = cut
    with pytest.raises(PowerCut):
        device.run(3)
    device.cut()
    device.boot()
    device.run(2)
    device.stop()
    verdict = judged(bench)
    assert (verdict.exit_status, verdict.recordings[0].answers.extent) == (4, "power-loss"), shown(verdict)
    assert verdict.recordings[0].unproven_files == 1
    return bench


@pytest.fixture
def bench(recorded: Bench, tmp_path: Path) -> Bench:
    """A copy to alter."""
    return copy_of(recorded, tmp_path / "bench")


@pytest.fixture
def first(bench: Bench) -> Path:
    return folder_of(bench, 0)


@pytest.fixture
def last(bench: Bench) -> Path:
    """The recording of which a device that lies can still sign the journal anew."""
    return folder_of(bench, 1)


def _altered(verdict: CardVerdict, place: str, offset_s: float | None = None, recording: int = 0) -> None:
    assert verdict.exit_status == 1, shown(verdict)
    assert place in named(verdict), shown(verdict)
    assert first_offset_s(verdict, recording) == offset_s, shown(verdict)


def _flip(path: Path, at: int, bit: int = 0) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1 << bit
    path.write_bytes(data)


# -- segments -------------------------------------------------------------------------------------------------------


def test_nothing_altered(recorded: Bench) -> None:
    verdict = judged(recorded, read=True)
    assert (verdict.exit_status, verdict.verdict) == (0, "intact"), shown(verdict)
    assert all_findings(verdict) == []


def test_a_segment_changed(bench: Bench, first: Path) -> None:
    _flip(first / "000003.m4s.age", 5000)
    verdict = judged(bench)
    _altered(verdict, "000003.m4s.age", 3.0)
    judged_first = verdict.recordings[0]
    assert judged_first.verified_segments == judged_first.segments - 1, "the other segments stay verified"
    assert verdict.recordings[1].verdict == "intact"


def test_a_segment_cut_short(bench: Bench, first: Path) -> None:
    path = first / "000002.m4s.age"
    path.write_bytes(path.read_bytes()[:-1])
    _altered(judged(bench), "000002.m4s.age", 2.0)


def test_a_segment_removed(bench: Bench, first: Path) -> None:
    (first / "000001.m4s.age").unlink()
    _altered(judged(bench), "000001.m4s.age", 1.0)


def test_a_segment_added(bench: Bench, first: Path) -> None:
    count = len(segments_of(bench, first))
    shutil.copy(first / "000001.m4s.age", first / layout.segment_file(count, 0))
    _altered(judged(bench), layout.segment_file(count, 0), 9.333)


def test_a_segment_added_as_another_attempt(bench: Bench, first: Path) -> None:
    shutil.copy(first / "000001.m4s.age", first / "000001-1.m4s.age")
    _altered(judged(bench), "000001-1.m4s.age")


def test_segments_swapped(bench: Bench, first: Path) -> None:
    (first / "000001.m4s.age").rename(first / "x")
    (first / "000002.m4s.age").rename(first / "000001.m4s.age")
    (first / "x").rename(first / "000002.m4s.age")
    verdict = judged(bench)
    _altered(verdict, "000001.m4s.age", 1.0)
    assert "000002.m4s.age" in named(verdict)


def test_segments_swapped_by_a_device_that_lies(bench: Bench, last: Path) -> None:
    """The ledger itself, signed anew, tells them in another order: their frames go back."""

    def swap(segments: list[records.Segment]) -> list[records.Segment]:
        a, b = segments[1], segments[2]
        segments[1], segments[2] = msgspec.structs.replace(b, n=1), msgspec.structs.replace(a, n=2)
        return segments

    _lie_about_segments(bench, last, swap)
    (last / "000001.m4s.age").rename(last / "x")
    (last / "000002.m4s.age").rename(last / "000001.m4s.age")
    (last / "x").rename(last / "000002.m4s.age")
    verdict = judged(bench)
    assert verdict.exit_status == 1
    said = [f.what for f in all_findings(verdict) if f.question == "content"]
    assert any("repeats or goes back in time" in what for what in said), shown(verdict)


def test_a_segment_repeated(bench: Bench, first: Path) -> None:
    shutil.copy(first / "000001.m4s.age", first / "000002.m4s.age")
    _altered(judged(bench), "000002.m4s.age", 2.0)


def test_a_segment_left_out_by_a_device_that_lies(bench: Bench, last: Path) -> None:
    """The numbers go on, the frames do not, and no gap says why."""

    def leave_out(segments: list[records.Segment]) -> list[records.Segment]:
        del segments[2]
        return [msgspec.structs.replace(s, n=n) for n, s in enumerate(segments)]

    count = len(segments_of(bench, last))
    _lie_about_segments(bench, last, leave_out)
    for n in range(2, count - 1):
        (last / layout.segment_file(n + 1, 0)).replace(last / layout.segment_file(n, 0))
    verdict = judged(bench)
    assert verdict.exit_status == 1
    said = [f.what for f in all_findings(verdict) if f.question == "content"]
    assert said == [
        "segment 2: 30 frames are missing before or in it; 0 are accounted for",
        "segment 2: 266015 µs of sound are missing, and no record tells why; 0 µs are accounted for",
    ], shown(verdict)
    assert first_offset_s(verdict, 1) == 2.947, "the sound ends with the packet before"


def test_a_segment_taken_from_another_recording(bench: Bench, first: Path) -> None:
    shutil.copy(folder_of(bench, 1) / "000001.m4s.age", first / "000001.m4s.age")
    _altered(judged(bench), "000001.m4s.age", 1.0)


def test_a_segment_taken_from_another_device(bench: Bench, first: Path, other: Bench) -> None:
    shutil.copy(folder_of(other, 0) / "000001.m4s.age", first / "000001.m4s.age")
    _altered(judged(bench), "000001.m4s.age", 1.0)


def _lie_about_segments(bench: Bench, folder: Path, edit: object) -> None:
    """The segments of the whole ledger in one record, as `edit` makes them, signed by the device itself."""
    assert callable(edit)

    def rewrite(lines: list[bytes]) -> list[bytes]:
        signer = device_signer(bench)
        told = [records.decode_ledger(open_line(line).payload) for line in lines]
        segments = edit([s for record in told if isinstance(record, Segments) for s in record.segments])
        at = next(n for n, record in enumerate(told) if isinstance(record, Segments))
        kept = [
            line
            for line, record in zip(lines, told, strict=True)
            if not isinstance(record, Segments) or line is lines[at]
        ]
        kept[at] = changed(kept[at], signer, segments=tuple(segments))
        return kept

    lie_in_ledger(bench, folder, rewrite)


# -- records --------------------------------------------------------------------------------------------------------


def test_a_record_edited(bench: Bench, first: Path) -> None:
    """Its payload says something else, in good spelling, under the signature that it had."""

    def edit(lines: list[bytes]) -> list[bytes]:
        signed = open_line(lines[3])
        record = records.decode_ledger(signed.payload)
        payload = msgspec.json.encode(msgspec.structs.replace(record, boot_us=record.boot_us + 1))

        class Same:
            certificate_sha256 = ""

            def sign(self, message: bytes) -> bytes:
                return signed.signature

        lines[3] = sign_line(Same(), signed.payload_type, payload)
        return lines

    edit_lines(first / layout.LEDGER, edit)
    verdict = judged(bench)
    assert verdict.exit_status == 1
    assert f"{layout.LEDGER}, line 3" in named(verdict), shown(verdict)
    assert first_offset_s(verdict, 0) is not None


def test_a_record_removed(bench: Bench, first: Path) -> None:
    edit_lines(first / layout.LEDGER, lambda lines: [*lines[:3], *lines[4:]])
    verdict = judged(bench)
    assert verdict.exit_status == 1
    assert f"{layout.LEDGER}, line 3" in named(verdict), shown(verdict)


def test_records_reordered(bench: Bench, first: Path) -> None:
    edit_lines(first / layout.LEDGER, lambda lines: [*lines[:3], lines[4], lines[3], *lines[5:]])
    verdict = judged(bench)
    assert verdict.exit_status == 1
    assert f"{layout.LEDGER}, line 3" in named(verdict), shown(verdict)


def test_a_record_of_another_recording_put_in(bench: Bench, first: Path) -> None:
    strange = lines_of(folder_of(bench, 1) / layout.LEDGER)[2]
    edit_lines(first / layout.LEDGER, lambda lines: [*lines[:3], strange, *lines[4:]])
    verdict = judged(bench)
    assert verdict.exit_status == 1
    assert f"{layout.LEDGER}, line 3" in named(verdict), shown(verdict)


def test_records_put_after_the_closing_one(bench: Bench, first: Path) -> None:
    edit_lines(first / layout.LEDGER, lambda lines: [*lines, lines[3]])
    count = len(lines_of(first / layout.LEDGER))
    verdict = judged(bench)
    assert verdict.exit_status == 1
    assert f"{layout.LEDGER}, line {count - 1}" in named(verdict), shown(verdict)


def test_a_record_signed_anew_in_its_place(bench: Bench, first: Path) -> None:
    """One signature of the device's own key, for one other record: the next line holds the hash of the one that was."""
    signer = device_signer(bench)
    edit_lines(first / layout.LEDGER, lambda lines: [*lines[:3], changed(lines[3], signer, boot_us=1), *lines[4:]])
    verdict = judged(bench)
    assert verdict.exit_status == 1
    assert f"{layout.LEDGER}, line 4" in named(verdict), shown(verdict)
    assert any("the hash of the line before it" in f.what for f in all_findings(verdict))


def test_a_record_of_another_device_by_a_device_that_lies(bench: Bench, last: Path) -> None:
    signer = device_signer(bench)
    edit_lines(
        last / layout.LEDGER,
        lambda lines: chained([*lines[:3], changed(lines[3], signer, device="BC-7"), *lines[4:]], signer, 4),
    )
    verdict = judged(bench)
    assert verdict.exit_status == 1
    assert any("a record of the device BC-7" in f.what for f in all_findings(verdict)), shown(verdict)


def test_a_record_numbered_wrong_by_a_device_that_lies(bench: Bench, last: Path) -> None:
    signer = device_signer(bench)

    def edit(lines: list[bytes]) -> list[bytes]:
        lines[3] = changed(lines[3], signer, seq=4)
        for n in range(4, len(lines)):
            lines[n] = changed(lines[n], signer, prev=line_digest(lines[n - 1]))
        return lines

    edit_lines(last / layout.LEDGER, edit)
    verdict = judged(bench)
    assert verdict.exit_status == 1
    assert any("record 4 where record 3 belongs" in f.what for f in all_findings(verdict)), shown(verdict)


def _signed_anew(bench: Bench, folder: Path, issued: Issued) -> None:
    """A thief's own key under the whole ledger, its certificate laid on the card."""
    put_certificate(bench.card, issued)
    signer = issued.signer

    def edit(lines: list[bytes]) -> list[bytes]:
        lines[0] = changed(lines[0], signer, certificate_sha256=signer.certificate_sha256)
        return signed_anew(lines, signer, issued.certificate, folder.name)

    edit_lines(folder / layout.LEDGER, edit)


@pytest.mark.parametrize("journal", ["with-journal", "without-journal"])
def test_a_ledger_signed_anew_by_another_devices_key(bench: Bench, first: Path, agency: Agency, journal: str) -> None:
    _signed_anew(bench, first, agency.issue("BC-000002", Role.LEDGER))
    _assert_not_the_device(bench, journal, "names BC-000002, its records BC-000001")


@pytest.mark.parametrize("journal", ["with-journal", "without-journal"])
@pytest.mark.parametrize("role", [role for role in Role if role is not Role.LEDGER])
def test_a_ledger_signed_anew_by_a_key_of_another_role(
    bench: Bench, first: Path, agency: Agency, role: Role, journal: str
) -> None:
    _signed_anew(bench, first, agency.issue("BC-000001", role))
    _assert_not_the_device(bench, journal, "not for the role ledger")


@pytest.mark.parametrize("journal", ["with-journal", "without-journal"])
def test_a_ledger_signed_anew_under_another_ca(bench: Bench, first: Path, journal: str) -> None:
    _signed_anew(bench, first, Agency("Demo Agency").issue("BC-000001", Role.LEDGER))
    _assert_not_the_device(bench, journal, "not issued under the given trust anchor")


def _assert_not_the_device(bench: Bench, journal: str, why: str) -> None:
    """The signer is refused by itself; and with the journal the content too, as that holds other lines."""
    if journal == "without-journal":
        shutil.rmtree(bench.card / layout.JOURNAL)
    verdict = judged(bench)
    assert verdict.exit_status == {"without-journal": 3, "with-journal": 1}[journal], shown(verdict)
    assert verdict.recordings[0].answers.signer == "not-trusted"
    assert why in verdict.recordings[0].answers.signer_said
    assert layout.LEDGER in named(verdict, "signer")


def test_a_device_that_says_it_is_another(bench: Bench, last: Path) -> None:
    """Its certificate names it, whatever its records say."""

    def edit(lines: list[bytes]) -> list[bytes]:
        return [changed(line, device_signer(bench), device="BC-000007") for line in lines]

    lie_in_ledger(bench, last, edit)
    verdict = judged(bench)
    assert verdict.recordings[1].answers.signer == "not-trusted", shown(verdict)
    assert verdict.exit_status == 3


def test_a_head_removed(bench: Bench, first: Path) -> None:
    edit_lines(first / layout.LEDGER, lambda lines: lines[1:])
    _altered(judged(bench), f"{layout.LEDGER}, line 0", 0.0)


def test_a_middle_removed(bench: Bench, first: Path) -> None:
    edit_lines(first / layout.LEDGER, lambda lines: [*lines[:2], *lines[-2:]])
    verdict = judged(bench)
    assert verdict.exit_status == 1
    assert f"{layout.LEDGER}, line 2" in named(verdict), shown(verdict)


@pytest.mark.parametrize("lines_removed", [1, 2, 3])
def test_a_tail_removed(bench: Bench, first: Path, lines_removed: int) -> None:
    count = len(lines_of(first / layout.LEDGER))
    edit_lines(first / layout.LEDGER, lambda lines: lines[:-lines_removed])
    verdict = judged(bench)
    assert verdict.exit_status == 1
    assert f"{layout.LEDGER}, line {count - 1}" in named(verdict), shown(verdict)


def test_a_ledger_removed(bench: Bench, first: Path) -> None:
    (first / layout.LEDGER).unlink()
    _altered(judged(bench), layout.LEDGER, 0.0)


def test_a_whole_recording_removed(bench: Bench, first: Path) -> None:
    shutil.rmtree(first)
    verdict = judged(bench)
    assert verdict.exit_status == 1
    assert f"{layout.EVIDENCE}/{first.name}" in named(verdict), shown(verdict)


def test_all_recordings_removed(bench: Bench) -> None:
    shutil.rmtree(bench.card / layout.EVIDENCE)
    assert judged(bench).exit_status == 1


def test_everything_removed(bench: Bench) -> None:
    """An emptied card is not an intact one."""
    shutil.rmtree(bench.card)
    for folder in (bench.card, bench.card / layout.EVIDENCE, bench.card / layout.JOURNAL):
        folder.mkdir()
    verdict = judged(bench)
    assert (verdict.exit_status, verdict.verdict) == (4, "unchanged; extent unproven")
    assert named(verdict, "extent") == [layout.JOURNAL]


def test_a_recording_kept_twice(bench: Bench, first: Path) -> None:
    copy = first.with_name("000009-0123456789abcdef")
    shutil.copytree(first, copy)
    verdict = judged(bench)
    assert verdict.exit_status == 1
    assert [r.recording for r in verdict.recordings if r.exit_status == 1] == [copy.name], shown(verdict)


def test_a_closing_record_that_counts_wrong(bench: Bench, last: Path) -> None:
    """A device that lies about totals and tree: both are computed again."""
    signer = device_signer(bench)
    lie_in_ledger(bench, last, lambda lines: lines)
    path = last / layout.LEDGER
    closing = records.decode_ledger(open_line(lines_of(path)[-1]).payload)
    assert isinstance(closing, records.RecordingClosed)
    totals = msgspec.structs.replace(closing.totals, frames=closing.totals.frames + 1)
    tree = msgspec.structs.replace(closing.tree, root="0" * 64)
    edit_lines(path, lambda lines: [*lines[:-1], changed(lines[-1], signer, totals=totals, tree=tree)])
    said = [f.what for f in all_findings(judged(bench)) if f.question == "content"]
    assert "its totals are not those of the ledger" in said
    assert "its tree root is not that of the ledger" in said


# -- tracks, times, recipients, policy --------------------------------------------------------------------------------


def test_a_track_added(bench: Bench, first: Path, agency: Agency) -> None:
    """Anyone can encrypt another init to the agency; the digests are signed."""
    init = pyrage.decrypt((first / layout.INIT).read_bytes(), [agency.footage])
    resealed = Sealer((agency.footage_recipient,), "").seal(init + init)
    (first / layout.INIT).write_bytes(resealed.data)
    _altered(judged(bench), layout.INIT, 0.0)


def test_a_track_added_by_a_device_that_lies(bench: Bench, last: Path) -> None:
    """A recording with sound of which the ledger says that it has none: seen by whoever opens it."""

    def silent(lines: list[bytes]) -> list[bytes]:
        return [changed(lines[0], device_signer(bench), audio=None), *lines[1:]]

    lie_in_ledger(bench, last, silent)
    assert judged(bench).exit_status == 0
    verdict = judged(bench, read=True)
    assert verdict.exit_status == 1
    assert "its tracks are" in verdict.recordings[1].answers.read_said, shown(verdict)


def test_the_timescale_changed_by_a_device_that_lies(bench: Bench, last: Path) -> None:
    def faster(lines: list[bytes]) -> list[bytes]:
        opened = records.decode_ledger(open_line(lines[0]).payload)
        assert isinstance(opened, RecordingOpened)
        video = msgspec.structs.replace(opened.video, timescale_hz=90_000)
        return [changed(lines[0], device_signer(bench), video=video), *lines[1:]]

    lie_in_ledger(bench, last, faster)
    verdict = judged(bench, read=True)
    assert verdict.exit_status == 1
    assert "its tracks are" in verdict.recordings[1].answers.read_said, shown(verdict)


def test_times_changed(bench: Bench, first: Path, agency: Agency) -> None:
    """A fragment's decode time moved, and encrypted anew."""
    path = first / "000002.m4s.age"
    plain = bytearray(pyrage.decrypt(path.read_bytes(), [agency.footage]))
    at = plain.index(b"tfdt") + 15
    plain[at] ^= 1
    path.write_bytes(Sealer((agency.footage_recipient,), "").seal(bytes(plain)).data)
    _altered(judged(bench), "000002.m4s.age", 2.0)


def test_times_changed_by_a_device_that_lies(bench: Bench, last: Path) -> None:
    """The ledger says that a segment began later than it did: seen by whoever opens it."""

    def later(segments: list[records.Segment]) -> list[records.Segment]:
        video = segments[2].video
        assert video is not None
        moved = msgspec.structs.replace(video, from_us=video.from_us + 1000)
        segments[2] = msgspec.structs.replace(segments[2], video=moved)
        return segments

    _lie_about_segments(bench, last, later)
    verdict = judged(bench, read=True)
    assert verdict.exit_status == 1
    assert "segment 2: frames and times" in verdict.recordings[1].answers.read_said, shown(verdict)


def test_times_that_do_not_count_from_the_first_frame(bench: Bench, last: Path) -> None:
    def earlier(lines: list[bytes]) -> list[bytes]:
        opened = records.decode_ledger(open_line(lines[0]).payload)
        assert isinstance(opened, RecordingOpened)
        video = msgspec.structs.replace(opened.video, base_us=opened.video.base_us - 1_000_000)
        return [changed(lines[0], device_signer(bench), video=video), *lines[1:]]

    lie_in_ledger(bench, last, earlier)
    said = [f.what for f in all_findings(judged(bench)) if f.question == "content"]
    assert said == ["segment 0: the recording's times do not count from its first frame"]


def test_sound_that_goes_back_in_time(bench: Bench, last: Path) -> None:
    def back(segments: list[records.Segment]) -> list[records.Segment]:
        heard = [n for n, segment in enumerate(segments) if segment.audio is not None]
        segments[heard[1]] = msgspec.structs.replace(segments[heard[1]], audio=segments[heard[0]].audio)
        return segments

    _lie_about_segments(bench, last, back)
    verdict = judged(bench)
    assert verdict.exit_status == 1
    assert any("its sound repeats or goes back in time" in f.what for f in all_findings(verdict)), shown(verdict)


def test_recipients_added(tmp_path: Path, agency: Agency) -> None:
    """A device that encrypts to one more than it says: the header's stanzas tell, though nothing was opened."""
    bench = make_bench(tmp_path / "bench", agency=agency, pre_event_s=2, post_event_s=1, audio=False)
    device = VirtualDevice(bench)
    device.boot()
    spy = Recipient(str(pyrage.x25519.Identity.generate().to_public()))
    device.daemon.recorder._footage._recipients.append(spy)
    device.run(3)
    device.record(1)
    device.stop()
    verdict = judged(bench)
    assert verdict.exit_status == 1
    assert {layout.INIT, "000000.m4s.age"} <= set(named(verdict))
    said = all_findings(verdict)[0].what
    assert said == "encrypted for 2 (x25519, x25519); the ledger says 1", shown(verdict)
    assert first_offset_s(verdict, 0) == 0.0


@pytest.mark.parametrize(
    ("kind", "old", "new"), [("toml", b'"deny"', b'"allow"'), ("bundle", b'"sig":"M', b'"sig":"N')]
)
def test_a_policy_swapped(bench: Bench, kind: str, old: bytes, new: bytes) -> None:
    path = next((bench.card / layout.POLICY).glob(f"*.{kind}"))
    assert old in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(old, new))
    _altered(judged(bench), f"{layout.POLICY}/{path.name}", {"toml": 0.0, "bundle": None}[kind])


@pytest.mark.parametrize("kind", ["toml", "bundle"])
def test_a_policy_removed(bench: Bench, kind: str) -> None:
    path = next((bench.card / layout.POLICY).glob(f"*.{kind}"))
    path.unlink()
    _altered(judged(bench), f"{layout.POLICY}/{path.name}", {"toml": 0.0, "bundle": None}[kind])


def test_a_policy_swapped_where_nothing_was_recorded(tmp_path: Path, agency: Agency) -> None:
    """The journal's decisions are replayed with it (E10)."""
    bench = make_bench(tmp_path / "bench", agency=agency, audio=False)
    device = VirtualDevice(bench)
    device.boot()
    device.run(2)
    device.press("function")
    device.stop()
    assert judged(bench).exit_status == 0
    path = next((bench.card / layout.POLICY).iterdir())
    path.write_bytes(path.read_bytes() + b"\n")
    verdict = judged(bench)
    assert verdict.exit_status == 1
    assert f"{layout.POLICY}/{path.name}" in named(verdict)


def test_a_policy_named_by_another_version(bench: Bench, last: Path) -> None:
    """A device that lies: the bytes are those of version 1, the record says 2; and its boot said 1."""

    def newer(lines: list[bytes]) -> list[bytes]:
        opened = records.decode_ledger(open_line(lines[0]).payload)
        assert isinstance(opened, RecordingOpened)
        policy = PolicyName(id=opened.policy.id, version=opened.policy.version + 1, sha256=opened.policy.sha256)
        return [changed(lines[0], device_signer(bench), policy=policy), *lines[1:]]

    lie_in_ledger(bench, last, newer)
    said = [f.what for f in all_findings(judged(bench)) if f.question == "content"]
    assert len(said) == 2
    assert "the record names" in said[0]
    assert "not the one that its boot names" in said[1]


# -- the journal ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def histories(tmp_path_factory: pytest.TempPathFactory, agency: Agency) -> tuple[Bench, Bench, str]:
    """One card's two futures, and a line that the outside knows of the first of them."""
    root = tmp_path_factory.mktemp("histories")
    before = record_card(root / "before", agency, seconds=(1,))
    futures = [copy_of(before, root / "kept"), copy_of(before, root / "forked")]
    for bench in futures:
        device = VirtualDevice(bench)
        device.boot()
        device.run(3)
        device.record(1)
        device.stop()
    known = line_digest(lines_of(futures[0].card / layout.epoch_file("000001"))[-1])
    return futures[0], futures[1], known


def test_a_journal_that_holds_the_line_known_from_outside(histories: tuple[Bench, Bench, str]) -> None:
    verdict = judged(histories[0], head=histories[2])
    assert verdict.exit_status == 0, shown(verdict)
    assert "anchored up to line" in verdict.journal_said


def test_a_journal_rolled_back(histories: tuple[Bench, Bench, str], tmp_path: Path) -> None:
    """Put back as it was before the last boot, with its recording: only the outside knows better."""
    bench = copy_of(histories[0], tmp_path / "bench")
    (bench.card / layout.epoch_file("000001")).unlink()
    shutil.rmtree(folder_of(bench, 1))
    assert judged(bench).journal_said == "history not anchored"
    verdict = judged(bench, head=histories[2])
    _altered(verdict, layout.JOURNAL)
    assert "rolled back, forked or cut" in verdict.findings[-1].what


def test_a_journal_rolled_back_under_its_recordings(histories: tuple[Bench, Bench, str], tmp_path: Path) -> None:
    bench = copy_of(histories[0], tmp_path / "bench")
    (bench.card / layout.epoch_file("000001")).unlink()
    verdict = judged(bench)
    _altered(verdict, f"{layout.LEDGER}, line 0", 0.0, recording=1)


def test_a_journal_forked(histories: tuple[Bench, Bench, str]) -> None:
    assert judged(histories[1]).exit_status == 0
    _altered(judged(histories[1], head=histories[2]), layout.JOURNAL)


def test_a_recording_of_the_other_future_put_in(histories: tuple[Bench, Bench, str], tmp_path: Path) -> None:
    bench = copy_of(histories[1], tmp_path / "bench")
    strange = folder_of(histories[0], 1)
    shutil.copytree(strange, bench.card / layout.EVIDENCE / strange.name)
    verdict = judged(bench)
    assert [r.recording for r in verdict.recordings if r.exit_status == 1] == [strange.name], shown(verdict)
    assert f"{layout.LEDGER}, line 0" in named(verdict)


def test_a_journal_cut_at_its_end(bench: Bench) -> None:
    """Whole lines gone from the end: no line is altered, and what came after is not known."""
    edit_lines(bench.card / layout.epoch_file(EPOCH), lambda lines: lines[:-1])
    verdict = judged(bench)
    assert verdict.exit_status == 4
    count = len(lines_of(bench.card / layout.epoch_file(EPOCH)))
    assert named(verdict, "extent") == [f"{layout.epoch_file(EPOCH)}, line {count}"], shown(verdict)


def test_an_epoch_removed_from_the_middle(tmp_path: Path, histories: tuple[Bench, Bench, str]) -> None:
    bench = copy_of(histories[0], tmp_path / "bench")
    device = VirtualDevice(bench)
    device.boot()
    device.run(1)
    device.stop()
    assert judged(bench).exit_status == 0
    (bench.card / layout.epoch_file("000001")).unlink()
    verdict = judged(bench)
    assert verdict.exit_status == 1
    assert any(place.startswith(layout.epoch_file("000002")) for place in named(verdict)), shown(verdict)


def test_a_journal_line_removed(bench: Bench) -> None:
    edit_lines(bench.card / layout.epoch_file(EPOCH), lambda lines: [*lines[:5], *lines[6:]])
    verdict = judged(bench)
    assert verdict.exit_status == 1
    assert f"{layout.epoch_file(EPOCH)}, line 5" in named(verdict), shown(verdict)


def test_the_agencys_statement_signed_by_the_device(bench: Bench) -> None:
    """A device can't provision itself."""
    signer = device_signer(bench)

    def edit(lines: list[bytes]) -> list[bytes]:
        signed = open_line(lines[0])
        lines[0] = sign_line(signer, signed.payload_type, signed.payload)
        for n in range(1, len(lines)):
            record = records.decode_journal(open_line(lines[n]).payload)
            payload = msgspec.json.encode(msgspec.structs.replace(record, prev=line_digest(lines[n - 1])))
            lines[n] = sign_line(signer, records.RECORD_TYPE, payload)
        return lines

    edit_lines(bench.card / layout.epoch_file(EPOCH), edit)
    verdict = judged(bench)
    assert f"{layout.epoch_file(EPOCH)}, line 0" in named(verdict, "signer"), shown(verdict)
    assert any("not for the role provisioning" in f.what for f in verdict.findings)


# -- with another device's keys -------------------------------------------------------------------------------------


def test_a_recording_of_another_device_put_in(bench: Bench, other: Bench) -> None:
    """With its certificate: it starts from a journal that is not this card's."""
    strange = folder_of(other, 0)
    shutil.copytree(strange, bench.card / layout.EVIDENCE / strange.name)
    for path in (other.card / layout.IDENTITY).iterdir():
        shutil.copy(path, bench.card / layout.IDENTITY / path.name)
    verdict = judged(bench)
    assert [r.recording for r in verdict.recordings if r.exit_status == 1] == [strange.name], shown(verdict)


def test_a_recording_replaced_by_one_of_another_device(bench: Bench, other: Bench) -> None:
    """Under the same name, told by a journal of that device which is begun on this card: both journals are good ones."""
    last = folder_of(bench, 1)
    shutil.rmtree(last)
    thief = Bench(other.root.parent / "thief")
    shutil.copytree(other.root, thief.root)
    shutil.rmtree(thief.card)
    shutil.copytree(bench.card, thief.card)
    device = VirtualDevice(thief)
    device.boot()
    device.daemon.recorder._entropy = lambda count: bytes.fromhex(last.name[7:]) if count == 8 else os.urandom(count)
    device.run(3)
    device.record(1)
    device.stop()
    shutil.copy(bench.trust, thief.trust)
    assert folder_of(thief, 1).name == last.name
    verdict = judged(thief)
    assert verdict.recordings[1].device == "BC-000002"
    _altered(verdict, f"{layout.LEDGER}, line 0", 0.0, recording=1)
    shutil.rmtree(thief.root)


def test_a_recording_that_starts_from_the_journal_of_another_device(bench: Bench, other: Bench, agency: Agency) -> None:
    """Another device's recording whose first line names a line of this card's journal, and prev too."""
    journal = [open_line(line) for line in lines_of(bench.card / layout.epoch_file(EPOCH))]
    start = Line(stream=EPOCH, seq=4, sha256=journal[4].sha256)
    strange = bench.card / layout.EVIDENCE / folder_of(other, 0).name
    shutil.copytree(folder_of(other, 0), strange)
    for path in (other.card / layout.IDENTITY).iterdir():
        shutil.copy(path, bench.card / layout.IDENTITY / path.name)
    signer = device_signer(other)

    def edit(lines: list[bytes]) -> list[bytes]:
        lines[0] = changed(lines[0], signer, journal=start, prev=start.sha256)
        return chained(lines[:-1], signer, 1)

    edit_lines(strange / layout.LEDGER, edit)
    verdict = judged(bench)
    said = [f.what for r in verdict.recordings if r.recording == strange.name for f in r.findings]
    assert said == ["it starts from the journal of another key, that of BC-000001"], shown(verdict)


def test_the_end_of_a_recording_told_by_another_device(bench: Bench, first: Path, other: Bench) -> None:
    """The journal is cut before the end of a recording, and a journal of another device says that it ended so."""
    path = bench.card / layout.epoch_file(EPOCH)
    told = [records.decode_journal(open_line(line).payload) for line in lines_of(path)[1:]]
    ended = next(n for n, r in enumerate(told) if isinstance(r, RecordingEnded) and r.recording == first.name)
    edit_lines(path, lambda lines: lines[: ended + 1])
    shutil.rmtree(folder_of(bench, 1))
    foreign = ForeignCard(found_device="BC-000001", epoch=EPOCH, sha256=line_digest(path.read_bytes()))
    lie = told[ended]
    assert isinstance(lie, RecordingEnded)
    put_epoch(bench.card, "000001", other, [foreign, lie, Stopped(reason="shutdown")])
    verdict = judged(bench)
    assert verdict.recordings[0].answers.extent == "unknown", shown(verdict)
    assert verdict.exit_status == 1


def test_a_journal_begun_by_another_device_that_does_not_name_what_it_found(bench: Bench, other: Bench) -> None:
    put_epoch(bench.card, "000001", other, [Stopped(reason="shutdown")])
    verdict = judged(bench)
    assert verdict.exit_status == 1
    assert named(verdict)[0].startswith(layout.epoch_file("000001")), shown(verdict)


def test_a_journal_changed_after_another_device_had_found_it(bench: Bench, other: Bench) -> None:
    path = bench.card / layout.epoch_file(EPOCH)
    foreign = ForeignCard(found_device="BC-000001", epoch=EPOCH, sha256=line_digest(path.read_bytes()))
    put_epoch(bench.card, "000001", other, [foreign, Stopped(reason="shutdown")])
    assert judged(bench).exit_status == 0, shown(judged(bench))
    edit_lines(path, lambda lines: lines[:-1])
    verdict = judged(bench)
    assert verdict.exit_status == 1
    assert named(verdict) == [layout.epoch_file(EPOCH)], shown(verdict)


def test_a_journal_of_a_device_that_no_ca_issued(bench: Bench, other: Bench, agency: Agency) -> None:
    """The agency's own provisioner, gone bad, vouches for a key of its own making."""
    rogue = ec.generate_private_key(ec.SECP256R1())
    forged = Agency("Demo Agency").issue("BC-000001", Role.LEDGER)
    assert forged.key != rogue
    put_certificate(bench.card, forged)
    statement = agency.provision("BC-000001", forged.certificate)
    path = bench.card / layout.epoch_file(EPOCH)
    lines = [statement]
    for line in lines_of(path)[1:]:
        record = records.decode_journal(open_line(line).payload)
        fields: dict[str, object] = {"prev": line_digest(lines[-1])}
        if isinstance(record, records.Boot):
            fields["certificate_sha256"] = forged.signer.certificate_sha256
        payload = msgspec.json.encode(msgspec.structs.replace(record, **fields))
        lines.append(sign_line(forged.signer, records.RECORD_TYPE, payload))
    write_lines(path, lines)
    verdict = judged(bench)
    assert f"{layout.epoch_file(EPOCH)}, line 0" in named(verdict, "signer"), shown(verdict)
    assert verdict.exit_status == 1, "its lines are not those that the recordings start from"


def test_a_boot_that_names_another_certificate_than_the_statement(bench: Bench) -> None:
    signer = device_signer(bench)

    def edit(lines: list[bytes]) -> list[bytes]:
        for n in range(1, len(lines)):
            record = records.decode_journal(open_line(lines[n]).payload)
            fields: dict[str, object] = {"prev": line_digest(lines[n - 1])}
            if n == 1:
                fields["certificate_sha256"] = "0" * 64
            payload = msgspec.json.encode(msgspec.structs.replace(record, **fields))
            lines[n] = sign_line(signer, records.RECORD_TYPE, payload)
        return lines

    edit_lines(bench.card / layout.epoch_file(EPOCH), edit)
    said = [f.what for f in judged(bench).findings if f.question == "content"]
    assert said == ["its boot names another certificate than the agency's statement"]


# -- what is no file ------------------------------------------------------------------------------------------------


def _link(path: Path) -> None:
    path.rename(path.with_name("moved"))
    path.symlink_to("moved")


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("put", [_link, _pipe, _directory])
@pytest.mark.parametrize("name", ["000001.m4s.age", layout.INIT, layout.LEDGER])
def test_something_else_in_place_of_a_file(bench: Bench, first: Path, put: object, name: str) -> None:
    assert callable(put)
    put(first / name)
    verdict = judged(bench)
    assert verdict.exit_status == 1
    assert name in named(verdict), shown(verdict)
    assert any("not a regular file" in f.what for f in all_findings(verdict))


@pytest.mark.parametrize("folder", [layout.EVIDENCE, layout.JOURNAL, layout.IDENTITY, layout.POLICY, layout.SPOOL])
def test_a_link_in_place_of_a_folder(bench: Bench, folder: str) -> None:
    """Also when it leads to the very same files: what a link leads to may change after it was looked at."""
    _link(bench.card / folder)
    verdict = judged(bench)
    assert verdict.exit_status == 1
    assert folder in named(verdict) or any(folder in f.place for f in all_findings(verdict)), shown(verdict)


def test_a_link_in_place_of_a_recording(bench: Bench, first: Path) -> None:
    shutil.move(first, bench.root / "elsewhere")
    first.symlink_to(bench.root / "elsewhere")
    verdict = judged(bench)
    assert verdict.exit_status == 1
    assert verdict.recordings[0].exit_status == 1
    assert any("not a folder" in f.what for f in verdict.recordings[0].findings), shown(verdict)


def test_files_of_huge_sizes_are_not_read(bench: Bench, first: Path, recovered: Bench, tmp_path: Path) -> None:
    for name in ("000001.m4s.age", layout.INIT, layout.LEDGER):
        with (first / name).open("r+b") as file:
            file.truncate(1 << 40)
    assert judged(bench).exit_status == 1
    cut = copy_of(recovered, tmp_path / "cut")
    found = _unproven(cut)
    with found.open("r+b") as file:
        file.truncate(1 << 40)
    verdict = judged(cut)
    _altered(verdict, found.name, 4.0)


def test_a_recovery_put_beside_a_closed_recording(bench: Bench, first: Path) -> None:
    (first / "recovery-0.jsonl").write_bytes(lines_of(first / layout.LEDGER)[-1] + b"\n")
    _altered(judged(bench), "recovery-0.jsonl", 9.333)


# -- recovered recordings -------------------------------------------------------------------------------------------


def _unproven(bench: Bench) -> Path:
    folder = folder_of(bench, 0)
    named_files = {layout.segment_file(s.n, s.attempt) for s in segments_of(bench, folder)}
    files = [path for path in sorted(folder.glob("*.m4s.age")) if path.name not in named_files]
    assert len(files) == 1
    return files[0]


def test_a_found_segment_changed(recovered: Bench, tmp_path: Path) -> None:
    bench = copy_of(recovered, tmp_path / "bench")
    _flip(_unproven(bench), 1000)
    _altered(judged(bench), _unproven(bench).name, 4.0)


def test_a_found_segment_removed(recovered: Bench, tmp_path: Path) -> None:
    bench = copy_of(recovered, tmp_path / "bench")
    name = _unproven(bench).name
    _unproven(bench).unlink()
    _altered(judged(bench), name, 4.0)


def test_a_segment_added_after_a_recovery(recovered: Bench, tmp_path: Path) -> None:
    bench = copy_of(recovered, tmp_path / "bench")
    found = _unproven(bench)
    added = layout.segment_file(int(found.name[:6]) + 1, 0)
    shutil.copy(found, found.with_name(added))
    _altered(judged(bench), added, 4.0)


def test_bytes_added_to_a_recovered_ledger(recovered: Bench, tmp_path: Path) -> None:
    bench = copy_of(recovered, tmp_path / "bench")
    with (folder_of(bench, 0) / layout.LEDGER).open("ab") as file:
        file.write(b"{")
    verdict = judged(bench)
    assert verdict.exit_status == 1
    assert layout.LEDGER in named(verdict), shown(verdict)


def test_a_recovery_removed(recovered: Bench, tmp_path: Path) -> None:
    bench = copy_of(recovered, tmp_path / "bench")
    (folder_of(bench, 0) / "recovery-0.jsonl").unlink()
    verdict = judged(bench)
    assert verdict.exit_status == 1
    count = len(lines_of(folder_of(bench, 0) / layout.LEDGER))
    assert f"{layout.LEDGER}, line {count}" in named(verdict), shown(verdict)


# -- random byte flips ----------------------------------------------------------------------------------------------


def _files(bench: Bench) -> list[Path]:
    files = sorted(p for p in bench.card.rglob("*") if p.is_file() and p.name != layout.RESERVE)
    assert len(files) > 10
    return files


def _flips(bench: Bench, count: int, seed: str) -> Iterator[tuple[Path, int, int]]:
    """Each file at its first byte, its last byte and its middle; then at random, small files as often as large ones."""
    files = _files(bench)
    for path in files:
        size = path.stat().st_size
        yield from ((path, at, 0) for at in (0, size // 2, size - 1))
    journal = sorted((bench.card / layout.JOURNAL).iterdir())[-1]
    last_line = journal.stat().st_size - len(lines_of(journal)[-1]) - 1
    draw = random.Random(seed)
    for _ in range(10):
        yield journal, draw.randrange(last_line, journal.stat().st_size), draw.randrange(8)
    for _ in range(count):
        path = draw.choice(files)
        yield path, draw.randrange(path.stat().st_size), draw.randrange(8)


def _in_the_unproven_tail(bench: Bench, path: Path, at: int) -> bool:
    """Whether the byte is in lines of the journal's end of which none says that the one before it was durable.

    A power cut may leave any of these torn and a later one whole.
    """
    last = sorted((bench.card / layout.JOURNAL).iterdir())[-1]
    lines = lines_of(last)
    durable = records.decode_journal(open_line(lines[-1]).payload).durable
    kept = 0
    for line in lines:
        signed = open_line(line)
        if signed.payload_type == records.RECORD_TYPE and records.decode_journal(signed.payload).seq > durable:
            break
        kept += len(line) + 1
    return path == last and at >= kept


def _expected(bench: Bench, path: Path, at: int) -> set[int]:
    """Altered; where only the journal's own unproven end is hurt, its extent; in the agency's statement, the signer too."""
    if _in_the_unproven_tail(bench, path, at):
        return {4}
    journal = bench.card / layout.epoch_file(EPOCH)
    return {1, 3} if path == journal and at < len(lines_of(journal)[0]) else {1}


@pytest.mark.parametrize("card", ["recorded", "recovered"])
def test_every_byte_flipped_is_caught_and_named(card: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    source: Bench = request.getfixturevalue(card)
    before = {f.place for f in all_findings(judged(source))}
    bench = copy_of(source, tmp_path / "bench")
    statuses: Counter[str] = Counter()
    for path, at, bit in _flips(bench, FLIPS // 2, f"{SEED} {card}"):
        expected = _expected(bench, path, at)
        content = path.read_bytes()
        _flip(path, at, bit)
        verdict = judged(bench)
        path.write_bytes(content)
        said = f"seed {SEED}: {path.relative_to(bench.card)}, byte {at}, bit {bit}: {shown(verdict)}"
        assert verdict.exit_status in expected, said
        new = {f.place for f in all_findings(verdict)} - before
        assert any(path.name in place for place in new) or path.name in _all_said(verdict), said
        statuses[verdict.verdict] += 1
    print(f"card {card}, seed {SEED}: {statuses.total()} flipped bits, each told with its file: {dict(statuses)}")


def _all_said(verdict: CardVerdict) -> str:
    return " ".join(f.what for f in all_findings(verdict))

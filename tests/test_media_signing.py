"""What the recorder signs into the pictures: every GOP, to the last; decoders take it; the ledger and it agree."""

import random
import subprocess
from pathlib import Path

import msgspec
import pytest

from device.errors import ConfigurationError, EvidenceError
from device.evidence import layout
from device.evidence.identity import Role, load_anchors
from device.evidence.media_check import check_media
from device.evidence.opened_media import OpenedMedia
from device.evidence.opening import Identity, check_plaintext
from device.evidence.records import RecordingOpened
from device.media import onvif
from device.media.nal import unit_type
from device.media.onvif_sei import parse
from hw_sim.agency import Agency, Bench
from hw_sim.disk import TwinDisk
from hw_sim.virtual import VirtualDevice
from tests.benches import export, ledger, make_bench, recordings, segments_of, shown, verified
from tests.media import as_samples, frames_of, gops_of, media_key, parsed, samples_of, signed, unsigned

AGENCY = Agency()


def recorded(root: Path, *, audio: bool = True, stall: bool = False) -> Bench:
    bench = make_bench(root / "bench", agency=AGENCY, audio=audio, pre_event_s=2, post_event_s=1)
    device = VirtualDevice(bench)
    device.boot()
    device.run(3)
    device.double()
    device.run(2.2)
    if stall:
        device.hardware.the_camera.stall()
        device.run(3)
        device.hardware.the_camera.resume()
        device.run(2)
    device.confirmed_stop()
    device.until_idle()
    device.stop()
    return bench


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return recorded(tmp_path_factory.mktemp("signed"))


@pytest.fixture(scope="module")
def clip(bench: Bench) -> Path:
    return export(bench, recordings(bench)[0], bench.root / "clip.mp4")


def opened_of(bench: Bench) -> RecordingOpened:
    opened = ledger(bench, recordings(bench)[0]).lines[0].record
    assert isinstance(opened, RecordingOpened)
    return opened


# -- what is written ------------------------------------------------------------------------------------------------


def test_every_gop_is_signed_the_last_one_too(bench: Bench, clip: Path) -> None:
    verdict = check_media(clip, load_anchors(bench.trust))
    assert (verdict.pictures, verdict.key, verdict.exit_status) == ("unaltered", "trusted", 0)
    assert (verdict.pending, verdict.wrong, verdict.missing, verdict.from_start) == (0, 0, 0, True)
    assert verdict.received == verdict.validated
    segments = segments_of(bench, recordings(bench)[0])
    assert [gop.frames for gop in verdict.gops] == [s.video.frames for s in segments if s.video is not None]
    assert verdict.frames == sum(gop.frames for gop in verdict.gops)
    assert (verdict.signer, verdict.serial, verdict.manufacturer) == ("BC-000001", "BC-000001", "Demo Agency CA")
    assert verdict.firmware.startswith("bodycam ")
    assert verdict.certificate_sha256 == opened_of(bench).media_certificate_sha256
    assert verdict.other_tracks == ("audio",)


def test_a_signature_stands_at_the_end_of_its_own_gop(clip: Path) -> None:
    gops = gops_of(samples_of(clip))
    assert {tuple(unit_type(unit) for unit in gop[-1]) for gop in gops} == {(1, 8, 6)}
    assert {tuple(unit_type(unit) for unit in sample) for gop in gops for sample in gop[1:-1]} == {(1,)}


def test_what_the_device_says_of_itself_comes_first_and_now_and_then(clip: Path) -> None:
    seis = parsed(samples_of(clip))
    assert [sei.vendor is not None for sei in seis] == [sei.general.counter % 10 == 1 for sei in seis if sei.general]
    assert {sei.chain for sei in seis} == {seis[0].chain}


@pytest.mark.tools("ffmpeg")
@pytest.mark.parametrize("threads", [[], ["-threads", "1"], ["-threads", "4"]], ids=["default", "one", "four"])
def test_ffmpeg_decodes_ours_without_a_word(clip: Path, threads: list[str]) -> None:
    """Sound too. With several threads it complains of SEIs that come late; see `onvif._behind`."""
    done = subprocess.run(
        ["ffmpeg", "-v", "warning", *threads, "-i", str(clip), "-f", "null", "-"],
        capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.tools("ffmpeg")
@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_a_clip_remuxed_by_ffmpeg_keeps_its_proof(bench: Bench, clip: Path, tmp_path: Path, suffix: str) -> None:
    """Cut at a keyframe and put into another file, by way of another container."""
    first, second = tmp_path / f"part.{suffix}", tmp_path / "part-again.mp4"
    cut = ["ffmpeg", "-v", "error", "-ss", "1", "-i", str(clip), "-an", "-c", "copy", str(first)]
    again = ["ffmpeg", "-v", "error", "-i", str(first), "-c", "copy", str(second)]
    for command in (cut, again):
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    verdict = check_media(second, load_anchors(bench.trust))
    assert (verdict.pictures, verdict.key, verdict.pending, verdict.from_start) == ("unaltered", "trusted", 0, False)
    assert verdict.gops[0].counter == 2


def test_a_camera_that_stalls_leaves_no_gap_in_the_signatures(tmp_path: Path) -> None:
    bench = recorded(tmp_path, stall=True)
    verdict = verified(bench, read=True)
    assert verdict.verdict == "intact", shown(verdict)
    clip = check_media(export(bench, recordings(bench)[0], tmp_path / "clip.mp4"), load_anchors(bench.trust))
    assert (clip.exit_status, clip.pending) == (0, 0)


def test_after_a_power_cut_what_is_durable_is_signed_to_its_end(tmp_path: Path) -> None:
    bench = make_bench(tmp_path / "bench", agency=AGENCY, pre_event_s=2)
    device = VirtualDevice(bench)
    device.boot()
    device.run(3)
    device.double()
    device.run(2.5)
    device.cut()
    device.boot()
    device.run(1)
    device.stop()
    verdict = verified(bench, read=True)
    assert [(r.answers.content, r.answers.extent, r.answers.read) for r in verdict.recordings] == [
        ("matches", "power-loss", "opened")
    ]
    clip = check_media(export(bench, recordings(bench)[0], tmp_path / "clip.mp4"), load_anchors(bench.trust))
    assert (clip.exit_status, clip.pending) == (0, 0)


def test_a_write_that_failed_is_signed_again_from_the_same_place(tmp_path: Path) -> None:
    bench = make_bench(tmp_path / "bench", agency=AGENCY, audio=False, pre_event_s=2, post_event_s=1)
    device = VirtualDevice(bench)
    device.boot()
    device.run(3)
    device.double()
    device.run(2)
    disk = device.hardware.the_disk
    assert isinstance(disk, TwinDisk)
    disk.fail_next("sync_file", path_contains="m4s")
    device.run(3)
    device.confirmed_stop()
    device.until_idle()
    device.stop()
    verdict = verified(bench, read=True)
    assert verdict.verdict == "intact", shown(verdict)
    assert any(path.name.endswith("-1.m4s.age") for path in recordings(bench)[0].iterdir()), "a second attempt"


def test_without_a_media_key_nothing_is_signed_and_the_record_says_so(tmp_path: Path) -> None:
    bench = make_bench(tmp_path / "bench", agency=AGENCY, pre_event_s=1, post_event_s=1)
    text = bench.config.read_text("utf-8").replace('media_certificate = "media.der"\nmedia_key = "media.key"\n', "")
    bench.config.write_text(text, "utf-8")
    device = VirtualDevice(bench)
    device.boot()
    device.run(2)
    device.double()
    device.run(1.5)
    device.confirmed_stop()
    device.until_idle()
    device.stop()
    opened = opened_of(bench)
    assert (opened.media_certificate_sha256, opened.media_utc_us) == (None, None)
    assert verified(bench, read=True).verdict == "intact"
    clip = check_media(export(bench, recordings(bench)[0], tmp_path / "clip.mp4"), load_anchors(bench.trust))
    assert (clip.pictures, clip.key, clip.exit_status) == ("not-signed", "none", 4)


# -- how often ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sign_us", "group", "signed_gops"),
    [
        (0, 20, list(range(1, 21))),
        (100_000, 1, list(range(1, 21))),
        (100_000, 20, [1, 6, 11, 16, 20]),
        (30_000_000, 20, [1, 9, 17, 20]),
        (30_000_000, 5, [1, 5, 10, 15, 20]),
    ],
    ids=["quick", "in real time", "catching up", "very slow", "very slow, in groups"],
)
def test_a_slow_key_signs_for_several_gops_when_catching_up(
    clip: Path, sign_us: int, group: int, signed_gops: list[int]
) -> None:
    """At most a fiftieth of the time shown goes into signatures, eight GOPs have one at least, and each group ends with
    one. All of it is settled."""
    gop = gops_of(unsigned(samples_of(clip)))[0]
    key = media_key(AGENCY, sign_us)
    samples = as_samples(signed(frames_of(gop * 20), key, group))
    seis = parsed(samples)
    assert [sei.general.counter for sei in seis if sei.general] == list(range(1, 21))
    assert [sei.general.counter for sei in seis if sei.general and sei.signature] == signed_gops
    assert key.count == len(signed_gops)


def test_an_sei_that_waits_stands_after_the_next_gops_first_picture(clip: Path) -> None:
    gop = gops_of(unsigned(samples_of(clip)))[0]
    gops = gops_of(as_samples(signed(frames_of(gop * 3), media_key(AGENCY, 100_000_000), 3)))
    assert [[unit_type(unit) for unit in sample] for sample in gops[2][:3]] == [[7, 8, 5], [6, 1], [1]]
    waited = parse(gops[2][1][0])
    assert waited is not None
    assert (waited.signature, waited.general and waited.general.counter) == (b"", 2)


def test_gops_of_one_picture_carry_the_waiting_sei_behind_it(clip: Path) -> None:
    first = gops_of(unsigned(samples_of(clip)))[0][0]
    samples = as_samples(signed(frames_of([first] * 4), media_key(AGENCY, 100_000_000), 4))
    assert [[unit_type(unit) for unit in sample] for sample in samples] == [
        [7, 8, 5, 8, 6], [7, 8, 5], [7, 8, 5, 8, 6], [7, 8, 5, 8, 6, 8, 6],
    ]  # fmt: skip


def test_a_gop_without_end_is_signed_in_parts(clip: Path) -> None:
    gop = gops_of(unsigned(samples_of(clip)))[0]
    frames = frames_of([gop[0], *[gop[n % 29 + 1] for n in range(2499)]])
    seis = parsed(as_samples(signed(frames, media_key(AGENCY))))
    said = [(sei.general.partial, sei.general.units, sei.signature != b"") for sei in seis if sei.general]
    assert said == [(True, 300, True)] * 8 + [(False, 100, True)]


def test_a_delimiter_stays_first(clip: Path) -> None:
    gop = [[b"\x09\xf0", *units] for units in gops_of(unsigned(samples_of(clip)))[0]]
    samples = as_samples(signed(frames_of(gop * 2), media_key(AGENCY, 100_000_000), 2))
    assert {sample[0] for sample in samples} == {b"\x09\xf0"}


def test_frames_that_the_ring_shares_are_not_changed(clip: Path) -> None:
    frames = frames_of(unsigned(samples_of(clip)))
    before = [frame.data for frame in frames]
    pictures = signed(frames, media_key(AGENCY))
    assert [frame.data for frame in frames] == before
    assert [picture.frame for picture in pictures] == frames


def test_any_frames_are_signed(clip: Path) -> None:
    """What no encoder gives, too: signing never stops a recording."""
    chosen = random.Random(20261122)
    key = media_key(AGENCY)
    template = frames_of(unsigned(samples_of(clip))[:8])
    for _ in range(300):
        frames = [msgspec.structs.replace(f, data=chosen.randbytes(chosen.randrange(60))) for f in template]
        frames = [msgspec.structs.replace(f, data=f.data.replace(b"\x07", b"\x00\x00\x01\x65\x88")) for f in frames]
        (video,), progress = onvif.sign_cuts(
            [onvif.Cut(frames, 2_000_000)], onvif.Progress(), key.signature(), 0, b"\x68\xee"
        )
        assert progress.counter >= 1
        assert [picture.frame.number for picture in video] == list(range(8))
        assert video[-1].units[-1][0] == 6


# -- against the ledger ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"media_certificate_sha256": None}, "the ledger says that they are not media signed"),
        ({"media_certificate_sha256": "0" * 64}, "by another key (BC-000001) than the one that the ledger names"),
        ({"device": "BC-000002"}, "the key is BC-000001's, the ledger is BC-000002's"),
        ({"media_utc_us": 1_790_000_000_000_000}, "GOP 1, 0.0 s into the recording: its signature says GOP 1 at 6.0 s"),
    ],
)
def test_what_is_signed_within_is_what_the_ledger_says(bench: Bench, change: dict[str, object], what: str) -> None:
    folder = recordings(bench)[0]
    opened, segments = opened_of(bench), segments_of(bench, folder)
    identity = Identity(bench.footage_identity)
    assert check_plaintext(folder, opened, segments, identity, lambda _: None) == []
    other = msgspec.structs.replace(opened, **change)
    (finding,) = check_plaintext(folder, other, segments, identity, lambda _: None)
    assert finding.question == "read"
    assert what in finding.what


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"frames": 29}, "30 frames are signed"),
        ({"from_us": 7_000_000}, "its signature says GOP 1"),
        ({"to_us": 7_000_001}, "frames are signed up to"),
    ],
)
def test_counts_and_times_of_the_segments_are_those_signed(
    bench: Bench, clip: Path, change: dict[str, int], what: str
) -> None:
    opened, segments = opened_of(bench), segments_of(bench, recordings(bench)[0])
    media = OpenedMedia(opened)
    for n, units in enumerate(samples_of(clip)):
        media.take(b"".join(len(unit).to_bytes(4, "big") + unit for unit in units), opened.video.base_us + n)
    spans = [segment.video for segment in segments if segment.video is not None]
    for span in [msgspec.structs.replace(spans[0], **change), *spans[1:]]:
        media.end_segment(span)
    with pytest.raises(EvidenceError, match=what):
        media.check()


def test_pictures_without_signatures_are_not_what_a_signed_ledger_promises(bench: Bench, clip: Path) -> None:
    opened = opened_of(bench)
    media = OpenedMedia(opened)
    for units in unsigned(samples_of(clip)):
        media.take(b"".join(len(unit).to_bytes(4, "big") + unit for unit in units), 0)
    with pytest.raises(EvidenceError, match="they carry no signature"):
        media.check()


def test_a_media_certificate_that_is_gone_is_not_trusted(tmp_path: Path) -> None:
    bench = recorded(tmp_path, audio=False)
    assert verified(bench).exit_status == 0
    digest = opened_of(bench).media_certificate_sha256
    assert digest is not None
    (bench.card / layout.certificate_file(digest)).unlink()
    (recording,) = verified(bench).recordings
    assert (recording.answers.signer, recording.exit_status) == ("not-trusted", 3)
    assert recording.answers.signer_said == f"media signing: {layout.certificate_file(digest)} is missing or damaged"


# -- configuration ----------------------------------------------------------------------------------------------------


def _another_devices(bench: Bench) -> None:
    (bench.root / "device" / "media.der").write_bytes(AGENCY.issue("BC-000002", Role.MEDIA).certificate)


def _another_role(bench: Bench) -> None:
    (bench.root / "device" / "media.der").write_bytes((bench.root / "device" / "device.der").read_bytes())


def _another_agency(bench: Bench) -> None:
    (bench.root / "device" / "media.der").write_bytes(Agency().issue("BC-000001", Role.MEDIA).certificate)


def _another_key(bench: Bench) -> None:
    (bench.root / "device" / "media.key").write_bytes((bench.root / "device" / "device.key").read_bytes())


def _no_key(bench: Bench) -> None:
    bench.config.write_text(bench.config.read_text("utf-8").replace('media_key = "media.key"\n', ""), "utf-8")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (_another_devices, "media.der: it is for the device BC-000002"),
        (_another_role, "media.der: its certificate is not for the role media"),
        (_another_agency, "media.der: its certificate was not issued under the given trust anchor"),
        (_another_key, "identity.media_key is 'media.key': this is not the key of the certificate media.der"),
        (_no_key, "identity.media_certificate is given and identity.media_key is not"),
    ],
)
def test_papers_that_readers_would_not_believe_start_no_recording(tmp_path: Path, damage: "object", said: str) -> None:
    bench = make_bench(tmp_path / "bench", agency=AGENCY)
    assert callable(damage)
    damage(bench)
    with pytest.raises(ConfigurationError, match=said):
        VirtualDevice(bench).boot()

"""Other pictures than the signed ones in the same clip: another track, or another description of the same samples."""

import struct
from collections.abc import Callable
from pathlib import Path

import av
import pytest

from device.evidence.identity import load_anchors
from device.evidence.media_check import MediaVerdict, check_media
from hw_sim.agency import Bench
from hw_sim.virtual import VirtualDevice
from tests.benches import export, make_bench, recordings
from tests.exports import box
from tests.media import samples_of, write_samples

TABLES = [b"moov", b"trak", b"mdia", b"minf", b"stbl"]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    bench = make_bench(tmp_path_factory.mktemp("pictures") / "bench", pre_event_s=2, post_event_s=1, audio=False)
    device = VirtualDevice(bench)
    device.boot()
    device.run(3)
    device.record(2)
    device.stop()
    return bench


@pytest.fixture(scope="module")
def clip(bench: Bench) -> Path:
    """Progressive, as a custodian's tool makes it: one chunk, one description."""
    mp4 = export(bench, recordings(bench)[0], bench.root / "export.mp4")
    return write_samples(mp4, samples_of(mp4), bench.root / "clip.mp4", 30)


def changed(data: bytes, path: list[bytes], change: Callable[[bytes], bytes]) -> bytes:
    """The content of every box at a path, changed, with the sizes around it."""
    written, at = b"", 0
    while at < len(data):
        end = at + int.from_bytes(data[at : at + 4], "big")
        content = data[at + 8 : end]
        if data[at + 4 : at + 8] == path[0]:
            content = changed(content, path[1:], change) if path[1:] else change(content)
        written += box(data[at + 4 : at + 8], content)
        at = end
    return written


def other_description(table: bytes) -> bytes:
    """One more before the true one: whoever follows it takes the samples apart in another way."""
    entry = table[8:]
    lengths = entry.index(b"avcC") + 8
    return table[:4] + struct.pack(">I", 2) + entry[:lengths] + b"\xfd" + entry[lengths + 1 :] + entry


def judged(bench: Bench, path: Path) -> MediaVerdict:
    return check_media(path, load_anchors(bench.trust))


def test_the_same_pictures_under_another_description_are_not_proven(bench: Bench, clip: Path, tmp_path: Path) -> None:
    """From the third second on a player follows the description that nobody signed; so it shows other pictures."""
    data = clip.read_bytes()
    table = data[data.index(b"stsz") + 4 :]
    sizes = struct.unpack_from(f">{int.from_bytes(table[8:12], 'big')}I", table, 12)
    data = changed(data, [*TABLES, b"stsd"], other_description)
    data = changed(data, [*TABLES, b"stsc"], lambda c: c[:4] + struct.pack(">7I", 2, 1, 1, 2, 61, 1, 1))

    def each_alone(table: bytes) -> bytes:
        first = int.from_bytes(table[8:12], "big")
        return table[:4] + struct.pack(
            f">{len(sizes) + 1}I", len(sizes), *(first + sum(sizes[:n]) for n in range(len(sizes)))
        )

    path = tmp_path / "clip.mp4"
    path.write_bytes(changed(data, [*TABLES, b"stco"], each_alone))
    verdict = judged(bench, path)
    assert (verdict.exit_status, verdict.pictures, verdict.key) == (4, "unproven", "trusted")
    assert (
        verdict.pictures_said
        == "its video is described more than once, or not in one place: a player may show other pictures"
    )
    assert verdict.other_tracks == ()


def test_a_second_description_counts_though_no_sample_seems_to_use_it(bench: Bench, clip: Path, tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(changed(clip.read_bytes(), [*TABLES, b"stsd"], lambda c: c[:4] + struct.pack(">I", 2) + 2 * c[8:]))
    assert (judged(bench, path).exit_status, judged(bench, path).pictures) == (4, "unproven")


def test_another_video_track_is_not_proven(bench: Bench, clip: Path, tmp_path: Path) -> None:
    """A player shows the first one: pictures that nobody signed."""
    path = tmp_path / "clip.mp4"
    with av.open(str(clip)) as source, av.open(str(path), "w", format="mp4") as target:
        other = target.add_stream("mpeg4", rate=30)
        other.width, other.height, other.pix_fmt = 160, 90, "yuv420p"
        ours = target.add_stream_from_template(source.streams.video[0])
        for frame in (*(av.VideoFrame(160, 90, "yuv420p") for _ in range(30)), None):
            target.mux(other.encode(frame))
        for packet in source.demux(video=0):
            packet.stream = ours
            target.mux([packet] if packet.size else [])
    verdict = judged(bench, path)
    assert (verdict.exit_status, verdict.pictures, verdict.other_tracks) == (4, "unproven", ("video",))
    assert (
        verdict.pictures_said
        == "another video track is in the file, and no signature covers it: a player may show that one"
    )


def test_the_clip_itself_is_unaltered(bench: Bench, clip: Path) -> None:
    verdict = judged(bench, clip)
    assert (verdict.exit_status, verdict.pictures, verdict.key) == (0, "unaltered", "trusted")


def test_pictures_that_an_edit_list_leaves_out_at_the_end_are_not_proven(
    bench: Bench, clip: Path, tmp_path: Path
) -> None:
    """Many players don't follow it: they show what was added after the signed pictures."""
    samples = samples_of(clip)
    added = [*samples, *samples[:30]]
    path = write_samples(clip, added, tmp_path / "clip.mp4", 30)
    data = path.read_bytes()

    def only_the_signed(track: bytes) -> bytes:
        entry = struct.pack(">IIIiI", 0, 1, round(len(samples) / 30 * 1000), 0, 0x10000)
        header = int.from_bytes(track[:4], "big")
        rest = track[track.index(b"mdia") - 4 :]
        return track[:header] + box(b"edts", box(b"elst", entry)) + rest

    path.write_bytes(changed(data, [b"moov", b"trak"], only_the_signed))
    verdict = judged(bench, path)
    assert (verdict.exit_status, verdict.pictures) == (4, "unproven")
    assert (
        verdict.pictures_said == "30 of its samples are not played, and a player that ignores the edit list shows them"
    )

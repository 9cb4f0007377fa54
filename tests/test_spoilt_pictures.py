"""A picture that can't be put into a segment: its GOP alone is left out, the record says so, and the rest is intact."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from device.errors import EvidenceError
from device.evidence.records import Fault, Gap, RecordingOpened
from device.media.fmp4 import Muxer
from device.media.frames import Frame
from device.media.picture import Picture, Unit
from hw_sim.demo import frame_numbers
from hw_sim.virtual import VirtualDevice
from tests.benches import export, journal, ledger, make_bench, recordings, verified

START_CODES = b"\0\0\1\x06" * 5000
"""More units than any picture has."""


def _record(root: Path, spoilt: int | None = None) -> VirtualDevice:
    """A press at 6 s, with what is held of the seconds before it. `spoilt`: the number of a picture that is."""
    device = VirtualDevice(make_bench(root, audio=False))
    device.boot()
    ring = device.daemon.ring
    append_video = ring.append_video

    def append(data: bytes, at_us: int, keyframe: bool) -> None:
        append_video(data + START_CODES * (ring.next_video_number == spoilt), at_us, keyframe)

    ring.append_video = append  # type: ignore[method-assign]
    device.run(6)
    device.double()
    device.run(6)
    device.confirmed_stop()
    device.until_idle()
    device.stop()
    return device


def _refuse_to_mux(monkeypatch: pytest.MonkeyPatch, spoilt: int) -> None:
    """The picture of this number has no room in a fragment."""
    fragment = Muxer.fragment

    def refuse(muxer: Muxer, number: int, video: Sequence[Picture], audio: Sequence[Frame], end_us: int) -> list[Unit]:
        if any(picture.frame.number == spoilt for picture in video):
            raise EvidenceError("a picture that has no room")
        return fragment(muxer, number, video, audio, end_us)

    monkeypatch.setattr(Muxer, "fragment", refuse)


def _faults(device: VirtualDevice) -> list[str]:
    return [r.detail for r in journal(device.bench) if isinstance(r, Fault)]


def _verdicts(device: VirtualDevice) -> list[str]:
    return [recording.verdict for recording in verified(device.bench, read=True).recordings]


def _said(device: VirtualDevice, output: Path) -> tuple[list[int], list[tuple[str, int, int]], int]:
    """The numbers of the frames that were kept, the gaps, and the µs before the press, of the last recording."""
    folder = recordings(device.bench)[-1]
    lines = [line.record for line in ledger(device.bench, folder).lines]
    gaps = [(record.cause, record.first, record.last) for record in lines if isinstance(record, Gap)]
    assert isinstance(lines[0], RecordingOpened)
    return frame_numbers(export(device.bench, folder, output)), gaps, lines[0].pre_event.had_us


@pytest.mark.parametrize(("spoilt", "first"), [(100, 90), (175, 150), (250, 240)])
def test_of_a_picture_that_is_spoilt_one_gop_is_a_signed_gap(tmp_path: Path, spoilt: int, first: int) -> None:
    """In the seconds before the press, just before it, and after it."""
    device = _record(tmp_path / "bench", spoilt)
    assert _verdicts(device) == ["intact"]
    assert _said(device, tmp_path / "out.mp4") == (
        [*range(30, first), *range(first + 30, 550)],
        [("keyframe-awaited", first, first + 29)],
        5_270_000,
    )
    assert _faults(device) == ["more than 4096 NAL units in one access unit"]


def test_a_recording_whose_first_gop_is_spoilt_opens_with_the_next(tmp_path: Path) -> None:
    device = _record(tmp_path / "bench", spoilt=40)
    assert _verdicts(device) == ["intact"]
    assert _said(device, tmp_path / "out.mp4") == ([*range(60, 550)], [], 4_270_000)
    assert _faults(device) == ["more than 4096 NAL units in one access unit"]


@pytest.mark.parametrize(
    ("spoilt", "kept", "gaps", "not_begun"),
    [
        (40, [*range(60, 550)], [], 2),
        (100, [*range(30, 90), *range(120, 550)], [("keyframe-awaited", 90, 119)], 1),
        (250, [*range(30, 240), *range(270, 550)], [("keyframe-awaited", 240, 269)], 0),
    ],
)
def test_what_has_no_room_in_a_fragment_is_left_out_too(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    spoilt: int,
    kept: list[int],
    gaps: list[tuple[str, int, int]],
    not_begun: int,
) -> None:
    """It is found when the folder is there already, and files before it in the group are written: such a folder stays,
    and no line in it."""
    _refuse_to_mux(monkeypatch, spoilt)
    device = _record(tmp_path / "bench")
    assert _verdicts(device) == [*["unchanged; ended by power loss"] * not_begun, "intact"]
    frames, said, _ = _said(device, tmp_path / "out.mp4")
    assert (frames, said) == (kept, gaps)
    assert _faults(device) == ["a picture that has no room"]

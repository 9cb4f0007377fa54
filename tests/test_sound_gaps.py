"""Sound that is missing is a signed gap, with its cause; and `verify` notices where no gap accounts for it."""

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import msgspec
import pytest

from device.evidence.heard import Heard
from device.evidence.records import (
    AudioSpan,
    AudioTrack,
    Fault,
    PreEvent,
    RecordingOpened,
    SoundGap,
    VideoTrack,
)
from device.evidence.sound import Silence, SoundCame, silences
from device.evidence.verdicts import CardVerdict
from device.media.frames import CaptureFlags, Frame
from device.media.held import Refusal
from hw_sim.microphone import TwinMicrophone
from hw_sim.virtual import VirtualDevice
from tests.benches import ledger, make_bench, recordings, segments_of, shown, verified

PACKET_US = 21_333
SECOND_US = 1_000_000


# -- which, when and why ----------------------------------------------------------------------------------------------


def packets(from_us: int, count: int, first: int = 0) -> list[Frame]:
    flags = CaptureFlags(zone="street")
    return [Frame(b"sound", from_us + n * PACKET_US, first + n, True, flags) for n in range(count)]


def told(came: SoundCame, from_us: int = 0, to_us: int = 10 * PACKET_US) -> list[tuple[str, int, int]]:
    return [
        (silence.cause, silence.from_us // PACKET_US, silence.to_us // PACKET_US)
        for silence in silences(came, from_us, to_us, PACKET_US)
    ]


class Came:
    """What came in ten packets' time."""

    NOTHING: ClassVar = SoundCame([], [], [], [])
    ALL: ClassVar = SoundCame(packets(0, 10), [], [], [])
    HOLE: ClassVar = SoundCame(packets(0, 3) + packets(7 * PACKET_US, 3, 3), [], [], [])
    ANEW: ClassVar = SoundCame(packets(0, 3) + packets(7 * PACKET_US, 3, 3), [], [], [7 * PACKET_US])
    ANEW_LATER: ClassVar = SoundCame(packets(0, 3) + packets(7 * PACKET_US, 3, 3), [], [], [8 * PACKET_US])
    FULL: ClassVar = SoundCame(
        packets(0, 3) + packets(7 * PACKET_US, 3, 7), [], [Refusal("full", 3, 6, 3 * PACKET_US, 6 * PACKET_US)], []
    )
    MUTED: ClassVar = SoundCame(packets(0, 3) + packets(7 * PACKET_US, 3, 7), packets(3 * PACKET_US, 4, 3), [], [])
    UNPLUGGED_WHILE_MUTED: ClassVar = SoundCame(
        packets(0, 2) + packets(8 * PACKET_US, 2, 6),
        packets(2 * PACKET_US, 2, 2) + packets(7 * PACKET_US, 1, 5),
        [],
        [],
    )


@pytest.mark.parametrize(
    ("came", "expected"),
    [
        (Came.NOTHING, [("silent", 0, 10)]),
        (Came.ALL, []),
        (Came.HOLE, [("silent", 3, 7)]),
        (Came.ANEW, [("restart", 3, 7)]),
        (Came.ANEW_LATER, [("silent", 3, 7)]),
        (Came.FULL, [("full", 3, 7)]),
        (Came.MUTED, [("policy", 3, 7)]),
        (Came.UNPLUGGED_WHILE_MUTED, [("policy", 2, 4), ("silent", 4, 7), ("policy", 7, 8)]),
    ],
)
def test_which_sound_is_missing_and_why(came: SoundCame, expected: list[tuple[str, int, int]]) -> None:
    assert told(came) == expected


def test_a_gap_has_the_very_times_of_the_packets_beside_it() -> None:
    assert list(silences(Came.HOLE, 0, 10 * PACKET_US, PACKET_US)) == [Silence("silent", 63_999, 149_331)]


def test_what_is_accounted_for_already_is_not_told_again() -> None:
    assert told(Came.HOLE, 7 * PACKET_US) == []
    assert told(Came.FULL, 5 * PACKET_US) == [("full", 5, 7)]


# -- on the whole device ----------------------------------------------------------------------------------------------


def record(root: Path, trouble: Callable[[VirtualDevice, TwinMicrophone], None]) -> tuple[VirtualDevice, CardVerdict]:
    """A recording in which something happens to its sound 3 s after the press; opened and decoded, it verifies."""
    device = VirtualDevice(make_bench(root))
    device.boot()
    device.run(7)
    device.double()
    device.run(3)
    assert device.hardware.the_microphone is not None
    trouble(device, device.hardware.the_microphone)
    device.run(3)
    device.confirmed_stop()
    device.until_idle()
    device.stop()
    verdict = verified(device.bench, read=True)
    assert verdict.exit_status == 0, shown(verdict)
    return device, verdict


def gaps_of(device: VirtualDevice, n: int = 0) -> list[SoundGap]:
    lines = ledger(device.bench, recordings(device.bench)[n]).lines
    return [line.record for line in lines if isinstance(line.record, SoundGap)]


def spans(device: VirtualDevice) -> list[AudioSpan]:
    segments = segments_of(device.bench, recordings(device.bench)[0])
    return [segment.audio for segment in segments if segment.audio is not None]


def test_a_recording_that_has_all_its_sound_has_no_gap(tmp_path: Path) -> None:
    device, verdict = record(tmp_path / "bench", lambda device, _: device.run(4))
    assert gaps_of(device) == []
    assert verdict.recordings[0].missing_sound_us == {}


@pytest.mark.parametrize("seconds", [9.0, 9.25, 9.5, 9.75, 9.95])
def test_a_past_with_sound_is_whole_wherever_in_a_group_of_pictures_it_begins(tmp_path: Path, seconds: float) -> None:
    device = VirtualDevice(make_bench(tmp_path / "bench", pre_event_sound=True))
    device.boot()
    device.run(seconds)
    press_us = device.double()
    device.run(1)
    device.confirmed_stop()
    device.until_idle()
    device.stop()
    verdict = verified(device.bench)
    assert verdict.exit_status == 0, shown(verdict)
    assert 0 <= spans(device)[0].from_us - (press_us - 5 * SECOND_US) <= 2 * PACKET_US
    assert gaps_of(device) == []


def test_unplugged_and_replugged_is_a_marked_gap_and_the_pictures_go_on(tmp_path: Path) -> None:
    def trouble(device: VirtualDevice, microphone: TwinMicrophone) -> None:
        microphone.unplug()
        device.run(6)
        microphone.replug()

    device, verdict = record(tmp_path / "bench", trouble)
    (gap,) = gaps_of(device)
    assert gap.cause == "restart"
    assert 5_950_000 < gap.to_us - gap.from_us < 6_150_000
    assert any(abs(span.last_us + PACKET_US - gap.from_us) <= 1 for span in spans(device)), "from the last packet's end"
    assert any(span.from_us == gap.to_us for span in spans(device)), "to the next one's beginning"
    assert verdict.recordings[0].missing == {}, "no picture is missing"
    assert verdict.recordings[0].missing_sound_us == {"restart": gap.to_us - gap.from_us}
    lines = [line.record for line in ledger(device.bench, recordings(device.bench)[0]).lines]
    faults = [record.present for record in lines if isinstance(record, Fault) and record.part == "microphone"]
    assert faults == [True, False]


def test_silence_to_the_end_is_a_marked_gap(tmp_path: Path) -> None:
    device, _ = record(tmp_path / "bench", lambda _, microphone: microphone.unplug())
    (gap,) = gaps_of(device)
    assert gap.cause == "silent"
    closed = ledger(device.bench, recordings(device.bench)[0]).lines[-1].record
    assert gap.to_us == getattr(closed, "end_us", None)
    assert abs(gap.from_us - spans(device)[-1].last_us - PACKET_US) <= 1


def test_a_microphone_that_was_never_there_is_one_gap_from_the_press_to_the_end(tmp_path: Path) -> None:
    device = VirtualDevice(make_bench(tmp_path / "bench"))
    device.boot()
    assert device.hardware.the_microphone is not None
    device.hardware.the_microphone.unplug()
    device.run(7)
    device.record(3)
    device.stop()
    verdict = verified(device.bench, read=True)
    assert verdict.exit_status == 0, shown(verdict)
    opened = ledger(device.bench, recordings(device.bench)[0]).lines[0].record
    closed = ledger(device.bench, recordings(device.bench)[0]).lines[-1].record
    (gap,) = gaps_of(device)
    assert (gap.cause, gap.to_us) == ("silent", getattr(closed, "end_us", None))
    assert gap.from_us == getattr(opened, "trigger_us", 0) + PACKET_US


def test_muted_sound_is_a_gap_by_policy(tmp_path: Path) -> None:
    def trouble(device: VirtualDevice, _: TwinMicrophone) -> None:
        device.hold("function", 3.2)
        device.run(2)
        device.hold("function", 3.2)

    device, _ = record(tmp_path / "bench", trouble)
    assert [gap.cause for gap in gaps_of(device)] == ["policy"]


def test_sound_for_which_the_ring_had_no_room_is_a_gap(tmp_path: Path) -> None:
    def trouble(device: VirtualDevice, _: TwinMicrophone) -> None:
        ring = device.daemon.ring
        cap_bytes, ring.cap_bytes = ring.cap_bytes, 0
        device.run(1)
        ring.cap_bytes = cap_bytes

    device, verdict = record(tmp_path / "bench", trouble)
    (gap,) = gaps_of(device)
    assert gap.cause == "full"
    assert 950_000 < gap.to_us - gap.from_us < 1_100_000
    assert set(verdict.recordings[0].missing) <= {"full", "keyframe-awaited"}


def test_late_sound_is_no_gap(tmp_path: Path) -> None:
    def trouble(device: VirtualDevice, microphone: TwinMicrophone) -> None:
        microphone.late(700_000)
        device.run(4)
        microphone.late(0)
        device.run(2)

    device, _ = record(tmp_path / "bench", trouble)
    assert gaps_of(device) == []


def test_a_recording_that_goes_on_in_another_accounts_for_its_sound_in_both(tmp_path: Path) -> None:
    """The parameter sets change while the microphone is away."""

    def trouble(device: VirtualDevice, microphone: TwinMicrophone) -> None:
        microphone.unplug()
        device.run(1)
        device.hardware.the_camera.restart(profile="main")  # type: ignore[call-arg]
        device.run(2)
        microphone.replug()

    device, _ = record(tmp_path / "bench", trouble)
    assert [[gap.cause for gap in gaps_of(device, n)] for n in (0, 1)] == [[], ["restart"]]
    (gap,) = gaps_of(device, 1)
    assert 2_900_000 < gap.to_us - gap.from_us < 3_150_000


# -- what no record accounts for --------------------------------------------------------------------------------------


def opening(
    mode: str = "video", asked_us: int = 0, trigger_us: int = 12 * SECOND_US, continues: str | None = None
) -> RecordingOpened:
    """The little of an opening that sound is judged by."""
    track = VideoTrack(codec="h264", width=160, height=90, timescale_hz=SECOND_US, base_us=10 * SECOND_US,
                       parameter_sets_sha256="0" * 64, settings_sha256="0" * 64)  # fmt: skip
    return msgspec.convert(
        {
            "audio": AudioTrack(codec="aac", sample_rate_hz=48_000, channels=1),
            "pre_event": PreEvent(mode=mode, asked_us=asked_us, had_us=0),
            "trigger_us": trigger_us,
            "video": track,
            "continues": continues,
        },
        _Opening,
    )  # type: ignore[return-value]


class _Opening(msgspec.Struct):
    audio: AudioTrack
    pre_event: PreEvent
    trigger_us: int
    video: VideoTrack
    continues: str | None


def second_of_sound(from_us: int, count: int = 47) -> AudioSpan:
    return AudioSpan(packets=count, from_us=from_us, last_us=from_us + (count - 1) * PACKET_US)


def a_gap(from_us: int, to_us: int) -> SoundGap:
    return SoundGap(cause="silent", from_us=from_us, to_us=to_us)


def after_the_press() -> tuple[Heard, RecordingOpened, int]:
    """A second of sound was heard from the press on; where it ends."""
    heard, opened = Heard(), opening()
    heard.begins(opened)
    assert heard.why_not(opened, second_of_sound(12 * SECOND_US + 9_000)) == ""
    return heard, opened, 12 * SECOND_US + 9_000 + 47 * PACKET_US


def test_sound_without_a_hole_is_accounted_for() -> None:
    heard, opened, ends_us = after_the_press()
    assert heard.why_not(opened, second_of_sound(ends_us)) == ""
    assert heard.why_not_to(opened, ends_us + 47 * PACKET_US + 9_000) == ""


def test_a_hole_between_segments_is_noticed_and_a_gap_accounts_for_it() -> None:
    heard, opened, ends_us = after_the_press()
    said = heard.why_not(opened, second_of_sound(ends_us + SECOND_US))
    assert said == "1000000 µs of sound are missing, and no record tells why; 0 µs are accounted for"
    heard, opened, ends_us = after_the_press()
    heard.gap(a_gap(ends_us, ends_us + SECOND_US))
    assert heard.why_not(opened, second_of_sound(ends_us + SECOND_US)) == ""


def test_a_hole_within_a_segment_is_noticed() -> None:
    heard, opened, ends_us = after_the_press()
    span = AudioSpan(packets=20, from_us=ends_us, last_us=ends_us + 46 * PACKET_US)
    assert "575991 µs of sound are missing" in heard.why_not(opened, span)


@pytest.mark.parametrize(
    ("opened", "from_s"),
    [
        (opening("video"), 12),
        (opening("video", trigger_us=9 * SECOND_US), 10),
        (opening("video-and-audio", asked_us=5 * SECOND_US), 10),
        (opening("video-and-audio", asked_us=1 * SECOND_US), 11),
        (opening("video", continues="000001-0011223344556677"), 12),
        (opening("video-and-audio", asked_us=1 * SECOND_US, continues="000001-0011223344556677"), 11),
    ],
    ids=["press", "asleep", "past", "past-in-a-group", "goes-on-before-the-press", "goes-on-in-the-past"],
)
def test_sound_is_accounted_for_from_where_it_may_begin(opened: RecordingOpened, from_s: int) -> None:
    heard = Heard()
    heard.begins(opened)
    said = heard.why_not(opened, second_of_sound(15 * SECOND_US))
    assert f"{(15 - from_s) * SECOND_US} µs of sound are missing" in said


def test_an_end_without_sound_is_noticed() -> None:
    heard, opened, ends_us = after_the_press()
    assert "2000000 µs of sound are missing" in heard.why_not_to(opened, ends_us + 2 * SECOND_US)


def test_gaps_that_cover_the_same_time_count_once_and_one_elsewhere_does_not_count() -> None:
    heard, opened, ends_us = after_the_press()
    heard.gap(a_gap(ends_us, ends_us + SECOND_US // 2))
    heard.gap(a_gap(ends_us, ends_us + SECOND_US // 2))
    heard.gap(a_gap(SECOND_US, 3 * SECOND_US))
    assert "500000 µs of sound are missing" in heard.why_not(opened, second_of_sound(ends_us + SECOND_US))


def test_a_card_whose_device_marked_no_gap_is_not_intact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that loses sound and says nothing: its own signature does not make that whole."""
    monkeypatch.setattr("device.evidence.segmenter.silences", lambda *_: iter(()))
    device = VirtualDevice(make_bench(tmp_path / "bench"))
    device.boot()
    device.run(7)
    device.double()
    device.run(3)
    assert device.hardware.the_microphone is not None
    device.hardware.the_microphone.unplug()
    device.run(2)
    device.hardware.the_microphone.replug()
    device.run(3)
    device.confirmed_stop()
    device.until_idle()
    device.stop()
    verdict = verified(device.bench)
    assert verdict.exit_status == 1
    (finding,) = verdict.recordings[0].findings
    assert "of sound are missing, and no record tells why; 0 µs are accounted for" in finding.what

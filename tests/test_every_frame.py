"""Every frame accounted for: in every recording of a seeded random shift, the number that each picture carries is read
back from the decrypted, decoded video, and is the last one plus one, from before the press to the end of the post-event.
"""

import itertools
import os
import random
from pathlib import Path

import msgspec
import pytest

from device.evidence.records import RecordingClosed, RecordingOpened
from hw_sim.demo import frame_numbers
from hw_sim.hardware import Behaviour
from hw_sim.virtual import VirtualDevice
from tests.benches import export, ledger, make_bench, recordings, segments_of, shown, verified

SEED = int(os.environ.get("BODYCAM_SEED", "1"))
RECORDINGS = 3
PRE_EVENT_S = 30
POST_EVENT_S = 10
PERIOD_US = 33_333


class Taken(msgspec.Struct, frozen=True):
    """What the officer did for one recording: the press, and the end of the post-event time, in boot µs."""

    press_us: int
    had_us: int
    end_us: int


def _shift(device: VirtualDevice, odds: random.Random) -> list[Taken]:
    """Presses at random, some soon after a stop; markers, resumed stops, lapsed stops, mutes in between."""
    taken = []
    began_us = device.clock.now_us()
    for _ in range(RECORDINGS):
        device.run(odds.choice([0.2, 3.0, odds.uniform(5, 45)]))
        had_us = device.clock.now_us() - began_us
        press_us = device.double()
        for _ in range(odds.randrange(4)):
            device.run(odds.uniform(0.1, 5))
            _act(device, odds.randrange(4))
        device.run(odds.uniform(6, 9))
        device.confirmed_stop()
        if odds.random() < 0.4:
            device.run(odds.uniform(0.5, 8))
            device.double()
            device.run(odds.uniform(0.5, 5))
            device.confirmed_stop()
        until_us = device.daemon.control.state.deadlines.post_event_until_us
        assert until_us is not None
        device.run(POST_EVENT_S + 0.1)
        taken.append(Taken(press_us, had_us, until_us))
    device.until_idle()
    return taken


def _act(device: VirtualDevice, what: int) -> None:
    """A marker, a mute or its end, a double press while recording, a stop that is not confirmed."""
    match what:
        case 0:
            device.press("function")
        case 1:
            device.hold("function", 3.2)
        case 2:
            device.double()
        case _:
            device.hold()


@pytest.mark.parametrize("behaviour", ["v4l2", "libav"])
@pytest.mark.parametrize("audio", [True, False], ids=["sound", "no-sound"])
def test_every_frame_of_a_random_shift_is_there(tmp_path: Path, behaviour: Behaviour, audio: bool) -> None:
    bench = make_bench(tmp_path / "bench", audio=audio, pre_event_s=PRE_EVENT_S, post_event_s=POST_EVENT_S, ring_mib=4)
    device = VirtualDevice(bench, behaviour=behaviour)
    device.boot()
    taken = _shift(device, random.Random(f"{SEED} {behaviour} {audio}"))
    device.stop()
    verdict = verified(bench, read=True)
    assert verdict.exit_status == 0, shown(verdict)
    folders = recordings(bench)
    assert len(folders) == len(taken) == RECORDINGS
    for folder, took in zip(folders, taken, strict=True):
        numbers = frame_numbers(export(bench, folder, tmp_path / f"{folder.name}.mp4"))
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers))), folder.name
        videos = [segment.video for segment in segments_of(bench, folder) if segment.video is not None]
        assert took.press_us - videos[0].from_us >= min(PRE_EVENT_S * 1_000_000, took.had_us) - 2 * PERIOD_US
        assert videos[0].from_us >= took.press_us - PRE_EVENT_S * 1_000_000 - 1_100_000
        assert took.end_us - PERIOD_US <= videos[-1].last_us + PERIOD_US <= took.end_us + PERIOD_US


def test_a_frame_that_never_came_is_told_apart_from_one_that_was_let_go(tmp_path: Path) -> None:
    bench = make_bench(tmp_path / "bench", audio=False)
    device = VirtualDevice(bench)
    device.boot()
    device.run(7)
    device.double()
    device.run(2)
    device.hardware.the_camera.drop(7)
    device.run(3)
    device.confirmed_stop()
    device.until_idle()
    device.stop()
    verdict = verified(bench, read=True)
    assert verdict.exit_status == 0, shown(verdict)
    assert verdict.recordings[0].missing == {"camera": 7}
    numbers = frame_numbers(export(bench, recordings(bench)[0], tmp_path / "out.mp4"))
    jumps = [after - before for before, after in itertools.pairwise(numbers) if after != before + 1]
    assert jumps == [8]


def test_a_private_pause_is_a_signed_gap_and_nothing_of_it_is_stored(tmp_path: Path) -> None:
    bench = make_bench(tmp_path / "bench")
    device = VirtualDevice(bench)
    device.boot()
    device.run(7)
    device.double()
    device.run(3)
    paused_us = device.double("function")
    device.run(5)
    resumed_us = device.double("record")
    device.run(3)
    device.confirmed_stop()
    device.until_idle()
    device.stop()
    verdict = verified(bench, read=True)
    assert verdict.exit_status == 0, shown(verdict)
    folder = recordings(bench)[0]
    for segment in segments_of(bench, folder):
        for span in (segment.video, segment.audio):
            if span is not None:
                assert span.last_us < paused_us or span.from_us >= resumed_us
    kinds = [type(line.record).__name__ for line in ledger(bench, folder).lines]
    assert [kind for kind in kinds if kind not in ("Segments", "Noted")] == [
        "RecordingOpened", "Marker", "Paused", "Resumed", "Gap", "SoundGap", "RecordingClosed",
    ]  # fmt: skip
    missing = verdict.recordings[0].missing
    assert set(missing) == {"policy"}
    assert verdict.recordings[0].seconds == pytest.approx(verdict.recordings[0].frames / 30, abs=0.01)
    assert abs(missing["policy"] - (resumed_us - paused_us) / PERIOD_US) < 3
    numbers = frame_numbers(export(bench, folder, tmp_path / "out.mp4"))
    assert numbers[-1] - numbers[0] + 1 - len(numbers) == missing["policy"]


def test_two_recordings_close_together_each_store_their_own(tmp_path: Path) -> None:
    bench = make_bench(tmp_path / "bench", audio=False)
    device = VirtualDevice(bench)
    device.boot()
    device.run(7)
    device.record(1)
    device.record(1)
    device.stop()
    verdict = verified(bench, read=True)
    assert verdict.exit_status == 0, shown(verdict)
    first, second = (frame_numbers(export(bench, f, tmp_path / f"{f.name}.mp4")) for f in recordings(bench))
    assert set(first) & set(second), "the second one's pre-event is the first one's end"
    assert second == list(range(second[0], second[0] + len(second)))


def test_changed_parameter_sets_continue_in_another_recording(tmp_path: Path) -> None:
    bench = make_bench(tmp_path / "bench", audio=False)
    device = VirtualDevice(bench)
    device.boot()
    device.run(7)
    device.double()
    device.run(2.5)
    device.hardware.the_camera.restart(profile="main")  # type: ignore[call-arg]
    device.run(3)
    device.confirmed_stop()
    device.until_idle()
    device.stop()
    verdict = verified(bench, read=True)
    assert verdict.exit_status == 0, shown(verdict)
    first, second = recordings(bench)
    closed = ledger(bench, first).lines[-1].record
    assert isinstance(closed, RecordingClosed)
    assert closed.how == "continued"
    opened = ledger(bench, second).lines[0].record
    assert isinstance(opened, RecordingOpened)
    assert opened.continues == first.name
    numbers = [frame_numbers(export(bench, f, tmp_path / f"{f.name}.mp4")) for f in (first, second)]
    assert numbers[0] + numbers[1] == list(range(numbers[0][0], numbers[1][-1] + 1))

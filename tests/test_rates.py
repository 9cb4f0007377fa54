"""A frame rate that changes: never taken for frames that the camera lost, and every segment says what it was judged by."""

from pathlib import Path

import msgspec
import pytest

from device.evidence import layout, records
from device.evidence.envelope import open_line
from device.evidence.records import Gap, Segments
from device.evidence.segmenter import Cut, Segmenter
from device.hardware import Load
from device.media.rates import MOST_CHANGES, SETTLE_US, Rates
from device.media.ring import Ring
from hw_sim.agency import Agency, Bench
from hw_sim.virtual import VirtualDevice
from tests.benches import ledger, make_bench, recordings, segments_of, shown, verified
from tests.cards import all_findings, changed, copy_of, device_signer, lie_in_ledger
from tests.clips import data_of, ring_of, spelt

S = 1_000_000
FULL_US, SLOW_US = 250_000, 500_000
FAR_US = 1 << 60


# -- which period counts ----------------------------------------------------------------------------------------------


def test_the_longer_period_counts_until_the_camera_has_followed() -> None:
    rates = Rates(FULL_US)
    assert rates.longest_us(0, 100 * S) == FULL_US
    rates.set(SLOW_US, 10 * S)
    assert rates.longest_us(0, 10 * S - 1) == FULL_US
    assert rates.longest_us(9 * S, 10 * S) == SLOW_US
    rates.set(FULL_US, 20 * S)
    assert rates.longest_us(20 * S + SETTLE_US - 1, 20 * S + SETTLE_US) == SLOW_US
    assert rates.longest_us(20 * S + SETTLE_US, 20 * S + SETTLE_US) == FULL_US


def test_changes_are_bounded_and_the_last_ones_are_kept() -> None:
    rates = Rates(1)
    for n in range(10 * MOST_CHANGES):
        rates.set(n + 1, n * 10 * S)
    last_us = (10 * MOST_CHANGES - 1) * 10 * S
    assert rates.longest_us(last_us, last_us) == 10 * MOST_CHANGES - 1 + 1
    assert len(rates._changes) == MOST_CHANGES


# -- the segmenter ----------------------------------------------------------------------------------------------------


def append(ring: Ring, times_us: list[int]) -> None:
    """One frame at each time; those on a whole second are keyframes."""
    for at_us in times_us:
        ring.append_video(data_of("I" if at_us % S == 0 else "P"), at_us, at_us % S == 0)


def cuts_of(rates: Rates, times_us: list[int]) -> list[Cut]:
    ring = ring_of()
    segmenter = Segmenter(ring, ring.claim(0, FAR_US), 0, rates, 0)
    append(ring, times_us)
    cuts = []
    sets = segmenter.first_keyframe()
    assert sets is not None
    while (cut := segmenter.next_cut(times_us[-1], sets[0])) is not None:
        cuts.append(cut)
    return cuts


def slowed(at_s: int, end_s: int) -> list[int]:
    """Four frames a second, and two from a second on."""
    return [*range(0, at_s * S, FULL_US), *range(at_s * S, end_s * S + 1, SLOW_US)]


def test_a_lowered_rate_is_no_gap_of_the_cameras() -> None:
    rates = Rates(FULL_US)
    rates.set(SLOW_US, 2 * S + 700_000)
    cuts = cuts_of(rates, slowed(3, 8))
    assert [spelt(gap) for cut in cuts for gap in cut.missing] == []
    assert [cut.period_us for cut in cuts] == [FULL_US, FULL_US, *[SLOW_US] * 6]
    assert [len(cut.video) for cut in cuts] == [4, 4, 4, 2, 2, 2, 2, 2]


def test_a_frame_lost_at_the_lowered_rate_is_a_gap() -> None:
    rates = Rates(FULL_US)
    rates.set(SLOW_US, 3 * S)
    times = [at_us for at_us in slowed(3, 8) if at_us != 5_500_000]
    assert [spelt(gap) for cut in cuts_of(rates, times) for gap in cut.missing] == [("camera", 1, 16, 17)]


def test_a_raised_rate_is_held_to_once_the_camera_has_followed() -> None:
    rates = Rates(SLOW_US)
    rates.set(FULL_US, 2 * S)
    back = [*range(0, 3 * S, SLOW_US), *range(3 * S, 12 * S + 1, FULL_US)]
    cuts = cuts_of(rates, [at_us for at_us in back if at_us != 8_500_000])
    assert [spelt(gap) for cut in cuts for gap in cut.missing] == [("camera", 1, 27, 28)]
    assert [cut.period_us for cut in cuts][-3:] == [FULL_US] * 3


def test_a_rate_that_nobody_was_told_of_is_signed_as_gaps() -> None:
    """The other way round: half of the frames that were asked for, and no word of it."""
    gaps = [spelt(gap) for cut in cuts_of(Rates(FULL_US), slowed(1, 3)) for gap in cut.missing]
    assert gaps == [("camera", 1, n, n + 1) for n in range(4, 7)]


# -- what a reader makes of it ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def dropped(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """A recording from which the camera lost 40 frames in one go."""
    bench = make_bench(tmp_path_factory.mktemp("rates") / "bench", agency=Agency(), pre_event_s=2, post_event_s=1)
    device = VirtualDevice(bench)
    device.boot()
    device.run(3)
    device.double()
    device.run(2.5)
    device.hardware.the_camera.drop(40)
    device.run(5)
    device.confirmed_stop()
    device.until_idle()
    device.stop()
    verdict = verified(bench)
    assert verdict.exit_status == 0, shown(verdict)
    assert verdict.recordings[0].missing == {"camera": 40}
    return bench


def test_a_cameras_gap_taken_from_the_ledger_is_found(dropped: Bench, tmp_path: Path) -> None:
    """E5: a device that lies leaves out that the camera lost frames; times and frames no longer add up."""
    bench = copy_of(dropped, tmp_path / "bench")
    folder = recordings(bench)[0]

    def without(lines: list[bytes]) -> list[bytes]:
        return [line for line in lines if not isinstance(records.decode_ledger(open_line(line).payload), Gap)]

    lie_in_ledger(bench, folder, without)
    verdict = verified(bench)
    assert verdict.exit_status == 1
    assert [
        finding.what.partition(" µs pass")[2] for finding in all_findings(verdict) if finding.question == "content"
    ] == [" before or in it; its frames and the gaps told take at most 1501985 µs, at a frame every 33333 µs"]


def test_a_frame_period_that_is_too_short_is_found(dropped: Bench, tmp_path: Path) -> None:
    bench = copy_of(dropped, tmp_path / "bench")
    signer = device_signer(bench)

    def hurried(lines: list[bytes]) -> list[bytes]:
        return [_at_half_the_period(line, bench) for line in lines]

    def _at_half_the_period(line: bytes, bench: Bench) -> bytes:
        record = records.decode_ledger(open_line(line).payload)
        if not isinstance(record, Segments):
            return line
        faster = tuple(
            msgspec.structs.replace(segment, video=msgspec.structs.replace(segment.video, period_us=16_667))
            for segment in record.segments
            if segment.video is not None
        )
        return changed(line, signer, segments=faster)

    lie_in_ledger(bench, recordings(bench)[0], hurried)
    verdict = verified(bench)
    assert verdict.exit_status == 1
    assert "µs pass before or in it" in "".join(finding.what for finding in all_findings(verdict))


def test_every_segment_says_the_period_in_force(tmp_path: Path) -> None:
    bench = make_bench(tmp_path / "bench", pre_event_s=2, post_event_s=1)
    device = VirtualDevice(bench)
    device.boot()
    device.run(3)
    device.double()
    device.run(3)
    device.daemon.rates.set(66_667, device.clock.now_us())
    device.hardware.the_camera.set_load(Load(rate_hz=15, bitrate_bps=150_000))
    device.run(6)
    device.daemon.rates.set(33_333, device.clock.now_us())
    device.hardware.the_camera.set_load(Load(rate_hz=30, bitrate_bps=150_000))
    device.run(8)
    device.confirmed_stop()
    device.until_idle()
    device.stop()
    folder = recordings(bench)[0]
    spans = [segment.video for segment in segments_of(bench, folder) if segment.video is not None]
    said = [(span.period_us, span.frames) for span in spans]
    assert said[:5] == [(33_333, 30)] * 5
    assert (66_667, 15) in said
    assert said[-4:-1] == [(33_333, 30)] * 3
    assert [line.record for line in ledger(bench, folder).lines if isinstance(line.record, Gap)] == []
    verdict = verified(bench, read=True)
    assert verdict.exit_status == 0, shown(verdict)
    assert (folder / layout.LEDGER).exists()

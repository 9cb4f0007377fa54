"""Segments: where they are cut, what sound goes in, and that nothing between is missing without a word (E5)."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device.evidence.segmenter import Cut, Missing, Segmenter
from device.media.frames import CaptureFlags, ParameterSets
from device.media.rates import Rates
from device.media.ring import Ring
from tests.clips import FRAME_BYTES, OTHER_SETS, PERIOD_US, SETS, STREET, clip, data_of, numbers, ring_of, said, spelt

EXAMPLES = 200
FAR_US = 1 << 60
PACKET_US = 20_000
PAUSED = CaptureFlags(zone="street", paused=True, video=False, audio=False)
MUTED = CaptureFlags(zone="street", muted=True, audio=False)

modest = settings(max_examples=EXAMPLES, derandomize=True, deadline=None, database=None)


def s(seconds: float) -> int:
    return round(seconds * 1_000_000)


class Bench:
    """A ring, a claim on all of it, and its segmenter. Times in s."""

    def __init__(self, ring: Ring | None = None, audio_from_s: float = 0) -> None:
        self.ring = ring or ring_of()
        self.claim = self.ring.claim(0, FAR_US)
        self.rates = Rates(PERIOD_US)
        self.segmenter = Segmenter(self.ring, self.claim, s(audio_from_s), self.rates, PACKET_US)

    def video(self, letters: str, from_s: float = 0) -> "Bench":
        clip(letters, from_s).into(self.ring)
        return self

    def audio(self, *at_s: float) -> "Bench":
        for each in at_s:
            self.ring.append_audio(b"sound", s(each))
        return self

    def end(self, to_s: float) -> "Bench":
        self.ring.close_claim(self.claim, s(to_s))
        return self

    def cut(self, now_s: float, sets: ParameterSets = SETS) -> Cut | None:
        return self.segmenter.next_cut(s(now_s), sets)

    def cuts(self, now_s: float, sets: ParameterSets = SETS) -> list[Cut]:
        """All that can be closed now."""
        closed = []
        while (cut := self.cut(now_s, sets)) is not None:
            closed.append(cut)
        return closed


def pictures(cuts: list[Cut]) -> list[list[int]]:
    return [numbers(cut.video) for cut in cuts]


def sounds(cuts: list[Cut]) -> list[list[int]]:
    return [numbers(cut.audio) for cut in cuts]


def gaps(cuts: list[Cut]) -> list[tuple[str, int, int, int]]:
    return [spelt(gap) for cut in cuts for gap in cut.missing]


# -- where a segment ends -------------------------------------------------------------------------------------------


def test_a_segment_closes_at_the_first_keyframe_at_least_1_s_after_its_start() -> None:
    bench = Bench().video("IPPP")
    assert bench.cut(1) is None
    cut = bench.video("I", from_s=1).cut(1)
    assert cut is not None
    assert (said(cut), cut.start_us, cut.end_us) == (([0, 1, 2, 3], [], []), 0, s(1))
    assert bench.cut(1) is None


def test_a_keyframe_before_1_s_does_not_close() -> None:
    bench = Bench().video("IPIPPPIPI")
    assert pictures(bench.cuts(2)) == [[0, 1, 2, 3, 4, 5]]
    assert pictures(bench.video("PPI", from_s=2.25).cuts(3)) == [[6, 7, 8, 9, 10]]


def test_a_keyframe_that_jitters_half_a_period_early_closes() -> None:
    ring = ring_of()
    bench = Bench(ring)
    for n, letter in enumerate("IPPP"):
        ring.append_video(data_of(letter), n * PERIOD_US, letter == "I")
    ring.append_video(data_of("I"), s(1) - PERIOD_US // 2, True)
    assert pictures(bench.cuts(1)) == [[0, 1, 2, 3]]


def test_after_1_5_s_without_a_frame_it_is_closed_as_it_stands() -> None:
    bench = Bench().video("IPP")
    assert bench.cut(1.999) is None
    cut = bench.cut(2)
    assert cut is not None
    assert (said(cut), cut.end_us) == (([0, 1, 2], [], []), s(0.75))
    assert said(bench.video("PPIPPP", from_s=3).video("I", from_s=4.5).cut(4.5)) == (
        [3, 4, 5, 6, 7, 8],
        [],
        [("camera", 9, 2, 3)],
    )


def test_frames_that_were_refused_do_not_keep_it_open() -> None:
    """A private pause may last for hours: what came before it is closed and made durable 1.5 s into it."""
    bench = Bench().video("IPP")
    bench.ring.set_capture(PAUSED, s(0.7))
    bench.video("PIPPPIP", from_s=0.75)
    assert pictures(bench.cuts(1.999)) == []
    assert pictures(bench.cuts(2)) == [[0, 1, 2]]
    bench.ring.set_capture(STREET, s(2.4))
    bench.video("PPIPPPI", from_s=2.5)
    assert said(bench.cut(4)) == ([12, 13, 14, 15], [], [("policy", 9, 3, 11)])


def test_at_the_end_it_is_closed_as_it_stands() -> None:
    bench = Bench().video("IPPPIPP").end(1.5)
    assert [said(cut) for cut in bench.cuts(1.5)] == [([0, 1, 2, 3], [], []), ([4, 5], [], [])]
    assert bench.segmenter.ended(s(1.5))
    assert bench.cuts(99) == []


def test_the_end_waits_for_frames_captured_before_it() -> None:
    bench = Bench().video("IPPPIP").end(1.5)
    assert pictures(bench.cuts(1.6)) == [[0, 1, 2, 3]]
    assert not bench.segmenter.ended(s(1.6))
    assert pictures(bench.video("P", from_s=1.5).cuts(1.6)) == [[4, 5]]
    assert bench.segmenter.ended(s(1.6))


@pytest.mark.parametrize("next_one", ["I", "P"], ids=["a keyframe", "a frame of the same GOP"])
def test_after_a_long_pause_a_segment_ends_as_if_the_recorder_had_seen_it(next_one: str) -> None:
    """The key was gone, say: all is written two hours later. A sample of more than 71 minutes has no room in the file."""
    bench = Bench().video("IPP").video(f"{next_one}PPPI", from_s=7200)
    late = bench.cuts(7203)
    assert [(numbers(cut.video), cut.start_us, cut.end_us) for cut in late] == [
        ([0, 1, 2], 0, s(0.75)),
        ([3, 4, 5, 6], s(7200), s(7201)),
        ([7], s(7201), s(7201.25)),
    ]


def test_the_end_does_not_wait_for_a_camera_that_is_silent() -> None:
    bench = Bench().video("IPPPIP").end(1.5)
    bench.cuts(2.7)
    assert not bench.segmenter.ended(s(2.7))
    assert pictures(bench.cuts(3)) == [[4, 5]]
    assert bench.segmenter.ended(s(3))


def test_nothing_at_all_has_ended_too() -> None:
    bench = Bench().end(1)
    assert (bench.segmenter.first_keyframe(), bench.cut(2.4), bench.segmenter.ended(s(2.4))) == (None, None, False)
    assert bench.segmenter.ended(s(2.5))


def test_a_backlog_is_cut_as_it_would_have_been() -> None:
    bench = Bench().video("IPPP" * 30 + "I")
    cuts = bench.cuts(30)
    assert pictures(cuts) == [[4 * n, 4 * n + 1, 4 * n + 2, 4 * n + 3] for n in range(30)]
    assert [(cut.start_us, cut.end_us) for cut in cuts] == [(s(n), s(n + 1)) for n in range(30)]


# -- what is missing ------------------------------------------------------------------------------------------------


def test_a_jump_of_the_cameras_times_is_the_cameras() -> None:
    bench = Bench().video("IP.PI..PPI")
    assert [said(cut) for cut in bench.cuts(2.5)] == [
        ([0, 1, 2], [], [("camera", 1, 1, 2)]),
        ([3, 4, 5], [], [("camera", 2, 3, 4)]),
    ]


def test_a_jump_between_two_segments_belongs_to_the_later() -> None:
    bench = Bench().video("IPPP..IPPPI")
    assert [said(cut) for cut in bench.cuts(3)] == [
        ([0, 1, 2, 3], [], []),
        ([4, 5, 6, 7], [], [("camera", 2, 3, 4)]),
    ]


def test_frames_that_we_lost_are_told_with_their_cause() -> None:
    bench = Bench().video("IPPP")
    bench.ring.restart_video()
    assert [said(cut) for cut in bench.video("PPIPPPI", from_s=1).cuts(3)] == [
        ([0, 1, 2, 3], [], []),
        ([6, 7, 8, 9], [], [("keyframe-awaited", 2, 4, 5)]),
    ]


def test_one_gap_may_be_the_cameras_and_ours() -> None:
    """Two frames that the camera never gave, and two that we did not keep."""
    bench = Bench().video("IPPP")
    bench.ring.restart_video()
    bench.video("..PPIPPPI", from_s=1)
    cuts = bench.cuts(4)
    assert gaps(cuts) == [("keyframe-awaited", 2, 4, 5), ("camera", 2, 3, 6)]
    assert [(gap.from_us, gap.to_us) for gap in cuts[1].missing] == [(s(0.75), s(2))] * 2


def test_two_causes_in_one_gap() -> None:
    bench = Bench().video("IPPP")
    bench.ring.restart_video()
    bench.video("PP", from_s=1)
    bench.ring.set_capture(PAUSED, s(1.5))
    bench.video("PPI", from_s=1.5)
    bench.ring.set_capture(STREET, s(2.2))
    bench.video("PIPPPI", from_s=2.25)
    assert gaps(bench.cuts(5)) == [("keyframe-awaited", 2, 4, 5), ("policy", 4, 6, 9)]


def test_a_full_ring_is_one_gap() -> None:
    bench = Bench(ring_of(cap_bytes=12 * FRAME_BYTES)).video("IPPP" * 5)
    cuts = bench.cuts(4)
    assert pictures(cuts) == [[0, 1, 2, 3], [4, 5, 6, 7]]
    bench.segmenter.settled(cuts)
    bench.video("IPPPIPPPI", from_s=5)
    later = bench.cuts(8)
    assert (pictures(later), gaps(later)) == (
        [[8, 9, 10, 11], [20, 21, 22, 23]],
        [("full", 8, 12, 19)],
    )


def test_what_came_after_the_last_kept_frame_is_told_at_the_end() -> None:
    bench = Bench().video("IPPP")
    bench.ring.restart_video()
    bench.video("PPPPPP", from_s=1).end(2)
    bench.cuts(4)
    assert [(*spelt(gap), gap.from_us, gap.to_us) for gap in bench.segmenter.missing_at_end()] == [
        ("keyframe-awaited", 4, 4, 7, s(1), s(2))
    ]


def test_what_was_cut_before_policy_took_it_back_is_not_told_again_at_the_end() -> None:
    bench = Bench().video("IPPPI")
    cuts = bench.cuts(1.1)
    bench.ring.set_capture(PAUSED, s(0.6))
    bench.video("P", from_s=1.25).end(1.5)
    assert pictures(cuts) == [[0, 1, 2, 3]]
    assert [(gap.cause, gap.first) for gap in bench.segmenter.missing_at_end()] == [("policy", 4)]


def test_nothing_is_missing_at_the_end_of_a_recording_that_has_all() -> None:
    bench = Bench().video("IPPPI").end(1)
    bench.cuts(2)
    assert bench.segmenter.missing_at_end() == []


def at_end(bench: Bench) -> list[tuple[object, ...]]:
    return [(*spelt(gap), gap.from_us, gap.to_us) for gap in bench.segmenter.missing_at_end()]


def test_what_the_camera_never_gave_up_to_the_end_is_told() -> None:
    bench = Bench().video("IPPP").end(5)
    bench.cuts(7)
    assert at_end(bench) == [("camera", 16, 3, 4, s(0.75), s(5))]


def test_an_end_between_two_frames_is_no_gap_of_the_cameras() -> None:
    bench = Bench().video("IPPP").end(1.125)
    bench.cuts(3)
    assert at_end(bench) == []


def test_a_camera_that_dies_in_a_pause_is_told_beside_the_pause() -> None:
    bench = Bench().video("IPPP")
    bench.ring.set_capture(PAUSED, s(0.9))
    bench.video("IP", from_s=1).end(4)
    bench.cuts(6)
    assert at_end(bench) == [("policy", 2, 4, 5, s(1), s(1.25)), ("camera", 10, 5, 6, s(1.25), s(4))]


def test_a_camera_that_dies_in_a_pause_in_which_its_rate_was_lowered_is_told_up_to_the_end() -> None:
    """Twelve pictures at the old rate were refused: at the new one they would have filled the silence that followed."""
    bench = Bench().video("IPPP")
    bench.ring.set_capture(PAUSED, s(0.9))
    bench.video("IPPPIPPPIPPP", from_s=1)
    bench.rates.set(2 * PERIOD_US, s(3.9))
    bench.end(7.25)
    bench.cuts(9)
    assert at_end(bench) == [("policy", 12, 4, 15, s(1), s(3.75)), ("camera", 6, 15, 16, s(3.75), s(7.25))]


def test_what_no_segment_could_be_made_of_is_told_at_the_end() -> None:
    bench = Bench().video("IPPPIPPP").end(2)
    bench.segmenter.settled(bench.cuts(1.75))
    bench.segmenter.skip_gop()
    assert bench.segmenter.ended(s(4))
    assert at_end(bench) == [("keyframe-awaited", 4, 4, 7, s(0.75), s(2))]


def test_before_a_first_frame_nothing_is_missing() -> None:
    bench = Bench().video("PPPIPPPI")
    assert [said(cut) for cut in bench.cuts(2)] == [([3, 4, 5, 6], [], [])]


# -- sound ----------------------------------------------------------------------------------------------------------


def test_sound_that_is_there_goes_in() -> None:
    bench = Bench().video("IPPPI").audio(0.02, 0.5, 0.99, 1, 1.01)
    cut = bench.cut(1)
    assert cut is not None
    assert said(cut) == ([0, 1, 2, 3], [0, 1, 2], [])
    assert [packet.at_us for packet in cut.audio] == [s(0.02), s(0.5), s(0.99)]


@pytest.mark.parametrize("at_s", [(), (0.1, 0.9), (5.5,), (0.1, 5.5)], ids=["absent", "silent", "late", "both"])
def test_sound_never_delays_video_and_never_shifts_it(at_s: tuple[float, ...]) -> None:
    bench = Bench()
    cuts: list[Cut] = []
    for second in range(6):
        bench.video("IPPP", from_s=second)
        bench.audio(*[each for each in at_s if second <= each < second + 1])
        cuts += bench.cuts(second + 0.8)
    assert pictures(cuts) == [[4 * n, 4 * n + 1, 4 * n + 2, 4 * n + 3] for n in range(5)]
    assert [[frame.at_us for frame in cut.video] for cut in cuts] == [
        [s(n + part) for part in (0, 0.25, 0.5, 0.75)] for n in range(5)
    ]


def test_late_sound_joins_the_next_segment_with_its_own_times() -> None:
    bench = Bench().video("IPPPI").audio(0.1)
    assert sounds(bench.cuts(1)) == [[0]]
    bench.audio(0.6, 1.1).video("PPPI", from_s=1.25)
    cut = bench.cut(2)
    assert cut is not None
    assert said(cut) == ([4, 5, 6, 7], [1, 2], [])
    assert [packet.at_us for packet in cut.audio] == [s(0.6), s(1.1)]


def test_sound_before_its_allowed_time_is_left_out() -> None:
    bench = Bench(audio_from_s=0.5).video("IPPPI").audio(0.1, 0.49, 0.5, 0.9)
    assert sounds(bench.cuts(1)) == [[2, 3]]


def test_sound_before_the_first_picture_is_left_out() -> None:
    ring = ring_of()
    clip("IPPP").into(ring)
    for at_s in (0.1, 0.9, 1, 1.1):
        ring.append_audio(b"sound", s(at_s))
    clip("IPPPI", from_s=1).into(ring)
    segmenter = Segmenter(ring, ring.claim(s(1), FAR_US), 0, Rates(PERIOD_US), PACKET_US)
    assert said(segmenter.next_cut(s(2), SETS)) == ([4, 5, 6, 7], [2, 3], [])


def test_sound_that_comes_late_from_before_the_first_picture_is_left_out() -> None:
    ring = ring_of()
    clip("IPPPIPPPI").into(ring)
    segmenter = Segmenter(ring, ring.claim(s(1), FAR_US), 0, Rates(PERIOD_US), PACKET_US)
    for at_s in (0.98, 1):
        ring.append_audio(b"sound", s(at_s))
    assert said(segmenter.next_cut(s(2), SETS)) == ([4, 5, 6, 7], [1], [])


def test_muted_sound_is_left_out() -> None:
    bench = Bench().video("IPP").audio(0.1, 0.4)
    bench.ring.set_capture(CaptureFlags(zone="street", muted=True), s(0.3))
    bench.video("PI", from_s=0.75)
    assert sounds(bench.cuts(1)) == [[0]]


def test_sound_alone_while_no_picture_comes() -> None:
    bench = Bench().video("IPPP")
    assert pictures(bench.cuts(2.25)) == [[0, 1, 2, 3]]
    bench.audio(*(1 + n / 10 for n in range(11)))
    cut = bench.cut(2.3)
    assert cut is not None
    assert said(cut) == ([], [*range(11)], [])
    assert (cut.start_us, cut.end_us) == (s(1), s(2.02))
    assert bench.audio(2.1, 2.5, 3).cut(3.05) is None
    assert said(bench.audio(3.1).cut(3.15)) == ([], [11, 12, 13, 14], [])
    assert said(bench.audio(3.9).video("IPPPI", from_s=4).audio(4.1).cut(5)) == (
        [4, 5, 6, 7],
        [15, 16],
        [("camera", 12, 3, 4)],
    )


def test_sound_alone_while_what_comes_cannot_be_decoded() -> None:
    bench = Bench().video("IPPP")
    bench.ring.restart_video()
    bench.video("P" * 10, from_s=1).audio(*(1 + n / 10 for n in range(25)))
    assert [said(cut) for cut in bench.cuts(3.5)] == [([0, 1, 2, 3], [], []), ([], [*range(25)], [])]


def test_no_sound_alone_while_a_picture_waits_for_its_segment() -> None:
    bench = Bench().video("IPPP").audio(*(n / 10 for n in range(11)))
    assert bench.cut(1.4) is None


def test_the_last_sound_is_waited_for_and_goes_in() -> None:
    bench = Bench().video("IPPPI").audio(0.1).end(1)
    assert sounds(bench.cuts(1.1)) == [[0]]
    assert not bench.segmenter.ended(s(1.1))
    bench.audio(0.9, 1.2)
    assert not bench.segmenter.ended(s(1.3))
    assert [said(cut) for cut in bench.cuts(1.3)] == [([], [1], [])]
    assert bench.segmenter.ended(s(1.3))


def test_the_last_sound_is_waited_for_1_s_only() -> None:
    bench = Bench().video("IPPPI").audio(0.1).end(1)
    bench.cuts(1.1)
    assert not bench.segmenter.ended(s(1.999))
    assert bench.segmenter.ended(s(2))


# -- again, and otherwise -------------------------------------------------------------------------------------------


def test_after_a_failed_write_the_same_cuts_come_again() -> None:
    bench = Bench().video("IPPP.IPP.IPPPI").audio(*(n / 10 for n in range(30)))
    first = bench.cut(3)
    assert first is not None
    bench.segmenter.settled([first])
    failed = bench.cuts(3)
    bench.segmenter.rewind()
    again = bench.cuts(3)
    assert again == failed
    assert [said(cut) for cut in again] == [
        ([4, 5, 6], [*range(13, 23)], [("camera", 1, 3, 4)]),
        ([7, 8, 9, 10], [*range(23, 30)], [("camera", 1, 6, 7)]),
    ]


def test_what_is_not_durable_stays_in_the_ring() -> None:
    bench = Bench(ring_of(window_s=1)).video("IPPP" * 10)
    bench.cuts(10)
    bench.video("IPPP" * 2, from_s=10)
    bench.segmenter.rewind()
    assert pictures(bench.cuts(12)) == [[4 * n, 4 * n + 1, 4 * n + 2, 4 * n + 3] for n in range(11)]


def test_rewinding_before_anything_is_durable_begins_at_the_beginning() -> None:
    bench = Bench().video("IPPPI")
    failed = bench.cuts(1)
    bench.segmenter.rewind()
    assert bench.cuts(1) == failed
    assert bench.segmenter.last_durable is None


def test_changed_parameter_sets_end_what_can_be_cut() -> None:
    bench = Bench().video("IPPPIPJPPPJ")
    assert [said(cut) for cut in bench.cuts(9)] == [([0, 1, 2, 3], [], []), ([4, 5], [], [])]
    assert bench.segmenter.changed_sets
    bench.segmenter._last_durable = bench.segmenter._last
    bench.ring.advance(bench.claim, 6, 0)
    following = Segmenter(bench.ring, bench.claim, 0, Rates(PERIOD_US), PACKET_US, bench.segmenter)
    first = following.first_keyframe()
    assert first is not None
    assert (first[0], first[1].number) == (OTHER_SETS, 6)
    assert said(following.next_cut(s(9), OTHER_SETS)) == ([6, 7, 8, 9], [], [])


def test_a_keyframe_without_parameter_sets_goes_on_with_those_before() -> None:
    bench = Bench().video("IPPPKPPPI")
    assert pictures(bench.cuts(2)) == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert not bench.segmenter.changed_sets


def test_a_recording_begins_with_a_keyframe_that_has_its_parameter_sets() -> None:
    bench = Bench().video("KPPPIPPPI")
    first = bench.segmenter.first_keyframe()
    assert first is not None
    assert (first[0], first[1].number) == (SETS, 4)
    assert pictures(bench.cuts(2)) == [[4, 5, 6, 7]]


def test_one_that_continues_another_skips_what_leans_on_frames_that_are_gone_and_says_so() -> None:
    """A ledger broke after a segment that was cut as it stood, within a GOP."""
    bench = Bench().video("IPP")
    cuts = bench.cuts(2)
    bench.segmenter.settled(cuts)
    bench.video("PPIPPPI", from_s=2.5)
    following = Segmenter(bench.ring, bench.claim, 0, Rates(PERIOD_US), PACKET_US, bench.segmenter)
    first = following.first_keyframe()
    assert first is not None
    assert first[1].number == 5
    assert said(following.next_cut(s(4), SETS)) == (
        [5, 6, 7, 8],
        [],
        [("keyframe-awaited", 2, 3, 4), ("camera", 7, 2, 5)],
    )


def test_what_it_skips_is_told_beside_what_was_refused() -> None:
    bench = Bench().video("IPP")
    bench.segmenter.settled(bench.cuts(2))
    bench.video("PP", from_s=2.5)
    bench.ring.set_capture(PAUSED, s(2.9))
    bench.video("PP", from_s=3)
    bench.ring.set_capture(STREET, s(3.4))
    bench.video("IPPPI", from_s=3.5)
    following = Segmenter(bench.ring, bench.claim, 0, Rates(PERIOD_US), PACKET_US, bench.segmenter)
    assert gaps([cut for cut in [following.next_cut(s(5), SETS)] if cut is not None]) == [
        ("keyframe-awaited", 2, 3, 4),
        ("policy", 2, 5, 6),
        ("camera", 7, 2, 7),
    ]


def test_one_that_continues_another_ends_though_what_is_left_cannot_begin_a_recording() -> None:
    bench = Bench().video("IPP")
    bench.segmenter.settled(bench.cuts(2))
    bench.video("PP", from_s=2.5).end(3)
    following = Segmenter(bench.ring, bench.claim, 0, Rates(PERIOD_US), PACKET_US, bench.segmenter)
    assert (following.first_keyframe(), following.ended(s(5))) == (None, True)


# -- E5 -------------------------------------------------------------------------------------------------------------


class Told(msgspec.Struct):
    """What a recording says of the numbers of its frames."""

    kept: list[int] = []
    gaps: list[Missing] = []

    def take(self, cuts: list[Cut]) -> None:
        for cut in cuts:
            self.kept += numbers(cut.video)
            self.gaps += cut.missing


ACTS = st.lists(
    st.tuples(st.sampled_from("IPPPPPP" * 3 + ".....sSRffttNp"), st.integers(0, 3)), min_size=5, max_size=150
)


@modest
@given(ACTS, st.integers(6, 40))
def test_every_frame_between_first_and_last_is_in_one_segment_or_one_gap(
    acts: list[tuple[str, int]], cap_frames: int
) -> None:
    """Under drops, stalls, restarts, pauses, refusals, and writes that fail."""
    ring = ring_of(window_s=1, cap_bytes=cap_frames * FRAME_BYTES)
    bench = Bench(ring)
    bench.video("I")
    told = Told()
    now_us, stalled = 0, False
    for act, n in acts:
        now_us += PERIOD_US
        match act:
            case "I" | "P":
                ring.append_video(data_of(act), now_us, act == "I")
            case ".":
                now_us += n * PERIOD_US
            case "s" | "S":
                stalled = act == "s"
            case "R":
                ring.restart_video()
            case "t":
                ring.append_video(data_of("P"), now_us - 3 * PERIOD_US, False)
            case "p" | "N":
                ring.set_capture(PAUSED if act == "p" else STREET, now_us - n * PERIOD_US // 2)
            case "f":  # cut, and the write fails
                bench.cuts(now_us / 1e6)
                bench.segmenter.rewind()
        if not stalled:
            cuts = bench.cuts(now_us / 1e6)
            bench.segmenter.settled(cuts)
            told.take(cuts)
    bench.end((now_us + 1) / 1e6)
    told.take(bench.cuts(now_us / 1e6 + 9))
    assert bench.segmenter.ended(now_us + s(9))
    ours = [n for gap in told.gaps if gap.cause != "camera" for n in range(gap.first, gap.last + 1)]
    first, last = min(told.kept, default=0), max(told.kept, default=-1)
    assert told.kept == sorted(told.kept)
    assert sorted([*told.kept, *ours]) == list(range(first, last + 1))
    assert [gap.frames for gap in told.gaps if gap.cause != "camera"] == [
        gap.last - gap.first + 1 for gap in told.gaps if gap.cause != "camera"
    ]
    ending = [gap for gap in bench.segmenter.missing_at_end() if gap.cause != "camera"]
    after = [n for gap in ending for n in range(gap.first, gap.last + 1)]
    assert after == sorted(set(after) - set(told.kept))

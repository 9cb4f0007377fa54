"""The ring: what is held, for whom, and what is told of the rest."""

import gc
import sys
import threading
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device.media.frames import CaptureFlags
from device.media.held import Refusal
from device.media.ring import Ring
from tests.clips import (
    FRAME_BYTES,
    OTHER_SETS,
    PERIOD_US,
    SETS,
    STREET,
    clip,
    data_of,
    held,
    held_audio,
    held_bytes,
    numbers,
    ring_of,
)

EXAMPLES = 200
GOP_BYTES = 4 * FRAME_BYTES
ALL = 1 << 60
FAR_US = 1 << 60
"""A press after everything: what the policy says of frames before a press then holds for all of them."""
PAUSED = CaptureFlags(zone="street", paused=True, video=False, audio=False)
MUTED = CaptureFlags(zone="street", muted=True, audio=False)

modest = settings(max_examples=EXAMPLES, derandomize=True, deadline=None, database=None)


def s(seconds: float) -> int:
    return round(seconds * 1_000_000)


def audio_into(ring: Ring, *at_s: float, size: int = 10) -> None:
    for each in at_s:
        ring.append_audio(b"\x55" * size, s(each))


# -- time and bytes -------------------------------------------------------------------------------------------------


def test_whole_gops_are_kept_while_a_frame_of_them_is_in_the_window() -> None:
    ring = ring_of(window_s=2)
    clip("IPPPIPPPIPPP").into(ring)
    assert held(ring) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    clip("I", from_s=3).into(ring)
    assert held(ring) == [[4, 5, 6, 7], [8, 9, 10, 11], [12]]
    assert (ring.evicted_frames, ring.payload_bytes, ring.held_us()) == (4, 9 * FRAME_BYTES, s(2))


def test_after_a_stall_nothing_older_than_the_window_is_held() -> None:
    ring = ring_of(window_s=2)
    clip("IPPPIPPP").into(ring)
    clip("I", from_s=60).into(ring)
    assert held(ring) == [[8]]


def test_a_window_of_nothing_holds_the_gop_in_capture() -> None:
    ring = ring_of(window_s=0)
    clip("IPPPIPP").into(ring)
    audio_into(ring, 1.6, 1.62)
    clip("P", from_s=1.75).into(ring)
    assert held(ring) == [[4, 5, 6, 7]]


def test_by_bytes_the_oldest_gops_go_first() -> None:
    ring = ring_of(cap_bytes=3 * GOP_BYTES)
    clip("IPPP" * 5).into(ring)
    assert held(ring) == [[8, 9, 10, 11], [12, 13, 14, 15], [16, 17, 18, 19]]
    assert (ring.payload_bytes, ring.refused_frames, ring.evicted_frames) == (3 * GOP_BYTES, 0, 8)


def test_a_gop_that_grows_past_the_cap_is_cut_short_and_the_next_keyframe_is_taken() -> None:
    ring = ring_of(cap_bytes=5 * FRAME_BYTES)
    clip("IPPPPPPIP").into(ring)
    assert held(ring) == [[0, 1, 2, 3, 4]]
    assert ring.refusals(0, 99) == [Refusal("full", 5, 8, s(1.25), s(2))]
    assert ring.payload_bytes == held_bytes(ring)


def test_each_gop_has_the_parameter_sets_of_its_keyframe() -> None:
    ring = ring_of()
    claim = ring.claim(0, FAR_US)
    clip("IPJPKP").into(ring)
    assert [(sets, numbers(frames)) for sets, frames in ring.gops(claim, 0)] == [
        (SETS, [0, 1]),
        (OTHER_SETS, [2, 3]),
        (None, [4, 5]),
    ]


def test_the_keyframe_bell_rings_after_each_keyframe_that_is_in() -> None:
    rung: list[list[list[int]]] = []
    ring = Ring(s(9), 1 << 20, STREET, lambda: rung.append(held(ring)))
    clip("PIPIP").into(ring)
    assert rung == [[[1]], [[1, 2], [3]]]


# -- what is not held -----------------------------------------------------------------------------------------------


def test_nothing_is_taken_before_the_first_keyframe() -> None:
    ring = ring_of()
    ring.claim(0, FAR_US)
    clip("PPIP").into(ring)
    assert held(ring) == [[2, 3]]
    assert ring.refusals(0, 9) == [Refusal("keyframe-awaited", 0, 1, 0, s(0.25))]


def test_an_encoder_that_begins_anew_is_taken_from_its_keyframe() -> None:
    ring = ring_of()
    clip("IPP").into(ring)
    ring.restart_video()
    clip("PPIP", from_s=0.75).into(ring)
    assert held(ring) == [[0, 1, 2], [5, 6]]
    assert ring.refusals(0, 9) == [Refusal("keyframe-awaited", 3, 4, s(0.75), s(1))]


def test_whole_gops_are_refused_when_claims_fill_it_and_taken_when_they_let_go() -> None:
    """One more frame would have fitted: a GOP is not begun that has no room."""
    ring = ring_of(cap_bytes=3 * GOP_BYTES + FRAME_BYTES)
    claim = ring.claim(0, FAR_US)
    clip("IPPP" * 5).into(ring)
    assert held(ring) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    assert ring.refusals(0, 99) == [Refusal("full", 12, 19, s(3), s(4.75))]
    ring.advance(claim, 8, 0)
    clip("PIPPPIPPP", from_s=5).into(ring)
    assert held(ring) == [[8, 9, 10, 11], [21, 22, 23, 24], [25, 26, 27, 28]]
    assert ring.refusals(0, 99) == [Refusal("full", 12, 20, s(3), s(5))]
    assert (ring.refused_frames, ring.evicted_frames, ring.payload_bytes) == (9, 8, 3 * GOP_BYTES)


def test_a_frame_whose_time_went_back_is_refused_with_what_leans_on_it() -> None:
    ring = ring_of()
    for letter, at_s in (
        ("I", 1),
        ("P", 1.25),
        ("P", 1.25),
        ("P", 1.5),
        ("I", 1.4),
        ("P", 1.75),
        ("I", 2),
        ("P", 2.25),
    ):
        ring.append_video(data_of(letter), s(at_s), letter == "I")
    assert held(ring) == [[0, 1], [6, 7]]
    assert ring.refusals(0, 9) == [Refusal("time-went-back", 2, 5, s(1.25), s(1.75))]


def test_refusals_are_cut_to_the_numbers_asked_for() -> None:
    ring = ring_of()
    ring.claim(0, FAR_US)
    clip("PPPPI").into(ring)
    assert [(r.first_number, r.last_number) for r in ring.refusals(1, 2)] == [(1, 2)]
    assert ring.refusals(4, 9) == []


def test_a_refusal_between_frames_that_are_held_is_not_forgotten() -> None:
    """A refused frame's own time may be far back: its number counts."""
    ring = ring_of(window_s=3)
    clip("I", from_s=100).into(ring)
    ring.append_video(data_of("P"), s(1), False)
    clip("IPIPIP", from_s=100.5).into(ring)
    assert held(ring) == [[0], [2, 3], [4, 5], [6, 7]]
    assert ring.refusals(0, 9) == [Refusal("time-went-back", 1, 1, s(1), s(1))]


def test_refusals_that_nobody_can_ask_for_are_forgotten() -> None:
    ring = ring_of(window_s=1)
    clip("PPIP").into(ring)
    clip("IPPPIPPPIPPP", from_s=1).into(ring)
    assert ring.refusals(0, 99) == []


@modest
@given(st.lists(st.tuples(st.binary(max_size=40), st.integers(-5, 2**62), st.booleans(), st.booleans()), max_size=30))
def test_appending_never_raises(given_frames: list[tuple[bytes, int, bool, bool]]) -> None:
    ring = ring_of(window_s=1, cap_bytes=200)
    for data, at_us, keyframe, audio in given_frames:
        if audio:
            ring.append_audio(data, at_us)
        else:
            ring.append_video(b"\x00\x00\x01" + data, at_us, keyframe)
    assert ring.payload_bytes == held_bytes(ring) <= 200


# -- claims ---------------------------------------------------------------------------------------------------------


def test_a_claim_begins_with_the_gop_that_was_being_captured() -> None:
    ring = ring_of()
    clip("IPPPIPPPIPPP").into(ring)
    claim = ring.claim(s(1.5), FAR_US)
    assert (claim.from_us, claim.next_video) == (s(1), 4)
    assert [numbers(frames) for _, frames in ring.gops(claim, 0)] == [[4, 5, 6, 7], [8, 9, 10, 11]]


def test_a_claim_on_nothing_before_begins_with_the_next_keyframe() -> None:
    ring = ring_of()
    clip("IPPPIPPPIPPP").into(ring)
    claim = ring.claim(s(1.5), FAR_US, nothing_before=True)
    assert (claim.from_us, claim.next_video) == (s(2), 8)


def test_a_claim_on_what_is_to_come_never_begins_within_a_gop() -> None:
    ring = ring_of()
    clip("IPP").into(ring)
    claim = ring.claim(s(0.6), FAR_US)
    assert (claim.from_us, claim.next_video) == (s(0.6), 3)
    clip("PIPP", from_s=0.75).into(ring)
    assert [numbers(frames) for _, frames in ring.gops(claim, 0)] == [[4, 5, 6]]


def test_two_overlapping_claims_each_get_all_their_frames() -> None:
    ring = ring_of(window_s=2)
    first = ring.claim(0, FAR_US)
    clip("IPPP" * 4).into(ring)
    ring.close_claim(first, s(3.5))
    second = ring.claim(s(2), FAR_US)
    clip("IPPP" * 4, from_s=4).into(ring)
    ring.close_claim(second, s(6.3))
    clip("IPPP" * 4, from_s=8).into(ring)
    assert [numbers(frames) for _, frames in ring.gops(first, 0)] == [
        [0, 1, 2, 3],
        [4, 5, 6, 7],
        [8, 9, 10, 11],
        [12, 13],
    ]
    assert [numbers(frames) for _, frames in ring.gops(second, 0)] == [
        [8, 9, 10, 11],
        [12, 13, 14, 15],
        [16, 17, 18, 19],
        [20, 21, 22, 23],
        [24, 25],
    ]


def test_a_claim_never_reaches_over_frames_that_were_for_their_own_recording_only() -> None:
    """E1: what was captured where nothing may be kept before a press is not brought in by a later press."""
    ring = ring_of(window_s=60)
    ring.set_capture(CaptureFlags(zone="private", pre_video=False), s(1.0))
    ring.set_capture(CaptureFlags(zone="street"), s(2.2))
    clip("IPPP" * 4).into(ring)
    claim = ring.claim(0, s(4))
    assert claim.from_us == s(3), "the GOP at 2 s began inside"
    assert ring.claim(0, 0).from_us == 0, "a press before all of it is not concerned"


def test_a_gop_goes_only_when_out_of_the_window_and_of_every_claim() -> None:
    ring = ring_of(window_s=1)
    first, second = ring.claim(0, FAR_US), ring.claim(0, FAR_US)
    clip("IPPP" * 4).into(ring)
    assert len(held(ring)) == 4
    ring.advance(first, 16, 0)
    clip("I", from_s=4).into(ring)
    assert len(held(ring)) == 5
    ring.advance(second, 8, 0)
    clip("PPPI", from_s=4.25).into(ring)
    assert held(ring) == [[8, 9, 10, 11], [12, 13, 14, 15], [16, 17, 18, 19], [20]]
    ring.release(second)
    assert held(ring) == [[16, 17, 18, 19], [20]]
    assert ring.payload_bytes == 5 * FRAME_BYTES


def test_advancing_never_goes_back() -> None:
    ring = ring_of()
    claim = ring.claim(0, FAR_US)
    ring.advance(claim, 8, 9)
    ring.advance(claim, 3, 4)
    assert (claim.next_video, claim.next_audio) == (8, 9)


def test_a_claim_gets_the_audio_from_its_first_frame_to_its_end() -> None:
    ring = ring_of()
    clip("IPPPIPPP").into(ring)
    audio_into(ring, 0.5, 0.9, 1, 1.4, 1.9)
    claim = ring.claim(s(1.1), FAR_US)
    audio_into(ring, 2.2, 2.6)
    ring.close_claim(claim, s(2.6))
    assert numbers(ring.audio(claim, claim.next_audio, ALL)) == [2, 3, 4, 5]
    assert numbers(ring.audio(claim, 3, s(1.9))) == [3]


def test_a_claim_never_reaches_over_frames_that_were_dropped() -> None:
    """A stalled card pins an old recording while the window behind it is dropped for room (E5)."""
    ring = ring_of(cap_bytes=4 * GOP_BYTES)
    stalled = ring.claim(0, FAR_US)
    clip("IPPPIPPP").into(ring)
    ring.close_claim(stalled, s(2))
    clip("IPPP" * 4, from_s=2).into(ring)
    assert held(ring) == [[0, 1, 2, 3], [4, 5, 6, 7], [16, 17, 18, 19], [20, 21, 22, 23]]
    claim = ring.claim(0, FAR_US)
    assert (claim.from_us, claim.next_video) == (s(4), 16)


# -- letting go -----------------------------------------------------------------------------------------------------


def test_clear_drops_what_no_claim_needs_and_nothing_refers_to_it() -> None:
    ring = ring_of()
    pictures = [bytes(bytearray(data_of("P" if n % 4 else "I"))) for n in range(12)]
    sounds = [bytes(bytearray(10)) for _ in range(12)]
    for n in range(12):
        ring.append_video(pictures[n], n * PERIOD_US, n % 4 == 0)
        ring.append_audio(sounds[n], n * PERIOD_US)
    claim = ring.claim(s(1), FAR_US)
    ring.close_claim(claim, s(1.5))
    ring.clear(0)
    assert (held(ring), held_audio(ring), ring.payload_bytes) == ([[4, 5]], [4, 5], 2 * FRAME_BYTES + 20)
    assert referred_to(pictures) == referred_to(sounds) == [4, 5]
    ring.release(claim)
    ring.clear(0)
    assert (held(ring), held_audio(ring), ring.payload_bytes) == ([], [], 0)
    assert referred_to(pictures) == referred_to(sounds) == []


def referred_to(data: list[bytes]) -> list[int]:
    """Which of them are known to more than this list and to the call that counts."""
    gc.collect()
    return [n for n in range(len(data)) if sys.getrefcount(data[n]) > 2]


def test_after_clear_video_is_awaited_from_a_keyframe() -> None:
    ring = ring_of()
    clip("IPP").into(ring)
    ring.clear(0)
    ring.claim(s(0.6), FAR_US)
    clip("PIP", from_s=0.75).into(ring)
    assert held(ring) == [[4, 5]]
    assert ring.refusals(0, 9) == [Refusal("policy", 3, 3, s(0.75), s(0.75))]


def test_clear_leaves_an_open_claim_all_it_has() -> None:
    ring = ring_of()
    claim = ring.claim(0, FAR_US)
    clip("IPPPIP").into(ring)
    audio_into(ring, 0.5, 1)
    ring.clear(0)
    clip("P", from_s=1.5).into(ring)
    assert [numbers(frames) for _, frames in ring.gops(claim, 0)] == [[0, 1, 2, 3], [4, 5, 6]]
    assert numbers(ring.audio(claim, 0, ALL)) == [0, 1]


def test_no_later_claim_reaches_back_past_a_clear() -> None:
    ring = ring_of()
    ring.claim(0, FAR_US)
    clip("IPPPIP").into(ring)
    ring.clear(0)
    clip("PPIP", from_s=1.5).into(ring)
    claim = ring.claim(0, FAR_US)
    assert (claim.from_us, claim.next_video) == (s(2), 8)


def test_what_was_captured_before_a_clear_and_comes_after_it_is_not_held() -> None:
    """An encoder delivers what it had in hand."""
    ring = ring_of()
    clip("IPPP").into(ring)
    ring.clear(s(1.3))
    clip("IP", from_s=1).into(ring)
    audio_into(ring, 1, 1.25)
    assert (held(ring), held_audio(ring)) == ([], [])
    clip("PI", from_s=1.5).into(ring)
    assert held(ring) == [[7]]


def test_what_comes_after_a_clear_is_its_recordings_and_no_later_ones() -> None:
    ring = ring_of()
    open_claim = ring.claim(0, FAR_US)
    clip("IPPP").into(ring)
    ring.clear(s(1.6))
    clip("IPI", from_s=1).into(ring)
    audio_into(ring, 1, 2)
    assert [numbers(frames) for _, frames in ring.gops(open_claim, 4)] == [[4, 5], [6]]
    later = ring.claim(0, s(3))
    assert (later.held_us, later.next_video, later.next_audio) == (0, 7, 1)


def test_no_later_claim_has_sound_from_before_a_clear() -> None:
    """Sound that a recording still needs stays: it is not the next one's, also when no picture has come yet."""
    ring = ring_of()
    ring.claim(0, FAR_US)
    clip("IPPP").into(ring)
    audio_into(ring, 0, 0.9)
    ring.clear(s(1))
    later = ring.claim(0, s(1.1))
    assert later.held_us == 0
    assert ring.audio(later, later.next_audio, ALL) == []


def test_clearing_the_sound_leaves_the_pictures() -> None:
    ring = ring_of()
    clip("IPPP").into(ring)
    audio_into(ring, 0, 0.9)
    ring.clear(s(1), sound_only=True)
    assert (held(ring), held_audio(ring)) == ([[0, 1, 2, 3]], [])
    assert ring.claim(0, s(1)).held_us == s(1)


def test_what_policy_no_longer_lets_be_held_is_let_go_even_if_claimed() -> None:
    ring = ring_of()
    claim = ring.claim(0, FAR_US)
    clip("IPPPIPPPIP").into(ring)
    audio_into(ring, 0.5, 1.5, 2)
    ring.set_capture(PAUSED, s(1.5))
    assert held(ring) == [[0, 1, 2, 3], [4, 5]]
    assert held_audio(ring) == [0]
    clip("PPI", from_s=2.5).into(ring)
    assert ring.refusals(0, 99) == [Refusal("policy", 6, 12, s(1.5), s(3))]
    assert (ring.payload_bytes, ring.refused_frames, ring.refused_audio) == (6 * FRAME_BYTES + 10, 7, 2)
    ring.set_capture(STREET, s(3.1))
    clip("PIP", from_s=3.25).into(ring)
    assert [numbers(frames) for _, frames in ring.gops(claim, 0)] == [[0, 1, 2, 3], [4, 5], [14, 15]]
    assert ring.refusals(0, 99) == [Refusal("policy", 6, 13, s(1.5), s(3.25))]


def test_refusals_come_in_the_order_of_their_numbers() -> None:
    """What policy takes back is refused later than what was refused after it."""
    ring = ring_of()
    clip("IPP").into(ring)
    ring.restart_video()
    clip("PP", from_s=0.75).into(ring)
    ring.set_capture(PAUSED, s(0.5))
    assert ring.refusals(0, 9) == [
        Refusal("policy", 2, 2, s(0.5), s(0.5)),
        Refusal("keyframe-awaited", 3, 4, s(0.75), s(1)),
    ]


def test_a_pause_between_two_frames_takes_nothing() -> None:
    ring = ring_of()
    clip("IPP").into(ring)
    ring.set_capture(PAUSED, s(0.51))
    ring.set_capture(STREET, s(0.74))
    clip("PI", from_s=0.75).into(ring)
    assert held(ring) == [[0, 1, 2, 3], [4]]
    assert ring.refusals(0, 9) == []


def test_after_frames_were_taken_back_a_keyframe_is_awaited() -> None:
    ring = ring_of()
    clip("IPP").into(ring)
    ring.set_capture(PAUSED, s(0.4))
    ring.set_capture(STREET, s(0.6))
    clip("PI", from_s=0.75).into(ring)
    assert held(ring) == [[0, 1], [4]]
    assert ring.refusals(0, 9) == [Refusal("policy", 2, 3, s(0.5), s(0.75))]


def test_frames_captured_since_a_change_are_stamped_with_it() -> None:
    ring = ring_of()
    claim = ring.claim(0, FAR_US)
    clip("IPPPIP").into(ring)
    audio_into(ring, 0.5, 1)
    school = CaptureFlags(zone="school")
    ring.set_capture(school, s(0.75))
    clip("P", from_s=1.5).into(ring)
    frames = [frame for _, gop in ring.gops(claim, 0) for frame in gop]
    assert [frame.flags.zone for frame in frames] == ["street"] * 3 + ["school"] * 4
    assert [packet.flags.zone for packet in ring.audio(claim, 0, ALL)] == ["street", "school"]


def test_a_frame_that_arrives_late_is_stamped_with_what_held_at_its_capture() -> None:
    ring = ring_of()
    clip("IPP").into(ring)
    ring.set_capture(PAUSED, s(1))
    clip("PI", from_s=0.75).into(ring)
    assert held(ring) == [[0, 1, 2, 3]]
    assert [frame.flags for frame in ring._gops[0].frames] == [STREET] * 4


def test_muted_sound_is_let_go_and_pictures_stay() -> None:
    ring = ring_of()
    ring.claim(0, FAR_US)
    clip("IPPP").into(ring)
    audio_into(ring, 0.2, 0.4, 0.6)
    ring.set_capture(MUTED, s(0.4))
    audio_into(ring, 0.8)
    assert (held_audio(ring), ring.refused_audio, held(ring)) == ([0], 3, [[0, 1, 2, 3]])
    assert [frame.flags.muted for frame in ring._gops[0].frames] == [False, False, True, True]


# -- audio ----------------------------------------------------------------------------------------------------------


def test_audio_is_kept_as_far_back_as_video() -> None:
    ring = ring_of(window_s=2)
    for second in range(4):
        clip("IPPP", from_s=second).into(ring)
        audio_into(ring, second + 0.1, second + 0.6)
    clip("I", from_s=4).into(ring)
    assert held(ring)[0] == [8, 9, 10, 11]
    assert held_audio(ring) == [4, 5, 6, 7]


def test_without_video_audio_is_kept_for_the_window() -> None:
    ring = ring_of(window_s=2)
    audio_into(ring, *range(10))
    assert held_audio(ring) == [7, 8, 9]


def test_while_the_camera_stalls_audio_is_kept_for_the_window_only() -> None:
    ring = ring_of(window_s=2)
    clip("IPPP").into(ring)
    audio_into(ring, *range(60))
    assert held_audio(ring) == [57, 58, 59]
    assert held(ring) == [[0, 1, 2, 3]]


def test_audio_of_a_claim_stays() -> None:
    ring = ring_of(window_s=2)
    claim = ring.claim(0, FAR_US)
    audio_into(ring, *range(10))
    assert held_audio(ring) == [*range(10)]
    ring.advance(claim, 0, 5)
    audio_into(ring, 10)
    assert held_audio(ring) == [5, 6, 7, 8, 9, 10]


def test_a_cap_filled_by_audio_gives_way_once_nobody_needs_it() -> None:
    ring = ring_of(window_s=2, cap_bytes=1000)
    claim = ring.claim(0, FAR_US)
    audio_into(ring, *range(12), size=100)
    assert (held_audio(ring), ring.refused_audio) == ([*range(10)], 2)
    ring.append_video(data_of("I"), s(12), True)
    assert held(ring) == []
    ring.advance(claim, 0, 12)
    ring.append_video(data_of("I"), s(13), True)
    audio_into(ring, 13, size=100)
    assert (held(ring), held_audio(ring)) == ([[1]], [12])


def test_audio_whose_time_went_back_is_let_go() -> None:
    ring = ring_of()
    audio_into(ring, 1, 1, 0.5, 2)
    assert (held_audio(ring), ring.refused_audio, ring.newest_audio_us) == ([0, 3], 2, s(2))


# -- accounting -----------------------------------------------------------------------------------------------------

ACTS = st.lists(
    st.tuples(st.sampled_from("IIPPPPPaaaaA.cCorvtnmpR"), st.integers(0, 12), st.integers(1, 300)), max_size=120
)


@modest
@given(ACTS, st.integers(200, 3000), st.sampled_from([0, 1, 5]))
def test_whatever_happens_the_bytes_are_those_held_and_no_frame_is_lost_untold(  # noqa: C901, PLR0912 - one branch an act
    acts: list[tuple[str, int, int]], cap_bytes: int, window_s: int
) -> None:
    ring = ring_of(window_s=window_s, cap_bytes=cap_bytes)
    claims = [ring.claim(0, FAR_US)]
    now_us = 0
    for act, n, size in acts:
        now_us += PERIOD_US // 2
        back_us = max(0, now_us - n * 100_000)
        match act:
            case "I" | "P":
                ring.append_video(data_of(act, size), now_us, act == "I")
            case "a":
                ring.append_audio(b"x" * size, now_us)
            case "A":
                ring.append_audio(b"x" * size, back_us)
            case "t":
                ring.append_video(data_of("I", size), back_us, True)
            case "c" | "C":
                claims.append(ring.claim(back_us, FAR_US, nothing_before=act == "c"))
            case "o":
                ring.close_claim(claims[n % len(claims)], now_us)
            case "v":
                ring.advance(claims[n % len(claims)], ring.next_video_number - n, 10)
            case "r" if len(claims) > 1:
                ring.release(claims.pop())
            case "n" | "m" | "p":
                ring.set_capture({"n": STREET, "m": MUTED, "p": PAUSED}[act], back_us)
            case "R":
                ring.restart_video()
            case ".":
                ring.clear(0)
        assert ring.payload_bytes == held_bytes(ring) <= cap_bytes
        kept = [number for gop in held(ring) for number in gop]
        assert kept == sorted(set(kept))
        refused = [n for r in ring.refusals(0, 1 << 40) for n in range(r.first_number, r.last_number + 1)]
        assert refused == sorted(set(refused) - set(kept))
        assert ring.evicted_frames + ring.refused_frames + len(kept) == ring.next_video_number
        for claim in claims:
            wanted = [f.number for _, frames in ring.gops(claim, claim.next_video) for f in frames]
            span = range(min(wanted, default=0), max(wanted, default=-1) + 1)
            assert set(span) <= {*wanted, *refused}
            assert all(frames[0].keyframe for _, frames in ring.gops(claim, claim.first_video)[:1])


def append_pictures(ring: Ring) -> None:
    for n in range(2000):
        ring.append_video(data_of("P" if n % 4 else "I"), n * PERIOD_US, n % 4 == 0)


def append_sound(ring: Ring) -> None:
    for n in range(4000):
        ring.append_audio(b"x" * 10, n * PERIOD_US // 2)


def control(ring: Ring) -> None:
    for n in range(300):
        ring.set_capture((STREET, MUTED, PAUSED)[n % 3], ring.newest_video_us or 0)
        if n % 50 == 0:
            ring.clear(0)
    ring.set_capture(STREET, 0)


def record(ring: Ring) -> None:
    for _ in range(300):
        claim = ring.claim(max(0, (ring.newest_video_us or 0) - s(1)), FAR_US)
        for _, frames in ring.gops(claim, 0):
            ring.advance(claim, frames[-1].number + 1, 0)
        ring.audio(claim, 0, ALL)
        ring.refusals(0, ring.next_video_number)
        ring.close_claim(claim, ring.newest_video_us or 0)
        ring.release(claim)


def test_several_threads() -> None:
    """No result here but that nothing is lost: what was appended is held, dropped or refused."""
    ring = ring_of(window_s=2, cap_bytes=50 * FRAME_BYTES)
    ready = threading.Barrier(4)
    done: list[str] = []

    def run(work: Callable[[Ring], None]) -> None:
        ready.wait()
        work(ring)
        done.append(work.__name__)

    threads = [threading.Thread(target=run, args=(work,)) for work in (append_pictures, append_sound, control, record)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(done) == ["append_pictures", "append_sound", "control", "record"]
    assert ring.next_video_number == 2000
    assert ring.evicted_frames + ring.refused_frames + sum(len(gop) for gop in held(ring)) == 2000
    assert ring.payload_bytes == held_bytes(ring)


@pytest.mark.parametrize("data", [b"", b"\x00\x00\x01", b"\x00\x00\x01\x65", b"\x00\x00\x01\x67\x00\x00\x01"])
def test_a_keyframe_of_any_bytes_is_held(data: bytes) -> None:
    ring = ring_of()
    ring.append_video(data, 0, True)
    assert (held(ring), ring.payload_bytes) == ([[0]], len(data))


def test_what_comes_late_is_judged_by_what_the_policy_said_when_it_was_captured() -> None:
    """Without a pre-event window nothing old is kept, but for the words of the policy."""
    ring = ring_of(window_s=0)
    ring.claim(0, FAR_US)
    clip("IPPP").into(ring)
    ring.set_capture(PAUSED, s(1))
    ring.set_capture(STREET, s(2))
    clip("IPPP", from_s=2).into(ring)
    audio_into(ring, 1.9, 2.1)
    assert held_audio(ring) == [1]


# -- what is dated far ahead ----------------------------------------------------------------------------------------


def test_a_picture_dated_far_ahead_costs_its_gop_alone() -> None:
    ring = Ring(s(600), 1 << 20, STREET, lambda: None, lambda: s(1))
    ring.claim(0, FAR_US)
    clip("IPPP").into(ring)
    clip("I", from_s=3601).into(ring)
    clip("PPPIP", from_s=1.25).into(ring)
    assert held(ring) == [[0, 1, 2, 3], [8, 9]]
    assert ring.refusals(0, 99) == [Refusal("time-ahead", 4, 7, s(1), s(1.75))]
    assert (ring.newest_video_us, ring.video_ahead_us) == (s(2.25), s(1))


def test_a_picture_dated_a_little_ahead_is_held() -> None:
    ring = Ring(s(600), 1 << 20, STREET, lambda: None, lambda: s(1))
    clip("I", from_s=3).into(ring)
    clip("I", from_s=3.25).into(ring)
    assert held(ring) == [[0]]
    assert ring.video_ahead_us == s(1)


def test_sound_dated_far_ahead_is_refused_alone() -> None:
    ring = Ring(s(600), 1 << 20, STREET, lambda: None, lambda: s(1))
    audio_into(ring, 1, 3601, 1.02)
    assert held_audio(ring) == [0, 2]
    assert ring.sound_refusals(0, ALL) == [Refusal("time-ahead", 1, 1, s(1), s(1))]
    assert (ring.newest_audio_us, ring.audio_ahead_us) == (s(1.02), s(1))

"""Recordings that lie, with the device's own key, so that `verify` believes them: what they hide is found by the audit."""

from pathlib import Path

import msgspec
import pytest

from device.evidence import layout, records
from device.evidence.envelope import open_line
from device.evidence.records import (
    AudioSpan,
    Noted,
    Paused,
    RecordingClosed,
    RecordingEnded,
    RecordingHead,
    Resumed,
    Segment,
    Segments,
    Step,
    Stopped,
)
from device.evidence.verdicts import EXIT_EXTENT
from device.policy import commands as do
from device.policy import inputs as on
from hw_sim.agency import Bench
from hw_sim.scribe import Scribe
from tests.auditors import (
    AGENCY,
    Lines,
    comes,
    decides,
    decoded,
    forgotten,
    opened_of,
    record_two,
    reopened,
    respanned,
    rewritten,
    scribed,
    tells,
    the_nth,
)
from tests.benches import make_bench, recordings
from tests.cards import changed, copy_of, device_signer, edit_lines, lines_of, write_lines
from tests.liars import Said, came_and_decided, lie, sealed_for, step_said


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return record_two(tmp_path_factory.mktemp("card") / "bench")


@pytest.fixture
def card(recorded: Bench, tmp_path: Path) -> Bench:
    return copy_of(recorded, tmp_path / "bench")


# -- recordings that continue others --------------------------------------------------------------------------------


def test_a_recording_that_continues_one_that_is_not_there(card: Bench) -> None:
    reopened(card, recordings(card)[0], continues="000000-0123456789abcdef")
    tells(
        card, "is no recording of its activation before it", "the recording with which its activation began is missing"
    )


def test_a_recording_that_continues_one_that_had_ended(card: Bench) -> None:
    """The second has no activation of its own any more, and calls itself the rest of the first."""
    first, second = recordings(card)
    opened, lines = opened_of(first), lines_of(second / layout.LEDGER)
    signer = device_signer(card)
    lines[0] = changed(
        lines[0], signer, trigger_us=opened.trigger_us, trigger=opened.trigger, context=opened.context,
        continues=first.name, pre_event=msgspec.structs.replace(opened.pre_event, had_us=0),
    )  # fmt: skip
    lines[-1] = changed(lines[-1], signer, how="storage-full", context=sealed_for(card, {"reason": "storage-full"}))
    write_lines(second / layout.LEDGER, lines)

    def leave_out(journal: Lines) -> Lines:
        begun = the_nth(journal, 1, decides(do.Open))
        while isinstance(came_and_decided(journal[begun - 1])[0], on.Edge):
            begun -= 1
        shutdown = the_nth(journal, 0, comes(on.ShutdownAsked(at_us=0)))
        return [x for n, x in enumerate(journal) if n < begun or n == shutdown or not isinstance(x.record, Step)]

    lie(card, leave_out)
    tells(card, "which the journal does not say was given up", "after its decided end")


# -- pictures and sound ---------------------------------------------------------------------------------------------


def test_pictures_and_sound_in_a_private_pause(card: Bench) -> None:
    folder = recordings(card)[0]
    lines = decoded(folder)
    paused = next(r.at_us for r in lines if isinstance(r, Paused))
    resumed = next(r.at_us for r in lines if isinstance(r, Resumed))

    def through(segment: Segment) -> Segment:
        video = segment.video
        if video is None or not paused - 1_200_000 < video.last_us < paused:
            return segment
        return msgspec.structs.replace(segment, video=msgspec.structs.replace(video, last_us=resumed - 200_000))

    respanned(card, folder, through)
    tells(card, "when none might be held")


def test_a_segment_that_reaches_over_a_private_pause(card: Bench) -> None:
    folder = recordings(card)[0]
    lines = decoded(folder)
    paused = next(r.at_us for r in lines if isinstance(r, Paused))
    resumed = next(r.at_us for r in lines if isinstance(r, Resumed))

    def over(segment: Segment) -> Segment:
        video = segment.video
        if video is None or not paused - 1_200_000 < video.last_us < paused:
            return segment
        return msgspec.structs.replace(segment, video=msgspec.structs.replace(video, last_us=resumed + 40_000))

    respanned(card, folder, over)
    tells(card, "when no picture might be held")


def test_sound_of_a_mute(card: Bench) -> None:
    def speaks(segment: Segment) -> Segment:
        video = segment.video
        if video is None or segment.audio is not None or segment.stage == "pre":
            return segment
        return msgspec.structs.replace(
            segment, audio=AudioSpan(packets=40, from_us=video.from_us, last_us=video.last_us)
        )

    respanned(card, recordings(card)[0], speaks)
    tells(card, "sound of")


def test_more_sound_than_fits_around_a_pause(card: Bench) -> None:
    folder = recordings(card)[0]
    resumed = next(r.at_us for r in decoded(folder) if isinstance(r, Resumed))

    def many(segment: Segment) -> Segment:
        video, audio = segment.video, segment.audio
        if video is None or audio is None or not resumed <= video.from_us < resumed + 500_000:
            return segment
        longer = msgspec.structs.replace(audio, from_us=resumed - 5_000_000, packets=290)
        return msgspec.structs.replace(segment, audio=longer)

    respanned(card, folder, many)
    tells(card, "packets of sound, of which")


def test_sound_of_the_pre_event_time_where_only_pictures_may_be_held(card: Bench) -> None:
    def speaks(segment: Segment) -> Segment:
        video = segment.video
        if video is None or segment.stage != "pre":
            return segment
        return msgspec.structs.replace(
            segment, audio=AudioSpan(packets=40, from_us=video.from_us, last_us=video.last_us)
        )

    respanned(card, recordings(card)[0], speaks)
    tells(card, "before any might be recorded")


def test_more_pictures_of_before_than_the_policy_gives(card: Bench) -> None:
    folder = recordings(card)[1]

    def early(segment: Segment) -> Segment:
        video = segment.video
        if video is None or segment.n:
            return segment
        return msgspec.structs.replace(segment, video=msgspec.structs.replace(video, from_us=video.from_us - 3_000_000))

    respanned(card, folder, early)
    tells(card, "before any of it might be recorded")


def test_pictures_of_after_the_decided_end(card: Bench) -> None:
    folder = recordings(card)[1]
    last = max(s.n for r in decoded(folder) if isinstance(r, Segments) for s in r.segments if s.video)

    def late(segment: Segment) -> Segment:
        video = segment.video
        if video is None or segment.n != last:
            return segment
        return msgspec.structs.replace(segment, video=msgspec.structs.replace(video, last_us=video.last_us + 900_000))

    respanned(card, folder, late)
    tells(card, "after its decided end", "after its end")


# -- the end of a recording -----------------------------------------------------------------------------------------


def test_a_recording_cut_short_that_says_the_card_was_full(card: Bench) -> None:
    folder = recordings(card)[1]
    lines = lines_of(folder / layout.LEDGER)
    first = next(n for n, record in enumerate(decoded(folder)) if isinstance(record, Segments))
    held = decoded(folder)[first]
    assert isinstance(held, Segments)
    assert held.segments[-1].video is not None
    end_us = held.segments[-1].video.to_us
    context = sealed_for(card, {"reason": "storage-full"})
    last = changed(
        lines[-1], device_signer(card), how="storage-full", end_us=end_us, seq=first + 1, context=context
    )  # fmt: skip
    rewritten(card, folder, [*lines[: first + 1], last])
    tells(card, "it ended by itself (storage-full); the recorder said stopped")


def test_a_recording_without_its_end_in_a_run_that_has_one(card: Bench) -> None:
    folder = recordings(card)[1]
    lines = lines_of(folder / layout.LEDGER)
    write_lines(folder / layout.LEDGER, lines[:-1])
    kinds = RecordingHead | RecordingEnded
    lie(card, lambda ls: [x for x in ls if not (isinstance(x.record, kinds) and x.record.recording == folder.name)])
    tells(card, "it has no end, and the daemon ended as it should")


def test_a_recording_taken_away_as_if_the_camera_had_given_nothing(card: Bench) -> None:
    def empty(lines: Lines) -> Lines:
        n = the_nth(lines, 0, lambda line: isinstance(came_and_decided(line)[0], on.RecorderClosed))
        came, decided = came_and_decided(lines[n])
        assert isinstance(came, on.RecorderClosed)
        lines[n] = step_said(lines[n], msgspec.structs.replace(came, how="empty"), decided)
        return lines

    forgotten(card, recordings(card)[0], empty)
    tells(card, "nothing tells why")


def test_a_recording_taken_away_as_if_the_power_had_gone(card: Bench) -> None:
    def unended(lines: Lines) -> Lines:
        def kept(line: Said) -> bool:
            came = came_and_decided(line)[0]
            gone = isinstance(came, on.RecorderClosed) and came.recording == 1
            return not (gone or isinstance(came, on.ShutdownAsked) or isinstance(line.record, Stopped))

        return [line for line in lines if kept(line)]

    forgotten(card, recordings(card)[0], unended)
    tells(card, "nothing tells why")


# -- what a ledger says of itself -----------------------------------------------------------------------------------


def test_a_notice_that_was_not_given(card: Bench) -> None:
    folder = recordings(card)[1]

    def give(line: bytes) -> bytes:
        record = records.decode_ledger(open_line(line).payload)
        given = isinstance(record, Noted) and record.what == "notice-not-given"
        return changed(line, device_signer(card), what="notice-given") if given else line

    edit_lines(folder / layout.LEDGER, lambda lines: [give(line) for line in lines])
    lie(card, lambda lines: lines)
    tells(card, "notice-given at", "the journal decided notice-not-given")


def test_another_machine_in_a_ledger(card: Bench) -> None:
    folder = recordings(card)[0]
    reopened(card, folder, software=msgspec.structs.replace(opened_of(folder).software, machine="machine-9"))
    tells(card, "its software is bodycam")


def test_something_after_the_line_that_closes_a_ledger(card: Bench) -> None:
    folder = recordings(card)[1]
    lines = lines_of(folder / layout.LEDGER)
    assert isinstance(decoded(folder)[-1], RecordingClosed)
    closed = changed(lines[-1], device_signer(card), seq=len(lines))
    rewritten(card, folder, [*lines, closed])
    tells(card, "closes it, and is not its last")


def test_a_power_cut_may_leave_a_ledger_a_little_ahead_of_the_journal(tmp_path: Path) -> None:
    """Cards of before the journal was made durable first: a marker is in the ledger alone."""
    bench, scribe = scribed(tmp_path)
    scribe.double()
    scribe.pass_time(5)
    scribe.press()
    scribe.pass_time(2)
    scribe.cut()

    def lose(lines: Lines) -> Lines:
        return lines[: the_nth(lines, 0, decides(do.Mark))]

    def later(line: bytes) -> bytes:
        record = records.decode_ledger(open_line(line).payload)
        return changed(line, device_signer(bench), boot_us=scribe.clock.now_us() + 1) if record.seq else line

    edit_lines(recordings(bench)[0] / layout.LEDGER, lambda lines: [later(line) for line in lines])
    lie(bench, lose)
    tells(bench, "which the journal does not decide", status=EXIT_EXTENT)


def test_what_was_captured_after_the_journals_last_line_is_not_known(tmp_path: Path) -> None:
    """Nor whether a pause was over by then: a card that is being recorded on, or whose power went."""
    bench = make_bench(tmp_path / "bench", agency=AGENCY)
    scribe = Scribe(bench)
    scribe.double()
    scribe.pass_time(5)
    scribe.double("function")
    scribe.pass_time(5)
    scribe.double()
    scribe.pass_time(5)
    scribe.cut()

    def lose(lines: Lines) -> Lines:
        kept = lines[: the_nth(lines, 0, decides(do.Resume))]
        at_us = 5_000_000
        for line in kept:
            at_us = max(at_us, line.record.effective_us if isinstance(line.record, Step) else 0)
            line.record = msgspec.structs.replace(line.record, boot_us=at_us)
        return kept

    lie(bench, lose)
    tells(bench, "when none might be held", status=EXIT_EXTENT)

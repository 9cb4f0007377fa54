"""The record without the pictures: what is counted, for whom, in what period; and the page, readable by anyone."""

import json
import re
import resource
import subprocess
import sys
from html import escape
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from device.clock import Wall
from device.evidence import layout
from device.evidence.chain import utc_text
from device.evidence.figures import Figures, Period
from device.evidence.identity import load_anchors, parse_utc
from device.evidence.report import Report, report
from device.evidence.unsealing import ContextIdentity
from device.evidence.verdicts import EXIT_ALTERED, EXIT_EXTENT, EXIT_INTACT
from device.policy import commands as do
from device.policy import inputs as on
from device.report_page import page
from device.report_picture import zone_colours
from hw_sim.agency import Agency, Bench
from hw_sim.clock import VirtualClock
from hw_sim.long_shift import write_shift
from hw_sim.scribe import Scribe
from tests import benches
from tests.benches import make_bench, recordings
from tests.cards import copy_of
from tests.commands import run
from tests.liars import Said, came_and_decided, lie, step_said
from tests.policies import FIRST

AGENCY = Agency("Agency")
DAY_US = 86_400_000_000


def reported(bench: Bench, period: Period | None = None) -> Report:
    identity = ContextIdentity(bench.context_identity)
    anchors = load_anchors(bench.trust)
    return report(bench.card, anchors, (), identity, period or Period())


def new_bench(root: Path) -> Bench:
    return make_bench(root / "bench", agency=AGENCY, pre_event_s=5, post_event_s=2)


@pytest.fixture(scope="module")
def ten_hours(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    bench = new_bench(tmp_path_factory.mktemp("shift"))
    return write_shift(bench, segments=False)


def us(utc: str) -> int:
    moment = parse_utc(utc)
    assert moment is not None
    return round(moment.timestamp() * 1_000_000)


# -- figures --------------------------------------------------------------------------------------------------------


def test_a_shift_of_ten_hours_is_counted(ten_hours: Bench) -> None:
    said = reported(ten_hours)
    assert said.audit.exit_status == EXIT_INTACT
    (shift,) = (shift for shift in said.shifts if shift.officer)
    assert (shift.officer, shift.role, shift.unit, shift.shift) == (
        "officer-7", "patrol", "unit-3", "2026-09-21-late",
    )  # fmt: skip
    figures = shift.figures
    assert figures == said.total
    assert figures.activations == 60
    assert figures.by_category == {"imminent-threat": 6, "officer-discretion": 54}
    assert figures.by_zone == {"private": 6, "street": 54}
    assert figures.by_category_and_zone == {"imminent-threat in private": 6, "officer-discretion in street": 54}
    assert figures.refusals == {"zone-denies in private": 6}
    assert figures.overrides == {"start in private": 6}
    assert figures.stops == {"encounter-concluded": 20, "privacy": 20, "unexplained": 20}
    assert figures.unexplained == 20
    assert figures.mutes == {"unexplained": 6}
    assert figures.pauses == {"private-request": 6}
    assert figures.notices == {"given": 60}
    assert (figures.late_starts, round(figures.late_seconds, 2)) == (6, 6 * 90.27)
    assert figures.lapses == {"start": 6}
    assert figures.faults == {"microphone": 6}


def test_the_hours_add_up_to_the_shift(ten_hours: Bench) -> None:
    said = reported(ten_hours)
    (shift,) = said.shifts
    seconds = dict(shift.figures.seconds)
    muted = seconds.pop("muted")
    assert sum(seconds.values()) == pytest.approx((us(shift.to_utc) - us(shift.from_utc)) / 1e6)
    assert sum(seconds.values()) == pytest.approx(10 * 3600, abs=60)
    assert muted == pytest.approx(6 * 43.2, abs=2)
    assert seconds["paused"] == pytest.approx(6 * 40.27, abs=2)
    assert seconds["not buffering"] == pytest.approx(6 * 7, abs=6), "in the private zone, before the override"
    # Each band begins where the one before ended.
    for bands in (shift.phases, shift.zones):
        assert [span.to_utc for span in bands[:-1]] == [span.from_utc for span in bands[1:]]
    assert {span.what for span in shift.zones} == {"street", "private"}


def test_a_post_event_time_ends_by_itself_in_the_bands(tmp_path: Path) -> None:
    """A loop that was held up for a minute takes an input first: the deadline in that step moves the band at its own
    time."""
    bench = new_bench(tmp_path)
    scribe = Scribe(bench, segments=False)
    scribe.double()
    scribe.pass_time(30)
    scribe.confirmed_stop()
    late_us = scribe.clock.now_us() + 60_000_000
    scribe.clock.move_to(late_us)
    scribe._take(on.LevelChanged(at_us=late_us, part="battery", level="low"))
    scribe.pass_time(300)
    scribe.stop()
    (shift,) = reported(bench).shifts
    lengths = {span.what: us(span.to_utc) - us(span.from_utc) for span in shift.phases}
    assert lengths["post-event"] == 2_000_000
    assert [span.what for span in shift.phases] == ["buffering", "recording", "post-event", "buffering"]


def test_a_reason_that_is_given_after_the_stop_takes_the_place_of_none(tmp_path: Path) -> None:
    """The post-event time is 2 s here; the presses come after it, and the reason with them."""
    bench = new_bench(tmp_path)
    scribe = Scribe(bench, segments=False)
    scribe.double()
    scribe.pass_time(20)
    scribe.confirmed_stop()
    scribe.pass_time(4)
    scribe.press()
    scribe.pass_time(20)
    scribe.record(10)
    scribe.stop()
    assert reported(bench).total.stops == {"encounter-concluded": 1, "unexplained": 1}


def test_sleep_late_notice_justification_and_unknown_ends_are_counted(tmp_path: Path) -> None:
    bench = new_bench(tmp_path)
    clock = VirtualClock("boot-1")
    scribe = Scribe(bench, clock, segments=False)
    scribe.tell(on.SleepSwitched(at_us=clock.now_us(), on=True))
    scribe.pass_time(600)
    scribe.tell(on.SleepSwitched(at_us=clock.now_us(), on=False))
    scribe.press("function", 3.2)  # stealth: not allowed
    scribe.double()
    scribe.pass_time(90)  # no notice
    scribe.cut()
    clock.boot_id = "boot-2"
    again = Scribe(bench, clock, segments=False)
    again.double()
    again.pass_time(5)
    again.tell(on.RecorderClosed(at_us=clock.now_us(), recording=1, how="storage-full"))
    again.tell(on.Readiness(at_us=clock.now_us(), ready=False, reason="storage-full"))
    again.double()
    again.stop()
    said = reported(bench)
    assert said.audit.exit_status == EXIT_EXTENT
    total = said.total
    assert total.seconds["asleep"] == pytest.approx(600)
    assert total.denials == {"stealth: not-allowed": 1}
    assert total.notices == {"not given: unexplained": 2}
    assert total.stops == {"(by the device: storage-full)": 1}
    assert total.not_stopped == {"power lost, or a crash": 1}
    assert (total.refusals, total.device_refusals) == ({}, {"storage-full in street": 1})
    assert total.sleeps == {"unexplained": 1}
    assert total.faults == {"storage-full": 1}
    assert [shift.officer for shift in said.shifts] == ["", ""], "nobody's time is one boot's"


def test_one_shift_over_two_boots_is_one_and_the_next_officers_is_another(tmp_path: Path) -> None:
    bench = new_bench(tmp_path)
    clock = VirtualClock("boot-1")
    for boot, officers in (("boot-1", ["officer-1"]), ("boot-2", ["officer-1", "officer-2"])):
        clock.boot_id = boot
        scribe = Scribe(bench, clock, segments=False)
        for officer in officers:
            scribe.assign(officer, f"shift-of-{officer}")
            scribe.pass_time(60)
            scribe.record(10)
        scribe.stop()
    shifts = {shift.officer: shift for shift in reported(bench).shifts}
    assert set(shifts) == {"officer-1", "officer-2"}
    assert shifts["officer-1"].figures.activations == 2
    assert shifts["officer-2"].figures.activations == 1
    assert shifts["officer-1"].to_utc == shifts["officer-2"].from_utc


# -- period ---------------------------------------------------------------------------------------------------------


def without_empty(figures: Figures) -> dict[str, object]:
    return {key: value for key, value in msgspec.to_builtins(figures).items() if value}


def test_two_halves_of_a_time_are_together_the_whole(ten_hours: Bench) -> None:
    whole = reported(ten_hours)
    middle_us = us(whole.shifts[0].from_utc) + 5 * 3600 * 1_000_000
    halves = [reported(ten_hours, Period(to_us=middle_us)), reported(ten_hours, Period(from_us=middle_us))]
    assert [half.total.activations for half in halves] == [30, 30]
    for what, seconds in whole.total.seconds.items():
        assert sum(half.total.seconds[what] for half in halves) == pytest.approx(seconds)
    assert halves[0].shifts[0].to_utc == halves[1].shifts[0].from_utc == utc_text(middle_us)
    assert sum(half.total.unexplained for half in halves) == whole.total.unexplained
    assert sum(len(half.shifts[0].marks) for half in halves) == len(whole.shifts[0].marks)


def test_a_period_with_nothing_in_it_is_empty(ten_hours: Bench) -> None:
    said = reported(ten_hours, Period(from_us=0, to_us=DAY_US))
    assert (said.shifts, said.days) == ((), {})
    assert set(without_empty(said.total)) <= {"seconds"}
    text = page(said)
    whole = reported(ten_hours)
    begins, ends = (us[:19].replace("T", " ") for us in (whole.covers_from_utc, whole.covers_to_utc))
    assert f"No time of this period is in the journal. The journal covers {begins} to {ends}." in text


def test_days_are_split_at_midnight(tmp_path: Path) -> None:
    bench = new_bench(tmp_path)
    scribe = Scribe(bench, VirtualClock("boot-1", wall_offset_us=20_000 * DAY_US - 1_805_000_000), segments=False)
    scribe.pass_time(3600)
    scribe.record(5)
    scribe.stop()
    said = reported(bench)
    assert list(said.days) == ["2024-10-03", "2024-10-04"]
    assert said.days["2024-10-03"].seconds == {"buffering": pytest.approx(1800)}
    assert said.days["2024-10-04"].activations == 1
    assert said.days["2024-10-04"].seconds["buffering"] == pytest.approx(1800, abs=20)


# -- the page -------------------------------------------------------------------------------------------------------


class Outline(HTMLParser):
    """What a screen reader is told."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, "tags are nested"

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def test_the_page_is_one_file_that_a_screen_reader_can_read(ten_hours: Bench) -> None:
    text = page(reported(ten_hours))
    outline = Outline(text)
    assert not outline.open
    assert outline.all("html")[0]["lang"] == "en"
    assert len(outline.all("title")) >= 1
    assert len(outline.all("h1")) == len(outline.all("main")) == 1
    levels = [int(tag[1]) for tag, _ in outline.tags if re.fullmatch("h[1-6]", tag)]
    assert all(after <= before + 1 for before, after in pairwise(levels))
    tables = len(outline.all("table"))
    assert tables > 10
    assert tables == len(outline.all("caption"))
    assert all(head["scope"] in ("col", "row") for head in outline.all("th"))
    pictures = [svg for svg in outline.all("svg") if svg.get("role") == "img"]
    assert len(pictures) == 1
    named = str(pictures[0]["aria-labelledby"]).split()
    assert named == [outline.all("title")[1]["id"], outline.all("desc")[0]["id"]]
    assert all(svg.get("role") == "img" or svg.get("aria-hidden") == "true" for svg in outline.all("svg"))
    ids = [attributes["id"] for _, attributes in outline.tags if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_the_page_fetches_nothing_and_runs_nothing(ten_hours: Bench) -> None:
    text = page(reported(ten_hours))
    tags = {tag for tag, _ in Outline(text).tags}
    assert not tags & {"script", "link", "img", "iframe", "object", "embed", "form", "base"}
    assert not re.search(r"\b(?:src|href|on\w+)=", text)
    assert not re.search(r"url\(|@import", text)
    assert set(re.findall(r"https?://[^'\"< ]+", text)) == {"http://www.w3.org/2000/svg"}


def luminance(colour: str) -> float:
    """Of a colour, by WCAG 2."""
    parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_words_stand_out_from_what_is_behind_them(ten_hours: Bench) -> None:
    text = page(reported(ten_hours))
    ink = re.search(r"color: (#[0-9a-f]{6}); background: #fff", text)
    assert ink
    assert (1.05) / (luminance(ink[1]) + 0.05) > 7


def test_the_picture_shows_every_band_and_mark_within_its_bounds(ten_hours: Bench) -> None:
    said = reported(ten_hours)
    text = page(said)
    (shift,) = said.shifts
    bands = [(float(x), float(width)) for x, width in re.findall(r"<rect x='([\d.]+)' y='\d+' width='([\d.]+)'", text)]
    assert len(bands) == len(shift.phases) + len(shift.zones)
    assert min(x for x, _ in bands) == 90
    assert max(x + width for x, width in bands) == pytest.approx(960, abs=1)
    marks = re.findall(r"font-weight='bold'>([ROFL])<title>", text)
    assert {mark: marks.count(mark) for mark in marks} == {"R": 6, "O": 6, "F": 6, "L": 12}
    every = re.findall(r"font-weight='bold'>([A-Z])<title>", text)
    assert {mark: every.count(mark) for mark in "AMPN"} == {"A": 60, "M": 12, "P": 12, "N": 60}


def test_what_comes_from_a_card_is_escaped(ten_hours: Bench) -> None:
    said = reported(ten_hours)
    figures = msgspec.structs.replace(said.total, by_category={"<script>": 1})
    shift = said.shifts[0]
    shift = msgspec.structs.replace(shift, officer="<script>alert('x')</script>", unit="\"'&", figures=figures)
    text = page(msgspec.structs.replace(said, shifts=(shift,)))
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    Outline(text)


def test_a_journal_that_does_not_conform_is_told_at_the_top(ten_hours: Bench, tmp_path: Path) -> None:
    bench = copy_of(ten_hours, tmp_path / "bench")

    def excuse(lines: list[Said]) -> list[Said]:
        for n, line in enumerate(lines):
            came, decided = came_and_decided(line)
            if any(isinstance(d, do.Lapse) for d in decided):
                lines[n] = step_said(line, came, ())
        return lines

    lie(bench, excuse)
    said = reported(bench)
    assert said.audit.exit_status == EXIT_ALTERED
    assert said.total.lapses == {}, "it says what the journal says"
    text = page(said)
    assert text.index("DOES NOT CONFORM") < text.index("<h2")
    assert "class='bad'" in text
    assert text.index("asked to start, did not") < text.index("<h2")
    assert "class='bad'" not in page(reported(ten_hours))


# -- for people ------------------------------------------------------------------------------------------------------


class Uneven(VirtualClock):
    """The offset of its wall time differs by some µs from one look to the next, as real clocks' do."""

    looks = 0

    def wall(self) -> Wall:
        self.looks += 1
        wall = super().wall()
        return msgspec.structs.replace(wall, utc_us=wall.utc_us + self.looks * 37 % 11 - 5)


@pytest.fixture(scope="module")
def two_shifts(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """Two officers on two boots, with everything that can be counted; the second one's power goes."""
    bench = new_bench(tmp_path_factory.mktemp("two-shifts"))
    clock = Uneven("boot-1")
    for boot, officer in (("boot-1", "officer-1"), ("boot-2", "officer-2")):
        clock.boot_id = boot
        scribe = Scribe(bench, clock, segments=False)
        scribe.assign(officer, f"shift-of-{officer}")
        if officer == "officer-2":
            scribe.zone("school")
        scribe.zone("private")
        scribe.double()
        scribe.pass_time(5)
        scribe.press("record", 1.3)
        scribe.pass_time(20)
        scribe.zone("street")
        scribe.pass_time(3)
        scribe.press()
        scribe.pass_time(3)
        scribe.press("function", 3.2)
        scribe.pass_time(20)
        scribe.press("function", 3.2)
        scribe.double("function")
        scribe.pass_time(20)
        scribe.double()
        scribe.pass_time(20)
        scribe.confirmed_stop()
        scribe.pass_time(60)
        scribe.tell(on.SleepSwitched(at_us=scribe.clock.now_us(), on=True))
        scribe.pass_time(60)
        scribe.tell(on.SleepSwitched(at_us=scribe.clock.now_us(), on=False))
        scribe.pass_time(60)
        scribe.fault("policy", 20)
        if officer == "officer-1":
            scribe.trigger("door", "officer-discretion")
            scribe.pass_time(5)
            scribe.stop()
        else:
            scribe.double()
            scribe.pass_time(4)
            scribe.cut()
    return bench


def test_a_clock_that_is_some_microseconds_off_cuts_no_band(two_shifts: Bench) -> None:
    for shift in reported(two_shifts).shifts:
        for bands in (shift.phases, shift.zones):
            assert all(before.what != after.what for before, after in pairwise(bands))
            assert all(before.to_utc == after.from_utc for before, after in pairwise(bands))
    said = [span.what for span in reported(two_shifts).shifts[0].phases]
    assert said == [
        "not buffering", "recording", "paused", "recording", "post-event", "buffering", "asleep", "buffering",
    ]  # fmt: skip


def test_a_clock_that_was_set_begins_a_new_band(tmp_path: Path) -> None:
    bench = new_bench(tmp_path)
    scribe = Scribe(bench, VirtualClock("boot-1"), segments=False)
    scribe.pass_time(60)
    scribe.fault("microphone", 1)
    scribe._journal.sync()  # lines are labelled as they are signed
    scribe.clock.wall_offset_us += 3_600_000_000
    scribe.fault("microphone", 60)
    scribe.stop()
    (shift,) = reported(bench).shifts
    assert [span.what for span in shift.phases] == ["buffering", "buffering"]
    assert shift.figures.seconds == {"buffering": pytest.approx(121)}


def test_people_read_whole_seconds(two_shifts: Bench) -> None:
    text = page(reported(two_shifts))
    assert not re.search(r"\d\d:\d\d:\d\d\.\d", text)
    assert re.search(r"<th scope='row' class='t'>2026-09-21 14:13:25</th><td class='t'>2026-09-21 ", text)


def test_a_zone_has_one_colour_on_the_whole_page(two_shifts: Bench) -> None:
    said = reported(two_shifts)
    assert [[span.what for span in shift.zones][:2] for shift in said.shifts if shift.officer] == [
        ["private", "street"],
        ["private", "street"],
    ]
    first, second = (shift for shift in said.shifts if shift.officer)
    second = msgspec.structs.replace(second, zones=tuple(reversed(second.zones)))
    text = page(msgspec.structs.replace(said, shifts=(first, second)))
    colours: dict[str, set[str]] = {}
    for colour, zone in re.findall(r"fill='([^']+)'><title>(private|street): ", text):
        colours.setdefault(zone, set()).add(colour)
    for colour, zone in re.findall(r"fill='([^']+)' stroke='#1a1a1a'/></svg> (private|street)", text):
        colours.setdefault(zone, set()).add(colour)
    assert {zone: len(of) for zone, of in colours.items()} == {"private": 1, "street": 1}


def test_thirty_two_zones_have_thirty_two_colours(two_shifts: Bench) -> None:
    said = reported(two_shifts)
    zones = tuple(msgspec.structs.replace(said.shifts[0].zones[0], what=f"zone-{n}") for n in range(32))
    shift = msgspec.structs.replace(said.shifts[0], zones=zones)
    colours = zone_colours(msgspec.structs.replace(said, shifts=(shift,)))
    assert len(set(colours.values())) == 32


def test_policies_and_recordings_are_named(two_shifts: Bench) -> None:
    said = reported(two_shifts)
    (used,) = said.policies
    assert (used.id, used.version, used.title) == (FIRST.id, 1, FIRST.title)
    assert (used.from_utc, used.to_utc) == (said.covers_from_utc, said.covers_to_utc)
    names = [name for shift in said.shifts for start in shift.starts for name in start.recordings]
    assert names == [folder.name for folder in recordings(two_shifts)]
    assert [len(shift.starts) for shift in said.shifts] == [1, 2]
    assert {start.policy for shift in said.shifts for start in shift.starts} == {f"{FIRST.id} 1"}
    text = page(said)
    assert FIRST.title in text
    assert used.sha256 in text
    assert all(name in text for name in names)
    # Each boot's first recording is its number 1: the marks say which.
    marked = [mark.what for shift in said.shifts for mark in shift.marks if mark.kind == "notice"]
    assert [names[0] in what or names[1] in what for what in marked] == [True, True]


def test_a_recording_that_is_not_on_the_card_is_said_to_be_missing(two_shifts: Bench, tmp_path: Path) -> None:
    bench = copy_of(two_shifts, tmp_path / "bench")
    (recordings(bench)[0] / layout.LEDGER).write_bytes(b"nothing\n")
    (bench.card / layout.EVIDENCE / "999999-0123456789abcdef").mkdir()
    said = reported(bench)
    assert said.shifts[0].starts[0].recordings == ()
    assert "(no recording on this card)" in page(said)


def test_everything_has_its_time(two_shifts: Bench) -> None:
    shift = reported(two_shifts).shifts[0]
    kinds = {mark.kind for mark in shift.marks}
    assert kinds == {"start", "refused", "override", "mute", "pause", "sleep", "notice", "file", "inaction"}
    counted = {kind: sum(mark.kind == kind for mark in shift.marks) for kind in ("mute", "pause", "sleep", "notice")}
    assert counted == {"mute": 2, "pause": 2, "sleep": 2, "notice": 1}
    assert [mark.utc for mark in shift.marks] == sorted(mark.utc for mark in shift.marks)
    text = page(reported(two_shifts))
    for mark in shift.marks:
        if mark.kind != "start":
            assert f">{mark.utc[:19].replace('T', ' ')}</th><td>" in text


def test_what_is_counted_adds_up(two_shifts: Bench) -> None:
    total = reported(two_shifts).total
    assert total.activations == 3
    assert total.notices == {"given": 2, "not known (not ended yet, or power lost)": 1}
    assert sum(total.notices.values()) == total.activations
    assert (total.stops, total.not_stopped) == ({"unexplained": 2}, {"not ended yet, or power lost": 1})
    assert total.pre_event_seconds == 5, "two began where nothing from before may be had"
    assert (total.faults, total.files_refused) == ({}, {"policy": 2})
    assert (total.lapses, total.unanswered) == ({}, {"start": 1}), "it ended before the answer was due"
    text = page(reported(two_shifts))
    for words in (
        "time recorded after the press",
        "recorded from before the presses, in all",
        "recordings without a stop",
        "asked, ended before it was due",
        "files handed in that were refused",
        "starts refused by the policy",
        "other things denied by the policy",
    ):
        assert words in text


def test_a_justification_that_was_cut_short_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A policy's zone may ask to justify or to leave; leaving is an answer, the end of the recording is none."""
    before, school, after = benches.policy_document().decode().partition("[zones.school]")
    document = (before + school + after.replace('start = "allow"', 'start = "deny"', 1)).encode()
    monkeypatch.setattr(benches, "policy_document", lambda *_, **__: document)
    bench = new_bench(tmp_path)
    scribe = Scribe(bench, segments=False)
    for leaves in (True, False):
        scribe.zone("street")
        scribe.double()
        scribe.pass_time(5)
        scribe.zone("school")
        if leaves:
            scribe.pass_time(1)
            scribe.zone("street")
        else:
            scribe.confirmed_stop()
        scribe.pass_time(1)
        if leaves:
            scribe.confirmed_stop()
        scribe.pass_time(60)
    scribe.stop()
    total = reported(bench).total
    assert total.activations == 2
    assert total.unanswered == {"justify-or-exit": 1}


def test_words_stand_behind_their_titles(two_shifts: Bench) -> None:
    text = page(reported(two_shifts))
    street, category = FIRST.zones["street"].title, FIRST.categories["officer-discretion"].title
    assert f"{escape(category)} (officer-discretion) in {escape(street)} (street)" in text
    assert f"<th scope='row'>{escape(street)} (street)</th>" in text
    assert f"in the zone {escape(FIRST.zones['private'].title)} (private): zone-denies" in text


def test_the_axis_says_seconds_where_minutes_would_repeat(two_shifts: Bench, ten_hours: Bench) -> None:
    short, long = page(reported(two_shifts)), page(reported(ten_hours))
    ticks = r"<text x='[\d.]+' y='\d+' text-anchor='\w+'>(\d\d \w+ [\d:]+)</text>"
    assert all(re.fullmatch(r"\d\d \w+ \d\d:\d\d:\d\d", tick) for tick in re.findall(ticks, short))
    assert all(re.fullmatch(r"\d\d \w+ \d\d:\d\d", tick) for tick in re.findall(ticks, long))
    assert len(re.findall(ticks, short)) == 2 * 5
    assert len(re.findall(ticks, long)) == 7


def test_what_is_wide_scrolls_and_nothing_is_cut(two_shifts: Bench) -> None:
    text = page(reported(two_shifts))
    scrolling = len(re.findall(r"<div class='wide' role='group' tabindex='0' aria-label='[^']+'>", text))
    assert scrolling == text.count("<table>") + text.count("<svg role='img'") == text.count("class='wide'")
    assert ".wide {\n  overflow-x: auto" in text
    assert not re.search(r"svg \{[^}]*max-width: 100%; height: auto; \}\n", text), "it keeps its size where it scrolls"
    style = text[text.index("<style>") : text.index("</style>")]
    assert re.findall(r"^(.*)\{ white-space: nowrap", style, re.MULTILINE) == ["td.t, th.t "]
    assert "overflow: hidden" not in style


def test_numbers_and_lengths_are_at_the_right(two_shifts: Bench) -> None:
    text = page(reported(two_shifts))
    assert re.search(r"<td class='n'>\d+ min \d+ s</td>", text)
    assert not re.search(r"<td[^>]*(?<!class='n')>(?:\d+|[\d.]+ s|\d+ min \d+ s|\d+ h \d+ min)</td>", text)


def test_a_day_as_the_end_is_up_to_its_beginning(two_shifts: Bench) -> None:
    text = page(reported(two_shifts, Period(to_us=us("2026-09-22T00:00:00.000000Z"))))
    assert "to the beginning of 2026-09-22 (00:00:00); 2026-09-22 is not in it." in text
    text = page(reported(two_shifts, Period(from_us=us("2026-09-21T08:30:00.000000Z"))))
    assert "from 2026-09-21 08:30:00 to its end." in text


def test_a_report_of_centuries_has_four_hundred_days(tmp_path: Path) -> None:
    """A boot clock that leaps leaps over days of one band."""
    bench = new_bench(tmp_path)
    clock = VirtualClock("boot-1")
    scribe = Scribe(bench, clock, segments=False)
    clock.move_to(clock.now_us() + 500 * DAY_US)
    scribe.tell(on.FaultChanged(at_us=clock.now_us(), part="microphone", present=True))
    scribe.stop()
    said = reported(bench)
    assert (len(said.days), said.days_left_out) == (400, 101)
    assert said.total.seconds["buffering"] == pytest.approx(500 * 86_400)
    assert "Only the first 400 days that the journal tells of are listed: 101 more" in page(said)


# -- the command ----------------------------------------------------------------------------------------------------


def keys(bench: Bench) -> list[str]:
    return ["--trust", str(bench.trust), "--context-identity", str(bench.context_identity)]


def test_the_command_writes_the_page_and_says_so(
    ten_hours: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "report.html"
    assert run("report", str(ten_hours.card), *keys(ten_hours), "--html", str(output)) == 0
    assert output.read_text("utf-8") == page(reported(ten_hours))
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    said = capsys.readouterr().out
    assert "officer-7" in said
    (shift,) = reported(ten_hours).shifts
    assert all(moment[:19].replace("T", " ") in said for moment in (shift.from_utc, shift.to_utc))
    assert "audit: conforming" in said
    assert run("report", str(ten_hours.card), *keys(ten_hours), "--html", str(output)) == 2
    assert "it is there already" in capsys.readouterr().err
    assert run("report", str(ten_hours.card), *keys(ten_hours), "--html", str(output), "--force") == 0


def test_the_command_says_the_same_to_programs(ten_hours: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--from", "2026-09-21", "--to", "2026-09-22T00:00:00Z", "--json"]
    assert run("report", str(ten_hours.card), *keys(ten_hours), *arguments) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["from_utc"] == "2026-09-21T00:00:00.000000Z"
    assert list(said["days"]) == ["2026-09-21"]
    assert said["audit"]["verdict"] == "conforming"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--from", "yesterday"], "--from yesterday: not a moment; give a day such as 2026-01-31"),
        (["--from", "2026-01-31T08:00:00"], "it does not say that it is UTC"),
        (["--to", "2026-01-31T08:00:00+02:00"], "it is not in UTC"),
        (["--to", "1969-12-31"], "it must be from 1970 to 2200"),
        (["--from", "2026-02-01", "--to", "2026-02-01"], "--from 2026-02-01 is not before --to 2026-02-01"),
        (["--from", "2026-W05-6"], "not in a form that is read here; give a day such as 2026-01-31"),
        (["--to", "20260131"], "not in a form that is read here"),
        (["--to", "2026-01-31T08:00:00+00:00"], "not in a form that is read here"),
        (["--to", "2026-01-31T08:00Z"], "not in a form that is read here"),
        (["--to", "2026-02-30"], "--to 2026-02-30: not a moment"),
        (["--from", "2026-02-01\x1b[31m"], "--from 2026-02-01\\x1b[31m: not a moment"),
    ],
)
def test_a_period_that_is_none_is_one_message(
    ten_hours: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    output = tmp_path / "report.html"
    assert run("report", str(ten_hours.card), *keys(ten_hours), "--html", str(output), *arguments) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert not output.exists()


def test_a_page_goes_nowhere_on_a_card_and_into_no_folder(
    ten_hours: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(path.name for path in ten_hours.card.iterdir())
    for output, message in (
        (ten_hours.card / "report.html", "that is on a card"),
        (tmp_path, "that is a folder"),
        (tmp_path / "none" / "report.html", "No such file or directory"),
    ):
        assert run("report", str(ten_hours.card), *keys(ten_hours), "--html", str(output)) == 2
        assert message in capsys.readouterr().err
    assert sorted(path.name for path in ten_hours.card.iterdir()) == before
    assert list(tmp_path.iterdir()) == []


def test_a_period_with_nothing_in_it_is_said_in_the_terminal(
    ten_hours: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = str(tmp_path / "report.html")
    assert run("report", str(ten_hours.card), *keys(ten_hours), "--html", output, "--to", "2020-01-01") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "no time of this period is in the journal; it covers 2026-09-21 14:13:25 to " in said


def _little_room() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))


def test_a_page_that_does_not_fit_is_no_page_and_says_nothing_of_the_evidence(ten_hours: Bench, tmp_path: Path) -> None:
    output = tmp_path / "report.html"
    command = [
        sys.executable,
        "-m",
        "device.cli",
        "report",
        str(ten_hours.card),
        *keys(ten_hours),
        "--html",
        str(output),
    ]
    done = subprocess.run(command, preexec_fn=_little_room, capture_output=True, text=True, check=False)
    assert done.returncode == 74, done.stderr
    assert done.stderr.startswith(f"bodycam: --html {output}: File too large")
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a3_the_data_needs_no_footage_and_no_key_to_it(ten_hours: Bench, tmp_path: Path) -> None:
    """The report of a card without a single segment, and without the identity for footage, is the same."""
    bench = copy_of(ten_hours, tmp_path / "bench")
    bench.footage_identity.unlink()
    names = {path.name for path in bench.card.rglob("*") if path.is_file()}
    assert not any(layout.segment_numbers(name) for name in names)
    assert reported(bench).total == reported(ten_hours).total

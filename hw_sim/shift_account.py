"""Every frame of a shift accounted for: what the twin gave, held against what opened recordings hold and signed gaps name.

For each recording, from its first picture to its end: each picture given is there once, in order, or in a signed gap, and
no gap names one that is there (E5); each instant at which none was given is in a gap of the camera's. The same of sound, by
times. Nothing captured while it was forbidden is there (E1). What a power cut took is the end of a recording, and no longer
than `MOST_LOST_US`. Ledgers are read with the device's own reader, contents by the numbers that they bear (`hw_sim.tagged`).
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import msgspec

from device.clock import NEVER_US
from device.evidence import layout, records
from device.evidence.identity import load_certificate, p256_key
from device.evidence.opening import Identity
from device.evidence.records import Gap, RecordingClosed, RecordingOpened, Segments, SoundGap
from device.evidence.recovery import read_ledger
from hw_sim.agency import Bench
from hw_sim.given import Run, Track
from hw_sim.shift_run import Boot, Played, Span
from hw_sim.tagged import found

MOST_LOST_US = 3_000_000
"""A cut may take the second in capture and the one being sealed, which a card that was just slow makes longer."""
TOUCHED_US = 40_000_000
"""So long after the card was slow or failed, more may wait for it."""
GOP_US = 1_300_000
"""A second of pictures, and the time until a switch counts."""
STORED, IN_GAP, LOST = 1, 2, 4


class Trouble(msgspec.Struct, frozen=True):
    """Something that is not as it must be. `recording`: the folder's name, "" where it is of none."""

    recording: str
    what: str


@dataclass
class Opened:
    """One recording as it lies on the card: its records, and the numbers in what its segments hold."""

    name: str
    opening: RecordingOpened
    gaps: list[Gap]
    sound_gaps: list[SoundGap]
    closed: RecordingClosed | None
    boot: int
    pictures: list[int]
    packets: list[int]


@dataclass
class Account:
    """In pictures, and packets of sound. `given` is what came at all; of these `stored` are in a recording or more,
    `in_gaps` in none and in a signed gap, `lost` in neither since the power went, and the rest was never claimed."""

    given: int = 0
    stored: int = 0
    in_gaps: int = 0
    lost: int = 0
    never_came: int = 0
    packets_given: int = 0
    packets_stored: int = 0
    barred: int = 0
    troubles: list[Trouble] = field(default_factory=list)

    @property
    def never_claimed(self) -> int:
        return self.given - self.stored - self.in_gaps - self.lost


def account(played: Played) -> Account:
    """Of a whole shift."""
    said = Account()
    marks = [bytearray(boot.given.pictures.count) for boot in played.boots]
    packets = [set[int]() for _ in played.boots]
    before: dict[str, Opened] = {}
    recordings = list(opened_recordings(played.bench))
    continued = {opened.opening.continues for opened in recordings}
    for opened in recordings:
        if opened.boot == 0:
            said.troubles.append(Trouble(opened.name, "its frames are of more than one boot, or there are none"))
            continue
        boot, mark = played.boots[opened.boot - 1], marks[opened.boot - 1]
        previous = before.get(opened.opening.continues or "")
        _Holding(said, boot, opened, mark, previous, continued=opened.name in continued).judge()
        packets[opened.boot - 1].update(opened.packets)
        before[opened.name] = opened
    for boot, mark in zip(played.boots, marks, strict=True):
        said.given += boot.given.pictures.count
        said.packets_given += boot.given.packets.count
        said.stored += sum(1 for one in mark if one & STORED)
        said.in_gaps += sum(1 for one in mark if one & IN_GAP and not one & STORED)
        said.lost += sum(1 for one in mark if one == LOST)
        said.barred += sum(_within(run, span) for run in boot.given.pictures.runs for span in boot.barred)
    said.packets_stored = sum(len(stored) for stored in packets)
    return said


def opened_recordings(bench: Bench) -> Iterator[Opened]:
    """Each recording on the card that has a first line, oldest first."""
    key = p256_key(load_certificate((bench.root / "device" / "device.der").read_bytes()))
    identity = Identity(bench.footage_identity)
    for folder in sorted((bench.card / layout.EVIDENCE).iterdir()):
        ledger = folder / layout.LEDGER
        lines = read_ledger(ledger.read_bytes(), folder.name, key).lines if ledger.exists() else []
        if lines:
            yield _opened(folder, [line.record for line in lines], identity)


def _opened(folder: Path, lines: "list[records.LedgerRecord]", identity: Identity) -> Opened:
    opening, last = lines[0], lines[-1]
    assert isinstance(opening, RecordingOpened), "a ledger begins with its opening"
    pictures: list[tuple[int, int]] = []
    packets: list[tuple[int, int]] = []
    for segment in (s for line in lines if isinstance(line, Segments) for s in line.segments):
        numbers = found(identity.open(folder / layout.segment_file(segment.n, segment.attempt), segment.file))
        pictures += numbers.pictures
        packets += numbers.packets
    boots = {boot for boot, _ in (*pictures, *packets)}
    return Opened(
        name=folder.name,
        opening=opening,
        gaps=[line for line in lines if isinstance(line, Gap)],
        sound_gaps=[line for line in lines if isinstance(line, SoundGap)],
        closed=last if isinstance(last, RecordingClosed) else None,
        boot=boots.pop() if len(boots) == 1 else 0,
        pictures=[number for _, number in pictures],
        packets=[number for _, number in packets],
    )


class _Holding:
    """One recording held against its boot."""

    def __init__(
        self, said: Account, boot: Boot, opened: Opened, mark: bytearray, before: Opened | None, *, continued: bool
    ) -> None:
        self._said = said
        self._boot = boot
        self._opened = opened
        self._mark = mark
        self._before = before
        self._continued = continued

    def judge(self) -> None:
        self._order("pictures", self._opened.pictures)
        self._order("packets", self._opened.packets)
        self._judge_pictures()
        self._judge_sound()

    def _order(self, what: str, numbers: list[int]) -> None:
        if any(after <= before for before, after in pairwise(numbers)):
            self._trouble(f"{what} stand in it twice, or out of order")

    # -- pictures ---------------------------------------------------------------------------------------------------

    def _judge_pictures(self) -> None:  # noqa: C901 - one branch for each place where a picture may be
        stored, track = set(self._opened.pictures), self._boot.given.pictures
        first, last = min(stored), max(stored)
        if self._before is not None and self._before.boot == self._opened.boot:
            first = max(self._before.pictures) + 1
        covered = {n for gap in self._opened.gaps if gap.cause != "camera" for n in range(gap.first, gap.last + 1)}
        until_us = self._ends_us()
        times: list[int] = []
        lost: list[int] = []
        unexplained, twice, came = 0, 0, 0
        for number, at_us, arrival in _from(track, first):
            if number > last and at_us >= until_us:
                break
            came += number <= last
            if number in stored:
                self._mark[arrival] |= STORED
                times.append(at_us)
                twice += arrival in covered
            elif arrival in covered:
                self._mark[arrival] |= IN_GAP
            elif number > last and self._cut_short:
                self._mark[arrival] |= LOST
                lost.append(at_us)
            else:
                unexplained += 1
        if unexplained:
            self._trouble(f"{unexplained} pictures were given in its time and are neither in it nor in a signed gap")
        if twice:
            self._trouble(f"{twice} pictures are in it and in a signed gap")
        if len(times) != len(stored):
            self._trouble(f"{len(stored) - len(times)} pictures in it were never given")
        told = sum(gap.frames for gap in self._opened.gaps if gap.cause == "camera")
        never_came = last - first + 1 - came
        self._said.never_came += never_came
        if told != never_came:
            self._trouble(f"{never_came} pictures never came in its time; its gaps of the camera say {told}")
        if lost and lost[-1] - times[-1] > MOST_LOST_US and not self._card_touched(lost[-1]):
            self._trouble(f"the power cut took {(lost[-1] - times[-1]) / 1e6:.1f} s")
        self._judge_barred("pictures", times, self._boot.barred)
        self._judge_beginning(times[0])

    @property
    def _cut_short(self) -> bool:
        """The power went while it was being recorded."""
        return self._opened.closed is None and not self._continued and self._boot.cut_us is not None

    def _ends_us(self) -> int:
        """Up to here each picture given must be told of."""
        if self._opened.closed is not None:
            return self._opened.closed.end_us if self._opened.closed.how != "continued" else 0
        if self._cut_short:
            return NEVER_US
        if not self._continued:
            self._trouble("it has no end, and the power did not go")
        return 0

    def _judge_beginning(self, begins_us: int) -> None:
        """As far back before the press as was asked, but not over what barred it, nor over the beginning of the boot."""
        opening, boot = self._opened.opening, self._boot
        if self._before is not None or opening.pre_event.asked_us == 0:
            return
        bars_us = [boot.given.pictures.runs[0].at_us, *boot.cleared_us, *(to_us for _, to_us in boot.barred)]
        barred_us = max((at_us for at_us in bars_us if at_us <= opening.trigger_us), default=0)
        period_us = round(boot.given.pictures.runs[0].distance_us)
        latest_us = max(opening.trigger_us - opening.pre_event.asked_us + period_us, barred_us + GOP_US)
        if begins_us > latest_us:
            self._trouble(f"it begins {(begins_us - latest_us) / 1e6:.1f} s later than its pre-event time must")

    def _card_touched(self, at_us: int) -> bool:
        return any(touched <= at_us <= touched + TOUCHED_US for touched in self._boot.touched_us)

    # -- sound ------------------------------------------------------------------------------------------------------

    def _judge_sound(self) -> None:
        if not self._opened.packets:
            return
        stored, track = set(self._opened.packets), self._boot.given.packets
        first, last = min(stored), max(stored)
        times, missing = [], 0
        length_us = round(track.runs[0].distance_us)
        for number, at_us, _ in _from(track, first):
            if number > last:
                break
            if number in stored:
                times.append(at_us)
            elif not any(gap.from_us - length_us <= at_us <= gap.to_us for gap in self._opened.sound_gaps):
                missing += 1
        if missing:
            self._trouble(
                f"{missing} packets of sound were given in its time and are neither in it nor in a signed gap"
            )
        self._judge_barred("packets of sound", times, self._boot.silenced)
        opening = self._opened.opening
        early = sum(at_us < opening.trigger_us for at_us in times) if opening.pre_event.mode == "video" else 0
        if early:
            self._trouble(f"{early} packets of sound are from before the press")

    def _judge_barred(self, what: str, times: Iterable[int], spans: list[Span]) -> None:
        barred = sum(1 for at_us in times if any(from_us <= at_us < to_us for from_us, to_us in spans))
        if barred:
            self._trouble(f"{barred} {what} in it were captured while that was forbidden")

    def _trouble(self, what: str) -> None:
        self._said.troubles.append(Trouble(self._opened.name, what))


def _from(track: Track, first: int) -> Iterator[tuple[int, int, int]]:
    """Those given, from this number on: number, time, arrival."""
    for run in track.runs:
        for number in range(max(first, run.number), run.after):
            yield number, run.at(number), run.arrival + number - run.number


def _within(run: Run, span: Span) -> int:
    """How many of a run were captured in a span, to one."""
    first = max(0, math.ceil((span[0] - run.at_us) / run.distance_us))
    after = min(run.count, math.ceil((span[1] - run.at_us) / run.distance_us))
    return max(0, after - first)

"""Which lines of a ledger go with a part of a recording, and how one who has only these knows that none is withheld.

The maker of an export and its reader share this page. A *part* is a run of whole segments. With it go: the line that
opens the recording, the one that ends it, and **a run of lines without a hole** (each has its number, and a proof that
it stands at that number), which begins before anything of the part could have been written and ends after all of it
must have been:

- it begins at line 1, or with a line that was signed before the part's first frame: nothing is signed before it happens;
- it ends with the last line, or holds a segment whose first frame is `LATE_US` or more after the part's last: the device
  writes what happened before it writes pictures that are so much later.

Beside the run go the last line that names segments (it tells how long the whole is), and what was in force as the part
begins: a mute, a fault. Silence that no carried line explains is found. PURE.
"""

from collections.abc import Iterator, Sequence

from device.errors import EvidenceError
from device.evidence.records import (
    Fault,
    Gap,
    LedgerRecord,
    Muted,
    RecordingOpened,
    Segment,
    Segments,
    SoundGap,
    Unmuted,
)

LATE_US = 10_000_000
"""A gesture is understood within 5 s, and an order is carried out before the pictures that come after it are written."""
FAULT_SEEN_US = 5_000_000
"""A microphone that is silent is a fault only some seconds later."""


def start_us(segment: Segment) -> int:
    """The boot time of its first frame, of sound where it has no picture."""
    span = segment.video or segment.audio
    return span.from_us if span is not None else 0


def end_us(segment: Segment) -> int:
    """Where its last frame's time ends; of sound alone, its last packet's beginning."""
    if segment.video is not None:
        return segment.video.to_us
    return segment.audio.last_us if segment.audio is not None else 0


def segments_in(records: Sequence[LedgerRecord]) -> list[Segment]:
    return [segment for record in records if isinstance(record, Segments) for segment in record.segments]


def overlapping(records: Sequence[LedgerRecord], from_us: int, to_us: int) -> list[Segment]:
    """The whole segments that hold anything of an interval of boot time."""
    return [s for s in segments_in(records) if start_us(s) < to_us and (end_us(s) > from_us or start_us(s) >= from_us)]


def lines_with(records: Sequence[LedgerRecord], from_us: int, to_us: int) -> list[int]:
    """The numbers of the lines that go with an interval; `records` are all of the ledger but the one that ends it."""
    last = len(records) - 1
    first = max((n for n in range(1, last + 1) if records[n].boot_us < from_us), default=min(1, last))
    told = max((n for n in range(first, last + 1) if tells_of(records[n], from_us, to_us)), default=first)
    end = next((n for n in range(told, last + 1) if _is_past(records[n], to_us)), last)
    last_segments = max((n for n in range(last + 1) if isinstance(records[n], Segments)), default=0)
    return sorted({0, last_segments, *_standing(records[:first]), *range(first, end + 1)})


def run_around(records: Sequence[LedgerRecord], n: int) -> list[LedgerRecord]:
    """The carried lines, one after the other without a hole, among which is the one with segment `n`."""
    runs: list[list[LedgerRecord]] = []
    for record in records:
        if runs and runs[-1][-1].seq + 1 == record.seq:
            runs[-1].append(record)
        else:
            runs.append([record])
    for run in runs:
        if any(segment.n == n for segment in segments_in(run)):
            return run
    raise EvidenceError(f"no line that names segment {n} goes with it")


def why_withheld(run: Sequence[LedgerRecord], size: int, from_us: int, to_us: int) -> str:
    """Why something of an interval may stand in lines that are not in this run of a ledger's `size` lines; "" when
    nothing can."""
    first, last = run[0], run[-1]
    if first.seq > 1 and first.boot_us >= from_us:
        return f"lines before line {first.seq} may tell of these seconds, and are not here"
    if last.seq < size - 1 and not any(_is_past(record, to_us) for record in run):
        return f"lines after line {last.seq} may tell of these seconds, and are not here"
    return ""


def silent(records: Sequence[LedgerRecord], opened: RecordingOpened, segments: Sequence[Segment]) -> Iterator[Segment]:
    """The segments that should have sound and have none, with no carried line that tells why."""
    if opened.audio is None:
        return
    without = list(_without_sound(records))
    for segment in segments:
        before_the_press = segment.stage == "pre" and opened.pre_event.mode != "video-and-audio"
        if segment.audio is not None or before_the_press:
            continue
        if not any(begins <= end_us(segment) and start_us(segment) <= ends for begins, ends in without):
            yield segment


def _without_sound(records: Sequence[LedgerRecord]) -> Iterator[tuple[int, int]]:
    """From when to when the carried lines say that there is no sound."""
    never = 2**53
    muted: int | None = None
    failed: int | None = None
    for record in records:
        if isinstance(record, Muted):
            muted = record.at_us
        elif isinstance(record, Unmuted) and muted is not None:
            yield muted, record.at_us
            muted = None
        elif isinstance(record, Fault) and record.part == "microphone":
            if record.present:
                failed = record.at_us - FAULT_SEEN_US
            elif failed is not None:
                yield failed, record.at_us
                failed = None
        elif isinstance(record, SoundGap) and record.cause != "policy":  # what the policy forbade has a line of its own
            yield record.from_us, record.to_us
    yield from ((begins, never) for begins in (muted, failed) if begins is not None)


def _standing(before: Sequence[LedgerRecord]) -> set[int]:
    """The lines that began what is in force after the last of these."""
    in_force: dict[str, int] = {}
    for record in before:
        what = f"fault {record.part}" if isinstance(record, Fault) else "mute"
        if isinstance(record, Muted) or (isinstance(record, Fault) and record.present):
            in_force[what] = record.seq
        elif isinstance(record, Unmuted | Fault):
            in_force.pop(what, None)
    return set(in_force.values())


def tells_of(record: LedgerRecord, from_us: int, to_us: int) -> bool:
    """Whether what a record says happened in an interval of boot time."""
    if isinstance(record, Segments):
        return bool(overlapping([record], from_us, to_us))
    if isinstance(record, Gap | SoundGap):
        return record.from_us < to_us and record.to_us > from_us
    at_us = getattr(record, "at_us", None)
    return at_us is not None and from_us <= at_us < to_us


def _is_past(record: LedgerRecord, to_us: int) -> bool:
    return isinstance(record, Segments) and any(start_us(s) >= to_us + LATE_US for s in record.segments)

"""An exported MP4 that proves itself: every byte of it is accounted for, or it is altered.

The file is `ftyp` and `moov` (the recording's init), one `moof` and one `mdat` for each segment in order, and one `uuid`
box with the evidence. A C2PA manifest, one `uuid` box right after `ftyp`, may be there: its bytes are the exporter's and
this reader does not judge them. Nothing else. The digests of the plaintext that the device signed prove init and
segments; memory stays flat, whatever the size. Nothing found in a file raises but a file that can't be read.
"""

import hashlib
from pathlib import Path

import msgspec

from device.errors import EvidenceError
from device.evidence import container, part
from device.evidence.answering import conclude
from device.evidence.bundle import Anchors
from device.evidence.carried import Carried, read_carried
from device.evidence.case import Found, Progressing
from device.evidence.examine import follow
from device.evidence.reading import BLOCK_BYTES, parts_of
from device.evidence.records import Gap, RecordingClosed, Segment, Segments, SoundGap
from device.evidence.recovery import MAX_SEGMENT_BYTES
from device.evidence.revocation import Revocations
from device.evidence.verdicts import Extent, RecordingVerdict
from device.media.boxes import Box, Read, boxes, inner_boxes

MANIFEST_BOX = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
"""The extended type of a C2PA manifest."""
MAX_INIT_BYTES = 1024 * 1024
READ_SAID = (
    "in the clear: pictures and sound are the bytes whose digests the device signed; not decoded; the encrypted files "
    "are not here, and their digests can't be checked"
)


class Stretch(msgspec.Struct, frozen=True):
    """One segment's bytes in the file."""

    offset: int
    length: int


class Layout(msgspec.Struct):
    """What the file consists of, as far as it is what an export must be. `fault`: what is not ("" when all is), and
    where it begins."""

    init: list[Box] = msgspec.field(default_factory=list)
    manifest: Box | None = None
    segments: list[Stretch] = msgspec.field(default_factory=list)
    evidence: Box | None = None
    fault: str = ""
    fault_at: int = 0


def carries_evidence(path: Path) -> bool:
    """Whether a file claims to be an export: our box's type, or the beginning of its head, is somewhere in it."""
    marks = (container.EVIDENCE_BOX, container.FORMAT.encode())
    kept = b""
    with parts_of(path) as (size, read):
        for offset in range(0, size, BLOCK_BYTES):
            block = kept + read(offset, BLOCK_BYTES)
            if any(mark in block for mark in marks):
                return True
            kept = block[-32:]
    return False


def read_export(read: Read, size: int) -> Layout:
    """Take a file's boxes apart; never raises for what is in them."""
    layout = Layout()
    moof: Box | None = None
    try:
        for box in boxes(read, 0, size):
            why = _why_not_here(layout, box, moof)
            if why:
                layout.fault, layout.fault_at = why, box.offset
                break
            if box.kind == b"uuid" and box.user == container.EVIDENCE_BOX:
                layout.evidence = box
            elif box.kind == b"uuid":
                layout.manifest = box
            elif box.kind == b"moof":
                moof = box
            elif moof is not None:
                layout.segments.append(Stretch(moof.offset, box.end - moof.offset))
                moof = None
            else:
                layout.init.append(box)
    except EvidenceError as failure:
        last = layout.segments[-1].offset + layout.segments[-1].length if layout.segments else 0
        layout.fault, layout.fault_at = str(failure), last
    if layout.evidence is None:
        layout.fault = layout.fault or "it has no evidence box"
        layout.evidence = _found_evidence(read, size)
    return layout


def verify_export(path: Path, anchors: Anchors, revoked: Revocations, progress: Progressing) -> RecordingVerdict:
    """Judge an exported file that `carries_evidence`; `EvidenceError` when the file can't be read."""
    with parts_of(path) as (size, read):
        layout = read_export(read, size)
        try:
            contents = container.unpack(_evidence(layout, read))
            carried = read_carried(contents, anchors, revoked)
        except EvidenceError as failure:
            found = Found(path.name, path)
            found.altered("the evidence box", str(failure))
            return conclude(found, ("nothing-signed", "the evidence box can't be believed"), ("unknown", "not known"),
                            ("sealed", "nothing is known of it"))  # fmt: skip
        try:
            return _judge(carried, layout, read, progress)
        except EvidenceError as failure:
            carried.found.altered("the evidence box", str(failure))
            return conclude(
                carried.found, carried.signer, ("unknown", "not known"), ("sealed", "nothing is known of it")
            )


def _judge(carried: Carried, layout: Layout, read: Read, progress: Progressing) -> RecordingVerdict:
    found = carried.found
    named = _named(carried)
    expected = named if carried.part is None else [s for s in named if carried.part.first <= s.n <= carried.part.last]
    _init(carried, layout, read)
    _segments(found, layout, expected, read, progress)
    if layout.fault:
        at_us = part.start_us(expected[len(layout.segments)]) if len(layout.segments) < len(expected) else None
        found.altered(f"byte {layout.fault_at}", layout.fault, at_us)
    if layout.manifest is not None:
        what = (
            f"a C2PA manifest of {layout.manifest.length} bytes: the exporter's, not the device's, and not judged here"
        )
        found.note(f"byte {layout.manifest.offset}", what)
    extent = _extent(carried, expected)
    found.only(expected)
    for gap in (record for record in carried.records if isinstance(record, Gap)):
        if carried.part is None or part.tells_of(gap, part.start_us(expected[0]), part.end_us(expected[-1])):
            found.missing[gap.cause] = found.missing.get(gap.cause, 0) + gap.frames
    return conclude(found, carried.signer, extent, ("opened", READ_SAID))


# -- the boxes --------------------------------------------------------------------------------------------------------


def _why_not_here(layout: Layout, box: Box, moof: Box | None) -> str:
    """Why this box may not follow those before it; "" when it may."""
    kind = box.kind.decode("latin-1")
    if layout.evidence is not None:
        return f"a box {kind!r} after the evidence box, which is the last"
    if moof is not None:
        return "" if box.kind == b"mdat" else f"a box {kind!r} where the data of a segment belongs"
    if not layout.init:
        return "" if box.kind == b"ftyp" else f"a box {kind!r} where the file's type belongs"
    if len(layout.init) == 1:
        manifest = box.kind == b"uuid" and box.user == MANIFEST_BOX and layout.manifest is None
        return "" if box.kind == b"moov" or manifest else f"a box {kind!r} where the recording's init belongs"
    if box.kind == b"uuid" and box.user == container.EVIDENCE_BOX:
        return "the evidence box's size is written in 64 bits" if box.wide else ""
    return "" if box.kind == b"moof" else f"a box {kind!r} where a segment belongs"


def _found_evidence(read: Read, size: int) -> Box | None:
    """The last box of our type in a file whose boxes are broken before it."""
    kept, place = b"", -1
    for offset in range(0, size, BLOCK_BYTES):
        block = kept + read(offset, BLOCK_BYTES)
        inside = block.rfind(b"uuid" + container.EVIDENCE_BOX)
        place = offset - len(kept) + inside - 4 if inside >= 4 else place
        kept = block[-32:]
    try:
        return next(boxes(read, place, size)) if place >= 0 else None
    except EvidenceError:
        return None


def _evidence(layout: Layout, read: Read) -> bytes:
    box = layout.evidence
    if box is None:
        raise EvidenceError(f"it is missing, or its size is wrong: {layout.fault}")
    if box.length > container.MAX_EVIDENCE_BYTES:
        raise EvidenceError(f"it has {box.length} bytes; the limit is {container.MAX_EVIDENCE_BYTES}")
    return read(box.offset + box.header, box.length - box.header)


def _init(carried: Carried, layout: Layout, read: Read) -> None:
    found, place, base_us = carried.found, "the init (ftyp, moov)", carried.opened.video.base_us
    if sum(box.length for box in layout.init) > MAX_INIT_BYTES:
        found.altered(place, f"more than {MAX_INIT_BYTES} bytes", base_us)
        return
    init = b"".join(read(box.offset, box.length) for box in layout.init)
    if hashlib.sha256(init).hexdigest() != carried.opened.init.plain:
        found.altered(place, "its bytes are not those that the ledger signed", base_us)
    try:
        moov = [box for box in layout.init if box.kind == b"moov"]
        kinds = [inner.kind for box in moov for inner in inner_boxes(read, box)]
    except EvidenceError as failure:
        found.altered(place, str(failure), base_us)
        return
    if b"edts" in kinds:
        found.altered(place, "it has an edit list, which would show other times than the segments'", base_us)


# -- the segments -----------------------------------------------------------------------------------------------------


def _named(carried: Carried) -> list[Segment]:
    """The segments that the carried lines name, one after the other, of a part those around it too; every frame in them
    is in one of them, or in a signed gap (E5)."""
    found, records, named = carried.found, carried.records, list[Segment]()
    if carried.part is None:
        found.heard.begins(carried.opened)
    if carried.part is not None:
        records = part.run_around(records, carried.part.first)
        numbers = [segment.n for segment in part.segments_in(records)]
        if carried.part.last not in numbers:
            raise EvidenceError(f"no line that names segment {carried.part.last} goes with it")
        found.first_n = numbers[0]
    gaps: list[Gap] = []
    for record in records:
        if isinstance(record, Gap):
            gaps.append(record)
        elif isinstance(record, SoundGap):
            found.heard.gap(record)
        elif isinstance(record, Segments):
            for segment in record.segments:
                follow(found, segment, gaps, f"{container.LEDGER}, line {record.seq}")
                found.count(segment)
                named.append(segment)
    return named


def _segments(found: Found, layout: Layout, expected: list[Segment], read: Read, progress: Progressing) -> None:
    """Each segment is there, once, in order, as it was signed."""
    place_of = {segment.file.plain: place for place, segment in enumerate(expected)}
    next_place = 0
    for stretch in layout.segments:
        place = place_of.get(_digest(read, stretch, progress))
        where = f"bytes {stretch.offset} to {stretch.offset + stretch.length - 1}"
        if place is None and next_place >= len(expected):
            found.altered(where, "a segment that no record names: it was added")
        elif place is None:
            segment = expected[next_place]
            what = f"segment {segment.n}: its bytes are not those that the ledger signed"
            found.altered(where, what, part.start_us(segment))
            next_place += 1
        elif place < next_place:
            what = f"segment {expected[place].n} stands here once more, or after one that follows it"
            at = expected[min(next_place, len(expected) - 1)]
            found.altered(where, what, part.start_us(at))
        else:
            _missing(found, expected[next_place:place], where)
            found.verified += 1
            next_place = place + 1
    if not layout.fault:
        _missing(found, expected[next_place:], "before the evidence box")


def _missing(found: Found, missing: list[Segment], where: str) -> None:
    if missing:
        numbers = f"{missing[0].n}" if len(missing) == 1 else f"{missing[0].n} to {missing[-1].n}"
        found.altered(where, f"segment {numbers}, which the ledger names, is missing", part.start_us(missing[0]))


def _digest(read: Read, stretch: Stretch, progress: Progressing) -> str:
    if stretch.length > MAX_SEGMENT_BYTES:
        return ""
    digest = hashlib.sha256()
    for offset in range(0, stretch.length, BLOCK_BYTES):
        block = read(stretch.offset + offset, min(BLOCK_BYTES, stretch.length - offset))
        digest.update(block)
        progress(len(block))
    return digest.hexdigest()


# -- the extent -------------------------------------------------------------------------------------------------------


def _extent(carried: Carried, expected: list[Segment]) -> tuple[Extent, str]:
    word, said = _end(carried)
    if carried.part is None:
        return word, said
    found, base_us = carried.found, carried.opened.video.base_us
    assert carried.end is not None, "a part has the line that ends the recording"
    run = part.run_around(carried.records, carried.part.first)
    from_us, to_us = part.start_us(expected[0]), part.end_us(expected[-1])
    why = part.why_withheld(run, carried.end.record.seq, from_us, to_us)
    if why:
        found.altered(container.LEDGER, why, from_us)
    whole_us = _whole_us(carried)
    place = f"seconds {(from_us - base_us) / 1e6:.3f}–{(to_us - base_us) / 1e6:.3f} of {(whole_us - base_us) / 1e6:.3f}"
    quiet = list(part.silent(carried.records, carried.opened, expected))
    if quiet:
        what = f"segment {quiet[0].n} has no sound, and no line here tells why"
        found.unproven_from(container.LEDGER, what, part.start_us(quiet[0]))
        return "unknown", f"{place} of the recording; {what}"
    return ("part" if word == "closed" else word), f"{place} of the recording, which {said}"


def _whole_us(carried: Carried) -> int:
    """Where the recording's last segment ends; what the line that ends it counts must be named by a line here."""
    assert carried.end is not None, "a part has the line that ends the recording"
    totals = getattr(carried.end.record, "totals", None)
    last = part.segments_in(carried.records)[-1]
    if totals is None or last.n != totals.segments - 1:
        carried.found.altered(container.LEDGER, "the line that names the recording's last segment is not here")
    return part.end_us(last)


def _end(carried: Carried) -> tuple[Extent, str]:
    """How the recording ended, as far as one file can tell: the journal's other lines are not in it."""
    end, journal = carried.end, carried.journal
    if end is None:
        given_up = journal is not None and journal.ended is not None
        return ("power-loss", "its ledger could not be written on") if given_up else (
            "open", "it has no end here: it was still recording, or a power loss ended it that was not yet recovered, or that a later key recovered")  # fmt: skip
    if not isinstance(end.record, RecordingClosed):
        return "power-loss", "ended by a power loss, or a failed write, and was recovered"
    how = end.record.how
    if journal is None or not journal.begun or journal.ended is None:
        return "not-journaled", f"was closed ({how}); the journal's lines that say so are not in this file"
    return "closed", f"was closed ({how}) and journaled: the journal's lines on it are here, its other lines are not"

"""One recording: its ledger, who signed it, the files that it names, and whether every frame is accounted for.

How it ended, and what the journal says of that, is in `ending`. The order: the ledger's first line, the signer, that
line's own links, then line by line every file that a line names, while workers hash them; every file that none names.
"""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from device.errors import EvidenceError
from device.evidence import ending, layout, records
from device.evidence.answering import conclude
from device.evidence.case import Found, Given, Ledger
from device.evidence.chain import ReadLine
from device.evidence.dating import NO_BOUNDS, Bounds
from device.evidence.envelope import MAX_LINE_BYTES, open_line
from device.evidence.files import look_at, look_at_unnamed
from device.evidence.identity import (
    Role,
    common_name,
    key_protection,
    p256_key,
    parse_utc,
    protection_said,
    why_not_trusted,
)
from device.evidence.reading import LinesOf, real_folder
from device.evidence.records import (
    AudioSpan,
    ClockStep,
    Gap,
    LedgerRecord,
    LeftOver,
    RecordingClosed,
    RecordingOpened,
    RecordingRecovered,
    Segment,
    Segments,
    SoundGap,
    VideoSpan,
)
from device.evidence.recovery import MAX_SEGMENT_BYTES, ledger_lines, walk_ledger
from device.evidence.release import as_released, release_of
from device.evidence.verdicts import (
    Extent,
    Finding,
    Read,
    RecordingVerdict,
    Signed,
)

MAX_INIT_BYTES = 1024 * 1024
ROUNDED_US = 2_000
"""Times and periods are whole µs: the sum of what was rounded off in one segment."""
UNSEEN_US = 400_000
"""Two pictures at the lowest rate that a camera is asked for, which may have been lowered after the last one."""


def examine(given: Given, name: str, folder: Path) -> tuple[RecordingVerdict, bool]:
    """Judge one recording; and whether it shows that the journal has grown since it was read."""
    found = Found(name, folder)
    found.began_utc = given.history.began_utc(name)
    signer: tuple[Signed, str] = ("nothing-signed", "no line that opens the recording")
    extent: tuple[Extent, str] = ("unknown", "no line of the ledger can be believed")
    bounds = NO_BOUNDS
    newer = False
    begun = _begin(given, found)
    if begun is not None and found.opened is not None:
        ledger, lines, pieces = begun
        found.release = release_of(given, found, found.opened)
        bounds = ending.bounds(given, ledger.told, found.opened)
        signer = judge_signer(given, found, found.opened, bounds)
        _beginning(given, found, found.opened)
        _go_through(given, found, ledger, lines)
        found.ledger_sha256 = pieces.sha256()
        extent = as_released(found, ending.judge(given, found, ledger, found.opened))
        newer = ending.shows_newer_journal(given, ledger, found.opened)
        read = _read(given, found, ledger)
    else:
        if not found.altered_at_all:
            extent = (
                "power-loss",
                "no line of its ledger became durable: a power loss, or a failed write, as it began",
            )
        read = "sealed", "sealed: no identity was given" if given.opener is None else "sealed: there is nothing to open"
    return conclude(found, signer, extent, read, bounds), newer


# -- the ledger -----------------------------------------------------------------------------------------------------


def _begin(given: Given, found: Found) -> tuple[Ledger, Iterator[ReadLine[LedgerRecord]], LinesOf] | None:
    """The ledger, its first line taken, and the lines after it. None when there is no good first line: why not becomes
    a finding where it proves anything."""
    try:
        pieces = ledger_lines(found.folder) if real_folder(found.folder) else None
        if pieces is None or not pieces.is_there or _never_whole(pieces.first):
            _without_first_line(given, found, pieces)
            return None
    except EvidenceError as failure:
        found.never_began(layout.LEDGER, str(failure))
        return None
    try:
        key = p256_key(_certificate(given, pieces.first.removesuffix(b"\n")))
        walk = walk_ledger(pieces, key, found.name)
        lines = iter(walk)
        first, why = next(lines, None), walk.fault
    except EvidenceError as failure:
        first, why = None, str(failure)
    if first is None or not isinstance(first.record, RecordingOpened):
        found.never_began(f"{layout.LEDGER}, line 0", why)
        return None
    found.opened = first.record
    told = given.history.told(first.record.certificate_sha256, found.name)
    return Ledger(walk, first, told), lines, pieces


def _never_whole(first: bytes) -> bool:
    """As a power loss leaves a first line: not its end, or holes of zeros. What is too long is merely wrong."""
    return b"\0" in first or (not first.endswith(b"\n") and len(first) <= MAX_LINE_BYTES)


def _without_first_line(given: Given, found: Found, pieces: LinesOf | None) -> None:
    """A ledger that never began is what a power loss leaves; unless someone knows that it had begun."""
    missing = "its first line is missing or damaged"
    if found.name in given.history.names():
        found.never_began(layout.LEDGER, f"the journal holds lines of this ledger; {missing}")
    elif not given.history.present:
        found.never_began(layout.LEDGER, f"{missing}, and without a journal nothing tells that it never began")
    elif pieces and pieces.first and any(_began(found, c) for c in given.identities.certificates.values()):
        found.never_began(layout.LEDGER, f"a later line says that lines before it were durable; {missing}")


def _began(found: Found, certificate: x509.Certificate) -> bool:
    walk = walk_ledger(ledger_lines(found.folder), p256_key(certificate), found.name)
    return any(False for _ in walk) or walk.provably_altered


def _certificate(given: Given, first: bytes) -> x509.Certificate:
    opened = records.decode_ledger(open_line(first).payload)
    if not isinstance(opened, RecordingOpened):
        raise EvidenceError("it does not open a recording")
    certificate = given.identities.certificates.get(opened.certificate_sha256)
    if certificate is None:
        name = layout.certificate_file(opened.certificate_sha256)
        raise EvidenceError(f"the certificate that it names, {name}, is missing or damaged")
    return certificate


def judge_signer(given: Given, found: Found, opened: RecordingOpened, bounds: Bounds = NO_BOUNDS) -> tuple[Signed, str]:
    """Role and anchor always; the certificate's validity at the claimed time, if the device's clock was set, or at that
    of the agency's times which is nearest to it."""
    certificate = given.identities.certificates[opened.certificate_sha256]
    claimed = parse_utc(opened.utc) if opened.clock.synchronised else None
    at = bounds.nearest(claimed)
    why = why_not_trusted(certificate, Role.LEDGER, given.anchors, at)
    if not why and common_name(certificate) != opened.device:
        why = f"its certificate names {common_name(certificate)}, its records {opened.device}"
    revoked, counts_still = given.revoked.judge(certificate, at, bounds.proven_by)
    why = why or revoked or _why_not_media(given, opened, at, bounds)
    if why:
        found.findings.append(Finding(question="signer", place=layout.LEDGER, what=why))
        return "not-trusted", why
    judged = "judged at the anchored time" if at != claimed else "judged at the claimed time"
    judged = "not judged, as the clock was not set" if at is None else judged
    protected = protection_said(key_protection(certificate))
    said = f"{opened.device}, under the given anchor; validity {judged}; {protected}"
    return "trusted", f"{said}; {counts_still}" if counts_still else said


def _why_not_media(given: Given, opened: RecordingOpened, at: datetime | None, bounds: Bounds) -> str:
    """Why the key that the ledger names for the signatures within the video does not count; "" when it does, or when
    the video is not media signed."""
    if opened.media_certificate_sha256 is None:
        return ""
    certificate = given.identities.certificates.get(opened.media_certificate_sha256)
    if certificate is None:
        return f"media signing: {layout.certificate_file(opened.media_certificate_sha256)} is missing or damaged"
    why = why_not_trusted(certificate, Role.MEDIA, given.anchors, at)
    if not why and common_name(certificate) != opened.device:
        why = f"its certificate names {common_name(certificate)}, the records {opened.device}"
    why = why or given.revoked.judge(certificate, at, bounds.proven_by)[0]
    return why and f"media signing: {why}"


def _beginning(given: Given, found: Found, opened: RecordingOpened) -> None:
    """The opening's own links: the journal's line that it starts from, and the policy that it names."""
    if opened.prev != opened.journal.sha256:
        what = "it does not start from the journal line that it names"
        found.altered(f"{layout.LEDGER}, line 0", what, opened.video.base_us)
    why = given.why_not_policy(opened.policy)
    if why and given.history.present:
        found.altered(layout.policy_file(opened.policy.sha256), why, opened.video.base_us)
    elif why:
        found.note(layout.policy_file(opened.policy.sha256), why)


def _go_through(given: Given, found: Found, ledger: Ledger, lines: Iterator[ReadLine[LedgerRecord]]) -> None:
    """Every line, and every file that it names, in the order of the ledger; then the files that none names."""
    opened = ledger.first.record
    assert isinstance(opened, RecordingOpened), "no other record is the first of a ledger"
    gaps: list[Gap] = []
    found.heard.begins(opened)
    look_at(given, found, layout.INIT, opened.init, MAX_INIT_BYTES, opened.video.base_us)
    try:
        for line in lines:
            _in_place(found, ledger, line.record)
            ledger.take(line)
            _of_line(given, found, ledger, line.record, gaps)
    except EvidenceError as failure:
        found.altered(f"{layout.LEDGER}, line {ledger.count}", str(failure), ledger.until_us)
    closed = isinstance(ledger.last.record, RecordingClosed)
    _pictures_to_the_end(found, ledger, gaps)
    _sound_to_the_end(found, ledger, opened)
    if closed and ledger.walk.torn is not None:
        _follows_the_end(found, ledger)
    if ledger.walk.provably_altered:
        what = f"a line that was durable is missing or changed: {ledger.walk.fault}"
        found.altered(f"{layout.LEDGER}, line {ledger.count}", what, ledger.until_us)
    found.settle(given.progress)
    look_at_unnamed(found, ledger, closed=closed)


def _pictures_to_the_end(found: Found, ledger: Ledger, gaps: list[Gap]) -> None:
    """A recording that was closed accounts for its pictures up to there. `gaps`: those after its last segment."""
    closed, last = ledger.last.record, found.last_video
    if not isinstance(closed, RecordingClosed) or closed.how == "continued" or last is None:
        return
    at_us, unseen_us = last.last_us, 0
    for gap in sorted(gaps, key=lambda gap: gap.from_us):
        unseen_us = max(unseen_us, gap.from_us - at_us)
        at_us = max(at_us, gap.to_us)
    unseen_us = max(unseen_us, closed.end_us - at_us)
    if unseen_us > UNSEEN_US:
        what = f"at its end, {unseen_us} µs pass without a picture, and no record tells why"
        found.altered(f"{layout.LEDGER}, line {closed.seq}", what, ledger.until_us)


def _sound_to_the_end(found: Found, ledger: Ledger, opened: RecordingOpened) -> None:
    """A recording that was closed accounts for its sound up to there; one that goes on in another does not yet."""
    closed = ledger.last.record
    if isinstance(closed, RecordingClosed) and closed.how != "continued":
        unheard = found.heard.why_not_to(opened, closed.end_us)
        if unheard:
            found.altered(f"{layout.LEDGER}, line {closed.seq}", f"at its end, {unheard}", ledger.until_us)


def _in_place(found: Found, ledger: Ledger, record: LedgerRecord) -> None:
    """One record opens, one closes, and nothing follows that."""
    if isinstance(record, RecordingOpened | RecordingRecovered):
        what = "a record that does not belong in the middle of a ledger"
        found.altered(f"{layout.LEDGER}, line {ledger.count}", what, ledger.until_us)
    if isinstance(ledger.last.record, RecordingClosed):
        _follows_the_end(found, ledger)


def _follows_the_end(found: Found, ledger: Ledger) -> None:
    what = "something follows the record that closes the recording"
    found.altered(f"{layout.LEDGER}, line {ledger.count}", what, ledger.until_us)


# -- files ----------------------------------------------------------------------------------------------------------


def _of_line(given: Given, found: Found, ledger: Ledger, record: LedgerRecord, gaps: list[Gap]) -> None:
    """What one line says of files and frames. `gaps`: those that account for frames yet to come."""
    if isinstance(record, ClockStep):
        found.clock_steps += 1
    elif isinstance(record, LeftOver):
        found.left_over |= {(file.n, file.attempt) for file in record.files}
    elif isinstance(record, Gap):
        gaps.append(record)
        found.gap(record)
    elif isinstance(record, SoundGap):
        found.heard.gap(record)
    elif isinstance(record, Segments):
        for segment in record.segments:
            follow(found, segment, gaps, f"{layout.LEDGER}, line {record.seq}")
            name = layout.segment_file(segment.n, segment.attempt)
            look_at(given, found, name, segment.file, MAX_SEGMENT_BYTES, start_us(segment))
            found.count(segment)
            ledger.ends_with(segment)
            if segment.video is not None:
                gaps[:] = [gap for gap in gaps if _is_to_come(gap, segment.video)]


def start_us(segment: Segment) -> int | None:
    span = segment.video or segment.audio
    return span.from_us if span is not None else None


def follow(found: Found, segment: Segment, gaps: list[Gap], place: str) -> None:
    """Segments are numbered without a hole, and what they hold goes on where the one before ended (E5)."""
    if segment.n != found.next_n:
        what = f"segment {segment.n} where segment {found.next_n} belongs"
        found.altered(place, what, start_us(segment))
    if segment.video is None and segment.audio is None:
        before = found.last_video
        found.altered(place, f"segment {segment.n} holds nothing", None if before is None else before.to_us)
    if segment.video is not None:
        why = _why_not_next_video(found, segment.video, found.last_video, gaps)
        if why:
            found.altered(place, f"segment {segment.n}: {why}", segment.video.from_us)
    if segment.audio is not None and not _follows(segment.audio, found.last_audio):
        found.altered(place, f"segment {segment.n}: its sound repeats or goes back in time", segment.audio.from_us)
    elif segment.audio is not None and found.opened is not None:
        unheard = found.heard.why_not(found.opened, segment.audio)
        if unheard:
            found.altered(place, f"segment {segment.n}: {unheard}", segment.audio.from_us)


def _why_not_next_video(found: Found, video: VideoSpan, before: VideoSpan | None, gaps: list[Gap]) -> str:
    """Why these frames do not go on where those before ended, with what a signed gap accounts for; "" when they do."""
    assert found.opened is not None, "a ledger with good lines is opened"
    if before is None and found.first_n == 0 and video.from_us != found.opened.video.base_us:
        return "the recording's times do not count from its first frame"
    expected = video.first if before is None else before.last + 1
    in_order = video.from_us <= video.last_us < video.to_us and video.first <= video.last
    if not in_order or video.first < expected or (before is not None and video.from_us <= before.last_us):
        return "it repeats or goes back in time"
    missing = video.last + 1 - expected - video.frames
    covered = sum(
        min(gap.last, video.last) + 1 - gap.first
        for gap in gaps
        if gap.cause != "camera" and expected <= gap.first <= video.last
    )
    if missing != covered:
        return f"{missing} frames are missing before or in it; {covered} are accounted for"
    return _why_not_in_time(video, before, gaps)


def _is_to_come(gap: Gap, video: VideoSpan) -> bool:
    """Whether a gap accounts for something after these frames. Of the camera's, `last` is the frame after it."""
    return (gap.last if gap.cause == "camera" else gap.first) > video.last


def _why_not_in_time(video: VideoSpan, before: VideoSpan | None, gaps: list[Gap]) -> str:
    """Why more time passes than these frames and the signed gaps take at the rate in force; "" when none does. A frame that
    comes less than half a period late is no gap, so each may add so much."""
    expected = video.first + 1 if before is None else before.last + 1
    elapsed_us = video.last_us - (video.from_us if before is None else before.last_us)
    never_came = sum(gap.frames for gap in gaps if gap.cause == "camera" and expected <= gap.last <= video.last)
    halves = 2 * (video.last + 1 - expected + never_came) + video.frames - (before is None)
    longest_us = halves * video.period_us // 2 + ROUNDED_US
    if elapsed_us > longest_us:
        at = f"a frame every {video.period_us} µs"
        return (
            f"{elapsed_us} µs pass before or in it; its frames and the gaps told take at most {longest_us} µs, at {at}"
        )
    return ""


def _follows(audio: AudioSpan, before: AudioSpan | None) -> bool:
    one = audio.from_us == audio.last_us
    in_order = audio.from_us <= audio.last_us and audio.packets > 0 and one == (audio.packets == 1)
    return in_order and (before is None or audio.from_us > before.last_us)


# -- the answers ----------------------------------------------------------------------------------------------------


class SegmentsOf:
    """The segments of a ledger that was gone through, from its file once more; `EvidenceError` when that has changed."""

    def __init__(self, ledger: Ledger, found: Found, key: ec.EllipticCurvePublicKey) -> None:
        self._ledger = ledger
        self._found = found
        self._key = key

    def __iter__(self) -> Iterator[Segment]:
        last = ""
        for line in walk_ledger(ledger_lines(self._found.folder), self._key, self._found.name):
            last = line.sha256
            if isinstance(line.record, Segments):
                yield from line.record.segments
            if last == self._ledger.last.sha256:
                return
        raise EvidenceError(f"{layout.LEDGER}: it changed while it was read")


def _read(given: Given, found: Found, ledger: Ledger) -> tuple[Read, str]:
    if found.released:
        return "sealed", "not here to be opened: it was released"
    if given.opener is None or found.opened is None:
        return "sealed", "sealed: no identity was given"
    key = p256_key(given.identities.certificates[found.opened.certificate_sha256])
    problems = given.opener.check(found.folder, found.opened, SegmentsOf(ledger, found, key), given.progress)
    found.findings += problems
    if problems:
        return "wrong-key" if problems[0].question == "key" else "not-opened", problems[0].what
    return "opened", "opened and decoded: every frame that the ledger counts is there, at its time"

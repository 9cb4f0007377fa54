"""One recording: its ledger, who signed it, the files that it names, and whether every frame is accounted for.

How it ended, and what the journal says of that, is in `ending`. The order: the ledger's lines, the signer, the first
line's own links, every file that a line names, every file that none names.
"""

from pathlib import Path

from cryptography import x509

from device.errors import EvidenceError
from device.evidence import ending, layout, records
from device.evidence.case import Found, Given
from device.evidence.chain import ReadChain, never_whole, read_chain
from device.evidence.documents import why_not_policy
from device.evidence.envelope import open_line
from device.evidence.identity import Role, common_name, p256_key, parse_utc, why_not_trusted
from device.evidence.reading import digest_file, read_file, real_folder, regular_size
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
    Stored,
    VideoSpan,
)
from device.evidence.recovery import MAX_LEDGER_BYTES, MAX_SEGMENT_BYTES, read_ledger
from device.evidence.seal import stanza_types
from device.evidence.verdicts import Answers, Extent, Finding, Read, RecordingVerdict, Signed
from device.evidence.writer import GROUP_LIMIT

MAX_INIT_BYTES = 1024 * 1024


def examine(given: Given, name: str, folder: Path) -> tuple[RecordingVerdict, bool]:
    """Judge one recording; and whether it shows that the journal has grown since it was read."""
    found = Found(name, folder)
    signer: tuple[Signed, str] = ("nothing-signed", "no line that opens the recording")
    extent: tuple[Extent, str] = ("unknown", "no line of the ledger can be believed")
    newer = False
    chain = _ledger(given, found)
    if chain is not None and found.opened is not None:
        signer = _signer(given, found, found.opened)
        _beginning(given, found, found.opened)
        _order_of_records(found, chain)
        _files(given, found, chain, found.opened)
        extent = ending.judge(given, found, chain, found.opened)
        newer = ending.shows_newer_journal(given, chain, found.opened)
    elif not found.altered_at_all:
        extent = ("power-loss", "no line of its ledger became durable: a power loss, or a failed write, as it began")
    read = _read(given, found)
    return _verdict(found, signer, extent, read), newer


# -- the ledger -----------------------------------------------------------------------------------------------------


def _ledger(given: Given, found: Found) -> ReadChain[LedgerRecord] | None:
    """The good lines of the ledger, from its first on; what is wrong with the rest becomes findings where it proves
    anything. None when there is no good first line."""
    try:
        data = read_file(found.folder / layout.LEDGER, MAX_LEDGER_BYTES) if real_folder(found.folder) else None
    except EvidenceError as failure:
        found.altered(layout.LEDGER, str(failure))
        return None
    if data is None or never_whole(data):
        _without_first_line(given, found, data)
        return None
    try:
        certificate = _certificate(given, data)
    except EvidenceError as failure:
        found.altered(f"{layout.LEDGER}, line 0", str(failure))
        return None
    chain = read_ledger(data, found.name, p256_key(certificate))
    if not chain.lines:
        found.altered(f"{layout.LEDGER}, line 0", chain.fault)
        return None
    first = chain.lines[0].record
    assert isinstance(first, RecordingOpened), "`read_ledger` lets no other record be the first"
    found.opened = first
    if chain.provably_altered:
        what = f"a line that was durable is missing or changed: {chain.fault}"
        found.altered(f"{layout.LEDGER}, line {len(chain.lines)}", what, ending.time_after(chain))
    return chain


def _without_first_line(given: Given, found: Found, data: bytes | None) -> None:
    """A ledger that never began is what a power loss leaves; unless someone knows that it had begun."""
    missing = "its first line is missing or damaged"
    if found.name in given.history.names():
        found.altered(layout.LEDGER, f"the journal holds lines of this ledger; {missing}")
    elif not given.history.present:
        found.altered(layout.LEDGER, f"{missing}, and without a journal nothing tells that it never began")
    elif data and any(_began(data, found.name, c) for c in given.identities.certificates.values()):
        found.altered(layout.LEDGER, f"a later line says that lines before it were durable; {missing}")


def _began(data: bytes, name: str, certificate: x509.Certificate) -> bool:
    return read_chain(data, 0, p256_key(certificate), records.decode_ledger, name, 0, None).provably_altered


def _certificate(given: Given, data: bytes) -> x509.Certificate:
    opened = records.decode_ledger(open_line(data.split(b"\n", 1)[0]).payload)
    if not isinstance(opened, RecordingOpened):
        raise EvidenceError("it does not open a recording")
    certificate = given.identities.certificates.get(opened.certificate_sha256)
    if certificate is None:
        name = layout.certificate_file(opened.certificate_sha256)
        raise EvidenceError(f"the certificate that it names, {name}, is missing or damaged")
    return certificate


def _signer(given: Given, found: Found, opened: RecordingOpened) -> tuple[Signed, str]:
    """Role and anchor always; the certificate's validity at the claimed time, if the device's clock was set."""
    certificate = given.identities.certificates[opened.certificate_sha256]
    at = parse_utc(opened.utc) if opened.clock.synchronised else None
    why = why_not_trusted(certificate, Role.LEDGER, given.anchors, at)
    if not why and common_name(certificate) != opened.device:
        why = f"its certificate names {common_name(certificate)}, its records {opened.device}"
    if why:
        found.findings.append(Finding(question="signer", place=layout.LEDGER, what=why))
        return "not-trusted", why
    judged = "not judged, as the clock was not set" if at is None else "judged at the claimed time"
    return "trusted", f"{opened.device}, under the given anchor; validity {judged}"


def _beginning(given: Given, found: Found, opened: RecordingOpened) -> None:
    """The opening's own links: the journal's line that it starts from, and the policy that it names."""
    if opened.prev != opened.journal.sha256:
        found.altered(f"{layout.LEDGER}, line 0", "it does not start from the journal line that it names")
    why = why_not_policy(given.card, opened.policy)
    if why and given.history.present:
        found.altered(layout.policy_file(opened.policy.sha256), why)
    elif why:
        found.note(layout.policy_file(opened.policy.sha256), why)


def _order_of_records(found: Found, chain: ReadChain[LedgerRecord]) -> None:
    """One record opens, one closes, and nothing follows that."""
    last = len(chain.lines) - 1
    for n, line in enumerate(chain.lines):
        misplaced = n > 0 and isinstance(line.record, RecordingOpened)
        if misplaced or isinstance(line.record, RecordingRecovered):
            found.altered(f"{layout.LEDGER}, line {n}", "a record that does not belong in the middle of a ledger")
        if isinstance(line.record, RecordingClosed) and (n < last or chain.torn is not None):
            what = "something follows the record that closes the recording"
            found.altered(f"{layout.LEDGER}, line {n + 1}", what, ending.time_after(chain))
        if isinstance(line.record, ClockStep):
            found.clock_steps += 1


# -- files ----------------------------------------------------------------------------------------------------------


def _files(given: Given, found: Found, chain: ReadChain[LedgerRecord], opened: RecordingOpened) -> None:
    """Every file that a record names is there, as it was signed; and then the files that none names."""
    _file(given, found, layout.INIT, opened.init, MAX_INIT_BYTES, opened.video.base_us)
    gaps: list[Gap] = []
    for line in chain.lines:
        if isinstance(line.record, LeftOver):
            found.left_over |= {(file.n, file.attempt) for file in line.record.files}
        elif isinstance(line.record, Gap):
            gaps.append(line.record)
            found.missing[line.record.cause] = found.missing.get(line.record.cause, 0) + line.record.frames
        elif isinstance(line.record, Segments):
            for segment in line.record.segments:
                _sequence(found, segment, gaps, f"{layout.LEDGER}, line {line.record.seq}")
                found.segments.append(segment)
                name = layout.segment_file(segment.n, segment.attempt)
                if _file(given, found, name, segment.file, MAX_SEGMENT_BYTES, _start_us(segment)):
                    found.verified += 1
    _unnamed(found, closed=isinstance(chain.lines[-1].record, RecordingClosed))


def _file(given: Given, found: Found, name: str, stored: Stored, limit: int, at_us: int | None) -> bool:
    assert found.opened is not None, "a ledger with good lines is opened"
    try:
        why = _why_not_stored(given, found.folder / name, stored, limit, found.opened.recipients)
    except EvidenceError as failure:
        why = str(failure)
    if why:
        found.altered(name, why, at_us)
    return not why


def _why_not_stored(given: Given, path: Path, stored: Stored, limit: int, recipients: tuple[str, ...]) -> str:
    """Size first, then the digest, then for whom it was encrypted; "" when all is as it was signed."""
    size = regular_size(path)
    if size is None:
        return "the ledger names it; it is missing"
    if size != stored.size:
        return f"{size} bytes; the ledger says {stored.size}"
    if size > limit:
        return f"{size} bytes; the limit is {limit}"
    sha256, beginning = digest_file(path, size)
    given.progress(size)
    if sha256 != stored.sealed:
        return "its bytes are not those that the ledger signed"
    stanzas = tuple(stanza.lower() for stanza in stanza_types(beginning))
    if stanzas != recipients:
        return f"encrypted for {len(stanzas)} ({', '.join(stanzas)}); the ledger says {len(recipients)}"
    return ""


def _start_us(segment: Segment) -> int | None:
    span = segment.video or segment.audio
    return span.from_us if span is not None else None


def _sequence(found: Found, segment: Segment, gaps: list[Gap], place: str) -> None:
    """Segments are numbered without a hole, and what they hold goes on where the one before ended (E5)."""
    if segment.n != len(found.segments):
        what = f"segment {segment.n} where segment {len(found.segments)} belongs"
        found.altered(place, what, _start_us(segment))
    if segment.video is None and segment.audio is None:
        found.altered(place, f"segment {segment.n} holds nothing")
    if segment.video is not None:
        before = next((s.video for s in reversed(found.segments) if s.video is not None), None)
        why = _why_not_next_video(found, segment.video, before, gaps)
        if why:
            found.altered(place, f"segment {segment.n}: {why}", segment.video.from_us)
    if segment.audio is not None:
        heard = next((s.audio for s in reversed(found.segments) if s.audio is not None), None)
        if not _follows(segment.audio, heard):
            what = f"segment {segment.n}: its sound repeats or goes back in time"
            found.altered(place, what, segment.audio.from_us)


def _why_not_next_video(found: Found, video: VideoSpan, before: VideoSpan | None, gaps: list[Gap]) -> str:
    """Why these frames do not go on where those before ended, with what a signed gap accounts for; "" when they do."""
    assert found.opened is not None, "a ledger with good lines is opened"
    if before is None and video.from_us != found.opened.video.base_us:
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
    return ""


def _follows(audio: AudioSpan, before: AudioSpan | None) -> bool:
    one = audio.from_us == audio.last_us
    in_order = audio.from_us <= audio.last_us and audio.packets > 0 and one == (audio.packets == 1)
    return in_order and (before is None or audio.from_us > before.last_us)


def _unnamed(found: Found, *, closed: bool) -> None:
    """Files of ours that no record names: a write that failed, one in progress, one after a power loss, or added."""
    attempts = {segment.n: segment.attempt for segment in found.segments}
    for name in found.names():
        numbers = layout.segment_numbers(name)
        if numbers is None or attempts.get(numbers[0]) == numbers[1]:
            continue
        n, attempt = numbers
        if attempt < attempts.get(n, 0) or (n, attempt) in found.left_over:
            found.note(name, "left from a write that failed; not believed")
        elif n in attempts or closed or n >= len(found.segments) + GROUP_LIMIT:
            found.altered(name, "no record names it: it was added")
        else:
            found.unproven += 1


# -- the answers ----------------------------------------------------------------------------------------------------


def _read(given: Given, found: Found) -> tuple[Read, str]:
    if given.opener is None or found.opened is None:
        return "sealed", "sealed: no identity was given" if given.opener is None else "sealed: there is nothing to open"
    problems = given.opener.check(found.folder, found.opened, found.segments, given.progress)
    found.findings += problems
    if problems:
        return "wrong-key" if problems[0].question == "key" else "not-opened", problems[0].what
    return "opened", "opened and decoded: every frame that the ledger counts is there, at its time"


def _content_said(found: Found) -> str:
    bad = [f for f in found.findings if f.question == "content"]
    if not bad:
        return f"all {found.verified} segments are as they were signed" if found.segments else "there is no segment"
    first = min(bad, key=lambda f: float("inf") if f.offset_s is None else f.offset_s)
    label = f"{first.utc}, " if first.utc else ""
    when = "" if first.offset_s is None else f" (first at {label}{first.offset_s} s into the recording)"
    good = f"{found.verified} of {len(found.segments)} segments are as they were signed"
    return f"{first.place}: {first.what}{when}; {good}"


def _time_said(found: Found) -> str:
    if found.opened is None:
        return "unknown"
    clock = found.opened.clock
    quality = f"synchronised by {clock.source}, within {clock.error_us} µs" if clock.synchronised else "NOT set"
    stepped = f", and was set {found.clock_steps} times while it recorded" if found.clock_steps else ""
    return f"claimed by the device, not anchored: {found.opened.utc}; its clock was {quality}{stepped}"


def _verdict(
    found: Found, signer: tuple[Signed, str], extent: tuple[Extent, str], read: tuple[Read, str]
) -> RecordingVerdict:
    opened = found.opened
    videos = [s.video for s in found.segments if s.video is not None]
    answers = Answers(
        content="altered" if found.altered_at_all else "matches",
        content_said=_content_said(found),
        signer=signer[0],
        signer_said=signer[1],
        extent=extent[0],
        extent_said=extent[1],
        time_said=_time_said(found),
        read=read[0],
        read_said=read[1],
    )
    return RecordingVerdict(
        recording=found.name,
        device=opened.device if opened else "",
        verdict=answers.verdict,
        exit_status=answers.exit_status,
        answers=answers,
        findings=tuple(found.findings),
        trigger=opened.trigger if opened else "",
        opened_utc=opened.utc if opened else "",
        pre_event_mode=opened.pre_event.mode if opened else "",
        pre_event_asked_us=opened.pre_event.asked_us if opened else 0,
        pre_event_had_us=opened.pre_event.had_us if opened else 0,
        seconds=round((videos[-1].to_us - videos[0].from_us) / 1e6, 3) if videos else 0.0,
        first_frame=videos[0].first if videos else 0,
        frames=sum(v.frames for v in videos),
        packets=sum(s.audio.packets for s in found.segments if s.audio is not None),
        segments=len(found.segments),
        verified_segments=found.verified,
        unproven_files=found.unproven,
        missing=found.missing,
        continues=opened.continues if opened else None,
    )

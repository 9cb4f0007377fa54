"""What the examination of one recording is given, and what it gathers on the way. No judgement is made here."""

from collections import deque
from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from device.errors import EvidenceError
from device.evidence import layout
from device.evidence.chain import ReadLine, Walk
from device.evidence.dating import Dating
from device.evidence.documents import Identities, why_not_policy
from device.evidence.heard import Heard
from device.evidence.history import History, Told
from device.evidence.identity import p256_key, parse_utc
from device.evidence.kept_receipts import Kept
from device.evidence.reading import each_name
from device.evidence.receipts import Receipt
from device.evidence.records import AudioSpan, Gap, LedgerRecord, Line, PolicyName, RecordingOpened, Segment, VideoSpan
from device.evidence.revocation import NONE_REVOKED, Revocations
from device.evidence.tally import Tally
from device.evidence.verdicts import Finding, first_of
from device.evidence.workers import Asked, Workers

MOST_FINDINGS = 1000
"""As many as one recording's verdict lists; the others are counted."""

Progressing = Callable[[int], None]
"""Called with the number of bytes verified since the last call."""


class Opener(msgspec.Struct, frozen=True):
    """Opens a recording's plaintext and checks it: given by the caller when an identity was given. The segments can be
    gone through several times; that raises `EvidenceError` when the ledger has changed meanwhile."""

    check: "Callable[[Path, RecordingOpened, Iterable[Segment], Progressing], list[Finding]]"


class Given(msgspec.Struct, frozen=True):
    """A card, its certificates, history and receipts, what dates it, the anchors of the person who asks and what these revoked; the same for
    each recording."""

    card: Path
    anchors: tuple[x509.Certificate, ...]
    identities: Identities
    history: History
    kept: Kept
    dating: Dating
    opener: Opener | None
    progress: Progressing
    workers: Workers
    revoked: Revocations = NONE_REVOKED
    policies: dict[PolicyName, str] = msgspec.field(default_factory=dict)
    """Why each policy that was looked at is not the one that was in force."""

    def keys_of(self, certificate_sha256: str) -> tuple[ec.EllipticCurvePublicKey, ...]:
        """A ledger's own key, and those to which rotations led from it, whose certificates are here: any of them may have
        recovered the recording."""
        heirs = self.history.rotations.heirs(certificate_sha256)
        certificates = self.identities.certificates
        return tuple(p256_key(certificates[sha256]) for sha256 in heirs if sha256 in certificates)

    def why_not_policy(self, named: PolicyName) -> str:
        """As `documents.why_not_policy`; each policy is looked at once."""
        if named not in self.policies:
            self.policies[named] = why_not_policy(self.card, named)
        return self.policies[named]


class Ledger:
    """A ledger that is gone through once, and what the questions about its end need of it. No line is kept but two.

    `until_us`: the boot time from which on nothing can be believed, the end of the last good segment so far.
    """

    def __init__(self, walk: Walk[LedgerRecord], first: ReadLine[LedgerRecord], told: Told) -> None:
        assert isinstance(first.record, RecordingOpened), "no other record is the first of a ledger"
        self.walk = walk
        self.told = told
        self.first = first
        self.last = first
        self.count = 1
        self.until_us = first.record.video.base_us
        self.before_last = Tally()
        self._not_met = set(told.lines) - {first.place}
        self._seen_us = {line.seq: self.until_us for line in told.lines}
        """For each number of a line that the journal holds: when, in the recording, the line of that number came."""

    def take(self, line: ReadLine[LedgerRecord]) -> None:
        """The next line."""
        self.end()
        self.last = line
        self.count += 1
        self._not_met.discard(line.place)
        if line.record.seq in self._seen_us:
            self._seen_us[line.record.seq] = self.until_us

    def end(self) -> None:
        """The last line taken is tallied too: another follows it, here or in a recovery."""
        self.before_last.take(self.last.record, self.last.payload)

    def ends_with(self, segment: Segment) -> None:
        """A segment of the line just taken."""
        self.until_us = segment.video.to_us if segment.video is not None else self.until_us

    def missing(self, recovery: Line | None) -> list[tuple[Line, int]]:
        """The lines that the journal holds and that are neither here nor the recovery's, and when they should come."""
        return [
            (line, self._seen_us[line.seq] if line.seq < self.count else self.until_us)
            for line in self.told.lines
            if line in self._not_met and line != recovery
        ]


class Release(msgspec.Struct, frozen=True):
    """That the journal says that a recording was released, and under which receipt; `why_not` says why that is not
    proven, and `receipt` is None then."""

    sha256: str
    receipt: Receipt | None
    why_not: str


class AskedFile(msgspec.Struct, frozen=True):
    """A file that a record names. The answer says why it is not as it was signed, "" when it is; and the bytes read."""

    name: str
    at_us: int | None
    is_segment: bool
    asked: Asked[tuple[str, int]]


class Found:
    """One recording: its folder, the first line of its ledger once that can be believed, and what was found."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.folder = folder
        self.opened: RecordingOpened | None = None
        self.began_utc: str | None = None
        self.ledger_sha256 = ""
        self.tree_root = ""
        self.size = 0
        self.findings: list[Finding] = []
        self.beyond = 0
        self.altered_at_all = False
        self.first_bad: Finding | None = None
        self.clock_steps = 0
        self.verified = 0
        self.unproven = 0
        self.missing: dict[str, int] = {}
        self.pauses: list[tuple[int, int]] = []
        self.heard = Heard()
        self.left_over: set[tuple[int, int]] = set()
        self.release: Release | None = None
        self.released = 0
        self.first_n = 0
        """The number of the first segment that there is to see: 0, but in a part of a recording."""
        self.segments = 0
        self.frames = 0
        self.packets = 0
        self.first_video: VideoSpan | None = None
        self.last_video: VideoSpan | None = None
        self.last_audio: AudioSpan | None = None
        self._attempts: dict[int, int] = {}
        self._skipped: set[int] = set()
        self._waiting: deque[Finding | AskedFile] = deque()
        self._asked = 0

    # -- what is named ----------------------------------------------------------------------------------------------

    def count(self, segment: Segment) -> None:
        """The next segment of the ledger. What is kept of those in order does not grow with their number."""
        if segment.n != self.next_n:
            self._skipped.add(self.next_n)
        if segment.n != self.next_n or segment.attempt:
            self._attempts[segment.n] = segment.attempt
        self.segments += 1
        self.size += segment.file.size
        if segment.video is not None:
            self.frames += segment.video.frames
            self.first_video = self.first_video or segment.video
            self.last_video = segment.video
        if segment.audio is not None:
            self.packets += segment.audio.packets
            self.last_audio = segment.audio

    def gap(self, gap: Gap) -> None:
        """A signed gap in the video. Those of the policy, which mostly are private pauses, are no time of the recording."""
        self.missing[gap.cause] = self.missing.get(gap.cause, 0) + gap.frames
        if gap.cause == "policy":
            self.pauses.append((gap.from_us, gap.to_us))

    def video_us(self) -> int:
        """From the first frame to the end of the last, without the pauses: each begins when the frame before it is over."""
        first, last = self.first_video, self.last_video
        if first is None or last is None:
            return 0
        paused_us, until_us = 0, first.from_us
        for from_us, to_us in self.pauses:
            begins_us, ends_us = max(from_us + first.period_us, until_us), min(to_us, last.to_us)
            paused_us += max(0, ends_us - begins_us)
            until_us = max(until_us, ends_us)
        return last.to_us - first.from_us - paused_us

    @property
    def next_n(self) -> int:
        """The number of the next segment in order."""
        return self.first_n + self.segments

    def only(self, segments: list[Segment]) -> None:
        """Of all that the ledger names, these alone are there to see: a part of the recording."""
        self.first_n = segments[0].n if segments else 0
        self.segments = self.frames = self.packets = 0
        self.first_video = self.last_video = self.last_audio = None
        for segment in segments:
            self.count(segment)

    def attempt_of(self, n: int) -> int | None:
        """The attempt by which the ledger names segment n; None when it names none."""
        in_order = 0 if n < self.segments and n not in self._skipped else None
        return self._attempts.get(n, in_order)

    def names(self) -> Iterable[str]:
        """What is in its folder, in no order."""
        try:
            yield from each_name(self.folder)
        except EvidenceError as failure:
            self.altered(layout.recording_folder(self.name), str(failure))

    # -- what is found ----------------------------------------------------------------------------------------------

    def altered(self, place: str, what: str, at_us: int | None = None) -> None:
        """`at_us`: the boot time of the first frame concerned."""
        self.altered_at_all = True
        utc, offset_s = self._when(at_us)
        self._say(Finding(question="content", place=place, what=what, utc=utc, offset_s=offset_s))

    def never_began(self, place: str, what: str) -> None:
        """All of the recording is concerned; when it began is the journal's word."""
        self.altered_at_all = True
        self._say(Finding(question="content", place=place, what=what, utc=self.began_utc, offset_s=0.0))

    def unproven_from(self, place: str, what: str, at_us: int | None = None) -> None:
        """Something that bears on the extent. `at_us`: as in `altered`."""
        utc, offset_s = self._when(at_us)
        self._say(Finding(question="extent", place=place, what=what, utc=utc, offset_s=offset_s))

    def note(self, place: str, what: str) -> None:
        self._say(Finding(question="note", place=place, what=what))

    def ask(self, given: Given, file: AskedFile) -> None:
        """A file that a worker looks at: what is found after it is told after it."""
        self._waiting.append(file)
        self._asked += 1
        self.settle(given.progress, given.workers.ahead)

    def settle(self, progress: Progressing, down_to: int = 0) -> None:
        """Take the answers, until so many are left, in the order in which they were asked for."""
        while self._waiting and (self._asked > down_to or isinstance(self._waiting[0], Finding)):
            waiting = self._waiting.popleft()
            if isinstance(waiting, Finding):
                self._keep(waiting)
                continue
            self._asked -= 1
            why, size = waiting.asked.answer()
            progress(size)
            if why:
                self.altered_at_all = True
                utc, offset_s = self._when(waiting.at_us)
                what = Finding(question="content", place=waiting.name, what=why, utc=utc, offset_s=offset_s)
                self._keep(what)
            elif waiting.is_segment:
                self.verified += 1

    def _say(self, finding: Finding) -> None:
        if self._waiting:
            self._waiting.append(finding)
        else:
            self._keep(finding)

    def _keep(self, finding: Finding) -> None:
        if finding.question == "content":
            self.first_bad = first_of(self.first_bad, finding)
        if len(self.findings) < MOST_FINDINGS:
            self.findings.append(finding)
        else:
            self.beyond += 1

    def _when(self, at_us: int | None) -> tuple[str | None, float | None]:
        """Wall time by the opening's own label, if its clock was set, and seconds from the first frame."""
        if at_us is None or self.opened is None:
            return None, None
        offset_s = round((at_us - self.opened.video.base_us) / 1e6, 3)
        at = parse_utc(self.opened.utc)
        if at is None or not self.opened.clock.synchronised:
            return None, offset_s
        try:
            moment = at + timedelta(microseconds=at_us - self.opened.boot_us)
        except OverflowError:
            return None, offset_s
        return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ"), offset_s

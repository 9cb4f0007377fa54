"""What the examination of one recording is given, and what it gathers on the way. No judgement is made here."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import msgspec
from cryptography import x509

from device.errors import EvidenceError
from device.evidence import layout
from device.evidence.documents import Identities
from device.evidence.history import History
from device.evidence.identity import parse_utc
from device.evidence.reading import names_in
from device.evidence.records import RecordingOpened, Segment
from device.evidence.verdicts import Finding

Progressing = Callable[[int], None]
"""Called with the number of bytes verified since the last call."""


class Opener(msgspec.Struct, frozen=True):
    """Opens a recording's plaintext and checks it: given by the caller when an identity was given."""

    check: "Callable[[Path, RecordingOpened, list[Segment], Progressing], list[Finding]]"


class Given(msgspec.Struct, frozen=True):
    """A card, its certificates and its history, the anchors of the person who asks; the same for each recording."""

    card: Path
    anchors: tuple[x509.Certificate, ...]
    identities: Identities
    history: History
    opener: Opener | None
    progress: Progressing


class Found(msgspec.Struct):
    """One recording: its folder, the first line of its ledger once that can be believed, and what was found."""

    name: str
    folder: Path
    findings: list[Finding] = msgspec.field(default_factory=list)
    opened: RecordingOpened | None = None
    segments: list[Segment] = msgspec.field(default_factory=list)
    clock_steps: int = 0
    verified: int = 0
    unproven: int = 0
    missing: dict[str, int] = msgspec.field(default_factory=dict)
    left_over: set[tuple[int, int]] = msgspec.field(default_factory=set)

    @property
    def altered_at_all(self) -> bool:
        return any(finding.question == "content" for finding in self.findings)

    def altered(self, place: str, what: str, at_us: int | None = None) -> None:
        """`at_us`: the boot time of the first frame concerned."""
        utc, offset_s = self._when(at_us)
        self.findings.append(Finding(question="content", place=place, what=what, utc=utc, offset_s=offset_s))

    def names(self) -> list[str]:
        """What is in its folder."""
        try:
            return names_in(self.folder)
        except EvidenceError as failure:
            self.altered(layout.recording_folder(self.name), str(failure))
            return []

    def note(self, place: str, what: str) -> None:
        self.findings.append(Finding(question="note", place=place, what=what))

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

"""Is this what the device recorded, all of it, and only it? Five questions, answered apart, for each recording.

Verification needs no key that opens anything, no clock and no network: the card, and anchors from the person who asks.
The order: the journal is read first, then the recordings are listed, then each ledger and the files that it names; a
card that is being written can only have grown in between, so what the journal promised must be there, and a recording
that is newer than the journal as read is judged again after the journal. Findings are collected; nothing found on a
card raises.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from cryptography import x509

from device.errors import EvidenceError, UsageError
from device.evidence import layout
from device.evidence.case import Given, Opener, Progressing
from device.evidence.dating import Dating, KnownHead, dating, known_head
from device.evidence.documents import Identities, read_identities
from device.evidence.examine import examine
from device.evidence.foreign import foreign_files, names_there
from device.evidence.history import History, read_history
from device.evidence.identity import parse_utc
from device.evidence.kept import Place
from device.evidence.kept_receipts import read_kept
from device.evidence.reading import names_in, real_folder, regular_size
from device.evidence.revocation import NONE_REVOKED, Revocations
from device.evidence.tpm_anchors import Anchored, judge_tpm_anchors
from device.evidence.verdicts import (
    EXIT_INTACT,
    WORDS,
    CardVerdict,
    Finding,
    FirstBad,
    RecordingVerdict,
    first_bad_of,
    printable,
    worst,
)
from device.evidence.workers import Workers, all_cores

__all__ = ["Opener", "Progressing", "is_card", "is_recording", "total_bytes", "verify"]

MAX_READINGS = 5
"""Of the journal of a card that is being recorded on."""


def is_card(path: Path) -> bool:
    where = _resolved(path)
    return _is_folder(where / layout.JOURNAL) or _is_folder(where / layout.EVIDENCE)


def is_recording(path: Path) -> bool:
    where = _resolved(path)
    return layout.recording_counter(where.name) is not None and _is_folder(where)


def total_bytes(path: Path) -> int:
    """How many bytes of segments a verification will read: for a progress bar. Says nothing of what is wrong."""
    where = _resolved(path)
    evidence = where / layout.EVIDENCE
    total = 0
    for folder in [where] if is_recording(path) else (evidence / name for name in names_there(evidence)):
        for name in names_there(folder):
            if layout.segment_numbers(name) is not None:
                try:
                    total += regular_size(folder / name) or 0
                except EvidenceError:
                    continue
    return total


def verify(
    path: Path,
    anchors: tuple[x509.Certificate, ...],
    *,
    opener: Opener | None = None,
    head: str | None = None,
    revoked: Revocations = NONE_REVOKED,
    progress: Progressing = lambda _: None,
    jobs: int | None = None,
) -> CardVerdict:
    """Verify a card, or one recording's folder. `UsageError` when the path is neither, and for a `head` that is none.

    `head`: a line of the journal that is known from outside the card: its SHA-256, or a receipt's or cosigned head's file.
    `revoked`: what the CA took back. `jobs`: how many files are hashed at once, all cores when None; the verdict does not
    depend on it.
    """
    known = known_head(head, anchors, revoked) if head is not None else None
    where = _resolved(path)
    if not is_recording(path) and not is_card(path):
        missing = "" if os.path.lexists(where) else "no such file or folder: "
        raise UsageError(
            f"{printable(str(path))}: {missing}neither a card (a folder with {layout.EVIDENCE}/ and {layout.JOURNAL}/) nor a "
            "recording (a folder such as 000001-0123456789abcdef), nor an MP4 file; give one of these"
        )
    card, only = (where.parent.parent, where.name) if is_recording(path) else (where, None)
    with Workers(jobs or all_cores()) as workers:
        examination = _Examination(card, only, anchors, opener, progress, workers, revoked)
        return examination.verdict(path, known)


def of_revocation(history: History, identities: Identities, dated: Dating, revoked: Revocations) -> Iterator[Finding]:
    """A journal whose key was revoked, once for each key: the first file of which the agency did not see all before that;
    and of when the lists are."""
    said: set[str] = set()
    for epoch in history.epochs:
        sha256 = epoch.statement.certificate_sha256
        at = parse_utc(epoch.boot.utc) if epoch.boot.clock.synchronised else None
        seen = dated.bounds(None, Place(epoch.lines[-1].place, epoch)).proven_by
        why, _ = revoked.judge(identities.certificates[sha256], at, seen)
        if why and sha256 not in said:
            said.add(sha256)
            yield Finding(question="signer", place=layout.epoch_file(epoch.name), what=why)
    yield from (Finding(question="note", place="--revoked", what=what) for what in revoked.said)


class _Examination:
    """A card, or `only` one recording of it."""

    def __init__(
        self,
        card: Path,
        only: str | None,
        anchors: tuple[x509.Certificate, ...],
        opener: Opener | None,
        progress: Progressing,
        workers: Workers,
        revoked: Revocations,
    ) -> None:
        self._card = card
        self._workers = workers
        self._only = only
        self._anchors = anchors
        self._opener = opener
        self._progress = progress
        self._revoked = revoked
        self._identities: Identities
        self._history: History
        self._dating: Dating
        self._by_tpm: Anchored
        self._given: Given
        self._listing: list[Finding]
        self._judged: dict[str, RecordingVerdict] = {}

    def verdict(self, path: Path, head: KnownHead | None) -> CardVerdict:
        self._judge_all()
        missing = dict(self._missing_recordings())
        findings = [
            *self._folders(),
            *self._documents(),
            *self._of_history(),
            *of_revocation(self._history, self._identities, self._dating, self._revoked),
            *self._dating.findings,
            *self._listing,
            *missing.values(),
            *self._against_head(head),
        ]
        recordings = tuple(self._judged[name] for name in sorted(self._judged))
        status = worst([r.exit_status for r in recordings] + [f.exit_status for f in findings])
        foreign, beyond = ([], 0) if self._only is not None else foreign_files(self._card)
        return CardVerdict(
            path=str(path),
            verdict=_in_a_word(status, recordings),
            exit_status=status,
            journal_said=self._journal_said(head),
            findings=tuple(findings),
            recordings=recordings,
            foreign=tuple(foreign),
            foreign_beyond=beyond,
            first_bad=self._first_bad(missing, findings),
            journal_head=self._history.epochs[-1].lines[-1].sha256 if self._history.present else "",
        )

    # -- the recordings -----------------------------------------------------------------------------------------------

    def _judge_all(self) -> None:
        """Judge what there is; on a card that has grown meanwhile, read the journal again and judge what is newer."""
        lines = -1
        newer: set[str] = set()
        for _ in range(MAX_READINGS):
            self._identities = read_identities(self._card)
            self._history = read_history(self._card, self._identities, self._anchors, self._revoked, whole=False)
            kept = read_kept(self._card, self._anchors, self._revoked)
            self._dating = dating(self._history, kept, self._anchors, self._revoked)
            self._by_tpm = judge_tpm_anchors(self._history)
            if len(self._history.places) == lines:
                return
            self._given = Given(
                card=self._card,
                anchors=self._anchors,
                identities=self._identities,
                history=self._history,
                kept=kept,
                dating=self._dating,
                opener=self._opener,
                progress=self._progress,
                workers=self._workers,
                revoked=self._revoked,
            )
            lines = len(self._history.places)
            names = self._names()
            newer = {name for name in names if self._judge(name, again=name in newer)}
            if not newer:
                return

    def _judge(self, name: str, *, again: bool) -> bool:
        """Whether the recording shows that the journal has grown since it was read."""
        if name in self._judged and not again:
            return False
        self._judged[name], newer = examine(self._given, name, self._card / layout.recording_folder(name))
        return newer

    def _names(self) -> list[str]:
        self._listing = []
        if self._only is not None:
            return [self._only]
        try:
            names = names_in(self._card / layout.EVIDENCE)
        except EvidenceError as failure:
            self._listing.append(Finding(question="content", place=layout.EVIDENCE, what=str(failure)))
            return []
        return [name for name in names if layout.recording_counter(name) is not None]

    # -- the card -----------------------------------------------------------------------------------------------------

    def _folders(self) -> Iterator[Finding]:
        """Nothing of ours is reached through a link."""
        for name in (layout.POLICY, layout.RECEIPTS, layout.EVIDENCE if self._only is not None else layout.SPOOL):
            try:
                real_folder(self._card / name)
            except EvidenceError as failure:
                yield Finding(question="content", place=name, what=str(failure))

    def _documents(self) -> Iterator[Finding]:
        """A damaged certificate is an alarm, but on a card where the power went before anything was ever decided."""
        yield from self._identities.notes
        for finding in self._identities.damaged:
            yield finding if self._history.recorded else _as_note(finding)

    def _of_history(self) -> Iterator[Finding]:
        """What is known of the journal's own end does not bear on one recording, whose end it holds or does not hold."""
        for finding in (*self._history.findings, *self._by_tpm.findings):
            alone = self._only is not None and finding.question == "extent"
            yield _as_note(finding) if alone else finding
        if self._only is None and not self._history.present:
            what = "there is no journal that can be believed: whether anything is missing can't be told"
            yield Finding(question="extent", place=layout.JOURNAL, what=what)

    def _missing_recordings(self) -> Iterator[tuple[str, Finding]]:
        if self._only is None:
            for name in sorted(self._history.names() - set(self._judged)):
                what = "the journal holds this recording; its folder is missing"
                place, utc = layout.recording_folder(name), self._history.began_utc(name)
                yield name, Finding(question="content", place=place, what=what, utc=utc, offset_s=0.0)

    def _first_bad(self, missing: dict[str, Finding], findings: list[Finding]) -> FirstBad | None:
        """In the order of the recordings' counters; the journal and the card's papers when no recording is concerned."""
        bad = {name: first_bad_of(name, finding) for name, finding in missing.items()}
        bad |= {name: judged.first_bad for name, judged in self._judged.items() if judged.first_bad is not None}
        if bad:
            return bad[min(bad)]
        return first_bad_of("", next((finding for finding in findings if finding.question == "content"), None))

    def _against_head(self, head: KnownHead | None) -> Iterator[Finding]:
        if head is not None and head.sha256 not in self._history.places:
            what = f"the line {head.sha256}, {_known_by(head)}, is not in it: it was rolled back, forked or cut"
            yield Finding(question="content", place=layout.JOURNAL, what=what)

    def _journal_said(self, head: KnownHead | None) -> str:
        if not self._history.present:
            return "no journal that can be believed was given: whether recordings are missing can't be told"
        place = self._history.places.get(head.sha256) if head is not None else None
        if place is not None and head is not None:
            return f"history anchored up to line {place.line.seq} ({place.epoch.boot.device}) by {head.said}"
        seen = self._dating.newest
        if head is not None or seen is None:
            return self._by_tpm.said or "history not anchored"
        what = f"up to line {seen.seq} by the agency's {seen.word} of {seen.utc}"
        return f"history anchored {what}; what came after is not"


def _known_by(head: KnownHead) -> str:
    return head.said.replace("a line known from outside", "known from outside")


def _in_a_word(status: int, recordings: tuple[RecordingVerdict, ...]) -> str:
    """Of a card that lacks nothing but what was released, *intact* says no more than what is here."""
    released = sum(recording.answers.content == "released" for recording in recordings)
    if status == EXIT_INTACT and released:
        return f"intact, of what is here; {released} of {len(recordings)} recordings released under receipt"
    return WORDS[status]


def _as_note(finding: Finding) -> Finding:
    return Finding(question="note", place=finding.place, what=finding.what)


def _resolved(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError, ValueError) as failure:
        raise UsageError(f"{printable(str(path))}: {failure}; give a card or a recording's folder") from failure


def _is_folder(path: Path) -> bool:
    try:
        return real_folder(path)
    except EvidenceError:
        return False

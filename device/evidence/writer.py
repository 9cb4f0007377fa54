"""One recording on the card: its folder, its init, its segments, its ledger. Recorder thread only.

The order (E2): segments and their folder's entries are durable before the line that names them is written. The ledger's
file and the folder are made with the first group, so that one `sync_all` makes them durable together with it. After any
error on the ledger this object is of no more use (`LedgerBrokenError`); after one on a segment the same bytes' frames go
to a new name.
"""

import hashlib

import msgspec

from device.clock import Clock
from device.errors import CannotPersist, EvidenceError
from device.evidence import layout
from device.evidence.chain import Chain
from device.evidence.disk import Disk, File, abandon
from device.evidence.envelope import Signer, line_digest
from device.evidence.media_signing import MediaSignatures, MediaSigner
from device.evidence.records import (
    AudioSpan,
    AudioTrack,
    FileNumber,
    Gap,
    LeftOver,
    Line,
    PolicyName,
    PreEvent,
    Record,
    RecordingClosed,
    RecordingOpened,
    SealedContext,
    Segment,
    Segments,
    Software,
    SoundGap,
    Totals,
    Tree,
    VideoSpan,
    VideoTrack,
)
from device.evidence.seal import Sealer
from device.evidence.segmenter import Cut, Missing
from device.evidence.sound import Silence
from device.media.fmp4 import VIDEO_TIMESCALE_HZ, AudioFormat, Muxer
from device.media.frames import Frame, ParameterSets
from device.media.picture import Picture

LEFT_OVER_LIMIT = 256
"""Files of failed writes under one record."""


class LedgerBrokenError(CannotPersist):
    """This recording's ledger could not be written on: it ends here, and a new recording continues it."""


class Facts(msgspec.Struct, frozen=True):
    """What every recording of this boot says of the device."""

    device: str
    certificate_sha256: str
    policy: PolicyName
    software: Software
    settings_sha256: str
    audio: AudioFormat | None
    media: MediaSigner | None


class Opening(msgspec.Struct, frozen=True):
    """What one recording says of its beginning."""

    trigger: str
    trigger_us: int
    pre_event: PreEvent
    context: SealedContext | None
    continues: str | None


class RecordingWriter:
    """`name` is the folder's. Nothing is on the card until the first `write_group`."""

    def __init__(
        self,
        *,
        name: str,
        disk: Disk,
        clock: Clock,
        signer: Signer,
        sealer: Sealer,
        facts: Facts,
        opening: Opening,
        first: tuple[ParameterSets, Frame],
        journal_head: Line,
    ) -> None:
        sets, keyframe = first
        self.name = name
        self._disk = disk
        self._sealer = sealer
        self._facts = facts
        self._opening = opening
        self._journal_head = journal_head
        self._muxer = Muxer(keyframe, sets, facts.audio)
        self._signatures = MediaSignatures(facts.media, clock, self._muxer.base_us, sets.pps)
        self._chain = Chain(signer, clock, facts.device, name, 0, journal_head.sha256)
        self._folder = layout.recording_folder(name)
        self._ledger: File | None = None
        self._next_n = 0
        self._attempts: dict[int, int] = {}
        self._left_over: list[FileNumber] = []
        self._totals = Totals(segments=0, frames=0, packets=0, size=0)
        self._ending = False
        self._stages: list[tuple[int, str]] = [(0, "pre"), (opening.trigger_us, "live")]
        self.first_line: Line | None = None
        self.head: Line | None = None

    @property
    def parameter_sets(self) -> ParameterSets:
        return self._muxer.parameter_sets

    def enter_stage(self, stage: str, from_us: int) -> None:
        """Segments that begin at `from_us` or later are of this stage."""
        self._stages.append((from_us, stage))

    def write_group(self, cuts: list[Cut], notes: list[Record]) -> None:
        """Make these cuts durable, then one record that names them, after the gaps in them and before `notes`.

        Raises `CannotPersist` when a segment could not be made durable, or the record not be signed (call again: new names
        are taken), `EvidenceError` when a picture can't be put into a segment, and `LedgerBrokenError` when the ledger
        could not be written. A first group that failed is never tried again here: the recording opens in another folder.
        """
        first_group = self._ledger is None
        segments: list[Segment] = []
        files: list[File] = []
        tried: list[int] = []
        try:
            videos = self._signatures.signed(cuts)
            if first_group:
                self._begin_folder()
            for n, (cut, video) in enumerate(zip(cuts, videos, strict=True), self._next_n):
                tried.append(n)
                segments.append(self._write_segment(n, cut, video, files))
            self._make_durable(files, everything=first_group or len(files) > 1)
            left_over = tuple(self._left_over[:LEFT_OVER_LIMIT])
            records: list[Record] = [self._opened(), *notes] if first_group else list(notes)
            records += [gap for cut in cuts for gap in gaps(cut.missing, cut.silences)]
            records += [LeftOver(files=left_over)] if left_over else []
            records += [Segments(segments=tuple(segments))] if segments else []
            lines = self._chain.next_lines(records)
        except (CannotPersist, EvidenceError) as failure:
            for file in files:
                abandon(file)
            if first_group and isinstance(failure, CannotPersist):
                raise LedgerBrokenError(f"{self._folder}: not begun: {failure}") from failure
            for n in tried:
                attempt = self._attempts.get(n, 0)
                self._left_over.append(FileNumber(n=n, attempt=attempt))
                self._attempts[n] = attempt + 1
            raise
        self._next_n += len(cuts)
        self._signatures.settle()
        del self._left_over[: len(left_over)]
        self._count(segments)
        self._append(lines)

    def write_records(self, records: list[Record]) -> None:
        """Sign the records, append their lines and make them durable. `CannotPersist` when they can't be signed now: nothing
        has changed; call again."""
        if records:
            self._append(self._chain.next_lines(records))

    def _append(self, lines: bytes) -> None:
        assert self._ledger is not None, "a ledger begins with the first group"
        try:
            self._ledger.append(lines)
            self._ledger.sync()
        except CannotPersist as failure:
            raise LedgerBrokenError(str(failure)) from failure
        self._chain.mark_durable()
        self.head = self._chain.head
        if self.first_line is None:
            self.first_line = Line(stream=self.name, seq=0, sha256=line_digest(lines.partition(b"\n")[0]))

    def close(self, how: str, end_us: int, missing: list[Record], context: SealedContext | None) -> None:
        """The last lines, first the gaps at the end. The root is over every record before `recording-closed`. Raises as
        `write_records` does."""
        if not self._ending:
            self.write_records(missing)
            self._ending = True
        tree = Tree(size=self._chain.tree.size, root=self._chain.tree.root())
        self.write_records([RecordingClosed(how=how, end_us=end_us, totals=self._totals, tree=tree, context=context)])
        assert self._ledger is not None, "a ledger that was written on is open"
        self._ledger.close()

    def give_up(self) -> None:
        """Let the ledger's handle go; nothing more is written here."""
        if self._ledger is not None:
            abandon(self._ledger)

    # -- steps of a group -------------------------------------------------------------------------------------------

    def _begin_folder(self) -> None:
        self._disk.make_folder(self._folder)
        init = self._disk.create(f"{self._folder}/{layout.INIT}")
        try:
            self._init = self._sealer.seal_to(init.append, [self._muxer.init])
        finally:
            abandon(init)
        self._ledger = self._disk.create(f"{self._folder}/{layout.LEDGER}")

    def _write_segment(self, n: int, cut: Cut, video: list[Picture], files: list[File]) -> Segment:
        """Write one segment's file, not yet durable; its handle is added to `files`. `video`: the cut's pictures, signed."""
        attempt = self._attempts.get(n, 0)
        fragment = self._muxer.fragment(n + 1, video, cut.audio, cut.end_us)
        file = self._disk.create(f"{self._folder}/{layout.segment_file(n, attempt)}")
        files.append(file)
        stored = self._sealer.seal_to(file.append, fragment)
        return Segment(
            n=n,
            attempt=attempt,
            stage=self._stage_at(cut.start_us),
            file=stored,
            video=_video_span(cut) if cut.video else None,
            audio=_audio_span(cut) if cut.audio else None,
        )

    def _make_durable(self, files: list[File], *, everything: bool) -> None:
        """One device flush for a group (`syncfs`), or one for the file and one for the folder."""
        if everything:
            self._disk.sync_all()
        for file in files:
            if not everything:
                file.sync()
            file.close()
        if files and not everything:
            self._disk.sync_folder(self._folder)

    def _opened(self) -> RecordingOpened:
        audio = self._facts.audio
        opening = self._opening
        sets = self._muxer.parameter_sets
        return RecordingOpened(
            journal=self._journal_head,
            certificate_sha256=self._facts.certificate_sha256,
            media_certificate_sha256=self._signatures.certificate_sha256,
            media_utc_us=self._signatures.base_utc_us,
            policy=self._facts.policy,
            software=self._facts.software,
            trigger=opening.trigger,
            trigger_us=opening.trigger_us,
            pre_event=opening.pre_event,
            video=VideoTrack(
                codec="h264",
                width=self._muxer.width,
                height=self._muxer.height,
                timescale_hz=VIDEO_TIMESCALE_HZ,
                base_us=self._muxer.base_us,
                parameter_sets_sha256=_digest(sets.annex_b()),
                settings_sha256=self._facts.settings_sha256,
            ),
            audio=None
            if audio is None
            else AudioTrack(codec="aac", sample_rate_hz=audio.sample_rate_hz, channels=audio.channels),
            recipients=tuple(stanza.lower() for stanza in self._sealer.stanzas),
            recipients_sha256=self._sealer.recipients_sha256,
            init=self._init,
            continues=opening.continues,
            context=opening.context,
        )

    def _stage_at(self, at_us: int) -> str:
        return next(stage for from_us, stage in reversed(self._stages) if from_us <= at_us)

    def _count(self, segments: list[Segment]) -> None:
        self._totals = Totals(
            segments=self._totals.segments + len(segments),
            frames=self._totals.frames + sum(s.video.frames for s in segments if s.video is not None),
            packets=self._totals.packets + sum(s.audio.packets for s in segments if s.audio is not None),
            size=self._totals.size + sum(s.file.size for s in segments),
        )


def gaps(missing: list[Missing], silent: list[Silence]) -> list[Record]:
    """What is in no segment, as records."""
    sound = [SoundGap(cause=silence.cause, from_us=silence.from_us, to_us=silence.to_us) for silence in silent]
    return [*map(_gap, missing), *sound]


def _gap(missing: Missing) -> Gap:
    return Gap(
        cause=missing.cause,
        frames=missing.frames,
        first=missing.first,
        last=missing.last,
        from_us=missing.from_us,
        to_us=missing.to_us,
    )


def _video_span(cut: Cut) -> VideoSpan:
    return VideoSpan(
        first=cut.video[0].number,
        last=cut.video[-1].number,
        frames=len(cut.video),
        from_us=cut.video[0].at_us,
        last_us=cut.video[-1].at_us,
        to_us=cut.end_us,
        period_us=cut.period_us,
    )


def _audio_span(cut: Cut) -> AudioSpan:
    return AudioSpan(packets=len(cut.audio), from_us=cut.audio[0].at_us, last_us=cut.audio[-1].at_us)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()

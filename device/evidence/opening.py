"""Opening a recording with the agency's key: decrypt, check the plaintext's digests, decode. For readers, on a laptop.

Plaintext stays in memory, one segment at a time, until an export is written (`disclosure`).
"""

import hashlib
import io
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pyrage

from device.errors import EvidenceError
from device.evidence import layout
from device.evidence.age_keys import NO_KEY, WrongKeyError, age_identities
from device.evidence.opened_media import OpenedMedia
from device.evidence.reading import read_file
from device.evidence.records import RecordingOpened, Segment, Stored
from device.evidence.recovery import MAX_SEGMENT_BYTES
from device.evidence.verdicts import Finding

if TYPE_CHECKING:
    import av

AUDIO_PACKET_SAMPLES = 1024
"""Sound is put on sample times that never go back, so it may be off by as much as it overlapped."""
Progress = Callable[[int], None]


class Identity:
    """An age identity file: `AGE-SECRET-KEY-1…` on a line of its own, comments allowed."""

    def __init__(self, path: Path) -> None:
        self._identities = age_identities(path, "--identity", "the agency's")

    def open(self, path: Path, stored: Stored) -> bytes:
        """A sealed file's plaintext, its digest checked; `EvidenceError` when it can't be had."""
        data = read_file(path, MAX_SEGMENT_BYTES)
        if data is None:
            raise EvidenceError(f"{path.name} is missing")
        try:
            plain = bytes(pyrage.decrypt(data, self._identities))
        except pyrage.DecryptError as failure:
            if NO_KEY in str(failure):
                raise WrongKeyError(f"{path.name} is not encrypted for this identity; give another") from failure
            raise EvidenceError(f"{path.name} can't be decrypted: it is damaged ({failure})") from failure
        if hashlib.sha256(plain).hexdigest() != stored.plain:
            raise EvidenceError(f"the plaintext of {path.name} is not what the ledger signed")
        return plain


def plaintext(
    folder: Path, opened: RecordingOpened, segments: Iterable[Segment], identity: Identity
) -> Iterator[bytes]:
    """The init, then each segment, opened one at a time."""
    yield identity.open(folder / layout.INIT, opened.init)
    for segment in segments:
        yield identity.open(folder / layout.segment_file(segment.n, segment.attempt), segment.file)


def check_plaintext(
    folder: Path, opened: RecordingOpened, segments: Iterable[Segment], identity: Identity, progress: Progress
) -> list[Finding]:
    """Open and decode every segment; each frame that the ledger counts must be there, at its time."""
    place = layout.INIT
    try:
        decoder = _Decoder(opened)
        decoder.begin(identity.open(folder / layout.INIT, opened.init))
        for segment in segments:
            place = layout.segment_file(segment.n, segment.attempt)
            plain = identity.open(folder / place, segment.file)
            decoder.take(segment, plain)
            progress(len(plain))
        decoder.end()
    except WrongKeyError as failure:
        return [Finding(question="key", place=place, what=str(failure))]
    except EvidenceError as failure:
        return [Finding(question="read", place=place, what=str(failure))]
    return []


class _Decoder:
    """Demuxes each segment with the recording's init, and decodes with one decoder throughout."""

    def __init__(self, opened: RecordingOpened) -> None:
        self._opened = opened
        self._init = b""
        self._codec: av.VideoCodecContext | None = None
        self._media = OpenedMedia(opened)

    def begin(self, init: bytes) -> None:
        self._init = init

    def take(self, segment: Segment, fragment: bytes) -> None:
        import av

        try:
            with av.open(io.BytesIO(self._init + fragment), "r", format="mp4") as container:
                self._check_tracks(container)
                self._check_segment(segment, container)
        except (av.error.FFmpegError, ValueError, IndexError) as failure:
            raise EvidenceError(f"segment {segment.n} can't be decoded: {failure}") from failure

    def end(self) -> None:
        """Every segment was taken: what is signed within the pictures is what the ledger says."""
        self._media.check()

    def _check_tracks(self, container: "av.container.InputContainer") -> None:
        """The tracks are those that the ledger names, and no more, with its times and its size."""
        import av

        video, audio = self._opened.video, self._opened.audio
        wanted: list[tuple[object, ...]] = [("video", video.codec, video.timescale_hz, video.width, video.height)]
        if audio is not None:
            wanted.append(("audio", audio.codec, audio.sample_rate_hz, audio.sample_rate_hz, audio.channels))
        had: list[tuple[object, ...]] = []
        for stream in container.streams:
            context = stream.codec_context
            timescale_hz = stream.time_base.denominator if stream.time_base is not None else 0
            if isinstance(context, av.VideoCodecContext):
                had.append((stream.type, context.name, timescale_hz, context.width, context.height))
            elif isinstance(context, av.AudioCodecContext):
                had.append((stream.type, context.name, timescale_hz, context.sample_rate, context.channels))
            else:
                had.append((stream.type,))
        if had != wanted:
            raise EvidenceError(f"its tracks are {had}; the ledger says {wanted}")

    def _check_segment(self, segment: Segment, container: "av.container.InputContainer") -> None:
        """Each frame and packet that the ledger counts is there; the first and last at their times; frames decode."""
        import av

        stream = container.streams.video[0]
        if self._codec is None:
            self._codec = av.VideoCodecContext.create("h264", "r")
            self._codec.extradata = stream.codec_context.extradata
            self._codec.thread_type = "NONE"
        times: list[int] = []
        samples: list[int] = []
        decoded = 0
        for packet in container.demux():
            if packet.dts is None:
                continue
            if packet.stream is not stream:
                samples.append(packet.dts)
                continue
            times.append(packet.dts + self._opened.video.base_us)
            self._media.take(bytes(packet), times[-1])
            decoded += len(self._codec.decode(packet))
        video = segment.video
        self._media.end_segment(video)
        _check(segment, "frames and times", times, (video.frames, video.from_us, video.last_us) if video else None)
        if decoded != len(times):
            raise EvidenceError(f"segment {segment.n}: {decoded} of {len(times)} frames could be decoded")
        sound = segment.audio
        span = (sound.packets, self._sample(sound.from_us), self._sample(sound.last_us)) if sound else None
        _check(segment, "packets of sound and times", samples, span, AUDIO_PACKET_SAMPLES)

    def _sample(self, at_us: int) -> int:
        """The decode time of sound at a boot time."""
        rate_hz = self._opened.audio.sample_rate_hz if self._opened.audio is not None else 0
        return round((at_us - self._opened.video.base_us) * rate_hz / 1_000_000)


def _check(segment: Segment, what: str, times: list[int], span: tuple[int, int, int] | None, slack: int = 0) -> None:
    """How many there are, and when the first and the last begin, give or take `slack`."""
    wanted = span if span is not None else (0, 0, 0)
    had = (len(times), times[0], times[-1]) if times else (0, 0, 0)
    if had[0] != wanted[0] or abs(had[1] - wanted[1]) > slack or abs(had[2] - wanted[2]) > slack:
        raise EvidenceError(f"segment {segment.n}: {what} {had}; the ledger says {wanted}")

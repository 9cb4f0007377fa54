"""Opening a recording with the agency's key: decrypt, check the plaintext's digests, decode. For readers, on a laptop.

Plaintext stays in memory, one segment at a time, until `export` writes the file that it was asked for.
"""

import hashlib
import io
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pyrage

from device.errors import EvidenceError, UsageError
from device.evidence import layout
from device.evidence.reading import read_file
from device.evidence.records import RecordingOpened, Segment, Stored
from device.evidence.recovery import MAX_SEGMENT_BYTES
from device.evidence.verdicts import Finding

if TYPE_CHECKING:
    import av

MAX_IDENTITY_BYTES = 64 * 1024
Progress = Callable[[int], None]


class Identity:
    """An age identity file: `AGE-SECRET-KEY-1…` on a line of its own, comments allowed."""

    def __init__(self, path: Path) -> None:
        try:
            with path.open("rb") as file:
                lines = file.read(MAX_IDENTITY_BYTES).decode("ascii").splitlines()
        except (OSError, UnicodeDecodeError) as failure:
            raise UsageError(f"--identity {path}: {failure}; give the agency's age identity file") from failure
        keys = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
        try:
            self._identities = [pyrage.x25519.Identity.from_str(key) for key in keys]
        except pyrage.IdentityError as failure:
            raise UsageError(f"--identity {path}: {failure}; a key begins with AGE-SECRET-KEY-1") from failure
        if not self._identities:
            raise UsageError(f"--identity {path}: no key is in it; a key begins with AGE-SECRET-KEY-1")

    def open(self, path: Path, stored: Stored) -> bytes:
        """A sealed file's plaintext, its digest checked; `EvidenceError` when it can't be had."""
        data = read_file(path, MAX_SEGMENT_BYTES)
        if data is None:
            raise EvidenceError(f"{path.name}: missing")
        try:
            plain = bytes(pyrage.decrypt(data, self._identities))
        except pyrage.DecryptError as failure:
            raise EvidenceError(f"{path.name}: this identity does not open it ({failure})") from failure
        if hashlib.sha256(plain).hexdigest() != stored.plain:
            raise EvidenceError(f"{path.name}: its plaintext is not what the ledger signed")
        return plain


def plaintext(
    folder: Path, opened: RecordingOpened, segments: list[Segment], identity: Identity
) -> Iterator[tuple[Segment | None, bytes]]:
    """The init (with None), then each segment, opened one at a time."""
    yield None, identity.open(folder / layout.INIT, opened.init)
    for segment in segments:
        yield segment, identity.open(folder / layout.segment_file(segment.n, segment.attempt), segment.file)


def check_plaintext(
    folder: Path, opened: RecordingOpened, segments: list[Segment], identity: Identity, progress: Progress
) -> list[Finding]:
    """Open and decode every segment; each frame that the ledger counts must be there, at its time."""
    place = layout.INIT
    try:
        decoder = _Decoder(opened)
        for segment, plain in plaintext(folder, opened, segments, identity):
            if segment is None:
                decoder.begin(plain)
                continue
            place = layout.segment_file(segment.n, segment.attempt)
            decoder.take(segment, plain)
            progress(len(plain))
    except EvidenceError as failure:
        return [Finding(question="read", place=place, what=str(failure))]
    return []


def write_mp4(
    folder: Path,
    opened: RecordingOpened,
    segments: list[Segment],
    identity: Identity,
    output: Path,
    progress: Progress,
) -> int:
    """Init and segments, concatenated: a playable fragmented MP4. All of it or nothing; the bytes written."""
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{output.name}.", dir=output.parent)
    except OSError as failure:
        raise UsageError(f"-o {output}: {failure.strerror}; name a file in a folder that can be written") from failure
    beside = Path(name)
    size = 0
    try:
        with os.fdopen(descriptor, "wb") as file:
            for _, plain in plaintext(folder, opened, segments, identity):
                size += file.write(plain)
                progress(len(plain))
        beside.replace(output)
    finally:
        beside.unlink(missing_ok=True)
    return size


class _Decoder:
    """Demuxes each segment with the recording's init, and decodes with one decoder throughout."""

    def __init__(self, opened: RecordingOpened) -> None:
        self._base_us = opened.video.base_us
        self._init = b""
        self._codec: av.VideoCodecContext | None = None

    def begin(self, init: bytes) -> None:
        self._init = init

    def take(self, segment: Segment, fragment: bytes) -> None:
        import av

        try:
            with av.open(io.BytesIO(self._init + fragment), "r", format="mp4") as container:
                self._video(segment, container)
        except av.error.FFmpegError as failure:
            raise EvidenceError(f"segment {segment.n} can't be decoded: {failure}") from failure

    def _video(self, segment: Segment, container: "av.container.InputContainer") -> None:
        import av

        stream = container.streams.video[0]
        if self._codec is None:
            self._codec = av.VideoCodecContext.create("h264", "r")
            self._codec.extradata = stream.codec_context.extradata
            self._codec.thread_type = "NONE"
        times: list[int] = []
        decoded = 0
        packets = 0
        for packet in container.demux():
            if packet.dts is None:
                continue
            if packet.stream is not stream:
                packets += 1
                continue
            times.append(packet.dts + self._base_us)
            decoded += len(self._codec.decode(packet))
        span = segment.video
        wanted = (span.frames, span.from_us, span.last_us) if span is not None else (0, 0, 0)
        had = (len(times), times[0], times[-1]) if times else (0, 0, 0)
        if had != wanted:
            raise EvidenceError(f"segment {segment.n}: frames and times {had}, the ledger says {wanted}")
        if packets != (segment.audio.packets if segment.audio is not None else 0):
            raise EvidenceError(f"segment {segment.n}: {packets} packets of sound, the ledger says otherwise")
        if decoded != len(times):
            raise EvidenceError(f"segment {segment.n}: {decoded} of {len(times)} frames could be decoded")

"""Frames to fragmented MP4 (ISO BMFF): one init, then one moof+mdat a segment.

One libavformat muxer a segment and no muxer state across segments: a long-lived one holds video back when audio is
late, and stamps late audio wrongly. Decode times count from the recording's first video frame, each track from its
own boot times, video in µs, audio in samples. Called by the recorder thread only.

PyAV is imported when the first recording opens, not before.
"""

import io
from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

import msgspec

from device.errors import EvidenceError
from device.media.boxes import top_level_boxes
from device.media.frames import Frame, ParameterSets

if TYPE_CHECKING:
    import av

VIDEO_TIMESCALE_HZ = 1_000_000
_VIDEO_BASE = Fraction(1, VIDEO_TIMESCALE_HZ)
_MUXER_OPTIONS = {
    "movflags": "frag_custom+empty_moov+default_base_moof+frag_discont+skip_trailer",
    "use_editlist": "0",
    "avoid_negative_ts": "disabled",
    "video_track_timescale": str(VIDEO_TIMESCALE_HZ),
    "fflags": "+bitexact",
}


class AudioFormat(msgspec.Struct, frozen=True):
    """AAC as the microphone gives it. `config` is the AudioSpecificConfig."""

    sample_rate_hz: int
    channels: int
    config: bytes


class Muxer:
    """Makes one recording's init and fragments. `keyframe` is the recording's first video frame.

    Raises `EvidenceError` when libavformat can't read the keyframe's parameter sets.
    """

    def __init__(self, keyframe: Frame, sets: ParameterSets, audio: AudioFormat | None) -> None:
        import av

        self.base_us = keyframe.at_us
        self.parameter_sets = sets
        self._audio_format = audio
        self._audio_base = Fraction(1, audio.sample_rate_hz if audio is not None else 1)
        try:
            self._template = av.open(io.BytesIO(keyframe.data), format="h264")
            context = self._template.streams.video[0].codec_context
            context.extradata = sets.annex_b()
        except (av.error.FFmpegError, IndexError) as failure:
            raise EvidenceError(f"the first keyframe can't be read as H.264: {failure}") from failure
        self.width = context.width
        self.height = context.height
        self.init = self._init()

    def fragment(self, sequence_number: int, video: Sequence[Frame], audio: Sequence[Frame], end_us: int) -> bytes:
        """One moof+mdat. `sequence_number` counts from 1; the last video frame lasts until `end_us`.

        Raises `EvidenceError` when libavformat refuses a frame.
        """
        import av

        try:
            return self._fragment(sequence_number, video, audio, end_us)
        except av.error.FFmpegError as failure:
            raise EvidenceError(f"a frame can't be put into a segment: {failure}") from failure

    def _fragment(self, sequence_number: int, video: Sequence[Frame], audio: Sequence[Frame], end_us: int) -> bytes:
        import av

        buffer, container, video_stream, audio_stream = self._open({"fragment_index": str(sequence_number)})
        ends_us = [frame.at_us for frame in video[1:]] + [end_us]
        for frame, next_us in zip(video, ends_us, strict=False):
            packet = av.Packet(frame.data)
            packet.stream = video_stream
            packet.time_base = _VIDEO_BASE
            packet.pts = packet.dts = frame.at_us - self.base_us
            packet.duration = max(1, next_us - frame.at_us)
            packet.is_keyframe = frame.keyframe
            container.mux_one(packet)
        last_time = -1
        for frame in audio:
            assert audio_stream is not None
            last_time = max(self._audio_time(frame), last_time + 1)
            packet = av.Packet(frame.data)
            packet.stream = audio_stream
            packet.time_base = self._audio_base
            packet.pts = packet.dts = last_time
            packet.duration = 1024
            packet.is_keyframe = True
            container.mux_one(packet)
        container.close()
        written = buffer.getvalue()
        boxes = list(top_level_boxes(written))
        if [box.kind for box in boxes] != [b"ftyp", b"moov", b"moof", b"mdat"]:
            raise EvidenceError(f"a segment of {[box.kind for box in boxes]}")
        if written[: boxes[2].offset] != self.init:
            raise EvidenceError("the init of one recording never changes, and this segment's did")
        return written[boxes[2].offset :]

    def _init(self) -> bytes:
        buffer, container, _, _ = self._open({})
        container.start_encoding()
        container.close()
        return buffer.getvalue()

    def _audio_time(self, frame: Frame) -> int:
        """In samples from the recording's first picture: of the packet's own time, whatever was muxed before it."""
        assert self._audio_format is not None
        return round((frame.at_us - self.base_us) * self._audio_format.sample_rate_hz / 1_000_000)

    def _open(
        self, options: dict[str, str]
    ) -> tuple[io.BytesIO, "av.container.OutputContainer", "av.VideoStream", "av.AudioStream | None"]:
        import av

        buffer = io.BytesIO()
        container = av.open(buffer, "w", format="mp4", options=_MUXER_OPTIONS | options)
        video = container.add_stream_from_template(self._template.streams.video[0], opaque=True)
        video.time_base = _VIDEO_BASE
        if self._audio_format is None:
            return buffer, container, video, None
        audio = container.add_stream("aac", rate=self._audio_format.sample_rate_hz)
        audio.codec_context.layout = "mono" if self._audio_format.channels == 1 else "stereo"
        audio.codec_context.extradata = self._audio_format.config
        audio.time_base = self._audio_base
        return buffer, container, video, audio

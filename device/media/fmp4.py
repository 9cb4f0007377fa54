"""Frames to fragmented MP4 (ISO BMFF): one init, then one moof+mdat a segment.

The init is libavformat's, from the first keyframe; a fragment is written here, with no state from one to the next: a muxer
that lives on holds video back when audio is late, and stamps late audio wrongly. Decode times count from the recording's
first video frame, each track from its own boot times, video in µs, audio in samples. Called by the recorder thread only.

PyAV is imported when the first recording opens, not before.
"""

import io
import itertools
import struct
from collections.abc import Sequence
from fractions import Fraction

import msgspec

from device.errors import EvidenceError
from device.media.fragment import AUDIO_TRACK, VIDEO_TRACK, Run, head
from device.media.frames import PACKET_SAMPLES, Frame, ParameterSets
from device.media.picture import Picture, Unit

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
        try:
            self._template = av.open(io.BytesIO(keyframe.data), format="h264")
            context = self._template.streams.video[0].codec_context
            context.extradata = sets.annex_b()
        except (av.error.FFmpegError, IndexError) as failure:
            raise EvidenceError(f"the first keyframe can't be read as H.264: {failure}") from failure
        self.width = context.width
        self.height = context.height
        self.init = self._init()

    def fragment(
        self, sequence_number: int, video: Sequence[Picture], audio: Sequence[Frame], end_us: int
    ) -> list[Unit]:
        """One moof+mdat, in parts that are not copied. `sequence_number` counts from 1; the last video frame lasts until
        `end_us`.

        Raises `EvidenceError` for what has no room in one.
        """
        data: list[Unit] = [b""]
        runs = []
        if video:
            runs.append(self._pictures(video, end_us, data))
        if audio:
            runs.append(self._sound(audio, data))
        try:
            data[0] = head(sequence_number, runs)
        except struct.error as failure:
            raise EvidenceError(f"frames that can't be put into one segment: {failure}") from failure
        return data

    def _pictures(self, video: Sequence[Picture], end_us: int, data: list[Unit]) -> Run:
        """The run of the pictures, whose units are added to `data`, each behind its length."""
        frames = [picture.frame for picture in video]
        sizes = []
        for picture in video:
            size = 0
            for unit in picture.units:
                length = len(unit)
                data.append(length.to_bytes(4, "big"))
                data.append(unit)
                size += 4 + length
            sizes.append(size)
        durations = [after.at_us - frame.at_us for frame, after in itertools.pairwise(frames)]
        durations.append(max(1, end_us - frames[-1].at_us))
        syncs = [frame.keyframe for frame in frames]
        return Run(VIDEO_TRACK, frames[0].at_us - self.base_us, durations, sizes, syncs)

    def _sound(self, audio: Sequence[Frame], data: list[Unit]) -> Run:
        times: list[int] = []
        for packet in audio:
            times.append(max(self._audio_time(packet), times[-1] + 1 if times else 0))
            data.append(packet.data)
        durations = [after - at for at, after in itertools.pairwise(times)]
        sizes = [len(packet.data) for packet in audio]
        return Run(AUDIO_TRACK, times[0], [*durations, PACKET_SAMPLES], sizes, [True] * len(sizes))

    def _init(self) -> bytes:
        import av

        buffer = io.BytesIO()
        container = av.open(buffer, "w", format="mp4", options=_MUXER_OPTIONS)
        video = container.add_stream_from_template(self._template.streams.video[0], opaque=True)
        video.time_base = _VIDEO_BASE
        if self._audio_format is not None:
            audio = container.add_stream("aac", rate=self._audio_format.sample_rate_hz)
            audio.codec_context.layout = "mono" if self._audio_format.channels == 1 else "stereo"
            audio.codec_context.extradata = self._audio_format.config
            audio.time_base = Fraction(1, self._audio_format.sample_rate_hz)
        container.start_encoding()
        container.close()
        return buffer.getvalue()

    def _audio_time(self, frame: Frame) -> int:
        """In samples from the recording's first picture: of the packet's own time, whatever was muxed before it."""
        assert self._audio_format is not None
        return round((frame.at_us - self.base_us) * self._audio_format.sample_rate_hz / 1_000_000)

"""picamera2's two H.264 encoders, made to keep this product's promises: a keyframe a second by time, whatever the rate;
no B-frames, no keyframe at a change of scene; an IDR with its parameter sets whenever one is asked for; bitrate and rate
that change from a keyframe on, without a restart.

Imports picamera2: only `device.pi.session` imports this, when the camera is started. Any thread asks (`force_key_frame`,
`gop.aim`: a value is set, nothing waits); the camera's thread encodes; `outputframe` of the V4L2 encoder is its own thread's.
"""

import fcntl
import logging
import os
from typing import Any

import av
from av.codec.context import ThreadType
from av.video.frame import PictureType
from picamera2.encoders.h264_encoder import H264Encoder
from picamera2.encoders.libav_h264_encoder import LibavH264Encoder
from picamera2.request import MappedArray
from videodev2 import (
    V4L2_CID_MPEG_VIDEO_BITRATE,
    V4L2_CID_MPEG_VIDEO_H264_I_PERIOD,
    VIDIOC_S_CTRL,
    v4l2_control,
)

from device.hardware import Load
from device.pi.gop import Gop

log = logging.getLogger("bodycam")

MOST_THREADS = 4
PROFILE = "high"
"""Of the hardware encoder, which has no B-frames in any profile. libx264 on `ultrafast` is always baseline."""


class LibavEncoder(LibavH264Encoder):  # type: ignore[misc]
    """libx264 in this process: the Pi 5. Each picture is encoded in slices, one a thread, so that none waits within for the
    next (threads that take whole pictures hold several back, and a power cut would lose these)."""

    def __init__(self, load: Load, most_bps: int) -> None:
        super().__init__(bitrate=load.bitrate_bps, repeat=True, iperiod=0, framerate=load.rate_hz)
        self._key_frames_generated: int = 0
        self.threads = min(MOST_THREADS, os.cpu_count() or 1)
        self._most_bps = max(most_bps, load.bitrate_bps)
        self._nominal_hz = load.rate_hz
        self.gop = Gop(load)

    def abandon(self) -> None:
        """A start that failed half-way leaves nothing that runs."""
        self._running = False

    def _start(self) -> None:
        super()._start()
        context = self._stream.codec_context
        context.thread_type = ThreadType.SLICE
        context.max_b_frames = 0
        context.options |= {
            "forced-idr": "1",
            "maxrate": str(self._most_bps),
            "bufsize": str(self._most_bps),
            "x264-params": "scenecut=0:bframes=0:open-gop=0:repeat-headers=1:annexb=1",
        }

    def _encode(self, stream: Any, request: Any) -> None:
        at_us = self._timestamp(request)
        asked = self._key_frames_requested > self._key_frames_generated
        self._key_frames_generated = self._key_frames_requested
        keyframe = self.gop.begins(at_us, asked)
        if keyframe:
            self._stream.codec_context.bit_rate = self._scaled_bps(self.gop.load)
        with MappedArray(request, stream) as mapped:
            picture = av.VideoFrame.from_numpy_buffer(mapped.array, format=self._av_input_format, width=self.width)
            picture.pts = at_us
            picture.pict_type = PictureType.I if keyframe else PictureType.NONE
            for packet in self._stream.encode(picture):
                self.outputframe(bytes(packet), packet.is_keyframe, timestamp=packet.pts, packet=packet)

    def _scaled_bps(self, load: Load) -> int:
        """x264 without look-ahead gives each picture its share at the rate that it was opened with."""
        return min(load.bitrate_bps * self._nominal_hz // load.rate_hz, self._most_bps)


class V4l2Encoder(H264Encoder):  # type: ignore[misc]
    """The hardware encoder: the Zero 2 W and the 4. It makes its own keyframes by count, so that the count follows the
    rate; one that is overdue is asked for."""

    def __init__(self, load: Load) -> None:
        super().__init__(
            bitrate=load.bitrate_bps, repeat=True, iperiod=load.rate_hz, framerate=load.rate_hz, profile=PROFILE
        )
        self.gop = Gop(load)

    def abandon(self) -> None:
        """Let go of what a start that failed half-way has left: its thread runs on, and the codec is held."""
        self._running = False
        if self.vd is not None:
            self.vd.close()

    def outputframe(
        self, frame: Any, keyframe: bool = True, timestamp: int | None = None, packet: Any = None, audio: bool = False
    ) -> None:
        if keyframe and timestamp is not None:
            self.gop.came(timestamp)
        super().outputframe(frame, keyframe, timestamp, packet, audio)

    def _encode(self, stream: Any, request: Any) -> None:
        load = self.gop.take_new()
        if load is not None:
            self._set(V4L2_CID_MPEG_VIDEO_BITRATE, load.bitrate_bps)
            self._set(V4L2_CID_MPEG_VIDEO_H264_I_PERIOD, load.rate_hz)
        super()._encode(stream, request)

    def _timestamp(self, request: Any) -> int:
        timestamp_us: int = super()._timestamp(request)
        if self.gop.overdue(timestamp_us):
            self.force_key_frame()
        return timestamp_us

    def _set(self, control: int, value: int) -> None:
        asked = v4l2_control()
        asked.id, asked.value = control, value
        try:
            fcntl.ioctl(self.vd, VIDIOC_S_CTRL, asked)
        except OSError:  # it records on as it was: no load is worth a recording
            log.exception("the encoder refuses control %#x = %d", control, value)

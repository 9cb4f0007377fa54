"""One run of the camera: picamera2 opened, configured, delivering, closed; then thrown away. A part of picamera2 that
failed or was stopped is never used again: a failed start leaves it believing that it runs.

Imports picamera2: only `device.pi.camera` imports this, when the camera is started, and calls it on threads of its own
that it does not wait for for ever. Frames come on the encoder's thread, or on the camera's event loop, which dies without a
word of any exception: so nothing here raises there.
"""

import logging
import threading
from contextlib import ExitStack
from typing import Any

import libcamera
from picamera2 import Picamera2
from picamera2.outputs import Output
from picamera2.request import MappedArray

from device.errors import HardwareFailed
from device.hardware import Load, Sample, Stamp
from device.media.luma import EVERY_US, shrunk
from device.media.sink import EncodedPacket, EncoderSink
from device.pi.dating import Dating
from device.pi.encoders import LibavEncoder, V4l2Encoder
from device.pi.exposure import capped
from device.pi.machine import EncoderKind, pipeline
from device.tables import Camera

FORMATS = ("YUV420", "NV12")
"""Both begin with the Y plane, and both encoders take both."""
ASKED_FORMAT = "YUV420"
BUFFERS = 6
TUNING_FOLDERS = ("/usr/share/libcamera/ipa/rpi/", "/usr/local/share/libcamera/ipa/rpi/")

log = logging.getLogger("bodycam")


class SinkOutput(Output):  # type: ignore[misc]
    """Where picamera2's encoder delivers. It only enqueues; after a failure of ours it keeps silent, which is a camera
    that gives no frames: whoever watches the age of frames starts it anew."""

    def __init__(self, encoder: LibavEncoder | V4l2Encoder, sink: EncoderSink, dating: Dating) -> None:
        super().__init__()
        self._encoder = encoder
        self._sink = sink
        self._dating = dating
        self._lock = threading.Lock()
        self._closed = False

    def close(self) -> None:
        """Nothing is delivered once this has returned."""
        with self._lock:
            self._closed = True

    def outputframe(
        self,
        frame: bytes | None,
        keyframe: bool = True,
        timestamp: int | None = None,
        packet: EncodedPacket | None = None,
        audio: bool = False,
    ) -> None:
        if audio or timestamp is None or self._encoder.firsttimestamp is None:
            return
        with self._lock:
            if self._closed:
                return
            try:
                at_us = self._dating.of_frame(timestamp, self._encoder.firsttimestamp)
                self._sink.outputframe(frame, keyframe, at_us - self._dating.zero_us, packet)
            except Exception:  # the border to picamera2, whose thread would end without a word
                log.critical("the camera's frames can't be taken any more", exc_info=True)
                self._closed = True


class Session:
    """`HardwareFailed` where the camera is missing, busy, or can't do what the settings ask for."""

    def __init__(
        self, settings: Camera, load: Load, kind: EncoderKind, sink: EncoderSink, stamp: Stamp | None, dating: Dating
    ) -> None:
        self.sample: Sample | None = None
        self._sees = True
        self._settings = settings
        self._stamp = stamp
        self._dating = dating
        self._rate_hz = load.rate_hz
        self._stride = 0
        self.encoder = V4l2Encoder(load) if kind == "v4l2" else LibavEncoder(load, most_bps=settings.bitrate_bps)
        self.output = SinkOutput(self.encoder, sink, dating)
        self._camera = self._open(kind)
        try:
            self._configure(load)
            self._camera.post_callback = self._before_encoding
            self._camera.start_encoder(self.encoder, self.output, name="main")
            self._camera.start(show_preview=False)
        except Exception:
            self.output.close()
            self.encoder.abandon()
            self._camera.close()
            raise

    def close(self) -> None:
        """It may never come back: picamera2 waits for its event loop without limit. What fails is raised once all the rest has
        been let go: a camera or a codec that is still held could not be opened again."""
        with ExitStack() as let_go:
            let_go.callback(self.encoder.abandon)
            let_go.callback(self._camera.close)
            let_go.callback(self._camera.stop_encoder)
            self._camera.stop()

    def aim(self, load: Load) -> None:
        self.encoder.gop.aim(load)

    # -- starting ---------------------------------------------------------------------------------------------------

    def _open(self, kind: EncoderKind) -> Any:
        cameras = Picamera2.global_camera_info()
        if not cameras:
            raise HardwareFailed("no camera is found: check its cable, and that the service may reach /dev/media*")
        return Picamera2(tuning=self._tuning(str(cameras[0]["Model"]), kind))

    def _tuning(self, model: str, kind: EncoderKind) -> dict[str, Any] | None:
        """The sensor's tuning with its exposure capped; None where libcamera has none for this camera."""
        for folder in TUNING_FOLDERS:
            try:
                tuning = Picamera2.load_tuning_file(f"{model}.json", dir=folder + pipeline(kind))
            except RuntimeError:  # picamera2's word for a file that is not there
                continue
            return capped(tuning, self._settings.longest_exposure_us)
        log.warning("no tuning file for the camera %s: only the frame rate limits its exposure", model)
        return None

    def _configure(self, load: Load) -> None:
        asked = (self._settings.width, self._settings.height)
        configuration = self._camera.create_video_configuration(
            main={"format": ASKED_FORMAT, "size": asked}, raw=None, buffer_count=BUFFERS, display=None, queue=False
        )
        configuration["controls"] = self._controls(load)
        self._camera.configure(configuration)
        given = self._camera.camera_configuration()["main"]
        if given["size"] != asked or given["format"] not in FORMATS:
            raise HardwareFailed(
                f"the camera gives {given['size'][0]}x{given['size'][1]} {given['format']}, not {asked[0]}x{asked[1]} "
                f"{ASKED_FORMAT}: change camera.width and camera.height in the configuration"
            )
        shortest_us = self._camera.camera_controls["FrameDurationLimits"][0]
        if shortest_us > _period_us(load.rate_hz):
            raise HardwareFailed(
                f"the camera gives at most {1_000_000 // shortest_us} pictures a second at {asked[0]}x{asked[1]}, not "
                f"{load.rate_hz}: lower camera.rate_hz, or the size, in the configuration"
            )
        self._stride = given["stride"]

    def _controls(self, load: Load) -> dict[str, Any]:
        """Those of them that this camera has."""
        modes = libcamera.controls.AeExposureModeEnum
        wanted = {
            "FrameDurationLimits": (_period_us(load.rate_hz),) * 2,
            "AeExposureMode": modes.Short if self._settings.exposure == "short" else modes.Normal,
            "NoiseReductionMode": libcamera.controls.draft.NoiseReductionModeEnum.Fast,
        }
        return {name: value for name, value in wanted.items() if name in self._camera.camera_controls}

    # -- each picture, on the camera's event loop -------------------------------------------------------------------

    def _before_encoding(self, request: Any) -> None:
        """picamera2 calls it for each picture, right before the encoder."""
        try:
            at_us = self._dating.of_sensor(request.request.metadata[libcamera.controls.SensorTimestamp] // 1000)
            due = self.sample is None or at_us - self.sample.at_us >= EVERY_US
            if self._sees and (due or self._stamp is not None):
                with MappedArray(request, "main", reshape=False) as mapped:
                    self._see(mapped.array.data.cast("B"), at_us, due)
        except Exception as failure:  # noqa: BLE001 - the border to picamera2, whose thread would end without a word
            self._sees_no_more(failure)
        try:
            self._follow_rate()
        except Exception:  # the same border; the rate stays as it was, and the recording goes on
            log.critical("the camera refuses another rate", exc_info=True)

    def _sees_no_more(self, failure: Exception) -> None:
        """Pictures are encoded from here on as they come; said once."""
        if self._sees:
            self._sees = False
            log.critical("pictures can't be looked at or written to any more", exc_info=failure)
            if self._stamp is not None:
                self._stamp.failed(f"the camera's pictures can't be written to: {failure}")

    def _see(self, picture: memoryview, at_us: int, due: bool) -> None:
        """A sample of what the lens sees, and then the stamp."""
        width, height = self._settings.width, self._settings.height
        with picture[: height * self._stride] as luma:
            if due:
                self.sample = Sample(*shrunk(luma, self._stride, width, height), at_us=at_us)
            if self._stamp is not None:
                self._stamp.burn(luma, self._stride, at_us)

    def _follow_rate(self) -> None:
        """The sensor's rate is that of the load in force: it changes with the keyframe."""
        gop = self.encoder.gop
        rate_hz = gop.load.rate_hz
        self._dating.period_us = _period_us(gop.slowest_hz)
        if rate_hz != self._rate_hz:
            self._rate_hz = rate_hz
            self._camera.set_controls({"FrameDurationLimits": (_period_us(rate_hz),) * 2})


def _period_us(rate_hz: int) -> int:
    return 1_000_000 // rate_hz

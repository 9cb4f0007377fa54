"""The Pi's camera by picamera2."""

from device.clock import Clock
from device.errors import HardwareFailed
from device.hardware import Load, Sample, Stamp
from device.media.sink import EncoderSink
from device.tables import Camera


class PiCamera:
    def __init__(self, settings: Camera, stamp: Stamp | None, clock: Clock) -> None:
        self._settings, self._stamp, self._clock = settings, stamp, clock

    def first_timestamp_us(self) -> int:
        return 0

    def start(self, sink: EncoderSink) -> None:
        raise HardwareFailed(f"no camera to deliver to {sink}")

    def stop(self) -> None: ...

    def force_keyframe(self) -> None: ...

    def set_load(self, load: Load) -> None: ...

    def sampled(self) -> Sample | None:
        return None

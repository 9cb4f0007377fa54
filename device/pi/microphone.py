"""The Pi's microphone by ALSA."""

from device.clock import Clock
from device.errors import HardwareFailed
from device.media.sink import EncoderSink
from device.tables import Microphone


class AlsaMicrophone:
    sample_rate_hz = 48_000
    channels = 1
    extradata = b""

    def __init__(self, settings: Microphone, clock: Clock) -> None:
        self._settings, self._clock = settings, clock

    def first_timestamp_us(self) -> int:
        return 0

    def start(self, sink: EncoderSink) -> None:
        raise HardwareFailed(f"no microphone to deliver to {sink}")

    def stop(self) -> None: ...

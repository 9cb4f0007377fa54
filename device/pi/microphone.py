"""The Pi's microphone: an I2S or USB sound card by ALSA, on a thread of its own. Any thread may call it.

A card that is missing, is unplugged or goes silent never raises here: the thread tries again, and whoever looks at the
ring sees that no sound comes. A card that hangs in a call leaves its thread behind: `stop` says so in time.
"""

import logging
from collections.abc import Callable
from typing import Protocol

from device.clock import Clock, Part, Runner, Wake
from device.errors import HardwareHung
from device.media.aac import audio_specific_config
from device.media.sink import EncoderSink
from device.pi.alsa import alsa
from device.pi.capture import Capture, Source
from device.tables import Microphone

STOP_LIMIT_S = 2.0
"""A read takes a fifth of a second at most, while the kernel keeps its word."""

log = logging.getLogger("bodycam")


class Loop(Protocol):
    """What runs the capture until it is stopped: a `Runner`, or a test's scheduler."""

    def start(self) -> None: ...

    def stop(self, limit_s: float) -> bool: ...


class AlsaMicrophone:
    """`open_source`: another source of samples than the card that the settings name; `loop`: what loops the capture."""

    def __init__(
        self,
        settings: Microphone,
        clock: Clock,
        open_source: Callable[[], Source] | None = None,
        loop: Callable[[Part, Wake, Clock, Callable[[Part, Exception], None]], Loop] = Runner,
    ) -> None:
        self.sample_rate_hz = settings.rate_hz
        self.channels = settings.channels
        self.extradata = audio_specific_config(settings.rate_hz, settings.channels)
        self._clock = clock
        self._loop = loop
        card = alsa(settings.device, settings.rate_hz, settings.channels, clock)
        self.capture = Capture(settings, clock, open_source or card)
        self._runner: Loop | None = None
        self._hung = False

    def first_timestamp_us(self) -> int:
        """The boot time of the first sample of the run that delivers now."""
        return self.capture.first_timestamp_us

    def start(self, sink: EncoderSink) -> None:
        """Capture for `sink` from now on, or from when there is a card. `HardwareHung` after a stop that was."""
        if self._hung:
            raise HardwareHung("the microphone did not come back from before; only another process can use it")
        assert self._runner is None, "the microphone is already started"
        self.capture.sink = sink
        self._runner = self._loop(self.capture, Wake(), self._clock, _failed)
        self._runner.start()

    def stop(self) -> None:
        """Deliver nothing more. Bounded in time: `HardwareHung` where the card does not come back. May be called twice."""
        self.capture.sink = None
        runner, self._runner = self._runner, None
        if runner is None:
            return
        self._hung = not runner.stop(STOP_LIMIT_S)
        if self._hung:
            raise HardwareHung(f"the microphone did not come back within {STOP_LIMIT_S} s")
        self.capture.close()


def _failed(part: Part, failure: Exception) -> None:
    """Sound alone ends; the pictures go on, and the fault shows as for a card that is gone."""
    log.critical("%s failed: %s", part.name, failure, exc_info=failure)

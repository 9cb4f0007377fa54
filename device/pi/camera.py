"""The Pi's camera by picamera2, as the daemon drives it: started, stopped and started again, and never waited for for ever.

picamera2 and libcamera are imported at the first start. Each start makes a `Session` and each stop throws it away. Both
are done on a thread of their own with a limit: a lost camera raises nothing and picamera2 waits without one.
"""

import threading
from typing import TYPE_CHECKING

from device.clock import Clock, within
from device.errors import HardwareFailed, HardwareHung
from device.hardware import Load, Sample, Stamp
from device.media.luma import LASTS_US
from device.media.sink import EncoderSink
from device.pi.dating import Dating
from device.pi.machine import encoder_kind
from device.tables import Camera

if TYPE_CHECKING:
    from device.pi.session import Session

START_LIMIT_S = 15.0
"""Imports and the sensor's first start on a Zero 2 W take several seconds."""
STOP_LIMIT_S = 3.0


class PiCamera:
    """`stamp`: burned into each picture; None for none. A driver that was `HardwareHung` once is not to be used again."""

    def __init__(self, settings: Camera, stamp: Stamp | None, clock: Clock) -> None:
        self._settings = settings
        self._stamp = stamp
        self._clock = clock
        self._load = Load(settings.rate_hz, settings.bitrate_bps)
        self._lock = threading.Lock()
        self._dating = Dating(clock, settings.period_us)
        self._session: Session | None = None
        self._hung = False

    def first_timestamp_us(self) -> int:
        """The boot time of the first frame since the last start; of that start itself before it."""
        return self._dating.zero_us

    def start(self, sink: EncoderSink) -> None:
        """`HardwareFailed`: missing, busy, unfit, or this machine has no encoder. `HardwareHung`: it did not come back."""
        with self._lock:
            assert self._session is None, "the camera is already started"
            if self._hung:
                raise HardwareHung("the camera hung in this process: start it in a new one")
            self._dating = Dating(self._clock, 1_000_000 // self._load.rate_hz)
            try:
                self._session = within(START_LIMIT_S, "camera-start", lambda: self._open(sink))
                self._session.aim(self._load)
            except TimeoutError as failure:
                self._hung = True
                raise HardwareHung(f"the camera does not start: {failure}") from failure
            except HardwareFailed:
                raise
            except Exception as failure:  # the border to picamera2, which raises whatever it happens upon
                raise HardwareFailed(f"the camera can't be started: {failure}") from failure

    def stop(self) -> None:
        """Nothing is delivered after it, whether it comes back well or raises `HardwareHung`."""
        with self._lock:
            session, self._session = self._session, None
            if session is None:
                return
            session.output.close()
            try:
                within(STOP_LIMIT_S, "camera-stop", session.close)
            except TimeoutError as failure:
                self._hung = True
                raise HardwareHung(f"the camera does not let go: {failure}") from failure
            except Exception as failure:  # the border to picamera2, as above
                raise HardwareFailed(f"the camera can't be stopped: {failure}") from failure

    def force_keyframe(self) -> None:
        session = self._session
        if session is not None:
            session.encoder.force_key_frame()

    def set_load(self, load: Load) -> None:
        self._load = load
        session = self._session
        if session is not None:
            session.aim(load)

    def sampled(self) -> Sample | None:
        session = self._session
        sample = None if session is None else session.sample
        return sample if sample is not None and self._clock.now_us() - sample.at_us < LASTS_US else None

    def _open(self, sink: EncoderSink) -> "Session":
        kind = encoder_kind()
        try:
            from device.pi.session import Session
        except ImportError as failure:
            raise HardwareFailed(f"picamera2 can't be used: {failure}; install python3-picamera2") from failure
        session = Session(self._settings, self._load, kind, sink, self._stamp, self._dating)
        if self._hung:  # it came back after nobody waited any more
            session.output.close()
            session.close()
        return session

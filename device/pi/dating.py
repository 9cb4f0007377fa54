"""When a picture was taken, in boot µs, whatever camera and encoder say: one object for one run of the camera.

libcamera's documentation has SensorTimestamp on CLOCK_BOOTTIME, the kernel's drivers stamp with CLOCK_MONOTONIC; the two
differ by the time for which the machine slept. A picture is never from the future nor from before the camera's start: a
time that says so is put right after the picture before, because one far-future time would make the ring refuse all that
follows as going back. Called by the camera's thread and by the encoder's; pure but for the clock.
"""

from collections.abc import Callable

from device.clock import Clock, suspended_us


class Dating:
    """`mended`: how many times had to be bounded."""

    def __init__(self, clock: Clock, period_us: int, suspended: Callable[[], int] = suspended_us) -> None:
        self.started_us = clock.now_us()
        self.period_us = period_us
        self.mended = 0
        self._clock = clock
        self._suspended = suspended
        self._sensor_offset_us: int | None = None
        self._zero_us: int | None = None
        self._last_us = self.started_us

    @property
    def zero_us(self) -> int:
        """The boot time at which the encoder counts zero; the run's start before its first frame."""
        return self.started_us if self._zero_us is None else self._zero_us

    def of_sensor(self, sensor_us: int) -> int:
        """The boot time of a SensorTimestamp, bounded by the run's start and now."""
        if self._sensor_offset_us is None:
            slept_us = self._suspended()
            self._sensor_offset_us = slept_us if sensor_us + slept_us <= self._clock.now_us() else 0
        return min(max(sensor_us + self._sensor_offset_us, self.started_us), self._clock.now_us())

    def of_frame(self, timestamp_us: int, first_sensor_us: int) -> int:
        """The boot time of an encoded frame. `timestamp_us` counts from the encoder's first frame, whose
        SensorTimestamp was `first_sensor_us`."""
        if self._zero_us is None:
            self._zero_us = self._last_us = self.of_sensor(first_sensor_us)
        at_us, now_us = self._zero_us + timestamp_us, self._clock.now_us()
        if not self._zero_us <= at_us <= now_us:
            self.mended += 1
            at_us = max(self._zero_us, min(self._last_us + self.period_us, now_us))
        self._last_us = at_us
        return at_us

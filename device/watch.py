"""What the control loop looks at by itself, and what it learns: silent parts, a clock that steps or is not set, a card
that hangs or fills. Control thread; nothing here waits.
"""

from collections.abc import Callable
from typing import Protocol

from device.clock import Clock
from device.media.ring import Ring
from device.policy.inputs import ClockStepped, FaultChanged, Input, LevelChanged

SILENT_CAMERA_US = 1_500_000
SILENT_MICROPHONE_US = 3_000_000
AHEAD_US = 500_000
"""A picture that says it was captured so much later than now is wrongly dated, and those after it may come too early. One that is
further ahead than the ring allows is not held."""
HUNG_CARD_US = 3_000_000
"""A recorder that has work and has not come round for so long waits for the card."""
ACTIVATION_LIMIT_US = 3_000_000
"""An activation whose journal line is not durable by then is a fault with a cue."""
UNSET = "none"
"""The source of a wall time that nothing bears out: nobody set it, and no clock chip agrees with it."""
CLOCK_STEP_US = 500_000
"""Wall time that has moved so far against the boot clock has been set, at once or little by little: what disciplines it
moves both."""
STORAGE_LOW_H = 1
"""In the middle of a shift; at its start the policy says how many hours there must be."""


class Writing(Protocol):
    """What is looked at of the recorder."""

    @property
    def busy(self) -> bool: ...

    turned_us: int
    durable_ticket: int
    free_bytes: int | None


def camera_silent(ring: Ring, started_us: int, now_us: int) -> bool:
    """Whether no frame has come for too long, nor since the camera was started: the one place where that is decided."""
    return _silent(ring.newest_video_us, started_us, now_us, SILENT_CAMERA_US)


def _silent(newest_us: int | None, started_us: int, now_us: int, limit_us: int) -> bool:
    return now_us - max(newest_us or 0, started_us) > limit_us


def _lately(refused_us: int | None, now_us: int, limit_us: int) -> bool:
    """Whether a frame dated far ahead was refused no longer ago."""
    return refused_us is not None and now_us - refused_us <= limit_us


class Watch:
    """`recording_bps`: what an hour of recording takes, in bits a second. `no_text`: why none can be burned in, or ""."""

    def __init__(
        self,
        clock: Clock,
        ring: Ring,
        recorder: Writing,
        *,
        has_microphone: bool,
        recording_bps: int,
        no_text: Callable[[], str] = lambda: "",
    ) -> None:
        self._clock = clock
        self._ring = ring
        self._recorder = recorder
        self._has_microphone = has_microphone
        self._recording_bps = recording_bps
        self._no_text = no_text
        self._started_us = clock.now_us()
        self._wall_minus_boot_us = clock.wall().utc_us - clock.now_us()
        self._activation: tuple[int, int] | None = None
        self._storage_wanted_h = STORAGE_LOW_H
        self._storage_low = False
        self._faults: set[str] = set()
        self._learned: list[Input] = []

    def shift_begins(self, storage_hours: int) -> None:
        """A shift begins with room for the hours that the policy asks for (R3); later less will do."""
        self._storage_wanted_h = storage_hours

    def activated(self, ticket: int) -> None:
        """The journal's line of this ticket must be durable soon."""
        self._activation = (ticket, self._clock.now_us())

    @property
    def camera_failed(self) -> bool:
        return "camera" in self._faults

    def look(self, now_us: int) -> list[Input]:
        """What has changed since the last look."""
        self._look_at_parts(now_us)
        self._look_at_clock(now_us)
        self._look_at_storage(now_us)
        self._look_at_activation(now_us)
        learned, self._learned = self._learned, []
        return learned

    def _look_at_parts(self, now_us: int) -> None:
        ahead = (self._ring.newest_video_us or 0) > now_us + AHEAD_US
        ahead = ahead or _lately(self._ring.video_ahead_us, now_us, SILENT_CAMERA_US)
        self._set_fault("camera", ahead or camera_silent(self._ring, self._started_us, now_us), now_us)
        held_up = self._recorder.busy and now_us - self._recorder.turned_us > HUNG_CARD_US
        self._set_fault("card", held_up, now_us)
        self._set_fault("overlay", self._no_text() != "", now_us)
        if self._has_microphone:
            silent = _silent(self._ring.newest_audio_us, self._started_us, now_us, SILENT_MICROPHONE_US)
            ahead = _lately(self._ring.audio_ahead_us, now_us, SILENT_MICROPHONE_US)
            self._set_fault("microphone", ahead or silent, now_us)

    def _look_at_clock(self, now_us: int) -> None:
        """A step of wall time is never silent (E8), nor many small ones: what was told last is what is compared with."""
        wall = self._clock.wall()
        offset_us = wall.utc_us - self._clock.now_us()
        step_us = offset_us - self._wall_minus_boot_us
        if abs(step_us) >= CLOCK_STEP_US:
            self._wall_minus_boot_us = offset_us
            self._learned.append(ClockStepped(at_us=now_us, step_us=step_us))
        self._set_fault("clock", wall.source == UNSET, now_us)

    def _look_at_storage(self, now_us: int) -> None:
        free_bytes = self._recorder.free_bytes
        if free_bytes is None:
            return
        low = free_bytes < self._storage_wanted_h * 3600 * self._recording_bps // 8
        if not low:
            self._storage_wanted_h = min(self._storage_wanted_h, STORAGE_LOW_H)
        if low != self._storage_low:
            self._storage_low = low
            self._learned.append(LevelChanged(at_us=now_us, part="storage", level="low" if low else "good"))

    def _look_at_activation(self, now_us: int) -> None:
        if self._activation is None:
            return
        ticket, at_us = self._activation
        if self._recorder.durable_ticket >= ticket:
            self._activation = None
            self._set_fault("journal", False, now_us)
        elif now_us - at_us > ACTIVATION_LIMIT_US:
            self._set_fault("journal", True, now_us)

    def _set_fault(self, part: str, present: bool, now_us: int) -> None:
        if present != (part in self._faults):
            self._faults ^= {part}
            self._learned.append(FaultChanged(at_us=now_us, part=part, present=present))

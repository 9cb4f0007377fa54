"""The camera kept running: started at the start, and anew when it falls silent, with a back-off.

The part named `keeper`, on a thread of its own, because a camera's stop may take seconds. What is silent is decided in
`device.watch`; the fault is shown by the control loop. A camera that is missing at the start is the same as one that dies
later. When the restarts have not helped, or when the camera does not let go, this part fails, and with it the daemon: systemd
starts it anew, and in the end the machine.

Restarts that do not last count together: frames must come for ten seconds before the back-off begins from its first wait.
"""

import logging
from collections import deque
from collections.abc import Callable
from typing import Protocol

from device.clock import Clock
from device.errors import HardwareFailed, HardwareHung
from device.media.ring import Ring
from device.watch import SILENT_CAMERA_US, camera_silent

WAITS_US = (1_000_000, 2_000_000, 4_000_000, 8_000_000, 16_000_000)
"""How long each restart is given; after the last the daemon ends."""
STEADY_US = 10_000_000
CALL_LIMIT_US = 15_000_000
"""A stop and a start that take longer than this count as a hang: the watchdog is no longer told that work is being done."""
LOOK_EVERY_US = 250_000

log = logging.getLogger("bodycam")


class StartedAndStopped(Protocol):
    """What is needed of a camera: see `device.hardware.CameraDriver`."""

    def stop(self) -> None: ...


class Keeper:
    """`start` starts the camera for the ring's sink. `wanted` and `say` are set when there is a policy and a journal: whether
    frames are wanted, and where to put what is to be journaled (what happened, whether it is a fault, its boot time)."""

    name = "keeper"

    def __init__(self, clock: Clock, ring: Ring, camera: StartedAndStopped, start: Callable[[], None]) -> None:
        self.wanted: Callable[[], bool] = lambda: True
        self.say: Callable[[str, bool, int], None] | None = None
        self._clock = clock
        self._ring = ring
        self._camera = camera
        self._start = start
        self._begun = False
        self._runs = False
        self._started_us = 0
        self._restarts = 0
        self._due_us = 0
        self._at_work_until_us = 0
        self._unsaid: deque[tuple[str, bool, int]] = deque()

    def at_work(self, now_us: int) -> bool:
        """Whether silence is being dealt with: a restart is under way, or is given its time. Any thread.

        Bounded: no restart counts for longer than `CALL_LIMIT_US` and its wait, and there are few in a row.
        """
        return now_us < self._at_work_until_us

    def run_once(self, now_us: int) -> int:
        if not self._begun:
            self._begun = True
            self._begin(now_us, WAITS_US[0])
        elif self._runs and not camera_silent(self._ring, self._started_us, now_us):
            self._came(now_us)
        elif now_us >= self._due_us and self.wanted():
            self._restart(now_us)
        self._tell()
        return self._clock.now_us() + LOOK_EVERY_US

    def _came(self, now_us: int) -> None:
        """Frames come."""
        if self._restarts and now_us - self._started_us >= STEADY_US:
            self._note(f"restart {self._restarts} brought the pictures back", present=False)
            self._restarts = self._due_us = 0

    def _restart(self, now_us: int) -> None:
        if self._restarts == len(WAITS_US):
            self._fail(HardwareFailed(f"no pictures after {self._restarts} restarts of the camera"))
        wait_us = WAITS_US[self._restarts]
        self._restarts += 1
        self._at_work_until_us = now_us + CALL_LIMIT_US
        self._note(f"restart {self._restarts}: no pictures", present=True)
        self._tell()
        try:
            self._camera.stop()
        except HardwareHung as failure:
            self._fail(failure)
        except (
            HardwareFailed
        ) as failure:  # a camera that is lost may refuse to stop; whether it is free, its start shows
            self._note(str(failure), present=True)
            self._tell()
        self._begin(now_us, wait_us)

    def _begin(self, now_us: int, wait_us: int) -> None:
        """Start the camera, and give it its time; one that can't be started now is tried again after that."""
        self._runs = False
        self._at_work_until_us = now_us + CALL_LIMIT_US
        try:
            self._start()
            self._runs = True
        except HardwareHung as failure:
            self._fail(failure)
        except HardwareFailed as failure:
            self._note(f"it can't be started: {failure}", present=True)
        self._started_us = self._clock.now_us()
        self._due_us = self._started_us + wait_us
        self._at_work_until_us = self._due_us + SILENT_CAMERA_US + 2 * LOOK_EVERY_US

    def _fail(self, failure: HardwareFailed) -> None:
        self._note(f"{failure}; the daemon ends", present=True)
        self._tell()
        raise failure

    def _note(self, what: str, *, present: bool) -> None:
        log.warning("camera: %s", what)
        self._unsaid.append((what, present, self._clock.now_us()))

    def _tell(self) -> None:
        """What could not be said before there was a journal is said as soon as there is one."""
        if self.say is not None:
            while self._unsaid:
                self.say(*self._unsaid.popleft())

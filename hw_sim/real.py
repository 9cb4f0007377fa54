"""The whole device in real time: the real daemon on the twin, a thread for each part, within this process.

The counterpart of `hw_sim.virtual`, with the same verbs, for `bodycam-sim run --speed real`. Main thread only.
"""

import random
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from gpiozero.pins.mock import MockPWMPin

from device.clock import BootClock, Crew, Wall, pause
from device.config import read_configuration
from device.daemon import Daemon
from device.errors import BodycamError
from device.evidence.disk import Disk
from device.sight import Sight
from device.tables import Camera
from hw_sim.agency import Bench
from hw_sim.disk import TwinDisk
from hw_sim.hardware import AnyCamera, TwinHardware

if TYPE_CHECKING:
    from device.evidence.envelope import Signer
    from hw_sim.scenes import Scene

SECOND_US = 1_000_000
STOP_LIMIT_S = 30
JOIN_LIMIT_S = 5.0
LOOK_US = 20_000


class SteppedClock(BootClock):
    """This machine's boot clock, with a wall time that a bench steps or takes away, as `hw_sim.clock.VirtualClock` has it."""

    def __init__(self) -> None:
        super().__init__()
        self.boot_id = "boot-0"
        self.wall_offset_us = super().wall().utc_us - self.now_us()
        self.synchronised = True
        self.chip = False

    def wall(self) -> Wall:
        source = "simulated" if self.synchronised else "rtc" if self.chip else "none"
        error_us = 1000 if self.synchronised else 0
        return Wall(self.now_us() + self.wall_offset_us, self.synchronised, source, error_us)


class RealDevice:
    """One device on a bench; it outlives its boots. What is made is as `VirtualDevice` makes it."""

    def __init__(
        self,
        bench: Bench,
        *,
        scene: "Callable[[Camera], Scene] | None",
        make_camera: Callable[[SteppedClock, Camera], AnyCamera] | None,
        make_disk: Callable[[Path], Disk],
        make_signer: "Callable[[Signer], Signer]",
        drift_ppm: int,
        seed: int,
        pin_class: type[MockPWMPin],
    ) -> None:
        self.bench = bench
        self.clock = SteppedClock()
        self.boots = 0
        self._scene = scene
        self._make_camera = make_camera
        self._make_disk = make_disk
        self._make_signer = make_signer
        self._drift_ppm = drift_ppm
        self._seed = seed
        self._pin_class = pin_class
        self._positions: dict[str, bool] = {}
        self.hardware: TwinHardware
        self.daemon: Daemon

    def boot(self) -> None:
        self.boots += 1
        self.clock.boot_id = f"boot-{self.boots}"
        configuration = read_configuration(self.bench.config)
        make_camera = self._make_camera
        self.hardware = TwinHardware(
            self.clock,
            wiring=configuration.tables.wiring,
            policy_file=configuration.at(configuration.tables.policy.bundle),
            positions=self._positions,
            scene=self._scene,
            make_camera=None if make_camera is None else lambda settings: make_camera(self.clock, settings),
            make_disk=self._make_disk,
            make_signer=self._make_signer,
            drift_ppm=self._drift_ppm,
            seed=self._seed,
            pin_class=self._pin_class,
        )
        sight, crew = Sight(configuration, self.hardware), Crew(self.clock)
        crew.start(sight.parts)
        self.daemon = Daemon(configuration, self.hardware, sight, crew)
        crew.start(self.daemon.parts[len(sight.parts) :])

    def run(self, seconds: float, done: Callable[[], bool] = lambda: False) -> None:
        """Let time pass; `BodycamError` when a part has failed meanwhile."""
        until_us = self.clock.now_us() + round(seconds * SECOND_US)
        while (left_us := until_us - self.clock.now_us()) > 0 and not done():
            if self.daemon.crew.failure is not None:
                raise BodycamError(f"a part of the device failed: {self.daemon.crew.failure}")
            pause(self.clock, min(LOOK_US, left_us))

    def stop(self) -> None:
        """SIGTERM: what is open closes, the journal gets its last line."""
        self.daemon.control.ask_shutdown()
        self.run(STOP_LIMIT_S, self.daemon.finished.is_set)
        assert self.daemon.finished.is_set(), "the daemon did not end"
        self.daemon.crew.stop(JOIN_LIMIT_S)
        self.daemon.close()

    def cut(self, odds: random.Random | None = None) -> None:
        """The power goes between two turns of each part: what was not synced is gone, or survives as `odds` draw it."""
        assert isinstance(self.hardware.the_disk, TwinDisk), "only the twin's disk forgets"
        self.daemon.crew.stop(JOIN_LIMIT_S)
        self.hardware.the_disk.cut(odds)
        self.daemon.close()

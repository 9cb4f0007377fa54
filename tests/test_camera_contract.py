"""The camera contract on the twin, in virtual time, in both of its behaviours."""

import pytest

from device.hardware import Stamp
from hw_sim.camera import TwinCamera
from hw_sim.clock import Scheduler, VirtualClock
from hw_sim.encoder_runs import Behaviour
from hw_sim.scenes import FlatScene
from tests.camera_contract import *  # noqa: F403 - the suite
from tests.camera_contract import SETTINGS, OpenRig


class TwinRig:
    def __init__(self, behaviour: Behaviour, stamp: Stamp | None) -> None:
        self.clock = VirtualClock("test-boot")
        self.camera = TwinCamera(
            self.clock,
            width=SETTINGS.width,
            height=SETTINGS.height,
            rate_hz=SETTINGS.rate_hz,
            bitrate_bps=SETTINGS.bitrate_bps,
            scene=FlatScene(SETTINGS.width, SETTINGS.height),
            behaviour=behaviour,
            stamp=stamp,
        )
        self._scheduler = Scheduler(self.clock, self.camera.parts)

    def run(self, seconds: float) -> None:
        self._scheduler.run_until(self.clock.now_us() + round(seconds * 1_000_000))

    def silence(self) -> None:
        self.camera.stall()


@pytest.fixture(params=["v4l2", "libav"])
def open_rig(request: pytest.FixtureRequest) -> OpenRig:
    return lambda stamp: TwinRig(request.param, stamp)

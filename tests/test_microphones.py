"""The twin's microphone and the Pi's keep one contract."""

import random
from collections.abc import Callable

import pytest

from device.pi.microphone import AlsaMicrophone
from device.tables import Microphone
from hw_sim.clock import Scheduler, VirtualClock
from hw_sim.microphone import TwinMicrophone
from tests import microphone_contract as contract
from tests.sound_cards import FakeCard, Stage


class OnACard:
    """The Pi's, on a card whose thread is late now and then."""

    def __init__(self, drift_ppm: int) -> None:
        self._stage = Stage()
        self.zero_us = self._stage.clock.now_us()
        self._card = FakeCard(self._stage.clock, drift_ppm=drift_ppm, odds=random.Random("card"))
        self.microphone = AlsaMicrophone(Microphone(), self._stage.clock, self._card.open, self._stage.loop)
        self.run = self._stage.run

    def unplug(self) -> None:
        self._card.plugged = False

    def replug(self) -> None:
        self._card.plugged = True


class Twin:
    def __init__(self, drift_ppm: int) -> None:
        self._clock = VirtualClock("test-boot")
        self.zero_us = self._clock.now_us()
        self.microphone = TwinMicrophone(self._clock, drift_ppm=drift_ppm)
        self._scheduler = Scheduler(self._clock, self.microphone.parts)
        self.unplug, self.replug = self.microphone.unplug, self.microphone.replug

    def run(self, seconds: float) -> None:
        self._scheduler.run_until(self._clock.now_us() + round(seconds * 1e6))


SUBJECTS = pytest.mark.parametrize("make", [Twin, OnACard])


@SUBJECTS
@pytest.mark.parametrize("what", contract.EVERY)
def test_the_contract(make: contract.Make, what: Callable[[contract.Make], None]) -> None:
    what(make)


@SUBJECTS
@pytest.mark.parametrize("drift_ppm", [-4_000, 4_000])
def test_drift_is_followed(make: contract.Make, drift_ppm: int) -> None:
    contract.drift_is_followed(make, drift_ppm)

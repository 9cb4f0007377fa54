"""In the arm64 machine: the board's contract on the lines of a real /dev/gpiochip, by gpiozero and lgpio."""

import time
from collections.abc import Iterator

import pytest

from device.clock import Latch
from device.controls.pins import PinFactory
from device.pi.pins import make_factory
from tests.board_contract import BoardContract, Rig
from tests.lanes.sim_lines import SimLines

SAMPLES = 60
SETTLED_AFTER_S = 0.5
"""lgpio goes from one brightness to the next at the end of a period."""


class RealLines:
    """gpio-sim's lines: what is wired to them is gpio-sim's pull."""

    def __init__(self) -> None:
        self._lines = SimLines()
        self._factory = make_factory()

    def factory(self) -> PinFactory:
        return self._factory

    def drive(self, pin: int, high: bool) -> None:
        self._lines.drive(pin, high)

    def level(self, pin: int) -> bool:
        return self._lines.level(pin)

    def share(self, pin: int) -> float:
        Latch().wait(SETTLED_AFTER_S)
        return sum(self._lines.level(pin) for _ in range(SAMPLES)) / SAMPLES


class TestRealLines(BoardContract):
    @pytest.fixture
    def subject(self) -> Iterator[RealLines]:
        lines = RealLines()
        yield lines
        lines.factory().close()

    def test_the_kernel_stamps_with_the_monotonic_clock(self, rig: Rig) -> None:
        """Else the board would take the time at which it heard, and say nothing."""
        before_s = time.monotonic()
        rig.press(17)
        (stamp_s,) = rig.clock.stamps_s
        assert before_s <= stamp_s <= time.monotonic()

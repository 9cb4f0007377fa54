"""The board's contract on gpiozero's mock pins."""

import time
from collections.abc import Iterator

import pytest
from gpiozero.pins.mock import MockFactory, MockPWMPin

from hw_sim.board import WiredPin
from tests.board_contract import BoardContract


class MockLines:
    """Mock pins, driven from outside."""

    def __init__(self) -> None:
        self._factory = MockFactory(pin_class=MockPWMPin)

    def factory(self) -> MockFactory:
        return self._factory

    def drive(self, pin: int, high: bool) -> None:
        self._factory.pin(pin, pin_class=WiredPin).drive(high)

    def level(self, pin: int) -> bool:
        return bool(self._factory.pin(pin).state)

    def share(self, pin: int) -> float:
        return float(self._factory.pin(pin).state)


class TestMockPins(BoardContract):
    @pytest.fixture
    def subject(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[MockLines]:
        monkeypatch.setenv("TZ", "UTC")
        time.tzset()
        lines = MockLines()
        for pin in (17, 27, 26, 13):
            lines.drive(pin, True)
        yield lines
        lines.factory().close()
        monkeypatch.undo()
        time.tzset()

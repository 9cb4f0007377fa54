"""The Pi's GPIO lines: gpiozero's factory over lgpio."""

from device.controls.board import PinFactory
from device.errors import HardwareFailed


def make_factory() -> PinFactory:
    raise HardwareFailed("no GPIO lines")

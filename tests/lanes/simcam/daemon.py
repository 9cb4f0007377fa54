"""The whole daemon on the real camera stack, and an officer who makes two minutes of recordings: run within the root.

    python -m tests.lanes.simcam.daemon BENCH

Only the pins are gpiozero's mock ones, because there are none. The exit status is the daemon's.
"""

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from gpiozero.pins.mock import MockFactory

from device.clock import NEVER_US, STOP_SIGNALS, Clock, Part, Wake, hold_signals
from device.config import read_configuration
from device.pi.hardware import PiHardware
from device.start import run_daemon
from device.tables import Wiring
from hw_sim.agency import Bench
from hw_sim.board import Thumb
from tests.benches import make_bench
from tests.lanes import simcam

SECOND_US = 1_000_000
CAMERA = {"width": 640, "height": 360, "rate_hz": 30, "bitrate_bps": 1_000_000}
DAY = (
    (7, "double"),
    (30, "marker"),
    (65, "hold"),
    (69, "press"),
    (77, "double"),
    (130, "hold"),
    (134, "press"),
    (141, "end"),
)
"""Seconds from the start, and what the officer does. 5 s before each press and 2 s after each stop are recorded too."""


class Officer:
    """A part that presses at its times."""

    name = "officer"

    def __init__(self, thumb: Thumb, clock: Clock) -> None:
        self._thumb = thumb
        self._clock = clock
        self._begun_us = clock.now_us()
        self._due = list(DAY)

    def run_once(self, now_us: int) -> int:
        while self._due and self._at_us() <= now_us:
            self._do(self._due.pop(0)[1])
        return self._at_us() if self._due else NEVER_US

    def _at_us(self) -> int:
        return self._begun_us + self._due[0][0] * SECOND_US

    def _do(self, what: str) -> None:
        match what:
            case "double":
                self._thumb.double("record")
            case "marker":
                self._thumb.press("function")
            case "hold":
                self._thumb.hold("record", 3200)
            case "press":
                self._thumb.press("record")
            case _:
                os.kill(os.getpid(), signal.SIGTERM)


class LaneHardware(PiHardware):
    """A Pi whose pins are mock ones, with an officer."""

    def __init__(self, wiring: Wiring) -> None:
        super().__init__()
        self._factory = MockFactory()
        self._wake = Wake()
        self._thumb = Thumb(self._factory, wiring, self.clock, self._wake)

    def pin_factory(self) -> MockFactory:
        return self._factory

    def parts(self) -> Sequence[tuple[Part, Wake]]:
        return [(self._thumb, self._wake), (Officer(self._thumb, self.clock), Wake())]


def main(root: Path) -> int:
    hold_signals(STOP_SIGNALS)  # before there is another thread: one that does not hold them would end the process
    simcam.install()
    bench: Bench = make_bench(root, audio=False, camera=CAMERA, ring_mib=8)
    return run_daemon(bench.config, LaneHardware(read_configuration(bench.config).tables.wiring))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))

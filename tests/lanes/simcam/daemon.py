"""The whole daemon on the real camera stack, and an officer who makes two minutes of recordings: run within the root.

    python -m tests.lanes.simcam.daemon CONFIGURATION

Only the pins are gpiozero's mock ones, because there are none. The exit status is the daemon's; before it ends, it says how
much memory it has taken.
"""

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from gpiozero.pins.mock import MockFactory, MockPWMPin

from device.clock import NEVER_US, STOP_SIGNALS, Part, Wake, hold_signals
from device.config import Configuration, read_configuration
from device.errors import UsageError
from device.pi.hardware import PiHardware
from device.service.status import Status, read_status
from device.start import run_daemon
from hw_sim.board import Thumb
from tests.lanes import simcam

SECOND_US = 1_000_000
LOOK_EVERY_US = 250_000
PRE_EVENT_US = 5 * SECOND_US
DAY = (
    (0, "double"),
    (25, "marker"),
    (53, "hold"),
    (57, "press"),
    (65, "double"),
    (118, "hold"),
    (122, "press"),
    (129, "end"),
)
"""Seconds from when the pre-event time is held, and what the officer does. 5 s before each press and 2 s after each stop are
recorded too."""


class Officer:
    """A part that presses at its times. The day begins when the daemon says that it holds the pre-event time: this part is
    made before the camera is started."""

    name = "officer"

    def __init__(self, thumb: Thumb, status: Path) -> None:
        self._thumb = thumb
        self._status = status
        self._begun_us: int | None = None
        self._due = list(DAY)

    def run_once(self, now_us: int) -> int:
        if self._begun_us is None:
            said = _said(self._status)
            if said is None or said.held_us < PRE_EVENT_US:
                return now_us + LOOK_EVERY_US
            self._begun_us = now_us
        while self._due and self._begun_us + self._due[0][0] * SECOND_US <= now_us:
            self._do(self._due.pop(0)[1])
        return self._begun_us + self._due[0][0] * SECOND_US if self._due else NEVER_US

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
                print("at the end:", _memory(), f"MiB, of these ring {_ring_mib(self._status)}", flush=True)
                os.kill(os.getpid(), signal.SIGTERM)


class LaneHardware(PiHardware):
    """A Pi whose pins are mock ones, with an officer."""

    def __init__(self, configuration: Configuration) -> None:
        super().__init__()
        self._factory = MockFactory(pin_class=MockPWMPin)
        self._wake = Wake()
        self._thumb = Thumb(self._factory, configuration.tables.wiring, self.clock, self._wake)
        self._status = configuration.at(configuration.tables.service.status_file)

    def pin_factory(self) -> MockFactory:
        return self._factory

    def parts(self) -> Sequence[tuple[Part, Wake]]:
        return [(self._thumb, self._wake), (Officer(self._thumb, self._status), Wake())]


def main(config: Path) -> int:
    hold_signals(STOP_SIGNALS)  # before there is another thread: one that does not hold them would end the process
    simcam.install()
    print("before the daemon:", _memory(), "MiB", flush=True)
    return run_daemon(config, LaneHardware(read_configuration(config)))


def _said(status: Path) -> Status | None:
    """What the daemon says of itself; None while it does not yet."""
    try:
        return read_status(status)
    except UsageError:
        return None


def _memory() -> dict[str, int]:
    """What this process has in memory, now and at most."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {
        name: int(lines[name].split()[0]) // 1024
        for name in ("VmRSS", "VmHWM", "RssAnon", "RssFile", "RssShmem", "VmLck")
    }


def _ring_mib(status: Path) -> float:
    said = _said(status)
    return 0.0 if said is None else round(said.ring_bytes / 2**20, 1)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))

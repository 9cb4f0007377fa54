"""`bodycam fault-light`: the ready light says that the daemon can't start at all. A process of its own, started by the
service manager when it has given the daemon up, and ended before it starts the daemon anew.

It works when little else does: with a configuration that is broken or missing it takes the line that is written there, or
the usual one. It reads no key and no card.
"""

import logging
import os
import signal
import sys
import tomllib
from pathlib import Path
from typing import Any

import msgspec
from gpiozero import DigitalOutputDevice, GPIOZeroError

from device.clock import BootClock, Latch, Part, Runner, Wake, hold_signals, wait_for_signal
from device.controls.indicators import Light
from device.controls.pins import PinFactory
from device.errors import HardwareFailed
from device.policy.signals import CANNOT_START
from device.tables import Board

MAX_BYTES = 256 * 1024
LAST_LINE = 27
"""Of a Raspberry Pi's header, by BCM number."""
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
JOIN_LIMIT_S = 2.0

log = logging.getLogger("bodycam")


class OutputWire(msgspec.Struct, frozen=True):
    """Where a light is, and which level switches it on."""

    pin: int
    active_low: bool = False


class FaultLight:
    """The part named `fault-light`: one light, one pattern."""

    name = "fault-light"

    def __init__(self, wire: OutputWire, factory: PinFactory | None) -> None:
        """`factory`: None for the one that gpiozero's own environment variable names. `HardwareFailed` without a line."""
        try:
            self._output = DigitalOutputDevice(wire.pin, active_high=not wire.active_low, pin_factory=factory)
        except (GPIOZeroError, OSError) as failure:
            raise HardwareFailed(f"the fault light on GPIO {wire.pin}: {failure}") from failure
        self._light = Light(self._output)
        self._light.show(CANNOT_START)

    def run_once(self, now_us: int) -> int:
        return self._light.play(now_us)

    def close(self) -> None:
        """Dark, and the line is let go."""
        self._output.value = False
        self._output.close()


def light_line(config: Path) -> OutputWire:
    """The ready light's line: `[board] ready_light` and `[lines.ready_light] active`, however broken the rest of the file
    is as a configuration."""
    usual = Board().ready_light
    try:
        with config.open("rb") as file:
            said: dict[str, Any] = tomllib.loads(file.read(MAX_BYTES).decode())
    except (OSError, ValueError) as failure:
        log.warning("%s: %s; the fault light is on the usual line, GPIO %d", config, failure, usual)
        return OutputWire(usual)
    active_low = _table(_table(said, "lines"), "ready_light").get("active") == "low"
    line = _table(said, "board").get("ready_light", usual)
    if type(line) is int and 0 <= line <= LAST_LINE:
        return OutputWire(line, active_low=active_low)
    log.warning("%s: board.ready_light is %r; the fault light is on the usual line, GPIO %d", config, line, usual)
    return OutputWire(usual, active_low=active_low)


def _table(said: dict[str, Any], name: str) -> dict[str, Any]:
    table = said.get(name)
    return table if isinstance(table, dict) else {}


def show_fault_light(config: Path) -> int:
    """Show it until a signal; 0. `HardwareFailed` when there is no line to show it on."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(name)s: %(message)s")
    hold_signals(STOP_SIGNALS)
    wire = light_line(config)
    light = FaultLight(wire, _factory())
    ended, failed = Latch(), []

    def on_failure(_part: Part, failure: Exception) -> None:
        failed.append(failure)
        ended.set()

    runner = Runner(light, Wake(), BootClock(), on_failure)
    log.info("the daemon can't start: the fault light is on, GPIO %d", wire.pin)
    runner.start()
    wait_for_signal(STOP_SIGNALS, ended)
    runner.stop(JOIN_LIMIT_S)
    light.close()
    if failed:
        raise HardwareFailed(f"the fault light on GPIO {wire.pin}: {failed[0]}") from failed[0]
    return 0


def _factory() -> PinFactory | None:
    if "GPIOZERO_PIN_FACTORY" in os.environ:
        return None
    from device.pi.pins import make_factory

    return make_factory()

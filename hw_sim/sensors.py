"""The twin's sensors: each says what it was last set to. Set from any thread."""

import re
from pathlib import Path

from device.charge import Gauge
from device.hardware import CardState, Memory

MIB = 1 << 20
FULL_MV = 4_200
"""A cell's voltage when it is full; the twin's falls by 10 mV a per cent."""
CARDS = {
    "good": CardState(life=1, spare=1, errors=0, read_only=False),
    "worn": CardState(life=10, spare=2, errors=0, read_only=False),
    "erring": CardState(life=1, spare=1, errors=3, read_only=False),
    "read-only": CardState(life=1, spare=1, errors=3, read_only=True),
}
_NUMBER = re.compile(r"-?[0-9]{1,4}\Z")


class TwinSensors:
    """None: the board has no such sensor, or it has failed. `gauge`: its last millivolt wobbles, as a cell's does."""

    def __init__(self) -> None:
        self.temperature: int | None = 45_000
        self.voltage_is_low: bool | None = False
        self.gauge: Gauge | None = Gauge(percent=90, voltage_mv=4_000)
        self.card_state = CARDS["good"]
        self.left_mib = 200
        self.swap_mib = 0
        self._reads = 0

    def play(self, line: str) -> bool:
        """Carry out one line of a bench's; False for one that is none."""
        match line.split():
            case ["heat", "none"]:
                self.temperature = None
            case ["heat", degrees] if _NUMBER.match(degrees):
                self.temperature = int(degrees) * 1000
            case ["battery", "none"]:
                self.gauge = None
            case ["battery", percent] if percent.endswith("%") and _NUMBER.match(percent[:-1]):
                self.gauge = Gauge(int(percent[:-1]), FULL_MV - 10 * (100 - min(100, max(0, int(percent[:-1])))))
            case ["undervoltage", ("on" | "off") as way]:
                self.voltage_is_low = way == "on"
            case ["memory", mib] if _NUMBER.match(mib):
                self.left_mib = int(mib)
            case ["card", state] if state in CARDS:
                self.card_state = CARDS[state]
            case _:
                return False
        return True

    def temperature_mc(self) -> int | None:
        return self.temperature

    def under_voltage(self) -> bool | None:
        return self.voltage_is_low

    def battery(self) -> Gauge | None:
        gauge = self.gauge
        if gauge is None or gauge.voltage_mv is None:
            return gauge
        self._reads += 1
        return Gauge(gauge.percent, gauge.voltage_mv + self._reads % 2)

    def card(self, path: Path) -> CardState:  # noqa: ARG002 - the twin has one card
        return self.card_state

    def memory(self) -> Memory | None:
        return Memory(left_bytes=self.left_mib * MIB, swap_bytes=self.swap_mib * MIB)

"""The lines that a bench tester types: a mistyped one is said, and nothing is done."""

from pathlib import Path

import pytest

from device.service.status import read_status
from hw_sim.lines import HELP, play
from hw_sim.virtual import VirtualDevice
from tests.benches import make_bench


@pytest.fixture
def device(tmp_path: Path) -> VirtualDevice:
    device = VirtualDevice(make_bench(tmp_path / "bench", audio=False))
    device.boot()
    device.run(3)
    return device


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("zone nowhere", "zone nowhere: this bench has: private, school, initial (initial: where no line is closed)"),
        ("trigger nope", "trigger nope: this bench has: holster, light-bar, door, panic"),
        (
            "hold record 99999999999999999999",
            (
                "hold record 99999999999999999999: must be hold BUTTON MS (hold it: record for 3200 asks for a stop, press record "
                "then confirms it); a number is whole, from 0 to 9999999; help has every line"
            ),
        ),
        ("sleep maybe", "sleep maybe: must be sleep on|off (the sleep switch); help has every line"),
        ("unplug", "this bench has no microphone"),
        (
            "battery full",
            (
                "battery full: must be battery good|low|critical|PERCENT%|none (the power supply's lines, or its fuel gauge "
                "(health.fuel_gauge)); help has every line"
            ),
        ),
        (
            "what",
            (
                "what: no such verb; one of: press, double, hold, zone, sleep, dock, trigger, battery, heat, undervoltage, "
                "memory, card, stick, unstick, chatter, lens, stall, resume, drop, die, fail, hang, unplug, replug, fault, help"
            ),
        ),
        ("help", HELP),
        ("help me", HELP),
        ("", ""),
    ],
)
def test_a_mistyped_line_is_said_and_does_nothing(device: VirtualDevice, line: str, said: str) -> None:
    before = device.daemon.control.state
    assert play(device.hardware, line) == said
    device.run(1)
    after = device.daemon.control.state
    assert (after.zone, after.phase, after.sleep_wanted) == (before.zone, before.phase, before.sleep_wanted)


def test_zones_sleep_and_triggers_are_played(device: VirtualDevice) -> None:
    for line, zone in (("zone school", "school"), ("zone private", "private"), ("zone initial", "street")):
        assert play(device.hardware, line) == ""
        device.run(1)
        assert device.daemon.control.state.zone == zone
    assert play(device.hardware, "sleep on") == ""
    device.run(1)
    assert device.daemon.control.state.phase.value == "asleep"
    assert play(device.hardware, "sleep off") == ""
    device.run(1)
    assert play(device.hardware, "trigger holster") == ""
    assert play(device.hardware, "dock on") == ""
    device.run(1)
    assert device.daemon.control.state.phase.value == "recording", "and the dock stopped nothing"
    assert read_status(device.bench.status_file).docked
    assert play(device.hardware, "dock off") == ""
    device.run(1)
    assert not read_status(device.bench.status_file).docked

"""The fault light: with a good configuration, a broken one and none; and its pattern on a real line of mock pins."""

import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from gpiozero.pins.mock import MockFactory

from device.errors import HardwareFailed
from device.fault_light import FaultLight, OutputWire, light_line
from device.policy.signals import CANNOT_START, INDICATIONS
from tests.benches import make_bench

LIMIT_S = 60


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("[board]\nready_light = 5\n", 5, ""),
        ("[board]\nready_light = 5\nnonsense = 'x'\n[card]\n", 5, ""),
        ("[device]\nid = 'BC-000001'\n", 23, ""),
        ("[board]\nready_light = 28\n", 23, "board.ready_light is 28"),
        ("[board]\nready_light = true\n", 23, "board.ready_light is True"),
        ("[board]\nready_light = 'five'\n", 23, "board.ready_light is 'five'"),
        ("board = 7\n", 23, ""),
        ("not TOML =", 23, "the fault light is on the usual line, GPIO 23"),
        ("\udcff", 23, "the fault light is on the usual line, GPIO 23"),
    ],
)
def test_the_line_is_found_however_broken_the_configuration_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str, line: int, said: str
) -> None:
    config = tmp_path / "bodycam.toml"
    config.write_text(text, "utf-8", errors="surrogateescape")
    with caplog.at_level(logging.WARNING, logger="bodycam"):
        assert light_line(config) == OutputWire(line)
    assert said in caplog.text
    assert bool(said) == bool(caplog.text)


def test_without_a_configuration_it_is_on_the_usual_line(tmp_path: Path) -> None:
    assert light_line(tmp_path / "none.toml") == OutputWire(23)
    assert light_line(make_bench(tmp_path / "bench").config) == OutputWire(23)


def test_the_pattern_on_the_line() -> None:
    """Eight flashes in two seconds, two seconds dark, and again; and dark when it is let go."""
    factory = MockFactory()
    light = FaultLight(OutputWire(23), factory)
    now_us, edges = 1_000_000, []
    for _ in range(17):
        next_us = light.run_once(now_us)
        edges.append((round((now_us - 1_000_000) / 1000), bool(factory.pin(23).state)))
        now_us = next_us
    assert edges[:4] == [(0, True), (125, False), (250, True), (375, False)]
    assert edges[14:17] == [(1750, True), (1875, False), (4000, True)]
    light.close()
    assert not factory.pin(23).state
    factory.close()


@pytest.mark.parametrize(
    "text",
    ["[lines.ready_light]\nactive = 'low'\n", "[board]\nready_light = 99\n[lines.ready_light]\nactive = 'low'\n"],
)
def test_a_light_that_a_low_level_switches_on_is_dark_when_it_is_let_go(tmp_path: Path, text: str) -> None:
    config, factory = tmp_path / "bodycam.toml", MockFactory()
    config.write_text(text, "utf-8")
    light = FaultLight(light_line(config), factory)
    light.run_once(1_000_000)
    assert not factory.pin(23).state
    light.run_once(1_125_000)
    assert factory.pin(23).state
    light.run_once(1_250_000)
    light.close()
    assert light_line(config) == OutputWire(23, active_low=True)
    factory.close()


def test_broken_tables_beside_the_line_do_not_matter(tmp_path: Path) -> None:
    config = tmp_path / "bodycam.toml"
    config.write_text("lines = 7\n[board]\nready_light = 5\n", "utf-8")
    assert light_line(config) == OutputWire(5)


def test_a_line_that_is_taken_is_one_clear_error() -> None:
    factory = MockFactory()
    first = FaultLight(OutputWire(23), factory)
    with pytest.raises(HardwareFailed, match="the fault light on GPIO 23: "):
        FaultLight(OutputWire(23), factory)
    first.close()
    factory.close()


def test_no_other_light_looks_like_it() -> None:
    others = [row.ready for row in INDICATIONS] + [row.recording for row in INDICATIONS]
    assert CANNOT_START.looks not in {pattern.looks for pattern in others if pattern is not None}
    assert CANNOT_START.times_ms not in {pattern.times_ms for pattern in others if pattern is not None}


def test_as_a_process_it_ends_well_when_it_is_asked_to(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "device.cli", "fault-light", "--config", str(tmp_path / "none.toml")],
        stderr=subprocess.PIPE, text=True, env={**os.environ, "GPIOZERO_PIN_FACTORY": "mock"},
    )  # fmt: skip
    assert process.stderr is not None
    with process.stderr as said:
        assert "none.toml: [Errno 2] No such file or directory" in said.readline()
        assert said.readline() == "bodycam: the daemon can't start: the fault light is on, GPIO 23\n"
        process.send_signal(signal.SIGTERM)
        assert said.read() == ""
    assert process.wait(LIMIT_S) == 0


def test_it_needs_little() -> None:
    """A broken part of the daemon must not take the light with it."""
    loaded = (
        "import sys; import device.fault_light; "
        "print(*sorted({'av', 'cryptography', 'pyrage', 'rich', 'numpy', 'device.daemon', 'device.config', 'device.evidence'} "
        "& set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", loaded], check=True, capture_output=True, text=True)
    assert done.stdout == "\n"

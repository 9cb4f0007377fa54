"""Each measurement of `make bench` runs, on next to nothing, and names its figures. No time is looked at."""

import json
import math
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from hw_sim.benchmarks import after_encoder, instructions, losses, page, recording, rivals
from hw_sim.benchmarks.__main__ import MEASUREMENTS
from hw_sim.benchmarks.plot import Bar, Panel, drawn

LONG = {"instructions", "verification", "auditing", "overlay", "overhead", "start", "memory-120"}
"""Seconds each, whatever the scale: what they measure has tests of its own."""


@pytest.mark.parametrize("name", sorted(set(MEASUREMENTS) - LONG))
def test_each_measurement_gives_the_figures_that_it_names(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "hw_sim.benchmarks", name, "tiny"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert set(json.loads(done.stdout)) == set(MEASUREMENTS[name][1])


def test_instructions_are_read_from_what_callgrind_wrote() -> None:
    told = instructions.figures("version: 1\nevents: Ir\nsummary: 4200000\n", "events: Ir\ntotals: 2100000\n", 6)
    assert told["instructions per frame after the encoder, 8 Mbit/s"] == 700_000
    assert told["ours / bare, in instructions"] == 2.0
    assert told["an estimate for a Zero 2 W: per frame (ms)"] == pytest.approx(1.0)
    assert told["an estimate for a Zero 2 W: of one core at 30 Hz (%)"] == pytest.approx(3.0)


def test_a_bar_that_was_not_measured_says_so_and_the_picture_is_svg() -> None:
    panel = Panel("a < b", [Bar("ours & more", 2.0, ours=True), Bar("theirs", math.nan)], aim=1.0)
    picture = ET.fromstring(drawn([panel], "here"))  # noqa: S314 - our own
    texts = [each.text for each in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert texts == ["here", "a < b", "ours & more", "2", "theirs", "not measured: not installed", "aim ≤ 1"]
    widths = [each.get("width") for each in picture.iter("{http://www.w3.org/2000/svg}rect")]
    assert widths == ["860", "400.0", "1.0"]


def test_table_and_plot_are_put_into_the_page_between_its_marks(tmp_path: Path) -> None:
    path = tmp_path / "benchmarks.md"
    path.write_text(f"before\n{page.BEGIN}old\n{page.END}after\n", "utf-8")
    names = [*recording.AIMS, *rivals.AIMS, *losses.AIMS, *after_encoder.AIMS]
    rows = [page.Row("this", 12345.6, (1.25, 20000), "≤ 2"), page.Row("that", math.nan, None, "")]
    page.write(tmp_path, "a machine", rows, dict.fromkeys(names, 1.0))
    text = path.read_text("utf-8")
    assert "old" not in text
    assert text.startswith(f"before\n{page.BEGIN}The run below: a machine.")
    assert text.endswith(f"{page.END}after\n")
    assert "| this | 12,346 (1.25 to 20,000) | ≤ 2 |\n| that | not measured | – |\n" in text
    assert (tmp_path / "benchmarks.svg").read_text("utf-8").startswith("<svg ")

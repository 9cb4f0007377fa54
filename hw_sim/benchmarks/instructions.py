"""Instructions per frame of everything after the encoder, counted by callgrind: the same on every run, whatever else the machine
does. Valgrind's processor has no SHA extensions, nor has a Zero 2 W's, so the digests count as they would there.

Callgrind begins and ends counting where a function of C is entered and left: each call that counts is called back by the C
library's `bsearch`, through the one function of ctypes that does this (`CALLED_BACK`). A Python whose symbols are stripped has
no such name: then nothing is counted, and that is said. The programs that are counted are this module's `counted` and
`counted_bare`.
"""

import ctypes
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hw_sim.benchmarks.after_encoder import SEGMENTS, bare_seconds
from hw_sim.benchmarks.rig import SCALES, Figures, Scale, bench_device

CALLED_BACK = "closure_fcn"
CLOCK_HZ = 1_000_000_000
PER_CYCLE = 0.7
"""An estimate, not a measurement: instructions a cycle of a Cortex-A53 on code like Python's."""
AIMS = {
    "instructions per frame after the encoder, 8 Mbit/s": "",
    "ours / bare, in instructions": "≤ 2.5",
    "an estimate for a Zero 2 W: per frame (ms)": "",
    "an estimate for a Zero 2 W: of one core at 30 Hz (%)": "",
}


def instructions(scale: Scale) -> Figures:
    """`nan` where valgrind is not installed."""
    valgrind = shutil.which("valgrind")
    if valgrind is None:
        return dict.fromkeys(AIMS, float("nan"))
    name = next(name for name, each in SCALES.items() if each == scale)
    ours, said = _collected(valgrind, "counted", name)
    frames, *sizes = said.split()
    bare, _ = _collected(valgrind, "counted-bare", *sizes)
    return figures(ours, bare, int(frames))


def _collected(valgrind: str, *program: str) -> tuple[str, str]:
    """What callgrind wrote of one of the programs below, and what that printed."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "counted"
        counting = ["--tool=callgrind", f"--toggle-collect={CALLED_BACK}", f"--callgrind-out-file={out}"]
        done = subprocess.run(
            [valgrind, *counting, sys.executable, "-m", "hw_sim.benchmarks", *program],
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONHASHSEED": "0"},
        )
        return out.read_text("utf-8", "replace"), done.stdout


def figures(ours: str, bare: str, frames: int) -> Figures:
    """From what callgrind wrote of each."""
    each = (total(ours) or math.nan) / frames
    milliseconds = each / PER_CYCLE / CLOCK_HZ * 1000
    ratio = each * frames / (total(bare) or math.nan)
    return dict(zip(AIMS, (each, ratio, milliseconds, milliseconds * 30 / 10), strict=True))


def total(counts: str) -> int:
    found = re.search(r"^(?:summary|totals): (\d+)", counts, re.MULTILINE)
    assert found is not None, "callgrind says how many there were"
    return int(found[1])


def counted(scale: Scale) -> None:
    """A program: a recording in steady state; prints how many frames it had, and the sizes of its segments on the card."""
    seconds = max(2, scale.live_s // 4)
    with tempfile.TemporaryDirectory() as folder:
        device, _ = bench_device(Path(folder), scale.camera, audio=False)
        recorder, ring = device.daemon.recorder, device.daemon.ring
        device.run(1)
        device.double()
        device.run(2)
        recorder.run_once = _through_the_gate(recorder.run_once)  # type: ignore[method-assign]
        ring.append_video = _through_the_gate(ring.append_video)  # type: ignore[method-assign]
        before, written = ring.next_video_number, set(device.bench.card.glob(SEGMENTS))
        device.run(seconds)
        files = set(device.bench.card.glob(SEGMENTS)) - written
        print(ring.next_video_number - before, *(file.stat().st_size for file in files))


def counted_bare(sizes: list[str]) -> None:
    """A program: the digests and the cipher alone, over as many bytes."""
    _through_the_gate(bare_seconds)([os.urandom(int(size)) for size in sizes])


def _through_the_gate(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, called back by the C library."""
    kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
    gate = ctypes.CDLL(None).bsearch
    byte = ctypes.create_string_buffer(1)
    given: list[tuple[Any, ...]] = [()]
    answers: list[Any] = [None]

    def call(_: object, __: object) -> int:
        answers[0] = function(*given[0])
        return 0

    called_back = kind(call)

    def passed(*arguments: Any) -> Any:
        given[0] = arguments
        gate(byte, byte, ctypes.c_size_t(1), ctypes.c_size_t(1), called_back)
        return answers[0]

    return passed

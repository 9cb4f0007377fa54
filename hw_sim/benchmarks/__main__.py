"""The command: `python -m hw_sim.benchmarks` measures everything; with the name of a measurement, that one, as JSON.

`--write FOLDER` also writes the table into `benchmarks.md` there, between its marks, and the plot beside it.
"""

import argparse
import json
import math
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from hw_sim.benchmarks import (
    after_encoder,
    deciding,
    instructions,
    losses,
    memory,
    overhead,
    overlay,
    page,
    recording,
    rivals,
    starting,
    verifying,
)
from hw_sim.benchmarks.rig import ALLOCATOR, SCALES, Figures, Scale, make_bench, write_clip

REPEATS = 5
FEWER = 3
MEASUREMENTS: dict[str, tuple[Callable[[Scale], Figures], dict[str, str]]] = {
    "recording": (recording.pipeline, recording.AIMS),
    "circular": (rivals.circular, rivals.AIMS),
    "losses": (losses.losses, losses.AIMS),
    "after-encoder": (after_encoder.after_encoder, after_encoder.AIMS),
    "instructions": (instructions.instructions, instructions.AIMS),
    "overhead": (overhead.overhead, overhead.AIMS),
    "memory-30": (memory.memory_30, memory.aims(30)),
    "memory-120": (memory.memory_120, memory.aims(120)),
    "start": (starting.start, starting.AIMS),
    "overlay": (overlay.overlay, overlay.AIMS),
    "verification": (verifying.verification, verifying.AIMS),
    "policy": (deciding.policy, deciding.POLICY_AIMS),
    "auditing": (deciding.auditing, deciding.AUDIT_AIMS),
}
ONCE = {"losses", "after-encoder", "instructions", "overhead", "memory-30", "memory-120"}
"""What takes its rounds itself, or counts instead of timing."""
LONG = {"overlay", "verification", "policy", "auditing"}
"""What takes half a minute each time, or many rounds itself."""


def main() -> int:
    if sys.argv[1:2] == ["clip"]:
        write_clip(Path(sys.argv[2]), json.loads(sys.argv[3]))
        return 0
    if sys.argv[1:2] == ["bench"]:
        make_bench(Path(sys.argv[2]), **json.loads(sys.argv[3]))
        return 0
    if sys.argv[1:2] == ["record"]:
        rivals.record(sys.argv[2], float(sys.argv[3]), sys.stdin.buffer)
        return 0
    if sys.argv[1:2] == ["counted"]:
        instructions.counted(SCALES[sys.argv[2]])
        return 0
    if sys.argv[1:2] == ["counted-bare"]:
        instructions.counted_bare(sys.argv[2:])
        return 0
    parser = argparse.ArgumentParser(prog="python -m hw_sim.benchmarks", description=__doc__)
    parser.add_argument("name", nargs="?", choices=MEASUREMENTS)
    parser.add_argument("scale", nargs="?", choices=SCALES, default="full")
    parser.add_argument("--write", type=Path, metavar="FOLDER")
    asked = parser.parse_args()
    if asked.name is not None:
        print(json.dumps(MEASUREMENTS[asked.name][0](SCALES[asked.scale])))
        return 0
    return _all(asked.write)


def _all(write: Path | None) -> int:
    """Every measurement, and the table as it comes."""
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {platform.system()}"
    load = f"load {os.getloadavg()[0]:.1f} at the start"
    print(f"{machine}, {load}", flush=True)
    medians: Figures = {}
    rows: list[page.Row] = []
    for name, (_, aims) in MEASUREMENTS.items():
        runs = [_in_own_process(name) for _ in range(1 if name in ONCE else FEWER if name in LONG else REPEATS)]
        for what, aim in aims.items():
            values = [run[what] for run in runs]
            medians[what] = statistics.median(values)
            rows.append(page.Row(what, medians[what], (min(values), max(values)) if len(values) > 1 else None, aim))
            print(page.spelt(rows[-1]), flush=True)
    if write is not None:
        said = f"{machine}; {load}, {os.getloadavg()[0]:.1f} at the end; {datetime.now(UTC):%Y-%m-%d}"
        page.write(write, said, rows, medians)
    return 0


def _in_own_process(name: str) -> Figures:
    """A measurement that fails has no figures, says why, and the others go on."""
    done = subprocess.run(
        [sys.executable, "-m", "hw_sim.benchmarks", name],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, **ALLOCATOR},
    )
    if done.returncode != 0:
        print(f"{name} failed: {done.stderr.strip()[-400:]}", file=sys.stderr, flush=True)
        return dict.fromkeys(MEASUREMENTS[name][1], math.nan)
    figures: Figures = json.loads(done.stdout)
    return figures


if __name__ == "__main__":
    sys.exit(main())

"""How fast `bodycam verify` is beside `sha256sum` on the same bytes, on one core and on two. Part of `make bench`.

Every segment is one file on the disk under many names, so that gigabytes fit into a megabyte and the disk is not what is
measured; the ledgers' signatures are checked as always, one a second of recording.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from hw_sim.benchmarks.rig import Figures, Scale

RECORDINGS = 4
SECONDS = 600
SEGMENT_BYTES = 1_000_000
"""A second at 8 Mbit/s."""
BODYCAM = shutil.which("bodycam", path=str(Path(sys.executable).parent)) or "bodycam"
AIMS = {
    "verify, one core (MB/s)": "",
    "sha256sum, one core (MB/s)": "",
    "verify / sha256sum, one core": "≥ 0.8",
    "verify, two cores (MB/s)": "",
    "verify, two cores / sha256sum, one core": "≥ 1.7",
    "verify, two cores / one core": "",
}


def verification(scale: Scale) -> Figures:
    """Whole processes, held to as many cores by the system, start and imports included."""
    from hw_sim.large_card import write_large_card

    recordings, seconds = (RECORDINGS, SECONDS) if scale.rounds > 1 else (1, 1)
    cores = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder:
        bench = write_large_card(Path(folder) / "bench", recordings, seconds, SEGMENT_BYTES)
        files = sorted((bench.card / "evidence").glob("*/*.age"))
        size_mb = sum(file.stat().st_size for file in files) / 1e6
        command = [BODYCAM, "verify", str(bench.card), "--trust", str(bench.trust), "--json"]
        one = size_mb / _timed(command, cores[:1])
        two = size_mb / _timed(command, cores[:2])
        theirs = size_mb / _timed(["sha256sum", *map(str, files)], cores[:1])
    return dict(zip(AIMS, (one, theirs, one / theirs, two, two / theirs, two / one), strict=True))


def _timed(command: list[str], cores: list[int]) -> float:
    """Seconds of a process that may use these cores only."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        begun = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return time.perf_counter() - begun
    finally:
        os.sched_setaffinity(0, before)

"""How long the daemon's start takes, as `--trace-start` tells it: until pictures are in memory, and until it is ready."""

import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from hw_sim.benchmarks.rig import Figures, Scale, make_bench

AIMS = {"exec to the first frame in the ring, twin (ms)": "", "exec to READY, twin (ms)": ""}
SMALL = {"width": 640, "height": 360, "rate_hz": 30, "bitrate_bps": 1_000_000}


def start(scale: Scale) -> Figures:  # noqa: ARG001 - a start is as long as it is
    """From exec to the first frame and to READY=1, of the daemon on the twin with a plain scene."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        bench = make_bench(root / "bench", SMALL, audio=False)
        address = str(root / "notify")
        daemon = ["-m", "hw_sim.cli", "daemon", "--config", str(bench.config), "--scene", "flat", "--trace-start"]
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
            listener.bind(address)
            listener.settimeout(60)
            begun = time.perf_counter()
            process = subprocess.Popen(
                [sys.executable, *daemon],
                stdin=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env={**os.environ, "NOTIFY_SOCKET": address},
            )
            try:
                while b"READY=1" not in listener.recv(4096):
                    pass
                ready_ms = (time.perf_counter() - begun) * 1000
            finally:
                process.terminate()
                _, said = process.communicate(timeout=60)
        first = re.search(r"first frame in the ring +(\d+)", said)
        assert first is not None, said
        return dict(zip(AIMS, (float(first[1]), ready_ms), strict=True))

"""Run in a clean system: the installed package's daemon, on simulated hardware. Its buttons are lines of a pipe.

The package brings no twin: this puts hw_sim, from the folder beside this file, behind the package's own code.
"""

import os
import sys
from pathlib import Path

HOME = Path("/usr/lib/bodycam")
BUTTONS = "/run/buttons"

if __name__ == "__main__":
    os.dup2(os.open(BUTTONS, os.O_RDWR), sys.stdin.fileno())
    version = f"cp{sys.version_info.major}{sys.version_info.minor}"
    sys.path[:0] = [str(HOME / "python"), str(HOME / version), str(Path(__file__).resolve().parent)]
    from hw_sim.cli import main

    sys.exit(main(["daemon", "--config", "/etc/bodycam/bodycam.toml", "--scene", "flat"]))

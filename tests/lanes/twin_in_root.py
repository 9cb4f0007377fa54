"""Run in a clean system: the installed package's daemon, on simulated hardware but the system's own
file system. Its buttons are lines of a pipe.

The package brings no twin: this puts hw_sim, from the folder beside this file, behind the package's own code.
"""

import os
import sys
import threading
from pathlib import Path

HOME = Path("/usr/lib/bodycam")
BUTTONS = "/run/buttons"

CONFIG = Path("/etc/bodycam/bodycam.toml")


def main() -> int:
    os.dup2(os.open(BUTTONS, os.O_RDWR), sys.stdin.fileno())
    version = f"cp{sys.version_info.major}{sys.version_info.minor}"
    sys.path[:0] = [str(HOME / "python"), str(HOME / version), str(Path(__file__).resolve().parent)]
    from device.clock import STOP_SIGNALS, BootClock, hold_signals
    from device.config import read_configuration
    from device.evidence.disk import CardDisk
    from device.start import run_daemon
    from hw_sim.hardware import TwinHardware
    from hw_sim.lines import play

    hold_signals(STOP_SIGNALS)
    hardware = TwinHardware(BootClock(), wiring=read_configuration(CONFIG).tables.wiring, make_disk=CardDisk)

    def press() -> None:
        for line in sys.stdin:
            play(hardware, line)

    threading.Thread(target=press, daemon=True).start()
    return run_daemon(CONFIG, hardware)


if __name__ == "__main__":
    sys.exit(main())

"""Commands that drive the hardware of the device that they run on. A reader's laptop never imports this."""

from pathlib import Path

from device.daemon import run_daemon
from device.pi.hardware import PiHardware


def daemon(config: Path) -> int:
    """`bodycam daemon`: until a signal; its exit status."""
    return run_daemon(config, PiHardware())

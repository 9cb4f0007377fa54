"""Commands that drive the hardware of the device that they run on. A reader's laptop never imports this."""

import argparse
import os
from pathlib import Path

from device.pi.hardware import PiHardware
from device.start import run_daemon
from device.start_trace import traced


def daemon(config: Path, *, trace_start: bool) -> int:
    """`bodycam daemon`: until a signal; its exit status."""
    hardware = PiHardware()
    return run_daemon(config, hardware, traced(hardware.clock) if trace_start else None)


def selftest(options: argparse.Namespace) -> int:
    """`bodycam selftest`: 0 when nothing failed, else 1. `UsageError` for root on another user's card."""
    from device.card_lock import refuse_root
    from device.config import read_configuration
    from device.selftest_commands import run_self_test
    from device.selftest_machine import read_machine

    refuse_root(read_configuration(options.config), os.geteuid())
    return run_self_test(options, PiHardware(), lambda card: read_machine(Path("/"), card), lambda _: None)

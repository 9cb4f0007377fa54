"""The start of the daemon's process, in the order that gets pictures into memory first.

Configuration, the card's lock, then the camera on a thread of its own; while that comes up, this thread imports all the
rest, reads policy and keys, and begins the journal. Lean: what is imported here is imported before the camera.
"""

import logging
import sys
from contextlib import ExitStack
from pathlib import Path

from device.card_lock import only_writer
from device.clock import STOP_SIGNALS, Crew, hold_signals
from device.config import Configuration, read_configuration
from device.errors import BodycamError, CardFull, ConfigurationError
from device.hardware import Hardware
from device.service.memory import keep_in_memory
from device.sight import Sight
from device.start_trace import Trace

JOIN_LIMIT_S = 5.0


def run_daemon(config_path: Path, hardware: Hardware, trace: Trace | None = None) -> int:
    """`bodycam daemon`: 0 after a clean stop, 78 for what an operator must change, 1 for a part that failed."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(name)s: %(message)s")
    hold_signals(STOP_SIGNALS)
    keep_in_memory()
    try:
        configuration = read_configuration(config_path)
        with only_writer(configuration):
            return _run(configuration, hardware, trace)
    except (ConfigurationError, CardFull) as failure:
        print(f"bodycam: {failure}", file=sys.stderr)
        return ConfigurationError.daemon_exit_status
    except BodycamError as failure:
        print(f"bodycam: {failure}", file=sys.stderr)
        return failure.exit_status


def _run(configuration: Configuration, hardware: Hardware, trace: Trace | None) -> int:
    mark = (lambda _: None) if trace is None else trace.mark
    mark("configuration")
    sight = Sight(configuration, hardware, None if trace is None else trace.first_frame)
    crew = Crew(hardware.clock)
    with ExitStack() as started:
        started.callback(sight.close)
        started.callback(crew.stop, JOIN_LIMIT_S)
        crew.start(sight.parts)
        mark("camera asked to start")
        from device.daemon import Daemon

        mark("imports of the rest")
        daemon = Daemon(configuration, hardware, sight, crew, mark)
        started.pop_all()
        return daemon.run()

"""What is done to the daemon's process by its machine: killed, crashed, stopped for a while. Real time only.

A stopped process can't continue itself: a small process beside it does, `python -m hw_sim.process_faults`. It ends with
its time, or when the daemon's has gone.
"""

import os
import signal
import subprocess
import sys

from device.clock import BootClock, pause

LOOK_MS = 500
"""How often it looks whether there is still a daemon beside it."""


class ProcessFaults:
    """Of the process that this is in. Any thread."""

    def __init__(self) -> None:
        self._beside: subprocess.Popen[bytes] | None = None

    def ends(self, how: signal.Signals) -> None:
        """At once; nobody closes anything."""
        os.kill(os.getpid(), how)

    def stands(self, stopped_ms: int, runs_ms: int, times: int) -> None:
        """Stopped for so long, then running for so long, so many times."""
        words = [str(number) for number in (os.getpid(), stopped_ms, runs_ms, times)]
        self._beside = subprocess.Popen([sys.executable, "-m", "hw_sim.process_faults", *words])

    def clear(self) -> None:
        """What runs, runs on."""
        beside, self._beside = self._beside, None
        if beside is not None:
            beside.kill()
            beside.communicate(timeout=5)
            os.kill(os.getpid(), signal.SIGCONT)


def main(words: list[str]) -> int:
    """Stop and continue its own parent, and no other process."""
    parent, stopped_ms, runs_ms, times = (int(word) for word in words)
    clock = BootClock()
    for _ in range(times):
        for what, length_ms in ((signal.SIGSTOP, stopped_ms), (signal.SIGCONT, runs_ms)):
            if os.getppid() != parent:
                return 0
            os.kill(parent, what)
            left_ms = length_ms
            while left_ms > 0:
                pause(clock, min(left_ms, LOOK_MS) * 1000)
                left_ms -= LOOK_MS
                if left_ms > 0 and os.getppid() != parent:
                    return 0
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

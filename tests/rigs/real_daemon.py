"""The daemon as a process of its own, in real time, with all its threads and the device's own card: what a rig starts, plays on and ends."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from device.errors import UsageError
from device.evidence import layout
from device.service.status import Status, read_status
from hw_sim.agency import Bench

READY_S = 60
POLL_S = 0.02


class DaemonEnded(Exception):
    """It ended by itself."""


class RealDaemon:
    """`bodycam-sim daemon` on a bench. `before`: the words of a tracer, which is the process's own child; `module`: in the place of
    `hw_sim.cli`."""

    def __init__(self, bench: Bench, *before: str, module: str = "hw_sim.cli") -> None:
        self._bench = bench
        words = ["-m", module, "daemon", "--config", str(bench.config), "--scene", "flat", "--real-disk"]
        self._log = (bench.root / "daemon.log").open("ab")
        self.process = subprocess.Popen(
            [*before, sys.executable, *words], stdin=subprocess.PIPE, stdout=self._log, stderr=self._log, text=True
        )

    def line(self, text: str) -> None:
        """Something is done to the bench (`hw_sim.lines`)."""
        assert self.process.stdin is not None
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()

    def until(self, what: str, done: Callable[[], bool]) -> None:
        until = time.monotonic() + READY_S
        while not done():
            if self.process.poll() is not None:
                raise DaemonEnded(f"the daemon ended with {self.process.returncode} before: {what}")
            assert time.monotonic() < until, f"not within {READY_S} s: {what}"
            time.sleep(POLL_S)

    def until_ready(self, held_us: int = 500_000) -> None:
        """Until it is idle and holds so much from before a press."""
        self.until(
            "it is ready",
            lambda: (s := self.status()) is not None and s.ready and s.state == "idle" and s.held_us >= held_us,
        )

    def status(self) -> Status | None:
        """What it says of itself, or nothing when it says nothing yet."""
        try:
            return read_status(self._bench.status_file)
        except UsageError:
            return None

    def held_us(self) -> int:
        """How much the ring holds, as it says."""
        status = self.status()
        return 0 if status is None else status.held_us

    def last_ledger_lines(self) -> int:
        """How many lines the ledger of the last recording has; 0 where there is none."""
        ledgers = sorted(self._bench.card.glob(f"{layout.EVIDENCE}/*/{layout.LEDGER}"))
        return ledgers[-1].read_bytes().count(b"\n") if ledgers else 0

    def end(self) -> int:
        """As the service manager asks; the exit status."""
        self.process.terminate()
        return self.process.wait(READY_S)

    def close(self) -> None:
        """Whatever became of it, it is gone, and nothing of it is open."""
        self.process.kill()
        self.process.communicate()
        self._log.close()


@contextmanager
def running(bench: Bench, *before: str, module: str = "hw_sim.cli") -> Iterator[RealDaemon]:
    bench.status_file.unlink(missing_ok=True)
    daemon = RealDaemon(bench, *before, module=module)
    try:
        yield daemon
    finally:
        daemon.close()

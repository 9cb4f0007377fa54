"""What the faults of the daemon's own process do, in real time: a daemon as a process of its own, on the bench's twin.

Here is no systemd: what it would do, starting a daemon anew and ending one that feeds no watchdog, the story does in its place.
With systemd itself it is shown by the lanes that the rows name. Nothing is held to a time: the story waits for a state, a
record or a message, for a minute and more.
"""

import signal
from collections.abc import Callable
from pathlib import Path

import msgspec

from device.clock import BootClock, pause
from device.evidence import layout
from device.evidence.records import Gap
from hw_sim.agency import Bench
from hw_sim.bench_socket import say
from tests.benches import ledger, recordings, segments_of, verified
from tests.test_daemon_process import Running

PATIENCE_S = 90
STANDS_US = 3_000_000
LOOK_US = 10_000
LONG_S = 60
"""What a fault's own time is made to be, so that the story ends it and not the clock."""
AGAIN = 3


class NotSeen(Exception):
    """What was waited for did not come."""


class ProcessSeen(msgspec.Struct, frozen=True):
    """`ends`: of each start of the daemon; `recordings`: how each was found to end; `missing`: what the camera could not deliver
    is a signed gap, looked for only where the row has it (a machine under load may lose pictures anyhow); `exit`: `verify`'s, with every picture decoded."""

    ends: tuple[str, ...]
    recordings: tuple[str, ...]
    missing: bool
    exit: int


class ProcessRow(msgspec.Struct, frozen=True):
    """`does`: what the device does, for people; `lane`: the test in tests/lanes/test_service.py that shows it with systemd."""

    fault: str
    does: str
    seen: ProcessSeen
    lane: str = ""

    @property
    def word(self) -> str:
        return self.fault.split()[1]


class ProcessStory:
    """A recording, the fault in it, and what comes of it. `patience_s`: how long what the fault does is waited for."""

    def __init__(self, row: ProcessRow, bench: Bench, root: Path) -> None:
        self.row = row
        self.bench = bench
        self.root = root
        self.ends: list[str] = []

    def play(self) -> ProcessSeen:
        running = self.started()
        try:
            kept = self.recorded(running)
            comes_of(self.row, running, PATIENCE_S)
            if self.row.word in _GOES_ON:
                self._goes_on(running)
            if self.row.word in _ENDED_BY_SYSTEMD:
                _as_the_watchdog(self.row, running)
            ended = running.process.poll() is not None
            self.ends.append(signal.Signals(-running.process.returncode).name if ended else str(running.terminate()))
        finally:
            running.close()
        if ended:
            self._starts_anew()
        assert self._ledger(0).read_bytes().startswith(kept), "nothing that was durable is lost"
        return self._seen()

    def started(self) -> Running:
        folder = self.root / f"start-{len(self.ends)}"
        folder.mkdir()
        running = Running(self.bench, folder)
        running.hear(lambda m: "READY=1" in m)
        return running

    def recorded(self, running: Running) -> bytes:
        """A recording has begun, and has seconds on the card: all of its ledger's whole lines."""
        number = len(recordings(self.bench))
        assert say(self.bench.root, "double record") == ""
        running.hear(lambda m: m.startswith("STATUS=recording"))
        until("a second is durable", lambda: len(recordings(self.bench)) > number and self._seconds(number) > 1)
        lines = self._ledger(number).read_bytes()
        return lines[: lines.rindex(b"\n") + 1]

    def _goes_on(self, running: Running) -> None:
        """It runs again, and records on."""
        assert say(self.bench.root, "fault process clear") == ""
        before = self._seconds(0)
        running.hear(lambda m: m == "WATCHDOG=1")
        until("it records on", lambda: self._seconds(0) > before + 1)

    def _starts_anew(self) -> None:
        """As systemd starts it, on the same card."""
        again = self.started()
        try:
            self.recorded(again)
            self.ends.append(str(again.terminate()))
        finally:
            again.close()

    def _ledger(self, number: int) -> Path:
        return recordings(self.bench)[number] / layout.LEDGER

    def _seconds(self, number: int) -> int:
        return len(segments_of(self.bench, recordings(self.bench)[number]))

    def _seen(self) -> ProcessSeen:
        verdict = verified(self.bench, read=True)
        lines = [line.record for folder in recordings(self.bench) for line in ledger(self.bench, folder).lines]
        return ProcessSeen(
            ends=tuple(self.ends),
            recordings=tuple(one.verdict for one in verdict.recordings),
            missing=self.row.seen.missing
            and any(isinstance(record, Gap) and record.cause == "camera" for record in lines),
            exit=verdict.exit_status,
        )


def comes_of(row: ProcessRow, running: Running, patience_s: float) -> None:
    """Put the fault in and wait for what it alone does to a process; `NotSeen` where it does not."""
    assert say(running.bench.root, f"fault {row.fault}") == ""
    _COMES[row.word](running, patience_s)


def until(what: str, done: Callable[[], bool], patience_s: float = PATIENCE_S) -> None:
    clock = BootClock()
    end_us = clock.now_us() + round(patience_s * 1e6)
    while not done():
        if clock.now_us() > end_us:
            raise NotSeen(what)
        pause(clock, LOOK_US)


def _ends(running: Running, patience_s: float) -> None:
    until("the daemon has ended", lambda: running.process.poll() is not None, patience_s)


def _stands(running: Running, patience_s: float) -> None:
    """It stands still, says nothing meanwhile, and goes on when it may."""
    until("the daemon stands still", lambda: _stopped(running), patience_s)
    running.drain()
    pause(BootClock(), STANDS_US)
    assert _stopped(running), "it stands for a minute"
    assert running.drain() == [], "nobody feeds the watchdog"
    running.process.send_signal(signal.SIGCONT)


def _stands_again_and_again(running: Running, patience_s: float) -> None:
    for _ in range(AGAIN):
        until("the daemon stands still", lambda: _stopped(running), patience_s)
        until("the daemon runs", lambda: not _stopped(running), patience_s)


def _as_the_watchdog(row: ProcessRow, running: Running) -> None:
    """Stands still again; systemd sends SIGABRT to one that feeds no watchdog, and lets it go on to take it."""
    assert say(running.bench.root, f"fault {row.fault}") == ""
    until("the daemon stands still", lambda: _stopped(running))
    running.process.send_signal(signal.SIGABRT)
    running.process.send_signal(signal.SIGCONT)
    _ends(running, PATIENCE_S)


def _stopped(running: Running) -> bool:
    """What stands behind the name, which may hold anything but the last parenthesis."""
    return Path(f"/proc/{running.process.pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0] == "T"


_COMES: dict[str, Callable[[Running, float], None]] = {
    "off": _ends,
    "wrong": _ends,
    "stuck": _stands,
    "slow": _stands_again_and_again,
    "intermittent": _stands_again_and_again,
}
_GOES_ON = ("stuck", "slow", "intermittent")
_ENDED_BY_SYSTEMD = ("stuck",)

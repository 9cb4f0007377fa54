"""Time, and the only place where anything waits.

The boot clock (µs since boot, suspended time included) orders everything within a boot. Wall time is a label with a
known quality (E8). A part is `run_once(now_us) -> next_wake_us`; a `Runner` loops one on a thread in real time, and
the twin's scheduler calls the same parts in virtual time. Nothing outside this module sleeps or waits.
"""

import ctypes
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol, TypeVar

import msgspec

NEVER_US = 1 << 62
"""A wake time that never comes: the part runs again only when it is woken."""

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
FIRST_POSSIBLE_S = 1_767_225_600
"""2026-01-01: a clock chip that says less was never set, or has lost its battery."""
CHIP_AGREES_S = 30
"""As far as chip and system may drift apart between two times that somebody sets them."""
MOST_AGE_US = 10_000_000
"""No stamp of the kernel's is older when it is read."""

_STA_UNSYNC = 0x40
_TIME_ERROR = 5


class Wall(msgspec.Struct, frozen=True):
    """Wall time as a label: UTC in µs since 1970, and how far it is to be believed. `source`, while synchronised: `chrony`,
    `timesyncd`, or `kernel` for anything else that disciplines it; otherwise `rtc` where a clock chip bears it out, or
    `none`. `error_us`: 0 where it is not known."""

    utc_us: int
    synchronised: bool
    source: str
    error_us: int


class Clock(Protocol):
    """What the parts ask of time. Any thread may call it."""

    @property
    def boot_id(self) -> str: ...

    def now_us(self) -> int: ...

    def at_monotonic_us(self, monotonic_s: float) -> int:
        """The boot time of an instant that the kernel stamped with CLOCK_MONOTONIC, in seconds."""

    def wall(self) -> Wall:
        """Cheap: it is asked for with every record."""

    def look_at_source(self) -> None:
        """Look anew at what wall time comes from. Now and then, by a thread that may take a few ms."""


class Part(Protocol):
    """A piece of work with its own pace. `run_once` is always called by one thread at a time."""

    @property
    def name(self) -> str: ...

    def run_once(self, now_us: int) -> int: ...


class _Timex(ctypes.Structure):
    """`struct timex` of adjtimex(2); only the leading fields are read, the rest is room for the kernel to fill."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("room", ctypes.c_long * 40),
    )


class Sources:
    """What wall time comes from, by the files that each leaves under `root`: no network, no process, no other's protocol.

    A clock chip counts while its time is possible at all and wall time agrees with it: whoever set the one by the other.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root
        self.synchronised = "kernel"
        self.otherwise = "none"

    def look(self, utc_us: int) -> None:
        run = self._root / "run"
        if os.access(run / "systemd" / "timesync" / "synchronized", os.F_OK):
            self.synchronised = "timesyncd"
        else:
            self.synchronised = "chrony" if os.access(run / "chrony", os.F_OK) else "kernel"
        chips = sorted((self._root / "sys" / "class" / "rtc").glob("rtc?"))
        self.otherwise = "rtc" if any(_bears_out(chip, utc_us) for chip in chips) else "none"


def _bears_out(chip: Path, utc_us: int) -> bool:
    try:
        with (chip / "since_epoch").open("rb") as file:
            said = file.read(32).strip()
    except OSError:
        return False
    if not said.isdigit():
        return False
    seconds = int(said)
    return seconds >= FIRST_POSSIBLE_S and abs(seconds - utc_us // 1_000_000) <= CHIP_AGREES_S


class BootClock:
    """The device's clock: CLOCK_BOOTTIME, and the kernel's own word on whether wall time is synchronised."""

    def __init__(self) -> None:
        self.boot_id = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._ahead_ns = 0
        self._sources = Sources()
        self.look_at_source()

    def look_at_source(self) -> None:
        self._sources.look(time.time_ns() // 1000)

    def now_us(self) -> int:
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000

    def at_monotonic_us(self, monotonic_s: float) -> int:
        """The two clocks differ by what was suspended since the boot: a difference that two looks prove wrong is taken
        anew, and one that they don't is kept, so that the order of stamps is kept. A stamp that can't be of this clock, or is
        too old, is now."""
        before_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        monotonic_ns = time.monotonic_ns()
        after_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        if not before_ns - monotonic_ns <= self._ahead_ns <= after_ns - monotonic_ns:
            self._ahead_ns = before_ns - monotonic_ns
        at_us = (round(monotonic_s * 1e9) + self._ahead_ns) // 1000
        now_us = after_ns // 1000
        return at_us if now_us - MOST_AGE_US <= at_us <= now_us else now_us

    def wall(self) -> Wall:
        timex = _Timex()
        state = self._libc.adjtimex(ctypes.byref(timex))
        synchronised = state not in (-1, _TIME_ERROR) and not timex.status & _STA_UNSYNC
        return Wall(
            utc_us=time.time_ns() // 1000,
            synchronised=synchronised,
            source=self._sources.synchronised if synchronised else self._sources.otherwise,
            error_us=max(0, timex.maxerror) if synchronised else 0,
        )


def process_began_us() -> int:
    """When this process was executed, on the boot clock; the kernel tells it to 10 ms."""
    after_name = Path("/proc/self/stat").read_text("ascii", "replace").rpartition(")")[2]
    return int(after_name.split()[19]) * 1_000_000 // os.sysconf("SC_CLK_TCK")


def suspended_us() -> int:
    """How long this machine has slept since its boot: what the boot clock counts and CLOCK_MONOTONIC does not."""
    awake_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    return (time.clock_gettime_ns(time.CLOCK_BOOTTIME) - awake_ns) // 1000


class Wake:
    """A part's bell: any thread rings it, and the part's loop then runs it soon. Ringing never blocks."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self.is_rung = self._event.is_set

    def ring(self) -> None:
        self._event.set()

    def take(self) -> bool:
        """True once for any number of rings since the last call."""
        if not self._event.is_set():
            return False
        self._event.clear()
        return True

    def wait_until(self, at_us: int, clock: Clock) -> None:
        """Block until rung or until `at_us` on the clock. Only loops in this module call it."""
        delay_us = at_us - clock.now_us()
        if delay_us > 0:
            self._event.wait(min(delay_us / 1e6, threading.TIMEOUT_MAX))


def pause(clock: Clock, delay_us: int) -> None:
    """Let so much time pass. For a command's main thread; parts have wake times."""
    Wake().wait_until(clock.now_us() + delay_us, clock)


class Runner:
    """Loops one part on one thread in real time. An exception ends the loop and is handed to `on_failure`."""

    def __init__(self, part: Part, wake: Wake, clock: Clock, on_failure: Callable[[Part, Exception], None]) -> None:
        self._part = part
        self._wake = wake
        self._clock = clock
        self._on_failure = on_failure
        self._stopping = False
        self._thread = threading.Thread(target=self._loop, name=part.name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, limit_s: float) -> bool:
        """End the loop after the run in hand; False when the thread has not ended within `limit_s`."""
        self._stopping = True
        self._wake.ring()
        self._thread.join(limit_s)
        return not self._thread.is_alive()

    def _loop(self) -> None:
        try:
            while not self._stopping:
                self._wake.take()
                self._wake.wait_until(self._part.run_once(self._clock.now_us()), self._clock)
        except Exception as failure:  # noqa: BLE001 - the supervisor's border: any failure becomes an event
            self._on_failure(self._part, failure)


class Crew:
    """Parts at work, each on a thread of its own. The first failure of one is kept and sets `finished`. Main thread."""

    def __init__(self, clock: Clock) -> None:
        self.finished = Latch()
        self.failure: Exception | None = None
        self.failed_part: Part | None = None
        self._clock = clock
        self._runners: list[Runner] = []

    def start(self, parts: Iterable[tuple[Part, Wake]]) -> None:
        for part, wake in parts:
            self._runners.append(Runner(part, wake, self._clock, self._failed))
            self._runners[-1].start()

    def stop(self, limit_s: float) -> bool:
        """End the loops, the last one first; False when a thread has not ended within `limit_s`. May be called twice."""
        ended = [runner.stop(limit_s) for runner in reversed(self._runners)]
        self._runners.clear()
        return all(ended)

    def _failed(self, part: Part, failure: Exception) -> None:
        """On the thread of the part that failed."""
        if self.failure is None:
            self.failure, self.failed_part = failure, part
        self.finished.set()


class Latch:
    """Something that happens once; another thread waits for it, with a limit."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        self._event.set()

    def is_set(self) -> bool:
        return self._event.is_set()

    def wait(self, limit_s: float) -> bool:
        return self._event.wait(limit_s)


Result = TypeVar("Result")


def within(limit_s: float, name: str, work: Callable[[], Result]) -> Result:
    """Do `work` on a thread of its own, which nobody waits for longer than `limit_s`: `TimeoutError` then, and the thread
    is left to itself. What the work raises is raised here."""
    ended, results, failures = Latch(), list[Result](), list[Exception]()

    def do() -> None:
        try:
            results.append(work())
        except Exception as failure:  # noqa: BLE001 - carried over to the thread that asked
            failures.append(failure)
        ended.set()

    thread = threading.Thread(target=do, name=name, daemon=True)
    thread.start()
    if not ended.wait(limit_s):
        raise TimeoutError(f"{name} has not come back within {limit_s:g} s")
    thread.join()
    if failures:
        raise failures[0]
    return results[0]


def hold_signals(signals: Iterable[signal.Signals]) -> None:
    """Block the signals in this thread and in those it starts, so that `wait_for_signal` receives them."""
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)


def wait_for_signal(signals: Iterable[signal.Signals], ended: Latch, poll_s: float = 0.2) -> str:
    """Block until one of the held signals arrives, or `ended` is set; the signal's name, or "" for `ended`."""
    names = tuple(signals)
    while not ended.is_set():
        received = signal.sigtimedwait(names, poll_s)
        # After a stop and a continue that take longer than `poll_s`, CPython gives back what it never filled in.
        if received is not None and received.si_signo in names:
            return signal.Signals(received.si_signo).name
    return ""

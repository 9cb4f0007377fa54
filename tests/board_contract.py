"""What the board promises on any lines: mock pins on every run, real ones of /dev/gpiochip in `tests/lanes`.

A subject drives lines and reads them back; time is the real boot clock, and a test lets more of it pass by moving it on, so
that nothing here waits but for an edge to be heard, and no length of time is asserted that a slow machine could exceed.
It imports no more than an arm64 machine has that was built for it.
"""

import threading
from collections.abc import Iterator
from typing import Protocol

import pytest

from device.clock import BootClock, Latch, Wall
from device.controls.board import Board
from device.controls.pins import PinFactory
from device.policy import signals
from device.policy.inputs import Docked, Edge, FaultChanged, Input, Triggered
from device.policy.signals import Lights
from device.tables import Board as Pins
from device.tables import ContactLine, LightLevels, Lines, OutputLine, Trigger, Wiring

HEARD_WITHIN_S = 20.0
QUIET_AFTER_S = 0.2
TRIES = 30
_never = Latch()
RECORD, FUNCTION, DOCK, PANIC = 17, 27, 26, 13
RECORDING_LIGHT, READY_LIGHT, BUZZER = 22, 23, 24
SLOW = Wiring(Pins(dock=DOCK, debounce_ms=60, chatter_edges=16))
NOON, MIDNIGHT = 1_700_049_600_000_000, 1_700_006_400_000_000
"""UTC, in µs; a subject's local time is UTC."""


class Subject(Protocol):
    """Lines by their number. Each `drive` that changes a level makes one edge."""

    def factory(self) -> PinFactory: ...

    def drive(self, pin: int, high: bool) -> None:
        """What is wired to an input gives it this level."""

    def level(self, pin: int) -> bool:
        """Of an output, now."""

    def share(self, pin: int) -> float:
        """Of an output: how much of the time it is high, 0 to 1."""


class RigClock(BootClock):
    """The boot clock, moved on by a test; a wall clock that a test sets."""

    def __init__(self) -> None:
        super().__init__()
        self.utc_us = NOON
        self.stamps_s: list[float] = []
        self._passed_us = 0

    def now_us(self) -> int:
        return super().now_us() + self._passed_us

    def at_monotonic_us(self, monotonic_s: float) -> int:
        self.stamps_s.append(monotonic_s)
        return super().at_monotonic_us(monotonic_s) + self._passed_us

    def let_pass(self, ms: int) -> None:
        self._passed_us += ms * 1000

    def wall(self) -> Wall:
        return Wall(utc_us=self.utc_us, synchronised=True, source="test", error_us=0)


class Rig:
    """A board on a subject's lines."""

    def __init__(self, subject: Subject, wiring: Wiring) -> None:
        self.clock = RigClock()
        self._subject = subject
        self._heard = threading.Semaphore(0)
        self.board = Board(wiring, "street", subject.factory(), self.clock, self._heard.release)

    def drive(self, pin: int, high: bool) -> None:
        """Give a line this level; the edge has been heard when this returns."""
        self._subject.drive(pin, high)
        assert self._heard.acquire(timeout=HEARD_WITHIN_S), f"GPIO {pin}: an edge was not heard"

    def bounce(self, pin: int, *levels: bool) -> None:
        """These levels within half of the debounce; a machine that is too slow for it tries again."""
        for _ in range(TRIES):
            self._drive_all(pin, *levels)
            if self.clock.stamps_s[-1] - self.clock.stamps_s[0] < 0.03:
                return
            self.take(1000)
            self._drive_all(pin, not levels[-1])
            self.take(1000)
        raise AssertionError("this machine is too slow for a contact that bounces")

    def chatter(self, pin: int, changes: int) -> None:
        """So many changes, 2 ms apart or more; it ends as it began."""
        for n in range(changes):
            self._subject.drive(pin, n % 2 == 1)
            _never.wait(0.002)
        self._drive_all(pin)

    def _drive_all(self, pin: int, *levels: bool) -> None:
        """As fast as can be; a kernel may see fewer edges, but sees the last level."""
        self.clock.stamps_s.clear()
        for high in levels:
            self._subject.drive(pin, high)
        assert self._heard.acquire(timeout=HEARD_WITHIN_S), f"GPIO {pin}: no edge was heard"
        while self._heard.acquire(timeout=QUIET_AFTER_S):
            pass

    def press(self, pin: int) -> None:
        self.drive(pin, False)

    def let_go(self, pin: int) -> None:
        self.drive(pin, True)

    def take(self, after_ms: int = 0) -> list[Input]:
        self.clock.let_pass(after_ms)
        return self.board.take(self.clock.now_us())

    def __enter__(self) -> "Rig":
        return self

    def __exit__(self, *_: object) -> None:
        self.board.close()

    def show(self, lights: Lights, utc_us: int = NOON) -> None:
        self.clock.utc_us = utc_us
        self.board.show(lights)
        self.board.play(self.clock.now_us())


def words(said: list[Input]) -> list[tuple[str, bool]]:
    """What was said, without its times."""
    found: list[tuple[str, bool]] = []
    for came in said:
        match came:
            case Edge(button=button, pressed=pressed):
                found.append((button, pressed))
            case Docked(on=on):
                found.append(("dock", on))
            case FaultChanged(part=part, present=present):
                found.append((f"fault {part}", present))
            case Triggered(trigger=trigger):
                found.append((trigger, True))
            case _:
                raise AssertionError(came)
    return found


class BoardContract:
    """Inherit it, and give a `subject`."""

    @pytest.fixture
    def rig(self, subject: Subject) -> Iterator[Rig]:
        with Rig(subject, SLOW) as rig:
            assert rig.take() == []
            yield rig

    def test_a_press_that_bounces_is_one_press(self, rig: Rig) -> None:
        rig.bounce(RECORD, False, True, False)
        assert words(rig.take(1000)) == [("record", True)]
        rig.bounce(RECORD, True, False, True)
        assert words(rig.take(1000)) == [("record", False)]
        assert rig.take(1000) == []

    def test_a_press_shorter_than_the_debounce_is_a_press_and_a_release(self, rig: Rig) -> None:
        rig.press(RECORD)
        rig.let_go(RECORD)
        pressed, released = rig.take(1000)
        assert words([pressed, released]) == [("record", True), ("record", False)]
        assert released.at_us - pressed.at_us >= 60_000

    def test_an_edge_has_the_time_at_which_it_was(self, rig: Rig) -> None:
        before_us = rig.clock.now_us()
        rig.press(RECORD)
        (pressed,) = rig.take()
        assert before_us <= pressed.at_us <= rig.clock.now_us()

    def test_both_edges_while_the_loop_was_busy_have_their_own_times(self, rig: Rig) -> None:
        rig.press(RECORD)
        rig.clock.let_pass(700)
        rig.let_go(RECORD)
        pressed, released = rig.take(5000)
        assert words([pressed, released]) == [("record", True), ("record", False)]
        assert released.at_us - pressed.at_us >= 700_000
        assert rig.clock.now_us() - released.at_us >= 5_000_000

    def test_two_buttons_at_once(self, rig: Rig) -> None:
        rig.press(RECORD)
        rig.press(FUNCTION)
        rig.clock.let_pass(200)
        rig.let_go(RECORD)
        rig.let_go(FUNCTION)
        said = rig.take(1000)
        assert words(said) == [("record", True), ("function", True), ("record", False), ("function", False)]
        assert [came.at_us for came in said] == sorted(came.at_us for came in said)

    def test_a_stuck_contact_is_one_press_and_a_fault_until_it_is_let_go(self, rig: Rig) -> None:
        rig.press(RECORD)
        assert words(rig.take(19_000)) == [("record", True)]
        assert words(rig.take(1500)) == [("fault button-record", True)]
        assert rig.take(60_000) == []
        rig.let_go(RECORD)
        assert words(rig.take()) == [("record", False), ("fault button-record", False)]

    def test_a_chattering_contact_is_a_fault_and_not_a_stream_of_presses(self, subject: Subject) -> None:
        quick = Lines(record_button=ContactLine(debounce_ms=1))
        with Rig(subject, Wiring(Pins(chatter_edges=16), lines=quick)) as chatters:
            chatters.chatter(RECORD, 60)
            said = words(chatters.take(200))
            edges = [each for each in said if each[0] == "record"]
            assert 16 <= len(edges) < 60
            assert [each for each in said if each[0] != "record"] == [("fault button-record", True)]
            assert words(chatters.take(2000)) == [("fault button-record", False)]
            chatters.press(RECORD)
            assert words(chatters.take()) == [("record", True)], "and it is believed again"

    def test_the_dock(self, rig: Rig) -> None:
        rig.press(DOCK)
        assert words(rig.take()) == [("dock", True)]
        rig.clock.let_pass(1000)
        rig.let_go(DOCK)
        assert words(rig.take()) == [("dock", False)]

    def test_a_line_is_active_at_its_level_whatever_pulls_it(self, subject: Subject) -> None:
        panic = Trigger(line=PANIC, category="imminent-threat", active="high", pull="up")
        subject.drive(DOCK, False)
        lines = Lines(dock=ContactLine(active="high", pull="none"))
        with Rig(subject, Wiring(Pins(dock=DOCK), triggers={"panic": panic}, lines=lines)) as rig:
            assert words(rig.take()) == [("panic", True)], "nothing holds it down"
            rig.drive(DOCK, True)
            assert words(rig.take(100)) == [("dock", True)]
            rig.drive(DOCK, False)
            assert words(rig.take(100)) == [("dock", False)]

    def test_outputs_are_on_at_their_level(self, subject: Subject) -> None:
        low = OutputLine(active="low")
        with Rig(subject, Wiring(lines=Lines(recording_light=low, buzzer=low))) as rig:
            rig.show(Lights(recording=signals.OFF, ready=signals.OFF))
            assert [subject.level(pin) for pin in (RECORDING_LIGHT, READY_LIGHT, BUZZER)] == [True, False, True]
            rig.show(Lights(recording=signals.ON, ready=signals.ON))
            rig.board.cue("marker", rig.clock.now_us(), silent=False)
            rig.board.play(rig.clock.now_us())
            assert [subject.level(pin) for pin in (RECORDING_LIGHT, READY_LIGHT, BUZZER)] == [False, True, False]

    def test_lights_are_dim_at_night_and_never_dark(self, subject: Subject) -> None:
        lights = LightLevels(night_percent=30, night_from="22:00", night_until="06:00")
        with Rig(subject, Wiring(lights=lights)) as rig:
            lit = Lights(recording=signals.ON, ready=signals.ON)
            rig.show(lit)
            assert [subject.share(pin) for pin in (RECORDING_LIGHT, READY_LIGHT)] == [1.0, 1.0]
            rig.show(lit, MIDNIGHT)
            assert [0.1 < subject.share(pin) < 0.6 for pin in (RECORDING_LIGHT, READY_LIGHT)] == [True, True]
            rig.show(Lights(recording=signals.OFF, ready=signals.ON), MIDNIGHT)
            assert subject.share(RECORDING_LIGHT) == 0.0
            rig.show(lit)
            assert [subject.share(pin) for pin in (RECORDING_LIGHT, READY_LIGHT)] == [1.0, 1.0]

"""The board on gpiozero's mock pins: contact bounce, edges at their own times, cues, and nothing left behind."""

import threading
from collections.abc import Iterator

import pytest
from gpiozero.pins.mock import MockFactory

from device.clock import NEVER_US
from device.config import Board as Pins
from device.controls.board import Board, Debouncer
from device.controls.indicators import CUES, Lights, Pulses, lights, pulse_edges_us
from device.policy.inputs import Edge
from device.policy.machine import Phase, State
from hw_sim.clock import VirtualClock

START_US = 5_000_000
PINS = Pins()
BUTTON_PIN = {"record": PINS.record_button, "function": PINS.function_button}


def us(ms: float) -> int:
    return START_US + round(ms * 1000)


def ms(at_us: int) -> float:
    return (at_us - START_US) / 1000


class Bench:
    """A board, its mock pins and virtual time, in ms from the start."""

    def __init__(self) -> None:
        self.clock = VirtualClock("test-boot", START_US)
        self.factory = MockFactory()
        self.rung = 0
        self.board = Board(PINS, self.factory, self.clock, self.ring)

    def ring(self) -> None:
        self.rung += 1

    def drive(self, at_ms: float, button: str, *, pressed: bool) -> None:
        self.clock.move_to(us(at_ms))
        pin = self.factory.pin(BUTTON_PIN[button])
        (pin.drive_low if pressed else pin.drive_high)()

    def contact(self, button: str, pressed: bool, *at_ms: float) -> None:
        """The contact changes, and bounces at the times that follow; the last level is `pressed`."""
        for n, each in enumerate(at_ms):
            self.drive(each, button, pressed=pressed if (len(at_ms) - n) % 2 else not pressed)

    def take(self, at_ms: float) -> list[tuple[float, str, bool]]:
        self.clock.move_to(us(at_ms))
        return [(ms(edge.at_us), edge.button, edge.pressed) for edge in self.board.take(self.clock.now_us())]

    def play(self, until_ms: float) -> list[tuple[float, bool]]:
        """When buzzer and vibration were switched, calling the board only when it asks for it."""
        switched = []
        before = self.outputs()
        while True:
            due_us = self.board.play(self.clock.now_us())
            now = self.outputs()
            if now != before:
                assert len(set(now)) == 1
                switched.append((ms(self.clock.now_us()), now[0]))
            before = now
            if due_us > us(until_ms):
                self.clock.move_to(us(until_ms))
                return switched
            self.clock.move_to(due_us)

    def outputs(self) -> tuple[bool, bool]:
        return bool(self.factory.pin(PINS.buzzer).state), bool(self.factory.pin(PINS.vibration).state)

    def lit(self) -> tuple[bool, bool]:
        recording, ready = self.factory.pin(PINS.recording_light), self.factory.pin(PINS.ready_light)
        return bool(recording.state), bool(ready.state)


@pytest.fixture
def bench() -> Iterator[Bench]:
    """Fails the test that leaves a thread or a pin behind."""
    threads = set(threading.enumerate())
    made = Bench()
    yield made
    made.board.close()
    assert set(threading.enumerate()) == threads
    assert [pin for pin, owners in made.factory._reservations.items() if any(ref() for ref in owners)] == []
    made.factory.close()


# -- buttons --------------------------------------------------------------------------------------------------------


def test_a_press_with_bounce_is_seen_once_at_its_leading_edge(bench: Bench) -> None:
    bench.contact("record", True, 10, 10.4, 11, 11.3, 12.7)
    assert bench.take(13) == [(10, "record", True)]
    bench.contact("record", False, 130, 131, 132)
    assert bench.take(200) == [(130, "record", False)]
    assert bench.take(300) == []


def test_edges_seen_late_have_their_own_times(bench: Bench) -> None:
    bench.contact("record", True, 10, 11, 12)
    bench.contact("record", False, 110, 111, 112)
    bench.contact("record", True, 260, 261, 262)
    assert bench.take(2000) == [(10, "record", True), (110, "record", False), (260, "record", True)]


def test_a_glitch_of_5_ms_is_a_press_and_a_release_after_the_bounce_time(bench: Bench) -> None:
    bench.drive(10, "record", pressed=True)
    assert bench.take(10) == [(10, "record", True)]
    bench.drive(15, "record", pressed=False)
    assert bench.take(15) == []
    assert bench.board.play(bench.clock.now_us()) == us(30)
    assert bench.take(29.999) == []
    assert bench.take(30) == [(30, "record", False)]
    assert bench.board.play(bench.clock.now_us()) == NEVER_US


def test_a_glitch_seen_late_has_the_same_times(bench: Bench) -> None:
    bench.contact("record", False, 10, 15)
    assert bench.take(500) == [(10, "record", True), (30, "record", False)]


def test_a_release_that_bounces_is_seen_once(bench: Bench) -> None:
    bench.drive(10, "record", pressed=True)
    bench.contact("record", False, 100, 100.5, 101, 115, 116)
    assert bench.take(500) == [(10, "record", True), (100, "record", False)]


def test_bounce_longer_than_the_bounce_time_is_told_as_it_is(bench: Bench) -> None:
    """The level that is left after 20 ms counts, each time."""
    bench.contact("record", True, 10, 25, 45)
    assert bench.take(500) == [(10, "record", True), (30, "record", False), (50, "record", True)]


def test_both_buttons_at_once(bench: Bench) -> None:
    bench.drive(10, "function", pressed=True)
    bench.drive(10, "record", pressed=True)
    bench.drive(60, "record", pressed=False)
    bench.drive(70, "function", pressed=False)
    assert bench.take(100) == [
        (10, "function", True),
        (10, "record", True),
        (60, "record", False),
        (70, "function", False),
    ]


def test_edges_of_both_buttons_come_in_the_order_of_their_times(bench: Bench) -> None:
    bench.contact("function", False, 10, 12)
    bench.contact("record", False, 15, 17)
    assert bench.take(100) == [
        (10, "function", True),
        (15, "record", True),
        (30, "function", False),
        (35, "record", False),
    ]


def test_each_raw_edge_wakes_the_control_loop(bench: Bench) -> None:
    bench.contact("record", True, 10, 11, 12)
    bench.drive(50, "function", pressed=True)
    assert bench.rung == 4


def test_the_debouncer_alone() -> None:
    debouncer = Debouncer("record", 20_000)
    assert debouncer.next_wake_us == NEVER_US
    assert debouncer.edge(1_000_000, True) == [Edge(at_us=1_000_000, button="record", pressed=True)]
    assert (debouncer.edge(1_000_500, False), debouncer.next_wake_us) == ([], 1_020_000)
    assert (debouncer.edge(1_001_000, True), debouncer.next_wake_us) == ([], NEVER_US)
    assert debouncer.settle(1_500_000) == []
    assert debouncer.edge(1_500_000, True) == []
    assert debouncer.edge(1_600_000, False) == [Edge(at_us=1_600_000, button="record", pressed=False)]
    assert debouncer.edge(1_605_000, True) == []
    assert debouncer.edge(1_620_000, False) == [Edge(at_us=1_620_000, button="record", pressed=True)]
    assert debouncer.settle(1_700_000) == [Edge(at_us=1_640_000, button="record", pressed=False)]


# -- lights and cues ------------------------------------------------------------------------------------------------


def test_lights_are_shown(bench: Bench) -> None:
    assert bench.lit() == (False, False)
    shown = []
    for recording, ready in ((True, False), (False, True), (True, True), (False, False)):
        bench.board.show(Lights(recording=recording, ready=ready))
        shown.append(bench.lit())
    assert shown == [(True, False), (False, True), (True, True), (False, False)]


def test_a_cue_switches_both_outputs_at_its_times(bench: Bench) -> None:
    bench.board.cue("recording", us(0))
    assert bench.play(5000) == [(0, True), (150, False), (300, True), (450, False)]
    assert bench.board.play(us(5000)) == NEVER_US


def test_a_cue_takes_the_place_of_one_that_is_playing(bench: Bench) -> None:
    bench.board.cue("stopped", us(0))
    assert bench.play(400) == [(0, True)]
    bench.board.cue("marker", us(400))
    assert bench.play(5000) == [(500, False)]


def test_a_cue_seen_late_ends_silent(bench: Bench) -> None:
    bench.board.cue("failed", us(0))
    bench.clock.move_to(us(60_000))
    assert bench.play(70_000) == []
    assert bench.outputs() == (False, False)


def test_a_board_closed_during_a_cue_leaves_its_pins(bench: Bench) -> None:
    bench.board.cue("stopped", us(0))
    bench.board.play(us(0))
    assert bench.outputs() == (True, True)
    bench.board.close()
    bench.board.close()
    assert bench.factory.pin(PINS.buzzer).function == "input"


def test_a_cue_asked_for_while_a_button_settles_wakes_for_both(bench: Bench) -> None:
    bench.contact("record", False, 10, 15)
    bench.take(15)
    bench.board.cue("status", us(15))
    assert [ms(bench.board.play(us(15))), ms(bench.board.play(us(75)))] == [30, 30]


def test_every_cue_ends_silent_and_none_is_like_another() -> None:
    patterns = {name: pulse_edges_us(pulses, 0) for name, pulses in CUES.items()}
    assert [name for name, edges in patterns.items() if edges[0] != (0, True) or edges[-1][1]] == []
    assert [name for name, edges in patterns.items() if edges != sorted(set(edges))] == []
    for state in ("recording", "stopped", "paused", "muted", "refused", "failed", "storage-full", "override"):
        assert [name for name, edges in patterns.items() if edges == patterns[state]] == [state]


def test_pulses_as_edges() -> None:
    assert pulse_edges_us(Pulses(2, 100, 50), 7) == [(7, True), (100_007, False), (150_007, True), (250_007, False)]


@pytest.mark.parametrize(
    ("phase", "recording", "ready"),
    [
        (Phase.IDLE, False, True),
        (Phase.RECORDING, True, True),
        (Phase.STOP_ASKED, True, True),
        (Phase.PAUSED, False, False),
        (Phase.PAUSED_STOP_ASKED, False, False),
        (Phase.POST_EVENT, True, True),
    ],
)
def test_lights_follow_the_state(phase: Phase, recording: bool, ready: bool) -> None:
    assert lights(State(now_us=0, zone="street", phase=phase)) == Lights(recording=recording, ready=ready)
    not_ready = Lights(recording=recording, ready=False)
    assert lights(State(now_us=0, zone="street", phase=phase, ready=False)) == not_ready
    assert lights(State(now_us=0, zone="street", phase=phase, faults=("camera",))) == not_ready

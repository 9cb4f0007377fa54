"""The board on gpiozero's mock pins: bounce, broken contacts, switches, lights and cues, and nothing left behind."""

import itertools
import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from gpiozero.pins.mock import MockFactory, MockPWMPin
from hypothesis import given, settings
from hypothesis import strategies as st

from device.clock import NEVER_US, Wake
from device.config import read_configuration
from device.controls.board import Board
from device.controls.contacts import make_button
from device.controls.indicators import level
from device.controls.lines import CHATTER_WITHIN_US, QUIET_AFTER_US, Debouncer, Line, Reading, wires
from device.errors import ConfigurationError
from device.policy import signals
from device.policy.inputs import Edge, FaultChanged, Input, LevelChanged, SleepSwitched, Triggered, ZoneEntered
from device.policy.signals import CUES, Lights, Pattern, pulses_ms
from device.tables import Board as Pins
from device.tables import Switches, Trigger, Wiring
from hw_sim import lines as lines_of_text
from hw_sim.agency import Agency
from hw_sim.board import Thumb, WiredPin
from hw_sim.clock import VirtualClock
from hw_sim.hardware import TwinHardware
from tests.benches import make_bench

START_US = 5_000_000
PINS = Pins(sleep_switch=4, battery_low=20, battery_critical=21)
WIRING = Wiring(
    PINS,
    Switches({"private": 6, "school": 5}),
    {
        "holster": Trigger(line=12, category="use-of-force"),
        "light-bar": Trigger(line=13, category="emergency-driving", active="high"),
        "panic": Trigger(line=19, category="imminent-threat", momentary=True),
    },
)
WIRES = wires(WIRING)
MOST_TURNS = 10_000
modest = settings(max_examples=150, derandomize=True, deadline=None, database=None)


def us(ms: float) -> int:
    return START_US + round(ms * 1000)


def ms(at_us: int) -> float:
    return (at_us - START_US) / 1000


def told(came: Input) -> tuple[float, str, object]:
    """An input in a test's words: when, what, and how."""
    match came:
        case Edge(button=button, pressed=pressed):
            return ms(came.at_us), button, pressed
        case ZoneEntered(zone=zone):
            return ms(came.at_us), "zone", zone
        case SleepSwitched(on=on):
            return ms(came.at_us), "sleep", on
        case Triggered(trigger=trigger, category=category):
            return ms(came.at_us), trigger, category
        case LevelChanged(part=part, level=level):
            return ms(came.at_us), part, level
        case FaultChanged(part=part, present=present):
            return ms(came.at_us), f"fault {part}", present
    raise AssertionError(came)


class Bench:
    """A board, its mock pins and virtual time, in ms from the start. `closed`: lines that are active at the start."""

    def __init__(self, *closed: str, wiring: Wiring = WIRING) -> None:
        self.clock = VirtualClock("test-boot", START_US)
        self.factory = MockFactory(pin_class=MockPWMPin)
        self.rung = 0
        self.wires = wires(wiring)
        self.pins = {name: self.factory.pin(wire.pin, pin_class=WiredPin) for name, wire in self.wires.items()}
        for name in closed:
            self.drive(0, name, pressed=True)
        self.board = Board(wiring, "street", self.factory, self.clock, self.ring)
        self.seen = self.outputs()

    def ring(self) -> None:
        self.rung += 1

    def drive(self, at_ms: float, name: str, *, pressed: bool) -> None:
        self.clock.move_to(us(at_ms))
        self.pins[name].drive(pressed != self.wires[name].active_low)

    def contact(self, name: str, pressed: bool, *at_ms: float) -> None:
        """The contact changes, and bounces at the times that follow; the last level is `pressed`."""
        for n, each in enumerate(at_ms):
            self.drive(each, name, pressed=pressed if (len(at_ms) - n) % 2 else not pressed)

    def chatter(self, name: str, from_ms: float, changes: int, every_ms: float) -> float:
        """So many changes, the first one to active; when the last was."""
        for n in range(changes):
            self.drive(from_ms + n * every_ms, name, pressed=n % 2 == 0)
        return from_ms + (changes - 1) * every_ms

    def take(self, at_ms: float) -> list[tuple[float, str, object]]:
        self.clock.move_to(us(at_ms))
        return [told(came) for came in self.board.take(self.clock.now_us())]

    def wake_ms(self) -> float:
        """When the board wants to be called again."""
        return ms(self.board.play(self.clock.now_us()))

    def run(self, until_ms: float) -> list[tuple[float, str, object]]:
        """What the board says when it is called only when it asks for it."""
        said = self.take(ms(self.clock.now_us()))
        for _ in range(MOST_TURNS):
            due_ms = self.wake_ms()
            if due_ms > until_ms:
                self.clock.move_to(us(until_ms))
                return said
            said += self.take(max(due_ms, ms(self.clock.now_us())))
        raise AssertionError("the board wants to be called again and again")

    def play(self, until_ms: float) -> list[tuple[float, str, bool]]:
        """When which output was switched, calling the board only when it asks for it."""
        switched: list[tuple[float, str, bool]] = []
        for _ in range(MOST_TURNS):
            due_us = self.board.play(self.clock.now_us())
            now = self.outputs()
            switched += [(ms(self.clock.now_us()), name, on) for name, on in now.items() if self.seen[name] != on]
            self.seen = now
            if due_us > us(until_ms):
                self.clock.move_to(us(until_ms))
                return switched
            self.clock.move_to(due_us)
        raise AssertionError("the board wants to be called again and again")

    def outputs(self) -> dict[str, bool]:
        pins = {
            "recording": PINS.recording_light, "ready": PINS.ready_light, "vibration": PINS.vibration,
            "buzzer": PINS.buzzer,
        }  # fmt: skip
        return {name: bool(self.factory.pin(pin).state) for name, pin in pins.items()}

    def close(self) -> None:
        self.board.close()
        assert [pin for pin, owners in self.factory._reservations.items() if any(ref() for ref in owners)] == []
        self.factory.close()


@pytest.fixture
def bench() -> Iterator[Bench]:
    """Fails the test that leaves a thread or a pin behind."""
    threads = set(threading.enumerate())
    made = Bench()
    yield made
    made.close()
    assert set(threading.enumerate()) == threads


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
    debouncer = Debouncer(20_000)
    assert debouncer.next_wake_us == NEVER_US
    assert debouncer.edge(1_000_000, True) == [Reading(1_000_000, True)]
    assert (debouncer.edge(1_000_500, False), debouncer.next_wake_us) == ([], 1_020_000)
    assert (debouncer.edge(1_001_000, True), debouncer.next_wake_us) == ([], NEVER_US)
    assert debouncer.settle(1_500_000) == []
    assert debouncer.edge(1_500_000, True) == []
    assert debouncer.edge(1_600_000, False) == [Reading(1_600_000, False)]
    assert debouncer.edge(1_605_000, True) == []
    assert debouncer.edge(1_620_000, False) == [Reading(1_620_000, True)]
    assert debouncer.settle(1_700_000) == [Reading(1_640_000, False)]


# What a contact does: when it changes, in µs after the change before, and when the board looks meanwhile.
bouncing = st.lists(st.tuples(st.integers(0, 60_000), st.booleans()), max_size=120)


@modest
@given(bouncing)
def test_any_contact_gives_alternating_readings_a_bounce_apart(steps: list[tuple[int, bool]]) -> None:
    debouncer, at_us, on = Debouncer(20_000), 1_000_000, False
    readings: list[Reading] = []
    for wait_us, look in steps:
        at_us, on = at_us + wait_us, not on
        readings += debouncer.edge(at_us, on)
        if look:
            readings += debouncer.settle(at_us)
    readings += debouncer.settle(at_us + 1_000_000)
    assert [reading.on for reading in readings] == [n % 2 == 0 for n in range(len(readings))]
    assert all(b.at_us - a.at_us >= 20_000 for a, b in itertools.pairwise(readings))
    assert (readings[-1].on if readings else False) == on, "the level that is left is told"


@modest
@given(bouncing)
def test_looking_more_often_changes_no_reading(steps: list[tuple[int, bool]]) -> None:
    seldom, often = Line(20_000, 20), Line(20_000, 20)
    found: tuple[list[Reading], list[Reading]] = ([], [])
    at_us, on = 1_000_000, False
    for wait_us, _ in steps:
        while often.next_wake_us <= at_us + wait_us:
            found[1].extend(often.settle(often.next_wake_us))
        at_us, on = at_us + wait_us, not on
        found[0].extend(seldom.edge(at_us, on))
        found[1].extend(often.edge(at_us, on))
    found[0].extend(seldom.settle(at_us + 5_000_000))
    found[1].extend(often.settle(at_us + 5_000_000))
    assert found[0] == found[1]


# -- broken contacts ------------------------------------------------------------------------------------------------

MOST = PINS.chatter_edges


def test_a_stuck_button_is_one_press_and_a_fault_until_it_is_let_go(bench: Bench) -> None:
    bench.drive(10, "record", pressed=True)
    assert bench.run(60_000) == [(10, "record", True), (20_010, "fault button-record", True)]
    bench.contact("record", False, 60_000, 60_001, 60_002)
    assert bench.run(61_000) == [(60_000, "record", False), (60_000, "fault button-record", False)]
    bench.drive(62_000, "record", pressed=True)
    assert bench.run(62_100) == [(62_000, "record", True)]


def test_the_longest_hold_gesture_is_not_a_stuck_button(bench: Bench) -> None:
    bench.drive(10, "function", pressed=True)
    bench.drive(10_000, "function", pressed=False)
    assert bench.run(40_000) == [(10, "function", True), (10_000, "function", False)]


def test_a_button_that_is_held_at_the_start_gives_no_gesture_until_it_has_been_let_go() -> None:
    bench = Bench("record")
    assert bench.run(30_000) == [(20_000, "fault button-record", True)]
    bench.drive(30_000, "record", pressed=False)
    assert bench.run(31_000) == [(30_000, "fault button-record", False)]
    bench.drive(32_000, "record", pressed=True)
    assert bench.run(32_100) == [(32_000, "record", True)]
    bench.close()


def test_a_chattering_button_is_a_fault_and_not_a_stream_of_presses(bench: Bench) -> None:
    """Open and closed for ten seconds, 25 times a second: at most ten presses, then a fault until it is quiet."""
    last_ms = bench.chatter("record", 100, 500, 20)
    said = bench.run(last_ms + 5000)
    edges = [each for each in said if each[1] == "record"]
    assert len(edges) == MOST
    assert [each for each in said if each[1] != "record"] == [
        (100 + 20 * MOST, "fault button-record", True),
        (last_ms + 2000, "fault button-record", False),
    ]
    bench.drive(last_ms + 6000, "record", pressed=True)
    assert bench.run(last_ms + 6100) == [(last_ms + 6000, "record", True)]


def test_a_held_button_that_begins_to_chatter_is_let_go(bench: Bench) -> None:
    """The policy must not see a hold where a contact flutters: the change that is one too many is told, as a release."""
    bench.drive(10, "record", pressed=True)
    for n in range(2 * MOST):
        bench.drive(1500 + 20 * n, "record", pressed=n % 2 == 1)
    broken_ms = 1500 + 20 * MOST
    assert bench.run(broken_ms + 1500)[-2:] == [(broken_ms, "record", False), (broken_ms, "fault button-record", True)]


def test_one_that_is_down_when_the_chatter_ends_gives_no_gesture_until_it_has_been_let_go(bench: Bench) -> None:
    last_ms = bench.chatter("record", 0, 2 * MOST + 1, 20)
    bench.run(last_ms)
    assert bench.run(last_ms + 23_000) == [
        (last_ms + 2000, "fault button-record", False),
        (last_ms + 22_000, "fault button-record", True),
    ]
    bench.drive(last_ms + 24_000, "record", pressed=False)
    assert bench.run(last_ms + 25_000) == [(last_ms + 24_000, "fault button-record", False)]


def test_fast_tapping_is_not_chatter(bench: Bench) -> None:
    """Eight presses a second, for ten seconds."""
    bench.chatter("record", 10, 160, 62.5)
    assert len(bench.run(20_000)) == 160


@modest
@given(st.integers(0, 2**32), st.sampled_from([1, 3, 11, 20, 21, 25, 40]), st.integers(1, 2000))
def test_no_chatter_ever_gives_more_edges_than_a_hand(seed: int, about_ms: int, changes: int) -> None:
    """In any second no more than the limit, and one release; what is told alternates and ends let go."""
    draw = random.Random(seed)
    line, button = Line(20_000, MOST), make_button("record", 20_000_000, Reading(0, False))
    said: list[Input] = []
    at_us = 1_000_000
    for n in range(changes):
        at_us += draw.randrange(200, 2000 * about_ms)
        for reading in line.edge(at_us, n % 2 == 0):
            said += button.read("record", reading)
    for reading in [*line.edge(at_us + 500, False), *line.settle(at_us + 10_000_000)]:
        said += button.read("record", reading)
    edges = [came for came in said if isinstance(came, Edge)]
    assert [edge.pressed for edge in edges] == [n % 2 == 0 for n in range(len(edges))]
    assert len(edges) % 2 == 0
    for first, beyond in zip(edges, edges[MOST + 1 :], strict=False):
        assert beyond.at_us - first.at_us >= CHATTER_WITHIN_US
    faults = [came.present for came in said if isinstance(came, FaultChanged)]
    assert faults == [n % 2 == 0 for n in range(len(faults))]
    assert len(faults) % 2 == 0


def test_a_line_is_quiet_only_after_two_seconds_without_a_change() -> None:
    line = Line(20_000, MOST)
    for n in range(MOST + 10):
        line.edge(1_000_000 + n * 20_000, n % 2 == 0)
    last_us = 1_000_000 + (MOST + 9) * 20_000
    assert line.next_wake_us == last_us + QUIET_AFTER_US
    later_us = last_us + QUIET_AFTER_US - 1
    assert line.settle(later_us) == []
    assert line.edge(later_us, True) == []
    assert line.settle(later_us + QUIET_AFTER_US) == [Reading(later_us + QUIET_AFTER_US, True)]


# -- switches -------------------------------------------------------------------------------------------------------


def test_switches_where_a_camera_begins_say_nothing_at_the_start(bench: Bench) -> None:
    assert bench.run(60_000) == []
    assert bench.wake_ms() == ms(NEVER_US)


def test_where_the_switches_are_is_told_at_the_first_take() -> None:
    bench = Bench("zone-school", "sleep", "battery-low")
    assert sorted(bench.take(1)) == [(0, "battery", "low"), (0, "sleep", True), (0, "zone", "school")]
    assert bench.run(1000) == []
    bench.close()


def test_the_sleep_switch_is_told_at_its_leading_edge(bench: Bench) -> None:
    bench.contact("sleep", True, 10, 11, 12)
    assert bench.run(500) == [(10, "sleep", True)]
    bench.contact("sleep", False, 600, 601, 603)
    assert bench.run(1000) == [(600, "sleep", False)]


def test_a_zone_is_entered_at_once_and_left_after_the_time_between_positions(bench: Bench) -> None:
    bench.contact("zone-school", True, 10, 11, 12)
    assert bench.run(500) == [(10, "zone", "school")]
    bench.contact("zone-school", False, 600, 601, 602)
    assert bench.run(1000) == [(650, "zone", "street")]


def test_a_rotary_switch_on_its_way_is_nowhere_else(bench: Bench) -> None:
    """From school to private: with no line closed for 30 ms, and back with both closed for 30 ms."""
    bench.contact("zone-school", True, 10)
    bench.run(500)
    bench.contact("zone-school", False, 600, 601, 602)
    bench.contact("zone-private", True, 630, 631, 632)
    assert bench.run(1000) == [(630, "zone", "private")]
    bench.contact("zone-school", True, 1100)
    bench.contact("zone-private", False, 1130)
    assert bench.run(2000) == [(1130, "zone", "school")]


def test_of_two_zone_lines_the_first_counts_and_it_is_a_fault_while_it_lasts(bench: Bench) -> None:
    bench.contact("zone-school", True, 10)
    bench.contact("zone-private", True, 500)
    assert bench.run(5000) == [(10, "zone", "school"), (500, "zone", "private"), (550, "fault zone-switch", True)]
    bench.contact("zone-private", False, 6000)
    assert bench.run(7000) == [(6000, "zone", "school"), (6000, "fault zone-switch", False)]


def test_a_chattering_zone_line_stays_where_it_was_and_is_a_fault(bench: Bench) -> None:
    last_ms = bench.chatter("zone-school", 100, 400, 20)
    said = bench.run(last_ms + 10_000)
    assert [each for each in said if each[1] == "fault zone-switch"] == [
        (100 + 20 * MOST, "fault zone-switch", True),
        (last_ms + 2000, "fault zone-switch", False),
    ]
    assert said[-1] == (last_ms + 2050, "zone", "street")
    assert len(said) <= MOST + 3
    assert all(part != "zone" for at, part, _ in said if 100 + 20 * MOST < at < last_ms + 2000)


def test_a_chattering_zone_line_does_not_count_as_closed(bench: Bench) -> None:
    bench.contact("zone-school", True, 10)
    last_ms = bench.chatter("zone-private", 1000, 400, 20)
    zones = [each for each in bench.run(last_ms + 10_000) if each[1] == "zone"]
    assert [zones[0], zones[-1]] == [(10, "zone", "school"), (1000 + 20 * (MOST - 1), "zone", "school")]


def test_a_chattering_sleep_switch_is_a_fault(bench: Bench) -> None:
    last_ms = bench.chatter("sleep", 100, 401, 20)
    said = bench.run(last_ms + 10_000)
    assert said[-3:] == [
        (100 + 20 * MOST, "fault sleep-switch", True),
        (last_ms + 2000, "fault sleep-switch", False),
        (last_ms + 2000, "sleep", True),
    ]


def test_the_zone_is_said_again_for_another_policy() -> None:
    bench = Bench("zone-school")
    bench.run(1000)
    bench.board.say_zone_again("school")
    assert bench.run(2000) == [(1000, "zone", "school")]
    bench.close()
    empty = Bench()
    empty.run(1000)
    empty.board.say_zone_again("office")
    assert empty.run(2000) == [(1050, "zone", "office")]
    empty.close()


def test_the_battery_is_told_by_its_lines(bench: Bench) -> None:
    bench.drive(1000, "battery-low", pressed=True)
    bench.drive(60_000, "battery-critical", pressed=True)
    bench.drive(120_000, "battery-critical", pressed=False)
    bench.drive(180_000, "battery-low", pressed=False)
    assert bench.run(240_000) == [
        (1000, "battery", "low"),
        (60_000, "battery", "critical"),
        (120_000, "battery", "low"),
        (180_000, "battery", "good"),
    ]


def test_a_battery_at_its_threshold_is_told_every_ten_seconds_at_most(bench: Bench) -> None:
    for n in range(41):
        bench.drive(1000 + n * 500, "battery-low", pressed=n % 2 == 0)
    assert bench.run(60_000) == [(1000, "battery", "low"), (11_000, "battery", "good"), (21_000, "battery", "low")]


# -- triggers -------------------------------------------------------------------------------------------------------


def test_a_trigger_tells_only_its_activation(bench: Bench) -> None:
    bench.contact("trigger-holster", True, 10, 11, 12)
    bench.contact("trigger-holster", False, 5000, 5001, 5002)
    bench.drive(6000, "trigger-light-bar", pressed=True)
    assert bench.run(7000) == [(10, "holster", "use-of-force"), (6000, "light-bar", "emergency-driving")]


def test_a_trigger_may_stay_active_but_a_momentary_one_is_stuck(bench: Bench) -> None:
    bench.drive(10, "trigger-holster", pressed=True)
    bench.drive(20, "trigger-panic", pressed=True)
    assert bench.run(600_000) == [
        (10, "holster", "use-of-force"),
        (20, "panic", "imminent-threat"),
        (20_020, "fault trigger-panic", True),
    ]
    bench.drive(700_000, "trigger-panic", pressed=False)
    assert bench.run(800_000) == [(700_000, "fault trigger-panic", False)]


def test_a_trigger_that_is_active_at_the_start_counts_unless_it_is_momentary() -> None:
    bench = Bench("trigger-holster", "trigger-panic")
    assert bench.run(1000) == [(0, "holster", "use-of-force")]
    bench.close()


def test_a_chattering_trigger_is_a_fault(bench: Bench) -> None:
    last_ms = bench.chatter("trigger-holster", 100, 400, 20)
    said = bench.run(last_ms + 10_000)
    assert len([each for each in said if each[1] == "holster"]) == MOST // 2
    assert said[-1] == (last_ms + 2000, "fault trigger-holster", False)


def test_inputs_of_all_lines_come_in_the_order_of_their_times(bench: Bench) -> None:
    bench.drive(10, "zone-school", pressed=True)
    bench.drive(12, "record", pressed=True)
    bench.drive(11 + 2, "trigger-panic", pressed=True)
    bench.drive(14, "sleep", pressed=True)
    bench.drive(15, "record", pressed=False)
    assert bench.take(100) == [
        (10, "zone", "school"),
        (12, "record", True),
        (13, "panic", "imminent-threat"),
        (14, "sleep", True),
        (32, "record", False),
    ]


def test_what_is_seen_late_comes_in_the_order_of_its_times_too(bench: Bench) -> None:
    """A glitch on one zone line, then the other, and a press; none of it looked at before the end."""
    bench.contact("zone-school", False, 10, 15)
    bench.contact("zone-private", True, 100)
    bench.contact("zone-private", False, 600)
    bench.contact("record", True, 700)
    assert bench.take(1000) == [
        (10, "zone", "school"),
        (80, "zone", "street"),
        (100, "zone", "private"),
        (650, "zone", "street"),
        (700, "record", True),
    ]


def test_a_line_is_active_at_the_level_that_is_configured(bench: Bench) -> None:
    bench.factory.pin(13).drive_high()
    bench.factory.pin(12).drive_low()
    assert bench.take(100) == [(0, "light-bar", "emergency-driving"), (0, "holster", "use-of-force")]


def test_a_board_with_buttons_alone_needs_no_switches() -> None:
    bench = Bench(wiring=Wiring())
    bench.contact("record", True, 10, 11, 12)
    assert bench.run(100) == [(10, "record", True)]
    bench.close()


# -- configuration --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("school = 5", "school = 17", ),
        ("line = 12", "line = 20"),
    ],
)  # fmt: skip
def test_two_purposes_on_one_line_are_refused(tmp_path: Path, line: str, said: str) -> None:
    bench = make_bench(tmp_path / "bench", agency=Agency())
    text = bench.config.read_text("utf-8")
    assert line in text
    bench.config.write_text(text.replace(line, said), "utf-8")
    with pytest.raises(ConfigurationError, match=r"(board|switches|triggers)\.[\w.-]+ is \d+: .* is too"):
        read_configuration(bench.config)


def test_a_limit_on_chatter_that_no_line_can_pass_is_refused(tmp_path: Path) -> None:
    bench = make_bench(tmp_path / "bench", agency=Agency())
    text = bench.config.read_text("utf-8")
    bench.config.write_text(text.replace("sleep_switch = 4", "sleep_switch = 4\ndebounce_ms = 50"), "utf-8")
    with pytest.raises(ConfigurationError, match=r"chatter_edges is 20: with board.debounce_ms at 50"):
        read_configuration(bench.config)


# -- lights and cues ------------------------------------------------------------------------------------------------


def test_lights_are_shown(bench: Bench) -> None:
    assert bench.play(100) == []
    bench.board.show(Lights(recording=signals.ON, ready=signals.OFF))
    assert bench.play(200) == [(100, "recording", True)]
    bench.board.show(Lights(recording=signals.OFF, ready=signals.ON))
    assert bench.play(300) == [(200, "recording", False), (200, "ready", True)]
    assert bench.wake_ms() == ms(NEVER_US)


def test_a_blinking_light_blinks_at_its_times_from_when_it_is_first_shown(bench: Bench) -> None:
    bench.clock.move_to(us(130))
    bench.board.show(Lights(recording=signals.SLOW, ready=signals.OFF))
    assert bench.play(1700) == [
        (130, "recording", True),
        (630, "recording", False),
        (1130, "recording", True),
        (1630, "recording", False),
    ]
    bench.board.show(Lights(recording=signals.SLOW, ready=signals.OFF))
    assert bench.play(2200) == [(2130, "recording", True)], "shown again, it goes on"


def test_both_lights_and_a_cue_keep_their_own_times(bench: Bench) -> None:
    bench.board.show(Lights(recording=signals.FAST, ready=signals.TWO_WINKS))
    bench.board.cue("marker", us(0), silent=True)
    assert bench.play(410) == [
        (0, "recording", True), (0, "ready", True), (0, "vibration", True),
        (100, "ready", False), (120, "vibration", False), (125, "recording", False),
        (250, "recording", True), (300, "ready", True),
        (375, "recording", False), (400, "ready", False),
    ]  # fmt: skip


@modest
@given(
    st.lists(st.integers(100, 3000), min_size=2, max_size=8).filter(lambda times: len(times) % 2 == 0),
    st.integers(0, 10**12),
)
def test_a_pattern_is_on_and_off_for_its_times_over_and_over(times: list[int], since_us: int) -> None:
    pattern, at_us = Pattern("drawn", times_ms=tuple(times)), since_us
    for n in range(3 * len(times)):
        on, next_us = level(pattern, since_us, at_us)
        assert (on, next_us - at_us) == (n % 2 == 0, times[n % len(times)] * 1000)
        assert level(pattern, since_us, next_us - 1) == (on, next_us)
        at_us = next_us


def beats(name: str, from_ms: float, *outputs: str) -> list[tuple[float, str, bool]]:
    """When a cue switches outputs."""
    which = CUES[name].vibration
    return [
        (from_ms + at_ms, output, on)
        for begin_ms, end_ms in pulses_ms(which)
        for at_ms, on in ((begin_ms, True), (end_ms, False))
        for output in outputs
    ]


def test_a_cue_switches_both_outputs_at_its_times(bench: Bench) -> None:
    bench.board.cue("override", us(0), silent=False)
    assert bench.play(5000) == beats("override", 0, "vibration", "buzzer")
    assert bench.wake_ms() == ms(NEVER_US)


def test_in_stealth_the_buzzer_is_silent_and_vibration_stays(bench: Bench) -> None:
    for name in CUES:
        begin_ms = ms(bench.clock.now_us())
        bench.board.cue(name, bench.clock.now_us(), silent=True)
        assert bench.play(begin_ms + 10_000) == beats(name, begin_ms, "vibration")


def test_a_counted_press_is_felt_and_not_heard(bench: Bench) -> None:
    bench.board.cue("count-3", us(0), silent=False)
    assert bench.play(5000) == beats("count-3", 0, "vibration")


@pytest.mark.parametrize("later", ["failed", "refused"])
def test_a_cue_of_equal_or_higher_priority_takes_the_place_of_one_that_is_playing(bench: Bench, later: str) -> None:
    first = "stopped" if later == "refused" else "marker"
    assert CUES[later].priority >= CUES[first].priority
    bench.board.cue(first, us(0), silent=True)
    assert bench.play(50) == [(0, "vibration", True)]
    bench.board.cue(later, us(50), silent=True)
    played = bench.play(10_000)
    restarted = [(50.0, "vibration", False), (50.0, "vibration", True)]
    assert [each for each in played if each not in restarted] == beats(later, 50, "vibration")[1:]


def test_a_cue_of_lower_priority_waits_and_never_cuts_off(bench: Bench) -> None:
    bench.board.cue("recording", us(0), silent=False)
    bench.board.cue("notice-prompt", us(0), silent=False)
    whole = beats("recording", 0, "vibration", "buzzer")
    assert bench.play(10_000) == whole + beats("notice-prompt", whole[-1][0] + 500, "vibration", "buzzer")


def test_of_those_that_wait_the_one_that_matters_most_is_played(bench: Bench) -> None:
    bench.board.cue("refused", us(0), silent=True)
    for name in ("fault-over", "stop-asked", "battery-low", "marker", "remind-recording"):
        bench.board.cue(name, us(0), silent=True)
    whole = beats("refused", 0, "vibration")
    assert bench.play(10_000) == whole + beats("marker", whole[-1][0] + 500, "vibration")


@settings(modest, max_examples=50)
@given(st.lists(st.tuples(st.sampled_from(sorted(CUES)), st.integers(0, 1500)), max_size=12))
def test_whatever_cues_come_none_of_higher_priority_is_cut_off_and_all_ends_silent(
    cues: list[tuple[str, int]],
) -> None:
    bench = Bench(wiring=Wiring())
    begun: list[tuple[float, str]] = []
    for name, wait_ms in cues:
        bench.play(ms(bench.clock.now_us()) + wait_ms)
        player = bench.board._player
        before = player._playing
        bench.board.cue(name, bench.clock.now_us(), silent=False)
        if before is not None and before.cue.priority > CUES[name].priority:
            assert player._playing is before
        else:
            assert player._playing is not None
            assert player._playing.cue == CUES[name]
        begun.append((ms(bench.clock.now_us()), name))
    bench.play(ms(bench.clock.now_us()) + 20_000)
    assert not any(bench.outputs().values())
    assert bench.wake_ms() == ms(NEVER_US)
    bench.close()


def test_a_cue_seen_late_ends_silent(bench: Bench) -> None:
    bench.board.cue("failed", us(0), silent=False)
    bench.clock.move_to(us(60_000))
    assert bench.play(70_000) == []
    assert not any(bench.outputs().values())


def test_a_board_closed_during_a_cue_leaves_its_pins(bench: Bench) -> None:
    bench.board.cue("stopped", us(0), silent=False)
    bench.board.play(us(0))
    assert bench.outputs()["buzzer"]
    bench.board.close()
    bench.board.close()
    assert bench.factory.pin(PINS.buzzer).function == "input"


def test_a_cue_asked_for_while_a_button_settles_wakes_for_both(bench: Bench) -> None:
    bench.contact("record", False, 10, 15)
    bench.take(15)
    bench.board.cue("marker", us(15), silent=False)
    assert [ms(bench.board.play(us(15))), ms(bench.board.play(us(135)))] == [30, 30]


# -- the hand that plays on it --------------------------------------------------------------------------------------


class Played:
    """A board with a thumb on it, in virtual time."""

    def __init__(self, positions: dict[str, bool] | None = None, seed: int = 1) -> None:
        self.clock = VirtualClock("test-boot", START_US)
        self.factory = MockFactory(pin_class=MockPWMPin)
        self.thumb = Thumb(self.factory, WIRING, self.clock, Wake(), seed, positions)
        self.board = Board(WIRING, "street", self.factory, self.clock, lambda: None)

    def run(self, until_ms: float) -> list[tuple[float, str, object]]:
        said: list[Input] = []
        for _ in range(MOST_TURNS):
            now_us = self.clock.now_us()
            due_us = self.thumb.run_once(now_us)
            said += self.board.take(now_us)
            due_us = min(due_us, self.board.play(now_us))
            if due_us > us(until_ms):
                self.clock.move_to(us(until_ms))
                self.board.close()
                self.factory.close()
                return [told(came) for came in said]
            self.clock.move_to(max(due_us, now_us))
        raise AssertionError("the board wants to be called again and again")


@pytest.mark.parametrize("seed", range(5))
def test_every_verb_of_the_hand_with_its_bounce(seed: int) -> None:
    played = Played(seed=seed)
    thumb = played.thumb
    thumb.press("record")
    thumb.zone("school")
    thumb.trigger("holster")
    thumb.switch("sleep", True)
    thumb.battery("critical")
    said = played.run(1000)
    assert {each[1:] for each in said if each[1] not in ("record", "battery")} == {
        ("holster", "use-of-force"), ("sleep", True), ("zone", "school"),
    }  # fmt: skip
    assert [level for _, part, level in said if part == "battery"][-1] == "critical"
    assert [(name, pressed) for _, name, pressed in said if name == "record"] == [("record", True), ("record", False)]


def test_a_zone_without_a_line_is_where_the_switch_closes_none() -> None:
    positions: dict[str, bool] = {"zone-private": True}
    played = Played(positions)
    played.thumb.zone("street")
    assert [each[1:] for each in played.run(1000)] == [("zone", "private"), ("zone", "street")]
    assert positions == {"zone-private": False}


@pytest.mark.parametrize("seed", range(5))
def test_a_switch_that_is_there_already_does_not_move(seed: int) -> None:
    played = Played(seed=seed)
    played.thumb.battery("low")
    played.thumb.switch("sleep", False)
    played.thumb.unstick("record")
    assert [each[1:] for each in played.run(30_000)] == [("battery", "low")]


def test_where_the_switches_are_outlives_the_board() -> None:
    positions: dict[str, bool] = {}
    first = Played(positions)
    first.thumb.zone("school")
    first.thumb.switch("sleep", True)
    first.thumb.press("record")
    first.run(50)
    assert sorted(Played(positions).run(1000)) == [(0, "sleep", True), (0, "zone", "school")]


def test_a_stuck_and_a_chattering_contact() -> None:
    played = Played()
    played.thumb.stick("function")
    played.thumb.chatter("record", 3000, 25)
    said = played.run(30_000)
    assert {each[1:] for each in said if str(each[1]).startswith("fault")} == {
        ("fault button-function", True), ("fault button-record", True), ("fault button-record", False),
    }  # fmt: skip
    assert len([each for each in said if each[1] == "record"]) == MOST


def test_a_contact_that_a_busy_machine_drives_late_is_stamped_when_it_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpiozero.pins.mock.monotonic", lambda: 1000.0)
    clock, factory = VirtualClock("test-boot", START_US), MockFactory(pin_class=MockPWMPin)
    thumb = Thumb(factory, WIRING, clock, Wake())
    stamped: list[tuple[float, int]] = []

    def hear(ticks: float, state: int) -> None:
        stamped.append((ticks, state))

    pin = factory.pin(WIRES["record"].pin)
    pin.pull, pin.when_changed = "up", hear
    thumb.contacts.bounce_us = 201
    thumb.press("record", length_ms=120)
    clock.move_to(us(500))
    assert thumb.run_once(clock.now_us()) == NEVER_US
    assert [(round(ticks, 2), level) for ticks, level in (stamped[0], stamped[-1])] == [(999.5, 0), (999.62, 1)]


def test_presses_that_come_in_one_heap_are_as_far_apart_as_a_finger_s() -> None:
    played = Played()
    for pressed in (True, False, True, False):
        played.thumb.switch("record", pressed)
    assert [(round(at), pressed) for at, name, pressed in played.run(1000) if name == "record"] == [
        (0, True), (60, False), (120, True), (180, False),
    ]  # fmt: skip


def test_lines_of_text_play_on_the_board() -> None:
    clock = VirtualClock("test-boot", START_US)
    hardware = TwinHardware(clock, wiring=WIRING)
    board = Board(WIRING, "street", hardware.pin_factory(), clock, lambda: None)
    said: list[str] = []
    for line in (
        "zone school", "sleep on", "trigger holster", "battery low", "stick function", "unstick function",
        "chatter record 1000 20", "double record", "hold record 3200",
    ):  # fmt: skip
        assert lines_of_text.play(hardware, line) == "", line
    for wrong in (
        "sleep maybe",
        "stick zone",
        "chatter record 10 0",
        "chatter record 10001 20",
        "battery full",
        "battery -1%",
        "memory -5",
    ):
        assert lines_of_text.play(hardware, wrong).startswith(f"{wrong}: must be {wrong.split()[0]} "), wrong
    for _ in range(400):
        clock.move_to(clock.now_us() + 10_000)
        hardware.thumb.run_once(clock.now_us())
        said += [told(came)[1] for came in board.take(clock.now_us())]
    assert {"zone", "sleep", "holster", "battery", "function", "record"} <= set(said)
    board.close()
    hardware.pin_factory().close()

"""A fuel gauge that may say anything: levels that do not flap, and a fault where it is of no use."""

from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device.charge import BETTER_US, MISSING_US, STUCK_US, Charge, Gauge, Limits

S = 1_000_000
LIMITS = Limits(low_percent=20, critical_percent=8, low_mv=3_400, critical_mv=3_200)
NO_VOLTAGE = Limits(low_percent=20, critical_percent=8, low_mv=0, critical_mv=0)
FLAPPING_S = 600

modest = settings(max_examples=150, derandomize=True, deadline=None, database=None)


class Look:
    """One reading a second."""

    def __init__(self, limits: Limits = LIMITS) -> None:
        self.charge = Charge(limits, 0)
        self.now_us = 0
        self.levels: list[str] = []

    def at(self, *readings: Gauge | None) -> "Look":
        for gauge in readings:
            self.now_us += S
            self.charge.look(gauge, self.now_us)
            self.levels.append(self.charge.level)
        return self

    def changes(self) -> list[str]:
        return [b for a, b in zip(["good", *self.levels], self.levels, strict=False) if a != b]


def said(percents: Iterable[int | None], voltage_mv: int | None = 3_900) -> list[Gauge | None]:
    """A gauge whose voltage moves a little, as a cell's does."""
    return [Gauge(percent, None if voltage_mv is None else voltage_mv + n % 2) for n, percent in enumerate(percents)]


def test_it_falls_and_rises() -> None:
    look = Look().at(*said(range(100, 0, -1)))
    assert look.changes() == ["low", "critical"]
    assert look.levels.index("low") == 82, "20 % is low, two readings later"
    assert look.levels.index("critical") == 94, "8 % is critical, two readings later"
    look.at(*said([value for value in range(1, 100) for _ in range(3)]), *said([99] * 60))
    assert look.changes() == ["low", "critical", "low", "good"]


def test_what_is_better_must_be_so_for_a_while() -> None:
    look = Look().at(*said([15] * 10))
    look.at(*said([90] * (BETTER_US // S + 3)))
    assert look.levels[-2:] == ["low", "good"]


@pytest.mark.parametrize("absurd", [-5, 1000, 255, 111, None])
def test_what_is_absurd_is_no_reading(absurd: int | None) -> None:
    look = Look().at(*said([50] * 10), *said([absurd] * 9))
    assert (look.charge.level, look.charge.fault) == ("good", "")
    look.at(*said([absurd]))
    assert (look.charge.level, look.charge.fault) == ("good", "the fuel gauge has said nothing of use for 10 s")
    look.at(*said([50]))
    assert look.charge.fault == ""


def test_a_gauge_that_vanishes_leaves_the_level_as_it_was() -> None:
    look = Look().at(*said([15] * 10), *[None] * (MISSING_US // S))
    assert (look.charge.level, look.charge.fault) == ("low", "the fuel gauge has said nothing of use for 10 s")


def test_one_that_never_was_is_a_fault_and_no_level() -> None:
    look = Look().at(*[None] * (MISSING_US // S - 1))
    assert look.charge.fault == ""
    look.at(None)
    assert (look.charge.level, look.charge.fault) == ("good", "the fuel gauge has said nothing of use for 10 s")


def test_a_spike_is_nothing() -> None:
    assert Look().at(*said([50, 50, 50, 0, 50, 50, 0, 50, 50, 50])).changes() == []


def test_a_gauge_that_flaps_does_not_flood() -> None:
    assert Look().at(*said([5, 90] * FLAPPING_S)).changes() == ["critical"]


def test_one_that_stands_still_is_caught_by_its_voltage() -> None:
    look = Look().at(*said([80] * 10), *said([80] * 10, 3_350), *said([80] * 10, 3_150))
    assert look.changes() == ["low", "critical"]


def test_a_voltage_that_nobody_asked_for_is_not_looked_at() -> None:
    assert Look(NO_VOLTAGE).at(*said([80] * 10, 3_000)).changes() == []


@pytest.mark.parametrize("absurd_mv", [0, -3, 5_000_000, None])
def test_a_voltage_that_is_absurd_counts_for_nothing(absurd_mv: int | None) -> None:
    assert Look().at(*[Gauge(80, absurd_mv)] * 20).changes() == []


def test_one_that_stands_still_altogether_is_a_fault() -> None:
    look = Look()
    for at_us in range(0, STUCK_US + 1, 60 * S):
        look.charge.look(Gauge(80, 3_900), at_us)
    assert look.charge.fault == "the fuel gauge has said 80 % and 3900 mV for 2 h"
    look.charge.look(Gauge(80, 3_899), STUCK_US + S)
    assert look.charge.fault == ""


@modest
@given(
    st.integers(0, 100),
    st.lists(st.integers(0, 3), min_size=20, max_size=200),
)
def test_noise_below_the_hysteresis_never_flaps(base: int, noise: list[int]) -> None:
    levels = ["good", "low", "critical"]
    changes = Look(NO_VOLTAGE).at(*said([min(100, base + each) for each in noise])).changes()
    assert changes == sorted(changes, key=levels.index)


@modest
@given(
    st.lists(
        st.one_of(
            st.none(),
            st.builds(Gauge, st.none() | st.integers(-(10**9), 10**9), st.none() | st.integers(-(10**9), 10**9)),
        ),
        max_size=300,
    )
)
def test_whatever_it_says_there_is_no_flood(readings: list[Gauge | None]) -> None:
    """Better is told after half a minute, so there are never more changes than that allows."""
    changes = Look().at(*readings).changes()
    assert len(changes) <= 2 + 3 * (len(readings) * S // BETTER_US)

"""What is given up as it gets hot: a table, and what holds for every temperature there can be."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device.shedding import Limits, Shedding, Step

S = 1_000_000
FROM_MC = (70_000, 74_000, 78_000)
COOLER_MC = 5_000
DWELL_US = 30 * S
LIMITS = Limits(FROM_MC, COOLER_MC, DWELL_US)
AT_ONCE = Limits(FROM_MC, COOLER_MC, 0)
NONE, OVERLAY, BITRATE, RATE = Step

modest = settings(max_examples=150, derandomize=True, deadline=None, database=None)
temperatures = st.integers(30_000, 110_000)
histories = st.lists(temperatures, min_size=1, max_size=60)


def steps(limits: Limits, history: list[int], every_us: int = S) -> list[Step]:
    shedding = Shedding(limits)
    return [shedding.look(temperature_mc, n * every_us) for n, temperature_mc in enumerate(history)]


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        ([69_999], [NONE]),
        ([70_000], [OVERLAY]),
        ([70_000, 65_001], [OVERLAY, OVERLAY]),
        ([70_000, 65_000], [OVERLAY, NONE]),
        ([90_000] * 5, [OVERLAY, BITRATE, RATE, RATE, RATE]),
        (
            [90_000, 90_000, 90_000, 73_001, 73_000, 69_000, 65_000],
            [OVERLAY, BITRATE, RATE, RATE, BITRATE, OVERLAY, NONE],
        ),
        (
            [90_000, 90_000, 90_000, 20_000, 20_000, 20_000, 20_000],
            [OVERLAY, BITRATE, RATE, BITRATE, OVERLAY, NONE, NONE],
        ),
        ([74_000, 74_000, 69_001, 78_000], [OVERLAY, BITRATE, BITRATE, RATE]),
    ],
)
def test_the_table(history: list[int], expected: list[Step]) -> None:
    assert steps(AT_ONCE, history) == expected


def test_no_step_within_the_dwell_of_the_one_before() -> None:
    shedding = Shedding(LIMITS)
    assert shedding.look(90_000, 0) is OVERLAY
    assert shedding.look(90_000, DWELL_US - 1) is OVERLAY
    assert shedding.look(90_000, DWELL_US) is BITRATE
    assert shedding.look(20_000, 2 * DWELL_US - 1) is BITRATE
    assert shedding.look(20_000, 2 * DWELL_US) is OVERLAY


@modest
@given(histories, st.lists(st.integers(0, 30_000), min_size=60, max_size=60))
def test_hotter_never_gives_up_less(history: list[int], more: list[int]) -> None:
    hotter = [temperature_mc + by for temperature_mc, by in zip(history, more, strict=False)]
    assert all(a <= b for a, b in zip(steps(AT_ONCE, history), steps(AT_ONCE, hotter), strict=True))


@modest
@given(temperatures, temperatures)
def test_what_it_settles_on_grows_with_the_temperature(a_mc: int, b_mc: int) -> None:
    cooler_mc, hotter_mc = sorted((a_mc, b_mc))
    settled = [steps(LIMITS, [temperature_mc] * 4, DWELL_US)[-1] for temperature_mc in (cooler_mc, hotter_mc)]
    assert settled[0] <= settled[1]


@modest
@given(histories, temperatures, st.lists(st.integers(0, COOLER_MC - 1), min_size=1, max_size=200))
def test_noise_below_the_hysteresis_never_flaps(before: list[int], base_mc: int, noise: list[int]) -> None:
    """From wherever it is: steps go one way only."""
    after = steps(AT_ONCE, before + [base_mc + each for each in noise])[len(before) - 1 :]
    changes = [b - a for a, b in itertools.pairwise(after) if a is not b]
    assert len(set(changes)) <= 1


@modest
@given(histories, st.integers(1, 3 * DWELL_US))
def test_every_step_rests_for_the_dwell(history: list[int], every_us: int) -> None:
    taken = steps(LIMITS, history, every_us)
    changed_us = [n * every_us for n in range(len(taken)) if taken[n] is not (taken[n - 1] if n else NONE)]
    assert all(b - a >= DWELL_US for a, b in itertools.pairwise(changed_us))


@modest
@given(histories)
def test_one_step_at_a_time_and_everything_comes_back(history: list[int]) -> None:
    taken = steps(LIMITS, history + [60_000] * 4, DWELL_US)
    assert all(abs(b - a) <= 1 for a, b in zip([NONE, *taken], taken, strict=False))
    assert taken[-1] is NONE

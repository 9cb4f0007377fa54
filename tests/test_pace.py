"""A sound card's count of samples into boot time, in virtual time: drift, jitter, late threads, lost sound."""

import random
from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest

from device.media.pace import SETTLE_US, STEP_US, Pace

RATE_HZ = 48_000
BLOCK = 2_400
PACKET = 1_024
HOUR_S = 3_600
LIMIT_US = 40_000


class Card:
    """A sound card that drifts, and the thread that reads it a block at a time."""

    def __init__(self, drift_ppm: float, late_us: Callable[[float], float], zero_us: int = 90_000_000) -> None:
        self.pace = Pace(RATE_HZ)
        self.zero_us = zero_us
        self.lost_us = 0.0
        self._period_us = 1_000_000 / (RATE_HZ * (1 + drift_ppm / 1e6))
        self._late_us = late_us
        self._packet = 0

    def true_us(self, sample: int) -> float:
        return self.zero_us + self.lost_us + sample * self._period_us

    def run(self, from_s: float, to_s: float) -> Iterator[tuple[int, float]]:
        """Each packet's time, and by how much it is off, in µs."""
        for block in range(round(from_s * RATE_HZ / BLOCK) + 1, round(to_s * RATE_HZ / BLOCK) + 1):
            captured_us = self.true_us(block * BLOCK)
            self.pace.heard(block * BLOCK, int(captured_us + max(0.0, self._late_us(block * BLOCK / RATE_HZ))))
            while self.pace.settled and (self._packet + 3) * PACKET <= block * BLOCK:
                at_us = self.pace.at_us(self._packet * PACKET)
                yield at_us, at_us - self.true_us(self._packet * PACKET)
                self._packet += 1


def usb(odds: random.Random) -> Callable[[float], float]:
    """Up to 4 ms of frames on the bus, a scheduler's tail, and once in a while a thread that is held up for long."""

    def late_us(_: float) -> float:
        held_up = odds.uniform(20_000, 180_000) if odds.random() < 0.01 else 0.0
        return odds.uniform(0, 4_000) + odds.expovariate(1 / 800) + held_up

    return late_us


def rises(times: list[int]) -> bool:
    return all(before < after for before, after in pairwise(times))


@pytest.mark.parametrize("drift_ppm", [-200, 0, 200])
def test_an_hour_of_drift_and_jitter_stays_in_step(drift_ppm: int) -> None:
    card = Card(drift_ppm, usb(random.Random(f"pace {drift_ppm}")))
    packets = list(card.run(0, HOUR_S))
    assert len(packets) > 168_000
    assert rises([at_us for at_us, _ in packets])
    assert max(abs(off_us) for _, off_us in packets) <= 5_000
    steps = [after - before for (before, _), (after, _) in pairwise(packets)]
    assert max(steps) < 22_500, "no packet is later than its turn: no false hole"
    assert min(steps) > 20_000


@pytest.mark.parametrize("seed", range(8))
def test_a_machine_that_is_busy_for_seconds_at_a_time(seed: int) -> None:
    """Every fifth second half, all deliveries are up to 25 ms late: wrong by no more than that, and it comes back."""
    odds = random.Random(f"busy {seed}")
    quiet = usb(odds)

    def late_us(at_s: float) -> float:
        return quiet(at_s) + (odds.uniform(10_000, 25_000) if at_s % 20 > 15 else 0)

    card = Card(odds.uniform(-200, 200), late_us)
    packets = list(card.run(0, 300))
    assert rises([at_us for at_us, _ in packets])
    assert max(abs(off_us) for _, off_us in packets) <= LIMIT_US


def test_late_first_deliveries_are_listened_out() -> None:
    card = Card(150, lambda at_s: 60_000 if at_s < 0.15 else 500)
    packets = list(card.run(0, 60))
    assert max(abs(off_us) for _, off_us in packets) <= 5_000


def test_no_time_is_given_before_it_has_settled() -> None:
    card = Card(0, lambda _: 0)
    assert list(card.run(0, SETTLE_US / 1e6 - 0.05)) == []
    assert len(list(card.run(SETTLE_US / 1e6 - 0.05, 1))) == 44


def test_a_card_without_drift_keeps_exact_times() -> None:
    card = Card(0, lambda _: 0)
    assert {round(off_us) for _, off_us in card.run(0, 120)} == {0}


def test_sound_that_was_lost_unsaid_becomes_a_hole_and_nothing_after_it_is_off() -> None:
    card = Card(100, usb(random.Random("lost")))
    before = list(card.run(0, 60))
    card.lost_us = 120_000
    after = list(card.run(60, 120))
    assert rises([at_us for at_us, _ in before + after])
    assert max(abs(off_us) for _, off_us in after[150:]) <= 5_000
    steps = [b[0] - a[0] for a, b in pairwise(before + after)]
    assert [step for step in steps if step > STEP_US] == [pytest.approx(141_333, abs=6_000)]


def test_lateness_that_ends_is_proven_wrong_at_once() -> None:
    card = Card(0, lambda at_s: 20_000 if at_s < 30 else 0)
    off = [off_us for _, off_us in card.run(0, 90)]
    assert max(map(abs, off)) <= 21_500
    assert abs(off[32 * 47]) <= 10_000
    assert max(map(abs, off[-47:])) <= 1_000


@pytest.mark.parametrize("drift_ppm", [-5_000, 4_000, 5_000])
def test_a_card_that_is_far_off_is_followed(drift_ppm: int) -> None:
    card = Card(drift_ppm, usb(random.Random("far")))
    assert max(abs(off_us) for _, off_us in card.run(0, 600)) <= LIMIT_US

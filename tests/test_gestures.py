"""Edges to gestures, without the machine: what a button tells, and when."""

import pytest

from device.policy import gestures
from device.policy.gestures import Button, Told

DOUBLE_US = 500_000
HOLD_US = 3_000_000


def told(*edges_ms: float, until_ms: float = 60_000, hold: str = "hold") -> list[tuple[float, str, float]]:
    """Edges in ms, pressed first and released next; what is told: when, what, and the leading edge that it bears."""
    button = Button()
    said: list[tuple[float, str, float]] = []

    def note(at_us: int, gesture: Told | None) -> None:
        if gesture is not None:
            said.append((at_us / 1000, gesture.gesture, gesture.pressed_us / 1000))

    for n, edge_ms in enumerate((*edges_ms, until_ms)):
        at_us = round(edge_ms * 1000)
        while (due_us := gestures.deadline_us(button, DOUBLE_US)) is not None and due_us <= at_us:
            button, gesture = gestures.elapsed(button)
            note(due_us, gesture)
        if n == len(edges_ms):
            break
        if n % 2 == 0:
            button, now = gestures.pressed(button, at_us, DOUBLE_US, hold, HOLD_US)
        else:
            button, now = gestures.released(button, at_us, DOUBLE_US)
        note(at_us, now)
    return said


@pytest.mark.parametrize(
    ("edges_ms", "expected"),
    [
        ((0, 100), [(500.001, "press", 0)]),
        ((0, 499), [(500.001, "press", 0)]),
        ((0, 500), [(500.001, "press", 0)]),
        ((0, 501), [(501, "press", 0)]),
        ((0, 2999), [(2999, "press", 0)]),
        ((0, 3000), [(3000, "hold", 0)]),
        ((0, 9000), [(3000, "hold", 0)]),
        ((0,), [(3000, "hold", 0)]),
        ((0, 100, 300, 400), [(300, "double", 300)]),
        ((0, 100, 500, 600), [(500, "double", 500)]),
        ((0, 100, 500.001, 600), [(500.001, "press", 0), (1000.002, "press", 500.001)]),
        ((0, 100, 501, 600), [(500.001, "press", 0), (1001.001, "press", 501)]),
        ((0, 100, 300, 9000), [(300, "double", 300)]),
        ((0, 100, 300, 9000, 9100, 9200), [(300, "double", 300), (9600.001, "press", 9100)]),
        ((0, 100, 200, 300, 400, 450), [(200, "double", 200), (900.001, "press", 400)]),
        ((0, 100, 200, 300, 400, 450, 500, 550), [(200, "double", 200), (500, "double", 500)]),
        ((0, 400, 450, 3600), [(450, "double", 450)]),
        ((0, 3000, 3100, 3200), [(3000, "hold", 0), (3600.001, "press", 3100)]),
    ],
)
def test_what_edges_tell(edges_ms: tuple[float, ...], expected: list[tuple[float, str, float]]) -> None:
    assert told(*edges_ms) == expected


def test_a_hold_has_the_name_and_length_of_its_leading_edge() -> None:
    button, _ = gestures.pressed(Button(), 0, DOUBLE_US, "emergency-hold", 1_000_000)
    again, nothing = gestures.pressed(button, 500_000, DOUBLE_US, "stop-hold", HOLD_US)
    assert (again, nothing) == (button, None)
    assert gestures.deadline_us(again, DOUBLE_US) == 1_000_000
    held, gesture = gestures.elapsed(again)
    assert gesture == Told("emergency-hold", 0)
    assert gestures.deadline_us(held, DOUBLE_US) is None


def test_a_release_of_what_is_not_held_changes_nothing() -> None:
    assert gestures.released(Button(), 5, DOUBLE_US) == (Button(), None)


def test_a_button_at_rest_is_as_new() -> None:
    button, _ = gestures.pressed(Button(), 0, DOUBLE_US, "hold", HOLD_US)
    button, _ = gestures.elapsed(button)
    button, nothing = gestures.released(button, 9_000_000, DOUBLE_US)
    assert (button.down_us, button.waiting_us, button.spent, nothing) == (None, None, False, None)
    assert gestures.deadline_us(button, DOUBLE_US) is None

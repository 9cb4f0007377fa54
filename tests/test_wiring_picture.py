"""The wiring diagram is drawn from the pins that the configuration has by default, and its lines don't cross."""

import itertools
import re
from xml.etree import ElementTree

import msgspec
import pytest

from device.tables import Board
from docs.refresh import DOCS
from docs.wiring import BCM_OF_PIN, SUPPLY, parts, svg

SWAPPED = Board(record_button=25, function_button=4, recording_light=21, ready_light=26, buzzer=14, vibration=5)


def test_the_picture_is_fresh() -> None:
    assert (DOCS / "wiring.svg").read_text("utf-8") == svg(Board()), "stale: run `python -m docs.refresh`"


def test_the_header_has_every_pin_once() -> None:
    assert sorted([*BCM_OF_PIN, *SUPPLY]) == list(range(1, 41))
    assert sorted(BCM_OF_PIN.values()) == list(range(28))


def test_every_line_that_has_a_default_is_drawn_at_its_pin() -> None:
    pins = {part.title: part.pins[0] for part in parts(Board())}
    assert pins == {
        "Fuel gauge and clock (I²C)": 3, "Record button": 11, "Function button": 13, "Recording light (red)": 15,
        "Ready light (green)": 16, "Buzzer": 18, "Vibration motor": 22,
    }  # fmt: skip
    lines = [name for name, value in msgspec.structs.asdict(Board()).items() if value in BCM_OF_PIN.values()]
    assert [name for name in lines if name not in ("debounce_ms", "stuck_after_s", "chatter_edges")] == [
        "record_button", "function_button", "recording_light", "ready_light", "buzzer", "vibration",
    ]  # fmt: skip


def _wires(picture: str) -> list[list[tuple[int, int]]]:
    """The corners of each line, from the pin to the box."""
    found = re.findall(r'class="w" d="M(\d+) (\d+)H(\d+)V(\d+)H(\d+)"', picture)
    return [[(a, b), (c, b), (c, d), (e, d)] for a, b, c, d, e in (map(int, numbers) for numbers in found)]


def _meet(one: tuple[tuple[int, int], tuple[int, int]], other: tuple[tuple[int, int], tuple[int, int]]) -> bool:
    """Whether two upright or level pieces touch."""
    spans = [[(min(p[axis], q[axis]), max(p[axis], q[axis])) for axis in (0, 1)] for p, q in (one, other)]
    return all(a[0] <= b[1] and b[0] <= a[1] for a, b in zip(*spans, strict=True))


@pytest.mark.parametrize("board", [Board(), SWAPPED])
def test_no_two_lines_touch(board: Board) -> None:
    wires = _wires(svg(board))
    assert len(wires) == 8
    for one, other in itertools.combinations(wires, 2):
        assert not any(_meet(a, b) for a in itertools.pairwise(one) for b in itertools.pairwise(other)), (one, other)


def test_it_is_a_picture_that_needs_nothing_from_elsewhere() -> None:
    picture = ElementTree.fromstring(svg(Board()))  # noqa: S314 - our own
    assert picture.tag == "{http://www.w3.org/2000/svg}svg"
    assert "href" not in svg(Board())

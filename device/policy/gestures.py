"""Edges to presses, double presses and holds. PURE; the state lives in the machine's.

A double press acts on its second leading edge. A single press is told only when its double-press window has passed
without a second and the button is up again; it bears the time of its leading edge. A hold acts when its length is
reached, and one hold is one gesture until release. What a hold means, and its length, is settled at its leading edge.
"""

import msgspec


class Told(msgspec.Struct, frozen=True):
    """A gesture, decided: `press`, `double`, or the hold's own name. `pressed_us` is the leading edge that it bears."""

    gesture: str
    pressed_us: int


class Button(msgspec.Struct, frozen=True):
    """`down_us`: held since. `waiting_us`: the leading edge of a press that may still become a double or a hold.
    `spent`: what is held has given its gesture already."""

    down_us: int | None = None
    hold: str = ""
    hold_us: int = 0
    waiting_us: int | None = None
    spent: bool = False


def pressed(button: Button, at_us: int, double_us: int, hold: str, hold_us: int) -> tuple[Button, Told | None]:
    """A leading edge. `hold` is what holding this one means, `hold_us` the length that counts."""
    if button.down_us is not None:
        return button, None
    if button.waiting_us is not None and at_us - button.waiting_us <= double_us:
        return Button(down_us=at_us, hold=hold, hold_us=hold_us, spent=True), Told("double", at_us)
    return Button(down_us=at_us, hold=hold, hold_us=hold_us, waiting_us=at_us), None


def released(button: Button, at_us: int, double_us: int) -> tuple[Button, Told | None]:
    """A trailing edge."""
    if button.waiting_us is None:
        return Button(), None
    if at_us - button.waiting_us > double_us:
        return Button(), Told("press", button.waiting_us)
    return msgspec.structs.replace(button, down_us=None), None


def deadline_us(button: Button, double_us: int) -> int | None:
    """When time alone decides: the hold of what is down, or the end of the window of what is up."""
    if button.down_us is not None:
        return None if button.spent else button.down_us + button.hold_us
    return None if button.waiting_us is None else button.waiting_us + double_us + 1


def elapsed(button: Button) -> tuple[Button, Told]:
    """The deadline of `deadline_us` has come."""
    if button.down_us is not None:
        return msgspec.structs.replace(button, waiting_us=None, spent=True), Told(button.hold, button.down_us)
    assert button.waiting_us is not None, "a deadline came that was not set"
    return Button(), Told("press", button.waiting_us)

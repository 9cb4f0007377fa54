"""A line of the twin's board: gpiozero's mock pin, without its memory. Any thread.

gpiozero's own keeps every state that a pin ever had, for tests to look at: on a device that is on for days that is a leak,
some thousand entries an hour for a light that blinks.
"""

from collections import deque

from gpiozero.pins.mock import MockPWMPin


class TwinPin(MockPWMPin):  # type: ignore[misc] # gpiozero ships no types
    """`states` holds the last one alone."""

    def clear_states(self) -> None:
        super().clear_states()
        self.states = deque(self.states, maxlen=1)  # type: ignore[has-type]

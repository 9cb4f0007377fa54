"""What a self-test needs a person for: buttons, switches, triggers, lights, buzzer, vibration. Main thread.

Each part waits for a while, and is skipped by a typed `s`. A question is answered by a press (record: yes, function: no),
or by a typed `y` or `n`.
"""

from collections import deque
from collections.abc import Callable, Iterator

from device.clock import Clock
from device.controls.board import Board
from device.policy.inputs import Docked, Edge, Input, SleepSwitched, Triggered, ZoneEntered
from device.policy.signals import FAST, OFF, Lights
from device.selftest_machine import Checked
from device.tables import Wiring

LIMIT_US = 20_000_000
LOOK_US = 20_000
_QUESTION = "record button: yes; function button: no"


class Hands:
    """`say` shows a line to the person; `typed` is what they type; `pause` lets some µs pass."""

    def __init__(
        self, board: Board, clock: Clock, say: Callable[[str], None], typed: deque[str], pause: Callable[[int], None]
    ) -> None:
        self._board = board
        self._clock = clock
        self._say = say
        self._typed = typed
        self._pause = pause

    def check(self, wiring: Wiring) -> Iterator[Checked]:
        self._board.show(Lights(OFF, OFF))
        for button in ("record", "function"):
            yield self._seen(f"button-{button}", f"press the {button} button", _is_press(button))
        yield self._asked("light-recording", "does the recording light blink fast?", lights=Lights(FAST, OFF))
        yield self._asked("light-ready", "does the ready light blink fast?", lights=Lights(OFF, FAST))
        yield self._asked("vibration", "did you feel it vibrate twice?", silent=True)
        yield self._asked("buzzer", "did you hear it buzz twice?", silent=False)
        if wiring.board.sleep_switch is not None:
            yield self._seen("switch-sleep", "turn the sleep switch on, then off", _is_sleep)
        if wiring.board.dock is not None:
            yield self._seen("switch-dock", "put it into the dock, then take it out", _is_docked)
        for zone in wiring.switches.zones:
            yield self._seen(f"switch-zone-{zone}", f"turn the zone switch to {zone}, then back", _is_zone(zone))
        for name in wiring.triggers:
            yield self._seen(f"trigger-{name}", f"make the trigger {name} active, then let it go", _is_trigger(name))

    def _seen(self, part: str, asked: str, wanted: Callable[[Input], bool]) -> Checked:
        self._say(f"{asked} (s: skip)")
        came = self._until(lambda given: "seen" if any(wanted(each) for each in given) else "")
        if came == "s":
            return Checked(part, "skipped", "by the person")
        if came == "seen":
            return Checked(part, "pass", "seen")
        return Checked(
            part, "fail", f"nothing came within {LIMIT_US // 1_000_000} s", "check its wiring, and its line in [board]"
        )

    def _asked(self, part: str, question: str, *, lights: Lights | None = None, silent: bool = False) -> Checked:
        self._say(f"{question} ({_QUESTION}; s: skip)")
        if lights is None:
            self._board.cue("recording", self._clock.now_us(), silent=silent)
        else:
            self._board.show(lights)
        came = self._until(_answer)
        self._board.show(Lights(OFF, OFF))
        if came == "s":
            return Checked(part, "skipped", "by the person")
        if came == "y":
            return Checked(part, "pass", "the person says so")
        detail = "the person says no" if came == "n" else f"no answer within {LIMIT_US // 1_000_000} s"
        return Checked(part, "fail", detail, "check its wiring, and its line in [board]")

    def _until(self, judge: Callable[[list[Input]], str]) -> str:
        """What is judged of what comes from the board, or a typed `y`, `n` or `s`; "" when nothing has come in time."""
        self._typed.clear()
        self._board.take(self._clock.now_us())
        until_us = self._clock.now_us() + LIMIT_US
        while self._clock.now_us() < until_us:
            self._pause(LOOK_US)
            now_us = self._clock.now_us()
            said = judge(self._board.take(now_us))
            self._board.play(now_us)
            if said:
                return said
            while self._typed:
                word = self._typed.popleft().strip().lower()[:1]
                if word in ("y", "n", "s"):
                    return word
        return ""


def _answer(given: list[Input]) -> str:
    for button, answer in (("record", "y"), ("function", "n")):
        if any(_is_press(button)(each) for each in given):
            return answer
    return ""


def _is_press(button: str) -> Callable[[Input], bool]:
    return lambda came: isinstance(came, Edge) and came.button == button and came.pressed


def _is_zone(zone: str) -> Callable[[Input], bool]:
    return lambda came: isinstance(came, ZoneEntered) and came.zone == zone


def _is_trigger(name: str) -> Callable[[Input], bool]:
    return lambda came: isinstance(came, Triggered) and came.trigger == name


def _is_docked(came: Input) -> bool:
    return isinstance(came, Docked) and came.on


def _is_sleep(came: Input) -> bool:
    return isinstance(came, SleepSwitched) and came.on

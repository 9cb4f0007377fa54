"""Faults by word: which part, what is wrong with it, and what the twin then does. The whole matrix, in one table.

`FAULTS` has every fault that can be put in, `NOT_SUCH` every cell that has none, with why. The lines, the panel,
scenarios and `bodycam-sim fault` read them; what a fault is made of is in the part's own module. Any thread.
"""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from hw_sim.hardware import TwinHardware

PARTS = (
    "camera", "encoder", "microphone", "card", "clock", "buttons", "lights", "battery", "heat", "signer", "policy",
    "process",
)  # fmt: skip
WORDS = ("off", "stuck", "garbage", "wrong", "slow", "delayed", "intermittent")
CLEAR = "clear"
MANY = 1_000_000
_NUMBER = re.compile(r"[0-9]{1,7}\Z")

PutIn = Callable[["TwinHardware", int], str]
"""Puts a fault in; "" when it is in, what to tell whoever asked otherwise."""


class Injection(msgspec.Struct, frozen=True):
    """One cell. `does`: what the twin then does, in one plain sentence. `argument`: the unit of the number that may stand
    behind the word ("" where none may), `default` what it is when none does. `alternates`: this fault is that word of the
    same part, on for so many seconds and off for as many. `real_only`: not in virtual time."""

    part: str
    word: str
    does: str
    put_in: PutIn | None = None
    argument: str = ""
    default: int = 0
    alternates: str = ""
    real_only: bool = False


def _done(work: "Callable[[TwinHardware, int], None]") -> PutIn:
    def put_in(hardware: "TwinHardware", argument: int) -> str:
        work(hardware, argument)
        return ""

    return put_in


def _camera_off(hardware: "TwinHardware", _: int) -> None:
    hardware.the_camera.die()
    hardware.the_camera.fail_starts(MANY)


def _microphone_off(hardware: "TwinHardware", _: int) -> str:
    if hardware.the_microphone is None:
        return "this bench has no microphone"
    hardware.the_microphone.unplug()
    return ""


FAULTS: tuple[Injection, ...] = (
    Injection("camera", "off", "the camera is gone: silence, and no start of it succeeds", _done(_camera_off)),
    Injection("camera", "intermittent", "it is off and back again, over and over", argument="SECONDS", default=2,
              alternates="off"),
    Injection("microphone", "off", "no microphone: no packet comes", _microphone_off),
    Injection("microphone", "intermittent", "it is unplugged and back again, over and over", argument="SECONDS",
              default=4, alternates="off"),
)  # fmt: skip
NOT_SUCH: dict[tuple[str, str], str] = {}
_BY_CELL = {(fault.part, fault.word): fault for fault in FAULTS}


def _clear_camera(hardware: "TwinHardware") -> None:
    hardware.the_camera.fail_starts(0)


def _clear_microphone(hardware: "TwinHardware") -> None:
    if hardware.the_microphone is not None:
        hardware.the_microphone.replug()


_CLEARS: "dict[str, Callable[[TwinHardware], None]]" = {"camera": _clear_camera, "microphone": _clear_microphone}


def play_fault(hardware: "TwinHardware", words: list[str]) -> str | None:
    """`PART WORD [ARGUMENT]` or `PART clear`: "" when it is done, why not otherwise, None when it can't be read."""
    match words:
        case [part, "clear"] if part in PARTS:
            clear(hardware, part)
            return ""
        case [part, word] if part in PARTS and word in WORDS:
            return put_in(hardware, part, word)
        case [part, word, argument] if part in PARTS and word in WORDS and _NUMBER.match(argument):
            return put_in(hardware, part, word, int(argument))
        case _:
            return None


def put_in(hardware: "TwinHardware", part: str, word: str, argument: int | None = None) -> str:
    """Break a part, in place of how it was broken before. "" when it is done, else why not."""
    fault = _BY_CELL.get((part, word))
    if fault is None:
        return f"fault {part} {word}: there is none: {NOT_SUCH.get((part, word), 'not yet')}"
    if argument is not None and not fault.argument:
        return f"fault {part} {word}: it takes no number"
    clear(hardware, part)
    number = fault.default if argument is None else argument
    said = _break(hardware, fault, number)
    if said:
        return f"fault {part} {word}: {said}"
    hardware.troubles.present[part] = word
    return ""


def _break(hardware: "TwinHardware", fault: Injection, number: int) -> str:
    if not fault.alternates:
        assert fault.put_in is not None, "a fault is put in, or alternates"
        return fault.put_in(hardware, number)
    if not number:
        return "0 seconds are no time"
    part, often = fault.part, _BY_CELL[fault.part, fault.alternates]
    said = _break(hardware, often, often.default)
    if not said:
        hardware.troubles.alternate(
            part, lambda: _break(hardware, often, often.default), lambda: _CLEARS[part](hardware), number
        )
    return said


def clear(hardware: "TwinHardware", part: str) -> None:
    """Mend a part; one that is whole stays so."""
    hardware.troubles.forget(part)
    if hardware.troubles.present.pop(part, None) is not None:
        _CLEARS[part](hardware)

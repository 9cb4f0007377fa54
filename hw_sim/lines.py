"""The one language for what is done to a bench: lines of text, one verb each.

`VERBS` is the table: what a line looks like, what it does, and how. `HELP` is made from it. A tester types the lines,
a pipe or a socket brings them, scenarios and the panel say them. Any thread may play one; none waits.
"""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from hw_sim.board import BUTTONS
from hw_sim.faults import NO_LENS, NO_MICROPHONE, play_fault

if TYPE_CHECKING:
    from hw_sim.hardware import TwinHardware

NO_LINE = "initial"
"""The zone that has no line of its own: the policy's initial one."""
MOST_RATE_HZ = 1000
MOST_CHATTER_MS = 10_000
MOST_NUMBER = 9_999_999
MOST_SAID = 80
_NUMBER = re.compile(r"[0-9]{1,7}\Z")

Carry = Callable[["TwinHardware", list[str]], str | None]
"""Carries out the words behind the verb: "" when it is done, what to tell whoever said it, None when it can't be read."""


class Verb(msgspec.Struct, frozen=True):
    """`usage`: the line as HELP shows it; its first word is the verb. `says`: what it does, in a few words."""

    usage: str
    says: str
    carry: Carry

    @property
    def name(self) -> str:
        return self.usage.split()[0]


def play(hardware: "TwinHardware", line: str) -> str:
    """Carry out one line; what to tell the person who typed it ("" when there is nothing to say)."""
    words = line.split()
    if not words:
        return ""
    verb = _BY_NAME.get(words[0])
    if verb is None:
        return f"{_short(words[0])}: no such verb; one of: {', '.join(_BY_NAME)}"
    said = verb.carry(hardware, words[1:])
    return _misread(verb, words) if said is None else said


def _misread(verb: Verb, words: list[str]) -> str:
    usages = " or ".join(f"{each.usage} ({each.says})" for each in VERBS if each.name == verb.name)
    numbers = [word for word in words[1:] if word.lstrip("-").isdecimal() and not _NUMBER.match(word)]
    bound = f"; a number is whole, from 0 to {MOST_NUMBER}" if numbers else ""
    return f"{_short(' '.join(words))}: must be {usages}{bound}; help has every line"


def _short(said: str) -> str:
    return said if len(said) <= MOST_SAID else said[:MOST_SAID] + " …"


def _press(hardware: "TwinHardware", words: list[str]) -> str | None:
    match words:
        case [button] if button in BUTTONS:
            hardware.thumb.press(button)
        case [button, length] if button in BUTTONS and _NUMBER.match(length):
            hardware.thumb.press(button, length_ms=int(length))
        case _:
            return None
    return ""


def _double(hardware: "TwinHardware", words: list[str]) -> str | None:
    match words:
        case [button] if button in BUTTONS:
            hardware.thumb.double(button)
            return ""
        case _:
            return None


def _hold(hardware: "TwinHardware", words: list[str]) -> str | None:
    return _press(hardware, words) if len(words) == len(("button", "ms")) else None


def _zone(hardware: "TwinHardware", words: list[str]) -> str | None:
    if len(words) != 1:
        return None
    (name,) = words
    if not hardware.thumb.has(f"zone-{name}") and name != NO_LINE:
        zones = ", ".join([*hardware.thumb.names("zone-"), NO_LINE])
        return f"zone {name}: this bench has: {zones} ({NO_LINE}: where no line is closed)"
    hardware.thumb.zone(name)
    return ""


def _trigger(hardware: "TwinHardware", words: list[str]) -> str | None:
    if len(words) != 1:
        return None
    (name,) = words
    if not hardware.thumb.has(f"trigger-{name}"):
        return f"trigger {name}: this bench has: {', '.join(hardware.thumb.names('trigger-')) or 'none'}"
    hardware.thumb.trigger(name)
    return ""


def _switch(name: str) -> Carry:
    def carry(hardware: "TwinHardware", words: list[str]) -> str | None:
        if words not in (["on"], ["off"]):
            return None
        if not hardware.thumb.has(name):
            return f"{name}: this bench has no such switch"
        hardware.thumb.switch(name, words == ["on"])
        return ""

    return carry


def _battery(hardware: "TwinHardware", words: list[str]) -> str | None:
    match words:
        case [("good" | "low" | "critical") as level]:
            hardware.thumb.battery(level)
            return ""
        case _:
            return _sense("battery")(hardware, words)


def _sense(what: str) -> Carry:
    """What a sensor says."""
    return lambda hardware, words: "" if hardware.the_sensors.play(" ".join([what, *words])) else None


def _contact(way: str) -> Carry:
    def carry(hardware: "TwinHardware", words: list[str]) -> str | None:
        match words:
            case [button] if button in BUTTONS:
                hardware.thumb.switch(button, way == "stick")
                return ""
            case _:
                return None

    return carry


def _chatter(hardware: "TwinHardware", words: list[str]) -> str | None:
    match words:
        case [button, length, rate] if (
            button in BUTTONS
            and _NUMBER.match(length)
            and int(length) <= MOST_CHATTER_MS
            and _NUMBER.match(rate)
            and 1 <= int(rate) <= MOST_RATE_HZ
        ):
            hardware.thumb.chatter(button, int(length), int(rate))
            return ""
        case _:
            return None


def _lens(hardware: "TwinHardware", words: list[str]) -> str | None:
    match words:
        case [("covered" | "dark" | "blurred" | "frozen" | "clear") as looks]:
            if hardware.the_lens is None:
                return f"lens {looks}: {NO_LENS}"
            hardware.the_lens.looks = looks
            return ""
        case _:
            return None


def _camera(do: "Callable[[TwinHardware], None]") -> Carry:
    def carry(hardware: "TwinHardware", words: list[str]) -> str | None:
        if words:
            return None
        do(hardware)
        return ""

    return carry


def _counted(do: "Callable[[TwinHardware, int], None]") -> Carry:
    def carry(hardware: "TwinHardware", words: list[str]) -> str | None:
        match words:
            case [count] if _NUMBER.match(count):
                do(hardware, int(count))
                return ""
            case _:
                return None

    return carry


def _microphone(plugged: bool) -> Carry:
    def carry(hardware: "TwinHardware", words: list[str]) -> str | None:
        microphone = hardware.the_microphone
        if words:
            return None
        if microphone is None:
            return NO_MICROPHONE
        (microphone.replug if plugged else microphone.unplug)()
        return ""

    return carry


def _help(hardware: "TwinHardware", words: list[str]) -> str:  # noqa: ARG001 - help helps with anything
    return HELP


VERBS: tuple[Verb, ...] = (
    Verb("press BUTTON [MS]", "press it and let it go; BUTTON: record, function", _press),
    Verb("double BUTTON", "a double press: of record it starts a recording", _double),
    Verb("hold BUTTON MS", "hold it: record for 3200 asks for a stop, press record then confirms it", _hold),
    Verb("zone NAME", "turn the zone switch; initial: where no line is closed", _zone),
    Verb("sleep on|off", "the sleep switch", _switch("sleep")),
    Verb("dock on|off", "into the dock, or out of it", _switch("dock")),
    Verb("trigger NAME", "a trigger is active for a moment", _trigger),
    Verb("battery good|low|critical|PERCENT%|none", "the power supply's lines, or its fuel gauge (health.fuel_gauge)",
         _battery),
    Verb("heat DEGREES|none", "what the thermometer says", _sense("heat")),
    Verb("undervoltage on|off", "the supply is too low", _sense("undervoltage")),
    Verb("memory MIB", "memory that is left", _sense("memory")),
    Verb("card good|worn|erring|read-only", "what the card says of itself", _sense("card")),
    Verb("stick BUTTON", "it is pressed and stays so", _contact("stick")),
    Verb("unstick BUTTON", "and comes up again", _contact("unstick")),
    Verb("chatter BUTTON MS HZ", f"a broken contact closes and opens; MS to {MOST_CHATTER_MS}, HZ 1 to {MOST_RATE_HZ}", _chatter),
    Verb("lens covered|dark|blurred|frozen|clear", "what the lens looks at", _lens),
    Verb("stall", "the camera is silent until resume", _camera(lambda hardware: hardware.the_camera.stall())),
    Verb("resume", "it goes on", _camera(lambda hardware: hardware.the_camera.resume())),
    Verb("drop FRAMES", "so many pictures never come", _counted(lambda hardware, n: hardware.the_camera.drop(n))),
    Verb("die", "the camera is silent until it is started anew", _camera(lambda hardware: hardware.the_camera.die())),
    Verb("fail STARTS", "so many starts of the camera fail",
         _counted(lambda hardware, n: hardware.the_camera.fail_starts(n))),
    Verb("hang", "the camera is silent and does not let go", _camera(lambda hardware: hardware.the_camera.hang())),
    Verb("unplug", "no microphone", _microphone(plugged=False)),
    Verb("replug", "and there it is again", _microphone(plugged=True)),
    Verb("fault PART WORD [ARGUMENT]|clear", "break a part, or mend it: bodycam-sim fault --list", play_fault),
    Verb("help", "this", _help),
)  # fmt: skip


def _made_help() -> str:
    width = max(len(verb.usage) for verb in VERBS)
    return "\n".join(["lines:", *(f"  {verb.usage.ljust(width)}  {verb.says}" for verb in VERBS)])


_BY_NAME = {verb.name: verb for verb in VERBS}
HELP = _made_help()

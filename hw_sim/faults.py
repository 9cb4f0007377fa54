"""Faults by word: which part, what is wrong with it, and what the twin then does. The whole matrix, in one table.

`FAULTS` has every fault that can be put in, `NOT_SUCH` every cell that has none, with why. The lines, the panel,
scenarios and `bodycam-sim fault` read them; what a fault is made of is in the part's own module. Any thread.
"""

import re
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from hw_sim.disk import TwinDisk
from hw_sim.policy_faults import PolicyFile

if TYPE_CHECKING:
    from hw_sim.hardware import TwinHardware
    from hw_sim.lamps import Shows
    from hw_sim.microphone import TwinMicrophone
    from hw_sim.process_faults import ProcessFaults
    from hw_sim.sensors import Says

PARTS = (
    "camera", "encoder", "microphone", "card", "clock", "buttons", "lights", "battery", "heat", "signer", "policy",
    "process",
)  # fmt: skip
WORDS = ("off", "stuck", "garbage", "wrong", "slow", "delayed", "intermittent")
MANY = 1_000_000
MS = 1000
SECOND_US = 1_000_000
NO_LENS = "this bench's pictures were encoded before: it has no lens"
NO_MICROPHONE = "this bench has no microphone"
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


def _do(work: "Callable[[TwinHardware, int], object]") -> PutIn:
    def put_in(hardware: "TwinHardware", number: int) -> str:
        work(hardware, number)
        return ""

    return put_in


def _lens(looks: str) -> PutIn:
    def put_in(hardware: "TwinHardware", _: int) -> str:
        if hardware.the_lens is None:
            return NO_LENS
        hardware.the_lens.looks = looks
        return ""

    return put_in


def _sound(work: "Callable[[TwinMicrophone, int], None]") -> PutIn:
    def put_in(hardware: "TwinHardware", number: int) -> str:
        if hardware.the_microphone is None:
            return NO_MICROPHONE
        work(hardware.the_microphone, number)
        return ""

    return put_in


def _card(field: str, value: Callable[[int], object] = lambda _: True) -> PutIn:
    def put_in(hardware: "TwinHardware", number: int) -> str:
        if not isinstance(hardware.the_disk, TwinDisk):
            return "this bench writes to a real disk"
        setattr(hardware.card_faults, field, value(number))
        return ""

    return put_in


def _policy(work: "Callable[[PolicyFile], None]") -> PutIn:
    def put_in(hardware: "TwinHardware", _: int) -> str:
        if hardware.policy_file is None or not hardware.policy_file.exists():
            return "this bench knows of no policy file"
        hardware.policy_faults = hardware.policy_faults or PolicyFile(hardware.policy_file)
        work(hardware.policy_faults)
        return ""

    return put_in


def _camera_off(hardware: "TwinHardware", _: int) -> None:
    hardware.the_camera.die()
    hardware.the_camera.fail_starts(MANY)


def _encoder_slow(hardware: "TwinHardware", ms: int) -> str:
    if not hardware.the_camera.encodes_apart:
        return "this bench's encoder has no thread of its own (behaviour libav): a slow one is a slow camera"
    hardware.the_camera.encoder_faults.takes_us = ms * MS
    return ""


def _clock_set_later(hardware: "TwinHardware", seconds: int) -> None:
    """Unset and an hour behind, until somebody sets it."""
    hardware.clock.unset, hardware.clock.step_us = True, -3600 * SECOND_US
    hardware.troubles.later("clock", seconds * SECOND_US, lambda: clear(hardware, "clock"))


def _policy_slow(hardware: "TwinHardware", seconds: int) -> str:
    said = _policy(PolicyFile.half)(hardware, 0)
    if not said:
        hardware.troubles.later("policy", seconds * SECOND_US, lambda: clear(hardware, "policy"))
    return said


def _signer(field: str, value: Callable[[int], object]) -> PutIn:
    return _do(lambda hardware, number: setattr(hardware.signer_faults, field, value(number)))


def _contacts(field: str, value: Callable[[int], object]) -> PutIn:
    return _do(lambda hardware, number: setattr(hardware.thumb.contacts, field, value(number)))


def _lamps(how: "Shows") -> PutIn:
    return _do(lambda hardware, _: hardware.lamps.breaks(how))


def _heat(how: "Says") -> PutIn:
    return _do(lambda hardware, number: hardware.the_sensors.heat.says(how, number))


def _charge(how: "Says") -> PutIn:
    return _do(lambda hardware, number: hardware.the_sensors.charge.says(how, number))


def _process(work: "Callable[[ProcessFaults, int], None]") -> PutIn:
    return _do(lambda hardware, number: work(hardware.process_faults, number))


FAULTS: tuple[Injection, ...] = (
    Injection("camera", "off", "the camera is gone: no picture, and no start of it succeeds", _do(_camera_off)),
    Injection("camera", "stuck", "it gives the same picture again and again", _lens("frozen")),
    Injection("camera", "garbage", "its pictures are noise", _lens("noise")),
    Injection("camera", "wrong", "its pictures are the wrong way round", _lens("mirrored")),
    Injection("camera", "slow", "only one picture in so many comes",
              _do(lambda hw, n: hw.the_camera.one_in(max(1, n))), "PICTURES", 3),
    Injection("camera", "delayed", "each picture comes so much later, with the time of its capture",
              _do(lambda hw, n: hw.the_camera.late(n * MS)), "MS", 1000),
    Injection("camera", "intermittent", "it is off and back again, for so long each, over and over",
              argument="SECONDS", default=3, alternates="off"),
    Injection("encoder", "off", "it ends: no frame comes until it is started anew",
              _do(lambda hw, _: hw.the_camera.die())),
    Injection("encoder", "stuck", "no frame comes, and it does not come back from a stop",
              _do(lambda hw, _: hw.the_camera.hang())),
    Injection("encoder", "garbage", "its frames are random bytes",
              _do(lambda hw, _: setattr(hw.the_camera.encoder_faults, "garbage", True))),
    Injection("encoder", "wrong", "its time stamps are so far ahead",
              _do(lambda hw, n: setattr(hw.the_camera.encoder_faults, "ahead_us", n * MS)), "MS", 5000),
    Injection("encoder", "slow", "each frame takes it so long, and the pictures that find no place are lost",
              _encoder_slow, "MS", 100),
    Injection("encoder", "intermittent", "it gives random bytes and good frames, for so long each, over and over",
              argument="SECONDS", default=3, alternates="garbage"),
    Injection("microphone", "off", "no packet of sound comes", _sound(lambda mic, _: mic.unplug())),
    Injection("microphone", "stuck", "its packets hold silence: the capsule is dead",
              _sound(lambda mic, _: mic.hears("nothing"))),
    Injection("microphone", "garbage", "its packets are random bytes", _sound(lambda mic, _: mic.hears("garbage"))),
    Injection("microphone", "wrong", "it counts samples so much too fast, from a new start on",
              _sound(lambda mic, n: mic.drift(n)), "PPM", 2000),
    Injection("microphone", "slow", "only one packet in so many comes",
              _sound(lambda mic, n: mic.one_in(max(1, n))), "PACKETS", 3),
    Injection("microphone", "delayed", "each packet comes so much later", _sound(lambda mic, n: mic.late(n * MS)),
              "MS", 500),
    Injection("microphone", "intermittent", "it is unplugged and back again, for so long each, over and over",
              argument="SECONDS", default=5, alternates="off"),
    Injection("card", "off", "every write and every sync fails", _card("refuses")),
    Injection("card", "stuck", "no sync comes back, for so long or until it is mended",
              _card("stuck_us", lambda n: n * SECOND_US), "SECONDS", 10),
    Injection("card", "garbage", "one bit of each write is kept wrongly, and nothing is said", _card("rots")),
    Injection("card", "wrong", "it says that there is room, and takes nothing more", _card("full")),
    Injection("card", "slow", "each sync takes so long", _card("sync_takes_us", lambda n: n * MS), "MS", 400),
    Injection("card", "delayed", "the next sync takes so long, once", _card("next_takes_us", lambda n: n * MS),
              "MS", 5000),
    Injection("card", "intermittent", "it is off and back again, for so long each, over and over",
              argument="SECONDS", default=2, alternates="off"),
    Injection("clock", "off", "nothing bears out the time of day", _do(lambda hw, _: setattr(hw.clock, "unset", True))),
    Injection("clock", "stuck", "the time of day stands still", _do(lambda hw, _: hw.clock.bend("stands"))),
    Injection("clock", "garbage", "the time of day is another at each look, by up to an hour",
              _do(lambda hw, _: hw.clock.bend("jumps"))),
    Injection("clock", "wrong", "the time of day is set so far ahead, and still called good",
              _do(lambda hw, n: setattr(hw.clock, "step_us", n * SECOND_US)), "SECONDS", 3600),
    Injection("clock", "slow", "the time of day goes so much too slowly",
              _do(lambda hw, n: hw.clock.bend("slowly", n)), "PPM", 200_000),
    Injection("clock", "delayed", "the time of day is an hour behind and not borne out, until it is set after so long",
              _do(_clock_set_later), "SECONDS", 5),
    Injection("clock", "intermittent", "what bears out the time of day comes and goes, for so long each",
              argument="SECONDS", default=3, alternates="off"),
    Injection("buttons", "off", "no press of a button comes through", _contacts("dead", lambda _: True)),
    Injection("buttons", "stuck", "record is pressed and stays so", _do(lambda hw, _: hw.thumb.stick("record"))),
    Injection("buttons", "garbage", "record's contact closes and opens 50 times a second, for so long",
              _do(lambda hw, n: hw.thumb.chatter("record", n * 1000, 50)), "SECONDS", 10),
    Injection("buttons", "wrong", "each button's wire is on the other's pin",
              _contacts("crossed", lambda _: {"record": "function", "function": "record"})),
    Injection("buttons", "slow", "a contact takes up to three times so long until it rests",
              _contacts("bounce_us", lambda n: max(1, n) * MS), "MS", 3),
    Injection("buttons", "delayed", "each press and release comes so much later",
              _contacts("late_us", lambda n: n * MS), "MS", 1000),
    Injection("buttons", "intermittent", "presses come through and do not, for so long each, over and over",
              argument="SECONDS", default=3, alternates="off"),
    Injection("lights", "off", "both lights stay dark", _lamps("nothing")),
    Injection("lights", "stuck", "both lights stay as they are", _lamps("stuck")),
    Injection("lights", "garbage", "both lights flicker as they like", _lamps("garbage")),
    Injection("lights", "wrong", "each light shows what is the other's", _lamps("crossed")),
    Injection("lights", "intermittent", "they stay dark and work again, for so long each, over and over",
              argument="SECONDS", default=3, alternates="off"),
    Injection("battery", "off", "the fuel gauge says nothing", _charge("nothing")),
    Injection("battery", "stuck", "the gauge says what it said last", _charge("stuck")),
    Injection("battery", "garbage", "the gauge says anything", _charge("garbage")),
    Injection("battery", "wrong", "the gauge says so many per cent, whatever there is", _charge("wrong"), "PERCENT", 90),
    Injection("battery", "delayed", "the gauge says what was so long ago", _charge("late"), "SECONDS", 30),
    Injection("battery", "intermittent", "the gauge says nothing and works again, for so long each, over and over",
              argument="SECONDS", default=15, alternates="off"),
    Injection("heat", "off", "the thermometer says nothing", _heat("nothing")),
    Injection("heat", "stuck", "it says what it said last", _heat("stuck")),
    Injection("heat", "garbage", "it says anything", _heat("garbage")),
    Injection("heat", "wrong", "it says so many degrees too much", _heat("wrong"), "DEGREES", 40),
    Injection("heat", "delayed", "it says what was so long ago", _heat("late"), "SECONDS", 20),
    Injection("heat", "intermittent", "it says nothing and works again, for so long each, over and over",
              argument="SECONDS", default=75, alternates="off"),
    Injection("signer", "off", "no key signs", _signer("signs", lambda _: "not")),
    Injection("signer", "stuck", "no signature comes back, for so long or until it is mended",
              _signer("stuck_us", lambda n: n * SECOND_US), "SECONDS", 10),
    Injection("signer", "garbage", "its signatures are random bytes", _signer("signs", lambda _: "garbage")),
    Injection("signer", "wrong", "its signatures are by another key", _signer("signs", lambda _: "with-another-key")),
    Injection("signer", "slow", "each signature takes so long", _signer("takes_us", lambda n: n * MS), "MS", 400),
    Injection("signer", "delayed", "the next signature takes so long, once", _signer("next_takes_us", lambda n: n * MS),
              "MS", 5000),
    Injection("signer", "intermittent", "it signs and does not, for so long each, over and over",
              argument="SECONDS", default=2, alternates="off"),
    Injection("policy", "off", "the policy file is gone", _policy(PolicyFile.remove)),
    Injection("policy", "garbage", "the policy file is random bytes", _policy(PolicyFile.random)),
    Injection("policy", "wrong", "one character of the signed policy is another", _policy(PolicyFile.altered)),
    Injection("policy", "slow", "half of the policy file is there, and the rest comes after so long", _policy_slow,
              "SECONDS", 5),
    Injection("policy", "intermittent", "the policy file is random bytes and good again, for so long each",
              argument="SECONDS", default=5, alternates="garbage"),
    Injection("process", "off", "the daemon is killed", _process(lambda process, _: process.ends(signal.SIGKILL)),
              real_only=True),
    Injection("process", "stuck", "the daemon stands still for so long",
              _process(lambda process, n: process.stands(n * 1000, 0, 1)), "SECONDS", 30, real_only=True),
    Injection("process", "wrong", "the daemon crashes", _process(lambda process, _: process.ends(signal.SIGSEGV)),
              real_only=True),
    Injection("process", "slow", "the daemon gets a quarter of its time, for so long",
              _process(lambda process, n: process.stands(150, 50, n * 5)), "SECONDS", 30, real_only=True),
    Injection("process", "intermittent", "the daemon stands still and runs, for so long each, ten times",
              _process(lambda process, n: process.stands(n * 1000, n * 1000, 10)), "SECONDS", 3, real_only=True),
)  # fmt: skip
NOT_SUCH: dict[tuple[str, str], str] = {
    ("encoder", "delayed"): "frames that come late are the same from here as pictures that do: camera delayed",
    ("lights", "slow"): "a lamp has no speed that an eye could tell",
    ("lights", "delayed"): "a lamp follows its line at once, or not at all: lights off",
    ("battery", "slow"): "a gauge that follows slowly says what was: battery delayed",
    ("heat", "slow"): "a thermometer that follows slowly says what was: heat delayed",
    ("policy", "stuck"): "a policy file that stays as it is is how it should be",
    ("policy", "delayed"): "until a policy comes the one before is in force, however long that takes",
    ("process", "garbage"): "what a process has in memory is not a part that a bench can spoil",
    ("process", "delayed"): "when the daemon starts is the service manager's: make lanes",
}
"""Every cell that has no fault, and why there is none."""
_BY_CELL = {(fault.part, fault.word): fault for fault in FAULTS}


def _clear_camera(hardware: "TwinHardware") -> None:
    hardware.the_camera.fail_starts(0)
    hardware.the_camera.late(0)
    hardware.the_camera.one_in(1)
    if hardware.the_lens is not None:
        hardware.the_lens.looks = "clear"


def _clear_microphone(hardware: "TwinHardware") -> None:
    microphone = hardware.the_microphone
    if microphone is not None:
        microphone.hears("sound")
        microphone.one_in(1)
        microphone.late(0)
        microphone.mend()


def _clear_buttons(hardware: "TwinHardware") -> None:
    hardware.thumb.contacts.clear()
    hardware.thumb.unstick("record")


def _clear_policy(hardware: "TwinHardware") -> None:
    spoilt, hardware.policy_faults = hardware.policy_faults, None
    if spoilt is not None:
        spoilt.restore()


_CLEARS: "dict[str, Callable[[TwinHardware], None]]" = {
    "camera": _clear_camera,
    "encoder": lambda hardware: hardware.the_camera.encoder_faults.clear(),
    "microphone": _clear_microphone,
    "card": lambda hardware: hardware.card_faults.clear(),
    "clock": lambda hardware: hardware.clock.clear(),
    "buttons": _clear_buttons,
    "lights": lambda hardware: hardware.lamps.breaks("well"),
    "battery": lambda hardware: hardware.the_sensors.charge.says("well"),
    "heat": lambda hardware: hardware.the_sensors.heat.says("well"),
    "signer": lambda hardware: hardware.signer_faults.clear(),
    "policy": _clear_policy,
    "process": lambda hardware: hardware.process_faults.clear(),
}


def play_fault(hardware: "TwinHardware", words: list[str]) -> str | None:
    """`PART WORD [ARGUMENT]` or `PART clear`: "" when it is done, why not otherwise, None when there are no such two words."""
    if len(words) < len(("part", "word")):
        return None
    said = why_none(words)
    if said:
        return said
    part, word, *argument = words
    if word == "clear":
        clear(hardware, part)
        return ""
    return put_in(hardware, part, word, int(argument[0]) if argument else None)


def why_none(words: list[str]) -> str:
    """Why there is no such fault, in two words or more; "" when there is."""
    part, word, *argument = words
    if part not in PARTS:
        why = f"no such part; one of: {', '.join(PARTS)}"
    elif word not in (*WORDS, "clear"):
        why = f"no such word; one of: {', '.join(WORDS)}, clear"
    elif (part, word) in NOT_SUCH:
        why = f"there is none: {NOT_SUCH[part, word]}"
    elif argument and (word == "clear" or not _BY_CELL[part, word].argument):
        why = "it takes no number"
    elif argument and not (len(argument) == 1 and _NUMBER.match(argument[0])):
        why = "must be one whole number, from 0 to 9999999; bodycam-sim fault --list says of what"
    else:
        return ""
    return f"fault {' '.join(words)}: {why}"


def put_in(hardware: "TwinHardware", part: str, word: str, argument: int | None = None) -> str:
    """Break a part, in place of how it was broken before. "" when it is done, else why not. There is such a fault."""
    fault = _BY_CELL[part, word]
    if fault.real_only and not hardware.real_time:
        return f"fault {part} {word}: only in real time; in virtual time VirtualDevice.cut ends a boot"
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

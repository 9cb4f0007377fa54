"""What the wearer and the public see, hear and feel: one table of lights, one table of cues. PURE.

Two lights follow the state: the recording light is seen by the public, the ready light by the wearer. A cue is said
once, on the buzzer and on the vibration motor, which need not say the same. Times in ms.
"""

from collections.abc import Callable, Mapping
from itertools import groupby

import msgspec

from device.policy.model import Policy
from device.policy.recording import why_refused
from device.policy.state import KEEPING, PAUSED, Capture, Phase, State, capture

# -- lights ---------------------------------------------------------------------------------------------------------


class Pattern(msgspec.Struct, frozen=True):
    """`looks`: in words. `times_ms`: how long on, off, on, off, …, over and over; none: it never changes from `on`."""

    looks: str
    on: bool = True
    times_ms: tuple[int, ...] = ()


OFF = Pattern("dark", on=False)
ON = Pattern("steady")
GAP = Pattern("lit, with one short gap every 2 s", times_ms=(1850, 150))
LONG_GAP = Pattern("lit, with one long gap every 2 s", times_ms=(1500, 500))
TWO_GAPS = Pattern("lit, with two short gaps every 2 s", times_ms=(1400, 150, 300, 150))
SLOW = Pattern("slow blink: half a second on, half a second off", times_ms=(500, 500))
FAST = Pattern("fast blink: four times a second", times_ms=(125, 125))
HEARTBEAT = Pattern("two flashes every second", times_ms=(100, 150, 100, 650))
WINK = Pattern("one short flash every 3 s", times_ms=(100, 2900))
TWO_WINKS = Pattern("two short flashes every 3 s", times_ms=(100, 200, 100, 2600))
THREE_WINKS = Pattern("three short flashes every 3 s", times_ms=(100, 200, 100, 200, 100, 2300))
RARE_WINK = Pattern("one short flash every 10 s", times_ms=(100, 9900))
CANNOT_START = Pattern("fast blink for two seconds, then dark for two", times_ms=(*(125, 125) * 7, 125, 2125))
"""The ready light while there is no daemon at all, shown in its place by `bodycam fault-light`."""


class Lights(msgspec.Struct, frozen=True):
    """`recording` is seen by the public, `ready` by the wearer."""

    recording: Pattern
    ready: Pattern


class Indication(msgspec.Struct, frozen=True):
    """A row: when `when` holds, it speaks for the lights for which it has a pattern."""

    name: str
    when: Callable[[State, Capture], bool]
    recording: Pattern | None
    ready: Pattern | None
    meaning: str


CAMERA, CLOCK, DARK = "camera", "clock", "dark"
"""The faults that have a signal of their own, or no light at all: night must not hide what is wrong."""


def _in(*phases: Phase) -> Callable[[State, Capture], bool]:
    return lambda state, _: state.phase in phases


def _faulty(part: str) -> Callable[[State, Capture], bool]:
    return lambda state, _: part in state.faults


def _warned(*warnings: str) -> Callable[[State, Capture], bool]:
    return lambda state, _: any(warning in state.warnings for warning in warnings)


def _other_fault(state: State, _: Capture) -> bool:
    return any(part not in (CAMERA, CLOCK, DARK) for part in state.faults)


def _muted(state: State, _: Capture) -> bool:
    return state.muted and state.phase in KEEPING


def _holding(state: State, held: Capture) -> bool:
    return state.phase is Phase.IDLE and (held.video or held.audio)


# For each light the first row that holds and that speaks for it decides. What stops the camera comes first, then what
# the wearer did, then what will need care, then that all is well.
INDICATIONS: tuple[Indication, ...] = (
    Indication("stealth", lambda state, _: state.stealth, OFF, OFF, "stealth, where the policy allows it"),
    Indication("camera-fault", _faulty(CAMERA), None, FAST, "no pictures come from the camera"),
    Indication(
        "not-ready", lambda state, _: not state.ready, None, OFF,
        "a start would be refused: the card is full, or the zone, the assignment or the policy is against it",
    ),
    Indication("fault", _other_fault, None, THREE_WINKS, "a part other than the camera and the clock has failed, or the lens sees nothing"),
    Indication("battery-critical", _warned("battery-critical"), None, HEARTBEAT, "the battery is nearly empty"),
    Indication("muted", _muted, SLOW, SLOW, "pictures are kept, sound is not"),
    Indication("stop-asked", _in(Phase.STOP_ASKED), FAST, None, "a stop was asked for: recorded until it is confirmed"),
    Indication("post-event", _in(Phase.POST_EVENT), GAP, None, "a stop was confirmed: recorded for a few seconds more"),
    Indication("paused", _in(*PAUSED), OFF, TWO_WINKS, "a private pause: nothing is kept or held"),
    Indication("asleep", _in(Phase.ASLEEP), OFF, RARE_WINK, "asleep: nothing is held, triggers are not heard"),
    Indication("clock-unset", _faulty(CLOCK), None, TWO_GAPS, "the time of day is not known; recording works"),
    Indication(
        "storage-low", _warned("storage-low"), None, GAP,
        "less room on the card than the policy asks for",
    ),
    Indication("battery-low", _warned("battery-low"), None, LONG_GAP, "the battery is low"),
    Indication("recording", _in(Phase.RECORDING), ON, None, "pictures and sound are kept"),
    Indication("working", _in(*KEEPING), None, ON, "recording, and nothing is wrong"),
    Indication("ready", _holding, OFF, ON, "ready: a start brings in the seconds before it"),
    Indication(
        "ready-holding-nothing", _in(Phase.IDLE), OFF, WINK,
        "ready; nothing is held before a start: the zone or the policy forbids it",
    ),
)  # fmt: skip


def shown(state: State, policy: Policy) -> Lights:
    """What both lights show under a policy: the camera is not ready, either, while a double press would be refused."""
    refused = state.phase is Phase.IDLE and why_refused(state, policy, policy.category(state.zone)) is not None
    return lights(msgspec.structs.replace(state, ready=state.ready and not refused), capture(state, policy))


def lights(state: State, held: Capture) -> Lights:
    """What both lights show in a state. `held`: what may be held in it. While frames are kept the recording light is
    lit, but for stealth."""
    rows = [row for row in INDICATIONS if row.when(state, held)]
    return Lights(
        recording=next(row.recording for row in rows if row.recording is not None),
        ready=next(row.ready for row in rows if row.ready is not None),
    )


# -- cues -----------------------------------------------------------------------------------------------------------

# A cue is told by the number and kind of its pulses, not by their rhythm: a gloved hand feels that much.
BEATS_MS: Mapping[str, tuple[int, int]] = {".": (120, 150), "-": (450, 150), "=": (1000, 150), "o": (200, 300)}
"""Each beat's time on, and the time off after it: short, long, very long, and one to be counted."""

_BEAT_WORDS = {".": "short", "-": "long", "=": "very long", "o": "counted"}

URGENT = 4
"""What is or isn't recorded from now on."""
ANSWER = 3
"""The answer to a gesture, or a question that waits for one."""
CARE = 2
"""What will need care, and where the camera is."""
REMINDER = 1


class Cue(msgspec.Struct, frozen=True):
    """`vibration` and `buzzer`: beats. A cue never cuts off one of higher `priority`."""

    vibration: str
    buzzer: str
    priority: int
    meaning: str


def _both(beats: str, priority: int, meaning: str) -> Cue:
    return Cue(beats, beats, priority, meaning)


def _felt(beats: str, priority: int, meaning: str) -> Cue:
    return Cue(beats, "", priority, meaning)


MOST_COUNTED = 9

CUES: Mapping[str, Cue] = {
    "recording": _both("..", URGENT, "recording begins, goes on, or is going on"),
    "override": _both("..=", URGENT, "recording, against what the zone would refuse"),
    "refused": _both("....", URGENT, "what was asked for is not allowed now"),
    "stopped": _both("=", URGENT, "the recording has ended"),
    "paused": _both("--", URGENT, "a private pause: nothing is recorded"),
    "failed": _both("===", URGENT, "the recording could not go on"),
    "camera-fault": _both("......", URGENT, "no pictures come from the camera"),
    "storage-full": _both("---", URGENT, "the card is full: nothing more can be recorded"),
    "stop-asked": _both("-", ANSWER, "press once to confirm the stop"),
    "post-event": _both("-=", ANSWER, "the stop is confirmed: recorded for a few seconds more"),
    "marker": _both(".", ANSWER, "a marker is set"),
    "muted": _both("-.-", ANSWER, "sound is off"),
    "unmuted": _both("-.", ANSWER, "sound is on again"),
    "status": _felt(".-", ANSWER, "the camera is on; the lights say the rest"),
    "zone-prompt": _both(".-.-.-", ANSWER, "this recording is not allowed here: justify it or leave"),
    "start-prompt": _both("..-..-", ANSWER, "something happened that calls for a recording: start it"),
    "notice-prompt": _both(".--", ANSWER, "tell people that they are recorded, then press function"),
    "notice-given": _both(".-..", ANSWER, "it is written down that people were told"),
    "asleep": _both("=.", ANSWER, "the camera sleeps"),
    "awake": _both(".=", ANSWER, "the camera is awake"),
    "stealth-on": _felt("=..", ANSWER, "lights and buzzer are off"),
    "stealth-off": _both("=.-", ANSWER, "lights and buzzer are on again"),
    **{
        f"count-{n}": _felt("o" * n, ANSWER, f"{n} press{'es' if n > 1 else ''} counted")
        for n in range(1, MOST_COUNTED + 1)
    },
    "battery-critical": _both("----..", CARE, "the battery is nearly empty"),
    "battery-low": _both("----", CARE, "the battery is low"),
    "storage-low": _both("---.", CARE, "less room on the card than the policy asks for"),
    "clock-unset": _both("-----", CARE, "the time of day is not known; recording works"),
    "fault": _both(".....", CARE, "a part has failed"),
    "lens": _both("-..-", CARE, "the lens is covered or blurred, or its picture stands still"),
    "dark": _both("-...", CARE, "it is so dark that little can be seen; said once, however long it lasts"),
    "assigned": _both(".-.-", CARE, "the camera has another wearer, or none"),
    "zone": _both(".-.", CARE, "the camera is in another zone"),
    "ready": _both("..-", CARE, "a start is possible again"),
    "fault-over": _both("...-", REMINDER, "a part works again"),
    "level-good": _both("..--", REMINDER, "battery or card have enough again"),
    "remind-recording": _both("-..", REMINDER, "still recording"),
    "remind-muted": _both("-.-.", REMINDER, "still recording without sound"),
    "remind-paused": _both("--.", REMINDER, "still paused"),
    "remind-asleep": _felt("--..", REMINDER, "still asleep"),
}


def pulses_ms(beats: str) -> tuple[tuple[int, int], ...]:
    """When beats go on and off, in ms from their start."""
    pulses, at_ms = [], 0
    for beat in beats:
        on_ms, off_ms = BEATS_MS[beat]
        pulses.append((at_ms, at_ms + on_ms))
        at_ms += on_ms + off_ms
    return tuple(pulses)


# -- in words -------------------------------------------------------------------------------------------------------


def in_words(beats: str) -> str:
    """Beats in words: `..-` is "2 short, 1 long"."""
    runs = [(beat, len(list(run))) for beat, run in groupby(beats)]
    return ", ".join(f"{count} {_BEAT_WORDS[beat]}" for beat, count in runs) or "silent"


def light_in_words(row: Indication) -> str:
    """What a row's lights look like."""
    shown = (("recording light", row.recording), ("ready light", row.ready))
    return "; ".join(f"{light}: {pattern.looks}" for light, pattern in shown if pattern is not None)


def cue_in_words(cue: Cue) -> str:
    """What a cue feels and sounds like."""
    if cue.vibration == cue.buzzer:
        return f"vibration and buzzer: {in_words(cue.vibration)}"
    return f"vibration: {in_words(cue.vibration)}; buzzer: {in_words(cue.buzzer)}"

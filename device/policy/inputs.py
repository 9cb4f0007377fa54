"""What happened: everything that `machine.step` consults. Each carries the boot time at which it arose.

PURE: imports only the standard library and the validation library. An input is journaled as it is here, so that a
decision can be replayed from the record (E10).
"""

from typing import Annotated, Literal

import msgspec

Micros = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]
Count = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]
Word = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,62}\Z")]
PrivateWord = Annotated[str, msgspec.Meta(pattern=r"^([a-z0-9][a-z0-9-]{0,62})?\Z")]
"""A word that only the sealed context carries; empty in what is public."""


class InputBase(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"):
    at_us: Micros


class Edge(InputBase, frozen=True, tag="edge"):
    """A debounced edge of a button: `record` or `function`."""

    button: Word
    pressed: bool


class ZoneEntered(InputBase, frozen=True, tag="zone-entered"):
    """The wearer is now in this zone of the policy's."""

    zone: PrivateWord


class Triggered(InputBase, frozen=True, tag="triggered"):
    """A trigger line became active: a holster, a light bar, a panic button. `category` is what the configuration maps
    it to."""

    trigger: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,39}\Z")]
    category: PrivateWord


class SleepSwitched(InputBase, frozen=True, tag="sleep-switched"):
    """The sleep switch was turned on or off."""

    on: bool


class Docked(InputBase, frozen=True, tag="docked"):
    """The camera was put into its dock, or taken out. It decides nothing: what is recorded goes on."""

    on: bool


class Assigned(InputBase, frozen=True, tag="assigned"):
    """Who wears the camera from now on. An empty `officer`: nobody."""

    officer: PrivateWord
    role: PrivateWord
    unit: PrivateWord
    shift: PrivateWord


class LevelChanged(InputBase, frozen=True, tag="level"):
    """How much is left of `battery` or `storage`: `good`, `low` (less than the policy asks for), or `critical`."""

    part: Word
    level: Literal["good", "low", "critical"]


class Readiness(InputBase, frozen=True, tag="readiness"):
    """Whether a new recording could be stored: `reason` says why not (`storage-full`, …)."""

    ready: bool
    reason: PrivateWord = ""


class FaultChanged(InputBase, frozen=True, tag="fault"):
    """A part's fault begins or ends: `camera`, `storage`, `microphone`, …"""

    part: Word
    present: bool


class PreEventHad(InputBase, frozen=True, tag="pre-event-had"):
    """How much pre-event the ring could give to the recording that was just opened."""

    recording: Count
    had_us: Micros


class RecorderClosed(InputBase, frozen=True, tag="recorder-closed"):
    """The recorder ended a recording: as told (`stopped`), or by itself (`storage-full`, `failed`)."""

    recording: Count
    how: Word


class ClockStepped(InputBase, frozen=True, tag="clock-stepped"):
    """Wall time jumped against the boot clock by so many µs."""

    step_us: Annotated[int, msgspec.Meta(gt=-(2**53), lt=2**53)]


class ShutdownAsked(InputBase, frozen=True, tag="shutdown-asked"):
    """The service manager wants the daemon to end; latched."""


class Tick(InputBase, frozen=True, tag="tick"):
    """Time has come this far; nothing else happened. Never journaled: deadlines fire by themselves in a replay."""


Input = (
    Edge
    | ZoneEntered
    | Triggered
    | SleepSwitched
    | Docked
    | Assigned
    | LevelChanged
    | Readiness
    | FaultChanged
    | PreEventHad
    | RecorderClosed
    | ClockStepped
    | ShutdownAsked
    | Tick
)

"""What the wearer and the public see, hear and feel: a table of states and cues. No I/O.

Lights follow the state; a cue is a short pattern of the buzzer and the vibration motor. Times in ms.
"""

from collections.abc import Mapping

import msgspec

from device.policy.machine import Phase, State


class Lights(msgspec.Struct, frozen=True):
    """`recording` is seen by the public, `ready` by the wearer."""

    recording: bool
    ready: bool


class Pulses(msgspec.Struct, frozen=True):
    """So many pulses of both buzzer and vibration, each `on_ms` long and `off_ms` apart."""

    count: int
    on_ms: int
    off_ms: int


_PHASE_LIGHTS: Mapping[Phase, Lights] = {
    Phase.IDLE: Lights(recording=False, ready=True),
    Phase.RECORDING: Lights(recording=True, ready=True),
    Phase.STOP_ASKED: Lights(recording=True, ready=True),
    Phase.PAUSED: Lights(recording=False, ready=False),
    Phase.PAUSED_STOP_ASKED: Lights(recording=False, ready=False),
    Phase.POST_EVENT: Lights(recording=True, ready=True),
}

CUES: Mapping[str, Pulses] = {
    "recording": Pulses(2, 150, 150),
    "override": Pulses(3, 150, 100),
    "stop-asked": Pulses(1, 400, 0),
    "post-event": Pulses(1, 800, 0),
    "stopped": Pulses(1, 1200, 0),
    "marker": Pulses(1, 100, 0),
    "paused": Pulses(2, 400, 200),
    "muted": Pulses(3, 80, 80),
    "unmuted": Pulses(2, 80, 80),
    "status": Pulses(1, 60, 0),
    "refused": Pulses(4, 60, 60),
    "remind-recording": Pulses(2, 100, 100),
    "remind-muted": Pulses(3, 100, 100),
    "remind-paused": Pulses(4, 100, 100),
    "zone": Pulses(1, 200, 0),
    "ready": Pulses(1, 200, 0),
    "storage-full": Pulses(3, 400, 200),
    "fault": Pulses(5, 120, 120),
    "fault-over": Pulses(1, 300, 0),
    "failed": Pulses(6, 200, 100),
}


def lights(state: State) -> Lights:
    """The lights of a state. The ready light is off when a start would be refused, or a part has failed."""
    shown = _PHASE_LIGHTS[state.phase]
    return Lights(recording=shown.recording, ready=shown.ready and state.ready and not state.faults)


def pulse_edges_us(pulses: Pulses, from_us: int) -> list[tuple[int, bool]]:
    """When a cue switches on and off, in boot µs."""
    edges = []
    for _ in range(pulses.count):
        edges += [(from_us, True), (from_us + pulses.on_ms * 1000, False)]
        from_us += (pulses.on_ms + pulses.off_ms) * 1000
    return edges

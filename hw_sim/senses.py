"""What the wearer and the public get: lights seen, cues felt and heard, told from the board's output pins alone.

`Senses` watches the pins; the rest works on what it saw. Times are boot µs.
"""

from collections.abc import Callable

from device.clock import Clock
from device.policy.signals import CUES, Pattern, pulses_ms
from device.tables import Wiring
from hw_sim.pins import TwinPin

TOLERANCE_US = 60_000
"""How far a pulse may be from what it should be; the shortest are 120 ms, and the next longer one 200 ms."""
SETTLED_US = 600_000
"""So long a light must have been steady to be called so."""
LIGHTS = ("recording", "ready")
Edge = tuple[int, bool]


class Senses:
    """Of each output, in `edges`, when it went on or off by `clock`. It outlives the boards that it watches."""

    clock: Clock

    def __init__(self) -> None:
        self.edges: dict[str, list[Edge]] = {name: [] for name in (*LIGHTS, "vibration", "buzzer")}
        self.pin_class = _watched(self._changed)
        self._outputs: dict[str, tuple[str, bool]] = {}

    def look_at(self, wiring: Wiring) -> None:
        """The next board is wired so."""
        board, lines = wiring.board, wiring.lines
        self._outputs = {
            f"GPIO{pin}": (name, line.active == "high")
            for name, pin, line in (
                ("recording", board.recording_light, lines.recording_light),
                ("ready", board.ready_light, lines.ready_light),
                ("vibration", board.vibration, lines.vibration),
                ("buzzer", board.buzzer, lines.buzzer),
            )
        }

    def go_dark(self) -> None:
        """The power is off."""
        self._outputs = {}
        for name in self.edges:
            self._see(name, on=False)

    def _changed(self, pin: str, level: float) -> None:
        """By whichever thread switches the output: each has one."""
        if pin in self._outputs:
            name, active_high = self._outputs[pin]
            self._see(name, on=(level > 0) == active_high)

    def _see(self, name: str, *, on: bool) -> None:
        edges = self.edges[name]
        if (edges[-1][1] if edges else False) != on:
            edges.append((self.clock.now_us(), on))


def _watched(hear: Callable[[str, float], None]) -> type[TwinPin]:
    class WatchedPin(TwinPin):
        def _change_state(self, value: float) -> bool:
            changed = bool(super()._change_state(value))
            if changed and self.function == "output":
                hear(self.info.name, value)
            return changed

    return WatchedPin


def cues(edges: list[Edge], output: str, from_us: int, to_us: int) -> list[str]:
    """The cues that began in a span, as the pulses on `vibration` or `buzzer` tell them; what was cut off tells none."""
    table = {name: pulses_ms(getattr(cue, output)) for name, cue in CUES.items() if getattr(cue, output)}
    pulses = [(on_us, off_us) for (on_us, _), (off_us, _) in zip(edges[::2], edges[1::2], strict=False)]
    told: list[str] = []
    at = 0
    while at < len(pulses):
        fitting = [name for name, wanted in table.items() if _fits(pulses[at : at + len(wanted)], wanted)]
        best = max(fitting, key=lambda name: len(table[name]), default=None)
        if best is not None and from_us <= pulses[at][0] < to_us:
            told.append(best)
        at += len(table[best]) if best is not None else 1
    return told


def _fits(pulses: list[tuple[int, int]], wanted: tuple[tuple[int, int], ...]) -> bool:
    if len(pulses) != len(wanted):
        return False
    zero_us = pulses[0][0]
    return all(
        abs(on_us - zero_us - on_ms * 1000) <= TOLERANCE_US and abs(off_us - zero_us - off_ms * 1000) <= TOLERANCE_US
        for (on_us, off_us), (on_ms, off_ms) in zip(pulses, wanted, strict=True)
    )


def shows(edges: list[Edge], pattern: Pattern, from_us: int, to_us: int) -> bool:
    """Whether the light shows this pattern at the end of a span: for one and a half of its periods, or 0.6 s when steady."""
    period_us = sum(pattern.times_ms) * 1000
    from_us = max(from_us, to_us - max(SETTLED_US, period_us * 3 // 2))
    seen = _within(edges, from_us, to_us)
    if not pattern.times_ms:
        return all(on == pattern.on for _, on in seen)
    if to_us - from_us < period_us:
        return False
    lengths = [(on, end_us - at_us) for (at_us, on), (end_us, _) in zip(seen, [*seen[1:], (to_us, False)], strict=True)]
    wanted = [(n % 2 == 0, ms * 1000) for n, ms in enumerate(pattern.times_ms)]
    return any(_matches(lengths, wanted[n:] + wanted[:n]) for n in range(len(wanted)))


def _within(edges: list[Edge], from_us: int, to_us: int) -> list[Edge]:
    """How the light was at the beginning of the span, and each change in it."""
    before = [on for at_us, on in edges if at_us <= from_us]
    return [(from_us, before[-1] if before else False), *(edge for edge in edges if from_us < edge[0] < to_us)]


def _matches(lengths: list[tuple[bool, int]], wanted: list[tuple[bool, int]]) -> bool:
    """The first and the last piece of what was seen are cut off by the span; those between are whole."""
    for n, (on, length_us) in enumerate(lengths):
        wanted_on, wanted_us = wanted[n % len(wanted)]
        whole = 0 < n < len(lengths) - 1
        if on != wanted_on or length_us > wanted_us + TOLERANCE_US or (whole and length_us < wanted_us - TOLERANCE_US):
            return False
    return True


def looks(edges: list[Edge], from_us: int, to_us: int) -> str:
    """A light in a span, in words, for who expected something else."""
    changes = _within(edges, from_us, to_us)
    said = ", ".join(f"{'on' if on else 'off'} at {(at_us - from_us) / 1e6:.2f} s" for at_us, on in changes[-8:])
    return said if len(changes) <= 8 else f"… {said}"

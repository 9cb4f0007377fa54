"""An officer under a shipped profile: verbs as a person would say them, on the policy machine in virtual time."""

from typing import TypeVar

from device.policy import commands as do
from device.policy import inputs as on
from device.policy.machine import next_deadline_us, step
from device.policy.model import Policy
from device.policy.state import KEEPING, Capture, Phase, State, capture, initial_state
from tests import documents

SECOND_US = 1_000_000
_Kind = TypeVar("_Kind", bound=do.Command)


class Officer:
    """`said` is every command so far. A verb ends when its gesture has been decided."""

    def __init__(self, policy: str | Policy, *, role: str | None = "", zone: str = "") -> None:
        self.policy = documents.policy(policy) if isinstance(policy, str) else policy
        self.now_us = 3600 * SECOND_US
        self.state: State = initial_state(self.policy, self.now_us)
        self.said: list[do.Command] = []
        if role is not None:
            roles = self.policy.assignment.roles
            self.is_assigned(role or (roles[0] if roles else "officer"))
        if zone:
            self.enters(zone)

    def _tell(self, came: on.Input) -> None:
        self.state, commands = step(self.state, came, self.policy)
        self.said += commands

    # -- verbs ------------------------------------------------------------------------------------------------------

    def waits(self, seconds: float) -> None:
        """Every deadline on the way falls due at its own time."""
        until_us = self.now_us + round(seconds * SECOND_US)
        while (due_us := next_deadline_us(self.state, self.policy)) is not None and due_us <= until_us:
            self._tell(on.Tick(at_us=due_us))
        self.now_us = until_us
        self._tell(on.Tick(at_us=until_us))

    def presses(self, button: str, seconds: float = 0.1) -> None:
        self._tell(on.Edge(at_us=self.now_us, button=button, pressed=True))
        self.waits(seconds)
        self._tell(on.Edge(at_us=self.now_us, button=button, pressed=False))

    def presses_once(self, button: str) -> None:
        """A press, and the time in which it might have become a double one."""
        self.presses(button)
        self.waits(0.6)

    def double_presses(self, button: str = "record") -> int:
        """When its second leading edge came."""
        self.presses(button)
        self.waits(0.1)
        at_us = self.now_us
        self.presses(button)
        self.waits(0.6)
        return at_us

    def holds(self, button: str, seconds: float) -> None:
        self.presses(button, seconds)
        self.waits(0.6)

    def starts(self) -> int:
        return self.double_presses("record")

    def starts_in_an_emergency(self) -> None:
        self.holds("record", 1.2)

    def stops(self) -> None:
        """Hold, and confirm with a press; the post-event time has begun."""
        self.holds("record", 3.2)
        self.presses_once("record")

    def gives_reason(self, name: str) -> None:
        for _ in range(self.policy.reasons[name].presses):
            self.presses("function")
            self.waits(0.3)
        self.waits(self.policy.gestures.count_gap_ms / 1000)

    def enters(self, zone: str) -> None:
        self._tell(on.ZoneEntered(at_us=self.now_us, zone=zone))

    def is_assigned(self, role: str) -> None:
        self._tell(on.Assigned(at_us=self.now_us, officer="4711", role=role, unit="school-unit", shift="day-1"))

    def triggers(self, name: str, category: str) -> None:
        self._tell(on.Triggered(at_us=self.now_us, trigger=name, category=category))

    def switches_sleep(self, *, on_: bool) -> None:
        self._tell(on.SleepSwitched(at_us=self.now_us, on=on_))

    def hears(self, came: on.Input) -> None:
        """Anything else that the machine is told."""
        self._tell(came)

    # -- what is so -------------------------------------------------------------------------------------------------

    def records(self) -> bool:
        """Pictures are being kept."""
        return self.state.phase in KEEPING

    def holds_before(self) -> str:
        """What a press now would reach back to."""
        held = self.held()
        return "nothing" if not held.video else "pictures and sound" if held.audio else "pictures"

    def held(self) -> Capture:
        return capture(self.state, self.policy)

    def phase(self) -> Phase:
        return self.state.phase

    @property
    def cues(self) -> list[str]:
        return [cue.cue for cue in self.all(do.Cue)]

    def all(self, kind: type[_Kind]) -> list[_Kind]:
        return [command for command in self.said if isinstance(command, kind)]

    def last(self, kind: type[_Kind]) -> _Kind:
        assert self.all(kind), f"no {kind.__name__} in {[type(c).__name__ for c in self.said]}"
        return self.all(kind)[-1]

"""What is handed in while the device runs: a policy that the agency offers, and who wears the camera.

The agency's provisioning, or a dock, replaces two files. They are looked at every two seconds; what is good is told to
the control loop, and what is not is a fault with its reason in the log and the journal. No message holds what an
assignment says: it is private.
"""

import logging
import os
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from device.config import Configuration
from device.errors import ConfigurationError, EvidenceError
from device.evidence.adoption import Adoption, InForce
from device.evidence.orders import FaultOrder
from device.evidence.reading import read_file
from device.evidence.records import Fault
from device.policy.inputs import Assigned, FaultChanged, Input
from device.policy.state import Wearer

LOOK_EVERY_US = 2_000_000
MAX_ASSIGNMENT_BYTES = 4096
DETAIL_LIMIT = 200
_WORD = re.compile(r"([a-z0-9][a-z0-9-]{0,62})?")
_KEYS = ("officer", "role", "unit", "shift")

Seen = tuple[int, int, int, int] | None
"""What tells one file from the next of its name; None: there is none."""

_UNREADABLE = (0, 0, 0, 0)

log = logging.getLogger("bodycam")


class ControlLoop(Protocol):
    """What the hand-ins need of the control loop. Both may be called from any thread and never block."""

    def tell(self, came: Input) -> None: ...

    def offer_policy(self, offered: InForce) -> None:
        """A policy to carry out as soon as nothing is being recorded. They take force in the order offered."""


class HandIns:
    """The part named `hand-ins`. `adoption` is its own once it runs."""

    name = "hand-ins"

    def __init__(
        self,
        configuration: Configuration,
        adoption: Adoption,
        control: ControlLoop,
        post: Callable[[FaultOrder], None],
    ) -> None:
        self._adoption = adoption
        self._assignment = configuration.at(configuration.tables.assignment.file)
        self._control = control
        self._post = post
        self._seen: dict[Path, Seen] = {}
        self._wrong: dict[str, str] = {}
        self._wearer = Wearer()

    def run_once(self, now_us: int) -> int:
        self._look("policy", self._adoption.offered, self._take_policy, now_us)
        self._look("assignment", self._assignment, self._take_assignment, now_us)
        return now_us + LOOK_EVERY_US

    def _look(self, part: str, path: Path, take: Callable[[int], None], now_us: int) -> None:
        """Take a file that is new since the last look, or that was not good then."""
        seen = _seen(path)
        if path in self._seen and seen == self._seen[path] and part not in self._wrong:
            return
        self._seen[path] = seen
        try:
            take(now_us)
        except (EvidenceError, ConfigurationError) as failure:
            self._refused(part, path, str(failure), now_us)
        else:
            if self._wrong.pop(part, None) is not None:
                self._control.tell(FaultChanged(at_us=now_us, part=part, present=False))

    def _refused(self, part: str, path: Path, why: str, now_us: int) -> None:
        before = self._wrong.get(part)
        if why == before:
            return
        self._wrong[part] = why
        log.warning("%s: not taken: %s: %s", part, path, why)
        self._post(FaultOrder(Fault(part=part, present=True, at_us=now_us, detail=why[:DETAIL_LIMIT])))
        if before is None:
            self._control.tell(FaultChanged(at_us=now_us, part=part, present=True))

    def _take_policy(self, _: int) -> None:
        taken = self._adoption.take()
        if taken is not None:
            name = taken.bundle.name
            log.info(
                "policy: %s %s is kept; it is in force as soon as nothing is being recorded", name.id, name.version
            )
            self._control.offer_policy(taken)

    def _take_assignment(self, now_us: int) -> None:
        wearer = read_assignment(self._assignment)
        if wearer != self._wearer:
            self._wearer = wearer
            self._control.tell(
                Assigned(at_us=now_us, officer=wearer.officer, role=wearer.role, unit=wearer.unit, shift=wearer.shift)
            )


def read_assignment(path: Path) -> Wearer:
    """Who an assignment file names; nobody when there is none. `ConfigurationError` repeats nothing that it says."""
    try:
        data = read_file(Path(os.path.realpath(path)), MAX_ASSIGNMENT_BYTES)
        content = tomllib.loads("" if data is None else data.decode("utf-8"))
    except EvidenceError as failure:
        raise ConfigurationError(f"{str(failure).rpartition(': ')[2]}; write it anew") from failure
    except (ValueError, RecursionError):
        raise ConfigurationError("not TOML; write it anew") from None
    if data is None:
        return Wearer()
    if content.keys() - set(_KEYS):
        raise ConfigurationError(f"it has keys other than {', '.join(_KEYS)}; take them out")
    return Wearer(**{key: _word(key, content.get(key)) for key in _KEYS})


def _word(key: str, said: object) -> str:
    if not isinstance(said, str) or not _WORD.fullmatch(said):
        raise ConfigurationError(f"{key}: it must be a word of a–z, 0–9 and -, at most 63, or empty; write it anew")
    return said


def _seen(path: Path) -> Seen:
    try:
        status = os.stat(path)  # noqa: PTH116 - the fields of a status, not a path's
    except FileNotFoundError:
        return None
    except OSError:
        return _UNREADABLE
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns

"""A certificate that is about to expire is a fault, and so is one that has: long before a reader stops believing it.

The part named `expiry`. It looks at every certificate that this device's evidence will be judged by, the policy's too, which
may be another one tomorrow. A clock that isn't set says nothing about dates. It refuses nothing.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Protocol

from cryptography import x509

from device.clock import Clock
from device.evidence.orders import FaultOrder
from device.evidence.records import Fault
from device.policy.inputs import FaultChanged, Input

LOOK_EVERY_US = 60_000_000
WARN_DAYS = 30
PART = "certificate"
DETAIL_LIMIT = 200

log = logging.getLogger("bodycam")


class ControlLoop(Protocol):
    def tell(self, came: Input) -> None:
        """May be called from any thread; never blocks."""


class Expiry:
    """`certificates` gives those in use now, each under the name that the fault says."""

    name = "expiry"

    def __init__(
        self,
        clock: Clock,
        certificates: Callable[[], Mapping[str, x509.Certificate]],
        control: ControlLoop,
        post: Callable[[FaultOrder], None],
    ) -> None:
        self._clock = clock
        self._certificates = certificates
        self._control = control
        self._post = post
        self._said = ""

    def run_once(self, now_us: int) -> int:
        wall = self._clock.wall()
        if wall.synchronised:
            moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=wall.utc_us)
            self._say("; ".join(soon_over(self._certificates(), moment)), now_us)
        return now_us + LOOK_EVERY_US

    def _say(self, said: str, now_us: int) -> None:
        before, self._said = self._said, said
        if said and said != before:
            log.warning("certificate: %s", said)
            self._post(FaultOrder(Fault(part=PART, present=True, at_us=now_us, detail=said[:DETAIL_LIMIT])))
        if bool(said) != bool(before):
            self._control.tell(FaultChanged(at_us=now_us, part=PART, present=bool(said)))


def soon_over(certificates: Mapping[str, x509.Certificate], at: datetime) -> Iterator[str]:
    """What is to be said of those that are not valid at this moment, or will not be within 30 days."""
    for name, certificate in certificates.items():
        begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        if at < begins:
            yield f"{name}: not valid before {begins:%Y-%m-%d}"
        elif at > ends:
            yield f"{name}: expired on {ends:%Y-%m-%d}"
        elif at > ends - timedelta(days=WARN_DAYS):
            yield f"{name}: expires on {ends:%Y-%m-%d}"

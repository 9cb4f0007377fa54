"""What other units hand in, in the card's spool: the agency's receipts, and its words that date the journal.

The off-load unit, or a dock, puts files there under their digest. They are looked at every two seconds; each is judged
here, away from the frames, and what is good is an order to the recorder. What is not good stays where it is and is never
acted on: a fault, with its reason in the log and the journal, until it is gone or good. When room is wanted, the oldest
receipt is proven once more against what is on the card, and the recorder is told to release that recording.
"""

import hashlib
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

from device.clock import Clock
from device.errors import EvidenceError
from device.evidence import layout
from device.evidence.custody import AnchorOrder, CustodyOrder, DurableOrder, KnownOrder, ReceiptOrder, ReleaseOrder
from device.evidence.holdings import Holdings, Ours, check_extends, check_in_journal, prove, read_holdings
from device.evidence.orders import FaultOrder
from device.evidence.outside import CosignedHead, read_outside
from device.evidence.reading import names_in, read_file
from device.evidence.receipts import MAX_RECEIPT_BYTES, read_receipt
from device.evidence.records import Fault
from device.evidence.verdicts import printable
from device.policy.inputs import FaultChanged, Input

LOOK_EVERY_US = 2_000_000
MAX_LOOKED_AT = 64
"""Files at a look; more wait for the next."""
MOST_READINGS = 5
"""Of a journal that can't be read, before it is done without."""
DETAIL_LIMIT = 200
KINDS = ("receipt", "anchor")

log = logging.getLogger("bodycam")


class Room(Protocol):
    """What is asked of the recorder's custody."""

    @property
    def releasing(self) -> bool: ...

    short_bytes: int
    durable: set[str]


class Spool:
    """The part named `spool`."""

    name = "spool"

    def __init__(
        self,
        whose: Callable[[], Ours],
        clock: Clock,
        room: Room,
        tell: Callable[[Input], None],
        post: Callable[[CustodyOrder | FaultOrder], None],
    ) -> None:
        self._whose = whose
        self._clock = clock
        self._room = room
        self._tell = tell
        self._post = post
        self._ours: Ours
        self._holdings: Holdings | None = None
        self._posted: set[str] = set()
        self._waiting: set[str] = set()
        self._refused: dict[str, str] = {}
        self._unproven: set[str] = set()
        self._faults: set[str] = set()
        self._unread: dict[str, str] = {}
        self._readings = 0

    def run_once(self, now_us: int) -> int:
        if self._holdings is None:
            self._holdings = self._begin(now_us)
        if self._holdings is None:
            self._say_faults(now_us)
            return now_us + LOOK_EVERY_US
        self._look(self._holdings, now_us)
        if self._room.short_bytes and not self._room.releasing:
            self._make_room(self._holdings, now_us)
        self._say_faults(now_us)
        return now_us + LOOK_EVERY_US

    def _begin(self, now_us: int) -> Holdings | None:
        """What the journal holds by now; what it said would go, and is still there, goes. None while some of it can't be read:
        it is read again at the next looks, a few times, and then what can be read must do."""
        self._ours = self._whose()
        holdings = read_holdings(self._ours)
        self._readings += 1
        self._unread = holdings.unread
        for place, why in holdings.unread.items():
            self._refuse(place, printable(why), now_us)
        if holdings.unread and self._readings < MOST_READINGS:
            return None
        self._post(DurableOrder(frozenset(holdings.receipts)))
        for sha256 in holdings.released.values():
            receipt = holdings.receipts.get(sha256)
            if receipt is None:
                continue
            try:
                proof = prove(self._ours, sha256, receipt)
            except EvidenceError as failure:
                log.warning("receipt %s: its recording can't be released further: %s", sha256, printable(str(failure)))
                continue
            if proof.files:
                self._post(ReleaseOrder(proof, begun=True))
        return holdings

    # -- what is handed in --------------------------------------------------------------------------------------------

    def _look(self, holdings: Holdings, now_us: int) -> None:
        """Take what is good; of receipts, each in its place: first those before it that are here too."""
        try:
            names = names_in(self._ours.card / layout.SPOOL)
        except EvidenceError as failure:
            self._refuse(layout.SPOOL, printable(str(failure)), now_us)
            return
        self._posted &= set(names)
        there = {*names, *self._unproven, *self._unread}
        self._refused = {name: why for name, why in self._refused.items() if name in there}
        waiting = [name for name in names if layout.spooled(name) is not None and name not in self._posted]
        waiting = sorted(waiting, key=lambda name: name in self._refused)[:MAX_LOOKED_AT]
        self._waiting = set(waiting)
        self._hear_off_load(now_us)
        whys = self._take_all(holdings, waiting)
        self._waiting.clear()  # what was waited for is not good, or never comes: it may be of another card
        whys = self._take_all(holdings, list(whys))
        for name, why in whys.items():
            self._refuse(name, why, now_us)

    def _hear_off_load(self, now_us: int) -> None:
        """A receipt that off-load did not hand in, as it is not of what was sent: the wearer is to know it too."""
        try:
            said = read_file(self._ours.card / layout.REFUSED, layout.MAX_REFUSED_BYTES) or b""
        except EvidenceError as failure:
            said = str(failure).encode()
        name = layout.REFUSED.rpartition("/")[2]
        why = printable(said.decode("utf-8", "replace").strip())
        if why:
            self._refuse(name, why, now_us)
        else:
            self._refused.pop(name, None)

    def _take_all(self, holdings: Holdings, waiting: list[str]) -> dict[str, str]:
        """Take what can be taken, until nothing more can; the rest, with the reasons."""
        while True:
            whys = {name: why for name in waiting if (why := self._take(holdings, name))}
            if len(whys) == len(waiting):
                return whys
            waiting = list(whys)

    def _take(self, holdings: Holdings, name: str) -> str:
        """Why a file is not taken; "" when it is."""
        try:
            self._post(self._judged(holdings, name))
        except EvidenceError as failure:
            return printable(str(failure))
        self._posted.add(name)
        self._waiting.discard(name)
        self._refused.pop(name, None)
        return ""

    def _judged(self, holdings: Holdings, name: str) -> ReceiptOrder | AnchorOrder | KnownOrder:
        """The order that takes a file; `EvidenceError` says why it is not taken."""
        said = layout.spooled(name)
        if said is None:
            raise EvidenceError("not a name of a file that is handed in")
        sha256, kind = said
        data = read_file(self._ours.card / layout.SPOOL / name, MAX_RECEIPT_BYTES)
        if data is None or hashlib.sha256(data).hexdigest() != sha256:
            raise EvidenceError("its bytes are not those that its name says")
        if sha256 in holdings.receipts or sha256 in holdings.anchors:
            return KnownOrder(name)
        if kind == "receipt":
            return self._receipt(holdings, name, sha256, data)
        return self._anchor(holdings, name, sha256, data)

    def _receipt(self, holdings: Holdings, name: str, sha256: str, data: bytes) -> ReceiptOrder:
        receipt, _ = read_receipt(data, self._ours.anchors, self._now())
        if f"{receipt.previous}.receipt" in self._waiting:
            raise EvidenceError("the receipt before it has not been taken yet")
        check_extends(self._ours, holdings, sha256, receipt)
        prove(self._ours, sha256, receipt)
        holdings.receipts[sha256] = receipt
        log.info("receipt: the agency holds %s", receipt.recording)
        return ReceiptOrder(name, sha256, data, receipt)

    def _anchor(self, holdings: Holdings, name: str, sha256: str, data: bytes) -> AnchorOrder:
        statement, _ = read_outside(data, self._ours.anchors, self._now())
        if statement.device != self._ours.device:
            raise EvidenceError(f"it is for the device {statement.device}, and this is {self._ours.device}")
        if isinstance(statement, CosignedHead):
            check_in_journal(self._ours, statement.head)
        holdings.anchors.add(sha256)
        return AnchorOrder(name, data, statement)

    def _now(self) -> datetime | None:
        """When certificates must be valid; a clock that isn't set refuses nothing by dates."""
        wall = self._clock.wall()
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=wall.utc_us) if wall.synchronised else None

    # -- room ---------------------------------------------------------------------------------------------------------

    def _make_room(self, holdings: Holdings, now_us: int) -> None:
        """Release the recording whose receipt is the oldest. One that can't be proven any more is passed over."""
        for sha256, receipt in holdings.receipts.items():
            name = f"{sha256}.receipt"
            waits = sha256 not in self._room.durable
            if waits or receipt.recording in holdings.released or name in self._unproven:
                continue
            try:
                proof = prove(self._ours, sha256, receipt)
            except EvidenceError as failure:
                self._unproven.add(name)
                self._refuse(name, printable(str(failure)), now_us)
                continue
            holdings.released[receipt.recording] = sha256
            self._post(ReleaseOrder(proof, begun=False))
            return

    # -- what is refused ----------------------------------------------------------------------------------------------

    def _refuse(self, name: str, why: str, now_us: int) -> None:
        """Said once, in the log and the journal, for each file and reason."""
        if self._refused.get(name) == why:
            return
        self._refused[name] = why
        log.warning("spool: not taken: %s: %s", name, why)
        detail = f"{name[:16]}: {why}"[:DETAIL_LIMIT]
        self._post(FaultOrder(Fault(part=_part(name), present=True, at_us=now_us, detail=detail)))

    def _say_faults(self, now_us: int) -> None:
        for part in KINDS:
            present = part in map(_part, self._refused)
            if present != (part in self._faults):
                self._faults ^= {part}
                self._tell(FaultChanged(at_us=now_us, part=part, present=present))


def _part(name: str) -> str:
    said = layout.spooled(name)
    return said[1] if said is not None else "receipt"

"""What the agency handed in, made durable, and room made under its receipts. Recorder thread; `take` from any.

The spool's thread has read and judged everything by then, and gives orders. The order of writing is the point: the
receipt's own bytes, then the journal's line, then the spool's file goes; and the journal's `released`, then the first
file goes. So whenever the power goes, the next start finds out what is left to do, and nothing is missing that the
journal and a receipt don't account for (E7).
"""

from collections import deque
from collections.abc import Callable

import msgspec

from device.evidence import layout
from device.evidence.disk import Disk
from device.evidence.holdings import Proof
from device.evidence.journal import Journal
from device.evidence.outside import Outside, as_record
from device.evidence.receipts import Receipt
from device.evidence.records import Receipted, Record, Released
from device.evidence.store import Documents

REMOVED_AT_ONCE = 32
"""Files between which frames are looked after."""


class ReceiptOrder(msgspec.Struct, frozen=True):
    """A receipt that is good; `name` is its file's in the spool."""

    name: str
    sha256: str
    data: bytes
    receipt: Receipt


class AnchorOrder(msgspec.Struct, frozen=True):
    """A word from outside that is good."""

    name: str
    data: bytes
    statement: Outside


class KnownOrder(msgspec.Struct, frozen=True):
    """A file in the spool whose content the journal holds already."""

    name: str


class DurableOrder(msgspec.Struct, frozen=True):
    """Receipts that the journal held at the start, by digest."""

    receipts: frozenset[str]


class ReleaseOrder(msgspec.Struct, frozen=True):
    """Remove what the proof covers. `begun`: the journal says so already, and some of it is gone."""

    proof: Proof
    begun: bool


HandedIn = ReceiptOrder | AnchorOrder | KnownOrder
CustodyOrder = HandedIn | DurableOrder | ReleaseOrder


class Custody:
    """`recording_bps`: what an hour of recording takes. `least_bytes`: without so much room no recording starts.

    `short_bytes` is how much room is wanted and not there, `releasing` whether some is being made, `durable` the receipts
    that the journal holds, durably: read by the spool's thread, which then proves what may go.
    """

    def __init__(
        self,
        disk: Disk,
        documents: Documents,
        journal: Journal,
        *,
        recording_bps: int,
        storage_hours: int,
        least_bytes: int,
    ) -> None:
        self._disk = disk
        self._documents = documents
        self._journal = journal
        self._recording_bps = recording_bps
        self._least_bytes = least_bytes
        self._orders: deque[CustodyOrder] = deque()
        self._handed_in: deque[HandedIn] = deque()
        self._releases: deque[ReleaseOrder] = deque()
        self._said: list[CustodyOrder] = []
        self.durable: set[str] = set()
        self._room_bytes = 0
        self.short_bytes = 0
        self.want_hours(storage_hours)

    def want_hours(self, storage_hours: int) -> None:
        """The policy's hours of recording: between recordings, room is made for these."""
        hours_bytes = storage_hours * 3600 * self._recording_bps // 8
        self._room_bytes = max(hours_bytes, 2 * self._least_bytes)

    @property
    def releasing(self) -> bool:
        return bool(self._releases or self._orders)

    def take(self, order: CustodyOrder) -> None:
        """Never blocks."""
        self._orders.append(order)

    def look(self, free_bytes: int, *, recording: bool) -> None:
        """Judge the room there is. While a recording is open only what it needs to go on is made."""
        wanted = 2 * self._least_bytes if recording else self._room_bytes
        self.short_bytes = max(0, wanted - free_bytes)

    def has_work(self, *, recording: bool) -> bool:
        """What was handed in waits while a recording is open."""
        while self._orders:
            self._sort(self._orders.popleft())
        return bool(self._releases or (self._handed_in and not recording))

    def _sort(self, order: CustodyOrder) -> None:
        if isinstance(order, DurableOrder):
            self.durable |= order.receipts
        elif isinstance(order, ReleaseOrder):
            self._releases.append(order)
        else:
            self._handed_in.append(order)

    def step(self, sync_journal: Callable[[], None], *, recording: bool) -> bool:
        """Do one thing of those that there are; whether the last word from a dock is now in the journal. Raises
        `CannotPersist` when the card refuses; calling again goes on where it stopped."""
        if self._handed_in and not recording:
            self._keep(self._handed_in[0], sync_journal)
            done = self._handed_in.popleft()
            self._said = [order for order in self._said if order is not done]
            return not self._handed_in and not isinstance(done, KnownOrder)
        if self._releases and self._release(self._releases[0], sync_journal):
            self._releases.popleft()
        return False

    def _keep(self, order: HandedIn, sync_journal: Callable[[], None]) -> None:
        if isinstance(order, ReceiptOrder):
            self._documents.keep(layout.RECEIPTS, layout.receipt_file, order.data)
            receipt = order.receipt
            said = Receipted(recording=receipt.recording, head=receipt.ledger_head, receipt_sha256=order.sha256)
            self._say(order, said, sync_journal)
            self.durable.add(order.sha256)
        elif isinstance(order, AnchorOrder):
            self._say(order, as_record(order.data, order.statement, self._journal.durable), sync_journal)
        remove_handed_in(self._disk, order.name)

    def _say(self, order: CustodyOrder, record: Record, sync_journal: Callable[[], None]) -> None:
        """The journal says it once for an order, however often it is tried; durable on return. After a failure the line
        still waits there, and another order may come between."""
        if not any(said is order for said in self._said):
            self._said.append(order)
            self._journal.add(record)
        sync_journal()

    def _release(self, order: ReleaseOrder, sync_journal: Callable[[], None]) -> bool:
        """True when all of it is gone, durably."""
        proof = order.proof
        assert proof.receipt_sha256 in self.durable, "nothing goes before its receipt is journaled and durable (E7)"
        if not order.begun:
            said = Released(
                recording=proof.recording,
                receipt_sha256=proof.receipt_sha256,
                files=len(proof.files),
                size=proof.size,
            )
            self._say(order, said, sync_journal)
            self._said = [other for other in self._said if other is not order]
            order = self._releases[0] = msgspec.structs.replace(order, begun=True)
        return remove_released(self._disk, proof, REMOVED_AT_ONCE)


def remove_handed_in(disk: Disk, name: str) -> None:
    """A file of the spool's, once the card keeps what it said; durable on return."""
    assert layout.spooled(name) is not None, "a name that is taken from the spool"
    path = f"{layout.SPOOL}/{name}"
    if disk.size(path) is not None:
        disk.remove(path)
    disk.sync_folder(layout.SPOOL)


def remove_released(disk: Disk, proof: Proof, limit: int) -> bool:
    """The one place where evidence is removed: at most `limit` files that a proof covers. True when none of them is left,
    durably."""
    folder = layout.recording_folder(proof.recording)
    left = [path for path in proof.files if disk.size(path) is not None]
    for path in left[:limit]:
        assert path.startswith(f"{folder}/"), "a proof covers files of its own recording"
        disk.remove(path)
    if len(left) > limit:
        return False
    disk.sync_folder(folder)
    return True

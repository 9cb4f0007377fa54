"""Room on the card, and the documents that records name by digest. Recorder thread.

The reserve is allocated blocks: enough for what the ring holds and for the closing lines, so that a card that fills
lets the open recording close and sign (E7). Nothing is deleted here but the reserve itself; what a receipt lets go is
`custody`'s.
"""

import hashlib
from collections.abc import Callable

from device.errors import CannotPersist, CardFull
from device.evidence import layout
from device.evidence.disk import Disk, abandon

CLOSING_BYTES = 4 * 1024 * 1024
"""Closing records, the journal's lines and the file system's own needs, with room to spare."""
LEAST_FREE_BYTES = 1024 * 1024
"""With less than this and no reserve, not even the journal could say what happens."""


class Reserve:
    def __init__(self, disk: Disk, ring_cap_bytes: int) -> None:
        self._disk = disk
        self.size = ring_cap_bytes + CLOSING_BYTES

    @property
    def held(self) -> bool:
        return self._disk.size(layout.RESERVE) is not None

    def hold(self) -> bool:
        """Set the room aside; False when there is not enough."""
        if self.held:
            return True
        try:
            self._disk.allocate(layout.RESERVE, self.size)
            self._disk.sync_folder("")
        except CardFull:
            return False
        return True

    def release(self) -> None:
        """Give the room back; durable on return, as a file system reuses only room whose removal is."""
        if self.held:
            self._disk.remove(layout.RESERVE)
            self._disk.sync_folder("")


def make_folders(disk: Disk) -> None:
    """The card's folders; durable on return."""
    for folder in layout.TOP_FOLDERS:
        disk.make_folder(folder)
    disk.sync_folder("")


class Documents:
    """Keeps documents on the card, each under its digest. What was on the card at the start is durable by then.

    A file whose writing a power loss cut short, or failed, keeps its name and is not touched: the document goes under
    the next. A name that failed since the start is not believed either, as it may read well and not be durable. `unread`:
    those that could not be read, and why; what they were to hold is under another name by then.
    """

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._failed: set[str] = set()
        self.unread: list[str] = []

    def keep(self, folder: str, path_of: Callable[[str, int], str], document: bytes) -> str:
        """Write a document unless it is there; durable on return. Its SHA-256 in hex."""
        sha256 = hashlib.sha256(document).hexdigest()
        for attempt in range(layout.DOCUMENT_ATTEMPTS):
            path = path_of(sha256, attempt)
            if path in self._failed:
                continue
            if self._disk.size(path) is None:
                self._write(folder, path, document)
                return sha256
            if self._reads_as(path, document):
                return sha256
        raise CannotPersist(f"{path_of(sha256, 0)}: {layout.DOCUMENT_ATTEMPTS} writes failed; use another card")

    def _write(self, folder: str, path: str, document: bytes) -> None:
        file = self._disk.create(path)
        try:
            file.append(document)
            file.sync()
            self._disk.sync_folder(folder)
        except CannotPersist:
            self._failed.add(path)
            abandon(file)
            raise
        file.close()

    def _reads_as(self, path: str, document: bytes) -> bool:
        try:
            return self._disk.read(path, len(document) + 1) == document
        except CannotPersist as failure:
            self.unread.append(str(failure))
            return False


def free_for_start(disk: Disk) -> None:
    """`CardFull` when there is no room even for the journal's first lines."""
    free = disk.free_bytes()
    if disk.size(layout.RESERVE) is None and free < LEAST_FREE_BYTES:
        raise CardFull(
            f"{layout.EVIDENCE}: {free} bytes are free on the card and at least {LEAST_FREE_BYTES} are needed; "
            "off-load recordings or use another card, then start again"
        )

"""What the last record of a ledger says of all lines before it: their totals and their tree, counted as they come."""

from device.evidence.records import LedgerRecord, Segment, Segments, Totals, Tree
from device.evidence.tree import MerkleTree


class Tally:
    """Memory does not grow with the lines."""

    def __init__(self) -> None:
        self._tree = MerkleTree()
        self._segments = 0
        self._frames = 0
        self._packets = 0
        self._size = 0

    def take(self, record: LedgerRecord, payload: bytes) -> None:
        self._tree.append(payload)
        if isinstance(record, Segments):
            for segment in record.segments:
                self._count(segment)

    def _count(self, segment: Segment) -> None:
        self._segments += 1
        self._frames += segment.video.frames if segment.video is not None else 0
        self._packets += segment.audio.packets if segment.audio is not None else 0
        self._size += segment.file.size

    @property
    def totals(self) -> Totals:
        return Totals(segments=self._segments, frames=self._frames, packets=self._packets, size=self._size)

    @property
    def tree(self) -> Tree:
        return Tree(size=self._tree.size, root=self._tree.root())

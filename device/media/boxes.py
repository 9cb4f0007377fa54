"""The boxes of an MP4 file (ISO/IEC 14496-12), read where they lie: sizes and kinds, no content. PURE.

Whoever reads gives `read(offset, count)`, so a file of any size costs no memory. Anything at all may be in the bytes:
`EvidenceError` where they are no boxes. What a kind of box means, and whether it may stand there, is for the caller.
"""

from collections.abc import Callable, Iterator

import msgspec

from device.errors import EvidenceError

Read = Callable[[int, int], bytes]
"""Offset and count to bytes; fewer where there are no more."""
MAX_BOXES = 2_500_000
"""Two a segment, a million segments, and room."""
MAX_DEPTH = 8
CONTAINERS = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"mvex", b"udta", b"moof", b"traf", b"edts", b"dinf")


class Box(msgspec.Struct, frozen=True):
    """A box: where it begins, how many bytes it has with its header, its kind, and how long the header is. `user` is a
    `uuid` box's own 16 bytes, else empty."""

    offset: int
    length: int
    kind: bytes
    header: int = 8
    user: bytes = b""

    @property
    def end(self) -> int:
        return self.offset + self.length

    @property
    def wide(self) -> bool:
        """Whether its size is written in 64 bits."""
        return self.header - len(self.user) > 8


def boxes(read: Read, start: int, end: int) -> Iterator[Box]:
    """The boxes that the bytes from `start` to `end` consist of, each byte accounted for; `EvidenceError` where they do
    not: a size past the end, too small, or 0 (to the end of the file)."""
    offset, count = start, 0
    while offset < end:
        box = _box(read, offset, end)
        count += 1
        if count > MAX_BOXES:
            raise EvidenceError(f"more than {MAX_BOXES} boxes")
        yield box
        offset = box.end


def inner_boxes(read: Read, box: Box, depth: int = 0) -> Iterator[Box]:
    """Every box within a box, and within those that hold boxes; `EvidenceError` past the depth that any file needs."""
    if depth > MAX_DEPTH:
        raise EvidenceError(f"boxes within boxes {depth} deep at byte {box.offset}")
    for inner in boxes(read, box.offset + box.header, box.end):
        yield inner
        if inner.kind in CONTAINERS:
            yield from inner_boxes(read, inner, depth + 1)


def top_level_boxes(data: bytes) -> Iterator[Box]:
    """The boxes that `data` consists of, each byte accounted for; `EvidenceError` where it does not."""
    return boxes(lambda offset, count: data[offset : offset + count], 0, len(data))


def _box(read: Read, offset: int, end: int) -> Box:
    head = read(offset, 32)[: end - offset]
    length, kind, header = int.from_bytes(head[:4], "big"), head[4:8], 8
    if length == 1 and len(head) >= 16:
        length, header = int.from_bytes(head[8:16], "big"), 16
    user = head[header : header + 16] if kind == b"uuid" else b""
    header += len(user)
    least = header if kind != b"uuid" or len(user) == 16 else header + 16
    if len(head) < 8 or length < least or offset + length > end:
        raise EvidenceError(f"the box at byte {offset} says {length} bytes; {end - offset} are there")
    return Box(offset, length, kind, header, user)

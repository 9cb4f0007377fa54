"""Opening evidence that nobody vouches for: regular files only, by derived names, no links followed, sizes first.

Every reader opens files through here. Failures are `EvidenceError` with the file's name. `whole` paths are a card's
folder and what stands below it; that the folders on the way are folders, and no links, is `real_folder`'s to ask first.
"""

import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from device.errors import EvidenceError
from device.evidence.envelope import MAX_LINE_BYTES

BLOCK_BYTES = 1024 * 1024
BEGINNING_BYTES = 16 * 1024
"""As much of a file as its header may take."""
SHORTEST_LINE_BYTES = 200
"""A signed line is longer than that."""
_SHORT_LINES = re.compile(rb"(?:[^\n]{0,%d}+\n)++" % (SHORTEST_LINE_BYTES - 1))
MAX_NAMES = 1_000_000


def regular_size(path: Path) -> int | None:
    """Bytes of a regular file, None when there is none; `EvidenceError` for a link, a device or a folder."""
    try:
        status = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as failure:
        raise EvidenceError(f"{path.name}: {_why(failure)}") from failure
    if not stat.S_ISREG(status.st_mode):
        raise EvidenceError(f"{path.name}: not a regular file")
    return status.st_size


def real_folder(path: Path) -> bool:
    """Whether there is a folder; `EvidenceError` when something else, a link to a folder too, stands in its place."""
    try:
        status = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError) as failure:
        raise EvidenceError(f"{path.name}: {_why(failure)}") from failure
    if not stat.S_ISDIR(status.st_mode):
        raise EvidenceError(f"{path.name}: not a folder")
    return True


def read_file(path: Path, limit: int) -> bytes | None:
    """A regular file's bytes, None when there is none; `EvidenceError` when it is larger than `limit`.

    Of a file that is being written it is what was there at first.
    """
    size = regular_size(path)
    if size is None:
        return None
    if size > limit:
        raise EvidenceError(f"{path.name}: {size} bytes; the limit is {limit}")
    content = bytearray()
    for block in _blocks(path, size):
        content += block
    return bytes(content)


def lines_in(path: Path, limit: int) -> Iterator[bytes]:
    """A regular file's whole lines, without their newlines, one at a time: memory stays flat. Nothing when there is no
    file; `EvidenceError` when it is larger than `limit`, or has a line that no record is as long as."""
    size = regular_size(path)
    if size is None:
        return
    if size > limit:
        raise EvidenceError(f"{path.name}: {size} bytes; the limit is {limit}")
    rest = b""
    for block in _blocks(path, size):
        *lines, rest = (rest + bytes(block)).split(b"\n")
        yield from lines
        if len(rest) > MAX_LINE_BYTES:
            raise EvidenceError(f"{path.name}: a line of more than {MAX_LINE_BYTES} bytes")


def digest_file(path: Path, size: int) -> tuple[str, bytes]:
    """SHA-256 in hex of a regular file of exactly `size` bytes, and its beginning; memory stays flat."""
    digest = hashlib.sha256()
    beginning = b""
    for block in file_blocks(path, size):
        beginning += block[: BEGINNING_BYTES - len(beginning)]
        digest.update(block)
    return digest.hexdigest(), beginning


def file_blocks(path: Path, size: int) -> Iterator[memoryview]:
    """A regular file of exactly `size` bytes, block by block, each valid until the next. `EvidenceError` in the end when
    it has another size."""
    for block in _blocks(path, size + 1):
        size -= len(block)
        yield block
    if size:
        raise EvidenceError(f"{path.name}: its size changed while it was read")


@contextmanager
def open_file(path: Path) -> Iterator[BinaryIO]:
    """A regular file to read and seek in; `EvidenceError` when it is none."""
    with _opened(path) as descriptor, os.fdopen(descriptor, "rb", closefd=False) as file:
        yield file


@contextmanager
def parts_of(path: Path) -> Iterator[tuple[int, Callable[[int, int], bytes]]]:
    """A regular file's size, and a way to read a part of it: offset and count to bytes, fewer where there are no more.

    `EvidenceError` when it is none, or can't be read.
    """
    with _opened(path) as descriptor:

        def read(offset: int, count: int) -> bytes:
            try:
                return os.pread(descriptor, count, offset)
            except (OSError, OverflowError) as failure:
                raise EvidenceError(f"{path.name}: {_why(failure)}") from failure

        yield os.fstat(descriptor).st_size, read


class LinesOf:
    """A file's lines, one at a time, with their newlines: memory is that of one line, whatever the file's size.

    A line longer than `line_bytes` comes in pieces of which none but the last has a newline. Of a file that is being
    written it is what was there at first. `EvidenceError` when it is larger than `limit`, or can't be read, then too
    while its lines are taken. To be gone through once.
    """

    def __init__(self, path: Path, limit: int, line_bytes: int) -> None:
        size = regular_size(path)
        if size is not None and size > limit:
            raise EvidenceError(f"{path.name}: {size} bytes; the limit is {limit}")
        self.is_there = size is not None
        self.beginning = Beginning()
        self._digest = hashlib.sha256()
        self._pieces = _in_lines(_blocks(path, size) if size else (), line_bytes)
        self.first = next(self._pieces, b"")
        """The first line, or the first piece of it."""

    def __iter__(self) -> Iterator[bytes]:
        piece = self.first
        while piece:
            self.beginning.take(piece)
            self._digest.update(piece)
            yield piece
            piece = next(self._pieces, b"")

    def sha256(self) -> str:
        """Of all that was taken so far."""
        return self._digest.hexdigest()


class Beginning:
    """Looks at the pieces of a first line: `never_whole` when it is what a power loss leaves of a first write, and not
    a whole line that is merely wrong: no end to it, or holes of zeros."""

    def __init__(self) -> None:
        self._ended = False
        self._zeros = False

    def take(self, piece: bytes) -> None:
        if not self._ended:
            line, newline, _ = piece.partition(b"\n")
            self._zeros = self._zeros or b"\0" in line
            self._ended = bool(newline)

    @property
    def never_whole(self) -> bool:
        return self._zeros or not self._ended


def read_part(path: Path, offset: int, size: int) -> bytes:
    """So many bytes of a regular file, fewer where it ends."""
    with _opened(path) as descriptor:
        try:
            return os.pread(descriptor, size, offset)
        except OSError as failure:
            raise EvidenceError(f"{path.name}: {_why(failure)}") from failure


def each_name(folder: Path) -> Iterator[str]:
    """The names in a folder, in no order, none kept: for what is counted. As `names_in`, but for the limit."""
    if not real_folder(folder):
        return
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                yield entry.name
    except OSError as failure:
        raise EvidenceError(f"{folder.name}: {_why(failure)}") from failure


def names_in(folder: Path) -> list[str]:
    """The sorted names in a folder; empty when there is none. `EvidenceError` for a link, and when it can't be read."""
    if not real_folder(folder):
        return []
    try:
        names = sorted(os.listdir(folder))  # noqa: PTH208 - names only: no stat for each of a million entries
    except OSError as failure:
        raise EvidenceError(f"{folder.name}: {_why(failure)}") from failure
    if len(names) > MAX_NAMES:
        raise EvidenceError(f"{folder.name}: {len(names)} names; the limit is {MAX_NAMES}")
    return names


def _blocks(path: Path, limit: int) -> Iterator[memoryview]:
    """The first `limit` bytes of a regular file, as far as they are there. Each block is valid until the next."""
    view = memoryview(bytearray(min(limit, BLOCK_BYTES)))
    with _opened(path) as descriptor:
        while limit > 0:
            try:
                count = os.readv(descriptor, [view[: min(limit, len(view))]])
            except OSError as failure:
                raise EvidenceError(f"{path.name}: {_why(failure)}") from failure
            if count == 0:
                return
            yield view[:count]
            limit -= count


def pieces_in(data: bytes, begin: int) -> Iterator[bytes]:
    """The whole lines in these bytes, with their newlines. A run of lines too short for a signature comes as one piece:
    so millions of empty lines cost a reader nothing."""
    while True:
        run = _SHORT_LINES.match(data, begin)
        end = run.end() if run is not None else data.find(b"\n", begin) + 1
        if end == 0:
            return
        yield data[begin:end]
        begin = end


def _in_lines(blocks: Iterable[memoryview], line_bytes: int) -> Iterator[bytes]:
    kept = b""
    for block in blocks:
        data = kept + bytes(block)
        begin = 0
        for piece in pieces_in(data, 0):
            yield piece
            begin += len(piece)
        kept = data[begin:]
        if len(kept) > line_bytes:
            yield kept
            kept = b""
    if kept:
        yield kept


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    try:
        # A pipe that was put there after the look at its size would block for ever without O_NONBLOCK.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as failure:
        raise EvidenceError(f"{path.name}: {_why(failure)}") from failure
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise EvidenceError(f"{path.name}: not a regular file")
        yield descriptor
    finally:
        os.close(descriptor)


def _why(failure: OSError | ValueError | OverflowError) -> str:
    return (isinstance(failure, OSError) and failure.strerror) or str(failure)

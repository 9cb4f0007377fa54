"""An object back into a folder that `verify` reads as a card. Bounded and safe: names are derived and in order, so that
none comes twice; regular files only, made new; sizes are known before anything is written. Agency's side."""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

import msgspec

from device.errors import EvidenceError, UsageError
from device.evidence import layout
from device.offload.container import (
    BLOCK_BYTES,
    END,
    MANIFEST,
    MAX_MEMBERS,
    Manifest,
    decode_manifest,
    member,
    order_of,
    padding,
)

MAX_OBJECT_BYTES = 1 << 40
"""1 TiB: more than any card holds."""


class Unpacked(msgspec.Struct, frozen=True):
    """What an object holds, and the SHA-256 and size of its bytes."""

    manifest: Manifest
    sha256: str
    size: int


class _Reader:
    """Takes exact numbers of bytes from blocks of any size."""

    def __init__(self, blocks: Iterable[bytes | memoryview], limit: int) -> None:
        self._blocks = iter(blocks)
        self._rest = b""
        self._limit = limit
        self.digest = hashlib.sha256()
        self.size = 0

    def take(self, size: int) -> bytes:
        """At most `size` bytes, at least one; `EvidenceError` at the end."""
        while not self._rest:
            block = next(self._blocks, None)
            if block is None:
                raise EvidenceError("the object ends before its end")
            self._rest = bytes(block)
            self.size += len(self._rest)
            self.digest.update(self._rest)
            if self.size > self._limit:
                raise EvidenceError(f"more than {self._limit} bytes, the limit of an object")
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken

    def exactly(self, size: int) -> bytes:
        taken = b""
        while len(taken) < size:
            taken += self.take(size - len(taken))
        return taken

    def ended(self) -> bool:
        return not self._rest and not any(len(block) for block in self._blocks)


def read_manifest(blocks: Iterable[bytes | memoryview]) -> Manifest:
    """The manifest at an object's beginning; only as much as that is read."""
    return _manifest(_Reader(blocks, MAX_OBJECT_BYTES))


def unpack(blocks: Iterable[bytes | memoryview], folder: Path, limit: int = MAX_OBJECT_BYTES) -> Unpacked:
    """Write an object's files into a new folder. `EvidenceError`: it is not an object, or more than `limit` bytes; what
    was written until then stays, for the caller to remove. `UsageError` when the folder can't be made."""
    try:
        folder.mkdir(mode=0o750)
        for name in (layout.EVIDENCE, layout.JOURNAL, layout.POLICY, layout.IDENTITY):
            (folder / name).mkdir(mode=0o750)
    except OSError as failure:
        raise UsageError(f"-o {folder}: {failure.strerror}; name a new folder in one that can be written") from failure
    reader = _Reader(blocks, limit)
    manifest = _manifest(reader)
    own = f"{layout.recording_folder(manifest.recording)}/"
    (folder / own).mkdir(mode=0o750)
    before = order_of(MANIFEST)
    for _ in range(MAX_MEMBERS):
        found = member(reader.exactly(BLOCK_BYTES))
        if found is None:
            break
        name, size = found
        order = order_of(name)
        assert before is not None, "every accepted name has its place"
        assert order is not None, "every accepted name has its place"
        if order <= before:
            raise EvidenceError(f"{name}: twice, or out of order")
        if name.startswith(f"{layout.EVIDENCE}/") and not name.startswith(own):
            raise EvidenceError(f"{name}: a file of another recording than {manifest.recording}")
        before = order
        _write(reader, folder / name, size)
    else:
        raise EvidenceError(f"more than {MAX_MEMBERS} files, the limit of an object")
    if reader.exactly(BLOCK_BYTES) != END[:BLOCK_BYTES] or not reader.ended():
        raise EvidenceError("something follows the end of the object")
    return Unpacked(manifest, reader.digest.hexdigest(), reader.size)


def _manifest(reader: _Reader) -> Manifest:
    found = member(reader.exactly(BLOCK_BYTES))
    if found is None or found[0] != MANIFEST:
        raise EvidenceError(f"it does not begin with {MANIFEST}")
    manifest = decode_manifest(reader.exactly(found[1]))
    _padding(reader, found[1])
    return manifest


def _write(reader: _Reader, path: Path, size: int) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    with os.fdopen(os.open(path, flags, 0o440), "wb") as file:
        left = size
        while left:
            block = reader.take(left)
            file.write(block)
            left -= len(block)
    _padding(reader, size)


def _padding(reader: _Reader, size: int) -> None:
    fill = padding(size)
    if reader.exactly(len(fill)) != fill:
        raise EvidenceError("bytes between two files of the object")

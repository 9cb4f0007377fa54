"""What off-load and the agency's receiving side ask of a store, and a folder that answers it. Nothing here deletes."""

import os
from collections.abc import Callable, Generator, Iterable
from datetime import datetime
from pathlib import Path
from typing import Protocol, TypeVar

import msgspec

from device.errors import EvidenceError, StoreError
from device.evidence.reading import file_blocks, names_in, read_file, regular_size

_T = TypeVar("_T")
Blocks = Iterable[bytes | memoryview]


class Keeping(msgspec.Struct, frozen=True):
    """How long an object is to be kept: a hint to the agency, and until when the store must refuse to let it go."""

    days: int
    until: datetime


class Store(Protocol):
    """A place under the agency's hand. Every failure is `StoreError`; names are those of `naming`."""

    replaces: bool
    """Whether what is there under a name may be put again, the older version being kept."""

    def size(self, name: str) -> int | None:
        """Bytes of an object; None when there is none."""

    def upload(self, name: str, blocks: Callable[[], Blocks], size: int, keeping: Keeping) -> None:
        """Put an object, going on where a cut upload ended; it is there, whole, on return. `blocks` may be called more
        than once, and gives the same bytes each time."""

    def hold(self, name: str, keeping: Keeping) -> None:
        """Have the store refuse to let go of what is there, where it can; `StoreError` when it does not."""

    def blocks(self, name: str, limit: int) -> Generator[bytes]:
        """An object's bytes; `StoreError` past the limit, and in the end when some are missing."""

    def small(self, name: str, limit: int) -> bytes | None:
        """A small object's bytes; None when there is none."""

    def put_small(self, name: str, data: bytes) -> None:
        """Put a small object under a name that is free."""

    def names(self, prefix: str) -> list[str]:
        """The names that begin so, sorted. `prefix` ends with a slash."""


class FolderStore:
    """A folder: a dock's disk, or a share. It has no lock; nothing in it is ever replaced by us."""

    replaces = False

    def __init__(self, root: Path) -> None:
        self._root = root
        if not root.is_dir():
            raise StoreError(f"folder:{root}: no such folder; is it mounted?")

    def size(self, name: str) -> int | None:
        return _said(name, lambda: regular_size(self._root / name))

    def upload(self, name: str, blocks: Callable[[], Blocks], size: int, keeping: Keeping) -> None:  # noqa: ARG002 - no lock here
        self._put(name, blocks(), size)

    def hold(self, name: str, keeping: Keeping) -> None:
        """A folder has no lock."""

    def blocks(self, name: str, limit: int) -> Generator[bytes]:
        size = self.size(name)
        if size is None or size > limit:
            raise StoreError(f"{name}: {'it is gone' if size is None else f'{size} bytes; the limit is {limit}'}")
        try:
            for block in file_blocks(self._root / name, size):
                yield bytes(block)
        except EvidenceError as failure:
            raise StoreError(f"{name}: {failure}") from failure

    def small(self, name: str, limit: int) -> bytes | None:
        return _said(name, lambda: read_file(self._root / name, limit))

    def put_small(self, name: str, data: bytes) -> None:
        self._put(name, [data], len(data))

    def names(self, prefix: str) -> list[str]:
        folder = self._root / prefix
        found = _said(prefix, lambda: names_in(folder))
        whole: list[str] = []
        for name in found:
            inside = folder / name
            deeper = inside.is_dir() and not inside.is_symlink()
            whole += self.names(f"{prefix}{name}/") if deeper and prefix.count("/") < 3 else [prefix + name]
        return sorted(whole)

    def _put(self, name: str, blocks: Blocks, size: int) -> None:
        path = self._root / name
        beside = path.with_name(f"{path.name}.part")
        if os.path.lexists(path):
            raise StoreError(f"{name}: something else is there under this name; move it away")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _go_on(beside, blocks, size)
            beside.rename(path)
            _sync_folders(path.parent, self._root)
        except OSError as failure:
            raise StoreError(f"{name}: {failure.strerror or failure}; free or mend the folder") from failure


def _said(name: str, ask: Callable[[], _T]) -> _T:
    try:
        return ask()
    except EvidenceError as failure:
        raise StoreError(f"{name}: {failure}") from failure


def _go_on(path: Path, blocks: Blocks, size: int) -> None:
    """Write a file, leaving what is there of it already as it is where it is the same; durable on return."""
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(path, flags, 0o640)
    try:
        at = 0
        for block in blocks:
            if os.pread(descriptor, len(block), at) != block:
                _write_at(descriptor, block, at)
            at += len(block)
        os.ftruncate(descriptor, at)
        os.fchmod(descriptor, 0o440)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    assert at == size, "the object has the size that was said"


def _write_at(descriptor: int, block: bytes | memoryview, at: int) -> None:
    view = memoryview(block)
    while view:
        written = os.pwrite(descriptor, view, at)
        view, at = view[written:], at + written


def _sync_folders(folder: Path, root: Path) -> None:
    for one in (folder, *folder.parents):
        descriptor = os.open(one, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if one == root:
            return

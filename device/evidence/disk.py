"""The card, as the recorder needs it: new files, appended lines, and syncs that mean it. Paths are relative.

Nothing once written is rewritten, so there is no call for it. A handle is kept from its first write to its sync, so
that the kernel reports a failed write-back to the one who wrote. Every failure is `CannotPersist`, a full card
`CardFull`. Called by the recorder thread; the twin's disk has the same methods and forgets what was not synced.
"""

import ctypes
import errno
import os
import stat
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Protocol

from device.errors import CannotPersist, CardFull


class File(Protocol):
    """An open file that only grows."""

    def append(self, data: bytes | memoryview) -> None:
        """`data` is the caller's again afterwards."""

    def sync(self) -> None: ...

    def close(self) -> None:
        """Give the handle back; once more does nothing. Says nothing of what is durable."""


class Disk(Protocol):
    def make_folder(self, path: str) -> None:
        """Make one folder; it may exist already."""

    def create(self, path: str) -> File:
        """Open a new file; one that exists is a failure."""

    def sync_folder(self, path: str) -> None:
        """Make the folder's entries durable (E2)."""

    def sync_all(self) -> None:
        """Make everything written so far durable, entries included (`syncfs`)."""

    def names(self, path: str) -> list[str]:
        """The sorted names in a folder; empty when there is no such folder. One that can't be read is a failure."""

    def size(self, path: str) -> int | None:
        """Bytes of a regular file; None when there is none."""

    def read(self, path: str, limit: int) -> bytes:
        """A regular file's first `limit` bytes."""

    def free_bytes(self) -> int: ...

    def allocate(self, path: str, size: int) -> None:
        """A new file of allocated blocks that hold nothing: room kept for later."""

    def remove(self, path: str) -> None:
        """Take a file's name away, and give its room back. Used on the reserve, on the spool's files, and on evidence in
        one place only, under a proof (`custody.remove_released`, E7)."""


def inside(path: str) -> str:
    """The path, when it is one of ours: relative, in its only spelling; the root is "". Anything else is our bug."""
    parts = PurePosixPath(path).parts
    assert path == "/".join(parts), f"not a path on a card: {path!r}"
    assert ".." not in parts, f"not a path on a card: {path!r}"
    return path


def abandon(file: File) -> None:
    """Close a file that could not be made durable. It is written again elsewhere, so an error here says nothing new."""
    with suppress(CannotPersist):
        file.close()


class _Reported:
    """Its failures are the card's, and name the path."""

    __slots__ = ("_path",)

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, failure: BaseException | None, trace: object) -> None:
        if isinstance(failure, OSError):
            full = failure.errno in (errno.ENOSPC, errno.EDQUOT)
            raise (CardFull if full else CannotPersist)(f"{self._path}: {failure.strerror or failure}") from failure


class CardFile:
    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor

    def append(self, data: bytes | memoryview) -> None:
        with _Reported(self._path):
            written = os.write(self._open(), data)
            while written < len(data):
                written += os.write(self._open(), memoryview(data)[written:])

    def sync(self) -> None:
        with _Reported(self._path):
            os.fsync(self._open())

    def close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:  # a second close would close whatever another thread has opened since
            with _Reported(self._path):
                os.close(descriptor)

    def _open(self) -> int:
        if self._descriptor < 0:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        return self._descriptor


class CardDisk:
    """A folder of a mounted file system. The descriptor on its root lives as long as this object."""

    def __init__(self, root: Path) -> None:
        self._root = root
        with _Reported(root):
            self._descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._libc = ctypes.CDLL(None, use_errno=True)

    def close(self) -> None:
        os.close(self._descriptor)

    def make_folder(self, path: str) -> None:
        whole = self._root / inside(path)
        with _Reported(whole):
            whole.mkdir(mode=0o750, exist_ok=True)

    def create(self, path: str) -> CardFile:
        whole = self._root / inside(path)
        with _Reported(whole):
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
            return CardFile(whole, os.open(whole, flags, 0o640))

    def sync_folder(self, path: str) -> None:
        whole = self._root / inside(path)
        with _Reported(whole):
            descriptor = os.open(whole, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def sync_all(self) -> None:
        if self._libc.syncfs(self._descriptor) != 0:
            code = ctypes.get_errno()
            with _Reported(self._root):
                raise OSError(code, os.strerror(code))

    def names(self, path: str) -> list[str]:
        whole = self._root / inside(path)
        with _Reported(whole):
            try:
                return sorted(entry.name for entry in whole.iterdir())
            except (FileNotFoundError, NotADirectoryError):
                return []

    def size(self, path: str) -> int | None:
        whole = self._root / inside(path)
        with _Reported(whole):
            try:
                status = whole.lstat()
            except (FileNotFoundError, NotADirectoryError):
                return None
        return status.st_size if stat.S_ISREG(status.st_mode) else None

    def read(self, path: str, limit: int) -> bytes:
        whole = self._root / inside(path)
        with _Reported(whole):
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a pipe put there would block for ever
            descriptor = os.open(whole, flags)
            try:
                status = os.fstat(descriptor)
                if not stat.S_ISREG(status.st_mode):
                    raise OSError(errno.EINVAL, "not a regular file")
                with os.fdopen(descriptor, "rb", closefd=False) as file:
                    return file.read(min(limit, status.st_size))
            finally:
                os.close(descriptor)

    def free_bytes(self) -> int:
        with _Reported(self._root):
            space = os.statvfs(self._root)
            return space.f_bavail * space.f_frsize

    def allocate(self, path: str, size: int) -> None:
        whole = self._root / inside(path)
        with _Reported(whole):
            descriptor = os.open(whole, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
            try:
                os.posix_fallocate(descriptor, 0, size)
                os.fsync(descriptor)
            except OSError:
                whole.unlink()
                raise
            finally:
                os.close(descriptor)

    def remove(self, path: str) -> None:
        whole = self._root / inside(path)
        with _Reported(whole):
            whole.unlink()

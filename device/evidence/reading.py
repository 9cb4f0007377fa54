"""Opening evidence that nobody vouches for: regular files only, by derived names, no links followed, sizes first.

Every reader opens files through here. Failures are `EvidenceError` with the file's name.
"""

import hashlib
import io
import os
import stat
from pathlib import Path

from device.errors import EvidenceError

BLOCK_BYTES = 1024 * 1024
MAX_NAMES = 1_000_000


def regular_size(path: Path) -> int | None:
    """Bytes of a regular file, None when there is none; `EvidenceError` for a link, a device or a folder."""
    try:
        status = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as failure:
        raise EvidenceError(f"{path.name}: {failure}") from failure
    if not stat.S_ISREG(status.st_mode):
        raise EvidenceError(f"{path.name}: not a regular file")
    return status.st_size


def read_file(path: Path, limit: int) -> bytes | None:
    """A regular file's bytes, None when there is none; `EvidenceError` when it is larger than `limit`."""
    size = regular_size(path)
    if size is None:
        return None
    if size > limit:
        raise EvidenceError(f"{path.name}: {size} bytes; the limit is {limit}")
    with _open(path) as file:
        return file.read(limit)


def digest_file(path: Path, size: int) -> tuple[str, bytes]:
    """SHA-256 in hex of a regular file of exactly `size` bytes, and its first block; memory stays flat."""
    digest = hashlib.sha256()
    beginning = b""
    buffer = bytearray(BLOCK_BYTES)
    view = memoryview(buffer)
    read = 0
    with _open(path) as file:
        while count := file.readinto(buffer):
            beginning = beginning or bytes(view[: min(count, 16 * 1024)])
            digest.update(view[:count])
            read += count
            if read > size:
                break
    if read != size:
        raise EvidenceError(f"{path.name}: {size} bytes a moment ago, {read} now")
    return digest.hexdigest(), beginning


def names_in(folder: Path) -> list[str]:
    """The sorted names in a folder; empty when there is none. A link to a folder is not followed."""
    if folder.is_symlink() or not folder.is_dir():
        return []
    names = sorted(os.listdir(folder))  # noqa: PTH208 - names only: no stat for each of a million entries
    if len(names) > MAX_NAMES:
        raise EvidenceError(f"{folder.name}: {len(names)} names; the limit is {MAX_NAMES}")
    return names


def _open(path: Path) -> io.FileIO:
    try:
        return io.FileIO(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK))
    except OSError as failure:
        raise EvidenceError(f"{path.name}: {failure.strerror}") from failure

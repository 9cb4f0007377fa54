"""The twin's card: it honours syncs, and what was not synced is gone after a power cut. Recorder thread only.

The real folder `root` holds only what is durable; everything else is in this process's memory, so a SIGKILL is a power
cut. Stricter than ext4, as POSIX allows:
- `File.sync` makes a file's content durable, not its name; `sync_folder` makes a folder's own entries durable (names
  made, names removed), not what is in them; `sync_all` makes everything durable.
- A file is in the root once every entry on its way is durable, with as much content as was synced, at once and whole.
- After a failed sync the bytes it was to make durable are clean in the cache: read back here, never on the card. A later
  sync of that file succeeds without them, and leaves zeros where something after them became durable.
- Room that a removal gave back is used again only after the removal is durable (ext4 commits its journal then).

What it is not, beside a real card: room is counted in bytes of content (a name costs nothing); a failed `sync_folder`
loses no entry; bytes lost to a failed sync never come back, where ext4 would write them with the rest of their page; what
another process hands in under `root` is durable at once, and its room is counted at the next opening; a symbolic link
leads nowhere. `root` must be an ordinary folder, not a mount point: what appears whole is made beside it, then renamed.
An `OSError` from here is this machine's own trouble, never the card's.
"""

import errno
import os
import random
import shutil
import stat
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from device.errors import CannotPersist, CardFull
from device.evidence.disk import inside

Operation = Literal[
    "create", "append", "sync_file", "sync_folder", "sync_all", "make_folder", "allocate", "remove"
]  # fmt: skip
OPERATIONS: tuple[Operation, ...] = get_args(Operation)
FLUSHES: tuple[Operation, ...] = ("sync_file", "sync_folder", "sync_all", "allocate")

SECTOR_BYTES = 512
"""The least that a card writes as one."""
LOG_LIMIT = 10_000
SURVIVAL_ODDS = (0.0, 0.1, 0.5, 0.9, 1.0)
"""Drawn per file and per folder, so that all, nothing and every mixture of it are seen."""

Piece = tuple[int, bytes]
"""Bytes at an offset of a file."""


class PowerCut(BaseException):  # not an Exception: nothing on the device may catch it
    """The power goes off before this operation. Raised by a `before` hook; then call `TwinDisk.cut`."""


@dataclass(eq=False)
class _File:
    size: int = 0  # as this process sees it
    synced: int = 0  # as the card has it
    dirty: list[Piece] = field(default_factory=list)  # waits for a sync
    lost: list[Piece] = field(default_factory=list)  # a sync of it failed
    staged: list[Piece] = field(default_factory=list)  # synced, and no durable path leads to it yet
    real: Path | None = None


@dataclass(eq=False)
class _Folder:
    real: Path | None = None
    made: "dict[str, _Node]" = field(default_factory=dict)  # entries that wait for a sync
    removed: set[str] = field(default_factory=set)  # durable entries whose removal waits for a sync
    durable: "dict[str, _Node]" = field(default_factory=dict)  # all of them, or, when real, those that were looked at


@dataclass(eq=False)
class _Foreign:
    """A link, a pipe, a device: no file or folder of ours."""

    size: int = 0
    real: Path | None = None


_Node = _File | _Folder | _Foreign


@dataclass
class _Failure:
    operation: Operation
    error: type[CannotPersist]
    count: int
    path_contains: str


class TwinFile:
    """`device.evidence.disk.File` on a `TwinDisk`."""

    def __init__(self, disk: "TwinDisk", path: str, node: _File) -> None:
        self._disk = disk
        self._path = path
        self._node: _File | None = node

    def append(self, data: bytes | memoryview) -> None:
        self._disk.append_to(self._open(), self._path, data)

    def sync(self) -> None:
        self._disk.sync_content_of(self._open(), self._path)

    def close(self) -> None:
        self._node = None

    def _open(self) -> _File:
        if self._node is None:
            raise _refused(self._path, errno.EBADF)
        return self._node


class TwinDisk:
    """`device.evidence.disk.Disk` over `root`. `before` is called with each operation and its path, before it is done;
    `kept` says what it keeps of what is written.

    `operations` counts what was asked, also where it then failed; `log` holds the last of it.
    """

    def __init__(
        self,
        root: Path,
        capacity_bytes: int = 1 << 35,
        before: Callable[[Operation, str], None] | None = None,
    ) -> None:
        if not root.is_dir():
            raise _refused(str(root), errno.ENOENT)
        self.before = before
        self.kept: Callable[[bytes], bytes] = lambda data: data
        self.operations: Counter[Operation] = Counter()
        self.log: deque[tuple[Operation, str]] = deque(maxlen=LOG_LIMIT)
        self._top = _Folder(real=root)
        self._beside = root.with_name(f".{root.name}.appearing")
        _discard(self._beside)
        self._capacity_bytes = capacity_bytes
        self._used_bytes = sum(_stored(root))
        self._removed_bytes = 0  # given back by removals that are not durable
        self._dirty_files: dict[_File, None] = {}
        self._dirty_folders: dict[_Folder, None] = {}
        self._failures: list[_Failure] = []
        self._power: Literal["on", "failing", "off"] = "on"

    # -- the Disk protocol ------------------------------------------------------------------------------------------

    def make_folder(self, path: str) -> None:
        self._begin("make_folder", path)
        found = self._find(path)
        if found is None:
            self._enter(path, _Folder())
        elif not isinstance(found, _Folder):
            raise _refused(path, errno.EEXIST)

    def create(self, path: str) -> TwinFile:
        self._begin("create", path)
        return TwinFile(self, path, self._new_file(path))

    def sync_folder(self, path: str) -> None:
        self._begin("sync_folder", path)
        self._commit(self._folder(path))

    def sync_all(self) -> None:
        try:
            self._begin("sync_all", "")
        except CannotPersist:
            for node in list(self._dirty_files):
                self._lose(node)
            raise
        self._commit_all()

    def names(self, path: str) -> list[str]:
        self._use(path)
        node = self._find(path)
        if not isinstance(node, _Folder):
            return []
        durable = set(node.durable) if node.real is None else {entry.name for entry in node.real.iterdir()}
        return sorted(durable - node.removed | set(node.made))

    def size(self, path: str) -> int | None:
        self._use(path)
        node = self._find(path)
        return node.size if isinstance(node, _File) else None

    def read(self, path: str, limit: int) -> bytes:
        self._use(path)
        node = self._find(path)
        if not isinstance(node, _File):
            raise _refused(path, errno.ENOENT if node is None else errno.EINVAL)
        return _content(node, limit)

    def free_bytes(self) -> int:
        self._use("")
        return max(0, self._capacity_bytes - self._used_bytes)

    def allocate(self, path: str, size: int) -> None:
        """Its blocks are durable on return, its entry only after a `sync_folder`."""
        self._begin("allocate", path)
        if size <= 0:
            raise _refused(path, errno.EINVAL)
        self._parent(path)
        if self._find(path) is None and size > self._room(size):
            raise _refused(path, errno.ENOSPC)
        node = self._new_file(path)
        self._used_bytes += size
        node.size = node.synced = size

    def remove(self, path: str) -> None:
        self._begin("remove", path)
        parent, name = self._parent(path)
        node = self._child(parent, name)
        if node is None or isinstance(node, _Folder):
            raise _refused(path, errno.ENOENT if node is None else errno.EISDIR)
        self._used_bytes -= node.size
        if parent.made.pop(name, None) is None:
            parent.removed.add(name)
            self._removed_bytes += node.size
            self._dirty_folders[parent] = None

    def close(self) -> None:
        """The end of this object, not an unmounting: nothing becomes durable by it."""
        self._power = "off"

    # -- called by an open file -------------------------------------------------------------------------------------

    def append_to(self, node: _File, path: str, data: bytes | memoryview) -> None:
        """As much as there is room for, like a `write`; then `CardFull` if that was not all."""
        self._begin("append", path)
        taken = data[: self._room(len(data))]
        if taken:
            node.dirty.append((node.size, self.kept(bytes(taken))))
            node.size += len(taken)
            self._used_bytes += len(taken)
            self._dirty_files[node] = None
        if len(taken) < len(data):
            raise _refused(path, errno.ENOSPC)

    def sync_content_of(self, node: _File, path: str) -> None:
        try:
            self._begin("sync_file", path)
        except CannotPersist:
            self._lose(node)
            raise
        self._write_back(node)

    # -- faults -----------------------------------------------------------------------------------------------------

    @property
    def flushes(self) -> int:
        """How often the card was told to flush."""
        return sum(self.operations[kind] for kind in FLUSHES)

    @property
    def capacity_bytes(self) -> int:
        return self._capacity_bytes

    def fail_next(
        self, operation: Operation, error: type[CannotPersist] = CannotPersist, count: int = 1, path_contains: str = ""
    ) -> None:
        """Let the next `count` such operations, on a path that contains this, raise `error` and do nothing else.

        A sync that fails so has lost the bytes that it was to make durable: the file's, or for `sync_all` all files'.
        """
        assert operation in OPERATIONS, operation
        self._failures.append(_Failure(operation, error, count, path_contains))

    def full_at(self, capacity_bytes: int) -> None:
        """The card has this many bytes from now on, whatever is on it."""
        self._capacity_bytes = capacity_bytes

    def cut(self, odds: random.Random | None = None) -> None:
        """Cut the power; this object is then of no more use, and a new one on the same root sees what survived.

        Without `odds` all that was not synced is gone. With them each sector of it, each file's length and each entry
        made or removed survives or not, each for itself; a sector of a length that survived without it holds zeros.
        """
        assert self._power != "off", "the power was cut before"
        if odds is not None:
            for node in list(self._dirty_files):
                self._write_back_some(node, odds)
            for folder in list(self._dirty_folders):
                self._keep_some_entries(folder, odds)
            for folder in list(self._dirty_folders):
                self._commit(folder)
        self._power = "off"

    # -- one operation ----------------------------------------------------------------------------------------------

    def _use(self, path: str) -> None:
        inside(path)
        assert self._power != "off", "the power of this disk was cut: open another on its root"
        if self._power == "failing":
            raise PowerCut("the power is off")

    def _begin(self, operation: Operation, path: str) -> None:
        self._use(path)
        if self.before is not None:
            try:
                self.before(operation, path)
            except PowerCut:
                self._power = "failing"
                raise
        self.operations[operation] += 1
        self.log.append((operation, path))
        for failure in self._failures:
            if failure.operation == operation and failure.path_contains in path and failure.count > 0:
                failure.count -= 1
                raise failure.error(f"{path or 'card'}: {operation} failed, as the scenario says")

    def _room(self, wanted_bytes: int) -> int:
        """How much of it there is room for; makes removals durable when their room is needed."""
        if self._used_bytes + self._removed_bytes + wanted_bytes > self._capacity_bytes:
            self._commit_removals()
        return min(wanted_bytes, max(0, self._capacity_bytes - self._used_bytes))

    # -- names ------------------------------------------------------------------------------------------------------

    def _find(self, path: str) -> _Node | None:
        node: _Node | None = self._top
        for name in path.split("/") if path else ():
            node = self._child(node, name) if isinstance(node, _Folder) else None
        return node

    def _child(self, folder: _Folder, name: str) -> _Node | None:
        if name in folder.made:
            return folder.made[name]
        return None if name in folder.removed else _durable_child(folder, name)

    def _folder(self, path: str) -> _Folder:
        node = self._find(path)
        if not isinstance(node, _Folder):
            raise _refused(path, errno.ENOENT if node is None else errno.ENOTDIR)
        return node

    def _parent(self, path: str) -> tuple[_Folder, str]:
        folder, _, name = path.rpartition("/")
        assert name, "the root is not a name in a folder"
        return self._folder(folder), name

    def _new_file(self, path: str) -> _File:
        node = _File()
        self._enter(path, node)
        return node

    def _enter(self, path: str, node: _File | _Folder) -> None:
        parent, name = self._parent(path)
        if self._child(parent, name) is not None:
            raise _refused(path, errno.EEXIST)
        parent.made[name] = node
        self._dirty_folders[parent] = None

    # -- becoming durable -------------------------------------------------------------------------------------------

    def _commit_all(self) -> None:
        for node in list(self._dirty_files):
            self._write_back(node)
        for folder in list(self._dirty_folders):
            self._commit(folder)

    def _commit(self, folder: _Folder) -> None:
        """Make the folder's entries durable."""
        for name in sorted(folder.removed):
            self._commit_removal(folder, name)
        for name, node in folder.made.items():
            folder.durable[name] = node
            if folder.real is not None:
                self._appear(node, folder.real / name)
        folder.made.clear()
        self._dirty_folders.pop(folder, None)

    def _commit_removals(self) -> None:
        for folder in self._dirty_folders:
            for name in sorted(folder.removed):
                self._commit_removal(folder, name)

    def _commit_removal(self, folder: _Folder, name: str) -> None:
        folder.removed.discard(name)
        node = _durable_child(folder, name)
        if node is None or isinstance(node, _Folder):
            return  # another process was there first
        del folder.durable[name]
        self._removed_bytes -= node.size
        if node.real is not None:
            node.real.unlink()
            node.real = None

    def _write_back(self, node: _File) -> None:
        pieces, node.dirty = node.dirty, []
        self._dirty_files.pop(node, None)
        if pieces:
            _store(node, pieces, node.size)

    def _lose(self, node: _File) -> None:
        node.lost += node.dirty
        node.dirty = []
        self._dirty_files.pop(node, None)

    def _appear(self, node: _Node, path: Path) -> None:
        """Show what has got a durable path in the root, with all of it that is durable, in one step."""
        _build(node, self._beside)
        self._beside.rename(path)
        _settle(node, path)

    # -- surviving by chance ----------------------------------------------------------------------------------------

    def _write_back_some(self, node: _File, odds: random.Random) -> None:
        """Some sectors and some length. Of a sector that never reached the card no later write did either."""
        share = odds.choice(SURVIVAL_ODDS)
        length = odds.choice((node.synced, odds.randint(node.synced, node.size), node.size))
        survives: dict[int, bool] = {}
        kept: list[Piece] = []
        for start, data in node.dirty:
            for sector, piece in _sectors(start, data):
                survives[sector] = survives.get(sector, True) and odds.random() < share
                if survives[sector] and piece[0] < length:
                    kept.append((piece[0], piece[1][: length - piece[0]]))
        node.dirty = []
        _store(node, kept, length)

    def _keep_some_entries(self, folder: _Folder, odds: random.Random) -> None:
        share = odds.choice(SURVIVAL_ODDS)
        for name in list(folder.made):
            if odds.random() >= share:
                del folder.made[name]
        for name in sorted(folder.removed):
            if name not in folder.made and odds.random() >= share:
                folder.removed.discard(name)


def _refused(path: str, code: int) -> CannotPersist:
    return (CardFull if code == errno.ENOSPC else CannotPersist)(f"{path or 'card'}: {os.strerror(code)}")


def _discard(left: Path) -> None:
    """What a killed process had not yet shown."""
    if left.is_dir():
        shutil.rmtree(left)
    else:
        left.unlink(missing_ok=True)


def _stored(folder: Path) -> Iterator[int]:
    """The sizes of all regular files below."""
    for entry in os.scandir(folder):
        if entry.is_dir(follow_symlinks=False):
            yield from _stored(Path(entry.path))
        elif entry.is_file(follow_symlinks=False):
            yield entry.stat(follow_symlinks=False).st_size


def _durable_child(folder: _Folder, name: str) -> _Node | None:
    """The node of a durable entry. In a real folder the folder itself has the word: other processes may change it."""
    if folder.real is None:
        return folder.durable.get(name)
    path = folder.real / name
    try:
        status = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        folder.durable.pop(name, None)
        return None
    except OSError as failure:
        raise _refused(name, failure.errno or errno.EIO) from failure
    node = folder.durable.get(name)
    if node is None:
        node = _found(path, status)
        folder.durable[name] = node
    elif isinstance(node, _File) and not node.dirty and not node.lost:
        node.size = node.synced = status.st_size
    return node


def _found(path: Path, status: os.stat_result) -> _Node:
    if stat.S_ISDIR(status.st_mode):
        return _Folder(real=path)
    if stat.S_ISREG(status.st_mode):
        return _File(size=status.st_size, synced=status.st_size, real=path)
    return _Foreign(real=path)


def _content(node: _File, limit: int) -> bytes:
    """The first `limit` bytes as this process sees them."""
    end = min(limit, node.size)
    durable = b""
    if node.real is not None:
        with node.real.open("rb") as file:
            durable = file.read(min(end, node.synced))
    if not (node.dirty or node.lost or node.staged):
        return durable.ljust(end, b"\0")
    view = bytearray(durable.ljust(end, b"\0"))
    for start, data in (*node.staged, *node.lost, *node.dirty):
        if start < end:
            view[start : start + len(data)] = data[: end - start]
    return bytes(view)


def _store(node: _File, pieces: list[Piece], length: int) -> None:
    """Make these pieces durable, and the file at least that long; before it has a real path, staged for it."""
    if node.real is None:
        node.staged += pieces
    else:
        _write(node.real, pieces, length)
    node.synced = length


def _write(path: Path, pieces: list[Piece], length: int) -> None:
    """Write forwards only, so that who reads beside us sees it grow; holes are zeros."""
    with path.open("r+b", buffering=0) as file:
        for start, data in pieces:
            rest = memoryview(data)
            while rest:
                done = os.pwrite(file.fileno(), rest, start + len(data) - len(rest))
                rest = rest[done:]
        if os.fstat(file.fileno()).st_size < length:
            file.truncate(length)


def _build(node: _Node, path: Path) -> None:
    """Make what is durable of a node at a real path."""
    if isinstance(node, _Folder):
        path.mkdir(mode=0o750)
        for name, child in node.durable.items():
            _build(child, path / name)
    elif isinstance(node, _File):
        path.touch(mode=0o640, exist_ok=False)
        if node.synced:
            _write(path, node.staged, node.synced)


def _settle(node: _Node, path: Path) -> None:
    """From now on the node's durable part is in its real place, not in memory."""
    node.real = path
    if isinstance(node, _Folder):
        for name, child in node.durable.items():
            _settle(child, path / name)
    elif isinstance(node, _File):
        node.staged = []


def _sectors(start: int, data: bytes) -> Iterator[tuple[int, Piece]]:
    """Cut a piece at sector bounds."""
    at = start
    while at < start + len(data):
        end = min(start + len(data), (at // SECTOR_BYTES + 1) * SECTOR_BYTES)
        yield at // SECTOR_BYTES, (at, data[at - start : end - start])
        at = end

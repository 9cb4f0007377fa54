"""A disk that notes what its user was told: how much of which file is durable, and how long the log of the device then was.

By the contract of `Disk` (E2): a file's bytes are durable when it was synced after they were written, and it can be found when
its folder was. What is noted is what a power cut later must not take.
"""

from collections.abc import Callable
from pathlib import PurePosixPath

import msgspec

from device.evidence import layout
from device.evidence.disk import CardDisk, File, abandon


class Promise(msgspec.Struct, frozen=True):
    """From `length` requests on, the first `size` bytes of this file are durable."""

    length: int
    path: str
    size: int


class Moment(msgspec.Struct, frozen=True):
    """`length` requests had been made when, at `at_us`, the next call began. `recording`: what was being recorded live then;
    `open_names`: the recordings not yet closed and journaled."""

    length: int
    at_us: int
    recording: str
    open_names: tuple[str, ...]


class Written(msgspec.Struct, frozen=True):
    """Not before `length` requests had been made, this file was appended to, up to `size` bytes."""

    length: int
    path: str
    size: int


class Notes:
    """What is noted in one run. `length` asks for the log's, `moment` for the device's state; `before` is called before each
    operation, with its name and path."""

    def __init__(
        self,
        length: Callable[[], int],
        moment: Callable[[int], Moment],
        before: Callable[[str, str], None] = lambda _, __: None,
    ) -> None:
        self._length = length
        self._moment = moment
        self._before = before
        self.promises: list[Promise] = []
        self.moments: list[Moment] = []
        self.written: list[Written] = []
        self._sizes: dict[str, int] = {}
        self._synced: dict[str, int] = {}
        self._nameless: set[str] = set()

    def begin(self, operation: str, path: str) -> int:
        self._before(operation, path)
        length = self._length()
        self.moments.append(self._moment(length))
        return length

    def created(self, path: str) -> None:
        self._nameless.add(path)
        self._sizes[path] = 0

    def appended(self, length: int, path: str, size: int) -> None:
        self._sizes[path] += size
        self.written.append(Written(length, path, self._sizes[path]))

    def file_synced(self, path: str) -> None:
        self._synced[path] = self._sizes[path]
        self._promise([path])

    def folder_synced(self, folder: str) -> None:
        named = [path for path in self._nameless if str(PurePosixPath(path).parent) == (folder or ".")]
        self._nameless.difference_update(named)
        self._promise([path for path in named if path in self._synced])

    def all_synced(self) -> None:
        self._nameless.clear()
        self._synced = dict(self._sizes)
        self._promise(list(self._synced))

    def removed(self, path: str) -> None:
        for kept in (self._sizes, self._synced):
            kept.pop(path, None)

    def _promise(self, paths: list[str]) -> None:
        length = self._length()
        self.promises += [
            Promise(length, path, self._synced[path])
            for path in paths
            if path not in self._nameless and path != layout.RESERVE
        ]


class NotedFile:
    def __init__(self, file: File, path: str, notes: Notes) -> None:
        self._file, self._path, self._notes = file, path, notes

    def append(self, data: bytes | memoryview) -> None:
        length = self._notes.begin("append", self._path)
        self._file.append(data)
        self._notes.appended(length, self._path, len(data))

    def sync(self) -> None:
        self._notes.begin("sync_file", self._path)
        self._file.sync()
        self._notes.file_synced(self._path)

    def close(self) -> None:
        self._file.close()


class NotedDisk:
    """`disk` does the work. `close` lets everything go that was opened, whatever became of the daemon: then the card can be
    unmounted."""

    def __init__(self, disk: CardDisk, notes: Notes) -> None:
        self._disk, self._notes = disk, notes
        self._files: list[File] = []
        self.names, self.size, self.read, self.free_bytes = disk.names, disk.size, disk.read, disk.free_bytes

    def make_folder(self, path: str) -> None:
        self._notes.begin("make_folder", path)
        self._disk.make_folder(path)

    def create(self, path: str) -> NotedFile:
        self._notes.begin("create", path)
        file = self._disk.create(path)
        self._files.append(file)
        self._notes.created(path)
        return NotedFile(file, path, self._notes)

    def sync_folder(self, path: str) -> None:
        self._notes.begin("sync_folder", path)
        self._disk.sync_folder(path)
        self._notes.folder_synced(path)

    def sync_all(self) -> None:
        self._notes.begin("sync_all", "")
        self._disk.sync_all()
        self._notes.all_synced()

    def allocate(self, path: str, size: int) -> None:
        self._notes.begin("allocate", path)
        self._disk.allocate(path, size)

    def remove(self, path: str) -> None:
        self._notes.begin("remove", path)
        self._disk.remove(path)
        self._notes.removed(path)

    def close(self) -> None:
        for file in self._files:
            abandon(file)
        self._disk.close()

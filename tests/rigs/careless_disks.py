"""The rig's own controls: cards that promise and do not keep. The checks that pass on the device's own must fail on each."""

from pathlib import Path

from device.evidence import layout
from device.evidence.disk import CardDisk, CardFile, File, inside


class UnsyncedFile(CardFile):
    def sync(self) -> None:
        """Says so, and does nothing."""


class UnsyncedDisk(CardDisk):
    """No sync at all."""

    def create(self, path: str) -> CardFile:
        return _as(UnsyncedFile, super().create(path))

    def sync_folder(self, path: str) -> None:
        """Says so, and does nothing."""

    def sync_all(self) -> None:
        """Says so, and does nothing."""


class UnsyncedSegments(CardDisk):
    """Ledgers and the journal are synced, segments are not: records name what is not durable."""

    def create(self, path: str) -> CardFile:
        file = super().create(path)
        return _as(UnsyncedFile, file) if path.endswith(".m4s.age") else file

    def sync_all(self) -> None:
        """Says so, and does nothing."""


class UnsyncedLedgers(CardDisk):
    """Segments and the journal are synced, ledgers are not."""

    def create(self, path: str) -> CardFile:
        file = super().create(path)
        return _as(UnsyncedFile, file) if path.endswith(layout.LEDGER) else file


class NoFolderSyncs(CardDisk):
    """Files are synced, folders are not."""

    def sync_folder(self, path: str) -> None:
        """Says so, and does nothing."""


class RenamedFile:
    """Made under another name, and given its own when it is synced for the first time."""

    def __init__(self, file: File, beside: Path, path: Path) -> None:
        self._file, self._beside, self._path = file, beside, path
        self.append, self.close = file.append, file.close

    def sync(self) -> None:
        self._file.sync()
        self.take_name()

    def take_name(self) -> None:
        if self._beside.exists():
            self._beside.rename(self._path)


class RenamingDisk(CardDisk):
    """As many programs write: a file gets its name when its bytes are durable. `sync_folder` makes the name durable."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._named: list[RenamedFile] = []

    def create(self, path: str) -> File:  # type: ignore[override]
        beside = path + ".part"
        file = RenamedFile(super().create(beside), self._root / inside(beside), self._root / inside(path))
        self._named.append(file)
        return file

    def sync_folder(self, path: str) -> None:
        self._take_names()
        super().sync_folder(path)

    def sync_all(self) -> None:
        self._take_names()
        super().sync_all()

    def _take_names(self) -> None:
        for file in self._named:
            file.take_name()


class RenamingNoFolderSyncs(RenamingDisk):
    """The names are given, and not made durable."""

    def sync_folder(self, path: str) -> None:
        self._take_names()


class LateFile(CardFile):
    """Keeps what it is given in memory until it is closed."""

    def __init__(self, path: Path, descriptor: int) -> None:
        super().__init__(path, descriptor)
        self._kept = b""

    def append(self, data: bytes | memoryview) -> None:
        self._kept += data

    def sync(self) -> None:
        """Says so, and does nothing."""

    def close(self) -> None:
        kept, self._kept = self._kept, b""
        if kept:
            super().append(kept)
        super().close()


class LateDisk(CardDisk):
    """What is written reaches the kernel when a file is closed: a kill takes it."""

    def create(self, path: str) -> CardFile:
        return _as(LateFile, super().create(path))


def _as(kind: type[CardFile], file: CardFile) -> CardFile:
    return kind(file._path, file._descriptor)


DISKS: dict[str, type[CardDisk]] = {
    "the device's own": CardDisk,
    "renaming, with folder syncs": RenamingDisk,
    "renaming, no folder syncs": RenamingNoFolderSyncs,
    "no folder syncs": NoFolderSyncs,
    "segments not synced": UnsyncedSegments,
    "ledgers not synced": UnsyncedLedgers,
    "written when closed": LateDisk,
    "no sync at all": UnsyncedDisk,
}

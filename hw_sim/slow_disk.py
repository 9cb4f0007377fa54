"""A card that takes its time: what is written, synced or stalled takes virtual time in the part that does it, and all other
parts run meanwhile. Recorder thread; `speed` may be changed from any other part.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hw_sim.disk import Operation, TwinDisk, _File

SECOND_US = 1_000_000
_WRITES: tuple[Operation, ...] = ("append", "sync_file", "sync_folder", "sync_all")


@dataclass
class Speed:
    """`bytes_per_s`: 0 for as fast as memory. `sync_us`: each sync. `stalls_left`: so many of the next operations that write
    take `stall_us` more."""

    bytes_per_s: int = 0
    sync_us: int = 0
    stall_us: int = 0
    stalls_left: int = 0

    def stall(self, stall_us: int, operations: int = 1) -> None:
        self.stall_us, self.stalls_left = stall_us, operations


class SlowDisk(TwinDisk):
    """The twin's disk, with a speed. `let_pass`: how time passes within a part."""

    def __init__(self, root: Path, let_pass: Callable[[int], None], speed: Speed) -> None:
        super().__init__(root)
        self._let_pass = let_pass
        self._speed = speed

    def _begin(self, operation: Operation, path: str) -> None:
        if operation in _WRITES:
            self._take(self._speed.sync_us if operation != "append" else 0)
        super()._begin(operation, path)

    def append_to(self, node: _File, path: str, data: bytes | memoryview) -> None:
        super().append_to(node, path, data)
        if self._speed.bytes_per_s:
            self._let_pass(len(data) * SECOND_US // self._speed.bytes_per_s)

    def _take(self, delay_us: int) -> None:
        if self._speed.stalls_left:
            self._speed.stalls_left -= 1
            delay_us += self._speed.stall_us
        if delay_us:
            self._let_pass(delay_us)

"""What is wrong with the file that is offered to the device as its policy. The good one is kept beside, in memory."""

import random
from pathlib import Path


class PolicyFile:
    """`path`: the bundle that the configuration names."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._good = path.read_bytes()

    def remove(self) -> None:
        self._path.unlink(missing_ok=True)

    def half(self) -> None:
        """As who writes it in place has come to half of it."""
        self._put(self._good[: len(self._good) // 2])

    def random(self) -> None:
        self._put(random.Random(1).randbytes(len(self._good)))

    def altered(self) -> None:
        """One character of what is signed is another."""
        at = len(self._good) // 2
        other = b"A" if self._good[at : at + 1] != b"A" else b"B"
        self._put(self._good[:at] + other + self._good[at + 1 :])

    def restore(self) -> None:
        self._put(self._good)

    def _put(self, data: bytes) -> None:
        beside = self._path.with_name(f"{self._path.name}.fault")
        beside.write_bytes(data)
        beside.replace(self._path)

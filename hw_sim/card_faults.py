"""What is wrong with the twin's card: asked before each operation that changes it. Recorder thread; set from any thread.

The disk itself (`hw_sim.disk`) keeps to its promises; this breaks them on demand.
"""

import random
from collections.abc import Callable

from device.errors import CannotPersist, CardFull
from hw_sim.disk import FLUSHES, Operation

STUCK_LOOK_US = 100_000


class CardFaults:
    """`refuses`: nothing can be written; `full`: it has no room, whatever it says; `stuck_us`: no sync comes back
    before it is mended, or so long has passed; `sync_takes_us`: how long each takes; `next_takes_us`: the next one alone; `rots`: it keeps other bytes than it was
    given, and says nothing. `let_pass`: lets so many µs pass, in real or virtual time."""

    def __init__(self, let_pass: Callable[[int], None]) -> None:
        self._let_pass = let_pass
        self.clear()

    def clear(self) -> None:
        self.refuses = False
        self.full = False
        self.stuck_us = 0
        self.sync_takes_us = 0
        self.next_takes_us = 0
        self.rots = False
        self._random = random.Random(1)

    def before(self, operation: Operation, path: str) -> None:
        """As `TwinDisk.before`."""
        if operation in FLUSHES:
            while self.stuck_us > 0:
                self.stuck_us -= STUCK_LOOK_US
                self._let_pass(STUCK_LOOK_US)
            wait_us, self.next_takes_us = self.sync_takes_us + self.next_takes_us, 0
            if wait_us:
                self._let_pass(wait_us)
        if self.refuses and operation != "remove":
            raise CannotPersist(f"{path or 'card'}: Input/output error, as the bench says")
        if self.full and operation in ("append", "allocate", "create"):
            raise CardFull(f"{path or 'card'}: No space left on device, as the bench says")

    def kept(self, data: bytes) -> bytes:
        """What the card keeps of these bytes."""
        if not self.rots or not data:
            return data
        at = self._random.randrange(len(data))
        return data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]

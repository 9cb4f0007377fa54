"""What a process needs of its machine, sampled: memory, threads, open files, objects. And whether it grows.

Read from `/proc`; called by whoever lets virtual time pass.
"""

import gc
import os
import statistics
import sys
from pathlib import Path

import msgspec

MIB = 1 << 20
LEAST_SAMPLES = 8


class Vital(msgspec.Struct, frozen=True):
    """One sample. `at_s`: virtual time since the beginning; `objects`: that the collector of this process knows of;
    `blocks`: of memory that Python has given out, also to what no collector knows, as frames."""

    at_s: float
    resident_bytes: int
    threads: int
    files: int
    objects: int
    blocks: int


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def sample(at_s: float) -> Vital:
    """After a collection, so that what is only waiting to be collected does not count."""
    gc.collect()
    return Vital(
        at_s,
        resident_bytes(),
        sum(1 for _ in Path("/proc/self/task").iterdir()),
        sum(1 for _ in Path("/proc/self/fd").iterdir()),
        len(gc.get_objects()),
        sys.getallocatedblocks(),
    )


class Growth(msgspec.Struct, frozen=True):
    """Of one measure: its median in the second quarter of the samples and in the last. `most`: the last may be so much."""

    what: str
    second: float
    last: float
    most: float

    @property
    def grows(self) -> bool:
        return self.last > self.most


def growths(vitals: list[Vital]) -> list[Growth]:
    """How each measure went. Threads and files may not grow by one; the others by a twentieth."""
    assert len(vitals) >= LEAST_SAMPLES, f"at least {LEAST_SAMPLES} samples are needed"
    quarter = len(vitals) // 4
    second, last = vitals[quarter : 2 * quarter], vitals[-quarter:]

    def growth(what: str, factor: float) -> Growth:
        before, after = (statistics.median(getattr(vital, what) for vital in part) for part in (second, last))
        return Growth(what, before, after, before * factor)

    factors = {"resident_bytes": 1.05, "threads": 1, "files": 1, "objects": 1.05, "blocks": 1.05}
    return [growth(what, factor) for what, factor in factors.items()]

"""A long campaign, run unattended: a line of progress as it goes, the details of what went wrong kept in a folder, one line at the end.

Inside the rig's namespaces, whose first process this is; its main thread only. Whatever ends it, it takes down what it built: a
case that hangs is broken off by an alarm, and the signal that its parent's end sends becomes an exception.
"""

import argparse
import json
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

CASE_LIMIT_S = 300
"""A case takes seconds; on a busy machine some more."""
KEPT_AT_MOST = 10
"""So many cases are kept: each has an image. What is wrong with the others is only printed."""
FAILED_AT_MOST = 5

Wrong = list[tuple[str, str]]
"""What is wrong in a case, as (kind, detail)."""


class TooLong(Exception):
    """A case hangs."""


class Campaign:
    """`name`: of the campaign and of its kept folders; `total`: how many cases there will be; `keep`: where details go, or nowhere."""

    def __init__(self, name: str, seed: int, total: int, keep: Path | None, *, every: int) -> None:
        self.name, self.seed, self.total, self._every = name, seed, total, every
        self.keep = None if keep is None else keep.resolve()
        self.done = 0
        self.counts: Counter[str] = Counter()
        self.wrong: Counter[str] = Counter()
        self._kept = 0
        self._failed = 0
        self._began = time.monotonic()

    @contextmanager
    def case(self, case: str) -> Iterator[None]:
        """One case, or the story before some: what it raises is a finding, and the campaign goes on, until that happens too often."""
        try:
            with within(CASE_LIMIT_S):
                yield
        except Exception as failure:
            traceback.print_exc(file=sys.stdout)
            self._failed += 1
            self.found(case, [("the case itself failed", f"{type(failure).__name__}: {failure}")])
            if self._failed > FAILED_AT_MOST:
                raise

    def found(self, case: str, wrong: Wrong, keeper: Callable[[Path], None] = lambda _: None) -> None:
        """What is wrong in this case, if anything; `keeper` writes what can show why into an empty folder."""
        self.wrong.update({kind for kind, _ in wrong})
        for kind, detail in wrong:
            print(f"seed {self.seed}, {case}: {kind}: {detail}", flush=True)
        if wrong and self.keep is not None and self._kept < KEPT_AT_MOST:
            self._kept += 1
            folder = self.keep / f"{self.name}-seed-{self.seed}-{case.replace(' ', '-').replace('/', '-')}"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "wrong.json").write_text(
                json.dumps({"seed": self.seed, "case": case, "wrong": wrong}, indent=1), "utf-8"
            )
            keeper(folder)
            print(f"kept: {folder}", flush=True)

    def one_done(self) -> None:
        self.done += 1
        if self.done % self._every == 0 or self.done == self.total:
            took = round(time.monotonic() - self._began)
            print(f"{self.name}: {self.done} of {self.total}, {took} s: {self._said()}", flush=True)

    def sum_up(self) -> dict[str, Any]:
        """The line at the end, and the same as facts."""
        used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        processor_s = round(sum(u.ru_utime + u.ru_stime for u in used))
        wall_s = round(time.monotonic() - self._began)
        print(
            f"{self.name}, seed {self.seed}: {self.done} of {self.total}: {self._said()}; {wall_s} s by the clock, "
            f"{processor_s} s of processor time, load {os.getloadavg()[2]:.0f} on {os.cpu_count()} cores",
            flush=True,
        )
        return {**self.counts, "seconds": wall_s, "wrong": dict(self.wrong)}

    def _said(self) -> str:
        counted = [f"{count} {what}" for what, count in self.counts.items()]
        return ", ".join([*counted, f"wrong: {dict(self.wrong)}" if self.wrong else "nothing wrong"])


@contextmanager
def within(limit_s: int) -> Iterator[None]:
    """`TooLong` in the main thread when it takes longer. One inside another takes its place: a run is as long as its cases are."""

    def late(signum: int, frame: FrameType | None) -> None:
        raise TooLong(f"not done within {limit_s} s")

    signal.signal(signal.SIGALRM, late)
    signal.alarm(limit_s)
    try:
        yield
    finally:
        signal.alarm(0)


def options_of(description: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--keep", type=Path, help="a folder for the details of what is wrong")
    return parser


def answer(work: Callable[[Path], dict[str, Any]]) -> None:
    """Do the work in a temporary folder, and print what it says for `block_rig.inside`."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(f"ended by signal {signal.SIGTERM}"))
    with tempfile.TemporaryDirectory() as folder:
        said = work(Path(folder))
    print(json.dumps(said))

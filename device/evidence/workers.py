"""Looks at many files at once: threads, since SHA-256 and reading let the others run. For the readers, on a laptop.

Whoever asks takes the answers in the order of the questions, so that a verdict does not depend on how many work. What a
worker raises is raised where its answer is taken: nothing is lost with it.
"""

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Generic, TypeVar

SMALL_BYTES = 64 * 1024

_A = TypeVar("_A")


def all_cores() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Workers:
    """So many threads; `ahead` questions are enough to keep them busy. Each holds one block of a file."""

    def __init__(self, jobs: int) -> None:
        self.ahead = 2 * jobs
        self._threads = ThreadPoolExecutor(jobs, thread_name_prefix="verify")

    def __enter__(self) -> "Workers":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._threads.shutdown(cancel_futures=True)

    def ask(self, question: Callable[[], _A], size: int) -> "Asked[_A]":
        """`size`: bytes that it is about. Of few the answer is there sooner than a worker."""
        return Asked(None, question()) if size < SMALL_BYTES else Asked(self._threads.submit(question), None)


class Asked(Generic[_A]):
    """A question, with its answer or with the worker that was given it."""

    def __init__(self, future: "Future[_A] | None", answer: _A | None) -> None:
        self._future = future
        self._answer = answer

    def answer(self) -> _A:
        """As soon as there is one."""
        if self._future is not None:
            return self._future.result()
        assert self._answer is not None, "without a worker it was answered at once"
        return self._answer

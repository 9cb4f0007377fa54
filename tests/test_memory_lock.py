"""What the daemon touches stays in memory, and no dump is made of it. A real systemd: tests/lanes/test_service.py."""

import ctypes
import logging
import subprocess
import sys
from collections.abc import Callable

import pytest

from device.service import memory
from tests.conftest import _want

LOCKED = """
import mmap
import resource
from pathlib import Path
from device.service.memory import keep_in_memory
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
done = keep_in_memory()
untouched = mmap.mmap(-1, 64 * 1024 * 1024)
touched = bytearray(8 * 1024 * 1024)
lines = Path("/proc/self/status").read_text().splitlines()
found = {line.split(":")[0]: int(line.split()[1]) for line in lines if line.startswith("Vm")}
print(done, found["VmLck"], found["VmSwap"], found["VmSize"], found["VmRSS"], before, Path("/proc/self/environ").stat().st_uid)
"""


def test_all_that_is_mapped_is_locked_as_it_is_touched() -> None:
    _want(memory.may_lock_all(), "needs the right to lock memory: root, or `ulimit -l unlimited`")
    said = subprocess.run([sys.executable, "-c", LOCKED], check=True, capture_output=True, text=True).stdout.split()
    done, (locked, swapped, mapped, resident, before, owner) = said[0], map(int, said[1:])
    assert done == "True"
    assert locked > 20_000
    assert swapped == 0
    assert resident < before + 8 * 1024 + 4 * 1024, "only what is touched: not all that is mapped"
    assert resident < mapped
    assert owner == 0, "a process without dumps is root's to look into"


class Refusing:
    """A C library that refuses some calls."""

    def __init__(self, refused: set[int], *, dumpable: bool) -> None:
        self.asked: list[int] = []
        self._refused, self._dumpable = refused, dumpable

    def mlockall(self, flags: int) -> int:
        self.asked.append(flags)
        return -1 if flags in self._refused else 0

    def prctl(self, *arguments: int) -> int:
        assert arguments == (4, 0, 0, 0, 0)
        return -1 if self._dumpable else 0


@pytest.mark.parametrize(
    ("refused", "dumpable", "asked", "kept", "said"),
    [
        (set(), False, [7], True, []),
        ({7}, False, [7], False, ["memory: not locked: Success"]),
        (set(), True, [7], False, ["memory: dumps are possible"]),
    ],
)
def test_what_the_system_refuses_is_said_and_does_not_end_the_start(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
    refused: set[int], dumpable: bool, asked: list[int], kept: bool, said: list[str],
) -> None:  # fmt: skip
    library = Refusing(refused, dumpable=dumpable)
    load: Callable[..., Refusing] = lambda *_, **__: library  # noqa: E731 - in the place of a class
    monkeypatch.setattr(ctypes, "CDLL", load)
    monkeypatch.setattr(ctypes, "get_errno", lambda: 0)
    monkeypatch.setattr(memory, "may_lock_all", lambda: True)
    with caplog.at_level(logging.WARNING, logger="bodycam"):
        assert memory.keep_in_memory() is kept
    assert library.asked == asked
    assert [message.startswith(words) for message, words in zip(caplog.messages, said, strict=True)] == [True] * len(
        said
    )


def test_under_a_finite_limit_nothing_is_locked_so_that_memory_can_still_be_had(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    library = Refusing(set(), dumpable=False)
    load: Callable[..., Refusing] = lambda *_, **__: library  # noqa: E731 - in the place of a class
    monkeypatch.setattr(ctypes, "CDLL", load)
    monkeypatch.setattr(memory, "may_lock_all", lambda: False)
    with caplog.at_level(logging.WARNING, logger="bodycam"):
        assert memory.keep_in_memory() is False
    assert library.asked == []
    assert caplog.messages == ["memory: not locked: its limit is finite; set LimitMEMLOCK=infinity"]

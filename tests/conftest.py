"""What every test is held to: system tools are there or said to be missing, and nothing is left running or open."""

import gc
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from device.policy import machine
from device.policy.model import Policy
from device.policy.state import Event, Result, State
from tests.tokens import SimulatedTpm, make_token, simulated_tpm, write_pin

SHARED = Path(__file__).resolve().parents[2] / "shared"
IN_CI = os.environ.get("CI") == "true"


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("tools"):
        missing = [name for name in marker.args if shutil.which(name) is None]
        _want(not missing, f"needs the commands {', '.join(missing)}: install them, as .ci/run does")
    if item.get_closest_marker("shared") is not None:
        _want(SHARED.is_dir(), "needs the folder of shared sample files beside the project")


def _want(there: bool, message: str) -> None:
    """What CI lacks is a failure; on a laptop the test is skipped with a word."""
    if not there:
        (pytest.fail if IN_CI else pytest.skip)(message)


@pytest.fixture(scope="session")
def token(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of this process's one PKCS#11 token; its PIN is in the file `pin`."""
    folder = tmp_path_factory.mktemp("softhsm")
    make_token(folder)
    write_pin(folder / "pin")
    return folder


@pytest.fixture(scope="module")
def tpm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatedTpm]:
    """A TPM that is on while a module's tests run."""
    with simulated_tpm(tmp_path_factory.mktemp("swtpm")) as simulated:
        yield simulated


@pytest.fixture(scope="session", autouse=True)
def _imports_are_not_garbage() -> None:
    """What was imported stays: the collection after each test need not look at it again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """Fail a test that leaves a thread running or a file open."""
    threads = set(threading.enumerate())
    files = _open_files()
    yield
    gc.collect()
    left = [thread.name for thread in threading.enumerate() if thread not in threads]
    assert not left, f"threads left running: {left}"
    opened = sorted(_open_files() - files)
    assert not opened, f"files left open: {opened}"


def _open_files() -> set[str]:
    """What this process has open, by name; not what the test runner itself opens as it goes."""
    names = set()
    for link in Path("/proc/self/fd").iterdir():
        try:
            name = str(link.readlink())
        except FileNotFoundError:
            continue  # the descriptor of this very listing
        if name.startswith("/") and not name.startswith(("/dev/", "/proc/")) and ".hypothesis" not in name:
            names.add(f"{link.name} {name}")
    return names


MOST_FIRED = 100
"""Deadlines of the policy machine up to one moment, reminders included."""


@pytest.fixture(scope="module")
def no_endless_step() -> Iterator[None]:
    """A deadline's action ends its deadline: else a step would never return."""
    fire, fired, last_us = machine._fire, 0, -1

    def counted(state: State, policy: Policy, due_us: int, due: Event | str, until_us: int) -> Result:
        nonlocal fired, last_us
        fired, last_us = (fired + 1 if until_us == last_us else 1), until_us
        assert fired <= MOST_FIRED, f"{due} fires again and again"
        return fire(state, policy, due_us, due, until_us)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(machine, "_fire", counted)
        yield

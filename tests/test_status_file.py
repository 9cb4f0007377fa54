"""The status file: whole, and for everybody on the device to read, whatever the daemon's own umask is."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from device.service.status import Status, StatusFile, read_status

STATUS = Status(
    device="BC-1", policy="first 1", state="idle", recording="", muted=False, ready=True, docked=False, faults=(),
    held_us=0, ring_bytes=0, refused_frames=0, boot_us=1, boot="b",
)  # fmt: skip


@pytest.fixture
def the_units_umask() -> Iterator[None]:
    before = os.umask(0o027)
    yield
    os.umask(before)


@pytest.mark.usefixtures("the_units_umask")
def test_whoever_is_on_the_device_may_ask_what_it_is_doing(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    StatusFile(path).write(STATUS)
    assert oct(path.stat().st_mode) == "0o100644"
    assert read_status(path) == STATUS
    assert [each.name for each in tmp_path.iterdir()] == ["status.json"]

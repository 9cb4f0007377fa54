"""The demonstration as its user runs it, in real time, on real footage."""

import subprocess
import sys
from pathlib import Path

import pytest

from device.errors import BodycamError
from device.evidence.opening import Identity
from hw_sim import demo
from hw_sim.virtual import VirtualDevice
from tests.benches import make_bench, verified
from tests.conftest import SHARED

LIMIT_S = 400


@pytest.mark.shared
def test_the_demonstration_records_verifies_and_exports_real_footage(tmp_path: Path) -> None:
    footage = SHARED / "footage" / "pedestrians.avi"
    done = subprocess.run(
        [sys.executable, "-m", "hw_sim.cli", "demo", "--video", str(footage), "--out", str(tmp_path / "demo")],
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT_S,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "as it must be" in done.stdout
    assert len(list((tmp_path / "demo" / "export").glob("*.mp4"))) == 3


def test_a_machine_too_busy_for_real_time_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is waited for: every daemon is too slow for that."""
    monkeypatch.setattr(demo, "PRE_EVENT_S", 0)
    with pytest.raises(BodycamError) as told:
        demo.run_demo(tmp_path / "demo", None, "v4l2")
    assert str(told.value) == (
        "the pre-event window fills: the daemon did not get there; this machine may be too busy for real time: remove "
        f"{tmp_path}/demo and try again when it is quiet, or see {tmp_path}/demo/daemon.log"
    )


def test_pictures_that_a_busy_machine_lost_at_the_very_end_are_accounted_for_too(tmp_path: Path) -> None:
    bench = make_bench(tmp_path / "bench", audio=False)
    (bench.root / "export").mkdir()
    device = VirtualDevice(bench)
    device.boot()
    device.run(7)
    device.double()
    device.run(2)
    device.hardware.the_camera.drop(7)
    device.run(1)
    device.confirmed_stop()
    device.run(1)
    device.hardware.the_camera.drop(40)
    device.until_idle()
    device.stop()
    (recording,) = verified(bench, read=True).recordings
    assert (recording.verdict, recording.missing) == ("intact", {"camera": 27})
    written = demo._export(bench, recording.recording, Identity(bench.footage_identity))
    assert len(demo.frame_numbers(written.file)) == recording.frames
    assert written.missing == 27


def test_a_folder_that_is_not_empty_is_refused(tmp_path: Path) -> None:
    (tmp_path / "something").touch()
    done = subprocess.run(
        [sys.executable, "-m", "hw_sim.cli", "demo", "--out", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "not an empty folder" in done.stderr


def test_a_video_that_is_none_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "hw_sim.cli", "demo", "--video", __file__, "--out", str(tmp_path / "demo")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert Path(__file__).name in done.stderr

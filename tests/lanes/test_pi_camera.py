"""The camera's lane: the contract that the twin keeps, kept by the real picamera2 and libcamera; and the whole daemon on
them for two minutes of recordings, which verify. Both at once: about five minutes, half of it to build the root.
"""

import os
import statistics
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from hw_sim.agency import Bench
from tests.benches import make_bench, recordings, segments_of, verified
from tests.conftest import _want
from tests.lanes.pi_camera_root import OUT_THERE, PYTHON, CameraRoot

pytestmark = [pytest.mark.lane, pytest.mark.tools("unshare", "mmdebstrap", "systemd-nspawn", "apt-get")]

CAMERA = {"width": 640, "height": 360, "rate_hz": 30, "bitrate_bps": 1_000_000}
DAY_LIMIT_S = 300


class Day(msgspec.Struct, frozen=True):
    """The daemon at work: its process, what it says, and its bench, of this machine."""

    daemon: "subprocess.Popen[str]"
    said: Path
    out: Path
    bench: Bench


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CameraRoot]:
    _want(os.geteuid() == 0, "builds a root of its own: run it as root")
    built = CameraRoot(tmp_path_factory.mktemp("camera") / "root")
    began_s = time.monotonic()
    try:
        built.build()
        print(f"\nthe root was built in {time.monotonic() - began_s:.0f} s")
        yield built
    finally:
        built.remove()


@pytest.fixture(scope="module")
def day(root: CameraRoot, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Day]:
    """Begun before either test, so that the contract is kept while the daemon records."""
    out = tmp_path_factory.mktemp("day")
    said = out.with_name("day.txt")
    bench = make_bench(out / "bench", audio=False, camera=CAMERA, ring_mib=8)
    config = f"{OUT_THERE}/{bench.config.relative_to(out)}"
    with said.open("w") as file:
        daemon = root.start(PYTHON, "-m", "tests.lanes.simcam.daemon", config, out=out, said=file)
    try:
        yield Day(daemon, said, out, bench)
    finally:
        daemon.terminate()
        daemon.wait()


def test_the_real_camera_stack_keeps_the_contract_and_each_hazard_is_met(
    root: CameraRoot, day: Day, tmp_path: Path
) -> None:
    suite = ("-m", "pytest", "-q", "--color=no", "-p", "no:cacheprovider", "--noconftest", "--durations=5")
    own = ("-o", "addopts=", "-o", "filterwarnings=")  # picamera2 calls what Python 3.13 deprecates
    status, said = root.run(PYTHON, *suite, *own, "tests/lanes/simcam/real_camera.py", out=tmp_path)
    print(said)
    assert status == 0
    assert " failed" not in said
    assert " skipped" not in said


def test_two_minutes_of_the_whole_daemon_on_the_real_camera_verify(root: CameraRoot, day: Day) -> None:
    status = day.daemon.wait(DAY_LIMIT_S)
    print(day.said.read_text("utf-8", "replace"))
    assert status == 0
    card, trust = f"{OUT_THERE}/bench/card", f"{OUT_THERE}/bench/agency/ca.pem"
    status, said = root.run("/opt/venv/bin/bodycam", "verify", card, "--trust", trust, out=day.out)
    print(said)
    assert status == 0
    verdict = verified(day.bench, read=True)
    assert [recording.verdict for recording in verdict.recordings] == ["intact", "intact"]
    assert [recording.answers.read for recording in verdict.recordings] == ["opened", "opened"]
    seconds = sum(recording.seconds for recording in verdict.recordings)
    assert seconds >= 120
    lengths = [
        s.video.to_us - s.video.from_us for f in recordings(day.bench) for s in segments_of(day.bench, f) if s.video
    ]
    assert statistics.median(lengths) == pytest.approx(1_000_000, rel=0.05), "a GOP a segment"

"""The camera's lane: the contract that the twin keeps, kept by the real picamera2 and libcamera; and the whole daemon on
them for two minutes of recordings, which verify. About five minutes, most of it real time.
"""

import os
import statistics
from collections.abc import Iterator
from pathlib import Path

import pytest

from hw_sim.agency import Bench
from tests.benches import recordings, segments_of, verified
from tests.conftest import _want
from tests.lanes.pi_camera_root import OUT_THERE, PYTHON, CameraRoot

pytestmark = [pytest.mark.lane, pytest.mark.tools("unshare", "mmdebstrap", "systemd-nspawn", "apt-get")]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CameraRoot]:
    _want(os.geteuid() == 0, "builds a root of its own: run it as root")
    built = CameraRoot(tmp_path_factory.mktemp("camera") / "root")
    try:
        built.build()
        yield built
    finally:
        built.remove()


def test_the_real_camera_stack_keeps_the_contract_and_each_hazard_is_met(root: CameraRoot, tmp_path: Path) -> None:
    suite = ("-m", "pytest", "-q", "--color=no", "-p", "no:cacheprovider", "--noconftest")
    own = ("-o", "addopts=", "-o", "filterwarnings=")  # picamera2 calls what Python 3.13 deprecates
    done = root.run(PYTHON, *suite, *own, "tests/lanes/simcam/real_camera.py", out=tmp_path)
    print(done.stdout)
    assert done.returncode == 0
    assert " failed" not in done.stdout
    assert " skipped" not in done.stdout


def test_two_minutes_of_the_whole_daemon_on_the_real_camera_verify(root: CameraRoot, tmp_path: Path) -> None:
    done = root.run(PYTHON, "-m", "tests.lanes.simcam.daemon", f"{OUT_THERE}/bench", out=tmp_path)
    print(done.stdout)
    assert done.returncode == 0
    card, trust = f"{OUT_THERE}/bench/card", f"{OUT_THERE}/bench/agency/ca.pem"
    there = root.run("/opt/venv/bin/bodycam", "verify", card, "--trust", trust, out=tmp_path)
    print(there.stdout)
    assert there.returncode == 0
    bench = Bench(tmp_path / "bench")
    verdict = verified(bench, read=True)
    assert [recording.verdict for recording in verdict.recordings] == ["intact", "intact"]
    assert [recording.answers.read for recording in verdict.recordings] == ["opened", "opened"]
    seconds = sum(recording.seconds for recording in verdict.recordings)
    assert seconds >= 120
    lengths = [s.video.to_us - s.video.from_us for f in recordings(bench) for s in segments_of(bench, f) if s.video]
    assert statistics.median(lengths) == pytest.approx(1_000_000, rel=0.05), "a GOP a segment"

"""The camera's lane: the contract that the twin keeps, kept by the real picamera2 and libcamera; and the whole daemon on
them for two minutes of recordings, which verify. Both at once: about five minutes, half of it to build the root.
"""

import os
import statistics
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import msgspec
import pytest

from hw_sim.agency import Bench
from tests.benches import make_bench, recordings, segments_of, verified
from tests.conftest import _want
from tests.lanes.pi_camera_root import OUT_THERE, PYTHON, CameraRoot

pytestmark = [pytest.mark.lane, pytest.mark.tools("unshare", "mmdebstrap", "systemd-nspawn", "apt-get")]

CAMERA = {"width": 640, "height": 360, "rate_hz": 30, "bitrate_bps": 1_000_000}
LIMIT_S = 300


SUITE = ("-m", "pytest", "-q", "--color=no", "-p", "no:cacheprovider", "--noconftest", "--durations=5")
OWN = ("-o", "addopts=", "-o", "filterwarnings=")  # picamera2 calls what Python 3.13 deprecates


class AtWork(msgspec.Struct, frozen=True):
    """A process in the root: what it says, and where it writes, both on this machine."""

    process: "subprocess.Popen[str]"
    said: Path
    out: Path

    def ended(self) -> tuple[int, str]:
        status = self.process.wait(LIMIT_S)
        return status, self.said.read_text("utf-8", "replace")


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
def both(root: CameraRoot, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[AtWork, AtWork]]:
    """The contract's suite, and the daemon on the bench in its folder: begun at once, whichever test is the first."""
    suite, day = tmp_path_factory.mktemp("suite"), tmp_path_factory.mktemp("day")
    bench = make_bench(day / "bench", audio=False, camera=CAMERA, ring_mib=8)
    config = f"{OUT_THERE}/{bench.config.relative_to(day)}"
    with ExitStack() as begun:

        def begin(out: Path, *command: str) -> AtWork:
            said = out.with_suffix(".txt")
            with said.open("w") as file:
                process = root.start(PYTHON, *command, out=out, said=file)
            begun.callback(process.wait)
            begun.callback(process.terminate)
            return AtWork(process, said, out)

        yield (
            begin(suite, *SUITE, *OWN, "tests/lanes/simcam/real_camera.py"),
            begin(day, "-m", "tests.lanes.simcam.daemon", config),
        )


def test_the_real_camera_stack_keeps_the_contract_and_each_hazard_is_met(both: tuple[AtWork, AtWork]) -> None:
    status, said = both[0].ended()
    print(said)
    assert status == 0
    assert " failed" not in said
    assert " skipped" not in said


def test_two_minutes_of_the_whole_daemon_on_the_real_camera_verify(
    root: CameraRoot, both: tuple[AtWork, AtWork]
) -> None:
    status, said = both[1].ended()
    print(said)
    assert status == 0
    out = both[1].out
    bench = Bench(out / "bench")
    card, trust = f"{OUT_THERE}/bench/card", f"{OUT_THERE}/bench/agency/ca.pem"
    status, said = root.run("/opt/venv/bin/bodycam", "verify", card, "--trust", trust, out=out)
    print(said)
    assert status == 0
    verdict = verified(bench, read=True)
    assert [recording.verdict for recording in verdict.recordings] == ["intact", "intact"]
    assert [recording.answers.read for recording in verdict.recordings] == ["opened", "opened"]
    seconds = sum(recording.seconds for recording in verdict.recordings)
    assert seconds >= 120
    lengths = [s.video.to_us - s.video.from_us for f in recordings(bench) for s in segments_of(bench, f) if s.video]
    assert statistics.median(lengths) == pytest.approx(1_000_000, rel=0.05), "a GOP a segment"

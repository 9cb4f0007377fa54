"""The start: pictures in memory before anything that can wait, and nothing kept that the policy then forbids (E1)."""

import subprocess
import sys
from pathlib import Path

import pytest

from device.clock import Crew
from device.config import read_configuration
from device.daemon import Daemon
from device.sight import Sight
from device.start_trace import FIRST_FRAME, READY, Trace, table
from hw_sim.agency import Agency, Bench
from hw_sim.clock import Scheduler, VirtualClock
from hw_sim.hardware import TwinHardware
from tests.benches import make_bench, policy_document

NOT_BEFORE_THE_CAMERA = {
    "av", "cryptography", "cv2", "device.control", "device.controls", "device.daemon", "device.evidence", "device.policy.machine",
    "device.policy.model", "device.service.notify", "gpiozero", "importlib.metadata", "numpy", "pyrage", "rich",
}  # fmt: skip
AFTER_IT = {"cryptography", "device.daemon", "device.evidence.recorder", "device.policy.machine"}


def _loaded(code: str) -> set[str]:
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    return set(said.split())


def test_the_camera_is_asked_to_start_before_anything_heavy_is_imported() -> None:
    """Everything that runs on a device up to the camera's start has been imported by then; what it does not need has not."""
    before = _loaded(
        "import sys, device.cli, device.device_commands, device.start, device.sight, device.pi.camera; print(*sys.modules)"
    )
    assert before >= {"device.sight", "device.keeper", "device.media.ring", "device.pi.camera"}
    assert before & NOT_BEFORE_THE_CAMERA == set()
    after = _loaded("import sys, device.start, device.daemon; print(*sys.modules)")
    assert after >= AFTER_IT, "it is there that it is imported"
    assert "pyrage" not in after, "what opens files is the readers'"


def test_a_daemon_runs_without_numpy_until_somebody_looks_at_the_lens(tmp_path: Path) -> None:
    """On pictures that are encoded already, of which no sample is taken: what is ours imports nothing so heavy."""
    loaded = _loaded(
        "import sys; from pathlib import Path; from hw_sim.benchmarks.rig import bench_device; "
        "camera = {'width': 160, 'height': 90, 'rate_hz': 30, 'bitrate_bps': 150_000}; "
        f"device, _ = bench_device(Path({str(tmp_path)!r}), camera, audio=False); device.run(2); "
        "assert device.daemon.ring.held_us() > 1_000_000; print(*sys.modules)"
    )
    assert loaded >= {"device.lens", "device.media.luma", "device.media.overlay"}
    assert loaded & {"cv2", "numpy"} == set()


class Opened:
    """A sight whose camera has run for a while before the rest is made, in virtual time."""

    def __init__(self, bench: Bench, seconds: int) -> None:
        self.clock = VirtualClock("boot-1")
        self.configuration = read_configuration(bench.config)
        self.hardware = TwinHardware(self.clock, wiring=self.configuration.tables.wiring)
        self.first: list[int] = []
        self.sight = Sight(self.configuration, self.hardware, lambda: self.first.append(self.clock.now_us()))
        self._began_us = self.clock.now_us()
        self._scheduler = Scheduler(self.clock, self.sight.parts)
        self._scheduler.run_until(self._began_us + seconds * 1_000_000)

    def daemon(self) -> Daemon:
        return Daemon(self.configuration, self.hardware, self.sight, Crew(self.clock))


def test_what_came_before_the_policy_was_read_is_the_past_of_a_press(tmp_path: Path) -> None:
    opened = Opened(make_bench(tmp_path / "bench", audio=False), 2)
    assert len(opened.first) == 1, "told once"
    daemon = opened.daemon()
    assert daemon.ring.held_us() >= 1_900_000
    claim = daemon.ring.claim(0, opened.clock.now_us())
    assert claim.held_us >= 1_900_000, "flagged as the policy says"
    daemon.close()


def test_e1_what_came_before_the_policy_was_read_and_may_not_be_held_is_let_go(tmp_path: Path) -> None:
    agency = Agency()
    bench = make_bench(tmp_path / "bench", agency=agency, audio=False)
    document = policy_document()
    assert document.count(b'initial_zone = "street"') == 1
    bench.offered_policy.write_bytes(agency.bundle(document.replace(b'zone = "street"', b'zone = "private"')))
    opened = Opened(bench, 2)
    assert opened.sight.ring.payload_bytes > 0
    daemon = opened.daemon()
    assert daemon.ring.payload_bytes == 0
    assert daemon.ring.held_us() == 0
    daemon.close()


def test_e1_nothing_can_reach_back_while_the_policy_is_not_known(tmp_path: Path) -> None:
    opened = Opened(make_bench(tmp_path / "bench", audio=False), 2)
    assert opened.sight.ring.claim(0, opened.clock.now_us()).held_us == 0
    opened.sight.close()


def test_the_table_of_a_start() -> None:
    steps = [("configuration", 1_250_000), (READY, 1_900_000), (FIRST_FRAME, 1_500_999)]
    assert table(1_000_000, steps).splitlines() == [
        "start                              at ms   took ms",
        "exec                                   0",
        "configuration                        250       250",
        "first frame in the ring              500       250",
        "READY                                900       399",
    ]
    assert table(1_000_000, [(READY, 2_000_000)]).splitlines()[-1] == "first frame in the ring             none"


def test_the_trace_is_printed_once_with_ready(capsys: pytest.CaptureFixture[str]) -> None:
    trace = Trace(VirtualClock("boot-1", 1 << 50))
    trace.mark("configuration")
    assert capsys.readouterr().err == ""
    trace.first_frame()
    trace.mark(READY)
    assert [line.split("  ")[0] for line in capsys.readouterr().err.splitlines()] == [
        "start", "exec", "configuration", FIRST_FRAME, READY,
    ]  # fmt: skip

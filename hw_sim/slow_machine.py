"""A machine held to a part of one core: the real daemon in real time, in a group of its own whose processor time is bounded.

`python -m hw_sim.slow_machine [PERCENT …]`, as root, on a Linux whose cpu controller is of the first kind (cgroup v1): a
percentage is of one core, for daemon and twin together, the drawing and encoding of the pictures too. Lost are those that the
twin can't make in time. At a quarter of a core it is too late even for its own buttons. What must hold: each of them stands in a signed gap, and the numbers in the exported pictures say the same.
"""

import argparse
import contextlib
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path

import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from device.errors import BodycamError, UsageError
from device.evidence import layout
from device.evidence.disclosure import disclose, write_disclosure
from device.evidence.identity import load_anchors
from device.evidence.opening import Identity
from device.evidence.verify import verify
from device.service.status import Status
from hw_sim.agency import Agency, Bench, lay_out_bench
from hw_sim.demo import Stage, frame_numbers

CONTROLLER = Path("/sys/fs/cgroup/cpu")
PERIOD_US = 100_000
CAMERA = {"width": 640, "height": 360, "rate_hz": 30, "bitrate_bps": 2_000_000}
LIVE_S, LIMIT_S = 20, 180
PERCENTS = (100, 50)


class Held(msgspec.Struct, frozen=True):
    """What one run showed. `unexplained`: pictures whose numbers are missing from the video and from the signed gaps."""

    percent: int
    seconds: float
    frames: int
    missing: dict[str, int]
    unexplained: int
    verdict: str


@contextlib.contextmanager
def held_to(percent: int) -> Iterator[Path]:
    """A group whose processes together get so much of one core. It is gone afterwards; they must have ended."""
    group = CONTROLLER / f"bodycam-slow-{percent}"
    try:
        group.mkdir()
    except OSError as failure:
        raise UsageError(
            f"{group}: {failure.strerror}; run it as root, where the cpu controller of cgroup v1 is"
        ) from failure
    try:
        (group / "cpu.cfs_period_us").write_text(str(PERIOD_US))
        (group / "cpu.cfs_quota_us").write_text(str(PERIOD_US * percent // 100))
        yield group
    finally:
        group.rmdir()


def run(percent: int, root: Path, progress: Progress) -> Held:
    """One recording in `root`, an empty folder."""
    policy = files("hw_sim").joinpath("demo-policy.toml").read_bytes()
    bench = lay_out_bench(root, Agency(), "BC-SLOW-1", policy, {"camera": CAMERA, "ring": {"cap_mib": 24}})
    with held_to(percent) as group:
        stage = Stage(bench, None, "v4l2", progress)
        (group / "cgroup.procs").write_text(str(stage.process.pid))
        try:
            stage.until(f"{percent} % of a core: pictures", lambda status: status.held_us > 2_000_000, LIMIT_S)
            stage.play("double record")
            stage.until("double press: record", lambda status: status.recording != "", LIMIT_S)
            stage.during("recording", LIVE_S)
            stage.play("hold record 3200")
            stage.until("hold: stop asked", _in("stop-asked"), LIMIT_S)
            stage.during("let go", 1)
            stage.play("press record")
            stage.until("post-event", _in("idle"), LIMIT_S)
            stage.stop()
        finally:
            stage.cut_the_power()
    return _judged(percent, bench)


def _in(state: str) -> Callable[[Status], bool]:
    return lambda status: status.state == state


def _judged(percent: int, bench: Bench) -> Held:
    (one,) = verify(bench.card, load_anchors(bench.trust)).recordings
    file = bench.root / "out.mp4"
    with file.open("wb") as output:
        disclosure = disclose(
            bench.card / layout.recording_folder(one.recording), load_anchors(bench.trust), lambda _: None
        )
        write_disclosure(disclosure, Identity(bench.footage_identity), output, lambda _: None)
    numbers = frame_numbers(file)
    skipped = numbers[-1] - numbers[0] + 1 - len(set(numbers))
    return Held(percent, one.seconds, one.frames, one.missing, skipped - sum(one.missing.values()), one.verdict)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m hw_sim.slow_machine", description=__doc__)
    parser.add_argument("percent", nargs="*", type=int, default=PERCENTS, help="of one core")
    results = []
    try:
        with Progress(TextColumn("{task.description:<40}"), BarColumn(30), TextColumn("{task.fields[said]}"),
                      console=Console(stderr=True)) as progress:  # fmt: skip
            for percent in parser.parse_args().percent:
                with tempfile.TemporaryDirectory(prefix="bodycam-slow-") as folder:
                    results.append(run(percent, Path(folder) / "bench", progress))
    except BodycamError as failure:
        print(f"slow_machine: {failure}", file=sys.stderr)
        return failure.exit_status
    table = Table("of one core", "seconds", "pictures", "missing, signed", "missing, unexplained", "verdict")
    for one in results:
        missing = ", ".join(f"{cause} {count}" for cause, count in one.missing.items()) or "none"
        table.add_row(
            f"{one.percent} %", f"{one.seconds:.1f}", str(one.frames), missing, str(one.unexplained), one.verdict
        )
    Console(width=110).print(table)
    return 0 if all(one.unexplained == 0 and one.verdict == "intact" for one in results) else 1


if __name__ == "__main__":
    sys.exit(main())

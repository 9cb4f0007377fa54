"""`bodycam-sim shift`: a day drawn, carried out, judged and shown. With `--soak`, the device's own disk, no cuts, and samples
of memory, threads, files and objects."""

import argparse
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from device.clock import BootClock
from device.config import read_configuration
from device.errors import UsageError
from device.policy_files import read_document
from device.terminal import print_json, safe, write_whole
from hw_sim.agency import Agency, Bench, lay_out_bench
from hw_sim.curve import picture
from hw_sim.quiet import quiet_log
from hw_sim.shift import LEAST_HOURS, draw
from hw_sim.shift_report import Outcome, judge, show
from hw_sim.shift_run import VITALS_EVERY_US, Shift

DEVICE = "BC-SHIFT-1"
WIDTH, HEIGHT, BITRATE_BPS = 160, 90, 50_000
SOUND = {"rate_hz": 16_000, "bitrate_bps": 24_000}
SHED_RATE_HZ = 5
RING_MIB, FULL_BELOW_MIB = 4, 4
MOST_HOURS = 48
LEAST_SOAK_HOURS = 4
IN_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of a random name is made in it
"""Where a Pi has its status file too: it is written twice a second."""


def run_shift(options: argparse.Namespace) -> int:
    if not LEAST_HOURS <= options.hours <= MOST_HOURS:
        raise UsageError(f"--hours {options.hours:g}: give from {LEAST_HOURS} to {MOST_HOURS} hours")
    out: Path | None = options.out
    if out is not None and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(safe(f"--out {out}: not an empty folder; name a new one, or remove it"))
    document = read_document(options.profile)
    if options.soak and options.hours < LEAST_SOAK_HOURS:
        raise UsageError(f"--soak --hours {options.hours:g}: give at least {LEAST_SOAK_HOURS}: growth shows in time")
    with _folder(out, in_memory=options.soak) as root, _status_folder() as status:
        said = shift(
            root, document.content, status, options.seed, options.hours, rate_hz=options.rate_hz,
            sound=not options.no_sound, soak=options.soak, quiet=options.json,
        )  # fmt: skip
        if out is not None:
            title = f"Memory in a shift of {options.hours:g} h, bodycam {version('bodycam')}"
            write_whole(out / "memory.svg", picture(said.curve, title), "--out", force=True)
    if options.json:
        print_json(said)
    else:
        show(Console(), said)
        if out is not None:
            Console().print(f"the card and its bench are in {out}, the curve in {out / 'memory.svg'}", highlight=False)
    return said.exit_status


def shift(
    root: Path,
    policy: bytes,
    status: Path,
    seed: str,
    hours: float,
    *,
    rate_hz: int,
    sound: bool,
    soak: bool,
    quiet: bool,
) -> Outcome:
    """Carry out one day in `root`, an empty folder; `status`: a folder for the status file."""
    from device.policy.model import parse_policy

    bench = shift_bench(root / "bench", policy, status, rate_hz, sound=sound)
    tables = read_configuration(bench.config).tables
    parsed, clock = parse_policy(policy), BootClock()
    plan = draw(seed, hours, parsed, cuts=not soak, sound=sound)
    with quiet_log(), Progress(
        TextColumn("{task.description:<24}"), BarColumn(40), TextColumn("{task.fields[said]}"), disable=quiet,
        console=Console(stderr=True),
    ) as progress:  # fmt: skip
        began_us = clock.now_us()
        day = Shift(
            bench,
            parsed,
            plan,
            (tables.camera, tables.microphone),
            real_disk=soak,
            vitals_every_us=VITALS_EVERY_US if soak else 0,
        )
        task = progress.add_task("the day, in virtual time", total=hours * 3600, said="")

        def advance(passed_s: float) -> None:
            progress.update(task, completed=passed_s, said=f"{passed_s / 3600:5.2f} h")

        played = day.run(advance)
        progress.add_task("verify, audit, account", total=None, said="")
        said = judge(played, seed, hours, 0)
        wall_s = (clock.now_us() - began_us) / 1e6
    from msgspec.structs import replace

    return replace(said, wall_s=round(wall_s, 1))


def shift_bench(root: Path, policy: bytes, status: Path, rate_hz: int, *, sound: bool) -> Bench:
    """A bench in `root` with the least pictures; `status`: the folder of its status file."""
    bench = lay_out_bench(
        root,
        Agency(),
        DEVICE,
        policy,
        {
            "card": {"full_below_mib": FULL_BELOW_MIB},
            "camera": {"width": WIDTH, "height": HEIGHT, "rate_hz": rate_hz, "bitrate_bps": BITRATE_BPS},
            "microphone": {"enabled": sound, **SOUND},
            "ring": {"cap_mib": RING_MIB},
        },
    )
    text = bench.config.read_text("utf-8")
    own = 'status_file = "status.json"'
    assert text.count(own) == 1, "the bench's status file"
    text = text.replace(own, f'status_file = "{status / "status.json"}"')
    bench.config.write_text(text + f"[health]\nshed_rate_hz = {SHED_RATE_HZ}\n", "utf-8")
    return bench


@contextmanager
def _folder(out: Path | None, *, in_memory: bool) -> Iterator[Path]:
    """`in_memory`: where nobody asked for it, the card is in memory, so that the device's own disk need not wait for one."""
    if out is not None:
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as failure:
            raise UsageError(safe(f"--out {out}: {failure.strerror}; name a folder that can be made")) from failure
        yield out
        return
    with tempfile.TemporaryDirectory(
        prefix="bodycam-shift-", dir=IN_MEMORY if in_memory and IN_MEMORY.is_dir() else None
    ) as folder:
        yield Path(folder)


@contextmanager
def _status_folder() -> Iterator[Path]:
    inside = IN_MEMORY if IN_MEMORY.is_dir() else None
    folder = tempfile.mkdtemp(prefix="bodycam-shift-", dir=inside)
    try:
        yield Path(folder)
    finally:
        shutil.rmtree(folder)

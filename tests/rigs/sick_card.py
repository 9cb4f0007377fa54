"""A card that fails in the middle of a recording: `python -m tests.rigs.sick_card`, inside the rig's namespaces.

The real daemon tells a story of one recording on a real ext4, in virtual time; on the way the card fills, its device begins to fail
its writes or its flushes (the file system then makes itself read-only), or the file system finds itself damaged. Or, in real time, the
device writes slowly. After it: the file system is checked and mounted again, the daemon starts again, and the reader is asked.
"""

import argparse
import os
from collections.abc import Callable
from pathlib import Path

from device.evidence.disk import CardDisk
from device.evidence.records import Gap, RecordingClosed, Step
from device.policy.commands import Refuse
from device.service.status import read_status
from hw_sim.agency import Bench
from hw_sim.virtual import VirtualDevice
from tests.benches import journal, ledger, recordings, verified
from tests.rigs.block_cuts import on_card, read_files, start_again
from tests.rigs.block_rig import exported, failing, in_memory, make_image, mended, mounted, slowed, stopped
from tests.rigs.campaign import answer
from tests.rigs.noted_disk import Moment, Notes
from tests.rigs.real_daemon import running
from tests.rigs.story import make_clip, make_story_bench, not_activated

FILLER = "of-somebody-else"
SLOW_BYTES_PER_S = 400_000
SLOW = {"is slow": False, "stalls": True}
STALLED_US = 8_000_000
"""So much is in the ring when the card goes on: three seconds from before the press, and five that wait."""


def fill(card: Path) -> None:
    """Somebody else takes all the room there is."""
    with (card / FILLER).open("wb") as file:
        for size in (1 << 20, 1 << 16, 1 << 12):
            _take(file.fileno(), size)
        os.fsync(file.fileno())


def _take(descriptor: int, step_bytes: int) -> None:
    try:
        while True:
            os.posix_fallocate(descriptor, os.fstat(descriptor).st_size, step_bytes)
    except OSError:
        return  # no step of this size fits any more


def damage(card: Path) -> None:
    """The kernel is told that it found an error in this file system, and does as it was mounted to: it makes it read-only."""
    number = card.stat().st_dev
    name = (Path("/sys/dev/block") / f"{os.major(number)}:{os.minor(number)}").resolve().name
    (Path("/sys/fs/ext4") / name / "trigger_fs_error").write_text("1", "ascii")


def nothing(card: Path) -> None:
    """The device fails by itself, at a request that was drawn before."""


CASES: dict[str, tuple[Callable[[Path], None], tuple[str, int] | None]] = {
    "fills": (fill, None),
    "is damaged, becomes read-only": (damage, None),
    "fails its writes": (nothing, ("pwritev", 100)),
    "fails its flushes": (nothing, ("flush_to_disk", 56)),
}
"""What happens after three live seconds; from which request of which kind on the device fails:
seen to come in those three seconds or later from 48 to 64 flushes, and from 90 to 110 writes."""


def happened(work: Path, case: str) -> dict[str, object]:
    """The story, and what is found at each step of it."""
    happens, fails = CASES[case]
    clip = make_clip()
    bench = make_story_bench(work / "bench")
    bench.card.mkdir(exist_ok=True)
    image = make_image(work / "card.img")
    notes = Notes(lambda: 0, lambda length: Moment(length, 0, "", ()))
    said: dict[str, object] = {}
    nodes = [{"driver": "raw", "node-name": "top", "file": "image"}] if fails is None else failing(*fails)
    with (
        exported(image, nodes) as device_file,
        mounted(device_file, bench.card),
        on_card(bench, clip, CardDisk, notes) as device,
    ):
        device.boot()
        device.run(4)
        device.double()
        device.run(3)
        said["healthy"] = sorted(device.daemon.control.state.faults)
        happens(bench.card)
        device.run(6)
        said["state"] = read_status(bench.root / "device" / "status.json").state
        said["faults"] = sorted(read_status(bench.root / "device" / "status.json").faults)
        said["ended"] = _ends(device)
    mended(image)
    with mounted(image, bench.card):
        (bench.card / FILLER).unlink(missing_ok=True)
        before = read_files(bench.card)
        lost = [p.path for p in notes.promises if len(before.get(p.path, b"")) < p.size]
        start_again(bench, clip, record=True)
        after = read_files(bench.card)
        said["promised bytes lost"] = lost
        said["changed by the next start"] = [path for path in before if not after[path].startswith(before[path])]
        said |= judged(bench)
    return said


def _ends(device: VirtualDevice) -> bool:
    """Asked to end, as by the service manager; whether it does before that would kill it."""
    device.daemon.control.ask_shutdown()
    device.run(30, device.daemon.finished.is_set)
    ended = device.daemon.finished.is_set()
    device.daemon.close()
    return ended


def judged(bench: Bench) -> dict[str, object]:
    verdict = verified(bench, read=True, jobs=1)
    steps = [record for record in journal(bench) if isinstance(record, Step)]
    closed = [
        line.record.how
        for folder in recordings(bench)
        for line in ledger(bench, folder).lines
        if isinstance(line.record, RecordingClosed)
    ]
    gaps = [
        line.record.cause
        for folder in recordings(bench)
        for line in ledger(bench, folder).lines
        if isinstance(line.record, Gap)
    ]
    return {
        "verify": verdict.exit_status,
        "verdicts": [r.verdict for r in verdict.recordings],
        "seconds": [round(r.seconds) for r in verdict.recordings],
        "content": sorted({r.answers.content for r in verdict.recordings}),
        "closed": closed,
        "gaps": gaps,
        "refused": sum(isinstance(d, Refuse) for step in steps for d in step.decisions),
        "faults journaled": sorted({str(getattr(s.input, "part", "")) for s in steps if hasattr(s.input, "present")}),
        "not activated": not_activated(bench),
    }


def slow(work: Path, *, stalls: bool) -> dict[str, object]:
    """The daemon in real time on a device that writes slowly; or that, while a recording is live, takes nothing at all until the ring
    holds seconds that wait, and then goes on."""
    bench = make_story_bench(work / "bench")
    bench.card.mkdir(exist_ok=True)
    image = make_image(work / "card.img")
    held_us = 0
    nodes = [{"driver": "raw", "node-name": "top", "file": "image"}] if stalls else slowed(SLOW_BYTES_PER_S)
    with exported(image, nodes) as device_file, mounted(device_file, bench.card), running(bench) as daemon:
        daemon.until_ready(2_000_000)
        daemon.line("double record")
        if stalls:
            daemon.until("it records", lambda: daemon.last_ledger_lines() >= 2)
            with stopped(image):
                daemon.until("the ring holds what waits", lambda: daemon.held_us() >= STALLED_US)
                held_us = daemon.held_us()
        daemon.until("it has recorded", lambda: len(list(bench.card.glob("evidence/*/00000[5-9].m4s.age"))) > 1)
        ended = daemon.end()
    mended(image)
    with mounted(image, bench.card):
        return {"ended": ended, "held_us": held_us, **judged(bench)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("case", choices=[*CASES, *SLOW])
    case = parser.parse_args().case

    def work(work: Path) -> dict[str, object]:
        with in_memory(work / "memory") as folder:
            return slow(folder, stalls=SLOW[case]) if case in SLOW else happened(folder, case)

    answer(work)


if __name__ == "__main__":
    main()

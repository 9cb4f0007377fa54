"""`kill -9` of the daemon on a real file system: `python -m tests.rigs.kills`, inside the rig's namespaces.

A child tells the story in virtual time on a card of the device's own kind, and is killed: every other time before an operation on
the card that a seed draws, otherwise some time after a sync that it draws, wherever that is. What the kernel has taken stays; what was in the
process is gone. Then the daemon starts again, as after a power cut.
"""

import json
import os
import random
import select
import shutil
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from device.errors import BodycamError
from device.evidence.disk import CardDisk
from device.evidence.records import RecordingClosed
from hw_sim.agency import Bench
from hw_sim.encoders import EncodedFrame
from tests.benches import ledger, recordings, verified
from tests.rigs.block_cuts import on_card, read_files, start_again
from tests.rigs.block_rig import in_memory, make_image, mounted
from tests.rigs.campaign import Campaign, Wrong, answer, options_of
from tests.rigs.careless_disks import DISKS
from tests.rigs.noted_disk import Moment, Notes
from tests.rigs.real_daemon import DaemonEnded
from tests.rigs.story import make_clip, make_story_bench, not_activated, tell

READ_EVERY = 10
OPERATIONS = 150
"""More than the story has: some children end by themselves."""
PROMISES = 100
LONGEST_S = 0.01
"""After a promise that a seed draws, and a time that it draws: wherever the child is then."""


class SaidNotes(Notes):
    """Says each promise to who outlives this process."""

    def __init__(self, said: int, before: Callable[[str, str], None]) -> None:
        super().__init__(lambda: 0, lambda length: Moment(length, 0, "", ()), before)
        self._said = said

    def _promise(self, paths: list[str]) -> None:
        super()._promise(paths)
        for path in paths:
            os.write(self._said, json.dumps([path, self._synced[path]]).encode() + b"\n")


def live(bench: Bench, clip: list[EncodedFrame], kind: type[CardDisk], said: int, kill_at: int) -> None:
    """The child's life. `kill_at`: before which operation it ends itself; 0: never."""
    count = 0

    def before(operation: str, path: str) -> None:
        nonlocal count
        count += 1
        if count == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    with on_card(bench, clip, kind, SaidNotes(said, before)) as device:
        device.boot()
        os.write(said, b'["", 0]\n')
        tell(device)


def killed(
    bench: Bench, clip: list[EncodedFrame], kind: type[CardDisk], odds: random.Random, *, by_operation: bool
) -> tuple[bool, dict[str, int]]:
    """Whether it was killed before its end, and what had been promised."""
    at = odds.randint(1, OPERATIONS) if by_operation else 0
    reads, writes = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            live(bench, clip, kind, writes, at)
            status = 0
        finally:
            os._exit(status)
    os.close(writes)
    lines: list[bytes] = []
    with os.fdopen(reads, "rb", buffering=0) as heard:
        if not by_operation:
            lines = [heard.readline() for _ in range(odds.randint(0, PROMISES))]
            wait_for(child, odds.uniform(0, LONGEST_S))
            os.kill(child, signal.SIGKILL)
        lines += heard.readlines()
    _, status = os.waitpid(child, 0)
    assert status in (0, signal.SIGKILL), f"the child ended with {status}"
    return status != 0, {path: size for path, size in map(json.loads, filter(None, lines)) if path}


def wait_for(child: int, limit_s: float) -> None:
    """Until the child has ended, or so long."""
    descriptor = os.pidfd_open(child)
    select.select([descriptor], [], [], limit_s)
    os.close(descriptor)


def check(
    bench: Bench, promised: dict[str, int], before: dict[str, bytes], again: Callable[[], None], *, recorded: bool
) -> tuple[Wrong, int]:
    """What is wrong on the card that held `before`, and how many recordings the reader judged after the next start, `again`;
    `recorded`: that one made a recording, and everything is opened."""
    wrong = []
    for path, size in promised.items():
        if len(before.get(path, b"")) < size:
            wrong.append(("promised bytes lost", path))
    closed = {
        folder.name
        for folder in (recordings(bench) if (bench.card / "evidence").is_dir() else [])
        if any(isinstance(line.record, RecordingClosed) for line in ledger(bench, folder).lines)
    }
    try:
        again()
    except (BodycamError, DaemonEnded, AssertionError, OSError) as failure:
        return [*wrong, ("the daemon does not start again", f"{type(failure).__name__}: {failure}")], 0
    after = read_files(bench.card)
    wrong += [
        ("changed by the next start", path) for path in before if not after.get(path, b"").startswith(before[path])
    ]
    verdict = verified(bench, read=recorded, jobs=1)
    if verdict.exit_status not in (0, 4):
        wrong.append((f"verify says {verdict.verdict}", str(verdict.findings)[:200]))
    judged = verdict.recordings[:-1] if recorded else verdict.recordings
    wrong += [
        ("a killed recording is called intact", r.recording)
        for r in judged
        if r.verdict == "intact" and r.recording not in closed
    ]
    if recorded and verdict.recordings[-1].verdict != "intact":
        wrong.append(("the next recording is not intact", verdict.recordings[-1].verdict))
    wrong += [("recorded without an activation (E1)", name) for name in not_activated(bench)]
    return wrong, len(verdict.recordings)


def campaign(work: Path, kind: str, kills: int, seed: int, keep: Path | None) -> dict[str, Any]:
    clip = make_clip()
    told = Campaign("kills", seed, kills, keep, every=50)
    for n in range(kills):
        odds, case = random.Random(f"{seed} {n}"), f"kill {n}"
        with told.case(case), in_memory(work / f"kill-{n}") as folder:
            bench = make_story_bench(folder / "bench")
            bench.card.mkdir(exist_ok=True)
            with mounted(make_image(folder / "card.img"), bench.card):
                was_killed, promised = killed(bench, clip, DISKS[kind], odds, by_operation=n % 2 == 0)
                before = read_files(bench.card)
                record = n % READ_EVERY == 0
                again = partial(start_again, bench, clip, record=record)
                found, verified_here = check(bench, promised, before, again, recorded=record)
                told.found(case, found, partial(keep_kill, bench=bench, promised=promised, before=before))
            told.counts["killed" if was_killed else "ended first"] += 1
            told.counts["recordings verified"] += verified_here
        told.one_done()
    return told.sum_up()


def keep_kill(folder: Path, bench: Bench, promised: dict[str, int], before: dict[str, bytes]) -> None:
    """What can show why: the card as the kill left it, what had been promised, and the bench with the card as it is now."""
    for name, data in before.items():
        path = folder / "card-as-killed" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (folder / "promised.json").write_text(json.dumps(promised, indent=1), "utf-8")
    shutil.copytree(bench.root, folder / "bench")


def main() -> None:
    parser = options_of(__doc__)
    parser.add_argument("--disk", choices=DISKS, default="the device's own")
    parser.add_argument("--kills", type=int, required=True)
    options = parser.parse_args()
    answer(lambda work: campaign(work, options.disk, options.kills, options.seed, options.keep))


if __name__ == "__main__":
    main()

"""`kill -9` of the daemon as it runs in the field: `python -m tests.rigs.real_kills`, inside the rig's namespaces.

`kills` kills it in virtual time, a thousand times, at any operation; here it is `bodycam-sim daemon`, in real time, with all its threads,
on a mounted ext4. A seed draws when: as it starts, as it records (so many lines into the ledger, and some time), as a recording
stops, as it ends. Then it starts again, in real time too, records, ends, and everything is opened.
"""

import random
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from hw_sim.agency import Bench
from tests.benches import make_bench, recordings
from tests.rigs.block_cuts import read_files
from tests.rigs.block_rig import in_memory, make_image, mounted
from tests.rigs.campaign import Campaign, answer, options_of
from tests.rigs.kills import check, keep_kill, wait_for
from tests.rigs.real_daemon import RealDaemon, running

LONGEST_START_S = 2.0
"""From before the daemon has begun to when it is ready, on a machine that is not busy."""
HOLD_MS = 3200
SECOND_S = 1.0


def _starting(daemon: RealDaemon, odds: random.Random) -> None:
    wait_for(daemon.process.pid, odds.uniform(0, LONGEST_START_S))


def _recording(daemon: RealDaemon, odds: random.Random) -> None:
    daemon.until_ready()
    daemon.line("double record")
    lines = odds.randint(1, 6)
    daemon.until(f"its ledger has {lines} lines", lambda: daemon.last_ledger_lines() >= lines)
    wait_for(daemon.process.pid, odds.uniform(0, SECOND_S))


def _stopping(daemon: RealDaemon, odds: random.Random) -> None:
    _recording(daemon, odds)
    daemon.line(f"hold record {HOLD_MS}")
    wait_for(daemon.process.pid, HOLD_MS / 1000 + 0.3)
    daemon.line("press record")
    wait_for(daemon.process.pid, odds.uniform(0, 3 * SECOND_S))


def _ending(daemon: RealDaemon, odds: random.Random) -> None:
    _recording(daemon, odds)
    daemon.process.terminate()
    wait_for(daemon.process.pid, odds.uniform(0, SECOND_S / 2))


WHEN: dict[str, Callable[[RealDaemon, random.Random], None]] = {
    "recording": _recording,
    "starting": _starting,
    "stopping": _stopping,
    "ending": _ending,
}


def start_again(bench: Bench) -> None:
    """In real time: it recovers, records some seconds, and ends as it is asked."""
    known = len(recordings(bench)) if (bench.card / "evidence").is_dir() else 0
    with running(bench) as daemon:
        daemon.until_ready()
        daemon.line("double record")
        daemon.until("it records again", lambda: len(recordings(bench)) > known and daemon.last_ledger_lines() >= 2)
        assert daemon.end() == 0, "the daemon does not end as it is asked"


def campaign(work: Path, kills: int, seed: int, keep: Path | None) -> dict[str, Any]:
    told = Campaign("real-kills", seed, kills, keep, every=10)
    for n in range(kills):
        odds, when = random.Random(f"{seed} {n}"), list(WHEN)[n % len(WHEN)]
        case = f"kill {n} {when}"
        with told.case(case), in_memory(work / f"kill-{n}") as folder:
            bench = make_bench(folder / "bench", pre_event_s=2, post_event_s=1)
            bench.card.mkdir(exist_ok=True)
            with mounted(make_image(folder / "card.img"), bench.card):
                with running(bench) as daemon:
                    WHEN[when](daemon, odds)
                    seen = {path: len(data) for path, data in read_files(bench.card).items()}
                    was_alive = daemon.process.poll() is None
                before = read_files(bench.card)
                found, judged = check(bench, seen, before, partial(start_again, bench), recorded=True)
                told.found(case, found, partial(keep_kill, bench=bench, promised=seen, before=before))
            told.counts[f"killed {when}" if was_alive else "ended first"] += 1
            told.counts["recordings verified"] += judged
        told.one_done()
    return told.sum_up()


def main() -> None:
    parser = options_of(__doc__)
    parser.add_argument("--kills", type=int, required=True)
    options = parser.parse_args()
    answer(lambda work: campaign(work, options.kills, options.seed, options.keep))


if __name__ == "__main__":
    main()

"""One system call of the daemon fails as it runs in the field: `python -m tests.rigs.real_calls`, inside the rig's namespaces.

`failing_calls` does it in virtual time, to each call; here it is the process, in real time, with all its threads, on a mounted ext4.
A first run is traced to see how many calls of each kind a thread makes there. strace counts for each thread: where two make as many,
both fail. A daemon that is not up yet may end with a status that it declares, and is started again; one that is up may not.
"""

import random
import re
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

from hw_sim.agency import Agency, Bench
from tests.benches import recordings
from tests.rigs.block_rig import in_memory, make_image, mounted
from tests.rigs.campaign import Campaign, answer, options_of
from tests.rigs.failing_calls import (
    CALLS,
    DIED,
    ENDED,
    ENDS,
    ERRORS,
    READY_S,
    STARTED_AGAIN,
    Case,
    Lived,
    bench_again,
    check,
    keep_bench,
    named_in_full,
    paths_of,
)
from tests.rigs.real_daemon import POLL_S, DaemonEnded, RealDaemon, running
from tests.rigs.story import make_story_bench

MODULE = "tests.rigs.same_names"
LINES = 4
"""Of the ledger, before the daemon is asked to end."""
DECLARED = (1, 75, 78)
"""How `bodycam daemon` may end before it is up (device/start.py, device/errors.py)."""


def tell(daemon: RealDaemon) -> int:
    """One recording, which the daemon's end closes; how it ended."""
    daemon.line("double record")
    daemon.until(f"its ledger has {LINES} lines", lambda: daemon.last_ledger_lines() >= LINES)
    return daemon.end()


def traced(bench: Bench, paths: list[Path], trace: tuple[str, ...], case: Case | None) -> Lived:
    """The daemon's life under strace, and once more without it when its start failed. Of its calls those of the busiest thread count."""
    log = bench.root / "strace"
    inject = [] if case is None else ["-e", f"inject={case.call}:error={case.error}:when={case.nth}"]
    only = [word for path in paths for word in ("-P", str(path))]
    words = ["strace", "-D", "-f", "-q", "-o", str(log), "-e", f"trace={','.join(trace)}", *only, *inject]
    up, said = False, ""
    with running(bench, *words, module=MODULE) as daemon:
        try:
            daemon.until_ready()
            up = True
            status = ENDED if tell(daemon) == 0 else DIED
        except DaemonEnded as ended:
            status = STARTED_AGAIN if not up and daemon.process.returncode in DECLARED else DIED
            said = str(ended)
        _until_written(log, daemon.process.pid)
    if status == STARTED_AGAIN:
        with running(bench, module=MODULE) as daemon:
            daemon.until_ready()
            status = STARTED_AGAIN if tell(daemon) == 0 else DIED
    if "Traceback" in (logged := bench.root.joinpath("daemon.log").read_text("utf-8")):
        status, said = DIED, logged[-1000:]
    lines = log.read_text("utf-8", "replace")
    by_thread = Counter(re.findall(r"^(\d+) +([a-z]+)\(", lines, re.MULTILINE))
    calls = {call: max(count for (_, c), count in by_thread.items() if c == call) for _, call in by_thread}
    failed = next((line for line in lines.splitlines() if "(INJECTED)" in line), "")
    return Lived(status, Counter(calls), failed, said)


def _until_written(log: Path, pid: int) -> None:
    """strace, which outlives the daemon, has written its last line."""
    until = time.monotonic() + READY_S
    while not re.search(rf"^{pid} +\+\+\+ ", log.read_text("utf-8", "replace"), re.MULTILINE):
        assert time.monotonic() < until, "strace does not say how the daemon ended"
        time.sleep(POLL_S)


def campaign(work: Path, calls: int, seed: int, keep: Path | None) -> dict[str, Any]:
    agency, home, image = Agency(), work / "home", work / "card.img"
    with in_memory(home) as folder:
        bench = make_story_bench(folder / "bench", agency)
        kept = named_in_full(bench)
        bench.card.mkdir(exist_ok=True)
        with running(bench, module=MODULE) as daemon:
            daemon.until_ready()
            assert tell(daemon) == 0
        paths = paths_of(bench)
    cases = []
    for where, trace in CALLS.items():
        with in_memory(home) as folder, mounted(make_image(image), (bench := bench_again(folder, kept)).card):
            lived = traced(bench, paths[where], trace, None)
            assert lived.status == ENDED, lived.said
            cases += [Case(where, c, e, n + 1) for c in trace for e in ERRORS for n in range(lived.calls[c])]
    drawn = random.Random(seed).sample(cases, min(calls, len(cases)))
    told = Campaign("real-calls", seed, len(drawn), keep, every=5)
    for case in drawn:
        name = f"{case.where} {case.call} {case.nth} {case.error}"
        with told.case(name), in_memory(home) as folder:
            bench = bench_again(folder, kept)
            with mounted(make_image(image), bench.card):
                lived = traced(bench, paths[case.where], CALLS[case.where], case)
                if lived.failed:
                    told.found(name, check(bench, lived, case, set()), partial(keep_bench, bench=bench))
                told.counts[ENDS.get(lived.status, "died") if lived.failed else "did not come to the call"] += 1
                told.counts["recordings verified"] += len(recordings(bench))
        told.one_done()
    return {"cases": len(cases), **told.sum_up()}


def main() -> None:
    parser = options_of(__doc__)
    parser.add_argument("--calls", type=int, required=True, help="how many, drawn by the seed")
    options = parser.parse_args()
    answer(lambda work: campaign(work, options.calls, options.seed, options.keep))


if __name__ == "__main__":
    main()

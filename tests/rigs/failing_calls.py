"""One system call on the card fails: `python -m tests.rigs.failing_calls`, inside the rig's namespaces.

A child tells the story in virtual time on a card of the device's own kind, and strace makes the n-th call of a kind on any path of
the card end with an error. Every name on the card is the same in each run, so that the n-th is the same one. A start that fails is
made again, as the service manager does; nothing else may end the daemon.
"""

import os
import random
import re
import shutil
import signal
import subprocess
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from device.errors import BodycamError
from device.evidence.disk import CardDisk
from device.evidence.recorder import Recorder
from device.evidence.records import Fault, Segments, Step
from device.policy.inputs import FaultChanged, Readiness
from hw_sim.agency import Agency, Bench
from hw_sim.encoders import EncodedFrame
from tests.benches import journal, ledger, recordings, shown, verified
from tests.rigs.block_cuts import on_card
from tests.rigs.block_rig import in_memory
from tests.rigs.campaign import Campaign, Wrong, answer, options_of
from tests.rigs.noted_disk import Moment, Notes
from tests.rigs.story import make_clip, make_story_bench, not_activated, tell

CALLS = {
    "card": ("write", "fsync", "syncfs", "openat", "mkdir", "unlink", "fallocate"),
    "status file": ("openat", "write", "rename"),
}
"""On which paths, and which: on the card, which knows no rename, all that change it; and those of the one file that is only for
show."""
ERRORS = ("EIO", "ENOSPC")
READS = "O_RDONLY|O_NONBLOCK"
"""How the device opens what it only reads (a folder that it syncs, it opens otherwise): what can't be read is told, and
the device goes on without; `tests/test_custody.py` and `tests/test_storage_faults.py` say how."""
ENDED, STARTED_AGAIN, DIED = 0, 3, 4
ENDS = {ENDED: "told", STARTED_AGAIN: "started again"}
READY_S = 20


class Case(msgspec.Struct, frozen=True):
    """The n-th call of this name, there, ends with this error."""

    where: str
    call: str
    error: str
    nth: int


class Lived(msgspec.Struct, frozen=True):
    """How the child ended, how many calls of each kind it made, which was made to fail, and what it said when it died."""

    status: int
    calls: Counter[str]
    failed: str
    said: str


def draw_same_names() -> None:
    """From here on this process's recorder gives recordings the same names as in each other run."""
    defaults = Recorder.__init__.__kwdefaults__
    assert defaults is not None, "the recorder draws names by a default"
    defaults["entropy"] = random.Random(1).randbytes


def live(bench: Bench, clip: list[EncodedFrame]) -> int:
    """The child's life."""
    draw_same_names()
    nothing = Notes(lambda: 0, lambda length: Moment(length, 0, "", ()))
    with on_card(bench, clip, CardDisk, nothing) as device:
        again = False
        try:
            device.boot()
        except BodycamError:
            again = True
            device.boot()
        tell(device)
    return STARTED_AGAIN if again else ENDED


def traced(
    bench: Bench, clip: list[EncodedFrame], paths: list[Path], trace: tuple[str, ...], case: Case | None
) -> Lived:
    log, said = bench.root / "strace", bench.root / "said"
    child = os.fork()
    if child == 0:
        status = DIED
        try:
            os.kill(os.getpid(), signal.SIGSTOP)
            status = live(bench, clip)
        except BaseException as failure:  # noqa: BLE001 - whatever ends the daemon is what is asked for
            said.write_text(f"{type(failure).__name__}: {failure}", "utf-8")
        finally:
            os._exit(status)
    os.waitpid(child, os.WUNTRACED)
    inject = [] if case is None else ["-e", f"inject={case.call}:error={case.error}:when={case.nth}"]
    only = [word for path in paths for word in ("-P", str(path))]
    command = [
        "strace",
        "-f",
        "-qq",
        "-o",
        str(log),
        "-p",
        str(child),
        "-e",
        f"trace={','.join(trace)}",
        *only,
        *inject,
    ]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as tracer:
        _until_traced(child)
        os.kill(child, signal.SIGCONT)
        _, status = os.waitpid(child, 0)
        tracer.wait()
    lines = log.read_text("utf-8", "replace")
    calls = Counter(re.findall(r"^\d+ +([a-z]+)\(", lines, re.MULTILINE))
    failed = next((line for line in lines.splitlines() if "(INJECTED)" in line), "")
    ended = said.read_text("utf-8") if said.exists() else ""
    return Lived(os.waitstatus_to_exitcode(status), calls, failed, ended)


def _until_traced(child: int) -> None:
    until = time.monotonic() + READY_S
    while re.search(r"^TracerPid:\t0$", Path(f"/proc/{child}/status").read_text("ascii"), re.MULTILINE):
        assert time.monotonic() < until, "strace does not attach"
        time.sleep(0.005)


def frames(bench: Bench) -> set[int]:
    """The numbers of all frames that a ledger names."""
    return {
        number
        for folder in recordings(bench)
        for line in ledger(bench, folder).lines
        if isinstance(line.record, Segments)
        for segment in line.record.segments
        if segment.video is not None
        for number in range(segment.video.first, segment.video.last + 1)
    }


def was_told(bench: Bench) -> bool:
    """Whether the journal has a fault, as a record or as what the machine was told and showed, or says that the device was not
    ready: for want of its reserve it is so for a second. This machine's own clock may have a fault besides: it says nothing of the card."""
    parts = {record.part for record in journal(bench) if isinstance(record, Fault)}
    inputs = [record.input for record in journal(bench) if isinstance(record, Step)]
    parts |= {given.part for given in inputs if isinstance(given, FaultChanged) and given.present}
    parts |= {"storage" for given in inputs if isinstance(given, Readiness) and not given.ready}
    return bool(parts - {"clock"})


def check(bench: Bench, lived: Lived, case: Case, expected: set[int]) -> Wrong:
    wrong: Wrong = []
    if not lived.failed:
        wrong.append(("strace made nothing fail", ""))
    if lived.status not in (ENDED, STARTED_AGAIN):
        wrong.append(("the daemon died", lived.said))
    verdict = verified(bench, read=True, jobs=1)
    if verdict.exit_status not in (0, 4):
        wrong.append((f"verify says {verdict.verdict}", shown(verdict)[:600]))
    missing = expected - frames(bench)
    if missing and case.error == "EIO":
        wrong.append(("frames are missing", f"{len(missing)} from {min(missing)}"))
    tells = case.where == "card" and READS not in lived.failed
    if lived.status == ENDED and tells and not was_told(bench):
        wrong.append(("nothing was told", lived.failed))
    return wrong + [("recorded without an activation (E1)", name) for name in not_activated(bench)]


def campaign(work: Path, share: float, seed: int, keep: Path | None) -> dict[str, Any]:
    clip, agency = make_clip(), Agency()
    home = work / "home"
    with in_memory(home) as folder:
        bench = make_story_bench(folder / "bench", agency)
        kept = named_in_full(bench)
        live(bench, clip)
        paths = paths_of(bench)
        expected = frames(bench)
    cases = []
    for where, trace in CALLS.items():
        with in_memory(home) as folder:
            lived = traced(bench_again(folder, kept), clip, paths[where], trace, None)
            assert lived.status == ENDED, lived.said
            assert not was_told(bench), "where nothing failed, nothing is told"
            cases += [Case(where, c, e, n + 1) for c in trace for e in ERRORS for n in range(lived.calls[c])]
    drawn = random.Random(seed).sample(cases, round(len(cases) * share))
    told = Campaign("failing-calls", seed, len(drawn), keep, every=25)
    done: Counter[str] = Counter()
    for case in drawn:
        name = f"{case.where} {case.call} {case.nth} {case.error}"
        with told.case(name), in_memory(home) as folder:
            bench = bench_again(folder, kept)
            lived = traced(bench, clip, paths[case.where], CALLS[case.where], case)
            told.found(name, check(bench, lived, case, expected), partial(keep_bench, bench=bench))
            done[f"{case.call}, {case.where}"] += 1
            told.counts[ENDS.get(lived.status, "died")] += 1
            told.counts["recordings verified"] += len(recordings(bench))
        told.one_done()
    print(", ".join(f"{call}: {count}" for call, count in done.items()))
    return {"cases": len(cases), "failed": dict(done), **told.sum_up()}


def keep_bench(folder: Path, bench: Bench) -> None:
    """What can show why: the bench with its card, what strace saw, and what the daemon said when it died."""
    shutil.copytree(bench.root, folder / "bench")


def named_in_full(bench: Bench) -> dict[Path, bytes]:
    """Its card is named in full, as strace wants it; all the bench's files, for the same bench again."""
    text = bench.config.read_text("utf-8").replace('"../card"', f'"{bench.card}"')
    bench.config.write_text(text, "utf-8")
    return {path: path.read_bytes() for path in bench.root.rglob("*") if path.is_file()}


def paths_of(bench: Bench) -> dict[str, list[Path]]:
    """Whose calls may fail: everything on the card, and the status file under both its names."""
    status = bench.status_file.with_suffix(".new")
    return {"card": [bench.card, *bench.card.rglob("*")], "status file": [status, bench.status_file]}


def bench_again(folder: Path, kept: dict[Path, bytes]) -> Bench:
    """The same bench, with nothing on its card."""
    for path, data in kept.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        path.chmod(0o600)
    bench = Bench(folder / "bench")
    bench.card.mkdir(exist_ok=True)
    return bench


def main() -> None:
    parser = options_of(__doc__)
    parser.add_argument("--share", type=float, required=True, help="of all cases, drawn by the seed; 1: all")
    options = parser.parse_args()
    answer(lambda work: campaign(work, options.share, options.seed, options.keep))


if __name__ == "__main__":
    main()

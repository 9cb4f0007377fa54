"""The power goes while the real daemon writes to a real ext4: `python -m tests.rigs.block_cuts`, inside the rig's namespaces.

A run: the daemon tells its story in virtual time, on the card as the device itself writes it; each request to the block device is
logged. Then, for each cut: what a device with a volatile write cache holds (`cut_log.Medium`), e2fsck, mount, and the checks; the
daemon starts again, recovers, records once more; and the checks again. What is wrong is counted by kind, and told.
"""

import argparse
import json
import os
import random
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from device.errors import BodycamError
from device.evidence import layout
from device.evidence.disk import CardDisk
from hw_sim.agency import Bench
from hw_sim.encoders import EncodedFrame
from hw_sim.virtual import VirtualDevice
from tests.benches import recordings, verified
from tests.rigs.block_rig import MIB, RigError, exported, in_memory, logged, make_image, mended, mounted
from tests.rigs.careless_disks import DISKS
from tests.rigs.cut_log import CutLog, Medium
from tests.rigs.noted_disk import Moment, NotedDisk, Notes
from tests.rigs.story import LOST_US, last_durable_us, make_clip, make_device, make_story_bench, not_activated, tell

CUTS_A_RUN = 50
READ_EVERY = 5
"""So many cuts apart another recording is made, and all is opened and decoded."""
ANOTHER = "another"
"""A file of somebody else's on the card, whose sync makes the file system's journal commit."""
NEXT_BOOT_US = 3_600_000_000


class Weather:
    """What else goes on while the daemon writes: the kernel writes back what nobody synced, and others sync."""

    def __init__(self, card: Path, odds: random.Random) -> None:
        self._card, self._odds = card, odds
        self._share = odds.choice((0.0, 0.1, 0.5))

    def __call__(self, operation: str, path: str) -> None:
        if self._odds.random() >= self._share:
            return
        if self._odds.random() < 0.3:
            with (self._card / ANOTHER).open("ab") as file:
                file.write(self._odds.randbytes(100))
                file.flush()
                os.fsync(file.fileno())
        for changed in self._card.rglob("*.*"):
            if changed.is_file():
                with changed.open("rb") as file:
                    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


class Told(msgspec.Struct, frozen=True):
    """A run that has been logged. `live`: how many requests there were when the daemon had ended; `files`: what was then on the
    card; `ended`: for each recording, how many requests there were at least before its last line was written."""

    bench: Bench
    image: Path
    log: CutLog
    notes: Notes
    live: int
    files: dict[str, bytes]
    ended: dict[str, int]


def read_files(card: Path) -> dict[str, bytes]:
    """All that is on the card, but the reserve and what is not ours."""
    paths = (path for path in card.rglob("*") if path.is_file())
    files = {str(path.relative_to(card)): path.read_bytes() for path in paths}
    return {name: data for name, data in files.items() if name not in (layout.RESERVE, ANOTHER)}


@contextmanager
def on_card(bench: Bench, clip: list[EncodedFrame], kind: type[CardDisk], notes: Notes) -> Iterator[VirtualDevice]:
    """A device on the card that is mounted; whatever becomes of it, nothing of the card is open afterwards."""
    disks: list[NotedDisk] = []

    def make_disk(root: Path) -> NotedDisk:
        disks.append(NotedDisk(kind(root), notes))
        return disks[-1]

    device = make_device(bench, clip, make_disk)
    try:
        yield device
    finally:
        for disk in disks:
            disk.close()


def tell_once(work: Path, kind: type[CardDisk], clip: list[EncodedFrame], odds: random.Random) -> Told:
    bench = make_story_bench(work / "bench")
    bench.card.mkdir(exist_ok=True)
    image = make_image(work / "card.img")
    log_nodes = logged(work / "log")
    log = CutLog(work / "log", image.stat().st_size)
    (work / "before.img").write_bytes(image.read_bytes())
    device: VirtualDevice

    def moment(length: int) -> Moment:
        if not hasattr(device, "daemon"):
            return Moment(length, device.clock.now_us(), "", ())
        names = tuple(device.daemon.recorder.open_names)
        live = device.daemon.control.state.phase.value == "recording"
        return Moment(length, device.clock.now_us(), names[-1] if live and names else "", names)

    notes = Notes(log.grow, moment, Weather(bench.card, odds))
    with exported(image, log_nodes) as shown, mounted(shown, bench.card):
        with on_card(bench, clip, kind, notes) as device:
            device.boot()
            tell(device)
        live = log.grow()
        files = read_files(bench.card)
        ended = {folder.name: _ended(folder.name, files, notes) for folder in recordings(bench)}
    log.grow()
    log.check_super()
    return Told(bench, work / "before.img", log, notes, live, files, ended)


def _ended(name: str, files: dict[str, bytes], notes: Notes) -> int:
    """How many requests there were when the write of the recording's last line began."""
    path = f"{layout.recording_folder(name)}/{layout.LEDGER}"
    before_last = files[path].rfind(b"\n", 0, -1) + 1
    return next(written.length for written in notes.written if written.path == path and written.size > before_last)


class Checks:
    """What is wrong on the card after a cut, as (kind, detail)."""

    def __init__(self, told: Told, length: int) -> None:
        self.told, self.length = told, length
        self.wrong: list[tuple[str, str]] = []
        self.superblock_torn = False
        self.moment = next((m for m in reversed(told.notes.moments) if m.length <= length), Moment(0, 0, "", ()))

    def say(self, kind: str, detail: str) -> None:
        self.wrong.append((kind, detail))

    def survived(self) -> dict[str, bytes]:
        """Before anything is started: what was promised is there (E4), and no more than the last two seconds are lost."""
        bench = self.told.bench
        files = read_files(bench.card)
        promised = {p.path: p.size for p in self.told.notes.promises if p.length <= self.length}
        for path, size in promised.items():
            if files.get(path, b"")[:size] != self.told.files[path][:size]:
                self.say("promised bytes lost", f"{path}: {size} bytes, {len(files.get(path, b''))} are there")
        lost_us = self._lost_us()
        if lost_us > LOST_US:
            self.say("seconds lost", f"{self.moment.recording}: {lost_us} µs")
        return files

    def _lost_us(self) -> int:
        """How much of what was being recorded no durable record names."""
        name, bench = self.moment.recording, self.told.bench
        if not name:
            return 0
        began_us = next(m.at_us for m in self.told.notes.moments if m.recording == name)
        folder = bench.card / layout.recording_folder(name)
        last_us = last_durable_us(bench, folder) if folder.is_dir() else None
        return self.moment.at_us - (began_us if last_us is None else last_us)

    def unchanged(self, before: dict[str, bytes]) -> None:
        """Nothing that survived was changed by the start that followed."""
        after = read_files(self.told.bench.card)
        for path, data in before.items():
            if after.get(path, b"")[: len(data)] != data:
                self.say("changed by the next start", path)

    def judged(self, *, recorded: bool) -> None:
        """What the reader says: never ALTERED; never intact of a recording that was cut; intact of one that had ended."""
        bench, told = self.told.bench, self.told
        verdict = verified(bench, read=recorded, jobs=1)
        by_name = {r.recording: r for r in verdict.recordings}
        if verdict.exit_status not in (0, 4):
            said = [finding.what for r in verdict.recordings for finding in r.findings if finding.exit_status == 1]
            self.say(f"verify says {verdict.verdict}", "; ".join([*said, *(f.what for f in verdict.findings)])[:300])
        for name, length in told.ended.items():
            says = by_name[name].verdict if name in by_name else "nothing"
            over = any(name in m.open_names for m in told.notes.moments if m.length <= self.length)
            if says == "intact" and self.length < length:
                self.say("a cut recording is called intact", name)
            if says != "intact" and over and self.length >= length and name not in self.moment.open_names:
                self.say("an ended recording is not intact", f"{name}: {says}")
        if recorded and verdict.recordings[-1].verdict != "intact":
            self.say("the next recording is not intact", verdict.recordings[-1].verdict)
        self.wrong += [("recorded without an activation (E1)", name) for name in not_activated(bench)]


def check_cut(told: Told, left: bytearray, length: int, clip: list[EncodedFrame], *, record: bool) -> Checks:
    checks = Checks(told, length)
    image = told.image.with_name("left.img")
    write_sparse(image, left)
    try:
        checks.superblock_torn = mended(image)
        with mounted(image, told.bench.card):
            before = checks.survived()
            start_again(told.bench, clip, record=record)
            checks.unchanged(before)
            checks.judged(recorded=record)
    except RigError as failure:
        checks.say("the file system is lost", str(failure))
    except (BodycamError, AssertionError) as failure:
        checks.say("the daemon does not start again", f"{type(failure).__name__}: {failure}")
    return checks


def start_again(bench: Bench, clip: list[EncodedFrame], *, record: bool) -> None:
    nothing = Notes(lambda: 0, lambda length: Moment(length, 0, "", ()))
    with on_card(bench, clip, CardDisk, nothing) as device:
        device.clock.wall_offset_us += NEXT_BOOT_US
        device.boots = 1
        device.boot()
        device.run(0.5)
        if record:
            device.run(3)
            device.record(1)
        device.stop()


def write_sparse(path: Path, data: bytearray) -> None:
    empty = bytes(MIB)
    with path.open("wb") as file:
        for at in range(0, len(data), MIB):
            piece = data[at : at + MIB]
            if piece == empty:
                file.seek(MIB, os.SEEK_CUR)
            else:
                file.write(piece)
        file.truncate(len(data))


def campaign(work: Path, kind: str, cuts: int, seed: int) -> dict[str, object]:
    clip = make_clip()
    wrong: Counter[str] = Counter()
    done, requests, flushes, runs, torn = 0, 0, 0, 0, 0
    while done < cuts:
        odds = random.Random(f"{seed} {runs}")
        with in_memory(work / f"run-{runs}") as folder:
            told = tell_once(folder, DISKS[kind], clip, odds)
            medium = Medium(told.image.read_bytes(), told.log)
            count = min(CUTS_A_RUN, cuts - done)
            for n, length in enumerate(sorted(odds.randint(1, max(1, told.live)) for _ in range(count))):
                checks = check_cut(told, medium.cut(length, odds), length, clip, record=n % READ_EVERY == 0)
                wrong.update({kind for kind, _ in checks.wrong})
                torn += checks.superblock_torn
                for what, detail in checks.wrong:
                    print(f"seed {seed}, run {runs}, cut {n} at {length}: {what}: {detail}", flush=True)
            told.log.close()
        done, runs = done + count, runs + 1
        requests, flushes = requests + told.live, flushes + len(told.log.flushes)
        print(f"{done} cuts in {runs} runs: {dict(wrong) or 'nothing wrong'}", flush=True)
    return {
        "cuts": done,
        "runs": runs,
        "requests": requests,
        "flushes": flushes,
        "superblocks torn": torn,
        "wrong": dict(wrong),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--disk", choices=DISKS, default="the device's own")
    parser.add_argument("--cuts", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        said = campaign(Path(work), options.disk, options.cuts, options.seed)
        print(json.dumps(said))


if __name__ == "__main__":
    main()

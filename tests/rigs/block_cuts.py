"""The power goes while the real daemon writes to a real ext4: `python -m tests.rigs.block_cuts`, inside the rig's namespaces.

A run: the daemon tells its story in virtual time, on the card as the device itself writes it; each request to the block device is
logged. Then, for each cut: what a device with a volatile write cache holds (`cut_log.Medium`), e2fsck, mount, and the checks; the
daemon starts again, recovers, records once more; and the checks again. What is wrong is counted by kind, and told.
"""

import os
import random
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from device.errors import BodycamError
from device.evidence import layout
from device.evidence.disk import CardDisk
from hw_sim.agency import Bench
from hw_sim.encoders import EncodedFrame
from hw_sim.virtual import VirtualDevice
from tests.benches import CAMERA, recordings, verified
from tests.rigs.block_rig import MIB, RigError, exported, in_memory, logged, make_image, mended, mounted
from tests.rigs.campaign import Campaign, answer, options_of
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
    log_path: Path
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
    return Told(bench, work / "before.img", log, work / "log", notes, live, files, ended)


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
        self.happened = {"superblocks torn": 0, "mounts failed": 0}
        self.verified = 0
        self.lost_us: int | None = None
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
        self.lost_us = self._lost_us()
        if self.lost_us > LOST_US:
            self.say("seconds lost", f"{self.moment.recording}: {self.lost_us} µs")
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
        self.verified = len(verdict.recordings)
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
        checks.happened["superblocks torn"] += mended(image)
        with mounted(image, told.bench.card):
            before = checks.survived()
            start_again(told.bench, clip, record=record)
            checks.unchanged(before)
            checks.judged(recorded=record)
    except RigError as failure:
        checks.happened["mounts failed"] += 1
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


def campaign(work: Path, kind: str, cuts: int, seed: int, keep: Path | None) -> dict[str, Any]:
    clip = make_clip()
    told = Campaign("block-cuts", seed, cuts, keep, every=100)
    lost_us: list[int] = []
    while told.done < cuts:
        with told.case(f"run {told.counts['runs']}"), in_memory(work / f"run-{told.counts['runs']}") as folder:
            lost_us += run_once(folder, DISKS[kind], clip, min(CUTS_A_RUN, cuts - told.done), told)
        told.counts["runs"] += 1
    pictures = sorted(round(max(0, lost) * CAMERA["rate_hz"] / 1_000_000) for lost in lost_us)
    told.counts["cuts while recording"] = len(pictures)
    told.counts["pictures lost at most"] = max(pictures, default=0)
    told.counts["pictures lost in the median"] = pictures[len(pictures) // 2] if pictures else 0
    return {"cuts": told.done, **told.sum_up()}


def run_once(folder: Path, kind: type[CardDisk], clip: list[EncodedFrame], cuts: int, campaign: Campaign) -> list[int]:
    """A story, and so many cuts of it. For each that came while a recording was live: how many µs of it no durable record named."""
    run, lost_us = campaign.counts["runs"], []
    odds = random.Random(f"{campaign.seed} {run}")
    told = tell_once(folder, kind, clip, odds)
    campaign.counts.update({"requests": told.live, "flushes": len(told.log.flushes)})
    with closing(told.log):
        medium = Medium(told.image.read_bytes(), told.log)
        for n, length in enumerate(sorted(odds.randint(1, max(1, told.live)) for _ in range(cuts))):
            left, case = medium.cut(length, odds), f"run {run} cut {n} at {length}"
            with campaign.case(case):
                checks = check_cut(told, left, length, clip, record=n % READ_EVERY == 0)
                campaign.found(case, checks.wrong, partial(keep_cut, told=told, left=left, length=length))
                campaign.counts.update({"recordings verified": checks.verified, **checks.happened})
                if checks.moment.recording and checks.lost_us is not None:
                    lost_us.append(checks.lost_us)
            campaign.one_done()
    return lost_us


def keep_cut(folder: Path, told: Told, left: bytearray, length: int) -> None:
    """What can show why: the image before the story and as the cut left it, the log up to the cut, the notes, the bench."""
    write_sparse(folder / "cut.img", left)
    write_sparse(folder / "before.img", bytearray(told.image.read_bytes()))
    last = told.log.entries[length - 1]
    with told.log_path.open("rb") as log:
        (folder / "log").write_bytes(log.read(last.at + len(told.log.data(last))))
    (folder / "notes.json").write_bytes(
        msgspec.json.encode((told.notes.moments, told.notes.promises, told.notes.written))
    )
    shutil.copytree(told.bench.root, folder / "bench", ignore=shutil.ignore_patterns("card"))


def main() -> None:
    parser = options_of(__doc__)
    parser.add_argument("--disk", choices=DISKS, default="the device's own")
    parser.add_argument("--cuts", type=int, required=True)
    options = parser.parse_args()
    answer(lambda work: campaign(work, options.disk, options.cuts, options.seed, options.keep))


if __name__ == "__main__":
    main()

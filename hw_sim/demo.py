"""`bodycam-sim demo`: about a minute of the real daemon on simulated hardware, then proof of what it recorded.

Three recordings: one stopped by the officer, one cut by killing the power, one after the recovery. The daemon is a
process of its own; killing it is the power cut, because the twin's disk holds what was not synced in that process.
"""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

import av
import msgspec
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from device.clock import BootClock, Latch
from device.errors import BodycamError, EvidenceError, UsageError
from device.evidence import layout
from device.evidence.audit import audit
from device.evidence.disclosure import disclose
from device.evidence.identity import load_anchors, load_certificate, p256_key
from device.evidence.opening import Identity, check_plaintext
from device.evidence.records import Gap, RecordingOpened, Segment
from device.evidence.recovery import read_ledger
from device.evidence.unsealing import ContextIdentity
from device.evidence.verdicts import EXIT_EXTENT, CardVerdict, Finding, RecordingVerdict
from device.evidence.verify import Opener, Progressing, verify
from device.export_asked import policy_in_force, utc_text
from device.export_writing import Exporter, access_deed, write_export
from device.service.status import Status, read_status
from hw_sim import pattern
from hw_sim.agency import Agency, Bench, lay_out_bench
from hw_sim.hardware import Behaviour
from hw_sim.scenes import VideoScene

DEVICE = "BC-DEMO-1"
CAMERA = {"width": 1280, "height": 720, "rate_hz": 30, "bitrate_bps": 4_000_000}
RING = {"cap_mib": 24}
PRE_EVENT_S = 15
POST_EVENT_S = 5
LOOK_S = 0.1
START_LIMIT_S = 20
STOP_LIMIT_S = 20


class Exported(msgspec.Struct, frozen=True):
    """One recording's MP4. `missing`: how many pictures it lacks: numbers that are not among those read back from it, and
    after its last picture, where no number can tell, what the ledger's last gaps say."""

    file: Path
    missing: int


def run_demo(root: Path, video: Path | None, behaviour: Behaviour) -> int:
    """Run it in `root`, which must be new or empty. 0 when everything came out as it must."""
    console = Console()
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise UsageError(f"--out {root}: not an empty folder; name a new one, or remove it")
    if video is not None:
        VideoScene(video, CAMERA["width"], CAMERA["height"], CAMERA["rate_hz"])
    policy = files("hw_sim").joinpath("demo-policy.toml").read_bytes()
    try:
        bench = lay_out_bench(root, Agency(), DEVICE, policy, {"camera": CAMERA, "ring": RING})
    except OSError as failure:
        raise UsageError(f"--out {root}: {failure.strerror}; name a folder that can be made") from failure
    console.print(f"[bold]The daemon on simulated hardware[/], {CAMERA['width']}x{CAMERA['height']} at "
                  f"{CAMERA['rate_hz']} Hz, {PRE_EVENT_S} s before the press, {POST_EVENT_S} s after the stop")  # fmt: skip
    with Progress(
        TextColumn("{task.description:<44}"), BarColumn(30), TextColumn("{task.fields[said]}"), console=console
    ) as progress:
        _first_boot(Stage(bench, video, behaviour, progress))
        _second_boot(Stage(bench, video, behaviour, progress))
    return _show(console, bench)


class Stage:
    """One run of the daemon, and what the demonstration does to it."""

    def __init__(self, bench: Bench, video: Path | None, behaviour: Behaviour, progress: Progress) -> None:
        self._bench = bench
        self._progress = progress
        self._clock = BootClock()
        self._never = Latch()
        command = [sys.executable, "-m", "hw_sim.cli", "daemon", "--config", str(bench.config)]
        command += ["--behaviour", behaviour] + (["--video", str(video.resolve())] if video is not None else [])
        bench.status_file.unlink(missing_ok=True)
        with (bench.root / "daemon.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=log, stdout=log)

    def play(self, line: str) -> None:
        assert self.process.stdin is not None, "the daemon's lines are a pipe"
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def until(self, what: str, done: Callable[[Status], bool], limit_s: float, full_s: float = 0.0) -> None:
        """Show `what` with a bar until the daemon's status says that it is done."""
        task = self._progress.add_task(what, total=full_s or limit_s, said="")
        begun_us = self._clock.now_us()
        while True:
            status = self._status()
            passed_s = (self._clock.now_us() - begun_us) / 1e6
            if status is not None:
                said = f"{status.state}, {status.held_us / 1e6:4.1f} s held"
                self._progress.update(task, completed=min(passed_s, full_s or limit_s), said=said)
                if done(status):
                    break
            if self.process.poll() is not None or passed_s > limit_s:
                raise BodycamError(
                    f"{what}: the daemon did not get there; this machine may be too busy for real time: remove "
                    f"{self._bench.root} and try again when it is quiet, or see {self._bench.root / 'daemon.log'}"
                )
            self._never.wait(LOOK_S)
        self._progress.update(task, completed=full_s or limit_s)

    def during(self, what: str, length_s: float) -> None:
        begun_us = self._clock.now_us()
        self.until(
            what, lambda _: self._clock.now_us() - begun_us >= length_s * 1e6, length_s + START_LIMIT_S, length_s
        )

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(STOP_LIMIT_S)
        if status != 0:
            raise BodycamError(f"the daemon ended with {status}; see {self._bench.root / 'daemon.log'}")

    def cut_the_power(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=STOP_LIMIT_S)

    def _status(self) -> Status | None:
        try:
            return read_status(self._bench.status_file)
        except UsageError:
            return None


def _in(*states: str) -> Callable[[Status], bool]:
    return lambda status: status.state in states


def _stop_it(stage: Stage) -> None:
    stage.play("hold record 3200")
    stage.until("hold: stop asked", _in("stop-asked"), START_LIMIT_S, 3.2)
    stage.during("let go", 0.5)
    stage.play("press record")
    stage.until("one press: confirmed", _in("post-event"), START_LIMIT_S, 0.6)
    stage.until("post-event", _in("idle"), START_LIMIT_S, POST_EVENT_S)


def _first_boot(stage: Stage) -> None:
    try:
        full_us = PRE_EVENT_S * 1_000_000
        stage.until("the pre-event window fills", lambda s: s.held_us >= full_us, 3 * PRE_EVENT_S, PRE_EVENT_S)
        stage.play("double record")
        stage.until("double press: record", lambda s: s.recording != "", START_LIMIT_S, 1)
        stage.during("recording", 4)
        stage.play("press function")
        stage.during("a marker", 2)
        _stop_it(stage)
        stage.during("idle", 2)
        stage.play("double record")
        stage.until("double press: a second recording", lambda s: s.recording != "", START_LIMIT_S, 1)
        stage.during("recording", 5.4)
    finally:
        stage.cut_the_power()


def _second_boot(stage: Stage) -> None:
    try:
        stage.until("POWER CUT; the daemon starts again", lambda s: s.held_us > 0, START_LIMIT_S, 1)
        stage.during("recovering, buffering", 4)
        stage.play("double record")
        stage.until("double press: a third recording", lambda s: s.recording != "", START_LIMIT_S, 1)
        stage.during("recording", 3)
        _stop_it(stage)
        stage.during("idle", 1)
        stage.stop()
    finally:
        stage.cut_the_power()


def _show(console: Console, bench: Bench) -> int:
    """Verify, export, and print the table."""
    identity = Identity(bench.footage_identity)
    known: list[str] = []

    def keep(
        folder: Path, opened: RecordingOpened, segments: Iterable[Segment], progress: Progressing
    ) -> list[Finding]:
        known.append(folder.name)
        return check_plaintext(folder, opened, segments, identity, progress)

    with console.status("verifying and exporting"):
        verdict = verify(bench.card, load_anchors(bench.trust), opener=Opener(keep))
        audited = audit(bench.card, load_anchors(bench.trust), (), ContextIdentity(bench.context_identity))
        (bench.root / "export").mkdir()
        exported = {name: _export(bench, name, identity) for name in known}
    console.print(_table(verdict, exported))
    for finding in (*verdict.findings, *(f for r in verdict.recordings for f in r.findings)):
        console.print(f"  {finding.place}: {finding.what}", style="dim", highlight=False)
    bodycam = Path(sys.executable).with_name("bodycam")
    for what, where in (
        ("its policy", f"audited: {audited.steps_conforming} of {audited.steps} steps that decided something conform"),
        ("the card", bench.card),
        ("the videos", f"{bench.root / 'export'} (sound begins at the press: the policy keeps none from before)"),
        ("verify it", f"{bodycam} verify {bench.card} --trust {bench.trust}"),
    ):
        console.print(f"{what:<12}{where}", highlight=False, soft_wrap=True)
    good = [r.answers.extent for r in verdict.recordings] == ["closed", "power-loss", "closed"]
    altered = any(r.exit_status == 1 for r in verdict.recordings)
    whole = all(e.missing == sum(r.missing.values()) for e, r in _pairs(verdict, exported))
    if good and whole and not altered and audited.exit_status == EXIT_EXTENT:
        console.print(
            "[green]as it must be[/]: two recordings intact, one ended by the power cut, every frame accounted for"
        )
        return 0
    console.print("[bold red]NOT as it must be[/]")
    return 1


def _export(bench: Bench, name: str, identity: Identity) -> Exported:
    """The whole recording, with its proof and an access record, as the agency's custodian would."""
    file = bench.root / "export" / f"{name}.mp4"
    disclosure = disclose(bench.card / layout.recording_folder(name), load_anchors(bench.trust), lambda _: None)
    exporter = Exporter(bench.export_key, bench.export_certificate)
    filed = utc_text(datetime.now(UTC))
    deed = access_deed(disclosure, policy_in_force(disclosure), exporter, "whoever runs this", "a demonstration", filed)
    write_export(disclosure, identity, exporter, deed, file, lambda _: None)
    numbers = frame_numbers(file)
    within = numbers[-1] - numbers[0] + 1 - len(set(numbers))
    return Exported(file, within + _told_after(bench, name, disclosure.segments))


def _told_after(bench: Bench, name: str, segments: list[Segment]) -> int:
    """Pictures that the ledger misses after the last one there is: a machine that was busy as the recording ended."""
    key = p256_key(load_certificate((bench.root / "device" / "device.der").read_bytes()))
    ledger = read_ledger((bench.card / layout.recording_folder(name) / layout.LEDGER).read_bytes(), name, key)
    last_us = max(segment.video.last_us for segment in segments if segment.video is not None)
    gaps = (line.record for line in ledger.lines if isinstance(line.record, Gap))
    return sum(gap.frames for gap in gaps if gap.from_us >= last_us)


def _pairs(verdict: CardVerdict, exported: dict[str, Exported]) -> list[tuple[Exported, RecordingVerdict]]:
    return [(exported[r.recording], r) for r in verdict.recordings if r.recording in exported]


def frame_numbers(file: Path) -> list[int]:
    """The number that each picture carries, read back from the decoded video; `EvidenceError` where one can't be."""
    with av.open(str(file)) as container:
        size = container.streams.video[0].codec_context
        pictures = (frame.to_ndarray(format="gray") for frame in container.decode(video=0))
        numbers = [pattern.read(picture[: size.height, : size.width].astype(np.uint8)) for picture in pictures]
    read = [number for number in numbers if number is not None]
    if len(read) != len(numbers):
        raise EvidenceError(f"{file.name}: the number of {len(numbers) - len(read)} pictures can't be read back")
    return read


def _table(verdict: CardVerdict, exported: dict[str, Exported]) -> Table:
    table = Table("recording", "trigger", "pre-event\nasked/had", "seconds", "frames", "segments", "verdict", "file")
    for recording in verdict.recordings:
        asked, had = recording.pre_event_asked_us / 1e6, recording.pre_event_had_us / 1e6
        written = exported.get(recording.recording)
        accounted = sum(recording.missing.values())
        missing = f"{accounted} in signed gaps" if accounted else "none missing"
        unexplained = written is None or written.missing != accounted
        frames = f"{recording.frames}, {'SOME MISSING' if unexplained else missing}"
        table.add_row(
            recording.recording[:6],
            recording.trigger,
            f"{asked:.0f} / {had:.1f} s",
            f"{recording.seconds:.1f}",
            frames,
            f"{recording.verified_segments}/{recording.segments}",
            recording.verdict,
            written.file.name[:6] + "….mp4" if written else "none",
        )
    return table

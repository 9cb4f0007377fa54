"""How a row of docs/faults.md is played: a fault of the twin's, and all that the device says and keeps of it.

A row's story: three seconds after the start a recording begins, two seconds later the part breaks, `broken_s` after that it
is mended, and `after_s` later the recording is stopped as an officer stops it. Virtual time, small pictures.
"""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import msgspec

from device.control import Control
from device.errors import HardwareFailed
from device.evidence.records import Gap, Marker, RecordingClosed, SoundGap, Step
from device.policy.inputs import ClockStepped, FaultChanged, LevelChanged, Readiness
from device.service.status import read_status
from device.tables import Camera
from hw_sim.agency import Agency, Bench
from hw_sim.camera import PreEncodedCamera
from hw_sim.clock import VirtualClock
from hw_sim.encoders import EncodedFrame, encode_clip
from hw_sim.lines import play
from hw_sim.scenes import DrawnScene, FlatScene
from hw_sim.virtual import VirtualDevice
from tests.benches import export, journal, ledger, make_bench, recordings, verified
from tests.fault_witness import WITNESSES

CAMERA = {"width": 160, "height": 90, "rate_hz": 10, "bitrate_bps": 150_000}
_LENS = ("stuck", "garbage", "wrong")
_AFTER_THE_PRESS = ("recording", "notice-prompt")
_BEFORE_THE_END = ("stop-asked", "post-event", "stopped")


class Seen(msgspec.Struct, frozen=True):
    """`journal`: faults, levels, readiness and steps, in order; `cues`: those between the start of the recording and its stop;
    `status`: the faults that the status file names before it is mended; `over`: how many seconds after that the last fault
    is over ("" for none, "no" for one that stays); `missing`: the causes of what the ledgers say is missing; `markers`: in
    them; `ended`: whether the daemon ended; `recordings`: how each was ended, with its verdict; `exit`: `verify`'s;
    `facts`: what the row's witness says (`tests.fault_witness`)."""

    journal: tuple[str, ...] = ()
    cues: tuple[str, ...] = ()
    status: tuple[str, ...] = ()
    over: str = ""
    missing: tuple[str, ...] = ()
    markers: int = 0
    ended: bool = False
    recordings: tuple[str, ...] = ("stopped: intact",)
    exit: int = 0
    facts: tuple[str, ...] = ()


class Row(msgspec.Struct, frozen=True):
    """`fault`: as it is said. `does`: what the device does, for people. `lines`: what else is played, so many seconds after
    the part broke; `before_s`: how long the recording had gone on then; `witness`: who says what the device can't."""

    fault: str
    does: str
    seen: Seen
    broken_s: float = 8
    after_s: float = 5
    before_s: float = 2
    lines: tuple[tuple[float, str], ...] = ()
    witness: str = ""

    @property
    def part(self) -> str:
        return self.fault.split()[0]

    @property
    def word(self) -> str:
        return self.fault.split()[1]


@cache
def _clip() -> tuple[EncodedFrame, ...]:
    scene = FlatScene(CAMERA["width"], CAMERA["height"])
    return tuple(encode_clip(1, **CAMERA, scene=scene))


def _bench(row: Row, folder: Path, agency: Agency) -> Bench:
    bench = make_bench(
        folder, agency=agency, audio=row.part == "microphone", pre_event_s=2, post_event_s=1, camera=CAMERA
    )
    if row.part == "battery":
        text = bench.config.read_text("utf-8").replace("battery_low = 20\nbattery_critical = 21\n", "")
        bench.config.write_text(f"{text}\n[health]\nfuel_gauge = true\n", "utf-8")
    return bench


def _device(row: Row, bench: Bench) -> VirtualDevice:
    if row.part == "camera" and row.word in _LENS:
        return VirtualDevice(bench, scene=lambda its: DrawnScene(its.width, its.height, its.rate_hz))

    def camera(clock: VirtualClock, settings: Camera) -> PreEncodedCamera:
        return PreEncodedCamera(clock, clip=_clip(), rate_hz=settings.rate_hz)

    return VirtualDevice(bench, make_camera=camera)


class Story:
    """One row, played on a device of its own in a new folder."""

    def __init__(self, row: Row, folder: Path, agency: Agency) -> None:
        self.row = row
        self.bench = _bench(row, folder, agency)
        self.device = _device(row, self.bench)
        self.cues: list[str] = []
        self.status: tuple[str, ...] = ()
        self.mended_us = 0
        self.ended = False
        self.said: list[tuple[int, str]] = []
        self.witness = WITNESSES[row.witness](self)

    def play(self) -> Seen:
        try:
            self._play()
        except HardwareFailed:
            self.ended = True
            self._after_the_end()
        return self._seen()

    def _play(self) -> None:
        self.device.boot([(self.witness, self.witness.wake)])
        self._listen(self.device.daemon.control)
        self.device.run(3)
        self.device.double()
        self.device.run(self.row.before_s)
        self._say(f"fault {self.row.fault}")
        self.witness.begins()
        passed_s = 0.0
        for at_s, line in self.row.lines:
            self.device.run(at_s - passed_s)
            passed_s = at_s
            self._say(line)
        self.device.run(self.row.broken_s - passed_s)
        self.status = read_status(self.bench.status_file).faults
        self.mended_us = self.device.clock.now_us()
        self.witness.ends()
        self._say(f"fault {self.row.part} clear")
        self.device.run(self.row.after_s)
        self.device.confirmed_stop()
        self.device.until_idle()
        self.device.stop()

    def _after_the_end(self) -> None:
        """As systemd would: what is on the card is taken up by a daemon started anew."""
        self.status = self.device.daemon.control.state.faults
        self.device.cut()
        self.device.boot()
        self.device.run(3)
        self.device.stop()

    def _listen(self, control: Control) -> None:
        board = control._board
        cue = board.cue

        def heard(name: str, now_us: int, *, silent: bool) -> None:
            self.cues.append(name)
            cue(name, now_us, silent=silent)

        board.cue = heard  # type: ignore[method-assign]

    def _say(self, line: str) -> None:
        self.said.append((self.device.clock.now_us(), line))
        said = play(self.device.hardware, line)
        assert said == "", f"{line}: {said}"

    def _seen(self) -> Seen:
        verdict = verified(self.bench, read=True)
        told = list(self.told())
        return Seen(
            journal=tuple(word for _, word in told),
            cues=_between(self.cues),
            status=self.status,
            over=self._over(told),
            missing=tuple(sorted(set(self._missing()))),
            markers=sum(isinstance(record, Marker) for record in self.records()),
            ended=self.ended,
            recordings=tuple(
                f"{self._how(folder)}: {one.verdict}"
                for folder, one in zip(recordings(self.bench), verdict.recordings, strict=True)
            ),
            exit=verdict.exit_status,
            facts=self.witness.facts(),
        )

    def exported(self) -> Path:
        """The first recording's film, opened with the agency's key."""
        return export(self.bench, recordings(self.bench)[0], self.bench.root / "film.mp4")

    def told(self) -> Iterator[tuple[int, str]]:
        for record in journal(self.bench):
            came = record.input if isinstance(record, Step) else None
            if isinstance(came, FaultChanged):
                yield came.at_us, came.part if came.present else f"{came.part} over"
            elif isinstance(came, LevelChanged):
                yield came.at_us, f"{came.part} {came.level}"
            elif isinstance(came, Readiness):
                yield came.at_us, "ready" if came.ready else "not ready"
            elif isinstance(came, ClockStepped):
                yield came.at_us, f"clock stepped {came.step_us / 1e6:+.1f} s"

    def _over(self, told: list[tuple[int, str]]) -> str:
        faults: dict[str, int] = {}
        over_us = 0
        for at_us, word in told:
            part = word.removesuffix(" over")
            if word.endswith(" over"):
                faults.pop(part, None)
                over_us = at_us
            elif " " not in word and word != "ready":
                faults[part] = at_us
        if faults and not self.ended:
            return "no"
        return f"{max(0, over_us - self.mended_us) / 1e6:.1f} s" if over_us and not self.ended else ""

    def records(self) -> Iterator[object]:
        for folder in recordings(self.bench):
            for line in ledger(self.bench, folder).lines:
                yield line.record

    def _missing(self) -> Iterator[str]:
        for record in self.records():
            if isinstance(record, Gap):
                yield record.cause
            elif isinstance(record, SoundGap):
                yield f"sound: {record.cause}"

    def _how(self, folder: Path) -> str:
        lines = ledger(self.bench, folder).lines
        last = lines[-1].record if lines else None
        return last.how if isinstance(last, RecordingClosed) else "not closed"


def _between(cues: list[str]) -> tuple[str, ...]:
    """Without those of the start and of the stop."""
    told = cues[len(_AFTER_THE_PRESS) :] if tuple(cues[: len(_AFTER_THE_PRESS)]) == _AFTER_THE_PRESS else cues
    ends = len(_BEFORE_THE_END)
    return tuple(told[:-ends] if tuple(told[-ends:]) == _BEFORE_THE_END else told)

"""Where a scenario is played: its bench laid out, the device on it, and the hand that presses. What a line says that is none
of the scenario's own verbs is the bench's, and `play` carries it out."""

import json
import random
import re
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from device.clock import Clock
from device.config import read_configuration
from device.errors import UsageError
from device.policy.model import parse_policy
from device.tables import Camera
from hw_sim.agency import Agency, Bench, lay_out_bench
from hw_sim.bench import scene_maker, signer_maker
from hw_sim.camera import PreEncodedCamera
from hw_sim.clock import VirtualClock
from hw_sim.disk import TwinDisk
from hw_sim.encoders import EncodedFrame, encode_clip
from hw_sim.faults import why_none
from hw_sim.hardware import AnyCamera, TwinHardware
from hw_sim.lines import VERBS as BENCH_VERBS
from hw_sim.lines import play
from hw_sim.policies import profile
from hw_sim.real import RealDevice
from hw_sim.scenario import BenchSettings, Scenario, amount_us
from hw_sim.scenario_outside import OFFICER, Outside
from hw_sim.scenes import FlatScene, Scene
from hw_sim.senses import Senses
from hw_sim.virtual import VirtualDevice

DEVICE = "BC-STORY-1"
MIB = 1 << 20
VERBS = (
    "cut power",
    "stop",
    "boot",
    "assign OFFICER ROLE",
    "assign nobody",
    "policy install PROFILE [KEY=VALUE …] (KEY: of the policy; VALUE: as in JSON)",
    "clock step +1 h",
    "clock unset",
    "clock chip",
    "clock set",
    "room MIB (so much is left on the card)",
    "receipts (the agency's, for all that is over)",
    "flip bit (of the newest segment)",
)
"""What a scenario may do beside the bench's own lines."""
_SHAPES = re.compile(
    r"cut power|stop|boot|assign nobody|assign [a-z0-9][a-z0-9-]{0,62} [a-z0-9][a-z0-9-]{0,62}"
    r"|policy install [a-z0-9-]+( [^ =]+=[^ ]+)*|clock step [+-][0-9.]+ (ms|s|min|h)|clock (set|unset|chip)"
    r"|room [0-9]{1,7}|receipts|flip bit"
)
_PRESS_MS, _DOUBLE_MS = (60, 250), (60, 160)
_BETWEEN_MS = (200, 400)
"""Between the leading edges of a double press."""
_HELD_ON_MS = 150
"""So much longer than asked for a hand may hold."""


class Stage:
    """One scenario's bench and device. `seed` draws how late the hand is and how long it presses, the bounce of contacts,
    where in a second the camera begins, the microphone's drift, and what a power cut leaves of what was not synced."""

    def __init__(self, scenario: Scenario, root: Path, seed: int, *, real: bool) -> None:
        self.scenario = scenario
        self.settings = settings = scenario.document.bench
        self._random = random.Random(f"{scenario.name} {seed}")
        agency = Agency()
        policy = profile(settings.policy, settings.change)
        self.bench = lay_out_bench(root, agency, DEVICE, policy, _tables(settings))
        self._outside = Outside(agency, self.bench, DEVICE)
        if settings.role:
            self._outside.assign(OFFICER, settings.role)
        _set_door(self.bench, settings.door, policy)
        self.on = False
        self.sockets = 0
        self._sockets_before = _sockets()
        self.senses = Senses()
        self.device = self._make_device(real)
        self.clock = self.senses.clock = self.device.clock
        if settings.clock != "set":
            self.clock.synchronised, self.clock.chip = False, settings.clock == "chip"

    def _make_device(self, real: bool) -> VirtualDevice | RealDevice:
        settings, draw = self.settings, self._random
        drift_ppm, bounce = draw.randint(-40, 40), draw.randrange(1 << 30)
        begins_us = draw.randrange(1_000_000)

        def make_disk(root: Path) -> TwinDisk:
            return TwinDisk(root, settings.card_mib * MIB)

        if real:
            return RealDevice(
                self.bench,
                scene=_scene(settings),
                make_camera=_camera_maker(settings),
                make_disk=make_disk,
                make_signer=signer_maker(settings.signer_ms),
                drift_ppm=drift_ppm,
                seed=bounce,
                pin_class=self.senses.pin_class,
            )
        device = VirtualDevice(
            self.bench,
            scene=_scene(settings),
            make_camera=_camera_maker(settings),
            make_disk=make_disk,
            signer_ms=settings.signer_ms,
            drift_ppm=drift_ppm,
            seed=bounce,
            pin_class=self.senses.pin_class,
        )
        device.clock.move_to(device.clock.now_us() + begins_us)
        return device

    def check_lines(self) -> None:
        """`UsageError` for a line that there is not: each is tried on the parts of a bench that is never switched on."""
        tables = read_configuration(self.bench.config).tables
        hardware = TwinHardware(VirtualClock("never"), wiring=tables.wiring)
        hardware.disk(self.bench.card)
        hardware.camera(tables.camera, None)
        if self.settings.microphone:
            hardware.microphone(tables.microphone)
        for n, step in enumerate(self.scenario.document.step):
            for line in step.lines:
                said = _why_not(hardware, line)
                if said:
                    raise UsageError(f"{self.scenario.path}: step[{n}].do is {line!r}: {said}")

    # -- power and time ---------------------------------------------------------------------------------------------

    def boot(self) -> None:
        self.senses.look_at(read_configuration(self.bench.config).tables.wiring)
        self.device.boot()
        self.on = True

    def stop(self) -> None:
        self.device.stop()
        self._off()

    def _cut(self) -> None:
        self.device.cut(self._random)
        self._off()

    def _off(self) -> None:
        self.on = False
        self.senses.go_dark()

    def wait_until(self, at_us: int) -> None:
        """Until a boot time, in µs. Time passes for a device that is off, too."""
        left_us = at_us - self.clock.now_us()
        if left_us <= 0:
            return
        if self.on or isinstance(self.device, RealDevice):
            self.device.run(left_us / 1e6)
        else:
            self.device.clock.move_to(at_us)

    def count_sockets(self) -> None:
        """How many are open that were not when this stage was made."""
        self.sockets = len(_sockets() - self._sockets_before)

    # -- lines ------------------------------------------------------------------------------------------------------

    def late_us(self) -> int:
        """How much later than written the hand is this time."""
        return self._random.randint(0, self.settings.jitter_ms * 1000)

    def do(self, line: str) -> None:
        """Carry out one line; `UsageError` when it can't be done now."""
        said = self._verb(line.split()) if _SHAPES.fullmatch(line) else self._hand(line.split(), line)
        if said:
            raise UsageError(f"{line!r}: {said}")

    def _verb(self, words: list[str]) -> str:  # noqa: C901 - one branch a verb
        match words:
            case ["cut", "power"] if self.on:
                self._cut()
            case ["stop"] if self.on:
                self.stop()
            case ["boot"] if not self.on:
                self.boot()
            case ["cut", "power"] | ["stop"] | ["boot"]:
                return f"the device is {'on' if self.on else 'off'} then"
            case ["assign", "nobody"]:
                self._outside.take_back()
            case ["assign", officer, role]:
                self._outside.assign(officer, role)
            case ["policy", "install", name, *changes]:
                self._outside.install_policy(name, changes)
            case ["clock", "step", amount, unit]:
                step_us = amount_us(f"{amount[1:]} {unit}") or 0
                self.clock.wall_offset_us += step_us if amount[0] == "+" else -step_us
            case ["clock", how]:
                self.clock.synchronised, self.clock.chip = how == "set", how == "chip"
            case ["room", mib]:
                disk = self.device.hardware.the_disk
                assert isinstance(disk, TwinDisk), "the stage makes no other"
                disk.full_at(disk.capacity_bytes - disk.free_bytes() + int(mib) * MIB)
            case ["receipts"]:
                self._outside.hand_in_receipts(self.clock.wall().utc_us)
            case _:
                self._outside.flip_bit(self._random)
        return ""

    def _hand(self, words: list[str], line: str) -> str:
        """A line of the bench's, as a person would do it: no two presses are of one length."""
        match words:
            case ["double", button]:
                self._play(f"press {button} {self._random.randint(*_DOUBLE_MS)}")
                self.wait_until(self.clock.now_us() + self._random.randint(*_BETWEEN_MS) * 1000)
                return self._play(f"press {button} {self._random.randint(*_DOUBLE_MS)}")
            case ["press", button]:
                return self._play(f"press {button} {self._random.randint(*_PRESS_MS)}")
            case ["hold", button, length]:
                return self._play(f"hold {button} {int(length) + self._random.randint(0, _HELD_ON_MS)}")
            case _:
                return self._play(line)

    def _play(self, line: str) -> str:
        return play(self.device.hardware, line)


def _set_door(bench: Bench, category: str, policy: bytes) -> None:
    categories = parse_policy(policy).categories
    if category not in categories:
        raise UsageError(f"door is {category!r}: must be a category of the policy's: {', '.join(categories)}")
    text = bench.config.read_text("utf-8")
    named = 'category = "officer-discretion"'
    assert text.count(named) == 1, "the bench's door"
    bench.config.write_text(text.replace(named, f"category = {json.dumps(category)}"), "utf-8")


def _sockets() -> set[str]:
    """This process's open sockets, of any kind."""
    links = []
    for link in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the descriptor of this very listing
            links.append(str(link.readlink()))
    return {link for link in links if link.startswith("socket:")}


def _why_not(hardware: TwinHardware, line: str) -> str:
    """Why there is no such line; "" when there is. A fault is only looked up: some are of files, or of this process."""
    words = line.split()
    if _SHAPES.fullmatch(line):
        return ""
    own = [usage for usage in VERBS if words and usage.split()[0] == words[0]]
    if own:
        return f"must be {' or '.join(own)}; docs/scenarios.md tells what each does"
    if not words or words[0] not in {verb.name for verb in BENCH_VERBS}:
        names = dict.fromkeys([*(verb.name for verb in BENCH_VERBS), *(usage.split()[0] for usage in VERBS)])
        return f"no such verb; one of: {', '.join(names)}; docs/scenarios.md tells what each does"
    if words[:2] == ["fault", "process"]:
        return "a scenario is played in this process; say cut power, stop or boot"
    if words[0] == "fault" and len(words) > len(("fault", "PART")):
        return why_none(words[1:])
    return play(hardware, line)


def _scene(settings: BenchSettings) -> Callable[[Camera], Scene] | None:
    return scene_maker(None, "drawn") if settings.picture == "drawn" else None


def _camera_maker(settings: BenchSettings) -> Callable[[Clock, Camera], AnyCamera] | None:
    if settings.picture != "clip":
        return None

    def make(clock: Clock, camera: Camera) -> AnyCamera:
        clip = _clip(camera.width, camera.height, camera.rate_hz, camera.bitrate_bps)
        return PreEncodedCamera(clock, clip=clip, rate_hz=camera.rate_hz)

    return make


@lru_cache(maxsize=4)
def _clip(width: int, height: int, rate_hz: int, bitrate_bps: int) -> list[EncodedFrame]:
    scene = FlatScene(width, height)
    return encode_clip(2, width=width, height=height, rate_hz=rate_hz, bitrate_bps=bitrate_bps, scene=scene)


def _tables(settings: BenchSettings) -> dict[str, dict[str, int | bool]]:
    return {
        "card": {"full_below_mib": settings.full_below_mib},
        "camera": {
            "width": settings.width,
            "height": settings.height,
            "rate_hz": settings.rate_hz,
            "bitrate_bps": settings.bitrate_bps,
        },
        "microphone": {"enabled": settings.microphone},
        "ring": {"cap_mib": settings.ring_mib},
    }

"""What anyone beside the device can see of it: its pins, its switches, what its status file says, its sensors.

Nothing here looks into the daemon: what is shown is what would be seen of a real one. The panel's own thread.
"""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from device.config import Configuration
from device.errors import EvidenceError, UsageError
from device.evidence.bundle import read_bundle
from device.evidence.identity import load_anchors
from device.evidence.reading import read_file
from device.policy.model import Policy
from device.service.status import Status, read_status
from device.tables import OutputLine, Wiring
from hw_sim.agency import Bench
from hw_sim.disk import TwinDisk
from hw_sim.faults import FAULTS
from hw_sim.hardware import TwinHardware
from hw_sim.lamps import LAMPS
from hw_sim.lines import VERBS

MAX_BUNDLE_BYTES = 1 << 20


class Felt(msgspec.Struct, frozen=True, tag="felt", tag_field="kind"):
    """What the wearer sees, hears and feels now, by the levels of the output pins. The lights in percent."""

    recording_light: int
    ready_light: int
    vibration: bool
    buzzer: bool


class Now(msgspec.Struct, frozen=True, tag="now", tag_field="kind"):
    """The state, half a second old at the most; `on` false: no daemon has said anything yet. `switches`: what is closed;
    `troubles`: the fault of each part that is broken."""

    on: bool
    state: str
    recording: str
    muted: bool
    ready: bool
    faults: tuple[str, ...]
    held_us: int
    ring_bytes: int
    refused_frames: int
    boot_us: int
    switches: tuple[str, ...]
    troubles: dict[str, str]
    temperature_c: float | None
    battery_percent: int | None
    under_voltage: bool
    card_free_bytes: int
    card_bytes: int


class Trigger(msgspec.Struct, frozen=True):
    name: str
    category: str


class FaultWord(msgspec.Struct, frozen=True):
    """What may be wrong with a part, and what the twin then does. `argument`: the unit of a number that may follow."""

    part: str
    word: str
    does: str
    argument: str


class Hello(msgspec.Struct, frozen=True, tag="hello", tag_field="kind"):
    """What stays as it is while the device is on. `initial_zone`: where no line of the switch is closed."""

    device: str
    policy: str
    policy_title: str
    initial_zone: str
    zones: tuple[str, ...]
    triggers: tuple[Trigger, ...]
    switches: tuple[str, ...]
    faults: tuple[FaultWord, ...]
    lines: tuple[str, ...]
    pre_event_us: int
    ring_cap_bytes: int
    picture: str
    bench: str
    trust: str


class Seen:
    """`positions`: the board's own, kept up to date by it."""

    def __init__(
        self, bench: Bench, configuration: Configuration, hardware: TwinHardware, positions: Mapping[str, bool]
    ) -> None:
        self._bench = bench
        self._configuration = configuration
        self._hardware = hardware
        self._positions = positions

    def felt(self) -> Felt:
        recording, ready = (round(100 * self._hardware.lamps.seen(lamp)) for lamp in LAMPS)
        return Felt(recording, ready, self._is_on("vibration"), self._is_on("buzzer"))

    def now(self) -> Now:
        status, sensors = self._status(), self._hardware.the_sensors
        disk = getattr(self._hardware, "the_disk", None)
        return Now(
            on=status is not None,
            state=status.state if status else "off",
            recording=status.recording if status else "",
            muted=bool(status and status.muted),
            ready=bool(status and status.ready),
            faults=status.faults if status else (),
            held_us=status.held_us if status else 0,
            ring_bytes=status.ring_bytes if status else 0,
            refused_frames=status.refused_frames if status else 0,
            boot_us=self._hardware.clock.now_us(),
            switches=tuple(sorted(name for name, closed in dict(self._positions).items() if closed)),
            troubles=dict(self._hardware.troubles.present),
            temperature_c=None if sensors.temperature is None else sensors.temperature / 1000,
            battery_percent=None if sensors.gauge is None else sensors.gauge.percent,
            under_voltage=bool(sensors.voltage_is_low),
            card_free_bytes=disk.free_bytes() if isinstance(disk, TwinDisk) else 0,
            card_bytes=disk.capacity_bytes if isinstance(disk, TwinDisk) else 0,
        )

    def hello(self) -> Hello:
        tables = self._configuration.tables
        wiring: Wiring = tables.wiring
        policy = self._policy()
        thumb = self._hardware.thumb
        return Hello(
            device=tables.device.id,
            policy=f"{policy.id} {policy.version}" if policy else "",
            policy_title=policy.title if policy else "",
            initial_zone=policy.activation.initial_zone if policy else "",
            zones=tuple(wiring.switches.zones),
            triggers=tuple(Trigger(name, trigger.category) for name, trigger in wiring.triggers.items()),
            switches=tuple(name for name in ("sleep", "dock") if thumb.has(name)),
            faults=tuple(FaultWord(fault.part, fault.word, fault.does, fault.argument) for fault in FAULTS),
            lines=tuple(verb.usage for verb in VERBS),
            pre_event_us=policy.pre_event.length_s * 1_000_000 if policy else 0,
            ring_cap_bytes=self._configuration.ring_cap_bytes,
            picture=f"{tables.camera.width}x{tables.camera.height} at {tables.camera.rate_hz} Hz",
            bench=str(self._bench.root),
            trust=str(self._bench.trust),
        )

    def _is_on(self, name: str) -> bool:
        wiring = self._configuration.tables.wiring
        high = bool(self._hardware.pin_factory().pin(getattr(wiring.board, name)).state)
        line: OutputLine = getattr(wiring.lines, name)
        return high == (line.active == "high")

    def _status(self) -> Status | None:
        try:
            return read_status(self._bench.status_file)
        except UsageError:
            return None

    def _policy(self) -> Policy | None:
        for path in (self._bench.kept_policy, self._bench.offered_policy):
            found = self._read_policy(path)
            if found is not None:
                return found
        return None

    def _read_policy(self, path: Path) -> Policy | None:
        try:
            data = read_file(path, MAX_BUNDLE_BYTES)
            return read_bundle(data, load_anchors(self._bench.anchor), None).policy if data else None
        except (EvidenceError, UsageError):
            return None

"""A device in its dock: a card with recordings, and the agency's store beside it."""

import shutil
from pathlib import Path
from typing import TypeVar

from device.evidence import layout
from device.evidence.records import Fault, JournalRecord, Record, Step
from device.policy.commands import Cue, Refuse
from device.policy.inputs import FaultChanged, Readiness
from device.tables import Camera
from hw_sim.agency import Agency, Bench
from hw_sim.camera import PreEncodedCamera
from hw_sim.clock import VirtualClock
from hw_sim.disk import TwinDisk
from hw_sim.encoders import EncodedFrame, encode_clip
from hw_sim.scenes import NoiseScene
from hw_sim.virtual import VirtualDevice
from tests.benches import CAMERA, journal, make_bench, recordings
from tests.stores import Store

_R = TypeVar("_R", bound=Record)
SOON_S = 5
"""Time for a look at the spool, and for what comes of it."""


class Template:
    """A card with closed recordings, made once and copied for each test."""

    def __init__(self, root: Path, recordings: int = 2) -> None:
        self.agency = Agency()
        self.bench = make_bench(root, agency=self.agency, audio=False, pre_event_s=1, post_event_s=1)
        self.clip = encode_clip(2, **CAMERA, scene=NoiseScene(CAMERA["width"], CAMERA["height"], 1))
        dock = Dock(self.bench, self.agency, self.clip)
        dock.device.run(2)
        for _ in range(recordings):
            dock.device.record(1)
            dock.device.run(1)
        dock.device.stop()
        self.names = dock.names

    def dock(self, root: Path) -> "Dock":
        shutil.copytree(self.bench.root, root)
        return Dock(Bench(root), self.agency, self.clip, boots=1)


class Dock:
    """The device of a bench, switched on."""

    def __init__(self, bench: Bench, agency: Agency, clip: list[EncodedFrame], boots: int = 0) -> None:
        def make_camera(clock: VirtualClock, settings: Camera) -> PreEncodedCamera:
            return PreEncodedCamera(clock, clip=clip, rate_hz=settings.rate_hz)

        self.bench = bench
        self.agency = agency
        self.device = VirtualDevice(bench, make_camera=make_camera)
        self.device.boots = boots
        self.device.boot()
        self.device.run(0.1)
        self.store = Store(agency, bench.card)

    @property
    def names(self) -> list[str]:
        return [folder.name for folder in recordings(self.bench)]

    @property
    def disk(self) -> TwinDisk:
        disk = self.device.hardware.the_disk
        assert isinstance(disk, TwinDisk)
        return disk

    def room(self, free_bytes: int) -> None:
        """Let the card have so much room left."""
        self.disk.full_at(self.disk.capacity_bytes - self.disk.free_bytes() + free_bytes)

    def soon(self) -> None:
        self.device.run(SOON_S)

    def spool(self) -> list[str]:
        return sorted(path.name for path in (self.bench.card / layout.SPOOL).iterdir())

    def kept(self) -> list[str]:
        return sorted(path.name for path in (self.bench.card / layout.RECEIPTS).iterdir())

    def files(self, name: str) -> list[str]:
        return sorted(path.name for path in (self.bench.card / layout.recording_folder(name)).iterdir())

    def said(self, kind: type[_R]) -> list[_R]:
        return [record for record in journal(self.bench) if isinstance(record, kind)]

    def whys(self, part: str) -> list[str]:
        """Why something was refused, as the journal says it."""
        return [fault.detail for fault in self.said(Fault) if fault.part == part and fault.detail]

    def faults(self, part: str) -> list[bool]:
        """When a fault began and ended, as the policy machine took it."""
        inputs = [record.input for record in journal(self.bench) if isinstance(record, Step)]
        return [came.present for came in inputs if isinstance(came, FaultChanged) and came.part == part]

    def refusals(self) -> int:
        return sum(isinstance(decided, Refuse) for record in journal(self.bench) for decided in _decisions(record))

    def readiness(self) -> list[bool]:
        """As the recorder told it: whether a new recording could be stored."""
        inputs = [record.input for record in journal(self.bench) if isinstance(record, Step)]
        return [came.ready for came in inputs if isinstance(came, Readiness)]

    def cues(self) -> list[str]:
        return [
            decided.cue for record in journal(self.bench) for decided in _decisions(record) if isinstance(decided, Cue)
        ]


def _decisions(record: JournalRecord) -> tuple[object, ...]:
    return getattr(record, "decisions", ())

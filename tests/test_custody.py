"""Receipts and words from outside, handed in on the card: taken, refused, journaled; and room made under receipts (E7)."""

import shutil
from pathlib import Path

import pytest

from device.evidence import layout
from device.evidence.records import Anchor, Fault, Receipted, Released
from hw_sim.agency import Agency, Bench
from hw_sim.virtual import VirtualDevice
from tests.benches import journal, make_bench, recordings, shown, verified
from tests.stores import Store


class Dock:
    """A device with two recordings, and the agency's store."""

    def __init__(self, root: Path, seconds: tuple[float, ...] = (1, 1), **options: int) -> None:
        self.agency = Agency()
        self.bench = make_bench(root, agency=self.agency, audio=False, pre_event_s=1, post_event_s=1, **options)  # type: ignore[arg-type]
        self.device = VirtualDevice(self.bench)
        self.device.boot()
        self.device.run(2)
        for live_s in seconds:
            self.device.record(live_s)
            self.device.run(1)
        self.store = Store(self.agency, self.bench.card)
        self.names = [folder.name for folder in recordings(self.bench)]

    def spool(self) -> list[str]:
        return sorted(path.name for path in (self.bench.card / layout.SPOOL).iterdir())

    def said(self, kind: type) -> list:
        return [record for record in journal(self.bench) if isinstance(record, kind)]


def test_smoke(tmp_path: Path) -> None:
    dock = Dock(tmp_path / "bench")
    dock.store.give(dock.names[0])
    dock.store.nonce()
    dock.device.run(5)
    dock.store.cosign()
    dock.device.run(5)
    print(dock.spool(), dock.said(Receipted), dock.said(Anchor), dock.said(Fault))
    dock.device.hardware.the_disk.full_at(dock.device.hardware.the_disk._used_bytes + 8_000_000)
    dock.device.run(10)
    print(dock.said(Released), [len(list(f.iterdir())) for f in recordings(dock.bench)])
    dock.device.stop()
    print(shown(verified(dock.bench)))
    assert 0

"""Off-load in tests: a bench whose policy names an end point, one look, the agency's desk, and what a card holds."""

import hashlib
import time
from pathlib import Path

from device.config import read_configuration
from device.evidence import layout
from device.evidence.adoption import replace_file
from device.evidence.identity import load_anchors
from device.offload.memory import Memory
from device.offload.receiving import Desk, Judged
from device.offload.sending import Errand, Outcome, Sender
from device.offload.stores import Store
from hw_sim.agency import Agency, Bench, KeySigner
from hw_sim.clock import VirtualClock
from tests.benches import DEVICE, policy_document


def allow(bench: Bench, agency: Agency, *end_points: str) -> None:
    """Put a policy in force that names these end points."""
    listed = ", ".join(f'"{end_point}"' for end_point in end_points)
    document = policy_document(version=9).replace(b"end_points = []", f"end_points = [{listed}]".encode())
    assert listed.encode() in document
    replace_file(bench.kept_policy, agency.bundle(document))


def errand(bench: Bench, *, read_back: bool = True, device: str = DEVICE) -> Errand:
    return Errand(
        device=device,
        card=bench.card,
        anchors=load_anchors(bench.trust),
        end_point_sha256=hashlib.sha256(b"a store").hexdigest(),
        retention_days=30,
        read_back=read_back,
    )


def today(boot: str) -> VirtualClock:
    """A clock that agrees with a real store's on what is past."""
    return VirtualClock(boot, wall_offset_us=time.time_ns() // 1000)


def sender(bench: Bench, store: Store, *, read_back: bool = True, device: str = DEVICE) -> Sender:
    memory = Memory(read_configuration(bench.config).at("offload"))
    return Sender(errand(bench, read_back=read_back, device=device), store, memory, today("boot-7"))


def look(bench: Bench, store: Store, *, read_back: bool = True) -> list[Outcome]:
    return list(sender(bench, store, read_back=read_back).look())


def words(outcomes: list[Outcome] | list[Judged]) -> list[str]:
    return [outcome.what for outcome in outcomes]


def desk(agency: Agency, bench: Bench, store: Store, *several_cards: str, signer: KeySigner | None = None) -> Desk:
    receiver = agency.receiver
    return Desk(
        store,
        load_anchors(bench.trust),
        signer or receiver.signer,
        receiver.certificate,
        several_cards,
        today("boot-8"),
    )


def contents(folder: Path) -> dict[str, str]:
    """Every file below a folder, by digest: what must not have changed."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def spooled(bench: Bench) -> list[Path]:
    """The receipts that were handed in."""
    return sorted((bench.card / layout.SPOOL).glob("*.receipt"))

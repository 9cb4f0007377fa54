"""A bench whose device is given another key, and the document by which the old one gave its journal on."""

from device.evidence.identity import Role
from device.evidence.rotation import make_rotation
from hw_sim.agency import Agency, Bench, Issued, KeySigner
from tests.benches import DEVICE
from tests.cards import device_signer

UTC = "2026-09-21T00:00:00.000000Z"


def held(bench: Bench) -> tuple[KeySigner, bytes]:
    """The key that the device has now, and its certificate."""
    return device_signer(bench), (bench.root / "device" / "device.der").read_bytes()


def give_key(bench: Bench, agency: Agency, issued: Issued, device: str = DEVICE) -> None:
    """Another key, its certificate and the agency's statement about it; no word of the old key."""
    folder = bench.root / "device"
    (folder / "device.key").write_bytes(issued.key_pem)
    (folder / "device.der").write_bytes(issued.certificate)
    (folder / "provisioning.jsonl").write_bytes(agency.provision(device, issued.certificate) + b"\n")


def name_rotation(bench: Bench, document: bytes) -> None:
    """Put a document beside the configuration, and name it there."""
    (bench.root / "device" / "rotation.jsonl").write_bytes(document)
    text = bench.config.read_text("utf-8")
    if "rotation =" not in text:
        bench.config.write_text(text.replace("[identity]\n", '[identity]\nrotation = "rotation.jsonl"\n'), "utf-8")


def rotate(bench: Bench, agency: Agency, issued: Issued | None = None) -> Issued:
    """Everything as it should be: the new key."""
    old, old_certificate = held(bench)
    issued = issued or agency.issue(DEVICE, Role.LEDGER)
    name_rotation(bench, make_rotation(old, old_certificate, issued.signer, issued.certificate, UTC))
    give_key(bench, agency, issued)
    return issued

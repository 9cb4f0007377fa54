"""Several agency keys: each opens what the policy's recipients may open, and no other; the age header says how many."""

from pathlib import Path

import pyrage
import pytest

from device.evidence import layout
from device.evidence.age_keys import WrongKeyError
from device.evidence.opening import Identity
from device.evidence.records import RecordingOpened
from device.evidence.seal import stanza_types
from hw_sim.agency import Agency, Bench
from hw_sim.virtual import VirtualDevice
from tests.benches import ledger, make_bench, policy_document, recordings, segments_of, shown, verified
from tests.cards import first_offset_s
from tests.exports import exported, judged_export


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The agency's custodian, its prosecutor, and a stranger."""
    root = tmp_path_factory.mktemp("keys")
    paths = {name: root / f"{name}.key" for name in ("custodian", "prosecutor", "stranger")}
    for path in paths.values():
        path.write_text(f"{pyrage.x25519.Identity.generate()}\n", "ascii")
    return paths


def recipient(path: Path) -> str:
    return str(pyrage.x25519.Identity.from_str(path.read_text("ascii").strip()).to_public())


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, keys: dict[str, Path]) -> Bench:
    """A card recorded under a policy that names two keys for footage; the device was provisioned with another."""
    agency = Agency()
    bench = make_bench(tmp_path_factory.mktemp("recipients") / "bench", agency=agency, pre_event_s=2, post_event_s=1)
    named = f'footage = ["{recipient(keys["custodian"])}", "{recipient(keys["prosecutor"])}"]'
    document = policy_document(2, 1, version=2).replace(b"footage = []", named.encode())
    assert named.encode() in document
    bench.offered_policy.write_bytes(agency.bundle(document))
    twin = VirtualDevice(bench)
    twin.boot()
    twin.run(3)
    twin.record(2)
    twin.stop()
    return bench


@pytest.mark.parametrize("who", ["custodian", "prosecutor"])
def test_either_key_opens_all_of_it(who: str, bench: Bench, keys: dict[str, Path], tmp_path: Path) -> None:
    folder = recordings(bench)[0]
    identity = Identity(keys[who])
    for segment in segments_of(bench, folder):
        assert identity.open(folder / layout.segment_file(segment.n, segment.attempt), segment.file)
    bench.footage_identity.write_bytes(keys[who].read_bytes())
    exported(bench, folder, tmp_path / "out.mp4")
    assert judged_export(bench, tmp_path / "out.mp4").verdict == "intact"
    assert verified(bench, read=True).exit_status == 0, shown(verified(bench, read=True))


def test_no_other_key_does(bench: Bench, keys: dict[str, Path]) -> None:
    folder = recordings(bench)[0]
    first = segments_of(bench, folder)[0]
    with pytest.raises(WrongKeyError):
        Identity(keys["stranger"]).open(folder / layout.segment_file(first.n, first.attempt), first.file)


def test_the_age_headers_have_as_many_as_the_record_says(bench: Bench) -> None:
    folder = recordings(bench)[0]
    opened = ledger(bench, folder).lines[0].record
    assert isinstance(opened, RecordingOpened)
    assert opened.recipients == ("x25519", "x25519")
    for file in folder.glob("*.age"):
        assert stanza_types(file.read_bytes()[:4096]) == ("X25519", "X25519")
    assert first_offset_s(verified(bench), 0) is None

"""One recording's whole way, through the commands and the twin: camera, card, off-load, the agency's desk, receipt, spool,
journal; then the room is needed, and what went is proven by the receipt here and by the object there."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from device.cli import main
from device.evidence import layout
from device.evidence.receipts import file_sha256
from device.evidence.records import Receipted, Released
from device.offload.naming import object_name
from hw_sim.agency import Agency, Bench
from hw_sim.disk import TwinDisk
from hw_sim.virtual import VirtualDevice
from tests.benches import DEVICE, journal, make_bench, recordings
from tests.docks import SOON_S
from tests.senders import allow, spooled


def test_through_a_folder(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "dock").mkdir()
    end_point = f"folder:{tmp_path}/dock"

    def configure(bench: Bench, agency: Agency) -> list[str]:
        allow(bench, agency, end_point)
        return [end_point]

    go_the_whole_way(tmp_path, capfd, configure, lambda name: (tmp_path / "dock" / name).read_bytes())


def go_the_whole_way(
    root: Path,
    capfd: pytest.CaptureFixture[str],
    configure: Callable[[Bench, Agency], list[str]],
    fetch: Callable[[str], bytes],
) -> None:
    """`configure` makes a store the bench's, and says how the agency's side names it; `fetch` gives an object's bytes."""
    agency = Agency()
    bench = make_bench(root / "bench", agency=agency, pre_event_s=2)
    device = VirtualDevice(bench)
    device.boot()
    device.run(3)
    device.record(3)
    recording = recordings(bench)[0].name
    device.run(3)
    store = configure(bench, agency)
    signs = ["--trust", bench.trust, "--key", bench.receipt_key, "--certificate", bench.receipt_certificate]

    def run(*arguments: object) -> str:
        assert main([str(argument) for argument in arguments]) == 0, capfd.readouterr()
        said = capfd.readouterr()
        assert said.err == ""
        return said.out

    assert f"{recording}: sent: " in run("offload", "--config", bench.config)
    assert f"{DEVICE} {recording}: received: receipt " in run("receive", *store, *signs)
    handed_in = run("offload", "--config", bench.config)
    (receipt,) = spooled(bench)
    sha256 = file_sha256(receipt.read_bytes())
    assert handed_in == f"{recording}: handed in: receipt {sha256}\n"

    device.run(SOON_S)
    assert spooled(bench) == []
    assert [said.receipt_sha256 for said in journal(bench) if isinstance(said, Receipted)] == [sha256]
    assert (bench.card / layout.receipt_file(sha256)).exists()
    assert [said for said in journal(bench) if isinstance(said, Released)] == []
    before = sorted(path.name for path in recordings(bench)[0].iterdir())
    assert layout.INIT in before
    disk = device.hardware.the_disk
    assert isinstance(disk, TwinDisk)
    disk.full_at(disk.capacity_bytes - disk.free_bytes() + 1_000_000)
    device.run(SOON_S)
    (released,) = [said for said in journal(bench) if isinstance(said, Released)]
    assert (released.recording, released.receipt_sha256) == (recording, sha256)
    assert sorted(path.name for path in recordings(bench)[0].iterdir()) == [layout.LEDGER]
    device.stop()
    card = json.loads(run("verify", bench.card, "--trust", bench.trust, "--json"))[0]
    assert [one["verdict"] for one in card["recordings"]] == ["released under receipt"]
    assert run("offload", "--config", bench.config) == "nothing to send: no recording is over that has no receipt\n"

    (root / "object.tar").write_bytes(fetch(object_name(DEVICE, recording)))
    run("unpack", root / "object.tar", "-o", root / "unpacked")
    folder = root / "unpacked" / layout.recording_folder(recording)
    assert sorted(path.name for path in folder.iterdir()) == before
    head = ["--head", bench.card / layout.receipt_file(sha256)]
    unpacked = json.loads(run("verify", folder, "--trust", bench.trust, *head, "--json"))[0]
    assert [one["verdict"] for one in unpacked["recordings"]] == ["intact"]
    assert unpacked["journal_said"].startswith("history anchored up to line ")
    clip = root / "clip.mp4"
    run(
        "export", folder, "--identity", bench.footage_identity, "--trust", bench.trust, "--recipient", "prosecutor",
        "--reason", "trial", "--export-key", bench.export_key, "--export-certificate", bench.export_certificate,
        "--report-filed", "2027-03-01T12:00:00Z", "-o", clip,
    )  # fmt: skip
    assert json.loads(run("verify", clip, "--trust", bench.trust, "--json"))[0]["recordings"][0]["verdict"] == "intact"

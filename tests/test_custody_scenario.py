"""One recording's way: camera, card, off-load, receipt, spool; and judged from the store alone, the card being gone."""

import shutil
from pathlib import Path

from device.evidence.identity import load_anchors
from device.evidence.receipts import read_receipt
from device.evidence.verify import verify
from device.offload.naming import object_name
from device.offload.stores import FolderStore
from device.offload.unpack import unpack
from hw_sim.agency import Agency
from hw_sim.virtual import VirtualDevice
from tests.benches import DEVICE, make_bench, recordings, verified
from tests.senders import desk, look, spooled, words


def test_camera_card_off_load_receipt_spool_and_verify_from_the_store(tmp_path: Path) -> None:
    agency = Agency()
    bench = make_bench(tmp_path / "bench", agency=agency, pre_event_s=2)
    (tmp_path / "dock").mkdir()
    store = FolderStore(tmp_path / "dock")
    device = VirtualDevice(bench)
    device.boot()
    device.run(3)
    device.record(3)
    recording = recordings(bench)[0].name

    assert words(look(bench, store)) == ["sent", "awaiting-receipt"]
    assert words(list(desk(agency, bench, store).receive(tmp_path))) == ["received"]
    assert words(look(bench, store)) == ["handed-in"]

    receipt, _ = read_receipt(spooled(bench)[0].read_bytes(), load_anchors(bench.trust), None)
    assert (receipt.device, receipt.recording) == (DEVICE, recording)
    # From here on the daemon: it takes the receipt from the spool, journals it, and frees space when it needs it.

    device.stop()
    head = receipt.journal_head.sha256
    assert verified(bench, head=head).exit_status == 0

    shutil.rmtree(bench.card)
    unpack(store.blocks(object_name(DEVICE, recording), 1 << 30), tmp_path / "unpacked")
    verdict = verify(tmp_path / "unpacked" / "evidence" / recording, load_anchors(bench.trust), head=head)
    assert verdict.recordings[0].verdict == "intact"
    assert (
        verdict.journal_said
        == f"history anchored up to line {receipt.journal_head.seq} ({DEVICE}) by a line known from outside"
    )

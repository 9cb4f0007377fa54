"""A card of any length, written down without a camera: recordings of one-second segments, and a file for each of them.

Journal, ledgers and signatures are the device's own code's, and so is the sealing; but every segment is the same sealed
file, so that ten hours of records take a minute. For how fast a card is verified, and with how much memory.
"""

import os
from importlib.resources import files
from pathlib import Path

from device.evidence import layout
from device.evidence.envelope import open_line
from device.evidence.records import RecordingClosed, decode_ledger
from device.evidence.seal import SealedFile, Sealer
from hw_sim.agency import Agency, Bench, lay_out_bench
from hw_sim.scribe import Scribe


def write_large_card(root: Path, recordings: int, seconds: int, plain_bytes: int = 100) -> Bench:
    """A bench whose card holds so many closed recordings of that many seconds live, to a clean stop. `plain_bytes`: of
    each segment."""
    agency = Agency()
    policy = files("device.policy").joinpath("profiles", "first.toml").read_bytes()
    tables: dict[str, dict[str, int | bool]] = {"microphone": {"enabled": False}}
    bench = lay_out_bench(root, agency, "BC-LARGE", policy, tables)
    sealed = Sealer((agency.footage_recipient,), "recipients.footage").seal(os.urandom(plain_bytes))
    scribe = Scribe(bench, stored=sealed.stored)
    scribe.pass_time(60)
    for _ in range(recordings):
        scribe.record(seconds)
        scribe.pass_time(2)
    scribe.stop()
    for folder in (bench.card / layout.EVIDENCE).iterdir():
        _write_files(folder, sealed)
    return bench


def _write_files(folder: Path, sealed: SealedFile) -> None:
    """The init, and every segment that the closing record counts: one file on the disk under many names."""
    init = folder / layout.INIT
    init.write_bytes(sealed.data)
    closed = decode_ledger(open_line((folder / layout.LEDGER).read_bytes().splitlines()[-1]).payload)
    assert isinstance(closed, RecordingClosed), "the scribe closes what it began"
    for n in range(closed.totals.segments):
        (folder / layout.segment_file(n, 0)).hardlink_to(init)

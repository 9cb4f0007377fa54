"""The bytes that evidence costs, beyond the encoders' own: signatures in the pictures, records, boxes, encryption.

Part of `make bench`; counts, not times, so they are the same on every machine but for the size of a certificate.
"""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from hw_sim.benchmarks.rig import Figures, Scale, bench_device, payload_of

if TYPE_CHECKING:
    from hw_sim.agency import Bench

AIMS = {
    "added bytes at 4 Mbit/s, without sound (%)": "≤ 0.75",
    "added bytes at 4 Mbit/s, with sound (%)": "≤ 0.75",
    "of these, media signing at 4 Mbit/s (%)": "about 0.35",
    "added bytes at 8 Mbit/s, without sound (%)": "≤ 0.4",
    "added bytes at 8 Mbit/s, with sound (%)": "≤ 0.4",
    "of these, media signing at 8 Mbit/s (%)": "",
}


def overhead(scale: Scale) -> Figures:
    """Of a recording of about 60 s, 30 frames a GOP, at two bit rates, as a share of what the encoders gave."""
    figures: Figures = {}
    for rate, bitrate_bps in (("4", 4_000_000), ("8", 8_000_000)):
        for sound in ("without", "with"):
            with tempfile.TemporaryDirectory() as folder:
                device, clip = bench_device(
                    Path(folder), {**scale.camera, "bitrate_bps": bitrate_bps}, audio=sound == "with"
                )
                device.run(32)
                journal = device.bench.card / "journal" / "000000.jsonl"
                before = journal.stat().st_size
                device.record(min(15, scale.live_s))
                device.stop()
                on_card = sum(f.stat().st_size for f in (device.bench.card / "evidence").glob("*/*"))
                payload, _ = payload_of(device.bench, clip)
                added = on_card + journal.stat().st_size - before - payload
                figures[f"added bytes at {rate} Mbit/s, {sound} sound (%)"] = 100 * added / payload
                signing = _signing_bytes(device.bench)
                figures[f"of these, media signing at {rate} Mbit/s (%)"] = 100 * signing / payload
    return figures


def _signing_bytes(bench: "Bench") -> int:
    """All that media signing put into the pictures of the only recording: SEIs, the parameter sets before them, lengths."""
    import io

    import av

    from device.evidence import layout
    from device.media.nal import PPS, length_prefixed_units, unit_type
    from device.media.onvif_sei import parse

    (folder,) = (bench.card / layout.EVIDENCE).iterdir()
    total = 0
    with av.open(io.BytesIO(_opened(bench, folder)), "r", format="mp4") as container:
        for packet in container.demux(video=0):
            units = list(length_prefixed_units(bytes(packet), 4))
            if any(parse(unit) is not None for unit in units):
                repeated = [unit for n, unit in enumerate(units[:-1]) if unit_type(unit) == PPS and parse(units[n + 1])]
                total += sum(4 + len(unit) for unit in [*repeated, *(u for u in units if parse(u) is not None)])
    return total


def _opened(bench: "Bench", folder: Path) -> bytes:
    """Init and segments, decrypted and joined."""
    import pyrage

    from device.evidence import layout

    identity = pyrage.x25519.Identity.from_str(bench.footage_identity.read_text("ascii").strip())
    names = [layout.INIT, *sorted(path.name for path in folder.glob("*.m4s.age"))]
    return b"".join(bytes(pyrage.decrypt((folder / name).read_bytes(), [identity])) for name in names)

"""Seconds lost when the power goes. Ours: on a card that forgets all that was not synced. The others: killed while they record,
at the pace of the camera, with all that they gave to the kernel kept, which is their best case; and how often they asked for a
sync, since a power cut may take all that was not.
"""

import os
import random
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from hw_sim.benchmarks.rig import Figures, Scale, make_bench, make_clip
from hw_sim.benchmarks.rivals import BUFFER_S, outputs

if TYPE_CHECKING:
    from hw_sim.encoders import EncodedFrame

SMALL = {"width": 640, "height": 360, "rate_hz": 30, "bitrate_bps": 1_000_000}
OURS = ("seconds lost at a power cut, median (s)", "seconds lost at a power cut, most (s)")
SYNCS = "fsync,fdatasync,sync_file_range,syncfs,sync,msync"
RIVALS = {
    "mp4": "plain MP4, ffmpeg -c copy",
    "fragmented": "fragmented MP4, ffmpeg -c copy",
    "segments": "ffmpeg's segment muxer, MP4 of 1 s",
    "picamera2": f"picamera2, {BUFFER_S} s buffer",
}
AIMS = dict.fromkeys(OURS, "≤ 2.1") | {
    f"{name}: {what}": "" for name in RIVALS.values() for what in ("seconds lost when killed (s)", "syncs asked for")
}


def losses(scale: Scale) -> Figures:
    lost = _ours(scale)
    figures: Figures = dict(zip(OURS, (statistics.median(lost), max(lost)), strict=True))
    return figures | _killed(scale)


# -- ours -----------------------------------------------------------------------------------------------------------


def _ours(scale: Scale) -> list[float]:
    """From the last frame that is durable to the cut, at instants drawn at random from a second after the press on."""
    from device.evidence.identity import load_anchors
    from device.evidence.verify import verify
    from hw_sim.camera import PreEncodedCamera
    from hw_sim.virtual import VirtualDevice

    odds = random.Random(20261122)
    lost = []
    with tempfile.TemporaryDirectory() as folder:
        clip = make_clip(Path(folder), SMALL)
        for n in range(scale.cuts):
            bench = make_bench(Path(folder) / f"bench-{n}", SMALL, audio=False)
            device = VirtualDevice(
                bench, make_camera=lambda clock, settings: PreEncodedCamera(clock, clip=clip, rate_hz=settings.rate_hz)
            )
            device.boot()
            device.run(3)
            device.double()
            device.run(odds.uniform(1, 10))
            cut_us = device.clock.now_us()
            device.cut()
            (recording,) = verify(bench.card, load_anchors(bench.trust)).recordings
            begun_us = _begun_us(bench.card)
            lost.append((cut_us - begun_us) / 1_000_000 - recording.seconds)
            shutil.rmtree(bench.root)
    return lost


def _begun_us(card: Path) -> int:
    """The boot time of the only recording's first frame."""
    from device.evidence.envelope import open_line
    from device.evidence.records import RecordingOpened, decode_ledger

    (ledger,) = card.glob("evidence/*/ledger.jsonl")
    record = decode_ledger(open_line(ledger.read_bytes().partition(b"\n")[0]).payload)
    assert isinstance(record, RecordingOpened)
    return record.video.base_us


# -- the others -----------------------------------------------------------------------------------------------------


def _killed(scale: Scale) -> Figures:
    """All at once, from one clip; `nan` for those that are not installed."""
    figures: Figures = {}
    with tempfile.TemporaryDirectory() as name, ExitStack() as ends:
        folder = Path(name)
        clip = make_clip(folder, SMALL)
        running = {key: _begin(key, folder) for key in RIVALS}
        for begun in filter(None, running.values()):
            ends.callback(begun.wait)
            ends.callback(begun.kill)
        fed_s = _feed(clip, running, scale.killed_after_s)
        for key, process in running.items():
            if process is not None:
                _kill(process)
            kept_s = _seconds(folder, key) if process is not None else float("nan")
            syncs = _syncs(folder / f"{key}.syncs") if process is not None else float("nan")
            figures[f"{RIVALS[key]}: seconds lost when killed (s)"] = fed_s - kept_s
            figures[f"{RIVALS[key]}: syncs asked for"] = syncs
    return figures


def _begin(key: str, folder: Path) -> "subprocess.Popen[bytes] | None":
    ffmpeg, strace = shutil.which("ffmpeg"), shutil.which("strace")
    if key == "picamera2" and outputs() is not None:
        command = [sys.executable, "-m", "hw_sim.benchmarks", "record", str(folder / "picamera2.mp4"), str(BUFFER_S)]
    elif key != "picamera2" and ffmpeg is not None:
        raw = ["-v", "quiet", "-probesize", "200000", "-f", "h264", "-framerate", "30", "-i", "pipe:0", "-c", "copy"]
        how = {
            "mp4": [str(folder / "mp4.mp4")],
            "fragmented": [
                *("-movflags", "frag_keyframe+empty_moov+default_base_moof", "-flush_packets", "1"),
                str(folder / "fragmented.mp4"),
            ],
            "segments": ["-f", "segment", "-segment_time", "1", str(folder / "segments-%03d.mp4")],
        }
        command = [ffmpeg, *raw, *how[key]]
    else:
        return None
    if strace is not None:
        command = [strace, "-f", "-qq", "-e", f"trace={SYNCS}", "-o", str(folder / f"{key}.syncs"), *command]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)


def _feed(clip: "list[EncodedFrame]", running: "dict[str, subprocess.Popen[bytes] | None]", seconds: float) -> float:
    """Give each the same frames as a camera would, in real time; how many seconds were given."""
    count, rate_hz = round(seconds * SMALL["rate_hz"]), SMALL["rate_hz"]
    begun = time.monotonic()
    for n in range(count):
        time.sleep(max(0, begun + n / rate_hz - time.monotonic()))
        frame = clip[n % len(clip)]
        for key, process in running.items():
            if process is not None and process.stdin is not None:
                if key == "picamera2":
                    head = f"{len(frame.data)} {int(frame.keyframe)} {n * 1_000_000 // rate_hz}\n"
                    process.stdin.write(head.encode())
                process.stdin.write(frame.data)
                process.stdin.flush()
    return count / rate_hz


def _kill(process: "subprocess.Popen[bytes]") -> None:
    """What strace runs is its child: it goes first."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text("ascii").split()
    for pid in [*map(int, children), process.pid]:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()


def _seconds(folder: Path, key: str) -> float:
    """What can be played of what is there."""
    import av

    rate_hz = SMALL["rate_hz"]
    frames = 0
    for path in sorted(folder.glob(f"{key}*.mp4")):
        try:
            with av.open(str(path)) as container:
                frames += sum(1 for packet in container.demux(video=0) if packet.size)
        except (av.error.FFmpegError, IndexError):
            continue
    return frames / rate_hz


def _syncs(said: Path) -> float:
    return float(len(re.findall(r"sync\w*\(", said.read_text()))) if said.exists() else float("nan")

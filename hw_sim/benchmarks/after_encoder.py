"""CPU of everything after the encoder, against a chain of well-known tools on the same frames, and against the bare digests
and cipher on the same bytes; all in turns, in one process's run.

Ours: the ring's append and all that the recorder thread does, its system calls included. Theirs: `ffmpeg -c copy` to
fragmented MP4, `sha256sum` of that, `age` of that, each from exec to exit. Bare: SHA-256 twice and ChaCha20-Poly1305 once
over our segments, in memory, with nothing around them.
"""

import hashlib
import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from hw_sim.benchmarks.rig import Figures, Scale, bench_device, cpu_of, timing

if TYPE_CHECKING:
    from hw_sim.encoders import EncodedFrame

BITRATE_BPS = 9_300_000
AIMS = {
    "20 s at 9.3 Mbit/s: CPU after the encoder (s)": "",
    "ffmpeg -c copy + sha256sum + age of the same (s)": "",
    "bare: SHA-256 twice, ChaCha20-Poly1305 once (s)": "",
    "ours / ffmpeg + sha256sum + age": "≤ 0.4",
    "ours / bare": "≤ 2.5",
}
SEGMENTS = "evidence/*/*.m4s.age"
TOOLS = ("ffmpeg", "sha256sum", "age")


def after_encoder(scale: Scale) -> Figures:
    """Medians of the rounds; the ratios are taken round by round. `nan` where a tool is missing."""
    import pyrage

    rounds: list[tuple[float, ...]] = []
    with tempfile.TemporaryDirectory() as folder:
        bitrate_bps = BITRATE_BPS if scale.rounds > 1 else scale.camera["bitrate_bps"]
        device, clip = bench_device(Path(folder), {**scale.camera, "bitrate_bps": bitrate_bps}, audio=False)
        spent = [0.0]
        recorder, ring = device.daemon.recorder, device.daemon.ring
        device.run(1)
        device.double()
        device.run(1)
        recorder.run_once = timing(recorder.run_once, spent)  # type: ignore[method-assign]
        ring.append_video = timing(ring.append_video, spent)  # type: ignore[method-assign]
        video = _video(Path(folder) / "clip.h264", clip, scale.live_s * scale.camera["rate_hz"])
        identity = pyrage.x25519.Identity.from_str(device.bench.footage_identity.read_text("ascii").strip())
        recipient = str(identity.to_public())
        written = set(device.bench.card.glob(SEGMENTS))
        for _ in range(scale.rounds):
            spent[0] = 0.0
            device.run(scale.live_s)
            ours = spent[0]
            files = set(device.bench.card.glob(SEGMENTS)) - written
            written |= files
            bare = bare_seconds([file.read_bytes() for file in sorted(files)])
            theirs = _theirs(video, Path(folder), recipient)
            rounds.append((ours, theirs, bare, ours / theirs, ours / bare))
        device.stop()
    return dict(zip(AIMS, map(statistics.median, zip(*rounds, strict=True)), strict=True))


def _video(path: Path, clip: "list[EncodedFrame]", frames: int) -> Path:
    """The same frames as one H.264 stream."""
    path.write_bytes(b"".join(clip[n % len(clip)].data for n in range(frames)))
    return path


def bare_seconds(segments: list[bytes]) -> float:
    """CPU time of two SHA-256 and one ChaCha20-Poly1305 over each, in seconds."""
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    cipher, nonce = ChaCha20Poly1305(os.urandom(32)), bytes(12)
    begun = time.process_time()
    for segment in segments:
        hashlib.sha256(segment).digest()
        hashlib.sha256(cipher.encrypt(nonce, segment, None)).digest()
    return time.process_time() - begun


def _theirs(video: Path, folder: Path, recipient: str) -> float:
    tools = [shutil.which(tool) for tool in TOOLS]
    if None in tools:
        return float("nan")
    ffmpeg, sha256sum, age = map(str, tools)
    muxed, sealed = folder / "muxed.mp4", folder / "sealed.age"
    copy = ["-v", "error", "-y", "-f", "h264", "-framerate", "30", "-i", str(video), "-c", "copy"]
    seconds = cpu_of([ffmpeg, *copy, "-movflags", "frag_keyframe+empty_moov+default_base_moof", str(muxed)])
    seconds += cpu_of([sha256sum, str(muxed)])
    return seconds + cpu_of([age, "-r", recipient, "-o", str(sealed), str(muxed)])

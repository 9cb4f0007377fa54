"""What the measurements share: the daemon on a pre-encoded clip, what a recording's frames weighed, and CPU time."""

import gc
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from hw_sim.agency import Bench
    from hw_sim.encoders import EncodedFrame
    from hw_sim.virtual import VirtualDevice

ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536", "MALLOC_ARENA_MAX": "1"}
"""As systemd/bodycam.service sets it."""
FULL_HD = {"width": 1920, "height": 1080, "rate_hz": 30, "bitrate_bps": 8_000_000}

Figures = dict[str, float]


class Scale(msgspec.Struct, frozen=True):
    """How much is measured. `camera`: of most; `rounds`: of what is taken in turns with something else; `live_s`: of a
    recording, after its pre-event; `cuts`: of the power; `killed_after_s`: in real time."""

    camera: dict[str, int]
    rounds: int
    live_s: int
    evictions: int
    steps: int
    cuts: int
    killed_after_s: float


FULL = Scale(FULL_HD, rounds=7, live_s=20, evictions=400_000, steps=200_000, cuts=40, killed_after_s=20.4)
TINY = Scale(
    {"width": 160, "height": 90, "rate_hz": 30, "bitrate_bps": 150_000},
    rounds=1,
    live_s=2,
    evictions=60,
    steps=200,
    cuts=1,
    killed_after_s=1.2,
)
"""For the tests: that each measurement runs, and what it names its figures."""
SCALES = {"full": FULL, "tiny": TINY}


def bench_device(
    folder: Path, camera: dict[str, int], *, audio: bool, pre_event_s: int = 30
) -> "tuple[VirtualDevice, list[EncodedFrame]]":
    """The daemon on a pre-encoded clip and a real disk, booted. Clip and bench are made by others, whose memory is not ours."""
    from device.evidence.disk import CardDisk
    from hw_sim.agency import Bench
    from hw_sim.camera import PreEncodedCamera
    from hw_sim.virtual import VirtualDevice

    clip = make_clip(folder, camera)
    asked = json.dumps({"camera": camera, "audio": audio, "pre_event_s": pre_event_s})
    subprocess.run([sys.executable, "-m", "hw_sim.benchmarks", "bench", str(folder / "bench"), asked], check=True)
    bench = Bench(folder / "bench")
    device = VirtualDevice(
        bench,
        make_camera=lambda clock, settings: PreEncodedCamera(clock, clip=clip, rate_hz=settings.rate_hz),
        make_disk=CardDisk,
    )
    device.boot()
    device.run(0.01)
    return device, clip


def make_bench(root: Path, camera: dict[str, int], *, audio: bool, pre_event_s: int = 30) -> "Bench":
    """A bench under the first profile; the ring has room for its pre-event and a stall."""
    from hw_sim.agency import Agency, lay_out_bench

    policy = files("device.policy").joinpath("profiles", "first.toml").read_bytes()
    policy = policy.replace(b"length_s = 30\n", b"length_s = %d\n" % pre_event_s, 1)
    tables: dict[str, dict[str, int | bool]] = {
        "camera": {**camera},
        "microphone": {"enabled": audio},
        "ring": {"cap_mib": 64 if pre_event_s <= 30 else 160},
    }
    return lay_out_bench(root, Agency(), "BC-BENCH", policy, tables)


def make_clip(folder: Path, camera: dict[str, int]) -> "list[EncodedFrame]":
    """Four seconds of noise, so that the bit rate is reached; encoded by another process, whose memory is not ours."""
    from hw_sim.encoders import EncodedFrame

    path = folder / "clip"
    subprocess.run([sys.executable, "-m", "hw_sim.benchmarks", "clip", str(path), json.dumps(camera)], check=True)
    index, _, data = path.read_bytes().partition(b"\n")
    clip, offset = [], 0
    for size, at_offset_us, keyframe in json.loads(index):
        clip.append(EncodedFrame(data[offset : offset + size], at_offset_us, keyframe))
        offset += size
    return clip


def write_clip(path: Path, camera: dict[str, int]) -> None:
    from hw_sim.encoders import encode_clip
    from hw_sim.scenes import NoiseScene

    clip = encode_clip(4, **camera, scene=NoiseScene(camera["width"], camera["height"]))
    index = [(len(frame.data), frame.at_offset_us, frame.keyframe) for frame in clip]
    path.write_bytes(json.dumps(index).encode() + b"\n" + b"".join(frame.data for frame in clip))


def payload_of(bench: "Bench", clip: "list[EncodedFrame]") -> tuple[int, int]:
    """Bytes and number of the frames of the only recording, sound included, as the encoders gave them."""
    from device.evidence.identity import load_anchors
    from device.evidence.verify import verify

    recording = verify(bench.card, load_anchors(bench.trust)).recordings[0]
    first = recording.first_frame
    video = sum(len(clip[number % len(clip)].data) for number in range(first, first + recording.frames))
    sound = recording.packets * 64_000 / 8 * 1024 / 48_000
    return round(video + sound), recording.frames


def timing(function: Callable[..., Any], spent: list[float]) -> Callable[..., Any]:
    """The same function; its user and system CPU time is added to `spent[0]`, in seconds."""

    def timed(*arguments: Any) -> Any:
        begun = time.process_time()
        try:
            return function(*arguments)
        finally:
            spent[0] += time.process_time() - begun

    return timed


def cpu_of(command: list[str], out: IO[bytes] | None = None) -> float:
    """User and system CPU seconds of a command, start included. What it says goes nowhere, or to `out`."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=out or subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def resident_mib() -> float:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1048576

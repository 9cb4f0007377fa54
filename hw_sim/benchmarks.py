"""`make bench`: what the device costs, in one run, as medians and ratios. No time here is asserted by a test.

Each measurement runs in a process of its own, so that none pays for another's imports or memory. The machine is named,
since times do not carry over to another; counts, bytes and ratios mostly do.
"""

import gc
import json
import os
import platform
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hw_sim import overlay_benchmark, verify_benchmark
from hw_sim.overhead import AIMS as BYTE_AIMS
from hw_sim.overhead import overhead

if TYPE_CHECKING:
    from device.policy.inputs import Input
    from hw_sim.agency import Bench
    from hw_sim.encoders import EncodedFrame
    from hw_sim.virtual import VirtualDevice

REPEATS = 5
FULL_HD = {"width": 1920, "height": 1080, "rate_hz": 30, "bitrate_bps": 8_000_000}
EVICTIONS = 400_000
BODYCAM = verify_benchmark.BODYCAM
STEPS = 200_000
ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536", "MALLOC_ARENA_MAX": "1"}
"""As systemd/bodycam.service sets it."""

Figures = dict[str, float]


def main() -> int:
    if sys.argv[1:2] == ["clip"]:
        _write_clip(Path(sys.argv[2]), json.loads(sys.argv[3]))
        return 0
    if len(sys.argv) > 1:
        print(json.dumps(MEASUREMENTS[sys.argv[1]]()))
        return 0
    from rich.console import Console
    from rich.table import Table

    console = Console()
    console.print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {platform.system()}"
    )
    table = Table("what", "measured", "aim")
    with console.status("measuring") as status:
        for name in MEASUREMENTS:
            status.update(f"measuring: {name}")
            repeats = 1 if name in ONCE else REPEATS
            runs = [_in_own_process(name) for _ in range(repeats)]
            for what, aim in AIMS[name].items():
                values = [run[what] for run in runs]
                spread = f"  ({min(values):.4g} to {max(values):.4g})" if repeats > 1 else ""
                table.add_row(what, f"{statistics.median(values):.4g}{spread}", aim)
            table.add_section()
    console.print(table)
    return 0


def _in_own_process(name: str) -> Figures:
    done = subprocess.run(
        [sys.executable, "-m", "hw_sim.benchmarks", name],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, **ALLOCATOR},
    )
    figures: Figures = json.loads(done.stdout)
    return figures


# -- what is measured -----------------------------------------------------------------------------------------------


def pipeline() -> Figures:
    """Ring, mux, seal and write of 30 s before the press and 20 s after it; nothing is encoded."""
    with tempfile.TemporaryDirectory() as folder:
        device, clip = bench_device(Path(folder), FULL_HD, audio=False)
        device.run(32)
        spent = [0.0, 0.0]
        recorder, ring = device.daemon.recorder, device.daemon.ring
        recorder.run_once = _timing(recorder.run_once, spent)  # type: ignore[method-assign]
        begun = time.perf_counter()
        device.double()
        activation_ms = (time.perf_counter() - begun) * 1000
        ring.append_video = _timing(ring.append_video, spent)  # type: ignore[method-assign]
        device.run(20)
        device.confirmed_stop()
        device.until_idle()
        device.stop()
        _, frames = payload_of(device.bench, clip)
        return {
            "press to durable, 30 s at 8 Mbit/s (ms)": activation_ms,
            "CPU per frame: ring, mux, seal, write (ms)": spent[0] * 1000 / frames,
        }


def memory() -> Figures:
    """Resident memory of the daemon that has evicted 400,000 frames, against its ring's payload."""
    with tempfile.TemporaryDirectory() as folder:
        device, clip = bench_device(Path(folder), FULL_HD, audio=False)
        _warm_muxer(clip[0].data)
        base_mib = _resident_mib()
        device.run(EVICTIONS / FULL_HD["rate_hz"] + 31)
        ring = device.daemon.ring
        payload_mib = ring.payload_bytes / 1048576
        assert ring.evicted_frames >= EVICTIONS
        full_mib = _resident_mib()
        device.record(5)
        recorded_mib = _resident_mib()
        segments_mib = 2 * FULL_HD["bitrate_bps"] / 8 / 1048576
        device.stop()
        return {
            "daemon and libav without frames, no camera, no numpy (MiB)": base_mib,
            "ring payload (MiB)": payload_mib,
            "resident after 400,000 evictions (MiB)": full_mib,
            "resident after a recording too (MiB)": recorded_mib,
            "(resident − base) / payload": (full_mib - base_mib) / payload_mib,
            "limit: base + two segments + 1.06 × payload (MiB)": base_mib + segments_mib + 1.06 * payload_mib,
        }


def start() -> Figures:
    """From exec to READY=1, of the daemon on the twin."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        bench = _bench(
            root / "bench", {"width": 640, "height": 360, "rate_hz": 30, "bitrate_bps": 1_000_000}, audio=False
        )
        address = str(root / "notify")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
            listener.bind(address)
            listener.settimeout(30)
            begun = time.perf_counter()
            process = subprocess.Popen(
                [sys.executable, "-m", "hw_sim.cli", "daemon", "--config", str(bench.config), "--scene", "flat"],
                stdin=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "NOTIFY_SOCKET": address},
            )
            try:
                while b"READY=1" not in listener.recv(4096):
                    pass
                ready_ms = (time.perf_counter() - begun) * 1000
            finally:
                process.terminate()
                process.communicate(timeout=30)
        return {"exec to READY, twin (ms)": ready_ms}


def policy() -> Figures:
    """Steps of the policy machine in a second of CPU: a mix, half of it edges, and time alone."""
    from device.policy import inputs as on

    return {
        "policy steps a second of CPU, half of them edges": _steps_a_second(_mixed_inputs(STEPS)),
        "policy steps a second of CPU, time alone": _steps_a_second([on.Tick(at_us=1000 * n) for n in range(STEPS)]),
    }


def auditing() -> Figures:
    """`bodycam audit`, a whole process, of ten hours with sixty activations, 1 h 45 min of them recorded."""
    from hw_sim.long_shift import write_shift

    with tempfile.TemporaryDirectory() as folder:
        bench = write_shift(_bench(Path(folder) / "bench", FULL_HD, audio=False))
        keys = ["--trust", str(bench.trust), "--context-identity", str(bench.context_identity)]
        return {"audit of a 10-hour shift, 60 activations (s)": _timed([BODYCAM, "audit", str(bench.card), *keys])}


MEASUREMENTS: dict[str, Callable[[], Figures]] = {
    "pipeline": pipeline,
    "overhead": overhead,
    "memory": memory,
    "start": start,
    "overlay": overlay_benchmark.overlay,
    "verification": verify_benchmark.verification,
    "policy": policy,
    "auditing": auditing,
}
ONCE = {"memory", "overhead"}
AIMS = {
    "pipeline": {
        "press to durable, 30 s at 8 Mbit/s (ms)": "≤ 1000",
        "CPU per frame: ring, mux, seal, write (ms)": "",
    },
    "overhead": BYTE_AIMS,
    "memory": {
        "daemon and libav without frames, no camera, no numpy (MiB)": "≤ 70",
        "ring payload (MiB)": "",
        "resident after 400,000 evictions (MiB)": "≤ the limit",
        "resident after a recording too (MiB)": "≤ the limit",
        "(resident − base) / payload": "≤ 1.06",
        "limit: base + two segments + 1.06 × payload (MiB)": "",
    },
    "start": {"exec to READY, twin (ms)": ""},
    "overlay": overlay_benchmark.AIMS,
    "verification": verify_benchmark.AIMS,
    "policy": {
        "policy steps a second of CPU, half of them edges": "≥ 100 000",
        "policy steps a second of CPU, time alone": "≥ 100 000",
    },
    "auditing": {"audit of a 10-hour shift, 60 activations (s)": "≤ 5"},
}


# -- how --------------------------------------------------------------------------------------------------------------


def bench_device(folder: Path, camera: dict[str, int], *, audio: bool) -> "tuple[VirtualDevice, list[EncodedFrame]]":
    """The daemon on a pre-encoded clip and a real disk, booted. The clip is encoded by another process."""
    from device.evidence.disk import CardDisk
    from hw_sim.camera import PreEncodedCamera
    from hw_sim.virtual import VirtualDevice

    clip = _clip(folder, camera)
    bench = _bench(folder / "bench", camera, audio=audio)
    device = VirtualDevice(
        bench,
        make_camera=lambda clock, settings: PreEncodedCamera(clock, clip=clip, rate_hz=settings.rate_hz),
        make_disk=CardDisk,
    )
    device.boot()
    device.run(0.01)
    return device, clip


def _bench(root: Path, camera: dict[str, int], *, audio: bool) -> "Bench":
    from hw_sim.agency import Agency, lay_out_bench

    policy = files("device.policy").joinpath("profiles", "first.toml").read_bytes()
    tables: dict[str, dict[str, int | bool]] = {
        "camera": {**camera},
        "microphone": {"enabled": audio},
        "ring": {"cap_mib": 64},
    }
    return lay_out_bench(root, Agency(), "BC-BENCH", policy, tables)


def _clip(folder: Path, camera: dict[str, int]) -> "list[EncodedFrame]":
    from hw_sim.encoders import EncodedFrame

    path = folder / "clip"
    subprocess.run([sys.executable, "-m", "hw_sim.benchmarks", "clip", str(path), json.dumps(camera)], check=True)
    index, _, data = path.read_bytes().partition(b"\n")
    clip, offset = [], 0
    for size, at_offset_us, keyframe in json.loads(index):
        clip.append(EncodedFrame(data[offset : offset + size], at_offset_us, keyframe))
        offset += size
    return clip


def _write_clip(path: Path, camera: dict[str, int]) -> None:
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


def _warm_muxer(keyframe: bytes) -> None:
    """Load libav and use it once, as the first recording does: it belongs to the base."""
    from device.media.fmp4 import Muxer
    from device.media.frames import CaptureFlags, Frame, parameter_sets
    from device.media.picture import picture_of

    frame = Frame(keyframe, 0, 0, True, CaptureFlags("street"))
    sets = parameter_sets(keyframe)
    assert sets is not None, "a keyframe has its parameter sets"
    Muxer(frame, sets, None).fragment(1, [picture_of(frame)], [], 33_333)


def _mixed_inputs(count: int) -> "list[Input]":
    """Edges, ticks, and of the rest a few each, up to 0.4 s apart; the same ones every time."""
    from device.policy import inputs as on

    source = random.Random(1)
    at_us = 1_000_000_000
    inputs: list[Input] = []
    for _ in range(count):
        at_us += source.randrange(400_000)
        kind = source.random()
        if kind < 0.5:
            button, pressed = source.choice(("record", "function")), source.random() < 0.5
            inputs.append(on.Edge(at_us=at_us, button=button, pressed=pressed))
        elif kind < 0.85:
            inputs.append(on.Tick(at_us=at_us))
        elif kind < 0.9:
            inputs.append(on.ZoneEntered(at_us=at_us, zone=source.choice(("street", "school", "private"))))
        elif kind < 0.95:
            inputs.append(on.Triggered(at_us=at_us, trigger="holster", category="use-of-force"))
        else:
            inputs.append(on.LevelChanged(at_us=at_us, part="battery", level=source.choice(("good", "low"))))
    return inputs


def _steps_a_second(inputs: "list[Input]") -> float:
    from device.policy.machine import step
    from device.policy.model import parse_policy
    from device.policy.state import initial_state

    policy = parse_policy(files("device.policy").joinpath("profiles", "first.toml").read_bytes())
    state = initial_state(policy, 0)
    begun = time.process_time()
    for each in inputs:
        state, _ = step(state, each, policy)
    return len(inputs) / (time.process_time() - begun)


def _timing(function: Callable[..., Any], spent: list[float]) -> Callable[..., Any]:
    def timed(*arguments: Any) -> Any:
        begun = time.process_time()
        try:
            return function(*arguments)
        finally:
            spent[0] += time.process_time() - begun

    return timed


def _timed(command: list[str]) -> float:
    begun = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - begun


def _resident_mib() -> float:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1048576


if __name__ == "__main__":
    sys.exit(main())

"""A press, a recording and its end, on a real disk: how long they take, and the CPU of a frame after the encoder."""

import tempfile
import time
from pathlib import Path

from hw_sim.benchmarks.rig import Figures, Scale, bench_device, payload_of, timing

AIMS = {
    "press to durable, 30 s at 8 Mbit/s (ms)": "≤ 1000",
    "stop to closed, the wait for its last frame included (ms)": "",
    "CPU per frame: ring, mux, seal, write (ms)": "",
}


def pipeline(scale: Scale) -> Figures:
    """Ring, mux, seal and write of 30 s before the press and 20 s after it; nothing is encoded."""
    with tempfile.TemporaryDirectory() as folder:
        device, clip = bench_device(Path(folder), scale.camera, audio=False)
        device.run(32 if scale.live_s > 10 else 2)
        spent = [0.0]
        recorder, ring = device.daemon.recorder, device.daemon.ring
        recorder.run_once = timing(recorder.run_once, spent)  # type: ignore[method-assign]
        begun = time.perf_counter()
        device.double()
        activation_ms = (time.perf_counter() - begun) * 1000
        ring.append_video = timing(ring.append_video, spent)  # type: ignore[method-assign]
        device.run(scale.live_s)
        device.confirmed_stop()
        end_us = device.daemon.control.state.deadlines.post_event_until_us
        assert end_us is not None, "the post-event time runs"
        device.run((end_us - device.clock.now_us()) / 1_000_000 - 0.001)
        begun, waited_us = time.perf_counter(), device.clock.now_us()
        device.until_idle()
        closing_ms = (time.perf_counter() - begun) * 1000 + (device.clock.now_us() - waited_us) / 1000
        device.stop()
        _, frames = payload_of(device.bench, clip)
        return dict(zip(AIMS, (activation_ms, closing_ms, spent[0] * 1000 / frames), strict=True))

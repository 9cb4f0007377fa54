"""Resident memory of the daemon over its ring's payload. The clip that the camera gives again and again, 4 MiB, stands in for an
encoder: it is not counted."""

import tempfile
from functools import partial
from pathlib import Path

from hw_sim.benchmarks.rig import Figures, Scale, bench_device, resident_mib


def aims(seconds: int) -> dict[str, str]:
    """For a ring of so many seconds."""
    return {
        f"daemon and libav without frames, no camera, no numpy, {seconds} s (MiB)": "≤ 70",
        f"ring payload, {seconds} s (MiB)": "",
        f"resident after the evictions, {seconds} s (MiB)": "≤ the limit",
        f"resident after a recording too, {seconds} s (MiB)": "≤ the limit",
        f"(resident − base) / payload, {seconds} s": "≤ 1.06",
        f"limit: base + two segments + 1.06 × payload, {seconds} s (MiB)": "",
    }


def memory(seconds: int, scale: Scale) -> Figures:
    """Resident memory of the daemon that has evicted so many frames, against its ring's payload."""
    with tempfile.TemporaryDirectory() as folder:
        device, clip = bench_device(Path(folder), scale.camera, audio=False, pre_event_s=seconds)
        warm_muxer(clip[0].data)
        clip_mib = sum(len(frame.data) for frame in clip) / 1048576
        base_mib = resident_mib() - clip_mib
        device.run(scale.evictions / scale.camera["rate_hz"] + seconds + 1)
        ring = device.daemon.ring
        payload_mib = ring.payload_bytes / 1048576
        assert ring.evicted_frames >= scale.evictions
        full_mib = resident_mib() - clip_mib
        device.record(5)
        recorded_mib = resident_mib() - clip_mib
        segments_mib = 2 * scale.camera["bitrate_bps"] / 8 / 1048576
        device.stop()
        over = (full_mib - base_mib) / payload_mib
        limit_mib = base_mib + segments_mib + 1.06 * payload_mib
        figures = (base_mib, payload_mib, full_mib, recorded_mib, over, limit_mib)
        return dict(zip(aims(seconds), figures, strict=True))


memory_30 = partial(memory, 30)
memory_120 = partial(memory, 120)


def warm_muxer(keyframe: bytes) -> None:
    """Load libav and use it once, as the first recording does: it belongs to the base."""
    from device.media.fmp4 import Muxer
    from device.media.frames import CaptureFlags, Frame, parameter_sets
    from device.media.picture import picture_of

    frame = Frame(keyframe, 0, 0, True, CaptureFlags("street"))
    sets = parameter_sets(keyframe)
    assert sets is not None, "a keyframe has its parameter sets"
    Muxer(frame, sets, None).fragment(1, [picture_of(frame)], [], 33_333)

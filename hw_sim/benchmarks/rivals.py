"""picamera2's own way to keep the time before a press: `CircularOutput2` into a `PyavOutput`, driven by our frames.

The two classes are plain Python. `make bench` installs picamera2 beside this environment (`FOLDER`), for the benchmark alone;
they are imported without the rest of it, which needs libcamera. Where it is not there, the figures are `nan`. Nothing of it is
copied. Neither class syncs: what is durable when, only the kernel knows.
"""

import importlib
import os
import sys
import tempfile
import time
import types
from pathlib import Path
from typing import IO, Any

from hw_sim.benchmarks.rig import FULL_HD, Figures, Scale, make_clip

FOLDER = Path(sys.prefix) / "bench"
BUFFER_S = 30
AIMS = {
    "picamera2: press to the whole past written (s)": "",
    "picamera2: stop() to closed, the buffer flushed (ms)": "",
    "picamera2: close_output() to closed (ms)": "",
    "picamera2: the newest that close_output() drops (s)": "",
}


def outputs() -> tuple[Any, Any] | None:
    """`CircularOutput2` and `PyavOutput`; None where picamera2 is not installed for the benchmark."""
    whole = FOLDER / "picamera2"
    if not whole.is_dir():
        return None
    for name, folder in (("picamera2", whole), ("picamera2.outputs", whole / "outputs")):
        package = types.ModuleType(name)
        package.__path__ = [str(folder)]
        sys.modules.setdefault(name, package)
    circular = importlib.import_module("picamera2.outputs.circularoutput2").CircularOutput2
    return circular, importlib.import_module("picamera2.outputs.pyavoutput").PyavOutput


def circular(scale: Scale) -> Figures:
    """Frames come by their timestamps, not in real time: a buffer drains by these. The work between is what is timed."""
    classes = outputs()
    if classes is None:
        return dict.fromkeys(AIMS, float("nan"))
    with tempfile.TemporaryDirectory() as folder:
        past = _Circular(classes, Path(folder), scale)
        past.feed(BUFFER_S + 2)
        press_us = past.now_us
        past.open("flushed.mp4")
        past.feed_until_written(press_us)
        waited_s = (past.now_us - press_us) / 1_000_000 + past.spent_s
        flushed_ms = past.closed_after(past.buffer.stop)
        past = _Circular(classes, Path(folder), scale)
        past.feed(BUFFER_S + 2)
        past.open("dropped.mp4")
        past.feed(BUFFER_S + 5)
        dropped_s = (past.now_us - past.written_us) / 1_000_000
        dropped_ms = past.closed_after(past.buffer.close_output)
        return dict(zip(AIMS, (waited_s, flushed_ms, dropped_ms, dropped_s), strict=True))


class _Circular:
    """The buffer, a clip fed into it round and round, and how far its output has been written."""

    def __init__(self, classes: tuple[Any, Any], folder: Path, scale: Scale) -> None:
        circular_output, self._pyav_output = classes
        self._folder = folder
        self._camera = scale.camera
        self._clip = make_clip(folder, scale.camera)
        self._count = 0
        self.now_us = self.written_us = 0
        self.spent_s = 0.0
        self.buffer = circular_output(buffer_duration_ms=BUFFER_S * 1000)
        self.buffer.start()
        self.buffer._add_stream("video", "h264", width=self._camera["width"], height=self._camera["height"])  # noqa: SLF001

    def feed(self, seconds: float) -> None:
        end_us = self.now_us + round(seconds * 1_000_000)
        while self.now_us < end_us:
            self._feed_one()

    def feed_until_written(self, at_us: int) -> None:
        """Until every frame up to this time has been given to the output; what that took is in `spent_s`."""
        begun = time.perf_counter()
        while self.written_us < at_us - 1_000_000 // self._camera["rate_hz"]:
            self._feed_one()
        self.spent_s = time.perf_counter() - begun

    def open(self, name: str) -> None:
        self._path = self._folder / name
        output = self._pyav_output(str(self._path))
        write = output.outputframe

        def outputframe(frame: bytes, keyframe: bool, timestamp: int, *rest: object) -> None:
            write(frame, keyframe, timestamp, *rest)
            self.written_us = self.buffer._time_offset + timestamp  # noqa: SLF001 - it counts from its first keyframe

        output.outputframe = outputframe
        self.buffer.open_output(output)

    def closed_after(self, close: Any) -> float:
        """Milliseconds until the file is closed, and then synced by us."""
        begun = time.perf_counter()
        close()
        descriptor = os.open(self._path, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)
        return (time.perf_counter() - begun) * 1000

    def _feed_one(self) -> None:
        frame = self._clip[self._count % len(self._clip)]
        self.now_us = self._count * 1_000_000 // self._camera["rate_hz"]
        self.buffer.outputframe(frame.data, frame.keyframe, self.now_us)
        self._count += 1


def record(path: str, buffer_s: float, frames: IO[bytes]) -> None:
    """A program: frames from a pipe, each behind `size keyframe at_us` on a line, through picamera2's outputs into a file."""
    classes = outputs()
    assert classes is not None, "picamera2 is installed for the benchmark"
    buffer = classes[0](buffer_duration_ms=round(buffer_s * 1000))
    buffer.start()
    buffer._add_stream("video", "h264", width=FULL_HD["width"], height=FULL_HD["height"])  # noqa: SLF001
    buffer.open_output(classes[1](path))
    while line := frames.readline():
        size, keyframe, at_us = map(int, line.split())
        buffer.outputframe(frames.read(size), bool(keyframe), at_us)

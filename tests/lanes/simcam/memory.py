"""picamera2's allocator over memory files, where there is no DMA heap."""

import mmap
import os
from typing import Any

import libcamera
from picamera2.allocators.allocator import Allocator, Sync


class MemoryFiles(Allocator):  # type: ignore[misc]
    """One file a buffer, which holds its planes one after the other."""

    class Mapped(Sync):  # type: ignore[misc]
        """Memory needs no synchronising."""

        def __init__(self, allocator: "MemoryFiles", buffer: Any, write: bool) -> None:
            super().__init__(allocator, buffer, write)
            self._mapped = allocator.mapped_buffers[buffer]

        def __enter__(self) -> mmap.mmap:
            return self._mapped

        def __exit__(self, *failure: object) -> None: ...

    def __init__(self) -> None:
        super().__init__()
        self.sync = self.Mapped
        self.mapped_buffers: dict[Any, mmap.mmap] = {}
        self._buffers: dict[Any, list[Any]] = {}
        self._files: list[int] = []

    def allocate(self, libcamera_config: Any, use_case: str | None) -> None:
        self.close()
        for stream in libcamera_config:
            self._buffers[stream.stream] = [self._buffer(stream) for _ in range(stream.buffer_count)]

    def buffers(self, stream: Any) -> list[Any]:
        return self._buffers[stream]

    def close(self) -> None:
        self.mapped_buffers.clear()
        self._buffers.clear()
        while self._files:
            os.close(self._files.pop())

    def __del__(self) -> None:
        self.close()

    def _buffer(self, stream: Any) -> Any:
        luma_bytes = stream.stride * stream.size.height
        sizes = [luma_bytes, luma_bytes // 2] if str(stream.pixel_format) == "NV12" else [stream.frame_size]
        file = os.memfd_create("picture")
        self._files.append(file)
        os.ftruncate(file, sum(sizes))
        planes, offset = [], 0
        for size in sizes:
            plane = libcamera.FrameBuffer.Plane()
            plane.fd, plane.offset, plane.length = file, offset, size
            planes.append(plane)
            offset += size
        buffer = libcamera.FrameBuffer(planes)
        self.mapped_buffers[buffer] = mmap.mmap(file, sum(sizes))
        return buffer

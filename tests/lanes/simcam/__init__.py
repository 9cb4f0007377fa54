"""The real picamera2 on the real libcamera with its `virtual` pipeline, on a machine without a camera: only what stands
between them and devices that are not here is replaced.

`install` before picamera2 is first imported, in a process of its own:
1. `pykms` is a stub: picamera2 imports its preview for a screen whether there is one or not.
2. buffers are memory files, not pieces of a DMA heap.
3. `_get_raw_modes` answers for a camera without raw streams.
4. the camera is paced: the virtual one gives pictures as fast as they are asked for, whatever frame duration is set, and
   stamps each when it is asked for. The pace is also where a test makes the camera fall silent, hang or fail.
"""

import os
import sys
import types
from typing import Any

from tests.lanes.simcam.faults import Faults

FAULTS = Faults()
"""What a test puts wrong with the camera of this process."""


class _Names:
    """Whatever is asked for, by its name."""

    def __getattr__(self, name: str) -> str:
        return name


def install() -> None:
    """Once a process."""
    assert "picamera2" not in sys.modules, "picamera2 is imported already"
    pykms = types.ModuleType("pykms")
    vars(pykms)["PixelFormat"] = _Names()
    sys.modules["pykms"] = pykms
    os.environ.setdefault("LIBCAMERA_LOG_LEVELS", "*:ERROR")

    import libcamera
    import picamera2.picamera2 as stack

    from tests.lanes.simcam.memory import MemoryFiles
    from tests.lanes.simcam.paced import PacedCamera, follow_frame_durations

    def raw_modes(self: Any) -> list[dict[str, Any]]:
        configuration = self.camera.generate_configuration([libcamera.StreamRole.VideoRecording])
        offered = configuration.at(0).formats
        return [
            {"format": str(pixels), "size": (size.width, size.height)}
            for pixels in offered.pixel_formats
            for size in offered.sizes(pixels) or [configuration.at(0).size]
        ]

    grab = stack.Picamera2._grab_camera
    stack.DmaAllocator = MemoryFiles
    stack.Picamera2._get_raw_modes = raw_modes
    stack.Picamera2._grab_camera = lambda self, index: PacedCamera(grab(self, index), FAULTS)
    follow_frame_durations(libcamera.Request, FAULTS)

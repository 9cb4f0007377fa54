"""What this machine has to encode H.264 with: asked of the kernel, before anything is tried.

picamera2's own guess is never used: it looks at `/dev/video*` alone, and where a sandbox hides these it takes every board
for one with the hardware encoder. Here sysfs says whether there is one, the device tree which board it is. Whoever
starts the camera calls it, on any thread; nothing is opened.
"""

import os
import re
from pathlib import Path
from typing import Literal

from device.errors import HardwareFailed

EncoderKind = Literal["v4l2", "libav"]

CODEC_NODE = "dev/video11"
"""picamera2 opens no other."""
CODEC_SYSFS = "sys/class/video4linux/video11/name"
CODEC_NAME = "bcm2835-codec-encode"
MODEL = "proc/device-tree/model"
WITH_HARDWARE_ENCODER = re.compile(r"Raspberry Pi (Zero|[1234]|400|Compute Module [134])\b")


def encoder_kind(root: Path = Path("/")) -> EncoderKind:
    """`v4l2` where the kernel has the codec (Zero 2 W, 3, 4), else `libav` (5, and what is no Pi).

    `HardwareFailed` where the codec should be there and is not, or may not be opened: on such a board libx264 would take
    the whole processor, so it is never a way out.
    """
    if _text(root / CODEC_SYSFS) == CODEC_NAME:
        if os.access(root / CODEC_NODE, os.R_OK | os.W_OK):
            return "v4l2"
        raise HardwareFailed(
            f"this machine has the H.264 encoder {CODEC_NAME}, and /{CODEC_NODE} can't be opened for reading and writing: "
            "let the service's device policy and its groups (video) reach it"
        )
    model = _text(root / MODEL)
    if WITH_HARDWARE_ENCODER.match(model):
        raise HardwareFailed(
            f"this machine is a {model}, and its H.264 encoder {CODEC_NAME} is not at /{CODEC_SYSFS}: load the module "
            "bcm2835-codec, and let the service see /sys"
        )
    return "libav"


def pipeline(kind: EncoderKind) -> str:
    """The folder of libcamera's tuning files for this machine."""
    return "vc4" if kind == "v4l2" else "pisp"


def _text(path: Path) -> str:
    """What the kernel says there; "" where there is no such file. The device tree ends its words with a zero."""
    try:
        return path.read_text("utf-8", "replace").strip("\0\n ")
    except OSError:
        return ""

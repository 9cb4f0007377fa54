"""Frames: what encoders give, as the rest of the product sees it.

A video frame is one H.264 access unit in Annex B; an audio frame is one raw AAC packet. Times are boot-clock µs of
capture: of the exposure for video, of the first sample for audio.
"""

import msgspec

PACKET_SAMPLES = 1024
"""Samples of a packet of AAC."""
_START_CODE = b"\x00\x00\x01"
_NAL_SPS = 7
_NAL_PPS = 8
_NAL_SLICES = range(1, 6)


class CaptureFlags(msgspec.Struct, frozen=True, gc=False):
    """What the policy in force said at a moment of capture (E1). `video` and `audio` say what may be held at all,
    `pre_video` and `pre_audio` what a later press may reach back to."""

    zone: str
    muted: bool = False
    paused: bool = False
    video: bool = True
    audio: bool = True
    pre_video: bool = True
    pre_audio: bool = True


class Frame(msgspec.Struct, frozen=True, gc=False):
    """One encoded video frame or audio packet. `number` counts every frame of its track since the ring began."""

    data: bytes
    at_us: int
    number: int
    keyframe: bool
    flags: CaptureFlags


class ParameterSets(msgspec.Struct, frozen=True, gc=False):
    """The SPS and PPS that frames are decoded with, without start codes."""

    sps: bytes
    pps: bytes

    def annex_b(self) -> bytes:
        return b"\x00" + _START_CODE + self.sps + b"\x00" + _START_CODE + self.pps


def parameter_sets(access_unit: bytes) -> ParameterSets | None:
    """The parameter sets that stand before the first slice of an Annex B access unit; None when either is absent.

    Reads headers only: it stops at the first slice, so a large picture costs no more than a small one.
    """
    found: dict[int, bytes] = {}
    begin = access_unit.find(_START_CODE)
    while begin >= 0:
        begin += len(_START_CODE)
        kind = access_unit[begin] & 0x1F if begin < len(access_unit) else 0
        if kind in _NAL_SLICES:
            break
        end = access_unit.find(_START_CODE, begin)
        found[kind] = (access_unit[begin:end] if end >= 0 else access_unit[begin:]).rstrip(b"\x00")
        begin = end
    if _NAL_SPS not in found or _NAL_PPS not in found:
        return None
    return ParameterSets(sps=found[_NAL_SPS], pps=found[_NAL_PPS])

"""A frame taken apart once: the NAL units that are signed, hashed and put into a segment, where they lie. Recorder thread.

Whatever comes after the encoder works on these views; the bytes of a picture are searched for start codes once, and copied
once, into the segment.
"""

import msgspec

from device.media.frames import Frame
from device.media.nal import annex_b_units, begins_gop, is_slice

Unit = bytes | memoryview


class Picture(msgspec.Struct, gc=False):
    """`units` in order, without start codes; media signing puts its own among them. `slices`: those of the encoder that are
    the picture's. The frame is shared by recordings that overlap; the lists are this picture's own."""

    frame: Frame
    units: list[Unit]
    slices: list[Unit]

    @property
    def begins_gop(self) -> bool:
        """Whether nothing before it is needed to decode it."""
        return self.frame.keyframe and any(map(begins_gop, self.slices))


def picture_of(frame: Frame) -> Picture:
    """Not copied. Bytes without a start code have no unit, and between two that touch there is none; `EvidenceError` for
    more units than any picture has."""
    units: list[Unit] = [unit for unit in annex_b_units(frame.data) if unit]
    return Picture(frame, units, list(filter(is_slice, units)))

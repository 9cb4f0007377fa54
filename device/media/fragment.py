"""A movie fragment (ISO/IEC 14496-12): one `moof` for an `mdat`, a run of samples a track. Pure; recorder thread.

Byte for byte what libavformat's muxer makes of the same samples with `frag_custom`, `default_base_moof` and
`frag_discont` (a test compares them), without its copies and without opening a muxer for each segment.
"""

import struct
from collections.abc import Sequence

import msgspec

VIDEO_TRACK = 1
AUDIO_TRACK = 2
_SYNC = 0x02000000
_NOT_SYNC = 0x01010000
_TFHD_FLAGS = 0x020038
"""The base of offsets is the `moof`; a duration, a size and flags that hold where a run says nothing else."""
_OFFSET, _FIRST_FLAGS, _DURATIONS, _SIZES, _FLAGS = 0x001, 0x004, 0x100, 0x200, 0x400
_HEADS = 8 + 16  # moof, mfhd
_TFHD_TFDT = 28 + 20


class Run(msgspec.Struct, gc=False):
    """The samples of one track, at least one: when the first is decoded, how long each lasts (in the track's ticks), its
    bytes, and whether it can be decoded by itself."""

    track: int
    time: int
    durations: list[int]
    sizes: list[int]
    syncs: list[bool]


def head(sequence_number: int, runs: Sequence[Run]) -> bytes:
    """What stands before the samples' bytes: `moof`, and the beginning of `mdat`. The samples follow run by run.

    `struct.error` for a number that has no room.
    """
    described = [_described(run) for run in runs]
    moof_bytes = _HEADS + sum(8 + _TFHD_TFDT + 20 + 4 * len(fields) for *_, fields in described)
    parts = [struct.pack(">I4sI4sII", moof_bytes, b"moof", 16, b"mfhd", 0, sequence_number)]
    offset = moof_bytes + 8
    for run, (default, flags, fields) in zip(runs, described, strict=True):
        trun_bytes = 20 + 4 * len(fields)
        parts += [
            struct.pack(">I4s", 8 + _TFHD_TFDT + trun_bytes, b"traf"),
            struct.pack(">I4s5I", 28, b"tfhd", _TFHD_FLAGS, run.track, run.durations[0], run.sizes[0], default),
            struct.pack(">I4sIQ", 20, b"tfdt", 0x01000000, run.time),
            struct.pack(f">I4s{3 + len(fields)}I", trun_bytes, b"trun", flags, len(run.sizes), offset, *fields),
        ]
        offset += sum(run.sizes)
    return b"".join([*parts, struct.pack(">I4s", offset - moof_bytes, b"mdat")])


def _described(run: Run) -> tuple[int, int, list[int]]:
    """Of a run: the marks that hold unless it says otherwise (the second sample's: the first is often a keyframe), its
    flags, and its fields but for count and offset. What is the same for all samples is said once."""
    marks = [_SYNC if sync else _NOT_SYNC for sync in run.syncs]
    default = marks[1] if len(marks) > 1 else _SYNC if run.track == AUDIO_TRACK else _NOT_SYNC
    flags = _OFFSET
    columns: list[list[int]] = []
    first: list[int] = []
    if any(duration != run.durations[0] for duration in run.durations):
        flags |= _DURATIONS
        columns.append(run.durations)
    if any(size != run.sizes[0] for size in run.sizes):
        flags |= _SIZES
        columns.append(run.sizes)
    if any(mark != default for mark in marks[1:]):
        flags |= _FLAGS
        columns.append(marks)
    elif marks[0] != default:
        flags |= _FIRST_FLAGS
        first.append(marks[0])
    return default, flags, first + [field for sample in zip(*columns, strict=True) for field in sample]

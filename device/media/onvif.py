"""ONVIF Media Signing 26.06, the signing side: frames in, frames that carry signature SEIs out. Pure; recorder thread.

Every GOP gets a SEI with the hashes of its NAL units. A signed SEI stands at the end of its own GOP, in the last access
unit: a clip cut between two GOPs, a recording that a power cut ended and the last GOP of all carry their whole proof. A
SEI without signature stands after the next GOP's first picture and is hashed with that GOP, whose SEI then vouches for
it; the last one of a group is always signed.

How many GOPs one signature is for follows from how long signing takes: what waits is signed with as many signatures as
fit into a fiftieth of the time that it shows, and one at least in eight. In real time each segment comes alone, and each
has its own.
"""

import hashlib
from collections.abc import Callable, Sequence

import msgspec

from device.media.frames import Frame
from device.media.nal import DELIMITER, START_CODE, annex_b_units, begins_gop, is_slice, unit_type
from device.media.onvif_sei import HASH_BYTES, General, Vendor, document, finished

SHARE = 50
"""Of the time shown, at most one part in so many goes into signatures while catching up."""
MAX_GOPS = 8
"""For which one signature stands: a reader keeps what waits for it."""
MAX_UNITS = 300
"""Hashed in one SEI: longer GOPs (10 s) are signed in parts. The reference validator holds no more than 600 hashes."""
VENDOR_EVERY = 10
"""SEIs, the first among them: what the device says of itself adds nothing to the proof. The certificate is in each."""
NO_HASH = bytes(HASH_BYTES)


class Cut(msgspec.Struct, frozen=True):
    """The video of one segment, in order; `end_us` is the boot time at which its last frame ends."""

    video: Sequence[Frame]
    end_us: int


class Signature(msgspec.Struct, frozen=True):
    """Who signs. `sign` gives an ECDSA signature on P-256 over the SHA-256 of a message, in DER; `chain` is PEM, the
    leaf first, without the CA; `now_us` tells how long it took."""

    sign: Callable[[bytes], bytes]
    chain: bytes
    vendor: Vendor
    now_us: Callable[[], int]


class Progress(msgspec.Struct, frozen=True):
    """How far a recording is signed: the number of the last part, its first hash, the hash of its GOP's first slice, and
    how long the last signature took (µs)."""

    counter: int = 0
    linked: bytes = NO_HASH
    anchor: bytes = NO_HASH
    took_us: int = 0


class _Part(msgspec.Struct, frozen=True):
    """A GOP, or a part of one: places of its frames in the group's list, and what follows."""

    first: int
    last: int
    end_us: int
    partial: bool


def sign_cuts(
    cuts: Sequence[Cut], progress: Progress, signature: Signature, utc_offset_us: int, pps: bytes
) -> tuple[list[list[Frame]], Progress]:
    """The same frames, cut by cut, with SEIs; and how far it is then. `utc_offset_us`: wall time less boot time;
    `pps`: the recording's picture parameter set.

    Nothing is remembered here: a group that could not be written is signed again from the old `Progress`.
    """
    frames = [frame for cut in cuts for frame in cut.video]
    parts = _parts(cuts)
    waiting = b""
    waiting_since = 0
    for n, part in enumerate(parts):
        hashes, anchor = _hashes(frames[part.first : part.last + 1], progress.anchor, waiting)
        if waiting and part.first < part.last:
            frames[part.first + 1] = _before(frames[part.first + 1], waiting)
        elif waiting:
            frames[part.first] = _behind(frames[part.first], waiting, pps)
        general = General(
            counter=progress.counter + 1,
            partial=part.partial,
            start_us=frames[part.first].at_us + utc_offset_us,
            end_us=part.end_us + utc_offset_us,
            units=len(hashes),
            gop_hash=_sha256(b"".join(hashes)),
            linked=progress.linked,
        )
        progress = msgspec.structs.replace(
            progress, counter=general.counter, linked=next(iter(hashes), NO_HASH), anchor=anchor
        )
        shown_us = part.end_us - frames[parts[waiting_since].first].at_us
        due = shown_us >= SHARE * progress.took_us or n - waiting_since + 1 >= MAX_GOPS
        if due or part.partial or n == len(parts) - 1:
            begun_us = signature.now_us()
            vendor = signature.vendor if general.counter % VENDOR_EVERY == 1 else None
            written = document(general, hashes, vendor, signature.chain, signed=True)
            unit = finished(written, signature.sign(written))
            progress = msgspec.structs.replace(progress, took_us=signature.now_us() - begun_us)
            frames[part.last] = _behind(frames[part.last], unit, pps)
            waiting, waiting_since = b"", n + 1
        else:
            waiting = finished(document(general, hashes, None, b"", signed=False), b"")
    ordered = iter(frames)
    return [[next(ordered) for _ in cut.video] for cut in cuts], progress


def _parts(cuts: Sequence[Cut]) -> list[_Part]:
    """GOP by GOP, none across two cuts: a cut that does not begin with a keyframe goes on with the GOP before."""
    parts: list[_Part] = []
    offset = 0
    for cut in cuts:
        begins = [0]
        units = 0
        for n, frame in enumerate(cut.video):
            count = sum(map(is_slice, annex_b_units(frame.data)))
            if n and (_begins_gop(frame) or units + count > MAX_UNITS):
                begins.append(n)
                units = 0
            units += count
        for begin, end in zip(begins, [*begins[1:], len(cut.video)], strict=True):
            if begin == end:
                continue
            last = end == len(cut.video)
            end_us = cut.end_us if last else cut.video[end].at_us
            partial = not last and not _begins_gop(cut.video[end])
            parts.append(_Part(offset + begin, offset + end - 1, end_us, partial))
        offset += len(cut.video)
    return parts


def _begins_gop(frame: Frame) -> bool:
    return frame.keyframe and any(map(begins_gop, annex_b_units(frame.data)))


def _hashes(frames: Sequence[Frame], anchor: bytes, waiting: bytes) -> tuple[tuple[bytes, ...], bytes]:
    """The hashes of a part's slices in order, and of the SEI that waits to be put behind its first picture."""
    hashes = []
    for n, frame in enumerate(frames):
        for unit in annex_b_units(frame.data):
            if not is_slice(unit):
                continue
            hashed = _sha256(unit)
            if begins_gop(unit):
                anchor = hashed
                hashes.append(hashed)
            else:
                hashes.append(_sha256(anchor + hashed))
        if n == 0 and waiting:
            hashes.append(_sha256(waiting))
    return tuple(hashes), anchor


def _before(frame: Frame, unit: bytes) -> Frame:
    """The frame with a unit before its picture, after its access unit delimiter if it has one."""
    first = next(annex_b_units(frame.data), memoryview(b""))
    at = frame.data.index(bytes(first)) + len(first) if unit_type(first) == DELIMITER else 0
    return msgspec.structs.replace(frame, data=frame.data[:at] + START_CODE + unit + frame.data[at:])


def _behind(frame: Frame, unit: bytes, pps: bytes) -> Frame:
    """The frame with a unit behind its picture: the repeated picture parameter set tells decoders that what follows
    belongs to what comes next, as it does in a byte stream; without it some complain of a late SEI."""
    return msgspec.structs.replace(frame, data=b"".join((frame.data, START_CODE, pps, START_CODE, unit)))


def _sha256(data: bytes | memoryview) -> bytes:
    return hashlib.sha256(data).digest()

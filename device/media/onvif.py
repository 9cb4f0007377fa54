"""ONVIF Media Signing 26.06, the signing side: frames in, frames that carry signature SEIs out. Pure; recorder thread.

Every GOP gets a SEI with the hashes of its NAL units. A signed SEI stands at the end of its own GOP, in the last access
unit: a clip cut between two GOPs, a recording that a power cut ended and the last GOP of all carry their whole proof. A
SEI without signature stands after the next GOP's first picture and is hashed with that GOP, whose SEI then vouches for
it; the last one of a group is always signed.

How many GOPs one signature is for follows from how long signing takes: what waits is signed with as many signatures as
fit into a fiftieth of the time that it shows, and one at least in eight. In real time each segment comes alone, and each
has its own.
"""

import itertools
from collections.abc import Callable, Sequence
from hashlib import sha256

import msgspec

from device.media.frames import Frame
from device.media.nal import DELIMITER, begins_gop, unit_type
from device.media.onvif_sei import HASH_BYTES, General, Vendor, document, finished
from device.media.picture import Picture, picture_of

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
) -> tuple[list[list[Picture]], Progress]:
    """The pictures, cut by cut, with SEIs; and how far it is then. `utc_offset_us`: wall time less boot time;
    `pps`: the recording's picture parameter set.

    Nothing is remembered here: a group that could not be written is signed again from the old `Progress`.
    """
    video = [[picture_of(frame) for frame in cut.video] for cut in cuts]
    pictures = list(itertools.chain.from_iterable(video))
    parts = _parts(cuts, video)
    waiting = b""
    waiting_since = 0
    for n, part in enumerate(parts):
        hashes, anchor = _hashes(pictures[part.first : part.last + 1], progress.anchor, waiting)
        if waiting and part.first < part.last:
            _put_before(pictures[part.first + 1], waiting)
        elif waiting:
            _put_behind(pictures[part.first], waiting, pps)
        general = General(
            counter=progress.counter + 1,
            partial=part.partial,
            start_us=pictures[part.first].frame.at_us + utc_offset_us,
            end_us=part.end_us + utc_offset_us,
            units=len(hashes),
            gop_hash=sha256(b"".join(hashes)).digest(),
            linked=progress.linked,
        )
        progress = msgspec.structs.replace(
            progress, counter=general.counter, linked=next(iter(hashes), NO_HASH), anchor=anchor
        )
        shown_us = part.end_us - pictures[parts[waiting_since].first].frame.at_us
        due = shown_us >= SHARE * progress.took_us or n - waiting_since + 1 >= MAX_GOPS
        if due or part.partial or n == len(parts) - 1:
            begun_us = signature.now_us()
            vendor = signature.vendor if general.counter % VENDOR_EVERY == 1 else None
            written = document(general, hashes, vendor, signature.chain, signed=True)
            unit = finished(written, signature.sign(written))
            progress = msgspec.structs.replace(progress, took_us=signature.now_us() - begun_us)
            _put_behind(pictures[part.last], unit, pps)
            waiting, waiting_since = b"", n + 1
        else:
            waiting = finished(document(general, hashes, None, b"", signed=False), b"")
    return video, progress


def _parts(cuts: Sequence[Cut], video: Sequence[Sequence[Picture]]) -> list[_Part]:
    """GOP by GOP, none across two cuts: a cut that does not begin with a keyframe goes on with the GOP before."""
    parts: list[_Part] = []
    offset = 0
    for cut, pictures in zip(cuts, video, strict=True):
        begins = [0]
        units = 0
        for n, picture in enumerate(pictures):
            count = len(picture.slices)
            if n and (picture.begins_gop or units + count > MAX_UNITS):
                begins.append(n)
                units = 0
            units += count
        for begin, end in zip(begins, [*begins[1:], len(cut.video)], strict=True):
            if begin == end:
                continue
            last = end == len(cut.video)
            end_us = cut.end_us if last else cut.video[end].at_us
            partial = not last and not pictures[end].begins_gop
            parts.append(_Part(offset + begin, offset + end - 1, end_us, partial))
        offset += len(cut.video)
    return parts


def _hashes(pictures: Sequence[Picture], anchor: bytes, waiting: bytes) -> tuple[tuple[bytes, ...], bytes]:
    """The hashes of a part's slices in order, and of the SEI that waits to be put behind its first picture."""
    hashes = []
    for n, picture in enumerate(pictures):
        for unit in picture.slices:
            hashed = sha256(unit).digest()
            if begins_gop(unit):
                anchor = hashed
                hashes.append(hashed)
            else:
                hashes.append(sha256(anchor + hashed).digest())
        if n == 0 and waiting:
            hashes.append(sha256(waiting).digest())
    return tuple(hashes), anchor


def _put_before(picture: Picture, unit: bytes) -> None:
    """A unit before its slices, after its access unit delimiter if it has one."""
    picture.units.insert(1 if picture.units and unit_type(picture.units[0]) == DELIMITER else 0, unit)


def _put_behind(picture: Picture, unit: bytes, pps: bytes) -> None:
    """A unit behind its slices: the repeated picture parameter set tells decoders that what follows belongs to what comes
    next, as it does in a byte stream; without it some complain of a late SEI."""
    picture.units += [pps, unit]

"""Sound that is in no segment though its recording was on: which, when, and why. The recorder's side; no I/O.

From the moment on from which a recording may keep sound, to its end, all time is in a packet that is kept or in a `Silence` (E5).
A packet lasts as long as its samples; the next may begin `HOLE_US` later without a word, for the times of a sound card are
bent a little to follow the boot clock. `device.evidence.heard` holds a ledger against this.
"""

from collections.abc import Iterator, Sequence

import msgspec

from device.media.frames import PACKET_SAMPLES, Frame
from device.media.held import Refusal

HOLE_US = 10_000
"""Between two packets that follow one another: none is so far apart, and none that is missing is so short."""
POLICY, RESTART, SILENT = "policy", "restart", "silent"


class Silence(msgspec.Struct, frozen=True):
    """See `records.SoundGap`."""

    cause: str
    from_us: int
    to_us: int


class _Stretch(msgspec.Struct, frozen=True):
    """A time of which packets came: kept ("") or not kept, and why."""

    from_us: int
    to_us: int
    cause: str


def packet_us(sample_rate_hz: int) -> int:
    """How long a packet lasts, in µs."""
    return PACKET_SAMPLES * 1_000_000 // sample_rate_hz


class SoundCame(msgspec.Struct, frozen=True):
    """What came to the ring since: packets that may be kept and not, what was refused, when the microphone began anew."""

    kept: Sequence[Frame]
    barred: Sequence[Frame]
    refusals: Sequence[Refusal]
    starts_us: Sequence[int]


def silences(came: SoundCame, from_us: int, to_us: int, lasts_us: int) -> Iterator[Silence]:
    """What is missing between two times; `lasts_us`: a packet. Nothing is said of what follows `to_us`."""
    last: Silence | None = None
    for silence in _pieces(came, from_us, to_us, lasts_us):
        if last is not None and last.cause == silence.cause and silence.from_us - last.to_us <= HOLE_US:
            last = Silence(last.cause, last.from_us, silence.to_us)
            continue
        if last is not None:
            yield last
        last = silence
    if last is not None:
        yield last


def _pieces(came: SoundCame, from_us: int, to_us: int, lasts_us: int) -> Iterator[Silence]:
    at_us = from_us
    for stretch in _stretches(came, lasts_us):
        begins_us, ends_us = max(stretch.from_us, at_us), min(stretch.to_us, to_us)
        if begins_us >= to_us or ends_us <= at_us:
            continue
        if begins_us - at_us > HOLE_US:
            yield _nothing(came, at_us, begins_us)
        if stretch.cause:
            yield Silence(stretch.cause, begins_us, ends_us)
        at_us = ends_us
    if to_us - at_us > HOLE_US:
        yield _nothing(came, at_us, to_us)


def _stretches(came: SoundCame, lasts_us: int) -> list[_Stretch]:
    kept = [_Stretch(packet.at_us, packet.at_us + lasts_us, "") for packet in came.kept]
    barred = [_Stretch(packet.at_us, packet.at_us + lasts_us, POLICY) for packet in came.barred]
    refused = [_Stretch(refusal.from_us, refusal.to_us + lasts_us, refusal.cause) for refusal in came.refusals]
    return sorted(kept + barred + refused, key=lambda stretch: stretch.from_us)


def _nothing(came: SoundCame, from_us: int, to_us: int) -> Silence:
    """No packet came: the microphone was opened anew meanwhile, or was silent all the while."""
    anew = any(from_us < start_us <= to_us for start_us in came.starts_us)
    return Silence(RESTART if anew else SILENT, from_us, to_us)

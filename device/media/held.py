"""What the ring is made of: groups of pictures, recordings' claims on them, and what was refused. Under the ring's lock."""

from collections import deque
from collections.abc import Iterator

import msgspec

from device.media.frames import CaptureFlags, Frame, ParameterSets


class Refusal(msgspec.Struct, frozen=True):
    """A run of frames that arrived and were not held: `full`, `policy`, `keyframe-awaited` (video),
    `time-went-back`, or `time-ahead`: its own time is worth nothing, and those here are of when it came."""

    cause: str
    first_number: int
    last_number: int
    from_us: int
    to_us: int


class Gop:
    """A group of pictures: a keyframe and the frames that lean on it."""

    __slots__ = ("frames", "parameter_sets", "payload_bytes")

    def __init__(self, keyframe: Frame, sets: ParameterSets | None) -> None:
        self.frames = [keyframe]
        self.parameter_sets = sets
        self.payload_bytes = len(keyframe.data)

    @property
    def start_us(self) -> int:
        return self.frames[0].at_us

    @property
    def first_number(self) -> int:
        return self.frames[0].number

    @property
    def last_number(self) -> int:
        return self.frames[-1].number

    def part(self, from_number: int, to_us: int | None) -> list[Frame]:
        """The frames numbered so and up, captured before `to_us`: mostly all."""
        frames = self.frames
        if frames[0].number >= from_number and (to_us is None or frames[-1].at_us < to_us):
            return frames.copy()
        return [f for f in frames if f.number >= from_number and (to_us is None or f.at_us < to_us)]


class Claim:
    """A recording's hold on the ring: everything from `from_us` to `to_us` that it has not yet made durable.

    It begins with a GOP, never within one: `next_video` is at first the number of a keyframe held or to come. `held_us`:
    how far back before the press the pictures reach that were held then.
    """

    def __init__(self, from_us: int, press_us: int, held_us: int, next_video: int, next_audio: int) -> None:
        self.from_us = from_us
        self.press_us = press_us
        self.held_us = held_us
        self.to_us: int | None = None
        self.first_video = next_video
        self.next_video = next_video
        self.next_audio = next_audio

    def needs(self, gop: Gop) -> bool:
        unread = gop.first_number >= self.first_video and gop.last_number >= self.next_video
        return unread and (self.to_us is None or gop.start_us < self.to_us)


def refuse(refusals: deque[Refusal], cause: str, number: int, at_us: int, near_us: int | None) -> None:
    """One more frame that was not held; of the run before it, when it follows that (by no more than `near_us`)."""
    last = refusals[-1] if refusals else None
    follows = last is not None and last.cause == cause and last.last_number == number - 1
    if last is not None and follows and (near_us is None or at_us - last.to_us <= near_us):
        refusals[-1] = Refusal(cause, last.first_number, number, last.from_us, max(last.to_us, at_us))
    else:
        refusals.append(Refusal(cause, number, number, at_us, at_us))


def overlapping(refusals: deque[Refusal], first_number: int, last_number: int) -> Iterator[Refusal]:
    for refusal in refusals:
        if refusal.first_number <= last_number and refusal.last_number >= first_number:
            yield msgspec.structs.replace(
                refusal,
                first_number=max(first_number, refusal.first_number),
                last_number=min(last_number, refusal.last_number),
            )


def before(frame: Frame, to_us: int | None) -> bool:
    return to_us is None or frame.at_us < to_us


def flagged(frame: Frame, flags: CaptureFlags, from_us: int) -> Frame:
    return msgspec.structs.replace(frame, flags=flags) if frame.at_us >= from_us else frame

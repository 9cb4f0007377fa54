"""The pictures and the sound that a ledger's segments say they hold, against what might be held then (E1).

Only the spans are looked at, not the bytes: `verify` holds those against the spans. What might be held when is a function
of the decisions (`SetCapture`), so it is one timeline a run. No I/O.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator

import msgspec

from device.evidence.deeds import Activation
from device.evidence.records import AudioSpan, Segment, VideoSpan
from device.evidence.replay import Era, Taken
from device.policy import commands as do
from device.policy.state import Capture, State, capture

GOP_US = 2_000_000
"""A recording begins with the whole group of pictures that was being captured when its pre-event time began."""
LAG_US = 500_000
"""A decision takes effect at the time of its input; frames between that and the decision may be on the card by then."""
ACROSS_US = 1_000_000
"""A segment ends at the first keyframe that comes so long after its start: it reaches over no longer pause."""
EARLY_US = 100_000
"""A packet of sound that begins so shortly before sound may be held again may be kept: it came out of the encoder after."""
PACKET_SAMPLES = 1024
"""Samples of a packet of AAC."""
MOST_PACKETS_OVER = 5

Held = do.SetCapture | Capture


class _Timeline(msgspec.Struct):
    """From each of `times_us` on, the one of `held` beside it."""

    times_us: list[int]
    held: list[Held]

    def add(self, from_us: int, held: Held) -> None:
        self.times_us.append(max(from_us, self.times_us[-1] if self.times_us else 0))
        self.held.append(held)

    def at(self, at_us: int) -> Held:
        return self.held[max(0, bisect_right(self.times_us, at_us) - 1)]

    def within(self, from_us: int, to_us: int) -> Iterator[tuple[int, int, Held]]:
        """The stretches of a time, and what might be held in each."""
        first = max(0, bisect_right(self.times_us, from_us) - 1)
        for n in range(first, bisect_right(self.times_us, to_us)):
            end_us = self.times_us[n + 1] if n + 1 < len(self.times_us) else to_us
            yield max(from_us, self.times_us[n]), min(to_us, end_us), self.held[n]


class WhatIsHeld:
    """What might be held of what was captured, by run: a watcher of the replay."""

    def __init__(self) -> None:
        self._runs: dict[int, _Timeline] = {}

    def began(self, era: Era, state: State) -> None:
        if era.epoch.boot.reason != "write-failed" or era.run not in self._runs:
            self._runs.setdefault(era.run, _Timeline([], [])).add(state.now_us, capture(state, era.policy))

    def took(self, taken: Taken) -> None:
        for decided in taken.recorded:
            if isinstance(decided, do.SetCapture):
                self._runs[taken.era.run].add(decided.at_us, decided)

    def ended(self, era: Era, state: State) -> None: ...

    def seen_us(self, activation: Activation, to_us: int) -> int:
        """For how long pictures might be held, from the start of a recording on: not in a pause."""
        from_us = activation.opened.at_us
        until_us = max(from_us, to_us if activation.close is None else min(to_us, activation.close.to_us))
        stretches = self._runs[activation.run].within(from_us, until_us)
        return sum(to - start for start, to, held in stretches if held.video)

    def beyond(self, activation: Activation, segments: list[Segment], sample_rate_hz: int) -> list[str]:
        """What these segments hold that was not to be held: the first of each kind."""
        judge = _Judge(activation, self._runs[activation.run], sample_rate_hz)
        found: dict[str, str] = {}
        for segment in segments:
            for kind, what in judge.wrong(segment):
                found.setdefault(kind, f"segment {segment.n}: {what}")
        return list(found.values())


def earliest_us(activation: Activation) -> int:
    """No picture of a recording is older."""
    opened = activation.opened
    return opened.at_us if opened.pre_event == "off" else opened.video_from_us - GOP_US


class _Judge(msgspec.Struct, frozen=True):
    activation: Activation
    timeline: _Timeline
    sample_rate_hz: int

    def wrong(self, segment: Segment) -> Iterator[tuple[str, str]]:
        if segment.video is not None:
            yield from self._video(segment.video)
        if segment.audio is not None:
            yield from self._audio(segment.audio)

    def _video(self, span: VideoSpan) -> Iterator[tuple[str, str]]:
        early_us = earliest_us(self.activation) - span.from_us
        if early_us > 0:
            yield "early-video", f"pictures from {early_us} µs before any of it might be recorded"
        for at_us in (span.from_us, span.last_us):
            if not self._allowed(at_us, self._may_see):
                yield "video", f"a picture of {at_us} µs, when none might be held"
        stretches = self.timeline.within(span.from_us, span.last_us)
        barred_us = sum(to - start for start, to, held in stretches if not held.video)
        if barred_us >= ACROSS_US:
            yield "video", f"it reaches over {barred_us} µs when no picture might be held"
        yield from self._late("pictures", span.last_us)

    def _audio(self, span: AudioSpan) -> Iterator[tuple[str, str]]:
        early_us = self.activation.opened.audio_from_us - span.from_us
        if early_us > 0:
            yield "early-audio", f"sound from {early_us} µs before any might be recorded"
        for at_us in (span.from_us, span.last_us):
            if not self._allowed(at_us, self._may_hear):
                yield "audio", f"sound of {at_us} µs, when none might be held"
        stretches = list(self.timeline.within(span.from_us, span.last_us))
        if self.sample_rate_hz and not all(self._may_hear(from_us, held) for from_us, _, held in stretches):
            heard_us = sum(to - start + LAG_US for start, to, held in stretches if self._may_hear(start, held))
            most = heard_us * self.sample_rate_hz // (PACKET_SAMPLES * 1_000_000) + MOST_PACKETS_OVER
            if span.packets > most:
                what = f"{span.packets} packets of sound, of which {most} fit into the time when any might be held"
                yield "audio", what
        yield from self._late("sound", span.last_us)

    def _late(self, what: str, last_us: int) -> Iterator[tuple[str, str]]:
        close = self.activation.close
        if close is not None and last_us >= close.to_us + LAG_US:
            yield f"late-{what}", f"{what} from {last_us - close.to_us} µs after its decided end"

    def _allowed(self, at_us: int, may: Callable[[int, Held], bool]) -> bool:
        """Whether it might be held; a decision may come a little later than it takes effect, and what is captured too."""
        return any(may(at_us, self.timeline.at(at_us + by_us)) for by_us in (0, -LAG_US, EARLY_US))

    def _may_see(self, at_us: int, held: Held) -> bool:
        return held.video and (at_us >= self.activation.opened.at_us or held.pre_video)

    def _may_hear(self, at_us: int, held: Held) -> bool:
        after = at_us >= self.activation.opened.at_us
        return held.audio and not held.muted and (after or held.pre_audio)

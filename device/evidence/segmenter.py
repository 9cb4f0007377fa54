"""Where one segment ends and the next begins, and what is missing in between. No I/O; recorder thread.

A segment closes at the first keyframe at least 1 s after its start; after 1.5 s without a frame that was kept (also when the
recorder comes by so late that the next is there), or at the recording's end, as it stands. Sound that is there by then goes in, late sound joins a later segment: video never waits. While no
picture comes, sound alone makes segments.

Every frame between a recording's first and its end is in a cut or in a `Missing` (E5): numbers that skip are frames that we
did not keep, a jump in time without one is the camera's.
"""

import itertools

import msgspec

from device.evidence.sound import Silence, SoundCame, silences
from device.media.frames import Frame, ParameterSets
from device.media.held import Claim
from device.media.rates import Rates
from device.media.ring import Ring

SEGMENT_US = 1_000_000
SILENCE_US = 1_500_000
"""No frame kept for so long: what is there is closed as it stands."""
LATE_AUDIO_US = 1_000_000
"""How long the end of a recording waits for its last sound, once its video is in."""


class Missing(msgspec.Struct, frozen=True):
    """Frames in no segment: see `records.Gap`."""

    cause: str
    frames: int
    first: int
    last: int
    from_us: int
    to_us: int


class Cut(msgspec.Struct, frozen=True):
    """One segment's frames, whole GOPs where it closed at a keyframe, and what was missing before or within it: of the
    pictures, judged by frames that come every `period_us`, and of the sound."""

    video: list[Frame]
    audio: list[Frame]
    end_us: int
    missing: list[Missing]
    period_us: int
    silences: list[Silence] = []

    @property
    def start_us(self) -> int:
        return self.video[0].at_us if self.video else self.audio[0].at_us


class Segmenter:
    """Reads one claim in order. `rewind` goes back to what the claim still pins, after a failed write."""

    def __init__(
        self,
        ring: Ring,
        claim: Claim,
        audio_from_us: int,
        rates: Rates,
        packet_us: int,
        continues: "Segmenter | None" = None,
    ) -> None:
        """`packet_us`: how long a packet of sound lasts, 0 without a microphone. `continues`: that of the recording
        before, at whose last durable frame this one goes on."""
        self._ring = ring
        self.claim = claim
        self._audio_from_us = audio_from_us
        self._rates = rates
        self._next_video = claim.next_video
        self._next_audio = claim.next_audio
        self._packet_us = packet_us
        self._after = self._last = self._last_durable = None if continues is None else continues.last_durable
        # A packet that had begun before sound may be kept is left out: up to one is no silence.
        begins_us = max(audio_from_us, claim.from_us) + packet_us
        self._sound_us = self._sound_durable_us = begins_us if continues is None else continues.sound_durable_us
        self.changed_sets = False

    def first_keyframe(self) -> tuple[ParameterSets, Frame] | None:
        """The first frame there is to read, once there is one."""
        for sets, frames in self._unread():
            if sets is not None:
                return sets, frames[0]
        return None

    def next_cut(self, now_us: int, sets: ParameterSets) -> Cut | None:
        """The next segment that can be closed now; None when there is none yet."""
        video, end_us = self._closable(now_us, sets)
        if not video:
            return self._sound_alone(now_us)
        missing = self._missing_around(video)  # first: a rate that is set meanwhile only makes the period longer
        period_us = self._period_us((self._last or video[0]).at_us, video[-1].at_us)
        audio = self._sound_before(end_us)
        cut = Cut(video, audio, end_us, missing, period_us, self._silences(audio))
        self._last = video[-1]
        self._next_video = video[-1].number + 1
        self._next_audio = cut.audio[-1].number + 1 if cut.audio else self._next_audio
        return cut

    def settled(self, cuts: list[Cut]) -> None:
        """These cuts are durable and recorded: the ring may let them go."""
        for cut in cuts:
            next_video = cut.video[-1].number + 1 if cut.video else self.claim.next_video
            next_audio = cut.audio[-1].number + 1 if cut.audio else self.claim.next_audio
            self._last_durable = cut.video[-1] if cut.video else self._last_durable
            self._sound_durable_us = self._sound_ends_us(cut.audio) if cut.audio else self._sound_durable_us
            self._ring.advance(self.claim, next_video, next_audio)

    def rewind(self) -> None:
        """Go back to the last frame that is durable."""
        self._next_video = self.claim.next_video
        self._next_audio = self.claim.next_audio
        self._last = self._last_durable
        self._sound_us = self._sound_durable_us

    def ended(self, now_us: int) -> bool:
        """Whether a claim that has an end has been read to it."""
        to_us = self.claim.to_us
        if to_us is None or not self._video_complete(now_us, to_us) or self._unread():
            return False
        return self._audio_complete(now_us, to_us) and not self._sound_before(to_us)

    def pictures_ended(self, now_us: int) -> bool:
        """Whether a claim that has an end has no picture left to read."""
        to_us = self.claim.to_us
        return to_us is not None and self._video_complete(now_us, to_us) and not self._unread()

    def skip_gop(self) -> None:
        """Go back to the last durable frame, and past the next GOP: it can't be made into a segment."""
        self.rewind()
        unread = self._unread()
        if unread:
            following = unread[1][1][0].number if len(unread) > 1 else unread[0][1][-1].number + 1
            self._ring.advance(self.claim, following, self._next_audio)
            self._next_video = following

    @property
    def last_durable(self) -> Frame | None:
        return self._last_durable

    @property
    def sound_durable_us(self) -> int:
        """Up to here sound is in a durable segment, or in a gap beside one."""
        return self._sound_durable_us

    def silences_at_end(self) -> list[Silence]:
        """What is missing of the sound from the last that was kept to the recording's end."""
        to_us = self.claim.to_us
        return [] if to_us is None else self._silent_to(to_us, [])

    def missing_at_end(self) -> list[Missing]:
        """What is missing of the pictures from the last that was kept to the recording's end: what came and was not kept,
        and what the camera never gave."""
        kept, to_us = self._last, self.claim.to_us
        if kept is None or to_us is None:
            return []
        missing: list[Missing] = []
        number, at_us = kept.number, kept.at_us  # of the newest that is accounted for
        for refusal in self._ring.refusals(number + 1, self._ring.next_video_number):
            if refusal.from_us >= to_us:
                continue
            missing += self._skipped(number + 1, refusal.first_number, at_us, refusal.from_us)
            missing += self._never_came(number, at_us, refusal.first_number, refusal.from_us)
            last = refusal.last_number
            if refusal.to_us >= to_us:
                fit = (to_us - 1 - refusal.from_us) // self._period_us(refusal.from_us, to_us)
                last = min(last, refusal.first_number + fit)
            until_us = min(refusal.to_us, to_us)
            count = last - refusal.first_number + 1
            missing.append(Missing(refusal.cause, count, refusal.first_number, last, refusal.from_us, until_us))
            number, at_us = last, max(at_us, until_us)
        missing += self._skipped(number + 1, self._next_video, at_us, to_us)
        return missing + self._never_came(number, at_us, max(number + 1, self._next_video), to_us)

    def _skipped(self, first: int, until: int, from_us: int, to_us: int) -> list[Missing]:
        """Frames that were held, and that no segment could be made of."""
        if first >= until:
            return []
        return [Missing("keyframe-awaited", until - first, first, until - 1, from_us, to_us)]

    # -- video ----------------------------------------------------------------------------------------------------

    def _unread(self) -> list[tuple[ParameterSets | None, list[Frame]]]:
        """What can be read next. A recording begins with a keyframe that has its parameter sets."""
        unread = self._ring.gops(self.claim, self._next_video)
        if self._last is self._after:
            while unread and (unread[0][0] is None or not unread[0][1][0].keyframe):
                unread.pop(0)
        return unread

    def _closable(self, now_us: int, sets: ParameterSets) -> tuple[list[Frame], int]:
        """The frames of a segment that can be closed, and where it ends; no frames when none can."""
        gathered: list[Frame] = []
        for gop_sets, frames in self._unread():
            starts_anew = frames[0].keyframe
            if starts_anew and gop_sets not in (None, sets):
                self.changed_sets = True
                return gathered, self._ends_us(gathered, frames[0].at_us)
            if starts_anew and gathered and self._long_enough(gathered[0].at_us, frames[0].at_us):
                return gathered, self._ends_us(gathered, frames[0].at_us)
            hole = _hole(gathered, frames)
            if hole is not None:
                gathered += frames[:hole]
                return gathered, self._ends_us(gathered, frames[hole].at_us)
            gathered += frames
        if not gathered:
            return [], 0
        to_us = self.claim.to_us
        at_the_end = to_us is not None and self._video_complete(now_us, to_us)
        if at_the_end or _silent(gathered[-1], now_us):
            return gathered, self._ends_us(gathered, None)
        return [], 0

    def _ends_us(self, gathered: list[Frame], next_us: int | None) -> int:
        """Where the last of these ends: where the next begins, unless that is so late that silence was to close it."""
        last_us = gathered[-1].at_us if gathered else 0
        if next_us is not None and next_us - last_us < SILENCE_US:
            return next_us
        return last_us + self._period_us(last_us, last_us)

    def _long_enough(self, start_us: int, keyframe_us: int) -> bool:
        """A keyframe may come half a period early."""
        return keyframe_us - start_us >= SEGMENT_US - self._period_us(start_us, keyframe_us) // 2

    def _period_us(self, from_us: int, to_us: int) -> int:
        return self._rates.longest_us(from_us, to_us)

    def _video_complete(self, now_us: int, to_us: int) -> bool:
        newest_us = self._ring.newest_video_us
        return (newest_us is not None and newest_us >= to_us) or now_us >= to_us + SILENCE_US

    def _missing_around(self, video: list[Frame]) -> list[Missing]:
        missing: list[Missing] = []
        for before, after in zip([self._last, *video], video, strict=False):
            if before is not None:
                missing += self._missing_between(before, after)
        return missing

    def _missing_between(self, before: Frame, after: Frame) -> list[Missing]:
        """What was refused; what was held and could not begin a recording; what the camera never gave."""

        def gap(cause: str, first: int, last: int) -> Missing:
            return Missing(cause, last - first + 1, first, last, before.at_us, after.at_us)

        missing = []
        first = before.number + 1
        for refusal in self._ring.refusals(first, after.number - 1) if first < after.number else ():
            if refusal.first_number > first:
                missing.append(gap("keyframe-awaited", first, refusal.first_number - 1))
            missing.append(gap(refusal.cause, refusal.first_number, refusal.last_number))
            first = refusal.last_number + 1
        if first < after.number:
            missing.append(gap("keyframe-awaited", first, after.number - 1))
        return missing + self._never_came(before.number, before.at_us, after.number, after.at_us)

    def _never_came(self, number: int, at_us: int, next_number: int, next_us: int) -> list[Missing]:
        """What the camera never gave between a frame and the next one's number and time, or the recording's end."""
        period_us = self._period_us(at_us, next_us)
        expected_us = (next_number - number) * period_us
        never_came = round((next_us - at_us - expected_us) / period_us)
        if never_came < 1:
            return []
        return [Missing("camera", never_came, number, next_number, at_us, next_us)]

    # -- sound ----------------------------------------------------------------------------------------------------

    def _sound_before(self, end_us: int) -> list[Frame]:
        """Unread packets that began before `end_us` and that the recording may keep (E1)."""
        return [packet for packet in self._ring.audio(self.claim, self._next_audio, end_us) if self._may_keep(packet)]

    def _may_keep(self, packet: Frame) -> bool:
        early = packet.at_us < max(self._audio_from_us, self.claim.from_us)
        asked_for = packet.at_us >= self.claim.press_us or packet.flags.pre_audio
        return asked_for and not early and packet.flags.audio and not packet.flags.muted

    def _silences(self, audio: list[Frame]) -> list[Silence]:
        """What is missing before and between these packets, which are kept next."""
        if not audio:
            return []
        ends_us = self._sound_ends_us(audio)
        missing = self._silent_to(ends_us, audio)
        self._sound_us = ends_us
        return missing

    def _silent_to(self, to_us: int, kept: list[Frame]) -> list[Silence]:
        if not self._packet_us:
            return []
        unread = self._ring.audio(self.claim, self._next_audio, to_us)
        came = SoundCame(
            kept=kept,
            barred=[packet for packet in unread if not self._may_keep(packet)],
            refusals=self._ring.sound_refusals(self._sound_us - self._packet_us, to_us),
            starts_us=self._ring.sound_starts_us(),
        )
        return list(silences(came, self._sound_us, to_us, self._packet_us))

    def _sound_ends_us(self, audio: list[Frame]) -> int:
        return audio[-1].at_us + self._packet_us

    def _sound_alone(self, now_us: int) -> Cut | None:
        """Sound while no picture comes, a second at a time, or what is left of it at the recording's end."""
        to_us = self.claim.to_us
        at_the_end = to_us is not None and self._video_complete(now_us, to_us) and self._audio_complete(now_us, to_us)
        if self.changed_sets or not (at_the_end or _silent(self._last, now_us)) or self._unread():
            return None
        audio = self._sound_before(now_us)
        if not audio or (audio[-1].at_us - audio[0].at_us < SEGMENT_US and not at_the_end):
            return None
        silent = self._silences(audio)
        self._next_audio = audio[-1].number + 1
        return Cut([], audio, self._sound_ends_us(audio), [], self._period_us(now_us, now_us), silent)

    def _audio_complete(self, now_us: int, to_us: int) -> bool:
        newest_us = self._ring.newest_audio_us
        return newest_us is None or newest_us >= to_us or now_us >= to_us + LATE_AUDIO_US


def _hole(gathered: list[Frame], frames: list[Frame]) -> int | None:
    """Which of these frames comes after silence that was to close a segment: the recorder came too late to see it."""
    before = [*gathered[-1:], *frames]
    if before[-1].at_us - before[0].at_us < SILENCE_US:
        return None
    late = (
        n for n, (one, next_one) in enumerate(itertools.pairwise(before)) if next_one.at_us - one.at_us >= SILENCE_US
    )
    found = next(late, None)
    return None if found is None else found + 1 - len(gathered[-1:])


def _silent(last_kept: Frame | None, now_us: int) -> bool:
    return last_kept is None or now_us - last_kept.at_us >= SILENCE_US

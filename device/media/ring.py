"""The ring: the last seconds in memory. It is both the pre-event window and the stall buffer.

Encoder threads append; the control thread claims, clears and says what may be held; the recorder thread reads. One
lock is held for a few list operations at a time. Append never waits for anything else and never raises.

Every frame that reaches the ring gets the next number of its track, held or not; a frame not held leaves a `Refusal`
with its cause, so a reader can tell what we let go (E5) from what the camera never gave (a jump in time between two
consecutive numbers).
"""

import threading
from collections import deque
from collections.abc import Callable

from device.clock import NEVER_US
from device.media.frames import CaptureFlags, Frame, ParameterSets, parameter_sets
from device.media.held import Claim, Gop, Refusal, before, flagged, overlapping, refuse

SOUND_NEAR_US = 100_000
"""Packets of sound further apart are not of one run: nothing came in between."""
MOST_STARTS = 1_000
AHEAD_US = 2_000_000
"""What says that it was captured so much after now is refused. What is nearer is kept; those after it may come too early so long."""
LATE_US = 10_000_000
"""What was captured so long ago may still be delivered, and is judged by what the policy said then."""


class Ring:
    """Whole GOPs of video and their audio, bounded by time and by bytes.

    `window_us` is how far back an unclaimed frame is kept; `cap_bytes` bounds the payload; `on_keyframe` is called
    after each keyframe is in, on the encoder's thread, and must not block. `now_us`: the boot clock; without it none is ahead.
    """

    def __init__(
        self,
        window_us: int,
        cap_bytes: int,
        flags: CaptureFlags,
        on_keyframe: Callable[[], None],
        now_us: Callable[[], int] = lambda: NEVER_US,
    ) -> None:
        self.window_us = window_us
        self.cap_bytes = cap_bytes
        self._on_keyframe = on_keyframe
        self._now_us = now_us
        self._lock = threading.Lock()
        self._gops: deque[Gop] = deque()
        self._audio: deque[Frame] = deque()
        self._claims: list[Claim] = []
        self._refusals: deque[Refusal] = deque()
        self._sound_refusals: deque[Refusal] = deque()
        self._sound_starts_us: deque[int] = deque(maxlen=MOST_STARTS)
        self._timeline: list[tuple[int, CaptureFlags]] = [(0, flags)]
        self._next_video = 0
        self._next_audio = 0
        self._awaiting_keyframe: str | None = "keyframe-awaited"
        self._newest_video_us: int | None = None
        self._newest_audio_us: int | None = None
        self.video_ahead_us: int | None = None
        self.audio_ahead_us: int | None = None
        """When a frame was last refused because it was dated far ahead."""
        self._last_gop_bytes = 0
        self._forgotten = -1
        self._cleared_us = 0
        self._sound_cleared_us = 0
        self.payload_bytes = 0
        self.evicted_frames = 0
        self.refused_frames = 0
        self.refused_audio = 0

    # -- encoder threads ------------------------------------------------------------------------------------------

    def append_video(self, data: bytes, at_us: int, keyframe: bool) -> None:
        """Take one video frame. `data` is held as it is; the caller gives up the right to change it."""
        with self._lock:
            number = self._next_video
            self._next_video += 1
            now_us = self._now_us()
            if at_us > now_us + AHEAD_US:
                self.video_ahead_us = now_us
                self._refuse(self._stop_gop("time-ahead"), number, now_us)
                return
            flags = self._flags_at(at_us)
            cause = self._why_not(data, at_us, keyframe, flags)
            self._newest_video_us = max(at_us, self._newest_video_us or at_us)
            if cause is not None:
                self._refuse(cause, number, at_us)
                return
            frame = Frame(data, at_us, number, keyframe, flags)
            self.payload_bytes += len(data)
            if not keyframe:
                gop = self._gops[-1]
                gop.frames.append(frame)
                gop.payload_bytes += len(data)
                return
            self._awaiting_keyframe = None
            self._gops.append(Gop(frame, parameter_sets(data)))
            self._evict()
        self._on_keyframe()

    def append_audio(self, data: bytes, at_us: int, *, anew: bool = False) -> None:
        """Take one audio packet whose first sample was at `at_us`; `anew`: the first since the microphone began anew. One
        that may not be held is let go, and it is remembered why."""
        with self._lock:
            number = self._next_audio
            self._next_audio += 1
            now_us = self._now_us()
            if at_us > now_us + AHEAD_US:
                self.audio_ahead_us = now_us
                self._refuse_sound("time-ahead", number, now_us)
                return
            flags = self._flags_at(at_us)
            cause = self._why_not_sound(data, at_us, flags)
            self._newest_audio_us = max(at_us, self._newest_audio_us or at_us)
            if anew:
                self._sound_starts_us.append(at_us)
            self._evict()
            if cause is not None:
                self._refuse_sound(cause, number, at_us)
                return
            self._audio.append(Frame(data, at_us, number, True, flags))
            self.payload_bytes += len(data)

    def restart_video(self) -> None:
        """The encoder begins anew: nothing leans on the frames before, and none is taken until a keyframe."""
        with self._lock:
            self._awaiting_keyframe = "keyframe-awaited"

    # -- control thread -------------------------------------------------------------------------------------------

    def set_capture(self, flags: CaptureFlags, from_us: int) -> None:
        """What the policy says of frames captured from `from_us` on; frames already here since then are told too.

        Those that it no longer lets be held are let go at once, claimed or not.
        """
        with self._lock:
            self._timeline = [entry for entry in self._timeline if entry[0] < from_us]
            self._timeline.append((from_us, flags))
            self._retell_video(flags, from_us)
            while self._audio and self._audio[-1].at_us >= from_us and not flags.audio:
                packet = self._audio.pop()
                self.payload_bytes -= len(packet.data)
                self._refuse_sound("policy", packet.number, packet.at_us)
            if self._audio and self._audio[-1].at_us >= from_us:
                self._audio = deque(flagged(packet, flags, from_us) for packet in self._audio)

    def clear(self, before_us: int, sound_only: bool = False) -> None:
        """Drop everything that no recording claims, or only its sound. The memory is released, not erased (E6).

        What is left is for the recordings that claim it now: no later claim reaches back past this. What was captured
        before `before_us` and is delivered later is not held, unless it is theirs.
        """
        with self._lock:
            self._sound_cleared_us = max(self._sound_cleared_us, before_us)
            if not sound_only:
                self._cleared_us = max(self._cleared_us, before_us)
                for gop in list(self._gops):
                    self._trim(gop)
                self._forgotten = self._next_video - 1
            claimed = [packet for packet in self._audio if self._audio_claimed(packet)]
            self.payload_bytes -= sum(len(p.data) for p in self._audio) - sum(len(p.data) for p in claimed)
            self._audio = deque(claimed)

    def claim(self, video_from_us: int, press_us: int, nothing_before: bool = False) -> Claim:
        """Pin everything from the GOP that was being captured at `video_from_us` onward, for a press at `press_us`.

        With `nothing_before` a GOP that began earlier is left out, so that no frame from before that time comes along.
        The claim never reaches over frames that were dropped since: nothing would tell of them (E5). Nor over frames
        from before the press that the policy, when they were captured, gave to no later one (E1).
        """
        with self._lock:
            barred = (
                frame.number
                for gop in self._gops
                for frame in gop.frames
                if frame.at_us < self._cleared_us or (frame.at_us < press_us and not frame.flags.pre_video)
            )
            after = max(self._forgotten, max(barred, default=-1))
            whole = [gop for gop in self._gops if gop.first_number > after]
            reaches = (gop.start_us if nothing_before else gop.frames[-1].at_us for gop in whole)
            first = next((gop for gop, at_us in zip(whole, reaches, strict=True) if at_us >= video_from_us), None)
            start_us = first.start_us if first is not None else video_from_us
            sound_from_us = max(start_us, self._sound_cleared_us)
            claim = Claim(
                from_us=start_us,
                press_us=press_us,
                held_us=0 if first is None else max(0, press_us - start_us),
                next_video=first.first_number if first is not None else self._next_video,
                next_audio=next((p.number for p in self._audio if p.at_us >= sound_from_us), self._next_audio),
            )
            self._claims.append(claim)
            return claim

    def close_claim(self, claim: Claim, to_us: int) -> None:
        """The recording ends: frames captured from `to_us` on are not its own."""
        with self._lock:
            claim.to_us = to_us

    # -- recorder thread ------------------------------------------------------------------------------------------

    def gops(self, claim: Claim, from_number: int) -> list[tuple[ParameterSets | None, list[Frame]]]:
        """The claim's video by GOP: frames numbered `from_number` and up, to now or to the claim's end."""
        with self._lock:
            unread = []
            for gop in reversed(self._gops):
                if gop.last_number < from_number:
                    break
                frames = gop.part(from_number, claim.to_us) if claim.needs(gop) else []
                if frames:
                    unread.append((gop.parameter_sets, frames))
            unread.reverse()
            return unread

    def audio(self, claim: Claim, from_number: int, before_us: int) -> list[Frame]:
        """The claim's audio packets numbered `from_number` and up that began before `before_us`."""
        with self._lock:
            return [
                p for p in self._audio if p.number >= from_number and p.at_us < before_us and before(p, claim.to_us)
            ]

    def refusals(self, first_number: int, last_number: int) -> list[Refusal]:
        """What was not held of the video frames numbered so, in order, cut to that range of numbers (times are not)."""
        with self._lock:
            told = overlapping(self._refusals, first_number, last_number)
            return sorted(told, key=lambda refusal: refusal.first_number)

    def sound_refusals(self, from_us: int, to_us: int) -> list[Refusal]:
        """What was not held of the sound of a time, in the order in which it was refused."""
        with self._lock:
            return [refusal for refusal in self._sound_refusals if refusal.from_us < to_us and refusal.to_us >= from_us]

    def sound_starts_us(self) -> list[int]:
        """When the microphone began anew, the last times."""
        with self._lock:
            return list(self._sound_starts_us)

    def advance(self, claim: Claim, next_video: int, next_audio: int) -> None:
        """What came before these numbers is durable: the claim lets it go."""
        with self._lock:
            claim.next_video = max(claim.next_video, next_video)
            claim.next_audio = max(claim.next_audio, next_audio)

    def release(self, claim: Claim) -> None:
        with self._lock:
            self._claims.remove(claim)
            self._evict()

    # -- any thread -----------------------------------------------------------------------------------------------

    @property
    def newest_video_us(self) -> int | None:
        """The capture time of the newest video frame that arrived, held or not."""
        return self._newest_video_us

    def takes_video(self, at_us: int) -> bool:
        """Whether pictures may be held now, and might be at `at_us`."""
        with self._lock:
            return self._timeline[-1][1].video and self._flags_at(at_us).video

    @property
    def newest_audio_us(self) -> int | None:
        """The capture time of the newest audio packet that arrived, held or not."""
        return self._newest_audio_us

    @property
    def next_video_number(self) -> int:
        return self._next_video

    def held_us(self) -> int:
        """How much video is held, from the oldest frame to the newest, in µs."""
        with self._lock:
            return self._gops[-1].frames[-1].at_us - self._gops[0].start_us if self._gops else 0

    # -- with the lock held ---------------------------------------------------------------------------------------

    def _retell_video(self, flags: CaptureFlags, from_us: int) -> None:
        for gop in [gop for gop in self._gops if gop.frames[-1].at_us >= from_us]:
            if flags.video:
                gop.frames = [flagged(frame, flags, from_us) for frame in gop.frames]
                continue
            for frame in [frame for frame in gop.frames if frame.at_us >= from_us]:
                gop.frames.remove(frame)
                gop.payload_bytes -= len(frame.data)
                self.payload_bytes -= len(frame.data)
                self._refuse("policy", frame.number, frame.at_us)
            self._awaiting_keyframe = "policy"
            if not gop.frames:
                self._gops.remove(gop)

    def _flags_at(self, at_us: int) -> CaptureFlags:
        from_us, flags = self._timeline[-1]
        if from_us <= at_us:
            return flags
        return next((flags for from_us, flags in reversed(self._timeline) if from_us <= at_us), self._timeline[0][1])

    def _why_not(self, data: bytes, at_us: int, keyframe: bool, flags: CaptureFlags) -> str | None:
        if self._newest_video_us is not None and at_us <= self._newest_video_us:
            return self._stop_gop("time-went-back")
        if not flags.video or self._came_late(at_us, self._cleared_us):
            return self._stop_gop("policy")
        if not keyframe and self._awaiting_keyframe is not None:
            return self._awaiting_keyframe
        wanted = max(len(data), self._last_gop_bytes) if keyframe else len(data)
        if self.payload_bytes + wanted > self.cap_bytes and not self._make_room(wanted):
            return self._stop_gop("full")
        return None

    def _why_not_sound(self, data: bytes, at_us: int, flags: CaptureFlags) -> str | None:
        if self._newest_audio_us is not None and at_us <= self._newest_audio_us:
            return "time-went-back"
        if not flags.audio or self._came_late(at_us, self._sound_cleared_us):
            return "policy"
        full = self.payload_bytes + len(data) > self.cap_bytes and not self._make_room(len(data))
        return "full" if full else None

    def _came_late(self, at_us: int, cleared_us: int) -> bool:
        """Captured before the ring was cleared, delivered after, and no recording's."""
        return at_us < cleared_us and not any(
            claim.from_us <= at_us and (claim.to_us is None or at_us < claim.to_us) for claim in self._claims
        )

    def _stop_gop(self, cause: str) -> str:
        """Nothing after a missing frame can be decoded until the next keyframe."""
        self._awaiting_keyframe = cause
        return cause

    def _make_room(self, wanted_bytes: int) -> bool:
        self._evict()
        for gop in list(self._gops)[:-1]:
            if self.payload_bytes + wanted_bytes <= self.cap_bytes:
                break
            if not self._claimed(gop):
                self._drop(gop)
        return self.payload_bytes + wanted_bytes <= self.cap_bytes

    def _evict(self) -> None:
        """Let go of what is out of the window and of every claim; of the newest GOP only `clear` does."""
        horizon_us = max(self._newest_video_us or 0, self._newest_audio_us or 0) - self.window_us
        if len(self._gops) > 1:
            self._last_gop_bytes = self._gops[-2].payload_bytes
        for gop in list(self._gops)[:-1]:
            if gop.frames[-1].at_us < horizon_us and not self._claimed(gop):
                self._drop(gop)
        oldest_us = min(
            horizon_us, next((g.start_us for g in self._gops if g.frames[-1].at_us >= horizon_us), horizon_us)
        )
        while self._audio and self._audio[0].at_us < oldest_us and not self._audio_claimed(self._audio[0]):
            self.payload_bytes -= len(self._audio.popleft().data)
        held_from = self._gops[0].first_number if self._gops else self._next_video
        told_from = min([held_from, *(claim.next_video for claim in self._claims)])
        while self._refusals and self._refusals[0].last_number < told_from:
            self._refusals.popleft()
        unread = min((claim.next_audio for claim in self._claims), default=self._next_audio)
        refused = self._sound_refusals
        while refused and refused[0].to_us < oldest_us and refused[0].last_number < unread:
            refused.popleft()
        while len(self._timeline) > 1 and self._timeline[1][0] < oldest_us - LATE_US:
            self._timeline.pop(0)

    def _claimed(self, gop: Gop) -> bool:
        return any(claim.needs(gop) for claim in self._claims)

    def _audio_claimed(self, packet: Frame) -> bool:
        return any(
            packet.number >= claim.next_audio and packet.at_us >= claim.from_us and before(packet, claim.to_us)
            for claim in self._claims
        )

    def _trim(self, gop: Gop) -> None:
        """Drop a GOP, or the end of it, that no claim needs; to the newest GOP nothing is added after that."""
        ends_us = [claim.to_us for claim in self._claims if claim.needs(gop)]
        needed = [frame for frame in gop.frames if any(before(frame, to_us) for to_us in ends_us)]
        if len(needed) == len(gop.frames):
            return
        if gop is self._gops[-1]:
            self._awaiting_keyframe = self._awaiting_keyframe or "policy"
        if not needed:
            self._drop(gop)
            return
        dropped = gop.frames[len(needed) :]
        dropped_bytes = sum(len(frame.data) for frame in dropped)
        gop.frames = needed
        gop.payload_bytes -= dropped_bytes
        self.payload_bytes -= dropped_bytes
        self.evicted_frames += len(dropped)

    def _drop(self, gop: Gop) -> None:
        self._gops.remove(gop)
        self._forgotten = max(self._forgotten, gop.last_number)
        self.payload_bytes -= gop.payload_bytes
        self.evicted_frames += len(gop.frames)

    def _refuse(self, cause: str, number: int, at_us: int) -> None:
        self.refused_frames += 1
        refuse(self._refusals, cause, number, at_us, None)

    def _refuse_sound(self, cause: str, number: int, at_us: int) -> None:
        self.refused_audio += 1
        refuse(self._sound_refusals, cause, number, at_us, SOUND_NEAR_US)

"""The control loop: inputs to the policy machine, its commands to the parts. One thread; it never waits for card or
signer.

The order at every step: the machine decides; the journal's line is queued; then the ring, the camera, the recorder and
the indicators are told. The recorder takes its queue in order, so the journal's line of an activation is durable before
the first byte of the recording (E1).
"""

import logging
from collections import deque
from collections.abc import Callable
from typing import Protocol

import msgspec

from device.clock import NEVER_US, Clock, Wake
from device.controls.board import Board
from device.evidence.adoption import InForce
from device.evidence.orders import (
    CloseOrder,
    EndOrder,
    FaultOrder,
    JournalOrder,
    NoteOrder,
    OpenOrder,
    PolicyOrder,
    StageOrder,
)
from device.evidence.recorder import Recorder
from device.evidence.records import (
    ClockStep,
    Fault,
    Marker,
    Muted,
    Noted,
    Paused,
    PreEvent,
    Record,
    Resumed,
    Unmuted,
)
from device.evidence.steps import PrivateFacts, public_step
from device.media.frames import CaptureFlags
from device.media.held import Claim
from device.media.ring import Ring
from device.policy import commands as do
from device.policy import machine, signals
from device.policy.inputs import (
    Assigned,
    Docked,
    FaultChanged,
    Input,
    PreEventHad,
    RecorderClosed,
    ShutdownAsked,
    Tick,
)
from device.policy.model import Policy
from device.policy.state import Capture, Commands, Phase, State, at_rest, capture
from device.service.notify import Notifier
from device.service.status import Status, StatusFile
from device.watch import Watch

LOOK_EVERY_US = 500_000
LOOK_BEFORE_READY_US = 20_000
"""READY is said with the first frame, not half a second after it."""
WATCHDOG_EVERY_US = 2_000_000

log = logging.getLogger("bodycam")


class Camera(Protocol):
    """What the control loop needs of a camera."""

    def force_keyframe(self) -> None: ...


class Keeping(Protocol):
    """What the control loop needs to know of who keeps the camera running."""

    def at_work(self, now_us: int) -> bool: ...


class Control:
    """The part named `control`. `tell` may be called from any thread."""

    name = "control"

    def __init__(
        self,
        *,
        clock: Clock,
        wake: Wake,
        policy: Policy,
        device: str,
        state: State,
        ring: Ring,
        recorder: Recorder,
        camera: Camera,
        keeper: Keeping,
        watch: Watch,
        board: Board,
        caption: Callable[[State, Policy], None],
        notifier: Notifier,
        status_file: StatusFile,
        on_ready: Callable[[], None],
        on_finished: Callable[[], None],
    ) -> None:
        self._clock = clock
        self._wake = wake
        self._policy = policy
        self._device = device
        self.state = state
        self._ring = ring
        self._recorder = recorder
        self._camera = camera
        self._keeper = keeper
        self._watch = watch
        self._watch.shift_begins(policy.readiness.storage_hours)
        self._board = board
        self._caption = caption
        self._notifier = notifier
        self._status_file = status_file
        self._on_ready = on_ready
        self._on_finished = on_finished
        self._mailbox: deque[tuple[Input, str]] = deque()
        self._claims: dict[int, Claim] = {}
        self._offered: deque[InForce] = deque()
        self._assigned: Assigned | None = None
        self._docked = False
        self._tickets = 0
        self._look_due_us = 0
        self._watchdog_due_us = 0
        self._watched_frame_us: int | None = None
        self._ready_said = False
        self._said = ""

    def tell(self, came: Input, detail: str = "") -> None:
        """Put an input into the mailbox. Never blocks. `detail`: what the record of a fault says beside the input."""
        self._mailbox.append((came, detail))
        self._wake.ring()

    def ask_shutdown(self) -> None:
        self.tell(ShutdownAsked(at_us=self._clock.now_us()))

    def offer_policy(self, offered: InForce) -> None:
        """A policy to take the place of the one in force, as soon as nothing is recorded. Never blocks."""
        self._offered.append(offered)
        self._wake.ring()

    @property
    def camera_needed(self) -> bool:
        """Whether frames are wanted now, or by the next press. Any thread."""
        return self.state.phase is Phase.IDLE or capture(self.state, self._policy).video

    def run_once(self, now_us: int) -> int:
        self._take_policy()
        inputs: list[tuple[Input, str]] = [(came, "") for came in self._board.take(now_us)]
        while self._mailbox:
            inputs.append(self._mailbox.popleft())
        for came, detail in sorted(inputs, key=lambda told: told[0].at_us):
            self._step(came, detail)
        if self._deadline_us() <= now_us:
            self._step(Tick(at_us=now_us))
        if now_us >= self._look_due_us:
            self._look_due_us = now_us + (LOOK_EVERY_US if self._ready_said else LOOK_BEFORE_READY_US)
            self._look(now_us)
        self._board.show(signals.shown(self.state, self._policy))
        self._caption(self.state, self._policy)
        if self.state.finished and self._recorder.ended:
            self._on_finished()
            return NEVER_US
        return min(self._deadline_us(), self._board.play(now_us), self._look_due_us)

    def _deadline_us(self) -> int:
        due_us = machine.next_deadline_us(self.state, self._policy)
        return NEVER_US if due_us is None else due_us

    def _take_policy(self) -> None:
        """A policy changes between recordings, never inside one. What it no longer lets be held is let go."""
        if not self._offered or self._mailbox or not at_rest(self.state):
            return
        offered = self._offered.popleft()
        before, self._policy = self._policy, offered.policy
        self._watch.shift_begins(offered.policy.readiness.storage_hours)
        self.state, commands = machine.take_policy(self.state, before, offered.policy, self._clock.now_us())
        self._recorder.post(PolicyOrder(offered, self.state))
        self._ring.window_us = offered.policy.pre_event.length_s * 1_000_000
        for command in commands:
            self._carry_out(command)
        self._board.say_zone_again(offered.policy.activation.initial_zone)
        if self._assigned is not None:
            self.tell(msgspec.structs.replace(self._assigned, at_us=self._clock.now_us()))
        log.info("policy %s %d", offered.policy.id, offered.policy.version)

    # -- a step -----------------------------------------------------------------------------------------------------

    def _step(self, came: Input, detail: str = "") -> None:
        self.state, commands = machine.step(self.state, came, self._policy)
        journaled = None if isinstance(came, Tick) else came
        if journaled is not None or commands:
            self._journal(journaled, self.state.now_us, commands)
        if isinstance(came, FaultChanged):
            fault = Fault(part=came.part, present=came.present, at_us=came.at_us, detail=detail)
            self._recorder.post(NoteOrder(self.state.recording, fault))
            if detail:
                self._recorder.post(FaultOrder(fault))
        if isinstance(came, Assigned):
            self._assigned = came
            self._watch.shift_begins(self._policy.readiness.storage_hours)
        if isinstance(came, Docked):
            self._docked = came.on
        if isinstance(came, RecorderClosed):
            self._claims.pop(came.recording, None)
        for command in commands:
            self._carry_out(command)

    def _journal(self, came: Input | None, effective_us: int, commands: Commands) -> None:
        """One line for one input and all that was decided on it; see `public_step` for what of it is sealed."""
        step, private = public_step(came, effective_us, commands)
        self._tickets += 1
        self._recorder.post(JournalOrder(step, self._tickets, private))

    def _carry_out(self, command: do.Command) -> None:  # noqa: C901, PLR0912 - one branch a command
        match command:
            case do.Open():
                self._open(command)
            case do.Refuse():
                log.info("a start was refused")
            case do.EnterStage():
                self._recorder.post(StageOrder(command.recording, command.stage, command.at_us))
            case do.Close():
                self._close(command)
            case do.Mark():
                self._note(command.recording, Marker(at_us=command.marked_us))
            case do.Notice():
                what = "notice-given" if command.given else "notice-not-given"
                self._note(command.recording, Noted(what=what, at_us=command.at_us, value=0))
            case do.Mute():
                self._note(command.recording, Muted(at_us=command.at_us, context=None), {"reason": command.reason})
            case do.Unmute():
                self._note(command.recording, Unmuted(at_us=command.at_us))
            case do.Pause():
                self._note(command.recording, Paused(at_us=command.at_us, context=None), {"reason": command.reason})
            case do.Resume():
                self._note(command.recording, Resumed(at_us=command.at_us))
            case do.SetCapture():
                self._ring.set_capture(capture_flags(command), command.at_us)
            case do.ClearRing():
                self._ring.clear(command.at_us, sound_only=command.sound_only)
            case do.ForceKeyframe():
                self._camera.force_keyframe()
            case do.Cue():
                self._board.cue(command.cue, self._clock.now_us(), silent=self.state.stealth)
            case do.Note():
                self._note(command.recording, _noted(command))
            case do.Finish():
                self._recorder.post(EndOrder("shutdown"))

    def _open(self, command: do.Open) -> None:
        claim = self._ring.claim(command.video_from_us, command.at_us, nothing_before=command.pre_event == "off")
        self._claims[command.recording] = claim
        self._recorder.post(
            OpenOrder(
                recording=command.recording,
                claim=claim,
                trigger=command.trigger,
                trigger_us=command.at_us,
                pre_event=PreEvent(mode=command.pre_event, asked_us=command.pre_event_asked_us, had_us=claim.held_us),
                audio_from_us=command.audio_from_us,
                context=self._context(command),
            )
        )
        self._watch.activated(self._tickets)
        self.tell(PreEventHad(at_us=command.at_us, recording=command.recording, had_us=claim.held_us))

    def _context(self, command: do.Open) -> PrivateFacts:
        """What travels sealed in the recording's first line: what and where, who wears it, and how long to keep it."""
        wearer = self.state.wearer
        return {
            "category": command.category,
            "zone": command.zone,
            "override": bool(command.override),
            "officer": wearer.officer,
            "role": wearer.role,
            "unit": wearer.unit,
            "shift": wearer.shift,
            "retention_days": str(self._policy.retention.days),
        }

    def _close(self, command: do.Close) -> None:
        claim = self._claims.pop(command.recording, None)
        if claim is not None:
            self._ring.close_claim(claim, command.to_us)
        self._recorder.post(CloseOrder(command.recording, command.how, command.to_us, {"reason": command.reason}))

    def _note(self, recording: int, record: Record, private: PrivateFacts | None = None) -> None:
        self._recorder.post(NoteOrder(recording, record, private))

    # -- what is looked at --------------------------------------------------------------------------------------------

    def _look(self, now_us: int) -> None:
        for came in self._watch.look(now_us):
            self.tell(came)
        self._feed_watchdog(now_us)
        self._say_status(now_us)

    def _feed_watchdog(self, now_us: int) -> None:
        """Fed when this loop has turned and, where the state wants frames, frames have come since the last time, or the
        camera is being restarted."""
        if now_us < self._watchdog_due_us:
            return
        newest_us = self._ring.newest_video_us
        wants_frames = capture(self.state, self._policy).video
        if not wants_frames or newest_us != self._watched_frame_us or self._keeper.at_work(now_us):
            self._watched_frame_us = newest_us
            self._watchdog_due_us = now_us + WATCHDOG_EVERY_US
            self._notifier.watchdog()

    def _say_status(self, now_us: int) -> None:
        state = self.state
        names = self._recorder.open_names
        status = Status(
            device=self._device,
            policy=f"{self._policy.id} {self._policy.version}",
            state=state.phase.value,
            recording=names[-1] if names else "",
            muted=state.muted,
            ready=state.ready,
            docked=self._docked,
            faults=state.faults,
            held_us=self._ring.held_us(),
            ring_bytes=self._ring.payload_bytes,
            refused_frames=self._ring.refused_frames,
            boot_us=now_us,
            boot=self._clock.boot_id,
        )
        self._status_file.write(status)
        said = f"{status.state}{', muted' if status.muted else ''}; faults: {', '.join(status.faults) or 'none'}"
        if not self._ready_said and (self._ring.newest_video_us is not None or self._watch.camera_failed):
            self._ready_said = True
            self._notifier.ready(said)
            self._on_ready()
        elif said != self._said:
            self._notifier.status(said)
        self._said = said


def capture_flags(said: do.SetCapture | Capture) -> CaptureFlags:
    """What the ring stamps frames with."""
    return CaptureFlags(
        zone=said.zone,
        muted=said.muted,
        paused=said.paused,
        video=said.video,
        audio=said.audio,
        pre_video=said.pre_video,
        pre_audio=said.pre_audio,
    )


def _noted(command: do.Note) -> Record:
    if command.what == "clock-stepped":
        return ClockStep(at_us=command.at_us, step_us=command.value)
    return Noted(what=command.what, at_us=command.at_us, value=command.value)

"""The control loop: inputs to the policy machine, its commands to the parts. One thread; it never waits for card or
signer.

The order at every step: the machine decides; the journal's line is queued; then the ring, the camera, the recorder and
the indicators are told. The recorder takes its queue in order, so the journal's line of an activation is durable before
the first byte of the recording (E1).
"""

import logging
from collections import deque
from collections.abc import Callable
from typing import Protocol, TypeVar

import msgspec

from device.clock import NEVER_US, Clock, Wake
from device.controls.board import Board
from device.controls.indicators import lights
from device.evidence.recorder import (
    CloseOrder,
    EndOrder,
    JournalOrder,
    NoteOrder,
    OpenOrder,
    PrivateFacts,
    Recorder,
    StageOrder,
)
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
    Step,
    Unmuted,
)
from device.media.frames import CaptureFlags
from device.media.ring import Claim, Ring
from device.policy import commands as do
from device.policy import machine
from device.policy.inputs import (
    ClockStepped,
    FaultChanged,
    Input,
    PreEventHad,
    RecorderClosed,
    ShutdownAsked,
    Tick,
)
from device.policy.model import Policy
from device.service.notify import Notifier
from device.service.status import Status, StatusFile

SILENT_CAMERA_US = 1_500_000
SILENT_MICROPHONE_US = 3_000_000
HUNG_CARD_US = 3_000_000
"""A recorder that has work and has not come round for so long waits for the card."""
ACTIVATION_LIMIT_US = 3_000_000
"""An activation whose journal line is not durable by then is a fault with a cue."""
CLOCK_STEP_US = 500_000
"""Wall time that moves so far against the boot clock has been set, not disciplined."""
LOOK_EVERY_US = 500_000
LOOK_BEFORE_READY_US = 20_000
"""READY is said with the first frame, not half a second after it."""
WATCHDOG_EVERY_US = 2_000_000
PRIVATE_WORDS = ("zone", "category", "reason")
_BETRAYING = (do.SetCapture, do.ClearRing, do.ForceKeyframe, do.Cue)

_Said = TypeVar("_Said", Input, do.Command)

log = logging.getLogger("bodycam")


class Camera(Protocol):
    """What the control loop needs of a camera."""

    def force_keyframe(self) -> None: ...


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
        state: machine.State,
        ring: Ring,
        recorder: Recorder,
        camera: Camera,
        has_microphone: bool,
        board: Board,
        notifier: Notifier,
        status_file: StatusFile,
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
        self._has_microphone = has_microphone
        self._board = board
        self._notifier = notifier
        self._status_file = status_file
        self._on_finished = on_finished
        self._mailbox: deque[Input] = deque()
        self._claims: dict[int, Claim] = {}
        self._tickets = 0
        self._activation: tuple[int, int] | None = None
        self._faults: set[str] = set()
        self._wall_minus_boot_us = clock.wall().utc_us - clock.now_us()
        self._look_due_us = 0
        self._watchdog_due_us = 0
        self._started_us = clock.now_us()
        self._watched_frame_us: int | None = None
        self._ready_said = False
        self._said = ""

    def tell(self, came: Input) -> None:
        """Put an input into the mailbox. Never blocks."""
        self._mailbox.append(came)
        self._wake.ring()

    def ask_shutdown(self) -> None:
        self.tell(ShutdownAsked(at_us=self._clock.now_us()))

    def run_once(self, now_us: int) -> int:
        inputs: list[Input] = [*self._board.take(now_us)]
        while self._mailbox:
            inputs.append(self._mailbox.popleft())
        for came in sorted(inputs, key=lambda came: came.at_us):
            self._step(came)
        if self._deadline_us() <= now_us:
            self._step(Tick(at_us=now_us))
        if now_us >= self._look_due_us:
            self._look_due_us = now_us + (LOOK_EVERY_US if self._ready_said else LOOK_BEFORE_READY_US)
            self._look(now_us)
        self._board.show(lights(self.state))
        if self.state.finished and self._recorder.ended:
            self._on_finished()
            return NEVER_US
        return min(self._deadline_us(), self._board.play(now_us), self._look_due_us)

    def _deadline_us(self) -> int:
        due_us = machine.next_deadline_us(self.state, self._policy)
        return NEVER_US if due_us is None else due_us

    # -- a step -----------------------------------------------------------------------------------------------------

    def _step(self, came: Input) -> None:
        self.state, commands = machine.step(self.state, came, self._policy)
        journaled = None if isinstance(came, Tick) else came
        if journaled is not None or commands:
            self._journal(journaled, self.state.now_us, commands)
        if isinstance(came, FaultChanged):
            fault = Fault(part=came.part, present=came.present, at_us=came.at_us, detail="")
            self._recorder.post(NoteOrder(self.state.recording, fault))
        if isinstance(came, RecorderClosed):
            self._claims.pop(came.recording, None)
        for command in commands:
            self._carry_out(command)

    def _journal(self, came: Input | None, effective_us: int, commands: machine.Commands) -> None:
        """One line for one input and all that was decided on it; see `public_step` for what of it is sealed."""
        step, private = public_step(came, effective_us, commands)
        self._tickets += 1
        self._recorder.post(JournalOrder(step, self._tickets, private))

    def _carry_out(self, command: do.Command) -> None:  # noqa: C901, PLR0912 - one branch a command
        match command:
            case do.Open():
                self._open(command)
            case do.Refuse():
                log.warning("start refused: %s", command.reason)
            case do.EnterStage():
                self._recorder.post(StageOrder(command.recording, command.stage, command.at_us))
            case do.Close():
                self._close(command)
            case do.Mark():
                self._note(command.recording, Marker(at_us=command.marked_us))
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
                self._ring.clear()
            case do.ForceKeyframe():
                self._camera.force_keyframe()
            case do.Cue():
                log.info("cue %s", command.cue)
                self._board.cue(command.cue, self._clock.now_us())
            case do.Note():
                self._note(command.recording, _noted(command))
            case do.Finish():
                self._recorder.post(EndOrder("shutdown"))

    def _open(self, command: do.Open) -> None:
        claim = self._ring.claim(command.video_from_us, command.at_us, nothing_before=command.pre_event == "off")
        self._claims[command.recording] = claim
        had_us = max(0, command.at_us - claim.from_us)
        self._recorder.post(
            OpenOrder(
                recording=command.recording,
                claim=claim,
                trigger=command.trigger,
                trigger_us=command.at_us,
                pre_event=PreEvent(mode=command.pre_event, asked_us=command.pre_event_asked_us, had_us=had_us),
                audio_from_us=command.audio_from_us,
                context={"category": command.category, "zone": command.zone, "override": bool(command.override)},
            )
        )
        self._activation = (self._tickets, self._clock.now_us())
        self.tell(PreEventHad(at_us=command.at_us, recording=command.recording, had_us=had_us))

    def _close(self, command: do.Close) -> None:
        claim = self._claims.pop(command.recording, None)
        if claim is not None:
            self._ring.close_claim(claim, command.to_us)
        self._recorder.post(CloseOrder(command.recording, command.how, command.to_us, {"reason": command.reason}))

    def _note(self, recording: int, record: Record, private: PrivateFacts | None = None) -> None:
        self._recorder.post(NoteOrder(recording, record, private))

    # -- what is looked at --------------------------------------------------------------------------------------------

    def _look(self, now_us: int) -> None:
        self._look_at_parts(now_us)
        self._look_at_clock(now_us)
        self._look_at_activation(now_us)
        self._feed_watchdog(now_us)
        self._say_status(now_us)

    def _look_at_parts(self, now_us: int) -> None:
        self._set_fault("camera", self._silent(self._ring.newest_video_us, now_us, SILENT_CAMERA_US), now_us)
        held_up = self._recorder.busy and now_us - self._recorder.turned_us > HUNG_CARD_US
        self._set_fault("card", held_up, now_us)
        if self._has_microphone:
            silent = self._silent(self._ring.newest_audio_us, now_us, SILENT_MICROPHONE_US)
            self._set_fault("microphone", silent, now_us)

    def _silent(self, newest_us: int | None, now_us: int, limit_us: int) -> bool:
        return now_us - (self._started_us if newest_us is None else newest_us) > limit_us

    def _look_at_clock(self, now_us: int) -> None:
        """A step of wall time is never silent (E8)."""
        offset_us = self._clock.wall().utc_us - self._clock.now_us()
        step_us = offset_us - self._wall_minus_boot_us
        self._wall_minus_boot_us = offset_us
        if abs(step_us) >= CLOCK_STEP_US:
            self.tell(ClockStepped(at_us=now_us, step_us=step_us))

    def _look_at_activation(self, now_us: int) -> None:
        if self._activation is None:
            return
        ticket, at_us = self._activation
        if self._recorder.durable_ticket >= ticket:
            self._activation = None
            self._set_fault("journal", False, now_us)
        elif now_us - at_us > ACTIVATION_LIMIT_US:
            self._set_fault("journal", True, now_us)

    def _set_fault(self, part: str, present: bool, now_us: int) -> None:
        if present != (part in self._faults):
            self._faults ^= {part}
            self.tell(FaultChanged(at_us=now_us, part=part, present=present))

    def _feed_watchdog(self, now_us: int) -> None:
        """Fed when this loop has turned and, where the state wants frames, frames have come since the last time."""
        if now_us < self._watchdog_due_us:
            return
        newest_us = self._ring.newest_video_us
        wants_frames = machine.capture(self.state, self._policy).video
        if not wants_frames or newest_us != self._watched_frame_us:
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
            faults=state.faults,
            held_us=self._ring.held_us(),
            ring_bytes=self._ring.payload_bytes,
            refused_frames=self._ring.refused_frames,
            boot_us=now_us,
            boot=self._clock.boot_id,
        )
        self._status_file.write(status)
        said = f"{status.state}{', muted' if status.muted else ''}; faults: {', '.join(status.faults) or 'none'}"
        if not self._ready_said and (self._ring.newest_video_us is not None or "camera" in self._faults):
            self._ready_said = True
            self._notifier.ready(said)
        elif said != self._said:
            self._notifier.status(said)
        self._said = said


def capture_flags(capture: "do.SetCapture | machine.Capture") -> CaptureFlags:
    """What the ring stamps frames with."""
    return CaptureFlags(
        zone=capture.zone,
        muted=capture.muted,
        paused=capture.paused,
        video=capture.video,
        audio=capture.audio,
        pre_video=capture.pre_video,
        pre_audio=capture.pre_audio,
    )


def _noted(command: do.Note) -> Record:
    if command.what == "clock-stepped":
        return ClockStep(at_us=command.at_us, step_us=command.value)
    return Noted(what=command.what, at_us=command.at_us, value=command.value)


def public_step(came: Input | None, effective_us: int, commands: machine.Commands) -> tuple[Step, PrivateFacts | None]:
    """The journal's line for a step, and the facts to seal beside it.

    Where an input or a decision has a private word, input and decisions are sealed as they are; in public stay the
    input and the decisions about recordings, blank where they are private, and none that would betray a place: what may
    be held, and the cues.
    """
    said = [thing for thing in (came, *commands) if thing is not None]
    if not any(getattr(thing, word, "") for thing in said for word in PRIVATE_WORDS):
        return Step(input=came, effective_us=effective_us, decisions=commands, context=None), None
    public = Step(
        input=None if came is None else _blank(came),
        effective_us=effective_us,
        decisions=tuple(_blank(command) for command in commands if not isinstance(command, _BETRAYING)),
        context=None,
    )
    private: PrivateFacts = {
        "input": msgspec.json.encode(came).decode(),
        "decisions": msgspec.json.encode(commands).decode(),
    }
    return public, private


def _blank(said: _Said) -> _Said:
    """The same, its private words left out."""
    words: dict[str, str | None] = {word: "" for word in PRIVATE_WORDS if getattr(said, word, "")}
    if isinstance(said, do.Open):
        words["override"] = None
    return msgspec.structs.replace(said, **words) if words else said

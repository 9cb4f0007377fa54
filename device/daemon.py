"""The composition root: the only place that names concrete parts, for the device and for the twin alike.

The camera has been started before, so that the pre-event window fills while everything that can wait is made here. Threads:
the hardware's own, the camera's keeper, one for the control loop, one for the recorder, and those that look at files; the
main thread waits for a signal.
"""

import logging
import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from cryptography.x509 import Certificate

from device.card_lock import card_folder
from device.clock import STOP_SIGNALS, Crew, Part, Wake, wait_for_signal
from device.config import Configuration
from device.control import Control, capture_flags
from device.controls.board import Board
from device.errors import BodycamError, ConfigurationError, HardwareFailed
from device.evidence.adoption import Adoption
from device.evidence.envelope import CheckedSigner
from device.evidence.holdings import whose
from device.evidence.identity import load_anchors, load_certificate
from device.evidence.orders import CloseAllOrder, FaultOrder
from device.evidence.papers import read_papers
from device.evidence.records import Fault
from device.expiry import DETAIL_LIMIT, Expiry
from device.hand_ins import HandIns
from device.hardware import Hardware
from device.health import Health
from device.lens import Lens
from device.loading import Loading
from device.media.caption import state_word
from device.media.rates import Rates
from device.media.sink import EncoderSink
from device.policy.inputs import FaultChanged, Input
from device.policy.state import capture, initial_state
from device.service.notify import Notifier
from device.service.status import StatusFile
from device.sight import Sight
from device.spared import Spared
from device.spool import Spool
from device.start_trace import READY
from device.watch import Watch
from device.writing_parts import Foundations, make_writing_parts

STOP_LIMIT_S = 20.0
"""Within the unit's TimeoutStopSec: an open recording closes in a second or two."""
JOIN_LIMIT_S = 5.0

log = logging.getLogger("bodycam")


class Daemon:
    """Everything built and not yet running: `parts` in the order in which one scheduler would call them.

    `sight`: what was opened before; `crew` may be running its parts already. All of it is let go again when the rest can't be
    made. `mark` is called with the name of each step of the start, as it has been done.
    """

    def __init__(
        self,
        configuration: Configuration,
        hardware: Hardware,
        sight: Sight,
        crew: Crew,
        mark: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.clock = hardware.clock
        self.crew = crew
        self.finished = self.crew.finished
        self.unclean = False
        self.sight = sight
        with ExitStack() as opened:
            opened.callback(self._close_sight)
            self._make(configuration, hardware, opened, mark)
            self._opened = opened.pop_all()

    def _make(
        self, configuration: Configuration, hardware: Hardware, opened: ExitStack, mark: Callable[[str], None]
    ) -> None:
        tables, sight = configuration.tables, self.sight
        self.ring = sight.ring
        card = card_folder(configuration)
        _check_status_folder(configuration)
        adoption = Adoption(configuration, self.clock)
        policy = adoption.in_force.bundle.policy
        control_wake, recorder_wake = Wake(), sight.keyframe_came
        state = initial_state(policy, self.clock.now_us())
        sight.decide(capture_flags(capture(state, policy)), policy.pre_event.length_s * 1_000_000)
        mark("policy")
        if sight.microphone is not None:
            sight.microphone.start(EncoderSink(self.ring, sight.microphone.first_timestamp_us))
            mark("microphone started")
        self.rates = Rates(tables.camera.period_us)
        self._papers = read_papers(configuration)
        for opened_key in self._papers.signers:
            opened.callback(opened_key.close)
        self._signer = CheckedSigner(hardware.signer(self._papers.signer), self._papers.key)
        media = self._papers.media
        self._media_key = None if media is None else CheckedSigner(hardware.signer(media.signer), media.key)
        mark("keys")
        disk = hardware.disk(card)
        self._notifier = Notifier()
        opened.callback(self._notifier.close)
        recording_bps = tables.camera.bitrate_bps
        recording_bps += tables.microphone.bitrate_bps if sight.microphone is not None else 0
        writing = make_writing_parts(
            Foundations(
                configuration=configuration,
                adoption=adoption,
                papers=self._papers,
                signer=self._signer,
                media_key=self._media_key,
                use_witness=hardware.witness,
                disk=disk,
                ring=self.ring,
                rates=self.rates,
                clock=self.clock,
                state=state,
                microphone=sight.microphone,
                recording_bps=recording_bps,
                tell=self._tell,
            ),
            recorder_wake,
        )
        self.recorder, self._custody = writing.recorder, writing.custody
        mark("card and journal")
        pins = hardware.pin_factory()
        opened.callback(pins.close)
        self.board = Board(tables.wiring, policy.activation.initial_zone, pins, self.clock, control_wake.ring)
        opened.callback(self.board.close)
        mark("board")
        loading = Loading()

        def ready() -> None:
            mark(READY)
            loading.begin()

        status_file = StatusFile(configuration.at(tables.service.status_file))
        opened.callback(status_file.remove)
        self.control = Control(
            clock=self.clock,
            wake=control_wake,
            policy=policy,
            device=tables.device.id,
            state=state,
            ring=self.ring,
            recorder=self.recorder,
            camera=sight.camera,
            keeper=sight.keeper,
            watch=Watch(
                self.clock,
                self.ring,
                self.recorder,
                has_microphone=sight.microphone is not None,
                recording_bps=recording_bps,
                no_text=lambda: sight.overlay.why_not,
            ),
            board=self.board,
            caption=lambda state, policy: sight.overlay.show(state_word(state, policy)),
            notifier=self._notifier,
            status_file=status_file,
            on_ready=ready,
            on_finished=self.finished.set,
        )
        if writing.doubt:
            self.control.tell(FaultChanged(at_us=self.clock.now_us(), part="policy", present=True))
        sight.keeper.wanted = lambda: self.control.camera_needed
        sight.keeper.say = self._camera_said
        self._later: list[tuple[Part, Wake]] = [
            (HandIns(configuration, adoption, self.control, self.recorder.post), Wake()),
            *self._lens(configuration),
            (self._expiry(adoption), Wake()),
            (self._spool(configuration, card), Wake()),
            (Spared(self._health(configuration, hardware, card), self.control.tell), Wake()),
            (loading, loading.wake),
            (self.control, control_wake),
            (self.recorder, recorder_wake),
        ]
        self.parts = [*sight.parts, *self._later]
        mark("control loop")

    def _camera_said(self, what: str, present: bool, at_us: int) -> None:
        fault = Fault(part="camera", present=present, at_us=at_us, detail=what[:DETAIL_LIMIT])
        self.recorder.post(FaultOrder(fault))

    def _lens(self, configuration: Configuration) -> list[tuple[Part, Wake]]:
        table = configuration.tables.lens
        lens = Lens(self.sight.camera, table.sensitivity, self.ring.takes_video, self.control.tell)
        return [(Spared(lens, self.control.tell), Wake())] if table.enabled else []

    def _expiry(self, adoption: Adoption) -> Expiry:
        """Looks at the dates of every certificate that what is recorded from now on will be judged by."""
        papers = self._papers
        own = {
            "device": load_certificate(papers.certificate),
            "provisioner": load_certificate(papers.provisioner),
        }
        if papers.media is not None:
            own["media"] = load_certificate(papers.media.certificate)

        def in_use() -> dict[str, Certificate]:
            return own | {"policy": adoption.in_force.bundle.certificate}

        return Expiry(self.clock, in_use, self.control, self.recorder.post)

    def _spool(self, configuration: Configuration, card: Path) -> Spool:
        device, key = configuration.tables.device.id, self._papers.key
        anchors = load_anchors(configuration.at(configuration.tables.policy.anchor))
        return Spool(
            lambda: whose(card, device, key, anchors), self.clock, self._custody, self.control.tell, self.recorder.post
        )

    def _health(self, configuration: Configuration, hardware: Hardware, card: Path) -> Health:
        return Health(
            settings=configuration.tables.health,
            picture=configuration.tables.camera,
            sensors=hardware.sensors(),
            camera=self.sight.camera,
            rates=self.rates,
            overlay=lambda on: self.sight.overlay.on() if on else self.sight.overlay.off(),
            card=card,
            clock=self.clock,
            control=self.control,
            post=self.recorder.post,
        )

    def _tell(self, came: Input) -> None:
        """What the recorder has to say to the control loop, which is made after it."""
        self.control.tell(came)

    def run(self) -> int:
        """Run until a signal asks to stop or a part fails; the exit status. Main thread."""
        crew = self.crew
        crew.start(self._later)
        name = wait_for_signal(STOP_SIGNALS, self.finished)
        if name:
            log.info("%s: closing what is open", name)
            self._notifier.stopping()
            self.control.ask_shutdown()
        ended = self.finished.wait(STOP_LIMIT_S)
        if crew.failure is not None and crew.failed_part is not None:
            ours = isinstance(crew.failure, BodycamError)
            log.critical("%s failed: %s", crew.failed_part.name, crew.failure, exc_info=None if ours else crew.failure)
            if crew.failed_part is not self.recorder:
                self.recorder.post(CloseAllOrder("failed", self.clock.now_us()))
                self.recorder.ended_latch.wait(JOIN_LIMIT_S)
        ended = crew.stop(JOIN_LIMIT_S) and ended
        self.close()
        if isinstance(crew.failure, ConfigurationError):
            return crew.failure.daemon_exit_status
        return 0 if ended and crew.failure is None and not self.unclean else 1

    def close(self) -> None:
        """Let the hardware go. Nothing runs any more."""
        self._opened.close()

    def _close_sight(self) -> None:
        """What does not let go ends with the process; everything else is let go all the same."""
        try:
            self.sight.close()
        except HardwareFailed as failure:
            log.critical("it does not let go: %s", failure)
            self.unclean = True


def _check_status_folder(configuration: Configuration) -> None:
    path = configuration.tables.service.status_file
    folder = configuration.at(path).parent
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigurationError(
            f"{configuration.path}: service.status_file is {path!r}: {folder} is not a folder that can be written; "
            "make it, or name a file in one"
        )

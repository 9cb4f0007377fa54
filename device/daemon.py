"""The composition root: the only place that names concrete parts, for the device and for the twin alike.

The camera is started first, so that the pre-event window fills while everything that can wait is made. Threads: the
hardware's own, one for the control loop, one for the recorder; the main thread waits for a signal.
"""

import fcntl
import logging
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptography.x509 import Certificate

from device.clock import Latch, Part, Runner, Wake, hold_signals, wait_for_signal
from device.config import Configuration, check_memory, read_configuration
from device.control import Control, capture_flags
from device.controls.board import Board
from device.errors import BodycamError, CardFull, ConfigurationError
from device.evidence.adoption import Adoption
from device.evidence.holdings import whose
from device.evidence.identity import load_anchors, load_certificate
from device.evidence.papers import read_papers
from device.evidence.recorder import CloseAllOrder
from device.expiry import Expiry
from device.hand_ins import HandIns
from device.hardware import Hardware
from device.media.ring import Ring
from device.media.sink import EncoderSink
from device.policy.inputs import FaultChanged, Input
from device.policy.state import capture, initial_state
from device.service.notify import Notifier
from device.service.status import StatusFile
from device.spool import Spool
from device.watch import Watch
from device.writing_parts import Foundations, make_writing_parts

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
STOP_LIMIT_S = 20.0
"""Within the unit's TimeoutStopSec: an open recording closes in a second or two."""
JOIN_LIMIT_S = 5.0
SOUND_BPS = 64_000
MAX_IDENTITY_BYTES = 256 * 1024

log = logging.getLogger("bodycam")


class Daemon:
    """Everything built and not yet running: `parts` in the order in which one scheduler would call them."""

    def __init__(self, configuration: Configuration, hardware: Hardware) -> None:
        tables = configuration.tables
        check_memory(configuration, hardware.memory_bytes)
        self.clock = hardware.clock
        self.finished = Latch()
        self.failure: Exception | None = None
        self.failed_part: Part | None = None
        card = _card(configuration)
        _check_status_folder(configuration)
        adoption = Adoption(configuration, self.clock)
        policy = adoption.in_force.bundle.policy
        control_wake, recorder_wake = Wake(), Wake()
        state = initial_state(policy, self.clock.now_us())
        self.ring = Ring(
            window_us=policy.pre_event.length_s * 1_000_000,
            cap_bytes=configuration.ring_cap_bytes,
            flags=capture_flags(capture(state, policy)),
            on_keyframe=recorder_wake.ring,
        )
        self.camera = hardware.camera(tables.camera, None)
        self.camera.start(EncoderSink(self.ring, self.camera.first_timestamp_us))
        self.microphone = hardware.microphone(tables.microphone) if tables.microphone.enabled else None
        if self.microphone is not None:
            self.microphone.start(EncoderSink(self.ring, self.microphone.first_timestamp_us))
        self._papers = read_papers(configuration)
        self._signer = hardware.signer(self._papers.signer)
        self._media_key = None if self._papers.media is None else hardware.signer(self._papers.media.signer)
        disk = hardware.disk(card)
        self._notifier = Notifier()
        recording_bps = tables.camera.bitrate_bps + (SOUND_BPS if self.microphone is not None else 0)
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
                clock=self.clock,
                state=state,
                microphone=self.microphone,
                recording_bps=recording_bps,
                tell=self._tell,
            ),
            recorder_wake,
        )
        self.recorder, self._custody = writing.recorder, writing.custody
        self.board = Board(
            tables.wiring,
            policy.activation.initial_zone,
            hardware.pin_factory(),
            self.clock,
            control_wake.ring,
        )
        self._status_file = StatusFile(configuration.at(tables.service.status_file))
        self.control = Control(
            clock=self.clock,
            wake=control_wake,
            policy=policy,
            device=tables.device.id,
            state=state,
            ring=self.ring,
            recorder=self.recorder,
            camera=self.camera,
            watch=Watch(
                self.clock,
                self.ring,
                self.recorder,
                has_microphone=self.microphone is not None,
                recording_bps=recording_bps,
            ),
            board=self.board,
            notifier=self._notifier,
            status_file=self._status_file,
            on_finished=self.finished.set,
        )
        if writing.doubt:
            self.control.tell(FaultChanged(at_us=self.clock.now_us(), part="policy", present=True))
        hand_ins = HandIns(configuration, adoption, self.control, self.recorder.post)
        self.parts: list[tuple[Part, Wake]] = [
            *hardware.parts(),
            (hand_ins, Wake()),
            (self._expiry(adoption), Wake()),
            (self._spool(configuration, card), Wake()),
            (self.control, control_wake),
            (self.recorder, recorder_wake),
        ]

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

    def _tell(self, came: Input) -> None:
        """What the recorder has to say to the control loop, which is made after it."""
        self.control.tell(came)

    def run(self) -> int:
        """Run until a signal asks to stop or a part fails; the exit status. Main thread."""
        runners = [Runner(part, wake, self.clock, self._part_failed) for part, wake in self.parts]
        for runner in runners:
            runner.start()
        name = wait_for_signal(STOP_SIGNALS, self.finished)
        if name:
            log.info("%s: closing what is open", name)
            self._notifier.stopping()
            self.control.ask_shutdown()
        ended = self.finished.wait(STOP_LIMIT_S)
        if self.failure is not None and self.failed_part is not self.recorder:
            self.recorder.post(CloseAllOrder("failed", self.clock.now_us()))
            self.recorder.ended_latch.wait(JOIN_LIMIT_S)
        for runner in reversed(runners):
            ended = runner.stop(JOIN_LIMIT_S) and ended
        self.close()
        return 0 if ended and self.failure is None else 1

    def close(self) -> None:
        """Let the hardware go. Nothing runs any more."""
        self.camera.stop()
        if self.microphone is not None:
            self.microphone.stop()
        self.board.close()
        self._status_file.remove()
        self._notifier.close()
        for signer in self._papers.signers:
            signer.close()

    def _part_failed(self, part: Part, failure: Exception) -> None:
        """A part can't go on: end, so that systemd starts anew. The recorder, if it still can, closes what is open."""
        log.critical("%s failed: %s", part.name, failure, exc_info=failure)
        self.failure, self.failed_part = failure, part
        self.finished.set()


def run_daemon(config_path: Path, hardware: Hardware) -> int:
    """`bodycam daemon`: 0 after a clean stop, 78 for what an operator must change, 1 for a part that failed."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(name)s: %(message)s")
    hold_signals(STOP_SIGNALS)
    try:
        configuration = read_configuration(config_path)
        with _only_daemon(configuration):
            return Daemon(configuration, hardware).run()
    except (ConfigurationError, CardFull) as failure:
        print(f"bodycam: {failure}", file=sys.stderr)
        return ConfigurationError.daemon_exit_status
    except BodycamError as failure:
        print(f"bodycam: {failure}", file=sys.stderr)
        return failure.exit_status


def _card(configuration: Configuration) -> Path:
    card = configuration.at(configuration.tables.card.path)
    if not card.is_dir():
        raise ConfigurationError(
            f"{configuration.path}: card.path is {configuration.tables.card.path!r}: no such folder; mount the evidence "
            "partition"
        )
    return card


def _check_status_folder(configuration: Configuration) -> None:
    path = configuration.tables.service.status_file
    folder = configuration.at(path).parent
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigurationError(
            f"{configuration.path}: service.status_file is {path!r}: {folder} is not a folder that can be written; "
            "make it, or name a file in one"
        )


@contextmanager
def _only_daemon(configuration: Configuration) -> Iterator[None]:
    """One process writes a card: the second is refused before it has written anything."""
    descriptor = os.open(_card(configuration), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _lock(descriptor, configuration)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, configuration: Configuration) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as failure:
        raise ConfigurationError(
            f"{configuration.path}: card.path is {configuration.tables.card.path!r}: another daemon is writing this "
            "card; end that one first"
        ) from failure

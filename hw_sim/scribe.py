"""A shift written down without a camera: hours of virtual time in a second or two.

The policy machine, the journal, its sealing and its signatures are the device's own; the loop around them is the control
loop's, without ring, board and recorder. Recordings have a ledger and no files: openings, deeds, heads, the closing, and
`segments` lines with made-up digests, one a second, so that `audit` and `report` read what they would on a real card,
and `verify` finds every segment missing. `stored`: that they are all of this one file; see `large_card`.
"""

import hashlib
import secrets
from importlib.metadata import version

import msgspec

from device.clock import NEVER_US
from device.config import read_configuration
from device.evidence import layout
from device.evidence.bundle import read_bundle
from device.evidence.chain import Chain
from device.evidence.disk import File
from device.evidence.identity import FileSigner, load_anchors, load_certificate, p256_key
from device.evidence.journal import Journal
from device.evidence.records import (
    Boot,
    ClockStep,
    Marker,
    Muted,
    Noted,
    Paused,
    PreEvent,
    Record,
    RecordingBegun,
    RecordingClosed,
    RecordingEnded,
    RecordingHead,
    RecordingOpened,
    Resumed,
    SealedContext,
    Segment,
    Segments,
    Software,
    Stopped,
    Stored,
    Totals,
    Tree,
    Unmuted,
    VideoSpan,
    VideoTrack,
)
from device.evidence.seal import Sealer
from device.evidence.steps import public_step
from device.evidence.store import Documents, make_folders
from device.policy import commands as do
from device.policy import inputs as on
from device.policy.machine import MACHINE_VERSION, next_deadline_us, step
from device.policy.state import initial_state
from hw_sim.agency import Bench
from hw_sim.clock import VirtualClock
from hw_sim.disk import TwinDisk

SECOND_US = 1_000_000
PRESS_US = 120_000
DOUBLE_GAP_US = 150_000
HEAD_EVERY_S = 10
RATE_HZ = 30
_MADE_UP = hashlib.sha256(b"made up").hexdigest()
NO_FILE = Stored(size=1000, plain=_MADE_UP, sealed=_MADE_UP)


class _Ledger(msgspec.Struct):
    """A recording that is being written down."""

    name: str
    chain: Chain
    opened: do.Open
    file: File
    until_us: int = 0
    segments: int = 0
    frames: int = 0


class Scribe:
    """One boot of a bench's device. `clock` goes on from one boot to the next when it is handed on."""

    def __init__(
        self, bench: Bench, clock: VirtualClock | None = None, *, segments: bool = True, stored: Stored = NO_FILE
    ) -> None:
        configuration = read_configuration(bench.config)
        tables = configuration.tables
        folder = bench.root / "device"
        certificate = (folder / "device.der").read_bytes()
        bundle = read_bundle(bench.offered_policy.read_bytes(), load_anchors(bench.trust), None)
        self.clock = clock or VirtualClock("boot-1")
        self.policy = bundle.policy
        self.state = initial_state(self.policy, self.clock.now_us())
        self._device = tables.device.id
        self._segments = segments
        self._stored = stored
        self._signer = FileSigner(folder / "device.key", certificate)
        named, own = bundle.policy.recipients, tables.recipients
        self._context = Sealer(named.context or own.context, "recipients.context")
        self._footage = Sealer(named.footage or own.footage, "recipients.footage")
        self._disk = TwinDisk(bench.card)
        make_folders(self._disk)
        documents = Documents(self._disk)
        documents.keep(layout.IDENTITY, layout.certificate_file, certificate)
        documents.keep(layout.IDENTITY, layout.certificate_file, (folder / "provisioner.der").read_bytes())
        documents.keep(layout.POLICY, layout.policy_file, bundle.document)
        documents.keep(layout.POLICY, layout.bundle_file, bundle.data)
        self._boot = Boot(
            epoch="000000",
            previous=None,
            reason="start",
            certificate_sha256=self._signer.certificate_sha256,
            policy=bundle.name,
            bundle_sha256=bundle.file_sha256,
            software=Software(
                version=f"bodycam {version('bodycam')}",
                machine=MACHINE_VERSION,
                configuration_sha256=configuration.sha256,
            ),
            context=self._sealed({"state": msgspec.json.encode(self.state).decode()}),
        )
        provisioning = (folder / "provisioning.jsonl").read_bytes().rstrip(b"\n")
        key = p256_key(load_certificate(certificate))
        self._journal = Journal(self._disk, self._signer, self.clock, self._device, provisioning, key)
        self._journal.begin(self._boot)
        self._counter = len(list((bench.card / layout.EVIDENCE).iterdir()))
        self._open: dict[int, _Ledger] = {}
        self._waiting: list[on.Input] = []
        self._keeping = True
        self._kept_since_us = 0

    # -- what happens -----------------------------------------------------------------------------------------------

    def pass_time(self, seconds: float) -> None:
        """Time passes; deadlines fire when they are due."""
        self._go_to(self.clock.now_us() + round(seconds * SECOND_US))

    def tell(self, came: on.Input) -> None:
        """An input, now or later."""
        self._go_to(came.at_us)
        self._take(came)

    def press(self, button: str = "function", seconds: float = PRESS_US / SECOND_US) -> None:
        at_us = self.clock.now_us()
        self.tell(on.Edge(at_us=at_us, button=button, pressed=True))
        self.tell(on.Edge(at_us=at_us + round(seconds * SECOND_US), button=button, pressed=False))

    def double(self, button: str = "record") -> None:
        self.press(button)
        self.pass_time(DOUBLE_GAP_US / SECOND_US)
        self.press(button)

    def confirmed_stop(self) -> None:
        """Hold, let go, press once, and the time until that press counts."""
        self.press("record", self.policy.gestures.stop_hold_ms / 1000 + 0.2)
        self.press("record")
        self.pass_time(self.policy.gestures.double_press_ms / 1000 + 0.1)

    def record(self, seconds: float, presses: int = 0) -> None:
        """One whole recording; after the stop so many presses of the function button give its reason."""
        self.double()
        self.pass_time(seconds)
        self.confirmed_stop()
        for _ in range(presses):
            self.press()
            self.pass_time(0.3)
        self.pass_time(self.policy.post_event.length_s + self.policy.stop.reason_window_s)

    def zone(self, name: str) -> None:
        self.tell(on.ZoneEntered(at_us=self.clock.now_us(), zone=name))

    def trigger(self, name: str, category: str) -> None:
        self.tell(on.Triggered(at_us=self.clock.now_us(), trigger=name, category=category))

    def assign(self, officer: str, shift: str, role: str = "patrol", unit: str = "unit-3") -> None:
        self.tell(on.Assigned(at_us=self.clock.now_us(), officer=officer, role=role, unit=unit, shift=shift))

    def fault(self, part: str, seconds: float) -> None:
        """A part's fault that lasts so long."""
        self.tell(on.FaultChanged(at_us=self.clock.now_us(), part=part, present=True))
        self.pass_time(seconds)
        self.tell(on.FaultChanged(at_us=self.clock.now_us(), part=part, present=False))

    def stop(self) -> None:
        """A clean end of the boot."""
        self.tell(on.ShutdownAsked(at_us=self.clock.now_us()))
        self._journal.add(Stopped(reason="shutdown"))
        self.cut()

    def cut(self) -> None:
        """The power goes, just after everything became durable."""
        self._journal.sync()
        self._journal.close()
        for ledger in self._open.values():
            self._write(ledger)

    # -- the loop ---------------------------------------------------------------------------------------------------

    def _go_to(self, at_us: int) -> None:
        while (due_us := next_deadline_us(self.state, self.policy) or NEVER_US) <= at_us:
            self._move_to(due_us)
            self._take(on.Tick(at_us=due_us))
        self._move_to(at_us)

    def _move_to(self, at_us: int) -> None:
        for ledger in self._open.values():
            self._heads(ledger, at_us)
        self.clock.move_to(max(at_us, self.clock.now_us()))

    def _take(self, came: on.Input) -> None:
        """A step, and those on what the recorder answers to it."""
        self._step(came)
        while self._waiting:
            self._step(self._waiting.pop(0))

    def _step(self, came: on.Input) -> None:
        if isinstance(came, on.RecorderClosed) and came.recording in self._open:
            self._end(came.recording, came.how, came.at_us, came.how)
        self.state, decided = step(self.state, came, self.policy)
        journaled = None if isinstance(came, on.Tick) else came
        if journaled is not None or decided:
            said, private = public_step(journaled, self.state.now_us, decided)
            context = None if private is None else self._sealed(private)
            self._journal.add(msgspec.structs.replace(said, context=context))
        for command in decided:
            self._carry_out(command)

    def _carry_out(self, command: do.Command) -> None:
        match command:
            case do.Open():
                self._begin(command)
            case do.Close():
                self._close(command)
            case do.SetCapture():
                self._keeping = command.video
            case do.ClearRing(sound_only=False):
                self._kept_since_us = command.at_us
            case _:
                self._deed(command)

    def _deed(self, command: do.Command) -> None:
        """What a decision leaves in the ledger of the open recording."""
        match command:
            case do.Mark():
                self._note(command.recording, Marker(at_us=command.marked_us))
            case do.Mute():
                context = self._sealed({"reason": command.reason})
                self._note(command.recording, Muted(at_us=command.at_us, context=context))
            case do.Unmute():
                self._note(command.recording, Unmuted(at_us=command.at_us))
            case do.Pause():
                context = self._sealed({"reason": command.reason})
                self._note(command.recording, Paused(at_us=command.at_us, context=context))
            case do.Resume():
                self._note(command.recording, Resumed(at_us=command.at_us))
            case do.Notice():
                what = "notice-given" if command.given else "notice-not-given"
                self._note(command.recording, Noted(what=what, at_us=command.at_us, value=0))
            case do.Note(what="clock-stepped"):
                self._note(command.recording, ClockStep(at_us=command.at_us, step_us=command.value))
            case do.Note():
                self._note(command.recording, Noted(what=command.what, at_us=command.at_us, value=command.value))
            case _:
                pass

    def _sealed(self, facts: dict[str, str | bool]) -> SealedContext:
        return self._context.seal_context(facts, secrets.token_bytes(16))

    # -- ledgers ----------------------------------------------------------------------------------------------------

    def _begin(self, opened: do.Open) -> None:
        self._journal.sync()
        from_us = max(opened.video_from_us, self._kept_since_us)
        name = layout.recording_name(self._counter, secrets.token_bytes(8))
        self._counter += 1
        self._disk.make_folder(layout.recording_folder(name))
        head = self._journal.durable
        ledger = _Ledger(
            name=name,
            chain=Chain(self._signer, self.clock, self._device, name, 0, head.sha256),
            opened=opened,
            file=self._disk.create(f"{layout.recording_folder(name)}/{layout.LEDGER}"),
            until_us=from_us,
        )
        self._open[opened.recording] = ledger
        had_us = opened.at_us - from_us
        wearer = self.state.wearer
        facts: dict[str, str | bool] = {
            "category": opened.category,
            "zone": opened.zone,
            "override": bool(opened.override),
            "officer": wearer.officer,
            "role": wearer.role,
            "unit": wearer.unit,
            "shift": wearer.shift,
            "retention_days": str(self.policy.retention.days),
        }
        self._line(
            ledger,
            RecordingOpened(
                journal=head,
                certificate_sha256=self._signer.certificate_sha256,
                media_certificate_sha256=None,
                media_utc_us=None,
                policy=self._boot.policy,
                software=self._boot.software,
                trigger=opened.trigger,
                trigger_us=opened.at_us,
                pre_event=PreEvent(mode=opened.pre_event, asked_us=opened.pre_event_asked_us, had_us=had_us),
                video=_video(from_us),
                audio=None,
                recipients=tuple(stanza.lower() for stanza in self._footage.stanzas),
                recipients_sha256=self._footage.recipients_sha256,
                init=self._stored,
                continues=None,
                context=self._sealed(facts),
            ),
        )
        self._journal.add(RecordingBegun(recording=name, first=ledger.chain.head))
        self._waiting.append(on.PreEventHad(at_us=opened.at_us, recording=opened.recording, had_us=had_us))

    def _note(self, recording: int, record: Record) -> None:
        if recording in self._open:
            self._line(self._open[recording], record)

    def _heads(self, ledger: _Ledger, at_us: int) -> None:
        """The seconds up to a time, and the journal's word on them every ten. In a pause there are none."""
        if not self._keeping:
            ledger.until_us = at_us
        while self._segments and ledger.until_us + SECOND_US <= at_us:
            self.clock.move_to(max(ledger.until_us + SECOND_US, self.clock.now_us()))
            self._write_down(ledger, RATE_HZ)
            if ledger.segments % HEAD_EVERY_S == 0:
                self._journal.add(RecordingHead(recording=ledger.name, head=ledger.chain.head))

    def _write_down(self, ledger: _Ledger, frames: int) -> None:
        self._line(ledger, Segments(segments=(_segment(ledger, self._stored, frames),)))
        ledger.segments, ledger.frames = ledger.segments + 1, ledger.frames + frames
        ledger.until_us += frames * SECOND_US // RATE_HZ

    def _close(self, close: do.Close) -> None:
        self._end(close.recording, close.how, close.to_us, close.reason)
        self._waiting.append(on.RecorderClosed(at_us=close.at_us, recording=close.recording, how=close.how))

    def _end(self, recording: int, how: str, end_us: int, reason: str) -> None:
        """The last line of a ledger, as decided or by the recorder itself."""
        ledger = self._open.pop(recording)
        left = (end_us - ledger.until_us) * RATE_HZ // SECOND_US
        if self._segments and self._keeping and left > 0:
            self._write_down(ledger, left)
        frames, tree = ledger.frames, ledger.chain.tree
        self._line(
            ledger,
            RecordingClosed(
                how=how,
                end_us=end_us,
                totals=Totals(ledger.segments, frames, packets=0, size=ledger.segments * self._stored.size),
                tree=Tree(size=tree.size, root=tree.root()),
                context=self._sealed({"reason": reason}),
            ),
        )
        self._write(ledger)
        self._journal.add(RecordingEnded(recording=ledger.name, head=ledger.chain.head, how="closed"))

    def _line(self, ledger: _Ledger, record: Record) -> None:
        ledger.file.append(ledger.chain.next_line(record))
        ledger.chain.mark_durable()

    def _write(self, ledger: _Ledger) -> None:
        """All of a ledger becomes durable at once: between its begin and its end nothing here cuts the power."""
        self._disk.sync_all()
        ledger.file.close()


def _video(base_us: int) -> VideoTrack:
    digests = {"parameter_sets_sha256": _MADE_UP, "settings_sha256": _MADE_UP}
    return VideoTrack(codec="h264", width=640, height=360, timescale_hz=90_000, base_us=base_us, **digests)


def _segment(ledger: _Ledger, stored: Stored, frames: int) -> Segment:
    to_us = ledger.until_us + frames * SECOND_US // RATE_HZ
    return Segment(
        n=ledger.segments,
        attempt=0,
        stage="pre" if ledger.until_us < ledger.opened.at_us else "live",
        file=stored,
        video=VideoSpan(
            first=ledger.frames,
            last=ledger.frames + frames - 1,
            frames=frames,
            from_us=ledger.until_us,
            last_us=to_us - SECOND_US // RATE_HZ,
            to_us=to_us,
            period_us=SECOND_US // RATE_HZ,
        ),
        audio=None,
    )

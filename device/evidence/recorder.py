"""The recorder: the one thread that signs and writes. It takes orders from the control thread and frames from the ring.

Each run: take the orders in the order given, journal first; make the journal durable before the first byte of any
recording (E1); then write what each open recording has to write, in groups when behind. What fails is tried again
under a new name a second later, from the ring; what the control loop must know is told to it as inputs.
"""

import secrets
from collections import deque
from collections.abc import Callable

import msgspec

from device.clock import NEVER_US, Clock, Latch, Wake
from device.errors import CannotPersist, CardFull, EvidenceError, KeyUnreachable
from device.evidence import layout
from device.evidence.anchoring import Anchoring
from device.evidence.custody import Custody, CustodyOrder
from device.evidence.disk import Disk
from device.evidence.envelope import Signer
from device.evidence.journal import Journal
from device.evidence.orders import (
    CloseAllOrder,
    CloseOrder,
    EndOrder,
    FaultOrder,
    JournalOrder,
    NotedOrder,
    NoteOrder,
    OpenOrder,
    Order,
    PolicyOrder,
    StageOrder,
)
from device.evidence.records import (
    Boot,
    Fault,
    Noted,
    Record,
    RecordingBegun,
    RecordingEnded,
    RecordingHead,
    SealedContext,
    Stopped,
)
from device.evidence.recovery import Keys, next_counter, recover, unfinished
from device.evidence.seal import Sealer
from device.evidence.segmenter import Cut, Segmenter
from device.evidence.sound import packet_us
from device.evidence.steps import PrivateFacts
from device.evidence.store import Documents, Reserve
from device.evidence.underway import Recording
from device.evidence.writer import Facts, LedgerBrokenError, Opening, RecordingWriter, gaps
from device.media.rates import Rates
from device.media.ring import Ring
from device.policy.inputs import FaultChanged, Input, Readiness, RecorderClosed
from device.policy.state import State

JOURNAL_SYNC_US = 1_000_000
HEAD_EVERY_US = 10_000_000
RETRY_US = 1_000_000
SPACE_EVERY_US = 1_000_000
POLL_US = 100_000
"""While a recording is open: how often silence and ends are looked for. Keyframes wake the recorder by themselves."""


_ENDED_HOW = {"closed": "closed", "recovered": "recovered", "recovered-before": "recovered", "damaged": "damaged"}


def state_facts(state: State) -> PrivateFacts:
    """What the record of a boot seals: the policy machine's state, as JSON. It has the zone and the officer."""
    return {"state": msgspec.json.encode(state).decode()}


class Recorder:
    """The part named `recorder`. `post` may be called from any thread; everything else runs in `run_once`."""

    name = "recorder"

    def __init__(
        self,
        *,
        disk: Disk,
        ring: Ring,
        clock: Clock,
        wake: Wake,
        signer: Signer,
        keys: Keys,
        journal: Journal,
        footage: Sealer,
        context: Sealer,
        facts: Facts,
        documents: Documents,
        custody: Custody,
        reserve: Reserve,
        full_below_bytes: int,
        rates: Rates,
        tell: Callable[[Input], None],
        anchoring: Anchoring | None = None,
        entropy: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._disk = disk
        self._ring = ring
        self._clock = clock
        self._wake = wake
        self._signer = signer
        self._keys = keys
        self._journal = journal
        self._footage = footage
        self._context = context
        self._facts = facts
        self._documents = documents
        self._custody = custody
        self._reserve = reserve
        self._full_below_bytes = full_below_bytes
        self._rates = rates
        self._tell = tell
        self._anchoring = anchoring
        self._entropy = entropy
        self._orders: deque[Order] = deque()
        self._recordings: list[Recording] = []
        self._standing: dict[str, Noted] = {}
        self._counter = next_counter(disk)
        self._to_recover = deque(unfinished(disk))
        self._pending_since_us = NEVER_US
        self._last_ticket = 0
        self._journal_retry_us = 0
        self._policy_retry_us = 0
        self._custody_retry_us = 0
        self._space_due_us = 0
        self._ready = True
        self._card_faults: set[str] = set()
        self._end_reason: str | None = None
        self._end_said = False
        self._ended = False
        self.ended_latch = Latch()
        self.turned_us = clock.now_us()
        """When the recorder last came round: a card that hangs holds it up."""
        self.free_bytes: int | None = None
        """Room on the card when it was last looked at. Read by the control thread."""
        self.durable_ticket = 0
        """The last `JournalOrder.ticket` that is durable. Read by the control thread."""

    def post(self, order: Order | CustodyOrder) -> None:
        """Give an order. Never blocks."""
        if isinstance(order, CustodyOrder):
            self._custody.take(order)
        else:
            self._orders.append(order)
        self._wake.ring()

    @property
    def ended(self) -> bool:
        """The journal's last line is durable; nothing more will be written."""
        return self._ended

    @property
    def busy(self) -> bool:
        """Orders wait, or a recording is not yet closed."""
        return bool(self._orders or self._recordings)

    @property
    def open_names(self) -> list[str]:
        """The folders that are being written, for the status file."""
        return [r.writer.name for r in self._recordings if r.writer is not None]

    def run_once(self, now_us: int) -> int:
        if self._ended:
            return NEVER_US
        urgent = self._take_orders(now_us)
        self._look_at_space(now_us)
        journaled = self._journal_is_durable(now_us, urgent=urgent)
        for recording in list(self._recordings):
            if journaled or recording.begun:
                self._advance(recording, now_us)
        if journaled:
            self._recover_one(now_us)
            self._keep_custody(now_us)
            self._anchor(now_us)
        self._end_if_done(now_us)
        self.turned_us = now_us
        return self._next_wake_us(now_us)

    def _end_if_done(self, now_us: int) -> None:
        """Nothing is open and the end was asked for: the journal's last line says so."""
        if self._end_reason is None or self._recordings or self._orders:
            return
        if self._anchors_wait and self._journal_retry_us == 0:
            return
        if not self._end_said:
            self._journal.add(Stopped(reason=self._end_reason))
            self._end_said = True
        self._journal_is_durable(now_us, urgent=True)
        if not self._journal.has_pending:
            self._journal.close()
            self._ended = True
            self.ended_latch.set()

    # -- anchors ----------------------------------------------------------------------------------------------------

    def ask_anchor(self, at: str) -> None:
        """The TPM's word on the journal is wanted: `boot`, `opening`, `close`, `dock`. Recorder thread."""
        if self._anchoring is not None:
            self._anchoring.ask(at)

    @property
    def _anchors_wait(self) -> bool:
        return self._anchoring is not None and self._anchoring.waits

    def _anchor(self, now_us: int) -> None:
        """One a run, when no order waits: the frames that came meanwhile are written first."""
        if self._anchoring is None or not self._anchors_wait or self._orders:
            return
        try:
            self._anchoring.anchor(now_us, self._sync_journal)
        except CannotPersist as failure:
            self._card_refused(failure, now_us)
            self._journal_retry_us = now_us + RETRY_US

    # -- orders -----------------------------------------------------------------------------------------------------

    def _take_orders(self, now_us: int) -> bool:
        """Carry out what needs no frames; True when the journal must be durable before anything else: a ledger says
        nothing that was decided before the journal holds the decision (E9). What was ordered under a policy that the
        card does not know yet waits until it does. Nothing follows the journal's last line."""
        urgent = False
        while self._orders:
            order = self._orders[0]
            if isinstance(order, PolicyOrder) and not self._change_policy(order, now_us):
                return urgent
            self._orders.popleft()
            if self._end_said:
                continue
            if isinstance(order, JournalOrder):
                self._journal.add(self._with_context(order.record, order.private))
                self._last_ticket = order.ticket
            elif isinstance(order, FaultOrder):
                self._journal.add(order.fault)
            elif isinstance(order, OpenOrder):
                self._open(order)
                urgent = True
            elif isinstance(order, EndOrder):
                self._end_reason = order.reason
            elif isinstance(order, CloseAllOrder):
                self._close_all(order.how, order.at_us)
                self._end_reason = order.how
            elif not isinstance(order, PolicyOrder):
                self._take_note(order)
                urgent = True
        return urgent

    def _open(self, order: OpenOrder) -> None:
        recording = Recording(order, self._segmenter(order, None), self._seal_context(order.context))
        recording.notes.extend(self._standing.values())
        self._recordings.append(recording)

    def _segmenter(self, order: OpenOrder, continues: Segmenter | None) -> Segmenter:
        audio = self._facts.audio
        lasts_us = 0 if audio is None else packet_us(audio.sample_rate_hz)
        return Segmenter(self._ring, order.claim, order.audio_from_us, self._rates, lasts_us, continues)

    def _note_everywhere(self, order: NotedOrder) -> None:
        noted = order.noted
        self._journal.add(noted)
        self._standing.pop(order.about, None)
        if order.stands:
            self._standing[order.about] = noted
        for recording in self._recordings:
            if recording.may_say(noted):
                recording.notes.append(noted)

    def _take_note(self, order: NoteOrder | NotedOrder | StageOrder | CloseOrder) -> None:
        if isinstance(order, NotedOrder):
            self._note_everywhere(order)
            return
        recording = next((r for r in self._recordings if r.order.recording == order.recording), None)
        if recording is None:
            return
        if isinstance(order, CloseOrder):
            recording.close = order
        elif isinstance(order, StageOrder):
            recording.stages.append(order)
            if recording.writer is not None:
                recording.writer.enter_stage(order.stage, order.from_us)
        else:
            recording.notes.append(self._with_context(order.record, order.private))

    def _with_context(self, record: Record, private: PrivateFacts | None) -> Record:
        return record if private is None else msgspec.structs.replace(record, context=self._seal_context(private))

    def _seal_context(self, facts: PrivateFacts) -> SealedContext:
        return self._context.seal_context(facts, self._entropy(16))

    # -- the journal ------------------------------------------------------------------------------------------------

    def _journal_is_durable(self, now_us: int, *, urgent: bool) -> bool:
        """Make the journal durable when it is time to. False while the card refuses it: no recording begins then (E1),
        and those that have begun go on."""
        if not self._journal.has_pending:
            return True
        self._pending_since_us = min(self._pending_since_us, now_us)
        waited = now_us >= self._pending_since_us + JOURNAL_SYNC_US
        if not (urgent or waited or self._journal_retry_us):
            return True
        if now_us < self._journal_retry_us:
            return False
        try:
            self._sync_journal()
        except CannotPersist as failure:
            self._card_refused(failure, now_us)
            self._journal_retry_us = now_us + RETRY_US
            return False
        self._storage_works(now_us)
        return True

    def _sync_journal(self) -> None:
        self._journal.sync()
        self._journal_settled()

    def _journal_settled(self) -> None:
        """Every line taken so far is durable."""
        self._pending_since_us = NEVER_US
        self._journal_retry_us = 0
        self.durable_ticket = self._last_ticket

    # -- the policy -------------------------------------------------------------------------------------------------

    def _change_policy(self, order: PolicyOrder, now_us: int) -> bool:
        """Keep the documents, then begin an epoch under the new policy; False while the card refuses one of them."""
        assert not self._recordings, "a policy changes between recordings"
        if now_us < self._policy_retry_us:
            return False
        try:
            self._begin_under(order)
        except CannotPersist as failure:
            self._card_refused(failure, now_us)
            self._policy_retry_us = now_us + RETRY_US
            return False
        self._policy_retry_us = 0
        self._storage_works(now_us)
        return True

    def _begin_under(self, order: PolicyOrder) -> None:
        in_force, facts = order.in_force, self._facts
        bundle = in_force.bundle
        self._documents.keep(layout.POLICY, layout.policy_file, bundle.document)
        self._documents.keep(layout.POLICY, layout.bundle_file, bundle.data)
        self._journal.change(
            Boot(
                epoch="000000",
                previous=None,
                reason="policy-changed",
                certificate_sha256=facts.certificate_sha256,
                policy=bundle.name,
                bundle_sha256=bundle.file_sha256,
                software=facts.software,
                context=in_force.context.seal_context(state_facts(order.state), self._entropy(16)),
            )
        )
        self._journal_settled()
        self._footage, self._context = in_force.footage, in_force.context
        self._facts = msgspec.structs.replace(facts, policy=bundle.name)
        self._custody.want_hours(in_force.policy.readiness.storage_hours)

    # -- recordings -------------------------------------------------------------------------------------------------

    def _advance(self, recording: Recording, now_us: int) -> None:
        """Write what one recording has to write."""
        if now_us < recording.retry_at_us:
            return
        try:
            self._write(recording, now_us)
        except LedgerBrokenError as failure:
            self._abandon(recording, str(failure))
            self._try_later(recording, failure, now_us)
        except CannotPersist as failure:
            recording.segmenter.rewind()
            self._try_later(recording, failure, now_us)
        except EvidenceError as failure:
            self._leave_out(recording, failure, now_us)

    def _leave_out(self, recording: Recording, failure: EvidenceError, now_us: int) -> None:
        """A picture can't be put into a segment: one segment at a time is tried, then the next GOP alone is left out. A
        recording that has not begun opens anew, with the first frame there is then."""
        writer = recording.writer
        if writer is not None and writer.head is None:
            self._succeed(recording, writer)
        recording.segmenter.rewind()
        if recording.failures:
            self._journal.add(Fault(part="camera", present=True, at_us=now_us, detail=str(failure)[:200]))
            recording.segmenter.skip_gop()
        recording.failures += 1

    def _try_later(self, recording: Recording, failure: CannotPersist, now_us: int) -> None:
        """Again after 1 s, 2 s, 4 s, … 8 s, one segment at a time until one is durable."""
        self._card_refused(failure, now_us)
        recording.retry_at_us = now_us + (RETRY_US << min(recording.failures, 3))
        recording.failures += 1

    def _write(self, recording: Recording, now_us: int) -> None:
        if recording.closed is not None:
            self._confirm_end(recording, recording.closed)
            return
        writer = recording.writer or self._begin(recording)
        if writer is None:
            self._end_if_nothing_came(recording, now_us)
            return
        more = True
        while more:
            more = self._write_group(recording, writer, now_us)
        if recording.segmenter.changed_sets:
            self._continue_in_another(recording, writer, now_us)
        elif recording.close is not None and recording.segmenter.ended(now_us):
            self._finish(recording, writer, recording.close)

    def _write_group(self, recording: Recording, writer: RecordingWriter, now_us: int) -> bool:
        """Make what can be closed durable, with the notes that wait; True when there may be more."""
        limit = 1 if recording.failures else recording.grouping.limit
        cuts = self._cuts(recording, writer, now_us, limit)
        notes = list(recording.notes)
        if cuts:
            begun_us = self._clock.now_us()
            writer.write_group(cuts, notes)
            recording.segmenter.settled(cuts)
            shown_us = sum(cut.end_us - cut.start_us for cut in cuts)
            recording.grouping.wrote(len(cuts), shown_us, self._clock.now_us() - begun_us)
            recording.failures = 0
            self._storage_works(now_us)
        elif writer.head is not None:
            writer.write_records(notes)
        if writer.head is not None:
            for _ in notes:
                recording.notes.popleft()
        self._tell_journal(recording, writer, now_us)
        return len(cuts) == limit

    def _begin(self, recording: Recording) -> RecordingWriter | None:
        """A writer for the first frame there is; None while there is none."""
        first = recording.segmenter.first_keyframe()
        if first is None:
            return None
        order = recording.order
        had_us = max(0, order.trigger_us - first[1].at_us) if recording.continues is None else 0
        recording.writer = RecordingWriter(
            name=layout.recording_name(self._counter, self._entropy(8)),
            disk=self._disk,
            clock=self._clock,
            signer=self._signer,
            sealer=self._footage,
            facts=self._facts,
            opening=Opening(
                trigger=order.trigger,
                trigger_us=order.trigger_us,
                pre_event=msgspec.structs.replace(order.pre_event, had_us=had_us),
                context=recording.context,
                continues=recording.continues,
            ),
            first=first,
            journal_head=self._journal.durable,
        )
        for stage in recording.stages:
            recording.writer.enter_stage(stage.stage, stage.from_us)
        self._counter += 1
        return recording.writer

    def _cuts(self, recording: Recording, writer: RecordingWriter, now_us: int, limit: int) -> list[Cut]:
        cuts: list[Cut] = []
        while len(cuts) < limit:
            cut = recording.segmenter.next_cut(now_us, writer.parameter_sets)
            if cut is None:
                break
            cuts.append(cut)
        return cuts

    def _tell_journal(self, recording: Recording, writer: RecordingWriter, now_us: int) -> None:
        """The journal holds a ledger's first line as soon as it is durable, and its head every 10 s (E3)."""
        if writer.head is None or writer.first_line is None:
            return
        begun = recording.head_due_us > 0
        if begun and now_us < recording.head_due_us:
            return
        recording.head_due_us = now_us + HEAD_EVERY_US
        if begun:
            self._journal.add(RecordingHead(recording=writer.name, head=writer.head))
        else:
            self._journal.add(RecordingBegun(recording=writer.name, first=writer.first_line))
            self.ask_anchor("opening")
            self._sync_journal()

    def _finish(self, recording: Recording, writer: RecordingWriter, close: CloseOrder) -> None:
        if writer.head is None:
            self._end_empty(recording)
            return
        missing = gaps(recording.segmenter.missing_at_end(), recording.segmenter.silences_at_end())
        writer.close(close.how, close.end_us, missing, self._seal_context(close.private))
        self._journal.add(RecordingEnded(recording=writer.name, head=writer.head, how="closed"))
        recording.closed = close.how
        self._confirm_end(recording, close.how)

    def _confirm_end(self, recording: Recording, how: str) -> None:
        """A recording has ended when the journal holds its last line."""
        self._sync_journal()
        self.ask_anchor("close")
        self._drop(recording, how)

    def _continue_in_another(self, recording: Recording, writer: RecordingWriter, now_us: int) -> None:
        """The encoder's parameter sets changed: this recording closes, and a new one goes on where it ended."""
        if writer.head is not None:
            writer.close("continued", now_us, [], None)
            self._journal.add(RecordingEnded(recording=writer.name, head=writer.head, how="closed"))
        recording.segmenter.changed_sets = False
        self._succeed(recording, writer)

    def _abandon(self, recording: Recording, detail: str) -> None:
        """The ledger could not be written on: what is durable of it stands, and a new recording goes on."""
        writer = recording.writer
        if writer is None:
            return
        if writer.head is not None:
            at_us = self._clock.now_us()
            self._journal.add(Fault(part="storage", present=True, at_us=at_us, detail=detail[-200:]))
            self._journal.add(RecordingEnded(recording=writer.name, head=writer.head, how="failed"))
        self._succeed(recording, writer)

    def _succeed(self, recording: Recording, writer: RecordingWriter) -> None:
        """Go on in a new folder from the last durable frame; what stands is said there too."""
        if writer.head is not None:
            waiting = list(recording.notes)
            standing = [noted for noted in self._standing.values() if recording.may_say(noted) and noted not in waiting]
            recording.notes = deque([*standing, *waiting])
        writer.give_up()
        recording.continues = writer.name if writer.head is not None else recording.continues
        recording.writer = None
        recording.head_due_us = 0
        recording.segmenter = self._segmenter(recording.order, recording.segmenter)

    def _end_if_nothing_came(self, recording: Recording, now_us: int) -> None:
        if recording.close is not None and recording.segmenter.pictures_ended(now_us):
            self._end_empty(recording)

    def _end_empty(self, recording: Recording) -> None:
        """Nothing of it, or nothing more of what it continues, could be recorded: the journal says so."""
        detail = f"recording {recording.order.recording} ended without a further frame"
        self._journal.add(Fault(part="camera", present=True, at_us=self._clock.now_us(), detail=detail))
        self._drop(recording, "empty")

    def _drop(self, recording: Recording, how: str) -> None:
        if recording.writer is not None:
            recording.writer.give_up()
        self._ring.release(recording.order.claim)
        self._recordings.remove(recording)
        self._tell(RecorderClosed(at_us=self._clock.now_us(), recording=recording.order.recording, how=how))

    # -- the card ---------------------------------------------------------------------------------------------------

    def _look_at_space(self, now_us: int) -> None:
        """A card that is nearly full takes no new recording, and open ones close on the reserve (E7)."""
        if now_us < self._space_due_us:
            return
        self._space_due_us = now_us + SPACE_EVERY_US
        try:
            self.free_bytes = self._disk.free_bytes()
            self._custody.look(self.free_bytes, recording=bool(self._recordings))
            room = self.free_bytes >= self._full_below_bytes
            ready = room and (self._reserve.held or self._hold_reserve())
        except CannotPersist as failure:
            self._card_refused(failure, now_us)
            return
        if ready != self._ready:
            self._ready = ready
            self._tell(Readiness(at_us=now_us, ready=ready, reason="" if ready else "storage-full"))
        if not room:
            self._close_on_reserve(now_us)

    def _hold_reserve(self) -> bool:
        roomy = self._disk.free_bytes() >= self._reserve.size + self._full_below_bytes
        return roomy and self._reserve.hold()

    def _close_on_reserve(self, now_us: int) -> None:
        if any(recording.close is None for recording in self._recordings):
            self._reserve.release()
            self._close_all("storage-full", now_us)

    def _close_all(self, how: str, end_us: int) -> None:
        for recording in self._recordings:
            if recording.close is None:
                self._ring.close_claim(recording.order.claim, end_us)
                recording.close = CloseOrder(recording.order.recording, how, end_us, {"reason": how})

    def _card_refused(self, failure: CannotPersist, now_us: int) -> None:
        if isinstance(failure, CardFull):
            self._close_on_reserve(now_us)
            self._reserve.release()
        part = "key" if isinstance(failure, KeyUnreachable) else "storage"
        if part not in self._card_faults:
            self._card_faults.add(part)
            self._tell(FaultChanged(at_us=now_us, part=part, present=True))
            if part == "key":
                self._journal.add(Fault(part=part, present=True, at_us=now_us, detail=str(failure)[:200]))

    def _storage_works(self, now_us: int) -> None:
        for part in sorted(self._card_faults):
            self._tell(FaultChanged(at_us=now_us, part=part, present=False))
        self._card_faults.clear()

    def _recover_one(self, now_us: int) -> None:
        """One unfinished recording a run, when there is nothing more pressing."""
        if not self._to_recover or self._end_reason is not None or self._orders:
            return
        name = self._to_recover.popleft()
        try:
            result = recover(self._disk, name, self._facts.device, self._signer, self._clock, self._keys)
        except CannotPersist as failure:
            self._card_refused(failure, now_us)
            detail = f"recording {name}: recovery is left to the next start: {failure}"[:200]
            self._journal.add(Fault(part="evidence", present=True, at_us=now_us, detail=detail))
            return
        how = _ENDED_HOW.get(result.outcome)
        known = result.outcome in ("closed", "recovered-before") and name not in self._journal.found.unended
        if how is not None and result.head is not None and not known:
            self._journal.add(RecordingEnded(recording=name, head=result.head, how=how))
        strange = result.outcome == "kept" and name in self._journal.found.unended
        if strange or result.outcome in ("damaged", "foreign", "empty"):
            detail = f"recording {name}: {result.outcome}: {result.detail}"[:200]
            self._journal.add(Fault(part="evidence", present=True, at_us=now_us, detail=detail))

    def _keep_custody(self, now_us: int) -> None:
        """One thing a run, after what the recordings have to write."""
        recording = bool(self._recordings)
        due = now_us >= self._custody_retry_us and self._custody.has_work(recording=recording)
        if not due or self._end_reason is not None:
            return
        try:
            docked = self._custody.step(self._sync_journal, recording=recording)
        except CannotPersist as failure:
            self._card_refused(failure, now_us)
            self._custody_retry_us = now_us + RETRY_US
        else:
            self._custody_retry_us = 0
            self._storage_works(now_us)
            if docked:
                self.ask_anchor("dock")

    def _next_wake_us(self, now_us: int) -> int:
        if self._ended:
            return NEVER_US
        waits = bool(self._orders) and isinstance(self._orders[0], PolicyOrder)
        if not waits and (self._orders or (self._to_recover and self._end_reason is None)):
            return now_us
        if self._anchors_wait and not self._orders and not self._journal_retry_us:
            return now_us
        soonest = self._space_due_us
        if waits:
            soonest = min(soonest, max(self._policy_retry_us, now_us + POLL_US))
        if self._end_reason is None and self._custody.has_work(recording=bool(self._recordings)):
            soonest = min(soonest, max(now_us, self._custody_retry_us, self._journal_retry_us))
        if self._journal.has_pending:
            due_us = self._journal_retry_us or min(self._pending_since_us, now_us) + JOURNAL_SYNC_US
            soonest = min(soonest, due_us)
        return min(soonest, now_us + POLL_US) if self._recordings else soonest

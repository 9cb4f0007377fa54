"""Ledgers against decisions: each recording has its activation, each activation its recording, and both say the same.

The ledgers' lines are read and checked, and what is private in them is opened; their segments are not: `verify` reads
those. Nothing found on a card raises.
"""

import hashlib
from pathlib import Path

import msgspec
from cryptography import x509

from device.errors import EvidenceError
from device.evidence import layout, records
from device.evidence.chain import ReadChain, never_whole
from device.evidence.deeds import FROM_HEAT, Activation, Activations, done
from device.evidence.documents import Identities
from device.evidence.endings import BY_DECISION, Ledger, finding, together, why_no_recording
from device.evidence.envelope import open_line
from device.evidence.history import History
from device.evidence.identity import p256_key
from device.evidence.judgements import AuditFinding, Kind, Told
from device.evidence.reading import read_file, real_folder
from device.evidence.records import (
    LedgerRecord,
    Muted,
    Noted,
    Paused,
    RecordingClosed,
    RecordingEnded,
    RecordingOpened,
    SealedContext,
    Segment,
    Segments,
    Software,
)
from device.evidence.recovery import MAX_LEDGER_BYTES, read_ledger
from device.evidence.replay import Replayed
from device.evidence.runs import run_ends
from device.evidence.spans import WhatIsHeld, earliest_us
from device.evidence.unsealing import ContextIdentity

UNTOLD_US = 15_000_000
"""So far, at most, a ledger reaches past the last line of a journal that has no end: what was decided by then is unknown."""


class Matched(msgspec.Struct):
    """What came of it. `names`: the recordings on the card of each activation, by run and boot time of it."""

    findings: list[AuditFinding] = msgspec.field(default_factory=list)
    names: dict[tuple[int, int], list[str]] = msgspec.field(default_factory=dict)
    without_activation: list[str] = msgspec.field(default_factory=list)
    without_recording: list[Told] = msgspec.field(default_factory=list)


class Sources(msgspec.Struct, frozen=True):
    """What a match needs, of the card and of its replay."""

    card: Path
    identities: Identities
    history: History
    replayed: Replayed
    activations: Activations
    held: WhatIsHeld
    identity: ContextIdentity


def match(sources: Sources, names: list[str]) -> Matched:
    """`names`: the recordings' folders, listed before the journal was read: a card that is written can only grow."""
    matching = _Matching(sources)
    for name in names:
        matching.take(name)
    missing = sorted(sources.history.names() - set(names))
    for name in missing:
        if not (sources.card / layout.recording_folder(name)).is_dir():
            matching.find("content", name, "the journal holds this recording; its folder is missing")
    matching.end()
    return matching.matched


class _Matching:
    def __init__(self, sources: Sources) -> None:
        self.matched = Matched()
        self._given = sources
        self._groups: dict[tuple[int, int], list[Ledger]] = {}
        self._not_audited: dict[str, list[str]] = {}
        self._runs = run_ends(sources.history, sources.replayed.runs)
        self._given_up = {
            (epoch.statement.certificate_sha256, line.record.recording)
            for epoch in sources.history.epochs
            for line in epoch.lines
            if isinstance(line.record, RecordingEnded) and line.record.how == "failed"
        }

        self._noted = {
            (sources.replayed.runs[epoch.name], line.record.what, line.record.at_us, line.record.value)
            for epoch in sources.history.epochs
            for line in epoch.lines
            if isinstance(line.record, Noted)
        }

    def find(self, kind: Kind, name: str, what: str, utc: str = "") -> None:
        self.matched.findings.append(finding(kind, name, what, utc))

    # -- one ledger -------------------------------------------------------------------------------------------------

    def take(self, name: str) -> None:
        chain = self._read(name)
        if chain is None or not isinstance(opened := chain.lines[0].record, RecordingOpened):
            return
        place = self._given.history.places.at(opened.journal)
        if opened.prev != opened.journal.sha256 or place is None:
            self.find("content", name, "the journal line that it starts from is not in the journal", opened.utc)
            return
        self._against_journal(name, chain, opened)
        epoch = place.epoch
        if opened.certificate_sha256 != epoch.statement.certificate_sha256:
            self.find("content", name, f"it starts from the journal of another key, that of {epoch.boot.device}")
        if opened.policy != epoch.boot.policy:
            what = f"it names the policy {opened.policy.id} {opened.policy.version}; its boot names another"
            self.find("recording", name, what, opened.utc)
        if epoch.name not in self._given.activations.epochs:
            self._not_audited.setdefault(epoch.name, []).append(name)
            return
        key = self._given.replayed.runs[epoch.name], opened.trigger_us
        self.matched.names.setdefault(key, []).append(name)
        activation = self._given.activations.by_time.get(key)
        if activation is None:
            self.matched.without_activation.append(name)
            what = f"a recording with no activation: the journal has no start at {opened.trigger_us} µs of its boot"
            self.find("recording", name, what, opened.utc)
            return
        ledger = self._ledger(name, chain, opened)
        self._groups.setdefault(key, []).append(ledger)
        self._opening(ledger, activation)
        self._deeds(ledger, activation)
        self._segments(ledger, activation)
        self._closing(ledger, activation)

    def _ledger(self, name: str, chain: ReadChain[LedgerRecord], opened: RecordingOpened) -> Ledger:
        last = chain.lines[-1].record
        lines = [line.record for line in chain.lines]
        return Ledger(
            name=name,
            chain=chain,
            opened=opened,
            closed=last if isinstance(last, RecordingClosed) else None,
            segments=[segment for record in lines if isinstance(record, Segments) for segment in record.segments],
            deeds={deed for record in lines if (deed := done(record)) is not None},
            begun=self._given.history.told(opened.certificate_sha256, name).begun,
            given_up=(opened.certificate_sha256, name) in self._given_up,
        )

    def _read(self, name: str) -> ReadChain[LedgerRecord] | None:
        """The good lines of a ledger; None where it never began, or nothing of it can be believed."""
        folder = self._given.card / layout.recording_folder(name)
        try:
            data = read_file(folder / layout.LEDGER, MAX_LEDGER_BYTES) if real_folder(folder) else None
            if data is None or never_whole(data):
                self._never_began(name)
                return None
            certificate = _certificate(data, self._given.identities)
            chain = read_ledger(data, name, p256_key(certificate))
        except EvidenceError as failure:
            self.find("content", name, str(failure))
            return None
        if not chain.lines:
            self.find("content", name, chain.fault)
            return None
        if chain.provably_altered:
            self.find("content", name, f"a line that was durable is missing or changed: {chain.fault}")
        return chain

    def _never_began(self, name: str) -> None:
        if name in self._given.history.names():
            self.find("content", name, "the journal holds lines of this ledger; its first line is missing or damaged")

    def _against_journal(self, name: str, chain: ReadChain[LedgerRecord], opened: RecordingOpened) -> None:
        """The ledger holds every line that the journal holds of it; a recovery's own line is elsewhere."""
        told = self._given.history.told(opened.certificate_sha256, name)
        for line in told.lines:
            recovered = told.how == "recovered" and line == told.ended and line.seq == len(chain.lines)
            if not recovered and (line.seq >= len(chain.lines) or chain.lines[line.seq].place != line):
                what = f"the journal holds line {line.seq} of this ledger, which is missing or changed"
                self.find("content", name, what, opened.utc)

    # -- a ledger and its activation --------------------------------------------------------------------------------

    def _opening(self, ledger: Ledger, activation: Activation) -> None:
        opened, decided = ledger.opened, activation.opened
        first = opened.continues is None
        said: dict[str, tuple[object, object]] = {
            "trigger": (opened.trigger, decided.trigger),
            "pre-event mode": (opened.pre_event.mode, decided.pre_event),
            "pre-event asked (µs)": (opened.pre_event.asked_us, decided.pre_event_asked_us),
            "pre-event had (µs)": (
                opened.pre_event.had_us,
                max(0, decided.at_us - opened.video.base_us) if first else 0,
            ),
            "software": (_in_words(opened.software), _in_words(activation.software)),
        }
        recipients = activation.policy.recipients.footage
        if recipients:
            digest = hashlib.sha256("\n".join(recipients).encode()).hexdigest()
            said["recipients"] = (opened.recipients_sha256, len(opened.recipients)), (digest, len(recipients))
        for what, (ledger_says, journal_says) in said.items():
            if ledger_says != journal_says:
                self._differs(ledger, what, ledger_says, journal_says)
        if opened.journal.seq < activation.seq:
            what = f"it starts from line {opened.journal.seq} of the journal, before its activation was there"
            self.find("recording", ledger.name, what, opened.utc)
        early_us = earliest_us(activation) - opened.video.base_us
        if early_us > 0:
            what = f"its first frame is {early_us} µs from before any of it might be recorded"
            self.find("recording", ledger.name, what, opened.utc)
        wearer = activation.wearer
        self._private(
            ledger,
            activation,
            opened.context,
            {
                "category": decided.category,
                "zone": decided.zone,
                "override": bool(decided.override),
                "officer": wearer.officer,
                "role": wearer.role,
                "unit": wearer.unit,
                "shift": wearer.shift,
                "retention_days": str(activation.policy.retention.days),
            },
        )

    def _deeds(self, ledger: Ledger, activation: Activation) -> None:
        """What was done in a recording: each of it must have been decided."""
        run = self._runs[activation.run]
        for line in ledger.chain.lines:
            record = line.record
            deed = done(record)
            if isinstance(record, Noted) and record.what in FROM_HEAT:
                self._from_heat(ledger, activation, record)
            if deed is None:
                continue
            if deed not in activation.deeds:
                what = f"line {record.seq}: {deed[0]} at {deed[1]} µs, which the journal does not decide"
                lost = not run.clean and record.boot_us > run.last_us
                self.find("extent" if lost else "recording", ledger.name, what, record.utc)
            elif isinstance(record, Muted | Paused):
                self._private(ledger, activation, record.context, {"reason": activation.reasons.get(deed, "")})

    def _from_heat(self, ledger: Ledger, activation: Activation, noted: Noted) -> None:
        """What was given up of the picture stands in the journal before a ledger says it (E9)."""
        if (activation.run, noted.what, noted.at_us, noted.value) not in self._noted:
            what = f"line {noted.seq}: {noted.what} {noted.value} at {noted.at_us} µs, which is not in the journal"
            self.find("recording", ledger.name, what, noted.utc)

    def _segments(self, ledger: Ledger, activation: Activation) -> None:
        """What the segments say they hold might be held; nothing follows the line that closes a ledger."""
        opened, closed = ledger.opened, ledger.closed
        rate_hz = 0 if opened.audio is None else opened.audio.sample_rate_hz
        run = self._runs[activation.run]
        told: list[Segment] = []
        untold: list[Segment] = []
        for segment in ledger.segments:
            spans = [span for span in (segment.video, segment.audio) if span is not None]
            past_us = max((span.last_us for span in spans), default=0) - run.last_us
            (untold if not run.clean and 0 < past_us <= UNTOLD_US else told).append(segment)
        kinds: tuple[tuple[Kind, list[Segment]], ...] = ("recording", told), ("extent", untold)
        for kind, segments in kinds:
            for what in self._given.held.beyond(activation, segments, rate_hz):
                self.find(kind, ledger.name, what, opened.utc)
        if closed is not None and closed.how != "continued":
            spans = [span for segment in ledger.segments for span in (segment.video, segment.audio) if span is not None]
            late_us = max((span.last_us for span in spans), default=0) - closed.end_us
            if late_us >= 0 and spans:
                self.find("recording", ledger.name, f"it holds something from {late_us} µs after its end", closed.utc)
        for line in ledger.chain.lines[:-1]:
            if isinstance(line.record, RecordingClosed):
                what = f"line {line.record.seq} closes it, and is not its last"
                self.find("recording", ledger.name, what, line.record.utc)

    def _closing(self, ledger: Ledger, activation: Activation) -> None:
        """The reason that is sealed beside an end."""
        closed, decided = ledger.closed, activation.close
        if closed is None or closed.how == "continued":
            return
        if closed.how not in BY_DECISION:
            self._private(ledger, activation, closed.context, {"reason": closed.how})
        elif decided is not None:
            self._private(ledger, activation, closed.context, {"reason": decided.reason})

    def _private(
        self, ledger: Ledger, activation: Activation, context: SealedContext | None, wanted: dict[str, str | bool]
    ) -> None:
        """What is sealed in a ledger is what the journal's decision says."""
        name, utc = ledger.name, ledger.opened.utc
        if context is None:
            self.find("recording", name, f"it does not say its {', '.join(wanted)}", utc)
            return
        why = self._given.replayed.sealed_for.why_not(activation.run, activation.policy, context)
        if why:
            self.find("recording", name, why, utc)
        try:
            facts = self._given.identity.facts(context)
        except EvidenceError as failure:
            self.find("recording", name, str(failure), utc)
            return
        said = {key: value for key, value in facts.items() if key != "salt"}
        for key in sorted(said.keys() | wanted.keys()):
            if said.get(key) != wanted.get(key):
                what = f"its {key} is {said.get(key)!r}; the journal decided {wanted.get(key)!r}"
                self.find("recording", name, what, utc)

    def _differs(self, ledger: Ledger, what: str, said: object, wanted: object) -> None:
        self.find("recording", ledger.name, f"its {what} is {said}; the journal decided {wanted}", ledger.opened.utc)

    # -- activations and their ledgers ------------------------------------------------------------------------------

    def end(self) -> None:
        for key, activation in self._given.activations.by_time.items():
            ledgers = self._groups.get(key, [])
            run = self._runs[activation.run]
            if ledgers:
                self.matched.findings.extend(together(ledgers, activation, run))
            elif key not in self.matched.names:
                seen_us = self._given.held.seen_us(activation, run.last_us)
                self._without_recording(activation, *why_no_recording(activation, run, seen_us))

        for epoch, names in self._not_audited.items():
            kind = self._given.replayed.not_replayed.get(epoch, "state")
            what = f"not audited: {len(names)} recordings that start from it, {names[0]} first"
            place = layout.epoch_file(epoch)
            self.matched.findings.append(AuditFinding(kind=kind, place=place, what=what))

    def _without_recording(self, activation: Activation, why: str, kind: Kind) -> None:
        """Nothing of it became durable: the camera gave nothing, or the power went; else it was taken away."""
        what = f"an activation with no recording: {why}"
        self.matched.findings.append(AuditFinding(kind=kind, place=activation.place, what=what, utc=activation.utc))
        told = Told(
            place=activation.place,
            utc=activation.utc,
            clock_set=activation.clock_set,
            what=f"recording {activation.opened.recording} by {activation.opened.trigger}: {why}",
        )
        self.matched.without_recording.append(told)


def _in_words(software: Software) -> str:
    return f"{software.version}, {software.machine}, configuration {software.configuration_sha256[:12]}…"


def _certificate(data: bytes, identities: Identities) -> x509.Certificate:
    """The certificate that a ledger's first line names."""
    first = records.decode_ledger(open_line(data.split(b"\n", 1)[0]).payload)
    if not isinstance(first, RecordingOpened):
        raise EvidenceError("its first line does not open a recording")
    certificate = identities.certificates.get(first.certificate_sha256)
    if certificate is None:
        raise EvidenceError(f"the certificate {layout.certificate_file(first.certificate_sha256)} is missing")
    return certificate

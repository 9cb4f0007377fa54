"""Ledgers against decisions: each recording has its activation, each activation its recording, and both say the same.

The ledgers' lines are read and checked, and what is private in them is opened; their segments are not: `verify` reads
those. Nothing found on a card raises.
"""

from pathlib import Path

import msgspec
from cryptography import x509

from device.errors import EvidenceError
from device.evidence import layout, records
from device.evidence.chain import ReadChain, never_whole
from device.evidence.deeds import DEED_KINDS, Activation, Activations
from device.evidence.documents import Identities
from device.evidence.envelope import open_line
from device.evidence.history import History
from device.evidence.identity import p256_key
from device.evidence.judgements import AuditFinding, Kind, Told
from device.evidence.reading import read_file, real_folder
from device.evidence.records import (
    LedgerRecord,
    Marker,
    Muted,
    Paused,
    RecordingClosed,
    RecordingOpened,
    Resumed,
    SealedContext,
    Unmuted,
)
from device.evidence.recovery import MAX_LEDGER_BYTES, read_ledger
from device.evidence.unsealing import ContextIdentity

BY_DECISION = ("stopped", "shutdown")
"""How a ledger closes when the machine decided it; all other ends are the recorder's own."""


class Matched(msgspec.Struct):
    """What came of it. `names`: the recordings on the card of each activation, by run and boot time of it."""

    findings: list[AuditFinding] = msgspec.field(default_factory=list)
    names: dict[tuple[int, int], list[str]] = msgspec.field(default_factory=dict)
    without_activation: list[str] = msgspec.field(default_factory=list)
    without_recording: list[Told] = msgspec.field(default_factory=list)


class Sources(msgspec.Struct, frozen=True):
    """What a match needs. `runs`: the run of each journal file."""

    card: Path
    identities: Identities
    history: History
    runs: dict[str, int]
    activations: Activations
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


class _Ledger(msgspec.Struct, frozen=True):
    """A recording whose first line can be believed. `deeds`: as in `Activation`."""

    name: str
    opened: RecordingOpened
    closed: RecordingClosed | None
    deeds: dict[str, set[int]]


class _Matching:
    def __init__(self, sources: Sources) -> None:
        self.matched = Matched()
        self._given = sources
        self._groups: dict[tuple[int, int], list[_Ledger]] = {}

    def find(self, kind: Kind, name: str, what: str, utc: str = "") -> None:
        place = f"{layout.recording_folder(name)}/{layout.LEDGER}"
        self.matched.findings.append(AuditFinding(kind=kind, place=place, what=what, utc=utc))

    # -- one ledger -------------------------------------------------------------------------------------------------

    def take(self, name: str) -> None:
        chain = self._read(name)
        if chain is None or not isinstance(opened := chain.lines[0].record, RecordingOpened):
            return
        place = self._given.history.places.get(opened.journal.sha256)
        if opened.prev != opened.journal.sha256 or place is None or place.line != opened.journal:
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
            return
        key = self._given.runs[epoch.name], opened.trigger_us
        self.matched.names.setdefault(key, []).append(name)
        activation = self._given.activations.by_time.get(key)
        if activation is None:
            self.matched.without_activation.append(name)
            what = f"a recording with no activation: the journal has no start at {opened.trigger_us} µs of its boot"
            self.find("recording", name, what, opened.utc)
            return
        ledger = _Ledger(name, opened, _closing(chain), self._deeds(name, chain, activation))
        self._groups.setdefault(key, []).append(ledger)
        self._opening(ledger, activation)
        self._end(ledger, activation)

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

    def _opening(self, ledger: _Ledger, activation: Activation) -> None:
        opened, decided = ledger.opened, activation.opened
        said = opened.trigger, opened.pre_event.mode, opened.pre_event.asked_us
        wanted = decided.trigger, decided.pre_event, decided.pre_event_asked_us
        for what, ledger_says, journal_says in zip(
            ("trigger", "pre-event mode", "pre-event asked (µs)"), said, wanted, strict=True
        ):
            if ledger_says != journal_says:
                self._differs(ledger, what, ledger_says, journal_says)
        if decided.pre_event == "off" and opened.continues is None and opened.video.base_us < decided.at_us:
            early_us = decided.at_us - opened.video.base_us
            what = f"its first frame is {early_us} µs from before the start, where nothing from before may be recorded"
            self.find("recording", ledger.name, what, opened.utc)
        wearer = activation.wearer
        self._private(
            ledger,
            opened.context,
            {
                "category": decided.category,
                "zone": decided.zone,
                "override": bool(decided.override),
                "officer": wearer.officer,
                "role": wearer.role,
                "unit": wearer.unit,
                "shift": wearer.shift,
                "retention_days": str(activation.retention_days),
            },
        )

    def _end(self, ledger: _Ledger, activation: Activation) -> None:
        closed, decided = ledger.closed, activation.close
        if closed is None or closed.how not in BY_DECISION:
            return
        if decided is None:
            self.find("recording", ledger.name, f"it was closed ({closed.how}) without a decision", closed.utc)
            return
        if (closed.how, closed.end_us) != (decided.how, decided.to_us):
            said, wanted = f"{closed.how} at {closed.end_us} µs", f"{decided.how} at {decided.to_us} µs"
            self._differs(ledger, "end", said, wanted)
        self._private(ledger, closed.context, {"reason": decided.reason})

    def _deeds(self, name: str, chain: ReadChain[LedgerRecord], activation: Activation) -> dict[str, set[int]]:
        """What the ledger holds of markers, mutes and pauses; each must have been decided."""
        deeds: dict[str, set[int]] = {kind: set() for kind in DEED_KINDS}
        for line in chain.lines:
            record = line.record
            if not isinstance(record, Marker | Muted | Unmuted | Paused | Resumed):
                continue
            kind = str(record.__struct_config__.tag)
            deeds[kind].add(record.at_us)
            if record.at_us not in activation.deeds[kind]:
                what = f"line {record.seq}: {kind} at {record.at_us} µs, which the journal does not decide"
                self.find("recording", name, what, record.utc)
            elif isinstance(record, Muted | Paused):
                reason = activation.reasons.get((kind, record.at_us), "")
                self._private_of(name, record.context, {"reason": reason}, record.utc)
        return deeds

    def _private(self, ledger: _Ledger, context: SealedContext | None, wanted: dict[str, str | bool]) -> None:
        self._private_of(ledger.name, context, wanted, ledger.opened.utc)

    def _private_of(self, name: str, context: SealedContext | None, wanted: dict[str, str | bool], utc: str) -> None:
        """What is sealed in a ledger is what the journal's decision says."""
        if context is None:
            self.find("recording", name, f"it does not say its {', '.join(wanted)}", utc)
            return
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

    def _differs(self, ledger: _Ledger, what: str, said: object, wanted: object) -> None:
        self.find("recording", ledger.name, f"its {what} is {said}; the journal decided {wanted}", ledger.opened.utc)

    # -- activations and their ledgers ------------------------------------------------------------------------------

    def end(self) -> None:
        for key, activation in self._given.activations.by_time.items():
            ledgers = self._groups.get(key, [])
            if ledgers:
                self._together(ledgers, activation)
            elif key not in self.matched.names:
                self._without_recording(activation)

    def _together(self, ledgers: list[_Ledger], activation: Activation) -> None:
        """One recording, or several of which each continues one before; what was decided is in one of them."""
        firsts = [ledger for ledger in ledgers if ledger.opened.continues is None]
        for ledger in firsts[1:]:
            self.find("recording", ledger.name, "a second recording of one activation", ledger.opened.utc)
        last = ledgers[-1]
        if last.closed is None or last.closed.how not in BY_DECISION:
            return
        for kind in DEED_KINDS:
            held = set[int]().union(*(ledger.deeds[kind] for ledger in ledgers))
            for at_us in sorted(activation.deeds[kind] - held):
                what = f"the journal decided {kind} at {at_us} µs, which it does not hold"
                self.find("recording", last.name, what, last.opened.utc)

    def _without_recording(self, activation: Activation) -> None:
        """Nothing of it became durable: the camera gave nothing, or the power went; else it was taken away."""
        said = activation.recorder_said
        if said == "empty":
            why = "no frame came from the camera"
        elif not said and not self._ended_cleanly(activation.run):
            why = "the power went before its first second was durable, or it has only just begun"
        else:
            why = "its recording is not on the card, and nothing tells why"
            what = f"an activation with no recording: {why}"
            finding = AuditFinding(kind="recording", place=activation.place, what=what, utc=activation.utc)
            self.matched.findings.append(finding)
        told = Told(
            place=activation.place,
            utc=activation.utc,
            clock_set=activation.clock_set,
            what=f"recording {activation.opened.recording} by {activation.opened.trigger}: {why}",
        )
        self.matched.without_recording.append(told)

    def _ended_cleanly(self, run: int) -> bool:
        epochs = [epoch for epoch in self._given.history.epochs if self._given.runs[epoch.name] == run]
        return bool(epochs) and epochs[-1].stopped


def _certificate(data: bytes, identities: Identities) -> x509.Certificate:
    """The certificate that a ledger's first line names."""
    first = records.decode_ledger(open_line(data.split(b"\n", 1)[0]).payload)
    if not isinstance(first, RecordingOpened):
        raise EvidenceError("its first line does not open a recording")
    certificate = identities.certificates.get(first.certificate_sha256)
    if certificate is None:
        raise EvidenceError(f"the certificate {layout.certificate_file(first.certificate_sha256)} is missing")
    return certificate


def _closing(chain: ReadChain[LedgerRecord]) -> RecordingClosed | None:
    last = chain.lines[-1].record
    return last if isinstance(last, RecordingClosed) else None

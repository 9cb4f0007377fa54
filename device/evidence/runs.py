"""The runs of a daemon on a card, and the order of its journal's lines: what every journal is held to, whatever it says.

A run is one start of the daemon, with the epochs that follow it until the next start. Nothing found on a card raises.
"""

from pathlib import Path

import msgspec
from cryptography import x509

from device.evidence import layout
from device.evidence.chain import ReadLine
from device.evidence.documents import why_not_policy, why_not_signed
from device.evidence.history import Epoch, History
from device.evidence.identity import Role, parse_utc, why_not_trusted
from device.evidence.judgements import AuditFinding, Kind
from device.evidence.policies import Policies
from device.evidence.records import Boot, JournalRecord, Record, RecordingBegun, Step, Stopped
from device.evidence.verdicts import Finding
from device.policy.inputs import FaultChanged

AHEAD_US = 1_000_000
"""Nothing is written down before it happened, but for the difference of two readings of the clock."""
CLEAN = "shutdown"


class RunEnd(msgspec.Struct, frozen=True):
    """How a run ended: the boot time of its last line, and the reason of its end, "" where it has none."""

    last_us: int
    reason: str

    @property
    def clean(self) -> bool:
        return self.reason == CLEAN


def run_ends(history: History, runs: dict[str, int]) -> dict[int, RunEnd]:
    """Of every run, how it ended."""
    ends = {}
    for epoch in history.epochs:
        last = epoch.lines[-1].record
        stopped = epoch.stopped and isinstance(last, Stopped)
        ends[runs[epoch.name]] = RunEnd(last.boot_us, last.reason if stopped and isinstance(last, Stopped) else "")
    return ends


def untrusted(history: History) -> set[int]:
    """The journals of this card whose signer is not trusted."""
    places = [finding.place for finding in history.findings if finding.question == "signer"]
    return {
        epoch.chain
        for epoch in history.epochs
        if any(place.split(",")[0] == layout.epoch_file(epoch.name) for place in places)
    }


class Order:
    """Reads a history once, and collects what is out of order."""

    def __init__(self, card: Path, history: History, policies: Policies, anchors: tuple[x509.Certificate, ...]) -> None:
        self.findings: list[AuditFinding] = []
        self.of_documents: list[Finding] = []
        self._card = card
        self._history = history
        self._policies = policies
        self._anchors = anchors
        self._clocks: dict[tuple[str, str], int] = {}
        self._before: dict[str, Epoch] = {}
        self._judged: set[tuple[str, str]] = set()
        self._ahead: set[str] = set()
        chains = untrusted(history)
        for epoch in history.epochs:
            if epoch.chain in chains:
                continue
            self._documents(epoch)
            self._versions(epoch)
            self._certificate(epoch)
            self._lines(epoch)
            self._before[self._device(epoch)] = epoch

    def _device(self, epoch: Epoch) -> str:
        """A device is its first certificate: rotations led from it to all others."""
        return self._history.rotations.up_to(epoch.statement.certificate_sha256)[-1]

    def _find(self, kind: Kind, epoch: Epoch, record: Record, what: str) -> None:
        place = f"{layout.epoch_file(epoch.name)}, line {record.seq}"
        self.findings.append(AuditFinding(kind=kind, place=place, what=what, utc=record.utc))

    # -- the policy -------------------------------------------------------------------------------------------------

    def _documents(self, epoch: Epoch) -> None:
        """`verify` asks for the policy of every boot that decided or recorded anything; the audit for that of the others."""
        if any(isinstance(line.record, Step | RecordingBegun) for line in epoch.lines):
            return
        boot = epoch.boot
        why = why_not_policy(self._card, boot.policy)
        if why:
            place = layout.policy_file(boot.policy.sha256)
            self.of_documents.append(Finding(question="content", place=place, what=why))
        unsigned = why_not_signed(self._card, boot.bundle_sha256, boot.policy, self._anchors)
        if unsigned is not None:
            self.of_documents.append(unsigned)

    def _versions(self, epoch: Epoch) -> None:
        """A device never goes back to an older policy, on whatever card it was before."""
        before = self._before.get(self._device(epoch))
        if before is None or epoch.boot.policy.version >= before.boot.policy.version:
            return
        was, is_now = before.boot.policy.version, epoch.boot.policy.version
        self._find("state", epoch, epoch.boot, f"an older policy than before: version {is_now} after {was}")

    def _certificate(self, epoch: Epoch) -> None:
        """A policy is taken while its signer's certificate is valid; what was taken then stays good. The first boot here
        that names it may be a later one, and no label is more than the device's own word."""
        boot, device = epoch.boot, self._device(epoch)
        moment, bundle = parse_utc(boot.utc), self._policies.find(boot.policy)
        if (device, boot.policy.sha256) in self._judged or bundle is None or moment is None:
            return
        if not boot.clock.synchronised:
            return
        self._judged.add((device, boot.policy.sha256))
        why = why_not_trusted(bundle.certificate, Role.POLICY, self._anchors, moment)
        if not why:
            return
        before = self._before.get(device)
        ended = None if before is None else parse_utc(before.lines[-1].record.utc)
        over = bundle.certificate.not_valid_after_utc
        taken_late = boot.reason == "policy-changed" or (ended is not None and ended > over)
        proven = taken_late or moment < bundle.certificate.not_valid_before_utc
        what = f"when the policy {boot.policy.id} {boot.policy.version} is first in force here, {why}"
        self._find("extent" if proven else "note", epoch, boot, what if proven else f"{what}; it may be of before")

    # -- lines ------------------------------------------------------------------------------------------------------

    def _lines(self, epoch: Epoch) -> None:
        stopped = False
        for line in epoch.lines:
            record = line.record
            if stopped and not _of_a_card_that_fails(epoch, record):
                self._find("state", epoch, record, "a line after the one that ends its boot")
            stopped = stopped or isinstance(record, Stopped)
            if isinstance(record, Boot) and record is not epoch.boot:
                self._find("state", epoch, record, "a second boot inside an epoch")
            self._time(epoch, line)
        last = epoch.lines[-1].record
        if isinstance(last, Stopped) and last.reason != CLEAN:
            what = f"the daemon could not go on ({last.reason}); what happened after it is not known"
            self._find("extent", epoch, last, what)

    def _time(self, epoch: Epoch, line: ReadLine[JournalRecord]) -> None:
        record = line.record
        if record.boot != epoch.boot.boot:
            self._find("state", epoch, record, f"a line of the boot {record.boot} in an epoch of {epoch.boot.boot}")
        clock = self._device(epoch), record.boot
        if record.boot_us < self._clocks.get(clock, 0):
            self._find("state", epoch, record, "its boot time is before that of the line before it")
        self._clocks[clock] = record.boot_us
        if not isinstance(record, Step):
            return
        came_us = 0 if record.input is None else record.input.at_us
        ahead_us = max(came_us, record.effective_us) - record.boot_us
        if ahead_us > AHEAD_US and epoch.name not in self._ahead:
            self._ahead.add(epoch.name)
            self._find("step", epoch, record, f"it is of a time {ahead_us} µs after it was written down")


def _of_a_card_that_fails(epoch: Epoch, record: JournalRecord) -> bool:
    """The last line itself could not be written at first: what the control loop answered to that comes after it."""
    fails = isinstance(record, Step) and isinstance(record.input, FaultChanged) and record.input.part == "storage"
    return epoch.boot.reason == "write-failed" and fails

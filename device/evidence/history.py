"""A card's journal, read as one history: epochs linked to each other, and what they say of each recording.

Checks what can be checked without the recordings: the agency's statement, signatures, sequence, links between epochs,
torn tails and who named them. A card may hold the journals of several devices, one after the other: what one of them
says counts for recordings under the same certificate, and under those that a rotation gave on to it, and for no others.
Collects findings; nothing found on a card raises.
"""

from collections.abc import Iterator
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from device.errors import EvidenceError
from device.evidence import layout
from device.evidence.documents import Identities, why_not_policy, why_not_signed
from device.evidence.envelope import MAX_LINE_BYTES, SignedLine
from device.evidence.identity import Role, common_name, key_protection, p256_key, parse_utc, why_not_trusted
from device.evidence.journal import MAX_EPOCH_BYTES, walk_epoch
from device.evidence.kept import Epoch, KeptLines, Place, Places
from device.evidence.reading import LinesOf, names_in
from device.evidence.records import (
    Anchor,
    Boot,
    ForeignCard,
    HistoryLost,
    PreviousEpoch,
    Provisioned,
    Receipted,
    Record,
    RecordingBegun,
    RecordingEnded,
    RecordingHead,
    Released,
    Step,
)
from device.evidence.revocation import NONE_REVOKED, Revocations
from device.evidence.rotation import Rotations, why_not_taken_over
from device.evidence.statement import provisioning_line, why_not_agency
from device.evidence.told import HandedOver, Told
from device.evidence.verdicts import Finding, Question

__all__ = ["Epoch", "History", "Place", "Told", "read_history"]


class History(msgspec.Struct):
    """All journal files of a card. `places`: where every believed line stands. `recorded`: whether a device on this card
    ever came so far as to decide anything. `handed_over`: by device and recording. `anchors`: the outside's words in it,
    each with the digest of its line."""

    epochs: list[Epoch] = msgspec.field(default_factory=list)
    places: Places = msgspec.field(default_factory=Places)
    recorded: bool = False
    findings: list[Finding] = msgspec.field(default_factory=list)
    by_certificate: dict[str, dict[str, Told]] = msgspec.field(default_factory=dict)
    rotations: Rotations = msgspec.field(default_factory=Rotations)
    handed_over: dict[tuple[str, str], HandedOver] = msgspec.field(default_factory=dict)
    anchors: list[tuple[str, Anchor | HistoryLost]] = msgspec.field(default_factory=list)

    @property
    def present(self) -> bool:
        """Whether any of it can be believed."""
        return bool(self.epochs)

    def told(self, certificate_sha256: str, recording: str) -> Told:
        """What its key's journal says of a recording, and that of later keys: they close what it left open."""
        heirs = self.rotations.heirs(certificate_sha256)
        said = [told for sha256 in heirs if (told := self.by_certificate.get(sha256, {}).get(recording)) is not None]
        last = next((told for told in reversed(said) if told.ended is not None), Told())
        lines = [line for told in said for line in told.lines]
        return msgspec.structs.replace(last, lines=lines, begun=any(told.begun for told in said))

    def told_by_another(self, certificate_sha256: str, recording: str) -> bool:
        """Whether the journal of another key holds a recording of this name: names are never given twice."""
        heirs = self.rotations.heirs(certificate_sha256)
        return any(recording in told for sha256, told in self.by_certificate.items() if sha256 not in heirs)

    def began_utc(self, recording: str) -> str | None:
        """When a recording began, by the word of whatever journal holds it."""
        said = [told[recording].begun_utc for told in self.by_certificate.values() if recording in told]
        return said[0] if len(said) == 1 else None

    def names(self) -> set[str]:
        """Every recording that some journal here holds a line of."""
        return {name for told in self.by_certificate.values() for name in told}

    def is_over(self, epoch: Epoch) -> bool:
        """Whether the boot of this epoch is known to have ended: another followed, or its daemon said that it stopped."""
        later = [e for e in self.epochs if e.name >= epoch.name]
        return later[-1].stopped or any(e.boot.boot != epoch.boot.boot for e in later)


def read_history(
    card: Path,
    identities: Identities,
    anchors: tuple[x509.Certificate, ...],
    revoked: Revocations = NONE_REVOKED,
    *,
    whole: bool = True,
) -> History:
    """`whole`: with every line at hand; else only their digests, and a line that is asked for is read again."""
    reader = _Reader(card, identities, anchors, revoked, whole=whole)
    try:
        names = names_in(card / layout.JOURNAL)
    except EvidenceError as failure:
        reader.history.findings.append(Finding(question="content", place=layout.JOURNAL, what=str(failure)))
        names = []
    for number in sorted(n for n in map(layout.epoch_number, names) if n is not None):
        name = layout.epoch_name(number)
        try:
            pieces = LinesOf(card / layout.epoch_file(name), MAX_EPOCH_BYTES, MAX_LINE_BYTES)
            if pieces.is_there:
                reader.take(name, pieces)
        except EvidenceError as failure:
            reader.broken(name, str(failure))
    reader.end()
    return reader.history


class _Owner(msgspec.Struct, frozen=True):
    """Whose journal it is: the agency's statement, and the certificate that it names, when that is on the card."""

    statement: Provisioned
    certificate: x509.Certificate | None


class _Reader:
    """Follows the links from epoch to epoch."""

    def __init__(
        self,
        card: Path,
        identities: Identities,
        anchors: tuple[x509.Certificate, ...],
        revoked: Revocations,
        *,
        whole: bool,
    ) -> None:
        self.history = History()
        self._card = card
        self._whole = whole
        self._certificates = identities.certificates
        self._anchors = anchors
        self._revoked = revoked
        self._owner: _Owner | None = None
        self._chain = -1
        self._newest: tuple[str, str] | None = None  # name and digest of the last file that holds anything
        self._cut: list[str] = []  # files after it that a power loss cut as they began
        self._broken: set[str] = set()

    def broken(self, epoch: str, what: str, at: Record | None = None, *, after: bool = False) -> None:
        """`at`: the line that is concerned, or the last good one before it."""
        self._broken.add(epoch)
        utc = at.utc if at is not None and at.clock.synchronised else None
        self._find("content", epoch, what, None if at is None else at.seq + after, utc)

    def _find(self, question: Question, epoch: str, what: str, seq: int | None = None, utc: str | None = None) -> None:
        place = layout.epoch_file(epoch) + (f", line {seq}" if seq is not None else "")
        self.history.findings.append(Finding(question=question, place=place, what=what, utc=utc))

    # -- one file ---------------------------------------------------------------------------------------------------

    def take(self, name: str, pieces: LinesOf) -> None:
        first = pieces.first.removesuffix(b"\n")
        signed, statement = provisioning_line(first)
        owner = self._owner
        if signed is not None and statement is not None:
            owner = _Owner(statement, self._certificates.get(statement.certificate_sha256))
        if owner is None or owner.certificate is None:
            self._cannot_take(name, pieces, owner, begins=signed is not None)
            return
        walk = walk_epoch(pieces, first, name, p256_key(owner.certificate))
        lines = KeptLines(self._card / layout.epoch_file(name), walk, whole=self._whole)
        if not lines and not walk.provably_altered and (walk.torn is None or walk.rest.never_whole):
            self._cut.append(name)
            return
        before, self._newest = self._newest, (name, pieces.sha256())
        if not lines:
            self.broken(name, f"no line of it can be believed: {walk.fault}")
            return
        if walk.provably_altered:
            last = lines[-1].record
            self.broken(name, f"lines that were durable are missing or changed: {walk.fault}", last, after=True)
        boot = lines[0].record
        if not isinstance(boot, Boot) or boot.epoch != name:
            self.broken(name, "it does not begin with the record of its boot", lines[0].record)
            return
        goes_on = self._goes_on(name, boot) if signed is None else self._give_to(name, signed, owner, boot)
        epoch = Epoch(name, self._chain, owner.statement, boot, lines, walk.torn)
        self._boot(epoch)
        if goes_on:
            self._link(epoch)
        elif boot.previous is None:
            self._first_of_chain(epoch, before)
        self._pass_over_cut()
        self.history.epochs.append(epoch)

    def _cannot_take(self, name: str, pieces: LinesOf, owner: _Owner | None, *, begins: bool) -> None:
        for _ in pieces:
            pass  # to its end, for its digest
        if owner is not None:
            self._newest = (name, pieces.sha256())
            self._owner = owner
            certificate = layout.certificate_file(owner.statement.certificate_sha256)
            what = f"it can't be judged: the certificate of {owner.statement.device}, {certificate}, is missing"
            self._find("signer", name, what, 0 if begins else None)
        elif pieces.beginning.never_whole:
            self._cut.append(name)
        else:
            self._newest = (name, pieces.sha256())
            self.broken(name, "the beginning of the journal, the agency's statement about the device, is missing")

    def _goes_on(self, name: str, boot: Boot) -> bool:
        """Under the key of the epoch before."""
        if boot.rotation is not None:
            self.broken(name, "it holds a rotation, and its key is that of the epoch before", boot)
        return True

    def _give_to(self, name: str, signed: SignedLine, owner: _Owner, boot: Boot) -> bool:
        """Whether this goes on with the journal before it, whose key gave it on; else a journal of its own begins."""
        why = self._why_not_rotated(owner, boot)
        if not why:
            assert self._owner is not None, "there is a key before"
            before = self._owner.statement.certificate_sha256
            self.history.rotations.add(before, owner.statement.certificate_sha256)
        else:
            self._chain += 1
            if boot.previous is not None or boot.rotation is not None:
                self.broken(name, f"it goes on with the journal before it, under another key: {why}", boot)
        self._owner = owner
        self._judge_statement(name, signed, owner)
        return not why

    def _why_not_rotated(self, owner: _Owner, boot: Boot) -> str:
        before, after = _key_of(self._owner), _key_of(owner)
        why = why_not_taken_over(boot, before, after)
        if not why and before is not None and after is not None:
            given_up = self.history.rotations.up_to(before[0].certificate_sha256)
            why = "that key had given it on before" if after[0].certificate_sha256 in given_up else ""
        return why

    def _judge_statement(self, name: str, signed: SignedLine, owner: _Owner) -> None:
        why = why_not_agency(
            signed, owner.statement, self._certificates, self._anchors, self._revoked
        ) or self._why_not_device(owner)
        if why:
            self._find("signer", name, why, 0)

    def _why_not_device(self, owner: _Owner) -> str:
        assert owner.certificate is not None, "without it nothing was read"
        named = common_name(owner.certificate)
        if named != owner.statement.device:
            return f"the certificate names {named}, the agency's statement {owner.statement.device}"
        protected, said = key_protection(owner.certificate), owner.statement.key_protection
        if protected != said:
            return (
                f"the certificate says that its key is protected by {protected or 'nothing'}, the statement by {said}"
            )
        return why_not_trusted(owner.certificate, Role.LEDGER, self._anchors, None)

    def _boot(self, epoch: Epoch) -> None:
        """What a boot says of itself, against the agency's statement and the policy that was in force."""
        boot, statement = epoch.boot, epoch.statement
        if boot.device != statement.device:
            self.broken(epoch.name, f"it is of the device {boot.device}, its journal of {statement.device}", boot)
        if boot.certificate_sha256 != statement.certificate_sha256:
            self.broken(epoch.name, "its boot names another certificate than the agency's statement", boot)
        if any(isinstance(line.record, Step | RecordingBegun) for line in epoch.lines):
            self.history.findings.extend(self._policy(boot))

    def _policy(self, boot: Boot) -> Iterator[Finding]:
        why = why_not_policy(self._card, boot.policy)
        if why:
            yield Finding(question="content", place=layout.policy_file(boot.policy.sha256), what=why)
        at = parse_utc(boot.utc) if boot.clock.synchronised else None
        unsigned = why_not_signed(self._card, boot.bundle_sha256, boot.policy, self._anchors, self._revoked, at)
        if unsigned is not None:
            yield unsigned

    # -- links ------------------------------------------------------------------------------------------------------

    def _first_of_chain(self, epoch: Epoch, before: tuple[str, str] | None) -> None:
        """A journal that is begun on a card which holds another one names that one's newest file, and its digest."""
        foreign = next((line.record for line in epoch.lines if isinstance(line.record, ForeignCard)), None)
        if foreign is None:
            if before is not None and before[0] not in self._broken:
                self.broken(epoch.name, f"it does not name the journal that it found, {before[0]}", epoch.boot)
        elif before is None or foreign.epoch != before[0]:
            self.broken(foreign.epoch, f"epoch {epoch.name} found it here; it is missing or changed")
        elif foreign.sha256 != before[1]:
            self.broken(foreign.epoch, f"its bytes are not those that epoch {epoch.name} found")

    def _link(self, epoch: Epoch) -> None:
        """Check the link to the epoch before, and end that one where this one says."""
        boot, previous = epoch.boot, epoch.boot.previous
        mine = [e for e in self.history.epochs if e.chain == self._chain]
        if previous is None or not mine:
            self.broken(epoch.name, "the epoch that it should follow is missing", boot)
            return
        last = next((e for e in mine if e.name == previous.epoch), None)
        if last is None:
            self.broken(epoch.name, f"it follows epoch {previous.epoch}, which is missing or not believed", boot)
            return
        if (boot.prev, boot.seq) != (previous.last.sha256, previous.last.seq + 1):
            self.broken(epoch.name, "it does not hold the hash of the line that it says it follows", boot)
        self._pass_over_abandoned(epoch, [e for e in mine if e.name > last.name])
        at = last.lines.index(previous.last)
        if at < 0:
            what = f"its line {previous.last.seq}, which epoch {epoch.name} follows, is missing or changed"
            self.broken(last.name, what)
        elif boot.reason == "write-failed":
            self._end_at(last, at + 1)
        elif at != len(last.lines) - 1 or previous.torn != last.torn:
            what = f"what follows its line {previous.last.seq} is not what epoch {epoch.name} found there"
            self.broken(last.name, what)

    def _pass_over_abandoned(self, epoch: Epoch, between: list[Epoch]) -> None:
        """Files that this boot had begun while it ran, and could not make durable: this one takes their place."""
        for other in between:
            if _made_anew_after(other, epoch.boot.previous) and _made_anew_after(epoch, other.boot.previous):
                self.history.epochs.remove(other)
                what = f"could not be made durable; epoch {epoch.name} took its place; not believed"
                self._find("note", other.name, what)
            else:
                what = f"it does not follow epoch {other.name}, which is here"
                self.broken(epoch.name, what, epoch.boot)

    def _end_at(self, last: Epoch, count: int) -> None:
        """After a failed write lines may be there that are signed once more in the next epoch: only there they count."""
        if count < len(last.lines) or last.torn is not None:
            what = "left from a write that failed; not believed"
            self._find("note", last.name, what, last.lines[count - 1].record.seq + 1)
        last.lines.cut(count)
        last.torn = None

    # -- the end ----------------------------------------------------------------------------------------------------

    def _pass_over_cut(self) -> None:
        for name in self._cut:
            self._find("note", name, "cut by a power loss as it began; not believed")
        self._cut.clear()

    def end(self) -> None:
        for name in self._cut:
            self._find("extent", name, "cut by a power loss as it began, or only just being begun; not believed")
        ends = {epoch.chain: epoch for epoch in self.history.epochs}
        for epoch in ends.values():
            if epoch.torn is not None:
                what = f"{epoch.torn.size} bytes after the last whole line: being written, or cut by a power loss"
                self._find("extent", epoch.name, f"{what}; not believed", epoch.lines[-1].record.seq + 1)
            elif not epoch.stopped:
                what = "its last boot has no end: a power loss, or it is running; what came after is not known"
                self._find("extent", epoch.name, what, epoch.lines[-1].record.seq + 1)
        self.history.places = Places(self.history.epochs)
        for epoch in self.history.epochs:
            try:
                self._believe(epoch)
            except EvidenceError as failure:
                self.broken(epoch.name, str(failure))

    def _believe(self, epoch: Epoch) -> None:
        for line in epoch.lines:
            record = line.record
            self.history.recorded = self.history.recorded or isinstance(record, Step)
            if isinstance(record, Receipted | Released):
                self._hand_over(epoch, record)
            elif isinstance(record, Anchor | HistoryLost):
                self.history.anchors.append((line.sha256, record))
            if not isinstance(record, RecordingBegun | RecordingHead | RecordingEnded):
                continue
            known = self.history.by_certificate.setdefault(epoch.statement.certificate_sha256, {})
            told = known.setdefault(record.recording, Told())
            told.lines.append(record.first if isinstance(record, RecordingBegun) else record.head)
            if isinstance(record, RecordingBegun):
                told.begun = True
                told.begun_utc = record.utc if record.clock.synchronised else None
            elif isinstance(record, RecordingEnded):
                told.ended, told.ended_in, told.how = record.head, line.sha256, record.how

    def _hand_over(self, epoch: Epoch, record: Receipted | Released) -> None:
        key = epoch.statement.device, record.recording
        handed = self.history.handed_over.setdefault(key, HandedOver())
        if isinstance(record, Receipted):
            handed.receipts.add(record.receipt_sha256)
        else:
            handed.released = record.receipt_sha256


def _key_of(owner: _Owner | None) -> tuple[Provisioned, ec.EllipticCurvePublicKey] | None:
    if owner is None or owner.certificate is None:
        return None
    return owner.statement, p256_key(owner.certificate)


def _made_anew_after(epoch: Epoch, previous: PreviousEpoch | None) -> bool:
    """Whether a boot that was running began this file after that line."""
    return epoch.boot.reason in ("write-failed", "policy-changed") and epoch.boot.previous == previous

"""The device's own chain, across recordings: one file a boot, each linked to the last good line of the one before.
A policy that changes while the device runs begins a file of its own; so does a key that takes the place of another.

Recorder thread. Records are taken by `add` and made durable by `sync`. When a write or a sync fails, nothing is retried
on that file: the records not yet durable are signed into a new epoch's file. A broken journal never blocks a start.
"""

import base64
from collections.abc import Iterable
from itertools import chain as joined
from typing import Literal

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from device.clock import Clock
from device.errors import CannotPersist, EvidenceError
from device.evidence import layout, records
from device.evidence.chain import Chain, ReadChain, Walk, lines_in, never_whole, read_chain
from device.evidence.disk import Disk, File, abandon
from device.evidence.envelope import Signer, line_digest, open_line
from device.evidence.records import (
    Boot,
    Fault,
    ForeignCard,
    JournalRecord,
    Line,
    PreviousEpoch,
    Record,
    RecordingBegun,
    RecordingEnded,
)
from device.evidence.rotation import Former

MAX_EPOCH_BYTES = 256 * 1024 * 1024
"""A shift's journal is a few megabytes; a file past this is not one of ours."""

SELF_TEST = "self-test"
"""The reason of an epoch that decides and records nothing."""

Found = Literal["none", "ours", "broken", "foreign"]


class Anchorage(msgspec.Struct, frozen=True):
    """What was found on the card at start: whose journal, where a new epoch links to, which recordings its last epoch
    saw begin and not end, the version of the policy that was in force then (0: not known), and the rotation by which
    this key goes on with the journal of the key before."""

    found: Found
    epoch: int
    previous: PreviousEpoch | None
    foreign: ForeignCard | None
    detail: str
    unended: frozenset[str] = frozenset()
    policy_version: int = 0
    rotation: bytes | None = None


class Own(msgspec.Struct, frozen=True):
    """Who asks: the device, its certificate, the digest of the agency's statement about it, its key."""

    device: str
    certificate_sha256: str
    provisioning_sha256: str
    key: ec.EllipticCurvePublicKey


class Journal:
    """The journal of this boot. `provisioning` is the agency's signed line 0, without its newline.

    `durable` is its last durable line: what a new ledger starts from.
    """

    def __init__(
        self,
        disk: Disk,
        signer: Signer,
        clock: Clock,
        device: str,
        provisioning: bytes,
        key: ec.EllipticCurvePublicKey,
        former: Former | None = None,
    ) -> None:
        self._disk = disk
        self._signer = signer
        self._clock = clock
        self._device = device
        self._provisioning = provisioning
        own = Own(device, signer.certificate_sha256, line_digest(provisioning), key)
        self.found = survey(disk, own, former)
        self._next_epoch = self.found.epoch
        self._follows = self.found.previous
        self._rotation = self.found.rotation
        self._boot: Boot | None = None
        self._pending: list[Record] = []
        self._file: File | None = None
        self._chain: Chain
        self.durable: Line

    def begin(self, boot: Boot, whole: Iterable[Record] = ()) -> None:
        """Write and make durable this boot's first lines. `boot` says all but the epoch and the link; `whole`: what else
        this epoch says, when that is all."""
        self._boot = boot
        if self.found.foreign is not None:
            self.add(self.found.foreign)
        if self.found.found in ("broken", "foreign"):
            part = "journal" if self.found.found == "broken" else "card"
            self.add(Fault(part=part, present=True, at_us=self._clock.now_us(), detail=self.found.detail[:200]))
        self._pending.extend(whole)
        self._new_epoch(boot.reason)

    def add(self, record: Record) -> None:
        """Take a record; it is signed, written and made durable by the next `sync`."""
        self._pending.append(record)

    def sync(self) -> None:
        """Make every record taken so far durable. Raises `CannotPersist` when they can't be signed now, or not even a new
        epoch can be begun; the records are then still pending."""
        if not self._pending:
            return
        if self._file is not None:
            lines = self._chain.next_lines(self._pending)
            try:
                self._file.append(lines)
                self._file.sync()
            except CannotPersist as failure:
                self.add(Fault(part="journal", present=True, at_us=self._clock.now_us(), detail=str(failure)[-200:]))
                abandon(self._file)
                self._file = None
            else:
                self._settled()
                return
        self._new_epoch("write-failed")

    def change(self, boot: Boot) -> None:
        """End this epoch, and begin one of the same boot that says `boot` of itself. What was taken so far belongs to
        the old one and is made durable first. Raises `CannotPersist`: then nothing has changed; call again.

        After a failure nothing more is written to the old file: the new one that failed may be on the card and follow it.
        """
        self.sync()
        if self._file is not None:
            abandon(self._file)
            self._file = None
        before, self._boot = self._boot, boot
        try:
            self._new_epoch(boot.reason)
        except CannotPersist:
            self._boot = before
            raise

    @property
    def has_pending(self) -> bool:
        return bool(self._pending)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _settled(self) -> None:
        self._chain.mark_durable()
        self.durable = self._chain.head
        self._follows = PreviousEpoch(epoch=self._chain.stream, last=self.durable, torn=None)
        self._pending.clear()

    def _new_epoch(self, reason: str) -> None:
        """Sign what is pending into a new file, after its boot record. No name and no file is ever used twice."""
        assert self._boot is not None, "the journal has begun"
        name, follows = layout.epoch_name(self._next_epoch), self._follows
        self._next_epoch += 1
        rotation = None if self._rotation is None else base64.b64encode(self._rotation).decode()
        boot = msgspec.structs.replace(self._boot, epoch=name, previous=follows, reason=reason, rotation=rotation)
        seq, prev = (
            (1, line_digest(self._provisioning)) if follows is None else (follows.last.seq + 1, follows.last.sha256)
        )
        chain = Chain(self._signer, self._clock, self._device, name, seq, prev)
        lines = chain.next_lines([boot, *self._pending])
        file = self._disk.create(layout.epoch_file(name))
        try:
            begins = follows is None or rotation is not None
            file.append((self._provisioning + b"\n" if begins else b"") + lines)
            file.sync()
            self._disk.sync_folder(layout.JOURNAL)
        except CannotPersist:
            abandon(file)
            raise
        self._file, self._chain, self._rotation = file, chain, None
        self._settled()


def survey(disk: Disk, own: Own, former: Former | None) -> Anchorage:
    """Look at the newest epoch that holds anything, without changing it. Never raises for what it finds there."""
    numbers = sorted(n for n in map(layout.epoch_number, disk.names(layout.JOURNAL)) if n is not None)
    next_epoch = numbers[-1] + 1 if numbers else 0
    for number in reversed(numbers):
        name = layout.epoch_name(number)
        try:
            size = disk.size(layout.epoch_file(name))
            data = (
                b"" if size is None or size > MAX_EPOCH_BYTES else disk.read(layout.epoch_file(name), MAX_EPOCH_BYTES)
            )
        except CannotPersist as failure:
            return Anchorage("broken", next_epoch, None, None, f"{failure}; a new journal is begun")
        if size is None or size > MAX_EPOCH_BYTES:
            detail = f"journal/{name}.jsonl is not a file that can be read; a new journal is begun"
            return Anchorage("broken", next_epoch, None, None, detail)
        read = read_epoch(data, name, own.key, None)
        given_on = read if former is None else read_epoch(data, name, former.key, None)
        if former is not None and _is_of(given_on, own.device, former.certificate_sha256):
            return _followed(given_on, name, next_epoch, former.document)
        if cut_as_it_began(data, read) and cut_as_it_began(data, given_on):
            continue
        found = _judge(data, name, next_epoch, own, read)
        return msgspec.structs.replace(found, unended=found.unended | _unended_before(disk, read, own))
    return Anchorage("none", next_epoch, None, None, "")


def _judge(data: bytes, name: str, next_epoch: int, own: Own, chain: ReadChain[JournalRecord]) -> Anchorage:
    whose, at_start = _first_line(data)
    kept = ForeignCard(found_device=whose, epoch=name, sha256=line_digest(data)) if whose else None
    if whose not in (own.device, ""):
        return Anchorage("foreign", next_epoch, None, kept, f"this card was written by {whose}; it is kept as it is")
    if at_start is not None and at_start != own.provisioning_sha256:
        detail = f"journal/{name}.jsonl begins with another provisioning statement; a new journal is begun"
        return Anchorage("broken", next_epoch, None, kept, detail)
    if not chain.lines:
        detail = f"journal/{name}.jsonl: {chain.fault}; a new journal is begun"
        return Anchorage("broken", next_epoch, None, kept, detail)
    if not _is_of(chain, own.device, own.certificate_sha256):
        detail = f"journal/{name}.jsonl is of another certificate; a new journal is begun"
        return Anchorage("broken", next_epoch, None, kept, detail)
    return _followed(chain, name, next_epoch, None)


def _followed(chain: ReadChain[JournalRecord], name: str, next_epoch: int, rotation: bytes | None) -> Anchorage:
    previous = PreviousEpoch(epoch=name, last=chain.lines[-1].place, torn=chain.torn)
    boot = chain.lines[0].record
    version = boot.policy.version if isinstance(boot, Boot) else 0
    found: Found = "broken" if chain.provably_altered else "ours"
    detail = f"journal/{name}.jsonl lost lines that were durable: {chain.fault}" if chain.provably_altered else ""
    return Anchorage(found, next_epoch, previous, None, detail, _unended(chain), version, rotation)


def _is_of(chain: ReadChain[JournalRecord], device: str, certificate_sha256: str) -> bool:
    """Whether an epoch's boot names this device and this certificate."""
    boot = chain.lines[0].record if chain.lines else None
    return isinstance(boot, Boot) and (boot.device, boot.certificate_sha256) == (device, certificate_sha256)


def _unended(chain: ReadChain[JournalRecord]) -> frozenset[str]:
    begun = {line.record.recording for line in chain.lines if isinstance(line.record, RecordingBegun)}
    ended = {line.record.recording for line in chain.lines if isinstance(line.record, RecordingEnded)}
    return frozenset(begun - ended)


def _unended_before(disk: Disk, chain: ReadChain[JournalRecord], own: Own) -> frozenset[str]:
    """What the last epoch that recorded left open, when only self-tests came after it."""
    found: frozenset[str] = frozenset()
    boot = chain.lines[0].record if chain.lines else None
    while isinstance(boot, Boot) and boot.reason == SELF_TEST and boot.previous is not None:
        name = boot.previous.epoch
        try:
            before = read_epoch(disk.read(layout.epoch_file(name), MAX_EPOCH_BYTES), name, own.key, None)
        except CannotPersist:
            break  # the reader of the card says so; nothing is extended here
        boot = before.lines[0].record if before.lines else None
        found |= _unended(before)
    return found


def _first_line(data: bytes) -> tuple[str, str | None]:
    """Which device the first line names ("" when it can't be told), and its digest if it is a provisioning line."""
    line = data.split(b"\n", 1)[0]
    try:
        signed = open_line(line)
        if signed.payload_type == records.PROVISIONING_TYPE:
            return records.decode_provisioned(signed.payload).device, signed.sha256
        return records.decode_journal(signed.payload).device, None
    except EvidenceError:
        return "", None


def cut_as_it_began(data: bytes, read: ReadChain[JournalRecord]) -> bool:
    """Whether no record of an epoch's file ever became durable: a power loss as it began. Then it counts as not there."""
    if read.lines or read.provably_altered:
        return False
    return read.torn is None or never_whole(data[read.torn.offset :])


def read_epoch(data: bytes, name: str, key: ec.EllipticCurvePublicKey, after: Line | None) -> ReadChain[JournalRecord]:
    """Take an epoch's file apart. `after`: the line it must link to; None takes the file's own word for it."""
    if after is not None:
        return read_chain(data, 0, key, records.decode_journal, name, after.seq + 1, after.sha256)
    walk = walk_epoch(lines_in(data, 0), data.split(b"\n", 1)[0], name, key)
    lines = list(walk)
    return ReadChain(lines, walk.torn, walk.fault, walk.provably_altered)


def walk_epoch(pieces: Iterable[bytes], first: bytes, name: str, key: ec.EllipticCurvePublicKey) -> Walk[JournalRecord]:
    """The good lines of an epoch's file, whose first line is `first` (without its newline), by the file's own word."""
    rest = iter(pieces)
    seq, prev, offset = 0, None, 0
    try:
        signed = open_line(first)
        if signed.payload_type != records.PROVISIONING_TYPE:
            seq = records.decode_journal(signed.payload).seq
            return Walk(rest, offset, key, records.decode_journal, name, seq, prev)
    except EvidenceError:
        return Walk(rest, offset, key, records.decode_journal, name, seq, prev)
    offset = len(next(rest))
    second = next(rest, b"")
    seq, prev = _behind_statement(second.removesuffix(b"\n"), signed.sha256)
    return Walk(joined([second] if second else [], rest), offset, key, records.decode_journal, name, seq, prev)


def _behind_statement(line: bytes, statement_sha256: str) -> tuple[int, str | None]:
    """Number and `prev` of the line behind the agency's statement: the first of a journal, or that of a boot which goes
    on with the journal of another key."""
    try:
        boot = records.decode_journal(open_line(line).payload)
    except EvidenceError:
        return 1, statement_sha256
    follows = isinstance(boot, Boot) and boot.previous is not None
    return (boot.seq, None) if follows else (1, statement_sha256)

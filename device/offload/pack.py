"""A recording as one object for the store: everything that the agency needs to judge it alone, and always the same bytes.

A pure function of a card whose recording has ended: its folder; the journal from its beginning up to the line that ends
the recording; the certificates and policies that these name. So a cut upload goes on without anything remembered: the
parts that arrived are those that would be sent again. Streamed from the card; no copy is made. Off-load process only.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from device.errors import EvidenceError
from device.evidence import layout, records
from device.evidence.bundle import MAX_BUNDLE_BYTES, Anchors
from device.evidence.chain import ReadChain
from device.evidence.documents import MAX_POLICY_BYTES, kept, read_identities
from device.evidence.envelope import line_digest, open_line, verify_line
from device.evidence.history import Epoch, History, read_history
from device.evidence.identity import p256_key
from device.evidence.journal import MAX_EPOCH_BYTES
from device.evidence.reading import file_blocks, names_in, read_file, regular_size
from device.evidence.records import LedgerRecord, Line, RecordingEnded, RecordingOpened, Segments
from device.evidence.recovery import MAX_LEDGER_BYTES, read_ledger
from device.offload.container import END, MANIFEST, Manifest, encode_manifest, header, order_of, padding

ENDED_WELL = ("closed", "recovered")


class Ended(msgspec.Struct, frozen=True):
    """A recording that is over, and the journal's line that says so. `head`: the last line of its ledger or recovery."""

    recording: str
    head: Line
    how: str
    line: Line


class Member(msgspec.Struct, frozen=True):
    """`content`: the bytes, or the file that holds them."""

    name: str
    size: int
    content: bytes | Path


class Packed(msgspec.Struct, frozen=True):
    """An object that is not there until its blocks are read. `size`: of the whole, in bytes."""

    ended: Ended
    members: tuple[Member, ...]
    size: int

    def blocks(self) -> Iterator[bytes | memoryview]:
        """The object's bytes, each block valid until the next. `EvidenceError` when a file has changed meanwhile."""
        for member in self.members:
            yield header(member.name, member.size)
            if isinstance(member.content, bytes):
                yield member.content
            else:
                yield from file_blocks(member.content, member.size)
            yield padding(member.size)
        yield END


class CardReader:
    """A card as it is now. It may be recorded on meanwhile: what has ended no longer changes."""

    def __init__(self, card: Path, anchors: Anchors) -> None:
        self._card = card
        self._identities = read_identities(card)
        self._history: History = read_history(card, self._identities, anchors)
        self._durable = {epoch.name: max(line.record.durable for line in epoch.lines) for epoch in self._history.epochs}

    def ended(self, device: str) -> list[Ended]:
        """The device's recordings that are over, in the order in which the journal says so: the order to send them in,
        as each receipt's journal head must extend the one before."""
        ended: dict[str, Ended] = {}
        for epoch in self._history.epochs:
            for line in epoch.lines:
                record = line.record
                if isinstance(record, RecordingEnded) and record.device == device and record.how in ENDED_WELL:
                    ended[record.recording] = Ended(record.recording, record.head, record.how, line.place)
        return list(ended.values())

    def is_durable(self, ended: Ended) -> bool:
        """Whether the card keeps the journal's line that says so: a later line, or the boot after it, tells. Of one that a
        power cut takes back the agency would hold more of the journal than the card does, and see a rollback."""
        own = next(epoch for epoch in self._history.epochs if epoch.name == ended.line.stream)
        followed = any(
            epoch.chain == own.chain and epoch.name > own.name and self._durable[epoch.name] >= epoch.boot.seq
            for epoch in self._history.epochs
        )
        return followed or self._durable[own.name] >= ended.line.seq

    def ledger(self, ended: Ended) -> ReadChain[LedgerRecord]:
        """The lines of its ledger; `EvidenceError` when its first line is not signed by a certificate that is here."""
        path = self._card / layout.recording_folder(ended.recording) / layout.LEDGER
        data = read_file(path, MAX_LEDGER_BYTES) or b""
        opened = records.decode_ledger(open_line(data.split(b"\n", 1)[0]).payload)
        certificate = self._identities.certificates.get(getattr(opened, "certificate_sha256", ""))
        if certificate is None:
            raise EvidenceError(f"{ended.recording}: the certificate that its ledger names is missing")
        return read_ledger(data, ended.recording, p256_key(certificate))

    def missing(self, ended: Ended) -> list[str]:
        """The files that its ledger names and that are not there: a released recording keeps only its ledger."""
        folder = self._card / layout.recording_folder(ended.recording)
        names = [layout.INIT]
        for line in self.ledger(ended).lines:
            if isinstance(line.record, Segments):
                names += [layout.segment_file(s.n, s.attempt) for s in line.record.segments]
        return [name for name in names if regular_size(folder / name) is None]

    def pack(self, ended: Ended, device: str) -> Packed:
        """`EvidenceError` when something that belongs to it is missing or damaged."""
        epochs = [epoch for epoch in self._history.epochs if epoch.name <= ended.line.stream]
        journal, first = self._journal(ended.line)
        manifest = Manifest(
            device=device, recording=ended.recording, journal_first=first, journal_head=ended.line
        )  # fmt: skip
        content = encode_manifest(manifest)
        members = [
            Member(MANIFEST, len(content), content),
            *journal,
            *self._certificates(epochs, journal, self.ledger(ended)),
            *self._policies(epochs),
            *self._recording(ended.recording),
        ]
        members.sort(key=lambda member: _order(member.name))
        size = sum(len(header(m.name, m.size)) + m.size + len(padding(m.size)) for m in members) + len(END)
        return Packed(ended, tuple(members), size)

    def _journal(self, last: Line) -> tuple[list[Member], str]:
        """Every file up to the one with the last line, that one cut after it; and the digest of the first line of the
        device's own in this journal."""
        members: list[Member] = []
        for name in sorted(names_in(self._card / layout.JOURNAL)):
            number = layout.epoch_number(name)
            if number is None or layout.epoch_name(number) > last.stream:
                continue
            path = self._card / layout.JOURNAL / name
            if layout.epoch_name(number) < last.stream:
                members.append(Member(f"{layout.JOURNAL}/{name}", regular_size(path) or 0, path))
                continue
            data = read_file(path, MAX_EPOCH_BYTES) or b""
            members.append(Member(f"{layout.JOURNAL}/{name}", *_cut_after(data, last)))
        chain = next(e.chain for e in self._history.epochs if e.name == last.stream)
        first = next(e for e in self._history.epochs if e.chain == chain)
        return members, first.lines[0].sha256

    def _certificates(
        self, epochs: list[Epoch], journal: list[Member], ledger: ReadChain[LedgerRecord]
    ) -> Iterable[Member]:
        """Those of the devices, of the key that signed within the video, and of the provisioners who signed the journals'
        first lines: of several for one key the one that was valid first, so that a renewed one changes nothing."""
        wanted = {epoch.statement.certificate_sha256 for epoch in epochs}
        wanted |= {epoch.boot.certificate_sha256 for epoch in epochs}
        opened = ledger.lines[0].record if ledger.lines else None
        if isinstance(opened, RecordingOpened):
            wanted |= {opened.certificate_sha256, opened.media_certificate_sha256 or opened.certificate_sha256}
        for member in journal:
            signer = self._provisioner(member)
            wanted |= {signer} if signer else set()
        for sha256 in wanted:
            document = kept(self._card, layout.certificate_file, sha256, MAX_POLICY_BYTES)
            if document is None:
                raise EvidenceError(f"{layout.certificate_file(sha256)}: missing")
            yield Member(layout.certificate_file(sha256), len(document), document)

    def _provisioner(self, member: Member) -> str:
        data = (
            member.content if isinstance(member.content, bytes) else read_file(member.content, MAX_EPOCH_BYTES) or b""
        )
        try:
            signed = open_line(data.split(b"\n", 1)[0])
        except EvidenceError:
            return ""
        if signed.payload_type != records.PROVISIONING_TYPE:
            return ""
        own = [
            (certificate.not_valid_before_utc, sha256)
            for sha256, certificate in self._identities.certificates.items()
            if verify_line(signed, p256_key(certificate))
        ]
        return min(own)[1] if own else ""

    def _policies(self, epochs: list[Epoch]) -> Iterable[Member]:
        wanted = {(layout.policy_file, epoch.boot.policy.sha256, MAX_POLICY_BYTES) for epoch in epochs}
        wanted |= {(layout.bundle_file, epoch.boot.bundle_sha256, MAX_BUNDLE_BYTES) for epoch in epochs}
        for path_of, sha256, limit in wanted:
            document = kept(self._card, path_of, sha256, limit)
            if document is None:
                raise EvidenceError(f"{path_of(sha256, 0)}: missing")
            yield Member(path_of(sha256, 0), len(document), document)

    def _recording(self, recording: str) -> Iterable[Member]:
        """Its folder's files, those of failed writes too; not what is none of ours."""
        folder = layout.recording_folder(recording)
        for name in names_in(self._card / folder):
            if order_of(f"{folder}/{name}") is not None:
                path = self._card / folder / name
                yield Member(f"{folder}/{name}", regular_size(path) or 0, path)


def _cut_after(data: bytes, last: Line) -> tuple[int, bytes]:
    end = 0
    while (newline := data.find(b"\n", end)) >= 0:
        if line_digest(data[end:newline]) == last.sha256:
            return newline + 1, data[: newline + 1]
        end = newline + 1
    raise EvidenceError(f"{layout.epoch_file(last.stream)}: its line {last.seq} is no longer there")


def _order(name: str) -> tuple[int, str, int, int]:
    order = order_of(name)
    assert order is not None, f"an object has no member {name!r}"
    return order

"""Making an exported MP4: what goes into it, and writing it whole. On the custodian's computer, never on the camera.

`disclose` gathers from a card that was verified just before; `write_disclosure` opens the segments one at a time. The
reader's side is in `exported`; what goes with a part is decided in `part`, for both.
"""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from device.errors import EvidenceError, UsageError
from device.evidence import container, layout, part, records
from device.evidence.bundle import MAX_BUNDLE_BYTES, Anchors
from device.evidence.chain import ReadChain, ReadLine, read_chain
from device.evidence.container import Contents, Part
from device.evidence.documents import MAX_POLICY_BYTES, kept, read_identities
from device.evidence.ending import MAX_RECOVERY_BYTES
from device.evidence.envelope import line_digest, open_line
from device.evidence.history import Epoch, History, read_history
from device.evidence.identity import p256_key
from device.evidence.journal import MAX_EPOCH_BYTES
from device.evidence.opening import Identity, plaintext
from device.evidence.reading import read_file
from device.evidence.records import (
    LedgerRecord,
    RecordingBegun,
    RecordingClosed,
    RecordingEnded,
    RecordingOpened,
    RecordingRecovered,
    Segment,
)
from device.evidence.recovery import MAX_LEDGER_BYTES, merkle_tree, read_ledger
from device.evidence.statement import provisioners
from device.evidence.tree import Paths


class Interval(msgspec.Struct, frozen=True):
    """What was asked for, in µs of boot time; the segments that hold anything of it are given whole."""

    from_us: int
    to_us: int


class LedgerDigests(msgspec.Struct, frozen=True):
    """Of a whole ledger, in hex: of its first and last line, and the root of its tree."""

    first_sha256: str
    last_sha256: str
    root: str


class Disclosure(msgspec.Struct, frozen=True):
    """What will be written: `segments` in order, then `evidence`, the content of the box. `policy`: the document that
    was in force, None when it is not on the card. `from_us`, `to_us`: boot times of what is disclosed; `end_us`: where the
    whole recording ends."""

    folder: Path
    opened: RecordingOpened
    ledger: LedgerDigests
    segments: list[Segment]
    evidence: bytes
    policy: bytes | None
    part: Part | None
    end_us: int

    @property
    def from_us(self) -> int:
        return part.start_us(self.segments[0]) if self.segments else self.opened.video.base_us

    @property
    def to_us(self) -> int:
        return part.end_us(self.segments[-1]) if self.segments else self.opened.video.base_us


def disclose(folder: Path, anchors: Anchors, choose: Callable[[RecordingOpened], Interval | None]) -> Disclosure:
    """Gather what an export of a recording's folder carries. `choose` tells the interval, None: all of it.

    `UsageError` when nothing was recorded in it, or when the recording has no end that a part could be proven by;
    `EvidenceError` when the card is not what it was.
    """
    return _Gathering(folder, anchors).disclosure(choose)


def write_disclosure(
    disclosure: Disclosure, identity: Identity, file: BinaryIO, progress: Callable[[int], None]
) -> tuple[int, str]:
    """Write the MP4; how many bytes, and their SHA-256. `EvidenceError` when a segment can't be opened."""
    digest, size = hashlib.sha256(), 0
    for data in _bytes(disclosure, identity):
        file.write(data)
        digest.update(data)
        size += len(data)
        progress(len(data))
    return size, digest.hexdigest()


def _bytes(disclosure: Disclosure, identity: Identity) -> Iterator[bytes]:
    yield from plaintext(disclosure.folder, disclosure.opened, disclosure.segments, identity)
    yield (24 + len(disclosure.evidence)).to_bytes(4, "big") + b"uuid" + container.EVIDENCE_BOX
    yield disclosure.evidence


class _Gathering:
    """One recording on a card, and what the card says of it."""

    def __init__(self, folder: Path, anchors: Anchors) -> None:
        self._folder = folder.resolve()
        self._card = self._folder.parent.parent
        self._identities = read_identities(self._card)
        self._history = read_history(self._card, self._identities, anchors)
        data = _read(self._folder / layout.LEDGER, MAX_LEDGER_BYTES)
        opened = records.decode_ledger(open_line(data.split(b"\n", 1)[0]).payload)
        if not isinstance(opened, RecordingOpened) or opened.certificate_sha256 not in self._identities.certificates:
            raise EvidenceError(f"{layout.LEDGER}: its first line can't be believed")
        self._opened = opened
        self._key = p256_key(self._identities.certificates[opened.certificate_sha256])
        self._chain: ReadChain[LedgerRecord] = read_ledger(data, self._folder.name, self._key)
        self._raw = data.split(b"\n")[: len(self._chain.lines)]

    def disclosure(self, choose: Callable[[RecordingOpened], Interval | None]) -> Disclosure:
        interval = choose(self._opened)
        everything = part.segments_in([line.record for line in self._chain.lines])
        members: dict[str, bytes] = {}
        certificates = {self._opened.certificate_sha256}
        if self._opened.media_certificate_sha256 is not None:
            certificates.add(self._opened.media_certificate_sha256)
        recovery = self._recovery()
        if recovery is not None:
            members[container.RECOVERY] = recovery + b"\n"
        if interval is None:
            chosen, segments = None, everything
            members[container.LEDGER] = _lines(self._raw)
        else:
            segments = self._chosen(everything, interval)
            chosen = Part(first=segments[0].n, last=segments[-1].n)
            members |= self._lines_of(interval, segments, recovered=recovery is not None)
        journal = self._journal()
        if journal:
            members[container.JOURNAL] = _lines(journal)
            certificates |= set(provisioners(open_line(journal[0]), self._identities.certificates))
        policy = kept(self._card, layout.policy_file, self._opened.policy.sha256, MAX_POLICY_BYTES)
        if policy is not None:
            members[container.POLICY] = policy
        bundle = self._bundle() if journal else None
        if bundle is not None:
            members[container.BUNDLE] = bundle
        ders = {sha256: self._certificate(sha256) for sha256 in certificates}
        evidence = container.pack(Contents(chosen, members, ders))
        end_us = part.end_us(everything[-1]) if everything else self._opened.video.base_us
        return Disclosure(self._folder, self._opened, self._digests(), segments, evidence, policy, chosen, end_us)

    # -- the ledger ---------------------------------------------------------------------------------------------------

    def _digests(self) -> LedgerDigests:
        lines = self._chain.lines
        last = lines[-1].record
        tree = last.tree if isinstance(last, RecordingClosed) else merkle_tree(lines)
        return LedgerDigests(lines[0].sha256, lines[-1].sha256, tree.root)

    def _chosen(self, everything: list[Segment], interval: Interval) -> list[Segment]:
        segments = part.overlapping([line.record for line in self._chain.lines], interval.from_us, interval.to_us)
        if not segments:
            base_us = self._opened.video.base_us
            length_s = (part.end_us(everything[-1]) - base_us) / 1e6 if everything else 0
            to_s = min((interval.to_us - base_us) / 1e6, max(length_s, (interval.from_us - base_us) / 1e6))
            asked = f"{(interval.from_us - base_us) / 1e6:.3f}–{to_s:.3f}"
            raise UsageError(
                f"--from, --to: nothing was recorded in seconds {asked}; the recording has seconds 0–{length_s:.3f}"
            )
        return segments

    def _lines_of(self, interval: Interval, segments: list[Segment], *, recovered: bool) -> dict[str, bytes]:
        """The lines that go with a part, each with its proof; the line that ends the recording needs none."""
        lines, raw = self._chain.lines, self._raw
        end: list[bytes] = []
        if not recovered:
            if not isinstance(lines[-1].record, RecordingClosed):
                why = "it has no signed end, so nothing proves where a part of it belongs"
                way_out = "or start the camera once with this card, which then recovers it"
                if self._history.told(self._opened.certificate_sha256, self._folder.name).how == "recovered":
                    why, way_out = "a later key of the device recovered it, whose word no part can carry", ""
                raise UsageError(f"{self._folder}: {why}; export it whole{way_out and ', '}{way_out}")
            end, lines = raw[-1:], lines[:-1]
        from_us = min(interval.from_us, part.start_us(segments[0]))
        to_us = max(interval.to_us, part.end_us(segments[-1]))
        numbers = part.lines_with([line.record for line in lines], from_us, to_us)
        paths = Paths(line.payload for line in lines)
        proofs = [msgspec.json.encode(paths.path(n)) for n in numbers]
        return {
            container.LEDGER: _lines([raw[n] for n in numbers] + end),
            container.PROOFS: _lines(proofs),
        }

    def _recovery(self) -> bytes | None:
        """The one good line of a recovery that was finished."""
        last = self._chain.lines[-1]
        if isinstance(last.record, RecordingClosed):
            return None
        for n in range(layout.MAX_RECOVERIES):
            data = read_file(self._folder / layout.recovery_file(n), MAX_RECOVERY_BYTES) or b""
            read = read_chain(
                data, 0, self._key, records.decode_ledger, self._folder.name, last.record.seq + 1, last.sha256
            )
            if read.lines and isinstance(read.lines[0].record, RecordingRecovered):
                return data.split(b"\n", 1)[0]
        return None

    # -- the journal and the documents --------------------------------------------------------------------------------

    def _journal(self) -> list[bytes]:
        """The agency's statement, the boot, the line that the ledger starts from, the recording's beginning and end."""
        place = self._history.places.get(self._opened.journal.sha256)
        if place is None:
            return []
        wanted: dict[str, str] = {place.epoch.lines[0].sha256: place.epoch.name, place.line.sha256: place.epoch.name}
        told = dict(_told(self._history, self._folder.name, self._opened.certificate_sha256))
        wanted |= told
        lines = self._raw_lines(set(wanted.values()))
        return [self._statement(place.epoch), *(lines[sha256] for sha256 in wanted)]

    def _statement(self, own: Epoch) -> bytes:
        """Where this key's journal begins, or goes on with that of the key before."""
        same = (e for e in self._history.epochs if (e.chain, e.statement) == (own.chain, own.statement))
        first = next(same).name
        return _read(self._card / layout.epoch_file(first), MAX_EPOCH_BYTES).split(b"\n", 1)[0]

    def _raw_lines(self, epochs: set[str]) -> dict[str, bytes]:
        """Every line of these journal files, by digest."""
        lines: dict[str, bytes] = {}
        for name in epochs:
            data = _read(self._card / layout.epoch_file(name), MAX_EPOCH_BYTES)
            lines |= {line_digest(line): line for line in data.split(b"\n")}
        return lines

    def _bundle(self) -> bytes | None:
        place = self._history.places.get(self._opened.journal.sha256)
        if place is None:
            raise EvidenceError("the journal line that the recording starts from is not in the journal")
        return kept(self._card, layout.bundle_file, place.epoch.boot.bundle_sha256, MAX_BUNDLE_BYTES)

    def _certificate(self, sha256: str) -> bytes:
        der = kept(self._card, layout.certificate_file, sha256, MAX_POLICY_BYTES)
        if der is None:
            raise EvidenceError(f"{layout.certificate_file(sha256)} is missing")
        return der


def _told(history: History, name: str, certificate_sha256: str) -> Iterator[tuple[str, str]]:
    """Digest and epoch of the journal's lines that took the recording's beginning, and, last, its end."""
    ended: tuple[str, str] | None = None
    for epoch in history.epochs:
        if epoch.statement.certificate_sha256 != certificate_sha256:
            continue
        for line in epoch.lines:
            if _is_about(line, name) and isinstance(line.record, RecordingBegun):
                yield line.sha256, epoch.name
            elif _is_about(line, name):
                ended = line.sha256, epoch.name
    if ended is not None:
        yield ended


def _is_about(line: ReadLine[records.JournalRecord], name: str) -> bool:
    return isinstance(line.record, RecordingBegun | RecordingEnded) and line.record.recording == name


def _lines(lines: list[bytes]) -> bytes:
    return b"".join(line + b"\n" for line in lines)


def _read(path: Path, limit: int) -> bytes:
    data = read_file(path, limit)
    if data is None:
        raise EvidenceError(f"{path.name} is missing")
    return data

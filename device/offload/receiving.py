"""The agency's side: every new object of the store is read whole, judged by `verify`, held against what the agency has
signed before, and gets a signed receipt beside it in the store. Nothing is deleted, nothing replaced.

A receipt says that the agency holds the recording and the device's journal up to a line; each names the one before. A
journal that does not hold the line of the last receipt was rolled back, forked or changed with the card: it is refused,
loudly. Runs on the agency's machine, never on a device.
"""

import tempfile
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from device.clock import Clock
from device.errors import EvidenceError, StoreError
from device.evidence import layout
from device.evidence.bundle import Anchors
from device.evidence.documents import read_identities
from device.evidence.envelope import Signer
from device.evidence.history import History, read_history
from device.evidence.receipts import MAX_RECEIPT_BYTES, Receipt, file_sha256, make_receipt, read_receipt
from device.evidence.records import RecordingEnded
from device.evidence.verdicts import EXIT_EXTENT, EXIT_INTACT, printable
from device.evidence.verify import verify
from device.offload.container import Manifest
from device.offload.naming import OBJECTS, object_name, object_of, receipt_name, receipt_of, receipts_of
from device.offload.pack import CardReader, Ended
from device.offload.proof import proven_end
from device.offload.stores import Store
from device.offload.unpack import MAX_OBJECT_BYTES, Unpacked, read_manifest, unpack

PROVEN = ("closed", "power-loss")


class Judged(msgspec.Struct, frozen=True):
    """What became of one object: `received` (a receipt was written), or `refused`, with the reason."""

    device: str
    recording: str
    what: str
    said: str


class _Given(msgspec.Struct, frozen=True):
    """A receipt of the agency's own, and its file's digest."""

    receipt: Receipt
    sha256: str


class Desk:
    """Who signs, under which anchors, and which devices are known to have more than one card."""

    def __init__(
        self, store: Store, anchors: Anchors, signer: Signer, certificate: bytes, several_cards: Iterable[str], clock: Clock
    ) -> None:  # fmt: skip
        self._store = store
        self._anchors = anchors
        self._signer = signer
        self._certificate = certificate
        self._several_cards = frozenset(several_cards)
        self._clock = clock

    def receive(self, work: Path) -> Iterator[Judged]:
        """Judge what is new; `work` has room for one object. `StoreError` when the store fails."""
        devices: dict[str, list[str]] = {}
        for name in self._store.names(OBJECTS):
            known = object_of(name)
            if known is not None:
                devices.setdefault(known[0], []).append(known[1])
        for device, recordings in sorted(devices.items()):
            with_receipt = {known[1] for name in self._store.names(receipts_of(device)) if (known := receipt_of(name))}
            new = [recording for recording in recordings if recording not in with_receipt]
            if not new:
                continue
            try:
                given = self._given(device, with_receipt)
            except EvidenceError as failure:
                yield from (Judged(device, recording, "refused", printable(str(failure))) for recording in new)
                continue
            yield from self._of_device(device, new, given, work)

    def _of_device(self, device: str, new: list[str], given: list[_Given], work: Path) -> Iterator[Judged]:
        """In the order of the journal, so that each receipt's head extends the one before."""
        manifests: dict[str, Manifest] = {}
        for recording in new:
            try:
                manifests[recording] = self._manifest(device, recording)
            except EvidenceError as failure:
                yield Judged(device, recording, "refused", printable(str(failure)))
        for recording in sorted(manifests, key=lambda one: manifests[one].journal_head.seq):
            try:
                last = self._one(device, recording, given, work)
            except EvidenceError as failure:
                yield Judged(device, recording, "refused", printable(str(failure)))
                continue
            given.append(last)
            yield Judged(device, recording, "received", f"receipt {last.sha256}")

    def _manifest(self, device: str, recording: str) -> Manifest:
        with closing(self._blocks(object_name(device, recording))) as blocks:
            manifest = read_manifest(blocks)
        if (manifest.device, manifest.recording) != (device, recording):
            raise EvidenceError(
                f"it is the recording {manifest.recording} of {manifest.device}, under the name of another"
            )
        return manifest

    def _one(self, device: str, recording: str, given: list[_Given], work: Path) -> _Given:
        name = object_name(device, recording)
        with tempfile.TemporaryDirectory(dir=work, prefix="receive-") as folder:
            card = Path(folder) / "card"
            unpacked = unpack(self._blocks(name), card)
            ended = self._judge(card, device, recording)
            history = read_history(card, read_identities(card), self._anchors)
            self._check_history(unpacked, ended, history, given, device)
            end = proven_end(CardReader(card, self._anchors).ledger(ended), card, ended)
            receipt = Receipt(
                agency=history.epochs[-1].statement.agency,
                device=device,
                utc=self._utc(),
                recording=recording,
                ledger_head=ended.head,
                root=end.tree.root,
                segments=end.totals.segments,
                size=end.totals.size,
                journal_head=ended.line,
                object=name,
                object_sha256=unpacked.sha256,
                previous=given[-1].sha256 if given else None,
            )
        data = make_receipt(receipt, self._signer, self._certificate)
        self._store.put_small(receipt_name(device, recording), data)
        return _Given(receipt, file_sha256(data))

    def _blocks(self, name: str) -> Generator[bytes]:
        size = self._store.size(name)
        if size is None:
            raise StoreError(f"{name}: it was listed, and is gone")
        if size > MAX_OBJECT_BYTES:
            raise EvidenceError(f"{size} bytes; the limit is {MAX_OBJECT_BYTES}")
        return self._store.blocks(name, size)

    def _judge(self, card: Path, device: str, recording: str) -> Ended:
        """The recording's end; `EvidenceError` unless content, signer and extent are as a receipt may say."""
        verdict = verify(card / layout.recording_folder(recording), self._anchors)
        answers = verdict.recordings[0].answers
        if verdict.exit_status not in (EXIT_INTACT, EXIT_EXTENT) or answers.extent not in PROVEN:
            bad = [
                f"{f.place}: {f.what}" for f in (*verdict.findings, *verdict.recordings[0].findings) if f.exit_status
            ]
            said = bad[0] if bad else answers.extent_said
            raise EvidenceError(f"{verdict.recordings[0].verdict}: {said}")
        if verdict.recordings[0].device != device:
            raise EvidenceError(f"its records are of {verdict.recordings[0].device}, its name is of {device}")
        ended = [one for one in CardReader(card, self._anchors).ended(device) if one.recording == recording]
        if not ended:
            raise EvidenceError("its journal does not say that it ended")
        return ended[0]

    # -- what was signed before -------------------------------------------------------------------------------------

    def _given(self, device: str, recordings: Iterable[str]) -> list[_Given]:
        """The device's receipts in the order in which they were given; `EvidenceError` when they are no chain."""
        by_previous: dict[str | None, _Given] = {}
        for recording in recordings:
            name = receipt_name(device, recording)
            data = self._store.small(name, MAX_RECEIPT_BYTES)
            if data is None:
                raise StoreError(f"{name}: it was listed, and is gone")
            try:
                receipt, _ = read_receipt(data, self._anchors, None)
            except EvidenceError as failure:
                raise EvidenceError(f"{name}: {failure}; no receipt is given before that is cleared up") from failure
            if (receipt.device, receipt.recording) != (device, recording) or receipt.previous in by_previous:
                raise EvidenceError(f"{name}: it has no place in the chain of receipts; clear that up first")
            by_previous[receipt.previous] = _Given(receipt, file_sha256(data))
        chain: list[_Given] = []
        while (following := by_previous.pop(chain[-1].sha256 if chain else None, None)) is not None:
            chain.append(following)
        if by_previous:
            raise EvidenceError(
                f"{receipts_of(device)}: {len(by_previous)} receipts follow none that is there; clear that up"
            )
        return chain

    def _check_history(
        self, unpacked: Unpacked, ended: Ended, history: History, given: list[_Given], device: str
    ) -> None:  # fmt: skip
        """The journal goes as far as the manifest says, and extends what the last receipt of it says."""
        manifest = unpacked.manifest
        last = history.epochs[-1].lines[-1]
        if (
            manifest.journal_head != ended.line
            or last.place != ended.line
            or not isinstance(last.record, RecordingEnded)
        ):
            raise EvidenceError("its journal does not end with the line that ends the recording")
        chain = history.epochs[-1].chain
        if next(e for e in history.epochs if e.chain == chain).lines[0].sha256 != manifest.journal_first:
            raise EvidenceError("its manifest names another journal than the one in it")
        before = given
        if device in self._several_cards:
            before = [one for one in given if self._journal_of(one) == manifest.journal_first]
        if before and before[-1].receipt.journal_head.sha256 not in history.places:
            head = before[-1].receipt.journal_head
            raise EvidenceError(
                f"ROLLED BACK OR FORKED: the journal of {device} does not hold line {head.seq} ({head.sha256}), for which "
                f"the receipt of {before[-1].receipt.recording} was given; if the device has another card, look at both "
                f"and say so with --card-of {device}"
            )

    def _journal_of(self, given: _Given) -> str:
        """Which journal the object of a receipt has, by its manifest: read from the store, where it is locked."""
        return self._manifest(given.receipt.device, given.receipt.recording).journal_first

    def _utc(self) -> str:
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=self._clock.wall().utc_us)
        return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")

"""After a power loss: one signed record closes each unfinished recording and names all that was found past its last
durable line. Nothing that was there is changed, moved or removed; the record goes into a file of its own.

Recorder thread, one recording at a time, so that a new recording never waits for it. A recording of another device, or
one whose ledger lost lines that were provably durable, is left exactly as it is; so is one of this device under a key
that is neither its own nor the one before, which a rotation gave on.
"""

import hashlib
from pathlib import Path
from typing import Literal

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from device.clock import Clock
from device.errors import EvidenceError
from device.evidence import layout, records
from device.evidence.chain import Chain, ReadChain, ReadLine, Walk, read_chain
from device.evidence.disk import Disk, abandon
from device.evidence.envelope import MAX_LINE_BYTES, Signer, open_line, verify_line
from device.evidence.identity import load_certificate, p256_key
from device.evidence.reading import LinesOf
from device.evidence.records import (
    Found,
    LedgerRecord,
    Line,
    RecordingClosed,
    RecordingOpened,
    RecordingRecovered,
    Segments,
    Totals,
    Tree,
)
from device.evidence.rotation import certificates_on
from device.evidence.tally import Tally

MAX_LEDGER_BYTES = 256 * 1024 * 1024
MAX_SEGMENT_BYTES = 256 * 1024 * 1024
MAX_FOUND = 256
"""Files past the last durable record: at most a group that was being written, and its second attempts."""

Outcome = Literal["closed", "recovered", "recovered-before", "kept", "damaged", "foreign", "empty"]
Keys = dict[str, ec.EllipticCurvePublicKey]
"""By digest of certificate: the device's own key first, then the one before, if a rotation gave its journal on."""


class Recovery(msgspec.Struct, frozen=True):
    """What was done about one recording. `head` is its last line; None where there is none of ours. `kept`: another key
    of this device finished it long ago, and this one has no say in it."""

    name: str
    outcome: Outcome
    head: Line | None
    detail: str


def unfinished(disk: Disk) -> list[str]:
    """The recordings on the card, oldest first; `recover` tells which of them need anything."""
    return [name for name in disk.names(layout.EVIDENCE) if layout.recording_counter(name) is not None]


def next_counter(disk: Disk) -> int:
    counters = [layout.recording_counter(name) for name in disk.names(layout.EVIDENCE)]
    return 1 + max((counter for counter in counters if counter is not None), default=0)


def recover(disk: Disk, name: str, device: str, signer: Signer, clock: Clock, keys: Keys) -> Recovery:
    """Close one recording if it needs it. Raises `CannotPersist` when the card refuses: not to be tried again before the
    next start, since what was then written may read well and not be durable."""
    folder = layout.recording_folder(name)
    ledger_path = f"{folder}/{layout.LEDGER}"
    size = disk.size(ledger_path)
    if size is None or size == 0:
        return Recovery(name, "empty", None, "no line of its ledger became durable")
    if size > MAX_LEDGER_BYTES:
        return Recovery(name, "damaged", None, f"its ledger has {size} bytes")
    data = disk.read(ledger_path, MAX_LEDGER_BYTES)
    whose, certificate = _first_line(data)
    if whose not in (device, ""):
        return Recovery(name, "foreign", None, f"it was written by {whose}")
    key = keys.get(certificate) if certificate else next(iter(keys.values()))
    if key is None:
        finished = _finished_by(disk, folder, data, certificate)
        detail = f"it was written under another key, {certificate[:12]}…"
        return Recovery(name, "kept" if finished else "foreign", None, detail)
    closed = _our_last_line(data, key, RecordingClosed)
    if closed is not None:
        return Recovery(name, "closed", closed, "")
    before = _recovered_line(disk, folder, name, keys)
    if before is not None:
        return Recovery(name, "recovered-before", before, "")
    chain = read_ledger(data, name, key)
    if not chain.lines:
        return Recovery(name, "damaged" if data.strip(b"\0") and b"\n" in data else "empty", None, chain.fault)
    if chain.provably_altered:
        return Recovery(name, "damaged", chain.lines[-1].place, chain.fault)
    return _close(disk, folder, name, chain, Closing(device, signer, clock))


def read_ledger(data: bytes, name: str, key: ec.EllipticCurvePublicKey) -> ReadChain[LedgerRecord]:
    """A ledger's good lines. A first line that does not open a recording is not a good one."""
    chain = read_chain(data, 0, key, records.decode_ledger, name, 0, None)
    if chain.lines and not isinstance(chain.lines[0].record, RecordingOpened):
        torn = records.Torn(offset=0, size=len(data), sha256=hashlib.sha256(data).hexdigest())
        return ReadChain([], torn, "the first line does not open a recording", chain.provably_altered)
    return chain


def ledger_lines(folder: Path) -> LinesOf:
    """A recording's ledger, line by line."""
    return LinesOf(folder / layout.LEDGER, MAX_LEDGER_BYTES, MAX_LINE_BYTES)


def walk_ledger(pieces: LinesOf, key: ec.EllipticCurvePublicKey, name: str) -> Walk[LedgerRecord]:
    """The good lines of a ledger; whether the first one opens a recording is not looked at."""
    return Walk(pieces, 0, key, records.decode_ledger, name, 0, None)


def merkle_tree(lines: list[ReadLine[LedgerRecord]]) -> Tree:
    return _tally(lines).tree


def totals(lines: list[ReadLine[LedgerRecord]]) -> Totals:
    return _tally(lines).totals


def _tally(lines: list[ReadLine[LedgerRecord]]) -> Tally:
    tally = Tally()
    for line in lines:
        tally.take(line.record, line.payload)
    return tally


class Closing(msgspec.Struct, frozen=True):
    """Who closes."""

    device: str
    signer: Signer
    clock: Clock


def _close(disk: Disk, folder: str, name: str, chain: ReadChain[LedgerRecord], closing: Closing) -> Recovery:
    last = chain.lines[-1].place
    named = {
        (s.n, s.attempt) for line in chain.lines if isinstance(line.record, Segments) for s in line.record.segments
    }
    numbers = (layout.segment_numbers(file) for file in disk.names(folder))
    past = sorted(n for n in numbers if n is not None and n not in named)
    found = tuple(_found(disk, folder, n, attempt) for n, attempt in past[:MAX_FOUND])
    record = RecordingRecovered(
        last=last,
        torn=chain.torn,
        found=found,
        found_beyond=max(0, len(past) - MAX_FOUND),
        totals=totals(chain.lines),
        tree=merkle_tree(chain.lines),
    )
    signed = Chain(closing.signer, closing.clock, closing.device, name, last.seq + 1, last.sha256)
    taken = set(disk.names(folder))
    path = next((n for n in range(layout.MAX_RECOVERIES) if layout.recovery_file(n) not in taken), None)
    if path is None:
        return Recovery(name, "damaged", last, f"{layout.MAX_RECOVERIES} recoveries were cut short")
    file = disk.create(f"{folder}/{layout.recovery_file(path)}")
    try:
        file.append(signed.next_line(record))
        file.sync()
        disk.sync_folder(folder)
    finally:
        abandon(file)
    return Recovery(name, "recovered", signed.head, chain.fault)


def _found(disk: Disk, folder: str, n: int, attempt: int) -> Found:
    path = f"{folder}/{layout.segment_file(n, attempt)}"
    size = disk.size(path) or 0
    data = disk.read(path, MAX_SEGMENT_BYTES) if 0 < size <= MAX_SEGMENT_BYTES else b""
    return Found(n=n, attempt=attempt, size=size, sha256=hashlib.sha256(data).hexdigest())


def _finished_by(disk: Disk, folder: str, data: bytes, certificate_sha256: str) -> bool:
    """Whether a ledger of a key that is not ours any more has its end. It is not journaled: that is for `verify`."""
    recovered = any(disk.size(f"{folder}/{layout.recovery_file(n)}") is not None for n in range(layout.MAX_RECOVERIES))
    keys = [p256_key(load_certificate(der)) for der in certificates_on(disk, certificate_sha256)]
    return recovered or any(_our_last_line(data, key, RecordingClosed) is not None for key in keys)


def _recovered_line(disk: Disk, folder: str, name: str, keys: Keys) -> Line | None:
    """The line of a recovery that was finished before; None when there is none. What it says is for `verify`."""
    for n in range(layout.MAX_RECOVERIES):
        path = f"{folder}/{layout.recovery_file(n)}"
        if disk.size(path) is None:
            continue
        data = disk.read(path, records.MAX_PAYLOAD_BYTES * 2)
        lines = [_our_last_line(data, key, RecordingRecovered) for key in keys.values()]
        line = next((line for line in lines if line is not None and line.stream == name), None)
        if line is not None:
            return line
    return None


def _our_last_line(
    data: bytes, key: ec.EllipticCurvePublicKey, kind: type[RecordingClosed | RecordingRecovered]
) -> Line | None:
    """The last line, when it is ours and of this kind; whether all before it is good is for `verify`."""
    if not data.endswith(b"\n"):
        return None
    try:
        signed = open_line(data[data.rfind(b"\n", 0, -1) + 1 : -1])
        record = records.decode_ledger(signed.payload)
    except EvidenceError:
        return None
    if not isinstance(record, kind) or not verify_line(signed, key):
        return None
    return Line(stream=record.stream, seq=record.seq, sha256=signed.sha256)


def _first_line(data: bytes) -> tuple[str, str]:
    """The device and the certificate that the first line names; "" for what can't be told."""
    try:
        record = records.decode_ledger(open_line(data.split(b"\n", 1)[0]).payload)
    except EvidenceError:
        return "", ""
    return record.device, record.certificate_sha256 if isinstance(record, RecordingOpened) else ""

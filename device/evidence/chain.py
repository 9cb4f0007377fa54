"""A chain of signed records: each line holds the hash of the line before (E3).

`Chain` makes the next line; it writes nothing. The header that every record carries is filled in here, so the writer
of a record says only what is its own (recorder thread only). `read_chain` takes a file's bytes apart again, for
recovery and for the readers: the good lines from its beginning, and what stands after them.
"""

import hashlib
import re
from collections.abc import Callable
from typing import Generic, TypeVar

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from device.clock import Clock, Wall
from device.errors import EvidenceError
from device.evidence import records
from device.evidence.envelope import SignedLine, Signer, line_digest, open_line, sign_line, verify_line
from device.evidence.records import ClockQuality, Line, Record, Torn
from device.evidence.tree import MerkleTree

_R = TypeVar("_R", bound=Record)
_WORTH_A_LOOK = re.compile(rb'^\{"payload":"[^\n]{200,}$', re.MULTILINE)
"""A signed line is longer than that: so millions of empty lines cost a reader nothing."""


def utc_text(utc_us: int) -> str:
    """RFC 3339 in UTC with µs; the label that records carry."""
    from datetime import UTC, datetime, timedelta

    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=utc_us)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond:06d}Z"


def clock_quality(wall: Wall) -> ClockQuality:
    return ClockQuality(synchronised=wall.synchronised, source=wall.source, error_us=wall.error_us)


class Chain:
    """The end of one stream. `prev` is the digest that its next line will hold."""

    def __init__(self, signer: Signer, clock: Clock, device: str, stream: str, seq: int, prev: str) -> None:
        self._signer = signer
        self._clock = clock
        self._device = device
        self.stream = stream
        self.seq = seq
        self.prev = prev
        self._durable = -1
        self.tree = MerkleTree()

    def next_line(self, record: _R) -> bytes:
        """Sign `record` as the chain's next line; returned with its newline. The chain has then moved on."""
        wall = self._clock.wall()
        complete = msgspec.structs.replace(
            record,
            device=self._device,
            stream=self.stream,
            seq=self.seq,
            prev=self.prev,
            durable=self._durable,
            boot=self._clock.boot_id,
            boot_us=self._clock.now_us(),
            utc=utc_text(wall.utc_us),
            clock=clock_quality(wall),
        )
        payload = msgspec.json.encode(complete)
        line = sign_line(self._signer, records.RECORD_TYPE, payload)
        self.tree.append(payload)
        self.seq += 1
        self.prev = line_digest(line)
        return line + b"\n"

    def mark_durable(self) -> None:
        """Every line made so far is on the card to stay."""
        self._durable = self.seq - 1

    @property
    def head(self) -> Line:
        """The last line made."""
        assert self.seq > 0, "an empty chain has no head"
        return Line(stream=self.stream, seq=self.seq - 1, sha256=self.prev)


class ReadLine(msgspec.Struct, Generic[_R], frozen=True):
    """A good line: its record, the payload's bytes (a leaf of the tree), the digest that the next `prev` holds."""

    record: _R
    payload: bytes
    sha256: str

    @property
    def place(self) -> Line:
        return Line(stream=self.record.stream, seq=self.record.seq, sha256=self.sha256)


class ReadChain(msgspec.Struct, Generic[_R], frozen=True):
    """A file taken apart. `lines` are good: whole, well spelled, signed by the key, in sequence. `torn` is the rest.

    `fault` says why the first line of the rest is not good ("" when there is no rest). `provably_altered` is true when
    the rest holds a line, signed by the same key, that says a line which is now missing was durable.
    """

    lines: list[ReadLine[_R]]
    torn: Torn | None
    fault: str
    provably_altered: bool


def read_chain(
    data: bytes,
    offset: int,
    key: ec.EllipticCurvePublicKey,
    decode: Callable[[bytes], _R],
    stream: str,
    seq: int,
    prev: str | None,
) -> ReadChain[_R]:
    """Read a chain from `offset` in a file's bytes. Its first line must have `seq`, and `prev` unless that is None."""
    lines: list[ReadLine[_R]] = []
    while offset < len(data):
        end = data.find(b"\n", offset)
        if end < 0:
            return _rest(data, offset, key, decode, lines, seq, "the last line is not complete")
        try:
            signed = open_line(data[offset:end])
            record = _checked(signed, key, decode)
            _in_sequence(record, lines[0].record.device if lines else record.device, stream, seq, prev)
        except EvidenceError as failure:
            return _rest(data, offset, key, decode, lines, seq, str(failure))
        lines.append(ReadLine(record, signed.payload, signed.sha256))
        seq, prev, offset = seq + 1, signed.sha256, end + 1
    return ReadChain(lines, None, "", False)


def never_whole(data: bytes) -> bool:
    """Whether the first line in these bytes is what a power loss leaves of a first write: not its end, or holes of zeros.

    A whole line that is merely wrong is not.
    """
    line, newline, _ = data.partition(b"\n")
    return not newline or b"\0" in line


def _checked(signed: SignedLine, key: ec.EllipticCurvePublicKey, decode: Callable[[bytes], _R]) -> _R:
    if signed.payload_type != records.RECORD_TYPE:
        raise EvidenceError(f"payload type {signed.payload_type!r} where a record belongs")
    if not verify_line(signed, key):
        raise EvidenceError("the signature is not by the key of this device")
    return decode(signed.payload)


def _in_sequence(record: Record, device: str, stream: str, seq: int, prev: str | None) -> None:
    if record.device != device:
        raise EvidenceError(f"a record of the device {record.device}")
    if record.stream != stream:
        raise EvidenceError(f"a record of stream {record.stream}")
    if record.seq != seq:
        raise EvidenceError(f"record {record.seq} where record {seq} belongs")
    if prev is not None and record.prev != prev:
        raise EvidenceError("the record does not hold the hash of the line before it")


def _rest(
    data: bytes,
    offset: int,
    key: ec.EllipticCurvePublicKey,
    decode: Callable[[bytes], _R],
    lines: list[ReadLine[_R]],
    seq: int,
    fault: str,
) -> ReadChain[_R]:
    rest = data[offset:]
    torn = Torn(offset=offset, size=len(rest), sha256=hashlib.sha256(rest).hexdigest())
    altered = False
    for line in _WORTH_A_LOOK.finditer(rest):
        try:
            altered = altered or _checked(open_line(line[0]), key, decode).durable >= seq
        except EvidenceError:
            continue
    return ReadChain(lines, torn, fault, altered)

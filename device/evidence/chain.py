"""A chain of signed records: each line holds the hash of the line before (E3).

`Chain` makes the next line; it writes nothing. The header that every record carries is filled in here, so the writer
of a record says only what is its own (recorder thread only). `Walk` takes a file apart again, line
by line, for the readers: the good lines from its beginning, and what stands after them. `read_chain` does so with bytes.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Generic, TypeVar

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from device.clock import Clock, Wall
from device.errors import EvidenceError
from device.evidence.envelope import (
    MAX_LINE_BYTES,
    SignedLine,
    Signer,
    line_digest,
    open_line,
    sign_line,
    verify_line,
)
from device.evidence.reading import SHORTEST_LINE_BYTES, Beginning, pieces_in
from device.evidence.records import RECORD_TYPE, ClockQuality, Line, Record, Torn
from device.evidence.tree import MerkleTree

_R = TypeVar("_R", bound=Record)
_LINE_BEGINS = b'{"payload":"'


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

    def next_line(self, record: Record) -> bytes:
        """Sign `record` as the chain's next line; returned with its newline. The chain has then moved on."""
        return self.next_lines([record])

    def next_lines(self, records: Sequence[Record]) -> bytes:
        """The same for several, one after the other. `CannotPersist` when one can't be signed: the chain has then not
        moved, and what was signed is forgotten."""
        seq, prev = self.seq, self.prev
        lines: list[bytes] = []
        payloads: list[bytes] = []
        for record in records:
            payloads.append(self._payload(record, seq, prev))
            lines.append(sign_line(self._signer, RECORD_TYPE, payloads[-1]))
            seq, prev = seq + 1, line_digest(lines[-1])
        for payload in payloads:
            self.tree.append(payload)
        self.seq, self.prev = seq, prev
        return b"".join(line + b"\n" for line in lines)

    def _payload(self, record: Record, seq: int, prev: str) -> bytes:
        wall = self._clock.wall()
        return msgspec.json.encode(
            msgspec.structs.replace(
                record,
                device=self._device,
                stream=self.stream,
                seq=seq,
                prev=prev,
                durable=self._durable,
                boot=self._clock.boot_id,
                boot_us=self._clock.now_us(),
                utc=utc_text(wall.utc_us),
                clock=clock_quality(wall),
            )
        )

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


class Walk(Generic[_R]):
    """The good lines of a file, one at a time and none kept; to be gone through once, to its end.

    `pieces` are lines with their newlines; what has none is an end that is not complete, or a piece of a line that is
    too long. The first line must have `seq`, and `prev` unless that is None. `begins`: the offset of the line just given.
    At the end `torn`, `fault` and `provably_altered` are as in `ReadChain`, and `rest` looked at how the rest begins.
    """

    def __init__(
        self,
        pieces: Iterable[bytes],
        offset: int,
        key: ec.EllipticCurvePublicKey,
        decode: Callable[[bytes], _R],
        stream: str,
        seq: int,
        prev: str | None,
    ) -> None:
        self._pieces = iter(pieces)
        self._key = key
        self._decode = decode
        self._stream = stream
        self._seq = seq
        self._prev = prev
        self._device: str | None = None
        self._offset = offset
        self.begins = offset
        self.torn: Torn | None = None
        self.fault = ""
        self.provably_altered = False
        self.rest = Beginning()

    def __iter__(self) -> Iterator[ReadLine[_R]]:
        for piece in self._pieces:
            try:
                line = self._good(piece)
            except EvidenceError as failure:
                self._take_rest(piece, str(failure))
                return
            self.begins, self._offset = self._offset, self._offset + len(piece)
            self._seq, self._prev, self._device = self._seq + 1, line.sha256, line.record.device
            yield line

    def _good(self, piece: bytes) -> ReadLine[_R]:
        if not piece.endswith(b"\n"):
            too_long = f"a line of more than {MAX_LINE_BYTES} bytes"
            raise EvidenceError(too_long if len(piece) > MAX_LINE_BYTES else "the last line is not complete")
        signed = open_line(piece[:-1])
        record = checked(signed, self._key, self._decode)
        _in_sequence(record, self._device or record.device, self._stream, self._seq, self._prev)
        return ReadLine(record, signed.payload, signed.sha256)

    def _take_rest(self, piece: bytes, fault: str) -> None:
        """All that is left: how much, its digest, and whether a line in it proves that one is gone."""
        digest, size, begins_line = hashlib.sha256(), 0, True
        while piece:
            digest.update(piece)
            size += len(piece)
            self.rest.take(piece)
            if begins_line and not self.provably_altered:
                self.provably_altered = self._proves_a_loss(piece)
            begins_line = piece.endswith(b"\n")
            piece = next(self._pieces, b"")
        self.fault = fault
        self.torn = Torn(offset=self._offset, size=size, sha256=digest.hexdigest())

    def _proves_a_loss(self, piece: bytes) -> bool:
        line = piece.removesuffix(b"\n")
        if len(line) < SHORTEST_LINE_BYTES or not line.startswith(_LINE_BEGINS):
            return False
        try:
            return checked(open_line(line), self._key, self._decode).durable >= self._seq
        except EvidenceError:
            return False


def read_chain(
    data: bytes,
    offset: int,
    key: ec.EllipticCurvePublicKey,
    decode: Callable[[bytes], _R],
    stream: str,
    seq: int,
    prev: str | None,
) -> ReadChain[_R]:
    """Read a chain from `offset` in a file's bytes, all of it kept. The rest is as for `Walk`."""
    walk = Walk(lines_in(data, offset), offset, key, decode, stream, seq, prev)
    lines = list(walk)
    return ReadChain(lines, walk.torn, walk.fault, walk.provably_altered)


def lines_in(data: bytes, offset: int) -> Iterator[bytes]:
    """The lines in these bytes, with their newlines."""
    for piece in pieces_in(data, offset):
        yield piece
        offset += len(piece)
    if offset < len(data):
        yield data[offset:]


def never_whole(data: bytes) -> bool:
    """The same of bytes as `Beginning` says of pieces."""
    line, newline, _ = data.partition(b"\n")
    return not newline or b"\0" in line


def checked(signed: SignedLine, key: ec.EllipticCurvePublicKey, decode: Callable[[bytes], _R]) -> _R:
    """The record of a single line that this key signed; `EvidenceError` otherwise. Its place is not looked at."""
    if signed.payload_type != RECORD_TYPE:
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

"""What the ledger and the journal say: every record type, its fields and their units. No I/O, no keys.

A payload is the canonical JSON of one of these: it must re-serialise byte for byte, so duplicate keys, floats, blanks
and second spellings are refused by construction, and unknown types and fields by the types themselves.
"""

from datetime import datetime
from typing import Annotated, Any

import msgspec

from device.errors import EvidenceError
from device.policy.commands import Command
from device.policy.inputs import Count, Input, Micros, Word

FORMAT = "bodycam/1"
RECORD_TYPE = "application/vnd.bodycam.record+json"
PROVISIONING_TYPE = "application/vnd.bodycam.provisioning+json"
ROTATION_TYPE = "application/vnd.bodycam.rotation+json"
MAX_PAYLOAD_BYTES = 64 * 1024
NO_DIGEST = "0" * 64

# `\Z` and not `$`, which would let a line break pass at the end.
Digest = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._:+/@()-]{0,99}\Z")]
RecordingName = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{6}-[0-9a-f]{16}\Z")]
Stream = Annotated[str, msgspec.Meta(pattern=r"^([0-9]{6}|[0-9]{6}-[0-9a-f]{16})\Z")]
Utc = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z\Z")]
Whole = Annotated[int, msgspec.Meta(gt=-(2**53), lt=2**53)]
Base64 = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9+/]*={0,2}\Z", max_length=24_000)]


class Plain(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The root of the parts that records are made of."""


class ClockQuality(Plain, frozen=True):
    """How far `utc` is to be believed: synchronised or not, by what, and the estimated error in µs."""

    synchronised: bool
    source: Word
    error_us: Count


class SealedContext(Plain, frozen=True):
    """What is private: an age file (base64) to the context recipients; `sha256` is of the plaintext, salt included."""

    age: Base64
    sha256: Digest


class Line(Plain, frozen=True):
    """A place in a chain: the sequence number of a line and the SHA-256 of its bytes without the newline."""

    stream: Stream
    seq: Count
    sha256: Digest


class Torn(Plain, frozen=True):
    """Bytes past the last whole, signed line of a file: where they begin, how many, their SHA-256. Not proven."""

    offset: Count
    size: Count
    sha256: Digest


class PolicyName(Plain, frozen=True):
    id: Word
    version: Count
    sha256: Digest


class Software(Plain, frozen=True):
    """What ran: version of the distribution, of the policy machine, and the digest of the configuration file."""

    version: Name
    machine: Word
    configuration_sha256: Digest


class PreEvent(Plain, frozen=True):
    mode: Word
    asked_us: Micros
    had_us: Micros


class VideoTrack(Plain, frozen=True):
    """`base_us` is the boot time at which every decode time counts zero. `settings_sha256`: sensor and encoder."""

    codec: Word
    width: Annotated[int, msgspec.Meta(ge=16, le=8192)]
    height: Annotated[int, msgspec.Meta(ge=16, le=8192)]
    timescale_hz: Count
    base_us: Micros
    parameter_sets_sha256: Digest
    settings_sha256: Digest


class AudioTrack(Plain, frozen=True):
    codec: Word
    sample_rate_hz: Count
    channels: Count


class Stored(Plain, frozen=True):
    """A sealed file: bytes on the card, SHA-256 of the plaintext, SHA-256 of the ciphertext. Its name is derived."""

    size: Count
    plain: Digest
    sealed: Digest


class VideoSpan(Plain, frozen=True):
    """The video of a segment: first and last frame by number and boot time, and where the last one ends. `period_us`: how
    far apart frames come at the most, as the camera was asked; gaps in and before it were judged by that."""

    first: Count
    last: Count
    frames: Count
    from_us: Micros
    last_us: Micros
    to_us: Micros
    period_us: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]


class AudioSpan(Plain, frozen=True):
    """The sound of a segment: packets, and the boot time of the first sample of the first and the last."""

    packets: Count
    from_us: Micros
    last_us: Micros


class Segment(Plain, frozen=True):
    """One segment. Its file is `<n, six digits>.m4s.age`; `-<attempt>` follows the number when a write had failed."""

    n: Annotated[int, msgspec.Meta(ge=0, le=999_999)]
    attempt: Annotated[int, msgspec.Meta(ge=0, le=999_999)]
    stage: Word
    file: Stored
    video: VideoSpan | None
    audio: AudioSpan | None


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type"):
    """What every record says. The chain fills these in as it signs; the rest is the writer's.

    `durable` is the seq of the last line of this stream known to be durable when this one was signed (-1: none). A
    power cut can lose only lines after it: a line that proves a lost one durable proves that it was no power cut.
    """

    format: str = FORMAT
    device: Name = "-"
    stream: Stream = "000000"
    seq: Count = 0
    prev: Digest = NO_DIGEST
    durable: Annotated[int, msgspec.Meta(ge=-1, lt=2**53)] = -1
    boot: Name = "-"
    boot_us: Micros = 0
    utc: Utc = "1970-01-01T00:00:00.000000Z"
    clock: ClockQuality = ClockQuality(synchronised=False, source="none", error_us=0)


# -- ledger ---------------------------------------------------------------------------------------------------------


class RecordingOpened(Record, frozen=True, tag="recording-opened"):
    """The first line of a ledger. Its `prev` is the journal line `journal`. `continues`: the recording before it.

    `media_certificate_sha256`: of the key that signs within the video, null when none does; `media_utc_us`: the wall time
    (µs since 1970) that these signatures claim for the first frame.
    """

    journal: Line
    certificate_sha256: Digest
    media_certificate_sha256: Digest | None
    media_utc_us: Count | None
    policy: PolicyName
    software: Software
    trigger: Word
    trigger_us: Micros
    pre_event: PreEvent
    video: VideoTrack
    audio: AudioTrack | None
    recipients: Annotated[tuple[Word, ...], msgspec.Meta(min_length=1, max_length=16)]
    recipients_sha256: Digest
    init: Stored
    continues: RecordingName | None
    context: SealedContext | None


class Segments(Record, frozen=True, tag="segments"):
    """One or more segments, all of them durable before this line was written (E2)."""

    segments: Annotated[tuple[Segment, ...], msgspec.Meta(min_length=1, max_length=64)]


class Marker(Record, frozen=True, tag="marker"):
    at_us: Micros


class Muted(Record, frozen=True, tag="muted"):
    at_us: Micros
    context: SealedContext | None


class Unmuted(Record, frozen=True, tag="unmuted"):
    at_us: Micros


class Paused(Record, frozen=True, tag="paused"):
    at_us: Micros
    context: SealedContext | None


class Resumed(Record, frozen=True, tag="resumed"):
    at_us: Micros


class Gap(Record, frozen=True, tag="gap"):
    """Frames that are not in any segment.

    `camera`: the camera's own times jumped, `frames` is how many would have fitted in; numbers go on. All other causes
    are ours (`full`, `policy`, `keyframe-awaited`, `time-went-back`, `time-ahead`): frames `first` to `last` arrived and
    were not kept.
    """

    cause: Word
    frames: Count
    first: Count
    last: Count
    from_us: Micros
    to_us: Micros


class SoundGap(Record, frozen=True, tag="sound-gap"):
    """Sound that is in no segment (E5). `silent`: the microphone gave none; `restart`: it had to be opened anew (unplugged,
    an overrun); `full`, `policy`, `time-went-back`, `time-ahead`: packets came and were not kept, as in a `Gap`."""

    cause: Word
    from_us: Micros
    to_us: Micros


class Noted(Record, frozen=True, tag="noted"):
    """A fact of the recording's time: `stop-asked`, `stop-lapsed`, `start-affirmed`, … What the device gives up of the
    picture, and gives again (`shed-rate`, `restored-rate`, …), stands in the journal too."""

    what: Word
    at_us: Micros
    value: Whole


class ClockStep(Record, frozen=True, tag="clock-stepped"):
    """Wall time jumped against the boot clock (E8)."""

    at_us: Micros
    step_us: Whole


class Fault(Record, frozen=True, tag="fault"):
    """A part's fault begins (`present`) or ends."""

    part: Word
    present: bool
    at_us: Micros
    detail: Annotated[str, msgspec.Meta(max_length=200)]


class FileNumber(Plain, frozen=True):
    """A segment's file: number and attempt."""

    n: Annotated[int, msgspec.Meta(ge=0, le=999_999)]
    attempt: Annotated[int, msgspec.Meta(ge=0, le=999_999)]


class LeftOver(Record, frozen=True, tag="left-over"):
    """Files of writes that failed: they may be on the card, whole or not, and nothing in them is believed."""

    files: Annotated[tuple[FileNumber, ...], msgspec.Meta(min_length=1, max_length=256)]


class Totals(Plain, frozen=True):
    """Of the recording's segments: how many, video frames, audio packets, sealed bytes."""

    segments: Count
    frames: Count
    packets: Count
    size: Count


class Tree(Plain, frozen=True):
    """RFC 6962 over the payload bytes of every record before this one."""

    size: Count
    root: Digest


class RecordingClosed(Record, frozen=True, tag="recording-closed"):
    """The last line of a ledger that ended as it should. `how`: stopped, shutdown, storage-full, continued."""

    how: Word
    end_us: Micros
    totals: Totals
    tree: Tree
    context: SealedContext | None


class Found(Plain, frozen=True):
    """A file found past the last durable record: its number and attempt, bytes, SHA-256. Not proven."""

    n: Annotated[int, msgspec.Meta(ge=0, le=999_999)]
    attempt: Annotated[int, msgspec.Meta(ge=0, le=999_999)]
    size: Count
    sha256: Digest


class RecordingRecovered(Record, frozen=True, tag="recording-recovered"):
    """The only line of `recovery-<n>.jsonl`, written at the start after a power loss. `prev` is the last durable line."""

    last: Line
    torn: Torn | None
    found: Annotated[tuple[Found, ...], msgspec.Meta(max_length=256)]
    found_beyond: Count
    totals: Totals
    tree: Tree


# -- journal --------------------------------------------------------------------------------------------------------


class PreviousEpoch(Plain, frozen=True):
    """The journal file before this one: its last good line (this epoch's first `prev`), and what was torn after it."""

    epoch: Annotated[str, msgspec.Meta(pattern=r"^[0-9]{6}\Z")]
    last: Line
    torn: Torn | None


class Attestation(Plain, frozen=True):
    """The TPM that anchors this device's journal: the key that certifies (a public key in DER), its counter by the
    SHA-256 of what that is, and the number at which the counter began."""

    key: Base64
    counter: Digest
    began: Count


class Provisioned(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag="provisioned"
):
    """Line 0 of a journal, signed by the agency: this device, this certificate, this agency. `attestation` null: no TPM."""

    format: str
    device: Name
    agency: Name
    certificate_sha256: Digest
    key_protection: Word
    utc: Utc
    attestation: Attestation | None = None


class Rotation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag="rotation"):
    """From now on this device signs with another key: signed by the old one, and once more by the new one."""

    format: str
    device: Name
    old_certificate_sha256: Digest
    new_certificate_sha256: Digest
    utc: Utc


class Boot(Record, frozen=True, tag="boot"):
    """The first line of ours in an epoch. `reason`: start, write-failed, policy-changed, self-test. `bundle_sha256`: of the file in
    which the agency signed the policy. `context` seals the policy machine's state as this boot, or the policy in force
    since, began; it is repeated after a failed write. `rotation`: the document by which this epoch goes on with the
    journal of the key before."""

    epoch: Annotated[str, msgspec.Meta(pattern=r"^[0-9]{6}\Z")]
    previous: PreviousEpoch | None
    reason: Word
    certificate_sha256: Digest
    policy: PolicyName
    bundle_sha256: Digest
    software: Software
    context: SealedContext | None
    rotation: Base64 | None = None


class KeyOpened(Record, frozen=True, tag="key-opened"):
    """A private key was opened at this boot. `protection`: file, token, tpm; `where`: what kind of place, no secret."""

    role: Word
    certificate_sha256: Digest
    protection: Word
    where: Word


class Step(Record, frozen=True, tag="step"):
    """One input that the policy machine consulted, and what it decided. `input` null: a deadline that fired alone.

    `effective_us` is the later of the input's own time and the last effective time.
    """

    input: Input | None
    effective_us: Micros
    decisions: Annotated[tuple[Command, ...], msgspec.Meta(max_length=64)]
    context: SealedContext | None


class RecordingBegun(Record, frozen=True, tag="recording-begun"):
    """A ledger's first line is durable. `first` is that line."""

    recording: RecordingName
    first: Line


class RecordingHead(Record, frozen=True, tag="recording-head"):
    """How far a ledger is durable; every 10 s."""

    recording: RecordingName
    head: Line


class RecordingEnded(Record, frozen=True, tag="recording-ended"):
    """A ledger's last line. `how`: closed, recovered, failed (its ledger could not be written on), damaged."""

    recording: RecordingName
    head: Line
    how: Word


class ForeignCard(Record, frozen=True, tag="foreign-card"):
    """A journal that this one does not extend was found here, and is kept as it is: another device's, or of another key.

    `sha256` is of its newest epoch's whole file, so that what was there stays provable.
    """

    found_device: Name
    epoch: Annotated[str, msgspec.Meta(pattern=r"^[0-9]{6}\Z")]
    sha256: Digest


class Anchor(Record, frozen=True, tag="anchor"):
    """The outside's word on this journal. `kind`: dock-nonce, cosigned-head, tpm. `head`: the line that it is about.
    `statement`: what the outside signed, base64; `sha256` is of these bytes."""

    kind: Word
    at: Word
    head: Line
    statement: Base64
    sha256: Digest


class Receipted(Record, frozen=True, tag="receipted"):
    """The agency's receipt for a recording is on the card. `head` is the last line of the ledger, or of the recovery,
    that it names; `receipt_sha256` is of the receipt's file."""

    recording: RecordingName
    head: Line
    receipt_sha256: Digest


class Released(Record, frozen=True, tag="released"):
    """From here on the recording's init and segments are removed, under this receipt (E7): so many files and bytes."""

    recording: RecordingName
    receipt_sha256: Digest
    files: Count
    size: Count


class HistoryLost(Record, frozen=True, tag="history-lost"):
    """The TPM counted anchors that this journal does not hold. `known`: the last line that is anchored here, and `had` the
    counter then (null: none is); `counter`: what the TPM counts to now."""

    known: Line | None
    had: Count | None
    counter: Count


class Tested(Plain, frozen=True):
    """A part that a self-test looked at. `result`: pass, warning, fail, skipped."""

    part: Word
    result: Word
    detail: Annotated[str, msgspec.Meta(max_length=200)]


class SelfTest(Record, frozen=True, tag="self-test"):
    """What a self-test found; its epoch decides and records nothing. `hands`: whether a person was asked."""

    hands: bool
    software: Software
    parts: Annotated[tuple[Tested, ...], msgspec.Meta(min_length=1, max_length=96)]


class Stopped(Record, frozen=True, tag="stopped"):
    """The daemon ended as asked; nothing follows in this epoch."""

    reason: Word


LedgerRecord = (
    RecordingOpened
    | Segments
    | Marker
    | Muted
    | Unmuted
    | Paused
    | Resumed
    | Gap
    | SoundGap
    | Noted
    | ClockStep
    | Fault
    | LeftOver
    | RecordingClosed
    | RecordingRecovered
)
JournalRecord = (
    Boot
    | KeyOpened
    | Step
    | RecordingBegun
    | RecordingHead
    | RecordingEnded
    | ForeignCard
    | ClockStep
    | Fault
    | Noted
    | Anchor
    | HistoryLost
    | Receipted
    | Released
    | SelfTest
    | Stopped
)
AnyRecord = LedgerRecord | JournalRecord

_LEDGER = msgspec.json.Decoder(LedgerRecord)
_JOURNAL = msgspec.json.Decoder(JournalRecord)
_PROVISIONED = msgspec.json.Decoder(Provisioned)
_ROTATION = msgspec.json.Decoder(Rotation)


def encode(record: AnyRecord | Provisioned | Rotation) -> bytes:
    """The one spelling of a record."""
    return msgspec.json.encode(record)


def decode_ledger(payload: bytes) -> LedgerRecord:
    record: LedgerRecord = _strict(_LEDGER, payload)
    return record


def decode_journal(payload: bytes) -> JournalRecord:
    record: JournalRecord = _strict(_JOURNAL, payload)
    return record


def decode_provisioned(payload: bytes) -> Provisioned:
    record: Provisioned = _strict(_PROVISIONED, payload)
    return record


def decode_rotation(payload: bytes) -> Rotation:
    record: Rotation = _strict(_ROTATION, payload)
    return record


def _strict(decoder: "msgspec.json.Decoder[Any]", payload: bytes) -> Any:
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise EvidenceError(f"a payload of {len(payload)} bytes; the limit is {MAX_PAYLOAD_BYTES}")
    try:
        record = decoder.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as failure:
        raise EvidenceError(f"not a record: {failure}") from failure
    if record.format != FORMAT:
        raise EvidenceError(f"format {record.format!r}; this reader knows {FORMAT!r}")
    if msgspec.json.encode(record) != payload:
        raise EvidenceError("a second spelling of a record (key order, blanks, duplicates or numbers)")
    try:
        datetime.fromisoformat(record.utc)
    except ValueError as failure:
        raise EvidenceError(f"utc {record.utc} names no moment") from failure
    return record

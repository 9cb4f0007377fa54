"""What an exported file's evidence box holds: a head of one line, then its members, one after the other. PURE.

The head names each member and says its size, in the one order that there is, so every byte has one meaning and one
place. Bounded: given any bytes `unpack` returns members or raises `EvidenceError`. What a member says is not looked at
here. A member's name is a label; it is never used as a path.
"""

from typing import Annotated

import msgspec

from device.errors import EvidenceError
from device.evidence.records import Digest, Plain
from device.policy.inputs import Count

EVIDENCE_BOX = bytes.fromhex("a127fd9a612245ff825eb7286fe2d72f")
"""The extended type of our `uuid` box: a random UUID."""
FORMAT = "bodycam-export/1"
MAX_EVIDENCE_BYTES = 320 * 1024 * 1024
"""A ledger of the largest size, and the rest."""
MAX_HEAD_BYTES = 16 * 1024
MAX_CERTIFICATES = 8

LEDGER = "ledger.jsonl"
PROOFS = "proofs.jsonl"
RECOVERY = "recovery.jsonl"
JOURNAL = "journal.jsonl"
POLICY = "policy.toml"
BUNDLE = "policy.bundle"
_ORDER = (LEDGER, PROOFS, RECOVERY, JOURNAL, POLICY, BUNDLE)

SegmentNumber = Annotated[int, msgspec.Meta(ge=0, le=999_999)]


class Part(Plain, frozen=True):
    """Which of the recording's segments the file holds, when not all: the first and the last, by number."""

    first: SegmentNumber
    last: SegmentNumber


class Member(Plain, frozen=True):
    """`name` is one of those above, or the SHA-256 of a certificate that is the member's bytes."""

    name: Annotated[str, msgspec.Meta(max_length=64)]
    size: Count


class Head(Plain, frozen=True):
    format: str
    part: Part | None
    members: Annotated[tuple[Member, ...], msgspec.Meta(min_length=1, max_length=len(_ORDER) + MAX_CERTIFICATES)]


class Contents(msgspec.Struct, frozen=True):
    """The members, by name, and the certificates (DER), by digest. `part` None: the whole recording."""

    part: Part | None
    members: dict[str, bytes]
    certificates: dict[Digest, bytes]


_HEAD = msgspec.json.Decoder(Head)
_DIGEST = msgspec.json.Decoder(Digest)


def pack(contents: Contents) -> bytes:
    """The evidence box's content in its one spelling."""
    named = [(name, contents.members[name]) for name in _ORDER if name in contents.members]
    named += sorted(contents.certificates.items())
    head = Head(FORMAT, contents.part, tuple(Member(name, len(data)) for name, data in named))
    return b"".join([msgspec.json.encode(head), b"\n", *(data for _, data in named)])


def unpack(data: bytes) -> Contents:
    """The members of an evidence box; `EvidenceError` unless the bytes are the one spelling of what they hold."""
    line, newline, _ = data[:MAX_HEAD_BYTES].partition(b"\n")
    if not newline:
        raise EvidenceError(f"the evidence box does not begin with a line of at most {MAX_HEAD_BYTES} bytes")
    try:
        head = _HEAD.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as failure:
        raise EvidenceError(f"the evidence box does not begin with its head: {failure}") from failure
    if head.format != FORMAT:
        raise EvidenceError(f"the evidence box has the format {head.format!r}; this reader knows {FORMAT!r}")
    if head.part is not None and head.part.first > head.part.last:
        raise EvidenceError(f"the evidence box is of the segments {head.part.first} to {head.part.last}")
    names = [member.name for member in head.members]
    certificates = [name for name in names if name not in _ORDER]
    if names != [name for name in _ORDER if name in names] + sorted(set(certificates)):
        raise EvidenceError("the evidence box has a member twice, or in another order than the one there is")
    if sum(member.size for member in head.members) != len(data) - len(line) - 1:
        raise EvidenceError("the evidence box is not as long as its members together")
    if msgspec.json.encode(head) != line:
        raise EvidenceError("a second spelling of the evidence box's head")
    return Contents(head.part, *_members(data, len(line) + 1, head, certificates))


def _members(
    data: bytes, offset: int, head: Head, certificates: list[str]
) -> tuple[dict[str, bytes], dict[Digest, bytes]]:
    members: dict[str, bytes] = {}
    for member in head.members:
        members[member.name] = data[offset : offset + member.size]
        offset += member.size
    try:
        named = {_DIGEST.decode(msgspec.json.encode(name)): members.pop(name) for name in certificates}
    except msgspec.ValidationError as failure:
        raise EvidenceError("the evidence box has a member that no export has") from failure
    return members, named

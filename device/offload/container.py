"""The form of an object: a tar of regular files with one accepted spelling, so that the same recording always makes the
same bytes, and that unpacking has nothing to decide.

Members come in a fixed order: the manifest, the journal up to the line that ends the recording, certificates, policies,
the recording's folder. Names are those of a card (`device.evidence.layout`); modes, owners and times are fixed; nothing
is compressed, as sealed bytes do not shrink. No I/O.
"""

import re
import tarfile

import msgspec

from device.errors import EvidenceError
from device.evidence import layout
from device.evidence.records import Digest, Line, Name, RecordingName

FORMAT = "bodycam-object/1"
MANIFEST = "manifest.json"
MAX_MANIFEST_BYTES = 4096
MAX_MEMBERS = 1_100_000
"""A recording has at most a million segments."""
MAX_MEMBER_BYTES = 256 * 1024 * 1024
"""The limit of a segment, a ledger and a journal file."""
BLOCK_BYTES = 512
END = bytes(2 * BLOCK_BYTES)

_MEMBER = re.compile(r"^(journal|identity|policy|evidence)/([!-~]{1,200})\Z")


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an object holds. It proves nothing: it is held against the signed records.

    `journal_head`: the last line of the journal in it. `journal_first`: SHA-256 of that journal's first line of the
    device's own, by which the journals of one device's several cards are told apart.
    """

    format: str = FORMAT
    device: Name
    recording: RecordingName
    journal_first: Digest
    journal_head: Line


_MANIFEST = msgspec.json.Decoder(Manifest)


def encode_manifest(manifest: Manifest) -> bytes:
    return msgspec.json.encode(manifest)


def decode_manifest(data: bytes) -> Manifest:
    """`EvidenceError` unless it is one, in its one spelling."""
    try:
        manifest = _MANIFEST.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as failure:
        raise EvidenceError(f"{MANIFEST}: {failure}") from failure
    if manifest.format != FORMAT:
        raise EvidenceError(f"{MANIFEST}: format {manifest.format!r}; this reader knows {FORMAT!r}")
    if encode_manifest(manifest) != data:
        raise EvidenceError(f"{MANIFEST}: a second spelling")
    return manifest


def header(name: str, size: int) -> bytes:
    """The 512 bytes before a member; the only ones that are accepted for it."""
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o440
    return info.tobuf(tarfile.USTAR_FORMAT)


def padding(size: int) -> bytes:
    return bytes(-size % BLOCK_BYTES)


def member(block: bytes) -> tuple[str, int] | None:
    """Name and size of the member that a header announces; None for a block of the end. `EvidenceError` unless the name
    is a derived one and the header is spelled in the one accepted way."""
    if block == END[:BLOCK_BYTES]:
        return None
    try:
        info = tarfile.TarInfo.frombuf(block, "ascii", "strict")
        name, size = info.name, info.size
        known = header(name, size) == block and order_of(name) is not None
    except (tarfile.HeaderError, UnicodeError, ValueError, OverflowError) as failure:
        raise EvidenceError(f"not a member of an object: {failure}") from failure
    if not known:
        raise EvidenceError("a member under a name, or with a header, that no object has")
    limit = MAX_MANIFEST_BYTES if name == MANIFEST else MAX_MEMBER_BYTES
    if not 0 <= size <= limit:
        raise EvidenceError(f"{name}: {size} bytes; the limit is {limit}")
    return name, size


def order_of(name: str) -> tuple[int, str, int, int] | None:
    """Where a member stands among the others; None when an object has no such member."""
    if name == MANIFEST:
        return (0, "", 0, 0)
    match = _MEMBER.match(name)
    if match is None:
        return None
    folder, rest = match[1], match[2]
    if folder == layout.JOURNAL:
        number = layout.epoch_number(rest)
        return None if number is None else (1, "", number, 0)
    if folder == layout.EVIDENCE:
        return _of_recording(*rest.split("/", 1)) if rest.count("/") == 1 else None
    digest = layout.document_digest(rest)
    wanted = (".der",) if folder == layout.IDENTITY else (".toml", ".bundle")
    if digest is None or rest not in [digest + ending for ending in wanted]:
        return None
    return (2 if folder == layout.IDENTITY else 3, rest, 0, 0)


def _of_recording(recording: str, name: str) -> tuple[int, str, int, int] | None:
    if layout.recording_counter(recording) is None:
        return None
    papers = [layout.LEDGER, *map(layout.recovery_file, range(layout.MAX_RECOVERIES)), layout.INIT]
    if name in papers:
        return (4, recording, papers.index(name), 0)
    numbers = layout.segment_numbers(name)
    if numbers is None or layout.segment_file(*numbers) != name:
        return None
    return (5, recording, *numbers)

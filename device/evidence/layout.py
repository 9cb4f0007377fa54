"""Where things are on a card. Every name derives from a number, a digest or an identifier of known shape; a name in a
record is never used as a path."""

import re

EVIDENCE = "evidence"
JOURNAL = "journal"
POLICY = "policy"
IDENTITY = "identity"
RECEIPTS = "receipts"
"""The agency's receipts, each under its digest. What lies in the spool is not yet believed."""
SPOOL = "spool"
RESERVE = "reserve"
REFUSED = f"{SPOOL}/offload.refused"
"""Off-load's word that it holds a receipt which it does not hand in: one line of text, or empty."""
MAX_REFUSED_BYTES = 1024
TOP_FOLDERS = (EVIDENCE, JOURNAL, POLICY, IDENTITY, RECEIPTS, SPOOL)

INIT = "init.mp4.age"
LEDGER = "ledger.jsonl"
DOCUMENT_ATTEMPTS = 100
"""A document whose writing failed or was cut short keeps its name; the next attempt takes the next one."""
MAX_RECOVERIES = 10
"""A recovery that is itself cut short leaves its file; the next one takes the next name."""

_RECORDING = re.compile(r"^([0-9]{6})-[0-9a-f]{16}\Z")
_SEGMENT = re.compile(r"^([0-9]{6})(?:-([1-9][0-9]{0,5}))?\.m4s\.age\Z")
_DOCUMENT = re.compile(r"^([0-9a-f]{64})(?:-[1-9][0-9]?)?\.(?:der|toml|bundle|receipt)\Z")
_SPOOLED = re.compile(r"^([0-9a-f]{64})\.(receipt|anchor)\Z")
_EPOCH = re.compile(r"^([0-9]{6})\.jsonl\Z")


def recording_name(counter: int, random: bytes) -> str:
    assert len(random) == 8, "64 random bits"
    return f"{counter:06d}-{random.hex()}"


def recording_counter(name: str) -> int | None:
    """The counter of a recording's folder name; None when the name is not one."""
    match = _RECORDING.match(name)
    return int(match[1]) if match else None


def recording_folder(name: str) -> str:
    return f"{EVIDENCE}/{name}"


def segment_file(n: int, attempt: int) -> str:
    return f"{n:06d}-{attempt}.m4s.age" if attempt else f"{n:06d}.m4s.age"


def segment_numbers(name: str) -> tuple[int, int] | None:
    """Number and attempt of a segment's file name; None when the name is not one."""
    match = _SEGMENT.match(name)
    return (int(match[1]), int(match[2] or 0)) if match else None


def recovery_file(n: int) -> str:
    return f"recovery-{n}.jsonl"


def epoch_name(epoch: int) -> str:
    return f"{epoch:06d}"


def epoch_file(epoch: str) -> str:
    return f"{JOURNAL}/{epoch}.jsonl"


def epoch_number(name: str) -> int | None:
    """The number of a journal file's name; None when the name is not one."""
    match = _EPOCH.match(name)
    return int(match[1]) if match else None


def certificate_file(sha256: str, attempt: int = 0) -> str:
    return f"{IDENTITY}/{_document(sha256, attempt)}.der"


def policy_file(sha256: str, attempt: int = 0) -> str:
    return f"{POLICY}/{_document(sha256, attempt)}.toml"


def bundle_file(sha256: str, attempt: int = 0) -> str:
    """`sha256` is of the bundle's whole file."""
    return f"{POLICY}/{_document(sha256, attempt)}.bundle"


def receipt_file(sha256: str, attempt: int = 0) -> str:
    """`sha256` is of the receipt's whole file."""
    return f"{RECEIPTS}/{_document(sha256, attempt)}.receipt"


def spooled(name: str) -> tuple[str, str] | None:
    """The digest and the kind, `receipt` or `anchor`, that the name of a file handed in says; None for any other."""
    match = _SPOOLED.match(name)
    return (match[1], match[2]) if match else None


def document_digest(name: str) -> str | None:
    """The digest that a document's file name says; None when the name is not one."""
    match = _DOCUMENT.match(name)
    return match[1] if match else None


def _document(sha256: str, attempt: int) -> str:
    return f"{sha256}-{attempt}" if attempt else sha256

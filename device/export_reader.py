"""`bodycam verify` of what an export made: the MP4 that proves itself, and the access record beside it."""

from pathlib import Path

from device.errors import EvidenceError, UsageError
from device.evidence.access import SUFFIX, judge
from device.evidence.bundle import Anchors
from device.evidence.case import Progressing
from device.evidence.exported import carries_evidence, verify_export
from device.evidence.reading import regular_size
from device.evidence.revocation import Revocations
from device.evidence.verdicts import CardVerdict, printable


def is_proof(path: Path) -> bool:
    """Whether there is a file here that is an access record by its name, or claims to be an export."""
    try:
        if regular_size(path.resolve()) is None:
            return False
        return path.name.endswith(SUFFIX) or carries_evidence(path.resolve())
    except (EvidenceError, OSError, RuntimeError, ValueError):
        return False


def verify_proof(path: Path, anchors: Anchors, revoked: Revocations, progress: Progressing) -> CardVerdict:
    """Judge a file that `is_proof`. `UsageError` when it can't be read."""
    if path.name.endswith(SUFFIX):
        return judge(path.resolve(), anchors, revoked)
    try:
        verdict = verify_export(path.resolve(), anchors, revoked, progress)
    except EvidenceError as failure:
        raise UsageError(f"{printable(str(path))}: {failure}; give a file that can be read") from failure
    said = "an exported file: what it carries was judged, nothing else of the card or of its history"
    return CardVerdict(
        path=str(path), verdict=verdict.verdict, exit_status=verdict.exit_status, journal_said=said, findings=(),
        recordings=(verdict,), foreign=(), first_bad=verdict.first_bad,
    )  # fmt: skip

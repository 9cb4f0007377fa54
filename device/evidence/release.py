"""Whether what a recording lacks was released under a receipt. For the readers.

A release is believed when the journal says so, holds the receipt too, and that receipt is here, is the agency's, and is
of exactly this ledger (E7). Nothing found on a card raises.
"""

from device.errors import EvidenceError
from device.evidence.case import Found, Given, Release
from device.evidence.holdings import Ours, prove
from device.evidence.records import RecordingOpened
from device.evidence.verdicts import Extent


def release_of(given: Given, found: Found, opened: RecordingOpened) -> Release | None:
    """What the journal says of a release, judged; None when it says nothing. `why_not` is "" when it is proven."""
    handed = given.history.handed_over.get((opened.device, found.name))
    if handed is None or handed.released is None:
        return None
    kept, sha256 = given.kept, handed.released
    receipt = kept.good.get(sha256)
    if receipt is None:
        return Release(sha256, None, f"its receipt {sha256} is not here: {kept.refused.get(sha256, 'it is missing')}")
    if receipt.recording != found.name or sha256 not in handed.receipts:
        return Release(sha256, None, f"the receipt {sha256} is not this recording's")
    keys = given.keys_of(opened.certificate_sha256)
    try:
        prove(Ours(given.card, opened.device, keys, given.anchors), sha256, receipt)
    except EvidenceError as failure:
        return Release(sha256, None, f"the receipt {sha256} does not fit: {failure}")
    return Release(sha256, receipt, "")


def as_released(found: Found, extent: tuple[Extent, str]) -> tuple[Extent, str]:
    """How far a recording reaches whose bytes, or some of them, the agency holds and this card does not."""
    if found.release is None or found.release.receipt is None or not found.released:
        return extent
    receipt = found.release.receipt
    said = f"{extent[1]}; released to {receipt.agency} on {receipt.utc} under the receipt {found.release.sha256[:16]}…"
    return "released" if extent[0] == "closed" else extent[0], f"{said}: {found.released} files are not here"

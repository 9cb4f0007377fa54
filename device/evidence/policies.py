"""The policies that an audit may replay with: bundles under the anchor, from the card and from the person who asks."""

from pathlib import Path

import msgspec

from device.errors import EvidenceError, UsageError
from device.evidence import layout
from device.evidence.bundle import MAX_BUNDLE_BYTES, Anchors, Bundle, read_bundle
from device.evidence.reading import names_in, read_file
from device.evidence.records import PolicyName
from device.evidence.verdicts import printable


class Policies(msgspec.Struct, frozen=True):
    """`good`: by the digest of the document. `refused`: bundles on the card that do not count, by file, and why."""

    good: dict[str, Bundle]
    refused: dict[str, str]

    def find(self, named: PolicyName) -> Bundle | None:
        """The bundle of the policy that a record names; None when there is none, or it calls itself otherwise."""
        found = self.good.get(named.sha256)
        return found if found is not None and found.name == named else None

    def why_missing(self, named: PolicyName) -> str:
        """Why a policy that a record names is not at hand, and the way out."""
        said = f"the policy {named.id} {named.version} (sha256 {named.sha256})"
        way_out = "give the agency's bundle of it with --policy BUNDLE"
        found = self.good.get(named.sha256)
        if found is not None:
            return f"{said} calls itself {found.name.id} {found.name.version}: the record lies about its name"
        refused = "; ".join(f"{name}: {why}" for name, why in sorted(self.refused.items()))
        return f"{said} is in no bundle under the given trust anchor{f' ({refused})' if refused else ''}; {way_out}"


def given_bundle(path: Path, anchors: Anchors) -> Bundle:
    """A bundle that the person who asks names; `UsageError` when it does not count."""
    try:
        data = read_file(path.resolve(), MAX_BUNDLE_BYTES)
        return read_bundle(data or b"", anchors, None)
    except (EvidenceError, OSError, RuntimeError, ValueError) as failure:
        why = printable(str(failure))
        raise UsageError(f"--policy {path}: {why}; give a bundle that the agency signed, under --trust") from failure


def policies_on(card: Path, anchors: Anchors, given: tuple[Bundle, ...]) -> Policies:
    """Those given, and those on the card that count under the anchors. Nothing found on a card raises."""
    policies = Policies({bundle.sha256: bundle for bundle in given}, {})
    try:
        names = names_in(card / layout.POLICY)
    except EvidenceError as failure:
        policies.refused[layout.POLICY] = str(failure)
        return policies
    for name in names:
        if layout.document_digest(name) is None or not name.endswith(".bundle"):
            continue
        try:
            bundle = read_bundle(read_file(card / layout.POLICY / name, MAX_BUNDLE_BYTES) or b"", anchors, None)
        except EvidenceError as failure:
            policies.refused[f"{layout.POLICY}/{name}"] = str(failure)
        else:
            policies.good[bundle.sha256] = bundle
    return policies

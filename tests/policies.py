"""Policies for the tests of the policy machine: those that are shipped, and the first one with a clause changed."""

from pathlib import Path

import msgspec

import device.policy
from device.policy.model import Policy, parse_policy

PROFILES = {
    path.stem: parse_policy(path.read_bytes())
    for path in sorted((Path(device.policy.__file__).parent / "profiles").glob("*.toml"))
}
FIRST = PROFILES["first"]


def changed(policy: Policy, table: str, **changes: object) -> Policy:
    return msgspec.structs.replace(policy, **{table: msgspec.structs.replace(getattr(policy, table), **changes)})


def with_entry(policy: Policy, table: str, name: str, **changes: object) -> Policy:
    """The policy with one named entry of a table changed."""
    entries = getattr(policy, table)
    return msgspec.structs.replace(
        policy, **{table: entries | {name: msgspec.structs.replace(entries[name], **changes)}}
    )


def rezoned(policy: Policy, name: str, **changes: object) -> Policy:
    """The policy with one of its zones changed."""
    return with_entry(policy, "zones", name, **changes)

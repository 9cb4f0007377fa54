"""The JSON Schema of the policy document, generated from its model, for editors. PURE.

A schema says which keys there are and what each may be. That a name is defined, that a count of presses means one reason,
and that a hold is longer than a double press, only `parse_policy` checks.
"""

from typing import Any

import msgspec

from device.policy.model import Policy

DIALECT = "https://json-schema.org/draft/2020-12/schema"
TITLE = "A body-worn camera's policy"


def policy_schema() -> dict[str, Any]:
    """The schema, as JSON would hold it."""
    schema: dict[str, Any] = _portable(msgspec.json.schema(Policy))
    return {"$schema": DIALECT, "title": TITLE, **schema}


def _portable(part: Any) -> Any:
    """The same in words that every validator knows: JSON Schema's patterns end in `$`, and know no `\\Z`."""
    if isinstance(part, list):
        return [_portable(entry) for entry in part]
    if not isinstance(part, dict):
        return part
    return {key: _portable_value(key, value) for key, value in part.items()}


def _portable_value(key: str, value: Any) -> Any:
    if key == "pattern" and isinstance(value, str):
        return value.removesuffix(r"\Z") + "$" if value.endswith(r"\Z") else value
    if key == "description" and isinstance(value, str):
        return " ".join(value.split())
    return _portable(value)

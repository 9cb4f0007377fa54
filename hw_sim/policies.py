"""Shipped policies with a key or two changed, as TOML again: for scenarios and other benches of the twin."""

import json
import tomllib
from pathlib import Path
from typing import Any

import device.policy
from device.errors import UsageError
from device.policy.document import DocumentError
from device.policy.model import parse_policy

PROFILES = Path(device.policy.__file__).parent / "profiles"


def profile(name: str, changes: dict[str, Any], version: int = 1) -> bytes:
    """A shipped profile with other values at some keys, such as `zones.school.start`. `UsageError` names what is wrong."""
    names = sorted(path.stem for path in PROFILES.glob("*.toml"))
    if name not in names:
        raise UsageError(f"policy is {name!r}: must be one of: {', '.join(names)}")
    content = tomllib.loads((PROFILES / f"{name}.toml").read_text("utf-8"))
    content["version"] = version
    for key, value in changes.items():
        _put(content, key, value)
    try:
        document = _toml(content)
        parse_policy(document)
    except TypeError as failure:
        raise UsageError("change: a value is a text, a number, true or false, or a list or table of them") from failure
    except DocumentError as failure:
        raise UsageError(f"policy {name} as it was changed: {failure}") from failure
    return document


def _put(content: dict[str, Any], key: str, value: Any) -> None:
    *tables, last = key.split(".")
    table: Any = content
    for name in tables:
        table = table.get(name) if isinstance(table, dict) else None
    if not isinstance(table, dict) or last not in table:
        raise UsageError(f"change of {key}: the policy has no such key; bodycam policy show NAME lists them")
    table[last] = value


def _toml(content: dict[str, Any]) -> bytes:
    """One line an entry, short enough for `parse_policy`."""
    lines = [f"{key} = {_value(value)}" for key, value in content.items() if not isinstance(value, dict)]
    for name, table in content.items():
        if isinstance(table, dict):
            lines += [f"[{name}]", *(f"{_key(key)} = {_value(value)}" for key, value in table.items())]
    return "\n".join(lines).encode()


def _value(value: Any) -> str:
    if isinstance(value, list):
        return "[\n" + "".join(f"{_value(entry)},\n" for entry in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(key)} = {_value(entry)}" for key, entry in value.items()) + "}"
    return json.dumps(value, ensure_ascii=False)


def _key(key: str) -> str:
    return json.dumps(key, ensure_ascii=False)

"""Policy documents for tests: those that are shipped, their keys, and documents with one key changed."""

import copy
import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import device.policy
from device.policy.model import Policy, parse_policy

FOLDER = Path(device.policy.__file__).parent / "profiles"
NAMES = tuple(sorted(file.stem for file in FOLDER.glob("*.toml")))
R5 = [
    "vehicle-stop",
    "person-stop",
    "dispatched-call",
    "on-site-detention",
    "arrest",
    "suspect-interview",
    "prisoner-transport",
    "pat-frisk",
    "search-incident-to-arrest",
    "emergency-driving",
    "pursuit",
    "unlawful-crowd",
    "adversarial-contact",
    "use-of-force",
    "officer-discretion",
]
"""The activation categories that every profile has (R5)."""
R7 = [
    "civilian-request",
    "medical-aid-seeker",
    "strategy-planning",
    "prosecutor-authorised",
    "school-or-youth-facility",
    "patient-care",
    "worship",
    "courtroom",
    "breath-test",
]
"""New Jersey's reasons for a stop."""
KeyPath = tuple[str | int, ...]
Content = dict[str, Any]


def text(name: str) -> str:
    return (FOLDER / f"{name}.toml").read_text("utf-8")


def policy(name: str) -> Policy:
    return parse_policy(text(name).encode())


def content(name: str) -> Content:
    return tomllib.loads(text(name))


def paths(table: Any, here: KeyPath = ()) -> Iterator[KeyPath]:
    """Every key of a document, tables and entries of arrays too."""
    entries = table.items() if isinstance(table, dict) else enumerate(table) if isinstance(table, list) else ()
    for key, value in entries:
        yield (*here, key)
        yield from paths(value, (*here, key))


def at(document: Content, path: KeyPath) -> Any:
    value: Any = document
    for key in path:
        value = value[key]
    return value


def changed(document: Content, path: KeyPath, value: Any) -> Content:
    """The same document with another value at one key."""
    other = copy.deepcopy(document)
    at(other, path[:-1])[path[-1]] = value
    return other


def without(document: Content, path: KeyPath) -> Content:
    other = copy.deepcopy(document)
    del at(other, path[:-1])[path[-1]]
    return other


def toml(document: Content) -> bytes:
    """The document as TOML, short enough a line for `parse_policy`."""
    lines: list[str] = []
    _table(document, (), lines)
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def _table(table: Content, here: tuple[str, ...], lines: list[str]) -> None:
    tables = {key: value for key, value in table.items() if isinstance(value, dict) and len(here) < 2}
    lines += [f"{_name(key)} = {_value(value)}" for key, value in table.items() if key not in tables]
    for key, value in tables.items():
        lines.append("[" + ".".join(map(_name, (*here, key))) + "]")
        _table(value, (*here, key), lines)


def _value(value: Any) -> str:
    if isinstance(value, list):
        return "[\n" + "".join(f"{_value(entry)},\n" for entry in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_name(key)} = {_value(entry)}" for key, entry in value.items()) + "}"
    if isinstance(value, str):
        return _name(value)
    return str(value).lower() if isinstance(value, bool | float) else str(value)


def _name(key: str) -> str:
    return json.dumps(key, ensure_ascii=False).replace("\x7f", "\\u007f")

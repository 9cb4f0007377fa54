"""A TOML document into a typed, bounded object, with messages that a person can act on. PURE.

Used for policies and for the configuration. Unknown keys are errors; a message has the key, the value and the limit.
"""

import json
import re
import tomllib
from typing import Annotated, Any, TypeVar, get_args, get_origin

import msgspec

_T = TypeVar("_T")
_PLACE = re.compile(r"^(?P<limit>.*) - at (?P<name>`key` in )?`\$(?P<place>[^`]*)`$", re.DOTALL)
_UNKNOWN = re.compile(r"^Object contains unknown field `(?P<key>.*)`$", re.DOTALL)
_ABSENT = re.compile(r"^Object missing required field `(?P<key>.*)`$")
MAX_DOCUMENT_BYTES = 256 * 1024
MAX_LINE_BYTES = 2000
"""A dotted key of n parts costs tomllib n² steps (measured: 53 s for 50 000), and Python writes no number of thousands of
digits into a message: both fit on one line only."""
_PART = re.compile(r"\[(?:\.\.\.|[0-9]+)\]|[^.\[]+")
"""One step of a place: a key, `[...]` (an entry of a table with free names), or `[n]` (one of an array)."""
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_NO_SUCH_KEY = "no such key; see the documentation for the keys"
MAX_VALUE_CHARACTERS = 80
"""As much of a value as a message repeats."""


class DocumentError(ValueError):
    """What is wrong: the key ("": the document as a whole), its value as written (or None), and what was wanted."""

    def __init__(self, key: str, value: object, limit: str) -> None:
        said = "" if value is None else f" is {_shown(value)}"
        super().__init__(f"{key}{said}: {limit}" if key else limit)
        self.key = key


def parse_document(document: bytes, into: type[_T]) -> _T:
    if len(document) > MAX_DOCUMENT_BYTES:
        raise DocumentError("", None, f"{len(document)} bytes; the limit is {MAX_DOCUMENT_BYTES}")
    for n, line in enumerate(document.split(b"\n"), 1):
        if len(line) > MAX_LINE_BYTES:
            raise DocumentError(f"line {n}", None, f"{len(line)} bytes; the limit is {MAX_LINE_BYTES}")
    try:
        content = tomllib.loads(document.decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as failure:
        raise DocumentError("", None, f"not TOML: {failure}") from failure
    try:
        return msgspec.convert(content, into)
    except msgspec.ValidationError as failure:
        raise _explained(str(failure), content, into) from failure


def _explained(said: str, content: dict[str, object], into: type) -> DocumentError:
    match = _PLACE.match(said)
    limit, place = (match["limit"], match["place"].lstrip(".")) if match else (said, "")
    key = _named(place + "[...]" * bool(match and match["name"]), said, content, into)
    if unknown := _UNKNOWN.match(limit):
        return DocumentError(".".join(filter(None, (key, _quoted(unknown["key"])))), None, _NO_SUCH_KEY)
    if absent := _ABSENT.match(limit):
        return DocumentError(".".join(filter(None, (key, absent["key"]))), None, "missing; it must be given")
    if limit.startswith("Invalid enum value"):
        limit = f"one of: {', '.join(map(str, _choices(into, place)))}"
    return DocumentError(key, _value_at(content, key), limit.replace("Expected", "expected"))


def _named(place: str, said: str, content: dict[str, object], into: type) -> str:
    """The place with the name of the table's entry that is wrong, for which msgspec writes `[...]`."""
    table, unnamed, rest = place.partition("[...]")
    entries = content.get(table)
    if not unnamed or not isinstance(entries, dict):
        return place
    for name, entry in entries.items():
        try:
            msgspec.convert({**content, table: {name: entry}}, into)
        except msgspec.ValidationError as failure:
            if str(failure) == said:
                return f"{table}.{_quoted(name)}{rest}"
    return place


def _quoted(key: str) -> str:
    """A key as TOML would have it: in quotes when it is more than a word."""
    return key if _BARE.fullmatch(key) else json.dumps(key)


def _choices(into: Any, place: str) -> tuple[object, ...]:
    """The values that the type has for this place."""
    for part in _PART.findall(place):
        into = _bare(into)
        if part == "[...]":
            into = get_args(into)[1]
        elif part.startswith("["):
            into = get_args(into)[0]
        else:
            into = next(field.type for field in msgspec.structs.fields(into) if field.encode_name == part)
    return get_args(_bare(into))


def _bare(into: Any) -> Any:
    """A type without its bounds."""
    while get_origin(into) is Annotated:
        into = get_args(into)[0]
    return into


def _value_at(content: object, key: str) -> object:
    for part in _PART.findall(key):
        if isinstance(content, list) and part[1:-1].isdecimal() and int(part[1:-1]) < len(content):
            content = content[int(part[1:-1])]
        elif isinstance(content, dict) and part in content:
            content = content[part]
        else:
            return None
    return content if isinstance(content, str | int | float | bool) else None


def _shown(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= MAX_VALUE_CHARACTERS else f"{shown[:MAX_VALUE_CHARACTERS]}…"

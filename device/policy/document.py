"""A TOML document into a typed, bounded object, with messages that a person can act on. PURE.

Used for policies and for the configuration. Unknown keys are errors; a message has the key, the value and the limit.
"""

import json
import re
import tomllib
from typing import TypeVar

import msgspec

from device.policy.limits import in_our_words, nearest, steps, type_at, wanted

_T = TypeVar("_T")
_PLACE = re.compile(r"^(?P<limit>.*) - at (?P<name>`key` in )?`\$(?P<place>[^`]*)`$", re.DOTALL)
_UNKNOWN = re.compile(r"^Object contains unknown field `(?P<key>.*)`$", re.DOTALL)
_ABSENT = re.compile(r"^Object missing required field `(?P<key>.*)`$")
MAX_DOCUMENT_BYTES = 256 * 1024
MAX_LINE_BYTES = 2000
"""A dotted key of n parts costs tomllib n² steps (measured: 53 s for 50 000), and Python writes no number of thousands of
digits into a message: both fit on one line only."""
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_SEE = "see the documentation for the keys"
_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
"""Byte order marks: of UTF-8 and UTF-16."""
_SAVE = "save it as UTF-8 without a BOM"
_WANTED = ("one of: ", "more than ", "another number than ")
"""How a limit begins that is what the value must be."""
MAX_VALUE_CHARACTERS = 80
"""As much of a value as a message repeats."""


class DocumentError(ValueError):
    """What is wrong: the key ("": the document as a whole), its value as written (or None), and what was wanted."""

    def __init__(self, key: str, value: object, limit: str) -> None:
        said = "" if value is None else f" is {_shown(value)}"
        if key and limit.startswith(_WANTED):
            limit = f"must be {limit}"
        super().__init__(f"{key}{said}: {limit}" if key else limit)
        self.key = key


def parse_document(document: bytes, into: type[_T]) -> _T:
    if len(document) > MAX_DOCUMENT_BYTES:
        raise DocumentError("", None, f"more than {MAX_DOCUMENT_BYTES} bytes; make it shorter")
    text = _decoded(document)
    for n, line in enumerate(document.split(b"\n"), 1):
        if len(line) > MAX_LINE_BYTES:
            raise DocumentError(f"line {n}", None, f"it has more than {MAX_LINE_BYTES} bytes; break it into several")
    try:
        content = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as failure:
        raise DocumentError("", None, f"not TOML: {failure}") from failure
    try:
        return msgspec.convert(content, into)
    except msgspec.ValidationError as failure:
        raise _explained(str(failure), content, into) from failure


def _decoded(document: bytes) -> str:
    if document.startswith(_MARKS):
        raise DocumentError("", None, f"not TOML: it begins with a byte order mark; {_SAVE}")
    try:
        text = document.decode("utf-8")
    except UnicodeDecodeError as failure:
        line = document.count(b"\n", 0, failure.start) + 1
        raise DocumentError("", None, f"not TOML: line {line} is not UTF-8; {_SAVE}") from failure
    if "\0" in text:
        raise DocumentError("", None, f"not TOML: it has zero bytes, as UTF-16 has; {_SAVE}")
    return text


def _explained(said: str, content: dict[str, object], into: type) -> DocumentError:
    match = _PLACE.match(said)
    limit, place = (match["limit"], match["place"].lstrip(".")) if match else (said, "")
    named = bool(match and match["name"])
    key = _named(place + "[...]" * named, said, content, into)
    if unknown := _UNKNOWN.match(limit):
        meant = nearest(unknown["key"], into, place)
        guess = f" (did you mean {meant}?)" if meant else ""
        return DocumentError(
            ".".join(filter(None, (key, _quoted(unknown["key"])))), None, f"no such key{guess}; {_SEE}"
        )
    if absent := _ABSENT.match(limit):
        return DocumentError(".".join(filter(None, (key, absent["key"]))), None, "missing; it must be given")
    value = _value_at(content, key)
    try:
        return DocumentError(key, value, f"must be {wanted(type_at(into, place, name=named), value)}")
    except (TypeError, IndexError, StopIteration):  # a kind of type that no document has had so far
        return DocumentError(key, value, in_our_words(limit))


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


def _value_at(content: object, key: str) -> object:
    for part in steps(key):
        if isinstance(content, list) and part[1:-1].isdecimal() and int(part[1:-1]) < len(content):
            content = content[int(part[1:-1])]
        elif isinstance(content, dict) and part in content:
            content = content[part]
        else:
            return None
    return content if isinstance(content, str | int | float | bool) else None


def _shown(value: object) -> str:
    shown = str(value).lower() if isinstance(value, bool) else repr(value)
    return shown if len(shown) <= MAX_VALUE_CHARACTERS else f"{shown[:MAX_VALUE_CHARACTERS]}…"

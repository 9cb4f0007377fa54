"""What a key may be, in words, from its type: both ends of a range, and no regular expression. PURE."""

import difflib
import re
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec

_STEP = re.compile(r"\[(?:\.\.\.|[0-9]+)\]|[^.\[]+")
_WORD = "a word of a–z, 0–9 and -, at most {} long, that begins with a letter or a digit"
_BUCKET = r"(:[0-9]{1,5})?/[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"
END_POINT = rf"^(s3\+https://[a-z0-9.-]{{1,200}}{_BUCKET}|s3\+http://(localhost|127\.0\.0\.1){_BUCKET}|folder:/[!-~]{{1,200}})\Z"
PATTERNS = {
    r"^[a-z0-9][a-z0-9-]{0,62}\Z": _WORD.format(63),
    r"^([a-z0-9][a-z0-9-]{0,62})?\Z": f'{_WORD.format(63)}, or ""',
    r"^[a-z0-9][a-z0-9-]{0,39}\Z": _WORD.format(40),
    r"^age1[0-9a-z]{50,70}\Z": "an age recipient: age1 and 50 to 70 of a–z and 0–9",
    "^age1[0-9a-z]{50,70}$": "an age recipient: age1 and 50 to 70 of a–z and 0–9",
    END_POINT: "an end point such as s3+https://host/bucket (s3+http:// for localhost only) or folder:/path",
    "^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$": (
        "a name of letters, digits, ., _ and -, at most 32 long, that begins with a letter or a digit"
    ),
    r"^[A-Za-z0-9_][A-Za-z0-9_:=,.-]{0,63}\Z": (
        "a sound card as ALSA names it, such as plughw:CARD=Device: at most 64 letters, digits and _ : = , . -"
    ),
    r"^([01][0-9]|2[0-3]):[0-5][0-9]\Z": "a time of day from 00:00 to 23:59",
    r"^(device:/|swtpm:)[^\s]{1,200}\Z": "a way to a TPM, such as device:/dev/tpmrm0",
    r"^0x01[89aA][0-9a-fA-F]{5}\Z": "an NV index in the owner's range: 0x01800000 to 0x01afffff",
}
"""Every pattern of a document's model, in words."""
_KINDS = {"int": "a whole number", "str": "a text", "bool": "true or false", "array": "a list", "object": "a table"}


def steps(place: str) -> list[str]:
    """The steps of a place: a key, `[...]` (an entry of a table with free names), or `[n]` (one of an array)."""
    return _STEP.findall(place)


def type_at(into: Any, place: str, *, name: bool = False) -> Any:
    """The type that the model has for a place; `name`: for the names of a table's entries there."""
    for part in steps(place):
        into = _bare(into)
        if part == "[...]":
            into = get_args(into)[1]
        elif part.startswith("["):
            into = get_args(into)[0]
        else:
            into = next(field.type for field in msgspec.structs.fields(into) if field.encode_name == part)
    return get_args(_bare(into))[0] if name else into


def wanted(kind: Any, value: object) -> str:
    """What a key of this type must be. `value`: what it is."""
    metas, bare = _parts(kind)
    if get_origin(bare) is Literal:
        return f"one of: {', '.join(map(str, get_args(bare)))}"
    if bare is bool:
        return "true or false"
    if bare is int:
        return _number(metas, whole=isinstance(value, int) and not isinstance(value, bool))
    if bare is str:
        return _text(metas)
    if get_origin(bare) is tuple:
        return f"a list{_counted(metas, '')}"
    return f"a table{_counted(metas, ' entries') if get_origin(bare) is dict else ''}"


def in_our_words(limit: str) -> str:
    """The validation library's own sentence, without its names for types."""
    return re.sub(r"`(\w+)`", lambda found: _KINDS.get(found[1], found[0]), limit).replace("Expected", "expected")


def nearest(key: str, into: Any, place: str) -> str:
    """The key that was meant, or ""."""
    try:
        known = [field.encode_name for field in msgspec.structs.fields(_bare(type_at(into, place)))]
    except (TypeError, IndexError, StopIteration):
        return ""
    return next(iter(difflib.get_close_matches(key[:100], known, 1, 0.7)), "")


def _number(metas: list[msgspec.Meta], *, whole: bool) -> str:
    least = max((meta.ge for meta in metas if meta.ge is not None), default=None)
    most = min((meta.le if meta.le is not None else meta.lt - 1 for meta in metas if _ends(meta)), default=None)  # type: ignore[operator]
    told = "" if least is None or most is None else f"{least} to {most}"
    multiple = "".join(f", a multiple of {meta.multiple_of}" for meta in metas if meta.multiple_of is not None)
    return (told if whole and told else f"a whole number{f' from {told}' if told else ''}") + multiple


def _ends(meta: msgspec.Meta) -> bool:
    return meta.le is not None or meta.lt is not None


def _text(metas: list[msgspec.Meta]) -> str:
    for meta in metas:
        if meta.pattern is not None:
            return PATTERNS.get(meta.pattern, f"a text that matches {meta.pattern}")
    return f"a text{_counted(metas, ' characters')}"


def _counted(metas: list[msgspec.Meta], what: str) -> str:
    least = next((meta.min_length for meta in metas if meta.min_length is not None), 0)
    most = next((meta.max_length for meta in metas if meta.max_length is not None), None)
    if most is None:
        return ""
    return f" of {least} to {most}{what}" if least else f" of at most {most}{what}"


def _bare(kind: Any) -> Any:
    return _parts(kind)[1]


def _parts(kind: Any) -> tuple[list[msgspec.Meta], Any]:
    """Bounds, and the type without them; of one that may be absent: the other."""
    metas: list[msgspec.Meta] = []
    while True:
        if get_origin(kind) is Annotated:
            kind, *more = get_args(kind)
            metas += [meta for meta in more if isinstance(meta, msgspec.Meta)]
        elif get_origin(kind) in (Union, UnionType):
            kind = next(each for each in get_args(kind) if each is not type(None))
        else:
            return metas, kind

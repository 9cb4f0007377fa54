"""The policy document: the first profile, and what each mistake in one is answered with."""

import re
import tomllib
from collections.abc import Iterator
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device import tables
from device.policy.document import MAX_DOCUMENT_BYTES, DocumentError, parse_document
from device.policy.limits import PATTERNS
from device.policy.model import Policy, Zone, parse_policy
from tests.documents import NAMES, KeyPath, at, changed, content, paths, text, toml, without

EXAMPLES = 300
DOCUMENT = text("first")
CONTENT = content("first")

modest = settings(max_examples=EXAMPLES, derandomize=True, deadline=None, database=None)


def edited(old: str, new: str) -> bytes:
    assert DOCUMENT.count(old) == 1
    return DOCUMENT.replace(old, new).encode()


def error(document: bytes) -> str:
    with pytest.raises(DocumentError) as raised:
        parse_policy(document)
    return str(raised.value)


def with_value(path: KeyPath, value: object) -> bytes:
    return toml(changed(CONTENT, path, value))


def test_the_first_profile_states_the_defaults() -> None:
    policy = parse_policy(DOCUMENT.encode())
    activation, gestures = policy.activation, policy.gestures
    assert (policy.id, policy.version, activation.enabled, activation.initial_zone) == ("first", 1, True, "street")
    assert (activation.default_category, activation.override_category) == ("officer-discretion", "imminent-threat")
    assert (gestures.double_press_ms, gestures.stop_hold_ms) == (500, 3000)
    assert (gestures.emergency_hold_ms, gestures.mute_hold_ms, gestures.count_gap_ms) == (1000, 3000, 1500)
    assert (policy.pre_event.length_s, policy.stop.confirm_s, policy.post_event.length_s) == (30, 5, 10)
    assert (policy.stop.reason_window_s, policy.mute.limit_s, policy.reminder.every_s) == (10, 600, 120)
    assert (policy.mute.allowed, policy.pause.allowed, policy.stealth.allowed) == (True, True, False)
    assert {name: (zone.start, zone.pre_event, zone.override) for name, zone in policy.zones.items()} == {
        "street": ("allow", "video", True),
        "school": ("allow", "video", True),
        "private": ("deny", "off", True),
    }


@pytest.mark.parametrize("name", NAMES)
def test_every_table_of_a_profile_carries_its_source(name: str) -> None:
    document = content(name)
    tables = [path for path in paths(document) if isinstance(at(document, path), dict)]
    clauses = [path for path in tables if path not in (("categories",), ("reasons",), ("zones",))]
    assert len(clauses) > 40
    assert [path for path in clauses if not at(document, path).get("source")] == []


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (edited("version = 1", "version = 1\ncolour = 3"), "colour: no such key; see the documentation for the keys"),
        (
            edited("confirm_s = 5", "confirm_s = 5\nconfrm_s = 5"),
            "stop.confrm_s: no such key (did you mean confirm_s?); see the documentation for the keys",
        ),
        (
            edited('start = "deny"', 'start = "deny"\nstrat = 1'),
            "zones.private.strat: no such key (did you mean start?); see the documentation for the keys",
        ),
        (toml({**CONTENT, "": 1}), '"": no such key; see the documentation for the keys'),
        (
            edited("confirm_s = 5", 'confirm_s = 5\n"a.b\\u001b" = 1'),
            'stop."a.b\\u001b": no such key; see the documentation for the keys',
        ),
        (
            edited("[zones.private]", '[zones."a.b"]'),
            'zones."a.b": must be a word of a–z, 0–9 and -, at most 63 long, that begins with a letter or a digit',
        ),
        (edited("confirm_s = 5", "confirm_s = 1"), "stop.confirm_s is 1: must be 2 to 30"),
        (edited("confirm_s = 5", "confirm_s = 31"), "stop.confirm_s is 31: must be 2 to 30"),
        (edited("confirm_s = 5", 'confirm_s = "5"'), "stop.confirm_s is '5': must be a whole number from 2 to 30"),
        (edited("confirm_s = 5", "confirm_s = 5.0"), "stop.confirm_s is 5.0: must be a whole number from 2 to 30"),
        (edited("confirm_s = 5", "confirm_s = true"), "stop.confirm_s is true: must be a whole number from 2 to 30"),
        (edited("confirm_s = 5", "confirm_s = 2026-01-01"), "stop.confirm_s: must be a whole number from 2 to 30"),
        (edited("[stop]", "[[stop]]"), "stop: must be a table"),
        (edited("version = 1", "version = 0"), "version is 0: must be 1 to 2147483647"),
        (
            edited('start = "deny"', 'start = "maybe"'),
            "zones.private.start is 'maybe': must be one of: allow, deny",
        ),
        (
            edited('pre_event = "off"', 'pre_event = "sound"'),
            "zones.private.pre_event is 'sound': must be one of: off, video, video+audio",
        ),
        (
            with_value(("categories", "pursuit", "on_trigger"), "stop"),
            "categories.pursuit.on_trigger is 'stop': must be one of: start, prompt, ignore",
        ),
        (
            with_value(("categories", "pursuit", "source"), ""),
            "categories.pursuit.source is '': must be a text of 1 to 600 characters",
        ),
        (
            toml(without(CONTENT, ("categories", "pursuit", "source"))),
            "categories.pursuit.source: missing; it must be given",
        ),
        (with_value(("reasons", "privacy", "presses"), 10), "reasons.privacy.presses is 10: must be 1 to 9"),
        (
            with_value(("reasons", "privacy", "presses"), 1),
            "reasons.privacy.presses is 1: must be another number than reasons.encounter-concluded has",
        ),
        (
            with_value(("conflicts",), [{"between": "a", "took": "b", "why": "c", "source": ""}]),
            "conflicts[0].source is '': must be a text of 1 to 600 characters",
        ),
        (
            with_value(("conflicts",), [{"between": "a", "took": "b", "source": "d"}]),
            "conflicts[0].why: missing; it must be given",
        ),
        (with_value(("not_opened", 1), 7), "not_opened[1] is 7: must be a text of 1 to 200 characters"),
        (
            with_value(("forbidden", "enhancements", 1), "x-ray"),
            "forbidden.enhancements[1] is 'x-ray': must be one of: face-recognition, biometric-identification, night-vision, ",
        ),
        (
            with_value(("zones", "school", "allowed"), ["Arrest"]),
            "zones.school.allowed[0] is 'Arrest': must be a word of a–z, 0–9 and -, at most 63 long, that begins with a letter or a digit",
        ),
        (
            with_value(("zones", "school", "denied"), ["tag"]),
            "zones.school.denied is 'tag': must be one of: vehicle-stop, ",
        ),
        (
            toml(
                changed(
                    changed(CONTENT, ("zones", "school", "allowed"), ["arrest"]),
                    ("zones", "school", "denied"),
                    ["arrest"],
                )
            ),
            "zones.school.denied is 'arrest': not in allowed too; take it out of one",
        ),
        (
            with_value(("zones", "school", "category"), "tag"),
            "zones.school.category is 'tag': must be one of: vehicle-stop, ",
        ),
        (
            with_value(("categories", "identify-people"), CONTENT["categories"]["arrest"]),
            "categories.identify-people: no category may be for identifying people (R22); take it out",
        ),
        (
            with_value(("recipients", "footage"), ["age1"]),
            "recipients.footage[0] is 'age1': must be an age recipient: age1 and 50 to 70 of a–z and 0–9",
        ),
        (
            with_value(("disclosure", "end_points"), ["http://agency.example"]),
            "disclosure.end_points[0] is 'http://agency.example': must be an end point such as s3+https://host/bucket ",
        ),
        (
            edited("[zones.private]", "[zones.Private]"),
            "zones.Private: must be a word of a–z, 0–9 and -, at most 63 long, that begins with a letter or a digit",
        ),
        (edited('source = "field failure 4', '# "'), "post_event.source: missing; it must be given"),
        (edited('source = "R18: ', '# "'), "zones.private.source: missing; it must be given"),
        (
            edited('source = "R2: ', 'source = ""  # '),
            "zones.street.source is '': must be a text of 1 to 600 characters",
        ),
        (toml(without(CONTENT, ("mute",))), "mute: missing; it must be given"),
        (b"", "id: missing; it must be given"),
        (
            edited('initial_zone = "street"', 'initial_zone = "x"'),
            "activation.initial_zone is 'x': must be one of: street, school, private",
        ),
        (
            edited("double_press_ms = 500", "double_press_ms = 1000"),
            "gestures.emergency_hold_ms is 1000: must be more than gestures.double_press_ms (1000)",
        ),
        (
            edited("confirm_s = 5", "confirm_s = 0x" + "f" * 1900),
            f"stop.confirm_s is {str(16**1900 - 1)[:80]}…: must be 2 to 30",
        ),
        (
            edited("confirm_s = 5", f'confirm_s = "{"x" * 1900}"'),
            f"stop.confirm_s is '{'x' * 79}…: must be a whole number from 2 to 30",
        ),
        (
            b"\xef\xbb\xbf" + DOCUMENT.encode(),
            "not TOML: it begins with a byte order mark; save it as UTF-8 without a BOM",
        ),
        (DOCUMENT.encode("utf-16"), "not TOML: it begins with a byte order mark; save it as UTF-8 without a BOM"),
        (DOCUMENT.encode("utf-16-le"), "not TOML: it has zero bytes, as UTF-16 has; save it as UTF-8 without a BOM"),
        (b"# 1\n# \xe9", "not TOML: line 2 is not UTF-8; save it as UTF-8 without a BOM"),
        (b"= =", "not TOML: Invalid statement (at line 1, column 1)"),
        (b"#" * (MAX_DOCUMENT_BYTES + 1), "more than 262144 bytes; make it shorter"),
        (b"a = " + b"[\n" * 60_000 + b"]\n" * 60_000, "not TOML: "),
        (b"a = " + b"{a=" * 490 + b"1" + b"}" * 490, "not TOML: "),
        (b"a" + b".a" * 990 + b" = 1", "a: no such key; see the documentation for the keys"),
        (b"id = 1\na" + b".a" * 1000 + b" = 1", "line 2: it has more than 2000 bytes; break it into several"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_a_mistake_is_answered_with_key_value_and_limit(document: bytes, said: str) -> None:
    assert error(document)[: len(said)] == said


@pytest.mark.parametrize(
    ("table", "least", "most"), [("zones", "1 to ", 32), ("categories", "1 to ", 64), ("reasons", "at most ", 9)]
)
def test_no_more_entries_than_a_table_may_have(table: str, least: str, most: int) -> None:
    entries = CONTENT[table]
    entry = next(iter(entries.values()))
    more = {**entries, **{f"x{n}": entry for n in range(most + 1 - len(entries))}}
    assert error(with_value((table,), more)) == f"{table}: must be a table of {least}{most} entries"


def annotations(kind: Any, seen: set[Any]) -> Iterator[Any]:
    """Every bound in a model, with what it is of."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        if kind not in seen:
            seen.add(kind)
            for field in msgspec.structs.fields(kind):
                yield from annotations(field.type, seen)
    else:
        yield kind
        for part in get_args(kind):
            yield from annotations(part, seen)


@pytest.mark.parametrize("model", [Policy, tables.Document])
def test_every_pattern_of_a_model_is_told_in_words(model: type) -> None:
    found = {kind.pattern for kind in annotations(model, set()) if isinstance(kind, msgspec.Meta) and kind.pattern}
    assert len(found) > 1
    assert found <= set(PATTERNS)


@pytest.mark.parametrize("path", [p for p in paths(CONTENT) if p[0] != "categories" or "pursuit" in p], ids=str)
def test_no_message_has_a_regex_or_a_name_of_the_library(path: KeyPath) -> None:
    wrong: list[Any] = [5.5, -1, 2**40, "", "A B", "x" * 700, True, [], {}, [5], ["A"], ["x"] * 80]
    for value in wrong:
        said = answered(with_value(path, value))
        assert isinstance(said, Policy) or not re.search(r"[`^\\]|expected|\b(array|object|str|int)\b", str(said)), said


def answered(document: bytes) -> Policy | DocumentError:
    """What a document gives; any other exception fails the test."""
    try:
        return parse_policy(document)
    except DocumentError as failure:
        return failure


@modest
@given(st.binary(max_size=300))
def test_any_bytes_give_a_document_error(document: bytes) -> None:
    assert isinstance(answered(document), DocumentError)


@modest
@given(st.integers(0, len(DOCUMENT)), st.integers(0, 40), st.text(max_size=30))
def test_a_profile_with_any_part_replaced_gives_a_policy_or_a_document_error(at: int, gone: int, put: str) -> None:
    given_back = answered((DOCUMENT[:at] + put + DOCUMENT[at + gone :]).encode("utf-8", "surrogatepass"))
    assert isinstance(given_back, Policy | DocumentError)


LINES = DOCUMENT.splitlines()
VALUES = st.one_of(
    st.integers().map(str),
    st.sampled_from(["nan", "-inf", "1e400", "0.5", "true", "[]", "{}", "[[1]]", "1979-05-27T07:32:00Z", '""', "''"]),
    st.text(st.characters(codec="utf-8"), max_size=8).map(lambda text: f"'''{text}'''"),
)


@modest
@given(st.sampled_from([n for n, line in enumerate(LINES) if " = " in line]), VALUES)
def test_a_profile_with_any_value_replaced_gives_a_policy_or_a_document_error_about_that_key(n: int, put: str) -> None:
    key = LINES[n].split(" = ")[0]
    given_back = answered("\n".join([*LINES[:n], f"{key} = {put}", *LINES[n + 1 :]]).encode())
    assert isinstance(given_back, Policy) or key in str(given_back) or str(given_back).startswith("not TOML: ")


ANYTHING: st.SearchStrategy[Any] = st.one_of(
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False),
    st.text(max_size=6),
    st.sampled_from(["allow", "deny", "off", "start", "pause", "street", "arrest", "face-recognition"]),
    st.sampled_from([[], {}, [[]], [{}], ["arrest"], {"arrest": {}}, {"": 1}, [1, "a"]]),
)


@modest
@given(
    st.sampled_from(NAMES), st.integers(0, 2**16), st.sampled_from(["change", "take out", "add"]), ANYTHING, st.text()
)
def test_a_document_with_any_key_changed_gives_a_policy_or_an_error_that_names_a_key(
    name: str, which: int, what: str, value: object, key: str
) -> None:
    document = content(name)
    every = list(paths(document))
    path = every[which % len(every)]
    if what == "take out":
        document = without(document, path)
    elif what == "change" or isinstance(path[-1], int):
        document = changed(document, path, value)
    else:
        document = changed(document, (*path[:-1], key), value)
    given_back = answered(toml(document))
    assert isinstance(given_back, Policy) or given_back.key
    if isinstance(given_back, DocumentError):
        assert str(given_back).isprintable()


def test_a_name_that_looks_like_a_place_is_only_a_name() -> None:
    odd = f'{DOCUMENT}\n[zones."x[7]"]\n[[zones.\'"x\']]\n[zones."[...]"]\n'
    assert error(odd.encode()).startswith('zones."x[7]": ')


def test_of_two_faults_the_first_is_named_with_its_own_entry() -> None:
    document = changed(CONTENT, ("categories", "pursuit", "on_trigger"), "stop")
    said = error(toml(changed(document, ("zones", "street", "start"), "stop")))
    assert said == "categories.pursuit.on_trigger is 'stop': must be one of: start, prompt, ignore"


class Row(msgspec.Struct, forbid_unknown_fields=True):
    level: int


class Table(msgspec.Struct, forbid_unknown_fields=True):
    rows: dict[str, Row]


def test_the_entry_that_is_named_is_the_one_that_is_wrong() -> None:
    with pytest.raises(DocumentError, match=r"^rows\.b\.level is 'x': must be a whole number$"):
        parse_document(b'[rows.a]\nlevel = 1\n[rows.b]\nlevel = "x"\n', Table)


def test_a_document_written_by_the_tests_reads_back() -> None:
    for name in NAMES:
        assert tomllib.loads(toml(content(name)).decode()) == content(name)


def test_a_policy_is_frozen() -> None:
    policy = parse_policy(DOCUMENT.encode())
    assert isinstance(policy.zones["street"], Zone)
    with pytest.raises(AttributeError):
        policy.version = 2  # type: ignore[misc]

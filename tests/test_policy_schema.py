"""The JSON Schema of the policy: an outside validator and the parser refuse the same."""

import json
from collections.abc import Callable
from typing import Any

import fastjsonschema
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device.policy.model import Policy
from device.policy.schema import policy_schema
from tests.documents import NAMES, KeyPath, at, changed, content, paths, without

VALIDATE: Callable[[Any], Any] = fastjsonschema.compile(policy_schema())
DOCUMENT = content("aclu-model")
KEYS = list(paths(DOCUMENT))
FREE_NAMES = ("categories", "reasons", "zones")


def parser_takes(document: Any) -> bool:
    try:
        msgspec.convert(document, Policy)
    except msgspec.ValidationError:
        return False
    return True


def validator_takes(document: Any) -> bool:
    try:
        VALIDATE(document)
    except fastjsonschema.JsonSchemaValueException:
        return False
    return True


@pytest.mark.parametrize("name", NAMES)
def test_every_profile_is_valid_by_its_schema(name: str) -> None:
    VALIDATE(content(name))


def faults(path: KeyPath) -> list[Any]:
    """Documents with one fault at one key."""
    value = at(DOCUMENT, path)
    wrong: list[Any] = [5.5]
    if isinstance(value, int):
        wrong += ["x", -1, 2**40] if not isinstance(value, bool) else ["x", 1]
    elif isinstance(value, str):
        wrong += [True, 7, "x" * 601] + ([""] if value and path[-1] not in ("category", "override_category") else [])
    elif isinstance(value, list):
        wrong += ["x", {}, [5], [""], ["x"] * 65]
    else:
        wrong += ["x", [], {**value, "no-such-key": {"a": 1}}]
    return [changed(DOCUMENT, path, value) for value in wrong]


@pytest.mark.parametrize("path", KEYS, ids=str)
def test_a_fault_in_any_one_key_is_refused_by_both(path: KeyPath) -> None:
    for document in faults(path):
        assert not parser_takes(document)
        assert not validator_takes(document)
    if not isinstance(path[-1], int) and not (path[0] in FREE_NAMES and len(path) == 2):
        assert not parser_takes(without(DOCUMENT, path))
        assert not validator_takes(without(DOCUMENT, path))


@pytest.mark.parametrize("table", FREE_NAMES)
@pytest.mark.parametrize("name", ["", "A", "a b", "é", "a\n", "-a", "x" * 64])
def test_a_name_that_is_no_word_is_refused_by_both(table: str, name: str) -> None:
    document = changed(DOCUMENT, (table, name), next(iter(DOCUMENT[table].values())))
    assert not parser_takes(document)
    assert not validator_takes(document)


@settings(max_examples=300, derandomize=True, deadline=None, database=None)
@given(
    st.sampled_from(KEYS),
    st.booleans()
    | st.integers(-1, 10_000)
    | st.text(max_size=8)
    | st.sampled_from(["allow", "off", "start", [], ["x"]]),
)
def test_both_agree_on_any_value_at_any_key(path: KeyPath, value: Any) -> None:
    document = changed(DOCUMENT, path, value)
    assert parser_takes(document) == validator_takes(document)


def test_the_schema_is_plain_json_that_every_editor_understands() -> None:
    schema = policy_schema()
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    text = json.dumps(schema)
    assert r"\\Z" not in text, "JSON Schema's patterns know no \\Z"
    assert "\\n" not in text
    assert schema["$defs"]["Zone"]["properties"]["start"] == {"enum": ["allow", "deny"]}
    assert schema["$defs"]["Zone"]["description"].startswith("What a place allows. ")

"""The policy document: the first profile, and what each mistake in one is answered with."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import device.policy
from device.policy.document import MAX_DOCUMENT_BYTES, DocumentError
from device.policy.model import Policy, Zone, parse_policy

EXAMPLES = 300
DOCUMENT = (Path(device.policy.__file__).parent / "profiles/first.toml").read_text("utf-8")

modest = settings(max_examples=EXAMPLES, derandomize=True, deadline=None, database=None)


def edited(old: str, new: str) -> bytes:
    assert DOCUMENT.count(old) == 1
    return DOCUMENT.replace(old, new).encode()


def error(document: bytes) -> str:
    with pytest.raises(DocumentError) as raised:
        parse_policy(document)
    return str(raised.value)


def test_the_first_profile_states_the_defaults() -> None:
    policy = parse_policy(DOCUMENT.encode())
    assert (policy.id, policy.version, policy.initial_zone) == ("first", 1, "street")
    gestures = policy.gestures
    assert (gestures.double_press_ms, gestures.stop_hold_ms) == (500, 3000)
    assert (gestures.emergency_hold_ms, gestures.mute_hold_ms) == (1000, 3000)
    assert (policy.pre_event.length_s, policy.stop.confirm_s, policy.post_event.length_s) == (30, 5, 10)
    assert (policy.reminder.every_s, policy.mute.allowed, policy.pause.allowed) == (120, True, True)
    assert {name: (zone.start, zone.pre_event, zone.override) for name, zone in policy.zones.items()} == {
        "street": ("allow", "video", True),
        "school": ("allow", "video", True),
        "private": ("deny", "off", True),
    }
    assert policy.override_category == "imminent-threat"


def test_each_clause_of_the_first_profile_carries_its_source() -> None:
    tables = [value for value in tomllib.loads(DOCUMENT).values() if isinstance(value, dict)]
    zones = tables.pop()
    assert [bool(table["source"]) for table in (*tables, *zones.values())] == [True] * 10


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (edited("version = 1", "version = 1\ncolour = 3"), "colour: no such key; see the documentation for the keys"),
        (
            edited("confirm_s = 5", "confirm_s = 5\nconfrm_s = 5"),
            "stop.confrm_s: no such key; see the documentation for the keys",
        ),
        (
            edited('start = "deny"', 'start = "deny"\nstrat = 1'),
            "zones.private.strat: no such key; see the documentation for the keys",
        ),
        (edited("confirm_s = 5", "confirm_s = 1"), "stop.confirm_s is 1: expected `int` >= 2"),
        (edited("confirm_s = 5", "confirm_s = 31"), "stop.confirm_s is 31: expected `int` <= 30"),
        (edited("confirm_s = 5", 'confirm_s = "5"'), "stop.confirm_s is '5': expected `int`, got `str`"),
        (edited("confirm_s = 5", "confirm_s = 5.0"), "stop.confirm_s is 5.0: expected `int`, got `float`"),
        (edited("confirm_s = 5", "confirm_s = true"), "stop.confirm_s is True: expected `int`, got `bool`"),
        (edited("confirm_s = 5", "confirm_s = 2026-01-01"), "stop.confirm_s: expected `int`, got `date`"),
        (edited("[stop]", "[[stop]]"), "stop: expected `object`, got `array`"),
        (edited("version = 1", "version = 0"), "version is 0: expected `int` >= 1"),
        (
            edited('start = "deny"', 'start = "maybe"'),
            "zones.private.start is 'maybe': one of: allow, deny",
        ),
        (
            edited('pre_event = "off"', 'pre_event = "sound"'),
            "zones.private.pre_event is 'sound': one of: off, video, video+audio",
        ),
        (
            edited("[zones.private]", "[zones.Private]"),
            "zones.Private: expected `str` matching regex '^[a-z0-9][a-z0-9-]{0,62}\\\\Z'",
        ),
        (edited('source = "field failure 4', '# "'), "post_event.source: missing; it must be given"),
        (edited('source = "R18', '# "'), "zones.private.source: missing; it must be given"),
        (edited('source = "R2: ', 'source = ""  # '), "zones.street.source is '': expected `str` of length >= 1"),
        (DOCUMENT.split("[mute]")[0].encode(), "mute: missing; it must be given"),
        (b"", "id: missing; it must be given"),
        (
            edited('initial_zone = "street"', 'initial_zone = "x"'),
            "initial_zone is 'x': one of: street, school, private",
        ),
        (
            edited("double_press_ms = 500", "double_press_ms = 1000"),
            "gestures.emergency_hold_ms is 1000: more than gestures.double_press_ms (1000)",
        ),
        (
            edited("confirm_s = 5", "confirm_s = 0x" + "f" * 1900),
            f"stop.confirm_s is {str(16**1900 - 1)[:80]}…: expected `int` <= 30",
        ),
        (
            edited("confirm_s = 5", f'confirm_s = "{"x" * 1900}"'),
            f"stop.confirm_s is '{'x' * 79}…: expected `int`, got `str`",
        ),
        (b"\xff\xfe", "not TOML: 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"),
        (b"= =", "not TOML: Invalid statement (at line 1, column 1)"),
        (b"#" * (MAX_DOCUMENT_BYTES + 1), "262145 bytes; the limit is 262144"),
        (b"a = " + b"[\n" * 60_000 + b"]\n" * 60_000, "not TOML: "),
        (b"a = " + b"{a=" * 490 + b"1" + b"}" * 490, "not TOML: "),
        (b"a" + b".a" * 990 + b" = 1", "a: no such key; see the documentation for the keys"),
        (b"id = 1\na" + b".a" * 1000 + b" = 1", "line 2: 2005 bytes; the limit is 2000"),
    ],
    ids=lambda value: value[:24] if isinstance(value, str) else "",
)
def test_a_mistake_is_answered_with_key_value_and_limit(document: bytes, said: str) -> None:
    assert error(document)[: len(said)] == said


def test_no_more_than_32_zones() -> None:
    zone = 'start = "allow"\npre_event = "off"\noverride = true\nsource = "x"\n'
    more = "".join(f"\n[zones.z{n}]\n{zone}" for n in range(30))
    assert error((DOCUMENT + more).encode()) == "zones: expected `object` of length <= 32"


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


def test_a_policy_is_frozen() -> None:
    policy = parse_policy(DOCUMENT.encode())
    assert isinstance(policy.zones["street"], Zone)
    with pytest.raises(AttributeError):
        policy.version = 2  # type: ignore[misc]

"""docs/threat-model.md is whole: everyone is on it, every line has one of the four answers, and a test that exists."""

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "threat-model.md").read_text("utf-8")
ANSWERS = {"prevented", "seen", "seen from outside", "not covered"}
PEOPLE = [
    "The wearer",
    "A thief, or a finder, with the card or the camera",
    "The custodian, and anyone else who holds the card or a copy",
    "Who exports, and who gets an export",
    "Who defends, and who accuses",
    "The maker, and who can change the software",
    "Someone with the device and root",
    "Whoever has a key",
    "The store, and the agency that runs it",
    "Someone on the network",
]
STORIES = [
    "A whole card is swapped for an older copy.",
    "A device's key is stolen.",
    "The clock is set back before a start.",
    "The agency's key is lost.",
    "Footage of one device is replayed as another's.",
]


def _rows() -> list[list[str]]:
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in PAGE.splitlines() if line.startswith("| ")]
    return [row for row in rows if row[0] != "what"]


@cache
def _tests_of(file: str) -> set[str]:
    tree = ast.parse((ROOT / file).read_text("utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_everyone_and_every_story_is_told() -> None:
    assert re.findall(r"^## (.*)$", PAGE, re.MULTILINE) == [*PEOPLE, "Five stories"]
    assert re.findall(r"^\*\*([^*]+)\*\*", PAGE.split("## Five stories")[1], re.MULTILINE) == STORIES


def test_every_line_has_an_answer_and_says_how() -> None:
    rows = _rows()
    assert len(rows) >= 65
    assert {row[1] for row in rows} == ANSWERS
    assert [row[0] for row in rows if len(row) != 4 or not row[2]] == []


def test_every_line_that_is_covered_has_a_test_that_exists() -> None:
    for what, answer, _, tests in _rows():
        named = [test.strip() for test in tests.split(",") if test.strip()]
        assert bool(named) == (answer != "not covered"), what
        for test in named:
            file, _, name = test.partition("::")
            assert name in _tests_of(file), f"{what}: {test}"

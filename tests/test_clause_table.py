"""docs/clauses.md is whole: every clause has a row, every row a place that exists and a test that exists."""

import ast
import re
from functools import cache
from pathlib import Path

from tests.documents import content

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "clauses.md").read_text("utf-8")
CLAUSES = [f"G{n}" for n in range(1, 7)] + [f"A{n}" for n in range(1, 5)] + [f"R{n}" for n in range(1, 30)]
_ROW = re.compile(r"^\| ([GAR][0-9]+|[0-9] [^|]+) \|(.*)\|$", re.MULTILINE)


def _rows() -> dict[str, list[str]]:
    return {match[1]: [cell.strip() for cell in match[2].split("|")] for match in _ROW.finditer(PAGE)}


@cache
def _tests_of(file: str) -> set[str]:
    tree = ast.parse((ROOT / file).read_text("utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def _is_key(key: str) -> bool:
    """`table.key`, or `table.*.key` for tables of named entries."""
    table, *rest = key.split(".")
    found = content("first").get(table)
    if rest[0] == "*":
        return isinstance(found, dict) and all(rest[1] in entry for entry in found.values() if isinstance(entry, dict))
    return isinstance(found, dict) and rest[0] in found


def test_every_clause_has_one_row() -> None:
    assert [name for name in _rows() if name in CLAUSES] == CLAUSES
    assert len(_ROW.findall(PAGE)) == len(_rows()), "no clause twice"


def test_every_place_exists() -> None:
    for clause, cells in _rows().items():
        if clause not in CLAUSES:
            continue
        for place in (place.strip() for place in cells[1].split(",")):
            known = _is_key(place.strip("`")) if place.startswith("`") else (ROOT / place).is_file()
            assert known, f"{clause}: {place}"


def test_every_row_has_a_test_that_exists() -> None:
    for clause, cells in _rows().items():
        tests = [test.strip() for test in cells[-1].split(",")]
        for test in tests:
            file, _, name = test.partition("::")
            assert name in _tests_of(file), f"{clause}: {test}"

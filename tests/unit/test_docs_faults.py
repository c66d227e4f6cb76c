"""docs/faults.md names a test for each fault, and every one of these tests is there."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TABLE = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")
COLUMNS = 4


def rows() -> list[list[str]]:
    found = []
    for block in TABLE.split("\n\n"):
        head, *lines = block.strip().splitlines()
        if head.startswith("| Fault |"):
            found += [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]
    return found


def test_there_are_enough_and_each_is_complete_and_different() -> None:
    assert len(rows()) >= 60
    assert all(len(row) == COLUMNS and all(row) for row in rows())
    assert len({row[0] for row in rows()}) == len(rows())


@pytest.mark.parametrize("row", rows(), ids=lambda row: str(row[0]))
def test_the_test_of_each_is_there(row: list[str]) -> None:
    named = re.fullmatch(r"`(?P<file>[\w/]+\.py)::(?P<test>test_\w+)`", row[-1])
    assert named is not None, row[-1]
    tree = ast.parse((ROOT / "tests" / named["file"]).read_text(encoding="utf-8"))
    functions = ast.FunctionDef, ast.AsyncFunctionDef
    assert named["test"] in {node.name for node in tree.body if isinstance(node, functions)}

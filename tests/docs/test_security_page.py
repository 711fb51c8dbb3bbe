"""Every promise of SECURITY.md names a test that exists."""

from __future__ import annotations

import ast
import re

import pytest

from tests.conftest import REPOSITORY

PAGE = (REPOSITORY / "SECURITY.md").read_text(encoding="utf-8")
PROMISES = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith(("| from", "| ---"))]


def test_there_are_promises() -> None:
    assert len(PROMISES) >= 12


@pytest.mark.parametrize("line", PROMISES)
def test_a_promise_names_its_test(line: str) -> None:
    named = re.search(r"`(tests/[\w/]+\.py)::([\w:]+)` \|$", line)
    assert named, line
    body = ast.parse((REPOSITORY / named[1]).read_text(encoding="utf-8")).body
    for part in named[2].split("::"):
        found = [item for item in body if isinstance(item, ast.ClassDef | ast.FunctionDef) and item.name == part]
        assert found, f"{named[1]} has no {part}"
        body = found[0].body

"""The page of options lists every option of every built-in component with its meaning."""

from __future__ import annotations

import re

import pytest

from tests.conftest import REPOSITORY
from translate_core.components.catalogue import engine_keys_of, option_texts, summary_of
from translate_core.components.plugins import load_plugins
from translate_core.components.registry import KINDS, Registration

REGISTRY = load_plugins().registry
BUILT_IN = [REGISTRY.get(kind, name) for kind in KINDS for name in REGISTRY.names(kind)]
PAGE = (REPOSITORY / "docs" / "options.md").read_text(encoding="utf-8")


def section(heading: str) -> str:
    """The text below a heading, up to the next one."""
    return re.split(r"^#", PAGE.split(f"\n{heading}\n")[1], maxsplit=1, flags=re.MULTILINE)[0]


def test_the_enumeration_is_complete() -> None:
    assert len(BUILT_IN) >= 58
    assert sum(len(option_texts(item, REGISTRY)) for item in BUILT_IN) >= 150
    assert PAGE.count("\n### ") == len(BUILT_IN)


@pytest.mark.parametrize("item", BUILT_IN, ids=lambda item: f"{item.kind}-{item.name}")
def test_every_option_is_described(item: Registration) -> None:
    """Every option has a description in the section `Args:` of its docstring, and the page shows it."""
    assert summary_of(item), f"{item.kind} {item.name} has no docstring"
    missing = [text.path for text in option_texts(item, REGISTRY) if not text.meaning]
    assert missing == [], f"{item.kind} {item.name}: the section `Args:` does not describe {', '.join(missing)}"
    found = section(f"### {item.kind} `{item.name}`")
    assert found.strip().startswith(summary_of(item))
    for text in option_texts(item, REGISTRY):
        default = "required" if text.default is None else f"`{text.default}`"
        rows = [line for line in found.splitlines() if re.match(rf"\| `{re.escape(text.path)}`°? \| ", line)]
        assert len(rows) == 1, f"{text.path}: run `make docs`"
        assert rows[0].endswith(f" | {text.words} | {default} | {text.meaning} |".replace("\\|", "|")), rows[0]


@pytest.mark.parametrize("kind", KINDS)
def test_every_key_of_the_engine_is_described(kind: str) -> None:
    found = section(f"## {kind}")
    for name, key in engine_keys_of(kind, REGISTRY).items():
        assert f"| `{name}` | {key.words} | `{key.default}` | {key.meaning} |" in found

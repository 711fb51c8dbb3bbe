"""Code, messages, recipes and pages use the field's words: expressions that were replaced do not come back."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

FOLDERS = ("translate_core", "plugins", "docs", "examples", "recipes", "benchmarks", "tests")
SUFFIXES = {".py", ".pyi", ".md", ".yaml", ".toml", ".template", ".ipynb"}
FILES = sorted(
    path
    for path in [*REPOSITORY.glob("*.*"), *(found for name in FOLDERS for found in (REPOSITORY / name).rglob("*.*"))]
    if path.suffix in SUFFIXES and path != Path(__file__)
)

REPLACED = {
    r"\brehears": ("shape check", "losses are rehearsed without values"),
    r"\bgames?\b": ("objective, loss", "a term of the game"),
    r"\bplays? (for|in)\b": ("is defined for", "the side that it plays for"),
    r"\btwins?\b": ("pair, counterpart", "files of one name are twins"),
    r"\btruths?\b": ("target", "PSNR against the truth"),
    r"\bheaps?\b": ("set", "two heaps of images"),
    r"\bfor_pictures\b|\bpictured\b": ("evaluation mode", "networks that are pictured"),
    r"\btraining\.average\b|\baverage: 0": ("training.ema", "--set training.average=0.999"),
    r"\bseveral: (mean|sum)\b": ("reduction", "{type: lsgan, several: sum}"),
    r"\.judges\b|\bjudges = |[\"`]judges[\"`]": ("adversarial_pairs", "method.judges"),
    r"\bwir(e|es|ed|ing)\b": ("shape check", "the wiring of a run"),
    r"\b(told|hears?|heard|pays?|paid)\b|\btells? [a-z]": ("is reported, needs, is called", "a fault is told at once"),
    r"\bsays\b": ("states, reports, returns", "the message says why"),
    r"(?<!there )(?<!There )\bis no (?!longer\b|such\b|more\b|larger\b)": ("is not a", "w.pth is no state_dict"),
    r"\bwhat is no\b": ("everything except", "what is no number"),
    r"\bwhoever\b|\bwho (was|is|reads|wrote|asks)\b": ("the name of the thing", "who was started last"),
    r"\blooks? through\b": ("pretrained feature extractor", "a network that a loss looks through"),
    r"\basks? (for|of)\b": ("needs, requests", "a method asks for tensors"),
    r"\bknows\b": ("contains, depends on", "the engine knows no method"),
    r"\bdata sets?\b": ("dataset", "two data sets"),
    r"\bha(s|ve) no say\b": ("does not affect", "what only scores has no say"),
}
"""Pattern -> the words that replace the expression, and a text that it finds."""

EXCEPTIONS: dict[str, frozenset[str]] = {}
"""Pattern -> files that may contain the expression."""


def found(name: str, text: str) -> Iterator[str]:
    """Every expression in the text of a file that was replaced."""
    for number, line in enumerate(text.splitlines(), 1):
        for pattern, (instead, _) in REPLACED.items():
            match = re.search(pattern, line)
            if match and name not in EXCEPTIONS.get(pattern, ()):
                yield f"{name}:{number}: '{match[0]}' (instead: {instead}): {line.strip()}"


def test_the_enumeration_is_complete() -> None:
    assert len(FILES) >= 300
    assert {path.suffix for path in FILES} == SUFFIXES


def test_no_file_has_an_expression_that_was_replaced() -> None:
    texts = {path.relative_to(REPOSITORY).as_posix(): path.read_text(encoding="utf-8") for path in FILES}
    assert not [hit for name, text in texts.items() for hit in found(name, text)]


@pytest.mark.parametrize("sample", [sample for _, sample in REPLACED.values()])
def test_an_expression_that_was_replaced_is_found(sample: str) -> None:
    assert list(found("file.py", f"first line\n{sample}\n"))


@pytest.mark.parametrize("sample", ["there is no file", "it is no longer needed", "file.tell()", "a telling example"])
def test_other_expressions_are_not_found(sample: str) -> None:
    assert not list(found("file.py", sample))

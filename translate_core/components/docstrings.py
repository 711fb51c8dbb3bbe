"""Docstrings of components in parts: summary, text, and the entry of each argument."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

_SECTION = re.compile(r"(Args|Arguments|Parameters|Returns|Yields|Raises|Attributes|Examples?|Notes?):")
_ARGS = ("Args", "Arguments", "Parameters")
_ENTRY = re.compile(r"\*{0,2}(\w+)(?:\s*\([^)]*\))?:(?:\s+(.*))?")
_SENTENCE_END = re.compile(r"[.!?](?=\s+[A-Z`])")
_ABBREVIATION = re.compile(r"(?:\b(?:al|cf|vs|[Ff]ig|[Ee]q|[Ss]ec|[A-Z])|\be\.g|\bi\.e)\.$")


@dataclass(frozen=True)
class Documentation:
    """A docstring in parts.

    summary: the first sentence, in one line. text: everything but the `Args:` section.
    arguments: name -> its entry in one line, including entries of base classes.
    own: the names of the arguments with an entry in the component's own docstrings.
    """

    summary: str = ""
    text: str = ""
    arguments: Mapping[str, str] = field(default_factory=dict)
    own: frozenset[str] = frozenset()


def documentation_of(component: object) -> Documentation:
    """The documentation of a class or function. Entries of base classes fill in for missing ones.

    Arguments are described in an `Args:` section in the docstring of the class or of its constructor.
    """
    text, arguments = _split(_own_docstring(component))
    if not isinstance(component, type):
        return Documentation(first_sentence(text), text, arguments, frozenset(arguments))
    inherited: dict[str, str] = {}
    own: frozenset[str] = frozenset()
    for cls in component.__mro__:
        described = {
            **_split(_own_docstring(vars(cls).get("__init__")))[1],
            **_split(_own_docstring(cls))[1],
        }
        if cls is component:
            own = frozenset(described)
        inherited = {**described, **inherited}
    return Documentation(first_sentence(text), text, inherited, own)


def first_sentence(text: str) -> str:
    """The first sentence of a text in one line; the whole first paragraph if it has only one."""
    paragraph = " ".join(text.strip().split("\n\n")[0].split())
    for match in _SENTENCE_END.finditer(paragraph):
        sentence = paragraph[: match.end()]
        inside = sentence.count("(") > sentence.count(")")
        if not inside and not _ABBREVIATION.search(sentence):
            return sentence
    return paragraph


def _own_docstring(item: object) -> str:
    """The docstring of the item itself, never an inherited one; empty without one."""
    found = vars(item).get("__doc__") if isinstance(item, type) else getattr(item, "__doc__", None)
    return inspect.cleandoc(found) if isinstance(found, str) else ""


def _split(docstring: str) -> tuple[str, dict[str, str]]:
    """The text without its `Args:` section, and the entries of that section."""
    lines = docstring.split("\n")
    kept: list[str] = []
    arguments: dict[str, str] = {}
    index = 0
    while index < len(lines):
        match = _SECTION.fullmatch(lines[index].rstrip())
        if match is None or match[1] not in _ARGS:
            kept.append(lines[index])
            index += 1
            continue
        end = index + 1
        while end < len(lines) and (not lines[end].strip() or lines[end][0].isspace()):
            end += 1
        arguments.update(_entries(lines[index + 1 : end]))
        index = end
    return "\n".join(kept).strip(), arguments


def _entries(lines: list[str]) -> Iterator[tuple[str, str]]:
    """The entries of a section: a line of least indentation begins an entry, deeper lines continue it."""
    filled = [line for line in lines if line.strip()]
    margin = min((len(line) - len(line.lstrip()) for line in filled), default=0)
    name = ""
    words: list[str] = []
    for line in filled:
        match = _ENTRY.fullmatch(line.strip()) if len(line) - len(line.lstrip()) == margin else None
        if match is not None:
            if name:
                yield name, " ".join(words)
            name, words = match[1], [match[2]] if match[2] else []
        else:
            words.append(line.strip())
    if name:
        yield name, " ".join(words)

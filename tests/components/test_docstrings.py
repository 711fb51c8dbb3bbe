"""Docstrings in parts: summary, text, entries of arguments."""

from __future__ import annotations

import pytest

from translate_core.components.docstrings import documentation_of, first_sentence


class Base:
    """The base. A second sentence.

    Args:
        width: of the base
            and more: of it.
        depth: of the base.
    """

    def __init__(self, width: int, depth: int) -> None: ...


class Heir(Base):
    """Another one
    over two lines. And a second sentence.

    A text.

    Args:
        width (int): of the heir.

    Returns:
        nothing.
    """


class Bare(Base):
    pass


class InConstructor:
    def __init__(self, size: int) -> None:
        """Builds it.

        Arguments:
            size: in pixels.
        """


def function(a: int, b: int) -> None:
    """One line.

    Args:
        a:
            begins a line later.
        b: last
    Raises:
        ValueError: never.
    """


def test_a_class() -> None:
    read = documentation_of(Heir)
    assert read.summary == "Another one over two lines."
    assert read.text == "Another one\nover two lines. And a second sentence.\n\nA text.\n\nReturns:\n    nothing."
    assert read.arguments == {"width": "of the heir.", "depth": "of the base."}
    assert read.own == {"width"}


def test_a_class_without_a_docstring_inherits_entries_only() -> None:
    read = documentation_of(Bare)
    assert (read.summary, read.text, read.own) == ("", "", frozenset())
    assert read.arguments == {"width": "of the base and more: of it.", "depth": "of the base."}


def test_a_constructor() -> None:
    assert documentation_of(InConstructor).arguments == {"size": "in pixels."}
    assert documentation_of(InConstructor).own == {"size"}


def test_a_function() -> None:
    read = documentation_of(function)
    assert read.arguments == {"a": "begins a line later.", "b": "last"}
    assert read.text == "One line.\n\nRaises:\n    ValueError: never."


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("One. Two.", "One."),
        ("After Zhu et al. Another thing. End.", "After Zhu et al. Another thing."),
        ("A rate (e.g. 1e-4. Or less) of it. Two.", "A rate (e.g. 1e-4. Or less) of it."),
        ("No end", "No end"),
        ("A version 1.2 of it\nin two lines.\n\nAnother paragraph.", "A version 1.2 of it in two lines."),
        ("Is it? Yes.", "Is it?"),
        ("", ""),
    ],
)
def test_the_first_sentence(text: str, sentence: str) -> None:
    assert first_sentence(text) == sentence

"""Promises about the documentation of a component. They are advice: a plugin works without it."""

from __future__ import annotations

from collections.abc import Iterator

from translate_core.components.catalogue import option_texts
from translate_core.components.docstrings import documentation_of
from translate_core.components.registry import Registration
from translate_core.conformance.kit import Kit, named
from translate_core.conformance.promise import Broken, promise


class DocumentationSubject:
    """A component and the registry that it is listed in."""

    def __init__(self, kit: Kit, registration: Registration) -> None:
        self.kit = kit
        self.registration = registration


@promise(
    "has a docstring",
    "`translate-plugins list` and the completion of an editor show its first sentence",
    advice=True,
)
def has_a_docstring(subject: DocumentationSubject) -> None:
    """Its own, not that of a base class."""
    if not documentation_of(subject.registration.component).summary:
        raise Broken("it has no docstring")


@promise(
    "describes each option",
    "`translate-plugins show` and an editor with the schema show the entries of its section `Args:`",
    advice=True,
    applies=lambda subject: bool(subject.registration.options),
)
def describes_its_options(subject: DocumentationSubject) -> None:
    """An entry for each option and an option for each entry."""
    missing = [item.path for item in option_texts(subject.registration, subject.kit.registry) if not item.meaning]
    stale = list(_stale(subject.registration))
    if missing:
        raise Broken(f"the section `Args:` does not describe {named(missing)}")
    if stale:
        raise Broken(f"the section `Args:` describes {named(stale)}, which is not an option")


def _stale(registration: Registration) -> Iterator[str]:
    known = {*registration.options, *registration.supplied}
    yield from sorted(documentation_of(registration.component).own - known)


PROMISES = (has_a_docstring, describes_its_options)

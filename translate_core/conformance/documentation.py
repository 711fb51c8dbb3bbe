"""What a component should say about itself. Nothing fails for it, but people see less."""

from __future__ import annotations

from collections.abc import Iterator

from translate_core.components.catalogue import option_texts
from translate_core.components.docstrings import documentation_of
from translate_core.components.registry import KINDS, Registration
from translate_core.conformance.kit import Kit, named
from translate_core.conformance.promise import Broken, promise


class DocumentationSubject:
    """A component as people read about it."""

    def __init__(self, kit: Kit, registration: Registration) -> None:
        self.kit = kit
        self.registration = registration


@promise(
    "says in a sentence what it is",
    "`translate-plugins list`, and the choices that an editor offers, show the first sentence of its docstring",
    advice=True,
)
def says_what_it_is(subject: DocumentationSubject) -> None:
    """A docstring of its own."""
    if not documentation_of(subject.registration.component).summary:
        raise Broken("it has no docstring")


@promise(
    "says what each option means",
    "`translate-plugins show`, and an editor that knows the schema, show the entries of the section `Args:`",
    advice=True,
    applies=lambda subject: bool(subject.registration.options),
)
def describes_its_options(subject: DocumentationSubject) -> None:
    """No option without an entry, and no entry without an option."""
    missing = [item.path for item in option_texts(subject.registration, subject.kit.registry) if not item.meaning]
    stale = list(_stale(subject.registration))
    if missing:
        raise Broken(f"the section `Args:` has nothing on {named(missing)}")
    if stale:
        raise Broken(f"the section `Args:` describes {named(stale)}, and there is no such option")


def _stale(registration: Registration) -> Iterator[str]:
    known = {*registration.options, *KINDS[registration.kind].given}
    yield from sorted(documentation_of(registration.component).own - known)


PROMISES = (says_what_it_is, describes_its_options)

"""The texts of `translate-plugins list` and `show`: a row for each component, and a page for one."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence

from translate_core.components.catalogue import default_text, engine_keys_of, given_of, option_texts, summary_of
from translate_core.components.docstrings import documentation_of
from translate_core.components.registry import Registration, Registry
from translate_core.contracts.adversarial import AdversarialPair, adversarial_pair
from translate_core.contracts.given import given_of as given_names
from translate_core.contracts.method import Method
from translate_core.contracts.role import Role
from translate_core.contracts.update import updates_of
from translate_core.runtime import yaml12


def component_rows(registry: Registry, kinds: Sequence[str]) -> list[tuple[str, str, str, str]]:
    """A row for each component of these kinds: kind, name, plugin, and the first sentence of its docstring."""
    return [
        (kind, name, str(registry.get(kind, name).owner), _summary(registry.get(kind, name)))
        for kind in kinds
        for name in registry.names(kind)
    ]


def _summary(registration: Registration) -> str:
    mark = " (on by default)" if registration.default else ""
    return f"{summary_of(registration) or '–'}{mark}"


def component_lines(registration: Registration, registry: Registry, width: int) -> Iterator[str]:
    """The lines of the page: origin, docstring, options, engine keys, supplied arguments, an example.

    width: columns of a line, at most.
    """
    component = registration.component
    yield f"{registration.kind} {registration.name}"
    yield f"from {registration.owner}: {component.__module__}.{getattr(component, '__qualname__', '')}"
    text = documentation_of(component).text
    if text:
        yield ""
        yield from text.split("\n")
    yield from _keys(registration, registry, width)
    if isinstance(component, type) and issubclass(component, Method):
        yield from _tables(component, width)
    yield from _section("in a recipe")
    yield from textwrap.wrap(
        _example(registration, registry), width, initial_indent="  ", subsequent_indent="   ", break_on_hyphens=False
    )


def _keys(registration: Registration, registry: Registry, width: int) -> Iterator[str]:
    """Options, the engine's keys in the same block, and the arguments that the engine supplies."""
    options = option_texts(registration, registry)
    yield from _section("options" if options else "no options")
    for option in options:
        default = "required" if option.default is None else f"default {option.default}"
        yield from _entry(option.path, f"{option.words}; {default}", option.meaning, width)
    keys = engine_keys_of(registration.kind, registry)
    if keys:
        yield from _section("keys of the engine, in the same block")
        for name, key in keys.items():
            yield from _entry(name, f"{key.words}; default {key.default}", key.meaning, width)
    given = given_of(registration)
    if given:
        yield from _section("supplied by the engine, not set in a recipe")
        for name, meaning in given.items():
            yield from _entry(name, "", meaning, width)


def _section(title: str) -> Iterator[str]:
    yield ""
    yield title


def _entry(name: str, words: str, meaning: str, width: int) -> Iterator[str]:
    head = f"{name}: {words}" if words else name
    below = " " * 6
    yield from textwrap.wrap(head, width, initial_indent="  ", subsequent_indent=below, break_on_hyphens=False)
    yield from textwrap.wrap(meaning, width, initial_indent=below, subsequent_indent=below, break_on_hyphens=False)


def _tables(method: type[Method], width: int) -> Iterator[str]:
    """The networks, tensors and tables of a method, whose names recipes use."""
    yield from _section("networks")
    for role in method.roles:
        yield from _entry(role.name, f"{role.kind}{_about(role)}, trained with the {role.side}", "", width)
    yield from _section("tensors")
    names = (*(item.name for item in given_names(method.given)), *method.computed_names())
    yield from _entry(", ".join(names), "", "", width)
    yield from _table("pairs", {topic: dict(pairs) for topic, pairs in method.pairs.items()})
    yield from _table(
        "adversarial_pairs", {name: _pair(adversarial_pair(pair)) for name, pair in method.adversarial_pairs.items()}
    )
    updates = [update.name for update in updates_of(method.order)]
    for name, words in (("directions", list(method.directions)), ("order of updates", updates)):
        if words:
            yield from _section(name)
            yield f"  {', '.join(words)}"


def _about(role: Role) -> str:
    """What a network takes and returns, and what it needs besides."""
    images = " → ".join(" and ".join(domains) for domains in (role.inputs, role.outputs) if domains)
    on = f"on features of {role.tapped}" if role.tapped else images
    conditions = f"given {' and '.join(role.conditions)}" if role.conditions else ""
    about = ", ".join(part for part in (on, conditions) if part)
    needs = f", with {', '.join(role.methods)}" if role.methods else ""
    return f"{f' ({about})' if about else ''}{needs}"


def _pair(pair: AdversarialPair) -> list[object]:
    """The real and the fake tensor; with conditions a list of names for each."""
    if not pair.real_with and not pair.fake_with:
        return [pair.real, pair.fake]
    return [list(pair.names("real")), list(pair.names("fake"))]


def _table(name: str, table: Mapping[str, object]) -> Iterator[str]:
    if table:
        yield from _section(name)
        yield from (f"  {line}" for line in yaml12.dump(dict(table)).rstrip().split("\n"))


def _example(registration: Registration, registry: Registry) -> str:
    """The component's block with every option at its default; `…` stands for a required value."""
    keys = [f"type: {registration.name}"]
    for option in registration.options.values():
        keys.append(f"{option.name}: {'…' if option.required else default_text(option, registry)}")
    return f"{{{', '.join(keys)}}}"

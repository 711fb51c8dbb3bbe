"""What `translate-plugins list` and `show` print."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence

from translate_core.components.catalogue import default_text, engine_keys_of, given_of, option_texts, summary_of
from translate_core.components.docstrings import documentation_of
from translate_core.components.registry import Registration, Registry
from translate_core.contracts.method import Method
from translate_core.runtime import yaml12
from translate_core.runtime.console import print_rows, stdout, text_width

_WIDTH = 100
"""Columns of a page where there is no terminal, and at most."""


def print_list(registry: Registry, kinds: Sequence[str]) -> None:
    """A line for each component: kind, name, the plugin that it comes from, what it is.

    On a terminal long lines wrap inside their column; elsewhere a component is always one line.
    """
    rows = [
        (kind, name, str(registry.get(kind, name).owner), _line(registry.get(kind, name)))
        for kind in kinds
        for name in registry.names(kind)
    ]
    if not rows:
        stdout.print(f"no plugin registers any {', '.join(kinds)}", markup=False)
        return
    print_rows(("kind", "name", "plugin", ""), rows)


def _line(registration: Registration) -> str:
    mark = " (on by default)" if registration.default else ""
    return f"{summary_of(registration) or '–'}{mark}"


def print_component(registration: Registration, registry: Registry) -> None:
    """All about one component."""
    for line in component_lines(registration, registry, text_width(_WIDTH)):
        stdout.print(line, markup=False)


def component_lines(registration: Registration, registry: Registry, width: int) -> Iterator[str]:
    """The lines of that page: origin, docstring, options, the engine's keys, what is given."""
    component = registration.component
    yield f"{registration.kind} {registration.name}"
    yield f"from {registration.owner}: {component.__module__}.{getattr(component, '__qualname__', '')}"
    text = documentation_of(component).text
    if text:
        yield ""
        yield from text.split("\n")
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
        yield from _section("given by the engine, not set in a recipe")
        for name, meaning in given.items():
            yield from _entry(name, "", meaning, width)
    if isinstance(component, type) and issubclass(component, Method):
        yield from _tables(component, width)
    yield from _section("in a recipe")
    yield from textwrap.wrap(
        _example(registration, registry), width, initial_indent="  ", subsequent_indent="   ", break_on_hyphens=False
    )


def _section(title: str) -> Iterator[str]:
    yield ""
    yield title


def _entry(name: str, words: str, meaning: str, width: int) -> Iterator[str]:
    yield from textwrap.wrap(
        f"{name}: {words}" if words else name, width, initial_indent="  ", subsequent_indent="      ",
        break_on_hyphens=False,
    )  # fmt: skip
    yield from textwrap.wrap(meaning, width, initial_indent=" " * 6, subsequent_indent=" " * 6, break_on_hyphens=False)


def _tables(method: type[Method], width: int) -> Iterator[str]:
    """The networks and tensors of a method, whose names recipes use."""
    yield from _section("networks")
    for role in method.roles:
        about = f"{' and '.join(role.inputs)}{' → ' + ' and '.join(role.outputs) if role.outputs else ''}"
        needs = f", with {', '.join(role.methods)}" if role.methods else ""
        on = about if role.inputs else f"on features of {role.tapped}"
        yield from _entry(role.name, f"{role.kind} ({on}){needs}, trained with the {role.side}", "", width)
    yield from _section("tensors")
    yield from _entry(", ".join(method.tensor_names()), "", "", width)
    yield from _table("pairs", {topic: dict(pairs) for topic, pairs in method.pairs.items()})
    yield from _table("adversarial_pairs", {name: list(pair) for name, pair in method.adversarial_pairs.items()})
    for name, words in (("directions", method.directions), ("order of updates", method.order)):
        if words:
            yield from _section(name)
            yield f"  {', '.join(words)}"


def _table(name: str, table: Mapping[str, object]) -> Iterator[str]:
    if table:
        yield from _section(name)
        yield from (f"  {line}" for line in yaml12.dump(dict(table)).rstrip().split("\n"))


def _example(registration: Registration, registry: Registry) -> str:
    """The block with every option that has a plain default; what must be given stands as `…`."""
    keys = [f"type: {registration.name}"]
    for option in registration.options.values():
        keys.append(f"{option.name}: {'…' if option.required else default_text(option, registry)}")
    return f"{{{', '.join(keys)}}}"

"""Writes the generated pages of the documentation: `make docs`.

`docs/options.md` is generated entirely. `docs/contract.md` and `docs/from-python.md` are written by hand, except for
the parts between `<!-- generated: NAME -->` and `<!-- end -->`. The tests check that all are current.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

from torch import nn

import translate_core
from translate_core.components.catalogue import default_text, engine_keys_of, option_texts, summary_of
from translate_core.components.docstrings import documentation_of, first_sentence
from translate_core.components.plugins import load_plugins
from translate_core.components.registry import KINDS, RESERVED, Registration, Registry
from translate_core.components.signature import describe, options_of_group
from translate_core.contracts import hook as hookspecs
from translate_core.contracts.hook import Registrar
from translate_core.recipe.training import Training
from translate_core.runtime.installation import DISTRIBUTION

DOCS = Path(__file__).parent
_PART = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


# docs/contract.md and docs/from-python.md


def hook() -> str:
    """The one hook, with its signature."""
    function = hookspecs.register
    code = f"```python\ndef register{_signature(function)}\n```"
    return f"<!-- not run: a signature -->\n{code}\n\n{_paragraphs(function)}\n"


def kinds() -> str:
    """A table row for each kind."""
    rows = [
        "| kind | registered with | contract | supplied by the engine | keys of the engine | what it is |",
        "|---" * 6 + "|",
    ]
    for kind in KINDS.values():
        method = getattr(Registrar, kind.name)
        contract = "a function" if kind.contract is None else _link(kind.contract)
        given = ", ".join(f"`{name}`" for name in kind.given) or "–"
        keys = ", ".join(f"`{name}`" for name in RESERVED[kind.name])
        rows.append(
            f"| {kind.name} | `registry.{kind.name}{_signature(method, bound=True, annotations=False)}` | {contract} "
            f"| {given} | {keys} | {first_sentence(_doc(method))} |"
        )
    return "\n".join(rows) + "\n"


def contracts() -> str:
    """The members of each contract class, with their signatures."""
    parts = []
    for kind in KINDS.values():
        if kind.contract is None or kind.contract is nn.Module:
            continue
        parts += [
            f"### {kind.contract.__name__}\n",
            f"{first_sentence(_doc(kind.contract))}\n",
            *_members(kind.contract),
            "",
        ]
    for name in ("SetMetric", "TrainSplit", "TestSplit", "RunInfo", "Sample", "Result", "Role", "Direction", "Choice"):
        cls = getattr(translate_core, name)
        parts += [f"### {name}\n", f"{first_sentence(_doc(cls))}\n", *_members(cls), ""]
    return "\n".join(parts).strip() + "\n"


def names() -> str:
    """A line for every public name."""
    return "\n".join(f"- `{name}`: {first_sentence(_doc_of_public(name))}" for name in translate_core.__all__) + "\n"


def interface() -> str:
    """The functions and classes of the Python interface."""
    parts = [
        f"- `{name}{_signature(getattr(translate_core, name), returns=False)}`: {first_sentence(_doc_of_public(name))}"
        for name in ("load_recipe", "open_run", "create", "list_components")
    ]
    for name in ("Run", "Step", "EarlyEnd", "Translator"):
        cls = getattr(translate_core, name)
        members = [line for line in _members(cls) if not line.startswith("- `assembly")]  # not for users
        attributes = [
            f"- `{attribute}`: {text}"
            for attribute, text in _described(_doc(cls)).items()
            if not any(re.match(rf"- `{attribute}\b", line) for line in members)
        ]
        parts += ["", f"### {name}\n", f"{first_sentence(_doc(cls))}\n", *attributes, *members]
    return "\n".join(parts) + "\n"


PARTS: dict[str, Callable[[], str]] = {
    "hook": hook,
    "kinds": kinds,
    "contracts": contracts,
    "names": names,
    "interface": interface,
}


def with_parts(text: str) -> str:
    """The page with its generated parts replaced."""
    return _PART.sub(lambda match: f"{match[1]}{PARTS[match[2]]()}{match[3]}", text)


def _members(cls: type) -> Iterator[str]:
    """The public attributes and methods that a class defines itself or inherits from a base in the engine."""
    seen = set()
    for owner in cls.__mro__:
        if not owner.__module__.startswith("translate_core."):
            continue
        annotations = inspect.get_annotations(owner)
        described = {**_described(_doc(owner)), **_attribute_docs(_tree_of(owner).body)}
        for name in [*annotations, *vars(owner)]:
            value = vars(owner).get(name)
            function = value.__func__ if isinstance(value, classmethod) else value
            if name in seen or (name.startswith("_") and name not in ("__getitem__", "__len__")):
                continue
            seen.add(name)
            if inspect.isfunction(function):
                yield f"- `{name}{_signature(function, bound=True)}`: {first_sentence(_doc(function))}"
                continue
            if isinstance(value, property):
                annotation, text = inspect.get_annotations(value.fget).get("return"), first_sentence(_doc(value))
            else:
                annotation, text = annotations.get(name), described.get(name, "")
            yield f"- `{name}{f': {annotation}' if annotation else ''}`" + (f": {text}" if text else "")


def _described(docstring: str) -> dict[str, str]:
    """Descriptions of attributes from a docstring: `name, name: text`, several in a paragraph."""
    described = {}
    for paragraph in docstring.split("\n\n")[1:]:
        text = " ".join(paragraph.split())
        entries = list(re.finditer(r"(?:^|(?<=\. ))(\w+(?:, \w+)*): ", text))
        for index, entry in enumerate(entries):
            end = entries[index + 1].start() if index + 1 < len(entries) else len(text)
            described.update(dict.fromkeys(entry[1].split(", "), text[entry.end() : end].strip()))
    return described


def _signature(
    function: Callable[..., Any], *, bound: bool = False, annotations: bool = True, returns: bool = True
) -> str:
    signature = inspect.signature(function)
    if not returns:
        signature = signature.replace(return_annotation=signature.empty)
    parameters = list(signature.parameters.values())[1 if bound else 0 :]
    if not annotations:
        parameters = [parameter.replace(annotation=parameter.empty) for parameter in parameters]
        signature = signature.replace(return_annotation=signature.empty)
    # Annotations are strings here, which inspect prints with quotation marks.
    return re.sub(r"""(: |-> )(["'])(.*?)\2""", r"\1\3", str(signature.replace(parameters=parameters)))


def _link(contract: type) -> str:
    return "`torch.nn.Module`" if contract is nn.Module else f"[`{contract.__name__}`](#{contract.__name__.lower()})"


def _doc(item: object) -> str:
    return inspect.cleandoc(getattr(item, "__doc__", None) or "")


def _paragraphs(item: object) -> str:
    return "\n\n".join(" ".join(part.split()) for part in _doc(item).split("\n\n"))


def _doc_of_public(name: str) -> str:
    """The docstring of a class or function; for a constant, the string below it in its module."""
    value = getattr(translate_core, name)
    if (inspect.isclass(value) and value.__name__ == name) or inspect.isfunction(value):
        return _doc(value)
    stub = ast.parse(Path(translate_core.__file__).with_suffix(".pyi").read_text(encoding="utf-8"))
    imports = [node for node in ast.walk(stub) if isinstance(node, ast.ImportFrom)]
    module = next(str(node.module) for node in imports if name in [item.name for item in node.names])
    return _attribute_docs(_tree_of(importlib.import_module(f"translate_core.{module}")).body).get(name, "")


def _tree_of(item: Any) -> Any:
    tree = ast.parse(textwrap.dedent(inspect.getsource(item)))
    return tree.body[0] if inspect.isclass(item) else tree


def _attribute_docs(body: list[ast.stmt]) -> dict[str, str]:
    docs = {}
    for before, after in pairwise(body):
        target = before.targets[0] if isinstance(before, ast.Assign) else getattr(before, "target", None)
        if isinstance(target, ast.Name) and isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            docs[target.id] = " ".join(str(after.value.value).split())
    return docs


# docs/options.md


def options_page(registry: Registry) -> str:
    """Every option of every built-in component."""
    kinds = {
        kind: [item for name in registry.names(kind) if (item := registry.get(kind, name)).owner.name == DISTRIBUTION]
        for kind in KINDS
    }
    assert all(kinds.values()), f"a kind has no built-in component: is {DISTRIBUTION} installed in this environment?"
    parts = [_OPTIONS_HEAD, ", ".join(f"[{kind}](#{kind})" for kind in (*kinds, "training")) + "\n"]
    for kind, registrations in kinds.items():
        parts += [f"## {kind}\n", *_kind_lines(kind, registry)]
        for item in registrations:
            default = " On by default." if item.default else ""
            parts += [
                f"### {kind} `{item.name}`\n",
                f"{summary_of(item)}{default}\n",
                *_component_lines(item, registry),
            ]
    parts += ["## training\n", "The block `training:` of a recipe.\n"]
    meanings = documentation_of(Training).arguments
    rows = [
        _row(
            name,
            describe(option.annotation),
            None if option.required else default_text(option, registry),
            meanings[name],
            moves=option.operation,
        )
        for name, option in options_of_group(Training).items()
    ]
    return "\n".join([*parts, *_table(rows)]).rstrip() + "\n"


_OPTIONS_HEAD = """\
# Every option of every component

Generated from the signatures and docstrings by `make docs`. `type` selects the component; every other key of its block
is one of its options. Options marked with ° may change when a run continues; a change of any other option makes a
different run. `translate-plugins show KIND NAME` prints the whole docstring, also for components of other packages.
"""


def _component_lines(item: Registration, registry: Registry) -> list[str]:
    moving = getattr(item.component, "operation_keys", ())
    rows = [
        _row(text.path, text.words, text.default, text.meaning, moves=text.path.partition(".")[0] in moving)
        for text in option_texts(item, registry)
    ]
    return _table(rows) if rows else ["No options.\n"]


def _kind_lines(kind: str, registry: Registry) -> list[str]:
    lines = [f"{first_sentence(_doc(getattr(Registrar, kind)))}\n"]
    keys = engine_keys_of(kind, registry)
    if keys:
        lines += ["Keys of every block of this kind, in addition to the options:\n"]
        lines += _table([_row(name, key.words, key.default, key.meaning) for name, key in keys.items()])
    return lines


def _row(name: str, words: str, default: str | None, meaning: str, *, moves: bool = False) -> str:
    cells = (words, "required" if default is None else f"`{default}`", meaning)
    return f"| `{name}`{'°' if moves else ''} | {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _table(rows: list[str]) -> list[str]:
    return ["| option | type | default | meaning |", "| --- | --- | --- | --- |", *rows, ""]


def pages() -> dict[Path, str]:
    """Every generated page with its current text."""
    by_hand = [DOCS / "contract.md", DOCS / "from-python.md"]
    return {
        **{page: with_parts(page.read_text(encoding="utf-8")) for page in by_hand},
        DOCS / "options.md": options_page(load_plugins().registry),
    }


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
        print(path)

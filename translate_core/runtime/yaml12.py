"""The YAML of recipes: plain data only, the scalars of YAML 1.2, no duplicate keys."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from translate_core.errors import UserError, no_file


class YamlError(UserError):
    """A text that is not valid YAML of this kind; the message has line and column."""


class _Loader(yaml.SafeLoader):
    """Loads the scalars of YAML 1.2. PyYAML implements YAML 1.1, in which `2e-4` is text and `off` is false."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if getattr(event, "anchor", None) is not None:
            raise yaml.constructor.ConstructorError(
                None, None, "anchors and aliases are not supported", event.start_mark
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: dict[str, int] = {}
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a key must be text", key_node.start_mark)
            key = key_node.value
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key '{key}' occurs twice, first in line {seen[key]}", key_node.start_mark
                )
            seen[key] = key_node.start_mark.line + 1
        # Every key is text: a network may be called `1`, and keys in JSON are text too.
        return {key_node.value: self.construct_object(value, deep=deep) for key_node, value in node.value}

    def construct_yaml_map(self, node: yaml.MappingNode) -> Any:
        data: dict[Any, Any] = {}
        yield data
        data.update(self.construct_mapping(node))


def _refuse(loader: yaml.SafeLoader, node: yaml.Node) -> Any:
    tag = node.tag.replace("tag:yaml.org,2002:", "!!")
    raise yaml.constructor.ConstructorError(
        None, None, f"'{tag}' is not a supported tag: a recipe holds plain data only", node.start_mark
    )


def _integer(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    return int(node.value, 0) if node.value[:2] in ("0x", "0o") else int(node.value)


def _float(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> float:
    return float(node.value.lower().replace(".inf", "inf").replace(".nan", "nan"))


_SCALARS: tuple[tuple[str, str, str], ...] = (
    ("null", r"^(?:~|null|Null|NULL|)$", "~nN\0"),
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF"),
    ("int", r"^(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$", "-+0123456789"),
    (
        "float",
        r"^(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$",
        "-+0123456789.",
    ),
)
for _name, _pattern, _first in _SCALARS:
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_name}",
        re.compile(_pattern),
        [*_first.replace("\0", ""), ""] if "\0" in _first else list(_first),
    )
_Loader.add_constructor("tag:yaml.org,2002:int", _integer)
_Loader.add_constructor("tag:yaml.org,2002:float", _float)
_Loader.add_constructor("tag:yaml.org,2002:map", _Loader.construct_yaml_map)
for _tag in ("timestamp", "binary", "omap", "pairs", "set"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_tag}", _refuse)
_Loader.add_constructor(None, _refuse)


def parse(text: str, name: str) -> Any:
    """The data of one YAML document. name: the name of the text in messages.

    Raises YamlError with line and column.
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark is not None else ""
        raise YamlError(f"{name}{where}: {_explained(error)}") from None
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        line, column = before.count("\n") + 1, error.position - before.rfind("\n")
        raise YamlError(f"{name}, line {line}, column {column}: a control character; recipes are plain text") from None
    except RecursionError:
        raise YamlError(f"{name}: blocks are nested too deeply") from None
    except ValueError as error:
        raise YamlError(f"{name}: {error}") from None


_MESSAGES = {
    "cannot start any token": "an unexpected character; indent with spaces, not tabs, and quote special characters",
    "expected <block end>": "the indentation differs from that of the lines above",
    "mapping values are not allowed here": "an unexpected ':'; text that contains ': ' needs quotes",
    "could not find expected ':'": "a key without ':' after it",
    "found another document": "a second document begins; a recipe is a single document",
    "unexpected end of stream": "a quote is not closed",
}
"""Part of a message of PyYAML -> the message that replaces it."""

_CONTEXTS = {"flow mapping": "the {…}", "flow sequence": "the […]", "block mapping": "the block", "quoted": "the text"}


def _explained(error: yaml.MarkedYAMLError) -> str:
    """An error of PyYAML for people who write recipes, with the line of the construct that it is in."""
    problem = str(error.problem or error.context)
    words = next(
        (words for part, words in _MESSAGES.items() if part in problem), problem.replace("'<stream end>'", "the end")
    )
    within = next((name for part, name in _CONTEXTS.items() if part in str(error.context)), None)
    if within is None or error.context_mark is None:
        return words
    return f"{words}; {within} begins in line {error.context_mark.line + 1}"


def read(path: Path) -> Any:
    """The data of a YAML file. Raises YamlError for a file that cannot be read or is not valid."""
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, IsADirectoryError):
        raise YamlError(no_file(path)) from None
    except UnicodeDecodeError:
        raise YamlError(f"{path} is not a YAML file: it has bytes that are not UTF-8 text") from None
    except OSError as error:
        raise YamlError(f"{path} cannot be read: {error.strerror}") from None
    return parse(text, str(path))


class _Dumper(yaml.SafeDumper):
    """Writes scalars so that `_Loader` reads the same values."""

    yaml_implicit_resolvers = _Loader.yaml_implicit_resolvers


def _represent_float(dumper: yaml.SafeDumper, value: float) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:float", repr(value).replace("inf", ".inf").replace("nan", ".nan"))


_Dumper.add_representer(float, _represent_float)


def dump(data: Any) -> str:
    """Plain data as YAML, in the same order; short lists take one line."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, default_flow_style=None, width=120, allow_unicode=True)


def inline(data: Any) -> str:
    """Plain data as YAML on one line, for messages."""
    text = yaml.dump(data, Dumper=_Dumper, sort_keys=False, default_flow_style=True, width=2**31, allow_unicode=True)
    return " ".join(text.removesuffix("...\n").split())


def show(value: object) -> str:
    """A value of a recipe as the user wrote it, shortened."""
    text = inline(value) if not isinstance(value, str) else f"'{value}'"
    return text if len(text) <= 80 else text[:77] + "…"

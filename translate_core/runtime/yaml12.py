"""The YAML of recipes: plain data only, the scalars of YAML 1.2, no duplicate keys."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from translate_core.errors import UserError, no_file, reason_of
from translate_core.runtime.files import read_file

_ANCHORS = "anchors and aliases are not supported; text that begins with & or * needs quotes"
_PLAIN = "a recipe holds plain data only"
_DIGITS = 4000
"""Of a whole number. Python does not read more than 4300 of a decimal one, as that takes quadratic time."""


class YamlError(UserError):
    """A text that is not valid YAML of this kind; the message has line and column."""


class _Loader(yaml.SafeLoader):
    """Loads the scalars of YAML 1.2. PyYAML implements YAML 1.1, in which `2e-4` is text and `off` is false."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if getattr(event, "anchor", None) is not None:
            raise yaml.constructor.ConstructorError(None, None, _ANCHORS, event.start_mark)
        if getattr(event, "tag", None) is not None:
            tag = event.tag.replace("tag:yaml.org,2002:", "!!")
            raise yaml.constructor.ConstructorError(
                None, None, f"'{tag}' is not a supported tag: {_PLAIN}", event.start_mark
            )
        return super().compose_node(parent, index)

    def scan_flow_scalar_non_spaces(self, double: bool, start_mark: yaml.Mark) -> Any:
        try:
            return super().scan_flow_scalar_non_spaces(double, start_mark)
        except (ValueError, OverflowError):  # of `chr`, after \\U and eight digits
            raise yaml.scanner.ScannerError(None, None, "an unknown escape", self.get_mark()) from None

    def construct_scalar(self, node: Any) -> Any:
        _check_text(node)
        return super().construct_scalar(node)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: dict[str, int] = {}
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a key must be text", key_node.start_mark)
            _check_text(key_node)
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


def _check_text(node: yaml.ScalarNode) -> None:
    """Raises for text that no file name and no message can hold."""
    if "\0" in node.value:
        raise yaml.constructor.ConstructorError(None, None, "text may not hold the character NUL", node.start_mark)
    if re.search("[\ud800-\udfff]", node.value):
        raise yaml.constructor.ConstructorError(
            None, None, "text may not hold half of a surrogate pair", node.start_mark
        )


def _integer(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    if len(node.value) > _DIGITS:
        raise yaml.constructor.ConstructorError(
            None, None, f"a number of {len(node.value):,} digits; at most {_DIGITS:,} are supported", node.start_mark
        )
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


_MESSAGES = {
    "a tag": f"tags are not supported: {_PLAIN}",
    "tag handle": f"tags are not supported: {_PLAIN}",
    "directive": "directives are not supported; text that begins with % needs quotes",
    "incompatible YAML": "directives are not supported; text that begins with % needs quotes",
    "an anchor": _ANCHORS,
    "an alias": _ANCHORS,
    "a block scalar": "nothing but a comment may follow | or > on its line: the text begins on the next line",
    "escape": "an unknown escape in double quotes; write \\\\ for a backslash, or use single quotes",
    "cannot start any token": "an unexpected character; indent with spaces, not tabs, and quote special characters",
    "expected <block end>": "the indentation differs from that of the lines above",
    "mapping values are not allowed here": "an unexpected ':'; text that contains ': ' needs quotes",
    "mapping keys are not allowed here": "an unexpected '?'; text that begins with '? ' needs quotes",
    "sequence entries are not allowed here": "an unexpected '-'; a list begins on a line of its own",
    "could not find expected ':'": "a key without ':' after it",
    "found another document": "a second document begins; a recipe is a single document",
    "expected '<document start>'": "nothing may follow here; is a bracket or a quote missing?",
    "expected the node content": "a value is missing",
    "unexpected end of stream": "a quote is not closed",
    "document separator": "a quote is not closed",
}
"""Part of a message of PyYAML -> the message that replaces it. Parts of its context come first."""

_TOKENS = {"'<stream end>'": "the end", "'<scalar>'": "text"}

_CONTEXTS = {"flow mapping": "the {…}", "flow sequence": "the […]", "block mapping": "the block", "quoted": "the text"}


def _explained(error: yaml.MarkedYAMLError) -> str:
    """An error of PyYAML for people who write recipes, with the line of the construct that it is in."""
    problem = str(error.problem or error.context)
    words = next((words for part, words in _MESSAGES.items() if part in f"{error.context} {problem}"), problem)
    for token, name in _TOKENS.items():
        words = words.replace(token, name)
    within = next((name for part, name in _CONTEXTS.items() if part in str(error.context)), None)
    if within is None or error.context_mark is None:
        return words
    return f"{words}; {within} begins in line {error.context_mark.line + 1}"


def read(path: Path) -> Any:
    """The data of a YAML file. Raises YamlError for a file that cannot be read or is not valid."""
    try:
        text = read_file(path).decode("utf-8")
    except FileNotFoundError:
        raise YamlError(no_file(path)) from None
    except UserError as error:
        raise YamlError(no_file(path) if path.is_dir() else f"{path} {error}") from None
    except UnicodeDecodeError:
        raise YamlError(f"{path} is not a YAML file: it has bytes that are not UTF-8 text") from None
    except OSError as error:
        raise YamlError(f"{path} cannot be read: {reason_of(error)}") from None
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

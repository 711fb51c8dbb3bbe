"""A component's typed signature is its schema.

`options_of` reads a signature. `Option.validate` validates a value of a recipe strictly against the annotation; its
message describes what was expected. No component needs a configuration class.
"""

from __future__ import annotations

import dataclasses
import enum
import inspect
import json
import math
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
from pydantic import AllowInfNan, BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from translate_core.contracts.factory import Factory
from translate_core.contracts.length import Length
from translate_core.runtime import yaml12
from translate_core.runtime.yaml12 import show


class SignatureError(ValueError):
    """A signature that cannot serve as a schema."""


@dataclasses.dataclass(frozen=True)
class Option:
    """One keyword argument of a component, or one field of a group of options.

    nested: the contract of a nested component (`Factory[Pool]` -> Pool), else None.
    group: the dataclass of a nested group of options, else None.
    operation: whether it may change when a run is resumed.
    """

    name: str
    annotation: Any
    default: Any
    required: bool
    nested: type | None
    group: type | None
    operation: bool = False

    def validate(self, value: object) -> Any:
        """The value converted to the annotation (a list to a tuple, text to a Length).

        Raises ValueError with the message for the user.
        """
        if not _finite(value) and not _takes_infinity(self.annotation):
            raise ValueError(f"must be {describe(self.annotation)}, not {show(value)}")
        try:
            checked = self._adapter.validate_json(json.dumps(value), strict=True)
            if isinstance(value, bool) and not isinstance(checked, bool):  # Literal[1] takes true for 1
                raise ValueError(f"must be {describe(self.annotation)}, not {show(value)}")
            return checked
        except ValidationError as error:
            for detail in error.errors():
                if detail["type"] == "value_error" and isinstance(value, str):
                    raise ValueError(str(detail["ctx"]["error"])) from None
            raise ValueError(f"must be {describe(self.annotation)}, not {show(value)}") from None

    def dump(self, value: object) -> Any:
        """The value as plain data, as in a recipe."""
        return self._adapter.dump_python(value, mode="json", warnings=False)

    @property
    def optional(self) -> bool:
        """Whether null is allowed."""
        return type(None) in get_args(self.annotation)

    @cached_property
    def _adapter(self) -> TypeAdapter[Any]:
        return TypeAdapter(self.annotation)


def options_of(component: Callable[..., Any], given: Sequence[str]) -> dict[str, Option]:
    """The options of a component: its annotated keyword arguments without those in `given`.

    Raises SignatureError if an argument has no annotation, a given one is not accepted, or the signature has `*args`
    or `**kwargs`.
    """
    function = _constructor(component)
    parameters = {} if function is None else dict(inspect.signature(component).parameters)
    missing = [name for name in given if name not in parameters]
    if missing:
        raise SignatureError(f"it must accept {', '.join(f'`{name}`' for name in missing)}, which the engine supplies")
    hints = _hints(function) if function is not None else {}
    options = {}
    for name, parameter in parameters.items():
        if name in given:
            continue
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            stars = "*" if parameter.kind is parameter.VAR_POSITIONAL else "**"
            raise SignatureError(f"`{stars}{name}` in its signature accepts any argument; declare every option by name")
        if parameter.kind is parameter.POSITIONAL_ONLY:
            raise SignatureError(f"its option '{name}' must be a keyword argument")
        if name not in hints:
            raise SignatureError(f"its option '{name}' has no type annotation")
        required = parameter.default is parameter.empty
        options[name] = _option(name, hints[name], None if required else parameter.default, required, operation=False)
    return options


def required_positional(component: Callable[..., Any]) -> tuple[str, ...]:
    """The arguments that a constructor needs by position."""
    function = _constructor(component)
    parameters = {} if function is None else inspect.signature(component).parameters
    return tuple(
        name
        for name, parameter in parameters.items()
        if parameter.kind is parameter.POSITIONAL_OR_KEYWORD and parameter.default is parameter.empty
    )


def options_of_group(group: type) -> dict[str, Option]:
    """The options of a dataclass: its fields. `field(metadata={"operation": True})` marks an operation key."""
    hints = _hints(group)
    options = {}
    for field in dataclasses.fields(group):
        default = field.default
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        required = default is dataclasses.MISSING
        operation = bool(field.metadata.get("operation", False))
        options[field.name] = _option(field.name, hints[field.name], None if required else default, required, operation)
    return options


def _constructor(component: Callable[..., Any]) -> Callable[..., Any] | None:
    """The function with the annotations; None for a class without its own constructor, which has no options."""
    if not isinstance(component, type):
        return component
    for cls in component.__mro__:
        if "__init__" in vars(cls):
            # The constructor of nn.Module takes *args and **kwargs only to reject them: it has no options either.
            engine_base = cls is object or cls.__module__.startswith("torch.")
            return None if engine_base else typing.cast("Callable[..., Any]", vars(cls)["__init__"])
    return None


def _hints(source: object) -> dict[str, Any]:
    try:
        return typing.get_type_hints(source, include_extras=True)
    except NameError as error:
        raise SignatureError(
            f"its annotations cannot be resolved: {error}; import the name outside TYPE_CHECKING"
        ) from None


def _option(name: str, annotation: Any, default: Any, required: bool, operation: bool) -> Option:
    nested = group = None
    for member in _members(annotation):
        if get_origin(member) is Factory:
            nested = get_args(member)[0]
        elif isinstance(member, type) and dataclasses.is_dataclass(member) and member is not Length:
            group = member
    option = Option(name, annotation, default, required, nested, group, operation)
    if nested is None and group is None:
        _check_plain(option)
    return option


def _check_plain(option: Option) -> None:
    """Raises SignatureError for an option that cannot be written in a recipe, or whose default is not valid."""
    unwritable = _unwritable(option.annotation)
    try:
        _ = option._adapter
    except Exception:  # pydantic raises several unrelated kinds
        unwritable = unwritable or option.annotation
    if unwritable is not None:
        raise SignatureError(
            f"its option '{option.name}' cannot be written in a recipe, because its type contains {_name(unwritable)}; "
            f"use numbers, text, bool, Literal, Length, lists, tuples and dicts of these, a dataclass or a Factory"
        )
    if option.required:
        return
    try:
        option.validate(option.dump(option.default))
    except ValueError as error:
        raise SignatureError(f"the default of its option '{option.name}' {error}") from None


def _unwritable(annotation: Any) -> Any:
    """The part of an annotation that pydantic accepts but a recipe cannot hold, or None."""
    if annotation is Length:
        return None
    group = isinstance(annotation, type) and (dataclasses.is_dataclass(annotation) or typing.is_typeddict(annotation))
    if group or Factory in (annotation, get_origin(annotation)) or Callable in (annotation, get_origin(annotation)):
        return annotation
    parts = (_unwritable(part) for part in get_args(annotation) if get_origin(annotation) is not Literal)
    return next((part for part in parts if part is not None), None)


def _members(annotation: Any) -> tuple[Any, ...]:
    """The members of a union without None; for other annotations the annotation itself."""
    if get_origin(annotation) in (Union, types.UnionType):
        return tuple(member for member in get_args(annotation) if member is not type(None))
    return (annotation,)


def _finite(value: object) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, Mapping):
        return all(_finite(item) for item in value.values())
    return not isinstance(value, list) or all(_finite(item) for item in value)


def _takes_infinity(annotation: Any) -> bool:
    return any(part == AllowInfNan(True) or _takes_infinity(part) for part in get_args(annotation))


_WORDS: Mapping[Any, str] = {
    int: "a whole number",
    float: "a number",
    str: "text",
    bool: "true or false",
    type(None): "null",
    Length: "a length such as '500 steps' or '1 epoch'",
    Path: "a path",
    Any: "anything",
    dict: "a mapping",
    list: "a list",
    tuple: "a list",
}
_BOUNDS: tuple[tuple[type, str, str], ...] = (
    (annotated_types.Gt, "gt", "greater than"),
    (annotated_types.Ge, "ge", "at least"),
    (annotated_types.Lt, "lt", "less than"),
    (annotated_types.Le, "le", "at most"),
    (annotated_types.MultipleOf, "multiple_of", "a multiple of"),
)


def describe(annotation: Any) -> str:
    """An annotation in words: `a whole number greater than 0`."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        bounds = " and ".join(_bounds(arguments[1:]))
        return f"{describe(arguments[0])} {bounds}".rstrip()
    if origin in (Union, types.UnionType):
        return ", or ".join(describe(argument) for argument in arguments)
    if origin is Literal:
        return _one_of(arguments)
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return _one_of([member.value for member in annotation])
    if origin is tuple and arguments and arguments[-1] is not Ellipsis:
        words = [describe(argument) for argument in arguments]
        each = f"each {words[0]}" if len(set(words)) == 1 else "; ".join(words)
        return f"a list of {len(arguments)}, {each}"
    if origin in (list, tuple, Sequence):
        return f"a list, each {describe(arguments[0])}"
    if origin in (dict, Mapping):
        return f"a mapping from {describe(arguments[0])} to {describe(arguments[1])}"
    if isinstance(annotation, type) and dataclasses.is_dataclass(annotation) and annotation is not Length:
        return f"a block of {', '.join(field.name for field in dataclasses.fields(annotation))}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return f"a block of {', '.join(field.alias or name for name, field in annotation.model_fields.items())}"
    if get_origin(annotation) is Factory:
        return "a block with a `type`"
    return _WORDS.get(annotation) or _name(annotation)


def _name(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) else str(annotation).replace("typing.", "")


def _one_of(values: Sequence[Any]) -> str:
    return f"one of {', '.join(map(yaml12.inline, values))}" if len(values) > 1 else yaml12.inline(values[0])


def _bounds(metadata: Sequence[Any]) -> list[str]:
    found = []
    for item in metadata:
        if isinstance(item, FieldInfo):
            found += _bounds(item.metadata)
        for cls, attribute, words in _BOUNDS:
            if isinstance(item, cls):
                found.append(f"{words} {getattr(item, attribute)}")
    return found

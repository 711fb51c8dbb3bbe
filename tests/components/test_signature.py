"""A component's signature is its schema."""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import AllowInfNan, Field, PositiveInt
from torch import nn

from translate_core import Factory, Length, NoPool, Pool
from translate_core.components.signature import Option, SignatureError, describe, options_of, options_of_group
from translate_core.runtime.yaml12 import show

Beta = Annotated[float, Field(ge=0, lt=1)]


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True)
class Size:
    height: PositiveInt = 4
    keep: bool = field(default=False, metadata={"operation": True})
    tags: list[str] = field(default_factory=list)


def function(network: nn.Module, std: float = 0.02, *, mode: Literal["fan_in", "fan_out"] = "fan_in") -> None:
    """A component that is a function."""


class Net(nn.Module):
    def __init__(self, in_channels: int, width: PositiveInt, norm: str | None = None) -> None:
        super().__init__()


class Heir(Net):
    """Inherits its constructor, whose annotations are those of another module."""


class Bare(nn.Module):
    """Has no constructor of its own."""


class Plain:
    """A class that is not a torch module, without a constructor."""


class Holder:
    def __init__(
        self,
        pool: Factory[Pool] = NoPool,
        other: Factory[Pool] | None = None,
        size: Size = Size(),
        spare: Size | None = None,
    ) -> None: ...


def option(annotation: Any) -> Option:
    return Option("x", annotation, None, True, None, None)


class TestOptions:
    def test_of_a_function(self) -> None:
        options = options_of(function, ("network",))
        assert list(options) == ["std", "mode"]
        assert (options["std"].annotation, options["std"].default, options["std"].required) == (float, 0.02, False)

    @pytest.mark.parametrize("component", [Net, Heir])
    def test_of_a_constructor(self, component: type) -> None:
        options = options_of(component, ("in_channels",))
        assert list(options) == ["width", "norm"]
        assert (options["width"].required, options["norm"].required) == (True, False)
        assert options["norm"].optional
        assert not options["width"].optional

    @pytest.mark.parametrize("component", [Bare, Plain])
    def test_of_a_class_without_a_constructor(self, component: type) -> None:
        assert options_of(component, ()) == {}

    def test_of_nested_components_and_groups(self) -> None:
        options = options_of(Holder, ())
        assert [options[name].nested for name in options] == [Pool, Pool, None, None]
        assert [options[name].group for name in options] == [None, None, Size, Size]
        assert [options[name].optional for name in options] == [False, True, False, True]
        assert options["pool"].default is NoPool

    def test_of_a_group(self) -> None:
        options = options_of_group(Size)
        assert list(options) == ["height", "keep", "tags"]
        assert [options[name].operation for name in options] == [False, True, False]
        assert options["tags"].default == []

    @pytest.mark.parametrize(
        ("component", "message"),
        [
            (lambda **rest: None, "`**rest` in its signature accepts any argument; declare every option by name"),
            (lambda *rest: None, "`*rest` in its signature accepts any argument; declare every option by name"),
            (lambda width=3: None, "its option 'width' has no type annotation"),
        ],
    )
    def test_without_names_or_types(self, component: Callable[..., None], message: str) -> None:
        with pytest.raises(SignatureError) as caught:
            options_of(component, ())
        assert str(caught.value) == message

    def test_positional_only(self) -> None:
        def component(width: int, /) -> None: ...

        with pytest.raises(SignatureError, match="its option 'width' must be a keyword argument"):
            options_of(component, ())

    def test_supplied_arguments_must_be_accepted(self) -> None:
        with pytest.raises(
            SignatureError, match="it must accept `in_channels`, `out_channels`, which the engine supplies"
        ):
            options_of(Bare, ("in_channels", "out_channels"))

    def test_a_name_that_is_imported_for_type_checking_only(self) -> None:
        def component(width: Unknown) -> None: ...  # type: ignore[name-defined]  # noqa: F821

        with pytest.raises(SignatureError, match="'Unknown' is not defined; import the name outside TYPE_CHECKING"):
            options_of(component, ())

    @pytest.mark.parametrize(
        "annotation", [nn.Module, list[Size], dict[str, Factory[Pool]], Callable, Callable[[int], int], list[nn.Module]]
    )
    def test_types_that_no_recipe_can_hold(self, annotation: Any) -> None:
        def component(x: int) -> None: ...

        component.__annotations__["x"] = annotation
        with pytest.raises(
            SignatureError, match="its option 'x' cannot be written in a recipe, because its type contains"
        ):
            options_of(component, ())

    @pytest.mark.parametrize(
        ("annotation", "default", "message"),
        [
            (int, 0.5, "must be a whole number, not 0.5"),
            (PositiveInt, 0, "must be a whole number greater than 0, not 0"),
            (float, float("inf"), "must be a number, not .inf"),
            (Literal["a", "b"], "c", "must be one of a, b, not 'c'"),
        ],
    )
    def test_defaults_that_no_recipe_can_hold(self, annotation: Any, default: Any, message: str) -> None:
        def component(x: int = 0) -> None: ...

        component.__annotations__["x"] = annotation
        component.__defaults__ = (default,)
        with pytest.raises(SignatureError) as caught:
            options_of(component, ())
        assert str(caught.value) == f"the default of its option 'x' {message}"


class TestValidation:
    @pytest.mark.parametrize(
        ("annotation", "value", "expected"),
        [
            (float, 1, 1.0),
            (float, 0.5, 0.5),
            (int, 3, 3),
            (bool, False, False),
            (str, "", ""),
            (str | None, None, None),
            (tuple[Beta, Beta], [0, 0.5], (0.0, 0.5)),
            (tuple[int, ...], [1, 2, 3], (1, 2, 3)),
            (list[str], [], []),
            (dict[str, float], {"a": 1}, {"a": 1.0}),
            (int | tuple[int, int], [1, 2], (1, 2)),
            (Literal["l1", "l2"], "l2", "l2"),
            (Literal[1, 3], 3, 3),
            (Colour, "red", Colour.RED),
            (Path, "a/b", Path("a/b")),
            (Length, "3 epochs", Length(3, "epochs")),
            (Length | None, None, None),
            (Annotated[float, AllowInfNan(True)], float("inf"), float("inf")),
        ],
    )
    def test_a_valid_value(self, annotation: Any, value: object, expected: object) -> None:
        checked = option(annotation).validate(value)
        assert checked == expected
        assert type(checked) is type(expected)
        assert option(annotation).validate(option(annotation).dump(checked)) == checked

    @pytest.mark.parametrize(
        ("annotation", "value"),
        [
            (int, True),
            (int, 1.0),
            (int, "1"),
            (int, None),
            (float, True),
            (float, "0.5"),
            (float, float("nan")),
            (float, float("-inf")),
            (bool, 1),
            (bool, "true"),
            (bool, "off"),
            (str, 3),
            (str, None),
            (tuple[int, int], [1]),
            (tuple[int, int], "ab"),
            (list[str], "ab"),
            (list[float], [0.5, float("inf")]),
            (dict[str, float], {"a": "b"}),
            (Literal[1, 3], True),
            (Literal["l1"], "L1"),
            (Length, 3),
            (Length, "3"),
            (Length, "3 epochs and a bit"),
            (Length, "-3 steps"),
            (Colour, "green"),
        ],
    )
    def test_an_invalid_value(self, annotation: Any, value: object) -> None:
        with pytest.raises(ValueError, match=r"^must be .*, not ") as caught:
            option(annotation).validate(value)
        assert str(caught.value) == f"must be {describe(annotation)}, not {show(value)}"


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (int, "a whole number"),
        (PositiveInt, "a whole number greater than 0"),
        (Annotated[int, Field(multiple_of=4)], "a whole number a multiple of 4"),
        (Beta, "a number at least 0 and less than 1"),
        (Annotated[float, Field(gt=0, le=1)] | None, "a number greater than 0 and at most 1, or null"),
        (int | tuple[int, int] | None, "a whole number, or a list of 2, each a whole number, or null"),
        (tuple[int, str], "a list of 2, a whole number; text"),
        (tuple[int, ...], "a list, each a whole number"),
        (Sequence[str], "a list, each text"),
        (dict[str, str] | None, "a mapping from text to text, or null"),
        (Literal["a", "b"], "one of a, b"),
        (Literal[True, "auto", 3], "one of true, auto, 3"),
        (Literal["a"], "a"),
        (Colour, "one of red, blue"),
        (Length | None, "a length such as '500 steps' or '1 epoch', or null"),
        (Size, "a block of height, keep, tags"),
        (Factory[Pool], "a block with a `type`"),
        (Factory[Pool] | None, "a block with a `type`, or null"),
        (Path, "a path"),
        (bool, "true or false"),
        (dict, "a mapping"),
    ],
)
def test_in_words(annotation: Any, words: str) -> None:
    assert describe(annotation) == words


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", "'a'"),
        (None, "null"),
        (True, "true"),
        (0.0002, "0.0002"),
        (float("nan"), ".nan"),
        (float("-inf"), "-.inf"),
        ([1, "a", None], "[1, a, null]"),
        ({"type": "unet", "downs": 3}, "{type: unet, downs: 3}"),
        ("ä" * 100, "'" + "ä" * 76 + "…"),
    ],
)
def test_a_value_as_it_was_written(value: object, text: str) -> None:
    assert show(value) == text

"""The translations that a trained run offers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from translate_core.errors import UserError


@dataclass(frozen=True)
class Choice:
    """A property of a translation, such as its style, that is drawn at random or taken from an example image.

    name: what users call it, such as style.
    drawn: the tensor with the drawn value (`style_B`).
    domain: the domain of example images.
    taken: the tensor with the value of an example image (`style_real_B`).
    given: the name under which the example image is given, `real_<domain>` by default.
    """

    name: str
    drawn: str
    domain: str
    taken: str
    given: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "given", self.given or f"real_{self.domain}")


@dataclass(frozen=True)
class Option:
    """A number that a user may set for a translation, such as the number of sampling steps.

    An equation reads it by `self.option("steps")`. The type of the default, int or float, is that of the option.

    name: what users call it. default: its value otherwise, in samples and metrics too. low, high: the smallest and the
    largest value. help: what it does, for `translate-apply`.
    """

    name: str
    default: int | float
    low: float | None = None
    high: float | None = None
    help: str = ""

    def read(self, value: object) -> int | float:
        """The value, from a number or from text. Raises UserError for another type, and outside low … high."""
        number = _number(value, whole=isinstance(self.default, int))
        too_low = number is not None and self.low is not None and number < self.low
        too_high = number is not None and self.high is not None and number > self.high
        if number is None or too_low or too_high:
            raise UserError(f"option {self.name} must be {self.range()}, not {value}")
        return number

    def range(self) -> str:
        """Its type and its range, in words."""
        kind = "a whole number" if isinstance(self.default, int) else "a number"
        if self.low is not None and self.high is not None:
            return f"{kind} in {self.low:g} … {self.high:g}"
        if self.low is not None:
            return f"{kind} of at least {self.low:g}"
        return f"{kind} of at most {self.high:g}" if self.high is not None else kind


def _number(value: object, *, whole: bool) -> int | float | None:
    """A finite number from a number or from text; None for anything else."""
    if isinstance(value, bool):
        return None
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    if not math.isfinite(number) or (whole and number != int(number)):
        return None
    return int(number) if whole else number


@dataclass(frozen=True)
class Direction:
    """A translation that a trained run offers.

    source: the domain of the input.
    target: the domain of the output.
    show: further tensors for sample grids, shown if the losses use them; they depend on `given` only.
    always: further tensors for sample grids, shown in every run.
    choices: properties of a translation that a user may decide; they are drawn otherwise.
    given: the name of the input tensor, `real_<source>` by default.
    output: the name of the output tensor, `fake_<target>` by default.
    label: given labels of this direction by name, such as the number of the target domain.
    options: numbers that a user may set, such as sampling steps.
    """

    source: str
    target: str
    show: tuple[str, ...] = ()
    always: tuple[str, ...] = ()
    choices: tuple[Choice, ...] = ()
    given: str = ""
    output: str = ""
    label: Mapping[str, int] = field(default_factory=dict, hash=False)
    options: tuple[Option, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "given", self.given or f"real_{self.source}")
        object.__setattr__(self, "output", self.output or f"fake_{self.target}")

    @property
    def source_tensor(self) -> str:
        """The name under which a dataset has the test image."""
        return f"real_{self.source}"

    @property
    def target_tensor(self) -> str:
        """The tensor with the true translation, where a dataset has it."""
        return f"target_{self.target}"

    def labels(self, count: int, device: torch.device) -> dict[str, Tensor]:
        """The given labels for `count` images, int64 (count,), by name."""
        return {name: torch.full((count,), number, device=device) for name, number in self.label.items()}

    def defaults(self) -> dict[str, int | float]:
        """The default of each option, by name."""
        return {option.name: option.default for option in self.options}

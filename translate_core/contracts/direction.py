"""The translations that a trained run offers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Choice:
    """A property of a translation, such as its style, that is drawn at random or taken from an example image.

    name: what users call it, such as style.
    drawn: the tensor with the drawn value (`style_B`).
    domain: the domain of example images.
    taken: the tensor with the value of an example image, which is given as `real_<domain>` (`style_real_B`).
    """

    name: str
    drawn: str
    domain: str
    taken: str


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
    """

    source: str
    target: str
    show: tuple[str, ...] = ()
    always: tuple[str, ...] = ()
    choices: tuple[Choice, ...] = ()
    given: str = ""
    output: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "given", self.given or f"real_{self.source}")
        object.__setattr__(self, "output", self.output or f"fake_{self.target}")

    @property
    def target_tensor(self) -> str:
        """The tensor with the true translation, where a dataset has it."""
        return f"target_{self.target}"

"""The translations that a trained run offers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Choice:
    """Something about a translation that is drawn, or taken from an image that a user gives.

    name: the user's word for it, such as style.
    drawn: the tensor that holds it; its equation draws it (`style_B`).
    domain: of the images that it can be taken from.
    taken: the tensor that holds what is found in such an image, given as `real_<domain>` (`style_real_B`).
    """

    name: str
    drawn: str
    domain: str
    taken: str


@dataclass(frozen=True)
class Direction:
    """A translation that a trained run offers.

    source, target: domains.
    show: further tensors that a person wants to see beside source and output where the losses ask for them; those that
        depend on `given` alone.
    always: the same, drawn whatever the losses ask for.
    choices: what a user may decide about a translation, and is drawn otherwise.
    given, output: tensors, `real_<source>` and `fake_<target>` unless said otherwise.
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
        """The tensor that holds the true translation, where a dataset has it."""
        return f"target_{self.target}"

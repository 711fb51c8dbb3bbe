"""What the data give to a method: images, labels, vectors and label maps, by name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

GivenKind = Literal["image", "label", "vector", "map"]
KINDS_OF_DATA: tuple[GivenKind, ...] = get_args(GivenKind)


@dataclass(frozen=True)
class Given:
    """A tensor that the data give.

    Only images are scaled to [-1, 1], padded by reflection and laid out channels-last.

    name: of the tensor.
    kind: image, (N, C, H, W) in [-1, 1]; label, the number of a class, int64 (N,); vector, floating point (N, K); map,
        the number of a class for each pixel, integers (N, 1, H, W).
    domain: of an image or a map; by default what follows the first underscore in the dataset's name of it.
    of: the dataset's name of it; by default its own.
    draw: 0 for the example itself; 1, 2 … for further examples, drawn independently.
    """

    name: str
    kind: GivenKind = "image"
    domain: str = ""
    of: str = ""
    draw: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "of", self.of or self.name)
        object.__setattr__(self, "domain", self.domain or self.of.partition("_")[2])

    @property
    def spatial(self) -> bool:
        """Whether it has height and width."""
        return self.kind in ("image", "map")


def given_of(names: Iterable[str | Given]) -> tuple[Given, ...]:
    """The declarations; a text is an image of that name."""
    return tuple(item if isinstance(item, Given) else Given(item) for item in names)

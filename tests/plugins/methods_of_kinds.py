"""A plugin with methods that take labels and label maps, for runs on datasets that supply them."""

from __future__ import annotations

from itertools import permutations

import torch
from torch import Tensor

from translate_core import (
    DISCRIMINATORS,
    GENERATORS,
    Dataset,
    Direction,
    Given,
    Method,
    Registrar,
    discriminator,
    generator,
    hookimpl,
    tensor,
)


class Labelled(Method):
    """One generator that gets images of all domains, and a discriminator of them."""

    roles = (generator("G", "A", "A"), discriminator("D", "A"))
    order = (GENERATORS, DISCRIMINATORS)
    given = ("real", "other", Given("label", "label"))
    adversarial_pairs = {"D": ("other", "fake")}

    def on(self, data: Dataset) -> None:
        """The networks of the first domain, which are those of all, and the directions between any two."""
        first = data.domains[0]
        self.roles = (generator("G", first, first), discriminator("D", first))
        self.given = (Given("real", domain=first), Given("other", domain=first), Given("label", "label"))
        self.directions = {
            f"{source}-{target}": Direction(
                source, target, given="real", output="fake", label={"label": data.domains.index(target)}
            )
            for source, target in permutations(data.domains, 2)
        }

    @tensor
    def fake(self) -> Tensor:
        """Brighter for a higher label."""
        return self.G(self.real) + 0.1 * self.label[:, None, None, None]


class OfMaps(Method):
    """A generator that gets a channel for each of the three classes of a label map."""

    roles = (generator("G", "B", "B"), discriminator("D", "B"))
    order = (GENERATORS, DISCRIMINATORS)
    given = (Given("real_A", "map"), "real_B")
    adversarial_pairs = {"D": ("real_B", "fake_B")}
    directions = {"A-B": Direction("A", "B")}

    @tensor
    def fake_B(self) -> Tensor:
        """From the label map, one-hot in -1 and 1."""
        hot = [torch.where(self.real_A == number, 1.0, -1.0) for number in range(3)]
        return self.G(torch.cat(hot, 1))


@hookimpl(contract=1)
def register(registry: Registrar) -> None:
    """Registers both."""
    registry.method("labelled", Labelled)
    registry.method("of_maps", OfMaps)

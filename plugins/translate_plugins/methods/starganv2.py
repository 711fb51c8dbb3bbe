"""StarGAN v2: Choi, Uh, Yoo and Ha, StarGAN v2: Diverse Image Synthesis for Multiple Domains, CVPR 2020,
arXiv 1912.01865."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

import torch
from pydantic import PositiveInt
from torch import Tensor

from translate_core import (
    DISCRIMINATORS,
    GENERATORS,
    AdversarialPair,
    Choice,
    Dataset,
    Direction,
    Given,
    Method,
    Role,
    Update,
    discriminator,
    generator,
    network,
    tensor,
)

BY_REFERENCE = {"style": "style_reference", "style2": "style_reference2"}


def roles_of(domains: Sequence[str], style_channels: int) -> tuple[Role, ...]:
    """G, F, E and D, one of each for all domains."""
    first, style = domains[0], {"style_channels": style_channels}
    count = {"domains": len(domains)}
    return (
        generator("G", first, first, conditions=("style",), extra=style),
        network("F", conditions=("latent", "label"), extra={**count, **style}, default="starganv2_mapping"),
        network("E", first, conditions=("label",), extra={**count, **style}, default="starganv2_style"),
        discriminator("D", first, conditions=("label",), extra=count),
    )


class StarGANv2(Method):
    """StarGAN v2: one generator for any number of domains; a style decides the target domain and the appearance.

    A style is drawn, s = F(z, y) of a latent z ~ N(0, I) and the domain y, or that of a reference image, s = E(x, y).
    A step has four updates: the discriminator on translations in drawn styles, then in styles of reference images; all
    other networks with drawn styles; the generator alone with styles of reference images. The data state the domains
    and give a `real` image with its `label`, and with a second draw, of the domain `goal`, two references. There is a
    translation between every two domains, such as horse-zebra.

    Args:
        style_channels: length of a style; 64 in the paper.
    """

    roles = roles_of(("A", "B"), 64)  # those of a dataset with two domains; `on` replaces them
    given = (
        Given("real"),
        Given("label", "label"),
        Given("reference", of="real", draw=1),
        Given("reference2", of="other", draw=1),
        Given("goal", "label", of="label", draw=1),
    )
    order = (
        Update(DISCRIMINATORS, "discriminators_latent"),
        Update(DISCRIMINATORS, "discriminators_reference", instead=BY_REFERENCE),
        Update(GENERATORS, "generators_latent"),
        Update(GENERATORS, "generators_reference", networks=("G",), fresh=True, instead=BY_REFERENCE),
    )
    pairs = {
        "style": {"style_fake": "style"},
        "diversity": {"fake": "fake2"},
        "cycle": {"rec": "real"},
    }
    adversarial_pairs = {"D": AdversarialPair("real", "fake", real_with=("label",), fake_with=("goal",))}

    def __init__(self, *, style_channels: PositiveInt = 64) -> None:
        self.style_channels = style_channels

    def on(self, data: Dataset) -> None:
        """Sets the networks, one in each role for all domains, and a direction from each domain to each other."""
        self.domains = data.domains
        self.roles = roles_of(data.domains, self.style_channels)
        self.directions = {
            f"{source}-{target}": Direction(
                source,
                target,
                given="real",
                output="fake",
                show=("rec",),
                always=("fake2",),
                label={"label": data.domains.index(source), "goal": data.domains.index(target)},
                choices=(Choice("style", "style", target, "style_reference", given="reference"),),
            )
            for source, target in permutations(data.domains, 2)
        }

    @tensor(shared=True)
    def latent(self) -> Tensor:
        """z ~ N(0, I), the same in all updates of a step."""
        return self.normal((len(self.real), self.F.latent_channels), self.real, "latent")

    @tensor(shared=True)
    def latent2(self) -> Tensor:
        """z₂ ~ N(0, I), for the diversity."""
        return self.normal((len(self.real), self.F.latent_channels), self.real, "latent2")

    @tensor
    def style(self) -> Tensor:
        """s̃ = F_ỹ(z), section 2.1; an update by reference has s̃ = E_ỹ(x_ref) in its place."""
        return self.F(self.latent, self.goal)

    @tensor
    def style2(self) -> Tensor:
        """s̃₂ = F_ỹ(z₂)."""
        return self.F(self.latent2, self.goal)

    @tensor
    def style_reference(self) -> Tensor:
        """E_ỹ(x_ref), the style of a reference image."""
        return self.E(self.reference, self.goal)

    @tensor
    def style_reference2(self) -> Tensor:
        """The style of a second reference image, of the same domain."""
        return self.E(self.reference2, self.goal)

    @tensor
    def fake(self) -> Tensor:
        """G(x, s̃), equation 1."""
        return self.G(self.real, self.style)

    @tensor
    def style_fake(self) -> Tensor:
        """E_ỹ(G(x, s̃)), equation 2."""
        return self.E(self.fake, self.goal)

    @tensor
    def fake2(self) -> Tensor:
        """G(x, s̃₂), equation 3, without gradients."""
        # Both translations have the same distribution: gradients through the second as well would double the first's.
        with torch.no_grad():
            return self.G(self.real, self.style2)

    @tensor
    def rec(self) -> Tensor:
        """G(G(x, s̃), ŝ) with the style ŝ = E_y(x) of the input, equation 4."""
        return self.G(self.fake, self.E(self.real, self.label))

    @tensor
    def target(self) -> Tensor:
        """The true translation of each test image into its target domain, where the data have it."""
        own = [domain for domain in self.domains if not self.has(f"target_{domain}")]
        # Of its own domain an image has no translation; if more are missing, the lookup of the second raises.
        images = [self.real if domain in own[:1] else self[f"target_{domain}"] for domain in self.domains]
        places = torch.arange(len(self.real), device=self.goal.device)
        return torch.stack(images)[self.goal, places]

    @tensor
    def guided(self) -> Tensor:
        """The translation in the style of its target, where the test images have one."""
        return self.G(self.real, self.E(self.target, self.goal))

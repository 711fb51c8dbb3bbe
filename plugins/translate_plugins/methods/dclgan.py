"""DCLGAN: Han, Shoeiby, Petersson and Armin, Dual Contrastive Learning for Unsupervised Image-to-Image Translation,
CVPR Workshops 2021, arXiv 2104.07689."""

from __future__ import annotations

import torch
from pydantic import PositiveInt
from torch import Tensor

from translate_core import (
    DISCRIMINATORS,
    GENERATORS,
    Direction,
    Method,
    discriminator,
    generator,
    head,
    tensor,
    tensors,
)
from translate_plugins.patches import check_taps, drawn_places


class DCLGAN(Method):
    """DCLGAN: two generators, with a contrastive loss between the patches of an input and of its translation, each
    encoded by the generator that takes its domain; unpaired images.

    The encoder of a domain is the first half of the generator that takes its images: that of G_AB for A, followed by
    the head H_A, and that of G_BA for B, followed by H_B. The embedding of a patch of the translation is the query;
    that of the patch of the input at the same place is its key: `z_fake_B` and `z_real_A`, `z_fake_A` and `z_real_B`.
    No gradient flows through keys. The discriminators are updated first.

    Args:
        taps: the taps of the generators whose features are compared. In the paper: the two halvings, and the first and
            the fifth residual block.
        patches: number of patches per image at each tap, drawn anew for each tap, direction and step; fewer where a map
            is smaller.
    """

    roles = (
        generator("G_AB", "A", "B", methods=("features",)),
        generator("G_BA", "B", "A", methods=("features",)),
        discriminator("D_A", "A"),
        discriminator("D_B", "B"),
        head("H_A", "G_AB", ()),
        head("H_B", "G_BA", ()),
    )
    order = (DISCRIMINATORS, GENERATORS)
    pairs = {
        "nce": {"z_fake_B": "z_real_A", "z_fake_A": "z_real_B"},
        "identity": {"idt_A": "real_A", "idt_B": "real_B"},
    }
    adversarial_pairs = {"D_A": ("real_A", "fake_A"), "D_B": ("real_B", "fake_B")}
    directions = {"A-B": Direction("A", "B", show=("idt_A",)), "B-A": Direction("B", "A", show=("idt_B",))}

    def __init__(
        self, *, taps: tuple[str, ...] = ("down1", "down2", "block1", "block5"), patches: PositiveInt = 256
    ) -> None:
        check_taps(taps, "the generators")
        self.roles = (*type(self).roles[:4], head("H_A", "G_AB", taps), head("H_B", "G_BA", taps))
        self.taps = taps
        self.patches = patches

    @tensor
    def fake_B(self) -> Tensor:
        """G(x), section 3."""
        return self.by_G_AB[0] if self._has_both("idt_B") else self.G_AB(self.real_A)

    @tensor
    def fake_A(self) -> Tensor:
        """F(y), section 3."""
        return self.by_G_BA[0] if self._has_both("idt_A") else self.G_BA(self.real_B)

    @tensor
    def idt_B(self) -> Tensor:
        """G(y), the identity loss, section 3."""
        return self.by_G_AB[1] if self._has_both("idt_B") else self.G_AB(self.real_B)

    @tensor
    def idt_A(self) -> Tensor:
        """F(x), the identity loss, section 3."""
        return self.by_G_BA[1] if self._has_both("idt_A") else self.G_BA(self.real_A)

    @tensor
    def by_G_AB(self) -> list[Tensor]:
        """G(x) and G(y), computed in one pass, concatenated along the batch."""
        return list(self.G_AB(torch.cat((self.real_A, self.real_B))).chunk(2))

    @tensor
    def by_G_BA(self) -> list[Tensor]:
        """F(y) and F(x), computed in one pass, concatenated along the batch."""
        return list(self.G_BA(torch.cat((self.real_B, self.real_A))).chunk(2))

    @tensor
    def z_fake_B(self) -> list[Tensor]:
        """ẑ = H_Y(F_enc(G(x))), section 3: for each tap, the queries (N, places, width)."""
        return self.H_B(self.G_BA.features(self.fake_B, self.taps), self.places_A)

    @tensor
    def z_fake_A(self) -> list[Tensor]:
        """H_X(G_enc(F(y))), section 3: the queries of the other direction."""
        return self.H_A(self.G_AB.features(self.fake_A, self.taps), self.places_B)

    @tensors("z_real_A", "places_A")
    @torch.no_grad()
    def keys_A(self) -> tuple[list[Tensor], list[Tensor]]:
        """z = H_X(G_enc(x)), section 3: the keys, without gradient; and their places, at each tap."""
        features = self.G_AB.features(self.real_A, self.taps)
        places = drawn_places(self, features, self.taps, self.patches, "A")
        return self.H_A(features, places), places

    @tensors("z_real_B", "places_B")
    @torch.no_grad()
    def keys_B(self) -> tuple[list[Tensor], list[Tensor]]:
        """H_Y(F_enc(y)), section 3: the keys of the other direction; and their places."""
        features = self.G_BA.features(self.real_B, self.taps)
        places = drawn_places(self, features, self.taps, self.patches, "B")
        return self.H_B(features, places), places

    def _has_both(self, identity: str) -> bool:
        """Whether the losses use that identity, so that a generator's two images pass in one batch."""
        return identity in self.needed and self.has("real_A", "real_B")

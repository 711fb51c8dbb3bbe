"""CUT: Park, Efros, Zhang and Zhu, Contrastive Learning for Unpaired Image-to-Image Translation, ECCV 2020,
arXiv 2007.15651."""

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


class CUT(Method):
    """CUT and FastCUT: one generator, with a contrastive loss between patches of its input and output; unpaired images.

    Networks are named as in the paper; H are the two-layer projection heads. The embedding of a patch of the
    translation, by the first half of the generator and a head, is the query `z_fake_B`; that of the patch of the input
    at the same place is its key `z_real_A`. `z_idt_B` and `z_real_B` are the queries and keys of the identity loss, of
    the generator's output for a target image and of that image. The discriminator is updated first. Input and target
    images pass through the generator in one batch.

    Args:
        taps: the taps of the generator whose features are compared. In the paper: its padded input, the two halvings,
            and the first and the fifth residual block.
        patches: number of patches per image at each tap, drawn anew for each tap, pair and step; fewer where a map is
            smaller.
        flip_equivariance: in half of the training batches the generator's input is mirrored, and the features of its
            output are mirrored back before they are compared (FastCUT).
    """

    roles = (generator("G", "A", "B", methods=("features",)), discriminator("D", "B"), head("H", "G", ()))
    order = (DISCRIMINATORS, GENERATORS)
    pairs = {"nce": {"z_fake_B": "z_real_A", "z_idt_B": "z_real_B"}}
    adversarial_pairs = {"D": ("real_B", "fake_B")}
    directions = {"A-B": Direction("A", "B")}

    def __init__(
        self,
        *,
        taps: tuple[str, ...] = ("image", "down1", "down2", "block1", "block5"),
        patches: PositiveInt = 256,
        flip_equivariance: bool = False,
    ) -> None:
        check_taps(taps, "the generator")
        self.roles = (*type(self).roles[:2], head("H", "G", taps))
        self.taps = taps
        self.patches = patches
        self.flip_equivariance = flip_equivariance

    @tensor
    def fake_B(self) -> Tensor:
        """G(x), section 3."""
        return self.both[0] if self._translates_both() else self.G(self._input(self.real_A))

    @tensor
    def idt_B(self) -> Tensor:
        """G(y), section 3, final objective."""
        return self.both[1] if self._translates_both() else self.G(self._input(self.real_B))

    @tensor
    def both(self) -> list[Tensor]:
        """G(x) and G(y), computed in one pass, concatenated along the batch."""
        return list(self.G(self._input(torch.cat((self.real_A, self.real_B)))).chunk(2))

    @tensor
    def z_fake_B(self) -> list[Tensor]:
        """z = H(G_enc(G(x))), section 3: for each tap, the queries (N, places, width)."""
        return self.H(self._features_of_output(self.fake_B), self.places_A)

    @tensors("z_real_A", "places_A")
    def keys_A(self) -> tuple[list[Tensor], list[Tensor]]:
        """z̃ = H(G_enc(x)), section 3: the keys, without gradient; and their places, at each tap."""
        return self._keys(self.real_A, "A")

    @tensor
    def z_idt_B(self) -> list[Tensor]:
        """H(G_enc(G(y))), section 3, final objective: the queries of the identity loss."""
        return self.H(self._features_of_output(self.idt_B), self.places_B)

    @tensors("z_real_B", "places_B")
    def keys_B(self) -> tuple[list[Tensor], list[Tensor]]:
        """H(G_enc(y)), section 3, final objective: the keys of the identity loss; and their places."""
        return self._keys(self.real_B, "B")

    def _features_of_output(self, images: Tensor) -> list[Tensor]:
        """Features at the taps, mirrored back where the generator's input was mirrored."""
        features: list[Tensor] = self.G.features(images, self.taps)
        return [feature.flip(-1) for feature in features] if self._mirrors() else features

    @torch.no_grad()
    def _keys(self, images: Tensor, pair: str) -> tuple[list[Tensor], list[Tensor]]:
        """Embeddings of images at places drawn for that pair, and these places; one of each for every tap."""
        features = self.G.features(images, self.taps)
        places = drawn_places(self, features, self.taps, self.patches, pair)
        return self.H(features, places), places

    def _translates_both(self) -> bool:
        return "idt_B" in self.needed and self.has("real_A", "real_B")

    def _mirrors(self) -> bool:
        """Whether this batch is mirrored. Batches of test images, which hold one domain only, are never mirrored."""
        if not self.flip_equivariance or not self.has("real_A", "real_B"):
            return False
        return bool(torch.rand((), generator=self.rng("flip"), device="cpu") < 0.5)

    def _input(self, images: Tensor) -> Tensor:
        return images.flip(-1) if self._mirrors() else images

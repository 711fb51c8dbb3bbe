"""pix2pix: Isola, Zhu, Zhou and Efros, Image-to-Image Translation with Conditional Adversarial Networks, CVPR 2017,
arXiv 1611.07004."""

from __future__ import annotations

import torch
from torch import Tensor

from translate_core import DISCRIMINATORS, GENERATORS, Direction, Method, discriminator, generator, tensor


class Pix2Pix(Method):
    """pix2pix: a generator, and a discriminator conditioned on the generator's input; paired images.

    The paper's x is `real_A`, its y is `real_B`; its noise z is the dropout of the generator. D is updated first, on
    the same fake. To train the other direction, let the dataset name the other domain A.
    """

    roles = (generator("G", "A", "B"), discriminator("D", "A", "B"))
    order = (DISCRIMINATORS, GENERATORS)
    pairs = {"reconstruction": {"fake_B": "real_B"}}
    adversarial_pairs = {"D": ("real_AB", "fake_AB")}
    directions = {"A-B": Direction("A", "B")}

    @tensor
    def fake_B(self) -> Tensor:
        """G(x, z), equation 1."""
        return self.G(self.real_A)

    @tensor
    def fake_AB(self) -> Tensor:
        """The input of D(x, G(x, z)), equation 1: x and G(x, z), concatenated along the channels."""
        return torch.cat((self.real_A, self.fake_B), dim=1)

    @tensor
    def real_AB(self) -> Tensor:
        """The input of D(x, y), equation 1: x and y, concatenated along the channels."""
        return torch.cat((self.real_A, self.real_B), dim=1)

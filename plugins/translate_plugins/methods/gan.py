"""The adversarial loss alone: Goodfellow et al., Generative Adversarial Nets, NeurIPS 2014, arXiv 1406.2661."""

from __future__ import annotations

from torch import Tensor

from translate_core import DISCRIMINATORS, GENERATORS, Direction, Method, discriminator, generator, tensor


class GAN(Method):
    """One generator and one discriminator: the baseline, whose output no loss relates to its input.

    The "GAN alone" of the CycleGAN paper (Zhu et al., ICCV 2017, section 5.1.4, tables 4 and 5): G translates A to B, D
    discriminates between translations and images of B. The discriminator is updated first.
    """

    roles = (generator("G", "A", "B"), discriminator("D", "B"))
    order = (DISCRIMINATORS, GENERATORS)
    adversarial_pairs = {"D": ("real_B", "fake_B")}
    directions = {"A-B": Direction("A", "B")}

    @tensor
    def fake_B(self) -> Tensor:
        """G(x)."""
        return self.G(self.real_A)

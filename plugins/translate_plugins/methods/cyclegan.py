"""CycleGAN: Zhu, Park, Isola and Efros, Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial
Networks, ICCV 2017, arXiv 1703.10593."""

from __future__ import annotations

from torch import Tensor

from translate_core import DISCRIMINATORS, GENERATORS, Direction, Method, discriminator, generator, tensor


class CycleGAN(Method):
    """CycleGAN: two generators that are inverse to each other, two discriminators; unpaired images.

    The paper's G is `G_AB`, its F is `G_BA`, its D_X and D_Y are `D_A` and `D_B`. The generators are updated first,
    then both discriminators on the same fakes.
    """

    roles = (
        generator("G_AB", "A", "B"),
        generator("G_BA", "B", "A"),
        discriminator("D_A", "A"),
        discriminator("D_B", "B"),
    )
    order = (GENERATORS, DISCRIMINATORS)
    pairs = {
        "cycle": {"rec_A": "real_A", "rec_B": "real_B"},
        "identity": {"idt_A": "real_A", "idt_B": "real_B"},
    }
    adversarial_pairs = {"D_A": ("real_A", "fake_A"), "D_B": ("real_B", "fake_B")}
    directions = {
        "A-B": Direction("A", "B", show=("rec_A", "idt_A")),
        "B-A": Direction("B", "A", show=("rec_B", "idt_B")),
    }

    @tensor
    def fake_B(self) -> Tensor:
        """G(x), section 3.1."""
        return self.G_AB(self.real_A)

    @tensor
    def fake_A(self) -> Tensor:
        """F(y), section 3.1."""
        return self.G_BA(self.real_B)

    @tensor
    def rec_A(self) -> Tensor:
        """F(G(x)), section 3.2."""
        return self.G_BA(self.fake_B)

    @tensor
    def rec_B(self) -> Tensor:
        """G(F(y)), section 3.2."""
        return self.G_AB(self.fake_A)

    @tensor
    def idt_A(self) -> Tensor:
        """F(x), section 5.2, Photo generation from paintings."""
        return self.G_BA(self.real_A)

    @tensor
    def idt_B(self) -> Tensor:
        """G(y), section 5.2, Photo generation from paintings."""
        return self.G_AB(self.real_B)

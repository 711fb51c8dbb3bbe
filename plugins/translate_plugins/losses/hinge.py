"""The hinge adversarial loss."""

from __future__ import annotations

from typing import Literal

from pydantic import PositiveFloat
from torch import Tensor

from translate_core import Factory, NoPool, Pool
from translate_plugins.losses.adversarial import AdversarialLoss, Reduction
from translate_plugins.losses.diffaug import Augmentation


class Hinge(AdversarialLoss):
    """Hinge adversarial loss: the discriminator loss is zero beyond scores of 1 for real and -1 for fake.

    Lim and Ye, Geometric GAN, 2017, arXiv 1705.02894; in this form Zhang et al., Self-Attention Generative Adversarial
    Networks, ICML 2019, equation 4: D minimises mean max(0, 1 - D(real)) + mean max(0, 1 + D(fake)), the generators
    minimise -mean D(fake). It needs a discriminator with `output: logits`.

    Args:
        discriminator_weight: factor on the discriminator loss; 1 in the equation.
        generator: unbounded, -mean D(fake), as in the equation; or bounded, mean max(0, 1 - D(fake)), which is zero
            beyond scores of 1, as in the code of the authors of DCLGAN.
    """

    def __init__(
        self,
        *,
        pool: Factory[Pool] = NoPool,
        discriminator_weight: PositiveFloat = 1.0,
        reduction: Reduction = "mean",
        augment: tuple[Augmentation, ...] = (),
        generator: Literal["unbounded", "bounded"] = "unbounded",
    ) -> None:
        super().__init__(pool=pool, discriminator_weight=discriminator_weight, reduction=reduction, augment=augment)
        self.generator = generator

    def on_real(self, scores: Tensor) -> Tensor:
        """The mean of max(0, 1 - scores)."""
        return (1 - scores).relu().mean()

    def on_fake(self, scores: Tensor) -> Tensor:
        """The mean of max(0, 1 + scores)."""
        return (1 + scores).relu().mean()

    def for_generator(self, scores: Tensor) -> Tensor:
        """The mean of -scores, or of max(0, 1 - scores)."""
        return -scores.mean() if self.generator == "unbounded" else self.on_real(scores)

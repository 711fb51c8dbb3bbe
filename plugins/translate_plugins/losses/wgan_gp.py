"""The Wasserstein loss with a gradient penalty."""

from __future__ import annotations

import torch
from pydantic import NonNegativeFloat, PositiveFloat
from torch import Tensor

from translate_core import Factory, NoPool, Pool, Tensors
from translate_plugins.losses.adversarial import AdversarialLoss, Reduction, combined
from translate_plugins.losses.diffaug import Augmentation
from translate_plugins.losses.gradients import gradients_of_scores


class WGANGP(AdversarialLoss):
    """Wasserstein loss: discriminators are critics whose gradient is held to norm 1 by a penalty.

    Gulrajani et al., Improved Training of Wasserstein GANs, NeurIPS 2017, equation 3: a critic minimises
    mean D(fake) - mean D(real) + λ · mean (‖∇D(x̂)‖₂ - 1)², the generators minimise -mean D(fake). Each x̂ lies at a
    random place on the line between a real image and a fake that the critic judges. A critic's score of an image is
    the mean over its map; where it returns a list, each member is a critic with a penalty of its own.

    It wants a discriminator with `output: logits` and without batch norm, under which an image has no gradient of its
    own (section 4 there).

    Args:
        penalty: λ, 10 in the paper; 0 leaves the critic unconstrained.
        discriminator_weight: factor on the critics' half, the penalty included; the equation has 1.
        reduction: how the scores, and the penalties, are combined where a discriminator returns a list of them: their
            mean or their sum.
    """

    def __init__(
        self,
        *,
        penalty: NonNegativeFloat = 10.0,
        pool: Factory[Pool] = NoPool,
        discriminator_weight: PositiveFloat = 1.0,
        reduction: Reduction = "mean",
        augment: tuple[Augmentation, ...] = (),
    ) -> None:
        super().__init__(pool=pool, discriminator_weight=discriminator_weight, reduction=reduction, augment=augment)
        self.penalty = penalty

    def on_real(self, scores: Tensor) -> Tensor:
        """The mean of -scores."""
        return -scores.mean()

    def on_fake(self, scores: Tensor) -> Tensor:
        """The mean of the scores."""
        return scores.mean()

    def constraint(self, tensors: Tensors, name: str, reals: Tensor, fakes: Tensor) -> Tensor | None:
        """The gradient penalty of one critic, a scalar; its draws are the places on the lines, one for each image."""
        if self.penalty == 0:
            return None
        place = tensors.uniform((len(reals), 1, 1, 1), reals, "interpolate", name)
        between = place * reals.detach() + (1 - place) * fakes.detach()
        gradients = gradients_of_scores(tensors.network(name), between)
        return self.penalty * combined(gradients, _from_one, self.reduction)


def _from_one(gradient: Tensor) -> Tensor:
    """The mean of (‖gradient‖ - 1)² over the images. gradient: (N, ...)."""
    # The norm of a gradient of zero has no derivative: where a critic is flat, torch's is 0.
    return (torch.linalg.vector_norm(gradient.flatten(1), dim=1) - 1).square().mean()

"""The Wasserstein loss with a gradient penalty."""

from __future__ import annotations

import torch
from pydantic import NonNegativeFloat, PositiveFloat
from torch import Tensor

from translate_core import Factory, NoPool, Pool, Tensors
from translate_plugins.losses.adversarial import AdversarialLoss, Arguments, Reduction, combined
from translate_plugins.losses.diffaug import Augmentation
from translate_plugins.losses.gradients import gradients_of_scores


class WGANGP(AdversarialLoss):
    """Wasserstein loss: discriminators are critics, with a penalty that keeps the norm of their gradient near 1.

    Gulrajani et al., Improved Training of Wasserstein GANs, NeurIPS 2017, equation 3: a critic minimises
    mean D(fake) - mean D(real) + λ · mean (‖∇D(x̂)‖₂ - 1)², the generators minimise -mean D(fake). Each x̂ lies at a
    random point on the line between a real image and a fake that the critic is given. A critic's score of an image is
    the mean over its map; where it returns a list, each member is a critic with a penalty of its own.

    The critic is updated five times for each update of the generators there (algorithm 1): set
    `updates: {generators: {every: 5}}` in the recipe.

    It needs a discriminator with `output: logits` and without batch norm, which makes an image's score depend on the
    other images of the batch (section 4 there).

    Args:
        penalty: λ, 10 in the paper; 0 disables the penalty.
        discriminator_weight: factor on the critic loss, penalty included; 1 in the equation.
        reduction: how the losses and the penalties of the members are combined where a discriminator returns a list:
            mean or sum.
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

    def constraint(self, tensors: Tensors, name: str, reals: Arguments, fakes: Arguments) -> Tensor | None:
        """The gradient penalty of one critic, a scalar. One point on a line is drawn for each image.

        A conditioned critic is given the conditions of the fakes there.
        """
        if self.penalty == 0:
            return None
        (real, *_), (fake, *conditions) = reals, fakes
        position = tensors.uniform((len(real), 1, 1, 1), real, "interpolate", name)
        between = position * real.detach() + (1 - position) * fake.detach()
        gradients = gradients_of_scores(tensors.network(name), between, *conditions)
        return self.penalty * combined(gradients, _from_one, self.reduction)


def _from_one(gradient: Tensor) -> Tensor:
    """The mean of (‖gradient‖ - 1)² over the images. gradient: (N, ...)."""
    # The norm is not differentiable at a gradient of zero; torch's derivative there is 0.
    return (torch.linalg.vector_norm(gradient.flatten(1), dim=1) - 1).square().mean()

"""The base of the adversarial losses."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Literal

import torch
from pydantic import PositiveFloat
from torch import Tensor, nn

from translate_core import Factory, Loss, Method, NoPool, Pool, Tensors, UserError, adversarial_pair
from translate_plugins.losses.diffaug import Augmentation, augmented

Reduction = Literal["mean", "sum"]

Arguments = tuple[Tensor, ...]
"""What a discriminator is called with: images, and their conditions."""


class AdversarialLoss(Loss):
    """Base of the adversarial losses: a sum over the discriminators of the method's `adversarial_pairs`.

    A discriminator returns one tensor of scores, (N, 1, H, W) or (N, K), or a list of them (scales; a map and the
    logits of an attention branch), whose members are evaluated separately. Subclasses define the discriminator loss on
    the scores of real images and of fakes, and the generator loss.

    Args:
        pool: the pool of past fakes of each discriminator.
        discriminator_weight: factor on the discriminator loss; 0.5 slows the discriminators relative to the generators,
            as in CycleGAN (section 4), pix2pix and CUT; MUNIT and U-GAT-IT use 1.
        reduction: how the losses of the members are combined where a discriminator returns a list: mean, or sum, as in
            MUNIT and U-GAT-IT.
        augment: differentiable augmentations of the real images and fakes that every discriminator is given, in the
            losses of both sides: any of color, translation, cutout, each once (Zhao et al., NeurIPS 2020). They help
            when there are few training images.
    """

    def __init__(
        self,
        *,
        pool: Factory[Pool] = NoPool,
        discriminator_weight: PositiveFloat = 0.5,
        reduction: Reduction = "mean",
        augment: tuple[Augmentation, ...] = (),
    ) -> None:
        super().__init__()
        twice = [name for name in dict.fromkeys(augment) if augment.count(name) > 1]
        if twice:
            raise UserError(f"augment names {', '.join(twice)} more than once")
        self.discriminator_weight = discriminator_weight
        self.reduction: Reduction = reduction
        self.augment = augment
        self._new_pool = pool
        self.pools = nn.ModuleDict()

    def prepare(self, method: Method) -> None:
        """Creates a pool for every discriminator. Raises UserError when the method has no discriminator."""
        if not method.adversarial_pairs:
            raise UserError(f"needs a discriminator, and method {type(method).__name__} has none")
        self.pools = nn.ModuleDict({name: self._new_pool() for name in method.adversarial_pairs})

    @abstractmethod
    def on_real(self, scores: Tensor) -> Tensor:
        """Discriminator loss on the scores of real images: a scalar, the mean over all scores."""

    @abstractmethod
    def on_fake(self, scores: Tensor) -> Tensor:
        """Discriminator loss on the scores of fakes: a scalar, the mean over all scores."""

    def for_generator(self, scores: Tensor) -> Tensor:
        """Generator loss on the scores of its fakes, a scalar; by default `on_real` of these scores."""
        return self.on_real(scores)

    def constraint(self, tensors: Tensors, name: str, reals: Arguments, fakes: Arguments) -> Tensor | None:
        """A further loss of the discriminator `name`, such as a gradient penalty: a scalar; None by default.

        reals, fakes: the arguments of the discriminator, as it has just been given them: images (N, C, H, W), from the
        pool and augmented, and their conditions.
        """
        return None

    def generator_loss(self, tensors: Tensors) -> dict[str, Tensor]:
        """Generator loss, one value per fake: the sum over the discriminators of that fake."""
        parts: dict[str, Tensor] = {}
        for name, pair in tensors.adversarial_pairs.items():
            if self.augment:
                image, *conditions = tensors.inputs_of(name, "fake")
                image = augmented(image, self.augment, tensors, "generators", name, "fake")
                output = tensors.network(name)(image, *conditions)
            else:
                output = tensors.score(name, "fake")
            score = combined(output, self.for_generator, self.reduction)
            fake = adversarial_pair(pair).fake
            parts[fake] = parts[fake] + score if fake in parts else score
        return parts

    def discriminator_loss(self, tensors: Tensors) -> dict[str, Tensor]:
        """Discriminator loss, one value per discriminator. Fakes are detached and pass through the pool."""
        parts = {}
        for name in tensors.adversarial_pairs:
            discriminator = tensors.network(name)
            fakes = self._augmented(self._pooled(tensors, name), tensors, name, "fake")
            reals = self._augmented(tensors.inputs_of(name, "real"), tensors, name, "real")
            loss = combined(discriminator(*reals), self.on_real, self.reduction)
            loss = loss + combined(discriminator(*fakes), self.on_fake, self.reduction)
            constraint = self.constraint(tensors, name, reals, fakes)
            if constraint is not None:
                loss = loss + constraint
            parts[name] = self.discriminator_weight * loss
        return parts

    def _pooled(self, tensors: Tensors, name: str) -> Arguments:
        """The fake of a discriminator and its conditions, detached, from the pool."""
        pool = self.pools[name]
        assert isinstance(pool, Pool)
        image, *conditions = (argument.detach() for argument in tensors.inputs_of(name, "fake"))
        images, kept = pool.query_with(image, tuple(conditions), tensors.rng("pool", name))
        return (images, *kept)

    def _augmented(self, arguments: Arguments, tensors: Tensors, name: str, which: str) -> Arguments:
        image, *conditions = arguments
        return (augmented(image, self.augment, tensors, "discriminators", name, which), *conditions)


def combined(output: Tensor | list[Tensor], loss: Callable[[Tensor], Tensor], reduction: Reduction) -> Tensor:
    """The scalar `loss` of a discriminator's output; of a list, the mean or the sum of the losses of its members."""
    if isinstance(output, Tensor):
        return loss(output)
    losses = torch.stack([loss(member) for member in output])
    return losses.mean() if reduction == "mean" else losses.sum()

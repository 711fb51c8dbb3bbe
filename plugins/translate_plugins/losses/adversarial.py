"""The adversarial game: generators and discriminators against each other, whatever the scores are taken to mean."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Literal

import torch
from pydantic import PositiveFloat
from torch import Tensor, nn

from translate_core import Factory, Loss, Method, NoPool, Pool, Tensors, UserError
from translate_plugins.losses.diffaug import Augmentation, augmented

Reduction = Literal["mean", "sum"]


class AdversarialLoss(Loss):
    """Both halves of the game over every discriminator of the method's `adversarial_pairs`.

    A discriminator returns one tensor of scores, (N, 1, H, W) or (N, K), or several in a list (scales; a map and the
    logits of an attention branch); each is scored by itself. Subclasses say what a discriminator pays for its scores
    of real images and of fakes, and what the generators pay.

    Args:
        pool: where each discriminator's fakes come from.
        discriminator_weight: factor on the discriminators' half; 0.5 slows them relative to the generators, as in
            CycleGAN (section 4), pix2pix and CUT; MUNIT and U-GAT-IT have 1.
        reduction: how the scores are combined where a discriminator returns a list of them: their mean, or their sum,
            as in MUNIT and U-GAT-IT.
        augment: differentiable augmentations of reals and fakes before every discriminator, in both halves: any of
            color, translation, cutout, each once (Zhao et al., NeurIPS 2020). They help where images are few.
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
        """Makes a pool for every discriminator. Raises UserError when the method has none."""
        if not method.adversarial_pairs:
            raise UserError(f"is adversarial, but method {type(method).__name__} has no discriminator")
        self.pools = nn.ModuleDict({name: self._new_pool() for name in method.adversarial_pairs})

    @abstractmethod
    def on_real(self, scores: Tensor) -> Tensor:
        """What a discriminator pays for its scores of real images; a scalar, averaged over all scores."""

    @abstractmethod
    def on_fake(self, scores: Tensor) -> Tensor:
        """What a discriminator pays for its scores of fakes; a scalar, averaged over all scores."""

    def for_generator(self, scores: Tensor) -> Tensor:
        """What the generators pay for the scores of their fakes: by default what D would pay, were they real."""
        return self.on_real(scores)

    def constraint(self, tensors: Tensors, name: str, reals: Tensor, fakes: Tensor) -> Tensor | None:
        """A further term of the discriminator `name`, a scalar; none by default.

        reals, fakes: (N, C, H, W), as it has just judged them.
        """
        return None

    def generator_loss(self, tensors: Tensors) -> dict[str, Tensor]:
        """The fakes are to be taken for real; a part for each fake, the sum over the discriminators that judge it."""
        parts: dict[str, Tensor] = {}
        for name, (_, fake) in tensors.adversarial_pairs.items():
            fakes = augmented(tensors[fake], self.augment, tensors, "generators", name, "fake")
            score = combined(tensors.network(name)(fakes), self.for_generator, self.reduction)
            parts[fake] = parts[fake] + score if fake in parts else score
        return parts

    def discriminator_loss(self, tensors: Tensors) -> dict[str, Tensor]:
        """Real is to be told from fake; a part for each discriminator. Fakes are detached and go through the pool."""
        parts = {}
        for name, (real, fake) in tensors.adversarial_pairs.items():
            judge = tensors.network(name)
            pool = self.pools[name]
            assert isinstance(pool, Pool)
            fakes = pool.query(tensors[fake].detach(), tensors.rng("pool", name))
            fakes = augmented(fakes, self.augment, tensors, "discriminators", name, "fake")
            reals = augmented(tensors[real], self.augment, tensors, "discriminators", name, "real")
            half = combined(judge(reals), self.on_real, self.reduction)
            half = half + combined(judge(fakes), self.on_fake, self.reduction)
            constraint = self.constraint(tensors, name, reals, fakes)
            if constraint is not None:
                half = half + constraint
            parts[name] = self.discriminator_weight * half
        return parts


def combined(judgement: Tensor | list[Tensor], score: Callable[[Tensor], Tensor], reduction: Reduction) -> Tensor:
    """The scalar `score` of what a discriminator returned; of a list, the mean or the sum of its members' scores."""
    if isinstance(judgement, Tensor):
        return score(judgement)
    scores = torch.stack([score(member) for member in judgement])
    return scores.mean() if reduction == "mean" else scores.sum()

"""The adversarial game: generators and discriminators against each other."""

from __future__ import annotations

from abc import abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from translate_core import Factory, Loss, Method, NoPool, Pool, Tensors, UserError


class AdversarialLoss(Loss):
    """Both halves of the game over every discriminator of the method's `judges`.

    A discriminator returns one map of scores (N, 1, H, W) or several in a list; several are scored each and averaged.
    The discriminator half is 0.5 · (score(D(real), 1) + score(D(pool(fake)), 0)): the 0.5 slows D relative to G
    (Zhu et al. 2017, section 4).
    """

    def __init__(self, pool: Factory[Pool]) -> None:
        super().__init__()
        self._new_pool = pool
        self.pools = nn.ModuleDict()

    def prepare(self, method: Method) -> None:
        """Makes a pool for every discriminator. Raises UserError when the method has none."""
        if not method.judges:
            raise UserError(f"is adversarial, but method {type(method).__name__} has no discriminator")
        self.pools = nn.ModuleDict({name: self._new_pool() for name in method.judges})

    @abstractmethod
    def score(self, judgement: Tensor, real: bool) -> Tensor:
        """How far the scores (N, 1, H, W) are from saying `real`, or not; a scalar, averaged over the map."""

    def generator_loss(self, tensors: Tensors) -> dict[str, Tensor]:
        """The fakes are to be taken for real; a part for each fake."""
        return {
            fake: self._score_all(tensors.network(name)(tensors[fake]), real=True)
            for name, (_, fake) in tensors.judges.items()
        }

    def discriminator_loss(self, tensors: Tensors) -> dict[str, Tensor]:
        """Real is to be told from fake; a part for each discriminator. Fakes are detached and go through the pool."""
        parts = {}
        for name, (real, fake) in tensors.judges.items():
            judge = tensors.network(name)
            pool = self.pools[name]
            assert isinstance(pool, Pool)
            fakes = pool.query(tensors[fake].detach(), tensors.rng("pool", name))
            on_real = self._score_all(judge(tensors[real]), real=True)
            on_fake = self._score_all(judge(fakes), real=False)
            parts[name] = 0.5 * (on_real + on_fake)
        return parts

    def _score_all(self, judgements: Tensor | list[Tensor], *, real: bool) -> Tensor:
        if isinstance(judgements, Tensor):
            return self.score(judgements, real)
        return torch.stack([self.score(judgement, real) for judgement in judgements]).mean()


class LSGAN(AdversarialLoss):
    """Least-squares adversarial loss: mean squared error to 1 for real, to 0 for fake.

    Mao et al., Least Squares Generative Adversarial Networks, ICCV 2017, equation 9; Zhu et al. 2017, section 4.

    Args:
        pool: where each discriminator's fakes come from.
    """

    def __init__(self, *, pool: Factory[Pool] = NoPool) -> None:
        super().__init__(pool)

    def score(self, judgement: Tensor, real: bool) -> Tensor:
        """The mean of (scores - target)²."""
        return F.mse_loss(judgement, torch.full_like(judgement, float(real)))


class BCE(AdversarialLoss):
    """The original adversarial loss: binary cross-entropy on logits, generators in the non-saturating form.

    Goodfellow et al., Generative Adversarial Nets, NeurIPS 2014, equation 1 and section 3. It wants a discriminator
    with `output: logits`.

    Args:
        pool: where each discriminator's fakes come from.
    """

    def __init__(self, *, pool: Factory[Pool] = NoPool) -> None:
        super().__init__(pool)

    def score(self, judgement: Tensor, real: bool) -> Tensor:
        """The mean of -log(sigmoid(scores)), or of -log(1 - sigmoid(scores))."""
        return F.binary_cross_entropy_with_logits(judgement, torch.full_like(judgement, float(real)))

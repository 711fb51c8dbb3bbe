"""The contrastive loss of CUT."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from pydantic import PositiveFloat
from torch import Tensor

from translate_core import UserError
from translate_plugins.losses.pairwise import Pairs, PairwiseLoss, mean_over_members, written

_ITSELF = -10.0
"""What stands for the similarity of a patch with itself, which is no negative: next to nothing after the division."""


class PatchNCE(PairwiseLoss):
    """PatchNCE: a patch of the translation is to be recognised as that of the input at the same place.

    Park et al., Contrastive Learning for Unpaired Image-to-Image Translation, ECCV 2020, section 3: the cross-entropy
    of equation 2, over patches and taps as in equation 3. A query's logits are its products with the key of its own
    place and with those of all other patches of the same image, divided by the temperature; the first is the right one.
    As in the authors' code no gradient flows into the keys, negatives come from the same image only, and among them the
    place of the query itself stands with a similarity of -10. The mean over patches and images, then over taps.

    Each of a pair is a list with an entry for each tap, embeddings (N, P, C) of length 1: P patches at the same places.

    Args:
        temperature: τ, what the products are divided by.
        pairs: queries -> keys, or the name of one of the method's tables of pairs.
    """

    def __init__(self, *, temperature: PositiveFloat = 0.07, pairs: Pairs = "nce") -> None:
        super().__init__(pairs)
        self.temperature = temperature

    def compare(self, output: Any, target: Any) -> Tensor:
        """The mean cross-entropy of one pair, a scalar. Raises UserError for what are no embeddings."""
        return mean_over_members(self._cross_entropy, output, target)

    def _cross_entropy(self, queries: Tensor, keys: Tensor) -> Tensor:
        if queries.dim() != 3:
            raise UserError(
                f"patch_nce compares embeddings, batch × patches × width, and was given {written(queries)}: "
                f"name the output of a projection head in `pairs`"
            )
        keys = keys.detach()
        right = (queries * keys).sum(2, keepdim=True)
        others = queries @ keys.transpose(1, 2)
        itself = torch.eye(queries.shape[1], dtype=torch.bool, device=queries.device)
        logits = torch.cat((right, others.masked_fill(itself, _ITSELF)), 2).flatten(0, 1) / self.temperature
        return F.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.long, device=logits.device))

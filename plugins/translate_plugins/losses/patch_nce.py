"""The contrastive loss of CUT."""

from __future__ import annotations

from typing import Any, Literal

import torch
import torch.nn.functional as F
from pydantic import PositiveFloat
from torch import Tensor

from translate_core import UserError
from translate_plugins.losses.pairwise import Pairs, PairwiseLoss, mean_over_members, shape_text

_MASKED = -10.0
"""Logit, before the division by the temperature, that masks the diagonal: a patch is not its own negative."""


class PatchNCE(PairwiseLoss):
    """PatchNCE: contrastive loss that associates each patch of the translation with the input patch at the same place.

    Park et al., Contrastive Learning for Unpaired Image-to-Image Translation, ECCV 2020, section 3: the cross-entropy
    of equation 2, over patches and taps as in equation 3. A query's logits are its dot products with the key at its own
    place, the positive, and with the keys of all other patches of the same image, the negatives, divided by the
    temperature. As in the authors' code, no gradient flows into the keys, and the diagonal of the negatives is set to
    -10. The mean over patches and images, then over taps.

    Both tensors of a pair are lists with one entry per tap: embeddings (N, P, C) of norm 1, of P patches at the same
    places.

    Args:
        temperature: τ, the divisor of the dot products.
        pairs: queries -> keys, or the name of one of the method's `pairs`.
        negatives: image, those of the same image only, as in CUT; or batch, those of all images of the batch, as in the
            code of the authors of DCLGAN.
        similarity: dot, the dot products; or cosine, these divided by the norms, as in the code of the authors of
            DCLGAN. They differ as far as the norms of the embeddings do from 1: about 1e-6 with the head `mlp`.
    """

    def __init__(
        self,
        *,
        temperature: PositiveFloat = 0.07,
        pairs: Pairs = "nce",
        negatives: Literal["image", "batch"] = "image",
        similarity: Literal["dot", "cosine"] = "dot",
    ) -> None:
        super().__init__(pairs)
        self.temperature = temperature
        self.negatives = negatives
        self.similarity = similarity

    def compare(self, output: Any, target: Any) -> Tensor:
        """The mean cross-entropy of one pair, a scalar. Raises UserError for tensors that are not embeddings."""
        return mean_over_members(self._cross_entropy, output, target)

    def _cross_entropy(self, queries: Tensor, keys: Tensor) -> Tensor:
        if queries.dim() != 3:
            raise UserError(
                f"patch_nce compares embeddings, batch × patches × width, and was given {shape_text(queries)}: "
                f"name the output of a projection head in `pairs`"
            )
        keys = keys.detach()
        if self.negatives == "batch":
            queries, keys = queries.flatten(0, 1)[None], keys.flatten(0, 1)[None]
        if self.similarity == "cosine":
            queries, keys = F.normalize(queries, dim=2), F.normalize(keys, dim=2)
        positive = (queries * keys).sum(2, keepdim=True)
        negatives = queries @ keys.transpose(1, 2)
        diagonal = torch.eye(queries.shape[1], dtype=torch.bool, device=queries.device)
        logits = torch.cat((positive, negatives.masked_fill(diagonal, _MASKED)), 2).flatten(0, 1) / self.temperature
        return F.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.long, device=logits.device))

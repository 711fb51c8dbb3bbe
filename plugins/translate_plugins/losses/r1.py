"""A gradient penalty on real images."""

from __future__ import annotations

from pydantic import PositiveFloat
from torch import Tensor

from translate_core import Loss, Method, Tensors, UserError
from translate_plugins.losses.adversarial import Reduction, combined
from translate_plugins.losses.gradients import gradients_of_scores


class R1(Loss):
    """Gradient penalty of the discriminators on real images, used together with an adversarial loss.

    Mescheder, Geiger and Nowozin, Which Training Methods for GANs do actually Converge?, ICML 2018, equation 9:
    γ/2 · mean ‖∇D(x)‖² over real images x. D's score of an image is the mean over its map; where it returns a list,
    each member has a penalty of its own. The loss is defined for the discriminators only; `gamma` is its weight.
    With `every: 16` in its block it is evaluated in every 16th update and multiplied by 16 (lazy regularisation: Karras
    et al., StyleGAN2, CVPR 2020, appendix B).

    Args:
        gamma: γ, 10 in the paper's experiments on images.
        reduction: how the penalties are combined where a discriminator returns a list: their mean or their sum.
    """

    def __init__(self, *, gamma: PositiveFloat = 10.0, reduction: Reduction = "mean") -> None:
        super().__init__()
        self.gamma = gamma
        self.reduction: Reduction = reduction

    def prepare(self, method: Method) -> None:
        """Raises UserError when the method has no discriminator."""
        if not method.adversarial_pairs:
            raise UserError(f"needs a discriminator, and method {type(method).__name__} has none")

    def discriminator_loss(self, tensors: Tensors) -> dict[str, Tensor]:
        """The penalty of each discriminator, by its name."""
        parts = {}
        for name in tensors.adversarial_pairs:
            gradients = gradients_of_scores(tensors.network(name), *tensors.inputs_of(name, "real"))
            parts[name] = self.gamma / 2 * combined(gradients, _squared, self.reduction)
        return parts


def _squared(gradient: Tensor) -> Tensor:
    """The mean of ‖gradient‖² over the images. gradient: (N, ...)."""
    return gradient.flatten(1).square().sum(1).mean()

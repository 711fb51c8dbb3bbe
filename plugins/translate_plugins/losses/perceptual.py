"""The perceptual loss."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from pydantic import PositiveFloat
from torch import Tensor

from translate_core import Frozen, Method, UserError
from translate_plugins.losses.pairwise import Pairs, PairwiseLoss, images_alone
from translate_plugins.losses.reconstruction import DISTANCES, Distance
from translate_plugins.losses.vgg import VGG, VGGFeatures, trained_weights

_RELU2_2 = {"relu2_2": 1.0}


class Perceptual(PairwiseLoss):
    """Perceptual loss: the distance between the features of two images in a pretrained classification network.

    Johnson, Alahi and Fei-Fei, Perceptual Losses for Real-Time Style Transfer and Super-Resolution, ECCV 2016, equation
    2: the mean squared difference of VGG-16's features, there at relu2_2. With `normalize` MUNIT's domain-invariant
    perceptual loss (Huang et al., ECCV 2018, section 5.1): features are instance-normalised before they are compared,
    which removes much of what is specific to a domain.

    Images in [-1, 1] are normalised with the statistics that the network was trained with; images with one channel are
    treated as greyscale. The network is frozen and not saved. Its weights are downloaded once from torchvision's
    address, unless they are in the cache already.

    Args:
        network: vgg16 or vgg19.
        layers: layer -> its weight in the sum. Layers have the usual names: relu3_3 is the third ReLU of block 3,
            conv3_3 the convolution before it, pool3 the pooling after block 3.
        distance: l2 (as in the papers), l1 or smooth_l1, a mean over all elements of a layer.
        normalize: whether features are instance-normalised.
        weights: file with torchvision's state_dict of the network (.pth, .safetensors), used instead of the file in the
            cache of torch.hub; relative to the current folder.
        pairs: image -> the image that it is compared with, or the name of one of the method's `pairs`.
    """

    vgg: Frozen

    def __init__(
        self,
        *,
        network: VGG = "vgg16",
        layers: dict[str, PositiveFloat] = _RELU2_2,
        distance: Distance = "l2",
        normalize: bool = False,
        weights: str | None = None,
        pairs: Pairs = "perceptual",
    ) -> None:
        super().__init__(pairs)
        if not layers:
            raise UserError("layers is empty: give at least one, such as {relu2_2: 1}")
        self.network: VGG = network
        self.layers = dict(layers)
        self.distance = DISTANCES[distance]
        self.normalize = normalize
        self.weights = weights

    def prepare(self, method: Method) -> None:
        """Loads the network. Raises UserError for pairs, layers or weights that do not exist."""
        super().prepare(method)
        vgg = VGGFeatures(self.network, self.layers)
        vgg.load(trained_weights(self.network) if self.weights is None else Path(self.weights))
        self.vgg = Frozen(vgg)

    def compare(self, output: Any, target: Any) -> Tensor:
        """The weighted sum over layers. Raises UserError for tensors that are not images, and for images too small."""
        first, second = (self.vgg(images_alone("perceptual", value)) for value in (output, target))
        terms = []
        for layer, weight in self.layers.items():
            x, y = first[layer], second[layer]
            if self.normalize:
                x, y = F.instance_norm(x), F.instance_norm(y)
            terms.append(weight * self.distance(x, y))
        return torch.stack(terms).sum()

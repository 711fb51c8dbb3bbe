"""VGG features of images, from weights trained on ImageNet."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from translate_core import UserError, did_you_mean, read_weights, sha256_of
from translate_plugins.fetching.once import make_once
from translate_plugins.fetching.transfer import TransferError, discard, transfer
from translate_plugins.losses.pairwise import shape_text

VGG = Literal["vgg16", "vgg19"]

_MEAN_AND_DEVIATION = ((0.485, 0.229), (0.456, 0.224), (0.406, 0.225))
"""Mean and standard deviation of red, green and blue on ImageNet, for values in 0 … 1."""


class VGGFeatures(nn.Module):
    """Features of a VGG network (Simonyan and Zisserman, ICLR 2015) at layers of the usual names, `relu2_2`.

    The networks are torchvision's, cut off after the deepest of the layers.

    Args:
        network: vgg16 or vgg19.
        layers: conv, relu and pool with block and position in the block: conv1_1, relu1_1, … pool1, conv2_1, …

    Raises UserError for layers that the network does not have. `load` reads the weights.
    """

    def __init__(self, network: VGG, layers: Collection[str]) -> None:
        super().__init__()
        with torch.device("meta"):  # saves torchvision the initialisation of 100 million weights
            whole = _torchvision_builder(network)(weights=None, init_weights=False).features
        names = _names(whole)
        for layer in layers:
            if layer not in names:
                raise UserError(
                    f"{network} has no layer '{layer}'{did_you_mean(layer, names)} It has: {', '.join(names)}"
                )
        self.network = network
        self.taps = {names.index(layer): layer for layer in layers}
        self.features = whole[: max(self.taps) + 1]
        for index in self.taps:
            after = index + 1
            if after < len(self.features) and isinstance(self.features[after], nn.ReLU):
                self.features[after] = (
                    nn.ReLU()
                )  # torchvision's computes in place and would overwrite the features of this layer
        self.smallest = 2 ** sum(isinstance(layer, nn.MaxPool2d) for layer in self.features)

    def load(self, file: Path) -> None:
        """Loads the weights. file: a state_dict with torchvision's names, of at least the tensors that are needed.

        Raises UserError for a file of another network.
        """
        state = read_weights(file)
        own = self.features.state_dict()
        missing = [f"features.{key}" for key in own if f"features.{key}" not in state]
        if missing:
            raise UserError(f"{file} is not a state_dict of torchvision's {self.network}: it has no {missing[0]}")
        for key, value in own.items():
            given = state[f"features.{key}"]
            if given.shape != value.shape:
                raise UserError(
                    f"{file} is not a state_dict of torchvision's {self.network}: its features.{key} is "
                    f"{shape_text(given)}, not {shape_text(value)}"
                )
        loaded = {key: state[f"features.{key}"].to(torch.float32) for key in own}
        self.features.load_state_dict(loaded, assign=True)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """images: (N, 1 or 3, H, W) in [-1, 1]; one channel is greyscale. Returns features by layer.

        Raises UserError for other numbers of channels, and for images too small for the deepest layer.
        """
        channels, height, width = images.shape[1:]
        if channels not in (1, 3):
            raise UserError(f"{self.network} takes images with 1 or 3 channels, and was given {channels}")
        if min(height, width) < self.smallest:
            deepest = self.taps[max(self.taps)]
            raise UserError(
                f"{self.network} needs images of at least {self.smallest}×{self.smallest} up to {deepest}, "
                f"and was given {height}×{width}"
            )
        x = ((images + 1) / 2).expand(-1, 3, -1, -1)
        # Plain numbers do not change the dtype of the images.
        x = torch.stack([(x[:, i] - mean) / std for i, (mean, std) in enumerate(_MEAN_AND_DEVIATION)], 1)
        found = {}
        for index, layer in enumerate(self.features):
            x = layer(x)
            if index in self.taps:
                found[self.taps[index]] = x
        return found


def trained_weights(network: VGG) -> Path:
    """The path of torchvision's weights trained on ImageNet, in the cache of torch.hub; downloaded if missing.

    The file name contains the first digits of the SHA-256, against which a download is checked before it is renamed.
    Raises UserError when the file is missing and cannot be downloaded.
    """
    url = _address(network)
    file = Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]

    def fetch() -> None:
        part = file.with_name(file.name + ".part")
        transfer(url, part)
        _check(part, file.name)
        part.replace(file)
        discard(part)

    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        make_once(file, fetch)
    except (TransferError, OSError) as error:
        raise UserError(
            f"needs the weights of {network}, which are not at {file} and could not be downloaded from {url}: {error}. "
            f"Put the file there by hand, or give its path: `weights: FILE`"
        ) from None
    return file


def _check(part: Path, name: str) -> None:
    """Removes the file and raises TransferError unless its SHA-256 begins with the digits in the name."""
    expected = re.search(r"-([0-9a-f]{8,})\.", name)
    assert expected is not None
    digest = sha256_of(part)
    if not digest.startswith(expected[1]):
        discard(part)
        raise TransferError(f"its content does not match its name (SHA-256 {digest[:8]}…)")


def _names(features: nn.Sequential) -> list[str]:
    """The usual names of the layers, in torchvision's order."""
    names = []
    block, place = 1, 0
    for layer in features:
        if isinstance(layer, nn.MaxPool2d):
            names.append(f"pool{block}")
            block, place = block + 1, 0
        elif isinstance(layer, nn.Conv2d):
            place += 1
            names.append(f"conv{block}_{place}")
        else:
            names.append(f"relu{block}_{place}")
    return names


def _torchvision_builder(network: VGG) -> Callable[..., Any]:
    """Imports torchvision on first use, since its import takes longer than all others together."""
    return getattr(importlib.import_module("torchvision.models"), network)


def _address(network: VGG) -> str:
    """The address of torchvision's weights trained on ImageNet."""
    trained = getattr(importlib.import_module("torchvision.models"), f"{network.upper()}_Weights")
    return str(trained.IMAGENET1K_V1.url)

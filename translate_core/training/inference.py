"""Tensors of single images in evaluation mode: for samples, metrics and translations."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from translate_core.contracts.method import Method
from translate_core.contracts.network import Calls, Network
from translate_core.runtime.randomness import Draws
from translate_core.training.size_constraint import SizeConstraint, crop


class Inference:
    """Computes the tensors of a method for images of any size, without gradients.

    Images and label maps are padded to the sizes that the networks take; the tensors computed from them are cropped to
    the size of the images. `size_constraint` is that of the networks that the directions reach.
    """

    def __init__(
        self,
        method: Method,
        networks: Mapping[str, Network],
        calls: Calls,
        size_constraint: SizeConstraint,
        device: torch.device,
        needed: frozenset[str] = frozenset(),
    ) -> None:
        self._method = method
        self._networks = networks
        self._calls = calls
        self._size_constraint = size_constraint
        self._device = device
        self._needed = needed

    def tensors(
        self,
        given: str,
        images: Mapping[str, Tensor],
        draws: Draws,
        values: Mapping[str, Tensor] | None = None,
        options: Mapping[str, int | float] | None = None,
    ) -> CroppedTensors:
        """The tensors that follow from `images`, computed on first use.

        given: the name of the image whose size tensors are cropped to. images: (N, C, H, W) in [-1, 1], or label maps,
        on the device, by name. draws: decides all randomness, that of dropout included. values: given tensors without
        height and width, such as a style or a label. options: of the direction.
        """
        height, width = images[given].shape[-2:]
        padded = {name: self._size_constraint.pad(image) for name, image in images.items()}
        draws.reseed_ambient(self._device, given)
        bound = self._method.tensors(
            {**padded, **(values or {})},
            self._networks,
            self._calls,
            draws,
            grad=False,
            needed=self._needed,
            options=options,
        )
        return CroppedTensors(bound, (height, width))


class CroppedTensors:
    """The tensors of padded images, cropped back.

    bound: the method with the uncropped tensors. size: (height, width) of the images.
    """

    def __init__(self, bound: Method, size: tuple[int, int]) -> None:
        self.bound = bound
        self.size = size

    def __getitem__(self, name: str) -> Tensor:
        """A tensor, cropped at the right and lower edges."""
        value: Tensor = self.bound[name]
        return crop(value, *self.size)

"""Tensors as pictures for sample grids."""

from __future__ import annotations

import torch
from torch import Tensor

from translate_core.contracts.dataset import to_uint8


def as_picture(tensor: Tensor) -> Tensor:
    """The first image of a batch as uint8 (3, H, W) on the CPU.

    tensor: images (N, C, H, W) in [-1, 1], of which grey is repeated and more than three channels are cut; or label
    maps, integers (N, 1, H, W), which are drawn with a palette.
    """
    if not tensor.is_floating_point():
        return _coloured(tensor[0, 0].long().cpu())
    image = to_uint8(tensor)[0].cpu()
    return image[:3] if image.shape[0] >= 3 else image[:1].expand(3, -1, -1)


def _coloured(classes: Tensor) -> Tensor:
    """A map of class numbers (H, W) in colours, (3, H, W): class 0 is black, small numbers differ most.

    The palette of PASCAL VOC: the bits of a number, three at a time, are the leading bits of red, green and blue.
    """
    colours = torch.zeros(3, *classes.shape, dtype=torch.uint8)
    for bit in range(8):
        for channel in range(3):
            part = ((classes >> (3 * bit + channel)) & 1) << (7 - bit)
            colours[channel] |= part.to(torch.uint8)
    return colours

"""Images of any size through networks that need multiples: padded, and cropped back."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class SizeConstraint:
    """The sizes of images that a set of networks takes.

    multiple: sides must be multiples of it. smallest: sides must be at least this long.
    """

    multiple: int
    smallest: int

    @classmethod
    def of(cls, networks: Iterable[nn.Module]) -> SizeConstraint:
        """The constraint of all these networks, from their attributes `multiple` and `smallest`, which default to 1."""
        modules = list(networks)
        multiples = [int(getattr(module, "multiple", 1)) for module in modules]
        return cls(math.lcm(*multiples), max((int(getattr(module, "smallest", 1)) for module in modules), default=1))

    def pad(self, images: Tensor) -> Tensor:
        """Pads images (N, C, H, W) at the right and lower edges: by reflection if possible, then by repetition.

        Label maps, which hold integers, are padded by repetition.
        """
        height, width = images.shape[-2:]
        bottom, right = self._missing(height), self._missing(width)
        if not images.is_floating_point():
            rows = torch.arange(height + bottom, device=images.device).clamp(max=height - 1)
            columns = torch.arange(width + right, device=images.device).clamp(max=width - 1)
            return images.index_select(-2, rows).index_select(-1, columns)
        while bottom or right:
            step = (0, min(right, images.shape[-1] - 1), 0, min(bottom, images.shape[-2] - 1))
            if step == (0, 0, 0, 0):
                return F.pad(images, (0, right, 0, bottom), mode="replicate")
            images = F.pad(images, step, mode="reflect")
            right, bottom = right - step[1], bottom - step[3]
        return images

    def _missing(self, side: int) -> int:
        wanted = max(side, self.smallest)
        return -(-wanted // self.multiple) * self.multiple - side


def crop(images: Tensor, height: int, width: int) -> Tensor:
    """Images of that size, without what padding added at the right and lower edges."""
    return images[..., :height, :width]

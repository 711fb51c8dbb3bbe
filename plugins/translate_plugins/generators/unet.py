"""The U-Net generator of pix2pix."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from translate_plugins.halvings import MOST
from translate_plugins.norms import Norm, conv_bias, norm_layer
from translate_plugins.taps import check_taps


class AlwaysDropout(nn.Dropout):
    """Dropout that stays active in evaluation mode."""

    def forward(self, input: Tensor) -> Tensor:
        """Zeroes each value with probability p and divides the others by 1 - p, in either mode."""
        return F.dropout(input, self.p, training=True)


class Level(nn.Module):
    """One level of the U: a halving, the deeper levels, a doubling, and the skip around them.

    Returns its activated input and its output, concatenated. `inner` is the next deeper level, None in the innermost.
    test_like_training: whether dropout and batch norm compute the same in evaluation mode as in training mode.
    """

    def __init__(
        self, outer: int, depth: int, inner: Level | None, norm: Norm, dropout: float, test_like_training: bool
    ) -> None:
        super().__init__()
        bias = conv_bias(norm)
        dropout_layer = AlwaysDropout if test_like_training else nn.Dropout
        # The output of a deeper level is concatenated with its skip.
        up_in = depth if inner is None else 2 * depth
        self.model = nn.Sequential(
            # In place, so the skip carries the activated input. The ReLU after the concatenation gives the same result
            # for both, and one feature map less is kept in memory.
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(outer, depth, kernel_size=4, stride=2, padding=1, bias=bias),
            *([] if inner is None else [norm_layer(norm, depth, running=not test_like_training), inner]),
            nn.ReLU(inplace=True),
            nn.ConvTranspose2d(up_in, outer, kernel_size=4, stride=2, padding=1, bias=bias),
            norm_layer(norm, outer, running=not test_like_training),
            *([dropout_layer(dropout)] if dropout > 0 else []),
        )

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, outer, H, W), overwritten by its activation. Returns (N, 2 · outer, H, W)."""
        y: Tensor = self.model(x)
        return torch.cat((x, y), dim=1)

    def with_maps(self, x: Tensor, maps: list[Tensor]) -> Tensor:
        """As `forward`. maps: the output of each convolution on the way down, before its norm, is added to these."""
        return torch.cat((x, _with_maps(self.model, 1, x, maps)), dim=1)


class Outermost(nn.Module):
    """The first halving and the last doubling, without norm and skip, followed by tanh."""

    def __init__(self, in_channels: int, out_channels: int, width: int, inner: Level, norm: Norm) -> None:
        super().__init__()
        self.model = nn.Sequential(
            nn.Conv2d(in_channels, width, kernel_size=4, stride=2, padding=1, bias=conv_bias(norm)),
            inner,
            nn.ReLU(inplace=True),
            nn.ConvTranspose2d(2 * width, out_channels, kernel_size=4, stride=2, padding=1),
            nn.Tanh(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, in_channels, H, W). Returns (N, out_channels, H, W)."""
        y: Tensor = self.model(x)
        return y


def _with_maps(layers: nn.Sequential, convolution: int, x: Tensor, maps: list[Tensor]) -> Tensor:
    """The output of these layers; adds the maps of the levels. convolution: the index of the first one's layer."""
    for index, layer in enumerate(layers):
        x = layer.with_maps(x, maps) if isinstance(layer, Level) else layer(x)
        if index == convolution:
            maps.append(x)
            x = x.clone()  # the next layer may compute in place
    return x


class UNet(nn.Module):
    """The U-Net generator: `downs` halvings, as many doublings, and skips between maps of one size.

    The generator of pix2pix (Isola et al., CVPR 2017, section 3.2.1 and appendix 6.1.1), in the layout of the authors'
    PyTorch code, whose weights can be loaded: `unet_256` has 8 downs, `unet_128` has 7. Halvings are 4×4 convolutions
    of stride 2, doublings 4×4 transposed ones; LeakyReLU 0.2 before each halving but the first, ReLU before each
    doubling. A norm follows every convolution except the first, the innermost halving and the last. Channels are 1, 2,
    4, 8, 8, … times `width`. Convolutions have a bias with norm instance only; the last always has one.

    Its taps: `image`, the input; `down1`, `down2` …, the output of the convolution of that halving, before its norm.

    Takes (N, in_channels, H, W) in [-1, 1], H and W multiples of `multiple`; returns (N, out_channels, H, W) in
    [-1, 1]. Other sides raise torch's RuntimeError.

    Args:
        in_channels: channels of the input images.
        out_channels: channels of the output images.
        downs: number of halvings; 8 reduce 256×256 to 1×1.
        width: channels after the first convolution.
        norm: instance (no affine weights, no running statistics), batch, or none.
        dropout: probability of zeroing a value after the doublings' norm, in the `downs` - 5 levels that lie between
            the innermost and the four outermost; pix2pix uses 0.5, and 0 omits the layers.
        test_like_training: translate as in training, as pix2pix does (section 3.3 of its paper): dropout is active and
            its draws depend on the run's seed; batch norm uses the statistics of the current images and keeps no
            running statistics. Files of weights with running statistics can still be loaded.
    """

    multiple: int
    smallest: int
    taps: Mapping[str, int]
    """Channels of the maps that `features` returns, by name."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        downs: Annotated[int, Field(ge=2, le=MOST)] = 8,
        width: PositiveInt = 64,
        norm: Norm = "instance",
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0,
        test_like_training: bool = False,
    ) -> None:
        super().__init__()
        self.multiple = self.smallest = 2**downs
        widths = [width * min(2**level, 8) for level in range(downs)]
        self.taps = {"image": in_channels, **{f"down{down}": channels for down, channels in enumerate(widths, start=1)}}
        inner = Level(widths[-2], widths[-1], None, norm, 0.0, test_like_training)
        for level in reversed(range(1, downs - 1)):
            dropped = dropout if level >= 4 else 0.0
            inner = Level(widths[level - 1], widths[level], inner, norm, dropped, test_like_training)
        self.model = Outermost(in_channels, out_channels, width, inner, norm)

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, in_channels, H, W). Returns (N, out_channels, H, W) in [-1, 1]."""
        y: Tensor = self.model(x)
        return y

    def features(self, x: Tensor, taps: tuple[str, ...]) -> list[Tensor]:
        """x: (N, in_channels, H, W). Returns the maps at those taps, in that order, computing no deeper than needed.

        Raises UserError for a tap that is not among `taps` of the network.
        """
        check_taps(taps, self.taps)
        names = tuple(self.taps)
        deepest = max((names.index(name) for name in taps), default=0)
        found = {"image": x}
        for name, (convolution, norm) in zip(names[1 : deepest + 1], self._halvings(), strict=False):
            x = found[name] = convolution(x)
            if name != names[deepest]:
                # Not in place as in `Level`, which would overwrite the map just stored.
                x = F.leaky_relu(x if norm is None else norm(x), 0.2)
        return [found[name] for name in taps]

    def with_features(self, x: Tensor, taps: tuple[str, ...]) -> tuple[Tensor, list[Tensor]]:
        """Returns what `forward` returns, and the maps at those taps, in that order, computed in one pass.

        Raises UserError for a tap that is not among `taps` of the network.
        """
        check_taps(taps, self.taps)
        maps = [x]
        output = _with_maps(self.model.model, 0, x, maps)
        found = dict(zip(self.taps, maps, strict=True))
        return output, [found[name] for name in taps]

    def _halvings(self) -> Iterator[tuple[nn.Module, nn.Module | None]]:
        """The convolution of each halving, outermost first, and the norm after it."""
        yield self.model.model[0], None
        level = self.model.model[1]
        while isinstance(level, Level):
            _, convolution, norm, deeper, *_ = level.model
            yield convolution, norm
            level = deeper

"""The multi-scale discriminator of MUNIT."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

from pydantic import PositiveInt
from torch import Tensor, nn

from translate_plugins.norms import Norm, norm_layer, spectrally_normed
from translate_plugins.taps import check_taps, output_and_taps


class Multiscale(nn.Module):
    """Multi-scale discriminator: one network for each of the sizes x, x / 2, x / 4 ….

    Wang et al., pix2pixHD, CVPR 2018, section 3.2; the defaults are those of MUNIT (Huang et al., ECCV 2018, section
    5.1), 8,271,171 parameters. Each network is 4×4 convolutions of stride 2, the channels doubling from each to the
    next, LeakyReLU 0.2 after each and a norm before it after all but the first; then a 1×1 convolution to a single
    channel. All convolutions have a bias. Images are halved by averages over 3×3 pixels, which leave out the padding.

    Its taps: `scale1_stage1`, `scale1_stage2` … `scale2_stage1` …, the output of each 4×4 convolution, after its norm
    and its activation, of each of the networks.

    Takes (N, in_channels, H, W) of sides of at least `smallest`; returns a list of logits, one (N, 1, h, w) for each
    size, the largest first, h = floor(H / 2^layers) in it. Smaller sides raise torch's RuntimeError.

    Args:
        in_channels: channels of the input images.
        scales: number of networks.
        layers: number of convolutions of stride 2 in each.
        width: channels after the first convolution.
        norm: none, instance (no affine weights, no running statistics) or batch.
        padding: of the 4×4 convolutions.
        spectral_norm: divide every weight by its largest singular value (Miyato et al., ICLR 2018).
    """

    multiple: int
    smallest: int
    taps: Mapping[str, int]
    """Channels of the maps that `features` returns, by name."""

    def __init__(
        self,
        in_channels: int,
        *,
        scales: PositiveInt = 3,
        layers: PositiveInt = 4,
        width: PositiveInt = 64,
        norm: Norm = "none",
        padding: Literal["zero", "reflect", "replicate"] = "reflect",
        spectral_norm: bool = False,
    ) -> None:
        super().__init__()
        self.multiple = 1
        # The last map of the smallest scale needs at least one value, and with a norm more than one.
        self.smallest = 2**layers if norm == "none" or layers == 1 else 2 ** (layers + 1)
        for _ in range(scales - 1):
            self.smallest = 2 * self.smallest - 1
        mode: Literal["zeros", "reflect", "replicate"] = "zeros" if padding == "zero" else padding
        # Each stage is a convolution and an activation, and from the second on a norm between them.
        self._places = {f"stage{layer}": 3 * layer - 2 for layer in range(1, layers + 1)}
        self.taps = {
            _tap(scale, stage): width * 2**layer
            for scale in range(1, scales + 1)
            for layer, stage in enumerate(self._places)
        }

        def network() -> nn.Sequential:
            stages: list[nn.Module] = []
            channels = in_channels
            for layer in range(layers):
                wider = width * 2**layer
                convolution = nn.Conv2d(channels, wider, 4, stride=2, padding=1, padding_mode=mode)
                stages += [
                    spectrally_normed(convolution, spectral_norm),
                    *([norm_layer(norm, wider)] if layer > 0 else []),
                    nn.LeakyReLU(0.2, inplace=True),
                ]
                channels = wider
            return nn.Sequential(*stages, spectrally_normed(nn.Conv2d(channels, 1, 1), spectral_norm))

        self.networks = nn.ModuleList(network() for _ in range(scales))
        self.halve = nn.AvgPool2d(3, stride=2, padding=1, count_include_pad=False)

    def forward(self, x: Tensor) -> list[Tensor]:
        """x: (N, in_channels, H, W). Returns logits for each size, high where a patch looks real."""
        return [network(image) for network, image in zip(self.networks, self._sizes(x), strict=True)]

    def features(self, x: Tensor, taps: tuple[str, ...]) -> list[Tensor]:
        """x: (N, in_channels, H, W). Returns the maps at those taps, in that order.

        Raises UserError for a tap that is not among `taps` of the network.
        """
        return self.with_features(x, taps)[1]

    def with_features(self, x: Tensor, taps: tuple[str, ...]) -> tuple[list[Tensor], list[Tensor]]:
        """Returns what `forward` returns, and the maps at those taps, in that order, computed in one pass.

        Raises UserError for a tap that is not among `taps` of the network.
        """
        check_taps(taps, self.taps)
        scores, maps = [], {}
        for scale, (network, image) in enumerate(zip(self.networks, self._sizes(x), strict=True), start=1):
            assert isinstance(network, nn.Sequential)
            stages = tuple(stage for stage in self._places if _tap(scale, stage) in taps)
            score, found = output_and_taps(network, self._places, image, stages)
            scores.append(score)
            maps.update({_tap(scale, stage): each for stage, each in zip(stages, found, strict=True)})
        return scores, [maps[name] for name in taps]

    def _sizes(self, x: Tensor) -> Iterator[Tensor]:
        """The images of each size, the largest first."""
        for scale in range(len(self.networks)):
            if scale > 0:
                x = self.halve(x)
            yield x


def _tap(scale: int, stage: str) -> str:
    return f"scale{scale}_{stage}"

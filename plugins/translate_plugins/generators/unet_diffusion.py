"""The U-Net of diffusion models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from translate_plugins.generators.time_blocks import (
    Doubling,
    Halving,
    ResidualBlock,
    SelfAttention,
    Stage,
    time_embedding,
    zeroed,
)

Resample = Literal["residual", "convolution"]


@dataclass(frozen=True)
class _Layers:
    """Builds the layers of one network from its options."""

    width: int
    multipliers: tuple[int, ...]
    blocks: int
    attention: tuple[int, ...]
    head_channels: int
    groups: int
    dropout: float
    scaled: bool
    resample: Resample

    def channels(self, level: int) -> int:
        return self.width * self.multipliers[level]

    def residual(self, channels: int, out: int, resize: Literal["down", "up"] | None = None) -> ResidualBlock:
        return ResidualBlock(
            channels, out, 4 * self.width, groups=self.groups, dropout=self.dropout, scaled=self.scaled, resize=resize
        )

    def attend(self, channels: int) -> SelfAttention:
        return SelfAttention(channels, self.head_channels, self.groups)

    def block(self, level: int, channels: int) -> list[nn.Module]:
        """A residual block to the channels of that level, and attention if the level has it."""
        out = self.channels(level)
        attention = [self.attend(out)] if 2**level in self.attention else []
        return [self.residual(channels, out), *attention]

    def down(self, in_channels: int) -> tuple[list[Stage], list[int]]:
        """The stages on the way down, the first convolution included, and the channels that each of them returns."""
        stages = [Stage([nn.Conv2d(in_channels, self.width, 3, padding=1)])]
        skips = [self.width]
        for level in range(len(self.multipliers)):
            if level > 0:
                inner = skips[-1]
                stages.append(Stage([self.residual(inner, inner, "down") if self._residual else Halving(inner)]))
                skips.append(inner)
            for _ in range(self.blocks):
                stages.append(Stage(self.block(level, skips[-1])))
                skips.append(self.channels(level))
        return stages, skips

    def up(self, skips: list[int]) -> list[Stage]:
        """The stages on the way up. skips: channels that the stages on the way down return, the first one first."""
        stages = []
        channels = skips[-1]
        for level in reversed(range(len(self.multipliers))):
            for last in [False] * self.blocks + [True]:
                layers = self.block(level, channels + skips.pop())
                channels = self.channels(level)
                if last and level > 0:
                    layers.append(self.residual(channels, channels, "up") if self._residual else Doubling(channels))
                stages.append(Stage(layers))
        return stages

    @property
    def _residual(self) -> bool:
        return self.resample == "residual"


class UNetDiffusion(nn.Module):
    """The U-Net of diffusion models, conditioned on a time: for methods whose generator has the condition `time`.

    Ho et al., Denoising Diffusion Probabilistic Models, NeurIPS 2020, with the changes of Dhariwal and Nichol,
    Diffusion Models Beat GANs on Image Synthesis, NeurIPS 2021, section 3, in the layout of the authors' code, on which
    later methods build. A 3×3 convolution; at each level residual blocks, then a halving; two residual blocks with
    attention between them; at each level one residual block more than on the way down, each on the concatenation with
    the output of its counterpart, then a doubling; norm, SiLU, a 3×3 convolution. Norms are group norms. The sinusoidal
    embedding of the time passes through two linear layers and conditions each residual block.

    The last convolution of each residual block, of each attention and of the network begin as 0, so a new network
    returns 0. Only `init: {type: none}` keeps that: any other init of a recipe draws these weights too.

    Takes (N, in_channels, H, W), H and W multiples of `multiple`, and a time (N,), integer or floating. Returns
    (N, out_channels, H, W) of any range, since what is predicted (noise, a difference of images) is not an image. Other
    sides raise torch's RuntimeError. For images concatenated along the channels, in_channels is the sum of theirs.

    Args:
        in_channels: channels of the input, the sum over the images that are concatenated.
        out_channels: channels of the output.
        width: channels of the first convolution and of the time's embedding; a multiple of `groups`.
        multipliers: by level, channels as a multiple of `width`. The number of levels is one more than that of
            halvings.
        blocks: residual blocks at each level on the way down.
        attention: reductions of the sides (1, 2, 4 …) at whose levels attention follows each residual block. Its
            time grows with the fourth power of the side. The innermost attention does not depend on this option.
        head_channels: channels of one attention head; must divide the channels of each level that has attention, and
            of the innermost.
        groups: groups of each norm.
        dropout: probability of zeroing a value before the last convolution of a residual block.
        scaled: condition each residual block by a scale and a bias (adaptive group norm); otherwise by a bias only.
        resample: how sides are halved and doubled: `residual`, by residual blocks that average or repeat values, or
            `convolution`, by one convolution.
    """

    multiple: int
    smallest: int

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        width: PositiveInt = 128,
        multipliers: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (1, 4, 8),
        blocks: PositiveInt = 2,
        attention: tuple[PositiveInt, ...] = (),
        head_channels: PositiveInt = 64,
        groups: PositiveInt = 32,
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0,
        scaled: bool = True,
        resample: Resample = "residual",
    ) -> None:
        super().__init__()
        _check(width, multipliers, attention, head_channels, groups)
        self.width = width
        self.multiple = 2 ** (len(multipliers) - 1)
        # A group norm of one channel per group cannot normalise maps of 1×1, which the last halving returns.
        self.smallest = self.multiple * (2 if groups == width * min(multipliers[-2:]) else 1)
        layers = _Layers(
            width, multipliers, blocks, attention, head_channels, groups, dropout, scaled=scaled, resample=resample
        )
        self.time_embed = nn.Sequential(nn.Linear(width, 4 * width), nn.SiLU(), nn.Linear(4 * width, 4 * width))
        stages, skips = layers.down(in_channels)
        inner, outer = skips[-1], layers.channels(0)
        self.input_blocks = nn.ModuleList(stages)
        self.middle_block = Stage([layers.residual(inner, inner), layers.attend(inner), layers.residual(inner, inner)])
        self.output_blocks = nn.ModuleList(layers.up(skips))
        self.out = nn.Sequential(
            nn.GroupNorm(groups, outer), nn.SiLU(), zeroed(nn.Conv2d(outer, out_channels, 3, padding=1))
        )

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """x: (N, in_channels, H, W). time: (N,). Returns (N, out_channels, H, W)."""
        embedded = self.time_embed(time_embedding(time, self.width, x.dtype))
        skips = []
        for stage in self.input_blocks:
            x = stage(x, embedded)
            skips.append(x)
        x = self.middle_block(x, embedded)
        for stage in self.output_blocks:
            x = stage(torch.cat((x, skips.pop()), dim=1), embedded)
        y: Tensor = self.out(x)
        return y


def _check(
    width: int, multipliers: tuple[int, ...], attention: tuple[int, ...], head_channels: int, groups: int
) -> None:
    """Raises ValueError for options that do not fit each other."""
    if width % groups:
        raise ValueError(f"width {width} is not a multiple of groups {groups}")
    levels = {2**level: width * multiplier for level, multiplier in enumerate(multipliers)}
    for reduction in attention:
        if reduction not in levels:
            raise ValueError(
                f"attention {reduction}: the reductions of these multipliers are {', '.join(map(str, levels))}"
            )
    attending = {*(levels[reduction] for reduction in attention), width * multipliers[-1]}
    for channels in sorted(attending):
        if channels % head_channels:
            raise ValueError(f"head_channels {head_channels} does not divide the {channels} channels that attend")

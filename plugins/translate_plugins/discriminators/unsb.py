"""The discriminator and the energy network of UNSB."""

from __future__ import annotations

from itertools import pairwise

from pydantic import PositiveInt
from torch import Tensor, nn

from translate_plugins.norms import norm_layer
from translate_plugins.sampling import BlurDown
from translate_plugins.time_embedding import TimeEmbedding


class TimedStage(nn.Module):
    """A 4×4 convolution, a term for each channel that depends on the time, a norm, LeakyReLU 0.2, downsampling.

    normed, halves: whether it has the norm; whether it downsamples. Without downsampling it still has the buffer of the
    blur, which the published weights hold.
    """

    def __init__(self, inputs: int, outputs: int, embedded: int, *, normed: bool, halves: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 4, padding=1)
        self.norm = norm_layer("instance" if normed else "none", outputs)
        self.act = nn.LeakyReLU(0.2, inplace=True)
        self.down = BlurDown(outputs)
        self.dense = nn.Linear(embedded, outputs)
        self.halves = halves

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """x: (N, inputs, H, W). embedding: (N, embedded). Returns (N, outputs, …)."""
        y = self.act(self.norm(self.conv1(x) + self.dense(embedding)[..., None, None]))
        return self.down(y) if self.halves else y


class UNSBDiscriminator(nn.Module):
    """The patch discriminator of UNSB, which takes the index of a time step; also its energy network.

    Kim et al., Unpaired Image-to-Image Translation via Neural Schrödinger Bridge, ICLR 2024, in the version of the
    authors' code, whose weights can be loaded: the antialiased PatchGAN of CUT with a term for each channel, computed
    from the time, added to the output of every convolution but the last. After all but the first convolution an
    instance norm follows, which removes this term; so the time has an effect in the first stage only. The weights of
    the other terms (`dense`) have a true gradient of zero and change by rounding errors only.

    Takes (N, in_channels, H, W) with sides of at least `smallest` and indices of time steps (N,); returns
    (N, 1, H', W') with H' = floor(H / 2^layers) - 2. Smaller sides raise torch's ValueError or RuntimeError.

    Args:
        in_channels: channels of the input images; the energy network takes four images, concatenated.
        layers: number of downsamplings.
        width: channels after the first convolution. The embedding of the time has 4 · `width` channels.
    """

    multiple: int
    smallest: int

    def __init__(self, in_channels: int, *, layers: PositiveInt = 3, width: PositiveInt = 64) -> None:
        super().__init__()
        self.multiple = 1
        self.smallest = 3 * 2**layers
        embedded = 4 * width
        widths = [in_channels, *(width * min(2**layer, 8) for layer in range(layers + 1))]
        self.model_main = nn.ModuleList(
            TimedStage(inputs, outputs, embedded, normed=layer > 0, halves=layer < layers)
            for layer, (inputs, outputs) in enumerate(pairwise(widths))
        )
        self.final_conv = nn.Conv2d(widths[-1], 1, 4, padding=1)
        self.t_embed = TimeEmbedding(embedded)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """x: (N, in_channels, H, W). time: (N,), int64, indices of time steps. Returns (N, 1, H', W')."""
        embedding = self.t_embed(time)
        for stage in self.model_main:
            x = stage(x, embedding)
        y: Tensor = self.final_conv(x)
        return y

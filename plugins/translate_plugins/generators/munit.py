"""The autoencoder of MUNIT, which separates content and style."""

from __future__ import annotations

from pydantic import PositiveInt
from torch import Tensor, nn

from translate_plugins.generators.resnet import ResidualBlock
from translate_plugins.halvings import Halvings
from translate_plugins.norms import AdaIN, SampleNorm, norm_layer
from translate_plugins.padding import PADS


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1) -> list[nn.Module]:
    """A reflect-padded convolution with bias; its output has the sides of the input divided by the stride."""
    return [PADS["reflect"]((kernel - 1) // 2), nn.Conv2d(inputs, outputs, kernel, stride=stride)]


def _relu() -> nn.Module:
    return nn.ReLU(inplace=True)


class StyledBlock(nn.Module):
    """A residual block whose two norms are AdaIN: x + AdaIN(conv(ReLU(AdaIN(conv(x)))))."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Sequential(*_conv(channels, channels, 3))
        self.norm1 = AdaIN(channels)
        self.relu = _relu()
        self.conv2 = nn.Sequential(*_conv(channels, channels, 3))
        self.norm2 = AdaIN(channels)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """x: (N, C, H, W). style: (N, 4 · C), for each norm C biases, then C scales. Returns the shape of x."""
        bias1, scale1, bias2, scale2 = style.chunk(4, dim=1)
        y = self.relu(self.norm1(self.conv1(x), scale1, bias1))
        return x + self.norm2(self.conv2(y), scale2, bias2)


class MUNITGenerator(nn.Module):
    """The autoencoder of MUNIT: an image to its content and its style, and content and style to an image.

    Huang et al., Multimodal Unsupervised Image-to-Image Translation, ECCV 2018, section 5.1 and appendix B. All
    convolutions have a bias and are reflect-padded. The content encoder is a 7×7 convolution, halvings by 4×4
    convolutions of stride 2 that double the channels, and residual blocks, all with instance norm. The style encoder
    has no norm, since instance norm would remove the style: a 7×7 convolution, halvings of which the first two double
    the channels, the mean over all pixels, a 1×1 convolution. The decoder is residual blocks with AdaIN, whose biases
    and scales an MLP computes from the style and which are used without activation; then doublings, nearest-neighbour
    and a 5×5 convolution that halves the channels, with layer norm; a 7×7 convolution, tanh.

    Called as a generator, it encodes and decodes its input: a reconstruction. A translation decodes the content of one
    autoencoder with the other: `G_B.decode(G_A.encode(x)[0], style_B)`. The style encoder gets no gradient from a loss
    that does not use its output.

    Takes (N, in_channels, H, W) in [-1, 1], H and W multiples of `multiple` and at least `smallest`; returns
    (N, out_channels, H, W) in [-1, 1].

    Args:
        in_channels: channels of the input images.
        out_channels: channels of the output images.
        width: channels after the first convolution of both encoders.
        downs: number of halvings in the content encoder, and of doublings in the decoder.
        blocks: number of residual blocks in the content encoder, and in the decoder.
        style_channels: length of a style vector.
        style_downs: number of halvings in the style encoder.
        mlp_width: width of the two hidden layers that compute the biases and scales of AdaIN.
    """

    multiple: int
    smallest: int
    style_channels: int
    """Length of a style vector, for methods that draw one."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        width: PositiveInt = 64,
        downs: Halvings = 2,
        blocks: PositiveInt = 4,
        style_channels: PositiveInt = 8,
        style_downs: Halvings = 4,
        mlp_width: PositiveInt = 256,
    ) -> None:
        super().__init__()
        self.style_channels = style_channels
        self.multiple = 2**downs
        # Reflect padding needs a content of at least 2×2; the style encoder needs a side of 2^style_downs.
        self.smallest = self.multiple * max(2, -(-(2**style_downs) // self.multiple))

        content = [*_conv(in_channels, width, 7), norm_layer("instance", width), _relu()]
        channels = width
        for _ in range(downs):
            content += [*_conv(channels, 2 * channels, 4, stride=2), norm_layer("instance", 2 * channels), _relu()]
            channels *= 2
        content += [ResidualBlock(channels, "instance", 0.0, "reflect") for _ in range(blocks)]
        self.content_encoder = nn.Sequential(*content)

        style = [*_conv(in_channels, width, 7), _relu()]
        outputs = inputs = width
        for down in range(style_downs):
            outputs = 2 * inputs if down < 2 else inputs
            style += [*_conv(inputs, outputs, 4, stride=2), _relu()]
            inputs = outputs
        style += [nn.AdaptiveAvgPool2d(1), nn.Conv2d(outputs, style_channels, 1), nn.Flatten()]
        self.style_encoder = nn.Sequential(*style)

        self.mlp = nn.Sequential(
            nn.Linear(style_channels, mlp_width),
            _relu(),
            nn.Linear(mlp_width, mlp_width),
            _relu(),
            nn.Linear(mlp_width, blocks * 4 * channels),
        )
        self.styled_blocks = nn.ModuleList(StyledBlock(channels) for _ in range(blocks))
        decoder: list[nn.Module] = []
        for _ in range(downs):
            half = channels // 2
            decoder += [
                nn.Upsample(scale_factor=2, mode="nearest"),
                *_conv(channels, half, 5),
                SampleNorm(half),
                _relu(),
            ]
            channels = half
        decoder += [*_conv(channels, out_channels, 7), nn.Tanh()]
        self.decoder = nn.Sequential(*decoder)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x: (N, in_channels, H, W). Returns the content (N, C, H / multiple, W / multiple) and the style
        (N, style_channels)."""
        return self.content_encoder(x), self.style_encoder(x)

    def decode(self, content: Tensor, style: Tensor) -> Tensor:
        """content: (N, C, h, w). style: (N, style_channels). Returns (N, out_channels, multiple · h, multiple · w)."""
        each = self.mlp(style).chunk(len(self.styled_blocks), dim=1)
        x = content
        for block, parameters in zip(self.styled_blocks, each, strict=True):
            x = block(x, parameters)
        y: Tensor = self.decoder(x)
        return y

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, in_channels, H, W). Returns its reconstruction (N, out_channels, H, W)."""
        return self.decode(*self.encode(x))

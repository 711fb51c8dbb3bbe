"""U-GAT-IT: Kim, Kim, Kang and Lee, U-GAT-IT: Unsupervised Generative Attentional Networks with Adaptive
Layer-Instance Normalization for Image-to-Image Translation, ICLR 2020, arXiv 1907.10830."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from translate_core import (
    DISCRIMINATORS,
    GENERATORS,
    Direction,
    Method,
    discriminator,
    generator,
    tensor,
    tensors,
)


class UGATIT(Method):
    """U-GAT-IT: CycleGAN with attention, learned by auxiliary classifiers of the domains; unpaired images.

    The paper's G_s→t is `G_AB`, its G_t→s is `G_BA`; each domain has a global and a local discriminator. Generators
    return the logits of their auxiliary classifier (`cam_…`) and their attention map (`map_…`) with the image. The
    discriminators are updated first.
    """

    roles = (
        generator("G_AB", "A", "B", methods=("attend",)),
        generator("G_BA", "B", "A", methods=("attend",)),
        discriminator("D_A_global", "A"),
        discriminator("D_A_local", "A"),
        discriminator("D_B_global", "B"),
        discriminator("D_B_local", "B"),
    )
    order = (DISCRIMINATORS, GENERATORS)
    pairs = {
        "cycle": {"rec_A": "real_A", "rec_B": "real_B"},
        "identity": {"idt_A": "real_A", "idt_B": "real_B"},
        "cam": {"cam_fake_B": "cam_idt_B", "cam_fake_A": "cam_idt_A"},
    }
    adversarial_pairs = {
        "D_A_global": ("real_A", "fake_A"),
        "D_A_local": ("real_A", "fake_A"),
        "D_B_global": ("real_B", "fake_B"),
        "D_B_local": ("real_B", "fake_B"),
    }
    directions = {
        "A-B": Direction("A", "B", show=("rec_A", "idt_A"), always=("attention_fake_B",)),
        "B-A": Direction("B", "A", show=("rec_B", "idt_B"), always=("attention_fake_A",)),
    }

    @tensors("fake_B", "cam_fake_B", "map_fake_B")
    def translated_A(self) -> tuple[Tensor, Tensor, Tensor]:
        """G_s→t(x), its classifier's logits η_s(x), and its attention map, section 2.1.1."""
        return self.G_AB.attend(self.real_A)

    @tensors("fake_A", "cam_fake_A", "map_fake_A")
    def translated_B(self) -> tuple[Tensor, Tensor, Tensor]:
        """G_t→s of an image of t, its classifier's logits η_t, and its attention map."""
        return self.G_BA.attend(self.real_B)

    @tensor
    def rec_A(self) -> Tensor:
        """G_t→s(G_s→t(x)), section 2.2, cycle loss."""
        return self.G_BA(self.fake_B)

    @tensor
    def rec_B(self) -> Tensor:
        """G_s→t(G_t→s(x)), section 2.2, cycle loss."""
        return self.G_AB(self.fake_A)

    @tensors("idt_A", "cam_idt_A", "map_idt_A")
    def identity_A(self) -> tuple[Tensor, Tensor, Tensor]:
        """G_t→s of an image of s, section 2.2, identity loss, its classifier's logits, and its attention map."""
        return self.G_BA.attend(self.real_A)

    @tensors("idt_B", "cam_idt_B", "map_idt_B")
    def identity_B(self) -> tuple[Tensor, Tensor, Tensor]:
        """G_s→t of an image of t, section 2.2, identity loss, its classifier's logits, and its attention map."""
        return self.G_AB.attend(self.real_B)

    @tensor
    def attention_fake_B(self) -> Tensor:
        """The attention map of G_s→t as a picture of the size of its input, scaled to [-1, 1] for each image."""
        return _picture(self.map_fake_B, self.real_A)

    @tensor
    def attention_fake_A(self) -> Tensor:
        """The attention map of G_t→s as a picture of the size of its input, scaled to [-1, 1] for each image."""
        return _picture(self.map_fake_A, self.real_B)


def _picture(attention: Tensor, image: Tensor) -> Tensor:
    """Scales a map (N, 1, h, w) to [-1, 1], and to the size of the image: (N, 1, H, W)."""
    low, high = attention.amin((1, 2, 3), keepdim=True), attention.amax((1, 2, 3), keepdim=True)
    scaled = (attention - low) / (high - low).clamp(min=1e-12) * 2 - 1
    return F.interpolate(scaled, size=image.shape[-2:], mode="bilinear", align_corners=False)

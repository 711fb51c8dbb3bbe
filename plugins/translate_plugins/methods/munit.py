"""MUNIT: Huang, Liu, Belongie and Kautz, Multimodal Unsupervised Image-to-Image Translation, ECCV 2018,
arXiv 1804.04732."""

from __future__ import annotations

from torch import Tensor

from translate_core import (
    DISCRIMINATORS,
    GENERATORS,
    Choice,
    Direction,
    Method,
    Update,
    discriminator,
    generator,
    tensor,
    tensors,
)


class MUNIT(Method):
    """MUNIT: an image has a content, shared by the domains, and a style, which a translation replaces; unpaired images.

    Each domain has an autoencoder, the paper's E and G, here `AE_A` and `AE_B`, and a discriminator. A translation
    combines the content of its input with a style of the other domain, drawn from N(0, I) or encoded from an image.
    The discriminators are updated first; the updates of the two sides draw different styles.
    """

    roles = (
        generator("AE_A", "A", "A", methods=("encode", "decode")),
        generator("AE_B", "B", "B", methods=("encode", "decode")),
        discriminator("D_A", "A"),
        discriminator("D_B", "B"),
    )
    order = (Update(DISCRIMINATORS, fresh=True), Update(GENERATORS, fresh=True))
    pairs = {
        "reconstruction": {"rec_A": "real_A", "rec_B": "real_B"},
        "style": {"style_fake_A": "style_A", "style_fake_B": "style_B"},
        "content": {"content_fake_B": "content_A", "content_fake_A": "content_B"},
        "cycle": {"cyc_A": "real_A", "cyc_B": "real_B"},
        "perceptual": {"fake_B": "real_A", "fake_A": "real_B"},
    }
    adversarial_pairs = {"D_A": ("real_A", "fake_A"), "D_B": ("real_B", "fake_B")}
    directions = {
        "A-B": Direction(
            "A", "B", show=("rec_A",), always=("other_B",), choices=(Choice("style", "style_B", "B", "style_real_B"),)
        ),
        "B-A": Direction(
            "B", "A", show=("rec_B",), always=("other_A",), choices=(Choice("style", "style_A", "A", "style_real_A"),)
        ),
    }

    @tensors("content_A", "style_real_A")
    def encoded_A(self) -> tuple[Tensor, Tensor]:
        """c₁ and s₁ of x₁: (E₁ᶜ(x₁), E₁ˢ(x₁)), section 3.2."""
        return self.AE_A.encode(self.real_A)

    @tensors("content_B", "style_real_B")
    def encoded_B(self) -> tuple[Tensor, Tensor]:
        """c₂ and s₂ of x₂."""
        return self.AE_B.encode(self.real_B)

    @tensor
    def style_B(self) -> Tensor:
        """s₂ ~ N(0, I), section 3.1."""
        return self.normal((len(self.real_A), self.AE_B.style_channels), self.real_A, "style_B")

    @tensor
    def style_A(self) -> Tensor:
        """s₁ ~ N(0, I)."""
        return self.normal((len(self.real_B), self.AE_A.style_channels), self.real_B, "style_A")

    @tensor
    def fake_B(self) -> Tensor:
        """x₁→₂ = G₂(E₁ᶜ(x₁), s₂), section 3.1."""
        return self.AE_B.decode(self.content_A, self.style_B)

    @tensor
    def fake_A(self) -> Tensor:
        """x₂→₁ = G₁(E₂ᶜ(x₂), s₁)."""
        return self.AE_A.decode(self.content_B, self.style_A)

    @tensor
    def rec_A(self) -> Tensor:
        """G₁(E₁ᶜ(x₁), E₁ˢ(x₁)): reconstruction within the domain, equation 1."""
        return self.AE_A.decode(self.content_A, self.style_real_A)

    @tensor
    def rec_B(self) -> Tensor:
        """G₂(E₂ᶜ(x₂), E₂ˢ(x₂)), equation 1."""
        return self.AE_B.decode(self.content_B, self.style_real_B)

    @tensors("content_fake_B", "style_fake_B")
    def encoded_fake_B(self) -> tuple[Tensor, Tensor]:
        """E₂ᶜ and E₂ˢ of the translation, equations 2 and 3."""
        return self.AE_B.encode(self.fake_B)

    @tensors("content_fake_A", "style_fake_A")
    def encoded_fake_A(self) -> tuple[Tensor, Tensor]:
        """E₁ᶜ and E₁ˢ of the translation, equations 2 and 3."""
        return self.AE_A.encode(self.fake_A)

    @tensor
    def cyc_A(self) -> Tensor:
        """x₁ translated to the other domain and back with its own style; section 4, style-augmented cycles."""
        return self.AE_A.decode(self.content_fake_B, self.style_real_A)

    @tensor
    def cyc_B(self) -> Tensor:
        """x₂ translated to the other domain and back with its own style."""
        return self.AE_B.decode(self.content_fake_A, self.style_real_B)

    @tensor
    def guided_B(self) -> Tensor:
        """The translation of x₁ in the style of its target, where the test images have one."""
        return self.AE_B.decode(self.content_A, self.AE_B.encode(self["target_B"])[1])

    @tensor
    def guided_A(self) -> Tensor:
        """The translation of x₂ in the style of its target, where the test images have one."""
        return self.AE_A.decode(self.content_B, self.AE_A.encode(self["target_A"])[1])

    @tensor
    def other_B(self) -> Tensor:
        """A second translation of x₁, with another style drawn from N(0, I)."""
        style = self.normal((len(self.real_A), self.AE_B.style_channels), self.real_A, "other_B")
        return self.AE_B.decode(self.content_A, style)

    @tensor
    def other_A(self) -> Tensor:
        """A second translation of x₂, with another style drawn from N(0, I)."""
        style = self.normal((len(self.real_B), self.AE_A.style_channels), self.real_B, "other_A")
        return self.AE_A.decode(self.content_B, style)

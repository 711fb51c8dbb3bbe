"""Promises about the sizes of images and scores."""

from __future__ import annotations

import torch
from torch import Tensor

from translate_core.conformance.kit import SIDE, finite, image, size
from translate_core.conformance.networks.subject import ODD, NetworkSubject
from translate_core.conformance.promise import Broken, promise
from translate_core.training.size_constraint import crop

_SMALL = 16
"""Side length for generators that declare no smallest size."""


def _is_generator(subject: NetworkSubject) -> bool:
    return subject.kind == "generator"


def _is_discriminator(subject: NetworkSubject) -> bool:
    return subject.kind == "discriminator"


@promise(
    "returns an image of the size of its input",
    "losses compare input and output pixel by pixel, at every size that `multiple` and `smallest` allow",
    applies=_is_generator,
)
def keeps_sizes(subject: NetworkSubject) -> None:
    """The smallest size that it declares, and sizes that are not square; one image and two."""
    fit = subject.fit
    side = -(-max(fit.smallest if hasattr(subject.meta, "smallest") else _SMALL, 1) // fit.multiple) * fit.multiple
    for count, height, width in ((2, side, side), (1, side, side + fit.multiple), (1, side + 2 * fit.multiple, side)):
        given = torch.empty(count, subject.usual["in_channels"], height, width, device="meta")
        output = subject.meta(*subject.on(given))
        if not isinstance(output, Tensor):
            raise Broken(f"returns {type(output).__name__}, not an image (N, C, H, W)")
        if output.shape != (count, subject.usual["out_channels"], height, width):
            raise Broken(
                f"for an input of {size(given)} it returns {size(output)}; a network that does not support every size "
                f"declares `multiple` and `smallest`"
            )


@promise(
    "translates an image of any size",
    "samples, metrics and translate-apply pad an image as `multiple` and `smallest` require and crop the result",
    applies=_is_generator,
)
def translates_any_size(subject: NetworkSubject) -> None:
    """In evaluation mode, for side lengths that are not multiples of 2, 4 or 8."""
    module = subject.build().eval()
    for height, width in (ODD, (SIDE + 1, SIDE - 1)):
        padded_image = subject.fit.pad(image(subject.usual["in_channels"], height, width, count=1))
        with torch.no_grad():
            output = module(*subject.on(padded_image))
        result = crop(output, height, width)
        fits = result.shape == (1, subject.usual["out_channels"], height, width)
        if not fits or not finite(result):
            padded = tuple(padded_image.shape[-2:])
            found = "values that are not finite" if fits else size(output)
            raise Broken(f"for an image of {height}×{width}, padded to {padded[0]}×{padded[1]}, it returns {found}")


@promise(
    "returns scores for each image",
    "adversarial losses take a tensor of scores or a list of them, one row per image",
    applies=_is_discriminator,
)
def returns_scores(subject: NetworkSubject) -> None:
    """One tensor or several, batch dimension first."""
    given = subject.image
    output = subject.meta(*subject.on(given.to("meta")))
    if not isinstance(output, Tensor) and not (isinstance(output, list) and output):
        raise Broken(f"returns {type(output).__name__}, not a tensor of scores or a list of them")
    for scores in [output] if isinstance(output, Tensor) else output:
        if not isinstance(scores, Tensor) or scores.dim() < 2 or scores.shape[0] != len(given):
            found = size(scores) if isinstance(scores, Tensor) else type(scores).__name__
            raise Broken(f"for {len(given)} images it returns scores of {found}, not (N, 1, h, w) or (N, K)")

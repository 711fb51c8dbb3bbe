"""Why a component's equations fail on meta tensors, in words for the author of the component or of the recipe."""

from __future__ import annotations

import re

from translate_core.errors import raised_at, text_of

_READS_VALUE = (
    "on meta tensors",
    "out of meta tensor",
    "meta device type tensor to numpy",
    "torch.nonzero()",
    "aten::nonzero:",  # the same in torch 2.6
)
"""Parts of torch's messages for reading the value of a tensor that has none. torch has no exception class for this."""


def why_it_failed(error: Exception) -> str:
    """The reason, with the place in the component's file."""
    text = text_of(error).strip().partition("\n")[0]
    where = raised_at(error)
    if any(part in text for part in _READS_VALUE):
        return (
            f"reads the value of a tensor, so every step would wait for the device: use tensor operations in place "
            f"of .item(), float(), .cpu(), `if` and masks as indices{where}"
        )
    if "no fake impl or Meta kernel" in text:
        return (
            f"uses the operator {text.partition(': ')[0]}, which torch cannot compute without values: replace it "
            f"by others, or give it a fake implementation (torch.library.register_fake){where}"
        )
    if "is not on the expected device meta" in text:
        return f"uses a tensor that stays on the CPU: register it as a buffer, or make it on images.device{where}"
    if isinstance(error, UserWarning):
        sizes = [size.replace(", ", "×") for size in re.findall(r"Size\(\[([\d, ]*)\]\)", text)]
        return f"compares tensors of different shapes, {' and '.join(reversed(sizes))}{where}"
    if isinstance(error, RuntimeError | ValueError):
        return f"cannot be computed with these networks and images: {text}{where}"
    return f"failed: {type(error).__name__}: {text}{where}"

"""The names of the kinds of components, for commands that must not import torch. `registry.py` describes each."""

from __future__ import annotations

from translate_core.errors import UserError, did_you_mean

KIND_NAMES = (
    "method",
    "generator",
    "discriminator",
    "head",
    "network",
    "loss",
    "dataset",
    "pool",
    "metric",
    "optimizer",
    "schedule",
    "init",
    "observer",
)


def check_kind(kind: str) -> None:
    """Raises UserError, with the nearest name, for a kind that does not exist."""
    if kind not in KIND_NAMES:
        raise UserError(
            f"there is no kind of component '{kind}'{did_you_mean(kind, KIND_NAMES)} There are: {', '.join(KIND_NAMES)}"
        )

"""Registers the components of this package under the names that recipes use."""

from __future__ import annotations

from translate_core import Registrar, hookimpl

from translate_structure.attention_unet import AttentionUNet
from translate_structure.edges import Edges
from translate_structure.gmsd import GMSD


@hookimpl(contract=1)
def register(registry: Registrar) -> None:
    """Is called once for every run."""
    registry.generator("attention_unet", AttentionUNet)
    registry.loss("edges", Edges)
    registry.metric("gmsd", GMSD)

"""Which loss was the first that was not finite, and in which step."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

_NEVER = 2**62


class FirstNotFinite:
    """For each loss, the first step in which it was not finite; kept on the device, so that no step waits for it."""

    def __init__(self) -> None:
        self._steps: dict[tuple[str, ...], Tensor] = {}

    def update(self, step: int, losses: Mapping[str, Tensor]) -> None:
        """Adds the losses of a step, 0-d tensors."""
        names = tuple(losses)
        if not names:
            return
        finite = torch.stack(list(losses.values())).isfinite()
        before = self._steps.get(names)
        if before is None:
            before = torch.full(finite.shape, _NEVER, device=finite.device)
        self._steps[names] = torch.where(finite, before, before.clamp(max=step))

    def first(self) -> tuple[str, int] | None:
        """The loss and the step, None if all were finite. Waits for the device."""
        found = [
            (step, index, name)
            for names, steps in self._steps.items()
            for index, (name, step) in enumerate(zip(names, steps.tolist(), strict=True))
            if step != _NEVER
        ]
        if not found:
            return None
        step, _, name = min(found)
        return name, step

"""Sample pictures in the run folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from translate_core import Observer, RunInfo, Sample, atomic_write
from translate_plugins.observers.grid import draw_grids


class Samples(Observer):
    """Draws the translations of the same test images as training proceeds: `samples/step-<n>-<direction>.png`.

    A grid has a row for each image and a column for each tensor: real, fake, reconstructed, identity, and the target
    where the dataset has one. Sorting the files by name sorts them by step.
    """

    def on_start(self, run: RunInfo) -> None:
        """Remembers the folder, which is made with the first picture."""
        self._folder: Path = run.folder / "samples"

    def on_samples(self, step: int, samples: Sequence[Sample]) -> None:
        """Writes one file for each direction."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for direction, grid in draw_grids(step, samples):
            with atomic_write(self._folder / f"step-{step:07}-{direction}.png") as part:
                grid.save(part, format="PNG")

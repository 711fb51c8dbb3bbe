"""Sample pictures in the run folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from translate_core.contracts.observer import Observer, RunInfo, Sample
from translate_plugins.observers.grid import draw_grids


class Samples(Observer):
    """Draws what the networks make of the same test images, time and again: `samples/step-<n>-<direction>.png`.

    A grid has a row an image and a column a tensor: real, fake, reconstructed, identity, and the target where there is one.
    Sorted by name, the files are in the order of time.
    """

    def on_start(self, run: RunInfo) -> None:
        """Nothing is written before there is a picture."""
        self._folder: Path = run.folder / "samples"

    def on_samples(self, step: int, samples: Sequence[Sample]) -> None:
        """A file a direction; under its name there is a whole picture or none."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for direction, grid in draw_grids(step, samples):
            path = self._folder / f"step-{step:07}-{direction}.png"
            part = path.with_name(path.name + ".part")
            grid.save(part, format="PNG")
            part.replace(path)

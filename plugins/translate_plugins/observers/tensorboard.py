"""Event files for TensorBoard."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from translate_core.contracts.observer import Observer, Result, RunInfo, Sample
from translate_core.runtime import yaml12
from translate_plugins.observers.grid import draw_grids


class TensorBoard(Observer):
    """Writes events to the run's folder `tensorboard`; see them with `tensorboard --logdir RUN`.

    Scalars: `loss/<name>` for every loss by its name in the recipe, weights included; `learning_rate/<side>`;
    `test/<direction>/<metric>/<tensor>`. Images: `samples/<direction>`. Text: `recipe`, as resolved.
    """

    def on_start(self, run: RunInfo) -> None:
        """Opens a new file; what earlier sessions wrote about steps that are done again no longer counts."""
        # TensorBoard imports TensorFlow where there is one, which then talks about itself on stderr.
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        from torch.utils.tensorboard import SummaryWriter

        first = run.start + 1
        self._writer: Any = SummaryWriter(str(run.folder / "tensorboard"), purge_step=first)
        text = yaml12.dump(dict(run.recipe))
        self._writer.add_text("recipe", f"```yaml\n{text}```", first)
        self._writer.flush()

    # Flushed every time, not only at checkpoints: nothing that a run has done before its last checkpoint may be lost
    # with the process, for it is not done again.

    def on_losses(self, step: int, losses: Mapping[str, float], rates: Mapping[str, float]) -> None:
        """A scalar a loss and a side."""
        for name, value in losses.items():
            self._writer.add_scalar(f"loss/{name}", value, step)
        for side, rate in rates.items():
            self._writer.add_scalar(f"learning_rate/{side}", rate, step)
        self._writer.flush()

    def on_samples(self, step: int, samples: Sequence[Sample]) -> None:
        """An image a direction."""
        for direction, grid in draw_grids(step, samples):
            self._writer.add_image(f"samples/{direction}", np.asarray(grid), step, dataformats="HWC")
        self._writer.flush()

    def on_evaluation(self, step: int, results: Sequence[Result]) -> None:
        """A scalar a metric and a direction."""
        for result in results:
            self._writer.add_scalar(f"test/{result.direction}/{result.name}", result.value, step)
        self._writer.flush()

    def on_stop(self, step: int, finished: bool) -> None:
        """Closes the file."""
        self._writer.close()

"""Event files for TensorBoard."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import yaml

from translate_core import Observer, Result, RunInfo, Sample
from translate_plugins.observers.event_files import event_files, merge_event_files, move_before
from translate_plugins.observers.grid import draw_grids


class TensorBoard(Observer):
    """Writes events to the run's folder `tensorboard`; view them with `tensorboard --logdir RUN`.

    Scalars: `loss/<name>` for every loss by its name in the recipe, weights included; `learning_rate/<side>`;
    `test/<direction>/<metric>/<tensor>`. Images: `samples/<direction>`. Text: `recipe`, as resolved. Each session
    writes a file; small ones of many sessions are merged.
    """

    def on_start(self, run: RunInfo) -> None:
        """Opens a new file, which hides the events of earlier sessions for the steps that this session repeats."""
        # TensorBoard imports TensorFlow where it is installed; TensorFlow then logs to stderr.
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        from torch.utils.tensorboard import SummaryWriter

        first = run.start + 1
        folder = run.folder / "tensorboard"
        merge_event_files(folder)
        earlier = event_files(folder)
        self._writer: Any = SummaryWriter(str(folder), purge_step=first)
        text = yaml.safe_dump(dict(run.recipe), sort_keys=False, default_flow_style=None, width=120, allow_unicode=True)
        self._writer.add_text("recipe", f"```yaml\n{text}```", first)
        self._writer.flush()
        move_before(earlier, event_files(folder))

    # Flushed at every event, not only at checkpoints: steps before the last checkpoint are not repeated, so an event
    # of theirs that is lost with the process is lost for good.

    def on_losses(self, step: int, losses: Mapping[str, float], rates: Mapping[str, float]) -> None:
        """Writes one scalar for each loss and one for each side's learning rate."""
        for name, value in losses.items():
            self._writer.add_scalar(f"loss/{name}", value, step)
        for side, rate in rates.items():
            self._writer.add_scalar(f"learning_rate/{side}", rate, step)
        self._writer.flush()

    def on_samples(self, step: int, samples: Sequence[Sample]) -> None:
        """Writes one image for each direction."""
        for direction, grid in draw_grids(step, samples):
            self._writer.add_image(f"samples/{direction}", np.asarray(grid), step, dataformats="HWC")
        self._writer.flush()

    def on_evaluation(self, step: int, results: Sequence[Result]) -> None:
        """Writes one scalar for each metric and direction."""
        for result in results:
            self._writer.add_scalar(f"test/{result.direction}/{result.name}", result.value, step)
        self._writer.flush()

    def on_stop(self, step: int, finished: bool) -> None:
        """Closes the file."""
        self._writer.close()

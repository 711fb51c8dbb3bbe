"""The early end of a run that no longer improves."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from statistics import fmean
from typing import Any, Literal

from pydantic import NonNegativeFloat, PositiveInt

from translate_core import Length, Observer, Result, RunInfo, UserError, did_you_mean


class EarlyStopping(Observer):
    """Ends a run when a test metric or a loss has not improved for some time.

    An improvement is a value better than the best one so far by more than `min_delta`; a value that is not finite is
    not an improvement. The run is then finished. Its weights are those of its last step, not of the best one. When
    `training.length` is raised, it continues, and the patience starts again.

    Test metrics are computed every `training.evaluate_every`, losses are logged every `training.log_every`, one step
    each time. A loss of one step varies strongly, and adversarial losses do not fall as training improves: prefer a
    metric.

    Args:
        watch: name of a test metric, such as ssim/fake_B, or of a logged loss, such as cycle or cycle/rec_A. Where both
            have that name, the metric is watched.
        patience: how long the value may stay without improvement: a number of values in a row, or a length.
        min_delta: what an improvement must exceed.
        mode: whether a smaller or a greater value is better; null for what the metric states, and min for a loss.
        direction: of the metric, such as A-B; null for the mean over all directions that have it.
    """

    def __init__(
        self,
        watch: str,
        *,
        patience: PositiveInt | Length = 5,
        min_delta: NonNegativeFloat = 0.0,
        mode: Literal["min", "max"] | None = None,
        direction: str | None = None,
    ) -> None:
        if isinstance(patience, Length) and patience.count == 0:
            raise ValueError("patience must be at least 1 step")
        self._watch = watch
        self._patience = patience
        self._min_delta = min_delta
        self._mode = mode
        self._direction = direction
        self._best: float | None = None
        self._best_step = 0
        self._since: int | None = None
        self._count = 0

    def on_start(self, run: RunInfo) -> None:
        """Raises UserError for a name or a direction that the run does not have, and for a metric of the end only."""
        self._epoch = run.epoch
        directions = [direction for direction, names in run.metrics.items() if self._watch in names]
        self._is_metric = bool(directions)
        if not self._is_metric:
            self._check_loss(run)
        elif self._direction not in (None, *directions):
            raise UserError(
                f"direction: '{self._watch}' has no direction '{self._direction}'"
                f"{_instead(str(self._direction), directions)}"
            )
        elif run.recipe["training"]["evaluate_every"] is None:
            raise UserError(
                f"watch: '{self._watch}' is a test metric, which is computed at the end only: "
                f"set training.evaluate_every, for example to 1 epoch"
            )

    def _check_loss(self, run: RunInfo) -> None:
        losses = [name for name, block in run.recipe["losses"].items() if block["weight"] != 0]
        metrics = dict.fromkeys(name for names in run.metrics.values() for name in names)
        if self._watch.partition("/")[0] not in losses:
            raise UserError(
                f"watch: the run has no loss and no test metric '{self._watch}'"
                f"{_instead(self._watch, [*losses, *metrics])}"
            )
        if self._direction is not None:
            raise UserError(f"direction: '{self._watch}' is a loss, which has no direction")

    def on_losses(self, step: int, losses: Mapping[str, float], rates: Mapping[str, float]) -> None:
        """Takes the value of the loss. A loss that is not computed in every step may be missing.

        Raises UserError where the loss is logged under other names only.
        """
        if self._is_metric:
            return
        if self._watch in losses:
            self._take(step, losses[self._watch], smaller_is_better=True)
            return
        head = self._watch.partition("/")[0]
        logged = [name for name in losses if name.partition("/")[0] == head]
        if logged:
            raise UserError(f"watch: no logged loss is called '{self._watch}'{_instead(self._watch, logged)}")

    def on_evaluation(self, step: int, results: Sequence[Result]) -> None:
        """Takes the value of the metric."""
        if self._is_metric:
            chosen = [
                result
                for result in results
                if result.name == self._watch and self._direction in (None, result.direction)
            ]
            value = fmean(result.value for result in chosen)
            self._take(step, value, smaller_is_better=not chosen[0].higher_is_better)

    def _take(self, step: int, value: float, *, smaller_is_better: bool) -> None:
        """Takes a value; requests the end of the run where the patience is over."""
        if self._mode is not None:
            smaller_is_better = self._mode == "min"
        if self._improves(value, smaller_is_better):
            self._best, self._best_step = value, step
            self._since, self._count = step, 0
            return
        if self._since is None:
            self._since = step
            return
        self._count += 1
        if isinstance(self._patience, Length):
            over = step - self._since >= self._patience.steps(self._epoch)
        else:
            over = self._count >= self._patience
        if over:
            self.stop(self._reason())
            self._since, self._count = step, 0  # a longer run has the patience again

    def _improves(self, value: float, smaller_is_better: bool) -> bool:
        if not math.isfinite(value):
            return False
        if self._best is None:
            return True
        return self._min_delta < (self._best - value if smaller_is_better else value - self._best)

    def _reason(self) -> str:
        if isinstance(self._patience, Length):
            time = str(self._patience)
        else:
            what = "evaluation" if self._is_metric else "logged value"
            time = f"{self._patience} {what}{'s' if self._patience > 1 else ''}"
        if self._best is None:
            return f"{self._watch} has had no finite value for {time}"
        best = f"the best value is {self._best:.4g}, after step {self._best_step}"
        return f"{self._watch} has not improved for {time}: {best}"

    def state_dict(self) -> dict[str, Any]:
        """The best value, and how long ago it was."""
        return {
            "watched": self._watched(),
            "best": self._best,
            "best_step": self._best_step,
            "since": self._since,
            "count": self._count,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores it; the state of an observer that watched something else is ignored."""
        if state["watched"] == self._watched():
            self._best, self._best_step = state["best"], state["best_step"]
            self._since, self._count = state["since"], state["count"]

    def _watched(self) -> list[str | None]:
        return [self._watch, self._direction, self._mode]


def _instead(name: str, existing: Collection[str]) -> str:
    return f"{did_you_mean(name, existing)} There are: {', '.join(existing) or 'none'}"

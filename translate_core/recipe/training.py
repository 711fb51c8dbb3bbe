"""The `training:` block of a recipe."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from translate_core.contracts.length import Length

_OPERATION = {"operation": True}
Interval = Length | None


@dataclass(frozen=True)
class Training:
    """The `training:` block: how long, how much at once, and what is kept.

    Args:
        length: when the run is done; may be made longer when a run goes on.
        batch_size: images per step, rank and micro-batch.
        accumulate: micro-batches that share one update.
        seed: decides every draw.
        workers: loader processes; 0 loads in the training process. Changes no result.
        precision: fp32; bf16 or fp16 (networks under autocast, fp16 with loss scaling); fp64.
        channels_last: keep images and weights in NHWC order, which convolutions prefer.
        compile: compile the networks with torch.compile.
        ema: decay per step of an exponential moving average of the generators' weights, which samples, metrics and
            translations then use; null for none. Early on it is held to (1 + step) / (10 + step).
        log_every: how often losses are read and logged.
        checkpoint_every: how often to save.
        keep_checkpoints: how many of the newest to keep.
        sample_every: how often to draw sample grids; null for never.
        samples: of how many test images per direction.
        evaluate_every: how often to compute the metrics on the test images; null for only at the end.
    """

    length: Length = field(metadata=_OPERATION)
    batch_size: PositiveInt = 1
    accumulate: PositiveInt = 1
    seed: NonNegativeInt = 0
    workers: NonNegativeInt = field(default=2, metadata=_OPERATION)
    precision: Literal["fp32", "bf16", "fp16", "fp64"] = "fp32"
    channels_last: bool = True
    compile: bool = False
    ema: Annotated[float, Field(gt=0, lt=1)] | None = None
    log_every: Length = field(default=Length(10, "steps"), metadata=_OPERATION)
    checkpoint_every: Length = field(default=Length(1, "epochs"), metadata=_OPERATION)
    keep_checkpoints: PositiveInt = field(default=3, metadata=_OPERATION)
    sample_every: Interval = field(default=Length(1, "epochs"), metadata=_OPERATION)
    samples: PositiveInt = field(default=4, metadata=_OPERATION)
    evaluate_every: Interval = field(default=None, metadata=_OPERATION)

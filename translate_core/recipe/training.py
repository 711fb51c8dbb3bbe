"""The `training:` block of a recipe, and how it is resolved."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from translate_core.components.signature import options_of_group
from translate_core.contracts.length import Length
from translate_core.recipe.ema import Decay, EMASettings
from translate_core.recipe.reader import RecipeReader

_OPERATION = {"operation": True}
Interval = Length | None


@dataclass(frozen=True)
class Training:
    """The `training:` block: length, batches, precision, and how often to log, save, sample and evaluate.

    Args:
        length: of the run; it may grow when a run is continued.
        batch_size: images per step, rank and micro-batch.
        accumulate: micro-batches per update.
        seed: of every random draw.
        workers: loader processes; 0 loads in the training process. Does not change results.
        precision: fp32; bf16 or fp16 (networks under autocast, fp16 with loss scaling); fp64.
        channels_last: keep images and weights in NHWC order, which is faster for convolutions.
        compile: compile the networks with torch.compile.
        ema: decay of an exponential moving average of the weights, which samples, metrics and translations then use;
            null for none. In early steps the decay is at most (1 + step) / (10 + step). A block has more:
            {decay: 0.995, every: 8 steps, from: 30000 steps} updates the average every 8 steps and only copies the
            weights in the first 30000.
        log_every: how often losses are read and logged.
        checkpoint_every: how often to save a checkpoint.
        keep_checkpoints: number of newest checkpoints to keep.
        sample_every: how often to draw sample grids; null for never.
        samples: number of test images per direction in the sample grids.
        evaluate_every: how often to compute the metrics on the test images; null for only at the end.
    """

    length: Length = field(metadata=_OPERATION)
    batch_size: Annotated[int, Field(gt=0, le=1_000_000)] = 1
    accumulate: Annotated[int, Field(gt=0, le=1_000_000)] = 1
    seed: NonNegativeInt = 0
    workers: Annotated[int, Field(ge=0, le=1024)] = field(default=2, metadata=_OPERATION)
    precision: Literal["fp32", "bf16", "fp16", "fp64"] = "fp32"
    channels_last: bool = True
    compile: bool = False
    ema: Decay | EMASettings | None = None
    log_every: Length = field(default=Length(10, "steps"), metadata=_OPERATION)
    checkpoint_every: Length = field(default=Length(1, "epochs"), metadata=_OPERATION)
    keep_checkpoints: PositiveInt = field(default=3, metadata=_OPERATION)
    sample_every: Interval = field(default=Length(1, "epochs"), metadata=_OPERATION)
    samples: PositiveInt = field(default=4, metadata=_OPERATION)
    evaluate_every: Interval = field(default=None, metadata=_OPERATION)


def operation_keys() -> set[str]:
    """The dotted keys of `training:` that do not change what is learned."""
    return {f"training.{name}" for name, option in options_of_group(Training).items() if option.operation}


def resolve_training(reader: RecipeReader) -> tuple[Training, dict[str, Any]] | None:
    """The training block and its record; None where it has faults."""
    value = reader.data.get("training")
    if value is None:
        reader.fault("training", "is missing: give at least a length, such as `training: {length: 200 epochs}`")
        return None
    result: tuple[Training, dict[str, Any]] | None = reader.blocks.group(Training, value, "training")
    if result is None:
        return None
    lengths = {item.name: getattr(result[0], item.name) for item in fields(Training)}
    if isinstance(result[0].ema, EMASettings):
        lengths["ema.every"] = result[0].ema.every
    for name, length in lengths.items():
        if isinstance(length, Length) and length.count == 0:
            reader.fault(f"training.{name}", "must be at least 1 step")
    return result

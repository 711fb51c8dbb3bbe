"""What a recipe says, as data: the training block, validated blocks, the plan; files and overrides read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from translate_core import yaml12
from translate_core.errors import Fault, RecipeError, UserError
from translate_core.method import Method, Role
from translate_core.phase import Ramp
from translate_core.plugins import LoadedPlugins
from translate_core.registry import Registration
from translate_core.schedule import Length
from translate_core.schema import show

_OPERATION = {"operation": True}
Interval = Length | None
Weight = Annotated[float, Field(ge=0)]


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
        average: decay per step of an exponential moving average of the generators' weights, which samples, metrics and
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
    average: Annotated[float, Field(gt=0, lt=1)] | None = None
    log_every: Length = field(default=Length(10, "steps"), metadata=_OPERATION)
    checkpoint_every: Length = field(default=Length(1, "epochs"), metadata=_OPERATION)
    keep_checkpoints: PositiveInt = field(default=3, metadata=_OPERATION)
    sample_every: Interval = field(default=Length(1, "epochs"), metadata=_OPERATION)
    samples: PositiveInt = field(default=4, metadata=_OPERATION)
    evaluate_every: Interval = field(default=None, metadata=_OPERATION)


@dataclass(frozen=True)
class Block:
    """A validated block: a component and its options.

    options: as the constructor takes them. record: as a recipe has them, `type` first, every default filled in.
    """

    registration: Registration
    options: Mapping[str, Any]
    record: Mapping[str, Any]

    def __call__(self, **given: Any) -> Any:
        """Builds the component."""
        return self.registration.component(**given, **self.options)


@dataclass(frozen=True)
class NetworkPlan:
    """How one role is filled. path: the block of the recipe that says so, for messages."""

    role: Role
    block: Block
    init: Block | None
    init_from: str | None
    path: str


@dataclass(frozen=True)
class LossPlan:
    """A term of the game and what its generator side is multiplied by."""

    block: Block
    weight: float | Ramp


@dataclass(frozen=True)
class MetricPlan:
    """A metric.

    pairs: tensor -> reference, None for each direction's output and truth. default: not asked for by name.
    """

    block: Block
    pairs: Mapping[str, str] | None
    default: bool


@dataclass(frozen=True)
class Plan:
    """A recipe whose every key is known to be good; nothing has been opened or allocated.

    record: the recipe as resolved, plain data. operation: dotted paths of the keys that may differ when a run goes on.
    """

    name: str
    path: Path
    plugins: LoadedPlugins
    method: Method
    data: Block
    networks: Mapping[str, NetworkPlan]
    losses: Mapping[str, LossPlan]
    optimizers: Mapping[str, Block]
    schedules: Mapping[str, Block]
    metrics: Mapping[str, MetricPlan]
    observers: Mapping[str, Block]
    training: Training
    record: Mapping[str, Any]
    operation: frozenset[str]

    def results(self) -> dict[str, Any]:
        """The result keys, flat: dotted path -> value. Two runs whose results() agree learn the same."""
        return {
            path: value
            for path, value in flatten(self.record).items()
            if not any(path == key or path.startswith(key + ".") for key in self.operation)
        }


def flatten(data: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as dotted path -> value; an empty mapping stays a value."""
    flat: dict[str, Any] = {}
    for key, value in data.items():
        path = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            flat.update(flatten(value, f"{path}."))
        else:
            flat[path] = value
    return flat


def read_recipe(path: Path, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """The data of a recipe file with `KEY=VALUE` overrides applied, not yet validated.

    Raises UserError for YAML that cannot be read, RecipeError for overrides that do not fit.
    """
    data = yaml12.read(path)
    if not isinstance(data, dict):
        found = "is empty" if data is None else f"holds {show(data)}"
        raise UserError(f"recipe {path} {found}: a recipe is a mapping of blocks such as `method:`, `data:`, `losses:`")
    faults: list[Fault] = []
    for override in overrides:
        try:
            apply_override(data, *parse_override(override))
        except UserError as error:
            faults.append(Fault("--set", str(error)))
    if faults:
        raise RecipeError(f"recipe {path}", faults)
    return data


def parse_override(text: str) -> tuple[str, Any]:
    """`KEY=VALUE` as a dotted key and YAML data."""
    key, equals, value = text.partition("=")
    if not equals or not all(key.strip().split(".")):
        raise UserError(f"'{text}' must be KEY=VALUE, such as training.batch_size=4")
    return key.strip(), yaml12.parse(value, f"the value of {key.strip()}")


def apply_override(data: dict[str, Any], key: str, value: Any) -> None:
    """Sets one dotted key in place; blocks on the way are made where they are missing. A mapping replaces a block."""
    *parents, last = key.split(".")
    block = data
    for depth, parent in enumerate(parents):
        if block.get(parent) is None:
            block[parent] = {}
        inner = block[parent]
        if isinstance(inner, list) and depth == len(parents) - 1 and last.isdigit() and int(last) < len(inner):
            inner[int(last)] = value
            return
        if not isinstance(inner, dict):
            raise UserError(
                f"'{key}' reaches into {'.'.join(parents[: depth + 1])}, which is {show(inner)} and no block"
            )
        block = inner
    block[last] = value

"""A recipe: YAML and overrides in, a plan with every block validated out, or all faults at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from translate_core import yaml12
from translate_core.errors import Fault, RecipeError, UserError, did_you_mean, explain, in_order, nearest
from translate_core.method import Method, Role, sides
from translate_core.plugins import LoadedPlugins, load_plugins
from translate_core.registry import KINDS, RESERVED, Registration, Registry, kind_of_contract
from translate_core.schedule import Length
from translate_core.schema import Option, describe, options_of_group, show

_OPERATION = {"operation": True}
Interval = Length | None
Weight = Annotated[float, Field(ge=0)]


@dataclass(frozen=True)
class Training:
    """The `training:` block.

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
    checkpoint_every, keep_checkpoints: how often to save, and how many of the newest to keep.
    sample_every, samples: how often to draw sample grids, null for never, and of how many test images per direction.
    evaluate_every: how often to compute the metrics on the test images, null for only at the end.
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
    weight: float


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


def resolve(path: Path, data: Mapping[str, Any]) -> Plan:
    """Loads the plugins of a recipe and validates every block of it.

    Raises RecipeError with every fault.
    """
    return _Resolver(path, data).plan()


class _Resolver:
    """Validates block after block, collecting faults and the resolved record."""

    def __init__(self, path: Path, data: Mapping[str, Any]) -> None:
        self.path = path
        self.data = data
        self.faults: list[Fault] = []
        self.record: dict[str, Any] = {}
        self.operation: set[str] = {"observers", "metrics"}
        self.registry = Registry()
        self.plugin_failed = False

    def fault(self, path: str, message: str) -> None:
        self.faults.append(Fault(path, message))

    def plan(self) -> Plan:
        plugins = self._plugins()
        self.registry = plugins.registry
        method_block = self._top_block("method", "method")
        method = self._construct("method", method_block) if method_block is not None else None
        self._unknown_keys(method)
        data = self._top_block("data", "dataset")
        if data is not None:
            self._construct("data", data)
        networks = self._networks(method) if method is not None else {}
        losses = self._losses()
        names = sides(method.roles) if method is not None else ()
        optimizers = self._per_side("optimizer", names, required=True)
        schedules = self._per_side("schedule", names, required=False)
        metrics = self._metrics()
        observers = self._observers()
        training = self._training()
        if self.faults:
            raise RecipeError(f"recipe {self.path}", in_order(self.faults, self.data))
        assert method is not None
        assert data is not None
        assert training is not None
        dataset = data.registration.component
        self.operation |= {f"data.{key}" for key in dataset.operation_keys}  # type: ignore[attr-defined]
        return Plan(
            self.path.stem, self.path, plugins, method, data, networks, losses, optimizers, schedules, metrics,
            observers, training, self._ordered_record(), frozenset(self.operation),
        )  # fmt: skip

    def _ordered_record(self) -> dict[str, Any]:
        """Blocks in the order in which the recipe has them, those it left out last."""
        order = [*self.data, *self.record]
        return {key: self.record[key] for key in dict.fromkeys(order) if key in self.record}

    # Top-level blocks

    def _plugins(self) -> LoadedPlugins:
        listed = self.data.get("plugins") or []
        if not (isinstance(listed, list) and all(isinstance(entry, str) for entry in listed)):
            self.fault("plugins", f"must be a list of modules and .py files, not {show(listed)}")
            listed = []
        if listed:
            self.record["plugins"] = listed
        plugins = load_plugins(listed, self.path.parent, self.faults)
        self.plugin_failed = bool(self.faults)
        return plugins

    def _unknown_keys(self, method: Method | None) -> None:
        if method is not None:
            kinds = [role.kind for role in method.roles]
        else:
            kinds = [kind.name for kind in KINDS.values() if kind.network]
        known = ["method", "data", *dict.fromkeys(kinds), "networks", "losses", "optimizer", "schedule", "training",
                 "metrics", "observers", "plugins"]  # fmt: skip
        near = [*known, *(f"training.{name}" for name in options_of_group(Training))]
        for key in self.data:
            if key in KINDS and KINDS[key].network and key not in kinds:
                if self.data[key] is not None:
                    self.fault(key, f"the method has no {key}: leave the block out")
            elif key not in known:
                self.fault(key, f"a recipe has no block '{key}'{did_you_mean(key, near)} It takes: {', '.join(known)}")

    def _top_block(self, key: str, kind: str) -> Block | None:
        if self.data.get(key) is None:
            self.fault(key, f"is missing: the recipe names no {kind}. {self._choices(kind)}")
            return None
        block = self._block(kind, self.data[key], key)
        if block is not None:
            self.record[key] = block.record
        return block

    def _choices(self, kind: str) -> str:
        return f"There are: {', '.join(self.registry.names(kind)) or 'none'}"

    def _networks(self, method: Method) -> dict[str, NetworkPlan]:
        overrides = self._mapping_of_blocks("networks")
        names = [role.name for role in method.roles]
        for name in overrides:
            if name not in names:
                self.fault(
                    f"networks.{name}",
                    f"the method has no network '{name}'{did_you_mean(name, names)} It has: {', '.join(names)}",
                )
        by_kind = {
            kind: self._kind_block(kind, overrides) for kind in dict.fromkeys(role.kind for role in method.roles)
        }
        plans = {}
        for role in method.roles:
            base, override = by_kind[role.kind], overrides.get(role.name)
            if override is None and base is None:
                if overrides:
                    self.fault(
                        f"networks.{role.name}", f"is missing: without a block `{role.kind}`, each needs its own"
                    )
                continue
            plan = self._network(role, base, override)
            if plan is not None:
                plans[role.name] = plan
        return plans

    def _kind_block(self, kind: str, overrides: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any] | None:
        """The block that all roles of a kind share; a recipe may instead describe each under `networks`."""
        value = self.data.get(kind)
        if isinstance(value, Mapping):
            return value
        if value is not None:
            self.fault(kind, self._no_block(kind, value))
        elif not any("type" in block for block in overrides.values()):
            self.fault(kind, f"is missing: the recipe names no {kind}. {self._choices(kind)}")
        return None

    def _network(
        self, role: Role, base: Mapping[str, Any] | None, override: Mapping[str, Any] | None
    ) -> NetworkPlan | None:
        if override is None:
            assert base is not None
            value, path = base, role.kind
        elif "type" in override or base is None:
            value, path = override, f"networks.{role.name}"
        else:
            value, path = {**base, **override}, f"networks.{role.name}"
        before = len(self.faults)
        block = self._block(role.kind, value, path)
        init = self._init(value, path)
        init_from = value.get("init_from")
        if init_from is not None and not isinstance(init_from, str):
            self.fault(f"{path}.init_from", f"must be the path of a file of weights, not {show(init_from)}")
        if override is not None and base is not None:
            inherited = [f"{path}.{key}" for key in base if key not in override]
            self.faults[before:] = [
                replace(fault, path=role.kind + fault.path.removeprefix(path))
                if any(f"{fault.path}.".startswith(f"{key}.") for key in inherited)
                else fault
                for fault in self.faults[before:]
            ]
        if block is None:
            return None
        record = dict(block.record)
        if init is not None:
            record["init"] = dict(init.record)
        if init_from is not None:
            record["init_from"] = init_from
        if override is None:
            self.record[role.kind] = record
        else:
            if base is not None and role.kind not in self.record and role.kind in self.data:
                self._record_kind_block(role.kind, base)
            self.record.setdefault("networks", {})[role.name] = record
        return NetworkPlan(role, block, init, init_from, path)

    def _record_kind_block(self, kind: str, base: Mapping[str, Any]) -> None:
        """Keeps a kind's block in the record where every role of it is overridden so far."""
        block = self._block(kind, base, kind)
        if block is not None:
            self.record[kind] = {**block.record, **{key: base[key] for key in ("init", "init_from") if key in base}}

    def _init(self, value: Mapping[str, Any], path: str) -> Block | None:
        if "init" in value:
            return self._block("init", value["init"], f"{path}.init")
        default = self.registry.default("init")
        return self._block("init", {"type": default.name}, f"{path}.init") if default is not None else None

    def _losses(self) -> dict[str, LossPlan]:
        plans = {}
        record = {}
        before = len(self.faults)
        if not self.data.get("losses"):
            self.fault("losses", f"is missing or empty: a run needs at least one loss. {self._choices('loss')}")
        for name, value in self._mapping_of_blocks("losses").items():
            path = f"losses.{name}"
            if "/" in name or "." in name:
                self.fault(
                    "losses", f"the name '{name}' must not contain '/' or '.': logs and dotted keys split names there"
                )
            weight = self._validated(_WEIGHT, value["weight"], f"{path}.weight") if "weight" in value else 1.0
            block = self._block("loss", value, path)
            if block is None or weight is None:
                continue
            record[name] = {"type": block.record["type"], "weight": weight, **block.record}
            if weight > 0:
                plans[name] = LossPlan(block, weight)
        if not plans and len(self.faults) == before:
            self.fault("losses", "is switched off, every one (weight 0 or null): a run needs at least one loss")
        self.record["losses"] = record
        return plans

    def _per_side(self, key: str, names: Sequence[str], *, required: bool) -> dict[str, Block]:
        value = self.data.get(key)
        if value is None:
            default = self.registry.default(key)
            if required or default is None:
                self.fault(key, f"is missing: the recipe names no {key}. {self._choices(key)}")
                return {}
            value = {"type": default.name}
        if isinstance(value, Mapping) and "type" not in value and any(name in names for name in value):
            for name in value:
                if name not in names:
                    self.fault(
                        f"{key}.{name}",
                        f"the method has no side '{name}'{did_you_mean(name, names)} It has: {', '.join(names)}",
                    )
            for name in names:
                if name not in value:
                    self.fault(f"{key}.{name}", f"is missing: where one side has its own {key}, each needs one")
            blocks = {name: self._block(key, value[name], f"{key}.{name}") for name in names if name in value}
            self.record[key] = {name: block.record for name, block in blocks.items() if block is not None}
        else:
            block = self._block(key, value, key)
            blocks = dict.fromkeys(names, block)
            if block is not None:
                self.record[key] = block.record
        return {name: block for name, block in blocks.items() if block is not None}

    def _with_defaults(self, key: str, kind: str) -> dict[str, tuple[Mapping[str, Any], bool]]:
        """Named blocks of a kind over its default set: name -> (block, from the default set)."""
        named: dict[str, tuple[Mapping[str, Any], bool]] = {
            item.name: ({"type": item.name}, True) for item in self.registry.defaults(kind)
        }
        for name in self._names_in(key):
            named.pop(name, None)
        named.update({name: (block, False) for name, block in self._mapping_of_blocks(key).items()})
        return named

    def _metrics(self) -> dict[str, MetricPlan]:
        plans = {}
        record = {}
        for name, (value, default) in self._with_defaults("metrics", "metric").items():
            path = f"metrics.{name}"
            block = self._block("metric", value, path)
            pairs = self._validated(_PAIRS, value.get("pairs"), f"{path}.pairs")
            if block is not None:
                plans[name] = MetricPlan(block, pairs, default)
                record[name] = {**block.record, **({"pairs": pairs} if pairs else {})}
        # The default set is not written out: a metric that needs a truth would become a demand for one.
        explicit = {name: record[name] for name, plan in plans.items() if not plan.default}
        left_out = {name: None for name in self._names_in("metrics") if self.data["metrics"][name] is None}
        if explicit or left_out:
            self.record["metrics"] = {**explicit, **left_out}
        return plans

    def _observers(self) -> dict[str, Block]:
        plans = {}
        for name, (value, _) in self._with_defaults("observers", "observer").items():
            block = self._block("observer", value, f"observers.{name}")
            if block is not None:
                plans[name] = block
        self.record["observers"] = {name: block.record for name, block in plans.items()}
        for item in self.registry.defaults("observer"):
            self.record["observers"].setdefault(item.name, None)
        return plans

    def _training(self) -> Training | None:
        value = self.data.get("training")
        if value is None:
            self.fault("training", "is missing: at least `training: {length: 200 epochs}` must say how long to train")
            return None
        before = len(self.faults)
        result = self._group(Training, value, "training")
        if result is None or len(self.faults) > before:
            return None
        training, record = result
        for item in fields(Training):
            length = getattr(training, item.name)
            if isinstance(length, Length) and length.count == 0:
                self.fault(f"training.{item.name}", "must be at least 1 step")
        self.record["training"] = record
        self.operation |= {
            f"training.{name}" for name, option in options_of_group(Training).items() if option.operation
        }
        return training

    # Blocks in general

    def _mapping_of_blocks(self, key: str) -> dict[str, Mapping[str, Any]]:
        """Named blocks: those that are null are left out, those that are no blocks are faults."""
        value = self.data.get(key)
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            self.fault(key, f"must be a mapping of named blocks, not {show(value)}")
            return {}
        blocks = {}
        for name, block in value.items():
            if isinstance(block, Mapping):
                blocks[name] = block
            elif block is not None:
                self.fault(f"{key}.{name}", f"must be a block, not {show(block)}")
        return blocks

    def _names_in(self, key: str) -> Sequence[str]:
        value = self.data.get(key)
        return tuple(value) if isinstance(value, Mapping) else ()

    def _construct(self, path: str, block: Block) -> Any:
        try:
            return block()
        except Exception as error:  # whatever a component's constructor raises
            self.fault(path, explain(error))
            return None

    def _block(self, kind: str, value: object, path: str) -> Block | None:
        if not isinstance(value, Mapping):
            self.fault(path, self._no_block(kind, value))
            return None
        name = value.get("type")
        if name is None:
            self.fault(path, f"has no `type`: which {kind}? {self._choices(kind)}{self._sibling(path)}")
            return None
        if not isinstance(name, str):
            self.fault(f"{path}.type", f"must be the name of a {kind}, not {show(name)}. {self._choices(kind)}")
            return None
        registration = self.registry.find(kind, name)
        if registration is None:
            perhaps = "; a plugin that failed to load may register it" if self.plugin_failed else ""
            self.fault(f"{path}.type", self.registry.unknown(kind, name) + perhaps)
            return None
        engine_keys = RESERVED[kind]
        rest = {key: item for key, item in value.items() if key not in engine_keys}
        before = len(self.faults)
        options, record = self._options(registration.options, rest, path, name, engine_keys[1:])
        return Block(registration, options, {"type": name, **record}) if len(self.faults) == before else None

    def _no_block(self, kind: str, value: object) -> str:
        if isinstance(value, str) and self.registry.find(kind, value) is not None:
            return f"must be a block: write {{type: {value}}}"
        return f"must be a block with a `type`, not {show(value)}. {self._choices(kind)}"

    def _sibling(self, path: str) -> str:
        """A block without a type is often one that a misspelt `--set` has made beside the one that was meant."""
        key, _, name = path.partition(".")
        siblings = [other for other in self._names_in(key) if other != name]
        meant = nearest(name, siblings) if name and "." not in name else None
        return f". Or did you mean {key}.{meant}?" if meant else ""

    def _options(
        self, options: Mapping[str, Option], value: Mapping[str, Any], path: str, owner: str, also: Sequence[str] = ()
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Values for a constructor, and the record of them with every default."""
        known = [*options, *also]
        for key in value:
            if key not in options:
                takes = f"It takes: {', '.join(known)}" if known else "It takes none"
                self.fault(f"{path}.{key}", f"{owner} has no option '{key}'{did_you_mean(key, known)} {takes}")
        built: dict[str, Any] = {}
        record: dict[str, Any] = {}
        for key, option in options.items():
            if key in value:
                self._given_option(option, value[key], f"{path}.{key}", built, record)
            elif option.required:
                self.fault(f"{path}.{key}", f"is missing: {owner} needs it ({describe(option.annotation)})")
            else:
                built[key], recorded = self._default(option, f"{path}.{key}")
                record.update(recorded)
        return built, record

    def _given_option(
        self, option: Option, value: Any, path: str, built: dict[str, Any], record: dict[str, Any]
    ) -> None:
        if value is None and option.optional:
            built[option.name] = record[option.name] = None
        elif option.nested is not None:
            block = self._block(kind_of_contract(option.nested), value, path)
            if block is not None:
                built[option.name], record[option.name] = block, block.record
        elif option.group is not None:
            group = self._group(option.group, value, path)
            if group is not None:
                built[option.name], record[option.name] = group
        else:
            try:
                built[option.name] = option.validate(value)
            except ValueError as error:
                self.fault(path, str(error))
            else:
                record[option.name] = option.dump(built[option.name])

    def _group(self, group: type, value: Any, path: str) -> tuple[Any, dict[str, Any]] | None:
        if not isinstance(value, Mapping):
            self.fault(path, f"must be a block, not {show(value)}. It takes: {', '.join(options_of_group(group))}")
            return None
        before = len(self.faults)
        built, record = self._options(options_of_group(group), value, path, path.rpartition(".")[2])
        if len(self.faults) > before:
            return None
        try:
            return group(**built), record
        except ValueError as error:
            self.fault(path, str(error))
            return None

    def _default(self, option: Option, path: str) -> tuple[Any, dict[str, Any]]:
        """A default as the constructor takes it, and its entry in the record: none where it has no name there."""
        default = option.default
        if default is None:
            return None, {option.name: None}
        if option.nested is not None:
            registration = self.registry.find_component(kind_of_contract(option.nested), default)
            block = self._block(registration.kind, {"type": registration.name}, path) if registration else None
            return (block, {option.name: block.record}) if block else (default, {})
        if option.group is not None:
            record: dict[str, Any] = {}
            for item in options_of_group(option.group).values():
                held = replace(item, default=getattr(default, item.name))
                record.update(self._default(held, f"{path}.{item.name}")[1])
            return default, {option.name: record}
        return default, {option.name: option.dump(default)}

    def _validated(self, option: Option, value: Any, path: str) -> Any:
        try:
            return option.validate(value)
        except ValueError as error:
            self.fault(path, str(error))
            return None


_WEIGHT = Option("weight", Weight, 1.0, False, None, None)
_PAIRS = Option("pairs", dict[str, str] | None, None, False, None, None)

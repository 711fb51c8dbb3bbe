"""A recipe's data in, a resolved with every block validated out, or all faults at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from pydantic import PositiveInt

from translate_core.components.blocks import Block, BlockReader
from translate_core.components.plugins import LoadedPlugins, load_plugins
from translate_core.components.registry import KINDS, Registry
from translate_core.components.signature import Option, options_of_group
from translate_core.contracts.length import Length
from translate_core.contracts.loss import Loss
from translate_core.contracts.method import Method
from translate_core.contracts.role import Role, sides
from translate_core.errors import Fault, RecipeError, did_you_mean, explain, in_order, nearest
from translate_core.recipe.file import subject_of
from translate_core.recipe.resolved import ResolvedLoss, ResolvedMetric, ResolvedNetwork, ResolvedRecipe
from translate_core.recipe.training import Training
from translate_core.recipe.weight import Ramp, Weight
from translate_core.runtime.yaml12 import show


def resolve(path: Path | None, data: Mapping[str, Any]) -> ResolvedRecipe:
    """Loads the plugins of a recipe and validates every block of it.

    path: the file of the recipe, None for data from Python. Raises RecipeError with every fault.
    """
    return _Resolver(path, data).resolved()


class _Resolver:
    """Validates block after block, collecting faults and the resolved record."""

    def __init__(self, path: Path | None, data: Mapping[str, Any]) -> None:
        self.path = path
        self.data = data
        self.faults: list[Fault] = []
        self.record: dict[str, Any] = {}
        self.operation: set[str] = {"observers", "metrics"}
        self.registry = Registry()
        self.blocks = BlockReader(self.registry, self.faults)

    def fault(self, path: str, message: str) -> None:
        self.faults.append(Fault(path, message))

    def resolved(self) -> ResolvedRecipe:
        plugins = self._plugins()
        self.registry = plugins.registry
        absent = "; a plugin that failed to load may register it" if self.faults else ""
        self.blocks = BlockReader(self.registry, self.faults, absent=absent)
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
            raise RecipeError(subject_of(self.path), in_order(self.faults, self.data))
        assert method is not None
        assert data is not None
        assert training is not None
        dataset = data.registration.component
        self.operation |= {f"data.{key}" for key in dataset.operation_keys}  # type: ignore[attr-defined]
        name = self.path.stem if self.path is not None else "recipe"
        return ResolvedRecipe(
            name, self.path, plugins, method, data, networks, losses, optimizers, schedules, metrics, observers,
            training, self._ordered_record(), frozenset(self.operation),
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
        return load_plugins(listed, self.path.parent if self.path is not None else Path(), self.faults)

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
            self.fault(key, f"is missing: the recipe names no {kind}. {self.blocks.choices(kind)}")
            return None
        block = self._block(kind, self.data[key], key)
        if block is not None:
            self.record[key] = block.record
        return block

    def _networks(self, method: Method) -> dict[str, ResolvedNetwork]:
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
        resolved_all = {}
        for role in method.roles:
            base, override = by_kind[role.kind], overrides.get(role.name)
            if override is None and base is None:
                if overrides:
                    self.fault(
                        f"networks.{role.name}", f"is missing: without a block `{role.kind}`, each needs its own"
                    )
                continue
            resolved = self._network(role, base, override)
            if resolved is not None:
                resolved_all[role.name] = resolved
        return resolved_all

    def _kind_block(self, kind: str, overrides: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any] | None:
        """The block that all roles of a kind share; a recipe may instead describe each under `networks`."""
        value = self.data.get(kind)
        if isinstance(value, Mapping):
            return value
        if value is not None:
            self.fault(kind, self.blocks.not_a_block(kind, value))
        elif not any("type" in block for block in overrides.values()):
            self.fault(kind, f"is missing: the recipe names no {kind}. {self.blocks.choices(kind)}")
        return None

    def _network(
        self, role: Role, base: Mapping[str, Any] | None, override: Mapping[str, Any] | None
    ) -> ResolvedNetwork | None:
        sources: dict[str, str] = {}
        if override is None:
            assert base is not None
            value, path = base, role.kind
        elif "type" in override or base is None:
            value, path = override, f"networks.{role.name}"
        else:
            value, path = {**base, **override}, f"networks.{role.name}"
            sources = {key: role.kind for key in base if key not in override}
        block = self._block(role.kind, value, path, sources)
        init = self._init(value, f"{sources.get('init', path)}.init")
        init_from = value.get("init_from")
        if init_from is not None and not isinstance(init_from, str):
            at = f"{sources.get('init_from', path)}.init_from"
            self.fault(at, f"must be the path of a file of weights, not {show(init_from)}")
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
        return ResolvedNetwork(role, block, init, init_from, path)

    def _record_kind_block(self, kind: str, base: Mapping[str, Any]) -> None:
        """Keeps a kind's block in the record where every role of it is overridden so far."""
        block = self._block(kind, base, kind)
        if block is not None:
            self.record[kind] = {**block.record, **{key: base[key] for key in ("init", "init_from") if key in base}}

    def _init(self, value: Mapping[str, Any], path: str) -> Block | None:
        if "init" in value:
            return self._block("init", value["init"], path)
        default = self.registry.default("init")
        return self._block("init", {"type": default.name}, path) if default is not None else None

    def _losses(self) -> dict[str, ResolvedLoss]:
        resolved_all = {}
        record = {}
        before = len(self.faults)
        if not self.data.get("losses"):
            self.fault("losses", f"is missing or empty: a run needs at least one loss. {self.blocks.choices('loss')}")
        for name, value in self._mapping_of_blocks("losses").items():
            path = f"losses.{name}"
            if "/" in name or "." in name:
                self.fault(
                    "losses", f"the name '{name}' must not contain '/' or '.': logs and dotted keys split names there"
                )
            weight = self._weight(value["weight"], f"{path}.weight") if "weight" in value else 1.0
            block = self._block("loss", value, path)
            if block is None or weight is None:
                continue
            if weight not in (0, 1) and not _plays_for_generators(block):
                self.fault(
                    f"{path}.weight",
                    f"scales the generators' side, which {block.registration.name} does not have: leave it out "
                    f"(0 switches the loss off); its own options say how strong it is",
                )
            record[name] = {"type": block.record["type"], "weight": _written(weight), **block.record}
            if weight != 0:
                resolved_all[name] = ResolvedLoss(block, weight)
        if not resolved_all and len(self.faults) == before:
            self.fault("losses", "is switched off, every one (weight 0 or null): a run needs at least one loss")
        self.record["losses"] = record
        return resolved_all

    def _weight(self, value: Any, path: str) -> float | Ramp | None:
        """A number, or {from, to, steps}; None where it is neither."""
        if not isinstance(value, Mapping):
            weight: float | None = self.blocks.value(WEIGHT, value, path)
            return weight
        before = len(self.faults)
        built, _ = self.blocks.options(RAMP, value, path, "a changing weight")
        if len(self.faults) > before:
            return None
        return Ramp(built["from"], built["to"], built["steps"]) if built["from"] or built["to"] else 0.0

    def _per_side(self, key: str, names: Sequence[str], *, required: bool) -> dict[str, Block]:
        value = self.data.get(key)
        if value is None:
            default = self.registry.default(key)
            if required or default is None:
                self.fault(key, f"is missing: the recipe names no {key}. {self.blocks.choices(key)}")
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

    def _metrics(self) -> dict[str, ResolvedMetric]:
        resolved_all = {}
        record = {}
        for name, (value, default) in self._with_defaults("metrics", "metric").items():
            path = f"metrics.{name}"
            block = self._block("metric", value, path)
            pairs = self.blocks.value(PAIRS, value.get("pairs"), f"{path}.pairs")
            if block is not None:
                resolved_all[name] = ResolvedMetric(block, pairs, default)
                record[name] = {**block.record, **({"pairs": pairs} if pairs else {})}
        # The default set is not written out: a metric that needs a truth would become a demand for one.
        explicit = {name: record[name] for name, resolved in resolved_all.items() if not resolved.default}
        left_out = {name: None for name in self._names_in("metrics") if self.data["metrics"][name] is None}
        if explicit or left_out:
            self.record["metrics"] = {**explicit, **left_out}
        return resolved_all

    def _observers(self) -> dict[str, Block]:
        resolved_all = {}
        for name, (value, _) in self._with_defaults("observers", "observer").items():
            block = self._block("observer", value, f"observers.{name}")
            if block is not None:
                resolved_all[name] = block
        self.record["observers"] = {name: block.record for name, block in resolved_all.items()}
        for item in self.registry.defaults("observer"):
            self.record["observers"].setdefault(item.name, None)
        return resolved_all

    def _training(self) -> Training | None:
        value = self.data.get("training")
        if value is None:
            self.fault("training", "is missing: at least `training: {length: 200 epochs}` must say how long to train")
            return None
        before = len(self.faults)
        result = self.blocks.group(Training, value, "training")
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

    def _block(self, kind: str, value: object, path: str, sources: Mapping[str, str] | None = None) -> Block | None:
        return self.blocks.block(kind, value, path, sources=sources, hint=self._sibling(path))

    def _sibling(self, path: str) -> str:
        """A block without a type is often one that a misspelt `--set` has made beside the one that was meant."""
        key, _, name = path.partition(".")
        siblings = [other for other in self._names_in(key) if other != name]
        meant = nearest(name, siblings) if name and "." not in name else None
        return f". Or did you mean {key}.{meant}?" if meant else ""


def _written(weight: float | Ramp) -> Any:
    """A weight as a recipe has it."""
    return {"from": weight.start, "to": weight.end, "steps": weight.steps} if isinstance(weight, Ramp) else weight


def _plays_for_generators(block: Block) -> bool:
    component = block.registration.component
    return not (isinstance(component, type) and getattr(component, "generator_loss", None) is Loss.generator_loss)


WEIGHT = Option("weight", Weight, 1.0, False, None, None)
RAMP = {
    "from": Option("from", Weight, None, True, None, None),
    "to": Option("to", Weight, None, True, None, None),
    "steps": Option("steps", PositiveInt, None, True, None, None),
}
PAIRS = Option("pairs", dict[str, str] | None, None, False, None, None)

"""The JSON Schema of recipes with all installed components, for editors: `translate-plugins schema`."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from pydantic import TypeAdapter

from translate_core.components.catalogue import ENGINE_KEYS, default_data, summary_of
from translate_core.components.docstrings import documentation_of
from translate_core.components.registry import KINDS, RESERVED, Registration, Registry, kind_of_contract
from translate_core.components.signature import Option, options_of_group
from translate_core.components.weight import weight_schema
from translate_core.contracts.method import Method
from translate_core.contracts.role import sides
from translate_core.contracts.update import updates_of
from translate_core.recipe.default_sets import IMAGES, PAIRS, REFERENCES
from translate_core.recipe.losses import EVERY
from translate_core.recipe.networks import FREEZE
from translate_core.recipe.training import Training
from translate_core.recipe.updates import MEANINGS, UPDATE_OPTIONS

Schema = dict[str, Any]

_NULL: Schema = {"type": "null"}
_DOTTED = r"\.[^.]+"


def recipe_schema(registry: Registry) -> Schema:
    """The schema (draft 2020-12) of recipes and ablations with every component of the registry."""
    return _Writer(registry).write()


class _Writer:
    """Collects definitions.

    `generator` is a block with a `type`, `generator.tiny` the block of one component, `part.generator` a block or some
    options that are merged into a block elsewhere.
    """

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.definitions: dict[str, Schema] = {}

    def write(self) -> Schema:
        for kind in KINDS:
            for name in self.registry.names(kind):
                self.definitions[f"{kind}.{name}"] = self._component(self.registry.get(kind, name))
            self.definitions[kind] = self._block(kind)
            self.definitions[f"part.{kind}"] = self._part(kind)
        self.definitions["training"] = _at_least_one_step(self._group(Training))
        self.definitions["part.training"] = _without_required(self.definitions["training"])
        self.definitions["recipe"] = self._recipe()
        self.definitions["ablation"] = self._ablation()
        registered = [self.registry.get(kind, name) for kind in KINDS for name in self.registry.names(kind)]
        owners = dict.fromkeys(str(item.owner) for item in registered)
        return {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": "A recipe of translate",
            "description": f"With the components of {', '.join(owners)}.",
            "type": "object",
            "if": {"anyOf": [{"required": ["base"]}, {"required": ["vary"]}]},
            "then": _ref("ablation"),
            "else": _ref("recipe"),
            "$defs": self.definitions,
        }

    # Whole files

    def _recipe(self) -> Schema:
        networks = [kind.name for kind in KINDS.values() if kind.network]
        return {
            "type": "object",
            "additionalProperties": False,
            "required": ["method", "data", "losses", "optimizer", "training"],
            "properties": {
                "plugins": _PLUGINS,
                "method": {
                    "description": "The networks of a run, its tensors and the order of updates.",
                    **_ref("method"),
                },
                "data": {"description": "The dataset.", **_ref("dataset")},
                **{kind: _or_null(_ref(kind)) for kind in networks},
                "networks": {
                    "description": "By role: options merged into the block of its kind, or a block with a `type`.",
                    "type": ["object", "null"],
                    "additionalProperties": _or_null(_any_of(_ref(f"part.{kind}") for kind in networks)),
                },
                "losses": {
                    "description": "The losses, by their names in logs.",
                    "type": "object",
                    "minProperties": 1,
                    "propertyNames": {"pattern": "^[^./]+$"},
                    "additionalProperties": _or_null(_ref("loss")),
                },
                "optimizer": self._per_side("optimizer", self._all_sides(), whole=False),
                "schedule": _or_null(self._per_side("schedule", self._all_sides(), whole=False)),
                "updates": _updates(),
                "training": _ref("training"),
                **self._named_blocks(),
            },
            "allOf": [self._of_method(name) for name in self.registry.names("method")],
        }

    def _ablation(self) -> Schema:
        networks = [kind.name for kind in KINDS.values() if kind.network]
        parts: dict[str, Schema] = {
            "plugins": _PLUGINS,
            "method": _ref("part.method"),
            "data": _ref("part.dataset"),
            **{kind: _or_null(_ref(f"part.{kind}")) for kind in networks},
            "networks": {
                "type": ["object", "null"],
                "additionalProperties": _or_null(_any_of(_ref(f"part.{kind}") for kind in networks)),
            },
            "losses": {"type": "object", "additionalProperties": _or_null(_ref("part.loss"))},
            "optimizer": self._per_side("optimizer", self._all_sides(), whole=False, part=True),
            "schedule": _or_null(self._per_side("schedule", self._all_sides(), whole=False, part=True)),
            "updates": _updates(),
            "training": _ref("part.training"),
            **self._named_blocks(),
        }
        blocks = "|".join(parts)
        return {
            "description": "An ablation: every variant of another recipe, over seeds.",
            "type": "object",
            "additionalProperties": False,
            "required": ["base", "vary"],
            "properties": {
                "base": {"description": "The recipe that is varied, relative to this file.", "type": "string"},
                "vary": {
                    "description": "Dotted keys with lists of values; every combination is a variant.",
                    "type": "object",
                    "minProperties": 1,
                    "propertyNames": {"pattern": f"^({blocks})({_DOTTED})*$"},
                    "additionalProperties": {"type": "array", "minItems": 1, "uniqueItems": True},
                },
                "seeds": {
                    "description": "Each variant is trained with each of these seeds.",
                    "type": "array",
                    "minItems": 1,
                    "uniqueItems": True,
                    "items": {"type": "integer", "minimum": 0},
                },
                **parts,
            },
            "patternProperties": {
                f"^({blocks})({_DOTTED})+$": {"description": "A key of the base recipe, set in all variants."}
            },
        }

    def _named_blocks(self) -> dict[str, Schema]:
        return {
            key: {
                "description": f"In addition to the defaults ({', '.join(on) or 'none'}), which null switches off.",
                "type": ["object", "null"],
                "properties": {name: _or_null(_ref(kind)) for name in on},
                "additionalProperties": _or_null(_ref(kind)),
            }
            for key, kind in (("metrics", "metric"), ("observers", "observer"))
            for on in [[item.name for item in self.registry.defaults(kind)]]
        }

    def _of_method(self, name: str) -> Schema:
        """The constraints of a method on other blocks: its roles, its sides, no block of a kind without a role."""
        method: type[Method] = self.registry.get("method", name).component  # type: ignore[assignment]
        roles = method.roles
        kinds = {role.kind for role in roles}
        properties: dict[str, Schema] = {
            "networks": {
                "properties": {role.name: _or_null(_ref(f"part.{role.kind}")) for role in roles},
                "additionalProperties": False,
            },
            "optimizer": self._per_side("optimizer", sides(roles), whole=True),
            "schedule": _or_null(self._per_side("schedule", sides(roles), whole=True)),
            "updates": {"propertyNames": {"enum": [update.name for update in updates_of(method.order)]}},
            **{kind.name: _NULL for kind in KINDS.values() if kind.network and kind.name not in kinds},
        }
        chosen = {"properties": {"method": _type_is(name)}, "required": ["method"]}
        return {"if": chosen, "then": {"properties": properties}}

    def _all_sides(self) -> tuple[str, ...]:
        methods = [self.registry.get("method", name).component for name in self.registry.names("method")]
        return tuple(dict.fromkeys(side for method in methods for side in sides(method.roles)))  # type: ignore[attr-defined]

    def _per_side(self, kind: str, names: Sequence[str], *, whole: bool, part: bool = False) -> Schema:
        """One block, or one for each side.

        whole: whether each side must have one. part: whether some options suffice.
        """
        block = _ref(f"part.{kind}" if part else kind)
        return {
            "if": {"type": "object", "anyOf": [{"required": [name]} for name in names], "not": {"required": ["type"]}},
            "then": {
                "type": "object",
                "properties": dict.fromkeys(names, block),
                "additionalProperties": False,
                **({"required": list(names)} if whole else {}),
            },
            "else": block,
        }

    # Blocks

    def _block(self, kind: str) -> Schema:
        """A block with a `type`, which determines the other keys."""
        registrations = [self.registry.get(kind, name) for name in self.registry.names(kind)]
        return {
            "type": "object",
            "required": ["type"],
            "properties": {
                "type": {
                    "description": f"Which {kind}.",
                    "oneOf": [{"const": item.name, "description": summary_of(item)} for item in registrations],
                }
            },
            "allOf": [{"if": _type_is(item.name), "then": _ref(f"{kind}.{item.name}")} for item in registrations],
        }

    def _part(self, kind: str) -> Schema:
        """With a `type` a block; without one, options of any component of that kind."""
        options: dict[str, list[Schema]] = {}
        for name in self.registry.names(kind):
            for key, schema in self.definitions[f"{kind}.{name}"]["properties"].items():
                if key != "type" and schema not in options.setdefault(key, []):
                    options[key].append(schema)
        return {
            "type": "object",
            "if": {"required": ["type"]},
            "then": _ref(kind),
            "else": {
                "properties": {key: _any_of(schemas) for key, schemas in options.items()},
                "additionalProperties": False,
            },
        }

    def _component(self, registration: Registration) -> Schema:
        documentation = documentation_of(registration.component)
        options = {
            name: self._option(option, documentation.arguments.get(name, ""))
            for name, option in registration.options.items()
        }
        keys = {key: self._engine_key(key, registration) for key in RESERVED[registration.kind] if key != "type"}
        required = [name for name, option in registration.options.items() if option.required]
        return {
            "description": documentation.text or registration.name,
            "type": "object",
            "additionalProperties": False,
            "required": ["type", *required],
            "properties": {"type": {"const": registration.name}, **options, **keys},
        }

    def _engine_key(self, key: str, registration: Registration) -> Schema:
        if key == "weight":
            schema = weight_schema(registration)
        else:
            schema = {
                "init": _ref("init"),
                "init_from": {"type": ["string", "null"]},
                "optimizer": _or_null(_ref("part.optimizer")),
                "freeze": _plain(FREEZE.annotation),
                "every": _plain(EVERY.annotation),
                "pairs": _plain(PAIRS.annotation),
                "images": _plain(IMAGES.annotation),
                "references": _plain(REFERENCES.annotation),
            }[key]
        return {"description": ENGINE_KEYS[key].meaning, **schema}

    def _option(self, option: Option, meaning: str) -> Schema:
        if option.nested is not None:
            schema = _ref(kind_of_contract(option.nested))
        elif option.group is not None:
            schema = self._group(option.group)
        else:
            schema = _plain(option.annotation)
        if option.optional and (option.nested is not None or option.group is not None):
            schema = _or_null(schema)
        described = {"description": meaning, **schema} if meaning else schema
        if option.required:
            return described
        default = default_data(option, self.registry)
        return described if default == "its own" and option.nested is not None else {**described, "default": default}

    def _group(self, group: type) -> Schema:
        documentation = documentation_of(group)
        options = options_of_group(group)
        return {
            "description": documentation.summary,
            "type": "object",
            "additionalProperties": False,
            "required": [name for name, option in options.items() if option.required],
            "properties": {
                name: self._option(option, documentation.arguments.get(name, "")) for name, option in options.items()
            },
        }


_PLUGINS: Schema = {
    "description": "Modules, and .py files beside the recipe, that register components for this recipe.",
    "type": ["array", "null"],
    "items": {"type": "string"},
}


def _updates() -> Schema:
    """The block of updates, by name."""
    options = {
        name: {"description": MEANINGS[name], **_plain(option.annotation)} for name, option in UPDATE_OPTIONS.items()
    }
    return {
        "description": "By update: how often it takes place, and the largest norm of its gradient.",
        "type": ["object", "null"],
        "additionalProperties": _or_null({"type": "object", "additionalProperties": False, "properties": options}),
    }


def _plain(annotation: Any) -> Schema:
    """The schema of an annotation alone, as strict as the engine."""
    schema = TypeAdapter(annotation).json_schema()
    return _inlined(schema, schema.pop("$defs", {}))


def _inlined(value: Any, definitions: Mapping[str, Schema]) -> Any:
    """A schema with its references replaced by their definitions."""
    if isinstance(value, Mapping):
        if "$ref" in value:
            return _inlined(definitions[value["$ref"].rpartition("/")[2]], definitions)
        return {key: _inlined(item, definitions) for key, item in value.items() if key != "title"}
    return [_inlined(item, definitions) for item in value] if isinstance(value, list) else value


def _ref(name: str) -> Schema:
    """A reference to a definition; its name may be any text."""
    return {"$ref": "#/$defs/" + quote(name.replace("~", "~0").replace("/", "~1"))}


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, _NULL]}


def _any_of(schemas: Iterable[Schema]) -> Schema:
    listed = list(schemas)
    return listed[0] if len(listed) == 1 else {"anyOf": listed}


def _type_is(name: str) -> Schema:
    return {"properties": {"type": {"const": name}}, "required": ["type"]}


def _at_least_one_step(schema: Any) -> Any:
    """A schema in which lengths of zero are not valid, but for the `from` of an EMA, which is a step."""
    if isinstance(schema, dict):
        return {key: item if key == "from" else _at_least_one_step(item) for key, item in schema.items()}
    if isinstance(schema, list):
        return [_at_least_one_step(item) for item in schema]
    return schema.replace("([0-9][0-9_]*)", "([0_]*[1-9][0-9_]*)") if isinstance(schema, str) else schema


def _without_required(schema: Schema) -> Schema:
    changed = copy.deepcopy(schema)
    changed.pop("required")
    return changed

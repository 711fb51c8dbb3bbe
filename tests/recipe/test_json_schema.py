"""`translate-plugins schema`: the schema accepts exactly what the engine accepts."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.conftest import REPOSITORY
from translate_core.commands.plugins import main
from translate_core.components.blocks import resolve_block
from translate_core.components.plugins import load_plugins
from translate_core.components.registry import KINDS, RESERVED, Registration
from translate_core.components.signature import Option, options_of_group
from translate_core.errors import UserError
from translate_core.recipe.file import read_recipe
from translate_core.recipe.json_schema import recipe_schema
from translate_core.recipe.resolver import resolve
from translate_core.recipe.training import Training
from translate_core.runtime import yaml12

REGISTRY = load_plugins().registry
SCHEMA = recipe_schema(REGISTRY)
VALIDATOR = Draft202012Validator(SCHEMA)
BUILT_IN = [REGISTRY.get(kind, name) for kind in KINDS for name in REGISTRY.names(kind)]
RECIPES = sorted((REPOSITORY / "recipes").rglob("*.yaml"))
QUICKSTART = REPOSITORY / "recipes" / "quickstart.yaml"


def faults(data: Any, definition: str = "") -> list[str]:
    """The paths at which the schema rejects data. definition: a part of the schema, by default all of it."""
    part = {**SCHEMA["$defs"][definition], "$defs": SCHEMA["$defs"]} if definition else SCHEMA
    return [".".join(map(str, error.path)) for error in VALIDATOR.evolve(schema=part).iter_errors(data)]


def test_it_is_a_valid_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA
    references = {value for key, value in _pairs(SCHEMA) if key == "$ref"}
    assert len(references) >= 60
    assert {f"#/$defs/{name}" for name in SCHEMA["$defs"]} >= references


def _pairs(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        yield from value.items()
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _pairs(item)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_is_accepted(path: Path) -> None:
    assert len(RECIPES) >= 20
    assert faults(yaml12.read(path)) == []


WRONG = {
    "a misspelt option": ("generator.dwons", 3),
    "an option of another component": ("generator.blocks", 9),
    "text for a number": ("optimizer.lr", "fast"),
    "a number for a choice": ("generator.norm", 3),
    "out of range": ("generator.dropout", 1),
    "below the range": ("training.batch_size", 0),
    "a list too short": ("optimizer.betas", [0.5]),
    "a member out of range": ("optimizer.betas", [0.5, 1.5]),
    "an unknown component": ("generator.type", "unett"),
    "a component of another kind": ("discriminator.type", "resnet"),
    "no type": ("generator", {"width": 8}),
    "a name for a block": ("method", "cyclegan"),
    "an unknown block": ("generatr", {"type": "unet"}),
    "an unknown key of training": ("training.lenght", "3 steps"),
    "a length without unit": ("training.length", 3),
    "a length of nothing": ("training.length", "0 steps"),
    "an average of nothing": ("training.ema", {"decay": 0.9, "every": "0 steps"}),
    "a length of another unit": ("training.length", "3 days"),
    "a negative weight": ("losses.cycle.weight", -1),
    "a ramp without an end": ("losses.cycle.weight", {"from": 0, "steps": 10}),
    "a weight where nothing is scaled": ("losses.penalty", {"type": "r1", "weight": 10}),
    "a name with a slash": ("losses.a/b", {"type": "cycle"}),
    "a nested component that is none": ("losses.adversarial.pool.type", "histroy"),
    "a nested option": ("losses.adversarial.pool.sise", 3),
    "pairs that are not text": ("metrics.psnr.pairs", {"real_A": 3}),
    "an observer that is none": ("observers.mine", {"type": "nothing"}),
    "an unknown network": ("networks.G_AC", {"width": 8}),
    "an unknown option of a network": ("networks.G_AB", {"widht": 8}),
    "a network of another kind": ("networks.G_AB", {"type": "patchgan"}),
    "a side that the method lacks": (
        "optimizer",
        {"generators": {"type": "adam"}, "critics": {"type": "adam"}},
    ),
    "a side that is missing": ("optimizer", {"generators": {"type": "adam"}}),
    "a block of a kind that the method lacks": ("head", {"type": "mlp"}),
    "an init that is none": ("generator.init", {"type": "ones"}),
    "plugins that are not a list": ("plugins", "mine.py"),
}


def changed(key: str, value: Any) -> dict[str, Any]:
    data = read_recipe(QUICKSTART)
    *parents, last = key.split(".")
    block = data
    for parent in parents:
        block = block.setdefault(parent, {})
    block[last] = copy.deepcopy(value)
    return data


@pytest.mark.parametrize("name", WRONG)
def test_faults_are_rejected(name: str) -> None:
    assert len(WRONG) >= 30
    data = changed(*WRONG[name])
    with pytest.raises(UserError):
        resolve(QUICKSTART, data)
    found = faults(data)
    first = WRONG[name][0].split(".")[0]
    assert found
    assert any(path.startswith(first) or path == "" for path in found), found


RIGHT = {
    "a ramp": ("losses.cycle.weight", {"from": 0, "to": 10, "steps": 500}),
    "a loss left out": ("losses.identity", None),
    "an observer left out": ("observers.tensorboard", None),
    "a network of its own": ("networks.G_AB", {"type": "resnet", "blocks": 2}),
    "an option of a network": ("networks.G_AB", {"width": 8}),
    "weights of a network": ("networks.G_AB", {"init_from": "some.pth", "init": {"type": "xavier"}}),
    "an optimizer for each side": (
        "optimizer",
        {"generators": {"type": "adam"}, "discriminators": {"type": "sgd", "lr": 1}},
    ),
    "no schedule": ("schedule", None),
    "a penalty": ("losses.penalty", {"type": "r1", "weight": 1}),
    "no samples": ("training.sample_every", None),
    "an average from the first step": ("training.ema", {"decay": 0.9, "from": "0 steps"}),
    "a metric of its own": ("metrics.mine", {"type": "psnr", "pairs": None}),
}


@pytest.mark.parametrize("name", RIGHT)
def test_valid_recipes_are_accepted(name: str) -> None:
    data = changed(*RIGHT[name])
    resolve(QUICKSTART, data)
    assert faults(data) == []


# Every component, every option

VALUES: list[Any] = [
    None,
    True,
    False,
    -1,
    0,
    1,
    2,
    3,
    64,
    -0.5,
    0.0,
    0.25,
    0.5,
    1.5,
    1e9,
    "",
    "text",
    "5 steps",
    "0 epochs",
    "instance",
    [],
    [0.5, 0.9],
    [1, 2],
    ["text"],
    [1, 2, 3],
    {},
    {"a": "b"},
    {"a": 1},
    {"type": "none"},
]


def needed(option: Option) -> Any:
    """A valid value for a required option."""
    return next(value for value in VALUES if accepts(option, value))


def accepts(option: Option, value: Any) -> bool:
    try:
        option.validate(value)
    except ValueError:
        return False
    return True


def filled(registration: Registration) -> dict[str, Any]:
    """The smallest block of a component."""
    required = {
        name: needed(option)
        for name, option in registration.options.items()
        if option.required and option.nested is None and option.group is None
    }
    return {"type": registration.name, **required}


@pytest.mark.parametrize("registration", BUILT_IN, ids=lambda item: f"{item.kind}-{item.name}")
def test_every_component_with_all_its_defaults(registration: Registration) -> None:
    block = resolve_block(REGISTRY, registration.kind, filled(registration))
    assert faults(dict(block.record), registration.kind) == []
    assert faults({**block.record, "no_such_option": 1}, registration.kind)


def test_every_option_accepts_the_same_values_as_the_engine() -> None:
    tried = disagreed = 0
    for registration in BUILT_IN:
        for name, option in registration.options.items():
            if option.nested is not None or option.group is not None:
                continue
            for value in VALUES:
                expected = accepts(option, value)
                found = not faults({**filled(registration), name: value}, registration.kind)
                tried += 1
                # JSON Schema takes 1.0 for a whole number, which the engine does not.
                whole = isinstance(value, float) and value.is_integer()
                if expected != found and not whole:
                    disagreed += 1
                    print(
                        f"{registration.kind} {registration.name}.{name}={value!r}: engine {expected}, schema {found}"
                    )
    assert disagreed == 0
    assert tried >= 2000


def test_every_key_of_training_accepts_the_same_values_as_the_engine() -> None:
    options = options_of_group(Training)
    assert len(options) >= 15
    for name, option in options.items():
        for value in VALUES:
            if isinstance(value, float) and value.is_integer():
                continue
            expected = accepts(option, value) and value != "0 epochs"
            found = not faults({"length": "1 epoch", name: value}, "training")
            assert found == expected, f"training.{name}={value!r}"


def test_every_key_has_a_description() -> None:
    for registration in BUILT_IN:
        definition = SCHEMA["$defs"][f"{registration.kind}.{registration.name}"]
        assert len(definition["description"]) > 10
        assert set(definition["properties"]) == {*registration.options, *RESERVED[registration.kind]}
        for name, schema in definition["properties"].items():
            assert name == "type" or schema.get("description"), f"{registration.kind} {registration.name}.{name}"
            if name in registration.options and not registration.options[name].required:
                assert "default" in schema, f"{registration.kind} {registration.name}.{name}"
        choices = {
            item["const"]: item["description"]
            for item in SCHEMA["$defs"][registration.kind]["properties"]["type"]["oneOf"]
        }
        assert choices[registration.name]
    for name, schema in SCHEMA["$defs"]["training"]["properties"].items():
        assert schema.get("description"), f"training.{name}"


# Ablations


ABLATION = {"base": "../quickstart.yaml", "vary": {"losses.identity.weight": [0, 5]}, "seeds": [0, 1]}


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"training": {"length": "4 epochs"}},
        {"losses": {"identity": {"weight": 3}, "cycle": None}},
        {"generator": {"type": "resnet", "blocks": 3}},
        {"generator": {"blocks": 3}},
        {"losses.identity.distance": "l2"},
        {"training.length": "4 epochs"},
        {"optimizer": {"generators": {"type": "adam"}, "discriminators": {"type": "adam"}}},
        {"vary": {"generator": [{"type": "unet"}, {"type": "resnet"}], "training.batch_size": [1, 2]}},
        {"discriminator": None},
    ],
)
def test_an_ablation_is_accepted(more: dict[str, Any]) -> None:
    assert faults({**ABLATION, **more}) == []


@pytest.mark.parametrize(
    "more",
    [
        {"vary": {}},
        {"vary": {"losses.identity.weight": 5}},
        {"vary": {"losses.identity.weight": []}},
        {"vary": {"losses.identity.weight": [1, 1]}},
        {"vary": {"loses.identity.weight": [1]}},
        {"vary": {"losses..weight": [1]}},
        {"seeds": 3},
        {"seeds": []},
        {"seeds": [-1]},
        {"seeds": [1, 1]},
        {"base": 3},
        {"training": {"lenght": "4 epochs"}},
        {"generator": {"blcks": 3}},
        {"generator": {"type": "resnett"}},
        {"generater": {"type": "resnet"}},
        {"generater.width": 3},
    ],
)
def test_a_wrong_ablation_is_rejected(more: dict[str, Any]) -> None:
    assert faults({**ABLATION, **more})


@pytest.mark.parametrize("key", ["base", "vary"])
def test_an_ablation_needs_base_and_vary(key: str) -> None:
    assert faults({name: value for name, value in ABLATION.items() if name != key})


# Plugins and the command

PLUGIN = '''
import enum
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field
from torch import nn
from translate_core import Length, hookimpl


class Mode(enum.Enum):
    SOFT = "soft"
    HARD = "hard"


@dataclass(frozen=True)
class Size:
    """A size.

    Args:
        height: in pixels.
    """

    height: Annotated[int, Field(ge=4, multiple_of=2)]
    mode: Mode = Mode.SOFT


class Odd(nn.Module):
    """A generator with every kind of option.

    Args:
        size: of it.
        until: when.
        table: of things.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        size: Size,
        until: Length | None = None,
        table: dict[str, list[tuple[int, float]]] = {"a": [(1, 2.0)]},
        mode: Mode = Mode.HARD,
    ) -> None:
        super().__init__()


@hookimpl(contract=1)
def register(registry):
    registry.generator("odd/one ~", Odd)
'''


def test_the_components_of_a_plugin(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.py").write_text(PLUGIN)
    assert main(["schema", "--plugin", str(tmp_path / "mine.py")]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert str(tmp_path / "mine.py") in schema["description"]
    validator = Draft202012Validator(schema)
    recipe = read_recipe(QUICKSTART)

    def valid(**options: Any) -> bool:
        return validator.is_valid({**recipe, "generator": {"type": "odd/one ~", **options}})

    everything = {
        "size": {"height": 6, "mode": "hard"},
        "until": "3 epochs",
        "table": {"b": [[1, 0.5]]},
        "mode": "soft",
    }
    assert valid(size={"height": 4})
    assert valid(**everything)
    assert not valid(**everything, more=1)
    assert not valid()
    assert not valid(size={"height": 5})
    assert not valid(size={"height": 4, "mode": "other"})
    assert not valid(size={"height": 4}, until="3")
    assert not valid(size={"height": 4}, table={"b": [[1]]})
    assert not faults(recipe)
    assert faults({**recipe, "generator": {"type": "odd/one ~", "size": {"height": 4}}})


def test_it_is_written_to_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "deeper" / "recipe.schema.json"
    assert main(["schema", "--out", str(out)]) == 0
    assert json.loads(out.read_text(encoding="utf-8")) == SCHEMA
    captured = capsys.readouterr()
    assert captured.out == ""
    assert f"\n  # yaml-language-server: $schema={out}\n" in captured.err
    assert [path.name for path in out.parent.iterdir()] == ["recipe.schema.json"]


def test_it_is_printed_without_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == SCHEMA

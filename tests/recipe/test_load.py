"""load_recipe: a recipe from a file or from Python values."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import REPOSITORY
from translate_core import Length, RecipeError, UserError, load_recipe

Write = Callable[..., Path]

PLAIN = "; a recipe holds mappings, lists, text, numbers, booleans and None"


@pytest.fixture
def data(write_recipe: Write) -> dict[str, Any]:
    """The data of a valid recipe."""
    loaded: dict[str, Any] = yaml.safe_load(write_recipe().read_text())
    return loaded


def test_a_mapping_is_the_same_recipe_as_its_file(write_recipe: Write, data: dict[str, Any]) -> None:
    from_file, from_data = load_recipe(write_recipe()), load_recipe(data)
    assert from_data.record == from_file.record
    assert from_data.operation == from_file.operation
    assert (from_file.name, from_data.name) == ("small", "recipe")
    assert (from_file.path, from_data.path) == (write_recipe(), None)


def test_a_path_may_be_text(write_recipe: Write) -> None:
    assert load_recipe(str(write_recipe())).path == write_recipe()


def test_overrides_as_texts_and_as_a_mapping_are_the_same(write_recipe: Write) -> None:
    texts = ["training.batch_size=2", "losses.cycle.weight={from: 1, to: 2, steps: 3}", "optimizer.betas=[0.1, 0.2]"]
    values = {
        "training.batch_size": 2,
        "losses.cycle.weight": {"from": 1, "to": 2, "steps": 3},
        "optimizer.betas": (0.1, 0.2),
    }
    from_texts, from_values = load_recipe(write_recipe(), texts), load_recipe(write_recipe(), values)
    assert from_texts.record == from_values.record
    assert from_texts.training.batch_size == 2
    assert from_texts.record["optimizer"]["betas"] == [0.1, 0.2]


def test_python_values_stand_for_plain_data(data: dict[str, Any], folders: Path) -> None:
    data["data"]["root"] = folders
    data["training"]["length"] = Length(7, "steps")
    resolved = load_recipe(data, {"data.transform.crop": (24, 24), "training.log_every": Length(2, "steps")})
    assert resolved.training.length == Length(7, "steps")
    assert resolved.training.log_every == Length(2, "steps")
    assert resolved.record["data"]["root"] == str(folders)
    assert resolved.record["data"]["transform"]["crop"] == [24, 24]


def test_the_callers_data_stay_as_they_are(data: dict[str, Any]) -> None:
    before = copy.deepcopy(data)
    block = {"type": "resnet", "width": 8}
    load_recipe(data, {"generator": block, "generator.blocks": 1})
    assert data == before
    assert block == {"type": "resnet", "width": 8}


def test_plugin_files_of_a_mapping_lie_in_the_current_folder(
    data: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own.py").write_text(
        "from torch import nn\nfrom translate_core import hookimpl\n\n"
        "class Own(nn.Module):\n    def __init__(self, in_channels: int, out_channels: int):\n        pass\n\n"
        "@hookimpl\ndef register(registry):\n    registry.generator('own', Own)\n"
    )
    monkeypatch.chdir(tmp_path)
    resolved = load_recipe({**data, "plugins": ["own.py"], "generator": {"type": "own"}})
    assert resolved.plugins.files == {"own.py": tmp_path / "own.py"}


@pytest.mark.parametrize(
    ("changes", "overrides", "message"),
    [
        ({"generator": {"type": "resnet", "blokcs": 1}}, (), "the recipe has 1 fault\n  generator.blokcs  resnet"),
        (
            {"method": {"type": {1, 2}}, "losses": {"cycle": {"weights": [object()]}, 3: None}}, (),
            "the recipe has 3 faults\n"
            f"  method.type             has the type set{PLAIN}\n"
            f"  losses.cycle.weights.0  has the type object{PLAIN}\n"
            "  losses.3                is a key of type int; keys are text",
        ),
        (
            {}, {"a..b": 1, "method.type.x": 2, "data.root": object},
            "the recipe has 3 faults\n"
            "  overrides  the key 'a..b' must be dotted text, such as 'training.batch_size'\n"
            f"  data.root  has the type type{PLAIN}\n"
            "  overrides  'method.type.x' cannot be set: method.type is 'cyclegan', not a block",
        ),
        (
            {}, ["seed", "method.type.x=2"],
            "the recipe has 2 faults\n"
            "  overrides  'seed' must be KEY=VALUE, such as training.batch_size=4\n"
            "  overrides  'method.type.x' cannot be set: method.type is 'cyclegan', not a block",
        ),
    ],
)  # fmt: skip
def test_faults(data: dict[str, Any], changes: dict[str, Any], overrides: Any, message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe({**data, **changes}, overrides)
    assert str(caught.value).startswith(message)
    assert len(caught.value.faults) == message.count("\n")


def test_a_text_in_place_of_a_list_of_overrides(data: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=r"^overrides must be a list of KEY=VALUE texts .*, not the text 'a=1'$"):
        load_recipe(data, "a=1")


def test_an_ablation_is_not_a_recipe(tmp_path: Path) -> None:
    path = tmp_path / "varied.yaml"
    path.write_text("base: small.yaml\nvary: {optimizer.lr: [1.0, 2.0]}\n")
    with pytest.raises(UserError, match=r"^recipe .*varied.yaml is an ablation: it has `base` and `vary`. Load the"):
        load_recipe(path)
    with pytest.raises(UserError, match=r"^the recipe is an ablation"):
        load_recipe({"vary": {}})


def test_a_shipped_recipe_by_its_name() -> None:
    resolved = load_recipe("quickstart")
    assert resolved.name == "quickstart"
    assert resolved.path == REPOSITORY / "recipes" / "quickstart.yaml"
    with pytest.raises(
        UserError, match=r"^there is neither a file nor a shipped recipe 'quikstart', did you mean 'qui"
    ):
        load_recipe("quikstart")

"""From YAML and overrides to a resolved recipe, and back. Faults are in test_bad_input.py."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import REPOSITORY
from translate_core import Length, NoPool, load_recipe
from translate_core.errors import RecipeError, UserError
from translate_core.recipe.file import read_recipe
from translate_core.recipe.overrides import apply_override, flatten, parse_override, parse_overrides
from translate_core.recipe.resolved import ResolvedRecipe
from translate_core.runtime.yaml12 import dump, parse

Write = Callable[..., Path]


def resolved_with(path: Path, *overrides: str) -> ResolvedRecipe:
    return load_recipe(path, overrides)


class TestOverrides:
    @pytest.mark.parametrize(
        ("text", "key", "value"),
        [
            ("training.batch_size=4", "training.batch_size", 4),
            ("optimizer.lr=2e-4", "optimizer.lr", 2e-4),
            ("losses.identity=null", "losses.identity", None),
            ("losses.identity=", "losses.identity", None),
            ("generator={type: unet, downs: 6}", "generator", {"type": "unet", "downs": 6}),
            ("data.root=/a=b", "data.root", "/a=b"),
            (" training.length =5 steps", "training.length", "5 steps"),
            ("plugins=[a.py, b]", "plugins", ["a.py", "b"]),
        ],
    )
    def test_parsed(self, text: str, key: str, value: object) -> None:
        assert parse_override(text) == (key, value)

    @pytest.mark.parametrize(
        ("key", "value", "expected"),
        [
            ("a.b", 2, {"a": {"b": 2, "c": [3, 4]}, "n": None}),
            ("a", {"d": 1}, {"a": {"d": 1}, "n": None}),
            ("a.c.1", 5, {"a": {"b": 1, "c": [3, 5]}, "n": None}),
            ("n.x.y", 1, {"a": {"b": 1, "c": [3, 4]}, "n": {"x": {"y": 1}}}),
            ("new.x", 1, {"a": {"b": 1, "c": [3, 4]}, "n": None, "new": {"x": 1}}),
            ("a.b", None, {"a": {"b": None, "c": [3, 4]}, "n": None}),
        ],
    )
    def test_applied(self, key: str, value: object, expected: Mapping[str, object]) -> None:
        data: dict[str, Any] = {"a": {"b": 1, "c": [3, 4]}, "n": None}
        apply_override(data, key, value)
        assert data == expected

    @pytest.mark.parametrize("key", ["a.b.c", "a.c.2", "a.c.x", "a.c.0.x"])
    def test_through_a_value_that_is_not_a_block(self, key: str) -> None:
        with pytest.raises(UserError, match="cannot be set: a"):
            apply_override({"a": {"b": 1, "c": [3, 4]}}, key, 1)

    def test_flat_for_the_name_of_a_folder(self) -> None:
        overrides = parse_overrides(["generator={type: unet, downs: 6}", "a.b=1", "generator.downs=7", "broken"])
        assert overrides.flat() == {"generator.type": "unet", "generator.downs": 7, "a.b": 1}

    def test_all_faults_are_raised_at_once(self) -> None:
        """Those of texts that cannot be parsed and those of keys that cannot be set; the data stay unchanged."""
        data = {"a": {"b": 1}}
        with pytest.raises(RecipeError) as caught:
            parse_overrides(["a.c=2", "broken", "a.b.x=1"]).apply(data, "it")
        assert str(caught.value) == (
            "it has 2 faults\n"
            "  --set  'broken' must be KEY=VALUE, such as training.batch_size=4\n"
            "  --set  'a.b.x' cannot be set: a.b is 1, not a block"
        )
        assert data == {"a": {"b": 1}}

    def test_later_ones_win(self, write_recipe: Write) -> None:
        resolved = resolved_with(
            write_recipe(), "generator.blocks=2", "generator={type: resnet, width: 8}", "generator.blocks=3"
        )
        assert dict(resolved.networks["G_AB"].block.options)["blocks"] == 3
        assert dict(resolved.networks["G_AB"].block.options)["width"] == 8


VARIANTS = {
    "as it is": (),
    "a network merged": ("networks={G_BA: {width: 8}}",),
    "a network replaced": ("networks={G_BA: {type: unet, downs: 3}}",),
    "networks alone": (
        "networks={G_AB: {type: unet, downs: 3}, G_BA: {type: resnet, init: {type: none}}}", "generator=null",
    ),
    "every network of a kind overridden": ("networks={G_AB: {width: 8}, G_BA: {type: unet, downs: 3}}",),
    "an initialisation": ("generator.init={type: xavier}", "networks={D_A: {init: {type: none}}}"),
    "weights": ("generator.init_from=w.pth", "networks={D_A: {init_from: d.pth}}"),
    "per-side optimizers": ("optimizer={discriminators: {type: sgd, lr: 0.1}, generators: {type: adamw}}",),
    "per-side schedules": ("schedule={generators: {type: cosine}, discriminators: {type: constant}}",),
    "no schedule": ("schedule=null",),
    "a loss that is null": ("losses.identity=null",),
    "a loss of weight 0": ("losses.identity.weight=0",),
    "a nested default": ("losses.adversarial={type: lsgan}",),
    "pairs": ("losses.cycle.pairs={rec_A: real_A}",),
    "observers that are null": ("observers={progress: null, tensorboard: null}",),
    "metrics": ("metrics={psnr: null, cycle: {type: psnr, pairs: {rec_A: real_A}}}",),
    "metrics of the default set": ("metrics={psnr: {type: psnr}}",),
    "numbers written differently": ("losses.cycle.weight=10.0", "optimizer.lr=1", "training.length=1 epochs"),
    "every option of training": (
        "training={length: 2 epochs, batch_size: 2, accumulate: 2, seed: 3, precision: bf16, ema: 0.9, "
        "sample_every: null, evaluate_every: 1 epoch, keep_checkpoints: 1, compile: true, channels_last: false}",
    ),
    "a transform": ("data.transform={resize: [30, 40], crop: 24, flip: false}",),
}  # fmt: skip


@pytest.mark.parametrize("overrides", VARIANTS.values(), ids=VARIANTS)
def test_the_record_resolves_to_itself(overrides: tuple[str, ...], write_recipe: Write, tmp_path: Path) -> None:
    first = resolved_with(write_recipe(), *overrides)
    again = tmp_path / "again.yaml"
    again.write_text(dump(dict(first.record)))
    second = resolved_with(again)
    assert second.record == first.record
    assert list(second.record) == list(first.record)
    assert second.results() == first.results()
    assert {name: item.block.record for name, item in second.networks.items()} == {
        name: item.block.record for name, item in first.networks.items()
    }
    assert {name: item.weight for name, item in second.losses.items()} == {
        name: item.weight for name, item in first.losses.items()
    }
    assert {name: item.pairs for name, item in second.metrics.items()} == {
        name: item.pairs for name, item in first.metrics.items()
    }
    assert set(second.observers) == set(first.observers)


RECIPES = [
    path for path in sorted((REPOSITORY / "recipes").rglob("*.yaml")) if "base:" not in path.read_text(encoding="utf-8")
]


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_resolves_to_itself(path: Path, tmp_path: Path) -> None:
    resolved = resolved_with(path)
    text = dump(dict(resolved.record))
    assert parse(text, "text") == resolved.record
    again = tmp_path / "again.yaml"
    again.write_text(text)
    assert resolved_with(again).record == resolved.record


class TestNetworks:
    def test_without_type_merges(self, write_recipe: Write) -> None:
        resolved = resolved_with(write_recipe(), "networks={G_BA: {width: 8}}", "generator.init={type: xavier}")
        assert resolved.networks["G_AB"].block.options["width"] == 4
        assert resolved.networks["G_BA"].block.options["width"] == 8
        assert resolved.networks["G_BA"].block.options["blocks"] == 1
        inits = [resolved.networks[name].init for name in ("G_AB", "G_BA")]
        assert [init.registration.name for init in inits if init is not None] == ["xavier", "xavier"]

    def test_with_type_replaces(self, write_recipe: Write) -> None:
        resolved = resolved_with(write_recipe(), "networks={G_BA: {type: resnet}}", "generator.init={type: xavier}")
        assert resolved.networks["G_BA"].block.options["width"] == 64
        init = resolved.networks["G_BA"].init
        assert init is not None
        assert init.registration.name == "normal"
        assert resolved.networks["G_BA"].path == "networks.G_BA"

    def test_weights_of_one(self, write_recipe: Write) -> None:
        resolved = resolved_with(write_recipe(), "networks={G_BA: {init_from: w.pth}}")
        assert [resolved.networks[name].init_from for name in ("G_AB", "G_BA")] == [None, "w.pth"]


class TestResolved:
    def test_options_are_what_constructors_take(self, write_recipe: Write) -> None:
        resolved = resolved_with(write_recipe())
        assert resolved.schedules["generators"].options["constant"] == Length(4, "steps")
        assert resolved.optimizers["generators"].options["betas"] == (0.5, 0.999)
        assert resolved.optimizers["generators"] is resolved.optimizers["discriminators"]
        assert resolved.training.log_every == Length(10, "steps")

    def test_a_factory_builds_a_new_component_each_time(self, write_recipe: Write) -> None:
        pool = resolved_with(write_recipe()).losses["adversarial"].block.options["pool"]
        assert pool() is not pool()
        assert pool().size == 3

    def test_the_default_of_a_factory_is_recorded_by_name(self, write_recipe: Write) -> None:
        resolved = resolved_with(write_recipe(), "losses.adversarial={type: lsgan}")
        assert resolved.record["losses"]["adversarial"]["pool"] == {"type": "none"}
        assert isinstance(resolved.losses["adversarial"].block.options["pool"](), NoPool)

    def test_a_loss_of_weight_zero_is_not_built(self, write_recipe: Write) -> None:
        resolved = resolved_with(write_recipe(), "losses.identity.weight=0", "losses.cycle=null")
        assert set(resolved.losses) == {"adversarial"}
        assert set(resolved.record["losses"]) == {"adversarial", "identity"}

    @pytest.mark.parametrize(
        ("override", "same"),
        [
            ("data.root=elsewhere", True),
            ("training.workers=3", True),
            ("training.length=100 epochs", True),
            ("training.sample_every=1 step", True),
            ("training.keep_checkpoints=9", True),
            ("observers.progress=null", True),
            ("metrics.psnr=null", True),
            ("losses.cycle.weight=10.0", True),
            ("losses.cycle.weight=11", False),
            ("losses.identity=null", False),
            ("training.seed=1", False),
            ("training.ema=0.9", False),
            ("data.transform.flip=false", False),
            ("networks={G_BA: {width: 8}}", False),
        ],
    )
    def test_result_keys(self, override: str, same: bool, write_recipe: Write) -> None:
        path = write_recipe()
        assert (resolved_with(path).results() == resolved_with(path, override).results()) is same

    def test_a_shared_default_that_no_plugin_registers(self, write_recipe: Write, tmp_path: Path) -> None:
        (tmp_path / "own.py").write_text(OWN)
        path = write_recipe(plugins=["own.py"], losses={"mine": {"type": "mine"}})
        resolved = resolved_with(path)
        assert "pool" not in resolved.record["losses"]["mine"]
        assert resolved.record["losses"]["mine"]["head"] == {"width": 3, "tail": {"keep": True}}
        assert (
            resolved_with(path, "losses.mine.head.tail.keep=false").losses["mine"].block.options["head"].tail.keep
            is False
        )
        with pytest.raises(
            RecipeError, match=r"losses.mine.head.tail.kep +tail has no option 'kep', did you mean 'keep'?"
        ):
            resolved_with(path, "losses.mine.head.tail.kep=false")


OWN = """
from dataclasses import dataclass
from translate_core import Factory, Loss, NoPool, Pool, hookimpl

class Private(NoPool):
    '''A pool that no plugin registers.'''

@dataclass(frozen=True)
class Tail:
    keep: bool = True

@dataclass(frozen=True)
class Head:
    width: int = 3
    tail: Tail = Tail()

class Mine(Loss):
    def __init__(self, pool: Factory[Pool] = Private, head: Head = Head()) -> None:
        super().__init__()

@hookimpl
def register(registry):
    registry.loss("mine", Mine)
"""


def test_flatten() -> None:
    assert flatten({"a": {"b": 1, "c": {}}, "d": [1]}) == {"a.b": 1, "a.c": {}, "d": [1]}


def test_pyyaml_reads_the_same_data(write_recipe: Write) -> None:
    path = write_recipe()
    assert read_recipe(path) == yaml.safe_load(path.read_text())

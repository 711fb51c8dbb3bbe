"""Faults of updates, lazy losses, frozen networks, given data and conditioned networks, with their exact messages."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.training.test_updates import LABELLED, RECIPE, TWO
from translate_core import RecipeError, UserError, load_recipe, open_run
from translate_core.components.registry import NETWORK_KINDS, Owner, RegistrationError, Registry
from translate_core.contracts.direction import Option
from translate_core.contracts.given import Given
from translate_core.contracts.method import Method
from translate_core.contracts.role import DISCRIMINATORS, GENERATORS, Role, discriminator, generator
from translate_core.contracts.update import Update

OPTIMIZER = "It takes: lr, momentum, weight_decay, nesterov"

CASES: dict[str, tuple[dict[str, Any], tuple[tuple[str, str], ...]]] = {
    "an unknown update": (
        {"updates": {"generatrs": {"every": 2}}},
        (
            (
                "updates.generatrs",
                "the method has no update 'generatrs', did you mean 'generators'? "
                "It has: discriminators, energy, generators",
            ),
        ),
    ),
    "an unknown key of an update": (
        {"updates": {"energy": {"evry": 2}}},
        (("updates.energy.evry", "an update has no option 'evry', did you mean 'every'? It takes: every, clip"),),
    ),
    "an update that never takes place": (
        {"updates": {"energy": {"every": 0, "clip": 0}}},
        (
            ("updates.energy.every", "must be a whole number greater than 0, not 0"),
            ("updates.energy.clip", "must be a number greater than 0, or null, not 0"),
        ),
    ),
    "updates that are not a block": (
        {"updates": 5},
        (("updates", "must be a mapping of named blocks, not 5"),),
    ),
    "a loss that is never evaluated": (
        {"losses.energy.every": 0},
        (("losses.energy.every", "must be a whole number greater than 0, not 0"),),
    ),
    "a loss for a side that the method lacks": (
        {"method": {"type": "gan"}},
        (
            (
                "losses.energy.type",
                "energy is defined for the side energy, which the method lacks. It has: generators, discriminators",
            ),
        ),
    ),
    "freeze that is neither a flag nor a length": (
        {"networks": {"G": {"freeze": "soon"}}},
        (("networks.G.freeze", "must be a length such as '500 steps' or '1 epoch', not 'soon'"),),
    ),
    "an unknown option of one network's optimizer": (
        {"networks": {"E": {"optimizer": {"lrr": 1}}}},
        (("networks.E.optimizer.lrr", f"sgd has no option 'lrr', did you mean 'lr'? {OPTIMIZER}"),),
    ),
    "another optimizer for one network": (
        {"networks": {"E": {"optimizer": {"type": "adam"}}}},
        (
            (
                "networks.E.optimizer.type",
                "must be sgd, that of its side: a side has one optimizer, whose options may differ",
            ),
        ),
    ),
    "an optimizer of a network that is a number": (
        {"networks": {"E": {"optimizer": 3}}},
        (("networks.E.optimizer", "must be a mapping of options of sgd, not 3"),),
    ),
    "an EMA without its decay": (
        {"training.ema": {"every": "8 steps"}},
        (
            (
                "training.ema",
                "must be a number greater than 0 and less than 1, or a block of decay, every, from, or null, "
                "not {every: 8 steps}",
            ),
        ),
    ),
    "an EMA that is never updated": (
        {"training.ema": {"decay": 0.9, "every": "0 steps"}},
        (("training.ema.every", "must be at least 1 step"),),
    ),
    "a network that does not take what the method supplies": (
        {"networks": {"E": {"type": "starganv2_style"}}},
        (
            (
                "networks.E.type",
                "starganv2_style needs `domains`, which the method does not supply for E: it is for another method",
            ),
            (
                "networks.E.type",
                "starganv2_style needs `style_channels`, which the method does not supply for E: it is for another "
                "method",
            ),
            (
                "networks.E.type",
                "the method supplies `start` for E, which starganv2_style does not take: choose a network that is for "
                "this method",
            ),
        ),
    ),
    "a loss of features on a discriminator without taps": (
        {"networks": {"D": {"type": "pixelgan"}}, "losses.features": {"type": "feature_matching_toy"}},
        (
            (
                "losses.features",
                "needs features of D, and PixelGAN declares no taps: use a discriminator with an attribute `taps` and "
                "a method `with_features`",
            ),
        ),
    ),
    "data without labels": (
        {**LABELLED, "data": {"type": "synthetic", "size": 16, "train": 6, "test": 2}},
        (
            ("data", "the method needs 'real'; the dataset supplies: real_A, real_B"),
            ("data", "the method needs 'label'; the dataset supplies: real_A, real_B"),
        ),
    ),
    "a loss that trains one of two": (
        {**TWO, "networks": {"G": {"freeze": True}}, "losses": {"l1": {"type": "l1"}}},
        (),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_recipe(name: str) -> None:
    overrides, expected = CASES[name]
    found: tuple[tuple[str, str], ...] = ()
    try:
        with open_run(load_recipe(copy.deepcopy(dict(RECIPE)), overrides), device="cpu"):
            pass
    except RecipeError as error:
        found = tuple((fault.path, fault.message) for fault in error.faults)
    assert found == expected


def method_of(**attributes: Any) -> type[Method]:
    return type("M", (Method,), {"roles": (generator("G", "A", "B"), discriminator("D", "B")), **attributes})


TABLES: dict[str, tuple[dict[str, Any], str]] = {
    "a role of an unknown kind": (
        {"roles": (Role("G", "genertor", GENERATORS), discriminator("D", "B"))},
        "its network G is of the unknown kind 'genertor', did you mean 'generator'? "
        f"There are: {', '.join(NETWORK_KINDS)}",
    ),
    "a side without an update": (
        {"order": (GENERATORS,)},
        "its `order` must have each side of its `roles` and no other side",
    ),
    "an update of an unknown side": (
        {"order": (GENERATORS, DISCRIMINATORS, "energy")},
        "its `order` must have each side of its `roles` and no other side",
    ),
    "two updates of one name": (
        {"order": (GENERATORS, GENERATORS, DISCRIMINATORS)},
        "its `order` has 2 updates named 'generators': give each a name of its own",
    ),
    "an update of a network of another side": (
        {"order": (Update(GENERATORS, networks=("D",)), DISCRIMINATORS)},
        "its update 'generators' trains the network 'D', which is not of the side 'generators'. It has: G",
    ),
    "an update with an unknown tensor": (
        {"order": (Update(GENERATORS, instead={"real_A": "real_C"}), DISCRIMINATORS)},
        "one of its tables has the tensor 'real_C', which it does not define, did you mean 'real_B'? "
        "It has: real_A, real_B",
    ),
    "given data of an unknown kind": (
        {"given": (Given("real_A", "imgae"),)},  # type: ignore[arg-type]
        "its given tensor 'real_A' is of the unknown kind 'imgae', did you mean 'image'? "
        "There are: image, label, vector, map",
    ),
}


@pytest.mark.parametrize("name", TABLES)
def test_tables_of_a_method(name: str) -> None:
    attributes, message = TABLES[name]
    with pytest.raises(RegistrationError) as caught:
        Registry().for_owner(Owner("mine.py", "")).method("m", method_of(**attributes))
    assert str(caught.value) == f"plugin mine.py registers method 'm': {message}"


STEPS = Option("steps", 5, low=1, high=1000)
ETA = Option("eta", 1.0, low=0)


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        (STEPS, 0, "option steps must be a whole number in 1 … 1000, not 0"),
        (STEPS, "1001", "option steps must be a whole number in 1 … 1000, not 1001"),
        (STEPS, "2.5", "option steps must be a whole number in 1 … 1000, not 2.5"),
        (STEPS, "many", "option steps must be a whole number in 1 … 1000, not many"),
        (STEPS, True, "option steps must be a whole number in 1 … 1000, not True"),
        (ETA, -0.5, "option eta must be a number of at least 0, not -0.5"),
        (ETA, "nan", "option eta must be a number of at least 0, not nan"),
    ],
)
def test_options_of_a_direction(option: Option, value: object, message: str) -> None:
    with pytest.raises(UserError) as caught:
        option.read(value)
    assert str(caught.value) == message


def test_valid_options() -> None:
    assert STEPS.read("7") == 7
    assert isinstance(STEPS.read(7.0), int)
    assert ETA.read("0.5") == 0.5


def test_a_method_does_not_replace_what_the_base_class_uses() -> None:
    with pytest.raises(UserError) as caught:
        method_of(_passed=lambda self: None)
    assert str(caught.value) == "method M defines `_passed`, which the base class uses itself: rename it"


def test_a_block_that_every_network_replaces_is_recorded_whole() -> None:
    shared = {"type": "pixel", "freeze": "2 steps", "optimizer": {"lr": 0.5}}
    recipe = load_recipe({**RECIPE, "generator": shared, "networks": {"G": {"type": "pixel"}}})
    assert recipe.record["generator"] == {"type": "pixel", "freeze": "2 steps", "optimizer": {"lr": 0.5}}
    assert recipe.networks["G"].freeze is False

"""create and list_components: components by name from Python."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from translate_core import UserError, create, list_components
from translate_core.components.plugins import load_plugins
from translate_core.components.registry import KINDS, Registration

REGISTRY = load_plugins().registry

SUPPLIED: dict[str, Any] = {
    "in_channels": 3,
    "out_channels": 3,
    "channels": (3, 8),
    "length": 100,
    "epoch": 10,
    "domains": 3,
    "style_channels": 8,
}
"""By name, the arguments that the engine and methods supply in a run; `params` and `network` are made for each test."""

COMPONENTS = [
    REGISTRY.get(kind, name)
    for kind in KINDS
    for name in REGISTRY.names(kind)
    if not any(option.required for option in REGISTRY.get(kind, name).options.values())
]
"""Every built-in component all of whose options have defaults."""


def supplied(registration: Registration) -> dict[str, Any]:
    """The arguments that the engine and methods supply to a component."""
    network = nn.Conv2d(3, 3, 3)
    values = {**SUPPLIED, "params": list(network.parameters()), "network": network}
    return {name: values[name] for name in registration.supplied}


def test_components_of_most_kinds_are_created() -> None:
    assert len(COMPONENTS) > 30
    assert {item.kind for item in COMPONENTS} >= {"method", "generator", "discriminator", "loss", "pool", "optimizer"}


@pytest.mark.parametrize("registration", COMPONENTS, ids=lambda item: f"{item.kind}-{item.name}")
def test_every_built_in_is_created_by_its_name(registration: Registration) -> None:
    built = create(registration.kind, registration.name, **supplied(registration))
    if isinstance(registration.component, type):
        assert type(built) is registration.component
    elif registration.kind == "optimizer":
        assert isinstance(built, torch.optim.Optimizer)
    else:
        assert registration.kind == "init"
        assert built is None


def test_options_reach_the_constructor() -> None:
    six = create("generator", "resnet", in_channels=1, out_channels=3, blocks=6, width=8)
    nine = create("generator", "resnet", in_channels=1, out_channels=3, blocks=9, width=8)
    assert six(torch.zeros(1, 1, 32, 32)).shape == (1, 3, 32, 32)
    assert len(list(six.parameters())) < len(list(nine.parameters()))


def test_a_nested_component_is_a_mapping_with_its_type() -> None:
    loss = create("loss", "lsgan", pool={"type": "history", "size": 7})
    loss.prepare(create("method", "cyclegan"))
    assert {name: pool.size for name, pool in loss.pools.items()} == {"D_A": 7, "D_B": 7}


def test_tuples_and_paths_are_plain_data(tmp_path: Path) -> None:
    network = nn.Conv2d(3, 3, 3)
    optimizer = create("optimizer", "adam", params=list(network.parameters()), lr=1e-3, betas=(0.5, 0.9))
    assert optimizer.param_groups[0]["betas"] == (0.5, 0.9)
    with pytest.raises(UserError, match="photos"):
        create("dataset", "unpaired_folders", root=tmp_path / "photos").open()


def test_all_faults_are_reported_at_once() -> None:
    with pytest.raises(UserError) as raised:
        create("generator", "resnet", in_channels=3, block=6, width="wide", norm=object())
    assert str(raised.value) == (
        "generator resnet has 4 faults\n"
        "  block         resnet has no option 'block', did you mean 'blocks'? It takes: blocks, width, downs, norm, "
        "dropout, padding, upsample, antialias, in_channels, out_channels\n"
        "  width         must be a whole number greater than 0, not 'wide'\n"
        "  norm          has the type object; a recipe holds mappings, lists, text, numbers, booleans and None\n"
        "  out_channels  is missing: resnet needs it; in a run the engine supplies it"
    )


def test_a_required_option_is_reported() -> None:
    with pytest.raises(UserError, match=r"^optimizer sgd has 1 fault\n  lr  is missing: sgd needs it \(a number"):
        create("optimizer", "sgd", params=[nn.Parameter(torch.zeros(1))])


def test_engine_keys_of_a_recipe_are_not_options() -> None:
    with pytest.raises(UserError, match=r"  weight  lsgan has no option 'weight'"):
        create("loss", "lsgan", weight=2)


def test_a_fault_in_a_nested_component_has_its_path() -> None:
    with pytest.raises(UserError, match=r"  pool\.siz  history has no option 'siz', did you mean 'size'\?"):
        create("loss", "lsgan", pool={"type": "history", "siz": 7})


def test_an_unknown_kind_and_name_have_their_nearest() -> None:
    with pytest.raises(UserError, match=r"there is no kind of component 'generater', did you mean 'generator'\?"):
        create("generater", "resnet")
    with pytest.raises(UserError, match=r"there is no generator 'resnt', did you mean 'resnet'\?"):
        create("generator", "resnt")
    with pytest.raises(UserError, match=r"there is no kind of component 'generater', did you mean 'generator'\?"):
        list_components("generater")


def test_list_components_has_every_name() -> None:
    assert list_components() == {kind: list(REGISTRY.names(kind)) for kind in KINDS}
    assert list_components("generator") == list(REGISTRY.names("generator"))


def test_list_components_by_a_pattern() -> None:
    assert list_components("generator", "resnet*") == ["resnet", "resnet_adalin"]
    assert list_components(pattern="resnet") == {"generator": ["resnet"]}
    assert list_components("pool", "resnet*") == []


PLUGIN = """
from torch import nn
from translate_core import hookimpl

class Same(nn.Module):
    def __init__(self, in_channels: int, out_channels: int, factor: float = 1.0) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x):
        return self.factor * x

@hookimpl(contract=1)
def register(registry):
    registry.generator("same", Same)
"""


def test_components_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "own.py"
    file.write_text(PLUGIN)
    assert list_components("generator", "same", plugins=[str(file)]) == ["same"]
    network = create("generator", "same", plugins=[str(file)], in_channels=3, out_channels=3, factor=2)
    assert network(torch.ones(1)).item() == 2
    assert "same" not in list_components("generator")

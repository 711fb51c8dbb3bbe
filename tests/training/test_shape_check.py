"""The shape check evaluates what the run will compute, and reports what cannot be computed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from translate_core import RecipeError, load_recipe, open_run
from translate_plugins.methods.cut import CUT

Write = Callable[..., Path]

FUSED = """
import torch
from translate_core import DISCRIMINATORS, GENERATORS, Direction, Method, discriminator, generator, hookimpl, tensor

class Fused(Method):
    '''Translates and reproduces in one pass where a loss uses both; the pass has a mistake.'''

    roles = (generator("G", "A", "B"), discriminator("D", "B"))
    order = (GENERATORS, DISCRIMINATORS)
    pairs = {"identity": {"idt_B": "real_B"}}
    adversarial_pairs = {"D": ("real_B", "fake_B")}
    directions = {"A-B": Direction("A", "B")}

    @tensor
    def fake_B(self):
        return self.both[0] if "idt_B" in self.needed else self.G(self.real_A)

    @tensor
    def idt_B(self):
        return self.both[1] if "idt_B" in self.needed else self.G(self.real_B)

    @tensor
    def both(self):
        return self.G(torch.cat((self.real_A, self.real_B[..., :8])))

@hookimpl
def register(registry):
    registry.method("fused", Fused)
"""


@pytest.fixture
def fused(tmp_path: Path, write_recipe: Write) -> Callable[..., Path]:
    (tmp_path / "fused.py").write_text(FUSED)

    def write(**losses: object) -> Path:
        return write_recipe(plugins=["fused.py"], method={"type": "fused"}, losses=losses)

    return write


def test_a_fused_pass_is_checked(fused: Callable[..., Path]) -> None:
    """Only the losses together show that the method will fuse two passes, and only the fused one fails."""
    recipe = fused(adversarial={"type": "lsgan"}, identity={"type": "identity"})
    with pytest.raises(RecipeError) as caught, open_run(recipe, device="cpu"):
        pass
    faults = {fault.path: fault.message for fault in caught.value.faults}
    assert faults.keys() == {"losses.adversarial", "losses.identity"}
    assert all("fused.py, line 24" in message for message in faults.values()), faults


def test_without_the_loss_nothing_is_fused(fused: Callable[..., Path]) -> None:
    with open_run(fused(adversarial={"type": "lsgan"}), device="cpu") as run:
        assert next(run.steps()).number == 1


def test_cut_fuses_its_passes_in_the_check_as_in_the_run(write_recipe: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = write_recipe(
        method={"type": "cut", "taps": ["image", "block1"], "patches": 4},
        generator={"type": "resnet", "blocks": 1, "width": 4},
        head={"type": "mlp", "width": 8},
        losses={"adversarial": {"type": "lsgan"}, "nce": {"type": "patch_nce"}},
    )
    devices = []
    both = CUT._equations["both"].function
    monkeypatch.setattr(
        CUT._equations["both"], "function", lambda batch: devices.append(batch.real_A.device.type) or both(batch)
    )
    with open_run(recipe, device="cpu") as run:
        assert "meta" in devices
        next(run.steps())
        assert "cpu" in devices


def test_a_run_that_needs_less_needs_fewer_tensors(write_recipe: Write) -> None:
    recipe = write_recipe()
    with open_run(load_recipe(recipe, {"losses.identity.weight": 0}), device="cpu") as run:
        needed = run.assembly.shapes.needed
    with open_run(recipe, device="cpu") as run:
        assert run.assembly.shapes.needed - needed == {"idt_A", "idt_B"}


def test_the_method_of_a_recipe_is_not_changed_by_a_run(write_recipe: Write) -> None:
    """What a run needs belongs to its batches, so that one resolved recipe serves several runs."""
    recipe = load_recipe(write_recipe())
    before = dict(vars(recipe.method))
    with open_run(recipe, device="cpu") as run:
        next(run.steps())
        assert run.tensors().needed == run.assembly.shapes.needed
    assert vars(recipe.method) == before


def test_all_faults_at_once(write_recipe: Write) -> None:
    recipe = write_recipe(
        generator={"type": "unet", "downs": 5, "width": 4},
        metrics={"a": {"type": "psnr", "pairs": {"fake_B": "other_B"}}},
        losses={"cycle": {"type": "cycle"}, "l1": {"type": "l1", "pairs": {"fake_A": "nothing_A"}}},
    )
    with pytest.raises(RecipeError) as caught, open_run(recipe, device="cpu"):
        pass
    assert [fault.path for fault in caught.value.faults] == ["generator"]  # its networks are needed for all others
    with pytest.raises(RecipeError) as caught, open_run(load_recipe(recipe, {"generator.downs": 3}), device="cpu"):
        pass
    assert {fault.path for fault in caught.value.faults} == {"losses.l1.pairs.fake_A"}

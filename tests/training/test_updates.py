"""Sides, updates, lazy losses, frozen networks and optimizers of one network, against plain loops in float64."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from translate_core import RecipeError, Run, load_recipe, open_run

RECIPE: Mapping[str, Any] = {
    "plugins": ["tests.training.toys"],
    "method": {"type": "three_sides"},
    "data": {"type": "synthetic", "size": 16, "train": 6, "test": 1},
    "generator": {"type": "pixel"},
    "discriminator": {"type": "critic"},
    "losses": {"adversarial": {"type": "lsgan"}, "energy": {"type": "energy", "weight": 2}},
    "optimizer": {"type": "sgd", "lr": 0.1},
    "training": {"length": "6 steps", "workers": 0, "precision": "fp64", "channels_last": False, "sample_every": None},
    "metrics": {"psnr": None, "ssim": None},
    "observers": {"progress": None, "tensorboard": None, "samples": None, "metrics_log": None},
}
STEPS = 6


def recipe_of(**overrides: Any) -> Any:
    dotted = {key.replace("__", "."): value for key, value in overrides.items()}
    return load_recipe(copy.deepcopy(dict(RECIPE)), dotted)


class Loop:
    """Copies of a run's networks, and its batches."""

    def __init__(self, run: Run) -> None:
        self.networks: dict[str, nn.Module] = copy.deepcopy(dict(run.networks))
        self.batches = [run.batch(step)[0] for step in range(STEPS)]

    def steps(self) -> Iterator[tuple[int, Tensor, Tensor]]:
        for step, batch in enumerate(self.batches):
            yield step, batch["real_A"].double() / 127.5 - 1, batch["real_B"].double() / 127.5 - 1

    def sgd(self, *names: str, lr: float = 0.1) -> torch.optim.Optimizer:
        return torch.optim.SGD([p for name in names for p in self.networks[name].parameters()], lr=lr)


def take(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def mse(x: Tensor, target: float) -> Tensor:
    return (x - target).square().mean()


def assert_equal_networks(run: Run, loop: Loop) -> None:
    for name, network in run.networks.items():
        for ours, theirs in zip(network.parameters(), loop.networks[name].parameters(), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)


def d_loss(D: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    return 0.5 * (mse(D(real), 1) + mse(D(fake.detach()), 0))


def e_loss(E: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    return (E(fake.detach()) - E(real)).square().mean()


def test_three_sides() -> None:
    with open_run(recipe_of(), device="cpu") as run:
        loop = Loop(run)
        logged = [step.losses for step in run.steps(STEPS)]
        G, D, E = (loop.networks[name] for name in "GDE")
        optimizers = {name: loop.sgd(name) for name in "GDE"}
        for step, a, b in loop.steps():
            fake = G(a)
            of_d, of_e = d_loss(D, b, fake), e_loss(E, b, fake)
            take(optimizers["D"], of_d)
            take(optimizers["E"], of_e)
            of_g, bridge = mse(D(fake), 1), 2 * E(fake).mean()
            take(optimizers["G"], of_g + bridge)
            values = {name: float(value) for name, value in logged[step].items()}
            assert values == pytest.approx(
                {
                    "adversarial": of_g.item(),
                    "adversarial/fake_B": of_g.item(),
                    "adversarial/discriminators": of_d.item(),
                    "adversarial/D": of_d.item(),
                    "energy": bridge.item(),
                    "energy/fake_B": bridge.item(),
                    "energy/energy": of_e.item(),
                    "energy/E": of_e.item(),
                },
                abs=1e-12,
            )
        assert_equal_networks(run, loop)


def test_a_step_calls_each_network_no_more_than_its_losses_need() -> None:
    """A third side does not evaluate the losses of another once more."""
    with open_run(recipe_of(), device="cpu") as run:
        calls: dict[str, int] = dict.fromkeys("GDE", 0)
        for name, network in run.networks.items():
            network.register_forward_hook(lambda *_, name=name: calls.update({name: calls[name] + 1}))
        list(run.steps(1))
        assert calls == {"G": 1, "D": 3, "E": 3}


def test_losses_of_an_update_share_the_passes_of_a_discriminator() -> None:
    recipe = recipe_of(losses__features={"type": "feature_matching_toy"})
    with open_run(recipe, device="cpu") as run:
        critic: Any = run.networks["D"]
        before = critic.calls
        list(run.steps(1))
        assert critic.calls - before == 4  # two in its own update; real and fake, with features, in that of G


@pytest.mark.parametrize("accumulate", [1, 2])
def test_critic_updates_to_one(accumulate: int) -> None:
    """Gulrajani et al., algorithm 1: n updates of the critic, then one of the generator."""
    recipe = recipe_of(
        updates={"generators": {"every": 3}}, training__accumulate=accumulate, training__length="3 epochs"
    )
    with open_run(recipe, device="cpu") as run:
        before = copy.deepcopy(dict(run.networks))
        moved = []
        for _ in run.steps(STEPS if accumulate == 1 else 6):
            moved.append(
                tuple(
                    name
                    for name, network in run.networks.items()
                    if not torch.equal(next(network.parameters()), next(before[name].parameters()))
                )
            )
            before = copy.deepcopy(dict(run.networks))
        assert moved == [("D", "E"), ("D", "E"), ("G", "D", "E")] * 2


def test_a_lazy_loss_is_multiplied_by_its_interval() -> None:
    recipe = recipe_of(losses__second={"type": "second", "every": 2}, updates={"energy": {"every": 2}})
    with open_run(recipe, device="cpu") as run:
        loop = Loop(run)
        names = [set(step.losses) for step in run.steps(STEPS)]
        G, D, E = (loop.networks[name] for name in "GDE")
        optimizers = {name: loop.sgd(name) for name in "GDE"}
        for step, a, b in loop.steps():
            fake = G(a)
            take(optimizers["D"], d_loss(D, b, fake))
            if step % 2 == 1:
                lazy = 2 * E(b).square().mean() if step % 4 == 1 else 0
                take(optimizers["E"], e_loss(E, b, fake) + lazy)
            take(optimizers["G"], mse(D(fake), 1) + 2 * E(fake).mean())
        assert_equal_networks(run, loop)
        assert ["second/second" in each for each in names] == [step % 4 == 1 for step in range(STEPS)]


def test_the_last_value_of_a_lazy_loss_is_logged_and_resumed(tmp_path: Any) -> None:
    overrides = {
        "losses__second": {"type": "second", "every": 4},
        "training__log_every": "1 step",
        "training__checkpoint_every": "1 step",
        "observers": {"progress": None, "tensorboard": None, "samples": None},
    }
    logs = []
    for lengths in ((6,), (3, 6)):
        folder = tmp_path / f"{len(lengths)}"
        for length in lengths:
            with open_run(
                recipe_of(**overrides, training__length=f"{length} steps"), device="cpu", folder=folder
            ) as run:
                run.train()
        text = (folder / "metrics.jsonl").read_text()
        logs.append([line.partition('"seconds"')[0] for line in text.splitlines() if '"losses"' in line])
    assert logs[0] == logs[1]
    assert len(logs[0]) == 6
    assert all('"second/second"' in line for line in logs[0])


def test_options_of_one_network_and_the_norm_of_a_clipped_gradient() -> None:
    recipe = recipe_of(networks={"E": {"optimizer": {"lr": 0.02}}}, updates={"generators": {"clip": 0.05}})
    with open_run(recipe, device="cpu") as run:
        loop = Loop(run)
        norms = [float(step.losses["gradient_norm/generators"]) for step in run.steps(STEPS)]
        G, D, E = (loop.networks[name] for name in "GDE")
        optimizers = {"G": loop.sgd("G"), "D": loop.sgd("D"), "E": loop.sgd("E", lr=0.02)}
        for step, a, b in loop.steps():
            fake = G(a)
            take(optimizers["D"], d_loss(D, b, fake))
            take(optimizers["E"], e_loss(E, b, fake))
            optimizers["G"].zero_grad()
            (mse(D(fake), 1) + 2 * E(fake).mean()).backward()
            norm = torch.cat([p.grad.flatten() for p in G.parameters() if p.grad is not None]).norm()
            assert norms[step] == pytest.approx(float(norm), abs=1e-12)
            for p in G.parameters():
                assert p.grad is not None
                p.grad *= min(1.0, 0.05 / (float(norm) + 1e-6))
            optimizers["G"].step()
        assert_equal_networks(run, loop)


def test_a_frozen_network_is_not_trained_and_in_evaluation_mode() -> None:
    recipe = recipe_of(networks={"G": {"freeze": "2 steps"}})
    with open_run(recipe, device="cpu") as run:
        first = copy.deepcopy(run.networks["G"].state_dict())
        modes = []
        for step in run.steps(3):
            modes.append(run.networks["G"].training)
            same = all(torch.equal(value, first[key]) for key, value in run.networks["G"].state_dict().items())
            assert same == (step.number <= 2)
        assert modes == [False, False, True]


def test_a_network_frozen_for_the_whole_run() -> None:
    with open_run(recipe_of(networks={"E": {"freeze": True}}), device="cpu") as run:
        before = copy.deepcopy(run.networks["E"].state_dict())
        list(run.steps(2))
        assert all(torch.equal(value, before[key]) for key, value in run.networks["E"].state_dict().items())
        assert not run.networks["E"].training
        assert "optimizers/energy" not in run.assembly.parts()


def test_ema_of_every_second_step_copies_at_first() -> None:
    recipe = recipe_of(training__ema={"decay": 0.5, "every": "2 steps", "from": "3 steps"})
    with open_run(recipe, device="cpu") as run:
        average = run.assembly.ema["G"].module
        expected = copy.deepcopy(dict(run.networks["G"].state_dict()))
        for step in run.steps(STEPS):
            now = run.networks["G"].state_dict()
            if step.number % 2 == 0:
                decay = 0.5 if step.number > 3 else 0.0
                expected = {key: decay * value + (1 - decay) * now[key] for key, value in expected.items()}
            for key, value in average.state_dict().items():
                torch.testing.assert_close(value, expected[key], rtol=0, atol=1e-15)
        assert set(run.assembly.ema) == {"G"}


TWO = {"method": {"type": "two_runs"}, "losses": {"l1": {"type": "l1"}}, "discriminator": None}


def test_updates_with_a_subset_and_another_tensor_in_place() -> None:
    with open_run(recipe_of(**TWO), device="cpu") as run:
        loop = Loop(run)
        drawn = []
        bind = run.assembly.method.tensors
        bound: list[Any] = []
        object.__setattr__(run.assembly.method, "tensors", lambda *a, **k: bound.append(bind(*a, **k)) or bound[-1])
        for step in run.steps(STEPS):
            first, second = bound[-2:]
            drawn.append((float(first["common"]), float(first["own"])))
            assert first["common"] is second["common"]
            assert {"l1/first", "l1/first/fake_B", "l1/second", "l1/second/fake_B"} == set(step.losses)
        G, E = loop.networks["G"], loop.networks["E"]
        optimizer = loop.sgd("G", "E")
        for step, a, b in loop.steps():
            take(optimizer, (G(a) * (sum(drawn[step]) + E(a).mean()) - b).abs().mean())
            optimizer.zero_grad()
            (G(a) * E(a).mean() - b).abs().mean().backward()
            E.weight.grad = None
            optimizer.step()
        assert_equal_networks(run, loop)


@pytest.mark.parametrize(
    ("method", "message"),
    [
        (
            "shared",
            "update 'second' sends gradients through shared tensors (fake_B, style), and so does 'first': "
            "of the updates that share tensors one may. Declare it with fresh=True",
        ),
        (
            "between",
            "update 'second' sends gradients through shared tensors (fake_B), and 'first' has updated G since they "
            "were computed. Declare it with fresh=True",
        ),
    ],
)
def test_unsafe_sharing_is_a_fault(method: str, message: str) -> None:
    changes = {**TWO, "method": {"type": method}} if method == "shared" else {"method": {"type": method}}
    with pytest.raises(RecipeError) as caught, open_run(recipe_of(**changes), device="cpu"):
        pass
    assert [(fault.path, fault.message) for fault in caught.value.faults] == [("method", message)]


def test_the_largest_integer_and_zero_are_tried() -> None:
    """With 0 the output is the input, so nothing trains G; the largest decides that it is trained."""
    with open_run(recipe_of(method={"type": "integers"}), device="cpu") as run:
        assert run.assembly.shapes.updates["generators"].trained["energy"] == {"G"}
        list(run.steps(STEPS))


LABELLED = {
    "method": {"type": "labelled"},
    "data": {"type": "synthetic", "size": 16, "train": 6, "test": 2, "domains": ["horse", "zebra", "pony"]},
    "losses": {"adversarial": {"type": "lsgan", "pool": {"type": "history", "size": 2}}},
}


def test_labels_and_a_further_draw() -> None:
    recipe = recipe_of(**LABELLED, training__batch_size=3)
    with open_run(recipe, device="cpu") as run:
        items = [run.batch(step)[0] for step in range(4)]
        assert all(item["label"].dtype == torch.int64 and item["label"].shape == (3,) for item in items)
        assert any(not torch.equal(item["label"], item["goal"]) for item in items)
        assert any(not torch.equal(item["real"], item["other_real"]) for item in items)
        tensors = run.tensors(items[0])
        assert torch.equal(tensors["label"], items[0]["label"])
        assert tensors["other_real"].dtype == torch.float64
        assert float(tensors["other_real"].abs().max()) <= 1
        list(run.steps(STEPS))
        assert sorted(run.assembly.method.directions) == sorted(
            f"{a}-{b}" for a in ("horse", "zebra", "pony") for b in ("horse", "zebra", "pony") if a != b
        )


def test_a_pooled_fake_keeps_its_condition() -> None:
    """The discriminator is called with each pooled fake and the goal for which it was made."""
    with open_run(recipe_of(**LABELLED), device="cpu") as run:
        made: dict[bytes, float] = {}
        judged: list[tuple[bytes, float]] = []

        def keep(_: nn.Module, arguments: tuple[Tensor, ...]) -> None:
            image, label = arguments
            judged.append((image.detach().numpy().tobytes(), float(label)))

        hook = run.networks["D"].register_forward_pre_hook(keep)
        for step in range(STEPS):
            tensors = run.tensors(run.batch(step)[0])
            made[tensors["fake"].numpy().tobytes()] = float(tensors["goal"])
            list(run.steps(1))
        hook.remove()
        pooled = judged[1::3]
        assert len(pooled) == STEPS
        assert all(made[image] == label for image, label in pooled)
        assert any(image != fresh for (image, _), fresh in zip(pooled, made, strict=True))

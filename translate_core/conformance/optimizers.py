"""The promises of optimizers."""

from __future__ import annotations

import torch
from torch import nn

from translate_core.components.blocks import Block
from translate_core.conformance.kit import Kit, ambient, image, named, same, saved_and_loaded
from translate_core.conformance.promise import Broken, built, promise


class OptimizerSubject:
    """An optimizer on a small network."""

    def __init__(self, kit: Kit, block: Block) -> None:
        self.block = block

    def build(self, dtype: torch.dtype = torch.float32) -> tuple[nn.Module, torch.optim.Optimizer]:
        """A network and its optimizer, the same each time."""
        with ambient(0):
            network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.PReLU(), nn.ConvTranspose2d(4, 3, 3)).to(dtype)
        return network, self.block(params=list(network.parameters()))


def _step(network: nn.Module, optimizer: torch.optim.Optimizer, number: int) -> None:
    dtype = next(network.parameters()).dtype
    network(image(3, 8, 8, seed=number).to(dtype)).square().mean().backward()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


@promise("returns a torch optimizer of all parameters", "each side is updated by exactly one optimizer", first=True)
def returns_an_optimizer(subject: OptimizerSubject) -> None:
    """A torch.optim.Optimizer whose groups contain every parameter of `params`."""
    network, optimizer = built(subject.build)
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise Broken(f"returns {type(optimizer).__name__}, not a torch.optim.Optimizer")
    held = {id(item) for group in optimizer.param_groups for item in group["params"]}
    lost = [name for name, item in network.named_parameters() if id(item) not in held]
    if lost:
        raise Broken(f"leaves out {named(lost)}")


@promise("updates every parameter", "a parameter that is never updated is never trained", first=True)
def updates(subject: OptimizerSubject) -> None:
    """One step gives finite values; in float64, where a small rate is not lost by rounding."""
    network, optimizer = subject.build(torch.float64)
    before = {name: item.detach().clone() for name, item in network.named_parameters()}
    _step(network, optimizer, 0)
    still = [name for name, item in network.named_parameters() if same(item.detach(), before[name])]
    if still:
        raise Broken(f"a step does not change {named(still)}")
    if not all(item.isfinite().all() for item in network.parameters()):
        raise Broken("a step gives parameters that are not finite")


@promise(
    "uses the learning rate of its groups",
    "the schedule sets group['lr'] before every step",
)
def uses_the_rate(subject: OptimizerSubject) -> None:
    """At a rate of 0 no parameter changes, not even after steps at other rates."""
    network, optimizer = subject.build()
    if not all("lr" in group for group in optimizer.param_groups):
        raise Broken("its parameter groups have no 'lr'")
    _step(network, optimizer, 0)
    before = [item.detach().clone() for item in network.parameters()]
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    _step(network, optimizer, 1)
    if not same(before, [item.detach() for item in network.parameters()]):
        raise Broken("parameters change at a rate of 0")


@promise("skips parameters without a gradient", "a loss may reach a part of a network only")
def skips_missing_gradients(subject: OptimizerSubject) -> None:
    """A step in which some parameters have no gradient."""
    network, optimizer = subject.build()
    first = next(iter(network.parameters()))
    first.square().sum().backward()  # type: ignore[no-untyped-call]
    optimizer.step()


@promise("is restored by its state_dict", "a run resumes from a checkpoint bit for bit")
def is_restored(subject: OptimizerSubject) -> None:
    """Saved after two steps and loaded with weights_only, its next steps are the same."""
    network, optimizer = subject.build()
    for number in range(2):
        _step(network, optimizer, number)
    restored, other = subject.build()
    restored.load_state_dict(network.state_dict())
    other.load_state_dict(saved_and_loaded(optimizer.state_dict(), "its state_dict"))
    for number in range(2, 4):
        _step(network, optimizer, number)
        _step(restored, other, number)
    if not same([*network.parameters()], [*restored.parameters()]):
        raise Broken("its steps differ after its state was saved and loaded")


PROMISES = (returns_an_optimizer, updates, uses_the_rate, skips_missing_gradients, is_restored)

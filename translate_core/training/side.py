"""A side as it is trained: its optimizer, with its schedule and its loss scaling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.amp.grad_scaler import GradScaler

from translate_core.components.blocks import Block
from translate_core.runtime.ranks import Ranks
from translate_core.training.schedule import WatchedSchedule


class SideOptimizer:
    """The optimizer of a side, which all its updates share.

    name: of the side. groups: the names of the optimizer's parameter groups: that of the side, and `<side>/<network>`
    for each network with options of its own.
    """

    def __init__(
        self,
        name: str,
        optimizer: torch.optim.Optimizer,
        groups: Sequence[str],
        schedule: WatchedSchedule,
        scaler: GradScaler | None,
    ) -> None:
        self.name = name
        self.optimizer = optimizer
        self.groups = tuple(groups)
        self.schedule = schedule
        self.scaler = scaler
        self._rates = [group["lr"] for group in optimizer.param_groups]

    def step(
        self, step: int, parameters: Sequence[nn.Parameter], clip: float | None, ranks: Ranks
    ) -> torch.Tensor | None:
        """One optimizer step on parameters that have gradients, at the learning rate of this step.

        Gradients are averaged over the ranks; one that is missing counts as zero, on one rank as on several.
        clip: the largest norm of the gradient; its norm before that is returned, None without `clip`.
        """
        for group, rate in zip(self.optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate * self.schedule.factor(step)
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        ranks.average(parameters)
        norm = None
        if clip is not None:
            if self.scaler is not None:
                self.scaler.unscale_(self.optimizer)
            norm = nn.utils.clip_grad_norm_(parameters, clip)
        if self.scaler is None:
            self.optimizer.step()
        else:
            self.scaler.step(self.optimizer)
            self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        return norm

    def rates(self) -> dict[str, float]:
        """The learning rates of the last update, by parameter group."""
        return {name: float(group["lr"]) for name, group in zip(self.groups, self.optimizer.param_groups, strict=True)}


class OptimizerState:
    """The state of an optimizer as checkpoints keep it: one that the next step could not use is refused."""

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self._optimizer = optimizer

    def state_dict(self) -> dict[str, Any]:
        """The state of the optimizer."""
        return self._optimizer.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores it. Raises ValueError where options or values are of another form than the optimizer's own."""
        before = [dict(group) for group in self._optimizer.param_groups]
        if _has_complex(state_dict["state"]) and not _has_complex([group["params"] for group in before]):
            raise ValueError("it has complex values")
        self._optimizer.load_state_dict(state_dict)
        for old, new in zip(before, self._optimizer.param_groups, strict=True):
            for name, value in old.items():
                if name != "params" and (name not in new or _form(new[name]) != _form(value)):
                    raise ValueError(f"its option {name} is of another type")
        if type(self._optimizer).__module__.startswith("torch.optim"):  # another optimizer may keep anything
            for group in self._optimizer.param_groups:
                _check_alike([(value, self._optimizer.state.get(value, {})) for value in group["params"]])


def _check_alike(states: Sequence[tuple[torch.Tensor, Any]]) -> None:
    """Raises ValueError where parameters of as many dimensions have states of different forms.

    A parameter that was never updated has none.
    """
    seen: dict[int, Any] = {}
    for parameter, values in states:
        if not isinstance(values, Mapping):
            raise ValueError(f"the state of a parameter of shape {tuple(parameter.shape)} has no names")
        form = {name: _form_beside(value, parameter) for name, value in values.items()}
        if form and seen.setdefault(parameter.dim(), form) != form:
            raise ValueError(f"the state of a parameter of shape {tuple(parameter.shape)} is not like that of others")


def _form_beside(value: Any, parameter: torch.Tensor) -> Any:
    if not isinstance(value, torch.Tensor):
        return _form(value)
    return "as the parameter" if value.shape == parameter.shape else ("tensor", value.dim())


def _has_complex(tree: Any) -> bool:
    if isinstance(tree, torch.Tensor):
        return tree.is_complex()
    items = tree.values() if isinstance(tree, Mapping) else tree if isinstance(tree, list | tuple) else ()
    return any(map(_has_complex, items))


def _form(value: Any) -> Any:
    """The types in an option. All numbers are alike, and so are true, false and null, which differ between devices."""
    if isinstance(value, list | tuple):
        return [_form(item) for item in value]
    if value is None or isinstance(value, bool):
        return "flag"
    return "number" if isinstance(value, int | float) else type(value)


def build_optimizer(
    name: str, block: Block, own: Mapping[str, Block], parameters: Mapping[str, Sequence[nn.Parameter]]
) -> tuple[torch.optim.Optimizer, list[str]]:
    """The optimizer of a side and the names of its parameter groups.

    name: of the side. block: its optimizer in the recipe. own: by network, the same with options of its own.
    parameters: by network or loss. Each set of options builds an optimizer, so that the component applies them itself;
    its parameter group is then taken over. Raises ValueError for options that the optimizer refuses.
    """
    common = [parameter for owner, each in parameters.items() if owner not in own for parameter in each]
    sets = [(name, block, common)] if common else []
    sets += [(f"{name}/{owner}", own[owner], list(each)) for owner, each in parameters.items() if owner in own and each]
    optimizers = [build(params=each) for _, build, each in sets]
    for made in optimizers:
        if not isinstance(made, torch.optim.Optimizer):
            registered = block.registration
            raise ValueError(
                f"{registered.name} of plugin {registered.owner} must return a torch.optim.Optimizer, not {made!r}"
            )
    optimizer: torch.optim.Optimizer = optimizers[0]
    for other in optimizers[1:]:
        for group in other.param_groups:
            optimizer.add_param_group(group)
    return optimizer, [group for group, _, _ in sets]

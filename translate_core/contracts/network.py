"""The handle through which losses and tensors call a network."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from translate_core.contracts.parameters import parameters_of
from translate_core.contracts.role import Role
from translate_core.errors import UserError, written_in


@dataclass
class Calls:
    """What is being computed at present; all handles of a run share one object.

    trained: the networks that the update trains whose loss is being evaluated; None while a tensor is computed.
    reached: names of the networks that were called.
    """

    trained: frozenset[str] | None = None
    reached: set[str] = field(default_factory=set)

    @contextmanager
    def by_loss(self, trained: frozenset[str] | None) -> Iterator[None]:
        """Marks the calls inside as those of a loss of an update that trains these networks (None: of a tensor)."""
        before, self.trained = self.trained, trained
        try:
            yield
        finally:
            self.trained = before


@dataclass(frozen=True)
class Precision:
    """Dtype of weights and images, the dtype of autocast (None: no autocast), and whether losses are scaled."""

    dtype: torch.dtype = torch.float32
    autocast: torch.dtype | None = None
    scaled: bool = False


PRECISIONS = {
    "fp32": Precision(),
    "bf16": Precision(autocast=torch.bfloat16),
    "fp16": Precision(autocast=torch.float16, scaled=True),
    "fp64": Precision(dtype=torch.float64),
}


class Network:
    """A network of a run. Calls of it and of its public methods run in the run's precision.

    Autocast is entered for each call and outputs are at least float32, so the cast of a weight is never kept across an
    update, and losses never compute in half precision. When a loss calls a network that its update does not train, the
    network is frozen: gradients pass through it and do not reach its weights.
    """

    def __init__(self, role: Role, module: nn.Module, calls: Calls, precision: Precision) -> None:
        self.role = role
        self.module = module
        self._calls = calls
        self._precision = precision
        self._parameters = [parameter for parameter in parameters_of(module) if parameter.requires_grad]
        self._compiled: dict[str, Callable[..., Any]] | None = None
        self._forms: dict[tuple[object, ...], object] = {}
        self.frozen = False

    def freeze(self, frozen: bool) -> None:
        """Freezes the network, in evaluation mode, or trains it on, in training mode."""
        self.frozen = frozen
        self.module.train(not frozen)
        for parameter in self._parameters:
            parameter.requires_grad_(not frozen)

    def compile(self) -> None:
        """Compiles in place, each method on its first call; the keys of the state_dict do not change."""
        self.module.compile()
        self._compiled = {}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Calls the module; outputs are at least float32."""
        return self._call("forward", self.module, args, kwargs)

    def after_update(self) -> None:
        """Calls the module's own `after_update`, if it has one. Called after each update of it, under no_grad."""
        own = getattr(self.module, "after_update", None)
        if own is not None:
            own()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        value = getattr(self.module, name)
        if not callable(value) or isinstance(value, nn.Module):
            return value
        if self._compiled is not None:
            value = self._compiled.setdefault(name, torch.compile(value))

        def method(*args: Any, **kwargs: Any) -> Any:
            return self._call(name, value, args, kwargs)

        return method

    def _call(self, name: str, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        output = self._computed(function, args, kwargs)
        self._check(name, args, output)
        return output

    def _check(self, name: str, args: tuple[Any, ...], output: Any) -> None:
        """Raises UserError for an output of another form than that of an earlier call with inputs of these sizes."""
        sizes = tuple(arg.shape[1:] if isinstance(arg, Tensor) else None for arg in args)
        form = _form(output, sized=None not in sizes)
        known = self._forms.setdefault((name, self.module.training, *sizes), form)
        if form != known:
            raise UserError(
                f"{self.role.name}, {written_in(self.module)}, returned {_described(form)} from {name}, and "
                f"{_described(known)} before for inputs of the same sizes"
            )

    def _computed(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        calls = self._calls
        calls.reached.add(self.role.name)
        frozen = not self.frozen and calls.trained is not None and self.role.name not in calls.trained
        if frozen:
            for parameter in self._parameters:
                parameter.requires_grad_(False)
        try:
            if self._precision.autocast is None:
                return function(*args, **kwargs)
            device = next(self.module.parameters()).device.type
            with torch.autocast(device, dtype=self._precision.autocast):
                output = function(*args, **kwargs)
            return _at_least_float32(output)
        finally:
            if frozen:
                for parameter in self._parameters:
                    parameter.requires_grad_(True)


@contextmanager
def evaluation_mode(modules: Iterable[nn.Module]) -> Iterator[None]:
    """Puts modules into evaluation mode; restores the mode of each of their parts at the end."""
    modes = [(part, part.training) for module in modules for part in module.modules()]
    for part, _ in modes:
        part.training = False
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training


def _form(value: Any, *, sized: bool) -> object:
    """The type of an output and of what is in it; where `sized`, with the sizes of its tensors without the first."""
    if isinstance(value, Tensor):
        return value.shape[1:] if sized else Tensor
    if isinstance(value, dict):
        return {key: _form(item, sized=sized) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_form(item, sized=sized) for item in value]
    return type(value)


def _described(form: object) -> str:
    """A form in words, for a message."""
    if isinstance(form, torch.Size):
        return f"(N, {', '.join(map(str, form))})" if form else "(N,)"
    if isinstance(form, dict):
        return "{" + ", ".join(f"{key}: {_described(item)}" for key, item in form.items()) + "}"
    if isinstance(form, list):
        return "[" + ", ".join(map(_described, form)) + "]"
    return "None" if form is type(None) else getattr(form, "__name__", str(form))


def _at_least_float32(output: Any) -> Any:
    if isinstance(output, Tensor):
        return output.float() if output.dtype in (torch.bfloat16, torch.float16) else output
    if isinstance(output, dict):
        return {key: _at_least_float32(value) for key, value in output.items()}
    if isinstance(output, tuple) and hasattr(output, "_fields"):
        return type(output)(*(_at_least_float32(value) for value in output))
    if isinstance(output, list | tuple):
        return type(output)(_at_least_float32(value) for value in output)
    return output

"""The calls that a method makes to its networks, recorded without their weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from translate_core.conformance.kit import Kit, ambient, tensors_in
from translate_core.conformance.setup import MethodSetup, computations, largest, smallest
from translate_core.contracts.loss import Loss
from translate_core.contracts.method import Method
from translate_core.contracts.network import Network
from translate_core.contracts.role import sides
from translate_core.runtime.meta import meta_device
from translate_core.runtime.randomness import Draws, torch_generator


@dataclass(frozen=True)
class Call:
    """A call of a network.

    role: of the network. entry: the name of its method, empty for the network itself. arguments, keywords: as passed.
    """

    role: str
    entry: str
    arguments: tuple[Any, ...]
    keywords: Mapping[str, Any]

    def changed(self, change: Callable[[Tensor], Tensor]) -> Call:
        """The same call with every tensor changed."""
        return Call(self.role, self.entry, mapped(self.arguments, change), mapped(self.keywords, change))

    def on(self, network: Any) -> Any:
        """What a network, or its handle, returns for this call."""
        function = getattr(network, self.entry) if self.entry else network
        return function(*self.arguments, **self.keywords)


class _Recorder(Network):
    """A network on the meta device that takes tensors on the CPU, records its calls, and returns random values.

    The outputs have the shapes and dtypes of those of the network. What the method computes itself, such as labels,
    times and latent vectors, it computes from values: integers are in their ranges.
    """

    def __init__(self, handle: Network, record: Callable[[Call], None]) -> None:
        super().__init__(handle.role, handle.module, handle._calls, handle._precision)
        self._record = record
        self._outputs: dict[str, Any] = {}
        self._count = 0

    def _computed(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        self._calls.reached.add(self.role.name)
        call = Call(self.role.name, "" if function is self.module else function.__name__, args, kwargs)
        self._record(call.changed(lambda tensor: tensor.detach().clone()))
        key = f"{call.entry} {_shapes(args)} {_shapes(kwargs)}"
        if key not in self._outputs:
            moved = call.changed(lambda tensor: tensor.detach().to("meta"))
            with torch.no_grad(), meta_device():
                self._outputs[key] = function(*moved.arguments, **moved.keywords)
        self._count += 1
        # A loss may differentiate outputs with respect to inputs.
        inputs = [item for item in tensors_in((args, kwargs)) if item.is_floating_point()]
        nothing = sum((item.sum() * 0 for item in inputs), start=torch.zeros(()))
        generator = torch_generator(self._count, "output", self.role.name)

        def values(output: Tensor) -> Tensor:
            if not output.is_floating_point():
                return torch.zeros(output.shape, dtype=output.dtype)
            drawn = torch.rand(output.shape, generator=generator, dtype=output.dtype) * 2 - 1
            return drawn + nothing.to(output.dtype)

        return mapped(self._outputs[key], values)


def recorded_calls(setup: MethodSetup) -> list[Call]:
    """The calls of all networks while the method's tensors are computed, and its discriminators called.

    What `integer` decides is computed with the largest numbers, then with 0.
    """
    calls: list[Call] = []
    drawn: list[int] = []

    def most(high: int) -> int:
        drawn.append(high)
        return largest(high)

    for integers in (most, smallest):
        batch = recording_batch(setup, calls.append, integers)
        with ambient(0):
            for _, compute in computations(batch, setup.tensor_names):
                compute()
        if not drawn:
            break
    return calls


def calls_by_losses(setup: MethodSetup, kit: Kit) -> Iterator[Call]:
    """The calls of all networks by the losses of the recipe, or by registered losses that fit the method."""
    for block in setup.losses or kit.blocks("loss"):
        calls: list[Call] = []
        try:
            with ambient(0):
                loss: Loss = block()
                loss.prepare(setup.method)
                for side in sides(setup.method.roles):
                    batch = recording_batch(setup, calls.append)
                    loss.parts(side, batch)
        except Exception:  # whatever a component raises: the loss is for other methods
            continue
        yield from calls


def recording_batch(
    setup: MethodSetup, record: Callable[[Call], None], integers: Callable[[int], int] = largest
) -> Method:
    """A batch whose networks, on the meta device, record their calls. Directions have their smallest options.

    integers: replaces the draws of `integer`.
    """
    built = setup.build("meta")
    options = [option for direction in setup.method.directions.values() for option in direction.options]
    return setup.method.tensors(
        setup.given(targets=True),
        {name: _Recorder(handle, record) for name, handle in built.handles.items()},
        built.calls,
        Draws(0, 0, 0, 0),
        grad=True,
        needed=setup.all_needed,
        options={item.name: item.default if item.low is None else item.read(item.low) for item in options},
        integers=integers,
    )


def mapped(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """The value with every tensor in nested lists, tuples and mappings changed."""
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, Mapping):
        return {key: mapped(item, change) for key, item in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(mapped(item, change) for item in value))
    if isinstance(value, list | tuple):
        return type(value)(mapped(item, change) for item in value)
    return value


def _shapes(value: Any) -> str:
    """Arguments as text, with the shape and dtype of each tensor in place of its values."""
    if isinstance(value, Tensor):
        return f"{value.dtype}{tuple(value.shape)}"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key}: {_shapes(item)}' for key, item in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"({', '.join(map(_shapes, value))})"
    return repr(value)

"""The calls that a method makes to its networks, recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from torch import Tensor

from translate_core.components.blocks import Block
from translate_core.conformance.setup import MethodSetup
from translate_core.contracts.network import Network

Call = tuple[str, tuple[Any, ...]]
"""The name of a network's method, empty for the network itself, and the positional arguments."""


class _RecordingNetwork(Network):
    """A network handle that records its calls."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.recorded: list[Call] = []

    def _call(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        entry = "" if function is self.module else function.__name__
        if not kwargs:
            self.recorded.append((entry, mapped(args, lambda tensor: tensor.detach().clone())))
        return super()._call(function, args, kwargs)


def recorded_calls(setup: MethodSetup, block: Block) -> Iterator[Call]:
    """The calls of all networks that `block` builds, while every tensor of the method is computed."""
    built = setup.build("cpu")
    recordings = []
    for role in setup.method.roles:
        if setup.roles[role.name] is block:
            recording = _RecordingNetwork(role, built.modules[role.name], built.calls, built.precision)
            built.handles[role.name] = recording
            recordings.append(recording)
    batch = built.batch(grad=False, targets=True)
    for name in setup.method.tensor_names():
        _ = batch[name]
    for recording in recordings:
        yield from recording.recorded


def mapped(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """The value with every tensor in nested lists and tuples changed."""
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, list | tuple):
        return type(value)(mapped(item, change) for item in value)
    return value

"""The meta device, on which tensors have sizes and no values: what is computed there costs no memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


@contextmanager
def meta_device() -> Iterator[None]:
    """Inside, new tensors are on the meta device, and torch computes the sizes of an operation once.

    Many operations of torch find the sizes of their outputs in Python, in up to a millisecond, and a method calls its
    networks with images of the same sizes again and again.
    """
    with _RememberedSizes(), torch.device("meta"):  # type: ignore[no-untyped-call]  # of torch
        yield


_MOST = 100_000
"""Operations that are remembered."""

_known: dict[tuple[Any, ...], tuple[type, Sequence[tuple[Any, ...]]]] = {}
"""By operation, arguments and sizes: the type of what it returns, and the size, strides and dtype of each tensor."""


class _RememberedSizes(TorchDispatchMode):  # type: ignore[no-untyped-call]  # of torch
    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = kwargs or {}
        if not _only_makes_new_tensors(func):
            return func(*args, **given)
        try:
            key = (func, _signature(args), _signature(tuple(given.items())))
            known = _known.get(key)
        except (_HasValuesError, TypeError):  # another device; or an argument without a hash
            return func(*args, **given)
        if known is None:
            return _remembered(key, func(*args, **given))
        kind, forms = known
        tensors = [torch.empty_strided(size, stride, dtype=dtype, device="meta") for size, stride, dtype in forms]
        return tensors[0] if kind is Tensor else kind(tensors)


class _HasValuesError(Exception):
    """A tensor on another device, whose values may decide the sizes of an output."""


def _signature(argument: Any) -> Any:
    if isinstance(argument, Tensor):
        if not argument.is_meta:
            raise _HasValuesError
        return (argument.shape, argument.stride(), argument.dtype)
    if isinstance(argument, list | tuple):
        return tuple(map(_signature, argument))
    return (type(argument), argument)


def _remembered(key: tuple[Any, ...], output: Any) -> Any:
    outputs = (output,) if isinstance(output, Tensor) else output
    if isinstance(outputs, list | tuple) and all(isinstance(item, Tensor) and item.is_meta for item in outputs):
        if len(_known) >= _MOST:
            _known.clear()
        kind = Tensor if isinstance(output, Tensor) else type(output)
        _known[key] = (kind, [(item.shape, item.stride(), item.dtype) for item in outputs])
    return output


def _only_makes_new_tensors(operation: Any) -> bool:
    """Whether an operation changes no argument, returns no view of one, and draws nothing."""
    kept = _new.get(operation)
    if kept is None:
        schema = operation._schema
        draws = torch.Tag.nondeterministic_seeded in operation.tags
        kept = not draws and not schema.is_mutable and all(item.alias_info is None for item in schema.returns)
        _new[operation] = kept
    return kept


_new: dict[Any, bool] = {}

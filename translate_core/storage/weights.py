"""Weights of single networks: read from files of several kinds, written as safetensors."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from translate_core.errors import UserError, no_file, written_in
from translate_core.runtime.files import atomic_write, make_folder

_PREFIXES = ("module.", "_orig_mod.")
_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


def load_into(network: nn.Module, path: str, name: str) -> None:
    """Loads a file of weights into a network, completely or not at all.

    Takes bare state_dicts as `torch.save` writes them (`.pth`, `.pt`) and `.safetensors`. Prefixes of DataParallel and
    torch.compile are removed, and so are running statistics that the network's normalisation does not have.

    path: relative to the current folder. name: the network's role, for messages.
    Raises UserError when the file cannot be read, holds more than tensors, or does not fit the network.
    """
    file = Path(path)
    state = clean(read_weights(file), network)
    own = network.state_dict()
    missing = [key for key in own if key not in state]
    unexpected = [key for key in state if key not in own]
    unlike = [
        f"{key}: {_shape(state[key])} in the file, {_shape(own[key])} in the network"
        for key in own
        if key in state and state[key].shape != own[key].shape
    ]
    faults = [
        f"{len(keys)} {what} ({', '.join(keys[:3])}{', …' if len(keys) > 3 else ''})"
        for what, keys in (("missing", missing), ("not in the network", unexpected), ("of another shape", unlike))
        if keys
    ]
    if faults:
        raise UserError(
            f"{file} does not fit {name}: of {len(own)} tensors, {'; '.join(faults)}. "
            f"The options of the network (blocks, width, norm, dropout …) must be those that it was trained with"
        )
    network.load_state_dict(state)


def read_weights(file: Path) -> dict[str, Any]:
    """Reads the state_dict in a file of weights (`.pth`, `.pt`, `.safetensors`): names to tensors on the CPU.

    No code of the file is run. Raises UserError when the file is missing, damaged, or holds more than tensors.
    """
    if not file.is_file():
        raise UserError(no_file(file))
    try:
        if file.suffix == ".safetensors":
            return safetensors.torch.load_file(file)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's warnings about pickles do not concern users
            state = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "weights only" in str(error).lower() or "weights_only" in str(error):
            raise UserError(
                f"{file} holds Python objects beside tensors; it is refused because loading it could execute code"
            ) from None
        raise UserError(f"{file} is not a file of weights, or it is damaged") from None
    except Exception:  # torch raises many kinds of exceptions for other bytes
        raise UserError(f"{file} is not a file of weights, or it is damaged") from None
    named = isinstance(state, Mapping) and all(isinstance(key, str) for key in state)
    if not named or not all(isinstance(value, Tensor) for value in state.values()):
        raise UserError(f"{file} is not a state_dict: it must map names to tensors, and nothing else")
    for key, value in state.items():
        kind = extraordinary(value)
        if kind:
            raise UserError(f"{file} holds a tensor that is {kind}: {key}. Save it as an ordinary tensor first")
    return dict(state)


def extraordinary(value: Tensor) -> str:
    """What keeps a tensor from being copied into a network's own; empty if nothing does."""
    if value.layout is not torch.strided:
        return "sparse"
    if value.device.type == "meta":
        return "without values (on the meta device)"
    if value.is_quantized:
        return "quantised"
    return "complex" if value.is_complex() else ""


def clean(state: Mapping[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """A state_dict without the prefixes of wrappers, and without running statistics that the network does not have."""
    cleaned = {}
    own = network.state_dict().keys()
    for key, value in state.items():
        while key not in own and key.startswith(_PREFIXES):
            key = key.partition(".")[2]
        if key not in own and key.rpartition(".")[2] in _STATISTICS:
            continue
        cleaned[key] = value
    return cleaned


def save(network: nn.Module, path: Path) -> None:
    """Writes a network's weights as safetensors."""
    given: object = network.state_dict()
    if not isinstance(given, dict) or not all(isinstance(value, Tensor) for value in given.values()):
        raise UserError(f"`state_dict` of {written_in(network)} must return a dict of tensors")
    state = {key: value.detach().contiguous().cpu().clone() for key, value in given.items()}
    make_folder(path.parent)
    with atomic_write(path) as part:
        part.write_bytes(safetensors.torch.save(state))  # `save_file` makes a further file, which a kill would leave


def _shape(value: Tensor) -> str:
    return "×".join(map(str, value.shape)) or "scalar"

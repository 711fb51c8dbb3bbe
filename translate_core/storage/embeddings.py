"""Embeddings of reference images in files, so that they are computed once in a run."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TypeAlias

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from translate_core.runtime.files import atomic_write, make_folder

Rows: TypeAlias = Tensor | tuple[Tensor, ...]
"""As an embedding returns them."""


def save(path: Path, rows: Rows, description: str) -> None:
    """Writes embeddings, and a line that describes their images."""
    make_folder(path.parent)
    tensors = {str(index): tensor.cpu().contiguous() for index, tensor in enumerate(_listed(rows))}
    kind = "tensor" if isinstance(rows, Tensor) else "tuple"
    metadata = {"kind": kind, "description": description}
    with atomic_write(path) as part:
        part.write_bytes(safetensors.torch.save(tensors, {**metadata, "digest": _digest(tensors, metadata)}))


def load(path: Path) -> tuple[Rows, str] | None:
    """Embeddings on the CPU, and their description. None where the file is missing or not as it was written."""
    if not path.is_file():  # opening a pipe would wait forever
        return None
    try:
        with safetensors.safe_open(path, "pt") as file:
            metadata: dict[str, str] = file.metadata() or {}
            tensors = {str(index): file.get_tensor(str(index)) for index in range(len(file.keys()))}
    except (OSError, safetensors.SafetensorError):
        return None
    if metadata.pop("digest", "") != _digest(tensors, metadata):
        return None
    rows = tuple(tensors.values())
    return (rows[0] if metadata["kind"] == "tensor" else rows), metadata["description"]


def _listed(rows: Rows) -> tuple[Tensor, ...]:
    return (rows,) if isinstance(rows, Tensor) else rows


def _digest(tensors: dict[str, Tensor], metadata: dict[str, str]) -> str:
    digest = hashlib.sha256(repr(sorted(metadata.items())).encode())
    for name, tensor in tensors.items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()

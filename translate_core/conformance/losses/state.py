"""Promises about state: parameters, the tensors of the batch, checkpoints."""

from __future__ import annotations

from typing import Any

from translate_core.conformance.kit import ambient, named, same, saved_and_loaded, tensors_in
from translate_core.conformance.losses.subject import LossSubject, compute
from translate_core.conformance.promise import Broken, promise


@promise(
    "has all parameters after prepare",
    "optimizers are built right after `prepare`: a parameter that is added later is never trained, and its checkpoint "
    "cannot be loaded",
)
def fixed_parameters(subject: LossSubject) -> None:
    """Computing losses adds and removes no parameter."""
    built = subject.first.setup.build("cpu")
    loss = subject.build(subject.first.setup)
    before = {name: tuple(item.shape) for name, item in loss.named_parameters()}
    subject.losses(loss, built)
    after = {name: tuple(item.shape) for name, item in loss.named_parameters()}
    if before != after:
        raise Broken(f"computing a loss changes its parameters: {named(sorted(before.keys() ^ after.keys()))}")


@promise(
    "does not modify the tensors of the batch",
    "they are shared: every later loss sees what one loss overwrites",
)
def does_not_modify_tensors(subject: LossSubject) -> None:
    """No in-place operation on an image, a score or a feature."""
    built = subject.first.setup.build("cpu")
    loss = subject.build(subject.first.setup)
    for side in subject.first.sides:
        batch = built.batch(targets=True)
        before: dict[str, Any] = {}
        for name in subject.first.setup.tensor_names:
            before[name] = [tensor.detach().clone() for tensor in tensors_in(batch[name])]
        with ambient(0):
            compute(loss, side, batch, built)
        for name, kept in before.items():
            if not same(kept, [tensor.detach() for tensor in tensors_in(batch[name])]):
                raise Broken(f"overwrites the tensor '{name}'")


@promise(
    "is restored by its state_dict",
    "a checkpoint keeps the state of each loss, including its pools, and a run resumes from it bit for bit",
)
def is_restored(subject: LossSubject) -> None:
    """Saved after some batches and loaded with weights_only, it returns the same losses as the original."""
    built = subject.first.setup.build("cpu")
    loss = subject.build(subject.first.setup)
    for seed in range(3):
        subject.losses(loss, built, seed=seed)
    state = saved_and_loaded(loss.state_dict(), "its state_dict")
    restored = subject.build(subject.first.setup)
    restored.load_state_dict(state)
    for seed in range(3, 5):
        one, other = subject.losses(loss, built, seed=seed), subject.losses(restored, built, seed=seed)
        different = [name for name in one if name not in other or not same(one[name], other[name])]
        if different:
            raise Broken(
                f"{named(different)} differs after the state was saved and loaded: keep all state in parameters, "
                f"buffers, or get_extra_state and set_extra_state"
            )

"""Promises about the state of a network: checkpoints, copies, `after_update`."""

from __future__ import annotations

import copy

import torch

from translate_core.conformance.kit import finite, same, saved_and_loaded
from translate_core.conformance.networks.subject import NetworkSubject
from translate_core.conformance.promise import Broken, promise
from translate_core.errors import explain


@promise(
    "is restored by its state_dict",
    "a run resumes from a checkpoint bit for bit, and translate-apply has nothing but the weights",
)
def is_restored(subject: NetworkSubject) -> None:
    """Saved after a training pass, loaded with weights_only into a network of another seed."""
    module = subject.build()
    subject.run(module)
    state = saved_and_loaded(module.state_dict(), "its state_dict")
    restored = subject.build(seed=5)
    restored.load_state_dict(state)
    with torch.no_grad():
        one, other = subject.run(module.eval()), subject.run(restored.eval())
    if not same(one, other):
        raise Broken(
            "after load_state_dict its output differs: a part of its state is neither a parameter nor a buffer"
        )


@promise(
    "can be copied",
    "`training.ema` keeps a copy of each network that translations use, made by copy.deepcopy",
    applies=lambda subject: subject.kind != "discriminator",
)
def can_be_copied(subject: NetworkSubject) -> None:
    """A copy has the same output and shares no weight."""
    module = subject.build().eval()
    try:
        duplicate = copy.deepcopy(module)
    except Exception as error:  # whatever a copy raises
        raise Broken(f"copy.deepcopy fails: {explain(error)}") from None
    with torch.no_grad():
        if not same(subject.run(module), subject.run(duplicate)):
            raise Broken("the output of a copy differs")
        before = {name: item.clone() for name, item in module.named_parameters()}
        for parameter in duplicate.parameters():
            parameter.add_(1)
    if not same(before, dict(module.named_parameters())):
        raise Broken("a copy shares weights with the original")


@promise(
    "supports after_update",
    "the engine calls it without gradients after every update",
    applies=lambda subject: callable(getattr(subject.meta, "after_update", None)),
)
def supports_after_update(subject: NetworkSubject) -> None:
    """On a new network it changes values only."""
    module = subject.build()
    before = {name: item.shape for name, item in module.named_parameters()}
    with torch.no_grad():
        module.after_update()  # type: ignore[operator]
    after = {name: item.shape for name, item in module.named_parameters()}
    if before != after or not finite(dict(module.state_dict())):
        raise Broken("after_update changes the shapes of parameters, or leaves values that are not finite")

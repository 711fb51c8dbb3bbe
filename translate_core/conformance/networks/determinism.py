"""Promises about repeated passes: inputs stay unmodified, outputs repeat."""

from __future__ import annotations

import copy

import torch

from translate_core.conformance.kit import ambient, same
from translate_core.conformance.networks.subject import NetworkSubject
from translate_core.conformance.promise import Broken, promise


@promise(
    "does not modify its input",
    "the tensors of a batch are shared: every later loss sees what one network overwrites",
)
def does_not_modify_input(subject: NetworkSubject) -> None:
    """No in-place operation on an argument."""
    module = subject.build()
    for place, call in enumerate(subject.calls):
        passed = call.changed(torch.clone)
        with ambient(1), torch.no_grad():
            passed.on(module)
        if not same((passed.arguments, passed.keywords), (call.arguments, call.keywords)):
            raise Broken(f"{subject.entry(place)} overwrites its input")


@promise(
    "repeats its output at the same seed",
    "a resumed run equals an uninterrupted one bit for bit, and an image is always translated the same way: only "
    "torch's ambient generator is seeded before every phase and every image",
)
def repeats_its_output(subject: NetworkSubject) -> None:
    """In training and in evaluation mode, with different states of numpy's and Python's generators."""
    for mode, train in (("training", True), ("evaluation", False)):
        outputs = []
        for place in (1, 2):
            module = subject.build().train(train)
            with torch.no_grad():
                outputs.append(subject.run(module, draw=1, elsewhere=place))
        if not same(*outputs):
            raise Broken(
                f"two passes in {mode} mode differ although torch's ambient generator has the same seed: draw from "
                f"that generator only"
            )
    module = subject.build().eval()
    before = copy.deepcopy(dict(module.state_dict()))
    with torch.no_grad():
        subject.run(module)
    if not same(before, dict(module.state_dict())):
        raise Broken("a pass in evaluation mode changes its state_dict")


@promise(
    "is deterministic in evaluation mode",
    "dropout or noise in evaluation mode is usually an oversight; ignore this if it is intended",
    advice=True,
)
def is_deterministic(subject: NetworkSubject) -> None:
    """Two passes over one image are equal at different seeds of torch's ambient generator."""
    module = subject.build().eval()
    with torch.no_grad():
        if not same(subject.run(module, draw=1), subject.run(module, draw=2)):
            raise Broken("two passes over one image in evaluation mode differ")

"""Cases of faults: a command and its exact message. Used by the tests of bad input."""

# ruff: noqa: E501 - a message stands on one line, as the user reads it

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from translate_core.commands.run import main
from translate_core.components.plugins import load_plugins

RECIPE = """\
method: {type: cyclegan}
data: {type: unpaired_folders, root: data, transform: {crop: 24}}
generator: {type: resnet, blocks: 1, width: 4}
discriminator: {type: patchgan, layers: 1, width: 4}
losses:
  adversarial: {type: lsgan, pool: {type: history, size: 3}}
  cycle: {type: cycle, weight: 10}
  identity: {type: identity, weight: 5}
optimizer: {type: adam, lr: 2.0e-4}
schedule: {type: linear_decay, constant: 4 steps}
training: {length: 6 steps, workers: 0, checkpoint_every: 2 steps, sample_every: null}
observers: {progress: null, tensorboard: null, samples: null}
"""
REGISTRY = load_plugins().registry
GENERATORS, LOSSES, METHODS = (", ".join(REGISTRY.names(kind)) for kind in ("generator", "loss", "method"))
TENSORS = "real_A, real_B, fake_B, fake_A, rec_A, rec_B, idt_A, idt_B"


@dataclass(frozen=True)
class Case:
    """A command and its message.

    faults: the lines below the one that counts them; without a subject, the whole message.
    files: more files in the current folder.
    """

    name: str
    overrides: tuple[str, ...]
    faults: str
    subject: str = "recipe r.yaml"
    files: Mapping[str, str | bytes] = field(default_factory=dict)

    @property
    def message(self) -> str:
        if not self.subject:
            return f"translate-run: {self.faults}\n"
        count = len(self.faults.split("\n"))
        return f"translate-run: {self.subject} has {count} fault{'s' if count > 1 else ''}\n{indented(self.faults)}\n"


def indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.split("\n"))


def case(name: str, override: str | tuple[str, ...], *faults: str) -> Case:
    """Faults of the recipe after `--set`."""
    return Case(name, (override,) if isinstance(override, str) else override, "\n".join(faults))


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """The exit status of `translate-run` and its stderr, without the lines about the decoding of images."""
    status = main(arguments)
    error = re.sub(r"^decoding dataset .*\n", "", capsys.readouterr().err, flags=re.MULTILINE)
    return status, error


# Plugins

HEAD = """\
import torch
from torch import nn
from translate_core import GENERATORS, Direction, Factory, Loss, Method, Metric, Observer, Pool, generator, hookimpl

"""
"""The code of a case begins in line 5."""
TINY = "class Tiny(nn.Module):\n    def __init__(self, in_channels: int, out_channels: int{}):\n        super().__init__()\n"


def registering(body: str, call: str) -> str:
    return f"{HEAD}{body}\n@hookimpl\ndef register(registry):\n    {call}\n"


def tiny(options: str) -> str:
    return registering(TINY.format(options), "registry.generator('tiny', Tiny)")


BARE = registering(
    "from translate_core import tensor\nclass Bare(Method):\n    roles = (generator('G_AB', 'A', 'B'),)\n"
    "    order = (GENERATORS,)\n    @tensor\n    def fake_B(self): return self.G_AB(self.real_A)\n",
    "registry.method('bare', Bare)",
)

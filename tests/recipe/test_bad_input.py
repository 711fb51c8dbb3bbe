"""What a user did wrong, and the exact message for it, through the real command."""

# ruff: noqa: E501 - a message stands on one line, as the user reads it

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import pickle
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch

import translate_core
from tests.conftest import make_folders
from translate_core import CONTRACT
from translate_core.commands.run import main
from translate_core.components.plugins import load_plugins
from translate_plugins.generators.resnet import ResNet

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

BLOCKS = "method, data, generator, discriminator, networks, losses, optimizer, schedule, training, metrics, observers, plugins"
TRAINING = (
    "length, batch_size, accumulate, seed, workers, precision, channels_last, compile, ema, log_every, "
    "checkpoint_every, keep_checkpoints, sample_every, samples, evaluate_every"
)
REGISTRY = load_plugins().registry
GENERATORS, LOSSES, METHODS = (", ".join(REGISTRY.names(kind)) for kind in ("generator", "loss", "method"))
RESNET = "blocks, width, downs, norm, dropout, padding, upsample, antialias, init, init_from"
UNET = "downs, width, norm, dropout, test_like_training, init, init_from"
TENSORS = "real_A, real_B, fake_B, fake_A, rec_A, rec_B, idt_A, idt_B"
LENGTH = "a length such as '500 steps' or '1 epoch'"
SIDE = "a whole number greater than 0, or a list of 2, each a whole number greater than 0, or null"
BETAS = "a list of 2, each a number at least 0 and less than 1"
VERSION = importlib.metadata.version("translate")


@dataclass(frozen=True)
class Case:
    """A command and what it says.

    faults: what stands below the line that counts them, or, without a subject, the whole message.
    files: what else lies in the current folder.
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
    """A fault of the recipe after `--set`."""
    return Case(name, (override,) if isinstance(override, str) else override, "\n".join(faults))


HEAD = """\
import torch
from torch import nn
from translate_core import GENERATORS, Direction, Factory, Loss, Method, Metric, Observer, Pool, generator, hookimpl

"""
"""What a case below adds begins in line 5."""
TINY = "class Tiny(nn.Module):\n    def __init__(self, in_channels: int, out_channels: int{}):\n        super().__init__()\n"


def registering(body: str, call: str) -> str:
    return f"{HEAD}{body}\n@hookimpl\ndef register(registry):\n    {call}\n"


def tiny(options: str) -> str:
    return registering(TINY.format(options), "registry.generator('tiny', Tiny)")


BARE = registering(
    "from translate_core import tensor\nclass Bare(Method):\n    roles = (generator('G_AB', 'A', 'B'),)\n"
    "    order = (GENERATORS,)\n    @tensor\n    def fake_B(self): return self.G_AB(self.real_A)\n",
    "registry.method('bare', Bare)",
)  # fmt: skip


KEYS = [
    case(
        "unknown key at the top", "traning={length: 5 steps}",
        f"traning  a recipe has no block 'traning', did you mean 'training'? It takes: {BLOCKS}",
    ),
    case(
        "a key of training at the top", "batch_size=4",
        f"batch_size  a recipe has no block 'batch_size', did you mean 'training.batch_size'? It takes: {BLOCKS}",
    ),
    case(
        "unknown key in a component", "generator.blcks=3",
        f"generator.blcks  resnet has no option 'blcks', did you mean 'blocks'? It takes: {RESNET}",
    ),
    case(
        "unknown key in training", "training.lenght=5 steps",
        f"training.lenght  training has no option 'lenght', did you mean 'length'? It takes: {TRAINING}",
    ),
    case(
        "unknown key in a nested pool", "losses.adversarial.pool.sze=3",
        "losses.adversarial.pool.sze  history has no option 'sze', did you mean 'size'? It takes: size",
    ),
    case(
        "unknown key in the transform", "data.transform.crp=3",
        "data.transform.crp  transform has no option 'crp', did you mean 'crop'? It takes: resize, keep_aspect, crop, flip, crop_until",
    ),
    case(
        "an argument that the engine gives", "generator.in_channels=3",
        f"generator.in_channels  resnet has no option 'in_channels'. It takes: {RESNET}",
    ),
    case(
        "a key of another component", "networks={G_AB: {type: unet, blocks: 2}}",
        f"networks.G_AB.blocks  unet has no option 'blocks'. It takes: {UNET}",
    ),
]  # fmt: skip

VALUES = [
    case("text for a number", "generator.blocks=three", "generator.blocks  must be a whole number greater than 0, not 'three'"),
    case("a number in quotes", "generator.blocks='3'", "generator.blocks  must be a whole number greater than 0, not '3'"),
    case("a fraction", "generator.blocks=2.5", "generator.blocks  must be a whole number greater than 0, not 2.5"),
    case("a truth for a number", "generator.blocks=true", "generator.blocks  must be a whole number greater than 0, not true"),
    case("null for a number", "training.workers=null", "training.workers  must be a whole number at least 0, not null"),
    case("a number for a truth", "data.transform.flip=1", "data.transform.flip  must be true or false, not 1"),
    case("below a bound that is in", "training.seed=-1", "training.seed  must be a whole number at least 0, not -1"),
    case("at a bound that is out", "training.batch_size=0", "training.batch_size  must be a whole number greater than 0, not 0"),
    case("a negative rate", "optimizer.lr=-0.1", "optimizer.lr  must be a number greater than 0, not -0.1"),
    case("a rate of zero", "optimizer.lr=0", "optimizer.lr  must be a number greater than 0, not 0"),
    case("not a number", "optimizer.lr=.nan", "optimizer.lr  must be a number greater than 0, not .nan"),
    case("infinity", "losses.cycle.weight=.inf", "losses.cycle.weight  must be a number at least 0, not .inf"),
    case("infinity from digits", "optimizer.lr=1e999", "optimizer.lr  must be a number greater than 0, not .inf"),
    case("not a number in a list", "optimizer.betas=[0.5, .nan]", f"optimizer.betas  must be {BETAS}, not [0.5, .nan]"),
    case("a list that is too short", "optimizer.betas=[0.5]", f"optimizer.betas  must be {BETAS}, not [0.5]"),
    case("out of range in a list", "optimizer.betas=[0.5, 1]", f"optimizer.betas  must be {BETAS}, not [0.5, 1]"),
    case("a number for a list", "optimizer.betas=0.5", f"optimizer.betas  must be {BETAS}, not 0.5"),
    case(
        "at the lower of two bounds", "training.ema=0",
        "training.ema  must be a number greater than 0 and less than 1, or null, not 0",
    ),
    case(
        "at the upper of two bounds", "training.ema=1",
        "training.ema  must be a number greater than 0 and less than 1, or null, not 1",
    ),
    case("at the upper bound", "generator.dropout=1", "generator.dropout  must be a number at least 0 and less than 1, not 1"),
    case("none of the choices", "training.precision=fp8", "training.precision  must be one of fp32, bf16, fp16, fp64, not 'fp8'"),
    case("none of the numbers", "data.channels_A=2", "data.channels_A  must be one of 1, 3, not 2"),
    case("three sides", "data.transform.crop=[1, 2, 3]", f"data.transform.crop  must be {SIDE}, not [1, 2, 3]"),
    case("a negative weight", "losses.cycle.weight=-1", "losses.cycle.weight  must be a number at least 0, not -1"),
    case("a weight in words", "losses.cycle.weight=heavy", "losses.cycle.weight  must be a number at least 0, not 'heavy'"),
    case("a length in apples", "schedule.constant=5 apples", f"schedule.constant  must be {LENGTH}, not '5 apples'"),
    case("a length without a unit", "training.length=5", f"training.length  must be {LENGTH}, not 5"),
    case("a length of nothing", "training.length=0 steps", "training.length  must be at least 1 step"),
    case("an interval of nothing", "training.log_every=0 epochs", "training.log_every  must be at least 1 step"),
    case("options at odds", "data.transform.resize=20", "data.transform  crop 24 is greater than resize 20: it must fit inside"),
    case("pairs that are a list", "losses.cycle.pairs=[rec_A]",
         "losses.cycle.pairs  must be a mapping from text to text, or text, not [rec_A]"),
    case("weights that are no file name", "generator.init_from=3",
         "generator.init_from  must be the path of a file of weights, not 3"),
]  # fmt: skip

COMPONENTS = [
    case(
        "a misspelt component", "generator.type=resent",
        f"generator.type  there is no generator 'resent', did you mean 'resnet'? There are: {GENERATORS}",
    ),
    case(
        "a component in another case", "generator.type=ResNet",
        f"generator.type  there is no generator 'ResNet', did you mean 'resnet'? There are: {GENERATORS}",
    ),
    case("a component like no other", "method.type=stylegan", f"method.type  there is no method 'stylegan', did you mean 'cyclegan'? There are: {METHODS}"),
    case(
        "a misspelt nested component", "losses.adversarial.pool={type: histroy}",
        "losses.adversarial.pool.type  there is no pool 'histroy', did you mean 'history'? There are: history, none",
    ),
    case(
        "a misspelt initialisation", "generator.init={type: nromal}",
        "generator.init.type  there is no init 'nromal', did you mean 'normal'? "
        "There are: kaiming, none, normal, orthogonal, xavier",
    ),
    case("an option of an initialisation", "generator.init={type: normal, std: -1}",
         "generator.init.std  must be a number greater than 0, not -1"),
    case("a misspelt metric", "metrics.x={type: snr}", "metrics.x.type  there is no metric 'snr', did you mean 'psnr'? There are: psnr, ssim"),
    case("a block without a type", "generator={blocks: 2}", f"generator  has no `type`: which generator? There are: {GENERATORS}"),
    case("a nested block without a type", "losses.adversarial.pool={size: 5}",
         "losses.adversarial.pool  has no `type`: which pool? There are: history, none"),
    case("a type that is no name", "generator.type=3", f"generator.type  must be the name of a generator, not 3. There are: {GENERATORS}"),
    case("a name for a block", "generator=resnet", "generator  must be a block: write {type: resnet}"),
    case("a number for a block", "losses.adversarial.pool=50",
         "losses.adversarial.pool  must be a block with a `type`, not 50. There are: history, none"),
    case("null for a nested block", "losses.adversarial.pool=null",
         "losses.adversarial.pool  must be a block with a `type`, not null. There are: history, none"),
    case("a missing block", "data=null", "data  is missing: the recipe names no dataset. There are: paired_folders, paired_side_by_side, synthetic, unpaired_folders"),
    case("no optimizer", "optimizer=null", "optimizer  is missing: the recipe names no optimizer. There are: adam, adamw, sgd"),
    case("no training", "training=null",
         "training  is missing: give at least a length, such as `training: {length: 200 epochs}`"),
    case("training that is a number", "training=5", f"training  must be a block, not 5. It takes: {TRAINING}"),
    case("a missing required option", "data={type: unpaired_folders}", "data.root  is missing: unpaired_folders needs it (text)"),
    case("no length", "training={seed: 1}", f"training.length  is missing: training needs it ({LENGTH})"),
    case("one side of an optimizer", "optimizer={generators: {type: adam}}",
         "optimizer.discriminators  is missing: where one side has its own optimizer, each needs one"),
    case(
        "a misspelt side", "optimizer={generators: {type: adam}, discriminator: {type: adam}}",
        "optimizer.discriminator   the method has no side 'discriminator', did you mean 'discriminators'? "
        "It has: generators, discriminators",
        "optimizer.discriminators  is missing: where one side has its own optimizer, each needs one",
    ),
    case("sides of a method that does not exist", ("optimizer={generators: {type: adam}}", "method.type=cyclgan"),
         f"method.type  there is no method 'cyclgan', did you mean 'cyclegan'? There are: {METHODS}"),
    case("an unknown network", "networks={G_AC: {blocks: 2}}",
         "networks.G_AC  the method has no network 'G_AC', did you mean 'G_BA'? It has: G_AB, G_BA, D_A, D_B"),
    case("networks that are a list", ("networks=[1]", "generator=null"),
         f"generator  is missing: the recipe names no generator. There are: {GENERATORS}",
         "networks   must be a mapping of named blocks, not [1]"),
    case("some networks and no block for the others", ("networks={G_AB: {type: resnet}}", "generator=null"),
         "networks.G_BA  is missing: without a block `generator`, each needs its own"),
    case("an option merged into one network", ("networks={G_AB: {width: -1}}", "generator.blocks=-1"),
         "generator.blocks     must be a whole number greater than 0, not -1",
         "networks.G_AB.width  must be a whole number greater than 0, not -1"),
    case("an option replaced with its type", "networks={G_AB: {type: unet, downs: 1}}",
         "networks.G_AB.downs  must be a whole number at least 2, not 1"),
    case("metrics that are a list", "metrics=[1]", "metrics  must be a mapping of named blocks, not [1]"),
    case("plugins that are no list", "plugins=tiny.py", "plugins  must be a list of modules and .py files, not 'tiny.py'"),
]  # fmt: skip

GAME = [
    Case("a block that the method has no use for", ("plugins=[bare.py]", "method={type: bare}"),
         "discriminator  the method has no discriminator: leave the block out", files={"bare.py": BARE}),
    case("no losses", "losses={}", f"losses  is missing or empty: a run needs at least one loss. There are: {LOSSES}"),
    case("every loss switched off", ("losses.cycle.weight=0", "losses.adversarial=null", "losses.identity.weight=0"),
         "losses  are all switched off (weight 0 or null): a run needs at least one loss"),
    case("a name that logs would split", 'losses={"a/b": {type: lsgan}}',
         "losses  the name 'a/b' must not contain '/' or '.', which separate names in logs and keys"),
    case("a misspelt loss made by --set", "losses.identty.weight=0",
         f"losses.identty  has no `type`: which loss? There are: {LOSSES}. Or did you mean losses.identity?"),
    case("a tensor that the method lacks", "losses.cycle.pairs={rec_a: real_A}",
         "losses.cycle.pairs.rec_a  the method has no tensor 'rec_a', did you mean 'rec_A'? It has: " + TENSORS),
    case("a reference that the method lacks", "losses.cycle.pairs={rec_A: real_C}",
         "losses.cycle.pairs.rec_A  the method has no tensor 'real_C', did you mean 'real_B'? It has: " + TENSORS),
    case("a metric of tensors that the method lacks", "metrics.x={type: psnr, pairs: {fake_A: target_a, fake_Q: real_A}}",
         "metrics.x.pairs.fake_Q  the method has no tensor 'fake_Q', did you mean 'fake_B'? It has: " + TENSORS),
    case("a metric that needs a truth", "metrics.x={type: psnr}",
         "metrics.x  compares fake_B with target_B, fake_A with target_A, and no test images give both: "
         "set its `pairs` to tensors that they do give, or leave the metric out"),
    case("domains of other channels", "data.channels_A=1",
         "losses.identity  cannot be computed: G_BA takes images of B with 3 channels, and was given 1; "
         "give the domains equal numbers of channels under `data`, or leave this out"),
    case("an image that is not a multiple", "data.transform.crop=22",
         "generator  resnet needs images with sides that are multiples of 4, and they are 22×22: "
         "change their size under `data`, or the options of resnet"),
    case("a U-Net that is too deep", ("generator={type: unet, downs: 8}", "data.transform={resize: 64}"),
         "generator  unet needs images with sides that are multiples of 256, and they are 64×64: "
         "change their size under `data`, or the options of unet"),
    case("a batch larger than the data", "training.batch_size=7",
         "training.batch_size  a step takes 7 images (batch_size × accumulate × processes), an epoch of this data set has 6"),
    case("several of the shapes at once", ("data.transform.crop=22", "training.batch_size=7"),
         "generator            resnet needs images with sides that are multiples of 4, and they are 22×22: "
         "change their size under `data`, or the options of resnet",
         "training.batch_size  a step takes 7 images (batch_size × accumulate × processes), an epoch of this data set has 6"),
    case("several of the recipe at once, in its order", ("optimizer.lr=-1", "losses.cycle.weight=-1", "generator.blcks=3", "plugins=[no]"),
         f"generator.blcks      resnet has no option 'blcks', did you mean 'blocks'? It takes: {RESNET}",
         "losses.cycle.weight  must be a number at least 0, not -1",
         "optimizer.lr         must be a number greater than 0, not -1",
         "plugins.0            there is no module 'no' to import; install the package that holds it, "
         "or name a .py file beside the recipe"),
]  # fmt: skip

OVERRIDES = [
    case("no equals sign", "training", "--set  'training' must be KEY=VALUE, such as training.batch_size=4"),
    case("an empty key", "a..b=3", "--set  'a..b=3' must be KEY=VALUE, such as training.batch_size=4"),
    case("into a scalar", "method.type.x=3", "--set  'method.type.x' cannot be set: method.type is 'cyclegan', not a block"),
    case("broken YAML", "training.length=[1",
         "--set  the value of training.length, line 1, column 3: expected ',' or ']', but got the end; the […] begins in line 1"),
    case("objects", "a=!!python/name:os.system",
         "--set  the value of a, line 1, column 1: '!!python/name:os.system' is not a supported tag: a recipe holds plain data only"),
    case("two at once", ("x", "y"),
         "--set  'x' must be KEY=VALUE, such as training.batch_size=4",
         "--set  'y' must be KEY=VALUE, such as training.batch_size=4"),
]  # fmt: skip


def text(name: str, content: str | bytes, message: str) -> Case:
    """A recipe file that is no recipe."""
    return Case(name, (), f"r.yaml{message}", "", {"r.yaml": content})


FILES = [
    text("an open brace", "method: {type: cyclegan\ndata: 3\n", ", line 2, column 5: expected ',' or '}', but got ':'; the {…} begins in line 1"),
    text("an open quote", 'a: "abc\n', ", line 2, column 1: a quote is not closed; the text begins in line 1"),
    text("a tab", "method:\n\ttype: cyclegan\n",
         ", line 2, column 1: an unexpected character; indent with spaces, not tabs, and quote special characters"),
    text("an odd indentation", "a:\n  b: 1\n c: 2\n",
         ", line 3, column 2: the indentation differs from that of the lines above; the block begins in line 1"),
    text("two colons", "a: b: c\n", ", line 1, column 5: an unexpected ':'; text that contains ': ' needs quotes"),
    text("a key without a colon", "a: 1\nb\nc: 2\n", ", line 3, column 1: a key without ':' after it"),
    text("a duplicate key", "a: 1\nb: 2\na: 3\n", ", line 3, column 1: the key 'a' occurs twice, first in line 1"),
    text("a duplicate key inside", "a:\n  b: 1\n  'b': 2\n", ", line 3, column 3: the key 'b' occurs twice, first in line 2"),
    text("an object", "method: !!python/object/apply:os.system ['touch pwned']\n",
         ", line 1, column 9: '!!python/object/apply:os.system' is not a supported tag: a recipe holds plain data only"),
    text("a set", "a: !!set {x, y}\n", ", line 1, column 4: '!!set' is not a supported tag: a recipe holds plain data only"),
    text("an anchor", "a: &x {b: 1}\n", ", line 1, column 4: anchors and aliases are not supported"),
    text("an alias", "a: 1\nb: *x\n", ", line 2, column 4: anchors and aliases are not supported"),
    text("a list for a key", "? [a]\n: 1\n", ", line 1, column 3: a key must be text"),
    text("two documents", "a: 1\n---\nb: 2\n", ", line 2, column 1: a second document begins; a recipe is a single document"),
    text("a control character", "a: 1\nb: \0\n", ", line 2, column 4: a control character; recipes are plain text"),
    text("a depth without end", "[" * 3000, ": blocks are nested too deeply"),
    text("an image", b"\x89PNG\xff", " is not a YAML file: it has bytes that are not UTF-8 text"),
    Case("an empty file", (), "recipe r.yaml is empty: a recipe is a mapping of blocks such as `method:`, `data:`, `losses:`",
         "", {"r.yaml": "# nothing\n"}),
    Case("a list", (), "recipe r.yaml holds [a]: a recipe is a mapping of blocks such as `method:`, `data:`, `losses:`",
         "", {"r.yaml": "- a\n"}),
]  # fmt: skip


def plugin(name: str, content: str, message: str) -> Case:
    return Case(name, ("plugins=[bad.py]",), f"plugins.0  {message}", files={"bad.py": content})


_REGISTERS = "plugin bad.py registers generator 'tiny': "
PLUGINS = [
    plugin("an import that fails", f"{HEAD}import nothing_here\n",
           "plugin bad.py cannot be imported: ModuleNotFoundError: No module named 'nothing_here' (bad.py, line 5)"),
    plugin("a syntax error", "x =\n", "plugin bad.py cannot be imported: SyntaxError: invalid syntax (bad.py, line 1)"),
    plugin("a plugin that ends the program", "raise SystemExit(3)\n",
           "plugin bad.py cannot be imported: SystemExit: 3 (bad.py, line 1)"),
    plugin("no register", "x = 1\n", "plugin bad.py registers nothing: "
           "define `register(registry)` in it, decorated with `@translate_core.hookimpl`"),
    plugin("a register without decorator", "def register(registry): pass\n", "plugin bad.py has a function `register` "
           "that lacks the decorator: put `@translate_core.hookimpl` above it"),
    plugin("a register of other arguments", f"{HEAD}@hookimpl\ndef register(reg): pass\n",
           "plugin bad.py: its `register` must take one argument, called `registry`"),
    plugin("a register without arguments", f"{HEAD}@hookimpl\ndef register(): pass\n",
           "plugin bad.py: its `register` must take one argument, called `registry`"),
    plugin("a contract of a later version", "from translate_core import hookimpl\n@hookimpl(contract=7)\n"
           "def register(registry, session): pass\n", "plugin bad.py was written for version 7 of the contract between "
           f"plugins and translate, and this installation, translate {VERSION}, has version {CONTRACT}: translate is the "
           "older of the two; upgrade translate"),
    plugin("a contract that is none", "from translate_core import hookimpl\n@hookimpl(contract=0)\n"
           "def register(registry): pass\n", "plugin bad.py cannot be imported: ValueError: contract must be a whole "
           f"number of at least 1, such as {CONTRACT}, not 0 (bad.py, line 2)"),
    plugin("a public name that is not there", "from translate_core import Losses\n",
           "plugin bad.py cannot be imported: ImportError: cannot import name 'Losses' from 'translate_core' "
           f"({translate_core.__file__}) (bad.py, line 1). The plugin may have been written for another version of the "
           f"contract; this installation, translate {VERSION}, has version {CONTRACT}"),
    plugin("a register that raises", f"{HEAD}@hookimpl\ndef register(registry):\n    raise KeyError('x')\n",
           "plugin bad.py failed in its `register`: KeyError: 'x' (bad.py, line 7)"),
    plugin("a name of ours", registering(TINY.format(""), "registry.generator('resnet', Tiny)"),
           f"plugin bad.py registers generator 'resnet', but plugin translate {VERSION} has already registered a generator "
           "of that name; one of the two must take another name"),
    plugin("options without end", tiny(", **options: int"),
           _REGISTERS + "`**options` in its signature accepts anything; name every option"),
    plugin("an option without type", tiny(", width=3"), _REGISTERS + "its option 'width' has no type annotation"),
    plugin("an option of the engine's", tiny(", init: str = ''"),
           _REGISTERS + "its option 'init' must be renamed, that key belongs to the engine"),
    plugin("an option that no YAML holds", tiny(", dtype: torch.dtype = torch.float32"),
           _REGISTERS + "its option 'dtype' cannot be written in a recipe, for its type has dtype in it; use numbers, "
           "text, bool, Literal, Length, lists, tuples and dicts of these, or a dataclass or a Factory that stands by itself"),
    plugin("a default of another type", tiny(", width: int = 0.5"),
           _REGISTERS + "the default of its option 'width' must be a whole number, not 0.5"),
    plugin("a factory of no kind", tiny(", head: Factory[nn.Module] = nn.Identity"),
           _REGISTERS + "its option 'head' asks for a Factory[Module], and no kind of component has that contract. "
           "There are: Method, Loss, Dataset, Pool, Metric, Schedule, Observer"),
    plugin("no network", registering("class Tiny: pass\n", "registry.generator('tiny', Tiny)"),
           _REGISTERS + "it must be a subclass of torch.nn.modules.module.Module"),
    plugin("a network without channels", registering("class Tiny(nn.Module): pass\n", "registry.generator('tiny', Tiny)"),
           _REGISTERS + "it must accept `in_channels`, `out_channels`, which the engine supplies"),
    plugin("an abstract pool", registering("class P(Pool): pass\n", "registry.pool('p', P)"),
           "plugin bad.py registers pool 'p': it does not define query"),
    plugin("an abstract metric", registering("class M(Metric): pass\n", "registry.metric('m', M)"),
           "plugin bad.py registers metric 'm': it does not define compute, update"),
    plugin("a method without networks", registering("class M(Method): pass\n", "registry.method('m', M)"),
           "plugin bad.py registers method 'm': it must name its networks in `roles`"),
    plugin("a method with a table that leads nowhere",
           registering("class M(Method):\n    roles = (generator('G', 'A', 'B'),)\n    order = (GENERATORS,)\n"
                       "    directions = {'A-B': Direction('A', 'B')}\n", "registry.method('m', M)"),
           "plugin bad.py registers method 'm': one of its tables names the tensor 'fake_B', which it does not have. "
           "It has: real_A, real_B"),
    Case("a missing file", ("plugins=[bda.py]",), "plugins.0  there is no file bda.py, did you mean 'bad.py'?",
         files={"bad.py": "x = 1\n"}),
    case("a missing module", "plugins=[no_such_module]",
         "plugins.0  there is no module 'no_such_module' to import; install the package that holds it, "
         "or name a .py file beside the recipe"),
    case("an installed one listed", "plugins=[translate_plugins.builtin]",
         "plugins.0  plugin 'translate_plugins.builtin' is loaded already; every plugin is listed once, an installed one never"),
    Case("a file twice", ("plugins=[bad.py, ./bad.py]",),
         "plugins.1  plugin './bad.py' is loaded already; every plugin is listed once, an installed one never",
         files={"bad.py": tiny("")}),
    Case("two of one name", ("plugins=[bad.py, worse.py]",),
         "plugins.1  plugin worse.py registers generator 'tiny', but plugin bad.py has already registered a generator of "
         "that name; one of the two must take another name", files={"bad.py": tiny(""), "worse.py": tiny("")}),
    Case("a component of the plugin that failed", ("plugins=[bad.py]", "generator={type: tiny}"),
         f"generator.type  there is no generator 'tiny'. There are: {GENERATORS}; a plugin that failed to load may register it\n"
         "plugins.0       plugin bad.py cannot be imported: ZeroDivisionError: division by zero (bad.py, line 1)",
         files={"bad.py": "1 / 0\n"}),
]  # fmt: skip


def broken_loss(name: str, body: str, message: str) -> Case:
    """A loss of a plugin whose equations fail in the rehearsal; `body` is line 9."""
    content = registering(
        "CONSTANT = torch.zeros(3, 24, 24)\nclass L(Loss):\n    def generator_loss(self, tensors):\n"
        f"        x, y = tensors['fake_B'], tensors['real_B']\n        {body}\n", "registry.loss('l', L)",
    )  # fmt: skip
    return Case(name, ("plugins=[bad.py]", "losses.l={type: l}"), f"losses.l  {message}", files={"bad.py": content})


_READS = (
    "reads the value of a tensor, so every step would wait for the device: use tensor operations in place of .item(), "
    "float(), .cpu(), `if` and masks as indices (bad.py, line 9)"
)
EQUATIONS = [
    broken_loss("a value read", "return {'x': x.mean() * x.mean().item()}", _READS),
    broken_loss("a branch on a value", "return {'x': x.mean() if x.mean() > 0 else y.mean()}", _READS),
    broken_loss("a mask as index", "return {'x': x[x > 0].mean()}", _READS),
    broken_loss("a tensor left on the CPU", "return {'x': (x - CONSTANT).mean()}",
                "uses a tensor that stays on the CPU: register it as a buffer, or make it on images.device (bad.py, line 9)"),
    broken_loss("an operator without a rehearsal", "return {'x': torch.unique(x).mean()}",
                "uses the operator aten::_unique2, which torch cannot compute without values: write it with others, "
                "or give it a fake implementation (torch.library.register_fake) (bad.py, line 9)"),
    broken_loss("a broadcast by mistake", "return {'x': nn.functional.l1_loss(x[:, :1], y)}",
                "compares tensors of different shapes, 1×1×24×24 and 1×3×24×24 (bad.py, line 9)"),
    broken_loss("a tensor that is misspelt", "return {'x': tensors['fake_b'].mean()}",
                "the method has no tensor 'fake_b', did you mean 'fake_B'? It has: " + TENSORS),
    broken_loss("a network that is not there", "return {'x': tensors.network('G')(x).mean()}",
                "the method has no network 'G'. It has: G_AB, G_BA, D_A, D_B"),
    broken_loss("an attribute that is not there", "return {'x': tensors.fake_C.mean()}",
                "failed: AttributeError: CycleGAN has no network, tensor or attribute 'fake_C' (bad.py, line 9)"),
    broken_loss("no names", "return x.mean()", "must return named scalars, such as {'rec_A': tensor(0.5)}, not Tensor"),
    broken_loss("no scalars", "return {'x': x}", "must return named scalars, such as {'rec_A': tensor(0.5)}, "
                "not {'x': 'a tensor of shape (1, 3, 24, 24)'}"),
    Case("losses that train nothing", ("plugins=[bad.py]", "losses={l: {type: l}}"),
         "losses  none of them trains G_AB, G_BA, which this run needs: add one that depends on it",
         files={"bad.py": registering("class L(Loss):\n    def generator_loss(self, tensors):\n"
                                      "        return {'x': tensors['fake_B'].detach().mean()}\n", "registry.loss('l', L)")}),
    Case("no pairs", ("plugins=[bad.py]", "method={type: bare}", "losses={cycle: {type: cycle}}", "discriminator=null"),
         "losses.cycle  method Bare has no pairs 'cycle'. It has none. "
         "Or give `pairs`, such as {rec_A: real_A}, of these tensors: real_A, real_B, fake_B",
         files={"bad.py": BARE}),
]  # fmt: skip

ALL = {
    "keys": KEYS, "values": VALUES, "components": COMPONENTS, "game": GAME, "overrides": OVERRIDES, "files": FILES,
    "plugins": PLUGINS, "equations": EQUATIONS,
}  # fmt: skip


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """The exit status and what went to stderr, less the news of images being decoded."""
    status = main(arguments)
    error = re.sub(r"^decoding data set .*\n", "", capsys.readouterr().err, flags=re.MULTILINE)
    return status, error


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folders(tmp_path_factory.mktemp("images") / "data")


@pytest.fixture
def place(tmp_path: Path, images: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a good recipe and its images."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "r.yaml").write_text(RECIPE)
    (tmp_path / "data").symlink_to(images)
    return tmp_path


@pytest.mark.parametrize(
    "wrong", [pytest.param(item, id=f"{group}: {item.name}") for group, items in ALL.items() for item in items]
)
def test_recipe(wrong: Case, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, content in wrong.files.items():
        (place / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    before = sorted(item.name for item in place.iterdir())
    sets = [argument for override in wrong.overrides for argument in ("--set", override)]
    assert said(capsys, "r.yaml", *sets) == (2, wrong.message)
    assert sorted(item.name for item in place.iterdir() if item.name != "__pycache__") == before


def test_the_recipe_that_is_varied_is_good(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "r.yaml", "--dry-run") == (0, "")


def test_the_table_is_long_enough() -> None:
    cases = [item for items in ALL.values() for item in items]
    assert len(cases) >= 100
    assert len({(item.overrides, item.message, str(item.files)) for item in cases}) == len(cases)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("missing.yaml", "there is no file missing.yaml"),
        ("R.yaml", "there is no file R.yaml, did you mean 'r.yaml'?"),
        ("data", "data is a folder, not a file"),
    ],
)
def test_no_recipe(path: str, message: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, path) == (2, f"translate-run: {message}\n")


# Weights


class Opens:
    """Unpickling it leaves a file behind."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str, str]]:
        return open, ("pwned", "w")


def _objects(path: Path) -> None:
    torch.save({"model": Opens()}, path)


def _bare_pickle(path: Path) -> None:
    path.write_bytes(pickle.dumps(Opens()))


def _truncated(path: Path) -> None:
    torch.save(ResNet(3, 3, blocks=1, width=4).state_dict(), path)
    path.write_bytes(path.read_bytes()[:3000])


def _of_another_layout(path: Path) -> None:
    torch.save({"model.1.weight": torch.zeros(3, 3), "head": torch.zeros(2)}, path)


def _of_grey_images(path: Path) -> None:
    torch.save(ResNet(1, 1, blocks=1, width=4).state_dict(), path)


_OPTIONS = ". The options of the network (blocks, width, norm, dropout …) must be those that it was trained with"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "there is no file w.pth"),
        (Path.mkdir, "w.pth is a folder, not a file"),
        (_objects, "w.pth holds Python objects beside tensors; it is refused, for loading it could run code"),
        (_bare_pickle, "w.pth holds Python objects beside tensors; it is refused, for loading it could run code"),
        (_truncated, "w.pth is no file of weights, or it is damaged"),
        (lambda path: path.write_bytes(b""), "w.pth is no file of weights, or it is damaged"),
        (lambda path: path.write_bytes(b"abc"), "w.pth is no file of weights, or it is damaged"),
        (
            lambda path: torch.save([1, 2], path),
            "w.pth is no state_dict: it must map names to tensors, and nothing else",
        ),
        (
            _of_another_layout,
            "w.pth does not fit G_AB: of 16 tensors, 15 missing (model.1.bias, model.4.weight, model.4.bias, …); "
            "1 not in the network (head); 1 of another shape (model.1.weight: 3×3 in the file, 4×3×7×7 in the network)"
            + _OPTIONS,
        ),
        (
            _of_grey_images,
            "w.pth does not fit G_AB: of 16 tensors, 3 of another shape (model.1.weight: 4×1×7×7 in the file, 4×3×7×7 "
            "in the network, model.18.weight: 1×4×7×7 in the file, 3×4×7×7 in the network, model.18.bias: 1 in the file, "
            "3 in the network)" + _OPTIONS,
        ),
    ],
    ids=[
        "missing",
        "a folder",
        "objects",
        "a bare pickle",
        "truncated",
        "empty",
        "junk",
        "a list",
        "another layout",
        "other channels",
    ],
)
def test_weights(make: Callable[[Path], object], message: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make(place / "w.pth")
    faults = f"recipe r.yaml has 1 fault\n  networks.G_AB.init_from  {message}"
    assert said(capsys, "r.yaml", "--set", "networks={G_AB: {init_from: w.pth}}") == (2, f"translate-run: {faults}\n")
    assert not (place / "pwned").exists()


def test_weights_shared_by_two_roles_are_told_once(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    expected = "translate-run: recipe r.yaml has 1 fault\n  generator.init_from  there is no file w.pth\n"
    assert said(capsys, "r.yaml", "--set", "generator.init_from=w.pth") == (2, expected)


# Data


def _without_train_b(root: Path) -> None:
    shutil.rmtree(root / "trainB")


def _with_an_empty_folder(root: Path) -> None:
    for file in (root / "trainB").iterdir():
        file.unlink()


def _with_broken_images(root: Path) -> None:
    (root / "trainA" / "1.png").write_bytes(b"no image")
    (root / "testB" / "0.png").write_bytes(b"")


@pytest.mark.parametrize(
    ("make", "messages"),
    [
        (
            shutil.rmtree,
            [
                "mine  does not exist. The current folder is {here}. "
                "Set data.root to the folder that holds trainA and trainB, or set data.download"
            ],
        ),
        (_without_train_b, ["mine/trainB  does not exist. mine holds: testA, testB, trainA"]),
        (
            _with_an_empty_folder,
            ["mine/trainB  holds no images; it needs jpg, jpeg, png, webp, bmp, tif or tiff files"],
        ),
        (
            _with_broken_images,
            [
                "mine/trainA/1.png  is not an image, or of a format that Pillow cannot read",
                "mine/testB/0.png   is empty (0 bytes)",
            ],
        ),
    ],
    ids=["missing", "no trainB", "an empty folder", "unreadable images"],
)
def test_data(
    make: Callable[[Path], object],
    messages: list[str],
    images: Path,
    place: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copytree(images, place / "mine")
    make(place / "mine")
    faults = indented("\n".join(messages)).format(here=place)
    expected = f"translate-run: data set mine has {len(messages)} fault{'s' if len(messages) > 1 else ''}\n{faults}\n"
    assert said(capsys, "r.yaml", "--set", "data.root=mine") == (2, expected)
    assert not (place / "runs").exists()


# Run folders and checkpoints


@pytest.fixture(scope="module")
def trained(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of six steps with checkpoints of the steps 2, 4 and 6."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        Path("r.yaml").write_text(RECIPE)
        Path("data").symlink_to(images)
        assert main(["r.yaml", "--out", "run"]) == 0
    return folder / "run"


@pytest.fixture
def run(trained: Path, place: Path) -> Path:
    """A copy of that run, beside the recipe."""
    shutil.copytree(trained, place / "run")
    return place / "run"


def _contents(run: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in run.rglob("*") if path.is_file() and path.name != ".lock"}


_DAMAGED = "is damaged: its SHA-256 is not the one noted beside it. It is now step-{0}.pt.damaged"


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _truncate(path: Path) -> None:
    os.truncate(path, 1000)


@pytest.mark.parametrize("damage", [_flip, _truncate, _bare_pickle], ids=["a flipped bit", "truncated", "a pickle"])
def test_the_checkpoint_before_a_damaged_one_is_used(
    damage: Callable[[Path], None], run: Path, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damage(run / "checkpoints" / "step-6.pt")
    status, error = said(capsys, "r.yaml", "--out", "run")
    assert status == 0
    assert error.splitlines() == [
        f"warning: run/checkpoints/step-6.pt {_DAMAGED.format(6)}; the one before it is used",
        "going on with run after step 4 of 6",
        "done: run",
    ]
    assert not (place / "pwned").exists()


def test_no_checkpoint_is_whole(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for step in (2, 4, 6):
        _truncate(run / "checkpoints" / f"step-{step}.pt")
    gone = (
        "translate-run: no checkpoint in run/checkpoints is whole (step-2.pt.damaged, step-4.pt.damaged, "
        "step-6.pt.damaged); to start again from nothing, add --fresh (the old run is moved aside)\n"
    )
    status, error = said(capsys, "r.yaml", "--out", "run")
    assert status == 2
    assert error == (
        f"warning: run/checkpoints/step-6.pt {_DAMAGED.format(6)}; the one before it is used\n"
        f"warning: run/checkpoints/step-4.pt {_DAMAGED.format(4)}; the one before it is used\n"
        f"warning: run/checkpoints/step-2.pt {_DAMAGED.format(2)}\n{gone}"
    )
    # The next start must not take the folder for a run that has not begun.
    assert said(capsys, "r.yaml", "--out", "run") == (2, gone)


def test_a_pickle_with_its_digest_is_refused(run: Path, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = run / "checkpoints" / "step-6.pt"
    _bare_pickle(path)
    path.with_name("step-6.pt.sha256").write_text(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  step-6.pt\n")
    assert said(capsys, "r.yaml", "--out", "run") == (
        2,
        "translate-run: run/checkpoints/step-6.pt is refused: it is no checkpoint of ours, which hold tensors and plain "
        "data only; loading anything else could run code. Remove it to go on from the one before, or start again with "
        "--fresh\n",
    )
    assert not (place / "pwned").exists()


@pytest.mark.parametrize(
    ("overrides", "differences"),
    [
        (
            ("generator.width=8", "losses.identity.weight=0", "optimizer.lr=1e-3"),
            ["generator.width: 4 there, 8 now", "losses.identity.weight: 5.0 there, 0.0 now",
             "optimizer.lr: 0.0002 there, 0.001 now"],
        ),
        (("training.length=4 steps",), ["training.length: 6 steps there, 4 steps now (it may only grow)"]),
        (("losses.identity=null",),
         ['losses.identity.type: "identity" there, absent now', "losses.identity.weight: 5.0 there, absent now",
          'losses.identity.distance: "l1" there, absent now', 'losses.identity.pairs: "identity" there, absent now']),
    ],
    ids=["other values", "a shorter run", "a block less"],
)  # fmt: skip
def test_a_run_of_another_recipe(
    overrides: tuple[str, ...], differences: list[str], run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = _contents(run)
    sets = [argument for override in overrides for argument in ("--set", override)]
    assert said(capsys, "r.yaml", "--out", "run", *sets) == (
        2,
        "translate-run: run holds a run of another recipe:\n" + indented("\n".join(differences)) + "\n"
        "Choose another folder with --out, or start again here with --fresh (the old run is moved aside)\n",
    )
    assert _contents(run) == before


def test_a_folder_of_something_else(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "thesis").mkdir()
    (place / "thesis" / "chapter.tex").write_text("…")
    expected = "translate-run: thesis is not empty and holds no run (chapter.tex); choose another --out\n"
    assert said(capsys, "r.yaml", "--out", "thesis") == (2, expected)
    assert os.listdir(place / "thesis") == ["chapter.tex"]


def test_a_file_for_a_folder(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "r.yaml", "--out", "r.yaml") == (2, "translate-run: r.yaml cannot be used: Not a directory\n")
    assert (place / "r.yaml").read_text() == RECIPE


def test_a_second_process_in_the_folder(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hold = (
        "from pathlib import Path\n"
        "from translate_core.storage.run_folder import RunFolder\n"
        "with RunFolder(Path('run')).locked():\n"
        "    print('held', flush=True)\n"
        "    input()\n"
    )
    with subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        expected = "translate-run: another process is at work in run; wait for it, or choose another --out\n"
        assert said(capsys, "r.yaml", "--out", "run") == (2, expected)
        other.communicate(b"\n")


@pytest.mark.skipif(torch.cuda.is_available() or torch.backends.mps.is_available(), reason="there is a GPU here")
def test_a_device_that_is_not_there(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    expected = (
        f"translate-run: there is no device 'cuda' here, or this build of torch ({torch.__version__}) cannot use it. "
        f"There is: cpu\n"
    )
    assert said(capsys, "r.yaml", "--device", "cuda") == (2, expected)


# As a person starts it


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "training.lenght=1"], KEYS[3].message),
        (["--set", "losses.cycle.pairs={rec_a: real_A}"], "decoding data set data (16 files)\n" + GAME[5].message),
        (["--set", "data.root=nowhere"], "translate-run: data set nowhere has 1 fault\n"
         "  nowhere  does not exist. The current folder is {here}. "
         "Set data.root to the folder that holds trainA and trainB, or set data.download\n"),
        (["--set", "plugins=[bad.py]"], "translate-run: recipe r.yaml has 1 fault\n  plugins.0  plugin bad.py cannot be "
         "imported: ZeroDivisionError: division by zero (bad.py, line 1)\n"),
    ],
    ids=["unknown key", "unknown tensor", "no data", "broken plugin"],
)  # fmt: skip
def test_as_a_process(arguments: list[str], message: str, place: Path) -> None:
    (place / "bad.py").write_text("1 / 0\n")
    done = subprocess.run(
        [sys.executable, "-m", "translate_core.run", "r.yaml", *arguments], capture_output=True, text=True, check=False
    )
    assert done.stderr == message.format(here=place)
    assert "Traceback" not in done.stderr
    assert (done.returncode, done.stdout) == (2, "")

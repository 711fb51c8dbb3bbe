"""Faults of plugins and of a plugin's losses: the exact messages of the command."""

# ruff: noqa: E501 - a message stands on one line, as the user reads it

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable

import pytest

import translate_core
from tests.recipe.faults import BARE, GENERATORS, HEAD, TENSORS, TINY, Case, case, registering, tiny
from translate_core import CONTRACT

VERSION = importlib.metadata.version("translate-core")


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
    plugin("a register with other arguments", f"{HEAD}@hookimpl\ndef register(reg): pass\n",
           "plugin bad.py: its `register` must have one parameter, named `registry`"),
    plugin("a register without arguments", f"{HEAD}@hookimpl\ndef register(): pass\n",
           "plugin bad.py: its `register` must have one parameter, named `registry`"),
    plugin("a contract of a later version", "from translate_core import hookimpl\n@hookimpl(contract=7)\n"
           "def register(registry, session): pass\n", "plugin bad.py was written for version 7 of the contract between "
           f"plugins and translate-core, but this installation, translate-core {VERSION}, has version {CONTRACT}: "
           "upgrade translate-core"),
    plugin("a contract that is not a version", "from translate_core import hookimpl\n@hookimpl(contract=0)\n"
           "def register(registry): pass\n", "plugin bad.py cannot be imported: ValueError: contract must be a whole "
           f"number of at least 1, such as {CONTRACT}, not 0 (bad.py, line 2)"),
    plugin("a public name that does not exist", "from translate_core import Losses\n",
           "plugin bad.py cannot be imported: ImportError: cannot import name 'Losses' from 'translate_core' "
           f"({translate_core.__file__}) (bad.py, line 1). The plugin may have been written for another version of the "
           f"contract; this installation, translate-core {VERSION}, has version {CONTRACT}"),
    plugin("a register that raises", f"{HEAD}@hookimpl\ndef register(registry):\n    raise KeyError('x')\n",
           "plugin bad.py failed in its `register`: KeyError: 'x' (bad.py, line 7)"),
    plugin("a name of ours", registering(TINY.format(""), "registry.generator('resnet', Tiny)"),
           f"plugin bad.py registers generator 'resnet', but plugin translate-core {VERSION} has already registered a generator "
           "of that name; one of the two must be renamed"),
    plugin("options that accept anything", tiny(", **options: int"),
           _REGISTERS + "`**options` in its signature accepts any argument; declare every option by name"),
    plugin("an option without annotation", tiny(", width=3"), _REGISTERS + "its option 'width' has no type annotation"),
    plugin("an option of the engine's", tiny(", init: str = ''"),
           _REGISTERS + "its option 'init' must be renamed, because the engine uses that key"),
    plugin("an option that YAML cannot hold", tiny(", dtype: torch.dtype = torch.float32"),
           _REGISTERS + "its option 'dtype' cannot be written in a recipe, because its type contains dtype; use numbers, "
           "text, bool, Literal, Length, lists, tuples and dicts of these, a dataclass or a Factory"),
    plugin("a default of another type", tiny(", width: int = 0.5"),
           _REGISTERS + "the default of its option 'width' must be a whole number, not 0.5"),
    plugin("a factory of a contract without kind", tiny(", head: Factory[nn.Module] = nn.Identity"),
           _REGISTERS + "its option 'head' is a Factory[Module], and no kind of component has that contract. "
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
           "plugin bad.py registers method 'm': it must declare its networks in `roles`"),
    plugin("a method with an unknown tensor in a table",
           registering("class M(Method):\n    roles = (generator('G', 'A', 'B'),)\n    order = (GENERATORS,)\n"
                       "    directions = {'A-B': Direction('A', 'B')}\n", "registry.method('m', M)"),
           "plugin bad.py registers method 'm': one of its tables has the tensor 'fake_B', which it does not define. "
           "It has: real_A, real_B"),
    Case("a missing file", ("plugins=[bda.py]",), "plugins.0  there is no file bda.py, did you mean 'bad.py'?",
         files={"bad.py": "x = 1\n"}),
    case("a missing module", "plugins=[no_such_module]",
         "plugins.0  there is no module 'no_such_module'; install its package, "
         "or name a .py file beside the recipe"),
    case("an installed one listed", "plugins=[translate_plugins.builtin]",
         "plugins.0  plugin 'translate_plugins.builtin' is already loaded; list each plugin once, and installed plugins not at all"),
    Case("a file twice", ("plugins=[bad.py, ./bad.py]",),
         "plugins.1  plugin './bad.py' is already loaded; list each plugin once, and installed plugins not at all",
         files={"bad.py": tiny("")}),
    Case("two of one name", ("plugins=[bad.py, worse.py]",),
         "plugins.1  plugin worse.py registers generator 'tiny', but plugin bad.py has already registered a generator of "
         "that name; one of the two must be renamed", files={"bad.py": tiny(""), "worse.py": tiny("")}),
    Case("a component of the plugin that failed", ("plugins=[bad.py]", "generator={type: tiny}"),
         f"generator.type  there is no generator 'tiny'. There are: {GENERATORS}; a plugin that failed to load may register it\n"
         "plugins.0       plugin bad.py cannot be imported: ZeroDivisionError: division by zero (bad.py, line 1)",
         files={"bad.py": "1 / 0\n"}),
]  # fmt: skip


def broken_loss(name: str, body: str, message: str) -> Case:
    """A loss of a plugin that fails in the shape check; `body` is line 9."""
    content = registering(
        "CONSTANT = torch.zeros(3, 24, 24)\nclass L(Loss):\n    def generator_loss(self, tensors):\n"
        f"        x, y = tensors['fake_B'], tensors['real_B']\n        {body}\n",
        "registry.loss('l', L)",
    )
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
    broken_loss("an operator without a meta implementation", "return {'x': torch.unique(x).mean()}",
                "uses the operator aten::_unique2, which torch cannot compute without values: replace it by others, "
                "or give it a fake implementation (torch.library.register_fake) (bad.py, line 9)"),
    broken_loss("a broadcast by mistake", "return {'x': nn.functional.l1_loss(x[:, :1], y)}",
                "compares tensors of different shapes, 1×1×24×24 and 1×3×24×24 (bad.py, line 9)"),
    broken_loss("a misspelt tensor", "return {'x': tensors['fake_b'].mean()}",
                "the method has no tensor 'fake_b', did you mean 'fake_B'? It has: " + TENSORS),
    broken_loss("a network that does not exist", "return {'x': tensors.network('G')(x).mean()}",
                "the method has no network 'G'. It has: G_AB, G_BA, D_A, D_B"),
    broken_loss("an attribute that does not exist", "return {'x': tensors.fake_C.mean()}",
                "failed: AttributeError: CycleGAN has no network, tensor or attribute 'fake_C' (bad.py, line 9)"),
    broken_loss("no names", "return x.mean()", "L (bad.py) must return named scalars, such as {'rec_A': tensor(0.5)}, not Tensor"),
    broken_loss("no scalars", "return {'x': x}", "L (bad.py) must return named scalars, such as {'rec_A': tensor(0.5)}, "
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

ALL = {"plugins": PLUGINS, "equations": EQUATIONS}


@pytest.mark.parametrize(
    "wrong", [pytest.param(item, id=f"{group}: {item.name}") for group, items in ALL.items() for item in items]
)
def test_plugin(wrong: Case, check: Callable[[Case], None]) -> None:
    check(wrong)


def test_the_table_is_complete() -> None:
    cases = [item for items in ALL.values() for item in items]
    assert len(cases) >= 40
    assert len({(item.overrides, item.message, str(item.files)) for item in cases}) == len(cases)

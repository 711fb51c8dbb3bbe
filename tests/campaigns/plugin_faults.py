"""Plugins that raise or return nonsense at every place where the engine calls them."""

from __future__ import annotations

import copy
import json
import random
import re
from collections.abc import Container, Iterator
from pathlib import Path
from typing import Any

from PIL import Image

from tests.campaigns.rule import DONE, FAULT, Campaign, Ended, Outcome, called, half_written, outcome
from translate_core.commands.apply import main as apply
from translate_core.commands.run import main as run

SOURCE = (Path(__file__).parent / "faulty_plugin.py").read_text("utf-8")

RAISED = {
    "ValueError": 'raise ValueError("oh")',
    "KeyError": 'raise KeyError("oh")',
    "TypeError": "len(5)",
    "AttributeError": "None.nothing",
    "ZeroDivisionError": "1 / 0",
    "NotImplementedError": "raise NotImplementedError",
    "AssertionError": "assert False",
    "StopIteration": "raise StopIteration",
    "StopAsyncIteration": "raise StopAsyncIteration",
    "GeneratorExit": "raise GeneratorExit",
    "KeyboardInterrupt": "raise KeyboardInterrupt",
    "SystemExit": "sys.exit(0)",
    "SystemExit of text": 'sys.exit("bye")',
    "SystemExit that cannot be printed": "raise Quits(0)",
    "BaseException": 'raise BaseException("oh")',
    "CancelledError": "raise asyncio.CancelledError",
    "RecursionError": "return _fault(value)",
    "OSError": 'raise OSError(5, "Input/output error", "x.png")',
    "OSError without a number": 'raise OSError("oh")',
    "FileNotFoundError": 'open("/nowhere/at/all")',
    "PermissionError": 'raise PermissionError(13, "Permission denied")',
    "BrokenPipeError": 'raise BrokenPipeError(32, "Broken pipe")',
    "a full disk": 'raise OSError(28, "No space left on device", "x.png")',
    "MemoryError": "raise MemoryError",
    "out of memory": 'raise RuntimeError("CUDA out of memory")',
    "UnicodeDecodeError": 'b"\\xff".decode()',
    "SyntaxError": 'compile("1 +", "x.py", "exec")',
    "ImportError": "import a_module_that_does_not_exist",
    "a warning": 'raise UserWarning("oh")',
    "a group": 'raise ExceptionGroup("oh", [ValueError("one"), KeyError("two")])',
    "an exception that cannot be printed": "raise UnprintableError",
    "an exception that cannot be copied": "raise DemandingError(1, 2)",
    "a huge message": 'raise RuntimeError("oh " * 1_000_000)',
    "many lines": 'raise RuntimeError("oh\\n" * 100_000)',
    "control characters": 'raise RuntimeError("oh \\x1b[2J \\x00 \\udcff [bold] {}")',
    "a chain": 'raise RuntimeError("oh") from ValueError("cause")',
    "shapes": "torch.ones(2, 3) @ torch.ones(2, 3)",
}
"""What a place may raise, as the body of a function."""

RETURNED = {
    "None": "None",
    "text": '"low"',
    "empty text": '""',
    "bytes": 'b"x"',
    "true": "True",
    "0": "0",
    "-1": "-1",
    "1e308": "1e308",
    "a whole number without end": "10**400",
    "NaN": "math.nan",
    "infinity": "math.inf",
    "complex": "1j",
    "an empty list": "[]",
    "an empty dict": "{}",
    "a dict of numbers": "{1: 2}",
    "a dict of None": "{None: None}",
    "a nested list": "[[[]]]",
    "an object": "object()",
    "a hostile object": "Hostile()",
    "a function": "lambda *_: None",
    "a class": "int",
    "a generator": "(x for x in [value])",
    "long text": '"x" * 1_000_000',
    "odd text": '"\\x1b[2J\\x00\\udcff/../."',
    "itself in a list": "[value]",
    "an empty tensor": "torch.empty(0)",
    "a 0-d tensor": "torch.tensor(1.0)",
    "a tensor of NaN": "value * math.nan if isinstance(value, torch.Tensor) else torch.tensor(math.nan)",
    "a narrower tensor": "value[..., :-1] if isinstance(value, torch.Tensor) and value.dim() else torch.ones(1)",
    "float64": "value.double() if isinstance(value, torch.Tensor) else torch.ones(2).double()",
    "int64": "value.long() if isinstance(value, torch.Tensor) else torch.ones(2).long()",
    "a detached tensor": "value.detach() if isinstance(value, torch.Tensor) else torch.ones(2)",
    "a meta tensor": 'value.to("meta") if isinstance(value, torch.Tensor) else torch.ones(2, device="meta")',
}
"""What a place may return, as an expression of the right value."""

LOSSES = {"adversarial": {"type": "lsgan"}, "cycle": {"type": "cycle", "weight": 10}}
RECIPE: dict[str, Any] = {
    "method": {"type": "cyclegan"},
    "data": {"type": "synthetic", "size": 16, "train": 4, "test": 2},
    "generator": {"type": "resnet", "blocks": 1, "width": 4},
    "discriminator": {"type": "patchgan", "layers": 1, "width": 4},
    "losses": LOSSES,
    "optimizer": {"type": "adam"},
    "training": {
        "length": "4 steps",
        "workers": 0,
        "samples": 1,
        "log_every": "1 steps",
        "checkpoint_every": "2 steps",
        "sample_every": "2 steps",
        "evaluate_every": "3 steps",
    },
    "observers": {"progress": None, "tensorboard": None},
    "plugins": ["faulty.py"],
}
MINE = {"type": "mine"}
TONED = {"method": MINE, "networks": {"T": MINE}}
CUT = {
    "method": {"type": "cut", "taps": ["image", "block1"]},
    "head": MINE,
    "losses": {"adversarial": {"type": "lsgan"}, "nce": {"type": "patch_nce"}},
}
BLOCKS: dict[str, dict[str, Any]] = {
    "generator": {"generator": MINE},
    "discriminator": {"discriminator": MINE},
    "head": CUT,
    "network": TONED,
    "method": TONED,
    "loss": {"losses": {**LOSSES, "own": MINE}},
    "adversarial": {"losses": {**LOSSES, "adversarial": {"type": "mine_adversarial"}}},
    "pool": {"losses": {**LOSSES, "adversarial": {"type": "lsgan", "pool": MINE}}},
    "metric": {"metrics": {"own": MINE}},
    "sets": {"metrics": {"own": {"type": "mine_sets"}}},
    "observer": {"observers": {"progress": None, "tensorboard": None, "own": MINE}},
    "schedule": {"schedule": MINE},
    "optimizer": {"optimizer": MINE},
    "dataset": {"data": MINE},
    "train": {"data": MINE},
    "test": {"data": MINE, "metrics": {"own": {"type": "psnr"}}},
    "init": {"generator": {"type": "resnet", "blocks": 1, "width": 4, "init": MINE}},
    "plugin": {"generator": MINE, "optimizer": MINE, "losses": {**LOSSES, "own": MINE}},
}
"""By the first word of a place, the blocks of the recipe that use it."""

PLACES = tuple(
    sorted(
        {
            *re.findall(r'here\(f?"(\w+\.\w+)"', SOURCE),
            *(
                f"{kind}.{name}"
                for kind, names in re.findall(r'(?:watched|replaced)\(\s*(?:self, )?"(\w+)",([^)]*)\)', SOURCE)
                for name in re.findall(r'"(\w+)"', names)
            ),
        }
    )
)

MEMORY = ("MemoryError", "out of memory")
"""These are the machine's: the message has advice on memory."""

UNUSED = {
    "observer.on_": "events return nothing",
    "dataset.open": "returns nothing",
    "dataset.close": "returns nothing",
    "method.on": "returns nothing",
    "method.after_update": "returns nothing",
    "loss.prepare": "returns nothing",
    "adversarial.prepare": "returns nothing",
    "metric.update": "returns nothing",
    "schedule.after_epoch": "returns nothing",
    ".load_state_dict": "what it returns is not used",
    "pool.set_extra_state": "returns nothing",
    "optimizer.step": "what it returns is not used",
    "optimizer.zero_grad": "returns nothing",
    ".__init__": "returns nothing",
    "init.start": "returns nothing",
    "plugin.import": "has no value",
    "plugin.register": "returns nothing",
    "generator.train": "what it returns is not used",
    "generator.taps": "the method takes no features",
    "train.shuffled": "any value is true or false",
    "generator.features": "the method takes no features",
}
"""Part of a place -> why its value is harmless."""


class PluginFaults(Campaign):
    """A place, a call and a fault are drawn; the run is trained, continued and applied."""

    name = "plugin_faults"
    limit = 120.0

    def attempt(self, rng: random.Random, folder: Path) -> Outcome:
        """Trains with one fault."""
        place = rng.choice(PLACES)
        raises = rng.random() < 0.5
        fault = rng.choice(sorted(RAISED if raises else RETURNED))
        nth = rng.choice((1, 1, 1, 2, 3, 5, 9))
        body = RAISED[fault] if raises else f"return {RETURNED[fault]}"
        workers = 1 if place.startswith("train") and rng.random() < 0.2 else 0
        return self.fault(place, nth, body, folder, f"{place}, call {nth}: {fault}", workers, raises)

    def fault(
        self, place: str, nth: int, body: str, folder: Path, what: str, workers: int = 0, raises: bool = True
    ) -> Outcome:
        """One fault. body: of the function that fails. raises: whether status 0 breaks the rule."""
        reached = folder / "reached"
        values = f"PLACE, NTH, REACHED = {place!r}, {nth}, Path({str(reached)!r})"
        source = SOURCE.replace('PLACE, NTH, REACHED = "", 1, Path("reached")', values)
        source = source.replace("def _fault(value):\n    return value\n", f"def _fault(value):\n    {body}\n")
        (folder / "faulty.py").write_text(source)
        recipe = copy.deepcopy(RECIPE) | copy.deepcopy(BLOCKS[place.partition(".")[0]])
        recipe["training"]["workers"] = workers
        (folder / "recipe.yaml").write_text(json.dumps(recipe))
        ended: list[Ended] = []
        for item in self._commands(folder):
            ended.append(item)
            if item.status != DONE:
                break
        broken = [text for item in ended for text in item.broken()]
        if reached.exists():
            broken += self._blame(ended[-1], what, place, raises)
        else:
            what += " (not reached)"
            broken += ["a fault without a cause"] * (ended[-1].status != DONE)
        return outcome(what, ended, broken + half_written(folder))

    def _commands(self, folder: Path) -> Iterator[Ended]:
        arguments = [str(folder / "recipe.yaml"), "--out", str(folder / "run"), "--device", "cpu"]
        yield called("translate-run", run, arguments)
        yield called("translate-run", run, [*arguments, "--set", "training.length=6 steps"])
        picture = folder / "a.png"
        Image.new("RGB", (16, 16), (90, 20, 160)).save(picture)
        given = [str(folder / "run"), str(picture), "--out", str(folder / "translated"), "--device", "cpu"]
        yield called("translate-apply", apply, given)

    def _blame(self, last: Ended, what: str, place: str, raises: bool) -> Iterator[str]:
        """What is wrong with the message for a fault that happened."""
        fault = what.partition(": ")[2]
        if last.status == DONE:
            if raises or not any(part in place and fault in faults for part, faults in HARMLESS.items()):
                yield "status 0"
        elif last.status == FAULT and fault not in MEMORY and not DIVERGED.search(last.printed):
            if not NAMED.search(last.printed):
                yield "the message names neither plugin nor component"
            elif raises and fault not in PLACED and not re.search(r"faulty\.py, line \d+", last.printed):
                yield "the message names no line"


DIVERGED = re.compile(r"training has diverged.* It began with the loss", re.DOTALL)
NAMED = re.compile(
    r"faulty|['( ]mine\b|'own'|(networks|losses|optimizers|schedules|metrics|observers)[/.]\w+|\b[GD]_[AB]+\b"
    r"|^  (method|data|schedule|optimizer)  |none of them trains \w+",
    re.MULTILINE,
)
"""The plugin, the component, or the key of the component in the recipe."""
PLACED = ("SyntaxError", "ValueError")
"""The first has a place of its own. The second is how a constructor refuses its options: the key is its place."""


class _All:
    def __contains__(self, fault: str) -> bool:
        return True


HARMLESS: dict[str, Container[str]] = {
    **dict.fromkeys(UNUSED, _All()),
    "protocol": ("text", "empty text", "long text", "odd text"),
    "higher_is_better": ("true",),
    ".compute": ("true", "0", "-1", "1e308"),
    ".distance": ("true", "0", "-1", "1e308"),
    "schedule.factor": ("true", "0", "1e308"),
    "fingerprint": ("text", "empty text", "long text", "odd text"),
    "test.name": ("text", "empty text", "long text", "odd text"),
    "state_dict": ("an empty dict",),
    "stop_reason": ("text",),
    "method.rec_A": ("float64",),
    "test.real_A": ("a narrower tensor",),
}
"""Part of a place -> the faults that are right values there, or cannot be distinguished from right ones."""

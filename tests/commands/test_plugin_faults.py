"""A plugin that raises or returns nonsense while a run trains is named, with its component and the line in its file."""

# ruff: noqa: E501 - a message stands on one line, as the user reads it

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from translate_core.commands.apply import main as apply
from translate_core.commands.run import main

PLUGIN = """
import math

import torch

from translate_core import Dataset, Loss, Method, Metric, Pool, Schedule, hookimpl
from translate_plugins.datasets.synthetic import Synthetic
from translate_plugins.generators.resnet import ResNet
from translate_plugins.methods.cyclegan import CycleGAN
from translate_plugins.metrics.psnr import PSNR
from translate_plugins.metrics.swd import SWD
from translate_plugins.pools.history import History


def now(count):
    if count > 3:
        raise RuntimeError("oh")  # here


class Generator(ResNet):
    def __init__(self, in_channels: int, out_channels: int, *, answer: str = "") -> None:
        super().__init__(in_channels, out_channels, blocks=1, width=4)
        self.answer = answer
        self.calls = 0

    def forward(self, x):
        y = super().forward(x)
        if x.device.type == "meta":
            return y
        self.calls += 1
        if self.calls > 8 and self.answer:
            return {"none": None, "list": [y], "narrow": y[..., 1:], "nan": y * math.nan}[self.answer]
        now(self.calls if not self.answer else 0)
        return y


class Mine(Loss):
    def __init__(self, *, answer: str = "") -> None:
        super().__init__()
        self.answer = answer
        self.calls = 0

    def generator_loss(self, tensors):
        mean = tensors["fake_B"].mean()
        if mean.device.type == "meta":
            return {"mean": mean}
        self.calls += 1
        if self.answer and self.calls > 2:
            if self.answer == "none":
                return None
            return {"mean": {"text": "low", "vector": mean[None], "nan": mean * math.nan}[self.answer]}
        now(0 if self.answer else self.calls)
        return {"mean": mean}


class Broken(CycleGAN):
    def after_update(self, update, networks):
        self.updates = getattr(self, "updates", 0) + 1
        now(self.updates)


class Score(PSNR):
    def __init__(self, *, answer: str = "") -> None:
        super().__init__()
        self.answer = answer

    def update(self, output, reference):
        now(0 if self.answer else 9)

    def compute(self):
        return {"": 1.0, "text": "good", "none": None}[self.answer]


class Sets(SWD):
    def distance(self, output, reference):
        now(9)


class Wave(Schedule):
    def __init__(self, length: int, epoch: int, *, answer: str = "") -> None:
        self.answer = answer

    def factor(self, step):
        now(0 if self.answer else step + 1)
        if step < 3:
            return 1.0
        return {"nan": math.nan, "negative": -1.0, "text": "low", "none": None, "": 1.0}[self.answer]


class Slow(torch.optim.SGD):
    def step(self, closure=None):
        self.count = getattr(self, "count", 0) + 1
        now(self.count)
        super().step(closure)


def slow(params, *, lr: float = 0.1, answer: str = "") -> torch.optim.Optimizer:
    if answer == "at once":
        now(9)
    return None if answer == "none" else Slow(params, lr=lr)


class Draws:
    shuffled = True

    def __init__(self, split, answer):
        self.split, self.answer = split, answer

    def __len__(self):
        return {"negative": -3, "text": "many"}.get(self.answer, len(self.split))

    def in_epoch(self, epoch):
        return self

    def draw(self, index, rng):
        item = self.split.draw(index, rng)
        if index % 2:
            if self.answer == "narrow":
                return {name: image[..., 1:] for name, image in item.items()}
            if self.answer == "other names":
                return {"real_A": item["real_A"]}
            if self.answer == "no tensors":
                return {name: 3 for name in item}
            if self.answer == "raises":
                now(9)
        return item


class Names:
    def __init__(self, split):
        self.split = split

    def __len__(self):
        return len(self.split)

    def __getitem__(self, index):
        return self.split[index]

    def name(self, index):
        return index


class Images(Synthetic):
    def __init__(self, *, answer: str = "") -> None:
        super().__init__(size=32, train=8, test=2)
        self.answer = answer

    def open(self):
        super().open()
        self.train = Draws(self.train, self.answer)
        if self.answer == "names":
            self.test = {domain: Names(split) for domain, split in self.test.items()}


class Past(History):
    def __init__(self) -> None:
        super().__init__(size=3)
        self.calls = 0

    def query_with(self, images, conditions, generator):
        if images.device.type != "meta":
            self.calls += 1
            now(self.calls)
        return super().query_with(images, conditions, generator)


def start(network) -> None:
    now(9)


@hookimpl
def register(registry):
    registry.generator("mine", Generator)
    registry.loss("mine", Mine)
    registry.method("mine", Broken)
    registry.metric("mine", Score)
    registry.metric("sets", Sets)
    registry.schedule("mine", Wave)
    registry.optimizer("mine", slow)
    registry.dataset("mine", Images)
    registry.pool("mine", Past)
    registry.init("mine", start)
"""

OH = r"RuntimeError: oh \(faulty\.py, line LINE\)"
LOSSES = {"adversarial": {"type": "lsgan"}, "cycle": {"type": "cycle", "weight": 10}}


def data(answer: str, **training: Any) -> dict[str, Any]:
    base = {"length": "6 steps", "batch_size": 2, "workers": 0, "checkpoint_every": "2 steps", "sample_every": None}
    return {"data": {"type": "mine", "answer": answer}, "training": {**base, **training}}


CASES: dict[str, tuple[dict[str, Any], str]] = {
    "generator raises": ({"generator": {"type": "mine"}}, f"generator 'mine' of plugin faulty.py failed in forward: {OH}"),
    "loss raises": ({"losses": {**LOSSES, "own": {"type": "mine"}}}, f"loss 'mine' of plugin faulty.py failed in generator_loss: {OH}"),
    "method raises": ({"method": {"type": "mine"}}, f"method 'mine' of plugin faulty.py failed in after_update: {OH}"),
    "metric raises": ({"metrics": {"own": {"type": "mine", "pairs": {"fake_B": "real_A"}}}}, f"metric 'mine' of plugin faulty.py failed in update: {OH}"),
    "metric over sets raises": ({"metrics": {"own": {"type": "sets"}}}, f"metric 'sets' of plugin faulty.py failed in distance: {OH}"),
    "schedule raises": ({"schedule": {"type": "mine"}}, f"schedule 'mine' of plugin faulty.py failed in factor: {OH}"),
    "optimizer raises": ({"optimizer": {"type": "mine"}}, f"plugin faulty.py failed: {OH}"),
    "optimizer factory raises": ({"optimizer": {"type": "mine", "answer": "at once"}}, f"optimizer 'mine' of plugin faulty.py failed in slow: {OH}"),
    "pool raises": ({"losses": {**LOSSES, "adversarial": {"type": "lsgan", "pool": {"type": "mine"}}}}, f"pool 'mine' of plugin faulty.py failed in query_with: {OH}"),
    "init raises": ({"generator": {"type": "resnet", "blocks": 1, "width": 4, "init": {"type": "mine"}}}, f"init 'mine' of plugin faulty.py failed in start: {OH}"),
    "dataset raises": (data("raises"), f"plugin faulty.py failed: {OH}"),
    "dataset raises in a loader": (data("raises", workers=1), f"dataset 'mine' of plugin faulty.py failed: {OH}"),
    "dataset draws other sizes": (data("narrow"), r"dataset 'mine' of plugin faulty\.py failed: `draw` (must|returns) .*"),
    "dataset draws other sizes in a loader": (data("narrow", workers=1), r"dataset 'mine' of plugin faulty\.py failed: `draw` (must|returns) .*"),
    "dataset draws other names": (data("other names"), r"dataset 'mine' of plugin faulty\.py failed: `draw` (must|returns) .*"),
    "dataset draws no tensors": (data("no tensors"), r"a draw of Draws \(faulty\.py\) must be tensors by name, not real_A: int, real_B: int"),
    "dataset has a length below 0": (data("negative"), r"`len` of Draws \(faulty\.py\) fails: .*"),
    "dataset has a length that is text": (data("text"), r"`len` of Draws \(faulty\.py\) fails: .*"),
    "dataset names images by numbers": (data("names", sample_every="2 steps"), r".*"),
    "generator returns None": ({"generator": {"type": "mine", "answer": "none"}}, r".*Generator.*faulty\.py.*"),
    "generator returns a list": ({"generator": {"type": "mine", "answer": "list"}}, r".*Generator.*faulty\.py.*"),
    "generator returns another size": ({"generator": {"type": "mine", "answer": "narrow"}}, r".*Generator.*faulty\.py.*"),
    "generator returns NaN": ({"generator": {"type": "mine", "answer": "nan"}}, r"training has diverged: .* It began with the loss [\w/]+ in step \d\. .*"),
    "loss returns None": ({"losses": {**LOSSES, "own": {"type": "mine", "answer": "none"}}}, r".*faulty\.py.*"),
    "loss returns text": ({"losses": {**LOSSES, "own": {"type": "mine", "answer": "text"}}}, r".*faulty\.py.*"),
    "loss returns a vector": ({"losses": {**LOSSES, "own": {"type": "mine", "answer": "vector"}}}, r".*faulty\.py.*"),
    "loss returns NaN": ({"losses": {**LOSSES, "own": {"type": "mine", "answer": "nan"}}}, r"training has diverged: .* It began with the loss own in step 3\. .*"),
    "metric returns text": ({"metrics": {"own": {"type": "mine", "answer": "text", "pairs": {"fake_B": "real_A"}}}}, r".*faulty\.py.*"),
    "metric returns None": ({"metrics": {"own": {"type": "mine", "answer": "none", "pairs": {"fake_B": "real_A"}}}}, r".*faulty\.py.*"),
    "schedule returns NaN": ({"schedule": {"type": "mine", "answer": "nan"}}, r"schedule Wave \(faulty\.py\) returns nan for step 3: .*"),
    "schedule returns less than 0": ({"schedule": {"type": "mine", "answer": "negative"}}, r"schedule Wave \(faulty\.py\) returns -1\.0 for step 3: .*"),
    "schedule returns text": ({"schedule": {"type": "mine", "answer": "text"}}, r"schedule Wave \(faulty\.py\) returns 'low' for step 3: .*"),
    "optimizer factory returns None": ({"optimizer": {"type": "mine", "answer": "none"}}, r".*faulty\.py.*"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_it_is_the_plugin_that_is_blamed(
    name: str, tmp_path: Path, write_recipe: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    blocks, message = CASES[name]
    (tmp_path / "faulty.py").write_text(PLUGIN)
    line = next(number for number, code in enumerate(PLUGIN.splitlines(), 1) if "# here" in code)
    recipe = write_recipe(plugins=["faulty.py"], **blocks)
    out = tmp_path / "run"
    status = main([str(recipe), "--out", str(out), "--device", "cpu"])
    lines = capsys.readouterr().err.splitlines()
    assert "Traceback" not in "\n".join(lines)
    assert status == 2
    messages = "\n".join(lines[next(i for i, text in enumerate(lines) if text.startswith("translate-run: ")) :])
    assert re.match("translate-run: " + message.replace("LINE", str(line)), messages, re.DOTALL), messages
    if "oh" in message and (out / "run.json").exists():
        assert f"The traceback is in {out / 'errors.log'}" in messages
        assert "RuntimeError: oh" in (out / "errors.log").read_text()


def test_the_log_of_errors_does_not_grow_without_end(
    tmp_path: Path, write_recipe: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("translate_core.experiment.component_faults._LARGE", 10_000)
    (tmp_path / "faulty.py").write_text(PLUGIN.replace("if count > 3:", "if count > 0:"))
    recipe = write_recipe(plugins=["faulty.py"], **CASES["generator raises"][0])
    out = tmp_path / "run"
    for _ in range(12):
        assert main([str(recipe), "--out", str(out), "--device", "cpu"]) == 2
    logs = {path.name: path.stat().st_size for path in out.glob("errors.log*")}
    assert logs.keys() == {"errors.log", "errors.log.1"}
    assert max(logs.values()) < 30_000
    assert "RuntimeError: oh" in (out / "errors.log").read_text()


def test_a_network_that_fails_when_it_translates(
    tmp_path: Path, write_recipe: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    wide = "now(9 if x.shape[-1] > 40 else 0)"
    (tmp_path / "faulty.py").write_text(PLUGIN.replace("now(self.calls if not self.answer else 0)", wide))
    recipe = write_recipe(plugins=["faulty.py"], generator={"type": "mine"}, **data(""))
    out = tmp_path / "run"
    assert main([str(recipe), "--out", str(out), "--device", "cpu"]) == 0
    Image.new("RGB", (48, 48)).save(tmp_path / "a.png")
    capsys.readouterr()
    assert apply([str(out), str(tmp_path / "a.png"), "--out", str(tmp_path / "translated"), "--device", "cpu"]) == 2
    messages = capsys.readouterr().err
    assert "Traceback" not in messages
    assert re.search(
        r"generator 'mine' of plugin plugins/faulty\.py failed in forward: RuntimeError: oh \(faulty", messages
    )

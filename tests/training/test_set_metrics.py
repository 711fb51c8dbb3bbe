"""Metrics over sets in real runs: what is compared, embedded once, and kept."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from tests.tiny_runs import train
from translate_core import RecipeError, Result, open_run
from translate_core.contracts.dataset import to_unit_range
from translate_core.contracts.metric import concatenated
from translate_plugins.metrics.swd import SWD, PyramidDescriptors

Write = Callable[..., Path]

PLUGIN = """
from dataclasses import dataclass
import torch
from translate_core import SetMetric, hookimpl

@dataclass(frozen=True)
class Means:
    name: str = "means"

    def __call__(self, images):
        for image in images:
            CALLS.append((self.name, tuple(image.shape)))
        return images.mean((2, 3))

CALLS = []

class Means1(SetMetric[torch.Tensor]):
    '''Distance of mean colours.'''
    higher_is_better = False
    protocol = "distance of mean colours"

    def __init__(self, name: str = "means") -> None:
        self.embedding = Means(name)

    def distance(self, outputs, references):
        return float((outputs.mean(0) - references.mean(0)).norm())

class Means2(Means1):
    '''The larger distance.'''
    def distance(self, outputs, references):
        return float((outputs.mean(0) - references.mean(0)).abs().max())

@hookimpl
def register(registry):
    registry.metric("means", Means1)
    registry.metric("means2", Means2)
"""


@pytest.fixture
def embedded(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """The shape of each image that the descriptors of swd were computed of."""
    shapes: list[tuple[int, ...]] = []
    original = PyramidDescriptors.__call__

    def counting(self: PyramidDescriptors, images: Tensor) -> tuple[Tensor, ...]:
        shapes.extend(tuple(image.shape) for image in images)
        return original(self, images)

    monkeypatch.setattr(PyramidDescriptors, "__call__", counting)
    return shapes


def by_name(results: list[Result]) -> dict[tuple[str, str], Result]:
    return {(result.name, result.direction): result for result in results}


def test_an_unpaired_run_ends_with_a_figure_and_its_protocol(tmp_path: Path) -> None:
    out = train(tmp_path)
    results = json.loads((out / "results.json").read_text())["results"]
    assert [(item["name"], item["direction"]) for item in results] == [
        ("swd/fake_B", "A-B"),
        ("swd/real_A", "A-B"),
        ("swd/fake_A", "B-A"),
        ("swd/real_B", "B-A"),
    ]
    assert results[0]["on"] == (
        "fake_B of all 3 test images of A at 32×32, weights as trained, against all 2 test images of B at 32×32"
    )
    assert results[1]["on"] == "real_A of all 3 test images of A at 32×32 against all 2 test images of B at 32×32"
    assert all(item["value"] > 0 and not item["higher_is_better"] for item in results)
    assert {item["protocol"] for item in results} == {SWD().protocol}
    assert len(list((out / "embeddings").iterdir())) == 2


def test_the_input_is_compared_as_the_files_are(write_recipe: Write, folders: Path) -> None:
    metric = SWD()
    sets = [
        concatenated([metric.embedding(read(path)) for path in sorted((folders / f"test{domain}").iterdir())])
        for domain in "AB"
    ]
    recipe = write_recipe(data={"type": "unpaired_folders", "root": str(folders)})
    with open_run(recipe, device="cpu") as run:
        found = by_name(run.evaluate())
    assert found["swd/real_A", "A-B"].value == pytest.approx(metric.distance(*sets), rel=1e-6)
    assert found["swd/real_B", "B-A"].value == pytest.approx(metric.distance(*sets[::-1]), rel=1e-6)


def read(path: Path) -> Tensor:
    with Image.open(path) as image:
        return to_unit_range(torch.from_numpy(np.array(image)).permute(2, 0, 1)[None])


def test_each_image_is_embedded_once_and_references_are_kept(
    write_recipe: Write, tmp_path: Path, embedded: list[tuple[int, ...]]
) -> None:
    """3 and 2 test images of 24×24: the references once for both directions, the outputs once an evaluation."""
    recipe = write_recipe()
    with open_run(recipe, device="cpu", folder=tmp_path / "run") as run:
        first = run.evaluate()
        assert len(embedded) == (3 + 2) + (3 + 2)
        assert run.evaluate() == first
        assert len(embedded) == (3 + 2) + 2 * (3 + 2)
    embedded.clear()
    with open_run(recipe, device="cpu", folder=tmp_path / "run") as run:
        assert run.evaluate() == first
    assert len(embedded) == 3 + 2
    embedded.clear()
    with open_run(recipe, device="cpu") as run:  # without a folder nothing is kept
        assert [item.value for item in run.evaluate()] == pytest.approx([item.value for item in first])
    assert len(embedded) == (3 + 2) + (3 + 2)


def test_metrics_with_equal_embeddings_share_them(write_recipe: Write, tmp_path: Path) -> None:
    (tmp_path / "means.py").write_text(PLUGIN)
    metrics = {"a": {"type": "means"}, "b": {"type": "means2"}, "swd": None}
    recipe = write_recipe(plugins=["means.py"], metrics=metrics)
    with open_run(recipe, device="cpu", folder=tmp_path / "run") as run:
        results = run.evaluate()
        module = type(run.recipe.metrics["a"].block()).distance.__globals__
        assert len(module["CALLS"]) == (3 + 2) + (3 + 2)
    assert [result.name for result in results[:4]] == ["a/fake_B", "a/real_A", "b/fake_B", "b/real_A"]
    module["CALLS"].clear()
    changed = write_recipe("other", plugins=["means.py"], metrics={**metrics, "b": {"type": "means2", "name": "x"}})
    with open_run(changed, device="cpu", folder=tmp_path / "run") as run:  # metrics may differ in a resumed run
        assert [item.value for item in run.evaluate()] == [item.value for item in results]
        calls = type(run.recipe.metrics["a"].block()).distance.__globals__["CALLS"]
    assert [name for name, _ in calls].count("means") == 3 + 2, "only the outputs"
    assert [name for name, _ in calls].count("x") == (3 + 2) + (3 + 2)


def test_other_images_are_embedded_again(
    write_recipe: Write, folders: Path, tmp_path: Path, embedded: list[tuple[int, ...]]
) -> None:
    recipe = write_recipe()
    kept = tmp_path / "run" / "embeddings"
    with open_run(recipe, device="cpu", folder=tmp_path / "run") as run:
        before = by_name(run.evaluate())
    with Image.open(folders / "testB" / "0.png") as image:
        image.rotate(90).save(folders / "testB" / "0.png")
    embedded.clear()
    with open_run(recipe, device="cpu", folder=tmp_path / "other") as run:
        (tmp_path / "other" / "embeddings").mkdir(parents=True)
        for path in kept.iterdir():  # as if the folder held those of the images before
            path.rename(tmp_path / "other" / "embeddings" / path.name)
        after = by_name(run.evaluate())
    assert len(embedded) == (3 + 2) + (3 + 2)
    assert after["swd/real_A", "A-B"].value != before["swd/real_A", "A-B"].value


@pytest.mark.parametrize("damage", ["cut", "a bit", "empty", "text"])
def test_damaged_embeddings_are_computed_again(
    damage: str, write_recipe: Write, tmp_path: Path, embedded: list[tuple[int, ...]]
) -> None:
    with open_run(write_recipe(), device="cpu", folder=tmp_path / "run") as run:
        first = run.evaluate()
        for path in (tmp_path / "run" / "embeddings").iterdir():
            content = bytearray(path.read_bytes())
            content[-100] ^= 16
            path.write_bytes({"cut": content[:-500], "a bit": content, "empty": b"", "text": b"not a file"}[damage])
        embedded.clear()
        assert run.evaluate() == first
        assert len(embedded) == (3 + 2) + (3 + 2)
        embedded.clear()
        assert run.evaluate() == first
        assert len(embedded) == 3 + 2


def test_fewer_images_of_each_source(write_recipe: Write, embedded: list[tuple[int, ...]]) -> None:
    metrics = {
        "swd": {"type": "swd", "images": 1},
        "psnr": {"type": "psnr", "pairs": {"fake_B": "real_A"}, "images": 2},
    }
    with open_run(write_recipe(metrics=metrics), device="cpu") as run:
        found = by_name(run.evaluate())
    assert len(embedded) == 1 + 1 + (1 + 2) + (1 + 3), "an output and an input of each source, and all references"
    assert found["swd/fake_B", "A-B"].on == (
        "fake_B of the first 1 of 3 test images of A at 24×24, weights as trained, "
        "against all 2 test images of B at 24×24"
    )
    assert found["swd/real_A", "A-B"].on.startswith("real_A of the first 1 of 3 test images of A at 24×24 against all")
    assert found["psnr/fake_B", "A-B"].on == (
        "fake_B against real_A on the first 2 of 3 test images of A at 24×24, weights as trained"
    )
    with open_run(write_recipe(metrics={"swd": {"type": "swd", "images": 100}}), device="cpu") as run:
        assert "of all 3 test images" in by_name(run.evaluate())["swd/fake_B", "A-B"].on


def test_training_images_as_references(write_recipe: Write, tmp_path: Path, embedded: list[tuple[int, ...]]) -> None:
    metrics = {"swd": {"type": "swd", "references": "train"}}
    recipe = write_recipe(metrics=metrics)
    with open_run(recipe, device="cpu", folder=tmp_path / "run") as run:
        first = run.evaluate()
        assert by_name(first)["swd/fake_B", "A-B"].on == (
            "fake_B of all 3 test images of A at 24×24, weights as trained, "
            "against all 6 training images of B as drawn in an epoch at 24×24"
        )
        assert len(embedded) == (6 + 6) + (3 + 2) + (3 + 2), "references, outputs, inputs"
        list(run.steps(2))
        embedded.clear()
        again = run.evaluate()
        assert len(embedded) == 3 + 2, "outputs"
    inputs = [[item.value for item in results if "real" in item.name] for results in (first, again)]
    assert inputs[0] == inputs[1], "the draws do not depend on the step"


def test_pairs_compare_sets_of_tensors(write_recipe: Write, embedded: list[tuple[int, ...]]) -> None:
    metrics = {"kept": {"type": "swd", "pairs": {"rec_A": "real_A"}}, "swd": None}
    with open_run(write_recipe(metrics=metrics), device="cpu") as run:
        (result,) = run.evaluate()
        assert result.name == "kept/rec_A"
        assert result.on == (
            "rec_A of all 3 test images of A at 24×24, weights as trained, against real_A of the same images"
        )
        assert len(embedded) == 3 + 3
        names = {"same": {"type": "swd", "pairs": {"real_A": "real_A"}}, "swd": None}
    with open_run(write_recipe(metrics=names), device="cpu") as run:
        assert [item.value for item in run.evaluate()] == [0]


def test_sizes_that_differ(write_recipe: Write, folders: Path) -> None:
    with Image.open(folders / "testB" / "1.png") as image:
        image.resize((48, 40)).save(folders / "testB" / "1.png")
    with open_run(write_recipe(data={"type": "unpaired_folders", "root": str(folders)}), device="cpu") as run:
        on = by_name(run.evaluate())["swd/fake_A", "B-A"].on
    assert (
        on == "fake_A of all 2 test images of B at 2 sizes, weights as trained, against all 3 test images of A at 32×32"
    )


def test_domains_of_other_channels_have_no_figure_of_the_input(write_recipe: Write, folders: Path) -> None:
    data = {"type": "unpaired_folders", "root": str(folders), "transform": {"crop": 24}, "channels_B": 1}
    losses = {"adversarial": {"type": "lsgan"}, "cycle": {"type": "cycle"}}
    with open_run(write_recipe(data=data, losses=losses), device="cpu") as run:
        assert [item.name for item in run.evaluate()] == ["swd/fake_B", "swd/fake_A"]


@pytest.mark.parametrize("domain", ["A", "B"])
def test_without_test_images_a_default_metric_is_left_out(domain: str, write_recipe: Write, folders: Path) -> None:
    for path in (folders / f"test{domain}").iterdir():
        path.unlink()
    (folders / f"test{domain}").rmdir()
    with open_run(write_recipe(), device="cpu") as run:
        assert run.evaluate() == []
    with pytest.raises(RecipeError) as caught, open_run(write_recipe(metrics={"x": {"type": "swd"}}), device="cpu"):
        pass
    (fault,) = caught.value.faults
    assert fault.path == "metrics.x"
    assert fault.message == (
        "compares fake_B with the test images of B, fake_A with the test images of A, and the data lack them: "
        "add test images, or leave the metric out"
    )
    with open_run(write_recipe(metrics={"x": {"type": "swd", "references": "train"}}), device="cpu") as run:
        other = {"A": "B-A", "B": "A-B"}[domain]
        assert {item.direction for item in run.evaluate()} == {other}


def test_a_set_metric_of_a_paired_run(tmp_path: Path, write_recipe: Write) -> None:
    """The targets serve psnr, the images of the domain serve swd."""
    recipe = write_recipe(data={"type": "synthetic", "size": 16, "train": 4, "test": 3})
    with open_run(recipe, device="cpu") as run:
        names = [item.name for item in run.evaluate() if item.direction == "A-B"]
    assert names == ["psnr/fake_B", "ssim/fake_B", "swd/fake_B", "swd/real_A"]


def test_faults_of_its_keys(write_recipe: Write) -> None:
    metrics: dict[str, dict[str, Any]] = {
        "a": {"type": "psnr", "references": "train"},
        "b": {"type": "swd", "references": "train", "pairs": {"rec_A": "real_A"}},
        "c": {"type": "swd", "images": 0},
        "d": {"type": "swd", "references": "all"},
    }
    with pytest.raises(RecipeError) as caught, open_run(write_recipe(metrics=metrics), device="cpu"):
        pass
    assert {fault.path: fault.message for fault in caught.value.faults} == {
        "metrics.a.references": "psnr compares pairs of images; set its `pairs`",
        "metrics.b.references": "is not used where `pairs` names the references; remove one",
        "metrics.c.images": "must be a whole number greater than 0, or null, not 0",
        "metrics.d.references": "must be one of test, train, not 'all'",
    }

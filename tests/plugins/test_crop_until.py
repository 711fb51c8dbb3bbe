"""Augmentation that changes during training: cropped at first, then resized to the crop's size."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from tests.conftest import make_folders, write_small_recipe
from tests.plugins.made_images import beside, bicubic, count_decoded, folders, noise, place_of
from translate_core import Item, Length, TrainSplit, UserError
from translate_core.commands.run import main
from translate_core.runtime.ranks import Ranks
from translate_core.training.loader import Sampling, load_steps
from translate_plugins.datasets.image_files import ImageFiles
from translate_plugins.datasets.paired_folders import PairedFolders
from translate_plugins.datasets.paired_side_by_side import PairedSideBySide
from translate_plugins.datasets.transforms import Transform
from translate_plugins.datasets.unpaired_folders import UnpairedFolders

TRANSFORM = Transform(resize=18, crop=15, crop_until=Length(2, "epochs"))
A, B = (noise(1, 20, 30), noise(2, 20, 30))


def side_by_side(root: Path, transform: Transform) -> ImageFiles:
    return PairedSideBySide(str(folders(root, train={"1.png": beside(A, B)})), transform=transform)


def paired(root: Path, transform: Transform) -> ImageFiles:
    return PairedFolders(str(folders(root, trainA={"1.png": A}, trainB={"1.png": B})), transform)


def unpaired(root: Path, transform: Transform) -> ImageFiles:
    return UnpairedFolders(str(folders(root, trainA={"1.png": A}, trainB={"2.png": B})), transform)


KINDS: list[Callable[[Path, Transform], ImageFiles]] = [side_by_side, paired, unpaired]


def draws(split: TrainSplit, count: int) -> list[Item]:
    return [split.draw(0, np.random.default_rng(seed)) for seed in range(count)]


def flips(items: list[Item], wholes: dict[str, NDArray[np.uint8]]) -> list[tuple[bool, ...]]:
    """For items that are whole images: whether A and B are mirrored."""
    places = [[place_of(item[key], whole) for key, whole in wholes.items()] for item in items]
    assert {place[:2] for pair in places for place in pair} == {(0, 0)}
    return [tuple(mirrored for _, _, mirrored in pair) for pair in places]


@pytest.mark.parametrize("kind", KINDS)
def test_cropped_until_that_epoch_then_resized(tmp_path: Path, kind: Any) -> None:
    data = kind(tmp_path, TRANSFORM)
    data.open()
    assert data.size == (15, 15)
    for epoch in (0, 1):
        split = data.train.in_epoch(epoch)
        assert len(split) == len(data.train) == 1
        cut = {place_of(item["real_A"], bicubic(A, 18, 18))[:2] for item in draws(split, 30)}
        assert len(cut) > 5
    straight = {"real_A": bicubic(A, 15, 15), "real_B": bicubic(B, 15, 15)}
    for epoch in (2, 3, 400):
        split = data.train.in_epoch(epoch)
        assert len(split) == 1
        seen = set(flips(draws(split, 40), straight))
        both = {(False, False), (True, True)}
        assert seen == (both if kind is not unpaired else both | {(False, True), (True, False)})
    data.close()


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_epochs_are_as_without_the_option(tmp_path: Path, kind: Any) -> None:
    with_it, without = kind(tmp_path, TRANSFORM), kind(tmp_path, Transform(resize=18, crop=15))
    with_it.open()
    without.open()
    assert with_it.fingerprint() == without.fingerprint()
    assert without.train.in_epoch(1000) is without.train
    for split in (with_it.train, with_it.train.in_epoch(1)):
        for one, other in zip(draws(split, 10), draws(without.train, 10), strict=True):
            assert all(torch.equal(one[key], other[key]) for key in ("real_A", "real_B"))
    with_it.close()
    without.close()


def test_from_the_start(tmp_path: Path) -> None:
    data = paired(tmp_path, Transform(crop=15, crop_until=Length(0, "epochs"), flip=False))
    data.open()
    np.testing.assert_array_equal(draws(data.train, 1)[0]["real_B"].permute(1, 2, 0), bicubic(B, 15, 15))
    data.close()


def test_with_the_aspect_kept_they_are_sized_as_test_images(tmp_path: Path) -> None:
    transform = Transform(resize=18, crop=15, keep_aspect=True, crop_until=Length(1, "epochs"), flip=False)
    folders(tmp_path, testA={"1.png": A}, testB={"1.png": B})
    data = paired(tmp_path, transform)
    data.open()
    late = draws(data.train.in_epoch(1), 1)[0]
    assert torch.equal(late["real_A"], data.test["A"][0]["real_A"])
    assert torch.equal(late["real_B"], data.test["B"][0]["real_B"])
    data.close()


def test_a_second_size_is_stored_only_with_the_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = count_decoded(monkeypatch)
    for transform, stored in ((Transform(resize=18, crop=15), 2), (TRANSFORM, 4)):
        data = unpaired(tmp_path, transform)
        data.open()
        assert data._store is not None
        assert len(data._store) == stored
        data.close()
    assert len(decoded) == 4  # two files, opened twice


def test_survives_pickling(tmp_path: Path) -> None:
    data = paired(tmp_path, TRANSFORM)
    data.open()
    copy = pickle.loads(pickle.dumps(data.train))
    for epoch in (1, 2):
        one, other = (split.in_epoch(epoch).draw(0, np.random.default_rng(3)) for split in (data.train, copy))
        assert all(torch.equal(one[key], other[key]) for key in one)
    data.close()


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_depend_only_on_the_step(tmp_path: Path, workers: int) -> None:
    """Six draws an epoch, two a step: the change comes at step 3, wherever loading starts."""
    data = UnpairedFolders(
        str(make_folders(tmp_path / "data")), Transform(resize=24, crop=16, crop_until=Length(1, "epochs"))
    )
    data.open()
    sampling = Sampling(0, 2, 1, Ranks(0, 1))
    whole = list(load_steps(data.train, sampling, (), 0, 9, 0, pin_memory=False))
    for start in (0, 2, 3, 7):
        loaded = list(load_steps(data.train, sampling, (), start, 9, workers, pin_memory=False))
        for one, other in zip(loaded, whole[start:], strict=True):
            assert all(torch.equal(one[0][key], other[0][key]) for key in one[0])
    straight = [bicubic(Image.open(path), 16, 16) for path in (tmp_path / "data" / "trainA").iterdir()]
    straight = [*straight, *(image[:, ::-1] for image in straight)]
    is_straight = [
        [any(np.array_equal(image.permute(1, 2, 0), each) for each in straight) for image in batch[0]["real_A"]]
        for batch in whole
    ]
    assert is_straight == [[False] * 2] * 3 + [[True] * 2] * 6
    data.close()


def test_resume_is_exact(tmp_path: Path) -> None:
    recipe = write_small_recipe(
        tmp_path / "small.yaml",
        make_folders(tmp_path / "data"),
        data={
            "type": "unpaired_folders",
            "root": str(tmp_path / "data"),
            "transform": {"resize": 28, "crop": 24, "crop_until": "1 epochs"},
        },
        schedule={"type": "constant"},
        training={"length": "9 steps", "workers": 0, "checkpoint_every": "1 steps", "sample_every": None},
        observers={"progress": None, "tensorboard": None, "samples": None, "metrics_log": None},
    )

    def run(out: str, length: int, workers: int) -> dict[str, Any]:
        sets = [f"training.length={length} steps", f"training.workers={workers}"]
        arguments = [str(recipe), "--out", str(tmp_path / out), "--device", "cpu"]
        assert main([*arguments, *(word for each in sets for word in ("--set", each))]) == 0
        state = torch.load(tmp_path / out / "checkpoints" / f"step-{length}.pt", weights_only=True)
        return state["parts"]["networks/G_AB"]

    expected = run("whole", 9, 0)
    run("broken", 4, 2)
    run("broken", 7, 0)
    resumed = run("broken", 9, 2)
    assert all(torch.equal(resumed[key], expected[key]) for key in expected)


class TestFaults:
    def test_in_epochs(self) -> None:
        with pytest.raises(UserError) as failure:
            Transform(crop=15, crop_until=Length(500, "steps"))
        assert str(failure.value) == "crop_until must be in epochs, such as '200 epochs', not '500 steps'"

    def test_without_a_crop(self) -> None:
        with pytest.raises(UserError) as failure:
            Transform(resize=18, crop_until=Length(2, "epochs"))
        assert str(failure.value) == "crop_until is the end of cropping, but crop is not given"

    def test_in_a_recipe(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        recipe = write_small_recipe(tmp_path / "small.yaml", make_folders(tmp_path / "data"))
        assert main([str(recipe), "--dry-run", "--set", "data.transform.crop_until=5 steps"]) != 0
        assert (
            "data.transform  crop_until must be in epochs, such as '200 epochs', not '5 steps'"
            in capsys.readouterr().err
        )

from __future__ import annotations

import pickle
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.plugins.made_images import bicubic, count_decoded, faults_of, folders, noise, place_of, plain
from translate_core import Dataset, Item, Length, UserError
from translate_plugins.datasets.class_folders import ClassFolders
from translate_plugins.datasets.transforms import Transform
from translate_plugins.datasets.unpaired_folders import UnpairedFolders

AS_IS = Transform(flip=False)
DOMAINS = ("wild", "cat", "dog")
COUNTS = {"cat": 3, "dog": 5, "wild": 2}
FIRST = {"cat": 10, "dog": 100, "wild": 200}
"""The grey value of a domain's first image; the next ones are one lighter each."""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Images are identified by their grey values."""
    return folders(
        tmp_path / "data" / "tiny",
        **{
            f"train/{domain}": {f"{i}.png": plain(FIRST[domain] + i) for i in range(count)}
            for domain, count in COUNTS.items()
        },
        **{"test/cat": {f"{i}.png": plain(50 + i) for i in range(2)}, "test/dog": {"sub/0.png": plain(150)}},
    )


def opened(root: Path, transform: Transform = AS_IS, domains: tuple[str, ...] = DOMAINS, **options: Any) -> Dataset:
    data = ClassFolders(str(root), domains, transform=transform, **options)
    data.open()
    return data


def values(item: Item) -> tuple[int, int, int]:
    """The grey values of both images, and the label."""
    assert set(item) == {"real", "other", "label"}
    return int(item["real"][0, 0, 0]), int(item["other"][0, 0, 0]), int(item["label"])


def drawn(data: Dataset, count: int) -> list[tuple[int, int, int]]:
    return [values(data.train.draw(seed % len(data.train), np.random.default_rng(seed))) for seed in range(count)]


class TestDraws:
    def test_the_constructor_states_the_domains(self) -> None:
        data = ClassFolders("nowhere", DOMAINS, channels=1)
        assert data.domains == DOMAINS
        assert data.classes == ()
        assert data.kinds == {"label": "label"}
        assert data.channels == {"wild": 1, "cat": 1, "dog": 1}
        assert data.operation_keys == {"root", "download", "max_pixels"}

    def test_two_images_of_one_domain_and_its_number(self, root: Path) -> None:
        data = opened(root)
        item = data.train.draw(0, np.random.default_rng(0))
        assert {name: (tensor.dtype, tuple(tensor.shape)) for name, tensor in item.items()} == {
            "real": (torch.uint8, (3, 24, 32)),
            "other": (torch.uint8, (3, 24, 32)),
            "label": (torch.int64, ()),
        }
        for real, other, label in drawn(data, 300):
            images = range(FIRST[DOMAINS[label]], FIRST[DOMAINS[label]] + COUNTS[DOMAINS[label]])
            assert real in images
            assert other in images
            assert real != other
        data.close()

    def test_an_epoch_is_as_many_draws_as_there_are_images(self, root: Path) -> None:
        data = opened(root)
        assert len(data.train) == 10
        assert data.train.shuffled
        assert data.size == (24, 32)
        data.close()

    def test_balanced_draws_have_each_domain_equally_often_and_each_of_its_images(self, root: Path) -> None:
        data = opened(root)
        count = 6000
        seen = drawn(data, count)
        for label, domain in enumerate(DOMAINS):
            for position in (0, 1):
                images = Counter(each[position] for each in seen if each[2] == label)
                assert len(images) == COUNTS[domain]
                expected = count / 3 / COUNTS[domain]  # five standard deviations
                assert all(abs(found - expected) < 5 * expected**0.5 for found in images.values())
        data.close()

    def test_without_balance_an_index_is_an_image(self, root: Path) -> None:
        data = opened(root, balanced=False)
        assert [real for real, _, _ in drawn(data, 10)] == [200, 201, 10, 11, 12, 100, 101, 102, 103, 104]
        assert [label for _, _, label in drawn(data, 10)] == [0, 0, 1, 1, 1, 2, 2, 2, 2, 2]
        others = Counter(
            values(data.train.draw(6, np.random.default_rng(seed)))[1] for seed in range(2000)
        )  # of image 101
        assert set(others) == {100, 102, 103, 104}
        assert all(abs(found - 500) < 5 * 500**0.5 for found in others.values())
        data.close()

    def test_two_draws_of_an_index_are_two_images_of_it_in_balance(self, root: Path) -> None:
        """A second draw of an item, such as the references of StarGAN v2, is independent of the first."""
        data = opened(root)
        labels = {(values(data.train.draw(0, np.random.default_rng(seed)))[2]) for seed in range(30)}
        assert labels == {0, 1, 2}
        data.close()

    def test_both_images_are_cropped_and_flipped_independently(self, tmp_path: Path) -> None:
        names = [f"{i}.png" for i in range(2)]
        root = folders(
            tmp_path,
            **{f"train/{domain}": {name: noise(i, 20, 30) for i, name in enumerate(names)} for domain in ("a", "b")},
        )
        data = opened(root, Transform(resize=18, crop=15), ("a", "b"), balanced=False)
        wholes = [bicubic(noise(i, 20, 30), 18, 18) for i in range(2)]
        places = []
        for seed in range(200):
            item = data.train.draw(0, np.random.default_rng(seed))
            places.append((place_of(item["real"], wholes[0]), place_of(item["other"], wholes[1])))
        for position in (0, 1):
            assert {place[position][0] for place in places} == {0, 1, 2, 3}
            assert {place[position][1] for place in places} == {0, 1, 2, 3}
        assert 70 < sum(real[2] != other[2] for real, other in places) < 130
        assert sum(real[:2] == other[:2] for real, other in places) < 40
        data.close()

    def test_a_draw_depends_on_its_arguments_alone_and_is_a_copy(self, root: Path) -> None:
        data = opened(root, Transform(resize=20, crop=16))
        first = data.train.draw(1, np.random.default_rng(7))
        again = pickle.loads(pickle.dumps(data.train)).draw(1, np.random.default_rng(7))
        assert all(torch.equal(first[key], again[key]) for key in again)
        first["real"].zero_()
        assert torch.equal(data.train.draw(1, np.random.default_rng(7))["real"], again["real"])
        data.close()

    def test_cropping_that_ends(self, tmp_path: Path) -> None:
        root = folders(
            tmp_path, **{f"train/{domain}": {f"{i}.png": noise(i, 20, 30) for i in range(2)} for domain in ("a", "b")}
        )
        data = opened(root, Transform(resize=18, crop=15, crop_until=Length(2, "epochs"), flip=False), ("a", "b"))
        resized = [torch.from_numpy(bicubic(noise(i, 20, 30), 15, 15).copy()).permute(2, 0, 1) for i in range(2)]
        for epoch, whole in ((1, False), (2, True)):
            item = data.train.in_epoch(epoch).draw(0, np.random.default_rng(0))
            for name in ("real", "other"):
                assert any(torch.equal(item[name], image) for image in resized) is whole
        data.close()

    def test_greyscale(self, root: Path) -> None:
        data = opened(root, channels=1)
        assert data.channels == dict.fromkeys(DOMAINS, 1)
        assert data.train.draw(0, np.random.default_rng(0))["other"].shape == (1, 24, 32)
        data.close()

    def test_every_file_is_decoded_once(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        decoded = count_decoded(monkeypatch)
        data = opened(root)
        drawn(data, 50)
        assert len(decoded) == len(set(decoded)) == 13
        data.close()


class TestTestImages:
    def test_a_split_for_each_domain_that_has_images(self, root: Path) -> None:
        data = opened(root)
        assert {domain: len(split) for domain, split in data.test.items()} == {"cat": 2, "dog": 1}
        assert {name: int(image[0, 0, 0]) for name, image in data.test["cat"][1].items()} == {"real_cat": 51}
        assert data.test["dog"].name(0) == "sub/0.png"
        data.close()

    def test_a_folder_of_another_name(self, root: Path) -> None:
        (root / "test").rename(root / "val")
        data = opened(root, test="val")
        assert len(data.test["cat"]) == 2
        data.close()

    def test_none(self, root: Path) -> None:
        data = opened(root, test=None)
        assert data.test == {}
        data.close()

    def test_missing_where_train_is_the_only_folder(self, root: Path) -> None:
        (root / "test").rename(root.parent / "test")
        data = opened(root)
        assert data.test == {}
        data.close()

    def test_they_are_resized_to_the_crop(self, tmp_path: Path) -> None:
        images = {f"{i}.png": noise(i, 20, 30) for i in range(2)}
        root = folders(tmp_path, **{"train/a": images, "train/b": images, "test/b": images})
        data = opened(root, Transform(resize=18, crop=15), ("a", "b"))
        np.testing.assert_array_equal(data.test["b"][1]["real_b"].permute(1, 2, 0), bicubic(noise(1, 20, 30), 15, 15))
        data.close()


class TestFingerprint:
    def test_changes_with_any_file_of_a_listed_domain(self, root: Path) -> None:
        seen = [opened(root).fingerprint()]
        for path in ("train/cat/0.png", "train/wild/1.png", "test/dog/sub/0.png"):
            plain(77).save(root / path)
            seen.append(opened(root).fingerprint())
        assert len(set(seen)) == 4
        folders(root, **{"train/fox": {"0.png": plain(3)}, "test/fox": {"0.png": plain(3)}})
        assert opened(root).fingerprint() == seen[-1]


class TestFolderFaults:
    def faults(self, root: Path, **options: Any) -> list[tuple[str, str]]:
        return faults_of(ClassFolders(str(root), options.pop("domains", DOMAINS), **options))

    def test_no_root(self, root: Path) -> None:
        ((path, message),) = self.faults(root.parent / "tinny")
        assert path == f"{root.parent}/tinny"
        assert message == (
            f"does not exist, did you mean 'tiny'? The current folder is {Path.cwd()}. "
            "Set data.root to the folder that holds train, or set data.download"
        )

    def test_no_train(self, root: Path) -> None:
        (root / "train").rename(root / "training")
        assert self.faults(root) == [
            (f"{root}/train", f"does not exist, did you mean 'training'? {root} holds: test, training")
        ]

    def test_one_folder_too_high(self, root: Path) -> None:
        assert self.faults(root.parent, test=None) == [
            (f"{root.parent}/train", f"does not exist, but tiny has a train: set data.root to {root}")
        ]

    def test_the_domains_in_the_root(self, root: Path) -> None:
        root = root / "train"
        assert self.faults(root) == [
            (
                f"{root}/train",
                f"does not exist, but {root} has wild, cat, dog: move the training images into folders in train",
            )
        ]

    def test_missing_empty_and_single_images(self, root: Path) -> None:
        (root / "train" / "wild").rename(root / "train" / "Wild")
        (root / "train" / "dog").rename(root / "train" / "hound")
        (root / "train" / "dog").write_text("no folder")
        for path in (root / "train" / "cat").iterdir():
            path.unlink()
        folders(root, **{"train/cow": {"0.png": plain(3)}})
        assert self.faults(root, domains=("cat", "dog", "wild", "sheep", "cow")) == [
            (f"{root}/train/cat", "holds no images; it needs jpg, jpeg, png, webp, bmp, tif or tiff files"),
            (f"{root}/train/dog", "is a file, not a folder of images"),
            (
                f"{root}/train/wild",
                f"does not exist, did you mean 'Wild'? {root}/train has the folders Wild, cat, cow, hound",
            ),
            (f"{root}/train/sheep", f"does not exist. {root}/train has the folders Wild, cat, cow, hound"),
            (f"{root}/train/cow", "holds one image, 0.png: a draw takes two different images of a domain"),
        ]

    def test_images_in_no_folder(self, tmp_path: Path) -> None:
        root = folders(tmp_path, train={"0.png": plain(0), "1.png": plain(1)})
        assert self.faults(root, domains=("cat", "dog")) == [
            (f"{root}/train/{domain}", f"does not exist. {root}/train has no folders") for domain in ("cat", "dog")
        ]

    def test_images_in_the_root(self, tmp_path: Path) -> None:
        root = folders(tmp_path, set={"0.png": plain(0)}) / "set"
        assert self.faults(root) == [
            (
                f"{root}/train",
                f"does not exist, and {root} itself holds an image, 0.png: "
                "move those of each domain into a folder in train",
            )
        ]

    def test_no_test_folder_of_that_name(self, root: Path) -> None:
        (root / "test").rename(root / "val")
        assert self.faults(root) == [
            (
                f"{root}/test",
                f"does not exist. {root} holds: train, val. "
                "Set data.test to the folder with the test images, or to null for none",
            )
        ]

    def test_test_images_of_other_domains(self, root: Path) -> None:
        assert self.faults(root, domains=("wild", "Cat", "Dog"))[0][0] == f"{root}/train/Cat"
        for domain in ("cat", "dog"):
            (root / "test" / domain).rename(root / "test" / f"{domain}s")
        assert self.faults(root) == [
            (f"{root}/test", "holds images, but none in wild or cat or dog: put those of each domain into its folder")
        ]
        (root / "test" / "dogs").rename(root / "test" / "Dog")
        assert self.faults(root) == [(f"{root}/test/dog", "does not exist, did you mean 'Dog'?")]

    def test_folders_that_are_not_listed_are_left_out_and_reported(
        self, root: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        folders(root, train={"loose.png": plain(1)})
        data = opened(root, domains=("dog", "cat"))
        assert len(data.train) == 8
        assert {label for _, _, label in drawn(data, 100)} == {0, 1}
        assert capsys.readouterr().err == (
            f"decoding dataset {root} without train/*, train/wild (not in data.domains) (11 files)\n"
        )
        data.close()

    def test_read_as_unpaired(self, root: Path) -> None:
        message = (
            f"does not exist, but {root} has a train with folders of images in it: "
            "a folder for each domain is data.type class_folders"
        )
        assert faults_of(UnpairedFolders(str(root))) == [(f"{root}/trainA", message), (f"{root}/trainB", message)]

    def test_two_folders_read_as_folders_of_classes(self, tmp_path: Path) -> None:
        root = folders(tmp_path, trainA={"0.png": plain(0)}, trainB={"0.png": plain(0)})
        assert self.faults(root, test=None) == [
            (
                f"{root}/train",
                f"does not exist, but {root} has trainA and trainB: "
                "that is data.type paired_folders, or unpaired_folders where images are not paired",
            )
        ]

    def test_files_that_cannot_be_used_are_named(self, root: Path) -> None:
        (root / "train" / "dog" / "2.png").write_bytes(b"")
        assert self.faults(root) == [(f"{root}/train/dog/2.png", "is empty (0 bytes)")]


@pytest.mark.parametrize(
    ("domains", "message"),
    [
        ((), "domains is empty: at least two are needed, such as domains: [cat, dog]"),
        (("cat",), "domains lists cat only: at least two are needed, such as domains: [cat, dog]"),
        (("cat", "dog", "cat"), "domains lists cat twice"),
        (("cat", "train/dog"), "domains must be names of folders in train, which 'train/dog' is not"),
        (("cat", ".."), "domains must be names of folders in train, which '..' is not"),
        (("cat", ""), "domains must be names of folders in train, which '' is not"),
    ],
)
def test_options_that_are_refused(domains: tuple[str, ...], message: str) -> None:
    with pytest.raises(UserError) as failure:
        ClassFolders("nowhere", domains)
    assert str(failure.value) == message

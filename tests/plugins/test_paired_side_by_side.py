from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from PIL import Image

from tests.conftest import shared
from tests.plugins.made_images import (
    ONLY_8_BITS,
    beside,
    bicubic,
    colour_png_of_16_bits,
    faults_of,
    folders,
    noise,
    plain,
    share_crop_and_flip,
)
from translate_core import UserError
from translate_plugins.datasets.paired_folders import PairedFolders
from translate_plugins.datasets.paired_side_by_side import PairedSideBySide
from translate_plugins.datasets.transforms import Transform

AS_IS = Transform(flip=False)
ADVICE = "Set data.test to the folder with the test images, or to null for none"
KINDS = "jpg, jpeg, png, webp, bmp, tif or tiff files"


def pair(value: int) -> Image.Image:
    """24 × 64: the right half is 100 brighter than the left one."""
    return beside(plain(value), plain(100 + value))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return folders(
        tmp_path / "data" / "tiny",
        train={f"{i}.png": pair(10 + i) for i in range(4)},
        test={f"{i}.png": pair(20 + i) for i in range(2)},
        val={f"{i}.png": pair(30 + i) for i in range(3)},
    )


def opened(root: Path, transform: Transform = AS_IS, **options: Any) -> PairedSideBySide:
    data = PairedSideBySide(str(root), transform=transform, **options)
    data.open()
    return data


def values(item: dict[str, torch.Tensor]) -> dict[str, int]:
    for image in item.values():
        assert image.dtype == torch.uint8
        assert (image == image[0, 0, 0]).all()  # nothing of the other half
    return {key: int(image[0, 0, 0]) for key, image in item.items()}


class TestHalves:
    @pytest.mark.parametrize(("left", "a", "b"), [("A", 0, 100), ("B", 100, 0)])
    def test_either_order(self, root: Path, left: Literal["A", "B"], a: int, b: int) -> None:
        data = opened(root, left=left)
        assert len(data.train) == 4
        assert data.train.shuffled
        assert data.size == (24, 32)
        drawn = [values(data.train.draw(index, np.random.default_rng(0))) for index in range(4)]
        assert drawn == [{"real_A": 10 + index + a, "real_B": 10 + index + b} for index in range(4)]
        assert values(data.test["A"][1]) == {"real_A": 21 + a, "target_B": 21 + b}
        assert values(data.test["B"][0]) == {"real_B": 20 + b, "target_A": 20 + a}
        assert {domain: len(split) for domain, split in data.test.items()} == {"A": 2, "B": 2}
        assert data.test["B"].name(1) == "1.png"
        assert data.operation_keys == {"root", "download", "max_pixels"}
        data.close()

    def test_left_is_a_by_default(self, root: Path) -> None:
        data = opened(root, shuffle=False)
        assert not data.train.shuffled
        assert values(data.train.draw(2, np.random.default_rng(0))) == {"real_A": 12, "real_B": 112}
        data.close()

    def test_halves_are_resized_separately_and_cropped_alike(self, tmp_path: Path) -> None:
        """The file is cut before resizing, so no half contains pixels of the other."""
        root = folders(tmp_path, train={"1.png": beside(noise(1, 20, 30), noise(2, 20, 30))})
        data = opened(root, Transform(resize=18, crop=15))
        wholes = {"real_A": bicubic(noise(1, 20, 30), 18, 18), "real_B": bicubic(noise(2, 20, 30), 18, 18)}
        share_crop_and_flip(data.train, 0, wholes)
        data.close()

    def test_channels_of_each_half(self, tmp_path: Path) -> None:
        root = folders(
            tmp_path, train={"1.png": beside(noise(1), noise(2))}, test={"1.png": beside(noise(3), noise(4))}
        )
        data = opened(root, channels_B=1)
        assert data.channels == {"A": 3, "B": 1}
        item = data.train.draw(0, np.random.default_rng(0))
        np.testing.assert_array_equal(item["real_A"].permute(1, 2, 0), np.asarray(noise(1)))
        np.testing.assert_array_equal(item["real_B"][0], np.asarray(noise(2).convert("L")))
        assert data.test["A"][0]["target_B"].shape == (1, 24, 32)
        assert data.test["B"][0]["target_A"].shape == (3, 24, 32)
        data.close()

    def test_the_rotation_in_exif_data(self, tmp_path: Path) -> None:
        """The halves are those of the upright image."""
        exif = Image.Exif()
        exif[0x0112] = 6
        upright = beside(noise(1), noise(2))
        (tmp_path / "train").mkdir()
        upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "train" / "1.png", exif=exif)
        data = opened(tmp_path)
        item = data.train.draw(0, np.random.default_rng(0))
        np.testing.assert_array_equal(item["real_A"].permute(1, 2, 0), np.asarray(noise(1)))
        np.testing.assert_array_equal(item["real_B"].permute(1, 2, 0), np.asarray(noise(2)))
        data.close()


class TestParts:
    """Cutting one file, as `translate-apply` does with a dataset that is not open."""

    @pytest.mark.parametrize(("left", "first"), [("A", "A"), ("B", "B")])
    def test_are_what_training_sees(self, root: Path, left: Literal["A", "B"], first: str) -> None:
        closed = PairedSideBySide("nowhere", left=left, transform=Transform(resize=8), channels_B=1)
        data = opened(root, left=left, channels_B=1)
        item = data.train.draw(2, np.random.default_rng(0))
        data.close()
        with Image.open(root / "train" / "2.png") as whole:
            parts = closed.parts(whole)
        assert list(parts) == ["A", "B"]
        assert parts[first].size == (32, 24)  # not resized
        for domain, mode in (("A", "RGB"), ("B", "L")):
            assert parts[domain].mode == mode
            pixels = np.asarray(parts[domain]).reshape(24, 32, -1)
            np.testing.assert_array_equal(item[f"real_{domain}"].permute(1, 2, 0), pixels)

    def test_of_a_file_that_training_refuses(self) -> None:
        with pytest.raises(UserError, match=r"^is 24 × 63 \(height × width\): an odd width has no two halves"):
            PairedSideBySide("nowhere").parts(plain(0, 24, 63))

    def test_of_other_data_sets_are_none(self) -> None:
        assert PairedFolders("nowhere").parts(plain(0)) == {}


class TestTestFolder:
    def test_of_another_name(self, root: Path) -> None:
        data = opened(root, test="val")
        assert [values(data.test["A"][index])["real_A"] for index in range(3)] == [30, 31, 32]
        data.close()

    def test_none(self, root: Path) -> None:
        data = opened(root, test=None)
        assert data.test == {}
        data.close()

    def test_the_training_images_as_test_images(self, root: Path) -> None:
        data = opened(root, test="train", transform=Transform(resize=20, crop=16))
        assert len(data.test["A"]) == len(data.train) == 4
        assert data.test["A"][0]["target_B"].shape == data.train.draw(0, np.random.default_rng(0))["real_B"].shape
        data.close()

    def test_may_be_missing_where_there_is_no_other_folder(self, root: Path, tmp_path: Path) -> None:
        for folder in ("test", "val"):
            (root / folder).rename(tmp_path / folder)
        data = opened(root)
        assert data.test == {}
        data.close()

    def test_is_required_where_there_are_other_folders(self, root: Path, tmp_path: Path) -> None:
        (root / "test").rename(tmp_path / "test")
        assert faults_of(PairedSideBySide(str(root))) == [
            (f"{root}/test", f"does not exist. {root} holds: train, val. {ADVICE}")
        ]

    def test_that_was_requested_and_is_missing(self, root: Path) -> None:
        assert faults_of(PairedSideBySide(str(root), test="vall")) == [
            (f"{root}/vall", f"does not exist, did you mean 'val'? {root} holds: test, train, val. {ADVICE}")
        ]
        for path in (root / "val").iterdir():
            path.unlink()
        assert faults_of(PairedSideBySide(str(root), test="val")) == [
            (f"{root}/val", f"holds no images; it needs {KINDS}")
        ]


class TestFaults:
    def test_no_root(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(root.parent)
        assert faults_of(PairedSideBySide("tinny")) == [
            (
                "tinny",
                f"does not exist, did you mean 'tiny'? The current folder is {root.parent}. "
                "Set data.root to the folder that holds train, or set data.download",
            )
        ]
        assert faults_of(PairedSideBySide(str(root / "train" / "1.png"))) == [
            (f"{root}/train/1.png", "is a file, not a folder with train")
        ]

    def test_one_folder_too_high(self, root: Path) -> None:
        assert (
            f"{root.parent}/train",
            f"does not exist, but tiny has a train: set data.root to {root}",
        ) in faults_of(PairedSideBySide(str(root.parent)))

    def test_empty_folders(self, root: Path, tmp_path: Path) -> None:
        for folder in ("train", "test"):
            for path in (root / folder).iterdir():
                path.unlink()
        assert faults_of(PairedSideBySide(str(root))) == [
            (f"{root}/train", f"holds no images; it needs {KINDS}"),
            (f"{root}/test", f"holds no images; it needs {KINDS}"),
        ]
        (tmp_path / "empty").mkdir()
        assert faults_of(PairedSideBySide(str(tmp_path / "empty"))) == [
            (f"{tmp_path}/empty/train", f"does not exist. {tmp_path}/empty is empty")
        ]

    def test_images_in_the_root_itself(self, tmp_path: Path) -> None:
        root = folders(tmp_path, set={"1.jpg": pair(0), "2.jpg": pair(0)}) / "set"
        assert faults_of(PairedSideBySide(str(root))) == [
            (
                f"{root}/train",
                f"does not exist, and {root} itself holds 2 images (1.jpg …): move the training images into train",
            )
        ]

    def test_folders_of_domains(self, tmp_path: Path) -> None:
        root = folders(tmp_path, trainA={"1.jpg": plain(0)}, trainB={"1.jpg": plain(0)})
        assert faults_of(PairedSideBySide(str(root)))[0] == (
            f"{root}/train",
            f"does not exist, but {root} has trainA and trainB: that is data.type paired_folders, "
            "or unpaired_folders where images are not paired",
        )

    def test_folders_of_domains_in_train(self, tmp_path: Path) -> None:
        root = folders(tmp_path, train={"a/1.jpg": plain(0), "B/1.jpg": plain(0)})
        assert faults_of(PairedSideBySide(str(root))) == [
            (
                f"{root}/train",
                "holds the folders a and B, not files with two images side by side: "
                f"rename them to {root}/trainA and {root}/trainB for data.type paired_folders",
            )
        ]

    def test_files_without_two_halves_all_at_once(self, root: Path) -> None:
        folders(
            root,
            train={"odd.png": plain(0, 24, 63), "one.png": plain(0, 1, 1), "tall.png": plain(0, 64, 24)},
            test={"small.png": plain(0, 4, 4)},
        )
        (root / "test" / "page.jpg").write_text("<html>")
        (root / "test" / "deep.png").write_bytes(colour_png_of_16_bits(np.full((24, 64, 3), 255)))
        odd = "an odd width has no two halves; is it two images side by side?"
        assert faults_of(PairedSideBySide(str(root), transform=Transform(crop=16))) == [
            (f"{root}/train/odd.png", f"is 24 × 63 (height × width): {odd}"),
            (f"{root}/train/one.png", f"is 1 × 1 (height × width): {odd}"),
            (
                f"{root}/train/tall.png",
                "is 64 × 24 (height × width), taller than wide, as two images side by side are not; "
                "data.type paired_folders reads pairs of two files",
            ),
            (
                f"{root}/test/deep.png",
                f"holds 16-bit values within 0 … 255, of which Pillow reads the upper 8 bits; {ONLY_8_BITS}",
            ),
            (f"{root}/test/page.jpg", "is not an image, or of a format that Pillow cannot read"),
        ]

    def test_halves_smaller_than_the_crop(self, root: Path) -> None:
        folders(root, train={"9.png": plain(0, 30, 30)})
        assert faults_of(PairedSideBySide(str(root), transform=Transform(crop=16))) == [
            (
                f"{root}/train/9.png",
                "is 30 × 15 (height × width) where it is cropped, smaller than transform.crop 16 × 16: "
                "remove it, or set transform.resize",
            )
        ]


def test_fingerprint(root: Path, tmp_path: Path) -> None:
    data = opened(root)
    seen = {data.fingerprint()}
    for folder in ("train", "test"):
        pair(77).save(root / folder / "1.png")
        data.open()
        seen.add(data.fingerprint())
    assert len(seen) == 3
    pair(77).save(root / "val" / "1.png")  # not read
    data.open()
    moved = opened(root.rename(tmp_path / "elsewhere"), Transform(resize=16), left="B")
    assert data.fingerprint() == moved.fingerprint()
    assert {data.fingerprint()} < seen
    data.close()
    moved.close()


def test_the_real_facades(tmp_path: Path) -> None:
    """Photographs on the left (B), labels on the right (A): large areas of one colour each, pure blue among them."""
    root = shared("data/tiny_facades")
    data = opened(root, Transform(resize=286, crop=256), left="B", test="val")
    assert (len(data.train), len(data.test["A"]), data.size) == (24, 6, (256, 256))
    for index in range(24):
        item = data.train.draw(index, np.random.default_rng(index))
        assert item["real_A"].shape == item["real_B"].shape == (3, 256, 256)
        strong_blue = [((image[2] > 200) & (image[0] < 60)).float().mean() for image in item.values()]
        assert strong_blue[0] > 0.2  # labels
        assert strong_blue[0] > 3 * strong_blue[1]
    data.close()


def test_the_real_facades_cut_into_two_folders(tmp_path: Path) -> None:
    """Side by side or in two folders, a pair is the same."""
    tiny = shared("data/tiny_facades")
    for path in sorted((tiny / "train").iterdir()):
        with Image.open(path) as whole:
            name = f"{path.stem}.png"
            photo, labels = whole.crop((0, 0, 256, 256)), whole.crop((256, 0, 512, 256))
            folders(tmp_path, trainA={name: labels}, trainB={name: photo})
    transform = Transform(resize=286, crop=256)
    one = opened(tiny, transform, left="B")
    two = PairedFolders(str(tmp_path), transform)
    two.open()
    for index in range(0, 24, 5):
        left, right = (data.train.draw(index, np.random.default_rng(index)) for data in (one, two))
        assert torch.equal(left["real_A"], right["real_A"])
        assert torch.equal(left["real_B"], right["real_B"])
    one.close()
    two.close()


def test_a_pair_beyond_the_limit_of_pillow(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow limits `crop`, too."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data = PairedSideBySide(str(root))
        data.open()
        data.close()

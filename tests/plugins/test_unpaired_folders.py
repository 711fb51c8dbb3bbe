from __future__ import annotations

import itertools
import os
import pickle
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from tests.plugins.made_images import (
    ONLY_8_BITS,
    bicubic,
    colour_png_of_16_bits,
    count_decoded,
    faults_of,
    folders,
    noise,
    plain,
)
from translate_core import DataError, UserError, open_image
from translate_plugins.datasets import decoding, store
from translate_plugins.datasets.transforms import Transform
from translate_plugins.datasets.unpaired_folders import UnpairedFolders

SHARED = Path(__file__).parents[2].parent / "shared"
AS_IS = Transform(flip=False)


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "temporary"
    path.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(path))
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Images are identified by their grey values: A has 10, 11, 12; B has 100 … 104."""
    return folders(
        tmp_path / "data" / "tiny",
        trainA={f"{i}.png": plain(10 + i) for i in range(3)},
        trainB={f"{i}.png": plain(100 + i) for i in range(5)},
        testA={f"{i}.png": plain(20 + i) for i in range(2)},
        testB={f"{i}.png": plain(200 + i) for i in range(4)},
    )


def opened(root: Path, transform: Transform = AS_IS, **options: Any) -> UnpairedFolders:
    data = UnpairedFolders(str(root), transform, **options)
    data.open()
    return data


def one(path: Path, image: Image.Image, name: str = "1.png", channels: Any = 3, **saving: Any) -> NDArray[np.uint8]:
    """An image after it was saved to a file and read by the dataset, (H, W, C)."""
    root = folders(path, trainB={"1.png": plain(0)})
    (root / "trainA").mkdir()
    image.save(root / "trainA" / name, **saving)
    data = opened(root, channels_A=channels)
    result = data.train.draw(0, np.random.default_rng(0))["real_A"]
    data.close()
    assert result.dtype == torch.uint8
    assert result.shape[0] == channels == data.channels["A"]
    return result.permute(1, 2, 0).numpy()


def values(data: UnpairedFolders, index: int, rng: np.random.Generator) -> tuple[int, int]:
    item = data.train.draw(index, rng)
    assert set(item) == {"real_A", "real_B"}
    return int(item["real_A"][0, 0, 0]), int(item["real_B"][0, 0, 0])


class TestSelection:
    def test_lengths_and_names(self, root: Path) -> None:
        data = opened(root)
        assert len(data.train) == 5
        assert {domain: len(split) for domain, split in data.test.items()} == {"A": 2, "B": 4}
        assert [data.test["B"].name(index) for index in range(4)] == ["0.png", "1.png", "2.png", "3.png"]
        assert data.channels == {"A": 3, "B": 3}
        assert data.operation_keys == {"root", "download", "max_pixels"}
        data.close()

    def test_shuffled_as_the_reference(self, root: Path) -> None:
        """A by index, wrapping; B at random with replacement."""
        data = opened(root)
        assert data.train.shuffled
        rng = np.random.default_rng(0)
        drawn = [values(data, index % 5, rng) for index in range(5000)]
        assert [a for a, _ in drawn[:5]] == [10, 11, 12, 10, 11]
        assert {a for index, (a, _) in enumerate(drawn) if index % 5 == 3} == {10}
        counts = Counter(b for _, b in drawn)
        assert sorted(counts) == [100, 101, 102, 103, 104]
        assert all(abs(count - 1000) < 150 for count in counts.values())
        repeated = sum(first[1] == second[1] for first, second in itertools.pairwise(drawn))
        assert 800 < repeated < 1200  # with replacement
        data.close()

    def test_in_file_order(self, root: Path) -> None:
        data = opened(root, shuffle=False)
        assert not data.train.shuffled
        drawn = [values(data, index, np.random.default_rng(index)) for index in range(5)]
        assert drawn == [(10, 100), (11, 101), (12, 102), (10, 103), (11, 104)]
        data.close()

    def test_a_draw_depends_on_its_arguments_alone(self, tmp_path: Path) -> None:
        root = folders(
            tmp_path / "set",
            trainA={f"{i}.png": noise(i) for i in range(3)},
            trainB={f"{i}.png": noise(10 + i) for i in range(4)},
        )
        data = opened(root, Transform(resize=20, crop=16))
        first = [data.train.draw(index, np.random.default_rng([7, index])) for index in range(4)]
        copy = pickle.loads(pickle.dumps(data.train))
        for index in (2, 0, 3, 1):
            again = copy.draw(index, np.random.default_rng([7, index]))
            assert all(torch.equal(again[key], first[index][key]) for key in again)
        data.close()

    def test_a_draw_is_a_copy(self, root: Path) -> None:
        data = opened(root)
        data.train.draw(0, np.random.default_rng(0))["real_A"].zero_()
        data.test["A"][0]["real_A"].zero_()
        assert values(data, 0, np.random.default_rng(0))[0] == 10
        assert int(data.test["A"][0]["real_A"][0, 0, 0]) == 20
        data.close()

    def test_test_items_have_one_image_and_no_target(self, root: Path) -> None:
        data = opened(root)
        assert [int(item["real_B"][0, 0, 0]) for item in data.test["B"]] == [200, 201, 202, 203]  # type: ignore[attr-defined]
        assert set(data.test["A"][1]) == {"real_A"}
        data.close()

    def test_test_folders_may_be_missing(self, root: Path) -> None:
        for path in (root / "testB").iterdir():
            path.unlink()
        (root / "testA").rename(root / "heldoutA")
        data = opened(root)
        assert data.test == {}
        data.close()

    def test_every_ending_and_sub_folders_in_order(self, tmp_path: Path) -> None:
        names = ["b.JPG", "a.jpeg", "sub/deep/c.PNG", "B.webp", "z.bmp", "10.tif", "9.TIFF", "é.png"]
        root = folders(tmp_path / "set", trainA={"1.png": plain(0)}, trainB={"1.png": plain(0)})
        folders(root, testA={name: plain(index) for index, name in enumerate(names)})
        hidden = [".hidden.png", "._1.png", ".cache/1.png", "notes.txt", "sub/1.json"]
        for name in hidden:
            (root / "testA" / name).parent.mkdir(exist_ok=True)
            (root / "testA" / name).write_bytes(b"no image")
        data = opened(root)
        split = data.test["A"]
        assert [split.name(index) for index in range(len(split))] == [
            "10.tif",
            "9.TIFF",
            "B.webp",
            "a.jpeg",
            "b.JPG",
            "sub/deep/c.PNG",
            "z.bmp",
            "é.png",
        ]
        data.close()

    def test_links_to_folders_are_followed_once(self, root: Path, tmp_path: Path) -> None:
        folders(tmp_path / "elsewhere", more={"9.png": plain(90)})
        (root / "testA" / "link").symlink_to(tmp_path / "elsewhere" / "more")
        (root / "testA" / "circle").symlink_to(root / "testA")
        data = opened(root)
        assert [data.test["A"].name(index) for index in range(len(data.test["A"]))] == ["0.png", "1.png", "link/9.png"]
        data.close()


class TestKindsOfImages:
    @pytest.mark.parametrize("name", ["1.png", "1.bmp", "1.tif", "1.webp"])
    def test_lossless_formats(self, tmp_path: Path, name: str) -> None:
        saving = {"lossless": True} if name == "1.webp" else {}
        np.testing.assert_array_equal(one(tmp_path, noise(1), name, **saving), np.asarray(noise(1)))

    def test_jpeg_as_pillow_decodes_it(self, tmp_path: Path) -> None:
        result = one(tmp_path, noise(1), "1.jpg")
        with Image.open(tmp_path / "trainA" / "1.jpg") as image:
            np.testing.assert_array_equal(result, np.asarray(image.convert("RGB")))

    def test_greyscale_as_rgb_and_rgb_as_greyscale(self, tmp_path: Path) -> None:
        grey = noise(1, channels=1)
        np.testing.assert_array_equal(one(tmp_path / "a", grey), np.asarray(grey.convert("RGB")))
        np.testing.assert_array_equal(one(tmp_path / "b", grey, channels=1)[..., 0], np.asarray(grey))
        colour = noise(1)
        np.testing.assert_array_equal(one(tmp_path / "c", colour, channels=1)[..., 0], np.asarray(colour.convert("L")))

    def test_palette(self, tmp_path: Path) -> None:
        image = noise(1).quantize(16)
        np.testing.assert_array_equal(one(tmp_path, image), np.asarray(image.convert("RGB")))

    def test_bilevel(self, tmp_path: Path) -> None:
        image = noise(1).convert("1")
        np.testing.assert_array_equal(one(tmp_path, image), np.asarray(image.convert("RGB")))

    def test_transparency_is_put_on_white(self, tmp_path: Path) -> None:
        pixels = np.asarray(noise(1, channels=4)).copy()
        pixels[:8, :, 3], pixels[8:16, :, 3] = 0, 255
        result = one(tmp_path, Image.fromarray(pixels))
        alpha = pixels[..., 3:] / 255
        expected = pixels[..., :3] * alpha + 255 * (1 - alpha)
        assert np.abs(result - expected).max() <= 1.0
        assert (result[:8] == 255).all()
        np.testing.assert_array_equal(result[8:16], pixels[8:16, :, :3])

    def test_transparent_greyscale_and_palette(self, tmp_path: Path) -> None:
        grey = Image.merge("LA", [noise(1, channels=1), Image.new("L", (32, 24), 0)])
        assert (one(tmp_path / "a", grey, channels=1) == 255).all()
        palette = noise(1).quantize(16)
        result = one(tmp_path / "b", palette, transparency=3)
        transparent = np.asarray(palette) == 3
        assert transparent.any()
        assert (result[transparent] == 255).all()
        np.testing.assert_array_equal(result[~transparent], np.asarray(palette.convert("RGB"))[~transparent])

    def test_cmyk(self, tmp_path: Path) -> None:
        image = noise(1).convert("CMYK")
        result = one(tmp_path, image, "1.tif")
        np.testing.assert_array_equal(result, np.asarray(image.convert("RGB")))

    @pytest.mark.parametrize(
        ("orientation", "turned"),
        [
            (1, lambda x: x),
            (2, lambda x: x[:, ::-1]),
            (3, lambda x: x[::-1, ::-1]),
            (6, lambda x: np.rot90(x, -1)),
            (8, lambda x: np.rot90(x)),
        ],
    )
    @pytest.mark.parametrize("name", ["1.png", "1.jpg"])
    def test_exif_rotation(self, tmp_path: Path, orientation: int, turned: Any, name: str) -> None:
        exif = Image.Exif()
        exif[0x0112] = orientation
        result = one(tmp_path, noise(1), name, exif=exif)
        with Image.open(tmp_path / "trainA" / name) as stored:
            np.testing.assert_array_equal(result, turned(np.asarray(stored.convert("RGB"))))

    def test_the_greyscale_photograph_of_the_real_set(self, capsys: pytest.CaptureFixture[str]) -> None:
        root = SHARED / "data" / "tiny_horse2zebra"
        if not root.is_dir():
            pytest.skip("shared/data/tiny_horse2zebra is not beside the repository")
        data = opened(root, Transform(resize=286, crop=256), shuffle=False)
        assert (len(data.train), {key: len(split) for key, split in data.test.items()}) == (40, {"A": 12, "B": 12})
        assert data.size == (256, 256)
        names = sorted(path.name for path in (root / "trainB").iterdir())
        item = data.train.draw(names.index("n02391049_226.jpg"), np.random.default_rng(0))
        assert item["real_B"].shape == (3, 256, 256)
        assert torch.equal(item["real_B"][0], item["real_B"][2])
        assert not torch.equal(item["real_A"][0], item["real_A"][2])
        assert capsys.readouterr().err == f"decoding dataset {root} (104 files)\n"
        data.close()


def train_and_test(path: Path, image: Image.Image, transform: Transform) -> tuple[torch.Tensor, torch.Tensor]:
    root = folders(path, trainA={"1.png": image}, trainB={"1.png": image}, testA={"1.png": image})
    data = opened(root, transform)
    result = data.train.draw(0, np.random.default_rng(0))["real_A"], data.test["A"][0]["real_A"]
    data.close()
    return result


def equal(image: torch.Tensor, expected: NDArray[np.uint8]) -> None:
    np.testing.assert_array_equal(image.permute(1, 2, 0).numpy(), expected)


class TestSizes:
    def test_resize_is_pillows_and_keeps_no_aspect(self, tmp_path: Path) -> None:
        train, test = train_and_test(tmp_path, noise(1, 50, 70), Transform(resize=40, flip=False))
        equal(train, bicubic(noise(1, 50, 70), 40, 40))
        equal(test, bicubic(noise(1, 50, 70), 40, 40))

    def test_resize_to_a_rectangle(self, tmp_path: Path) -> None:
        train, test = train_and_test(tmp_path, noise(1, 50, 70), Transform(resize=(40, 60), flip=False))
        equal(train, bicubic(noise(1, 50, 70), 40, 60))
        equal(test, bicubic(noise(1, 50, 70), 40, 60))

    def test_greyscale_is_resized_as_greyscale(self, tmp_path: Path) -> None:
        image = noise(1, 50, 70)
        root = folders(tmp_path, trainA={"1.png": image}, trainB={"1.png": image})
        data = opened(root, Transform(resize=40, flip=False), channels_A=1)
        item = data.train.draw(0, np.random.default_rng(0))
        np.testing.assert_array_equal(item["real_A"][0].numpy(), bicubic(image.convert("L"), 40, 40))
        assert item["real_B"].shape == (3, 40, 40)
        assert data.channels == {"A": 1, "B": 3}
        data.close()

    def test_the_longer_side_when_the_aspect_is_kept(self, tmp_path: Path) -> None:
        train, test = train_and_test(
            tmp_path / "a", noise(1, 50, 75), Transform(resize=40, keep_aspect=True, flip=False)
        )
        equal(train, bicubic(noise(1, 50, 75), 40, 60))
        equal(test, bicubic(noise(1, 50, 75), 40, 60))
        train, _ = train_and_test(tmp_path / "b", noise(1, 75, 50), Transform(resize=100, keep_aspect=True, flip=False))
        equal(train, bicubic(noise(1, 75, 50), 150, 100))

    def test_crop_after_resize(self, tmp_path: Path) -> None:
        train, test = train_and_test(tmp_path, noise(1, 50, 70), Transform(resize=40, crop=32, flip=False))
        whole = bicubic(noise(1, 50, 70), 40, 40)
        cuts = [whole[y : y + 32, x : x + 32] for y in range(9) for x in range(9)]
        assert any(np.array_equal(train.permute(1, 2, 0).numpy(), cut) for cut in cuts)
        equal(test, bicubic(noise(1, 50, 70), 32, 32))

    def test_test_images_are_cropped_in_the_middle_when_the_aspect_is_kept(self, tmp_path: Path) -> None:
        _, test = train_and_test(tmp_path / "a", noise(1, 50, 75), Transform(resize=48, crop=40, keep_aspect=True))
        equal(test, bicubic(noise(1, 50, 75), 40, 60)[:, 10:50])
        _, test = train_and_test(
            tmp_path / "b", noise(1, 75, 50), Transform(resize=48, crop=(20, 40), keep_aspect=True)
        )
        equal(test, bicubic(noise(1, 75, 50), 60, 40)[20:40])

    @pytest.mark.parametrize(
        ("transform", "size"),
        [
            (Transform(resize=20), (20, 20)),
            (Transform(resize=(20, 24)), (20, 24)),
            (Transform(resize=20, crop=16), (16, 16)),
            (Transform(crop=(8, 12)), (8, 12)),
            (Transform(resize=20, keep_aspect=True, crop=(20, 16)), (20, 16)),
            (Transform(resize=12, keep_aspect=True), (12, 16)),
            (Transform(), (24, 32)),
        ],
    )
    def test_declared_size(self, root: Path, transform: Transform, size: tuple[int, int]) -> None:
        data = opened(root, transform)
        assert data.size == size
        for image in data.train.draw(0, np.random.default_rng(0)).values():
            assert image.shape == (3, *size)
        data.close()

    @pytest.mark.parametrize("transform", [Transform(), Transform(resize=12, keep_aspect=True)])
    def test_images_of_several_sizes_have_none(self, root: Path, transform: Transform) -> None:
        folders(root, trainB={"9.png": plain(1, 30, 30)})
        data = opened(root, transform)
        assert data.size is None
        data.close()

    def test_test_images_do_not_affect_the_size(self, root: Path) -> None:
        folders(root, testB={"9.png": plain(1, 30, 30)})
        data = opened(root)
        assert data.size == (24, 32)
        assert data.test["B"][4]["real_B"].shape == (3, 30, 30)
        data.close()


class TestCropAndFlip:
    def test_every_offset_and_both_sides_are_reached_equally(self) -> None:
        image = np.arange(48, dtype=np.uint8).reshape(1, 6, 8)
        transform = Transform(crop=(4, 5))
        rng = np.random.default_rng(0)
        seen: Counter[tuple[int, int, bool]] = Counter()
        for _ in range(24000):
            cut = transform.augment(image, rng)
            assert cut.shape == (1, 4, 5)
            flipped = bool(cut[0, 0, 0] > cut[0, 0, 1])
            top, left = divmod(int(cut[0, 0, -1 if flipped else 0]), 8)
            expected = image[:, top : top + 4, left : left + 5]
            assert np.array_equal(cut.numpy(), expected[..., ::-1] if flipped else expected)
            seen[top, left, flipped] += 1
        assert len(seen) == 3 * 4 * 2
        assert all(abs(count - 1000) < 160 for count in seen.values())  # five standard deviations

    def test_no_flip_and_no_crop(self) -> None:
        image = np.arange(48, dtype=np.uint8).reshape(1, 6, 8)
        rng = np.random.default_rng(0)
        for _ in range(50):
            assert np.array_equal(AS_IS.augment(image, rng).numpy(), image)

    def test_a_and_b_are_cropped_independently(self, tmp_path: Path) -> None:
        ramp = Image.fromarray(np.arange(40 * 40).reshape(40, 40).astype(np.uint8))
        root = folders(tmp_path, trainA={"1.png": ramp}, trainB={"1.png": ramp})
        data = opened(root, Transform(crop=8))
        rng = np.random.default_rng(0)
        items = [data.train.draw(0, rng) for _ in range(20)]
        assert not all(torch.equal(item["real_A"], item["real_B"]) for item in items)
        data.close()

    def test_draws_are_fast(self) -> None:
        """Measured: at least 20,000 images a second on one core; with decoding in each draw it would be 500."""
        image = np.asarray(noise(0, 286, 286)).transpose(2, 0, 1).copy()
        transform, rng = Transform(resize=286, crop=256), np.random.default_rng(0)
        start = time.process_time()
        for _ in range(1000):
            transform.augment(image, rng)
        assert 1000 / (time.process_time() - start) > 2000


class TestOptionFaults:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"resize": 256, "crop": 286}, "286 is greater than resize 256: it must fit inside"),
            ({"resize": (256, 300), "crop": 286}, "286 is greater than resize 256 × 300: it must fit inside"),
            ({"resize": 40, "crop": (32, 64)}, "32 × 64 is greater than resize 40: it must fit inside"),
            ({"resize": 40, "crop": 64, "keep_aspect": True}, "64 is greater than resize 40: it must fit inside"),
        ],
    )
    def test_a_crop_that_does_not_fit(self, options: dict[str, Any], message: str) -> None:
        with pytest.raises(UserError) as failure:
            Transform(**options)
        assert str(failure.value) == f"crop {message}"

    def test_keep_aspect_needs_one_number(self) -> None:
        with pytest.raises(
            UserError, match="keep_aspect needs the shorter side as resize, one number, but resize is not given"
        ):
            Transform(keep_aspect=True)
        with pytest.raises(UserError, match="one number, but resize gives both sides"):
            Transform(keep_aspect=True, resize=(40, 50))

    def test_a_crop_whose_fit_depends_on_the_image(self) -> None:
        Transform(resize=40, crop=(32, 64), keep_aspect=True)


class TestFolderFaults:
    def test_no_root(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(root.parent.parent)
        with pytest.raises(DataError) as failure:
            UnpairedFolders("data/tinny").open()
        assert str(failure.value) == (
            "dataset data/tinny has 1 fault\n"
            f"  data/tinny  does not exist, did you mean 'tiny'? The current folder is {root.parent.parent}. "
            "Set data.root to the folder that holds trainA and trainB, or set data.download"
        )
        assert "does not exist. The current folder is" in faults_of(UnpairedFolders("nowhere/at/all"))[0][1]

    def test_a_root_that_is_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "set.zip").write_bytes(b"")
        path = str(tmp_path / "set.zip")
        assert faults_of(UnpairedFolders(path)) == [(path, "is a file, not a folder with trainA and trainB")]

    def test_folders_of_other_names(self, root: Path) -> None:
        (root / "trainA").rename(root / "train_a")
        (root / "testB").rename(root / "TESTB")
        for path in (root / "trainB").iterdir():
            path.unlink()
        holds = f"{root} holds: TESTB, testA, trainB, train_a"
        assert faults_of(UnpairedFolders(str(root))) == [
            (f"{root}/trainA", f"does not exist, did you mean 'train_a'? {holds}"),
            (f"{root}/trainB", "holds no images; it needs jpg, jpeg, png, webp, bmp, tif or tiff files"),
            (f"{root}/testB", f"does not exist, did you mean 'TESTB'? {holds}"),
        ]

    def test_images_in_the_root_itself(self, tmp_path: Path) -> None:
        root = folders(tmp_path, set={"1.jpg": plain(0), "2.jpg": plain(0)}) / "set"
        message = (
            f"does not exist, and {root} itself holds 2 images (1.jpg …): "
            "move those of domain A into trainA, those of domain B into trainB"
        )
        assert faults_of(UnpairedFolders(str(root))) == [(f"{root}/trainA", message), (f"{root}/trainB", message)]

    def test_one_folder_too_high(self, root: Path) -> None:
        assert faults_of(UnpairedFolders(str(root.parent)))[0] == (
            f"{root.parent}/trainA",
            f"does not exist, but tiny has a trainA: set data.root to {root}",
        )

    def test_an_empty_root(self, tmp_path: Path) -> None:
        (tmp_path / "set").mkdir()
        message = f"does not exist. {tmp_path / 'set'} is empty"
        assert [text for _, text in faults_of(UnpairedFolders(str(tmp_path / "set")))] == [message, message]

    def test_a_file_where_a_folder_should_be(self, root: Path) -> None:
        for path in (root / "testA").iterdir():
            path.unlink()
        (root / "testA").rmdir()
        (root / "testA").write_text("a file")
        assert faults_of(UnpairedFolders(str(root))) == [(f"{root}/testA", "is a file, not a folder of images")]


class TestImageFaults:
    def test_all_at_once(self, root: Path, temporary: Path) -> None:
        noise(1, 200, 200).save(root / "trainA" / "big.png")
        good = root / "trainB" / "0.png"
        noise(1).save(root / "trainB" / "cut.jpg")
        (root / "trainB" / "cut.jpg").write_bytes((root / "trainB" / "cut.jpg").read_bytes()[:-100])
        (root / "testA" / "empty.png").write_bytes(b"")
        (root / "testA" / "page.jpg").write_text("<html>")
        (root / "testB" / "cut.png").write_bytes(good.read_bytes()[:60])
        Image.fromarray(np.zeros((4, 4), np.float32)).save(root / "testB" / "float.tif")
        Image.fromarray(np.linspace(0, 4095, 16).astype(np.uint16).reshape(4, 4)).save(root / "testB" / "grey.png")
        (root / "testB" / "colour.png").write_bytes(colour_png_of_16_bits(np.full((4, 4, 3), 4000)))
        faults = faults_of(UnpairedFolders(str(root), max_pixels=30_000))
        assert [path.removeprefix(f"{root}/") for path, _ in faults] == [
            "trainA/big.png",
            "trainB/cut.jpg",
            "testA/empty.png",
            "testA/page.jpg",
            "testB/colour.png",
            "testB/cut.png",
            "testB/float.tif",
            "testB/grey.png",
        ]
        messages = [message for _, message in faults]
        assert messages[0] == (
            "is 200 × 200 (height × width), 40,000 pixels; the limit is 30,000: make it smaller or cut it into pieces, "
            "or, if you trust the file, raise the limit with data.max_pixels: 40000"
        )
        assert messages[1].startswith("does not decode: image file is truncated")
        assert messages[2] == "is empty (0 bytes)"
        assert messages[3] == "is not an image, or of a format that Pillow cannot read"
        assert messages[4] == (
            f"holds 16-bit values within 3840 … 4095, of which Pillow reads the upper 8 bits; {ONLY_8_BITS}"
        )
        assert messages[5].startswith("does not decode: ")
        assert messages[6] == f"holds 32-bit floating point values 0 … 0; {ONLY_8_BITS}"
        assert messages[7] == f"holds 16-bit values 0 … 4095; {ONLY_8_BITS}"
        assert list(temporary.iterdir()) == []

    def test_what_is_no_file_is_not_opened(self, root: Path) -> None:
        os.mkfifo(root / "trainA" / "pipe.png")
        (root / "trainB" / "endless.png").symlink_to("/dev/zero")
        (root / "trainB" / "nothing.png").symlink_to("nowhere")
        assert [
            (path.removeprefix(f"{root}/"), message) for path, message in faults_of(UnpairedFolders(str(root)))
        ] == [
            ("trainA/pipe.png", "is a pipe, not a file"),
            ("trainB/endless.png", "is a device, not a file"),
            ("trainB/nothing.png", "cannot be read: No such file or directory"),
        ]

    def test_of_many_twenty_are_shown(self, root: Path) -> None:
        for number in range(33):
            (root / "trainA" / f"broken{number:02}.png").write_bytes(b"x")
        with pytest.raises(DataError) as failure:
            UnpairedFolders(str(root)).open()
        lines = str(failure.value).splitlines()
        assert lines[0] == f"dataset {root} (33 of its files cannot be used, 20 of them shown) has 20 faults"
        assert len(failure.value.faults) == 20

    def test_smaller_than_the_crop(self, root: Path) -> None:
        folders(root, trainB={"8.png": plain(0, 15, 40), "9.png": plain(0, 40, 15)}, testB={"9.png": plain(0, 4, 4)})
        assert faults_of(UnpairedFolders(str(root), Transform(crop=16))) == [
            (
                f"{root}/trainB/8.png",
                "is 15 × 40 (height × width) where it is cropped, smaller than transform.crop 16 × 16: "
                "remove it, or set transform.resize",
            ),
            (
                f"{root}/trainB/9.png",
                "is 40 × 15 (height × width) where it is cropped, smaller than transform.crop 16 × 16: "
                "remove it, or set transform.resize",
            ),
        ]

    @pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
    def test_a_file_that_may_not_be_read(self, root: Path) -> None:
        (root / "trainA" / "0.png").chmod(0)
        advice = "Give this user the right to use it (chmod, chown), or choose another place"
        assert faults_of(UnpairedFolders(str(root))) == [
            (f"{root}/trainA/0.png", f"cannot be read: Permission denied. {advice}")
        ]

    def test_a_link_to_nowhere(self, root: Path) -> None:
        (root / "trainA" / "9.png").symlink_to(root / "nowhere.png")
        assert faults_of(UnpairedFolders(str(root))) == [
            (f"{root}/trainA/9.png", "cannot be read: No such file or directory")
        ]


class TestFingerprint:
    def test_does_not_depend_on_the_root(self, root: Path, tmp_path: Path) -> None:
        first = opened(root)
        moved = root.rename(tmp_path / "elsewhere")
        second = opened(moved, Transform(resize=16), shuffle=False)
        assert first.fingerprint() == second.fingerprint()
        assert len(first.fingerprint()) == 16
        first.close()
        second.close()

    @pytest.mark.parametrize("folder", ["trainA", "trainB", "testA", "testB"])
    def test_changes_with_any_file(self, root: Path, folder: str) -> None:
        data = opened(root)
        seen = {data.fingerprint()}
        plain(77).save(root / folder / "1.png")
        data.open()
        seen.add(data.fingerprint())
        (root / folder / "1.png").rename(root / folder / "x.png")
        data.open()
        seen.add(data.fingerprint())
        (root / folder / "x.png").unlink()
        data.open()
        seen.add(data.fingerprint())
        data.close()
        assert len(seen) == 4


class TestOpening:
    def test_close_and_a_second_open_leave_nothing_behind(
        self, root: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(store, "_OPEN_FILES", Path("/no/such/folder"))
        data = opened(root)
        data.open()
        assert len(list(temporary.iterdir())) == 1
        data.close()
        data.close()
        assert list(temporary.iterdir()) == []

    def test_an_interrupted_open_leaves_nothing_behind(
        self, root: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(store, "_OPEN_FILES", Path("/no/such/folder"))
        seen: list[int] = []

        def interrupt(content: bytes, *rest: Any) -> Image.Image:
            seen.append(len(list(temporary.iterdir())))
            if len(seen) > 7:
                raise KeyboardInterrupt
            return open_image(content, *rest)

        monkeypatch.setattr(decoding, "open_image", interrupt)
        with pytest.raises(KeyboardInterrupt):
            opened(root)
        assert set(seen) == {1}
        assert list(temporary.iterdir()) == []

    def test_every_file_is_decoded_once(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        decoded = count_decoded(monkeypatch)
        data = opened(root)
        for index in range(50):
            data.train.draw(index % 5, np.random.default_rng(index))
        assert len(decoded) == len(set(decoded)) == 14
        data.close()

    @pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
    def test_images_are_not_gathered_in_memory(self, tmp_path: Path) -> None:
        """Enlarged images decode fast and need much memory: 180 MB here."""
        plain(1, 8, 8).save(tmp_path / "1.bmp")
        program = (
            "import resource, sys\n"
            "from pathlib import Path\n"
            "from translate_plugins.datasets.contents import images\n"
            "from translate_plugins.datasets.decoding import decode\n"
            "from translate_plugins.datasets.listing import Folder, Listing, Part\n"
            "from translate_plugins.datasets.transforms import Transform\n"
            "listing = Listing(Part((Folder('.', ['1.bmp'] * 60, ('A',)),), False), Part((), False))\n"
            "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
            "decoded = decode(Path(sys.argv[1]), listing, Transform(resize=1000), {'A': images(3)}, dict, 10**6)\n"
            "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
        )
        environment = {**os.environ, "TMPDIR": str(tmp_path)}
        done = subprocess.run(
            [sys.executable, "-c", program, tmp_path],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        ahead = 2 * min(max(os.cpu_count() or 1, 2), 16) + 4
        assert int(done.stdout) * 1024 < min(180e6, ahead * 4 * 3e6)

"""Label maps in folders: values are kept to the last one, sizes change by nearest neighbour."""

from __future__ import annotations

import pickle
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from tests.plugins.made_images import bicubic, faults_of, folders, noise, place_of, plain
from translate_core import Dataset, Length, UserError, open_image
from translate_core.runtime.label_maps import read_label_map
from translate_plugins.datasets.paired_folders import PairedFolders
from translate_plugins.datasets.transforms import Transform
from translate_plugins.datasets.unpaired_folders import UnpairedFolders

AS_IS = Transform(flip=False)
CLASSES = tuple(f"class {number}" for number in range(7))
NOT_A_MAP = (
    "not a label map: a greyscale or palette PNG file of at most 8 bits, where each pixel is the number of a class"
)


def numbers(seed: int, height: int = 21, width: int = 31, count: int = 7) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, count, (height, width), dtype=np.uint8)


def grey(pixels: NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray(pixels)


def palette(pixels: NDArray[np.uint8]) -> Image.Image:
    """The same numbers with colours that are not in order of brightness."""
    image = Image.fromarray(pixels).convert("P")
    image.putdata(pixels.reshape(-1).tolist())
    image.putpalette([(97 * number + 13 * channel) % 256 for number in range(256) for channel in range(3)])
    return image


def nearest(pixels: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Each new pixel has the value of the old pixel that its centre lies in.

    From an odd size to an even one no centre lies between two pixels.
    """
    rows = np.floor((np.arange(height) + 0.5) * pixels.shape[0] / height).astype(int)
    columns = np.floor((np.arange(width) + 0.5) * pixels.shape[1] / width).astype(int)
    return pixels[rows][:, columns]


def encoded(image: Image.Image, **saving: Any) -> Image.Image:
    """The image as it is read from a PNG file."""
    buffer = BytesIO()
    image.save(buffer, "PNG", **saving)
    return open_image(buffer.getvalue())


def grey_png(pixels: NDArray[np.uint8], bits: int) -> bytes:
    """A greyscale PNG file of fewer than 8 bits a pixel, which Pillow does not write but optimisers do."""
    height, width = pixels.shape
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([bits, 0, 0, 0, 0])
    digits = np.unpackbits(pixels[..., None], axis=2)[..., -bits:].reshape(height, -1)
    rows = b"".join(b"\0" + np.packbits(row).tobytes() for row in digits)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        len(content).to_bytes(4, "big") + name + content + zlib.crc32(name + content).to_bytes(4, "big")
        for name, content in ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return folders(
        tmp_path / "data" / "tiny",
        trainA={f"{i}.png": (grey, palette)[i % 2](numbers(i)) for i in range(3)},
        trainB={f"{i}.png": noise(10 + i, 21, 31) for i in range(3)},
        testA={"0.png": palette(numbers(20))},
        testB={"0.png": noise(30, 21, 31)},
    )


def opened(kind: type[PairedFolders | UnpairedFolders], root: Path, transform: Transform, **options: Any) -> Dataset:
    data = kind(str(root), transform, **{"maps": ("A",), "classes": CLASSES, **options})
    data.open()
    return data


class TestReading:
    @pytest.mark.parametrize("kind", [grey, palette])
    def test_values_are_kept(self, kind: Any) -> None:
        pixels = numbers(0, count=256)
        read = read_label_map(encoded(kind(pixels)), [str(number) for number in range(256)])
        np.testing.assert_array_equal(np.asarray(read), pixels)

    @pytest.mark.parametrize("bits", [1, 2, 4])
    def test_files_of_fewer_bits(self, bits: int) -> None:
        """Pillow scales the values of greyscale ones to 0 … 255."""
        pixels = numbers(0, count=2**bits)
        classes = [str(number) for number in range(2**bits)]
        np.testing.assert_array_equal(np.asarray(read_label_map(open_image(grey_png(pixels, bits)), classes)), pixels)
        few = encoded(palette(pixels), bits=bits)
        np.testing.assert_array_equal(np.asarray(read_label_map(few, classes)), pixels)

    def test_transparency_and_rotation(self) -> None:
        exif = Image.Exif()
        exif[0x0112] = 6
        read = read_label_map(encoded(palette(numbers(0)), transparency=3, exif=exif), CLASSES)
        np.testing.assert_array_equal(np.asarray(read), np.rot90(numbers(0), -1))

    def test_a_value_beyond_the_classes(self) -> None:
        pixels = numbers(0)
        pixels[4, 9] = pixels[7, 2] = 255
        with pytest.raises(UserError) as failure:
            read_label_map(encoded(grey(pixels)), CLASSES)
        assert str(failure.value) == (
            "holds the value 255 (row 4, column 9), but data.classes lists 7 classes, numbered 0 … 6"
        )
        pixels[pixels == 255] = 6
        read_label_map(encoded(grey(pixels)), CLASSES)


@pytest.mark.parametrize("kind", [PairedFolders, UnpairedFolders])
class TestDatasets:
    def test_states_its_kinds_before_it_is_open(self, kind: type[PairedFolders | UnpairedFolders]) -> None:
        data = kind("nowhere", maps=("A",), classes=CLASSES)
        assert data.domains == ("A", "B")
        assert data.classes == CLASSES
        assert data.kinds == {"real_A": "map", "target_A": "map"}
        assert data.channels == {"A": 1, "B": 3}
        plain_images = kind("nowhere")
        assert (plain_images.kinds, plain_images.classes, plain_images.channels) == ({}, (), {"A": 3, "B": 3})

    def test_draws_hold_the_values_of_the_file(self, kind: type[PairedFolders | UnpairedFolders], root: Path) -> None:
        data = opened(kind, root, AS_IS)
        for index in range(3):
            drawn = data.train.draw(index, np.random.default_rng(0))
            assert drawn["real_A"].dtype == torch.uint8
            np.testing.assert_array_equal(drawn["real_A"], numbers(index)[None])
            assert drawn["real_B"].shape == (3, 21, 31)
        assert data.size == (21, 31)
        data.close()

    @pytest.mark.parametrize(("height", "width"), [(10, 14), (32, 48), (20, 16)])
    def test_resized_by_nearest_neighbour(
        self, kind: type[PairedFolders | UnpairedFolders], root: Path, height: int, width: int
    ) -> None:
        data = opened(kind, root, Transform(resize=(height, width), flip=False))
        drawn = data.train.draw(1, np.random.default_rng(0))
        np.testing.assert_array_equal(drawn["real_A"][0], nearest(numbers(1), height, width))
        np.testing.assert_array_equal(data.test["A"][0]["real_A"][0], nearest(numbers(20), height, width))
        np.testing.assert_array_equal(
            data.test["B"][0]["real_B"].permute(1, 2, 0), bicubic(noise(30, 21, 31), height, width)
        )
        data.close()

    def test_test_images_with_kept_aspect(self, kind: type[PairedFolders | UnpairedFolders], root: Path) -> None:
        data = opened(kind, root, Transform(resize=18, keep_aspect=True, crop=16))
        np.testing.assert_array_equal(data.test["A"][0]["real_A"][0], nearest(numbers(20), 16, 24)[:, 4:20])
        data.close()

    def test_the_other_domain_or_both(self, kind: type[PairedFolders | UnpairedFolders], tmp_path: Path) -> None:
        root = folders(tmp_path, trainA={"0.png": grey(numbers(0))}, trainB={"0.png": palette(numbers(1))})
        data = opened(kind, root, AS_IS, maps=("B",))
        assert data.kinds == {"real_B": "map", "target_B": "map"}
        assert data.channels == {"A": 3, "B": 1}
        data.close()
        data = opened(kind, root, AS_IS, maps=("B", "A"))
        assert set(data.kinds) == {"real_A", "target_A", "real_B", "target_B"}
        drawn = data.train.draw(0, np.random.default_rng(0))
        np.testing.assert_array_equal(drawn["real_B"][0], numbers(1))
        np.testing.assert_array_equal(drawn["real_A"][0], numbers(0))
        data.close()

    def test_files_that_are_no_label_maps(self, kind: type[PairedFolders | UnpairedFolders], root: Path) -> None:
        beyond = numbers(2)
        beyond[0, 3] = 7
        plain(3, 21, 31).save(root / "trainA" / "0.png")
        plain(3, 21, 31).convert("L").save(root / "trainA" / "1.jpg")
        (root / "trainA" / "1.png").unlink()
        grey(beyond).save(root / "trainA" / "2.png")
        whole = (root / "testA" / "0.png").read_bytes()
        (root / "testA" / "0.png").write_bytes(whole[:200])
        Image.fromarray(np.zeros((21, 31), np.uint16)).save(root / "trainA" / "3.png")
        noise(13, 21, 31).save(root / "trainB" / "3.png")
        faults = faults_of(kind(str(root), maps=("A",), classes=CLASSES))
        assert faults[:-1] == [
            (f"{root}/trainA/0.png", f"is a PNG file of mode RGB, {NOT_A_MAP}"),
            (f"{root}/trainA/1.jpg", f"is a JPEG file of mode L, {NOT_A_MAP}"),
            (
                f"{root}/trainA/2.png",
                "holds the value 7 (row 0, column 3), but data.classes lists 7 classes, numbered 0 … 6",
            ),
            (f"{root}/trainA/3.png", f"is a PNG file of mode I;16, {NOT_A_MAP}"),
        ]
        assert faults[-1][0] == f"{root}/testA/0.png"
        assert faults[-1][1].startswith("does not decode: ")

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (
                {"maps": ("A",)},
                "maps needs classes, the names of the numbers 0, 1, … in the label maps, such as classes: [sky, road]",
            ),
            (
                {"classes": ("sky",)},
                "classes are those of label maps, but maps is empty: list their domain, such as maps: [A]",
            ),
            ({"maps": ("A", "A"), "classes": CLASSES}, "maps lists A twice"),
            ({"maps": ("A",), "classes": ("sky", "road", "sky")}, "classes lists sky twice"),
            (
                {"maps": ("B",), "classes": CLASSES, "channels_B": 3},
                "channels_B is 3, but the label maps of B have 1 channel: leave it out",
            ),
            (
                {"maps": ("A",), "classes": tuple(map(str, range(257)))},
                "classes lists 257 names, but an 8-bit label map has at most 256 numbers",
            ),
        ],
    )
    def test_options_that_contradict_each_other(
        self, kind: type[PairedFolders | UnpairedFolders], options: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(UserError) as failure:
            kind("nowhere", **options)
        assert str(failure.value) == message


class TestPairs:
    def test_a_map_and_its_image_share_one_crop_and_one_flip(self, root: Path) -> None:
        data = opened(PairedFolders, root, Transform(resize=18, crop=15))
        wholes = {"real_A": nearest(numbers(1), 18, 18)[..., None], "real_B": bicubic(noise(11, 21, 31), 18, 18)}
        seen = set()
        for seed in range(120):
            item = data.train.draw(1, np.random.default_rng(seed))
            places = {place_of(item[key], whole) for key, whole in wholes.items()}
            assert len(places) == 1
            seen |= places
        assert {flipped for _, _, flipped in seen} == {False, True}
        assert {top for top, _, _ in seen} == {left for _, left, _ in seen} == {0, 1, 2, 3}
        data.close()

    def test_a_map_is_the_target_of_its_image(self, root: Path) -> None:
        data = opened(PairedFolders, root, AS_IS)
        item = data.test["B"][0]
        assert set(item) == {"real_B", "target_A"}
        np.testing.assert_array_equal(item["target_A"][0], numbers(20))
        data.close()

    def test_maps_of_the_second_stage_are_resized_by_nearest_neighbour(self, root: Path) -> None:
        transform = Transform(resize=18, crop=14, crop_until=Length(1, "epochs"), flip=False)
        data = opened(PairedFolders, root, transform)
        drawn = pickle.loads(pickle.dumps(data.train)).in_epoch(1).draw(2, np.random.default_rng(0))
        np.testing.assert_array_equal(drawn["real_A"][0], nearest(numbers(2), 14, 14))
        data.close()

    def test_a_map_of_another_size_than_its_image(self, root: Path) -> None:
        grey(numbers(0, 10, 31)).save(root / "trainA" / "0.png")
        ((path, message),) = faults_of(PairedFolders(str(root), maps=("A",), classes=CLASSES))
        assert path == f"{root}/trainA/0.png"
        assert message.startswith("is 10 × 31 (height × width), but its counterpart ")

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.plugins.made_images import beside, bicubic, faults_of, folders, noise, plain, share_crop_and_flip
from translate_core.errors import DataError
from translate_plugins.datasets.paired_folders import PairedFolders
from translate_plugins.datasets.transforms import Transform
from translate_plugins.datasets.unpaired_folders import UnpairedFolders

AS_IS = Transform(flip=False)
NAMES = "the images of a pair have the same name, whatever their ending."
REMEDY = f"{NAMES} Add them, remove these, or use data.type unpaired_folders"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Images are identified by their grey values: those of B are 100 more than their counterparts."""
    return folders(
        tmp_path / "data" / "tiny",
        trainA={f"{i}.png": plain(10 + i) for i in range(4)},
        trainB={f"{i}.png": plain(110 + i) for i in range(4)},
        testA={f"{i}.png": plain(20 + i) for i in range(2)},
        testB={f"{i}.png": plain(120 + i) for i in range(2)},
    )


def opened(root: Path, transform: Transform = AS_IS, **options: Any) -> PairedFolders:
    data = PairedFolders(str(root), transform, **options)
    data.open()
    return data


def values(item: dict[str, torch.Tensor]) -> dict[str, int]:
    return {key: int(image[0, 0, 0]) for key, image in item.items()}


class TestPairs:
    def test_a_draw_is_a_pair(self, root: Path) -> None:
        data = opened(root)
        assert len(data.train) == 4
        assert data.train.shuffled
        for index in (3, 0, 2, 1):
            item = data.train.draw(index, np.random.default_rng(index))
            assert values(item) == {"real_A": 10 + index, "real_B": 110 + index}
        assert data.size == (24, 32)
        assert data.operation_keys == {"root", "download", "max_pixels"}
        assert not opened(root, shuffle=False).train.shuffled
        data.close()

    def test_test_images_have_their_counterpart_as_target(self, root: Path) -> None:
        data = opened(root)
        assert {domain: len(split) for domain, split in data.test.items()} == {"A": 2, "B": 2}
        assert values(data.test["A"][1]) == {"real_A": 21, "target_B": 121}
        assert values(data.test["B"][0]) == {"real_B": 120, "target_A": 20}
        assert data.test["B"].name(1) == "1.png"
        data.close()

    def test_without_test_folders(self, root: Path) -> None:
        for folder in ("testA", "testB"):
            (root / folder).rename(root / folder.replace("test", "held_out_"))
        data = opened(root)
        assert data.test == {}
        data.close()

    def test_pairs_are_matched_by_path_without_ending(self, tmp_path: Path) -> None:
        names = {"a.jpg": "a.png", "b.c.png": "b.c.PNG", "sub/a.png": "sub/a.bmp", "é.png": "é.webp"}
        root = folders(
            tmp_path / "set",
            trainA={name: plain(20 * number) for number, name in enumerate(names)},
            trainB={name: plain(20 * number + 9) for number, name in enumerate(names.values())},
        )
        data = opened(root, shuffle=False)
        drawn = [values(data.train.draw(index, np.random.default_rng(0))) for index in range(4)]
        assert [(item["real_A"], item["real_B"]) for item in drawn] == [(0, 9), (20, 29), (40, 49), (60, 69)]
        data.close()

    def test_endings_A_and_B_of_names_are_ignored(self, tmp_path: Path) -> None:
        """As in the authors' facades and maps; 10_A sorts before 1_A, 10_B before 1_B."""
        numbers = (1, 2, 10)
        root = folders(
            tmp_path / "set",
            trainA={f"{number}_A.jpg": plain(number) for number in numbers},
            trainB={f"{number}_B.jpg": plain(100 + number) for number in numbers},
        )
        data = opened(root, shuffle=False)
        drawn = [values(data.train.draw(index, np.random.default_rng(0))) for index in range(3)]
        assert [(item["real_A"], item["real_B"]) for item in drawn] == [(10, 110), (1, 101), (2, 102)]
        data.close()

    def test_endings_A_and_B_are_kept_unless_all_names_have_them(self, tmp_path: Path) -> None:
        root = folders(
            tmp_path / "set",
            trainA={"vitamin_A.png": plain(1), "group_B.png": plain(2)},
            trainB={"vitamin_A.png": plain(101), "group_B.png": plain(102)},
        )
        data = opened(root, shuffle=False)
        assert values(data.train.draw(1, np.random.default_rng(0))) == {"real_A": 1, "real_B": 101}
        data.close()

    def test_kinds_of_images_may_differ(self, tmp_path: Path) -> None:
        """A photograph, which an EXIF rotation turns upright, and a map of one channel."""
        exif = Image.Exif()
        exif[0x0112] = 6
        root = folders(tmp_path / "set", trainB={"1.tif": noise(2, channels=1)})
        (root / "trainA").mkdir()
        noise(1, 32, 24).save(root / "trainA" / "1.png", exif=exif)
        data = opened(root, channels_B=1)
        item = data.train.draw(0, np.random.default_rng(0))
        assert data.channels == {"A": 3, "B": 1}
        np.testing.assert_array_equal(item["real_A"].permute(1, 2, 0), np.rot90(np.asarray(noise(1, 32, 24)), -1))
        np.testing.assert_array_equal(item["real_B"][0], np.asarray(noise(2, channels=1)))
        data.close()


class TestCropAndFlip:
    @pytest.fixture
    def pairs(self, tmp_path: Path) -> Path:
        return folders(
            tmp_path / "set",
            trainA={f"{i}.png": noise(i, 20, 30) for i in range(2)},
            trainB={f"{i}.png": noise(10 + i, 20, 30) for i in range(2)},
            testA={"1.png": noise(1, 20, 30)},
            testB={"1.png": noise(2, 20, 30)},
        )

    def test_pairs_share_one_crop_and_one_flip(self, pairs: Path) -> None:
        data = opened(pairs, Transform(resize=18, crop=15))
        wholes = {"real_A": bicubic(noise(1, 20, 30), 18, 18), "real_B": bicubic(noise(11, 20, 30), 18, 18)}
        share_crop_and_flip(data.train, 1, wholes)
        data.close()

    def test_test_images_are_resized_to_the_crop(self, pairs: Path) -> None:
        data = opened(pairs, Transform(resize=18, crop=15))
        item = data.test["B"][0]
        np.testing.assert_array_equal(item["real_B"].permute(1, 2, 0), bicubic(noise(2, 20, 30), 15, 15))
        np.testing.assert_array_equal(item["target_A"].permute(1, 2, 0), bicubic(noise(1, 20, 30), 15, 15))
        data.close()

    def test_a_draw_depends_on_its_arguments_alone(self, pairs: Path) -> None:
        data = opened(pairs, Transform(resize=18, crop=15))
        first = data.train.draw(1, np.random.default_rng(7))
        again = pickle.loads(pickle.dumps(data.train)).draw(1, np.random.default_rng(7))
        assert all(torch.equal(first[key], again[key]) for key in ("real_A", "real_B"))
        first["real_A"].zero_()
        assert torch.equal(data.train.draw(1, np.random.default_rng(7))["real_A"], again["real_A"])
        data.close()

    def test_pairs_of_several_sizes_are_accepted_when_resized(self, tmp_path: Path) -> None:
        root = folders(tmp_path, trainA={"1.png": noise(1, 40, 60)}, trainB={"1.png": noise(2, 13, 17)})
        data = opened(root, Transform(resize=18, crop=15))
        assert {image.shape for image in data.train.draw(0, np.random.default_rng(0)).values()} == {(3, 15, 15)}
        data.close()


class TestFingerprint:
    @pytest.mark.parametrize("folder", ["trainA", "trainB", "testA", "testB"])
    def test_changes_with_any_file(self, root: Path, folder: str) -> None:
        data = opened(root)
        before = data.fingerprint()
        plain(77).save(root / folder / "1.png")
        data.open()
        assert data.fingerprint() != before
        data.close()

    def test_equals_that_of_the_same_files_read_as_unpaired(self, root: Path) -> None:
        paired, unpaired = opened(root), UnpairedFolders(str(root))
        unpaired.open()
        assert paired.fingerprint() == unpaired.fingerprint()
        paired.close()
        unpaired.close()


class TestFaults:
    def test_missing_counterparts_are_named_both_ways_and_in_all_folders(self, root: Path) -> None:
        folders(root, trainA={"x.png": plain(0), "y.png": plain(0)}, trainB={"z.png": plain(0)})
        (root / "testB" / "0.png").unlink()
        assert faults_of(PairedFolders(str(root))) == [
            (f"{root}/trainB", f"lacks the counterparts of 2 of 6 images in trainA: x.png, y.png; {REMEDY}"),
            (f"{root}/trainA", f"lacks the counterparts of 1 of 5 images in trainB: z.png; {REMEDY}"),
            (f"{root}/testB", f"lacks the counterparts of 1 of 2 images in testA: 0.png; {REMEDY}"),
        ]

    def test_of_many_twenty_are_named(self, root: Path) -> None:
        folders(root, trainB={f"x{number:02}.png": plain(0, 2, 2) for number in range(27)})
        ((path, message),) = faults_of(PairedFolders(str(root)))
        named = ", ".join(f"x{number:02}.png" for number in range(20))
        assert path == f"{root}/trainA"
        assert message == f"lacks the counterparts of 27 of 31 images in trainB: {named} and 7 more; {REMEDY}"

    def test_names_differ_in_case(self, root: Path) -> None:
        (root / "testA" / "0.png").rename(root / "testA" / "a.png")
        (root / "testB" / "0.png").rename(root / "testB" / "A.png")
        assert [message.partition(";")[0] for _, message in faults_of(PairedFolders(str(root)))] == [
            "lacks the counterparts of 1 of 2 images in testA: a.png",
            "lacks the counterparts of 1 of 2 images in testB: A.png",
        ]

    def test_only_one_test_folder(self, root: Path) -> None:
        for path in (root / "testB").iterdir():
            path.unlink()
        (root / "testB").rmdir()
        assert faults_of(PairedFolders(str(root))) == [
            (f"{root}/testB", f"lacks the counterparts of 2 of 2 images in testA: 0.png, 1.png; {REMEDY}")
        ]

    def test_two_files_of_one_name(self, root: Path) -> None:
        folders(root, trainA={"1.jpg": plain(0)}, testB={"0.tif": plain(0)})
        assert faults_of(PairedFolders(str(root))) == [
            (f"{root}/trainA/1.png", "has the same name as 1.jpg apart from the ending: keep one of the two"),
            (f"{root}/testB/0.tif", "has the same name as 0.png apart from the ending: keep one of the two"),
        ]

    def test_pairs_of_different_size(self, root: Path) -> None:
        plain(0, 20, 30).save(root / "trainB" / "1.png")
        plain(0, 20, 32).save(root / "testA" / "0.png")
        (root / "trainA" / "3.png").write_bytes(b"")
        faults = faults_of(PairedFolders(str(root), Transform(crop=16)))
        advice = "the images of a pair must have one size; resize them, or set transform.resize without keep_aspect"
        assert faults == [
            (f"{root}/trainA/3.png", "is empty (0 bytes)"),
            (
                f"{root}/trainA/1.png",
                f"is 24 × 32 (height × width), but its counterpart {root}/trainB/1.png is 20 × 30: {advice}",
            ),
        ]  # test images are resized to the crop
        assert faults_of(PairedFolders(str(root)))[1:] == [
            *faults[1:],
            (
                f"{root}/testA/0.png",
                f"is 20 × 32 (height × width), but its counterpart {root}/testB/0.png is 24 × 32: {advice}",
            ),
        ]

    def test_pairs_whose_aspects_differ_and_are_kept(self, root: Path) -> None:
        plain(0, 30, 30).save(root / "trainB" / "1.png")
        faults = faults_of(PairedFolders(str(root), Transform(resize=18, keep_aspect=True, crop=16)))
        assert [(path, message.partition(":")[0]) for path, message in faults] == [
            (
                f"{root}/trainA/1.png",
                f"is 18 × 24 (height × width), but its counterpart {root}/trainB/1.png is 18 × 18",
            )
        ]

    def test_folders_as_for_unpaired_ones(self, root: Path, tmp_path: Path) -> None:
        assert faults_of(PairedFolders(str(root.parent)))[0] == (
            f"{root.parent}/trainA",
            f"does not exist, but tiny has a trainA: set data.root to {root}",
        )
        for path in (root / "trainB").iterdir():
            path.unlink()
        assert faults_of(PairedFolders(str(root))) == [
            (f"{root}/trainB", "holds no images; it needs jpg, jpeg, png, webp, bmp, tif or tiff files")
        ]
        loose = folders(tmp_path, loose={"1.jpg": plain(0)}) / "loose"
        message = (
            f"does not exist, and {loose} itself holds an image, 1.jpg: "
            "move those of domain A into trainA, those of domain B into trainB"
        )
        assert faults_of(PairedFolders(str(loose))) == [(f"{loose}/trainA", message), (f"{loose}/trainB", message)]

    @pytest.mark.parametrize("kind", [PairedFolders, UnpairedFolders])
    def test_images_side_by_side(self, tmp_path: Path, kind: type[UnpairedFolders]) -> None:
        root = folders(tmp_path, train={"1.jpg": beside(plain(0), plain(1))}, val={"2.jpg": plain(2)})
        message = (
            f"does not exist, but {root} has a train with images in it: "
            "two images side by side in a file are data.type paired_side_by_side"
        )
        assert faults_of(kind(str(root))) == [(f"{root}/trainA", message), (f"{root}/trainB", message)]


class TestPairedTestOfUnpairedFolders:
    def test_the_targets_of_test_images(self, root: Path) -> None:
        folders(root, trainB={"more.png": plain(7)})
        data = UnpairedFolders(str(root), AS_IS, paired_test=True)
        data.open()
        assert len(data.train) == 5
        assert values(data.test["A"][1]) == {"real_A": 21, "target_B": 121}
        assert values(data.test["B"][0]) == {"real_B": 120, "target_A": 20}
        drawn = {values(data.train.draw(0, np.random.default_rng(seed)))["real_B"] for seed in range(100)}
        assert drawn == {110, 111, 112, 113, 7}
        data.close()

    def test_missing_counterparts(self, root: Path) -> None:
        folders(root, testB={"more.png": plain(7)})
        assert faults_of(UnpairedFolders(str(root), paired_test=True)) == [
            (
                f"{root}/testA",
                f"lacks the counterparts of 1 of 3 images in testB: more.png; {NAMES} "
                "Add them, remove these, or set data.paired_test to false",
            )
        ]

    def test_missing_folders(self, root: Path) -> None:
        (root / "testA").rename(root / "held_out")
        for path in (root / "testB").iterdir():
            path.unlink()
        with pytest.raises(DataError) as failure:
            UnpairedFolders(str(root), paired_test=True).open()
        assert [(fault.path, fault.message) for fault in failure.value.faults] == [
            (
                f"{root}/testA",
                f"does not exist. {root} holds: held_out, testB, trainA, trainB. "
                "Add it, or set data.paired_test to false",
            ),
            (f"{root}/testB", "holds no images; it needs jpg, jpeg, png, webp, bmp, tif or tiff files"),
        ]

from __future__ import annotations

import dataclasses
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from translate_core import UserError
from translate_core.components.signature import options_of
from translate_core.contracts.dataset import Item
from translate_plugins.datasets._drawing import Animal, Grid, Pose, Species
from translate_plugins.datasets.synthetic import Synthetic

SPECIES: tuple[Species, ...] = ("horse", "zebra", "pony")
COUNTS: dict[str, Any] = {"train": 60, "test": 24}


def opened(**options: Any) -> Synthetic:
    dataset = Synthetic(**{**COUNTS, **options})
    dataset.open()
    return dataset


@pytest.fixture(scope="module")
def dataset() -> Synthetic:
    return opened()


@pytest.fixture(scope="module")
def plain() -> Synthetic:
    return opened(flip=False)


def training_images(dataset: Synthetic) -> tuple[Tensor, Tensor]:
    """Every training image of A, and those of B that occur in many draws."""
    items = [dataset.train.draw(i % len(dataset.train), np.random.default_rng(i)) for i in range(5 * COUNTS["train"])]
    horses = torch.stack([item["real_A"] for item in items[: len(dataset.train)]])
    return horses, torch.unique(torch.stack([item["real_B"] for item in items]), dim=0)


def pairs(dataset: Synthetic) -> tuple[Tensor, Tensor]:
    """All test scenes, drawn with horses and with zebras."""
    a, b = (list(map(dataset.test[domain].__getitem__, range(len(dataset.test[domain])))) for domain in "AB")
    horses = [item["real_A"] for item in a] + [item["target_A"] for item in b]
    zebras = [item["target_B"] for item in a] + [item["real_B"] for item in b]
    return torch.stack(horses), torch.stack(zebras)


def same(first: Item, second: Item) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


def distances(first: Tensor, second: Tensor) -> Tensor:
    """Mean absolute difference of each image of one with each of the other, in grey levels."""
    return torch.cdist(first.flatten(1).float(), second.flatten(1).float(), p=1) / first[0].numel()


def test_declares_what_it_draws(dataset: Synthetic) -> None:
    assert dataset.channels == {"A": 3, "B": 3}
    assert dataset.size == (64, 64)
    assert len(dataset.train) == 60
    assert {domain: len(split) for domain, split in dataset.test.items()} == {"A": 24, "B": 24}
    assert [dataset.test["A"].name(index) for index in (0, 23)] == ["0000", "0023"]
    item = dataset.train.draw(3, np.random.default_rng(0))
    assert {key: (image.dtype, image.shape) for key, image in item.items()} == {
        "real_A": (torch.uint8, (3, 64, 64)),
        "real_B": (torch.uint8, (3, 64, 64)),
    }
    assert set(dataset.test["A"][0]) == {"real_A", "target_B"}
    assert set(dataset.test["B"][0]) == {"real_B", "target_A"}


@pytest.mark.parametrize("size", [16, 20, 128])
def test_draws_every_size(size: int) -> None:
    dataset = opened(size=size, train=2, test=1)
    assert dataset.size == (size, size)
    assert dataset.train.draw(1, np.random.default_rng(0))["real_B"].shape == (3, size, size)


@pytest.mark.parametrize("size", [0, 12, 30, 64.0, "64"])
def test_refuses_other_sizes(size: object) -> None:
    options = options_of(Synthetic, given=())
    assert options["size"].validate(48) == 48
    with pytest.raises(ValueError, match="must be"):
        options["size"].validate(size)


def test_an_image_depends_only_on_its_number(plain: Synthetic) -> None:
    fewer = opened(train=7, test=3, flip=False)
    for domain in "AB":
        for index in range(3):
            assert same(fewer.test[domain][index], plain.test[domain][index])
    for index in range(7):
        drawn, again = (split.draw(index, np.random.default_rng(1)) for split in (fewer.train, plain.train))
        assert torch.equal(drawn["real_A"], again["real_A"])


def test_seed_and_size_decide_the_fingerprint() -> None:
    variants: list[dict[str, Any]] = [{}, {"seed": 1}, {"size": 48}, {"train": 1}, {"test": 1}]
    assert len({Synthetic(**options).fingerprint() for options in variants}) == 5
    assert Synthetic(flip=False).fingerprint() == Synthetic().fingerprint()


def test_seeds_share_no_scene(plain: Synthetic) -> None:
    horses, _ = pairs(plain)
    others, _ = pairs(opened(seed=1, train=1))
    assert distances(horses, others).min() > 8.0


def test_no_scene_is_in_both_domains(plain: Synthetic) -> None:
    horses, zebras = training_images(plain)
    assert len(zebras) > 50
    test_horses, test_zebras = pairs(plain)
    # The drawings of one scene differ on the coat alone; those of two scenes nearly everywhere.
    paired = (test_horses == test_zebras).all(1).float().mean((1, 2))
    strangers = torch.stack([(horse == zebras).all(1).float().mean((1, 2)) for horse in horses])
    assert paired.min() > 0.6
    assert strangers.max() < 0.15
    paired_distance = (test_horses.float() - test_zebras.float()).abs().mean((1, 2, 3))
    assert distances(horses, zebras).min() > 1.2 * paired_distance.mean()


def test_training_shows_no_test_scene(plain: Synthetic) -> None:
    horses, zebras = training_images(plain)
    test_horses, test_zebras = pairs(plain)
    assert distances(horses, test_horses).min() > 8.0
    assert distances(zebras, test_zebras).min() > 8.0


def test_the_target_differs_only_on_the_coat(plain: Synthetic) -> None:
    horses, zebras = pairs(plain)
    changed = (horses != zebras).any(1)
    share = changed.float().mean((1, 2))
    assert share.min() > 0.08
    assert share.max() < 0.4
    # The border of the image is background, except where an animal reaches over it.
    assert changed[:, 0].float().mean() < 0.02
    # Wherever the two differ, cream is much lighter.
    lighter = (zebras.float() - horses.float()).mean(1)[changed]
    assert (lighter > 0).float().mean() > 0.99
    assert lighter.mean() > 60


def test_each_image_determines_the_other(plain: Synthetic) -> None:
    horses, zebras = (images.float() / 255 for images in pairs(plain))
    change = (zebras - horses).amax(1)
    for horse, zebra, changed in zip(horses, zebras, change, strict=True):
        cream, kept = changed > 0.3 * changed.max(), changed == 0
        # Cream is the same colour for all zebras.
        full = changed > 0.99 * changed.max()
        assert (zebra[:, full].amax(1) - torch.tensor([0.97, 0.95, 0.88])).abs().max() < 0.02
        # Where the zebra is cream, the horse is slightly lighter than the dark stripes.
        coat = horse[:, full].median(dim=1).values - 0.09
        assert (zebra[:, kept] - coat[:, None]).abs().amax(0).min() < 0.02
        assert cream.sum() > 100


def test_a_mirrored_animal_has_the_stripes_of_one_that_faces_the_other_way() -> None:
    grid = Grid(64)
    for seed in range(10):
        pose = Pose.drawn(np.random.default_rng(seed))
        turned = dataclasses.replace(pose, centre=(1.0 - pose.centre[0], pose.centre[1]), facing=-pose.facing)
        first, second = Animal(grid, pose), Animal(grid, turned)
        for plane in ("coverage", "light", "dark", "shade"):
            assert getattr(second, plane) == pytest.approx(getattr(first, plane)[:, ::-1], abs=1e-3)


def test_animals_fill_much_of_the_image() -> None:
    grid = Grid(64)
    shares = [float(Animal(grid, Pose.drawn(np.random.default_rng(seed))).coverage.mean()) for seed in range(40)]
    assert 0.25 < np.mean(shares) < 0.4
    assert min(shares) > 0.15


def test_unchanged_is_a_poor_translation(plain: Synthetic) -> None:
    horses, zebras = (images.float() / 255 for images in pairs(plain))
    psnr = -10 * (horses - zebras).square().mean((1, 2, 3)).log10()
    assert 13 < psnr.mean() < 17


def test_domains_have_the_same_scenery(dataset: Synthetic) -> None:
    horses, _ = training_images(dataset)
    _, zebras = pairs(dataset)
    corners = [images[..., :12, :12].float().mean((0, 2, 3)) for images in (horses, zebras)]
    assert (corners[0] - corners[1]).abs().max() < 25


def test_animals_face_both_ways_in_all_colours(plain: Synthetic) -> None:
    horses, zebras = pairs(plain)
    changed = (horses != zebras).any(1).float()
    # Necks and heads are in the upper half in front, so the stripes there show which way an animal faces.
    columns = torch.arange(64.0)
    upper = changed[:, :24].sum(1)
    balance = (upper * columns).sum(1) / upper.sum(1).clamp(min=1) - 31.5
    assert 10 < int((balance > 0).sum()) < 38
    assert horses.float().std(0).mean() > 25


def test_draws_are_a_function_of_index_and_generator(dataset: Synthetic) -> None:
    first, again, other = (dataset.train.draw(5, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert same(first, again)
    assert not same(first, other)
    first["real_A"].zero_()
    assert same(again, dataset.train.draw(5, np.random.default_rng(0)))
    dataset.test["A"][0]["target_B"].zero_()
    assert int(dataset.test["A"][0]["target_B"].sum()) > 0


def test_flips_each_image_independently_half_the_time(dataset: Synthetic, plain: Synthetic) -> None:
    upright = plain.train.draw(0, np.random.default_rng(0))["real_A"]
    horses, zebras = training_images(plain)
    flips = []
    for seed in range(200):
        item = dataset.train.draw(0, np.random.default_rng(seed))
        assert torch.equal(item["real_A"], upright) or torch.equal(item["real_A"], upright.flip(2))
        zebra = item["real_B"]
        stays = bool((zebras == zebra).flatten(1).all(1).any())
        flips.append((not torch.equal(item["real_A"], upright), not stays))
    both = np.array(flips)
    assert (both.mean(0) > 0.38).all()
    assert (both.mean(0) < 0.62).all()
    assert 0.38 < (both[:, 0] != both[:, 1]).mean() < 0.62
    assert len(horses) == 60


def test_b_is_drawn_with_replacement(plain: Synthetic) -> None:
    zebras = torch.stack([plain.train.draw(i, np.random.default_rng(i))["real_B"] for i in range(60)])
    assert 25 < len(torch.unique(zebras, dim=0)) < 50


def test_pairs_are_two_drawings_of_one_scene_mirrored_together(plain: Synthetic) -> None:
    paired, upright = opened(paired=True), opened(paired=True, flip=False)
    assert len(paired.train) == 60
    for index in (0, 17, 59):
        horse, zebra = (upright.train.draw(index, np.random.default_rng(1))[key] for key in ("real_A", "real_B"))
        # The horses are those of the unpaired set; the zebra differs only on the coat.
        assert torch.equal(horse, plain.train.draw(index, np.random.default_rng(1))["real_A"])
        changed = (horse != zebra).any(0)
        assert 0.08 < changed.float().mean() < 0.4
        assert ((zebra.float() - horse.float()).mean(0)[changed] > 0).float().mean() > 0.99
        flipped = 0
        for seed in range(60):
            item = paired.train.draw(index, np.random.default_rng(seed))
            mirrored = not torch.equal(item["real_A"], horse)
            expected = [image.flip(2) if mirrored else image for image in (horse, zebra)]
            assert torch.equal(item["real_A"], expected[0])
            assert torch.equal(item["real_B"], expected[1])
            flipped += mirrored
        assert 15 < flipped < 45


def test_pairs_change_neither_test_images_nor_unpaired_draws(plain: Synthetic) -> None:
    paired = opened(paired=True, flip=False)
    for domain in "AB":
        assert all(same(paired.test[domain][index], plain.test[domain][index]) for index in range(24))
    assert paired.fingerprint() != plain.fingerprint()
    assert plain.fingerprint() == "df57b1ad458b9a3c"  # that of runs started before pairs existed


def test_the_order_of_random_choices_in_an_unpaired_draw(dataset: Synthetic, plain: Synthetic) -> None:
    """The index of B, the flip of A, the flip of B: runs started earlier continue with the same images."""
    horses, zebras = plain.train._horses, plain.train._zebras  # type: ignore[attr-defined]
    for seed in range(20):
        rng = np.random.default_rng(seed)
        other, flips = rng.integers(60), [rng.random() < 0.5 for _ in "AB"]
        pair = zip((horses[7], zebras[other]), flips, strict=True)
        expected = [image[..., ::-1] if flip else image for image, flip in pair]
        item = dataset.train.draw(7, np.random.default_rng(seed))
        assert np.array_equal(item["real_A"], expected[0])
        assert np.array_equal(item["real_B"], expected[1])


def test_splits_survive_pickling(dataset: Synthetic) -> None:
    train, test = pickle.loads(pickle.dumps((dataset.train, dict(dataset.test))))
    assert same(train.draw(2, np.random.default_rng(3)), dataset.train.draw(2, np.random.default_rng(3)))
    assert same(test["B"][4], dataset.test["B"][4])


def test_without_domains_a_run_that_started_before_them_resumes() -> None:
    """Tests above and below hold its images and the order of its random choices."""
    dataset = Synthetic(train=12, test=6)
    assert (dataset.domains, dataset.kinds, dataset.classes) == (("A", "B"), {}, ())
    assert dataset.fingerprint() == "c4c8707f000a4c23"


class TestDomains:
    """Three domains by name: labelled draws, and targets in every other domain."""

    @pytest.fixture(scope="class")
    @classmethod
    def three(cls) -> Synthetic:
        return opened(domains=SPECIES, flip=False)

    def every(self, dataset: Synthetic) -> dict[str, Tensor]:
        """All test scenes, drawn with each species: (scenes, 3, H, W)."""
        items = [dataset.test[domain][index] for domain in SPECIES for index in range(COUNTS["test"])]
        return {
            name: torch.stack([item.get(f"real_{name}", item.get(f"target_{name}")) for item in items])
            for name in SPECIES
        }

    def test_declares_what_it_draws(self, three: Synthetic) -> None:
        assert three.domains == SPECIES
        assert three.kinds == {"label": "label"}
        assert three.channels == dict.fromkeys(SPECIES, 3)
        assert len(three.train) == 180
        item = three.train.draw(130, np.random.default_rng(0))
        assert {name: (tensor.dtype, tuple(tensor.shape)) for name, tensor in item.items()} == {
            "real": (torch.uint8, (3, 64, 64)),
            "other": (torch.uint8, (3, 64, 64)),
            "label": (torch.int64, ()),
        }
        assert {domain: len(split) for domain, split in three.test.items()} == dict.fromkeys(SPECIES, 24)
        assert set(three.test["zebra"][0]) == {"real_zebra", "target_horse", "target_pony"}

    def test_an_epoch_has_each_image_once_and_another_of_its_domain(self, three: Synthetic) -> None:
        items = [three.train.draw(index, np.random.default_rng(index)) for index in range(180)]
        assert [int(item["label"]) for item in items] == [0] * 60 + [1] * 60 + [2] * 60
        real, other = (torch.stack([item[name] for item in items]) for name in ("real", "other"))
        assert len(torch.unique(real, dim=0)) == 180
        where = [int((real == image).flatten(1).all(1).nonzero().item()) for image in other]
        assert [place // 60 for place in where] == [int(item["label"]) for item in items]
        assert all(place != index for index, place in enumerate(where))
        assert 80 < len(set(where)) < 150  # at random, with replacement

    def test_both_images_are_mirrored_independently(self, three: Synthetic) -> None:
        mirrored = opened(domains=SPECIES)
        horses = torch.stack([three.train.draw(index, np.random.default_rng(0))["real"] for index in range(60)])
        flips = []
        for seed in range(200):
            item, upright = (data.train.draw(7, np.random.default_rng(seed)) for data in (mirrored, three))
            flipped = torch.equal(item["real"], upright["real"].flip(2))
            assert flipped or torch.equal(item["real"], upright["real"])
            stays = bool((horses == item["other"]).flatten(1).all(1).any())
            flips.append((flipped, not stays))
        both = np.array(flips)
        assert (both.mean(0) > 0.38).all()
        assert (both.mean(0) < 0.62).all()
        assert 0.38 < (both[:, 0] != both[:, 1]).mean() < 0.62

    def test_horses_and_zebras_are_those_of_the_plain_set(self, three: Synthetic, plain: Synthetic) -> None:
        horses, zebras = training_images(plain)
        of_three = torch.stack([three.train.draw(60 + i, np.random.default_rng(0))["real"] for i in range(60)])
        assert all((of_three == zebra).flatten(1).all(1).any() for zebra in zebras)
        for index in range(60):
            assert torch.equal(three.train.draw(index, np.random.default_rng(0))["real"], horses[index])
        for ours, theirs in (("horse", "A"), ("zebra", "B")):
            for index in range(24):
                item, other = three.test[ours][index], plain.test[theirs][index]
                assert torch.equal(item[f"real_{ours}"], other[f"real_{theirs}"])
        assert torch.equal(three.test["horse"][3]["target_zebra"], plain.test["A"][3]["target_B"])

    def test_any_two_or_three_in_any_order(self, three: Synthetic) -> None:
        two = opened(domains=("pony", "horse"), flip=False)
        assert len(two.train) == 120
        assert torch.equal(
            two.train.draw(5, np.random.default_rng(0))["real"], three.train.draw(125, np.random.default_rng(0))["real"]
        )
        assert int(two.train.draw(5, np.random.default_rng(0))["label"]) == 0
        assert set(two.test["horse"][0]) == {"real_horse", "target_pony"}

    def test_no_scene_is_in_two_domains(self, three: Synthetic) -> None:
        def images(label: int) -> Tensor:
            return torch.stack([three.train.draw(60 * label + i, np.random.default_rng(0))["real"] for i in range(60)])

        for first, second in ((0, 1), (0, 2), (1, 2)):
            strangers = torch.stack([(image == images(second)).all(1).float().mean((1, 2)) for image in images(first)])
            assert strangers.max() < 0.15  # of one scene at least 0.6 is equal

    def test_a_pony_differs_from_the_horse_on_the_whole_animal_and_nowhere_else(self, three: Synthetic) -> None:
        every = self.every(three)
        changed = (every["pony"] != every["horse"]).any(1)
        striped = (every["zebra"] != every["horse"]).any(1)
        assert not (striped & ~changed).any()
        share = changed.float().mean((1, 2))
        assert share.min() > 0.15
        assert share.max() < 0.55

    def test_the_colour_of_a_pony_is_a_linear_function_of_the_horses_and_back(self, three: Synthetic) -> None:
        """red of 0.42 + 0.6 blue, green of 0.28 + 0.6 green, blue of 0.40 + 0.75 red, where nothing shades the coat."""
        every = {name: images.double() / 255 for name, images in self.every(three).items()}
        for horse, zebra, pony in zip(*(every[name] for name in SPECIES), strict=True):
            cream = (zebra - horse).amax(0)
            full = cream > 0.99 * cream.max()  # unshaded, where the coat is lighter by 0.09
            coat = horse[:, full].median(dim=1).values - 0.09
            expected = torch.tensor([0.42, 0.28, 0.40]).double() + torch.tensor([0.6, 0.6, 0.75]).double() * coat.flip(
                0
            )
            found = pony[:, full].median(dim=1).values - 0.09
            assert (found - expected).abs().max() < 0.02
            assert (pony[:, full].max()) < 1.0  # nothing is clipped, so the horse can be computed back

    def test_ponies_are_violet_and_horses_are_not(self, three: Synthetic) -> None:
        every = {name: images.double() / 255 for name, images in self.every(three).items()}
        cream = (every["zebra"] - every["horse"]).amax(1)
        for horse, pony, mask in zip(every["horse"], every["pony"], cream, strict=True):
            full = mask > 0.9 * mask.max()
            violet, brown = (image[:, full].mean(1) for image in (pony, horse))
            assert violet[[0, 2]].min() > violet[1] - 0.06
            assert violet[2] > 0.5
            assert brown.mean() < violet.mean() - 0.12

    def test_manes_are_light(self, three: Synthetic) -> None:
        every = self.every(three)
        changed = (every["pony"] != every["horse"]).any(1) & (every["zebra"] == every["horse"]).all(1)
        dark = changed & (every["horse"].amax(1) < 70)
        assert dark.flatten(1).sum(1).min() > 10
        lighter = (every["pony"].float() - every["horse"].float()).mean(1)[dark]
        assert lighter.mean() > 100

    def test_the_fingerprint_depends_on_the_domains_and_their_order(self) -> None:
        variants: list[dict[str, Any]] = [
            {},
            {"domains": SPECIES},
            {"domains": SPECIES[::-1]},
            {"domains": SPECIES[:2]},
            {"domains": SPECIES, "seed": 1},
        ]
        assert len({Synthetic(**options).fingerprint() for options in variants}) == 5

    def test_draws_survive_pickling_and_are_copies(self, three: Synthetic) -> None:
        train, test = pickle.loads(pickle.dumps((three.train, dict(three.test))))
        first, again = (split.draw(70, np.random.default_rng(3)) for split in (train, three.train))
        assert same(first, again)
        assert same(test["pony"][4], three.test["pony"][4])
        again["other"].zero_()
        assert same(first, three.train.draw(70, np.random.default_rng(3)))

    def test_the_ponies_are_those_of_the_drawing_version(self, three: Synthetic) -> None:
        """Fails when a pony changes: then change PONIES too, so that runs detect it. Rounding may differ."""
        ponies = self.every(three)["pony"]
        means = [float(ponies[index].float().mean()) for index in (0, 30, 60)]
        assert means == pytest.approx([169.3, 147.8, 139.3], abs=0.1)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"domains": ("horse", "pony", "horse")}, "domains lists horse twice"),
            ({"domains": ("pony",)}, "domains lists pony only: at least two of horse, zebra, pony are needed"),
            (
                {"domains": SPECIES, "paired": True},
                "paired is true, but with domains images are drawn one by one: leave one of the two out",
            ),
            (
                {"domains": SPECIES, "train": 1},
                "train is 1, but with domains a draw takes two different images of a domain: set it to 2 or more",
            ),
        ],
    )
    def test_options_that_contradict_each_other(self, options: dict[str, Any], message: str) -> None:
        with pytest.raises(UserError) as failure:
            Synthetic(**options)
        assert str(failure.value) == message


def test_the_images_are_those_of_the_drawing_version(plain: Synthetic) -> None:
    """Fails when an image changes: then change DRAWING too, so that runs detect it. Rounding may differ."""
    horses, zebras = pairs(plain)
    means = [float(images[index].float().mean()) for images in (horses, zebras) for index in (0, 1, 30)]
    assert means == pytest.approx([144.2, 148.6, 127.8, 160.4, 159.9, 140.7], abs=0.1)

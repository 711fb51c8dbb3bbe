from __future__ import annotations

import io
import itertools
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from translate_core.contracts.pool import NoPool
from translate_core.errors import UserError
from translate_plugins.pools.history import History


class OneByOne:
    """The image pool as the paper describes it, with a list, image by image; draws in the order of `History`."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.stored: list[Tensor] = []

    def query(self, images: Tensor, rng: torch.Generator) -> Tensor:
        coins = torch.rand(len(images), generator=rng)
        choices = torch.randint(self.size, (len(images),), generator=rng)
        returned = []
        for image, coin, choice in zip(images, coins, choices, strict=True):
            if len(self.stored) < self.size:
                self.stored.append(image.clone())
                returned.append(image)
            elif coin < 0.5:
                returned.append(self.stored[choice])
                self.stored[choice] = image.clone()
            else:
                returned.append(image)
        return torch.stack(returned)


def batches(batch: int, count: int) -> Iterator[Tensor]:
    """Batches of images with consecutive pixel values, so that all images differ."""
    for first in range(0, batch * count, batch):
        yield torch.arange(first, first + batch, dtype=torch.float32).view(-1, 1, 1, 1).expand(-1, 3, 2, 4).contiguous()


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("size", "batch"), [(1, 1), (1, 4), (2, 7), (3, 1), (3, 2), (5, 5), (8, 3), (50, 1), (50, 4)])
def test_equals_the_pool_that_takes_images_one_by_one(size: int, batch: int) -> None:
    pool, expected = History(size=size), OneByOne(size)
    for step, images in enumerate(batches(batch, 150)):
        given = images.clone()
        output = pool.query(images, generator(step))
        assert torch.equal(output, expected.query(images, generator(step)))
        assert torch.equal(images, given), "the pool overwrote the images it was given"
        assert torch.equal(pool.get_extra_state()["images"], torch.stack(expected.stored))


def test_returns_the_given_images_until_it_is_full() -> None:
    pool = History()
    for step, images in enumerate(batches(5, 10)):
        assert torch.equal(pool.query(images, generator(step)), images)
    assert len(pool.get_extra_state()["images"]) == 50


def test_returns_half_of_the_time_an_image_from_before_the_batch() -> None:
    pool = History(size=50)
    rng = generator(0)
    old = [not torch.equal(pool.query(images, rng), images) for images in batches(1, 4050)][50:]
    assert sum(old) / len(old) == pytest.approx(0.5, abs=0.03)


def test_an_image_of_the_batch_can_come_back_within_it() -> None:
    images = next(batches(4, 1))
    outputs = {tuple(History(size=1).query(images, generator(seed))[:, 0, 0, 0].tolist()) for seed in range(200)}
    # The first image is stored. Each later one is returned, or replaces the stored one, which is returned.
    expected = set()
    for swaps in itertools.product((False, True), repeat=3):
        stored, returned = 0, [0]
        for image, swap in enumerate(swaps, start=1):
            returned.append(stored if swap else image)
            stored = image if swap else stored
        expected.add(tuple(returned))
    assert outputs == expected


def test_writes_no_slot_twice_in_a_batch() -> None:
    # The order of two writes to one place is undefined on a GPU, so the outputs on a CPU are no evidence.
    pool = History(size=2)
    for seed in range(50):
        slots = [slot for slot in pool._draw(8, generator(seed))[-1] if slot < 2]
        assert len(slots) == len(set(slots))


def test_keeps_one_buffer_and_returns_no_view_of_it() -> None:
    pool = History(size=3)
    rng = generator(0)
    addresses = set()
    for images in batches(2, 20):
        output = pool.query(images, rng)
        stored = pool.get_extra_state()["images"]
        output.fill_(-1)
        images.fill_(-2)
        assert torch.equal(pool.get_extra_state()["images"], stored)
        addresses.add(pool._stored[0].data_ptr())
    assert len(addresses) == 1


def test_runs_on_the_meta_device() -> None:
    pool = History(size=2)
    rng = generator(0)
    for _ in range(5):
        with torch.device("meta"):
            output = pool.query(torch.empty(3, 3, 8, 8), rng)
        assert output.is_meta
        assert output.shape == (3, 3, 8, 8)


@pytest.mark.parametrize("filled", [0, 2, 10])
def test_state_round_trips_and_the_next_queries_are_the_same(filled: int) -> None:
    pool = History(size=5)
    rng = generator(0)
    stream = list(batches(1, filled + 30))
    for images in stream[:filled]:
        pool.query(images, rng)
    file = io.BytesIO()
    torch.save(pool.state_dict(), file)
    file.seek(0)
    state = torch.load(file, weights_only=True)

    fresh, used = History(size=5), History(size=5)
    for images in batches(3, 9):
        used.query(images + 1000, generator(9))
    fresh.load_state_dict(state)
    used.load_state_dict(state)
    for images in stream[filled:]:
        rngs = [torch.Generator(), torch.Generator()]
        for copy in rngs:
            copy.set_state(rng.get_state())
        output = pool.query(images, rng)
        assert torch.equal(fresh.query(images, rngs[0]), output)
        assert torch.equal(used.query(images, rngs[1]), output)


def test_state_is_a_copy_of_the_stored_images() -> None:
    pool = History(size=50)
    images = next(batches(3, 1))
    pool.query(images, generator(0))
    state = pool.get_extra_state()
    assert torch.equal(state["images"], images)
    assert state["images"].untyped_storage().nbytes() == images.untyped_storage().nbytes()
    assert set(pool.state_dict()) == {"_extra_state"}
    pool.query(images + 5, generator(0))
    assert torch.equal(state["images"], images)
    other = History(size=50)
    other.set_extra_state(state)
    state["images"].zero_()
    assert torch.equal(other.get_extra_state()["images"], images)


def test_images_and_states_that_do_not_fit_are_refused() -> None:
    pool = History(size=3)
    pool.query(torch.zeros(3, 3, 8, 8), generator(0))
    with pytest.raises(UserError, match=r"\(3, 8, 8\).*\(3, 8, 12\)"):
        pool.query(torch.zeros(1, 3, 8, 12), generator(0))
    with pytest.raises(UserError, match="3 images, this one at most 2"):
        History(size=2).set_extra_state(pool.get_extra_state())


def test_no_pool_returns_the_images() -> None:
    images = torch.rand(2, 3, 4, 4)
    assert NoPool().query(images, generator(0)) is images

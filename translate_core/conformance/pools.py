"""The promises of pools."""

from __future__ import annotations

import torch
from torch import Tensor

from translate_core.components.blocks import Block
from translate_core.conformance.kit import Kit, ambient, image, same, saved_and_loaded, size
from translate_core.conformance.promise import Broken, NotTested, built, promise
from translate_core.contracts.pool import Pool
from translate_core.errors import UserError
from translate_core.runtime.meta import meta_device
from translate_core.runtime.randomness import torch_generator

_QUERIES = 12


class PoolSubject:
    """A pool, queried with different images."""

    def __init__(self, kit: Kit, block: Block) -> None:
        self.block = block

    def build(self) -> Pool:
        """A new pool."""
        pool: Pool = self.block()
        return pool

    def query(self, pool: Pool, number: int) -> Tensor:
        """The result of query `number`, with two images."""
        return pool.query(_images(number), torch_generator(0, "query", number))


def _images(number: int) -> Tensor:
    return image(3, 8, 8, seed=number)


def _pixel(images: Tensor) -> Tensor:
    """A value of each image, which identifies it."""
    return images[:, 0, 0, 0]


@promise("builds", "each discriminator has its own pool", first=True)
def builds(subject: PoolSubject) -> None:
    """From its options alone."""
    built(subject.build)


@promise(
    "returns images of the same number, shape and type",
    "the discriminator compares them with the same number of real images",
    first=True,
)
def keeps_shapes(subject: PoolSubject) -> None:
    """In several queries, and on the meta device."""
    pool = subject.build()
    for number in range(_QUERIES):
        output = subject.query(pool, number)
        given = _images(number)
        if not isinstance(output, Tensor) or output.shape != given.shape or output.dtype != given.dtype:
            found = f"{size(output)}, {output.dtype}" if isinstance(output, Tensor) else type(output).__name__
            raise Broken(f"for {size(given)}, {given.dtype}, it returns {found}")
    with meta_device():
        output = subject.build().query(torch.empty(2, 3, 8, 8), torch_generator(0))
    if output.device.type != "meta" or output.shape != (2, 3, 8, 8):
        raise Broken(f"for images on the device meta it returns {size(output)} on {output.device}")


@promise(
    "draws from its generator alone",
    "that generator is derived from the step, so a resumed run equals an uninterrupted one bit for bit",
)
def draws_from_its_generator(subject: PoolSubject) -> None:
    """The same results for different states of the ambient generators."""
    results = []
    for seed in (1, 2):
        with ambient(seed):
            pool = subject.build()
            results.append([subject.query(pool, number) for number in range(_QUERIES)])
    if not same(*results):
        raise Broken("its results depend on torch's, numpy's or Python's ambient generator")


@promise("does not modify its images", "losses use them after the query")
def does_not_modify_images(subject: PoolSubject) -> None:
    """No in-place operation on its argument."""
    pool = subject.build()
    for number in range(_QUERIES):
        given = _images(number)
        pool.query(given, torch_generator(0, "query", number))
        if not same(given, _images(number)):
            raise Broken("overwrites its images")


@promise(
    "is restored by its state_dict",
    "a checkpoint has its state (get_extra_state, set_extra_state), and a run resumes from it bit for bit",
)
def is_restored(subject: PoolSubject) -> None:
    """Saved after some queries and loaded with weights_only, it returns the same images as the original."""
    pool = subject.build()
    for number in range(_QUERIES):
        subject.query(pool, number)
    restored = subject.build()
    restored.load_state_dict(saved_and_loaded(pool.state_dict(), "its state_dict"))
    for number in range(_QUERIES, 3 * _QUERIES):
        if not same(subject.query(pool, number), subject.query(restored, number)):
            raise Broken("its results differ after its state was saved and loaded")


@promise(
    "keeps the conditions of its images",
    "a discriminator that takes a time or a label scores each fake under the condition with which it was made",
)
def keeps_conditions(subject: PoolSubject) -> None:
    """Every image that it returns comes with the conditions that it came with, in several queries."""
    pool = subject.build()
    for number in range(_QUERIES):
        images = _images(number)
        conditions = (_pixel(images), torch.arange(2) + 2 * number)
        try:
            found = pool.query_with(images, conditions, torch_generator(0, "query", number))
        except UserError as error:
            raise NotTested(str(error)) from None
        if not isinstance(found, tuple) or len(found) != 2 or len(found[1]) != len(conditions):
            raise Broken(f"query_with returns {type(found).__name__}, not images and a tuple of their conditions")
        returned, (pixels, numbers) = found
        expected = torch.stack([_pixel(_images(int(place) // 2))[int(place) % 2] for place in numbers])
        if not same(pixels, _pixel(returned)) or not same(pixels, expected):
            raise Broken("the conditions that it returns are not those of the images that it returns")


PROMISES = (builds, keeps_shapes, draws_from_its_generator, does_not_modify_images, keeps_conditions, is_restored)

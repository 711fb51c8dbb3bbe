"""What pools promise."""

from __future__ import annotations

import torch
from torch import Tensor

from translate_core.components.blocks import Block
from translate_core.conformance.kit import Kit, ambient, image, same, saved_and_loaded, size
from translate_core.conformance.promise import Broken, promise
from translate_core.contracts.pool import Pool
from translate_core.errors import explain
from translate_core.runtime.randomness import torch_generator

_QUERIES = 12


class PoolSubject:
    """A pool, and queries of images that differ."""

    def __init__(self, kit: Kit, block: Block) -> None:
        self.block = block

    def build(self) -> Pool:
        """A fresh one."""
        pool: Pool = self.block()
        return pool

    def query(self, pool: Pool, number: int) -> Tensor:
        """The answer to query `number`, of two images."""
        return pool.query(_images(number), torch_generator(0, "query", number))


def _images(number: int) -> Tensor:
    return image(3, 8, 8, seed=number)


@promise("builds", "each discriminator gets one of its own", first=True)
def builds(subject: PoolSubject) -> None:
    """From its options alone."""
    try:
        subject.build()
    except Exception as error:  # whatever a component's constructor raises
        raise Broken(f"cannot be built: {explain(error)}") from None


@promise(
    "returns as many images as it is given, of the same shape and type",
    "the discriminator compares them with as many real ones",
    first=True,
)
def keeps_shapes(subject: PoolSubject) -> None:
    """Query after query, and without values on the meta device."""
    pool = subject.build()
    for number in range(_QUERIES):
        output = subject.query(pool, number)
        given = _images(number)
        if not isinstance(output, Tensor) or output.shape != given.shape or output.dtype != given.dtype:
            found = f"{size(output)}, {output.dtype}" if isinstance(output, Tensor) else type(output).__name__
            raise Broken(f"for {size(given)}, {given.dtype}, it returns {found}")
    with torch.device("meta"):
        output = subject.build().query(torch.empty(2, 3, 8, 8), torch_generator(0))
    if output.device.type != "meta" or output.shape != (2, 3, 8, 8):
        raise Broken(f"for images on the device meta it returns {size(output)} on {output.device}")


@promise(
    "draws from the generator that it is given",
    "a run that was stopped goes on to the bit, since that generator is derived from the step",
)
def draws_from_its_generator(subject: PoolSubject) -> None:
    """The same answers wherever the ambient generators stand."""
    answers = []
    for seed in (1, 2):
        with ambient(seed):
            pool = subject.build()
            answers.append([subject.query(pool, number) for number in range(_QUERIES)])
    if not same(*answers):
        raise Broken("its answers depend on torch's, numpy's or Python's ambient generator")


@promise("leaves the images that it is given as they are", "losses use them after it")
def leaves_images(subject: PoolSubject) -> None:
    """No operation in place on its argument."""
    pool = subject.build()
    for number in range(_QUERIES):
        given = _images(number)
        pool.query(given, torch_generator(0, "query", number))
        if not same(given, _images(number)):
            raise Broken("overwrites the images that it is given")


@promise(
    "goes on from its state",
    "a checkpoint keeps it (get_extra_state, set_extra_state), and a run goes on from that to the bit",
)
def goes_on(subject: PoolSubject) -> None:
    """Saved after some queries, loaded with weights_only, it answers as the original would."""
    pool = subject.build()
    for number in range(_QUERIES):
        subject.query(pool, number)
    twin = subject.build()
    twin.load_state_dict(saved_and_loaded(pool.state_dict(), "its state_dict"))
    for number in range(_QUERIES, 3 * _QUERIES):
        if not same(subject.query(pool, number), subject.query(twin, number)):
            raise Broken("it answers otherwise after its state was saved and loaded")


PROMISES = (builds, keeps_shapes, draws_from_its_generator, leaves_images, goes_on)

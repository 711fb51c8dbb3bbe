"""The image pool of CycleGAN."""

from __future__ import annotations

from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from translate_core import Pool, UserError


class History(Pool):
    """A history of fakes: half of the time a discriminator is given an image that the generator made earlier.

    From Shrivastava et al., CVPR 2017, section 2.3, in the form of CycleGAN (Zhu et al., ICCV 2017, section 4). Images
    are processed one by one, also within a batch: while fewer than `size` are stored, an image is stored and returned;
    afterwards, with probability 1/2, a random stored image is returned and the new one takes its place, else the new
    one is returned and not stored.

    The images are kept in one buffer, and each of their conditions in another, allocated at the first query on the
    device of the images. The draws are made on the host, so a query does not wait for the device. All images must have
    the same shape; another raises UserError.

    Args:
        size: number of images that are stored, all in memory: at most a million.
    """

    def __init__(self, *, size: Annotated[int, Field(ge=1, le=1_000_000)] = 50) -> None:
        super().__init__()
        self.size = size
        self._count = 0
        self._stored: list[Tensor] = []

    def query(self, images: Tensor, rng: torch.Generator) -> Tensor:
        """images: (N, C, H, W), detached. Returns images of the same shape and device, never a view of the pool.

        rng: a CPU generator; two numbers are drawn for each image, whether they are used or not.
        """
        return self.query_with(images, (), rng)[0]

    def query_with(
        self, images: Tensor, conditions: tuple[Tensor, ...], rng: torch.Generator
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """As `query`; an image that is returned has the conditions under which it was made. conditions: each (N, …)."""
        stored = [self._buffer_for(place, part) for place, part in enumerate((images, *conditions))]
        indices = torch.tensor(self._draw(len(images), rng), device="cpu")
        if images.is_cuda:
            indices = indices.pin_memory()  # from pageable memory the copy would wait for the device
        returns_stored, slot, position, write = indices.to(images.device, non_blocking=True)
        returned = []
        for buffer, part in zip(stored, (images, *conditions), strict=True):
            old = returns_stored.bool().view(-1, *[1] * (part.dim() - 1))
            returned.append(torch.where(old, buffer.index_select(0, slot), part.index_select(0, position)))
            buffer.index_copy_(0, write, part)
        return returned[0], tuple(returned[1:])

    def _draw(self, batch: int, rng: torch.Generator) -> list[list[int]]:
        """Computes the indices of one query, image by image: four rows with one number for each image.

        The rows are: whether an image that was stored before the batch is returned (0 or 1); the slot of that image;
        otherwise the position in the batch of the returned image; the slot that the image is written to at the end.
        """
        coins = torch.rand(batch, generator=rng, device="cpu").tolist()
        choices = torch.randint(self.size, (batch,), generator=rng, device="cpu").tolist()
        # An image that is not stored is written to the extra row after the last slot, so shapes are static.
        nowhere = self.size
        returns_stored, slots, positions, writes = [0] * batch, [0] * batch, list(range(batch)), [nowhere] * batch
        holder: dict[int, int] = {}  # slot -> position of the image of this batch that is in it
        for image in range(batch):
            if self._count < self.size:
                slot = self._count
                self._count += 1
            elif coins[image] < 0.5:
                slot = choices[image]
                if slot in holder:
                    positions[image] = holder[slot]
                    writes[holder[slot]] = nowhere
                else:
                    returns_stored[image], slots[image] = 1, slot
            else:
                continue
            holder[slot] = image
            writes[image] = slot
        return [returns_stored, slots, positions, writes]

    def _buffer_for(self, place: int, part: Tensor) -> Tensor:
        """The buffer of `size` + 1 rows with the shape of `part`: 0 is that of the images, then the conditions."""
        if place == len(self._stored):
            self._stored.append(part.new_zeros((self.size + 1, *part.shape[1:])))
        elif self._stored[place].shape[1:] != part.shape[1:]:
            raise UserError(
                f"the history pool stores images of one shape, {tuple(self._stored[place].shape[1:])}, "
                f"and was given {tuple(part.shape[1:])}: crop all images to one size, or use no pool"
            )
        self._stored[place] = self._stored[place].to(part.device)
        return self._stored[place]

    def get_extra_state(self) -> dict[str, Any]:
        """The stored images, (count, C, H, W), as a copy, and their conditions; empty before the first query."""
        images, *conditions = [buffer[: self._count].clone() for buffer in self._stored] or [torch.empty(0)]
        return {"images": images, **({"conditions": conditions} if conditions else {})}

    def set_extra_state(self, state: Any) -> None:
        """Restores the state of `get_extra_state`. Raises UserError for another, and for more images than `size`."""
        if not isinstance(state, dict):
            raise UserError("the saved state is not that of a history pool")
        parts = [state.get("images"), *state.get("conditions", ())]
        if not all(isinstance(part, Tensor) and part.dim() > 0 for part in parts):
            raise UserError("the saved state is not that of a history pool")
        images, *conditions = parts
        if not images.is_floating_point() or any(len(part) != len(images) for part in conditions):
            raise UserError("the saved history pool needs images of floating point, with one condition each")
        if len(images) > self.size:
            raise UserError(f"the saved history pool holds {len(images)} images, this one at most {self.size}")
        if len(images) > 0:
            for place, part in enumerate(parts):
                self._buffer_for(place, part)[: len(images)].copy_(part)
        self._count = len(images)

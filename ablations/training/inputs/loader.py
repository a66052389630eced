"""Batches of a split, made by tensor operations from images that stay on the device or, if too many, on the host."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import torch
from torch import Tensor

from ablations.data.dataset import Split
from ablations.hardware.device import free_memory_bytes
from ablations.seeding import derive_seed
from ablations.suites.recipe import Recipe
from ablations.training.inputs.transforms import Choices, augment, draw, flip, normalise, to_input

EVAL_BATCH = 128  # of validation and testing; no recorded figure depends on it
RESIDENT_SHARE = 0.5  # of the device's free memory that a split's images may take


class Loader:
    """Batches of a split: float images (B, C, H, W) in channels-last memory and int64 labels (B,), on the device.

    The images stay on the device as uint8, at their own size. If they would take more than half of its free memory,
    they stay in the host's and are copied batch by batch through pinned memory, with the same results.
    """

    def __init__(self, split: Split, *, recipe: Recipe, device: torch.device) -> None:
        self.recipe = recipe
        self._device = device
        fits = split.images.nbytes <= RESIDENT_SHARE * free_memory_bytes(device)
        storage = device if fits else torch.device("cpu")
        with warnings.catch_warnings():
            # The arrays are read-only and every run of a suite shares them; nothing here writes to them.
            warnings.filterwarnings("ignore", "The given NumPy array is not writable", UserWarning)
            self._images = torch.from_numpy(split.images).to(storage)  # (N, H, W, C): whole pixels are gathered
            self._labels = torch.from_numpy(split.labels).to(storage)

    def __len__(self) -> int:
        return len(self._labels)

    @property
    def steps(self) -> int:
        """Training batches in an epoch; the smaller last one is kept."""
        return -(-len(self) // self.recipe.batch_size)

    @property
    def batch_sizes(self) -> tuple[int, ...]:
        """The different sizes of training batches: the recipe's, and that of a smaller last batch."""
        full, last = divmod(len(self), self.recipe.batch_size)
        return (*((self.recipe.batch_size,) if full else ()), *((last,) if last else ()))

    @property
    def resident(self) -> bool:
        """Whether the images are on the device."""
        return self._images.device.type == self._device.type

    def train_batches(self, *, seed: int, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """One epoch in an order and with an augmentation that (seed, epoch) alone decides, on every device."""
        rng = torch.Generator().manual_seed(derive_seed(seed, purpose="order", epoch=epoch))
        order = _upload(torch.randperm(len(self), generator=rng), self._images.device)
        _, height, width, _ = self._images.shape
        side = self.recipe.resize
        image_size = (side, side) if side else (height, width)
        drawn = draw(self.recipe, count=len(self), image_size=image_size, seed=seed, epoch=epoch)
        batches = [_upload(column, self._device).split(self.recipe.batch_size) for column in drawn]
        for indices, *choices in zip(order.split(self.recipe.batch_size), *batches, strict=True):
            images, labels = self._move(self._images[indices]), self._move(self._labels[indices])
            yield augment(to_input(images, self.recipe), Choices(*choices), self.recipe), labels

    def eval_batches(self, *, flipped: Tensor | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """Every image once, in order, without augmentation but for those that `flipped` (N,) says are mirrored."""
        mirrored = torch.zeros(len(self), dtype=torch.bool) if flipped is None else flipped
        columns = [column.split(EVAL_BATCH) for column in (self._images, self._labels, _upload(mirrored, self._device))]
        for images, labels, flips in zip(*columns, strict=True):
            inputs = to_input(self._move(images), self.recipe)
            yield normalise(inputs if flipped is None else flip(inputs, flips), self.recipe), self._move(labels)

    def _move(self, batch: Tensor) -> Tensor:
        return batch if self.resident else _upload(batch, self._device)


def _upload(tensor: Tensor, device: torch.device) -> Tensor:
    """The host's tensor on the device; the copy is queued behind the device's work and not waited for."""
    if tensor.device.type == device.type:
        return tensor
    # The allocator of pinned memory reuses a block only after the copies from it are done.
    return tensor.pin_memory().to(device, non_blocking=True)

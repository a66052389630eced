"""Batches from images that live on the device; shuffling and augmentation act on whole batches."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from .config import Recipe
from .draws import draw_seed
from .splits import Split

EVAL_BATCH = 128  # of validation and testing; no recorded figure depends on it


class Loader:
    """A split on the device: uint8 images (N, 3, H, W) in channels-last memory and int64 labels (N,)."""

    def __init__(self, split: Split, *, recipe: Recipe, device: torch.device) -> None:
        # The arrays are read-only and shared; torch wants to own writable memory.
        self.images = torch.tensor(split.images).permute(0, 3, 1, 2).to(device)
        self.labels = torch.tensor(split.labels).to(device)
        self.recipe = recipe

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def steps(self) -> int:
        """Training batches in an epoch; the smaller last one is kept."""
        return -(-len(self) // self.recipe.batch_size)

    def train_batches(self, *, seed: int, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """One epoch of float images (B, 3, H, W) and labels (B,), in an order that (seed, epoch) alone decides.

        Drawn on the CPU, so that it is the same on every device.
        """
        order_source = torch.Generator().manual_seed(draw_seed(seed, purpose="order", epoch=epoch))
        flip_source = torch.Generator().manual_seed(draw_seed(seed, purpose="flip", epoch=epoch))
        order = torch.randperm(len(self), generator=order_source).to(self.labels.device)
        flips = (torch.rand(len(self), generator=flip_source) < self.recipe.flip).to(self.labels.device)
        for indices in order.split(self.recipe.batch_size):
            images = self.images[indices]
            if self.recipe.flip:
                images = torch.where(flips[indices, None, None, None], images.flip(-1), images)
            yield self._normalise(images), self.labels[indices]

    def eval_batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Every image once, in order, without augmentation."""
        for images, labels in zip(self.images.split(EVAL_BATCH), self.labels.split(EVAL_BATCH), strict=True):
            yield self._normalise(images), labels

    def _normalise(self, images: Tensor) -> Tensor:
        floats = images.to(torch.float32, memory_format=torch.channels_last).div_(255)
        return floats.sub_(self.recipe.mean).div_(self.recipe.std)

"""The reference loop, plain PyTorch that speed is measured against: PIL images, DataLoader, torchvision, fp32, eager.

It trains our network by the published recipe as a tutorial would write it, and leaves everything else at torch's
defaults: contiguous memory, TF32 convolutions where a GPU has them, the optimiser's default kernels, and a loss read
after every step.
"""

from __future__ import annotations

import os

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from ablations.data.dataset import Split
from ablations.suites.recipe import PUBLISHED
from googlenet import Architecture, build

GPU_WORKERS = 8  # processes that feed a GPU; on a CPU they would take the cores that train
TRANSFORM = transforms.Compose(
    [
        transforms.RandomHorizontalFlip(PUBLISHED.flip),
        transforms.ToTensor(),
        transforms.Normalize((PUBLISHED.mean,) * 3, (PUBLISHED.std,) * 3),
    ]
)


class PilImages(Dataset[tuple[Tensor, int]]):
    """A split's images through PIL and torchvision's transforms."""

    def __init__(self, split: Split) -> None:
        self._split = split

    def __len__(self) -> int:
        return len(self._split)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image: Tensor = TRANSFORM(Image.fromarray(self._split.images[index]))  # pyright: ignore[reportAssignmentType]
        return image, int(self._split.labels[index])


def make_batches(
    split: Split, *, device: torch.device, batch_size: int, workers: int | None = None
) -> DataLoader[tuple[Tensor, int]]:
    """Shuffled batches of float images (B, 3, H, W) and labels (B,) on the host; the smaller last one is kept."""
    on_gpu = device.type == "cuda"
    if workers is None:
        workers = min(GPU_WORKERS, os.cpu_count() or 1) if on_gpu else 0
    return DataLoader(
        PilImages(split),
        batch_size=batch_size,
        shuffle=True,
        num_workers=workers,
        pin_memory=on_gpu,
        persistent_workers=workers > 0,
    )


class ReferenceTrainer:
    """A network with its optimiser, trained batch by batch."""

    def __init__(
        self,
        arch: Architecture,
        *,
        num_classes: int,
        device: torch.device,
        learning_rate: float = PUBLISHED.learning_rate,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.device = device
        self.model: nn.Module = build(arch, num_classes=num_classes).to(device=device, dtype=dtype).train()
        self.optimizer = torch.optim.Adadelta(self.model.parameters(), lr=learning_rate)

    def train_epoch(self, batches: DataLoader[tuple[Tensor, int]]) -> float:
        """Train on every batch once; returns the mean of their losses."""
        losses = [self.step(images, labels) for images, labels in batches]
        return sum(losses) / len(losses)

    def step(self, images: Tensor, labels: Tensor) -> float:
        """Train on images (B, 3, H, W) and labels (B,) from the host; returns the batch's mean loss."""
        images = images.to(self.device, non_blocking=True)
        labels = labels.to(self.device, non_blocking=True)
        self.optimizer.zero_grad()
        loss = functional.cross_entropy(self.model(images).logits, labels)
        loss.backward()
        self.optimizer.step()
        return loss.item()

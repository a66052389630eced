"""Random images in CIFAR-10's format, for measurements of speed, which no image's content affects."""

from __future__ import annotations

import numpy as np

from ablations.data.dataset import Dataset, Split, assemble

NUM_CLASSES = 10
SIDE = 32  # of CIFAR's images, in pixels


def random_split(count: int, *, image_size: int, rng: np.random.Generator) -> Split:
    """`count` random images (count, image_size, image_size, 3) with random labels."""
    return Split(
        images=rng.integers(0, 256, (count, image_size, image_size, 3), dtype=np.uint8),
        labels=rng.integers(0, NUM_CLASSES, count),
    )


def random_dataset(*, train_images: int, test_images: int, image_size: int = SIDE) -> Dataset:
    """A dataset of random images, the same for the same arguments."""
    rng = np.random.default_rng(0)
    train, test = (random_split(count, image_size=image_size, rng=rng) for count in (train_images, test_images))
    names = tuple(f"class {number}" for number in range(NUM_CLASSES))
    return assemble(name="random", title="random images", train=train, test=test, class_names=names)

"""Small image folders, and torchvision's reading of one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torchvision
from numpy.typing import NDArray
from PIL import Image

from ablations.data.dataset import Dataset

PIXELS = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
CLASSES = ("ant", "bee", "cat")
PER_CLASS = 10


def make_tree(root: Path) -> Path:
    """train/ and test/ with the classes ant and bee, of one 32x32 image each, 0.png."""
    for name in ("train/ant", "train/bee", "test/ant", "test/bee"):
        (root / name).mkdir(parents=True)
        Image.fromarray(PIXELS).save(root / name / "0.png")
    return root


def random_image(rng: np.random.Generator, *, size: int = 32) -> Image.Image:
    return Image.fromarray(rng.integers(0, 256, (size, size, 3), np.uint8))


def make_varied_tree(root: Path) -> Path:
    """train/ and test/ with ten images of three classes, in several formats and modes, beside files of other kinds."""
    rng = np.random.default_rng(0)
    for split in ("train", "test"):
        for name in CLASSES:
            folder = root / split / name
            folder.mkdir(parents=True)
            for number, suffix in enumerate(("png", "png", "png", "png", "png", "png", "jpg", "bmp", "webp", "PNG")):
                random_image(rng).save(folder / f"{number}.{suffix}")
            random_image(rng).convert("L").save(folder / "1.png")
            random_image(rng).convert("P", palette=Image.Palette.ADAPTIVE).save(folder / "2.png")
            Image.fromarray(rng.integers(0, 256, (32, 32, 4), np.uint8), "RGBA").save(folder / "3.png")
            Image.fromarray(rng.integers(0, 256, (32, 32, 2), np.uint8), "LA").save(folder / "4.png")
            random_image(rng).convert("1").save(folder / "5.png")
            (folder / "Thumbs.db").write_text("no image")
        (root / split / "notes.txt").write_text("no class")
    return root


def assert_same_as_torchvision(dataset: Dataset, root: Path, *, transform: Any = None) -> None:
    """The same classes, labels and pixels, in the same order as torchvision's ImageFolder."""
    for name, split in (("train", dataset.train), ("test", dataset.test)):
        reference = torchvision.datasets.ImageFolder(str(root / name), transform=transform)
        assert {name: index for index, name in enumerate(dataset.class_names)} == reference.class_to_idx
        assert split.labels.tolist() == reference.targets
        assert (split.images.dtype, split.labels.dtype) == (np.uint8, np.int64)
        expected: NDArray[np.uint8] = np.stack([np.asarray(image) for image, _ in reference])
        assert np.array_equal(split.images, expected)

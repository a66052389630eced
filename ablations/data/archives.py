"""The official archives: the files of each with their checksums, and what they hold."""

from __future__ import annotations

from typing import NamedTuple


class ArchiveFile(NamedTuple):
    """A file of an official archive: its name, address, size in bytes and MD5."""

    name: str
    url: str
    size_bytes: int
    md5: str


class Archive(NamedTuple):
    """An official dataset: its files, which are kept in `folder` below --data-dir, and the images in them.

    `image_size` is the height and width of an image in pixels.
    """

    title: str
    files: tuple[ArchiveFile, ...]
    image_size: int
    channels: int
    num_classes: int
    train_images: int
    test_images: int
    folder: str = ""


def _cifar(number: int, size_bytes: int, md5: str) -> Archive:
    """CIFAR-10 or CIFAR-100."""
    name = f"cifar-{number}-python.tar.gz"
    return Archive(
        title=f"CIFAR-{number}",
        files=(ArchiveFile(name, f"https://www.cs.toronto.edu/~kriz/{name}", size_bytes, md5),),
        image_size=32,
        channels=3,
        num_classes=number,
        train_images=50_000,
        test_images=10_000,
    )


def _mnist(title: str, *, folder: str, address: str, files: dict[str, tuple[int, str]]) -> Archive:
    """MNIST, or a dataset with files of the same names, which need folders of their own."""
    return Archive(
        title=title,
        files=tuple(ArchiveFile(name, f"{address}{name}", size, md5) for name, (size, md5) in files.items()),
        image_size=28,
        channels=1,
        num_classes=10,
        train_images=60_000,
        test_images=10_000,
        folder=folder,
    )


# Addresses and checksums are those that torchvision pins; sizes are the servers'.
ARCHIVES: dict[str, Archive] = {
    "cifar10": _cifar(10, 170_498_071, "c58f30108f718f92721af3b95e74349a"),
    "cifar100": _cifar(100, 169_001_437, "eb9058c3a382ffc7106e4002c42a8d85"),
    "fashion-mnist": _mnist(
        "Fashion-MNIST",
        folder="fashion-mnist",
        address="http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        files={
            "train-images-idx3-ubyte.gz": (26_421_880, "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
            "train-labels-idx1-ubyte.gz": (29_515, "25c81989df183df01b3e8a0aad5dffbe"),
            "t10k-images-idx3-ubyte.gz": (4_422_102, "bef4ecab320f06d8554ea6380940ec79"),
            "t10k-labels-idx1-ubyte.gz": (5_148, "bb300cfdad3c16e7a12a480ee83cd310"),
        },
    ),
    "mnist": _mnist(
        "MNIST",
        folder="mnist",
        address="https://ossci-datasets.s3.amazonaws.com/mnist/",
        files={
            "train-images-idx3-ubyte.gz": (9_912_422, "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
            "train-labels-idx1-ubyte.gz": (28_881, "d53e105ee54ea40749a09fcbcd1e9432"),
            "t10k-images-idx3-ubyte.gz": (1_648_877, "9fb629c4189551a2d022fa330f9573f3"),
            "t10k-labels-idx1-ubyte.gz": (4_542, "ec29112dd5afa0611ce80d1b7f02629c"),
        },
    ),
}

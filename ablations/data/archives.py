"""The official CIFAR archives: URL, checksum, members and sizes of each."""

from __future__ import annotations

from typing import NamedTuple

SIDE = 32  # pixels; CIFAR images are 32x32


class Archive(NamedTuple):
    """An official CIFAR archive: title, source, checksum, and the names of its members and of the keys in them."""

    title: str
    url: str
    file_name: str
    size_bytes: int
    md5: str
    train_members: tuple[str, ...]
    test_member: str
    meta_member: str
    label_key: str
    names_key: str
    num_classes: int
    train_images: int
    test_images: int


# https://www.cs.toronto.edu/~kriz/cifar.html; the checksums are those that torchvision pins.
ARCHIVES: dict[str, Archive] = {
    "cifar10": Archive(
        title="CIFAR-10",
        url="https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
        file_name="cifar-10-python.tar.gz",
        size_bytes=170_498_071,
        md5="c58f30108f718f92721af3b95e74349a",
        train_members=tuple(f"cifar-10-batches-py/data_batch_{i}" for i in range(1, 6)),
        test_member="cifar-10-batches-py/test_batch",
        meta_member="cifar-10-batches-py/batches.meta",
        label_key="labels",
        names_key="label_names",
        num_classes=10,
        train_images=50_000,
        test_images=10_000,
    ),
    "cifar100": Archive(
        title="CIFAR-100",
        url="https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
        file_name="cifar-100-python.tar.gz",
        size_bytes=169_001_437,
        md5="eb9058c3a382ffc7106e4002c42a8d85",
        train_members=("cifar-100-python/train",),
        test_member="cifar-100-python/test",
        meta_member="cifar-100-python/meta",
        label_key="fine_labels",
        names_key="fine_label_names",
        num_classes=100,
        train_images=50_000,
        test_images=10_000,
    ),
}

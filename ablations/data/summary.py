"""Summary of a dataset for plans and reports: name, fingerprint, classes, image size and counts."""

from __future__ import annotations

from dataclasses import dataclass

from ablations.data.archives import ARCHIVES
from ablations.data.dataset import Dataset
from googlenet.validation import check_count


@dataclass(frozen=True, kw_only=True)
class DataSummary:
    """A dataset without its images.

    Raises:
        ValueError: if a count is out of range or the number of class names differs from `num_classes`.
    """

    name: str
    title: str
    fingerprint: str
    num_classes: int
    class_names: tuple[str, ...]
    image_size: int
    train_images: int
    test_images: int
    channels: int = 3

    def __post_init__(self) -> None:
        check_count("data: num_classes", self.num_classes, low=2)
        for name in ("image_size", "channels", "train_images", "test_images"):
            check_count(f"data: {name}", getattr(self, name))
        if self.class_names and len(self.class_names) != self.num_classes:
            raise ValueError(
                f"data: class_names has {len(self.class_names)} names for {self.num_classes} classes; run the suite "
                "again to replace the plan"
            )

    @staticmethod
    def of(dataset: Dataset) -> DataSummary:
        """Summarise a loaded dataset."""
        return DataSummary(
            name=dataset.name,
            title=dataset.title,
            fingerprint=dataset.fingerprint,
            num_classes=dataset.num_classes,
            class_names=dataset.class_names,
            image_size=dataset.image_size,
            train_images=len(dataset.train),
            test_images=len(dataset.test),
            channels=dataset.channels,
        )

    @staticmethod
    def of_archive(name: str) -> DataSummary:
        """Summarise an official archive that is not downloaded yet; fingerprint and class names are empty."""
        archive = ARCHIVES[name]
        return DataSummary(
            name=name,
            title=archive.title,
            fingerprint="",
            num_classes=archive.num_classes,
            class_names=(),
            image_size=archive.image_size,
            train_images=archive.train_images,
            test_images=archive.test_images,
            channels=archive.channels,
        )

"""A network's predictions for every test image: the arrays of ``predictions.npz``, and which of them are wrong."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ablations.errors import ConfigError
from ablations.storage import atomic

FILE_NAME = "predictions.npz"  # in a run's folder
TOP_K = 5  # most likely classes of an image that are kept
OPTIONAL = {"loss"}  # arrays that version 0.4 did not write


class Predictions(NamedTuple):
    """For N images: the K most likely classes (N, K) and their logits (N, K), the probability of the most likely class
    (N,), the label (N,) and the cross-entropy (N,).

    K is `TOP_K`, or the number of classes where that is less. An array that was not read is empty, as are losses that
    version 0.4 did not write.
    """

    classes: NDArray[Any]
    logits: NDArray[Any]
    confidence: NDArray[Any]
    labels: NDArray[Any]
    loss: NDArray[Any] = np.empty(0)

    @property
    def wrong(self) -> NDArray[np.bool_]:
        """Whether an image's most likely class is another than its label, (N,)."""
        return self.classes[:, 0] != self.labels

    @property
    def top5_wrong(self) -> NDArray[np.bool_] | None:
        """Whether an image's label is not among the five most likely classes, (N,); None with fewer than five."""
        if self.classes.shape[1] < TOP_K:
            return None
        # Along K last, which is ten times as fast as along K first.
        return (np.ascontiguousarray(self.classes.T) != self.labels).all(axis=0)


def write(path: Path, predictions: Predictions, *, num_classes: int) -> None:
    """Write ``predictions.npz``, whole or not at all; classes and labels as the narrowest integers that hold them.

    Raises:
        DiskFull: if the disk or a quota has no room for it.
    """
    narrow = np.min_scalar_type(num_classes - 1)
    stored = predictions._replace(classes=predictions.classes.astype(narrow), labels=predictions.labels.astype(narrow))
    needed_bytes = sum(array.nbytes for array in stored)
    with atomic.replacing(path, needed_bytes=needed_bytes) as temporary, temporary.open("wb") as file:
        # Not compressed: floats hardly shrink, and a report reads these files by the thousand.
        np.savez(file, **{name: array for name, array in stored._asdict().items() if len(array)})


def read(path: Path, *, fields: Collection[str] = Predictions._fields) -> Predictions:
    """The arrays of ``predictions.npz``, or those of `fields` alone, which is quicker: logits are most of the file.

    Other arrays in the file are ignored; until version 0.3 there was ``true_probability``.

    Raises:
        ConfigError: if the file is missing, damaged, or without one of these arrays in its shape.
    """
    try:
        # Opened here, as np.load leaves a damaged file open.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            wanted = {*fields} - (OPTIONAL - {*stored})
            read = Predictions(*(stored[name] if name in wanted else np.empty(0) for name in Predictions._fields))
        _check_shapes({name: getattr(read, name).shape for name in fields if name in wanted})
        return read
    except FileNotFoundError as error:
        raise ConfigError(f"{path} is missing; --fresh trains the run again") from error
    except Exception as error:  # damage shows as an archive, a stream, a header or an array that cannot be read
        raise ConfigError(f"{path} cannot be read ({error}); --fresh trains the run again") from error


def _check_shapes(shapes: Mapping[str, tuple[int, ...]]) -> None:
    fits = all(len(shape) == (2 if name in ("classes", "logits") else 1) for name, shape in shapes.items())
    if not fits or len({shape[0] for shape in shapes.values()}) > 1:
        raise ValueError(f"its arrays have shapes {', '.join(map(str, shapes.values()))}")

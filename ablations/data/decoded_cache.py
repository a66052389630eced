"""Cache of a folder's decoded images: one .npz file, valid for one listing of the folder."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from ablations.data.dataset import Labels, Split
from ablations.data.image_decoding import printable
from ablations.errors import DiskFull
from ablations.storage.atomic import replacing


def read_cache(path: Path, *, listing: str, labels: dict[str, Labels], side: int) -> dict[str, Split] | None:
    """Read the splits decoded from `listing`; None if the file is missing, damaged, or does not match.

    A match has the same listing, these labels, and images (N, side, side, 3).
    """
    splits: dict[str, Split] = {}
    try:
        if not path.is_file():  # opening a pipe would block
            return None
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            if str(stored["listing"]) != listing:
                return None
            for split, expected in labels.items():
                images, found = stored[f"{split}_images"], stored[f"{split}_labels"]
                if (images.dtype, images.shape) != (np.uint8, (len(expected), side, side, 3)):
                    return None
                if found.dtype != np.int64 or not np.array_equal(found, expected):
                    return None
                splits[split] = Split(images=images, labels=found)
    except Exception:  # a damaged zip file can raise any exception; decoding again replaces it
        return None
    return splits


def write_cache(path: Path, splits: dict[str, Split], *, listing: str) -> None:
    """Write the decoded splits; warn if that fails, as the images can be decoded again."""
    arrays: dict[str, Any] = {"listing": np.array(listing)}
    for split, decoded in splits.items():
        arrays |= {f"{split}_images": decoded.images, f"{split}_labels": decoded.labels}
    try:
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez(file, **arrays)
    except (OSError, DiskFull) as error:
        what = f"{printable(path)} cannot be written ({printable(error)})"
        warnings.warn(f"{what}; the images will be decoded at every start", stacklevel=2)

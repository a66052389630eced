"""A tree of images, ``train/<class>/*`` and ``test/<class>/*``, decoded once and kept in one file."""

from __future__ import annotations

import functools
import hashlib
import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .errors import DataError, DataMissing, DiskFull
from .files import replacing
from .splits import Dataset, Images, Split, assemble

if TYPE_CHECKING:
    from PIL import Image

# What torchvision's ImageFolder accepts.
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
DEFAULT_IMAGE_SIZE = 32
DECODING = "2"  # raised when the same files decode to other pixels
CACHED_ARRAYS = ("train_images", "train_labels", "test_images", "test_labels")


def load_folder(root: Path, *, image_size: int | None) -> Dataset:
    """Read ``train/<class>/*`` and ``test/<class>/*`` as torchvision's ImageFolder does, in 8-bit RGB.

    Grey, palette and CMYK images become RGB, 16 bits a channel are scaled to 8 (where torchvision cuts grey ones off
    at 255), transparency is dropped without blending, and of an animation the first frame is taken. Pixels of 32
    bits, whose range no file tells, are an error.

    The decoded arrays are kept in one file inside `root`, used until a file there changes its name, size or time.

    Raises:
        DataMissing: if a folder is not there.
        DataError: naming the file that cannot be read, is of another size without `image_size`, or has more pixels
            than Pillow takes for an honest image; or the folder whose classes cannot be used.
    """
    files = {split: _class_files(root / split) for split in ("train", "test")}
    class_names = tuple(files["train"])
    if class_names != tuple(files["test"]):
        odd = sorted(set(files["train"]) ^ set(files["test"]))
        raise DataError(
            f"{root}: train and test have different classes; only one of them has {', '.join(odd)}; "
            "give both the same class folders"
        )
    listing = _listing_digest(root, files)
    cache = root / f".decoded-{'as-is' if image_size is None else image_size}.npz"
    arrays = _read_cache(cache, listing=listing)
    if arrays is None:
        arrays = {"listing": np.array(listing)}
        for split, by_class in files.items():
            decoded = _decode(by_class, image_size=image_size)
            arrays |= {f"{split}_images": decoded.images, f"{split}_labels": decoded.labels}
        _write_cache(cache, arrays)
    return assemble(
        name="folder",
        title=f"image folder {root.resolve().name}",
        train=Split(images=arrays["train_images"], labels=arrays["train_labels"]),
        test=Split(images=arrays["test_images"], labels=arrays["test_labels"]),
        class_names=class_names,
    )


class ImageFile(NamedTuple):
    """A file and what tells whether it has changed."""

    path: str
    size_bytes: int
    modified_ns: int


def _class_files(folder: Path) -> dict[str, list[ImageFile]]:
    """Image files by class, in the order of torchvision's ImageFolder."""
    if not folder.is_dir():
        raise DataMissing(
            f"{folder} is not there; --suite folder reads train/<class>/* and test/<class>/* below --data-dir, "
            "so name the folder that holds both"
        )
    files: dict[str, list[ImageFile]] = {}
    for class_dir in sorted(entry.path for entry in os.scandir(folder) if entry.is_dir()):
        found = _scan(class_dir)
        if not found:
            raise DataError(f"{class_dir} has no image; remove the folder or add {', '.join(IMAGE_SUFFIXES)} files")
        files[Path(class_dir).name] = found
    if len(files) < 2:
        raise DataError(f"{folder} has fewer than two class folders ({len(files)}); add images of a second class")
    return files


def _scan(folder: str) -> list[ImageFile]:
    """Image files below a folder: by folder, then by name."""
    by_folder: dict[str, list[ImageFile]] = {}
    waiting = [folder]
    while waiting:
        current = waiting.pop()
        with os.scandir(current) as entries:
            found = by_folder[current] = []
            for entry in entries:
                if entry.is_dir():
                    waiting.append(entry.path)
                elif entry.name.lower().endswith(IMAGE_SUFFIXES):
                    found.append(_image_file(entry))
    return [file for _, files in sorted(by_folder.items()) for file in sorted(files)]


def _image_file(entry: os.DirEntry[str]) -> ImageFile:
    try:
        stat = entry.stat()
    except OSError as error:
        raise DataError(f"{entry.path} cannot be read ({error}); replace or remove it") from error
    return ImageFile(entry.path, stat.st_size, stat.st_mtime_ns)


def _listing_digest(root: Path, files: dict[str, dict[str, list[ImageFile]]]) -> str:
    """SHA-256 of every file's path below `root`, size and time: the same listing, the same pixels."""
    lines = [DECODING]
    for split, by_class in files.items():
        start = len(str(root / split))
        for in_class in by_class.values():
            lines += [f"{split}{file.path[start:]}\0{file.size_bytes}\0{file.modified_ns}" for file in in_class]
    return hashlib.sha256("\n".join(lines).encode(errors="surrogateescape")).hexdigest()


def _decode(by_class: dict[str, list[ImageFile]], *, image_size: int | None) -> Split:
    paths = [file.path for files in by_class.values() for file in files]
    labels = np.repeat(np.arange(len(by_class)), [len(files) for files in by_class.values()])
    with ThreadPoolExecutor() as pool:
        images = list(pool.map(functools.partial(_decode_image, image_size=image_size), paths))
    return Split(images=np.stack(images), labels=labels.astype(np.int64))


def _decode_image(path: str, *, image_size: int | None) -> Images:
    from PIL import Image

    try:
        with Image.open(path) as file:
            image = _to_rgb(file)
    except Exception as error:  # Pillow's decoders raise almost anything on broken files
        raise DataError(f"{path} cannot be read as an image ({error}); replace or remove it") from error
    if image_size is not None and image.size != (image_size, image_size):
        image = image.resize((image_size, image_size), Image.Resampling.BILINEAR)
    if image_size is None and image.size != (DEFAULT_IMAGE_SIZE, DEFAULT_IMAGE_SIZE):
        size = f"{image.size[0]}x{image.size[1]}"
        raise DataError(
            f"{path} is {size} pixels, not {DEFAULT_IMAGE_SIZE}x{DEFAULT_IMAGE_SIZE}; "
            "pass --image-size N to resize all images to NxN"
        )
    return np.asarray(image, dtype=np.uint8)


def _to_rgb(image: Image.Image) -> Image.Image:
    from PIL import Image

    limit = Image.MAX_IMAGE_PIXELS  # Pillow itself only warns up to twice of it
    if limit is not None and image.width * image.height > limit:
        raise ValueError(f"{image.width}x{image.height} pixels are over the limit of {limit:,}")
    # Some of Pillow's versions and formats keep 16 bits in a 32-bit mode.
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM")):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        raise ValueError(f"it has 32 bits a channel (mode {image.mode}), whose range is unknown; use 8 or 16")
    image.info.pop("transparency", None)  # which Pillow would warn of
    return image.convert("RGB")


def _read_cache(path: Path, *, listing: str) -> dict[str, NDArray[Any]] | None:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            if str(stored["listing"]) == listing:
                return {name: stored[name] for name in CACHED_ARRAYS}
    except Exception:  # absent, or broken in any of a zip file's many ways: decode again, which replaces it
        return None
    return None


def _write_cache(path: Path, arrays: dict[str, NDArray[Any]]) -> None:
    try:
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
    except (OSError, DiskFull) as error:
        warnings.warn(f"{path} cannot be written ({error}); the images will be decoded at every start", stacklevel=2)

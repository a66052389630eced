"""A tree of images, ``train/<class>/*`` and ``test/<class>/*``, decoded once and kept in one file."""

from __future__ import annotations

import functools
import hashlib
import os
import re
import stat
import unicodedata
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ablations.data.dataset import Dataset, Images, Labels, Split, assemble
from ablations.errors import DataError, DataMissing, DiskFull
from ablations.storage.atomic import replacing

if TYPE_CHECKING:
    from PIL import Image

# What torchvision's ImageFolder accepts.
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
# What those suffixes stand for. Pillow goes by content, and some of its other decoders start a program (Ghostscript).
PILLOW_FORMATS = ("JPEG", "PNG", "PPM", "BMP", "TIFF", "WEBP")
DEFAULT_IMAGE_SIZE = 32
MAX_IMAGE_SIZE = 1024
DECODING = "3"  # raised when the same files decode to other pixels
# What a spreadsheet computes, in a name; "-1" and "+ (positive)" are names that folders have.
FORMULA = re.compile(r"[=@]|[+-].*(\w\(|\|.*!)")


def load_folder(root: Path, *, image_size: int | None) -> Dataset:
    """Read ``train/<class>/*`` and ``test/<class>/*`` as torchvision's ImageFolder does, in 8-bit RGB.

    Grey, palette and CMYK images become RGB, 16 bits a channel are scaled to 8 (where torchvision cuts grey ones off
    at 255), transparency is dropped without blending, and of an animation the first frame is taken. Pixels of 32
    bits, whose range no file tells, are an error.

    A file's content may be of any accepted format, whichever its suffix. Links are followed, unless that leads to one
    folder twice. The decoded arrays are kept in one file inside `root`, used until a file there changes its name, size
    or time.

    Raises:
        DataMissing: if a folder is not there.
        DataError: naming the file that cannot be read, is none but a pipe or a device, is of another size without
            `image_size`, or has more pixels than Pillow takes for an honest image; or the folder that cannot be read,
            or whose classes or name cannot be used.
    """
    files = {split: _class_files(root / split) for split in ("train", "test")}
    class_names = tuple(files["train"])
    if class_names != tuple(files["test"]):
        odd = sorted(set(files["train"]) ^ set(files["test"]))
        raise DataError(
            f"{_printable(root)}: train and test have different classes; only one of them has {', '.join(odd)}; "
            "give both the same class folders"
        )
    listing = _listing_digest(root, files)
    cache = root / f".decoded-{'as-is' if image_size is None else image_size}.npz"
    labels = {split: _labels(by_class) for split, by_class in files.items()}
    side = image_size or DEFAULT_IMAGE_SIZE
    splits = _read_cache(cache, listing=listing, labels=labels, side=side)
    if splits is None:
        splits = {
            split: Split(images=_decode(by_class, image_size=image_size), labels=labels[split])
            for split, by_class in files.items()
        }
        _write_cache(cache, splits, listing=listing)
    return assemble(
        name="folder",
        title=f"image folder {_printable(root.resolve().name)}",
        train=splits["train"],
        test=splits["test"],
        class_names=class_names,
    )


class ImageFile(NamedTuple):
    """A file and what tells whether it has changed."""

    path: str
    size_bytes: int
    modified_ns: int


def _class_files(folder: Path) -> dict[str, list[ImageFile]]:
    """Image files by class, in the order of torchvision's ImageFolder."""
    try:
        with _reading(folder), os.scandir(folder) as entries:
            class_dirs = sorted(entry.path for entry in entries if entry.is_dir())
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DataMissing(
            f"{_printable(folder)} is not there; --suite folder reads train/<class>/* and test/<class>/* below "
            "--data-dir, so name the folder that holds both"
        ) from error
    files: dict[str, list[ImageFile]] = {}
    for class_dir in class_dirs:
        _check_class_name(class_dir)
        found = _scan(class_dir)
        if not found:
            raise DataError(f"{class_dir} has no image; remove the folder or add {', '.join(IMAGE_SUFFIXES)} files")
        files[Path(class_dir).name] = found
    if len(files) < 2:
        raise DataError(
            f"{_printable(folder)} has fewer than two class folders ({len(files)}); add images of a second class"
        )
    return files


def _check_class_name(class_dir: str) -> None:
    """Raise DataError for a name that a report cannot hold, or that would harm who reads it."""
    name = Path(class_dir).name
    if {unicodedata.category(character) for character in name} & {"Cc", "Cs", "Zl", "Zp"}:
        raise DataError(
            f"{_printable(class_dir)} has a control character in its name, or bytes that are not UTF-8; it names a "
            "class in every report, so rename the folder"
        )
    if FORMULA.match(name):
        raise DataError(
            f"{_printable(class_dir)} has a name that a spreadsheet computes as a formula; it names a class in every "
            "table, so rename the folder"
        )


def _scan(folder: str) -> list[ImageFile]:
    """Image files below a folder: by folder, then by name."""
    by_folder: dict[str, list[ImageFile]] = {}
    places: dict[tuple[int, int], str] = {}
    waiting = [folder]
    while waiting:
        current = waiting.pop()
        with _reading(current), os.scandir(current) as entries:
            status = os.stat(current)
            same = places.setdefault((status.st_dev, status.st_ino), current)
            if same != current:
                both = " and ".join(_printable(path) for path in sorted((same, current)))
                raise DataError(f"{both} are one folder, whose images would count twice; remove the link to it")
            found = by_folder[current] = []
            for entry in entries:
                if entry.is_dir():
                    waiting.append(entry.path)
                elif entry.name.lower().endswith(IMAGE_SUFFIXES):
                    found.append(_image_file(entry))
    return [file for _, files in sorted(by_folder.items()) for file in sorted(files)]


def _image_file(entry: os.DirEntry[str]) -> ImageFile:
    status = entry.stat()
    if not stat.S_ISREG(status.st_mode):  # reading a pipe would wait for ever
        raise DataError(f"{_printable(entry.path)} is no regular file; replace or remove it")
    return ImageFile(entry.path, status.st_size, status.st_mtime_ns)


@contextmanager
def _reading(folder: str | Path) -> Iterator[None]:
    """Inside, what the system does not let be read becomes a DataError; that `folder` is not there stays as it is."""
    try:
        yield
    except OSError as error:
        path = folder if error.filename is None else error.filename
        if str(path) == str(folder) and isinstance(error, FileNotFoundError | NotADirectoryError):
            raise
        why = error.strerror or error
        raise DataError(
            f"{_printable(path)} cannot be read ({why}); correct its name, permissions or link, or remove it"
        ) from error


def _printable(path: object) -> str:
    """The path as a terminal can show it: what it cannot show is escaped."""
    text = str(path)
    return text if text.isprintable() else repr(text)


def _listing_digest(root: Path, files: dict[str, dict[str, list[ImageFile]]]) -> str:
    """SHA-256 of every file's path below `root`, size and time: the same listing, the same pixels."""
    lines = [DECODING]
    for split, by_class in files.items():
        start = len(str(root / split))
        for in_class in by_class.values():
            lines += [f"{split}{file.path[start:]}\0{file.size_bytes}\0{file.modified_ns}" for file in in_class]
    return hashlib.sha256("\n".join(lines).encode(errors="surrogateescape")).hexdigest()


def _labels(by_class: dict[str, list[ImageFile]]) -> Labels:
    return np.repeat(np.arange(len(by_class), dtype=np.int64), [len(files) for files in by_class.values()])


def _decode(by_class: dict[str, list[ImageFile]], *, image_size: int | None) -> Images:
    paths = [file.path for files in by_class.values() for file in files]
    with ThreadPoolExecutor() as pool:
        return np.stack(list(pool.map(functools.partial(_decode_image, image_size=image_size), paths)))


def _decode_image(path: str, *, image_size: int | None) -> Images:
    from PIL import Image

    try:
        with Image.open(path, formats=PILLOW_FORMATS) as file:
            image = _to_rgb(file)
    except Exception as error:  # Pillow's decoders raise almost anything on broken files
        why = _printable(error)
        raise DataError(f"{_printable(path)} cannot be read as an image ({why}); replace or remove it") from error
    if image_size is not None and image.size != (image_size, image_size):
        image = image.resize((image_size, image_size), Image.Resampling.BILINEAR)
    if image_size is None and image.size != (DEFAULT_IMAGE_SIZE, DEFAULT_IMAGE_SIZE):
        size = f"{image.size[0]}x{image.size[1]}"
        raise DataError(
            f"{_printable(path)} is {size} pixels, not {DEFAULT_IMAGE_SIZE}x{DEFAULT_IMAGE_SIZE}; "
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


def _read_cache(path: Path, *, listing: str, labels: dict[str, Labels], side: int) -> dict[str, Split] | None:
    """The splits decoded from this listing, or None where the file is absent, broken or holds anything else."""
    splits: dict[str, Split] = {}
    try:
        if not path.is_file():  # opening a pipe would wait for ever
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
    except Exception:  # broken in any of a zip file's many ways: decode again, which replaces it
        return None
    return splits


def _write_cache(path: Path, splits: dict[str, Split], *, listing: str) -> None:
    arrays: dict[str, NDArray[Any]] = {"listing": np.array(listing)}
    for split, decoded in splits.items():
        arrays |= {f"{split}_images": decoded.images, f"{split}_labels": decoded.labels}
    try:
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
    except (OSError, DiskFull) as error:
        what = f"{_printable(path)} cannot be written ({_printable(error)})"
        warnings.warn(f"{what}; the images will be decoded at every start", stacklevel=2)

"""Read a folder of images, ``train/<class>/*`` and ``test/<class>/*``, as torchvision's ImageFolder does."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import stat
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ablations.data.dataset import Dataset, Labels, Split, assemble
from ablations.data.decoded_cache import read_cache, write_cache
from ablations.data.image_decoding import DECODING_VERSION, DEFAULT_IMAGE_SIZE, decode_images, printable
from ablations.errors import ConfigError, DataError, DataMissing

logger = logging.getLogger(__name__)

SPLITS = ("train", "test")
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")  # as torchvision
MAX_IMAGE_SIZE = 1024
# What operating systems and file servers leave in folders, in lower case; other names that start with a dot are hidden.
SYSTEM_FILES = ("@eadir", "__macosx", "thumbs.db", "desktop.ini", ".ds_store")
# Names that a spreadsheet would compute; "-1" and "+ (positive)" are harmless and occur.
FORMULA = re.compile(r"[=@]|[+-].*(\w\(|\|.*!)")


def load_folder(root: Path, *, image_size: int | None) -> Dataset:
    """Read ``train/<class>/*`` and ``test/<class>/*`` as 8-bit RGB, in the order of torchvision's ImageFolder.

    Pixels are converted as `image_decoding.decode_images` says; torchvision differs for 16-bit grey images, which it
    clips at 255. Links are followed, but a folder may be reached only once. Hidden files and folders, those of
    `SYSTEM_FILES` and files beside the class folders are skipped, which one warning in the log counts. The decoded
    arrays are cached in one file inside `root` until a file there changes its name, size or modification time.

    Raises:
        DataMissing: if train/ or test/ is not there.
        DataError: naming the file that has no suffix of `IMAGE_SUFFIXES`, cannot be decoded, is no regular file, or is
            not 32x32 without `image_size`; or the folder that is unreadable, or whose classes or name cannot be used.
    """
    left_out = _LeftOut()
    files = {split: _class_files(root / split, left_out) for split in SPLITS}
    left_out.refuse_other_files()
    left_out.warn_of_skipped(root)
    class_names = tuple(files["train"])
    if class_names != tuple(files["test"]):
        raise DataError(
            f"{printable(root)}: train and test have different classes; only one of them has "
            f"{_distinguishable(set(files['train']) ^ set(files['test']))}; give both the same class folders"
        )
    listing = _listing_digest(root, files)
    cache = root / f".decoded-{'as-is' if image_size is None else image_size}.npz"
    labels = {split: _labels(by_class) for split, by_class in files.items()}
    side = image_size or DEFAULT_IMAGE_SIZE
    splits = read_cache(cache, listing=listing, labels=labels, side=side)
    if splits is None:
        splits = {
            split: Split(images=decode_images(_paths(by_class), image_size=image_size), labels=labels[split])
            for split, by_class in files.items()
        }
        write_cache(cache, splits, listing=listing)
    return assemble(
        name="folder",
        title=f"image folder {printable(root.resolve().name)}",
        train=splits["train"],
        test=splits["test"],
        class_names=class_names,
    )


def check_results_apart(root: Path, results: Path) -> None:
    """Refuse a folder of results in train/ or test/ of the images below `root`, where it would become a class.

    Raises:
        ConfigError: naming both folders.
    """
    for split in SPLITS:
        if Path(os.path.realpath(results)).is_relative_to(os.path.realpath(root / split)):
            raise ConfigError(
                f"--results {printable(results)} is in {printable(root / split)}, whose folders are classes of images; "
                "choose a folder outside of it"
            )


def _distinguishable(names: Iterable[str]) -> str:
    """List names; those that look the same, as Unicode writes some characters in two ways, in ASCII with escapes."""
    names = sorted(names)
    if len({unicodedata.normalize("NFC", name) for name in names}) == len(names):
        return ", ".join(names)
    return f"{', '.join(map(ascii, names))} (the same characters in other Unicode forms)"


class ImageFile(NamedTuple):
    """An image file, with what changes when it is edited."""

    path: str
    size_bytes: int
    modified_ns: int


@dataclass
class _LeftOut:
    """What is not read: `skipped` is counted by kind, and `refused` are the paths of files inside a class."""

    skipped: Counter[str] = field(default_factory=Counter)
    refused: list[str] = field(default_factory=list)

    def skips(self, entry: os.DirEntry[str]) -> bool:
        """Whether an entry is hidden or one of `SYSTEM_FILES`; counts it then."""
        known = entry.name.lower() in SYSTEM_FILES
        if known or entry.name.startswith("."):
            self.skipped[entry.name if known else "hidden"] += 1
            return True
        return False

    def refuse_other_files(self) -> None:
        """Raise DataError if a class holds files that are no images."""
        if self.refused:
            kinds = Counter(Path(path).suffix.lower() or "without suffix" for path in self.refused)
            counted = ", ".join(f"{count} {printable(kind)}" for kind, count in sorted(kinds.items()))
            raise DataError(
                f"{printable(min(self.refused))} is no image by its suffix ({counted} in all classes); convert such "
                f"files to {', '.join(IMAGE_SUFFIXES)}, or move them out of the class folders"
            )

    def warn_of_skipped(self, root: Path) -> None:
        """Log one warning with the number of entries skipped, by kind."""
        if self.skipped:
            counted = ", ".join(f"{count} {kind}" for kind, count in sorted(self.skipped.items()))
            logger.warning("%s: skipped files and folders that are no data: %s", printable(root), counted)


def _class_files(folder: Path, left_out: _LeftOut) -> dict[str, list[ImageFile]]:
    """List image files by class, in the order of torchvision's ImageFolder."""
    try:
        with _reading(folder), os.scandir(folder) as entries:
            kept = [entry for entry in entries if not left_out.skips(entry)]
            class_dirs = sorted(entry.path for entry in kept if entry.is_dir())
        if len(class_dirs) < len(kept):
            left_out.skipped["beside the class folders"] += len(kept) - len(class_dirs)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DataMissing(
            f"{printable(folder)} is not there; --suite folder reads train/<class>/* and test/<class>/* below "
            "--data-dir, so name the folder that holds both"
        ) from error
    files: dict[str, list[ImageFile]] = {}
    for class_dir in class_dirs:
        _check_class_name(class_dir)
        found = _scan(class_dir, left_out)
        if not found and not left_out.refused:
            raise DataError(f"{class_dir} has no image; remove the folder or add {', '.join(IMAGE_SUFFIXES)} files")
        files[Path(class_dir).name] = found
    if len(files) < 2:
        raise DataError(
            f"{printable(folder)} has fewer than two class folders ({len(files)}); add images of a second class"
        )
    return files


def _check_class_name(class_dir: str) -> None:
    """Raise DataError for a class name that reports cannot show or that a spreadsheet would execute."""
    name = Path(class_dir).name
    if {unicodedata.category(character) for character in name} & {"Cc", "Cs", "Zl", "Zp"}:
        raise DataError(
            f"{printable(class_dir)} has a control character in its name, or bytes that are not UTF-8; it names a "
            "class in every report, so rename the folder"
        )
    if FORMULA.match(name):
        raise DataError(
            f"{printable(class_dir)} has a name that a spreadsheet computes as a formula; it names a class in every "
            "table, so rename the folder"
        )


def _scan(folder: str, left_out: _LeftOut) -> list[ImageFile]:
    """List image files below a folder, sorted by folder, then by name."""
    by_folder: dict[str, list[ImageFile]] = {}
    seen: dict[tuple[int, int], str] = {}
    pending = [folder]
    while pending:
        current = pending.pop()
        with _reading(current), os.scandir(current) as entries:
            status = os.stat(current)
            same = seen.setdefault((status.st_dev, status.st_ino), current)
            if same != current:
                both = " and ".join(printable(path) for path in sorted((same, current)))
                raise DataError(f"{both} are one folder, whose images would count twice; remove the link to it")
            found = by_folder[current] = []
            for entry in entries:
                if left_out.skips(entry):
                    continue
                if entry.is_dir():
                    pending.append(entry.path)
                elif entry.name.lower().endswith(IMAGE_SUFFIXES):
                    found.append(_image_file(entry))
                else:
                    left_out.refused.append(entry.path)
    return [file for _, files in sorted(by_folder.items()) for file in sorted(files)]


def _image_file(entry: os.DirEntry[str]) -> ImageFile:
    status = entry.stat()
    if not stat.S_ISREG(status.st_mode):  # reading a pipe would block
        raise DataError(f"{printable(entry.path)} is no regular file; replace or remove it")
    return ImageFile(entry.path, status.st_size, status.st_mtime_ns)


@contextmanager
def _reading(folder: str | Path) -> Iterator[None]:
    """Convert OSErrors to DataErrors; that `folder` itself is missing stays an OSError."""
    try:
        yield
    except OSError as error:
        path = folder if error.filename is None else error.filename
        if str(path) == str(folder) and isinstance(error, FileNotFoundError | NotADirectoryError):
            raise
        why = error.strerror or error
        raise DataError(
            f"{printable(path)} cannot be read ({why}); correct its name, permissions or link, or remove it"
        ) from error


def _listing_digest(root: Path, files: dict[str, dict[str, list[ImageFile]]]) -> str:
    """SHA-256 of each file's path below `root`, size and modification time, and of the decoding version."""
    lines = [DECODING_VERSION]
    for split, by_class in files.items():
        start = len(str(root / split))
        for in_class in by_class.values():
            lines += [f"{split}{file.path[start:]}\0{file.size_bytes}\0{file.modified_ns}" for file in in_class]
    return hashlib.sha256("\n".join(lines).encode(errors="surrogateescape")).hexdigest()


def _paths(by_class: dict[str, list[ImageFile]]) -> list[str]:
    return [file.path for files in by_class.values() for file in files]


def _labels(by_class: dict[str, list[ImageFile]]) -> Labels:
    return np.repeat(np.arange(len(by_class), dtype=np.int64), [len(files) for files in by_class.values()])

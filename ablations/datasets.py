"""A dataset by name or folder: uint8 images, integer labels, class names, splits and a fingerprint.

Nothing here imports torch unless an archive has to be downloaded.
"""

from __future__ import annotations

import functools
import hashlib
import http.client
import os
import pickle
import tarfile
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from googlenet.checks import check_choice, check_count

from .draws import draw_seed
from .errors import ConfigError, DataError
from .files import replacing

Images = NDArray[np.uint8]
Labels = NDArray[np.int64]

# What torchvision's ImageFolder accepts.
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
FOLDER_IMAGE_SIZE = 32
CACHED_ARRAYS = ("train_images", "train_labels", "test_images", "test_labels")
SPLIT_SEED = 0  # of splits and subsets that belong to the data and not to a run


@dataclass(frozen=True, kw_only=True)
class Split:
    """Images (N, H, W, 3) as uint8 and labels (N,) as int64."""

    images: Images
    labels: Labels

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: NDArray[np.int64]) -> Split:
        """The images and labels at these positions."""
        return Split(images=self.images[indices], labels=self.labels[indices])


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Training and test images of one size. `fingerprint` is the SHA-256 of all images, labels and class names."""

    name: str
    title: str
    train: Split
    test: Split
    class_names: tuple[str, ...]
    fingerprint: str

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @property
    def image_size(self) -> int:
        """Side of an image in pixels."""
        return self.train.images.shape[1]


class Archive(NamedTuple):
    """An official CIFAR archive: where it comes from, its checksum, and its members by role."""

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


# https://www.cs.toronto.edu/~kriz/cifar.html; the checksums are those that torchvision pins.
ARCHIVES: dict[str, Archive] = {
    "cifar10": Archive(
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
    ),
    "cifar100": Archive(
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
    ),
}
DATASETS = ("digits", *ARCHIVES, "folder")


class Missing(DataError):
    """The data is not on this machine, and was not to be downloaded or could not be."""


def load(name: str, data_dir: Path, *, image_size: int | None = None, download: bool = True) -> Dataset:
    """Load a dataset.

    Args:
        name: one of `DATASETS`.
        data_dir: where archives are kept (cifar10, cifar100), or the tree to read (folder).
        image_size: side to which a folder's images are resized; by default they must be 32x32.
        download: whether a missing archive may be downloaded.

    Raises:
        ConfigError: if the name is unknown, or `image_size` below 1 or given for a dataset whose size is fixed.
        Missing: if the data is not there.
        DataError: if the data is damaged or has no usable images.
    """
    try:
        check_choice("dataset", name, DATASETS)
        check_count("--image-size", 1 if image_size is None else image_size)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    if name == "folder":
        return load_folder(data_dir, image_size=image_size)
    if image_size is not None:
        raise ConfigError(f"--image-size {image_size} goes with --suite folder only; {name} has a fixed size")
    return load_digits() if name == "digits" else load_archive(name, data_dir, download=download)


def load_digits() -> Dataset:
    """scikit-learn's 1,797 handwritten digits (UCI Optical Recognition) as (N, 8, 8, 3), one fifth for testing."""
    from sklearn.datasets import load_digits as load_sklearn_digits
    from sklearn.model_selection import train_test_split

    bunch: Any = load_sklearn_digits()
    gray = np.rint(bunch.images * (255 / 16)).astype(np.uint8)  # pixel values are counts from 0 to 16
    images = np.repeat(gray[..., None], 3, axis=3)
    labels = bunch.target.astype(np.int64)
    train, test = train_test_split(np.arange(len(labels)), test_size=0.2, stratify=labels, random_state=SPLIT_SEED)
    everything = Split(images=images, labels=labels)
    return _dataset(
        name="digits",
        title="handwritten digits of scikit-learn",
        train=everything.take(np.asarray(train)),
        test=everything.take(np.asarray(test)),
        class_names=tuple(str(digit) for digit in bunch.target_names),
    )


def load_archive(name: str, data_dir: Path, *, download: bool) -> Dataset:
    """Read an official CIFAR archive without unpacking it; it is unpickled only after its checksum is right."""
    archive = ARCHIVES[name]
    path = data_dir / archive.file_name
    if not path.is_file():
        if not download:
            raise Missing(_missing_message(name, archive, data_dir, reason="it was not downloaded yet"))
        _download(name, archive, data_dir)
    found = _md5(path)
    if found != archive.md5:
        raise DataError(
            f"{path} is damaged: its MD5 is {found}, expected {archive.md5} ({path.stat().st_size:,} bytes of "
            f"{archive.size_bytes:,}). Nothing was read from it; delete it to download it again."
        )
    with tarfile.open(path, "r:gz") as tar:
        meta = _unpickle(tar, archive.meta_member)
        return _dataset(
            name=name,
            title={"cifar10": "CIFAR-10", "cifar100": "CIFAR-100"}[name],
            train=_read_batches(tar, archive.train_members, label_key=archive.label_key),
            test=_read_batches(tar, (archive.test_member,), label_key=archive.label_key),
            class_names=tuple(meta[archive.names_key]),
        )


def _download(name: str, archive: Archive, data_dir: Path) -> None:
    from torchvision.datasets.utils import download_url

    path = data_dir / archive.file_name
    try:
        with replacing(path) as partial:
            download_url(archive.url, str(partial.parent), filename=partial.name)
            found = _md5(partial)
            if found != archive.md5:
                raise DataError(
                    f"{name}: {archive.url} sent something else than {archive.file_name}: its MD5 is {found}, "
                    f"expected {archive.md5}. Nothing was kept; try again, or put the file into {data_dir} by hand."
                )
    # torchvision gives up on redirections with a RecursionError, and a cut connection is an HTTPException.
    except (OSError, http.client.HTTPException, RecursionError) as error:
        reason = f"the download from {archive.url} failed ({error})"
        raise Missing(_missing_message(name, archive, data_dir, reason=reason)) from error


def _missing_message(name: str, archive: Archive, data_dir: Path, *, reason: str) -> str:
    return (
        f"{name}: the archive {archive.file_name} is not in {data_dir} and {reason}. Put the file there by hand: "
        f"{archive.file_name}, {archive.size_bytes:,} bytes, MD5 {archive.md5}, from {archive.url}. "
        "Without it, --suite digits works at once."
    )


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def _unpickle(tar: tarfile.TarFile, member: str) -> dict[str, Any]:
    file = tar.extractfile(member)
    if file is None:
        raise DataError(f"{tar.name}: the member {member} is not a file")
    # The archive's checksum was verified, so this is the publishers' own pickle.
    return pickle.loads(file.read(), encoding="latin1")


def _read_batches(tar: tarfile.TarFile, members: tuple[str, ...], *, label_key: str) -> Split:
    batches = [_unpickle(tar, member) for member in members]
    planes = np.concatenate([batch["data"] for batch in batches]).reshape(-1, 3, 32, 32)
    labels = np.concatenate([np.asarray(batch[label_key], dtype=np.int64) for batch in batches])
    return Split(images=np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), labels=labels)


def load_folder(root: Path, *, image_size: int | None) -> Dataset:
    """Read ``train/<class>/*`` and ``test/<class>/*`` as torchvision's ImageFolder does, in RGB.

    The decoded arrays are kept in one file inside `root`, used until a file there changes its name, size or time.
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
    return _dataset(
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
        raise Missing(
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
    """SHA-256 of every file's path below `root`, size and time: the same listing, the same images."""
    lines: list[str] = []
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
            image = file.convert("RGB")
    except Exception as error:  # Pillow's decoders raise almost anything on broken files
        raise DataError(f"{path} cannot be read as an image ({error}); replace or remove it") from error
    if image_size is not None and image.size != (image_size, image_size):
        image = image.resize((image_size, image_size), Image.Resampling.BILINEAR)
    if image_size is None and image.size != (FOLDER_IMAGE_SIZE, FOLDER_IMAGE_SIZE):
        size = f"{image.size[0]}x{image.size[1]}"
        raise DataError(
            f"{path} is {size} pixels, not {FOLDER_IMAGE_SIZE}x{FOLDER_IMAGE_SIZE}; "
            "pass --image-size N to resize all images to NxN"
        )
    return np.asarray(image, dtype=np.uint8)


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
    except OSError as error:
        warnings.warn(f"{path} cannot be written ({error}); the images will be decoded at every start", stacklevel=2)


def _dataset(*, name: str, title: str, train: Split, test: Split, class_names: tuple[str, ...]) -> Dataset:
    digest = hashlib.sha256()
    for part in _fingerprint_parts(train, test, class_names):
        digest.update(part)
    for array in (train.images, train.labels, test.images, test.labels):
        array.setflags(write=False)  # every run of a suite reads the same arrays
    return Dataset(
        name=name, title=title, train=train, test=test, class_names=class_names, fingerprint=digest.hexdigest()
    )


def _fingerprint_parts(train: Split, test: Split, class_names: tuple[str, ...]) -> Iterator[bytes | memoryview]:
    yield "\n".join(class_names).encode(errors="surrogateescape")
    for split in (train, test):
        yield f"{split.images.shape}".encode()
        yield np.ascontiguousarray(split.images).data
        yield split.labels.astype("<i8").tobytes()


def limit(split: Split, count: int | None) -> Split:
    """A stratified subset of `count` images, the same for every seed; everything for None.

    Raises:
        ConfigError: if the split has fewer images, or more classes, than that.
    """
    if count is None:
        return split
    classes = len(np.unique(split.labels))
    if not classes <= count <= len(split):
        raise ConfigError(
            f"--limit-train {count:,}: use at least {classes:,}, one image a class, and at most {len(split):,}, which "
            "is all there are"
        )
    return split.take(np.sort(_stratified_order(split.labels, seed=SPLIT_SEED)[:count]))


def held_out_count(images: int, fraction: float) -> int:
    """How many of `images` a recipe holds out for validation: none for fraction 0, otherwise at least one."""
    return max(1, round(images * fraction)) if fraction else 0


def hold_out(split: Split, *, fraction: float, seed: int) -> tuple[Split, Split | None]:
    """The split without a stratified `fraction`, and that fraction for validation (None for fraction 0)."""
    count = held_out_count(len(split), fraction)
    if not count:
        return split, None
    purpose_seed = draw_seed(seed, purpose="validation-split") % 2**32  # numpy takes 32 bits
    order = _stratified_order(split.labels, seed=purpose_seed)
    return split.take(np.sort(order[count:])), split.take(np.sort(order[:count]))


def _stratified_order(labels: Labels, *, seed: int) -> NDArray[np.int64]:
    """Positions in a random order whose every beginning holds each class in proportion, to within one image.

    scikit-learn's stratified splits refuse to leave fewer images out than there are classes.
    """
    shuffled = np.random.RandomState(seed).permutation(len(labels))  # a stream that numpy has frozen
    place_in_class = np.empty(len(labels))
    for label in np.unique(labels):
        members = shuffled[labels[shuffled] == label]
        place_in_class[members] = (np.arange(len(members)) + 0.5) / len(members)
    return shuffled[np.argsort(place_in_class[shuffled], kind="stable")]

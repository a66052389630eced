"""The cache of decoded images: used while the folder is unchanged, replaced when damaged or outdated."""

import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from ablations.data import decoded_cache
from ablations.data.registry import load_dataset
from ablations.errors import DataError
from tests.support.image_trees import assert_same_as_torchvision, random_image


def test_the_second_load_decodes_nothing(tree: Path, forbid_decoding: Callable[[], None]) -> None:
    first = load_dataset("folder", tree)
    forbid_decoding()
    second = load_dataset("folder", tree)
    assert second.fingerprint == first.fingerprint
    assert second.class_names == first.class_names
    assert np.array_equal(second.train.images, first.train.images)
    with pytest.raises(DataError, match="decoded"):  # each size has its own cache
        load_dataset("folder", tree, image_size=16)


@pytest.mark.parametrize("inside", [False, True])
def test_the_cache_serves_a_relative_path_too(
    tree: Path, inside: bool, monkeypatch: pytest.MonkeyPatch, forbid_decoding: Callable[[], None]
) -> None:
    first = load_dataset("folder", tree)
    monkeypatch.chdir(tree if inside else tree.parent)
    forbid_decoding()
    second = load_dataset("folder", Path("." if inside else tree.name))
    assert (second.fingerprint, second.title) == (first.fingerprint, first.title)


def change_file(root: Path) -> None:
    path = root / "train" / "bee" / "0.png"
    before = path.stat().st_mtime_ns
    random_image(np.random.default_rng(1)).save(path)
    os.utime(path, ns=(before + 10**9, before + 10**9))


def add_file(root: Path) -> None:
    shutil.copy2(root / "train" / "bee" / "0.png", root / "train" / "bee" / "00.png")


def remove_file(root: Path) -> None:
    (root / "test" / "bee" / "0.png").unlink()


def move_file(root: Path) -> None:
    (root / "train" / "bee" / "0.png").rename(root / "train" / "cat" / "00.png")


def rename_class(root: Path) -> None:
    for split in ("train", "test"):
        (root / split / "bee").rename(root / split / "bug")


@pytest.mark.parametrize("change", [change_file, add_file, remove_file, move_file, rename_class])
def test_a_change_in_the_folder_invalidates_the_cache(tree: Path, change: Callable[[Path], None]) -> None:
    before = load_dataset("folder", tree)
    change(tree)
    after = load_dataset("folder", tree)
    assert_same_as_torchvision(after, tree)
    assert after.fingerprint != before.fingerprint


@pytest.mark.parametrize(
    ("name", "alter"),
    [
        ("train_labels", lambda labels: labels + 1),
        ("train_labels", lambda labels: labels - 1),
        ("train_labels", lambda labels: labels[::-1]),
        ("test_labels", lambda labels: labels.astype(np.float64)),
        ("test_labels", lambda labels: labels[:-1]),
        ("train_images", lambda images: images.astype(np.float32)),
        ("train_images", lambda images: images[:-1]),
        ("train_images", lambda images: images[:, :16, :16]),
        ("test_images", lambda images: images[..., 0]),
        ("test_images", lambda images: images.reshape(len(images), 3, 32, 32)),
    ],
)
def test_a_cache_with_other_arrays_is_replaced(
    tree: Path, name: str, alter: Callable[[NDArray[Any]], NDArray[Any]]
) -> None:
    first = load_dataset("folder", tree)
    (cache,) = tree.glob(".decoded-*.npz")
    with np.load(cache, allow_pickle=False) as stored:
        arrays = dict(stored)
    before = arrays[name]
    with cache.open("wb") as file:
        changed: dict[str, Any] = arrays | {name: alter(before)}
        np.savez(file, **changed)
    assert load_dataset("folder", tree).fingerprint == first.fingerprint
    after = np.load(cache, allow_pickle=False)[name]
    assert after.dtype == before.dtype and np.array_equal(after, before)


def test_a_pipe_with_the_name_of_the_cache_is_not_opened(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = load_dataset("folder", tree)
    (cache,) = tree.glob(".decoded-*.npz")
    cache.unlink()
    os.mkfifo(cache)
    other_end = os.open(cache, os.O_RDWR)  # so that opening it would not block the test
    monkeypatch.setattr(np, "load", lambda *given, **options: pytest.fail("opened"))
    try:
        assert load_dataset("folder", tree).fingerprint == first.fingerprint
    finally:
        os.close(other_end)
    assert cache.is_file()


def save_array(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.arange(3))


def flip_byte(path: Path, *, after: bytes, offset: int) -> None:
    content = bytearray(path.read_bytes())
    content[content.rindex(after) + offset] ^= 0xFF
    path.write_bytes(content)


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda path: path.write_bytes(b""), id="empty"),
        pytest.param(lambda path: path.write_bytes(b"no archive"), id="text"),
        pytest.param(lambda path: os.truncate(path, path.stat().st_size // 2), id="truncated"),
        pytest.param(lambda path: os.truncate(path, path.stat().st_size - 1), id="one-byte-short"),
        pytest.param(lambda path: flip_byte(path, after=b"train_images", offset=-1_000), id="pixel"),
        pytest.param(lambda path: path.write_bytes(pickle.dumps({"listing": 1})), id="pickle"),
        pytest.param(save_array, id="array"),
        # In the zip's directory, which no checksum covers: 36 bytes before a member's name stands its compression, and
        # 14 bytes before it the length of a comment, here long enough to hide the members that follow.
        pytest.param(lambda path: flip_byte(path, after=b"train_images", offset=-36), id="compression"),
        pytest.param(lambda path: flip_byte(path, after=b"listing", offset=-14), id="hidden-members"),
    ],
)
def test_a_damaged_cache_is_replaced(
    tree: Path, damage: Callable[[Path], object], forbid_decoding: Callable[[], None]
) -> None:
    first = load_dataset("folder", tree)
    caches = [path for path in tree.iterdir() if path.is_file()]
    assert len(caches) == 1
    damage(caches[0])
    assert load_dataset("folder", tree).fingerprint == first.fingerprint
    forbid_decoding()
    assert load_dataset("folder", tree).fingerprint == first.fingerprint


def test_a_folder_that_cannot_be_written_still_loads(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Root may write anywhere, so permissions alone would not do.
    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(decoded_cache, "replacing", refuse)
    with pytest.warns(UserWarning, match="cannot be written .*Permission denied"):
        dataset = load_dataset("folder", tree)
    assert_same_as_torchvision(dataset, tree)


def test_the_cache_of_another_decoding_version_is_replaced(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ablations.data.image_folder.DECODING_VERSION", "1")
    monkeypatch.setattr("ablations.data.image_decoding._to_rgb", lambda image: Image.new("RGB", image.size, "white"))
    assert load_dataset("folder", tree).train.images.min() == 255
    monkeypatch.undo()
    assert_same_as_torchvision(load_dataset("folder", tree), tree)

"""Image folders against torchvision's ImageFolder; the cache, and damaged, missing and odd files."""

import os
import pickle
import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torchvision
from numpy.typing import NDArray
from PIL import Image

from ablations.data import image_folder
from ablations.data.dataset import Dataset
from ablations.data.registry import load_dataset
from ablations.errors import ConfigError, DataError, DataMissing

CLASSES = ("ant", "bee", "cat")
PER_CLASS = 10


def random_image(source: np.random.Generator, *, size: int = 32) -> Image.Image:
    return Image.fromarray(source.integers(0, 256, (size, size, 3), np.uint8))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """train/ and test/ with ten images of three classes, not all of them plain RGB in PNG."""
    source = np.random.default_rng(0)
    root = tmp_path / "photos"
    for split in ("train", "test"):
        for name in CLASSES:
            folder = root / split / name
            folder.mkdir(parents=True)
            for number in range(PER_CLASS):
                random_image(source).save(folder / f"{number}.png")
            random_image(source).convert("L").save(folder / "1.png")
            random_image(source).convert("P", palette=Image.Palette.ADAPTIVE).save(folder / "2.png")
            Image.fromarray(source.integers(0, 256, (32, 32, 4), np.uint8), "RGBA").save(folder / "3.png")
            Image.fromarray(source.integers(0, 256, (32, 32, 2), np.uint8), "LA").save(folder / "4.png")
            random_image(source).convert("1").save(folder / "5.png")
            for number, suffix in ((6, "jpg"), (7, "bmp"), (8, "webp")):
                (folder / f"{number}.png").unlink()
                random_image(source).save(folder / f"{number}.{suffix}")
            (folder / "9.png").rename(folder / "9.PNG")
            (folder / "notes.txt").write_text("no image")
        (root / split / "notes.txt").write_text("no class")
    return root


def assert_is_image_folder(dataset: Dataset, root: Path, *, transform: Any = None) -> None:
    """The same classes, labels and pixels in the same order as torchvision reads them."""
    for name, split in (("train", dataset.train), ("test", dataset.test)):
        reference = torchvision.datasets.ImageFolder(str(root / name), transform=transform)
        assert {name: index for index, name in enumerate(dataset.class_names)} == reference.class_to_idx
        assert split.labels.tolist() == reference.targets
        assert (split.images.dtype, split.labels.dtype) == (np.uint8, np.int64)
        expected: NDArray[np.uint8] = np.stack([np.asarray(image) for image, _ in reference])
        assert np.array_equal(split.images, expected)


def decode_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr(Image, "open", fail)


def test_a_folder_is_read_as_torchvisions_image_folder(tree: Path) -> None:
    dataset = load_dataset("folder", tree)
    assert_is_image_folder(dataset, tree)
    assert len(dataset.train) == len(dataset.test) == len(CLASSES) * PER_CLASS
    assert (dataset.name, dataset.num_classes, dataset.image_size) == ("folder", 3, 32)
    assert "photos" in dataset.title


def test_a_folder_within_a_class_is_read_as_torchvisions_image_folder(tree: Path) -> None:
    source = np.random.default_rng(1)
    for name in ("0", "0-0", "5.png", "zoo"):
        nested = tree / "train" / "bee" / f"{name}.d"
        nested.mkdir()
        random_image(source).save(nested / "a.png")
    assert_is_image_folder(load_dataset("folder", tree), tree)


def test_classes_are_ordered_as_torchvision_orders_them(tree: Path) -> None:
    for split in ("train", "test"):
        for old, new in (("ant", "b"), ("bee", "b-2"), ("cat", "B10")):
            (tree / split / old).rename(tree / split / new)
    dataset = load_dataset("folder", tree)
    assert dataset.class_names == ("B10", "b", "b-2")
    assert_is_image_folder(dataset, tree)


def test_links_are_followed(tree: Path, tmp_path: Path) -> None:
    (tree / "train" / "cat").rename(tmp_path / "cats")
    (tree / "train" / "cat").symlink_to(tmp_path / "cats")
    dataset = load_dataset("folder", tree)
    assert_is_image_folder(dataset, tree)
    assert len(dataset.train) == len(CLASSES) * PER_CLASS


def test_a_file_name_need_not_be_utf8(tree: Path) -> None:
    path = os.fsencode(tree / "train" / "bee") + b"/caf\xe9.png"  # Latin-1, as old archives have it
    random_image(np.random.default_rng(1)).save(tree / "train" / "bee" / "new.png")
    os.rename(tree / "train" / "bee" / "new.png", path)
    assert_is_image_folder(load_dataset("folder", tree), tree)


def test_all_images_are_resized(tree: Path) -> None:
    random_image(np.random.default_rng(1), size=47).save(tree / "train" / "ant" / "0.png")
    Image.new("RGB", (20, 60), "red").save(tree / "test" / "cat" / "0.png")
    dataset = load_dataset("folder", tree, image_size=16)
    assert dataset.image_size == 16
    assert_is_image_folder(dataset, tree, transform=torchvision.transforms.Resize((16, 16)))


def test_an_image_of_another_size_needs_an_image_size(tree: Path) -> None:
    odd = tree / "test" / "bee" / "7.bmp"
    Image.new("RGB", (32, 31)).save(odd)
    with pytest.raises(DataError, match=r"32x31.*--image-size") as caught:
        load_dataset("folder", tree)
    assert str(odd) in str(caught.value)
    assert caught.value.exit_status == 4


@pytest.mark.parametrize(
    ("size", "allowed"), [(0, "at least 1"), (-1, "at least 1"), (1025, "at most 1024"), (10**10, "at most 1024")]
)
def test_an_impossible_image_size_is_refused(tree: Path, size: int, allowed: str) -> None:
    with pytest.raises(ConfigError, match=f"--image-size is {size}; it must be a whole number of {allowed}$"):
        load_dataset("folder", tree, image_size=size)


def test_the_largest_image_size_is_not_refused(tmp_path: Path) -> None:
    with pytest.raises(DataMissing):
        load_dataset("folder", tmp_path, image_size=1024)


def png_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def huge_png(*, size: int) -> bytes:
    """A small PNG file of a huge image, which Pillow refuses to decode."""
    header = struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", b"") + png_chunk(b"IEND", b"")


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda good: b"", id="empty"),
        pytest.param(lambda good: b"no image", id="text"),
        pytest.param(lambda good: good[: len(good) // 2], id="truncated"),
        pytest.param(lambda good: good[:100] + bytes([good[100] ^ 255]) + good[101:], id="one-byte"),
        pytest.param(lambda good: huge_png(size=30_000), id="decompression-bomb"),
    ],
)
def test_a_broken_image_is_named(tree: Path, damage: Callable[[bytes], bytes]) -> None:
    broken = tree / "train" / "cat" / "0.png"
    broken.write_bytes(damage(broken.read_bytes()))
    with pytest.raises(DataError) as caught:
        load_dataset("folder", tree)
    assert str(broken) in str(caught.value)
    assert caught.value.exit_status == 4
    assert [path for path in tree.iterdir() if path.is_file()] == []


def test_a_dangling_link_is_named(tree: Path) -> None:
    broken = tree / "train" / "cat" / "new.png"
    broken.symlink_to(tree / "nowhere.png")
    with pytest.raises(DataError) as caught:
        load_dataset("folder", tree)
    assert str(broken) in str(caught.value)


def test_the_second_load_decodes_nothing(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = load_dataset("folder", tree)
    decode_nothing(monkeypatch)
    second = load_dataset("folder", tree)
    assert second.fingerprint == first.fingerprint
    assert second.class_names == first.class_names
    assert np.array_equal(second.train.images, first.train.images)
    with pytest.raises(DataError, match="decoded"):  # each size has its own cache
        load_dataset("folder", tree, image_size=16)


@pytest.mark.parametrize("inside", [False, True])
def test_the_cache_serves_a_relative_path_too(tree: Path, inside: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    first = load_dataset("folder", tree)
    monkeypatch.chdir(tree if inside else tree.parent)
    decode_nothing(monkeypatch)
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
def test_a_change_in_the_folder_is_noticed(tree: Path, change: Callable[[Path], None]) -> None:
    before = load_dataset("folder", tree)
    change(tree)
    after = load_dataset("folder", tree)
    assert_is_image_folder(after, tree)
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
def test_a_cache_of_other_arrays_is_decoded_anew(
    tree: Path, name: str, alter: Callable[[NDArray[Any]], NDArray[Any]]
) -> None:
    first = load_dataset("folder", tree)
    (cache,) = tree.glob(".decoded-*.npz")
    with np.load(cache, allow_pickle=False) as stored:
        arrays = dict(stored)
    before = arrays[name]
    with cache.open("wb") as file:
        np.savez(file, allow_pickle=False, **(arrays | {name: alter(before)}))
    assert load_dataset("folder", tree).fingerprint == first.fingerprint
    after = np.load(cache, allow_pickle=False)[name]
    assert after.dtype == before.dtype and np.array_equal(after, before)


def test_a_pipe_in_the_caches_place_is_not_opened(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = load_dataset("folder", tree)
    (cache,) = tree.glob(".decoded-*.npz")
    cache.unlink()
    os.mkfifo(cache)
    other_end = os.open(cache, os.O_RDWR)  # lest whoever opens it waits
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
        # In the zip's directory, which no checksum covers: a member's compression stands 36 bytes before its name, and
        # 14 bytes before it the length of a comment, here long enough to hide the members that follow.
        pytest.param(lambda path: flip_byte(path, after=b"train_images", offset=-36), id="compression"),
        pytest.param(lambda path: flip_byte(path, after=b"listing", offset=-14), id="hidden-members"),
    ],
)
def test_a_damaged_cache_is_replaced(
    tree: Path, damage: Callable[[Path], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = load_dataset("folder", tree)
    caches = [path for path in tree.iterdir() if path.is_file()]
    assert len(caches) == 1
    damage(caches[0])
    assert load_dataset("folder", tree).fingerprint == first.fingerprint
    decode_nothing(monkeypatch)
    assert load_dataset("folder", tree).fingerprint == first.fingerprint


def test_a_folder_that_cannot_be_written_still_loads(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Root may write anywhere, so permissions alone would not do.
    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(image_folder, "replacing", refuse)
    with pytest.warns(UserWarning, match="cannot be written .*Permission denied"):
        dataset = load_dataset("folder", tree)
    assert_is_image_folder(dataset, tree)


def remove_test(root: Path) -> None:
    shutil.rmtree(root / "test")


def remove_train(root: Path) -> None:
    shutil.rmtree(root / "train")


def remove_all(root: Path) -> None:
    shutil.rmtree(root)


@pytest.mark.parametrize("remove", [remove_train, remove_test, remove_all])
def test_a_missing_folder_is_named(tree: Path, remove: Callable[[Path], None]) -> None:
    remove(tree)
    absent = tree / ("test" if remove is remove_test else "train")
    with pytest.raises(DataMissing, match=r"train/<class>/\* and test/<class>/\*.*--data-dir") as caught:
        load_dataset("folder", tree)
    assert str(caught.value).startswith(str(absent))
    assert caught.value.exit_status == 4


def rename_in_test(root: Path) -> None:
    (root / "test" / "cat").rename(root / "test" / "dog")


def remove_from_test(root: Path) -> None:
    shutil.rmtree(root / "test" / "cat")


def add_empty_class(root: Path) -> None:
    (root / "train" / "dog").mkdir()
    (root / "train" / "dog" / "readme.txt").write_text("no image")


def leave_one_class(root: Path) -> None:
    for split in ("train", "test"):
        for name in ("bee", "cat"):
            shutil.rmtree(root / split / name)


def leave_no_class(root: Path) -> None:
    for name in CLASSES:
        shutil.rmtree(root / "train" / name)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (rename_in_test, r"different classes; .*cat, dog"),
        (remove_from_test, r"different classes; .*cat"),
        (add_empty_class, r"train/dog has no image; remove the folder or add .*\.png"),
        (leave_one_class, r"fewer than two class folders \(1\); add"),
        (leave_no_class, r"fewer than two class folders \(0\); add"),
    ],
)
def test_unusable_classes_are_refused(tree: Path, spoil: Callable[[Path], None], message: str) -> None:
    spoil(tree)
    with pytest.raises(DataError, match=message) as caught:
        load_dataset("folder", tree)
    assert str(tree) in str(caught.value)
    assert caught.value.exit_status == 4


def test_a_pipe_among_the_images_is_named_and_not_opened(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = tree / "train" / "ant" / "x.png"
    os.mkfifo(pipe)
    decode_nothing(monkeypatch)
    with pytest.raises(DataError) as caught:
        load_dataset("folder", tree)
    assert str(caught.value) == f"{pipe} is no regular file; replace or remove it"


@pytest.mark.parametrize("link", ["train/self", "train/ant/self.png", "train/ant/self", "test/ant/x.png"])
def test_a_link_to_itself_is_named(tree: Path, link: str) -> None:
    path = tree / link
    path.symlink_to(path.name)
    with pytest.raises(DataError, match=r"cannot be read \(.*\); correct its name, permissions or link") as caught:
        load_dataset("folder", tree)
    assert str(caught.value).startswith(str(path))


def test_a_split_that_is_a_link_to_itself_is_named(tree: Path) -> None:
    shutil.rmtree(tree / "train")
    (tree / "train").symlink_to("train")
    with pytest.raises(DataError, match="cannot be read") as caught:
        load_dataset("folder", tree)
    assert str(caught.value).startswith(str(tree / "train"))


@pytest.mark.parametrize("target", [".", "../ant", "deep", "../../../photos/train/ant/deep"])
def test_a_link_to_a_folder_that_its_class_has_already_is_named(tree: Path, target: str) -> None:
    (tree / "train" / "ant" / "deep").mkdir()
    link = tree / "train" / "ant" / "loop"
    link.symlink_to(target)
    with pytest.raises(DataError, match="are one folder, whose images would count twice; remove the link") as caught:
        load_dataset("folder", tree)
    assert str(link) in str(caught.value) and str(link.resolve()) in str(caught.value)


@pytest.mark.parametrize("folder", ["train", "test", "test/bee", "train/ant/deep"])
def test_a_folder_that_may_not_be_read_is_named(tree: Path, folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (tree / "train" / "ant" / "deep").mkdir()
    scandir = os.scandir

    def refuse(path: Any) -> Any:  # root may read anything, so permissions alone would not do
        if str(path) == str(tree / folder):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(DataError) as caught:
        load_dataset("folder", tree)
    said = "cannot be read (Permission denied); correct its name, permissions or link, or remove it"
    assert (str(caught.value), caught.value.exit_status) == (f"{tree / folder} {said}", 4)


@pytest.mark.parametrize("name", ["folder", "cifar10"])
def test_a_data_dir_whose_name_is_too_long_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="File name too long") as caught:
        load_dataset(name, tmp_path / ("x" * 300))
    assert "x" * 300 in str(caught.value)


def rename_ant(tree: Path, name: bytes) -> None:
    for split in ("train", "test"):
        os.rename(tree / split / "ant", os.fsencode(tree / split) + b"/" + name)


@pytest.mark.parametrize(
    ("name", "escaped"),
    [(b"a\xff", r"a\udcff"), (b"a\nb", r"a\nb"), (b"\x1b[2J", r"\x1b[2J"), ("a\u2028".encode(), r"a\u2028")],
)
def test_a_class_name_that_no_report_can_hold_is_refused(tree: Path, name: bytes, escaped: str) -> None:
    rename_ant(tree, name)
    with pytest.raises(DataError, match="control character in its name, or bytes that are not UTF-8") as caught:
        load_dataset("folder", tree)
    assert f"{tree}/train/{escaped}" in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("name", ["=cmd()", "@SUM(A1)", "+cmd|' C calc'!A0", '-HYPERLINK("evil.example","a")'])
def test_a_class_name_that_a_spreadsheet_computes_is_refused(tree: Path, name: str) -> None:
    rename_ant(tree, name.encode())
    with pytest.raises(DataError, match="a spreadsheet computes as a formula; .* rename the folder") as caught:
        load_dataset("folder", tree)
    assert str(caught.value).startswith(f"{tree}/train/{name}")


@pytest.mark.parametrize("name", ["-1", "+1", "+ (positive)", "-not-a-bee", "a=b", "f(x)", "caf\u00e9", "\u8682\u8681"])
def test_a_class_name_that_harms_nobody_is_kept(tree: Path, name: str) -> None:
    rename_ant(tree, name.encode())
    assert name in load_dataset("folder", tree).class_names


def test_an_error_shows_no_control_character_of_an_image_s_name(tree: Path) -> None:
    (tree / "train" / "bee" / "\x1b[2J\n.png").write_text("no image")
    with pytest.raises(DataError, match="cannot be read as an image") as caught:
        load_dataset("folder", tree)
    assert str(caught.value).isprintable() and r"\x1b[2J\n.png" in str(caught.value)


def test_the_title_of_a_folder_whose_name_is_not_utf8_can_be_written(tree: Path) -> None:
    root = Path(os.fsdecode(os.fsencode(tree.parent) + b"/caf\xe9"))
    tree.rename(root)
    assert load_dataset("folder", root).title.encode("utf-8") == rb"image folder 'caf\udce9'"

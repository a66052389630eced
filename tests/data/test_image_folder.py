"""Image folders against torchvision's ImageFolder; links, names and missing or unreadable folders."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torchvision
from PIL import ExifTags, Image, ImageOps

from ablations.data.image_folder import SPLITS, check_results_apart
from ablations.data.registry import load_dataset
from ablations.errors import ConfigError, DataError, DataMissing
from ablations.experiment import DataSource, run_suite
from tests.support.image_trees import CLASSES, PER_CLASS, assert_same_as_torchvision, make_tree, random_image


def test_a_folder_is_read_as_torchvision_reads_it(tree: Path) -> None:
    dataset = load_dataset("folder", tree)
    assert_same_as_torchvision(dataset, tree)
    assert len(dataset.train) == len(dataset.test) == len(CLASSES) * PER_CLASS
    assert (dataset.name, dataset.num_classes, dataset.image_size) == ("folder", 3, 32)
    assert "photos" in dataset.title


def test_nested_folders_are_read_as_torchvision_reads_them(tree: Path) -> None:
    source = np.random.default_rng(1)
    for name in ("0", "0-0", "5.png", "zoo"):
        nested = tree / "train" / "bee" / f"{name}.d"
        nested.mkdir()
        random_image(source).save(nested / "a.png")
    assert_same_as_torchvision(load_dataset("folder", tree), tree)


def test_classes_are_ordered_as_torchvision_orders_them(tree: Path) -> None:
    for split in ("train", "test"):
        for old, new in (("ant", "b"), ("bee", "b-2"), ("cat", "B10")):
            (tree / split / old).rename(tree / split / new)
    dataset = load_dataset("folder", tree)
    assert dataset.class_names == ("B10", "b", "b-2")
    assert_same_as_torchvision(dataset, tree)


def test_links_are_followed(tree: Path, tmp_path: Path) -> None:
    (tree / "train" / "cat").rename(tmp_path / "cats")
    (tree / "train" / "cat").symlink_to(tmp_path / "cats")
    dataset = load_dataset("folder", tree)
    assert_same_as_torchvision(dataset, tree)
    assert len(dataset.train) == len(CLASSES) * PER_CLASS


def test_a_file_name_need_not_be_utf8(tree: Path) -> None:
    path = os.fsencode(tree / "train" / "bee") + b"/caf\xe9.png"  # Latin-1, as old archives have it
    random_image(np.random.default_rng(1)).save(tree / "train" / "bee" / "new.png")
    os.rename(tree / "train" / "bee" / "new.png", path)
    assert_same_as_torchvision(load_dataset("folder", tree), tree)


def test_the_orientation_in_exif_data_is_ignored_as_torchvision_does(tree: Path) -> None:
    path = tree / "train" / "ant" / "0.jpg"
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6  # to be turned by 90 degrees
    random_image(np.random.default_rng(1)).save(path, exif=exif)
    with Image.open(path) as image:
        turned, stored = np.asarray(ImageOps.exif_transpose(image)), np.asarray(image)
    assert not np.array_equal(turned, stored)
    dataset = load_dataset("folder", tree)
    assert_same_as_torchvision(dataset, tree)
    assert any(np.array_equal(image, stored) for image in dataset.train.images)


def test_all_images_are_resized(tree: Path) -> None:
    random_image(np.random.default_rng(1), size=47).save(tree / "train" / "ant" / "0.png")
    Image.new("RGB", (20, 60), "red").save(tree / "test" / "cat" / "0.png")
    dataset = load_dataset("folder", tree, image_size=16)
    assert dataset.image_size == 16
    assert_same_as_torchvision(dataset, tree, transform=torchvision.transforms.Resize((16, 16)))


@pytest.mark.parametrize(
    ("size", "allowed"), [(0, "at least 1"), (-1, "at least 1"), (1025, "at most 1024"), (10**10, "at most 1024")]
)
def test_an_impossible_image_size_is_refused(tree: Path, size: int, allowed: str) -> None:
    with pytest.raises(ConfigError, match=f"--image-size is {size}; it must be a whole number of {allowed}$"):
        load_dataset("folder", tree, image_size=size)


def test_the_largest_image_size_is_not_refused(tmp_path: Path) -> None:
    with pytest.raises(DataMissing):
        load_dataset("folder", tmp_path, image_size=1024)


def test_a_dangling_link_is_named(tree: Path) -> None:
    broken = tree / "train" / "cat" / "new.png"
    broken.symlink_to(tree / "nowhere.png")
    with pytest.raises(DataError) as caught:
        load_dataset("folder", tree)
    assert str(broken) in str(caught.value)


@pytest.mark.parametrize("removed", ["train", "test", "."])
def test_a_missing_folder_is_named(tree: Path, removed: str) -> None:
    shutil.rmtree(tree / removed)
    missing = tree / ("test" if removed == "test" else "train")
    with pytest.raises(DataMissing, match=r"train/<class>/\* and test/<class>/\*.*--data-dir") as caught:
        load_dataset("folder", tree)
    assert str(caught.value).startswith(str(missing))
    assert caught.value.exit_status == 4


def rename_in_test(root: Path) -> None:
    (root / "test" / "cat").rename(root / "test" / "dog")


def remove_from_test(root: Path) -> None:
    shutil.rmtree(root / "test" / "cat")


def add_empty_class(root: Path) -> None:
    (root / "train" / "dog").mkdir()
    (root / "train" / "dog" / ".DS_Store").write_text("no image")


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


def test_a_pipe_among_the_images_is_named_and_not_opened(tree: Path, forbid_decoding: Callable[[], None]) -> None:
    pipe = tree / "train" / "ant" / "x.png"
    os.mkfifo(pipe)
    forbid_decoding()
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
def test_a_link_to_a_folder_of_the_same_class_is_named(tree: Path, target: str) -> None:
    (tree / "train" / "ant" / "deep").mkdir()
    link = tree / "train" / "ant" / "loop"
    link.symlink_to(target)
    with pytest.raises(DataError, match="are one folder, whose images would count twice; remove the link") as caught:
        load_dataset("folder", tree)
    assert str(link) in str(caught.value) and str(link.resolve()) in str(caught.value)


@pytest.mark.parametrize("folder", ["train", "test", "test/bee", "train/ant/deep"])
def test_an_unreadable_folder_is_named(tree: Path, folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
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
def test_a_class_name_with_control_characters_is_refused(tree: Path, name: bytes, escaped: str) -> None:
    rename_ant(tree, name)
    with pytest.raises(DataError, match="control character in its name, or bytes that are not UTF-8") as caught:
        load_dataset("folder", tree)
    assert f"{tree}/train/{escaped}" in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("name", ["=cmd()", "@SUM(A1)", "+cmd|' C calc'!A0", '-HYPERLINK("evil.example","a")'])
def test_a_class_name_that_is_a_spreadsheet_formula_is_refused(tree: Path, name: str) -> None:
    rename_ant(tree, name.encode())
    with pytest.raises(DataError, match="a spreadsheet computes as a formula; .* rename the folder") as caught:
        load_dataset("folder", tree)
    assert str(caught.value).startswith(f"{tree}/train/{name}")


@pytest.mark.parametrize("name", ["-1", "+1", "+ (positive)", "-not-a-bee", "a=b", "f(x)", "caf\u00e9", "\u8682\u8681"])
def test_a_harmless_class_name_is_kept(tree: Path, name: str) -> None:
    rename_ant(tree, name.encode())
    assert name in load_dataset("folder", tree).class_names


def test_an_error_escapes_control_characters_in_an_images_name(tree: Path) -> None:
    (tree / "train" / "bee" / "\x1b[2J\n.png").write_text("no image")
    with pytest.raises(DataError, match="cannot be read as an image") as caught:
        load_dataset("folder", tree)
    assert str(caught.value).isprintable() and r"\x1b[2J\n.png" in str(caught.value)


def test_the_title_escapes_a_folder_name_that_is_not_utf8(tree: Path) -> None:
    root = Path(os.fsdecode(os.fsencode(tree.parent) + b"/caf\xe9"))
    tree.rename(root)
    assert load_dataset("folder", root).title.encode("utf-8") == rb"image folder 'caf\udce9'"


SKIPPED_FOLDERS = [".git", ".hidden", "@eaDir", "__MACOSX"]
SKIPPED_FILES = [".DS_Store", "._0.png", ".hidden", "Thumbs.db", "thumbs.db", "desktop.ini", "Desktop.ini"]


@pytest.mark.parametrize("place", ["train", "test", "train/ant", "test/cat"])
@pytest.mark.parametrize("name", SKIPPED_FOLDERS)
def test_hidden_and_system_folders_are_skipped(
    place: str, name: str, tree: Path, caplog: pytest.LogCaptureFixture
) -> None:
    expected = load_dataset("folder", tree).fingerprint
    folder = tree / place / name
    folder.mkdir()
    random_image(np.random.default_rng(1)).save(folder / "0.png")
    caplog.clear()
    assert load_dataset("folder", tree).fingerprint == expected
    (message,) = caplog.messages
    assert f"1 {'hidden' if name.startswith('.') else name}" in message


@pytest.mark.parametrize("place", ["train", "test", "train/ant", "test/cat"])
@pytest.mark.parametrize("name", SKIPPED_FILES)
def test_hidden_and_system_files_are_skipped(place: str, name: str, tree: Path) -> None:
    expected = load_dataset("folder", tree).fingerprint
    (tree / place / name).write_bytes(b"no image")
    assert load_dataset("folder", tree).fingerprint == expected


def test_one_warning_counts_what_is_skipped(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = make_tree(tmp_path / "photos")
    load_dataset("folder", root)
    assert caplog.messages == []
    for split in SPLITS:
        (root / split / "labels.csv").write_text("no image")
        (root / split / "@eaDir").mkdir()
        for name in (".DS_Store", "._0.png", ".thumbnails"):
            (root / split / "ant" / name).write_text("no image")
    load_dataset("folder", root)
    counted = "2 .DS_Store, 2 @eaDir, 2 beside the class folders, 4 hidden"
    assert caplog.messages == [f"{root}: skipped files and folders that are no data: {counted}"]


@pytest.mark.parametrize(
    "name",
    ["x.gif", "x.jfif", "x.avif", "x.heic", "X.GIF", "x.txt", "x.csv", "x", "png", "x.png.part", "x.npz", "deep/x.gif"],
)
def test_a_file_that_is_no_image_by_its_suffix_is_refused(tree: Path, name: str) -> None:
    path = tree / "test" / "bee" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes((tree / "test" / "bee" / "0.png").read_bytes())
    with pytest.raises(DataError, match=r"is no image by its suffix .*; convert .* to \.jpg, .*, or move") as caught:
        load_dataset("folder", tree)
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


def test_refused_files_of_all_classes_are_counted(tree: Path) -> None:
    for name in ("train/bee/b.gif", "train/bee/c.GIF", "train/cat/readme", "test/ant/a.gif"):
        (tree / name).write_bytes(b"")
    with pytest.raises(DataError, match=r"\(3 \.gif, 1 without suffix in all classes\)") as caught:
        load_dataset("folder", tree)
    assert str(caught.value).startswith(str(tree / "test" / "ant" / "a.gif"))


def test_a_class_of_other_files_only_is_refused_by_their_names(tree: Path) -> None:
    (tree / "train" / "dog").mkdir()
    (tree / "train" / "dog" / "0.gif").write_bytes(b"")
    with pytest.raises(DataError, match=r"train/dog/0\.gif is no image by its suffix"):
        load_dataset("folder", tree)


def test_class_names_that_look_the_same_are_told_apart(tree: Path) -> None:
    (tree / "train" / "ant").rename(tree / "train" / "caf\u00e9")  # NFC
    (tree / "test" / "ant").rename(tree / "test" / "cafe\u0301")  # NFD
    with pytest.raises(DataError, match="different classes") as caught:
        load_dataset("folder", tree)
    assert r"only one of them has 'cafe\u0301', 'caf\xe9' (the same characters" in str(caught.value)


def test_other_class_names_are_shown_as_they_are(tree: Path) -> None:
    (tree / "train" / "ant").rename(tree / "train" / "caf\u00e9")
    with pytest.raises(DataError, match="only one of them has ant, caf\u00e9; give both"):
        load_dataset("folder", tree)


@pytest.mark.parametrize("results", ["train", "test", "train/results", "test/a/b", "link/results"])
def test_results_among_the_classes_are_refused(results: str, tree: Path) -> None:
    (tree / "link").symlink_to("test")
    with pytest.raises(ConfigError, match="whose folders are classes of images; choose a folder outside") as caught:
        check_results_apart(tree, tree / results)
    assert str(tree / results) in str(caught.value) and caught.value.exit_status == 2


@pytest.mark.parametrize("results", [".", "results", "trained", "train/../results", "../results"])
def test_results_elsewhere_are_fine(results: str, tree: Path) -> None:
    check_results_apart(tree, tree / results)


def test_a_suite_does_not_write_its_results_among_the_classes(tree: Path) -> None:
    with pytest.raises(ConfigError, match="whose folders are classes"):
        run_suite("folder", results=tree / "train" / "results", data=DataSource(directory=tree))
    assert not (tree / "train" / "results").exists()

"""Datasets against scikit-learn and torchvision, and what happens to damaged, missing and odd files."""

import dataclasses
import hashlib
import http.client
import io
import os
import pickle
import shutil
import struct
import subprocess
import sys
import tarfile
import urllib.error
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torchvision
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_digits as sklearn_digits

from ablations import datasets
from ablations.datasets import Dataset, Split
from ablations.errors import ConfigError, DataError

ROOT = Path(__file__).parents[1]
CIFAR: dict[str, Any] = {"cifar10": torchvision.datasets.CIFAR10, "cifar100": torchvision.datasets.CIFAR100}
CLASSES = ("ant", "bee", "cat")
PER_CLASS = 10

Members = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return datasets.load_digits()


def test_digits_are_scikit_learns_images(digits: Dataset) -> None:
    bunch: Any = sklearn_digits()
    # From counts of 0 to 16 to bytes; a multiple of 255/16 never lies halfway, so rounding is unambiguous.
    expected = [
        (tuple(int(value * 255 / 16 + 0.5) for value in image.ravel()), int(label))
        for image, label in zip(bunch.images, bunch.target, strict=True)
    ]
    found = []
    for split in (digits.train, digits.test):
        assert split.images.dtype == np.uint8
        assert split.labels.dtype == np.int64
        assert (split.images == split.images[..., :1]).all()
        found += [
            (tuple(image[..., 0].ravel().tolist()), int(label))
            for image, label in zip(split.images, split.labels, strict=True)
        ]
    # As multisets: the splits are disjoint and nothing is missing.
    assert sorted(found) == sorted(expected)
    assert max(pixel for image, _ in found for pixel in image) == 255


def test_one_fifth_of_the_digits_is_for_testing(digits: Dataset) -> None:
    assert digits.train.images.shape == (1437, 8, 8, 3)
    assert digits.test.images.shape == (360, 8, 8, 3)
    assert (len(digits.train), len(digits.test)) == (1437, 360)
    assert digits.class_names == tuple("0123456789")
    assert (digits.num_classes, digits.image_size) == (10, 8)
    for label in range(10):
        tested = int((digits.test.labels == label).sum())
        everything = tested + int((digits.train.labels == label).sum())
        assert abs(tested - everything / 5) <= 1


def test_digits_have_the_pinned_fingerprint(digits: Dataset) -> None:
    # Run ids contain it: if a library changes the images or the split, old records must not pass for new ones.
    assert digits.fingerprint == "03adf401aabdc4dc842b6161cc463b2220db59c40fa8554c258ee47072ca0e99"
    assert datasets.load_digits().fingerprint == digits.fingerprint


def test_digits_load_without_torch() -> None:
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from ablations import datasets\n"
        "digits = datasets.load('digits', Path('nowhere'))\n"
        "print(len(digits.train), 'torch' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["1437", "False"]


def test_loaded_arrays_are_read_only(digits: Dataset) -> None:
    for array in (digits.train.images, digits.train.labels, digits.test.images, digits.test.labels):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


@pytest.mark.parametrize("name", ["digits", "cifar10", "cifar100"])
def test_an_image_size_is_for_folders_only(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--image-size 16 .*--suite folder") as caught:
        datasets.load(name, tmp_path, image_size=16)
    assert caught.value.exit_status == 2


def balanced(*, classes: int = 10, per_class: int = 20) -> Split:
    """Images whose first byte is their position, so that a subset shows where it came from."""
    count = classes * per_class
    images = np.zeros((count, 1, 1, 3), np.uint8)
    images[:, 0, 0, 0] = np.arange(count)
    return Split(images=images, labels=np.tile(np.arange(classes), per_class))


def positions(split: Split) -> list[int]:
    return split.images[:, 0, 0, 0].tolist()


@pytest.mark.parametrize("count", [10, 11, 57, 100, 190])
def test_a_subset_is_exact_and_stratified(count: int) -> None:
    whole = balanced()
    subset = datasets.limit(whole, count)
    per_class = np.bincount(subset.labels, minlength=10)
    assert len(subset) == len(subset.images) == len(set(positions(subset))) == count
    assert per_class.max() - per_class.min() <= 1
    assert subset.labels.tolist() == [whole.labels[position] for position in positions(subset)]
    assert positions(datasets.limit(whole, count)) == positions(subset)


def test_a_subset_of_digits_keeps_the_shares_of_the_classes(digits: Dataset) -> None:
    subset = datasets.limit(digits.train, 500)
    shares = np.bincount(digits.train.labels) * 500 / len(digits.train)
    assert len(subset) == 500
    assert np.abs(np.bincount(subset.labels) - shares).max() < 1


@pytest.mark.parametrize("count", [None, 200])
def test_no_limit_is_everything(count: int | None) -> None:
    whole = balanced()
    assert positions(datasets.limit(whole, count)) == positions(whole)


@pytest.mark.parametrize("count", [191, 199])
def test_a_subset_may_leave_out_fewer_images_than_there_are_classes(count: int) -> None:
    subset = datasets.limit(balanced(), count)
    per_class = np.bincount(subset.labels, minlength=10)
    assert len(subset) == len(set(positions(subset))) == count
    assert per_class.max() - per_class.min() <= 1


@pytest.mark.parametrize("count", [-1, 0, 9, 201])
def test_an_impossible_subset_is_refused(count: int) -> None:
    with pytest.raises(ConfigError, match=f"--limit-train {count}: use at least 10.* at most 200"):
        datasets.limit(balanced(), count)


@pytest.mark.parametrize("fraction", [0.05, 0.1, 0.33, 0.5])
def test_a_held_out_part_is_stratified_and_apart(fraction: float) -> None:
    whole = balanced()
    kept, held = datasets.hold_out(whole, fraction=fraction, seed=1)
    assert held is not None
    assert len(held) == round(200 * fraction)
    assert sorted(positions(kept) + positions(held)) == positions(whole)
    for part in (kept, held):
        per_class = np.bincount(part.labels, minlength=10)
        assert per_class.max() - per_class.min() <= 1
        assert part.labels.tolist() == [whole.labels[position] for position in positions(part)]


def test_the_held_out_part_belongs_to_the_seed() -> None:
    held = [datasets.hold_out(balanced(), fraction=0.2, seed=seed)[1] for seed in (1, 1, 2, 2**31 - 1)]
    first, again, second, largest = (positions(part) for part in held if part is not None)
    assert first == again
    assert len({tuple(first), tuple(second), tuple(largest)}) == 3


def test_nothing_is_held_out_by_default() -> None:
    kept, held = datasets.hold_out(balanced(), fraction=0.0, seed=1)
    assert positions(kept) == positions(balanced())
    assert held is None


def python2_pickle(value: object) -> bytes:
    """What Python 2's cPickle writes: the official batches are such pickles, with byte strings and an old numpy."""
    return pickle.PROTO + b"\x02" + _python2(value) + pickle.STOP


def _python2(value: object) -> bytes:
    if isinstance(value, str):
        raw = value.encode("latin1")
        return pickle.BINSTRING + struct.pack("<i", len(raw)) + raw
    if isinstance(value, int):
        return pickle.BININT + struct.pack("<i", value)
    if isinstance(value, list):
        return pickle.EMPTY_LIST + pickle.MARK + b"".join(map(_python2, value)) + pickle.APPENDS
    if isinstance(value, dict):
        items = b"".join(_python2(key) + _python2(item) for key, item in value.items())
        return pickle.EMPTY_DICT + pickle.MARK + items + pickle.SETITEMS
    assert isinstance(value, np.ndarray) and value.dtype == np.uint8 and value.ndim == 2
    new = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n" + _python2(0) + pickle.TUPLE1 + _python2("b")
    dtype = b"cnumpy\ndtype\n" + _python2("u1") + _python2(0) + _python2(1) + pickle.TUPLE3 + pickle.REDUCE
    no_fields = pickle.NONE * 3 + _python2(-1) * 2 + _python2(0)
    dtype += pickle.MARK + _python2(3) + _python2("|") + no_fields + pickle.TUPLE + pickle.BUILD
    shape = _python2(value.shape[0]) + _python2(value.shape[1]) + pickle.TUPLE2
    content = pickle.NEWFALSE + _python2(value.tobytes().decode("latin1"))
    state = pickle.MARK + _python2(1) + shape + dtype + content + pickle.TUPLE + pickle.BUILD
    return new + pickle.TUPLE3 + pickle.REDUCE + state


def random_members(name: str) -> Members:
    """Small batches with the keys that https://www.cs.toronto.edu/~kriz/cifar.html describes."""
    reference, source = CIFAR[name], np.random.default_rng(0)
    members: Members = {}
    for file_name, _ in reference.train_list + reference.test_list:
        batch = {"batch_label": file_name, "data": source.integers(0, 256, (6, 3072), np.uint8)}
        if name == "cifar10":
            batch |= {"labels": source.integers(0, 10, 6).tolist()}
        else:
            fine = source.integers(0, 100, 6).tolist()
            batch |= {"coarse_labels": [label % 20 for label in fine], "fine_labels": fine}
        members[file_name] = batch | {"filenames": [f"{file_name}_{i}.png" for i in range(6)]}
    if name == "cifar10":
        names = {"label_names": [f"class {i}" for i in range(10)], "num_cases_per_batch": 6, "num_vis": 3072}
    else:
        names = {
            "coarse_label_names": [f"group {i}" for i in range(20)],
            "fine_label_names": [f"class {i}" for i in range(100)],
        }
    members[reference.meta["filename"]] = names
    return members


def archive_bytes(name: str, members: Members) -> bytes:
    """A .tar.gz as the official one, with its members in another order than that of the batches."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        folder = tarfile.TarInfo(CIFAR[name].base_folder)
        folder.type = tarfile.DIRTYPE
        folder.mode = 0o755
        tar.addfile(folder)
        for file_name in sorted(members, reverse=True):
            content = python2_pickle(members[file_name])
            info = tarfile.TarInfo(f"{CIFAR[name].base_folder}/{file_name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def expect(monkeypatch: pytest.MonkeyPatch, name: str, content: bytes) -> None:
    """Let the checksum of the generated archive stand for the official one."""
    archive = datasets.ARCHIVES[name]._replace(md5=hashlib.md5(content).hexdigest(), size_bytes=len(content))
    monkeypatch.setitem(datasets.ARCHIVES, name, archive)


def load_members(monkeypatch: pytest.MonkeyPatch, folder: Path, name: str, members: Members) -> Dataset:
    content = archive_bytes(name, members)
    expect(monkeypatch, name, content)
    folder.mkdir(exist_ok=True)
    (folder / CIFAR[name].filename).write_bytes(content)
    return datasets.load(name, folder)


def files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize("name", CIFAR)
def test_archives_are_those_that_torchvision_pins(name: str) -> None:
    archive, reference = datasets.ARCHIVES[name], CIFAR[name]
    assert (archive.url, archive.file_name, archive.md5) == (reference.url, reference.filename, reference.tgz_md5)
    base = reference.base_folder
    assert archive.train_members == tuple(f"{base}/{file_name}" for file_name, _ in reference.train_list)
    assert archive.test_member == f"{base}/{reference.test_list[0][0]}"
    assert archive.meta_member == f"{base}/{reference.meta['filename']}"
    assert archive.names_key == reference.meta["key"]
    # The sizes that the server reports; torchvision does not pin them.
    assert archive.size_bytes == {"cifar10": 170_498_071, "cifar100": 169_001_437}[name]
    assert archive.num_classes == {"cifar10": 10, "cifar100": 100}[name]


@pytest.mark.parametrize("name", CIFAR)
def test_an_archive_is_read_as_torchvision_reads_it(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = load_members(monkeypatch, tmp_path, name, random_members(name))
    with tarfile.open(tmp_path / CIFAR[name].filename) as tar:
        tar.extractall(tmp_path / "unpacked", filter="data")
    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", lambda path, md5: True)
    for split, train in ((dataset.train, True), (dataset.test, False)):
        reference = CIFAR[name](root=tmp_path / "unpacked", train=train)
        assert (split.images.dtype, split.labels.dtype) == (np.uint8, np.int64)
        assert split.images.shape == (len(reference), 32, 32, 3)
        assert np.array_equal(split.images, reference.data)
        assert split.labels.tolist() == reference.targets
        assert list(dataset.class_names) == reference.classes
    assert (dataset.name, dataset.num_classes, dataset.image_size) == (name, len(dataset.class_names), 32)


def test_an_archive_is_read_without_torch_and_without_being_unpacked(tmp_path: Path) -> None:
    content = archive_bytes("cifar10", random_members("cifar10"))
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(content)
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from ablations import datasets\n"
        "datasets.ARCHIVES['cifar10'] = datasets.ARCHIVES['cifar10']._replace(md5=sys.argv[2])\n"
        "print(len(datasets.load('cifar10', Path(sys.argv[1])).train), 'torch' in sys.modules)\n"
    )
    arguments = [str(tmp_path), hashlib.md5(content).hexdigest()]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *arguments], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert done.stdout.split() == ["30", "False"]
    assert files_below(tmp_path) == [tmp_path / "cifar-10-python.tar.gz"]


def change_pixel(members: Members) -> None:
    members["data_batch_3"]["data"][2, 1_000] ^= 1


def change_test_pixel(members: Members) -> None:
    members["test_batch"]["data"][0, 0] ^= 1


def change_label(members: Members) -> None:
    members["data_batch_1"]["labels"][0] = (members["data_batch_1"]["labels"][0] + 1) % 10


def change_name(members: Members) -> None:
    members["batches.meta"]["label_names"][9] = "other"


def swap_two_images(members: Members) -> None:
    for key in ("data", "labels"):
        batch = members["data_batch_1"]
        batch[key] = batch[key][::-1].copy()


def test_the_fingerprint_is_that_of_images_labels_and_class_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fingerprints = []
    changes: list[Callable[[Members], None]] = [
        lambda members: None,
        change_pixel,
        change_test_pixel,
        change_label,
        change_name,
        swap_two_images,
    ]
    for change in changes:
        members = random_members("cifar10")
        change(members)
        fingerprints.append(load_members(monkeypatch, tmp_path, "cifar10", members).fingerprint)
    assert len(set(fingerprints)) == len(changes)
    members = random_members("cifar10")
    members["data_batch_1"]["filenames"][0] = "other.png"  # which is in the archive, but no part of the data
    same = load_members(monkeypatch, tmp_path / "elsewhere", "cifar10", members)
    assert same.fingerprint == fingerprints[0]


@pytest.mark.parametrize("name", CIFAR)
@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda good: good[:2_000] + bytes([good[2_000] ^ 1]) + good[2_001:], id="one-byte"),
        pytest.param(lambda good: good[: len(good) // 2], id="truncated"),
        pytest.param(lambda good: b"", id="empty"),
        pytest.param(lambda good: b"<html>404</html>", id="another-file"),
        pytest.param(lambda good: good + b"\0", id="longer"),
    ],
)
def test_nothing_is_unpickled_from_a_damaged_archive(
    name: str, damage: Callable[[bytes], bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = archive_bytes(name, random_members(name))
    expect(monkeypatch, name, good)
    bad = damage(good)
    path = tmp_path / CIFAR[name].filename
    path.write_bytes(bad)

    def fail(*arguments: object, **options: object) -> None:
        raise AssertionError("unpickled")

    for function in ("load", "loads", "Unpickler"):
        monkeypatch.setattr(pickle, function, fail)
    with pytest.raises(DataError) as caught:
        datasets.load(name, tmp_path)
    assert caught.value.exit_status == 4
    message = str(caught.value)
    assert str(path) in message
    assert hashlib.md5(bad).hexdigest() in message
    assert hashlib.md5(good).hexdigest() in message
    assert path.read_bytes() == bad  # it may be all that the user has


class Payload:
    """Creates a file when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Callable[..., object], tuple[Path]]:
        return Path.touch, (self.trace,)


def test_a_malicious_archive_with_another_checksum_does_nothing(tmp_path: Path) -> None:
    payload = pickle.dumps(Payload(tmp_path / "trace"))
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    with tarfile.open(data_dir / "cifar-10-python.tar.gz", "w:gz") as tar:
        for member in ("batches.meta", *(f"data_batch_{i}" for i in range(1, 6)), "test_batch"):
            info = tarfile.TarInfo(f"cifar-10-batches-py/{member}")
            info.size = len(payload)
            tar.addfile(info, io.BytesIO(payload))
    with pytest.raises(DataError, match="c58f30108f718f92721af3b95e74349a"):
        datasets.load("cifar10", data_dir)
    assert not (tmp_path / "trace").exists()
    pickle.loads(payload)
    assert (tmp_path / "trace").exists()  # so the payload would have worked


def assert_says_what_is_missing(error: DataError, name: str, folder: Path) -> None:
    assert isinstance(error, datasets.Missing)
    assert error.exit_status == 4
    sizes = {"cifar10": "170,498,071 bytes", "cifar100": "169,001,437 bytes"}
    needed = (CIFAR[name].filename, sizes[name], CIFAR[name].tgz_md5, str(folder), "--suite digits")
    assert [part for part in needed if part not in str(error)] == []


@pytest.mark.parametrize("name", CIFAR)
def test_a_missing_archive_is_not_downloaded_unasked(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise AssertionError("downloaded")

    monkeypatch.setattr("torchvision.datasets.utils.download_url", fail)
    with pytest.raises(DataError) as caught:
        datasets.load(name, tmp_path, download=False)
    assert_says_what_is_missing(caught.value, name, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("partly", [False, True], ids=["at-once", "halfway"])
@pytest.mark.parametrize("name", CIFAR)
@pytest.mark.parametrize(
    "error",
    [
        urllib.error.URLError("Temporary failure in name resolution"),
        TimeoutError("timed out"),
        ConnectionResetError("Connection reset by peer"),
        # These two are no OSError: what http.client raises for a connection cut within a chunked body, and
        # what torchvision raises for a chain of redirects.
        http.client.IncompleteRead(b""),
        RecursionError("exceeded 3 redirects"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_failing_download_says_what_to_do_and_leaves_nothing(
    name: str, partly: bool, error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def download_url(url: str, root: str, filename: str) -> None:
        assert url == CIFAR[name].url
        if partly:
            Path(root, filename).write_bytes(b"half of the archive")
        raise error

    monkeypatch.setattr("torchvision.datasets.utils.download_url", download_url)
    folder = tmp_path / "data"
    with pytest.raises(DataError) as caught:
        datasets.load(name, folder)
    assert_says_what_is_missing(caught.value, name, folder)
    assert files_below(tmp_path) == []


def test_a_download_of_other_bytes_is_refused_and_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def download_url(url: str, root: str, filename: str) -> None:
        Path(root, filename).write_bytes(b"<html>log in to this network</html>")

    monkeypatch.setattr("torchvision.datasets.utils.download_url", download_url)
    with pytest.raises(DataError, match="c58f30108f718f92721af3b95e74349a") as caught:
        datasets.load("cifar10", tmp_path)
    assert caught.value.exit_status == 4
    assert "cifar-10-python.tar.gz" in str(caught.value)
    assert files_below(tmp_path) == []


@pytest.mark.parametrize("name", CIFAR)
def test_a_download_ends_with_the_archive_in_place(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = archive_bytes(name, random_members(name))
    expect(monkeypatch, name, content)
    final = tmp_path / "data" / CIFAR[name].filename
    calls = []

    def download_url(url: str, root: str, filename: str) -> None:
        calls.append(url)
        assert not final.exists()
        Path(root, filename).write_bytes(content)
        assert not final.exists()  # under its own name the file is always complete

    monkeypatch.setattr("torchvision.datasets.utils.download_url", download_url)
    first = datasets.load(name, final.parent)
    assert files_below(tmp_path) == [final]
    assert final.read_bytes() == content
    assert datasets.load(name, final.parent).fingerprint == first.fingerprint
    assert calls == [CIFAR[name].url]


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
    dataset = datasets.load("folder", tree)
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
    assert_is_image_folder(datasets.load("folder", tree), tree)


def test_classes_are_ordered_as_torchvision_orders_them(tree: Path) -> None:
    for split in ("train", "test"):
        for old, new in (("ant", "b"), ("bee", "b-2"), ("cat", "B10")):
            (tree / split / old).rename(tree / split / new)
    dataset = datasets.load("folder", tree)
    assert dataset.class_names == ("B10", "b", "b-2")
    assert_is_image_folder(dataset, tree)


def test_links_are_followed(tree: Path, tmp_path: Path) -> None:
    (tree / "train" / "cat").rename(tmp_path / "cats")
    (tree / "train" / "cat").symlink_to(tmp_path / "cats")
    dataset = datasets.load("folder", tree)
    assert_is_image_folder(dataset, tree)
    assert len(dataset.train) == len(CLASSES) * PER_CLASS


def test_a_file_name_need_not_be_utf8(tree: Path) -> None:
    path = os.fsencode(tree / "train" / "bee") + b"/caf\xe9.png"  # Latin-1, as old archives have it
    random_image(np.random.default_rng(1)).save(tree / "train" / "bee" / "new.png")
    os.rename(tree / "train" / "bee" / "new.png", path)
    assert_is_image_folder(datasets.load("folder", tree), tree)


def test_all_images_are_resized(tree: Path) -> None:
    random_image(np.random.default_rng(1), size=47).save(tree / "train" / "ant" / "0.png")
    Image.new("RGB", (20, 60), "red").save(tree / "test" / "cat" / "0.png")
    dataset = datasets.load("folder", tree, image_size=16)
    assert dataset.image_size == 16
    assert_is_image_folder(dataset, tree, transform=torchvision.transforms.Resize((16, 16)))


def test_an_image_of_another_size_needs_an_image_size(tree: Path) -> None:
    odd = tree / "test" / "bee" / "7.bmp"
    Image.new("RGB", (32, 31)).save(odd)
    with pytest.raises(DataError, match=r"32x31.*--image-size") as caught:
        datasets.load("folder", tree)
    assert str(odd) in str(caught.value)
    assert caught.value.exit_status == 4


@pytest.mark.parametrize("size", [0, -1])
def test_an_impossible_image_size_is_refused(tree: Path, size: int) -> None:
    with pytest.raises(ConfigError, match=f"{size}"):
        datasets.load("folder", tree, image_size=size)


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
        datasets.load("folder", tree)
    assert str(broken) in str(caught.value)
    assert caught.value.exit_status == 4
    assert [path for path in tree.iterdir() if path.is_file()] == []


def test_a_dangling_link_is_named(tree: Path) -> None:
    broken = tree / "train" / "cat" / "new.png"
    broken.symlink_to(tree / "nowhere.png")
    with pytest.raises(DataError) as caught:
        datasets.load("folder", tree)
    assert str(broken) in str(caught.value)


def test_the_second_load_decodes_nothing(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = datasets.load("folder", tree)
    decode_nothing(monkeypatch)
    second = datasets.load("folder", tree)
    assert second.fingerprint == first.fingerprint
    assert second.class_names == first.class_names
    assert np.array_equal(second.train.images, first.train.images)
    with pytest.raises(DataError, match="decoded"):  # each size has its own cache
        datasets.load("folder", tree, image_size=16)


@pytest.mark.parametrize("inside", [False, True])
def test_the_cache_serves_a_relative_path_too(tree: Path, inside: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    first = datasets.load("folder", tree)
    monkeypatch.chdir(tree if inside else tree.parent)
    decode_nothing(monkeypatch)
    second = datasets.load("folder", Path("." if inside else tree.name))
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
    before = datasets.load("folder", tree)
    change(tree)
    after = datasets.load("folder", tree)
    assert_is_image_folder(after, tree)
    assert after.fingerprint != before.fingerprint


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
    first = datasets.load("folder", tree)
    caches = [path for path in tree.iterdir() if path.is_file()]
    assert len(caches) == 1
    damage(caches[0])
    assert datasets.load("folder", tree).fingerprint == first.fingerprint
    decode_nothing(monkeypatch)
    assert datasets.load("folder", tree).fingerprint == first.fingerprint


def test_a_folder_that_cannot_be_written_still_loads(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Root may write anywhere, so permissions alone would not do.
    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(datasets, "replacing", refuse)
    with pytest.warns(UserWarning, match="cannot be written .*Permission denied"):
        dataset = datasets.load("folder", tree)
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
    with pytest.raises(datasets.Missing, match=r"train/<class>/\* and test/<class>/\*.*--data-dir") as caught:
        datasets.load("folder", tree)
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
        datasets.load("folder", tree)
    assert str(tree) in str(caught.value)
    assert caught.value.exit_status == 4


def test_an_unknown_dataset_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'cifar' is unknown; allowed: digits, .*did you mean 'cifar10'\?"):
        datasets.load("cifar", tmp_path)


def test_a_split_and_a_dataset_are_frozen(digits: Dataset) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        digits.fingerprint = ""  # pyright: ignore[reportAttributeAccessIssue]

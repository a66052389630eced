"""Reading MNIST and Fashion-MNIST, against torchvision; damaged files."""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torchvision

from ablations.data.archives import ARCHIVES
from ablations.data.registry import load_dataset
from ablations.data.summary import DataSummary
from ablations.errors import DataError, DataMissing
from tests.support.archives import idx_bytes, small_idx_files, write_idx

IDX: dict[str, Any] = {"fashion-mnist": torchvision.datasets.FashionMNIST, "mnist": torchvision.datasets.MNIST}
IMAGES, LABELS = ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz")


@pytest.mark.parametrize("name", IDX)
def test_an_archive_is_read_as_torchvision_reads_it(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    contents = small_idx_files(name)
    folder = write_idx(monkeypatch, name, tmp_path / "data", contents)
    dataset = load_dataset(name, tmp_path / "data", download=False)
    raw = tmp_path / IDX[name].__name__ / "raw"
    raw.mkdir(parents=True)
    for file_name, content in contents.items():
        (raw / file_name.removesuffix(".gz")).write_bytes(content)
    for split, train in ((dataset.train, True), (dataset.test, False)):
        reference = IDX[name](root=tmp_path, train=train)
        assert (split.images.dtype, split.labels.dtype) == (np.uint8, np.int64)
        assert split.images.shape == (6, 28, 28, 1)
        assert np.array_equal(split.images[..., 0], reference.data.numpy())
        assert split.labels.tolist() == reference.targets.tolist()
    assert dataset.train.images.tolist() != dataset.test.images.tolist()
    summary = DataSummary.of(dataset)
    assert (summary.name, summary.image_size, summary.channels, summary.num_classes) == (name, 28, 1, 10)
    assert sorted(path.name for path in folder.iterdir()) == sorted(contents), "nothing is extracted"


def test_the_two_archives_do_not_share_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number, name in enumerate(IDX):
        write_idx(monkeypatch, name, tmp_path, small_idx_files(name, images=2 + number))
    assert [len(load_dataset(name, tmp_path, download=False).train) for name in IDX] == [2, 3]


@pytest.mark.parametrize("name", IDX)
def test_missing_files_are_named_with_their_folder(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_idx(monkeypatch, name, tmp_path, small_idx_files(name))
    missing = [file for file in ARCHIVES[name].files if file.name in (IMAGES, LABELS)]
    for file in missing:
        (folder / file.name).unlink()
    with pytest.raises(DataMissing) as raised:
        load_dataset(name, tmp_path, download=False)
    message = str(raised.value)
    assert raised.value.exit_status == 4 and "\n" not in message
    assert message.startswith(f"{name}: {IMAGES}, {LABELS} are not in {folder} (not downloaded yet). Put the files")
    for file in missing:
        assert f"{file.name}, {file.size_bytes:,} bytes, MD5 {file.md5}, from {file.url}" in message
    assert "t10k" not in message and "--suite digits" in message


def test_nothing_is_read_from_a_file_with_another_checksum(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_idx(monkeypatch, "mnist", tmp_path, small_idx_files("mnist"))
    path = folder / "t10k-labels-idx1-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-1])

    def fail(*arguments: object, **options: object) -> None:
        raise AssertionError("decompressed")

    monkeypatch.setattr(gzip, "GzipFile", fail)
    with pytest.raises(DataError, match="is damaged: its MD5 is .*; delete it to download it again") as raised:
        load_dataset("mnist", tmp_path)
    assert str(raised.value).startswith(str(path))


WRONG: list[tuple[str, Callable[[bytes], bytes], str]] = [
    (IMAGES, lambda good: good[:-1], r"announces \(6, 28, 28\), 4,704 bytes, and 4,703 follow"),
    (IMAGES, lambda good: good + b"x", r"announces \(6, 28, 28\), 4,704 bytes, and 4,705 follow"),
    (IMAGES, lambda good: good[:10], "its header of 16 bytes ends after 10"),
    (IMAGES, lambda good: b"", "begins with the bytes '', not '00 00 08 03'"),
    (IMAGES, lambda good: b"<htm" + good[4:], "begins with the bytes '3c 68 74 6d', not '00 00 08 03'"),
    (IMAGES, lambda good: b"\0\0\x0d" + good[3:], "begins with the bytes '00 00 0d 03', not '00 00 08 03'"),
    (LABELS, lambda good: b"\0\0\x08\x03" + good[4:], "begins with the bytes '00 00 08 03', not '00 00 08 01'"),
    (IMAGES, lambda good: idx_bytes(np.zeros((6, 28, 27), np.uint8)), r"shape is \(6, 28, 27\), not \(N, 28, 28\)"),
    (LABELS, lambda good: idx_bytes(np.zeros(5, np.uint8)), "it has 5 labels for 6 images"),
    (LABELS, lambda good: idx_bytes(np.full(6, 10, np.uint8)), "its labels are not in 0 to 9"),
]


@pytest.mark.parametrize(("file_name", "change", "said"), WRONG, ids=[said for *_, said in WRONG])
def test_a_file_that_does_not_hold_the_data_is_named(
    file_name: str, change: Callable[[bytes], bytes], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents = small_idx_files("mnist")
    folder = write_idx(monkeypatch, "mnist", tmp_path, contents | {file_name: change(contents[file_name])})
    with pytest.raises(DataError, match=said) as raised:
        load_dataset("mnist", tmp_path)
    message = str(raised.value)
    assert message.startswith(f"{folder / file_name} does not hold what the official archive does: ")
    assert "\n" not in message


@pytest.mark.parametrize(
    "content",
    [gzip.compress(b"\0" * 99, mtime=0)[:-9], b"no gzip file", gzip.compress(bytes(99), mtime=0)[:20] + bytes(20)],
)
def test_a_file_that_is_not_gzipped_is_named(content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_idx(monkeypatch, "mnist", tmp_path, small_idx_files("mnist"))
    (folder / IMAGES).write_bytes(content)
    monkeypatch.setattr("ablations.data.archive_files._verify", lambda reader, file: None)
    with pytest.raises(DataError, match="does not hold what the official archive does") as raised:
        load_dataset("mnist", tmp_path)
    assert str(raised.value).startswith(str(folder / IMAGES))

"""The official archives against torchvision's reading of them; damage, hostile content and failing downloads."""

import hashlib
import http.client
import io
import pickle
import struct
import subprocess
import sys
import tarfile
import urllib.error
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torchvision

from ablations.data import download
from ablations.data.archives import ARCHIVES
from ablations.data.dataset import Dataset
from ablations.data.registry import load_dataset
from ablations.errors import DataError, DataMissing

ROOT = Path(__file__).resolve().parents[2]
CIFAR: dict[str, Any] = {"cifar10": torchvision.datasets.CIFAR10, "cifar100": torchvision.datasets.CIFAR100}

Members = dict[str, dict[str, Any]]


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "WAITS_SECONDS", (0.0, 0.0))


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
    archive = ARCHIVES[name]._replace(md5=hashlib.md5(content).hexdigest(), size_bytes=len(content))
    monkeypatch.setitem(ARCHIVES, name, archive)


def load_members(monkeypatch: pytest.MonkeyPatch, folder: Path, name: str, members: Members) -> Dataset:
    content = archive_bytes(name, members)
    expect(monkeypatch, name, content)
    folder.mkdir(exist_ok=True)
    (folder / CIFAR[name].filename).write_bytes(content)
    return load_dataset(name, folder)


def files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize("name", CIFAR)
def test_archives_are_those_that_torchvision_pins(name: str) -> None:
    archive, reference = ARCHIVES[name], CIFAR[name]
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
        "from ablations import archives, datasets\n"
        "archives.ARCHIVES['cifar10'] = archives.ARCHIVES['cifar10']._replace(md5=sys.argv[2])\n"
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
        load_dataset(name, tmp_path)
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
        load_dataset("cifar10", data_dir)
    assert not (tmp_path / "trace").exists()
    pickle.loads(payload)
    assert (tmp_path / "trace").exists()  # so the payload would have worked


def assert_says_what_is_missing(error: DataError, name: str, folder: Path) -> None:
    assert isinstance(error, DataMissing)
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
        load_dataset(name, tmp_path, download=False)
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
        load_dataset(name, folder)
    assert_says_what_is_missing(caught.value, name, folder)
    assert files_below(tmp_path) == []


def test_a_download_of_other_bytes_is_refused_and_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def download_url(url: str, root: str, filename: str) -> None:
        Path(root, filename).write_bytes(b"<html>log in to this network</html>")

    monkeypatch.setattr("torchvision.datasets.utils.download_url", download_url)
    with pytest.raises(DataError, match="c58f30108f718f92721af3b95e74349a") as caught:
        load_dataset("cifar10", tmp_path)
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
    first = load_dataset(name, final.parent)
    assert files_below(tmp_path) == [final]
    assert final.read_bytes() == content
    assert load_dataset(name, final.parent).fingerprint == first.fingerprint
    assert calls == [CIFAR[name].url]

"""Reading the official archives, against torchvision."""

import pickle
import struct
import tarfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torchvision

from ablations.data.registry import load_dataset
from tests.support.archives import pack, pin_cifar, small_members

CIFAR: dict[str, Any] = {"cifar10": torchvision.datasets.CIFAR10, "cifar100": torchvision.datasets.CIFAR100}


def python2_pickle(value: object) -> bytes:
    """Pickle like Python 2's cPickle, which wrote the official batches: byte strings and an old numpy."""
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


@pytest.mark.parametrize("name", CIFAR)
def test_an_archive_is_read_as_torchvision_reads_it(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    members = small_members(name, images=6)
    # Members in another order than the batches.
    content = pack({member: python2_pickle(members[member]) for member in sorted(members, reverse=True)})
    path = tmp_path / pin_cifar(monkeypatch, name, content).name
    path.write_bytes(content)
    dataset = load_dataset(name, tmp_path)
    assert list(tmp_path.iterdir()) == [path], "nothing is extracted"

    with tarfile.open(path) as tar:
        safely: Any = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}  # Python 3.11.4 and later
        tar.extractall(tmp_path / "extracted", **safely)
    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", lambda path, md5: True)
    for split, train in ((dataset.train, True), (dataset.test, False)):
        reference = CIFAR[name](root=tmp_path / "extracted", train=train)
        assert (split.images.dtype, split.labels.dtype) == (np.uint8, np.int64)
        assert split.images.shape == (len(reference), 32, 32, 3)
        assert np.array_equal(split.images, reference.data)
        assert split.labels.tolist() == reference.targets
        assert list(dataset.class_names) == reference.classes
    assert (dataset.name, dataset.num_classes, dataset.image_size) == (name, len(dataset.class_names), 32)


class OldArray:
    """Warns when it is unpickled, as the batches do under numpy 2.4.0 to 2.4.4."""

    def __init__(self, category: type[Warning], message: str) -> None:
        self.arguments = (category, message)

    def __reduce__(self) -> tuple[Any, ...]:
        return _warn, self.arguments


def _warn(category: type[Warning], message: str) -> Any:
    warnings.warn(message, category, stacklevel=1)
    return np.zeros((2, 3072), np.uint8)


def test_numpys_warning_of_old_pickles_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    members = small_members("cifar10")
    said = "dtype(): align should be passed as Python or NumPy boolean but got `align=0`."
    members["cifar-10-batches-py/test_batch"]["data"] = OldArray(np.exceptions.VisibleDeprecationWarning, said)
    content = pack(members)
    (tmp_path / pin_cifar(monkeypatch, "cifar10", content).name).write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(load_dataset("cifar10", tmp_path).test) == 2


def test_another_warning_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    members = small_members("cifar10")
    members["cifar-10-batches-py/test_batch"]["data"] = OldArray(UserWarning, "another")
    content = pack(members)
    (tmp_path / pin_cifar(monkeypatch, "cifar10", content).name).write_bytes(content)
    with pytest.warns(UserWarning, match="another"):
        load_dataset("cifar10", tmp_path)

"""The table of official archives against torchvision's."""

from typing import Any

import pytest
import torchvision

from ablations.data.archives import ARCHIVES
from ablations.data.cifar import LAYOUTS
from ablations.data.idx import CLASS_NAMES
from ablations.data.summary import DataSummary

CIFAR: dict[str, Any] = {"cifar10": torchvision.datasets.CIFAR10, "cifar100": torchvision.datasets.CIFAR100}
IDX: dict[str, Any] = {"fashion-mnist": torchvision.datasets.FashionMNIST, "mnist": torchvision.datasets.MNIST}


@pytest.mark.parametrize("name", CIFAR)
def test_cifar_archives_are_those_that_torchvision_pins(name: str) -> None:
    archive, layout, reference = ARCHIVES[name], LAYOUTS[name], CIFAR[name]
    (file,) = archive.files
    assert (file.url, file.name, file.md5) == (reference.url, reference.filename, reference.tgz_md5)
    base = reference.base_folder
    assert layout.train_members == tuple(f"{base}/{file_name}" for file_name, _ in reference.train_list)
    assert layout.test_member == f"{base}/{reference.test_list[0][0]}"
    assert layout.meta_member == f"{base}/{reference.meta['filename']}"
    assert layout.names_key == reference.meta["key"]
    # Sizes as the server reports them; torchvision does not pin them.
    assert file.size_bytes == {"cifar10": 170_498_071, "cifar100": 169_001_437}[name]
    assert archive.num_classes == layout.num_classes == {"cifar10": 10, "cifar100": 100}[name]


@pytest.mark.parametrize("name", IDX)
def test_idx_archives_are_those_that_torchvision_pins(name: str) -> None:
    archive, reference = ARCHIVES[name], IDX[name]
    assert [(file.name, file.md5) for file in archive.files] == reference.resources
    assert [file.url for file in archive.files] == [reference.mirrors[0] + file.name for file in archive.files]
    assert list(CLASS_NAMES[name]) == reference.classes
    assert archive.num_classes == len(reference.classes)


@pytest.mark.parametrize("name", IDX)
def test_a_plan_can_be_made_before_an_idx_archive_is_there(name: str) -> None:
    # http://yann.lecun.com/exdb/mnist, https://github.com/zalandoresearch/fashion-mnist
    data = DataSummary.of_archive(name)
    assert (data.image_size, data.channels, data.num_classes) == (28, 1, 10)
    assert (data.train_images, data.test_images) == (60_000, 10_000)


def test_files_of_the_same_name_are_in_folders_of_their_own() -> None:
    places = [(archive.folder, file.name) for archive in ARCHIVES.values() for file in archive.files]
    assert len(set(places)) == len(places)

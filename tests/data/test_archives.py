"""The table of official archives against torchvision's."""

from typing import Any

import pytest
import torchvision

from ablations.data.archives import ARCHIVES

CIFAR: dict[str, Any] = {"cifar10": torchvision.datasets.CIFAR10, "cifar100": torchvision.datasets.CIFAR100}


@pytest.mark.parametrize("name", CIFAR)
def test_archives_are_those_that_torchvision_pins(name: str) -> None:
    archive, reference = ARCHIVES[name], CIFAR[name]
    assert (archive.url, archive.file_name, archive.md5) == (reference.url, reference.filename, reference.tgz_md5)
    base = reference.base_folder
    assert archive.train_members == tuple(f"{base}/{file_name}" for file_name, _ in reference.train_list)
    assert archive.test_member == f"{base}/{reference.test_list[0][0]}"
    assert archive.meta_member == f"{base}/{reference.meta['filename']}"
    assert archive.names_key == reference.meta["key"]
    # Sizes as the server reports them; torchvision does not pin them.
    assert archive.size_bytes == {"cifar10": 170_498_071, "cifar100": 169_001_437}[name]
    assert archive.num_classes == {"cifar10": 10, "cifar100": 100}[name]

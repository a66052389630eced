"""An image folder that tests may change, and a guard against decoding."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from tests.support.image_trees import make_varied_tree


@pytest.fixture(scope="session")
def original_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_varied_tree(tmp_path_factory.mktemp("original") / "photos")


@pytest.fixture
def tree(original_tree: Path, tmp_path: Path) -> Path:
    """A copy of train/ and test/ with ten images of three classes."""
    return shutil.copytree(original_tree, tmp_path / "photos")


@pytest.fixture
def forbid_decoding(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Once called, opening an image fails."""

    def fail(*arguments: object, **options: object) -> None:
        raise AssertionError("decoded")

    return lambda: monkeypatch.setattr(Image, "open", fail)

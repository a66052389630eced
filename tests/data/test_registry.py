"""Loading datasets by name."""

import subprocess
import sys
from pathlib import Path

import pytest

from ablations.data.archives import ARCHIVES
from ablations.data.registry import load_dataset
from ablations.errors import ConfigError
from tests.support.archives import pack, small_members
from tests.support.image_trees import make_tree

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.process
def test_no_dataset_loads_torch(tmp_path: Path) -> None:
    make_tree(tmp_path)
    (tmp_path / ARCHIVES["cifar10"].files[0].name).write_bytes(pack(small_members("cifar10")))
    code = (
        "import hashlib, sys\n"
        "from pathlib import Path\n"
        "from ablations.data.archives import ARCHIVES\n"
        "from ablations.data.registry import load_dataset\n"
        "folder, archive = Path(sys.argv[1]), ARCHIVES['cifar10']\n"
        "md5 = hashlib.md5((folder / archive.files[0].name).read_bytes()).hexdigest()\n"
        "ARCHIVES['cifar10'] = archive._replace(files=(archive.files[0]._replace(md5=md5),))\n"
        "print(*(len(load_dataset(name, folder).train) for name in ('digits', 'cifar10', 'folder')))\n"
        "print('torch' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.split() == ["1437", "10", "2", "False"], done.stderr


@pytest.mark.parametrize("name", ["digits", "cifar10", "cifar100", "fashion-mnist", "mnist"])
def test_an_image_size_is_for_folders_only(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--image-size 16 .*--suite folder") as caught:
        load_dataset(name, tmp_path, image_size=16)
    assert caught.value.exit_status == 2


def test_an_unknown_dataset_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'cifar' is unknown; allowed: digits, .*did you mean 'cifar10'\?"):
        load_dataset("cifar", tmp_path)

"""docs/references.md gives one command for each published training, which starts exactly that training."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.archives import pack, pin_cifar, small_idx_files, small_members, write_idx
from tests.support.command_line import run_main
from tests.support.markdown import page, plain, section, tables

COMMANDS = {
    plain(row["network"]): plain(row["command"])
    for row in tables(section(page("docs/references.md"), "Training each network as published"))[0]
}
# Batch, image, parameters, MACs and epochs of the write-ups; plain-cifar and plain-gray at ten classes. MACs of
# inception-v1 are those of 1,000 classes less 990 outputs of its last layer, as are its parameters of three layers.
TRAININGS = {
    "reduced": (64, "3x32x32", 6_166_250, 50_000, 14),
    "bn-aux-224": (128, "3x224x224", 9_960_638, 50_000, 100),
    "plain-cifar": (2048, "3x32x32", 3_494_346, 50_000, 1000),
    "inception-v1": (128, "3x224x224", 13_385_816 - 990 * (3 * 1024 + 3), 50_000, 100),
    "plain-gray": (16, "1x224x224", 5_977_530, 60_000, 3),
}


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """CIFAR-10 and Fashion-MNIST with random images, as many and as large as the official ones."""
    data_dir = tmp_path_factory.mktemp("data")
    with pytest.MonkeyPatch.context() as patched:
        content = pack(small_members("cifar10", images=10_000))
        (data_dir / pin_cifar(patched, "cifar10", content).name).write_bytes(content)
        write_idx(patched, "fashion-mnist", data_dir, small_idx_files("fashion-mnist", images=60_000))
        yield data_dir


def test_every_published_network_has_its_command() -> None:
    assert set(COMMANDS) == set(TRAININGS)
    assert all(f"--variants {name}" in command for name, command in COMMANDS.items())


@pytest.mark.slow
@pytest.mark.parametrize("name", TRAININGS)
def test_the_command_starts_the_published_training(name: str, data_dir: Path, tmp_path: Path) -> None:
    batch, image, params, images, epochs = TRAININGS[name]
    given = shlex.split(COMMANDS[name].removeprefix("python run_all.py "))
    status, out, err = run_main(*given, "--dry-run", "--data-dir", str(data_dir), results=tmp_path)
    assert (status, err) == (0, "")
    (line,) = [line for line in out.splitlines() if line.startswith(f"- {name}: ")]
    assert f"batch {batch} of {image}, {params:,} parameters" in line
    assert f"{epochs * -(-images // batch):,} steps a run" in line

"""--describe: its table on a narrow terminal, its files, and architectures that do not fit the data."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from ablations.analysis.modules import layer_costs
from ablations.cli.console import show_table
from ablations.cli.describe import modules_table
from googlenet.registry import architecture
from tests.support.command_line import run_main


@pytest.mark.parametrize("name", ["naive", "inception-v1", "double-width"])
def test_the_table_fits_80_columns(name: str) -> None:
    out = io.StringIO()
    table = modules_table(layer_costs(architecture(name), num_classes=100))
    show_table(table, console=Console(width=80, file=out), title=name)
    lines = out.getvalue().splitlines()
    assert len([line for line in lines if line.startswith("│")]) == len(table.frame)
    assert max(map(len, lines)) <= 80


def test_a_row_for_each_module_and_branch_with_totals() -> None:
    # Stem, modules 3a and 5a with four branches each, two pools, head, total.
    table = modules_table(layer_costs(architecture("short4"), num_classes=10)).texts().set_index("module")
    assert len(table) == 1 + 2 * (1 + 4) + 2 + 1 + 1
    # 192 channels of 3x3x3 weights with bias, scale and shift, on 32x32 pixels.
    assert list(table.loc["stem"]) == ["192x32x32", f"{192 * (27 + 3):,}", "0.4", "5.308 M", "1.4", "196.6 k"]
    assert list(table.loc["pool3"]) == ["512x16x16", *["–"] * 5]
    assert list(table.loc["head"]) == ["10x1x1", "10,250", "0.7", "10.24 k", "0.0", "10"]
    assert list(table.loc["total", ["params", "% of params", "% of MACs"]]) == ["1,557,834", "100.0", "100.0"]
    for part in ("3a", "5a"):
        branches = [f"{part} {branch}" for branch in ("1x1", "3x3", "5x5", "pool")]
        params = table["params"].str.replace(",", "").replace("–", "0").astype(int)
        assert params[branches].sum() == params[part]


def test_layers_and_treemap_are_written_without_the_data(tmp_path: Path) -> None:
    given = ("--describe", "inception-v1", "--data-dir", str(tmp_path / "nowhere"))
    status, out, err = run_main(*given, results=tmp_path)
    assert (status, err) == (0, "")
    assert out.startswith("inception-v1: images of 3x224x224, the 10 classes of cifar10\n")
    assert "Auxiliary heads have parameters, but no MACs and activations" in out
    folder = tmp_path / "describe" / "inception-v1-cifar10"
    assert {path.name for path in tmp_path.rglob("*.*")} == {"layers.csv", "treemap.png", "treemap.svg"}
    layers = pd.read_csv(folder / "layers.csv")
    # 10 classes instead of 1,000 take 990 outputs off each of three layers with 1,024 inputs and a bias.
    assert layers["params"].sum() == 13_385_816 - 990 * 3 * 1025
    assert str(folder / "layers.csv") in out
    assert "3b 3x3: " in (folder / "treemap.svg").read_text(encoding="utf-8")


def test_dataset_and_width_are_obeyed(tmp_path: Path) -> None:
    given = ("--describe", "half-width", "--dataset", "digits", "--width", "0.5")
    status, out, _ = run_main(*given, results=tmp_path)
    assert status == 0
    assert out.startswith("half-width at width 0.5: images of 3x8x8, the 10 classes of digits\n")
    layers = pd.read_csv(tmp_path / "describe" / "half-width-digits-width-0.5" / "layers.csv")
    assert list(layers.loc[0, ["layer", "channels", "height", "width"]]) == ["stem.conv", 192 // 4, 8, 8]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("shortt4",), r"architecture 'shortt4' is unknown; allowed: naive, .*; did you mean 'short4'\?"),
        (("",), "architecture '' is unknown"),
        (("reduced", "--dataset", "cifar"), "dataset 'cifar' is unknown; .*did you mean 'cifar10'"),
        (
            ("plain-gray", "--dataset", "cifar10"),
            "plain-gray is for images of 1x224x224, and those of cifar10 are 3x32x32; leave out --dataset",
        ),
        (("imagenet-stem", "--dataset", "digits"), "image_size 8 is too small .*use at least"),
        (("reduced", "--width", "0"), r"reduced: width is 0.0; it must be a number in \(0, 16\]"),
        (("reduced", "--image-size", "64"), "--image-size 64 goes with --suite folder or --dataset folder only"),
        (("reduced", "--seeds", "2"), "--seeds has no effect with --describe"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_cannot_be_described_is_one_clear_line(tmp_path: Path, given: tuple[str, ...], said: str) -> None:
    status, out, err = run_main("--describe", *given, "--data-dir", str(tmp_path / "data"), results=tmp_path)
    assert (status, out) == (2, "")
    assert re.match(f"error: .*{said}", err) and err.count("\n") == 1
    assert not list(tmp_path.iterdir())

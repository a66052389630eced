"""The networks under torch's tools: export to a file, ONNX, deepcopy, vmap, and lower precisions."""

from __future__ import annotations

import copy
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from googlenet import VARIANTS, GoogLeNet, Output, build

SMALL = replace(VARIANTS["short4"], width=0.125, image_size=8)
LOAD = """
import sys, torch
import googlenet.model  # registers the type of what the network returns
program = torch.export.load(sys.argv[1])
torch.save(program.module()(torch.load(sys.argv[2])).logits, sys.argv[3])
"""


@pytest.fixture
def model() -> GoogLeNet:
    torch.manual_seed(0)
    return build(SMALL, num_classes=10).eval()


@pytest.fixture
def images() -> Tensor:
    return torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))


@pytest.mark.process
def test_an_exported_network_is_saved_and_loaded_here_and_by_another_process(
    model: GoogLeNet, images: Tensor, tmp_path: Path
) -> None:
    paths = [tmp_path / name for name in ("model.pt2", "images.pt", "logits.pt")]
    torch.export.save(torch.export.export(model, (images,)), paths[0])
    with torch.no_grad():
        loaded, expected = torch.export.load(paths[0]).module()(images), model(images)
    assert type(loaded) is Output and loaded.aux == ()
    torch.testing.assert_close(loaded.logits, expected.logits, rtol=0, atol=0)
    torch.save(images, paths[1])
    done = subprocess.run([sys.executable, "-c", LOAD, *map(str, paths)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    torch.testing.assert_close(torch.load(paths[2]), expected.logits)


def test_onnx_gives_the_same_logits(model: GoogLeNet, images: Tensor, tmp_path: Path) -> None:
    why = "onnx and onnxscript are not both installed; the project does not depend on them"
    reference, _ = (pytest.importorskip(package, reason=why) for package in ("onnx.reference", "onnxscript"))
    torch.onnx.export(model, (images,), tmp_path / "model.onnx", dynamo=True)
    evaluator = reference.ReferenceEvaluator(str(tmp_path / "model.onnx"))
    (logits,) = evaluator.run(None, {evaluator.input_names[0]: images.numpy()})
    with torch.no_grad():
        torch.testing.assert_close(torch.from_numpy(logits), model(images).logits, rtol=1e-4, atol=1e-5)


def test_a_deep_copy_is_equal_and_shares_no_weights(model: GoogLeNet, images: Tensor) -> None:
    copied = copy.deepcopy(model)
    with torch.no_grad():
        assert torch.equal(copied(images).logits, model(images).logits)
        for weights in copied.parameters():
            weights.zero_()
        assert copied.arch == model.arch and model(images).logits.any()


def test_vmap_over_images_gives_the_logits_of_the_batch(model: GoogLeNet, images: Tensor) -> None:
    stacks = torch.stack([images, images.flip(0), 2 * images])
    with torch.no_grad():
        mapped = torch.func.vmap(model)(stacks)
        expected = torch.stack([model(stack).logits for stack in stacks])
    assert type(mapped) is Output and mapped.logits.shape == (3, 2, 10)
    torch.testing.assert_close(mapped.logits, expected)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.bfloat16, 0.05), (torch.float16, 0.01)], ids=str)
def test_lower_precisions_give_nearly_the_same_logits(
    model: GoogLeNet, images: Tensor, dtype: torch.dtype, tolerance: float
) -> None:
    with torch.no_grad():
        expected = model(images).logits
        found = model.to(dtype)(images.to(dtype)).logits
    assert found.dtype == dtype
    torch.testing.assert_close(found.float(), expected, rtol=0, atol=tolerance * expected.abs().max().item())

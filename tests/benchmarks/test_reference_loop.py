"""The reference loop against torch's own pieces and a formula written out."""

from __future__ import annotations

import statistics
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from ablations.data.dataset import Split
from benchmarks import reference_loop
from googlenet import build
from tests.support.small_workloads import TINY

CPU = torch.device("cpu")


def numbered(count: int) -> Split:
    """Images of one grey each, which flips do not change, with that grey as the label."""
    greys = np.arange(count)
    images = np.broadcast_to(greys[:, None, None, None], (count, 8, 8, 3)).astype(np.uint8)
    return Split(images=images, labels=greys)


def test_the_reference_loop_loads_every_image_once_in_a_new_order() -> None:
    torch.manual_seed(0)
    batches = reference_loop.make_batches(numbered(37), device=CPU, batch_size=8)
    assert batches.num_workers == 0  # on a CPU they would take the cores that train
    orders = []
    for _ in range(2):
        epoch = list(batches)
        assert [len(labels) for _, labels in epoch] == [8, 8, 8, 8, 5]
        images, labels = (torch.cat(column) for column in zip(*epoch, strict=True))
        assert sorted(labels.tolist()) == list(range(37))
        expected = (labels[:, None, None, None].float() / 255 - 0.5) / 0.5
        torch.testing.assert_close(images, expected.expand(37, 3, 8, 8), rtol=0, atol=1e-6)
        orders.append(labels.tolist())
    assert len({tuple(order) for order in [*orders, list(range(37))]}) == 3


def test_the_reference_loop_flips_half_of_the_images() -> None:
    torch.manual_seed(0)
    images = np.zeros((400, 8, 8, 3), dtype=np.uint8)
    images[:, :, 0] = 255  # the left edge is white
    batches = reference_loop.make_batches(
        Split(images=images, labels=np.zeros(400, dtype=np.int64)), device=CPU, batch_size=64
    )
    shown = torch.cat([batch for batch, _ in batches])
    flipped = shown[:, 0, 0, -1] == 1
    assert torch.equal(flipped, shown[:, 0, 0, 0] == -1)
    assert 150 < int(flipped.sum()) < 250  # five standard deviations on either side of 200


def test_a_reference_step_is_adadeltas_on_the_cross_entropy() -> None:
    torch.manual_seed(3)
    trainer = reference_loop.ReferenceTrainer(TINY.architecture, num_classes=10, device=CPU, dtype=torch.float64)
    torch.manual_seed(3)
    model = build(TINY.architecture, num_classes=10).double()
    source = torch.Generator().manual_seed(0)
    images = torch.randn(6, 3, 8, 8, generator=source, dtype=torch.float64)
    labels = torch.tensor([0, 1, 2, 3, 4, 4])

    torch.manual_seed(4)  # of dropout
    loss = trainer.step(images, labels)
    torch.manual_seed(4)
    expected = functional.cross_entropy(model.train()(images).logits, labels)
    expected.backward()
    assert loss == pytest.approx(expected.item(), rel=1e-12)
    for ours, theirs in zip(trainer.model.parameters(), model.parameters(), strict=True):
        assert theirs.grad is not None
        # arXiv:1212.5701, algorithm 1, with rho 0.9, eps 1e-6 and nothing accumulated yet.
        update = (1e-6**0.5) / (0.1 * theirs.grad**2 + 1e-6).sqrt() * theirs.grad
        torch.testing.assert_close(ours.detach(), (theirs - update).detach(), rtol=1e-9, atol=1e-12)


def test_a_reference_epoch_is_torchs_loop_over_its_batches() -> None:
    def make() -> tuple[reference_loop.ReferenceTrainer, Any]:
        torch.manual_seed(0)
        trainer = reference_loop.ReferenceTrainer(TINY.architecture, num_classes=10, device=CPU, dtype=torch.float64)
        split = replace(TINY, images=21).split()
        images = torch.tensor(split.images).permute(0, 3, 1, 2).double() / 255
        return trainer, list(zip(images.split(8), torch.tensor(split.labels).split(8), strict=True))

    trainer, batches = make()
    torch.manual_seed(1)
    mean = trainer.train_epoch(batches)
    plain, batches = make()
    optimizer = torch.optim.Adadelta(plain.model.parameters(), lr=1.0)
    losses = []
    torch.manual_seed(1)
    for images, labels in batches:
        loss = functional.cross_entropy(plain.model(images).logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert mean == pytest.approx(statistics.mean(losses), rel=1e-12)
    for ours, theirs in zip(trainer.model.parameters(), plain.model.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)

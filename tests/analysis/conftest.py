"""Fixtures of all tests of the analysis."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True, scope="module")
def _small_heap() -> Iterator[None]:
    # statsmodels' multipletests collects garbage at each call, which takes longest with all of torch on the heap.
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()

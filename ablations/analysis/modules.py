"""What each module of a network costs: parameters, MACs and activations of its layers, in closed form."""

from __future__ import annotations

from typing import Any

import pandas as pd

from ablations.suites.plan import Plan
from googlenet.architecture import Architecture
from googlenet.layer_walk import walk

COUNTS = ("params", "macs", "activations")
LAYER_COLUMNS = ("module", "branch", "layer", "channels", "height", "width", *COUNTS)
MODULE_COLUMNS = ("variant", "module", *(name for count in COUNTS for name in (count, f"{count}_share")))


def layer_costs(arch: Architecture, *, num_classes: int) -> pd.DataFrame:
    """A row for each layer in the network's order: module, branch, layer, output shape and costs for one image.

    Auxiliary heads have parameters, but neither MACs nor activations, which are those of evaluation.
    """
    rows = [(row.module, row.branch, row.layer, *row.shape, *row[-3:]) for row in walk(arch, num_classes=num_classes)]
    return pd.DataFrame(rows, columns=list(LAYER_COLUMNS))


def module_costs(plan: Plan) -> pd.DataFrame:
    """A row for each variant of the plan, as it is trained, and module that has parameters, in the network's order.

    `params`, `macs` and `activations` are sums over the module's layers, `..._share` their fraction of the variant's.
    """
    trained = {run.architecture.name: run for run in plan.runs}
    frames = []
    for name, run in trained.items():
        costs: Any = layer_costs(run.architecture, num_classes=run.num_classes)
        sums = costs.groupby("module", sort=False)[list(COUNTS)].sum().reset_index()
        sums.insert(0, "variant", name)
        for count in COUNTS:
            sums[f"{count}_share"] = sums[count] / sums[count].sum()
        frames.append(sums[sums["params"] > 0])
    return pd.concat(frames, ignore_index=True)[list(MODULE_COLUMNS)]

# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#       jupytext_version: 1.19.6
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Results of a suite
#
# Reads the records of one suite and draws the figures of its report. Run a suite first (`python run_all.py`). To look
# at another suite, set the environment variable `SUITE_DIR` or change the path below.

# %%
# %matplotlib inline
import os
from pathlib import Path

from ablations.analysis.analyse import analyse
from ablations.analysis.costs import COSTS
from ablations.analysis.published.published_claims import load_published
from ablations.report.figures.error_against_cost import draw_error_against_cost
from ablations.report.figures.error_bars import draw_error_bars
from ablations.report.figures.learning_curves import draw_learning_curves
from ablations.report.figures.modules import draw_modules
from ablations.report.figures.rank_stability import draw_rank_stability
from ablations.report.figures.rankings import draw_rankings

suite_dir = Path(os.environ.get("SUITE_DIR", "../results/digits"))
analysis = analyse(suite_dir)
results = analysis.results
print(
    f"suite {results.plan.suite}: {len(results.runs)} runs, {results.plan.data.title}, commands {results.plan.commands}"
)

# %% [markdown]
# ## Errors and costs
# One row for each variant, over its n runs that are done. Errors are in percent; `std` is the sample standard deviation
# over runs.

# %%
columns = ["n", "params", "macs", "train_seconds_mean", "peak_memory_bytes_mean"]
table = results.summary.set_index("variant")
table[["top1_error_mean", "top1_error_std"]].mul(100).round(2).join(table[columns])

# %% [markdown]
# ## Comparisons with the baseline
# Differences and intervals are fractions. The table is empty for a single seed or an incomplete suite.

# %%
analysis.comparisons.frame()

# %% [markdown]
# ## Error against cost
# Filled points are on the Pareto front, which only a complete suite has; bars are 95 % intervals. Point at a mark to
# see its values.

# %%
draw_error_against_cost(results.summary, COSTS[0], fronts=analysis.pareto)

# %%
draw_error_against_cost(results.summary, COSTS[1], fronts=analysis.pareto)

# %%
draw_error_against_cost(results.summary, COSTS[2], fronts=analysis.pareto)

# %%
draw_error_against_cost(results.summary, COSTS[3], fronts=analysis.pareto)

# %% [markdown]
# ## Errors with their spread, and learning curves

# %%
draw_error_bars(results.summary)

# %%
draw_learning_curves(results.epochs)

# %% [markdown]
# ## Rankings
# Ranks with their 95 % intervals, and how well fewer seeds and earlier epochs agree with the final order. They need
# several seeds.

# %%
draw_rankings(analysis.rankings)

# %%
draw_rank_stability(analysis.rankings)

# %% [markdown]
# ## Where parameters and MACs are

# %%
draw_modules(analysis.modules)

# %% [markdown]
# ## The published table
# Empty unless the suite ran on CIFAR-10 or CIFAR-100.

# %%
load_published(results.plan.data.name)

# %% [markdown]
# ## Your own question
# `results.runs` has a row for each run, `results.epochs` for each epoch and `results.summary` for each variant. For
# them alone, `ablations.load_results` is enough.

# %%
results.epochs.pivot_table(index="epoch", columns="variant", values="train_error", sort=False)

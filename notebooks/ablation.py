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
# # A suite's results
#
# Loads the records of one suite through the functions that the report uses, and draws its plots. Run a suite first
# (`python run_all.py`); to look at another one, set the environment variable `SUITE_DIR` or change the path below.

# %%
# %matplotlib inline
import os
from pathlib import Path

from ablations.analysis.analyse import analyse
from ablations.analysis.costs import COSTS
from ablations.analysis.published import load_published
from ablations.report.figures.error_against_cost import draw_error_against_cost
from ablations.report.figures.error_bars import draw_error_bars
from ablations.report.figures.learning_curves import draw_learning_curves
from ablations.report.figures.rank_stability import draw_rank_stability
from ablations.report.figures.rankings import draw_rankings
from ablations.report.sections.summary import summary_table

suite_dir = Path(os.environ.get("SUITE_DIR", "../results/digits"))
analysis = analyse(suite_dir)
results, fronts, rankings = analysis.results, analysis.pareto, analysis.rankings
print(
    f"suite {results.plan.suite}: {len(results.runs)} runs, {results.plan.data.title}, commands {results.plan.commands}"
)

# %% [markdown]
# ## The table of the report
# Errors are means over n runs in percent, with their sample standard deviation and 95 % interval where n > 1.

# %%
summary_table(results).texts().set_index("variant")

# %% [markdown]
# ## The verdicts
# Differences and intervals are fractions; the table is empty for a single seed or an incomplete suite.

# %%
analysis.comparisons.frame()

# %% [markdown]
# ## Error against cost
# Filled points are on the front, which only a complete suite has; bars are 95 % intervals. A point tells more when the
# pointer is on it.

# %%
draw_error_against_cost(results.summary, COSTS[0], fronts=fronts)

# %%
draw_error_against_cost(results.summary, COSTS[1], fronts=fronts)

# %%
draw_error_against_cost(results.summary, COSTS[2], fronts=fronts)

# %%
draw_error_against_cost(results.summary, COSTS[3], fronts=fronts)

# %% [markdown]
# ## Errors with their spread, and learning curves

# %%
draw_error_bars(results.summary)

# %%
draw_learning_curves(results.epochs)

# %% [markdown]
# ## The order of the variants
# Ranks with their 95 % intervals; how far fewer seeds and earlier epochs give the same order. They need several seeds.

# %%
draw_rankings(rankings)

# %%
draw_rank_stability(rankings)

# %% [markdown]
# ## Against the published table
# Empty unless the suite ran on CIFAR-10 or CIFAR-100.

# %%
load_published(results.plan.data.name)

# %% [markdown]
# ## Your own question
# `results.runs` has a row a run, `results.epochs` a row an epoch and `results.summary` a row a variant.

# %%
results.epochs.pivot_table(index="epoch", columns="variant", values="train_error", sort=False)

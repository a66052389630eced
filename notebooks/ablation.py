# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
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

import pandas as pd

from ablations import plots, published, report, tables

suite_dir = Path(os.environ.get("SUITE_DIR", "../results/digits"))
results = tables.load(suite_dir)
print(
    f"suite {results.plan.suite}: {len(results.runs)} runs, {results.plan.data.title}, commands {results.plan.commands}"
)

# %% [markdown]
# ## The table of the report
# Errors are means over n runs in percent, with their sample standard deviation where n > 1.

# %%
pd.DataFrame(report.summary_table(results)).set_index("variant")

# %% [markdown]
# ## Error against cost
# Log axes; filled points are on the front.

# %%
plots.error_against(results.summary, plots.COSTS[0])

# %%
plots.error_against(results.summary, plots.COSTS[1])

# %%
plots.error_against(results.summary, plots.COSTS[2])

# %% [markdown]
# ## Errors with their spread, and learning curves

# %%
plots.error_bars(results.summary)

# %%
plots.learning_curves(results.epochs)

# %% [markdown]
# ## Against the published table
# Empty unless the suite ran on CIFAR-10 or CIFAR-100.

# %%
published.load(results.plan.data.name)

# %% [markdown]
# ## Your own question
# `results.runs` has a row a run, `results.epochs` a row an epoch and `results.summary` a row a variant.

# %%
results.epochs.pivot_table(index="epoch", columns="variant", values="train_error", sort=False)

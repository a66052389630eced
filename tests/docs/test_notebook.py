"""The plotting notebook runs from top to bottom on the records of a suite, and equals its paired script."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jupytext
import nbformat
import pytest
from nbclient import NotebookClient

from googlenet import VARIANTS
from tests.support.synthetic_suites import make_plan, save_suite

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"


def test_notebook_and_script_are_the_same() -> None:
    notebook = jupytext.read(NOTEBOOKS / "ablation.ipynb")
    script = jupytext.read(NOTEBOOKS / "ablation.py")
    kept = [[(cell.cell_type, cell.source) for cell in book.cells] for book in (notebook, script)]
    assert kept[0] == kept[1], "run `jupytext --sync notebooks/ablation.ipynb`"


# The kernel's client still asks for the event loop in a way that newer Python deprecates.
@pytest.mark.process
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_notebook_draws_the_plots_of_a_suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = make_plan("cifar100", seeds=2)
    save_suite(tmp_path, plan, wrong={name: [3000 + 10 * n, 3100] for n, name in enumerate(VARIANTS)})
    monkeypatch.setenv("SUITE_DIR", str(tmp_path))
    notebook: Any = nbformat.read(NOTEBOOKS / "ablation.ipynb", as_version=4)
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(NOTEBOOKS)}}).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    pictures = [output for output in outputs if "<svg" in output.get("data", {}).get("text/html", "")]
    assert len(pictures) == 9
    text = "".join(str(output.get("data", output)) for output in outputs)
    assert "14 runs, made cifar100" in text
    assert re.search(r">30\.50?<.{,20}>0\.71<", text), "naive: 30 and 31 % wrong"

"""A written report: its files, their bytes in another process, and what a suite without results gives."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from ablations.analysis.analyse import Analysis, analyse
from ablations.errors import ConfigError
from ablations.records.suite_folder import SuiteFolder
from ablations.report.contents import CSV_FILES, SECTIONS, compose
from ablations.report.document import Picture, Table
from ablations.report.sections import figures
from ablations.report.write import check_report, write_report
from googlenet import VARIANTS
from tests.support.synthetic_suites import failed, make_plan, make_record, save, save_suite

ROOT = Path(__file__).resolve().parents[2]
WRONG = {name: [3000 + 50 * place, 3100 + 40 * place] for place, name in enumerate(VARIANTS)} | {"naive": [3000, 3120]}
LATEX_TABLES = ["summary", "comparisons", "pareto"]


def digests(folder: Path) -> dict[str, str]:
    files = [path for path in folder.rglob("*") if path.is_file() and not {"runs", "locks"} & set(path.parts)]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def cifar100(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete suite with two seeds, and its report without figures."""
    suite_dir = tmp_path_factory.mktemp("results") / "cifar100"
    save_suite(suite_dir, make_plan("cifar100", seeds=2), wrong=WRONG)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(figures, "FIGURES", ())
        write_report(suite_dir)
    return suite_dir


@pytest.fixture(scope="module")
def analysis(cifar100: Path) -> Analysis:
    return analyse(cifar100)


MATPLOTLIBRC = """
text.usetex: True
font.size: 30
figure.facecolor: black
savefig.transparent: True
savefig.bbox: tight
text.color: white
axes.labelcolor: white
svg.fonttype: none
lines.linewidth: 9
"""


@pytest.mark.process
def test_another_process_without_torch_writes_the_same_bytes_whatever_the_users_matplotlib(
    cifar100: Path, analysis: Analysis, tmp_path: Path
) -> None:
    write_report(cifar100)
    before = digests(cifar100)
    blocks = [block for section in compose(analysis).sections for block in section.blocks]
    drawn = {figure.name for figure in figures.FIGURES} - {"factorial"}  # which only a factorial suite has
    assert {block.name for block in blocks if isinstance(block, Picture)} == drawn
    assert set(before) == {
        *("plan.json", "looks.jsonl", "report.md", "report.html", "summary.tex"),
        *(f"{name}.csv" for name in CSV_FILES),
        *(f"figures/{name}.{suffix}" for name in drawn for suffix in ("png", "svg")),
    }
    for name in before:
        if name not in ("plan.json", "looks.jsonl"):
            (cifar100 / name).unlink()
    code = (
        "import sys; from ablations.cli.main import main; status = main(sys.argv[1:]); "
        "assert 'torch' not in sys.modules; sys.exit(status)"
    )
    command = [sys.executable, "-c", code, "--suite", "cifar100", "--report", "--results", str(cifar100.parent)]
    (tmp_path / "matplotlibrc").write_text(MATPLOTLIBRC, encoding="utf-8")
    users = {**os.environ, "MPLCONFIGDIR": str(tmp_path), "MPLBACKEND": "nosuch"}
    finished = subprocess.run(command, cwd=ROOT, env=users, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    assert digests(cifar100) == before


def test_a_report_with_verdicts_on_new_seeds_is_recorded_once_as_a_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures, "FIGURES", ())
    wrong = {"reduced": [800, 815, 790, 805], "short": [1000, 1012, 995, 1004]}
    looks = []
    # One seed has no verdict, and an incomplete suite neither.
    for planned, done in ((1, 1), (3, 2), (3, 3), (3, 3), (4, 4), (4, 4)):
        plan = make_plan("cifar10", seeds=planned, variants=tuple(wrong))
        save_suite(tmp_path, plan, wrong={name: counts[:done] for name, counts in wrong.items()})
        write_report(tmp_path)
        looks.append([len(look.seeds) for look in SuiteFolder(tmp_path).looks.read()])
    assert looks == [[], [], [3], [3], [3, 4], [3, 4]]


def test_csv_files_hold_the_frames_of_the_analysis(cifar100: Path, analysis: Analysis) -> None:
    for name, frame_of in CSV_FILES.items():
        lines = (cifar100 / f"{name}.csv").read_text(encoding="utf-8").splitlines()
        assert lines[0] == ",".join(map(str, frame_of(analysis))) and len(lines) == 1 + len(frame_of(analysis)), name
    runs = pd.read_csv(cifar100 / "results.csv")
    assert list(runs["top1_wrong"]) == [WRONG[v][s - 1] for v, s in zip(runs["variant"], runs["seed"], strict=True)]
    comparisons = pd.read_csv(cifar100 / "comparisons.csv")
    assert list(comparisons["p"]) == pytest.approx([found.p for found in analysis.comparisons.comparisons])


def test_every_section_of_a_complete_suite_has_its_place_and_tables_have_their_own_names(analysis: Analysis) -> None:
    document = compose(analysis)
    silent = [build.__name__ for build in SECTIONS if build(analysis) is None]
    answers_to_other_questions = {"answers_section", "factorial_section", "references_section"}
    assert set(silent) == {*answers_to_other_questions, "selection_bias_section", "kept_epochs_section"}
    assert len(document.sections) == len(SECTIONS) - len(silent)
    titles = [section.title for section in document.sections]
    assert titles[:3] == ["", "Error and cost", "Summary"]
    folded = {section.title for section in document.sections if section.fold}
    assert {"Comparisons", "Provenance"} <= folded and folded.isdisjoint(titles[:3])
    names = [block.name for section in document.sections for block in section.blocks if isinstance(block, Table)]
    assert len(set(names)) == len(names) >= 6


def test_latex_tables_of_the_report_are_those_that_are_written(cifar100: Path) -> None:
    source = (cifar100 / "summary.tex").read_text(encoding="utf-8")
    assert re.findall(r"\\label\{tab:(.*?)\}", source) == LATEX_TABLES


def test_a_report_of_nothing_but_failures_can_be_written(tmp_path: Path) -> None:
    plan = make_plan("cifar10", seeds=1, variants=("reduced",))
    save(tmp_path, plan, [failed(make_record(plan.runs[0], wrong=1), status="failed", message="OSError: no")])
    text = write_report(tmp_path).path.read_text(encoding="utf-8")
    assert "0 of 1 planned runs done" in text
    assert "No headline: 1 of 1 planned runs is not done" in text
    shown = set(re.findall(r"\(figures/(\w+)\.png\)", text))
    assert shown == {path.stem for path in (tmp_path / "figures").glob("*.png")} == {"learning_curves"}


# Before training


def test_a_report_is_tried_without_records_and_leaves_nothing(cifar100: Path, tmp_path: Path) -> None:
    for suite_dir in (cifar100, tmp_path):
        before = digests(suite_dir)
        check_report(make_plan("cifar100", seeds=2), suite_dir)
        assert digests(suite_dir) == before and not list((suite_dir / "figures").glob(".*"))


@pytest.mark.parametrize("broken", ["matplotlib.figure.Figure.savefig", "jinja2.Template.render"])
def test_a_report_that_cannot_be_written_is_one_line(
    broken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("latex could\nnot be found")

    monkeypatch.setattr(broken, fail)
    with pytest.raises(
        ConfigError, match=r"RuntimeError: latex could not be found\), so nothing is trained; "
    ) as raised:
        check_report(make_plan("digits", seeds=1), tmp_path)
    assert str(tmp_path) in str(raised.value) and "\n" not in str(raised.value)
    assert not list((tmp_path / "figures").iterdir())


def test_a_figures_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "figures").write_text("in the way")
    with pytest.raises(ConfigError, match=f"FileExistsError: .*{tmp_path / 'figures'}.*make the folder writable"):
        check_report(make_plan("digits", seeds=1), tmp_path)


# After an earlier report


def test_files_of_an_earlier_report_are_removed_and_others_are_kept(tmp_path: Path) -> None:
    plan = make_plan("cifar10", seeds=1, variants=("reduced",))
    save(tmp_path, plan, [failed(make_record(plan.runs[0], wrong=1), status="failed", message="OSError: no")])
    (tmp_path / "figures").mkdir()
    drawn_then = [f"figures/{name}.{suffix}" for name in ("error_bars", "ranks") for suffix in ("png", "svg")]
    stale = [*drawn_then, "verdicts.csv", "fronts.csv", "ranks.csv"]
    mine = ["figures/mine.png", "figures/error_bars.pdf", "notes.csv", "error_bars.png"]
    for name in (*stale, *mine):
        (tmp_path / name).write_text("written before")
    write_report(tmp_path)
    assert [name for name in stale if (tmp_path / name).exists()] == []
    assert [(tmp_path / name).read_text(encoding="utf-8") for name in mine] == ["written before"] * len(mine)
    assert (tmp_path / "figures" / "learning_curves.svg").stat().st_size > 1000

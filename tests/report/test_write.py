"""The report: what its head, tables and notes say, that it can be rebuilt byte for byte, and its figures."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from ablations.analysis.analyse import analyse
from ablations.analysis.published import load_published
from ablations.records.suite_folder import SuiteFolder
from ablations.report.write import write_report
from benchmarks.synthetic_records import ENVIRONMENT
from googlenet import VARIANTS
from tests.support.synthetic_suites import failed, make_plan, make_record, save, save_predictions, save_suite

ROOT = Path(__file__).resolve().parents[2]
WRONG = {name: [3000 + 50 * place, 3100 + 40 * place] for place, name in enumerate(VARIANTS)} | {"naive": [3000, 3120]}
FIGURES = (
    *("error_vs_params", "error_vs_macs", "error_vs_seconds", "error_vs_memory"),
    *("learning_curves", "error_bars", "ranks", "rank_stability"),
)


def digests(folder: Path) -> dict[str, str]:
    files = [path for path in folder.rglob("*") if path.is_file() and not {"runs", "locks"} & set(path.parts)]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def cifar100(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete suite with two seeds, and its report."""
    suite_dir = tmp_path_factory.mktemp("results") / "cifar100"
    save_suite(suite_dir, make_plan("cifar100", seeds=2), wrong=WRONG)
    write_report(suite_dir)
    return suite_dir


def test_head_states_what_the_figures_rest_on(cifar100: Path) -> None:
    text = (cifar100 / "report.md").read_text(encoding="utf-8")
    for said in (
        "python run_all.py --suite cifar100",
        "module design and depth (stages, stem\\_channels, reduction, branch5x5), against `reduced`",
        "14 of 14 planned runs done, 2 a variant",
        "made cifar100: 100 classes, 32x32 pixels, trained on 50,000 of 50,000 images, tested once on 10,000",
        "ab" * 32,
        "14 epochs, batch 64, adadelta, learning rate 1, times 0.7 after each epoch, flip 0.5, fp32",
        "Some GPU, 8 CPU threads, Linux x86\\_64, engine graph",
        "Python 3.12.0; torch 2.11.0; numpy 2.0.0",
        "0123456789ab",
    ):
        assert said in text


def test_table_shows_mean_and_spread_of_every_variant(cifar100: Path) -> None:
    text = (cifar100 / "report.md").read_text(encoding="utf-8")
    # naive: 30.0 and 31.2 % wrong, so a sample standard deviation of 1.2 / sqrt(2); a third of that in top-5. The
    # 97.5 % point of Student's t with one degree of freedom is 12.7062, so the interval reaches 0.6 x 12.7062 far.
    interval = r"\[22\.98, 38\.22\]"
    row = rf"\| naive \| 2 \| 30\.60 ± 0\.85 \| {interval} \| 10\.20 ± 0\.28 \| 6,258,500 \| 1\.522 G \| 3\.044 G \|"
    assert re.search(row, text)
    for variant in VARIANTS:
        assert f"| {variant} | 2 |" in text


def test_published_stands_beside_measured_with_the_four_conclusions(cifar100: Path) -> None:
    text = (cifar100 / "report.md").read_text(encoding="utf-8")
    assert "| naive | 2 | 36 | 30.60 ± 0.85 | 9 |" in text
    assert "\n\n## Runs that are not in the figures" in text, "a heading stands on its own"
    assert len(re.findall(r"\| (agree|disagree|cannot say) \|", text)) == 4
    assert "reconstructions" in text and "another recipe" not in text


def test_another_recipes_results_do_not_stand_beside_the_published_ones(tmp_path: Path) -> None:
    save_suite(tmp_path, make_plan("cifar100", seeds=2, recipe="fast"), wrong=WRONG)
    text = write_report(tmp_path).path.read_text(encoding="utf-8")
    assert "14 of 14 planned runs done" in text and "`fast`, 12 epochs" in text
    for said in ("Published and measured", "reconstructions"):
        assert said not in text
    assert "held against these runs, which have other data or another recipe" in text


def test_one_seed_is_said_to_prove_little(tmp_path: Path) -> None:
    plan = make_plan("cifar100", seeds=1)
    save_suite(tmp_path, plan, wrong=WRONG)
    for config in plan.runs:
        wrong = np.arange(WRONG[config.architecture.name][0])
        save_predictions(SuiteFolder(tmp_path).run(config), wrong=wrong)
    text = write_report(tmp_path).path.read_text(encoding="utf-8")
    assert len(re.findall(r"\| cannot say \| one seed tells nothing of the spread between seeds \|", text)) == 3
    assert "With one seed there is nothing to resample" in text


def test_an_incomplete_grid_gets_no_headline_but_the_command_that_completes_it(tmp_path: Path) -> None:
    save_suite(tmp_path, make_plan("cifar100", seeds=2), wrong=WRONG | {"long": [3000]})
    text = write_report(tmp_path).path.read_text(encoding="utf-8")
    why = "1 of 14 planned runs are not done; run the suite again to finish them"
    assert f"No headline: {why}: `python run_all.py --suite cifar100`" in text
    assert "| long | 1 of 2 | 30.00 |" in text
    assert not re.search(r"\| (better|worse|\*\*)", text) and "No front:" in text
    assert len(re.findall(r"\| cannot say \|", text)) == 3


def test_rebuilt_in_another_process_without_torch_byte_for_byte(cifar100: Path) -> None:
    before = digests(cifar100)
    assert set(before) == {
        "plan.json",
        "report.md",
        "report.html",
        "summary.tex",
        *(f"{name}.csv" for name in ("results", "summary", "verdicts", "fronts", "ranks", "per_class", "calibration")),
        *(f"figures/{name}.{suffix}" for name in FIGURES for suffix in ("png", "svg")),
    }
    for name in before:
        if name != "plan.json":
            (cifar100 / name).unlink()
    code = (
        "import sys, run_all; status = run_all.main(sys.argv[1:]); assert 'torch' not in sys.modules; sys.exit(status)"
    )
    command = [sys.executable, "-c", code, "--suite", "cifar100", "--report", "--results", str(cifar100.parent)]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    assert digests(cifar100) == before


def test_figures_are_drawn_and_label_every_variant(cifar100: Path) -> None:
    for name in FIGURES:
        image = imread(cifar100 / "figures" / f"{name}.png")
        assert image.shape[0] > 400 and image.shape[1] > 600
        assert image[..., :3].std() > 0.02, "an empty canvas"
        tree = ElementTree.parse(cifar100 / "figures" / f"{name}.svg")
        comments = (cifar100 / "figures" / f"{name}.svg").read_text(encoding="utf-8")
        assert tree.getroot().tag.endswith("svg")
        for variant in VARIANTS:
            named = f"<!-- {variant}" in comments or name == "rank_stability"  # which is of all of them together
            assert named, f"{name} does not name {variant}"


def figures_text(suite_dir: Path) -> str:
    """What is said under the figures."""
    section = (suite_dir / "report.md").read_text(encoding="utf-8").split("\n\n## Figures\n\n")[1].split("\n\n## ")[0]
    (said,) = (line for line in section.split("\n\n") if not line.startswith("!["))
    return said


def test_what_is_said_under_the_figures_is_of_those_that_are_there(cifar100: Path, tmp_path: Path) -> None:
    said = figures_text(cifar100)
    starts = [sentence.split(maxsplit=3)[:3] for sentence in said.split(". ")]
    assert [" ".join(words) for words in starts] == [
        *("A point of", "Without a filled", "Bars of errors", "Bars of ranks"),
        *("Shading in learning", "Shading in rank"),
    ]
    # One seed has no ranks to draw with intervals, and made records of one seed no order by epoch.
    save_suite(tmp_path, make_plan("cifar100", seeds=1), wrong=WRONG)
    write_report(tmp_path)
    assert "ranks" not in figures_text(tmp_path) and "rank stability" not in figures_text(tmp_path)
    assert "Bars of errors" in figures_text(tmp_path)


def test_another_suites_order_is_part_of_the_report(cifar100: Path, tmp_path: Path) -> None:
    save_suite(tmp_path / "cifar10", make_plan("cifar10", seeds=2), wrong=WRONG)
    analysis = analyse(tmp_path / "cifar10", compare_with=cifar100)
    assert analysis.agreement is not None
    assert (analysis.agreement.other, analysis.agreement.seeds) == ("cifar100", (2, 2))
    text = write_report(tmp_path / "cifar10", compare_with=cifar100).path.read_text(encoding="utf-8")
    # The same errors in both, so the orders are one.
    assert "orders of 7 variants in this suite and in cifar100: +1.00, 95 % interval [" in text


def test_failed_and_missing_runs_are_listed_by_name(tmp_path: Path) -> None:
    plan = make_plan("cifar10", seeds=1, variants=("reduced", "short3", "short4"))
    bad = failed(make_record(plan.runs[1], wrong=1), status="oom", message="CUDA out of memory")
    save(tmp_path, plan, [make_record(plan.runs[0], wrong=1000), bad])
    text = write_report(tmp_path).path.read_text(encoding="utf-8")
    assert f"`{plan.runs[1].run_id}` oom after 1 of 14 epochs: CUDA out of memory" in text
    assert f"`{plan.runs[2].run_id}` missing after 0 of 14 epochs" in text
    assert "**Incomplete.**" in text
    assert "| short3 | 0 of 1 | – | – | – |" in text


def test_an_unfinished_run_is_listed_with_its_epochs(tmp_path: Path) -> None:
    plan = make_plan("cifar10", seeds=1, variants=("reduced", "short3"))
    save(tmp_path, plan, [make_record(plan.runs[0], wrong=1000)])
    folder = SuiteFolder(tmp_path).run(plan.runs[1])
    folder.claim()
    for epoch in make_record(plan.runs[1], wrong=1).epochs[:3]:
        folder.epochs.append(epoch)
    text = write_report(tmp_path).path.read_text(encoding="utf-8")
    assert f"`{plan.runs[1].run_id}` unfinished after 3 of 14 epochs" in text


def test_a_joined_report_names_every_command_and_what_it_leaves_out(tmp_path: Path) -> None:
    for variant in ("short3", "reduced"):
        plan = make_plan("cifar10", seeds=1, variants=(variant,))
        save(tmp_path, replace(plan, commands=(f"python run_all.py --variants {variant}",)), [])
        save(tmp_path, plan, [make_record(plan.runs[0], wrong=1000)])
    text = write_report(tmp_path).path.read_text(encoding="utf-8")
    assert "`python run_all.py --variants short3`, then" in text and "`python run_all.py --variants reduced`" in text
    assert "2 of 2 planned runs done" in text and "Other runs" not in text
    other = make_plan("cifar10", seeds=1, variants=("reduced",), limit_train=500)
    save(tmp_path, other, [make_record(other.runs[0], wrong=1000)])
    text = write_report(tmp_path).path.read_text(encoding="utf-8")
    assert "runs/ holds 2 more" in text and "1 of 1 planned runs done" in text


def test_a_report_of_nothing_but_failures_can_be_written(tmp_path: Path) -> None:
    plan = make_plan("cifar10", seeds=1, variants=("reduced",))
    save(tmp_path, plan, [failed(make_record(plan.runs[0], wrong=1), status="failed", message="OSError: no")])
    text = write_report(tmp_path).path.read_text(encoding="utf-8")
    assert "0 of 1 planned runs done" in text
    assert "No headline: 1 of 1 planned runs are not done" in text
    shown = set(re.findall(r"\(figures/(\w+)\.png\)", text))
    assert shown == {path.stem for path in (tmp_path / "figures").glob("*.png")} == {"learning_curves"}


def test_subsets_scaled_suites_and_other_recipes_are_marked(tmp_path: Path) -> None:
    save_suite(tmp_path / "a", make_plan("folder", seeds=1, limit_train=2000), wrong=WRONG)
    text = write_report(tmp_path / "a").path.read_text(encoding="utf-8")
    assert "stratified subset of 2,000 of 50,000" in text
    assert "Published and measured" not in text, "a folder is not the official archive"
    save_suite(tmp_path / "b", make_plan("digits", seeds=1), wrong=WRONG)
    text = write_report(tmp_path / "b").path.read_text(encoding="utf-8")
    assert "0.5 times its width on 8x8 images" in text
    # The full-size counts at 10 classes are the published ones.
    for params in load_published("cifar10")["params"]:
        assert f"{params:,}" in text


@pytest.mark.parametrize("change", [{"device": "Another GPU"}, {"engine": "eager"}], ids=str)
def test_times_are_withheld_where_they_do_not_compare(tmp_path: Path, change: dict[str, str]) -> None:
    plan = make_plan("cifar10", seeds=1, variants=("reduced", "short3"))
    first, second = (make_record(config, wrong=1000) for config in plan.runs)
    save(tmp_path, plan, [first, replace(second, environment=replace(ENVIRONMENT, **change))])
    text = write_report(tmp_path).path.read_text(encoding="utf-8")
    assert "different hardware or with different engines" in text
    assert "| reduced | 1 | 10.00 | 3.33 | 6,258,500 | 1.522 G | 3.044 G | – |" in text


def test_times_of_a_run_that_shared_its_device_are_withheld(tmp_path: Path) -> None:
    plan = make_plan("cifar10", seeds=1, variants=("reduced", "short3"))
    first, second = (make_record(config, wrong=1000) for config in plan.runs)
    assert second.times is not None
    save(tmp_path, plan, [first, replace(second, times=replace(second.times, timing_valid=False))])
    text = write_report(tmp_path).path.read_text(encoding="utf-8")
    assert f"runs that went on after a stop or shared the device with others: {second.run_id}." in text
    assert "| reduced | 1 | 10.00 | 3.33 | 6,258,500 | 1.522 G | 3.044 G | 100.0 |" in text
    assert "| short3 | 1 | 10.00 | 3.33 | 6,258,500 | 1.522 G | 3.044 G | – |" in text

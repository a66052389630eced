"""What a report says of the command, data, recipe and machine, and its notes."""

from __future__ import annotations

import html
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from ablations.analysis.results import load_results
from ablations.records import merged
from ablations.records.merged import Merged
from ablations.report.contents import compose
from ablations.report.document import Section
from ablations.report.formats import markdown
from ablations.report.sections.missing_runs import missing_runs_section
from ablations.report.sections.provenance import describe_recipe, provenance_section
from ablations.suites.recipe import DIGITS, FAST, PUBLISHED, Precision
from benchmarks.synthetic_records import ENVIRONMENT
from tests.support.synthetic_suites import failed, items_of, make_analysis, make_plan, make_record, save, texts_of


def test_recipes_are_described_with_what_was_changed() -> None:
    assert describe_recipe(PUBLISHED).startswith("`published`, 14 epochs")
    assert "`published` with epochs, flip changed, 3 epochs" in describe_recipe(replace(PUBLISHED, epochs=3, flip=0.0))
    assert "one-cycle schedule" in describe_recipe(DIGITS)
    assert describe_recipe(FAST.at_precision("fp32")) == (
        "`fast`, 12 epochs, batch 512, sgd, learning rate 0.4, one-cycle schedule, Nesterov momentum 0.9, "
        "weight decay 0.0005, label smoothing 0.1, random crop after padding by 4, flip 0.5, cutout of side 8, fp32, "
        "normalised by mean 0.5 and std 0.5, last epoch reported"
    )
    assert "`fast` with crop\\_padding, cutout changed" in describe_recipe(replace(FAST, crop_padding=2, cutout=0))
    changed = replace(PUBLISHED, name="own", resize=224, grayscale=True, flip_test=True, keep_epochs=(3, 7))
    assert describe_recipe(changed.at_precision("fp32")).endswith(
        "flip 0.5, fp32, converted to grey, resized to 224x224, normalised by mean 0.5 and std 0.5, "
        "test images flipped at random, weights kept after epochs 3, 7, last epoch reported"
    )
    held_out = replace(PUBLISHED, name="own", validation_fraction=0.1)
    assert describe_recipe(held_out).endswith(
        "10 % of the training images held out for validation, epoch with the lowest validation error reported"
    )


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_devices_precision_is_said_and_is_no_change_of_the_recipe(precision: Precision) -> None:
    for recipe in (PUBLISHED, FAST, DIGITS):
        described = describe_recipe(recipe.at_precision(precision))
        assert f", {precision}, " in described and "changed" not in described
    changed = replace(PUBLISHED, flip=0.25, precision=precision)
    assert "`published` with flip changed" in describe_recipe(changed)


@pytest.fixture(scope="module")
def suite_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two variants with two seeds, of which all runs are done."""
    folder = tmp_path_factory.mktemp("cifar100")
    plan = make_plan("cifar100", seeds=2, variants=("reduced", "short"))
    save(folder, plan, [make_record(run, wrong=1000) for run in plan.runs])
    return folder


def notes_of(suite_dir: Path) -> str:
    return "\n".join(texts_of(provenance_of(suite_dir)))


def provenance_of(suite_dir: Path) -> Section:
    return provenance_section(make_analysis(load_results(suite_dir)))


def test_the_head_says_what_was_run_on_which_data_and_machine(suite_dir: Path) -> None:
    assert items_of(provenance_of(suite_dir)) == [
        "**Command:** `python run_all.py --suite cifar100`",
        "**Axis:** module design and depth (stages, stem\\_channels, reduction, branch5x5), against `reduced`",
        "**n:** 4 of 4 planned runs done, 2 a variant",
        "**Dataset:** made cifar100: 100 classes, 32x32 pixels, trained on 50,000 of 50,000 images, tested once on "
        "10,000",
        f"**Data fingerprint (SHA-256):** `{'ab' * 32}`",
        "**Recipe:** `published`, 14 epochs, batch 64, adadelta, learning rate 1, times 0.7 after each epoch, "
        "flip 0.5, fp32, normalised by mean 0.5 and std 0.5, last epoch reported",
        "**Hardware:** Some GPU, 8 CPU threads, Linux x86\\_64, engine graph",
        "**Versions:** Python 3.12.0; torch 2.11.0; numpy 2.0.0",
        "**Commit:** `0123456789ab`",
    ]
    assert notes_of(suite_dir) == ""


def test_seeds_that_not_every_variant_has_are_left_out_and_named(tmp_path: Path) -> None:
    one = make_plan("cifar10", seeds=1, variants=("reduced", "short"))
    three = make_plan("cifar10", seeds=3, variants=("reduced",))
    for plan in (one, three):
        save(tmp_path, plan, [make_record(run, wrong=1000 * run.seed) for run in plan.runs])
    results = load_results(tmp_path)
    assert list(results.summary["n"]) == list(results.summary["n_planned"]) == [1, 1]
    assert set(results.summary["top1_error_mean"]) == {0.1}, "of seed 1 alone"
    others = [run.run_id for run in three.runs if run.seed > 1]
    assert sorted(results.left_out) == sorted(others)
    assert results.other_runs == 0
    note = notes_of(tmp_path)
    assert "**Left out.** 2 runs with seeds that not every variant has (" in note
    assert all(run_id in note for run_id in others) and "run all variants with the same --seeds" in note
    both = make_plan("cifar10", seeds=3, variants=("reduced", "short"))
    save(tmp_path, both, [make_record(run, wrong=1000) for run in both.runs])
    complete_again = load_results(tmp_path)
    assert complete_again.left_out == () and list(complete_again.summary["n"]) == [3, 3]
    assert "Left out" not in notes_of(tmp_path)


def test_long_lists_of_runs_are_cut_with_their_number(tmp_path: Path) -> None:
    plan = make_plan("cifar10", seeds=1, variants=("reduced", "short"))
    save(tmp_path, plan, [])
    save(tmp_path, make_plan("cifar10", seeds=14, variants=("reduced",)), [])
    note = notes_of(tmp_path)
    assert "**Left out.** 13 runs " in note and " and 3 more)" in note
    assert note.count("cifar10-reduced-s") == 10


def test_deterministic_kernels_are_part_of_the_hardware(tmp_path: Path) -> None:
    plan = make_plan("cifar10", seeds=1, variants=("reduced", "short"))
    first, second = (make_record(run, wrong=1000) for run in plan.runs)
    save(tmp_path, plan, [first, replace(second, environment=replace(ENVIRONMENT, deterministic=True))])
    (hardware,) = [item for item in items_of(provenance_of(tmp_path)) if item.startswith("**Hardware")]
    assert hardware.count("engine graph") == 2 and hardware.endswith("engine graph, deterministic kernels")


def test_merged_runs_are_counted_by_the_folder_they_came_from(suite_dir: Path, tmp_path: Path) -> None:
    copied = shutil.copytree(suite_dir, tmp_path / "copied")
    first, second, third, _ = sorted(copied.glob("runs/*/"))
    for run, *sources in ((first, "/mnt/a`b"), (second, "/mnt/laptop"), (third, "/mnt/laptop")):
        merged.write(run, Merged(sources=tuple(sources), files=()))
    assert items_of(provenance_of(copied))[-1] == "**Merged:** 1 run from ``/mnt/a`b``; 2 runs from `/mnt/laptop`"


def test_odd_titles_axes_and_messages_stay_text(tmp_path: Path) -> None:
    title = "photos_of_*cats* | <b>dogs</b>\nand `more` [x](y)"
    plan = make_plan("folder", seeds=1, variants=("reduced", "short"))
    plan = replace(plan, axis="a|b *c*", data=replace(plan.data, title=title))
    done, other = (make_record(run, wrong=1000) for run in plan.runs)
    message = "RuntimeError: <oom>\n\n# not a heading\n| *no* | `row` |"
    save(tmp_path, plan, [done, failed(other, status="failed", message=message)])
    analysis = make_analysis(load_results(tmp_path))
    text = markdown.render(compose(analysis, sections=[provenance_section, missing_runs_section]))
    page = MarkdownIt("commonmark", {"html": False}).enable("table").render(text)
    assert f"{' '.join(html.escape(title, quote=False).split())}: 10 classes" in page
    assert "a|b *c* (stages," in page
    assert f"1 of 14 epochs: {' '.join(html.escape(message, quote=False).split())}</li>" in page
    assert (page.count("<h1>"), page.count("<h2>")) == (1, 2)
    for element in ("<table>", "<em>", "<b>", "<a "):
        assert element not in page


def test_runs_whose_times_are_left_out_are_named(tmp_path: Path) -> None:
    plan = make_plan("cifar10", seeds=1, variants=("reduced", "short", "long"))
    first, *others = (make_record(run, wrong=1000) for run in plan.runs)
    untimed = []
    for record in others:
        assert record.times is not None
        untimed.append(replace(record, times=replace(record.times, timing_valid=False)))
    save(tmp_path, plan, [first, *untimed])
    assert (
        "**Times.** Left out for runs that were resumed or shared their device: "
        f"{untimed[0].run_id}, {untimed[1].run_id}."
    ) in notes_of(tmp_path)


@pytest.mark.parametrize("change", [{"device": "Another GPU"}, {"engine": "eager"}], ids=str)
def test_times_of_different_hardware_or_engines_are_said_not_to_compare(tmp_path: Path, change: dict[str, str]) -> None:
    plan = make_plan("cifar10", seeds=1, variants=("reduced", "short3"))
    first, second = (make_record(config, wrong=1000) for config in plan.runs)
    save(tmp_path, plan, [first, replace(second, environment=replace(ENVIRONMENT, **change))])
    assert "different hardware or different engines" in notes_of(tmp_path)


def test_a_joined_suite_names_every_command_and_the_runs_of_other_settings(tmp_path: Path) -> None:
    for variant in ("short3", "reduced"):
        plan = make_plan("cifar10", seeds=1, variants=(variant,))
        plan = replace(plan, commands=(f"python run_all.py --variants {variant}",))
        save(tmp_path, plan, [make_record(plan.runs[0], wrong=1000)])
    command, _, n, *_ = items_of(provenance_of(tmp_path))
    assert command.endswith("`python run_all.py --variants short3`, then `python run_all.py --variants reduced`")
    assert "2 of 2 planned runs done" in n and "Other runs" not in notes_of(tmp_path)
    other = make_plan("cifar10", seeds=1, variants=("reduced",), limit_train=500)
    save(tmp_path, other, [make_record(other.runs[0], wrong=1000)])
    assert "runs/ holds 2 more" in notes_of(tmp_path)
    assert "1 of 1 planned runs done" in items_of(provenance_of(tmp_path))[2]


def test_subsets_scaled_and_incomplete_suites_are_marked(tmp_path: Path) -> None:
    save(tmp_path / "a", make_plan("folder", seeds=1, limit_train=2000), [])
    assert "stratified subset of 2,000 of 50,000" in notes_of(tmp_path / "a")
    assert "**Incomplete.**" in notes_of(tmp_path / "a")
    save(tmp_path / "b", make_plan("digits", seeds=1), [])
    assert "0.125 times its width on 8x8 images" in notes_of(tmp_path / "b")

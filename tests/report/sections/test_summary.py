"""What the head of a report says of its recipe, its runs and what differs between them."""

from __future__ import annotations

import html
from dataclasses import replace
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from ablations.analysis.results import Results, load_results
from ablations.report.document import Document, Items, Section, Table, Text
from ablations.report.formats import markdown
from ablations.report.sections.differences import differences_section
from ablations.report.sections.missing_runs import missing_runs_section
from ablations.report.sections.provenance import describe_recipe, provenance_section
from ablations.report.sections.summary import results_section, summary_table
from ablations.suites.plan import Plan
from ablations.suites.recipe import DIGITS, FAST, PUBLISHED, Precision
from benchmarks.synthetic_records import ENVIRONMENT
from tests.support.synthetic_suites import failed, make_plan, make_record, save, save_suite


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
    held_out = replace(PUBLISHED, name="own", validation_fraction=0.1)
    assert describe_recipe(held_out).endswith(
        "10 % of the training images held out for validation, the epoch with the least error reported"
    )


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_devices_precision_is_said_and_is_no_change_of_the_recipe(precision: Precision) -> None:
    for recipe in (PUBLISHED, FAST, DIGITS):
        described = describe_recipe(recipe.at_precision(precision))
        assert f", {precision}, " in described and "changed" not in described
    changed = replace(PUBLISHED, flip=0.25, precision=precision)
    assert "`published` with flip changed" in describe_recipe(changed)


def complete(suite_dir: Path, plan: Plan) -> Results:
    save(suite_dir, plan, [make_record(run, wrong=1000) for run in plan.runs])
    return load_results(suite_dir)


def table_of(section: Section) -> list[dict[str, str]]:
    (table,) = [block for block in section.blocks if isinstance(block, Table)]
    return [dict(row) for row in table.rows]


def texts_of(section: Section) -> str:
    return "\n".join(block.text for block in section.blocks if isinstance(block, Text))


def items_of(section: Section) -> list[str]:
    return [item for block in section.blocks if isinstance(block, Items) for item in block.items]


def test_differences_are_listed_field_by_field_with_both_values(tmp_path: Path) -> None:
    results = complete(tmp_path, make_plan("cifar10", seeds=1, variants=("naive", "reduced", "short3")))
    section = differences_section(results)
    assert [list(row.values()) for row in table_of(section)] == [
        ["naive", "`reduction`", "True", "False"],
        ["naive", "`branch5x5`", "3x3+3x3", "3x3"],
        ["short3", "`stages`", "3a 3b / 4a 4b 4c 4d 4e / 5a 5b", "3a / 4a / 5b"],
        ["short3", "`stem_channels`", "192", "832"],
    ]
    assert "Declared difference" not in texts_of(section)


def test_a_single_variant_differs_from_nothing(tmp_path: Path) -> None:
    results = complete(tmp_path, make_plan("cifar10", seeds=1, variants=("reduced",)))
    assert texts_of(differences_section(results)) == "The variants do not differ."


def test_every_absent_run_is_listed_with_its_state_and_the_commands(tmp_path: Path) -> None:
    plan = make_plan("cifar10", seeds=2, variants=("reduced", "short"))
    plan = replace(plan, commands=("python run_all.py --variants 'a`b'", "python run_all.py"))
    done, *rest = (make_record(run, wrong=1000) for run in plan.runs)
    stopped = failed(rest[0], status="interrupted", message="stopped by a signal")
    diverged = failed(rest[1], status="diverged", message="")
    save(tmp_path, plan, [done, stopped, diverged])
    section = missing_runs_section(load_results(tmp_path))
    assert items_of(section) == [
        f"`{stopped.run_id}` interrupted after 1 of 14 epochs: stopped by a signal",
        f"`{diverged.run_id}` diverged after 1 of 14 epochs",
        f"`{rest[2].run_id}` missing after 0 of 14 epochs",
    ]
    assert texts_of(section) == "To train them: ``python run_all.py --variants 'a`b'``, then `python run_all.py`"


def test_a_complete_suite_has_no_absent_run(tmp_path: Path) -> None:
    section = missing_runs_section(complete(tmp_path, make_plan("cifar10", seeds=1)))
    assert (items_of(section), texts_of(section)) == ([], "None: every planned run is done.")


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
    note = texts_of(provenance_section(results))
    assert "**Left out.** 2 runs of seeds that not every variant has (" in note
    assert all(run_id in note for run_id in others) and "the same --seeds for all variants" in note
    both = make_plan("cifar10", seeds=3, variants=("reduced", "short"))
    complete_again = complete(tmp_path, both)
    assert complete_again.left_out == () and list(complete_again.summary["n"]) == [3, 3]
    assert "Left out" not in texts_of(provenance_section(complete_again))


def test_long_lists_of_runs_are_cut_with_their_number(tmp_path: Path) -> None:
    plan = make_plan("cifar10", seeds=1, variants=("reduced", "short"))
    save(tmp_path, plan, [])
    save(tmp_path, make_plan("cifar10", seeds=14, variants=("reduced",)), [])
    note = texts_of(provenance_section(load_results(tmp_path)))
    assert "**Left out.** 13 runs " in note and " and 3 more)" in note
    assert note.count("cifar10-reduced-s") == 10


def test_deterministic_kernels_are_part_of_the_hardware(tmp_path: Path) -> None:
    plan = make_plan("cifar10", seeds=1, variants=("reduced", "short"))
    first, second = (make_record(run, wrong=1000) for run in plan.runs)
    save(tmp_path, plan, [first, replace(second, environment=replace(ENVIRONMENT, deterministic=True))])
    (hardware,) = [
        item for item in items_of(provenance_section(load_results(tmp_path))) if item.startswith("**Hardware")
    ]
    assert hardware.count("engine graph") == 2 and hardware.endswith("engine graph, deterministic kernels")


def test_odd_titles_axes_and_messages_stay_text(tmp_path: Path) -> None:
    title = "photos_of_*cats* | <b>dogs</b>\nand `more` [x](y)"
    plan = make_plan("folder", seeds=1, variants=("reduced", "short"))
    plan = replace(plan, axis="a|b *c*", data=replace(plan.data, title=title))
    done, other = (make_record(run, wrong=1000) for run in plan.runs)
    message = "RuntimeError: <oom>\n\n# not a heading\n| *no* | `row` |"
    save(tmp_path, plan, [done, failed(other, status="failed", message=message)])
    results = load_results(tmp_path)
    sections = [provenance_section(results), missing_runs_section(results)]
    text = markdown.render(Document("Suite folder", sections))
    page = MarkdownIt("commonmark", {"html": False}).enable("table").render(text)
    assert f"{' '.join(html.escape(title, quote=False).split())}: 10 classes" in page
    assert "a|b *c* (stages," in page
    assert f"1 of 14 epochs: {' '.join(html.escape(message, quote=False).split())}</li>" in page
    assert page.count("<h1>") == page.count("<h2>") == 1
    for element in ("<table>", "<em>", "<b>", "<a "):
        assert element not in page


def test_gaps_in_a_summary_are_dashes_and_incomplete_rows_say_so(tmp_path: Path) -> None:
    plan = make_plan("cifar10", seeds=2, variants=("reduced", "short", "long"))
    wrong = {"reduced": [1000, 1100], "short": [900]}
    save_suite(tmp_path, plan, wrong=wrong)
    results = load_results(tmp_path)
    reduced, short, long = table_of(results_section(results))
    assert [row["n"] for row in (reduced, short, long)] == ["2", "1 of 2", "0 of 2"]
    assert [row["95 % interval"] for row in (short, long)] == ["–", "–"]
    assert set(list(long.values())[2:]) == {"–"}
    # The 97.5 % point of Student's t with one degree of freedom is 12.7062; an error is never above 1 or below 0.
    low, high = (10.5 + sign * 0.5 * 12.7062 for sign in (-1, 1))
    assert reduced["95 % interval"] == f"[{low:.2f}, {high:.2f}]"
    assert "95 % interval" not in summary_table(results, intervals=False)[0]
    assert "so the row is incomplete" in texts_of(results_section(results))


def test_without_the_baseline_the_variant_in_its_place_is_named(tmp_path: Path) -> None:
    results = complete(tmp_path, make_plan("cifar10", seeds=1, variants=("short", "short2")))
    section = differences_section(results)
    assert texts_of(section) == "As reduced is not among these runs, short stands for the baseline."


def test_memory_is_a_mean_with_its_spread_where_there_is_room(tmp_path: Path) -> None:
    plan = make_plan("cifar10", seeds=2, variants=("reduced",))
    records = [make_record(run, wrong=1000) for run in plan.runs]
    costs = records[1].costs
    assert costs is not None
    save(tmp_path, plan, [records[0], replace(records[1], costs=replace(costs, peak_memory_bytes=1_100_000_000))])
    results = load_results(tmp_path)
    # Of 1,000 and 1,100 MB.
    assert summary_table(results)[0]["memory MB"] == "1,050 ± 71"
    assert summary_table(results, intervals=False)[0]["memory MB"] == "1,050"
    assert texts_of(results_section(results)).endswith("Memory is the peak in training, of the GPU's allocator.")


def test_memory_that_does_not_compare_is_said_to_be_left_out(tmp_path: Path) -> None:
    plan = make_plan("cifar10", seeds=1, variants=("reduced", "short"))
    first, second = (make_record(run, wrong=1000) for run in plan.runs)
    save(tmp_path, plan, [first, replace(second, environment=replace(ENVIRONMENT, device_kind="cpu"))])
    section = results_section(load_results(tmp_path))
    assert [row["memory MB"] for row in table_of(section)] == ["–", "–"]
    assert "Memory is left out: some runs took place on a CPU and some on a GPU" in texts_of(section)


def test_runs_whose_times_are_left_out_are_named(tmp_path: Path) -> None:
    plan = make_plan("cifar10", seeds=1, variants=("reduced", "short", "long"))
    first, *others = (make_record(run, wrong=1000) for run in plan.runs)
    untimed = []
    for record in others:
        assert record.times is not None
        untimed.append(replace(record, times=replace(record.times, timing_valid=False)))
    save(tmp_path, plan, [first, *untimed])
    assert (
        "**Times.** Left out for runs that went on after a stop or shared the device with others: "
        f"{untimed[0].run_id}, {untimed[1].run_id}."
    ) in texts_of(provenance_section(load_results(tmp_path)))

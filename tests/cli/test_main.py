"""The command line as its user meets it: exit statuses, messages, files on disk, stopping and resuming."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from filelock import FileLock
from torch import Tensor

from ablations import experiment
from ablations.data.archives import ARCHIVES
from ablations.errors import ConfigError
from ablations.suites.recipe import PUBLISHED
from ablations.training.step import StepResult, TrainStep
from tests.support.command_line import ROOT, SMALL, Outcome, run_main, start_main

pytestmark = pytest.mark.process
Main = Callable[..., Outcome]


@pytest.fixture
def main(tmp_path: Path) -> Main:
    """Runs the command line on an empty folder of results."""

    def call(*given: str) -> Outcome:
        return run_main(*given, results=tmp_path)

    return call


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome]:
    """A folder of results with one small suite, with figures, and what the command said; tests only read it."""
    results = tmp_path_factory.mktemp("finished")
    return results, run_main(*SMALL, results=results, figures=True)


@pytest.fixture
def copied(finished: tuple[Path, Outcome], tmp_path: Path) -> Path:
    """A copy of the finished results that a test may change."""
    return shutil.copytree(finished[0], tmp_path / "copied")


def records_of(suite_dir: Path) -> list[dict[str, Any]]:
    """The suite's records without what may differ from run to run: times, peak memory and where it ran."""
    found = []
    for path in sorted(suite_dir.glob("runs/*/result.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        record.pop("times")
        record.pop("environment")
        if record["costs"]:
            record["costs"].pop("peak_memory_bytes")
        for epoch in record["epochs"]:
            epoch.pop("train_seconds")
            epoch.pop("eval_seconds")
        found.append(record)
    return found


# A suite from start to report


def test_a_suite_is_trained_and_reported_with_its_figures(finished: tuple[Path, Outcome]) -> None:
    results, (status, out, err) = finished
    assert (status, err) == (0, "")
    assert str(results / "digits" / "report.md") in out.splitlines()[-1]
    assert re.search(r"│ short3 +│ 1 │", out) and re.search(r"│ short4 +│ 1 │", out)
    report = (results / "digits" / "report.md").read_text(encoding="utf-8")
    assert "stratified subset of 100 of 1,437" in report
    pictures = re.findall(r"!\[.*?\]\((figures/.*?)\)", report)
    assert pictures and all((results / "digits" / picture).stat().st_size for picture in pictures)
    assert len(records_of(results / "digits")) == 2


def test_the_second_time_finished_runs_are_skipped_and_untouched(copied: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in copied.glob("digits/runs/*/*")}
    status, out, _ = run_main(*SMALL, results=copied)
    assert status == 0
    assert out.count("done before") == 2
    assert {path: path.stat().st_mtime_ns for path in copied.glob("digits/runs/*/*")} == before


def test_a_plan_shows_which_runs_are_done_and_writes_nothing(
    main: Main, finished: tuple[Path, Outcome], tmp_path: Path
) -> None:
    status, out, _ = main(*SMALL, "--plan")
    assert status == 0
    assert len(re.findall(r"missing +│", out)) == 2
    assert not list(tmp_path.iterdir())
    assert len(re.findall(r"done +│", run_main(*SMALL, "--plan", results=finished[0]).out)) == 2


def test_list_names_every_architecture_with_its_counts(main: Main) -> None:
    status, out, _ = main("--list")
    assert status == 0
    for said in ("naive", "65,736,148", "inception-v1", "13,385,816", "axis batch-norm", "short4 (reconstruction)"):
        assert said in out


def test_help_list_describe_plan_and_report_load_no_torch(copied: Path) -> None:
    code = (
        "import sys\n"
        "from ablations.cli.main import main\n"
        "results = sys.argv[1:]\n"
        "described = ['--describe', 'short4', *results]\n"
        "for flag, *others in (['--help'], ['--list'], described, ['--plan', *results], ['--report', *results]):\n"
        "    try:\n"
        "        status = main([flag, *others])\n"
        "    except SystemExit as end:\n"
        "        status = end.code\n"
        "    assert not status, (flag, status)\n"
        "    assert 'torch' not in sys.modules, flag\n"
        "import ablations.observers.tensorboard\n"
        "assert not {'torch', 'tensorboard'} & set(sys.modules)\n"
    )
    command = [sys.executable, "-c", code, "--results", str(copied)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_help_takes_half_a_second_of_computing() -> None:
    def spent() -> float:
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        return children.ru_utime + children.ru_stime

    before = spent()
    done = subprocess.run([sys.executable, "run_all.py", "--help"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and "--limit-train" in done.stdout
    assert spent() - before < 0.5  # of the process alone, whatever else the machine does


# What is passed on


@pytest.fixture
def passed_on(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What `run_suite` is called with; it then refuses to run."""
    found: dict[str, Any] = {}

    def note(suite: object, **named: object) -> None:
        found.update(named, suite=suite)
        raise ConfigError("not now")

    monkeypatch.setattr(experiment, "run_suite", note)
    return found


def test_arguments_reach_the_suite_its_data_and_its_execution(
    main: Main, tmp_path: Path, passed_on: dict[str, Any]
) -> None:
    settings = ("--recipe", "published", "--precision", "bf16", "--epochs", "3", "--seeds", "2", "--limit-train", "300")
    execution = ("--engine", "compile", "--deterministic", "--measure-selection-bias", "--resume")
    status, _, err = main("--variants", "short4, short3", *settings, *execution, "--data-dir", "elsewhere")
    assert (status, err) == (2, "error: not now\n")
    suite, options = passed_on["suite"], passed_on["options"]
    assert (suite.recipe.name, suite.recipe.precision, suite.recipe.epochs) == (PUBLISHED.name, "bf16", 3)
    assert [arch.name for arch in suite.architectures] == ["short4", "short3"]
    assert (suite.seeds, suite.limit_train) == (2, 300)
    assert (options.engine, options.deterministic, options.measure_selection_bias) == ("compile", True, True)
    assert passed_on["data"].directory == Path("elsewhere")
    assert (passed_on["resume"], passed_on["fresh"], passed_on["results"]) == (True, False, tmp_path)
    assert passed_on["command"].startswith("python run_all.py --variants 'short4, short3' --recipe published")


def test_recipe_and_precision_change_the_run_id_and_execution_does_not(main: Main) -> None:
    def planned(*given: str) -> str:
        status, out, _ = main("--variants", "short4", "--plan", *given)
        assert status == 0
        (name,) = re.findall(r"digits-short4-s1-[0-9a-f]{8}", out)
        return name

    usual = planned()
    others = [("--recipe", "published"), ("--recipe", "fast"), ("--precision", "bf16")]
    assert len({usual, *(planned(*given) for given in others)}) == 4
    # On a CPU single precision is the device's own.
    same = [
        ("--recipe", "digits"),
        ("--precision", "fp32"),
        ("--engine", "compile"),
        ("--executor", "ray"),
        ("--runs-per-gpu", "2"),
    ]
    assert {planned(*given) for given in same} == {usual}


def test_runs_that_were_done_without_the_diagnostic_are_counted(copied: Path) -> None:
    given = ("--variants", "short4", "--limit-train", "100", "--epochs", "1", "--seeds", "2")
    status, out, _ = run_main(*given, "--measure-selection-bias", results=copied)
    assert status == 0
    assert "1 of 2 runs were trained without --measure-selection-bias; --fresh trains them again" in out
    status, out, _ = run_main(*given, "--measure-selection-bias", "--fresh", results=copied)
    assert status == 0 and "without --measure-selection-bias" not in out


# Paths and output


def test_a_path_that_is_neither_markup_nor_unicode_is_no_obstacle(
    finished: tuple[Path, Outcome], tmp_path: Path
) -> None:
    folder = shutil.copytree(finished[0], tmp_path / os.fsdecode(b"r[/x][red]\xff"))
    given = ("--variants", "short4", "--limit-train", "100", "--epochs", "1")
    status, out, _ = run_main(*given, "--fresh", results=folder)
    assert status == 0 and out.count("archived: ") == 1
    assert run_main("--report", results=folder).status == 0
    assert "r[/x][red]\\udcff" in (folder / "digits" / "report.md").read_text(encoding="utf-8").replace("\\[", "[")


@pytest.mark.parametrize("given", [("--report",), SMALL], ids=["report", "run"])
def test_a_results_folder_that_is_a_file_is_named(main: Main, tmp_path: Path, given: tuple[str, ...]) -> None:
    (tmp_path / "digits").write_text("no folder")
    status, _, err = main(*given)
    assert status == 2 and len(err.splitlines()) == 1
    assert "digits" in err and str(tmp_path) in err and "--results" in err


def test_a_report_needs_the_name_of_a_folder_only(copied: Path) -> None:
    (copied / "digits").rename(copied / "My suite")  # its suite file may be gone, and it may have been renamed
    status, out, err = run_main("--suite", "My suite", "--report", results=copied)
    assert (status, err) == (0, "") and str(copied / "My suite" / "report.md") in out
    status, out, err = run_main("--suite", "My suit", "--report", results=copied)
    assert (status, out) == (2, "")
    assert "suites that are there: My suite; did you mean 'My suite'?" in err and err.count("\n") == 1
    (copied / "My suite").rename(copied / "mine-cifar10")
    for given, status in ((("mine", "cifar10"), 0), (("mine", "digits"), 2), (("digits", "cifar10"), 2)):
        found = run_main("--report", "--suite", given[0], "--dataset", given[1], results=copied)
        assert found.status == status, found.err
    (copied / "mine-cifar10").rename(copied / "digits")
    assert run_main("--report", "--dataset", "digits", results=copied).status == 0, "the suite's own dataset"


@pytest.mark.parametrize("place", ["locks", "results.csv"])
@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS])
def test_a_report_in_a_folder_that_is_only_read_has_a_remedy(
    copied: Path, monkeypatch: pytest.MonkeyPatch, place: str, number: int
) -> None:
    path = copied / "digits" / place

    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(*((FileLock, "acquire") if place == "locks" else (Path, "write_bytes")), fail)
    status, _, err = run_main("--report", results=copied)
    assert status == 2 and err.count("\n") == 1 and str(path) in err
    assert "make it" in err and "a copy of " in err and "--results" in err


def test_a_reader_that_leaves_early_is_no_error(tmp_path: Path) -> None:
    for given, status in ((("--help",), 0), (("--list",), 0), (("--plan", "--results", str(tmp_path)), 0)):
        reading, writing = os.pipe()
        os.close(reading)
        command = [sys.executable, "run_all.py", *given]
        done = subprocess.run(command, cwd=ROOT, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
        os.close(writing)
        assert (done.returncode, done.stderr) == (status, ""), given


@pytest.mark.parametrize("given", [("--nosuch",), ("--suite", "nosuch")], ids=" ".join)
def test_an_error_that_nobody_reads_keeps_its_exit_status(given: tuple[str, ...]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([sys.executable, "run_all.py", *given], cwd=ROOT, stdout=writing, stderr=writing, check=False)
    os.close(writing)
    assert done.returncode == 2


def test_a_suite_is_finished_although_nobody_reads_its_output(tmp_path: Path) -> None:
    with start_main(*SMALL, results=tmp_path) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline().startswith("[1/2]")
        process.stdout.close()
        assert (process.stderr.read(), process.wait()) == ("", 0)
    assert [record["status"] for record in records_of(tmp_path / "digits")] == ["done", "done"]
    assert (tmp_path / "digits" / "report.md").is_file()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_output_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "run_all.py", "--plan", "--results", str(tmp_path)]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines()[0].startswith("error: the output: No space left on device")


# Errors


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--suite", "digitz"), "suite 'digitz' is unknown; allowed: digits, cifar10, cifar100, folder, "),
        (("--suite", "../../x"), "suite '../../x' is unknown; allowed: digits"),
        (("--suite", "../../nowhere.toml"), "suite file ../../nowhere.toml: "),
        (("--variants", "short5"), "did you mean 'short"),
        (("--variants", ""), "no variant; name at least one"),
        (("--variants", ","), "no variant; name at least one"),
        (("--epochs", str(2**70)), "it must be a whole number below 2^63"),
        (("--engine", "graph"), "--engine graph needs a GPU, and the device is cpu; use eager, compile or auto"),
        (("--runs-per-gpu", "2"), "--runs-per-gpu is 2; use 1 or more on a GPU and 1 elsewhere"),
        (("--runs-per-gpu", "0"), "--runs-per-gpu is 0; use 1 or more on a GPU and 1 elsewhere"),
        (("--cpus-per-run", "2"), "--cpus-per-run has no effect without --executor ray; give both"),
        (("--ray-address", "auto"), "--ray-address has no effect without --executor ray; give both"),
        (("--executor", "ray", "--cpus-per-run", "0"), "--cpus-per-run is 0; use 1 or more"),
        (("--limit-train", "99999"), "1,437 training images"),
        (("--limit-train", "9"), "--limit-train 9 is less than the 10 classes; use at least one image a class"),
        (("--report", "--seeds", "3"), "--seeds has no effect with --report; it goes with --compare-with, "),
        (("--report", "--suite", "../x"), "suite '../x' has no plan.json in "),
        (("--suite", "~nosuchuser/x.toml"), "suite file ~nosuchuser/x.toml: this user has no home folder here"),
        (("--image-size", "32"), "--image-size 32 goes with --suite folder or --dataset folder only"),
        (("--resume", "--fresh"), "exclude each other"),
        (("--plan", "--report"), "exclude each other"),
        (("--report",), "run the suite first"),
        (("--variants", "imagenet-stem"), "too small"),
        (("--variants", "bn-aux-224"), "set resize = 224 in the recipe or train it with --recipe bn-aux-adam"),
        (("--variants", "plain-gray", "--recipe", "bn-aux-adam"), "set grayscale = true in the recipe"),
        (("--variants", "short4", "--limit-train", "100", "--keep-epochs", "9"), "keep_epochs is 9"),
        (("--seed-list", "80,x"), "--seed-list is '80,x'; give whole numbers with commas between them, as in 80,81"),
        (("--seed-list", "80", "--seeds", "2"), "--seeds and --seed-list exclude each other"),
        (("--looks", "3;5"), "--looks is '3;5'; give whole numbers with commas between them"),
        (
            ("--looks", "5,3"),
            "suite digits: looks is [5, 3]; name increasing numbers of seeds, each once, as in 3,5,10",
        ),
        (("--until-settled", "--plan"), "--until-settled has no effect with --plan; it goes with every flag but"),
        (("--dataset", "fmnist"), "dataset 'fmnist' is unknown; allowed: digits, "),
        (("--log-every", "-1"), "--log-every is -1; use 1 or more steps"),
        (("--compare-with", "nosuch"), "nosuch/plan.json is not there"),
        (("--compare-with", "digits"), "the suite itself"),
        (("--compare-with", "../../elsewhere"), "--compare-with name '../../elsewhere' is not usable"),
        (("--compare-with", "No Such"), "--compare-with name 'No Such' is not usable"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_bad_arguments_are_one_clear_line_and_nothing_is_written(
    main: Main, tmp_path: Path, given: tuple[str, ...], said: str
) -> None:
    status, out, err = main(*given)
    assert (status, out) == (2, "")
    assert said in err
    assert err.startswith("error: ") and err.count("\n") == 1 and len(err) < 2_000
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "given",
    [
        *(("--suit", "x"), ("--seeds", "two"), ("--device", "tpu")),
        *(("--precision", "fp16"), ("--engine", "triton"), ("--executor", "slurm"), ("--runs-per-gpu", "many")),
    ],
    ids=" ".join,
)
def test_unknown_flags_and_wrong_types_end_with_2(main: Main, given: tuple[str, ...]) -> None:
    status, _, err = main(*given)
    assert status == 2
    assert given[1] in err and "Traceback" not in err


def test_a_suite_file_that_cannot_be_used_is_one_clear_line(main: Main, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('name = "mine"\naxis = "b"\nvaries = []\ndataset = "digits"\nsedes = 3\n', encoding="utf-8")
    status, out, err = main("--suite", str(path))
    assert (status, out) == (2, "")
    assert err.startswith(f"error: suite file {path}: unknown key 'sedes'") and err.count("\n") == 1
    assert list(tmp_path.iterdir()) == [path]


def test_costs_can_be_planned_before_the_data_is_there(main: Main, tmp_path: Path) -> None:
    status, out, _ = main("--suite", "cifar100", "--data-dir", str(tmp_path / "data"), "--plan")
    assert status == 0
    assert "65,736,148" in out
    assert not list(tmp_path.iterdir())


def test_a_damaged_archive_ends_with_4(main: Main, tmp_path: Path) -> None:
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(b"not an archive")
    status, _, err = main("--suite", "cifar10", "--data-dir", str(tmp_path))
    assert status == 4
    assert hashlib.md5(b"not an archive").hexdigest() in err
    assert ARCHIVES["cifar10"].files[0].md5 in err


def test_a_failed_run_is_reported_and_the_others_finish(
    main: Main, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = TrainStep.step

    def fail_short3(trainer: TrainStep, images: Tensor, labels: Tensor) -> StepResult:
        if trainer.model.arch.name == "short3":
            raise torch.OutOfMemoryError("out of memory on purpose")
        return step(trainer, images, labels)

    monkeypatch.setattr(TrainStep, "step", fail_short3)
    status, out, _ = main(*SMALL)
    assert status == 3
    assert "oom: out of memory on purpose" in out
    text = (tmp_path / "digits" / "report.md").read_text(encoding="utf-8")
    assert re.search(r"`digits-short3-s1-[0-9a-f]{8}` oom after 0 of 1 epochs: out of memory on purpose", text)
    assert "| short4 | 1 |" in text


def test_a_report_that_cannot_be_written_ends_the_command_before_any_run(main: Main, tmp_path: Path) -> None:
    (tmp_path / "digits").mkdir()
    (tmp_path / "digits" / "figures").write_text("in the way")
    status, out, err = main(*SMALL)
    assert (status, out) == (2, "")
    assert err.startswith(f"error: a report cannot be written in {tmp_path / 'digits'} (") and err.count("\n") == 1
    assert not (tmp_path / "digits" / "runs").exists()


# Stopping and resuming; tests/faults/test_concurrency.py stops with Ctrl-C, twice


def test_stopped_in_the_second_run_and_started_again_it_gives_the_same_records(tmp_path: Path) -> None:
    given = ("--variants", "short3,short4", "--limit-train", "300", "--epochs", "6")
    with start_main(*given, results=tmp_path / "stopped") as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("[2/2]") and "epoch 2/6" in line:
                break
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 143
    assert "To go on: python run_all.py --variants short3,short4" in err and "Traceback" not in err
    statuses = [record["status"] for record in records_of(tmp_path / "stopped" / "digits")]
    assert sorted(statuses) == ["done", "interrupted"]

    status, out, err = run_main(*given, results=tmp_path / "stopped")
    assert status == 0, err
    assert re.search(r"\[1/2\] digits-short3-s1-\w+: done before", out)
    assert re.search(r"\[2/2\] digits-short4-s1-\w+: goes on after epoch [2-5]", out)
    assert run_main(*given, "--variants", "short4", results=tmp_path / "undisturbed").status == 0
    (undisturbed,) = records_of(tmp_path / "undisturbed" / "digits")
    assert undisturbed in records_of(tmp_path / "stopped" / "digits")


def test_a_suite_file_of_many_cells_needs_consent(main: Main, tmp_path: Path) -> None:
    path = tmp_path / "many.toml"
    widths, dropouts = ([number / 16 for number in range(1, 10)], [number / 10 for number in range(8)])
    path.write_text(
        f'name = "many"\ndataset = "digits"\nrecipe = "digits"\n[factors]\nwidth = {widths}\ndropout = {dropouts}\n'
    )
    refused = main("--suite", str(path), "--plan")
    assert refused.status == 2 and "the factors have 72 cells, more than 64" in refused.err
    assert "--yes" in refused.err and len(refused.err.splitlines()) == 1
    assert main("--suite", str(path), "--plan", "--yes").status == 0
    assert "has no plan.json" in main("--suite", str(path), "--report").err, "a report needs no consent"

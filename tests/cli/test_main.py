"""The command line as its user meets it: exit statuses, messages, files on disk, stopping and resuming."""

from __future__ import annotations

import errno
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from tests.support.command_line import ROOT, SMALL, Main, Outcome, run_main, start_main
from tests.support.records import records_of

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome]:
    """A folder of results with one small suite, with figures, and what the command said; tests only read it."""
    results = tmp_path_factory.mktemp("finished")
    return results, run_main(*SMALL, results=results, figures=True)


@pytest.fixture
def copied(finished: tuple[Path, Outcome], tmp_path: Path) -> Path:
    """A copy of the finished results that a test may change."""
    return shutil.copytree(finished[0], tmp_path / "copied")


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

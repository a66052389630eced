"""The command line as its user meets it: exit statuses, messages, what is left on disk, stopping and going on."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torchvision.datasets import utils as torchvision_downloads

import run_all
from ablations.data import download
from ablations.data.archives import ARCHIVES
from ablations.training.step import StepResult, TrainStep

ROOT = Path(__file__).resolve().parents[2]
SMALL = ("--variants", "short3,short4", "--limit-train", "150", "--epochs", "2")


@pytest.fixture(autouse=True)
def _keep_signal_handlers() -> Iterator[None]:
    handler = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, handler)


@pytest.fixture
def main(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Runs the command line in this process; gives exit status, standard output and standard error."""

    def call(*given: str) -> tuple[int, str, str]:
        try:
            status = run_all.main([*given, "--results", str(tmp_path), "--device", "cpu"])
        except SystemExit as end:
            status = int(end.code or 0)
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return call


def results(suite_dir: Path) -> list[dict[str, Any]]:
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


def test_a_suite_from_start_to_report_and_again(main: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    status, out, err = main(*SMALL)
    assert (status, err) == (0, "")
    report = tmp_path / "digits" / "report.md"
    assert str(report) in out.splitlines()[-1]
    assert re.search(r"│ short3 +│ 1 │", out) and re.search(r"│ short4 +│ 1 │", out)
    assert "stratified subset of 150 of 1,437" in report.read_text(encoding="utf-8")
    first = {path: path.stat().st_mtime_ns for path in tmp_path.glob("digits/runs/*/*")}
    assert len(results(tmp_path / "digits")) == 2
    status, out, _ = main(*SMALL)
    assert status == 0
    assert out.count("done before") == 2
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("digits/runs/*/*")} == first


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ("nosuch", "nosuch/plan.json is not there"),
        ("digits", "the suite itself"),
        ("No Such", "--compare-with name 'No Such'"),
    ],
)
def test_a_suite_that_cannot_be_compared_with_is_refused_before_anything_trains(
    main: Callable[..., tuple[int, str, str]], tmp_path: Path, given: str, named: str
) -> None:
    status, out, err = main(*SMALL, "--compare-with", given)
    assert (status, out) == (2, "")
    assert named in err
    assert not list(tmp_path.iterdir())


def test_runs_that_were_done_without_the_diagnostic_are_counted(main: Callable[..., tuple[int, str, str]]) -> None:
    main(*SMALL)
    status, out, _ = main(*SMALL, "--measure-selection-bias", "--seeds", "2")
    assert status == 0
    assert "2 of 4 runs were trained without --measure-selection-bias; --fresh trains them again" in out
    status, out, _ = main(*SMALL, "--measure-selection-bias", "--seeds", "2", "--fresh")
    assert status == 0 and "without --measure-selection-bias" not in out


def test_a_suite_goes_on_when_nobody_reads_its_output_any_more(tmp_path: Path) -> None:
    command = [sys.executable, "run_all.py", *SMALL, "--device", "cpu", "--results", str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline().startswith("[1/2]")
        process.stdout.close()
        assert (process.stderr.read(), process.wait()) == ("", 0)
    assert [record["status"] for record in results(tmp_path / "digits")] == ["done", "done"]
    assert (tmp_path / "digits" / "report.md").is_file()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_output_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "run_all.py", "--plan", "--results", str(tmp_path)]
    with Path("/dev/full").open("w") as full:
        finished = subprocess.run(command, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert finished.returncode == 2
    assert finished.stderr.splitlines()[0].startswith("error: the output: No space left on device")


@pytest.mark.parametrize("given", [("--report",), ()], ids=str)
def test_results_that_are_a_file_are_one_line(
    main: Callable[..., tuple[int, str, str]], tmp_path: Path, given: tuple[str, ...]
) -> None:
    (tmp_path / "digits").write_text("no folder")
    status, _, err = main(*SMALL, *given)
    assert status == 2 and str(tmp_path / "digits") in err and len(err.splitlines()) == 1


def test_a_path_that_is_no_markup_and_no_unicode_is_no_obstacle(
    main: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    folder = tmp_path / os.fsdecode(b"r[/x][red]\xff")
    given = ("--variants", "short4", "--limit-train", "150", "--epochs", "1", "--device", "cpu")
    for more in ((), ("--fresh",), ("--report",)):
        assert run_all.main([*given, *more, "--results", str(folder)]) == 0
    assert "r[/x][red]\\udcff" in (folder / "digits" / "report.md").read_text(encoding="utf-8").replace("\\[", "[")


def test_reporting_a_suite_that_was_never_run_makes_no_folder(
    main: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    status, _, err = main("--report")
    assert status == 2 and "run the suite first" in err
    assert not list(tmp_path.iterdir())


def test_fresh_trains_again_and_deletes_nothing(main: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    main(*SMALL)
    before = results(tmp_path / "digits")
    status, out, _ = main(*SMALL, "--fresh")
    assert status == 0
    assert out.count("moved aside") == 2
    assert results(tmp_path / "digits") == before, "the same seeds give the same results"
    assert len(list(tmp_path.glob("digits/superseded/*/*/result.json"))) == 2


def test_recipe_precision_and_engine_are_those_asked_for(
    main: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    given = ("--variants", "short4", "--limit-train", "150", "--epochs", "1")
    status, _, err = main(*given, "--recipe", "published", "--precision", "bf16", "--engine", "eager")
    assert (status, err) == (0, "")
    (path,) = tmp_path.glob("digits/runs/*/result.json")
    record = json.loads(path.read_text(encoding="utf-8"))
    recipe = record["config"]["recipe"]
    assert (recipe["name"], recipe["optimizer"]) == ("published", "adadelta")
    assert (recipe["epochs"], recipe["precision"]) == (1, "bf16")
    assert record["environment"]["engine"] == "eager"
    text = (tmp_path / "digits" / "report.md").read_text(encoding="utf-8")
    assert "`published` with epochs changed" in text and ", bf16, " in text and "engine eager" in text


def test_recipe_and_precision_make_runs_of_their_own_and_the_engine_does_not(
    main: Callable[..., tuple[int, str, str]],
) -> None:
    def planned(*given: str) -> str:
        status, out, _ = main("--variants", "short4", "--plan", *given)
        assert status == 0
        (name,) = re.findall(r"digits-short4-s1-[0-9a-f]{8}", out)
        return name

    usual = planned()
    others = [("--recipe", "published"), ("--recipe", "fast"), ("--precision", "bf16")]
    assert len({usual, *(planned(*given) for given in others)}) == 4
    # On a CPU single precision is the device's own.
    same = [("--recipe", "digits"), ("--precision", "fp32"), ("--engine", "compile"), ("--runs-per-gpu", "2")]
    assert {planned(*given) for given in same} == {usual}


def test_plan_shows_what_is_done(main: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    status, out, _ = main(*SMALL, "--plan")
    assert status == 0
    assert len(re.findall(r"missing │", out)) == 2
    assert not list(tmp_path.iterdir()), "looking leaves nothing behind"
    main(*SMALL)
    assert len(re.findall(r"done │", main(*SMALL, "--plan")[1])) == 2


def test_list_names_every_architecture_with_its_counts(main: Callable[..., tuple[int, str, str]]) -> None:
    status, out, _ = main("--list")
    assert status == 0
    for said in ("naive", "65,736,148", "inception-v1", "13,385,816", "axis batch-norm", "short4 (reconstruction)"):
        assert said in out


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--suite", "digitz"), "suite 'digitz' is unknown; allowed: digits, cifar10, cifar100, folder"),
        (("--suite", "nowhere.toml"), "nowhere.toml"),
        (("--variants", "short5"), "did you mean 'short"),
        (("--variants", ","), "no variant"),
        (("--variants", "naive,naive"), "named twice"),
        (("--seeds", "0"), "seeds is 0"),
        (("--epochs", "0"), "epochs is 0"),
        (("--recipe", "fsat"), "recipe 'fsat' is unknown; allowed: published, fast, digits; did you mean 'fast'?"),
        (("--engine", "graph"), "--engine graph needs a GPU, and the device is cpu; use eager, compile or auto"),
        (("--runs-per-gpu", "2"), "--runs-per-gpu is 2; use 1 or more on a GPU and 1 elsewhere"),
        (("--runs-per-gpu", "0"), "--runs-per-gpu is 0; use 1 or more on a GPU and 1 elsewhere"),
        (("--limit-train", "5"), "limit_train is 5"),
        (("--limit-train", "99999"), "1,437 training images"),
        (("--limit-train", "65"), "last batch of one image"),
        (("--image-size", "32"), "--image-size 32 goes with --suite folder only"),
        (("--resume", "--fresh"), "exclude each other"),
        (("--plan", "--report"), "exclude each other"),
        (("--variants", "bn-aux-224"), "too small"),
    ],
)
def test_bad_arguments_are_one_clear_line(
    main: Callable[..., tuple[int, str, str]], tmp_path: Path, given: tuple[str, ...], said: str
) -> None:
    status, out, err = main(*given)
    assert status == 2
    assert said in err
    assert err.startswith("error: ") and err.count("\n") == 1
    assert out == ""
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "given",
    [
        *(("--suit", "x"), ("--seeds", "two"), ("--device", "tpu")),
        *(("--precision", "fp16"), ("--engine", "triton"), ("--runs-per-gpu", "many")),
    ],
)
def test_unknown_flags_and_wrong_types_end_with_2(
    main: Callable[..., tuple[int, str, str]], given: tuple[str, ...]
) -> None:
    status, _, err = main(*given)
    assert status == 2
    assert given[1] in err and "Traceback" not in err


def test_a_missing_gpu_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert run_all.main(["--device", "cuda", "--results", str(tmp_path)]) == 2
    assert "finds no GPU; use --device cpu or auto" in capsys.readouterr().err


def test_a_results_folder_that_cannot_be_written_is_named(
    main: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    (tmp_path / "digits").write_text("a file where the folder should be")
    status, _, err = main(*SMALL)
    assert status == 2
    assert str(tmp_path / "digits") in err and "--results" in err


def test_report_without_a_run_says_so(main: Callable[..., tuple[int, str, str]]) -> None:
    status, _, err = main("--report")
    assert status == 2
    assert "run the suite first" in err


def test_missing_archive_and_no_network(
    main: Callable[..., tuple[int, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_network(*args: object, **kwargs: object) -> None:
        raise urllib.error.URLError("no network")

    monkeypatch.setattr(torchvision_downloads, "download_url", no_network)
    monkeypatch.setattr(download, "WAITS_SECONDS", (0.0, 0.0))
    data_dir = tmp_path / "data"
    status, _, err = main("--suite", "cifar100", "--data-dir", str(data_dir))
    assert status == 4
    archive = ARCHIVES["cifar100"]
    for said in (archive.file_name, "169,001,437 bytes", archive.md5, str(data_dir), "--suite digits"):
        assert said in err
    assert not [path for path in data_dir.rglob("*") if path.is_file()]
    status, out, _ = main("--suite", "cifar100", "--data-dir", str(data_dir), "--plan")
    assert status == 0, "costs can be looked up before the data is there"
    assert "65,736,148" in out


def test_a_damaged_archive_is_refused(main: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(b"not an archive")
    status, _, err = main("--suite", "cifar10", "--data-dir", str(tmp_path))
    assert status == 4
    assert hashlib.md5(b"not an archive").hexdigest() in err
    assert ARCHIVES["cifar10"].md5 in err


def test_a_failed_run_is_reported_and_the_others_finish(
    main: Callable[..., tuple[int, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_step = TrainStep.step

    def step(trainer: TrainStep, images: Tensor, labels: Tensor) -> StepResult:
        if trainer.model.arch.name == "short3":
            raise torch.OutOfMemoryError("out of memory on purpose")
        return real_step(trainer, images, labels)

    monkeypatch.setattr(TrainStep, "step", step)
    status, out, _ = main(*SMALL)
    assert status == 3
    assert "oom: out of memory on purpose" in out
    text = (tmp_path / "digits" / "report.md").read_text(encoding="utf-8")
    assert re.search(r"`digits-short3-s1-[0-9a-f]{8}` oom after 0 of 2 epochs: out of memory on purpose", text)
    assert "| short4 | 1 |" in text


def started(results_dir: Path, *given: str) -> subprocess.Popen[str]:
    """The command line as a process of its own, on one thread so that tests beside it do not slow it down."""
    command = [sys.executable, "run_all.py", *given, "--results", str(results_dir), "--device", "cpu"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize(("sent", "expected"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stopped_in_the_second_run_and_started_again(tmp_path: Path, sent: signal.Signals, expected: int) -> None:
    given = ("--variants", "short3,short4", "--limit-train", "300", "--epochs", "6")
    undisturbed = started(tmp_path / "undisturbed", *given)
    assert undisturbed.wait(timeout=120) == 0, undisturbed.stderr
    undisturbed.communicate()

    process = started(tmp_path / "stopped", *given)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("[2/2]") and "epoch 2/6" in line:
            break
    sent_at = time.monotonic()
    process.send_signal(sent)
    _, err = process.communicate(timeout=60)
    assert process.returncode == expected
    assert time.monotonic() - sent_at < 30
    assert "To go on: python run_all.py --variants short3,short4" in err and "Traceback" not in err
    assert sorted(record["status"] for record in results(tmp_path / "stopped" / "digits")) == ["done", "interrupted"]

    again = started(tmp_path / "stopped", *given)
    out, err = again.communicate(timeout=120)
    assert again.returncode == 0, err
    assert re.search(r"\[1/2\] digits-short3-s1-\w+: done before", out)
    assert re.search(r"\[2/2\] digits-short4-s1-\w+: goes on after epoch [2-5]", out)
    assert results(tmp_path / "stopped" / "digits") == results(tmp_path / "undisturbed" / "digits")


def test_help_answers_in_half_a_second() -> None:
    seconds = []
    for _ in range(5):  # the best of five: other processes can only slow it down
        began = time.perf_counter()
        finished = subprocess.run([sys.executable, "run_all.py", "--help"], cwd=ROOT, capture_output=True, text=True)
        seconds.append(time.perf_counter() - began)
        assert finished.returncode == 0 and "--limit-train" in finished.stdout
    assert min(seconds) < 0.5, seconds

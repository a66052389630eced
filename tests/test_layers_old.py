"""Which module may import which, read from the source; and what must work without torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# A module may import those that stand in an earlier line, and none of its own line or a later one.
GOOGLENET_ORDER = [["checks"], ["arch"], ["variants", "counts"], ["blocks"], ["model"]]
ABLATIONS_ORDER = [
    ["errors", "draws", "power", "published", "hardware", "document", "environment"],
    ["files", "stats"],
    ["predictions"],
    ["drawings"],
    ["cells"],
    ["schema"],
    ["lines"],
    ["config"],
    ["splits"],
    ["archives", "image_folder"],
    ["datasets"],
    ["suites"],
    ["suite_files"],
    ["plan"],
    ["plan_file"],
    ["record"],
    ["run_folder"],
    ["events", "confounds"],
    ["locks", "stopping"],
    ["preparation"],
    ["devices"],
    ["augmentation", "engine", "complexity", "checkpoint"],
    ["loader", "evaluation"],
    ["assessment"],
    ["train"],
    ["runner"],
    ["parallel"],
    ["tables"],
    ["verdicts", "selection"],
    ["conclusions", "fronts", "rankings", "evidence"],
    ["plots", "markdown"],
    ["html", "latex"],
    ["overview", "findings", "tradeoffs", "ordering"],
    ["report"],
    ["console", "tracking"],
]
TORCH_MODULES = {
    "blocks",
    "model",
    "devices",
    "augmentation",
    "engine",
    "complexity",
    "checkpoint",
    "loader",
    "evaluation",
    "train",
    "assessment",
    "runner",
    "parallel",
}


def imports(path: Path, *, on_loading: bool) -> set[str]:
    """Modules that a file imports as "package.module" or "package": anywhere in it, or only when it is loaded."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    passed_over = [node for node in ast.walk(tree) if _is_passed_over(node)] if on_loading else []
    later = {inside for node in passed_over for inside in ast.walk(node)}
    found: set[str] = set()
    for node in ast.walk(tree):
        if node in later:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            package = path.parent.name if node.level else node.module or ""
            if node.level and node.module:
                package = f"{package}.{node.module}"
            is_package = package in ("ablations", "googlenet")
            found |= {f"{package}.{alias.name}" for alias in node.names} if is_package else {package}
    return found


def _is_passed_over(node: ast.AST) -> bool:
    """Whether a module is loaded without what stands in this: a function, or what only a type checker reads."""
    return isinstance(node, ast.FunctionDef) or (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")


@pytest.mark.parametrize(("package", "order"), [("googlenet", GOOGLENET_ORDER), ("ablations", ABLATIONS_ORDER)])
def test_modules_import_earlier_layers_only(package: str, order: list[list[str]]) -> None:
    files = {path.stem for path in (ROOT / package).glob("*.py")} - {"__init__"}
    assert files == {name for layer in order for name in layer}, "a new module needs a place in the order"
    allowed: set[str] = set()
    for layer in order:
        for name in layer:
            everything = imports(ROOT / package / f"{name}.py", on_loading=False)
            own = {full.split(".")[1] for full in everything if full.startswith(f"{package}.")}
            assert own <= allowed, f"{package}/{name}.py imports {own - allowed}, which stand beside or after it"
        allowed |= set(layer)


def test_the_network_knows_nothing_of_the_experiment() -> None:
    for path in (ROOT / "googlenet").glob("*.py"):
        assert not [name for name in imports(path, on_loading=False) if name.startswith("ablations")], path


def test_only_the_training_side_imports_torch() -> None:
    for package in ("googlenet", "ablations"):
        for path in (ROOT / package).glob("*.py"):
            if path.stem not in TORCH_MODULES:
                loaded = imports(path, on_loading=True)
                heavy = {name for name in loaded if name.split(".")[0] in ("torch", "torchvision", "fvcore")}
                heavy |= {name for name in loaded if name.rpartition(".")[2] in TORCH_MODULES}
                assert not heavy, f"{path} imports {heavy}"


def test_torch_is_never_loaded_unsafely() -> None:
    for package in ("googlenet", "ablations"):
        for path in (ROOT / package).glob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
                    given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
                    assert given.get("weights_only") == "True", f"{path}, line {node.lineno}"


def test_printing_is_left_to_the_command_line() -> None:
    for package in ("googlenet", "ablations"):
        for path in (ROOT / package).glob("*.py"):
            calls = [n for n in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(n, ast.Call)]
            assert not [call.lineno for call in calls if ast.unparse(call.func) == "print"], path


@pytest.mark.parametrize("flag", ["--help", "--list", "--plan"])
def test_looking_does_not_import_torch(flag: str, tmp_path: Path) -> None:
    # --report is held by the tests of the report, which have records to build one from.
    code = (
        "import sys, run_all\n"
        "try: status = run_all.main(sys.argv[1:])\n"
        "except SystemExit as end: status = end.code\n"
        "assert not status, status\n"
        "assert 'torch' not in sys.modules"
    )
    command = [sys.executable, "-c", code, flag, "--results", str(tmp_path)]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
